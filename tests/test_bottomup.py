"""The count from below: worked by hand, its ranking against indices known in closed form, and its refusals."""

import numpy as np
import pandas as pd
import pytest

from wattshift import bottomup, data
from wattshift.bottomup import Input, Start
from wattshift.refusal import Refusal

PLAIN: dict[str, float] = {  # a million accelerators a year, 1 kW each, always busy, four years, nothing else
    "sales_growth_before": 1, "sales_growth_after": 1, "other_makers": 1, "installed": 1, "service_life": 4,
    "watts": 1000, "idle": 0.2, "training_utilization": 1, "inference_utilization": 0,
    "training_share": 1, "ai_pue": 1, "rest_twh": 300, "rest_growth": 0.1, "rest_saving": 0,
}  # fmt: skip
STEADY = Start({2022: 1.0, 2023: 1.0}, 2025)


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return data.load("dc_inputs"), bottomup.split(data.load("dc_demand_history"))


def unit(*names: str, low: float = 0.0, high: float = 1.0) -> list[Input]:
    return [Input(name, low, high, "", "", "") for name in names]


# ---------------------------------------------------------------- the model


def test_a_steady_fleet_worked_by_hand():
    # 4 million machines of 1 kW are 4 GW: 35.04 TWh, and 300 TWh grown by a tenth in each of two years is 363
    found = bottomup.energy(PLAIN, STEADY, 2027)
    assert float(found.ai) == pytest.approx(4 * 8.76, rel=1e-12)
    assert float(found.rest) == pytest.approx(363, rel=1e-12)
    assert float(found.total) == pytest.approx(4 * 8.76 + 363, rel=1e-12)


def test_every_factor_does_what_its_name_says():
    whole = float(bottomup.energy(PLAIN, STEADY, 2027).ai)
    for change, times in (
        ({"watts": 2000}, 2), ({"ai_pue": 1.2}, 1.2), ({"other_makers": 1.5}, 1.5), ({"installed": 0.9}, 0.9),
        ({"service_life": 5}, 1.25), ({"training_share": 0}, 0.2), ({"training_share": 0.5}, 0.6),
    ):  # fmt: skip
        found = bottomup.energy(PLAIN | change, STEADY, 2027)
        assert float(found.ai) == pytest.approx(whole * times, rel=1e-12), change
    assert float(bottomup.energy(PLAIN | {"ai_pue": 1.2}, STEADY, 2027).ai_it) == pytest.approx(whole)
    saved = bottomup.energy(PLAIN | {"rest_growth": 0.25, "rest_saving": 0.2}, STEADY, 2030)
    assert float(saved.rest) == pytest.approx(300)


def test_growing_sales_worked_by_hand():
    # sold: 0.25 and 0.5 (carried back at 2), 1, 2 counted, 4 and 8 up to 2025, 12 and 18 after it; two years of life
    start, values = Start({2022: 1.0, 2023: 2.0}, 2025), PLAIN | {
        "sales_growth_before": 2, "sales_growth_after": 1.5, "service_life": 2,
    }  # fmt: skip
    for year, gw in ((2025, 8 / 2 + 4 + 2 / 2), (2027, 18 / 2 + 12 + 8 / 2)):
        assert float(bottomup.fleet(values, start, year)) == pytest.approx(gw, rel=1e-12)


@pytest.mark.parametrize("life", [1.0, 3.7, 4.5, 5.0])
def test_every_machine_runs_for_its_life(life: float):
    assert bottomup.in_service(np.arange(12), life).sum() == pytest.approx(life, rel=1e-12)


def test_service_against_a_simulation():
    sold = np.random.default_rng(3).uniform(0, 1, 200_000)  # over the year of sale
    for age in range(6):
        overlap = np.clip(np.minimum(sold + 4.3, age + 1) - np.maximum(sold, age), 0, None)
        assert bottomup.in_service(age, 4.3) == pytest.approx(overlap.mean(), abs=0.003)


