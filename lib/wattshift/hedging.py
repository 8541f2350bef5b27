"""Out of sample: what loadings known on the eve of a month are worth during it, to hedge a share and to foresee it.

A hedge sells, for each unit of a share, `beta` units of each factor on the eve of a month and leaves it there until the
month is over. What is left of a day is the hedge error r - beta'x; nothing of the month itself goes into its beta. The
loss of a month is the sum of its squared daily errors. Squared error is minimised in expectation by the true beta, so
a rule with a lower mean loss has the better betas (strict consistency: Gneiting 2011; that a noisy yardstick such as a
month's own days leaves the order of rules unchanged: Patton 2011).

Rules are compared by the mean difference of monthly losses with Diebold & Mariano (1995) as corrected by Harvey,
Leybourne & Newbold (1997); where one rule is the other plus further coefficients, by Clark & West (2007), for the
larger one carries the noise of its estimates even if they are zero. A comparison over fewer months than asked for is
refused and says so. Frames are indexed by trading day, returns in fractions, NaN where a share is not listed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from wattshift.leadlag import diebold_mariano
from wattshift.refusal import Refusal
from wattshift.returns import on_clock, period_ends

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

DRIFTS = (
    0.0,
    1e-5,
    3e-5,
    1e-4,
    3e-4,
    1e-3,
    3e-3,
    1e-2,
)  # daily variance of a beta over that of the noise, see filtered
FEWEST_MONTHS = 24  # a test on fewer months is refused
FEWEST_DAYS = 15  # a month with fewer trading days than this is not whole
ALL = "all shares"


# ---------------------------------------------------------------------------------------------------------- the months
def months(index: pd.DatetimeIndex, history: int) -> tuple[Places, pd.PeriodIndex]:
    """Where the whole months begin that have `history` rows before them: row of the first day, and the month.

    A month is whole when trading days run to its last business day. Raises Refusal when there is none.

    >>> first, month = months(pd.bdate_range("2026-01-01", "2026-03-31"), 20)
    >>> first.tolist(), [str(m) for m in month]
    ([22, 42], ['2026-02', '2026-03'])
    """
    by_month = index.to_period("M")
    first = np.flatnonzero(np.r_[True, by_month[1:] != by_month[:-1]])
    length = np.diff(np.r_[first, len(index)])
    over = by_month[first].to_timestamp() + pd.offsets.BMonthEnd() <= index[-1]
    kept = first[(first >= history) & (length >= FEWEST_DAYS) & over]
    if not len(kept):
        raise Refusal(
            f"no whole month has {history} trading days before it; the data hold {len(index)} days: "
            "give a longer sample or a shorter window"
        )
    return kept, pd.PeriodIndex(by_month[kept])


# ------------------------------------------------------------------------------------------------------------ the betas
class Past:
    """Least squares with a constant on what lay before each month, for many shares at once.

    factors : one column a factor, no gap; listed : days by shares, True where a return is known; starts : first rows of
    the months; window : trading days before the month that are used, None for all; least : days that a share must
    have in them. The designs are inverted once, so that many simulated returns on the same days cost little.
    Raises Refusal for factors that are collinear in a window.
    """

    def __init__(
        self, factors: pd.DataFrame, listed: NDArray[np.bool_], starts: Places, window: int | None, least: int
    ) -> None:
        x = factors.to_numpy(dtype=float)
        self.x = np.column_stack([np.ones(len(x)), x])
        self.listed, self.starts = listed, starts
        self.begins = np.zeros_like(starts) if window is None else np.maximum(starts - window, 0)
        squares = self.x[:, :, None] * self.x[:, None, :]
        gram = self._sums(listed[:, :, None, None] * squares[:, None])
        enough = gram[..., 0, 0] >= max(least, self.x.shape[1] + 1)
        unit = np.sqrt(np.einsum("cii->ci", gram[enough]))
        scaled = gram[enough] / np.maximum(unit[:, :, None] * unit[:, None, :], 1e-300)
        if len(scaled) and np.linalg.eigvalsh(scaled)[:, 0].min() < 1e-8:
            raise Refusal(f"the factors {', '.join(map(str, factors))} are collinear in one of the windows; drop one")
        self.enough = enough
        self.inverse = np.linalg.inv(scaled) / (unit[:, :, None] * unit[:, None, :])

    def _sums(self, daily: Floats) -> Floats:
        running = np.concatenate([np.zeros_like(daily[:1]), np.cumsum(daily, axis=0)])
        return np.asarray(running[self.starts] - running[self.begins], dtype=np.float64)

    def betas(self, returns: Floats) -> Floats:
        """Slopes (months, shares, factors), NaN where a share has too few days; returns : days by shares."""
        y = np.where(self.listed, returns, 0.0)
        moments = self._sums(y[:, :, None] * self.x[:, None, :])
        coef = np.full(moments.shape, np.nan)
        coef[self.enough] = np.einsum("cij,cj->ci", self.inverse, moments[self.enough])
        return coef[:, :, 1:]


def past_betas(returns: pd.DataFrame, factors: pd.DataFrame, starts: Places, window: int | None, least: int) -> Floats:
    """Betas by least squares on the `window` days before each month, or on all of them: (months, shares, factors).

    returns, factors : days by shares and days by factors, on the same index; NaN where a share has fewer than `least`
    days in the window. Raises Refusal where the indices differ, a factor has a gap, or factors are collinear.
    """
    _same_days(returns, factors)
    y = returns.to_numpy(dtype=float)
    return Past(factors, np.isfinite(y), starts, window, least).betas(y)


def filtered_betas(
    returns: pd.DataFrame,
    factors: pd.DataFrame,
    starts: Places,
    least: int,
    drifts: Sequence[float] = DRIFTS,
    burn: int = 60,
) -> tuple[Floats, Floats]:
    """Betas that drift as random walks, by a Kalman filter that has seen only the days before each month.

    Model, per share: r_t = a + b_t'x_t + e_t, e_t ~ (0, s²), b_t = b_(t-1) + u_t, u_t ~ (0, s² q diag(1/v)), with v the
    variances of the factors over the days before the first month and the state diffuse at first. The one unknown q
    is chosen anew for every share and month among `drifts` by the likelihood of one-step errors so far, with s²
    concentrated out (Harvey 1989, section 3.4), skipping each share's first `burn` days. A drift of zero is recursive
    least squares.

    Returns betas (months, shares, factors) and the chosen q (months, shares); NaN where a share has fewer than `least`
    days.
    """
    _same_days(returns, factors)
    if min(drifts) < 0:
        raise Refusal(f"a drift of {min(drifts):g} is a negative variance; give 0 or more")
    y, raw = returns.to_numpy(dtype=float), factors.to_numpy(dtype=float)
    scale = raw[: starts[0]].std(axis=0)
    if not (scale > 0).all():
        raise Refusal(f"the factor {factors.columns[int(np.argmin(scale > 0))]} does not move before the first month")
    x = np.column_stack([np.ones(len(raw)), raw / scale])
    k, shares, grid = x.shape[1], y.shape[1], len(drifts)
    steps = np.zeros((1, grid, k, k))
    steps[0, :, range(1, k), range(1, k)] = np.asarray(drifts, dtype=float)
    state = np.zeros((shares, grid, k))
    cov = np.broadcast_to(1e6 * np.eye(k), (shares, grid, k, k)).copy()
    seen, scored = np.zeros(shares), np.zeros(shares)
    squares, logs = np.zeros((shares, grid)), np.zeros((shares, grid))
    betas = np.full((len(starts), shares, k - 1), np.nan)
    chosen = np.full((len(starts), shares), np.nan)
    month = {int(row): place for place, row in enumerate(starts)}
    for t in range(int(starts[-1]) + 1):
        if t in month:
            n = np.maximum(scored, 1.0)[:, None]
            best = np.argmax(-0.5 * (n * np.log(np.maximum(squares, 1e-300) / n) + logs), axis=1)
            at = np.arange(shares)
            known = seen >= max(least, burn + 1)
            betas[month[t]] = np.where(known[:, None], state[at, best, 1:] / scale, np.nan)
            chosen[month[t]] = np.where(known, np.asarray(drifts)[best], np.nan)
        here = np.isfinite(y[t])
        if not here.any():
            continue
        prior = cov[here] + steps
        gain = prior @ x[t]
        spread = gain @ x[t] + 1.0
        error = y[t, here, None] - state[here] @ x[t]
        state[here] += gain * (error / spread)[..., None]
        cov[here] = prior - gain[..., :, None] * gain[..., None, :] / spread[..., None, None]
        seen[here] += 1
        counts = here & (seen > burn)
        among = seen[here] > burn
        squares[counts] += (error**2 / spread)[among]
        logs[counts] += np.log(spread)[among]
        scored[counts] += 1
    return betas, chosen


def _same_days(returns: pd.DataFrame, factors: pd.DataFrame) -> None:
    if not returns.index.equals(factors.index):
        raise Refusal("the shares and the factors are not on the same days; cut both to the days they share")
    x = factors.to_numpy(dtype=float)
    if not np.isfinite(x).all():
        raise Refusal(f"a factor has no return on {factors.index[~np.isfinite(x).all(axis=1)][0]:%Y-%m-%d}")
    centred = x - x.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    if not (size > 0).all():
        raise Refusal(f"the factor {factors.columns[int(np.argmin(size))]} never moves; drop it")
    if np.linalg.matrix_rank(centred / size, tol=1e-6) < x.shape[1]:
        raise Refusal(f"the factors {', '.join(map(str, factors))} are collinear; drop one")


# ----------------------------------------------------------------------------------------------------------- the hedge
def hedge_errors(returns: pd.DataFrame, factors: pd.DataFrame, betas: Floats, starts: Places) -> pd.DataFrame:
    """What is left each day, r - beta'x with the beta of the month's eve: days from the first month on, by shares."""
    first = int(starts[0])
    which = np.searchsorted(starts, np.arange(first, len(returns)), side="right") - 1
    hedge: Floats = np.einsum("tnk,tk->tn", betas[which], factors.to_numpy(dtype=float)[first:])
    left: pd.DataFrame = returns.iloc[first:] - hedge
    return left


def monthly_losses(errors: pd.DataFrame, month: pd.PeriodIndex) -> pd.DataFrame:
    """Sum of squared daily errors, months by shares, over the months given; NaN where a day of the month is missing."""
    of = pd.DatetimeIndex(errors.index).to_period("M")
    squares = errors.where(errors.notna().groupby(of).transform("all")) ** 2
    return squares.groupby(of).sum(min_count=1).reindex(month)


def common(losses: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The losses where every rule has one, so that all are judged on the same months of the same shares."""
    there = np.logical_and.reduce([frame.notna().to_numpy() for frame in losses.values()])
    return {rule: frame.where(there) for rule, frame in losses.items()}


