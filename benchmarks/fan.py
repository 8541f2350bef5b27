"""100,000 futures of data-centre demand from the record of past forecasts, by law: seconds. Wanted: under 5 s each.

Run: python benchmarks/fan.py [paths]. Prints one line per law; nothing fails, since a clock is no test.
"""

import os
import sys
import time

import numpy as np

from wattshift import combine, data, scoring

SEED = 2030
TWH, YEARS, WEIGHTS = [945.0, 1_350.0, 1_065.0, 980.0], [5.0, 5.0, 5.0, 5.0], [0.25] * 4  # of the default report


def main(paths: int) -> None:
    """Fit each law to the record, draw the fan from 2025 to 2035 and read its quantiles."""
    scored, _ = scoring.record(data.load("past_forecasts"), data.load("dc_demand_history"))
    print(f"{paths:,} futures of 10 years, {os.cpu_count()} cores, numpy {np.__version__}")
    for name in combine.LAWS:
        begin = time.perf_counter()
        law = combine.fit_law(scored, name)
        fan = combine.fan((2025, 485.0), 2035, TWH, YEARS, WEIGHTS, law, paths, np.random.default_rng(SEED))
        fan.quantiles()
        print(f"{name:>10}: {time.perf_counter() - begin:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
