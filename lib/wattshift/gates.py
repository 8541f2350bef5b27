"""Which sites are out before anything is weighed, by what evidence, and what would let them in again.

A gate is no criterion: nothing makes up for it, no weight reaches it, and a site behind one has no score and no price.
There are four, and each is a rule on dated rows of a table.

- sanctions: a sanctions measure in force on the country, or on the site's region
- ban: a law in force that bans mining in the country or the region. A stop of new permits or connections is no ban
- conflict: state-based conflict on the country's territory with at least so many deaths in the newest published year
  (UCDP), or a conflict at the site itself that no row ends
- title: a row reports that the site was taken by force, or that its nuclear licence is contested

A measure counts on every day on which, as far as its dates tell, it may be in force: from the first day that the
precision of its date allows (from its entry into force, where that is stated) to its end. Where a table cannot tell
whether a measure reaches the site, the site is not cleared. What was looked at and leaves the gate open stays in the
evidence, with the reason.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from wattshift.refusal import Refusal

GATES = ("sanctions", "ban", "conflict", "title")
COLUMNS = (
    "site_id", "gate", "row", "what", "date", "precision", "end", "source", "source_kind", "closes", "reason",
    "lifted_by",
)  # fmt: skip
MATTERS = ("territory", "control and ownership", "operating licence", "state of the reactors")  # of plant_statements
ACTIVE_CONFLICT, WAR = 25, 1_000  # battle-related deaths a year: UCDP's thresholds of armed conflict and of war
UCDP_MONTH = 6  # a year's deaths are published by the end of June of the next year

_BANS = ("ban", "regional_ban")
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_TERM = re.compile(rf"\b({'|'.join(_NUMBERS)}|\d+)-(year|month)\b", re.IGNORECASE)
_CONTESTED = re.compile(r"illegal|contest|disput|unlawful|not recogni|does not accept", re.IGNORECASE)
REFUSED = re.compile(r"\b(reject|refus|suspen)", re.IGNORECASE)
PLANNED = re.compile(r"\b(plans?|planned|proposal|draft|presents|asks|calls for|to be introduced)\b", re.IGNORECASE)

Row = Any  # one row of a frame, as itertuples gives it: pandas has no name for its columns' types


# ---------------------------------------------------------------- dates and places


def newest_year(as_of: pd.Timestamp, month: int = UCDP_MONTH) -> int:
    """The newest year of a yearly table that was out by a day, if a year is out by the end of that month of the next.

    >>> newest_year(pd.Timestamp("2026-06-29")), newest_year(pd.Timestamp("2026-06-30"))
    (2024, 2025)
    >>> newest_year(pd.Timestamp("2020-12-31"), 9), newest_year(pd.Timestamp("2020-05-01"), 5)
    (2019, 2018)
    """
    out = pd.Timestamp(as_of.year, month, 1) + pd.offsets.MonthEnd(0)
    return as_of.year - (1 if as_of >= out else 2)


def happened(events: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The events that may have happened by a day, oldest first; a date given as a month or a year is its first day."""
    return events[events["date"] <= as_of].sort_values(["date", "event_id"], ignore_index=True)


def stated_end(event: str, date: pd.Timestamp, end: pd.Timestamp) -> pd.Timestamp:
    """The last day of a measure: its end date, else the day its own words set ("Two-year moratorium"), else NaT.

    An end on 1 January is a bare year, read as its first day by the table, and counts to the end of that year.

    >>> str(stated_end("Two-year moratorium on permits", pd.Timestamp("2022-11-22"), pd.NaT).date())
    '2024-11-22'
    >>> str(stated_end("Levy", pd.Timestamp("2025-06-04"), pd.Timestamp("2028-01-01")).date())
    '2028-12-31'
    """
    term = _TERM.search(event)
    if pd.notna(end):
        return end + pd.offsets.YearEnd(0) if end.is_year_start else end
    if not term:
        return end
    many = _NUMBERS.get(term[1].lower()) or int(term[1])
    return date + pd.DateOffset(**{f"{term[2].lower()}s": many})


def dated(day: pd.Timestamp, precision: str = "day") -> str:
    """A day as precisely as it is known.

    >>> dated(pd.Timestamp("2022-03-01"), "month"), dated(pd.Timestamp("2022-09-11"))
    ('2022-03', '2022-09-11')
    """
    return f"{day:{ {'day': '%Y-%m-%d', 'month': '%Y-%m', 'year': '%Y'}[precision] }}"


