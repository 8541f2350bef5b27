"""Paths, editions and shares against the growth rates and shares that the publishers print themselves."""

import pandas as pd
import pytest

from wattshift import data, scenarios
from wattshift.refusal import Refusal


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    names = ("dc_demand_scenarios", "dc_demand_history", "dc_published_rates", "dc_iea_annex", "country_energy_annual")
    return {name: data.load(name) for name in names}


def test_a_path_grows_at_one_rate_between_its_anchors():
    found = scenarios.path({2024: 416.0, 2030: 946.0, 2035: 1193.0})
    assert found.index.tolist() == list(range(2024, 2036))
    assert found[[2024, 2030, 2035]].tolist() == pytest.approx([416, 946, 1193])
    pace = found.pct_change().dropna()
    assert pace.loc[2025:2030].std() < 1e-12
    assert pace.loc[2031:].std() < 1e-12
    assert pace[2025] == pytest.approx(0.1467, abs=5e-5)


@pytest.mark.parametrize("points", [{}, {2024: 1.0}, {2024: 1.0, 2030: 0.0}, {2024: 1.0, 2030: -3.0}])
def test_a_path_needs_two_positive_levels(points: dict[int, float]):
    with pytest.raises(Refusal, match="needs two positive levels"):
        scenarios.path(points)


def test_a_rate_needs_time(tables: dict[str, pd.DataFrame]):
    with pytest.raises(Refusal, match="time between them"):
        scenarios.rate(1, 2, 0)
    with pytest.raises(Refusal, match="prints no energy for Africa in a scenario named 'Lift-Off'"):
        scenarios.anchors(
            tables["dc_demand_scenarios"], tables["dc_demand_history"], "IEA Energy and AI", "Lift-Off", "Africa"
        )


def test_anchors_start_at_the_editions_own_base(tables: dict[str, pd.DataFrame]):
    both = {
        name: scenarios.anchors(tables["dc_demand_scenarios"], tables["dc_demand_history"], name, "Base", "World")
        for name in ("IEA Energy and AI", "IEA Key Questions")
    }
    assert both["IEA Energy and AI"].to_dict() == {2024: 416, 2030: 946, 2035: 1193}
    assert both["IEA Key Questions"].to_dict() == {2025: 485, 2030: 945}
    table = scenarios.growth_table(both)
    assert table["growth"].tolist() == pytest.approx([0.1467, 0.0475, 0.1427], abs=5e-5)
    assert table["added"].iloc[0] == pytest.approx((946 - 416) / 6)


def test_published_growth_is_recomputed(tables: dict[str, pd.DataFrame]):
    found = scenarios.check_growth(
        *(tables[name] for name in ("dc_published_rates", "dc_demand_scenarios", "dc_demand_history"))
    )
    assert len(found) == 12
    wrong = found[~found["agrees"]]
    assert wrong[["source", "scenario"]].to_numpy().tolist() == [["McKinsey", "Low-range"]]  # 55 to 171 GW is 17.6 %
    assert wrong["computed"].iloc[0] == pytest.approx(17.6, abs=0.05)
    lbnl = found[found["source"] == "LBNL 2024 report"].set_index(["scenario", "to_year"])["computed"]
    assert lbnl.round().to_dict() == {
        ("High", 2028): 27, ("Historical", 2018): 7, ("Historical", 2023): 18, ("Low", 2028): 13,
    }  # fmt: skip


def test_published_shares_have_another_denominator_than_ember(tables: dict[str, pd.DataFrame]):
    names = ("dc_published_rates", "dc_demand_scenarios", "dc_demand_history", "country_energy_annual")
    found = scenarios.check_shares(*(tables[name] for name in names)).set_index(["source", "scenario", "year"])
    lbnl = found.loc[("LBNL 2024 report", "Historical", 2023)]
    assert (
        lbnl["total_low"] < 4000 < lbnl["total_high"]
    )  # what was sold and used in the US in 2023, about 4,000 TWh (EIA)
    assert lbnl["measured"] > lbnl["total_high"]  # Ember counts losses too
    assert not lbnl["agrees"]
    iea = found.loc[("IEA Energy and AI", "Historical", 2024)]
    assert iea["total_high"] < iea["measured"]
    ahead = found[found["measured"].isna()]
    assert ahead["agrees"].isna().all()
    epri = found.loc["EPRI Powering Intelligence 2024"]
    assert (epri["total_low"].min(), epri["total_high"].max()) == pytest.approx(
        (4215, 4468), abs=1
    )  # one outlook of generation


