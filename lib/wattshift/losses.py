"""What perils cost in dollars: margins, the cost of one event, a year's losses and their tail, and the price of both.

Everything is in USD per MW of gross power and year, for two uses of the same megawatt: `mine` and `data_centre`. Losses
are opportunity losses of the owner: money that would have come in and does not, and plant that is gone. One year of
exposure at a given age of the site; `over_life` repeats it. Rates of events come from `hazards`.

Sizes of events are counted from tables where a table holds them (`Sizes`), and are ranges where none does
(`assumptions`), in use at their middle. Not in here: debt, taxes on profit, moves of the bitcoin price that come
together with an event, people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from wattshift import gates, hazards, mining, replay
from wattshift.bottomup import STATED, Input
from wattshift.hazards import COUNTED, PERILS, Rates
from wattshift.portfolio import tail, tail_error
from wattshift.refusal import Refusal

Floats = NDArray[np.float64]

HOURS_PER_YEAR = mining.DAYS_PER_YEAR * 24
MINUTES_PER_YEAR = HOURS_PER_YEAR * 60
KWH_PER_MW_YEAR = HOURS_PER_YEAR * 1_000
MONTHS_PER_YEAR = 12

# A mine as the report on halvings runs it; assumed there, assumed here.
UPTIME = 0.95
POOL_FEE = 0.01
SITE_OVERHEAD = 0.05

TAIL_PRICE = 0.06  # yearly return on capital held against the tail; European insurers' rate under Solvency II from 2016
LIFE_SLICES = 40
RIG_AGES = 40

# What no table holds: name, low, high, unit, meaning, why.
ASSUMED = (
    ("opex", 0.005, 0.015, "USD/kWh", "staff, rent, repairs of a mine", "one cent in the report on halvings"),
    ("rig_share", 0.6, 0.8, "", "rigs in the capital of a mine", "rigs at about 12 USD per TH/s"),
    ("rig_life", 3, 5, "years", "life of a rig", "four in the report on halvings"),
    ("rig_resale", 0.3, 0.7, "", "used rigs, of their written-down worth", "many sell at once"),
    ("move_cost", 20_000, 100_000, "USD/MW", "rigs taken down, sent, put up", "some 300 rigs per MW"),
    ("mine_months", 3, 9, "months", "a lost mine is built anew", "containers and rigs are bought ready"),
    ("hosting_costs", 0.1, 0.3, "of rent", "running a data centre", "its tenant pays the power"),
    ("pass_through", 0.8, 1.0, "", "dearer power that the tenant pays", "such leases are often triple net"),
    ("penalty", 0.0, 2.0, "x rent", "penalty beside the rent of lost time", "the contracts are not public"),
    ("hosting_cut", 0.0, 0.5, "", "rationed days that reach hosting", "the dated cuts named miners"),
    ("backup", 0.8, 1.0, "", "outages that hosting bridges itself", "batteries and diesel"),
    ("local_mining", 0.0, 0.5, "", "local money in a mine's margin", "coins are paid abroad"),
    ("local_hosting", 0.0, 1.0, "", "local money in hosting's margin", "depends on the tenant"),
    ("locked_months", 6, 18, "months", "margin that cannot leave", "insurers wait before they pay"),
    ("locked_lost", 0.1, 0.5, "", "of locked margin, lost by devaluation", "refused when money is weak"),
    ("war_damage", 0.1, 0.6, "", "plant that a war event destroys", "most damage is partial"),
    ("war_months", 6, 18, "months", "a damaged site stands still", "transformers take long"),
    ("tariff_years", 2, 8, "years", "a step of a tariff lasts", "one lasted three months, most stand"),
)
PRICE_REACH = 0.25  # USD/kWh either side of the price paid, in which the risk premium is looked for
PRICE_STEPS = 101
BLOCK = 50_000  # years drawn at a time


# ---------------------------------------------------------------- margins


@dataclass(frozen=True, slots=True)
class Use:
    """One MW (gross) in one use. Money in USD per year, or USD where it is capital.

    name        : "mining" or "hosting"
    takes       : what stops coming in when the site stops for a while, revenue less the costs that stop with it
    margin      : `takes` less the costs that run by the calendar; before capital. May be negative
    capital     : of a new site
    rigs        : part of that capital which can be carried off, bought anew every `rig_life` years
    rig_life    : years; does not matter where rigs is 0
    power_price : at the site's meter, USD/kWh
    kwh         : drawn a year
    """

    name: str
    takes: float
    margin: float
    capital: float
    rigs: float
    rig_life: float
    power_price: float
    kwh: float

    def written_down(self, age: float, life: float) -> float:
        """Capital less depreciation, USD: rigs half worn (they are renewed one by one), the rest on a straight line.

        >>> Use("mining", 0, 0, 800.0, 600.0, 4.0, 0.05, 1.0).written_down(age=5, life=10)
        400.0
        """
        return self.rigs / 2 + (self.capital - self.rigs) * max(0.0, 1 - age / life)


def mine(
    hashprice: float, efficiency: float, power_price: float, capital: float, values: Mapping[str, ArrayLike]
) -> Use:
    """One MW of mining: what `mining.margin_usd_per_ph_day` gives, for the hashrate that a MW drives.

    hashprice : USD per PH/s and day; efficiency : J/TH; power_price : USD/kWh; capital : USD/MW; values : of `Input`s

    A mine whose revenue does not pay its power switches off: `takes` is then 0 and the margin is the cost that runs on.

    >>> made = mine(44.0, 20.0, 0.05, 8e5, {"opex": 0.0, "rig_share": 0.7, "rig_life": 4.0})
    >>> round(made.takes), round(made.margin)
    (303366, 303366)
    """
    miner = mining.Miner(
        efficiency,
        power_price,
        uptime=UPTIME,
        pool_fee=POOL_FEE,
        site_overhead=SITE_OVERHEAD,
        opex=_one(values, "opex"),
    )
    kwh_per_ph_day = mining.rig_kwh_per_ph_day(efficiency) * (1 + SITE_OVERHEAD)
    ph_days = KWH_PER_MW_YEAR / kwh_per_ph_day
    takes = max(0.0, float(mining.margin_usd_per_ph_day(miner, hashprice, "power")) * ph_days)
    fixed = UPTIME * float(mining.fixed_cost_usd_per_ph_day(miner, "cash")) * ph_days
    return Use(
        "mining", takes, takes - fixed, capital, capital * _one(values, "rig_share"), _one(values, "rig_life"),
        power_price, UPTIME * KWH_PER_MW_YEAR,
    )  # fmt: skip


def data_centre(rent: float, power_price: float, capital: float, values: Mapping[str, ArrayLike]) -> Use:
    """One MW (gross) let to a tenant who brings the computers.

    rent : USD per MW of critical IT power and year, as leases print it; divided by the PUE it is per MW gross

    >>> made = data_centre(1.8e6, 0.05, 1e7, {"pue": 1.25, "hosting_costs": 0.2})
    >>> round(made.takes), round(made.margin)
    (1440000, 1152000)
    """
    gross = float(rent) / _one(values, "pue")
    return Use(
        "hosting", gross, gross * (1 - _one(values, "hosting_costs")), capital, 0.0, 1.0, power_price, KWH_PER_MW_YEAR
    )


def leases(deals: pd.DataFrame) -> pd.DataFrame:
    """Leases of ai_deals that print critical MW, value and term: rows with usd_per_mw_year (critical), rising.

    Cloud contracts are left out (their value holds the machines), and so are rows that give gross MW alone.

    >>> row = {"event_id": "X", "event_type": "hosting_lease", "mw_critical_it": 100.0, "contract_value_usd_bn": 1.5,
    ...        "term_years": 10.0, "verified": "yes", "confounders": None}
    >>> float(leases(pd.DataFrame([row]))["usd_per_mw_year"].iloc[0])
    1500000.0
    """
    sizes = ["mw_critical_it", "contract_value_usd_bn", "term_years"]
    rows = deals[deals["event_type"].isin(["hosting_lease", "expansion"])].dropna(subset=sizes)
    rent = rows["contract_value_usd_bn"] * 1e9 / rows["mw_critical_it"] / rows["term_years"]
    return rows.assign(usd_per_mw_year=rent).sort_values("usd_per_mw_year", ignore_index=True)


def mean_hashprice(network: pd.DataFrame) -> float:
    """Hashprice over the days of `network`, USD per PH/s and day: all revenue over all work, so luck cancels."""
    return float(mining.window_means(network)["hashprice_usd_per_ph_day"])


# ---------------------------------------------------------------- sizes of events, counted


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of past events, each as likely as the others.

    steps     : rises of the power price, columns usd_per_kwh, of_price and topped_to (see `rises`), and miners (True
                where the step was for miners alone)
    rationing : days without power; shutdown : days without internet
    hindsight : which of these were known only after the as-of date, and are taken from later events
    """

    steps: pd.DataFrame
    rationing: Floats
    shutdown: Floats
    hindsight: tuple[str, ...] = ()


