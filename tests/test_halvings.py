"""The halvings aligned: hand-worked cases, protocol facts, planted jumps, and the size of each law by simulation."""

import doctest
import math

import numpy as np
import pandas as pd
import pytest

from wattshift import data, halvings
from wattshift.refusal import Refusal

HEIGHTS = {1: 210_000, 2: 420_000, 3: 630_000, 4: 840_000}


@pytest.fixture(scope="module")
def network() -> pd.DataFrame:
    """The days to 2026-06-01, whatever the table has grown to: the numbers written below are theirs."""
    return data.load("btc_network_daily")[lambda table: table["date"] <= "2026-06-01"]


@pytest.fixture(scope="module")
def frames(network: pd.DataFrame) -> dict[int, pd.DataFrame]:
    return halvings.around_halvings(network, data.load("difficulty_retargets"), data.load("halvings"))


@pytest.fixture(scope="module")
def paths(frames: dict[int, pd.DataFrame]) -> dict[int, pd.DataFrame]:
    return {number: halvings.log_paths(frame) for number, frame in frames.items()}


def walk(seed: int, before: int = 729, after: int = 729, scale: float = 0.03, jump: float = 0.0) -> pd.Series:
    """A random walk around offset 0 with normal steps, and a jump in the step from 0 to 1."""
    steps = np.random.default_rng(seed).normal(0.0, scale, before + after)
    steps[before] += jump
    return pd.Series(np.concatenate([[0.0], np.cumsum(steps)]), index=range(-before, after + 1))


def test_worked_examples_in_the_docstrings() -> None:
    done = doctest.testmod(halvings)
    assert done.attempted > 15
    assert done.failed == 0


# ---- the clock, on the true tables


def test_block_840000_belongs_to_19_april_in_the_table_and_to_20_april_by_its_header(network: pd.DataFrame) -> None:
    row = halvings.day_of_height(network, 840_000)
    header = data.load("halvings").set_index("halving").loc[4, "block_time_utc"]
    assert f"{network['date'].iloc[row]:%Y-%m-%d}" == "2024-04-19"
    assert f"{header:%Y-%m-%d}" == "2024-04-20"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_earlier_halvings_fall_on_the_day_of_their_header(network: pd.DataFrame, number: int) -> None:
    row = halvings.day_of_height(network, HEIGHTS[number])
    header = data.load("halvings").set_index("halving").loc[number, "block_time_utc"]
    assert network["date"].iloc[row] == header.normalize()


@pytest.mark.parametrize(("number", "before"), [(1, 50.0), (2, 25.0), (3, 12.5), (4, 6.25)])
def test_coins_issued_on_the_day_give_the_height_to_the_block(
    network: pd.DataFrame, number: int, before: float
) -> None:
    row = halvings.day_of_height(network, HEIGHTS[number])
    assert halvings.height_from_issuance(network, row, before, before / 2) == HEIGHTS[number]


def test_a_day_shifted_by_one_would_be_seen(network: pd.DataFrame) -> None:
    """The check above can fail: one block moved over midnight changes its answer."""
    row = halvings.day_of_height(network, 840_000)
    moved = network.iloc[row - 1 : row + 1][["blocks", "issuance_btc"]].reset_index(drop=True)
    moved.loc[0, "blocks"] = 839_852
    assert halvings.height_from_issuance(moved, 1, 6.25, 3.125) == 840_000
    moved.loc[0, "blocks"] = 839_853
    assert halvings.height_from_issuance(moved, 1, 6.25, 3.125) == 840_001


def test_offset_zero_is_the_last_block_of_the_old_subsidy(frames: dict[int, pd.DataFrame]) -> None:
    for number, frame in frames.items():
        assert frame.loc[0, "days"] == 0
        assert frame.loc[0, "subsidy"] == 2 * frame.loc[1, "subsidy"] == 50.0 / 2 ** (number - 1)
        assert frame.index[0] == -729
        assert frame.index[-1] == 729
        assert frame.notna().all(axis=None)  # the centred stretch is whole for all four, price included


