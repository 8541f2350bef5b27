"""Losses worked by hand, closed forms against simulation, a published tail, and what must not depend on units."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wattshift import bottomup, data, hazards, losses
from wattshift.losses import Sizes, Use
from wattshift.refusal import Refusal

VALUES = {
    "opex": 0.01, "rig_share": 0.75, "rig_life": 4, "rig_resale": 0.5, "move_cost": 5_000, "idle_months": 4,
    "mine_months": 6, "build_months": 12, "pue": 1.25, "hosting_costs": 0.2, "pass_through": 0.9, "penalty": 1,
    "hosting_cut": 0.25, "backup": 0.9, "local_mining": 0.25, "local_hosting": 0.5, "locked_months": 12,
    "locked_lost": 0.3, "war_damage": 0.35, "war_months": 12, "tariff_years": 5,
}  # fmt: skip
PAST = Sizes(
    pd.DataFrame(
        {
            "usd_per_kwh": [0.01, 0.001, 0.0], "of_price": [0.0, 0.0, 0.1], "topped_to": [np.nan] * 3,
            "miners": [True, False, False],
        },
    ),
    np.array([10.0, 20.0]),
    np.array([5.0]),
)  # fmt: skip
MINE = Use("mining", 36_525.0, 30_000.0, 80_000.0, 60_000.0, 4.0, 0.05, 1e6)
HOST = Use("hosting", 36_525.0, 30_000.0, 100_000.0, 0.0, 1.0, 0.05, 1e6)
PLAIN = {"life": 10.0, "discount_rate": 0.0}


@pytest.fixture(scope="module")
def tables() -> dict[str, pd.DataFrame]:
    names = "industrial_power_prices mining_regulation_events electricity_price_points dc_inputs btc_network_daily"
    return {name: data.load(name) for name in [*names.split(), "ai_deals", "site_candidates"]}


def believed(means: dict[str, list[float]], sites: list[str], shape: float = 4.0) -> hazards.Rates:
    """Rates with these means (zero where a peril is not named), each gamma of one shape."""
    mean = pd.DataFrame(means, sites).reindex(columns=list(hazards.COUNTED), fill_value=0.0)
    rate = (shape / mean.where(mean > 0)).fillna(np.inf)
    minutes = pd.DataFrame({"mean": 100.0, "low": 50.0, "high": 300.0, "basis": "x"}, sites)
    return hazards.Rates(mean * 0 + shape, rate, minutes)


def shared(common: float = 0.5) -> pd.DataFrame:
    index = pd.Index(hazards.COUNTED, name="peril")
    return pd.DataFrame({"common": common, "year": 0.2, "family": "all"}, index)


# ---------------------------------------------------------------- margins


def test_a_mine_worked_by_hand():
    # 1,000 kW at 21 kW per PH/s are 47.619 PH/s; 44 USD less the pool's hundredth, 24,000 kWh a day at 5 cents
    made = losses.mine(44.0, 20.0, 0.05, 8e5, VALUES)
    day = 1_000 / 21 * 44 * 0.99 - 24_000 * 0.05
    assert made.takes == pytest.approx(0.95 * 365.25 * day, rel=1e-12)
    assert made.takes - made.margin == pytest.approx(365.25 * 24_000 / 1.05 * 0.01, rel=1e-12)
    assert (made.rigs, made.kwh) == (6e5, pytest.approx(0.95 * 8_766_000))


def test_a_mine_that_does_not_pay_its_power_has_nothing_to_lose_but_its_rigs():
    made = losses.mine(20.0, 20.0, 0.05, 8e5, VALUES)
    assert made.takes == 0
    assert made.margin < 0
    event = losses.one_event(made, VALUES, PAST, **PLAIN)
    assert event.pop("seizure").item() == 0.5 * 3e5  # the resale of half-worn rigs
    assert event.pop("war").item() == pytest.approx(0.35 * (3e5 + 1e5))
    assert all((usd == 0).all() for usd in event.values())


def test_rent_is_of_critical_power_and_margin_of_gross():
    made = losses.data_centre(1.5e6, 0.05, 1e7, VALUES)
    assert (made.takes, made.margin, made.rigs) == pytest.approx((1.2e6, 0.96e6, 0))


def test_leases_leave_cloud_contracts_and_gross_megawatts_out(tables: dict[str, pd.DataFrame]):
    found = losses.leases(tables["ai_deals"]).set_index("event_id")
    assert found.loc["APLD-2025-06", "usd_per_mw_year"] == pytest.approx(7e9 / 250 / 15)
    assert not {"IREN-2025-11", "CIFR-2025-11a", "GLXY-2025-08"} & set(found.index)
    assert found["usd_per_mw_year"].is_monotonic_increasing


# ---------------------------------------------------------------- sizes from the tables


def test_steps_of_tariffs_as_the_tables_print_them(tables: dict[str, pd.DataFrame]):
    found = losses.tariff_steps(tables["industrial_power_prices"], tables["mining_regulation_events"])
    step = found.set_index(["iso3", "printed"])
    assert step.loc[("NOR", "0.0086 to 0.015 USD/kWh"), "usd_per_kwh"] == pytest.approx(0.0064)
    assert step.loc[("SWE", "0.006 to 0.36 SEK/kWh"), "usd_per_kwh"] == pytest.approx(0.0344)
    assert step.loc[("KAZ", "1, then 25 KZT/kWh"), ["usd_per_kwh", "topped_to", "miners"]].tolist() == [
        0.0021,
        0.052,
        True,
    ]
    of_price = found[found["of_price"] > 0]
    assert of_price.groupby("iso3")["of_price"].prod()["ARG"] == pytest.approx(1.7)
    assert (1 + of_price[of_price["iso3"] == "PRY"]["of_price"]).prod() == pytest.approx(
        1.54 * 1.125
    )  # one step or two
    assert found[found["usd_per_kwh"].isna()]["iso3"].tolist() == ["FIN"]  # euros, and no exchange rate is assumed
    assert (found["iso3"] == "KAZ").sum() == 1  # one measure, as hazards counts it


def test_the_kazakh_fee_asks_little_of_a_mine_whose_power_is_dear(tables: dict[str, pd.DataFrame]):
    prices, events = tables["industrial_power_prices"], tables["mining_regulation_events"]

    def rise(day: str, price: float) -> float:
        steps = losses.sizes(prices, events, day).steps
        return float(losses.rises(steps, price)[steps["iso3"] == "KAZ"].item())

    assert rise("2026-07-01", 0.05) == 0.0021  # one tenge where power costs 24 or more
    assert rise("2026-07-01", 0.03) == pytest.approx(0.022)
    assert rise("2026-07-01", -0.1) == 0.052
    assert rise("2022-06-30", 0.03) == 0.0021  # the schedule holds from 2023 on


def test_successive_steps_of_one_measure_are_compounded(tables: dict[str, pd.DataFrame], monkeypatch):
    prices, events = tables["industrial_power_prices"], tables["mining_regulation_events"]
    one = losses.tariff_steps(prices, events).query("iso3 == 'PRY'")  # a tariff raised by 54%, later by 9 to 16%
    assert one["of_price"].tolist() == pytest.approx([1.54 * 1.125 - 1])
    assert one["printed"].tolist() == ["54%, then 9 to 16%"]
    monkeypatch.setattr(hazards, "STEPS", ())
    two = losses.tariff_steps(prices, events).query("iso3 == 'PRY'")
    assert two["of_price"].tolist() == pytest.approx([0.54, 0.125])


def test_levies_in_force_are_the_newest_as_printed(tables: dict[str, pd.DataFrame]):
    found = losses.levies(tables["industrial_power_prices"], "2026-07-01").set_index("iso3")
    assert found["printed"].to_dict() == {
        "FIN": "2.24 EUR cents/kWh", "KAZ": "1 to 25 KZT/kWh", "NOR": "0.015 USD/kWh", "SWE": "0.36 SEK/kWh",
    }  # fmt: skip
    early = losses.levies(tables["industrial_power_prices"], "2022-06-30").set_index("iso3")
    assert early["printed"].to_dict() == {"KAZ": "1 KZT/kWh"}


def test_lengths_are_those_dated_to_the_day(tables: dict[str, pd.DataFrame]):
    events = tables["mining_regulation_events"]
    assert dict(losses.lengths(events, "rationing")[["iso3", "days"]].to_numpy()) == {"IRN": 68, "KAZ": 7}
    assert losses.lengths(events, "internet")["days"].tolist() == [5]


def test_sizes_say_what_was_not_known_yet(tables: dict[str, pd.DataFrame]):
    prices, events = tables["industrial_power_prices"], tables["mining_regulation_events"]
    late, early = (losses.sizes(prices, events, day) for day in ("2026-07-01", "2020-12-31"))
    assert late.hindsight == ()
    assert len(early.hindsight) == 3
    pd.testing.assert_frame_equal(late.steps, early.steps)
    assert len(losses.sizes(prices, events, "2022-06-01").steps) < len(late.steps)
    with pytest.raises(Refusal, match="internet"):
        losses.sizes(prices, events[events["kind"] != "internet_shutdown"], "2026-07-01")


def test_idle_months_of_2021_lie_between_a_season_and_a_year(tables: dict[str, pd.DataFrame]):
    low, high = losses.idle_after_ban(tables["btc_network_daily"], 0.46, "2021-05-21")
    assert 2 < low < 4 < high < 9
    with pytest.raises(Refusal, match="came back"):
        losses.idle_after_ban(tables["btc_network_daily"], 0.46, "2026-05-20")


def test_assumptions_name_each_input_once_and_use_the_tables(tables: dict[str, pd.DataFrame]):
    found = losses.assumptions(tables["dc_inputs"], (2.0, 6.0))
    middles = bottomup.middles(found)
    assert set(middles) == set(VALUES)
    assert middles["build_months"] == 21
    assert [one.name for one in found if not one.origin.startswith(bottomup.STATED)] == [
        "idle_months", "build_months", "pue",
    ]  # fmt: skip
    with pytest.raises(Refusal, match="PUE"):
        losses.assumptions(tables["dc_inputs"].head(0), (2.0, 6.0))


# ---------------------------------------------------------------- one event


def test_worth_in_use_worked_by_hand():
    # half-worn rigs run off in 2 years on average: 60,000. A renewal at u is worth 60,000 for u < 1, then
    # 30,000 (5 - u) - 60,000 up to u = 3: over rigs of all ages (60,000 + 60,000) / 4
    assert losses.worth_in_use(MINE, 5, 0.0) == pytest.approx(90_000, rel=1e-12)
    assert losses.worth_in_use(HOST, 5, 0.0) == 150_000
    assert losses.worth_in_use(HOST, 5, 0.1) == pytest.approx(30_000 * (1 - 1.1**-5) / np.log(1.1))
    poor = Use("mining", 10_000.0, 10_000.0, 80_000.0, 60_000.0, 4.0, 0.05, 1e6)
    assert losses.worth_in_use(poor, 50, 0.0) == pytest.approx(20_000)  # no rig is renewed


def test_events_of_a_mine_worked_by_hand():
    found = losses.one_event(MINE, VALUES, PAST, **PLAIN)
    assert found["seizure"].tolist() == [40_000 + 15_000]  # written down, and half a year; worth 90,000
    assert found["war"].tolist() == [0.35 * 40_000 + 36_525]
    assert found["inconvertibility"] == pytest.approx([0.25 * 30_000 * 0.3])
    assert found["ban"].tolist() == [10_000 + 5_000 + 10_000]  # plant, move, four months; giving up costs 75,000
    assert found["tariff"] == pytest.approx([25_000, 5_000, 25_000])  # leaves; 1,000 for five years; 0.5 c: leaves
    assert found["rationing"] == pytest.approx([1_000, 2_000])
    assert found["internet"] == pytest.approx([500])
    assert found["outage"] == pytest.approx([36_525 / 365.25 / 1_440])
    assert set(found) == set(hazards.PERILS)


def test_events_of_a_data_centre_worked_by_hand():
    found = losses.one_event(HOST, VALUES, PAST, **PLAIN)
    assert found["seizure"].tolist() == [80_000]  # half of the capital and a year of margin
    assert found["ban"].tolist() == [0]
    assert found["inconvertibility"] == pytest.approx([0.5 * 30_000 * 0.3])
    assert found["tariff"] == pytest.approx([0, 500, 2_500])  # a tenth of 1,000 and 5,000 for five years
    assert found["rationing"] == pytest.approx([500, 1_000])  # rent and as much again, on a quarter of the days
    assert found["internet"] == pytest.approx([1_000])
    assert found["outage"] == pytest.approx([36_525 / 365.25 / 1_440 * 2 * 0.1])


def test_a_seizure_costs_capital_or_worth_but_never_both():
    def seized(capital: float) -> float:
        use = Use("hosting", 36_525.0, 30_000.0, capital, 0.0, 1.0, 0.05, 1e6)
        return losses.one_event(use, VALUES, PAST, **PLAIN)["seizure"].item()

    assert seized(200_000) - seized(100_000) == 50_000  # twice the capital, twice what is written down
    assert seized(1e9) == 150_000  # never replaced: the margin to the end of the life
    assert losses.one_event(HOST, VALUES, PAST, life=10.0, discount_rate=0.1, age=10.0)["seizure"].item() == 0


def test_discounting_makes_a_lock_dearer_and_a_tariff_cheaper():
    plain, dear = (losses.one_event(HOST, VALUES, PAST, life=10.0, discount_rate=rate) for rate in (0.0, 0.21))
    # a year's margin, half of it local, half a year late on average: 1 - 0.7 / 1.1
    assert dear["inconvertibility"] == pytest.approx([0.5 * 30_000 * (1 - 0.7 / 1.1)])
    assert (dear["tariff"][1:] < plain["tariff"][1:]).all()


uses = st.builds(
    lambda name, takes, cost, capital, part: Use(
        name, takes, takes - cost, capital, capital * part if name == "mining" else 0.0, 4.0, 0.05, 8e6
    ),
    st.sampled_from(["mining", "hosting"]), st.floats(0, 2e6), st.floats(0, 3e5), st.floats(0, 2e7),
    st.floats(0.1, 0.9),
)  # fmt: skip


@given(uses, st.floats(0, 10), st.floats(0, 0.3), st.floats(2, 50))
def test_no_event_costs_less_than_nothing_or_more_than_it_can(use: Use, age: float, rate: float, times: float):
    found = losses.one_event(use, VALUES, PAST, life=10.0, discount_rate=rate, age=age)
    assert all((usd >= 0).all() for usd in found.values())
    most = max(losses.worth_in_use(use, 10 - age, rate), use.rigs / 4) * (1 + 1e-9)
    assert max(found["seizure"].max(), found["war"].max(), found["ban"].max()) <= most
    assert found["tariff"].max() <= max(use.margin, 0) * float(losses.annuity(rate, 10 - age)) * (1 + 1e-9) + 1e-6
    if use.name == "mining":
        assert found["tariff"].max() <= found["ban"].max()
    # a peso instead of a dollar changes nothing but the unit
    in_pesos = Use(
        use.name, use.takes * times, use.margin * times, use.capital * times, use.rigs * times, 4.0, 0.05 * times, 8e6
    )
    past = Sizes(PAST.steps.assign(usd_per_kwh=PAST.steps["usd_per_kwh"] * times), PAST.rationing, PAST.shutdown)
    values = VALUES | {"move_cost": 5_000 * times}
    for peril, usd in losses.one_event(in_pesos, values, past, life=10.0, discount_rate=rate, age=age).items():
        assert usd == pytest.approx(found[peril] * times, rel=1e-9, abs=1e-6)


# ---------------------------------------------------------------- a year


def test_simulation_meets_the_closed_form():
    sites = ["A", "B", "C"]
    rates = believed({"seizure": [0.02, 0.02, 0.05], "tariff": [0.3, 0.3, 0.1], "rationing": [0.2, 0.2, 0.4]}, sites)
    orders = pd.Series(["X", "X", "Y"], sites)
    counts = hazards.simulate(rates, shared(), orders, 40_000, np.random.default_rng(1))
    for use in (MINE, HOST):
        event = losses.one_event(use, VALUES, PAST, **PLAIN)
        parts = losses.by_peril(counts, rates.outage["mean"], event, orders.tolist(), np.random.default_rng(2))
        closed = losses.expected(rates.mean, rates.outage["mean"], event)
        for peril in hazards.PERILS:  # within five standard errors of the simulation
            error = parts[peril].std(axis=0) / 200 + 1e-9
            assert (np.abs(parts[peril].mean(axis=0) - closed[peril]) < 5 * error).all(), peril
        total = losses.annual(parts, event, sites)
        assert total.max().max() <= event["seizure"].item() + 1e-9
        assert (total.mean() <= closed.sum(axis=1) + 5 * total.std() / 200).all()


def test_tails_of_sites_alone_meet_closed_forms():
    # a seizure a year with chance 1 - exp(-0.002), and nothing else: CVaR is the size times that chance over the tail's
    sites = ["A", "B", "C"]
    rates = believed({"seizure": [0.002, 0.002, 0.02]}, sites, shape=1e9)
    rates.outage["mean"] = 0.0
    assert losses.laws(rates).tolist() == [0, 0, 1]
    events = {use.name: losses.one_event(use, VALUES, PAST, **PLAIN) for use in (MINE, HOST)}
    quiet = shared().assign(year=0.0)
    found = losses.tails(rates, quiet, events, 120_000, np.random.default_rng(6))
    for use, event in events.items():
        size = event["seizure"].item()
        for site, rate in (("A", 0.002), ("C", 0.02)):
            hit = 1 - np.exp(-rate)
            told = found[use].loc[site]
            assert told["cvar_95"] == pytest.approx(size * hit / 0.05, abs=5 * told["cvar_95_error"])
            assert told["cvar_99"] == pytest.approx(size * min(1.0, hit / 0.01), abs=5 * told["cvar_99_error"] + 1e-6)
            assert told["raw"] == pytest.approx(rate * size, abs=5 * size * np.sqrt(rate / 120_000))
            assert 0 <= told["capped"] < rate**2
    assert found["hosting"].loc["C", "cvar_99"] == pytest.approx(events["hosting"]["seizure"].item())


def test_no_hazard_no_loss():
    rates = believed({}, ["A"])
    rates.outage["mean"] = 0.0
    counts = hazards.simulate(rates, shared(), pd.Series(["X"], ["A"]), 500, np.random.default_rng(1))
    event = losses.one_event(MINE, VALUES, PAST, **PLAIN)
    parts = losses.by_peril(counts, [0.0], event, ["X"], np.random.default_rng(1))
    assert losses.annual(parts, event, ["A"]).to_numpy().max() == 0
    assert losses.expected(rates.mean, [0.0], event).to_numpy().max() == 0


def test_sites_of_one_order_and_both_uses_meet_the_same_events():
    none = np.zeros((2_000, 3), dtype=np.int64)
    counts = dict.fromkeys(hazards.COUNTED, none) | {"rationing": none + 2}
    made = {
        use.name: losses.by_peril(
            counts, [0.0] * 3, losses.one_event(use, VALUES, PAST, **PLAIN), ["X", "X", "Y"], np.random.default_rng(5)
        )["rationing"]
        for use in (MINE, HOST)
    }
    mine = made["mining"]
    assert (mine[:, 0] == mine[:, 1]).all()
    assert (mine[:, 0] == mine[:, 2]).mean() == pytest.approx(3 / 8, abs=0.05)  # sums of two of two sizes: 1 2 1 in 4
    assert np.allclose(made["hosting"], mine / 2)
    assert set(np.unique(mine)) == {2_000.0, 3_000.0, 4_000.0}


def test_counts_must_fit_the_sites():
    counts = dict.fromkeys(hazards.COUNTED, np.zeros((9, 2), dtype=np.int64))
    event = losses.one_event(MINE, VALUES, PAST, **PLAIN)
    with pytest.raises(Refusal, match="each of the 3 sites"):
        losses.by_peril(counts, [0.0] * 3, event, ["X", "Y", "Z"], np.random.default_rng(1))
    with pytest.raises(Refusal, match="every peril"):
        losses.expected(pd.DataFrame({"seizure": [0.1]}, ["A"]), [0.0], event)


# ---------------------------------------------------------------- the tail


@pytest.mark.parametrize(("level", "published"), [(0.95, 2.06271), (0.99, 2.66521)])
def test_the_tail_of_the_normal_is_the_published_one(level: float, published: float):
    grid = pd.DataFrame({"A": stats.norm.ppf((np.arange(400_000) + 0.5) / 400_000)})
    assert losses.summary(grid, [level]).loc["A", f"cvar_{level * 100:g}"] == pytest.approx(published, abs=1e-4)


def test_the_summary_is_by_site():
    draws = pd.DataFrame({"A": np.r_[np.zeros(99), 100.0], "B": np.zeros(100)})
    found = losses.summary(draws)
    assert found.loc["A", ["mean", "cvar_95", "cvar_99"]].tolist() == pytest.approx([1, 20, 100])
    assert (found.loc["B"] == 0).all()
    assert losses.tail_charge(found)["A"] == pytest.approx(0.06 * 99)


def test_over_a_life_an_even_loss_is_an_annuity():
    # rationing alone costs a data centre the same at every age; a seizure costs nothing here but ends the exposure
    rates = believed({"rationing": [0.4, 0.4], "seizure": [0.0, 0.1]}, ["A", "B"]).mean
    use = Use("hosting", 36_525.0, 0.0, 0.0, 0.0, 1.0, 0.05, 1e6)
    found = losses.over_life(use, VALUES, PAST, rates, [0.0, 0.0], life=12.0, discount_rate=0.08)
    force = np.log(1.08) + np.array([0.0, 0.1])
    assert found["loss"].to_numpy() == pytest.approx(0.4 * 750 * (1 - np.exp(-force * 12)) / force, rel=1e-3)
    assert found["earned"].tolist() == [0, 0]


# ---------------------------------------------------------------- the premium


def curve(at_zero: float, slope: float) -> pd.DataFrame:
    """A mean cost of a seizure that falls evenly with the power price, and nothing else."""
    grid = losses.price_grid(0.05)
    zero = dict.fromkeys(hazards.PERILS, 0.0)
    return losses.cost_curve(
        {p: {peril: np.array([usd]) for peril, usd in (zero | {"seizure": at_zero - slope * p}).items()} for p in grid}
    )


def rate(*seizure: float) -> np.ndarray:
    found = np.zeros((len(seizure), len(hazards.PERILS)))
    found[:, 0] = seizure
    return found


def test_the_premium_solves_its_equation():
    # kwh d = rate (a - b (p - d)) - 0.02 (a - b p)  =>  d = (rate - 0.02) (a - b p) / (kwh - rate b)
    found = losses.risk_premium(curve(5e5, 2e6), rate(0.02, 0.05, 0.01, 0.02), 0, 0.05, 8e6)
    by_hand = [(r - 0.02) * (5e5 - 1e5) / (8e6 - r * 2e6) for r in (0.02, 0.05, 0.01, 0.02)]
    assert found == pytest.approx(by_hand, abs=1e-8)
    assert found[0] == 0
    assert found[2] < 0 < found[1]


def test_the_premium_rises_with_the_hazard_and_can_be_out_of_reach():
    found = losses.risk_premium(curve(5e5, 0.0), rate(*np.linspace(0, 1, 9)), 0, 0.05, 8e6)
    assert (np.diff(found) > 0).all()
    assert found == pytest.approx(np.linspace(0, 1, 9) * 5e5 / 8e6)
    assert losses.risk_premium(curve(5e6, 0.0), rate(0.0, 1.0), 0, 0.05, 8e6)[1] == np.inf
    assert (
        losses.risk_premium(curve(5e6, 9e6), rate(0.0, 1.0), 0, 0.05, 8e6)[1] == np.inf
    )  # a dollar adds more than one


def test_draws_of_rates_are_shared_within_an_order_and_have_the_right_mean():
    rates = believed({"ban": [0.1, 0.1, 0.3]}, ["A", "B", "C"])
    found = losses.rate_draws(rates, ["X", "X", "Y"], 20_000, np.random.default_rng(4))
    assert found.shape == (20_000, 3, len(hazards.PERILS))
    ban = found[:, :, hazards.PERILS.index("ban")]
    assert (ban[:, 0] == ban[:, 1]).all()
    assert ban.mean(axis=0) == pytest.approx([0.1, 0.1, 0.3], rel=5 * 0.5 / np.sqrt(20_000))  # gamma of shape 4
    minutes = found[:, 0, -1]
    assert (minutes.min() >= 50, minutes.max() <= 300) == (True, True)
    assert np.median(minutes) == pytest.approx(100, rel=0.02)


# ---------------------------------------------------------------- what is known of prices


def test_known_prices_are_of_the_place_and_as_printed(tables: dict[str, pd.DataFrame]):
    prices, points = tables["industrial_power_prices"], tables["electricity_price_points"]
    places = tables["site_candidates"].set_index("site_id")

    def known(site: str, country: str, day: str = "2026-07-01") -> pd.DataFrame:
        return losses.known_prices(places.loc[site].to_dict(), country, prices, points, day)

    kazakh = known("EKB_KZ", "Kazakhstan").set_index("kind")
    assert kazakh.loc["mining_claimed_low", ["value", "unit", "source_kind"]].tolist() == [
        0.03,
        "USD/kWh",
        "press_claim",
    ]
    assert not kazakh.index.str.contains("fee|RESIDENTIAL|warehouse").any()  # a levy, a household, Almaty
    texas = known("TX_ERCOT", "United States")
    assert {"industrial_retail_average", "IREN Childress net electricity cost"} < set(texas["kind"])
    assert texas["date"].is_monotonic_decreasing
    assert texas.query("kind == 'industrial_retail_average'")["value"].tolist() == [6.6]
    assert known("BT", "Bhutan").empty
    assert known("EKB_KZ", "Kazakhstan", "2020-12-31").empty


def test_prices_are_compared_within_one_kind_and_period(tables: dict[str, pd.DataFrame]):
    prices, places = tables["industrial_power_prices"], tables["site_candidates"].set_index("site_id")

    def gaps(site: str, other: str) -> pd.DataFrame:
        return losses.price_gaps(places.loc[site], places.loc[other], prices, "2026-07-01")

    newest = gaps("GA_US", "TX_ERCOT").iloc[0]  # average industrial revenue of 2023: 6.88 and 6.60 US cents
    assert newest[["price_kind", "period"]].tolist() == ["industrial_retail_average", pd.Timestamp("2023-01-01")]
    assert (newest["cheaper"], newest["usd_per_kwh"]) == pytest.approx((-0.28, -0.0028))
    assert gaps("NO", "SE")["usd_per_kwh"].isna().all()  # euros
    assert gaps("EKB_KZ", "TX_ERCOT").empty  # a miner's claim is no average of industry
    assert gaps("FI", "FI").empty
