"""Price and hashrate: published cases, hand-worked numbers, parameters planted in simulated data and found again."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.tsa.stattools import kpss as statsmodels_kpss
from statsmodels.tsa.vector_ar.vecm import VECM

from wattshift import leadlag

# Greene, Econometric Analysis, investment data 1964-1982, as in the vignette of R's sandwich
REAL_INV = """
133.84636526 152.63582571 163.75716519 155.32506957 161.49745578 172.02442678 157.68179333 173.31527966 195
217.30496454 198.73131734 163.84450274 194.87683240 231.41735095 257.01369499 258.84224697 225.25501625
243.36373885 200.35769528
"""
REAL_GNP = """
876.32266044 929.39752555 984.88796248 1011.38375917 1058.15362249 1087.68291278 1085.51120831 1122.38308510
1185.9 1254.27895981 1246.26346889 1231.57643692 1298.17137676 1369.72509818 1438.57199840 1479.50067311
1475.00280238 1513.83622015 1485.40216551
"""
REAL_INT = """
2.01518767 1.85503367 1.27245831 1.19364773 0.75827979 0.72098134 0.58071782 -0.10633133 0.34418290 0.69
-0.99269504 -3.05656934 0.29290882 -0.36590298 0.05550161 1.63753224 2.59119692 4.04885327 5.00380650
"""


def numbers(text):
    return np.array([float(word) for word in text.split()])


def walks(rng, n, count=2, sd=0.05):
    return np.cumsum(rng.normal(0, sd, (n, count)), axis=0)


def vecm(rng, n, speed, beta, price_speed=0.0, sd=0.05, hashrate_sd=0.05):
    """Hashrate closes `speed` of its distance to beta x price each week; price answers with `price_speed`."""
    price, hashrate = np.zeros(n), np.zeros(n)
    for t in range(1, n):
        gap = beta * price[t - 1] - hashrate[t - 1]
        price[t] = price[t - 1] + price_speed * gap + rng.normal(0, sd)
        hashrate[t] = hashrate[t - 1] + speed * gap + rng.normal(0, hashrate_sd)
    return hashrate, price


def frame(hashrate, price, start="2014-01-06"):
    dates = pd.Series(pd.date_range(start, periods=len(price), freq="7D"))
    return pd.DataFrame({"date": dates, "log_price": price, "log_hashrate": hashrate, "blocks": 1008})


# ---- weeks ---------------------------------------------------------------------------------------------------------
def daily(days=30, first="2024-01-01"):
    n = np.arange(days, dtype=float)
    dates = pd.date_range(first, periods=days)
    return pd.DataFrame({"date": dates, "price_usd": 100 + n, "hashrate_ehs": 500 + n, "blocks": 144})


def test_weeks_end_on_the_last_day_and_none_is_cut():
    weeks = leadlag.weekly(daily(30))
    assert len(weeks) == 4
    assert str(weeks["date"].iloc[-1].date()) == "2024-01-30"
    assert np.exp(weeks["log_price"].iloc[-1]) == pytest.approx(129)  # the close, not a mean
    assert np.exp(weeks["log_hashrate"].iloc[-1]) == pytest.approx(526)  # mean of 523..529
    assert weeks["blocks"].tolist() == [1008] * 4


def test_a_missing_day_and_a_missing_price_are_refused():
    with pytest.raises(ValueError, match="missing or doubled day"):
        leadlag.weekly(daily().drop(index=11))
    holed = daily()
    holed.loc[22, "price_usd"] = np.nan  # the last day but one of a week does not matter, its last day does
    closing = holed.assign(price_usd=holed["price_usd"].where(holed.index != 22, 1.0))
    closing.loc[29, "price_usd"] = np.nan
    with pytest.raises(ValueError, match="no closing price"):
        leadlag.weekly(closing)


def test_weeks_before_the_first_price_are_dropped():
    early = daily(30)
    early.loc[:12, "price_usd"] = np.nan  # days 0..12; weeks end on days 8, 15, 22, 29
    assert [str(day.date()) for day in leadlag.weekly(early)["date"]] == ["2024-01-16", "2024-01-23", "2024-01-30"]


def test_steps_leave_out_breaks_too_near_an_end():
    dates = pd.Series(pd.date_range("2020-01-06", periods=100, freq="7D"))
    days = {"early": dates[10], "mid": dates[40], "late": dates[90], "outside": pd.Timestamp("2030-01-01")}
    found = leadlag.steps(dates, days)
    assert list(found.columns) == ["mid"]
    assert found["mid"].sum() == 60


def test_log_margin_moves_one_for_one():
    one = np.ones(1)
    base = leadlag.log_margin(60_000 * one, 3.125 * one, 600 * one, 25 * one)
    # by hand: 60,000 x 3.125 x 144 = 27.0 MUSD a day over 600e6 TH/s x 25 J/TH x 24 h = 360 GWh
    assert np.exp(base[0]) == pytest.approx(0.075, rel=1e-12)
    halved = leadlag.log_margin(60_000 * one, 1.5625 * one, 600 * one, 25 * one)
    doubled = leadlag.log_margin(60_000 * one, 3.125 * one, 1200 * one, 25 * one)
    assert halved[0] == pytest.approx(doubled[0])
    assert base[0] - halved[0] == pytest.approx(np.log(2))


# ---- regression ----------------------------------------------------------------------------------------------------
def test_newey_west_reproduces_greene():
    x = np.column_stack([np.ones(19), numbers(REAL_GNP), numbers(REAL_INT)])
    fit = leadlag.ols(numbers(REAL_INV), x, ["constant", "gnp", "interest"], lags=4)
    expected = {"constant": (-12.533601, 18.958298), "gnp": (0.169136, 0.016751), "interest": (-1.001438, 3.342375)}
    for name, (coef, error) in expected.items():
        assert fit.at(name) == pytest.approx((coef, error), abs=1.5e-6)


def test_hac_and_wald_agree_with_statsmodels():
    rng = np.random.default_rng(11)
    x = np.column_stack([np.ones(200), rng.normal(size=(200, 2))])
    y = x @ [1.0, 0.5, 0.0] + np.convolve(rng.normal(size=204), np.ones(5), "valid")
    ours = leadlag.ols(y, x, ["c", "a", "b"], lags=6)
    theirs = sm.OLS(y, x).fit(cov_type="HAC", cov_kwds={"maxlags": 6}, use_t=True)
    assert ours.cov == pytest.approx(theirs.cov_params(), rel=1e-9)
    assert ours.p("a") == pytest.approx(theirs.pvalues[1], rel=1e-9)
    joint = theirs.f_test("x1 = 0, x2 = 0")
    test = leadlag.wald(ours, ["a", "b"])
    assert (test.f, test.p) == pytest.approx((float(joint.fvalue), float(joint.pvalue)), rel=1e-9)


def test_regression_refuses_what_it_cannot_fit():
    with pytest.raises(ValueError, match="cannot fit"):
        leadlag.ols(np.ones(3), np.ones((3, 3)), "abc")
    with pytest.raises(ValueError, match="collinear"):
        leadlag.ols(np.arange(5.0), np.ones((5, 2)), "ab")


def test_fixed_b_critical_values_against_simulation():
    """20,000 means of 400 normal draws, Bartlett lag 40: the 95 % point of |t| within 2 % of the printed polynomial."""
    rng = np.random.default_rng(5)
    n, lag, t = 400, 40, []
    for _ in range(20):
        x = rng.normal(size=(1000, n))
        e = x - x.mean(axis=1, keepdims=True)
        variance = (e * e).sum(axis=1)
        for k in range(1, lag + 1):
            variance += 2 * (1 - k / (lag + 1)) * (e[:, k:] * e[:, :-k]).sum(axis=1)
        t.append(np.abs(x.mean(axis=1)) * n / np.sqrt(variance))
    assert np.quantile(np.concatenate(t), 0.95) == pytest.approx(leadlag.fixed_b_critical(lag / n), rel=0.02)


# ---- unit roots and cointegration ----------------------------------------------------------------------------------
@pytest.mark.parametrize(("around", "code"), [("level", "c"), ("trend", "ct")])
def test_kpss_agrees_with_statsmodels(around, code):
    nile = sm.datasets.nile.load_pandas().data["volume"].to_numpy(dtype=float)[15:100]
    theirs = statsmodels_kpss(nile, regression=code, nlags=4, result_object=False)
    assert leadlag.kpss(nile, around, lags=4) == pytest.approx(theirs[:2], rel=1e-9)
    assert 0.01 < theirs[1] < 0.10


def test_a_walk_and_a_return_are_told_apart():
    rng = np.random.default_rng(7)
    walk = walks(rng, 600, 1)[:, 0]
    returning = np.zeros(600)
    for t in range(1, 600):
        returning[t] = 0.7 * returning[t - 1] + rng.normal()
    found = leadlag.unit_roots({"walk": walk, "returning": returning}, "level")
    assert found["reads"].tolist() == ["unit root", "stationary"]


def test_planted_relation_is_found_by_every_test():
    hashrate, price = vecm(np.random.default_rng(3), 500, speed=0.15, beta=0.8)
    found = leadlag.cointegration(frame(hashrate, price), lags=1)
    assert found.set_index("test")["rejects"].drop("Johansen trace, rank 1 at most").all(), found


@pytest.mark.parametrize("lags", [1, 3])
def test_johansen_is_the_likelihood_ratio_of_statsmodels(lags):
    """With a trend inside the relation ("li") and a free constant ("co"): twice the distance of the log-likelihoods."""
    hashrate, price = (walks(np.random.default_rng(30), 250) + 0.01 * np.arange(250)[:, None]).T
    both = np.column_stack([hashrate, price])
    likelihood = [VECM(both, k_ar_diff=lags, coint_rank=rank, deterministic="coli").fit().llf for rank in range(3)]
    expected = 2 * (likelihood[2] - likelihood[0]), 2 * (likelihood[2] - likelihood[1])
    assert leadlag.johansen(hashrate, price, lags) == pytest.approx(expected, rel=1e-6)


def test_size_of_johansen_with_drift():
    """600 pairs of independent walks with drift (seed 31), 474 weeks: a 5 % test rejects in 3 % to 8 % (the table for
    a quadratic trend, 18.40, would reject in about 22 %)."""
    rng = np.random.default_rng(31)
    found = [leadlag.johansen(*(walks(rng, 474) + 0.01 * np.arange(474)[:, None]).T, 1)[0] for _ in range(600)]
    assert 18 <= sum(trace > leadlag.JOHANSEN_5_PERCENT[0] for trace in found) <= 48
    assert sum(trace > 18.40 for trace in found) > 90


def test_independent_walks_seldom_look_related():
    """Size on 60 pairs of independent walks (seed 8): a 5 % test rejects in at most 9 (P of more: 0.003)."""
    rng = np.random.default_rng(8)
    rejected = np.zeros(2)
    for _ in range(60):
        hashrate, price = walks(rng, 150).T
        found = leadlag.cointegration(frame(hashrate, price), lags=1).set_index("test")["rejects"]
        rejected += [found["Engle-Granger, hashrate on price"], found["Gregory-Hansen, regime"]]
    assert (rejected <= 9).all(), rejected


def test_table_of_the_long_run_names_every_test():
    hashrate, price = vecm(np.random.default_rng(3), 300, speed=0.2, beta=1.0)
    plain = leadlag.long_run_tests(frame(hashrate, price), lags=1)
    tied = leadlag.long_run_tests(frame(hashrate, price).assign(margin=price - hashrate), lags=1)
    assert len(plain) == 4 + 6
    assert len(tied) == 6 + 6
    margin = tied[tied["subject"] == "log mining margin"].set_index("test")["rejects"]
    assert margin.to_dict() == {"ADF": True, "KPSS": False}
    above = tied["test"].isin(["KPSS", "Johansen trace"])
    beyond = np.where(above, tied["statistic"] > tied["critical"], tied["statistic"] < tied["critical"])
    assert (tied["rejects"] == beyond).all()
    assert tied["break_date"].notna().sum() == 2


def test_gregory_hansen_dates_a_planted_break():
    rng = np.random.default_rng(12)
    price = walks(rng, 300, 1)[:, 0]
    hashrate = 0.5 * price + np.where(np.arange(300) >= 180, 1.0, 0.0) + rng.normal(0, 0.03, 300)
    statistic, at = leadlag.gregory_hansen(hashrate, price, "level and trend", lags=0)
    assert abs(at - 180) <= 1
    assert statistic < leadlag.GREGORY_HANSEN_5_PERCENT["level and trend"]


def test_dynamic_least_squares_finds_slope_and_step():
    rng = np.random.default_rng(21)
    price = walks(rng, 600, 1)[:, 0]
    after = (np.arange(600) >= 300).astype(float)
    hashrate = 2 + 0.004 * np.arange(600) + 0.7 * price - 0.6 * after + rng.normal(0, 0.05, 600)
    weeks = frame(hashrate, price)
    fit = leadlag.dols(weeks, pd.DataFrame({"halving": after}))
    assert fit.at("log_price")[0] == pytest.approx(0.7, abs=0.05)
    assert fit.at("halving")[0] == pytest.approx(-0.6, abs=0.05)
    assert fit.at("slow")[0] == pytest.approx(0.004, abs=2e-4)
    low, high = fit.interval("halving")
    assert low < -0.6 < high


def test_level_shifts_are_differences_of_regime_means():
    level = np.concatenate([np.full(40, 1.0), np.full(40, 0.4), np.full(40, 0.3)])
    step = pd.DataFrame({"a": (np.arange(120) >= 40) * 1.0, "b": (np.arange(120) >= 80) * 1.0})
    fit = leadlag.level_shifts(level, step)
    assert [fit.at(name)[0] for name in fit.names] == pytest.approx([1.0, -0.6, -0.1])


def test_shift_table_speaks_in_shares():
    rng = np.random.default_rng(18)
    step = pd.DataFrame({"third halving": (np.arange(200) >= 80) * 1.0, "ban": (np.arange(200) >= 140) * 1.0})
    level = -np.log(2) * step["third halving"].to_numpy() + rng.normal(0, 0.02, 200)
    found = leadlag.shift_table(leadlag.level_shifts(level, step), step).set_index("name")
    assert found["mid"].to_dict() == pytest.approx({"third halving": -0.5, "ban": 0.0}, abs=0.01)
    assert found["theory"].to_dict() == {"third halving": -0.5, "ban": 0.0}
    assert ((found["low"] < found["theory"]) & (found["theory"] < found["high"])).all()
    assert leadlag.shift_table(leadlag.level_shifts(level, step[[]]), step[[]]).empty


# ---- the short run -------------------------------------------------------------------------------------------------
def test_planted_adjustment_speeds_are_recovered():
    """30 samples of 600 weeks (seed 1): mean speeds within 0.01 of the planted 0.06 and -0.02."""
    rng = np.random.default_rng(1)
    speeds, prices = [], []
    for _ in range(30):
        hashrate, price = vecm(rng, 600, speed=0.06, beta=0.8, price_speed=-0.02)
        gap = 0.8 * price - hashrate
        speeds.append(leadlag.ecm(hashrate, price, gap, 2).at("gap")[0])
        prices.append(leadlag.ecm(price, hashrate, gap, 2).at("gap")[0])
    assert np.mean(speeds) == pytest.approx(0.06, abs=0.01)
    assert np.mean(prices) == pytest.approx(-0.02, abs=0.01)


def test_planted_long_run_slope_is_recovered():
    """5,000 weeks (seed 15), slope 0.8 within 0.05; on 600 weeks the static line falls short of it (Banerjee and others
    1986), which is why the margin, whose coefficients are known, is the better gap."""
    hashrate, price = vecm(np.random.default_rng(15), 5000, speed=0.06, beta=0.8)
    (_, trend, slope), gap = leadlag.long_run(hashrate, price)
    assert slope == pytest.approx(0.8, abs=0.05)
    assert trend == pytest.approx(0, abs=1e-4)
    assert np.corrcoef(gap, 0.8 * price - hashrate)[0, 1] > 0.95  # positive where price supports more hashrate


def test_both_ways_tells_who_moves():
    """Only the hashrate moves (0.1 a week): its interval holds 0.1 and not 0, the price's holds 0 (seed 16)."""
    hashrate, price = vecm(np.random.default_rng(16), 1500, speed=0.1, beta=1.0)
    found = leadlag.both_ways(frame(hashrate, price), {"planted": price - hashrate}, 1).set_index("mover")
    assert 0 < found.loc["hashrate", "low"] < 0.1 < found.loc["hashrate", "high"]
    assert found.loc["price", "low"] < 0 < found.loc["price", "high"]
    assert found.loc["hashrate", "t"] > 5
    assert found.loc["hashrate", "half_life"] == pytest.approx(np.log(0.5) / np.log(0.9), rel=0.25)


