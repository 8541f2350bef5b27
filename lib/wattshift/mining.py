"""Mining economics: hashprice, break-even and shutdown prices, fleets, and the supply curve of the network.

Three costs are kept apart, because they answer three questions (`CostBasis`):

- "power": what stops with the switch: electricity of the rigs and of the site around them. Should the rigs hash this
  hour? Uptime cancels here: an hour that is switched off earns nothing and burns nothing.
- "cash": plus opex (staff, rent, repairs), which runs by the calendar whether the rigs hash or not, so each hashing
  hour carries 1/uptime of it. Does the site bring in more cash than it pays out?
- "all-in": plus the capital cost of the rigs, again over the hashing hours only. Was the money well spent?

The pool fee is a share of revenue, so it divides every break-even by (1 - fee). All costs are per PH/s that hashes for
a day; functions work element by element on floats, numpy arrays and pandas Series.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import ndtr

from wattshift.refusal import Refusal
from wattshift.units import (
    BLOCKS_PER_DAY,
    HASHES_PER_DIFFICULTY,
    JOULES_PER_KWH,
    SECONDS_PER_DAY,
)

Values: TypeAlias = Any  # a float, a numpy array or a pandas Series
CostBasis: TypeAlias = Literal["power", "cash", "all-in"]

TH_PER_PH = 1_000.0
PH_PER_EH = 1_000.0
HASHES_PER_PH = 1e15
DAYS_PER_YEAR = 365.25

PARTS = ("subsidy", "fees", "price", "difficulty")
BASES_JUDGED: tuple[CostBasis, CostBasis] = ("power", "all-in")


# Revenue


def coins_per_ph_day(issuance_btc: Values, fees_btc: Values, hashrate_ehs: Values) -> Values:
    """Coins that 1 PH/s earns in a day, in BTC: the day's issuance and fees over the day's estimated hashrate.

    The estimate of a day's hashrate is difficulty times the blocks found, and issuance is subsidy times the same
    blocks: the luck of the day stands above and below the line and cancels. It does not cancel if the expected 144
    blocks are put above the estimated hashrate, or the coins of the day above the hashrate that difficulty implies.

    issuance_btc, fees_btc : new coins and fees of the day, BTC
    hashrate_ehs           : estimated hashrate of the day, EH/s

    >>> coins_per_ph_day(450.0, 0.0, hashrate_ehs=1_000.0)
    0.00045
    """
    return (issuance_btc + fees_btc) / (hashrate_ehs * PH_PER_EH)


def hashprice(issuance_btc: Values, fees_btc: Values, price_usd: Values, hashrate_ehs: Values) -> Values:
    """Hashprice from the day's coins and the day's estimated hashrate, in USD per PH/s and day. Block luck cancels.

    price_usd : USD per BTC; the other arguments as in `coins_per_ph_day`

    >>> round(hashprice(450.0, 0.0, price_usd=100_000, hashrate_ehs=1_000.0), 6)
    45.0
    """
    return coins_per_ph_day(issuance_btc, fees_btc, hashrate_ehs) * price_usd


def coins_per_ph_day_from_difficulty(subsidy_btc: Values, fees_btc_per_block: Values, difficulty: Values) -> Values:
    """Coins that 1 PH/s expects in a day at a difficulty, in BTC: reward per block over difficulty x 2^32 hashes.

    subsidy_btc, fees_btc_per_block : reward of one block, BTC

    >>> round(coins_per_ph_day_from_difficulty(3.125, 0.0, difficulty=100e12), 8)
    0.00062864
    """
    return (
        (subsidy_btc + fees_btc_per_block)
        * HASHES_PER_PH
        * SECONDS_PER_DAY
        / (difficulty * float(HASHES_PER_DIFFICULTY))
    )


def hashprice_from_difficulty(
    subsidy_btc: Values, fees_btc_per_block: Values, price_usd: Values, difficulty: Values
) -> Values:
    """Hashprice that difficulty implies, in USD per PH/s and day: what a hash expects, with no hashrate estimate.

    Within a day of one difficulty and one subsidy this equals `hashprice`, whatever the luck of the day.

    >>> round(hashprice_from_difficulty(3.125, 0.0, price_usd=100_000, difficulty=100e12), 4)
    62.8643
    """
    return coins_per_ph_day_from_difficulty(subsidy_btc, fees_btc_per_block, difficulty) * price_usd


# One miner


@dataclass(frozen=True)
class Miner:
    """A rig, its power and how it is run. Fields may be floats or arrays of one shape.

    efficiency      : of the rig at the wall, J/TH (= W per TH/s)
    power_price     : paid at the site's meter, USD/kWh
    uptime          : share of hours in which the rigs hash, 0 to 1; the rest earns nothing and burns nothing
    pool_fee        : share of revenue
    site_overhead   : energy beyond the rigs (cooling, transformers) as a share of the rigs' energy
    opex            : staff, rent and repairs, USD per kWh that the rigs would draw if they never stopped
    rig_price       : USD per TH/s
    rig_life        : years
    cost_of_capital : yearly rate; 0 makes the capital cost straight-line depreciation without resale value
    """

    efficiency: Values
    power_price: Values
    uptime: Values = 1.0
    pool_fee: Values = 0.0
    site_overhead: Values = 0.0
    opex: Values = 0.0
    rig_price: Values = 0.0
    rig_life: Values = 4.0
    cost_of_capital: float = 0.0


def read_rigs(models: pd.DataFrame, unverified: bool = False) -> pd.DataFrame:
    """The machines whose figures were all read in a source; with `unverified` the whole catalogue.

    models : rows are machines, column source holds the word UNVERIFIED where some figure was read in no source

    >>> rigs = pd.DataFrame({"model": ["A", "B"], "source": ["maker", "UNVERIFIED"]})
    >>> read_rigs(rigs)["model"].tolist(), len(read_rigs(rigs, unverified=True))
    (['A'], 2)
    """
    unread = models["source"].str.contains("UNVERIFIED")
    return models[~unread | unverified].reset_index(drop=True)


def rig_efficiency(models: pd.DataFrame, rig: str, otherwise: float) -> float:
    """Efficiency of a machine of the catalogue, in J/TH; `otherwise` where rig is "none".

    models : columns model, j_per_th

    Raises Refusal for a machine that is not among them, with the nearest that is.

    >>> rigs = pd.DataFrame({"model": ["Antminer S21"], "j_per_th": [17.5]})
    >>> rig_efficiency(rigs, "Antminer S21", 20), rig_efficiency(rigs, "none", 20)
    (17.5, 20.0)
    """
    found = models.loc[models["model"] == rig, "j_per_th"]
    if rig == "none" or len(found):
        return float(otherwise if rig == "none" else found.iloc[0])
    known = {str(name).lower(): str(name) for name in models["model"]}
    asked = rig.strip()[:100].lower()
    near = sorted((name for name in known if asked and asked in name), key=len)
    near = near or difflib.get_close_matches(asked, known, 1, 0.5)
    example = known[near[0]] if near else str(models["model"].iloc[-1])
    raise Refusal(
        f"rig cannot be {rig[:100]!r}: give a model of the table asic_models, for example {example}, or none to use "
        "efficiency."
    )


def rig_kwh_per_ph_day(efficiency: Values) -> Values:
    """Energy of rigs that hash at 1 PH/s for a day, in kWh (efficiency in J/TH).

    >>> rig_kwh_per_ph_day(17.5)
    420.0
    """
    return efficiency * TH_PER_PH * SECONDS_PER_DAY / JOULES_PER_KWH


def capital_usd_per_ph_day(rig_price: Values, rig_life: Values, cost_of_capital: float = 0.0) -> Values:
    """Capital cost of 1 PH/s of rigs for a calendar day, in USD: a level yearly payment over the life.

    At rate 0 the payment is price / life (straight line); at rate r it is price x r / (1 - (1 + r)^-life). No resale
    value.

    >>> round(capital_usd_per_ph_day(15, 4), 4), round(capital_usd_per_ph_day(15, 4, 0.10), 4)
    (10.2669, 12.9557)
    """
    yearly = 1 / rig_life if cost_of_capital == 0 else cost_of_capital / (1 - (1 + cost_of_capital) ** (-rig_life))
    return rig_price * TH_PER_PH * yearly / DAYS_PER_YEAR


def fixed_cost_usd_per_ph_day(miner: Miner, basis: CostBasis = "cash") -> Values:
    """Costs that run by the calendar, per PH/s that hashes for a day, in USD: none, opex, or opex and capital.

    >>> fixed_cost_usd_per_ph_day(Miner(20, 0.05, uptime=0.96, opex=0.01), "cash")
    5.0
    """
    if basis == "power":
        return 0.0 * miner.efficiency
    calendar = miner.opex * rig_kwh_per_ph_day(miner.efficiency)
    if basis == "all-in":
        calendar = calendar + capital_usd_per_ph_day(miner.rig_price, miner.rig_life, miner.cost_of_capital)
    return calendar / miner.uptime


def cost_usd_per_ph_day(miner: Miner, basis: CostBasis = "cash") -> Values:
    """Cost of 1 PH/s that hashes for a day, in USD, before the pool fee.

    >>> round(cost_usd_per_ph_day(Miner(20, 0.05, site_overhead=0.05), "power"), 4)
    25.2
    """
    power = miner.power_price * rig_kwh_per_ph_day(miner.efficiency) * (1 + miner.site_overhead)
    return power + fixed_cost_usd_per_ph_day(miner, basis)


def breakeven_hashprice(miner: Miner, basis: CostBasis = "cash") -> Values:
    """Hashprice at which revenue after the pool fee just pays the cost of this basis, in USD per PH/s and day.

    >>> round(breakeven_hashprice(Miner(20, 0.05), "power"), 4)
    24.0
    """
    return cost_usd_per_ph_day(miner, basis) / (1 - miner.pool_fee)


def margin_usd_per_ph_day(miner: Miner, hashprice_usd: Values, basis: CostBasis = "cash") -> Values:
    """Revenue after the pool fee less cost, per PH/s installed and calendar day, in USD (so uptime scales it).

    >>> round(margin_usd_per_ph_day(Miner(20, 0.05, uptime=0.95), 44.0, "power"), 4)
    19.0
    """
    return miner.uptime * (hashprice_usd * (1 - miner.pool_fee) - cost_usd_per_ph_day(miner, basis))


def breakeven_power_price(miner: Miner, hashprice_usd: Values, basis: CostBasis = "cash") -> Values:
    """Power price at which this miner just breaks even at a hashprice, in USD/kWh at the meter. Negative: not even free
    power would save it. `miner.power_price` is not used.

    >>> round(breakeven_power_price(Miner(20, 0.05), 48.0, "power"), 4)
    0.1
    """
    left = hashprice_usd * (1 - miner.pool_fee) - fixed_cost_usd_per_ph_day(miner, basis)
    return left / (rig_kwh_per_ph_day(miner.efficiency) * (1 + miner.site_overhead))


def shutdown_price(miner: Miner, coins_btc_per_ph_day: Values, basis: CostBasis = "cash") -> Values:
    """Bitcoin price below which this miner loses money on this basis, in USD per BTC, at today's difficulty and fees.

    A partial answer: were many to stop, difficulty would fall and the survivors would earn more coins (see `settle`).
    On the "power" basis it is the textbook shutdown price (average avoidable cost), and uptime plays no part; on "cash"
    and "all-in" costs that run by the calendar are spread over the hashing hours.

    coins_btc_per_ph_day : coins that 1 PH/s earns in a day, BTC (`coins_per_ph_day`)

    >>> round(shutdown_price(Miner(20, 0.05), coins_per_ph_day(450.0, 0.0, 1_000.0), "power"))
    53333
    """
    return breakeven_hashprice(miner, basis) / coins_btc_per_ph_day


def efficiency_at_shutdown_price(
    miner: Miner, power_price: Values, price_usd: Values, coins_btc_per_ph_day: Values, basis: CostBasis = "cash"
) -> Values:
    """Efficiency at which the shutdown price is `price_usd`, in J/TH, along power prices: the iso-line of the surface.

    `miner` gives everything but efficiency and power price. A value at or below 0 means that no rig reaches it,
    inf (nothing to pay for energy) that any rig does.

    >>> round(float(efficiency_at_shutdown_price(Miner(0, 0), 0.05, 53_333.333333, 0.00045, "power")), 6)
    20.0
    """
    revenue = price_usd * coins_btc_per_ph_day * (1 - miner.pool_fee)
    capital = 0.0
    opex = 0.0
    if basis != "power":
        opex = miner.opex / miner.uptime
    if basis == "all-in":
        capital = capital_usd_per_ph_day(miner.rig_price, miner.rig_life, miner.cost_of_capital) / miner.uptime
    per_joule = rig_kwh_per_ph_day(1.0) * (np.asarray(power_price) * (1 + miner.site_overhead) + opex)
    with np.errstate(divide="ignore"):
        return np.divide(revenue - capital, per_joule)


def breakeven_price(power_price: Values, efficiency: Values, hashrate: Values, subsidy: Values) -> Values:
    """Bitcoin price at which revenue just pays for electricity, in USD per BTC: the plainest case of `shutdown_price`.

    power_price : what the site pays, USD/kWh
    efficiency  : energy per unit of work, J/TH
    hashrate    : whole network, EH/s
    subsidy     : new coins per block, BTC (3.125 since block 840,000); fees are left out

    >>> round(breakeven_price(0.05, efficiency=20, hashrate=1_000, subsidy=3.125))
    53333
    """
    coins = coins_per_ph_day(BLOCKS_PER_DAY * subsidy, 0.0, hashrate)
    return shutdown_price(Miner(efficiency, power_price), coins, "power")


# What changed: an exact decomposition


def window_means(network: pd.DataFrame) -> "pd.Series[float]":
    """One window of days as one state whose hashprice is exact: total revenue over total expected work.

    network : rows are days, columns price_usd, difficulty, blocks, issuance_btc, fees_btc. Days without a price are
    refused.

    Index of the result: subsidy_btc (per block), fees_btc (per block), price_usd (weighted by coins), difficulty
    (weighted by blocks), hashprice_usd_per_ph_day = (subsidy + fees) x price / difficulty in the units of
    `hashprice_from_difficulty`. Raises ValueError for an empty window, one without blocks, or a blank price.

    >>> day = pd.DataFrame({"price_usd": [1e5], "difficulty": [1e14], "blocks": [144],
    ...                     "issuance_btc": [450.0], "fees_btc": [9.0]})
    >>> round(float(window_means(day)["hashprice_usd_per_ph_day"]), 4)
    64.1216
    """
    blocks = float(network["blocks"].sum())
    if blocks <= 0:
        raise ValueError("the window holds no blocks")
    if network["price_usd"].isna().any():
        raise ValueError("the window holds days without a price")
    coins = network["issuance_btc"] + network["fees_btc"]
    state = {
        "subsidy_btc": float(network["issuance_btc"].sum()) / blocks,
        "fees_btc": float(network["fees_btc"].sum()) / blocks,
        "price_usd": float((coins * network["price_usd"]).sum() / coins.sum()),
        "difficulty": float((network["blocks"] * network["difficulty"]).sum() / blocks),
    }
    state["hashprice_usd_per_ph_day"] = float(hashprice_from_difficulty(*state.values()))
    return pd.Series(state)


def window_ending(network: pd.DataFrame, end: Any, days: int = 30) -> pd.DataFrame:
    """The `days` days that end with `end`, both in the table and with a price; a copy of those rows.

    network : columns date (one row a day, rising) and price_usd

    Raises Refusal when a day of the window is not in the table, or has no price.

    >>> days = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=9), "price_usd": 4e4})
    >>> len(window_ending(days, "2024-01-05", 3))
    3
    """
    last = pd.Timestamp(end)
    first = last - pd.Timedelta(days=days - 1)
    rows = network[network["date"].between(first, last)].copy()
    if len(rows) != days:
        have = f"{network['date'].min():%Y-%m-%d} to {network['date'].max():%Y-%m-%d}" if len(network) else "no day"
        raise Refusal(
            f"the {days} days from {first:%Y-%m-%d} to {last:%Y-%m-%d} are not all among the days in use ({have}); "
            "choose an earlier end, a later start, or a later as_of."
        )
    if rows["price_usd"].isna().any():
        raise Refusal(
            f"bitcoin had no quoted price on some of the {days} days from {first:%Y-%m-%d} to {last:%Y-%m-%d}; "
            "prices begin on 2010-07-18."
        )
    return rows


def check_windows(
    daily: pd.DataFrame, halving_day: pd.Timestamp, first_end: pd.Timestamp, second_end: pd.Timestamp, days: int
) -> None:
    """Refuse windows that the days in use do not hold, in the words of waterfall_days, waterfall_start, waterfall_end.

    daily : columns date (one row a day, rising) and price_usd; halving_day : by the dating of that table
    Windows of `days` days: one that ends on the eve of the halving, one that begins on the day after it, and one that
    ends on each of first_end and second_end, which must be the later one.

    >>> days = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=99), "price_usd": 4e4})
    >>> first, second = pd.Timestamp("2024-02-01"), pd.Timestamp("2024-04-01")
    >>> check_windows(days, first, first, second, 30)
    >>> check_windows(days, first, second, first, 30)
    Traceback (most recent call last):
    wattshift.refusal.Refusal: waterfall_end cannot be 2024-02-01 when waterfall_start is 2024-04-01: give a later day.
    """
    priced = daily.loc[daily["price_usd"].notna(), "date"]
    first, last = priced.iloc[0], priced.iloc[-1]
    room = min((halving_day - first).days, (last - halving_day).days)
    if days > room:
        raise Refusal(
            f"waterfall_days cannot be {days}: between {first:%Y-%m-%d}, the first day with a price, and "
            f"{last:%Y-%m-%d}, the last in use, there are only {room} on one side of the halving; give at most that, "
            f"for example {min(30, room)}."
        )
    earliest = first + pd.Timedelta(days=days - 1)
    for name, end in (("waterfall_start", first_end), ("waterfall_end", second_end)):
        if not earliest <= end <= last:
            raise Refusal(
                f"{name} cannot be {end:%Y-%m-%d}: it ends a window of {days} days (waterfall_days) that needs prices "
                f"and must lie within the days in use, so give a day from {earliest:%Y-%m-%d} to {last:%Y-%m-%d}, for "
                f"example {earliest if name == 'waterfall_start' else last:%Y-%m-%d}."
            )
    if second_end <= first_end:
        raise Refusal(
            f"waterfall_end cannot be {second_end:%Y-%m-%d} when waterfall_start is {first_end:%Y-%m-%d}: give a "
            "later day."
        )


def log_mean(first: Values, second: Values) -> Values:
    """Logarithmic mean (b - a) / ln(b / a) of positive numbers; a itself where both are equal.

    >>> round(float(log_mean(1.0, np.e)), 6), float(log_mean(3.0, 3.0))
    (1.718282, 3.0)
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    x = np.log(second / first)
    near = np.abs(x) < 1e-5  # expm1(x)/x, by its series where the quotient would lose digits
    ratio = np.where(near, 1 + x / 2 + x * x / 6, np.expm1(x) / np.where(near, 1.0, x))
    return first * ratio


