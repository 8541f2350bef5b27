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
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial

import numpy as np
import pandas as pd

ROUNDING = 0.10  # a figure quoted in a text stands for itself give or take this share
LUCK_WINDOWS = (7, 30)  # days; a single day's hashrate is luck (8.3 %), so means over these are judged


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


def _month(day: pd.Timestamp) -> Period:
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


# ---------------------------------------------------------------- the claims on the halving


@dataclass(frozen=True)
class HalvingEvidence:
    """What the claims on the halving are held against. Everything after `as_of` is ignored.

    network   : table btc_network_daily
    halvings  : table halvings
    retargets : table difficulty_retargets
    shutdown  : one row per rig, power price and basis, in the month of publication: basis ("power", "cash" or
                "all-in"), shutdown_price_usd (USD per BTC); None or empty where it cannot be computed
    as_of     : last day known
    """

    network: pd.DataFrame
    halvings: pd.DataFrame
    retargets: pd.DataFrame
    shutdown: pd.DataFrame | None
    as_of: pd.Timestamp

    @property
    def end(self) -> pd.Timestamp:
        """The last day known: as_of, or the last day of the network table if that comes first. Raises ValueError."""
        if self.network.empty:
            raise ValueError("there is no day of the network to judge by")
        return pd.Timestamp(min(self.as_of, self.network["date"].max()))

    def until(self, day: pd.Timestamp) -> pd.DataFrame:
        """The network's days up to a day, and never after the last one known, indexed by date."""
        daily = self.network.set_index("date")
        return daily[daily.index <= min(day, self.end)]


def halving_findings(claims: pd.DataFrame, evidence: HalvingEvidence) -> dict[str, Finding]:
    """A finding, by claim_id, for each claim whose quantity a rule below knows; other claims are left out."""
    findings = {}
    for _, claim in claims.iterrows():
        if claim["quantity"] in _RULES:
            rule, lasting = _RULES[claim["quantity"]]
            findings[claim["claim_id"]] = _judge(claim, evidence.end, partial(rule, claim, evidence=evidence), lasting)
    return findings


def rolling_means(hashrate_ehs: "pd.Series[float]") -> "dict[str, pd.Series[float]]":
    """Trailing means of a daily hashrate over `LUCK_WINDOWS`, by name; the first days of each are missing."""
    return {f"{days}-day mean": hashrate_ehs.rolling(days).mean() for days in LUCK_WINDOWS}


def first_above(means: "Mapping[str, pd.Series[float]]", level: float) -> dict[str, pd.Timestamp | None]:
    """The first day on which each series lies above a level; None where none does.

    >>> days = pd.date_range("2025-01-01", periods=3)
    >>> first_above({"mean": pd.Series([1.0, 3.0, 2.0], days)}, 2.0)["mean"].day
    2
    """
    return {
        name: (series.index[series > level][0] if (series > level).any() else None) for name, series in means.items()
    }


def month_mean(series: "pd.Series[float]", month: Period) -> float:
    """Mean over the days of a period; NaN unless every day of it is there.

    >>> month_mean(pd.Series(2.0, pd.date_range("2025-04-01", "2025-04-30")), period("2025-04"))
    2.0
    """
    inside = series[(series.index >= month.first) & (series.index <= month.last)]
    return float(inside.mean()) if len(inside) == (month.last - month.first).days + 1 else float("nan")


def month_level(daily: pd.DataFrame, month: Period) -> tuple[float, float]:
    """Mean hashrate of a period in EH/s, and the share of it that is block luck: one over the root of its blocks.

    daily: rows of btc_network_daily indexed by date. Both are NaN unless every day of the period is there.
    """
    level = month_mean(daily["hashrate_ehs"], month)
    blocks = daily["blocks"][(daily.index >= month.first) & (daily.index <= month.last)].sum()
    return level, float(1 / np.sqrt(blocks)) if np.isfinite(level) and blocks > 0 else float("nan")


def spans(publication: Period, halving: Period) -> dict[str, tuple[Period, Period]]:
    """The spans that "since the previous April" may mean, as (from, to): the stated one first.

    >>> [f"{a} to {b}" for a, b in spans(period("2025-11"), period("2024-04")).values()]
    ['April 2025 to November 2025', 'April 2024 to November 2025', 'April 2023 to April 2024']
    """
    year = publication.first.year - (publication.first.month <= 4)
    eve = _month(halving.first - pd.DateOffset(years=1))
    april, before = (_month(pd.Timestamp(y, 4, 1)) for y in (year, year - 1))
    named = [(april, publication), (before, publication), (eve, halving)]
    return {f"from {a} to {b}": (a, b) for a, b in named}


