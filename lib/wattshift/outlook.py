"""What may come: laws for price and difficulty, many paths of hashprice under them, and how such bands held before.

1. Price and difficulty laws, and many paths of hashprice under them, with the halving at its height.
2. Whether such bands held in the past: the same laws from past days on, scored.

Hashprice here is the difficulty-implied one, as in `network`. Pure functions: arrays and frames in and out, randomness
through the Generator that is passed in.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from wattshift.bitcoin import RETARGET_CLAMP, SECONDS_PER_RETARGET, subsidy_btc
from wattshift.mining import hashprice, hashprice_from_difficulty
from wattshift.network import RETARGET_INTERVALS
from wattshift.refusal import Refusal
from wattshift.units import (
    BLOCKS_PER_HALVING,
    BLOCKS_PER_RETARGET,
    HASHES_PER_DIFFICULTY,
    SECONDS_PER_DAY,
)

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

DAYS_PER_MONTH = 365.25 / 12
DAYS_PER_YEAR = 365.25


# --- 1. Laws and paths ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PriceLaw:
    """How the bitcoin price moves, as a law with a name.

    name            : said in every caption
    drift_per_year  : drift of log price (of the median path, that is; the mean path rises faster by half the variance)
    drift_sd        : standard error of that drift, drawn once per path (daily deviation x 365.25 / sqrt(days))
    daily_returns   : demeaned daily log returns to draw from in blocks; None for a Gaussian walk
    volatility      : standard deviation of log price over a year, for the Gaussian walk
    block_days      : mean length of a stretch drawn together (stationary bootstrap, Politis and Romano 1994, in pieces
                      of one retarget period), so that calm and wild months stay together
    """

    name: str
    drift_per_year: float = 0.0
    drift_sd: float = 0.0
    daily_returns: Floats | None = None
    volatility: float = 0.0
    block_days: float = 84.0


@dataclass(frozen=True, slots=True)
class DifficultyLaw:
    """How hashrate answers, and with it difficulty, as a law with a name.

    Installed capacity closes a share 1 - 2**(-dt / half_life_days) of its log gap to
    elasticity x log(USD per block / USD per block at the start) + trend_per_year x t + gap, and rides the trend itself.

    elasticity     : long-run response of log hashrate to log revenue per block (1: free entry at a given efficiency)
    half_life_days : of the gap; machines take months to arrive
    trend_per_year : log growth of hashrate at unchanged revenue (efficiency of new machines)
    trend_sd       : standard error of that trend, drawn once per path
    gap            : log distance of long-run capacity from today's, at the start
    noise          : standard deviation of log hashrate's own news per two weeks
    fleet_cost     : cash cost of the network's median hash, USD/PH/day; rigs that earn less than it stand still (a
                     lognormal merit order of log spread fleet_spread, cost falling by efficiency_gain per year).
                     None, or free power: every rig runs.
    """

    name: str
    elasticity: float
    half_life_days: float
    trend_per_year: float
    trend_sd: float = 0.0
    gap: float = 0.0
    noise: float = 0.0
    fleet_cost: float | None = None
    fleet_spread: float = 0.3
    efficiency_gain: float = 0.0


@dataclass(frozen=True, slots=True)
class Start:
    """Where the paths begin: price_usd, difficulty and hashrate_ehs when `height` is the next block to be found.

    Fees add to the subsidy fee_share of it (the share law) plus fees_btc per block (the coin law: fees keep their coins
    when the subsidy halves).
    """

    price_usd: float
    difficulty: float
    hashrate_ehs: float
    height: int
    fee_share: float = 0.0
    fees_btc: float = 0.0


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths in block time: row k is the state at the start of step k (a retarget period, cut where a halving falls).

    height (steps + 1,), reward_btc (steps + 1,) ; days, price_usd, difficulty, hashprice (steps + 1, paths), float32.
    days is each path's own clock since the start; hashprice USD/PH/day.
    """

    height: npt.NDArray[np.int64]
    reward_btc: Floats
    days: Floats32
    price_usd: Floats32
    difficulty: Floats32
    hashprice: Floats32

    def at(self, days: npt.ArrayLike, values: Floats32 | None = None) -> Floats32:
        """State (hashprice unless `values`) on given days since the start, rising: (len(days), paths).

        Each path's own clock; a step's value holds until its next step.
        """
        wanted = np.atleast_1d(np.asarray(days, dtype=np.float32))
        table = self.hashprice if values is None else values
        out = np.empty((len(wanted), table.shape[1]), dtype=table.dtype)
        row = np.zeros(table.shape[1], dtype=np.intp)
        last = len(self.days) - 1
        column = np.arange(table.shape[1])
        for i, day in enumerate(wanted):
            while True:
                ahead = (row < last) & (self.days[np.minimum(row + 1, last), column] <= day)
                if not ahead.any():
                    break
                row = row + ahead
            out[i] = table[row, column]
        return out

    def margin(self, cost_usd_ph_day: float) -> Floats32:
        """(hashprice - cost) / hashprice, same shape as hashprice; a site's margin at constant cost."""
        return np.asarray(np.float32(1) - np.float32(cost_usd_ph_day) / self.hashprice)

    def days_below(self, hashprice: float, horizon_days: float) -> Floats:
        """Days each path spends below a hashprice within the horizon, (paths,): time under water."""
        total = np.zeros(self.days.shape[1])
        for k in range(len(self.days) - 1):
            length = np.minimum(self.days[k + 1], horizon_days) - np.minimum(self.days[k], horizon_days)
            total += length * (self.hashprice[k] < hashprice)
        return total

    def days_to_height(self, height: int) -> Floats32:
        """Days until the first step that starts at `height` or above, one per path."""
        if height > self.height[-1]:
            raise ValueError(f"the paths end at height {self.height[-1]:,}, before {height:,}")
        return np.asarray(self.days[int(np.searchsorted(self.height, height))])


