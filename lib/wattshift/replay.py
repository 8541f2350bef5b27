"""A dated sequence of shocks, replayed on any site: what a megawatt would have earned with it and without it.

The sequence is the one that miners in Kazakhstan met from October 2021 on: rationing, a cut of the internet, a charge
per kWh, a cut-off, a licence law, power only when there is a surplus, coins to be sold at home. Dates, fees and ends
come from the tables; what no table gives is an `Assumed` figure with a name. The plant takes the hashprice of those
days as it was. A mine switches off when an hour costs more than it earns, so no charge can take more than the margin
of running; a data centre has no such switch. What each shock took is its Shapley value: no order has to be chosen.

Beside it stands what the same story needs: the megawatts behind a share of hashrate, which figures of grey and white
mining can be true together, and the exact chance that ranks agree with a later record.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from wattshift import costlaws, mining
from wattshift.refusal import Refusal
from wattshift.sites import Panel, utility

Floats = npt.NDArray[np.float64]
Kind = Literal["rationing", "cut-off", "licence", "charge", "forced sale"]
Fee = Literal["topped up", "maximum", "minimum"]

KWH_PER_MW_DAY = 24_000.0
CROWDED, FREE = 0.10, 0.001  # of the mean load: where the scale of the mining load ends
EFFICIENCY_FACTOR = 1.4  # one standard deviation of what a country's machines drew, against the assumed figure
MOST_SHOCKS = 12  # 4,096 subsets: beyond, the exact attribution is slow and nobody reads it


# --- 1. Shocks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shock:
    """Something that happens to a plant from `start` until `end` (not included; None: for good).

    kind    : "rationing", "cut-off", "licence" take a share of the hours; "charge" is paid per kWh; "forced sale"
              takes a discount on a share of the coins
    size    : share of hours lost, or USD/kWh, or share of coins sold
    discount: on coins sold by force, share of their price
    hits    : the businesses it bears on
    source  : where date and size come from; assumed: what of it is assumed, in words

    Raises Refusal for an unknown kind, a size or discount outside its range, or an end not after the start.

    >>> Shock("fee", "charge", pd.Timestamp("2022-01-01"), None, 0.0021).days(pd.DatetimeIndex(["2022-01-01"])).item()
    1.0
    """

    name: str
    kind: Kind
    start: pd.Timestamp
    end: pd.Timestamp | None
    size: float = 1.0
    discount: float = 0.0
    hits: tuple[Literal["mining", "hosting"], ...] = ("mining",)
    source: str = ""
    assumed: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no shock."""
        kinds = get_args(Kind)
        if self.kind not in kinds:
            near = difflib.get_close_matches(str(self.kind), kinds, 1, 0.0)[0]
            raise Refusal(f"a shock cannot be of kind {self.kind!r}: give one of {', '.join(kinds)}, such as {near}.")
        most = 10.0 if self.kind == "charge" else 1.0
        if not 0 <= self.size <= most:
            raise Refusal(
                f"the size of {self.name!r} cannot be {self.size:g}: a {self.kind} lies between 0 and {most:g}."
            )
        if not 0 <= self.discount <= 1:
            raise Refusal(f"the discount of {self.name!r} cannot be {self.discount:g}: give a share between 0 and 1.")
        if self.end is not None and self.end <= self.start:
            raise Refusal(f"{self.name!r} cannot end on {self.end:%Y-%m-%d}, which is not after it starts.")

    def days(self, index: pd.DatetimeIndex) -> Floats:
        """Share of each calendar day of `index` that the shock covers."""
        day = pd.Timedelta(days=1)
        last = index + day
        until = last if self.end is None else last.where(last < self.end, self.end)
        since = index.where(index > self.start, self.start)
        covered: Floats = np.clip(np.asarray((until - since) / day, dtype=float), 0.0, 1.0)
        return covered


