"""What the articles say about electricity demand and the speed of grids, and the verdict that the tables give.

The rules and the five verdicts are those of `wattshift.claims`. Rows published after `as_of` are ignored; what somebody
"expects" is judged by editions that existed when the article appeared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from wattshift import claims, demand, scenarios
from wattshift.claims import ROUNDING, Finding, Verdict

Claim = pd.Series  # a row of the table claims
WEEKS_PER_MONTH = 365.25 / 12 / 7
QUOTED = 0.02  # what a publication is said to print is its own figure: room for rounding, 950 for 945, and no more
UTILITIES = ("FERC Form 714 filers (Grid Strategies)", "Grid Strategies")  # what US utilities file, added up


@dataclass(frozen=True)
class DemandEvidence:
    """What the claims are held against.

    history, projections, engineering, record, nations : the tables dc_demand_history, dc_demand_scenarios, dc_inputs,
    past_forecasts and country_energy_annual, whole
    as_of : the last day of publication that counts; dc_inputs has no such days and counts whole
    """

    history: pd.DataFrame
    projections: pd.DataFrame
    engineering: pd.DataFrame
    record: pd.DataFrame
    nations: pd.DataFrame
    as_of: pd.Timestamp

    def levels(self, region: str, family: str) -> pd.DataFrame:
        """Yearly levels of one family in a region without crypto, published in time, oldest edition first."""
        known = demand.levels(self.history[self.history["published"] <= self.as_of])
        known = known[(known["region"] == region) & (known["family"] == family) & known["twh"].notna()]
        return known[known["counts"] == str(demand.Boundary.WITHOUT_CRYPTO)].sort_values(["published", "year"])

    def expected(
        self, claim: Claim[str], region: str, family: str, counts: str = demand.Boundary.WITHOUT_CRYPTO
    ) -> pd.DataFrame:
        """Projections of a family, published before the article's month was over, in TWh."""
        day = claims.published(claim["article"])
        known = self.projections[self.projections["published"] <= (min(day.last, self.as_of) if day else self.as_of)]
        known = known[(known["region"] == region) & known["twh"].notna()]
        right = [
            demand.family(source) == family and demand.boundary(source, scope) == counts
            for source, scope in zip(known["source"], known["scope"], strict=True)
        ]
        return known[np.array(right, dtype=bool)]

    def given(self, parameter: str) -> pd.DataFrame:
        """Rows of dc_inputs, with low and high filled in where one value is printed."""
        rows = self.engineering[self.engineering["parameter"] == parameter].copy()
        rows["low"], rows["high"] = (rows[end].fillna(rows["value"]).astype(float) for end in ("low", "high"))
        return rows


def demand_findings(table: pd.DataFrame, evidence: DemandEvidence) -> dict[str, Finding]:
    """A finding, by claim_id, for each claim whose quantity a rule below knows; other claims are left out."""
    return {
        claim["claim_id"]: _RULES[claim["quantity"]](claim, evidence)
        for _, claim in table.iterrows()
        if claim["quantity"] in _RULES
    }


# ---------------------------------------------------------------- levels, shares and growth


def _level(claim: Claim[str], evidence: DemandEvidence) -> Finding:
    """What the IEA says of a year: its levels if it gives any, else its Base case."""
    year = int(claim["as_of"])
    found = evidence.levels("World", "IEA")
    found = found[found["year"] == year]
    what = f"IEA on {year}, as published in"
    if found.empty:
        found = evidence.expected(claim, "World", "IEA")
        found = found[(found["year"] == year) & (found["scenario"] == "Base")]
        what = f"IEA, Base case for {year}, as published in"
    if found.empty:
        return claims.cannot_be_tested(f"no edition of the IEA in use gives {year} without crypto")
    editions = ", ".join(sorted({f"{day:%Y}" for day in found["published"]}))
    ends = (float(found["twh"].min()), float(found["twh"].max()))
    return claims.judge_range(ends, claims.claimed_range(claim), QUOTED, f"{what} {editions}:", "TWh")


