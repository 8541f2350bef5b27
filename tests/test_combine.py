"""Weights against closed forms, the error law and the fan against their own distribution, coverage by simulation."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wattshift import combine, data, outlook, scoring
from wattshift.refusal import Refusal


@pytest.fixture(scope="module")
def scored() -> pd.DataFrame:
    return scoring.record(data.load("past_forecasts"), data.load("dc_demand_history"))[0]


def made_up(errors: np.ndarray, horizons: np.ndarray) -> pd.DataFrame:
    """A record with one forecast per edition."""
    names = [f"edition {place}" for place in range(len(errors))]
    return pd.DataFrame({
        "edition": names, "target_year": 2020, "horizon": horizons, "error": errors, "realised": 100.0,
        "no_change": -0.3,
    })  # fmt: skip


def test_bates_granger_has_the_smallest_variance():
    """The weight minimises w^2 a^2 + (1-w)^2 b^2 + 2 w (1-w) r a b; without correlation it is inverse squared error."""
    for a, b, r in ((1.0, 2.0, 0.0), (1.0, 1.5, 0.4), (2.0, 1.0, -0.5), (1.0, 3.0, 0.9)):
        weight = combine.bates_granger(a, b, r)
        w = np.linspace(-2, 3, 500_001)
        assert weight == pytest.approx(
            w[np.argmin((w * a) ** 2 + ((1 - w) * b) ** 2 + 2 * w * (1 - w) * r * a * b)], abs=1e-5
        )
    assert combine.inverse_error_weights({"a": 1.0, "b": 4.0})["a"] == pytest.approx(combine.bates_granger(1, 2, 0))
    assert combine.equal_weights(["a", "b", "c", "d"]).tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: combine.equal_weights([]), "no forecast is left"),
        (lambda: combine.inverse_error_weights({"GS": 1.0, "IEA": float("nan")}), "there is none of IEA"),
        (lambda: combine.inverse_error_weights({}), "a past error of everybody"),
        (lambda: combine.bates_granger(1, 0, 0), "two positive standard deviations"),
        (lambda: combine.bates_granger(1, 1, 1), "no best weights"),
    ],
)
def test_weight_refusals(call, says: str):
    with pytest.raises(Refusal, match=says):
        call()


def test_scale_of_the_record_by_hand(scored: pd.DataFrame):
    """Mean square of error / root of years, where the two errors of one edition share its vote."""
    z = [np.log(100 / 76.4) / 5**0.5, np.log(176 / 156) / 5**0.5, np.log(139 / 108) / 7**0.5, np.log(73 / 108) / 6**0.5]
    two = (np.log(495 / 416) ** 2 + np.log(588 / 485) ** 2 / 2) / 2
    expected = np.sqrt((sum(x**2 for x in z) + two + np.log(178 / 192) ** 2) / 6)
    for name in combine.LAWS:
        law = combine.fit_law(scored, name)
        assert law.scale == pytest.approx(expected)
        assert (law.editions, law.shares.sum()) == (6, pytest.approx(1))


@pytest.mark.parametrize("name", combine.LAWS)
def test_a_law_is_a_distribution(scored: pd.DataFrame, name: str):
    law = combine.fit_law(scored, name)
    p = np.linspace(0.001, 0.999, 997)
    assert law.chance(law.size(p)) == pytest.approx(p, abs=1e-9)
    assert (np.diff(law.size(p)) > 0).all()
    assert law.place(law.error(p, 3.0), 3.0) == pytest.approx(p, abs=1e-9)
    assert law.error(0.5, 4.0) == 0
    assert law.error(0.9, 4.0) == pytest.approx(2 * law.error(0.9, 1.0))  # root of the years
    assert law.error(0.1, 4.0) == pytest.approx(-law.error(0.9, 4.0))


def test_normal_and_student_are_themselves(scored: pd.DataFrame):
    normal, student = (combine.fit_law(scored, name) for name in ("normal", "student-t"))
    assert normal.error(0.9, 1.0) == pytest.approx(normal.scale * 1.2815515655446004)
    assert student.error(0.9, 1.0) == pytest.approx(student.scale * 1.4397557472577693)  # t table, 6 degrees of freedom


@pytest.mark.parametrize("name", combine.LAWS)
def test_stated_coverage_in_simulation(name: str):
    """6,000 records of six normal errors and a seventh to come, seed 12. Student-t holds its 80 %; the empirical law
    holds a little more, as it draws straight lines between its points; the normal law, which takes its scale for
    known, holds what Student's t gives its band: 75 %."""
    hits = seventh_inside(name, 0.8, np.random.default_rng(12).standard_normal((6_000, 7)))
    low, high = outlook.share_interval(hits, 6_000, 0.999)
    if name == "normal":
        assert low < 2 * stats.t.cdf(1.2815515655446004, 6) - 1 < high < 0.8
    elif name == "student-t":
        assert low < 0.8 < high
    else:
        assert 0.78 < low < high < 0.85


