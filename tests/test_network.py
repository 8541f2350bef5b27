"""network.py against closed forms, exact distributions of scipy, hand-worked periods and planted parameters."""

import doctest

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wattshift import data, mining, network
from wattshift.network import DifficultyLaw, PriceLaw, Slices, Start
from wattshift.refusal import Refusal

STEADY = 600 * 2016 / 2015
FLAT = DifficultyLaw("as now", elasticity=0.0, half_life_days=180.0, trend_per_year=0.0)


def steady_start(height: int, hashrate_ehs: float = 1_000.0, price: float = 70_000.0, **fees: float) -> Start:
    """A network at rest: blocks come every 600 x 2016/2015 s."""
    return Start(price, hashrate_ehs * 1e18 * STEADY / 2**32, hashrate_ehs, height, **fees)


def test_doctests_hold() -> None:
    assert doctest.testmod(network).failed == 0


# --- what a count of blocks says


@pytest.mark.parametrize(
    ("blocks", "low", "high"),
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39), (50, 37.11, 65.92)],
)
def test_interval_is_garwoods_table(blocks: int, low: float, high: float) -> None:
    """95 % limits of a Poisson mean as printed in Garwood (1936) and in every handbook since; 4 digits."""
    one_block = 1e18 * 86_400 / 2**32  # difficulty at which 1 EH/s finds one block a day
    found = network.estimate_hashrate(blocks, one_block)
    assert found.low_ehs == pytest.approx(low, abs=5e-4 * max(low, 1))
    assert found.high_ehs == pytest.approx(high, rel=5e-4)
    assert found.hashrate_ehs == pytest.approx(blocks)


def test_a_day_of_144_blocks_has_an_error_of_one_twelfth() -> None:
    found = network.estimate_hashrate(144, 1e14)
    assert found.relative_error == pytest.approx(1 / 12)
    assert found.hashrate_ehs == pytest.approx(1e14 * 2**32 / 600 / 1e18)


def test_difficulty_enters_by_exposure() -> None:
    """Two days of one hashrate, difficulty doubled on the second: blocks halve, the estimate must not move."""
    split = network.estimate_hashrate([144, 72], [1e14, 2e14])
    assert split.hashrate_ehs == pytest.approx(network.estimate_hashrate(144, 1e14).hashrate_ehs)
    assert split.blocks == 216


def test_a_window_that_ends_with_a_block_is_erlang() -> None:
    """Unbiased and covering 90 % as stated. Seed 11, 20,000 periods of 20 blocks: standard errors 0.0016 and 0.0021."""
    rng = np.random.default_rng(11)
    days = rng.gamma(20, 1 / 144, 20_000)
    truth = network.estimate_hashrate(144, 1e14).hashrate_ehs
    found = [network.estimate_hashrate(20, 1e14, d, 0.9, stop="block") for d in days]
    assert np.mean([f.hashrate_ehs for f in found]) / truth == pytest.approx(1, abs=0.0075)
    assert np.mean([f.low_ehs <= truth <= f.high_ehs for f in found]) == pytest.approx(0.9, abs=0.0095)


@pytest.mark.parametrize(("hours", "drop"), [(24, 0.13), (60, 0.13), (100, 0.3), (3, 0.05)])
def test_power_with_known_baseline_is_the_exact_poisson_sum(hours: float, drop: float) -> None:
    counts = np.arange(2_000)
    allowed = counts[stats.poisson.cdf(counts, 6 * hours) <= 0.05]
    by_hand = stats.poisson.pmf(allowed, 6 * hours * (1 - drop)).sum()
    assert float(network.detection_power(hours, drop)) == pytest.approx(by_hand, abs=1e-9)


def test_power_with_estimated_baseline_is_found_by_simulation() -> None:
    """Conditional binomial test on 40,000 simulated pairs of counts, seed 5: standard error at most 0.0025."""
    rng = np.random.default_rng(5)
    hours, before, drop = 72.0, 168.0, 0.13
    k0, k1 = rng.poisson(6 * before, 40_000), rng.poisson(6 * hours * (1 - drop), 40_000)
    seen = stats.binom.cdf(k1, k0 + k1, hours / (hours + before)) <= 0.05
    power = float(network.detection_power(hours, drop, baseline_hours=before))
    assert power == pytest.approx(seen.mean(), abs=0.01)
    assert power < float(network.detection_power(hours, drop))


