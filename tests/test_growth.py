"""Curves against published fits and planted ones; rules for monthly load against statsmodels itself."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel

from wattshift import growth, outlook
from wattshift.refusal import Refusal

RAT42 = (
    [9, 14, 21, 28, 42, 57, 63, 70, 79],
    [8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08],
)
AIRMILES = [
    412, 480, 683, 1052, 1385, 1418, 1634, 2178, 3362, 5948, 6109, 5981, 6753, 8003, 10566, 12528, 14760, 16769, 19819,
    22362, 25340, 25343, 29269, 30514,
]  # fmt: skip


def test_logistic_is_nist_rat42():  # NIST StRD: b1 / (1 + exp(b2 - b3 x)), certified to 11 digits
    found = growth.fit("logistic", *RAT42, errors="additive")
    assert found.rss == pytest.approx(8.0565229338, rel=1e-9)
    assert found.at("ceiling") == pytest.approx((72.462237576, 1.7340283), rel=1e-6)
    assert found.at("rate") == pytest.approx((0.067359200066, 0.0034465663), rel=1e-6)
    rate, midpoint = found.values[2], found.values[1]
    assert rate * midpoint == pytest.approx(2.6180768402, rel=1e-7)
    slope = np.array([0, rate, rate * midpoint])  # of b2 in (ln ceiling, midpoint, ln rate)
    assert np.sqrt(slope @ found.cov @ slope) == pytest.approx(0.088295218, rel=1e-6)
    assert found.identified


def test_logistic_is_r_airmiles():  # R, nls with SSlogis: Asym, xmid, scal
    found = growth.fit("logistic", np.arange(24), AIRMILES, errors="additive")
    assert found.at("ceiling") == pytest.approx((41468.5, 2622.4), abs=0.06)
    assert found.at("midpoint") == pytest.approx((18.5062, 0.6177), abs=6e-5)
    scale = 1 / found.values[2]
    assert scale == pytest.approx(4.26944, abs=6e-6)
    assert found.at("rate")[1] * scale**2 == pytest.approx(0.22907, abs=6e-6)
    assert found.sigma == pytest.approx(699.65, abs=0.006)


def test_a_log_linear_interval_is_that_of_a_regression():
    rng = np.random.default_rng(5)
    x = np.arange(10.0)
    y = np.exp(1 + 0.2 * x + 0.1 * rng.standard_normal(10))
    found = growth.fit("log-linear", x, y).predict([12.0], level=0.9)
    import statsmodels.api as sm

    line = sm.OLS(np.log(y), sm.add_constant(x)).fit().get_prediction(np.array([[1.0, 12.0]])).summary_frame(alpha=0.1)
    ends = line[["obs_ci_lower", "mean", "obs_ci_upper"]].to_numpy()[0]
    assert np.log(found[["low", "mid", "high"]].to_numpy()[0]) == pytest.approx(ends, rel=1e-9)


@pytest.mark.parametrize(("curve", "midpoint"), [("logistic", 12.0), ("Gompertz", 10.0)])
def test_planted_curves_come_back_with_the_stated_coverage(curve: str, midpoint: float):
    """100 curves with a ceiling of 500 and errors of 5 %: an 80 % band holds the next value, a 95 % interval the
    ceiling, within the 99.9 % range of such counts. Seed 7."""
    rng, x, ahead = np.random.default_rng(7), np.arange(25.0), 30.0
    shape = {"logistic": lambda u: 1 / (1 + np.exp(-u)), "Gompertz": lambda u: np.exp(-np.exp(-u))}[curve]
    true, then = 500 * shape(0.35 * (x - midpoint)), 500 * shape(0.35 * (ahead - midpoint))
    held = ceilings = 0
    middles = []
    for _ in range(100):
        found = growth.fit(curve, x, true * np.exp(0.05 * rng.standard_normal(25)))
        assert found.identified
        low, high = found.ceiling or (np.nan, np.nan)
        ceilings += low < 500 < high
        band = found.predict(ahead).iloc[0]
        held += band["low"] < then * np.exp(0.05 * rng.standard_normal()) < band["high"]
        middles.append(found.values)
    assert np.median(middles, axis=0) == pytest.approx([500, midpoint, 0.35], rel=0.01)
    for hits, claimed in ((held, 0.8), (ceilings, 0.95)):
        low, high = outlook.share_interval(hits, 100, 0.999)
        assert low < claimed < high


@pytest.mark.parametrize("curve", ["logistic", "Gompertz", "Bass"])
def test_a_ceiling_that_the_data_do_not_know_is_not_given(curve: str):
    """Exponential growth with 5 % noise, seed 3: no ceiling may be claimed, and the band is as wide as without one."""
    rng, x = np.random.default_rng(3), np.arange(12.0)
    y = 100 * np.exp(0.12 * x + 0.05 * rng.standard_normal(12))
    found = growth.fit(curve, x, y, start=-30)
    assert found.ceiling is not None
    assert found.ceiling[1] == np.inf
    assert not found.identified
    with pytest.raises(Refusal, match="do not rule out that it has no ceiling"):
        found.at("ceiling")
    ours, theirs = found.predict([15.0]).iloc[0], growth.fit("log-linear", x, y).predict([15.0]).iloc[0]
    assert ours["low"] < theirs["mid"] < ours["high"]
    assert ours["high"] > 0.9 * theirs["high"]


def test_planted_bass_curve_comes_back():
    """Innovation .03, imitation .38, ceiling 200 (near the means of Sultan, Farley & Lehmann 1990), noise 2 %."""
    rng, t = np.random.default_rng(11), np.arange(1.0, 21)
    gone = np.exp(-0.41 * t)
    level = 200 * (1 - gone) / (1 + 0.38 / 0.03 * gone)
    exact = growth.fit("Bass", t, level, start=0)
    assert exact.values == pytest.approx([200, 0.03, 0.38], rel=1e-5)
    noisy = growth.fit("Bass", t, level * np.exp(0.02 * rng.standard_normal(20)), start=0)
    for name, true in zip(noisy.names, (200, 0.03, 0.38), strict=True):
        value, error = noisy.at(name)
        assert abs(value - true) < 3 * error
        assert error < 0.2 * true


def test_a_wider_claim_is_a_wider_band():
    found = growth.fit("logistic", *RAT42, errors="additive")
    narrow, wide = (found.predict([90.0], level).iloc[0] for level in (0.5, 0.95))
    assert wide["low"] < narrow["low"] < narrow["mid"] < narrow["high"] < wide["high"]
    assert narrow["mid"] == wide["mid"]


@pytest.mark.parametrize(
    ("curve", "x", "y", "says"),
    [
        ("cubic", [1, 2], [1, 2], "no curve 'cubic'"),
        ("logistic", [1, 2, 3], [1, 2, 3], "3 levels cannot fit a logistic curve"),
        ("log-linear", [1, 1, 1], [1, 2, 3], "1 levels cannot fit"),
        ("log-linear", [1, 2, 3], [1, 0, 3], "positive levels"),
        ("log-linear", [1, 2, 3], [1, np.nan, 3], "positive levels"),
        ("log-linear", [1, 2, 3], [1, 2], "given 3 and 2"),
    ],
)
def test_refusals(curve: str, x: list[float], y: list[float], says: str):
    with pytest.raises(Refusal, match=says):
        growth.fit(curve, x, y)


def test_bass_starts_before_the_data():
    with pytest.raises(Refusal, match="must come later"):
        growth.fit("Bass", [1, 2, 3, 4], [1, 2, 3, 4], start=1)


@pytest.fixture(scope="module")
def load() -> pd.Series:
    """Twelve years of a load with a trend, a season and noise; seed 1."""
    rng, months = np.random.default_rng(1), np.arange(144)
    logs = 5 + 0.002 * months + 0.1 * np.sin(2 * np.pi * months / 12) + 0.02 * rng.standard_normal(144)
    return pd.Series(np.exp(logs), index=pd.date_range("2010-01-01", periods=144, freq="MS"))


@pytest.fixture(scope="module")
def rolled(load: pd.Series) -> pd.DataFrame:
    return growth.monthly_forecasts(load, 72)


def test_rules_are_those_of_statsmodels(load: pd.Series, rolled: pd.DataFrame):
    known = np.log(load).iloc[:72]
    first = rolled[rolled["origin"] == known.index[-1]].set_index("rule")["forecast"]
    theta = ThetaModel(known, period=12, method="additive").fit().forecast(12)
    assert first["Theta"].to_numpy() == pytest.approx(theta.to_numpy(), abs=1e-10)
    ets = ETSModel(known, error="add", trend="add", damped_trend=True, seasonal="add", seasonal_periods=12)
    assert first["ETS"].to_numpy() == pytest.approx(ets.fit(disp=0).forecast(12).to_numpy(), abs=1e-10)
    assert (first["last month"] == known.iloc[-1]).all()
    assert first["same month last year"].tolist() == known.iloc[-12:].tolist()


def test_the_airline_model_is_worked_by_hand():
    """With moving-average terms near zero it is y[t-1] + y[t-12] - y[t-13]; with seasonal differences all the same, any
    terms give the same line."""
    months = np.arange(100)
    logs = 3 + 0.01 * months + np.tile(np.linspace(0, 0.2, 12), 9)[:100]
    rng = np.random.default_rng(2)
    load = pd.Series(
        np.exp(logs + 1e-4 * rng.standard_normal(100)), pd.date_range("2000-01-01", periods=100, freq="MS")
    )
    found = growth.monthly_forecasts(load, 88).query("rule == 'ARIMA'").dropna()
    assert (found["forecast"] - found["truth"]).abs().max() < 1e-3


def test_nothing_later_is_looked_at(load: pd.Series, rolled: pd.DataFrame):
    """The same origins with the last two years replaced give the same forecasts."""
    other = load.copy()
    other.iloc[120:] *= 3
    again = growth.monthly_forecasts(other, 72)
    early = rolled["origin"] < load.index[120]
    assert again["forecast"][early].to_numpy() == pytest.approx(rolled["forecast"][early].to_numpy(), abs=1e-9)
    late = rolled["origin"] >= load.index[121]
    changed = (again["forecast"] - rolled["forecast"])[late].abs().groupby(rolled["rule"]).max()
    assert (changed > 0.5).all()  # and the test can fail


def test_bands_use_only_errors_that_are_known(rolled: pd.DataFrame):
    bands = growth.own_error_bands(rolled, needed=24)
    part = rolled[(rolled["rule"] == "ETS") & (rolled["ahead"] == 3)].sort_values("origin", ignore_index=True)
    first = bands[(bands["rule"] == "ETS") & (bands["ahead"] == 3)].sort_values("origin").iloc[0]
    assert first["origin"] == part["origin"].iloc[26]  # errors of origins 0 to 23 are known at origin 26
    off = (part["truth"] - part["forecast"])[:24]
    assert first["low"] == pytest.approx(first["forecast"] + np.quantile(off, 0.1))
    with pytest.raises(Refusal, match="no rule has 500 past errors"):
        growth.own_error_bands(rolled, needed=500)


def test_monthly_refusals(load: pd.Series):
    for train, horizon in ((40, 12), (200, 12), (72, 0), (72, 13)):
        with pytest.raises(Refusal, match="train on 48 or more"):
            growth.monthly_forecasts(load, train, horizon)
    with pytest.raises(Refusal, match="missing or doubled"):
        growth.monthly_forecasts(load.drop(load.index[5]), 72)
    with pytest.raises(Refusal, match="a load is positive"):
        growth.monthly_forecasts(load * 0, 72)
