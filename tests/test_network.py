"""network.py against closed forms, exact distributions of scipy, hand-worked periods and planted parameters."""

import doctest

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats import rates

from wattshift import mining, network
from wattshift.network import Slices
from wattshift.refusal import Refusal

STEADY = 600 * 2016 / 2015


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


# --- a drop, read from counts


def test_compared_counts_are_the_exact_binomial_interval() -> None:
    # statsmodels' score interval is close; scipy's Clopper-Pearson, turned into a ratio, is the same
    before = pd.DataFrame({"blocks": [1_000, 1_044], "difficulty": [2.4e13, 2.5e13]})
    after = pd.DataFrame({"blocks": [571], "difficulty": [2.44e13]})
    found = network.compare_counts(before, after)
    weight0, weight1 = 1 / 2.4 + 1 / 2.5, 1 / 2.44
    interval = stats.binomtest(571, 2_615).proportion_ci(method="exact")
    assert found.low == pytest.approx(interval.low / (1 - interval.low) * weight0 / weight1 - 1)
    assert found.high == pytest.approx(interval.high / (1 - interval.high) * weight0 / weight1 - 1)
    assert found.change == pytest.approx(571 / weight1 / (2_044 / weight0) - 1)
    near = rates.confint_poisson_2indep(571, weight1, 2_044, weight0, method="score", compare="ratio")
    assert (1 + found.low, 1 + found.high) == pytest.approx(near, abs=0.01)
    with pytest.raises(Refusal, match="holds none"):
        network.compare_counts(before, after.assign(blocks=0))


def test_a_planted_step_is_found_again_beside_a_trend() -> None:
    rng, days = np.random.default_rng(11), 60
    inside = np.zeros(days)
    inside[30:40] = 1.0
    difficulty = np.where(np.arange(days) < 35, 2.0e13, 2.2e13)
    pace = 144 * (2e13 / difficulty) * np.exp(0.1 * np.linspace(-1, 1, days)) * np.where(inside > 0, 0.8, 1.0)
    found = [
        network.step_in_counts(pd.DataFrame({"blocks": rng.poisson(pace), "difficulty": difficulty}), inside)
        for _ in range(200)
    ]
    assert np.mean([one.change for one in found]) == pytest.approx(-0.2, abs=0.01)  # four standard errors of 0.0025
    caught = sum(one.low <= -0.2 <= one.high for one in found)
    assert 178 <= caught <= 200  # 95% of 200 is 190, within four standard errors of 3.1


def test_the_least_drop_is_where_the_power_is_reached() -> None:
    for hours, baseline in ((24.0, None), (120.0, None), (120.0, 336.0)):
        drop = network.least_drop(hours, baseline_hours=baseline)
        powers = [float(network.detection_power(hours, drop * f, baseline_hours=baseline)) for f in (0.999, 1.001)]
        assert powers[0] < 0.8 <= powers[1]
    assert network.least_drop(0.1) == np.inf


def test_the_least_drop_after_a_day_by_hand() -> None:
    critical = int(stats.poisson(144).ppf(0.05)) - 1  # the largest count that is too few at 5%
    mean = 144 * (1 - network.least_drop(24.0))
    assert stats.poisson(mean).cdf(critical) == pytest.approx(0.8, abs=1e-4)