def test_hand_worked_interpolation_of_a_toy_chain() -> None:
    """Three days of 1,008 blocks; halving at block 1,009: a day and a half after it, height 2,520."""
    daily = pd.DataFrame(
        {
            "date": pd.date_range("2009-01-09", periods=3),
            "price_usd": [100.0, 400.0, 400.0],
            "blocks": [1_008] * 3,
            "fees_btc": [1_008.0, 2_016.0, 4_032.0],
        }
    )
    retargets = pd.DataFrame({"height": [0, 2016], "difficulty": [1.0, 3.0]})
    frame = halvings.aligned(daily, retargets, 1_009, 50.0, 25.0, half_width=14)
    assert frame.loc[0, "days"] == 0.0
    assert frame.loc[7, "days"] == pytest.approx(1.0)  # 7 block-days are 1,008 blocks, here one day
    assert frame.loc[0, "price"] == pytest.approx(100.0)
    assert halvings.aligned(daily, retargets, 1_513, 50.0, 25.0, 1).loc[0, "price"] == pytest.approx(200.0)  # half way
    assert frame.loc[7, "fees"] == pytest.approx(2.0)
    assert frame.loc[7, "difficulty"] == 3.0  # block 2,016 is the first at 3
    # work of blocks 1,009..2,016: 1,007 at difficulty 1 and one at 3, in one day
    assert frame.loc[7, "hashrate"] == pytest.approx((1_007 + 3) * 2**32 / 86_400 / 1e18, rel=1e-12)
    assert frame.loc[7, "fee_share"] == pytest.approx(2 / 27)
    assert frame.loc[7, "hashprice"] == pytest.approx(27 * 400 * 86_400 * 1e15 / (3 * 2**32))
    assert math.isnan(frame.loc[-8, "days"])  # before the chain


def test_work_from_the_retarget_table_agrees_with_the_published_hashrate(network: pd.DataFrame) -> None:
    """Work of each day by heights and retargets against hashrate_ehs x 86,400 s: the card's identity, day by day.

    466 days hold two difficulty levels, whose daily mean the table rounds; a block near midnight moves the mix. 99 % of
    the days agree within 0.5 %, the sum of all work within 0.01 %.
    """
    retargets = data.load("difficulty_retargets")
    ends = np.append(0.0, halvings.heights_by_day(network["blocks"]))
    total = halvings._work_up_to(ends, retargets["height"].to_numpy(float), retargets["difficulty"].to_numpy(float))
    mine = np.diff(total) * 2**32 / 86_400 / 1e18
    table = network["hashrate_ehs"].to_numpy()
    assert np.quantile(np.abs(mine / table - 1), 0.99) < 0.005
    assert mine.sum() / table.sum() == pytest.approx(1.0, abs=1e-4)


def test_smoothed_hashrate_is_that_work_over_the_time_it_took(
    network: pd.DataFrame, frames: dict[int, pd.DataFrame]
) -> None:
    """The seven days to 2024-04-18 hold about 1,008 blocks; the two windows differ by less than a day."""
    last = halvings.day_of_height(network, 840_000) - 1
    weekly = network["hashrate_ehs"].iloc[last - 6 : last + 1].mean()
    assert frames[4].loc[-1, "hashrate"] == pytest.approx(weekly, rel=0.02)


def test_difficulty_of_the_block_agrees_with_the_daily_mean_between_retargets(
    network: pd.DataFrame, frames: dict[int, pd.DataFrame]
) -> None:
    row = halvings.day_of_height(network, 840_000)
    assert frames[4].loc[0, "difficulty"] == pytest.approx(network["difficulty"].iloc[row], rel=1e-6)


