"""How often things happen to a site, with intervals that admit how little was seen, and how sites share their bad luck.

Eight perils. Three are counted by an insurer: `seizure`, `war` (war damage and political violence), `inconvertibility`.
Four are counted from dated events about mining: `ban` (operations must stop), `tariff` (a step of a tariff or a tax),
`rationing` (power cut to miners) and `internet` (a shutdown). The eighth, `outage`, is minutes without power.

The two kinds of record err in opposite ways. An insurer knows its contracts, so quiet countries count too, but it went
where investors asked. A list of events knows no quiet jurisdiction: what is in it got there because something happened.

A rate is a gamma distribution per site and peril, in events per site-year. Sites of one legal order (one iso3) share
one rate, part of their events, and with all sites the luck of the year.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from wattshift import gates
from wattshift.refusal import Refusal

INSURED = ("seizure", "war", "inconvertibility")
MINING = ("ban", "tariff", "rationing", "internet")
COUNTED = (*INSURED, *MINING)
PERILS = (*COUNTED, "outage")
LAWS = ("own record", "one rate for all")
HazardLaw = Literal["own record", "one rate for all"]
LEVEL = 0.90  # coverage of every interval here, unless another is asked for

Floats = NDArray[np.float64]


# ---------------------------------------------------------------- what is handed on


@dataclass(frozen=True)
class Rates:
    """What is believed of each site's rates. Events per site-year are gamma(shape, rate): mean shape / rate.

    shape, rate : frames, index site_id, columns `COUNTED`. A rate of infinity is a hazard of exactly zero
    outage      : frame, index site_id, columns mean, low, high (minutes a year without power) and basis (whose figure)
    """

    shape: pd.DataFrame
    rate: pd.DataFrame
    outage: pd.DataFrame

    @property
    def mean(self) -> pd.DataFrame:
        """Expected events per site-year, site_id by peril."""
        return self.shape / self.rate

    def interval(self, level: float = LEVEL) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The central interval of every rate, (low, high), events per site-year, each site_id by peril."""
        ends = [stats.gamma.ppf(tail, self.shape, scale=1 / self.rate) for tail in ((1 - level) / 2, (1 + level) / 2)]
        low, high = (pd.DataFrame(end, self.shape.index, self.shape.columns).fillna(0.0) for end in ends)
        return low, high


def simulate(
    rates: Rates, shared: pd.DataFrame, orders: pd.Series[str], draws: int, rng: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Events of one year: peril -> counts, shape (draws, sites), columns in the order of `rates.shape.index`.

    shared : index `COUNTED`; columns common (share c of events that hit every site of a legal order at once), year
             (variance v of the factor that makes bad years bad everywhere) and family (perils of one family share it)
    orders : legal order of each site, index site_id

    In every draw a rate L is drawn once per legal order, and a year factor F, gamma with mean 1 and variance v, once
    per family. A site's count is Poisson(c L F), one for the whole order, plus its own Poisson((1 - c) L F). Then each
    count has mean m = E[L], and with V = (var L + m^2)(1 + v) - m^2 two sites of one order correlate by
    (c m + V) / (m + V). Raises Refusal where two sites of one order have different rates.
    """
    sites = rates.shape.index
    orders = orders.loc[sites]
    first = ~orders.duplicated().to_numpy()
    place = pd.Index(orders[first]).get_indexer(orders)
    factor: dict[str, Floats] = {}
    for family, part in shared.groupby("family", sort=True):
        spread = float(part["year"].iloc[0])
        factor[str(family)] = rng.gamma(1 / spread, spread, (draws, 1)) if spread > 0 else np.ones((draws, 1))
    found: dict[str, NDArray[np.int64]] = {}
    for peril in COUNTED:
        shape, rate = (frame[peril].to_numpy(dtype=float) for frame in (rates.shape, rates.rate))
        if not (np.array_equal(shape, shape[first][place]) and np.array_equal(rate, rate[first][place])):
            raise Refusal(f"two sites of one legal order have different rates of {peril}; give both the same.")
        believed = rng.gamma(shape[first], 1 / rate[first], (draws, first.sum())) * factor[shared["family"][peril]]
        common = float(shared["common"][peril])
        every = rng.poisson(common * believed)[:, place]
        found[peril] = every + rng.poisson((1 - common) * believed[:, place])
    return found


def correlation(rates: Rates, shared: pd.DataFrame, site: str, peril: str) -> float:
    """Correlation of the year's counts of a peril at two sites of one legal order, in closed form (see `simulate`)."""
    shape, rate = float(rates.shape.at[site, peril]), float(rates.rate.at[site, peril])
    mean, variance = shape / rate, shape / rate**2
    common, year = float(shared.at[peril, "common"]), float(shared.at[peril, "year"])
    between = (variance + mean**2) * (1 + year) - mean**2
    return (common * mean + between) / (mean + between)
