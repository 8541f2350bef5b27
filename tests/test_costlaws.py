"""Cost laws: hand-worked cases, scaling laws, and no look into the future."""

import numpy as np
import pandas as pd
import pytest

from wattshift import costlaws, leadlag


def one(*values):
    return (np.array([value]) for value in values)


def weeks(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "date": pd.date_range("2016-01-04", periods=n, freq="7D"),
            "price_usd": np.exp(6 + np.cumsum(rng.normal(0.01, 0.08, n))),
            "hashrate_ehs": np.exp(np.cumsum(rng.normal(0.015, 0.03, n))),
            "difficulty": np.exp(26 + np.cumsum(rng.normal(0.015, 0.03, n))),
            "subsidy_btc": 12.5,
            "supply_btc": 15e6 + 12.5 * 1008 * np.arange(n),
            "j_per_th": np.geomspace(300, 30, n),
        }
    )


def test_hayes_by_hand():
    """Hayes's own way, through a miner's day: 1,000 GH/s at 1.15 J/GH and 0.135 USD/kWh spend
    1.15 kW x 24 h x 0.135 = 3.726 USD; at difficulty 41,272,873,895 and 25 BTC they earn
    25 x 1e12 x 86,400 / (41,272,873,895 x 2^32) = 0.012185 BTC; one coin costs 305.78 USD."""
    cost = costlaws.hayes_price(*one(41_272_873_895.0, 25.0, 1_150.0), 0.135)
    earned = 25 * 1e12 * 86_400 / (41_272_873_895 * 2**32)
    assert earned == pytest.approx(0.012185, abs=1e-6)
    assert cost[0] == pytest.approx(3.726 / earned, rel=1e-12)
    assert cost[0] == pytest.approx(305.78, abs=0.01)


def test_hayes_scales():
    base = costlaws.hayes_price(*one(1e14, 6.25, 20.0), 0.05)
    assert costlaws.hayes_price(*one(1e14, 3.125, 20.0), 0.05) == pytest.approx(2 * base)
    assert costlaws.hayes_price(*one(1e14, 6.25, 20.0), 0.10) == pytest.approx(2 * base)
    assert costlaws.hayes_price(*one(2e14, 6.25, 10.0), 0.05) == pytest.approx(base)


def test_past_mean_and_line_use_earlier_rows_only():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 50))
    fitted = costlaws.expanding_line(x, y, 10)
    assert np.isnan(fitted[:10]).all()
    slope, level = np.polyfit(x[:30], y[:30], 1)
    assert fitted[30] == pytest.approx(level + slope * x[30])
    assert costlaws.past_mean(y, 1)[30] == pytest.approx(y[:30].mean())


def test_difficulty_regression_finds_a_planted_law():
    """Market value = difficulty^0.5 exactly: the law gives the price itself."""
    frame = weeks()
    frame["price_usd"] = np.sqrt(frame["difficulty"]) / frame["supply_btc"]
    model = costlaws.model_prices(frame, 0.05, laws=["difficulty-regression"])["difficulty-regression"]
    assert model.isna().sum() == 104
    assert model[104:].to_numpy() == pytest.approx(frame["price_usd"][104:].to_numpy(), rel=1e-6)


def test_ratio_and_energy_value_find_their_own_world():
    frame = weeks()
    frame["price_usd"] = 700 * frame["hashrate_ehs"]
    ratio = costlaws.model_prices(frame, 0.05, laws=["price-to-hashrate"])["price-to-hashrate"]
    assert ratio.isna().sum() == 52
    assert ratio[52:].to_numpy() == pytest.approx(frame["price_usd"][52:].to_numpy())
    frame["price_usd"] = 2e-15 * costlaws.energy_value(frame)
    value = costlaws.model_prices(frame, 0.05, laws=["energy-value"])["energy-value"]
    assert value[104:].to_numpy() == pytest.approx(frame["price_usd"][104:].to_numpy())


