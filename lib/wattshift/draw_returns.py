"""Shapes of figures about share returns, in the look of `draw`. Every shape draws; none computes a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from wattshift import draw


def paths(panels: Mapping[str, pd.DataFrame], strong: Sequence[str], focus: str) -> Figure:
    """Total-return paths on a log scale, a panel per entry: columns in `strong` bold, `focus` coloured.

    Of the other columns the range is shaded, lowest to highest, and their median drawn thin.
    panels: title -> worth of 1 by date, a column per line; NaN where a line is not known.
    """
    fig, grid = draw.figure(1, len(panels), height=3.2, squeeze=False)
    for ax, (title, worth) in zip(grid.flat, panels.items(), strict=True):
        looks = {name: draw.style(place) for place, name in enumerate(strong)}
        looks[focus] = {"color": draw.COLOURS["vermillion"], "linewidth": 1.6}
        others = worth.drop(columns=[*looks], errors="ignore")
        lines = {}
        if others.shape[1] > 1:
            ax.fill_between(
                worth.index, others.min(axis=1), others.max(axis=1), color=draw.MUTED, alpha=0.2, linewidth=0
            )
        if others.shape[1]:
            (line,) = ax.plot(worth.index, others.median(axis=1), color=draw.MUTED, linewidth=1.0)
            lines[line] = "median" if others.shape[1] > 1 else str(others.columns[0])
        for name, look in looks.items():
            if name in worth:
                (line,) = ax.plot(worth.index, worth[name], **look)
                lines[line] = name
        ax.set_title(title)
        draw.plain_log(ax)
        draw.dates(ax)
        ax.set_ylabel("worth of 1 USD" if ax is grid.flat[0] else "")
        draw.label_lines(ax, lines, size=7)
    return fig


def added_variables(panels: Mapping[str, tuple[pd.Series[float], pd.Series[float], float]], ylabel: str) -> Figure:
    """A share against each factor, what moves with the other factors taken out of both; its line is the loading.

    panels: title -> factor, share (fractions, by date) and slope. Axes in per cent.
    """
    fig, grid = draw.figure(1, len(panels), height=2.2, squeeze=False, sharey=True)
    for ax, (title, (x, y, slope)) in zip(grid.flat, panels.items(), strict=True):
        ax.plot(100 * x, 100 * y, "o", color=draw.COLOURS["blue"], markersize=2, alpha=0.35, markeredgewidth=0)
        ends = 100 * x.agg(["min", "max"])
        ax.plot(ends, slope * (ends - 100 * x.mean()) + 100 * y.mean(), color=draw.COLOURS["vermillion"], linewidth=1.6)
        ax.set(title=title, xlabel="the factor, %")
    grid[0, 0].set_ylabel(ylabel)
    return fig


def loadings(panels: Mapping[str, pd.DataFrame], strong: str) -> Figure:
    """Loadings of many shares with their intervals, a panel per factor, the same shares in the same order in each.

    panels: title -> rows with columns name, low, coef, high, top down; the row named `strong` is coloured.
    """
    names = list(next(iter(panels.values()))["name"])
    fig, grid = draw.figure(1, len(panels), height=0.8 + 0.16 * len(names), squeeze=False, sharey=True)
    for ax, (title, rows) in zip(grid.flat, panels.items(), strict=True):
        for place, row in enumerate(rows.itertuples()):
            look = draw.COLOURS["vermillion"] if row.name == strong else draw.INK
            ax.plot([row.low, row.high], [place, place], color=look, linewidth=1.4, solid_capstyle="butt")
            ax.plot([row.coef], [place], "o", markersize=3.6, color=look)
        ax.axvline(0, color=draw.MUTED, linewidth=0.8)
        ax.set(title=title, xlabel="% per 1 %", ylim=(len(names) - 0.4, -0.6))
        ax.grid(visible=False, axis="y")
    grid[0, 0].set_yticks(range(len(names)), names)
    return fig


def specification_curve(
    curve: pd.DataFrame, choices: Mapping[str, Sequence[str]], chosen: Mapping[str, str], ylabel: str
) -> Figure:
    """Estimates under all combinations of choices, smallest first, over a matrix that shows which choices each made.

    curve: rows in order, with coef, low, high and a column per choice. choices: column -> its levels, top down.
    chosen: the combination of this report, drawn coloured where it is one of them.
    """
    height = 0.11 * sum(len(levels) + 1 for levels in choices.values())
    fig, (top, low) = draw.figure(2, 1, height=1.9 + height, sharex=True, height_ratios=[1.7, height])
    place = range(len(curve))
    top.vlines(place, curve["low"], curve["high"], color=draw.COLOURS["sky"], linewidth=1.1)
    top.plot(place, curve["coef"], "o", color=draw.COLOURS["blue"], markersize=2.4)
    ours = (curve[list(chosen)] == pd.Series(dict(chosen))).all(axis=1).to_numpy().nonzero()[0]
    for at in ours:
        row = curve.iloc[at]
        top.vlines([at], row["low"], row["high"], color=draw.COLOURS["vermillion"], linewidth=2)
        top.plot([at], [row["coef"]], "o", color=draw.COLOURS["vermillion"], markersize=4.5)
        top.margins(y=0.16)
        draw.mark(top, at, "this report")
    top.axhline(0, color=draw.MUTED, linewidth=0.8)
    top.set_ylabel(ylabel)
    labels, ticks, line = [], [], 0.0
    for column, levels in choices.items():
        for level in levels:
            marks = (curve[column] == level).to_numpy().nonzero()[0]
            low.plot(marks, [line] * len(marks), "|", color=draw.INK, markersize=4.5, markeredgewidth=1.0)
            labels.append(level)
            ticks.append(line)
            line += 1
        line += 0.8
    low.set_yticks(ticks, labels, fontsize=7)
    low.set(ylim=(line - 1.2, -0.8), xlabel="combinations of choices, smallest estimate first")
    low.grid(visible=False)
    return fig


def splits(panels: Mapping[str, pd.DataFrame], xlabel: str) -> Figure:
    """Log changes split into parts: a bar per row, its parts end to end on either side of zero, a mark at their sum.

    panels: title -> parts, a row per share (its index names it) and a column per part, the same in every panel. The
    lower axis is in log points, the upper one shows the same as multiples.
    """
    rows = max(len(parts) for parts in panels.values())
    fig, grid = draw.figure(1, len(panels), height=1.25 + 0.25 * rows, squeeze=False, sharex=True)
    hatches = ("", "////", "....", "xxxx")
    for ax, (title, parts) in zip(grid.flat, panels.items(), strict=True):
        place = range(len(parts))
        above, below = np.zeros(len(parts)), np.zeros(len(parts))
        for at, name in enumerate(parts):
            values = parts[name].to_numpy(dtype=float)
            left = np.where(values >= 0, above, below)
            ax.barh(place, values, left=left, height=0.62, color=draw.style((0, 1, 3, 5)[at])["color"],
                    hatch=hatches[at], edgecolor="white", linewidth=0, label=str(name))  # fmt: skip
            above, below = above + np.maximum(values, 0), below + np.minimum(values, 0)
        ax.plot(parts.sum(axis=1), place, "D", color=draw.INK, markersize=4.5, markeredgecolor="white", label="price")
        ax.axvline(0, color=draw.MUTED, linewidth=0.8)
        ax.set_yticks(place, [str(name) for name in parts.index])
        ax.set(xlabel=xlabel, ylim=(len(parts) - 0.4, -0.6))
        ax.set_title(title, pad=22)
        ax.grid(visible=False, axis="y")
        times = ax.secondary_xaxis("top", functions=(np.exp, lambda value: np.log(np.maximum(value, 1e-12))))
        times.set_xticks(
            [m for m in (0.1, 0.25, 0.5, 1, 2, 4, 8, 16) if ax.get_xlim()[0] <= np.log(m) <= ax.get_xlim()[1]]
        )
        times.xaxis.set_major_formatter(lambda value, _: f"×{value:g}")
        times.tick_params(labelsize=7)
    handles, names = grid[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, ncols=len(names), loc="outside lower center", handlelength=1.4)
    return fig


def contests(summed: pd.DataFrame, worlds: NDArray[np.float64], seen: float, title: str, xlabel: str) -> Figure:
    """Running sums of loss differences over months, each line named; beside them simulated ones and the one seen.

    summed: months (a PeriodIndex) by rules, in units of an unhedged month's loss. worlds: one simulated difference a
    draw; seen: the one in the data.
    """
    fig, (ax, beside) = draw.figure(1, 2, height=2.3, width_ratios=[1.7, 1])
    days = summed.index.to_timestamp()  # type: ignore[attr-defined]
    lines = draw.curves(ax, days, {str(name): summed[name] for name in summed})
    ax.axhline(0, color=draw.MUTED, linewidth=0.8)
    ax.set(title=title, ylabel="unhedged months")
    draw.dates(ax)
    draw.label_lines(ax, lines)
    beside.hist(100 * worlds, bins=24, color=draw.COLOURS["sky"], edgecolor="white", linewidth=0.4)
    beside.axvline(100 * seen, color=draw.COLOURS["vermillion"], linewidth=1.8)
    beside.annotate("the data", (100 * seen, 1), (3, -9), xycoords=("data", "axes fraction"), fontsize=7.5,
                    textcoords="offset points", color=draw.readable(draw.COLOURS["vermillion"]))  # fmt: skip
    beside.set(xlabel=xlabel, ylabel="draws", title="if betas never changed")
    beside.grid(visible=False, axis="x")
    return fig


def claimed_gains(
    panels: Mapping[str, tuple[pd.DataFrame, float]], period: tuple[pd.Timestamp, pd.Timestamp, str]
) -> Figure:
    """Gains by the day on which they end, in per cent, a panel a share; dashed the figure claimed, shaded its period.

    panels: title -> (gains by day, a column per span; the figure claimed).
    """
    fig, grid = draw.figure(1, len(panels), height=2.5, squeeze=False)
    for ax, (title, (gained, figure)) in zip(grid.flat, panels.items(), strict=True):
        lines = draw.curves(ax, gained.index, {str(name): gained[name] for name in gained})
        ax.axhline(figure, color=draw.INK, linewidth=0.9, linestyle=(0, (4, 3)))
        draw.shade(ax, period[0], period[1])
        ax.annotate(f"claimed: {figure:,.0f}%", (0, figure), (3, 2), xycoords=("axes fraction", "data"), fontsize=7,
                    textcoords="offset points")  # fmt: skip
        ax.set_title(title)
        ax.margins(y=0.12)
        ax.xaxis.set_major_locator(draw.mdates.MonthLocator())
        ax.xaxis.set_major_formatter(draw.mdates.DateFormatter("%b"))
        if ax is grid.flat[-1]:  # the same lines in every panel
            draw.label_lines(ax, lines, size=7)
    grid[0, 0].set_ylabel(f"gain, % (shaded: {period[2]})")
    return fig


def event_paths(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean cumulative abnormal return by trading day around events, a panel per set, and the band of chance.

    panels: title -> columns caar, low, high (fractions), index offset (day 0 the event).
    """
    fig, grid = draw.figure(1, len(panels), height=2.9, squeeze=False, sharey=True)
    for ax, (title, path) in zip(grid.flat, panels.items(), strict=True):
        draw.band(ax, path.index, path["low"], None, path["high"], color=draw.MUTED)
        ax.plot(path.index, path["caar"], color=draw.COLOURS["blue"], linewidth=1.8, marker="o", markersize=2.2)
        ax.axhline(0, color=draw.MUTED, linewidth=0.6)
        ax.set(title=title, xlabel="trading days from the deal")
        draw.percent(ax)
        draw.mark(ax, 0)
    grid[0, 0].set_ylabel("cumulative abnormal return")
    return fig


