"""What the source articles say about places to mine in, and the verdict that the tables give.

The verdicts are those of `wattshift.claims`, with four more rules for what is said of places:

- A claim of a figure and of what caused it is judged by the figure; no table holds causes, so it is partly at best.
- Prices are compared within one kind of price only. A row that restates an article is no evidence for it.
- A claim that only documents can bear out is not judged by counting them: their texts are in no table. It cannot be
  tested, and the reason says how many publishers besides the article carry it, and whether they pass on one speaker.
- An opinion or an expectation cannot be tested.

Rows that were not known by `as_of` are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import urlsplit

import pandas as pd

from wattshift import claims, gates, network
from wattshift.claims import ROUNDING, Finding, Verdict
from wattshift.gates import domain

Claim = pd.Series  # a row of the table claims

OPINION, SPEAKER, COPY, PAGES, NO_PAGE, NOISE, NO_TABLE = (
    "opinion", "one speaker", "the article alone", "documents only", "no page", "left open by the data",
    "no table holds it",
)  # fmt: skip
ENERGY_MONTH = 5  # a year's electricity is published by the end of May of the next year (Ember)
BASELINE = (14, 28)  # days before a shutdown, and on either side of it, against which its days are held
SHRUNK = 0.5  # "considerably", "sharply": to half or less
SPEAKERS = ("Putin", "Dorjiyev", "Liu", "Cohen", "BTC KZ's co-founder")  # whose words the articles pass on
_MATTERS = {"conflict": "control and ownership", "nuclear_shutdown": "state of the reactors"}  # of kinds of events
_ROW = re.compile(r"\b(?:E\d{3}|Z\d{2})\b")
_MINUS = re.compile(r"(?<!\w)-(?=\d)")
_DOMAIN = re.compile(r"\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b")


class _NotKnown(LookupError):
    """No row of a table gives what a rule needs, by the day in use; the words say what."""


class Pages(NamedTuple):
    """Publishers behind a claim, by domain: others than the article's own, copies of the article, and addresses that
    name a publisher but no page."""

    others: tuple[str, ...]
    copies: tuple[str, ...]
    bare: tuple[str, ...]


@dataclass(frozen=True)
class SiteEvidence:
    """What the claims are held against: the tables named, whole, and the last day of which anything is known.

    events : mining_regulation_events        story   : kazakhstan_timeline       shares : hashrate_share_by_country
    nations: country_energy_annual           network : btc_network_daily         prices : industrial_power_prices
    points : electricity_price_points        supply  : grid_reliability          deaths : conflict_events_annual
    sites  : site_candidates                 sources : sources          plant : plant_statements
    """

    events: pd.DataFrame
    story: pd.DataFrame
    shares: pd.DataFrame
    nations: pd.DataFrame
    network: pd.DataFrame
    prices: pd.DataFrame
    points: pd.DataFrame
    supply: pd.DataFrame
    deaths: pd.DataFrame
    sites: pd.DataFrame
    sources: pd.DataFrame
    plant: pd.DataFrame
    as_of: pd.Timestamp

    def stated(self, matter: str) -> pd.DataFrame:
        """What parties have stated of a matter of the plant, oldest first."""
        known = self.plant[(self.plant["date"] <= self.as_of) & (self.plant["matter"] == matter)]
        return known.sort_values(["date", "statement_id"])

    def happened(self, iso3: str, *kinds: str) -> pd.DataFrame:
        """Events of a country, oldest first, of these kinds (none: of all)."""
        known = gates.happened(self.events, self.as_of)
        return known[(known["iso3"] == iso3) & (known["kind"].isin(kinds) if kinds else True)]

    def figure(self, words: str) -> pd.DataFrame:
        """Figures of the Kazakh timeline whose name contains these words, oldest first. Raises _NotKnown for none."""
        known = self.story[(self.story["date"] <= self.as_of) & self.story["value"].notna()]
        found = known[known["event"].str.contains(words, regex=False)].sort_values("date")
        if found.empty:
            raise _NotKnown(f"the Kazakh timeline holds no “{words}” by then")
        return found

    def ranks(self) -> pd.DataFrame:
        """Rank of each country named by the map of hashrate, 1 the largest. Index: months; columns: countries.
        Raises _NotKnown before the first month."""
        named = self.shares[(self.shares["country"] != "Other") & (self.shares["month"] <= self.as_of)]
        if named.empty:
            raise _NotKnown("the map of hashrate begins later")
        table = named.pivot(index="month", columns="country", values="share_pct").sort_index()
        return table.rank(axis=1, ascending=False, method="min").astype(int)

    def mapped(self, country: str, month: str, column: str = "share_pct") -> float:
        """Share (%) or hashrate (EH/s) that the map gives a country in a month. Raises _NotKnown."""
        row = self.shares[(self.shares["country"] == country) & (self.shares["month"] == pd.Timestamp(month))]
        if row.empty or pd.Timestamp(month) > self.as_of:
            raise _NotKnown(f"the map of hashrate gives no {month} by then")
        return float(row[column].iloc[0])

    def power(self, iso3: str, year: int) -> pd.Series[float]:
        """Electricity of a country in a year. Raises _NotKnown where it was not published by then."""
        row = self.nations[(self.nations["iso3"] == iso3) & (self.nations["year"] == year)]
        if row.empty or year > gates.newest_year(self.as_of, ENERGY_MONTH):
            raise _NotKnown(f"no electricity of {iso3} in {year} was published by then")
        return row.iloc[0]


def site_findings(table: pd.DataFrame, evidence: SiteEvidence) -> dict[str, Finding]:
    """A finding, by claim_id, for every claim of the subject site_risk; claims of other subjects are left out."""
    findings, before = {}, ""
    for _, claim in table[table["subject"] == "site_risk"].iterrows():
        name, before = claim["claim_id"], _speaker(claim["claim_en"], before)
        if claim["test_kind"] == "opinion":
            findings[name] = claims.cannot_be_tested(
                f"{OPINION}: an opinion or expectation, which no data meet or miss"
            )
        elif name in _RULES:
            try:
                findings[name] = _RULES[name](claim, evidence)
            except _NotKnown as why:
                findings[name] = claims.cannot_be_tested(f"{NO_TABLE}: {why}")
        else:
            findings[name] = _documents(claim, evidence, before)
    return {
        name: replace(one, found=_MINUS.sub("−", one.found), why=_MINUS.sub("−", one.why))
        for name, one in findings.items()
    }


def reason(finding: Finding) -> str:
    """Why a claim cannot be tested, as one of the constants of this module; blank where it was judged.

    >>> reason(claims.cannot_be_tested("one speaker: rests on the word of one")), reason(claims.cannot_be_tested("?"))
    ('one speaker', 'no table holds it')
    """
    if finding.verdict is not Verdict.CANNOT_BE_TESTED:
        return ""
    head = finding.why.split(":")[0]
    return head if head in (OPINION, SPEAKER, COPY, PAGES, NO_PAGE, NOISE) else NO_TABLE


def ruled(claim_id: str) -> bool:
    """Whether a rule on tables stands for a claim, rather than its pages or its being an opinion.

    >>> ruled("KZR-13"), ruled("KZR-33")
    (True, False)
    """
    return claim_id in _RULES


# ---------------------------------------------------------------- documents and speakers


def pages(claim: Claim[str], sources: pd.DataFrame) -> Pages:
    """The publishers that a claim's references name. A copy is a page from which the table sources says it read the
    article itself: same publisher as the article's title begins with, same month."""
    given = str(claim["references"]).split() if isinstance(claim["references"], str) else []
    day = claims.published(claim["article"])
    own: set[str] = set()
    if day is not None:
        same = sources[(sources["publisher"] == claim["article"].split()[0]) & sources["url"].notna()]
        same = same[same["title_or_note"].str.contains(f"{day.first:%Y-%m}")]
        own = {domain(address) for listed in same["url"] for address in listed.split("; ")}
    bare = {domain(a) for a in given if urlsplit(a).path in ("", "/") and not urlsplit(a).query}
    named = {domain(a) for a in given} - bare
    return Pages(tuple(sorted(named - own)), tuple(sorted(named & own)), tuple(sorted(bare - own)))


