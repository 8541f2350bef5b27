"""outlook.py against closed forms, exact distributions of scipy, planted parameters and hand-worked paths."""

import doctest

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wattshift import mining, outlook
from wattshift.outlook import DifficultyLaw, PriceLaw, Start
from wattshift.refusal import Refusal

STEADY = 600 * 2016 / 2015
FLAT = DifficultyLaw("as now", elasticity=0.0, half_life_days=180.0, trend_per_year=0.0)


def steady_start(height: int, hashrate_ehs: float = 1_000.0, price: float = 70_000.0, **fees: float) -> Start:
    """A network at rest: blocks come every 600 x 2016/2015 s."""
    return Start(price, hashrate_ehs * 1e18 * STEADY / 2**32, hashrate_ehs, height, **fees)


def test_doctests_hold() -> None:
    assert doctest.testmod(outlook).failed == 0


# --- paths


def test_the_subsidy_halves_at_its_height_and_hashprice_with_it() -> None:
    start = steady_start(1_046_500)
    fan = outlook.forward_paths(start, PriceLaw("flat"), FLAT, 120, 500, np.random.default_rng(1))
    assert fan.height[0] == 1_046_500
    assert 1_050_000 in fan.height
    assert (fan.reward_btc[fan.height < 1_050_000] == 3.125).all()
    assert (fan.reward_btc[fan.height >= 1_050_000] == 1.5625).all()
    at = int(np.searchsorted(fan.height, 1_050_000))
    step = fan.hashprice[at] / fan.hashprice[at - 1] * fan.difficulty[at] / fan.difficulty[at - 1]
    np.testing.assert_allclose(step, 0.5, rtol=1e-5)
    inside = (fan.height[1:] % 2016 != 0) & (fan.height[1:] != 1_050_000)
    assert not inside.any()  # steps end at retargets and at the halving only
    days = fan.days_to_height(1_050_000)
    assert days.mean() == pytest.approx(3_500 * STEADY / 86_400, rel=0.002)


def test_fees_in_coins_cushion_a_halving_and_a_share_does_not() -> None:
    def around(start: Start) -> float:
        fan = outlook.forward_paths(start, PriceLaw("flat"), FLAT, 30, 1, np.random.default_rng(1))
        at = int(np.searchsorted(fan.height, 1_050_000))
        return float(fan.reward_btc[at] / fan.reward_btc[at - 1])

    assert around(steady_start(1_049_500, fee_share=0.2)) == pytest.approx(0.5)
    assert around(steady_start(1_049_500, fees_btc=0.5)) == pytest.approx((1.5625 + 0.5) / (3.125 + 0.5))


def test_quantiles_of_the_gaussian_walk_are_lognormal() -> None:
    """Constant hashrate, drift 0.1, volatility 0.6, after 50 periods: closed form. Seed 2, 40,000 paths: standard error
    of a 10 % quantile of log price about 0.006 of 0.83; of the median 0.005."""
    law = PriceLaw("walk", drift_per_year=0.1, volatility=0.6)
    fan = outlook.forward_paths(steady_start(905_184), law, FLAT, 700, 40_000, np.random.default_rng(2))
    years = float(fan.days[50].mean()) / 365.25
    assert years == pytest.approx(50 * 2016 * STEADY / 86_400 / 365.25, rel=0.002)
    log_price = np.log(fan.price_usd[50] / 70_000)
    for level in (0.1, 0.5, 0.9):
        exact = 0.1 * years + 0.6 * np.sqrt(years) * stats.norm.ppf(level)
        assert float(np.quantile(log_price, level)) == pytest.approx(exact, abs=0.02)
    # and hashprice is price x reward / difficulty on every path
    implied = mining.hashprice_from_difficulty(
        3.125, 0.0, fan.price_usd[50].astype(float), fan.difficulty[50].astype(float)
    )
    np.testing.assert_allclose(fan.hashprice[50], implied, rtol=2e-4)


def test_an_unsure_drift_spreads_with_time_not_with_its_root() -> None:
    """Deviation of log price after t years: sqrt(0.4^2 t + 0.3^2 t^2). Seed 2, 20,000 paths: standard error 0.5 %."""
    law = PriceLaw("walk", drift_sd=0.3, volatility=0.4)
    fan = outlook.forward_paths(steady_start(905_184), law, FLAT, 1_000, 20_000, np.random.default_rng(2))
    for row in (20, 70):
        years = float(fan.days[row].mean()) / 365.25
        exact = np.sqrt(0.4**2 * years + (0.3 * years) ** 2)
        assert float(np.log(fan.price_usd[row] / 70_000).std()) == pytest.approx(exact, rel=0.02)


