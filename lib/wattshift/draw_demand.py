"""Shapes of figures about electricity demand: levels by publisher, scenario cases, forecasts grouped by family."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from wattshift import draw

MARKERS = "osD^vPX*"


def levels(ax: Axes, known: pd.DataFrame, aside: pd.DataFrame | None = None) -> None:
    """Published levels by year: one line of dots per publication, its name in the right margin; ranges as uprights.

    known, aside: columns name, year, twh, low, high; twh may be blank where there is a range. aside: levels that count
    something else, hollow and never joined to a line.
    """
    every = known if aside is None else pd.concat([known, aside])
    newest = int(every["year"].max())
    points: list[draw.Point] = []
    groups = [(False, *group) for group in known.groupby("name", sort=False)]
    groups += [] if aside is None else [(True, *group) for group in aside.groupby("name", sort=False)]
    for place, (other, name, part) in enumerate(groups):
        part = part.sort_values("year")
        middle = part["twh"].fillna((part["low"] * part["high"]) ** 0.5)
        look = {"color": draw.MUTED, "linestyle": ""} if other else draw.style(place)
        ax.vlines(part["year"], part["low"], part["high"], color=look["color"], linewidth=3, alpha=0.3)
        ax.plot(part["year"], middle, markersize=3.8, marker="o" if other else MARKERS[place % len(MARKERS)], **look,
                markerfacecolor="white" if other else look["color"])  # fmt: skip
        x, y, colour = int(part["year"].iloc[-1]), float(middle.iloc[-1]), draw.readable(look["color"])
        if x > newest - 3:
            points.append((str(name), colour, x, y))
        else:  # far from the margin: beside its dot
            ax.annotate(str(name), (x, y), (-6, 2) if other else (6, -2), textcoords="offset points", fontsize=7.5,
                        ha="right" if other else "left", va="bottom" if other else "top", color=colour)  # fmt: skip
    ax.set_ylim(bottom=0)
    step = max(1, round((newest - int(every["year"].min())) / 6))
    ax.set_xticks(np.arange(newest, int(every["year"].min()) - 1, -step)[::-1])
    draw.thousands(ax)
    draw.label_points(ax, points, size=7.5)


def cases(
    ax: Axes, paths: Mapping[str, pd.Series[float]], anchors: Mapping[str, pd.Series[float]], past: pd.Series[float]
) -> list[draw.Point]:
    """Scenario paths of one edition: the spread between the outermost shaded, dots where the source prints a number.

    paths: every year, by name of the case; anchors: the printed years; past: printed levels before the edition's base.
    Gives the labels for `draw.label_panels`.
    """
    together = pd.DataFrame(dict(paths))
    ax.fill_between(
        together.index, together.min(axis=1), together.max(axis=1), color=draw.COLOURS["sky"], alpha=0.35, linewidth=0
    )
    ax.plot(past.index, past, color=draw.INK, linewidth=1.6, marker="o", markersize=3)
    points: list[draw.Point] = []
    for place, (name, path) in enumerate(paths.items()):
        look = draw.style((0, 4, 3, 1)[place % 4])
        ax.plot(path.index, path, **look)
        printed = anchors[name]
        ax.plot(printed.index, printed, "o", markersize=3.4, color=look["color"])
        points.append((name, draw.readable(look["color"]), float(path.index[-1]), float(path.iloc[-1])))
    ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    draw.thousands(ax)
    return points


def forecasts(level: Axes, growth: Axes, rows: pd.DataFrame) -> None:
    """Forecasts of one year, a row each, families set apart by shading: on the left their level, on the right growth.

    rows: columns label, family, twh_low, twh, twh_high, how, growth, newest, in the order to be shown, top down. Filled
    dot: a printed level; hollow: read between printed years or from a printed growth rate; bar without a dot: from
    power. Editions with a later one among the rows are grey.
    """
    place = np.arange(len(rows))
    band = (rows["family"] != rows["family"].shift()).cumsum() % 2 == 0
    for ax in (level, growth):
        for at in place[band.to_numpy()]:
            ax.axhspan(at - 0.5, at + 0.5, color=draw.RULE, alpha=0.55, linewidth=0, zorder=0)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.grid(visible=False, axis="y")
        ax.margins(x=0.05)
    printed = (rows["how"] == "printed").to_numpy()
    for newest, colour in ((True, draw.COLOURS["blue"]), (False, "#9AA0A6")):
        same = (rows["newest"] == newest).to_numpy()
        level.hlines(place[same], rows["twh_low"][same], rows["twh_high"][same], color=colour, linewidth=4, alpha=0.3)
        for ax, values in ((level, rows["twh"]), (growth, rows["growth"])):
            for chosen, face in ((same & printed, colour), (same & ~printed, "white")):
                ax.plot(
                    values[chosen], place[chosen], "o", markersize=4.6, markerfacecolor=face, linestyle="none",
                    markeredgecolor=colour,
                )  # fmt: skip
    level.set_yticks(place, [str(label) for label in rows["label"]], fontsize=7)
    growth.set_yticks([])
    level.set_xlim(left=0)
    draw.thousands(level, "x")
    narrow = rows["growth"].max() - rows["growth"].min() < 0.04
    if narrow:  # one row, or rows that agree: whole per cents on the axis all the same
        growth.set_xlim(rows["growth"].min() - 0.03, rows["growth"].max() + 0.03)
    growth.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
    draw.percent(growth, "x")


def from_below(
    spread: Axes, needed: Axes, totals: Mapping[str, np.ndarray], published: np.ndarray, rows: pd.DataFrame,
    supply: tuple[float, float],
) -> None:  # fmt: skip
    """What counting from below gives, beside published levels; and the growth of sales that each of these asks for.

    totals: two names -> draws in TWh, the wider first, drawn as densities over a log axis; published: levels in TWh,
    ticks at the foot.
    rows: columns name, low, mid, high (growth per year as a share); supply: the range of published growth, shaded.
    """
    every = np.concatenate(list(totals.values()))
    edges = np.geomspace(min(every.min(), published.min()), every.max(), 60)
    for (name, draws), place, share in zip(totals.items(), (5, 0), (0.93, 0.3), strict=True):
        look = draw.style(place)
        heights = np.histogram(draws, edges)[0] / len(draws)
        spread.stairs(heights, edges, fill=True, color=look["color"], alpha=0.45 if place else 0.35)
        at = float(np.quantile(draws, share))
        spread.annotate(
            name, (at, float(heights[int(np.searchsorted(edges, at)) - 1])), (3 if share > 0.5 else -3, 3),
            textcoords="offset points", ha="left" if share > 0.5 else "right", va="bottom", fontsize=7.5,
            color=draw.readable(look["color"]),
        )  # fmt: skip
    spread.plot(
        published, np.zeros(len(published)), "|", color=draw.COLOURS["vermillion"], markersize=13, clip_on=False
    )
    draw.plain_log(spread, "x")
    spread.set_yticks([])
    spread.margins(y=0.15)
    needed.axvspan(*supply, color=draw.COLOURS["orange"], alpha=0.16, linewidth=0)
    draw.intervals(needed, rows["name"].tolist(), rows["low"], rows["mid"], rows["high"])
    draw.percent(needed, "x")
    needed.tick_params(axis="y", labelsize=7.5)


def power(ax: Axes, bands: pd.DataFrame, printed: pd.DataFrame, beside: Axes, grids: pd.DataFrame) -> None:
    """A fan of GW by year with what a source prints, as crosses; beside it each grid's range of added over past growth.

    bands: quantiles, a row a year; printed: columns year, value (GW); grids: columns nation, share_low,
    share_mid, share_high.
    """
    draw.fan(ax, bands.index.to_numpy(), bands)
    ax.plot(printed["year"], printed["value"], "x", color=draw.COLOURS["vermillion"], markersize=6, markeredgewidth=1.6)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    draw.thousands(ax)
    draw.intervals(beside, grids["nation"].tolist(), grids["share_low"], grids["share_mid"], grids["share_high"])
    beside.axvline(1, color=draw.MUTED, linewidth=0.9, linestyle=(0, (4, 2.5)))
    beside.set_xlim(min(0, grids["share_low"].min()), 1.06 * grids["share_high"].max())
    draw.percent(beside, "x")


def errors_by_horizon(ax: Axes, rows: pd.DataFrame, years: ArrayLike, half_width: ArrayLike) -> None:
    """Past errors against years ahead, as forecast over realised less one, on a log axis; shaded: the band of a law.

    rows: columns label, horizon, error (log). years, half_width: the band, log. Filled: too high; hollow: too low. Call
    it when the x limits stand.
    """
    half = np.asarray(half_width, dtype=float)
    ax.fill_between(years, np.exp(-half), np.exp(half), color=draw.COLOURS["sky"], alpha=0.35, linewidth=0)
    ax.axhline(1, color=draw.MUTED, linewidth=0.8)
    for high in (True, False):
        part = rows[(rows["error"] > 0) == high]
        draw.dots(ax, part["horizon"], np.exp(part["error"]), hollow=not high)
    ax.set_yscale("log")
    marks = [0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.4, 1.6]
    ax.set_yticks(marks, [f"{100 * mark - 100:+.0f}%".replace("-", "−").replace("+0%", "0%") for mark in marks])
    ax.minorticks_off()
    ax.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
    dots = zip(rows["label"], rows["horizon"], np.exp(rows["error"]), strict=True)
    draw.label_points(ax, [(label, draw.MUTED, ahead, times) for label, ahead, times in dots], size=7)


def fan(
    ax: Axes, past: pd.Series[float], quantiles: pd.DataFrame, centres: pd.DataFrame, others: ArrayLike = ()
) -> None:
    """Published levels that run into a fan, and the forecasts that it pools, named in the right margin.

    past: TWh by year. quantiles: index year, one column a level. centres: columns family, twh, for the last year.
    others: TWh that other publishers give for the year in which the fan starts, hollow.
    """
    other = np.asarray(others, dtype=float)
    draw.dots(ax, [float(quantiles.index[0])] * len(other), other, hollow=True)
    ax.plot(past.index, past, color=draw.INK, linewidth=1.4, marker="o", markersize=3.2)
    draw.fan(ax, quantiles.index, quantiles)
    end = float(quantiles.index[-1])
    colour = draw.COLOURS["vermillion"]
    ax.plot([end] * len(centres), centres["twh"], "o", color=colour, markersize=4, clip_on=False, zorder=5)
    ax.set_xlim(right=end)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
    draw.thousands(ax)
    ends = zip(centres["family"], centres["twh"], strict=True)
    draw.label_points(ax, [(name, draw.readable(colour), end, twh) for name, twh in ends], size=7.5)


def error_parts(ax: Axes, rows: pd.DataFrame) -> None:
    """Errors in their parts, a group of three level bars per forecast, top down: base, growth, and the whole as a dot.

    rows: columns label, base_error, growth_error, error, as shares.
    """
    place = np.arange(len(rows), dtype=float)
    for step, (name, word, look) in enumerate(
        (("base_error", "where it started", draw.style(0)), ("growth_error", "how it grew", draw.style(1)))
    ):
        at = place + (step - 0.5) * 0.32
        ax.barh(at, rows[name], height=0.3, color=look["color"], hatch=("", "////")[step], edgecolor="white",
                linewidth=0, label=word)  # fmt: skip
    ax.plot(rows["error"], place, "D", color=draw.INK, markersize=4.5, linestyle="none", label="together")
    ax.axvline(0, color=draw.MUTED, linewidth=0.6)
    ax.set_yticks(place, [str(label) for label in rows["label"]], fontsize=7)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.margins(x=0.12)
    ax.grid(visible=False, axis="y")
    draw.percent(ax, "x")
    ax.legend(loc="upper center", bbox_to_anchor=(0.3, -0.12), ncols=3, fontsize=7, handlelength=1.2, columnspacing=1)
