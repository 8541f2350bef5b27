"""Replays worked by hand, properties of the attribution, and numbers of the Kazakh story that a pencil can check."""

import doctest
import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wattshift import data, mining, replay, sites
from wattshift.refusal import Refusal

START = pd.Timestamp("2022-01-01")
MINE = mining.Miner(20.0, 0.05)  # 480 kWh per PH/s and day: 50 PH/s to the MW
HASHPRICE = 48.0  # so 24 USD of margin per PH/s and day, 1,200 USD per MW and day


def days(count: int, value: float = HASHPRICE) -> "pd.Series[float]":
    return pd.Series(value, index=pd.date_range(START, periods=count))


def shock(name: str, kind: replay.Kind, first: float, last: float | None, size: float = 1.0, **more) -> replay.Shock:
    end = None if last is None else START + pd.Timedelta(days=last)
    return replay.Shock(name, kind, START + pd.Timedelta(days=first), end, size, **more)


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    names = ("mining_regulation_events", "industrial_power_prices", "asic_models", "btc_network_daily")
    return {name: data.load(name) for name in names}


def test_doctests_hold():
    assert doctest.testmod(replay).failed == 0


# ---- one shock, worked by hand


@pytest.mark.parametrize(
    ("happens", "loss"),
    [
        (shock("half of the hours of four days", "rationing", 2, 6, 0.5), 4 * 0.5 * 1_200),
        (shock("a day and a half", "cut-off", 0.5, 2), 1.5 * 1_200),
        (shock("0.01 USD on 24,000 kWh", "charge", 0, None, 0.01), 10 * 240),
        (shock("2% off half of 2,400 USD", "forced sale", 9, None, 0.5, discount=0.02), 24),
        (shock("seven months idle outlast ten days", "licence", 3, 210), 7 * 1_200),
        (shock("before the window", "cut-off", -5, 0), 0),
    ],
)
def test_one_shock_by_hand(happens, loss):
    found = replay.replay(MINE, days(10), [happens])
    assert found.margin == pytest.approx(12_000)
    assert found.loss == pytest.approx(loss, abs=1e-9)
    assert found.parts.loc[happens.name].tolist() == pytest.approx([loss] * 3, abs=1e-9)


def test_overhead_fees_and_fixed_costs_by_hand():
    # 24,000 / (480 x 1.25) = 40 PH/s to the MW; each earns 50 x 0.98 - 0.05 x 600 = 19, for 0.9 of the time; opex 4.80
    mine = mining.Miner(20.0, 0.05, uptime=0.9, pool_fee=0.02, site_overhead=0.25, opex=0.01)
    assert replay.cash_per_mw(mine, 50.0) == pytest.approx(40 * (0.9 * 19 - 4.8))
    assert replay.cash_per_mw(mine, 50.0, lost=1.0) == pytest.approx(-40 * 4.8)


def test_cash_per_mw_is_the_margin_of_the_mining_module():
    mine = mining.Miner(25.0, 0.04, uptime=0.95, pool_fee=0.01, site_overhead=0.05, opex=0.01)
    per_mw = 24_000 / (mining.rig_kwh_per_ph_day(25.0) * 1.05)
    expected = per_mw * mining.margin_usd_per_ph_day(mine, np.array([40.0, 60.0, 90.0]), "cash")
    assert replay.cash_per_mw(mine, np.array([40.0, 60.0, 90.0])) == pytest.approx(expected)


def test_a_mine_switches_off_when_the_charge_exceeds_the_margin():
    # margin of running: 24 USD on 480 kWh = 0.05 USD/kWh; a charge above that takes no more than all of it
    losses = [replay.replay(MINE, days(10), [shock("fee", "charge", 0, None, fee)]).loss for fee in (0.04, 0.05, 0.5)]
    assert losses == pytest.approx([9_600, 12_000, 12_000])
    loses_anyway = replace(MINE, power_price=0.2)
    assert replay.replay(loses_anyway, days(10), [shock("cut", "cut-off", 0, 5)]).loss == 0


def test_a_hall_has_no_switch_and_mining_rules_pass_it_by():
    hall = replay.Hosting(rent=3_000.0, cost=1_000.0, penalty=0.5)
    both = ("mining", "hosting")
    cut = shock("cut", "cut-off", 0, 1, hits=both)
    fee = shock("fee", "charge", 0, None, 0.1)
    found = replay.replay(hall, days(2), [cut, fee])
    assert found.margin == 4_000
    assert found.parts["loss"].tolist() == [4_500, 0]  # more than the margin of both days
    pays = replace(hall, passed_on=0.0, penalty=0.0)
    levy = shock("levy", "charge", 0, 1, 0.1, hits=both)
    assert replay.replay(pays, days(2), [levy]).loss == pytest.approx(2_400)


