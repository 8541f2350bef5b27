"""What the articles say about shares of miners, and the verdict that returns and results give.

The rules and the five verdicts are those of `wattshift.claims`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from wattshift.claims import (
    ROUNDING,
    Finding,
    Period,
    cannot_be_tested,
    claimed_range,
    fresh,
    judge_days,
    judge_in_time,
    judge_range,
    judge_readings,
    published,
)

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
        findings[claim["claim_id"]] = judge_in_time(claim, evidence.end, rule)
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
    span = fresh(said)
    return pd.DatetimeIndex(returns[span.first : span.last].index)


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
