"""Mining economics against hand-worked cases, identities of the chain's own table, closed forms and planted fleets."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from wattshift import bitcoin, data, mining
from wattshift.mining import Fleet, Miner, Rigs
from wattshift.refusal import Refusal

# A site worked by hand: 20 J/TH is 480 kWh per PH/s and day.
SITE = Miner(
    efficiency=20.0,
    power_price=0.05,
    uptime=0.96,
    pool_fee=0.01,
    site_overhead=0.05,
    opex=0.01,
    rig_price=14.61,
    rig_life=4.0,
)
POWER = 480 * 1.05 * 0.05  # 25.2 USD
CASH = POWER + 480 * 0.01 / 0.96  # + 5.0
ALL_IN = CASH + 14.61 * 1_000 / 1_461 / 0.96  # + 10 USD a day over 96 % of the day
BASES = ("power", "cash", "all-in")


@pytest.fixture(scope="module")
def network():
    """The days with a price to 2026-06-01, whatever the table has grown to."""
    days = data.load("btc_network_daily").query("blocks > 0 and price_usd > 0 and date <= '2026-06-01'")
    return days.reset_index(drop=True)


def test_efficiency_of_nameplates():
    """METHODS 28: 3,250 W at 110 TH/s is 29.5 J/TH, 3,500 W at 200 TH/s is 17.5 J/TH; the table says the same."""
    rigs = data.load("asic_models").set_index("model")
    for model, j_per_th in {"Antminer S19 Pro": 29.5, "Antminer S21": 17.5}.items():
        assert rigs.loc[model, "j_per_th"] == pytest.approx(j_per_th, abs=0.06)
        watts_per_ph = rigs.loc[model, "watts"] / rigs.loc[model, "th_s"] * 1_000
        assert mining.rig_kwh_per_ph_day(rigs.loc[model, "j_per_th"]) == pytest.approx(
            watts_per_ph * 24 / 1_000, rel=1e-3
        )


def test_a_rig_is_looked_up_and_a_wrong_one_refused_with_the_nearest():
    models = data.load("asic_models")
    read = mining.read_rigs(models)
    assert mining.rig_efficiency(read, "Antminer S21", 99.0) == 17.5
    assert mining.rig_efficiency(read, "none", 99.0) == 99.0
    with pytest.raises(Refusal, match=r"^rig cannot be 'antminer s 21': .* for example Antminer S21, or none"):
        mining.rig_efficiency(read, "antminer s 21", 99.0)
    with pytest.raises(Refusal, match="for example Antminer S19,"):  # what is asked for is part of its name
        mining.rig_efficiency(read, "S19", 99.0)
    unread = models[models["source"].str.contains("UNVERIFIED")]["model"]
    assert len(unread) == len(models) - len(read) > 0
    with pytest.raises(Refusal):
        mining.rig_efficiency(read, unread.iloc[0], 99.0)
    assert mining.rig_efficiency(mining.read_rigs(models, unverified=True), unread.iloc[0], 99.0) > 0


def test_breakeven_price_of_the_style_guide():
    assert round(mining.breakeven_price(0.05, efficiency=20, hashrate=1_000, subsidy=3.125)) == 53_333
    once = mining.breakeven_price(0.05, 20, 1_000, 3.125)
    assert mining.breakeven_price(0.05, 20, 1_000, 3.125 / 2) == pytest.approx(2 * once)
    assert mining.breakeven_price(0.05, 10, 2_000, 3.125) == pytest.approx(once)


# Hashprice


def test_block_luck_cancels_in_hashprice(network):
    """Estimated-hashrate and difficulty-implied hashprice are one number on every day (6 digits kept)."""
    per_block = network["fees_btc"] / network["blocks"]
    subsidy = network["issuance_btc"] / network["blocks"]
    measured = mining.hashprice(*(network[c] for c in ("issuance_btc", "fees_btc", "price_usd", "hashrate_ehs")))
    implied = mining.hashprice_from_difficulty(subsidy, per_block, network["price_usd"], network["difficulty"])
    np.testing.assert_allclose(measured, implied, rtol=1e-5)


def test_mixed_denominators_put_the_luck_back(network):
    """The trap: 144 planned blocks over the estimated hashrate of a day. Its noise is the luck, 8.3 % at 144 blocks."""
    recent = network[network["date"].between("2025-01-01", "2025-12-31")]
    right = mining.hashprice(450.0, 0.0, 1.0, bitcoin.hashrate_from_difficulty(recent["difficulty"]))
    wrong = mining.hashprice(450.0, 0.0, 1.0, recent["hashrate_ehs"])
    luck = np.log(wrong / right)
    assert 0.06 < luck.std() < 0.11
    np.testing.assert_allclose(wrong / right, 144 / recent["blocks"], rtol=1e-5)


def test_hashprice_scales_as_it_must():
    base = mining.hashprice_from_difficulty(6.25, 0.1, 60e3, 8e13)
    assert mining.hashprice_from_difficulty(6.25, 0.1, 120e3, 8e13) == pytest.approx(2 * base)
    assert mining.hashprice_from_difficulty(6.25, 0.1, 60e3, 16e13) == pytest.approx(base / 2)
    assert mining.hashprice_from_difficulty(3.125, 0.05, 60e3, 8e13) == pytest.approx(base / 2)


# Break-even and shutdown


def test_costs_worked_by_hand():
    assert [mining.cost_usd_per_ph_day(SITE, basis) for basis in BASES] == pytest.approx([POWER, CASH, ALL_IN])
    assert mining.breakeven_hashprice(SITE, "cash") == pytest.approx(CASH / 0.99)


@pytest.mark.parametrize("basis", BASES)
def test_breakevens_are_where_the_margin_is_zero(basis):
    hashprice = mining.breakeven_hashprice(SITE, basis)
    assert mining.margin_usd_per_ph_day(SITE, hashprice, basis) == pytest.approx(0, abs=1e-12)
    assert mining.breakeven_power_price(SITE, hashprice, basis) == pytest.approx(SITE.power_price)
    coins = 0.00045
    price = mining.shutdown_price(SITE, coins, basis)
    assert price * coins == pytest.approx(hashprice)
    line = mining.efficiency_at_shutdown_price(SITE, SITE.power_price, price, coins, basis)
    assert line == pytest.approx(SITE.efficiency)


def test_free_energy_puts_no_limit_on_efficiency():
    free = replace(SITE, opex=0.0)
    assert mining.efficiency_at_shutdown_price(free, 0.0, 1e5, 4e-4, "power") == np.inf
    assert mining.efficiency_at_shutdown_price(free, 0.0, 1e4, 4e-4, "all-in") == -np.inf  # capital alone costs more


def test_uptime_cancels_for_the_switch_but_not_for_costs_by_the_calendar():
    half = replace(SITE, uptime=SITE.uptime / 2)
    assert mining.shutdown_price(half, 4e-4, "power") == mining.shutdown_price(SITE, 4e-4, "power")
    for basis in ("cash", "all-in"):
        extra = mining.cost_usd_per_ph_day(SITE, basis) - POWER
        assert mining.cost_usd_per_ph_day(half, basis) == pytest.approx(POWER + 2 * extra)
    assert mining.margin_usd_per_ph_day(half, 60.0, "power") == pytest.approx(
        mining.margin_usd_per_ph_day(SITE, 60.0, "power") / 2
    )


def test_a_loss_between_power_and_cash_is_smaller_on_than_off():
    """Between the two break-evens switching off loses the whole opex, hashing loses part of it."""
    hashprice = (POWER + 1) / 0.99
    off = -0.01 * 480  # opex of a dark day, per PH/s installed
    assert off < mining.margin_usd_per_ph_day(SITE, hashprice, "cash") < 0


def test_capital_cost_is_an_annuity():
    """Payments at year ends, discounted, are worth the price paid."""
    yearly = mining.capital_usd_per_ph_day(15, 4, 0.1) * 365.25
    assert sum(yearly / 1.1**year for year in range(1, 5)) == pytest.approx(15_000)
    assert mining.capital_usd_per_ph_day(15, 4, 1e-9) == pytest.approx(mining.capital_usd_per_ph_day(15, 4), rel=1e-6)


def test_a_whole_table_at_once():
    rigs = data.load("asic_models")
    miner = replace(SITE, efficiency=rigs["j_per_th"])
    prices = mining.shutdown_price(miner, 4e-4, "all-in")
    assert prices.index.equals(rigs.index)
    one = mining.shutdown_price(replace(SITE, efficiency=float(rigs["j_per_th"].iloc[7])), 4e-4, "all-in")
    assert prices.iloc[7] == pytest.approx(one)


# Decomposition


def test_the_articles_figures_give_minus_sixty_percent():
    """Half the subsidy, price + 60 %, hashrate doubled, no fees: 0.5 x 1.6 / 2 = 0.4."""
    before = pd.Series({"subsidy_btc": 6.25, "fees_btc": 0.0, "price_usd": 60e3, "difficulty": 8e13})
    after = before * [0.5, 1, 1.6, 2]
    table = mining.decompose(before, after)
    assert table["factor"].to_dict() == pytest.approx(
        {"subsidy": 0.5, "fees": 1, "price": 1.6, "difficulty": 0.5, "total": 0.4}
    )


def test_decomposition_closes_on_every_pair_of_windows(network):
    """400 random pairs of windows of the real table: sums close to 1e-9 in logs and in USD (seed 2)."""
    rng = np.random.default_rng(2)
    full = network[network["date"] >= "2011-01-01"]
    for _ in range(400):
        i, j = rng.integers(0, len(full) - 30, 2)
        days = int(rng.integers(1, 31))
        before, after = (mining.window_means(full.iloc[k : k + days]) for k in (i, j))
        table = mining.decompose(before, after)
        parts = table.drop("total")
        start, end = before["hashprice_usd_per_ph_day"], after["hashprice_usd_per_ph_day"]
        assert parts["log_change"].sum() == pytest.approx(np.log(end / start), abs=1e-9)
        assert parts["usd_per_ph_day"].sum() == pytest.approx(end - start, abs=1e-9 * max(start, end))
        assert parts["factor"].prod() == pytest.approx(end / start, rel=1e-9)


def test_decomposition_is_free_of_order_and_adds_over_time():
    states = [
        pd.Series({"subsidy_btc": s, "fees_btc": f, "price_usd": p, "difficulty": d})
        for s, f, p, d in [(6.25, 0.3, 6e4, 8e13), (3.125, 1.2, 7e4, 9e13), (3.125, 0.02, 1e5, 1.4e14)]
    ]
    through = (
        mining.decompose(states[0], states[1])["log_change"] + mining.decompose(states[1], states[2])["log_change"]
    )
    straight = mining.decompose(states[0], states[2])["log_change"]
    pd.testing.assert_series_equal(through, straight, rtol=1e-12)
    back = mining.decompose(states[2], states[0])
    np.testing.assert_allclose(back["log_change"], -straight, rtol=1e-12)
    np.testing.assert_allclose(
        back["usd_per_ph_day"], -mining.decompose(states[0], states[2])["usd_per_ph_day"], rtol=1e-10
    )


def test_fees_cushion_a_halving():
    """Fees of 1 BTC a block that stay: 7.25 becomes 4.125; subsidy takes ln 2, fees give ln(1.32/1.16) back."""
    before = pd.Series({"subsidy_btc": 6.25, "fees_btc": 1.0, "price_usd": 6e4, "difficulty": 8e13})
    table = mining.decompose(before, before.replace(6.25, 3.125))
    assert table.loc["subsidy", "log_change"] == pytest.approx(-np.log(2))
    assert table.loc["fees", "log_change"] == pytest.approx(np.log(1.32 / 1.16))
    assert table.loc["total", "factor"] == pytest.approx(4.125 / 7.25)


def test_a_window_is_total_revenue_over_total_work(network):
    window = network[network["date"].between("2024-04-05", "2024-05-04")]  # straddles a halving and a retarget
    revenue = ((window["issuance_btc"] + window["fees_btc"]) * window["price_usd"]).sum()
    ph_days = (window["hashrate_ehs"] * 1_000).sum()
    told = mining.window_means(window)["hashprice_usd_per_ph_day"]
    assert told == pytest.approx(revenue / ph_days, rel=1e-5)


def test_the_halving_day_follows_the_table_not_the_clock(network):
    """Block 840,000 came on 2024-04-20 00:09 UTC, and the table books it on the day before (day boundary trap)."""
    days = network.set_index("date")
    per_block = days["issuance_btc"] / days["blocks"]
    assert per_block["2024-04-18"] == 6.25
    assert 3.125 < per_block["2024-04-19"] < 6.25
    assert per_block["2024-04-20"] == 3.125


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], "no blocks"),
        ([(0, 1e4, 0.0)], "no blocks"),
        ([(144, np.nan, 450.0)], "without a price"),
    ],
)
def test_windows_that_say_nothing_are_refused(rows, why):
    frame = pd.DataFrame(rows, columns=["blocks", "price_usd", "issuance_btc"]).assign(difficulty=1e13, fees_btc=0.0)
    with pytest.raises(ValueError, match=why):
        mining.window_means(frame)


@pytest.mark.parametrize(
    ("end", "days", "why"),
    [("2026-06-02", 1, "not all among"), ("2009-01-20", 30, "not all among"), ("2010-07-18", 2, "no quoted price")],
)
def test_windows_over_no_data_are_refused_in_one_sentence(end, days, why):
    known = data.load("btc_network_daily").query("date <= '2026-06-01'")
    with pytest.raises(Refusal, match=why) as caught:
        mining.window_ending(known, end, days)
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize(
    ("first", "second", "days", "said"),
    [
        ("2009-01-05", "2026-06-01", 30, "waterfall_start cannot be 2009-01-05: it ends a window of 30 days"),
        ("2010-08-15", "2026-06-01", 30, "so give a day from 2010-08-16 to 2026-06-01"),
        ("2024-04-18", "2030-01-05", 30, "waterfall_end cannot be 2030-01-05"),
        ("2024-04-18", "2026-06-01", 10_000, "waterfall_days cannot be 10000: between 2010-07-18"),
        ("2024-04-18", "2024-04-18", 30, "waterfall_end cannot be 2024-04-18 when waterfall_start is 2024-04-18"),
    ],
)
def test_windows_that_cannot_be_compared_are_refused_by_the_parameter_s_name(network, first, second, days, said):
    halving_day = pd.Timestamp("2024-04-19")
    with pytest.raises(Refusal) as caught:
        mining.check_windows(network, halving_day, pd.Timestamp(first), pd.Timestamp(second), days)
    assert said in str(caught.value)
    assert (
        mining.check_windows(network, halving_day, pd.Timestamp("2010-08-16"), pd.Timestamp("2026-06-01"), 30) is None
    )


def test_a_window_ends_where_it_says(network):
    window = mining.window_ending(network, "2024-04-18", 30)
    assert [str(day.date()) for day in window["date"].iloc[[0, -1]]] == ["2024-03-20", "2024-04-18"]


def test_log_mean_lies_between_the_geometric_and_the_arithmetic():
    a, b = np.array([1.0, 40.0, 7.0]), np.array([9.0, 39.999, 7.0])
    told = mining.log_mean(a, b)
    assert (told >= np.sqrt(a * b) * (1 - 1e-12)).all()
    assert (told <= (a + b) / 2 * (1 + 1e-12)).all()
    assert told[0] == pytest.approx(8 / np.log(9))


# Fleets


def fleet(**changes):
    return Fleet(**{"median": SITE, "efficiency_spread": 0.3, "power_spread": 0.2, "correlation": -0.4, **changes})


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("correlation", [-0.8, 0.0, 0.5])
def test_share_on_is_the_share_of_a_large_draw(basis, correlation):
    """400,000 parcels (seed 5): standard error 0.0008, tolerance 0.004."""
    planted = fleet(correlation=correlation)
    draw = planted.draw(400_000, np.random.default_rng(5))
    miners = replace(SITE, efficiency=draw["j_per_th"].to_numpy(), power_price=draw["usd_per_kwh"].to_numpy())
    hashprices = np.array([20.0, 30.0, 45.0])
    counted = Rigs(miners, np.ones(len(draw))).share_on(hashprices, basis)
    np.testing.assert_allclose(planted.share_on(hashprices, basis), counted, atol=0.004)


def test_quadrature_agrees_with_the_closed_form():
    """Without fixed costs "cash" is "power": an average over efficiencies against one normal CDF."""
    plain = fleet(median=replace(SITE, opex=0.0))
    h = np.linspace(10, 60, 26)
    np.testing.assert_allclose(plain.share_on(h, "cash"), plain.share_on(h, "power"), atol=1e-10)


def test_a_fleet_without_spread_is_one_rig():
    same = fleet(efficiency_spread=0.0, power_spread=0.0, correlation=0.0)
    for basis in BASES:
        at = mining.breakeven_hashprice(SITE, basis)
        assert same.share_on(np.array([at * 0.999, at * 1.001]), basis).tolist() == [0, 1]


def test_free_power_always_runs_on_power():
    free = fleet(median=replace(SITE, power_price=0.0))
    assert free.share_on(np.array([1.0, 50.0]), "power").tolist() == [1, 1]
    assert free.share_on(np.array([0.1, 50.0]), "cash") == pytest.approx([0, 1], abs=1e-6)


def test_draw_has_the_planted_medians_and_correlation():
    draw = np.log(fleet().draw(200_000, np.random.default_rng(11)))
    assert np.exp(draw.median()).to_numpy() == pytest.approx([20, 0.05], rel=0.005)
    assert draw.std().to_numpy() == pytest.approx([0.3, 0.2], rel=0.01)
    assert draw.corr().iloc[0, 1] == pytest.approx(-0.4, abs=0.01)


# The network's answer


@pytest.mark.parametrize("shock", [-0.7, -0.5, -0.3, -0.05, 0.0, 0.2])
def test_settled_state_is_a_fixed_point(shock):
    """The marginal rig breaks even: what is on at the settled hashprice is what the settled hashrate says."""
    answer = mining.settle(fleet(), 950.0, 40.0, shock)
    running = answer.capacity_ehs * fleet().share_on(answer.hashprice_settled)
    assert running == pytest.approx(950 * (1 - answer.off_settled), rel=1e-9)
    # and the same revenue is shared: hashprice x hashrate = 40 x (1 + shock) x 950
    assert answer.hashprice_settled * running == pytest.approx(40 * (1 + shock) * 950, rel=1e-9)
    assert answer.difficulty_change == pytest.approx(-answer.off_settled)


def test_the_answer_is_calibrated_and_smaller_after_difficulty_moves():
    shocks = np.array([-0.6, -0.4, -0.2])
    answer = mining.settle(fleet(), 950.0, 40.0, shocks)
    assert mining.settle(fleet(), 950.0, 40.0, 0.0).off_at_once == pytest.approx(0, abs=1e-12)
    assert (answer.off_at_once > answer.off_settled).all()
    assert (answer.hashprice_settled > answer.hashprice_at_once).all()
    assert (answer.hashprice_settled < 40).all()
    np.testing.assert_allclose(answer.seconds_per_block, 600 / (1 - answer.off_at_once))


def test_with_an_inelastic_supply_nobody_leaves_and_with_an_elastic_one_hashprice_returns():
    cheap = fleet(median=replace(SITE, power_price=0.001))
    gone = mining.settle(cheap, 950.0, 40.0, -0.5)
    assert gone.off_settled == pytest.approx(0, abs=1e-6)
    assert gone.hashprice_settled == pytest.approx(20, rel=1e-6)
    # all rigs cost 30: with free exit hashprice is 30 and hashrate falls to revenue / 30
    same = Rigs(Miner(np.full(3, 25.0), 0.05), np.ones(3))
    back = mining.settle(same, 900.0, 40.0, -0.5)
    assert back.hashprice_settled == pytest.approx(30)
    assert back.off_settled == pytest.approx(1 - 20 / 30)
    assert back.off_at_once == 1
    assert back.seconds_per_block == np.inf  # every rig stops at once: the chain waits for the first one to return


def test_small_shocks_follow_the_elasticity():
    """Settled hashrate moves by e / (1 + e) per unit of log revenue (closed form phi / (spread Phi))."""
    z = np.log(40 / mining.breakeven_hashprice(SITE, "power")) / fleet().cost_spread()
    elasticity = norm.pdf(z) / norm.cdf(z) / fleet().cost_spread()
    assert mining.supply_elasticity(fleet(), 40.0) == pytest.approx(elasticity, rel=1e-6)
    answer = mining.settle(fleet(), 950.0, 40.0, np.expm1(-1e-4))
    assert answer.off_settled == pytest.approx(1e-4 * elasticity / (1 + elasticity), rel=1e-3)
    assert answer.off_at_once == pytest.approx(1e-4 * elasticity, rel=1e-3)


def test_a_fleet_with_nobody_on_is_refused():
    with pytest.raises(ValueError, match="nothing to switch off"):
        mining.settle(Rigs(Miner(np.array([50.0]), 0.05), np.ones(1)), 950.0, 40.0, -0.1)


def test_merit_order_rises_from_nothing_to_capacity():
    curve = mining.merit_order(fleet(), 1_200.0, np.geomspace(1, 1e4, 50))
    assert curve["hashrate_ehs"].is_monotonic_increasing
    assert curve["hashrate_ehs"].iloc[0] == pytest.approx(0, abs=1e-6)
    assert curve["hashrate_ehs"].iloc[-1] == pytest.approx(1_200)


def test_hashprice_for_turns_the_supply_curve_round():
    for basis in BASES:
        at = mining.hashprice_for(fleet(), 0.37, basis)
        assert float(fleet().share_on(at, basis)) == pytest.approx(0.37, abs=1e-9)
    with pytest.raises(ValueError, match="between 0 and 1"):
        mining.hashprice_for(fleet(), 1.0)


def test_who_is_under_water_is_counted_in_a_large_draw():
    """200,000 parcels (seed 6): standard error 0.0011 of the running ones, tolerance 0.006."""
    parcels = fleet().draw(200_000, np.random.default_rng(6))
    miners = replace(SITE, efficiency=parcels["j_per_th"].to_numpy(), power_price=parcels["usd_per_kwh"].to_numpy())
    costs = {basis: mining.breakeven_hashprice(miners, basis) for basis in BASES}
    runs = costs["power"] <= 34.0
    found = mining.shares_under_water(fleet(), 34.0)
    assert found["idle"] == pytest.approx(1 - runs.mean(), abs=0.006)
    for basis in ("cash", "all-in"):
        assert found[basis] == pytest.approx((costs[basis][runs] > 34.0).mean(), abs=0.006)


def test_of_a_fleet_that_does_not_run_nothing_is_said():
    found = mining.shares_under_water(Rigs(Miner(np.array([50.0]), 0.05), np.ones(1)), 20.0)
    assert found["idle"] == 1
    assert np.isnan(found["cash"])


def test_variants_move_one_assumption_each():
    base = fleet()
    made = mining.variants(base)
    moved = {
        name: [
            other.median.efficiency != base.median.efficiency, other.median.power_price != base.median.power_price,
            other.efficiency_spread != base.efficiency_spread, other.correlation != base.correlation,
        ]
        for name, other in made.items()
    }  # fmt: skip
    assert sum(map(sum, moved.values())) == len(made) - 1 == 8
    assert not any(moved["as assumed"])
    assert made["rigs 20% better"].share_on(33.0) == pytest.approx(made["power 20% cheaper"].share_on(33.0))


def test_plausible_fleets_stay_in_their_bounds_and_follow_their_seed():
    made, again = (mining.plausible_fleets(fleet(), 500, np.random.default_rng(3)) for _ in range(2))
    assert made == again
    rigs = np.array([other.median.efficiency for other in made]) / 20.0
    assert 1 / 1.2 <= rigs.min() < 0.85 < 1.18 < rigs.max() <= 1.2
    assert np.median(np.log(rigs)) == pytest.approx(0, abs=0.02)
    spreads = np.array([[other.efficiency_spread / 0.3, other.power_spread / 0.2] for other in made])
    np.testing.assert_allclose(spreads[:, 0], spreads[:, 1])
    assert max(abs(other.correlation) for other in made) <= 0.5


def test_shutdown_pairs_are_the_shutdown_prices_of_single_miners():
    running = {"uptime": 0.9, "pool_fee": 0.02, "site_overhead": 0.1, "opex": 0.01, "rig_price": 10.0, "rig_life": 4.0}
    table = mining.shutdown_pairs(pd.Series([15.0, 30.0]), (0.04, 0.06), 4e-4, running)
    assert len(table) == 2 * 2 * 2
    for row in table.itertuples():
        one = mining.shutdown_price(mining.Miner(row.j_per_th, row.power_price, **running), 4e-4, row.basis)
        assert row.shutdown_price_usd == pytest.approx(one)
    means = table.groupby("basis")["shutdown_price_usd"].mean()
    assert means["power"] < means["all-in"]
