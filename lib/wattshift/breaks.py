"""When did a loading change, did it change at all, and how well is the day known?

The regression is that of `loadings`, y = alpha + sum of beta_j x_j + e. Some coefficients, the *moving* ones, may
differ before and after a day; the others hold throughout. A break is named by the last day of the old regime.

Whether there is a break. The day is not known beforehand, so the statistic is the largest over all days that leave the
share `trim` of the sample on either side, and its distribution is not that of an F statistic. `limit_p` gives the
limit of Andrews (1993), which needs regressors and errors of one variance throughout. Returns have neither: where
volatility shifts, the limit is wrong (Hansen 2000). `wild_test` keeps the regressors as they were and redraws only the
signs of the errors, a block of days at a time, so volatility may take any path.

When. `date_set` gives three sets for the day: Bai's (1997) interval, the days that a likelihood ratio does not reject
(Eo & Morley 2015), both of which need a break that is large beside its noise, and that of Elliott & Müller (2007),
which holds for small breaks too and is wide for that reason.

How many. `partitions` places any number at least squares (Bai & Perron 1998, 2003, by dynamic programme);
`sequential` adds one at a time as long as `wild_test` finds one more.

Pure functions: series and frames in, frames and small records out. Bad input raises `Refusal`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special

from wattshift.loadings import ALPHA, Covariance, LagRule, regress
from wattshift.refusal import Refusal
from wattshift.returns import FEWEST, among

Floats = NDArray[np.floating[Any]]


# --------------------------------------------------------------------------------------------------- sample and scores
class Sample(NamedTuple):
    """A regression ready for tests: days (n,), x (n, k) with the constant first, y and its residuals u (n,),
    and the columns of x that may move."""

    days: "pd.Index[Any]"
    names: list[str]
    x: Floats
    y: Floats
    u: Floats
    at: list[int]

    def cut(self, first: int, last: int) -> "Sample":
        """The rows first to last - 1 as a sample of their own, with residuals of their own."""
        x, y = self.x[first:last], self.y[first:last]
        u = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        return Sample(self.days[first:last], self.names, x, y, u, self.at)


def sample(
    y: "pd.Series[float]", x: pd.DataFrame, moving: Sequence[str] | None = None, *, fewest: int = FEWEST
) -> Sample:
    """Days with a return and all factors, checked; `moving` names coefficients, all of them ("alpha" too) by default.

    Raises Refusal as `loadings.regress` does, and for a coefficient that is not there (the nearest one named).
    """
    fit = regress(y, x, "classical", fewest=fewest)
    names, days = [ALPHA, *map(str, x)], fit.residuals.index
    for name in moving if moving is not None else ():
        among(name, names, "coefficient")
    if moving is not None and (not moving or len(set(moving)) < len(moving)):
        raise Refusal(f"name one coefficient at least that may move, each once; given {list(moving)!r}")
    design = np.column_stack([np.ones(len(days)), x.loc[days].to_numpy(float)])
    at = [names.index(name) for name in moving] if moving is not None else list(range(len(names)))
    return Sample(days, names, design, y.loc[days].to_numpy(float), fit.residuals.to_numpy(float), at)


class Scores(NamedTuple):
    """Sums of x u by blocks of days (b, k), sums of x x' up to each block's end (b, k, k), and those ends (b,)."""

    sums: Floats
    moments: Floats
    ends: NDArray[np.int64]


def scores(of: Sample, block: int = 1) -> Scores:
    """The scores of a regression by blocks of `block` days, counted back from the last day."""
    n = len(of.y)
    if not 1 <= block <= n // 10:
        raise Refusal(f"a block of {block} days does not suit {n} days; it takes 1 to {n // 10}")
    starts = np.arange(n - block * (n // block), n, block)
    starts = starts if starts[0] == 0 else np.concatenate([[0], starts])
    products = of.x[:, :, None] * of.x[:, None, :]
    return Scores(
        np.add.reduceat(of.x * of.u[:, None], starts, axis=0),
        np.cumsum(np.add.reduceat(products, starts, axis=0), axis=0),
        np.append(starts[1:], n),
    )


def wild_scores(of: Scores, rng: np.random.Generator, draws: int) -> Floats:
    """Cumulated scores (b, k, draws) as they would be with the same regressors and constant coefficients.

    Each block's score keeps its size and gets a random sign (Rademacher, Davidson & Flachaire 2008); what the new
    estimate of the coefficients takes away is taken away, so each path ends at zero.
    """
    signs = rng.integers(0, 2, (len(of.sums), 1, draws)) * 2.0 - 1.0
    paths = np.cumsum(of.sums[:, :, None] * signs, axis=0)
    taken: Floats = of.moments @ np.linalg.solve(of.moments[-1], paths[-1])
    return np.asarray(paths - taken)


def _candidates(n: int, k: int, trim: float) -> NDArray[np.int64]:
    """Numbers of days in the first regime that leave the share trim, and k + 1 days, on either side."""
    if not 0 < trim < 0.5:
        raise Refusal(
            f"trim is the share of days kept free of breaks at either end, above 0 and below 0.5; given {trim}"
        )
    least = max(math.floor(trim * n), k + 1)
    if n - least < least:
        raise Refusal(f"{n} days leave no place for a break with {least} days on either side")
    return np.arange(least, n - least + 1)


# ------------------------------------------------------------------------------------------------------ is there one?
def break_path(
    y: "pd.Series[float]", x: pd.DataFrame, moving: Sequence[str] | None = None, trim: float = 0.15
) -> pd.DataFrame:
    """How much a break on each day would explain: one row a candidate, by the last day of the old regime.

    rss  : sum of squares with the break; the estimate of the day is the row where it is smallest
    f    : Chow's statistic in chi-squared form (times the number of moving coefficients)
    wald : the same with White's covariance (HC1), so the error variance may change
    score: the robust score (LM) statistic, with the residuals of constant coefficients

    >>> from statsmodels.datasets import nile
    >>> flow = nile.load_pandas().data.set_index("year")["volume"].astype(float)
    >>> path = break_path(flow, pd.DataFrame(index=flow.index))
    >>> int(path["f"].idxmax()), round(float(path["f"].max()), 2)
    (1898, 75.93)
    """
    of = sample(y, x, moving)
    return _path(of, _candidates(len(of.y), of.x.shape[1], trim))


class _Split(NamedTuple):
    """A break after each of s places: the moving columns after it projected on x (s, q, k), their moments net of that
    (s, q, q), their scores (s, q) and the changes of their coefficients (s, q)."""

    project: Floats
    net: Floats
    score: Floats
    delta: Floats


def _split(of: Sample, places: NDArray[np.int64]) -> _Split:
    whole = of.x.T @ of.x
    after = whole - np.cumsum(of.x[:, :, None] * of.x[:, None, :], axis=0)[places - 1]
    project = np.linalg.solve(whole, after[:, :, of.at]).transpose(0, 2, 1)
    net = after[:, of.at][:, :, of.at] - project @ after[:, :, of.at]
    score = -np.cumsum(of.x[:, of.at] * of.u[:, None], axis=0)[places - 1]
    return _Split(project, net, score, np.linalg.solve(net, score[..., None])[..., 0])


def _residuals(of: Sample, places: NDArray[np.int64], split: _Split, rows: NDArray[np.int64]) -> tuple[Any, Floats]:
    """For the places of these rows: which days lie after (r, n), and the residuals with the break in the model."""
    late = np.arange(len(of.y)) >= places[rows, None]
    taken = (split.project[rows] * split.delta[rows, :, None]).sum(axis=1)
    return late, of.u - late * (split.delta[rows] @ of.x[:, of.at].T) + taken @ of.x.T


def _parts(places: NDArray[np.int64], of: Sample) -> list[NDArray[np.int64]]:
    """Rows of `places` in parts that fit into memory."""
    return np.array_split(np.arange(len(places)), max(1, len(places) * len(of.y) * len(of.at) // 400_000))


def _path(of: Sample, places: NDArray[np.int64]) -> pd.DataFrame:
    """The table of `break_path` at these numbers of days."""
    n, k, q = len(of.y), of.x.shape[1], len(of.at)
    split, z = _split(of, places), of.x[:, of.at]
    rss = of.u @ of.u - (split.score * split.delta).sum(axis=1)
    wald = np.empty(len(places))
    for rows in _parts(places, of):
        late, left = _residuals(of, places, split, rows)
        inner = (late[..., None] * z - of.x @ split.project[rows].transpose(0, 2, 1)) * left[..., None]
        turned = (split.net[rows] @ split.delta[rows, :, None])[..., 0]
        middle = inner.transpose(0, 2, 1) @ inner * (n / (n - k - q))
        wald[rows] = (turned * np.linalg.solve(middle, turned[..., None])[..., 0]).sum(axis=1)
    v = _meat(of.x * of.u[:, None], places, split.project, of.at)
    return pd.DataFrame(
        {
            "rss": rss,
            "f": (of.u @ of.u - rss) / (rss / (n - k - q)),
            "wald": wald,
            "score": (split.score * np.linalg.solve(v, split.score[..., None])[..., 0]).sum(axis=1),
        },
        index=of.days[places - 1],
    )


def _meat(sums: Floats, places: NDArray[np.int64], project: Floats, at: list[int]) -> Floats:
    """Variance (s, q, q) of the moving scores after each place, net of what the estimated coefficients take away."""
    outer = sums[:, :, None] * sums[:, None, :]
    whole = outer.sum(axis=0)
    after = whole - np.cumsum(outer, axis=0)[places - 1]
    cross = project @ after[:, :, at]
    return np.asarray(
        after[:, at][:, :, at] - cross - cross.transpose(0, 2, 1) + project @ whole @ project.transpose(0, 2, 1)
    )


def limit_p(statistic: float, coefficients: int, trim: float = 0.15) -> float:
    """p-value of a largest Wald, F or LM statistic over unknown days, in Andrews's (1993) limit.

    The limit is the largest squared distance of a standardized Brownian bridge with one dimension per moving
    coefficient; its upper tail is, with x the statistic, q the coefficients and t = trim,
    (x/2)^(q/2) exp(-x/2) / Gamma(q/2) ((1 - q/x) ln((1-t)²/t²) + 2/x)   (DeLong 1981; Estrella 2003),
    exact in the far tail and good to a point of p below about 0.3. Above that it is not to be read closely.
    It holds only where regressors and errors keep their variances; else `wild_test`.

    >>> [round(limit_p(c, q), 3) for q, c in ((1, 8.68), (2, 11.72), (3, 14.13))]  # 5 % points of Andrews (2003)
    [0.051, 0.051, 0.052]
    """
    if coefficients < 1 or not 0 < trim < 0.5:
        raise Refusal(f"give one coefficient at least and a trim inside 0 to 0.5; given {coefficients} and {trim}")
    x, q = max(float(statistic), 1e-12), coefficients
    if x <= q + 1:
        return 1.0
    head = math.exp(q / 2 * math.log(x / 2) - x / 2 - math.lgamma(q / 2))
    return min(1.0, head * ((1 - q / x) * 2 * math.log((1 - trim) / trim) + 2 / x))


def limit_size(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    moving: Sequence[str] | None = None,
    *,
    rng: np.random.Generator,
    trim: float = 0.15,
    level: float = 0.05,
    draws: int = 999,
) -> float:
    """How often the plain sup-F test with Andrews's limit would reject at `level` on this sample if nothing broke.

    The regressors and the size of each day's error are those of the sample, signs are redrawn. Equal to `level` where
    volatility is even.

    >>> draw = np.random.default_rng(4)
    >>> x = pd.DataFrame({"bitcoin": draw.normal(0, 0.03, 600)})
    >>> even, uneven = (size * draw.normal(0, 1, 600) for size in (0.03, x["bitcoin"]))
    >>> [limit_size(1.5 * x["bitcoin"] + e, x, ["bitcoin"], rng=draw) > 0.2 for e in (even, uneven)]
    [False, True]
    """
    of = sample(y, x, moving)
    n, k = of.x.shape
    places = _candidates(n, k, trim)
    root = np.linalg.inv(np.linalg.cholesky(_split(of, places).net * (of.u @ of.u / (n - k))))
    by, top = scores(of), np.zeros(draws)
    for part in np.array_split(np.arange(draws), max(1, draws * n * k // 4_000_000)):
        paths = wild_scores(by, rng, len(part))[places - 1][:, of.at]
        top[part] = ((root @ paths) ** 2).sum(axis=1).max(axis=0)
    critical = optimize.brentq(lambda c: limit_p(c, len(of.at), trim) - level, len(of.at) + 1.0, 200.0)
    return float((top >= critical).mean())


@dataclass(frozen=True)
class WildTest:
    """A sup-score test: statistic, p, the day where the statistic is largest, and the statistics of the draws."""

    statistic: float
    p: float
    last: Any
    null: Floats


def wild_test(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    moving: Sequence[str] | None = None,
    *,
    rng: np.random.Generator,
    trim: float = 0.15,
    draws: int = 999,
    block: int = 5,
) -> WildTest:
    """Is there a break in the moving coefficients at some day? The largest robust score statistic, wild-bootstrapped.

    block : days that share a random sign and a place for the break, 5 for a week: dependence within it is kept
    Under constant coefficients any path of volatility is allowed, in the errors and in the factors (Hansen 2000).
    p is (1 + draws as large) / (1 + draws), so never below 1/(1 + draws).
    """
    of = sample(y, x, moving)
    _candidates(len(of.y), of.x.shape[1], trim)  # refuses a trim that does not fit
    return _wild(of, math.floor(trim * len(of.y)), rng, draws, block)


def _wild(of: Sample, least: int, rng: np.random.Generator, draws: int, block: int) -> WildTest:
    """`wild_test` with at least `least` days on either side."""
    by, least = scores(of, block), max(least, of.x.shape[1] + 1)
    places = np.flatnonzero((by.ends >= least) & (by.ends <= len(of.y) - least)) + 1
    if not len(places):
        raise Refusal(f"no block of {block} days ends with {least} days on either side of it")
    after = by.moments[-1] - by.moments[places - 1]
    project = np.linalg.solve(by.moments[-1], after[:, :, of.at]).transpose(0, 2, 1)
    v = _meat(by.sums, places, project, of.at)
    root = np.linalg.inv(np.linalg.cholesky(v))
    found = ((root @ np.cumsum(by.sums, axis=0)[places - 1][:, of.at, None]) ** 2).sum(axis=(1, 2))
    null = ((root @ wild_scores(by, rng, draws)[places - 1][:, of.at]) ** 2).sum(axis=1).max(axis=0)
    best = int(found.argmax())
    top = float(found[best])
    return WildTest(top, (1 + int((null >= top).sum())) / (1 + draws), of.days[by.ends[places[best] - 1] - 1], null)


# --------------------------------------------------------------------------------------------------------------- when
@dataclass(frozen=True)
class DateSet:
    """The day of a break, named by the last day of the old regime.

    last, table: as `best_day` gives them
    low, high: Bai's (1997) interval, cut to the days that were looked at
    likely   : days that the likelihood ratio keeps; wide : days that Elliott & Müller's test keeps (may be empty)
    coverage : of all three
    """

    last: Any
    table: pd.DataFrame
    low: Any
    high: Any
    likely: "pd.Index[Any]"
    wide: "pd.Index[Any]"
    coverage: float


def best_day(
    y: "pd.Series[float]", x: pd.DataFrame, moving: Sequence[str] | None = None, trim: float = 0.15
) -> tuple[Any, pd.DataFrame]:
    """Last day of the old regime by least squares, and the moving coefficients before and after it and their change.

    >>> from statsmodels.datasets import nile
    >>> flow = nile.load_pandas().data.set_index("year")["volume"].astype(float)
    >>> day, table = best_day(flow, pd.DataFrame(index=flow.index))
    >>> int(day), table.round(0).values.tolist()
    (1898, [[1098.0, 850.0, -248.0]])
    """
    of = sample(y, x, moving)
    places = _candidates(len(of.y), of.x.shape[1], trim)
    split = _split(of, places)
    s = int(places[(split.score * split.delta).sum(axis=1).argmax()])
    return of.days[s - 1], _regimes(of, s)[0]


def date_set(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    moving: Sequence[str] | None = None,
    *,
    trim: float = 0.15,
    coverage: float = 0.95,
) -> DateSet:
    """The day of one break and the days it may have been. Error variance and factors may differ between the regimes.

    >>> from statsmodels.datasets import nile
    >>> flow = nile.load_pandas().data.set_index("year")["volume"].astype(float)
    >>> found = date_set(flow, pd.DataFrame(index=flow.index))
    >>> int(found.last), int(found.low), int(found.high)  # R's strucchange gives the same
    (1898, 1895, 1902)
    """
    if not 0 < coverage < 1:
        raise Refusal(f"a coverage lies between 0 and 1; given {coverage}")
    of = sample(y, x, moving)
    places = _candidates(len(of.y), of.x.shape[1], trim)
    split = _split(of, places)
    rss = of.u @ of.u - (split.score * split.delta).sum(axis=1)
    best = int(rss.argmin())
    s, delta = int(places[best]), split.delta[best]
    z = of.x[:, of.at]
    table, u = _regimes(of, s)
    sides = []  # per regime: drift per day and standard deviation of the objective around the break
    for part in (slice(None, s), slice(s, None)):
        moved = z[part] @ delta
        sides.append((float(moved @ moved / len(moved)), 2 * math.sqrt(float(((moved * u[part]) ** 2).mean()))))
    early, late = argmax_quantiles(*sides[0], *sides[1], (0.5 - coverage / 2, 0.5 + coverage / 2))
    rates = [2 * drift / sd**2 for drift, sd in sides]
    return DateSet(
        of.days[s - 1],
        table,
        of.days[max(int(places[0]), s - math.ceil(late)) - 1],
        of.days[min(int(places[-1]), s + math.ceil(-early)) - 1],
        of.days[places[rss - rss[best] <= _kept_distance(rates[0], rates[1], coverage)] - 1],
        _elliott_mueller(of, places, coverage),
        coverage,
    )


def _regimes(of: Sample, s: int) -> tuple[pd.DataFrame, Floats]:
    """The moving coefficients before and after a break after s days, their change, and the residuals."""
    k = of.x.shape[1]
    full = np.column_stack([of.x, of.x[:, of.at] * (np.arange(len(of.y)) >= s)[:, None]])
    coef = np.linalg.lstsq(full, of.y, rcond=None)[0]
    columns = {"before": coef[of.at], "after": coef[of.at] + coef[k:], "change": coef[k:]}
    return pd.DataFrame(columns, index=[of.names[i] for i in of.at]), of.y - full @ coef


def change_at(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    last: Any,
    moving: Sequence[str] | None = None,
    covariance: Covariance = "hc1",
    lag_rule: LagRule = "newey-west-1994",
) -> pd.DataFrame:
    """How the moving coefficients changed after a day that was not chosen by looking at these returns.

    last : last day of the old regime; FEWEST days are needed on either side
    covariance, lag_rule : of the errors, as in `loadings.regress`
    One row a coefficient: before, after, change, se, low, high (95 %), p (two-sided, of no change). With a day that
    `date_set` finds such a p would mean nothing.

    >>> from statsmodels.datasets import nile
    >>> flow = nile.load_pandas().data.set_index("year")["volume"].astype(float)
    >>> told = change_at(flow, pd.DataFrame(index=flow.index), 1902)  # the dam of Aswan
    >>> told[["before", "after", "change", "se"]].round(1).values.tolist()
    [[1060.0, 853.2, -206.8, 32.6]]
    """
    of = sample(y, x, moving)
    s = int((of.days <= last).sum())
    if not FEWEST <= s <= len(of.y) - FEWEST:
        raise Refusal(f"{min(s, len(of.y) - s)} days on one side of {last}; {FEWEST} are needed on either")
    table = _regimes(of, s)[0]
    late = pd.DataFrame(
        of.x[:, of.at] * (np.arange(len(of.y)) >= s)[:, None], of.days, [f"new {n}" for n in table.index]
    )
    fit = regress(y, pd.concat([x.loc[of.days], late], axis=1), covariance, lag_rule, most_inflation=math.inf)
    told = fit.table().loc[list(late), ["se", "low", "high", "p"]]
    return table.join(told.set_axis(table.index))


def argmax_quantiles(
    drift_left: float, sd_left: float, drift_right: float, sd_right: float, levels: Sequence[float]
) -> list[float]:
    """Quantiles of the place where a two-sided Brownian motion that falls away from 0 on both sides is highest.

    Left of 0 it is sd_left W - drift_left |s|, right of it likewise. With m the highest point, the density at distance
    s on one side is the first-passage density to m at s, times the rate 2 drift/sd² at which m is not exceeded after,
    times the chance that the other side stays below m, over all m; the integral is elementary. Equivalent to Bai
    (1997, appendix B).

    >>> round(argmax_quantiles(0.5, 1, 0.5, 1, [0.975])[0], 2)  # Bai: 11.03
    11.03
    """
    reach = 80.0  # the density falls like exp(-v/2) in v = s drift²/sd²
    v = np.linspace(0, math.sqrt(reach), 6_001)[1:] ** 2
    halves = []
    for (drift, sd), (other, other_sd) in (
        ((drift_left, sd_left), (drift_right, sd_right)),
        ((drift_right, sd_right), (drift_left, sd_left)),
    ):
        place = v * sd**2 / drift**2
        d = np.sqrt(v)
        b = 2 * other / other_sd**2 * sd * np.sqrt(place)
        beyond = np.exp(b * d + b**2 / 2 + special.log_ndtr(-(d + b)))
        density = 2 * drift / sd / np.sqrt(place) * ((d + b) * beyond - d * special.ndtr(-d))
        steps = np.diff(np.concatenate([[0.0], place]))
        heights = np.concatenate([[density[0]], density])
        halves.append((place, np.cumsum(steps * (heights[1:] + heights[:-1]) / 2)))
    (left, left_mass), (right, right_mass) = halves
    total = left_mass[-1] + right_mass[-1]  # 1 up to the quadrature
    where = np.concatenate([-left[::-1], [0.0], right])
    below = np.concatenate([left_mass[-1] - left_mass[::-1], [left_mass[-1]], left_mass[-1] + right_mass]) / total
    return [float(np.interp(level, below, where)) for level in levels]


def _kept_distance(rate_left: float, rate_right: float, coverage: float) -> float:
    """Excess sum of squares up to which a day is kept: the highest points of both sides are exponential."""
    top = 60 / min(rate_left, rate_right)
    return float(
        optimize.brentq(lambda d: math.expm1(-rate_left * d) * math.expm1(-rate_right * d) - coverage, 0.0, top)
    )


def _elliott_mueller(of: Sample, places: NDArray[np.int64], coverage: float) -> "pd.Index[Any]":
    """Days at which a break leaves no sign of another day (Elliott & Müller 2007, eq. 14, White's covariance)."""
    split, value = _split(of, places), np.empty(len(places))
    for rows in _parts(places, of):
        late, left = _residuals(of, places, split, rows)
        score = of.x[:, of.at] * left[..., None]
        sums = np.cumsum(score, axis=1)  # zero again at the break and at the end: each regime has its own coefficients
        value[rows] = 0.0
        for side, days in ((~late, places[rows]), (late, len(of.y) - places[rows])):
            omega = (score * side[..., None]).transpose(0, 2, 1) @ score / days[:, None, None]
            squares = ((sums @ np.linalg.inv(omega)) * sums).sum(axis=2)
            value[rows] += (squares * side).sum(axis=1) / days**2
    limit = cramer_von_mises_quantile(coverage, 2 * len(of.at))
    kept_days: pd.Index[Any] = of.days[places[value <= limit] - 1]
    return kept_days


def cramer_von_mises_p(statistic: float, dimensions: int) -> float:
    """P that the integral of `dimensions` squared Brownian bridges exceeds the statistic: the limit of Nyblom's test.

    From the characteristic function (z/sin z)^(dimensions/2), z² = 2it, by Gil-Pelaez inversion.

    >>> [round(cramer_von_mises_p(c, d), 3) for d, c in ((1, 0.470), (2, 0.749), (4, 1.24))]  # Hansen (1992): 5 %
    [0.048, 0.05, 0.049]
    """
    t = np.linspace(0, 40, 8_001)[1:] ** 2  # the integrand falls like exp(-sqrt(t)/2) per dimension
    z = np.sqrt(2j * t)
    log_ratio = np.log(z) - (np.log1p(-np.exp(2j * z)) - 1j * z + 0.5j * np.pi - np.log(2))  # log z/sin z, no overflow
    phi = np.exp(dimensions / 2 * log_ratio)
    inside = np.imag(np.exp(-1j * t * statistic) * phi) / t
    root = np.sqrt(t)
    area = np.trapezoid(np.concatenate([[0.0], inside * 2 * root]), np.concatenate([[0.0], root]))  # dt = 2 sqrt(t) dr
    return float(np.clip(0.5 + area / np.pi, 0, 1))


@cache
def cramer_von_mises_quantile(level: float, dimensions: int) -> float:
    """The value that the integral of `dimensions` squared Brownian bridges stays below with this chance."""
    return float(
        optimize.brentq(lambda x: cramer_von_mises_p(x, dimensions) - (1 - level), 1e-3, 5.0 + dimensions, xtol=1e-9)
    )


# ----------------------------------------------------------------------------------------------------------- how many
def partitions(y: "pd.Series[float]", x: pd.DataFrame, most: int = 5, *, least: int, every: int = 1) -> pd.DataFrame:
    """The best placement of 0 to `most` breaks in all coefficients, by Bai & Perron's (2003) dynamic programme.

    least : days from one break to the next; every : breaks only at every so many days, counted back from the last
    One row a number of breaks (index): lasts (tuple of last days of the old regimes), rss, bic (with one parameter for
    each break and one variance, as R's strucchange counts), lwz (Liu, Wu & Zidek 1997, the stricter penalty).
    Fewer rows where so many breaks do not fit.

    >>> from statsmodels.datasets import nile
    >>> flow = nile.load_pandas().data.set_index("year")["volume"].astype(float)
    >>> best = partitions(flow, pd.DataFrame(index=flow.index), 2, least=15)
    >>> [[int(year) for year in years] for years in best["lasts"]], best["rss"].round().tolist()
    ([[], [1898], [1898, 1953]], [2835157.0, 1597457.0, 1552924.0])
    """
    of = sample(y, x)
    n, k = of.x.shape
    if most < 0 or not k < least <= n // 2 or not 1 <= every <= least:
        raise Refusal(
            f"breaks in {n} days with {k} coefficients: `most` is not negative, `least` is {k + 1} to {n // 2} days "
            f"and `every` 1 to `least`; given {most}, {least} and {every}"
        )
    ends = np.unique(np.concatenate([[0], np.arange(n, 0, -every)[::-1]]))
    data = np.column_stack([of.x, of.y])
    sums = np.concatenate([np.zeros((1, k + 1, k + 1)), np.cumsum(data[:, :, None] * data[:, None, :], axis=0)])[ends]
    cost = np.full((len(ends), len(ends)), np.inf)
    for i in range(len(ends)):
        last = np.flatnonzero(ends - ends[i] >= least)
        if len(last):
            inside = sums[last] - sums[i]
            xy = inside[:, :k, k]
            cost[i, last] = inside[:, k, k] - (xy * np.linalg.solve(inside[:, :k, :k], xy[..., None])[..., 0]).sum(1)
    total, chosen, rows = cost[0], [], []
    for number in range(most + 1):
        if number:
            options = total[:, None] + cost
            chosen.append(options.argmin(axis=0))
            total = options.min(axis=0)
        if not np.isfinite(total[-1]):
            break
        place, lasts = len(ends) - 1, []
        for back in reversed(chosen):
            place = int(back[place])
            lasts.append(of.days[ends[place] - 1])
        rss, parameters = float(total[-1]), (k + 1) * (number + 1)
        rows.append(
            {
                "lasts": tuple(reversed(lasts)),
                "rss": rss,
                "bic": n * (math.log(rss / n) + 1 + math.log(2 * math.pi)) + math.log(n) * parameters,
                "lwz": n * math.log(rss / (n - parameters)) + 0.299 * math.log(n) ** 2.1 * parameters,
            }
        )
    return pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="breaks"))