def test_what_the_editions_of_the_iea_changed(tables: dict[str, pd.DataFrame]):
    found = scenarios.revisions(tables["dc_demand_scenarios"], "World")
    iea = found[(found["family"] == "IEA") & (found["year"] == 2030)].iloc[0]
    assert (iea["low_old"], iea["central_old"], iea["high_old"]) == (669, 946, 1264)
    assert (iea["low_new"], iea["central_new"], iea["high_new"]) == (833, 945, 1008)
    assert iea["width_change"] == pytest.approx(1008 / 833 / (1264 / 669) - 1)
    assert not (
        (found["family"] == "IEA") & (found["year"] == 2026)
    ).any()  # the edition that counts crypto stands alone
    goldman = found[found["family"] == "Goldman Sachs"].iloc[0]
    assert goldman["change"] == pytest.approx(1350 / 1065 - 1)


def test_one_edition_is_no_revision(tables: dict[str, pd.DataFrame]):
    early = tables["dc_demand_scenarios"].query("published < '2025-06'")
    assert scenarios.revisions(early).empty
    assert scenarios.revisions(early)["new"].dtype == early["published"].dtype


def test_revisions_hold_no_pair_of_units_or_boundaries(tables: dict[str, pd.DataFrame]):
    every = scenarios.editions(tables["dc_demand_scenarios"])
    found = scenarios.revisions(tables["dc_demand_scenarios"])
    assert (found["old"] < found["new"]).all()
    for row in found.itertuples():
        same = every[(every["family"] == row.family) & (every["region"] == row.region) & (every["year"] == row.year)]
        same = same[(same["unit"] == row.unit) & (same["counts"] == row.counts)]
        assert {row.old, row.new} <= set(same["published"])


def test_shares_of_the_world(tables: dict[str, pd.DataFrame]):
    found = scenarios.shares(tables["country_energy_annual"], "World", {2020: 269, 2024: 416, 2025: 485})
    assert found["year"].tolist() == [2020, 2024]  # Ember's world ends in 2024
    assert found["share"].iloc[1] == pytest.approx(416 / 30847.2)
    assert found["of"].iloc[0] == "electricity demand of the world (Ember)"


def test_the_denominator_grows_with_data_centres_in_it(tables: dict[str, pd.DataFrame]):
    world = scenarios.denominator(tables["country_energy_annual"], "World")
    assert (world.year, world.twh) == (2024, 30847.2)
    assert 0 < world.slow < world.fast < 0.05
    low, high = world.ahead(2030, now=416, then=946)
    assert low == pytest.approx((30847.2 - 416) * (1 + world.slow) ** 6 + 946)
    assert low < high
    now = world.ahead(2024, now=416, then=416)
    assert now == pytest.approx((30847.2, 30847.2))
    for year, level in ((2023, 416), (2030, 40_000)):
        with pytest.raises(Refusal, match="cannot be formed"):
            world.ahead(year, now=level, then=946)
    with pytest.raises(Refusal, match="'Atlantis' has 0 years"):
        scenarios.denominator(tables["country_energy_annual"], "Atlantis")


@pytest.mark.parametrize("year", [2020, 2023, 2024, 2030])
@pytest.mark.parametrize("metric", ["electricity_total", "electricity_it", "installed_capacity_total"])
def test_regions_sum_to_the_world(tables: dict[str, pd.DataFrame], year: int, metric: str):
    found = scenarios.by_region(tables["dc_iea_annex"], year, metric)
    world = tables["dc_iea_annex"].query(
        "region == 'World' and year == @year and metric == @metric and scenario in ['Historical', 'Base']"
    )
    assert found["value"].sum() == pytest.approx(world["value"].iloc[0])
    assert found["share"].sum() == pytest.approx(1)
    rest = found.iloc[-1]
    assert rest["region"] == "Rest of the world"
    assert 0 < rest["share"] < 0.035  # Eurasia, which the annex does not print, and rounding
    assert found["value"].iloc[:-1].is_monotonic_decreasing


def test_a_year_without_regions_is_refused(tables: dict[str, pd.DataFrame]):
    with pytest.raises(Refusal, match="prints no regions for 2035"):
        scenarios.by_region(tables["dc_iea_annex"], 2035)


def test_history_is_the_annex_to_the_last_digit(tables: dict[str, pd.DataFrame]):
    annex = tables["dc_iea_annex"].query("metric == 'electricity_total' and scenario == 'Historical'")
    known = (
        tables["dc_demand_history"].query("source_ref == 'IEA-EAI-2025'").assign(year=lambda t: t["year"].astype(int))
    )
    both = known.merge(annex, on=["region", "year"])
    assert len(both) == 27
    assert (both["twh"] == both["value"]).all()
    ahead = (
        tables["dc_demand_scenarios"]
        .query("source == 'IEA Energy and AI'")
        .merge(tables["dc_iea_annex"].query("metric == 'electricity_total'"), on=["region", "year", "scenario"])
    )
    assert len(ahead) == 16
    assert (ahead["twh"] == ahead["value"]).all()