def domain(address: str) -> str:
    """The publisher's name in an address.

    >>> domain("https://www.politico.com/news/2022"), domain("https://thediplomat.com./2021/11/x")
    ('politico.com', 'thediplomat.com')
    """
    return urlsplit(address).netloc.lower().removeprefix("www.").rstrip(".")


def reaches(site: Row, region: object) -> tuple[bool, str]:
    """Whether a measure on a region (blank: the country) reaches a site of that country, and why so."""
    if not isinstance(region, str):
        return True, "holds in the whole country"
    if not isinstance(site.region, str):
        return True, f"holds in {region}; the tables do not say in which region the site lies, so it is not cleared"
    for name in region.split("; "):
        if name in (site.region, site.site) or f"({name})" in site.site:
            return True, f"holds in {name}"
        part = re.fullmatch(rf"{re.escape(site.region)} \((.+)\)", name)
        if part:
            lies = re.search(r"is in the (\w+)", str(site.note))
            if lies and lies[1] != part[1]:
                return (
                    False,
                    f"covers the {part[1]} of {site.region}; the site's point, {site.point}, is in the {lies[1]}",
                )
            return True, f"covers the {part[1]} of {site.region}; that the site lies elsewhere is not known"
    return False, f"holds in {region}, not in {site.region}"


def contested(event: str) -> bool:
    """Whether the words of an event say that somebody disputes it.

    >>> contested("Russia issues a licence; Ukraine considers it illegal"), contested("A licence is issued")
    (True, False)
    """
    return bool(_CONTESTED.search(event))


# ---------------------------------------------------------------- evidence


def evidence(
    candidates: pd.DataFrame,
    events: pd.DataFrame,
    conflict: pd.DataFrame,
    as_of: pd.Timestamp | str,
    war_deaths: int = WAR,
) -> pd.DataFrame:
    """What speaks for or against each gate at each site, as known on a day.

    candidates, events, conflict : tables site_candidates, mining_regulation_events and conflict_events_annual
    war_deaths : state-based deaths on the territory in the newest published year, from which a country is at war

    A row is a site, a gate and one fact: row (event_id, or UCDP and the year), what, date with its precision, end (NaT:
    none stated), source, source_kind, closes, reason (why it closes the gate or does not), lifted_by (what would open
    it; blank where it is open). In order of the sites, of the gates and of dates. A site without rows was met by no
    event: that is no proof of safety. Raises Refusal for no site, a site twice, and a threshold below one death.
    """
    if candidates.empty:
        raise Refusal("there is no site to look at: name one at least, such as TX_ERCOT.")
    if candidates["site_id"].duplicated().any():
        twice = candidates["site_id"][candidates["site_id"].duplicated()].iloc[0]
        raise Refusal(f"the site {twice} is named twice; name each site once.")
    if war_deaths < 1:
        raise Refusal(f"a war is told by a number of deaths of at least 1, such as {WAR}; given {war_deaths}.")
    day = pd.Timestamp(as_of)
    known = happened(events, day)
    rows: list[dict[str, object] | None] = []
    for site in candidates.itertuples():
        ours = known[known["iso3"] == site.iso3]
        rows += [fact for event in ours.itertuples() for fact in _from_event(site, event, ours, day)]
        rows.append(_from_deaths(site, conflict, day, war_deaths))
    found = pd.DataFrame([row for row in rows if row], columns=list(COLUMNS))
    found["date"], found["end"] = (pd.to_datetime(found[name]) for name in ("date", "end"))
    order = {name: place for place, name in enumerate([*candidates["site_id"], *GATES])}
    keys = found[["site_id", "gate"]].replace(order).assign(date=found["date"]).sort_values(["site_id", "gate", "date"])
    return found.loc[keys.index].reset_index(drop=True).astype({"closes": bool})