_CHUNK = 5_000
"""Paths drawn from one child seed: fixed, so that results do not depend on the number of threads."""


def forward_paths(
    start: Start,
    price_law: PriceLaw,
    difficulty_law: DifficultyLaw,
    horizon_days: float,
    paths: int,
    rng: np.random.Generator,
    threads: int | None = None,
) -> Paths:
    """Many paths of price, difficulty and hashprice, in steps of one retarget period, at least horizon_days long.

    Each chunk of 5,000 paths has its own child seed of `rng`, so the result depends on seed, laws and paths only, not
    on threads. In a step price is held at its value at the step's start; blocks come at difficulty x 2**32 / hashrate
    with Erlang luck (normal approximation); the retarget holds 2,015/2,016 of the period's time against two weeks
    and is clamped. The halving falls at its height, so paths that grow faster reach it sooner.

    >>> flat = DifficultyLaw("as now", 0.0, 180.0, 0.0)
    >>> end = Start(70_000.0, 1.4e14, 1.4e14 * 2**32 / 600.298 / 1e18, 1_049_328)
    >>> fan = forward_paths(end, PriceLaw("flat"), flat, 60, 1_000, np.random.default_rng(3))
    >>> fan.height[:3].tolist(), fan.reward_btc[:3].tolist()
    ([1049328, 1050000, 1050336], [3.125, 1.5625, 1.5625])
    >>> [round(float(x), 1) for x in np.median(fan.hashprice[:2], axis=1)]
    [31.4, 15.7]
    """
    if horizon_days <= 0 or paths < 1 or min(start.price_usd, start.difficulty, start.hashrate_ehs) <= 0:
        raise ValueError("horizon_days, paths, and the price, difficulty and hashrate at the start must be positive")
    sizes = [min(_CHUNK, paths - i) for i in range(0, paths, _CHUNK)]
    seeds = rng.bit_generator.seed_seq.spawn(len(sizes))  # type: ignore[attr-defined]
    steps = int(np.ceil(horizon_days / 14 * 1.12)) + 3
    workers = threads or min(len(sizes), os.cpu_count() or 1)
    while True:
        schedule = _steps(start, steps)
        rows = len(schedule.blocks) + 1
        out = Paths(schedule.height, schedule.reward, *(np.empty((rows, paths), dtype=np.float32) for _ in range(4)))

        def run(i: int, table: Paths = out, plan: _Schedule = schedule) -> None:
            columns = slice(i * _CHUNK, i * _CHUNK + sizes[i])
            _walk(
                start, price_law, difficulty_law, plan, np.random.Generator(np.random.PCG64(seeds[i])), table, columns
            )

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, range(len(sizes))))
        if float(out.days[-1].min()) >= horizon_days or steps > horizon_days:
            return out
        steps = int(steps * 1.5)


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Steps in block time: height and reward at each start (one entry more than steps), blocks per step, whether a
    retarget ends it."""

    height: npt.NDArray[np.int64]
    reward: Floats
    blocks: npt.NDArray[np.int64]
    retarget: Bools


def _steps(start: Start, steps: int) -> _Schedule:
    """The next `steps` retargets from `start.height` on, cut at halvings; a step's first block is the height listed."""
    first = start.height
    edges = first // BLOCKS_PER_RETARGET * BLOCKS_PER_RETARGET + BLOCKS_PER_RETARGET * np.arange(1, steps + 1)
    halvings = np.arange(first // BLOCKS_PER_HALVING + 1, edges[-1] // BLOCKS_PER_HALVING + 1) * BLOCKS_PER_HALVING
    height = np.unique(np.concatenate([[first], edges, halvings]))
    subsidy = np.array([subsidy_btc(int(h)) for h in height])
    reward = subsidy * (1 + start.fee_share) + start.fees_btc
    return _Schedule(height, reward, np.diff(height), height[1:] % BLOCKS_PER_RETARGET == 0)


def _walk(
    start: Start,
    price_law: PriceLaw,
    law: DifficultyLaw,
    plan: _Schedule,
    rng: np.random.Generator,
    out: Paths,
    columns: slice,
) -> None:
    """Fill the columns of `out` with one chunk of paths."""
    n = columns.stop - columns.start
    one = np.float32(1)
    per_block_days = start.difficulty * HASHES_PER_DIFFICULTY / (start.hashrate_ehs * 1e18) / SECONDS_PER_DAY
    days = np.zeros(n, dtype=np.float32)
    log_price = np.zeros(n, dtype=np.float32)  # all logs relative to the start
    log_level = np.zeros(n, dtype=np.float32)
    growth = law.trend_per_year + law.trend_sd * rng.standard_normal(n, dtype=np.float32)
    drift = price_law.drift_per_year + price_law.drift_sd * rng.standard_normal(n, dtype=np.float32)
    installed = np.zeros(n, dtype=np.float32)
    awake = _awake_table(start, plan.reward[0], law)
    hashrate = np.zeros(n, dtype=np.float32)
    done = int(plan.height[0]) % BLOCKS_PER_RETARGET
    measured = np.full(n, done * per_block_days, dtype=np.float32)
    target_days = SECONDS_PER_RETARGET / SECONDS_PER_DAY
    base_price = float(hashprice_from_difficulty(1.0, 0.0, start.price_usd, start.difficulty))
    draw = _shocks(price_law, rng, n)
    for k in range(len(plan.height)):
        log_reward = np.float32(np.log(plan.reward[k] / plan.reward[0]))
        out.days[k, columns] = days
        out.price_usd[k, columns] = start.price_usd * np.exp(log_price)
        out.difficulty[k, columns] = start.difficulty * np.exp(log_level)
        out.hashprice[k, columns] = base_price * plan.reward[k] * np.exp(log_price - log_level)
        if k == len(plan.blocks):
            return
        hashrate = installed
        if awake is not None:  # log hashprice if all installed ran, over the median cash cost of the day
            full = log_price + log_reward - installed + days * np.float32(law.efficiency_gain / DAYS_PER_YEAR)
            hashrate = installed + np.interp(full, *awake).astype(np.float32)
        blocks = int(plan.blocks[k])
        luck = one + rng.standard_normal(n, dtype=np.float32) / np.float32(np.sqrt(blocks))
        step = np.float32(blocks * per_block_days) * np.exp(log_level - hashrate) * np.maximum(luck, np.float32(1e-3))
        days = days + step
        measured = measured + step
        if plan.retarget[k]:
            seen = measured * np.float32(RETARGET_INTERVALS / BLOCKS_PER_RETARGET / target_days)
            log_level = log_level - np.log(np.clip(seen, 1 / RETARGET_CLAMP, RETARGET_CLAMP))
            measured = np.zeros(n, dtype=np.float32)
        share = np.sqrt(step / np.float32(14))
        pull = one - np.exp2(-step / np.float32(law.half_life_days))
        wanted = np.float32(law.gap) + np.float32(law.elasticity) * (log_price + log_reward)
        wanted += growth * (days - step) / np.float32(DAYS_PER_YEAR)
        installed = installed + pull * (wanted - installed) + growth * step / np.float32(DAYS_PER_YEAR)
        if law.noise:
            installed = installed + np.float32(law.noise) * share * rng.standard_normal(n, dtype=np.float32)
        log_price = log_price + drift * (step / np.float32(DAYS_PER_YEAR)) + share * draw()


def _shocks(law: PriceLaw, rng: np.random.Generator, n: int) -> Callable[[], Floats32 | np.float32]:
    """A function that returns one two-week log return per path (mean zero) each time it is called."""
    if law.daily_returns is None:
        scale = np.float32(law.volatility * np.sqrt(14 / DAYS_PER_YEAR))
        if not scale:
            return lambda: np.float32(0)
        return lambda: scale * rng.standard_normal(n, dtype=np.float32)
    returns = np.asarray(law.daily_returns, dtype=float)
    if len(returns) < 28 or not np.isfinite(returns).all():
        raise ValueError("the bootstrap needs at least 28 finite daily returns")
    returns = returns - returns.mean()
    total = np.concatenate([[0.0], np.cumsum(np.concatenate([returns, returns[:14]]))])
    fortnight = (total[14:] - total[:-14])[: len(returns)].astype(np.float32)  # circular
    renew = min(1.0, 14 / law.block_days)
    place = rng.integers(0, len(returns), n)

    def draw() -> Floats32:
        nonlocal place
        fresh = rng.random(n, dtype=np.float32) < renew
        place = np.where(fresh, rng.integers(0, len(returns), n), (place + 14) % len(returns))
        return np.asarray(fortnight[place])

    return draw


def _awake_table(start: Start, reward: float, law: DifficultyLaw) -> tuple[Floats, Floats] | None:
    """Log share of installed capacity that runs, relative to the start, against log revenue per installed hash.

    The share u solves u = Phi(log(hashprice / cost) / spread) where hashprice is the one *after* difficulty has
    followed (revenue shared among those who run), so no cobweb: rigs stop until the rest are whole.
    """
    if not law.fleet_cost:
        return None
    seen = float(hashprice_from_difficulty(reward, 0.0, start.price_usd, start.difficulty))
    score = np.linspace(-12.0, 9.0, 2_000)  # log(hashprice / cost) / spread
    log_share = special.log_ndtr(score)
    now = np.log(seen / law.fleet_cost) / law.fleet_spread
    if now < score[0]:
        raise ValueError(f"hashprice {seen:.2f} lies too far below the fleet's cost {law.fleet_cost:.2f} USD/PH/day")
    lit_now, awake_now = law.fleet_spread * now + special.log_ndtr(now), special.log_ndtr(now)
    return np.asarray(law.fleet_spread * score + log_share - lit_now), np.asarray(log_share - awake_now)


def fit_difficulty_law(
    log_revenue: npt.ArrayLike,
    log_hashrate: npt.ArrayLike,
    name: str,
    *,
    elasticity: float | None = None,
    step_days: float = 14.0,
    half_life_bounds: tuple[float, float] = (60.0, 720.0),
) -> DifficultyLaw:
    """The partial-adjustment law of `DifficultyLaw`, by least squares on equally spaced past values.

    log_revenue, log_hashrate : log of USD per block and of EH/s (smoothed: block luck is not news), one entry per step
    elasticity : fixed when given; else estimated and held within [0, 1]
    raises ValueError under 20 entries.

    Regresses the change of log hashrate on its level, log revenue and time. The half-life is held within its bounds
    (where the data prefer none, the bound says so), and the rest is fitted given it. trend_sd is the standard error of
    mean growth with Newey-West weights over a quarter of the entries, for booms and busts last years. The law's gap is
    measured at the last entry.
    """
    revenue, rate = np.asarray(log_revenue, dtype=float), np.asarray(log_hashrate, dtype=float)
    if len(rate) < 20 or len(revenue) != len(rate):
        raise ValueError("the fit needs two series of the same length, at least 20 entries")
    if not (np.isfinite(revenue).all() and np.isfinite(rate).all()):
        raise ValueError("revenue and hashrate must be finite")
    change, years = np.diff(rate), np.arange(len(rate) - 1) * step_days / DAYS_PER_YEAR
    year = step_days / DAYS_PER_YEAR
    ones = np.ones(len(change))
    if elasticity is None:
        raw = np.linalg.lstsq(np.column_stack([ones, years, rate[:-1], revenue[:-1]]), change, rcond=None)[0]
        pull = float(-raw[2])
        elasticity = float(np.clip(raw[3] / pull, 0, 1)) if pull > 0 else 0.0
    gap = rate[:-1] - elasticity * revenue[:-1]
    raw = np.linalg.lstsq(np.column_stack([ones, years, gap]), change, rcond=None)[0]
    low, high = (1 - 0.5 ** (step_days / h) for h in half_life_bounds[::-1])
    pull = float(np.clip(-raw[2], low, high))
    design = np.column_stack([ones, years])
    level, slope = np.linalg.lstsq(design, change + pull * gap, rcond=None)[0]
    trend = slope / pull
    residual = change + pull * gap - design @ np.array([level, slope])
    offset = (level - trend * year) / pull  # of the long-run line at time 0
    now = (len(rate) - 1) * year
    line = offset + trend * now + elasticity * revenue[-1]
    # The trend's error: the drift of the residual is what a wrong trend would look like over the window
    centred = residual - residual.mean()
    long_run = float(centred @ centred)
    lags = len(change) // 4
    for lag in range(1, lags + 1):
        long_run += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag])
    trend_sd = float(np.sqrt(max(long_run, 0.0)) / len(change) / year)
    return DifficultyLaw(
        name,
        elasticity,
        float(step_days * np.log(0.5) / np.log(1 - pull)),
        float(trend),
        trend_sd,
        float(line - rate[-1]),
        float(np.std(residual, ddof=3) * np.sqrt(14 / step_days)),
    )


