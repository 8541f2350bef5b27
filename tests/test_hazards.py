"""Intervals equal published and closed values, planted hazards are found again, luck is shared as the formula says."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wattshift import data, hazards
from wattshift.refusal import Refusal

TABLES = (
    "site_candidates", "pri_claims_opic", "pri_contracts_opic", "mining_regulation_events", "grid_reliability",
)  # fmt: skip


@cache
def table(name: str) -> pd.DataFrame:
    return data.load(name)


@cache
def estimated(**changed: object) -> tuple[hazards.Rates, pd.DataFrame]:
    asked = {"as_of": "2026-07-01", "since": 1991, "uninsured": 0.25} | changed
    return hazards.estimate(*(table(name) for name in TABLES), **asked)  # type: ignore[arg-type]


def series(*values: float) -> "pd.Series[float]":
    return pd.Series(values, [f"J{place}" for place in range(len(values))], dtype=float)


def events(*rows: dict[str, object]) -> pd.DataFrame:
    """Rows in the form of mining_regulation_events, each with its own identifier unless one is given."""
    blank = {
        "date_precision": "day", "end_date": pd.NaT, "effective_date": pd.NaT, "iso3": "AAA", "region": None,
        "kind": "ban", "direction": -1, "event": "a ban",
    }  # fmt: skip
    frame = pd.DataFrame([blank | {"event_id": f"X{place:02}"} | row for place, row in enumerate(rows)])
    return frame.assign(date=pd.to_datetime(frame["date"]), end_date=pd.to_datetime(frame["end_date"]))


# ---------------------------------------------------------------- exact intervals


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390)]
)
def test_garwoods_table(count: int, low: float, high: float):  # 95 %, Garwood 1936, to its three or four digits
    assert hazards.garwood(count, level=0.95) == pytest.approx((low, high), abs=1e-3)


def test_nothing_seen_is_no_proof_of_safety():
    assert hazards.garwood(0, 250.0) == pytest.approx((0.0, -np.log(0.05) / 250), rel=1e-12)


@cache
def ends_of(counts: int) -> np.ndarray:
    return np.array([hazards.garwood(count) for count in range(counts)])


@settings(deadline=None)
@given(st.floats(0.05, 30))
def test_the_exact_interval_covers_at_least_what_it_promises(mean: float):
    counts, ends = np.arange(120), ends_of(120)
    covered = (ends[:, 0] <= mean) & (mean <= ends[:, 1])
    assert stats.poisson.pmf(counts, mean)[covered].sum() >= hazards.LEVEL - 1e-9


@pytest.mark.parametrize("given_", [(-1, 1.0, 0.9), (1, 0.0, 0.9), (1, 1.0, 1.0)])
def test_a_rate_without_exposure_is_refused(given_: tuple[float, float, float]):
    with pytest.raises(Refusal, match="a rate needs"):
        hazards.garwood(*given_)


# ---------------------------------------------------------------- lists that know no zero


def test_the_truncated_mean_by_hand():
    best, low, high = hazards.zero_truncated([1, 2, 3, 2])
    assert best / (1 - np.exp(-best)) == pytest.approx(2.0, abs=1e-12)  # the likelihood equation at a mean of 2
    assert best == pytest.approx(1.5936, abs=1e-4)
    assert low < best < high


def test_one_event_everywhere_says_that_the_rate_may_be_anything_near_zero():
    best, low, high = hazards.zero_truncated([1])
    assert (best, low) == (0.0, 0.0)
    assert high / np.expm1(high) == pytest.approx(0.05, abs=1e-9)  # P(N = 1 | N >= 1), in closed form
    best, low, high = hazards.zero_truncated([1] * 4)
    assert (best, low) == (0.0, 0.0)
    assert (high / np.expm1(high)) ** 4 == pytest.approx(0.05, abs=1e-9)


def test_a_planted_rate_is_found_though_no_zero_is_listed():
    rng = np.random.default_rng(1)
    counts = rng.poisson(0.7, 4_000)
    counts = counts[counts > 0]
    best, low, high = hazards.zero_truncated(list(counts[:300]))
    assert low < 0.7 < high
    assert best == pytest.approx(0.7, abs=0.12)  # three standard errors, about 0.04 each
    assert counts.mean() > 1.3  # the plain mean of the same list, nearly twice the truth


def test_the_truncated_interval_covers_what_it_promises():
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(150):
        counts = rng.poisson(0.8, 60)
        _, low, high = hazards.zero_truncated(list(counts[counts > 0][:5]))
        inside.append(low <= 0.8 <= high)
    assert np.mean(inside) >= 0.90 - 2 * np.sqrt(0.09 / 150)  # exact, so at least 90 %, less two standard errors


@pytest.mark.parametrize("counts", [[], [0, 1], [1.5]])
def test_a_zero_has_no_place_in_a_truncated_list(counts: list[int]):
    with pytest.raises(Refusal, match="zero-truncated mean"):
        hazards.zero_truncated(counts)


# ---------------------------------------------------------------- own record and world


def test_where_all_are_alike_the_answer_is_the_pooled_gamma():
    counts, years = series(3, 0, 1, 0), series(10, 20, 5, 5)
    found = hazards.credibility(counts, years, spreads=[1e9])
    plain = hazards.pooled(counts, years)
    assert plain.loc["J1"].tolist() == [4.5, 40.0]  # gamma(total + 1/2, exposure), by Jeffreys' prior
    mean = (found["shape"] / found["rate"]).to_numpy()
    assert mean == pytest.approx(4.5 / 40, rel=2e-3)
    assert found["shape"].to_numpy() == pytest.approx(4.5, rel=0.01)  # the grid's ends cut a little of the tails


def test_a_long_record_speaks_for_itself_and_none_for_the_world():
    counts, years = series(50, 0, 2, 1, 0), series(1e3, 1e6, 40, 40, 0)
    found = hazards.credibility(counts, years)
    mean = found["shape"] / found["rate"]
    assert mean["J0"] == pytest.approx(50 / 1e3, rel=0.1)
    assert mean["J1"] < 2e-6
    assert found.loc["J4"].to_numpy() == pytest.approx(found.loc["new"].to_numpy(), rel=1e-9)
    assert mean["J3"] < mean["J2"]  # of two records of equal length the one with more events has the higher rate


def test_planted_hazards_are_found_again():
    """200 jurisdictions, rates gamma with shape 2 and mean 0.05, 10 to 80 years each."""
    rng = np.random.default_rng(3)
    truth = rng.gamma(2.0, 0.025, 200)
    years = pd.Series(rng.uniform(10, 80, 200), [f"J{place}" for place in range(200)])
    counts = pd.Series(rng.poisson(truth * years), years.index)
    found = hazards.credibility(counts, years)
    mean = (found["shape"] / found["rate"]).drop("new").to_numpy()
    own = (counts / years).to_numpy()
    assert ((mean - truth) ** 2).mean() < 0.8 * ((own - truth) ** 2).mean()  # better than the record alone
    assert found["shape"]["new"] / found["rate"]["new"] == pytest.approx(0.05, rel=0.15)
    assert found["shape"]["new"] == pytest.approx(2.0, rel=0.5)
    low, high = (stats.gamma.ppf(end, found["shape"], scale=1 / found["rate"])[:-1] for end in (0.05, 0.95))
    assert 0.84 < ((low <= truth) & (truth <= high)).mean() < 0.96  # 90 %, four standard errors of 0.02 below


def test_a_factor_shared_by_perils_is_credibility_of_their_sum_and_shares_of_it():
    counts = pd.DataFrame({"a": series(4, 0, 1), "b": series(1, 0, 0), "c": series(0, 0, 0)})
    years = series(10, 10, 20)
    found = hazards.country_credibility(counts, years)
    whole = hazards.credibility(counts.sum(axis=1), years, prior=1.5)
    for peril, share in {"a": 5.5 / 7.5, "b": 1.5 / 7.5, "c": 0.5 / 7.5}.items():  # Dirichlet(events + 1/2), six seen
        mean = found[peril]["shape"] / found[peril]["rate"]
        assert mean.to_numpy() == pytest.approx((share * whole["shape"] / whole["rate"]).to_numpy())
    alone = hazards.country_credibility(counts[["a"]], years)["a"]
    pd.testing.assert_frame_equal(alone, hazards.credibility(counts["a"], years))  # one peril shares with nobody


def test_jurisdictions_that_are_all_alike_leave_each_peril_its_own_rate():
    counts = pd.DataFrame({"a": series(2, 0, 3, 1), "b": series(0, 0, 0, 1)})
    years = series(10, 10, 20, 10)
    whole = hazards.credibility(counts.sum(axis=1), years, [1e9], prior=1.0)
    assert whole["shape"].to_numpy() == pytest.approx(8.0, rel=0.01)  # seven events, and a half for each peril
    for peril, share in {"a": 6.5 / 8, "b": 1.5 / 8}.items():  # as `pooled` has it: gamma(own + 1/2, exposure)
        plain = hazards.pooled(counts[peril], years).loc["new"]
        mean = float(whole["shape"]["new"] / whole["rate"]["new"]) * share
        assert mean == pytest.approx(plain["shape"] / plain["rate"], rel=2e-3)


def test_a_planted_country_factor_is_found_again_and_beats_peril_by_peril():
    """300 jurisdictions of 10 to 60 years, four rates per jurisdiction times one factor, gamma with shape 1.5."""
    rng = np.random.default_rng(10)
    rates = pd.Series({"a": 0.01, "b": 0.05, "c": 0.02, "d": 0.005})
    truth = np.outer(rng.gamma(1.5, 1 / 1.5, 300), rates)
    years = pd.Series(rng.uniform(10, 60, 300), [f"J{place}" for place in range(300)])
    counts = pd.DataFrame(rng.poisson(truth * years.to_numpy()[:, None]), years.index, rates.index)
    found = hazards.country_credibility(counts, years)
    for place, (peril, rate) in enumerate(rates.items()):
        apart = hazards.credibility(counts[peril], years)
        mean, single = ((frame["shape"] / frame["rate"]).drop("new").to_numpy() for frame in (found[peril], apart))
        assert ((mean - truth[:, place]) ** 2).mean() < 0.95 * ((single - truth[:, place]) ** 2).mean()
        assert found[peril]["shape"]["new"] / found[peril]["rate"]["new"] == pytest.approx(rate, rel=0.25)
        ends = (
            stats.gamma.ppf(end, found[peril]["shape"], scale=1 / found[peril]["rate"])[:-1] for end in (0.05, 0.95)
        )
        low, high = ends
        inside = (low <= truth[:, place]) & (truth[:, place] <= high)
        assert 0.83 < inside.mean() < 0.97  # 90 %, four standard errors of 0.017


def test_events_without_exposure_are_refused():
    with pytest.raises(Refusal, match="years at risk"):
        hazards.credibility(series(1, 0), series(0, 10))


def test_a_planted_year_factor_is_found_again():
    rng = np.random.default_rng(4)
    counts = rng.poisson(3.0 * rng.gamma(2.0, 0.5, 20_000))
    assert hazards.year_variance(counts, np.full(20_000, 3.0)) == pytest.approx(0.5, abs=0.04)
    assert hazards.year_variance(rng.poisson(3.0, 50_000), np.full(50_000, 3.0)) < 0.01
    assert hazards.year_variance([0, 0], [0, 0]) == 0


# ---------------------------------------------------------------- the insurer


def claims(*rows: tuple[str, float | None, int, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["iso3c", "year_event", "year_fiscal", "claim_type"])
    return frame.astype({"year_event": "Int64"})


def contracts(*rows: tuple[str, int, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["iso3c", "year", "insurance_contracts"])


def test_claims_are_grouped_to_episodes_by_event_or_else_by_settlement():
    found = hazards.episodes(
        claims(
            ("AAA", 2001, 2004, "Expropriation"), ("AAA", None, 2001, "Expropriation"),
            ("AAA", 1990, 2001, "War damage"), ("AAA", 2001, 2002, "War damage"),
            ("AAA", 2001, 2002, "Political violence"), ("BBB", None, 2018, "War damage"),
        ), 1991, 2017,
    )  # fmt: skip
    assert found.to_numpy().tolist() == [["AAA", 2001, "seizure", 2, 1], ["AAA", 2001, "war", 2, 0]]


def test_half_the_claims_of_the_table_carry_the_year_of_settlement():
    found = hazards.episodes(table("pri_claims_opic"), 1960, 2017)
    assert (found["claims"].sum(), found["undated"].sum()) == (307, 146)  # the card's counts


def test_contracts_stay_in_force_for_the_stated_years():
    none = hazards.episodes(claims(), 2000, 2010)
    found = hazards.in_force(contracts(("AAA", 2000, 2), ("AAA", 2002, 1)), none, 2000, 2010, years=3)
    assert found.to_dict() == {
        ("AAA", year): many for year, many in zip(range(2000, 2005), (2, 2, 3, 1, 1), strict=True)
    }
    with pytest.raises(Refusal, match="at least 1 year"):
        hazards.in_force(contracts(("AAA", 2000, 2)), none, 2000, 2010, years=0)


def test_a_gap_of_the_records_is_not_a_zero():
    none = hazards.episodes(claims(), 1966, 1980)
    found = hazards.in_force(contracts(("AAA", 1971, 4), ("AAA", 1974, 2)), none, 1972, 1973, years=1)
    assert found.to_list() == [3.0, 3.0]


def test_a_claim_proves_a_contract():
    claimed = hazards.episodes(
        claims(("BBB", 2005, 2006, "Expropriation"), ("AAA", 2001, 2001, "Expropriation")), 2000, 2010
    )
    signed = contracts(("AAA", 2000, 3))
    assert hazards.in_force(signed, claimed, 2000, 2010, years=2)["BBB"].to_dict() == {2005: 1.0}
    assert hazards.unexplained(signed, claimed, 2000, 2010, years=2) == 0.5
    assert hazards.unexplained(signed, claimed, 2000, 2010, years=1) == 1.0


def test_a_wave_of_claims_is_not_as_many_accidents():
    """Country AAA: 10 contracts in each of 2 years, 4 claims in the first; BBB: 10 contracts, 2 years, 1 claim."""
    claimed = hazards.episodes(
        claims(*[("AAA", 2000, 2001, "Expropriation")] * 4, ("BBB", 2001, 2001, "Expropriation")), 2000, 2001
    )
    force = hazards.in_force(contracts(("AAA", 2000, 10), ("BBB", 2000, 10)), claimed, 2000, 2001, years=2)
    found = hazards.insured(claimed, force).loc["seizure"]
    assert (found["claims"], found["episodes"], found["contract_years"]) == (5, 2, 40)
    assert found["cluster"] == pytest.approx((16 + 1) / 5)
    assert found["common"] == pytest.approx((4 * 3 + 0) / (4 * 9 + 1 * 9))
    assert (found["low"], found["high"]) == pytest.approx(hazards.garwood(5, 40))
    effective = 25 / 17  # (sum of n)^2 / sum of n^2 independent events
    assert found["wide_low"] == pytest.approx(stats.gamma.ppf(0.05, effective) / effective * 5 / 40)
    assert found["wide_high"] == pytest.approx(stats.gamma.ppf(0.95, effective + 1) / effective * 5 / 40)
    assert found["wide_low"] < found["low"] < found["rate"] < found["high"] < found["wide_high"]
    assert hazards.insured(claimed, force).loc["war", ["claims", "rate", "low"]].tolist() == [0, 0, 0]


def test_the_last_full_year_of_the_record():
    assert hazards.last_full_year(pd.Timestamp("2026-07-01"), 2017) == 2017


# ---------------------------------------------------------------- events about mines


def test_every_coded_event_and_chain_is_in_the_table():
    known = set(table("mining_regulation_events")["event_id"])
    for chains in (hazards.CHAINS, hazards.STEPS):
        coded = [*hazards.CODED, *(event for chain in chains for event in chain)]
        assert set(coded) <= known
        assert len(set(coded)) == len(coded)
    assert set(table("mining_regulation_events")["kind"]) <= set(hazards.KINDS)


def test_one_measure_counts_once():
    """The pairs that the card names, and by the same rule the steps of Paraguay's tariff."""
    known = hazards.measures(table("mining_regulation_events"), "2026-07-01").set_index("event_id")["measure"]
    same = {"E047": ["E048"], "E021": ["E041"], "E005": ["E016", "E027"], "E015": ["E046"], "E003": ["E008"]}
    for first, others in same.items():
        assert {known[event] for event in [first, *others]} == {first}
    first = hazards.once(hazards.measures(table("mining_regulation_events"), "2026-07-01"))
    assert first["measure"].is_unique
    assert len(first) < (hazards.measures(table("mining_regulation_events"), "2026-07-01")["peril"] != "").sum()