def _from_event(site: Row, event: Row, ours: pd.DataFrame, day: pd.Timestamp) -> Iterable[dict[str, object]]:
    """The rows of evidence that one event makes, none for most; ours: all events of the site's country so far."""
    eased = ours[(ours["kind"] == "liberalisation") & (ours["region"] == event.region) & (ours["date"] > event.date)]
    here, where = reaches(site, event.region)
    at_site = event.region == site.site
    end = stated_end(event.event, event.date, event.end_date)
    over = pd.notna(end) and end < day
    starts = event.effective_date if pd.notna(event.effective_date) else event.date
    waits = starts > day
    named = isinstance(site.region, str) and re.sub(r" \(.*\)", "", site.region) in event.event
    base = {
        "site_id": site.site_id, "row": event.event_id, "what": event.event, "date": event.date,
        "precision": event.date_precision, "end": end, "source": event.source_url, "source_kind": event.source_kind,
    }  # fmt: skip

    def fact(gate: str, closes: bool, reason: str, lifted_by: str) -> dict[str, object]:
        return base | {"gate": gate, "closes": closes, "reason": reason, "lifted_by": lifted_by if closes else ""}

    state = f"ended on {dated(end)}" if over else f"in force from {dated(starts)} only" if waits else where
    if event.kind == "sanctions":
        lift = "repeal or delisting, or a licence of whoever imposed it for the site's owner and host"
        yield fact("sanctions", here and not over and not waits, state, lift)
    if event.kind in _BANS and (here or named or where.startswith("covers")):
        until = f"its end on {dated(end)}, or its repeal" if pd.notna(end) else "its repeal; it states no end"
        apart = (
            where if where.startswith("covers") else f"bans other regions than {site.region}, which its text names too"
        )
        yield fact("ban", here and not over and not waits, state if here else apart, until)
    if here and (event.kind == "moratorium" or (event.kind == "grid_limit" and REFUSED.search(event.event))):
        what = "a plan or request" if PLANNED.search(event.event) else "a stop of new permits or connections"
        what += ", and a phase-out that is announced" if "phase-out" in event.event else ""
        later = f"{dated(eased['date'].iloc[0], eased['date_precision'].iloc[0])}: new rules" if len(eased) else ""
        after = state if over or waits else later
        yield fact("ban", False, f"{what}, no ban of the business" + (f"; {after}" if after else ""), "")
    if event.kind == "conflict" and at_site:
        lift = "an end of the fighting on record, and the site open to inspection"
        yield fact("conflict", not over, state if over else "at the site, and no row ends it", lift)
        lift = "a settlement of who owns and runs the site that both states and their courts accept"
        yield fact("title", not over, state if over else "reported as taken by force, and no row settles it", lift)
    if event.kind == "nuclear_licence" and at_site:
        doubt = contested(event.event)
        reason = "the row itself says that the licence is contested" if doubt else "no row says that it is contested"
        yield fact("title", doubt, reason, "an operating licence that the nuclear regulators of both states accept")
    if event.kind == "nuclear_shutdown" and at_site:
        yield fact("title", False, "says that the plant makes no power, not whose it is", "")


def _from_deaths(site: Row, conflict: pd.DataFrame, day: pd.Timestamp, war_deaths: int) -> dict[str, object] | None:
    """The row of evidence from the newest published year of deaths; None where hardly anybody died."""
    ours = conflict[(conflict["iso3"] == site.iso3) & (conflict["year"] <= newest_year(day))]
    base = {"site_id": site.site_id, "gate": "conflict", "precision": "year", "end": pd.NaT, "source": "UCDP"}
    lift = f"a published year with fewer than {war_deaths:,} such deaths"
    if ours.empty:
        return base | {
            "row": "UCDP", "what": f"no count of deaths in {site.iso3} had been published", "date": pd.NaT,
            "source_kind": "missing", "closes": True, "reason": "what nobody counted is not cleared",
            "lifted_by": lift,
        }  # fmt: skip
    last = ours.loc[ours["year"].idxmax()]
    deaths, of_all = int(last["state_based_deaths_best"]), int(last["total_deaths_best"])
    if of_all < min(war_deaths, ACTIVE_CONFLICT):
        return None
    country = str(last["ucdp_country"]).split(" (")[0]
    other = f"; with other organised violence {of_all:,}" if of_all > deaths else ""
    apart = f"fewer than {war_deaths:,} state-based deaths" + (
        f": of {of_all:,} deaths in all the rest is violence between groups, or against civilians"
        if of_all > deaths
        else ""
    )
    return base | {
        "row": f"UCDP {last['year']}", "date": pd.Timestamp(int(last["year"]), 1, 1), "source_kind": "primary",
        "what": f"{deaths:,} deaths in state-based conflict on the territory of {country} in "
                f"{last['year']} (best estimate{other})",
        "closes": deaths >= war_deaths, "lifted_by": lift if deaths >= war_deaths else "",
        "reason": f"{war_deaths:,} such deaths or more, anywhere in the country" if deaths >= war_deaths else apart,
    }  # fmt: skip


# ---------------------------------------------------------------- who is out


def check_gates(active: Iterable[str]) -> tuple[str, ...]:
    """The gates named, in the order of `GATES`. Raises Refusal for a name that is none, with the nearest one.

    >>> check_gates(["ban", "sanctions"])
    ('sanctions', 'ban')
    """
    asked = list(active)
    for name in asked:
        if name not in GATES:
            near = difflib.get_close_matches(str(name), GATES, 1, 0)[0]
            raise Refusal(f"there is no gate {name!r}; did you mean {near}? The gates are {', '.join(GATES)}.")
    return tuple(name for name in GATES if name in asked)