FIT_DAYS = 4 * 365
"""Days of the past to which the laws are fitted."""

PRICE_LAWS = ("flat", "random-walk", "trend")
DIFFICULTY_LAWS = {"free-entry": 1.0, "own-trend": 0.0}
"""Name of each difficulty law and its elasticity."""


def market_days(network: pd.DataFrame) -> pd.DataFrame:
    """The days with a price, indexed by date, with what the laws are fitted to.

    network : rows of btc_network_daily from the first day of the chain on (heights are counted from there)
    returns : price_usd, hashrate_ehs, blocks, fees_btc as they are; height (of the day's last block); usd_per_block
              (all revenue of the day over its blocks); hashprice (USD per PH/s and day, block luck cancels)

    >>> row = {"date": pd.Timestamp("2026-01-01"), "price_usd": 100_000.0, "hashrate_ehs": 1_000.0, "blocks": 144,
    ...        "issuance_btc": 450.0, "fees_btc": 0.0}
    >>> market_days(pd.DataFrame([row]))[["height", "usd_per_block", "hashprice"]].iloc[0].tolist()
    [144.0, 312500.0, 45.0]
    """
    days = network.assign(height=network["blocks"].cumsum())  # the genesis block is height 0, on no day
    days = days[days["price_usd"].notna()].set_index("date")
    coins = days["issuance_btc"] + days["fees_btc"]
    days["usd_per_block"] = coins / days["blocks"].clip(lower=1) * days["price_usd"]
    rate = days["hashrate_ehs"].replace(0, np.nan)
    days["hashprice"] = hashprice(days["issuance_btc"], days["fees_btc"], days["price_usd"], rate)
    kept = ["price_usd", "hashrate_ehs", "blocks", "fees_btc", "height", "usd_per_block", "hashprice"]
    return days[kept]


