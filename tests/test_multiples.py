"""Price moves split into revenue, dilution and multiple: cases worked by hand, and the identities that always hold."""

import numpy as np
import pandas as pd
import pytest

from wattshift import multiples
from wattshift.refusal import Refusal

LEVELS = ("price_usd", "revenue_usd_m", "income_usd_m", "shares_m", "net_debt_usd_m")


def levels(*rows):
    return pd.DataFrame([dict(zip(LEVELS, row, strict=True)) for row in rows], dtype=float)


def results(ticker, first, revenue, **others):
    """Quarterly results of one company from a first quarter on, one a quarter."""
    ends = pd.period_range(first, periods=len(revenue), freq="Q").end_time.normalize()
    blank = {
        "basis": "US GAAP", "net_income_usd_m": np.nan, "shares_outstanding_m": np.nan, "shares_as_of": pd.NaT,
        "net_debt_usd_m": np.nan,
    }  # fmt: skip
    frame = pd.DataFrame({"ticker": ticker, "period_end": ends, "revenue_usd_m": revenue, **blank, **others})
    return frame.astype({"shares_as_of": "datetime64[ns]"})


def closes(ticker, first, price):
    ends = pd.period_range(first, periods=len(price), freq="Q").end_time.normalize() - pd.Timedelta(days=1)
    return pd.DataFrame({"ticker": ticker, "date": ends, "close_adj_usd": price})


def test_davis_double_play_as_published():
    """Price 10 to 40 on earnings 2 to 4: ln 4 = ln 2 (earnings) + ln 2 (multiple); METHODS case 27."""
    parts = multiples.decompose(levels((10, 20, 2, 1, 0)), levels((40, 20, 4, 1, 0))).iloc[0]
    assert parts[["price", "income", "price_to_income"]].tolist() == pytest.approx(
        [np.log(4), np.log(2), np.log(2)], abs=1e-12
    )


def test_enterprise_split_worked_by_hand():
    """10 USD x 100m = 1,000 + 0 net debt; 20 x 150m = 3,000 + 1,000 = 4,000; revenue 100 to 200.
    ln 2 = ln 2 (revenue) - ln 1.5 (dilution) + ln 2 (EV/revenue 10 to 20) + ln 0.75 (equity share 1 to 3/4)."""
    parts = multiples.decompose(levels((10, 100, 1, 100, 0)), levels((20, 200, 1, 150, 1_000))).iloc[0]
    assert parts["form"] == "enterprise"
    terms = parts[["revenue", "dilution", "ev_multiple", "equity_share"]].astype(float)
    assert terms.tolist() == pytest.approx([np.log(2), -np.log(1.5), np.log(2), np.log(0.75)], abs=1e-12)
    assert terms.sum() == pytest.approx(np.log(2), abs=1e-12)


def test_every_form_adds_up_on_random_levels():
    """The parts of each form add to the price, whatever is missing (tolerance 1e-12, seed 5)."""
    rng = np.random.default_rng(5)
    before, after = (
        levels(*rng.lognormal(2, 1, (400, 5)) * np.where(rng.random((400, 5)) < 0.3, -1, 1)).assign(
            price_usd=lambda t: t["price_usd"].abs()
        )
        for _ in range(2)
    )
    for frame in (before, after):
        frame.loc[rng.random(400) < 0.3, "shares_m"] = np.nan
        frame.loc[rng.random(400) < 0.3, "net_debt_usd_m"] = np.nan
    parts = multiples.decompose(before, after)
    assert set(parts["form"]) == set(multiples.FORMS)
    for form, names in multiples.PARTS.items():
        some = parts[parts["form"] == form]
        assert not some[list(names)].isna().any().any()
        if names:
            assert np.allclose(some[list(names)].sum(axis=1), some["price"], atol=1e-12)
    losses = (before["income_usd_m"] <= 0) | (after["income_usd_m"] <= 0)
    assert parts.loc[losses, ["income", "price_to_income"]].isna().all().all()
    assert parts.loc[~losses, ["income", "price_to_income"]].notna().all().all()