@pytest.mark.parametrize("kind", ["normal", "cauchy"])
@pytest.mark.parametrize("rank", [5, 6])
def test_the_empirical_law_is_exact_at_its_points_whatever_the_errors_are(kind: str, rank: int):
    """A seventh error of the same kind is not above the k-th of six with chance k / 7, normal or not (seed 13)."""
    rng = np.random.default_rng(13)
    draws = rng.standard_normal((6_000, 7)) if kind == "normal" else rng.standard_cauchy((6_000, 7))
    low, high = outlook.share_interval(seventh_inside("empirical", rank / 7, draws), 6_000, 0.999)
    assert low < rank / 7 < high


def seventh_inside(name: str, level: float, draws: np.ndarray) -> int:
    """How often the last of each row lies in the central band of the law of the others, four years ahead."""
    hits = 0
    for z in draws:
        law = combine.ErrorLaw(name, np.sort(np.abs(z[:6])), np.full(6, 1 / 6), 6)
        hits += abs(z[6]) * 2 <= law.error((1 + level) / 2, 4.0) * (1 + 1e-12)
    return hits


def test_a_planted_power_is_found():
    """400 errors of scale 0.1 years^0.8, seed 5: the interval holds 0.8 and is short; six errors leave it wide."""
    rng = np.random.default_rng(5)
    years = rng.integers(1, 11, 400).astype(float)
    best, low, high = combine.power_interval(made_up(0.1 * years**0.8 * rng.standard_normal(400), years))
    assert low < 0.8 < high < low + 0.25
    assert low < best < high
    few = combine.power_interval(made_up(0.1 * years[:6] ** 0.8 * rng.standard_normal(6), np.arange(1.0, 7)))
    assert few[2] - few[1] > 0.5
    with pytest.raises(Refusal, match="equally far ahead"):
        combine.power_interval(made_up(np.ones(4), np.full(4, 3.0)))


@pytest.mark.parametrize("name", combine.LAWS)
def test_the_fan_is_the_pool(scored: pd.DataFrame, name: str):
    """100,000 paths: at the end their distribution is the exact mixture (Kolmogorov distance, 99.9 % bound)."""
    law = combine.fit_law(scored, name)
    centres, horizons, weights = [945.0, 1350.0, 1065.0], [5.0, 6.0, 5.0], [2.0, 1.0, 1.0]
    found = combine.fan((2025, 485.0), 2030, centres, horizons, weights, law, 100_000, np.random.default_rng(1))
    ends = np.sort(found.at(2030))
    exact = combine.pool_place(ends, centres, horizons, weights, law)
    assert np.abs(exact - np.arange(1, 100_001) / 100_000).max() < 1.95 / np.sqrt(100_000)
    assert np.bincount(found.follows) / 100_000 == pytest.approx([0.5, 0.25, 0.25], abs=0.006)
    assert found.years.tolist() == list(range(2025, 2031))
    assert found.at(2025) == pytest.approx(np.full(100_000, 485.0))


@pytest.mark.parametrize("name", combine.LAWS)
def test_one_forecast_keeps_the_law_in_every_year(scored: pd.DataFrame, name: str):
    law = combine.fit_law(scored, name)
    found = combine.fan((2025, 400.0), 2030, [800.0], [5.0], [1.0], law, 40_000, np.random.default_rng(2))
    for year in range(2026, 2031):
        middle = 400 * 2 ** ((year - 2025) / 5)
        places = np.sort(law.place(np.log(found.at(year) / middle), year - 2025))
        assert np.abs(places - np.arange(1, 40_001) / 40_000).max() < 1.95 / np.sqrt(40_000)


def test_a_hundred_thousand_paths_take_less_than_five_seconds(scored: pd.DataFrame):
    for name in combine.LAWS:
        law, begun = combine.fit_law(scored, name), time.perf_counter()
        combine.fan((2025, 485.0), 2035, [945.0, 1350.0], [10.0, 10.0], [1, 1], law, 100_000, np.random.default_rng(1))
        assert time.perf_counter() - begun < 5


