"""Shapes of figures about electricity demand: levels by publisher, scenario cases, forecasts grouped by family."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import ticker
from matplotlib.axes import Axes

from wattshift import draw


def levels(ax: Axes, known: pd.DataFrame, aside: pd.DataFrame | None = None) -> None:
    """Published levels by year: one line of dots per publication, its name in the right margin; ranges as uprights.

    known, aside: columns name, year, twh, low, high; twh may be blank where there is a range. aside: levels that count
    something else, hollow and never joined to a line.
    """
    points: list[draw.Point] = []
    for place, (name, part) in enumerate(known.groupby("name", sort=False)):
        look = draw.style(place)
        part = part.sort_values("year")
        middle = part["twh"].fillna((part["low"] * part["high"]) ** 0.5)
        ax.vlines(part["year"], part["low"], part["high"], color=look["color"], linewidth=3, alpha=0.35)
        ax.plot(part["year"], middle, marker="o", markersize=3.6, **look)
        points.append((str(name), draw.readable(look["color"]), float(part["year"].iloc[-1]), float(middle.iloc[-1])))
    for name, part in () if aside is None else aside.groupby("name", sort=False):
        middle = part["twh"].fillna((part["low"] * part["high"]) ** 0.5)
        ax.vlines(part["year"], part["low"], part["high"], color=draw.MUTED, linewidth=3, alpha=0.25)
        ax.plot(
            part["year"], middle, "o", markersize=5, markerfacecolor="white", markeredgecolor=draw.MUTED, linestyle=""
        )
        points.append((str(name), draw.MUTED, float(part["year"].iloc[-1]), float(middle.iloc[-1])))
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
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
    growth.xaxis.set_major_locator(ticker.MaxNLocator(5, steps=[1, 2, 5, 10]))
    draw.percent(growth, "x")
