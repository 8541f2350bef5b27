"""Four events: the halvings aligned at height, and what chance alone would have shown.

**The clock.** Offsets count blocks, not dates. `offset` u is the state of the chain after block `height - 1 + 144 u`,
so u = 0 is the last block of the old subsidy and one *block-day* is 144 blocks (a day when blocks come on time). A
daily table reaches this clock through its cumulative block count; no day has to be called "the day of the halving", so
no day boundary can move it (block 840,000 was found at 00:09 UTC on 20 April 2024; the table, which dates by median
time past, counts it on 19 April).

**The era.** Each halving is compared with the 210,000 blocks centred on it, half a subsidy era on either side. The four
stretches touch but do not overlap: every day belongs to one halving, and growth of 2011 never judges 2024.

**The cut.** Hashprice and fee share jump by arithmetic when the subsidy is cut. `log_paths` takes that piece out,
ln((s_after + f) / (s_before + f)) with the fees per block f of the last 1,008 blocks, before anything is tested.

**The laws of chance.** `shift_orbit` is the main one: rotate the increments of the stretch around a circle, all of
them, and see how the statistic at the halving ranks. It keeps the serial dependence and is exact when the increments
are stationary (on the circle). Its formal floor is one rotation in all of them, but a jump on the very day lies in
every window that contains the day: the floor that counts is the window's share of the stretch. `placebo_changes` is
the simpler law: every date whose window lies in the stretch and does not touch the halving's window. Its windows
overlap each other, so its rank looks more certain than it is: `size_under_random_walk` measures by how much.

Nothing here reads a file, draws, or keeps state. Randomness comes in as a Generator.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from wattshift.refusal import Refusal
from wattshift.units import (
    BLOCKS_PER_DAY,
    BLOCKS_PER_HALVING,
    BLOCKS_PER_RETARGET,
    HASHES_PER_DIFFICULTY,
    SECONDS_PER_DAY,
)

Floats = NDArray[np.float64]
Statistic = Literal["change", "bend"]

FIRST_DAY = pd.Timestamp("2009-01-09")  # of the daily table: block 1; only from here are running counts heights
HALF_ERA_BLOCK_DAYS = BLOCKS_PER_HALVING // 2 // BLOCKS_PER_DAY  # 729: whole block-days in half a subsidy era
SMOOTHING_BLOCK_DAYS = 7  # hashrate and fees are means over the last 1,008 blocks
SMOOTHING_BLOCKS = SMOOTHING_BLOCK_DAYS * BLOCKS_PER_DAY  # block luck in a mean of them: 1/sqrt(1008) = 3.1 %
RETARGET_BLOCK_DAYS = BLOCKS_PER_RETARGET // BLOCKS_PER_DAY  # 14: a window of k x 14 holds k retargets from any start
MIN_WINDOWS = 3  # fewer disjoint windows than this give no band and no test
LEAST_DAYS_AFTER = 60  # days between a halving and the last day in use, or there is nothing to tell
HORIZONS = (28, 84, 182, 336)  # block-days: 2, 6, 13 and 24 whole retarget periods
OUTCOMES = ("price", "hashrate", "difficulty", "fee_share", "hashprice")
WORDS = {name: name.replace("_", " ") for name in OUTCOMES}
ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth"}
SHORT_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th"}


# ---- the clock


def heights_by_day(blocks: ArrayLike) -> NDArray[np.int64]:
    """Height of the last block of each day, from the daily block counts since 2009-01-09.

    Block 0 (2009-01-03) is in no row of the daily table, so the running sum of counts is the height itself.

    >>> heights_by_day([19, 61]).tolist()
    [19, 80]
    """
    return np.cumsum(np.asarray(blocks, dtype=np.int64))


def day_of_height(daily: pd.DataFrame, height: int) -> int:
    """Row of the daily table whose blocks include `height`, by the table's own dating.

    daily  : columns date, blocks; from 2009-01-09 on, no day missing
    raises : Refusal when a day is missing (a running count would then not be a height) or the table ends too early

    >>> day_of_height(pd.DataFrame({"date": pd.to_datetime(["2009-01-09", "2009-01-10"]), "blocks": [19, 61]}), 20)
    1
    """
    dates = daily["date"].reset_index(drop=True)
    expected = pd.Series(pd.date_range(FIRST_DAY, periods=len(dates)))
    wrong = np.flatnonzero(dates.to_numpy() != expected.to_numpy())
    if len(wrong) or not len(dates):
        day = expected[wrong[0]] if len(wrong) else FIRST_DAY
        raise Refusal(
            f"The daily table lacks {day:%Y-%m-%d}: it must hold every day from {FIRST_DAY:%Y-%m-%d} on, "
            f"since heights are running sums of its blocks."
        )
    heights = heights_by_day(daily["blocks"])
    row = int(np.searchsorted(heights, height))
    if row == len(heights):
        raise Refusal(
            f"Block {height:,} lies after the last day used, {dates.iloc[-1]:%Y-%m-%d} (height {heights[-1]:,}): "
            f"choose an earlier halving or a later as_of, for example halving=1."
        )
    return row


def days_in_use(daily: pd.DataFrame, halvings: pd.DataFrame, halving: int, as_of: str | pd.Timestamp) -> pd.DataFrame:
    """The daily table up to and with `as_of`; a report is told around a halving that those days hold.

    daily    : column date, one row a day, rising
    halvings : columns halving, block_time_utc
    Raises Refusal when as_of lies after the table, or less than `LEAST_DAYS_AFTER` days after the halving.

    >>> daily = pd.DataFrame({"date": pd.date_range("2024-04-01", "2024-12-31")})
    >>> table = pd.DataFrame({"halving": [4], "block_time_utc": pd.to_datetime(["2024-04-20 00:09:27"])})
    >>> len(days_in_use(daily, table, 4, "2024-07-09"))
    100
    """
    day, last = pd.Timestamp(as_of), daily["date"].iloc[-1]
    event = halvings.set_index("halving")["block_time_utc"][halving].normalize()
    if day > last:
        raise Refusal(
            f"as_of cannot be {day:%Y-%m-%d}: the network table ends on {last:%Y-%m-%d}, so give that day or "
            "an earlier one."
        )
    if day < event + pd.Timedelta(days=LEAST_DAYS_AFTER):
        raise Refusal(
            f"as_of cannot be {day:%Y-%m-%d} for halving {halving}, which came on {event:%Y-%m-%d}: give a day at "
            f"least {LEAST_DAYS_AFTER} days after it, for example {event + pd.Timedelta(days=365):%Y-%m-%d}, or an "
            "earlier halving."
        )
    return daily[daily["date"] <= day].reset_index(drop=True)


def height_from_issuance(daily: pd.DataFrame, row: int, subsidy_before: float, subsidy_after: float) -> int:
    """Height of the first block of the new subsidy, read from the coins issued on day `row` alone.

    A day of n blocks that issues C coins had (C - n s_after) / (s_before - s_after) blocks at the old subsidy. An
    independent check of the height map: the issuance column knows nothing of the count before the day.
    subsidies in BTC per block.

    >>> day = pd.DataFrame({"blocks": [839852, 151], "issuance_btc": [0.0, 931.25]})
    >>> height_from_issuance(day, 1, 6.25, 3.125)
    840000
    """
    blocks = int(daily["blocks"].iloc[row])
    coins = float(daily["issuance_btc"].iloc[row])
    old = (coins - blocks * subsidy_after) / (subsidy_before - subsidy_after)
    return int(heights_by_day(daily["blocks"])[row]) - blocks + round(old) + 1


def aligned(
    daily: pd.DataFrame,
    retargets: pd.DataFrame,
    height: int,
    subsidy_before: float,
    subsidy_after: float,
    half_width: int = HALF_ERA_BLOCK_DAYS,
) -> pd.DataFrame:
    """The chain and the price around one halving, on the clock of blocks.

    daily     : btc_network_daily, columns date, price_usd, blocks, fees_btc; cut it at as_of before the call
    retargets : difficulty_retargets, columns height, difficulty
    height    : first block of the new subsidy; subsidies in BTC per block
    Returns one row per offset from -half_width to half_width (block-days), index `offset`, columns
        days        calendar days since the halving, from the heights at day ends (to about an hour: blocks are dated
                    by median time past)
        price       USD per BTC, log-linear between daily closes
        difficulty  of the block at that offset, exact
        hashrate    EH/s: work of the last 1,008 blocks over the time they took
        fees        BTC per block, mean of the last 1,008 blocks (within one day spread evenly over its blocks)
        subsidy     BTC per block at that offset
        fee_share   fees / (fees + subsidy)
        hashprice   USD per PH/s and day: (subsidy + fees) x price x 86400 x 1e15 / (difficulty x 2^32); block luck is
                    not in it, the denominator is difficulty
    A value is NaN where the tables do not reach. raises Refusal when the table ends before the halving.
    """
    day_of_height(daily, height)
    ends = np.concatenate([[0], heights_by_day(daily["blocks"])]).astype(float)
    offsets = np.arange(-half_width, half_width + 1)
    at = height - 1.0 + BLOCKS_PER_DAY * offsets
    at = np.where((at >= 0) & (at <= ends[-1]), at, np.nan)
    before = np.where(at >= SMOOTHING_BLOCKS, at - SMOOTHING_BLOCKS, np.nan)

    days = np.interp(at, ends, np.arange(len(ends), dtype=float))
    days_before = np.interp(before, ends, np.arange(len(ends), dtype=float))
    fees_total = np.concatenate([[0.0], np.cumsum(daily["fees_btc"].to_numpy(float))])
    fees = (np.interp(at, ends, fees_total) - np.interp(before, ends, fees_total)) / SMOOTHING_BLOCKS

    starts = retargets["height"].to_numpy(float)
    levels = retargets["difficulty"].to_numpy(float)
    period = np.searchsorted(starts, np.nan_to_num(at), side="right") - 1
    difficulty = np.where(np.isnan(at), np.nan, levels[period])
    work = _work_up_to(at, starts, levels) - _work_up_to(before, starts, levels)
    hashrate = work * HASHES_PER_DIFFICULTY / ((days - days_before) * SECONDS_PER_DAY) / 1e18

    priced = daily["price_usd"].notna().to_numpy()
    log_price = np.interp(
        at, ends[1:][priced], np.log(daily["price_usd"].to_numpy(float)[priced]), left=np.nan, right=np.nan
    )
    price = np.exp(log_price)
    subsidy = np.where(offsets <= 0, subsidy_before, subsidy_after)
    zero = np.interp(height - 1.0, ends, np.arange(len(ends), dtype=float))
    return pd.DataFrame(
        {
            "days": days - zero,
            "price": price,
            "hashrate": hashrate,
            "difficulty": difficulty,
            "fees": fees,
            "subsidy": subsidy,
            "fee_share": fees / (fees + subsidy),
            "hashprice": (subsidy + fees) * price * SECONDS_PER_DAY * 1e15 / (difficulty * HASHES_PER_DIFFICULTY),
        },
        index=pd.Index(offsets, name="offset"),
    )


def _work_up_to(height: NDArray[Any], starts: Floats, levels: Floats) -> Floats:
    """Sum of the difficulties of blocks 1 to `height` (block 0 is left out), heights may be fractional or NaN."""
    at_start = np.concatenate([[0.0], np.cumsum(np.diff(starts) * levels[:-1])])
    filled = np.nan_to_num(height) + 1.0  # blocks mined up to and with this height, block 0 included
    period = np.clip(np.searchsorted(starts, filled, side="left") - 1, 0, None)
    total = at_start[period] + (filled - starts[period]) * levels[period] - levels[0]
    return np.where(np.isnan(height), np.nan, total)


def around_halvings(
    daily: pd.DataFrame, retargets: pd.DataFrame, halvings: pd.DataFrame, half_width: int = HALF_ERA_BLOCK_DAYS
) -> dict[int, pd.DataFrame]:
    """`aligned` for every halving that the daily table reaches, keyed by its number (1 is November 2012)."""
    last = int(heights_by_day(daily["blocks"])[-1])
    numbers, heights = (halvings[name].to_numpy(np.int64).tolist() for name in ("halving", "height"))
    subsidies = halvings[["subsidy_before_btc", "subsidy_after_btc"]].to_numpy(float).tolist()
    return {
        number: aligned(daily, retargets, height, before, after, half_width)
        for number, height, (before, after) in zip(numbers, heights, subsidies, strict=True)
        if height <= last
    }


# ---- the cut, and what is left


def subsidy_cut(fees: float, subsidy_before: float, subsidy_after: float) -> float:
    """Log change of what a block pays when only the subsidy changes: ln((s_after + f) / (s_before + f)).

    fees : BTC per block at the halving. Without fees it is ln(1/2); fees soften it. The same number with the other
    sign is what the cut does to the log of the fee share.

    >>> round(subsidy_cut(0.0, 6.25, 3.125), 6)
    -0.693147
    >>> round(subsidy_cut(3.125, 6.25, 3.125), 6)  # ln(6.25 / 9.375) = ln(2/3)
    -0.405465
    """
    return float(np.log((subsidy_after + fees) / (subsidy_before + fees)))


def cut_of(frame: pd.DataFrame) -> float:
    """`subsidy_cut` of a frame made by `aligned`, with the fees per block of the 1,008 blocks before the halving."""
    fees, before = frame.loc[0, ["fees", "subsidy"]].to_numpy(float)
    return subsidy_cut(float(fees), float(before), float(frame["subsidy"].to_numpy(float)[-1]))


def log_paths(frame: pd.DataFrame, without_cut: bool = True) -> pd.DataFrame:
    """Natural logs of the five outcomes relative to the halving; columns OUTCOMES, index offset, zero at offset 0.

    frame       : from `aligned`
    without_cut : take the arithmetic of the subsidy out of hashprice and fee share (see `subsidy_cut`). What is left of
                  hashprice is then fees at the new subsidy + price - difficulty, exactly.
    A value that is zero or less has no log and becomes NaN.
    """
    values = frame[list(OUTCOMES)].to_numpy(np.float64)
    logs = np.log(np.where(values > 0, values, np.nan))
    paths = pd.DataFrame(logs - logs[frame.index.get_loc(0)], index=frame.index, columns=list(OUTCOMES))
    if without_cut:
        after = (frame.index.to_numpy() > 0).astype(float)
        paths["hashprice"] -= cut_of(frame) * after
        paths["fee_share"] += cut_of(frame) * after
    return paths


def hashprice_parts(frame: pd.DataFrame, horizon: int) -> pd.Series:
    """Log change of hashprice from the halving to `horizon` block-days after it, in four parts that add up exactly.

    subsidy    ln((s_after + f0) / (s_before + f0)), the cut with fees as they were
    fees       ln((s_after + fh) / (s_after + f0)), the change of fees at the new subsidy
    price      ln(P_h / P_0)
    difficulty -ln(D_h / D_0)
    total      ln of hashprice at horizon over hashprice at the halving
    """
    start, end = frame.loc[0], frame.loc[horizon]
    return pd.Series(
        {
            "subsidy": cut_of(frame),
            "fees": float(np.log((end["subsidy"] + end["fees"]) / (end["subsidy"] + start["fees"]))),
            "price": float(np.log(end["price"] / start["price"])),
            "difficulty": -float(np.log(end["difficulty"] / start["difficulty"])),
            "total": float(np.log(end["hashprice"] / start["hashprice"])),
        }
    )


def fee_days(daily: pd.DataFrame, row: int, days: int = 28) -> pd.Series:
    """Fee share of single days around a halving, so that one loud day can be seen for what it is.

    row  : the halving's row (`day_of_height`); the days after it start with the next row
    days : how many on either side, fewer where the table ends
    Returns loudest_day, loudest_share (the highest fees / (fees + issuance) of one day after the halving),
    median_before, median_after and mean_after of the daily shares. After the last day: NaN and NaT.

    >>> day = pd.DataFrame({"date": pd.date_range("2024-04-18", periods=5), "fees_btc": [1.0, 1, 9, 1, 1]})
    >>> found = fee_days(day.assign(issuance_btc=[9.0, 9, 1, 9, 9]), 1)
    >>> f"{found['loudest_day']:%d %B}", found["loudest_share"], found["median_after"]
    ('20 April', 0.9, 0.1)
    """
    part = daily.iloc[max(row - days, 0) : row + 1 + days]
    share = (part["fees_btc"] / (part["fees_btc"] + part["issuance_btc"])).to_numpy(np.float64)
    before, after = share[: min(row, days)], share[min(row, days) + 1 :]
    loudest = int(np.argmax(after)) if len(after) else -1
    return pd.Series(
        {
            "loudest_day": daily["date"].iloc[row + 1 + loudest] if len(after) else pd.NaT,
            "loudest_share": float(after[loudest]) if len(after) else np.nan,
            "median_before": float(np.median(before)) if len(before) else np.nan,
            "median_after": float(np.median(after)) if len(after) else np.nan,
            "mean_after": float(np.mean(after)) if len(after) else np.nan,
        },
        dtype=object,
    )


def horizons_within(width: int) -> tuple[int, ...]:
    """The HORIZONS that a window of `width` block-days holds; the shortest one always.

    >>> horizons_within(90), horizons_within(10)
    ((28, 84), (28,))
    """
    return tuple(horizon for horizon in HORIZONS if horizon <= max(width, HORIZONS[0]))


# ---- windows that could have been


def finite_stretch(path: pd.Series) -> pd.Series:
    """The unbroken run of values around offset 0; empty when offset 0 itself has none.

    >>> finite_stretch(pd.Series([1.0, np.nan, 2.0, 0.0, 3.0, np.nan], index=[-3, -2, -1, 0, 1, 2])).index.tolist()
    [-1, 0, 1]
    """
    missing = path.index[path.isna()]
    low = max((int(o) for o in missing if o <= 0), default=int(path.index[0]) - 1)
    high = min((int(o) for o in missing if o >= 0), default=int(path.index[-1]) + 1)
    return path.loc[(path.index > low) & (path.index < high)]


def disjoint_windows(before: int, after: int, length: int) -> int:
    """How many windows of `length` fit side by side in the stretch without touching the window [0, length].

    before, after : block-days of data on either side of the halving

    >>> disjoint_windows(729, 729, 180)  # 4 before, 3 after the halving's own window
    7
    """
    return before // length + max(after - length, 0) // length


def placebo_changes(path: pd.Series, length: int) -> Floats:
    """Log changes over `length` block-days from every other start in the stretch whose window misses the halving's.

    path   : log path, index offset
    length : block-days; negative looks back from each date (value `length` before it, relative to it)
    Left out: every window that overlaps the halving's own, [0, length], or holds the step from 0 to 1.

    >>> flat = pd.Series(np.arange(7.0), index=range(-3, 4))
    >>> placebo_changes(flat, 1).tolist()  # starts -3, -2, -1, 1, 2
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    stretch = finite_stretch(path)
    if stretch.empty:
        return np.array([], dtype=float)
    return _placebos(stretch.to_numpy(float), int(stretch.index[0]), length)


