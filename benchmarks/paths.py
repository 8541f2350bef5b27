"""100,000 five-year paths of price, difficulty response and margin: seconds and peak memory. Wanted: under 10 s, 2 GiB.

Run: python benchmarks/paths.py [paths]. Prints one line per price law; nothing fails, since a clock is no test.
"""

import os
import platform
import resource
import sys
import time

import numpy as np

from wattshift import outlook

YEARS = 5
BREAKEVEN = 30.0  # USD/PH/day
SEED = 840_000


def peak_gib() -> float:
    """Largest memory of this process so far, GiB (ru_maxrss is in bytes on macOS, else in KiB)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if platform.system() == "Darwin" else peak / 2**20


def main(paths: int) -> None:
    """Simulate, take margins and time under water, and read a monthly fan, for each price law."""
    horizon = YEARS * outlook.DAYS_PER_YEAR
    start = outlook.Start(70_000.0, 1.4e14, 1_000.0, 952_054, fees_btc=0.02)
    law = outlook.DifficultyLaw(
        "free entry", 1.0, 180.0, 0.3, 0.1, noise=0.03, fleet_cost=24.0, fleet_spread=0.35, efficiency_gain=0.15
    )
    past = np.random.default_rng(SEED).standard_t(4, 1_500) * 0.02
    print(f"{paths:,} paths of {YEARS} years, {os.cpu_count()} cores, numpy {np.__version__}")
    for price_law in (
        outlook.PriceLaw("gaussian", volatility=0.5),
        outlook.PriceLaw("bootstrap", daily_returns=past),
    ):
        begin = time.perf_counter()
        fan = outlook.forward_paths(start, price_law, law, horizon, paths, np.random.default_rng(SEED))
        simulated = time.perf_counter() - begin
        margin = fan.margin(BREAKEVEN)
        below = fan.days_below(BREAKEVEN, horizon)
        outlook.quantile_band(fan.at(np.arange(0, horizon, outlook.DAYS_PER_MONTH)))
        total = time.perf_counter() - begin
        print(
            f"{price_law.name:10} {len(fan.height) - 1} steps: paths {simulated:.2f} s, with margin and monthly fan "
            f"{total:.2f} s; peak {peak_gib():.2f} GiB; mean {below.mean() / outlook.DAYS_PER_MONTH:.1f} months under "
            f"water, median final margin {np.median(margin[-1]):.0%}"
        )
        del fan, margin


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