def test_by_the_other_rule_each_step_of_a_levy_is_a_measure():
    known = hazards.measures(table("mining_regulation_events"), "2026-07-01", steps=False)
    own = known.set_index("event_id")["measure"]
    assert own[["E005", "E016", "E027", "E015", "E046", "E021", "E041"]].tolist() == [
        "E005", "E005", "E027", "E015", "E046", "E021", "E041",
    ]  # fmt: skip
    joined = hazards.once(hazards.measures(table("mining_regulation_events"), "2026-07-01"))
    assert len(hazards.once(known)) == len(joined) + 3
    apart = estimated(steps=False)[0].mean["tariff"]
    assert apart["EKB_KZ"] > estimated()[0].mean.loc["EKB_KZ", "tariff"]


def test_a_chain_known_in_part_counts_from_what_is_known():
    known = hazards.measures(table("mining_regulation_events"), "2021-12-31")
    assert known.set_index("event_id").loc["E005", "measure"] == "E005"
    assert "E016" not in set(known["event_id"])


def test_what_stops_new_load_does_not_stop_a_running_mine():
    found = hazards.measures(
        events(
            {"date": "2020-01-01", "kind": "moratorium"}, {"date": "2020-01-02", "kind": "grid_limit"},
            {"date": "2020-01-03", "kind": "tariff"}, {"date": "2020-01-04", "kind": "tax", "direction": 1},
            {"date": "2020-01-05", "end_date": "2020-03-01"}, {"date": "2020-01-06", "end_date": "2031-03-15"},
        ), "2026-01-01",
    )  # fmt: skip
    known = hazards.measures(table("mining_regulation_events"), "2026-07-01").set_index("event_id")
    assert known.loc["E055", ["bears", "peril"]].tolist() == [hazards.NEW, ""]  # announced, as the gates read it
    assert found["peril"].tolist() == ["", "", "tariff", "", "rationing", "ban"]
    assert found["bears"].tolist() == [
        hazards.NEW,
        hazards.NEW,
        hazards.EXISTING,
        hazards.OPENS,
        *[hazards.EXISTING] * 2,
    ]


