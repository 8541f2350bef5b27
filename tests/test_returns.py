"""Returns keep one clock: compounding by hand, bills by the Treasury's formulas, bitcoin of two publishers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattshift import data, returns
from wattshift.refusal import Refusal

MINERS = ("IREN", "MARA", "RIOT")
WINDOW = ("2021-01-05", "2026-07-24")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return data.load("equity_returns_daily").set_index("date")


@pytest.fixture(scope="module")
def factor_table() -> pd.DataFrame:
    return data.load("factors_daily").set_index("date")


def days(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(texts)


# --------------------------------------------------------------------------------------------------------------- clocks


def test_a_holiday_weekend_is_compounded_into_the_day_after_it():
    """Friday to Tuesday over Labor Day 2025: Saturday to Tuesday, 1.10 x 0.50 x 1.20 x 1.25 = 0.825."""
    coin = pd.Series([0.3, 0.1, -0.5, 0.2, 0.25, 0.4], pd.date_range("2025-08-29", periods=6))
    result = returns.on_clock(coin, days("2025-08-29", "2025-09-02", "2025-09-03"))
    assert result.tolist() == pytest.approx([-0.175, 0.4], abs=1e-15)
    assert result.index.equals(days("2025-09-02", "2025-09-03"))  # Friday's own return began before the first end


prices = st.lists(st.floats(0.01, 1e5), min_size=8, max_size=40)


@settings(max_examples=100, deadline=None)
@given(prices=prices, picks=st.sets(st.integers(0, 39), min_size=2), again=st.sets(st.integers(0, 39), min_size=2))
def test_compounding_telescopes_whatever_the_clocks(prices: list[float], picks: set[int], again: set[int]):
    """Prices know no clock: the return from end to end is the ratio of the prices there, in one step or in two."""
    price = pd.Series(prices, pd.date_range("2024-01-01", periods=len(prices)))
    places = sorted({0, len(prices) - 1} | {pick % len(prices) for pick in picks})
    coarser = sorted({places[0], places[-1]} | {places[pick % len(places)] for pick in again})
    fine = price.pct_change()
    once = returns.on_clock(fine, price.index[places])
    assert (once + 1).tolist() == pytest.approx((price.iloc[places] / price.iloc[places].shift()).iloc[1:].tolist())
    coarser = [place for place in coarser if place >= places[1]]  # the first end is where the first return begins
    if len(coarser) > 1:
        twice = returns.on_clock(once, price.index[coarser])
        pd.testing.assert_series_equal(twice, returns.on_clock(fine, price.index[coarser]), rtol=1e-9, check_freq=False)


def test_bitcoin_of_another_publisher_on_trading_days_is_the_table_s_bitcoin(table: pd.DataFrame):
    """Coin Metrics' price by calendar day, compounded over weekends and holidays, against Yahoo's closes."""
    price = data.load("btc_network_daily").set_index("date")["price_usd"]
    both = table.index[(table.index >= "2020-01-02") & (table.index <= price.index[-1])]
    mine = returns.on_clock(price.pct_change(), both)
    gap = mine - table["BTC_USD_UTC"]
    assert gap.abs().median() < 0.0015
    assert mine.corr(table["BTC_USD_UTC"]) > 0.99
    mondays = mine.index[mine.index.day_of_week == 0]
    thrown_away = price.pct_change()[mondays]  # Sunday to Monday alone, as if the weekend had not been
    assert (thrown_away - table["BTC_USD_UTC"][mondays]).abs().median() > 4 * gap[mondays].abs().median()


def test_a_period_with_a_missing_return_is_missing_whole_and_no_other():
    frame = pd.DataFrame({"a": [0.0, 0.1, np.nan, 0.1, 0.1], "b": 0.1}, pd.date_range("2024-01-01", periods=5))
    result = returns.on_clock(frame, frame.index[[0, 2, 4]])
    assert result["a"].isna().tolist() == [True, False]
    assert result.iloc[1].tolist() == pytest.approx([0.21, 0.21])


def test_weeks_end_on_wednesday_or_the_trading_day_before(table: pd.DataFrame):
    ends = returns.period_ends(table.loc["2021-01-05":"2026-07-24"].index, "weekly")
    odd = ends[ends.day_of_week != 2]  # Juneteenth, Christmas and New Year's Day of those years fell on a Wednesday
    assert odd.strftime("%Y-%m-%d").tolist() == ["2024-06-18", "2024-12-24", "2024-12-31"]
    assert (ends[1:] - ends[:-1]).days.isin([6, 7, 8]).all()


@pytest.mark.parametrize(
    ("last", "ends"), [("2026-07-31", "2026-07-31"), ("2026-07-30", "2026-06-30"), ("2024-03-28", "2024-02-29")]
)
def test_a_month_that_is_not_over_has_no_end(table: pd.DataFrame, last: str, ends: str):
    assert returns.period_ends(table.loc[:last].index, "monthly")[-1] == pd.Timestamp(ends)


def test_the_fund_clock_is_the_spot_fund_and_before_it_the_futures_fund(table: pd.DataFrame):
    fund = returns.bitcoin(table, "fund")
    assert fund.first_valid_index() == table["BITO"].first_valid_index()
    assert fund["2024-01-11"] == table["BITO"]["2024-01-11"]
    assert fund["2024-01-12"] == table["IBIT"]["2024-01-12"] != table["BITO"]["2024-01-12"]


# --------------------------------------------------------------------------------------------- the bill and the factors


def test_a_bill_held_for_its_life_earns_the_treasury_s_coupon_equivalent():
    """At an unchanged discount d: 91 days compound to 1/P - 1, that is 91/365 of 365 d / (360 - 91 d)."""
    discount = pd.Series(5.25, pd.bdate_range("2024-01-01", "2024-04-01"))
    days_held = (discount.index[-1] - discount.index[0]).days
    assert days_held == 91
    earned = returns.total_return(returns.bill_returns(discount)).iloc[-1] - 1
    assert earned == pytest.approx(91 / 365 * 365 * 0.0525 / (360 - 91 * 0.0525), rel=1e-12)


def test_the_bill_uses_the_yield_that_was_known_and_counts_calendar_days():
    discount = pd.Series([5.0, 90.0, 0.0], days("2024-01-05", "2024-01-08", "2024-01-09"))
    earned = returns.bill_returns(discount)
    assert np.isnan(earned.iloc[0])
    assert earned.iloc[1] == pytest.approx((1 / (1 - 0.05 * 91 / 360)) ** (3 / 91) - 1)
    assert earned.iloc[2] == pytest.approx((1 / (1 - 0.90 * 91 / 360)) ** (1 / 91) - 1)


def test_a_basket_is_the_mean_and_missing_where_a_part_is():
    frame = pd.DataFrame({"A": [0.1, 0.2], "B": [0.3, np.nan], "C": [9.0, 9.0]}, days("2024-01-02", "2024-01-03"))
    assert returns.basket(frame, ["A", "B"]).tolist() == pytest.approx([0.2, np.nan], nan_ok=True)


def fit(y: pd.Series, x: pd.DataFrame) -> tuple[pd.Series, float]:
    """Slopes and R² by least squares with a constant."""
    whole = pd.concat([y, x], axis=1).dropna()
    design = np.column_stack([np.ones(len(whole)), whole[x.columns]])
    coef, rss, *_ = np.linalg.lstsq(design, whole.iloc[:, 0].to_numpy(), rcond=None)
    return pd.Series(coef[1:], x.columns), 1 - rss[0] / (whole.iloc[:, 0].var(ddof=0) * len(whole))


def test_taking_the_nasdaq_out_of_the_basket_moves_only_the_slope_on_the_nasdaq(table, factor_table):
    """Frisch, Waugh & Lovell: the slope on the Nasdaq takes in what the basket has of it, and nothing else moves."""
    plain, clean = (
        returns.sample(table, factor_table, MINERS, *WINDOW, ai_basket=("NVDA", "SMH", "VST"), orthogonal_ai=orthogonal)
        for orthogonal in (False, True)
    )
    names = ["bitcoin", "nasdaq", "ai"]
    (before, r2_before), (after, r2_after) = (fit(s.shares["MARA"], s.factors[names]) for s in (plain, clean))
    assert r2_after == pytest.approx(r2_before, abs=1e-12)
    assert after[["bitcoin", "ai"]].tolist() == pytest.approx(before[["bitcoin", "ai"]].tolist(), abs=1e-12)
    slope = np.polyfit(plain.factors["nasdaq"], plain.factors["ai"], 1)[0]
    assert after["nasdaq"] == pytest.approx(before["nasdaq"] + slope * before["ai"], abs=1e-12)
    assert np.corrcoef(clean.factors["ai"], clean.factors["nasdaq"])[0, 1] == pytest.approx(0, abs=1e-12)
    assert clean.factors["ai"].mean() == pytest.approx(
        plain.factors["ai"].mean(), abs=1e-15
    )  # only what moves is taken out


def test_a_planted_slope_is_taken_out_and_the_rest_left():
    rng = np.random.default_rng(7)
    x = pd.DataFrame({"x": rng.normal(size=500)}, pd.bdate_range("2020-01-01", periods=500))
    rest = pd.Series(rng.normal(size=500), x.index)
    rest -= fit(rest, x)[0]["x"] * (x["x"] - x["x"].mean())  # exactly unrelated in this sample
    left = returns.without((rest + 3 * (x["x"] - x["x"].mean())).rename("y"), x)
    assert left.to_numpy() == pytest.approx(rest.to_numpy(), abs=1e-12)


# ----------------------------------------------------------------------------------------------------------- the sample


def test_one_day_of_the_sample_by_hand(table, factor_table):
    """Tuesday 2024-02-20 after Presidents' Day: four calendar days of the bill at Friday's discount."""
    got = returns.sample(table, factor_table, MINERS, *WINDOW, ai_basket=("NVDA", "SMH"))
    day, eve = pd.Timestamp("2024-02-20"), pd.Timestamp("2024-02-16")
    bill = (1 / (1 - factor_table["TBILL_13W"][eve] / 100 * 91 / 360)) ** (4 / 91) - 1
    assert 0.0005 < bill < 0.0006
    assert got.bill[day] == pytest.approx(bill, rel=1e-12)
    assert got.shares.loc[day, "MARA"] == pytest.approx(table.loc[day, "MARA"] - bill)
    expected = {
        "bitcoin": table.loc[day, "BTC_USCLOSE"] - bill,
        "market": table.loc[day, "SPY"] - bill,
        "nasdaq": table.loc[day, "QQQ"] - bill,
        "ai": (table.loc[day, "NVDA"] + table.loc[day, "SMH"]) / 2 - bill,
        "market_ff": factor_table.loc[day, "MKT_RF"] / 100,
        "size": factor_table.loc[day, "SMB"] / 100,
        "value": factor_table.loc[day, "HML"] / 100,
    }
    assert got.factors.loc[day].to_dict() == pytest.approx(expected)


def test_weeks_and_logs_of_the_sample_by_hand(table, factor_table):
    week = table.loc["2024-02-15":"2024-02-21"]  # after Wednesday 14 to Wednesday 21
    simple, log = (
        returns.sample(table, factor_table, MINERS, *WINDOW, frequency="weekly", kind=kind)
        for kind in ("simple", "log")
    )
    day = pd.Timestamp("2024-02-21")
    grown, bill = (1 + week["RIOT"]).prod() - 1, simple.bill[day]
    assert simple.shares.loc[day, "RIOT"] == pytest.approx(grown - bill)
    assert log.shares.loc[day, "RIOT"] == pytest.approx(np.log1p(grown) - np.log1p(bill))
    assert simple.shares.index[0] == pd.Timestamp("2021-01-13")  # the first whole week of the window
    listed = table["IREN"].first_valid_index()
    assert listed == pd.Timestamp("2021-11-18")  # a Thursday, so the week to the 24th is whole
    assert simple.shares["IREN"].first_valid_index() == pd.Timestamp("2021-11-24")


def test_factors_of_the_data_library_end_earlier_and_stay_missing(table, factor_table):
    got = returns.sample(table, factor_table, MINERS, *WINDOW)
    assert got.factors["size"].last_valid_index() == pd.Timestamp("2026-04-30")
    assert got.factors["bitcoin"].notna().all()


def test_coverage_counts_days_gaps_zeros_and_extremes():
    index = pd.bdate_range("2024-01-01", periods=7)
    frame = pd.DataFrame({"A": [np.nan, 0.1, 0, 0, np.nan, -0.5, 0], "B": [0.0] * 6 + [np.nan]}, index)
    got = returns.coverage(frame, ["B", "A"])
    assert got.index.tolist() == ["B", "A"]
    a = got.loc["A"]
    assert (a["first"], a["last"], a["days"], a["missing"], a["zero"], a["zero_run"]) == (
        index[1],
        index[6],
        5,
        1,
        3,
        2,
    )
    assert (a["worst"], a["worst_day"], a["best"], a["best_day"]) == (-0.5, index[5], 0.1, index[1])
    assert a["growth"] == pytest.approx(1.1 * 0.5)
    assert (got.loc["B", "days"], got.loc["B", "missing"], got.loc["B", "zero_run"]) == (6, 0, 6)


def test_shares_listed_at_different_times_are_set_beside_the_same_days():
    index = pd.bdate_range("2024-01-01", periods=5)
    shares = pd.DataFrame({"A": [0.1] * 5, "B": [np.nan, np.nan, 1.0, -0.75, 0.0]}, index)
    got = returns.beside(shares, pd.DataFrame({"coin": [0.5, 0.5, 0.1, 0.1, 0.0]}, index))
    assert got["growth"].tolist() == pytest.approx([1.1**5, 0.5])
    assert got["coin"].tolist() == pytest.approx([1.5**2 * 1.21, 1.21])
    assert got["drawdown"].tolist() == pytest.approx([0, 0.75])
    assert got["volatility"].tolist() == pytest.approx([0, np.std([1, -0.75, 0], ddof=1) * 252**0.5], abs=1e-12)
    assert got.loc["B", "first"] == index[2]


# ------------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tickers": ["IREN", "MARRA"]}, "there is no 'MARRA' in the table; did you mean MARA?"),
        ({"tickers": ["riot"]}, "there is no 'riot' in the table; did you mean RIOT?"),
        ({"tickers": ["IREN", "IREN"]}, "IREN is given twice"),
        ({"tickers": []}, "give at least one ticker"),
        ({"tickers": "IREN"}, "give at least one ticker, as a list"),
        ({"ai_basket": ["NVDIA"]}, "AI basket: there is no 'NVDIA' in the table; did you mean NVDA?"),
        ({"start": "2026-07-24", "end": "2021-01-05"}, "its start must lie before its end"),
        ({"end": "2021-01-29"}, "there are 18 trading days; at least 30 are needed"),
        ({"start": "2030-01-01", "end": "2031-01-01"}, "there are 0 trading days; at least 30 are needed"),
        (
            {"tickers": ["MARA", "IREN", "RIOT"], "end": "2021-11-30"},
            "IREN has 8 daily returns from 2021-01-05 to 2021-11-30; at least 30 are needed: "
            r"leave it out, tickers=\[MARA, RIOT\].",
        ),
        ({"end": "2021-11-30", "called": "placebo"}, "8 daily returns from 2021-01-05 to 2021-11-30; at least 30 are"),
        ({"clock": "fund", "tickers": ["MARA"], "end": "2021-10-29"}, r"bitcoin \(IBIT, BITO\) is known on 7 of these"),
        ({"clock": "new york"}, "clock: 'new york' is not known; allowed is one of us-close, utc, fund"),
        ({"frequency": "yearly"}, "allowed is one of daily, weekly, monthly"),
        ({"kind": "arithmetic"}, "allowed is one of simple, log"),
        ({"ai_basket": ["QQQ"], "orthogonal_ai": True}, "ai is made of nasdaq: nothing is left once that is taken out"),
        (
            {"ai_basket": ["NVDA", "CRWV"]},
            "CRWV is known from 2025-03-31 to 2026-07-31 and the window runs from 2021-01-05",
        ),
        ({"ai_basket": ["BTC_USCLOSE"]}, "AI basket: BTC_USCLOSE is bitcoin"),
        ({"frequency": "monthly", "start": "2025-01-02"}, "MARA has 17 monthly returns"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(table, factor_table, change: dict, said: str):
    given = {"tickers": MINERS, "start": WINDOW[0], "end": WINDOW[1]} | change
    if "monthly" in change.values():
        given["tickers"] = ["MARA"]
    with pytest.raises(Refusal, match=said) as caught:
        returns.sample(table, factor_table, **given)
    assert str(caught.value).endswith((".", "?"))
    assert str(caught.value).isprintable()


def test_clocks_that_do_not_fit_are_refused():
    coin = pd.Series([0.1, 0.2, 0.3], pd.date_range("2024-01-01", periods=3))
    for ends, said in (
        (days("2024-01-01", "2024-02-01"), "no return on 2024-02-01"),
        (days("2024-01-01"), "1 ends of periods"),
        (days("2024-01-02", "2024-01-01"), "the dates of ends must rise"),
        (pd.RangeIndex(2), "the dates of ends must rise"),
    ):
        with pytest.raises(Refusal, match=said):
            returns.on_clock(coin, ends)
    with pytest.raises(Refusal, match="the dates of returns must rise"):
        returns.on_clock(coin[::-1], coin.index)
    with pytest.raises(Refusal, match="leaves no price"):
        returns.bill_returns(pd.Series([400.0], days("2024-01-02")))
    flat = pd.DataFrame({"x": 0.01}, pd.bdate_range("2024-01-01", periods=60))
    with pytest.raises(Refusal, match="x move as one or not at all"):
        returns.without(pd.Series(np.arange(60.0), flat.index, name="y"), flat)
    with pytest.raises(Refusal, match="x and z move as one"):
        returns.without(pd.Series(np.arange(60.0), flat.index, name="y"), flat.assign(z=flat["x"]))
    empty = pd.DataFrame({"A": [np.nan, np.nan]}, days("2024-01-02", "2024-01-03"))
    with pytest.raises(Refusal, match="A has no return between these days"):
        returns.coverage(empty, ["A"])