def laws_at(
    market: pd.DataFrame, end: pd.Timestamp, fit_days: int = FIT_DAYS
) -> tuple[dict[str, PriceLaw], dict[str, DifficultyLaw]]:
    """The price laws and the difficulty laws as the days up to `end` fit them; nothing later is looked at.

    market : as `market_days` gives it; the last `fit_days` of it up to `end` are used
    Price: "flat"; "random-walk", the past daily log returns without their mean; "trend", with it. Both draw a drift
    from the standard error of that mean. Difficulty: `fit_difficulty_law` on means over 14 days, with the elasticities
    of `DIFFICULTY_LAWS`. Raises ValueError with fewer than 300 days.
    """
    past = market.loc[:end].tail(fit_days)
    if len(past) < 300:
        raise ValueError(f"{len(past)} days up to {end:%Y-%m-%d} are too few to fit laws to: 300 at least")
    returns = np.log(past["price_usd"]).diff().dropna().to_numpy()
    unsure = float(returns.std() * DAYS_PER_YEAR / len(returns) ** 0.5)  # standard error of a yearly mean
    means = past[["usd_per_block", "hashrate_ehs"]].rolling(14).mean()[::-14][::-1].dropna()
    logs = np.log(means["usd_per_block"]), np.log(means["hashrate_ehs"])
    prices = {
        "flat": PriceLaw("flat"),
        "random-walk": PriceLaw("random-walk", 0.0, unsure, returns),
        "trend": PriceLaw("trend", float(returns.mean()) * DAYS_PER_YEAR, unsure, returns),
    }
    return prices, {name: fit_difficulty_law(*logs, name, elasticity=e) for name, e in DIFFICULTY_LAWS.items()}