def test_no_drop_is_seen_no_more_often_than_alpha() -> None:
    """Size of the tests: the limit of a vanishing drop. A test that is not exact would exceed 5 % somewhere."""
    hours = np.arange(1, 300)
    assert (network.detection_power(hours, 1e-9) <= 0.05 + 1e-6).all()
    assert (network.detection_power(hours, 1e-9, baseline_hours=100.0) <= 0.05 + 1e-6).all()


@pytest.mark.parametrize(("drop", "baseline"), [(0.13, None), (0.3, None), (0.13, 336.0), (0.05, None)])
def test_hours_to_detect_is_the_last_crossing(drop: float, baseline: float | None) -> None:
    hours = network.hours_to_detect(drop, baseline_hours=baseline)
    assert float(network.detection_power(hours - 1, drop, baseline_hours=baseline)) < 0.8
    later = np.arange(hours, hours * 1.4)
    assert (network.detection_power(later, drop, baseline_hours=baseline) >= 0.8).all()


def test_hours_to_detect_follow_the_normal_approximation() -> None:
    """((z_alpha + z_power sqrt(1 - drop)) / drop)^2 / 6 within 6 %, and a short baseline never suffices."""
    for drop in (0.05, 0.13, 0.25):
        rough = ((stats.norm.ppf(0.95) + stats.norm.ppf(0.8) * np.sqrt(1 - drop)) / drop) ** 2 / 6
        assert network.hours_to_detect(drop) == pytest.approx(rough, rel=0.06, abs=3)
    assert network.hours_to_detect(0.05, baseline_hours=24.0, max_hours=2_000) == np.inf


def test_windows_by_hand() -> None:
    heights = np.array([0, 100, 300, 300, 400])
    # 150 blocks from day 0: day 1 ends at 100, day 2 at 300: 1 + 50/200. From day 1 (to 250): 150/200.
    assert network.window_days(heights, 150).tolist() == pytest.approx([1.25, 0.75])


# --- shock and retarget


def two_groups(share_off: float) -> Slices:
    """Survivors at 1 USD/PH/day; a group of the given share that a halved 60 puts under water for good."""
    return Slices(np.array([1.0, 59.0]), np.array([1 - share_off, share_off]) * 1_000)


@pytest.mark.parametrize("off", [0.13, 0.5])
@pytest.mark.parametrize("done", [0, 1, 336, 1344, 2015])
def test_retarget_by_hand(off: float, done: int) -> None:
    """One period: `done` blocks at full pace, the rest 1/(1 - off) slower; 2,015 intervals against 2,016 targets."""
    table = network.shock_response(
        two_groups(off), 60.0, 0.5, blocks_done=done, periods=3, restart_premium=10.0
    ).frame()
    slow = STEADY / (1 - off)
    assert table["blocks"].tolist() == [2016, 2016 - done, 2016, 2016, 2016]
    assert table["seconds_per_block"][1] == pytest.approx(slow)
    assert table["hours"][1] == pytest.approx((2016 - done) * slow / 3_600)
    intervals = 2015 * slow if done == 0 else (done - 1) * STEADY + (2016 - done) * slow
    assert table["next_difficulty_ratio"][1] == pytest.approx(max(2016 * 600 / intervals, 0.25))
    assert table["share_off"][1] == pytest.approx(off)


def test_the_pace_returns_and_the_survivors_inherit() -> None:
    """After two retargets blocks come every 600.298 s again and hashprice has risen by 1/(1 - off)."""
    table = network.shock_response(
        two_groups(0.4), 60.0, 0.5, blocks_done=1344, periods=4, restart_premium=10.0
    ).frame()
    assert table["seconds_per_block"].iloc[-1] == pytest.approx(STEADY)
    assert table["hashprice_usd_ph_day"].tolist()[:2] == [60.0, 30.0]
    assert table["hashprice_usd_ph_day"].iloc[-1] == pytest.approx(30 / 0.6)
    assert table["survivor_margin"].iloc[-1] == pytest.approx(1 - 1 / 50)