def _placebos(values: Floats, first: int, length: int) -> Floats:
    """`placebo_changes` of a stretch without gaps whose values begin at offset `first`."""
    size = abs(length)
    if size == 0 or size >= len(values):
        return np.array([], dtype=float)
    gain = values[size:] - values[:-size]
    starts = np.arange(first, first + len(values) - size)
    event = 0 if length > 0 else -size
    apart = (np.abs(starts - event) >= size) & ((starts > 0) | (starts + size <= 0))
    kept: Floats = gain[apart]
    return kept if length > 0 else -kept


def placebo_band(
    path: pd.Series, width: int, levels: Sequence[float] = (0.05, 0.5, 0.95), min_windows: int = MIN_WINDOWS
) -> pd.DataFrame:
    """What other dates of the stretch show at each offset: quantiles of `placebo_changes`.

    width       : block-days on either side
    levels      : quantiles, the names of the columns
    min_windows : NaN where fewer disjoint windows than this remain: a band from one or two windows is no band
    Returns index offset (-width..width), columns `levels`, dates (placebo dates) and windows (disjoint ones).
    """
    stretch = finite_stretch(path)
    values = stretch.to_numpy(float)
    rows: list[list[float]] = []
    for offset in range(-width, width + 1):
        changes = _placebos(values, int(stretch.index[0]), offset) if len(values) else values
        windows = _windows(stretch, offset) if offset else 0
        spread = [np.nan] * len(levels)
        if offset == 0:
            spread = [0.0] * len(levels)
        elif windows >= min_windows:
            spread = np.quantile(changes, levels).tolist()
        rows.append([*spread, len(changes), windows])
    index = pd.RangeIndex(-width, width + 1, name="offset")
    return pd.DataFrame(rows, index=index, columns=[*levels, "dates", "windows"])