def start_at(market: pd.DataFrame, retargets: pd.DataFrame, end: pd.Timestamp, fees_btc: float | None = None) -> Start:
    """Where paths begin at the end of a day: its price, the difficulty in force, the mean hashrate of 14 days.

    market : as `market_days`; retargets : height, difficulty (table difficulty_retargets)
    fees_btc : coins per block from then on; None takes the mean of the 90 days before

    Raises Refusal if `retargets` ends before the period of the last block, whose difficulty it then does not know.
    """
    past = market.loc[:end]
    today = past.iloc[-1]
    last = int(retargets["height"].iloc[-1])
    if today["height"] >= last + BLOCKS_PER_RETARGET:
        raise Refusal(
            f"as_of cannot be {end:%Y-%m-%d}: difficulty_retargets ends with the period from height {last:,}; run "
            "wattshift refresh difficulty_retargets, or give an earlier day."
        )
    if fees_btc is None:
        fees_btc = float(past["fees_btc"].tail(90).sum() / past["blocks"].tail(90).sum())
    difficulty = retargets.loc[retargets["height"] <= today["height"], "difficulty"].iloc[-1]
    rate = float(past["hashrate_ehs"].tail(14).mean())
    return Start(float(today["price_usd"]), float(difficulty), rate, int(today["height"]) + 1, fees_btc=fees_btc)