def test_the_clamp_binds_below_a_quarter() -> None:
    """80 % off over a whole period asks for a factor 0.2, gets 0.25, and the next retarget takes the rest: 0.8."""
    table = network.shock_response(two_groups(0.8), 60.0, 0.5, periods=3, restart_premium=10.0).frame()
    assert table["next_difficulty_ratio"].tolist() == pytest.approx([1, 0.25, 0.8, 1, 1])
    rising = network.shock_response(Slices(np.array([1.0, 70.0]), np.array([1.0, 9.0])), 60.0, 2.0, periods=3).frame()
    assert rising["next_difficulty_ratio"].tolist()[:2] == pytest.approx([1, 4])  # ten times the hashrate


def test_a_lag_keeps_the_old_pace_first() -> None:
    """100 h at full pace, then 60 %: blocks left after the lag take 1/0.6 of their time."""
    table = network.shock_response(two_groups(0.4), 60.0, 0.5, periods=1, lag_hours=100.0, restart_premium=10.0).frame()
    left = 2016 * STEADY / 3_600 - 100
    assert table["hours"][1] == pytest.approx(100 + left / 0.6)


def test_no_shock_no_change() -> None:
    fleet = network.fleet_slices(24.0, 0.3, 900.0, 33.0)
    table = network.shock_response(fleet, 33.0, 1.0, blocks_done=700, periods=5).frame()
    assert table["seconds_per_block"].tolist() == pytest.approx([STEADY] * 7)
    assert table["share_off"].tolist() == pytest.approx([0.0] * 7)
    assert table["hashprice_usd_ph_day"].tolist() == pytest.approx([33.0] * 7)


def test_with_inertia_it_settles_where_the_supply_curve_says() -> None:
    """The fixed point of mining.settle, found from the other side. 2,000 slices: one slice is 0.05 % of the fleet."""
    supply = mining.Fleet(mining.Miner(20.0, 0.05), efficiency_spread=0.3, power_spread=0.3)
    fleet = network.fleet_slices(24.0, supply.cost_spread(), 950.0, 40.0, slices=2_000)
    answer = mining.settle(supply, 950.0, 40.0, -0.5)
    table = network.shock_response(fleet, 40.0, 0.5, periods=40, stop_share=0.3, restart_share=0.3).frame()
    assert table["hashprice_usd_ph_day"].iloc[-1] == pytest.approx(answer.hashprice_settled, rel=0.003)
    assert table["share_off"].iloc[-1] == pytest.approx(answer.off_settled, abs=0.003)
    assert table["difficulty"].iloc[-1] / table["difficulty"][0] - 1 == pytest.approx(
        answer.difficulty_change, abs=0.003
    )


def test_all_at_once_is_a_cobweb() -> None:
    """A steep merit order with instant switches overshoots: the second period must be quicker than the plan."""
    fleet = network.fleet_slices(24.0, 0.15, 950.0, 40.0)
    table = network.shock_response(fleet, 40.0, 0.5, periods=6).frame()
    assert table["seconds_per_block"][1] > 1_200
    assert table["seconds_per_block"][2] < 600


def test_chance_keeps_the_mean_and_has_the_erlang_spread() -> None:
    """Seed 3, 4,000 paths, nobody stops. Row 1 is 2,016 exponentials: mean 336.2 h (s.e. 0.12), deviation
    sqrt(2016) x 600.3 s = 7.49 h (s.e. 1.1 %). E[1/Gamma(2015)] makes the mean ratio 2015/2014."""
    fleet = Slices(np.array([1.0]), np.array([1_000.0]))
    run = network.shock_response(fleet, 60.0, 1.0, periods=1, rng=np.random.default_rng(3), paths=4_000)
    assert run.hours[1].mean() == pytest.approx(2016 * STEADY / 3_600, abs=0.5)
    assert run.hours[1].std() == pytest.approx(np.sqrt(2016) * STEADY / 3_600, rel=0.045)
    assert run.ratio[1].mean() == pytest.approx(2015 / 2014, abs=0.0015)
    # luck is paid back: two periods together vary hardly more than one
    assert (run.hours[1] + run.hours[2]).std() == pytest.approx(np.sqrt(2016) * STEADY / 3_600, rel=0.07)
    assert np.corrcoef(run.hours[1], run.hours[2])[0, 1] == pytest.approx(-np.sqrt(0.5), abs=0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks_done": 2016}, "blocks_done"),
        ({"revenue_factor": 0.0}, "positive"),
        ({"stop_share": 1.5}, "between 0 and 1"),
        ({"hashprice": 0.5}, "no rig"),
    ],
)
def test_nonsense_is_refused(change: dict[str, float], words: str) -> None:
    given = {"fleet": two_groups(0.4), "hashprice": 60.0, "revenue_factor": 0.5} | change
    with pytest.raises(ValueError, match=words):
        network.shock_response(**given)  # type: ignore[arg-type]


