"""The Davis double play: how much of a share's price move is revenue, and how much is what is paid for revenue.

A price is a product, so its logarithm is a sum, and a change of it splits without a remainder. With P the price, R the
company's revenue, S its shares, M = P S its market value and EV = M + net debt:

    d ln P = d ln R + d ln(P/R)                                        always, where revenue is known
           = d ln R - d ln S + d ln(M/R)                               where shares are known at both ends
           = d ln R - d ln S + d ln(EV/R) + d ln(M/EV)                 where net debt is known too, and EV > 0

The terms are revenue, dilution (minus the growth of the share count), the multiple, and the share of the enterprise
that belongs to shareholders. In the first line P/R holds the multiple and dilution unseparated, and is called so. A
*double play* (Davis & Davis: earnings and their multiple rise together) is both terms above zero. Net debt is debt less
cash and leaves bitcoin out, so EV here is gross of a company's coins: what it borrows to hold them moves the last two
terms against each other, while their sum, d ln(M/R), does not depend on it. Revenue is the base
because it is positive whatever the profit; the version on earnings exists only where they are positive at both ends
and is missing otherwise, since there is no logarithm of a loss.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wattshift.refusal import Refusal

FORMS = ("enterprise", "market", "price to revenue", "none")  # from the finest split to no split at all
PARTS = {  # the terms of each form; in every row they add to d ln P
    "enterprise": ("revenue", "dilution", "ev_multiple", "equity_share"),
    "market": ("revenue", "dilution", "multiple"),
    "price to revenue": ("revenue", "price_to_revenue"),
    "none": (),
}
_LEVELS = ("price_usd", "revenue_usd_m", "income_usd_m", "shares_m", "net_debt_usd_m")


def decompose(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Log change of price and its parts, row by row, from the levels before and after.

    before, after : rows in the same order with price_usd (USD per share), revenue_usd_m, income_usd_m, net_debt_usd_m
        (USD m) and shares_m (m shares, on the share basis of the price); all but the price may be missing
    Returns, in log points, a row each: price, revenue, price_to_revenue; dilution and multiple (shares at both ends);
    ev_multiple and equity_share (net debt at both ends too, and EV above zero); income and price_to_income (income
    above zero at both ends); form, the finest split that is complete. A part that cannot be computed is missing.
    Raises Refusal where the two have unlike lengths, lack a column, or a price is not positive.

    >>> one = pd.DataFrame({"price_usd": [10.0], "revenue_usd_m": [2.0], "income_usd_m": [-1.0], "shares_m": [np.nan],
    ...                     "net_debt_usd_m": [np.nan]})
    >>> parts = decompose(one, one.assign(price_usd=40.0, revenue_usd_m=4.0))
    >>> parts[["price", "revenue", "price_to_revenue"]].round(3).to_numpy().tolist(), parts["form"].tolist()
    ([[1.386, 0.693, 0.693]], ['price to revenue'])
    """
    lacking = sorted(set(_LEVELS) - (set(before.columns) & set(after.columns)))
    if lacking:
        raise Refusal(f"a split needs the columns {', '.join(_LEVELS)} at both ends; missing: {', '.join(lacking)}")
    if len(before) != len(after):
        raise Refusal(f"{len(before)} rows before and {len(after)} after cannot be paired; give one row each")
    start, end = ({name: rows[name].to_numpy(dtype=float) for name in _LEVELS} for rows in (before, after))
    if not all((level["price_usd"] > 0).all() for level in (start, end)):
        raise Refusal("a price is missing or not above zero; the logarithm of a price needs one that is")
    market = [level["price_usd"] * _positive(level["shares_m"]) for level in (start, end)]
    enterprise = [value + level["net_debt_usd_m"] for value, level in zip(market, (start, end), strict=True)]
    price = _log_change(start["price_usd"], end["price_usd"])
    revenue = _log_change(start["revenue_usd_m"], end["revenue_usd_m"])
    income = _log_change(start["income_usd_m"], end["income_usd_m"])
    multiple = _log_change(market[0], market[1]) - revenue
    ev_multiple = _log_change(enterprise[0], enterprise[1]) - revenue
    frame = pd.DataFrame(
        {
            "price": price,
            "revenue": revenue,
            "price_to_revenue": price - revenue,
            "dilution": price - revenue - multiple,
            "multiple": multiple,
            "ev_multiple": ev_multiple,
            "equity_share": multiple - ev_multiple,
            "income": income,
            "price_to_income": price - income,
        },
        index=after.index,
    )
    finest = [frame["ev_multiple"].notna(), frame["multiple"].notna(), frame["revenue"].notna()]
    return frame.assign(form=np.select(finest, FORMS[:3], FORMS[3]))


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > 0, values, np.nan)