def deals(rows: pd.DataFrame, xlabel: str) -> Figure:
    """One dot per deal, top down as given, with the range that its own forecast error leaves it when nothing happened.

    rows: columns name, car, reach (half-width; fractions), kind (a colour each), counted (False: hollow).
    """
    fig, ax = draw.figure(height=0.7 + 0.12 * len(rows))
    colours = dict(zip(dict.fromkeys(rows["kind"]), draw.COLOURS.values(), strict=False))
    place = -pd.Series(range(len(rows)), index=rows.index, dtype=float)
    ax.hlines(place, -rows["reach"], rows["reach"], color=draw.MUTED, linewidth=4, alpha=0.25)
    for kind, part in rows.groupby("kind", sort=False):
        for counted in (True, False):
            some = part[part["counted"] == counted]
            ax.plot(some["car"], place.loc[some.index], "o", markersize=5, color=colours[kind],
                    markerfacecolor=colours[kind] if counted else "white")  # fmt: skip
        top = int(part["car"].argmax())
        row = part.iloc[top]
        best = (max(float(row["car"]), float(row["reach"])), float(place.loc[part.index].iloc[top]))
        ax.annotate(str(kind), best, (8, 0), textcoords="offset points", va="center", fontsize=8,
                    color=draw.readable(colours[kind]))  # fmt: skip
    ax.axvline(0, color=draw.MUTED, linewidth=0.8)
    ax.set_yticks(place, list(rows["name"]), fontsize=6)
    ax.set(ylim=(-len(rows) + 0.4, 0.6), xlabel=xlabel)
    ax.grid(visible=False, axis="y")
    draw.percent(ax, "x")
    return fig