# --- paths


def test_the_subsidy_halves_at_its_height_and_hashprice_with_it() -> None:
    start = steady_start(1_046_500)
    fan = network.forward_paths(start, PriceLaw("flat"), FLAT, 120, 500, np.random.default_rng(1))
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
        fan = network.forward_paths(start, PriceLaw("flat"), FLAT, 30, 1, np.random.default_rng(1))
        at = int(np.searchsorted(fan.height, 1_050_000))
        return float(fan.reward_btc[at] / fan.reward_btc[at - 1])

    assert around(steady_start(1_049_500, fee_share=0.2)) == pytest.approx(0.5)
    assert around(steady_start(1_049_500, fees_btc=0.5)) == pytest.approx((1.5625 + 0.5) / (3.125 + 0.5))


def test_quantiles_of_the_gaussian_walk_are_lognormal() -> None:
    """Constant hashrate, drift 0.1, volatility 0.6, after 50 periods: closed form. Seed 2, 40,000 paths: standard error
    of a 10 % quantile of log price about 0.006 of 0.83; of the median 0.005."""
    law = PriceLaw("walk", drift_per_year=0.1, volatility=0.6)
    fan = network.forward_paths(steady_start(905_184), law, FLAT, 700, 40_000, np.random.default_rng(2))
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
    fan = network.forward_paths(steady_start(905_184), law, FLAT, 1_000, 20_000, np.random.default_rng(2))
    for row in (20, 70):
        years = float(fan.days[row].mean()) / 365.25
        exact = np.sqrt(0.4**2 * years + (0.3 * years) ** 2)
        assert float(np.log(fan.price_usd[row] / 70_000).std()) == pytest.approx(exact, rel=0.02)