def test_the_same_seed_is_the_same_fan(scored: pd.DataFrame):
    law = combine.fit_law(scored, "student-t")
    one, same, other = (
        combine.fan((2025, 485.0), 2030, [945.0], [5.0], [1.0], law, 100, np.random.default_rng(seed)).paths
        for seed in (1, 1, 2)
    )
    assert (one == same).all()
    assert (one[1:] != other[1:]).all()


def test_fan_refusals(scored: pd.DataFrame):
    law, rng = combine.fit_law(scored, "normal"), np.random.default_rng(1)
    for year, centres, horizons, says in (
        (2025, [945.0], [5.0], "2025 is no forecast: the newest level is of 2025"),
        (2030, [], [], "there must be one at least"),
        (2030, [945.0], [5.0, 5.0], "a level, a horizon and a weight"),
        (2030, [-1.0], [5.0], "must be positive"),
        (2030, [945.0], [0.0], "must be positive"),
    ):
        with pytest.raises(Refusal, match=says):
            combine.fan((2025, 485.0), year, centres, horizons, np.ones(len(centres)), law, 10, rng)
    with pytest.raises(Refusal, match="runs from 2025 to 2030; there is no 2031"):
        combine.fan((2025, 485.0), 2030, [945.0], [5.0], [1.0], law, 10, rng).at(2031)
    with pytest.raises(Refusal, match="0 paths are none"):
        combine.fan((2025, 485.0), 2030, [945.0], [5.0], [1.0], law, 0, rng)
    with pytest.raises(Refusal, match="there is no error law 'gauss'"):
        combine.fit_law(scored, "gauss")
    with pytest.raises(Refusal, match="2 past editions make no law"):
        combine.fit_law(made_up(np.ones(2), np.ones(2)), "normal")


def test_leave_one_out_leaves_out():
    """A record of one large and many small errors: the large one lies outside the band that the small ones make, and
    each small one inside the band that holds the large one."""
    record = made_up(np.array([2.0, 0.01, -0.012, 0.011, -0.009, 0.01, -0.011, 0.012, 0.01]), np.ones(9))
    found = combine.leave_one_out(record, "student-t").set_index("edition")
    assert not found.loc["edition 0", "inside"]
    assert found["inside"].sum() == 8
    assert found.loc["edition 0", "place"] < 1e-6  # the truth fell far below the forecast
    small = record.iloc[1:]
    scale = np.sqrt((small["error"] ** 2).mean())
    centre = 100 * np.exp(2.0)
    assert found.loc["edition 0", "high"] == pytest.approx(centre * np.exp(scale * stats.t.ppf(0.9, 8)))


def test_leave_one_out_of_the_record(scored: pd.DataFrame):
    for column in ("error", "no_change"):
        found = combine.leave_one_out(scored, "empirical", column=column)
        assert len(found) == len(scored)
        assert ((found["place"] > 0) & (found["place"] < 1)).all()
        assert (found["inside"] == found["place"].between(0.1, 0.9)).all()
        assert (found["score"] > 0).all()


def test_score_is_the_crps_of_the_law():
    record = made_up(np.array([0.1, -0.2, 0.15, 0.05]), np.array([1.0, 2, 3, 4]))
    found = combine.leave_one_out(record, "normal").set_index("edition")["score"]
    law = combine.fit_law(record.iloc[1:], "normal")
    assert found["edition 0"] == pytest.approx(float(scoring.crps_normal(-0.1, 0, law.scale)), rel=2e-3)