def _share(claim: Claim[str], evidence: DemandEvidence) -> Finding:
    """The IEA's Base case over the world's demand, if the rest grows as in its slowest or its fastest ten years."""
    year = int(claim["as_of"])
    ahead = evidence.expected(claim, "World", "IEA")
    ahead = ahead[(ahead["year"] == year) & (ahead["scenario"] == "Base")]
    total = scenarios.denominator(evidence.nations, "World")
    past = evidence.levels("World", "IEA").drop_duplicates("year", keep="last").set_index("year")["twh"]
    if ahead.empty or total.year not in past.index:
        return claims.cannot_be_tested(f"no edition of the IEA in use gives {year} and {total.year} without crypto")
    now = float(past[total.year])
    shares = [
        100 * twh / all_demand
        for twh in ahead["twh"].astype(float)
        for all_demand in total.ahead(year, now=now, then=twh)
    ]
    cases = " and ".join(f"{twh:,.0f}" for twh in sorted(ahead["twh"].unique()))
    what = f"IEA, Base case for {year} ({cases} TWh), of {total.name}:"
    stated = claims.judge_range((min(shares), max(shares)), claims.claimed_range(claim), ROUNDING, what, "%", digits=1)
    return replace(stated, found=f"{stated.found}; its level of {total.year} was {100 * now / total.twh:.1f}%")


def _growth(claim: Claim[str], evidence: DemandEvidence) -> Finding:
    """Of AI alone, as stated, by the one path that gives it; and of all data centres, by one edition of a DOE study.

    A figure that fits all data centres in part makes "partly", wholly "wrong scope".
    """
    day = claims.published(claim["article"])
    ai = evidence.expected(claim, "United States", "Goldman Sachs", demand.Boundary.AI_SERVERS)
    path = ai.set_index("year")["twh"].astype(float)
    studies = evidence.levels("United States", "LBNL")
    studies = studies[studies["published"] <= day.last] if day else studies
    newest = studies[studies["published"] == studies["published"].max()]
    if path.empty or len(newest) < 2 or day is None:
        return claims.cannot_be_tested("no edition in use gives AI and a span of all data centres of the US")
    edition = newest.set_index("year")["twh"].astype(float)
    last = int(edition.index.max())
    if claim["as_of"].isdigit():
        until, first = int(claim["as_of"]), day.first.year
        then = evidence.expected(claim, "United States", "LBNL")
        then = then[(then["year"] == until) & (then["published"] == then["published"].max())]["twh"].astype(float)
        ratio = float(path[until] / path[first])
        alone = (ratio, ratio)
        whole, span = (float(then.min() / edition[last]), float(then.max() / edition[last])), f"{last} to {until}"
        words = f"AI servers, {first} to {until} (Goldman Sachs)"
    else:
        first = int(edition.index[edition.index >= last - 10].min())
        ratio = float(edition[last] / edition[first])
        whole, span = (ratio, ratio), f"{first} to {last}"
        start, until = int(path.index.min()), day.first.year
        ratio = float(path[until] / path[start])
        alone = (ratio, ratio)
        words = f"AI servers, {start} to {until} alone, as no table holds the decade (Goldman Sachs)"
    told = claims.claimed_range(claim)
    stated = claims.judge_range(alone, told, ROUNDING, words, "times", digits=1)
    other = claims.judge_range(whole, told, ROUNDING, f"United States, {span} (LBNL)", "times", digits=1)
    both = claims.judge_readings(stated, {"of all data centres": other})
    if stated.verdict is Verdict.CONTRADICTED and other.verdict is Verdict.PARTLY:
        why = f"{stated.why}; of AI it does not, of all data centres a part of the range does"
        return replace(
            both, verdict=Verdict.PARTLY, found=f"{stated.found}; of all data centres: {other.found}", why=why
        )
    return both


# ---------------------------------------------------------------- time and foresight


def _wait(claim: Claim[str], evidence: DemandEvidence) -> Finding:  # noqa: ARG001
    """Not quickly: is every published wait for a connection longer than the longest time to build the site?"""
    waits, building = evidence.given("grid_connection_wait_load_years"), evidence.given("dc_construction_months")
    longest = float(building["high"].max()) / 12
    low, high = float(waits["low"].min()), float(waits["high"].max())
    return Finding(
        Verdict.CONFIRMED if low > longest else Verdict.PARTLY if high > longest else Verdict.CONTRADICTED,
        f"waits for a large load {low:g} to {high:g} years in {len(waits)} rows; building the site up to {longest:g}",
        "no figure is claimed; slow means that a connection takes longer than the site. What is left is not judged",
        {"low": low, "high": high, "building": longest},
    )