def test_a_share_split_moves_nothing_between_terms():
    """Twice the shares at half the price on one share basis is the same company: the multiple does not move."""
    parts = multiples.decompose(levels((10, 100, 1, 100, 50)), levels((5, 100, 1, 200, 50))).iloc[0]
    assert parts["multiple"] == pytest.approx(0, abs=1e-12)
    assert parts["ev_multiple"] == pytest.approx(0, abs=1e-12)
    assert parts["dilution"] == pytest.approx(-np.log(2), abs=1e-12)


def test_quarters_sum_four_in_a_row_only():
    facts = results("AAA", "2024Q1", [1.0, 2.0, 4.0, 8.0, 16.0, np.nan, 64.0, 128.0, 256.0, 512.0]).drop(index=8)
    table = multiples.quarters(facts, closes("AAA", "2024Q1", range(1, 11)), 45)
    sums = table["revenue_year_usd_m"].tolist()
    assert sums[3:5] == [15, 30]
    assert np.isnan(sums[:3] + sums[5:]).all()


def test_quarters_flags_a_change_of_accounting():
    basis = ["IFRS"] * 2 + ["US GAAP"] * 5
    table = multiples.quarters(results("AAA", "2024Q1", [1.0] * 7, basis=basis), closes("AAA", "2024Q1", [1] * 7), 45)
    assert table["basis_year"].tolist()[3:] == ["mixed", "mixed", "US GAAP", "US GAAP"]
    yearly = multiples.spans(table, 4)
    assert yearly["accounting"].tolist() == ["IFRS to US GAAP", "IFRS to US GAAP", "US GAAP"]


@pytest.mark.parametrize(
    ("counted", "days", "used"),
    [("2025-11-14", 45, True), ("2025-11-15", 46, False), ("2025-08-17", 44, True), ("2025-10-01", 31, True)],
)
def test_share_counts_hold_within_the_tolerance(counted, days, used):
    """The quarter ends on 2025-09-30. The first of October may be all of October, whose last day is 31 days off."""
    facts = results("AAA", "2025Q3", [1.0], shares_outstanding_m=7.0, shares_as_of=[pd.Timestamp(counted)])
    row = multiples.quarters(facts, closes("AAA", "2025Q3", [2.0]), 45).iloc[0]
    assert row["shares_off_days"] == days
    assert (row["shares_m"] == 7) == used


def test_spans_prefer_four_quarters_and_compare_like_seasons():
    """Nine quarters: only the last span of a year has four quarters at both ends; three quarters apart, no single
    quarter is compared. Sums by hand: 1+2+4+8 = 15 and 16+32+64+128 = 240."""
    facts = results("AAA", "2024Q1", [2.0**k for k in range(8)])
    table = multiples.quarters(facts, closes("AAA", "2024Q1", [3.0] * 8), 45)
    yearly = multiples.spans(table, 4)
    assert yearly["revenue_of"].tolist() == ["one quarter"] * 3 + ["four quarters"]
    assert yearly["revenue"].tolist() == pytest.approx([np.log(16)] * 4)
    assert (yearly["price_to_revenue"] == -yearly["revenue"]).all()
    assert set(yearly["play"]) == {"revenue"}
    assert set(yearly["why"]) == {"no share count near it at the start and the end"}
    short = multiples.spans(table, 3)
    assert short["form"].tolist() == ["none"] * 3 + ["price to revenue"] * 2
    assert short["why"].tolist()[:3] == ["no comparable revenue at the start and the end"] * 3