def effectiveness(losses: Mapping[str, pd.DataFrame], unhedged: str) -> pd.DataFrame:
    """Share of a stock's squared moves that a hedge takes out: 1 - sum of losses over the sum of those of `unhedged`.

    One row a share; columns: share, months, then a rule each (negative: worse than no hedge). Shares without a month
    are left out. Raises Refusal when none has one.
    """
    kept = common(losses)
    bare = kept[unhedged].sum(min_count=1).dropna()
    if bare.empty:
        raise Refusal("no share has a whole month in which every hedge was known; give a longer sample")
    table = pd.DataFrame({rule: 1 - frame[bare.index].sum() / bare for rule, frame in kept.items() if rule != unhedged})
    table.insert(0, "months", kept[unhedged][bare.index].notna().sum())
    return table.rename_axis("share").reset_index()


def nothing_to_judge(losses: Mapping[str, pd.DataFrame]) -> str:
    """Why no rule can be judged, in words; empty where some share has a month in which every rule has a loss."""
    return (
        "" if any(frame.notna().any(axis=None) for frame in common(losses).values()) else "no share has a whole month"
    )


@dataclass(frozen=True)
class Comparison:
    """Mean loss difference, rule less rival (negative favours the rule), as a share of the rival's mean loss; test
    statistic; p; months; and why there is no test (then statistic and p are NaN), empty where there is one."""

    difference: float
    statistic: float
    p: float
    months: int
    refused: str = ""


