"""Event studies: a case worked by hand, statsmodels on the same windows, planted CARs, and what must be refused."""

import doctest

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from wattshift import data, events
from wattshift.events import Window
from wattshift.refusal import Refusal

DAYS = pd.bdate_range("2024-01-01", periods=400)


def world(seed: int = 7, shares: int = 3, scale: float = 0.04) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns 0.001 + 1.2 f1 - 0.5 f2 + noise of `scale`, and the two factors."""
    rng = np.random.default_rng(seed)
    factors = pd.DataFrame(rng.normal(0, [0.03, 0.015], size=(len(DAYS), 2)), index=DAYS, columns=["f1", "f2"])
    noise = rng.normal(0, scale, size=(len(DAYS), shares))
    returns = 0.001 + (factors.to_numpy() @ [1.2, -0.5])[:, None] + noise
    return pd.DataFrame(returns, index=DAYS, columns=list("ABCDEFGH"[:shares])), factors


def dated(*pairs: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"event_id": f"{ticker}-{place}", "ticker": ticker, "event_date": DAYS[place]} for ticker, place in pairs]
    )


def test_worked_examples_in_the_docstrings() -> None:
    done = doctest.testmod(events)
    assert done.attempted >= 5
    assert done.failed == 0


def test_a_study_worked_by_hand() -> None:
    """20 days, f = +1 %, -1 % in turn, residuals +2, +2, -2, -2 %: a = 0.1 %, b = 2, s² = 20 x 0.0004 / 18.

    On the event days f = 1 % and 3 %, returns 12 % and 7 %: AR = 12 - 0.1 - 2 = 9.9 %, 7 - 0.1 - 6 = 0.9 %.
    (X'X)^-1 is diagonal, 1/20 and 1/(20 x 0.0001), so var CAR = s² (2 + 4/20 + 0.04²/0.002) = 3 s².
    """
    f = np.array([0.01, -0.01] * 10 + [0.01, 0.03])
    noise = np.tile([0.02, 0.02, -0.02, -0.02], 5)
    y = np.concatenate([0.001 + 2 * f[:20] + noise, [0.12, 0.07]])
    panel = events.panel(
        pd.DataFrame({"A": y}, index=DAYS[:22]),
        pd.DataFrame({"f": f}, index=DAYS[:22]),
        Window(20, 0, 0, 1, 20),
    )
    sample = events.study(panel, dated(("A", 20)))
    variance = 20 * 0.0004 / 18
    np.testing.assert_allclose(sample.ar, [[0.099, 0.009]], atol=1e-12)
    np.testing.assert_allclose(sample.car, [0.108], atol=1e-12)
    np.testing.assert_allclose(sample.car_sd, [np.sqrt(3 * variance)], rtol=1e-10)
    np.testing.assert_allclose(sample.ar_sd[0] ** 2, variance * np.array([1.1, 1.5]), rtol=1e-10)
    assert sample.dof.tolist() == [18]


def test_models_and_forecast_errors_are_those_of_statsmodels() -> None:
    returns, factors = world()
    returns.loc[DAYS[:250], "C"] = np.nan  # listed late: 55 days before the gap
    panel = events.panel(returns, factors, Window(first=-2, last=2))
    chosen = dated(("A", 200), ("B", 390), ("C", 317))
    sample = events.study(panel, chosen)
    for i, (ticker, place, days) in enumerate([("A", 200, 120), ("B", 390, 120), ("C", 317, 55)]):
        end = place - 2 - 10
        rows, around = DAYS[end - days : end], DAYS[place - 2 : place + 3]
        fit = sm.OLS(returns.loc[rows, ticker], sm.add_constant(factors.loc[rows])).fit()
        ahead = sm.add_constant(factors.loc[around], has_constant="add")
        error = returns.loc[around, ticker] - fit.predict(ahead)
        total = ahead.to_numpy().sum(axis=0)
        np.testing.assert_allclose(sample.ar[i], error, atol=1e-12)
        np.testing.assert_allclose(sample.ar_sd[i], fit.get_prediction(ahead).se_obs, rtol=1e-8)
        variance = 5 * fit.scale + total @ fit.cov_params().to_numpy() @ total
        np.testing.assert_allclose(sample.car_sd[i] ** 2, variance, rtol=1e-8)
        assert sample.dof[i] == fit.df_resid
        np.testing.assert_allclose(sample.places.residuals[i][-days:], fit.resid, atol=1e-12)
        assert np.isnan(sample.places.residuals[i][: 120 - days]).all()
        assert sample.places.estimation_days[i].max() == end - 1


def test_a_planted_car_is_found_again_and_the_forecast_sd_covers_it() -> None:
    returns, factors = world(seed=3, shares=8, scale=0.02)
    chosen = dated(*((ticker, place) for ticker in returns for place in (180, 260, 340)))
    for _, event in chosen.iterrows():
        returns.loc[event["event_date"], event["ticker"]] += 0.06
        returns.loc[DAYS[DAYS.get_loc(event["event_date"]) + 1], event["ticker"]] -= 0.01
    window = Window()
    panel = events.panel(returns, factors, window, events.in_windows(chosen, DAYS, list(returns), window))
    sample = events.study(panel, chosen)
    error = 0.02 * np.sqrt(3 / 24)
    assert sample.car.mean() == pytest.approx(0.05, abs=3 * error)
    scaled = (sample.car - 0.05) / sample.car_sd
    assert scaled.std() == pytest.approx(1.0, abs=0.3)  # 24 values: standard error 0.15
    path = events.average_path(sample)
    assert path.loc[0, "aar"] == pytest.approx(0.06, abs=0.02)
    assert path["caar"].iloc[-1] == pytest.approx(sample.car.mean())


def test_without_alpha_a_rise_before_the_event_is_not_expected_to_go_on() -> None:
    returns, factors = world(scale=0.01)
    returns.loc[DAYS[60:189], "A"] += 0.02  # 2 % a day through the estimation window, then nothing
    event = dated(("A", 200))
    window = Window(first=0, last=9)
    carried = events.study(events.panel(returns, factors, window), event)
    free = events.study(events.panel(returns, factors, window, alpha=False), event)
    noise = 0.01 * np.sqrt(10)
    assert carried.car.item() == pytest.approx(-0.2, abs=3 * noise)
    assert free.car.item() == pytest.approx(0.01, abs=3 * noise)  # ten days of the true alpha, 0.1 %
    assert free.panel.regressors == ("f1", "f2")
    assert free.dof.item() == 118
    fit = sm.OLS(returns["A"].iloc[70:190], factors.iloc[70:190]).fit()
    np.testing.assert_allclose(free.panel.coef[0, 200], fit.params, rtol=1e-8)


def test_an_earlier_event_does_not_widen_the_yardstick_of_a_later_one() -> None:
    returns, factors = world()
    both = dated(("A", 200), ("A", 260))
    window = Window()
    blocked = events.in_windows(both, DAYS, list(returns), window)
    calm = events.study(events.panel(returns, factors, window, blocked), both)
    returns.loc[DAYS[200], "A"] += 0.9
    kept = events.study(events.panel(returns, factors, window, blocked), both)
    naive = events.study(events.panel(returns, factors, window), both)
    assert kept.car_sd[1] == pytest.approx(calm.car_sd[1], rel=1e-12)
    assert naive.car_sd[1] > 1.5 * kept.car_sd[1]
    assert (kept.places.estimation_days[1] == 199).sum() + (kept.places.estimation_days[1] == 201).sum() == 0
    assert len(np.unique(kept.places.estimation_days[1])) == 120  # as many days, reaching further back


def test_a_sector_event_is_kept_out_of_every_share() -> None:
    blocked = events.in_windows(dated(("SECTOR", 100), ("B", 50)), DAYS, ["A", "B"], Window())
    assert np.flatnonzero(blocked[:, 0]).tolist() == [99, 100, 101]
    assert np.flatnonzero(blocked[:, 1]).tolist() == [49, 50, 51, 99, 100, 101]


def test_what_cannot_be_studied_is_told_with_its_reason() -> None:
    returns, factors = world()
    returns.loc[DAYS[:300], "C"] = np.nan
    panel = events.panel(returns, factors, Window())
    rows = dated(("A", 200), ("A", 202), ("C", 340), ("C", 200), ("SECTOR", 300), ("Z", 300), ("A", 399), ("B", 210))
    reasons = events.left_out(panel, rows).tolist()
    assert reasons == [
        "",
        "its window shares days with that of A-200",
        "its estimation window has 29 clean days and 40 are needed",
        "C has no returns on some days of its event window",
        "it hits every share",
        "Z is not among the shares studied",
        "A has no returns on some days of its event window",
        "",
    ]


def test_an_overlap_counts_also_against_an_event_that_was_not_chosen() -> None:
    returns, factors = world()
    every = dated(("A", 200), ("A", 201))
    assert events.left_out(events.panel(returns, factors, Window()), every.iloc[1:], every).tolist() == [
        "its window shares days with that of A-200"
    ]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (("AA", 200), r"there is no share 'AA'; did you mean 'A'\?"),
        (("A", 20), r"its estimation window has 9 clean days and 40 are needed"),
        (("C", 200), r"over its estimation window the returns are constant"),
    ],
)
def test_an_event_that_cannot_be_studied_is_refused(event: tuple[str, int], words: str) -> None:
    returns, factors = world()
    returns["C"] = 0.01
    with pytest.raises(Refusal, match=words):
        events.study(events.panel(returns, factors, Window()), dated(event))


def test_a_day_outside_the_data_or_without_trading_is_refused() -> None:
    panel = events.panel(*world(), Window())
    outside = pd.DataFrame({"event_id": ["x"], "ticker": ["A"], "event_date": [pd.Timestamp("2031-01-02")]})
    with pytest.raises(Refusal, match=r"x cannot be studied: 2031-01-02 lies outside the data, 2024-01-01 to"):
        events.study(panel, outside)
    with pytest.raises(Refusal, match="2024-08-03 is not a trading day of the data"):
        events.study(panel, outside.assign(event_date=pd.Timestamp("2024-08-03")))
    with pytest.raises(Refusal, match="there is no event to study"):
        events.study(panel, outside.iloc[:0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"estimation_days": 1}, "estimation_days cannot be 1: a variance needs an estimation window of at least 20"),
        ({"least_days": 5}, "least_days cannot be 5"),
        ({"gap_days": -1}, "gap_days cannot be -1"),
        ({"first": 2, "last": 1}, "the event window cannot run from 2 to 1"),
        ({"last": 251}, "the event window cannot run from -1 to 251"),
    ],
)
def test_windows_that_are_none_are_refused(arguments: dict[str, int], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        Window(**arguments)


def test_factors_that_are_one_are_refused() -> None:
    returns, factors = world()
    with pytest.raises(Refusal, match=r"the factors f1 and twice are collinear \(correlation 1.0000\)"):
        events.panel(returns, factors[["f1"]].assign(twice=2 * factors["f1"]), Window())
    with pytest.raises(Refusal, match="the factor f1 is constant over its 400 days"):
        events.panel(returns, factors.assign(f1=0.01), Window())
    with pytest.raises(Refusal, match="returns and factors must have the same days"):
        events.panel(returns, factors.iloc[1:], Window())
    with pytest.raises(Refusal, match="the days of the returns must rise"):
        events.panel(returns.iloc[::-1], factors.iloc[::-1], Window())
    with pytest.raises(Refusal, match="one factor at least"):
        events.panel(returns, factors[[]], Window())


def test_factors_that_are_one_in_a_window_only_are_refused_there() -> None:
    returns, factors = world()
    factors.loc[DAYS[60:200], "f2"] = factors.loc[DAYS[60:200], "f1"]
    panel = events.panel(returns, factors, Window())
    with pytest.raises(Refusal, match="over its estimation window the factors are collinear"):
        events.study(panel, dated(("A", 195)))
    assert np.isfinite(events.study(panel, dated(("A", 300))).car).all()


# ---- the deals


@pytest.fixture(scope="module")
def deals() -> pd.DataFrame:
    return events.read_deals(data.load("ai_deals"))


def test_the_deals_are_read_as_their_card_says(deals: pd.DataFrame) -> None:
    known = deals.set_index("event_id")
    assert known["confounded"].sum() == 15
    assert known["verified"].value_counts().to_dict() == {"yes": 23, "partial": 12, "no": 2}
    assert known.loc["CIFR-2025-09", ["kind", "rank", "money"]].tolist() == ["lease", "first", True]
    assert known.loc["WULF-2025-08a", ["rank", "money"]].tolist() == ["later", False]
    raised, rights = (
        set(known.index[known[trait] & known["kind"].isin(events.CONTRACTS)]) for trait in ("money", "rights")
    )
    assert raised == {"CIFR-2025-09", "CIFR-2026-05", "WULF-2025-08b"}  # notes or a bond sold on those days
    assert rights == {"CIFR-2025-09", "IREN-2026-05", "WULF-2025-08a", "WULF-2025-08b"}  # what a customer may own
    assert known.loc[["CORZ-2025-07", "CORZ-2025-10"], "kind"].tolist() == ["takeover", "takeover vote"]
    assert known.index[known["by_price"]].tolist() == [
        "APLD-2024-09", "CORZ-2024-06a", "CORZ-2025-06", "MARA-2025-08", "MARA-2025-11",
    ]  # fmt: skip
    assert (known["rank"] == "first").sum() == known[known["kind"].isin(events.CONTRACTS)]["ticker"].nunique()


def test_doubtful_deals_are_included_excluded_or_flagged(deals: pd.DataFrame) -> None:
    whole = events.choose(deals, confounded="include", partly="include", by_price="include")
    clean = events.choose(deals)
    flagged = events.choose(deals, confounded="flag", partly="flag", by_price="flag")
    assert set(whole["kind"]) == {"lease", "cloud"}
    assert not clean[["confounded", "partly", "by_price"]].any(axis=None)
    assert flagged.index.equals(whole.index)
    assert flagged.index[~flagged["flagged"]].equals(clean.index)
    assert not whole["flagged"].any()


def test_unknown_kinds_and_treatments_are_refused(deals: pd.DataFrame) -> None:
    with pytest.raises(Refusal, match=r"there is no kind of deal 'leases'; did you mean 'lease'\?"):
        events.choose(deals, ["leases"])
    with pytest.raises(Refusal, match="confounded cannot be 'drop'"):
        events.choose(deals, confounded="drop")  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="no deal is left of kind cloud"):
        events.choose(deals, ["cloud"])
    with pytest.raises(Refusal, match="none of these kinds can be studied"):
        events.choose(deals[deals["kind"].eq("lease")], ["cloud"], "include", "include", "include")
    with pytest.raises(Refusal, match=r"no event type 'hosting'; did you mean 'hosting_lease'\?"):
        events.read_deals(deals.assign(event_type="hosting"))


def test_value_per_megawatt_never_mixes_the_two_powers_nor_takes_clouds_or_bids(deals: pd.DataFrame) -> None:
    table = events.value_per_mw(deals)
    assert set(table["kind"]) == {"lease"}
    lake = table[table["event_id"] == "WULF-2025-08a"].set_index("measure")["usd_mn_per_mw"]
    assert lake.to_dict() == pytest.approx({"critical IT": 18.5, "gross": 14.8})
    hut = table[(table["event_id"] == "HUT-2025-12") & (table["measure"] == "critical IT")]
    assert hut["usd_mn_per_mw_year"].item() == pytest.approx(7_000 / 245 / 15)
    assert not table.duplicated(["event_id", "measure"]).any()
