"""Tails and mixes against enumeration, closed forms and the linear programme as it was published."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize, sparse, stats

from wattshift import portfolio
from wattshift.refusal import Refusal

ORDERS = {"A": "X", "B": "X", "C": "Y", "D": "Z"}


def every_year(chances: dict[str, float], size: float = 100.0) -> pd.DataFrame:
    """All 2^k years of independent sites that lose `size` or nothing, as equally likely draws (chances in tenths)."""
    rows = itertools.product(*([size] * round(10 * p) + [0.0] * round(10 - 10 * p) for p in chances.values()))
    return pd.DataFrame(list(rows), columns=list(chances), dtype=float)


def some_years(n: int = 500, seed: int = 7) -> pd.DataFrame:
    """Four sites: A and B share the shocks of one legal order, all share a bad-year factor."""
    random = np.random.default_rng(seed)
    year = random.gamma(2.0, 0.5, n)
    shock = {order: random.poisson(rate * year) for order, rate in {"X": 0.2, "Y": 0.1, "Z": 0.3}.items()}
    return pd.DataFrame({
        site: 50.0 * shock[order] * random.uniform(0.5, 1.5, n) + 20.0 * random.poisson(0.2 * year)
        for site, order in ORDERS.items()
    })  # fmt: skip


def published(losses: np.ndarray, expected: np.ndarray, least: float, level: float, caps: np.ndarray) -> float:
    """The smallest CVaR with a variable for each draw, Rockafellar & Uryasev (2000), equations 17 to 21."""
    n, sites = losses.shape
    cost = np.concatenate([np.zeros(sites), [1.0], np.full(n, 1 / (n * (1 - level)))])
    draws = sparse.hstack([losses, -np.ones((n, 1)), -sparse.eye_array(n)])
    aim = sparse.csr_array(np.concatenate([-expected, np.zeros(n + 1)])[None])
    answer = optimize.linprog(
        cost, A_ub=sparse.vstack([draws, aim]).tocsr(), b_ub=np.append(np.zeros(n), -least),
        A_eq=sparse.csr_array(np.concatenate([np.ones(sites), np.zeros(n + 1)])[None]), b_eq=[1.0],
        bounds=[*((0, cap) for cap in caps), (None, None), *[(0, None)] * n], method="highs",
    )  # fmt: skip
    assert answer.status == 0
    return float(answer.fun)


# ---------------------------------------------------------------- the tail


def test_tail_by_hand():
    """Ten draws at 75%: the worst two and half of the third."""
    draws = np.arange(1.0, 11.0)
    assert portfolio.tail(draws, 0.75) == pytest.approx((10 + 9 + 0.5 * 8) / 2.5)
    assert portfolio.tail(draws, 0.0) == pytest.approx(5.5)
    assert portfolio.tail(np.column_stack([draws, -draws]), 0.9).tolist() == pytest.approx([10.0, -1.0])


def test_tail_of_the_normal_and_its_error():
    """METHODS.md case 20: CVaR of the standard normal is 2.06271 at 95%; errors cover as often as they claim."""
    draws = np.random.default_rng(1).standard_normal((4_000, 200))
    found, error = portfolio.tail(draws), portfolio.tail_error(draws)
    assert found.mean() == pytest.approx(2.06271, abs=0.01)
    assert np.mean(np.abs(found - 2.06271) < 1.96 * error) == pytest.approx(0.95, abs=0.05)
    assert error.mean() == pytest.approx(found.std(), rel=0.15)


@settings(max_examples=60, deadline=None)
@given(arrays(float, (40, 3), elements=st.floats(-1e3, 1e3)), st.sampled_from([0.0, 0.5, 0.8, 0.93]))
def test_tail_is_coherent(draws: np.ndarray, level: float):
    """Artzner et al. (1999): monotone, homogeneous, translates with cash, subadditive; not below the mean."""
    x, y, more = draws.T
    tail = portfolio.tail
    assert tail(x + y, level) <= tail(x, level) + tail(y, level) + 1e-6
    assert tail(x + np.abs(more), level) >= tail(x, level) - 1e-6
    assert tail(3 * x + 5, level) == pytest.approx(float(3 * tail(x, level) + 5), abs=1e-6)
    assert tail(x, level) >= x.mean() - 1e-6
    worst = np.sort(x)[::-1][: int(np.floor((1 - level) * 40 + 1e-9))]
    assert tail(x, level) <= worst.mean() + 1e-6


# ---------------------------------------------------------------- concentration


def test_effective_number_of_sites_and_legal_orders():
    """Thirds of two sites of one country and one of another: three sites, 1 / (4/9 + 1/9) = 1.8 legal orders."""
    thirds = pd.Series({"A": 1 / 3, "B": 1 / 3, "C": 1 / 3})
    assert portfolio.effective_number(thirds) == pytest.approx(3)
    assert portfolio.by_order(thirds, ORDERS).to_dict() == pytest.approx({"X": 2 / 3, "Y": 1 / 3})
    assert portfolio.effective_number(portfolio.by_order(thirds, ORDERS)) == pytest.approx(1.8)


@pytest.mark.parametrize("sites", [1, 2, 5])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_independent_equivalent(sites: int, correlation: float):
    """n equal sites with one correlation r count as n / (1 + (n - 1) r), exactly on draws made to have it."""
    random = np.random.default_rng(3)
    basis = np.linalg.qr(np.column_stack([np.ones(400), random.standard_normal((400, 6))]))[0][:, 1:]  # mean zero
    draws = np.sqrt(correlation) * basis[:, [0]] + np.sqrt(1 - correlation) * basis[:, 1 : 1 + sites]
    losses = pd.DataFrame(draws, columns=list("ABCDE")[:sites])
    even = dict.fromkeys(losses.columns, 1 / sites)
    assert portfolio.independent_equivalent(losses, even) == pytest.approx(sites / (1 + (sites - 1) * correlation))


def test_shuffling_leaves_laws_and_groups_and_nothing_between():
    losses = some_years(4_000)
    apart = portfolio.shuffled(losses, ORDERS, np.random.default_rng(5))
    assert np.array_equal(np.sort(apart, axis=0), np.sort(losses, axis=0))
    assert apart["A"].corr(apart["B"]) == pytest.approx(losses["A"].corr(losses["B"]))
    assert losses["A"].corr(losses["D"]) > 0.1 > 0.06 > abs(apart["A"].corr(apart["D"]))


# ---------------------------------------------------------------- the frontier


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_frontier_is_that_of_the_published_programme(level: float):
    losses, margins = some_years(), {"A": 130.0, "B": 130.0, "C": 125.0, "D": 140.0}
    caps = {"A": 0.6, "B": 0.5, "C": 0.7, "D": 0.4}
    found = portfolio.frontier(losses, margins, ORDERS, level=level, cap_site=caps)
    matrix, expected = losses.to_numpy(), np.array(list(margins.values())) - losses.mean().to_numpy()
    worst = float(portfolio.tail(matrix, level).max())
    assert len(found.points) == 9
    for _, row in found.points.iterrows():
        exact = published(matrix, expected, row["margin"], level, np.array(list(caps.values())))
        assert row["cvar"] == pytest.approx(exact, abs=1e-5 * worst)


def test_frontier_against_a_grid():
    """Three sites, steps of 2%: no mix on the grid with as much margin has a smaller tail."""
    losses = some_years()[["A", "C", "D"]]
    found = portfolio.frontier(losses, 100.0, ORDERS, level=0.9, points=6).points
    steps = np.array([(i, j, 50 - i - j) for i in range(51) for j in range(51 - i)]) / 50
    grid = portfolio.score(losses, 100.0, pd.DataFrame(steps, columns=losses.columns), 0.9)
    for _, row in found.iterrows():
        among = grid.loc[grid["margin"] >= row["margin"] - 1e-9, "cvar"]
        assert row["cvar"] <= among.min() + 1e-2
    assert found["cvar"].iloc[0] == pytest.approx(grid["cvar"].min(), rel=0.01)
    assert found["margin"].iloc[-1] == pytest.approx(grid["margin"].max(), abs=1e-3)


def test_two_independent_equal_sites_by_enumeration():
    """Each loses 100 with chance 1/10. At 95% one alone has a tail of 100; halves lose 100 with 1%, 50 with 18%:
    the worst 5% hold (1% of 100 + 4% of 50) / 5% = 60, and a variance of half."""
    losses = every_year({"A": 0.1, "C": 0.1})
    found = portfolio.frontier(losses, 20.0, ORDERS)
    assert len(found.points) == 1  # equal means: only the tail is left to choose by
    assert found.weights.iloc[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert found.points["cvar"].iloc[0] == pytest.approx(60, abs=0.01)
    assert portfolio.independent_equivalent(losses, {"A": 0.5, "C": 0.5}) == pytest.approx(2)
    half = portfolio.split(losses, 20.0, "A", "C").set_index("share")
    assert half.loc[0.5, ["margin", "loss", "cvar", "alone", "gain"]].tolist() == pytest.approx([10, 10, 60, 100, 40])
    assert half["cvar"].idxmin() == 0.5
    # two years in a thousand strike all of three sites: more sites go on helping
    three = every_year({"A": 0.1, "C": 0.1, "D": 0.1})
    chance = stats.binom(3, 0.1)
    want = (chance.pmf(3) * 100 + chance.pmf(2) * 200 / 3 + (0.05 - chance.pmf(3) - chance.pmf(2)) * 100 / 3) / 0.05
    assert portfolio.frontier(three, 20.0, ORDERS).points["cvar"].iloc[0] == pytest.approx(want, abs=0.01)


def test_sites_that_always_strike_together_gain_nothing():
    losses = every_year({"A": 0.1})
    losses["B"] = losses["A"] / 2
    moved = portfolio.split(losses, 50.0, "A", "B", level=0.9)
    assert np.allclose(moved[["gain", "gain_error"]], 0)
    assert moved["cvar"].iloc[[0, 10, 20]].tolist() == pytest.approx([100, 75, 50])
    assert portfolio.independent_equivalent(losses, {"A": 0.3, "B": 0.7}) == pytest.approx(1)


@settings(max_examples=25, deadline=None)
@given(
    arrays(float, (60, 4), elements=st.floats(0, 100)),
    arrays(float, 4, elements=st.floats(50, 150)),
    st.floats(0.3, 1.0),
    st.floats(0.4, 1.0),
)
def test_frontier_rises_is_concave_and_keeps_its_caps(
    draws: np.ndarray, margins: np.ndarray, cap_site: float, cap_order: float
):
    losses = pd.DataFrame(draws, columns=list("ABCD"))
    before = dict(zip("ABCD", margins, strict=True))
    found = portfolio.frontier(losses, before, ORDERS, level=0.9, cap_site=cap_site, cap_order=cap_order, points=5)
    weights, points = found.weights, found.points
    small = 1e-5 * max(1.0, float(portfolio.tail(draws, 0.9).max()))
    assert np.allclose(weights.sum(axis=1), 1)
    assert ((weights >= 0) & (weights <= cap_site + 1e-6)).to_numpy().all()
    assert all(portfolio.by_order(row, ORDERS).max() <= cap_order + 1e-6 for _, row in weights.iterrows())
    assert (np.diff(points[["margin", "cvar"]], axis=0) >= -small).all()
    if len(points) == 5:  # equal steps of margin: the tail is convex in them
        assert (np.diff(points["cvar"], 2) >= -small).all()
    assert (points["gain"] >= -1e-6).all()


def test_frontier_keeps_its_mixes_in_another_unit():
    losses = some_years()
    found, larger = portfolio.frontier(losses, 100.0, ORDERS), portfolio.frontier(1e4 * losses, 1e6, ORDERS)
    assert np.allclose(larger.points["cvar"], 1e4 * found.points["cvar"], rtol=1e-3)
    assert np.allclose(larger.weights, found.weights, atol=0.05)


def test_sites_held_alike_choose_no_luck():
    """Four independent sites of one law: all alike is the safest of all mixes, which few draws of it do not show."""
    random = np.random.default_rng(23)
    seen, fresh = (pd.DataFrame(random.gamma(0.2, 100.0, (n, 4)), columns=list("ABCD")) for n in (2_000, 200_000))
    free = portfolio.frontier(seen, 20.0, ORDERS, points=2).weights.iloc[[0]]
    tied = portfolio.frontier(seen, 20.0, ORDERS, points=2, alike=dict.fromkeys("ABCD", 1)).weights.iloc[[0]]
    assert tied.iloc[0].tolist() == pytest.approx([0.25] * 4)
    assert np.ptp(free.iloc[0]) > 0.02
    assert np.less(*(portfolio.score(fresh, 20.0, mix)["cvar"].iloc[0] for mix in (tied, free)))


def test_some_held_alike_leave_the_programme_exact():
    """A and C alike are one site, their mean; caps hold for each of them, and for their legal orders."""
    losses = some_years()
    found = portfolio.frontier(losses, 100.0, ORDERS, level=0.9, cap_site=0.3, alike={"A": 1, "C": 1}, points=2)
    assert np.allclose(found.weights["A"], found.weights["C"])
    one = pd.DataFrame({"A": losses[["A", "C"]].mean(axis=1), "B": losses["B"], "D": losses["D"]})
    same = portfolio.frontier(one, 100.0, ORDERS, level=0.9, cap_site={"A": 0.6, "B": 0.3, "D": 0.3}, points=2)
    assert found.points["cvar"].tolist() == pytest.approx(same.points["cvar"].tolist(), rel=1e-4)
    capped = portfolio.frontier(losses, 100.0, ORDERS, cap_order={"Y": 0.1}, alike={"A": 1, "C": 1}, points=2)
    assert (capped.weights[["A", "C"]].to_numpy() <= 0.1 + 1e-6).all()
    with pytest.raises(Refusal, match=r"at most 0\.9 of"):
        portfolio.frontier(losses, 1.0, ORDERS, cap_site={"A": 0.1, "B": 0.4, "D": 0.3}, alike={"A": 1, "C": 1})


def test_split_ties_what_the_draws_cannot_tell():
    """Two independent sites of one law: half and half is the truth, and many draws tie little else with it."""
    random, many = np.random.default_rng(29), {}
    for n in (2_000, 200_000):
        losses = pd.DataFrame(random.gamma(0.5, 100.0, (n, 2)), columns=["A", "C"])
        tied = portfolio.split(losses, 100.0, "A", "C", steps=40).set_index("share")["tied"]
        assert tied[0.5]
        assert not tied[[0.0, 1.0]].any()
        many[n] = int(tied.sum())
    assert many[200_000] < 5 < many[2_000]


def test_of_mixes_with_one_tail_the_richest_is_taken():
    """C pays more than A for the very same loss: nothing of A is held at either end."""
    losses = every_year({"A": 0.1})
    losses["C"] = losses["A"]
    found = portfolio.frontier(losses, {"A": 20.0, "C": 30.0}, ORDERS, level=0.9)
    assert found.weights["C"].tolist() == pytest.approx([1.0], abs=1e-3)


def test_a_mix_chosen_on_some_draws_is_worse_on_others():
    """The optimizer's curse, Smith & Winkler (2006): on average over many samples of 200 years."""
    world = some_years(40_000, seed=11)
    worse = []
    for some in range(20):
        seen = world.iloc[some * 200 : (some + 1) * 200].reset_index(drop=True)
        found = portfolio.frontier(seen, 100.0, ORDERS, points=2)
        worse.append(
            portfolio.score(world.iloc[4_000:], 100.0, found.weights)["cvar"].iloc[0] - found.points["cvar"].iloc[0]
        )
    assert np.mean(worse) > 2 * np.std(worse) / np.sqrt(len(worse))