def test_a_missing_day_and_a_table_that_ends_too_early_are_refused(network: pd.DataFrame) -> None:
    with pytest.raises(Refusal, match="lacks 2015-01-01"):
        halvings.day_of_height(network[network["date"] != "2015-01-01"], 840_000)
    with pytest.raises(Refusal, match=r"840,000 lies after the last day used, 2024-04-18"):
        halvings.day_of_height(network[network["date"] <= "2024-04-18"], 840_000)


def test_a_halving_after_the_last_day_is_not_aligned(network: pd.DataFrame) -> None:
    known = network[network["date"] <= "2024-04-18"]
    early = halvings.around_halvings(known, data.load("difficulty_retargets"), data.load("halvings"))
    assert list(early) == [1, 2, 3]


@pytest.mark.parametrize(
    ("number", "as_of", "said"),
    [
        (4, "2026-06-02", "as_of cannot be 2026-06-02: the network table ends on 2026-06-01"),
        (
            4,
            "2024-06-18",
            "for halving 4, which came on 2024-04-20: give a day at least 60 days after it, for example 2025",
        ),
        (1, "2012-12-31", "for halving 1, which came on 2012-11-28"),
    ],
)
def test_days_that_cannot_tell_the_halving_are_refused(
    network: pd.DataFrame, number: int, as_of: str, said: str
) -> None:
    with pytest.raises(Refusal) as caught:
        halvings.days_in_use(network, data.load("halvings"), number, as_of)
    assert said in str(caught.value)
    assert str(caught.value).count("as_of") == 1


def test_days_in_use_end_with_as_of(network: pd.DataFrame) -> None:
    table = data.load("halvings")
    assert len(halvings.days_in_use(network, table, 4, "2026-06-01")) == len(network)
    used = halvings.days_in_use(network, table, 4, "2024-06-19")  # 60 days after 20 April
    assert used.date.iloc[-1] == pd.Timestamp("2024-06-19")
    assert used.equals(network.iloc[: len(used)])


def test_the_last_day_hides_everything_after_it(network: pd.DataFrame) -> None:
    known = network[network["date"] <= "2024-07-31"]
    frame = halvings.around_halvings(known, data.load("difficulty_retargets"), data.load("halvings"))[4]
    path = halvings.log_paths(frame)["price"]
    end = int(halvings.finite_stretch(path).index[-1])
    assert frame.loc[end, "days"] == pytest.approx(103, abs=1.5)  # 19 April to 31 July
    assert frame.loc[end + 1 :].drop(columns="subsidy").isna().all(axis=None)
    table = halvings.looks({4: halvings.log_paths(frame)}, (84, 182), ("change",))
    assert table.loc[table["horizon"] == 84, "p"].notna().all()
    assert table.loc[table["horizon"] == 182, ["p", "value", "p_holm"]].isna().all(axis=None)


# ---- the cut


def test_parts_of_hashprice_add_up(frames: dict[int, pd.DataFrame]) -> None:
    for frame in frames.values():
        for horizon in (1, 84, 729):
            parts = halvings.hashprice_parts(frame, horizon)
            assert parts.drop("total").sum() == pytest.approx(parts["total"], abs=1e-12)


def test_the_path_without_the_cut_is_the_other_three_parts(
    frames: dict[int, pd.DataFrame], paths: dict[int, pd.DataFrame]
) -> None:
    for number, frame in frames.items():
        rest = halvings.hashprice_parts(frame, 84).drop(["subsidy", "total"]).sum()
        assert paths[number].loc[84, "hashprice"] == pytest.approx(rest, abs=1e-12)
        assert -math.log(2) < halvings.cut_of(frame) < 0


def test_fee_share_without_the_cut_does_not_move_when_fees_do_not(frames: dict[int, pd.DataFrame]) -> None:
    still = frames[4].assign(fees=0.5)
    still["fee_share"] = still["fees"] / (still["fees"] + still["subsidy"])
    path = halvings.log_paths(still)["fee_share"]
    assert path.loc[1:].abs().max() < 1e-12
    assert halvings.log_paths(still, without_cut=False)["fee_share"].loc[1] == pytest.approx(math.log(6.75 / 3.625))