def moving_loadings(panels: Mapping[str, pd.DataFrame], marks: Sequence[Any], names: Sequence[str]) -> Figure:
    """Loadings over time, a panel each, one above the other: a line in a dark band and a pale one, other lines thin.

    panels: title -> coef, low, high, and where there are any line_low, line_high (the pale band), other (dashed),
    by date. marks: days of deals, small ticks at the foot. names: what coef and other are called, in the first panel.
    """
    fig, grid = draw.figure(len(panels), 1, height=0.4 + 1.1 * len(panels), squeeze=False, sharex=True)
    for ax, (title, path) in zip(grid.flat, panels.items(), strict=True):
        if "line_low" in path:
            ax.fill_between(
                path.index, path["line_low"], path["line_high"], color=draw.COLOURS["sky"], alpha=0.4, linewidth=0
            )
        line = draw.band(ax, path.index, path["low"], path["coef"], path["high"])
        lines = {line: names[0]} if line is not None else {}
        seen = [path[name].dropna() for name in ("line_low", "line_high", "low", "high") if name in path]
        if "other" in path:
            (other,) = ax.plot(path.index, path["other"], color=draw.INK, linewidth=0.9, linestyle=draw.DASHES[1])
            lines[other] = names[1]
        ax.axhline(0, color=draw.MUTED, linewidth=0.8)
        for day in marks:
            ax.plot(
                [day, day],
                [0, 0.05],
                color=draw.COLOURS["vermillion"],
                linewidth=1.1,
                transform=ax.get_xaxis_transform(),
            )
        settled = pd.concat(seen)
        ax.set_ylim(*(settled.quantile([0.005, 0.995]) + np.array([-0.15, 0.15]) * (settled.max() - settled.min())))
        ax.set(title=title, ylabel="% per 1 %")
        draw.dates(ax)
        if ax is grid.flat[0]:
            draw.label_lines(ax, lines, size=7.5)
    return fig