def test_no_law_looks_ahead():
    """Change everything after week 200: what each law said up to then stays the same."""
    frame = weeks()
    altered = frame.copy()
    columns = ["price_usd", "hashrate_ehs", "difficulty", "j_per_th"]
    altered.loc[201:, columns] *= np.random.default_rng(2).uniform(0.2, 5, (len(frame) - 201, len(columns)))
    before, after = (costlaws.model_prices(table, 0.05) for table in (frame, altered))
    names = list(costlaws.LAWS)
    pd.testing.assert_frame_equal(before.loc[:200, names], after.loc[:200, names], check_exact=True)
    assert not np.allclose(before.loc[201:, names], after.loc[201:, names])


def test_todays_price_does_not_enter_todays_model():
    frame = weeks()
    altered = frame.copy()
    altered.loc[299, "price_usd"] *= 3
    before, after = (costlaws.model_prices(table, 0.05).loc[299, list(costlaws.LAWS)] for table in (frame, altered))
    assert before.tolist() == after.tolist()


def test_machines_are_not_used_before_they_are_sold():
    models = pd.DataFrame(
        {
            "release": pd.to_datetime(["2016-06-01", "2018-01-01", "2018-01-01"]),
            "release_known_to": ["month", "year", "month"],
            "j_per_th": [100.0, 40.0, 50.0],
        }
    )
    days = pd.Series(pd.to_datetime(["2016-06-29", "2018-01-30", "2018-01-31", "2018-12-31", "2022-06-01"]))
    found = costlaws.efficiency_in_use(models, days, least=1)
    assert found.round(4).tolist()[1:4] == [100.0, 70.7107, round((100 * 50 * 40) ** (1 / 3), 4)]
    assert np.isnan(found.iloc[0])
    assert np.isnan(found.iloc[4])  # nothing young is known: no guess
    by_month = models.drop(columns="release_known_to").assign(
        release=pd.to_datetime(["2016-06-01", "2018-12-01", "2018-01-01"])
    )
    pd.testing.assert_series_equal(found, costlaws.efficiency_in_use(by_month, days, least=1))
    assert costlaws.efficiency_in_use(models, days).notna().tolist() == [False, False, False, True, False]


def test_score_by_hand():
    """Price 100 throughout, a law that says 200: bias log 2 each week; its past mean takes all of it away; the random
    walk is exact, so nothing beats it and equal accuracy cannot be refused."""
    n = 120
    prices = pd.DataFrame({"date": pd.date_range("2020-01-06", periods=n, freq="7D"), "price_usd": 100.0, "law": 200.0})
    found = costlaws.score(prices).iloc[0]
    assert (found["bias"], found["rmse"]) == pytest.approx((np.log(2), np.log(2)))
    assert found["rmse_level"] == pytest.approx(0, abs=1e-12)
    assert found["rmse_walk"] == 0
    assert found["rmse_ahead"] == pytest.approx(0, abs=1e-12)
    assert (found["weeks"], found["pairs"]) == (n - 26, n - 52)


def test_laws_are_scored_on_the_same_weeks():
    prices = costlaws.model_prices(weeks(), 0.05)
    found = costlaws.score(prices)
    assert found["law"].tolist() == list(costlaws.LAWS)
    assert found["weeks"].nunique() == found["pairs"].nunique() == found["rmse_walk"].nunique() == 1
    assert found["weeks"].iloc[0] == 300 - 104 - 26
    alone = costlaws.score(prices.drop(columns=["difficulty-regression", "energy-value"]))
    assert alone["weeks"].iloc[0] == 300 - 52 - 26


def test_no_common_week_gives_an_empty_score():
    assert costlaws.score(costlaws.model_prices(weeks(90), 0.05)).empty


def test_inputs_take_subsidy_and_supply_from_the_chain():
    days = 21
    daily = pd.DataFrame(
        {
            "date": pd.date_range("2024-01-01", periods=days),
            "price_usd": [np.nan] * 8 + [50_000.0] * (days - 8),
            "hashrate_ehs": 500.0,
            "difficulty": np.arange(days) + 1.0,
            "blocks": 144,
            "issuance_btc": 900.0,
            "fees_btc": 1.0,
        }
    )
    models = pd.DataFrame({"release": pd.to_datetime(["2023-05-01"]), "j_per_th": [30.0]})
    frame = costlaws.inputs(daily, models, least=1)
    assert [str(day.date()) for day in frame["date"]] == ["2024-01-14", "2024-01-21"]
    assert frame["subsidy_btc"].tolist() == [6.25, 6.25]
    assert frame["supply_btc"].tolist() == [14 * 900, 21 * 900]
    assert frame["difficulty"].tolist() == [14.0, 21.0]
    assert frame["j_per_th"].tolist() == pytest.approx([30.0, 30.0])


