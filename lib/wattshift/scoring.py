"""What became of forecasts: errors of level and of growth, the sign of the bias at tiny n, scores of bands.

A forecast of demand is wrong in two ways: its starting level was wrong, or its growth was. In logs the two add up, so
where the publisher of the realised value also gives the base year, the error is split. Realised values are estimates of
other publishers; a forecast is scored only against one that counts the same thing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from wattshift import demand, leadlag, outlook
from wattshift.refusal import Refusal

Floats = npt.NDArray[np.float64]

WORDS = {"AI only": demand.Boundary.AI_SERVERS}  # boundaries that only past_forecasts names
SHARES = ("percent", "percent of US generation")

# ---------------------------------------------------------------- the record


def record(past: pd.DataFrame, history: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(scored, aside): every forecast of `past_forecasts` with a realised value that it can be held against; the rest.

    past, history : the tables past_forecasts and dc_demand_history

    scored, a row per forecast: edition (author and year; forecasts of one edition share their errors), published,
    region, base_year, target_year, horizon (years from the base year), base, low, forecast, high, realised (own unit),
    realised_by (publisher), error (log of forecast over realised; positive: too high), base_error and growth_error (its
    two parts; blank where the publisher of the realised value gives no base year), no_change (error of carrying the
    forecast's own base forward). Sorted by year of publication.
    aside: author, target_year, why.
    """
    rows: list[dict[str, Any]] = []
    aside: list[dict[str, Any]] = []
    known = demand.levels(history)
    for line in past.to_dict("records"):
        about: dict[str, Any] = {str(name): value for name, value in line.items()}
        came = known[
            (known["source_ref"] == about["realised_source"])
            & (known["region"] == about["region"])
            & (known["year"] == about["target_year"])
            & np.isclose(known["twh"], about["realised"])
        ]
        why = _aside(about, came)
        if why:
            aside.append({"author": about["author"], "target_year": about["target_year"], "why": why})
            continue
        base_realised = _base_of(about, came, known)
        error = math.log(about["central"] / about["realised"])
        base_error = math.log(about["base_value"] / base_realised)
        rows.append({
            "edition": f"{about['author']} {about['published']:%Y}",
            **{name: about[name] for name in ("published", "region", "base_year", "target_year")},
            "horizon": about["target_year"] - about["base_year"],
            "base": about["base_value"],
            "low": about["low"], "forecast": about["central"], "high": about["high"],
            "realised": about["realised"],
            "realised_by": by["publisher"].iloc[0] if len(by := known[known["source_ref"] == about["realised_source"]])
            else about["realised_source"],
            "error": error, "base_error": base_error, "growth_error": error - base_error,
            "no_change": math.log(about["base_value"] / about["realised"]),
        })  # fmt: skip
    if not rows:
        raise Refusal("no past forecast has a realised value that counts the same thing, so there is nothing to score.")
    scored = pd.DataFrame(rows).sort_values(["published", "target_year"], ignore_index=True)
    whole = dict.fromkeys(("base_year", "target_year", "horizon"), int)
    return scored.astype(whole), pd.DataFrame(aside, columns=["author", "target_year", "why"])


def _aside(about: dict[str, Any], came: pd.DataFrame) -> str:
    """Why a row of past_forecasts cannot be scored; empty where it can."""
    if pd.isna(about["realised"]):
        return "no realised value is known yet, or none of the same boundary"
    if pd.isna(about["published"]) or pd.isna(about["base_year"]) or pd.isna(about["base_value"]):
        return "no date or no base is known, so it has no horizon"
    if pd.isna(about["central"]):
        return "it names no middle"
    if about["unit"] in SHARES:
        return "it is a share, of a total that it does not give"
    if len(came):
        said = WORDS.get(about["scope"]) or demand.boundary(about["author"], about["scope"])
        counted = demand.boundary(came["publisher"].iloc[0], came["scope"].iloc[0])
        if said != counted:
            return f"it counts {said}, the realised value {counted}"
    return ""


def _base_of(about: dict[str, Any], came: pd.DataFrame, known: pd.DataFrame) -> float:
    """The base year by the publisher of the realised value (newest word, same boundary), else nan; an index: itself."""
    if str(about["unit"]).startswith("index"):
        return float(about["base_value"])
    if came.empty:
        return math.nan
    same = known[
        (known["family"] == came["family"].iloc[0])
        & (known["counts"] == came["counts"].iloc[0])
        & (known["region"] == about["region"])
        & (known["year"] == about["base_year"])
    ].sort_values("published")["twh"]
    same = same.dropna()
    return float(same.iloc[-1]) if len(same) else math.nan


def edition_weights(scored: pd.DataFrame) -> Floats:
    """One weight per row: every edition counts the same, however many of its forecasts are over. They sum to 1."""
    sizes = scored.groupby("edition")["edition"].transform("size")
    return np.asarray(1 / sizes / scored["edition"].nunique(), dtype=float)


def by_group(scored: pd.DataFrame, group: pd.Series[Any]) -> pd.DataFrame:
    """What a group of forecasts did, one row a group: a description, no statistics.

    group: a label per row of `scored`. Columns: group, forecasts, editions, too_high, median and largest (of the size
    of the error in logs), growth_too_high and with_growth (of those whose growth can be scored).
    """
    rows = []
    for name, part in scored.groupby(group, sort=False):
        grown = part["growth_error"].dropna()
        size = part["error"].abs()
        rows.append(
            (name, len(part), part["edition"].nunique(), int((part["error"] > 0).sum()), float(size.median()),
             float(size.max()), int((grown > 0).sum()), len(grown))
        )  # fmt: skip
    names = ["group", "forecasts", "editions", "too_high", "median", "largest", "growth_too_high", "with_growth"]
    return pd.DataFrame(rows, columns=names)