@dataclass(frozen=True)
class Assumed:
    """What the tables do not give of the Kazakh sequence; every figure here is an assumption.

    rationed    : share of hours lost between the first cuts and the cut-off
    fee         : the progressive fee, of which the tables know two points: 25 tenge at most, 1 tenge where power costs
                  24 tenge or more. "topped up": price and fee together make 25 tenge below that; else the
                  greatest or the least fee whatever the price
    idle_months : months without a licence after the law came into force, 0 or more
    no_surplus  : share of hours without surplus power once miners may buy nothing else, from the law on
    sold        : share of coins that has to be sold at home from `sold_from` on (a half, by press reports of the law)
    discount    : on coins sold so
    cut_until   : day on which power came back after the cut-off; None: when the order ended, as the table has it
    """

    rationed: float = 0.3
    fee: Fee = "topped up"
    idle_months: int = 2
    no_surplus: float = 0.25
    sold: float = 0.5
    sold_from: str = "2024-01-01"
    discount: float = 0.02
    cut_until: str | None = None


def progressive_fee(power_price: float, most: float, least: float, rule: Fee = "topped up") -> float:
    """Fee on mining power in USD/kWh at a power price: see `Assumed`. most, least: the two fees known, USD/kWh.

    >>> [round(progressive_fee(p, most=0.052, least=0.002), 3) for p in (0.0, 0.03, 0.05, 0.08)]
    [0.052, 0.022, 0.002, 0.002]
    """
    if power_price < 0:
        raise Refusal(f"the power price cannot be {power_price:g}: give USD/kWh, 0 or more, for example 0.04.")
    fees = {"topped up": min(max(most - power_price, least), most), "maximum": most, "minimum": least}
    if rule not in fees:
        near = difflib.get_close_matches(str(rule), fees, 1, 0.0)[0]
        raise Refusal(f"the fee cannot be {rule!r}: give one of {', '.join(fees)}, such as {near}.")
    return fees[rule]


def kazakh_shocks(
    events: pd.DataFrame, prices: pd.DataFrame, power_price: float, assumed: Assumed | None = None
) -> list[Shock]:
    """The Kazakh sequence as a site with this power price would have met it, in order of date.

    events : mining_regulation_events; prices : industrial_power_prices (fees in USD/kWh as their source converts them)

    Two ends are read with care: the internet came back in the course of its last day, so half of that day counts as
    lost, like half of the first; the cut-off holds through its last day. Raises Refusal where a row is missing.
    """
    assumed = assumed or Assumed()
    rows = events.set_index("event_id")
    wanted = ("E011", "E018", "E016", "E019", "E027", "E037")
    fees = prices[prices["iso3"] == "KAZ"].set_index("price_kind")["usd_per_kwh"]
    missing = [name for name in wanted if name not in rows.index]
    missing += [name for name in ("mining_fee_flat", "mining_fee_maximum") if name not in fees.index]
    if missing:
        raise Refusal(f"the Kazakh sequence cannot be built: the tables hold no row {', '.join(missing)}.")
    start, in_force, end = (rows[column].to_dict() for column in ("date", "effective_date", "end_date"))
    noon, day = pd.Timedelta(hours=12), pd.Timedelta(days=1)
    flat, most = float(fees["mining_fee_flat"]), float(fees["mining_fee_maximum"])
    stepped = progressive_fee(power_price, most, flat, assumed.fee)
    table = "mining_regulation_events "
    shocks = [
        Shock("rationing", "rationing", start["E011"], start["E019"], assumed.rationed,
              source=table + "E011, E019", assumed="the share of hours"),
        Shock("flat fee", "charge", start["E016"], in_force["E027"], flat,
              source=table + "E016; industrial_power_prices"),
        Shock("internet cut", "cut-off", start["E018"] + noon, end["E018"] + noon, hits=("mining", "hosting"),
              source=table + "E018", assumed="the hour of its end"),
        Shock("cut-off", "cut-off", start["E019"],
              pd.Timestamp(assumed.cut_until) if assumed.cut_until else end["E019"] + day,
              source=table + "E019", assumed="the day on which power came back"),
        Shock("progressive fee", "charge", in_force["E027"], None, stepped,
              source=table + "E027; industrial_power_prices", assumed="its course between two known points"),
        Shock("surplus power only", "rationing", in_force["E037"], None, assumed.no_surplus,
              source=table + "E037; kazakhstan_timeline 2022-12",
              assumed="the share of hours"),
        Shock("forced sale", "forced sale", pd.Timestamp(assumed.sold_from), None, assumed.sold, assumed.discount,
              source="no table", assumed="all of it"),
    ]  # fmt: skip
    if assumed.idle_months:
        back = in_force["E037"] + pd.DateOffset(months=assumed.idle_months)
        shocks.insert(5, Shock("licence", "licence", in_force["E037"], back, source=table + "E037",
                               assumed="the months idle"))  # fmt: skip
    return shocks