def test_efficiency_gain_is_the_planted_one_and_does_not_look_ahead():
    """J/TH falls by 20 % a year (log): found exactly; a machine known to the year only counts from its end."""
    release = pd.date_range("2018-01-01", periods=60, freq="MS")
    years = (release + pd.offsets.MonthEnd(0) - pd.Timestamp("2018-01-31")) / pd.Timedelta(days=365.25)
    models = pd.DataFrame({"release": release, "release_known_to": "month", "j_per_th": 100 * np.exp(-0.2 * years)})
    until = pd.Timestamp("2022-12-31")
    assert costlaws.efficiency_gain(models, until) == pytest.approx(0.2)
    odd = pd.DataFrame({"release": [pd.Timestamp("2023-01-01")], "release_known_to": "year", "j_per_th": 1.0})
    assert costlaws.efficiency_gain(
        pd.concat([models, odd], ignore_index=True), pd.Timestamp("2023-12-30"), years=20
    ) == (pytest.approx(0.2))
    assert costlaws.efficiency_gain(models, pd.Timestamp("2018-06-30")) == 0.0
    assert costlaws.efficiency_gain(models.assign(j_per_th=1 / models["j_per_th"]), until) == 0.0


def margin_world(days=2_000, seed=50):
    """A daily table whose hashrate is such that a kWh earns 0.10 USD give or take 5 % in machines of 50 J/TH."""
    rng = np.random.default_rng(seed)
    price = np.exp(6 + np.cumsum(rng.normal(0.002, 0.04, days)))
    earns = 0.10 * np.exp(rng.normal(0, 0.05, days))
    hashrate = price * 12.5 * 144 / (earns * 50 * 24 * 1e6 / 1e3)
    dates = pd.date_range("2014-01-01", periods=days)
    daily = pd.DataFrame({"date": dates, "price_usd": price, "hashrate_ehs": hashrate, "difficulty": 1e10})
    daily = daily.assign(blocks=144, issuance_btc=1_800.0, fees_btc=0.0)
    sold = pd.date_range("2013-01-01", "2019-06-01", freq="90D").to_period("M").to_timestamp()
    return daily, pd.DataFrame({"release": sold, "j_per_th": 50.0})


def test_margin_is_what_a_kwh_earns():
    daily, models = margin_world()
    weeks = costlaws.with_margin(leadlag.weekly(daily), costlaws.inputs(daily, models))
    assert np.exp(weeks["margin"]).mean() == pytest.approx(0.10, rel=0.02)
    few = costlaws.with_margin(leadlag.weekly(daily.tail(700)), costlaws.inputs(daily, models))
    assert "margin" not in few  # 100 weeks are too few
    assert len(few) == 100
    old = models[~models["release"].between("2014-06-01", "2015-06-30")].reset_index(drop=True)
    after_gap = costlaws.with_margin(leadlag.weekly(daily), costlaws.inputs(daily, old, memory_years=1))
    assert after_gap["date"].iloc[0] > pd.Timestamp("2015-12-31")  # three machines are known again; no week before
    assert (after_gap["date"].diff().dropna() == pd.Timedelta(days=7)).all()


def test_margin_verdicts_name_each_sample_once():
    daily, models = margin_world()
    late = models[models["release"] >= "2015-06-01"].reset_index(drop=True)
    starts = [pd.Timestamp("2014-06-01"), pd.Timestamp("2014-01-01")]
    found = costlaws.margin_verdicts(daily, {"late": late, "all": models}, starts, (2, 3))
    assert found["machines"].tolist() == ["late"] * 2 + ["all"] * 4  # from one week on, whatever the start
    assert found.loc[found["machines"] == "late", "first"].nunique() == 1
    assert (found["first"] >= pd.Timestamp("2014-01-01")).all()
    assert set(found.loc[found["machines"] == "all", "reads"]) == {"stationary"}
    assert (found.groupby(["machines", "first", "memory"]).size() == 1).all()
