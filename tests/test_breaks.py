"""Breaks against published cases (strucchange, Andrews, Bai, Hansen), planted breaks, and size on uneven volatility."""

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from statsmodels.datasets import nile
from statsmodels.tools import add_constant

from wattshift import breaks
from wattshift.loadings import regress
from wattshift.refusal import Refusal

FLOW = nile.load_pandas().data.set_index("year")["volume"].astype(float)
FLOW.index = FLOW.index.astype(int)
NOTHING = pd.DataFrame(index=FLOW.index)  # no regressor but the constant

# US ex-post real interest rate, quarters 1961:1 to 1986:3 (Garcia & Perron 1996; R's strucchange calls it RealInt)
REAL_RATE = [
    1.99132, 0.00403, 2.27, 0.84833, 1.89112, -0.28, 3.68431, 1.62478, 1.21599, 1.28373, 1.70141, 3.16687, 2.32779,
    2.26202, 1.91218, 3.53196, -0.31777, 3.44694, 1.52422, 0.74268, 1.31541, 0.36646, 3.59562, 3.6574, 0.97494,
    -0.5328, 1.12681, 0.31123, 0.57834, 1.08163, 0.24977, 0.23792, -0.32653, 1.14733, 1.19323, 2.58962, 0.01195,
    2.63842, 0.42092, 2.58823, -2.19809, 2.89548, 1.8213, 0.86332, 0.67496, 0.34435, 1.22762, -2.83991, -1.8163,
    -2.22965, -1.58457, -6.31184, -2.46258, -5.61479, -3.53887, 1.0178, -1.58875, -1.85396, -0.2567, 2.42226,
    -1.29502, -0.48977, 1.21167, -4.85498, -3.599, 0.17094, 1.51603, -1.85304, -5.60478, -1.25767, 0.96658, -3.09451,
    -5.26773, -4.03154, -1.76618, -5.73978, 3.83047, 0.52007, -0.18033, 3.82808, 3.01171, 2.75289, 11.74184, 9.91701,
    3.03444, 10.15143, 9.29177, 6.87498, 2.43675, 4.37202, 6.77774, 4.16692, 5.65037, 5.17734, 9.41206, 3.77006,
    4.24568, 4.53154, 3.39706, 8.93951, 4.20825, 3.43461, 4.30529,
]  # fmt: skip


def market(seed: int, n: int = 600, before: float = 1.5, after: float = 1.5, last: int = 360) -> tuple:
    """A share on bitcoin and the Nasdaq whose bitcoin loading changes after `last` days; errors of uneven size that
    grow with bitcoin's moves and rise and fall in long waves."""
    rng = np.random.default_rng(seed)
    wave = 1 + 0.6 * np.sin(np.arange(n) / n * 7)
    nasdaq = rng.normal(0, 0.014, n)
    bitcoin = wave * (nasdaq + rng.normal(0, 0.03, n))
    x = pd.DataFrame({"bitcoin": bitcoin, "nasdaq": nasdaq}, index=pd.date_range("2023-01-02", periods=n, freq="B"))
    loading = np.where(np.arange(n) < last, before, after)
    size = wave * (0.02 + 0.5 * np.abs(bitcoin))
    y = pd.Series(0.001 + loading * bitcoin + 0.4 * nasdaq + size * rng.standard_t(5, n) / 1.29, index=x.index)
    return y, x


# ---------------------------------------------------------------------------------------------------- published cases
def test_the_nile_breaks_where_strucchange_says():
    path = breaks.break_path(FLOW, NOTHING)
    assert path["f"].idxmax() == path["rss"].idxmin() == 1898
    assert path["f"].max() == pytest.approx(75.93, abs=0.005)
    assert breaks.limit_p(path["f"].max(), 1) < 1e-14
    found = breaks.date_set(FLOW, NOTHING)
    assert (found.low, found.last, found.high) == (1895, 1898, 1902)
    assert found.table.loc["alpha", "before"] == pytest.approx(1097.75)
    assert found.table.loc["alpha", "after"] == pytest.approx(849.972, abs=1e-3)


