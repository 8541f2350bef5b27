"""Quantities keep their kind, conversions are those of the IEA's own annex, and no projection is lost or mixed."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattshift import data, demand
from wattshift.demand import Boundary, Inputs, Kind, Quantity, Range
from wattshift.refusal import Refusal

ONE = Inputs(load_factor=Range(0.5, 0.5), pue=Range(1.25, 1.25))
WIDE = Inputs(load_factor=Range(0.45, 0.6), pue=Range(1.2, 1.5))
CONVERTIBLE = [kind for kind in Kind if kind not in (Kind.SHORTAGE, Kind.SOME_CAPACITY, Kind.PEAK)]


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    names = ("dc_demand_scenarios", "dc_demand_history", "dc_published_rates", "dc_iea_annex")
    return {name: data.load(name) for name in names}


def compare(tables: dict[str, pd.DataFrame], **changed: object) -> demand.Comparison:
    asked = {"region": "World", "year": 2030, "counts": "without crypto", "inputs": WIDE} | changed
    parts = (tables[name] for name in ("dc_demand_scenarios", "dc_demand_history", "dc_published_rates"))
    return demand.harmonize(*parts, **asked)  # type: ignore[arg-type]


# ---------------------------------------------------------------- quantities


def test_a_gigawatt_all_year_is_eight_point_seven_six_terawatt_hours():
    found = demand.convert(Quantity(Kind.FACILITY_LOAD, 1, 1), Kind.ENERGY, ONE)
    assert (found.low, found.high) == (8.76, 8.76)


def test_conversions_worked_by_hand():
    # 100 GW installed, half used: 50 GW mean, 438 TWh; at PUE 1.25 the computers take 40 GW and 350.4 TWh
    whole = Quantity(Kind.CAPACITY, 100, 100)
    wanted = {Kind.FACILITY_LOAD: 50, Kind.ENERGY: 438, Kind.IT_LOAD: 40, Kind.IT_ENERGY: 350.4, Kind.IT_CAPACITY: 80}
    for kind, value in wanted.items():
        found = demand.convert(whole, kind, ONE)
        assert found.kind == kind
        assert found.low == found.high == pytest.approx(value, rel=1e-12)


def test_the_annex_converts_into_itself(tables: dict[str, pd.DataFrame]):
    # with the PUE and the load factor that the IEA's own four figures imply, each figure gives the others back
    wide = tables["dc_iea_annex"].pivot(index=["region", "scenario", "year"], columns="metric", values="value")
    world = wide.loc[("World", "Historical", 2024)]
    pue = world["electricity_total"] / world["electricity_it"]
    used = demand.implied_load_factor(world["electricity_it"], world["installed_capacity_it"])
    inputs = Inputs(Range(used, used), Range(pue, pue))
    found = demand.convert(Quantity(Kind.IT_CAPACITY, 68, 68), Kind.ENERGY, inputs)
    assert found.low == pytest.approx(416, rel=1e-12)
    assert demand.convert(Quantity(Kind.ENERGY, 416, 416), Kind.CAPACITY, inputs).low == pytest.approx(97, rel=0.02)


@given(st.sampled_from(CONVERTIBLE), st.sampled_from(CONVERTIBLE), st.floats(0.01, 1e4))
def test_there_and_back_holds_what_was_given(there: Kind, back: Kind, size: float):
    start = Quantity(there, size, size)
    again = demand.convert(demand.convert(start, back, WIDE), there, WIDE)
    assert again.low <= size * (1 + 1e-9)
    assert again.high >= size * (1 - 1e-9)
    exact = demand.convert(demand.convert(start, back, ONE), there, ONE)
    assert exact.low == pytest.approx(size, rel=1e-9)


def test_the_pue_is_not_used_twice_between_two_amounts_of_it():
    found = demand.convert(Quantity(Kind.IT_CAPACITY, 100, 100), Kind.IT_LOAD, WIDE)
    assert (found.low, found.high) == pytest.approx((45, 60))


def test_a_capacity_that_may_be_either_holds_both_readings():
    either = demand.convert(Quantity(Kind.SOME_CAPACITY, 100, 100), Kind.ENERGY, WIDE)
    site = demand.convert(Quantity(Kind.CAPACITY, 100, 100), Kind.ENERGY, WIDE)
    computers = demand.convert(Quantity(Kind.IT_CAPACITY, 100, 100), Kind.ENERGY, WIDE)
    assert (either.low, either.high) == (site.low, computers.high)


@pytest.mark.parametrize("other", [kind for kind in Kind if kind != Kind.ENERGY])
def test_unlike_kinds_do_not_add_and_are_both_named(other: Kind):
    with pytest.raises(Refusal) as caught:
        Quantity(Kind.ENERGY, 1, 1) + Quantity(other, 1, 1)
    assert str(caught.value).startswith(f"energy and {other} are unlike")


def test_what_counts_crypto_does_not_add_to_what_does_not():
    with pytest.raises(Refusal, match="counts without crypto and what counts with crypto cannot be added"):
        Quantity(Kind.ENERGY, 416, 416) + Quantity(Kind.ENERGY, 460, 460, Boundary.WITH_CRYPTO)
    total = Quantity(Kind.ENERGY, 1, 2) + Quantity(Kind.ENERGY, 10, 20)
    assert (total.low, total.high) == (11, 22)


@pytest.mark.parametrize("kind", CONVERTIBLE)
def test_a_shortage_converts_to_nothing(kind: Kind):
    for pair in ((Kind.SHORTAGE, kind), (kind, Kind.SHORTAGE)):
        with pytest.raises(Refusal, match="difference between plans"):
            demand.convert(Quantity(pair[0], 45, 45), pair[1], WIDE)


def test_a_peak_needs_a_load_factor_of_its_own():
    peak = Quantity(Kind.PEAK, 71, 71)
    with pytest.raises(Refusal, match="load factor of peaks"):
        demand.convert(peak, Kind.ENERGY, WIDE)
    own = Inputs(Range(0.5, 0.5), Range(1.2, 1.5), peak_load_factor=Range(0.9, 1))
    found = demand.convert(peak, Kind.ENERGY, own)
    assert found.low < 596 < found.high  # EPRI 2026, Medium: 71 GW of peak and 596 TWh


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Range(0, 0.5), "a range from 0 to 0.5 is none"),
        (
            lambda: Range(1.5, 1.2),
            "low end is 1.5 and the high end only 1.2; give the lower one first, for example 1.2 and 1.5",
        ),
        (
            lambda: Range(0.7, 0.6, ("load_factor_low", "load_factor_high")),
            "load_factor_low is 0.7 and load_factor_high only",
        ),
        (lambda: Range(math.nan, 1), "two positive numbers"),
        (lambda: Inputs(Range(0.5, 1.01), Range(1, 2)), "a load factor of 1.01 is more than all the time"),
        (lambda: Inputs(Range(0.5, 1), Range(0.99, 2)), "a PUE of 0.99 is less than the IT it holds"),
        (lambda: Inputs(Range(0.5, 1), Range(1, 2), Range(1, 1.2)), "load factor of peaks of 1.2"),
        (lambda: Quantity(Kind.ENERGY, -1, 1), "is no amount of energy"),
        (lambda: demand.convert(Quantity(Kind.ENERGY, 1, 1), Kind.SOME_CAPACITY, WIDE), "one of the two"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(make, said: str):
    with pytest.raises(Refusal, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- the tables


def test_every_row_of_the_tables_has_a_boundary(tables: dict[str, pd.DataFrame]):
    for name, source in (("dc_demand_scenarios", "source"), ("dc_demand_history", "publisher")):
        for pair in tables[name][[source, "scope"]].itertuples(index=False):
            assert demand.boundary(*pair) in Boundary
    with pytest.raises(Refusal, match="has not been judged yet"):
        demand.boundary("Somebody", "all data centers")


def test_the_two_iea_boundaries_are_kept_apart(tables: dict[str, pd.DataFrame]):
    iea = demand.levels(tables["dc_demand_history"]).query("family == 'IEA' and region == 'World'")
    assert set(iea[iea["twh"] == 460]["counts"]) == {"with crypto"}
    assert set(iea[iea["twh"].isin([416, 485])]["counts"]) == {"without crypto"}


def test_levels_leave_quarters_out_and_know_the_meter(tables: dict[str, pd.DataFrame]):
    known = demand.levels(tables["dc_demand_history"])
    assert not known["year"].between(0, 1999).any()
    assert set(known[known["metered"]]["region"]) == {"Ireland"}


def test_the_starting_level_is_one_familys_own(tables: dict[str, pd.DataFrame]):
    newest = demand.newest_levels(tables["dc_demand_history"], "World", "without crypto")
    assert demand.starting_level(newest) == ("IEA", 2025, 485.0)
    us = demand.newest_levels(tables["dc_demand_history"], "United States", "without crypto")
    assert demand.starting_level(us) == ("IEA", 2024, 183.0)
    crypto = demand.newest_levels(tables["dc_demand_history"], "United States", "with crypto")
    assert demand.starting_level(crypto) == ("EPRI", 2024, pytest.approx(math.sqrt(177 * 192)))


def test_families_disagree_as_the_card_says(tables: dict[str, pd.DataFrame]):
    us = demand.disagreement(tables["dc_demand_history"], "United States", "without crypto").set_index("year")
    assert tuple(us.loc[2024, ["low", "high", "lowest", "highest"]]) == (183, 192, "IEA", "LBNL")
    assert tuple(us.loc[2023, ["low", "high"]]) == (146, 176)


def test_no_row_is_lost_and_none_counted_twice(tables: dict[str, pd.DataFrame]):
    scenarios = tables["dc_demand_scenarios"]
    for region, year in (("World", 2030), ("United States", 2030), ("World", 2026), ("United States", 2028)):
        rows = scenarios[(scenarios["region"] == region) & (scenarios["year"] == year)]
        found = compare(tables, region=region, year=year)
        key = ["source", "published", "scenario"]
        printed = found.comparable[found.comparable["how"] != demand.BETWEEN]
        both = sorted(map(tuple, pd.concat([printed[key], found.refused[key]]).to_numpy().tolist()))
        assert both == sorted(map(tuple, rows[key].to_numpy().tolist()))
        assert found.refused["reason"].str.len().gt(10).all()


def test_printed_levels_are_printed_ones(tables: dict[str, pd.DataFrame]):
    found = compare(tables).comparable
    base = found[(found["source"] == "IEA Energy and AI") & (found["scenario"] == "Base")].iloc[0]
    assert (base["twh"], base["base_year"], base["base_twh"]) == (946, 2024, 416)
    assert base["growth"] == pytest.approx(0.15, abs=0.005)  # "about 15 percent per year" (IEA)
    goldman = found[(found["family"] == "Goldman Sachs") & (found["scenario"] == "Base")]
    assert goldman["twh"].iloc[0] - goldman["base_twh"].iloc[0] == pytest.approx(650, abs=5)  # its text: about 650
    assert math.isnan(goldman["base_twh"].iloc[1])  # the edition of 2026 prints no base, and gets none of 2024


def test_crypto_never_meets_no_crypto(tables: dict[str, pd.DataFrame]):
    plain = compare(tables, region="United States").comparable
    crypto = compare(tables, region="United States", counts="with crypto").comparable
    assert set(crypto["family"]) == {"EPRI"}
    assert "EPRI" not in set(plain["family"])
    merged = plain.merge(crypto, on=["source", "published", "scenario"])
    assert merged.empty


def test_epri_2024_follows_from_its_growth_rates(tables: dict[str, pd.DataFrame]):
    crypto = compare(tables, region="United States", counts="with crypto").comparable
    found = crypto[crypto["how"] == demand.BY_GROWTH].set_index("scenario")["twh"]
    assert found.round(1).to_dict() == {"Low": 196.0, "Moderate": 213.9, "High": 296.2, "Higher": 404.3}


def test_power_of_a_known_kind_gives_a_range_without_a_middle(tables: dict[str, pd.DataFrame]):
    found = compare(tables).comparable
    row = found[(found["source"] == "McKinsey") & (found["scenario"] == "Midrange")].iloc[0]
    assert row["twh_low"] == pytest.approx(219 * 8.76 * 0.45)
    assert row["twh_high"] == pytest.approx(219 * 8.76 * 0.6 * 1.5)
    assert math.isnan(row["twh"])
    later = compare(tables, region="World", counts="AI sites")
    assert set(later.comparable["source"]) == {"RAND"}
    unsaid = later.refused[later.refused["scenario"] == "AI only"]
    assert unsaid["reason"].tolist() == ["gives GW and does not say of what: mean load, peak or capacity"]


def test_a_year_between_is_read_at_constant_growth(tables: dict[str, pd.DataFrame]):
    row = compare(tables, region="Africa", year=2027).comparable.iloc[0]
    assert row["how"] == demand.BETWEEN
    assert row["twh"] == pytest.approx(math.sqrt(1.4 * 2.9))  # half way from 2024 to 2030


def test_the_own_base_is_never_that_of_another_edition(tables: dict[str, pd.DataFrame]):
    scenarios, history = tables["dc_demand_scenarios"], tables["dc_demand_history"]
    for _, path in scenarios.groupby(["source", "published", "scenario", "region", "scope"]):
        base = demand.own_base(history, path)
        if base is not None:
            assert base[0] <= path["published"].iloc[0].year
    us = scenarios[(scenarios["source"] == "IEA Key Questions") & (scenarios["region"] == "United States")]
    assert demand.own_base(history, us) is None  # that edition prints no level of the US


def test_vintage_hides_what_was_published_later(tables: dict[str, pd.DataFrame]):
    early = tables | {
        name: demand.published_by(tables[name], "2025-06-30") for name in ("dc_demand_scenarios", "dc_demand_history")
    }
    found = compare(early).comparable
    assert found["published"].max() == pd.Timestamp("2025-04-01")
    assert "IEA Key Questions" not in set(found["source"])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"families": ()}, "no family of forecasts is chosen"),
        ({"families": ("IEAE",)}, "Did you mean IEA"),
        ({"region": "Atlantis"}, "there are no rows for the region 'Atlantis'"),
        ({"region": "Wrold"}, "Did you mean World"),
        ({"counts": "with crypto"}, "there are rows for 2026"),
        ({"region": "Africa", "year": 2034}, "there are rows for 2030"),
        ({"region": "United States", "year": 2023}, "2023 is no forecast"),
        ({"families": ("EIA",)}, "without crypto., nor for any other year"),
    ],
)
def test_what_cannot_be_compared_is_refused(tables: dict[str, pd.DataFrame], changed: dict[str, object], said: str):
    with pytest.raises(Refusal, match=said) as caught:
        compare(tables, **changed)
    assert "\n" not in str(caught.value)


def test_a_region_without_a_level_is_refused(tables: dict[str, pd.DataFrame]):
    with pytest.raises(Refusal, match="no publisher gives a yearly level of Ireland that counts with crypto"):
        demand.newest_levels(tables["dc_demand_history"], "Ireland", "with crypto")


def test_the_power_of_a_source_and_its_energy_tell_the_kind(tables: dict[str, pd.DataFrame]):
    rows = tables["dc_demand_scenarios"].dropna(subset=["twh", "gw"])
    used = demand.implied_load_factor(rows["twh"], rows["gw"])
    installed = rows["source"] == "IEA Energy and AI"
    peak = rows["source"] == "EPRI Powering Intelligence 2026"
    large = rows["twh"] > 50  # smaller rows are rounded to one digit
    assert used[installed & large].between(0.45, 0.55).all()
    assert used[peak].between(0.95, 1).all()
    assert np.isfinite(used).all()


def test_an_edition_is_silent_on_crypto_unless_one_of_its_rows_excludes_it(tables: dict[str, pd.DataFrame]):
    rows = compare(tables).comparable
    silent = demand.silent_on_crypto(rows, tables["dc_demand_history"], tables["dc_demand_scenarios"])
    editions = set(zip(rows["family"][silent], rows["published"][silent].dt.year, strict=True))
    assert editions == {("Goldman Sachs", 2026), ("McKinsey", 2024), ("Deloitte", 2025), ("Gartner", 2025)}