def test_the_coding_by_hand_can_be_left_out():
    by_kind = hazards.measures(table("mining_regulation_events"), "2026-07-01", coded=False).set_index("event_id")[
        "peril"
    ]
    by_hand = hazards.measures(table("mining_regulation_events"), "2026-07-01").set_index("event_id")["peril"]
    assert set(by_kind.index[by_kind != by_hand]) == set(hazards.CODED)


def test_dates_are_ordered_by_the_first_day_they_may_mean():
    """2022 may be any day from January on: it is before 2022-03, and not known at the end of 2021."""
    mixed = events(
        {"date": "2022-03-01", "date_precision": "month"}, {"date": "2022-01-01", "date_precision": "year"},
        {"date": "2021-12-31"},
    )  # fmt: skip
    assert hazards.measures(mixed, "2022-06-30")["event_id"].tolist() == ["X02", "X01", "X00"]
    assert hazards.measures(mixed, "2021-12-31")["event_id"].tolist() == ["X02"]


def test_an_unknown_kind_of_event_is_refused():
    with pytest.raises(Refusal, match="'riot'"):
        hazards.measures(events({"date": "2020-01-01", "kind": "riot"}), "2026-01-01")


def test_three_samples_by_hand():
    """AAA: 3 bans; BBB: 1 ban; CCC: listed for a tariff; DDD: chosen, never listed. Ten years."""
    known = hazards.measures(
        events(
            *({"date": f"201{year}-01-01"} for year in range(3)), {"date": "2015-01-01", "iso3": "BBB"},
            {"date": "2016-01-01", "iso3": "CCC", "kind": "tariff"},
        ), "2020-01-01",
    )  # fmt: skip
    found = hazards.mining(known, ["AAA", "CCC", "DDD"], 10.0)
    ban = found.loc["ban"]
    assert ban[["rows", "measures", "hit", "listed", "chosen_measures", "chosen"]].tolist() == [4, 4, 2, 3, 3, 3]
    assert ban["listed_rate"] == pytest.approx(4 / 30)
    assert ban["chosen_rate"] == pytest.approx(3 / 30)
    assert ban["truncated"] == pytest.approx(1.5936 / 10, abs=1e-5)  # mean of 3 and 1 is 2
    assert found.loc["tariff", "truncated"] == 0  # one event in the one order that had any
    assert found.loc["internet", ["chosen_rate", "chosen_high"]].tolist() == pytest.approx([0, -np.log(0.05) / 30])
    assert np.isnan(found.loc["internet", "truncated"])


