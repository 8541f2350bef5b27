"""The theme keeps its promises: the same bytes twice, distinct without colour, fonts found, labels apart."""

import hashlib
import io
import itertools

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import colors as mcolors
from matplotlib import font_manager
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox

from wattshift import draw

# Machado, Oliveira and Fernandes (2009), IEEE TVCG 15(6), severity 1.0, acting on linear RGB.
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
SRGB_TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


@pytest.fixture(autouse=True)
def _themed():
    draw.theme()
    yield
    plt.close("all")


def linear(colour):
    rgb = np.array(mcolors.to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(linear_rgb):
    """CIELAB (D65) of a linear RGB triple."""
    white = np.array(SRGB_TO_XYZ) @ np.ones(3)
    t = np.array(SRGB_TO_XYZ) @ np.clip(linear_rgb, 0, 1) / white
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_lab_of_known_colours():
    """CIE definition: white is (100, 0, 0), black 0; sRGB red is L* 53.24, a* 80.09, b* 67.20 (published value)."""
    assert lab(np.ones(3)) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(linear("#FF0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


def test_series_differ_in_grey_print():
    """Lightness alone tells any two colours apart (a just noticeable difference is about 1; 6 is plain to see)."""
    lightness = sorted(lab(linear(colour))[0] for colour in draw.COLOURS.values())
    assert np.diff(lightness).min() > 6


@pytest.mark.parametrize("matrix", [np.eye(3), PROTANOPIA, DEUTERANOPIA], ids=["all cones", "protan", "deutan"])
def test_series_differ_for_colour_blind_readers(matrix):
    """Any two colours are at least 15 apart in CIELAB, ten times what is just noticeable, for each kind of eye."""
    seen = [lab(np.array(matrix) @ linear(colour)) for colour in draw.COLOURS.values()]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def test_styles_of_one_lightness_step_differ_in_dash_or_weight():
    looks = [draw.style(i) for i in range(len(draw.COLOURS))]
    assert len({(str(look["linestyle"]), look["linewidth"]) for look in looks}) == len(looks)


@pytest.mark.parametrize("colour", [*draw.COLOURS.values(), draw.MUTED, draw.INK])
def test_words_in_a_series_colour_can_be_read(colour):
    """WCAG 2.2 contrast of text on white is at least 4.5:1."""
    assert 1.05 / (draw.luminance(draw.readable(colour)) + 0.05) >= 4.5


def svg(figure):
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def a_figure():
    fig, ax = draw.figure(height=2.5)
    x = np.arange(50)
    draw.band(ax, x, x - 3, x, x + 3, label="low")
    ax.plot(x, x + 1, label="high", clip_on=True)
    draw.mark(ax, 20, "halving")
    draw.label_lines(ax)
    return fig


def test_same_figure_same_bytes():
    first, second = (svg(a_figure()) for _ in range(2))
    assert hashlib.sha256(first.encode()).digest() == hashlib.sha256(second.encode()).digest()


def test_text_in_svg_stays_text_in_our_font_at_page_width():
    drawn = svg(a_figure())
    assert ">halving</text>" in drawn
    assert "IBM Plex Sans Arabic" in drawn
    assert 'width="475.2pt"' in drawn  # 6.6 in of 72 pt


@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_fonts_are_found(weight):
    path = font_manager.findfont(
        font_manager.FontProperties(family=draw.FONTS[0], weight=weight), fallback_to_default=False
    )
    assert path.endswith("Regular.ttf" if weight == "normal" else "Bold.ttf")


def test_arabic_and_typographic_signs_have_glyphs():
    """A missing glyph is a warning, and warnings are errors here; drawing to pixels looks every glyph up."""
    fig, ax = draw.figure(height=1.5)
    ax.set_title("سعر التجزئة، دولار لكل بيتاهاش ١٤٤")
    ax.set_xlabel("−1 ± 2 · 10³ – σ β ₿ ≤ ≥ → “ok” …")
    fig.savefig(io.BytesIO(), format="png")


def test_theme_twice_adds_no_fonts():
    before = len(font_manager.fontManager.ttflist)
    draw.theme()
    assert len(font_manager.fontManager.ttflist) == before


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12), st.floats(0.01, 50))
@settings(max_examples=200, derandomize=True)
def test_spread_keeps_order_and_distance(wanted, gap):
    placed = draw.spread(wanted, gap)
    order = np.argsort(wanted, kind="stable")
    assert np.all(np.diff(placed[order]) >= gap - 1e-6)
    assert placed.mean() == pytest.approx(np.mean(wanted), abs=1e-6)  # least squares moves no centre of gravity


def test_spread_leaves_what_has_room():
    assert draw.spread([5.0, 0.0, 20.0], 2).tolist() == [5.0, 0.0, 20.0]


def ink(box, size):
    """The part of a line box that letters can fill (the box itself is 1.5 em high, for stacked vowel signs)."""
    middle = (box.y0 + box.y1) / 2
    return Bbox.from_extents(box.x0, middle - 0.65 * size, box.x1, middle + 0.65 * size)


def test_ink_is_no_higher_than_the_next_test_takes_it_for():
    shape = TextPath((0, 0), "Ågjpقلجح", size=8, prop=font_manager.FontProperties(family=draw.FONTS[0]))
    assert 0.9 * 8 < shape.get_extents().height < 1.3 * 8


@pytest.mark.parametrize("ends", [[1, 1, 1, 1, 1, 1], [0, 0.01, 0.02, 5, 5.01], [-3, 100, 100, 99]])
def test_labels_do_not_touch_and_stay_on_the_page(ends):
    fig, ax = draw.figure(height=2.6)
    for number, end in enumerate(ends):
        ax.plot([0, 1], [0, end], label=f"Series number {number}", **draw.style(number))
    draw.label_lines(ax)
    fig.draw_without_rendering()
    boxes = [ink(text.get_window_extent(), 8 * fig.dpi / 72) for text in ax.texts if text.get_text()]
    assert len(boxes) == len(ends)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    page = fig.bbox
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)