# ---- the attribution


def test_two_shocks_by_hand():
    # together nothing is left (1,200 a day); alone the fee takes 480 of it, the outage 600: parts halve the difference
    half, fee = shock("half", "rationing", 0, None, 0.5), shock("fee", "charge", 0, None, 0.02)
    parts = replay.replay(MINE, days(1), [half, fee]).parts
    assert parts["alone"].tolist() == pytest.approx([600, 480])
    assert parts["last"].tolist() == pytest.approx([360, 240])
    assert parts["loss"].tolist() == pytest.approx([480, 360])


def some_shocks() -> st.SearchStrategy[list[replay.Shock]]:
    kinds = st.sampled_from(["rationing", "cut-off", "licence", "charge", "forced sale"])
    one = st.tuples(kinds, st.floats(0, 20), st.one_of(st.none(), st.floats(0.5, 20)), st.floats(0, 1), st.floats(0, 1))
    return st.lists(one, max_size=5).map(
        lambda rows: [
            shock(f"{place}", kind, first, None if length is None else first + length, size, discount=discount)
            for place, (kind, first, length, size, discount) in enumerate(rows)
        ]
    )


@settings(max_examples=40, deadline=None)
@given(some_shocks(), st.randoms(use_true_random=False), st.floats(1, 100))
def test_parts_add_up_in_any_order_and_stay_within_the_margin_of_running(shocks, random, hashprice):
    mine, price = replace(MINE, opex=0.01), days(20, hashprice)
    found = replay.replay(mine, price, shocks)
    most = max(50 * (hashprice - 24), 0) * 20
    assert found.parts["loss"].sum() == pytest.approx(found.loss, abs=1e-6)
    assert (found.parts["loss"] >= -1e-6).all()
    assert -1e-6 <= found.loss <= most + 1e-6
    assert (found.daily["with_shocks"] >= -50 * 4.8 - 1e-9).all()
    mixed = random.sample(shocks, len(shocks))
    again = replay.replay(mine, price, mixed)
    assert again.parts["loss"].to_dict() == pytest.approx(found.parts["loss"].to_dict(), abs=1e-6)


def test_no_shock_no_loss():
    found = replay.replay(MINE, days(5), [])
    assert found.loss == 0
    assert found.parts.empty
    assert (found.daily["without"] == found.daily["with_shocks"]).all()


def test_shapley_agrees_with_all_orders():
    worth = np.random.default_rng(3).random(16)
    parts = np.zeros(4)
    for order in itertools.permutations(range(4)):
        have = 0
        for player in order:
            parts[player] += (worth[have | 1 << player] - worth[have]) / 24
            have |= 1 << player
    assert replay.shapley(worth) == pytest.approx(parts)
    with pytest.raises(ValueError, match="2\\^n"):
        replay.shapley([1.0, 2.0, 3.0])


# ---- the Kazakh sequence


def test_the_sequence_is_that_of_the_tables(tables):
    found = {
        s.name: s
        for s in replay.kazakh_shocks(tables["mining_regulation_events"], tables["industrial_power_prices"], 0.04)
    }
    assert [str(s.start) for s in found.values()] == [
        "2021-10-13 00:00:00",  # first cuts at Ekibastuz
        "2022-01-01 00:00:00",  # 1 tenge
        "2022-01-05 12:00:00",  # internet, from about noon UTC
        "2022-01-24 00:00:00",  # registered mines cut off
        "2023-01-01 00:00:00",  # progressive fee
        "2023-04-01 00:00:00",  # licence law
        "2023-04-01 00:00:00",  # surplus power only
        "2024-01-01 00:00:00",  # forced sale
    ]
    assert (found["internet cut"].end - found["internet cut"].start).days == 5
    assert (found["cut-off"].end - found["cut-off"].start).days == 8
    assert found["flat fee"].size == 0.0021
    assert found["progressive fee"].size == pytest.approx(0.052 - 0.04)
    assert found["internet cut"].hits == ("mining", "hosting")
    assert all(s.source for s in found.values())


