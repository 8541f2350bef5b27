"""Shapes drawn for mining economics: they show what they were given, and nothing where there is nothing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from wattshift import draw


@pytest.fixture
def ax():
    draw.theme()
    _, made = draw.figure(height=2.5)
    yield made
    plt.close("all")


def test_level_line_runs_where_the_surface_has_the_level(ax):
    x, y = np.linspace(1, 10, 91), np.linspace(1, 5, 81)
    draw.level_line(ax, x, y, np.outer(y, x), 12.0, text="twelve")
    (path,) = ax.collections[-1].get_paths()
    np.testing.assert_allclose(path.vertices[:, 0] * path.vertices[:, 1], 12.0, rtol=5e-3)
    assert [text.get_text() for text in ax.texts] == ["twelve"]


def test_level_line_beyond_the_surface_draws_nothing(ax):
    draw.level_line(ax, [1, 2], [1, 2], [[1, 2], [2, 4]], 99.0, text="far")
    assert not ax.collections
    assert not ax.texts


def test_ranges_stand_top_down_with_their_names(ax):
    rows = pd.DataFrame({"name": [2026, 2025], "low": [9, 11], "mid": [11, 15], "high": [14, 19]})
    draw.ranges(ax, rows)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["2026", "2025"]
    low, high = ax.get_ylim()
    assert low > high  # the first row is on top
    assert [line.get_xdata().tolist() for line in ax.get_lines()] == [[9, 14], [11], [11, 19], [15]]


def test_dots_differ_in_fill_and_keep_their_data(ax):
    filled, hollow = draw.dots(ax, [1, 2], [3, 4]), draw.dots(ax, [1, 2], [5, 6], index=4, hollow=True)
    assert filled.get_markerfacecolor() != "white" == hollow.get_markerfacecolor()
    assert hollow.get_ydata().tolist() == [5, 6]


def test_curves_give_labels_and_differ_in_dash(ax):
    made = draw.curves(ax, [0, 1], {"a": [0, 1], "b": [1, 2]})
    assert list(made.values()) == ["a", "b"]
    first, second = made
    assert first.get_linestyle() != second.get_linestyle()


@pytest.mark.parametrize("side", ["right", "left", "above", "below"])
def test_point_puts_its_name_on_the_side_asked_for(ax, side):
    draw.point(ax, 0.5, 0.5, "here", side=side)
    dx, dy = ax.texts[0].get_position()
    assert {"right": dx > 0, "left": dx < 0, "above": dy > 0, "below": dy < 0}[side]


def test_side_by_side_draws_every_value_once(ax):
    table = pd.DataFrame({"said": [0.5, -0.7], "seen": [0.4, -0.6]}, index=["price", "subsidy"])
    draw.side_by_side(ax, table)
    assert sorted(bar.get_height() for bar in ax.patches) == pytest.approx(sorted(table.to_numpy().ravel()))
    assert [text.get_text() for text in ax.texts] == ["+0.50", "−0.70", "+0.40", "−0.60"]


def test_waterfall_leaves_room_above_its_first_bar(ax):
    draw.waterfall(ax, [("subsidy", -50.0), ("fees", 5.0)], start=("before", 100.0), end="after")
    assert ax.get_ylim()[1] >= 110
    assert ax.get_ylim()[0] == 0


def test_outlook_draws_past_fan_level_and_marks():
    past = pd.Series([50.0, 40.0, 30.0], pd.date_range("2026-01-01", periods=3))
    days = pd.date_range("2026-01-04", periods=4)
    fan = pd.DataFrame({0.1: [20.0, 15, 12, 10], 0.5: [30.0, 29, 28, 14], 0.9: [40.0, 45, 50, 30]})
    shares = {"one law": [0.0, 0.2, 0.4, 0.9], "another": [0.0, 0.1, 0.2, 0.8]}
    draw.outlook(past, days, fan, shares, (25.0, "break-even"), {"halving": days[3]}, ylabel="y", share_label="share")
    top, low = plt.gcf().axes
    assert {text.get_text() for text in top.texts} == {"break-even", "halving"}
    assert {text.get_text() for text in low.texts if text.get_text()} == {"one law", "another"}
    assert low.get_ylim() == (-0.03, 1.03)
    assert [line.get_ydata()[-1] for line in low.get_lines()[:2]] == [0.9, 0.8]
    assert len(top.collections) == 1  # one pair of quantiles, one band
    plt.close("all")


def test_outlook_keeps_labels_outside_its_uprights():
    past = pd.Series([50.0, 40.0, 30.0], pd.date_range("2026-01-01", periods=3))
    days = pd.date_range("2026-01-04", periods=40)
    fan = pd.DataFrame({0.1: np.full(40, 20.0), 0.5: np.full(40, 30.0), 0.9: np.full(40, 40.0)})
    marks = {"the end": days[32], "halving": days[30]}  # in any order
    draw.outlook(past, days, fan, {"law": np.zeros(40)}, (25.0, "level"), marks, ylabel="y", share_label="share")
    sides = {text.get_text(): text.get_horizontalalignment() for text in plt.gcf().axes[0].texts}
    assert (sides["halving"], sides["the end"]) == ("right", "left")  # left of the first line, right of the last
    plt.close("all")


def test_shifts_are_drawn_as_multiples_of_the_level_before():
    weeks = pd.date_range("2020-01-05", periods=60, freq="7D")
    row = {"name": "halving", "low": -0.75, "mid": -0.5, "high": 9.0, "theory": -0.5}
    draw.long_run(weeks, np.linspace(0.1, 1, 60), "y", {"cut": weeks[30]}, pd.DataFrame([row]), "x")
    beside = plt.gcf().axes[1]
    assert beside.get_xscale() == "log"
    np.testing.assert_allclose(beside.collections[0].get_segments()[0][:, 0], [0.25, 10.0])
    assert [line.get_xdata()[0] for line in beside.get_lines()[:2]] == [0.5, 0.5]
    plt.close("all")


def test_places_shade_the_claim_and_keep_groups_apart():
    draw.places(
        {"law": {"a year": ([2020, 2021], [0.1, 0.95]), "half": ([2020], [0.5])}}, claimed=0.8, xlabel="x", ylabel="y"
    )
    (ax,) = plt.gcf().axes
    assert ax.patches[0].get_extents().transformed(ax.transData.inverted()).intervaly.round(6).tolist() == [0.1, 0.9]
    assert [line.get_marker() for line in ax.get_lines()] == ["o", "x"]
    assert ax.get_lines()[0].get_ydata().tolist() == [0.1, 0.95]
    plt.close("all")


def test_a_cost_of_nothing_is_left_out_beside_a_price(ax):
    days = pd.date_range("2024-01-01", periods=50)
    price, free, dear = (pd.Series(level, index=days) for level in (5e4, 0.0, 4e4))
    draw.against_costs(ax, price, {"power": free, "cash": dear})
    assert [text.get_text() for text in ax.texts] == ["price", "cash"]
    assert ax.get_ylim()[0] > 1_000


def test_surface_with_a_limit_is_grey_above_it_alone(ax):
    x, y = np.linspace(1, 10, 91), np.linspace(1, 5, 81)
    draw.surface(ax, x, y, np.outer(y, x), levels=[5, 20], limit=12.0)
    shaded = ax.collections[0].get_paths()[0].vertices
    assert (shaded[:, 0] * shaded[:, 1]).min() == pytest.approx(12.0, rel=0.02)
    (red, green, blue, _) = ax.collections[0].get_facecolor()[0]
    assert max(red, green, blue) - min(red, green, blue) < 0.03


def test_surface_below_its_limit_is_not_shaded(ax):
    draw.surface(ax, [1, 2], [1, 2], [[1, 2], [2, 4]], levels=[3], limit=99.0)
    assert len(ax.collections) == 1  # the lines


def test_generations_stand_at_their_place_with_names_apart(ax):
    ax.set(xscale="log", xlim=(5, 200))
    draw.generations(ax, pd.DataFrame({"name": [2024, 2025, 2016], "mid": [15.1, 15.0, 100.0]}))
    assert sorted(line.get_xdata()[0] for line in ax.get_lines()) == [15.0, 15.1, 100.0]
    places = [text.get_position()[0] for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == ["2025", "2024", "2016"]
    assert places[1] - places[0] == pytest.approx(0.043)


def test_no_generations_draw_nothing(ax):
    draw.generations(ax, pd.DataFrame({"name": [], "mid": []}))
    assert not ax.texts