def log_changes(
    subsidy_btc: tuple[Values, Values],
    fees_btc: tuple[Values, Values],
    price_usd: tuple[Values, Values],
    difficulty: tuple[Values, Values],
) -> dict[str, Values]:
    """Log changes of hashprice due to each part, from (before, after) pairs; their sum is the log change of hashprice.

    ln hashprice = ln subsidy + ln(1 + fees/subsidy) + ln price - ln difficulty + a constant, so the parts add up
    exactly and no order of changes has to be chosen. The fee part is the change of reward per unit of subsidy: if fees
    stay and the subsidy halves, 1 + fees/subsidy rises, and that cushion is booked under fees.

    >>> parts = log_changes((6.25, 3.125), (0, 0), (50e3, 100e3), (1e14, 1e14))
    >>> [round(float(parts[name]), 4) for name in PARTS]
    [-0.6931, 0.0, 0.6931, 0.0]
    """
    return {
        "subsidy": np.log(np.divide(subsidy_btc[1], subsidy_btc[0])),
        "fees": np.log1p(np.divide(fees_btc[1], subsidy_btc[1])) - np.log1p(np.divide(fees_btc[0], subsidy_btc[0])),
        "price": np.log(np.divide(price_usd[1], price_usd[0])),
        "difficulty": np.log(np.divide(difficulty[0], difficulty[1])),
    }