def test_speeds_close_when_positive_whoever_moves():
    """Only the price moves (0.1 a week, seed 17): its speed is positive, with an interval around it."""
    hashrate, price = vecm(np.random.default_rng(17), 1500, speed=0.0, beta=1.0, price_speed=-0.1)
    found = leadlag.both_ways(frame(hashrate, price), {"planted": price - hashrate}, 1).set_index("mover")
    assert 0 < found.loc["price", "low"] < 0.1 < found.loc["price", "high"]
    assert found.loc["price", "speed"] == pytest.approx(found.loc["price", ["low", "high"]].mean())


def test_an_untied_world_has_the_spreads_and_the_luck_of_ours():
    """Seed 40, 4,000 weeks: growth of price 10 %, of hashrate 4.2 % with 3.15 % of luck; drifts kept; within 5 %. What
    luck adds to growth turns back: autocorrelation of -luck^2/variance = -0.36 within 0.05."""
    rng = np.random.default_rng(40)
    price, news = np.cumsum(rng.normal(0.01, 0.1, 4_000)), rng.normal(0.02, np.sqrt(0.052**2 - 2 / 1008), 4_000)
    hashrate = np.cumsum(news) + rng.normal(0, 1 / np.sqrt(1008), 4_000)
    ours = frame(hashrate, price).assign(margin=price - hashrate - 1.0)
    made = leadlag.untied(ours, rng)
    assert made["log_price"].diff().std() == pytest.approx(0.1, rel=0.05)
    assert made["log_hashrate"].diff().std() == pytest.approx(0.052, rel=0.05)
    assert made["log_hashrate"].diff().mean() == pytest.approx(ours["log_hashrate"].diff().mean(), abs=0.003)
    assert made["log_hashrate"].diff().autocorr() == pytest.approx(-1 / 1008 / 0.052**2, abs=0.05)
    assert abs(made["log_price"].diff().corr(made["log_hashrate"].diff())) < 0.06
    assert (made["margin"] - (made["log_price"] - made["log_hashrate"] - 1)).abs().max() < 1e-9