def sequential(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    moving: Sequence[str] | None = None,
    *,
    rng: np.random.Generator,
    trim: float = 0.15,
    most: int = 5,
    level: float = 0.05,
    draws: int = 999,
    block: int = 5,
) -> pd.DataFrame:
    """Breaks in the moving coefficients, one more as long as a test finds one more (Bai & Perron 1998, sup-F(l+1|l)).

    Each step takes the largest score statistic over all segments and holds it against the largest of the wild draws in
    all of them; the break is put where the sum of squares of its segment is least. At the end each is placed anew
    between its neighbours (Bai 1997b). One row a break, by its last day, in the order of time: p of the test at which
    it entered. No rows: no break is found.
    """
    whole = sample(y, x, moving)
    n, k = whole.x.shape
    least = int(_candidates(n, k, trim)[0])
    edges, p_of = [0, n], {}
    while len(edges) - 2 < most:
        segments = [(a, b) for a, b in pairwise(edges) if b - a >= max(2 * least + block, 10 * block)]
        if not segments:
            break
        tests = {span: _wild(whole.cut(*span), least, rng, draws, block) for span in segments}
        first, last = max(tests, key=lambda span: tests[span].statistic)
        null = np.max([test.null for test in tests.values()], axis=0)
        p = (1 + int((null >= tests[first, last].statistic).sum())) / (1 + draws)
        if p > level:
            break
        place = _least_squares_place(whole, first, last, least)
        p_of[place] = p
        edges = sorted([*edges, place])
    found = {}
    for before, place, after in zip(edges, edges[1:], edges[2:], strict=False):
        found[_least_squares_place(whole, before, after, least)] = p_of[place]
    lasts = sorted(found)
    return pd.DataFrame({"p": [found[place] for place in lasts]}, index=whole.days[np.array(lasts, dtype=int) - 1])


def _least_squares_place(of: Sample, first: int, last: int, least: int) -> int:
    """The number of days, counted in the whole sample, after which one break in rows first to last - 1 fits best."""
    places = np.arange(least, last - first - least + 1)
    split = _split(of.cut(first, last), places)
    return first + int(places[(split.score * split.delta).sum(axis=1).argmax()])