def test_years_at_risk_start_with_the_table():
    at_risk = hazards.years_at_risk(table("mining_regulation_events"), "2025-12-31")
    assert at_risk == pytest.approx(8.0, abs=0.01)  # 2018 to 2025


def test_years_that_nobody_has_coded_are_not_calm():
    listed = table("mining_regulation_events")
    assert hazards.record_day(listed, "2018-12-31") == pd.Timestamp("2018-12-31")
    assert hazards.record_day(listed, "2040-01-01") == pd.Timestamp("2026-07-01")
    pd.testing.assert_frame_equal(estimated(as_of="2040-01-01")[0].mean, estimated(as_of="2027-09-30")[0].mean)
    with pytest.raises(Refusal, match="as_of cannot be before 2018-12-31"):
        hazards.record_day(listed, "2018-12-30")


def test_the_world_count_of_shutdowns():
    assert hazards.countries_shut(table("internet_shutdowns"), table("wgi_world_summary")) == (2022, 35, 213)


# ---------------------------------------------------------------- minutes without power


def test_outages_keep_minutes_from_hours_and_the_unknown_from_the_safe():
    found = hazards.outages(table("grid_reliability"), table("site_candidates"), "2026-07-01")
    assert found.loc["TX_ERCOT", "high"] == 1496.4  # the card: IEEE reporters in minutes, not 19.6 h of all reporters
    assert found.loc["GA_US", ["years", "basis"]].tolist() == [11, "own state"]
    assert found.loc["NO", ["low", "high"]].tolist() == [9, 371]
    middle = found.loc["AE", "mean"]
    spread = stats.loguniform(9, 1496.4)
    assert middle == pytest.approx(spread.mean(), rel=1e-9)
    assert found.loc["AE", "basis"] != "own state"
    assert (found["low"] <= found["mean"]).all()
    assert (found["mean"] <= found["high"]).all()