def test_split_error_is_that_of_many_samples():
    world = some_years(100_000, seed=13)
    gains = [
        portfolio.split(world.iloc[k : k + 1_000], 100.0, "A", "C", steps=2).iloc[1] for k in range(0, 100_000, 1_000)
    ]
    assert np.mean([row["gain_error"] for row in gains]) == pytest.approx(
        np.std([row["gain"] for row in gains]), rel=0.2
    )


# ---------------------------------------------------------------- refusals

TWO = every_year({"A": 0.1, "C": 0.2})


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: portfolio.frontier(TWO, 1.0, ORDERS, cap_site=0.4), "at most 0.8 of 1 can be invested in 2 sites"),
        (lambda: portfolio.frontier(TWO, 1.0, ORDERS, cap_order={"X": 0.2, "Y": 0.5}), "at most 0.7 of 1"),
        (lambda: portfolio.frontier(TWO, 1.0, ORDERS, cap_site=1.4), "share from 0 to 1; given 1.4"),
        (lambda: portfolio.frontier(TWO, 1.0, ORDERS, cap_order={"XX": 0.4}), "no legal order XX to cap"),
        (lambda: portfolio.frontier(TWO, 1.0, {"A": "X"}), "no legal order is given for C"),
        (lambda: portfolio.frontier(TWO, {"A": 1.0}, ORDERS), "no margin is given for C"),
        (lambda: portfolio.frontier(TWO, 1.0, ORDERS, points=1), "at least two points; given 1"),
        (lambda: portfolio.frontier(TWO.iloc[:0], 1.0, ORDERS), "at least one site and one draw"),
        (lambda: portfolio.frontier(TWO.replace(0.0, np.nan), 1.0, ORDERS), "losses of A hold"),
        (lambda: portfolio.frontier(TWO[["A", "A"]], 1.0, ORDERS), "the site A twice"),
        (lambda: portfolio.split(TWO, 1.0, "A", "AC"), "no site AC; the nearest is"),
        (lambda: portfolio.split(TWO, 1.0, "A", "A"), "two sites; given A twice"),
        (lambda: portfolio.tail([1.0, 2.0], 0.95), "2 draws have no worst 0.05"),
        (lambda: portfolio.tail([1.0, 2.0], 1.0), "from 0 to below 1, such as 0.95; given 1"),
        (lambda: portfolio.effective_number([]), "none below zero and not all zero"),
        (lambda: portfolio.independent_equivalent(TWO, {"A": 0.5, "C": 0.6}), "given a sum of 1.1"),
        (lambda: portfolio.independent_equivalent(0 * TWO, {"A": 1.0}), "no loss of these sites varies"),
        (lambda: portfolio.independent_equivalent(TWO.assign(C=-TWO["A"]), {"A": 0.5, "C": 0.5}), "cancel exactly"),
    ],
)  # fmt: skip
def test_refusals(call, says: str):
    with pytest.raises(Refusal, match=says) as refused:
        call()
    assert "\n" not in str(refused.value)
