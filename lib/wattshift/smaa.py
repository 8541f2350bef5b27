"""Ranks of sites that admit doubt: stochastic multicriteria acceptability analysis, SMAA-2, and what a rank hangs on.

A site's score is the weighted sum of its values, weights at least zero that add to one. Neither is known: weights are
drawn evenly from all that agree with what was said of them, values by their own errors and cut to 0..1 (cells with one
source share one draw), a missing value evenly from the range that stands for it. What comes out is how often each site
takes each rank.

Lahdelma and Salminen (2001), "SMAA-2: stochastic multicriteria acceptability analysis for group decision making",
Operations Research 49(3). Weights under preferences: Tervonen, van Valkenhoef, Basturk and Postmus (2013), "Hit-and-run
enables efficient weight generation for simulation-based multiple criteria decision analysis", European Journal of
Operational Research 224(3).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.optimize import linprog
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from wattshift.refusal import Refusal
from wattshift.sites import Panel

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.integer[Any]]

CHUNK = 4096  # draws worked on at a time: keeps memory small
WALK = 200  # steps of hit-and-run behind each draw, from a start spread over the polytope
SEARCHES = 60  # linear programmes in random directions that look for corners to start from
ACCEPTED = 0.005  # least share of draws that agree with what was said for drawing and sorting out
POOL = 1 << 14  # weights that a Sobol index of all weights together draws from
FLAT = 1e-9  # a slack below this is none
TINY = 1e-200  # keeps a slack that rounding has made zero out of a denominator
CONFIDENCE = 20_000  # draws of the values behind a confidence factor, at most: a standard error of 0.35 points or less
WALKERS = 1024  # walks side by side
ALIKE = 1e-6  # scores in single precision that are no further apart are equal
SIGN = re.compile(r"\s*(>=|<=|≥|≤|==?|>|<|\bis\b)\s*")
NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*(e[-+]?\d+)?\s*%?", re.IGNORECASE)


# ---------------------------------------------------------------- what is said of the weights


@dataclass(frozen=True, slots=True)
class Preferences:
    """All weights w that agree with what was said: rows @ w >= least and equal @ w = level; a flat side is an equality.

    rows (m, C), least (m), equal (k, C), level (k): the non-negative weights and their sum of one are among them.
    """

    criteria: tuple[str, ...]
    said: tuple[str, ...]
    rows: Floats
    least: Floats
    equal: Floats
    level: Floats


@dataclass(frozen=True, slots=True)
class _Statement:
    """row @ w >= level, above it where strict, or equal to it."""

    text: str
    row: Floats
    level: float
    kind: Literal["at least", "above", "equal"]


def preferences(
    statements: Sequence[str], criteria: Sequence[str], gone: Mapping[str, str] | None = None
) -> Preferences:
    """What statements such as "governance > carbon" say of the weights of criteria.

    gone: criteria that are not in use, each with the reason, for the refusal of a statement that names one.

    A statement compares weights with each other or with a share of one, by >, >=, <, <= or "is", also in a chain:
    "governance > violence > carbon", "0.1 <= carbon <= 0.3", "fuel mix is 0.2". No statement: all weights are equally
    good. Raises Refusal for a criterion that is not in use (with the reason, or naming the nearest), a statement that
    is none or compares a criterion with itself, and statements that no weights satisfy (naming the fewest that clash,
    with the sum where it is to blame).

    >>> told = preferences(["carbon <= 0.1"], ["governance", "carbon"])
    >>> told.rows.tolist(), told.least.tolist()
    ([[1.0, 0.0], [0.0, 1.0], [-0.0, -1.0]], [0.0, 0.0, -0.1])
    """
    names = tuple(criteria)
    if not names or len(set(names)) < len(names):
        raise Refusal("the criteria need names, and each its own.")
    parts = [part for text in statements for part in _read(text, names, gone or {})]
    if not _possible(parts, len(names)):
        raise Refusal(_clash(parts, names))
    bounds = [part for part in parts if part.kind != "equal"]
    exact = [part for part in parts if part.kind == "equal"]
    size = len(names)
    rows = np.vstack([np.eye(size), *(part.row for part in bounds)])
    least = np.array([0.0] * size + [part.level for part in bounds])
    equal = np.vstack([np.ones(size), *(part.row for part in exact)])
    level = np.array([1.0] + [part.level for part in exact])
    flat = _flat(rows, least, equal, level)
    equal, level = np.vstack([equal, rows[flat]]), np.concatenate([level, least[flat]])
    return Preferences(names, tuple(statements), rows[~flat], least[~flat], equal, level)


def _read(text: str, names: tuple[str, ...], gone: Mapping[str, str]) -> list[_Statement]:
    """The comparisons of one statement, left to right."""
    pieces = SIGN.split(str(text).strip())
    terms, signs = pieces[::2], pieces[1::2]
    if not signs or not all(term.strip() for term in terms):
        raise Refusal(
            f"{text!r} says nothing of weights; say for example {names[0]} > {names[-1]}, or {names[0]} >= 0.2."
        )
    sides = [_term(term, text, names, gone) for term in terms]
    found = []
    for (left, low), sign, (right, high) in zip(sides[:-1], signs, sides[1:], strict=True):
        if not left.any() and not right.any():
            raise Refusal(f"{text!r} compares no weight; say for example {names[0]} >= 0.2.")
        if (left == right).all():
            raise Refusal(f"{text!r} compares {names[int(left.argmax())]} with itself; name two criteria, or a share.")
        way = -1.0 if sign in ("<", "<=", "≤") else 1.0
        kind: Literal["at least", "above", "equal"] = (
            "above" if sign in "<>" else "at least" if sign in ("<=", ">=", "≤", "≥") else "equal"
        )
        found.append(_Statement(text, way * (left - right), way * (high - low), kind))
    return found


def _term(term: str, text: str, names: tuple[str, ...], gone: Mapping[str, str]) -> tuple[Floats, float]:
    """A criterion as its unit vector, or a share as a number: (vector, number)."""
    word = " ".join(term.split())
    if NUMBER.fullmatch(word):
        try:
            share = float(word)
        except ValueError:
            share = np.nan
        if not 0 <= share <= 1:
            raise Refusal(f"a weight is a share between 0 and 1, such as 0.2; {text!r} gives {word}.")
        return np.zeros(len(names)), share
    known = {name.casefold(): place for place, name in enumerate(names)}
    for name, reason in gone.items():
        if name.casefold() == word.casefold() and name not in names:
            raise Refusal(f"{text!r} speaks of {name}, which is not in use: {reason}.")
    if word.casefold() not in known:
        near = difflib.get_close_matches(word.casefold(), list(known), n=1)
        hint = f"did you mean {names[known[near[0]]]}?" if near else f"there are {', '.join(names)}."
        raise Refusal(f"{text!r} names no criterion in use with {word!r}; {hint}")
    return np.eye(len(names))[known[word.casefold()]], 0.0


def _possible(parts: Sequence[_Statement], size: int) -> bool:
    """Whether some weights satisfy all statements, those that say "more than" with something to spare."""
    bounds = [part for part in parts if part.kind != "equal"]
    exact = [part for part in parts if part.kind == "equal"]
    found = linprog(  # the largest slack t of the strict statements, at most one
        np.append(np.zeros(size), -1.0),
        A_ub=np.array([[*-part.row, float(part.kind == "above")] for part in bounds]) if bounds else None,
        b_ub=[-part.level for part in bounds] if bounds else None,
        A_eq=np.array([[1.0] * size + [0.0], *([*part.row, 0.0] for part in exact)]),
        b_eq=[1.0, *(part.level for part in exact)],
        bounds=[(0, 1)] * (size + 1),
    )
    return bool(found.status == 0 and (-found.fun > FLAT or not any(part.kind == "above" for part in parts)))


def _clash(parts: list[_Statement], names: tuple[str, ...]) -> str:
    """The sentence that names the fewest statements that cannot hold together, and the sum where that is to blame."""
    for part in list(parts):
        fewer = [other for other in parts if other is not part]
        if not _possible(fewer, len(names)):
            parts = fewer
    said = " and ".join(dict.fromkeys(part.text for part in parts))
    single = all(np.count_nonzero(part.row) == 1 for part in parts)
    if single and len({int(part.row.nonzero()[0][0]) for part in parts}) == len(parts) > 1:
        total = sum(abs(part.level) for part in parts)
        return f"no weights satisfy {said}: these add to {total:.6g}, and all weights together add to 1."
    return f"no weights satisfy {said}" + (
        " together: they contradict each other." if len(parts) > 1 else ": weights lie between 0 and 1 and add to 1."
    )


def _flat(rows: Floats, least: Floats, equal: Floats, level: Floats) -> Flags:
    """Which inequalities hold with equality for all weights that satisfy everything (m).

    One linear programme in (x, a, t) with w = x / a: the slacks t of all other rows reach one together when a is large
    enough (Freund, Roundy and Todd, 1985).
    """
    m, size = rows.shape
    found = linprog(
        np.concatenate([np.zeros(size + 1), -np.ones(m)]),
        A_ub=np.hstack([-rows, least[:, None], np.eye(m)]),
        b_ub=np.zeros(m),
        A_eq=np.hstack([equal, -level[:, None], np.zeros((len(equal), m))]),
        b_eq=np.zeros(len(equal)),
        bounds=[(0, None)] * size + [(1, None)] + [(0, 1)] * m,
    )
    return np.asarray(found.x[size + 1 :] < 0.5)


# ---------------------------------------------------------------- weights


def weights(told: Preferences, n: int, rng: np.random.Generator) -> Floats:
    """n weights, each even over all that agree with what was said; shape (n, C), rows add to one.

    Nothing said, or only lower bounds and exact weights: Dirichlet draws, exact; so they are, put in order, under an
    order of all criteria and nothing else. Otherwise such draws are sorted out, exact too, where at least `ACCEPTED` of
    them agree; and hit-and-run where fewer do. All draws are independent.

    >>> weights(preferences(["a is 0.25"], ["a", "b"]), 1, np.random.default_rng(0)).tolist()
    [[0.25, 0.75]]
    """
    if n < 1:
        raise Refusal(f"a ranking needs one draw at least; given {n}.")
    if (order := _full_order(told)) is not None:
        return np.take_along_axis(-np.sort(-rng.dirichlet(np.ones(len(order)), n), axis=1), order[None, :], axis=1)
    shape = _shape(told)
    if shape is None:
        return hit_and_run(told, n, rng)
    kept: list[Floats] = []
    drawn = count = 0
    while count < n:
        share = count / drawn if drawn else 1.0
        made = _spread(
            shape, rng.standard_exponential((int(min(50_000, 1.1 * (n - count) / share + 50)), shape.free.sum()))
        )
        good = made[(made @ shape.rows.T >= shape.least).all(axis=1)]
        kept.append(good)
        drawn, count = drawn + len(made), count + len(good)
        if count < ACCEPTED * drawn:
            return hit_and_run(told, n, rng)
    return np.concatenate(kept)[:n]


def by_family(
    criteria: Sequence[str], families: Mapping[str, Sequence[str]], n: int, rng: np.random.Generator
) -> Floats:
    """n weights, even over the families and then even within each; shape (n, C).

    Even weights favour what has been cut into many criteria; these give it its share once. A family of none of the
    criteria is left aside. Raises Refusal for a criterion in no family, or in two.
    """
    of = [[name for name, members in families.items() if criterion in members] for criterion in criteria]
    for criterion, found in zip(criteria, of, strict=True):
        if len(found) != 1:
            raise Refusal(f"{criterion} has to be in one family; it is in {' and '.join(found) or 'none'}.")
    made = rng.standard_exponential((n, len(of)))
    names = sorted({found[0] for found in of})
    share = rng.dirichlet(np.ones(len(names)), n)
    for place, name in enumerate(names):
        inside = np.array([found[0] == name for found in of])
        made[:, inside] *= (share[:, place] / made[:, inside].sum(axis=1))[:, None]
    return made


def _full_order(told: Preferences) -> Integers | None:
    """How many criteria come before each (C), where an order of all of them is said and nothing else; or None."""
    size = len(told.criteria)
    pairs = told.rows[np.count_nonzero(told.rows, axis=1) == 2]
    if len(told.equal) > 1 or told.least.any() or len(pairs) + size != len(told.rows) or pairs.sum(axis=1).any():
        return None
    after = np.eye(size, dtype=bool)
    after[pairs.argmax(axis=1), pairs.argmin(axis=1)] = True
    for _ in range(size):  # what comes after what comes after comes after
        after = after @ after
    return after.sum(axis=0) - 1 if (after | after.T).all() else None


@dataclass(frozen=True, slots=True)
class _Shape:
    """A simplex base + rest × Dirichlet over the free weights, and what else was said: rows @ w >= least."""

    base: Floats
    free: Flags
    rows: Floats
    least: Floats


def _shape(told: Preferences) -> _Shape | None:
    """The smallest such simplex around the weights told; None where an equality ties weights to each other."""
    exact, level = told.equal[1:], told.level[1:]
    if (np.count_nonzero(exact, axis=1) != 1).any():
        return None
    base, free = np.zeros(len(told.criteria)), np.ones(len(told.criteria), dtype=bool)
    single = (np.count_nonzero(told.rows, axis=1) == 1) & (told.rows.sum(axis=1) > 0)
    for row, least in zip(told.rows[single], told.least[single], strict=True):
        place = int(row.argmax())
        base[place] = max(base[place], least)
    for row, value in zip(exact, level, strict=True):
        place = int(row.nonzero()[0][0])
        base[place], free[place] = value / row[place], False
    return _Shape(base, free, told.rows[~single], told.least[~single])


def _spread(shape: _Shape, exponentials: Floats) -> Floats:
    """Weights (n, C) from independent exponentials (n, free): even over the simplex of the shape."""
    made = np.tile(shape.base, (len(exponentials), 1))
    if shape.free.any():
        share = exponentials / exponentials.sum(axis=1, keepdims=True)
        made[:, shape.free] += max(0.0, 1 - shape.base.sum()) * share
    return made


def hit_and_run(told: Preferences, n: int, rng: np.random.Generator) -> Floats:
    """n weights, each the end of its own hit-and-run walk of `WALK` steps; shape (n, C).

    A step goes from where the walk stands to a point drawn evenly from the chord in a random direction, which leaves
    the even distribution as it is (Smith, 1984). Walks are in the space of the free weights, so that equalities hold;
    they start at random mixtures of corners found by linear programmes, and directions follow the spread of those, so
    that a thin polytope is no obstacle (Belisle, Romeijn and Smith, 1993).
    """
    point = np.linalg.lstsq(told.equal, told.level, rcond=None)[0]
    basis = null_space(told.equal)
    if not basis.shape[1]:
        return np.tile(np.clip(point, 0, None), (n, 1))
    corners = _corners(told, basis, rng)

    def walked(count: int, stretch: Floats, steps: int) -> Floats:
        at = rng.dirichlet(np.ones(len(corners)), count) @ corners
        _walk(at, told, basis @ stretch, steps, rng)
        return at

    start = rng.dirichlet(np.ones(len(corners)), WALKERS) @ corners
    stretch = _stretch(walked(WALKERS, _stretch(start @ basis), WALK // 2) @ basis)
    parts = [walked(min(WALKERS, n - place), stretch, WALK) for place in range(0, n, WALKERS)]
    return np.clip(np.concatenate(parts), 0, None)


def _stretch(points: Floats) -> Floats:
    """The matrix that gives standard normal directions the spread of points (n, d): (d, d)."""
    return np.asarray(np.linalg.cholesky(np.cov(points.T).reshape(points.shape[1], points.shape[1])), dtype=float)


def _walk(at: Floats, told: Preferences, ways: Floats, steps: int, rng: np.random.Generator) -> None:
    """Walk `at` (n, C) in place, in directions ways (C, d) times standard normals."""
    rates = told.rows @ ways
    slack = np.maximum(at @ told.rows.T - told.least, TINY)
    for _ in range(steps):
        normals = rng.standard_normal((len(at), ways.shape[1]))
        rate = normals @ rates.T
        pull = rate / slack  # a row is reached after -1 / pull: ahead where it falls, behind where it grows
        back, ahead = -1 / pull.max(axis=1), -1 / pull.min(axis=1)
        step = (back + (ahead - back) * rng.random(len(at)))[:, None]
        at += step * (normals @ ways.T)
        slack = np.maximum(slack + step * rate, TINY)


def _corners(told: Preferences, basis: Floats, rng: np.random.Generator) -> Floats:
    """Corners of the polytope that span it, and more in random directions (k, C); linear programmes find them."""

    def corner(way: Floats) -> Floats:
        made = linprog(-way, A_ub=-told.rows, b_ub=-told.least, A_eq=told.equal, b_eq=told.level, bounds=(None, None))
        return np.asarray(made.x, dtype=float)

    found = [corner(basis[:, 0])]
    while len(found) <= basis.shape[1]:
        inside = np.array([(one - found[0]) @ basis for one in found])
        ways = null_space(inside) if len(found) > 1 else np.eye(basis.shape[1])
        way = basis @ ways[:, 0]
        ends = [corner(way), corner(-way)]
        found.append(max(ends, key=lambda end: abs(float((end - found[0]) @ way))))
    found += [corner(basis @ rng.standard_normal(basis.shape[1])) for _ in range(SEARCHES)]
    return np.unique(np.round(found, 12), axis=0)


# ---------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A panel as value = centre + spread × noise[column], cut to 0..1: noise is normal for errors, else even.

    centre, spread (S, C); column (S, C): which noise; even (K): which noises are even from -1/2 to 1/2.
    """

    centre: Floats
    spread: Floats
    column: Integers
    even: Flags