def moved(shocks: Sequence[Shock], start: pd.Timestamp) -> list[Shock]:
    """The same sequence begun on another day: all shocks shifted by as many days, so that the first begins then.

    >>> a = Shock("a", "charge", pd.Timestamp("2022-01-01"), pd.Timestamp("2022-01-11"), 0.01)
    >>> str(moved([a], pd.Timestamp("2023-01-01"))[0].end.date())
    '2023-01-11'
    """
    if not shocks:
        return []
    shift = pd.Timestamp(start) - min(shock.start for shock in shocks).normalize()
    return [replace(s, start=s.start + shift, end=None if s.end is None else s.end + shift) for s in shocks]


# --- 2. A plant, and what is left of it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hosting:
    """A hall let to a tenant, per MW of the site. No off-switch, and no cap on what a day can cost.

    rent      : USD per MW and day while the tenant is served; cost: USD per MW and day, whatever happens
    penalty   : owed for lost service beyond the rent that is not earned, as a multiple of that rent
    passed_on : share of a charge per kWh that the tenant bears
    """

    rent: float
    cost: float
    penalty: float = 0.0
    passed_on: float = 1.0


Plant = mining.Miner | Hosting


def cash_per_mw(
    plant: Plant, hashprice: npt.ArrayLike, lost: npt.ArrayLike = 0.0, charge: npt.ArrayLike = 0.0,
    given_up: npt.ArrayLike = 0.0,
) -> Floats:  # fmt: skip
    """Cash margin in USD per MW of the site and day, element by element; for a mine never below what idling costs.

    hashprice : USD per PH/s and day; lost : share of hours lost; charge : USD/kWh; given_up : share of revenue

    >>> mine = mining.Miner(20.0, 0.05, opex=0.01)       # 480 kWh per PH/s and day: 50 PH/s to the MW
    >>> cash_per_mw(mine, 48.0).item(), cash_per_mw(mine, 48.0, charge=1.0).item()  # 50 x (48 - 24 - 4.8); -50 x 4.8
    (960.0, -240.0)
    """
    price, gone, levy, cut = (np.asarray(x, dtype=float) for x in (hashprice, lost, charge, given_up))
    if isinstance(plant, Hosting):
        paid = levy * KWH_PER_MW_DAY * (1 - plant.passed_on) * (1 - gone)
        return np.asarray(plant.rent * (1 - gone * (1 + plant.penalty)) - plant.cost - paid + 0.0 * price)
    kwh = mining.rig_kwh_per_ph_day(plant.efficiency)
    running = mining.margin_usd_per_ph_day(
        replace(plant, power_price=plant.power_price + levy), price * (1 - cut), "power"
    )
    return np.asarray(
        KWH_PER_MW_DAY / (kwh * (1 + plant.site_overhead)) * ((1 - gone) * np.maximum(running, 0.0) - plant.opex * kwh)
    )


