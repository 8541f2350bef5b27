"""Hedges and forecasts that know only the past, held to least squares, Gaussian conditioning and planted truths."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from wattshift import hedging
from wattshift.refusal import Refusal


def days(n):
    return pd.bdate_range("2021-01-01", periods=n)


def world(n, shares=3, k=2, seed=1, noise=0.02, beta=None):
    """Returns of shares on k factors with fixed betas: shares, factors, betas (shares by factors)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, (0.03, 0.012)[:k], (n, k))
    b = rng.uniform(0.5, 1.5, (shares, k)) if beta is None else beta
    y = x @ b.T + noise * rng.standard_normal((n, shares))
    names = [f"S{j}" for j in range(shares)]
    return pd.DataFrame(y, days(n), names), pd.DataFrame(x, days(n), ["bitcoin", "nasdaq"][:k]), b


def test_months_are_whole_and_have_a_past():
    index = days(90)  # 2021-01-01 to 2021-05-06: May is not over
    first, month = hedging.months(index, 21)
    assert [str(m) for m in month] == ["2021-02", "2021-03", "2021-04"]
    assert [str(index[row].date()) for row in first] == ["2021-02-01", "2021-03-01", "2021-04-01"]
    with pytest.raises(Refusal, match="no whole month has 500 trading days before it; the data hold 90 days"):
        hedging.months(index, 500)


@pytest.mark.parametrize("window", [60, None])
def test_past_betas_are_least_squares_on_the_days_before(window):
    """statsmodels' OLS on the same rows, gaps and a late listing included (tolerance 1e-9)."""
    shares, factors, _ = world(260)
    shares.iloc[:100, 1] = np.nan
    shares.iloc[[150, 171], 2] = np.nan
    starts, _ = hedging.months(shares.index, 60)
    found = hedging.past_betas(shares, factors, starts, window, 40)
    for m, row in enumerate(starts):
        past = slice(0 if window is None else row - window, row)
        for j, name in enumerate(shares):
            y = shares[name].iloc[past].dropna()
            if len(y) < 40:
                assert np.isnan(found[m, j]).all()
                continue
            fit = sm.OLS(y, sm.add_constant(factors.loc[y.index])).fit()
            assert found[m, j] == pytest.approx(fit.params.to_numpy()[1:], abs=1e-9)


def test_the_filter_without_drift_is_least_squares_on_all_of_the_past():
    """Tolerance 1e-5: the diffuse start has a variance of a million."""
    shares, factors, _ = world(400)
    shares.iloc[:90, 1] = np.nan
    starts, _ = hedging.months(shares.index, 120)
    filtered, chosen = hedging.filtered_betas(shares, factors, starts, 80, drifts=(0.0,))
    assert np.allclose(filtered, hedging.past_betas(shares, factors, starts, None, 80), atol=1e-5, equal_nan=True)
    assert set(chosen[np.isfinite(chosen)]) == {0.0}


def test_the_filter_with_drift_is_gaussian_conditioning():
    """One factor, one month: E(b_T | y_1..T-1) from the joint normal law of b and y, written out (tolerance 1e-4)."""
    shares, factors, _ = world(100, shares=1, k=1)
    starts, _ = hedging.months(shares.index, 60)
    starts, q = starts[:1], 0.01
    x, y = factors.to_numpy()[: starts[0], 0], shares.to_numpy()[: starts[0], 0]
    scale, n = x.std(), len(y)
    z = x / scale
    steps = np.minimum.outer(np.arange(1, n + 1), np.arange(1, n + 1))
    prior = 1e6
    cov_y = prior + np.outer(z, z) * (prior + q * steps) + np.eye(n)
    cov_by = z * (prior + q * np.arange(1, n + 1))
    expected = cov_by @ np.linalg.solve(cov_y, y) / scale
    found, _ = hedging.filtered_betas(shares, factors, starts, 20, drifts=(q,))
    assert found[0, 0, 0] == pytest.approx(expected, rel=1e-4)


def test_the_filter_finds_planted_drift_and_none():
    """A beta that walks with q = 0.001 of the noise a day, and one that stays (seed 8, 1,300 days, last month)."""
    rng = np.random.default_rng(8)
    x = rng.normal(0, 1, (1_300, 1))
    walk = 1 + np.cumsum(rng.normal(0, np.sqrt(1e-3), 1_300))
    y = np.column_stack([walk * x[:, 0], x[:, 0]]) + rng.standard_normal((1_300, 2))
    shares, factors = pd.DataFrame(y, days(1_300), ["walks", "stays"]), pd.DataFrame(x, days(1_300), ["bitcoin"])
    starts, _ = hedging.months(shares.index, 126)
    betas, chosen = hedging.filtered_betas(shares, factors, starts, 126)
    assert 3e-4 <= chosen[-1, 0] <= 3e-3
    assert chosen[-1, 1] <= 3e-5
    always = hedging.past_betas(shares, factors, starts, None, 126)
    missed = {name: np.abs(b[:, 0, 0] - walk[starts]).mean() for name, b in (("filter", betas), ("always", always))}
    assert missed["filter"] < missed["always"]


