"""Returns on one clock: shares, funds, bitcoin and factors over the same periods, in excess of the bill.

Frames are indexed by date (days on which New York trades), a column per ticker, returns in fractions of one; NaN means
not listed, or not known. Bitcoin trades around the clock and shares do not: `on_clock` is the one place where returns
of a finer clock are compounded to a coarser one, over weekends and holidays as over weeks and months. Three bitcoin
series are known by the clock they keep (`CLOCKS`). Pure functions; bad input raises `Refusal`.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
import pandas as pd

from wattshift.refusal import Refusal

Frequency = Literal["daily", "weekly", "monthly"]
Kind = Literal["simple", "log"]
Clock = Literal["us-close", "utc", "fund"]
Frame = TypeVar("Frame", pd.DataFrame, "pd.Series[float]")

PERIODS_PER_YEAR: Mapping[str, int] = {"daily": 252, "weekly": 52, "monthly": 12}
CLOCKS: Mapping[str, tuple[str, ...]] = {  # clock -> columns of the table; the first that is known on a day counts
    "us-close": ("BTC_USCLOSE",),  # bitcoin itself, the last hourly bar before the close in New York
    "utc": ("BTC_USD_UTC",),  # bitcoin itself at 00:00 UTC of the next day, three or four hours later
    "fund": ("IBIT", "BITO"),  # what a share account could hold: the spot fund, before it the futures fund
}
PRICED: Mapping[str, str] = {"market": "SPY", "nasdaq": "QQQ"}  # factor -> the fund that stands for it
FACTORS: Mapping[str, str] = {"MKT_RF": "market_ff", "SMB": "size", "HML": "value"}  # column of the table -> factor
FEWEST = 30  # periods that every share needs, unless told otherwise
BILL_DAYS = 91  # life of a 13-week bill
DISCOUNT_YEAR = 360  # days of the year by which its discount is quoted


# --------------------------------------------------------------------------------------------------------------- clocks
def on_clock(returns: Frame, ends: pd.DatetimeIndex) -> Frame:
    """Simple returns compounded from a finer clock to a coarser one.

    returns : simple returns by date, each over the step from the row before
    ends    : where the periods of the coarser clock end, every one of them a row of `returns`

    Gives for each end but the first the product of (1 + r) over all rows after the end before it, less one: of a 24/7
    price on trading days, Monday holds Saturday, Sunday and Monday. A period with a missing return is missing whole.

    >>> friday_on = pd.Series([0.0, 0.1, -0.1, 0.2], pd.date_range("2026-01-02", periods=4))
    >>> on_clock(friday_on, friday_on.index[[0, 3]]).round(3).tolist()  # 1.1 x 0.9 x 1.2 - 1, on Monday
    [0.188]
    """
    for name, index in (("returns", returns.index), ("ends", ends)):
        if not (isinstance(index, pd.DatetimeIndex) and index.is_monotonic_increasing and index.is_unique):
            raise Refusal(f"the dates of {name} must rise, each day once.")
    places = returns.index.get_indexer(ends)
    if (places < 0).any():
        raise Refusal(f"there is no return on {ends[places < 0][0]:%Y-%m-%d}, where a period should end.")
    if len(ends) < 2:
        raise Refusal(f"{len(ends)} ends of periods are given; a return needs two.")
    grown = np.multiply.reduceat(1 + returns.to_numpy(float)[places[0] + 1 : places[-1] + 1], places[:-1] - places[0])
    kept = returns.iloc[places[1:]].astype(float)
    kept[:] = grown - 1
    return kept


def period_ends(days: pd.DatetimeIndex, frequency: Frequency) -> pd.DatetimeIndex:
    """The trading days on which periods end: every day; the last one to each Wednesday; the last one of each month.

    A week or month that the days do not finish has no end.

    >>> days = pd.bdate_range("2026-06-01", "2026-07-15").drop("2026-07-08")  # a Wednesday without trading
    >>> period_ends(days, "weekly")[-2:].strftime("%m-%d").tolist()
    ['07-07', '07-15']
    >>> period_ends(days, "monthly").strftime("%m-%d").tolist()
    ['06-30']
    """
    among(frequency, get_args(Frequency), "frequency")
    if frequency == "daily" or not len(days):
        return days
    first, last = days[0], days[-1] + pd.Timedelta(days=7)
    anchors = pd.date_range(first, last, freq="W-WED" if frequency == "weekly" else "BME")
    anchors = anchors[anchors <= days[-1]]
    return pd.DatetimeIndex(days[np.unique(days.searchsorted(anchors, side="right") - 1)])


def bitcoin(table: pd.DataFrame, clock: Clock) -> "pd.Series[float]":
    """Simple returns of bitcoin on trading days by one of the `CLOCKS`; NaN where that clock is silent."""
    among(clock, tuple(CLOCKS), "clock")
    first, *rest = CLOCKS[clock]
    chosen = table[first]
    for column in rest:
        chosen = chosen.fillna(table[column])
    return chosen.rename("bitcoin")


# --------------------------------------------------------------------------------------------- the bill and the factors
def bill_returns(discount: "pd.Series[float]") -> "pd.Series[float]":
    """What a 13-week bill earned since the trading day before, by its yield on that day, as a simple return.

    discount : yield on a bank-discount basis by trading day, percent a year

    A bill that pays 1 in 91 days costs P = 1 - d 91/360 (US Treasury, 31 CFR 356, appendix B); held for n calendar days
    at an unchanged yield it earns (1/P)^(n/91) - 1. The yield of the day before is used, for it was known when the
    period began; so the first day has none.

    >>> rates = pd.Series([5.0, 4.0], pd.DatetimeIndex(["2026-01-02", "2026-01-05"]))  # three calendar days
    >>> bill_returns(rates).round(8).tolist()
    [nan, 0.00041941]
    """
    price = 1 - discount / 100 * BILL_DAYS / DISCOUNT_YEAR
    if (price <= 0).any():
        raise Refusal(f"a discount of {discount.max():g} per cent a year leaves no price of a {BILL_DAYS}-day bill.")
    held = discount.index.to_series().diff().dt.days
    earned: pd.Series[float] = price.shift() ** (-held / BILL_DAYS) - 1
    return earned.rename("bill")


def basket(returns: pd.DataFrame, tickers: Sequence[str]) -> "pd.Series[float]":
    """Equal weights in these tickers, restored each period: the mean of their simple returns.

    NaN on a day on which one of them has no return: a basket that changes what it holds could break by that alone.
    """
    check_tickers(tickers, returns.columns, "basket")
    return returns[list(tickers)].mean(axis=1, skipna=False).rename("basket")


def without(series: "pd.Series[float]", others: pd.DataFrame) -> "pd.Series[float]":
    """The series less what moves with others: y - (X - mean X) b by least squares with a constant over common days.

    The mean of y stays, so that only slopes are taken out. By the theorem of Frisch, Waugh and Lovell a regression on
    X and the result has the same fit, the same slope on y and the same slopes on columns that are not in `others`; the
    slopes on `others` then count all that moves with them.
    """
    both = pd.concat([series, others], axis=1).dropna()
    if len(both) < FEWEST:
        raise Refusal(
            f"{series.name} and {', '.join(map(str, others))} have {len(both)} days in common; {FEWEST} are needed."
        )
    y, x = both.iloc[:, 0], both.iloc[:, 1:]
    centred = x - x.mean()
    if np.linalg.matrix_rank(centred / (x.abs().max() + np.finfo(float).tiny), tol=1e-10) < x.shape[1]:
        raise Refusal(f"{' and '.join(map(str, x))} move as one or not at all, so nothing can be taken out by them.")
    slopes = np.linalg.lstsq(centred.to_numpy(), y.to_numpy(), rcond=None)[0]
    left: pd.Series[float] = y - centred.to_numpy() @ slopes
    if left.std() <= 1e-9 * y.std():
        raise Refusal(f"{series.name} is made of {' and '.join(map(str, x))}: nothing is left once that is taken out.")
    return left.reindex(series.index)


# ----------------------------------------------------------------------------------------------------------- the sample
@dataclass(frozen=True)
class Sample:
    """Shares and factors over the same periods of one clock.

    shares  : returns in excess of the bill, a column per ticker
    factors : market, bitcoin, nasdaq and ai in excess of the bill; market_ff, size, value: French's own
    bill    : what the bill earned over the same periods
    """

    shares: pd.DataFrame
    factors: pd.DataFrame
    bill: "pd.Series[float]"


def sample(
    table: pd.DataFrame,
    factor_table: pd.DataFrame,
    tickers: Sequence[str],
    start: str | pd.Timestamp,
    end: str | pd.Timestamp,
    *,
    frequency: Frequency = "daily",
    kind: Kind = "simple",
    clock: Clock = "us-close",
    ai_basket: Sequence[str] = ("NVDA",),
    orthogonal_ai: bool = False,
    fewest: int = FEWEST,
    called: str = "tickers",
) -> Sample:
    """Shares and factors between two days (both included), on one clock, in excess of the bill.

    table        : simple daily returns by date, a column per ticker, fractions (equity_returns_daily)
    factor_table : MKT_RF, SMB, HML in percent a day and TBILL_13W in percent a year, by the same dates (factors_daily)
    frequency    : the periods, by compounding (factors too, as if held); kind : simple or log
    clock        : which bitcoin; ai_basket : equal weights in these; orthogonal_ai : less what moves with nasdaq
    fewest       : periods that each share must have; called : what a refusal calls the list of tickers

    Raises Refusal for a ticker, clock, frequency or kind that is not known, for days in the wrong order or too few of
    them, and for a share with too few periods.
    """
    among(kind, get_args(Kind), "kind of return")
    check_tickers(tickers, table.columns, called)
    check_tickers(ai_basket, table.columns, "AI basket")
    coins = [name for name in ai_basket if any(name in columns for columns in CLOCKS.values())]
    if coins:
        raise Refusal(f"AI basket: {coins[0]} is bitcoin; the basket holds what stands for AI.")
    priced = pd.concat([bitcoin(table, clock), basket(table, ai_basket).rename("ai")], axis=1)
    for factor, fund in PRICED.items():
        priced[factor] = table[fund]
    free = factor_table[list(FACTORS)].rename(columns=dict(FACTORS)) / 100
    everything = pd.concat([table[list(tickers)], priced, free, bill_returns(factor_table["TBILL_13W"])], axis=1)
    everything = window(everything, start, end)
    days = f"{everything.index[0]:%Y-%m-%d} to {everything.index[-1]:%Y-%m-%d}"
    for name in ai_basket:
        if table.loc[everything.index, name].isna().any():
            raise Refusal(
                f"AI basket: {name} is known {_span(table[name])} and the window runs from {days}; choose days that it "
                "covers, or drop it."
            )
    if frequency != "daily":
        everything = on_clock(everything, period_ends(pd.DatetimeIndex(everything.index), frequency))
    if kind == "log":
        everything = everything.apply(np.log1p)
    shares, bill = everything[list(tickers)], everything["bill"]
    shares = shares.sub(bill, axis=0)
    have = shares.notna().sum()
    if have.min() < fewest:
        short, rest = str(have.idxmin()), ", ".join(map(str, have.index[have >= fewest]))
        raise Refusal(
            f"{short} has {have.min()} {frequency} returns from {pd.Timestamp(start):%Y-%m-%d} to "
            f"{pd.Timestamp(end):%Y-%m-%d}; at least {fewest} are needed"
            + (f": leave it out, {called}=[{rest}]." if rest else ".")
        )
    factors = pd.concat([everything[list(priced)].sub(bill, axis=0), everything[list(FACTORS.values())]], axis=1)
    if factors["bitcoin"].count() < fewest:
        raise Refusal(
            f"bitcoin ({', '.join(CLOCKS[clock])}) is known on {factors['bitcoin'].count()} of these periods, at least "
            f"{fewest} are needed; the table has it {_span(priced['bitcoin'])}."
        )
    if orthogonal_ai:
        factors["ai"] = without(factors["ai"], factors[["nasdaq"]])
    return Sample(shares, factors, bill)


def _span(series: "pd.Series[float]") -> str:
    known = series.dropna().index
    return f"from {known[0]:%Y-%m-%d} to {known[-1]:%Y-%m-%d}" if len(known) else "on no day"


def window(frame: Frame, start: str | pd.Timestamp, end: str | pd.Timestamp, fewest: int = FEWEST) -> Frame:
    """The rows from one day to another, both included; Refusal if they are fewer than `fewest`."""
    first, last = pd.Timestamp(start), pd.Timestamp(end)
    if first >= last:
        raise Refusal(f"the window runs from {first:%Y-%m-%d} to {last:%Y-%m-%d}; its start must lie before its end.")
    kept = frame.loc[first:last]
    if len(kept) < fewest:
        raise Refusal(
            f"from {first:%Y-%m-%d} to {last:%Y-%m-%d} there are {len(kept)} trading days; at least {fewest} are "
            f"needed (the table runs from {frame.index[0]:%Y-%m-%d} to {frame.index[-1]:%Y-%m-%d})."
        )
    return kept


# ------------------------------------------------------------------------------------------------ what is in the sample
def coverage(returns: pd.DataFrame, tickers: Sequence[str]) -> pd.DataFrame:
    """What there is of each ticker: a row per ticker, in the order given.

    Columns: first and last day with a return; days with one; missing (days without one between those two); zero (days
    on which the return is exactly 0: no trade, or a stale price) and zero_run (the most of them in a row); worst and
    best return with the day of each; growth, the product of (1 + r) over all its days.
    """
    check_tickers(tickers, returns.columns, "tickers")
    rows = []
    for ticker in tickers:
        series = returns[ticker].dropna()
        if series.empty:
            raise Refusal(f"{ticker} has no return between these days.")
        inside = returns.index[(returns.index >= series.index[0]) & (returns.index <= series.index[-1])]
        still = series == 0
        rows.append(
            {
                "ticker": ticker,
                "first": series.index[0],
                "last": series.index[-1],
                "days": len(series),
                "missing": len(inside) - len(series),
                "zero": int(still.sum()),
                "zero_run": int(still.groupby((~still).cumsum()).sum().max()),
                "worst": series.min(),
                "worst_day": series.idxmin(),
                "best": series.max(),
                "best_day": series.idxmax(),
                "growth": total_return(series).iloc[-1],
            }
        )
    return pd.DataFrame(rows).set_index("ticker")


def beside(returns: pd.DataFrame, benchmarks: pd.DataFrame) -> pd.DataFrame:
    """Each share's way beside others over the days of its own: a row per column of `returns`.

    Simple daily returns in both, by the same dates. Columns: first and last day; growth of the share, and of each
    benchmark over just those days (what 1 became); volatility (standard deviation of a day's return times the root of
    252, per year); drawdown (the deepest fall from an earlier high, or from the start, as a share of it).

    >>> days = pd.date_range("2026-01-02", periods=3)
    >>> shares = pd.DataFrame({"A": [np.nan, 0.5, -0.5]}, days)
    >>> way = beside(shares, pd.DataFrame({"coin": [1.0, 0.1, 0.1]}, days))
    >>> way[["growth", "coin", "drawdown"]].round(2).to_numpy().tolist()
    [[0.75, 1.21, 0.5]]
    """
    rows = {}
    for ticker in returns:
        series = returns[ticker].dropna()
        path = total_return(series)
        high = path.cummax().clip(lower=1)
        rows[ticker] = {
            "first": series.index[0],
            "last": series.index[-1],
            "growth": path.iloc[-1],
            **total_return(benchmarks.loc[series.index]).iloc[-1],
            "volatility": series.std() * np.sqrt(PERIODS_PER_YEAR["daily"]),
            "drawdown": (1 - path / high).max(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("ticker")


def total_return(returns: Frame) -> Frame:
    """What 1 put in on the eve of the first return is worth at the end of each day, dividends put back in.

    >>> total_return(pd.Series([0.5, -0.5], pd.date_range("2026-01-02", periods=2))).tolist()
    [1.5, 0.75]
    """
    return (1 + returns).cumprod()


# ---------------------------------------------------------------------------------------------------------------- names
def check_tickers(
    tickers: Sequence[str], known: Iterable[str], what: str = "tickers", where: str = "the table"
) -> None:
    """Refusal unless every ticker is a known one, each given once; the nearest known one is named.

    >>> check_tickers(["IREN", "MARRA"], ["IREN", "MARA"])
    Traceback (most recent call last):
    wattshift.refusal.Refusal: tickers: there is no 'MARRA' in the table; did you mean MARA?
    """
    if isinstance(tickers, str) or not len(tickers):
        raise Refusal(f"{what}: give at least one ticker, as a list.")
    names = [str(name) for name in known]
    for place, ticker in enumerate(tickers):
        if ticker in tickers[:place]:
            raise Refusal(f"{what}: {ticker} is given twice.")
        if ticker not in names:
            near = difflib.get_close_matches(str(ticker).upper(), names, n=1, cutoff=0.0)
            raise Refusal(f"{what}: there is no {str(ticker)[:30]!r} in {where}; did you mean {near[0]}?")


def check_apart(tickers: Sequence[str], others: Sequence[str], what: str, where: str) -> None:
    """Refusal for a ticker that stands in both lists.

    >>> check_apart(["IREN"], ["IREN", "MARA"], "placebo", "tickers")
    Traceback (most recent call last):
    wattshift.refusal.Refusal: placebo: IREN is one of the tickers too; take it out of one of the two lists.
    """
    both = [name for name in tickers if name in others]
    if both:
        raise Refusal(f"{what}: {both[0]} is one of the {where} too; take it out of one of the two lists.")


def among(value: str, allowed: Sequence[str], what: str) -> None:
    """Refusal unless the value is one of those allowed."""
    if value not in allowed:
        raise Refusal(f"{what}: {str(value)[:30]!r} is not known; allowed is one of {', '.join(allowed)}.")