def test_a_label_stands_at_the_height_of_its_line():
    fig, ax = draw.figure(height=2.6)
    ax.plot([0, 1, 2], [0, 3, np.nan], label="ends early")
    ax.plot([0, 1, 2], [0, 5, 9], label="last")
    draw.label_lines(ax)
    fig.draw_without_rendering()
    heights = {text.get_text(): text.get_window_extent() for text in ax.texts if text.get_text()}
    for text, end in {"ends early": 3, "last": 9}.items():
        middle = (heights[text].y0 + heights[text].y1) / 2
        assert middle == pytest.approx(ax.transData.transform((0, end))[1], abs=3)  # pixels at 110 dpi


def test_waterfall_ends_meet():
    fig, ax = draw.figure()
    total = draw.waterfall(
        ax, [("fees", 2.5), ("price", -4.0), ("difficulty", -1.0)], start=("before", 10.0), end="after"
    )
    assert total == pytest.approx(7.5)
    bars = ax.patches
    assert [bar.get_height() for bar in bars] == pytest.approx([10.0, 7.5, 2.5, -4.0, -1.0])
    starts = [bar.get_y() for bar in bars[2:]]
    assert starts == pytest.approx([10.0, 12.5, 8.5])  # each step begins where the one before ended
    words = [text.get_text() for text in ax.texts]
    assert words == ["10.0", "+2.5", "−4.0", "−1.0", "7.5"]
    plt.close(fig)


def test_fan_nests_its_bands_and_refuses_lonely_quantiles():
    _, ax = draw.figure()
    x = np.arange(3)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    frame = pd.DataFrame({level: np.full(3, level) for level in levels})
    line = draw.fan(ax, x, frame)
    assert line.get_ydata() == pytest.approx([0.5] * 3)
    spans = [np.ptp(band.get_paths()[0].vertices[:, 1]) for band in ax.collections]
    assert spans == pytest.approx([0.9, 0.5])
    with pytest.raises(ValueError, match="pairs around"):
        draw.fan(ax, x, frame[[0.05, 0.5]])


