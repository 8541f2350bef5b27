"""What a share's return loads on: factor regressions with honest errors, one share at a time and all together.

A regression is y = alpha + sum of beta_j x_j + e over trading days, y the share's return (in excess of the bill where
the factors are) and x the factors, all fractions per period. Models are known by name (`MODELS`).

Errors. The default is Newey & West (1987): Bartlett weights 1 - j/(L+1), no small-sample factor, no prewhitening. The
bandwidth rule is named, never silent (`lag_length`). Intervals and p-values use Student's t with n - k degrees of
freedom, its critical value widened by the factor that Kiefer & Vogelsang (2005, table 1, Bartlett) find for a
bandwidth of L + 1 in n observations; without a bandwidth that factor is 1. Clustered errors use (n-1)/(n-k) G/(G-1),
as Stata, R's `vcovCL` and Petersen (2009) do, and Student's t with G - 1 degrees of freedom.

Observations follow one another as their rows do: a day that is missing inside a sample brings its neighbours together.
Pure functions: arrays and frames in, arrays and frames out. Bad input raises `Refusal`.
"""

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from linearmodels.iv.covariance import kernel_optimal_bandwidth
from numpy.typing import NDArray
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.sandwich_covariance import cov_cluster, cov_nw_groupsum, cov_white_simple

from wattshift.leadlag import fixed_b_critical, newey_west_lags
from wattshift.refusal import Refusal
from wattshift.returns import FEWEST, among

Floats = NDArray[np.float64]
Covariance = Literal["newey-west", "hc0", "hc1", "hc2", "hc3", "classical", "clustered"]
LagRule = Literal["newey-west-1994", "rule-of-thumb", "andrews"]

ALPHA = "alpha"  # the constant's name in every result
MODELS: dict[str, tuple[str, ...]] = {  # name -> columns of the factor frame, in order
    "market": ("market",),
    "bitcoin": ("bitcoin",),
    "bitcoin+nasdaq": ("bitcoin", "nasdaq"),
    "bitcoin+nasdaq+ai": ("bitcoin", "nasdaq", "ai"),
    "fama-french+bitcoin": ("bitcoin", "market_ff", "size", "value"),
}
MOST_INFLATION = 100.0  # variance inflation beyond which two factors count as one (correlation 0.995)


