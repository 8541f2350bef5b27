"""Consensus arithmetic against the reference client's published cases, the chain itself, and a simulated retarget."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from wattshift import bitcoin, data
from wattshift.units import BLOCKS_PER_HALVING, BLOCKS_PER_RETARGET

CAP = 2_099_999_997_690_000


@pytest.mark.parametrize(
    ("height", "satoshi"),
    [
        (0, 5_000_000_000),
        (209_999, 5_000_000_000),
        (210_000, 2_500_000_000),
        (420_000, 1_250_000_000),
        (840_000, 312_500_000),
        (1_050_000, 156_250_000),
        (6_719_999, 2),
        (6_929_999, 1),
        (6_930_000, 0),
        (64 * 210_000, 0),
        (10**9, 0),
    ],
)
def test_subsidy_follows_the_published_schedule(height, satoshi):
    """Reference client, validation_tests."""
    assert bitcoin.subsidy_satoshi(height) == satoshi


def test_supply_reaches_the_cap_and_not_one_satoshi_more():
    assert bitcoin.supply_satoshi(6_929_999) == CAP
    assert bitcoin.supply_satoshi(6_929_998) == CAP - 1
    assert bitcoin.supply_satoshi(10**12) == CAP
    assert bitcoin.supply_satoshi(-1) == 0


def test_supply_is_the_running_sum_of_subsidies():
    """Summed block by block across two halvings, and era by era to the end."""
    total = bitcoin.supply_satoshi(209_000)
    for height in range(209_001, 211_001):
        total += bitcoin.subsidy_satoshi(height)
        assert bitcoin.supply_satoshi(height) == total
    by_era = sum(bitcoin.subsidy_satoshi(k * BLOCKS_PER_HALVING) * BLOCKS_PER_HALVING for k in range(40))
    assert by_era == CAP


def test_supply_of_our_own_table_agrees_with_the_schedule():
    """Issuance of the daily table up to some days, against the closed form for the blocks counted by then.

    The table leaves the genesis block out; its days hold whole blocks, so issuance is exact.
    """
    network = data.load("btc_network_daily")
    heights = network["blocks"].cumsum()  # the genesis block has height 0, so n blocks after it end at height n
    issued = network["issuance_btc"].cumsum()
    for row in (1_000, 2_000, 4_000, 6_000, len(network) - 1):
        expected = bitcoin.supply_satoshi(int(heights[row])) - bitcoin.supply_satoshi(0)
        assert round(issued[row] * 1e8) == expected, network["date"][row]


@pytest.mark.parametrize("height", [-1, -210_000])
def test_a_negative_height_has_no_subsidy(height):
    with pytest.raises(ValueError, match="height"):
        bitcoin.subsidy_satoshi(height)


@pytest.mark.parametrize(
    ("bits", "target", "again", "negative", "overflow"),
    [
        *[(bits, 0, 0, False, False) for bits in (0, 0x00123456, 0x01003456, 0x02000056, 0x03000000, 0x04000000)],
        *[(bits, 0, 0, False, False) for bits in (0x00923456, 0x01803456, 0x02800056, 0x03800000, 0x04800000)],
        (0x01123456, 0x12, 0x01120000, False, False),
        (0x01FEDCBA, 0x7E, 0x01FE0000, True, False),
        (0x02123456, 0x1234, 0x02123400, False, False),
        (0x03123456, 0x123456, 0x03123456, False, False),
        (0x04123456, 0x12345600, 0x04123456, False, False),
        (0x04923456, 0x12345600, 0x04923456, True, False),
        (0x05009234, 0x92340000, 0x05009234, False, False),
        (0x20123456, 0x123456 << 232, 0x20123456, False, False),
    ],
)
def test_compact_form_follows_the_reference_client(bits, target, again, negative, overflow):
    """Reference client, arith_uint256_tests (bignum_SetCompact)."""
    assert bitcoin.decode_compact(bits) == (target, negative, overflow)
    assert bitcoin.encode_compact(target, negative) == again


def test_compact_overflow_is_judged_by_the_top_byte():
    assert bitcoin.decode_compact(0xFF123456).overflow
    assert not bitcoin.decode_compact(0x22000012).overflow  # one byte at size 34 just fits 256 bits
    assert bitcoin.decode_compact(0x22000112).overflow
    assert not bitcoin.decode_compact(0x21001234).overflow
    assert bitcoin.decode_compact(0x21123456).overflow
    assert not bitcoin.decode_compact(0xFF000000).overflow  # zero never overflows


def test_compact_round_trip_is_canonical_and_never_rounds_up():
    rng = np.random.default_rng(1)
    for _ in range(2_000):
        target = int.from_bytes(rng.bytes(32)) >> int(rng.integers(0, 257))
        bits = bitcoin.encode_compact(target)
        cut = bitcoin.decode_compact(bits)
        assert bits & 0x00800000 == 0
        assert not cut.overflow
        assert cut.target <= target
        assert target - cut.target <= target >> 15  # 16 bits or more of the mantissa are kept
        assert bitcoin.encode_compact(cut.target) == bits


@pytest.mark.parametrize(
    ("bits", "why"),
    [
        (0x04923456, "negative"),
        (0xFF123456, "overflowing"),
        (0x03000000, "zero"),
        (0x1D010000, "above"),
        (0x20123456, "above"),
    ],
)
def test_bits_that_consensus_refuses(bits, why):
    with pytest.raises(ValueError, match=why):
        bitcoin.target_from_bits(bits)


def test_difficulty_of_the_wiki_example():
    """Bitcoin wiki, Difficulty: 0x1b0404cb. Pool difficulty puts 0xffffff... of 224 bits over the same target."""
    target = bitcoin.target_from_bits(0x1B0404CB)
    assert target == 0x0404CB << 192
    assert bitcoin.difficulty_from_target(target) == 16307.420938523983
    assert bitcoin.PROOF_OF_WORK_LIMIT / target == pytest.approx(16307.669773817162, rel=1e-15)


@pytest.mark.parametrize(
    ("bits", "first", "last", "following"),
    [
        (0x1D00FFFF, 1_261_130_161, 1_262_152_739, 0x1D00D86A),  # no limit bites: heights 30,240 to 32,255
        (0x1D00FFFF, 1_231_006_505, 1_233_061_996, 0x1D00FFFF),  # proof-of-work limit: heights 0 to 2,015
        (0x1C05A3F4, 1_279_008_237, 1_279_297_671, 0x1C0168FD),  # four times harder: heights 66,528 to 68,543
        (0x1C387F6F, 1_263_163_443, 1_269_211_443, 0x1D00E1FD),  # four times easier: not a real time
    ],
)
def test_retarget_follows_the_reference_client(bits, first, last, following):
    """Reference client, pow_tests."""
    assert bitcoin.next_bits(bits, first, last) == following


def test_retarget_has_the_off_by_one_and_the_clamp():
    bits = bitcoin.bits_from_difficulty(1e12)
    on_plan = bitcoin.next_bits(bits, 0, 2_015 * 600)
    ratio = bitcoin.difficulty_from_bits(on_plan) / bitcoin.difficulty_from_bits(bits)
    assert ratio == pytest.approx(2_016 / 2_015, rel=2e-5)  # the compact form keeps at least 16 bits
    assert bitcoin.next_bits(bits, 0, 2_016 * 600) == bits
    for seconds in (0, -(10**6), 302_399, 302_400):
        assert bitcoin.next_bits(bits, 0, seconds) == bitcoin.next_bits(bits, 0, 302_400)
    assert bitcoin.next_bits(bits, 0, 10**9) == bitcoin.next_bits(bits, 0, 4_838_400)
    assert bitcoin.clamped_factor(0) == 4
    assert bitcoin.clamped_factor(1e9) == 0.25


def test_every_difficulty_of_the_chain_is_a_compact_target():
    """474 published difficulties: each has bits that give it back as printed (2 decimals, later 13 digits or more)."""
    table = data.load("difficulty_retargets")
    bits = [bitcoin.bits_from_difficulty(float(value)) for value in table["difficulty"]]
    back = np.array([bitcoin.difficulty_from_bits(value) for value in bits])
    assert (np.abs(back - table["difficulty"]) <= np.maximum(0.005, 2e-13 * table["difficulty"])).all()
    steps = np.diff(np.log(back))
    assert np.abs(steps).max() == pytest.approx(np.log(4), rel=1e-6)  # July 2010: the one time the clamp was hit


def test_the_chain_shows_the_retarget_rule_and_its_off_by_one():
    """A step of difficulty tells how long the period took; dates tell it too. Over 430 periods the sum shows the 2,015.

    Tolerances: dates are whole days, so one period is known to 1.05 days, and the sum of all to 1.5 days; leaving the
    off-by-one out would shift the sum by three days.
    """
    table = data.load("difficulty_retargets").iloc[34:].dropna(subset=["date"])  # after the clamp of July 2010
    difficulty, days = table["difficulty"].to_numpy(), np.diff(table["date"]) / np.timedelta64(1, "D")
    told = 14 * difficulty[:-1] / difficulty[1:]  # the measured time, in days: 2,015 intervals
    whole = told * 2_016 / 2_015
    inside = np.abs(np.diff(np.log(difficulty))) < np.log(4) - 1e-6
    assert inside.all()
    assert len(days) > 430
    assert np.abs(whole - days).max() < 1.05
    assert whole.sum() == pytest.approx(days.sum(), abs=1.5)
    assert abs(told.sum() - days.sum()) > 2


def test_expected_hashes():
    assert bitcoin.expected_hashes(0x1D00FFFF) == 0x100010001  # known chain work of the genesis block
    bits = bitcoin.bits_from_difficulty(1e14)
    ratio = bitcoin.expected_hashes(bits) / (bitcoin.difficulty_from_bits(bits) * 2**32)
    assert ratio == pytest.approx(2**16 / 65_535, rel=1e-12)


def test_hashrate_of_the_daily_table_is_difficulty_times_blocks():
    """The identity of the three columns (card): estimated hashrate = implied hashrate x blocks / 144, to 6 digits."""
    network = data.load("btc_network_daily").query("blocks > 0")
    told = bitcoin.hashrate_from_difficulty(network["difficulty"]) * network["blocks"] / 144
    np.testing.assert_allclose(told, network["hashrate_ehs"], rtol=1e-5)


def test_next_halving():
    assert bitcoin.next_halving_height(0) == 210_000
    assert bitcoin.next_halving_height(953_568) == 1_050_000


def simulate(known: int, blocks: int, paths: int, rng: np.random.Generator) -> np.ndarray:
    """Time, in planned block times, that `blocks` take at steady hashrate under the real rule (2,015 intervals)."""
    passed = known % BLOCKS_PER_RETARGET
    first = min(BLOCKS_PER_RETARGET - 1 - passed, blocks)
    time = rng.gamma(first, size=paths)
    pace = BLOCKS_PER_RETARGET / (passed + time)  # the past is taken to have gone by plan
    left = blocks - first
    while left > 0:
        opening = rng.gamma(1, size=paths) * pace  # not measured by any retarget
        rest = min(left, BLOCKS_PER_RETARGET) - 1
        measured = rng.gamma(rest, size=paths) * pace if rest else np.zeros(paths)
        time = time + opening + measured
        if left >= BLOCKS_PER_RETARGET:
            pace = pace * BLOCKS_PER_RETARGET / measured
        left -= rest + 1
    return time


@pytest.mark.parametrize(("known", "blocks"), [(100, 500), (1_009, 5_538), (0, 43_335), (840_000, 210_000)])
def test_luck_is_paid_back_by_retargets(known, blocks):
    """Variance of the simulated rule within 5 % of the formula (20,000 paths, seed 7: 1 % standard error)."""
    time = simulate(known, blocks, 20_000, np.random.default_rng(7))
    assert time.var() == pytest.approx(bitcoin.luck_variance_blocks(known + blocks, known), rel=0.05)
    if blocks > 10 * BLOCKS_PER_RETARGET:
        assert time.var() < blocks / 10  # the Erlang variance would be `blocks`
        pace = bitcoin.seconds_per_block_at_growth(0.0) / 600
        assert time.mean() / blocks == pytest.approx(pace, abs=2e-4)


def test_block_time_under_growth():
    """Deterministic rule run to its steady state: each period's difficulty is the work of the one before."""
    growth = 0.002
    start, difficulty, length = 0.0, 1.0, 0.0
    for _ in range(60):
        # work done in a period of length L from `start` at hashrate exp(growth t): solve for L
        length = np.log1p(difficulty * growth / np.exp(growth * start)) / growth
        start, difficulty = start + length, difficulty * 14 / length
    no_luck = bitcoin.seconds_per_block_at_growth(growth) * 2_016 / 86_400
    assert length == pytest.approx(no_luck, rel=0.001)  # the formula adds 2,016/2,014 to the plan
    assert bitcoin.seconds_per_block_at_growth(-0.001) > 600.6 > bitcoin.seconds_per_block_at_growth(0.001)