def test_bootstrap_keeps_the_spread_of_the_past() -> None:
    """White daily returns of deviation 0.03: after 40 periods of 14 days, sqrt(560) x 0.03. The 1,000 returns are
    one sample (their own deviation is used); 20,000 paths, seed 4."""
    past = np.random.default_rng(9).normal(0.01, 0.03, 1_000)
    fan = outlook.forward_paths(
        steady_start(905_184),
        PriceLaw("b", daily_returns=past, block_days=14),
        FLAT,
        600,
        20_000,
        np.random.default_rng(4),
    )
    log_price = np.log(fan.price_usd[40] / 70_000)
    pairs = np.array([past[np.arange(i, i + 14) % 1_000].sum() for i in range(1_000)])
    assert log_price.mean() == pytest.approx(0, abs=0.02)  # demeaned: drift is the law's, not the sample's
    assert log_price.std() == pytest.approx(np.sqrt(40) * pairs.std(), rel=0.03)


def test_elasticity_decides_what_a_halving_leaves() -> None:
    """Flat price. Elasticity 1: after 6 half-lives hashprice is back within 2^-6 of a halving; 0: half for good."""
    start = steady_start(1_049_328)
    for elasticity in (1.0, 0.0, 0.5):
        law = DifficultyLaw("x", elasticity, half_life_days=60.0, trend_per_year=0.0)
        fan = outlook.forward_paths(start, PriceLaw("flat"), law, 400, 400, np.random.default_rng(8))
        end = np.log(float(np.median(fan.at(375)[0])) / float(fan.hashprice[0, 0]))
        assert end == pytest.approx(-np.log(2) * (1 - elasticity), abs=0.03)


def test_half_life_is_a_half_life() -> None:
    """Capacity 20 % below its long run, half-life 140 days: after ten periods the gap is half."""
    law = DifficultyLaw("x", 0.0, half_life_days=140.0, trend_per_year=0.0, gap=0.2)
    fan = outlook.forward_paths(steady_start(905_184), PriceLaw("flat"), law, 200, 2_000, np.random.default_rng(8))
    grown = float(np.median(np.log(fan.at(154, fan.difficulty)[0] / fan.difficulty[0])))  # difficulty is a period late
    assert grown == pytest.approx(0.1, abs=0.008)


def test_growth_makes_blocks_quick() -> None:
    """Hashrate growing by g: difficulty is a period late, so blocks come exp(-g x 14 days) faster than the plan."""
    law = DifficultyLaw("x", 0.0, 180.0, trend_per_year=0.6)
    fan = outlook.forward_paths(steady_start(905_184), PriceLaw("flat"), law, 700, 400, np.random.default_rng(8))
    per_block = float((fan.days[50] - fan.days[10]).mean()) * 86_400 / (40 * 2016)
    assert per_block == pytest.approx(600 * np.exp(-0.6 * 13.7 / 365.25), rel=0.002)


def test_rigs_below_cash_cost_stand_still_until_the_rest_are_whole() -> None:
    """Flat price through a halving with a merit order: hashprice settles where mining.settle puts it."""
    supply = mining.Fleet(mining.Miner(20.0, 0.05), efficiency_spread=0.25, power_spread=0.25)
    start = steady_start(1_049_328, hashrate_ehs=1_000.0, price=80_000.0)
    before = float(mining.hashprice_from_difficulty(3.125, 0.0, start.price_usd, start.difficulty))
    law = DifficultyLaw("x", 0.0, 180.0, 0.0, fleet_cost=24.0, fleet_spread=supply.cost_spread())
    fan = outlook.forward_paths(start, PriceLaw("flat"), law, 200, 500, np.random.default_rng(8))
    settled = float(mining.settle(supply, 1_000.0, before, -0.5).hashprice_settled)
    assert float(np.median(fan.at(150)[0])) == pytest.approx(settled, rel=0.005)


