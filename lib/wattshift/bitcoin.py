"""Bitcoin's consensus rules as exact Python integers: subsidy, supply, difficulty, retarget; and heights as dates.

Amounts are in satoshi, targets and hashes are plain integers, times are Unix seconds or datetimes in UTC. Only the last
part (dates) is an estimate, and says how sure it is.
"""

from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from scipy.special import gammaincinv, lambertw

from wattshift.units import (
    BLOCKS_PER_HALVING,
    BLOCKS_PER_RETARGET,
    HASHES_PER_DIFFICULTY,
    SATOSHI_PER_BTC,
    SECONDS_PER_BLOCK,
    SECONDS_PER_DAY,
)

FIRST_SUBSIDY_SATOSHI = 50 * SATOSHI_PER_BTC
SECONDS_PER_RETARGET = BLOCKS_PER_RETARGET * SECONDS_PER_BLOCK  # 1,209,600: two weeks
RETARGET_CLAMP = 4
HASH_SPACE = 1 << 256
PROOF_OF_WORK_LIMIT = (1 << 224) - 1  # no target may be easier
DIFFICULTY_ONE_TARGET = 0xFFFF << 208  # what the limit becomes in compact form


# Subsidy and supply


def subsidy_satoshi(height: int) -> int:
    """New coins that the block at `height` may create, in satoshi: 50 BTC, shifted right once per 210,000 blocks.

    Raises ValueError for a negative height.

    >>> subsidy_satoshi(839_999), subsidy_satoshi(840_000)
    (625000000, 312500000)
    """
    if height < 0:
        raise ValueError(f"height must be 0 or more, not {height}")
    return FIRST_SUBSIDY_SATOSHI >> (height // BLOCKS_PER_HALVING)


def subsidy_btc(height: int) -> float:
    """The same in BTC.

    >>> subsidy_btc(840_000)
    3.125
    """
    return subsidy_satoshi(height) / SATOSHI_PER_BTC


def supply_satoshi(height: int) -> int:
    """Coins that the schedule allows up to and including the block at `height`, in satoshi; 0 at height -1.

    The genesis block's 50 BTC are counted though they cannot be spent, and so are the few coins that miners failed to
    claim: this is the schedule, not what can move. One closed term per era of 210,000 blocks.

    >>> supply_satoshi(209_999) // SATOSHI_PER_BTC
    10500000
    >>> supply_satoshi(10_000_000)
    2099999997690000
    """
    if height < -1:
        raise ValueError(f"height must be -1 or more, not {height}")
    era, blocks = divmod(height + 1, BLOCKS_PER_HALVING)
    eras = min(era, FIRST_SUBSIDY_SATOSHI.bit_length())  # the subsidy is 0 from there on
    whole = sum(FIRST_SUBSIDY_SATOSHI >> k for k in range(eras)) * BLOCKS_PER_HALVING
    return whole + (FIRST_SUBSIDY_SATOSHI >> era) * blocks


def next_halving_height(height: int) -> int:
    """First height above `height` at which the subsidy halves.

    >>> next_halving_height(839_999), next_halving_height(840_000)
    (840000, 1050000)
    """
    return (height // BLOCKS_PER_HALVING + 1) * BLOCKS_PER_HALVING


# Compact bits, target, difficulty


class Compact(NamedTuple):
    """Compact bits decoded: magnitude (256 bits), and whether consensus calls the number negative or overflowing."""

    target: int
    negative: bool
    overflow: bool


def decode_compact(bits: int) -> Compact:
    """Decode the 4-byte form: 1 byte of size (bytes of the number), 1 sign bit, 23 bits of mantissa, base 256.

    Follows the reference client to the letter: the sign counts only if the mantissa (shifted right for sizes below 3)
    is not zero; the number overflows if a mantissa byte would stand above 256 bits. Raises ValueError outside 32 bits.

    >>> hex(decode_compact(0x1B0404CB).target)
    '0x404cb000000000000000000000000000000000000000000000000'
    >>> decode_compact(0x01FEDCBA)
    Compact(target=126, negative=True, overflow=False)
    """
    if not 0 <= bits < 1 << 32:
        raise ValueError(f"compact bits have 32 bits, not {bits:#x}")
    size, word = bits >> 24, bits & 0x007F_FFFF
    if size <= 3:
        word >>= 8 * (3 - size)
        target = word
    else:
        target = (word << 8 * (size - 3)) % HASH_SPACE
    overflow = word != 0 and (size > 34 or (word > 0xFF and size > 33) or (word > 0xFFFF and size > 32))
    return Compact(target, word != 0 and bits & 0x0080_0000 != 0, overflow)


def encode_compact(target: int, negative: bool = False) -> int:
    """The one canonical compact form of a 256-bit number; bytes below the top 23 bits are cut off (towards zero).

    A mantissa whose sign bit would be set is moved down one byte. Raises ValueError outside 256 bits.

    >>> hex(encode_compact(0x80)), hex(encode_compact(0x1234_5600))
    ('0x2008000', '0x4123456')
    """
    if not 0 <= target < HASH_SPACE:
        raise ValueError("a target has 256 bits and no sign")
    size = (target.bit_length() + 7) // 8
    word = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if word & 0x0080_0000:
        word >>= 8
        size += 1
    return size << 24 | word | (0x0080_0000 if negative and word else 0)


def target_from_bits(bits: int) -> int:
    """Target that a block header's bits stand for. Raises ValueError where consensus refuses the block: negative, zero,
    overflowing, or easier than the proof-of-work limit.

    >>> target_from_bits(0x1D00FFFF) == DIFFICULTY_ONE_TARGET
    True
    """
    target, negative, overflow = decode_compact(bits)
    if negative or overflow or target == 0 or target > PROOF_OF_WORK_LIMIT:
        why = "negative" if negative else "overflowing" if overflow else "zero" if target == 0 else "above the limit"
        raise ValueError(f"bits {bits:#010x} are no valid target: {why}")
    return target


def difficulty_from_target(target: int) -> float:
    """Difficulty: how many times harder than the easiest compact target (correctly rounded quotient of integers).

    >>> difficulty_from_target(decode_compact(0x1B0404CB).target)
    16307.420938523983
    """
    return DIFFICULTY_ONE_TARGET / target


def difficulty_from_bits(bits: int) -> float:
    """Difficulty of a header's bits.

    >>> difficulty_from_bits(0x1D00FFFF)
    1.0
    """
    return difficulty_from_target(target_from_bits(bits))


def bits_from_difficulty(difficulty: float) -> int:
    """Compact bits whose difficulty is nearest to a printed one (a printed difficulty is rounded; the bits are not).

    Raises ValueError below 1.

    >>> hex(bits_from_difficulty(16307.42))
    '0x1b0404cb'
    """
    if not difficulty >= 1:
        raise ValueError(f"difficulty must be 1 or more, not {difficulty}")
    target = int(DIFFICULTY_ONE_TARGET / Fraction(difficulty))
    low = encode_compact(target)
    step = 1 << 8 * max((low >> 24) - 3, 0)
    near = min((low, encode_compact(target + step)), key=lambda b: abs(decode_compact(b).target - target))
    return min(near, encode_compact(PROOF_OF_WORK_LIMIT))


# Work and retarget


def expected_hashes(bits: int) -> int:
    """Hashes that a block at these bits takes on average (rounded down): 2^256 / (target + 1).

    Difficulty x 2^32 is 15 parts in a million lower, because difficulty 1 stands for 2^48 / 65,535 hashes, not 2^32.

    >>> expected_hashes(0x1D00FFFF)
    4295032833
    """
    return HASH_SPACE // (target_from_bits(bits) + 1)


def hashrate_from_difficulty(difficulty: Any, seconds_per_block: float = SECONDS_PER_BLOCK) -> Any:
    """Hashrate in EH/s at which blocks of this difficulty come every `seconds_per_block`; floats, arrays or Series.

    Uses difficulty x 2^32 hashes per block, as every published series does.

    >>> round(hashrate_from_difficulty(100e12), 3)
    715.828
    """
    return difficulty * (HASHES_PER_DIFFICULTY / seconds_per_block / 1e18)


def next_bits(bits: int, first_time: int, last_time: int) -> int:
    """Bits of the next period, from this period's bits and the Unix times of its first and last block.

    The famous off-by-one: 2,016 blocks have 2,015 intervals between them, and these are held against 2,016 x 600 s, so
    blocks meant to come every 600 s settle at 600 x 2,016/2,015 s. The measured time is clamped to a quarter and four
    times the plan before use; the new target is cut to compact form and never easier than the limit.

    >>> hex(next_bits(0x1D00FFFF, 1_261_130_161, 1_262_152_739))      # heights 30,240 and 32,255
    '0x1d00d86a'
    """
    shortest, longest = SECONDS_PER_RETARGET // RETARGET_CLAMP, SECONDS_PER_RETARGET * RETARGET_CLAMP
    measured = min(max(last_time - first_time, shortest), longest)
    return encode_compact(min(target_from_bits(bits) * measured // SECONDS_PER_RETARGET, PROOF_OF_WORK_LIMIT))


def clamped_factor(measured_seconds: float) -> float:
    """Factor by which difficulty changes when 2,015 intervals took `measured_seconds`: two weeks over it, in [1/4, 4].

    >>> clamped_factor(604_800), clamped_factor(1)
    (2.0, 4.0)
    """
    shortest, longest = SECONDS_PER_RETARGET / RETARGET_CLAMP, SECONDS_PER_RETARGET * RETARGET_CLAMP
    return SECONDS_PER_RETARGET / min(max(measured_seconds, shortest), longest)


# Heights as dates: an estimate


def seconds_per_block_at_growth(growth_per_day: float) -> float:
    """Mean block time in seconds if hashrate grows for ever at a steady rate (log points a day; 0.001 is 44 % a year).

    Difficulty is always one period late. A period of length L at growth g is followed by one whose difficulty is set by
    it, so L e^(gL) = two weeks, solved by Lambert's W. Each period is stretched by 2,016/2,014: the off-by-one, and the
    mean of one over a chance length (Jensen).

    >>> round(seconds_per_block_at_growth(0.0), 4), round(seconds_per_block_at_growth(0.001), 1)
    (600.5958, 592.4)
    """
    days = SECONDS_PER_RETARGET / SECONDS_PER_DAY * BLOCKS_PER_RETARGET / (BLOCKS_PER_RETARGET - 2)
    length = days if growth_per_day == 0 else float(lambertw(growth_per_day * days).real) / growth_per_day
    return length * SECONDS_PER_DAY / BLOCKS_PER_RETARGET


def luck_variance_blocks(height: int, known_height: int) -> float:
    """Variance of the time from `known_height` to `height` at steady hashrate, in units of block times squared.

    Within one difficulty period arrivals are a Poisson process, so n blocks have variance n (Erlang). Beyond it the
    retarget pays luck back: a lucky period raises the next difficulty, and the next period is as much longer. What
    stays is the luck of the last whole period so far as it is not yet paid back, and of the blocks after it: 1,512 to
    2,016 however far the height. Each whole period adds 4: 1 for the interval that no retarget measures, 3 of second
    order. (Simulating the rule over 2 to 103 periods agrees within 2 %, see the tests.)

    >>> luck_variance_blocks(1_000, 0), round(luck_variance_blocks(840_000, 630_001))
    (1000.0, 1980)
    """
    blocks = height - known_height
    first = BLOCKS_PER_RETARGET - 1 - known_height % BLOCKS_PER_RETARGET  # left at the difficulty of the known block
    if blocks <= first:
        return float(max(blocks, 0))
    full, past = divmod(blocks - first, BLOCKS_PER_RETARGET)
    before = first if full == 0 else BLOCKS_PER_RETARGET  # blocks whose luck set the last, partial period's difficulty
    return before * (1 - past / BLOCKS_PER_RETARGET) ** 2 + past + 4.0 * full


class Arrival(NamedTuple):
    """When a height is expected: the middle of the distribution is the mean; early and late bound the stated share."""

    early: datetime
    expected: datetime
    late: datetime


def arrival(
    height: int,
    known_height: int,
    known_time: datetime,
    seconds_per_block: float = SECONDS_PER_BLOCK,
    coverage: float = 0.9,
    retargets: bool = True,
) -> Arrival:
    """Expected time of a height, with an interval for block luck alone, from a block whose height and time are known.

    seconds_per_block : mean pace to assume; 600 is the plan, growing hashrate makes it shorter
                        (`seconds_per_block_at_growth`), and over months this assumption outweighs luck by far
    coverage          : probability inside the interval, between 0 and 1
    retargets         : True: luck is paid back by retargets (`luck_variance_blocks`), gamma with that mean and
                        variance; False: n independent waits, the Erlang interval, right only within one difficulty
                        period

    A height at or below the known one gives the nominal past time three times. Raises ValueError for a coverage outside
    (0, 1).

    >>> start = datetime(2024, 4, 20)
    >>> arrival(840_144, 840_000, start).expected
    datetime.datetime(2024, 4, 21, 0, 0)
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must lie between 0 and 1, not {coverage}")
    blocks = height - known_height

    def at(waits: float) -> datetime:
        return known_time + timedelta(seconds=waits * seconds_per_block)

    if blocks <= 0:
        return Arrival(at(blocks), at(blocks), at(blocks))
    shape = blocks**2 / luck_variance_blocks(height, known_height) if retargets else float(blocks)
    tail = (1 - coverage) / 2
    early, late = (float(gammaincinv(shape, p)) * blocks / shape for p in (tail, 1 - tail))
    return Arrival(at(early), at(blocks), at(late))


def expected_height(time: datetime, known_height: int, known_time: datetime, seconds_per_block: float = 600.0) -> int:
    """Height reached at a time on average, from a block whose height and time are known (rounded down).

    >>> expected_height(datetime(2024, 4, 21), 840_000, datetime(2024, 4, 20))
    840144
    """
    return known_height + int((time - known_time).total_seconds() // seconds_per_block)