def test_bootstrap_keeps_the_spread_of_the_past() -> None:
    """White daily returns of deviation 0.03: after 40 periods of 14 days, sqrt(560) x 0.03. The 1,000 returns are
    one sample (their own deviation is used); 20,000 paths, seed 4."""
    past = np.random.default_rng(9).normal(0.01, 0.03, 1_000)
    fan = network.forward_paths(
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
        fan = network.forward_paths(start, PriceLaw("flat"), law, 400, 400, np.random.default_rng(8))
        end = np.log(float(np.median(fan.at(375)[0])) / float(fan.hashprice[0, 0]))
        assert end == pytest.approx(-np.log(2) * (1 - elasticity), abs=0.03)


def test_half_life_is_a_half_life() -> None:
    """Capacity 20 % below its long run, half-life 140 days: after ten periods the gap is half."""
    law = DifficultyLaw("x", 0.0, half_life_days=140.0, trend_per_year=0.0, gap=0.2)
    fan = network.forward_paths(steady_start(905_184), PriceLaw("flat"), law, 200, 2_000, np.random.default_rng(8))
    grown = float(np.median(np.log(fan.at(154, fan.difficulty)[0] / fan.difficulty[0])))  # difficulty is a period late
    assert grown == pytest.approx(0.1, abs=0.008)


def test_growth_makes_blocks_quick() -> None:
    """Hashrate growing by g: difficulty is a period late, so blocks come exp(-g x 14 days) faster than the plan."""
    law = DifficultyLaw("x", 0.0, 180.0, trend_per_year=0.6)
    fan = network.forward_paths(steady_start(905_184), PriceLaw("flat"), law, 700, 400, np.random.default_rng(8))
    per_block = float((fan.days[50] - fan.days[10]).mean()) * 86_400 / (40 * 2016)
    assert per_block == pytest.approx(600 * np.exp(-0.6 * 13.7 / 365.25), rel=0.002)


def test_rigs_below_cash_cost_stand_still_until_the_rest_are_whole() -> None:
    """Flat price through a halving with a merit order: hashprice settles where mining.settle puts it."""
    supply = mining.Fleet(mining.Miner(20.0, 0.05), efficiency_spread=0.25, power_spread=0.25)
    start = steady_start(1_049_328, hashrate_ehs=1_000.0, price=80_000.0)
    before = float(mining.hashprice_from_difficulty(3.125, 0.0, start.price_usd, start.difficulty))
    law = DifficultyLaw("x", 0.0, 180.0, 0.0, fleet_cost=24.0, fleet_spread=supply.cost_spread())
    fan = network.forward_paths(start, PriceLaw("flat"), law, 200, 500, np.random.default_rng(8))
    settled = float(mining.settle(supply, 1_000.0, before, -0.5).hashprice_settled)
    assert float(np.median(fan.at(150)[0])) == pytest.approx(settled, rel=0.005)


def test_a_fleet_with_free_power_never_stops() -> None:
    """A cost of zero is no cost: the paths are those where every rig runs, through a price that falls to a fifth."""
    start, fall = steady_start(1_049_328), PriceLaw("fall", drift_per_year=-1.6, volatility=0.5)
    free, none, dear = (
        network.forward_paths(
            start, fall, DifficultyLaw("x", 0.5, 180.0, 0.2, fleet_cost=cost), 300, 50, np.random.default_rng(7)
        )
        for cost in (0.0, None, 20.0)
    )
    assert np.array_equal(free.hashprice, none.hashprice)
    assert not np.array_equal(dear.hashprice, none.hashprice)


def test_same_seed_same_paths_whatever_the_threads() -> None:
    law = DifficultyLaw("x", 1.0, 180.0, 0.3, 0.1, noise=0.03)
    runs = [
        network.forward_paths(
            steady_start(905_184), PriceLaw("w", volatility=0.5), law, 100, 11_000, np.random.default_rng(6), threads=n
        )
        for n in (1, 3)
    ]
    assert np.array_equal(runs[0].hashprice, runs[1].hashprice)
    fewer = network.forward_paths(
        steady_start(905_184), PriceLaw("w", volatility=0.5), law, 100, 5_000, np.random.default_rng(6)
    )
    assert np.array_equal(runs[0].hashprice[:, :5_000], fewer.hashprice)
    assert len(np.unique(runs[0].hashprice[-1])) > 10_900  # chunks are not copies of each other


def test_time_under_water_adds_up() -> None:
    """Days below any level, by steps, against a fine grid through `at`; and never below nothing, always below all."""
    fan = network.forward_paths(
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
    fan = network.forward_paths(steady_start(905_184), PriceLaw("flat"), law, 365, 50, np.random.default_rng(6))
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
    law = network.fit_difficulty_law(revenue, rate, "planted")
    assert law.elasticity == pytest.approx(0.6, abs=0.05)
    assert law.half_life_days == pytest.approx(120, rel=0.15)
    assert law.trend_per_year == pytest.approx(0.4, abs=0.03)
    assert law.noise == pytest.approx(0.01, rel=0.15)
    assert law.gap == pytest.approx(5 + 0.6 * revenue[-1] + 0.4 * (steps - 1) * year - rate[-1], abs=0.1)
    fixed = network.fit_difficulty_law(revenue, rate, "fixed", elasticity=1.0, half_life_bounds=(200.0, 300.0))
    assert fixed.elasticity == 1.0
    assert 199.999 <= fixed.half_life_days <= 300.001


def test_a_right_law_covers_as_often_as_it_says() -> None:
    """800 truths from the law itself, seed 12: 80 % inside (standard error 1.4 %), places uniform."""
    rng = np.random.default_rng(12)
    drawn, truth = rng.normal(size=(800, 500)), rng.normal(size=800)
    inside, place = network.inside_band(truth, drawn)
    assert inside.mean() == pytest.approx(0.8, abs=0.045)
    assert stats.kstest(place, "uniform").pvalue > 0.01


def test_share_interval_is_scipys() -> None:
    exact = stats.binomtest(7, 12).proportion_ci(0.9)
    assert network.share_interval(7, 12) == pytest.approx((exact.low, exact.high))
    assert network.share_interval(0, 4)[0] == 0
    assert network.share_interval(4, 4)[1] == 1


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
    market = network.market_days(table)
    assert len(market) == 20
    assert market["height"].iloc[0] == 11 * 144
    assert market["usd_per_block"].to_numpy() == pytest.approx(25.1 * table["price_usd"].iloc[10:].to_numpy())
    assert market["hashprice"].iloc[0] == pytest.approx(
        3_614.4 * table["price_usd"][10] / table["hashrate_ehs"][10] / 1e3
    )


def test_laws_at_find_the_planted_growth_and_the_walk() -> None:
    """Growth 0.5 a year without noise; deviation of returns 60 % a year within 3 % (standard error 1.9 %)."""
    table, _ = made_up_market()
    market = network.market_days(table)
    prices, answers = network.laws_at(market, market.index[-1])
    own = answers["own-trend"]
    assert (own.elasticity, answers["free-entry"].elasticity) == (0.0, 1.0)
    assert own.trend_per_year == pytest.approx(0.5, abs=0.01)
    assert prices["random-walk"].daily_returns is not None
    assert prices["random-walk"].daily_returns.std() * np.sqrt(365.25) == pytest.approx(0.6, rel=0.06)
    assert prices["trend"].drift_sd == pytest.approx(0.6 / np.sqrt(network.FIT_DAYS / 365.25), rel=0.06)
    assert prices["flat"].daily_returns is None
    with pytest.raises(ValueError, match="too few"):
        network.laws_at(market, market.index[200])


def test_nothing_after_an_origin_is_looked_at() -> None:
    """A crash the day after changes truth, never the fan: places move, and the laws and the start stay."""
    table, retargets = made_up_market()
    origin = pd.Timestamp("2017-01-01")
    crashed = table.assign(price_usd=table["price_usd"].where(table["date"] <= origin, table["price_usd"] / 50))
    before, after = (network.market_days(t) for t in (table, crashed))
    assert network.start_at(before, retargets, origin) == network.start_at(after, retargets, origin)
    runs = [network.backtest(m, retargets, [origin], (182,), 200, np.random.default_rng(3)) for m in (before, after)]
    assert runs[1]["truth"].iloc[0] == pytest.approx(runs[0]["truth"].iloc[0] / 50)
    assert (runs[1]["place"] == 0).all()
    assert not runs[1]["inside"].any()
    later = network.backtest(before, retargets, [origin, before.index[-100]], (182,), 50, np.random.default_rng(3))
    assert later["origin"].unique().tolist() == [origin]  # the second future is not over


def test_a_right_pair_of_laws_holds_and_a_flat_price_does_not() -> None:
    """Thirty made-up markets (seeds 100 to 129), each with one origin: the walk on its own trend covers 80 % of truths
    (standard error 7 %), a flat price next to none, and the score prefers the walk."""
    parts = []
    for seed in range(100, 130):
        table, retargets = made_up_market(1_900, seed)
        market, origin = network.market_days(table), pd.Timestamp("2017-01-01")
        parts.append(network.backtest(market, retargets, [origin], (365,), 300, np.random.default_rng(seed)))
    found = network.calibration(pd.concat(parts)).set_index(["price", "difficulty"])
    assert (found["trials"] == 30).all()
    walk, flat = found.loc[("random-walk", "own-trend")], found.loc[("flat", "own-trend")]
    assert walk["hits"] / 30 == pytest.approx(0.8, abs=0.2)
    assert bool(walk["holds"])
    assert flat["hits"] < 5
    assert not flat["holds"]
    assert walk["score"] < flat["score"]
    assert (network.NO_LAW, network.NO_LAW) in found.index


def test_start_is_the_difficulty_in_force() -> None:
    table, retargets = made_up_market(100)
    market = network.market_days(table)
    begin = network.start_at(market, retargets, market.index[13])  # the end of day 14: 2,016 blocks found
    assert begin.height == 2_017
    assert begin.difficulty == retargets["difficulty"][1]
    assert begin.fees_btc == pytest.approx(0.1)
    assert network.start_at(market, retargets, market.index[12], 0.5).fees_btc == 0.5
    assert network.start_at(market, retargets, market.index[12]).difficulty == retargets["difficulty"][0]
    with pytest.raises(Refusal, match="ends with the period from height 0; run wattshift refresh"):
        network.start_at(market, retargets.head(1), market.index[13])


def test_under_water_by_hand() -> None:
    """A flat price at rest, hashprice 31.4 before and 15.7 after a halving 2,016 blocks (14 days) on."""
    fan = network.forward_paths(
        steady_start(1_050_000 - 2_016), PriceLaw("flat"), FLAT, 120, 400, np.random.default_rng(5)
    )
    whole = float(fan.hashprice[0, 0])
    between = network.under_water(fan, 0.7 * whole, 100, 1_050_000)
    assert (between.at_halving, between.later, between.never) == (1.0, 1.0, 0.0)
    assert between.median * network.DAYS_PER_MONTH == pytest.approx(100 - 14, abs=0.5)
    assert between.after == pytest.approx(whole / 2, rel=1e-3)
    assert network.under_water(fan, 0.1, 100, 1_050_000).never == 1.0
    with pytest.raises(ValueError, match="no path reaches"):
        network.under_water(fan, 1.0, 100, 1_260_000)


def test_a_fan_is_sampled_daily_while_its_paths_halve() -> None:
    fan = network.forward_paths(
        steady_start(1_050_000 - 8_064), PriceLaw("flat"), FLAT, 120, 400, np.random.default_rng(5)
    )
    days = network.days_to_sample(fan, 112, 1_050_000)
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
    assert network.crps([0.0], drawn[None, :])[0] == pytest.approx(0.2336949773, abs=1e-4)
    pairs = np.abs(drawn[::40, None] - drawn[None, ::40]).mean()
    by_pairs = np.abs(drawn[::40] - 1.3).mean() - pairs / 2
    assert network.crps([1.3], drawn[None, ::40])[0] == pytest.approx(by_pairs)
    assert network.crps([3.0], [[1.0]]).tolist() == [2.0]


def test_chance_to_pass_adds_up_the_binomial() -> None:
    passed = [k for k in range(14) if network.share_interval(k, 13)[0] <= 0.8 <= network.share_interval(k, 13)[1]]
    assert network.chance_to_pass(0.6, 13) == pytest.approx(stats.binom.pmf(passed, 13, 0.6).sum())
    assert network.chance_to_pass(0.8, 13) > 0.9  # 90 % intervals refuse a true claim at most once in ten times


def steady(days: int, per_day: float) -> np.ndarray:
    """Heights at the ends of days that all bring the same number of blocks."""
    return per_day * np.arange(1, days + 1)


def test_a_forecast_lies_halfway_between_a_steady_past_and_the_plan():
    heights = steady(2_000, 160)
    forecast = network.pace_forecast(heights, int(heights[-1]), 14_400)  # 90 days at this pace, 100 by the plan
    assert forecast[:4] == pytest.approx((95, 95, 95, 90), abs=1e-9)
    record = network.pace_record(heights, [28_800, 209_600], 14_400)
    assert record.index.tolist() == [209_600]  # at height 14,400 no stretch of 14,400 blocks was over yet
    assert record.loc[209_600].tolist() == pytest.approx([95, 95, 95, 90, 90], abs=1e-9)


def test_halfway_has_missed_by_less_than_the_past_or_the_plan_alone():
    """The reason for the rule, on the chain itself: at six distances before the halvings and every 50,000 blocks."""
    heights = np.cumsum(data.load("btc_network_daily")["blocks"])
    misses = []
    for left in (10_000, 20_000, 35_000, 50_000, 75_000, 100_000):
        record = network.pace_record(heights, [420_000, 630_000, 840_000, *range(300_000, 950_001, 50_000)], left)
        plan = left / 144
        misses.append([(record["took"] - guess).abs().mean() / plan for guess in (record.middle, record.past, plan)])
    halfway, past, plan = np.mean(misses, axis=0)
    assert halfway < 0.75 * min(past, plan)


def test_a_forecast_knows_nothing_after_its_height():
    heights = steady(2_000, 150)
    other = heights.copy()
    other[1_000:] = heights[999] + 300 * np.arange(1, 1_001)  # twice as fast from day 1,000 on
    for height in (149_999, 150_000):
        assert network.pace_forecast(heights, height, 15_000) == network.pace_forecast(other, height, 15_000)
    assert network.pace_forecast(other, 300_000, 15_000).early < 99


def test_with_too_short_a_past_the_plan_has_to_do():
    early, middle, late, past, stretches = network.pace_forecast(steady(300, 144), 300 * 144, 144 * 200)
    assert np.isnan([early, late, past]).all()
    assert (middle, stretches) == (200, 100)
    assert len(network.past_paces(steady(300, 144), 100 * 144, 144 * 200)) == 0


def test_only_stretches_begun_within_the_last_two_eras_count():
    heights = steady(6_000, 144)
    assert len(network.past_paces(heights, int(heights[-1]), 14_400)) == 420_000 // 144 + 1 - 100


def test_eras_by_the_dates_of_the_chain():
    """The first era took from 9 January 2009 to 28 November 2012: 1,419 days and some, 148 blocks a day."""
    events = data.load("halvings")
    start, times, heights = pd.Timestamp("2009-01-09"), events["block_time_utc"].tolist(), events["height"].tolist()
    eras = network.pace_by_era(start, times, heights)
    assert eras["blocks"].tolist() == [210_000] * 4
    assert int(eras["days"][0]) == (pd.Timestamp("2012-11-28") - start).days
    assert eras["per_day"][0] == pytest.approx(147.9, abs=0.05)
    assert eras["ahead"].sum() == pytest.approx(840_000 / 144 - (times[-1] - start) / pd.Timedelta(days=1), abs=1e-6)
    assert len(network.pace_by_era(start, [*times, times[-1] + pd.Timedelta(days=1)], [*heights, heights[-1]])) == 4


# --- a watch that never sleeps, and what past halvings did


def test_the_watch_delays_as_long_as_a_simulated_one() -> None:
    """CUSUM with threshold 5.996 against a drop of 13%, 4,000 runs (seed 1): standard error 4.5 blocks of 511."""
    rng, drop, threshold, runs = np.random.default_rng(1), 0.13, 5.996, 4_000
    score, blocks = np.zeros(runs), np.zeros(runs)
    for _ in range(6_000):
        score = np.where(
            score > threshold,
            score,
            np.maximum(score + np.log(1 - drop) + drop * rng.exponential(1 / (1 - drop), runs), 0),
        )
        blocks += score <= threshold
    assert (score > threshold).all()
    assert network._run_length(threshold, drop, 1 / (1 - drop), 400) == pytest.approx(blocks.mean() + 1, abs=14)


def test_the_watch_is_slower_the_rarer_its_false_alarms() -> None:
    waits = [network.watch_delay(0.2, hours) for hours in (100.0, 1_000.0, 10_000.0)]
    assert waits == sorted(waits)
    # Lorden: the delay grows like ln(blocks between false alarms) / information of a block after the drop
    per_block = 0.25 - np.log(1.25)  # Kullback-Leibler of exponentials with means 1.25 and 1
    assert (waits[2] - waits[1]) * 6 * 0.8 == pytest.approx(np.log(10) / per_block, rel=0.05)


def test_a_watch_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="drop"):
        network.watch_delay(0.0)


def test_free_power_never_stops() -> None:
    free = network.fleet_slices(0.0, 0.3, 900.0, 33.0)
    assert network.shock_response(free, 33.0, 0.01, periods=2).frame()["share_off"].tolist() == [0.0] * 4


def test_a_stub_of_a_period_moves_its_share_of_the_rigs() -> None:
    """Half of the losing 40% go within 2,016 blocks, so 1 - 0.5^(1/4) of them within 504."""
    fleet = two_groups(0.4)
    stub = network.shock_response(fleet, 60.0, 0.5, blocks_done=1_512, periods=0, stop_share=0.5).frame()
    whole = network.shock_response(fleet, 60.0, 0.5, periods=0, stop_share=0.5).frame()
    assert stub["share_off"][1] == pytest.approx(0.4 * (1 - 0.5**0.25))
    assert whole["share_off"][1] == pytest.approx(0.2)


def test_a_halving_is_read_from_the_tables() -> None:
    """Planted: subsidy halves, price rises by 20%, difficulty 100 -> 90 -> 95 after it; row 40 is the halving's day."""
    days = 140
    subsidy = np.where(np.arange(days) < 40, 50.0, 25.0)
    price, difficulty = np.where(np.arange(days) < 40, 10.0, 12.0), np.where(np.arange(days) < 60, 100.0, 95.0)
    daily = pd.DataFrame({"blocks": 144, "issuance_btc": 144 * subsidy, "price_usd": price, "difficulty": difficulty})
    daily["fees_btc"] = 0.0
    retargets = pd.DataFrame({"height": [2_016, 4_032, 6_048, 8_064], "difficulty": [100.0, 100.0, 90.0, 95.0]})
    found = network.after_halving(daily, retargets, 5_000, 40)
    assert found == pytest.approx({"revenue": -0.4, "first_retarget": -0.1, "lowest": -0.1, "difficulty": -0.05})
    with pytest.raises(ValueError, match="after it"):
        network.after_halving(daily.head(100), retargets, 5_000, 40)
