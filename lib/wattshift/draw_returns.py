"""Shapes of figures about share returns, in the look of `draw`. Every shape draws; none computes a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from wattshift import draw


def paths(panels: Mapping[str, pd.DataFrame], strong: Sequence[str], focus: str) -> Figure:
    """Total-return paths on a log scale, a panel per entry: columns in `strong` bold, `focus` coloured, others thin.

    panels: title -> worth of 1 by date, a column per line; NaN where a line is not known.
    """
    fig, grid = draw.figure(1, len(panels), height=3.9, squeeze=False)
    for ax, (title, worth) in zip(grid.flat, panels.items(), strict=True):
        lines = {}
        for name in worth:
            place = strong.index(name) if name in strong else None
            look = draw.style(place) if place is not None else {"color": draw.MUTED, "linewidth": 0.6, "alpha": 0.75}
            if name == focus:
                look = {"color": draw.COLOURS["vermillion"], "linewidth": 1.6}
            (line,) = ax.plot(worth.index, worth[name], **look)
            lines[line] = str(name)
        ax.set_title(title)
        draw.plain_log(ax)
        draw.dates(ax)
        ax.set_ylabel("worth of 1 USD" if ax is grid.flat[0] else "")
        draw.label_lines(ax, lines, size=7)
    return fig