def decompose(before: "pd.Series[float]", after: "pd.Series[float]") -> pd.DataFrame:
    """The change of hashprice between two states, part by part.

    before, after : as `window_means` gives them (subsidy_btc, fees_btc, price_usd, difficulty)

    Rows: subsidy, fees, price, difficulty, and total. Columns: log_change (adds up exactly), factor = exp(log_change)
    (multiplies exactly), usd_per_ph_day (adds up exactly: each log change times the logarithmic mean of the two
    hashprices, the LMDI-I weights of Ang 2004).

    >>> flat = pd.Series({"subsidy_btc": 6.25, "fees_btc": 0.0, "price_usd": 6e4, "difficulty": 8e13})
    >>> decompose(flat, flat * [0.5, 1, 1.6, 2])["factor"].round(4).to_dict()
    {'subsidy': 0.5, 'fees': 1.0, 'price': 1.6, 'difficulty': 0.5, 'total': 0.4}
    """
    names = ["subsidy_btc", "fees_btc", "price_usd", "difficulty"]
    parts = log_changes(*((float(before[name]), float(after[name])) for name in names))
    start, end = (
        float(hashprice_from_difficulty(*(float(state[name]) for name in names))) for state in (before, after)
    )
    logs = pd.Series({**parts, "total": np.log(end / start)}, dtype=float)
    usd = logs * float(log_mean(start, end))
    usd["total"] = end - start
    table = pd.DataFrame({"log_change": logs, "factor": np.exp(logs), "usd_per_ph_day": usd})
    table.index.name = "part"
    return table