def test_only_published_years_of_reliability_count():
    found = hazards.outages(table("grid_reliability"), table("site_candidates"), "2021-09-30")
    assert found.loc["TX_ERCOT", ["years", "high"]].tolist() == [7, 486.8]  # 2013 to 2019: neither 2020 nor Uri's 2021


# ---------------------------------------------------------------- every site


def test_every_site_has_a_proper_rate_for_every_peril():
    rates, shared = estimated()
    assert list(rates.shape.columns) == list(rates.rate.columns) == list(hazards.COUNTED) == list(shared.index)
    assert (rates.shape.to_numpy() > 0).all()
    assert np.isfinite(rates.rate.to_numpy()).all()
    low, high = rates.interval()
    assert (low <= rates.mean).all().all()
    assert (rates.mean <= high).all().all()
    assert shared["common"].between(0, 1).all()
    assert (shared["year"] >= 0).all()


def test_uninsured_countries_carry_their_share_of_the_world_rate():
    rates, _ = estimated()
    claimed = hazards.episodes(table("pri_claims_opic"), 1991, 2017)
    world = hazards.insured(claimed, hazards.in_force(table("pri_contracts_opic"), claimed, 1991, 2017))["rate"]
    for peril in hazards.INSURED:
        assert rates.mean.loc["TX_ERCOT", peril] == pytest.approx(0.25 * world[peril])
    for share in (0.0, 1.0):
        found, shared = estimated(uninsured=share)
        assert found.mean.loc["NO", "seizure"] == pytest.approx(share * world["seizure"])
        assert found.mean.loc["BR", "seizure"] == rates.mean.loc["BR", "seizure"]  # covered: nothing moves
        low, high = found.interval()
        assert np.isfinite(low.to_numpy()).all()
        assert np.isfinite(high.to_numpy()).all()
        orders = table("site_candidates").set_index("site_id")["iso3"]
        drawn = hazards.simulate(found, shared, orders, 100, np.random.default_rng(5))
        assert (drawn["seizure"][:, found.shape.index.get_loc("NO")].sum() == 0) or share == 1.0


