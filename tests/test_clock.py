"""clock.py against hand-worked windows, steady chains and the halvings that came."""

import doctest

import numpy as np
import pandas as pd
import pytest

from wattshift import clock, data


def test_doctests_hold() -> None:
    assert doctest.testmod(clock).failed == 0


def test_windows_by_hand() -> None:
    heights = np.array([0, 100, 300, 300, 400])
    # 150 blocks from day 0: day 1 ends at 100, day 2 at 300: 1 + 50/200. From day 1 (to 250): 150/200.
    assert clock.window_days(heights, 150).tolist() == pytest.approx([1.25, 0.75])


def steady(days: int, per_day: float) -> np.ndarray:
    """Heights at the ends of days that all bring the same number of blocks."""
    return per_day * np.arange(1, days + 1)


def test_a_forecast_lies_halfway_between_a_steady_past_and_the_plan():
    heights = steady(2_000, 160)
    forecast = clock.pace_forecast(heights, int(heights[-1]), 14_400)  # 90 days at this pace, 100 by the plan
    assert forecast[:4] == pytest.approx((95, 95, 95, 90), abs=1e-9)
    record = clock.pace_record(heights, [28_800, 209_600], 14_400)
    assert record.index.tolist() == [209_600]  # at height 14,400 no stretch of 14,400 blocks was over yet
    assert record.loc[209_600].tolist() == pytest.approx([95, 95, 95, 90, 90], abs=1e-9)


def test_halfway_has_missed_by_less_than_the_past_or_the_plan_alone():
    """The reason for the rule, on the chain itself: at six distances before the halvings and every 50,000 blocks."""
    heights = np.cumsum(data.load("btc_network_daily")["blocks"])
    misses = []
    for left in (10_000, 20_000, 35_000, 50_000, 75_000, 100_000):
        record = clock.pace_record(heights, [420_000, 630_000, 840_000, *range(300_000, 950_001, 50_000)], left)
        plan = left / 144
        misses.append([(record["took"] - guess).abs().mean() / plan for guess in (record.middle, record.past, plan)])
    halfway, past, plan = np.mean(misses, axis=0)
    assert halfway < 0.75 * min(past, plan)


def test_a_forecast_knows_nothing_after_its_height():
    heights = steady(2_000, 150)
    other = heights.copy()
    other[1_000:] = heights[999] + 300 * np.arange(1, 1_001)  # twice as fast from day 1,000 on
    for height in (149_999, 150_000):
        assert clock.pace_forecast(heights, height, 15_000) == clock.pace_forecast(other, height, 15_000)
    assert clock.pace_forecast(other, 300_000, 15_000).early < 99


def test_with_too_short_a_past_the_plan_has_to_do():
    early, middle, late, past, stretches = clock.pace_forecast(steady(300, 144), 300 * 144, 144 * 200)
    assert np.isnan([early, late, past]).all()
    assert (middle, stretches) == (200, 100)
    assert len(clock.past_paces(steady(300, 144), 100 * 144, 144 * 200)) == 0


def test_only_stretches_begun_within_the_last_two_eras_count():
    heights = steady(6_000, 144)
    assert len(clock.past_paces(heights, int(heights[-1]), 14_400)) == 420_000 // 144 + 1 - 100


def test_eras_by_the_dates_of_the_chain():
    """The first era took from 9 January 2009 to 28 November 2012: 1,419 days and some, 148 blocks a day."""
    events = data.load("halvings")
    start, times, heights = pd.Timestamp("2009-01-09"), events["block_time_utc"].tolist(), events["height"].tolist()
    eras = clock.pace_by_era(start, times, heights)
    assert eras["blocks"].tolist() == [210_000] * 4
    assert int(eras["days"][0]) == (pd.Timestamp("2012-11-28") - start).days
    assert eras["per_day"][0] == pytest.approx(147.9, abs=0.05)
    assert eras["ahead"].sum() == pytest.approx(840_000 / 144 - (times[-1] - start) / pd.Timedelta(days=1), abs=1e-6)
    assert len(clock.pace_by_era(start, [*times, times[-1] + pd.Timedelta(days=1)], [*heights, heights[-1]])) == 4
