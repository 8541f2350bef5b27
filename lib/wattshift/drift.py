"""How a loading moves: windows that roll or grow, a Kalman filter, and whether it moves at all.

The regression is that of `loadings`, y = alpha + sum of beta_j x_j + e, with coefficients that may change.

Windows. Two windows that end a day apart share all days but two, so their estimates are one estimate twice: the line
they draw is smooth whether or not the loading is. A band that covers each day's value 95 times in 100 therefore says
little about the line. `windows` gives that pointwise band (Newey & West) and a wider one that covers the whole line 95
times in 100, its width taken from redrawn errors that keep the overlap as it is.

States. `walk` lets chosen coefficients follow random walks and estimates by maximum likelihood how far they step
(statsmodels, exact diffuse start). *Filtered* values use the days up to each day, *smoothed* ones all days. The bands
take the step sizes as known.

Movement. The likelihood ratio of "no steps" lies on the edge of what is allowed, where chi-squared does not hold, and
fat tails upset it. `moves` therefore uses the score test of Nyblom (1989) and Hansen (1992), with wild draws.

R². `shares_of_change` splits a change of R² exactly among the loadings, the factors' covariance and the rest of the
return's variance: R² may fall while no loading moves.

Pure functions: series and frames in, frames and small records out. Bad input raises `Refusal`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.stats.sandwich_covariance import S_hac_simple
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from wattshift import breaks
from wattshift.leadlag import newey_west_lags
from wattshift.refusal import Refusal
from wattshift.returns import FEWEST

Floats = NDArray[np.floating[Any]]


# ------------------------------------------------------------------------------------------------------------- windows
def windows(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    days: int,
    *,
    rng: np.random.Generator,
    growing: bool = False,
    level: float = 0.95,
    draws: int = 999,
) -> pd.DataFrame:
    """Coefficients over windows of `days` that roll (or grow from the first day), with two bands.

    growing : windows start on the first day and hold `days` at least
    Index: last day of the window; columns are pairs (coefficient, column) with
    coef, se  : estimate and its Newey-West error, lag floor(4 (w/100)^(2/9)) for w days in the window
    low, high : pointwise band, Student's t with w - k degrees of freedom
    line_low, line_high : band for the whole line at once, that is for the loadings as they were on average in each
                window. In a draw every day's score keeps its size (the residual of the window around the day over
                1 - its leverage) and gets a random sign; sd is what a window's estimate then spreads, and the half
                width c sd, c the `level` quantile of the largest |draw|/sd along the line. Scores of different days
                are taken as uncorrelated. In simulated samples a 95 % band held the whole line in 92 of 100.
    A grown window leans on all days before it: the two kinds answer different questions.

    >>> day = pd.date_range("2024-01-01", periods=300)
    >>> draw = np.random.default_rng(1)
    >>> x = pd.DataFrame({"bitcoin": draw.normal(0, 0.03, 300)}, index=day)
    >>> y = 2 * x["bitcoin"] + draw.normal(0, 0.01, 300)
    >>> path = windows(y, x, 100, rng=draw, draws=199)
    >>> len(path), bool(path["bitcoin", "line_low"].le(2).all() and path["bitcoin", "line_high"].ge(2).all())
    (201, True)
    """
    of = breaks.sample(y, x)
    n, k = of.x.shape
    if not 3 * k <= days <= n:
        raise Refusal(f"a window of {days} days does not suit {n} days and {k} coefficients; it takes {3 * k} to {n}")
    if not 0 < level < 1:
        raise Refusal(f"a level lies between 0 and 1; given {level}")
    last = np.arange(days, n + 1)
    first = np.zeros_like(last) if growing else last - days
    coef, se, inverse = np.empty((len(last), k)), np.empty((len(last), k)), np.empty((len(last), k, k))
    for row, (a, b) in enumerate(zip(first, last, strict=True)):
        inside = of.x[a:b]
        inverse[row] = np.linalg.inv(inside.T @ inside)
        coef[row] = inverse[row] @ (inside.T @ of.y[a:b])
        score = inside * (of.y[a:b] - inside @ coef[row])[:, None]
        middle = S_hac_simple(score, nlags=newey_west_lags(b - a))
        se[row] = np.sqrt(np.diag(inverse[row] @ middle @ inverse[row]))
    around = np.clip(np.arange(n) - days + days // 2, 0, len(last) - 1)  # the window that has the day in its middle
    leverage = np.einsum("ti,tij,tj->t", of.x, inverse[around], of.x)
    score = of.x * ((of.y - (of.x * coef[around]).sum(axis=1)) / (1 - leverage))[:, None]
    sums = np.zeros((n + 1, k, draws))
    np.cumsum(score[:, :, None] * (rng.integers(0, 2, (n, 1, draws)) * 2.0 - 1.0), axis=0, out=sums[1:])
    moved = inverse @ (sums[last] - sums[first])
    sd = np.sqrt((moved**2).mean(axis=2))
    wide = np.quantile((np.abs(moved) / sd[..., None]).max(axis=0), level, axis=1)
    columns: dict[tuple[str, str], Floats] = {}
    for i, name in enumerate(of.names):
        point = stats.t.ppf(0.5 + level / 2, last - first - k) * se[:, i]
        line = wide[i] * sd[:, i]
        columns |= {(name, "coef"): coef[:, i], (name, "se"): se[:, i]}
        columns |= {(name, "low"): coef[:, i] - point, (name, "high"): coef[:, i] + point}
        columns |= {(name, "line_low"): coef[:, i] - line, (name, "line_high"): coef[:, i] + line}
    return pd.DataFrame(columns, index=of.days[last - 1])


# -------------------------------------------------------------------------------------------------------------- states
@dataclass(frozen=True)
class Walk:
    """Coefficients that follow random walks.

    filtered, smoothed : columns (coefficient, "coef" | "low" | "high") by day; the bands take the steps as known. The
                         first filtered days, as many as there are coefficients, are missing
    steps  : standard deviation of a day's step by moving coefficient
    error  : standard deviation of e on a day of weight 1
    weights: what each day counts for, mean 1 (all 1 unless a scale or tails are given)
    loglik : log-likelihood given the weights; loglik_still : of the same days and weights without steps
    """

    filtered: pd.DataFrame
    smoothed: pd.DataFrame
    steps: "pd.Series[float]"
    error: float
    weights: "pd.Series[float]"
    loglik: float
    loglik_still: float


def walk(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    moving: Sequence[str] | None = None,
    *,
    scale: "pd.Series[float] | None" = None,
    tails: float | None = None,
    level: float = 0.95,
) -> Walk:
    """Random-walk coefficients by maximum likelihood and the Kalman filter; those not `moving` hold throughout.

    scale : relative standard deviation of the error by day (`spread`), so that wild stretches count for less
    tails : degrees of freedom of Student's t errors, none for normal ones. A day then weighs (v + 1)/(v + z²), z² the
            expected squared error over its variance given all days, renewed until it settles (mean-field EM; Lange,
            Little & Taylor 1989). One day of +60 % no longer passes for a move of the loading. `filtered` then uses
            later days too, through the weights.
    The filter starts knowing nothing (exact diffuse).

    >>> from statsmodels.datasets import nile  # Durbin & Koopman (2012), section 2.10: 15,099, 1,469.1 and -632.54
    >>> flow = nile.load_pandas().data.set_index("year")["volume"].astype(float)
    >>> found = walk(flow, pd.DataFrame(index=flow.index))
    >>> round(found.error**2, -2), round(float(found.steps["alpha"]) ** 2, -1), round(found.loglik, 2)
    (15100.0, 1470.0, -632.55)
    """
    of = breaks.sample(y, x, moving)
    n, k = of.x.shape
    if not 0 < level < 1 or (tails is not None and not 2 < tails < math.inf):
        raise Refusal(f"a level lies between 0 and 1, degrees of freedom above 2; given {level} and {tails}")
    spreads = np.ones(n) if scale is None else scale.reindex(of.days).to_numpy(float)
    if not (np.isfinite(spreads).all() and (spreads > 0).all()):
        raise Refusal("the scale of the error needs a positive number for every day of the sample")
    base = 1 / spreads**2
    weights, start = base / base.mean(), None
    for _ in range(1 if tails is None else 20):
        fit = _fit_walk(of, np.sqrt(weights), start)
        if tails is None:
            break
        start = fit.best
        left = of.y - (of.x * fit.state.T).sum(axis=1)
        square = left**2 + np.einsum("ti,ijt,tj->t", of.x, fit.state_cov, of.x)
        renewed = base * (tails + 1) / (tails + square * base / (fit.error**2 * base.mean()))
        renewed, before = renewed / renewed.mean(), weights
        weights = renewed
        if np.abs(renewed / before - 1).max() < 0.02:
            break
    z = float(stats.norm.ppf(0.5 + level / 2))
    return Walk(
        _bands(fit.filtered, fit.filtered_cov, of, z, k),
        _bands(fit.state, fit.state_cov, of, z, 0),
        pd.Series(fit.steps, index=[of.names[i] for i in of.at]),
        fit.error,
        pd.Series(weights, index=of.days),
        fit.loglik,
        fit.loglik_still,
    )


class _Fit(NamedTuple):
    """One weighted fit: log parameters, steps, error, states and covariances (k, n), (k, k, n), log-likelihoods."""

    best: Floats
    steps: Floats
    error: float
    state: Floats
    state_cov: Floats
    filtered: Floats
    filtered_cov: Floats
    loglik: float
    loglik_still: float


def _fit_walk(of: breaks.Sample, root: Floats, start: Floats | None) -> _Fit:
    """Maximum likelihood with every row multiplied by `root`. start: log parameters to start from, if any."""
    n, k = of.x.shape
    wy, wx = of.y * root, of.x * root[:, None]
    u = wy - wx @ np.linalg.lstsq(wx, wy, rcond=None)[0]
    unit = math.sqrt(float(u @ u) / (n - k))
    size = np.sqrt((wx[:, of.at] ** 2).mean(axis=0)) / unit  # a step of 1/size moves a day's return by one error
    model = KalmanSmoother(1, k, len(of.at), initialization="diffuse")
    model.bind((wy / unit)[:, None].copy())
    model["design"] = (wx.T / unit)[None, :, :]
    model["transition"] = np.eye(k)
    model["selection"] = np.eye(k)[:, of.at]

    def unlikely(logs: Floats) -> float:
        model["obs_cov", 0, 0] = math.exp(2 * logs[0])
        model["state_cov"] = np.diag(np.exp(2 * logs[1:]) / size**2)
        return -float(model.loglike())

    if start is None:
        starts = [np.concatenate([[0.0], np.full(len(of.at), math.log(step))]) for step in (0.003, 0.03, 0.3)]
        start = min(starts, key=unlikely)
    bounds = [(-3.0, 1.5), *[(math.log(1e-5), 1.5)] * len(of.at)]
    best = optimize.minimize(unlikely, start, method="L-BFGS-B", bounds=bounds)
    still = unlikely(np.concatenate([[0.0], np.full(len(of.at), -40.0)]))  # at the error's own best, unit
    constant = float(np.log(root).sum()) - n * math.log(unit) + k / 2 * math.log(2 * math.pi)
    unlikely(best.x)  # leaves the model at its best
    found = model.smooth()
    return _Fit(
        best.x,
        np.exp(best.x[1:]) / size,
        math.exp(best.x[0]) * unit,
        found.smoothed_state,
        found.smoothed_state_cov,
        found.filtered_state,
        found.filtered_state_cov,
        constant - float(best.fun),
        constant - still,
    )


def _bands(state: Floats, cov: Floats, of: breaks.Sample, z: float, skip: int) -> pd.DataFrame:
    """States (k, n) and covariances (k, k, n) as a frame with bands; the first `skip` days are missing."""
    columns: dict[tuple[str, str], Floats] = {}
    for i, name in enumerate(of.names):
        mid, half = state[i].copy(), z * np.sqrt(np.maximum(cov[i, i], 0))
        mid[:skip] = np.nan
        columns |= {(name, "coef"): mid, (name, "low"): mid - half, (name, "high"): mid + half}
    return pd.DataFrame(columns, index=of.days)


def spread(residuals: "pd.Series[float]", halflife: float = 20.0, floor: float = 0.25) -> "pd.Series[float]":
    """Standard deviation of a residual by day from the days around it: exponential weights both ways, the day left out.

    floor : never below this share of the mean, so that quiet weeks do not rule. Mean square 1 by construction of
    relative use: only ratios between days matter.

    >>> spread(pd.Series([1.0, -1.0] * 50)).round(3).unique().tolist()
    [1.0]
    """
    square = residuals.astype(float) ** 2
    before = square.ewm(halflife=halflife).mean().shift(1)
    after = square[::-1].ewm(halflife=halflife).mean().shift(1)[::-1]
    level = pd.concat([before, after], axis=1).mean(axis=1)
    return (level.clip(lower=floor**2 * float(level.mean())) ** 0.5).rename("spread")


# -------------------------------------------------------------------------------------------------- does it move at all
def moves(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    *,
    rng: np.random.Generator,
    draws: int = 999,
    block: int = 5,
) -> pd.DataFrame:
    """Does a coefficient move at all? Nyblom's (1989) test against random walks, as in Hansen (1992).

    One row a coefficient, and "all" together: statistic (the mean squared cumulated score over its White variance),
    p (wild draws, a block of days sharing a sign: any path of volatility is allowed) and p_limit (Hansen's limit,
    which needs volatility to keep its level). The test has no boundary problem: under "no steps" the score is zero.

    >>> day = pd.date_range("2024-01-01", periods=500)
    >>> draw = np.random.default_rng(2)
    >>> x = pd.DataFrame({"bitcoin": draw.normal(0, 0.03, 500)}, index=day)
    >>> y = np.linspace(3, 0, 500) * x["bitcoin"] + draw.normal(0, 0.01, 500)
    >>> float(moves(y, x, rng=draw, draws=99).loc["bitcoin", "p"])  # the least that 99 draws can give
    0.01
    """
    of = breaks.sample(y, x)
    by = breaks.scores(of, block)
    variance = by.sums.T @ by.sums
    paths = np.concatenate([np.cumsum(by.sums, axis=0)[..., None], breaks.wild_scores(by, rng, draws)], axis=2)
    each = (paths**2).mean(axis=0) / np.diag(variance)[:, None]
    root = np.linalg.inv(np.linalg.cholesky(variance))
    together = ((root @ paths) ** 2).sum(axis=1).mean(axis=0)
    table = np.vstack([each, together])
    found = table[:, 0]
    p = (1 + (table[:, 1:] >= found[:, None]).sum(axis=1)) / (1 + draws)
    sizes = [1] * len(of.names) + [len(of.names)]
    limit = [breaks.cramer_von_mises_p(float(value), size) for value, size in zip(found, sizes, strict=True)]
    return pd.DataFrame({"statistic": found, "p": p, "p_limit": limit}, index=[*of.names, "all"])


# ---------------------------------------------------------------------------------------- why an R² is not the loading
def shares_of_change(before: tuple[Floats, Floats, float], after: tuple[Floats, Floats, float]) -> "pd.Series[float]":
    """Why R² changed: the parts of loadings, of the factors' covariance and of the rest of the return's variance.

    before, after : loadings b (q,), covariance S of the factors (q, q), variance v of the residual; R² = b'Sb/(b'Sb+v)
    Each part is the mean over the six orders in which the three may change (Shapley), so the parts add up exactly.
    Index: before, after, loadings, factors, residual.

    >>> one = np.array([[1.0]])
    >>> shares_of_change((np.array([2.0]), one, 4.0), (np.array([2.0]), one / 4, 4.0)).round(2).to_dict()
    {'before': 0.5, 'after': 0.2, 'loadings': 0.0, 'factors': -0.3, 'residual': 0.0}
    """
    names = ("loadings", "factors", "residual")

    def r2(changed: Mapping[str, bool]) -> float:
        b, s, v = ((after if changed[name] else before)[i] for i, name in enumerate(names))
        carried = float(np.asarray(b) @ np.asarray(s) @ np.asarray(b))
        return carried / (carried + float(v))

    parts = dict.fromkeys(names, 0.0)
    for order in permutations(names):
        changed = dict.fromkeys(names, False)
        for name in order:
            was = r2(changed)
            changed[name] = True
            parts[name] += (r2(changed) - was) / 6
    return pd.Series({"before": r2(dict.fromkeys(names, False)), "after": r2(dict.fromkeys(names, True)), **parts})


def r2_change(y: "pd.Series[float]", x: pd.DataFrame, last: Any) -> "pd.Series[float]":
    """`shares_of_change` from the days up to `last` to the days after it, each side with its own regression."""
    of = breaks.sample(y, x)
    sides = []
    for part in (of.days <= last, of.days > last):
        if part.sum() < FEWEST:
            raise Refusal(f"{int(part.sum())} days on one side of {last}; {FEWEST} are needed on either")
        coef = np.linalg.lstsq(of.x[part], of.y[part], rcond=None)[0]
        u = of.y[part] - of.x[part] @ coef
        factors = of.x[part][:, 1:]
        sides.append((coef[1:], np.atleast_2d(np.cov(factors.T, bias=True)), float(u @ u / len(u))))
    return shares_of_change(sides[0], sides[1])
