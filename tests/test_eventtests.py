"""Tests of event studies: formulas worked by hand or by another library, planted effects, size on true returns."""

import csv
import doctest
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wattshift import data, events, eventtests, loadings, returns
from wattshift.events import Floats, Panel, Sample, Window
from wattshift.refusal import Refusal

DAYS = pd.bdate_range("2024-01-01", periods=500)


def made(noise: Floats, window: Window | None = None) -> Panel:
    """A panel of shares that load on one factor with beta 1; noise : (days, shares)."""
    rng = np.random.default_rng(11)
    factor = rng.normal(0, 0.02, len(noise))
    days = DAYS[: len(noise)]
    shares = pd.DataFrame(factor[:, None] + noise, index=days, columns=[f"S{i}" for i in range(noise.shape[1])])
    return events.panel(shares, pd.DataFrame({"f": factor}, index=days), window or Window())


def noisy(seed: int, shares: int, days: int = 500, rho: float = 0.0) -> Floats:
    rng = np.random.default_rng(seed)
    common, own = rng.standard_normal((days, 1)), rng.standard_normal((days, shares))
    return 0.03 * (np.sqrt(rho) * common + np.sqrt(1 - rho) * own)


def with_scars(sample: Sample, scars: list[float]) -> Sample:
    """The sample with its CARs set to these multiples of their sd, spread evenly over the window."""
    car = np.asarray(scars) * sample.car_sd
    ar = np.repeat(car[:, None] / sample.ar.shape[-1], sample.ar.shape[-1], axis=1)
    return replace(sample, ar=ar, car=car)


@pytest.fixture(scope="module")
def apart() -> Sample:
    """Five events of five shares, far from each other."""
    return events.gather(made(noisy(5, 5)), np.arange(5), np.array([180, 240, 300, 360, 420]))


def test_worked_examples_in_the_docstrings() -> None:
    done = doctest.testmod(eventtests)
    assert done.attempted >= 3
    assert done.failed == 0


# ---- closed forms


def test_patell_and_bmp_worked_by_hand(apart: Sample) -> None:
    """SCARs 0, 1, 1, 2, 3 on 118 degrees: Z = 7 / sqrt(5 x 118/116); mean 1.4, sd sqrt(1.3), t = 1.4 sqrt(5/1.3)."""
    sample = with_scars(apart, [0.0, 1, 1, 2, 3])
    assert sample.dof.tolist() == [118] * 5
    z, p = eventtests.patell(sample)
    assert float(z) == pytest.approx(7 / np.sqrt(5 * 118 / 116))
    assert float(p) == pytest.approx(2 * stats.norm.sf(float(z)))
    t, p = eventtests.bmp(sample)
    assert float(t) == pytest.approx(1.4 * np.sqrt(5 / 1.3))
    assert float(p) == pytest.approx(2 * stats.t.sf(float(t), 4))


def test_the_cross_sectional_t_is_scipys(apart: Sample) -> None:
    t, p = eventtests.cross_sectional_t(apart)
    other = stats.ttest_1samp(apart.car, 0)
    assert (float(t), float(p)) == pytest.approx((other.statistic, other.pvalue))


def test_kolari_pynnonen_is_bmp_for_events_apart_and_shrinks_it_for_events_together(apart: Sample) -> None:
    assert float(eventtests.kolari_pynnonen(apart)[0]) == pytest.approx(float(eventtests.bmp(apart)[0]))
    panel = made(noisy(6, 4, rho=0.5))
    together = events.gather(panel, np.arange(4), np.array([300, 300, 300, 300]))
    r = np.corrcoef(together.places.residuals)  # the same estimation days, so the plain correlation
    np.testing.assert_allclose(together.places.correlations, r, atol=0.02)
    mean = (r.sum() - 4) / 12
    assert 0.3 < mean < 0.7
    expected = float(eventtests.bmp(together)[0]) * np.sqrt((1 - mean) / (1 + 3 * mean))
    assert float(eventtests.kolari_pynnonen(together)[0]) == pytest.approx(expected, rel=0.02)


def test_windows_that_share_one_day_of_three_count_a_third() -> None:
    panel = made(noisy(6, 2, rho=0.6))
    for gap, share in ((0, 1.0), (1, 2 / 3), (2, 1 / 3), (3, 0.0)):
        sample = events.gather(panel, np.arange(2), np.array([300, 300 + gap]))
        rho = sample.places.correlations[0, 1]
        assert rho == pytest.approx(0.6 if share else 0.0, abs=0.15)
        shrunk = float(eventtests.kolari_pynnonen(sample)[0]) / float(eventtests.bmp(sample)[0])
        assert shrunk == pytest.approx(np.sqrt((1 - rho * share) / (1 + rho * share)))


