"""Factor loadings: published cases, closed forms, funds whose loading is known, planted parameters found again."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.panel import PanelOLS
from scipy import stats
from scipy.signal import lfilter
from statsmodels.stats.multitest import multipletests
from test_leadlag import REAL_GNP, REAL_INT, REAL_INV, numbers

from wattshift import data, loadings, returns
from wattshift.refusal import Refusal

DAYS = pd.bdate_range("2021-01-04", periods=1_400)


def noise(rng, n=1_400, columns=("bitcoin", "nasdaq", "ai"), sd=0.02):
    return pd.DataFrame(rng.normal(0, sd, (n, len(columns))), index=DAYS[:n], columns=list(columns))


def share(rng, x, betas, alpha=0.0, sd=0.03, name="IREN"):
    return (alpha + x @ pd.Series(betas) + rng.normal(0, sd, len(x))).rename(name)


# ---- published cases -------------------------------------------------------------------------------------------------
def test_longley():
    """NIST StRD Longley: certified coefficients and standard errors."""
    longley = sm.datasets.longley.load_pandas()
    fit = loadings.regress(longley.endog, longley.exog, "classical", fewest=8, most_inflation=2_000)
    table = fit.table()
    assert table.loc["alpha", ["coef", "se"]].tolist() == pytest.approx([-3482258.63459582, 890420.383607373], rel=1e-8)
    assert table.loc["YEAR", ["coef", "se"]].tolist() == pytest.approx([1829.15146461355, 455.478499142212], rel=1e-8)
    with pytest.raises(Refusal, match="collinear"):  # the case is famous for it: inflation 1,789
        loadings.regress(longley.endog, longley.exog, fewest=8)


def test_newey_west_investment():
    """Greene's investment equation, 4 lags, no correction: the covariance printed by R's sandwich, NeweyWest()."""
    x = pd.DataFrame({"RealGNP": numbers(REAL_GNP), "RealInt": numbers(REAL_INT)})
    fit = loadings.regress(pd.Series(numbers(REAL_INV)), x, lags=4, fewest=10)
    assert fit.coef.tolist() == pytest.approx([-12.533601, 0.169136, -1.001438], abs=1e-6)
    assert fit.table()["se"].tolist() == pytest.approx([18.958298, 0.016751, 3.342375], abs=1e-6)
    printed = [[359.4170681, -0.3115505035, -4.089319305], [-0.3115505, 0.0002805888, -0.005355931],
               [-4.0893193, -0.0053559312, 11.171472998]]  # fmt: skip
    assert fit.cov.to_numpy() == pytest.approx(np.array(printed), rel=1e-6)
    assert fit.r2 == pytest.approx(0.8141, abs=5e-5)


def grunfeld():
    """Ten firms, twenty years, without American Steel: index (ticker, date), columns return, value, capital."""
    firms = sm.datasets.grunfeld.load_pandas().data
    firms = firms[firms["firm"] != "American Steel"].astype({"year": int})
    firms = firms.rename(columns={"firm": "ticker", "year": "date", "invest": "return"}).set_index(["ticker", "date"])
    return firms[["return", "value", "capital"]]


def errors_of(table, kind, column="se"):
    return table[table["errors"] == kind].set_index("term")[column].to_dict()


def test_panel_within_grunfeld():
    """plm's within estimate and standard error; linearmodels gives the same errors but for its cluster factors."""
    rows = grunfeld()
    table = loadings.panel(rows, lags=3)
    assert errors_of(table, "by date", "coef") == pytest.approx({"value": 0.1101238, "capital": 0.3100653}, abs=1e-7)
    model = PanelOLS(rows["return"], rows[["value", "capital"]], entity_effects=True)
    plain = model.fit()
    assert plain.std_errors.tolist() == pytest.approx([0.0118567, 0.0173545], abs=1e-7)
    factors = {  # ours over theirs, in variances
        "independent": ({"cov_type": "robust"}, 1),
        "by date": ({"cov_type": "clustered", "cluster_time": True}, 20 / 19 * 199 / 200),
        "by ticker": ({"cov_type": "clustered", "cluster_entity": True}, 10 / 9 * 199 / 200 * 198 / 188),
        "driscoll-kraay": ({"cov_type": "kernel", "kernel": "bartlett", "bandwidth": 3, "debiased": False}, 190 / 200),
    }
    for kind, (options, factor) in factors.items():
        theirs = (model.fit(**options).std_errors * np.sqrt(factor)).to_dict()
        assert errors_of(table, kind) == pytest.approx(theirs, rel=1e-6), kind
    assert table["r2"].unique() == pytest.approx(plain.rsquared_within)
    told = table.iloc[-1]
    width = stats.t.ppf(0.975, 19) * (1.96 + 2.9694 * 0.2 + 0.416 * 0.2**2 - 0.5324 * 0.2**3) / 1.96 * told["se"]
    assert told["high"] - told["low"] == pytest.approx(2 * width)