def test_nothing_of_a_month_goes_into_its_betas():
    shares, factors, _ = world(300)
    starts, _ = hedging.months(shares.index, 120)
    later = shares.copy()
    later.iloc[starts[2] :] *= -7.0
    for rule in (
        lambda s: hedging.past_betas(s, factors, starts, 100, 50),
        lambda s: hedging.past_betas(s, factors, starts, None, 50),
        lambda s: hedging.filtered_betas(s, factors, starts, 50)[0],
    ):
        assert np.array_equal(rule(shares)[:3], rule(later)[:3], equal_nan=True)
        assert not np.allclose(rule(shares)[3:], rule(later)[3:])


def test_a_perfect_hedge_and_one_worked_by_hand():
    shares, factors, b = world(200, noise=0.0)
    starts, month = hedging.months(shares.index, 60)
    betas = np.broadcast_to(b, (len(starts), *b.shape))
    bare, perfect, half = (
        hedging.monthly_losses(hedging.hedge_errors(shares, factors, share * betas, starts), month)
        for share in (0.0, 1.0, 0.5)
    )
    table = hedging.effectiveness({"bare": bare, "perfect": perfect, "half": half}, "bare")
    assert table["perfect"].tolist() == pytest.approx([1.0] * 3)
    assert table["half"].tolist() == pytest.approx([0.75] * 3)  # half the move is left, a quarter of its square
    assert bare.iloc[0, 0] == pytest.approx((shares.iloc[:, 0] ** 2)[shares.index.to_period("M") == month[0]].sum())


def test_a_month_with_a_missing_day_does_not_count():
    shares, factors, b = world(200)
    starts, month = hedging.months(shares.index, 60)
    shares.iloc[starts[1] + 3, 0] = np.nan
    losses = hedging.monthly_losses(
        hedging.hedge_errors(shares, factors, np.broadcast_to(b, (len(starts), *b.shape)), starts), month
    )
    assert losses.isna().sum().tolist() == [1, 0, 0]
    assert np.isnan(losses.iloc[1, 0])


def test_comparisons_worked_by_hand_and_refused():
    """Differences 1, 0, 1, 2: mean 1, variance 0.5, so 1/sqrt(0.5/4) x sqrt(3/4) = 2.449."""
    loss, rival = np.array([1.0, 2, 3, 4, np.nan]), np.array([0.0, 2, 2, 2, 1])
    test = hedging.equal_accuracy(loss, rival, 4)
    assert (test.months, test.difference) == (4, pytest.approx(1 / 1.5))
    assert test.statistic == pytest.approx(np.sqrt(6), abs=1e-9)
    few = hedging.equal_accuracy(loss, rival, 5)
    assert few.refused == "needs 5 months, there are 4"
    assert np.isnan(few.p)
    assert hedging.equal_accuracy(rival, rival, 4).refused == "the two never differ"
    # Clark-West: rival 3, 1, 2, 2 less (loss 2, 1, 1, 2 less 0, 1, 0, 1) = 1, 1, 1, 1 + (0, 0, 0, 0) -> with 1, 1, 1, 3
    west = hedging.clark_west(np.array([2.0, 1, 1, 2]), np.array([3.0, 1, 2, 4]), np.array([0.0, 1, 0, 1]), 4)
    assert west.statistic == pytest.approx(1.5 / (1 / 2), abs=1e-12)  # mean 1.5, standard deviation 1, four months
    assert west.p == pytest.approx(0.0013499, abs=1e-6)


def test_a_findable_difference_is_found_four_times_in_five():
    """Planted: the difference that one sample calls findable, in 4,000 samples of 59 months, seed 8 (0.80 +- 0.05,
    the standard error of that one sample being an estimate: so the mean of its square over samples is used)."""
    rng = np.random.default_rng(8)
    loss, rival = rng.gamma(4.0, 0.25, (2, 4_000, 59))
    tests = [hedging.equal_accuracy(a, b) for a, b in zip(loss, rival, strict=True)]
    means = rival.mean(axis=1)
    sizes = [hedging.findable(t.difference, t.statistic, t.months) * m for t, m in zip(tests, means, strict=True)]
    planted = float(np.sqrt(np.mean(np.square(sizes))))
    found = [hedging.equal_accuracy(a - planted, b).p < 0.05 for a, b in zip(loss, rival, strict=True)]
    assert 0.75 <= np.mean(found) <= 0.85
    with pytest.raises(Refusal, match="no standard error"):
        hedging.findable(0.0, 0.0, 59)