def test_with_one_rate_for_all_and_no_discount_all_sites_are_alike():
    rates = estimated(law="one rate for all", uninsured=1.0)[0]
    assert (rates.mean.max() / rates.mean.min() - 1).max() < 1e-12


def test_how_long_a_contract_lasts_spreads_the_same_claims():
    short, long = (estimated(contract_years=years)[0].mean["seizure"] for years in hazards.CONTRACT_RANGE)
    assert (short > estimated()[0].mean["seizure"]).all()
    assert (long < estimated()[0].mean["seizure"]).all()


def test_the_year_is_judged_from_the_first_measure_on():
    """Three empty years before the list had any measure would feign years that are bad everywhere."""
    first = hazards.once(hazards.measures(table("mining_regulation_events"), "2026-07-01"))
    spread = {}
    for start in (2018, 2021):
        yearly = hazards.by_year(first, "2026-07-01", start)
        expected = yearly["years"] * len(first) / yearly["years"].sum()
        spread[start] = hazards.year_variance(yearly["measures"], expected)
    assert first["date"].min().year == 2021
    assert estimated()[1].loc["ban", "year"] == spread[2021] < 0.1 < spread[2018]


def test_own_record_moves_a_rate_and_one_rate_for_all_does_not():
    own, same = estimated()[0].mean, estimated(law="one rate for all")[0].mean
    assert own.loc["IRK_RU", "ban"] > own.loc["BR", "ban"]
    for peril in hazards.MINING:  # four measures of any kind, one, none: each moves all perils of its country
        assert own.loc["EKB_KZ", peril] > own.loc["PY", peril] == own.loc["FI", peril] > own.loc["OM", peril]
    for peril in hazards.MINING:
        assert same[peril].nunique() == 1
    assert same.loc[["BR", "ET", "EKB_KZ"], "war"].nunique() == 1