@dataclass(frozen=True, slots=True)
class UnderWater:
    """What paths say about a site that needs a given hashprice.

    at_halving, later : share of paths below it in the first blocks after the halving, and some retargets on
    median, p10, p90  : months below it within the horizon, of the paths
    never             : share of paths that are never below it within the horizon
    after             : median hashprice in the first blocks after the halving, USD/PH/day
    """

    at_halving: float
    later: float
    median: float
    p10: float
    p90: float
    never: float
    after: float


def under_water(
    paths: Paths, breakeven: float, horizon_days: float, halving_height: int, retargets_later: int = 7
) -> UnderWater:
    """Time and shares below a break-even hashprice (USD/PH/day) on simulated paths, and around a halving.

    retargets_later : rows of `paths` after the halving's own at which "later" is read
    """
    months = paths.days_below(breakeven, horizon_days) / DAYS_PER_MONTH
    row = int(np.searchsorted(paths.height, halving_height))
    if paths.height[min(row, len(paths.height) - 1)] != halving_height:
        raise ValueError(f"no path reaches the halving at height {halving_height:,}")
    after, later = paths.hashprice[row], paths.hashprice[min(row + retargets_later, len(paths.height) - 1)]
    median, p10, p90 = (float(x) for x in np.quantile(months, [0.5, 0.1, 0.9]))
    return UnderWater(
        float((after < breakeven).mean()),
        float((later < breakeven).mean()),
        median,
        p10,
        p90,
        float((months == 0).mean()),
        float(np.median(after)),
    )