# Many miners: the supply of hashrate


class Supply(Protocol):
    """A fleet that can say which share of its hashrate pays its way at a hashprice."""

    def share_on(self, hashprice_usd: Values, basis: CostBasis = "power") -> Values:
        """Share of installed hashrate whose break-even hashprice is at or below `hashprice_usd`."""


@dataclass(frozen=True)
class Fleet:
    """An assumed fleet: J/TH and USD/kWh are jointly lognormal over installed hashrate (not over machines).

    median           : a `Miner` of floats; its efficiency and power price are the medians, the rest holds for all
    efficiency_spread, power_spread : standard deviations of ln(J/TH) and ln(USD/kWh), 0 or more
    correlation      : of the two logs; negative if old rigs have moved to cheap power
    """

    median: Miner
    efficiency_spread: float = 0.25
    power_spread: float = 0.25
    correlation: float = 0.0

    def cost_spread(self) -> float:
        """Standard deviation of the log of electricity cost per hash.

        >>> round(Fleet(Miner(20, 0.05), 0.3, 0.4).cost_spread(), 6)
        0.5
        """
        a, b = self.efficiency_spread, self.power_spread
        return float(np.sqrt(a * a + b * b + 2 * self.correlation * a * b))

    def share_on(self, hashprice_usd: Values, basis: CostBasis = "power") -> Values:
        """Share of installed hashrate that pays its way at a hashprice (USD per PH/s and day).

        On "power" costs are lognormal and the share is the normal CDF of ln(hashprice / median break-even) / spread.
        Else fixed costs are added: the share is exact given J/TH, and averaged over J/TH by the trapezoidal rule.

        >>> round(float(Fleet(Miner(20, 0.05)).share_on(24.0)), 6)
        0.5
        """
        h = np.asarray(hashprice_usd, dtype=float)
        if basis == "power":
            with np.errstate(divide="ignore"):
                return _normal_share(
                    np.log(h / np.float64(breakeven_hashprice(self.median, "power"))), self.cost_spread()
                )
        z = np.linspace(-8.5, 8.5, 2_001) if self.efficiency_spread > 0 else np.zeros(1)
        weights = np.exp(-z * z / 2)
        miner = _with(self.median, efficiency=self.median.efficiency * np.exp(self.efficiency_spread * z))
        worth = breakeven_power_price(miner, h[..., None], basis)
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.where(worth >= 0, np.log(np.maximum(worth, 0.0) / np.float64(self.median.power_price)), -np.inf)
        gap = gap - self.correlation * self.power_spread * z
        left = self.power_spread * float(np.sqrt(1 - self.correlation**2))
        return _normal_share(gap, left) @ (weights / weights.sum())

    def draw(self, size: int, rng: np.random.Generator) -> pd.DataFrame:
        """`size` equal parcels of hashrate: columns j_per_th and usd_per_kwh.

        >>> Fleet(Miner(20, 0.05)).draw(2, np.random.default_rng(1)).shape
        (2, 2)
        """
        z, other = rng.standard_normal((2, size))
        w = self.correlation * z + np.sqrt(1 - self.correlation**2) * other
        return pd.DataFrame(
            {
                "j_per_th": self.median.efficiency * np.exp(self.efficiency_spread * z),
                "usd_per_kwh": self.median.power_price * np.exp(self.power_spread * w),
            }
        )