def _speaker(text: str, before: str) -> str:
    """Who says what a sentence says, if it says so; "His" goes back to the sentence before."""
    named = [name for name in SPEAKERS if name in text]
    return before if text.startswith("His ") else named[0] if named else ""


def one_party(event: pd.Series[str]) -> str:
    """The speaker on whose word alone an event rests, as its row says; blank where it does not.

    >>> one_party(pd.Series({"event": "Putin claims that talks are held", "note": "claim of one party; also a.com"}))
    'Putin'
    """
    alone = isinstance(event["note"], str) and "claim of one party" in event["note"]
    return str(event["event"]).split()[0] if alone else ""


def carried_by(event: pd.Series[str]) -> tuple[str, ...]:
    """The publishers that a row of events names, in its source and its note."""
    noted = _DOMAIN.findall(event["note"]) if isinstance(event["note"], str) else []
    return tuple(dict.fromkeys([*(domain(a) for a in event["source_url"].split("; ")), *noted]))


def _documents(claim: Claim[str], evidence: SiteEvidence, speaker: str) -> Finding:
    """The finding on what only documents can bear out: who carries it, and whether they pass on one speaker."""
    read = pages(claim, evidence.sources)
    words = f"the word of {speaker}"
    if not speaker and read.others:
        known = gates.happened(evidence.events, evidence.as_of)
        carried = {one_party(row): set(carried_by(row)) for _, row in known.iterrows() if one_party(row)}
        speaker = next((who for who, where in carried.items() if set(read.others) <= where), "")
        words = f"all pages named are of publishers that report the words of {speaker}"
    many = f"{len(read.others)} other publisher{'' if len(read.others) == 1 else 's'}"
    found = f"{many}: {', '.join(read.others)}" if read.others else "–"
    bare = f"; {', '.join(read.bare)} named without a page" if read.bare else ""
    if speaker:
        passed = f", passed on by {many}, which is no confirmation" if read.others else ", and no other page carries it"
        why = f"{SPEAKER}: {words}{passed if words.startswith('the word') else ''}{bare}"
    elif read.others:
        why = f"{PAGES}: {many} named, whose text is in no table{bare}"
    elif read.copies:
        why = f"{COPY}: the only page named is a copy of the article, which is no evidence for it{bare}"
    else:
        why = f"{NO_PAGE}: no page is named{bare}"
    return Finding(Verdict.CANNOT_BE_TESTED, found, why, {"publishers": float(len(read.others))})


def statements(
    site: pd.Series[str],
    events: pd.DataFrame,
    said: pd.DataFrame,
    told: pd.DataFrame,
    findings: Mapping[str, Finding],
    as_of: pd.Timestamp,
) -> pd.DataFrame:
    """What is said of a site by a day, by whom, and who confirms it: rows of events at the site, then claims.

    site : a row of site_candidates; said : plant_statements; told : the claims about the site; findings : what
    `site_findings` gave for them. An event is confirmed by the publishers that carry it, and by what parties stated of
    the same matter within a month of it.
    Columns: row (event_id or claim_id), said, speaker, date (as precisely as known), confirmed. Claims of articles that
    appeared later are left out; an undated article counts.
    """
    known = gates.happened(events, as_of)
    known = known[(known["iso3"] == site["iso3"]) & known["region"].isin([site["site"], site["region"]])]
    rows = []
    for _, event in known.iterrows():
        who, carried = one_party(event), carried_by(event)
        parties = [part.split()[0] for part in event["event"].split("; ")]
        if who:
            confirmed = f"nobody; {' and '.join(carried)} pass on one speaker"
        elif gates.contested(event["event"]):
            who, confirmed = " against ".join(parties), "each state speaks for itself, and they disagree"
        else:
            confirmed = f"{_many(carried)} ({event['source_kind']})"
            if event["kind"] in _MATTERS:
                near = (said["date"] - event["date"]).abs().le(pd.Timedelta(days=31)) & said["date"].le(as_of)
                same = said[near & said["matter"].eq(_MATTERS[event["kind"]])]
                confirmed += "".join(f"; {one.party} ({one.statement_id})" for one in same.pipe(_each))
        speaker = who or f"report of {carried[0]}"
        rows.append((event["event_id"], event["event"], speaker, _day(event), confirmed))
    before = ""
    for _, claim in told.iterrows():
        before = _speaker(claim["claim_en"], before)
        day, one = claims.published(claim["article"]), findings[claim["claim_id"]]
        if day is not None and day.first > as_of:
            continue
        when = "" if day is None else f"{day.first:%Y-%m}"
        settled = one.verdict is not Verdict.CANNOT_BE_TESTED
        confirmed = f"{one.verdict} by a table: {one.found}" if settled else one.why.split(": ", 1)[-1]
        rows.append((claim["claim_id"], claim["claim_en"], before or "the article", when, confirmed))
    return pd.DataFrame(rows, columns=["row", "said", "speaker", "date", "confirmed"])


