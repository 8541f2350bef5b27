"""How the network answers: what a count of blocks says about hashrate, and the feedback through the retarget.

The chain counts blocks, not hours, and difficulty looks back once every 2,016 of them.

1. What a count of blocks says about hashrate, with its exact Poisson interval, and how long a drop stays hidden.
2. A shock -> rigs off -> slow blocks -> retarget -> the survivors' margin.

Hashprice here is the difficulty-implied one, USD per PH/s and day: what a rig is expected to earn. It does not change
when other rigs stop; only a retarget passes their share on. Pure functions: arrays in, arrays out, randomness through
the Generator that is passed in. How long blocks took is `clock`, paths to the next halving are `outlook`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import statsmodels.api as sm
from scipy import special

from wattshift.bitcoin import RETARGET_CLAMP, SECONDS_PER_RETARGET
from wattshift.mining import window_means
from wattshift.refusal import Refusal
from wattshift.units import (
    BLOCKS_PER_DAY,
    BLOCKS_PER_RETARGET,
    HASHES_PER_DIFFICULTY,
    SECONDS_PER_BLOCK,
    SECONDS_PER_DAY,
)

Floats = npt.NDArray[np.float64]

RETARGET_INTERVALS = BLOCKS_PER_RETARGET - 1  # between the first and the last block of a period: what is measured
STEADY_SECONDS_PER_BLOCK = SECONDS_PER_RETARGET / RETARGET_INTERVALS  # 600.298: the pace at which difficulty rests


# --- 1. What a count of blocks says -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HashrateEstimate:
    """A hashrate read from block counts: EH/s, with an exact interval.

    relative_error is the standard error as a share of the estimate, 1/sqrt(blocks); infinite when no block was found.
    """

    hashrate_ehs: float
    low_ehs: float
    high_ehs: float
    relative_error: float
    blocks: int


def estimate_hashrate(
    blocks: npt.ArrayLike,
    difficulty: npt.ArrayLike,
    days: npt.ArrayLike = 1.0,
    confidence: float = 0.95,
    stop: Literal["clock", "block"] = "clock",
) -> HashrateEstimate:
    """Mean hashrate over a window, from blocks found at known difficulty, with its exact interval.

    blocks, difficulty, days : scalars, or one entry per stretch of constant difficulty (a day, a period)
    stop : "clock" when the window has a fixed length (blocks are Poisson: Garwood's interval); "block" when it ends
           with a block, like a retarget period (time is Erlang: unbiased estimate (n - 1)/T, exact gamma interval)

    Finding a block is a Poisson process of rate hashrate / (difficulty x 2**32). With constant hashrate over the window
    the maximum-likelihood estimate is all blocks over all exposure sum(seconds / difficulty): difficulty enters by its
    time-weighted harmonic mean. Hashrate that moves within the window is averaged, and the interval is then for the
    mean. Garwood, Biometrika 28 (1936) 437.

    >>> e = estimate_hashrate(144, 1e14)
    >>> round(e.hashrate_ehs, 1), round(e.relative_error, 4)
    (715.8, 0.0833)
    """
    counts, level, length = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (blocks, difficulty, days)))
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    if (counts < 0).any() or not (level > 0).all() or not (length > 0).all():
        raise ValueError("blocks must not be negative; difficulty and days must be positive")
    n = round(float(counts.sum()))
    exposure = float((length * SECONDS_PER_DAY / (level * HASHES_PER_DIFFICULTY)).sum()) * 1e18
    tail = (1 - confidence) / 2
    if stop == "block" and n < 2:
        raise ValueError("a window that ends with a block needs at least two blocks")
    centre = n if stop == "clock" else n - 1
    low = float(special.gammaincinv(n, tail)) if n else 0.0
    high = float(special.gammaincinv(n + 1 if stop == "clock" else n, 1 - tail))
    error = 1 / np.sqrt(n) if n else np.inf
    return HashrateEstimate(centre / exposure, low / exposure, high / exposure, float(error), n)


def detection_power(
    hours: npt.ArrayLike,
    drop: float,
    alpha: float = 0.05,
    baseline_hours: float | None = None,
    blocks_per_hour: float = 3_600 / SECONDS_PER_BLOCK,
) -> Floats:
    """Chance that a one-sided exact test at level alpha sees a drop of hashrate in a count of blocks.

    hours           : length of the watch after the drop; difficulty constant or counted in
    drop            : share of hashrate lost, 0 < drop < 1
    baseline_hours  : None when the earlier hashrate is known; else it is itself estimated from that many hours before
                      the drop, and the test is the conditional binomial one of two Poisson counts (Przyborowski and
                      Wilenski, Biometrika 31 (1940) 313), whose unconditional power is returned
    blocks_per_hour : pace before the drop

    Discrete counts make the power a saw, always at or below what alpha would allow.

    >>> round(float(detection_power(24, 0.5)), 3)
    1.0
    >>> round(float(detection_power(24, 0.13)), 2), round(float(detection_power(24, 0.13, baseline_hours=24)), 2)
    (0.48, 0.29)
    """
    watch = np.atleast_1d(np.asarray(hours, dtype=float))
    if not 0 < drop < 1 or not 0 < alpha < 1:
        raise ValueError("drop and alpha must lie between 0 and 1")
    if not (watch > 0).all() or blocks_per_hour <= 0 or (baseline_hours is not None and baseline_hours <= 0):
        raise ValueError("hours and blocks_per_hour must be positive")
    expected = watch * blocks_per_hour
    if baseline_hours is None:
        critical = _largest_count(lambda k: special.pdtr(k, expected), expected, alpha)
        power = np.where(critical >= 0, special.pdtr(np.maximum(critical, 0), expected * (1 - drop)), 0.0)
        return power.reshape(np.shape(hours))
    before = baseline_hours * blocks_per_hour
    reach = 6 * np.sqrt(before) + 10
    counts = np.arange(max(0, int(before - reach)), int(before + reach) + 1, dtype=float)
    weights = np.exp(special.xlogy(counts, before) - before - special.gammaln(counts + 1))
    share = (watch / (watch + baseline_hours))[:, None]
    # P(K1 <= k | K0 + K1 = n) for a binomial of n = k0 + k and success `share`, through the incomplete beta function
    critical = _largest_count(
        lambda k: np.where(counts > 0, special.betainc(np.maximum(counts, 1e-300), k + 1, 1 - share), 1.0),
        counts * watch[:, None] / baseline_hours,
        alpha,
    )
    hit = np.where(critical >= 0, special.pdtr(np.maximum(critical, 0), (expected * (1 - drop))[:, None]), 0.0)
    return np.asarray((hit * weights).sum(axis=1)).reshape(np.shape(hours))


def _largest_count(tail: Callable[[Floats], Floats], centre: Floats, alpha: float) -> Floats:
    """Largest whole k with tail(k) <= alpha, elementwise, -1 where even k = 0 is too likely; tail rises in k."""
    low = np.full(np.shape(centre), -1.0)
    high = np.ceil(centre + 8 * np.sqrt(centre) + 10)
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        fits = (tail(np.maximum(middle, 0)) <= alpha) & (middle >= 0)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low


def hours_to_detect(
    drop: float,
    alpha: float = 0.05,
    power: float = 0.8,
    baseline_hours: float | None = None,
    blocks_per_hour: float = 3_600 / SECONDS_PER_BLOCK,
    max_hours: int = 8_760,
) -> float:
    """Hours of block counts until a drop of hashrate is seen with the wanted power, and stays so for longer watches.

    Arguments as in `detection_power`. Whole hours; the power of a count is a saw in time, and the answer is the hour
    after its last tooth below `power`. Infinite when `max_hours` do not suffice, as happens when the baseline is short.

    >>> hours_to_detect(0.13)
    60.0
    """
    if not 0 < power < 1:
        raise ValueError(f"power must lie between 0 and 1, got {power}")
    low, high = 1, max_hours
    if float(detection_power(max_hours, drop, alpha, baseline_hours, blocks_per_hour)) < power:
        return float("inf")
    while high - low > 1:
        middle = (low + high) // 2
        if float(detection_power(middle, drop, alpha, baseline_hours, blocks_per_hour)) >= power:
            high = middle
        else:
            low = middle
    # a tooth is at most one count deep, 0.4/sqrt(blocks) of power: under a tenth of the hours, or two hours
    grid = np.arange(max(1, int(high * 0.8) - 3), min(max_hours, int(high * 1.2) + 8) + 1)
    if len(grid) > 600:
        grid = grid[:: len(grid) // 300]
    fails = grid[detection_power(grid, drop, alpha, baseline_hours, blocks_per_hour) < power]
    if not len(fails):
        return float(grid[0])
    return float(grid[np.searchsorted(grid, fails[-1]) + 1]) if fails[-1] < grid[-1] else float("inf")


class Change(NamedTuple):
    """A relative change of hashrate with its interval; change below 0 is a drop."""

    change: float
    low: float
    high: float


def compare_counts(before: pd.DataFrame, after: pd.DataFrame, confidence: float = 0.95) -> Change:
    """Change of hashrate between two windows of days, from blocks and difficulty, with its exact interval.

    before, after : rows are days, columns blocks, difficulty. Hashrate is taken as constant within a window. Given the
    sum of two Poisson counts, either is binomial; its Clopper-Pearson interval is turned into one of the ratio of rates
    (Przyborowski and Wilenski, Biometrika 31 (1940) 313). Exact, so wider than asked on average.

    >>> day = pd.DataFrame({"blocks": [144], "difficulty": [2e13]})
    >>> [round(x, 3) for x in compare_counts(day, day)]
    [0.0, -0.212, 0.269]
    """
    (n0, e0), (n1, e1) = (_blocks_and_exposure(days) for days in (before, after))
    if not n0 or not n1:
        raise Refusal("a change of hashrate needs blocks on both sides: one of the windows holds none.")
    tails = special.betaincinv([n1, n1 + 1], [n0 + 1, n0], [(1 - confidence) / 2, (1 + confidence) / 2])
    low, high = (float(p / (1 - p) * e0 / e1 - 1) for p in tails)
    return Change(n1 / e1 / (n0 / e0) - 1, low, high)


def _blocks_and_exposure(days: pd.DataFrame) -> tuple[int, float]:
    """Blocks, and the blocks that 1 EH/s would have found."""
    exposure = SECONDS_PER_DAY * 1e18 / (days["difficulty"].to_numpy(dtype=float) * HASHES_PER_DIFFICULTY)
    return int(days["blocks"].sum()), float(exposure.sum())


def step_in_counts(days: pd.DataFrame, inside: npt.ArrayLike, confidence: float = 0.95) -> Change:
    """Change of hashrate inside an episode against a straight trend of its logarithm through the days around it.

    days : rows are days in order, columns blocks, difficulty; inside : share of each day that lies in the episode.
    Poisson regression of blocks on trend and episode, log exposure as offset; Wald interval in logs.
    """
    exposure = SECONDS_PER_DAY * 1e18 / (days["difficulty"].to_numpy(dtype=float) * HASHES_PER_DIFFICULTY)
    when = np.linspace(-1.0, 1.0, len(days))
    design = np.column_stack([np.ones(len(days)), when, np.asarray(inside, dtype=float)])
    law = sm.families.Poisson()
    fitted = sm.GLM(days["blocks"].to_numpy(dtype=float), design, family=law, offset=np.log(exposure)).fit()
    low, high = np.exp(fitted.conf_int(1 - confidence)[2]) - 1
    return Change(float(np.exp(fitted.params[2]) - 1), float(low), float(high))


def least_drop(
    hours: float,
    alpha: float = 0.05,
    power: float = 0.8,
    baseline_hours: float | None = None,
    blocks_per_hour: float = 3_600 / SECONDS_PER_BLOCK,
) -> float:
    """Smallest drop of hashrate that one look after so many hours sees with the wanted power, as a share.

    The question of `hours_to_detect` asked the other way round; arguments as in `detection_power`. Infinite where not
    even a network that stopped would be told from luck.

    >>> round(least_drop(60), 2), round(least_drop(6), 2)
    (0.13, 0.4)
    """
    low, high = 0.0, 1 - 1e-9
    if float(detection_power(hours, high, alpha, baseline_hours, blocks_per_hour)) < power:
        return float("inf")
    while high - low > 1e-6:
        middle = (low + high) / 2
        seen = float(detection_power(hours, middle, alpha, baseline_hours, blocks_per_hour)) >= power
        low, high = (low, middle) if seen else (middle, high)
    return high


def detection_table(drops: Sequence[float], baseline_hours: float = 336.0) -> pd.DataFrame:
    """How long drops of hashrate stay hidden in the count of blocks. Rows: drops; columns: drop, blocks_per_day after
    it, known (hours, the hashrate before known), estimated (hours, the hashrate before counted over `baseline_hours`;
    nan when a year does not suffice), watched (mean hours, `watch_delay` with one false alarm a year). The first two
    are tests as in `hours_to_detect`, at 5% and with power 80%, for a moment that is known and looked at once.

    >>> detection_table([0.13, 0.5])[["drop", "blocks_per_day", "known", "estimated"]].round(2).to_dict("list")
    {'drop': [0.13, 0.5], 'blocks_per_day': [125.28, 72.0], 'known': [60.0, 4.0], 'estimated': [71.0, 4.0]}
    """
    waits = [(hours_to_detect(drop), hours_to_detect(drop, baseline_hours=baseline_hours)) for drop in drops]
    table = pd.DataFrame(waits, columns=["known", "estimated"]).replace(np.inf, np.nan)
    table.insert(0, "drop", list(drops))
    table.insert(1, "blocks_per_day", BLOCKS_PER_DAY * (1 - table["drop"]))
    return table.assign(watched=[watch_delay(drop) for drop in drops])


def watch_delay(drop: float, false_alarm_hours: float = 8_760.0, states: int = 300) -> float:
    """Mean hours until a watch that never sleeps sees a drop of hashrate, the hashrate before known.

    The watch is Page's CUSUM (Biometrika 41 (1954) 100) on the waits between blocks, built for this drop: after each
    block of wait x (in units of the old mean) the score moves by ln(1 - drop) + drop x, never below 0, and an alarm is
    given above a threshold. The threshold makes false alarms come once in `false_alarm_hours` on average; no other rule
    with that rate is quicker in the worst case (Moustakides, Ann. Stat. 14 (1986) 1379). Mean delay from a score of 0.
    Run lengths by the Markov chain of Brook and Evans (Biometrika 59 (1972) 539) on `states` states.

    >>> watch_delay(0.5) < 24 < watch_delay(0.13)
    True
    """
    if not 0 < drop < 1 or false_alarm_hours <= SECONDS_PER_BLOCK / 3_600:
        raise ValueError("drop must lie between 0 and 1, and false_alarm_hours be longer than a block")
    wanted = np.log(false_alarm_hours * 3_600 / SECONDS_PER_BLOCK)
    low, high = 1e-3, float(wanted) + 2.0  # an alarm is at least e^threshold blocks away on average (Lorden 1971)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if np.log(_run_length(middle, drop, 1.0, states)) < wanted else (low, middle)
    return _run_length(high, drop, 1 / (1 - drop), states) / (1 - drop) * SECONDS_PER_BLOCK / 3_600


def _run_length(threshold: float, drop: float, mean_wait: float, states: int) -> float:
    """Mean number of blocks from score 0 until the CUSUM of `watch_delay` passes its threshold."""
    edges = np.concatenate([[0.0], (np.arange(states) + 0.5) * threshold / (states - 0.5)])
    at = np.concatenate([[0.0], (edges[1:-1] + edges[2:]) / 2])  # state 0, then the middles of equal steps
    wait = (edges[None, 1:] - at[:, None] - np.log1p(-drop)) / drop  # longest wait that still ends at or below an edge
    below = -np.expm1(-np.maximum(wait, 0.0) / mean_wait)
    moves = np.diff(below, axis=1, prepend=0.0)
    return float(np.linalg.solve(np.eye(len(at)) - moves, np.ones(len(at)))[0])


# --- 2. Shock, rigs off, slow blocks, retarget ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slices:
    """A fleet in merit order: cost_usd_ph_day is the hashprice at which a slice just pays its cash cost (rising),
    capacity_ehs what it hashes when on."""

    cost_usd_ph_day: Floats
    capacity_ehs: Floats


def fleet_slices(median_cost: float, spread: float, hashrate_ehs: float, hashprice: float, slices: int = 400) -> Slices:
    """A lognormal merit order, cut into slices of equal capacity and scaled to what is seen running.

    median_cost  : cash cost of the median hash, USD/PH/day (J/TH x 24 x USD/kWh, plus overheads); 0 never stops
    spread       : standard deviation of log cost (efficiency and power price together)
    hashrate_ehs : what runs now; every slice with a cost at or below `hashprice` is on, so installed capacity is larger
    raises ValueError when nothing would run at that hashprice.

    >>> fleet = fleet_slices(24.0, 0.3, 1_000.0, 33.0)
    >>> round(float(fleet.capacity_ehs[fleet.cost_usd_ph_day <= 33].sum()))
    1000
    """
    if min(spread, hashrate_ehs, hashprice) <= 0 or median_cost < 0 or slices < 1:
        raise ValueError("spread, hashrate_ehs, hashprice and slices must be positive, median_cost not negative")
    cost = median_cost * np.exp(spread * special.ndtri((np.arange(slices) + 0.5) / slices))
    on = int((cost <= hashprice).sum())
    if not on:
        raise ValueError(f"no rig of this fleet pays its cash cost at {hashprice:.2f} USD/PH/day")
    return Slices(cost, np.full(slices, hashrate_ehs / on))


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a shock does, one row per retarget period, one column per path.

    Row 0 is the steady state before, at old revenue; row 1 the rest of the period in which the shock falls; then whole
    periods. hours: length of the row. blocks: found in it. hashrate_ehs: time-weighted mean. difficulty, hashprice:
    during the row. share_off: capacity that ran before and stands still at the row's end. survivor_margin: of the rigs
    that never stop in this path, (hashprice - mean cash cost) / hashprice. ratio: difficulty of the next row over this.
    """

    hours: Floats
    blocks: npt.NDArray[np.int64]
    hashrate_ehs: Floats
    difficulty: Floats
    hashprice: Floats
    share_off: Floats
    survivor_margin: Floats
    ratio: Floats

    def frame(self, quantile: float = 0.5) -> pd.DataFrame:
        """The quantile over paths, one row per period, plus seconds_per_block and days_since_shock at the row's end."""

        def take(values: Floats) -> Floats:
            return np.asarray(np.quantile(values, quantile, axis=1))

        table = pd.DataFrame(
            {
                "blocks": self.blocks,
                "hours": take(self.hours),
                "seconds_per_block": take(self.hours * 3_600 / self.blocks[:, None]),
                "hashrate_ehs": take(self.hashrate_ehs),
                "difficulty": take(self.difficulty),
                "hashprice_usd_ph_day": take(self.hashprice),
                "share_off": take(self.share_off),
                "survivor_margin": take(self.survivor_margin),
                "next_difficulty_ratio": take(self.ratio),
            }
        )
        elapsed = np.cumsum(self.hours, axis=0) - self.hours[:1]
        table["days_since_shock"] = take(elapsed) / 24
        table.index.name = "period"
        return table


def shock_response(
    fleet: Slices,
    hashprice: float,
    revenue_factor: float,
    *,
    blocks_done: int = 0,
    periods: int = 8,
    stop_share: float = 1.0,
    restart_share: float = 1.0,
    restart_premium: float = 0.0,
    lag_hours: float = 0.0,
    rng: np.random.Generator | None = None,
    paths: int = 1,
) -> Feedback:
    """What happens to difficulty and the survivors when revenue per block changes at once.

    fleet           : merit order; slices whose cost is at or below `hashprice` run before the shock, in steady state
    hashprice       : before, USD/PH/day, difficulty-implied
    revenue_factor  : USD per block after / before (a halving without fees 0.5, a price fall of 30 % 0.7)
    blocks_done     : blocks of the current period found when the shock falls (840,000 mod 2,016 = 1,344)
    periods         : whole periods to follow after the one in which the shock falls
    stop_share      : share of the loss-making rigs that stop within 2,016 blocks, once hashprice is known (1: all); the
                      rest of a period of n blocks sees 1 - (1 - stop_share)^(n/2016) of them go
    restart_share   : share of the idle rigs that would earn again and do restart, in the same measure
    restart_premium : a rig restarts only when hashprice exceeds its cost by this share (hysteresis)
    lag_hours       : hours after the shock or retarget at which rigs act
    rng, paths      : exponential block times, independent per path; None gives the expected course in one column

    Rules of the chain kept: difficulty is fixed within 2,016 blocks; the retarget measures 2,015 intervals against
    2,016 x 600 s, and the ratio is held within [1/4, 4]. A rig's revenue follows difficulty, not who else runs, so
    those who stop help nobody before the next retarget. Left out: fees that react, machines bought forward, timestamps
    that lie. With stop_share = restart_share = 1 and a steep merit order the answer is a cobweb that need not settle;
    what breaks it in the world is inertia, so give some.

    >>> fleet = Slices(np.array([10.0, 40.0]), np.array([600.0, 400.0]))
    >>> calm = shock_response(fleet, 50.0, 0.5, periods=2, restart_premium=1.0).frame()
    >>> [round(x, 1) for x in calm["seconds_per_block"]]    # 40 % off: 600.3 / 0.6, then back
    [600.3, 1000.5, 600.3, 600.3]
    >>> [round(x, 1) for x in calm["hashprice_usd_ph_day"]]  # the halved 25 becomes 25 / 0.6
    [50.0, 25.0, 41.7, 41.7]
    """
    if not 0 <= blocks_done < BLOCKS_PER_RETARGET:
        raise ValueError(f"blocks_done must lie in 0 to 2,015, got {blocks_done}")
    if hashprice <= 0 or revenue_factor <= 0 or lag_hours < 0 or restart_premium < 0 or periods < 0 or paths < 1:
        raise ValueError("hashprice, revenue_factor and paths must be positive; lag, premium and periods not negative")
    if not (0 <= stop_share <= 1 and 0 <= restart_share <= 1):
        raise ValueError("stop_share and restart_share must lie between 0 and 1")
    cost, capacity = fleet.cost_usd_ph_day[:, None], fleet.capacity_ehs
    started = (cost <= hashprice).astype(float)
    hashrate_before = float(capacity @ started[:, 0])
    if hashrate_before <= 0:
        raise ValueError("no rig of this fleet runs before the shock")
    if rng is None:
        paths = 1
    level_before = hashrate_before * 1e18 * STEADY_SECONDS_PER_BLOCK / HASHES_PER_DIFFICULTY
    on = np.repeat(started, paths, axis=1)
    never_off = on.copy()
    level = np.full(paths, level_before)
    pace = np.full(paths, hashrate_before)
    rows: dict[str, list[Floats]] = {name: [] for name in ("hours", "ehs", "level", "price", "off", "ratio")}
    blocks: list[int] = []

    def add(n: int, hours: Floats, ehs: Floats, price: Floats, ratio: Floats) -> None:
        blocks.append(n)
        off = 1 - capacity @ np.minimum(on, started) / hashrate_before
        for name, value in zip(rows, (hours, ehs, level.copy(), price, off, ratio), strict=True):
            rows[name].append(value)

    same = np.ones(paths)
    add(
        BLOCKS_PER_RETARGET,
        same * BLOCKS_PER_RETARGET * STEADY_SECONDS_PER_BLOCK / 3_600,
        same * hashrate_before,
        same * hashprice,
        same,
    )
    done, measured = blocks_done, np.full(paths, max(blocks_done - 1, 0) * STEADY_SECONDS_PER_BLOCK)
    for _ in range(periods + 1):
        earned = hashprice * revenue_factor * level_before / level
        n = BLOCKS_PER_RETARGET - done
        leave, back = (1 - (1 - share) ** (n / BLOCKS_PER_RETARGET) for share in (stop_share, restart_share))
        stop = (on > 0) & (cost > earned)
        restart = cost * (1 + restart_premium) <= earned
        moved = on - leave * on * stop + back * (1 - on) * restart * ~stop
        first = np.ones(paths) if rng is None else rng.exponential(1.0, paths)
        rest = np.full(paths, n - 1.0) if rng is None else rng.gamma(n - 1, 1.0, paths) if n > 1 else np.zeros(paths)
        work = level * HASHES_PER_DIFFICULTY / 1e18  # expected EH per block
        after = capacity @ moved
        to_first = _hours_for(first * work, pace, after, lag_hours)
        to_last = _hours_for((first + rest) * work, pace, after, lag_hours)
        acted = (to_last > lag_hours) | (lag_hours == 0)
        on = np.where(acted, moved, on)
        never_off = np.minimum(never_off, on)
        measured = measured + 3_600 * (to_last if done else to_last - to_first)
        ratio = _retarget_ratio(measured)
        add(n, to_last, (first + rest) * work / (to_last * 3_600), earned, ratio)
        level, pace = level * ratio, np.where(acted, after, pace)
        done, measured = 0, np.zeros(paths)
    stack = {name: np.array(values) for name, values in rows.items()}
    weight = capacity[:, None] * (never_off >= started) * started
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_cost = (weight * cost).sum(axis=0) / total
    margin = 1 - mean_cost / stack["price"]
    return Feedback(
        stack["hours"],
        np.array(blocks),
        stack["ehs"],
        stack["level"],
        stack["price"],
        stack["off"],
        margin,
        stack["ratio"],
    )


def _retarget_ratio(measured_seconds: Floats) -> Floats:
    """New difficulty over old: two weeks / measured time, measured time held within [1/4, 4] of two weeks."""
    return SECONDS_PER_RETARGET / np.clip(
        measured_seconds, SECONDS_PER_RETARGET / RETARGET_CLAMP, SECONDS_PER_RETARGET * RETARGET_CLAMP
    )


def _hours_for(work_eh: Floats, early: Floats, late: Floats, lag_hours: float) -> Floats:
    """Hours to do `work_eh` exahashes at `early` EH/s up to lag_hours and at `late` EH/s from then on."""
    by_lag = early * lag_hours * 3_600
    with np.errstate(divide="ignore", invalid="ignore"):
        slow = lag_hours + (work_eh - by_lag) / (np.maximum(late, 1e-12) * 3_600)
        quick = work_eh / (np.maximum(early, 1e-12) * 3_600)
    return np.asarray(np.where(work_eh <= by_lag, quick, slow))


def after_halving(
    daily: pd.DataFrame, retargets: pd.DataFrame, height: int, row: int, days: int = 30
) -> dict[str, float]:
    """What difficulty did around a halving, beside the change of revenue that it had to answer. All as shares of 1.

    daily     : one row a day, columns as `mining.window_means` takes them
    retargets : one row a period, columns height (of its first block) and difficulty
    height    : of the halving; row: of `daily`, the day of that block (`halvings.day_of_height`)
    days      : length of both windows; the first ends on the eve, the second 2 x days after the halving's day

    revenue        : per unit of work at unchanged difficulty (subsidy, fees and price together)
    first_retarget : change of difficulty at the first retarget after the halving
    lowest         : lowest difficulty of the first six periods after it, against the eve (above 0: it never fell below)
    difficulty     : between the two windows
    Raises ValueError when a window or a retarget is missing.
    """
    if row < days or len(daily) <= row + 2 * days:
        raise ValueError(f"the table must hold {days} days before the halving and {2 * days} after it")
    before, after = (window_means(daily.iloc[end - days : end]) for end in (row, row + 2 * days + 1))
    eve = retargets.loc[retargets["height"] <= height, "difficulty"]
    later = retargets.loc[retargets["height"] > height, "difficulty"].head(6)
    if eve.empty or later.empty:
        raise ValueError("the table must hold a retarget before the halving and one after it")
    at_same_difficulty = after["hashprice_usd_per_ph_day"] * after["difficulty"] / before["difficulty"]
    return {
        "revenue": float(at_same_difficulty / before["hashprice_usd_per_ph_day"] - 1),
        "first_retarget": float(later.iloc[0] / eve.iloc[-1] - 1),
        "lowest": float(later.min() / eve.iloc[-1] - 1),
        "difficulty": float(after["difficulty"] / before["difficulty"] - 1),
    }