def test_the_scale_of_the_price_does_not_matter(network: pd.DataFrame) -> None:
    dearer = network.assign(price_usd=network["price_usd"] * 7.3)
    args = data.load("difficulty_retargets"), data.load("halvings")
    one = halvings.looks({4: halvings.log_paths(halvings.around_halvings(network, *args)[4])}, (84,))
    other = halvings.looks({4: halvings.log_paths(halvings.around_halvings(dearer, *args)[4])}, (84,))
    pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-9, atol=1e-12)


def test_the_loudest_fee_day_after_the_fourth_halving_is_20_april_2024(network: pd.DataFrame) -> None:
    """1,206.4666 BTC of fees beside 406.25 BTC of new coins: 74.8 % (Runes began at the halving's block)."""
    found = halvings.fee_days(network, halvings.day_of_height(network, 840_000))
    assert found["loudest_day"] == pd.Timestamp("2024-04-20")
    assert found["loudest_share"] == pytest.approx(1_206.4666 / 1_612.7166, rel=1e-9)
    assert found["median_after"] < found["mean_after"]  # one day pulls the mean, not the median


def test_fee_days_where_the_table_ends_on_the_halving(network: pd.DataFrame) -> None:
    known = network[network["date"] <= "2024-04-19"]
    found = halvings.fee_days(known, len(known) - 1)
    assert pd.isna(found["loudest_day"])
    assert math.isnan(found["median_after"])
    assert 0 < found["median_before"] < 1


# ---- windows


def test_placebo_windows_never_touch_the_halving_s_own() -> None:
    """A path that jumps only between 0 and 1: no placebo window may show the jump."""
    step = pd.Series((np.arange(-50, 51) > 0).astype(float), index=range(-50, 51))
    for length in (1, 7, 24, -1, -7, -24):
        assert np.all(halvings.placebo_changes(step, length) == 0)
    assert len(halvings.placebo_changes(step, 10)) == 41 + 31  # starts -50..-10 and 10..40


def test_band_stops_where_fewer_than_three_disjoint_windows_remain() -> None:
    band = halvings.placebo_band(walk(1), 400)
    assert halvings.disjoint_windows(729, 729, 364) == 3
    assert halvings.disjoint_windows(729, 729, 365) == 1
    assert band[0.05].loc[-364:364].notna().all()
    assert band[0.05].loc[365:].isna().all()
    assert band[0.05].loc[:-365].isna().all()
    assert (band[0.05].loc[1:364] <= band[0.95].loc[1:364]).all()


def test_band_of_a_steady_trend_is_the_trend() -> None:
    trend = pd.Series(0.01 * np.arange(-200, 201), index=range(-200, 201))
    band = halvings.placebo_band(trend, 60)
    np.testing.assert_allclose(band[0.05].to_numpy(), 0.01 * np.arange(-60, 61), atol=1e-12)


def test_shares_inside_are_of_block_days_after_the_halving_that_have_a_band(paths: dict[int, pd.DataFrame]) -> None:
    band = halvings.placebo_band(paths[4]["price"], 360)
    inside = halvings.shares_inside(paths[4], {"price": band})["price"]
    days = [u for u in range(1, 361) if np.isfinite(band.loc[u, 0.05])]
    hits = [u for u in days if band.loc[u, 0.05] <= paths[4].loc[u, "price"] <= band.loc[u, 0.95]]
    assert inside == pytest.approx(len(hits) / len(days), abs=1e-12)
    assert halvings.shares_inside(paths[4].loc[:0], {"price": band}).empty