def tariff_steps(prices: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Every dated rise of a tariff, tax or levy on power for miners or data centres whose size a table prints.

    prices : industrial_power_prices; events : mining_regulation_events
    A row: iso3, date, what, usd_per_kwh, of_price and topped_to (see `rises`), miners, printed (size and unit as
    printed). A step in a currency that the table does not convert has NaN in usd_per_kwh.

    Taxes stand as pairs (before, after). Levies of one country are one step: the newest, and where that is a greatest
    fee, a schedule that goes down to the smallest. Per cents stand in the words of tariff events; those that `hazards`
    counts as one measure are one step, compounded.
    """
    rows: list[tuple[object, ...]] = []
    taxes = prices[prices["period_kind"] == "tax"].sort_values("period")
    names = taxes["price_kind"].str.replace(r"_(before|after)$", "", regex=True)
    for (country, name), pair in taxes.groupby(["iso3", names]):
        before, after = pair.iloc[0], pair.iloc[-1]
        if before["price_kind"] != after["price_kind"]:
            printed = f"{before['value']:g} to {after['value']:g} {after['unit']}"
            rise = after["usd_per_kwh"] - before["usd_per_kwh"]
            rows.append((country, after["period"], name, rise, 0.0, np.nan, False, printed))
    for country, levies in prices[prices["period_kind"] == "levy"].sort_values("period").groupby("iso3"):
        last, first, usd = levies.iloc[-1], levies["period"].iloc[0], levies["usd_per_kwh"]
        graded = str(last["price_kind"]).endswith("maximum")
        least, most = (usd.min(), last["usd_per_kwh"]) if graded else (last["usd_per_kwh"], np.nan)
        printed = ", then ".join(f"{value:g}" for value in levies["value"]) + f" {last['unit']}"
        rows.append((country, first, last["price_kind"], least, 0.0, most, True, printed))
    known = hazards.measures(events, events["date"].max())
    tariffs = known[(known["kind"] == "tariff") & (known["peril"] == "tariff")]
    found = tariffs["event"].str.extract(r"(\d+)(?:-(\d+))?%").astype(float)
    for _, part in found.dropna(subset=0).groupby(tariffs["measure"], sort=False):
        row = tariffs.loc[part.index[0]]
        printed = ", then ".join(
            f"{low:g}%" if np.isnan(high) else f"{low:g} to {high:g}%" for low, high in part.to_numpy()
        )
        rise = float(np.prod(1 + np.nanmean(part.to_numpy(), axis=1) / 100)) - 1
        rows.append((row["iso3"], row["date"], "tariff", 0.0, rise, np.nan, True, printed))
    columns = ["iso3", "date", "what", "usd_per_kwh", "of_price", "topped_to", "miners", "printed"]
    return pd.DataFrame(rows, columns=columns).sort_values("date", ignore_index=True)


def rises(steps: pd.DataFrame, power_price: float) -> Floats:
    """What each step adds to a power price, USD/kWh: usd_per_kwh, and of_price times the price.

    Where topped_to is known the step is a schedule, and usd_per_kwh its least: price and fee make topped_to together
    (`replay.progressive_fee`). A price below zero counts as zero.

    >>> steps = pd.DataFrame({"usd_per_kwh": [0.01, 0.002], "of_price": [0.5, 0.0], "topped_to": [np.nan, 0.052]})
    >>> [np.round(rises(steps, price), 3).tolist() for price in (0.02, 0.06)]
    [[0.02, 0.032], [0.04, 0.002]]
    """
    price = max(power_price, 0.0)
    flat = (steps["usd_per_kwh"] + steps["of_price"] * price).to_numpy(dtype=float)
    graded = [
        replay.progressive_fee(price, most, least) if most == most else np.nan
        for most, least in zip(steps["topped_to"], steps["usd_per_kwh"], strict=True)
    ]
    return np.where(steps["topped_to"].notna(), graded, flat)


def levies(prices: pd.DataFrame, as_of: str) -> pd.DataFrame:
    """The taxes and levies on power for data centres or miners that are in force on a day, as printed.

    prices : industrial_power_prices. A row: iso3, what, printed (size and unit), since (of that size). A greatest fee
    is printed with the smallest. Which rows end, no table says: the newest stands.
    """
    known = prices[prices["period_kind"].isin(["tax", "levy"]) & (prices["period"] <= pd.Timestamp(as_of))]
    known = known[~known["price_kind"].str.endswith("_before")].sort_values("period")
    rows = []
    for (country, kind), of_kind in known.groupby(["iso3", "period_kind"]):
        last = of_kind.iloc[-1]
        least = of_kind["value"].min()
        low = f"{least:g} to " if str(last["price_kind"]).endswith("maximum") and least < last["value"] else ""
        rows.append((country, kind, f"{low}{last['value']:g} {last['unit']}", last["period"]))
    return pd.DataFrame(rows, columns=["iso3", "what", "printed", "since"])


def lengths(events: pd.DataFrame, peril: str, longest: int = 365) -> pd.DataFrame:
    """Events of a peril dated to the day with an end at most `longest` days later: iso3, date, days (whole days apart).

    events : mining_regulation_events; which row is which peril is for `hazards.measures` to say
    """
    known = hazards.measures(events, events["date"].max())
    rows = known[(known["peril"] == peril) & (known["date_precision"] == "day")]
    days = (rows["end_date"] - rows["date"]).dt.days.astype(float)
    return rows.assign(days=days).loc[days.between(1, longest), ["iso3", "date", "days"]].reset_index(drop=True)


def known_by(rows: pd.DataFrame, column: str, as_of: str) -> tuple[pd.DataFrame, bool]:
    """The rows dated up to a day, and True; all of them, and False, where none is that old.

    >>> rows = pd.DataFrame({"date": pd.to_datetime(["2022-01-01", "2024-01-01"])})
    >>> [(len(kept), known) for kept, known in (known_by(rows, "date", day) for day in ("2023-01-01", "2021-01-01"))]
    [(1, True), (2, False)]
    """
    old = rows[rows[column] <= pd.Timestamp(as_of)]
    return (old, True) if len(old) else (rows, False)


def sizes(prices: pd.DataFrame, events: pd.DataFrame, as_of: str) -> Sizes:
    """The sizes that the tables hold up to a day; where nothing is that old, those of all days (`Sizes.hindsight`).

    Raises Refusal where a kind has none at all: the size of such an event is then unknown.
    """
    day = pd.Timestamp(as_of)
    old, seen = prices[prices["period"] <= day], events[events["date"] <= day]

    def every(prices: pd.DataFrame, events: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {
            "steps of tariffs": tariff_steps(prices, events).dropna(subset="usd_per_kwh"),
            "lengths of rationing": lengths(events, "rationing"),
            "lengths of internet shutdowns": lengths(events, "internet"),
        }

    known, late = every(old, seen), every(prices, events)
    missing = [name for name, rows in late.items() if rows.empty]
    if missing:
        raise Refusal(f"the tables hold no {missing[0]}, so what such an event costs is unknown.")
    steps, dry, dark = (known[name] if len(known[name]) else late[name] for name in late)
    return Sizes(
        steps.reset_index(drop=True),
        dry["days"].to_numpy(),
        dark["days"].to_numpy(),
        tuple(name for name in late if known[name].empty),
    )


def idle_after_ban(network: pd.DataFrame, share: float, day: str) -> tuple[float, float]:
    """Months that rigs stood still after a ban that hit a share of the network: (low, high).

    network : columns date, hashrate_ehs; share : of the network before the ban, 0 to 1; day : of the ban
    low     : hashrate missing against the 30 days before, added up until the 30-day mean is back, over what the share
              made. New rigs elsewhere filled part of the gap, so the banned ones stood still for longer than that
    high    : months until the network as a whole was back

    >>> days = pd.date_range("2021-01-01", periods=200)
    >>> rate = np.where((days >= "2021-02-01") & (days < "2021-04-02"), 60.0, 100.0)  # 60 days at 60%, 40% banned
    >>> low, high = idle_after_ban(pd.DataFrame({"date": days, "hashrate_ehs": rate}), 0.4, "2021-02-01")
    >>> round(low * 365.25 / 12), low < high
    (60, True)
    """
    rate = network.set_index("date")["hashrate_ehs"]
    start = pd.Timestamp(day)
    before = float(rate[start - pd.Timedelta(days=30) : start - pd.Timedelta(days=1)].mean())
    after = rate[start:]
    back = after.rolling(30).mean()
    back = back[(back >= before) & (np.arange(len(back)) >= 60)]
    if not np.isfinite(before) or back.empty:
        raise Refusal(f"the network's days do not show how it came back after {day}.")
    gone = (1 - after[: back.index[0]] / before).sum()
    days = np.array([gone / share, (back.index[0] - start).days])
    low, high = np.sort(days) / mining.DAYS_PER_YEAR * MONTHS_PER_YEAR
    return float(low), float(high)


def assumptions(engineering: pd.DataFrame, idle: tuple[float, float]) -> tuple[Input, ...]:
    """Everything about costs that is not counted from events, as ranges; in use at the middle.

    engineering : dc_inputs (PUE, months of construction); idle : from `idle_after_ban`
    """
    known = engineering["parameter"]
    pue = engineering[known.str.startswith("pue_") & (known != "pue_survey_average")]
    build = engineering[known == "dc_construction_months"]
    if pue.empty or build.empty:
        raise Refusal("the table dc_inputs must hold a PUE of a fleet and dc_construction_months.")
    said = "; ".join(dict.fromkeys(pue["publisher"])), str(build["publisher"].iloc[0])
    months = float(build["low"].iloc[0]), float(build["high"].iloc[0])
    counted = (
        Input("idle_months", *idle, "months", "rigs stand still after a ban", "network after China's ban, 2021"),
        Input("build_months", *months, "months", "a lost data centre is built anew", said[1]),
        Input("pue", float(pue["value"].min()), float(pue["value"].max()), "ratio", "PUE of the data centre", said[0]),
    )
    return counted + tuple(
        Input(name, low, high, unit, meaning, f"{STATED}: {why}") for name, low, high, unit, meaning, why in ASSUMED
    )


# ---------------------------------------------------------------- what one event costs


def annuity(rate: float, years: ArrayLike) -> Floats:
    """Present value of 1 USD a year that flows evenly for some years, USD.

    >>> round(float(annuity(0.10, 10)), 4), float(annuity(0.0, 10))
    (6.4469, 10.0)
    """
    time = np.asarray(years, dtype=float)
    return np.asarray(time if rate == 0 else (1 - (1 + rate) ** -time) / np.log1p(rate))


def worth_in_use(use: Use, rest: float, discount_rate: float, *, new: bool = False) -> float:
    """Present value of the margin that is left in a site, less the rigs that are still worth renewing; USD per MW.

    rest : years that the site still runs. Rigs are of all ages alike, or all new

    Each rig earns until it is worn out; a next one is bought when its margin until the end pays for it. A site that
    loses money is worth nothing.

    >>> site = Use("mining", 300.0, 300.0, 800.0, 600.0, 4.0, 0.05, 1.0)
    >>> worth_in_use(site, 8, 0.0, new=True)     # 8 years of 300 less one renewal
    1800.0
    >>> worth_in_use(site, 5, 0.0, new=True)     # a renewal for the fifth year would cost 600 and bring 300
    1200.0
    """
    margin = max(use.margin, 0.0)
    if use.rigs == 0:
        return margin * float(annuity(discount_rate, rest))
    left = np.array([use.rig_life]) if new else (np.arange(RIG_AGES) + 0.5) / RIG_AGES * use.rig_life
    total = margin * annuity(discount_rate, np.minimum(left, rest))
    while (left < rest).any():
        gain = margin * annuity(discount_rate, np.minimum(use.rig_life, np.maximum(rest - left, 0))) - use.rigs
        total = total + np.maximum(gain, 0.0) * (1 + discount_rate) ** -left
        left = left + use.rig_life
    return float(total.mean())


def one_event(
    use: Use,
    values: Mapping[str, ArrayLike],
    past: Sizes,
    *,
    life: float,
    discount_rate: float,
    age: float | None = None,
) -> dict[str, Floats]:
    """What one event of each peril costs the owner: peril -> equally likely sizes, USD per MW ("outage": per minute).

    age : of the site when it happens, years; half its life unless given

    - seizure: the lower of what replaces the site (written-down capital, and the margin until it runs again) and what
      the site was worth (`worth_in_use`, or the resale of the rigs). Never both, so nothing is counted twice ("deprival
      value": Bonbright 1937).
    - war: plant destroyed and months standing still, at most what a seizure costs.
    - inconvertibility: local margin of the locked months, later by half of them on average, and in part lost.
    - ban (mining alone): plant stranded, rigs moved, months still; or, where that is less, giving up and selling rigs.
    - tariff: each past step for as long as a step lasts. A mine loses at most its margin (it switches off), and at most
      what a ban costs (it leaves). A tenant pays most of it for a data centre, and steps for miners alone pass it by.
    - rationing, internet: days times what the site takes. A data centre owes penalties, and is cut in a share of the
      rationed days. outage: the same per minute; a data centre bridges most of them.
    """
    age = life / 2 if age is None else age
    rest = max(0.0, life - age)
    at = {name: float(np.asarray(value)) for name, value in values.items()}
    hosting = use.name == "hosting"
    margin, left = max(use.margin, 0.0), use.written_down(age, life)
    resale = at["rig_resale"] * use.rigs / 2
    worth = max(worth_in_use(use, rest, discount_rate), resale)
    away = annuity(discount_rate, at["build_months" if hosting else "mine_months"] / MONTHS_PER_YEAR)
    seizure = min(left + margin * away, worth)
    war = at["war_damage"] * left + at["war_months"] / MONTHS_PER_YEAR * use.takes
    locked = at["locked_months"] / MONTHS_PER_YEAR
    late = 1 - (1 - at["locked_lost"]) * (1 + discount_rate) ** (-locked / 2)
    plant = left - use.rigs / 2
    move = plant + at["move_cost"] + margin * at["idle_months"] / MONTHS_PER_YEAR
    ban = 0.0 if hosting else min(move, worth - resale)
    step = rises(past.steps, use.power_price)
    if hosting:
        step = np.where(past.steps["miners"], 0.0, step) * (1 - at["pass_through"])
    dearer = np.minimum(step * use.kwh, margin) * annuity(discount_rate, min(at["tariff_years"], rest))
    owed = use.takes * (1 + at["penalty"] if hosting else 1.0)
    return {
        "seizure": np.array([seizure]),
        "war": np.array([min(war, seizure)]),
        "inconvertibility": np.array([at["local_hosting" if hosting else "local_mining"] * margin * locked * late]),
        "ban": np.array([ban]),
        "tariff": dearer if hosting else np.minimum(dearer, ban),
        "rationing": owed * past.rationing / mining.DAYS_PER_YEAR * (at["hosting_cut"] if hosting else 1.0),
        "internet": owed * past.shutdown / mining.DAYS_PER_YEAR,
        "outage": np.array([owed / MINUTES_PER_YEAR * (1 - at["backup"] if hosting else 1.0)]),
    }


# ---------------------------------------------------------------- a year, and its tail


def by_peril(
    counts: Mapping[str, NDArray[np.int64]],
    minutes: ArrayLike,
    event: Mapping[str, Floats],
    orders: Sequence[str],
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Losses of a simulated year by peril, each (draws, sites), USD per MW, before the cap of `annual`.

    counts  : from `hazards.simulate`; minutes : without power a year, a site; event : from `one_event`
    orders  : legal order of each site. Sites of one order that are hit in one draw are hit by events of one size

    Two uses with the same counts and a generator of the same seed are hit by the same events. Raises Refusal for counts
    and sites that do not fit together.
    """
    groups, of_site = np.unique(np.asarray(orders, dtype=str), return_inverse=True)
    shape = next(iter(counts.values())).shape
    if set(counts) != set(COUNTED) or shape[1] != len(of_site) or any(k.shape != shape for k in counts.values()):
        raise Refusal(
            f"counts must be given for {', '.join(COUNTED)}, each with a column for each of the {len(of_site)} sites."
        )
    found: dict[str, Floats] = {}
    for peril in COUNTED:
        many, usd = counts[peril], event[peril]
        total: Floats = np.asarray(many * float(usd[0]) if len(usd) == 1 else np.zeros(shape), dtype=float)
        for nth in range(int(many.max(initial=0)) if len(usd) > 1 else 0):
            size = usd[rng.integers(len(usd), size=(shape[0], len(groups)))][:, of_site]
            total += np.where(many > nth, size, 0.0)
        found[peril] = total
    found["outage"] = np.broadcast_to(np.asarray(minutes, dtype=float) * float(event["outage"][0]), shape)
    return found


def annual(parts: Mapping[str, Floats], event: Mapping[str, Floats], sites: Sequence[str]) -> pd.DataFrame:
    """Loss of a year, draws × sites, USD per MW: the sum of `by_peril`, at most what the worst single event costs.

    The cap says that a megawatt is lost once, whatever comes together in one year.
    """
    worst = max(float(usd.max()) for peril, usd in event.items() if peril != "outage")
    total = np.sum(list(parts.values()), axis=0)
    worst = max(worst, float(np.max(parts["outage"], initial=0.0)))
    return pd.DataFrame(np.minimum(total, worst), columns=list(sites))


def expected(rates: pd.DataFrame, minutes: ArrayLike, event: Mapping[str, Floats]) -> pd.DataFrame:
    """Expected loss in closed form, sites × perils, USD per MW-year: mean rate times mean size, before the cap.

    rates : mean events a year, sites × `COUNTED` (`Rates.mean`); minutes : without power a year, a site
    """
    size = mean_sizes(event)
    every = rates.reindex(columns=list(COUNTED)).assign(outage=np.asarray(minutes, dtype=float))
    if every.isna().any(axis=None):
        raise Refusal("every site needs a rate of every peril, and minutes without power.")
    return every * size


def mean_sizes(event: Mapping[str, Floats]) -> pd.Series[float]:
    """Mean cost of one event by peril, USD per MW (outage: per minute), in the order of `PERILS`."""
    return pd.Series({peril: float(np.mean(event[peril])) for peril in PERILS})


def summary(losses: pd.DataFrame, levels: Sequence[float] = (0.95, 0.99)) -> pd.DataFrame:
    """Of each site: mean and its standard error, and CVaR at each level with its error (`portfolio.tail`).

    losses : draws × sites. Columns mean, mean_error, cvar_95, cvar_95_error and so on; index site
    """
    table = pd.DataFrame({"mean": losses.mean(), "mean_error": losses.std(ddof=1) / np.sqrt(len(losses))})
    for level in levels:
        table[f"cvar_{level * 100:g}"], table[f"cvar_{level * 100:g}_error"] = (
            tail(losses, level),
            tail_error(losses, level),
        )
    return table


def laws(rates: Rates) -> pd.Series[int]:
    """Number of each site's law of loss, from 0 in the order of the sites: one law where the counted rates are equal.

    Minutes of outage are left out: a site's own, and a hundredth or less of any loss here.
    """
    both = pd.concat([rates.shape[list(COUNTED)], rates.rate[list(COUNTED)]], axis=1, keys=["shape", "rate"])
    return pd.Series(pd.factorize(pd.MultiIndex.from_frame(both))[0], rates.shape.index)


def tails(
    rates: Rates,
    shared: pd.DataFrame,
    events: Mapping[str, Mapping[str, Floats]],
    draws: int,
    rng: np.random.Generator,
    levels: Sequence[float] = (0.95, 0.99),
) -> dict[str, pd.DataFrame]:
    """`summary` by use, from draws of its own: for sites each alone, where the drawn years of a report are too few.

    events : use -> what `one_event` gives. Column "raw" is the mean before the cap of `annual`, which the closed form
    must meet, and "capped" the share of years that the cap cuts. Drawn in blocks of `BLOCK`, so that memory stays small
    """
    sites = list(rates.shape.index)
    orders = pd.Series(sites, sites)
    total: dict[str, list[pd.DataFrame]] = {use: [] for use in events}
    raw = {use: np.zeros(len(sites)) for use in events}
    cut = {use: np.zeros(len(sites)) for use in events}
    for start in range(0, draws, BLOCK):
        many = min(BLOCK, draws - start)
        counts = hazards.simulate(rates, shared, orders, many, rng)
        for use, event in events.items():
            parts = by_peril(counts, rates.outage["mean"], event, sites, rng)
            capped, before = annual(parts, event, sites), np.sum(list(parts.values()), axis=0)
            total[use].append(capped)
            raw[use] += before.sum(axis=0) / draws
            cut[use] += (before > capped.to_numpy() + 1e-9).sum(axis=0) / draws
    return {
        use: summary(pd.concat(found, ignore_index=True), levels).assign(raw=raw[use], capped=cut[use])
        for use, found in total.items()
    }


def over_life(
    use: Use,
    values: Mapping[str, ArrayLike],
    past: Sizes,
    rates: pd.DataFrame,
    minutes: ArrayLike,
    *,
    life: float,
    discount_rate: float,
) -> pd.DataFrame:
    """Present value over a new site's life, USD per MW, a row a site: columns earned (if nothing happens) and loss.

    The year of exposure is repeated at every age: plant wears and less margin is left, so events cost less later; a
    site that was seized is not there to be hit again (a mine that was banned neither: it runs on elsewhere). Losses are
    expected ones in closed form. `LIFE_SLICES` slices of the life, each at its middle.
    """
    slice_ = life / LIFE_SLICES
    ends = rates["seizure"] + (rates["ban"] if use.name == "mining" else 0.0)
    loss = pd.Series(0.0, index=rates.index)
    for nth in range(LIFE_SLICES):
        age = (nth + 0.5) * slice_
        event = one_event(use, values, past, life=life, discount_rate=discount_rate, age=age)
        yearly = expected(rates, minutes, event).sum(axis=1)
        loss += yearly * np.exp(-ends * age) * (1 + discount_rate) ** -age * slice_
    return pd.DataFrame({"earned": worth_in_use(use, life, discount_rate, new=True), "loss": loss})


# ---------------------------------------------------------------- what would make up for it


def mean_rates(rates: Rates) -> Floats:
    """Expected events a year by site and peril of `PERILS`, and minutes for outage; as `risk_premium` takes them."""
    return np.column_stack(
        [rates.mean[list(COUNTED)].to_numpy(dtype=float), rates.outage["mean"].to_numpy(dtype=float)]
    )


def rate_draws(rates: Rates, orders: Sequence[str], n: int, rng: np.random.Generator) -> Floats:
    """Draws of every site's rates as they are believed, (n, sites, perils of `PERILS`); minutes for outage.

    Sites of one legal order share each draw. Minutes go from low over mean to high as one even draw goes from 0 to 1.
    """
    first = ~pd.Series(list(orders)).duplicated().to_numpy()
    place = pd.Index(np.asarray(orders)[first]).get_indexer(pd.Index(np.asarray(orders)))
    shape, rate = (frame[list(COUNTED)].to_numpy(dtype=float)[first] for frame in (rates.shape, rates.rate))
    counted = rng.gamma(shape, 1 / rate, (n, *shape.shape))[:, place]
    low, mean, high = (rates.outage[name].to_numpy(dtype=float) for name in ("low", "mean", "high"))
    u = rng.uniform(-1, 1, (n, 1))
    minutes = mean + np.where(u < 0, u * (mean - low), u * (high - mean))
    return np.concatenate([counted, minutes[..., None]], axis=2)


def risk_premium(curve: pd.DataFrame, rates: ArrayLike, reference: int, power_price: float, kwh: float) -> Floats:
    """USD per kWh by which each site's power must be cheaper than the reference's for the same margin after losses.

    curve     : mean cost of one event, USD per MW; index power price (rising, evenly spaced), columns `PERILS`
    rates     : (..., sites, perils), events or minutes a year; reference : position of the site measured against
    kwh       : drawn a year per MW

    Cheaper power makes the margin larger by `kwh` times the cut, and with it the losses, so the cut d solves
    kwh d = loss(price - d) - loss of the reference. It is found by repeated substitution, which converges where a
    dollar of margin adds less than a dollar of expected loss. Negative: power may be dearer than the reference's.

    Infinite where no price on the curve makes up for the losses.
    """
    at = curve.index.to_numpy(dtype=float)
    size, often = curve[list(PERILS)].to_numpy(dtype=float), np.asarray(rates, dtype=float)
    step = (at[-1] - at[0]) / (len(at) - 1)

    def loss(price: Floats) -> Floats:
        place = np.clip((price - at[0]) / step, 0, len(at) - 1)
        below = np.minimum(place.astype(int), len(at) - 2)
        part = (place - below)[..., None]
        return np.asarray((often * (size[below] * (1 - part) + size[below + 1] * part)).sum(axis=-1))

    start = loss(np.full(often.shape[:-1], power_price))
    floor = start[..., [reference]]
    cut = (start - floor) / kwh
    for _ in range(200):
        new = (loss(power_price - cut) - floor) / kwh
        new[..., reference] = 0.0
        if np.abs(new - cut).max() < 1e-9:
            break
        cut = new
    settled = (np.abs(new - cut) < 1e-6) & (power_price - new >= at[0]) & (power_price - new <= at[-1])
    return np.where(settled, new, np.inf)


def cost_curve(sites_at: Mapping[float, Mapping[str, Floats]]) -> pd.DataFrame:
    """Mean cost of one event by power price, for `risk_premium`: from the events of `one_event` at each price."""
    return pd.DataFrame({price: mean_sizes(event) for price, event in sites_at.items()}).T.rename_axis("power_price")


def price_grid(power_price: float) -> Floats:
    """Power prices around the one paid, USD/kWh, rising: where `cost_curve` is to be computed."""
    return np.linspace(power_price - PRICE_REACH, power_price + PRICE_REACH, PRICE_STEPS)


def tail_charge(summed: pd.DataFrame, price: float = TAIL_PRICE) -> pd.Series[float]:
    """What holding capital for the tail costs, USD per MW-year: price times (CVaR 99% - expected loss), a site.

    summed : from `summary`; price : yearly return that the capital must earn, share
    """
    return (summed["cvar_99"] - summed["mean"]) * price


# ---------------------------------------------------------------- what is known of power prices


def known_prices(
    place: Mapping[str, str], country: str, prices: pd.DataFrame, points: pd.DataFrame, as_of: str
) -> pd.DataFrame:
    """The newest price of each kind that the tables hold for a site, as printed; nothing is converted.

    place  : a row of site_candidates (iso3, region, point); country : its name in electricity_price_points
    prices : industrial_power_prices; points : electricity_price_points; as_of : ISO day, later rows are left out

    A row: kind, value, unit, date, when (as far as the date is known), source_kind, source. Taxes and levies are no
    prices, household tariffs say nothing of a site, and rows of another part of the country are not of this place: all
    three are left out.
    """
    own = _of_place(prices, place).rename(columns={"price_kind": "kind", "period": "date"})
    yearly = (own["period_kind"] == "year") | ((own["period_kind"] == "point") & (own["date"].dt.month == 1))
    own = own.assign(date_precision=np.where(yearly, "year", "month"))  # a point of January may be one of the year
    single = points[(points["country"] == country) & ~points["item"].str.startswith("RESIDENTIAL")]
    single = single[single["area"].isna() | single["area"].isin([place["region"], place["point"]])]
    single = single.rename(columns={"item": "kind", "source_ref": "source"}).assign(source_kind="quoted")
    single["date_precision"] = single["date_precision"].replace("quarter", "month")
    columns = ["kind", "value", "unit", "date", "date_precision", "source_kind", "source"]
    rows = pd.concat([own.reindex(columns=columns), single.reindex(columns=columns)], ignore_index=True)
    rows["when"] = [gates.dated(*row) for row in rows[["date", "date_precision"]].itertuples(index=False)]
    newest = rows[rows["date"] <= pd.Timestamp(as_of)].sort_values("date").groupby("kind", sort=False).tail(1)
    return newest.sort_values("date", ascending=False, ignore_index=True)


def price_gaps(place: Mapping[str, str], other: Mapping[str, str], prices: pd.DataFrame, as_of: str) -> pd.DataFrame:
    """Where a place and another have a price of one kind, period and unit: how much cheaper the place is, newest first.

    A row: price_kind, period, unit, cheaper (in that unit), and usd_per_kwh cheaper where both are in USD. Rows that
    are of both places (a whole country) say nothing of either and are left out.
    """
    keys = ["price_kind", "period", "period_kind", "unit"]
    own, theirs = (_of_place(prices[prices["period"] <= pd.Timestamp(as_of)], at) for at in (place, other))
    own = own[~own.index.isin(theirs.index)]
    both = own.merge(theirs[[*keys, "value", "usd_per_kwh"]], on=keys, suffixes=("", "_other"))
    both = both.assign(
        cheaper=both["value_other"] - both["value"], usd_per_kwh=both["usd_per_kwh_other"] - both["usd_per_kwh"]
    )
    return both.sort_values("period", ascending=False, ignore_index=True)[[*keys, "cheaper", "usd_per_kwh"]]


def _of_place(prices: pd.DataFrame, place: Mapping[str, str]) -> pd.DataFrame:
    """Rows of industrial_power_prices that are prices, of a place or of its whole country."""
    rows = prices[(prices["iso3"] == place["iso3"]) & ~prices["period_kind"].isin(["tax", "levy"])]
    return rows[rows["region"].isna() | rows["region"].isin([place["region"], place["point"]])]


def _one(values: Mapping[str, ArrayLike], name: str) -> float:
    return float(np.asarray(values[name]))