def hashprice_by_day(daily: pd.DataFrame, first: pd.Timestamp, last: pd.Timestamp) -> pd.Series[float]:
    """Hashprice of each day from first to last, USD per PH/s and day, block luck cancelled; index: days.

    daily : btc_network_daily. Raises Refusal where a day is missing or has no price.
    """
    rows = daily.set_index("date").sort_index().loc[first:last]
    want = pd.date_range(first, last)
    if len(rows) != len(want) or rows["price_usd"].isna().any():
        raise Refusal(
            f"the replay runs from {first:%Y-%m-%d} to {last:%Y-%m-%d}, but prices and blocks are known from "
            f"{daily.loc[daily['price_usd'].notna(), 'date'].min():%Y-%m-%d} to {daily['date'].max():%Y-%m-%d}."
        )
    price = mining.hashprice(rows["issuance_btc"], rows["fees_btc"], rows["price_usd"], rows["hashrate_ehs"])
    return pd.Series(np.asarray(price, dtype=float), index=want, name="hashprice_usd_per_ph_day")


@dataclass(frozen=True)
class Replay:
    """A sequence replayed; all in USD per MW of the site.

    daily : a row a day; columns without, with_shocks
    parts : a row a shock, in the order given; columns loss (Shapley value; they add up to the loss), alone (the loss
            were it the only shock), last (what it adds to all the others)
    """

    daily: pd.DataFrame
    parts: pd.DataFrame

    @property
    def loss(self) -> float:
        """What the sequence took over the window."""
        return float((self.daily["without"] - self.daily["with_shocks"]).sum())

    @property
    def margin(self) -> float:
        """Cash margin over the window had nothing happened."""
        return float(self.daily["without"].sum())


def replay(plant: Plant, hashprice: pd.Series[float], shocks: Sequence[Shock]) -> Replay:
    """A plant's days with and without the shocks, and the loss divided among them.

    hashprice : index days, as `hashprice_by_day` gives it; the plant is small, so hashprice does not answer it.
    Outages that overlap are independent in their hours (the shares kept are multiplied); charges add; discounts
    multiply. Shocks that do not hit the plant's business take nothing. All 2^n sets of shocks are valued, and a shock's
    part is its mean addition over all orders (Shapley 1953, in Contributions to the Theory of Games II, 307).

    Raises Refusal for shocks of one name, or more than `MOST_SHOCKS`.

    >>> days = pd.Series(48.0, index=pd.date_range("2022-01-01", periods=10))
    >>> cut = Shock("cut", "cut-off", pd.Timestamp("2022-01-01"), pd.Timestamp("2022-01-06"))
    >>> round(replay(mining.Miner(20.0, 0.05), days, [cut]).loss, 6)                    # 5 days of 1,200 USD
    6000.0
    """
    names = [shock.name for shock in shocks]
    if len(set(names)) < len(names):
        raise Refusal(f"two shocks have one name, {max(names, key=names.count)!r}: give each its own.")
    if len(shocks) > MOST_SHOCKS:
        raise Refusal(f"{len(shocks)} shocks are too many to divide a loss among: give {MOST_SHOCKS} at most.")
    n, index = len(shocks), pd.DatetimeIndex(hashprice.index)
    effects = _effects(plant, index, shocks)
    cash = np.array([_cash(plant, hashprice, effects, s >> np.arange(n) & 1) for s in range(2**n)])
    total = cash[0].sum() - cash.sum(axis=1)
    bits = 1 << np.arange(n)
    parts = pd.DataFrame(
        {"loss": shapley(total), "alone": total[bits], "last": total[-1] - total[2**n - 1 - bits]},
        index=pd.Index(names, name="shock"),
    )
    return Replay(pd.DataFrame({"without": cash[0], "with_shocks": cash[-1]}, index=index), parts)


