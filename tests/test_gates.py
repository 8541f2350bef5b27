"""Gates: who is out, from which day to which, and that nothing makes up for it.

The truths are the dates of the rows (a ban in force from 2025-01-01 to 2031-03-15), and rules that hold for any table.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattshift import data, gates, sites, smaa
from wattshift.refusal import Refusal

settings.register_profile("gates", deadline=None, max_examples=25)
settings.load_profile("gates")


@dataclass(frozen=True)
class Tables:
    sites: pd.DataFrame
    events: pd.DataFrame
    conflict: pd.DataFrame

    def on(self, day: str, deaths: int = gates.WAR) -> pd.DataFrame:
        return gates.evidence(self.sites, self.events, self.conflict, day, deaths)

    def out(self, day: str, deaths: int = gates.WAR) -> dict[str, tuple[str, ...]]:
        return gates.closed_by(self.sites, self.on(day, deaths))


@pytest.fixture(scope="module")
def tables() -> Tables:
    return Tables(*(data.load(n) for n in ("site_candidates", "mining_regulation_events", "conflict_events_annual")))


def planted(kind: str = "ban", region: object = None, date: str = "2024-06-10", **other: object) -> Tables:
    """Three sites of two countries, one event in the first country, no deaths."""
    sites = pd.DataFrame(
        {
            "site_id": ["N", "S", "X"],
            "site": ["Northern", "Southern", "Elsewhere"],
            "iso3": ["AAA", "AAA", "BBB"],
            "region": ["Upland", "Lowland", None],
            "point": ["Ayton", "Beeton", "Ceeton"],
            "note": ["Ayton is in the north", "", ""],
        }
    )
    event = {
        "event_id": "E1", "date": pd.Timestamp(date), "date_precision": "day", "end_date": pd.NaT,
        "effective_date": pd.NaT, "iso3": "AAA", "region": region, "kind": kind, "direction": -1, "event": "A law",
        "source_url": "https://example.org/law", "source_kind": "primary", "note": None,
    }  # fmt: skip
    event |= {name: pd.Timestamp(v) if name.endswith("_date") else v for name, v in other.items()}
    deaths = pd.DataFrame(
        {
            "iso3": ["AAA", "BBB"], "ucdp_country": ["Aland", "Bland"], "year": [2015, 2015],
            "state_based_deaths_best": [0, 0], "total_deaths_best": [0, 0],
        }
    )  # fmt: skip
    return Tables(sites, pd.DataFrame([event]), deaths)


# ---------------------------------------------------------------- the rows of the tables


def test_who_is_out_and_why_in_the_middle_of_2026(tables: Tables):
    assert tables.out("2026-07-01") == {
        "ET": ("conflict",),
        "IRK_RU": ("sanctions", "conflict"),
        "ZNPP_UA": ("ban", "conflict", "title"),
    }
    found = tables.on("2026-07-01")
    closing = found[found["closes"]]
    assert set(closing["row"]) == {
        "E024", "E026", "E030", "E043", "E048", "E056", "E057", "UCDP 2024",
    }  # fmt: skip
    assert (closing["lifted_by"] != "").all()
    assert (found.loc[~found["closes"], "lifted_by"] == "").all()
    assert found[["what", "source", "source_kind", "reason"]].notna().all(axis=None)


def test_a_ban_in_the_south_leaves_a_town_in_the_north(tables: Tables):
    row = tables.on("2026-07-01").set_index(["site_id", "row"]).loc[("IRK_RU", "E050")]
    assert not row["closes"]
    assert "Bratsk" in row["reason"]
    moved = Tables(tables.sites.assign(note=""), tables.events, tables.conflict)
    again = moved.on("2026-07-01").set_index(["site_id", "row"]).loc[("IRK_RU", "E050")]
    assert again["closes"]
    assert "not known" in again["reason"]


def test_plans_and_stops_of_permits_close_nothing(tables: Tables):
    found = tables.on("2026-07-01").set_index(["site_id", "row"])
    for site, row in (("NO", "E054"), ("ET", "E055"), ("NY_US", "E033"), ("QC_CA", "E001"), ("IS", "E013")):
        assert not found.loc[(site, row), "closes"]
        assert "no ban" in found.loc[(site, row), "reason"]
    assert "2024-11-22" in found.loc[("NY_US", "E033"), "reason"]  # two years by its own words
    assert "plan" in found.loc[("NO", "E054"), "reason"]
    assert "2019-05" in found.loc[("QC_CA", "E001"), "reason"]
    assert "phase-out that is announced" in found.loc[("ET", "E055"), "reason"]


def test_before_the_events_nobody_is_out(tables: Tables):
    assert tables.out("2020-12-31") == {}
    assert tables.out("2022-02-28") == {"ET": ("conflict",)}
    assert tables.out("2022-03-04")["ZNPP_UA"] == ("conflict", "title")  # March 2022 is all the date says
    assert tables.out("2022-04-19").get("IRK_RU") is None
    assert tables.out("2022-04-20")["IRK_RU"] == ("sanctions",)
    assert "ban" not in tables.out("2024-12-31")["ZNPP_UA"]
    assert "ban" in tables.out("2025-01-01")["ZNPP_UA"]
    assert "ban" in tables.out("2031-03-15")["ZNPP_UA"]
    assert "ban" not in tables.out("2031-03-16")["ZNPP_UA"]


def test_war_is_told_by_the_newest_published_year_and_the_threshold(tables: Tables):
    assert tables.out("2025-06-29")["IRK_RU"] == ("sanctions",)  # 204 deaths in 2023
    assert tables.out("2025-06-30")["IRK_RU"] == ("sanctions", "conflict")  # 7,673 in 2024
    assert "conflict" not in tables.out("2026-07-01", 7_674)["IRK_RU"]
    assert "conflict" in tables.out("2026-07-01", 7_673)["IRK_RU"]
    assert tables.out("2026-07-01", 10**6)["ZNPP_UA"] == ("ban", "conflict", "title")  # the conflict at the site stays
    brazil = tables.on("2026-07-01").set_index(["site_id", "gate"]).loc[("BR", "conflict")]
    assert not brazil["closes"]
    assert "1,635" in brazil["reason"]


def test_what_each_gate_does_alone(tables: Tables):
    alone = gates.without_each(tables.sites, tables.on("2026-07-01")).set_index("gate")
    assert alone.loc["conflict", "only"] == ("ET",)
    assert alone.loc["sanctions", "only"] == ()
    assert alone.loc["title", "closed"] == ("ZNPP_UA",)
    moved = gates.by_threshold(tables.sites, tables.events, tables.conflict, "2024-12-31", [1_000, 25, 1_000])
    assert moved["deaths"].tolist() == [25, 1_000]
    assert moved["conflict"].tolist() == [("ET", "IRK_RU", "ZNPP_UA"), ("ET", "ZNPP_UA")]


def test_two_legal_orders_side_by_side():
    said = data.load("plant_statements")
    now = gates.legal_orders(said, "2026-07-01").set_index("matter")
    assert set(now.columns) == {"Russia", "Ukraine", "UN and IAEA"}
    assert not now.eq("no row").any(axis=None)  # every side is heard on every matter
    assert "143 votes to 5" in now.loc["territory", "UN and IAEA"]
    assert now.loc["operating licence", "Russia"].endswith(
        "(Z15, 2026-02, world-nuclear-news.org)"
    )  # the newest of two
    before = gates.legal_orders(said, "2025-12-25").set_index("matter")
    assert before.loc["operating licence", "Russia"].endswith("(Z12, 2025-12-23, atommedia.online)")
    assert before.loc["operating licence", "Ukraine"] == "no row"  # a day later
    none = gates.legal_orders(said, "2022-01-31").set_index("matter")
    assert none.eq("no row").all(axis=None)
    assert none.shape == now.shape


# ---------------------------------------------------------------- rules, on planted tables


@pytest.mark.parametrize(
    ("region", "out"),
    [
        (None, {"N", "S"}),
        ("Upland", {"N"}),
        ("Upland (south)", set()),
        ("Upland (north)", {"N"}),
        ("Lowland (south)", {"S"}),
        ("Islands; Lowland", {"S"}),
        ("Islands", set()),
    ],
)
def test_a_ban_reaches_its_region(region: object, out: set[str]):
    assert set(planted(region=region).out("2025-01-01")) == out


def test_a_country_of_unknown_region_is_not_cleared():
    abroad = planted(region="Islands", iso3="BBB")
    assert set(abroad.out("2025-01-01")) == {"X"}


def test_dates_of_entry_and_end():
    law = planted(effective_date="2024-09-01", end_date="2025-03-31")
    closed = {
        day: "N" in law.out(day) for day in ("2024-06-09", "2024-06-10", "2024-09-01", "2025-03-31", "2025-04-01")
    }
    assert list(closed.values()) == [False, False, True, True, False]
    assert "2024-09-01 only" in law.on("2024-07-01")["reason"].iloc[0]
    assert "ended on 2025-03-31" in law.on("2025-04-01")["reason"].iloc[0]


def test_a_bare_year_ends_with_its_last_day():
    law = planted(end_date="2028-01-01")  # how the table reads 2028
    assert "N" in law.out("2028-12-31")
    assert "N" not in law.out("2029-01-01")


def test_a_term_in_words_is_an_end():
    stop = planted(event="18-month ban of mining", date="2022-12-05")
    assert "N" in stop.out("2024-06-05")
    assert "N" not in stop.out("2024-06-06")


def test_a_licence_closes_the_gate_only_where_it_is_contested():
    for words, out in (
        ("A licence for unit 1", {}),
        ("A licence; the other state calls it illegal", {"N": ("title",)}),
    ):
        assert planted("nuclear_licence", "Northern", event=words).out("2025-01-01") == out


def test_a_country_without_a_count_of_deaths_is_not_cleared():
    law = planted("tax")
    unknown = Tables(law.sites, law.events, law.conflict[law.conflict["iso3"] == "AAA"])
    assert unknown.out("2025-01-01") == {"X": ("conflict",)}
    assert unknown.on("2025-01-01")["source_kind"].tolist() == ["missing"]


def test_refusals():
    law = planted()
    found = law.on("2025-01-01")
    with pytest.raises(Refusal, match=r"no gate 'sanction'; did you mean sanctions\?"):
        gates.admissible(law.sites, found, ["sanction"])
    with pytest.raises(Refusal, match="at least 1, such as 1000; given 0"):
        law.on("2025-01-01", 0)
    with pytest.raises(Refusal, match="no site to look at"):
        gates.evidence(law.sites.iloc[:0], law.events, law.conflict, "2025-01-01")
    with pytest.raises(Refusal, match="N is named twice"):
        gates.evidence(law.sites.iloc[[0, 0]], law.events, law.conflict, "2025-01-01")
    only = law.sites.iloc[:2]
    with pytest.raises(Refusal, match=r"no site is left: every one is behind a gate \(N: ban; S: ban\)"):
        gates.open_sites(only, found)
    assert gates.open_sites(only, found, []) == ["N", "S"]


# ---------------------------------------------------------------- whatever the table

KINDS = ["ban", "regional_ban", "sanctions", "conflict", "nuclear_licence", "moratorium", "tax", "tariff"]
event_rows = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(KINDS),
            "iso3": st.sampled_from(["AAA", "BBB"]),
            "region": st.sampled_from([None, "Upland", "Northern", "Upland (south)", "Islands"]),
            "date": st.dates(pd.Timestamp("2018-01-01").date(), pd.Timestamp("2026-01-01").date()),
            "end": st.one_of(st.none(), st.integers(0, 2_000)),
        }
    ),
    max_size=6,
)


def made(rows: list[dict[str, object]]) -> Tables:
    one = planted()
    events = [
        one.events.iloc[0].to_dict()
        | {"event_id": f"E{place}", "kind": row["kind"], "iso3": row["iso3"], "region": row["region"],
           "date": pd.Timestamp(row["date"]), "event": "A law, which some contest",
           "end_date": pd.NaT if row["end"] is None else pd.Timestamp(row["date"]) + pd.Timedelta(days=row["end"])}
        for place, row in enumerate(rows)
    ]  # fmt: skip
    return Tables(one.sites, pd.DataFrame(events, columns=one.events.columns), one.conflict)


@given(event_rows, st.sets(st.sampled_from(gates.GATES)), st.sampled_from(gates.GATES))
def test_a_gate_more_lets_nobody_in(rows: list[dict[str, object]], some: set[str], more: str):
    law = made(rows)
    found = law.on("2024-01-01")
    with_some, with_more = (gates.admissible(law.sites, found, on) for on in (some, some | {more}))
    assert (with_some | ~with_more).all()
    assert gates.admissible(law.sites, found, []).all()


@given(event_rows, event_rows)
def test_a_row_more_lets_nobody_in(rows: list[dict[str, object]], more: list[dict[str, object]]):
    few, many = made(rows), made(rows + more)
    before = gates.admissible(few.sites, few.on("2024-01-01"))
    assert not (~before & gates.admissible(many.sites, many.on("2024-01-01"))).any()


@given(event_rows)
def test_the_order_of_rows_does_not_matter_and_later_ones_are_not_known(rows: list[dict[str, object]]):
    law = made(rows)
    turned = Tables(law.sites.iloc[::-1], law.events.iloc[::-1], law.conflict)
    known = Tables(law.sites, law.events[law.events["date"] <= "2024-01-01"], law.conflict)
    assert law.out("2024-01-01") == dict(sorted(turned.out("2024-01-01").items())) == known.out("2024-01-01")


@given(st.integers(0, 5_000), st.integers(1, 4_000), st.integers(0, 4_000))
def test_a_higher_threshold_closes_no_more(deaths: int, threshold: int, more: int):
    law = planted("tax")
    war = law.conflict.assign(state_based_deaths_best=[deaths, 0], total_deaths_best=[deaths, 0])
    at_war = Tables(law.sites, law.events, war)
    assert set(at_war.out("2025-01-01", threshold + more)) <= set(at_war.out("2025-01-01", threshold))
    assert set(at_war.out("2025-01-01", threshold)) == ({"N", "S"} if deaths >= threshold else set())


@pytest.fixture(scope="module")
def measured(tables: Tables) -> pd.DataFrame:
    return sites.measure({name: data.load(name) for name in sites.TABLES}, tables.sites, "2026-07-01")


@given(st.lists(st.floats(0.001, 1), min_size=9, max_size=9), st.integers(0, 2**32 - 1))
def test_a_gate_beats_any_weight(tables: Tables, measured: pd.DataFrame, shares: list[float], seed: int):
    """Whatever is preferred, and were it the best on every criterion, a gated site is in no ranking, and moves none."""
    found = tables.on("2026-07-01")
    passing, shut = gates.open_sites(tables.sites, found), list(gates.closed_by(tables.sites, found))
    best = measured.copy()
    best.loc[best["site_id"].isin(shut), "value"] = best["best"]
    best.loc[best["site_id"].isin(shut), "error"] = 0.0
    weights = np.tile(np.array(shares) / sum(shares), (50, 1))
    ranked, again = (
        smaa.rank(sites.panel(frame, passing), weights, np.random.default_rng(seed)) for frame in (measured, best)
    )
    assert ranked.sites == tuple(passing)
    assert not set(ranked.sites) & set(shut)
    np.testing.assert_array_equal(ranked.acceptability, again.acceptability)