# ---------------------------------------------------------------- the sign of the bias


def sign(errors: npt.ArrayLike, confidence: float = 0.9) -> dict[str, float]:
    """How many errors are positive, and what so few can say about the chance of that (errors of zero are left out).

    Gives over, n, share, low and high (Clopper-Pearson interval of the chance), p (exact two-sided sign test against
    one half) and least_p (the smallest p that n can give). Errors must be independent for the last four to hold.

    >>> {name: round(value, 4) for name, value in sign([1, 1, 1, 1]).items()}
    {'over': 4, 'n': 4, 'share': 1.0, 'low': 0.4729, 'high': 1.0, 'p': 0.125, 'least_p': 0.125}
    """
    seen = np.asarray(errors, dtype=float)
    seen = seen[np.isfinite(seen) & (seen != 0)]
    n, over = len(seen), int((seen > 0).sum())
    if not n:
        raise Refusal("there is no error that is not zero, so there is no sign to count.")
    low, high = outlook.share_interval(over, n, confidence)
    p = float(stats.binomtest(over, n).pvalue)
    return {"over": over, "n": n, "share": over / n, "low": low, "high": high, "p": p, "least_p": min(1.0, 2 * 0.5**n)}


def edition_signs(scored: pd.DataFrame, column: str = "error") -> Floats:
    """The sign of each edition's mean error, -1, 0 or 1: one vote each. Editions without that error are left out."""
    means = scored.dropna(subset=[column]).groupby("edition", sort=False)[column].mean()
    return np.asarray(np.sign(means.to_numpy(dtype=float)), dtype=float)


# ---------------------------------------------------------------- scores of bands


def pinball(forecast: npt.ArrayLike, realized: npt.ArrayLike, level: float) -> Floats:
    """Quantile (pinball) loss of forecasts of the `level` quantile; smaller is better.

    >>> float(pinball(5, 3, 0.9).round(6)), float(pinball(3, 5, 0.9).round(6))
    (0.2, 1.8)
    """
    _in_unit("level", level)
    off = np.asarray(realized, dtype=float) - np.asarray(forecast, dtype=float)
    return np.asarray(np.where(off >= 0, level * off, (level - 1) * off))


def interval_score(low: npt.ArrayLike, high: npt.ArrayLike, realized: npt.ArrayLike, alpha: float) -> Floats:
    """Width of a central 1 - alpha band plus 2 / alpha times the miss (Gneiting & Raftery 2007, eq. 43).

    >>> float(interval_score(0, 2, 3, 0.1).round(6))
    22.0
    """
    _in_unit("alpha", alpha)
    bottom, top, seen = (np.asarray(one, dtype=float) for one in (low, high, realized))
    if (bottom > top).any():
        raise Refusal("the lower end of a band lies above its upper end.")
    miss = np.maximum(bottom - seen, 0) + np.maximum(seen - top, 0)
    return np.asarray(top - bottom + 2 / alpha * miss)


def crps_normal(realized: npt.ArrayLike, mean: npt.ArrayLike, sd: npt.ArrayLike) -> Floats:
    """CRPS of a normal forecast in closed form (Gneiting & Raftery 2007, eq. 21). For samples see `outlook.crps`.

    >>> float(crps_normal(0, 0, 1).round(10))
    0.2336949773
    """
    spread = np.asarray(sd, dtype=float)
    if not (spread > 0).all():
        raise Refusal(f"a standard deviation is positive; the smallest given is {spread.min():g}.")
    z = (np.asarray(realized, dtype=float) - np.asarray(mean, dtype=float)) / spread
    return np.asarray(
        spread * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)), dtype=float
    )


def equal_accuracy(
    loss_a: npt.ArrayLike, loss_b: npt.ArrayLike, horizons: npt.ArrayLike, least: int = 20
) -> leadlag.DieboldMariano:
    """Diebold-Mariano test with the correction of Harvey, Leybourne & Newbold, where the sample allows one.

    loss_a, loss_b : losses of two rules on the same forecasts, in order of time, one step apart
    horizons       : steps ahead of each; all the same
    Raises Refusal for forecasts of different horizons, and for fewer than `least` of them or three horizons: the test
    needs a long run of forecasts, and its size is off in short ones (Harvey et al. 1997 simulate from n = 8 on and
    still reject too often at longer horizons).
    """
    a, b, steps = np.asarray(loss_a, float), np.asarray(loss_b, float), np.unique(np.asarray(horizons, int))
    if len(a) != len(b) or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise Refusal(f"both rules need a finite loss on every forecast; given {len(a)} and {len(b)}.")
    if len(steps) != 1:
        raise Refusal(
            f"a Diebold-Mariano test compares forecasts of one horizon, made in a row; given {len(a)} forecasts that "
            f"look {steps.min()} to {steps.max()} steps ahead."
        )
    horizon = int(steps[0])
    needed = max(least, 3 * horizon)
    if len(a) < needed:
        raise Refusal(f"{len(a)} forecasts at a horizon of {horizon} are too few for a test; {needed} are needed.")
    return leadlag.diebold_mariano(a, b, horizon)


def _in_unit(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise Refusal(f"{name} is a share between 0 and 1; given {value:g}, for example 0.9.")