def test_draws_are_computed_together_as_one_by_one(tables: tuple[pd.DataFrame, pd.DataFrame]):
    ranges, start = bottomup.inputs(*tables), bottomup.start(*tables)
    values = bottomup.draws(ranges, 5, np.random.default_rng(1))
    together = bottomup.energy(values, start, 2030).total
    alone = [float(bottomup.energy({k: v[i] for k, v in values.items()}, start, 2030).total) for i in range(5)]
    assert together == pytest.approx(alone, rel=1e-12)


# ---------------------------------------------------------------- the inputs


def test_inputs_come_from_the_table(tables: tuple[pd.DataFrame, pd.DataFrame]):
    ranges = {one.name: one for one in bottomup.inputs(*tables)}
    assert tuple(ranges) == bottomup.NAMES
    assert (ranges["service_life"].low, ranges["service_life"].high) == (4, 5)
    assert ranges["watts"].low == 812.5  # 6.5 kW over eight
    assert ranges["watts"].high == 1419
    assert ranges["sales_growth_after"].low ** 5 == pytest.approx(2.2)
    assert (ranges["rest_saving"].low, ranges["rest_saving"].high) == (0, 0.07)
    assert (ranges["rest_growth"].low, ranges["rest_growth"].high) == (0.12, 0.18)
    assert bottomup.start(*tables) == Start({2022: 2.64, 2023: 3.76}, 2025)
    assert (ranges["rest_twh"].low, ranges["rest_twh"].high) == (
        485 - 155,
        448 - 93 * 1.12,
    )  # AI servers with their PUE


def test_a_publisher_is_subtracted_from_itself_only(tables: tuple[pd.DataFrame, pd.DataFrame]):
    parts = tables[1].set_index("family")
    assert (parts["total"] - parts["ai"]).to_dict() == {"IEA": 330, "Gartner": 355}
    with pytest.raises(Refusal, match="no publisher gives both"):
        bottomup.split(data.load("dc_demand_history").query("publisher != 'Gartner' and publisher != 'IEA'"))


# ---------------------------------------------------------------- the ranking


def test_ishigami():
    # Saltelli et al. (2008): a = 7, b = 0.1: first .3139 .4424 0, total .5576 .4424 .2437
    def ishigami(v: bottomup.Values) -> np.ndarray:
        a, b, c = (np.asarray(v[name]) for name in "abc")
        return np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a)

    found = bottomup.rank(unit(*"abc", low=-np.pi, high=np.pi), ishigami, n=4096, seed=5).set_index("name")
    assert found["first"].reindex(list("abc")).to_numpy() == pytest.approx([0.3139, 0.4424, 0], abs=0.02)
    assert found["total"].reindex(list("abc")).to_numpy() == pytest.approx([0.5576, 0.4424, 0.2437], abs=0.02)
    assert list(found.index) == ["a", "b", "c"]
    assert (found["total_give"] < 0.06).all()


def test_shares_of_a_sum_are_squares():
    # y = 3a + 2b + c over equal ranges: variances 9 : 4 : 1, and nothing together
    found = bottomup.rank(unit(*"abc"), lambda v: 3 * v["a"] + 2 * v["b"] + v["c"], n=2048, seed=1).set_index("name")
    for column in ("first", "total"):
        assert found[column].reindex(list("abc")).to_numpy() == pytest.approx(np.array([9, 4, 1]) / 14, abs=0.01)