@dataclass(frozen=True)
class Rigs:
    """A fleet as a table: a `Miner` of arrays (one entry per group of rigs) and the hashrate of each group.

    weights : hashrate of each group, any unit; only shares matter
    """

    miners: Miner
    weights: Values

    def share_on(self, hashprice_usd: Values, basis: CostBasis = "power") -> Values:
        """Share of installed hashrate whose break-even is at or below a hashprice: a staircase.

        >>> two = Rigs(Miner(np.array([15.0, 30.0]), 0.05), np.array([3.0, 1.0]))
        >>> two.share_on(np.array([10.0, 20.0, 40.0])).tolist()
        [0.0, 0.75, 1.0]
        """
        cost, weights = np.broadcast_arrays(
            np.asarray(breakeven_hashprice(self.miners, basis), dtype=float), np.asarray(self.weights, dtype=float)
        )
        order = np.argsort(cost)
        steps = np.concatenate([[0.0], np.cumsum(weights[order]) / weights.sum()])
        return steps[np.searchsorted(cost[order], np.asarray(hashprice_usd, dtype=float), side="right")]


def hashprice_for(supply: Supply, share: float, basis: CostBasis = "power") -> float:
    """Lowest hashprice at which `share` of installed hashrate pays its way, in USD per PH/s and day: the supply curve
    read the other way round, by bisection in its logarithm to 1e-12. `share` lies between 0 and 1, both left out.

    >>> round(hashprice_for(Fleet(Miner(20, 0.05)), 0.5), 6)
    24.0
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, got {share}")
    low, high = np.log(1e-12), np.log(1e12)
    for _ in range(60):
        middle = (low + high) / 2
        if float(supply.share_on(np.exp(middle), basis)) >= share:
            high = middle
        else:
            low = middle
    return float(np.exp(high))


def shares_under_water(supply: Supply, hashprice_usd: float) -> dict[str, float]:
    """Who loses money at a hashprice (USD per PH/s and day), as shares of 1.

    idle        : of installed hashrate, what does not earn its electricity and so has no reason to run
    cash, all-in: of what runs (the rest), what does not earn that cost; nan where nothing runs

    >>> three = Rigs(Miner(np.array([10.0, 20.0, 40.0]), 0.05, opex=0.02), np.array([1.0, 1.0, 2.0]))
    >>> shares_under_water(three, 30.0)          # power costs 12, 24, 48; cash 16.8, 33.6, 67.2; no capital cost
    {'idle': 0.5, 'cash': 0.5, 'all-in': 0.5}
    """
    runs, cash, all_in = (float(supply.share_on(hashprice_usd, basis)) for basis in ("power", "cash", "all-in"))
    return {
        "idle": 1 - runs,
        "cash": 1 - cash / runs if runs else np.nan,
        "all-in": 1 - all_in / runs if runs else np.nan,
    }


def _moved(fleet: Fleet, rigs: float, power: float, spread: float, correlation: float) -> Fleet:
    """A fleet with its medians and spreads multiplied, and with a correlation."""
    median = _with(
        fleet.median, efficiency=fleet.median.efficiency * rigs, power_price=fleet.median.power_price * power
    )
    return Fleet(median, fleet.efficiency_spread * spread, fleet.power_spread * spread, correlation)


def variants(fleet: Fleet) -> dict[str, Fleet]:
    """The fleet, and what it would be with one assumption moved at a time: medians by 20%, spreads by half, and a
    correlation of -0.5 or 0.5 between the logs of J/TH and USD/kWh.

    >>> variants(Fleet(Miner(20, 0.05)))["rigs 20% better"].median.efficiency
    16.0
    """
    moves = {
        "as assumed": (1.0, 1.0, 1.0, fleet.correlation),
        "rigs 20% better": (0.8, 1.0, 1.0, fleet.correlation),
        "rigs 20% worse": (1.2, 1.0, 1.0, fleet.correlation),
        "power 20% cheaper": (1.0, 0.8, 1.0, fleet.correlation),
        "power 20% dearer": (1.0, 1.2, 1.0, fleet.correlation),
        "half the spreads": (1.0, 1.0, 0.5, fleet.correlation),
        "spreads half as large again": (1.0, 1.0, 1.5, fleet.correlation),
        "old rigs on cheap power": (1.0, 1.0, 1.0, -0.5),
        "old rigs on dear power": (1.0, 1.0, 1.0, 0.5),
    }
    return {name: _moved(fleet, *move) for name, move in moves.items()}


def plausible_fleets(fleet: Fleet, size: int, rng: np.random.Generator) -> list[Fleet]:
    """`size` fleets around an assumed one, all assumptions moved at once and independently.

    Medians are multiplied by log-uniform factors between 1/1.2 and 1.2, both spreads by one uniform factor between 0.5
    and 1.5, and the correlation is uniform between -0.5 and 0.5. What varies is an assumption about assumptions: the
    spread of a result over these fleets is no sampling error.

    >>> len(plausible_fleets(Fleet(Miner(20, 0.05)), 3, np.random.default_rng(1)))
    3
    """
    rigs, power = np.exp(rng.uniform(-np.log(1.2), np.log(1.2), (2, size)))
    spread, correlation = rng.uniform(0.5, 1.5, size), rng.uniform(-0.5, 0.5, size)
    return [_moved(fleet, *map(float, move)) for move in zip(rigs, power, spread, correlation, strict=True)]


def _with(miner: Miner, **changes: Values) -> Miner:
    fields = {name: getattr(miner, name) for name in miner.__dataclass_fields__}
    return Miner(**{**fields, **changes})


def _normal_share(gap: Values, spread: float) -> Values:
    """Normal CDF of gap / spread; a step at 0 when the spread is 0."""
    return ndtr(gap / spread) if spread > 0 else np.where(gap >= 0, 1.0, 0.0)


def settled_share(supply: Supply, full_hashprice: Values, basis: CostBasis = "power") -> Values:
    """Share of installed hashrate that is on once difficulty has adjusted: the fixed point x = share_on(full / x).

    Each rig that leaves raises the hashprice of those that stay (the day's coins are shared by fewer), until the
    marginal rig breaks even. The left side rises in x and the right side falls, so there is one crossing, found by
    bisection in ln x to 1e-12. On a staircase the crossing may lie inside a step: that group runs in part.

    full_hashprice : hashprice if all installed hashrate were on and difficulty had adjusted, USD per PH/s and day;
                     daily revenue of the network over installed PH/s

    >>> two = Rigs(Miner(np.array([50 / 3, 100 / 3]), 0.05), np.array([1.0, 1.0]))   # break even at 20 and 40
    >>> round(float(settled_share(two, 30.0)), 9)                                     # hashprice 30 / 0.75 = 40
    0.75
    """
    full = np.asarray(full_hashprice, dtype=float)
    low, high = np.full(full.shape, -60.0), np.zeros(full.shape)
    for _ in range(60):
        middle = (low + high) / 2
        below = np.asarray(supply.share_on(full / np.exp(middle), basis)) >= np.exp(middle)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    at_full = np.asarray(supply.share_on(full, basis)) >= 1.0
    return np.where(at_full, 1.0, np.exp(low))


class Answer(NamedTuple):
    """How a fleet answers a shock; each field a float or an array, as the shock was.

    capacity_ehs     : installed hashrate, on or off, EH/s
    off_at_once      : share of the running hashrate that stops before difficulty has moved (below 0: rigs come back)
    off_settled      : the same after difficulty has adjusted in full
    seconds_per_block: mean block time until the first retarget
    difficulty_change: from before the shock to the settled state (-0.2 = 20 % lower)
    hashprice_at_once, hashprice_settled: USD per PH/s and day
    """

    capacity_ehs: Values
    off_at_once: Values
    off_settled: Values
    seconds_per_block: Values
    difficulty_change: Values
    hashprice_at_once: Values
    hashprice_settled: Values


def settle(
    supply: Supply,
    hashrate_ehs: Values,
    hashprice_usd: Values,
    shock: Values,
    basis: CostBasis = "power",
) -> Answer:
    """What a fleet does when revenue per hash changes by `shock` overnight: at once, and after difficulty has adjusted.

    Before: `hashrate_ehs` is what runs at `hashprice_usd`, so installed capacity is hashrate_ehs /
    share_on(hashprice_usd): rigs that stand idle today are part of the model and come back if hashprice rises. At once:
    difficulty is unchanged, a survivor earns hashprice x (1 + shock), and no rig's exit helps another. Settled: 144
    blocks a day again, and the same revenue is shared by those who stay. Fees per block, power prices and the fleet are
    held fixed; new rigs do not arrive.

    shock : relative change of revenue at unchanged difficulty: -0.5 for a halving without fees, -0.3 for a price fall
    by 30 %

    Raises ValueError where no rig at all runs before the shock.

    >>> one = Rigs(Miner(np.array([50 / 3, 100 / 3]), 0.05), np.array([1.0, 1.0]))
    >>> a = settle(one, 100.0, 60.0, -0.5)                    # revenue falls to 30 per PH/s; break-evens are 20 and 40
    >>> [round(float(v), 6) for v in (a.off_at_once, a.off_settled, a.hashprice_settled, a.seconds_per_block)]
    [0.5, 0.25, 40.0, 1200.0]
    """
    on = np.asarray(supply.share_on(hashprice_usd, basis), dtype=float)
    if np.any(on <= 0):
        raise ValueError("no rig of this fleet pays its way before the shock, so there is nothing to switch off")
    after = np.asarray(hashprice_usd, dtype=float) * (1 + np.asarray(shock, dtype=float))
    at_once = np.asarray(supply.share_on(after, basis), dtype=float)
    settled = np.asarray(settled_share(supply, after * on, basis))
    with np.errstate(divide="ignore"):
        seconds = 600.0 * on / at_once
    return Answer(
        capacity_ehs=np.asarray(hashrate_ehs, dtype=float) / on,
        off_at_once=1 - at_once / on,
        off_settled=1 - settled / on,
        seconds_per_block=seconds,
        difficulty_change=settled / on - 1,
        hashprice_at_once=after,
        hashprice_settled=after * on / settled,
    )


def supply_elasticity(supply: Supply, hashprice_usd: Values, basis: CostBasis = "power", step: float = 1e-4) -> Values:
    """Percent more hashrate that is on for one percent more hashprice, at unchanged difficulty (central difference).

    Once difficulty has adjusted, hashrate moves by e / (1 + e) percent per percent of revenue and hashprice by 1 / (1 +
    e).

    >>> round(float(supply_elasticity(Fleet(Miner(20, 0.05), 0.3, 0.4), 24.0)), 4)      # phi(0) / Phi(0) / 0.5
    1.5958
    """
    up = np.asarray(supply.share_on(hashprice_usd * np.exp(step), basis))
    down = np.asarray(supply.share_on(hashprice_usd * np.exp(-step), basis))
    return (np.log(up) - np.log(down)) / (2 * step)


def merit_order(
    supply: Supply, capacity_ehs: float, hashprices_usd: Values, basis: CostBasis = "power"
) -> pd.DataFrame:
    """The supply curve. Rows: hashprices, in the order given; columns hashprice_usd, share_on, hashrate_ehs.

    >>> merit_order(Fleet(Miner(20, 0.05)), 1_000, np.array([24.0]))["hashrate_ehs"].round(6).tolist()
    [500.0]
    """
    prices = np.asarray(hashprices_usd, dtype=float)
    share = np.asarray(supply.share_on(prices, basis))
    return pd.DataFrame({"hashprice_usd": prices, "share_on": share, "hashrate_ehs": capacity_ehs * share})


def shutdown_pairs(
    efficiency: "pd.Series[float]", power_prices: Sequence[float], coins: float, running: Mapping[str, float]
) -> pd.DataFrame:
    """Shutdown price of every machine at every power price, on electricity alone and all in.

    efficiency   : of machines at the wall, J/TH
    power_prices : USD/kWh
    coins        : BTC per PH/s and day, as `coins_per_ph_day` gives them
    running      : the other fields of `Miner`
    One row per basis ("power", "all-in"), power price and machine: basis, power_price, j_per_th, shutdown_price_usd.

    >>> site = {"uptime": 1.0, "pool_fee": 0.0, "site_overhead": 0.0, "opex": 0.0, "rig_price": 0.0, "rig_life": 4.0}
    >>> shutdown_pairs(pd.Series([20.0]), (0.05,), 0.00024, site)["shutdown_price_usd"].round(6).tolist()
    [100000.0, 100000.0]
    """
    parts = []
    for basis in BASES_JUDGED:
        for price in power_prices:
            usd = shutdown_price(Miner(efficiency, price, **running), coins, basis)
            columns = {"basis": basis, "power_price": price, "j_per_th": efficiency, "shutdown_price_usd": usd}
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