def test_rank_tests_follow_their_papers_line_by_line(apart: Sample) -> None:
    """Corrado (1989) and GRANK-T (Kolari & Pynnönen 2011, eq. 4 to 12) in plain loops."""
    days, length = 120, 3
    ranks = (
        np.array([stats.rankdata([*apart.places.residuals[i], *apart.ar[i]]) for i in range(5)]) / (days + length + 1)
        - 0.5
    )
    mean = ranks.mean(axis=0)
    z = mean[days:].sum() / (np.sqrt(length) * np.sqrt((mean**2).mean()))
    assert float(eventtests.corrado(apart)[0]) == pytest.approx(z)

    restandardized = apart.scar / apart.scar.std(ddof=1)
    sigma = apart.panel.sigma[apart.places.ticker, apart.places.day]
    total = days + 1
    u = np.array([stats.rankdata([*apart.places.residuals[i] / sigma[i], restandardized[i]]) for i in range(5)])
    mean = (u / (total + 1) - 0.5).mean(axis=0)
    z = mean[-1] / np.sqrt((mean**2).mean())
    t = z * np.sqrt((total - 2) / (total - 1 - z**2))
    found = eventtests.generalized_rank(apart)
    assert float(found[0]) == pytest.approx(t)
    assert float(found[1]) == pytest.approx(2 * stats.t.sf(abs(t), total - 2))


def test_the_sign_test_is_cowans(apart: Sample) -> None:
    sample = with_scars(apart, [1.0, 1, 1, 1, -1])
    share = (apart.places.residuals > 0).mean()
    z = (4 - 5 * share) / np.sqrt(5 * share * (1 - share))
    assert float(eventtests.sign(sample)[0]) == pytest.approx(z)


def test_calendar_time_takes_a_shared_day_once(apart: Sample) -> None:
    """Apart, it is a t test over all days; two equal shares on one day count like one of them."""
    scaled = (apart.ar / apart.ar_sd).ravel()
    other = stats.ttest_1samp(scaled, 0)
    found = eventtests.calendar_time(apart)
    assert (float(found[0]), float(found[1])) == pytest.approx((other.statistic, other.pvalue))
    twins = made(np.repeat(noisy(8, 1), 2, axis=1))
    one = events.gather(twins, np.array([0, 0]), np.array([250, 300]))
    two = events.gather(twins, np.array([0, 1, 0]), np.array([250, 250, 300]))
    assert float(eventtests.calendar_time(two)[0]) == pytest.approx(float(eventtests.calendar_time(one)[0]))


def test_a_share_listed_late_is_ranked_among_the_days_it_has() -> None:
    noise = noisy(9, 3)
    noise[:200, 2] = np.nan
    sample = events.gather(made(noise), np.arange(3), np.array([300, 340, 270]))
    for test in eventtests.CLOSED_FORM.values():
        statistic, p = test(sample)
        assert np.isfinite(statistic)
        assert 0 < p <= 1


def test_every_test_gives_the_same_alone_and_in_a_batch(apart: Sample) -> None:
    panel = apart.panel
    day = np.array([[180, 240, 300, 360, 420], [200, 201, 300, 301, 302]])
    both = events.gather(panel, np.broadcast_to(np.arange(5), day.shape), day)
    for test in eventtests.CLOSED_FORM.values():
        for i in range(2):
            alone = test(events.gather(panel, np.arange(5), day[i]))
            assert (float(alone[0]), float(alone[1])) == pytest.approx((test(both)[0][i], test(both)[1][i]))


# ---- resampling


def test_flipped_signs_are_fishers_for_darwins_maize() -> None:
    """1,726 of 32,768 sign vectors are as extreme: p = 0.05267 (METHODS of permutation: Fisher 1935)."""
    maize = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48.0])
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=15)))
    mean, p = eventtests.wild(maize, np.arange(15), signs)
    assert float(mean) == pytest.approx(maize.mean())
    assert float(p) == pytest.approx(1_726 / 32_768)


def test_events_of_one_cluster_flip_together() -> None:
    signs = eventtests.flips(2, np.random.default_rng(0), 99)
    _, p = eventtests.wild(np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1]), signs)
    assert float(p) == 0.5  # +3 +3, -3 -3 against +3 -3, -3 +3


