"""A portfolio of sites: the frontier of expected margin against tail loss, concentration, and what splitting buys.

Everything is measured on one frame of joint draws: a row a simulated year, a column a site, USD lost per MW of capacity
and year. A mix holds a share of each megawatt at each site (long only, all of it invested), so its loss is the mix of
the losses of the *same* year: what strikes two sites together stays together. The tail is CVaR, the mean of the worst
share of years, which is coherent (Acerbi & Tasche 2002): splitting never raises it, and where two sites always strike
together it does not lower it either.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize

from wattshift.refusal import Refusal

Floats = npt.NDArray[np.float64]
Caps = float | Mapping[str, float]

LEVEL = 0.95
SLACK = 1e-7  # what the linear programme may be off by, as a share of the worst site's tail
TIE = 1e-5  # worth of a dollar of margin against one of tail: of mixes with the same tail, the richer
START = 2  # so many times the worst share of draws are in play when the programme starts

# ---------------------------------------------------------------- the tail


def tail_terms(losses: npt.ArrayLike, level: float = LEVEL) -> Floats:
    """One term per draw whose mean is CVaR: q + max(loss - q, 0) / (1 - level), with q the quantile at `level`.

    losses: shape (n,) or (n, k), each column on its own; the shape is kept. The formula is that of Rockafellar &
    Uryasev (2000, equation 4); the terms are also the influence function, so their standard deviation over root n is
    the Monte Carlo error of CVaR, and that of the difference of two columns is the error of their difference.

    >>> tail_terms([0, 0, 0, 8], 0.5).tolist(), tail_terms([0, 0, 4, 8], 0.5).tolist()
    ([0.0, 0.0, 0.0, 16.0], [4.0, 4.0, 4.0, 12.0])
    """
    draws = np.asarray(losses, dtype=float)
    worst = _worst(len(draws), level)
    least = len(draws) - int(np.ceil(worst))
    q = np.partition(draws, least, axis=0)[least]
    return np.asarray(q + np.maximum(draws - q, 0) * (len(draws) / worst))


def tail(losses: npt.ArrayLike, level: float = LEVEL) -> Floats:
    """CVaR of each column: the mean of its worst share 1 - level of draws, a broken draw counted in part.

    >>> float(tail([1, 2, 3, 4], 0.5)), float(tail([1, 2, 3, 4], 0.625))
    (3.5, 3.6666666666666665)
    """
    return np.asarray(tail_terms(losses, level).mean(axis=0))


def tail_error(losses: npt.ArrayLike, level: float = LEVEL) -> Floats:
    """Monte Carlo standard error of CVaR of each column, from independent draws (first order)."""
    terms = tail_terms(losses, level)
    return np.asarray(terms.std(axis=0, ddof=1) / np.sqrt(len(terms)))


def _worst(n: int, level: float) -> float:
    """How many of n draws are the worst share, a whole number where it should be one."""
    if not 0 <= level < 1:
        raise Refusal(f"the level of a tail lies from 0 to below 1, such as 0.95; given {level:g}.")
    worst = round((1 - level) * n, 9)
    if worst < 1:
        raise Refusal(
            f"{n:,} draws have no worst {1 - level:.3g} of them to average; take more draws or a lower level."
        )
    return worst


# ---------------------------------------------------------------- concentration


def effective_number(shares: Iterable[float]) -> float:
    """How many equal shares are as concentrated: one over the Herfindahl index of shares that need not sum to 1.

    >>> effective_number([0.5, 0.5]), effective_number([0.5, 0.25, 0.25]), effective_number([3, 0])
    (2.0, 2.6666666666666665, 1.0)
    """
    held = np.array(list(shares), dtype=float)
    if not len(held) or not np.isfinite(held).all() or (held < 0).any() or held.sum() == 0:
        raise Refusal("an effective number needs shares that are none below zero and not all zero.")
    return float(held.sum() ** 2 / (held**2).sum())


def by_order(weights: pd.Series[float], orders: Mapping[str, str]) -> pd.Series[float]:
    """The weights summed over the sites of one legal order (index: legal order), heaviest first."""
    return weights.groupby(_orders(orders, weights.index)).sum().sort_values(ascending=False, kind="stable")


def independent_equivalent(losses: pd.DataFrame, weights: Mapping[str, float]) -> float:
    """How many equal and independent sites would spread the yearly loss as well as this mix does.

    (sum of w sd)^2 / variance of the mix, the squared diversification ratio of Choueifaty & Coignard (2008): n for n
    independent sites of one law held equally, 1 for sites that always lose together. A count of names or of legal
    orders says how spread a mix looks; this says how spread it is.
    """
    matrix, sites = _matrix(losses)
    held = _shares(weights, sites)
    spread, together = float((matrix @ held).std()), float(held @ matrix.std(axis=0))
    if together == 0:
        raise Refusal("no loss of these sites varies, so there is nothing to spread.")
    if spread <= 1e-12 * together:
        raise Refusal("the losses of these sites cancel exactly, so no number of independent sites is like them.")
    return (together / spread) ** 2


def shuffled(losses: pd.DataFrame, groups: Mapping[str, str], rng: np.random.Generator) -> pd.DataFrame:
    """The draws with the years of each group put in an order of its own: each site's law and everything within a group
    stay as they are, and nothing is left in common between groups.

    groups: site -> group; with legal orders the shared year goes and common shocks stay, with each site its own group
    both go.
    """
    matrix, sites = _matrix(losses)
    named = _orders(groups, sites).to_numpy()
    mixed = matrix.copy()
    for group in dict.fromkeys(named):
        mixed[:, named == group] = matrix[rng.permutation(len(matrix))][:, named == group]
    return pd.DataFrame(mixed, index=losses.index, columns=sites)


# ---------------------------------------------------------------- mixes and the frontier


def score(
    losses: pd.DataFrame, margins: float | Mapping[str, float], mixes: pd.DataFrame, level: float = LEVEL
) -> pd.DataFrame:
    """Mixes, one a row (columns: sites), measured on draws: USD per MW-year, index as `mixes`.

    margins: before losses, one for all or site by site. Columns: margin (expected, after losses), loss (expected),
    cvar and cvar_error (Monte Carlo), alone (the tails of its sites, weighted: the CVaR were they always to strike
    together) and gain, what the mix takes away of that.
    """
    matrix, sites = _matrix(losses)
    held = np.array([_shares(row, sites) for _, row in mixes.iterrows()]).reshape(-1, len(sites))
    drawn = matrix @ held.T
    cvar, alone = tail(drawn, level), held @ tail(matrix, level)
    return pd.DataFrame(
        {
            "margin": held @ (_margins(margins, sites) - matrix.mean(axis=0)), "loss": drawn.mean(axis=0),
            "cvar": cvar, "cvar_error": tail_error(drawn, level), "alone": alone, "gain": alone - cvar,
        },
        index=mixes.index,
    )  # fmt: skip


@dataclass(frozen=True)
class Frontier:
    """The best mixes, from the smallest tail to the largest expected margin.

    weights : a row a mix, a column a site; points : the same rows as `score` gives them, on the draws it was made of
    """

    weights: pd.DataFrame
    points: pd.DataFrame


def frontier(
    losses: pd.DataFrame,
    margins: float | Mapping[str, float],
    orders: Mapping[str, str],
    *,
    level: float = LEVEL,
    cap_site: Caps = 1.0,
    cap_order: Caps = 1.0,
    alike: Mapping[str, object] | None = None,
    points: int = 9,
) -> Frontier:
    """The smallest CVaR for each expected margin, by linear programming (Rockafellar & Uryasev 2000).

    losses: draws x sites, USD per MW-year; margins: before losses, same unit; orders: site -> legal order; caps: the
    largest share of one site and of one legal order, 0 to 1, one for all or by name. Expected margins are equally
    spaced from that of the smallest tail (the larger where several mixes have it) to the largest that the caps allow;
    one point where the two are one.

    alike: site -> group (a site left out is its own). Sites of a group hold equal shares. Where sites have one law and
    are tied to the others alike, an equal mix is as good as any (CVaR is convex), and no luck of the draws is chosen.

    The programme is exact on all draws, though most never enter it: a year that is not among the worst of the mix costs
    nothing, so only years that are, or were on the way, get a variable. A mix chosen on some draws looks better on
    them than it is: score it on others.

    Raises Refusal where caps leave part of the money uninvested, and for names or numbers that cannot be.
    """
    matrix, sites = _matrix(losses)
    named = _orders(orders, sites)
    groups = list(dict.fromkeys(named))
    upper, most, rows = (
        _caps(cap_site, sites, "site"),
        _caps(cap_order, groups, "legal order"),
        np.array([named == group for group in groups], dtype=float),
    )
    kin = [(alike or {}).get(name, (name,)) for name in sites]
    code = np.array([kin.index(group) for group in kin])
    even = (code[:, None] == np.unique(code)) / np.bincount(code)[code][:, None]  # sites x groups
    rows, upper = rows @ even, np.array([upper[column > 0].min() * (column > 0).sum() for column in even.T])
    full = optimize.linprog(-np.ones(len(upper)), A_ub=rows, b_ub=most, bounds=[(0.0, cap) for cap in upper])
    if -full.fun < 1 - 1e-9:
        raise Refusal(
            f"under these caps at most {-full.fun:.4g} of 1 can be invested in {len(sites)} sites of {len(groups)} "
            "legal orders; raise the caps until all of it can."
        )
    if points < 2:
        raise Refusal(f"a frontier has at least two points; given {points}.")
    expected = (_margins(margins, sites) - matrix.mean(axis=0)) @ even
    programme = _Programme(matrix @ even, expected, upper, rows, most, level)
    safest, best = programme.smallest_tail(), programme.largest_margin()
    low = float(expected @ safest)
    found = [safest]
    if best - low > 1e-4 * programme.scale:
        found += [programme.smallest_tail(least) for least in np.linspace(low, best, points)[1:]]
    weights = pd.DataFrame(np.array(found) @ even.T, columns=sites)
    return Frontier(weights, score(losses, margins, weights, level))


class _Programme:
    """The linear programme in its dual form, in units of the worst site's tail.

    The dual of Rockafellar and Uryasev's programme gives each draw a probability p of at most one over the number of
    worst draws (CVaR is the largest mean under such p), each cap and the margin a price. It has one row a site: mean
    loss under p, plus the prices of its caps, less that of its margin, is no less than nu. The weights are the prices
    of these rows. A draw that is not among the worst of the mix has p = 0, so only some draws play; the worse ones that
    an answer shows join, until there are none.
    """

    def __init__(
        self, matrix: Floats, expected: Floats, upper: Floats, rows: Floats, most: Floats, level: float
    ) -> None:
        self.scale = float(np.abs(tail(matrix, level)).max()) or 1.0
        self.matrix, self.expected = matrix / self.scale, expected / self.scale
        self.upper, self.rows, self.most = upper, rows, most
        self.level, self.worst = level, _worst(len(matrix), level)
        even = self.matrix.mean(axis=1)
        self.playing = even >= np.sort(even)[-min(len(even), int(np.ceil(START * self.worst)))]

    def largest_margin(self) -> float:
        """The largest expected margin that the caps allow, USD."""
        best = optimize.linprog(
            -self.expected, A_ub=self.rows, b_ub=self.most, A_eq=np.ones((1, len(self.expected))), b_eq=[1.0],
            bounds=[(0.0, cap) for cap in self.upper],
        )  # fmt: skip
        return -self.scale * float(best.fun)

    def smallest_tail(self, least: float | None = None) -> Floats:
        """Weights with the smallest tail and an expected margin of at least `least` (USD; None: any)."""
        sites, aim = len(self.expected), 0.0 if least is None else least / self.scale - SLACK
        priced = np.hstack([np.ones((sites, 1)), -np.eye(sites), -self.rows.T, self.expected[:, None]])
        worth = np.concatenate([[1.0], -self.upper, -self.most, [aim]])  # of nu, the caps' prices and the margin's
        while True:
            draws = self.matrix[self.playing]
            solved = optimize.linprog(
                np.concatenate([np.zeros(len(draws)), -worth]), A_ub=np.hstack([-draws.T, priced]),
                b_ub=-TIE * self.expected, A_eq=np.append(np.ones(len(draws)), np.zeros(len(worth)))[None], b_eq=[1.0],
                bounds=[
                    *[(0.0, 1 / self.worst)] * len(draws), (None, None), *[(0.0, None)] * (len(worth) - 2),
                    (0.0, None if least is not None else 0.0),
                ],
            )  # fmt: skip
            if solved.status != 0:
                raise ArithmeticError(f"the linear programme of the frontier gave no answer: {solved.message}")
            held: Floats = -np.asarray(solved.ineqlin.marginals, dtype=float)
            held[held < SLACK] = 0.0
            held /= held.sum()
            mixed = self.matrix @ held
            late = (mixed >= np.quantile(mixed, self.level, method="inverted_cdf")) & ~self.playing
            if not late.any() or tail(mixed, self.level) - TIE * self.expected @ held + solved.fun <= 10 * SLACK:
                return held
            self.playing |= late


# ---------------------------------------------------------------- keep some, move some


def split(
    losses: pd.DataFrame,
    margins: float | Mapping[str, float],
    leave: str,
    to: str,
    *,
    level: float = LEVEL,
    steps: int = 20,
) -> pd.DataFrame:
    """What moving a share of the megawatts from one site to another does, in equal steps from nothing to all.

    Columns: share moved (0 to 1), the columns of `score`, gain_error, the Monte Carlo error of the gain (the same draws
    stand in both of its terms), and tied: whether the draws cannot tell this tail from the smallest (95%, paired).
    """
    matrix, sites = _matrix(losses)
    for name in (leave, to):
        _known(name, sites)
    if leave == to:
        raise Refusal(f"a split needs two sites; given {leave} twice.")
    share = np.linspace(0, 1, steps + 1)
    mixes = pd.DataFrame({leave: 1 - share, to: share})
    two = losses[[leave, to]]
    kept = {name: value for name, value in zip(sites, _margins(margins, sites), strict=True) if name in mixes}
    scored = score(two, kept, mixes, level)
    apart = tail_terms(two.to_numpy(dtype=float), level) @ mixes.T.to_numpy()
    terms = tail_terms(two.to_numpy(dtype=float) @ mixes.T.to_numpy(), level)
    scored["gain_error"] = (apart - terms).std(axis=0, ddof=1) / np.sqrt(len(matrix))
    above = terms - terms[:, [int(terms.mean(axis=0).argmin())]]
    scored["tied"] = above.mean(axis=0) <= 1.96 * above.std(axis=0, ddof=1) / np.sqrt(len(matrix)) + 1e-9
    return scored.assign(share=share)[["share", *scored.columns]]


# ---------------------------------------------------------------- what is let in


def _matrix(losses: pd.DataFrame) -> tuple[Floats, list[str]]:
    sites = [str(name) for name in losses.columns]
    if not len(losses) or not sites:
        raise Refusal("a portfolio needs at least one site and one draw of its loss.")
    if len(set(sites)) < len(sites):
        twice = next(name for name in sites if sites.count(name) > 1)
        raise Refusal(f"the losses hold the site {twice} twice; give each site one column.")
    matrix = losses.to_numpy(dtype=float)
    if not np.isfinite(matrix).all():
        bad = sites[int(np.argmax(~np.isfinite(matrix).all(axis=0)))]
        raise Refusal(f"the losses of {bad} hold a value that is no number; a loss that is not known is not zero.")
    return matrix, sites


def _known(name: str, sites: Iterable[str]) -> None:
    known = list(sites)
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
        raise Refusal(f"there is no site {name}; the nearest is {near[0]}.")


def _shares(weights: Mapping[str, float] | pd.Series[float], sites: list[str]) -> Floats:
    """The weights in the order of the sites (a site without one has none), refused unless a long-only whole."""
    given = pd.Series(weights, dtype=float)
    for name in given.index:
        _known(str(name), sites)
    held = given.reindex(sites, fill_value=0.0).to_numpy()
    if not (held >= -1e-9).all() or abs(held.sum() - 1) > 1e-6:
        raise Refusal(f"shares of a portfolio are none below zero and sum to 1; given a sum of {held.sum():.6g}.")
    return np.maximum(held, 0.0)


def _orders(orders: Mapping[str, str], sites: Iterable[str]) -> pd.Series[str]:
    named = {str(name): orders.get(str(name)) for name in sites}
    without = [name for name, order in named.items() if order is None or pd.isna(order)]
    if without:
        raise Refusal(f"no legal order is given for {', '.join(without)}.")
    return pd.Series(named, dtype="str")


def _margins(margins: float | Mapping[str, float], sites: list[str]) -> Floats:
    if isinstance(margins, int | float | np.number):
        values = np.full(len(sites), float(margins))
    else:
        values = np.array([float(margins.get(name, np.nan)) for name in sites])
    if not np.isfinite(values).all():
        raise Refusal(f"no margin is given for {sites[int(np.argmax(~np.isfinite(values)))]}.")
    return values


def _caps(caps: Caps, names: list[str], what: str) -> Floats:
    if isinstance(caps, Mapping):
        for name in caps:
            if name not in names:
                near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.0)
                raise Refusal(f"there is no {what} {name} to cap; the nearest is {near[0]}.")
        values = np.array([float(caps.get(name, 1.0)) for name in names])
    else:
        values = np.full(len(names), float(caps))
    if not ((values >= 0) & (values <= 1)).all():
        raise Refusal(
            f"a cap on a {what} is a share from 0 to 1; given {values[~((values >= 0) & (values <= 1))][0]:g}."
        )
    return values