def test_the_nile_in_up_to_six_regimes():
    best = breaks.partitions(FLOW, NOTHING, 5, least=15)
    places = [[year - 1870 for year in years] for years in best["lasts"]]
    assert places == [[], [28], [28, 83], [28, 68, 83], [28, 45, 68, 83], [15, 30, 45, 68, 83]]
    assert best["rss"].round().tolist() == [2835157, 1597457, 1552924, 1538097, 1507888, 1659994]
    assert best["bic"].round().tolist() == [1318, 1270, 1276, 1285, 1292, 1311]


def test_the_real_interest_rate_breaks_in_three_places():
    rate = pd.Series(REAL_RATE)
    best = breaks.partitions(rate, pd.DataFrame(index=rate.index), 3, least=15)
    assert [last + 1 for last in best.loc[3, "lasts"]] == [24, 47, 79]


@pytest.mark.parametrize(
    ("coefficients", "points"),
    [(1, (7.12, 8.68, 12.16)), (2, (10.00, 11.72, 15.56)), (3, (12.28, 14.13, 18.07)), (4, (14.34, 16.36, 20.47))],
)
def test_limit_p_gives_back_the_table_of_andrews(coefficients, points):
    # Andrews (2003, table 1), trim 0.15, at 10, 5 and 1 %; the table itself is a simulation
    found = [breaks.limit_p(point, coefficients) for point in points]
    np.testing.assert_allclose(found, [0.10, 0.05, 0.01], rtol=0.12)


@pytest.mark.parametrize(("coefficients", "trim"), [(1, 0.15), (2, 0.05), (3, 0.25)])
def test_limit_p_agrees_with_simulated_bridges(coefficients, trim):
    # a standardized bridge is an Ornstein-Uhlenbeck process in the log odds of time; the grid's maximum is moved up by
    # 0.5826 sqrt(step), the continuity correction of Broadie, Glasserman & Kou (1997)
    rng = np.random.default_rng(8)
    steps, draws = 400, 10_000
    step = 2 * np.log((1 - trim) / trim) / steps
    keep = np.exp(-step / 2)
    noise = rng.standard_normal((coefficients, draws, steps + 1))
    noise[..., 1:] *= np.sqrt(1 - keep**2)
    process = lfilter([1], [1, -keep], noise, axis=2)
    tops = (np.sqrt((process**2).sum(axis=0)).max(axis=1) + 0.5826 * np.sqrt(step)) ** 2
    for p in (
        0.20,
        0.10,
        0.05,
    ):  # the simulation's own error at 5 % is 0.002, times two; the formula sinks below at 20 %
        assert breaks.limit_p(float(np.quantile(tops, 1 - p)), coefficients, trim) == pytest.approx(p, rel=0.2)


def test_cramer_von_mises_against_its_closed_form_and_hansens_table():
    # two dimensions: P = 2 sum (-1)^(j-1) exp(-j² pi² x / 2); Hansen (1992, table 1), 5 %
    exact = 2 * sum((-1) ** (j - 1) * np.exp(-(j**2) * np.pi**2 * 0.6 / 2) for j in range(1, 20))
    assert breaks.cramer_von_mises_p(0.6, 2) == pytest.approx(exact, abs=1e-6)
    for dimensions, point in ((1, 0.470), (3, 1.01), (6, 1.68), (10, 2.54)):
        assert breaks.cramer_von_mises_quantile(0.95, dimensions) == pytest.approx(point, rel=0.03)


def test_argmax_quantiles_are_bais_and_turn_with_the_sides():
    assert breaks.argmax_quantiles(0.5, 1, 0.5, 1, [0.95, 0.975]) == pytest.approx([7.69, 11.03], abs=0.01)
    ahead = breaks.argmax_quantiles(0.5, 1, 2.0, 1.5, [0.1, 0.9])
    back = breaks.argmax_quantiles(2.0, 1.5, 0.5, 1, [0.1, 0.9])
    assert ahead == pytest.approx([-back[1], -back[0]], abs=1e-6)


