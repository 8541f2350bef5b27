"""Ranks of 20 sites by 10 criteria from 100,000 draws: seconds and peak memory. Wanted: under 2 s.

Run: python benchmarks/smaa.py [draws]. A run draws weights and values (errors everywhere, one cell in ten unknown), and
gives rank acceptabilities, central weights, pairwise wins and confidence factors. Prints the median of seven runs with
nothing said of the weights, then the weights alone of a run under preferences that need hit-and-run; nothing fails,
since a clock is no test.
"""

import os
import platform
import resource
import statistics
import sys
import time

import numpy as np

from wattshift import smaa
from wattshift.sites import Panel

SITES, CRITERIA, RUNS, SEED = 20, 10, 7, 2022


def made(rng: np.random.Generator) -> Panel:
    """A panel of random utilities, errors of 0.05, and a range from 0.2 to 0.9 for one cell in ten."""
    value = rng.random((SITES, CRITERIA))
    unknown = rng.random(value.shape) < 0.1
    value[unknown] = np.nan
    low, high = np.where(unknown, 0.2, np.nan), np.where(unknown, 0.9, np.nan)
    names = tuple(f"s{place}" for place in range(SITES)), tuple(f"c{place}" for place in range(CRITERIA))
    return Panel(*names, value, np.where(unknown, np.nan, 0.05), low, high, np.arange(value.size).reshape(value.shape))


def main(draws: int) -> None:
    """Time whole rankings, weights included."""
    panel = made(np.random.default_rng(SEED))
    free = smaa.preferences([], panel.criteria)
    took, busy = [], []
    for run in range(RUNS):
        rng = np.random.default_rng([SEED, run])
        begin, began = time.perf_counter(), time.process_time()
        found = smaa.rank(panel, smaa.weights(free, draws, rng), rng)
        took.append(time.perf_counter() - begin)
        busy.append(time.process_time() - began)
    print(f"{draws:,} draws, {SITES} sites, {CRITERIA} criteria, {os.cpu_count()} cores, numpy {np.__version__}")
    print(
        f"nothing said: median {statistics.median(took):.2f} s of {RUNS} runs ({min(took):.2f} to {max(took):.2f}), "
        f"{statistics.median(busy):.2f} s of a core; largest Monte Carlo error {found.error.max():.4f}"
    )
    begin = time.perf_counter()
    told = smaa.preferences([" > ".join(panel.criteria[:6]), f"{panel.criteria[-1]} <= 0.02"], panel.criteria)
    smaa.weights(told, draws, np.random.default_rng(SEED))
    print(f"an order of six and a bound: weights alone {time.perf_counter() - begin:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, else KiB
    print(f"peak memory {peak / 2 ** (30 if platform.system() == 'Darwin' else 20):.2f} GiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
