"""Verdicts on the demand claims: each rule on the tables, and what would have to be different for another verdict."""

from dataclasses import replace

import pandas as pd
import pytest

from wattshift import data
from wattshift.claims import Finding, Verdict
from wattshift.demand_claims import DemandEvidence, demand_findings

NAMES = ("dc_demand_history", "dc_demand_scenarios", "dc_inputs", "past_forecasts", "country_energy_annual")


@pytest.fixture(scope="module")
def told() -> pd.DataFrame:
    return data.load("claims")


@pytest.fixture(scope="module")
def evidence() -> DemandEvidence:
    return DemandEvidence(*(data.load(name) for name in NAMES), pd.Timestamp("2026-11-21"))


def judge(told: pd.DataFrame, evidence: DemandEvidence, name: str, **changed: object) -> Finding:
    claim = told[told["claim_id"] == name].copy()
    for column, value in changed.items():
        claim[column] = value
    return demand_findings(claim, evidence)[name]


def test_every_claim_with_a_rule_gets_a_finding(told: pd.DataFrame, evidence: DemandEvidence):
    wanted = {f"PK-{number}" for number in (14, 15, 16, 17, 18, 19, 21, 23, 24, 25, 26)}
    assert set(demand_findings(told, evidence)) == wanted


def test_levels_of_the_iea(told: pd.DataFrame, evidence: DemandEvidence):
    now, ahead = judge(told, evidence, "PK-14"), judge(told, evidence, "PK-15")
    assert now.verdict is ahead.verdict is Verdict.CONFIRMED
    assert (now.numbers["low"], ahead.numbers["low"]) == (416, 946)
    assert judge(told, evidence, "PK-14", low="460", high="460").verdict is Verdict.CONTRADICTED
    assert judge(told, evidence, "PK-15", low="950", high="950").verdict is Verdict.CONFIRMED
    assert judge(told, evidence, "PK-15", low="900", high="900").verdict is Verdict.CONTRADICTED
    assert "2026-04" not in ahead.found  # the article is older than that edition


def test_a_level_that_counts_crypto_is_none_of_these(told: pd.DataFrame, evidence: DemandEvidence):
    # 460 TWh in 2022 is the IEA's edition with crypto; of the others none gives that year
    found = judge(told, evidence, "PK-14", as_of="2022", low="460", high="460")
    assert found.verdict is Verdict.CANNOT_BE_TESTED


def test_a_share_names_its_total(told: pd.DataFrame, evidence: DemandEvidence):
    found = judge(told, evidence, "PK-16")
    assert found.verdict is Verdict.CONFIRMED
    assert "Ember" in found.found
    # by hand: 946 over 946 plus what is left of 30,847 TWh without 416, six years at 2 to 3 % a year
    rest = (30_847 - 416) * 1.02**6, (30_847 - 416) * 1.03**6
    assert 100 * 946 / (rest[1] + 946) < found.numbers["high"] < 100 * 946 / (rest[0] + 946) + 0.15
    assert judge(told, evidence, "PK-16", low="4", high="5").verdict is Verdict.CONTRADICTED


def test_growth_of_ai_and_growth_of_all_are_told_apart(told: pd.DataFrame, evidence: DemandEvidence):
    tripled, again = judge(told, evidence, "PK-17"), judge(told, evidence, "PK-18")
    assert tripled.verdict is Verdict.WRONG_SCOPE
    assert tripled.numbers["of all data centres, low"] == pytest.approx(176 / 58)
    assert tripled.numbers["low"] == pytest.approx(22 / 4)
    assert again.verdict is Verdict.PARTLY
    assert again.numbers["of all data centres, low"] == pytest.approx(325 / 176)
    assert again.numbers["of all data centres, high"] == pytest.approx(580 / 176)
    assert judge(told, evidence, "PK-18", low="9", high="9").verdict is Verdict.CONTRADICTED


def test_time_is_held_against_the_time_to_build(told: pd.DataFrame, evidence: DemandEvidence):
    assert judge(told, evidence, "PK-19").verdict is Verdict.CONFIRMED
    assert judge(told, evidence, "PK-23").verdict is Verdict.CONFIRMED
    slow = evidence.engineering.copy()
    slow.loc[slow["parameter"] == "dc_construction_months", "high"] = 36.0  # 157 weeks: longer than most transformers
    other = replace(evidence, engineering=slow)
    assert judge(told, other, "PK-23").verdict is Verdict.PARTLY
    assert judge(told, other, "PK-19").verdict is Verdict.CONFIRMED
    slow.loc[slow["parameter"] == "dc_construction_months", "high"] = 240.0
    assert judge(told, other, "PK-19").verdict is judge(told, other, "PK-23").verdict is Verdict.CONTRADICTED


def test_building_by_two_clocks(told: pd.DataFrame, evidence: DemandEvidence):
    found = judge(told, evidence, "PK-24")
    assert found.verdict is Verdict.PARTLY
    assert (found.numbers["low"], found.numbers["high"], found.numbers["whole, high"]) == (1.5, 2, 7)
    assert judge(told, evidence, "PK-24", low="1", high="8").verdict is Verdict.CONFIRMED
    assert judge(told, evidence, "PK-24", low="20", high="30").verdict is Verdict.CONTRADICTED


def test_a_part_is_not_judged_by_the_whole(told: pd.DataFrame, evidence: DemandEvidence):
    for name, as_whole in (("PK-25", "contradicted"), ("PK-26", "partly")):
        found = judge(told, evidence, name)
        assert found.verdict is Verdict.CANNOT_BE_TESTED
        assert found.found.endswith(as_whole)
    longer = judge(told, evidence, "PK-25", low="60", high="72")
    assert longer.verdict is Verdict.CONTRADICTED  # longer than the whole of which it is a part


def test_foresight_of_utilities_has_no_outcome_yet(told: pd.DataFrame, evidence: DemandEvidence):
    found = judge(told, evidence, "PK-21")
    assert found.verdict is Verdict.CANNOT_BE_TESTED
    assert found.numbers["times"] == pytest.approx(166 / 23)
    early = replace(evidence, as_of=pd.Timestamp("2023-01-01"))
    assert judge(told, early, "PK-21").found == "–"


def test_editions_after_the_day_in_use_do_not_count(told: pd.DataFrame, evidence: DemandEvidence):
    early = replace(evidence, as_of=pd.Timestamp("2024-06-30"))
    for name in ("PK-14", "PK-15", "PK-16", "PK-17"):
        assert judge(told, early, name).verdict is Verdict.CANNOT_BE_TESTED