def test_chance_of_speed_keeps_its_size_where_student_does_not():
    """40 worlds without a tie (seed 41), line estimated: Student's t calls most of them a return, the chance few."""
    rng = np.random.default_rng(41)
    by_chance = by_student = 0
    for _ in range(40):
        world = leadlag.untied(frame(*walks(rng, 200).T), rng)
        found = leadlag.both_ways(world, leadlag.gaps_of(world), 1).set_index("mover").loc[["hashrate"]].reset_index()
        by_student += int(found["t"].iloc[0] > 1.96)
        by_chance += int(leadlag.chance_of_speed(found, world, 1, 39, rng)["chance"].iloc[0] <= 0.05)
    assert by_student > 20
    assert by_chance <= 7  # P(more | 5 %) = 0.001


def test_chance_of_speed_sees_a_planted_return():
    hashrate, price = vecm(np.random.default_rng(16), 400, speed=0.15, beta=1.0)
    weeks = frame(hashrate, price).assign(margin=price - hashrate)
    answers = leadlag.both_ways(weeks, leadlag.gaps_of(weeks), 1)
    found = leadlag.chance_of_speed(answers, weeks, 1, 99, np.random.default_rng(5)).set_index(["gap", "mover"])
    assert found.loc[("margin", "hashrate"), "chance"] == 0.01
    assert found.loc[("margin", "price"), "chance"] > 0.05
    assert found.loc[("line", "hashrate"), "usual"] > found.loc[("margin", "hashrate"), "usual"]


