"""Growth curves with honest intervals, and rules for a monthly load that is long enough to test them on.

1. Log-linear, logistic, Gompertz and Bass curves by least squares. A prediction interval holds the error of the
   parameters and that of the next observation. Whether the data know a ceiling at all is asked of the likelihood: a
   curve whose ceiling may as well be infinite says so, and its intervals then hold every ceiling that the data allow.
2. Seasonal naive, Theta, ETS and ARIMA on monthly load, each run from past months with nothing but what came before.

Pure functions: arrays, series and frames in and out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, special, stats

from wattshift.refusal import Refusal

Floats = npt.NDArray[np.float64]
Errors = Literal["multiplicative", "additive"]

# ---------------------------------------------------------------- 1. curves

CURVES: dict[str, tuple[str, ...]] = {
    "log-linear": ("level", "rate"),
    "logistic": ("ceiling", "midpoint", "rate"),
    "Gompertz": ("ceiling", "midpoint", "rate"),
    "Bass": ("ceiling", "innovation", "imitation"),
}
"""Each curve and its parameters. With x in years, rates are per year.

log-linear : level exp(rate x')                       x' = x less the mean of the data
logistic   : ceiling / (1 + exp(-rate (x - midpoint)))         midpoint: half the ceiling
Gompertz   : ceiling exp(-exp(-rate (x - midpoint)))           midpoint: 37 % of the ceiling, where growth is fastest
Bass (1969): ceiling (1 - e) / (1 + imitation / innovation e), e = exp(-(innovation + imitation) (x - start))
"""
HUGE = 1e4  # a ceiling this many times the largest value is none
STEEP = 30.0  # logs of rates that a search may try; beyond, numbers overflow


def _log_shape(curve: str, x: Floats, theta: Floats, start: float) -> tuple[Floats, Floats]:
    """Log of a curve, (n,), and its slope in each inner parameter, (n, parameters).

    theta: ln level and rate, or ln ceiling, midpoint and ln rate, or ln of the three of Bass; for "endless" and
    "endless Bass", which curves become as their ceiling goes to infinity, ln level and rate, or ln of both.
    """
    one = np.ones_like(x)
    if curve in ("log-linear", "endless"):
        return np.asarray(theta[0] + theta[1] * x), np.column_stack([one, x])
    t = x - start
    if curve == "endless Bass":  # level (exp(rate t) - 1)
        rise = np.exp(min(theta[1], 1.0)) * t
        return np.asarray(theta[0] + np.log(np.expm1(rise))), np.column_stack([one, -rise / np.expm1(-rise)])
    if curve == "Bass":
        p, q = np.exp(np.minimum(theta[1:], STEEP))
        gone = np.exp(-(p + q) * t)
        below = 1 + q / p * gone
        ends = t * gone / -np.expm1(-(p + q) * t)
        by_p, by_q = ends + q / p * gone * (1 / p + t) / below, ends - gone * (1 / p - q / p * t) / below
        logs = theta[0] + np.log(-np.expm1(-(p + q) * t)) - np.log(below)
        return np.asarray(logs), np.column_stack([one, p * by_p, q * by_q])
    rate = np.exp(min(theta[2], STEEP))
    u = rate * (x - theta[1])
    if curve == "logistic":
        logs, steep = -np.logaddexp(0, -u), special.expit(-u)
    else:
        steep = np.exp(np.minimum(-u, STEEP))
        logs = -steep
    return np.asarray(theta[0] + logs), np.column_stack([one, -rate * steep, u * steep])


def _shape(curve: str, x: Floats, theta: Floats, start: float, errors: Errors) -> tuple[Floats, Floats]:
    """The same on the scale of the errors: logs, or the level itself."""
    logs, slope = _log_shape(curve, x, theta, start)
    if errors == "multiplicative":
        return logs, slope
    level = np.exp(np.minimum(logs, 700))
    return level, slope * level[:, None]


@dataclass(frozen=True)
class Fit:
    """One fitted curve.

    curve, errors : which curve; whether errors are shares of the level (fitted in logs) or amounts
    x, y          : the data it was fitted to, (n,)
    names, values : its parameters, as `CURVES` explains them
    rss           : residual sum of squares (of logs, where errors are shares)
    theta, centre, start : inner parameters; x that is subtracted; start of a Bass curve
    """

    curve: str
    errors: Errors
    x: Floats
    y: Floats
    names: tuple[str, ...]
    values: Floats
    rss: float
    theta: Floats
    centre: float
    start: float

    @property
    def dof(self) -> int:
        """Observations less parameters."""
        return len(self.x) - len(self.theta)

    @property
    def sigma(self) -> float:
        """Standard deviation of the residuals: a share, or an amount, as `errors` says."""
        return float(np.sqrt(self.rss / self.dof))

    def at(self, name: str) -> tuple[float, float]:
        """A parameter and its standard error (delta method). Raises Refusal where the data know no ceiling."""
        if not self.identified:
            raise Refusal(
                f"the {self.curve} curve has no parameters to quote: the data do not rule out that it has no ceiling."
            )
        place = self.names.index(name)
        logs = _in_logs(self.curve)[place]
        return float(self.values[place]), float(np.sqrt(self.cov[place, place]) * (self.values[place] if logs else 1.0))

    @cached_property
    def cov(self) -> Floats:
        """Covariance of the inner parameters (logs where a parameter is positive): sigma^2 (J'J)^-1."""
        return self._covariance(self.curve, self.theta)

    def _covariance(self, curve: str, theta: Floats, held: float | None = None) -> Floats:
        slope = self._at(self.x, curve, theta, held)[1]
        return np.asarray(self.sigma**2 * np.linalg.pinv(slope.T @ slope))

    def _at(self, x: Floats, curve: str, theta: Floats, held: float | None = None) -> tuple[Floats, Floats]:
        """Curve and slopes; with a ceiling held, theta are the other parameters."""
        whole = theta if held is None else np.concatenate([[held], theta])
        value, slope = _shape(curve, x - self.centre, whole, self.start - self.centre, self.errors)
        return value, slope if held is None else slope[:, 1:]

    @cached_property
    def ceiling(self) -> tuple[float, float] | None:
        """95 % profile-likelihood interval of the ceiling; its upper end is inf where no ceiling fits as well as this
        one. None for a curve without one.

        All ceilings at which the best curve has rss <= rss_min (1 + F(1, n - p) / (n - p)) (Bates & Watts 1988, 6.1).
        """
        if self.curve == "log-linear":
            return None
        limit = self.rss * (1 + stats.f.ppf(0.95, 1, self.dof) / self.dof)
        top = float(np.log(self.y.max() * HUGE))
        best = min(float(self.theta[0]), top)

        def over(log_ceiling: float) -> float:
            return float(self._given(log_ceiling)[1] - limit)

        low = best - 0.05
        while over(low) < 0 and best - low < 20:
            low -= 2 * (best - low)
        bottom = float(np.exp(optimize.brentq(over, low, best, xtol=1e-4))) if over(low) > 0 else 0.0
        if self._given(np.inf)[1] <= limit:
            return bottom, np.inf
        high = best + 0.05
        while high < top and over(high) < 0:
            high += high - best
        return bottom, float(np.exp(optimize.brentq(over, best, high, xtol=1e-4))) if over(high) > 0 else np.inf

    @property
    def identified(self) -> bool:
        """Whether the data rule out that there is no ceiling (True for a curve that has none by its form)."""
        return self.ceiling is None or bool(np.isfinite(self.ceiling[1]))

    @property
    def _limit(self) -> str:
        return "endless Bass" if self.curve == "Bass" else "endless"

    def _given(self, log_ceiling: float) -> tuple[Floats, float]:
        """The best two other parameters, and rss, with the ceiling held (inf: in the limit)."""
        x, start = self.x - self.centre, self.start - self.centre
        target = np.log(self.y) if self.errors == "multiplicative" else self.y
        if not np.isfinite(log_ceiling):
            first = _first_endless(self.curve, x, self.y, start)
            return _least(lambda free: self._at(self.x, self._limit, free), target, first)
        firsts = [self.theta[1:], _first(self.curve, x, self.y, float(np.exp(log_ceiling)), start)[1:]]
        found = [_least(lambda free: self._at(self.x, self.curve, free, log_ceiling), target, one) for one in firsts]
        return min(found, key=lambda one: one[1])

    def predict(self, x: npt.ArrayLike, level: float = 0.8) -> pd.DataFrame:
        """The curve and its prediction interval for one new observation at each x. Columns: x, low, mid, high.

        Holds the error of the parameters (delta method) and of the observation, with Student t on n - p degrees of
        freedom. Where the ceiling is not identified, each ceiling of the 95 % profile set (none at all among them)
        gives such an interval about its own best curve, and the envelope of them is given: it holds at least the level.
        """
        wanted = np.atleast_1d(np.asarray(x, dtype=float))
        middle = self._at(wanted, self.curve, self.theta)[0]
        curves: list[tuple[str, Floats, float | None]] = [(self.curve, self.theta, None)]
        if not self.identified and self.ceiling is not None:
            bottom = np.log(max(self.ceiling[0], self.y.max() / HUGE))
            held = np.linspace(bottom, np.log(self.y.max() * HUGE), 25).tolist()
            curves = [(self.curve, self._given(one)[0], one) for one in held] + [
                (self._limit, self._given(np.inf)[0], None)
            ]
        ends = np.array([self._interval(wanted, level, *one) for one in curves])
        low, high = ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)
        if self.errors == "multiplicative":
            low, middle, high = np.exp(low), np.exp(middle), np.exp(high)
        return pd.DataFrame({"x": wanted, "low": low, "mid": middle, "high": high})

    def _interval(
        self, wanted: Floats, level: float, curve: str, theta: Floats, held: float | None
    ) -> tuple[Floats, Floats]:
        middle, slope = self._at(wanted, curve, theta, held)
        spread = np.sqrt(np.einsum("ij,jk,ik->i", slope, self._covariance(curve, theta, held), slope) + self.sigma**2)
        half = stats.t.ppf((1 + level) / 2, self.dof) * spread
        return middle - half, middle + half


def fit(
    curve: str, x: npt.ArrayLike, y: npt.ArrayLike, errors: Errors = "multiplicative", start: float | None = None
) -> Fit:
    """Fit a curve by least squares. x: years (any order); y: positive levels; start: where a Bass curve is nothing.

    errors: "multiplicative" (shares of the level: fitted in logs, for levels of demand) or "additive". A Bass curve
    counts from `start`, the year before the first x unless given. Raises Refusal for an unknown curve, levels that are
    not positive, and fewer levels than parameters and one more.

    >>> doubling = fit("log-linear", [2020, 2021, 2022, 2023], [100, 200, 400, 800])
    >>> [round(float(value), 3) for value in (np.exp(doubling.at("rate")[0]), doubling.predict(2024)["mid"].iloc[0])]
    [2.0, 1600.0]
    """
    if curve not in CURVES:
        raise Refusal(f"there is no curve {curve!r}; the curves are {', '.join(CURVES)}.")
    years, levels = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if years.shape != levels.shape or not (
        np.isfinite(years).all() and np.isfinite(levels).all() and (levels > 0).all()
    ):
        raise Refusal(f"a {curve} curve needs as many positive levels as years; given {len(years)} and {len(levels)}.")
    needed = len(CURVES[curve]) + 1
    if len(np.unique(years)) < needed:
        raise Refusal(
            f"{len(np.unique(years))} levels cannot fit a {curve} curve and leave an error to judge it by: "
            f"{needed} are needed."
        )
    start = float(years.min() - 1 if start is None else start)
    if curve == "Bass" and start >= years.min():
        raise Refusal(f"a Bass curve is nothing at its start, {start:g}, so the first level must come later.")
    centre = float(years.mean())
    moved, begin = years - centre, start - centre
    target = np.log(levels) if errors == "multiplicative" else levels
    if curve == "log-linear":
        slope, level = np.polyfit(moved, np.log(levels), 1)
        firsts = [np.array([level, slope])]
    else:
        firsts = [_first(curve, moved, levels, levels.max() * times, begin) for times in (1.1, 2, 20)]
    found = [_least(lambda free: _shape(curve, moved, free, begin, errors), target, first) for first in firsts]
    theta, rss = min(found, key=lambda one: one[1])
    top = float(np.log(levels.max() * HUGE))
    if curve != "log-linear" and theta[0] > top:  # it ran off: hold the ceiling there

        def held(free: Floats) -> tuple[Floats, Floats]:
            value, slopes = _shape(curve, moved, np.concatenate([[top], free]), begin, errors)
            return value, slopes[:, 1:]

        rest, rss = _least(held, target, _first(curve, moved, levels, float(np.exp(top)), begin)[1:])
        theta = np.concatenate([[top], rest])
    values = np.where(_in_logs(curve), np.exp(theta), theta)
    if curve in ("logistic", "Gompertz"):
        values[1] += centre
    return Fit(curve, errors, years, levels, CURVES[curve], values, rss, theta, centre, start)


def _in_logs(curve: str) -> list[bool]:
    """Which inner parameters are logs."""
    return {"log-linear": [True, False], "Bass": [True, True, True]}.get(curve, [True, False, True])


def _first(curve: str, x: Floats, y: Floats, ceiling: float, start: float) -> Floats:
    """Parameters to start the search from, with a given ceiling: a line through the transformed shares."""
    share = np.clip(y / ceiling, 1e-9, 1 - 1e-3)
    if curve == "Bass":
        rate = np.log(y[np.argmax(x)] / y[np.argmin(x)]) / (x.max() - x.min())
        q = float(np.clip(rate, 0.01, 2))
        level = y[np.argmax(x)] / ceiling
        p = float(np.clip(q * level / np.expm1(q * (x.max() - start)), 1e-9, 0.5))
        return np.array([np.log(ceiling), np.log(p), np.log(q)])
    seen = special.logit(share) if curve == "logistic" else -np.log(-np.log(share))
    slope, level = np.polyfit(x, seen, 1)
    slope = max(float(slope), 1e-4)
    return np.array([np.log(ceiling), -level / slope, np.log(slope)])


def _first_endless(curve: str, x: Floats, y: Floats, start: float) -> Floats:
    slope, level = np.polyfit(x, np.log(y), 1)
    if curve != "Bass":
        return np.array([level, slope])
    rate = max(float(slope), 1e-3)
    return np.array([np.log(y.mean() / np.expm1(rate * (x - start)).mean()), np.log(rate)])


def _least(model: Callable[[Floats], tuple[Floats, Floats]], target: Floats, first: Floats) -> tuple[Floats, float]:
    """Parameters of least squares from a first guess (Levenberg-Marquardt), and the sum of squares."""
    with np.errstate(over="ignore"):  # leastsq inverts a Jacobian for a covariance that we do not use
        theta, _, about, _, _ = optimize.leastsq(
            lambda free: model(free)[0] - target, first, Dfun=lambda free: model(free)[1], full_output=True,
            xtol=1e-12, ftol=1e-12, maxfev=400,
        )  # fmt: skip
    return np.asarray(theta, dtype=float), float(about["fvec"] @ about["fvec"])


# ---------------------------------------------------------------- 2. a monthly load

SEASON = 12
RULES = ("last month", "same month last year", "Theta", "ETS", "ARIMA")
"""No change; no change but for the season; the Theta method (Assimakopoulos & Nikolopoulos 2000, in the form of Hyndman
& Billah 2003); exponential smoothing with damped trend and season (ETS A,Ad,A); the airline model (0,1,1)(0,1,1)12.
All in logs."""


def monthly_forecasts(load: pd.Series[float], train: int, horizon: int = SEASON) -> pd.DataFrame:
    """Forecasts of a monthly load by every rule, from every month after the first `train` on, as they would have been.

    load : positive, DatetimeIndex of months without a gap. Parameters are estimated once, on the first `train` months;
    later months only update level, trend and season, so nothing is known before its month.
    A row: rule, origin (the last month known), ahead (months, 1 to horizon), month, forecast (log), truth (log; blank
    after the end of the series). Raises Refusal for under four years to train on, a horizon over a year, and gaps.
    """
    if not SEASON * 4 <= train <= len(load) or not 1 <= horizon <= SEASON:
        raise Refusal(
            f"{train} months of {len(load)} to train on and {horizon} ahead are not possible: train on 48 or more, and "
            "look 1 to 12 months ahead."
        )
    if not isinstance(load.index, pd.DatetimeIndex) or not load.index.equals(
        pd.date_range(load.index[0], periods=len(load), freq="MS")
    ):
        raise Refusal("the load has a month missing or doubled; give one value for the first day of each month.")
    if not (load > 0).all():
        raise Refusal(f"a load is positive; its lowest month here is {load.min():g}.")
    monthly = load.asfreq("MS").astype(float)
    logs = pd.Series(np.log(monthly.to_numpy()), index=monthly.index)
    origins = np.arange(train - 1, len(logs))
    ahead = np.arange(1, horizon + 1)
    y = logs.to_numpy()
    month = origins[:, None] + ahead
    tables = {
        "last month": np.repeat(y[origins, None], horizon, axis=1),
        "same month last year": y[month - SEASON],
        "Theta": _theta(logs, train, origins, ahead),
        "ETS": _ets(logs, train, origins, ahead),
        "ARIMA": _airline(logs, train, origins, ahead),
    }
    dates = pd.date_range(load.index[0], periods=len(y) + horizon, freq="MS")
    truth = np.concatenate([y, np.full(horizon, np.nan)])[month]
    parts = [
        pd.DataFrame({
            "rule": rule, "origin": dates[origins].repeat(horizon), "ahead": np.tile(ahead, len(origins)),
            "month": dates[month.ravel()], "forecast": table.ravel(), "truth": truth.ravel(),
        })
        for rule, table in tables.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _theta(logs: pd.Series[float], train: int, origins: npt.NDArray[np.intp], ahead: npt.NDArray[np.intp]) -> Floats:
    """Simple smoothing of the deseasonalised logs plus half the slope of their line, (origins, horizon)."""
    from statsmodels.tsa.forecasting.theta import ThetaModel
    from statsmodels.tsa.seasonal import seasonal_decompose

    known = logs.iloc[:train]
    alpha = float(ThetaModel(known, period=SEASON, method="additive").fit().params["alpha"])
    seasonal = seasonal_decompose(known, model="additive", period=SEASON).seasonal.to_numpy()[:SEASON]
    season = np.resize(seasonal, len(logs) + SEASON)
    flat = logs.to_numpy() - season[: len(logs)]
    level = np.empty(len(flat))
    level[0] = flat[0]
    for place in range(1, len(flat)):
        level[place] = alpha * flat[place] + (1 - alpha) * level[place - 1]
    n = origins + 1.0
    sums, weighted = np.cumsum(flat)[origins], np.cumsum(flat * np.arange(1, len(flat) + 1))[origins]
    slope = 12 * (weighted - sums * (n + 1) / 2) / (n * (n**2 - 1))
    reach = ahead - 1 + (1 - (1 - alpha) ** n[:, None]) / alpha
    return np.asarray(level[origins, None] + slope[:, None] / 2 * reach + season[origins[:, None] + ahead])


def _ets(logs: pd.Series[float], train: int, origins: npt.NDArray[np.intp], ahead: npt.NDArray[np.intp]) -> Floats:
    """Level, damped trend and season of exponential smoothing, carried forward from each origin."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    shape = {"error": "add", "trend": "add", "damped_trend": True, "seasonal": "add", "seasonal_periods": SEASON}
    fitted = ETSModel(logs.iloc[:train], **shape).fit(disp=0)
    states = ETSModel(logs, **shape).smooth(fitted.params).states.to_numpy()
    damping = np.cumsum(fitted.damping_trend ** np.arange(1.0, len(ahead) + 1))
    level, trend, season = states[origins, 0], states[origins, 1], states[origins[:, None] + ahead - SEASON, 2]
    return np.asarray(level[:, None] + trend[:, None] * damping + season)


def _airline(logs: pd.Series[float], train: int, origins: npt.NDArray[np.intp], ahead: npt.NDArray[np.intp]) -> Floats:
    """The airline model's mean forecasts, from its filtered states."""
    from statsmodels.tsa.arima.model import ARIMA
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    steps = logs.iloc[:train].diff().diff(SEASON).dropna()
    fitted = ARIMA(steps, order=(0, 0, 1), seasonal_order=(0, 0, 1, SEASON), trend="n").fit(method="innovations_mle")
    filtered = SARIMAX(logs, order=(0, 1, 1), seasonal_order=(0, 1, 1, SEASON)).filter(fitted.params)
    state = filtered.predicted_state[:, origins + 1]
    design, transition = filtered.filter_results.design[:, :, 0], filtered.filter_results.transition[:, :, 0]
    columns = []
    for _ in ahead:
        columns.append((design @ state)[0])
        state = transition @ state
    return np.column_stack(columns)


def own_error_bands(forecasts: pd.DataFrame, level: float = 0.8, needed: int = 36) -> pd.DataFrame:
    """The same rows with low and high (logs): each forecast and the central quantiles of its rule's own past errors.

    Only errors of the same distance whose months were over at the origin are used, and rows with fewer than `needed` of
    them are left out. No rule is believed about its own uncertainty.
    """
    kept = []
    for _, part in forecasts.groupby(["rule", "ahead"], sort=False):
        part = part.sort_values("origin", ignore_index=True)
        distance = int(part["ahead"].iloc[0])
        off = (part["truth"] - part["forecast"]).to_numpy()
        rows = np.arange(needed + distance - 1, len(part))  # errors 0 .. row - distance are known
        if not len(rows):
            continue
        tails = [(1 - level) / 2, (1 + level) / 2]
        ends = np.array([np.quantile(off[: row - distance + 1], tails) for row in rows])
        chosen = part.iloc[rows]
        kept.append(chosen.assign(low=chosen["forecast"] + ends[:, 0], high=chosen["forecast"] + ends[:, 1]))
    if not kept:
        raise Refusal(f"no rule has {needed} past errors yet, so none has a band; start the forecasts earlier.")
    return pd.concat(kept, ignore_index=True)