def test_changes_at_are_those_of_the_paths(paths: dict[int, pd.DataFrame]) -> None:
    table = pd.DataFrame({"outcome": ["price", "difficulty"], "horizon": [28, 2_000]}, index=[7, 9])
    changes = halvings.changes_at(table, paths)
    assert list(changes.columns) == ["1st", "2nd", "3rd", "4th"]
    assert changes.index.tolist() == [7, 9]
    assert np.log1p(changes.loc[7, "2nd"]) == pytest.approx(paths[2].loc[28, "price"], abs=1e-12)
    assert changes.loc[9].isna().all()  # beyond half an era


def test_a_window_of_whole_retarget_periods_holds_the_same_number_of_retargets_from_every_start(
    frames: dict[int, pd.DataFrame],
) -> None:
    difficulty = frames[4]["difficulty"].to_numpy()
    for horizon in (28, 84):
        changes = np.diff(difficulty) != 0
        counts = np.convolve(changes, np.ones(horizon), mode="valid")
        assert set(counts) == {horizon / halvings.RETARGET_BLOCK_DAYS}


# ---- laws of chance


def test_orbit_worked_by_hand() -> None:
    path = pd.Series([0.0, 1.0, 3.0, 7.0, 15.0], index=[-2, -1, 0, 1, 2])  # increments 1 2 4 8
    values, place = halvings.shift_orbit(path, 2)
    assert values.tolist() == [3.0, 6.0, 12.0, 9.0]  # the last wraps: 8 + 1
    assert values[place] == path.loc[2] - path.loc[0]
    bends, place = halvings.shift_orbit(path, 1, "bend")
    assert bends.tolist() == [1.0 - 8.0, 1.0, 2.0, 4.0]
    assert bends[place] == 2.0
    before, place = halvings.shift_orbit(path, 2, start=-2)
    assert before[place] == path.loc[0] - path.loc[-2]


def test_bend_is_blind_to_a_trend_and_change_ranks_are_too() -> None:
    path = walk(3)
    tilted = path + 0.02 * path.index.to_numpy()
    for statistic in ("change", "bend"):
        plain, place = halvings.shift_orbit(path, 84, statistic)
        steep, _ = halvings.shift_orbit(tilted, 84, statistic)
        assert halvings.rank_p(plain, plain[place]) == pytest.approx(halvings.rank_p(steep, steep[place]), abs=1e-12)


def test_a_window_that_does_not_fit_is_not_shortened() -> None:
    short = walk(4, after=50)
    assert halvings.shift_orbit(short, 51) == (pytest.approx([]), -1)
    assert halvings.shift_orbit(short, 50)[1] == 729
    assert halvings.shift_orbit(walk(4, before=10), 11, "bend")[1] == -1


def test_smallest_p_is_one_over_placebos_plus_one() -> None:
    values = np.append(np.zeros(19), 5.0)
    assert halvings.rank_p(values, 5.0) == 1 / 20
    table = halvings.looks({4: pd.DataFrame(dict.fromkeys(halvings.OUTCOMES, walk(5)))}, (28,))
    assert (table["smallest_p"] == 1 / 1458).all()
    assert (table["p"] >= table["smallest_p"]).all()


def test_planted_jump_is_found_again_and_shares_its_p_with_every_window_that_holds_it() -> None:
    """A jump of 40 standard deviations of a step. All 28 windows with the jump lead, so p <= 28/1458, not 1/1458."""
    path = walk(840_000, jump=1.2)
    values, place = halvings.shift_orbit(path, 28)
    noise = 0.03 * math.sqrt(28)
    assert values[place] == pytest.approx(1.2, abs=4 * noise)
    assert 1 / 1458 <= halvings.rank_p(values, values[place]) <= 28 / 1458
    flat = walk(840_000)
    values, place = halvings.shift_orbit(flat, 28)
    assert halvings.rank_p(values, values[place]) > 0.05