def test_rates_are_those_of_the_legal_order_whoever_else_is_asked_about():
    every, alone = estimated()[0], estimated(sites=("QC_CA",))[0]
    assert alone.shape.index.tolist() == ["QC_CA"]
    pd.testing.assert_frame_equal(alone.shape, every.shape.loc[["QC_CA"]])
    pd.testing.assert_series_equal(every.mean.loc["QC_CA"], every.mean.loc["AB_CA"], check_names=False)


def test_nothing_is_known_before_its_day():
    early = estimated(as_of="2020-12-31")[0]
    assert early.mean["tariff"].nunique() == 1  # no measure on running sites was known of anywhere
    assert early.mean.loc["EKB_KZ", "internet"] == early.mean.loc["NO", "internet"]  # no blackout yet either


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"law": "own records"}, "no hazard law"),
        ({"uninsured": 1.5}, "share from 0 to 1"),
        ({"sites": ("TX_ERCOD",)}, "did you mean TX_ERCOT"),
        ({"sites": ()}, "no site to look at"),
        ({"as_of": "2012-06-30", "since": 2012}, "would start in 2012 and end in 2011"),
        ({"since": 2018}, "would start in 2018 and end in 2017"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(changed: dict[str, object], words: str):
    with pytest.raises(Refusal, match=words):
        estimated(**changed)


# ---------------------------------------------------------------- shared luck


def planted(
    shape: float, rate: float, common: float, year: float
) -> tuple[hazards.Rates, pd.DataFrame, "pd.Series[str]"]:
    """Sites A and B of one order, C of another, all with one rate; every peril alike."""
    sites = pd.Index(["A", "B", "C"], name="site_id")
    columns = list(hazards.COUNTED)
    rates = hazards.Rates(
        pd.DataFrame(shape, sites, columns), pd.DataFrame(rate, sites, columns), pd.DataFrame(index=sites)
    )
    shared = pd.DataFrame({"common": common, "year": year, "family": "one"}, pd.Index(columns))
    return rates, shared, pd.Series(["X", "X", "Y"], sites)


@pytest.mark.parametrize(("common", "year"), [(0.0, 0.0), (0.6, 0.5), (1.0, 0.0)])
def test_a_year_keeps_its_mean_and_shares_what_the_formula_says(common: float, year: float):
    rates, shared, orders = planted(2.0, 4.0, common, year)
    drawn = hazards.simulate(rates, shared, orders, 60_000, np.random.default_rng(6))["tariff"]
    spread = (2 / 16 + 0.25) * (1 + year) - 0.25
    assert drawn.mean(axis=0) == pytest.approx([0.5] * 3, abs=4 * np.sqrt((0.5 + spread) / 60_000))
    assert drawn.var(axis=0) == pytest.approx([0.5 + spread] * 3, rel=0.06)
    within = hazards.correlation(rates, shared, "A", "tariff")
    assert within == pytest.approx((common * 0.5 + spread) / (0.5 + spread))
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(within, abs=0.025)
    apart = year * 0.25 / (0.5 + spread)  # two orders share the year alone
    assert np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1] == pytest.approx(apart, abs=0.025)