def test_log_axis_reads_as_plain_numbers():
    fig, ax = draw.figure()
    ax.plot([0, 1], [0.05, 20_000])
    draw.plain_log(ax)
    fig.draw_without_rendering()
    words = [tick.get_text() for tick in ax.get_yticklabels() if tick.get_text()]
    assert {"0.1", "1", "1,000", "10,000"} <= set(words)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2013-01-01", "2026-06-01", "2016"),
        ("2026-06-01", "2028-06-01", "Jan\n2027"),
        ("2024-04-01", "2024-05-01", "15 Apr"),
    ],
)
def test_date_axis_names_each_year_once(first, last, expected):
    fig, ax = draw.figure()
    days = pd.date_range(first, last, freq="D")
    ax.plot(days, np.arange(len(days)))
    draw.dates(ax)
    fig.draw_without_rendering()
    words = [tick.get_text() for tick in ax.get_xticklabels()]
    assert expected in words
    years = [word[-4:] for word in words if word[-4:].isdigit()]
    assert years
    assert len(years) == len(set(years))


def test_halvings_are_marked_only_inside_the_picture():
    _, ax = draw.figure()
    ax.plot(pd.to_datetime(["2023-01-01", "2025-01-01"]), [0, 1])
    draw.mark_halvings(ax, {"third": "2020-05-11", "fourth": "2024-04-20"})
    assert [text.get_text() for text in ax.texts] == ["fourth"]


def test_marks_close_together_and_at_the_edge_stay_legible():
    fig, ax = draw.figure()
    ax.plot(pd.to_datetime(["2016-01-01", "2026-01-01"]), [0, 1])
    for day, text in {
        "2020-05-11": "halving 3",
        "2021-05-21": "ban",
        "2021-01-01": "one more",
        "2025-11-01": "late",
    }.items():
        draw.mark(ax, pd.Timestamp(day), text)
    fig.draw_without_rendering()
    boxes = [ink(text.get_window_extent(), 7.5 * fig.dpi / 72) for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(box.x1 <= ax.bbox.x1 for box in boxes)


def test_small_multiples_remove_empty_places():
    fig, axes = draw.small_multiples(["a", "b", "c"], columns=2)
    assert [ax.get_title(loc="left") for ax in axes] == ["a", "b", "c"]
    assert len(fig.axes) == 3
    assert fig.get_size_inches()[0] == draw.FIGURE_WIDTH


def test_surface_writes_values_on_its_lines():
    fig, ax = draw.figure()
    x, y = np.linspace(1, 10, 40), np.linspace(1, 10, 30)
    draw.surface(ax, x, y, np.outer(y, x) * 1000, levels=[10_000, 50_000])
    fig.draw_without_rendering()
    assert {"10,000", "50,000"} <= {text.get_text() for text in ax.texts}


def test_aligned_events_frame_the_chosen_one_and_cut_what_outgrows_it():
    """A line a thousand times higher may not squeeze the one that is read; its label stays at the frame's edge."""
    offsets = pd.RangeIndex(-10, 11)
    chosen = pd.Series(np.linspace(-0.5, 0.5, 21), index=offsets)
    wild = pd.Series(np.linspace(-7.0, 7.0, 21), index=offsets)
    bounds = pd.DataFrame({0.05: chosen - 0.2, 0.5: chosen, 0.95: chosen + 0.2})
    fig, ax = draw.figure()
    draw.label_panels([(ax, draw.aligned_events(ax, chosen, {"wild": wild}, bounds, label="chosen"))])
    low, high = ax.get_ylim()
    assert low < np.exp(-0.7)
    assert np.exp(0.7) < high < 10
    fig.draw_without_rendering()
    for label in (text for text in ax.texts if text.get_text() in ("wild", "chosen")):
        at = label.get_window_extent()
        assert ax.bbox.y0 - 8 <= (at.y0 + at.y1) / 2 <= ax.bbox.y1 + 8


def test_aligned_events_without_anything_after_the_event():
    """As when the data end on the day of the event: what there is gets drawn."""
    early = pd.Series([0.1, 0.0, np.nan], index=[-1, 0, 1])
    _, ax = draw.figure()
    assert draw.aligned_events(ax, early, {}, None, label="only") == [("only", draw.readable("#0065A3"), 0.0, 1.0)]