def by_start(
    plant: Plant, daily: pd.DataFrame, shocks: Sequence[Shock], starts: Sequence[pd.Timestamp], days: int
) -> pd.DataFrame:
    """The sequence begun on other days: a row a start, columns start, margin, loss, in USD per MW over `days` days.

    daily : btc_network_daily. Raises Refusal as `hashprice_by_day`.
    """
    rows = []
    for start in starts:
        price = hashprice_by_day(daily, start, start + pd.Timedelta(days=days - 1))
        effects = _effects(plant, pd.DatetimeIndex(price.index), moved(shocks, start))
        without, with_all = (float(_cash(plant, price, effects, np.full(len(shocks), on)).sum()) for on in (0, 1))
        rows.append((start, without, without - with_all))
    return pd.DataFrame(rows, columns=["start", "margin", "loss"])


def _effects(plant: Plant, days: pd.DatetimeIndex, shocks: Sequence[Shock]) -> Floats:
    """(3, shocks, days): share of hours lost, charge in USD/kWh, share of revenue given up."""
    business = "hosting" if isinstance(plant, Hosting) else "mining"
    effects = np.zeros((3, len(shocks), len(days)))
    for row, shock in enumerate(shocks):
        if business in shock.hits:
            what = {"charge": 1, "forced sale": 2}.get(shock.kind, 0)
            effects[what, row] = shock.days(days) * shock.size * (shock.discount if what == 2 else 1.0)
    return effects


def _cash(plant: Plant, hashprice: pd.Series[float], effects: Floats, on: npt.NDArray[np.int64]) -> Floats:
    """Cash by day with those shocks whose entry of `on` is 1."""
    lost, charge, given_up = effects * on[:, None]
    return cash_per_mw(
        plant, hashprice.to_numpy(dtype=float), 1 - np.prod(1 - lost, axis=0), charge.sum(axis=0),
        1 - np.prod(1 - given_up, axis=0),
    )  # fmt: skip


def shapley(totals: npt.ArrayLike) -> Floats:
    """Shapley values of n players from the worth of every set of them; they sum to the worth of all less that of none.

    totals : (2^n,), entry s is the worth of the set whose members are the bits of s

    >>> shapley([0.0, 6.0, 2.0, 10.0]).tolist()
    [7.0, 3.0]
    """
    worth = np.asarray(totals, dtype=float)
    n = worth.size.bit_length() - 1
    if worth.ndim != 1 or worth.size != 2**n:
        raise ValueError(f"totals must have 2^n entries, got shape {worth.shape}")
    sets = np.arange(2**n)
    members = np.array([int(s).bit_count() for s in sets])
    parts = np.zeros(n)
    for player in range(n):
        without = sets[(sets >> player & 1) == 0]
        weight = np.array([1 / (n * math.comb(n - 1, int(k))) for k in members[without]])
        parts[player] = float(weight @ (worth[without | 1 << player] - worth[without]))
    return parts


# --- 3. Megawatts and shares ------------------------------------------------------------------------------------------


def megawatts(hashrate_ehs: npt.ArrayLike, efficiency: npt.ArrayLike) -> Floats:
    """Power of machines that hash at so many EH/s with so many J/TH, in MW: the two multiply, as 1e18 / 1e12 = 1e6.

    >>> float(megawatts(0.18 * 150, 50.0))
    1350.0
    """
    return np.multiply(hashrate_ehs, efficiency, dtype=float)


class Fleet(NamedTuple):
    """What machines of a time drew, J/TH: low and high hold the middle 80% of the models then new, mid is their
    geometric mean (`costlaws.efficiency_in_use`), best the thriftiest on sale."""

    best: float
    low: float
    mid: float
    high: float


def fleet(models: pd.DataFrame, day: pd.Timestamp, years: float = 3.0) -> Fleet:
    """The machines that came out in the `years` before a day: a range that stands for the fleet, an assumption.

    models : asic_models (release, release_known_to, j_per_th). Sales are unknown, each model counts once; what ran
    longer than that was thirstier. Raises Refusal where fewer than three models are known.
    """
    born = costlaws.available_from(models)
    young = models.loc[(born <= day) & (born > day - pd.Timedelta(days=round(years * 365.25))), "j_per_th"]
    if len(young) < 3:
        raise Refusal(
            f"no fleet is known for {day:%Y-%m-%d}: {len(young)} models came out in the {years:g} years before."
        )
    low, high = np.quantile(young, [0.1, 0.9]).tolist()
    return Fleet(float(young.min()), low, float(np.exp(np.log(young).mean())), high)