def growth(network: pd.DataFrame, over: Mapping[str, tuple[Period, Period]]) -> pd.DataFrame:
    """Growth from the mean of one month to the mean of another, one row per span that the data cover whole.

    network : rows of btc_network_daily. over : as `spans` gives them.
    Columns: span (name), hashrate (times its start), luck (standard error of that, from block luck), price (times).
    """
    daily = network.set_index("date")
    rows = []
    for name, (start, end) in over.items():
        ((there, luck_there), (here, luck_here)) = (month_level(daily, month) for month in (start, end))
        luck = here / there * np.hypot(luck_here, luck_there)
        price = month_mean(daily["price_usd"], end) / month_mean(daily["price_usd"], start)
        rows.append({"span": name, "hashrate": here / there, "luck": luck, "price": price})
    return pd.DataFrame(rows, columns=["span", "hashrate", "luck", "price"]).dropna(ignore_index=True)


def _judge(
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


def _halving_in(evidence: HalvingEvidence, said: Period) -> "pd.Series[float] | None":
    """The row of the halving that falls in a period, if it is known by then."""
    times = evidence.halvings["block_time_utc"]
    rows = evidence.halvings[[time in said and time.normalize() <= evidence.end for time in times]]
    return None if rows.empty else rows.iloc[0]


def _halving_date(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:
    ordinal = next(
        (n for n, word in enumerate(("first", "second", "third", "fourth"), 1) if word in claim["claim_en"]), 0
    )
    row = evidence.halvings[evidence.halvings["halving"] == ordinal]
    if row.empty:
        return cannot_be_tested("the claim does not say which halving")
    time = row["block_time_utc"].iloc[0]
    height = int(row["height"].iloc[0])
    known = time if time.normalize() <= evidence.end else None
    return judge_days({f"header time of block {height:,}, UTC": known}, said, f"halving {ordinal}")


def _subsidy(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:
    """The subsidy by the table of halvings, and by new coins over blocks on the whole days around the halving."""
    row = _halving_in(evidence, said)
    if row is None:
        return cannot_be_tested(f"no halving in {said} is known on {evidence.end:%Y-%m-%d}")
    daily = evidence.until(evidence.end)
    height = daily["blocks"].cumsum()
    side = "before" if claim["quantity"].endswith("before_btc") else "after"
    whole = (
        daily[height < row["height"]].tail(1) if side == "before" else daily[height.shift() >= row["height"]].head(1)
    )
    if whole.empty:
        return cannot_be_tested("no whole day after the halving is known")
    paid = float(whole["issuance_btc"].iloc[0] / whole["blocks"].iloc[0])
    both = (float(row[f"subsidy_{side}_btc"]), paid)
    what = f"on {whole.index[0]:%Y-%m-%d} and in the schedule, new coins a block"
    return judge_range((min(both), max(both)), claimed_range(claim), 0.0, what, "BTC", digits=3)


def _level_passed(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:
    """When means over a week and a month first passed a level: by the end of a period, or in the month named."""
    by = claim["as_of"].startswith("by")
    level, _ = claimed_range(claim)
    known = evidence.until(evidence.end)["hashrate_ehs"]
    finding = judge_days(first_above(rolling_means(known), level), said, f"first above {level:,.0f} EH/s", by=by)
    inside = known[(known.index >= said.first) & (known.index <= said.last)]
    if by or inside.empty:
        return finding
    mean = float(inside.mean())
    numbers = {**finding.numbers, "mean_ehs": mean, "share": mean / level}
    return replace(finding, found=f"{finding.found}; mean of {said}: {mean:,.0f} EH/s", numbers=numbers)


def _hashrate_ratio(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:
    """The ratio over the stated span, and over the other spans that the sentence may mean."""
    known = evidence.until(said.last).reset_index()
    findings = {}
    for row in growth(known, spans(said, _halving_month(evidence, said))).itertuples():
        ratio, luck = float(row.hashrate), float(row.luck)  # type: ignore[arg-type]
        one = judge_range((ratio, ratio), claimed_range(claim), ROUNDING, "ratio of means", digits=2)
        found = f"{one.found} (block luck ±{luck:.2f})"
        findings[str(row.span)] = replace(one, found=found, numbers={**one.numbers, "luck": luck})
    return _stated_and_others(findings)


def _price_change(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:
    """From the close of the halving's day to every day of the month of publication (its day is not known)."""
    halving = _halving_month(evidence, said)
    daily = evidence.until(said.last)
    row = _halving_in(evidence, halving)
    if row is None:
        return cannot_be_tested("the halving it counts from is not known")
    day = daily.index[int((daily["blocks"].cumsum() >= row["height"]).to_numpy().argmax())]
    change = 100 * (daily["price_usd"][daily.index >= said.first] / daily["price_usd"][day] - 1)
    claim_range = claimed_range(claim)
    what = f"from the halving to the days of {said}, change"
    stated = judge_range((float(change.min()), float(change.max())), claim_range, ROUNDING, what, "%")
    fit = int(
        change.between(*(end * (1 + sign * ROUNDING) for end, sign in zip(claim_range, (-1, 1), strict=True))).sum()
    )
    stated = replace(stated, found=f"{stated.found}, inside on {fit} of {len(change)} days")
    others = {}
    for name, times in growth(daily.reset_index(), spans(said, halving)).set_index("span")["price"].items():
        means = 100 * (float(times) - 1)
        others[str(name)] = judge_range((means, means), claim_range, ROUNDING, "change of means", "%")
    return judge_readings(stated, others)


def _shutdown_price(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:
    """Some miners: one pair of rig and power price is enough; if only at all-in costs, partly (that is no shutdown)."""
    table = evidence.shutdown
    if table is None or table.empty:
        return cannot_be_tested(f"no shutdown price was computed for {said}")
    findings = {
        str(basis): judge_some(
            rows["shutdown_price_usd"].tolist(), claimed_range(claim), ROUNDING, "pairs of rig and power price", "USD"
        )
        for basis, rows in table.groupby("basis", sort=False)
    }
    holds = {basis for basis, finding in findings.items() if finding.verdict is Verdict.CONFIRMED}
    verdict = Verdict.CONFIRMED if holds - {"all-in"} else Verdict.PARTLY if holds else Verdict.CONTRADICTED
    return Finding(
        verdict,
        "; ".join(f"{basis} cost: {finding.found}" for basis, finding in findings.items()),
        "“some” asks for one pair at least; if only at all-in cost, partly",
        {f"{basis}, {name}": n for basis, finding in findings.items() for name, n in finding.numbers.items()},
    )


def _hashrate_record(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:  # noqa: ARG001
    """The highest mean up to the end of the period must be fresh: set in the month itself or the one before."""
    means = rolling_means(evidence.until(said.last)["hashrate_ehs"])
    tops = {name: series.index[int(np.nanargmax(series))] for name, series in means.items()}
    heights = " and ".join(f"{means[name][day]:,.0f}" for name, day in tops.items())
    return judge_days(tops, _fresh(said), f"highest so far, {heights} EH/s")


def _difficulty_record(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:  # noqa: ARG001
    """The highest difficulty up to the end of the period must have come into force in the month or the one before."""
    known = evidence.retargets[evidence.retargets["date"] <= min(said.last, evidence.end)]
    top = known.iloc[int(known["difficulty"].to_numpy().argmax())]
    return judge_days({f"{top['difficulty'] / 1e12:,.1f} T": top["date"]}, _fresh(said), "highest so far, from")


def _fresh(said: Period) -> Period:
    return Period(said.first - pd.DateOffset(months=1), said.last)


def _halving_month(evidence: HalvingEvidence, said: Period) -> Period:
    """The month of the last halving before the end of a period."""
    times = evidence.halvings["block_time_utc"]
    return _month(times[times <= said.last].max())


def _stated_and_others(findings: dict[str, Finding]) -> Finding:
    """The first reading is the stated one."""
    (name, stated), *others = findings.items()
    return judge_readings(replace(stated, found=f"{name}: {stated.found}"), dict(others))


_RULES = {  # quantity of the claim: the rule, and whether what has happened stays true (so that it can be said early)
    "halving_date": (_halving_date, True),
    "block_subsidy_before_btc": (_subsidy, True),
    "block_subsidy_after_btc": (_subsidy, True),
    "network_hashrate_ehs": (_level_passed, True),
    "hashrate_ratio_to_previous_april": (_hashrate_ratio, False),
    "btc_price_change_pct": (_price_change, False),
    "shutdown_price_usd_per_btc": (_shutdown_price, False),
    "network_hashrate_record_ehs": (_hashrate_record, True),
    "difficulty_record": (_difficulty_record, True),
}


# ---------------------------------------------------------------- the claims on equity

LOOKBACKS = (1, 2, 3, 6, 9, 12)  # months; the spans over which gains are commonly quoted, beside the year to date
YEAR_TO_DATE = "year to date"
SEVERAL = 3.0  # "several times over" asks for more than a doubling
CUT_BY_HAND = ("ABTC", "BTBT", "BTDR", "CEG", "CIFR", "WULF")  # the table's card: blanked before listing or merger
_SECURITIES = {"IREN": "IREN", "Core Scientific": "CORZ", "American Bitcoin": "ABTC"}


@dataclass(frozen=True)
class EquityEvidence:
    """What the claims on equity are held against. Everything after `as_of` is ignored.

    returns      : simple daily total returns by trading day, a column a security (table equity_returns_daily)
    fundamentals : table fundamentals_quarterly
    miners       : the shares that stand for the miners where a claim names none, columns of `returns`
    as_of        : last day known
    """

    returns: pd.DataFrame
    fundamentals: pd.DataFrame
    miners: Sequence[str]
    as_of: pd.Timestamp

    @property
    def end(self) -> pd.Timestamp:
        """The last day known: as_of, or the last trading day of the table if that comes first."""
        return pd.Timestamp(min(self.as_of, self.returns.index[-1]))

    @property
    def known(self) -> pd.DataFrame:
        """The returns up to the last day known."""
        return self.returns[: self.end]


def equity_findings(claims: pd.DataFrame, evidence: EquityEvidence) -> dict[str, Finding]:
    """A finding, by claim_id, for each claim on equity, and for listings that the returns date; others are left out.

    Figures of gain "since the beginning of the year" are judged together: one article, one table, one window.
    """
    figures = claims[claims["quantity"] == "ytd_return_pct"]
    quoted = {str(claim["scope"]): claimed_range(claim)[0] for _, claim in figures.iterrows()}
    dated = claims["data_tables"].fillna("").str.contains("equity_returns_daily")
    rules: dict[str, Callable[[pd.Series[str], Period], Finding]] = {
        "ytd_return_pct": lambda claim, said: _year_to_date(claim, said, evidence, quoted),
        "ytd_price_multiple": lambda claim, said: _several_times(claim, said, evidence),
        "listing_year": lambda claim, said: _listed(claim, said, evidence),
        "listing_date": lambda claim, said: _listed(claim, said, evidence),
    }
    findings = {}
    for (_, claim), usable in zip(claims.iterrows(), dated, strict=True):
        if usable and claim["quantity"] in rules:
            rule = partial(rules[claim["quantity"]], claim)
        elif claim["subject"] == "equity":
            rule = partial(_what_came, claim, evidence=evidence)
        else:
            continue
        findings[claim["claim_id"]] = _judge(claim, evidence.end, rule)
    return findings


def gains(
    returns: pd.DataFrame, tickers: Sequence[str], ends: pd.DatetimeIndex, months: Sequence[int] = LOOKBACKS
) -> pd.DataFrame:
    """Gains over the spans in which they are commonly quoted: one row an end and a span.

    returns : simple daily returns by trading day; ends : trading days; months : lengths beside the year to date
    Columns: window (its name), start (the trading day at whose close it begins: the last of the year before, or the
    last on or before the same day so many months earlier), end, then a ticker each: gain in percent, missing where it
    was not listed at the start. Spans that begin before the data are left out.

    >>> days = pd.bdate_range("2024-12-30", "2025-01-31")
    >>> made = gains(pd.DataFrame({"A": 0.01}, days), ["A"], days[-1:], months=[1])
    >>> made["window"].tolist(), made["A"].round(2).tolist()
    (['year to date', '1 month'], [25.72, 25.72])
    """
    spans_back = {YEAR_TO_DATE: [pd.Timestamp(end.year - 1, 12, 31) for end in ends]}
    for k in months:
        spans_back[f"{k} month{'s' if k > 1 else ''}"] = [end - pd.DateOffset(months=k) for end in ends]
    made = pd.concat(
        [pd.DataFrame({"window": name, "since": since, "end": ends}) for name, since in spans_back.items()]
    )
    days, worth = pd.DatetimeIndex(returns.index), returns[list(tickers)].add(1).cumprod().to_numpy(dtype=float)
    place = days.searchsorted(made["since"], side="right") - 1
    made, place = made[place >= 0].reset_index(drop=True), place[place >= 0]
    gained = 100 * (worth[days.get_indexer(pd.DatetimeIndex(made["end"]))] / worth[place] - 1)
    made.insert(1, "start", days[place])
    return made.drop(columns="since").join(pd.DataFrame(gained, made.index, list(tickers)))


def furthest(gained: pd.DataFrame, quoted: Mapping[str, float]) -> "pd.Series[float]":
    """How far each row of `gains` is from the figures quoted, at the worst of them, as a share of the figure."""
    figures = pd.Series(quoted)
    return (gained[list(quoted)] / figures - 1).abs().max(axis=1, skipna=False)


def chance_of_a_window(
    gained: pd.DataFrame, quoted: Mapping[str, float], draws: int, rng: np.random.Generator
) -> float:
    """How often figures that share no window come as near to one of the windows tried as the quoted ones do.

    A draw takes for each security the gain of a row of its own (`gains`). Near is the smallest over rows of the largest
    over securities of |ln(1 + gain) - ln(1 + figure)|. The p-value is (1 + draws at least as near) / (1 + draws).
    """
    rows = np.log1p(gained[list(quoted)].dropna().to_numpy(dtype=float) / 100)
    figures = np.log1p(np.array(list(quoted.values())) / 100)
    made = np.take_along_axis(rows, rng.integers(0, len(rows), (draws, len(figures))), axis=0)
    near = np.abs(rows - np.vstack([figures, made])[:, None]).max(axis=2).min(axis=1)
    return float((1 + (near[1:] <= near[0]).sum()) / (1 + draws))


def quoting_days(said: Period, returns: pd.DataFrame) -> pd.DatetimeIndex:
    """The trading days on which a figure of gain may have been taken: of the month of publication or the one before."""
    fresh = _fresh(said)
    return pd.DatetimeIndex(returns[fresh.first : fresh.last].index)


def common_window(gained: pd.DataFrame, quoted: Mapping[str, float]) -> pd.DataFrame:
    """The row of `gains` that fits all figures within `ROUNDING`, the one that fits best; no row where none does.

    The year to date is not among them: it is the reading that is judged.
    """
    others = gained[gained["window"] != YEAR_TO_DATE]
    off = furthest(others, quoted)
    return others[(off == off.min()) & (off <= ROUNDING)].head(1)


def _year_to_date(
    claim: "pd.Series[str]", said: Period, evidence: EquityEvidence, quoted: Mapping[str, float]
) -> Finding:
    """The gain of the year on the day on which it comes nearest to the figure; beside it the window that fits all."""
    ticker, figure = str(claim["scope"]), claimed_range(claim)
    gained = gains(evidence.known, list(quoted), quoting_days(said, evidence.known))
    year = gained[gained["window"] == YEAR_TO_DATE]
    off = (year[ticker] - figure[0]).abs()
    near, shared = year[off == off.min()].head(1), common_window(gained, quoted)

    def readings(rows: pd.DataFrame) -> dict[str, Finding]:
        names = [f"{w} from {a:%Y-%m-%d} to {b:%Y-%m-%d}" for w, a, b in rows[["window", "start", "end"]].to_numpy()]
        return {
            name: judge_range((gain, gain), figure, ROUNDING, "gain", "%")
            for name, gain in zip(names, rows[ticker].to_numpy(dtype=float), strict=True)
        }

    ((name, stated),) = readings(near).items()
    return judge_readings(replace(stated, found=f"{name}, where it comes nearest: {stated.found}"), readings(shared))


def _several_times(claim: "pd.Series[str]", said: Period, evidence: EquityEvidence) -> Finding:
    """The multiple of the start of the year, for each share at its best day of the month of publication."""
    tickers = [ticker.strip() for ticker in str(claim["scope"]).split(",")]
    days = pd.DatetimeIndex(evidence.known[said.first : said.last].index)
    best = 1 + gains(evidence.known, tickers, days, months=())[tickers].max() / 100
    what = "from the start of the year to the best day of " + str(said) + ", times: "
    finding = judge_range((float(best.min()), float(best.max())), (SEVERAL, np.inf), 0.0, what, digits=1)
    listed = ", ".join(f"{ticker} {times:.1f}" for ticker, times in best.items())
    return replace(finding, found=what + listed, why=f"“several times” asks for {SEVERAL:g} at least, of each share")


def listing_days(returns: pd.DataFrame) -> "pd.Series[pd.Timestamp]":
    """The day of the first close of each security: the trading day before its first return; NaT if it was there before.

    >>> days = pd.bdate_range("2024-01-01", periods=3)
    >>> found = listing_days(pd.DataFrame({"A": [np.nan, np.nan, 0.1], "B": 0.0}, days))
    >>> str(found["A"].date()), bool(pd.isna(found["B"]))
    ('2024-01-02', True)
    """
    days = pd.DatetimeIndex(returns.index)
    first = {name: int(series.notna().to_numpy().argmax()) for name, series in returns.items() if series.notna().any()}
    return pd.Series({name: days[at - 1] if at else pd.NaT for name, at in first.items()}, dtype="datetime64[ns]")


def _listed(claim: "pd.Series[str]", said: Period, evidence: EquityEvidence) -> Finding:
    """The day of the first close; a company that came back is two securities."""
    security = _SECURITIES.get(str(claim["scope"]), "")
    if security == "CORZ" and "relisted" not in claim["claim_en"]:
        security = "CORZ_OLD"
    day = listing_days(evidence.known).get(security)
    if security in CUT_BY_HAND or day is None or pd.isna(day):
        why = "was cut by hand at its listing" if security in CUT_BY_HAND else "has no first day in the table"
        return cannot_be_tested(f"the record of {security or claim['scope']} {why}")
    return judge_days({security: day}, said, "first close")


def _what_came(claim: "pd.Series[str]", said: Period, evidence: EquityEvidence) -> Finding:
    """What states no figure gets no verdict, but what came is said: of the typical miner, over the time that the claim
    speaks of where that is longer than a month, else after publication; of revenue too where the claim speaks of it."""
    reason = "is an opinion or expectation" if claim["test_kind"] == "opinion" else "states no figure"
    finding = cannot_be_tested(f"{reason}, which no data can meet or miss; beside it stands what came")
    appeared = published(claim["article"]) or said
    first, last = appeared.last + pd.Timedelta(days=1), evidence.end
    if said.last - said.first > pd.Timedelta(days=31):
        first, last = said.first, min(said.last, evidence.end)
    after = evidence.known.loc[first:last, list(evidence.miners)].dropna(axis=1)
    if len(after) < 2 or not len(after.columns):
        return finding
    worth = (1 + after).cumprod().to_numpy()
    gain = float(np.median(worth[-1])) - 1
    fall = float(np.median((1 - worth / np.maximum.accumulate(np.maximum(worth, 1.0))).max(axis=0)))
    found = (
        f"{len(after.columns)} miner{'s' if len(after.columns) > 1 else ''} "
        f"from {after.index[0]:%Y-%m-%d} to {after.index[-1]:%Y-%m-%d}: median gain "
        f"{'−' if gain < 0 else '+'}{abs(gain):.0%}, median deepest fall {fall:.0%}"
    )
    numbers = {"gain": gain, "fall": fall}
    earned = revenue_ratios(evidence.fundamentals, list(after.columns), first, last)
    if "revenue" in claim["claim_en"] and len(earned):
        numbers["revenue"] = float(np.median(earned))
        found += (
            "; revenue, their latest quarter of that time to the same a year before: rose in "
            f"{int((earned > 1).sum())} of the {len(earned)} with both, median {numbers['revenue']:.2f} times"
        )
    return replace(finding, found=found, numbers=numbers)


def revenue_ratios(
    fundamentals: pd.DataFrame, tickers: Sequence[str], first: pd.Timestamp, last: pd.Timestamp
) -> "pd.Series[float]":
    """Revenue of each company's latest quarter that ends in first..last, over that of the same quarter a year before.

    fundamentals : table fundamentals_quarterly. Index: the tickers that have a quarter with both; others are left out.

    >>> ends = pd.to_datetime(["2024-03-31", "2024-06-30", "2025-03-31"])
    >>> rows = pd.DataFrame({"ticker": "A", "period_end": ends, "revenue_usd_m": [10.0, 30.0, 15.0]})
    >>> revenue_ratios(rows, ["A", "B"], pd.Timestamp("2025-01-01"), pd.Timestamp("2025-12-31")).to_dict()
    {'A': 1.5}
    """
    known = fundamentals[fundamentals["ticker"].isin(list(tickers))].dropna(subset=["revenue_usd_m"])
    known = known.assign(quarter=pd.PeriodIndex(known["period_end"], freq="Q"))
    earlier = known.assign(quarter=known["quarter"] + 4)
    both = known.merge(earlier, on=["ticker", "quarter"], suffixes=("", "_before"))
    both = both[both["period_end"].between(first, last)].sort_values("period_end").groupby("ticker").tail(1)
    return (both["revenue_usd_m"] / both["revenue_usd_m_before"]).set_axis(both["ticker"]).sort_index()
