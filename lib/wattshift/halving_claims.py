"""What the articles say about halvings, and the verdict that the chain and the price give.

The rules and the five verdicts are those of `wattshift.claims`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from wattshift.claims import (
    ROUNDING,
    Finding,
    Period,
    Verdict,
    calendar_month,
    cannot_be_tested,
    claimed_range,
    fresh,
    judge_days,
    judge_in_time,
    judge_range,
    judge_readings,
    judge_some,
)

LUCK_WINDOWS = (7, 30)  # days; a single day's hashrate is luck (8.3 %), so means over these are judged


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
            findings[claim["claim_id"]] = judge_in_time(
                claim, evidence.end, partial(rule, claim, evidence=evidence), lasting
            )
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

    >>> from wattshift.claims import period
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

    >>> from wattshift.claims import period
    >>> [f"{a} to {b}" for a, b in spans(period("2025-11"), period("2024-04")).values()]
    ['April 2025 to November 2025', 'April 2024 to November 2025', 'April 2023 to April 2024']
    """
    year = publication.first.year - (publication.first.month <= 4)
    eve = calendar_month(halving.first - pd.DateOffset(years=1))
    april, before = (calendar_month(pd.Timestamp(y, 4, 1)) for y in (year, year - 1))
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
    return judge_days(tops, fresh(said), f"highest so far, {heights} EH/s")


def _difficulty_record(claim: "pd.Series[str]", said: Period, evidence: HalvingEvidence) -> Finding:  # noqa: ARG001
    """The highest difficulty up to the end of the period must have come into force in the month or the one before."""
    known = evidence.retargets[evidence.retargets["date"] <= min(said.last, evidence.end)]
    top = known.iloc[int(known["difficulty"].to_numpy().argmax())]
    return judge_days({f"{top['difficulty'] / 1e12:,.1f} T": top["date"]}, fresh(said), "highest so far, from")


def _halving_month(evidence: HalvingEvidence, said: Period) -> Period:
    """The month of the last halving before the end of a period."""
    times = evidence.halvings["block_time_utc"]
    return calendar_month(times[times <= said.last].max())


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