def _log_change(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """d ln where both levels are above zero, else missing."""
    return np.asarray(np.log(_positive(after)) - np.log(_positive(before)), dtype=np.float64)


def quarters(fundamentals: pd.DataFrame, prices: pd.DataFrame, tolerance_days: int) -> pd.DataFrame:
    """What is known at each quarter end: one row a company and quarter, sorted, index 0, 1, ...

    fundamentals   : rows of the table fundamentals_quarterly; prices : rows of equity_quarter_end
    tolerance_days : a share count dated within so many days of the quarter's end is taken to hold at it; a date that
                     may stand for a whole month (its first day) counts with that month's farther end
    Columns: ticker, period_end, basis; price_usd (missing without a price in that calendar quarter); revenue_usd_m and
    income_usd_m of the quarter; revenue_year_usd_m, income_year_usd_m and basis_year of four quarters in a row, missing
    unless all four are known ("mixed" when their accounting differs); shares_m; shares_off_days (how far the count
    is from the quarter's end, days, also where it is too far to be used); net_debt_usd_m.
    Raises Refusal for a negative tolerance or an empty table.
    """
    if tolerance_days < 0:
        raise Refusal(f"the tolerance for share counts is {tolerance_days} days; give 0 or more, such as 45")
    if fundamentals.empty:
        raise Refusal("there is no quarterly result to split a price by; give rows of fundamentals_quarterly")
    table = fundamentals.sort_values(["ticker", "period_end"], ignore_index=True)
    quarter = pd.PeriodIndex(table["period_end"], freq="Q")
    by_quarter = prices.assign(quarter=pd.PeriodIndex(prices["date"], freq="Q")).set_index(["ticker", "quarter"])
    known = by_quarter["close_adj_usd"].reindex(pd.MultiIndex.from_arrays([table["ticker"], quarter])).to_numpy()
    days_off = _days_off(table["shares_as_of"], table["period_end"])
    frame = pd.DataFrame(
        {
            "ticker": table["ticker"],
            "period_end": table["period_end"],
            "basis": table["basis"],
            "price_usd": known,
            "revenue_usd_m": table["revenue_usd_m"].astype(float),
            "income_usd_m": table["net_income_usd_m"].astype(float),
            "shares_m": table["shares_outstanding_m"].astype(float).where(days_off <= tolerance_days),
            "shares_off_days": days_off,
            "net_debt_usd_m": table["net_debt_usd_m"].astype(float),
        }
    )
    number = quarter.year * 4 + quarter.quarter
    whole = pd.Series(number, frame.index).groupby(frame["ticker"]).diff(3) == 3  # this one and the three before it
    for name in ("revenue", "income"):
        sums = frame.groupby("ticker")[f"{name}_usd_m"].rolling(4).sum().reset_index(level=0, drop=True)
        frame[f"{name}_year_usd_m"] = sums.where(whole)
    same = pd.concat([frame.groupby("ticker")["basis"].shift(back) == frame["basis"] for back in (1, 2, 3)], axis=1)
    frame["basis_year"] = frame["basis"].where(same.all(axis=1), "mixed").where(whole)
    return frame


def _days_off(counted: "pd.Series[pd.Timestamp]", ends: "pd.Series[pd.Timestamp]") -> "pd.Series[float]":
    """Days between share counts and quarter ends; the first of a month may stand for the month: its farther end."""
    last = counted.where(counted.dt.day > 1, counted + pd.offsets.MonthEnd(0))
    away = pd.concat([(counted - ends).abs(), (last - ends).abs()], axis=1).max(axis=1)
    return pd.Series(away.dt.days, dtype=float)


def spans(table: pd.DataFrame, quarters_apart: int) -> pd.DataFrame:
    """The split of every price move over a number of quarters, and why it is no finer: a row a company and span.

    table          : as `quarters` gives it
    quarters_apart : length of a span, at least 1. Revenue is that of four quarters where both ends have it; else that
                     of one quarter, if the span is a number of whole years, so that like seasons are compared
    Columns: ticker, start, end; revenue_of ("four quarters", "one quarter" or missing); accounting (the basis, or "IFRS
    as first reported to US GAAP" where it changes: the revenue term is then partly bookkeeping); those of `decompose`;
    play; why (what keeps the split from being finer; empty where it is the finest).
    play: "double play" or "double loss" where revenue per share and its multiple go the same way, else "multiple" or
    "revenue" after the one that rose, "unknown" without a split. Where shares are unknown it is the company's revenue
    and price to revenue that are compared: a rise of revenue by x is one per share too only if shares grew by less.
    Raises Refusal when no company has two rows so far apart.
    """
    if quarters_apart < 1:
        raise Refusal(f"a span of {quarters_apart} quarters is no span; give 1 or more, such as 4 for a year")
    number = table["period_end"].dt.year * 4 + table["period_end"].dt.quarter
    keyed = table.assign(number=number)
    both = keyed.merge(
        keyed.assign(number=number + quarters_apart), on=["ticker", "number"], suffixes=("_after", "_before")
    ).dropna(subset=["price_usd_after", "price_usd_before"])
    if both.empty:
        raise Refusal(
            f"no company has results and prices {quarters_apart} quarters apart; the longest record has "
            f"{int(table.groupby('ticker').size().max())} rows"
        )
    both = both.sort_values(["ticker", "period_end_after"], ignore_index=True)
    year = both[["revenue_year_usd_m_before", "revenue_year_usd_m_after"]].notna().all(axis=1)
    one = both[["revenue_usd_m_before", "revenue_usd_m_after"]].notna().all(axis=1) & (quarters_apart % 4 == 0)
    ends, bases = [], []
    for side in ("before", "after"):
        levels = {name: both[f"{name}_{side}"] for name in _LEVELS}
        for name in ("revenue_usd_m", "income_usd_m"):
            of_year = both[f"{name.removesuffix('_usd_m')}_year_usd_m_{side}"]
            levels[name] = of_year.where(year, levels[name].where(one))
        ends.append(pd.DataFrame(levels))
        bases.append(both[f"basis_year_{side}"].where(year, both[f"basis_{side}"]))
    parts = decompose(*ends)
    same = bases[0] == bases[1]
    head = pd.DataFrame(
        {
            "ticker": both["ticker"],
            "start": both["period_end_before"],
            "end": both["period_end_after"],
            "revenue_of": pd.Series(np.select([year, one], ["four quarters", "one quarter"], "")).replace("", None),
            "accounting": bases[1].where(same, bases[0] + " to " + bases[1]),
        }
    )
    lacking = _lacking(parts["form"], *ends)
    return pd.concat([head, parts, pd.DataFrame({"play": _plays(parts), "why": lacking})], axis=1)


def _plays(parts: pd.DataFrame) -> list[str]:
    up = parts["revenue"] + parts["dilution"].fillna(0) > 0
    more = parts["multiple"].fillna(parts["price_to_revenue"]) > 0
    words = np.select([up & more, ~up & ~more, more], ["double play", "double loss", "multiple"], "revenue")
    return [str(word) for word in np.where(parts["form"] == "none", "unknown", words)]


def _lacking(forms: "pd.Series[str]", before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """For each row, what the next finer form lacks, in words."""
    needs = {
        "none": ("revenue_usd_m", "comparable revenue"),
        "price to revenue": ("shares_m", "share count near it"),
        "market": ("net_debt_usd_m", "net debt"),
    }
    reasons = []
    for row, form in enumerate(forms):
        column, words = needs.get(form, ("", ""))
        ends = [name for name, end in (("start", before), ("end", after)) if column and pd.isna(end[column].iloc[row])]
        unusable = f"{'enterprise value' if form == 'market' else words} not above zero" if column else ""
        reasons.append(f"no {words} at the {' and the '.join(ends)}" if ends else unusable)
    return reasons


def coverage(table: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """What each company's record allows: counts of quarters that have a thing, and of spans by form.

    table : as `quarters` gives it; split : as `spans` gives it
    Columns: ticker, quarters, priced, revenue, year_of_revenue, profit_year (four quarters with positive income),
    shares, net_debt, spans, then one column a name of FORMS. Counts.
    """
    group = table.groupby("ticker")
    has = {
        "priced": "price_usd", "revenue": "revenue_usd_m", "year_of_revenue": "revenue_year_usd_m",
        "shares": "shares_m", "net_debt": "net_debt_usd_m",
    }  # fmt: skip
    counts = pd.DataFrame({"quarters": group.size(), **{name: group[column].count() for name, column in has.items()}})
    counts.insert(4, "profit_year", (table["income_year_usd_m"] > 0).groupby(table["ticker"]).sum())
    forms = pd.crosstab(split["ticker"], split["form"]).reindex(index=counts.index, columns=list(FORMS), fill_value=0)
    counts["spans"] = forms.sum(axis=1)
    return counts.join(forms).rename_axis("ticker").rename_axis(None, axis=1).reset_index()


def distances(table: pd.DataFrame) -> set[int]:
    """How many quarters apart two priced quarter ends of one company lie in the table; empty where no company has two.

    >>> ends = pd.to_datetime(["2024-03-31", "2024-12-31", "2025-03-31"])
    >>> sorted(distances(pd.DataFrame({"ticker": "A", "period_end": ends, "price_usd": 1.0})))
    [1, 3, 4]
    """
    priced = table[table["price_usd"].notna()]
    number = priced["period_end"].dt.year * 4 + priced["period_end"].dt.quarter
    gaps = [np.subtract.outer(own.to_numpy(), own.to_numpy()) for _, own in number.groupby(priced["ticker"])]
    return {int(gap) for own in gaps for gap in np.unique(own[own > 0])}