def test_driscoll_kraay_is_that_of_xtscc():
    """Pooled Grunfeld, 4 lags: the output of Stata's xtscc that ships with statsmodels' tests."""
    table = loadings.panel(grunfeld(), lags=4, effects=False)
    known = {"value": 0.0134360177573, "capital": 0.04930800664089, "alpha": 12.190347184209}
    assert errors_of(table, "driscoll-kraay") == pytest.approx(known, rel=1e-7)
    known = {"value": 0.11556215606596, "capital": 0.23067848754982, "alpha": -42.714369016733}
    assert errors_of(table, "driscoll-kraay", "coef") == pytest.approx(known, rel=1e-7)


def test_benjamini_and_hochberg_1995():
    """The fifteen p-values of their example: at 5 % their rule finds four, Holm's (as Bonferroni's) three."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
         0.7590, 1.0]  # fmt: skip
    told = loadings.adjusted(pd.Series(p))
    assert (told["benjamini_hochberg"] <= 0.05).sum() == 4
    assert (told["holm"] <= 0.05).sum() == 3
    assert told["holm"].iloc[3] == pytest.approx(12 * 0.0095)
    shuffled = pd.Series(p).sample(frac=1, random_state=1)
    assert loadings.adjusted(shuffled).sort_index().equals(told)
    assert told["holm"].tolist() == pytest.approx(multipletests(p, method="holm")[1])
    assert told["benjamini_hochberg"].tolist() == pytest.approx(multipletests(p, method="fdr_bh")[1])


# ---- closed forms ----------------------------------------------------------------------------------------------------
def test_covariances_by_hand():
    """A balanced factor of +1 and -1: every leverage is 2/n, so each error is a sum of squares one can write down."""
    rng = np.random.default_rng(1)
    x = pd.DataFrame({"x": np.tile([1.0, -1.0], 50)}, index=DAYS[:100])
    y = (0.5 * x["x"] + rng.normal(0, 1 + (x["x"] > 0), 100)).rename("y")
    plain = loadings.regress(y, x, "classical")
    e, score = plain.residuals.to_numpy(), (plain.residuals * x["x"]).to_numpy()
    white = (e**2).sum() / 100**2
    group = pd.Series(np.arange(100) // 5, index=x.index)
    sums = score.reshape(20, 5).sum(axis=1)
    known = {
        "classical": (e**2).sum() / 98 / 100, "hc0": white, "hc1": white * 100 / 98, "hc2": white / 0.98,
        "hc3": white / 0.98**2, "clustered": (sums**2).sum() / 100**2 * 20 / 19 * 99 / 98,
    }  # fmt: skip
    for covariance, variance in known.items():
        fit = loadings.regress(y, x, covariance, groups=group)
        assert fit.table().loc["x", "se"] == pytest.approx(np.sqrt(variance), rel=1e-10), covariance
    assert fit.dof == 19
    lagged = loadings.regress(y, x, lags=1)
    assert lagged.table().loc["x", "se"] ** 2 * 100**2 == pytest.approx((e**2).sum() + score[1:] @ score[:-1])
    told = lagged.table().loc["x"]
    assert lagged.factor == pytest.approx((1.96 + 2.9694 * 0.02 + 0.416 * 0.02**2 - 0.5324 * 0.02**3) / 1.96)
    assert told["high"] - told["coef"] == pytest.approx(stats.t.ppf(0.975, 98) * lagged.factor * told["se"])
    at_edge = lagged.combine({"x": 1.0}, level=1 - told["p"])
    assert min(abs(at_edge["low"]), abs(at_edge["high"])) == pytest.approx(0, abs=1e-9)  # p and interval agree


@pytest.mark.parametrize("rule", ["newey-west-1994", "andrews"])
def test_bandwidth_of_an_autoregression(rule):
    """For a first-order autoregression both rules aim at 1.1447 ((2 rho/(1 - rho²))² n)^(1/3): 81.1 at rho 0.5."""
    rng = np.random.default_rng(2)
    n, rho = 200_000, 0.5
    score = lfilter([1.0], [1.0, -rho], rng.normal(size=n))[:, None]
    aim = 1.1447 * ((2 * rho / (1 - rho**2)) ** 2 * n) ** (1 / 3)
    assert aim == pytest.approx(81.1, abs=0.05)
    assert loadings.lag_length(rule, score) == pytest.approx(aim, rel=0.1)
    assert loadings.lag_length(rule, 1_000 * score) == loadings.lag_length(rule, score)  # no unit


def test_rule_of_thumb():
    assert [loadings.lag_length("rule-of-thumb", np.eye(n)[:, :1]) for n in (100, 400, 1_400)] == [4, 5, 7]


def test_two_factors_share_r2():
    """Two factors with r1, r2 and R²: the first gets (r1² + R² - r2²)/2 (Lindeman, Merenda & Gold)."""
    rng = np.random.default_rng(3)
    x = noise(rng, columns=("bitcoin", "nasdaq"))
    x["nasdaq"] += 0.5 * x["bitcoin"]
    y = share(rng, x, {"bitcoin": 1.0, "nasdaq": 1.5})
    r1, r2 = (np.corrcoef(y, x[name])[0, 1] ** 2 for name in x)
    both = loadings.regress(y, x).r2
    parts = loadings.shares_of_r2(y, x)
    assert parts["bitcoin"] == pytest.approx((r1 + both - r2) / 2, rel=1e-9)
    assert parts.sum() == pytest.approx(both, rel=1e-9)
    three = x.assign(ai=noise(rng)["ai"] + x["nasdaq"])
    assert loadings.shares_of_r2(y, three).sum() == pytest.approx(loadings.regress(y, three).r2, rel=1e-9)
    turned = loadings.shares_of_r2(y, three[["ai", "nasdaq", "bitcoin"]])
    assert turned[list(three)].tolist() == pytest.approx(loadings.shares_of_r2(y, three).tolist(), rel=1e-9)


def test_an_orthogonal_basket_moves_only_the_slopes_it_was_cleared_of():
    """Frisch, Waugh and Lovell: same fit, same slope on the basket and on bitcoin; nasdaq takes what they share."""
    rng = np.random.default_rng(4)
    x = noise(rng)
    x["ai"] += 1.5 * x["nasdaq"]
    y = share(rng, x, {"bitcoin": 0.8, "nasdaq": 0.5, "ai": 0.7})
    raw = loadings.regress(y, x)
    clear = loadings.regress(y, x.assign(ai=returns.without(x["ai"], x[["nasdaq"]])))
    assert clear.r2 == pytest.approx(raw.r2, rel=1e-10)
    assert clear.coef[["bitcoin", "ai"]].tolist() == pytest.approx(raw.coef[["bitcoin", "ai"]].tolist(), rel=1e-9)
    slope = np.polyfit(x["nasdaq"], x["ai"], 1)[0]
    assert clear.coef["nasdaq"] == pytest.approx(raw.coef["nasdaq"] + slope * raw.coef["ai"], rel=1e-9)


def test_one_day_left_out():
    """The closed form is the regression run again without that day."""
    y, x = good()
    without = loadings.leave_out(y, x)
    for day in y.index[[0, 50, 99]]:
        again = loadings.regress(y.drop(day), x.drop(day)).coef
        assert without.loc[day].to_dict() == pytest.approx(again.to_dict(), rel=1e-9)


def test_alpha_and_the_years_it_needs():
    """After as many years as asked for, a test finds that alpha as often as promised; and by hand from t."""
    rng = np.random.default_rng(5)
    years = loadings.years_needed(0.20, 0.80)
    assert years == pytest.approx((1.959964 + 0.841621) ** 2 * 16, rel=1e-6)
    found = rng.normal(0.20, 0.80 / np.sqrt(years), 40_000)
    assert np.mean(np.abs(found) > 1.959964 * 0.80 / np.sqrt(years)) == pytest.approx(0.8, abs=0.008)  # 4 errors
    x = noise(rng)
    fit = loadings.regress(share(rng, x, {"bitcoin": 1.0, "nasdaq": 0, "ai": 0}, alpha=0.001), x)
    told, t = loadings.alpha_reading(fit, 252), fit.table().loc["alpha", "t"]
    assert told["years"] == pytest.approx(1_400 / 252)
    assert told["alpha"] == pytest.approx(252 * fit.coef["alpha"])
    assert told["years_needed"] == pytest.approx(told["years"] * (2.801585 / t) ** 2, rel=1e-6)
    assert told["detectable"] == pytest.approx(2.801585 * told["alpha"] / t, rel=1e-6)
    assert loadings.years_needed(0.0, 0.5) == np.inf


def test_inflation():
    """Two factors with correlation r: 1/(1 - r²); a factor that is the sum of others: infinite."""
    rng = np.random.default_rng(6)
    x = noise(rng, columns=("a", "b"))
    x["b"] += x["a"]
    assert loadings.inflation(x).tolist() == pytest.approx([1 / (1 - x.corr().iloc[0, 1] ** 2)] * 2, rel=1e-9)
    assert loadings.inflation(x.assign(c=x["a"] + x["b"])).tolist() == [np.inf] * 3
    both = x.assign(c=x["a"] + x["b"], d=noise(rng, columns=("d",))["d"])
    assert loadings.inflation(both).round(1).tolist() == [np.inf, np.inf, np.inf, 1.0]
    assert loadings.inflation(x[["a"]]).tolist() == [1.0]


# ---- planted and found again -----------------------------------------------------------------------------------------
def test_planted_betas():
    rng = np.random.default_rng(7)
    x = noise(rng)
    betas = {"bitcoin": 0.9, "nasdaq": 0.4, "ai": 0.6}
    shares = pd.DataFrame({name: share(rng, x, betas, 0.001) for name in ("IREN", "CIFR", "WULF")})
    shares.loc[DAYS[:900], "CIFR"] = np.nan  # listed later
    x.loc[DAYS[1_390:], "ai"] = np.nan  # a factor that ends earlier
    table = loadings.loadings(shares, x)
    assert table["ticker"].tolist() == np.repeat(["IREN", "CIFR", "WULF"], 4).tolist()
    assert table.groupby("ticker", sort=False)["nobs"].first().tolist() == [1_390, 490, 1_390]
    truth = table["term"].map({"alpha": 0.001, **betas})
    assert (np.abs(table["coef"] - truth) < 4 * table["se"]).all()
    pooled = loadings.panel(loadings.stacked(shares, x))
    assert pooled["nobs"].unique().tolist() == [1_390 + 490 + 1_390]
    assert (np.abs(pooled["coef"] - pooled["term"].map(betas)) < 4 * pooled["se"]).all()


def test_newey_west_holds_its_size_where_classical_errors_do_not():
    """Monthly, five and a half years, factor and noise autocorrelated at 0.4: a true 5 % test must not reject 12 %."""
    rng = np.random.default_rng(8)
    months = pd.date_range("2021-01-31", periods=66, freq="ME")
    refused = {"classical": 0, "normal": 0, "newey-west": 0}
    for _ in range(400):
        f, e = lfilter([1.0], [1.0, -0.4], rng.normal(size=(2, 116)), axis=1)[:, 50:]
        x, y = pd.DataFrame({"x": f}, index=months), pd.Series(e, index=months)
        hac = loadings.regress(y, x, lag_rule="rule-of-thumb").combine({"x": 1.0})
        refused["newey-west"] += hac["p"] < 0.05
        refused["normal"] += abs(hac["t"]) > 1.96
        refused["classical"] += loadings.regress(y, x, "classical").combine({"x": 1.0})["p"] < 0.05
    assert refused["newey-west"] < refused["normal"] < refused["classical"] * 1.2
    assert refused["newey-west"] / 400 < 0.09  # 400 draws: error 1.1 points
    assert refused["classical"] / 400 > 0.07


def test_one_day_that_hits_all_shares_is_one_event():
    """Twelve shares, 0.4 of their variance in common: errors by date are sqrt(1 + 11 x 0.4) as large."""
    rng = np.random.default_rng(9)
    x = noise(rng, columns=("bitcoin",))
    shocks = rng.normal(size=(1_400, 1)) * np.sqrt(0.4) + rng.normal(size=(1_400, 12)) * np.sqrt(0.6)
    table = loadings.panel(loadings.stacked(pd.DataFrame(shocks, index=DAYS), x), lags=2).set_index("errors")
    design = np.sqrt(1 + 11 * 0.4)
    assert table.loc["by date", "se"] / table.loc["independent", "se"] == pytest.approx(design, rel=0.1)
    assert table.loc["driscoll-kraay", "se"] / table.loc["independent", "se"] == pytest.approx(design, rel=0.15)
    assert table.loc["by date", "se"] == pytest.approx(np.sqrt((0.6 / 12 + 0.4) / 1_400) / 0.02, rel=0.1)  # 12 in one


def test_trading_out_of_step():
    """A factor priced before the share closes: a quarter of each day's news falls on the next; the sum is the beta."""
    rng = np.random.default_rng(10)
    hours = rng.normal(0, 0.02, (1_401, 2)) * np.sqrt([0.75, 0.25])
    f = pd.DataFrame({"bitcoin": hours[1:].sum(axis=1), "nasdaq": rng.normal(0, 0.01, 1_400)}, index=DAYS)
    late = 1.2 * (hours[1:, 0] + hours[:-1, 1])  # what came after the close is in the next day's return
    y = pd.Series(late + 0.5 * f["nasdaq"] + rng.normal(0, 0.01, 1_400), index=DAYS, name="MARA")
    told = loadings.dimson(y, f).set_index("factor")
    assert told.loc["bitcoin", "same_day"] == pytest.approx(0.75 * 1.2, abs=0.06)
    width = told.loc["bitcoin", "high"] - told.loc["bitcoin", "low"]
    assert told.loc["bitcoin", "sum"] == pytest.approx(1.2, abs=width)  # 4 standard errors
    assert width < 0.15
    assert told.loc["bitcoin", "lag"] == pytest.approx(0.25 * 1.2, abs=0.06)
    assert told.loc["bitcoin", "p"] < 1e-6 < told.loc["nasdaq", "p"]