def test_a_seed_gives_the_same_ranking_again(tables: tuple[pd.DataFrame, pd.DataFrame]):
    ranges, start = bottomup.inputs(*tables), bottomup.start(*tables)

    def outcome(values: bottomup.Values) -> np.ndarray:
        return np.log(bottomup.energy(values, start, 2030).total)

    once, again = (bottomup.rank(ranges, outcome, n=256, seed=8) for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
    assert once["name"].iloc[0] == "sales_growth_after"
    assert (once["total"] > once["first"] - 0.1).all()


def test_the_value_that_leads_to_a_level_is_found_again(tables: tuple[pd.DataFrame, pd.DataFrame]):
    ranges, start = bottomup.inputs(*tables), bottomup.start(*tables)

    def outcome(values: bottomup.Values) -> np.ndarray:
        return bottomup.energy(values, start, 2030).total

    planted = bottomup.draws(ranges, 50, np.random.default_rng(4))
    level = 1_500.0
    found = bottomup.required(planted, outcome, "sales_growth_after", level, (0.5, 4))
    assert outcome({**planted, "sales_growth_after": found}) == pytest.approx(np.full(50, level), rel=1e-6)
    narrow = bottomup.required(planted, outcome, "sales_growth_after", level, (1.3, 1.4))
    assert 0 < np.isnan(narrow).sum() < 50
    assert narrow[np.isfinite(narrow)] == pytest.approx(found[np.isfinite(narrow)], rel=1e-6)
    with pytest.raises(Refusal, match="out of reach"):
        bottomup.required(planted, outcome, "sales_growth_after", 1e6, (1, 1.1))
    with pytest.raises(Refusal, match="Did you mean service_life"):
        bottomup.required(planted, outcome, "servicelife", 1000, (1, 2))


def test_an_input_that_lowers_the_outcome_is_found_too():
    found = bottomup.required({"a": np.array([1.0, 2.0]), "b": 0.0}, lambda v: v["a"] - 2 * v["b"], "b", 0.5, (0, 1))  # type: ignore[operator]
    assert found == pytest.approx([0.25, 0.75], abs=1e-8)


def test_draws_that_miss_the_present_are_told_apart():
    parts = pd.DataFrame({"ai": [150.0, 100.0], "counts": ["AI sites", "AI servers"]})
    found = bottomup.Energy(np.array([80.0, 100.0, 140.0]), np.array([96.0, 120.0, 168.0]), np.zeros(3))
    assert bottomup.fits(found, parts, slack=0.1).tolist() == [False, True, False]
    assert bottomup.fits(found, parts.head(1), slack=0.1).tolist() == [False, False, False]


def test_to_lie_between_two_levels_is_not_to_meet_them():
    parts = pd.DataFrame({"ai": [150.0, 100.0], "counts": ["AI sites", "AI servers"]})
    servers = np.array([105.0, 105.0, 130.0])
    found = bottomup.Energy(servers, servers * [1.2, 1.4, 1.2], np.zeros(3))  # 126, 147 and 156 TWh of sites
    assert bottomup.fits(found, parts).tolist() == [True, True, True]
    assert bottomup.meets(found, parts).tolist() == [False, True, False]


def test_what_a_cause_explains_of_draws_at_hand():
    # y = 3a + 2b + c over equal ranges: variances 9 : 4 : 1
    a, b, c = np.random.default_rng(6).uniform(size=(3, 40_000))
    assert bottomup.explained(a, 3 * a + 2 * b + c) == pytest.approx(9 / 14, abs=0.01)
    assert bottomup.explained(c, 3 * a + 2 * b + c) == pytest.approx(1 / 14, abs=0.01)


def test_swings_worked_by_hand():
    found = bottomup.swings(unit("a", "b", high=2), lambda v: np.asarray(v["a"] + 10 * v["b"])).set_index("name")
    assert found.loc["a"].tolist() == [10, 12]
    assert found.loc["b"].tolist() == [1, 21]


# ---------------------------------------------------------------- refusals


def test_what_makes_no_sense_is_refused():
    with pytest.raises(Refusal, match="starts in 2025; 2024 is before"):
        bottomup.energy(PLAIN, STEADY, 2024)
    with pytest.raises(Refusal, match="needs watts too"):
        bottomup.energy({name: value for name, value in PLAIN.items() if name != "watts"}, STEADY, 2030)
    with pytest.raises(Refusal, match="Did you mean ai_pue"):
        bottomup.energy(PLAIN | {"pue": 1.2}, STEADY, 2030)
    with pytest.raises(Refusal, match="low end first"):
        Input("watts", 2, 1, "", "", "")
    with pytest.raises(Refusal, match="power of two"):
        bottomup.rank(unit("a", "b"), lambda v: np.asarray(v["a"]), n=1000)
    with pytest.raises(Refusal, match="no variance"):
        bottomup.rank(unit("a", "b"), lambda v: np.ones_like(v["a"]), n=64)
    with pytest.raises(Refusal, match="each its own"):
        bottomup.draws(unit("a", "a"), 3, np.random.default_rng(0))
    with pytest.raises(Refusal, match="two inputs"):
        bottomup.rank(unit("a"), lambda v: np.asarray(v["a"]))
