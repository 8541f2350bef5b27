"""How our figures look: one theme, and the shapes that the notebooks share. Nothing else in the package draws.

Every shape takes matplotlib Axes and draws into it. Sizes are for an A4 text width of 6.6 in, so a printed letter has
the size that the theme says. Colours come from Okabe and Ito (2008, "Color Universal Design"), shifted in lightness so
that each also differs from the others in grey print; the marks differ in dash or weight besides.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import fontpkg_ibm_plex_sans_arabic
import matplotlib.dates
import matplotlib.pyplot as plt
import matplotlib.transforms as mtransforms
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colors as mcolors
from matplotlib import font_manager, ticker
from matplotlib.axes import Axes
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

mdates: Any = matplotlib.dates  # its functions carry no types

FIGURE_WIDTH = 6.6  # inches: the text width of an A4 page
FONTS = ("IBM Plex Sans Arabic", "DejaVu Sans")  # the second lends what the first lacks
INK = "#22262B"  # text
MUTED = "#5F666D"  # axes, marks that are not data; 5.9:1 on white
RULE = "#E3E6E8"  # grid

COLOURS: dict[str, str] = {
    "blue": "#0065A3",
    "orange": "#E69F00",
    "black": "#22262B",
    "green": "#15A07A",
    "vermillion": "#C04F00",
    "sky": "#8FCBF0",
}
DASHES: tuple[Any, ...] = ("-", (0, (6, 1.5)), "-", (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), "-")
WIDTHS: tuple[float, ...] = (1.7, 1.5, 1.0, 1.7, 1.4, 2.6)


def theme() -> None:
    """Set the look of every later figure of this process (seaborn theme, fonts, reproducible SVG)."""
    for path in sorted((Path(fontpkg_ibm_plex_sans_arabic.__file__).parent / "files").glob("*.ttf")):
        if not any(Path(entry.fname) == path for entry in font_manager.fontManager.ttflist):
            font_manager.fontManager.addfont(path)
    sns.set_theme(
        style="whitegrid",
        palette=list(COLOURS.values()),
        rc={
            "font.family": list(FONTS),
            "font.size": 8.5,
            "axes.labelsize": 8.5,
            "axes.titlesize": 9,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 6,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "legend.frameon": False,
            "figure.titlesize": 9.5,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "axes.edgecolor": MUTED,
            "axes.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "axes.axisbelow": True,
            "axes.xmargin": 0.015,
            "axes.unicode_minus": True,
            "axes.formatter.limits": (-6, 9),
            "axes.formatter.useoffset": False,
            "grid.color": RULE,
            "grid.linewidth": 0.6,
            "xtick.bottom": True,
            "xtick.major.size": 3,
            "xtick.major.width": 0.6,
            "xtick.minor.size": 0,
            "ytick.minor.size": 0,
            "lines.linewidth": 1.5,
            "lines.solid_capstyle": "round",
            "patch.linewidth": 0.5,
            "figure.figsize": (FIGURE_WIDTH, 3.3),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 200,
            "svg.fonttype": "none",
            "svg.hashsalt": "wattshift",
        },
    )


def figure(rows: int = 1, columns: int = 1, *, height: float = 3.3, **options: Any) -> tuple[Figure, Any]:
    """A figure as wide as the page: `plt.subplots` with our size. height: inches.

    >>> fig, ax = figure(height=2.5)
    >>> fig.get_size_inches().tolist()
    [6.6, 2.5]
    >>> plt.close(fig)
    """
    made = plt.subplots(rows, columns, figsize=(FIGURE_WIDTH, height), layout="constrained", **options)
    return made[0], made[1]


def small_multiples(
    titles: Sequence[str], *, columns: int = 2, row_height: float = 1.75, **options: Any
) -> tuple[Figure, list[Axes]]:
    """One small axes per title, in reading order, sharing the x axis unless told otherwise; unused places are removed.

    options go to `plt.subplots` (sharex, sharey). row_height: inches.
    """
    columns = max(1, min(columns, len(titles)))
    rows = -(-len(titles) // columns)
    fig, grid = figure(rows, columns, height=row_height * rows + 0.35, squeeze=False, **{"sharex": True, **options})
    axes: list[Axes] = list(grid.flat)
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(title)
    for place in range(len(titles), len(axes)):
        axes[place].remove()
        axes[place - columns].tick_params(labelbottom=True)
    return fig, axes[: len(titles)]


def swept(points: pd.DataFrame, results: pd.DataFrame, axes: Mapping[str, str], titles: Mapping[str, str]) -> Figure:
    """The results of many runs against the parameters that were swept, one run a row of `points` and of `results`.

    axes: parameter -> its axis label; titles: result -> the title of its panel. With two parameters at most, one of
    them of six values at most: one panel a result, and a line for each value of that one, or a single line where it
    makes no difference. Else one panel for each result and parameter: a dot a run, a line through the means, which is
    how the runs differ along it on average.
    """
    levels = {name: int(points[name].nunique()) for name in axes}
    order = sorted(axes, key=lambda name: (pd.api.types.is_string_dtype(points[name]), -levels[name]))
    if len(axes) <= 2 and (len(axes) == 1 or levels[order[1]] <= len(COLOURS)):
        fig = _swept_lines(points, results, axes, titles, order)
    else:
        fig = _swept_means(points, results, axes, titles, order)
    return fig


def _swept_lines(
    points: pd.DataFrame,
    results: pd.DataFrame,
    axes: Mapping[str, str],
    titles: Mapping[str, str],
    order: Sequence[str],
) -> Figure:
    shown = list(titles)[:12]
    fig, panels = small_multiples([textwrap.fill(titles[name], 42) for name in shown], row_height=2.0)
    x, by = order[0], order[1] if len(order) == 2 else None
    for ax, name in zip(panels, shown, strict=True):
        place = _places_on(ax, points[x])
        labels: dict[Line2D, str] = {}
        apart = bool(by) and int(results[name].groupby(place).nunique().max()) > 1  # else all lines are one
        for index, value in enumerate(sorted(points[by].dropna().unique()) if by and apart else [None]):
            some = (points[by] == value if by and apart else points[x].notna()) & results[name].notna()
            at = place[some].sort_values()
            (line,) = ax.plot(at, results.loc[at.index, name], marker="o", markersize=3.5, **style(index))
            if by:
                labels[line] = f"{axes[by].split(',')[0]} {_level(value)}" if apart else f"any {axes[by].split(',')[0]}"
        ax.margins(x=0.06, y=0.1)
        _roomy(ax, "y")
        if labels:
            label_lines(ax, labels)
    for ax in panels[-2:]:
        ax.set_xlabel(axes[x])
    if len(titles) > len(shown):
        fig.supxlabel(f"The first {len(shown)} of {len(titles)} results; the table has all.", size=7.5, color=MUTED)
    return fig


def _swept_means(
    points: pd.DataFrame,
    results: pd.DataFrame,
    axes: Mapping[str, str],
    titles: Mapping[str, str],
    order: Sequence[str],
) -> Figure:
    shown, along = list(titles)[:4], list(order)[:4]
    fig, grid = figure(
        len(shown), len(along), height=1.75 * len(shown) + 0.5, squeeze=False, sharex="col", sharey="row"
    )
    for row, name in zip(grid, shown, strict=True):
        for ax, x in zip(row, along, strict=True):
            place = _places_on(ax, points[x])
            ax.plot(place, results[name], "o", markersize=3, alpha=0.45, color=COLOURS["blue"], markeredgewidth=0)
            means = results[name].groupby(place).mean().dropna()
            ax.plot(means.index, means, color=COLOURS["vermillion"], linewidth=1.5)
            ax.margins(x=0.06, y=0.1)
        row[0].set_title(textwrap.fill(titles[name], max(30, 84 // len(along))))
        _roomy(row[0], "y")
    for ax, x in zip(grid[-1], along, strict=True):
        ax.set_xlabel(axes[x])
    left_out = [
        f"{len(some)} of {len(everything)} {word}"
        for word, some, everything in (("results", shown, titles), ("parameters", along, order))
        if len(some) < len(everything)
    ]
    note = "A dot is a run; the line joins their means."
    note += f" Shown: the first {' and '.join(left_out)}; the table has all." if left_out else ""
    fig.supxlabel(note, size=7.5, color=MUTED)
    return fig


def _places_on(ax: Axes, values: pd.Series[Any]) -> pd.Series[float]:
    """Where the values lie on the x axis of `ax`: words side by side in their order, numbers and days as they are."""
    if pd.api.types.is_datetime64_any_dtype(values):
        dates(ax)
        return pd.Series(mdates.date2num(values), index=values.index)
    if pd.api.types.is_numeric_dtype(values):
        ticks = sorted(values.dropna().unique())
        if len(ticks) <= 6:
            ax.set_xticks(ticks)
        thousands(ax, "x")
        return values.astype(float)
    words = sorted(values.dropna().unique())
    short = [word if len(word) <= 18 else word[:17] + "…" for word in words]
    ax.set_xticks(range(len(words)), short, rotation=20 if sum(map(len, short)) > 30 else 0)
    return values.map({word: place for place, word in enumerate(words)}).astype(float)


def _roomy(ax: Axes, axis: str) -> None:
    getattr(ax, f"{axis}axis").set_major_locator(ticker.MaxNLocator(5))
    thousands(ax, axis)


def _level(value: Any) -> str:
    return (
        plain_number(float(value))
        if isinstance(value, int | float | np.number)
        else f"{value}".removesuffix(" 00:00:00")
    )


def style(index: int) -> dict[str, Any]:
    """Colour, dash and weight of the index-th series (from 0): three differences, so one survives any printer.

    >>> style(1)["color"], style(7) == style(1)
    ('#E69F00', True)
    """
    place = index % len(COLOURS)
    return {"color": list(COLOURS.values())[place], "linestyle": DASHES[place], "linewidth": WIDTHS[place]}


def luminance(colour: Any) -> float:
    """Relative luminance of a colour, 0 black to 1 white (WCAG 2.2, from linear sRGB).

    >>> round(luminance("#777777"), 3)
    0.184
    """
    rgb = np.array(mcolors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def readable(colour: Any) -> str:
    """The colour, darkened until text in it has a contrast of 4.5:1 on white (WCAG AA).

    >>> readable("#22262B")
    '#22262b'
    """
    rgb = np.array(mcolors.to_rgb(colour))
    while 1.05 / (luminance(rgb) + 0.05) < 4.5:
        rgb = rgb * 0.97
    return mcolors.to_hex(tuple(rgb))


def spread(wanted: ArrayLike, gap: float) -> NDArray[np.float64]:
    """Places as near as possible (least squares) to the wanted ones, at least `gap` apart, in the same order.

    Isotonic regression of `wanted - rank * gap` (pool adjacent violators). wanted: any order, shape (n,).

    >>> spread([0, 1, 10], gap=3).tolist()
    [-1.0, 2.0, 10.0]
    """
    values = np.asarray(wanted, dtype=float)
    order = np.argsort(values, kind="stable")
    pools: list[list[float]] = []  # [sum, count], means rising
    for target in values[order] - gap * np.arange(len(values)):
        pools.append([float(target), 1.0])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += count
    means = [total / count for total, count in pools for _ in range(int(count))]
    placed = np.empty(len(values))
    placed[order] = np.array(means) + gap * np.arange(len(values))
    return placed


def label_lines(ax: Axes, labels: Mapping[Line2D, str] | None = None, *, size: float = 8.0) -> None:
    """Write each line's label at its right end, in its colour, moved apart where they would touch. Replaces the legend.

    labels: which line gets which text; left out, every line of `ax` with a label of its own. Call it last, when the
    axis limits stand.
    """
    if labels is None:
        labels = {line: str(line.get_label()) for line in ax.get_lines() if not str(line.get_label()).startswith("_")}
    ends: list[tuple[str, str, float, float]] = []
    for line, text in labels.items():
        x, y = (np.asarray(part, dtype=float) for part in line.get_data(orig=False))
        shown = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if len(shown):
            ends.append((text, readable(line.get_color()), float(x[shown[-1]]), float(y[shown[-1]])))
    label_points(ax, ends, size=size)


Point = tuple[str, str, float, float]  # a label's text and colour, and where its point lies in data coordinates


def label_points(ax: Axes, points: Sequence[Point], *, size: float = 8.0) -> None:
    """Write (text, colour, x, y) labels in the right margin of `ax` at the height of their point, moved apart.

    x and y are data coordinates. A thin leader joins a label to a point that it had to leave.
    """
    label_panels([(ax, points)], size=size)


def label_panels(panels: Sequence[tuple[Axes, Sequence[Point]]], *, size: float = 8.0) -> None:
    """`label_points` for several axes of one figure at once: the layout is settled once for all of them."""
    panels = [(ax, points) for ax, points in panels if points]
    fig = panels[0][0].get_figure(root=True) if panels else None
    if fig is None:
        return
    aside = mtransforms.ScaledTranslation(6 / 72, 0, fig.dpi_scale_trans)
    texts = [
        [
            ax.text(1, 0.5, text, transform=ax.transAxes + aside, color=colour, fontsize=size, va="center")
            for text, colour, _, _ in points
        ]
        for ax, points in panels
    ]
    for _ in range(2):  # the words take room from the axes, which moves the points: place them, then once more
        layout = fig.get_layout_engine()
        if layout is None:
            fig.draw_without_rendering()
        else:
            layout.execute(fig)
        for (ax, points), labels in zip(panels, texts, strict=True):
            for label, (at, _, _) in zip(labels, _label_places(ax, points, size), strict=True):
                label.set_y(at)
    for ax, points in panels:
        height = ax.bbox.height * 72 / fig.dpi
        for (_, colour, x, y), (at, want, right) in zip(points, _label_places(ax, points, size), strict=True):
            if abs(at - want) * height > size * 0.35 or right < 0.97:
                leader = ax.annotate(
                    "",
                    xy=(x, y),
                    xytext=(1, at),
                    textcoords=ax.transAxes + mtransforms.ScaledTranslation(5 / 72, 0, fig.dpi_scale_trans),
                    arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
                    annotation_clip=False,
                )
                leader.set_in_layout(False)


def _label_places(ax: Axes, points: Sequence[Point], size: float) -> list[tuple[float, float, float]]:
    """For each label, as parts of the axes: its height, its point's height, its point's place from the left."""
    fig = ax.get_figure(root=True)
    height = ax.bbox.height * 72 / (fig.dpi if fig is not None else 72)
    seen = [ax.transAxes.inverted().transform(ax.transData.transform((x, y))) for _, _, x, y in points]
    wanted = np.clip([y for _, y in seen], 0, 1)
    gap = 1.35 * size * max(text.count("\n") + 1 for text, *_ in points)
    placed = spread(wanted * height, gap)
    placed -= max(0.0, placed.max() - height)  # stay inside the axes where that is possible
    placed += max(0.0, -placed.min())
    places = zip((placed / height).tolist(), wanted.tolist(), seen, strict=True)
    return [(at, want, float(right)) for at, want, (right, _) in places]


def band(
    ax: Axes,
    x: ArrayLike,
    low: ArrayLike,
    mid: ArrayLike | None,
    high: ArrayLike,
    *,
    label: str | None = None,
    color: str = COLOURS["blue"],
) -> Line2D | None:
    """A shaded range from low to high, and the line mid through it (None: no line). Gives the line."""  # fmt: skip
    ax.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
    if mid is None:
        return None
    (line,) = ax.plot(x, mid, color=color, linewidth=1.6, label=label)
    return line


def fan(
    ax: Axes, x: ArrayLike, quantiles: pd.DataFrame, *, label: str | None = None, color: str = COLOURS["blue"]
) -> Line2D | None:
    """Nested bands of a forecast, the wider the paler, with the median as a line. Gives the median's line.

    quantiles: one column per level in (0, 1), e.g. 0.05, 0.25, 0.5, 0.75, 0.95; the outermost pair first gets drawn.
    """
    levels = sorted(float(level) for level in quantiles.columns)
    values = {float(level): quantiles[level].to_numpy(dtype=float) for level in quantiles.columns}
    if not np.allclose(levels, [1 - level for level in reversed(levels)]):
        raise ValueError(f"quantile levels must come in pairs around 0.5, such as 0.05 and 0.95; given {levels}")
    for low, high in zip(levels[: len(levels) // 2], reversed(levels), strict=False):
        ax.fill_between(x, values[low], values[high], color=color, alpha=0.16, linewidth=0)
    if len(levels) % 2 == 0:
        return None
    (line,) = ax.plot(x, values[levels[len(levels) // 2]], color=color, linewidth=1.6, label=label)
    return line


def waterfall(
    ax: Axes, steps: Sequence[tuple[str, float]], *, start: tuple[str, float], end: str, format: str = "{:,.1f}"
) -> float:
    """Bars that lead from a starting total through signed steps to the ending total, which is given back.

    start: label and value of the first total. steps: label and change, in the unit of the axis. end: label of the last.
    Rises and falls differ in colour, in hatching and in their sign.
    """
    levels = start[1] + np.cumsum([0.0] + [change for _, change in steps])
    total = float(levels[-1])
    names = [start[0], *(name for name, _ in steps), end]
    ax.bar([0, len(steps) + 1], [start[1], total], color=MUTED, width=0.62)
    for place, (_, change) in enumerate(steps, start=1):
        rise = change >= 0
        ax.bar(
            place, change, bottom=levels[place - 1], width=0.62, edgecolor="white", linewidth=0,
            color=COLOURS["blue"] if rise else COLOURS["orange"], hatch="" if rise else "////",
        )  # fmt: skip
    for place, level in enumerate([start[1], *levels[1:]]):
        ax.plot([place - 0.31, place + 1.31], [level, level], color=MUTED, linewidth=0.6)
    tops = [start[1], *np.maximum(levels[:-1], levels[1:]), total]
    written = [format.format(start[1]), *(_signed(format, change) for _, change in steps), format.format(total)]
    for place, (top, words) in enumerate(zip(tops, written, strict=True)):
        ax.annotate(words.replace("-", "−"), (place, max(float(top), 0.0)), (0, 2), textcoords="offset points",
                    ha="center", va="bottom", fontsize=8)  # fmt: skip
    ax.set_xticks(range(len(names)), names)
    ax.grid(visible=False, axis="x")
    ax.axhline(0, color=MUTED, linewidth=0.6)
    low, high = min(0.0, start[1], float(levels.min())), max(0.0, start[1], float(levels.max()))
    ax.set_ylim(low - (0.05 * (high - low) if low < 0 else 0), high + 0.12 * (high - low))  # margins stop at bar ends
    return total


def _signed(format: str, change: float) -> str:
    return ("+" if change >= 0 else "−") + format.format(abs(change))


def surface(
    ax: Axes,
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    levels: Sequence[float],
    format: str = "{:,.0f}",
    limit: float | None = None,
) -> QuadContourSet:
    """A quantity over two others: pale shading, contour lines with their values. z: shape (len(y), len(x)).

    limit: where the quantity exceeds it one flat grey, and no shading elsewhere (a threshold that must survive print).
    """
    if limit is None:
        ax.contourf(x, y, z, levels=levels, cmap=pale("blue"), extend="both")
    elif (top := float(np.asarray(z).max())) > limit:
        ax.contourf(x, y, z, levels=[limit, 1.01 * top], colors=[_mix(MUTED, 0.18)])
    lines = ax.contour(x, y, z, levels=levels, colors=INK, linewidths=0.7)
    ax.clabel(lines, fmt=lambda value: format.format(value).replace("-", "−"), fontsize=7.5, inline_spacing=3)
    ax.grid(visible=False)
    return lines


def pale(name: str) -> mcolors.LinearSegmentedColormap:
    """A colour map from white to a pale shade of one of our colours, on which black letters stay readable."""
    return mcolors.LinearSegmentedColormap.from_list("pale", ["#FFFFFF", mcolors.to_hex(_mix(COLOURS[name], 0.55))])


def _mix(colour: str, share: float) -> tuple[float, float, float]:
    red, green, blue = share * np.array(mcolors.to_rgb(colour)) + (1 - share)
    return float(red), float(green), float(blue)


_HALO = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5}  # keeps a label readable on a line


def mark(
    ax: Axes, x: Any, text: str | None = None, *, side: Literal["left", "right"] | None = None, size: float = 7.5
) -> None:
    """A dashed upright line at x (a halving, an event) with a small label at its top, lower where another is.

    Call it when the axis limits stand: unless a side is asked for, the label goes to the right of its line, and to the
    left near the right edge.
    """
    x = pd.Timestamp(x) if isinstance(x, str) else x
    ax.axvline(x, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2.5)), zorder=1.5)
    if not text:
        return
    number_of: Any = ax.convert_xunits
    place = ax.transAxes.inverted().transform(ax.transData.transform((float(number_of(x)), 1)))[0]
    sign = -1 if (place > 0.85 if side is None else side == "left") else 1
    label = ax.annotate(
        text, (x, 1), (3 * sign, -1), xycoords=("data", "axes fraction"), textcoords="offset points", va="top",
        ha="right" if sign < 0 else "left", fontsize=size, color=MUTED, label="mark", bbox=_HALO,
    )  # fmt: skip
    others = [other for other in ax.texts if other.get_label() == "mark" and other is not label]
    row = 0
    while any(label.get_window_extent().overlaps(other.get_window_extent()) for other in others) and row < 4:
        row += 1
        label.set_position((3 * sign, -1 - 1.3 * size * row))


def mark_level(
    ax: Axes, y: float, text: str | None = None, *, side: str = "left", under: bool = False, size: float = 7.5
) -> None:
    """A dashed level line at y (a break-even, a threshold), small label above or under its "left" or "right" end."""
    ax.axhline(y, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2.5)), zorder=1.5)
    if text:
        place = (0, 3) if side == "left" else (1, -3)
        ax.annotate(text, (place[0], y), (place[1], -2 if under else 2), xycoords=("axes fraction", "data"), ha=side,
                    textcoords="offset points", va="top" if under else "bottom",
                    fontsize=size, color=MUTED, bbox=_HALO)  # fmt: skip


def mark_halvings(ax: Axes, days: Mapping[str, Any]) -> None:
    """Mark every halving inside the x limits of a date axis. days: label and day, e.g. {"4th": "2024-04-20"}."""
    low, high = ax.get_xlim()
    for text, day in days.items():
        at = float(mdates.date2num(pd.Timestamp(day)))
        if low <= at <= high:
            mark(ax, at, text)


def plain_log(ax: Axes, axis: str = "y") -> None:
    """A logarithmic axis whose ticks read 0.1, 1, 1,000 (never 10³), with 2 and 5 in between on short ranges."""
    for name in axis:
        getattr(ax, f"set_{name}scale")("log")
        low, high = getattr(ax, f"get_{name}lim")()
        subs = (1.0,) if high / low > 300 else (1.0, 2.0, 5.0) if high / low > 3 else tuple(np.arange(1.0, 10.0))
        the_axis = getattr(ax, f"{name}axis")
        the_axis.set_major_locator(ticker.LogLocator(base=10, subs=subs, numticks=12))
        the_axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: plain_number(value)))
        the_axis.set_minor_formatter(ticker.NullFormatter())


def plain_number(value: float) -> str:
    """A tick label without exponent.

    >>> plain_number(1e6), plain_number(0.05), plain_number(-2.5)
    ('1,000,000', '0.05', '−2.5')
    """
    text = f"{value:,.10f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def thousands(ax: Axes, axis: str = "y") -> None:
    """Tick labels with thousands separators on the named axes ("x", "y" or "xy")."""
    for name in axis:
        getattr(ax, f"{name}axis").set_major_formatter(ticker.FuncFormatter(lambda value, _: plain_number(value)))


def percent(ax: Axes, axis: str = "y", decimals: int = 0) -> None:
    """Tick labels in percent for data that are shares (0.05 reads 5%)."""
    for name in axis:
        getattr(ax, f"{name}axis").set_major_formatter(
            ticker.FuncFormatter(lambda value, _: f"{value:.{decimals}%}".replace("-", "−"))
        )


class _DayLabels(ticker.Formatter):
    """Short day labels: the year stands under the first label of each year, or alone where every label is a year."""

    def __call__(self, x: float, pos: int | None = None) -> str:  # noqa: ARG002 (matplotlib's signature)
        """The label of one day on its own, for cursors. x: days since 1970."""
        return str(mdates.num2date(x).strftime("%Y-%m-%d"))

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """The labels of all ticks together. values: days since 1970, rising."""
        days = [mdates.num2date(value) for value in values]
        if all(day.month == day.day == 1 for day in days):
            return [f"{day:%Y}" for day in days]
        months = all(day.day == 1 for day in days)
        years = [None, *(day.year for day in days)]
        return [
            (f"{day:%b}" if months else f"{day.day} {day:%b}") + (f"\n{day.year}" if day.year != before else "")
            for day, before in zip(days, years, strict=False)
        ]


def dates(ax: Axes) -> None:
    """Few, short date labels on the x axis; each year is written once."""
    ax.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=3, maxticks=8))
    ax.xaxis.set_major_formatter(_DayLabels())


def aligned_events(
    ax: Axes, chosen: pd.Series, others: Mapping[str, pd.Series], bounds: pd.DataFrame | None = None, *, label: str
) -> list[Point]:
    """One outcome around several events: `chosen` bold, `others` thin and dashed, the placebo band of `chosen` shaded.

    Every series holds logs relative to the event, index offset; the axis shows factors (1 = as at the event) on a log
    scale. bounds: columns 0.05, 0.5, 0.95 of logs, index offset; NaN where there is no band. label: of `chosen`.
    The frame follows `chosen` and its band with room to spare; another line that grows out of it is cut at the edge.
    Gives the labels of the lines for `label_panels`, which several such panels share.
    """
    factor: Any = np.exp
    parts = [chosen.to_numpy(float)] + ([] if bounds is None else [bounds[[0.05, 0.95]].to_numpy(float).ravel()])
    near = np.concatenate(parts)
    low, high = float(np.nanmin(near)), float(np.nanmax(near))
    room = 0.6 * (high - low) + 0.1
    seen = np.concatenate([near, *(path.to_numpy(float) for path in others.values())])
    low, high = max(low - room, float(np.nanmin(seen))), min(high + room, float(np.nanmax(seen)))
    ax.set_ylim(float(factor(low - 0.05)), float(factor(high + 0.05)))
    if bounds is not None:
        ax.fill_between(
            bounds.index, factor(bounds[0.05]), factor(bounds[0.95]), color=COLOURS["sky"], alpha=0.45, linewidth=0
        )
        ax.plot(bounds.index, factor(bounds[0.5]), color=MUTED, linewidth=0.8, linestyle=(0, (1, 1.5)))
    drawn: dict[str, tuple[str, pd.Series]] = {}
    colours = [COLOURS[name] for name in ("orange", "green", "black")]
    for place, (name, path) in enumerate(others.items()):
        dash = DASHES[(1, 3, 4)[place % 3]]
        ax.plot(path.index, factor(path), color=colours[place % 3], linewidth=0.9, linestyle=dash)
        drawn[name] = (colours[place % 3], path.dropna())
    ax.plot(chosen.index, factor(chosen), color=COLOURS["blue"], linewidth=1.9)
    drawn[label] = (COLOURS["blue"], chosen.dropna())
    ax.axhline(1, color=MUTED, linewidth=0.6, zorder=1.5)
    mark(ax, 0)
    plain_log(ax)
    edge = ax.get_ylim()
    ends = [(name, colour, path.index[-1], path.iloc[-1]) for name, (colour, path) in drawn.items() if len(path)]
    return [(name, readable(colour), float(x), float(np.clip(factor(y), *edge))) for name, colour, x, y in ends]


def intervals(
    ax: Axes,
    labels: Sequence[str],
    low: ArrayLike,
    mid: ArrayLike,
    high: ArrayLike,
    *,
    truth: ArrayLike | None = None,
    color: str = COLOURS["blue"],
) -> None:
    """One level range per label, top down: a thick line from low to high, a dot at mid, a cross where the truth fell.

    truth: NaN where there is none (yet).
    """
    place = -np.arange(len(labels), dtype=float)
    ax.hlines(place, low, high, color=color, linewidth=5, alpha=0.35)
    ax.plot(mid, place, "o", color=color, markersize=5)
    if truth is not None:
        ax.plot(truth, place, "x", color=COLOURS["vermillion"], markersize=7, markeredgewidth=1.8)
    ax.set_yticks(place, list(labels))
    ax.set_ylim(-len(labels) + 0.4, 0.6)
    ax.grid(visible=False, axis="y")


def level_line(
    ax: Axes, x: ArrayLike, y: ArrayLike, z: ArrayLike, level: float, *, text: str, index: int = 4, at: float = 0.5
) -> None:
    """One bold contour of a surface, z = level, with its name written along it. z: shape (len(y), len(x)).

    index: which `style`. at: where along the line its name stands, 0 to 1. A surface that never reaches the level draws
    nothing.
    """
    look = style(index)
    z = np.asarray(z, dtype=float)
    if not z.min() < level < z.max():
        return
    made = ax.contour(x, y, z, levels=[level], colors=[look["color"]], linewidths=2.0, linestyles=[look["linestyle"]])
    path = max(made.allsegs[0], key=len)
    middle = path[int(at * (len(path) - 1))]
    ax.annotate(
        text, middle, (4, 4), textcoords="offset points", fontsize=7.5, color=readable(look["color"]), weight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},
    )  # fmt: skip


def ranges(ax: Axes, rows: pd.DataFrame) -> None:
    """A strip of ranges, top down: for each row of `rows` low to high as a line, mid as a dot, its name on the y axis.

    rows: columns name, low, mid, high in units of the x axis.
    """
    for place, (low, mid, high) in enumerate(rows[["low", "mid", "high"]].itertuples(index=False)):
        ax.plot([low, high], [place, place], color=MUTED, linewidth=1.6, solid_capstyle="butt")
        ax.plot([mid], [place], "o", markersize=3.6, color=INK)
    ax.set_yticks(range(len(rows)), [str(name) for name in rows["name"]], fontsize=7)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")


def generations(ax: Axes, rows: pd.DataFrame) -> None:
    """Thin uprights with their names on end above the plot, moved apart where they would touch: release years over an
    axis of efficiency. Call it when the x limits stand.

    rows: columns name and mid, mid in units of the x axis.
    """
    rows = rows.sort_values("mid")
    points = [(float(mid), 0.0) for mid in rows["mid"]]
    if not points:
        return
    wanted = ax.transAxes.inverted().transform(ax.transData.transform(points))[:, 0]
    for name, mid, place in zip(rows["name"], rows["mid"], spread(wanted, 0.043), strict=True):
        ax.axvline(mid, color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1.6)
        ax.annotate(
            str(name), (mid, 1), (place, 1.05), xycoords=("data", "axes fraction"), textcoords="axes fraction",
            rotation=90, ha="center", va="bottom", fontsize=7, color=MUTED,
            arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def dots(ax: Axes, x: Any, y: ArrayLike, *, index: int = 0, hollow: bool = False) -> Line2D:
    """Many observations, filled or hollow (a second group must differ in grey print too). y may hold NaN.

    Gives the dots, as `label_lines` takes them.
    """
    color = style(index)["color"]
    (made,) = ax.plot(
        x, y, "o", markersize=4.0, markeredgewidth=0.8, markeredgecolor=color, color=color, linestyle="none",
        markerfacecolor="white" if hollow else color,
    )  # fmt: skip
    return made


def curves(ax: Axes, x: ArrayLike, lines: Mapping[str, ArrayLike], *, first: int = 0) -> dict[Line2D, str]:
    """Several lines over one x, each in its own style from the `first` on; gives what `label_lines` takes."""
    made: dict[Line2D, str] = {}
    for place, (name, y) in enumerate(lines.items()):
        (line,) = ax.plot(x, y, **style(first + place))
        made[line] = name
    return made


def point(ax: Axes, x: float, y: float, text: str, *, side: str = "right", index: int = 2) -> None:
    """One state on a plot, as a ringed dot with its name on the "right", "left", "above" or "below"."""
    dx, dy, ha, va = {
        "right": (6, 0, "left", "center"), "left": (-6, 0, "right", "center"),
        "above": (0, 6, "center", "bottom"), "below": (0, -6, "center", "top"),
    }[side]  # fmt: skip
    color = style(index)["color"]
    ax.plot([x], [y], "o", markersize=6, markerfacecolor="white", markeredgecolor=color, markeredgewidth=1.6, zorder=6)
    ax.annotate(
        text, (x, y), (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=7.5, color=readable(color), zorder=7,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
    )  # fmt: skip


def side_by_side(ax: Axes, table: pd.DataFrame, *, format: str = "{:+.2f}") -> None:
    """Groups of signed bars: one group per row of `table` (its index names it), one bar per column, values written on.

    Columns differ in colour and hatching and are named in a legend (the groups repeat them, so no direct label fits).
    """
    hatches = ("", "////", "....", "xxxx")
    wide = 0.8 / table.shape[1]
    for place, name in enumerate(table.columns):
        look = style((0, 1, 3, 5)[place % 4])
        x = np.arange(len(table)) + (place - (table.shape[1] - 1) / 2) * wide
        values = table[name].to_numpy(dtype=float)
        ax.bar(x, values, width=wide * 0.9, color=look["color"], hatch=hatches[place % 4], edgecolor="white",
               linewidth=0, label=str(name))  # fmt: skip
        for at, value in zip(x, values, strict=True):
            up = value >= 0
            ax.annotate(format.format(value).replace("-", "−"), (at, value), (0, 2 if up else -2), ha="center",
                        textcoords="offset points", va="bottom" if up else "top", fontsize=7)  # fmt: skip
    ax.axhline(0, color=MUTED, linewidth=0.6)
    ax.set_xticks(range(len(table)), [str(name) for name in table.index])
    ax.grid(visible=False, axis="x")
    ax.margins(y=0.14)
    ax.legend(ncols=table.shape[1], loc="upper center", bbox_to_anchor=(0.5, 1.14), handlelength=1.4)


def long_run(
    days: ArrayLike, level: ArrayLike, ylabel: str, marks: Mapping[str, Any], shifts: pd.DataFrame, xlabel: str
) -> None:
    """A positive quantity over time on a log scale, its geometric mean dashed; beside it, where `shifts` has rows, how
    far its counterpart moved at each date, as a multiple of the level before on a log scale.

    marks: label and day of the dashed uprights. shifts: columns name, low, mid, high, theory, all as shares above -1
    (-0.5 is a fall by half, drawn at 0.5); theory is drawn as a cross.
    """
    beside = len(shifts) > 0
    ratios = {"width_ratios": [1.8, 1]} if beside else {}
    _, panels = figure(1, 2 if beside else 1, height=2.8, squeeze=False, **ratios)
    ax = panels[0, 0]
    values = np.asarray(level, dtype=float)
    ax.plot(days, values, color=COLOURS["blue"], linewidth=1.2)
    ax.set_ylabel(ylabel)
    plain_log(ax)
    dates(ax)
    mark_level(ax, float(np.exp(np.log(values).mean())), "mean", side="right")
    mark_halvings(ax, marks)
    if beside:
        other = panels[0, 1]
        low, mid, high, theory = (1 + shifts[name] for name in ("low", "mid", "high", "theory"))
        intervals(other, shifts["name"].tolist(), low, mid, high, truth=theory)
        plain_log(other, "x")
        other.axvline(1, color=MUTED, linewidth=0.6)
        other.set_xlabel(xlabel)


def responses(answers: Mapping[str, pd.DataFrame]) -> None:
    """Responses over weeks with their bands, one panel a title. Frames: columns horizon, low, response, high."""
    _, panels = figure(1, len(answers), height=2.7, squeeze=False)
    for ax, (title, answer) in zip(panels.flat, answers.items(), strict=True):
        band(ax, answer["horizon"], answer["low"], answer["response"], answer["high"])
        ax.axhline(0, color=MUTED, linewidth=0.8)
        ax.set(title=title, xlabel="Weeks after the surprise", ylabel="Response, % per 1 %")


def shade(ax: Axes, first: Any, last: Any, text: str | None = None, *, size: float = 7.5) -> None:
    """A pale upright stretch from first to last (a month, the period of a claim), with a small label at its foot."""
    ax.axvspan(first, last, color=_mix(MUTED, 0.25), linewidth=0, zorder=0.5)
    if text:
        ax.annotate(text, (last, 0), (3, 3), xycoords=("data", "axes fraction"), textcoords="offset points",
                    va="bottom", ha="left", fontsize=size, color=MUTED)  # fmt: skip


def against_costs(ax: Axes, price: pd.Series[float], costs: Mapping[str, pd.Series[float]]) -> None:
    """A price in bold and the costs it has to beat, both on a logarithmic axis, each labelled at its end.

    price, costs : USD per BTC by day (DatetimeIndex); the price has to lie above a cost for it to be earned. A cost
    that is nothing has no place on the axis and is left out.
    """
    price_line = ax.plot(price.index, price, color=INK, linewidth=2.0)[0]
    lines = {price_line: "price"}
    for place, (name, cost) in enumerate(costs.items()):
        if not (cost > 0).any():
            continue
        lines[ax.plot(cost.index, cost, **style((0, 1, 3, 5)[place % 4]))[0]] = name  # black is the price's
    plain_log(ax)
    dates(ax)
    ax.set_ylabel("USD per BTC")
    label_lines(ax, lines)


def outlook(
    seen: pd.Series[float],
    days: ArrayLike,
    quantiles: pd.DataFrame,
    shares: Mapping[str, ArrayLike],
    level: tuple[float, str],
    marks: Mapping[str, Any],
    *,
    ylabel: str,
    share_label: str,
) -> None:
    """A past that runs into a fan on a log scale with a level to stay above; under it, shares of paths that do not.

    seen: the past by day. days, quantiles, shares: the fan as `fan` takes it, and lines between 0 and 1 over the same
    days. level: its value and name. marks: label and day of dashed uprights, in both panels.
    """
    _, (ax, low) = figure(2, 1, height=3.9, sharex=True, height_ratios=[1.9, 1])
    ax.plot(seen.index, seen, color=INK, linewidth=1.2)
    fan(ax, days, quantiles)
    plain_log(ax)
    ax.set_ylabel(ylabel)
    lines = curves(low, days, shares)
    low.set(ylim=(-0.03, 1.03), ylabel=share_label)
    percent(low)
    dates(low)
    above = float(seen.head(len(seen) // 2 + 1).min()) > level[0]  # then the space under the level is free there
    mark_level(ax, *level, side="left", under=above)
    in_order = sorted(marks.items(), key=lambda item: pd.Timestamp(item[1]))
    for place, (text, day) in enumerate(in_order, 1):  # labels stand outside, so that no upright cuts one
        mark(ax, day, text, side="right" if place == len(in_order) else "left")
        mark(low, day)
    label_lines(low, lines)


def places(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]], *, claimed: float, xlabel: str, ylabel: str
) -> None:
    """Where truths fell in their fans (0 to 1), one panel a title; the central share `claimed` is shaded.

    panels: title -> name of a group -> x and places. Groups differ in colour and mark: dot, cross.
    """
    _, axes = figure(1, len(panels), height=2.2, sharey=True, squeeze=False)
    for ax, (title, groups) in zip(axes.flat, panels.items(), strict=True):
        ax.axhspan((1 - claimed) / 2, (1 + claimed) / 2, color=COLOURS["blue"], alpha=0.12, linewidth=0)
        for (name, (x, y)), shape, colour in zip(
            groups.items(), "ox", (COLOURS["blue"], COLOURS["vermillion"]), strict=False
        ):
            ax.plot(x, y, shape, color=colour, markersize=4.5, label=name)
        ax.set(title=title, xlabel=xlabel, ylim=(-0.06, 1.06))
        ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    percent(axes[0, 0])
    axes[0, 0].set_ylabel(ylabel)
