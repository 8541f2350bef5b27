"""What the figures on splits, contests and claimed gains draw is what they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from wattshift import draw, draw_returns


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_bars_of_a_split_end_where_the_parts_add_up():
    """Parts of one sign are laid end to end: the bars' farthest ends are the sums of rises and of falls."""
    parts = pd.DataFrame({"revenue": [0.5, -0.4], "multiple": [0.3, 0.1]}, index=["A", "B"])
    figure = draw_returns.splits({"over a year": parts, "over two": parts}, "log change")
    bars = figure.axes[0].patches
    for row, (low, high) in enumerate([(0.0, 0.8), (-0.4, 0.1)]):
        ends = [side for bar in bars[row::2] for side in (bar.get_x(), bar.get_x() + bar.get_width())]
        assert (min(ends), max(ends)) == (pytest.approx(low), pytest.approx(high))
    (marks,) = [line for line in figure.axes[0].get_lines() if line.get_marker() == "D"]
    assert list(marks.get_xdata()) == pytest.approx([0.8, -0.3])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["A", "B"]


def test_a_contest_shows_every_draw_and_the_data():
    summed = pd.DataFrame(
        {"rolling": [0.1, 0.3], "filter": [0.0, -0.1]}, pd.period_range("2024-01", periods=2, freq="M")
    )
    worlds = np.random.default_rng(1).normal(0.02, 0.01, 200)
    draw.theme()  # which sets titles flush left
    figure = draw_returns.contests(summed, worlds, -0.01, "loss above the other's", "%")
    left, right = figure.axes
    assert (left.get_title(loc="left"), left.get_ylabel()) == ("loss above the other's", "unhedged months")
    assert [list(line.get_ydata()) for line in left.get_lines()[:2]] == [[0.1, 0.3], [0.0, -0.1]]
    assert sum(bar.get_height() for bar in right.patches) == 200
    assert list(right.get_lines()[0].get_xdata()) == [-1.0, -1.0]


def test_a_claimed_gain_is_a_line_across():
    days = pd.bdate_range("2025-07-01", "2025-11-28")
    gained = pd.DataFrame({"year to date": np.linspace(0, 50, len(days))}, days)
    period = (pd.Timestamp("2025-11-01"), days[-1], "November 2025")
    figure = draw_returns.claimed_gains({"A": (gained, 80.0), "B": (gained, 20.0)}, period)
    for ax, level in zip(figure.axes, (80.0, 20.0), strict=True):
        assert any(set(line.get_ydata()) == {level} for line in ax.get_lines())
    assert "November 2025" in figure.axes[0].get_ylabel()