def test_size_of_the_lag_test():
    """300 pairs of independent walks of 400 weeks (seed 2): a 5 % test rejects in 2 % to 9 %."""
    rng = np.random.default_rng(2)
    rejected = sum(leadlag.toda_yamamoto(*walks(rng, 400).T, 2).p < 0.05 for _ in range(300))
    assert 6 <= rejected <= 27, rejected


def test_the_lag_test_sees_a_planted_lead_and_not_its_reverse():
    rng = np.random.default_rng(4)
    growth = rng.normal(0, 0.05, 401)
    answer = np.concatenate([[0.0], 0.3 * growth[:-1]]) + rng.normal(0, 0.05, 401)
    price, hashrate = np.cumsum(growth), np.cumsum(answer)
    assert leadlag.toda_yamamoto(hashrate, price, 2).p < 0.001
    assert leadlag.toda_yamamoto(price, hashrate, 2).p > 0.05
    assert leadlag.choose_lags(frame(hashrate, price)) == 1


def test_chow_sees_a_changed_answer():
    rng = np.random.default_rng(9)
    growth = rng.normal(0, 0.05, 500)
    after = (np.arange(500) >= 250).astype(float)
    answer = np.concatenate([[0.0], growth[:-1]]) * np.where(after == 1, 0.6, 0.0) + rng.normal(0, 0.05, 500)
    price, hashrate = np.cumsum(growth), np.cumsum(answer)
    gap = leadlag.long_run(hashrate, price)[1]
    steady = np.cumsum(np.concatenate([[0.0], 0.3 * growth[:-1]]) + rng.normal(0, 0.05, 500))
    assert leadlag.chow(hashrate, price, gap, 1, after).p < 0.001
    assert leadlag.chow(steady, price, leadlag.long_run(steady, price)[1], 1, after).p > 0.05