def test_a_fleet_with_free_power_never_stops() -> None:
    """A cost of zero is no cost: the paths are those where every rig runs, through a price that falls to a fifth."""
    start, fall = steady_start(1_049_328), PriceLaw("fall", drift_per_year=-1.6, volatility=0.5)
    free, none, dear = (
        outlook.forward_paths(
            start, fall, DifficultyLaw("x", 0.5, 180.0, 0.2, fleet_cost=cost), 300, 50, np.random.default_rng(7)
        )
        for cost in (0.0, None, 20.0)
    )
    assert np.array_equal(free.hashprice, none.hashprice)
    assert not np.array_equal(dear.hashprice, none.hashprice)


def test_same_seed_same_paths_whatever_the_threads() -> None:
    law = DifficultyLaw("x", 1.0, 180.0, 0.3, 0.1, noise=0.03)
    runs = [
        outlook.forward_paths(
            steady_start(905_184), PriceLaw("w", volatility=0.5), law, 100, 11_000, np.random.default_rng(6), threads=n
        )
        for n in (1, 3)
    ]
    assert np.array_equal(runs[0].hashprice, runs[1].hashprice)
    fewer = outlook.forward_paths(
        steady_start(905_184), PriceLaw("w", volatility=0.5), law, 100, 5_000, np.random.default_rng(6)
    )
    assert np.array_equal(runs[0].hashprice[:, :5_000], fewer.hashprice)
    assert len(np.unique(runs[0].hashprice[-1])) > 10_900  # chunks are not copies of each other


def test_time_under_water_adds_up() -> None:
    """Days below any level, by steps, against a fine grid through `at`; and never below nothing, always below all."""
    fan = outlook.forward_paths(
        steady_start(1_040_000), PriceLaw("w", volatility=0.5), FLAT, 365, 300, np.random.default_rng(6)
    )
    grid = np.arange(0, 365, 0.25)
    by_grid = (fan.at(grid) < 30.0).mean(axis=0) * 365
    np.testing.assert_allclose(fan.days_below(30.0, 365), by_grid, atol=5)
    assert fan.days_below(0.0, 365).max() == 0
    np.testing.assert_allclose(fan.days_below(1e9, 365), 365, rtol=1e-4)
    np.testing.assert_allclose(fan.margin(30.0)[3], 1 - 30 / fan.hashprice[3], rtol=1e-5)


def test_paths_cover_the_horizon_even_when_growth_is_wild() -> None:
    law = DifficultyLaw("x", 0.0, 180.0, trend_per_year=4.0)
    fan = outlook.forward_paths(steady_start(905_184), PriceLaw("flat"), law, 365, 50, np.random.default_rng(6))
    assert float(fan.days[-1].min()) >= 365


def test_the_law_is_found_again() -> None:
    """Planted: elasticity 0.6, half-life 120 days, trend 0.4, noise 0.01 on 400 fortnights. Seed 10; tolerances are
    about three standard errors over repeated draws."""
    rng = np.random.default_rng(10)
    steps = 400
    revenue = np.cumsum(rng.normal(0, 0.1, steps))
    year = 14 / 365.25
    pull = 1 - 0.5 ** (14 / 120)
    rate = np.zeros(steps)
    for k in range(steps - 1):
        wanted = 5 + 0.6 * revenue[k] + 0.4 * k * year
        rate[k + 1] = rate[k] + pull * (wanted - rate[k]) + 0.4 * year + rng.normal(0, 0.01)
    law = outlook.fit_difficulty_law(revenue, rate, "planted")
    assert law.elasticity == pytest.approx(0.6, abs=0.05)
    assert law.half_life_days == pytest.approx(120, rel=0.15)
    assert law.trend_per_year == pytest.approx(0.4, abs=0.03)
    assert law.noise == pytest.approx(0.01, rel=0.15)
    assert law.gap == pytest.approx(5 + 0.6 * revenue[-1] + 0.4 * (steps - 1) * year - rate[-1], abs=0.1)
    fixed = outlook.fit_difficulty_law(revenue, rate, "fixed", elasticity=1.0, half_life_bounds=(200.0, 300.0))
    assert fixed.elasticity == 1.0
    assert 199.999 <= fixed.half_life_days <= 300.001


def test_a_right_law_covers_as_often_as_it_says() -> None:
    """800 truths from the law itself, seed 12: 80 % inside (standard error 1.4 %), places uniform."""
    rng = np.random.default_rng(12)
    drawn, truth = rng.normal(size=(800, 500)), rng.normal(size=800)
    inside, place = outlook.inside_band(truth, drawn)
    assert inside.mean() == pytest.approx(0.8, abs=0.045)
    assert stats.kstest(place, "uniform").pvalue > 0.01