def equal_accuracy(loss: Floats, rival: Floats, fewest: int = FEWEST_MONTHS) -> Comparison:
    """Diebold-Mariano test, with the factor and Student t of Harvey, Leybourne & Newbold, of monthly losses; two-sided.

    loss, rival : losses of the same months in order, NaN left out. Months do not overlap, so no autocovariance enters.
    The test is refused on fewer than `fewest` months, and where the two never differ.

    >>> equal_accuracy(np.ones(5), np.zeros(5)).refused
    'needs 24 months, there are 5'
    """
    both = np.isfinite(loss) & np.isfinite(rival)
    a, b = np.asarray(loss, dtype=float)[both], np.asarray(rival, dtype=float)[both]
    n = len(a)
    share = float((a.mean() - b.mean()) / b.mean()) if n and b.mean() > 0 else float("nan")
    refused = _refused(a - b, fewest)
    if refused:
        return Comparison(share, float("nan"), float("nan"), n, refused)
    test = diebold_mariano(a, b, 1)
    return Comparison(share, test.statistic, test.p, n)


def findable(difference: float, statistic: float, count: int, level: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a two-sided t test finds with the power given, in the units of `difference`.

    difference, statistic : of a test that was made, so that their ratio is the standard error; count : its observations
    (t quantile at 1 - level/2 plus t quantile at power, both with count - 1 degrees of freedom) x standard error
    (Bloom 1995). Raises Refusal where the statistic is zero or missing: then no standard error can be read from it.

    >>> round(findable(-0.01, -2.0, 60), 4)
    0.0142
    """
    if not abs(statistic) > 0:
        raise Refusal("a test without a statistic, or one of zero, shows no standard error to judge its power by")
    reach = stats.t.ppf(1 - level / 2, count - 1) + stats.t.ppf(power, count - 1)
    return float(reach * abs(difference / statistic))


def clark_west(loss: Floats, rival: Floats, apart: Floats, fewest: int = FEWEST_MONTHS) -> Comparison:
    """Clark & West (2007): does a larger rule beat the smaller one that it holds? One-sided, normal.

    loss  : monthly losses of the larger rule; rival : of the smaller, nested one
    apart : sums of squared differences of the two rules' forecasts over the same months; the larger rule's loss is
            lessened by it, since that much of it is noise of coefficients that are zero under the null
    Here a positive statistic favours the larger rule; `difference` is that of the losses as they are.
    """
    both = np.isfinite(loss) & np.isfinite(rival) & np.isfinite(apart)
    a, b, extra = (np.asarray(values, dtype=float)[both] for values in (loss, rival, apart))
    n = len(a)
    share = float((a.mean() - b.mean()) / b.mean()) if n and b.mean() > 0 else float("nan")
    adjusted = b - (a - extra)
    refused = _refused(adjusted, fewest)
    if refused:
        return Comparison(share, float("nan"), float("nan"), n, refused)
    t = float(adjusted.mean() / (adjusted.std(ddof=1) / np.sqrt(n)))
    return Comparison(share, t, float(stats.norm.sf(t)), n)


def _refused(differences: Floats, fewest: int) -> str:
    if len(differences) < fewest:
        return f"needs {fewest} months, there are {len(differences)}"
    return "the two never differ" if np.ptp(differences) == 0 else ""


def pooled(losses: Mapping[str, pd.DataFrame], unhedged: str) -> pd.DataFrame:
    """One series of losses a rule: months by rules, the mean over shares of loss over the share's mean unhedged loss.

    Every share weighs alike whatever its volatility, and a month counts once however many shares moved together in it.
    """
    kept = common(losses)
    unit = kept[unhedged].mean()
    return pd.DataFrame({rule: (frame / unit).mean(axis=1) for rule, frame in kept.items()}).dropna()


def duels(
    losses: Mapping[str, pd.DataFrame], rule: str, rival: str, unhedged: str, fewest: int = FEWEST_MONTHS
) -> pd.DataFrame:
    """`equal_accuracy` of two rules for each share, and for all of them pooled in the last row.

    Columns: share, months, difference (of mean losses, as a share of the rival's), statistic, p, refused.
    """
    kept = common(losses)
    together = pooled(losses, unhedged)
    pairs = {share: (kept[rule][share], kept[rival][share]) for share in kept[rule] if kept[rule][share].notna().any()}
    rows = []
    for share, (a, b) in {**pairs, ALL: (together[rule], together[rival])}.items():
        test = equal_accuracy(a.to_numpy(dtype=float), b.to_numpy(dtype=float), fewest)
        rows.append((share, test.months, test.difference, test.statistic, test.p, test.refused))
    return pd.DataFrame(rows, columns=["share", "months", "difference", "statistic", "p", "refused"])


def ladder(
    errors: Mapping[str, pd.DataFrame], unhedged: pd.DataFrame, month: pd.PeriodIndex, fewest: int = FEWEST_MONTHS
) -> pd.DataFrame:
    """What each further set of factors adds to the hedge: nested sets from the smallest to the largest, a row each.

    errors : name of the set -> daily hedge errors; unhedged : daily returns of the shares; month : months that count
    Columns: factors, months, effectiveness (mean of the shares), then, against the row before, pooled over shares as in
    `pooled`: difference (of mean losses as a share), p (of equal losses: is the hedge better with what was estimated?),
    p_zero (Clark-West, one-sided: are the added loadings zero?), refused.
    """
    bare = "unhedged"
    losses = common({bare: monthly_losses(unhedged, month), **{n: monthly_losses(e, month) for n, e in errors.items()}})
    together, unit = pooled(losses, bare), losses[bare].mean()
    rows, before = [], bare
    for name in errors:
        taken = float(effectiveness({bare: losses[bare], name: losses[name]}, bare)[name].mean())
        apart = monthly_losses(errors[name] - (unhedged if before == bare else errors[before]), month)
        noise = (apart.where(losses[bare].notna()) / unit).mean(axis=1).reindex(together.index)
        pair = (together[name].to_numpy(dtype=float), together[before].to_numpy(dtype=float))
        equal, zero = equal_accuracy(*pair, fewest), clark_west(*pair, noise.to_numpy(dtype=float), fewest)
        rows.append((name, equal.months, taken, equal.difference, equal.p, zero.p, equal.refused))
        before = name
    columns = ["factors", "months", "effectiveness", "difference", "p", "p_zero", "refused"]
    return pd.DataFrame(rows, columns=columns)


def worlds_of_constant_betas(
    returns: pd.DataFrame, factors: pd.DataFrame, starts: Places, window: int, draws: int, rng: np.random.Generator
) -> Floats:
    """By how much a rolling window would beat all of the past if betas never changed: one pooled difference a draw.

    Each share keeps the beta of its whole record and its own residuals, whose sign is turned for whole months at a
    time, for all shares at once (a wild bootstrap by blocks: volatility, gaps and correlation between shares stay).
    The difference is that of pooled mean losses, rolling less all of the past, over the latter: the last row of `duels`
    of these two and the unhedged share.
    """
    _same_days(returns, factors)
    y, x = returns.to_numpy(dtype=float), factors.to_numpy(dtype=float)
    listed, month = np.isfinite(y), pd.DatetimeIndex(returns.index).to_period("M").asi8
    fixed = Past(factors, listed, np.array([len(y)]), None, window).betas(y)[0]
    expected = x @ np.nan_to_num(fixed).T
    residual = np.where(listed, y - expected, 0.0)
    hedges = [Past(factors, listed, starts, span, window) for span in (window, None)]
    first = int(starts[0])
    last = first + int(np.flatnonzero(month[first:] == month[starts[-1]])[-1]) + 1
    which = np.searchsorted(starts, np.arange(first, last), side="right") - 1
    cuts = np.searchsorted(which, np.arange(len(starts)))
    whole = np.logical_and.reduceat(listed[first:last], cuts) & hedges[0].enough & hedges[1].enough
    found = np.empty(draws)
    for draw in range(draws):
        made = expected + residual * rng.choice((-1.0, 1.0), int(month[-1] - month[0]) + 1)[month - month[0], None]
        losses = []
        for betas in (*(past.betas(made) for past in hedges), None):
            hedge = 0.0 if betas is None else np.einsum("tnk,tk->tn", betas[which], x[first:last])
            losses.append(np.where(whole, np.add.reduceat((made[first:last] - hedge) ** 2, cuts), np.nan))
        unit = np.nanmean(losses[2][:, whole.any(axis=0)], axis=0)
        rolling, always = (
            np.nanmean(loss[:, whole.any(axis=0)][whole.any(axis=1)] / unit, axis=1).mean() for loss in losses[:2]
        )
        found[draw] = rolling / always - 1
    return found


# ------------------------------------------------------------------------------------------------------ the next month
PREDICTIONS = {
    "nothing": "a return of zero",
    "own mean": "the share's mean month so far",
    "loadings": "loadings on the eve times each factor's mean month so far",
    "last month": "least squares on last month's factors",
}


def month_returns(returns: pd.DataFrame) -> pd.DataFrame:
    """Returns compounded by calendar month, indexed by month; a month with a missing day is missing.

    The first month is left out unless the days before it are there, and so is a last one that is not over.
    """
    days = pd.DatetimeIndex(returns.index)
    monthly = on_clock(returns, period_ends(days, "monthly"))
    return monthly.set_index(pd.DatetimeIndex(monthly.index).to_period("M"))


def predictions(
    shares: pd.DataFrame, factors: pd.DataFrame, betas: Mapping[pd.Period, Floats], fewest: int = FEWEST_MONTHS
) -> dict[str, pd.DataFrame]:
    """Forecasts of each share's next month by the rules of `PREDICTIONS`, from what was known on its eve.

    shares, factors : monthly returns, months by shares and months by factors, on one index (`month_returns`)
    betas           : month -> loadings on its eve (shares, factors); months without them have no forecast
    A forecast needs `fewest` months of the share behind it, for every rule alike. Returns rule -> months by shares.
    """
    y, x = shares.to_numpy(dtype=float), factors.to_numpy(dtype=float)
    made = {rule: np.full(y.shape, np.nan) for rule in PREDICTIONS}
    for t, month in enumerate(shares.index):
        if t == 0 or month not in betas:
            continue
        premium = x[:t].mean(axis=0)
        for j in range(y.shape[1]):
            past = np.flatnonzero(np.isfinite(y[1:t, j])) + 1  # the months with a month before them
            if len(past) < fewest or not np.isfinite(betas[month][j]).all():
                continue
            made["nothing"][t, j] = 0.0
            made["own mean"][t, j] = y[past, j].mean()
            made["loadings"][t, j] = betas[month][j] @ premium
            design = np.column_stack([np.ones(len(past)), x[past - 1]])
            made["last month"][t, j] = np.r_[1.0, x[t - 1]] @ np.linalg.lstsq(design, y[past, j], rcond=None)[0]
    return {rule: pd.DataFrame(values, shares.index, shares.columns) for rule, values in made.items()}


def score_predictions(
    shares: pd.DataFrame, forecasts: Mapping[str, pd.DataFrame], fewest: int = FEWEST_MONTHS
) -> pd.DataFrame:
    """How the rules did against "own mean", all shares pooled: a row a rule.

    Columns: rule; months; forecasts; r2 (out of sample, 1 - squared errors over those of "own mean", Campbell &
    Thompson 2008); test ("Clark-West" where the rule holds "own mean" as a special case, else "Diebold-Mariano");
    statistic (positive favours the rule); p (Clark-West one-sided, Diebold-Mariano two-sided); refused. A month's
    losses are the mean over shares of squared errors over the share's mean squared error of "own mean".
    """
    actual = shares.where(forecasts["own mean"].notna())
    squares = {rule: (actual - forecast) ** 2 for rule, forecast in forecasts.items()}
    count = int(squares["own mean"].notna().to_numpy().sum())
    if not count:
        raise Refusal(f"no share has {fewest} whole months and a loading before some month; give a longer sample")
    unit = squares["own mean"].mean()
    rival = (squares["own mean"] / unit).mean(axis=1).to_numpy(dtype=float)
    rows = []
    for rule in forecasts:
        if rule == "own mean":
            continue
        loss = (squares[rule] / unit).mean(axis=1).to_numpy(dtype=float)
        nested = rule == "last month"
        if nested:
            apart = ((forecasts[rule] - forecasts["own mean"]) ** 2 / unit).mean(axis=1).to_numpy(dtype=float)
            test = clark_west(loss, rival, apart, fewest)
        else:
            test = equal_accuracy(loss, rival, fewest)
        name = "Clark-West" if nested else "Diebold-Mariano"
        statistic = test.statistic if nested else -test.statistic
        rows.append((rule, test.months, count, -test.difference, name, statistic, test.p, test.refused))
    return pd.DataFrame(rows, columns=["rule", "months", "forecasts", "r2", "test", "statistic", "p", "refused"])