def many_loadings(panels: Mapping[str, Mapping[str, pd.DataFrame]], marks: Mapping[str, Sequence[Any]]) -> Figure:
    """A small panel a share: one line and pale band per loading, in the same colours throughout, deals at the foot.

    panels: share -> loading -> coef, line_low, line_high by date. marks: share -> days of its deals. The axis follows
    the lines; bands that reach beyond it are cut.
    """
    fig, axes = draw.small_multiples(list(panels), columns=4, row_height=1.3, sharey=True)
    for ax, (share, paths) in zip(axes, panels.items(), strict=True):
        for place, (name, path) in enumerate(paths.items()):
            look = draw.style((0, 4)[place])
            ax.fill_between(
                path.index, path["line_low"], path["line_high"], color=look["color"], alpha=0.15, linewidth=0
            )
            ax.plot(
                path.index, path["coef"], label=name, color=look["color"], linewidth=1.3, linestyle=look["linestyle"]
            )
        ax.axhline(0, color=draw.MUTED, linewidth=0.8)
        for day in marks.get(share, ()):
            ax.plot([day, day], [0, 0.07], color=draw.INK, linewidth=1.1, transform=ax.get_xaxis_transform())
        draw.dates(ax)
        ax.tick_params(axis="x", labelsize=6)
    drawn = pd.concat([path["coef"] for paths in panels.values() for path in paths.values()])
    axes[0].set_ylim(*(drawn.agg(["min", "max"]) + np.array([-0.3, 0.15]) * (drawn.max() - drawn.min())))
    handles, labels = axes[0].get_legend_handles_labels()
    fig.supylabel("% per 1 %", fontsize=8)
    fig.legend(handles, labels, ncols=len(labels), loc="outside lower center", handlelength=1.8)
    return fig