def test_a_spot_fund_loads_one_on_bitcoin_and_the_clock_hides_it():
    """IBIT holds bitcoin and nothing else: its beta is one, at once by the New York clock, in sum by the UTC clock.

    The New York series is the last hourly bar of one exchange, quoted in a token: hence two points of tolerance.
    """
    table = data.load("equity_returns_daily").set_index("date")
    same_clock = loadings.dimson(table["IBIT"], table[["BTC_USCLOSE"]]).iloc[0]
    utc = loadings.dimson(table["IBIT"], table[["BTC_USD_UTC"]]).iloc[0]
    assert same_clock[["same_day", "sum"]].tolist() == pytest.approx([1, 1], abs=0.025)
    assert utc["same_day"] < 0.95
    assert utc["low"] < 1 < utc["high"]
    assert utc["lag"] > 0.03


# ---- the specification curve -----------------------------------------------------------------------------------------
def test_specification_curve():
    """The planted beta doubles halfway: the windows show it, and no other choice does."""
    rng = np.random.default_rng(11)
    x = noise(rng)
    beta = np.where(np.arange(1_400) < 700, 0.6, 1.2)
    y = (beta * x["bitcoin"] + 0.5 * x["nasdaq"] + rng.normal(0, 0.01, 1_400)).rename("IREN")
    short = x.assign(bitcoin=x["bitcoin"].where(np.arange(1_400) >= 700))
    samples = {(clock, kind): (np.log1p(y) if kind == "log" else y, short if clock == "fund" else x)
               for clock in ("us-close", "fund") for kind in ("simple", "log")}  # fmt: skip
    windows = {"first": (DAYS[0], DAYS[699]), "second": (DAYS[700], DAYS[-1])}
    curve = loadings.specification_curve(
        samples, ["clock", "kind"], windows, ["bitcoin", "bitcoin+nasdaq", "market", "fama-french+bitcoin"], "bitcoin"
    )
    assert len(curve) == (2 + 1) * 2 * 2  # the fund has no first window; two models lack the term or its factors
    assert curve["coef"].is_monotonic_increasing
    assert (curve["window"].iloc[:4] == "first").all()
    truth = curve["window"].map({"first": 0.6, "second": 1.2})
    assert (np.abs(curve["coef"] - truth) < 4 * curve["se"] + 0.02).all()
    moved = loadings.choice_effects(curve, ["clock", "kind", "window", "model"]).set_index("choice")
    assert moved["median"].idxmax() == "window"
    assert moved.loc["window", "median"] == pytest.approx(0.6, abs=0.1)
    with pytest.raises(Refusal, match="no combination of these choices has 30 days"):
        loadings.specification_curve(samples, ["clock", "kind"], windows, ["market"], "bitcoin")