def _doubt(panel: Panel) -> _Doubt:
    known = np.isfinite(panel.value)
    bad = ~np.where(known, np.isfinite(panel.error) & (panel.error >= 0), panel.low <= panel.high)
    if not len(panel.sites) or not len(panel.criteria):
        raise Refusal("a ranking needs one site and one criterion at least.")
    if bad.any():
        site, criterion = np.argwhere(bad)[0]
        raise Refusal(
            f"{panel.criteria[criterion]} of {panel.sites[site]} has neither a value with an error of zero or more "
            "nor a range from low to high."
        )
    beyond = (np.where(known, panel.value, panel.low) < -FLAT) | (np.where(known, panel.value, panel.high) > 1 + FLAT)
    if beyond.any():
        site, criterion = np.argwhere(beyond)[0]
        raise Refusal(
            f"{panel.criteria[criterion]} of {panel.sites[site]} lies beyond 0 and 1, the ends of a utility: "
            "bring figures to a scale first (sites.panel)."
        )
    centre = np.where(known, panel.value, (panel.low + panel.high) / 2)
    spread = np.where(known, panel.error, panel.high - panel.low)
    key = np.where(spread > 0, 2 * panel.source + ~known, -1)  # an error and a range of one source are two draws
    ids, column = np.unique(key, return_inverse=True)
    return _Doubt(centre, spread, column.reshape(centre.shape), (ids % 2 == 1) & (ids >= 0))