def test_size_of_the_two_laws_under_a_random_walk() -> None:
    """600 walks, level 5 %: rotation is honest within 3.3 binomial standard errors; overlapping dates are not."""
    rng = np.random.default_rng(20_240_420)
    tolerance = 3.3 * math.sqrt(0.05 * 0.95 / 600)
    for horizon in (28, 84, 336):
        rotation, placebo = halvings.size_under_random_walk(rng, horizon, walks=600, drift=0.2)
        assert abs(rotation - 0.05) < tolerance
    assert placebo > 0.2  # at 336 block-days three disjoint windows pass for several hundred
    remembered, _ = halvings.size_under_random_walk(rng, 84, walks=600, memory=0.5)
    assert abs(remembered - 0.05) < tolerance


def test_simulated_size_uses_the_same_laws_as_the_report() -> None:
    """One walk through both doors: the fast simulation agrees with shift_orbit, placebo_changes and rank_p."""
    rng = np.random.default_rng(11)
    calls = []
    for _ in range(60):
        steps = np.random.default_rng(rng.integers(2**32)).standard_normal((1, 400))
        path = pd.Series(np.concatenate([[0.0], np.cumsum(steps)]), index=range(-200, 201))
        values, place = halvings.shift_orbit(path, 30)
        others = halvings.placebo_changes(path, 30)
        calls.append(
            (
                halvings.rank_p(values, values[place]) <= 0.2,
                halvings.rank_p(np.append(others, values[place]), values[place]) <= 0.2,
            )
        )
    direct = np.mean(calls, axis=0)
    fast = halvings.size_under_random_walk(np.random.default_rng(12), 30, 200, 200, level=0.2, walks=2_000)
    assert np.all(np.abs(direct - fast) < 3.3 * math.sqrt(0.25 / 60))


def test_darwin_s_maize() -> None:
    """Fisher (1935), 15 pairs: 1,726 of 32,768 sign vectors, p = .05267."""
    maize = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    extreme, every, p = halvings.sign_flip_p(maize)
    assert (extreme, every) == (1_726, 32_768)
    assert round(p, 5) == 0.05267


def test_four_events_of_one_sign_never_give_less_than_an_eighth() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        assert halvings.sign_flip_p(rng.uniform(0.1, 9.0, 4))[2] == 0.125
        assert halvings.sign_flip_p(rng.normal(size=4))[2] >= 0.125
    with pytest.raises(ValueError, match="1 to 20"):
        halvings.sign_flip_p(np.ones(21))


def test_joint_test_against_the_sum_of_four_uniforms() -> None:
    """Irwin-Hall: P(sum of four uniforms <= 0.6) = 0.6^4 / 24; two-sided twice that. 3.3 binomial standard errors."""
    orbit = np.arange(1_000.0)
    joint = halvings.joint_test([(orbit, 150)] * 4, np.random.default_rng(2), draws=99_999)
    mean = (150 + 0.5) / 1_000 - 0.5
    exact = 2 * (4 * (0.5 + mean)) ** 4 / 24
    assert joint.mean_rank == pytest.approx(mean)
    assert abs(joint.p - exact) < 3.3 * math.sqrt(exact / 99_999)
    assert joint.smallest_p == 1 / 100_000
    assert joint.smallest_p_sign == 0.125 == joint.p_sign


def test_joint_test_has_its_nominal_size() -> None:
    """Four independent walks with drifts of their own, 300 times: 5 % within 3.3 binomial standard errors."""
    rng = np.random.default_rng(77)
    hits = 0
    for _ in range(300):
        orbits = []
        for drift in (0.5, 0.1, 0.0, -0.1):
            steps = rng.standard_normal(300) + drift
            orbits.append(halvings.shift_orbit(pd.Series(np.append(0.0, np.cumsum(steps)), index=range(-150, 151)), 28))
        hits += halvings.joint_test(orbits, rng, draws=499).p <= 0.05
    assert abs(hits / 300 - 0.05) < 3.3 * math.sqrt(0.05 * 0.95 / 300)