def test_half_life_by_hand():
    assert leadlag.half_life(0.5) == pytest.approx(1)
    assert leadlag.half_life(1 - 0.5**0.1) == pytest.approx(10)
    assert leadlag.half_life(0.0) == float("inf")


def test_lagged_response_is_the_planted_one():
    """Hashrate growth takes 0.3 of last week's price growth and 0.2 of that before: 0, 0.3, 0.5, 0.5 ... (seed 6)."""
    rng = np.random.default_rng(6)
    growth = rng.normal(0, 0.1, 3000)
    answer = rng.normal(0, 0.03, 3000)
    answer[1:] += 0.3 * growth[:-1]
    answer[2:] += 0.2 * growth[:-2]
    found = leadlag.local_projection(np.cumsum(answer), np.cumsum(growth), [0, 1, 2, 8], lags=2).set_index("horizon")
    truth = pd.Series({0: 0.0, 1: 0.3, 2: 0.5, 8: 0.5})
    assert np.abs(found["response"] - truth).max() < 0.03
    assert ((found["low"] < truth) & (truth < found["high"])).all()


def test_lagged_response_leaves_out_horizons_that_the_sample_cannot_bear():
    hashrate, price = walks(np.random.default_rng(0), 120).T
    found = leadlag.local_projection(hashrate, price, range(53), lags=2)
    assert found["horizon"].max() < 120 / 8
    assert found["nobs"].min() >= 8 * found["horizon"].max()