def admissible(candidates: pd.DataFrame, found: pd.DataFrame, active: Collection[str] = GATES) -> pd.Series[bool]:
    """Whether each site passes every gate that is switched on. Index: site_id, in the order of the candidates.

    found : what `evidence` gave for the same sites. Raises Refusal for an unknown gate.
    """
    closed = found[found["closes"] & found["gate"].isin(check_gates(active))]
    sites = pd.Index(candidates["site_id"], name="site_id")
    return pd.Series(~sites.isin(closed["site_id"]), sites, name="admissible")


def open_sites(candidates: pd.DataFrame, found: pd.DataFrame, active: Collection[str] = GATES) -> list[str]:
    """The sites that pass every gate that is switched on, in order. Raises Refusal, naming the gates, if none does."""
    passing = admissible(candidates, found, active)
    if not passing.any():
        shut = closed_by(candidates, found, active)
        each = "; ".join(f"{site}: {', '.join(gates)}" for site, gates in shut.items())
        raise Refusal(f"no site is left: every one is behind a gate ({each}). Name another site, or another day.")
    return list(passing.index[passing])


def closed_by(
    candidates: pd.DataFrame, found: pd.DataFrame, active: Collection[str] = GATES
) -> dict[str, tuple[str, ...]]:
    """The gates that keep each site out, for the sites that are out, in the order of the candidates."""
    on = check_gates(active)
    shut = found[found["closes"] & found["gate"].isin(on)]
    pairs = {site: set(shut.loc[shut["site_id"] == site, "gate"]) for site in candidates["site_id"]}
    return {site: tuple(gate for gate in on if gate in gates) for site, gates in pairs.items() if gates}


def without_each(candidates: pd.DataFrame, found: pd.DataFrame, active: Collection[str] = GATES) -> pd.DataFrame:
    """What each gate does alone: one row per gate that is on. Columns: gate, closed (sites behind it), only (sites that
    it alone keeps out, and that would be in if it were off); tuples of site_id."""
    shut = closed_by(candidates, found, active)
    rows = [
        {
            "gate": gate,
            "closed": tuple(site for site, gates in shut.items() if gate in gates),
            "only": tuple(site for site, gates in shut.items() if gates == (gate,)),
        }
        for gate in check_gates(active)
    ]
    return pd.DataFrame(rows, columns=["gate", "closed", "only"])


def by_threshold(
    candidates: pd.DataFrame,
    events: pd.DataFrame,
    conflict: pd.DataFrame,
    as_of: pd.Timestamp | str,
    thresholds: Iterable[int],
    active: Collection[str] = GATES,
) -> pd.DataFrame:
    """Who is out as the number of deaths that makes a war moves. Columns: deaths, conflict (sites behind that gate),
    out (sites behind any gate that is on); rising, each threshold once."""
    rows = []
    for deaths in sorted(set(thresholds)):
        found = evidence(candidates, events, conflict, as_of, deaths)
        rows.append(
            {
                "deaths": deaths,
                "conflict": tuple(closed_by(candidates, found, ["conflict"])),
                "out": tuple(closed_by(candidates, found, active)),
            }
        )
    return pd.DataFrame(rows, columns=["deaths", "conflict", "out"])


# ---------------------------------------------------------------- two legal orders


def legal_orders(statements: pd.DataFrame, as_of: pd.Timestamp | str) -> pd.DataFrame:
    """What each party has stated of each matter by a day, side by side: the newest one, its number, date and page.

    statements : plant_statements. Rows: `MATTERS`; columns: matter, and one for each party, whatever the day;
    a party that said nothing that we hold has "no row", which is no permission and no consent.
    """
    known = statements[statements["date"] <= pd.Timestamp(as_of)].sort_values(["date", "statement_id"])
    days = [dated(day, how) for day, how in zip(known["date"], known["date_precision"], strict=True)]
    pages = known["source_url"].map(domain)
    noted = " (" + known["statement_id"] + ", " + pd.Series(days, known.index, dtype=object) + ", " + pages + ")"
    said = known["speaker"] + ": " + known["said"] + noted
    table = known.assign(cell=said).pivot_table(index="matter", columns="party", values="cell", aggfunc="last")
    found = table.reindex(index=list(MATTERS), columns=list(dict.fromkeys(statements["party"]))).astype(object)
    return found.where(found.notna(), "no row").rename_axis(columns=None).reset_index()
