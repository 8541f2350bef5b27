"""Ranks under doubt: against closed forms, worked geometry and published cases, and what must never happen."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymcdm.methods import PROMETHEE_II, TOPSIS
from pymcdm.normalizations import vector_normalization
from scipy.stats import norm

from wattshift import data, gates, sites, smaa
from wattshift.refusal import Refusal
from wattshift.sites import Panel

NINE = tuple("abcdefghi")
LETTERS = "ABCDEFGHIJKLMNOPQRST"


def panel(value, error=0.0, *, low=None, high=None, source=None) -> Panel:
    """A panel of sites A, B, … and criteria a, b, …; every cell has a source of its own unless told."""
    value = np.asarray(value, dtype=float)
    blank = np.full(value.shape, np.nan)
    return Panel(
        tuple(LETTERS[: len(value)]), NINE[: value.shape[1]], value,
        np.where(np.isfinite(value), np.broadcast_to(error, value.shape), np.nan),
        blank if low is None else np.where(np.isfinite(value), np.nan, low),
        blank if high is None else np.where(np.isfinite(value), np.nan, high),
        np.arange(value.size).reshape(value.shape) if source is None else np.asarray(source),
    )  # fmt: skip


def free(size: int, n: int, seed: int = 1) -> np.ndarray:
    return smaa.weights(smaa.preferences([], NINE[:size]), n, np.random.default_rng(seed))


def ranked(of: Panel, n: int = 4_000, seed: int = 1) -> smaa.Ranking:
    return smaa.rank(of, free(len(of.criteria), n, seed), np.random.default_rng(seed))


def close(drawn: np.ndarray, mean: float, variance: float, errors: float = 4.5) -> None:
    """Mean and variance of independent draws as they should be, within so many standard errors."""
    n, kurtosis = len(drawn), float(np.mean((drawn - drawn.mean()) ** 4)) / drawn.var() ** 2
    assert abs(drawn.mean() - mean) < errors * np.sqrt(variance / n)
    assert abs(drawn.var() / variance - 1) < errors * np.sqrt((kurtosis - 1) / n)


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("size", [2, 5, 9])
def test_even_weights_have_the_moments_of_the_simplex(size: int):
    drawn = free(size, 40_000)
    assert drawn.sum(axis=1) == pytest.approx(1, abs=1e-12)
    for column in drawn.T:
        close(column, 1 / size, (size - 1) / (size**2 * (size + 1)))


@pytest.mark.parametrize("draw", [smaa.weights, smaa.hit_and_run])
@pytest.mark.parametrize("size", [3, 9])
def test_an_order_of_all_criteria_has_the_rank_order_centroid(size: int, draw):
    # Barron and Barrett (1996): the mean weight of rank k among C is the sum over i from k to C of 1 / i, over C. The
    # variance is that of mixed corners (1, 0, ..), (1/2, 1/2, 0, ..), ..: over C+1, of their variance over C
    told = smaa.preferences([" > ".join(NINE[:size])], NINE[:size])
    drawn = draw(told, 8_000, np.random.default_rng(7))
    assert (np.diff(drawn, axis=1) <= 1e-12).all()
    assert (drawn >= 0).all()
    corners = np.tril(np.ones((size, size))) / np.arange(1, size + 1)[:, None]
    for column, corner in zip(drawn.T, corners.T, strict=True):
        close(column, corner.mean(), corner.var() / (size + 1))


def test_an_order_said_in_pieces_is_an_order_and_a_part_of_one_is_not():
    for said in (["b > d", "d > a", "a > c"], ["a > c", "b > d > a", "b > c"]):
        drawn = smaa.weights(smaa.preferences(said, NINE[:4]), 500, np.random.default_rng(1))
        assert (np.diff(drawn[:, [1, 3, 0, 2]], axis=1) <= 0).all()
    # two over a third of three, in any order of the two: that one is the least of three, 1/9 in the mean
    part = smaa.weights(smaa.preferences(["a > c", "b > c"], NINE[:3]), 20_000, np.random.default_rng(2))
    assert part[:, 2].mean() == pytest.approx(1 / 9, abs=0.003)
    assert (part[:, 0] > part[:, 1]).mean() == pytest.approx(0.5, abs=4 * 0.5 / 20_000**0.5)


def test_a_bound_from_above_in_closed_form():
    # of three weights one has the density 2 (1 - x); cut at 0.1: mean (x² - 2x³/3) / (2x - x²), and likewise its square
    for draw in (smaa.weights, smaa.hit_and_run):
        drawn = draw(smaa.preferences(["b <= 0.1"], NINE[:3]), 8_000, np.random.default_rng(2))[:, 1]
        assert drawn.max() <= 0.1 + 1e-12
        mean, square = (0.01 - 0.002 / 3) / 0.19, (0.002 / 3 - 0.0001 / 2) / 0.19
        close(drawn, mean, square - mean**2)


def test_weights_tied_to_each_other_lie_on_a_line():
    for said in (["a is b"], ["a >= b", "b >= a"]):  # (t, t, 1 - 2t), t even from 0 to 1/2
        drawn = smaa.weights(smaa.preferences(said, NINE[:3]), 5_000, np.random.default_rng(3))
        assert drawn[:, 0] == pytest.approx(drawn[:, 1], abs=1e-9)
        close(drawn[:, 0], 0.25, 1 / 48)


def test_lower_bounds_and_exact_weights_leave_a_smaller_simplex():
    drawn = smaa.weights(smaa.preferences(["a >= 0.2", "b is 0.1"], NINE[:4]), 20_000, np.random.default_rng(4))
    assert (drawn[:, 0] >= 0.2).all()
    assert drawn[:, 1] == pytest.approx(0.1, abs=1e-15)
    for place, base in ((0, 0.2), (2, 0.0), (3, 0.0)):  # the free 0.7 is even over three: variance 2 / (9 × 4)
        close(drawn[:, place], base + 0.7 / 3, 0.49 / 18)


def test_families_share_before_their_members_do():
    # U even over two families; of the second, V of it goes to b: E[UV] = 1/4 and E[(UV)²] = 1/9
    drawn = smaa.by_family(
        ("b", "a", "c"), {"x": ("a",), "y": ("b", "c"), "z": ("d",)}, 20_000, np.random.default_rng(9)
    )
    assert drawn.sum(axis=1) == pytest.approx(1, abs=1e-12)
    close(drawn[:, 1], 1 / 2, 1 / 12)
    close(drawn[:, 0], 1 / 4, 1 / 9 - 1 / 16)
    with pytest.raises(Refusal, match="it is in none"):
        smaa.by_family(("a",), {"x": ("b",)}, 5, np.random.default_rng(0))
    with pytest.raises(Refusal, match="it is in x and y"):
        smaa.by_family(("a",), {"x": ("a",), "y": ("a",)}, 5, np.random.default_rng(0))


def test_a_sliver_is_walked_as_well_as_sorted_out():
    # long in some directions, a thousandth wide in another: sorting out is exact and takes 3 in 10,000 draws
    told = smaa.preferences(["a > b > c", "0.1 <= d <= 0.101", "e <= 0.3"], NINE[:6])
    walked = smaa.hit_and_run(told, 5_000, np.random.default_rng(5))
    even = free(5, 1_500_000, seed=6)
    kept = np.insert(even * 0.8995, 3, 0.1005, axis=1)  # d in the middle of its range, the others even over the rest
    kept = kept[(kept[:, 0] >= kept[:, 1]) & (kept[:, 1] >= kept[:, 2]) & (kept[:, 4] <= 0.3)]
    assert (walked @ told.rows.T >= told.least - 1e-12).all()
    close(walked[:, 3], 0.1005, 1e-6 / 12)
    for place in (0, 1, 2, 4, 5):
        assert walked[:, place].mean() == pytest.approx(
            kept[:, place].mean(), abs=4 * kept[:, place].std() / 5_000**0.5
        )
        assert walked[:, place].std() == pytest.approx(kept[:, place].std(), rel=0.05)


def test_walked_draws_are_as_good_as_independent_ones():
    told = smaa.preferences([" > ".join(NINE)], NINE)
    drawn = smaa.hit_and_run(told, 12_000, np.random.default_rng(8)).reshape(60, 200, 9)
    batch = drawn.mean(axis=1).var(axis=0, ddof=1) * 200 / drawn.reshape(-1, 9).var(axis=0)
    assert 0.6 < batch.min() < batch.max() < 1.5  # 59 degrees of freedom: 0.63 to 1.47 with 99.8 % of chi-squared / df
    beside = np.corrcoef(drawn[:, :-1, 4].ravel(), drawn[:, 1:, 4].ravel())[0, 1]
    assert abs(beside) < 4 / 12_000**0.5


def test_what_is_said_leaves_one_point():
    for said in (["a is 0.5", "b is 0.3", "c is 0.2"], ["a >= 0.5", "b >= 0.3", "c >= 0.2"], ["a is b is c"]):
        drawn = smaa.weights(smaa.preferences(said, NINE[:3]), 5, np.random.default_rng(0))
        assert drawn == pytest.approx(np.tile(drawn[0], (5, 1)), abs=1e-9)
        assert drawn[0] == pytest.approx([1 / 3] * 3 if said == ["a is b is c"] else [0.5, 0.3, 0.2], abs=1e-9)
    alone = smaa.weights(smaa.preferences(["only is 1"], ["only"]), 3, np.random.default_rng(0))
    assert alone.tolist() == [[1.0]] * 3


def test_statements_are_read_as_they_are_written():
    names = ["governance", "governance trend", "fuel mix"]
    for said in ("Governance  >  governance   trend", "governance trend<governance"):
        told = smaa.preferences([said], names)
        assert told.rows[-1].tolist() == [1, -1, 0]
    chain = smaa.preferences(["0.1 <= fuel mix ≤ 0.3"], names)
    assert chain.rows[3:].tolist() == [[0, 0, 1], [0, 0, -1]]
    assert chain.least[3:].tolist() == [0.1, -0.3]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (["goverance > carbon"], "did you mean governance?"),
        (["weather > carbon"], "there are governance, violence, carbon"),
        (["governance"], "says nothing of weights"),
        (["governance >"], "says nothing of weights"),
        (["0.1 < 0.2"], "compares no weight"),
        (["carbon <= 10%"], "share between 0 and 1, such as 0.2; 'carbon <= 10%' gives 10%"),
        (["carbon <= 0,1"], "gives 0,1"),
        (["carbon >= -0.1"], "gives -0.1"),
        (["carbon >= 1.5"], "gives 1.5"),
        (["governance is 0.5", "violence is 0.3", "carbon is 0.1"], "these add to 0.9, and all weights"),
        (["governance >= 0.7", "carbon is 0.4"], "governance >= 0.7 and carbon is 0.4: these add to 1.1"),
        (["governance <= 0.3", "violence <= 0.3", "carbon < 0.2"], "these add to 0.8"),
        (["governance > carbon", "violence >= 0.1", "carbon > governance"],
         "governance > carbon and carbon > governance together: they contradict"),
        (["governance > violence > carbon > governance"], "no weights satisfy"),
        (["governance > governance"], "compares governance with itself"),
        (["carbon > 1"], "no weights satisfy carbon > 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_sentence(said: list[str], words: str):
    with pytest.raises(Refusal) as no:
        smaa.preferences(said, ["governance", "violence", "carbon"])
    assert words in str(no.value)
    assert "\n" not in str(no.value)
    if "contradict" in words:
        assert "violence" not in str(no.value)  # what does not clash is not named


def test_a_criterion_that_fell_away_is_refused_with_the_reason():
    gone = {"measures": "it is unknown at some site", "carbon": "not so"}
    with pytest.raises(Refusal, match="speaks of measures, which is not in use: it is unknown at some site"):
        smaa.preferences(["Measures > carbon"], ["governance", "carbon"], gone)
    assert smaa.preferences(["carbon <= 0.2"], ["governance", "carbon"], gone).least.tolist() == [0, 0, -0.2]


# ---------------------------------------------------------------- ranks


def test_two_sites_each_best_at_one_thing():
    # METHODS case 17: first where its own weight is above a half, so the mean weight there is 3/4; var of U is 1/12 / 4
    found = ranked(panel([[1, 0], [0, 1]]), 40_000)
    assert found.acceptability == pytest.approx(np.full((2, 2), 0.5), abs=4 * 0.5 / 200)
    assert found.central == pytest.approx(np.array([[0.75, 0.25], [0.25, 0.75]]), abs=4 * (1 / 48) ** 0.5 / 20_000**0.5)
    assert found.confidence.tolist() == [1, 1]
    assert found.tied == 0


def test_errors_in_closed_form():
    # one criterion: A leads by 0.1, errors 0.1 and 0.2, so A is first with the chance Phi(0.1 / sqrt(0.05))
    found = ranked(panel([[0.5], [0.4]], [[0.1], [0.2]]), 40_000)
    chance = norm.cdf(0.1 / 0.05**0.5)
    for share in (found.acceptability[0, 0], found.winning[0, 1], found.confidence[0]):
        assert share == pytest.approx(chance, abs=4 * (chance * (1 - chance)) ** 0.5 / 200)
    assert found.winning[1, 0] == pytest.approx(1 - found.winning[0, 1], abs=1e-12)


def test_a_missing_value_is_even_over_its_range():
    found = ranked(panel([[0.5], [np.nan]], low=0.2, high=0.6), 40_000)
    assert found.acceptability[1, 0] == pytest.approx(0.25, abs=4 * (0.25 * 0.75) ** 0.5 / 200)
    worst, best = (ranked(smaa.settled(panel([[0.5], [np.nan]], low=0.2, high=0.6), end)) for end in ("low", "high"))
    assert (worst.acceptability[1, 0], best.acceptability[1, 0]) == (0, 1)


def test_one_source_is_one_draw():
    # two sites of one country: the country's error is ten times what sets them apart, and never does
    of = panel([[0.5, 0.31], [0.5, 0.30]], [[0.1, 0], [0.1, 0]], source=[[7, 1], [7, 2]])
    assert ranked(of).winning[0, 1] == 1
    apart = panel([[0.5, 0.31], [0.5, 0.30]], [[0.1, 0], [0.1, 0]])
    assert ranked(apart).winning[0, 1] < 0.7
    unknown = panel([[np.nan, 0.31], [np.nan, 0.30]], low=0.0, high=1.0, source=[[7, 1], [7, 2]])
    assert ranked(unknown).winning[0, 1] == 1


def test_a_draw_beyond_the_scale_is_cut():
    # A is 1 or, in half of the draws, less; B is 0.98 exactly: A is ahead unless it falls by more than 0.02
    found = ranked(panel([[1.0], [0.98]], [[0.1], [0]]), 40_000)
    chance = norm.cdf(0.2)
    for share in (found.acceptability[0, 0], found.confidence[0]):
        assert share == pytest.approx(chance, abs=4 * (chance * (1 - chance)) ** 0.5 / 200)
    never = ranked(panel([[1.0, 0.0], [1.0, 0.3]], [[0.4, 0.0], [0, 0]]), 2_000)
    assert never.acceptability[0, 0] == 0  # uncut, a draw of 1.4 would win
    both = ranked(panel([[1.0], [1.0]], [[0.1], [0.1]]), 40_000)
    assert both.tied == pytest.approx(0.25, abs=4 * (0.25 * 0.75) ** 0.5 / 200)  # both at the end of the scale


def test_sites_that_are_level_in_every_draw():
    of = panel([[0.5, 0.3], [0.5, 0.3], [0.5, 0.3], [0.5, np.nan]], 0.1, low=0.2, high=0.4, source=[[7, 1]] * 4)
    assert smaa.level(of) == [("A", "B", "C")]
    assert smaa.level(panel([[0.5, 0.3], [0.5, 0.3]], 0.1)) == []  # errors of their own
    assert smaa.level(panel([[0.5, 0.3], [0.5, 0.3]])) == [("A", "B")]  # none: where they come from is no matter


def test_one_site_is_first_and_two_alike_share():
    alone = ranked(panel([[0.3, 0.6]], 0.1))
    assert alone.acceptability.tolist() == [[1.0]]
    assert alone.table().loc[0, ["first", "expected", "best", "worst", "confidence"]].tolist() == [1, 1, 1, 1, 1]
    twins = ranked(panel([[0.3, 0.6], [0.3, 0.6], [0.1, 0.1]]), 40_000)
    assert twins.tied == 1
    assert twins.acceptability[:2, :2] == pytest.approx(np.full((2, 2), 0.5), abs=4 * 0.5 / 200)
    assert twins.confidence[:2] == pytest.approx([0.5, 0.5])
    assert np.isnan(twins.confidence[2])
    assert twins.acceptability[2].tolist() == [0, 0, 1]


cells = st.integers(0, 8).map(lambda step: step / 16)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(cells, cells, cells), min_size=2, max_size=6), st.tuples(cells, cells, cells))
def test_a_dominated_site_never_outranks(rows: list[tuple[float, ...]], less: tuple[float, ...]):
    value = 0.5 + np.array([*rows, np.array(rows[0]) - np.array(less)])
    found = ranked(panel(value), 300)
    if any(less):
        assert found.winning[0, -1] == 1
        assert found.acceptability[-1, 0] == 0
    assert found.acceptability.sum(axis=0) == pytest.approx(1)
    assert found.acceptability.sum(axis=1) == pytest.approx(1)
    assert found.winning.T[~np.eye(len(value), dtype=bool)] == pytest.approx(
        1 - found.winning[~np.eye(len(value), dtype=bool)]
    )
    assert found.expected == pytest.approx(1 + np.nansum(1 - found.winning, axis=1))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(0, 0.3), st.lists(st.floats(0, 0.5), min_size=3, max_size=3))
def test_nor_does_it_under_errors_that_are_cut(seed: int, error: float, less: list[float]):
    # an error that two sites share: draws cut to 0..1 may meet at an end, where the lot decides, and never cross
    better = np.random.default_rng(seed).uniform(0.5, 1, 3)
    found = ranked(panel([better, better - less], error, source=[[0, 1, 2]] * 2), 400, seed)
    assert found.winning[0, 1] >= 1 - found.tied


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 2), st.floats(0.001, 1))
def test_a_worse_input_never_helps(seed: int, criterion: int, less: float):
    before = np.random.default_rng(seed).random((5, 3))
    after = before.copy()
    after[0, criterion] *= 1 - less
    then, now = ranked(panel(before, 0.1), 500, seed), ranked(panel(after, 0.1), 500, seed)
    assert now.acceptability[0, 0] <= then.acceptability[0, 0]
    assert (np.nan_to_num(now.winning[0]) <= np.nan_to_num(then.winning[0])).all()
    assert now.expected[0] >= then.expected[0] - 1e-12


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.01, 1.5), st.lists(st.floats(-0.1, 0.1), min_size=3, max_size=3))
def test_units_and_zero_points_do_not_matter(seed: int, times: float, shift: list[float]):
    # six standard deviations from the ends of the scale, where a draw is cut
    value = np.random.default_rng(seed).uniform(-0.2, 0.2, (5, 3))
    plain = ranked(panel(0.5 + value, 0.01), 500, seed)
    moved = ranked(panel(0.5 + times * value + shift, times * 0.01), 500, seed)
    assert moved.acceptability == pytest.approx(plain.acceptability, abs=1e-9)
    assert moved.winning == pytest.approx(plain.winning, abs=1e-9, nan_ok=True)


def test_monte_carlo_errors_are_those_of_repeated_runs():
    of = panel(np.random.default_rng(3).random((4, 3)), 0.1)
    runs = [ranked(of, 1_000, seed) for seed in range(100)]
    shares = np.array([run.acceptability for run in runs])
    said = np.mean([run.error for run in runs], axis=0)
    busy = said > 0.005
    ratio = shares.std(axis=0, ddof=1)[busy] / said[busy]
    assert busy.sum() > 8
    assert ((ratio > 0.75) & (ratio < 1.3)).all()  # 99 degrees of freedom: 0.78 to 1.24 with 99.9 %
    means = np.array([run.expected for run in runs])
    told = np.mean([run.table().set_index("site_id")["expected_error"].sort_index() for run in runs], axis=0)
    assert means.std(axis=0, ddof=1) == pytest.approx(told, rel=0.3)


def test_intervals_of_ranks_and_who_may_be_first():
    share = np.array([[0.60, 0.36, 0.04], [0.35, 0.60, 0.05], [0.05, 0.04, 0.91]])
    winner = np.repeat(np.arange(3, dtype=np.int16), [60, 35, 5])
    found = smaa.Ranking(("A", "B", "C"), ("a",), share, np.ones((3, 1)), np.ones(3), np.full((3, 3), 0.5), winner, 0.0)
    table = found.table(0.9)
    assert table["site_id"].tolist() == ["A", "B", "C"]
    assert table[["best", "worst"]].to_numpy().tolist() == [[1, 2], [1, 2], [2, 3]]
    assert found.contenders(0.6) == ["A"]
    assert found.contenders(0.95) == ["A", "B"]
    assert found.contenders(1.0) == ["A", "B", "C"]
    assert table["first_error"].tolist() == pytest.approx([(s * (1 - s) / 100) ** 0.5 for s in (0.6, 0.35, 0.05)])


def test_faulty_input_is_refused():
    good = panel([[0.1, 0.2], [0.3, 0.4]])
    rng = np.random.default_rng(0)
    with pytest.raises(Refusal, match="b of A has neither a value"):
        smaa.rank(panel([[0.1, np.nan], [0.3, 0.4]]), free(2, 10), rng)
    with pytest.raises(Refusal, match="a of B lies beyond 0 and 1"):
        smaa.rank(panel([[0.1, 0.2], [1.3, 0.4]], 0.1), free(2, 10), rng)
    with pytest.raises(Refusal, match=r"add to 0\.9"):
        smaa.rank(good, np.array([[0.5, 0.4]]), rng)
    with pytest.raises(Refusal, match="2 weights each"):
        smaa.rank(good, free(3, 10), rng)
    with pytest.raises(Refusal, match="below zero"):
        smaa.rank(good, np.array([[1.2, -0.2]]), rng)
    with pytest.raises(Refusal, match="one draw at least"):
        smaa.weights(smaa.preferences([], ["a"]), 0, rng)
    with pytest.raises(Refusal, match="names, and each its own"):
        smaa.preferences([], ["a", "a"])


def test_a_gate_beats_any_weight():
    tables = {name: data.load(name) for name in sites.TABLES}
    places, day = data.load("site_candidates"), "2026-07-01"
    found = gates.evidence(places, tables["mining_regulation_events"], tables["conflict_events_annual"], day)
    admitted = gates.open_sites(places, found)
    gated = sorted(set(places["site_id"]) - set(admitted))
    of = sites.panel(sites.measure(tables, places, day), admitted)
    assert gated
    for best in of.criteria:  # whatever weighs most, a gated site has no rank
        told = smaa.preferences([f"{best} >= 0.9"], of.criteria)
        ranking = smaa.rank(of, smaa.weights(told, 50, np.random.default_rng(0)), np.random.default_rng(1))
        assert not set(gated) & set(ranking.sites)
        assert len(ranking.table()) == len(admitted)
    with pytest.raises(Refusal, match="in the ranking"):
        smaa.hangs_on(of, told, gated[0])


# ---------------------------------------------------------------- what it hangs on


def test_who_is_first_where_one_criterion_weighs_most():
    of = panel([[1, 0], [0, 1]])
    drawn = free(2, 4_000)
    found = smaa.heaviest(smaa.rank(of, drawn, np.random.default_rng(0)), drawn)
    assert found[["criterion", "site_id", "first", "second"]].to_numpy().tolist() == [
        ["a", "A", 1, ""],
        ["b", "B", 1, ""],
    ]
    assert found["share"].sum() == pytest.approx(1)


def test_leaving_criteria_out():
    # without a, B leads at any weights; without b, A does; without c, where all are alike, nothing changes
    of, drawn = panel([[0.9, 0.1, 0.5], [0.1, 0.9, 0.5], [0, 0, 0.5]]), free(3, 2_000)
    firsts = [smaa.rank(of, smaa.without(drawn, c), np.random.default_rng(3)).acceptability[:, 0] for c in range(3)]
    assert [share.tolist() for share in firsts[:2]] == [[0, 1, 0], [1, 0, 0]]
    assert firsts[2].tolist() == smaa.rank(of, drawn, np.random.default_rng(3)).acceptability[:, 0].tolist()
    even = smaa.without(free(4, 40_000), 1)
    for place in (0, 2, 3):  # what is left is even over the simplex of three
        close(even[:, place], 1 / 3, 2 / 36)
    assert smaa.without(np.array([[0.0, 1.0, 0.0]]), 1).tolist() == [[0.5, 0, 0.5]]


def test_no_rank_reversal_where_the_scale_does_not_know_the_others():
    value = pd.DataFrame(np.random.default_rng(2).random((6, 3)), index=list("ABCDEF"))

    def declared(kept):
        return panel(value.loc[list(kept)])

    def spanned(kept):
        part = value.loc[list(kept)]
        return panel((part - part.min()) / (part.max() - part.min()))

    drawn = free(3, 500)
    assert smaa.reversals(declared, value.index, drawn)["reversed"].tolist() == [0] * 6
    assert smaa.reversals(spanned, value.index, drawn)["reversed"].max() > 0.01
    whole = spanned(value.index)  # held as it was for all: no reversal either
    held = smaa.reversals(lambda some: smaa.kept(whole, some), value.index, drawn)
    assert held["reversed"].tolist() == [0] * 6
    with pytest.raises(Refusal, match="three sites"):
        smaa.reversals(declared, ["A", "B"], drawn)


def test_shares_of_variance_planted_and_found():
    # weights exactly a half each: the lead is half of each error, so shares are 0.04² and 0.03² over 0.05²
    of = panel([[0.6, 0.6], [0.1, 0.1]], [[0.04, 0.03], [0, 0]])
    found = smaa.hangs_on(of, smaa.preferences(["a is 0.5", "b is 0.5"], NINE[:2]), "A", seed=1).set_index("doubt")
    for name, share in (("error of a", 0.64), ("error of b", 0.36)):
        assert found.loc[name, "first"] == pytest.approx(share, abs=0.02)
        assert found.loc[name, "total"] == pytest.approx(share, abs=0.02)
    # an error of 0.1 and a range of half a unit: variances 1/100 and 1/48
    mixed = panel([[0.5], [np.nan]], [[0.1], [0]], low=0.0, high=0.5)
    found = smaa.hangs_on(mixed, smaa.preferences([], NINE[:1]), "A", seed=1).set_index("doubt")
    assert found.loc["figures that nobody gives", "total"] == pytest.approx((1 / 48) / (1 / 48 + 0.01), abs=0.02)
    assert set(found["kind"]) == {"error", "unknown", "weight"}


def test_shares_of_weights():
    # the lead is the weight of a: what is drawn for b and for c takes from it alike
    of = panel([[1, 0.2, 0.2], [0, 0.2, 0.2]])
    found = smaa.hangs_on(of, smaa.preferences([], NINE[:3]), "A", seed=1).set_index("doubt")["total"]
    assert found["weight of a"] > found["weight of b"]
    assert found["weight of b"] == pytest.approx(found["weight of c"], abs=0.03)
    tied = smaa.hangs_on(panel([[1, 0.2], [0, 0.2]], 0.01), smaa.preferences(["a > b"], NINE[:2]), "A", seed=1)
    assert tied.loc[0, "doubt"] == "all weights together"
    assert tied.loc[0, "first"] == pytest.approx(
        1, abs=0.05
    )  # a weight even from 1/2 to 1: 1/48, against 2 × 0.01² × E[w²]


def test_no_doubt_and_no_rival_are_refused():
    one, two = panel([[0.5]]), panel([[0.5, 0.2], [0.1, 0.2]], 0.1)
    told = smaa.preferences([], NINE[:2])
    with pytest.raises(Refusal, match="needs a second site"):
        smaa.hangs_on(one, told, "A")
    with pytest.raises(Refusal, match=r"no site 'AA' in the ranking\. Did you mean A"):
        smaa.hangs_on(two, told, "AA")
    with pytest.raises(Refusal, match="power of two"):
        smaa.hangs_on(two, told, "A", n=1000)
    with pytest.raises(Refusal, match="two doubts"):
        smaa.hangs_on(panel([[0.5, 0.2], [0.1, 0.2]]), smaa.preferences(["a is 0.5", "b is 0.5"], NINE[:2]), "A")
    with pytest.raises(Refusal, match="do not differ"):
        smaa.methods(panel([[0.5, 0.2], [0.5, 0.2]]), np.array([0.5, 0.5]))


# ---------------------------------------------------------------- other methods


def test_published_cases_of_the_library():
    # METHODS case 16 (Hodgett; R package MCDA): three cars, the price a cost
    cars = np.array([[5490, 51.4, 8.5, 285], [6500, 70.6, 7, 288], [6489, 54.3, 7.5, 290]])
    topsis = TOPSIS(vector_normalization)(cars, np.array([0.35, 0.25, 0.25, 0.15]), np.array([-1, 1, 1, 1]))
    assert topsis == pytest.approx([0.4817, 0.5182, 0.1780], abs=5e-5)
    # worked by hand: the first beats the second at weights .5 + .3, the third at .3; flows over one less than the sites
    flows = PROMETHEE_II("ushape", q=[0.0] * 3)(
        np.array([[4, 3, 2], [3, 2, 4], [5, 1, 3]]), np.array([0.5, 0.3, 0.2]), np.ones(3)
    )
    assert flows == pytest.approx([0.1, -0.3, 0.2])


def test_methods_agree_where_one_site_is_better_at_everything():
    found = smaa.methods(panel([[0.2, 0.1, 0.5], [0.9, 0.8, 0.5], [0.5, 0.5, 0.5]]), np.full(3, 1 / 3))
    assert found.to_numpy().tolist() == [[3, 3, 3], [1, 1, 1], [2, 2, 2]]


def test_methods_part_where_small_differences_meet_a_large_one():
    # A is a little better at two things, B far better at one: the sum takes B, counting wins takes A, and where the
    # small differences are within their errors PROMETHEE takes B too
    value = [[0.52, 0.52, 0.1], [0.50, 0.50, 0.9]]
    third = np.full(3, 1 / 3)
    assert smaa.methods(panel(value), third).loc["A"].tolist() == [2, 2, 1]
    assert smaa.methods(panel(value, 0.05), third).loc["A"].tolist() == [2, 2, 2]
