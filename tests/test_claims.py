"""Verdicts follow from numbers: planted truths are found, planted errors too, and the ten halving claims come out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattshift import claims, data, equity_claims, halving_claims
from wattshift.claims import Finding, Verdict
from wattshift.equity_claims import EquityEvidence
from wattshift.halving_claims import HalvingEvidence

FIGURES = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return data.load("claims")


@pytest.fixture(scope="module")
def about_halvings(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.subject == "halving"]


def evidence(as_of: str = "2026-06-01", **changed: pd.DataFrame) -> HalvingEvidence:
    given_tables = {
        "network": data.load("btc_network_daily"),
        "halvings": data.load("halvings"),
        "retargets": data.load("difficulty_retargets"),
        "shutdown": pd.DataFrame({"basis": ["power", "all-in"], "shutdown_price_usd": [60_000.0, 98_000.0]}),
    }
    return HalvingEvidence(**{**given_tables, **changed}, as_of=pd.Timestamp(as_of))


def verdicts(of: pd.DataFrame, held_against: HalvingEvidence) -> dict[str, str]:
    return {name: str(finding.verdict) for name, finding in halving_claims.halving_findings(of, held_against).items()}


# ---------------------------------------------------------------- reading claims


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024-04", "2024-04-01", "2024-04-30"),
        ("2021", "2021-01-01", "2021-12-31"),
        ("2018-2025", "2018-01-01", "2025-12-31"),
        ("2022-01-05 to 2022-01-10", "2022-01-05", "2022-01-10"),
        ("before 2024-04 halving", "2024-04-01", "2024-04-30"),
        ("by publication (2025-11)", "2025-11-01", "2025-11-30"),
        ("2023-2024", "2023-01-01", "2024-12-31"),
        ("2024-02-29", "2024-02-29", "2024-02-29"),
    ],
)
def test_periods(text: str, first: str, last: str):
    found = claims.period(text)
    assert found == claims.Period(pd.Timestamp(first), pd.Timestamp(last))
    assert pd.Timestamp(f"{last} 23:59:59") in found
    assert found.last + pd.Timedelta(days=1) not in found
    assert found.first - pd.Timedelta(seconds=1) not in found


@pytest.mark.parametrize("text", ["past decade", "future", "", None, float("nan"), "120,000", "20211"])
def test_no_period(text: object):
    assert claims.period(text) is None


def test_every_article_of_the_table_is_dated_as_its_title_says(table: pd.DataFrame):
    dates = {article: str(claims.published(article)) for article in table.article.unique()}
    assert sorted(dates.values()) == ["2025-09-28", "December 2025", "January 2022", "None", "November 2025"]
    assert "undated" in next(article for article, date in dates.items() if date == "None")


def test_every_claim_of_the_table_can_be_put_in_words(table: pd.DataFrame):
    said = table.set_index("claim_id").apply(claims.claimed, axis=1)
    assert not said.str.contains("nan|None|  ").any()
    assert said["PK-08"] == "over 1,000 EH/s; 2024-04"
    assert said["PK-10"].startswith("60%; ")
    assert claims.claimed_range(table.set_index("claim_id").loc["PK-05"]) == (6.25, 6.25)
    with pytest.raises(ValueError, match="no figure"):
        claims.claimed_range(table.set_index("claim_id").loc["PK-12"])


# ---------------------------------------------------------------- judges


@pytest.mark.parametrize(
    ("found", "claim", "tolerance", "verdict"),
    [
        ((100, 100), (100, 100), 0.0, "confirmed"),
        ((100, 100), (101, 101), 0.0, "contradicted"),
        ((110, 110), (100, 100), 0.10, "confirmed"),
        ((110.1, 110.1), (100, 100), 0.10, "contradicted"),
        ((95, 120), (100, 100), 0.10, "partly"),
        ((50, 200), (100, 100), 0.10, "partly"),  # the claim lies inside what was found
        ((1, 2), (100, np.inf), 0.10, "contradicted"),
        ((90, 1e9), (100, np.inf), 0.10, "confirmed"),
        ((89, 1e9), (100, np.inf), 0.10, "partly"),
        ((-55, -45), (-50, -50), 0.10, "confirmed"),  # tolerance widens a negative figure too
    ],
)
def test_ranges(found, claim, tolerance: float, verdict: str):
    assert claims.judge_range(found, claim, tolerance, "x").verdict == verdict


@given(
    ends=st.tuples(FIGURES, FIGURES).map(sorted), claim=st.tuples(FIGURES, FIGURES).map(sorted), narrow=st.floats(0, 1)
)
def test_more_tolerance_never_makes_a_verdict_worse(ends, claim, narrow: float):
    order = [Verdict.CONTRADICTED, Verdict.PARTLY, Verdict.CONFIRMED]
    strict, lenient = (claims.judge_range(tuple(ends), tuple(claim), t, "x").verdict for t in (narrow / 2, narrow))
    assert order.index(strict) <= order.index(lenient)


@pytest.mark.parametrize(
    "bad", [((2, 1), (0, 1), 0.1), ((0, 1), (2, 1), 0.1), ((np.nan,) * 2, (0, 1), 0.1), ((0, 1), (0, 1), -1)]
)
def test_a_range_the_wrong_way_round_is_refused(bad):
    with pytest.raises(ValueError, match="low end to its high end"):
        claims.judge_range(*bad, "x")


def test_days_measured_in_two_ways():
    march, april, never = pd.Timestamp("2024-03-31"), pd.Timestamp("2024-04-30 23:59"), None
    month = claims.period("2024-04")
    judge = claims.judge_days
    assert judge({"a": april}, month, "x").verdict == "confirmed"
    assert judge({"a": march}, month, "x").verdict == "contradicted"
    assert judge({"a": march}, month, "x", by=True).verdict == "confirmed"
    assert judge({"a": april, "b": march}, month, "x").verdict == "partly"
    assert judge({"a": never}, month, "x", by=True).verdict == "contradicted"
    assert judge({"a": pd.Timestamp("2025-08-30")}, month, "x").numbers == {
        "days after, a": 487.0
    }  # 30 April to 30 August
    with pytest.raises(ValueError, match="nothing was measured"):
        judge({}, month, "x")


def test_some():
    assert claims.judge_some([1.0, 2.0], (100, 100), 0.1, "rigs", "USD").verdict == "contradicted"
    assert claims.judge_some([1.0, 2.0, 99.0], (100, 100), 0.1, "rigs", "USD").numbers["share"] == pytest.approx(1 / 3)
    for empty in ([], [np.nan]):
        with pytest.raises(ValueError, match="finite values"):
            claims.judge_some(empty, (100, 100), 0.1, "rigs", "USD")


@pytest.mark.parametrize(
    ("stated", "other", "verdict"),
    [
        ("confirmed", "confirmed", "confirmed"),
        ("confirmed", "contradicted", "confirmed"),
        ("partly", "confirmed", "partly"),
        ("contradicted", "confirmed", "wrong scope"),
        ("contradicted", "partly", "contradicted"),
        ("contradicted", "contradicted", "contradicted"),
    ],
)
def test_the_stated_reading_decides_unless_only_another_one_holds(stated: str, other: str, verdict: str):
    one, two = (Finding(Verdict(name), name, "rule", {"n": 1.0}) for name in (stated, other))
    judged = claims.judge_readings(one, {"elsewhere": two})
    assert judged.verdict == verdict
    assert judged.numbers == {"n": 1.0, "elsewhere, n": 1.0}
    assert ("elsewhere" in judged.why) == (verdict == "wrong scope")


# ---------------------------------------------------------------- the ledger


def test_no_claim_drops_out_of_the_ledger(table: pd.DataFrame):
    ledger = claims.ledger(table, {"PK-04": Finding(Verdict.CONFIRMED, "x", "y")})
    assert ledger.claim_id.tolist() == table.claim_id.tolist()
    counts = ledger.verdict.value_counts().to_dict()
    assert counts == {"confirmed": 1, "cannot be tested": len(table) - 1}
    with pytest.raises(ValueError, match="no such claim: XX-01"):
        claims.ledger(table, {"XX-01": Finding(Verdict.CONFIRMED, "x", "y")})


def test_verdicts_on_the_halving_claims(about_halvings: pd.DataFrame):
    """The data of this project up to 2026-06-01; each line was checked by hand against the table."""
    assert verdicts(about_halvings, evidence()) == {
        "PK-04": "confirmed",
        "PK-05": "confirmed",
        "PK-06": "confirmed",
        "PK-07": "confirmed",
        "PK-08": "contradicted",  # 625 EH/s in that month; 1,000 came sixteen months later
        "PK-09": "wrong scope",  # 1.24 as stated; 1.83 in the year up to the halving
        "PK-10": "partly",  # +33 % to +73 % on the days of November 2025
        "PK-11": "partly",  # the planted shutdown prices reach 100,000 USD only all-in
        "PK-12": "confirmed",
        "PK-13": "confirmed",
    }


def test_numbers_behind_the_halving_claims(about_halvings: pd.DataFrame):
    """Against plain sums over the raw file, done another way."""
    raw = pd.read_csv(data.folder() / "btc_network_daily.csv", index_col="date")
    found = halving_claims.halving_findings(about_halvings, evidence())
    monthly = raw.hashrate_ehs.groupby(raw.index.str[:7]).mean()
    assert found["PK-08"].numbers["mean_ehs"] == pytest.approx(monthly["2024-04"], rel=1e-12)
    assert found["PK-09"].numbers["low"] == pytest.approx(monthly["2025-11"] / monthly["2025-04"], rel=1e-12)
    eve = found["PK-09"].numbers["from April 2023 to April 2024, low"]
    assert eve == pytest.approx(monthly["2024-04"] / monthly["2023-04"], rel=1e-12)
    november = raw.price_usd["2025-11-01":"2025-11-30"] / raw.price_usd["2024-04-19"]
    assert found["PK-10"].numbers["low"] == pytest.approx(100 * (november.min() - 1), rel=1e-12)
    assert found["PK-10"].numbers["high"] == pytest.approx(100 * (november.max() - 1), rel=1e-12)
    weeks = np.convolve(raw.hashrate_ehs, np.ones(7) / 7, mode="valid")
    first = raw.index[6 + int((weeks > 1000).argmax())]
    assert f"{first} (7-day mean)" in found["PK-07"].found
    assert found["PK-09"].numbers["luck"] == pytest.approx(
        np.hypot(*(1 / np.sqrt(raw.blocks[raw.index.str[:7] == month].sum()) for month in ("2025-11", "2025-04")))
        * found["PK-09"].numbers["low"]
    )


@pytest.mark.parametrize(
    ("as_of", "testable"),
    [
        ("2010-01-01", set()),
        ("2024-03-31", set()),
        ("2024-04-19", set()),  # block 840,000 is dated on this day by median time past, but its header a day later
        ("2024-04-20", {"PK-04", "PK-05", "PK-06"}),
        ("2024-04-30", {"PK-04", "PK-05", "PK-06", "PK-08"}),
        ("2025-10-31", {"PK-04", "PK-05", "PK-06", "PK-08"}),
        ("2025-11-11", {"PK-04", "PK-05", "PK-06", "PK-07", "PK-08", "PK-12", "PK-13"}),
        ("2025-11-30", {f"PK-{n:02d}" for n in range(4, 14)}),
        ("2030-01-01", {f"PK-{n:02d}" for n in range(4, 14)}),  # the data end before; nothing later is made up
    ],
)
def test_a_claim_is_tested_only_when_its_time_has_come(about_halvings: pd.DataFrame, as_of: str, testable: set[str]):
    found = verdicts(about_halvings, evidence(as_of))
    assert {name for name, verdict in found.items() if verdict != "cannot be tested"} == testable


def test_nothing_after_as_of_is_looked_at(about_halvings: pd.DataFrame):
    """Poison every day after as_of: no finding may change, in a figure or a word."""
    for as_of in ("2024-04-30", "2025-11-30"):
        network, retargets = data.load("btc_network_daily"), data.load("difficulty_retargets")
        clean = halving_claims.halving_findings(about_halvings, evidence(as_of))
        later = network.date > as_of
        network.loc[later, ["price_usd", "hashrate_ehs", "difficulty", "issuance_btc"]] *= 1000
        retargets.loc[retargets.date > as_of, "difficulty"] *= 1000
        assert (
            halving_claims.halving_findings(about_halvings, evidence(as_of, network=network, retargets=retargets))
            == clean
        )


def test_verdicts_turn_with_the_data(about_halvings: pd.DataFrame):
    """Plant another world: 1.57 times the hashrate from April 2024 on, and the same verdicts do not come out."""
    network = data.load("btc_network_daily")
    network.loc[network.date >= "2024-04-01", "hashrate_ehs"] *= 1.57
    network.loc[network.date >= "2025-11-01", "hashrate_ehs"] *= 1.61
    found = verdicts(about_halvings, evidence(network=network))
    assert found["PK-09"] == "confirmed"  # 1.24 x 1.61 is 2.00
    assert found["PK-08"] == "partly"  # the week's mean passes 1,000 EH/s in that month, the mean of 30 days does not
    crash = data.load("btc_network_daily")
    crash.loc[crash.date >= "2025-06-01", "hashrate_ehs"] *= 0.5
    found = verdicts(about_halvings, evidence(network=crash))
    assert (found["PK-07"], found["PK-08"], found["PK-12"]) == ("contradicted",) * 3


def test_no_shutdown_price_no_verdict(about_halvings: pd.DataFrame):
    none = pd.DataFrame({"basis": [], "shutdown_price_usd": []})
    assert verdicts(about_halvings, evidence(shutdown=none))["PK-11"] == "cannot be tested"
    cash = pd.DataFrame({"basis": ["power"], "shutdown_price_usd": [100_000.0]})
    assert verdicts(about_halvings, evidence(shutdown=cash))["PK-11"] == "confirmed"
    far = pd.DataFrame({"basis": ["power", "all-in"], "shutdown_price_usd": [50_000.0, 70_000.0]})
    assert verdicts(about_halvings, evidence(shutdown=far))["PK-11"] == "contradicted"


def test_an_empty_network_is_no_evidence(about_halvings: pd.DataFrame):
    with pytest.raises(ValueError, match="no day of the network"):
        halving_claims.halving_findings(about_halvings, evidence(network=data.load("btc_network_daily").head(0)))


def test_an_open_end_stays_open():
    """Without tolerance "over 3" has no upper end to stretch: 1.6 to 7.8 lies partly inside, 4 to 7.8 wholly."""
    found = [claims.judge_range(ends, (3, np.inf), 0.0, "times").verdict for ends in ((1.6, 7.8), (4, 7.8), (1, 2))]
    assert found == [Verdict.PARTLY, Verdict.CONFIRMED, Verdict.CONTRADICTED]


# ---------------------------------------------------------------- the claims on equity


def equity(as_of: str = "2026-07-24", **changed: object) -> EquityEvidence:
    given_tables = {
        "returns": data.load("equity_returns_daily").set_index("date"),
        "fundamentals": data.load("fundamentals_quarterly"),
    }
    changed = {"miners": ("CLSK", "HUT", "MARA", "RIOT"), **changed}
    return EquityEvidence(**{**given_tables, **changed}, as_of=pd.Timestamp(as_of))


def equity_verdicts(of: pd.DataFrame, held_against: EquityEvidence) -> dict[str, str]:
    return {name: str(finding.verdict) for name, finding in equity_claims.equity_findings(of, held_against).items()}


def test_verdicts_on_the_equity_claims(table: pd.DataFrame):
    """The data of this project up to 2026-07-24; gains and listings checked by hand against the table."""
    told = table[(table["subject"] == "equity") | table["quantity"].isin(["listing_year", "listing_date"])]
    assert equity_verdicts(told, equity()) == {
        "MS-07": "cannot be tested",
        "MS-08": "cannot be tested",
        "MS-09": "cannot be tested",
        "PK-02": "partly",  # IREN at best 7.8 times, HUT 2.7, CORZ 1.6
        "PK-03": "cannot be tested",
        "PK-34": "confirmed",
        "PK-46": "confirmed",
        "PK-49": "confirmed",
        "PK-66": "cannot be tested",  # its record was cut at the listing by hand
        "PK-67": "wrong scope",  # at best +678 % in the year, +930 % in six months
        "PK-68": "wrong scope",  # +168 % and +240 %
        "PK-69": "wrong scope",  # +63 % and +129 %
        "PK-71": "cannot be tested",
    }


def test_what_came_is_of_the_miners_given_with_revenue_where_it_is_claimed(table: pd.DataFrame):
    """By hand from the filings: CLSK 181.180/162.306, HUT 41.299/35.215 (its fourth quarter of 2024 is not in the
    table), MARA 202.314/214.400, RIOT 180.229/84.800; the median is of the middle two, 1.1163 and 1.1728."""
    told = table[table["claim_id"].isin(["PK-03", "PK-71"])]
    findings = equity_claims.equity_findings(told, equity())
    assert findings["PK-03"].numbers["revenue"] == pytest.approx((181.180 / 162.306 + 41.299 / 35.215) / 2, abs=1e-9)
    assert "rose in 3 of the 4 with both" in findings["PK-03"].found
    assert "revenue" not in findings["PK-71"].found
    assert findings["PK-71"].found.startswith("4 miners from")
    one = equity_claims.equity_findings(told, equity(miners=("MARA",)))["PK-03"]
    year = equity().returns.loc["2025", "MARA"]
    assert one.numbers["gain"] == pytest.approx(float((1 + year).prod()) - 1, rel=1e-9)


def test_gains_agree_with_the_prices_of_quarter_ends():
    """Another table, of prices with four digits, all of days on which a quarter ends (0.1 %)."""
    made = equity_claims.gains(equity().returns, ["IREN"], pd.DatetimeIndex(["2025-09-30"])).set_index("window")["IREN"]
    ends = data.load("equity_quarter_end").query("ticker == 'IREN'").set_index("date")["close_adj_usd"]
    for window, start in (("year to date", "2024-12-31"), ("3 months", "2025-06-30"), ("12 months", "2024-09-30")):
        assert 1 + made[window] / 100 == pytest.approx(ends["2025-09-30"] / ends[start], rel=1e-3)


def planted(quoted: dict[str, float], months: int) -> pd.DataFrame:
    """Three shares that gain what is quoted, evenly, in the months up to 2025-11-10; a fall by half comes before."""
    days = pd.bdate_range("2024-01-01", "2026-07-24")
    first = pd.Timestamp("2025-11-10") - pd.DateOffset(months=months)
    inside = (days > first) & (days <= "2025-11-10")
    fall = np.where((days <= first) & (days > first - pd.Timedelta(days=30)), 0.97, 1.0)
    rise = {name: np.where(inside, (1 + gain / 100) ** (1 / inside.sum()), 1.0) for name, gain in quoted.items()}
    return pd.DataFrame(rise, days).mul(fall, axis=0) - 1


@pytest.mark.parametrize(("months", "verdict"), [(3, "wrong scope"), (9, "wrong scope"), (20, "contradicted")])
def test_the_window_that_gives_the_figures_is_found(table: pd.DataFrame, months: int, verdict: str):
    """Three and nine months are spans in which gains are quoted; twenty is not, so no window has the figures."""
    told = table[table["quantity"] == "ytd_return_pct"]
    quoted = {"IREN": 987.0, "HUT": 249.0, "CORZ": 131.0}
    findings = equity_claims.equity_findings(told, equity(returns=planted(quoted, months)))
    assert {str(finding.verdict) for finding in findings.values()} == {verdict}
    if verdict == "wrong scope":
        assert all(f"{months} months from" in finding.found for finding in findings.values())


def test_any_three_figures_may_find_a_window():
    """Figures of one row are met exactly; figures of random rows are met as nearly about as often as chance says."""
    rng = np.random.default_rng(12)
    gained = pd.DataFrame(100 * np.expm1(rng.normal(0.3, 0.4, (60, 3))), columns=list("ABC"))
    exact = dict(gained.iloc[7])
    assert equity_claims.chance_of_a_window(gained, exact, 400, np.random.default_rng(1)) < 0.03
    found = [
        equity_claims.chance_of_a_window(
            gained, {c: float(gained[c].iloc[rng.integers(60)]) for c in "ABC"}, 99, np.random.default_rng(k)
        )
        for k in range(200)
    ]
    assert 0.05 <= np.mean(np.array(found) <= 0.10) <= 0.16


def test_equity_claims_wait_for_their_time(table: pd.DataFrame):
    told = table[table["subject"] == "equity"]
    early = equity_verdicts(told, equity("2025-11-15"))
    assert set(early.values()) == {"cannot be tested"}
    later = equity_claims.equity_findings(told, equity("2025-12-31"))
    assert str(later["PK-67"].verdict) == "wrong scope"
    assert "2026" not in "".join(finding.found for finding in later.values())


def test_listings_are_dated_by_the_first_close():
    days = equity_claims.listing_days(equity().returns)
    assert {name: f"{days[name]:%Y-%m-%d}" for name in ("IREN", "CORZ", "CORZ_OLD")} == {
        "IREN": "2021-11-17", "CORZ": "2024-01-24", "CORZ_OLD": "2022-01-20",
    }  # fmt: skip
    assert pd.isna(days["MARA"])