# --------------------------------------------------------------------------------------------- exact relations, planted
def test_the_path_is_chows_test_day_by_day():
    y, x = market(1, 120, last=70)
    path = breaks.break_path(y, x)
    design = add_constant(x).to_numpy()

    def squares(rows):
        return np.linalg.lstsq(design[rows], y.to_numpy()[rows], rcond=None)[1][0]

    whole = squares(slice(None))
    for last in (30, 71, 100):
        split = squares(slice(None, last)) + squares(slice(last, None))
        row = path.loc[x.index[last - 1]]
        assert row["rss"] == pytest.approx(split, rel=1e-9)
        assert row["f"] == pytest.approx((whole - split) / (split / (120 - 6)), rel=1e-9)


def test_the_robust_wald_statistic_is_that_of_the_regression_with_the_split_in_it():
    from statsmodels.regression.linear_model import OLS

    y, x = market(2, 150, last=70)
    late = (np.arange(150) >= 80) * x["bitcoin"]
    fit = OLS(y, add_constant(x.assign(late=late))).fit(cov_type="HC1")
    row = breaks.break_path(y, x, ["bitcoin"]).loc[x.index[79]]
    assert row["wald"] == pytest.approx(float(fit.tvalues["late"] ** 2), rel=1e-9)


def test_a_planted_break_is_found_dated_and_sized():
    y, x = market(3, 900, before=2.0, after=0.8, last=500)
    found = breaks.wild_test(y, x, ["bitcoin"], rng=np.random.default_rng(1), draws=199)
    assert found.p == 1 / 200
    when = breaks.date_set(y, x, ["bitcoin"])
    assert when.low <= x.index[499] <= when.high
    assert x.index[499] in when.likely
    told = breaks.change_at(y, x, x.index[499], ["bitcoin"], "newey-west").loc["bitcoin"]
    assert told["low"] < -1.2 < told["high"] < 0
    assert when.table.loc["bitcoin", "before"] == pytest.approx(2.0, abs=0.2)
    rows = breaks.sequential(y, x, ["bitcoin"], rng=np.random.default_rng(1), draws=199)
    assert rows.index.tolist() == [when.last]


def test_a_change_of_all_coefficients_is_the_difference_of_two_regressions():
    """With everything free on either side the two halves know nothing of each other, so their variances add up."""
    y, x = market(5, 500, before=2.0, after=1.0, last=300)
    day = x.index[299]
    sides = [regress(y[part], x[part], "hc0").table() for part in (x.index <= day, x.index > day)]
    told = breaks.change_at(y, x, day, covariance="hc0")
    np.testing.assert_allclose(told["change"], sides[1]["coef"] - sides[0]["coef"], rtol=1e-9)
    np.testing.assert_allclose(told["se"], np.hypot(sides[0]["se"], sides[1]["se"]), rtol=1e-9)
    slow = breaks.change_at(y, x, day, covariance="newey-west")
    assert (slow["change"] == told["change"]).all()
    assert (slow["se"] != told["se"]).all()


def test_bais_interval_stays_within_the_days_looked_at():
    """With almost no change the interval would be longer than the sample."""
    y, x = market(6, 400, before=1.5, after=1.5)
    found = breaks.date_set(y, x, ["bitcoin"], trim=0.2)
    path = breaks.break_path(y, x, ["bitcoin"], trim=0.2)
    assert (found.low, found.high) == (path.index[0], path.index[-1])


def test_two_planted_breaks_are_found_one_after_the_other():
    y, x = market(4, 900, before=2.0, after=0.5, last=300)
    y = y + 2.0 * x["bitcoin"] * (np.arange(900) >= 650)
    rows = breaks.sequential(y, x, ["bitcoin"], rng=np.random.default_rng(1), draws=199)
    places = x.index.get_indexer(rows.index) + 1
    assert len(places) == 2
    np.testing.assert_allclose(places, [300, 650], atol=15)
    best = breaks.partitions(y, x, 4, least=90, every=5)
    assert best["bic"].idxmin() == 2
    np.testing.assert_allclose(x.index.get_indexer(best.loc[2, "lasts"]) + 1, [300, 650], atol=15)


