"""Size and power of the event-study tests on this sample's own returns, and how long the whole event table takes.

Run: python benchmarks/events.py [draws]. Writes benchmarks/events.csv (20,000 draws, some four minutes) and prints it.

Two designs, each for the clean contracts and for all that were not found by their own jump, with the defaults of 02:
  re-dated   the event set is moved to random days of the true history; volatility clusters, tails and listing dates
             are the sample's own. The permutation of dates is right here by construction.
  resampled  new histories are drawn first: whole days (returns and factors together, so all correlation between shares
             stays) in blocks of 20 on average (stationary bootstrap, Politis & Romano 1994); then the set is dated at
             random within each, and the permutation draws its reference from that history alone.
Share-days inside true event windows take part in neither. Rates are of rejection at 5 %: `size` where nothing happened,
`louder` where half the events have three times the variance, `power` with 10 points added to every CAR of the latter.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from wattshift import data, events, eventtests, loadings, returns

SEED = 2020
TICKERS = ("APLD", "BITF", "BTDR", "CIFR", "CLSK", "CORZ", "HIVE", "HUT", "IREN", "MARA", "RIOT", "WULF")
START, END, MODEL, BASKET = "2021-01-05", "2026-07-24", "bitcoin+nasdaq+ai", ("NVDA", "SMH")
EFFECT, BLOCK, PER_HISTORY, REFERENCE = 0.1, 20, 20, 2_000


def resampled(panel: events.Panel, blocked: np.ndarray, since: int, rng: np.random.Generator) -> events.Panel:
    """A history as long as the days from `since` on, made of blocks of them, with its models estimated anew."""
    length = len(panel.days) - since
    starts = rng.random(length) < 1 / BLOCK
    starts[0] = True
    age = np.arange(length) - np.maximum.accumulate(np.where(starts, np.arange(length), 0))
    first = rng.integers(0, length, size=length)[np.maximum.accumulate(np.where(starts, np.arange(length), 0))]
    rows = since + (first + age) % length
    days = pd.bdate_range("2000-01-03", periods=length)
    shares = pd.DataFrame(panel.y[rows], index=days, columns=list(panel.tickers))
    factors = pd.DataFrame(panel.x[rows, 1:], index=days, columns=list(panel.regressors[1:]))
    return events.panel(shares, factors, panel.window, blocked[rows], check=False)


def rates_resampled(
    panel: events.Panel, sample: events.Sample, blocked: np.ndarray, since: int, rng: np.random.Generator, draws: int
) -> pd.DataFrame:
    """Rates of rejection over histories, with the standard error of a size that respects them as clusters."""
    parts = []
    for history in range(draws // PER_HISTORY):
        drawn = resampled(panel, blocked, since, rng)
        plan = eventtests.layout(drawn, sample)
        reference = eventtests.bmp(eventtests.redated(drawn, plan, rng, REFERENCE))[0]
        signs = eventtests.flips(len(plan.starts), rng, REFERENCE)
        placebo = eventtests.redated(drawn, plan, rng, PER_HISTORY)
        found = eventtests.rejections(placebo, plan, reference, signs, EFFECT, rng)
        parts.append(found.groupby(level=0).mean().stack().rename(history))
    table = pd.concat(parts, axis=1)
    rates = table.mean(axis=1).unstack(level=0)
    rates["se"] = table.loc["size"].std(axis=1) / np.sqrt(table.shape[1])
    return rates.rename_axis("test").reset_index()


def main(draws: int) -> None:
    """Both designs for both sets of events, then the clock."""
    table = data.load("equity_returns_daily").set_index("date")
    factor_table = data.load("factors_daily").set_index("date")
    chosen = returns.sample(table, factor_table, TICKERS, START, END, ai_basket=BASKET)
    window = events.Window()
    deals = events.read_deals(data.load("ai_deals"))
    blocked = events.in_windows(deals, pd.DatetimeIndex(chosen.shares.index), TICKERS, window)
    panel = events.panel(chosen.shares, loadings.pick(MODEL, chosen.factors), window, blocked)
    testable = deals[events.left_out(panel, deals).eq("")]
    since = int(panel.days.searchsorted(deals["event_date"].min()))
    back = since - window.estimation_days - window.gap_days - window.length
    rng = np.random.default_rng(SEED)
    sets = {
        "clean contracts": events.choose(testable),
        "not by their jump": events.choose(testable, events.CONTRACTS, "include", "include", "exclude"),
    }
    results = []
    for name, kept in sets.items():
        sample = events.study(panel, kept)
        begin = time.perf_counter()
        rates = eventtests.verdicts(sample, rng, EFFECT, draws, REFERENCE, since)
        rates["se"] = np.sqrt(0.05 * 0.95 / draws)
        results.append(rates.assign(events=name, design="re-dated"))
        rates = rates_resampled(panel, sample, blocked, back, rng, draws)
        results.append(rates.assign(events=name, design="resampled"))
        print(f"{name}: {len(kept)} events, {time.perf_counter() - begin:.0f} s", flush=True)
    out = pd.concat(results, ignore_index=True).assign(draws=draws, seed=SEED)
    out = out[["events", "design", "test", "size", "louder", "power", "se", "draws", "seed"]]
    print(out.round(4).to_string(index=False))
    if draws >= 20_000:
        out.round(5).to_csv(Path(__file__).with_suffix(".csv"), index=False, lineterminator="\n")
    sample = events.study(panel, testable)
    groups = {"all": np.ones(len(testable), dtype=bool)}
    groups |= {kind: testable["kind"].eq(kind).to_numpy() for kind in testable["kind"].unique()}
    begin = time.perf_counter()
    eventtests.event_table(sample, groups, rng, 10_000, since)
    took = time.perf_counter() - begin
    print(
        f"event table, {len(testable)} events, {len(groups)} groups, 10,000 draws: {took:.2f} s, {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