# ---- forecasts -----------------------------------------------------------------------------------------------------
def test_no_forecast_looks_ahead():
    """Change every week after an origin: the forecasts made up to that origin stay the same to the last bit."""
    rng = np.random.default_rng(10)
    hashrate, price = vecm(rng, 260, speed=0.1, beta=0.7)
    weeks = frame(hashrate, price).assign(margin=0.7 * price - hashrate)
    altered = weeks.copy()
    columns = ["log_price", "log_hashrate", "margin"]
    altered.loc[180:, columns] += rng.normal(0, 1, (80, 3))
    rules = list(leadlag.RULES)
    before = leadlag.rolling_forecasts(weeks, 12, 104).set_index("date")
    after = leadlag.rolling_forecasts(altered, 12, 104).set_index("date")
    known = before.index <= weeks["date"].iloc[179]
    assert known.sum() == 180 - 103
    pd.testing.assert_frame_equal(before.loc[known, rules], after.loc[known, rules], check_exact=True)
    assert not np.allclose(before.loc[~known, rules[1:]], after.loc[~known, rules[1:]])


def test_simple_rules_by_hand():
    line = np.arange(60) * 0.01
    forecasts = leadlag.rolling_forecasts(frame(line, walks(np.random.default_rng(0), 60, 1)[:, 0]), 4, 30)
    assert forecasts["actual"].to_numpy() == pytest.approx(0.04)
    for rule, expected in {"no change": 0.0, "drift": 0.04, "recent growth": 0.04}.items():
        assert forecasts[rule].to_numpy() == pytest.approx(expected)
    assert "error correction, margin" not in forecasts


