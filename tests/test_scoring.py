"""The record of past forecasts worked by hand, exact signs, and scores against published cases and scoringrules."""

import math

import numpy as np
import pandas as pd
import pytest

from wattshift import data, scoring
from wattshift.refusal import Refusal


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return data.load("past_forecasts"), data.load("dc_demand_history")


@pytest.fixture(scope="module")
def both(tables: tuple[pd.DataFrame, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return scoring.record(*tables)


def test_every_past_forecast_is_scored_or_set_aside(tables, both):
    scored, aside = both
    assert len(scored) + len(aside) == len(tables[0])
    reasons = aside["why"].value_counts()
    assert reasons["no realised value is known yet, or none of the same boundary"] == tables[0]["realised"].isna().sum()
    assert reasons["it counts AI servers, the realised value AI sites"] == 1
    assert reasons["no date or no base is known, so it has no horizon"] == 1


def test_the_record_by_hand(both):
    """McKinsey 2024: 178 for 2024 from 147 in 2023; LBNL later gave 192 and 176. Its level was too low, its growth too
    high."""
    scored = both[0].set_index(["edition", "target_year"])
    line = scored.loc[("McKinsey 2024", 2024)]
    assert line["realised_by"] == "LBNL"
    assert line["error"] == pytest.approx(math.log(178 / 192))
    assert line["base_error"] == pytest.approx(math.log(147 / 176))
    assert line["growth_error"] == pytest.approx(math.log((178 / 147) / (192 / 176)))
    assert line["error"] < 0 < line["growth_error"]
    index = scored.loc[("Koomey 2008", 2010)]
    assert (index["realised_by"], index["horizon"], index["base_error"]) == ("Koomey", 5, 0)
    assert index["growth_error"] == pytest.approx(math.log(1.76 / 1.56))
    flat = scored.loc[("LBNL (Shehabi) 2016", 2020)]
    assert flat["no_change"] == pytest.approx(math.log(70 / 108))
    assert math.isnan(flat["growth_error"])  # the IEA gives no US level of 2014


def test_parts_of_the_error_add_up(both):
    split = both[0].dropna(subset=["growth_error"])
    assert (split["base_error"] + split["growth_error"]).to_numpy() == pytest.approx(split["error"].to_numpy())


def test_nothing_to_score(tables):
    past, history = tables
    with pytest.raises(Refusal, match="nothing to score"):
        scoring.record(past[past["realised"].isna()], history)


def test_editions_count_the_same(both):
    weights = scoring.edition_weights(both[0])
    assert weights.sum() == pytest.approx(1)
    assert both[0].assign(w=weights).groupby("edition")["w"].sum().to_numpy() == pytest.approx(np.full(6, 1 / 6))
    assert len(scoring.edition_signs(both[0])) == 6
    assert scoring.edition_signs(both[0], "growth_error").tolist() == [1, 1, 1]


def test_groups_add_up(both):
    scored = both[0]
    table = scoring.by_group(scored, scored["region"])
    assert table["forecasts"].sum() == len(scored)
    assert table["too_high"].sum() == (scored["error"] > 0).sum()
    world = table.set_index("group").loc["World"]
    assert world["largest"] == pytest.approx(scored[scored["region"] == "World"]["error"].abs().max())


@pytest.mark.parametrize(
    ("errors", "over", "n", "p"),
    [
        ([1, 1, 1, 1], 4, 4, 0.125),  # METHODS: four of one sign: never less than 1/8
        ([1] * 5 + [-1] * 2, 5, 7, 2 * (21 + 7 + 1) / 128),
        ([1, -1, 0, np.nan], 1, 2, 1.0),
    ],
)
def test_sign_is_exact(errors: list[float], over: int, n: int, p: float):
    found = scoring.sign(errors)
    assert (found["over"], found["n"]) == (over, n)
    assert found["p"] == pytest.approx(p)
    assert found["p"] >= found["least_p"]


def test_sign_interval_is_clopper_pearson():
    found = scoring.sign([1] * 9 + [-1] * 2)
    assert (found["low"], found["high"]) == pytest.approx((0.530, 0.967), abs=5e-4)
    with pytest.raises(Refusal, match="no sign to count"):
        scoring.sign([0.0, np.nan])


def test_published_cases_and_scoringrules():
    import scoringrules

    assert scoring.pinball([5, 3], [3, 5], 0.9) == pytest.approx([0.2, 1.8])
    assert scoring.interval_score(0, 2, 3, 0.1) == pytest.approx(22)
    assert scoring.crps_normal(0, 0, 1) == pytest.approx(0.2336949773, abs=1e-10)
    rng = np.random.default_rng(4)
    y, a, b = rng.normal(size=50), rng.normal(size=50), rng.gamma(2, size=50)
    assert scoring.pinball(a, y, 0.3) == pytest.approx(scoringrules.quantile_score(y, a, 0.3))
    assert scoring.interval_score(a, a + b, y, 0.2) == pytest.approx(scoringrules.interval_score(y, a, a + b, 0.2))
    assert scoring.crps_normal(y, a, b) == pytest.approx(scoringrules.crps_normal(y, a, b))


def test_a_band_that_is_right_scores_best():
    """Pinball, interval score and CRPS are proper: over 20,000 normal draws (seed 9) the true law beats wrong ones."""
    y = np.random.default_rng(9).normal(size=20_000)
    quantile = 1.2815515655446004
    for wrong in (0.6, 1.7):
        assert scoring.pinball(quantile, y, 0.9).mean() < scoring.pinball(quantile * wrong, y, 0.9).mean()
        right, other = (scoring.interval_score(-q, q, y, 0.2).mean() for q in (quantile, quantile * wrong))
        assert right < other
        assert scoring.crps_normal(y, 0, 1).mean() < scoring.crps_normal(y, 0, wrong).mean()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: scoring.pinball(1, 1, 1.0), "level is a share between 0 and 1"),
        (lambda: scoring.interval_score(2, 1, 1, 0.1), "lies above its upper end"),
        (lambda: scoring.interval_score(1, 2, 1, 0), "alpha is a share"),
        (lambda: scoring.crps_normal(1, 1, 0), "a standard deviation is positive"),
    ],
)
def test_score_refusals(call, says: str):
    with pytest.raises(Refusal, match=says):
        call()


def test_diebold_mariano_is_refused_where_the_sample_does_not_allow_it(both):
    scored = both[0]
    a, b = scored["error"] ** 2, scored["no_change"] ** 2
    with pytest.raises(Refusal, match="forecasts of one horizon, made in a row; given 7 forecasts that look 1 to 7"):
        scoring.equal_accuracy(a, b, scored["horizon"])
    with pytest.raises(Refusal, match="7 forecasts at a horizon of 1 are too few for a test; 20 are needed"):
        scoring.equal_accuracy(a, b, np.ones(7))
    with pytest.raises(Refusal, match="36 are needed"):
        scoring.equal_accuracy(np.ones(30), np.zeros(30), np.full(30, 12))
    with pytest.raises(Refusal, match="finite loss on every forecast"):
        scoring.equal_accuracy([1, np.nan], [1, 1], [1, 1])


def test_diebold_mariano_by_hand():
    """Loss differences 1, 0, 1, 2 five times over: mean 1, variance 1/2; t = 1 / sqrt(0.5 / 20) sqrt(19 / 20)."""
    found = scoring.equal_accuracy(np.tile([1.0, 2, 3, 4], 5), np.tile([0.0, 2, 2, 2], 5), np.ones(20))
    assert found.statistic == pytest.approx(math.sqrt(40) * math.sqrt(19 / 20))