def days_to_sample(paths: Paths, reach_days: float, halving_height: int, step: float = 14.0) -> Floats:
    """Days since the start at which a fan is drawn: every `step`, and daily while the paths pass the halving.

    The paths halve on different days; between two fortnights their quantiles would be drawn as a slope.
    """
    low, high = np.quantile(paths.days_to_height(halving_height), [0.005, 0.995])
    daily = np.arange(np.floor(low) - 1, np.ceil(high) + 2)
    grid = np.union1d(np.arange(0.0, reach_days + 1, step), daily)
    return np.asarray(grid[(grid >= 0) & (grid <= reach_days)])


# --- 2. Was the band right? -------------------------------------------------------------------------------------------


def inside_band(realized: npt.ArrayLike, simulated: npt.ArrayLike, level: float = 0.8) -> tuple[Bools, Floats]:
    """Whether each realized value lies in its central band, and its place in the simulated distribution.

    realized (n,), simulated (n, paths). The second array is the share of paths below the realized value: uniform on
    [0, 1] when the law is right.

    >>> inside, place = inside_band([0.5, 2.0], np.tile(np.linspace(0, 1, 101), (2, 1)))
    >>> inside.tolist(), place.round(2).tolist()
    ([True, False], [0.5, 1.0])
    """
    seen, drawn = np.asarray(realized, dtype=float), np.asarray(simulated, dtype=float)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return (seen >= low) & (seen <= high), np.asarray((drawn < seen[:, None]).mean(axis=1))