def test_arrival_interval_covers_what_it_says():
    """Within one period the interval is Erlang: 90 % of 20,000 simulated waits fall inside (seed 3, tolerance 1 %)."""
    start = datetime(2026, 6, 1)
    early, middle, late = bitcoin.arrival(953_568 + 400, 953_568, start)
    waits = np.random.default_rng(3).gamma(400, size=20_000) * 600
    inside = np.mean([(early - start).total_seconds() <= w <= (late - start).total_seconds() for w in waits])
    assert inside == pytest.approx(0.9, abs=0.01)
    assert middle - start == timedelta(seconds=400 * 600)


def test_arrival_without_retargets_is_wider():
    start = datetime(2024, 4, 20)
    with_rule = bitcoin.arrival(1_050_000, 840_000, start)
    without = bitcoin.arrival(1_050_000, 840_000, start, retargets=False)
    assert without.late - without.early > 8 * (with_rule.late - with_rule.early)
    assert with_rule.expected == without.expected == start + timedelta(seconds=210_000 * 600)


def test_arrival_of_the_past_and_of_a_wrong_coverage():
    start = datetime(2024, 4, 20)
    assert set(bitcoin.arrival(839_856, 840_000, start)) == {datetime(2024, 4, 19)}
    with pytest.raises(ValueError, match="coverage"):
        bitcoin.arrival(840_001, 840_000, start, coverage=1.0)


def test_expected_height_undoes_arrival():
    start = datetime(2024, 4, 20)
    when = bitcoin.arrival(900_000, 840_000, start, seconds_per_block=590).expected
    assert bitcoin.expected_height(when, 840_000, start, seconds_per_block=590) == 900_000