def test_the_sequence_needs_its_rows(tables):
    events = tables["mining_regulation_events"]
    with pytest.raises(Refusal, match="E019"):
        replay.kazakh_shocks(events[events["event_id"] != "E019"], tables["industrial_power_prices"], 0.04)


def test_no_idle_month_leaves_the_licence_out(tables):
    some = replay.kazakh_shocks(
        tables["mining_regulation_events"], tables["industrial_power_prices"], 0.04, replay.Assumed(idle_months=0)
    )
    assert "licence" not in {s.name for s in some}


def test_the_cut_off_may_last_longer_than_its_order(tables):
    long = replay.kazakh_shocks(
        tables["mining_regulation_events"],
        tables["industrial_power_prices"],
        0.04,
        replay.Assumed(cut_until="2023-04-01"),
    )
    assert {s.name: str(s.end) for s in long}["cut-off"] == "2023-04-01 00:00:00"


@pytest.mark.parametrize("rule", ["topped up", "maximum", "minimum"])
def test_the_progressive_fee_keeps_between_its_known_points(rule):
    fees = [replay.progressive_fee(p, 0.052, 0.0021, rule) for p in np.linspace(0, 0.1, 21)]
    assert all(0.0021 <= fee <= 0.052 for fee in fees)
    assert sorted(fees, reverse=True) == fees


def test_moving_the_sequence_keeps_its_spacing_and_its_loss(tables):
    shocks = replay.kazakh_shocks(tables["mining_regulation_events"], tables["industrial_power_prices"], 0.04)
    later = replay.moved(shocks, pd.Timestamp("2023-01-01"))
    assert {b.start - a.start for a, b in zip(shocks, later, strict=True)} == {pd.Timedelta(days=445)}
    assert replay.moved([], START) == []
    constant = pd.DataFrame({"date": pd.date_range("2021-10-01", "2025-12-31")}).assign(
        price_usd=1e5, issuance_btc=450.0, fees_btc=30.0, hashrate_ehs=1_000.0
    )
    starts = [shocks[0].start, pd.Timestamp("2022-03-03")]
    found = replay.by_start(MINE, constant, shocks, starts, 1_000)
    assert found["loss"].iloc[0] == pytest.approx(found["loss"].iloc[1])
    price = replay.hashprice_by_day(constant, starts[0], starts[0] + pd.Timedelta(days=999))
    assert price.iloc[0] == pytest.approx(48.0)
    assert found["loss"].iloc[0] == pytest.approx(replay.replay(MINE, price, shocks).loss)


def test_days_without_a_price_are_refused(tables):
    with pytest.raises(Refusal, match="known from 2010-07-18 to"):
        replay.hashprice_by_day(tables["btc_network_daily"], START, pd.Timestamp("2100-01-01"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "cutoff"}, "cut-off"),
        ({"size": 1.5}, "between 0 and 1"),
        ({"size": -0.1}, "between 0 and 1"),
        ({"kind": "charge", "size": -0.01}, "between 0 and 10"),
        ({"discount": 2.0}, "share between 0 and 1"),
        ({"end": START}, "not after it starts"),
    ],
)
def test_what_is_no_shock_is_refused(change, words):
    with pytest.raises(Refusal, match=words):
        replace(shock("a", "cut-off", 0, 1), **change)


def test_shocks_that_cannot_be_told_apart_or_are_too_many_are_refused():
    a = shock("a", "cut-off", 0, 1)
    with pytest.raises(Refusal, match="one name, 'a'"):
        replay.replay(MINE, days(2), [a, a])
    with pytest.raises(Refusal, match="too many"):
        replay.replay(MINE, days(2), [replace(a, name=str(k)) for k in range(13)])
    with pytest.raises(Refusal, match="power price cannot be -1"):
        replay.progressive_fee(-1, 0.05, 0.002)
    with pytest.raises(Refusal, match="such as maximum"):
        replay.progressive_fee(0.04, 0.05, 0.002, "maximal")


# ---- megawatts, grey and white


def test_megawatts_of_a_share_by_hand():
    assert replay.megawatts(0.18 * 150, 50.0) == pytest.approx(1_350)


def test_the_fleet_of_october_2021(tables):
    # the thriftiest machine then on sale was the S19 Pro at 29.55 J/TH; the S9 of 2017 is older than three years
    found = replay.fleet(tables["asic_models"], pd.Timestamp("2021-10-15"))
    assert found.best == 29.55
    assert found.best <= found.low < found.mid < found.high < 98
    with pytest.raises(Refusal, match="no fleet is known for 2011-01-01"):
        replay.fleet(tables["asic_models"], pd.Timestamp("2011-01-01"))