# ---- refusals --------------------------------------------------------------------------------------------------------
def good():
    rng = np.random.default_rng(12)
    x = noise(rng, 100)
    return share(rng, x, {"bitcoin": 1.0, "nasdaq": 0, "ai": 0}), x


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        (lambda y, x: (y[:12], x), "IREN has 12 days with all of bitcoin, nasdaq, ai; at least 30 are needed"),
        (lambda y, x: (y * 0, x), "IREN is constant over its 100 days"),
        (lambda y, x: (y, x.assign(nasdaq=0.01)), "nasdaq is constant over its 100 days"),
        (lambda y, x: (y, x.assign(ai=2 * x["bitcoin"])), "the factors bitcoin and ai are collinear"),
        (lambda y, x: (y, x.assign(ai=x["bitcoin"] + x["nasdaq"])), "collinear"),
        (lambda y, x: (y.where(y.index != DAYS[3], np.inf), x), "infinite"),
        (lambda y, x: (pd.concat([y, y[:1]]), x), "IREN: the day 2021-01-04 .* appears twice"),
        (lambda y, x: (y[::-1], x), "IREN: the days must rise"),
        (lambda y, x: (y, x.assign(ai=y)), "to the last digit"),
    ],
)
def test_bad_samples_are_refused(bend, words):
    y, x = bend(*good())
    with pytest.raises(Refusal, match=words):
        loadings.regress(y, x)