# ------------------------------------------------------------------------------------------------------ one regression
@dataclass(frozen=True)
class Regression:
    """A fitted regression.

    coef, cov  : estimates by name ("alpha" first) and their covariance, per period
    residuals  : by date; r2 : share of the variance of y that the factors carry
    covariance : how `cov` was made; lags : Bartlett lag L, 0 where none is used
    dof        : degrees of freedom of Student's t; factor : what widens its critical value (1 without lags)
    """

    coef: "pd.Series[float]"
    cov: pd.DataFrame
    residuals: "pd.Series[float]"
    r2: float
    covariance: str
    lags: int
    dof: int
    factor: float

    @property
    def nobs(self) -> int:
        """Observations used."""
        return len(self.residuals)

    def combine(self, weights: Mapping[str, float], level: float = 0.95) -> "pd.Series[float]":
        """A weighted sum of coefficients: coef, se, low, high, t, p (two-sided, of zero)."""
        for name in weights:
            among(name, list(self.coef.index), "coefficient")
        w = pd.Series(weights, dtype=float).reindex(self.coef.index, fill_value=0.0).to_numpy()
        coef, se = float(w @ self.coef.to_numpy()), float(np.sqrt(w @ self.cov.to_numpy() @ w))
        return pd.Series(_inference(coef, se, self.dof, self.factor, level))

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient, by name: coef, se, low, high, t, p (two-sided, of zero)."""
        errors = np.sqrt(np.diag(self.cov))
        return pd.DataFrame(_inference(self.coef.to_numpy(), errors, self.dof, self.factor, level), self.coef.index)

    def joint_p(self, names: Sequence[str]) -> float:
        """p-value that all named coefficients are zero: Wald test as F(q, dof)."""
        b, v = self.coef[list(names)].to_numpy(), self.cov.loc[list(names), list(names)].to_numpy()
        return float(stats.f.sf(b @ np.linalg.solve(v, b) / len(b), len(b), self.dof))


def _inference(coef: Any, se: Any, dof: int, factor: float, level: float) -> dict[str, Any]:
    width = stats.t.ppf(0.5 + level / 2, dof) * factor * se
    p = 2 * stats.t.sf(np.abs(coef) / (factor * se), dof)
    return {"coef": coef, "se": se, "low": coef - width, "high": coef + width, "t": coef / se, "p": p}


def _widening(lags: int, nobs: int) -> float:
    return fixed_b_critical((lags + 1) / nobs) / fixed_b_critical(0)


def pick(model: str, factors: pd.DataFrame) -> pd.DataFrame:
    """The columns of a factor frame that a model asks for, in its order.

    Raises Refusal for a model that is not known (the nearest one named) and for a factor that the frame lacks.

    >>> list(pick("bitcoin+nasdaq", pd.DataFrame({"nasdaq": [0.1], "bitcoin": [0.2]})))
    ['bitcoin', 'nasdaq']
    """
    if model not in MODELS:
        near = difflib.get_close_matches(model, MODELS, n=1, cutoff=0)[0]
        raise Refusal(f"there is no model {model!r}; did you mean {near}? Known: {', '.join(MODELS)}.")
    absent = [name for name in MODELS[model] if name not in factors]
    if absent:
        raise Refusal(f"the model {model!r} needs the factor {absent[0]!r}; given: {', '.join(map(str, factors))}")
    return factors[list(MODELS[model])]


def inflation(factors: pd.DataFrame) -> "pd.Series[float]":
    """Variance inflation of each factor: 1/(1 - R²) of the factor on the others; infinite where it is their sum.

    >>> x = pd.DataFrame({"a": [1.0, -1, 1, -1], "b": [1.0, 1, -1, -1]})
    >>> inflation(x).round(6).tolist()
    [1.0, 1.0]
    """
    corr = np.atleast_2d(np.corrcoef(factors.to_numpy(float), rowvar=False))
    out = []
    for j in range(len(corr)):
        cross, inner = np.delete(corr[j], j), np.delete(np.delete(corr, j, 0), j, 1)
        left = 1 - cross @ np.linalg.lstsq(inner, cross, rcond=1e-10)[0]
        out.append(1 / left if left > 1e-10 else math.inf)
    return pd.Series(out, index=factors.columns)


def _checked(
    y: "pd.Series[float]", x: pd.DataFrame, fewest: int, most_inflation: float
) -> tuple["pd.Series[float]", pd.DataFrame]:
    """Rows where return and factors are all there, or a refusal that says what is wrong with them."""
    name = str(y.name or "the return")
    for frame, what in ((y, name), (x, "the factors")):
        if not frame.index.is_unique:
            raise Refusal(f"{what}: the day {frame.index[frame.index.duplicated()][0]} appears twice")
        if not frame.index.is_monotonic_increasing:
            raise Refusal(f"{what}: the days must rise; {frame.index[0]} comes first and {frame.index[-1]} last")
    both = pd.concat([y.astype(float).rename("y"), x.astype(float)], axis=1, join="inner").dropna()
    if not np.isfinite(both.to_numpy()).all():
        raise Refusal(f"{name} or its factors hold an infinite number; a return is a finite fraction")
    needed = max(fewest, x.shape[1] + 2)
    if len(both) < needed:
        raise Refusal(
            f"{name} has {len(both)} days with all of {', '.join(map(str, x))}; at least {needed} are needed: "
            "take a longer window"
        )
    used = both.iloc[:, 1:]
    for column, values in zip([name, *map(str, x)], both.to_numpy().T, strict=True):
        if float(np.ptp(values)) <= 1e-12 * max(1.0, float(np.abs(values).max())):
            raise Refusal(f"{column} is constant over its {len(both)} days: nothing to explain")
    inflated = inflation(used)
    if float(inflated.max()) > most_inflation:
        one = str(inflated.idxmax())
        alike = used.corr()[one].drop(one)
        other = str(alike.abs().idxmax())
        raise Refusal(
            f"the factors {one} and {other} are collinear (correlation {alike[other]:.4f}, variance inflation "
            f"{inflated.max():,.0f}; at most {most_inflation:g}): drop one of them"
        )
    return both.iloc[:, 0].rename(name), used


def lag_length(rule: LagRule, scores: Floats) -> int:
    """Bartlett lag L for the scores x_t e_t of a regression, by a named rule; weights are 1 - j/(L+1).

    scores : (n, q), one column a slope; the constant's is left out, as Newey & West (1994) do. Each is scaled to
             variance 1, so that no factor speaks louder for being more volatile
    rule   : "rule-of-thumb"   floor(4 (n/100)^(2/9)), blind to the data
             "newey-west-1994" 1.1447 ((s1/s0)² n)^(1/3), rounded up, from autocovariances of the scores' sum up to
                               ceil(4 (n/100)^(2/9)); s1 = 2 sum j s_j, s0 = the sum over all j
             "andrews"         1.1447 (alpha(1) n)^(1/3), rounded up, from a first-order autoregression of each score
                               (Andrews 1991, eq. 6.4, equal weights)
    Never more than n/2. No prewhitening: it suits returns, whose scores are short-lived.

    >>> lag_length("rule-of-thumb", np.eye(1_400)[:, :1])
    7
    """
    among(rule, get_args(LagRule), "lag rule")
    n, z = len(scores), scores / scores.std(axis=0)
    if rule == "rule-of-thumb":
        lags = newey_west_lags(n)
    elif rule == "newey-west-1994":
        lags = int(kernel_optimal_bandwidth(z.sum(axis=1), "bartlett"))
    else:
        rho = np.clip((z[1:] * z[:-1]).sum(axis=0) / (z[:-1] ** 2).sum(axis=0), -0.97, 0.97)
        s4 = ((z[1:] - rho * z[:-1]) ** 2).mean(axis=0) ** 2
        top = (4 * rho**2 * s4 / ((1 - rho) ** 6 * (1 + rho) ** 2)).sum()
        alpha1 = float(top / (s4 / (1 - rho) ** 4).sum())
        lags = math.ceil(1.1447 * (alpha1 * n) ** (1 / 3))
    return min(lags, n // 2)


def regress(
    y: "pd.Series[float]",
    x: pd.DataFrame,
    covariance: Covariance = "newey-west",
    lag_rule: LagRule = "newey-west-1994",
    *,
    lags: int | None = None,
    groups: "pd.Series[Any] | None" = None,
    fewest: int = FEWEST,
    most_inflation: float = MOST_INFLATION,
) -> Regression:
    """Least squares of a return on factors, with a constant and the covariance asked for.

    y, x   : return and factors by day, fractions per period; days without all of them are left out
    lags   : Bartlett lag in place of the rule's; groups : the cluster of each day, for "clustered"
    fewest : observations needed; most_inflation : variance inflation that is still accepted
    Raises Refusal for too few days, constant returns or factors, collinear factors, infinite numbers, doubled days.

    >>> day = pd.date_range("2024-01-01", periods=4)
    >>> x = pd.DataFrame({"bitcoin": [-0.03, -0.01, 0.01, 0.03]}, index=day)
    >>> y = 0.001 + 2 * x["bitcoin"] + np.array([1, -1, -1, 1]) * 0.001
    >>> regress(y, x, "classical", fewest=4).coef.round(4).to_dict()
    {'alpha': 0.001, 'bitcoin': 2.0}
    """
    among(covariance, get_args(Covariance), "covariance")
    y, x = _checked(y, x, fewest, most_inflation)
    n, k = len(y), x.shape[1] + 1
    design = np.column_stack([np.ones(n), x.to_numpy()])
    model = OLS(y.to_numpy(), design)
    plain = model.fit()
    if plain.rsquared > 1 - 1e-12:
        raise Refusal(f"{', '.join(map(str, x))} explain {y.name} to the last digit: a share cannot be its own factor")
    used, dof, factor = 0, n - k, 1.0
    if covariance == "newey-west":
        used = lag_length(lag_rule, design[:, 1:] * plain.resid[:, None]) if lags is None else min(lags, n - 1)
        fit = plain.get_robustcov_results("HAC", maxlags=used, use_correction=False)
        factor = _widening(used, n)
    elif covariance == "clustered":
        if groups is None:
            raise Refusal("clustered errors need the cluster of each day (groups)")
        codes = pd.factorize(groups.reindex(y.index))[0]
        if (codes < 0).any() or codes.max() < 1:
            raise Refusal("clustered errors need a cluster for each day, and two clusters at least")
        fit = plain.get_robustcov_results("cluster", groups=codes)
        dof = int(codes.max())
    elif covariance in ("hc0", "hc1", "hc2", "hc3"):
        fit = plain.get_robustcov_results(covariance.upper())
    else:
        fit = plain
    names = [ALPHA, *map(str, x)]
    return Regression(
        pd.Series(np.asarray(fit.params), index=names),
        pd.DataFrame(np.asarray(fit.cov_params()), index=names, columns=names),
        pd.Series(np.asarray(plain.resid), index=y.index, name=str(y.name)),
        float(plain.rsquared),
        covariance,
        used,
        dof,
        factor,
    )


def loadings(
    returns: pd.DataFrame,
    factors: pd.DataFrame,
    covariance: Covariance = "newey-west",
    lag_rule: LagRule = "newey-west-1994",
    *,
    fewest: int = FEWEST,
) -> pd.DataFrame:
    """The same regression for each share: one row a share and coefficient.

    returns : one column a ticker; NaN where not listed, so that each share has its own days
    Columns: ticker, term ("alpha" or a factor), coef, se, low, high, t, p, r2, nobs, lags. Raises Refusal as `regress`.

    >>> x = pd.DataFrame({"bitcoin": np.tile([-0.03, -0.01, 0.01, 0.03], 10)}, index=pd.date_range("2024", periods=40))
    >>> y = pd.DataFrame({"MARA": 0.01 + 1.5 * x["bitcoin"] + np.tile([1, -1, -1, 1], 10) * 0.001})
    >>> loadings(y, x, "hc3").round(4)[["ticker", "term", "coef", "nobs"]].values.tolist()
    [['MARA', 'alpha', 0.01, 40], ['MARA', 'bitcoin', 1.5, 40]]
    """
    frames = []
    for name in returns:
        fit = regress(returns[name], factors, covariance, lag_rule, fewest=fewest)
        told = fit.table().rename_axis("term").reset_index()
        told.insert(0, "ticker", str(name))
        frames.append(told.assign(r2=fit.r2, nobs=fit.nobs, lags=fit.lags))
    return pd.concat(frames, ignore_index=True)


def adjusted(p: "pd.Series[float]") -> pd.DataFrame:
    """p-values of a family of tests, as they are and adjusted: p, holm, benjamini_hochberg; the index is kept.

    Holm (1979) bounds the chance of any false finding under every dependence. Benjamini & Hochberg (1995) bound the
    expected share of false ones, for tests that are independent or positively dependent.

    >>> adjusted(pd.Series([0.01, 0.04, 0.03, 0.005])).round(3).values.T.tolist()
    [[0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02], [0.02, 0.04, 0.04, 0.02]]
    """
    if p.empty or not p.between(0, 1).all():
        raise Refusal("p-values lie between 0 and 1, one at least; none may be missing")
    order = p.to_numpy(float).argsort()
    holm = np.empty(len(p))
    holm[order] = np.minimum(np.maximum.accumulate(p.to_numpy(float)[order] * np.arange(len(p), 0, -1)), 1)
    return pd.DataFrame({"p": p, "holm": holm, "benjamini_hochberg": stats.false_discovery_control(p)})


def shares_of_r2(y: "pd.Series[float]", x: pd.DataFrame) -> "pd.Series[float]":
    """R² divided among the factors, whatever their order: the mean gain in R² over all orders in which they may enter.

    Lindeman, Merenda & Gold (1980), the Shapley value of R². The parts sum to R². Correlated factors share what they
    explain together; no part is negative. Raises Refusal as `regress`.

    >>> x = pd.DataFrame({"a": np.tile([-1.0, 1, -1, 1], 9), "b": np.tile([-1.0, -1, 1, 1], 9)})
    >>> shares_of_r2(2 * x["a"] + x["b"], x).round(3).to_dict()
    {'a': 0.8, 'b': 0.2}
    """
    y, x = _checked(y, x, FEWEST, MOST_INFLATION)
    names, k = list(x), x.shape[1]
    corr = np.corrcoef(np.column_stack([x.to_numpy(), y.to_numpy()]), rowvar=False)

    def r2(some: tuple[int, ...]) -> float:
        if not some:
            return 0.0
        c = corr[list(some), -1]
        return float(c @ np.linalg.solve(corr[np.ix_(some, some)], c))

    parts = np.zeros(k)
    for j in range(k):
        others = [i for i in range(k) if i != j]
        for size in range(k):
            weight = math.factorial(size) * math.factorial(k - size - 1) / math.factorial(k)
            for some in itertools.combinations(others, size):
                parts[j] += weight * (r2((*some, j)) - r2(some))
    return pd.Series(parts, index=names)


def leave_out(y: "pd.Series[float]", x: pd.DataFrame) -> pd.DataFrame:
    """What every coefficient would be without one day: a row a day left out, a column a coefficient.

    b - (X'X)⁻¹ x_t e_t / (1 - h_t), exact (Belsley, Kuh & Welsch 1980). Raises Refusal as `regress`.
    """
    y, x = _checked(y, x, FEWEST, MOST_INFLATION)
    design = np.column_stack([np.ones(len(y)), x.to_numpy()])
    pulled = design @ np.linalg.inv(design.T @ design)
    left = y.to_numpy() - design @ (pulled.T @ y.to_numpy())
    moved = pulled * (left / (1 - (pulled * design).sum(axis=1)))[:, None]
    return pd.DataFrame(pulled.T @ y.to_numpy() - moved, index=y.index, columns=[ALPHA, *map(str, x)])


# ----------------------------------------------------------------------------------------------- alpha and its length
def alpha_reading(
    fit: Regression, periods_per_year: float, level: float = 0.95, power: float = 0.8
) -> dict[str, float]:
    """What the constant of a regression says, by the year, and how long one would have to wait to believe it.

    Gives alpha, low, high (fractions a year, a sum of periods and not compounded), p, years (of data), detectable (the
    alpha that a test at `level` finds with chance `power` in a sample of this length) and years_needed (of such data
    until an alpha as large as the estimate is found with that chance). The standard error falls with the square root
    of time, so years_needed = years (z_level + z_power)² / t²; normal quantiles. It supposes that alpha, betas and
    noise stay as they are, which is the most hopeful case.
    """
    one, p = fit.combine({ALPHA: periods_per_year}, level), fit.combine({ALPHA: 1.0}, level)["p"]
    years = fit.nobs / periods_per_year
    reach = float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power))
    return {
        "alpha": one["coef"], "low": one["low"], "high": one["high"], "p": p, "years": years,
        "detectable": reach * one["se"],
        "years_needed": years_needed(one["coef"], one["se"] * math.sqrt(years), level, power),
    }  # fmt: skip


def years_needed(alpha: float, noise: float, level: float = 0.95, power: float = 0.8) -> float:
    """Years until a test at `level` finds an alpha with chance `power`: ((z_level + z_power) noise / alpha)².

    alpha : per year; noise : standard deviation a year of what the factors leave unexplained, the same unit. Infinite
    for an alpha of zero. A share with 80 % of noise and an alpha of 20 % a year:

    >>> round(years_needed(0.20, 0.80), 1), round(years_needed(0.20, 0.80, power=0.5), 1)
    (125.6, 61.5)
    """
    if alpha == 0:
        return math.inf
    reach = float(stats.norm.ppf(0.5 + level / 2) + stats.norm.ppf(power))
    return (reach * noise / alpha) ** 2


# -------------------------------------------------------------------------------------------------- trading out of step
def lead_lag(factors: pd.DataFrame, lags: int = 1, leads: int = 1) -> pd.DataFrame:
    """Each factor on the same day, on the days before and on the days after, as columns for `regress`.

    Columns: "x" (same day), "x lag 1" (the factor's return one row earlier), "x lead 1" (one row later).

    >>> x = pd.DataFrame({"x": [1.0, 2, 3]})
    >>> lead_lag(x).fillna(0).to_dict("list")
    {'x': [1.0, 2.0, 3.0], 'x lag 1': [0.0, 1.0, 2.0], 'x lead 1': [2.0, 3.0, 0.0]}
    """
    made = {}
    for name in factors:
        made[str(name)] = factors[name]
        made |= {f"{name} lag {j}": factors[name].shift(j) for j in range(1, lags + 1)}
        made |= {f"{name} lead {j}": factors[name].shift(-j) for j in range(1, leads + 1)}
    return pd.DataFrame(made, index=factors.index)


def dimson(
    y: "pd.Series[float]",
    factors: pd.DataFrame,
    lags: int = 1,
    leads: int = 1,
    covariance: Covariance = "newey-west",
    lag_rule: LagRule = "newey-west-1994",
) -> pd.DataFrame:
    """Betas that survive trading out of step: same-day, lagged and leading betas and their sum (Dimson 1979).

    Where a share and a factor are priced at different hours, part of the beta falls on the day before or after; the
    sum gathers it. One row a factor: factor, same_day (the beta of the regression without leads and lags, on the
    same days), sum, low, high (95 %), lag, lead (what the days before and after add), p (that both are nothing) and r2
    (of the regression without leads and lags).
    """
    if lags + leads < 1:
        raise Refusal(f"lead-lag betas need a lag or a lead; given {lags} lags and {leads} leads")
    wide = regress(y, lead_lag(factors, lags, leads), covariance, lag_rule)
    same = regress(y.reindex(wide.residuals.index), factors, covariance, lag_rule)
    rows = []
    for name in map(str, factors):
        late = [f"{name} lag {j}" for j in range(1, lags + 1)]
        early = [f"{name} lead {j}" for j in range(1, leads + 1)]
        whole = wide.combine(dict.fromkeys([name, *late, *early], 1.0))
        rows.append({
            "factor": name, "same_day": same.coef[name], "sum": whole["coef"], "low": whole["low"],
            "high": whole["high"], "lag": wide.coef[late].sum(), "lead": wide.coef[early].sum(),
            "p": wide.joint_p([*late, *early]), "r2": same.r2,
        })  # fmt: skip
    return pd.DataFrame(rows)


# --------------------------------------------------------------------------------------------------------- all together
def stacked(returns: pd.DataFrame, factors: pd.DataFrame) -> pd.DataFrame:
    """Shares under one another for `panel`: index (ticker, date), column "return", then the factors of the day.

    Days without a return or a factor are left out. Raises Refusal as `regress`, for any share.
    """
    parts = {}
    for name in returns:
        y, x = _checked(returns[name], factors, FEWEST, MOST_INFLATION)
        parts[str(name)] = pd.concat([y.rename("return"), x], axis=1)
    return pd.concat(parts, names=["ticker", "date"])


def panel(
    rows: pd.DataFrame,
    lag_rule: LagRule = "newey-west-1994",
    *,
    lags: int | None = None,
    effects: bool = True,
) -> pd.DataFrame:
    """One set of betas for all shares, each share with its own constant, and its errors under four assumptions.

    rows : index (ticker, date), the return in the first column and factors in the others, as `stacked` gives them; a
    factor may differ between shares. lags: in place of the rule's; effects=False: one constant for all.

    One row a factor and kind of error: term, errors, coef, se, low, high, t, p, lags, r2 (within), nobs, days, shares.
    The errors: "independent" (White: every share-day by itself), "by ticker" (clusters over time),
    "by date" (clusters across shares: what hits all on one day is one event), "driscoll-kraay" (1998: by date, and
    Bartlett over L days, the rule applied to the sums of scores over shares; no small-sample factor, as in Stata's
    xtscc). The others carry the factors of `regress`, k with the shares' constants. Student's t has G - 1 degrees of
    freedom, G the number of shares for "by ticker" and of days for the last two; few shares are few clusters, so trust
    "by ticker" least. (Two-way clusters, whose conventions differ between packages, are left out.)
    """
    tickers, dates = (pd.factorize(rows.index.get_level_values(level), sort=True)[0] for level in (0, 1))
    shares, days = int(tickers.max()) + 1, int(dates.max()) + 1
    if shares < 2:
        raise Refusal(f"a panel needs two shares at least; given {shares}")
    inside = rows - rows.groupby(level=0).transform("mean") if effects else rows.assign(**{ALPHA: 1.0})
    names = list(map(str, inside.columns[1:]))
    fit = OLS(inside.iloc[:, 0].to_numpy(), inside.iloc[:, 1:].to_numpy()).fit()
    n, k = len(rows), len(names) + (shares if effects else 0)
    if lags is None:
        scores = (inside.iloc[:, 1:] * fit.resid[:, None]).groupby(dates).sum()
        lags = lag_length(lag_rule, scores[[name for name in scores if name != ALPHA]].to_numpy())
    one, cluster = n / (n - k), (n - 1) / (n - k)
    kinds: dict[str, tuple[Floats, int, int]] = {  # kind of error -> covariance, degrees of freedom, lags
        "independent": (one * cov_white_simple(fit, use_correction=False), n - k, 0),
        "by ticker": (
            cluster * shares / (shares - 1) * cov_cluster(fit, tickers, use_correction=False), shares - 1, 0
        ),
        "by date": (cluster * days / (days - 1) * cov_cluster(fit, dates, use_correction=False), days - 1, 0),
        "driscoll-kraay": (cov_nw_groupsum(fit, lags, dates, use_correction=False), days - 1, lags),
    }  # fmt: skip
    told = []
    for kind, (cov, dof, used) in kinds.items():
        factor = _widening(used, days) if kind == "driscoll-kraay" else 1.0
        made = _inference(fit.params, np.sqrt(np.diag(cov)), dof, factor, 0.95)
        told.append(pd.DataFrame({"term": names, "errors": kind, **made, "lags": used}))
    both = pd.concat(told, ignore_index=True)
    return both.assign(r2=1 - fit.ssr / float((inside.iloc[:, 0] ** 2).sum()), nobs=n, days=days, shares=shares)


# -------------------------------------------------------------------------------------------------- specification curve
def specification_curve(
    samples: Mapping[tuple[str, ...], tuple["pd.Series[float]", pd.DataFrame]],
    names: Sequence[str],
    windows: Mapping[str, tuple[Any, Any]],
    models: Sequence[str],
    term: str,
    covariance: Covariance = "newey-west",
    lag_rule: LagRule = "newey-west-1994",
    *,
    fewest: int = FEWEST,
    slack_days: int = 10,
) -> pd.DataFrame:
    """One coefficient under every combination of defensible choices (Simonsohn, Simmons & Nelson 2020), smallest first.

    samples : (choice, choice, ...) -> the share's return and the factors so made (clock, return type, ...)
    names   : what these choices are called; windows : name -> first and last day; models : names of `MODELS`
    term    : the factor whose beta is asked for; models without it are left out
    A combination whose data do not reach both ends of its window within `slack_days`, or hold fewer than `fewest`
    days, is left out: it would be another sample under the same name. One row a combination: the named choices, window,
    model, coef, se, low, high, t, p, r2, nobs. The rows share their data: they are no independent evidence.
    """
    rows = []
    slack = pd.Timedelta(days=slack_days)
    asked = [name for name in models if term in pick(name, _headed(name)).columns]
    for choice, (y, factors) in samples.items():
        for model in asked:
            if any(name not in factors for name in MODELS[model]):
                continue
            whole = pd.concat([y.rename("y"), pick(model, factors)], axis=1, join="inner").dropna()
            for window, (first, last) in windows.items():
                part = whole.loc[pd.Timestamp(first) : pd.Timestamp(last)]
                if (
                    len(part) < fewest
                    or part.index[0] > pd.Timestamp(first) + slack
                    or part.index[-1] < pd.Timestamp(last) - slack
                ):
                    continue
                fit = regress(part["y"], part.drop(columns="y"), covariance, lag_rule, fewest=fewest)
                made = dict(zip(names, choice, strict=True))
                rows.append({**made, "window": window, "model": model, **fit.combine({term: 1.0}), "r2": fit.r2,
                             "nobs": fit.nobs})  # fmt: skip
    if not rows:
        raise Refusal(f"no combination of these choices has {fewest} days that reach both ends of its window")
    return pd.DataFrame(rows).sort_values("coef", ignore_index=True)


def _headed(model: str) -> pd.DataFrame:
    return pd.DataFrame(columns=list(MODELS.get(model, ())))


def choice_effects(curve: pd.DataFrame, choices: Sequence[str]) -> pd.DataFrame:
    """How far each choice alone moves the coefficient: combinations that differ in nothing else are held together.

    One row a choice: choice, levels, median and largest (the range of `coef` within such a group), groups (how many
    groups there are with two levels or more); a choice that never varies is left out.

    >>> curve = pd.DataFrame({"clock": list("abab"), "kind": list("ssll"), "coef": [1.0, 1.5, 1.1, 1.4]})
    >>> choice_effects(curve, ["clock", "kind"]).round(2).values.tolist()
    [['clock', 2, 0.4, 0.5, 2], ['kind', 2, 0.1, 0.1, 2]]
    """
    rows = []
    for choice in choices:
        rest = [other for other in choices if other != choice]
        groups = curve.groupby(rest) if rest else curve.groupby(np.zeros(len(curve)))
        spans = groups["coef"].agg(lambda values: values.max() - values.min())[groups.size() > 1]
        if len(spans):
            rows.append({"choice": choice, "levels": curve[choice].nunique(), "median": float(spans.median()),
                         "largest": float(spans.max()), "groups": len(spans)})  # fmt: skip
    return pd.DataFrame(rows, columns=["choice", "levels", "median", "largest", "groups"])