def test_grey_and_white_by_hand():
    machines = replay.Fleet(30.0, 32.0, 47.0, 65.0)
    found = replay.reconcile(
        {"ministry": 1_200.0, "association": 500.0}, {"peak": 1_500.0, "half": 750.0}, 27.3, machines
    )
    assert found["white_mw"].tolist() == [300, -450, 1_000, 250]
    assert found["ratio"].tolist() == [4, np.inf, 0.5, 2]
    assert found["possible"].tolist() == [True, False, True, False]  # 750 MW would be 27.5 J/TH, below the best


def test_kazakhstan_was_crowded_in_2020_by_hand():
    # 5.6 EH/s, the mean of the twelve months in the table, at 59 J/TH is 330 MW; 107.89 TWh in 8,784 hours is 12,283 MW
    shares, energy = data.load("hashrate_share_by_country"), data.load("country_energy_annual")
    found = replay.crowding(shares, energy, ["KAZ", "BTN"], 2020, 59.0)
    months = [3.81, 3.6, 6, 6.88, 5.5, 5.43, 5.6, 5.65, 5.55, 4.74, 6.15, 7.3]
    assert (
        found.loc["KAZ", "low"] == found.loc["KAZ", "high"] == pytest.approx(sum(months) / 12 * 59 / 12_283, rel=1e-4)
    )
    assert found["listed"].tolist() == [True, False]
    assert found.loc["BTN", "low"] == 0 < found.loc["BTN", "high"]
    with pytest.raises(Refusal, match="2019 to 2022"):
        replay.crowding(shares, energy, ["KAZ"], 2018, 59.0)


def test_the_mining_load_is_one_more_criterion():
    nothing = np.full((3, 1), np.nan)
    before = sites.Panel(
        ("a", "b", "c"), ("x",), np.full((3, 1), 0.5), np.full((3, 1), 0.1), nothing, nothing, np.array([[0], [1], [2]])
    )
    crowd = pd.DataFrame(
        {"low": [0.01, 0.01, 0.0], "high": [0.01, 0.01, 0.5], "listed": [True, True, False]},
        index=["AAA", "AAA", "BBB"],
    )
    found = replay.with_mining_load(before, crowd)
    assert found.criteria == ("x", "mining load")
    assert found.value[:, 1] == pytest.approx([0.5, 0.5, np.nan], nan_ok=True)  # a hundredth is halfway in logs
    assert (found.low[2, 1], found.high[2, 1]) == (0, 1)
    assert found.source[0, 1] == found.source[1, 1]  # two sites of one country share its error
    assert len({*found.source.ravel().tolist()}) == 5


# ---- ranks against a record


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=3, max_size=6).filter(lambda y: len(set(y)) > 1), st.integers(0, 99))
def test_agreement_counts_all_arrangements(outcome, seed):
    score = np.random.default_rng(seed).permutation(len(outcome))
    found = replay.agreement(score, outcome)
    pairs = list(itertools.combinations(range(len(outcome)), 2))
    balances = [
        sum(np.sign(score[j] - score[i]) * np.sign(other[j] - other[i]) for i, j in pairs)
        for other in itertools.permutations(outcome)
    ]
    seen = sum(np.sign(score[j] - score[i]) * np.sign(outcome[j] - outcome[i]) for i, j in pairs)
    assert found.p == pytest.approx(np.mean(np.abs(balances) >= abs(seen)))
    assert found.p_above == pytest.approx(np.mean(np.array(balances) >= seen))
    assert found.tau == pytest.approx(stats.kendalltau(score, outcome).statistic)


def test_agreement_without_ties_is_scipy_s_exact_test():
    rng = np.random.default_rng(5)
    x, y = rng.permutation(17), rng.permutation(17)
    expected = stats.kendalltau(x, y, method="exact")
    assert replay.agreement(x, y)[:2] == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize(("score", "outcome"), [([1, 2], [0, 1]), ([1, 1, 2], [0, 1, 2]), ([1, 2, 3], [1, 1, 1])])
def test_agreement_refuses_what_has_no_ranks(score, outcome):
    with pytest.raises(Refusal, match="three units or more"):
        replay.agreement(score, outcome)