def test_error_correction_wins_where_it_is_true():
    """A planted speed of 0.15 and little noise in the hashrate (seed 13): both error-correction rules beat drift."""
    rng = np.random.default_rng(13)
    hashrate, price = vecm(rng, 600, speed=0.15, beta=1.0, hashrate_sd=0.01)
    weeks = frame(hashrate, price).assign(margin=price - hashrate)
    scores = leadlag.score_rules(leadlag.rolling_forecasts(weeks, 4, 208), 4).set_index("rule")
    for rule in ("error correction, line", "error correction, margin"):
        assert scores.loc[rule, "rmse"] < scores.loc["drift", "rmse"]
        assert scores.loc[rule, "p"] < 0.05


def test_diebold_mariano_by_hand():
    """d = 1, 0, 1, 2: mean 1, autocovariances 1/2 and 0; h = 2: variance 1/2, DM = 1/sqrt(1/2/4) = sqrt(8); factor
    (4 + 1 - 4 + 2/4)/4 = 3/8; statistic sqrt(8) sqrt(3/8) = sqrt(3); t with 3 degrees of freedom: p = 0.18169."""
    found = leadlag.diebold_mariano(np.array([1.0, 0.0, 1.0, 2.0]), np.zeros(4), horizon=2)
    assert found.difference == 1
    assert found.kernel == "rectangular"
    assert found.statistic == pytest.approx(np.sqrt(3))
    assert found.p == pytest.approx(0.18169, abs=1e-5)


def test_diebold_mariano_says_when_it_changes_the_kernel():
    loss = np.array([1.0, 0.0] * 5)  # lag-1 autocovariance -0.225 beside a variance of 0.25
    found = leadlag.diebold_mariano(loss, np.zeros(10), horizon=2)
    assert found.kernel == "Bartlett"
    assert found.statistic == pytest.approx(0.5 / np.sqrt((0.25 - 0.225) / 10) * np.sqrt((11 - 4 + 0.2) / 10))


def test_diebold_mariano_refuses_and_ties():
    with pytest.raises(ValueError, match="too few"):
        leadlag.diebold_mariano(np.ones(20), np.zeros(20), horizon=12)
    tie = leadlag.diebold_mariano(np.ones(20), np.ones(20), horizon=1)
    assert (tie.statistic, tie.p) == (0.0, 1.0)


def test_size_of_diebold_mariano_with_overlap():
    """200 samples of 300 weekly four-week errors of two equally good rules (seed 14): rejects in 2 to 12 %."""
    rng = np.random.default_rng(14)
    rejected = 0
    for _ in range(200):
        a, b = (np.convolve(rng.normal(size=303), np.ones(4), "valid") for _ in range(2))
        rejected += leadlag.diebold_mariano(a**2, b**2, 4).p < 0.05
    assert 4 <= rejected <= 24, rejected