def _noise(doubt: _Doubt, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """n draws of every noise, (K, n); a row of its own for each, so that a gather is a copy of rows."""
    made = rng.standard_normal((len(doubt.even), n), dtype=np.float32)
    made[doubt.even] = ndtr(made[doubt.even]) - np.float32(0.5)
    return made


def _scores(doubt: _Doubt, weights: Floats, noise: NDArray[Any]) -> Floats:
    """Weighted sums, (S, n). weights (n, C), noise (K, n). The same steps for each site: equal sites stay equal.

    A drawn value is cut to 0..1, where the scale ends: a worse one never becomes the better one by it.
    """
    total = np.zeros((len(doubt.centre), len(weights)))
    for c in range(weights.shape[1]):
        value = np.broadcast_to(doubt.centre[:, c, None], total.shape)
        if doubt.spread[:, c].any():
            value = np.clip(value + doubt.spread[:, c, None] * noise[doubt.column[:, c]], 0.0, 1.0)
        total += weights[:, c] * value
    return total


def settled(
    panel: Panel, unknown: Literal["keep", "low", "middle", "high"] = "middle", *, errors: bool = False
) -> Panel:
    """The panel with doubts taken away: errors zero unless kept, and unknown cells at one place of their range."""
    place = {"keep": np.full(panel.value.shape, np.nan), "low": panel.low, "middle": (panel.low + panel.high) / 2,
             "high": panel.high}[unknown]  # fmt: skip
    known = np.isfinite(panel.value)
    error = panel.error if errors else np.zeros_like(panel.error)
    return replace(panel, value=np.where(known, panel.value, place), error=np.where(known, error, 0.0))


def kept(panel: Panel, sites: Sequence[str]) -> Panel:
    """The panel of some of its sites, values and ranges as they are in it. Raises Refusal for an unknown site."""
    places = [panel.sites.index(_known_site(panel, site)) for site in sites]
    rows = {name: getattr(panel, name)[places] for name in ("value", "error", "low", "high", "source")}
    return replace(panel, sites=tuple(sites), **rows)


def level(panel: Panel) -> list[tuple[str, ...]]:
    """Sites that are level in every draw, since their figures, errors and sources are the same; groups of two or more.

    Which of them comes first is decided by lot, so their shares of a rank belong together.
    """
    doubt = _doubt(panel)
    column = np.where(doubt.spread > 0, doubt.column, -1)
    alike = pd.DataFrame(np.hstack([doubt.centre, doubt.spread, column]), index=list(panel.sites))
    groups = alike.groupby(list(alike.columns), sort=False).groups.values()
    return [tuple(map(str, group)) for group in groups if len(group) > 1]


def _known_site(panel: Panel, site: str) -> str:
    if site not in panel.sites:
        near = difflib.get_close_matches(site, panel.sites, n=1)
        raise Refusal(f"there is no site {site!r} in the ranking." + (f" Did you mean {near[0]}?" if near else ""))
    return site


# ---------------------------------------------------------------- ranks


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the draws say; S sites, C criteria, n draws.

    acceptability (S, S) : share of draws in which the site (row) takes the rank (column, best first)
    central (S, C)       : mean weights of the draws in which the site is first; NaN for a site that never is
    confidence (S)       : share of draws of the values (at most `CONFIDENCE`) in which the site is first with its
                           central weights; or NaN
    winning (S, S)       : share of draws in which the site of the row ranks before that of the column; NaN with itself
    winner (n)           : place in `sites` of the first of each draw
    tied                 : share of draws in which equal scores were put in order by lot
    """

    sites: tuple[str, ...]
    criteria: tuple[str, ...]
    acceptability: Floats
    central: Floats
    confidence: Floats
    winning: Floats
    winner: Integers
    tied: float

    @property
    def draws(self) -> int:
        """How many draws stand behind the shares."""
        return len(self.winner)

    @property
    def expected(self) -> Floats:
        """Mean rank of each site, 1 is best (S)."""
        return np.asarray(self.acceptability @ np.arange(1, len(self.sites) + 1))

    @property
    def order(self) -> Integers:
        """Places in `sites`, the best mean rank first (S)."""
        return np.argsort(self.expected, kind="stable")

    @property
    def leader(self) -> int:
        """Place in `sites` of the site that is first most often."""
        return int(self.acceptability[:, 0].argmax())

    @property
    def error(self) -> Floats:
        """Monte Carlo standard errors of `acceptability` (S, S): those of shares of independent draws."""
        return np.asarray(np.sqrt(self.acceptability * (1 - self.acceptability) / self.draws))

    def table(self, sure: float = 0.9) -> pd.DataFrame:
        """A row a site, best mean rank first.

        Columns site_id, first (share of draws at rank 1), first_error (its Monte Carlo standard error), expected (mean
        rank), expected_error, best and worst (ranks between which the site lies with the share `sure`, as much left out
        on either side), confidence.
        """
        places = np.arange(1, len(self.sites) + 1)
        spread = np.sqrt(np.clip(self.acceptability @ places**2 - self.expected**2, 0, None) / self.draws)
        below = np.cumsum(self.acceptability, axis=1)
        tail = (1 - sure) / 2
        made = pd.DataFrame(
            {
                "site_id": self.sites,
                "first": self.acceptability[:, 0],
                "first_error": self.error[:, 0],
                "expected": self.expected,
                "expected_error": spread,
                "best": 1 + (below <= tail + FLAT).sum(axis=1),
                "worst": 1 + (below < 1 - tail - FLAT).sum(axis=1),
                "confidence": self.confidence,
            }
        )
        return made.iloc[self.order].reset_index(drop=True)

    def contenders(self, sure: float = 0.9) -> list[str]:
        """The fewest sites that together are first in at least the share `sure` of the draws, most often first."""
        by = np.argsort(-self.acceptability[:, 0], kind="stable")
        needed = int((np.cumsum(self.acceptability[by, 0]) < sure - FLAT).sum()) + 1
        return [self.sites[place] for place in by[:needed]]


def rank(panel: Panel, weights: Floats, rng: np.random.Generator) -> Ranking:
    """SMAA-2 of a panel under draws of the weights (n, C), from `weights`; values are drawn once a draw.

    A value is drawn as value + error × standard normal, cut to 0..1. Equal scores are put in order by lot. Raises
    Refusal for a cell without value and range, or beyond 0..1, and for weights of another number of criteria, below
    zero, or that do not add to one.
    """
    doubt = _doubt(panel)
    size, n = len(panel.sites), len(weights)
    sums = weights.sum(axis=1) if weights.ndim == 2 and n else np.array([])
    if weights.ndim != 2 or not n or weights.shape[1] != len(panel.criteria):
        raise Refusal(
            f"a ranking needs draws of {len(panel.criteria)} weights each; given an array of {weights.shape}."
        )
    if not (weights >= 0).all() or not (abs(sums - 1) < 1e-6).all():
        worst = sums[int(abs(sums - 1).argmax())]
        raise Refusal(f"weights are zero or more and add to 1; given some that are below zero or add to {worst:.6g}.")
    places = np.zeros(size * size)
    winning = np.zeros((size, size))
    winner = np.empty(n, dtype=np.int16)
    values, lot, again = rng.spawn(3)  # the lot must not move the draws of the values: runs stay comparable
    tied = 0
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        scores = _scores(doubt, weights[part], _noise(doubt, len(weights[part]), values))
        order, ties = _order(scores, lot)
        ranks = np.empty(order.shape, dtype=np.int16)
        np.put_along_axis(ranks, order, np.arange(size, dtype=np.int16)[:, None], axis=0)
        places += np.bincount((ranks + size * np.arange(size)[:, None]).ravel(), minlength=size * size)
        for site in range(size):
            winning[site] += (ranks[site] < ranks).sum(axis=1)
        winner[part] = order[0]
        tied += ties
    first = np.bincount(winner, minlength=size)
    sums_by = np.stack([np.bincount(winner, weights=column, minlength=size) for column in weights.T], axis=1)
    central = np.where(first[:, None] > 0, sums_by / np.maximum(first, 1)[:, None], np.nan)
    np.fill_diagonal(winning, np.nan)
    sure = _confidence(doubt, central, min(n, CONFIDENCE), again)
    return Ranking(
        panel.sites, panel.criteria, places.reshape(size, size) / n, central, sure, winning / n, winner, tied / n,
    )  # fmt: skip


def _order(scores: Floats, rng: np.random.Generator) -> tuple[Integers, int]:
    """Sites by score, best first, (S, n); and the number of draws with equal scores, which the lot decides."""
    order = np.argsort(-scores, axis=0)
    best_first = np.take_along_axis(scores, order, axis=0)
    ties = (np.diff(best_first, axis=0) == 0).any(axis=0)
    if ties.any():
        equal = scores[:, ties]
        order[:, ties] = np.lexsort((rng.random(equal.shape), -equal), axis=0)
    return order, int(ties.sum())


def _confidence(doubt: _Doubt, central: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Share of n new draws of the values in which each site is first with its own central weights; equals share."""
    ever = np.flatnonzero(np.isfinite(central[:, 0]))
    made = np.full(len(central), np.nan)
    made[ever] = 0.0
    own = central[ever].T.astype(np.float32)
    centre, spread = doubt.centre.astype(np.float32), doubt.spread.astype(np.float32)
    for start in range(0, n, CHUNK):
        noise = _noise(doubt, min(CHUNK, n - start), rng).T
        scores = np.clip(centre + spread * noise[:, doubt.column], 0, 1) @ own  # (draws, S, ever)
        near = scores >= scores.max(axis=1, keepdims=True) - ALIKE
        made[ever] += (near[:, ever, np.arange(len(ever))] / near.sum(axis=1)).sum(axis=0)
    return made / n


# ---------------------------------------------------------------- what the ranking hangs on


def heaviest(ranking: Ranking, weights: Floats) -> pd.DataFrame:
    """Who is first where one criterion weighs most. weights: those of the ranking.

    A row a criterion that is ever the heaviest: criterion, share (of the draws in which it is), site_id (first most
    often there), first (how often there), second (who comes next; blank where nobody does), second_first.
    """
    top = weights.argmax(axis=1)
    rows = []
    for c in np.unique(top):
        counts = np.bincount(ranking.winner[top == c], minlength=len(ranking.sites)) / (top == c).sum()
        by = np.argsort(-counts, kind="stable")[:2]
        after = by[1] if len(by) > 1 and counts[by[1]] else None
        rows.append(
            {
                "criterion": ranking.criteria[c],
                "share": float((top == c).mean()),
                "site_id": ranking.sites[by[0]],
                "first": float(counts[by[0]]),
                "second": "" if after is None else ranking.sites[after],
                "second_first": 0.0 if after is None else float(counts[after]),
            }
        )
    return pd.DataFrame(rows)


def without(weights: Floats, criterion: int) -> Floats:
    """Weights with one criterion at zero and its share handed to the others in proportion (all of it: in equal parts).

    Even weights stay even over the simplex of the others, and an order among the others stays that order.

    >>> without(np.array([[0.5, 0.3, 0.2]]), 0).round(6).tolist()
    [[0.0, 0.6, 0.4]]
    """
    rest = weights.copy()
    rest[:, criterion] = 0
    total = rest.sum(axis=1, keepdims=True)
    equal = np.full(weights.shape[1], 1 / max(weights.shape[1] - 1, 1))
    equal[criterion] = 0
    return np.where(total > FLAT, rest / np.where(total > FLAT, total, 1), equal)


def reversals(build: Callable[[Sequence[str]], Panel], sites: Sequence[str], weights: Floats) -> pd.DataFrame:
    """Orders between two sites that turn when a third is taken away, on central values.

    build: from the sites left to their panel, of the same criteria. weights: (n, C); some thousand draws are enough.
    A row a site left out: left_out, reversed (share of pairs of the others and draws whose order turns). It is zero
    where a value does not depend on who else is compared. Raises Refusal for fewer than three sites.
    """
    if len(sites) < 3:
        raise Refusal(f"leaving a site out needs three sites at least; given {len(sites)}.")

    def scores(kept: Sequence[str]) -> Floats:
        doubt = _doubt(settled(build(kept)))
        return _scores(doubt, weights, np.zeros((len(doubt.even), len(weights))))

    whole = scores(list(sites))
    rows = []
    for place, gone in enumerate(sites):
        before, after = np.delete(whole, place, axis=0), scores([site for site in sites if site != gone])
        turned = sum(
            int((np.sign(_gap(before[i] - before[i + 1 :])) * np.sign(_gap(after[i] - after[i + 1 :])) < 0).sum())
            for i in range(len(before) - 1)
        )
        pairs = len(before) * (len(before) - 1) // 2
        rows.append({"left_out": gone, "reversed": turned / (pairs * len(weights))})
    return pd.DataFrame(rows)


def _gap(difference: Floats) -> Floats:
    """A difference of scores, zero where it is no more than rounding."""
    return np.where(abs(difference) > FLAT, difference, 0.0)


def hangs_on(panel: Panel, told: Preferences, site: str, *, n: int = 1024, seed: int = 0) -> pd.DataFrame:
    """Which doubt decides: Sobol's shares of the variance of one site's lead, the largest total first.

    The lead is the site's score less the best score of all others. Doubts come in groups: the weight of each criterion,
    the errors of each criterion, and all figures that nobody gives. A row: doubt, kind ("weight", "error", "unknown"),
    first (share that the group explains alone), total (with all it does together with others), and the half-widths of
    their bootstrap 95 % intervals, first_give and total_give.

    Weights that add to one move together; where nothing but lower bounds and exact weights was said they come from one
    independent draw a criterion (exponentials over their sum), and that draw is its group. Where more was said, all
    weights are one group. Estimators: Saltelli et al. (2010), as in SALib; n: a power of two, 64 or more.

    Raises Refusal for an unknown site (naming the nearest), fewer than two sites or groups, another n, and a lead that
    does not vary.
    """
    from SALib.analyze import sobol as analyse  # takes seconds to import
    from SALib.sample import sobol as sample

    own = panel.sites.index(_known_site(panel, site))
    if len(panel.sites) < 2:
        raise Refusal("a lead needs a second site.")
    if n < 64 or n & (n - 1):
        raise Refusal(f"the size of a Sobol sample is a power of two, 64 or more; given {n}, try 1024.")
    doubt, shape = _doubt(panel), _shape(told)
    noisy = doubt.spread > 0
    criterion_of = {int(doubt.column[at]): int(at[1]) for at in map(tuple, np.argwhere(noisy)[::-1])}
    columns = sorted(criterion_of)
    split = shape is not None and not len(shape.rows)
    heads = np.array(panel.criteria)[shape.free] if split and shape is not None else np.array(["all weights together"])
    groups = [f"weight of {name}" if split else str(name) for name in heads]
    kinds = dict.fromkeys(groups, "weight")
    for column in columns:
        even = bool(doubt.even[column])
        groups.append("figures that nobody gives" if even else f"error of {panel.criteria[criterion_of[column]]}")
        kinds[groups[-1]] = "unknown" if even else "error"
    if len(kinds) < 2:
        raise Refusal("there are not two doubts to compare.")
    size = len(groups)
    problem = {
        "num_vars": size, "names": [f"x{place}" for place in range(size)], "bounds": [[0.0, 1.0]] * size,
        "groups": groups,
    }  # fmt: skip
    points = np.clip(sample.sample(problem, n, calc_second_order=False, seed=seed), 1e-12, 1 - 1e-12)
    head = points[:, : len(heads)]
    if split and shape is not None:
        drawn = _spread(shape, -np.log(head))
    else:
        pool = weights(told, POOL, np.random.default_rng(seed))
        drawn = pool[np.argsort(pool @ doubt.centre[own])][(head[:, 0] * POOL).astype(int)]
    noise = np.zeros((len(doubt.even), len(points)))
    tail = points[:, len(heads) :].T
    noise[columns] = np.where(doubt.even[columns][:, None], tail - 0.5, ndtri(tail))
    scores = _scores(doubt, drawn, noise)
    lead = scores[own] - np.delete(scores, own, axis=0).max(axis=0)
    if np.ptp(lead) < FLAT:
        raise Refusal(f"the lead of {site} does not vary: there is no doubt to share out.")
    shares = analyse.analyze(problem, lead, calc_second_order=False, seed=seed)
    made = pd.DataFrame(
        {
            "doubt": list(kinds), "kind": list(kinds.values()), "first": shares["S1"], "first_give": shares["S1_conf"],
            "total": shares["ST"], "total_give": shares["ST_conf"],
        }
    )  # fmt: skip
    return made.sort_values("total", ascending=False, ignore_index=True)


# ---------------------------------------------------------------- other methods


def methods(panel: Panel, weights: Floats) -> pd.DataFrame:
    """Ranks of the sites by three methods on central values with one set of weights (C); equals share their mean rank.

    A row a site; columns "weighted sum", "TOPSIS" (distances to the best and the worst of the sites, vector-normalised:
    Hwang and Yoon, 1981) and "PROMETHEE II" (net flow; a difference counts in full once it is larger than
    that of two sites with the criterion's median error, the U-shaped criterion: Brans and Vincke, 1985), both from
    pymcdm. A criterion in which all sites are alike
    says nothing in any of them and is left aside. Raises Refusal where all are, and for one site.
    """
    from pymcdm.methods import PROMETHEE_II, TOPSIS  # takes a second to import
    from pymcdm.normalizations import vector_normalization

    _doubt(panel)  # refuses what has no value
    value = settled(panel).value
    if len(value) < 2:
        raise Refusal("a ranking by other methods needs two sites at least.")
    told = (np.ptp(value, axis=0) > 0) & (weights > 0)
    if not told.any():
        raise Refusal("the sites do not differ in any criterion that weighs, so no method can rank them.")
    value, share = value[:, told], weights[told] / weights[told].sum()
    known, errors = np.isfinite(panel.value)[:, told], panel.error[:, told]
    error = [2**0.5 * np.median(column[at]) if at.any() else 0.0 for column, at in zip(errors.T, known.T, strict=True)]
    gains = np.ones(len(share), dtype=int)  # pymcdm's validation would warn of a site that is best at everything
    scores = {
        "weighted sum": value @ share,
        "TOPSIS": TOPSIS(vector_normalization)(value, share, gains, validation=False),
        "PROMETHEE II": PROMETHEE_II("ushape", q=error)(value, share, gains, validation=False),
    }
    return pd.DataFrame({name: rankdata(-np.round(one, 9)) for name, one in scores.items()}, index=list(panel.sites))