def test_clark_west_holds_its_size_where_diebold_mariano_cannot():
    """The truth is zero; the larger rule forecasts the mean of the last 30 values. 2,000 samples of 90, seed 4: of the
    60 forecasts Clark-West rejects 5 % at 5 %, within 2.5 to 7.5; the plain statistic, next to never."""
    y = np.random.default_rng(4).standard_normal((2_000, 90))
    means = np.lib.stride_tricks.sliding_window_view(y, 30, axis=1)[:, :-1].mean(axis=2)
    loss, rival = (y[:, 30:] - means) ** 2, y[:, 30:] ** 2
    tests = [hedging.clark_west(a, b, e, 24).p for a, b, e in zip(loss, rival, means**2, strict=True)]
    plain = (rival - loss).mean(axis=1) / ((rival - loss).std(axis=1, ddof=1) / np.sqrt(60))
    assert 0.025 <= np.mean(np.array(tests) < 0.05) <= 0.075
    assert np.mean(plain > 1.645) < 0.02


def test_duels_and_ladder_pool_shares_alike():
    """A share ten times as volatile does not outweigh the others, and a factor that moves nothing is not worth it."""
    shares, factors, _ = world(1_000, beta=np.array([[1.0, 0.0]] * 3), seed=2)
    starts, month = hedging.months(shares.index, 126)
    bare = pd.DataFrame(shares.iloc[starts[0] :])
    errors = {}
    for name, columns in (("bitcoin", ["bitcoin"]), ("bitcoin and nasdaq", ["bitcoin", "nasdaq"])):
        betas = hedging.past_betas(shares, factors[columns], starts, 126, 126)
        errors[name] = hedging.hedge_errors(shares, factors[columns], betas, starts)
    steps = hedging.ladder(errors, bare, month)
    scaled = hedging.ladder({n: e * [10, 1, 1] for n, e in errors.items()}, bare * [10, 1, 1], month)
    pd.testing.assert_frame_equal(steps, scaled)
    truth = 0.03**2 / (0.03**2 + 0.02**2)  # R2 of the planted regression, 0.692
    assert steps["effectiveness"].iloc[0] == pytest.approx(truth, abs=0.02)
    assert steps["p"].iloc[0] < 1e-6
    assert steps["difference"].iloc[1] > 0
    assert steps["p_zero"].iloc[1] > 0.05
    losses = {"bare": hedging.monthly_losses(bare, month)}
    losses |= {n: hedging.monthly_losses(e, month) for n, e in errors.items()}
    table = hedging.duels(losses, "bitcoin", "bitcoin and nasdaq", "bare")
    assert table["share"].tolist() == ["S0", "S1", "S2", hedging.ALL]
    assert table["difference"].iloc[-1] < 0


class Unturned:
    """A generator that turns no sign."""

    def choice(self, values, size):
        return np.full(size, values[1])


def test_worlds_with_no_sign_turned_are_the_sample():
    """Then the simulated difference is that of the duel itself, late listings and gaps included (tolerance 1e-9)."""
    shares, factors, _ = world(400)
    shares.iloc[:130, 1] = np.nan
    shares.iloc[250, 2] = np.nan
    starts, month = hedging.months(shares.index, 80)
    rules = {"rolling": 80, "always": None}
    losses = {
        name: hedging.monthly_losses(
            hedging.hedge_errors(shares, factors, hedging.past_betas(shares, factors, starts, window, 80), starts),
            month,
        )
        for name, window in rules.items()
    }
    losses["bare"] = hedging.monthly_losses(shares.iloc[starts[0] :], month)
    duel = hedging.duels(losses, "rolling", "always", "bare")["difference"].iloc[-1]
    found = hedging.worlds_of_constant_betas(shares, factors, starts, 80, 1, Unturned())
    assert found[0] == pytest.approx(duel, abs=1e-9)


def test_worlds_tell_moving_betas_from_fixed_ones():
    """A beta that steps from 0.5 to 1.5 half way lies beyond all 99 worlds of fixed betas, a fixed one not (seed 6)."""
    found = {}
    for name, late in (("fixed", 1.0), ("steps", 1.5)):
        shares, factors, _ = world(900, seed=6, beta=np.array([[2.0 - late, 0.5]] * 3))
        shares.iloc[450:] += ((2 * late - 2) * factors["bitcoin"].to_numpy()[450:])[:, None]
        starts, month = hedging.months(shares.index, 126)
        losses = {"bare": hedging.monthly_losses(shares.iloc[starts[0] :], month)}
        for rule, window in (("rolling", 126), ("always", None)):
            betas = hedging.past_betas(shares, factors, starts, window, 126)
            losses[rule] = hedging.monthly_losses(hedging.hedge_errors(shares, factors, betas, starts), month)
        seen = hedging.duels(losses, "rolling", "always", "bare")["difference"].iloc[-1]
        worlds = hedging.worlds_of_constant_betas(shares, factors, starts, 126, 99, np.random.default_rng(6))
        assert (worlds > 0).mean() > 0.9  # a window throws days away that fixed betas could use
        found[name] = float((1 + (worlds <= seen).sum()) / 100)
    assert found["steps"] == 0.01
    assert found["fixed"] > 0.05