def test_share_interval_is_scipys() -> None:
    exact = stats.binomtest(7, 12).proportion_ci(0.9)
    assert outlook.share_interval(7, 12) == pytest.approx((exact.low, exact.high))
    assert outlook.share_interval(0, 4)[0] == 0
    assert outlook.share_interval(4, 4)[1] == 1


# --- laws fitted to the past, and held against what came


def made_up_market(days: int = 2_400, seed: int = 20, growth: float = 0.5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A network without luck or halvings: hashrate grows by `growth` a year (log), the price is a Gaussian walk of 60 %
    a year without drift. Gives rows of btc_network_daily and of difficulty_retargets."""
    rng = np.random.default_rng(seed)
    price = 1_000 * np.exp(np.cumsum(rng.normal(0, 0.6 / np.sqrt(365.25), days)))
    rate = 100 * np.exp(growth / 365.25 * np.arange(days))
    table = pd.DataFrame({"date": pd.date_range("2012-12-01", periods=days), "price_usd": price, "hashrate_ehs": rate})
    table = table.assign(blocks=144, issuance_btc=3_600.0, fees_btc=14.4)
    height = np.arange(0, 144 * days, 2_016)
    difficulty = rate[height // 144] * 1e18 * STEADY / 2**32
    return table, pd.DataFrame({"height": height, "difficulty": difficulty})


def test_market_days_start_with_the_price_and_count_all_blocks() -> None:
    table, _ = made_up_market(30)
    table.loc[:9, "price_usd"] = np.nan
    market = outlook.market_days(table)
    assert len(market) == 20
    assert market["height"].iloc[0] == 11 * 144
    assert market["usd_per_block"].to_numpy() == pytest.approx(25.1 * table["price_usd"].iloc[10:].to_numpy())
    assert market["hashprice"].iloc[0] == pytest.approx(
        3_614.4 * table["price_usd"][10] / table["hashrate_ehs"][10] / 1e3
    )


def test_laws_at_find_the_planted_growth_and_the_walk() -> None:
    """Growth 0.5 a year without noise; deviation of returns 60 % a year within 3 % (standard error 1.9 %)."""
    table, _ = made_up_market()
    market = outlook.market_days(table)
    prices, answers = outlook.laws_at(market, market.index[-1])
    own = answers["own-trend"]
    assert (own.elasticity, answers["free-entry"].elasticity) == (0.0, 1.0)
    assert own.trend_per_year == pytest.approx(0.5, abs=0.01)
    assert prices["random-walk"].daily_returns is not None
    assert prices["random-walk"].daily_returns.std() * np.sqrt(365.25) == pytest.approx(0.6, rel=0.06)
    assert prices["trend"].drift_sd == pytest.approx(0.6 / np.sqrt(outlook.FIT_DAYS / 365.25), rel=0.06)
    assert prices["flat"].daily_returns is None
    with pytest.raises(ValueError, match="too few"):
        outlook.laws_at(market, market.index[200])


def test_nothing_after_an_origin_is_looked_at() -> None:
    """A crash the day after changes truth, never the fan: places move, and the laws and the start stay."""
    table, retargets = made_up_market()
    origin = pd.Timestamp("2017-01-01")
    crashed = table.assign(price_usd=table["price_usd"].where(table["date"] <= origin, table["price_usd"] / 50))
    before, after = (outlook.market_days(t) for t in (table, crashed))
    assert outlook.start_at(before, retargets, origin) == outlook.start_at(after, retargets, origin)
    runs = [outlook.backtest(m, retargets, [origin], (182,), 200, np.random.default_rng(3)) for m in (before, after)]
    assert runs[1]["truth"].iloc[0] == pytest.approx(runs[0]["truth"].iloc[0] / 50)
    assert (runs[1]["place"] == 0).all()
    assert not runs[1]["inside"].any()
    later = outlook.backtest(before, retargets, [origin, before.index[-100]], (182,), 50, np.random.default_rng(3))
    assert later["origin"].unique().tolist() == [origin]  # the second future is not over


def test_a_right_pair_of_laws_holds_and_a_flat_price_does_not() -> None:
    """Thirty made-up markets (seeds 100 to 129), each with one origin: the walk on its own trend covers 80 % of truths
    (standard error 7 %), a flat price next to none, and the score prefers the walk."""
    parts = []
    for seed in range(100, 130):
        table, retargets = made_up_market(1_900, seed)
        market, origin = outlook.market_days(table), pd.Timestamp("2017-01-01")
        parts.append(outlook.backtest(market, retargets, [origin], (365,), 300, np.random.default_rng(seed)))
    found = outlook.calibration(pd.concat(parts)).set_index(["price", "difficulty"])
    assert (found["trials"] == 30).all()
    walk, flat = found.loc[("random-walk", "own-trend")], found.loc[("flat", "own-trend")]
    assert walk["hits"] / 30 == pytest.approx(0.8, abs=0.2)
    assert bool(walk["holds"])
    assert flat["hits"] < 5
    assert not flat["holds"]
    assert walk["score"] < flat["score"]
    assert (outlook.NO_LAW, outlook.NO_LAW) in found.index


def test_start_is_the_difficulty_in_force() -> None:
    table, retargets = made_up_market(100)
    market = outlook.market_days(table)
    begin = outlook.start_at(market, retargets, market.index[13])  # the end of day 14: 2,016 blocks found
    assert begin.height == 2_017
    assert begin.difficulty == retargets["difficulty"][1]
    assert begin.fees_btc == pytest.approx(0.1)
    assert outlook.start_at(market, retargets, market.index[12], 0.5).fees_btc == 0.5
    assert outlook.start_at(market, retargets, market.index[12]).difficulty == retargets["difficulty"][0]
    with pytest.raises(Refusal, match="ends with the period from height 0; run wattshift refresh"):
        outlook.start_at(market, retargets.head(1), market.index[13])


def test_under_water_by_hand() -> None:
    """A flat price at rest, hashprice 31.4 before and 15.7 after a halving 2,016 blocks (14 days) on."""
    fan = outlook.forward_paths(
        steady_start(1_050_000 - 2_016), PriceLaw("flat"), FLAT, 120, 400, np.random.default_rng(5)
    )
    whole = float(fan.hashprice[0, 0])
    between = outlook.under_water(fan, 0.7 * whole, 100, 1_050_000)
    assert (between.at_halving, between.later, between.never) == (1.0, 1.0, 0.0)
    assert between.median * outlook.DAYS_PER_MONTH == pytest.approx(100 - 14, abs=0.5)
    assert between.after == pytest.approx(whole / 2, rel=1e-3)
    assert outlook.under_water(fan, 0.1, 100, 1_050_000).never == 1.0
    with pytest.raises(ValueError, match="no path reaches"):
        outlook.under_water(fan, 1.0, 100, 1_260_000)


def test_a_fan_is_sampled_daily_while_its_paths_halve() -> None:
    fan = outlook.forward_paths(
        steady_start(1_050_000 - 8_064), PriceLaw("flat"), FLAT, 120, 400, np.random.default_rng(5)
    )
    days = outlook.days_to_sample(fan, 112, 1_050_000)
    step = np.diff(days)
    assert days[0] == 0
    assert days[-1] == 112
    assert step.max() == 14
    assert (step[(days[1:] > 55) & (days[1:] < 57)] <= 1).all()
    medians = np.median(fan.at(days), axis=1)
    falls = medians[1:] / medians[:-1]
    assert (falls < 0.6).sum() == 1  # one step, not a slope


def test_crps_is_that_of_the_normal_distribution() -> None:
    """Gneiting & Raftery (2007): 0.2336949773 for N(0, 1) at 0; from quantiles of 20,000 equal shares."""
    drawn = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    assert outlook.crps([0.0], drawn[None, :])[0] == pytest.approx(0.2336949773, abs=1e-4)
    pairs = np.abs(drawn[::40, None] - drawn[None, ::40]).mean()
    by_pairs = np.abs(drawn[::40] - 1.3).mean() - pairs / 2
    assert outlook.crps([1.3], drawn[None, ::40])[0] == pytest.approx(by_pairs)
    assert outlook.crps([3.0], [[1.0]]).tolist() == [2.0]


def test_chance_to_pass_adds_up_the_binomial() -> None:
    passed = [k for k in range(14) if outlook.share_interval(k, 13)[0] <= 0.8 <= outlook.share_interval(k, 13)[1]]
    assert outlook.chance_to_pass(0.6, 13) == pytest.approx(stats.binom.pmf(passed, 13, 0.6).sum())
    assert outlook.chance_to_pass(0.8, 13) > 0.9  # 90 % intervals refuse a true claim at most once in ten times