def test_the_date_sets_cover_a_planted_day():
    # 60 samples, a change of 1.0 in a loading; 95 % sets of which Bai's and the ratio's are known to run a little short
    inside = []
    for seed in range(60):
        y, x = market(100 + seed, 400, before=1.8, after=0.8, last=220)
        when = breaks.date_set(y, x, ["bitcoin"])
        day = x.index[219]
        inside.append((when.low <= day <= when.high, day in when.likely, day in when.wide))
    shares = np.mean(inside, axis=0)
    assert (shares >= 0.88).all(), shares
    assert shares[2] >= 0.90


# ---------------------------------------------------------------------------------------------------------------- size
def test_the_wild_test_keeps_its_size_where_chows_does_not():
    # errors that grow with bitcoin's moves and with long waves of volatility, as the shares' do; nothing breaks.
    # 300 samples: the standard error of a size of 5 % is 1.3 points
    rng = np.random.default_rng(77)
    rejected = np.zeros(3)
    for seed in range(300):
        y, x = market(1_000 + seed, 300)
        path = breaks.break_path(y, x, ["bitcoin"])
        wild = breaks.wild_test(y, x, ["bitcoin"], rng=rng, draws=99, block=1).p <= 0.05
        rejected += [breaks.limit_p(path["f"].max(), 1) < 0.05, breaks.limit_p(path["wald"].max(), 1) < 0.05, wild]
    classical, _, wild_size = rejected / 300
    assert 0.02 <= wild_size <= 0.08
    assert classical > 2 * 0.05  # the plain statistic with Andrews's limit rejects far too often


def test_the_wild_null_is_the_limit_where_the_limit_holds():
    rng = np.random.default_rng(5)
    x = pd.DataFrame({"bitcoin": rng.normal(0, 0.03, 1_500)})
    y = 1.5 * x["bitcoin"] + rng.normal(0, 0.02, 1_500)
    null = breaks.wild_test(y, x, ["bitcoin"], rng=rng, draws=1_999, block=1).null
    assert breaks.limit_p(float(np.quantile(null, 0.95)), 1) == pytest.approx(0.05, abs=0.025)


def test_the_same_seed_gives_the_same_p():
    y, x = market(7)
    first, again = (breaks.wild_test(y, x, rng=np.random.default_rng(3), draws=99).p for _ in range(2))
    assert first == again


def test_no_break_means_no_rows():
    y, x = market(9)
    assert breaks.sequential(y, x, ["bitcoin"], rng=np.random.default_rng(1), draws=99, level=0.01).empty


# ------------------------------------------------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda y, x: breaks.break_path(y, x, ["bitcoins"]), "bitcoin"),
        (lambda y, x: breaks.break_path(y, x, []), "one coefficient at least"),
        (lambda y, x: breaks.break_path(y, x, trim=0.5), "below 0.5"),
        (lambda y, x: breaks.break_path(y[:8], x), "longer window"),
        (lambda y, x: breaks.break_path(y * 0, x), "constant"),
        (lambda y, x: breaks.break_path(y, x.assign(again=x["bitcoin"])), "collinear"),
        (lambda y, x: breaks.break_path(y, x * np.inf), "infinite"),
        (lambda y, x: breaks.wild_test(y, x, rng=np.random.default_rng(1), block=200), "block of 200"),
        (lambda y, x: breaks.partitions(y, x, least=2), "`least` is 4 to"),
        (lambda y, x: breaks.change_at(y, x, y.index[20]), "21 days on one side"),
        (lambda y, x: breaks.date_set(y, x, coverage=95), "between 0 and 1"),
    ],
)
def test_bad_input_is_refused_in_plain_words(call, words):
    y, x = market(10, 100)
    with pytest.raises(Refusal, match=words):
        call(y, x)