def crowding(
    shares: pd.DataFrame, energy: pd.DataFrame, iso3: Sequence[str], year: int, j_per_th: float
) -> pd.DataFrame:
    """Mining load of a year over the mean load of the country, by legal order: columns low, high, listed.

    shares : hashrate_share_by_country (month, country, hashrate_ehs); energy : country_energy_annual, demand of `year`
    j_per_th : of the world's fleet, an assumption that moves all countries alike

    For a country that the shares name low equals high. One that they do not name has anything from nothing to all of
    "Other"; one without demand in the table is unknown (NaN). Raises Refusal for a year without shares.

    >>> s = pd.DataFrame({"month": pd.to_datetime(["2020-01-01"] * 2), "country": ["A", "Other"]})
    >>> e = pd.DataFrame({"country": ["A", "B"], "iso3": ["AAA", "BBB"], "year": 2020, "demand_twh": [87.84, 8.784]})
    >>> crowding(s.assign(hashrate_ehs=[10.0, 4.0]), e, ["AAA", "BBB"], 2020, 50.0).values.tolist()  # 500 MW of 10,000
    [[0.05, 0.05, True], [0.0, 0.2, False]]
    """
    rows = shares[shares["month"].dt.year == year]
    if rows.empty:
        known = shares["month"].dt.year
        raise Refusal(f"no shares of hashrate are known for {year}: the table holds {known.min()} to {known.max()}.")
    load = rows.groupby("country")["hashrate_ehs"].mean() * j_per_th
    hours = (pd.Timestamp(year + 1, 1, 1) - pd.Timestamp(year, 1, 1)) / pd.Timedelta(hours=1)
    of_year = energy[energy["year"] == year].set_index("iso3")
    mean_load = of_year["demand_twh"] * 1e6 / hours
    found = []
    for code in iso3:
        name = of_year["country"].get(code)
        whole = float(mean_load.get(code, np.nan))
        low, high = (float(load[name]),) * 2 if name in load.index else (0.0, float(load.get("Other", np.nan)))
        found.append((low / whole, high / whole, name in load.index))
    return pd.DataFrame(found, columns=["low", "high", "listed"], index=pd.Index(iso3, name="iso3"))


def with_mining_load(panel: Panel, crowd: pd.DataFrame) -> Panel:
    """A panel with one more criterion, "mining load": mining over the mean load of the country, free of it is best.

    crowd : a row a site of the panel, in its order, index legal orders (iso3), columns as `crowding` gives them. On a
    logarithmic scale from `CROWDED` (0) to `FREE` (1), the anchors of one site's own share. Where nobody counted, the
    range between the bounds. The error of a count is that of the assumed efficiency: a factor of `EFFICIENCY_FACTOR`.
    """
    ends = crowd[["high", "low"]].clip(lower=FREE).to_numpy(dtype=float).T
    worse, better = (utility(side, "log", CROWDED, FREE) for side in ends)
    counted = crowd["listed"].to_numpy(dtype=bool)
    error = math.log(EFFICIENCY_FACTOR) / math.log(CROWDED / FREE)
    orders = panel.source.max() + 1 + pd.factorize(np.asarray(crowd.index))[0]
    more = (
        np.where(counted, worse, np.nan), np.where(counted, error, np.nan), np.where(counted, np.nan, worse),
        np.where(counted, np.nan, better), orders,
    )  # fmt: skip
    old = (panel.value, panel.error, panel.low, panel.high, panel.source)
    value, sd, low, high, source = (np.column_stack(pair) for pair in zip(old, more, strict=True))
    return Panel(panel.sites, (*panel.criteria, "mining load"), value, sd, low, high, source, panel.left_out)


