"""Does the price lead the hashrate? Two weekly series, their long run, their short run, and a test of forecasts.

Everything is in natural logs and weeks. A week ends on the last day of the sample and is counted back from there, so
that none is cut. Its price is the close of its last day and its hashrate the mean of its seven days: all of a week's
hashrate comes after the previous week's price, so that "price before hashrate" is never made by averaging the price
(Working 1960). Hashrate, difficulty and block counts are one identity; only the hashrate is used. A week's mean still
carries the luck of about 1,008 blocks, 3 % as a standard error, which makes weekly growth bounce back on itself; own
lags take that up.

Two gaps between the series are used. One is estimated: how far the hashrate lies below a line on price and time. The
other is fixed by arithmetic: the mining margin, what a kWh earns in a machine of the time (`log_margin`). A positive
gap means that the price supports more hashrate than there is: the hashrate should answer with a plus, the price with a
minus.

Standard errors are heteroskedasticity- and autocorrelation-consistent (Newey & West 1987, Bartlett weights, no
small-sample factor), intervals use the fixed-b critical values of Kiefer & Vogelsang (2005).
Pure functions: arrays and frames in, arrays and frames out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.tsa.stattools import adfuller, coint

from wattshift.units import BLOCKS_PER_DAY, JOULES_PER_KWH, SECONDS_PER_DAY

Floats = NDArray[np.float64]

DAYS_PER_WEEK = 7

# MacKinnon's tables ship with statsmodels; those below are printed ones.
JOHANSEN_5_PERCENT = (25.87, 12.52)  # MacKinnon, Haug & Michelis (1999), case IV, two series: rank 0, rank 1 at most
GREGORY_HANSEN_5_PERCENT = {"level": -4.61, "level and trend": -4.99, "regime": -4.95}  # 1996, table 1, m = 1, ADF*
KPSS_TABLE = {  # Kwiatkowski, Phillips, Schmidt & Shin (1992), table 1: upper-tail probabilities and critical values
    "level": ((0.10, 0.05, 0.025, 0.01), (0.347, 0.463, 0.574, 0.739)),
    "trend": ((0.10, 0.05, 0.025, 0.01), (0.119, 0.146, 0.176, 0.216)),
}


# ---------------------------------------------------------------------------------------------------------- the data
def weekly(daily: pd.DataFrame) -> pd.DataFrame:
    """Weeks counted back from the last day of a daily table, in logs.

    daily : one row a day, none missing: date, price_usd (USD per BTC), hashrate_ehs (EH/s), blocks
    Returns one row a week: date (its last day), log_price (of the close), log_hashrate (of the 7-day mean, EH/s),
    blocks (their sum; the relative error of the week's hashrate by luck is 1/sqrt(blocks)). Weeks before the first
    price are dropped. Raises ValueError when a day is missing, or a price after the first one.

    >>> days = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=15), "price_usd": 2.0,
    ...                      "hashrate_ehs": np.arange(15.0), "blocks": 144})
    >>> weeks = weekly(days)
    >>> [str(day.date()) for day in weeks["date"]], [float(x) for x in np.exp(weeks["log_hashrate"]).round(6)]
    (['2020-01-08', '2020-01-15'], [4.0, 11.0])
    """
    days = daily.sort_values("date", ignore_index=True)
    if len(days) > 1 and not (days["date"].diff().iloc[1:] == pd.Timedelta(days=1)).all():
        raise ValueError("the daily table has a missing or doubled day: weeks cannot be counted")
    days = days.iloc[len(days) % DAYS_PER_WEEK :]
    group = np.arange(len(days)) // DAYS_PER_WEEK
    by_week = days.groupby(group)
    price = by_week["price_usd"].last(skipna=False)
    hashrate, blocks, date = by_week["hashrate_ehs"].mean(), by_week["blocks"].sum(), by_week["date"].last()
    priced = price.notna().to_numpy()
    first = int(priced.argmax()) if priced.any() else len(priced)
    if not priced[first:].all():
        raise ValueError("a week after the first price has no closing price")
    frame = pd.DataFrame({"date": date, "log_price": np.log(price), "log_hashrate": np.log(hashrate), "blocks": blocks})
    return frame.iloc[first:].reset_index(drop=True)


def log_margin(price: Floats, subsidy: Floats, hashrate: Floats, efficiency: Floats) -> Floats:
    """Log of what one kWh of mining earns, USD/kWh: the power price at which energy takes all of the subsidy.

    price : USD per BTC; subsidy : BTC per block; hashrate : EH/s; efficiency : J/TH in use. Fees and other costs are
    left out. Price and subsidy raise it one for one, hashrate and J/TH lower it one for one: if miners enter until the
    margin is usual again, it returns to its mean, and log price and log hashrate have a long-run relation whose
    coefficients are known and need no estimate.

    >>> one = np.ones(1)
    >>> round(float(np.exp(log_margin(53_333 * one, 3.125 * one, 1_000 * one, 20 * one)[0])), 4)
    0.05
    """
    kwh_per_day = hashrate * 1e6 * efficiency * SECONDS_PER_DAY / JOULES_PER_KWH
    return np.asarray(np.log(price * subsidy * BLOCKS_PER_DAY / kwh_per_day), dtype=np.float64)


def steps(dates: pd.Series, breaks: Mapping[str, pd.Timestamp], *, margin: int = 26) -> pd.DataFrame:
    """Level steps (0 before, 1 from the break on), one column a break; breaks within `margin` weeks of an end are left
    out, since a step needs weeks on both sides."""
    columns = {}
    for name, day in breaks.items():
        after = (dates >= day).to_numpy()
        if margin <= int(after.sum()) <= len(after) - margin:
            columns[name] = after.astype(float)
    return pd.DataFrame(columns, index=dates.index)


# ------------------------------------------------------------------------------------------------- regression with HAC
@dataclass(frozen=True)
class Fit:
    """A least-squares fit: names and coefficients in order, their HAC covariance, residuals, the Bartlett lag."""

    names: tuple[str, ...]
    coef: Floats
    cov: Floats
    residuals: Floats
    lags: int

    @property
    def nobs(self) -> int:
        """Observations used."""
        return len(self.residuals)

    def at(self, name: str) -> tuple[float, float]:
        """Coefficient and HAC standard error of one regressor."""
        i = self.names.index(name)
        return float(self.coef[i]), float(np.sqrt(self.cov[i, i]))

    def interval(self, name: str) -> tuple[float, float]:
        """95 % interval, fixed-b critical value."""
        coef, error = self.at(name)
        width = fixed_b_critical(self.lags / self.nobs) * error
        return coef - width, coef + width

    def p(self, name: str) -> float:
        """Two-sided p-value of coefficient = 0, Student t."""
        coef, error = self.at(name)
        return float(2 * stats.t.sf(abs(coef) / error, self.nobs - len(self.names)))


@dataclass(frozen=True)
class Wald:
    """A joint test: F statistic, its p-value, how many restrictions."""

    f: float
    p: float
    restrictions: int


def newey_west_lags(nobs: int, overlap: int = 0) -> int:
    """Bartlett lag: floor(4 (n/100)^(2/9)) (the rule in Newey & West 1994), and never less than the overlap.

    >>> newey_west_lags(100), newey_west_lags(640), newey_west_lags(640, overlap=26)
    (4, 6, 26)
    """
    return max(int(4 * (nobs / 100) ** (2 / 9)), overlap)


def long_lags(nobs: int) -> int:
    """Bartlett lag for slowly moving residuals: ceil(1.3 sqrt(n)) (Lazarus, Lewis, Stock & Watson 2018).

    >>> long_lags(100)
    13
    """
    return int(np.ceil(1.3 * np.sqrt(nobs)))


def fixed_b_critical(b: float) -> float:
    """Two-sided 5 % critical value of a HAC t statistic with Bartlett lag/n = b (Kiefer & Vogelsang 2005, table 1).

    >>> round(fixed_b_critical(0), 3), round(fixed_b_critical(0.1), 3)
    (1.96, 2.261)
    """
    return 1.9600 + 2.9694 * b + 0.4160 * b**2 - 0.5324 * b**3


def ols(y: Floats, x: Floats, names: Sequence[str], lags: int | None = None) -> Fit:
    """Least squares with Newey-West covariance: Bartlett weights, no prewhitening, no small-sample factor.

    y : (n,), x : (n, k) with its own constant column, names : k names, lags : Bartlett lag (default: the 1994 rule).
    Raises ValueError when there are not more rows than columns, or the columns are collinear.
    """
    n, k = x.shape
    if n <= k:
        raise ValueError(f"{n} observations cannot fit {k} coefficients")
    coef, _, rank, _ = np.linalg.lstsq(x, y, rcond=None)
    if rank < k:
        raise ValueError(f"collinear regressors among {', '.join(names)}")
    lags = newey_west_lags(n) if lags is None else min(lags, n - 1)
    residuals = y - x @ coef
    score = x * residuals[:, None]
    middle = score.T @ score
    for lag in range(1, lags + 1):
        gamma = score[lag:].T @ score[:-lag]
        middle += (1 - lag / (lags + 1)) * (gamma + gamma.T)
    bread = np.linalg.inv(x.T @ x)
    return Fit(
        tuple(names),
        np.asarray(coef, dtype=np.float64),
        np.asarray(bread @ middle @ bread, dtype=np.float64),
        residuals,
        lags,
    )


def wald(fit: Fit, names: Sequence[str], values: Sequence[float] | None = None) -> Wald:
    """HAC Wald test that the named coefficients equal `values` (zero by default), as F(q, n - k)."""
    pick = [fit.names.index(name) for name in names]
    gap = fit.coef[pick] - (0.0 if values is None else np.asarray(values, dtype=float))
    f = float(gap @ np.linalg.solve(fit.cov[np.ix_(pick, pick)], gap)) / len(pick)
    return Wald(f, float(stats.f.sf(f, len(pick), fit.nobs - len(fit.names))), len(pick))


# -------------------------------------------------------------------------------------------- unit roots, cointegration
def kpss(y: Floats, around: Literal["level", "trend"], lags: int | None = None) -> tuple[float, float]:
    """KPSS statistic and its p-value; the null is stationarity around a level or a linear trend.

    The p-value is read from the printed table and held within 0.01 and 0.10, as the table is. Lag default:
    `long_lags`, since the short rule rejects too often when the series is persistent.
    """
    n = len(y)
    x = np.ones((n, 1)) if around == "level" else np.column_stack([np.ones(n), np.arange(n)])
    residuals = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    lags = long_lags(n) if lags is None else lags
    spread = float(residuals @ residuals)
    for lag in range(1, lags + 1):
        spread += 2 * (1 - lag / (lags + 1)) * float(residuals[lag:] @ residuals[:-lag])
    eta = float((np.cumsum(residuals) ** 2).sum() / n**2 / (spread / n))
    tail, value = KPSS_TABLE[around]
    return eta, float(np.interp(eta, value, tail))


def unit_roots(series: Mapping[str, Floats], around: Literal["level", "trend"] = "trend") -> pd.DataFrame:
    """ADF (null: a unit root; lags by AIC up to 13; MacKinnon p) beside KPSS (null: none), one row a series.

    Columns: series, adf, adf_critical (5 %), adf_p, kpss, kpss_critical (5 %), kpss_p, reads ("unit root",
    "stationary", or "unclear" where both nulls or neither are rejected).
    """
    rows = []
    for name, y in series.items():
        most, regression = int(min(13, len(y) // 8)), "ct" if around == "trend" else "c"
        adf = adfuller(y, maxlag=most, regression=regression, autolag="AIC", result_object=True)
        eta, eta_p = kpss(y, around)
        rejects_root, rejects_none = adf.pvalue < 0.05, eta_p < 0.05
        reads = "unclear" if rejects_root == rejects_none else "stationary" if rejects_root else "unit root"
        adf_critical, kpss_critical = float(adf.critical_values["5%"]), KPSS_TABLE[around][1][1]
        rows.append((name, float(adf.statistic), adf_critical, float(adf.pvalue), eta, kpss_critical, eta_p, reads))
    columns = ["series", "adf", "adf_critical", "adf_p", "kpss", "kpss_critical", "kpss_p", "reads"]
    return pd.DataFrame(rows, columns=columns)


def _adf_t(y: Floats, lags: int) -> float:
    """t statistic of the lagged level in an ADF regression without deterministic terms."""
    dy = np.diff(y)
    x = np.column_stack([y[lags:-1], *[dy[lags - i : len(dy) - i] for i in range(1, lags + 1)]])
    target = dy[lags:]
    inverse = np.linalg.inv(x.T @ x)
    coef = inverse @ (x.T @ target)
    residuals = target - x @ coef
    variance = float(residuals @ residuals) / (len(target) - x.shape[1])
    return float(coef[0] / np.sqrt(variance * inverse[0, 0]))


def gregory_hansen(
    y: Floats, x: Floats, kind: Literal["level", "level and trend", "regime"], lags: int
) -> tuple[float, int]:
    """Smallest ADF t over all break weeks in the middle 70 % (Gregory & Hansen 1996): statistic and break position.

    The null is no cointegration; the alternative is a relation whose level (kind "level"; with a trend "level and
    trend") or level and slope ("regime") changes once, at an unknown week. Lags are held fixed over the dates, where
    the paper chooses them anew at each. Compare with GREGORY_HANSEN_5_PERCENT.
    """
    n = len(y)
    best, where = np.inf, -1
    for at in range(int(0.15 * n), int(0.85 * n)):
        after = (np.arange(n) >= at).astype(float)
        columns = [np.ones(n), after, x]
        if kind == "level and trend":
            columns.append(np.arange(n) / n)
        elif kind == "regime":
            columns.append(x * after)
        design = np.column_stack(columns)
        residuals = y - design @ np.linalg.solve(design.T @ design, design.T @ y)
        t = _adf_t(residuals, lags)
        if t < best:
            best, where = t, at
    return best, where


def johansen(hashrate: Floats, price: Floats, lags: int) -> tuple[float, float]:
    """Trace statistics of rank 0 and of rank 1 at most (Johansen 1995, case H*: MacKinnon et al.'s IV).

    A linear trend may stand in the relation and in each series, no quadratic one: the trend is restricted to the
    relation, the constant is free. lags : lagged differences. Compare with JOHANSEN_5_PERCENT.
    """
    levels = np.column_stack([hashrate, price])
    growth = np.diff(levels, axis=0)
    n = len(growth) - lags
    short = np.column_stack([np.ones(n), *(growth[lags - i : len(growth) - i] for i in range(1, lags + 1))])
    both = np.column_stack([growth[lags:], levels[lags:-1], np.arange(n) / n])
    both -= short @ np.linalg.lstsq(short, both, rcond=None)[0]
    moment = both.T @ both
    s00, s01, s11 = moment[:2, :2], moment[:2, 2:], moment[2:, 2:]
    roots = np.linalg.eigvals(np.linalg.solve(s11, s01.T @ np.linalg.solve(s00, s01))).real
    first, second = (float(-n * np.log1p(-root)) for root in np.sort(roots)[:0:-1])
    return first + second, second


def cointegration(weeks: pd.DataFrame, lags: int) -> pd.DataFrame:
    """Tests of "no long-run relation" between log price and log hashrate, each allowing a linear trend in it.

    weeks : as `weekly` gives; lags : lagged differences in the Johansen and Gregory-Hansen tests.
    One row a test: test, statistic, critical (5 %), p (NaN where only a table exists), rejects, break_date (NaT unless
    a break was searched). Engle-Granger: MacKinnon p, trend in the relation, both normalisations. Johansen: `johansen`;
    its second row asks whether there is more than one relation, which for two series means that neither wanders.
    """
    price, hashrate = weeks["log_price"].to_numpy(), weeks["log_hashrate"].to_numpy()
    most = int(min(13, len(price) // 8))
    rows: list[tuple[str, float, float, float, bool, pd.Timestamp | None]] = []
    for name, y, x in (("hashrate on price", hashrate, price), ("price on hashrate", price, hashrate)):
        t, p, critical = coint(y, x, trend="ct", maxlag=most, autolag="aic")
        rows.append((f"Engle-Granger, {name}", float(t), float(critical[1]), float(p), bool(p < 0.05), None))
    traces = zip(("rank 0", "rank 1 at most"), johansen(hashrate, price, lags), JOHANSEN_5_PERCENT, strict=True)
    for name, trace, critical5 in traces:
        rows.append((f"Johansen trace, {name}", trace, critical5, float("nan"), trace > critical5, None))
    for kind in ("level and trend", "regime"):
        t, at = gregory_hansen(hashrate, price, kind, lags)
        critical5 = GREGORY_HANSEN_5_PERCENT[kind]
        rows.append((f"Gregory-Hansen, {kind}", t, critical5, float("nan"), t < critical5, weeks["date"].iloc[at]))
    return pd.DataFrame(rows, columns=["test", "statistic", "critical", "p", "rejects", "break_date"])


def long_run_tests(weeks: pd.DataFrame, lags: int) -> pd.DataFrame:
    """All tests of the long run in one table: unit roots of each series, then of a relation between the two.

    weeks : as `weekly` gives; a column `margin` (log, no blanks) is tested too, around a level and with no coefficient
    estimated, so that the plain ADF table holds for it. One row a test: test, subject, null, statistic, critical (5 %),
    rejects, break_date (NaT unless a break was searched).
    """
    around_trend = {"log price": weeks["log_price"].to_numpy(), "log hashrate": weeks["log_hashrate"].to_numpy()}
    alone = [unit_roots(around_trend, "trend").assign(around="a trend")]
    if "margin" in weeks:
        alone.append(unit_roots({"log mining margin": weeks["margin"].to_numpy()}, "level").assign(around="its mean"))
    each = pd.concat(alone, ignore_index=True)
    adf = pd.DataFrame(
        {
            "test": "ADF",
            "subject": each["series"],
            "null": "wanders",
            "statistic": each["adf"],
            "critical": each["adf_critical"],
            "rejects": each["adf_p"] < 0.05,
        }
    )
    kpss_rows = pd.DataFrame(
        {
            "test": "KPSS",
            "subject": each["series"],
            "null": "returns to " + each["around"],
            "statistic": each["kpss"],
            "critical": each["kpss_critical"],
            "rejects": each["kpss_p"] < 0.05,
        }
    )
    both = cointegration(weeks, lags)
    name = both["test"].str.partition(", ")
    nulls = np.where(name[2] == "rank 1 at most", "one relation at most", "no relation")
    related = both.assign(test=name[0], subject="the two, " + name[2], null=nulls).drop(columns="p")
    single = pd.concat([adf, kpss_rows]).sort_index(kind="stable")
    single["break_date"] = pd.Series(index=single.index, dtype=related["break_date"].dtype)
    return pd.concat([single, related[single.columns]], ignore_index=True)


def long_run(y: Floats, x: Floats, extra: Floats | None = None) -> tuple[Floats, Floats]:
    """Static relation y = a + g t + beta x (+ extra columns): coefficients in that order, and the gap, line minus y.

    The gap is positive where y lies below what x supports. The coefficients converge fast if a relation exists (Engle &
    Granger 1987); if none does, the gap is itself a wandering series.
    """
    n = len(y)
    design = np.column_stack([np.ones(n), np.arange(n), x] + ([] if extra is None else [extra]))
    coef = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)
    return coef, design @ coef - y


def dols(weeks: pd.DataFrame, step: pd.DataFrame, slow: Floats | None = None, leads: int = 4) -> Fit:
    """Long-run relation of log hashrate on log price, a slow variable and steps, by dynamic least squares.

    Stock & Watson (1993): `leads` leads and lags of price growth take up the feedback, so that HAC inference on slope
    and steps is valid if the relation exists. slow : (n,), such as log J/TH; by default time in weeks, the usual
    stand-in for better machines. Names: constant, slow, log_price (the elasticity), the steps' names, growth-4..+4.
    """
    price, n = weeks["log_price"].to_numpy(), len(weeks)
    growth = np.diff(price, prepend=np.nan)
    inside = np.arange(leads + 1, n - leads)
    time = np.arange(n, dtype=float) if slow is None else slow
    columns = [np.ones(n), time, price, *(step[name].to_numpy() for name in step)]
    shifts = range(-leads, leads + 1)
    design = np.column_stack([*(column[inside] for column in columns), *(growth[inside + shift] for shift in shifts)])
    names = ["constant", "slow", "log_price", *step.columns, *(f"growth{shift:+d}" for shift in shifts)]
    return ols(weeks["log_hashrate"].to_numpy()[inside], design, names, long_lags(len(inside)))


def level_shifts(power_per_price: Floats, step: pd.DataFrame) -> Fit:
    """By how much did the level of log (hashrate x J/TH / price) move at each step, each against the regime before it?

    If the margin returns to its mean, a halving takes log 2 away (the same price pays for half the energy) and an event
    that only moves machines from one country to another takes nothing, once they are back. HAC lag: `long_lags`.
    Names: constant and the steps' names.
    """
    design = np.column_stack([np.ones(len(step)), *(step[name].to_numpy() for name in step)])
    return ols(power_per_price, design, ["constant", *step.columns], long_lags(len(step)))


def shift_table(fit: Fit, step: pd.DataFrame) -> pd.DataFrame:
    """The steps of a fit in logs as shares: name, low, mid, high (95 %), theory.

    A share of -0.5 is a fall by half. theory: -0.5 for names that end in "halving", 0 for the others (`level_shifts`).
    """
    names = [str(name) for name in step.columns]
    rows = [(name, *np.expm1([fit.interval(name)[0], fit.at(name)[0], fit.interval(name)[1]])) for name in names]
    table = pd.DataFrame(rows, columns=["name", "low", "mid", "high"])
    return table.assign(theory=[-0.5 if name.endswith("halving") else 0.0 for name in names])


# ------------------------------------------------------------------------------------------------------- the short run
def _lagged(series: Floats, lags: int) -> list[Floats]:
    """Lags 1..lags of a series, aligned with series[lags:]."""
    return [series[lags - i : len(series) - i] for i in range(1, lags + 1)]


def choose_lags(weeks: pd.DataFrame, most: int = 8) -> int:
    """Lagged differences of both series by AIC of the two-equation system, 1 to `most`, on one common sample."""
    growth = np.diff(weeks[["log_hashrate", "log_price"]].to_numpy(), axis=0)
    most = max(1, min(most, len(growth) // 20))
    n = len(growth) - most
    criteria = []
    for lags in range(1, most + 1):
        x = np.column_stack([np.ones(n), *(growth[most - i : len(growth) - i] for i in range(1, lags + 1))])
        residuals = growth[most:] - x @ np.linalg.lstsq(x, growth[most:], rcond=None)[0]
        criteria.append(np.linalg.slogdet(residuals.T @ residuals / n)[1] + 2 * 2 * x.shape[1] / n)
    return int(np.argmin(criteria)) + 1


def ecm(effect: Floats, cause: Floats, gap: Floats, lags: int, extra: Mapping[str, Floats] | None = None) -> Fit:
    """Error-correction equation: growth of `effect` on last week's gap and on `lags` lagged growths of both series.

    effect, cause : log levels, (n,); gap : (n,), positive where price supports more hashrate; extra : further
    regressors, (n,). Names: constant, gap, own1.., cause1.., extras. The coefficient of gap is the adjustment speed a
    week. Its Student p-value holds only if the relation exists; without one it flatters (Banerjee, Dolado & Mestre
    1998).
    """
    dy, dx = np.diff(effect), np.diff(cause)
    columns: list[Floats] = [np.ones(len(dy) - lags), gap[lags:-1], *_lagged(dy, lags), *_lagged(dx, lags)]
    names = ["constant", "gap", *(f"own{i}" for i in range(1, lags + 1)), *(f"cause{i}" for i in range(1, lags + 1))]
    for name, values in (extra or {}).items():
        columns.append(values[lags + 1 :])
        names.append(name)
    return ols(dy[lags:], np.column_stack(columns), names)


def half_life(speed: float) -> float:
    """Weeks until half of a gap is closed when a share `speed` of it closes each week; inf if it stays open.

    >>> round(half_life(0.05), 1), half_life(-0.01)
    (13.5, inf)
    """
    return float(np.log(0.5) / np.log1p(-speed)) if 0 < speed < 1 else float("inf")


def both_ways(weeks: pd.DataFrame, gaps: Mapping[str, Floats], lags: int) -> pd.DataFrame:
    """Error-correction equations in both directions for each gap: who moves when price and hashrate have drifted apart?

    One row a gap and direction: gap, mover ("hashrate", "price"), speed (share of the gap that the mover closes a week;
    negative where it opens it), low, high (95 %, turned like the speed), t (HAC), half_life (weeks, by this mover
    alone), lags_p (joint test that the other series' recent growth adds nothing). t is not Student's where the gap was
    estimated or has a root: judge it by `chance_of_speed`.
    """
    series = {"hashrate": weeks["log_hashrate"].to_numpy(), "price": weeks["log_price"].to_numpy()}
    rows = []
    for name, gap in gaps.items():
        for mover, other, sign in (("hashrate", "price", 1), ("price", "hashrate", -1)):
            fit = ecm(series[mover], series[other], gap, lags)
            speed, error = sign * fit.at("gap")[0], fit.at("gap")[1]
            low, high = sorted(sign * end for end in fit.interval("gap"))
            joint = wald(fit, [f"cause{i}" for i in range(1, lags + 1)])
            rows.append((name, mover, speed, low, high, speed / error, half_life(speed), joint.p))
    columns = ["gap", "mover", "speed", "low", "high", "t", "half_life", "lags_p"]
    return pd.DataFrame(rows, columns=columns)


def untied(weeks: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A world without a tie: two independent walks with the drifts and spreads of `weeks`, and its luck.

    Growths are Gaussian. The luck of blocks, of standard error 1/sqrt(blocks), is laid on each week's log hashrate, and
    its share of the growth's variance is taken off the walk. Everything else of `weeks` stays as it is; a column
    `margin` moves with the new price and hashrate.
    """
    price, hashrate = weeks["log_price"].to_numpy(), weeks["log_hashrate"].to_numpy()
    n, luck = len(weeks), 1 / np.sqrt(weeks["blocks"].to_numpy(dtype=float))
    growth = np.diff(hashrate)
    news = np.sqrt(max(float(growth.var() - 2 * (luck**2).mean()), 0.1 * float(growth.var())))
    walk_price = np.cumsum(np.concatenate([price[:1], rng.normal(np.diff(price).mean(), np.diff(price).std(), n - 1)]))
    walk = np.cumsum(np.concatenate([hashrate[:1], rng.normal(growth.mean(), news, n - 1)])) + luck * rng.normal(size=n)
    made = weeks.assign(log_price=walk_price, log_hashrate=walk)
    if "margin" in weeks:
        made["margin"] = weeks["margin"] + (walk_price - price) - (walk - hashrate)
    return made


def gaps_of(weeks: pd.DataFrame) -> dict[str, Floats]:
    """The gaps between the series: "line" (`long_run`, estimated) and, where there is a column margin, "margin"."""
    found = {"line": long_run(weeks["log_hashrate"].to_numpy(), weeks["log_price"].to_numpy())[1]}
    if "margin" in weeks:
        found["margin"] = weeks["margin"].to_numpy() - float(weeks["margin"].mean())
    return found


def chance_of_speed(
    answers: pd.DataFrame, weeks: pd.DataFrame, lags: int, draws: int, rng: np.random.Generator
) -> pd.DataFrame:
    """What a world without a tie would show: `answers` with chance and usual added.

    answers : `both_ways` of `gaps_of(weeks)`. `draws` worlds of `untied` are put through the same steps. chance: share
    of them in which the mover's t is at least as large ((1 + count) / (1 + draws), one-sided: closing). usual: their
    mean speed, which the estimate of a line alone brings about.
    """
    worlds = (untied(weeks, rng) for _ in range(draws))
    seen = pd.concat([both_ways(world, gaps_of(world), lags) for world in worlds])
    rows = []
    for row in answers[["gap", "mover", "t"]].itertuples(index=False):
        same = seen[(seen["gap"] == row.gap) & (seen["mover"] == row.mover)]
        rows.append(((1 + int((same["t"] >= row.t).sum())) / (1 + draws), float(same["speed"].mean())))
    chance, usual = zip(*rows, strict=True)
    return answers.assign(chance=chance, usual=usual)


def toda_yamamoto(effect: Floats, cause: Floats, lags: int) -> Wald:
    """Do past levels of `cause` help to foresee `effect`? Valid with or without a long-run relation.

    Toda & Yamamoto (1995). It says what helps a forecast, not what causes what (Granger 1969).

    A VAR with `lags` + 1 lags of the levels, a constant and a trend; the joint HAC test is on the first `lags` lags of
    `cause`, the last one being there only to keep the test's distribution standard.
    """
    p = lags + 1
    names = ["constant", "trend", *(f"own{i}" for i in range(1, p + 1)), *(f"cause{i}" for i in range(1, p + 1))]
    n = len(effect) - p
    fit = ols(
        effect[p:], np.column_stack([np.ones(n), np.arange(n) / n, *_lagged(effect, p), *_lagged(cause, p)]), names
    )
    return wald(fit, [f"cause{i}" for i in range(1, lags + 1)])


def chow(effect: Floats, cause: Floats, gap: Floats, lags: int, after: Floats) -> Wald:
    """Did the error-correction equation change at a known week? HAC Chow test of constant, gap and cause lags.

    after : 0/1 step, (n,). The own lags are held common, which keeps the test from asking too much of short regimes.
    """
    base = ecm(effect, cause, gap, lags)
    dx = np.diff(cause)
    shift = after[lags + 1 :]
    moved = {"after": shift, "after_gap": shift * gap[lags:-1]}
    moved |= {f"after_cause{i}": shift * column for i, column in enumerate(_lagged(dx, lags), start=1)}
    full = {name: np.concatenate([np.full(lags + 1, np.nan), values]) for name, values in moved.items()}
    fit = ecm(effect, cause, gap, lags, full)
    return wald(fit, [name for name in fit.names if name not in base.names])


def local_projection(effect: Floats, cause: Floats, horizons: Sequence[int], lags: int) -> pd.DataFrame:
    """Response of log `effect`, h weeks on, to an unforeseen log point of `cause` in week 0 (Jorda 2005).

    For each h: log effect(t+h) - log effect(t-1) on the growth of `cause` in week t, and on `lags` earlier growths of
    both. The earlier growths make the week's move a surprise as far as the two series' own past goes; news that moves
    both at once is still in it. HAC lag: at least h, for the overlap; 95 % interval pointwise, fixed-b.
    Returns horizon (weeks), response (log points per log point: an elasticity), low, high, nobs. Horizons for which
    fewer than 3 observations a coefficient and an eighth of the weeks remain are left out.
    """
    dy, dx = np.diff(effect), np.diff(cause)
    controls = np.column_stack([np.ones(len(dy) - lags), dx[lags:], *_lagged(dx, lags), *_lagged(dy, lags)])
    names = ["constant", "shock", *(f"x{i}" for i in range(1, lags + 1)), *(f"y{i}" for i in range(1, lags + 1))]
    rows = []
    for h in horizons:
        target = effect[lags + 1 + h :] - effect[lags : len(effect) - 1 - h]
        n = len(target)
        if n < 3 * len(names) or n < 8 * h:
            continue
        fit = ols(target, controls[:n], names, newey_west_lags(n, overlap=h))
        low, high = fit.interval("shock")
        rows.append((h, fit.at("shock")[0], low, high, n))
    return pd.DataFrame(rows, columns=["horizon", "response", "low", "high", "nobs"])


# ---------------------------------------------------------------------------------------------------------- forecasts
RULES = {
    "no change": "the hashrate stays where it is",
    "drift": "it grows on at the mean rate of the window",
    "recent growth": "it grows on at the mean rate of the last 13 weeks",
    "own lags": "regression on its own recent growth",
    "error correction, line": "regression on the estimated gap and on recent growth of both",
    "error correction, margin": "regression on the mining margin and on recent growth of both",
}


def _direct(y: Floats, horizon: int, lags: int, gap: Floats | None = None, x: Floats | None = None) -> float:
    """Forecast of y's growth over `horizon` weeks from its end, from its own growths, a gap and x's growths."""
    at = np.arange(lags, len(y))  # weeks with all regressors; growth[t - 1] is that of week t
    columns: list[Floats] = [np.ones(len(at))]
    for series in (y,) if x is None else (y, x):
        growth = np.diff(series)
        columns += [growth[at - 1 - i] for i in range(lags)]
    design = np.column_stack(columns if gap is None else [*columns, gap[at]])
    known = len(at) - horizon  # the rest of the window does not know its outcome yet
    coef = np.linalg.lstsq(design[:known], y[at[:known] + horizon] - y[at[:known]], rcond=None)[0]
    return float(design[-1] @ coef)


def rolling_forecasts(weeks: pd.DataFrame, horizon: int, window: int, lags: int = 2) -> pd.DataFrame:
    """Forecasts of log hashrate growth `horizon` weeks ahead, from every week that has `window` weeks of past.

    weeks : as `weekly` gives; with a column `margin` (log, no blanks) the margin's rule is run too. Each origin uses
    only the `window` weeks that end with it: the line, the regressions and the means are estimated anew. A fixed window
    keeps tests between nested rules regular (Giacomini & White 2006) and can forget.
    Returns one row an origin: date (origin), actual (log growth that came), and one column a rule of RULES.
    """
    y, x = weeks["log_hashrate"].to_numpy(), weeks["log_price"].to_numpy()
    margin = weeks["margin"].to_numpy() if "margin" in weeks else None
    rules = [rule for rule in RULES if margin is not None or rule != "error correction, margin"]
    rows = []
    for origin in range(window - 1, len(y) - horizon):
        past = slice(origin - window + 1, origin + 1)
        a, b = y[past], x[past]
        row = [
            0.0,
            horizon * (a[-1] - a[0]) / (window - 1),
            horizon * (a[-1] - a[-14]) / 13,
            _direct(a, horizon, lags),
            _direct(a, horizon, lags, long_run(a, b)[1], b),
        ]
        if margin is not None:
            row.append(_direct(a, horizon, lags, margin[past], b))
        rows.append((weeks["date"].iloc[origin], y[origin + horizon] - a[-1], *row))
    return pd.DataFrame(rows, columns=["date", "actual", *rules])


@dataclass(frozen=True)
class DieboldMariano:
    """Equal accuracy: mean loss difference (first minus second; negative favours the first), statistic, two-sided p."""

    difference: float
    statistic: float
    p: float
    nobs: int
    kernel: str


def diebold_mariano(loss_a: Floats, loss_b: Floats, horizon: int) -> DieboldMariano:
    """Diebold & Mariano (1995) with the factor and Student t of Harvey, Leybourne & Newbold (1997).

    The long-run variance sums horizon - 1 autocovariances with equal weight, as forecasts h steps ahead overlap by
    h - 1. Where that sum is not positive, Bartlett weights over the same lags are used, and `kernel` says so.
    Raises ValueError with fewer than 2 horizons of observations: no test is better than that one.

    >>> test = diebold_mariano(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 2.0, 2.0, 2.0]), horizon=1)
    >>> round(test.difference, 3), round(test.statistic, 3)          # 1 / sqrt(0.5/4) = 2.828, times sqrt(3/4)
    (1.0, 2.449)
    """
    d = np.asarray(loss_a, dtype=float) - np.asarray(loss_b, dtype=float)
    n, h = len(d), horizon
    if n < max(4, 2 * h):
        raise ValueError(f"{n} forecasts are too few to compare at a horizon of {h}")
    mean = float(d.mean())
    e = d - mean
    gamma = np.array([float(e[lag:] @ e[: n - lag]) / n for lag in range(h)])
    variance, kernel = float(gamma[0] + 2 * gamma[1:].sum()), "rectangular"
    if variance <= 0:
        weights = 1 - np.arange(1, h) / h
        variance, kernel = float(gamma[0] + 2 * (weights * gamma[1:]).sum()), "Bartlett"
    if variance <= 0:  # the two losses are the same throughout
        return DieboldMariano(mean, 0.0, 1.0, n, kernel)
    factor = (n + 1 - 2 * h + h * (h - 1) / n) / n
    statistic = mean / np.sqrt(variance / n) * np.sqrt(factor)
    return DieboldMariano(mean, float(statistic), float(2 * stats.t.sf(abs(statistic), n - 1)), n, kernel)


def score_rules(forecasts: pd.DataFrame, horizon: int, against: str = "drift") -> pd.DataFrame:
    """One row a rule: rmse, bias (log points, forecast minus actual), origins, p of equal accuracy with `against`.

    Squared errors, Diebold-Mariano; p is NaN for `against` itself and where the forecasts are too few.
    """
    actual = forecasts["actual"].to_numpy()
    rules = [rule for rule in RULES if rule in forecasts]
    error = {rule: forecasts[rule].to_numpy() - actual for rule in rules}
    rows = []
    for rule in rules if len(actual) else []:
        p = float("nan")
        if rule != against and len(actual) >= max(4, 2 * horizon):
            p = diebold_mariano(error[rule] ** 2, error[against] ** 2, horizon).p
        rows.append((rule, float(np.sqrt((error[rule] ** 2).mean())), float(error[rule].mean()), len(actual), p))
    return pd.DataFrame(rows, columns=["rule", "rmse", "bias", "origins", "p"])