def _transformers(claim: Claim[str], evidence: DemandEvidence) -> Finding:  # noqa: ARG001
    """A long time: is every published lead time of transformers longer than the longest time to build the site?"""
    rows = evidence.engineering[evidence.engineering["parameter"].str.contains("transformer_lead_weeks")]
    longest = float(evidence.given("dc_construction_months")["high"].max()) * WEEKS_PER_MONTH
    weeks = rows["value"].astype(float)
    slow = weeks > longest
    return Finding(
        Verdict.CONFIRMED if slow.all() else Verdict.PARTLY if slow.any() else Verdict.CONTRADICTED,
        f"transformers {weeks.min():,.0f} to {weeks.max():,.0f} weeks in {len(rows)} rows of {rows['year'].min():.0f} "
        f"to {rows['year'].max():.0f}; building the site up to {longest:,.0f} weeks",
        "no figure is claimed; long means longer than it takes to build the site. No table holds cables",
        {"low": float(weeks.min()), "high": float(weeks.max()), "building": longest},
    )


def _building(claim: Claim[str], evidence: DemandEvidence) -> Finding:
    """Years, by two clocks: construction alone, and from the search for a site to power."""
    months, years = evidence.given("dc_construction_months"), evidence.given("dc_total_timeline_years")
    alone = (float(months["low"].min()) / 12, float(months["high"].max()) / 12)
    whole = (float(years["low"].min()), float(years["high"].max()))
    told = claims.claimed_range(claim)
    both = [
        claims.judge_range(ends, told, ROUNDING, what, "years", digits=1)
        for ends, what in ((alone, "construction"), (whole, "from the search for a site to power"))
    ]
    found = "; ".join(one.found for one in both)
    verdicts = {one.verdict for one in both}
    verdict = verdicts.pop() if len(verdicts) == 1 else Verdict.PARTLY
    numbers = {"low": alone[0], "high": alone[1], "whole, low": whole[0], "whole, high": whole[1]}
    return Finding(verdict, found, f"{both[0].why}, by both clocks", numbers)


def _approval(claim: Claim[str], evidence: DemandEvidence) -> Finding:
    """Approval is a part of the interconnection phase, and only the whole of it is published."""
    rows = evidence.given("interconnection_phase_months")
    low, high = float(rows["low"].min()), float(rows["high"].max())
    start, end = claims.claimed_range(claim)
    if high < (start if np.isfinite(start) else end):
        return Finding(
            Verdict.CONTRADICTED, f"the whole phase takes {low:g} to {high:g} months", "the part outlasts the whole"
        )
    as_whole = claims.judge_range((low, high), (max(start, 0), end), ROUNDING, "the whole phase takes", "months")
    return Finding(
        Verdict.CANNOT_BE_TESTED,
        f"{as_whole.found}; as a time to connection the claim would be: {as_whole.verdict}",
        "approval is a part of the interconnection phase; only the whole is published, and a part may be as short",
        as_whole.numbers,
    )


def _foresight(claim: Claim[str], evidence: DemandEvidence) -> Finding:  # noqa: ARG001
    """What is known of utilities' forecasts: how they were revised, and how much of the requested load came."""
    filed = evidence.record[
        evidence.record["author"].isin(UTILITIES) & (evidence.record["published"] <= evidence.as_of)
    ]
    filed = filed.sort_values("published")
    came = [
        float(v)
        for name in ("realised_to_requested_load", "pjm_forecast_to_requested_load")
        for v in evidence.given(name)["value"]
    ]
    if len(filed) < 2:
        return claims.cannot_be_tested("fewer than two filings of utilities had been published")
    values = filed["central"].astype(float).to_numpy()
    when = " to ".join(f"{filed['published'].iloc[end]:%Y}" for end in (0, -1))
    words = ", ".join(f"{value:,.0f}" for value in values)
    return Finding(
        Verdict.CANNOT_BE_TESTED,
        f"growth of US peak load over five years, as filed in {when}: {words} GW; of the load that is requested "
        f"{min(came):.0%} to {max(came):.0%} is expected or came",
        "no forecast of a utility in the tables has a realised value yet; revisions are no errors",
        {"times": float(values[-1] / values[0])},
    )


_RULES: dict[str, Callable[[Claim[str], DemandEvidence], Finding]] = {
    "dc_electricity_twh": _level,
    "dc_share_of_world_electricity_pct": _share,
    "dc_electricity_growth_factor": _growth,
    "grid_connection_wait_years": _wait,
    "transformer_lead_weeks": _transformers,
    "dc_build_years": _building,
    "interconnection_approval_months": _approval,
    "forecast_error_pct": _foresight,
}