def test_middles_by_hand():
    """The middle case of the newest edition; a range where none is named; the horizon from the base, or publication."""
    rows = pd.DataFrame({
        "family": ["IEA", "IEA", "IEA", "LBNL", "LBNL", "Gartner"],
        "source": ["old", "new", "new", "LBNL", "LBNL", "Gartner"],
        "published": pd.to_datetime(["2025-04", "2026-04", "2026-04", "2024-12", "2024-12", "2025-11"], format="%Y-%m"),
        "scenario": ["Base", "Headwinds", "Base", "Low", "High", "Base, AI servers"],
        "year": 2030, "twh": [946.0, 833.0, 945.0, 400.0, 900.0, 432.0],
        "base_year": pd.array([2024, 2025, 2025, 2023, 2023, None], dtype="Int64"),
        "newest": [False, True, True, True, True, True],
        "base_twh": [416.0, 485.0, 485.0, 300.0, 300.0, np.nan], "source_ref": "X",
    }).assign(twh_low=lambda frame: frame["twh"], twh_high=lambda frame: frame["twh"])  # fmt: skip
    found = combine.middles(rows, ("Base",)).set_index("family")
    assert found["twh"].to_dict() == pytest.approx({"IEA": 945.0, "LBNL": 600.0, "Gartner": 432.0})
    assert found["horizon"].to_dict() == {"IEA": 5, "LBNL": 7, "Gartner": 6}
    assert found["how"].to_dict() == {
        "IEA": "its middle case", "LBNL": "middle of its range", "Gartner": "its middle case",
    }  # fmt: skip
    assert found.loc["LBNL", ["base_year", "base_twh"]].tolist() == [2023, 300.0]
    power = rows.tail(1).assign(family="RAND", twh=np.nan, twh_low=1_000.0, twh_high=1_690.0)
    assert "RAND" not in combine.middles(pd.concat([rows, power]), ("Base",))["family"].tolist()
    alone = combine.middles(power, ("Base",)).iloc[0]
    assert (alone["twh"], alone["how"]) == (pytest.approx(1_300.0), "middle of its range")
    assert (alone["low"], alone["high"]) == (1_000.0, 1_690.0)


def test_growth_on_one_level_by_hand():
    """Own base, else the family's own earlier level, never a later one; through the printed years; none is left out."""
    centres = pd.DataFrame({
        "family": ["own", "earlier", "none", "past", "later"], "published": pd.Timestamp("2026-04-01"), "year": 2030,
        "twh": [800.0, 810.0, 900.0, 700.0, 400.0], "horizon": [4, 5, 5, 0, 1],
        "base_year": pd.array([2026, None, None, 2030, 2029], dtype="Int64"),
        "base_twh": [50.0, np.nan, np.nan, 700.0, 200.0], "source": "X", "scenario": ["A", "B", "C", "D", "E"],
        "how": combine.MIDDLE_CASE,
    })  # fmt: skip
    levels = pd.DataFrame({
        "family": ["earlier", "earlier", "own", "none"], "year": [2026, 2027, 2025, 2025],
        "published": pd.to_datetime(["2026-01-01", "2026-12-01", "2026-01-01", "2026-01-01"]),
        "twh": [10.0, 400.0, 1.0, np.nan],
    })  # fmt: skip
    paths = pd.DataFrame({"source": "X", "published": pd.Timestamp("2026-04-01"), "scenario": ["A", "Z"],
                          "year": 2027, "twh": [200.0, 999.0]})  # fmt: skip
    start = (2028, 100.0)
    found = combine.grown(centres, levels, paths.iloc[:0], start).set_index("family")
    assert found.index.tolist() == ["own", "earlier", "later"]
    assert found["growth"].tolist() == pytest.approx([1.0, 2.0, 1.0])  # 800 / 50 = 2^4, 810 / 10 = 3^4, 400 / 200 = 2
    assert found["twh"].tolist() == pytest.approx([400.0, 900.0, 400.0])
    assert found["own"].tolist() == [True, False, True]
    assert found["printed"].tolist() == [800.0, 810.0, 400.0]
    assert found["horizon"].tolist() == [4, 4, 1]
    bent = combine.grown(centres, levels, paths, start).set_index("family")
    assert bent["twh"].tolist() == pytest.approx([100 * 4 ** (2 / 3), 900.0, 400.0])  # own: 200 to 800 over three years
    whole = combine.grown(centres.assign(how="middle of its range"), levels, paths, start)
    assert whole["twh"].tolist() == pytest.approx([400.0, 900.0, 400.0])


@pytest.mark.parametrize("name", combine.LAWS)
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_quantiles_of_the_pool_invert_it(scored: pd.DataFrame, name: str, power: float):
    law = combine.fit_law(scored, name, power)
    pool = ([900.0, 1_000.0, 1_400.0], [5, 4, 7], [0.2, 0.3, 0.5])
    levels = [0.1, 0.5, 0.9]
    ends = combine.pool_quantile(levels, *pool, law)
    assert combine.pool_place(ends, *pool, law) == pytest.approx(levels, abs=1e-6)
    alone = combine.pool_quantile(levels, [900.0], [5], [1.0], law)
    assert alone == pytest.approx(900 * np.exp(law.error(levels, 5)))