def shares_inside(paths: pd.DataFrame, bands: dict[str, pd.DataFrame]) -> "pd.Series[float]":
    """Share of the block-days after the halving on which each path lies inside its band, where there is a band.

    paths : `log_paths` frame; bands : outcome -> `placebo_band` with the levels 0.05 and 0.95
    Index: the outcomes for which at least one block-day after the halving has a band.

    >>> band = pd.DataFrame({0.05: [0.0, -1, -1], 0.95: [0.0, 1, 1]}, index=[0, 1, 2])
    >>> shares_inside(pd.DataFrame({"price": [0.0, 0.5, 3.0]}), {"price": band}).to_dict()
    {'price': 0.5}
    """
    shares: dict[str, float] = {}
    for name, band in bands.items():
        after = band.loc[1:, [0.05, 0.95]].join(paths[name].rename("path")).dropna()
        if len(after):
            shares[name] = float(after["path"].between(after[0.05], after[0.95]).mean())
    return pd.Series(shares, dtype=float)


def changes_at(looks: pd.DataFrame, paths: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """What each halving showed in every look: relative change from the halving to the look's horizon.

    looks : columns outcome, horizon; paths : halving -> `log_paths` frame
    Rows as `looks`, one column per halving (its ordinal, "1st" ...); NaN where the data do not reach.

    >>> one = pd.DataFrame({"price": [0.0, np.log(2)]}, index=[0, 28])
    >>> changes_at(pd.DataFrame({"outcome": ["price"], "horizon": [28]}), {4: one})["4th"].round(9).tolist()
    [1.0]
    """
    pairs = looks[["outcome", "horizon"]].to_numpy().tolist()
    columns = {
        SHORT_ORDINALS[number]: [float(np.expm1(frame[name].get(int(length), np.nan))) for name, length in pairs]
        for number, frame in paths.items()
    }
    return pd.DataFrame(columns, index=looks.index)


def _windows(stretch: pd.Series, length: int, statistic: Statistic = "change") -> int:
    """Disjoint windows of a stretch that miss the halving's own; negative length looks back, "bend" both ways."""
    if stretch.empty:
        return 0
    before, after = -int(stretch.index[0]), int(stretch.index[-1])
    if statistic == "bend":
        return max(before - length, 0) // (2 * length) + max(after - length, 0) // (2 * length)
    return disjoint_windows(before, after, length) if length > 0 else disjoint_windows(after, before, -length)


def shift_orbit(path: pd.Series, horizon: int, statistic: Statistic = "change", start: int = 0) -> tuple[Floats, int]:
    """The statistic at every rotation of the stretch's increments, and the place of the true one.

    statistic "change" : sum of the `horizon` increments after the date
              "bend"   : that sum minus the sum of the `horizon` increments before it, so a steady trend drops out
    start     : offset of the date that is asked about, 0 for the halving (start = -horizon looks at the run-up)
    Returns (values, place): values[place] is the date's own. Empty and -1 when the window does not fit
    (the stretch ends before start + horizon, or begins after start, for "bend" after start - horizon).

    >>> orbit, place = shift_orbit(pd.Series([0.0, 1, 3, 6, 10], index=[-2, -1, 0, 1, 2]), 1)
    >>> orbit.tolist(), place
    ([1.0, 2.0, 3.0, 4.0], 2)
    """
    stretch = finite_stretch(path)
    reach = start - (horizon if statistic == "bend" else 0)
    if stretch.empty or int(stretch.index[-1]) < start + horizon or int(stretch.index[0]) > reach:
        return np.array([], dtype=float), -1
    steps = np.diff(stretch.to_numpy(float))
    return _orbit(steps[None, :], horizon, statistic)[0], start - int(stretch.index[0])


def _orbit(steps: Floats, horizon: int, statistic: Statistic) -> Floats:
    """Circular window sums of each row of `steps`, one value per start."""
    count = steps.shape[1]
    total = np.cumsum(np.concatenate([np.zeros((len(steps), 1)), steps, steps[:, :horizon]], axis=1), axis=1)
    ahead: Floats = total[:, horizon : horizon + count] - total[:, :count]
    behind: Floats = np.roll(ahead, horizon, axis=1)
    return ahead if statistic == "change" else ahead - behind


# ---- ranks and p-values


def rank_p(values: ArrayLike, observed: float) -> float:
    """Two-sided p of one value among all of them: the share that lies at least as far from their median.

    values : the whole set, the observed one included, so the smallest p is 1/len(values) = 1/(placebos + 1)

    >>> rank_p([0.0, 1.0, -1.0, 5.0], 5.0)
    0.25
    """
    everything = np.asarray(values, dtype=float)
    distance = np.abs(everything - np.median(everything))
    limit = abs(observed - float(np.median(everything)))
    return float(np.mean(distance >= limit * (1 - 1e-12)))


def detectable(values: ArrayLike, level: float = 0.05) -> float:
    """Distance from the median that only a share `level` of the values exceeds: what a change must beat to be seen.

    >>> detectable(np.arange(-100.0, 101.0), level=0.05)
    95.0
    """
    everything = np.asarray(values, dtype=float)
    return float(np.quantile(np.abs(everything - np.median(everything)), 1 - level))


def holm(p_values: ArrayLike) -> Floats:
    """Holm's adjusted p-values (1979): the error rate of all looks together is kept, whatever their dependence.

    The i-th smallest of m is multiplied by m - i + 1, then made monotone and capped at 1. NaN (no test) stays NaN and
    is not counted.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(p_values, dtype=float)
    adjusted = np.full(raw.shape, np.nan)
    order = [i for i in np.argsort(raw, kind="stable") if not np.isnan(raw[i])]
    running = 0.0
    for step, i in enumerate(order):
        running = max(running, min(1.0, (len(order) - step) * float(raw[i])))
        adjusted[i] = running
    return adjusted


def sign_flip_p(values: ArrayLike) -> tuple[int, int, float]:
    """Fisher's exact two-sided sign-flip test of a zero centre: (as extreme, all, p), by enumeration of 2^n signs.

    At most 20 values. Four values of one sign give 2 of 16: p = 0.125, and four events can never give less.

    >>> sign_flip_p([0.3, 0.1, 0.7, 0.2])
    (2, 16, 0.125)
    """
    numbers = np.asarray(values, dtype=float)
    if not 1 <= len(numbers) <= 20:
        raise ValueError(f"sign_flip_p enumerates 2^n signs and takes 1 to 20 values, not {len(numbers)}.")
    sums = np.zeros(1)
    for number in numbers:
        sums = np.concatenate([sums + number, sums - number])
    limit = abs(float(numbers.sum()))
    extreme = int(np.count_nonzero(np.abs(sums) >= limit - 1e-9 * float(np.abs(numbers).sum())))
    return extreme, len(sums), extreme / len(sums)


@dataclass(frozen=True)
class Joint:
    """A test over several events at once: one random date in each stretch, independently, many times.

    events      how many took part
    mean_rank   mean over events of the rank within the stretch, -1/2 (lowest) to 1/2 (highest)
    p           two-sided share of draws with a mean rank at least as far from 0
    smallest_p  1 / (draws + 1), the least this count of draws can show
    p_sign      exact sign-flip p of the events' distances from their stretch's median
    smallest_p_sign  2 / 2^events
    detectable  log change that the *mean* over the events must differ from its median by, to be seen at 5 %
    """

    events: int
    mean_rank: float
    p: float
    smallest_p: float
    p_sign: float
    smallest_p_sign: float
    detectable: float


def joint_test(orbits: Sequence[tuple[Floats, int]], rng: np.random.Generator, draws: int = 9_999) -> Joint:
    """Do the events lean one way together? Mean rank over disjoint stretches against random dates, one per stretch.

    orbits : from `shift_orbit`, one per event; empty ones (window not complete) are left out
    raises : ValueError without a single complete window
    """
    whole = [(values, place) for values, place in orbits if place >= 0]
    if not whole:
        raise ValueError("No event has a complete window, so there is nothing to test.")
    ranks = [_centred_ranks(values) for values, _ in whole]
    observed = float(np.mean([r[place] for r, (_, place) in zip(ranks, whole, strict=True)]))
    gaps = [values - np.median(values) for values, _ in whole]
    chosen = [rng.integers(0, len(r), size=draws) for r in ranks]
    drawn = np.mean([r[c] for r, c in zip(ranks, chosen, strict=True)], axis=0)
    mean_gap = np.mean([g[c] for g, c in zip(gaps, chosen, strict=True)], axis=0)
    extreme = int(np.count_nonzero(np.abs(drawn) >= abs(observed) - 1e-12))
    signs = sign_flip_p([float(g[place]) for g, (_, place) in zip(gaps, whole, strict=True)])
    return Joint(
        events=len(whole),
        mean_rank=observed,
        p=(1 + extreme) / (draws + 1),
        smallest_p=1 / (draws + 1),
        p_sign=signs[2],
        smallest_p_sign=2.0 / signs[1],
        detectable=detectable(mean_gap),
    )


def _centred_ranks(values: Floats) -> Floats:
    """Mid-ranks scaled to (-1/2, 1/2); equal values share their rank."""
    return (pd.Series(values).rank(method="average").to_numpy(float) - 0.5) / len(values) - 0.5


def looks(
    paths: dict[int, pd.DataFrame],
    horizons: Sequence[int],
    statistics: Sequence[Statistic] = ("change", "bend"),
    min_windows: int = MIN_WINDOWS,
) -> pd.DataFrame:
    """Every look at once: one row per halving, outcome, horizon and statistic.

    paths    : halving -> `log_paths` frame
    Columns: halving, outcome, statistic, horizon (block-days), value (log), median (of the rotations), percentile
    (of the value among the rotations, 0 to 1), p (rotation law), smallest_p (1 / rotations), floor_p (horizon /
    rotations: the share of windows that contain the halving and so share a jump on the day), dates (placebo dates),
    placebo_rank (1 = farthest from the median, of dates + 1), both for "change" only, windows (disjoint ones),
    detectable (log), p_holm (adjusted over all looks at that halving).
    A window that the data do not fill, or for which fewer than `min_windows` disjoint ones remain, gives NaN.
    """
    rows: list[dict[str, object]] = []
    for halving, frame in paths.items():
        for outcome in OUTCOMES:
            for statistic in statistics:
                for horizon in horizons:
                    look = _look(frame[outcome], horizon, statistic, min_windows)
                    rows.append({"halving": halving, "outcome": outcome, **look})
    table = pd.DataFrame(rows)
    table["p_holm"] = table.groupby("halving")["p"].transform(holm)
    return table


def joint_looks(
    paths: dict[int, pd.DataFrame],
    horizons: Sequence[int],
    rng: np.random.Generator,
    statistics: Sequence[Statistic] = ("change", "bend"),
    min_windows: int = MIN_WINDOWS,
    draws: int = 9_999,
) -> pd.DataFrame:
    """`joint_test` over all halvings for every outcome, horizon and statistic that at least one halving allows.

    Columns: outcome, statistic, horizon (block-days), those of `Joint`, p_holm (adjusted over all rows), and
    p_before: the same test on the window that ends at the halving, where nothing was cut yet (NaN for "bend").
    """
    rows: list[dict[str, object]] = []
    for outcome in OUTCOMES:
        for statistic in statistics:
            for horizon in horizons:
                chosen = [
                    frame[outcome]
                    for frame in paths.values()
                    if _windows(finite_stretch(frame[outcome]), horizon, statistic) >= min_windows
                ]
                orbits = [shift_orbit(path, horizon, statistic) for path in chosen]
                if all(place < 0 for _, place in orbits):
                    continue
                joint = joint_test(orbits, rng, draws)
                before = np.nan
                if statistic == "change":
                    earlier = [shift_orbit(path, horizon, statistic, start=-horizon) for path in chosen]
                    before = joint_test(earlier, rng, draws).p
                rows.append(
                    {"outcome": outcome, "statistic": statistic, "horizon": horizon, **vars(joint), "p_before": before}
                )
    names = ["outcome", "statistic", "horizon", *(field.name for field in fields(Joint)), "p_before"]
    table = pd.DataFrame(rows, columns=names)
    table["p_holm"] = holm(table["p"])
    return table


def describe(looks: pd.DataFrame) -> str:
    """The looks in words, for a sentence: "the change of price over 28 block-days; the bend of ...".

    >>> describe(pd.DataFrame({"outcome": ["fee_share"], "statistic": ["bend"], "horizon": [84]}))
    'the bend of fee share over 84 block-days'
    """
    told = looks[["outcome", "statistic", "horizon"]].to_numpy().tolist()
    return "; ".join(f"the {kind} of {WORDS[name]} over {length} block-days" for name, kind, length in told)


def sensitivity(
    paths: dict[int, pd.DataFrame],
    outcome: str,
    horizon: int,
    rng: np.random.Generator,
    statistic: Statistic = "change",
    draws: int = 9_999,
) -> pd.DataFrame:
    """Does one joint look rest on one halving, or on how long an era is? `joint_test` again, each time otherwise.

    Returns rows `case` ("all", "without 1" ..., "half the era": offsets -364 to 364 only), events, mean_rank, p.
    A case without a complete window is left out.
    """
    whole = {number: frame[outcome] for number, frame in paths.items()}
    cases: dict[str, list[pd.Series]] = {"all": list(whole.values())}
    for number in whole:
        cases[f"without {number}"] = [path for other, path in whole.items() if other != number]
    half = HALF_ERA_BLOCK_DAYS // 2
    cases["half the era"] = [path.loc[-half:half] for path in whole.values()]
    rows: list[dict[str, object]] = []
    for case, chosen in cases.items():
        orbits = [shift_orbit(path, horizon, statistic) for path in chosen]
        if any(place >= 0 for _, place in orbits):
            joint = joint_test(orbits, rng, draws)
            rows.append({"case": case, "events": joint.events, "mean_rank": joint.mean_rank, "p": joint.p})
    return pd.DataFrame(rows, columns=["case", "events", "mean_rank", "p"])


def _look(path: pd.Series, horizon: int, statistic: Statistic, min_windows: int) -> dict[str, object]:
    stretch = finite_stretch(path)
    orbit, place = shift_orbit(stretch, horizon, statistic)
    windows = _windows(stretch, horizon, statistic)
    row: dict[str, object] = {"statistic": statistic, "horizon": horizon, "windows": windows}
    names = ("value", "median", "percentile", "p", "smallest_p", "floor_p", "dates", "placebo_rank", "detectable")
    if place < 0 or windows < min_windows:
        return row | dict.fromkeys(names, np.nan)
    value = float(orbit[place])
    placebos = placebo_changes(stretch, horizon) if statistic == "change" else np.array([], dtype=float)
    everything = np.append(placebos, value)
    return row | {
        "value": value,
        "median": float(np.median(orbit)),
        "percentile": float(np.mean(orbit <= value)),
        "p": rank_p(orbit, value),
        "smallest_p": 1 / len(orbit),
        "floor_p": horizon / len(orbit),
        "dates": len(placebos) if len(placebos) else np.nan,
        "placebo_rank": round(rank_p(everything, value) * len(everything)) if len(placebos) else np.nan,
        "detectable": detectable(orbit),
    }


def size_under_random_walk(
    rng: np.random.Generator,
    horizon: int,
    before: int = HALF_ERA_BLOCK_DAYS,
    after: int = HALF_ERA_BLOCK_DAYS,
    level: float = 0.05,
    walks: int = 500,
    drift: float = 0.0,
    memory: float = 0.0,
) -> tuple[float, float]:
    """How often each law calls "unusual" where nothing happened: (rotation law, overlapping placebo dates).

    Random walks with `drift` per step (in standard deviations) and increments that follow a first-order autoregression
    with coefficient `memory`. An honest law gives `level`; the standard error is sqrt(level (1 - level) / walks).
    """
    count = before + after
    noise = rng.standard_normal((walks, count + 200))
    steps = np.empty_like(noise)
    steps[:, 0] = noise[:, 0]
    for i in range(1, noise.shape[1]) if memory else ():
        steps[:, i] = memory * steps[:, i - 1] + noise[:, i]
    steps = (steps if memory else noise)[:, 200:] + drift
    orbit = _orbit(steps, horizon, "change")
    value = orbit[:, before]
    gap = np.abs(orbit - np.median(orbit, axis=1, keepdims=True))
    rotation = np.mean(gap >= gap[:, [before]] * (1 - 1e-12), axis=1)
    starts = np.arange(count - horizon + 1)
    others = orbit[:, starts[np.abs(starts - before) >= horizon]]
    pool = np.concatenate([others, value[:, None]], axis=1)
    far = np.abs(pool - np.median(pool, axis=1, keepdims=True))
    placebo = np.mean(far >= far[:, [-1]] * (1 - 1e-12), axis=1)
    return float(np.mean(rotation <= level)), float(np.mean(placebo <= level))
