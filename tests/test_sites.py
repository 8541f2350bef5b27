"""Criteria of sites: figures by hand, laws and their invariances, publication lags, what stands for the unknown.

Outside truths: the six indicators of Finland in 2023 by hand, the population of the United States by the census (334.9
million in July 2023) and of others, the events of single sites read by hand, closed forms of the scales.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wattshift import data, sites
from wattshift.refusal import Refusal

DAY = "2026-07-01"
TABLES = {name: data.load(name) for name in sites.TABLES}
PLACES = data.load("site_candidates")
EVERY = list(PLACES["site_id"])
MEASURED = sites.measure(TABLES, PLACES, DAY)


def cell(site: str, criterion: str, measured: pd.DataFrame = MEASURED) -> pd.Series:
    return measured[(measured["site_id"] == site) & (measured["criterion"] == criterion)].iloc[0]


def column(panel: sites.Panel, part: str, criterion: str) -> pd.Series:
    return pd.Series(getattr(panel, part)[:, panel.criteria.index(criterion)], panel.sites)


# ---- figures


def test_governance_by_hand():
    # Finland 2023, printed to six digits: CC, GE, PV, RL, RQ, VA
    table = TABLES["country_governance"]
    fi = table[(table["iso3"] == "FIN") & (table["year"] == 2023)].set_index("indicator")
    by_hand = (2.219 + 1.738 + 0.707 + 1.967 + 1.774 + 1.634) / 6
    assert cell("FI", "governance")["value"] == pytest.approx(by_hand, abs=0.002)
    # wholly dependent errors add up; independent ones would give 0.41 of it
    dependent, independent = fi["std_error"].sum() / 6, np.sqrt((fi["std_error"] ** 2).sum()) / 6
    assert cell("FI", "governance")["error"] == pytest.approx(dependent)
    assert independent < 0.45 * dependent
    trend = cell("FI", "governance trend")
    then = table[(table["iso3"] == "FIN") & (table["year"] == 2013)]
    assert trend["value"] == pytest.approx(fi["estimate"].mean() - then["estimate"].mean())
    assert trend["error"] == pytest.approx(np.hypot(fi["std_error"].mean(), then["std_error"].mean()))


@pytest.mark.parametrize(
    ("iso3", "year", "millions"),
    [("USA", 2023, 334.9), ("CAN", 2021, 38.2), ("SWE", 2020, 10.4), ("KAZ", 2021, 19.0), ("WLD", 2022, 7_980)],
)
def test_people_agree_with_censuses(iso3: str, year: int, millions: float):
    people = sites.population(TABLES["country_energy_annual"])
    assert people[iso3, year] == pytest.approx(millions, rel=0.04 if iso3 == "KAZ" else 0.03)


def test_violence_by_hand():
    # Brazil, 2020-2024: 2,670 + 2,661 + 1,703 + 2,481 + 1,635 deaths; about 210 million people
    brazil = cell("BR", "violence")
    assert brazil["value"] == pytest.approx((2_670 + 2_661 + 1_703 + 2_481 + 1_635) / 5 / 210.5, rel=0.02)
    assert brazil["note"] == "11,150 deaths in 2020–2024"
    # no death in Iceland: half a death of doubt over five years of 0.386 million people
    iceland = cell("IS", "violence")
    assert (iceland["value"], iceland["error"]) == (0.0, pytest.approx(np.sqrt(0.5) / (5 * 0.386), rel=0.05))
    # Russia's published bound below its own best estimate does not shrink the error
    assert "wrong side" in cell("IRK_RU", "violence")["note"]
    assert cell("IRK_RU", "violence")["error"] > 0.9 * cell("IRK_RU", "violence")["value"]


def test_kazakhstans_zero_is_a_definition():
    assert cell("EKB_KZ", "violence")["value"] == 0
    assert "definition" in cell("EKB_KZ", "violence")["note"]
    before = sites.measure(TABLES, PLACES, "2022-12-31")
    assert "definition" not in cell("EKB_KZ", "violence", before)["note"]  # 2022 was not published yet


def test_attention_by_hand():
    table = TABLES["gpr_monthly"]
    ours = table[(table["series"] == "GPRC_NOR") & (table["month"] >= "2005-01-01")].sort_values("month")["value"]
    norway = cell("NO", "attention")
    assert norway["value"] == pytest.approx(ours.tail(12).mean() / ours.mean())
    assert "12 of 12" in norway["note"]
    for site in ("EKB_KZ", "IS", "PY", "ET", "AE", "OM", "BT"):
        assert np.isnan(cell(site, "attention")["value"])
        assert "no series" in cell(site, "attention")["note"]


def test_electricity_of_states_and_countries():
    assert cell("TX_ERCOT", "carbon")["value"] == 355.40  # Texas, 2024
    assert cell("TX_ERCOT", "fuel mix")["value"] == 0.5106
    assert cell("TX_ERCOT", "fuel mix")["note"] == "gas"
    assert cell("TX_ERCOT", "system size")["value"] == pytest.approx(100 / (568_655.39e3 / 8_760))
    assert cell("TX_ERCOT", "surplus")["value"] == pytest.approx(
        4_391.02 / 4_401.07 - 1
    )  # of the country, and it says so
    assert "of a state" in cell("TX_ERCOT", "surplus")["note"]
    assert cell("PY", "surplus")["value"] == pytest.approx(44.24 / 20.04 - 1)
    assert cell("NO", "fuel mix")["year"] == 2025
    assert cell("NO", "surplus")["year"] == 2024
    assert "a break" in cell("BT", "surplus")["note"]  # demand nearly doubles within a year


def test_a_province_is_not_its_country():
    quebec, alberta = cell("QC_CA", "carbon"), cell("AB_CA", "carbon")
    assert quebec["value"] == alberta["value"] == 174.81  # Canada's
    assert quebec["error"] > 100
    assert quebec["draw"] != alberta["draw"]
    assert "of the country, not of Quebec" in cell("QC_CA", "surplus")["note"]
    lent = MEASURED[MEASURED["borrowed"]].groupby("site_id")["criterion"].apply(list)
    assert lent["QC_CA"] == lent["AB_CA"] == lent["IRK_RU"] == ["surplus", "fuel mix", "carbon"]
    assert lent["TX_ERCOT"] == ["surplus"]  # what a state makes is known, what it uses is not
    assert set(lent.index) == {"AB_CA", "GA_US", "IRK_RU", "NY_US", "QC_CA", "TX_ERCOT"}
    size = cell("QC_CA", "system size")
    assert np.isnan(size["value"])
    assert size["low"] == pytest.approx(100 / (614.68e6 / 8_760))
    panel = sites.panel(MEASURED, EVERY)
    cap = sites.utility(size["low"], *size[["law", "worst", "best", "offset"]])
    assert column(panel, "high", "system size")["QC_CA"] == pytest.approx(cap)  # no better than its share of Canada
    assert column(panel, "low", "system size")["QC_CA"] < cap


def test_twice_the_site_is_twice_the_share():
    twice = sites.measure(TABLES, PLACES, DAY, site_power=200.0)
    assert cell("FI", "system size", twice)["value"] == pytest.approx(2 * cell("FI", "system size")["value"])


# ---- measures


def test_measures_as_read_by_hand():
    level = {site: cell(site, "measures") for site in EVERY}
    assert {site: row["value"] for site, row in level.items() if row["value"] == row["value"]} == {
        "AB_CA": 2, "EKB_KZ": 1, "ET": 3, "FI": 1, "GA_US": 1, "IS": 3, "PY": 1, "SE": 1,
        "TX_ERCOT": 2, "ZNPP_UA": 3,
    }  # fmt: skip
    unknown = {site: (row["low"], row["high"]) for site, row in level.items() if row["value"] != row["value"]}
    assert unknown == {
        "AE": (0, 1),  # one party came in with a state partner: no rule for others
        "BT": (0, 1),
        "AR": (0, 2),  # a seasonal tariff, over
        "BR": (0, 2),  # no row at all
        "OM": (0, 2),
        "IRK_RU": (0, 2),  # the ban covers the south; Bratsk is in the north
        "NO": (1, 3),  # a tax in force, a ban planned
        "NY_US": (0, 3),  # a two-year moratorium, over by its own words
        "QC_CA": (0, 3),  # new rules of 2019; a suspension asked for in 2022, outcome not seen
    }


@pytest.mark.parametrize(
    ("day", "value", "low", "high"),
    [
        ("2021-11-11", 1, None, None),  # the fee of June 2021 is law
        ("2021-11-12", None, 1, 2),  # the ministry proposes a cap
        ("2023-03-31", None, 1, 2),  # the law on digital assets is signed, and in force the next day
        ("2023-04-01", 1, None, None),
    ],
)
def test_a_proposal_counts_until_a_law_settles_it(day: str, value: float, low: float, high: float):
    row = cell("EKB_KZ", "measures", sites.measure(TABLES, PLACES, day))
    if value is None:
        assert np.isnan(row["value"])
        assert (row["low"], row["high"]) == (low, high)
    else:
        assert row["value"] == value


def test_a_measure_runs_from_its_entry_into_force_to_its_end():
    event = {
        "event_id": "X1", "date": pd.Timestamp("2024-01-10"), "date_precision": "day",
        "end_date": pd.Timestamp("2024-12-31"), "effective_date": pd.Timestamp("2024-06-01"), "iso3": "FIN",
        "region": None, "kind": "moratorium", "direction": -1, "event": "No new connections", "source_url": "x",
        "source_kind": "primary", "note": None,
    }  # fmt: skip
    events = pd.DataFrame([event])
    status = [
        sites.measures(events, PLACES, day)["status"].tolist()
        for day in ("2024-01-09", "2024-01-10", "2024-05-31", "2024-06-01", "2024-12-31", "2025-01-01")
    ]
    assert status == [[], ["announced"], ["announced"], ["in force"], ["in force"], ["ended"]]


# ---- scales


def test_utilities_by_hand():
    assert sites.utility([1_000, 174.81, 0], "linear", 1_000, 0) == pytest.approx([0, 0.82519, 1])
    # Brazil's 10.6 deaths with an offset of 0.6525 and a war at 26.1: 1 - ln(17.24)/ln(41)
    assert sites.utility(10.6, "log", 26.1, 0, 0.6525) == pytest.approx(1 - np.log(17.245) / np.log(41), abs=1e-4)
    assert sites.utility([-1.5, 0, 1.5, 3], "normal", -1.5, 1.5) == pytest.approx(
        [0.05, 0.5, 0.95, stats.norm.cdf(2 * stats.norm.ppf(0.95))]
    )
    assert sites.utility([5.0, np.nan], "linear", 4, 1)[0] == 0
    assert np.isnan(sites.utility(np.nan, "linear", 4, 1))


def test_violence_is_scaled_by_ucdps_own_thresholds():
    scale = sites.scales(TABLES, DAY).loc["violence"]
    people = 30_847.20 / 3.78 / 213  # million, of a country of mean size
    assert (scale["worst"], scale["offset"]) == (pytest.approx(1_000 / people), pytest.approx(25 / people))
    world = TABLES["wgi_world_summary"]
    last = world[world["year"] == 2023]
    assert sites.scales(TABLES, DAY).loc["governance", ["worst", "best"]].tolist() == pytest.approx(
        [last["p05"].mean(), last["p95"].mean()]
    )


figures = st.floats(0, 1e4, allow_nan=False)


@settings(deadline=None)
@given(x=figures, more=figures, law=st.sampled_from(["linear", "log", "normal"]), flip=st.booleans())
def test_a_worse_figure_never_has_the_higher_utility(x: float, more: float, law: str, flip: bool):
    worst, best = (0.5, 70.0) if flip else (70.0, 0.5)
    here, there = sites.utility([x, x + more], law, worst, best, 0.1)
    assert min(here, there) >= 0
    assert max(here, there) <= 1
    assert here <= there if flip else here >= there


@settings(deadline=None)
@given(x=st.lists(figures, min_size=1), unit=st.floats(1e-6, 1e6), law=st.sampled_from(["linear", "log", "normal"]))
def test_the_unit_does_not_matter(x: list[float], unit: float, law: str):
    here = sites.utility(x, law, 70.0, 0.5, 0.1)
    assert sites.utility(np.array(x) * unit, law, 70.0 * unit, 0.5 * unit, 0.1 * unit) == pytest.approx(here, abs=1e-9)


def test_kilowatt_hours_or_megawatt_hours():
    # generation and demand a thousand times as large, people the same: shares of demand do not move, and no rank does
    energy = TABLES["country_energy_annual"].copy()
    energy[["generation_twh", "demand_twh", "demand_mwh_per_capita"]] *= 1_000
    other = sites.measure(TABLES | {"country_energy_annual": energy}, PLACES, DAY)
    one, two = sites.panel(MEASURED, EVERY), sites.panel(other, EVERY)
    for name in ("surplus", "violence", "governance", "fuel mix", "carbon"):
        for part in ("value", "error"):
            a, b = column(one, part, name), column(two, part, name)
            pd.testing.assert_series_equal(a, b, rtol=1e-9)


# ---- what was known when


def test_only_what_was_published_counts():
    then = sites.measure(TABLES, PLACES, "2020-12-31")
    years = then.groupby("criterion")["year"].max()
    assert years[["governance", "violence", "surplus", "carbon"]].tolist() == [2019] * 4
    assert sites.published(TABLES, "2020-12-31")["gpr_monthly"]["month"].max() == pd.Timestamp("2020-11-01")
    assert cell("EKB_KZ", "governance", then)["age_years"] == pytest.approx(1.0, abs=0.01)
    later = {day: sites.published(TABLES, day) for day in ("2020-09-29", "2020-09-30", "2020-05-30", "2020-05-31")}
    newest = [int(known["country_governance"]["year"].max()) for known in later.values()]
    assert newest == [2018, 2019, 2018, 2018]
    assert [int(known["country_energy_annual"]["year"].max()) for known in later.values()] == [2019, 2019, 2018, 2019]


@settings(deadline=None, max_examples=4)
@given(st.dates(pd.Timestamp("2012-01-01").date(), pd.Timestamp("2026-06-30").date()))
def test_the_future_changes_nothing(day):
    # whatever later rows say, the figures of a day stay
    ruined = {name: table.copy() for name, table in TABLES.items()}
    ruined["country_governance"].loc[ruined["country_governance"]["year"] >= day.year, "estimate"] = -9.0
    late = ruined["conflict_events_annual"]["year"] >= day.year
    ruined["conflict_events_annual"].loc[late, "total_deaths_best"] = 10**6
    ruined["gpr_monthly"].loc[ruined["gpr_monthly"]["month"] > str(day), "value"] = 99.0
    ruined["country_energy_annual"].loc[ruined["country_energy_annual"]["year"] >= day.year, "generation_twh"] = 1.0
    one, two = (sites.measure(tables, PLACES, str(day)) for tables in (TABLES, ruined))
    pd.testing.assert_frame_equal(one.drop(columns="note"), two.drop(columns="note"))


# ---- the panel


def test_two_sites_of_one_country_share_one_error():
    panel = sites.panel(MEASURED, EVERY)
    source = pd.DataFrame(panel.source, panel.sites, panel.criteria)
    for name in ("governance", "governance trend", "violence", "attention", "surplus"):
        assert source.loc["TX_ERCOT", name] == source.loc["NY_US", name] == source.loc["GA_US", name]
        assert column(panel, "value", name)["TX_ERCOT"] == pytest.approx(
            column(panel, "value", name)["NY_US"], nan_ok=True
        )
    assert source.loc["TX_ERCOT", "carbon"] != source.loc["NY_US", "carbon"]
    countries = PLACES["iso3"].nunique()
    assert len(set(source["governance"])) == countries
    assert not set(source["governance"]) & set(source["violence"])


@pytest.mark.parametrize("scale", ["declared", "range", "rank"])
@pytest.mark.parametrize("missing", ["range", "region"])
def test_the_unknown_is_a_range_never_zero_never_the_best(scale: str, missing: str):
    panel = sites.panel(MEASURED, EVERY, missing=missing, scale=scale)
    known = np.isfinite(panel.value)
    assert (known == MEASURED["value"].notna().to_numpy().reshape(known.shape)).all()
    assert not known.all()
    assert np.isfinite(panel.error[known]).all()
    assert (panel.error[known] >= 0).all()
    assert np.isnan(panel.error[~known]).all()
    assert np.isnan(panel.low[known]).all()
    assert (panel.low[~known] < panel.high[~known]).all()
    assert (panel.low[~known] >= 0).all()
    assert (panel.high[~known] <= 1).all()
    assert (panel.value[known] >= 0).all()
    assert (panel.value[known] <= 1).all()


def test_what_stands_for_the_unknown():
    over_all = column(sites.panel(MEASURED, EVERY), "value", "attention").dropna()
    at = lambda panel, site: (column(panel, "low", "attention")[site], column(panel, "high", "attention")[site])  # noqa: E731
    assert at(sites.panel(MEASURED, EVERY), "PY") == (over_all.min(), over_all.max())
    by_region = sites.panel(MEASURED, EVERY, missing="region")
    south = over_all[["AB_CA", "AR", "BR", "GA_US", "NY_US", "QC_CA", "TX_ERCOT"]]
    north = over_all[["FI", "IRK_RU", "NO", "SE", "ZNPP_UA"]]
    assert at(by_region, "PY") == (south.min(), south.max())
    assert at(by_region, "IS") == (north.min(), north.max())
    assert at(by_region, "OM") == (over_all.min(), over_all.max())  # no country of Asia has a series
    assert at(sites.panel(MEASURED, ["TX_ERCOT", "NY_US", "OM"]), "OM") == (0, 1)  # one country is no range
    left = sites.panel(MEASURED, EVERY, missing="leave out")
    assert left.left_out == ("attention", "measures", "system size")
    assert np.isfinite(left.value).all()


def test_the_scale_by_range_and_by_rank():
    three = ["IS", "BR", "TX_ERCOT"]
    carbon = sites.panel(MEASURED, three, ["carbon"], scale="range").value[:, 0]
    low, mid, high = (cell(site, "carbon")["value"] for site in three)
    assert carbon.tolist() == pytest.approx([1, (high - mid) / (high - low), 0])
    ranks = sites.panel(MEASURED, [*three, "NY_US"], ["carbon", "governance"], scale="rank")
    assert ranks.value.tolist() == [[1, 1], [2 / 3, 0], [0, 0.5], [1 / 3, 0.5]]  # two sites of one country are level
    # the error of a rank: chance p that two change places, sd sqrt(p(1-p)); two sites here, so no third one matters
    pair = sites.panel(MEASURED, ["EKB_KZ", "BR"], ["governance"], scale="rank")
    a, b = cell("EKB_KZ", "governance"), cell("BR", "governance")
    p = stats.norm.cdf((a["value"] - b["value"]) / np.hypot(a["error"], b["error"]))
    assert pair.error[:, 0] == pytest.approx(np.sqrt(p * (1 - p)))
    assert sites.panel(MEASURED, ["BR"], ["carbon"], scale="range").value.tolist() == [[0.5]]


def test_errors_shrink_where_the_scale_is_cut():
    panel = sites.panel(MEASURED, EVERY)
    assert column(panel, "value", "surplus")["PY"] == 1
    assert column(panel, "error", "surplus")["PY"] == 0
    carbon = cell("FI", "carbon")
    assert column(panel, "error", "carbon")["FI"] == pytest.approx(carbon["error"] / 1_000)  # linear: the delta method


@settings(deadline=None, max_examples=25)
@given(site=st.sampled_from(EVERY), worse=st.floats(0.0, 3.0), scale=st.sampled_from(["declared", "range", "rank"]))
def test_a_worse_input_never_lifts_the_site(site: str, worse: float, scale: str):
    moved = MEASURED.copy()
    hit = (moved["site_id"] == site) & (moved["criterion"] == "carbon")
    moved.loc[hit, "value"] *= 1 + worse
    before, after = (sites.panel(frame, EVERY, ["carbon"], scale=scale).value[:, 0] for frame in (MEASURED, moved))
    gap = lambda value: value[EVERY.index(site)] - value  # noqa: E731
    assert (gap(after) <= gap(before) + 1e-12).all()


def test_adding_a_site_moves_no_declared_utility():
    few = sites.panel(MEASURED, ["FI", "TX_ERCOT"], ["governance", "violence", "carbon"])
    all_of_them = sites.panel(MEASURED, EVERY, ["governance", "violence", "carbon"])
    rows = [all_of_them.sites.index(site) for site in few.sites]
    assert (few.value == all_of_them.value[rows]).all()
    assert (few.error == all_of_them.error[rows]).all()


# ---- six as one


def test_six_indicators_that_are_one_and_six_that_are_six():
    rng = np.random.default_rng(6)
    truth = rng.normal(size=400)

    def world(share: float) -> pd.DataFrame:
        noise = rng.normal(size=(400, 6))
        six = np.sqrt(share) * truth[:, None] + np.sqrt(1 - share) * noise
        wide = pd.DataFrame(six, index=[f"C{i}" for i in range(400)], columns=list(sites.INDICATORS))
        return wide.rename_axis("iso3").reset_index().melt("iso3", var_name="indicator", value_name="estimate")

    one, six = (sites.six_as_one(world(share).assign(year=2023), 2023) for share in (0.85, 0.0))
    assert one.first == pytest.approx((1 + 5 * 0.85) / 6, abs=0.02)  # eigenvalue of equal correlations
    assert one.world == pytest.approx(one.first, abs=0.04)
    assert one.world < one.first
    assert six.first < 0.23
    assert six.world < 0.2


def test_the_bound_of_the_world_mostly_holds():
    # 19 economies drawn from a world whose first component holds 0.80 of the variance: the bound may fail seldom
    rng = np.random.default_rng(19)
    truth, failed = (1 + 5 * 0.76) / 6, 0
    for _ in range(200):
        common = rng.normal(size=(19, 1))
        six = np.sqrt(0.76) * common + np.sqrt(0.24) * rng.normal(size=(19, 6))
        wide = pd.DataFrame(six, index=range(19), columns=list(sites.INDICATORS)).rename_axis("iso3").reset_index()
        long = wide.melt("iso3", var_name="indicator", value_name="estimate").assign(year=2023)
        failed += sites.six_as_one(long, 2023).world > truth
    assert failed <= 10  # 5 in a hundred


def test_the_six_of_the_table_go_along():
    found = sites.six_as_one(TABLES["country_governance"], 2023)
    table = TABLES["country_governance"].query("year == 2023")
    wide = table.pivot(index="iso3", columns="indicator", values="estimate")
    assert found.economies == 19
    assert found.pairs[0] == pytest.approx(wide["WGI_VA"].corr(wide["WGI_PV"]), abs=0.01)
    assert 0.6 < found.world < found.first < 1


# ---- refusals


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: sites.panel(MEASURED, ["TX_ERCO"]), "did you mean TX_ERCOT"),
        (lambda: sites.panel(MEASURED, EVERY, ["carbn"]), "did you mean carbon"),
        (lambda: sites.panel(MEASURED, EVERY, ["carbon", "carbon"]), "named twice"),
        (lambda: sites.panel(MEASURED, [], ["carbon"]), "no site is named"),
        (lambda: sites.panel(MEASURED, EVERY, []), "no criterion is named"),
        (lambda: sites.panel(MEASURED, EVERY, missing="zero"), "there is no law for a missing figure 'zero'"),
        (lambda: sites.panel(MEASURED, EVERY, scale="ranks"), "did you mean rank"),
        (lambda: sites.panel(MEASURED, ["BT", "OM"], ["attention"]), "attention has no figure for any of"),
        (lambda: sites.panel(MEASURED, EVERY, ["attention"], missing="leave out"), "every criterion is unknown"),
        (lambda: sites.measure(TABLES, PLACES, DAY, site_power=0.0), "cannot have 0.0 MW"),
        (lambda: sites.measure({}, PLACES, DAY), "country_governance is missing"),
        (lambda: sites.measure(TABLES, PLACES.iloc[[0, 0]], DAY), "named twice"),
        (lambda: sites.measure(TABLES, PLACES.iloc[:0], DAY), "no site is named"),
        (lambda: sites.utility(1.0, "linear", 2.0, 2.0), "cannot both be 2.0"),
        (lambda: sites.utility(1.0, "log", 2.0, 0.0), "larger offset"),
        (lambda: sites.scales(TABLES, "1990-01-01"), "no table tells of the world"),
        (lambda: sites.six_as_one(TABLES["country_governance"], 1997), "0 economies"),
        (lambda: sites.region_of("ATA"), "ATA is in no region"),
    ],
)  # fmt: skip
def test_refusals(ask, words: str):
    with pytest.raises(Refusal, match=words):
        ask()