def monthly(values, columns, first="2015-01"):
    return pd.DataFrame(values, pd.period_range(first, periods=len(values), freq="M"), columns)


def test_month_returns_compound_and_leave_out_what_is_not_over():
    """A month needs the last day of the month before; 1.1 a day over the 20 trading days of February 2021."""
    shares = pd.DataFrame({"S0": 0.1}, days(60))  # to 2021-03-25
    found = hedging.month_returns(shares)
    assert [str(m) for m in found.index] == ["2021-02"]
    assert found.iloc[0, 0] == pytest.approx(1.1**20 - 1)


def test_predictions_find_a_planted_lead_and_know_only_the_past():
    """y = 0.05 + 0.6 x of the month before + noise: R2 out of sample near 0.36/(0.36 + 0.25) = 0.59 (seed 9)."""
    rng = np.random.default_rng(9)
    x = rng.normal(0, 1, (240, 1))
    y = 0.05 + 0.6 * np.r_[0.0, x[:-1, 0]][:, None] + 0.5 * rng.standard_normal((240, 4))
    shares, factors = monthly(y, list("ABCD")), monthly(x, ["bitcoin"])
    betas = {m: np.zeros((4, 1)) for m in shares.index}
    forecasts = hedging.predictions(shares, factors, betas)
    table = hedging.score_predictions(shares, forecasts).set_index("rule")
    assert table.loc["last month", "r2"] == pytest.approx(0.59, abs=0.06)
    assert table.loc["last month", "p"] < 1e-6
    assert forecasts["own mean"].iloc[60, 0] == pytest.approx(y[1:60, 0].mean())
    assert forecasts["nothing"].iloc[:25].isna().all().all()
    assert (forecasts["loadings"].fillna(0) == forecasts["nothing"].fillna(0)).all().all()
    later = shares.copy()
    later.iloc[100:] = 9.0
    again = hedging.predictions(later, factors, betas)
    assert all(np.array_equal(again[r].iloc[:101], forecasts[r].iloc[:101], equal_nan=True) for r in forecasts)


def test_noise_is_not_predicted():
    """No rule beats the mean at 1 % on noise (seed 10)."""
    rng = np.random.default_rng(10)
    shares, factors = (
        monthly(rng.normal(0, 0.2, (120, 5)), list("ABCDE")),
        monthly(rng.normal(0, 1, (120, 2)), ["a", "b"]),
    )
    betas = {m: rng.normal(1, 0.2, (5, 2)) for m in shares.index}
    table = hedging.score_predictions(shares, hedging.predictions(shares, factors, betas)).set_index("rule")
    assert table.loc["last month", "r2"] < 0
    assert not ((table["p"] < 0.01) & (table["statistic"] > 0)).any()


def test_refusals_are_one_plain_sentence():
    shares, factors, _ = world(200)
    starts, _ = hedging.months(shares.index, 60)
    gap, twice, still = factors.copy(), factors.copy(), factors.copy()
    gap.iloc[7, 0] = np.nan
    twice["nasdaq"] = 2 * twice["bitcoin"]
    still["nasdaq"] = 0.0
    short = monthly(np.zeros((5, 1)), ["A"])
    for refused, words in (
        (lambda: hedging.past_betas(shares, gap, starts, None, 60), "no return on 2021-01-12"),
        (lambda: hedging.past_betas(shares, twice, starts, None, 60), "bitcoin, nasdaq are collinear"),
        (lambda: hedging.past_betas(shares, still, starts, None, 60), "nasdaq"),
        (lambda: hedging.past_betas(shares, factors.iloc[1:], starts, None, 60), "not on the same days"),
        (lambda: hedging.filtered_betas(shares, factors, starts, 60, (-1.0,)), "negative variance"),
        (lambda: hedging.effectiveness({"bare": short * np.nan}, "bare"), "no share has a whole month"),
        (lambda: hedging.score_predictions(short, hedging.predictions(short, short, {})), "longer sample"),
    ):
        with pytest.raises(Refusal, match=words) as said:
            refused()
        assert "\n" not in str(said.value)