def share_interval(hits: int, trials: int, confidence: float = 0.9) -> tuple[float, float]:
    """Clopper-Pearson interval of a share: what a coverage counted on few origins can mean.

    >>> tuple(round(x, 3) for x in share_interval(9, 11))
    (0.53, 0.967)
    """
    if not 0 <= hits <= trials or trials < 1:
        raise ValueError("hits must lie between 0 and trials")
    tail = (1 - confidence) / 2
    low = float(special.betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return low, high


def crps(realized: npt.ArrayLike, simulated: npt.ArrayLike) -> Floats:
    """Continuous ranked probability score of samples, in the unit of the values; smaller is better, 0 is perfect.

    realized (n,), simulated (n, paths): mean |X - y| - mean |X - X'| / 2 with all pairs (Gneiting & Raftery 2007, eq.
    20). For a sample of one it is the absolute error.

    >>> crps([1.0], [[0.0, 2.0]]).tolist()           # 1 - (2/4 of pairs apart by 2) / 2
    [0.5]
    """
    seen, drawn = np.asarray(realized, dtype=float), np.sort(np.asarray(simulated, dtype=float), axis=1)
    n = drawn.shape[1]
    apart = (drawn * (2 * np.arange(1, n + 1) - n - 1)).sum(axis=1) * 2 / n**2  # mean |X - X'| of sorted values
    return np.asarray(np.abs(drawn - seen[:, None]).mean(axis=1) - apart / 2)


NO_LAW = "past changes"
"""Name of the benchmark of `backtest`: hashprice moves as it did over equal spans of the fitted days."""


def backtest(
    market: pd.DataFrame,
    retargets: pd.DataFrame,
    origins: Sequence[pd.Timestamp],
    ahead_days: Sequence[int],
    paths: int,
    rng: np.random.Generator,
    fit_days: int = FIT_DAYS,
) -> pd.DataFrame:
    """Every pair of laws, set up on past days with nothing but the data before them, against what came.

    market, retargets : as `market_days` and `start_at` take them
    ahead_days        : days after each origin at which hashprice (mean of 14 days) is compared, whole numbers
    One row per origin, pair of laws and day ahead: origin, price, difficulty (names of the laws), ahead, truth
    (USD/PH/day), inside (the central 80 %), place (share of paths below the truth), score (`crps` of log hashprice).
    A benchmark that knows no law, price and difficulty both NO_LAW, takes the past changes of log hashprice over equal
    spans, all of them. Merit orders are left out: the fleets of those years are not known. Days ahead that the market
    does not reach are left out.
    """
    smooth = market["hashprice"].rolling(14).mean()
    reach = max(ahead_days) + 5
    rows = []
    for origin, own in zip(origins, rng.spawn(len(origins)), strict=True):
        ahead = [days for days in ahead_days if origin + pd.Timedelta(days=days) <= market.index[-1]]
        truth = np.array([smooth[origin + pd.Timedelta(days=days)] for days in ahead])
        if not len(ahead):
            continue
        start, (prices, answers) = start_at(market, retargets, origin), laws_at(market, origin, fit_days)
        seeds = iter(own.spawn(len(prices) * len(answers)))
        drawn = {
            (price, answer): forward_paths(start, law, answers[answer], reach, paths, next(seeds)).at(ahead)
            for price, law in prices.items()
            for answer in answers
        }
        past = np.log(smooth.loc[:origin].tail(fit_days).dropna())
        for days, now in zip(ahead, truth, strict=True):
            change = past.diff(days).dropna().to_numpy()
            benchmark = {(NO_LAW, NO_LAW): np.exp(float(past.iloc[-1]) + change)} if len(change) >= 100 else {}
            sample = {pair: table[ahead.index(days)] for pair, table in drawn.items()} | benchmark
            for (price, answer), values in sample.items():
                inside, place = inside_band([now], values[None, :])
                score = crps([np.log(now)], np.log(values[None, :].astype(float)))
                rows.append((origin, price, answer, days, now, bool(inside[0]), float(place[0]), float(score[0])))
    columns = ["origin", "price", "difficulty", "ahead", "truth", "inside", "place", "score"]
    return pd.DataFrame(rows, columns=columns)


def calibration(trials: pd.DataFrame, claimed: float = 0.8, confidence: float = 0.9) -> pd.DataFrame:
    """How often the band of each pair of laws held, one row per pair, in the order of `trials` (one day ahead only).

    Columns: price, difficulty, hits, trials, low, high (Clopper-Pearson interval of the true coverage), holds (whether
    `claimed` lies in it), place (median place of the truth in the fan: 0.5 where it leans to neither side), score
    (mean). Trials must not overlap for the interval to be exact: origins at least `ahead` apart.
    """
    rows = []
    for (price, answer), part in trials.groupby(["price", "difficulty"], sort=False):
        hits, n = int(part["inside"].sum()), len(part)
        low, high = share_interval(hits, n, confidence)
        holds = low <= claimed <= high
        rows.append((price, answer, hits, n, low, high, holds, part["place"].median(), part["score"].mean()))
    columns = ["price", "difficulty", "hits", "trials", "low", "high", "holds", "place", "score"]
    return pd.DataFrame(rows, columns=columns)


def chance_to_pass(coverage: float, trials: int, claimed: float = 0.8, confidence: float = 0.9) -> float:
    """Chance that a band whose true coverage is `coverage` passes `calibration` as one of `claimed`: its weakness.

    >>> chance_to_pass(0.6, 2)       # two trials refuse nothing but two misses: 1 - 0.4 x 0.4
    0.84
    """
    passed = 0.0
    for hits in range(trials + 1):
        low, high = share_interval(hits, trials, confidence)
        if low <= claimed <= high:
            passed += float(special.comb(trials, hits)) * coverage**hits * (1 - coverage) ** (trials - hits)
    return round(passed, 12)


def quantile_band(
    values: npt.ArrayLike, levels: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
) -> pd.DataFrame:
    """Quantiles over paths, one row per row of `values`, one column per level: what a fan draws."""
    table = np.quantile(np.asarray(values), levels, axis=1).T
    return pd.DataFrame(table, columns=list(levels))