def appeared(table: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """The first day on which each article may have been out: the one in its title, else, for an undated one, the end
    of the newest period that its claims speak of (opinions and expectations apart). Index: articles."""
    days = {}
    for article, rows in table.groupby("article", sort=False):
        day = claims.published(str(article))
        told = [claims.period(text) for text in rows.loc[rows["test_kind"] != "opinion", "as_of"]]
        spoken = [span.last for span in told if span]
        days[str(article)] = day.first if day else max(spoken, default=pd.Timestamp.max)
    return pd.Series(days)


def rows_named(finding: Finding) -> tuple[str, ...]:
    """The rows that a finding names, each once: of events (E) and of statements on the plant (Z).

    >>> rows_named(Finding(Verdict.CONFIRMED, "taken 2022-03 (E024); told the IAEA (Z01), as E024 says", ""))
    ('E024', 'Z01')
    """
    return tuple(dict.fromkeys(_ROW.findall(finding.found)))


def rests_on(finding: Finding, events: pd.DataFrame) -> tuple[str, ...]:
    """The publishers of the events that a finding names, each once; none where it rests on other tables."""
    named = events[events["event_id"].isin(rows_named(finding))]
    return tuple(dict.fromkeys(publisher for _, event in named.iterrows() for publisher in carried_by(event)))


def _many(carried: tuple[str, ...]) -> str:
    return f"{len(carried)} publisher{'' if len(carried) == 1 else 's'}: {', '.join(carried)}"


# ---------------------------------------------------------------- small judges


def _untestable(found: str, why: str, **numbers: float) -> Finding:
    return Finding(Verdict.CANNOT_BE_TESTED, found, f"{NO_TABLE}: {why}", numbers)


def _parts(
    held: list[bool], found: str, why: str, *, at_best: Verdict = Verdict.CONFIRMED, **numbers: float
) -> Finding:
    """The verdict on a claim of several parts: all hold (at best so and so), none does, or some do.

    numbers : beside those given, failed, how many parts do not hold.
    """
    verdict = at_best if all(held) else Verdict.PARTLY if any(held) else Verdict.CONTRADICTED
    return Finding(verdict, found, why, {**numbers, "failed": float(len(held) - sum(held))})


def _rows(events: pd.DataFrame, nothing: str) -> pd.DataFrame:
    if events.empty:
        raise _NotKnown(nothing)
    return events


def _each(frame: pd.DataFrame) -> Iterable[gates.Row]:
    return frame.itertuples()


def _said(events: pd.DataFrame) -> str:
    """Dates and identifiers of events, as a list."""
    return ", ".join(f"{gates.dated(e.date, e.date_precision)} ({e.event_id})" for e in events.pipe(_each))


# ---------------------------------------------------------------- places and prices


def _texas(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """Cheap: under the country's industrial average in the newest year that gives both. Reliable: fewer minutes without
    power than every other state of the table, in the median year, with and without major events."""
    prices = evidence.prices
    kind = prices[(prices["iso3"] == "USA") & (prices["price_kind"] == "industrial_retail_average")]
    kind = kind[(kind["period_kind"] == "year") & (kind["period"].dt.year <= gates.newest_year(evidence.as_of))]
    by_year = kind.assign(region=kind["region"].fillna("US")).pivot_table(
        index="period", columns="region", values="value"
    )
    minutes = evidence.supply[(evidence.supply["iso3"] == "USA") & (evidence.supply["metric"] == "SAIDI")]
    minutes = minutes[
        minutes["unit"].str.startswith("minutes") & (minutes["year"] <= gates.newest_year(evidence.as_of))
    ]
    minutes = minutes[minutes["event_basis"].isin(["with_major_events", "without_major_events"])]
    if not {"Texas", "US"} <= set(by_year) or "Texas" not in set(minutes["region"]):
        raise _NotKnown("no price or no minutes of Texas were published by then")
    both = by_year[["Texas", "US"]].dropna()
    last, year = both.iloc[-1], both.index[-1].year
    medians = minutes.pivot_table(index=["event_basis", "region"], values="value", aggfunc="median")["value"].unstack()
    others = medians.drop(columns="Texas")
    span = f"{minutes['year'].min()} to {minutes['year'].max()}"
    listed = " and ".join(
        f"{medians.loc[basis, 'Texas']:,.0f} minutes {str(basis).replace('_', ' ')} "
        f"({', '.join(f'{state} {value:,.0f}' for state, value in others.loc[basis].items())})"
        for basis in medians.index
    )
    return _parts(
        [bool(last["Texas"] < last["US"]), bool((medians["Texas"] < others.min(axis=1)).all())],
        f"industrial average of {year} {last['Texas']:.2f} US cents per kWh, country {last['US']:.2f}; "
        f"median year of {span}: {listed}",
        "cheap: under the country's average of the same kind and year; reliable: fewer minutes without power than "
        "each other state of the table. A flexible 100 MW load pays another price",
        price=float(last["Texas"]), average=float(last["US"]),
    )  # fmt: skip


def _quebec(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    known = evidence.points[(evidence.points["area"] == "Quebec") & (evidence.points["date"] <= evidence.as_of)]
    if known.empty:
        raise _NotKnown("no tariff of Quebec was published by then")
    listed = "; ".join(f"{row.item} {row.value:g} ({row.date:%Y-%m})" for row in known.pipe(_each))
    return _untestable(
        f"{listed}, in CAD cents per kWh",
        "no price of the same kind and currency elsewhere, no figure of reliability, and proposals are no tariffs",
    )


def _iceland(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    limits = evidence.happened("ISL")
    year = min(
        gates.newest_year(evidence.as_of, ENERGY_MONTH), int(evidence.nations.query("iso3 == 'ISL'")["year"].max())
    )
    mix = evidence.power("ISL", year)
    refused = (
        f"; rows on access: {'; '.join(f'{e.date:%Y-%m}: {e.event}' for e in limits.pipe(_each))}"
        if len(limits)
        else ""
    )
    return _untestable(
        f"{mix['hydro_pct'] + mix['other_renewables_pct']:.0f}% water and geothermal heat in {year}{refused}",
        "no price and no minutes without power of Iceland in any table",
    )


def _long_attractive(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """Read as: among the three largest countries in at least half of the months of the map before 2022."""
    ranks = evidence.ranks()["Kazakhstan"]
    ranks = ranks[ranks.index < "2022"]
    if ranks.empty:
        raise _NotKnown("the map of hashrate begins later")
    among = int((ranks <= 3).sum())
    return _parts(
        [among > 0, 2 * among >= len(ranks)],
        f"among the three largest in {among} of {len(ranks)} months, from {ranks.index[0]:%Y-%m} to "
        f"{ranks.index[-1]:%Y-%m}; rank {ranks.iloc[0]} in the first, {ranks.iloc[-1]} in the last",
        "attractive is read as drawing hashrate: among the three largest, in half of the months before 2022 or more",
        months=float(among), of=float(len(ranks)),
    )  # fmt: skip


def _cheap_kazakh(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    known = evidence.prices[(evidence.prices["iso3"] == "KAZ") & (evidence.prices["period"] <= evidence.as_of)]
    known = known[(known["period"] < "2022") & ~known["price_kind"].str.startswith("mining_claimed")]
    if known.empty:
        raise _NotKnown("no Kazakh price was published by then")
    others = evidence.prices[
        evidence.prices["price_kind"].isin(known["price_kind"]) & (evidence.prices["iso3"] != "KAZ")
    ]
    listed = "; ".join(
        f"{row.price_kind.replace('_', ' ')} {row.usd_per_kwh:g} ({row.period:%Y})" for row in known.pipe(_each)
    )
    return _untestable(
        f"{listed}, in USD per kWh; rows of the same kinds elsewhere: {len(others)}",
        "prices compare within one kind, and no other country has one of these; what a miner told is the claim itself",
    )


def _restated_price(where: str, iso3: str) -> Callable[[Claim[str], SiteEvidence], Finding]:
    """A price that the tables hold only as the article's own words."""

    def rule(claim: Claim[str], evidence: SiteEvidence) -> Finding:
        known = evidence.prices[(evidence.prices["iso3"] == iso3) & (evidence.prices["period"] <= evidence.as_of)]
        own = known["price_kind"].str.startswith("mining_claimed")
        restated, other = int(own.sum()), known[~own & known["period_kind"].isin(["point", "year"])]
        beside = "; ".join(
            f"{r.price_kind.replace('_', ' ')} {r.usd_per_kwh:g} USD per kWh ({r.period:%Y})" for r in other.pipe(_each)
        )
        unit = (
            "; the article prints USD per kilowatt, a unit of power: energy is sold per kWh"
            if claim["unit"] == "USD/kW"
            else ""
        )
        return _untestable(
            f"of other kinds: {beside}" if beside else "–",
            f"what {where} pay is in the tables only as the article's own words ({restated} "
            f"row{'' if restated == 1 else 's'}), which is no evidence{unit}",
        )

    return rule


def _like_us(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    kind = evidence.prices[(evidence.prices["iso3"] == "USA") & evidence.prices["region"].isna()]
    kind = kind[
        (kind["price_kind"] == "industrial_retail_average")
        & (kind["period"].dt.year <= min(2021, gates.newest_year(evidence.as_of)))
    ]
    if kind.empty:
        raise _NotKnown("no US price was published by then")
    low, high = claims.claimed_range(claim)
    inside = int(kind["value"].between(100 * low, 100 * high).sum())
    return _untestable(
        f"industrial average of the US {kind['period'].dt.year.min()} to {kind['period'].dt.year.max()}: "
        f"{kind['value'].min():.2f} to {kind['value'].max():.2f} US cents per kWh, in {100 * low:g} to {100 * high:g} "
        f"in {inside} of {len(kind)} years",
        "what miners in the US paid then is in no table; an average over industry is another kind of price",
        inside=float(inside),
    )  # fmt: skip


# ---------------------------------------------------------------- shares of hashrate


def _large(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    ranks = evidence.ranks()["Kazakhstan"]
    ranks = ranks[pd.DatetimeIndex(ranks.index).year == 2021]
    if ranks.empty:
        raise _NotKnown("the map of hashrate gave no month of 2021 by then")
    shares = evidence.shares[evidence.shares["country"] == "Kazakhstan"].set_index("month")["share_pct"]
    best = pd.Timestamp(str(shares.reindex(ranks.index).idxmax()))
    return _parts(
        [bool((ranks <= 3).any())],
        f"rank {ranks[best]} in {best:%Y-%m}; share {evidence.mapped('Kazakhstan', f'{best:%Y-%m}'):.1f}%",
        "one of the largest: among the three largest countries in a month of 2021",
        rank=float(ranks[best]),
    )


def _second(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    ranks = evidence.ranks()
    ranks = ranks[pd.DatetimeIndex(ranks.index).year == 2021]
    if ranks.empty:
        raise _NotKnown("the map of hashrate gave no month of 2021 by then")
    held = ranks[(ranks["Kazakhstan"] == 2) & (ranks["United States"] == 1)].index
    china = evidence.shares[(evidence.shares["country"] == "China") & (evidence.shares["share_pct"] == 0)]["month"]
    hidden = [month for month in held if month in set(china)]
    months = ", ".join(f"{month:%Y-%m}" for month in held) or "no month"
    return _parts(
        [len(held) > 0, 2 * len(held) >= len(ranks)],
        f"second after the United States in {months}, of {len(ranks)} months of 2021; in {len(hidden)} of them the map "
        "shows China with 0",
        "second in half of the months of the year or more",
        months=float(len(held)), hidden=float(len(hidden)),
    )  # fmt: skip


def _august(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    share = evidence.mapped("Kazakhstan", claim["as_of"])
    return claims.judge_range(
        (share, share), claims.claimed_range(claim), ROUNDING, f"share of {claim['as_of']}:", "%", 1
    )


def _number_of_miners(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """The figure is said of the number of miners; the table holds it for hashrate."""
    of_hashrate = _august(claim, evidence)
    if of_hashrate.verdict is not Verdict.CONFIRMED:
        return _untestable(of_hashrate.found, "nobody counts miners by country")
    why = f"{of_hashrate.why}; it does as a share of hashrate, and nobody counts miners by country"
    return replace(of_hashrate, verdict=Verdict.WRONG_SCOPE, found=f"of hashrate: {of_hashrate.found}", why=why)


def _from_china(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """China first before the crackdown, less after it, Kazakhstan more; whose machines they were is in no table."""
    orders = _rows(evidence.happened("CHN", "ban"), "no row of a ban in China by then")
    start = orders["date"].iloc[0].to_period("M").to_timestamp()
    before = f"{start - pd.DateOffset(months=1):%Y-%m}"
    months = evidence.ranks().index
    after = f"{months[months > start][:5].max():%Y-%m}" if (months > start).any() else ""
    if not after:
        raise _NotKnown("the map of hashrate had no month after the ban by then")
    ehs = {c: [evidence.mapped(c, m, "hashrate_ehs") for m in (before, after)] for c in ("China", "Kazakhstan")}
    first = bool(evidence.ranks().loc[pd.Timestamp(before), "China"] == 1)
    return _parts(
        [first, ehs["China"][1] < ehs["China"][0], ehs["Kazakhstan"][1] > ehs["Kazakhstan"][0]],
        f"China {'first' if first else 'not first'} in {before}; from then to {after} China {ehs['China'][0]:.0f} to "
        f"{ehs['China'][1]:.0f} EH/s, Kazakhstan {ehs['Kazakhstan'][0]:.0f} to {ehs['Kazakhstan'][1]:.0f}",
        "China first before its ban, less hashrate after it, and more in Kazakhstan; whose machines moved is in no "
        "table, so partly at best",
        at_best=Verdict.PARTLY,
        times=ehs["Kazakhstan"][1] / ehs["Kazakhstan"][0],
    )


def _began(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    arrived = evidence.story[
        (evidence.story["date"] <= evidence.as_of) & evidence.story["event"].str.contains("miners start coming")
    ]
    share = evidence.shares[
        (evidence.shares["country"] == "Kazakhstan")
        & (evidence.shares["month"] <= evidence.as_of)
        & (evidence.shares["share_pct"] > 0)
    ]
    if arrived.empty or share.empty:
        raise _NotKnown("no first trace of mining in Kazakhstan by then")
    share = share.sort_values("month")
    years = (float(arrived["date"].min().year), float(share["month"].iloc[0].year))
    told = claims.claimed_range(claim)
    verdict = claims.judge_range(years, told, 0.0, "years of first traces", "").verdict
    return Finding(
        verdict,
        f"miners arrive in {arrived['date'].min():%Y-%m} ({domain(arrived['source'].iloc[0])}); the map of hashrate "
        f"has {share['share_pct'].iloc[0]:.1f}% in its first month, {share['month'].iloc[0]:%Y-%m}",
        f"the first traces must lie in {told[0]:.0f}",
        {"low": years[0], "high": years[1]},
    )


def _russia(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    last = evidence.ranks().index
    month = f"{last[-1]:%Y-%m}"
    return _untestable(
        f"{evidence.mapped('Russia', month):.1f}% in {month}, rank {evidence.ranks()['Russia'].iloc[-1]} of the "
        "countries named",
        f"the map of hashrate ends in {month}; the claim is of {claim['as_of']}",
    )


# ---------------------------------------------------------------- Kazakhstan: power, rules, decline


def _coal_and_water(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    mix = evidence.power("KAZ", 2021).filter(like="_pct").astype(float).sort_values(ascending=False)
    names = [name.removesuffix("_pct") for name in mix.index]
    listed = ", ".join(f"{name} {share:.0f}%" for name, share in zip(names[:3], mix, strict=False))
    return _parts(
        [names[0] == "coal", set(names[:2]) == {"coal", "hydro"}],
        f"generation of 2021: {listed}",
        "coal first, and coal and water the two largest sources",
        coal=float(mix["coal_pct"]), hydro=float(mix["hydro_pct"]),
    )  # fmt: skip


def _coal_mines(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    coal = float(evidence.power("KAZ", 2021)["coal_pct"])
    return _parts(
        [coal > 50],
        f"coal {coal:.0f}% of the country's generation in 2021",
        "mostly: over half, of the country's generation; where mines draw their power, and how old plants are, is in "
        "no table, so partly at best",
        at_best=Verdict.PARTLY,
        coal=coal,
    )


def _demand_grew(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    growth = 100 * float(evidence.power("KAZ", 2021)["demand_twh"] / evidence.power("KAZ", 2020)["demand_twh"] - 1)
    own = evidence.nations[(evidence.nations["iso3"] == "KAZ") & (evidence.nations["year"] <= 2021)].sort_values("year")
    rates = 100 * own["demand_twh"].pct_change().dropna()
    stated = evidence.figure("consumption growth in 2021")
    return _parts(
        [growth > 0],
        f"demand grew by {growth:.1f}% in 2021, more than in {int((rates < growth).sum())} of {len(rates) - 1} years "
        f"before; the deputy minister said {stated['value'].iloc[-1]:g}%",
        "that demand grew is measured; whether it was the greatest challenge is a judgement, so partly at best",
        at_best=Verdict.PARTLY,
        growth=growth,
    )


def _imports(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    years = [2021, 2022]
    rows = [evidence.power("KAZ", year) for year in years]
    net = [float(row["demand_twh"] - row["generation_twh"]) for row in rows]
    listed = ", ".join(f"{value:+.2f} TWh in {year}" for year, value in zip(years, net, strict=True))
    return _parts(
        [value > 0 for value in net],
        f"demand less generation {listed}, of {rows[-1]['demand_twh']:.0f}",
        "net imports: demand over generation, in both years; two publishers give the two, and a gap so small may be "
        "theirs. Who caused it is in no table, so partly at best",
        at_best=Verdict.PARTLY,
        first=net[0], last=net[-1],
    )  # fmt: skip


def _rationed(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    cuts = _rows(evidence.happened("KAZ", "power_cut"), "no row of a power cut in Kazakhstan by then")
    of_miners = cuts[cuts["event"].str.contains("mine")]
    return _parts(
        [len(cuts) > 0, len(cuts) > len(of_miners)],
        f"cuts: {_said(cuts)}; {len(of_miners)} of {len(cuts)} were cuts of miners",
        "rationing is in the rows; the claim needs a row in which others than miners were rationed",
    )


def _regulation_start(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """Measures in the month that is claimed, and none before."""
    span = claims.period(claim["as_of"])
    strict = _rows(
        evidence.happened("KAZ", "tax", "licence_law", "grid_limit", "power_cut", "ban"), "no Kazakh measure by then"
    )
    if span is None or span.last > evidence.as_of:
        raise _NotKnown("the month that is claimed was not over by then")
    earlier, within = strict[strict["date"] < span.first], strict[strict["date"].between(span.first, span.last)]
    return _parts(
        [len(within) > 0, len(earlier) == 0],
        f"before: {_said(earlier) or 'none'}; in {span}: {_said(within) or 'none'}",
        f"measures begin in {span}: some then, none before",
        earlier=float(len(earlier)), within=float(len(within)),
    )  # fmt: skip


def _tax_and_grey(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    steps = _rows(
        evidence.happened("KAZ", "tax", "policy_statement", "grid_limit"), "no Kazakh row on taxes or rules by then"
    )
    around = steps[steps["date"].between("2021-01-01", "2022-03-31")]
    return _parts(
        [len(around) > 0],
        f"taxes and rules: {_said(around) or 'none'}",
        "steps to tax and regulate, by early 2022; who owns mines, and how many are underground, only speakers say, so "
        "partly at best",
        at_best=Verdict.PARTLY,
    )


def _winter_cuts(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    cuts = _rows(evidence.happened("KAZ", "power_cut", "blackout"), "no row of a power cut in Kazakhstan by then")
    autumn, winter = (
        int(cuts["date"].between(*ends).sum()) for ends in (("2021-10-01", "2021-12-31"), ("2022-01-01", "2022-03-31"))
    )
    return _untestable(
        f"rows of cuts and blackouts: {autumn} in October to December 2021, {winter} in January to March 2022",
        "a list of events gives no rate, and no minutes without power of Kazakhstan are in any table",
    )


def _closures(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    rows = _rows(evidence.happened("KAZ", "seizure"), "no row of a closure by then")
    law = evidence.happened("KAZ", "licence_law")
    licences = (
        f"; licences exist since {law['effective_date'].iloc[0]:%Y-%m-%d} only, so unlicensed meant unregistered"
        if len(law)
        else ""
    )
    count = evidence.story[(evidence.story["event"] == "Mines closed") & (evidence.story["date"] <= evidence.as_of)]
    closed = (
        f"{count['value'].iloc[0]:.0f} mines closed by {count['date'].iloc[0]:%Y-%m-%d}, part of them by their owners; "
        if len(count)
        else ""
    )
    return _parts(
        [bool((rows["date"].dt.year == 2022).any())],
        f"{closed}rows: {_said(rows)}{licences}",
        "closures in 2022 must be in the rows; two counts of one week disagree, as a note there says",
    )


def _declined(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """Decline within one publisher's figures, and whether it began before the closures."""
    load = evidence.figure("Mining load")
    peak, last = load.nlargest(1, "value").iloc[0], load.iloc[-1]
    closing = _rows(evidence.happened("KAZ", "seizure"), "no row of a closure by then")["date"].iloc[0]
    shares = evidence.shares[
        (evidence.shares["country"] == "Kazakhstan") & (evidence.shares["month"] < closing)
    ].sort_values("month")
    top = shares.nlargest(1, "share_pct").iloc[0]
    early = bool(shares["share_pct"].iloc[-1] < top["share_pct"])
    return _parts(
        [bool(last["value"] <= SHRUNK * peak["value"]), not early],
        f"load {peak['value']:,.0f} MW in {peak['date']:%Y-%m}, {last['value']:,.0f} in {last['date']:%Y-%m} (one "
        f"publisher); share of hashrate {top['share_pct']:.1f}% in {top['month']:%Y-%m}, "
        f"{shares['share_pct'].iloc[-1]:.1f}% in {shares['month'].iloc[-1]:%Y-%m}; first closure {closing:%Y-%m-%d}",
        "sharp: to half or less, within one publisher's figures; and the decline begins with the closures, not before",
        ratio=float(last["value"] / peak["value"]),
    )  # fmt: skip


def _shrunk(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    load = evidence.figure("Mining load")
    load = load[load["date"] <= "2023-06-30"]
    peak, last = load.nlargest(1, "value").iloc[0], load.iloc[-1]
    if last["date"] < pd.Timestamp("2023-01-01"):
        raise _NotKnown("no mining load of 2023 was known by then")
    other = evidence.figure("Share of world hashrate (Hashrate Index")
    return _parts(
        [bool(last["value"] <= SHRUNK * peak["value"])],
        f"load {peak['value']:,.0f} MW in {peak['date']:%Y-%m}, {last['value']:,.0f} in {last['date']:%Y-%m}; the same "
        f"publisher's share then {other['value'].iloc[-1]:g}%",
        "considerably: to half or less, within one publisher's figures; shares of two publishers are not compared",
        ratio=float(last["value"] / peak["value"]),
    )  # fmt: skip


def _price_fell(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    daily = evidence.network.set_index("date")["price_usd"]
    daily = daily[(daily.index <= evidence.as_of) & (daily.index >= "2021-12-31") & (daily.index <= "2022-12-31")]
    if len(daily) < 2:
        raise _NotKnown("no price of 2022 was known by then")
    change = float(daily.iloc[-1] / daily.iloc[0] - 1)
    return _parts(
        [change < 0],
        f"bitcoin {'fell' if change < 0 else 'rose'} by {abs(change):.0%} from {daily.index[0]:%Y-%m-%d} to "
        f"{daily.index[-1]:%Y-%m-%d}",
        "the price must fall over 2022; what that did to Kazakhstan is in no table, so partly at best",
        at_best=Verdict.PARTLY,
        change=100 * change,
    )


def _grey_to_white(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """Unregistered over registered load, the second as one publisher's total less each estimate of the first."""
    total = float(evidence.figure("Mining load, peak")["value"].iloc[-1])
    grey = pd.concat(
        [evidence.figure(words) for words in ("unregistered miners consumption", "illegal miners consumption")]
    )["value"].astype(float)
    ratios = sorted(grey / (total - grey))
    judged = claims.judge_range(
        (ratios[0], ratios[-1]), claims.claimed_range(claim), ROUNDING, "grey over white load", "times", 1
    )
    listed = " or ".join(f"{value:,.0f}" for value in sorted(grey))
    why = f"{judged.why}; white is one publisher's total of {total:,.0f} MW less grey, as no row of that month gives it"
    return replace(judged, found=f"{judged.found} (grey {listed} MW)", why=why)


def _btc_kz(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    own = _rows(evidence.happened("KAZ", "power_cut"), "no row of a power cut in Kazakhstan by then")
    day = claims.published(claim["article"])
    own = own[(own["date"] <= (day.last if day else evidence.as_of))]
    named = own[own["event"].str.contains("BTC KZ")]
    return _parts(
        [len(named) > 0],
        f"cuts of BTC KZ: {_said(named) or 'none'}; of all registered miners: {_said(own.drop(named.index)) or 'none'}",
        "a row that names a cut of the company by the month of the article; what it cost the company is in no table",
    )


# ---------------------------------------------------------------- Kazakhstan: the shutdown of January 2022


def _shutdown(evidence: SiteEvidence) -> tuple[pd.Timestamp, pd.Timestamp]:
    rows = _rows(evidence.happened("KAZ", "internet_shutdown"), "no row of an internet shutdown in Kazakhstan by then")
    return rows["date"].iloc[0], rows["end_date"].iloc[0]


def _drops(evidence: SiteEvidence) -> tuple[str, dict[str, network.Change]]:
    """Change of the network's hashrate in the shutdown, by three readings of the blocks, with 95% intervals: its whole
    days against `BASELINE` days before, and the episode against a trend through so many days on either side. Of its
    first and last day half is taken to lie inside: the end has no hour."""
    first, last = _shutdown(evidence)
    daily = evidence.network.set_index("date")
    day = pd.Timedelta(days=1)
    if last + BASELINE[-1] * day > min(evidence.as_of, daily.index.max()):
        raise _NotKnown(f"{BASELINE[-1]} days had not passed since the shutdown")
    changes = {
        f"against the {BASELINE[0]} days before": network.compare_counts(
            daily[first - BASELINE[0] * day : first - day], daily[first + day : last - day]
        )
    }
    for days in BASELINE:
        around = daily[first - days * day : last + days * day]
        inside = ((around.index >= first) & (around.index <= last)) * 1.0
        inside[[days, -days - 1]] = 0.5
        changes[f"against a trend through {days} days on either side"] = network.step_in_counts(around, inside)
    return "; ".join(
        f"{name} {c:+.1%} ({low:+.1%} to {high:+.1%})" for name, (c, low, high) in changes.items()
    ), changes


def _when_shut(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """The calendar week before the one of the article: does the shutdown touch it?"""
    first, last = _shutdown(evidence)
    row = evidence.happened("KAZ", "internet_shutdown")["event_id"].iloc[0]
    told = evidence.story[
        evidence.story["event"].str.startswith("Reuters") & (evidence.story["date"] <= evidence.as_of)
    ]
    day = _rows(told, "the article had not appeared by then")["date"].iloc[0]
    monday = day - pd.Timedelta(days=day.weekday() + 7)
    inside = first <= monday + pd.Timedelta(days=6) and last >= monday
    return _parts(
        [inside],
        f"shutdown {first:%Y-%m-%d} to {last:%Y-%m-%d} ({row}); article of {day:%Y-%m-%d}",
        f"must touch the week from Monday {monday:%Y-%m-%d}; who gave the order, the row does not say",
    )


def _world_drop(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """What blocks allow, by three readings: confirmed if every estimate lies inside the claim, contradicted if every
    95% interval excludes it, else open: a vaguer measurement must not confirm more."""
    words, changes = _drops(evidence)
    low, high = claims.claimed_range(claim)
    low, high = low * (1 - ROUNDING), high * (1 + ROUNDING)
    inside = all(low <= -100 * one.change <= high for one in changes.values())
    allowed = sum(-100 * one.low >= low and -100 * one.high <= high for one in changes.values())
    verdict = Verdict.CONFIRMED if inside else Verdict.CANNOT_BE_TESTED if allowed else Verdict.CONTRADICTED
    said = pd.concat([evidence.figure(name) for name in ("Drop of estimated", "Mining pools loss")])
    estimates = said["value"].astype(float)
    why = (
        f"{low:.1f} to {high:.1f}% must hold the estimate of each reading; the 95% intervals of {allowed} of "
        f"{len(changes)} reach into it. Estimates of one day rest on some 144 blocks, whose luck is 8.3%"
    )
    return Finding(
        verdict,
        f"blocks of the shutdown {words}; published on the day: {estimates.min():g} to {estimates.max():g}%",
        why if verdict is not Verdict.CANNOT_BE_TESTED else f"{NOISE}: {why}",
        {
            "allowed": float(allowed),
            "readings": float(len(changes)),
            "least": -100 * max(c.change for c in changes.values()),
            "most": -100 * min(c.change for c in changes.values()),
        },
    )


def _paralysed(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """All of the country's hashrate off, for all of the shutdown: do the blocks rule it out?"""
    words, changes = _drops(evidence)
    before, during = (evidence.mapped("Kazakhstan", month, "hashrate_ehs") for month in ("2021-12", "2022-01"))
    share = evidence.mapped("Kazakhstan", "2021-12")
    against = sum(change.low > -share / 100 for change in changes.values())
    ruled_out = against == len(changes)
    why = (
        f"a stop of all of it takes {share:.1f}% off the network, if nobody else adds any; {against} of {len(changes)} "
        "readings rule that out by their 95% intervals. Whose machines stopped, blocks cannot tell"
    )
    return Finding(
        Verdict.CONTRADICTED if ruled_out else Verdict.CANNOT_BE_TESTED,
        f"blocks of the shutdown {words}. The map gives the country {before:.1f} EH/s in December 2021, "
        f"{during:.1f} in January",
        why if ruled_out else f"{NOISE}: {why}",
        {"share": share, "against": float(against)},
    )


# ---------------------------------------------------------------- what documents say and a table also holds


def _infrastructure(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    index = evidence.supply[evidence.supply["year"] <= gates.newest_year(evidence.as_of)]
    index = index[(index["iso3"] == "KAZ") & index["metric"].str.contains("index")]
    faults = evidence.happened("KAZ", "blackout", "power_cut")
    listed = "; ".join(f"{row.region} {row.year}: {row.value:g} ({row.unit})" for row in index.pipe(_each))
    return _untestable(
        f"{listed or 'no index'}; cuts and blackouts: {_said(faults) or 'none'}",
        "no table measures how advanced a grid is; one index of one city, and a list of events, are no measure",
    )


def _price_and_scrutiny(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    daily = evidence.network.set_index("date")["price_usd"]
    steps = evidence.happened("KAZ")
    steps = steps[steps["direction"] < 0]["date"].dt.year.value_counts()
    if evidence.as_of < pd.Timestamp("2021-12-31"):
        raise _NotKnown("the year 2021 was not over by then")
    change = float(daily["2021-12-31"] / daily["2020-12-31"] - 1)
    before, during = (int(steps.get(year, 0)) for year in (2020, 2021))
    return _parts(
        [change > 0, during > before],
        f"bitcoin {change:+.0%} over 2021; restrictive rows on Kazakhstan: {before} in 2020, {during} in 2021",
        "price and rows must both rise; that one led to the other is in no table, so partly at best",
        at_best=Verdict.PARTLY,
    )


def _summer_law(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    law = evidence.happened("KAZ", "tax")
    law = _rows(law[law["date"].between("2022-06-01", "2022-08-31")], "no Kazakh row of June to August 2022 by then")
    return _parts(
        [True],
        f"{_said(law)}: {law['event'].iloc[0]}",
        "a row of June to August 2022; that its aim was to save power, the row does not say, so partly at best",
        at_best=Verdict.PARTLY,
    )


def _green_fee(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    law = evidence.happened("KAZ", "tax")
    law = _rows(law[law["event"].str.contains("renewables")], "no Kazakh fee that names renewables by then")
    fees = [float(fee) for fee in re.findall(r"(\d+)(?= (?:tenge )?(?:for|without))", law["event"].iloc[0])]
    green = float(re.findall(r"(\d+) tenge for renewables", law["event"].iloc[0])[0])
    return _parts(
        [green < max(fees)],
        f"{_said(law)}: {green:g} tenge per kWh for renewables, up to {max(fees):g} for others",
        "the fee for renewables must be under the others",
        green=green, highest=max(fees),
    )  # fmt: skip


# ---------------------------------------------------------------- Zaporizhzhia


def _site(evidence: SiteEvidence) -> pd.Series[str]:
    return evidence.sites[evidence.sites["site_id"] == "ZNPP_UA"].iloc[0]


def _day(row: gates.Row) -> str:
    return gates.dated(row["date"], row["date_precision"])


def _at_plant(evidence: SiteEvidence, kind: str) -> gates.Row:
    rows = evidence.happened("UKR", kind)
    return _rows(
        rows[rows["region"] == _site(evidence)["site"]],
        f"no row of the kind {kind.replace('_', ' ')} at the plant by then",
    ).iloc[0]


def _where(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    site = _site(evidence)
    return _parts(
        [site["iso3"] == "UKR"],
        f"{site['point']}, {site['lat']:.2f}° N, {site['lon']:.2f}° E, country code {site['iso3']}",
        "the point must carry Ukraine's code; no table holds borders to tell which part that is, so partly at best",
        at_best=Verdict.PARTLY,
    )


def _largest(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    return _untestable(str(_site(evidence)["note"]).split(",")[0], "no table lists the nuclear plants of Europe")


def _control(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """The month of the row, and what the two states told the IAEA in that month."""
    row, span = _at_plant(evidence, "conflict"), claims.period(claim["as_of"])
    month = claims.period(_day(row))
    held = span is not None and month is not None and span.first <= month.first and month.last <= span.last
    told = evidence.stated("control and ownership")
    told = told[told["date"].between(span.first, span.last)] if span else told.iloc[:0]
    beside = "".join(f"; {one.party} {one.said} ({one.statement_id})" for one in told.pipe(_each))
    return _parts(
        [held],
        f"{_day(row)}: {row['event']} ({row['event_id']}, {domain(row['source_url'])}){beside}",
        f"the row's date must lie in {span}; beside it, what the two states said then",
        parties=float(told["party"].nunique()),
    )


def _stopped(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    stop, taken = _at_plant(evidence, "nuclear_shutdown"), _at_plant(evidence, "conflict")
    return _parts(
        [bool(stop["date"] > taken["date"]), bool(f"{stop['date'].year}" == claim["as_of"])],
        f"taken {_day(taken)} ({taken['event_id']}); {stop['event']} {stop['date']:%Y-%m-%d} ({stop['event_id']})",
        "the order of the days, and the year, are judged; what forced the shutdown, the row does not say",
    )


def _output(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """Contradicted by what parties said of the reactors after they stopped; that no row says more is no evidence."""
    stop, until = _at_plant(evidence, "nuclear_shutdown"), claims.period(claim["as_of"])
    last = min(until.last, evidence.as_of) if until else evidence.as_of
    later = evidence.happened("UKR")
    later = later[later["date"].between(stop["date"] + pd.Timedelta(days=1), last)]
    back = later[later["event"].str.contains("restart|reconnect", case=False)]
    told = evidence.stated("state of the reactors")
    told = told[told["date"].between(stop["date"] + pd.Timedelta(days=1), last)]
    if back.empty and told.empty:
        raise _NotKnown(f"the last row is that of {_day(stop)}, and nothing was said of the reactors since")
    site = re.search(r"not generating since [\d-]+", str(_site(evidence)["grid"]))
    noted = f"; the list of sites: {site[0]} ({domain(_site(evidence)['note_source'])})" if site else ""
    said = "; ".join(
        f"{one.speaker}, {_day(one._asdict())}: {one.said} ({one.statement_id})" for one in told.pipe(_each)
    )
    return _parts(
        [len(back) > 0],
        f"disconnected {_day(stop)} ({stop['event_id']}); {said or _said(back)}{noted}",
        "a row of a restart after the last reactor was disconnected, against what was said of the reactors since",
        statements=float(len(told)),
    )


def _plant_share(claim: Claim[str], evidence: SiteEvidence) -> Finding:
    """What the plant would have had to produce, against what its capacity can."""
    nation = evidence.power("UKR", 2021)
    gigawatts = float(re.findall(r"([\d.]+) GW", str(_site(evidence)["note"]))[0])
    most = 100 * gigawatts * 8.76 / float(nation["generation_twh"])
    needed = claims.claimed_range(claim)[0] / most
    if needed > 1:
        return Finding(
            Verdict.CONTRADICTED,
            f"{gigawatts:g} GW all year are {most:.0f}% of {nation['generation_twh']:.0f} TWh",
            "the plant cannot make so much",
        )
    return _untestable(
        f"{gigawatts:g} GW all year would be {most:.0f}% of the {nation['generation_twh']:.0f} TWh of 2021; the claim "
        f"needs a load of {needed:.0%}",
        "the plant's own output is not given; its capacity does not rule the claim out",
        most=most, needed=needed,
    )  # fmt: skip


def _disrupted(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    before, after = evidence.power("UKR", 2021), evidence.power("UKR", 2022)
    change, demand = (100 * float(after[name] / before[name] - 1) for name in ("generation_twh", "demand_twh"))
    nuclear = [float(row["nuclear_pct"]) for row in (before, after)]
    return _parts(
        [change < 0, nuclear[1] < nuclear[0]],
        f"generation {change:+.0f}% and demand {demand:+.0f}% from 2021 to 2022; nuclear share {nuclear[0]:.1f} to "
        f"{nuclear[1]:.1f}%",
        "generation must fall, and the nuclear share with it if other sources took over. The year holds a war as well "
        "as a shutdown, so partly at best",
        at_best=Verdict.PARTLY,
        change=change,
    )


def _unsafe(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    row = _at_plant(evidence, "conflict")
    known = evidence.deaths[
        (evidence.deaths["iso3"] == "UKR") & (evidence.deaths["year"] <= gates.newest_year(evidence.as_of))
    ]
    last = known.nlargest(1, "year").iloc[0]
    return _parts(
        [bool(last["state_based_deaths_best"] >= gates.WAR)],
        f"{last['state_based_deaths_best']:,} state-based deaths in the country in {last['year']}; conflict at "
        f"the plant since {_day(row)} ({row['event_id']})",
        "a war by UCDP's threshold, and a row of conflict at the plant; deaths are counted by country, not distance, "
        "so partly at best",
        at_best=Verdict.PARTLY,
    )


def _continuous(_claim: Claim[str], evidence: SiteEvidence) -> Finding:
    law = evidence.happened("USA", "licence_law")
    law = _rows(law[law["event"].str.contains("interruptible mining loads")], "no row on interruptible mines by then")
    return _parts(
        [True, False],
        f"{_said(law)}: {law['event'].iloc[0]}",
        "an idle machine earns nothing, so power is needed; but a law that registers interruptible mines says that not "
        "all need it without a break",
    )


_RULES: dict[str, Callable[[Claim[str], SiteEvidence], Finding]] = {
    "PK-28": _texas,
    "PK-29": _quebec,
    "PK-30": _iceland,
    "KZB-01": _long_attractive,
    "KZB-02": _infrastructure,
    "KZB-03": _cheap_kazakh,
    "KZB-04": _began,
    "KZB-05": _coal_and_water,
    "KZB-07": _large,
    "KZB-08": _price_and_scrutiny,
    "KZB-09": _demand_grew,
    "KZB-10": _regulation_start,
    "KZB-12": _winter_cuts,
    "KZB-13": _closures,
    "KZB-14": _declined,
    "KZB-16": _summer_law,
    "KZB-17": _green_fee,
    "KZB-21": _price_fell,
    "KZB-23": _shrunk,
    "ZNPP-04": _where,
    "ZNPP-05": _largest,
    "ZNPP-06": _control,
    "ZNPP-07": _plant_share,
    "ZNPP-08": _output,
    "ZNPP-09": _continuous,
    "ZNPP-10": _russia,
    "ZNPP-15": _stopped,
    "ZNPP-16": _disrupted,
    "ZNPP-17": _unsafe,
    "KZR-02": _when_shut,
    "KZR-03": _paralysed,
    "KZR-04": _world_drop,
    "KZR-11": _second,
    "KZR-12": _from_china,
    "KZR-13": _august,
    "KZR-14": _number_of_miners,
    "KZR-15": _coal_mines,
    "KZR-16": _imports,
    "KZR-17": _rationed,
    "KZR-18": _tax_and_grey,
    "KZR-20": _grey_to_white,
    "KZR-25": _btc_kz,
    "KZR-27": _restated_price("Kazakh miners", "KAZ"),
    "KZR-28": _like_us,
    "KZR-29": _restated_price("miners in Russia", "RUS"),
}