def test_perils_of_a_family_share_its_years_and_families_do_not():
    rates, shared, orders = planted(1e6, 1e6, 0.0, 1.0)
    shared["family"] = ["insured"] * 3 + ["mining"] * 4
    drawn = hazards.simulate(rates, shared, orders, 40_000, np.random.default_rng(7))
    within = np.corrcoef(drawn["ban"][:, 0], drawn["tariff"][:, 2])[0, 1]
    between = np.corrcoef(drawn["ban"][:, 0], drawn["war"][:, 2])[0, 1]
    assert within == pytest.approx(0.5, abs=0.03)  # v m^2 / (m + v m^2) with m = v = 1
    assert between == pytest.approx(0.0, abs=0.025)


def test_one_order_cannot_have_two_rates():
    rates, shared, orders = planted(2.0, 4.0, 0.5, 0.0)
    rates.shape.loc["B", "ban"] = 3.0
    with pytest.raises(Refusal, match="different rates of ban"):
        hazards.simulate(rates, shared, orders, 10, np.random.default_rng(8))


def test_a_hazard_of_zero_never_strikes():
    rates, shared, orders = planted(2.0, np.inf, 0.5, 0.5)
    drawn = hazards.simulate(rates, shared, orders, 1_000, np.random.default_rng(9))
    assert all(counts.sum() == 0 for counts in drawn.values())
    assert hazards.correlation(rates, shared, "A", "ban") == 0
    assert rates.interval()[1].to_numpy().max() == 0