def test_joint_test_leaves_out_what_is_not_whole() -> None:
    whole = halvings.shift_orbit(walk(1), 28)
    joint = halvings.joint_test([whole, (np.array([]), -1)], np.random.default_rng(1))
    assert joint.events == 1
    with pytest.raises(ValueError, match="No event"):
        halvings.joint_test([(np.array([]), -1)], np.random.default_rng(1))


def test_joint_test_finds_a_dip_planted_in_all_four() -> None:
    paths = {n: pd.DataFrame(dict.fromkeys(halvings.OUTCOMES, walk(n, jump=-0.4))) for n in (1, 2, 3, 4)}
    table = halvings.joint_looks(paths, (28,), np.random.default_rng(3), ("change",))
    assert (table["p"] <= 0.001).all()
    assert (table["p_before"] > 0.05).all()  # nothing was planted before the date
    assert (table["p_sign"] == 0.125).all()


def test_joint_looks_without_a_complete_window_is_an_empty_table() -> None:
    """As on the day of the first halving: columns stand, rows do not, so a notebook can still ask."""
    bare = {1: pd.DataFrame(dict.fromkeys(halvings.OUTCOMES, walk(1, after=3)))}
    table = halvings.joint_looks(bare, (28,), np.random.default_rng(1))
    assert len(table) == 0
    assert {"outcome", "p", "p_holm", "p_before", "events"} <= set(table.columns)


def test_sensitivity_shows_when_one_event_carries_the_result() -> None:
    """Jumps of 2.5 standard deviations of the window in three of four walks, then in one of four."""
    frames = {n: pd.DataFrame({"price": walk(n, jump=-0.4)}) for n in (1, 2, 3)}
    frames[4] = pd.DataFrame({"price": walk(4)})
    table = halvings.sensitivity(frames, "price", 28, np.random.default_rng(8)).set_index("case")
    assert list(table.index) == ["all", "without 1", "without 2", "without 3", "without 4", "half the era"]
    assert table.loc["all", "events"] == 4
    assert table.loc["without 4", "p"] == table["p"].min()
    alone = {n: pd.DataFrame({"price": walk(n, jump=-0.4 if n == 1 else 0.0)}) for n in (1, 2, 3, 4)}
    table = halvings.sensitivity(alone, "price", 28, np.random.default_rng(9)).set_index("case")
    assert table.loc["without 1", "p"] > 0.05


def test_holm_on_its_published_pattern() -> None:
    """Worked by hand: sorted .005 .01 .03 .04 times 4 3 2 1, made monotone."""
    np.testing.assert_allclose(halvings.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    adjusted = halvings.holm([0.01, np.nan, 0.02])
    np.testing.assert_allclose(adjusted[[0, 2]], [0.02, 0.02])
    assert math.isnan(adjusted[1])
    assert halvings.holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_looks_count_only_windows_with_three_disjoint_ones(paths: dict[int, pd.DataFrame]) -> None:
    table = halvings.looks({4: paths[4]}, (28, 84, 182, 336))
    tested = table.dropna(subset=["p"])
    assert len(table) == 5 * 4 * 2
    assert set(tested.loc[tested["statistic"] == "bend", "horizon"]) == {28, 84}
    assert set(tested.loc[tested["statistic"] == "change", "horizon"]) == {28, 84, 182, 336}
    assert (tested["windows"] >= 3).all()
    assert (tested["placebo_rank"].dropna().between(1, tested["dates"].dropna() + 1)).all()
    assert (tested["p_holm"] >= tested["p"]).all()


def test_the_report_s_numbers_do_not_drift(paths: dict[int, pd.DataFrame]) -> None:
    """Difficulty 28 block-days after each halving, straight from the retarget table (heights worked by hand)."""
    levels = data.load("difficulty_retargets").set_index("height")["difficulty"]
    for number, height in HEIGHTS.items():
        first = (height - 1) // 2016 * 2016
        expected = math.log(levels[first + 2 * 2016] / levels[first])  # two retargets later
        assert paths[number].loc[28, "difficulty"] == pytest.approx(expected, abs=1e-12)
