"""Shapes of the demand figures: they show what they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from wattshift import draw, draw_demand


@pytest.fixture
def ax():
    draw.theme()
    _, made = draw.figure(height=2.5)
    yield made
    plt.close("all")


def test_errors_stand_at_their_horizon_with_the_band_of_the_law(ax):
    rows = pd.DataFrame({"label": ["up", "down"], "horizon": [5, 2], "error": np.log([1.3, 0.8])})
    ax.set_xlim(0, 8)
    draw_demand.errors_by_horizon(ax, rows, [1.0, 4.0], [0.1, 0.2])
    filled, hollow = (line for line in ax.get_lines() if line.get_marker() == "o")
    assert (filled.get_xdata()[0], filled.get_ydata()[0]) == (5, pytest.approx(1.3))
    assert (hollow.get_xdata()[0], hollow.get_ydata()[0]) == (2, pytest.approx(0.8))
    assert hollow.get_markerfacecolor() == "white"
    band = ax.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((np.exp(-0.2), np.exp(0.2)))
    assert {"up", "down"} <= {text.get_text() for text in ax.texts}
    assert "0%" in [label.get_text() for label in ax.get_yticklabels()]


def test_a_fan_starts_where_the_past_ends_and_names_its_forecasts(ax):
    past = pd.Series([80.0, 100.0], index=[2024, 2025])
    quantiles = pd.DataFrame({0.1: [100.0, 90], 0.5: [100.0, 120], 0.9: [100.0, 160]}, index=[2025, 2026])
    centres = pd.DataFrame({"family": ["IEA", "LBNL"], "twh": [115.0, 130.0]})
    draw_demand.fan(ax, past, quantiles, centres, [90.0, 110.0])
    others, known, median, dots = ax.get_lines()
    assert (others.get_xdata().tolist(), others.get_ydata().tolist()) == ([2025, 2025], [90, 110])
    assert others.get_markerfacecolor() == "white"
    assert known.get_ydata().tolist() == [80, 100]
    assert median.get_ydata().tolist() == [100, 120]
    assert dots.get_ydata().tolist() == [115, 130]
    assert ax.get_xlim()[1] == 2026
    assert ax.get_ylim()[0] == 0
    assert [text.get_text() for text in ax.texts][:2] == ["IEA", "LBNL"]


def test_the_parts_of_an_error_are_drawn_with_their_sum(ax):
    rows = pd.DataFrame(
        {"label": ["a", "b"], "base_error": [0.1, -0.2], "growth_error": [0.05, 0.1], "error": [0.155, -0.12]}
    )
    draw_demand.error_parts(ax, rows)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.1, -0.2, 0.05, 0.1])
    (together, _zero) = ax.get_lines()
    assert together.get_xdata().tolist() == [0.155, -0.12]
    low, high = ax.get_ylim()
    assert low > high  # the first row is on top
