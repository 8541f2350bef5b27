"""What the source articles say, and the verdict that the data give.

A claim is a row of the table claims: a sentence, a figure or none, a unit, a period. A judge takes what the data give
and what the claim says, and returns a `Finding`: a verdict, what was found, and the rule that led from one to the
other. No verdict is typed: each follows from numbers by a rule that stands in `why`.

The rules, for every notebook:

- confirmed: what is found lies inside what is claimed. A figure quoted in a text is taken to mean itself
  give or take 10 % (`ROUNDING`), unless it is a date or a constant of the protocol.
- partly: some of what is found lies inside, some outside (days of a month, two ways to measure).
- wrong scope: the figure does not hold for what the claim speaks of, but holds for another named span or subject.
- contradicted: nothing of what is found lies inside.
- cannot be tested: the data end before the period does, or no table holds what is needed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pandas as pd

ROUNDING = 0.10  # a figure quoted in a text stands for itself give or take this share


class Verdict(StrEnum):
    """The five verdicts."""

    CONFIRMED = "confirmed"
    PARTLY = "partly"
    WRONG_SCOPE = "wrong scope"
    CONTRADICTED = "contradicted"
    CANNOT_BE_TESTED = "cannot be tested"


@dataclass(frozen=True)
class Finding:
    """A verdict, what was found (in words and figures), why (the rule), and the figures themselves."""

    verdict: Verdict
    found: str
    why: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Period:
    """From the first to the last day, both included."""

    first: pd.Timestamp
    last: pd.Timestamp

    def __contains__(self, day: object) -> bool:
        return isinstance(day, pd.Timestamp) and self.first <= day < self.last + pd.Timedelta(days=1)

    def __str__(self) -> str:
        same = (self.first.year, self.first.month) == (self.last.year, self.last.month)
        if same and self.first.day == 1 and self.last.is_month_end:
            return f"{self.first:%B %Y}"
        return f"{self.first:%Y-%m-%d}" + ("" if self.first == self.last else f" to {self.last:%Y-%m-%d}")


def calendar_month(day: pd.Timestamp) -> Period:
    """The calendar month of a day."""
    first = pd.Timestamp(day.year, day.month, 1)
    return Period(first, first + pd.offsets.MonthEnd(0))


# ---------------------------------------------------------------- reading a claim

_DAY = re.compile(r"(?<!\d)(\d{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?)?(?!\d)")
_UNITS = {"date": "", "difficulty": "", "count": "", "ratio": " times", "percent": "%", "USD/BTC": " USD per BTC"}
_MONTH = re.compile(r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* (\d{4})\b")


def period(text: object) -> Period | None:
    """The period that a text names in ISO dates, from the first one to the last one; None if it names none.

    >>> str(period("by publication (2025-11)")), str(period("2022-01-05 to 2022-01-10")), period("past decade")
    ('November 2025', '2022-01-05 to 2022-01-10', None)
    """
    found = _DAY.findall(text) if isinstance(text, str) else []
    spans = [pd.Period("-".join(part for part in parts if part)) for parts in found]
    if not spans:
        return None
    return Period(min(s.start_time for s in spans), max(s.end_time for s in spans).normalize())


def published(article: str) -> Period | None:
    """When an article appeared, as its title in the table says (a day or a month); None for an undated one.

    >>> str(published("Power is King (repost on miners moving to AI, Nov 2025)"))
    'November 2025'
    """
    named = _MONTH.search(article)
    return period(f"{pd.to_datetime(' '.join(named.groups()), format='%b %Y'):%Y-%m}" if named else article)


def claimed_range(claim: "pd.Series[str]") -> tuple[float, float]:
    """The lower and the upper figure of a claim; an open end is infinite. Raises ValueError if it has no figure.

    >>> claimed_range(pd.Series({"low": "1000", "high": None}))
    (1000.0, inf)
    """
    low, high = claim["low"], claim["high"]
    if pd.isna(low) and pd.isna(high):
        raise ValueError("the claim states no figure")
    return (-np.inf if pd.isna(low) else float(low), np.inf if pd.isna(high) else float(high))


def claimed(claim: "pd.Series[str]") -> str:
    """What a claim states, in a few words: figure, unit, period.

    >>> claimed(pd.Series({"low": "1000", "high": None, "unit": "EH/s", "as_of": "2024-04"}))
    'over 1,000 EH/s; 2024-04'
    """
    low, high = (None if pd.isna(claim[end]) else f"{float(claim[end]):,.12g}" for end in ("low", "high"))
    unit = "" if pd.isna(claim["unit"]) else _UNITS.get(claim["unit"], f" {claim['unit']}")
    if low and high:
        figure = (low if low == high else f"{low} to {high}") + unit
    else:
        figure = (f"over {low}{unit}" if low else f"up to {high}{unit}") if low or high else ""
    when = "" if pd.isna(claim["as_of"]) else str(claim["as_of"])
    return "; ".join(part for part in (figure, when) if part)


# ---------------------------------------------------------------- judges


def judge_range(
    found: tuple[float, float], claim: tuple[float, float], tolerance: float, what: str, unit: str = "", digits: int = 0
) -> Finding:
    """Is what was found, from its lowest to its highest value, inside the range that is claimed?

    found, claim : (low, high), in one unit; a single value twice
    tolerance    : share of each end of the claim that rounding may hide (0 for exact constants)

    >>> judge_range((1.83, 1.83), (2, 2), 0.10, "ratio", digits=2).verdict
    <Verdict.CONFIRMED: 'confirmed'>
    """
    if not (found[0] <= found[1] and claim[0] <= claim[1] and tolerance >= 0):
        raise ValueError("a range runs from its low end to its high end, and a tolerance is not negative")
    slack = [tolerance * abs(end) if np.isfinite(end) else 0.0 for end in claim]  # an open end stays open
    low, high = claim[0] - slack[0], claim[1] + slack[1]
    if low <= found[0] and found[1] <= high:
        verdict = Verdict.CONFIRMED
    elif found[0] <= high and low <= found[1]:
        verdict = Verdict.PARTLY
    else:
        verdict = Verdict.CONTRADICTED
    mark = unit if unit in ("", "%") else f" {unit}"
    ends = f"{found[0]:,.{digits}f}" + (f" to {found[1]:,.{digits}f}" if found[1] > found[0] else "")
    allowed = " to ".join(f"{end:,.{digits}f}" for end in sorted({low, high}) if np.isfinite(end))
    allowed = f"{'at most ' if np.isinf(low) else 'at least ' if np.isinf(high) else ''}{allowed}{mark}"
    exact = "" if tolerance == 0 else f" (the figure give or take {tolerance:.0%})"
    return Finding(
        verdict,
        f"{what} {ends}{mark}",
        f"must lie within {allowed}{exact}" if low < high else f"must be {allowed}",
        {"low": float(found[0]), "high": float(found[1])},
    )


def judge_days(days: Mapping[str, pd.Timestamp | None], span: Period, what: str, *, by: bool = False) -> Finding:
    """Did something happen within a period, or by its end (`by`)? One day for each way to measure it; None: never.

    >>> day = pd.Timestamp("2024-04-20")
    >>> judge_days({"header time": day}, period("2024-04"), "halving").verdict
    <Verdict.CONFIRMED: 'confirmed'>
    """
    if not days:
        raise ValueError("nothing was measured")
    inside = [day is not None and (day in span or (by and day <= span.last)) for day in days.values()]
    verdict = Verdict.CONFIRMED if all(inside) else Verdict.PARTLY if any(inside) else Verdict.CONTRADICTED
    dates = ", ".join(f"{'not yet' if day is None else format(day, '%Y-%m-%d')} ({name})" for name, day in days.items())
    numbers = {
        f"days after, {name}": float((day - span.last.normalize()).days)
        for name, day in days.items()
        if day is not None
    }
    return Finding(verdict, f"{what}: {dates}", f"must lie {'no later than' if by else 'in'} {span}", numbers)


def judge_some(values: Sequence[float], claim: tuple[float, float], tolerance: float, what: str, unit: str) -> Finding:
    """A claim about "some": is at least one of the values inside the claimed range? The share says how many.

    >>> judge_some([80.0, 95.0, 140.0], (100, 100), 0.10, "rigs", "USD").found
    '1 of 3 rigs (33%) within 90 to 110 USD'
    """
    given = np.asarray(values, dtype=float)
    if given.size == 0 or not np.isfinite(given).all():
        raise ValueError("a claim about some needs finite values")
    low, high = claim[0] - tolerance * abs(claim[0]), claim[1] + tolerance * abs(claim[1])
    inside = int(((given >= low) & (given <= high)).sum())
    return Finding(
        Verdict.CONFIRMED if inside else Verdict.CONTRADICTED,
        f"{inside} of {given.size} {what} ({inside / given.size:.0%}) within {low:,.0f} to {high:,.0f} {unit}",
        "“some” asks for one at least",
        {"inside": float(inside), "of": float(given.size), "share": inside / given.size},
    )


def judge_readings(stated: Finding, others: Mapping[str, Finding]) -> Finding:
    """A claim that can be read in several ways: the stated reading decides, unless only another one holds.

    Another reading that is confirmed where the stated one is contradicted makes it a wrong scope. What is found names
    the stated reading and the others that hold; the figures of all readings are in `numbers`.

    >>> miss = judge_range((1.2, 1.2), (2, 2), 0.1, "ratio", digits=1)
    >>> hit = judge_range((1.9, 1.9), (2, 2), 0.1, "ratio", digits=1)
    >>> judge_readings(miss, {"a year earlier": hit}).verdict
    <Verdict.WRONG_SCOPE: 'wrong scope'>
    """
    fits = [name for name, other in others.items() if other.verdict is Verdict.CONFIRMED]
    listed = "; ".join([stated.found, *(f"{name}: {others[name].found}" for name in fits)])
    numbers = {**stated.numbers, **{f"{n}, {k}": v for n, o in others.items() for k, v in o.numbers.items()}}
    if stated.verdict is Verdict.CONTRADICTED and fits:
        why = f"{stated.why}; it does not as stated, only {' and '.join(fits)}"
        return Finding(Verdict.WRONG_SCOPE, listed, why, numbers)
    return Finding(stated.verdict, listed, stated.why, numbers)


def cannot_be_tested(why: str) -> Finding:
    """The finding on a claim for which there is nothing to compare with."""
    return Finding(Verdict.CANNOT_BE_TESTED, "–", why)


def ledger(claims: pd.DataFrame, findings: Mapping[str, Finding]) -> pd.DataFrame:
    """One row per claim, in the order of the table: claim_id, claim, claimed, found, verdict, why.

    A claim without a finding cannot be tested: that too is said, so that no claim drops out in silence.
    Raises ValueError if a finding belongs to no claim.
    """
    unknown = set(findings) - set(claims["claim_id"])
    if unknown:
        raise ValueError(f"no such claim: {', '.join(sorted(unknown))}")
    rows = []
    for _, claim in claims.iterrows():
        finding = findings.get(claim["claim_id"], cannot_be_tested("no rule of this notebook tests it"))
        rows.append(
            {
                "claim_id": claim["claim_id"],
                "claim": claim["claim_en"],
                "claimed": claimed(claim),
                "found": finding.found,
                "verdict": str(finding.verdict),
                "why": finding.why,
            }
        )
    return pd.DataFrame(rows, columns=["claim_id", "claim", "claimed", "found", "verdict", "why"])


def judge_in_time(
    claim: "pd.Series[str]", end: pd.Timestamp, rule: Callable[[Period], Finding], lasting: bool = False
) -> Finding:
    """Judge one claim, if the data reach far enough; what is already true of a lasting event stays true."""
    said = None if re.search("publication|not stated|to date", claim["as_of"]) else period(claim["as_of"])
    said = said or published(claim["article"])
    if said is None:
        return cannot_be_tested("neither the claim nor the article is dated")
    ends = f"the data used here end on {end:%Y-%m-%d}"
    if end < said.first:
        return cannot_be_tested(f"speaks of {said}; {ends}")
    finding = rule(said) if lasting or end >= said.last else None
    if finding is None or (end < said.last and finding.verdict is not Verdict.CONFIRMED):
        return cannot_be_tested(f"{said} is not over; {ends}")
    return finding


def fresh(said: Period) -> Period:
    """The period and the month before it: where a figure quoted in it may come from."""
    return Period(said.first - pd.DateOffset(months=1), said.last)