def break_days(rows: pd.DataFrame, every_day: pd.DatetimeIndex, below: int) -> Figure:
    """When a share's loadings changed, a row each, top down, and its deals: see the caption for the marks.

    rows: columns name, sure (bool: a break is found), last (the estimate), likely and wide (days kept), more (days of
    further breaks), deals (days). every_day: all days of the sample, so that gaps in the sets show. below: rows from
    this one on stand under a rule (placebos).
    """
    fig, ax = draw.figure(height=1.2 + 0.2 * len(rows))
    for place, row in enumerate(rows.to_dict("records")):
        blue = draw.COLOURS["blue"] if row["sure"] else draw.MUTED
        for days, width, colour, alpha in ((row["wide"], 1.2, draw.MUTED, 0.9), (row["likely"], 5.5, blue, 0.35)):
            kept = np.flatnonzero(every_day.isin(days))
            for run in np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1):
                if len(run):
                    ax.plot(every_day[[run[0], run[-1]]], [place, place], color=colour, alpha=alpha, linewidth=width,
                            solid_capstyle="butt")  # fmt: skip
        ax.plot([row["last"]], [place], "o", color=blue, markersize=5, markerfacecolor=blue if row["sure"] else "white")
        ax.plot(row["more"], [place] * len(row["more"]), "|", color=draw.INK, markersize=9, markeredgewidth=1.4)
        ax.plot(row["deals"], [place + 0.3] * len(row["deals"]), "^", color=draw.COLOURS["vermillion"], markersize=3.6)
    if below < len(rows):
        ax.axhline(below - 0.5, color=draw.MUTED, linewidth=0.9, linestyle=(0, (4, 2.5)))
    ax.set_yticks(range(len(rows)), list(rows["name"]), fontsize=7.5)
    ax.set(ylim=(len(rows) - 0.4, -0.7), xlim=(every_day[0], every_day[-1]))
    ax.grid(visible=False, axis="y")
    draw.dates(ax)
    blue, red = draw.COLOURS["blue"], draw.COLOURS["vermillion"]
    marks: dict[str, dict[str, Any]] = {
        "best day, a break is found": {"marker": "o", "color": blue, "linestyle": ""},
        "best day, none is found": {"marker": "o", "color": draw.MUTED, "markerfacecolor": "white", "linestyle": ""},
        "likelihood set": {"color": blue, "alpha": 0.35, "linewidth": 5.5},
        "Elliott and Müller's set": {"color": draw.MUTED, "linewidth": 1.2},
        "found one after the other": {"marker": "|", "color": draw.INK, "linestyle": "", "markersize": 9},
        "AI deal": {"marker": "^", "color": red, "linestyle": "", "markersize": 3.6},
    }
    keys = [Line2D([], [], label=label, **({"markersize": 5} | look)) for label, look in marks.items()]
    fig.legend(handles=keys, ncols=3, loc="outside lower center", fontsize=7)
    return fig