def reconcile(
    grey: Mapping[str, float], totals: Mapping[str, float], hashrate_ehs: float, machines: Fleet
) -> pd.DataFrame:
    """Which figures of unregistered mining can be true together with which totals: a row a pair.

    grey, totals : who says so -> MW. Columns: grey, total (the names), grey_mw, total_mw, white_mw (what is left),
    ratio (grey to white; infinite where nothing is left), j_per_th (of the total over the hashrate), possible (white
    load is not negative, and the machines could draw that: not less than the best on sale, not more than the range).

    >>> reconcile({"a": 1_200.0}, {"b": 1_500.0}, 27.3, Fleet(30, 32, 47, 65))[["white_mw", "ratio", "possible"]].values
    array([[300.0, 4.0, True]], dtype=object)
    """
    rows = []
    for (speaker, mw), (other, total) in itertools.product(grey.items(), totals.items()):
        white, drawn = total - mw, total / hashrate_ehs
        ratio = mw / white if white > 0 else math.inf
        rows.append(
            (speaker, other, mw, total, white, ratio, drawn, white >= 0 and machines.best <= drawn <= machines.high)
        )
    columns = ["grey", "total", "grey_mw", "total_mw", "white_mw", "ratio", "j_per_th", "possible"]
    return pd.DataFrame(rows, columns=columns)


# --- 4. Ranks against a record ----------------------------------------------------------------------------------------


class Agreement(NamedTuple):
    """Kendall's tau-b, and the exact two-sided and one-sided (tau at least as high) chance of it under no relation."""

    tau: float
    p: float
    p_above: float


def agreement(score: Sequence[float], outcome: Sequence[float]) -> Agreement:
    """How well a score without ties orders an outcome that may have ties: Kendall's tau-b with its exact p.

    Under no relation all arrangements of the outcomes are equally likely, and the discordant pairs are the inversions
    of a random arrangement of a multiset, counted by the Gaussian multinomial coefficient (MacMahon 1913).

    Raises Refusal for fewer than three units, ties in the score, or an outcome that is the same everywhere.

    >>> [round(x, 3) for x in agreement([1, 2, 3, 4], [0, 0, 1, 3])]        # 12 arrangements, one of which is in order
    [0.913, 0.167, 0.083]
    """
    x, y = np.asarray(score, dtype=float), np.asarray(outcome, dtype=float)
    if len(x) < 3 or len(set(x.tolist())) < len(x) or len(set(y.tolist())) < 2:
        raise Refusal(
            "ranks can be held against a record of three units or more, none tied in rank, not all alike since."
        )
    ordered = y[np.argsort(x)]
    n, (_, sizes) = len(x), np.unique(y, return_counts=True)
    later = np.triu(np.ones((n, n), dtype=bool), 1)
    discordant = int(((ordered[:, None] > ordered[None, :]) & later).sum())
    untied = n * (n - 1) // 2 - sum(math.comb(int(m), 2) for m in sizes)
    chance, so_far = np.ones(1), 0
    for m in sizes:
        so_far += int(m)
        ways = np.array(_gaussian(so_far, int(m)), dtype=float)
        chance = np.convolve(chance, ways / ways.sum())
    balance = untied - 2 * np.arange(len(chance))
    seen = untied - 2 * discordant
    return Agreement(
        seen / math.sqrt(untied * n * (n - 1) / 2),
        float(chance[np.abs(balance) >= abs(seen)].sum()),
        float(chance[balance >= seen].sum()),
    )


@cache
def _gaussian(n: int, k: int) -> tuple[int, ...]:
    """Coefficients of the Gaussian binomial [n, k]: how many choices of k places out of n have so many inversions."""
    if k in (0, n):
        return (1,)
    first, rest = _gaussian(n - 1, k - 1), (0,) * k + _gaussian(n - 1, k)
    return tuple(sum(pair) for pair in itertools.zip_longest(first, rest, fillvalue=0))