def test_bad_names_are_refused():
    y, x = good()
    with pytest.raises(Refusal, match=r"no model 'bitcoin\+nasdak'; did you mean bitcoin\+nasdaq\?"):
        loadings.pick("bitcoin+nasdak", x)
    with pytest.raises(Refusal, match="needs the factor 'market'; given: bitcoin, nasdaq, ai"):
        loadings.pick("market", x)
    with pytest.raises(Refusal, match="covariance"):
        loadings.regress(y, x, "white")
    with pytest.raises(Refusal, match="lag rule"):
        loadings.regress(y, x, lag_rule="ten")
    with pytest.raises(Refusal, match="cluster of each day"):
        loadings.regress(y, x, "clustered")
    with pytest.raises(Refusal, match="two clusters"):
        loadings.regress(y, x, "clustered", groups=pd.Series(1, index=y.index))
    with pytest.raises(Refusal, match="coefficient"):
        loadings.regress(y, x).combine({"btc": 1.0})
    with pytest.raises(Refusal, match="two shares at least; given 1"):
        loadings.panel(loadings.stacked(y.to_frame(), x))
    with pytest.raises(Refusal, match="0 lags and 0 leads"):
        loadings.dimson(y, x, 0, 0)
    for p in ([], [0.1, np.nan], [1.2]):
        with pytest.raises(Refusal, match="between 0 and 1"):
            loadings.adjusted(pd.Series(p, dtype=float))
