"""Shapes of the figures about sites: the map keeps areas, labels cover nothing, and what was given is what is shown."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattshift import data, draw, draw_sites


@pytest.fixture
def ax():
    draw.theme()
    _, made = draw.figure(height=3.0)
    yield made
    plt.close("all")


# ---------------------------------------------------------------- the map


def test_the_map_is_the_published_projection():
    # mapshaper-proj's case for a globe of 6,400 km, and the height of the pole in PROJ's source
    x, y = draw_sites.equal_earth([2, -2], [1, -1], centre=0)
    assert x * 6.4e6 == pytest.approx([192457.4623920805, -192457.4623920805], rel=1e-12)
    assert y * 6.4e6 == pytest.approx([129648.29470155617, -129648.29470155617], rel=1e-12)
    assert draw_sites.equal_earth(0, 90, centre=0)[1] == pytest.approx(1.3173627591574, rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    longitude=st.floats(-170, 170), latitude=st.floats(-89, 88.9), wide=st.floats(0.01, 0.1), tall=st.floats(0.01, 0.1)
)
def test_areas_on_the_map_are_those_on_the_globe(longitude, latitude, wide, tall):
    across = draw_sites.equal_earth([longitude - wide, longitude + wide], latitude, centre=0)[0]
    up = draw_sites.equal_earth(longitude, np.array([latitude - tall, latitude + tall]), centre=0)[1]
    on_globe = np.radians(2 * wide) * np.diff(np.sin(np.radians([latitude - tall, latitude + tall])))[0]
    assert np.diff(across)[0] * np.diff(up)[0] == pytest.approx(on_globe, rel=2e-3)


def test_the_middle_of_the_map_moves_places_but_not_their_shapes():
    x, y = draw_sites.equal_earth([170, -170], [40, 40], centre=180)  # 20 degrees apart across the date line
    x0, y0 = draw_sites.equal_earth([-10, 10], [40, 40], centre=0)
    assert x == pytest.approx(x0)
    assert y == pytest.approx(y0)


def test_land_is_where_land_is():
    longitudes, latitudes, share = draw_sites.land()
    weight = np.cos(np.radians(latitudes))[:, None]
    part = (share * weight).sum() / (weight.sum() * share.shape[1])
    assert part == pytest.approx(0.29, abs=0.01)  # 149 of 510 million square kilometres, lakes among them

    def at(longitude, latitude):
        turned = (longitude - longitudes[0] + 0.25) % 360
        return share[int((latitude + 90) / 0.5), int(turned / 0.5)]

    assert at(-40, 35) == at(-140, 0) == at(80, -30) == at(-175, 45) == 0  # mid-ocean
    assert at(-113.5, 53.5) == at(75.3, 51.7) == at(20, 0) == at(-171.5, 66) == at(134, -25) == 1  # and inland
    steps = np.array([-0.5, 0.0, 0.5])  # a town on a coast may stand one cell off it
    for lon, lat in data.load("site_candidates")[["lon", "lat"]].to_numpy():
        assert max(at(lon + east, lat + north) for east in steps for north in steps) > 0.5


def test_every_site_is_a_dot_with_its_name_and_sites_that_are_out_are_hollow(ax):
    places = data.load("site_candidates").set_index("site_id")
    draw_sites.candidates(ax, places, {site: site != "ZNPP_UA" for site in places.index})
    dots = [line for line in ax.get_lines() if line.get_marker() == "o"]
    x, y = draw_sites.equal_earth(places["lon"], places["lat"])
    assert [line.get_xdata()[0] for line in dots] == pytest.approx(x.tolist())
    assert [line.get_ydata()[0] for line in dots] == pytest.approx(y.tolist())
    hollow = [site for site, line in zip(places.index, dots, strict=True) if line.get_markerfacecolor() == "white"]
    assert hollow == ["ZNPP_UA"]
    assert [text.get_text() for text in ax.texts] == places["site"].tolist()
    boxes = np.array([text.get_window_extent().extents for text in ax.texts])
    assert not overlaps(boxes)
    room = ax.bbox.extents
    assert (boxes[:, :2] >= room[:2] - 1).all()
    assert (boxes[:, 2:] <= room[2:] + 1).all()


def test_a_name_stands_nearest_to_its_own_dot_or_a_line_leads_to_it(ax):
    places = data.load("site_candidates").set_index("site_id")
    draw_sites.candidates(ax, places)
    dots = ax.transData.transform(np.column_stack(draw_sites.equal_earth(places["lon"], places["lat"])))
    boxes = np.array([text.get_window_extent().extents for text in ax.texts])
    gaps = np.clip(dots[None], boxes[:, None, :2], boxes[:, None, 2:]) - dots
    nearest = np.hypot(gaps[..., 0], gaps[..., 1]).argmin(axis=1)
    starts = [ax.transData.transform((line.get_xdata()[0], line.get_ydata()[0])) for line in ax.get_lines()
              if line.get_marker() != "o"]  # fmt: skip
    led = [i for i, dot in enumerate(dots) if any(np.allclose(dot, start) for start in starts)]
    assert {i for i in range(len(dots)) if nearest[i] != i} <= set(led)
    assert {places.index.get_loc(site) for site in ("SE", "FI")} <= set(led)  # two dots that touch


def test_one_site_alone_is_drawn(ax):
    draw_sites.candidates(ax, data.load("site_candidates").set_index("site_id").loc[["IS"]])
    (dot,) = (line for line in ax.get_lines() if line.get_marker() == "o")
    assert dot.get_markerfacecolor() == dot.get_color()


# ---------------------------------------------------------------- labels


def overlaps(boxes):
    """Pairs of boxes (left, bottom, right, top) that share more than half a unit in both directions."""
    wide = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    return [(i, j) for i, j in np.argwhere((wide > 0.5).all(axis=2)) if i < j]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), min_size=1, max_size=15, unique=True))
def test_labels_cover_neither_each_other_nor_a_point(cells):
    points = np.array(cells, float) * 20 + 100  # 20 units apart at least, in a room with space
    sizes = np.tile([50.0, 10.0], (len(points), 1))
    corners = draw_sites.label_places(points, sizes, [0, 0, 900, 700], clear=4)
    boxes = np.hstack([corners, corners + sizes])
    assert not overlaps(boxes)
    assert not overlaps(np.vstack([np.hstack([points - 3, points + 3]), boxes]))
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [900, 700]).all()


def test_a_lone_label_stands_close_to_its_point_and_inside_the_room():
    near_the_edge = draw_sites.label_places([[95.0, 50.0]], [[40.0, 8.0]], [0, 0, 100, 100], clear=4)
    assert near_the_edge[0, 0] + 40 <= 100
    gap = np.hypot(*(np.clip([95, 50], near_the_edge[0], near_the_edge[0] + [40, 8]) - [95, 50]))
    assert 4 <= gap < 8


def test_no_line_to_a_label_crosses_another_label():
    points = np.array([[300.0, 200.0], [312.0, 200.0], [324.0, 200.0], [318.0, 190.0]])  # a crowd
    sizes = np.tile([60.0, 10.0], (4, 1))
    corners = draw_sites.label_places(points, sizes, [0, 0, 600, 400], clear=5)
    boxes = np.hstack([corners, corners + sizes])
    near = np.clip(points, boxes[:, :2], boxes[:, 2:])
    for i in range(4):
        line = points[i] + np.linspace(0, 1, 200)[:, None] * (near[i] - points[i])
        for j in {0, 1, 2, 3} - {i}:
            assert not ((line > boxes[j, :2] + 1) & (line < boxes[j, 2:] - 1)).all(axis=1).any()


# ---------------------------------------------------------------- what is known


def test_a_silent_table_is_a_dash_and_an_older_figure_is_darker(ax):
    years = pd.DataFrame({"laws": [2026, 2018], "deaths": [np.nan, 2024]}, index=["here", "there"])
    draw_sites.known(ax, years, 2026.5 - years)
    assert [text.get_text() for text in ax.texts] == ["2026", "–", "2018", "2024"]
    (mesh,) = ax.collections
    shown = mesh.cmap(mesh.norm(mesh.get_array()))
    light = [[draw.luminance(cell) for cell in row] for row in shown[..., :3]]
    assert light[0][0] > light[1][1] > light[1][0]
    assert ax.transData.transform((0, 0))[1] > ax.transData.transform((0, 1))[1]  # the first row on top
    assert [label.get_text() for label in ax.get_yticklabels()] == ["here", "there"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["laws", "deaths"]


# ---------------------------------------------------------------- Kazakhstan


def test_numbers_of_events_stand_apart_and_statements_of_a_part_are_hollow():
    fig, (top, bottom) = plt.subplots(2, 1)
    days = pd.date_range("2020-01-01", periods=4, freq="MS")
    draw_sites.story(
        top, bottom, pd.Series([0.01, 0.06, 0.18, 0.13], days),
        pd.DataFrame({"date": [pd.Timestamp("2020-06-01")], "share": [0.04], "label": ["4%"], "left": [False]}),
        pd.DataFrame({"low": 1.0, "mid": 2.0, "high": 3.0}, index=days),
        pd.DataFrame({"date": days[:2], "mw": [5.0, 2.0], "label": ["all", "part"], "left": [True, False],
                      "total": [True, False]}),
        {"1": days[1], "2": days[1], "3": days[1] + pd.Timedelta(days=1)},
    )  # fmt: skip
    places = [text.get_position()[0] for text in top.texts if text.get_text() in "123"]
    assert (np.diff(places) > 5).all()  # the three days lie within two
    filled, hollow = [line.get_markerfacecolor() for line in bottom.lines if line.get_marker() == "o"]
    assert hollow == "white" != filled
    plt.close(fig)


def test_days_of_the_cut_are_told_from_the_others(ax):
    days = pd.date_range("2022-01-01", periods=6)
    counts = pd.DataFrame({"hashrate": range(170, 176), "low": 150.0, "high": 200.0}, index=days)
    draw_sites.block_counts(
        ax, counts, 172.0, (days[2] + pd.Timedelta(hours=12), days[4] + pd.Timedelta(hours=12)),
        {"13%": np.float64(0.13), "18%": np.float64(0.18)},
    )  # fmt: skip
    outside, inside = [line.get_ydata().tolist() for line in ax.lines]
    assert inside == [173]  # half days belong to neither
    assert outside == [170, 171, 172, 174, 175]
    assert [(text.get_text(), np.sign(text.xyann[1])) for text in ax.texts] == [("13%", 1), ("18%", -1)]


def test_a_replay_adds_up_to_its_margins():
    fig, (left, right) = plt.subplots(1, 2)
    daily = pd.DataFrame(
        {"without": [1_000.0] * 3, "with_shocks": [500.0] * 3}, index=pd.date_range("2022-01-01", periods=3)
    )
    draw_sites.replayed(left, right, daily, pd.Series({"cut": 1_200.0, "fee": 300.0}))
    assert [line.get_ydata()[-1] for line in left.lines] == [3.0, 1.5]
    assert [bar.get_width() for bar in right.patches] == [1.2, 0.3]
    plt.close(fig)


# ---------------------------------------------------------------- criteria


def test_correlations_show_the_lower_half_once(ax):
    names = ["voice", "stability", "law"]
    table = pd.DataFrame([[1, 0.5, -0.25], [0.5, 1, 0.75], [-0.25, 0.75, 1]], names, names)
    draw_sites.correlations(ax, table)
    assert sorted(text.get_text() for text in ax.texts) == ["0.50", "0.75", "−0.25"]
    assert [label.get_text() for label in ax.get_yticklabels()] == names[1:]
    assert [label.get_text() for label in ax.get_xticklabels()] == names[:-1]


def test_an_unknown_utility_is_hatched_and_shows_its_range(ax):
    frame = lambda cells: pd.DataFrame(cells, ["FI", "BR"], ["carbon", "measures"])  # noqa: E731
    value, error = frame([[0.93, 0.67], [0.9, np.nan]]), frame([[0.04, 0.1], [0.04, np.nan]])
    low, high = frame([[np.nan, np.nan], [np.nan, 1 / 3]]), frame([[np.nan, np.nan], [np.nan, 1.0]])
    draw_sites.utilities(ax, value, error, low, high)
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    assert texts == {(0, 0): "0.93±0.04", (1, 0): "0.67±0.10", (0, 1): "0.90±0.04", (1, 1): "0.33–1.00"}
    hatched = [patch for patch in ax.patches if patch.get_hatch()]
    assert [patch.get_xy() for patch in hatched] == [(0.5, 0.5)]


# ---------------------------------------------------------------- ranks


def test_a_share_of_ranks_stands_where_it_was_found(ax):
    shares = pd.DataFrame([[0.996, 0.004], [0.004, 0.996]], index=["Here", "There"], columns=[1, 2])
    draw_sites.acceptability(ax, shares)
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "100", (1, 1): "100"}  # under half a per cent is blank
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Here", "There"]


def test_texts_stand_in_line_with_their_rows(ax):
    draw_sites.beside(ax, pd.DataFrame({"mean": ["1.0", "2.0"], "ahead": [1, 0]}))
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "1.0", (1, 0): "1", (0, 1): "2.0", (1, 1): "0"}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["mean", "ahead"]
    assert ax.get_ylim() == (1.5, -0.5)  # the first row on top, as `shaded` has it


def test_what_decides_stands_on_top_in_the_colour_of_its_kind(ax):
    rows = pd.DataFrame(
        {
            "name": ["weight of a", "error of b", "weight of c"], "kind": ["weights", "errors", "weights"],
            "total": [0.6, 0.3, 0.1], "total_give": [0.1, 0.1, 0.05], "first": [0.5, -0.01, 0.1],
        }
    )  # fmt: skip
    draw_sites.decides(ax, rows)
    bars = {round(bar.get_y() + bar.get_height() / 2): bar for bar in ax.patches}
    assert [bars[place].get_width() for place in range(3)] == pytest.approx([0.6, 0.3, 0.1])
    assert bars[0].get_facecolor() == bars[2].get_facecolor() != bars[1].get_facecolor()
    assert ax.yaxis_inverted()
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert dots.get_xdata() == pytest.approx([0.5, 0, 0.1])  # an estimate below zero is noise around none


# ---------------------------------------------------------------- losses in dollars


def test_a_bar_of_losses_is_as_long_as_its_perils_together(ax):
    draw_sites.losses_by_peril(ax, pd.DataFrame({"ban": [3_000.0, 0.0], "war": [1_000.0, 500.0]}, index=["A", "B"]))
    ends = [
        max(bar.get_x() + bar.get_width() for bar in ax.patches if abs(bar.get_y() + bar.get_height() / 2 - at) < 0.1)
        for at in (0, -1)
    ]
    assert ends == pytest.approx([4.0, 0.5])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["A", "B"]


def test_a_tornado_reaches_from_the_centre_to_both_ends(ax):
    rows = pd.DataFrame({"name": ["wide", "one-sided"], "at_low": [1_000.0, 4_000.0], "at_high": [9_000.0, 4_500.0]})
    draw_sites.tornado(ax, rows, centre=4_000.0)
    spans = [sorted((bar.get_x(), bar.get_x() + bar.get_width())) for bar in ax.patches]
    assert np.allclose(spans, [[1, 4], [4, 4], [4, 9], [4, 4.5]])


# ---------------------------------------------------------------- portfolios


def test_frontier_draws_the_uses_on_one_scale_with_their_errors(ax):
    columns = ["loss", "cvar", "cvar_error"]
    alone = {
        "mining": pd.DataFrame([[14e3, 257e3, 1e3], [33e3, 296e3, 1e3]], columns=columns, index=["7 sites", "Far"]),
        "hosting": pd.DataFrame([[6e3, 120e3, 7e3]], columns=columns, index=[""]),
    }
    mixes = {use: pd.DataFrame([[16e3, 62e3, 500.0], [14e3, 107e3, 500.0]], columns=columns) for use in alone}
    draw_sites.frontier(ax, alone, mixes)
    assert {"7 sites", "Far"} <= {text.get_text() for text in ax.texts}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mining", "hosting"]
    line, hollow = ax.get_lines()[:2]
    assert np.asarray(line.get_xdata()).tolist() == [62.0, 107.0]
    assert np.asarray(hollow.get_ydata()).tolist() == [14.0, 33.0]
    reach = [path.vertices[:, 0].tolist() for bars in ax.collections for path in bars.get_paths()]
    assert reach[0] == pytest.approx([257 - 1.96, 257 + 1.96])
    assert (ax.get_xlim()[0], ax.get_ylim()[0]) == (0, 0)


def test_split_marks_what_cannot_be_told_from_the_smallest_tail(ax):
    run = pd.DataFrame({
        "share": [0.0, 0.4, 0.6, 1.0], "cvar": [300e3, 181e3, 180e3, 270e3], "alone": [300e3, 288e3, 282e3, 270e3],
        "tied": [False, True, True, False],
    })  # fmt: skip
    draw_sites.split(ax, {"mining": run})
    curve, straight, least = (np.asarray(line.get_ydata()) for line in ax.get_lines()[:3])
    assert curve.tolist() == [300.0, 181.0, 180.0, 270.0]
    assert straight.tolist() == [300.0, 288.0, 282.0, 270.0]
    assert np.isnan(least).tolist() == [True, False, False, True]
    assert ax.get_ylim()[0] == 0
