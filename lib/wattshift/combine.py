"""Several forecasts as one distribution, and a fan as wide as past forecasts were wrong.

An error law says how far, in logs, the truth falls from a forecast: a standardised error times the years ahead to some
power (one half: errors add up like independent steps). It is fitted to the record that `scoring` makes, in which
every edition counts the same, and it leans to neither side: with so few editions the sign of the bias is not known.
A fan is a linear pool: each path first picks whose forecast it follows, then how wrong that will be. Levels of
different families are never averaged into one; what is put on one level is growth from a family's own base (`grown`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from wattshift import outlook, scoring
from wattshift.refusal import Refusal

Floats = npt.NDArray[np.float64]

LAWS = ("empirical", "normal", "student-t")
ROOT = 0.5  # errors grow with the root of the years ahead

# ---------------------------------------------------------------- weights


def equal_weights(names: Sequence[str]) -> pd.Series[float]:
    """The same weight for everyone: the rule that more refined ones rarely beat (Clemen 1989). Sums to 1."""
    if not len(names):
        raise Refusal("no forecast is left to combine; give at least one.")
    return pd.Series(1 / len(names), index=list(names), dtype=float)


def inverse_error_weights(mse: Mapping[str, float]) -> pd.Series[float]:
    """Weights in proportion to 1 / mean squared past error (Bates & Granger 1969, without correlations). Sums to 1.

    Raises Refusal, with the names, where a forecaster has no past error to be judged by.

    >>> inverse_error_weights({"a": 1.0, "b": 4.0}).tolist()
    [0.8, 0.2]
    """
    errors = pd.Series(dict(mse), dtype=float)
    unknown = errors.index[~(errors > 0)].tolist()
    if errors.empty or unknown:
        raise Refusal(
            "weights by past error need a past error of everybody"
            + (f", and there is none of {', '.join(unknown)}." if unknown else ".")
        )
    return (1 / errors) / (1 / errors).sum()


def bates_granger(sd_a: float, sd_b: float, correlation: float) -> float:
    """Weight of forecast a in the pair with the smallest error variance (Bates & Granger 1969); b gets the rest.

    (sd_b^2 - r sd_a sd_b) / (sd_a^2 + sd_b^2 - 2 r sd_a sd_b). It leaves [0, 1] where r is high.

    >>> bates_granger(1.0, 2.0, 0.0), bates_granger(1.0, 1.0, 0.9)
    (0.8, 0.5)
    """
    if not (sd_a > 0 and sd_b > 0 and -1 <= correlation <= 1):
        raise Refusal(
            f"two positive standard deviations and a correlation from -1 to 1 are needed; given {sd_a:g}, {sd_b:g}, "
            f"{correlation:g}."
        )
    shared = correlation * sd_a * sd_b
    spread = sd_a**2 + sd_b**2 - 2 * shared
    if spread <= 0:
        raise Refusal("two forecasts with the same errors have no best weights.")
    return (sd_b**2 - shared) / spread


# ---------------------------------------------------------------- the error law


@dataclass(frozen=True)
class ErrorLaw:
    """How far the truth falls from a forecast, in logs, `years` ahead: z years^power, z symmetric about zero.

    name     : empirical, normal or student-t
    sizes    : sizes of the past standardised errors, rising; shares: the weight of each (they sum to 1)
    editions : how many editions they come from
    power    : of the years ahead

    empirical : the past sizes at plotting positions k / (editions + 1), straight lines between them; beyond the
                largest, passed with chance 1 / (editions + 1), an exponential tail as long as the mean past size. At
                its points it holds for the next error of the same kind whatever their law (Vovk et al. 2005)
    normal    : with the past mean square as if it were the true variance
    student-t : the same, with as many degrees of freedom as editions: what normal errors leave when their variance is
                itself only known from so few
    """

    name: str
    sizes: Floats
    shares: Floats
    editions: int
    power: float = ROOT

    @property
    def scale(self) -> float:
        """Root mean square of the standardised errors, each edition counting the same."""
        return float(np.sqrt((self.shares * self.sizes**2).sum()))

    def size(self, chance: npt.ArrayLike) -> Floats:
        """The size of z that is not passed with a given chance in [0, 1)."""
        p = np.asarray(chance, dtype=float)
        if self.name == "normal":
            return np.asarray(self.scale * stats.norm.ppf((1 + p) / 2))
        if self.name == "student-t":
            return np.asarray(self.scale * stats.t.ppf((1 + p) / 2, self.editions))
        positions, sizes = self._steps
        inside = np.interp(p, positions, sizes)
        beyond = np.maximum((1 - p) / (1 - positions[-1]), 1e-300)
        return np.asarray(inside - np.where(p > positions[-1], self._tail * np.log(beyond), 0.0))

    def chance(self, size: npt.ArrayLike) -> Floats:
        """The chance that the size of z is not above a given one: the inverse of `size`."""
        x = np.asarray(size, dtype=float)
        if self.name == "normal":
            return np.asarray(2 * stats.norm.cdf(x / self.scale) - 1)
        if self.name == "student-t":
            return np.asarray(2 * stats.t.cdf(x / self.scale, self.editions) - 1)
        positions, sizes = self._steps
        inside = np.interp(x, sizes, positions)
        past = np.maximum(x - sizes[-1], 0)
        return np.asarray(np.where(x > sizes[-1], 1 - (1 - positions[-1]) * np.exp(-past / self._tail), inside))

    @property
    def _steps(self) -> tuple[Floats, Floats]:
        """Plotting positions and sizes of the empirical law, from (0, 0) on."""
        position = np.cumsum(self.shares) * self.editions / (self.editions + 1)
        return np.concatenate([[0.0], position]), np.concatenate([[0.0], self.sizes])

    @property
    def _tail(self) -> float:
        return float((self.shares * self.sizes).sum())

    def error(self, chance: npt.ArrayLike, years: npt.ArrayLike) -> Floats:
        """Quantile of the log error: which log(truth / forecast) is not passed with a given chance in (0, 1)."""
        p = np.asarray(chance, dtype=float)
        return np.asarray(
            np.sign(p - 0.5) * self.size(np.abs(2 * p - 1)) * np.asarray(years, dtype=float) ** self.power
        )

    def place(self, log_error: npt.ArrayLike, years: npt.ArrayLike) -> Floats:
        """Where a log(truth / forecast) falls in the law, 0 to 1: its distribution function."""
        z = np.asarray(log_error, dtype=float) / np.asarray(years, dtype=float) ** self.power
        return np.asarray((1 + np.sign(z) * self.chance(np.abs(z))) / 2)


def fit_law(scored: pd.DataFrame, name: str, power: float = ROOT, column: str = "error") -> ErrorLaw:
    """The law of a record: scored as `scoring.record` gives it; column: whose errors (error, or no_change).

    Raises Refusal for an unknown law and for fewer than three editions.
    """
    if name not in LAWS:
        raise Refusal(f"there is no error law {name!r}; the laws are {', '.join(LAWS)}.")
    editions = int(scored["edition"].nunique())
    if editions < 3:
        raise Refusal(f"{editions} past editions make no law of errors; three at least are needed.")
    sizes = (scored[column].abs() / scored["horizon"] ** power).to_numpy(dtype=float)
    order = np.argsort(sizes, kind="stable")
    return ErrorLaw(name, sizes[order], scoring.edition_weights(scored)[order], editions, power)


def power_interval(scored: pd.DataFrame, confidence: float = 0.9, column: str = "error") -> tuple[float, float, float]:
    """(best, low, high): the power of the years ahead that the record prefers, with a profile-likelihood interval.

    Normal errors of mean zero, variance scale^2 years^(2 power), every edition with the same weight; all powers are
    kept whose log-likelihood lies within half a chi-square quantile of the best. Held within -2 and 3.
    """
    shares = scoring.edition_weights(scored)
    years, errors = scored["horizon"].to_numpy(dtype=float), scored[column].to_numpy(dtype=float)
    editions = int(scored["edition"].nunique())
    if len(np.unique(years)) < 2:
        raise Refusal("all past forecasts look equally far ahead, so they say nothing about how errors grow.")

    def loss(power: float) -> float:
        square = (shares * (errors / years**power) ** 2).sum()
        return float(editions * (math.log(square) / 2 + power * (shares * np.log(years)).sum()))

    best = float(optimize.minimize_scalar(loss, bounds=(-2, 3), method="bounded").x)
    limit = loss(best) + stats.chi2.ppf(confidence, 1) / 2
    low = -2.0 if loss(-2.0) < limit else optimize.brentq(lambda x: loss(x) - limit, -2, best)
    high = 3.0 if loss(3.0) < limit else optimize.brentq(lambda x: loss(x) - limit, best, 3)
    return best, float(low), float(high)


# ---------------------------------------------------------------- the fan


@dataclass(frozen=True)
class Fan:
    """Simulated futures. years (n,), with the starting year first; paths (n, paths), TWh; follows (paths,): the place
    of the forecast that each path follows."""

    years: npt.NDArray[np.int64]
    paths: Floats
    follows: npt.NDArray[np.intp]

    def at(self, year: int) -> Floats:
        """All paths in one year."""
        found = np.flatnonzero(self.years == year)
        if not len(found):
            raise Refusal(f"the fan runs from {self.years[0]} to {self.years[-1]}; there is no {year} in it.")
        return np.asarray(self.paths[found[0]])

    def quantiles(self, levels: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)) -> pd.DataFrame:
        """Quantiles over paths, one row a year, one column a level; index year."""
        return outlook.quantile_band(self.paths, levels).set_index(pd.Index(self.years, name="year"))


def fan(
    start: tuple[int, float],
    year: int,
    centres: npt.ArrayLike,
    horizons: npt.ArrayLike,
    weights: npt.ArrayLike,
    law: ErrorLaw,
    paths: int,
    rng: np.random.Generator,
) -> Fan:
    """A linear pool of forecasts for `year`, each blurred by the law, and the years that lead there.

    start    : year and TWh that every path starts from
    centres  : TWh that each forecast gives for the year; horizons: how many years it looks ahead from its own base;
               weights: how often each is followed
    A path's log is a line from the start to the forecast it follows, plus its error. Under the normal and the student-t
    law errors are a random walk over the forecast's years (student-t: of one unknown size per path); under the
    empirical law one past error per path grows with the years. With one forecast from the start's own base the law
    holds in every year; with several it holds at the end, and the years before lie between. Every path has its own
    choice and error; the same seed gives the same fan.

    Raises Refusal for a year that is not after the start, and for levels, horizons or weights that are not positive.
    """
    first, level = start
    ends, ahead, shares = (np.asarray(one, dtype=float) for one in (centres, horizons, weights))
    if year <= first:
        raise Refusal(f"{year} is no forecast: the newest level is of {first}; give a later year.")
    if not len(ends) or len({len(ends), len(ahead), len(shares)}) != 1:
        raise Refusal("every forecast needs a level, a horizon and a weight, and there must be one at least.")
    if not (level > 0 and (ends > 0).all() and (ahead > 0).all() and (shares >= 0).all() and shares.sum() > 0):
        raise Refusal("levels and horizons must be positive, and weights not negative.")
    if paths < 1:
        raise Refusal(f"{paths} paths are none; give one at least.")
    follows = rng.choice(len(ends), size=paths, p=shares / shares.sum())
    steps = year - first
    part = np.arange(steps + 1) / steps
    reach = ahead[follows] ** law.power
    if law.name == "empirical":
        sign = np.where(rng.random(paths) < 0.5, -1.0, 1.0)
        error = part[:, None] ** law.power * (sign * law.size(rng.random(paths)))
    else:
        scale = np.full(paths, law.scale)
        if law.name == "student-t":
            scale *= np.sqrt(law.editions / rng.chisquare(law.editions, paths))
        variance = np.diff(part ** (2 * law.power))  # independent steps whose sum has the law's spread in every year
        error = np.zeros((steps + 1, paths))
        np.cumsum(rng.standard_normal((steps, paths)) * np.sqrt(variance)[:, None], axis=0, out=error[1:])
        error *= scale
    line = math.log(level) + part[:, None] * (np.log(ends)[follows] - math.log(level))
    return Fan(np.arange(first, year + 1), np.exp(line + error * reach), follows.astype(np.intp))


def pool_place(
    twh: npt.ArrayLike, centres: npt.ArrayLike, horizons: npt.ArrayLike, weights: npt.ArrayLike, law: ErrorLaw
) -> Floats:
    """The pool's distribution function at given TWh, exactly: the weighted mean of the forecasts' own."""
    x = np.log(np.asarray(twh, dtype=float))
    shares = np.asarray(weights, dtype=float)
    parts = [
        law.place(x - math.log(centre), years)
        for centre, years in zip(np.asarray(centres, float), np.asarray(horizons, float), strict=True)
    ]
    return np.asarray(np.average(parts, axis=0, weights=shares))


def pool_quantile(
    levels: Sequence[float],
    centres: npt.ArrayLike,
    horizons: npt.ArrayLike,
    weights: npt.ArrayLike,
    law: ErrorLaw,
) -> Floats:
    """The TWh that the pool does not pass with given chances in (0, 1): the inverse of `pool_place`, without draws."""
    ends = np.log(np.asarray(centres, dtype=float))

    def end(level: float) -> float:
        reach = [law.error(level, years) for years in np.asarray(horizons, dtype=float)]
        low, high = float((ends + reach).min()), float((ends + reach).max())  # no part's quantile lies outside
        if high - low < 1e-12:
            return math.exp(low)
        return math.exp(
            optimize.brentq(
                lambda x: float(pool_place(math.exp(x), centres, horizons, weights, law)) - level,
                low - 1e-9,
                high + 1e-9,
            )
        )

    return np.array([end(level) for level in levels])


# ---------------------------------------------------------------- would it have covered the past?


def leave_one_out(
    scored: pd.DataFrame, name: str, level: float = 0.8, power: float = ROOT, column: str = "error"
) -> pd.DataFrame:
    """Every edition's forecasts against the law of all the other editions: would its band have held the truth?

    column: error (bands about the forecasts) or no_change (bands about their own bases). A row: edition, target_year,
    low, high (of the band, own unit), realised, inside, place (of the truth in the law, 0 to 1) and score (CRPS of the
    log error: its mean over 2,000 even quantiles). Later editions help to judge earlier ones: it shows
    whether the errors are of one kind, not what could have been known then.
    """
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    even = (np.arange(2_000) + 0.5) / 2_000
    rows = []
    for edition, part in scored.groupby("edition", sort=False):
        law = fit_law(scored[scored["edition"] != edition], name, power, column)
        for off, years, target, truth in zip(
            -part[column], part["horizon"], part["target_year"], part["realised"], strict=True
        ):  # off: log(truth / forecast)
            low, high = truth * np.exp(law.error(tails, years) - off)
            score = float(outlook.crps([off], law.error(even, years)[None, :])[0])
            rows.append(
                (edition, target, low, high, truth, bool(low <= truth <= high), float(law.place(off, years)), score)
            )
    columns = ["edition", "target_year", "low", "high", "realised", "inside", "place", "score"]
    return pd.DataFrame(rows, columns=columns)


# ---------------------------------------------------------------- whose middle

MIDDLE_CASE = "its middle case"


def middles(comparable: pd.DataFrame, central: Sequence[str]) -> pd.DataFrame:
    """One forecast per family out of `demand.Comparison.comparable`: what its newest edition treats as the middle.

    central: what sources call the case in the middle. A row: family, source, published, twh, low and high (ends of the
    range that twh is the middle of; all equal for a printed case), horizon (years from its own base, or from the last
    full year before its publication where no base is known), how ("its middle case", or "middle of its range", the
    geometric one, where a source names none), year, base_year and base_twh (its own; blank where not known), scenario
    and source_ref. Families that print only power take part only where nobody prints energy: their energy is a range
    that no one gave a middle.
    """
    newest = comparable[comparable["newest"]]
    energy = newest.dropna(subset=["twh"])
    rows = []
    for name, part in (energy if len(energy) else newest).groupby("family", sort=False):
        middle = part[part["scenario"].isin(central) | part["scenario"].str.startswith("Base,")]
        one = (middle if len(middle) else part).iloc[0]
        ends = middle.head(1) if len(middle) else part
        low, high = float(ends["twh_low"].min()), float(ends["twh_high"].max())
        first = one["published"].year - 1 if pd.isna(one["base_year"]) else int(one["base_year"])
        how = MIDDLE_CASE if len(middle) and not pd.isna(one["twh"]) else "middle of its range"
        rows.append(
            (name, one["source"], one["published"], math.sqrt(low * high), low, high, int(one["year"]) - first, how,
             int(one["year"]), one["base_year"], one["base_twh"], one["scenario"], one["source_ref"])
        )  # fmt: skip
    columns = ["family", "source", "published", "twh", "low", "high", "horizon", "how", "year", "base_year", "base_twh"]
    return pd.DataFrame(rows, columns=[*columns, "scenario", "source_ref"])


def grown(centres: pd.DataFrame, levels: pd.DataFrame, paths: pd.DataFrame, start: tuple[int, float]) -> pd.DataFrame:
    """What each family's own growth makes of one level, so that no level of a family is put on another's.

    centres : from `middles`; levels: from `demand.levels`; paths: rows of dc_demand_scenarios; both of one region and
              boundary; start: (year, TWh)
    A family's base is that of its newest edition; where this has none, the newest level that the same family had
    published by then (own is False). From there to the forecast it runs through the years that its case prints, at
    constant growth between; what it grows from the year of the start on is put on the start. A start before the base
    is reached at the mean growth. A row: those of centres, with twh on the start, printed (what the family gives),
    base_year, base_twh and horizon (of the base in use), growth (a year from the start on, share) and own. Families
    without any base are left out.
    """
    rows = []
    for line in centres.to_dict("records"):
        one: dict[str, Any] = {str(name): value for name, value in line.items()}
        year, own = int(one["year"]), not pd.isna(one["base_twh"])
        if not own:
            earlier = levels[(levels["family"] == one["family"]) & (levels["published"] <= one["published"])]
            earlier = earlier[earlier["twh"].notna() & (earlier["year"] < year)].sort_values(["year", "published"])
            if earlier.empty:
                continue
            one["base_year"], one["base_twh"] = earlier[["year", "twh"]].iloc[-1]
        base_year = int(one["base_year"])
        if year <= max(base_year, start[0]):
            continue
        points = {base_year: float(one["base_twh"]), year: float(one["twh"])}
        if one["how"] == MIDDLE_CASE:
            same = [paths[name].eq(one[name]) for name in ("source", "published", "scenario")]
            case = paths[np.logical_and.reduce(same) & paths["twh"].notna() & paths["year"].between(base_year, year)]
            points = {**dict(zip(case["year"].astype(int), case["twh"].astype(float), strict=True)), **points}
        years = sorted(points)
        at_start = math.exp(np.interp(start[0], years, [math.log(points[each]) for each in years]))
        if start[0] < base_year:
            at_start *= (points[year] / points[base_year]) ** ((start[0] - base_year) / (year - base_year))
        times = points[year] / at_start
        growth = times ** (1 / (year - start[0])) - 1
        about = {"base_year": base_year, "horizon": year - base_year, "growth": growth, "own": own}
        rows.append({**one, **about, "printed": one["twh"], "twh": start[1] * times})
    return pd.DataFrame(rows, columns=[*centres.columns, "printed", "growth", "own"])