def test_the_play_is_per_share_where_shares_are_known():
    """Revenue up by half on twice the shares is a fall per share: no double play, though the company grew."""
    ends = pd.to_datetime(["2024-03-31", "2024-06-30", "2024-09-30", "2024-12-31", "2025-03-31"])
    counts = {"shares_outstanding_m": [1.0, np.nan, np.nan, np.nan, 2.0], "shares_as_of": ends}
    facts = results("AAA", "2024Q1", [2.0, 2, 2, 2, 3], **counts)
    prices = closes("AAA", "2024Q1", [1.0, 1, 1, 1, 1.2])
    known = multiples.spans(multiples.quarters(facts, prices, 45), 4).iloc[0]
    blind = multiples.spans(multiples.quarters(facts.assign(shares_outstanding_m=np.nan), prices, 45), 4).iloc[0]
    assert (known["form"], known["play"], known["why"]) == (
        "market",
        "multiple",
        "no net debt at the start and the end",
    )
    assert (blind["form"], blind["play"]) == ("price to revenue", "revenue")


def test_net_cash_above_market_value_has_no_enterprise_split():
    ends = pd.to_datetime(["2024-03-31"] + ["2024-12-31"] * 3 + ["2025-03-31"])
    facts = results(
        "AAA", "2024Q1", [2.0] * 5, shares_outstanding_m=1.0, shares_as_of=ends, net_debt_usd_m=[-5.0, 0, 0, 0, 0]
    )
    row = multiples.spans(multiples.quarters(facts, closes("AAA", "2024Q1", [1.0] * 5), 45), 4).iloc[0]
    assert (row["form"], row["why"]) == ("market", "enterprise value not above zero")


def test_coins_bought_with_debt_move_only_the_split_of_the_multiple():
    """A loan of 300 for bitcoin, which net debt leaves out: EV/R and M/EV cancel, 0 = ln 1.5 - ln 1.5; M/R stays."""
    parts = multiples.decompose(levels((10, 100, 1, 60, 0)), levels((10, 100, 1, 60, 300))).iloc[0]
    assert parts["ev_multiple"] == pytest.approx(np.log(1.5), abs=1e-12)
    assert parts["equity_share"] == pytest.approx(-np.log(1.5), abs=1e-12)
    assert parts["multiple"] == pytest.approx(0, abs=1e-12)


def test_coverage_counts_what_is_there():
    facts = results("AAA", "2024Q1", [1.0] * 8, net_income_usd_m=[1.0] * 4 + [-9.0] * 4)
    table = multiples.quarters(facts, closes("AAA", "2024Q1", [1.0] * 8), 45)
    row = multiples.coverage(table, multiples.spans(table, 4)).iloc[0]
    assert row.to_dict() == {
        "ticker": "AAA", "quarters": 8, "priced": 8, "revenue": 8, "year_of_revenue": 5, "profit_year": 1, "shares": 0,
        "net_debt": 0, "spans": 4, "enterprise": 0, "market": 0, "price to revenue": 4, "none": 0,
    }  # fmt: skip


def test_refusals_are_one_plain_sentence():
    table = multiples.quarters(results("AAA", "2024Q1", [1.0] * 3), closes("AAA", "2024Q1", [1.0] * 3), 45)
    for refused, words in (
        (lambda: multiples.quarters(table, table, -1), "-1 days"),
        (lambda: multiples.quarters(table.head(0), table, 45), "no quarterly result"),
        (lambda: multiples.spans(table, 0), "0 quarters"),
        (lambda: multiples.spans(table, 4), "4 quarters apart"),
        (lambda: multiples.decompose(levels((0, 1, 1, 1, 1)), levels((1, 1, 1, 1, 1))), "above zero"),
        (lambda: multiples.decompose(levels((1, 1, 1, 1, 1)), levels((1, 1, 1, 1, 1)).head(0)), "1 rows before"),
        (lambda: multiples.decompose(table[["price_usd"]], table), "missing: income"),
    ):
        with pytest.raises(Refusal, match=words) as said:
            refused()
        assert "\n" not in str(said.value)
