"""Moving loadings: bands that cover what was planted, the Nile's level (Durbin & Koopman), and what R² hides."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.datasets import nile
from statsmodels.regression.linear_model import OLS
from statsmodels.regression.rolling import RollingOLS
from statsmodels.tools import add_constant

from wattshift import drift
from wattshift.refusal import Refusal

FLOW = nile.load_pandas().data.set_index("year")["volume"].astype(float)


def share(seed: int, n: int = 600, step: float = 0.0, tails: float | None = None) -> tuple:
    """A share on bitcoin with a loading that starts at 1.5 and walks by `step` a day; the factor, and the loading.
    Errors of standard deviation 0.04, Student's t where `tails` says so, twice as large in the second half."""
    rng = np.random.default_rng(seed)
    day = pd.date_range("2023-01-02", periods=n, freq="B")
    x = pd.DataFrame({"bitcoin": rng.normal(0, 0.03, n)}, index=day)
    loading = 1.5 + np.cumsum(rng.normal(0, step, n)) if step else np.full(n, 1.5)
    noise = rng.normal(0, 1, n) if tails is None else rng.standard_t(tails, n) / np.sqrt(tails / (tails - 2))
    y = loading * x["bitcoin"] + 0.04 * np.where(np.arange(n) < n // 2, 0.7, 1.4) * noise
    return y, x, loading


# ------------------------------------------------------------------------------------------------------------- windows
def test_rolling_and_growing_coefficients_are_statsmodels():
    y, x, _ = share(1, 200)
    design = add_constant(x)
    rolled = drift.windows(y, x, 60, rng=np.random.default_rng(1), draws=99)
    theirs = RollingOLS(y, design, window=60).fit().params.dropna()
    np.testing.assert_allclose(rolled["bitcoin", "coef"], theirs["bitcoin"], rtol=1e-8)
    grown = drift.windows(y, x, 60, rng=np.random.default_rng(1), draws=99, growing=True)
    last = OLS(y, design).fit(cov_type="HAC", cov_kwds={"maxlags": 4, "use_correction": False})  # floor(4 2^(2/9)) = 4
    assert grown["bitcoin", "coef"].iloc[-1] == pytest.approx(last.params["bitcoin"], rel=1e-9)
    assert grown["bitcoin", "se"].iloc[-1] == pytest.approx(last.bse["bitcoin"], rel=1e-9)
    first = OLS(y[:60], design[:60]).fit(cov_type="HAC", cov_kwds={"maxlags": 3, "use_correction": False})
    assert rolled["bitcoin", "se"].iloc[0] == pytest.approx(first.bse["bitcoin"], rel=1e-9)


@pytest.mark.parametrize("growing", [False, True])
def test_the_line_band_covers_the_whole_line_and_the_pointwise_band_does_not(growing):
    # 60 samples with a constant loading and volatility that doubles: 95 % bands over 301 windows of 100 days
    rng = np.random.default_rng(2)
    whole, points, both = [], [], []
    for seed in range(60):
        y, x, loading = share(200 + seed, 400)
        path = drift.windows(y, x, 100, rng=rng, draws=199, growing=growing)["bitcoin"]
        truth = loading[99:]
        whole.append(((path["line_low"] <= truth) & (truth <= path["line_high"])).all())
        inside = (path["low"] <= truth) & (truth <= path["high"])
        points.append(inside.mean())
        both.append(inside.all())
    assert np.mean(whole) >= 0.83  # 92 % in 150 samples of 399 draws; the standard error here is 3.5 points
    assert 0.90 <= np.mean(points) <= 0.97
    assert np.mean(both) <= 0.75  # what a reader sees who trusts the pointwise band for the line


# -------------------------------------------------------------------------------------------------------------- states
def test_the_level_of_the_nile_is_durbin_and_koopmans():
    found = drift.walk(FLOW, pd.DataFrame(index=FLOW.index))
    assert found.error**2 == pytest.approx(15_099, rel=0.002)
    assert found.steps["alpha"] ** 2 == pytest.approx(1_469.1, rel=0.005)
    assert found.loglik == pytest.approx(-632.54, abs=0.02)
    # figure 2.1: the filtered level starts at the first observation, the smoothed one ends where the filtered does
    assert found.filtered["alpha", "coef"].iloc[1:].notna().all()
    assert found.filtered["alpha", "coef"].iloc[0] != found.filtered["alpha", "coef"].iloc[0]
    assert found.smoothed["alpha", "coef"].iloc[-1] == pytest.approx(found.filtered["alpha", "coef"].iloc[-1])


def test_units_change_nothing_but_the_units():
    found = drift.walk(FLOW, pd.DataFrame(index=FLOW.index))
    small = drift.walk(FLOW / 1e4, pd.DataFrame(index=FLOW.index))
    assert small.error * 1e4 == pytest.approx(found.error, rel=1e-3)
    assert small.loglik - found.loglik == pytest.approx((len(FLOW) - 1) * np.log(1e4), abs=1e-3)  # one day is the start


def test_a_planted_walk_is_found_again_and_its_bands_cover_it():
    steps, covered = [], []
    for seed in range(10):
        y, x, loading = share(300 + seed, 800, step=0.04)
        found = drift.walk(y, x, ["bitcoin"])
        steps.append(found.steps["bitcoin"])
        band = found.smoothed["bitcoin"]
        covered.append(((band["low"] <= loading) & (loading <= band["high"])).mean())
        assert found.loglik > found.loglik_still
    assert np.median(steps) == pytest.approx(0.04, rel=0.35)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_smoothed_bands_are_inside_filtered_ones():
    y, x, _ = share(4, 500, step=0.04)
    found = drift.walk(y, x, ["bitcoin"])
    width = {name: (band["bitcoin", "high"] - band["bitcoin", "low"]) for name, band in
             (("smoothed", found.smoothed), ("filtered", found.filtered))}  # fmt: skip
    assert (width["smoothed"] <= width["filtered"] + 1e-9).iloc[2:].all()
    assert found.smoothed["alpha", "coef"].std() < 1e-8  # what does not move holds throughout


def test_no_steps_are_least_squares():
    y, x, _ = share(5, 300)
    found = drift.walk(y, x, ["bitcoin"])
    if found.steps["bitcoin"] < 1e-3:
        assert found.smoothed["bitcoin", "coef"].iloc[0] == pytest.approx(
            OLS(y, add_constant(x)).fit().params["bitcoin"], abs=0.02
        )
    scaled = drift.walk(y, x, ["bitcoin"], scale=pd.Series(np.where(np.arange(300) < 150, 0.7, 1.4), index=y.index))
    assert scaled.loglik > found.loglik + 20  # the planted doubling of volatility is known to the second model


def test_students_tails_keep_one_wild_day_from_moving_the_loading():
    errors = {None: [], 4.0: []}
    for seed in range(3):
        y, x, loading = share(400 + seed, 600, step=0.02, tails=3)
        day = 200 + int(np.argmax(x["bitcoin"].to_numpy()[200:500]))
        y.iloc[day] += 0.9  # on a day on which bitcoin moved far
        for tails, kept in errors.items():
            path = drift.walk(y, x, ["bitcoin"], tails=tails).smoothed["bitcoin", "coef"]
            kept.append(float(np.sqrt(((path - loading) ** 2).mean())))
    assert np.mean(errors[4.0]) < 0.8 * np.mean(errors[None])


def test_the_spread_follows_planted_volatility():
    rng = np.random.default_rng(6)
    size = np.repeat([1.0, 3.0], 300)
    found = drift.spread(pd.Series(size * rng.normal(size=600)))
    assert found[400:].mean() / found[100:250].mean() == pytest.approx(3, rel=0.2)
    assert found.notna().all()


# -------------------------------------------------------------------------------------------------- does it move at all
def test_moves_finds_a_planted_walk_and_names_it():
    y, x, _ = share(7, 800, step=0.08)
    x = x.assign(nasdaq=np.random.default_rng(8).normal(0, 0.015, 800))
    table = drift.moves(y + 0.4 * x["nasdaq"], x, rng=np.random.default_rng(1), draws=199)
    assert table.loc["bitcoin", "p"] <= 0.01
    assert table.loc["all", "p"] <= 0.02
    assert table.loc["nasdaq", "p"] > 0.05


def test_moves_keeps_its_size_when_volatility_shifts():
    # 250 samples without movement, volatility doubling halfway: the size of a 5 % test has standard error 1.4 points
    rng = np.random.default_rng(9)
    p = [drift.moves(*share(1_000 + seed, 150)[:2], rng=rng, draws=99).loc["bitcoin", "p"] for seed in range(250)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.085


# ---------------------------------------------------------------------------------------- why an R² is not the loading
def test_parts_of_a_change_of_r2_add_up_and_name_the_cause():
    one = np.array([[0.0009]])
    base = (np.array([1.5]), one, 0.0016)
    for changed, cause in (
        ((np.array([1.0]), one, 0.0016), "loadings"),
        ((np.array([1.5]), one / 3, 0.0016), "factors"),
        ((np.array([1.5]), one, 0.0050), "residual"),
    ):
        parts = drift.shares_of_change(base, changed)
        assert parts[cause] == pytest.approx(parts["after"] - parts["before"])
        assert parts["after"] < parts["before"]
    mixed = drift.shares_of_change(base, (np.array([1.0]), one / 2, 0.0030))
    assert mixed[["loadings", "factors", "residual"]].sum() == pytest.approx(mixed["after"] - mixed["before"])


def test_r2_falls_with_volatility_and_no_change_of_loading():
    rng = np.random.default_rng(11)
    day = pd.date_range("2023-01-02", periods=2_000, freq="B")
    x = pd.DataFrame({"bitcoin": rng.normal(0, 0.04, 2_000) * np.repeat([1.0, 0.5], 1_000)}, index=day)
    y = 1.5 * x["bitcoin"] + rng.normal(0, 0.04, 2_000)
    parts = drift.r2_change(y, x, day[999])
    assert parts["before"] == pytest.approx(0.0036 / 0.0052, abs=0.04)  # b²S/(b²S + v) with b = 1.5, S = v = 0.0016
    assert parts["after"] == pytest.approx(0.0009 / 0.0025, abs=0.05)
    assert abs(parts["loadings"]) < 0.03
    assert parts["factors"] < -0.25


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda y, x: drift.windows(y, x, 3, rng=np.random.default_rng(1)), "window of 3 days"),
        (lambda y, x: drift.windows(y, x, 301, rng=np.random.default_rng(1)), "window of 301 days"),
        (lambda y, x: drift.windows(y, x, 60, rng=np.random.default_rng(1), level=95), "between 0 and 1"),
        (lambda y, x: drift.walk(y, x, ["bitcon"]), "bitcoin"),
        (lambda y, x: drift.walk(y, x, scale=y * 0), "positive number"),
        (lambda y, x: drift.walk(y, x, tails=1.0), "above 2"),
        (lambda y, x: drift.walk(y[:10], x), "longer window"),
        (lambda y, x: drift.moves(y * 0, x, rng=np.random.default_rng(1)), "constant"),
        (lambda y, x: drift.r2_change(y, x, y.index[5]), "6 days on one side"),
    ],
)
def test_bad_input_is_refused_in_plain_words(call, words):
    y, x, _ = share(10, 300)
    with pytest.raises(Refusal, match=words):
        call(y, x)