def test_the_interval_is_the_means_that_are_not_rejected() -> None:
    rng = np.random.default_rng(4)
    values, cluster = rng.normal(0.1, 0.05, 10), np.arange(10)
    signs = eventtests.flips(10, rng, 99)
    low, high = eventtests.flip_interval(values, cluster, signs)
    for inside, outside in ((low, low - 1e-4), (high, high + 1e-4)):
        assert float(eventtests.wild(values - inside, cluster, signs)[1]) > 0.05
        assert float(eventtests.wild(values - outside, cluster, signs)[1]) <= 0.05
    student = stats.t.interval(0.95, 9, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(student, abs=0.01)
    few = eventtests.flip_interval(values[:5], np.arange(5), eventtests.flips(5, rng, 99))
    assert np.isnan(few).all()  # 2 of 32 is the rarest: nothing can be rejected at 5 %


def test_redated_clusters_keep_their_shape_and_avoid_true_events() -> None:
    chosen = pd.DataFrame({"ticker": ["S0", "S1", "S2"], "event_date": DAYS[[300, 301, 400]]})
    noise = noisy(3, 3)
    plain = made(noise)
    blocked = events.in_windows(chosen, DAYS, plain.tickers, Window())
    shares = pd.DataFrame(plain.y, index=DAYS, columns=list(plain.tickers))
    panel = events.panel(shares, pd.DataFrame({"f": plain.x[:, 1]}, index=DAYS), Window(), blocked)
    sample = events.study(panel, chosen)
    plan = eventtests.layout(panel, sample, since=250)
    assert plan.cluster.tolist() == [0, 0, 1]
    day = eventtests.redated(panel, plan, np.random.default_rng(1), 500).places.day
    assert (day[:, 1] - day[:, 0] == 1).all()
    assert day.min() >= 250
    assert not np.isin(day[:, 0], range(298, 303)).any()
    assert not np.isin(day[:, 2], range(398, 403)).any()
    assert len(np.unique(day[:, 2] - day[:, 0])) > 100


def test_a_single_cluster_takes_each_day_once() -> None:
    panel = made(noisy(3, 2))
    plan = eventtests.layout(panel, events.gather(panel, np.arange(2), np.array([300, 300])))
    placebo = eventtests.redated(panel, plan, np.random.default_rng(0), 10_000)
    assert len(placebo.places.day) == len(np.unique(placebo.places.day[:, 0])) == len(plan.starts[0])


def test_clusters_with_nowhere_to_go_and_unknown_tests_are_refused(apart: Sample) -> None:
    with pytest.raises(Refusal, match="there is no day to which the events of S0 could be moved"):
        eventtests.layout(apart.panel, apart, since=499)
    plan = eventtests.layout(apart.panel, apart)
    with pytest.raises(Refusal, match="there is no test 'bpm'"):
        eventtests.p_values(apart, plan, np.zeros(3), np.ones((1, 5)), ["bpm"])
    two = apart.part(np.array([True, True, False, False, False]))
    with pytest.raises(Refusal, match="2 clusters of events in time are too few"):
        eventtests.verdicts(two, np.random.default_rng(0))


def test_a_planted_effect_is_seen_by_every_test_and_its_absence_by_none() -> None:
    rng = np.random.default_rng(2)
    panel = made(noisy(12, 12))
    sample = events.gather(panel, np.arange(12), 180 + 25 * np.arange(12))
    plan = eventtests.layout(panel, sample)
    reference = eventtests.bmp(eventtests.redated(panel, plan, rng, 1_999))[0]
    signs = eventtests.flips(12, rng, 999)
    centred = sample.scaled(1.0, -float(sample.car.mean()))
    for name, (_, p) in eventtests.p_values(centred.scaled(1.0, 0.15), plan, reference, signs).items():
        assert float(p) < 0.01, name
    for name, (_, p) in eventtests.p_values(centred, plan, reference, signs).items():
        assert float(p) > 0.05, name


# ---- size on the sample's own returns


@pytest.fixture(scope="module")
def contracts() -> tuple[Panel, Sample, int]:
    """All contracts not found by their own jump, the model of the notebook's defaults on the shares that have them."""
    tickers = ("APLD", "BITF", "CIFR", "CORZ", "HUT", "IREN", "RIOT", "WULF")
    table, factors = (data.load(name).set_index("date") for name in ("equity_returns_daily", "factors_daily"))
    sample = returns.sample(table, factors, tickers, "2021-01-05", "2026-07-24", ai_basket=("NVDA", "SMH"))
    deals, window = events.read_deals(data.load("ai_deals")), Window()
    blocked = events.in_windows(deals, pd.DatetimeIndex(sample.shares.index), tickers, window)
    panel = events.panel(sample.shares, loadings.pick("bitcoin+nasdaq+ai", sample.factors), window, blocked)
    testable = deals[events.left_out(panel, deals).eq("")]
    chosen = events.choose(testable, events.CONTRACTS, "include", "include", "exclude")
    return panel, events.study(panel, chosen), int(panel.days.searchsorted(deals["event_date"].min()))


def test_tests_that_mind_correlation_hold_their_size_here_and_the_others_do_not(
    contracts: tuple[Panel, Sample, int],
) -> None:
    """2,000 re-dated sets of the true deals: standard error 0.5 points, so 4 to 6 % is 3 to 7 % here."""
    _, sample, since = contracts
    rates = eventtests.verdicts(sample, np.random.default_rng(2020), draws=2_000, reference=4_000, since=since)
    rates = rates.set_index("test")
    for name in eventtests.HEADLINE:
        assert rates.loc[name, "holds"], name
    assert rates.loc["Patell", "louder"] > 0.12  # events are louder than the estimation window
    assert (rates["power"] > 0.5).all()


def test_independent_sets_would_not_need_the_adjustment() -> None:
    """All shares on one day with correlation 0.5: BMP rejects far too often, Kolari-Pynnönen does not."""
    rng = np.random.default_rng(5)
    panel = made(noisy(21, 10, rho=0.5))
    day = np.repeat(rng.integers(180, 490, size=(1_000, 1)), 10, axis=1)
    sample = events.gather(panel, np.broadcast_to(np.arange(10), day.shape), day)
    assert (eventtests.bmp(sample)[1] <= 0.05).mean() > 0.3
    assert 0.03 < (eventtests.kolari_pynnonen(sample)[1] <= 0.05).mean() < 0.08


def test_the_stored_simulation_says_the_headline_tests_reject_between_4_and_6_percent() -> None:
    with (Path(__file__).parents[1] / "benchmarks" / "events.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["draws"] for row in rows} == {"20000"}
    assert {(row["events"], row["design"]) for row in rows} == set(
        itertools.product(["clean contracts", "not by their jump"], ["re-dated", "resampled"])
    )
    for row in rows:
        if row["test"] in eventtests.HEADLINE:
            assert 0.04 <= float(row["size"]) <= 0.06, row
            assert 0.04 <= float(row["louder"]) <= 0.06, row
        if row["test"] in ("cross-sectional t", "BMP") and row["events"] == "not by their jump":
            assert 0.06 < float(row["size"]) < 0.07, row  # the report says so


def test_the_event_table_agrees_with_its_parts(contracts: tuple[Panel, Sample, int]) -> None:
    _, sample, since = contracts
    n = len(sample.car)
    groups = {
        "all": np.ones(n, dtype=bool),
        "half": np.arange(n) % 2 == 0,
        "none": np.zeros(n, dtype=bool),
        "one": np.arange(n) == 3,
    }
    table = eventtests.event_table(sample, groups, np.random.default_rng(1), 1_000, since).set_index("group")
    assert list(table.index) == ["all", "half", "one"]
    assert table.loc["all", "caar"] == pytest.approx(sample.car.mean())
    assert table.loc["half", "p_kolari_pynnonen"] == pytest.approx(
        float(eventtests.kolari_pynnonen(sample.part(groups["half"]))[1])
    )
    assert table.loc["all", "low"] < table.loc["all", "caar"] < table.loc["all", "high"]
    assert table.loc["one", ["low", "high", "p_permutation", "p_wild", "p_kolari_pynnonen"]].isna().all()
    assert table.loc["half", ["p_permutation", "p_wild"]].between(0, 1).all()
    assert table.loc["one", "chance"] > table.loc["all", "chance"]


def test_one_test_of_one_set_has_one_p_in_every_table(contracts: tuple[Panel, Sample, int]) -> None:
    _, sample, since = contracts
    whole = {"all": np.ones(len(sample.car), dtype=bool)}
    row = eventtests.event_table(sample, whole, np.random.default_rng(7), 500, since).iloc[0]
    verdict = eventtests.verdicts(sample, np.random.default_rng(7), draws=50, reference=500, since=since)
    p = verdict.set_index("test")["p"]
    assert p[eventtests.PERMUTATION] == row["p_permutation"]
    assert p[eventtests.WILD] == row["p_wild"]


def test_the_band_of_a_path_holds_as_many_paths_as_it_says() -> None:
    panel = made(noisy(31, 8), Window(first=-5, last=10))
    sample = events.gather(panel, np.arange(8), 180 + 36 * np.arange(8))
    rng = np.random.default_rng(3)
    band = eventtests.path_band(sample, rng, 2_000)
    plan = eventtests.layout(panel, sample, untouched=False)
    paths = np.cumsum(eventtests.redated(panel, plan, rng, 2_000).ar.mean(axis=-2), axis=-1)
    inside = ((paths >= band["low"].to_numpy()) & (paths <= band["high"].to_numpy())).all(axis=1).mean()
    assert inside == pytest.approx(0.95, abs=0.015)  # standard error 0.7 points with that of the band
    assert band["high"].iloc[-1] == pytest.approx(2.9 * 0.03 * np.sqrt(16 / 8), rel=0.2)  # about 2.9 sd, 16 days
