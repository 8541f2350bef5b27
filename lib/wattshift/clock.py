"""How long a number of blocks took, and may take: the paces of the past, and the forecast made of them.

Luck alone is `bitcoin.arrival`; what moves the pace for years is hashrate that grows or falls between retargets. So the
past is asked how long as many blocks took, and the plan of 600 seconds a block is heard beside it. Pure functions:
heights at the ends of days in, days out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from wattshift.units import BLOCKS_PER_DAY, BLOCKS_PER_HALVING, SECONDS_PER_DAY

Floats = npt.NDArray[np.float64]

LOOK_BACK_BLOCKS = 2 * BLOCKS_PER_HALVING  # how far back a stretch may have begun that says something about the next
LEAST_STRETCHES = 180  # half a year of starting days: fewer past stretches give no interval


def window_days(heights: npt.ArrayLike, blocks: int) -> Floats:
    """Days that each past window of `blocks` took: the empirical paces of the chain.

    heights : height at the end of each day, one entry per day, rising, no day missing
    returns : entry i is the time from the end of day i until `blocks` more had been found, interpolated within the day;
              shorter than heights, since the last windows are not over

    >>> window_days([0, 144, 288, 432], 216)
    array([1.5, 1.5])
    """
    level = np.asarray(heights, dtype=float)
    if blocks <= 0 or (np.diff(level) < 0).any():
        raise ValueError("blocks must be positive and heights must not fall")
    target = level[level + blocks <= level[-1]] + blocks
    day = np.searchsorted(level, target)  # first day that ends at or above the target
    below = level[np.maximum(day - 1, 0)]
    reached = day - 1 + (target - below) / np.maximum(level[day] - below, 1e-12)
    return np.asarray(reached - np.arange(len(target)))


class PaceForecast(NamedTuple):
    """Days that a number of blocks may take: early, middle and late of `pace_forecast`, the median of the past
    stretches alone, and how many of these there were (they overlap)."""

    early: float
    middle: float
    late: float
    past: float
    stretches: int


def past_paces(heights: npt.ArrayLike, height: int, blocks: int) -> Floats:
    """Days that past stretches of `blocks` blocks took, as they were known at `height`: only days ended by then, and
    only stretches begun within the last `LOOK_BACK_BLOCKS`.

    heights : height at the end of each day, as in `window_days`; empty where no stretch was over

    >>> past_paces([0, 144, 288, 432], 288, 216)
    array([1.5])
    """
    level = np.asarray(heights, dtype=float)
    known = level[: int(np.searchsorted(level, height, side="right"))]
    if not len(known) or known[-1] <= blocks:
        return np.array([], dtype=float)
    return window_days(known, blocks)[int(np.searchsorted(known, known[-1] - LOOK_BACK_BLOCKS)) :]


def pace_forecast(heights: npt.ArrayLike, height: int, blocks: int, coverage: float = 0.8) -> PaceForecast:
    """How many days the next `blocks` blocks after `height` may take: halfway between `past_paces` and the plan.

    The plan of 600 seconds a block takes no growth of hashrate, the past takes the growth of younger years: one leans
    late, the other early, so their quantiles are averaged with equal weights (the plan is a single date). early and
    late hold the share `coverage` of the past stretches, moved so. With fewer than `LEAST_STRETCHES` stretches early,
    late and past are NaN and middle is the plan.

    >>> faster = np.arange(0, 160 * 400, 160)  # 400 days of 160 blocks; the plan would be 144
    >>> pace_forecast(faster, 160 * 399, 1_440)
    PaceForecast(early=9.5, middle=9.5, late=9.5, past=9.0, stretches=391)
    """
    paces, plan = past_paces(heights, height, blocks), blocks / BLOCKS_PER_DAY
    if len(paces) < LEAST_STRETCHES:
        return PaceForecast(float("nan"), plan, float("nan"), float("nan"), len(paces))
    tail = (1 - coverage) / 2
    low, past, high = np.quantile(paces, [tail, 0.5, 1 - tail]).tolist()
    return PaceForecast((low + plan) / 2, (past + plan) / 2, (high + plan) / 2, past, len(paces))


def pace_record(heights: npt.ArrayLike, targets: Sequence[int], blocks: int, coverage: float = 0.8) -> pd.DataFrame:
    """`pace_forecast` as it would have been made `blocks` blocks before each target height, and what came.

    Rows: the targets (index) whose past held enough stretches. Columns in days: early, middle, late, past, took.
    """
    level = np.asarray(heights, dtype=float)
    ends = np.arange(1.0, len(level) + 1)  # days since the start of the table at which each height was reached
    rows = {}
    for target in targets:
        forecast = pace_forecast(level, target - blocks, blocks, coverage)
        if np.isfinite(forecast.early):
            took = float(np.interp(target, level, ends) - np.interp(target - blocks, level, ends))
            rows[target] = [*forecast[:4], took]
    names = ["early", "middle", "late", "past", "took"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names, dtype=float)


def pace_by_era(start: pd.Timestamp, ends: Sequence[pd.Timestamp], heights: Sequence[int]) -> pd.DataFrame:
    """How fast each subsidy era ran, from its first height to its last or to the last day in use.

    start : when height 0 is taken to stand; ends, heights : when and at which height each era ended, rising
    Columns: era (from 1), blocks, days, per_day (blocks a day), seconds (per block), ahead (days by which the era was
    shorter than at 600 seconds a block). Eras without a block are left out.

    >>> day = pd.Timestamp("2009-01-09")
    >>> pace_by_era(day, [day + pd.Timedelta(days=1_400)], [210_000]).iloc[0].round(1).tolist()
    [1.0, 210000.0, 1400.0, 150.0, 576.0, 58.3]
    """
    times = pd.Series([start, *ends])
    eras = pd.DataFrame({"era": np.arange(len(heights)) + 1, "blocks": np.diff([0, *heights])})
    eras["days"] = (times.diff().iloc[1:] / pd.Timedelta(days=1)).to_numpy(float)
    eras = eras[eras["blocks"] > 0].reset_index(drop=True)
    eras["per_day"] = eras["blocks"] / eras["days"]
    eras["seconds"] = SECONDS_PER_DAY / eras["per_day"]
    eras["ahead"] = eras["blocks"] / BLOCKS_PER_DAY - eras["days"]
    return eras
