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

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, signal, special, stats

from wattshift import gates
from wattshift.refusal import Refusal

INSURED = ("seizure", "war", "inconvertibility")
MINING = ("ban", "tariff", "rationing", "internet")
COUNTED = (*INSURED, *MINING)
PERILS = (*COUNTED, "outage")
LAWS = ("own record", "one rate for all")
HazardLaw = Literal["own record", "one rate for all"]
LEVEL = 0.90  # coverage of every interval here, unless another is asked for

CONTRACT_YEARS = 10  # assumed: years an insured contract stays in force, its first included; the records do not say
CONTRACT_RANGE = (5, 20)  # assumed: the ends between which that may lie
RECORD_GAP = (1972, 1973)  # years of which the insurer's contracts are lost
COVERS = {
    "Expropriation": "seizure", "War damage": "war", "Political violence": "war", "Inconvertibility": "inconvertibility"
}  # fmt: skip
EUROPE = ("FIN", "ISL", "NOR", "SWE")  # candidates' countries whose regulators belong to the CEER, whose range it is
SAIDI_MONTH = 10  # reliability of a year is published in October of the next
SPREADS = np.geomspace(1 / 8, 32, 33)  # shapes of the gamma between jurisdictions that are weighed: almost any to alike

# What a kind of event bears on, and the peril it counts for. One coder's view; `CODED` departs from it row by row.
EXISTING, NEW, RULE, UNREGISTERED, GATE, FAULT, OPENS = (
    "running sites", "new load only", "rules and statements", "unregistered mines", "a gate, not a loss",
    "a grid fault", "opens or is neutral",
)  # fmt: skip
KINDS = {
    "ban": (EXISTING, "ban"), "regional_ban": (EXISTING, "ban"), "tax": (EXISTING, "tariff"),
    "tariff": (EXISTING, "tariff"), "power_cut": (EXISTING, "rationing"), "internet_shutdown": (EXISTING, "internet"),
    "moratorium": (NEW, ""), "grid_limit": (NEW, ""), "licence_law": (RULE, ""), "policy_statement": (RULE, ""),
    "seizure": (UNREGISTERED, ""), "sanctions": (GATE, ""), "conflict": (GATE, ""), "nuclear_shutdown": (GATE, ""),
    "nuclear_licence": (GATE, ""), "blackout": (FAULT, ""), "liberalisation": (OPENS, ""),
    "state_partnership": (OPENS, ""),
}  # fmt: skip
CODED = {
    "E013": (EXISTING, "rationing"),  # refuses new customers, and cuts supply that running mines had
    "E049": (NEW, ""),  # a tariff rule for new customers only
}
CHAINS = (  # events of one measure, such as a draft and its law: one event, at its first date
    ("E003", "E004", "E006", "E007", "E008", "E010"), ("E005", "E016"), ("E009", "E011"), ("E023", "E025"),
    ("E047", "E048"),
)  # fmt: skip
STEPS = (  # successive steps of one levy or tariff between the same payer and payee: one event too
    ("E005", "E016", "E027"), ("E015", "E046"), ("E021", "E041"),
)  # fmt: skip
SHORT_BAN = pd.Timedelta(days=366)  # a ban with an end this near is rationing: it says when the power comes back

Floats = NDArray[np.float64]


# ---------------------------------------------------------------- what is handed on


@dataclass(frozen=True)
class Rates:
    """What is believed of each site's rates. Events per site-year are gamma(shape, rate): mean shape / rate.

    shape, rate : frames, index site_id, columns `COUNTED`. A rate of infinity is a hazard of exactly zero
    outage      : frame, index site_id, minutes a year without power, see `outages`
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
        low, high = (special.gammaincinv(self.shape, tail) / self.rate for tail in ((1 - level) / 2, (1 + level) / 2))
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
    (c m + V) / (m + V); sites of two orders share the year alone. Left out: that all orders lean on one uncertain
    world rate, which would add a correlation of m times its squared error, a hundredth or less. Raises Refusal where
    two sites of one order have different rates.
    """
    sites = rates.shape.index
    orders = orders.loc[sites]
    first = ~orders.duplicated().to_numpy()
    place = pd.Index(orders[first]).get_indexer(pd.Index(orders))
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
    shape, rate = (float(frame[peril][site]) for frame in (rates.shape, rates.rate))
    if rate == np.inf:
        return 0.0
    mean, variance = shape / rate, shape / rate**2
    common, year = (float(shared[name][peril]) for name in ("common", "year"))
    between = (variance + mean**2) * (1 + year) - mean**2
    return (common * mean + between) / (mean + between)


# ---------------------------------------------------------------- counts and their intervals


def garwood(count: float, exposure: float = 1.0, level: float = LEVEL) -> tuple[float, float]:
    """The exact central interval of a Poisson rate, events per unit of exposure (Garwood 1936, through chi-squared).

    count : events seen; a count that is not whole stands for so many independent events (see `insured`)

    Nothing seen in 100 years still leaves 3 in 100 possible, -ln(0.05) / 100:

    >>> [round(end, 3) for end in garwood(0, 100)], [round(end, 2) for end in garwood(10, level=0.95)]
    ([0.0, 0.03], [4.8, 18.39])
    """
    if count < 0 or not exposure > 0 or not 0 < level < 1:
        raise Refusal(
            f"a rate needs a count from 0, an exposure above 0 and a level between 0 and 1; given {count}, {exposure} "
            f"and {level}."
        )
    low = stats.chi2.ppf((1 - level) / 2, 2 * count) / 2 if count else 0.0
    return float(low / exposure), float(stats.chi2.ppf((1 + level) / 2, 2 * count + 2) / 2 / exposure)


def zero_truncated(counts: Sequence[int], level: float = LEVEL) -> tuple[float, float, float]:
    """(estimate, low, high) of a Poisson mean from jurisdictions that are known only because something happened there.

    counts : events per jurisdiction, each 1 or more

    Without the zeros the mean count is m = L / (1 - exp(-L)); its root, the maximum of the likelihood, is
    L = m + W(-m exp(-m)) with Lambert's W. One event everywhere gives 0: such a list fits a world in which next to
    nobody is ever hit, and only those few are listed. The interval inverts the exact distribution of the sum, a
    convolution of zero-truncated Poissons (as Garwood's does for plain ones). Raises Refusal for a count below 1.

    >>> [round(end, 2) for end in zero_truncated([1, 1, 1])], round(zero_truncated([1, 2, 2, 1])[0], 2)
    ([0.0, 0.0, 1.75], 0.87)
    """
    seen = np.asarray(counts, dtype=float)
    if not seen.size or (seen < 1).any() or (seen % 1).any():
        raise Refusal(f"a zero-truncated mean needs one count or more, each a whole number from 1; given {counts}.")
    total, many = int(seen.sum()), int(seen.size)
    mean = total / many
    best = max(0.0, float(mean + special.lambertw(-mean * np.exp(-mean)).real)) if total > many else 0.0

    def below(rate: float, most: int) -> float:
        """P(sum <= most) for a mean before truncation of `rate`."""
        power = stats.poisson.pmf(np.arange(most + 1), rate)
        power[0] = 0.0
        power, summed, left = power / -np.expm1(-rate), np.ones(1), many
        while left:  # the distribution of 1, 2, 4, 8 ... counts, of which the sum of `many` is made up
            summed = signal.fftconvolve(summed, power)[: most + 1] if left % 2 else summed
            power, left = signal.fftconvolve(power, power)[: most + 1], left // 2
        return float(summed.sum())

    tail, ceiling = (1 - level) / 2, 10.0 * mean + 20.0
    high = float(optimize.brentq(lambda rate: below(rate, total) - tail, 1e-9, ceiling))
    low = float(optimize.brentq(lambda rate: 1 - below(rate, total - 1) - tail, 1e-9, ceiling)) if total > many else 0.0
    return best, low, high


def credibility(
    counts: pd.Series[Any], exposure: pd.Series[Any], spreads: ArrayLike = SPREADS, prior: float = 0.5
) -> pd.DataFrame:
    """Each jurisdiction's rate from its own record and everybody's: gamma shape and rate per index, and a row "new".

    counts, exposure : events and years at risk, same index; an exposure of 0 (with no events) is allowed
    spreads : shapes of the gamma between jurisdictions that are weighed alike before the data; one large value means
              that all have one rate, and then the answer is gamma(total + prior, exposure)
    prior   : events that are known before the data, 1/2 by Jeffreys for one peril

    Rates differ between jurisdictions as gamma(a, a / m); given a and m a record of n in E years leaves
    gamma(a + n, a / m + E), a weighted mean of own record and world (Buehlmann's credibility). With the few
    events there are, one best a and m would feign knowledge: both are weighed over a grid by the negative-binomial
    likelihood, a alike on a log scale, m by m^(prior - 1). A mixture is handed on as the gamma of its mean and
    variance. "new" is a jurisdiction without any record. Raises Refusal for events without exposure, or no exposure
    at all.
    """
    seen, years = counts.to_numpy(dtype=float), exposure.loc[counts.index].to_numpy(dtype=float)
    if (seen < 0).any() or (years < 0).any() or ((years == 0) & (seen > 0)).any() or not years.sum() > 0:
        raise Refusal("rates need years at risk: no count or exposure below 0, and no event without exposure.")
    grid = np.asarray(spreads, dtype=float)[:, None, None]
    means = ((seen.sum() + prior) / years.sum() * np.geomspace(1 / 60, 60, 241))[None, :, None]
    inverse = grid / means
    record = (
        special.gammaln(grid + seen) - special.gammaln(grid)
        - grid * np.log1p(years / inverse) - seen * np.log(inverse + years)
    ).sum(axis=2)  # fmt: skip
    weight = np.exp(record - record.max()) * means[:, :, 0] ** prior  # the prior, times the step of a log grid
    weight /= weight.sum()

    def expect(values: Floats) -> Floats:
        return np.asarray((values * weight[:, :, None]).sum(axis=(0, 1)), dtype=float)

    mean = expect((grid + seen) / (inverse + years))
    square = expect((grid + seen) * (grid + seen + 1) / (inverse + years) ** 2)
    mean = np.append(mean, expect(means + 0 * grid))
    square = np.append(square, expect(means**2 * (1 + 1 / grid)))
    variance = square - mean**2
    return pd.DataFrame({"shape": mean**2 / variance, "rate": mean / variance}, [*counts.index, "new"])


def country_credibility(counts: pd.DataFrame, exposure: pd.Series[Any]) -> dict[str, pd.DataFrame]:
    """Rates of several perils that share one factor per jurisdiction: peril -> gamma shape and rate, as `credibility`.

    counts : events, jurisdiction by peril; exposure : years at risk, same index

    The rate of a peril is m_peril theta with theta ~ gamma(a, a) of the jurisdiction, so that two cuts of power speak
    of its next tax too. Given a and the m, theta is gamma(a + N, a + T sum of m) after N events of any peril in T
    years. The likelihood falls apart: N is negative binomial in a and the sum of m, which `credibility` weighs; which
    perils they were is multinomial in the shares of m, which become Dirichlet(events of the peril + 1/2). By Jeffreys'
    prior for each m the two are independent. Their product is handed on as the gamma of its mean and variance; that
    the perils of a jurisdiction err together is left out.
    """
    every = credibility(counts.sum(axis=1), exposure, prior=counts.shape[1] / 2)
    mean, square = every["shape"] / every["rate"], every["shape"] * (every["shape"] + 1) / every["rate"] ** 2
    parts = counts.sum() + 0.5
    whole = float(parts.sum())
    found = {}
    for peril, part in parts.items():
        first = mean * part / whole
        variance = square * part * (part + 1) / (whole * (whole + 1)) - first**2
        found[str(peril)] = pd.DataFrame({"shape": first**2 / variance, "rate": first / variance})
    return found


def pooled(counts: pd.Series[Any], exposure: pd.Series[Any]) -> pd.DataFrame:
    """One rate for all: gamma(total + 1/2, exposure) in every row, and in a row "new" (Jeffreys' prior)."""
    shape, rate = float(counts.sum()) + 0.5, float(exposure.loc[counts.index].sum())
    return pd.DataFrame({"shape": shape, "rate": rate}, [*counts.index, "new"])


def year_variance(counts: ArrayLike, expected: ArrayLike) -> float:
    """Variance v of a year factor with mean 1 behind yearly counts: mean m, variance m + v m^2; 0 where none is seen.

    The moment estimate: sum of (n - m)^2 - m over sum of m^2. Counts and expected counts per year, same order.

    >>> year_variance([0, 4, 0, 4], [2, 2, 2, 2])
    0.5
    """
    seen, mean = np.asarray(counts, dtype=float), np.asarray(expected, dtype=float)
    if not mean.any():
        return 0.0
    return max(0.0, float(((seen - mean) ** 2 - mean).sum() / (mean**2).sum()))


# ---------------------------------------------------------------- what the insurer saw


def last_full_year(as_of: pd.Timestamp, newest: int) -> int:
    """The last whole year of a record by a day.

    >>> last_full_year(pd.Timestamp("2016-12-31"), 2017), last_full_year(pd.Timestamp("2016-12-30"), 2017)
    (2016, 2015)
    """
    return min(newest, (as_of + pd.Timedelta(days=1)).year - 1)


def episodes(claims: pd.DataFrame, since: int, until: int) -> pd.DataFrame:
    """Settled claims by country, year and peril: columns iso3, year, peril, claims, undated (of them).

    A claim stands in the year of its event; where that is blank, in the fiscal year of its settlement (`undated`).
    """
    year = claims["year_event"].fillna(claims["year_fiscal"]).astype(int)
    found = pd.DataFrame(
        {
            "iso3": claims["iso3c"], "year": year, "peril": claims["claim_type"].map(COVERS), "claims": 1,
            "undated": claims["year_event"].isna().astype(int),
        }
    )  # fmt: skip
    found = found[found["year"].between(since, until)]
    return found.groupby(["iso3", "year", "peril"], as_index=False).sum()


def in_force(
    contracts: pd.DataFrame, claimed: pd.DataFrame, since: int, until: int, years: int = CONTRACT_YEARS
) -> pd.Series[Any]:
    """Contracts in force, index (iso3, year) from since to until, years with none left out.

    claimed : `episodes`. A claim proves a contract, so a country and year with a claim counts one at least
    years   : how long a contract is assumed to stay in force, its first year included

    The lost years of `RECORD_GAP` count as the mean of the years on both sides, by country: a gap is not a zero.
    """
    if years < 1:
        raise Refusal(f"a contract stays in force for at least 1 year; given {years}.")
    table = contracts.pivot_table(index="iso3c", columns="year", values="insurance_contracts", aggfunc="sum")
    table = table.reindex(columns=range(int(table.columns.min()), max(until, *table.columns) + 1)).fillna(0.0)
    before, after = RECORD_GAP[0] - 1, RECORD_GAP[-1] + 1
    if {before, after} <= set(table.columns):
        for lost in RECORD_GAP:
            table[lost] = (table[before] + table[after]) / 2
    force = table.T.rolling(years, min_periods=1).sum().loc[since:until].unstack()
    force.index.names = ["iso3", "year"]
    proved = pd.Series(1.0, pd.MultiIndex.from_frame(claimed[["iso3", "year"]].drop_duplicates()))
    every = force.index.union(proved.index)
    least = proved.reindex(every, fill_value=0.0).to_numpy()
    found = pd.Series(np.maximum(force.reindex(every, fill_value=0.0).to_numpy(), least), every, name="contracts")
    return found[found > 0]


def unexplained(contracts: pd.DataFrame, claimed: pd.DataFrame, since: int, until: int, years: int) -> float:
    """Share of the claims that fall where no contract would be in force, were all to last so many years."""
    none = in_force(contracts, claimed.iloc[:0], since, until, years)
    key = pd.MultiIndex.from_frame(claimed[["iso3", "year"]])
    return float(claimed["claims"][~key.isin(none.index)].sum() / claimed["claims"].sum())


def insured(claimed: pd.DataFrame, force: pd.Series[Any], level: float = LEVEL) -> pd.DataFrame:
    """World rates by the insurer's record. Index `INSURED`.

    claims, episodes (countries and years with a claim), countries, contract_years, rate (claims per contract-year);
    low, high : the exact interval, were each claim an accident of its own
    cluster   : claims that come together, sum of n^2 over sum of n of the episodes
    wide_low, wide_high : the interval when the claims count as claims / cluster independent events. To be believed
    common    : chance that a second contract of a country is hit in a year in which a first one was,
                sum of n (n - 1) over sum of n (E - 1) with E contracts in force
    """
    exposure = float(force.sum())
    rows = []
    for peril in INSURED:
        own = claimed[claimed["peril"] == peril]
        many = own["claims"].to_numpy(dtype=float)
        insured_then = force.loc[pd.MultiIndex.from_frame(own[["iso3", "year"]])].to_numpy(dtype=float)
        cluster = float((many**2).sum() / many.sum()) if many.size else 1.0
        pairs = float((many * (insured_then - 1)).sum())
        low, high = garwood(many.sum(), exposure, level)
        wide = garwood(many.sum() / cluster, exposure / cluster, level)
        rows.append(
            {
                "claims": int(many.sum()), "episodes": many.size, "countries": own["iso3"].nunique(),
                "contract_years": exposure, "rate": many.sum() / exposure, "low": low, "high": high, "cluster": cluster,
                "wide_low": wide[0], "wide_high": wide[1],
                "common": min(1.0, float((many * (many - 1)).sum()) / pairs) if pairs > 0 else 0.0,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, pd.Index(INSURED, name="peril"))


# ---------------------------------------------------------------- what happened to mines


def measures(
    events: pd.DataFrame, as_of: pd.Timestamp | str, *, coded: bool = True, steps: bool = True
) -> pd.DataFrame:
    """What each known event bears on, and which of them are one measure.

    events : mining_regulation_events. An event counts from the first day that the precision of its date allows
    coded  : whether `CODED` departs from the coding by kind alone
    steps  : whether `STEPS` of one levy or tariff are one measure; else each new law or decision is

    The rows of `gates.happened`, oldest first, with: bears (what on), peril (blank where it is none of a running
    site's), measure (the first event of its chain), national (whether any event of the measure holds countrywide).
    Raises Refusal for a kind of event that is not coded.
    """
    found = gates.happened(events, pd.Timestamp(as_of)).copy()
    strange = sorted(set(found["kind"]) - set(KINDS))
    if strange:
        raise Refusal(f"no peril is coded for events of the kind {strange[0]!r}; the kinds are {', '.join(KINDS)}.")
    rows = zip(found["event_id"], found["kind"], found["direction"], found["end_date"] - found["date"], strict=True)
    bears = [_bears(event, kind, direction, length, coded) for event, kind, direction, length in rows]
    found["bears"], found["peril"] = zip(*bears, strict=True) if bears else ([], [])
    chains = (*CHAINS, *STEPS) if steps else CHAINS
    chain = {event: number for number, events_of in enumerate(chains) for event in events_of}
    key = found["event_id"].map(chain).astype(object).fillna(found["event_id"])
    found["measure"] = found.groupby(key)["event_id"].transform("first")
    found["national"] = found["region"].isna().groupby(key).transform("any")
    return found


def _bears(event: str, kind: str, direction: int, length: pd.Timedelta, coded: bool) -> tuple[str, str]:
    if direction >= 0:
        return OPENS, ""
    bears, peril = CODED[event] if coded and event in CODED else KINDS[kind]
    return bears, "rationing" if peril == "ban" and pd.notna(length) and length <= SHORT_BAN else peril


def once(known: pd.DataFrame) -> pd.DataFrame:
    """One row per measure that bears on running sites: its first event. known: from `measures`."""
    return known[known["peril"] != ""].drop_duplicates("measure").reset_index(drop=True)


def record_day(events: pd.DataFrame, as_of: pd.Timestamp | str) -> pd.Timestamp:
    """The day up to which the list of events is used: as_of, but not after its newest event, since years that nobody
    has coded are no calm years. Raises Refusal while the list is not a year old: nothing known is no calm either."""
    day, start = pd.Timestamp(as_of), pd.Timestamp(int(events["date"].min().year), 12, 31)
    if day < start:
        raise Refusal(f"rates of mining perils need a year of events: as_of cannot be before {start:%Y-%m-%d}.")
    return pd.Timestamp(min(day, events["date"].max()))


def years_at_risk(events: pd.DataFrame, day: pd.Timestamp | str) -> float:
    """Years from the first of January of the first year in the list of events to a day, that day included."""
    start = pd.Timestamp(int(events["date"].min().year), 1, 1)
    return float((pd.Timestamp(day) + pd.Timedelta(days=1) - start) / pd.Timedelta(days=365.25))


def counts_of(measured: pd.DataFrame, orders: Iterable[str]) -> pd.DataFrame:
    """Measures per legal order and peril: index the orders, columns `MINING`. measured: from `once`."""
    table = pd.crosstab(measured["iso3"], measured["peril"])
    return table.reindex(index=pd.Index(orders, name="iso3"), columns=pd.Index(MINING), fill_value=0)


def mining(known: pd.DataFrame, orders: Iterable[str], years: float, level: float = LEVEL) -> pd.DataFrame:
    """Rates of the perils of mining from the list of events, three ways side by side. Index `MINING`; per order-year.

    known  : from `measures`
    orders : legal orders chosen for another reason than this list (those of the candidates), iso3
    years  : at risk, the same for every order

    rows, measures (of one measure once), hit (orders with one), listed (orders in the list for any reason);
    listed_rate, listed_low, listed_high : measures over the listed orders' years; too high, quiet orders are missing
    truncated, truncated_low, truncated_high : from the orders that were hit alone, as zero-truncated Poisson;
        blank where none was
    chosen_measures, chosen, chosen_rate, chosen_low, chosen_high : in all the chosen orders, listed or not
    """
    first = once(known)
    listed = sorted(set(known["iso3"]))
    chosen = sorted(set(orders))
    by_listed, by_chosen = counts_of(first, listed), counts_of(first, chosen)
    rows = []
    for peril in MINING:
        seen = [int(many) for many in by_listed[peril] if many]
        low, high = garwood(sum(seen), len(listed) * years, level) if listed else (0.0, np.nan)
        cut = np.array(zero_truncated(seen, level)) / years if seen else np.full(3, np.nan)
        ours = int(by_chosen[peril].sum())
        chosen_low, chosen_high = garwood(ours, len(chosen) * years, level)
        rows.append(
            {
                "rows": int((known["peril"] == peril).sum()), "measures": sum(seen), "hit": len(seen),
                "listed": len(listed), "listed_rate": sum(seen) / (len(listed) * years) if listed else np.nan,
                "listed_low": low, "listed_high": high, "truncated": cut[0], "truncated_low": cut[1],
                "truncated_high": cut[2], "chosen_measures": ours, "chosen": len(chosen),
                "chosen_rate": ours / (len(chosen) * years), "chosen_low": chosen_low, "chosen_high": chosen_high,
            }
        )  # fmt: skip
    return pd.DataFrame(rows, pd.Index(MINING, name="peril"))


def by_year(measured: pd.DataFrame, as_of: pd.Timestamp | str, start: int) -> pd.DataFrame:
    """Measures per calendar year, index year from start to that of as_of: measures, years (1, or the part seen)."""
    day = pd.Timestamp(as_of)
    index = pd.RangeIndex(start, day.year + 1, name="year")
    table = measured["date"].dt.year.value_counts().reindex(index, fill_value=0)
    part = pd.Series(1.0, index)
    part.iloc[-1] = day.day_of_year / (366 if day.is_leap_year else 365)
    return pd.DataFrame({"measures": table.astype(int), "years": part})


def countries_shut(shutdowns: pd.DataFrame, world: pd.DataFrame) -> tuple[int, int, int]:
    """(year, countries with at least one internet shutdown, economies there are), after Access Now's world count.

    shutdowns : internet_shutdowns, whose row WLD says "187 in 35 countries". world: wgi_world_summary
    """
    row = shutdowns[shutdowns["iso3"] == "WLD"].iloc[0]
    said = re.search(r"in (\d+) countries", str(row["note"]))
    if not said:
        raise Refusal(f"the world's row of internet_shutdowns does not say in how many countries: {row['note']!r}.")
    year = int(row["year"])
    economies = world[(world["year"] == year) & (world["indicator"] == "WGI_PV")]["n_economies"].iloc[0]
    return year, int(said[1]), int(economies)


# ---------------------------------------------------------------- minutes without power


def outages(reliability: pd.DataFrame, candidates: pd.DataFrame, as_of: pd.Timestamp | str) -> pd.DataFrame:
    """Minutes a year without power, index site_id: mean, low, high, years (known), basis.

    reliability : grid_reliability. Only SAIDI with major events, in minutes, of reporters by IEEE's standard: the same
                  storm in hours and by all reporters is another figure. Known for three US states; low and high are
                  the quietest and the worst year
    Elsewhere the lowest and highest figure of Europe's countries stand for Europe, those of the whole table for the
    rest, and the mean is that of a value spread evenly on a log scale between them. All of it is of average customers
    of distribution networks: an upper mark for a site on the transmission grid, and no curtailment is in it.
    Raises Refusal where no year was published by the day.
    """
    day = pd.Timestamp(as_of)
    newest = day.year - (1 if day.month >= SAIDI_MONTH else 2)
    every = reliability[
        (reliability["metric"] == "SAIDI")
        & (reliability["unit"] == "minutes/customer/year")
        & reliability["event_basis"].isin(["with_major_events", "unplanned_with_exceptional_events"])
    ]
    minutes = every[every["year"] <= newest]
    if minutes.empty:
        raise Refusal(f"no minutes without power had been published by {day:%Y-%m-%d}; give a later as_of.")
    europe = minutes[minutes["iso3"] == "EUR"]["value"]
    rows = []
    for site in candidates[["iso3", "region"]].itertuples(index=False):
        own = minutes[(minutes["iso3"] == site.iso3) & (minutes["region"] == site.region)]["value"]
        if len(own):
            rows.append((own.mean(), own.min(), own.max(), len(own), "own state"))
            continue
        inside = site.iso3 in EUROPE and len(europe) > 1
        low, high = (europe.min(), europe.max()) if inside else (minutes["value"].min(), minutes["value"].max())
        middle = (high - low) / np.log(high / low) if high > low else low
        rows.append((middle, low, high, 0, "range of Europe" if inside else "range of every figure"))
    sites = pd.Index(candidates["site_id"], name="site_id")
    return pd.DataFrame(rows, sites, ["mean", "low", "high", "years", "basis"])


# ---------------------------------------------------------------- every site's rates


def estimate(
    candidates: pd.DataFrame,
    claims: pd.DataFrame,
    contracts: pd.DataFrame,
    events: pd.DataFrame,
    reliability: pd.DataFrame,
    *,
    as_of: pd.Timestamp | str,
    since: int,
    uninsured: float,
    law: HazardLaw = "own record",
    sites: Sequence[str] | None = None,
    contract_years: int = CONTRACT_YEARS,
    steps: bool = True,
) -> tuple[Rates, pd.DataFrame]:
    """Rates of every site, and what the sites share (`shared` of `simulate`).

    candidates ... reliability : the tables site_candidates, pri_claims_opic, pri_contracts_opic,
        mining_regulation_events, grid_reliability, all rows: rates are learnt from all candidates, whichever `sites`
        are asked about (default: all)
    since     : first year of the insurer's record in use
    uninsured : rate of seizure, war and inconvertibility where no contract was in force in those years, over that of
                the whole record; an assumption, 0 to 1. As uncertain as the rate of one more country of the record
    law       : "own record": a legal order's own events move its rate; "one rate for all": they do not
    contract_years, steps : see `in_force` and `measures`

    Insured perils: claims and contract-years are both divided by the cluster size of `insured`, so that a wave of
    claims weighs as one event. Mining perils: measures in the order over its years at risk, with one factor per order
    (`country_credibility`). The list of events is used up to its `record_day`.
    Shared: the common share is `insured`'s for insured perils, else (k + 1/2) / (n + 1) with k of n measures
    countrywide; the year's variance is that of episodes and of measures by year (`year_variance`), one per family, of
    measures from the first year that has one: years before that are years of a list that had not begun.
    Raises Refusal for an unknown law or site, a share outside 0 to 1, and years without any record.
    """
    if law not in LAWS:
        raise Refusal(f"there is no hazard law {law!r}; there are {LAWS[0]} and {LAWS[1]}.")
    if not 0 <= uninsured <= 1:
        raise Refusal(f"the hazard of uninsured countries is a share from 0 to 1 of the others'; given {uninsured}.")
    day = pd.Timestamp(as_of)
    places = _places(candidates, sites)
    learn = credibility if law == "own record" else pooled
    until = last_full_year(day, int(claims["year_fiscal"].max()))
    if since > until:
        raise Refusal(f"the insurer's record in use would start in {since} and end in {until}; give an earlier start.")
    claimed = episodes(claims, since, until)
    force = in_force(contracts, claimed, since, until, contract_years)
    record = insured(claimed, force)
    seen_to = record_day(events, day)
    first, years = once(measures(events, seen_to, steps=steps)), years_at_risk(events, seen_to)
    orders = sorted(set(candidates["iso3"]))
    own = counts_of(first, orders)
    exposed = pd.Series(years, own.index)
    shape, rate = (pd.DataFrame(index=places.index, columns=list(COUNTED), dtype=float) for _ in range(2))
    by_country = force.groupby("iso3").sum()
    covered = places.isin(by_country.index).to_numpy()
    for peril in INSURED:
        cluster, world_rate = (float(record[name][peril]) for name in ("cluster", "rate"))
        many = claimed[claimed["peril"] == peril].groupby("iso3")["claims"].sum()
        own_claims = many.reindex(by_country.index, fill_value=0) / cluster
        every = learn(own_claims, by_country / cluster)
        learnt, wide = every.reindex(places), float(every["shape"]["new"])
        if law != "own record":  # then one more country has the rate of all
            world_rate = wide / float(every["rate"]["new"])
        shape[peril] = np.where(covered, learnt["shape"], wide)
        elsewhere = uninsured * max(world_rate, 0.5 / float(by_country.sum()))
        rate[peril] = np.where(covered, learnt["rate"], wide / elsewhere if elsewhere else np.inf)
    gammas = (
        country_credibility(own, exposed)
        if law == "own record"
        else {peril: pooled(own[peril], exposed) for peril in MINING}
    )
    for peril in MINING:
        shape[peril], rate[peril] = (gammas[peril][name].loc[places].to_numpy() for name in ("shape", "rate"))
    seen = claimed.groupby("year").size().reindex(range(since, until + 1), fill_value=0)
    expected = force.groupby("year").sum().reindex(seen.index, fill_value=0.0)
    yearly = by_year(first, seen_to, int((first if len(first) else events)["date"].min().year))
    spread = {
        "insured": year_variance(seen, expected * seen.sum() / expected.sum()),
        "mining": year_variance(yearly["measures"], yearly["years"] * len(first) / yearly["years"].sum()),
    }
    family = {peril: "insured" if peril in INSURED else "mining" for peril in COUNTED}
    national = first.groupby("peril")["national"].agg(["sum", "size"]).reindex(MINING, fill_value=0)
    common = pd.concat([record["common"], (national["sum"] + 0.5) / (national["size"] + 1)])
    shared = pd.DataFrame({"common": common, "family": family}).rename_axis("peril")
    shared.insert(1, "year", shared["family"].map(spread))
    return Rates(shape, rate, outages(reliability, candidates, day).loc[places.index]), shared


def _places(candidates: pd.DataFrame, sites: Sequence[str] | None) -> pd.Series[str]:
    """The legal order of each site asked about, index site_id."""
    every = candidates.set_index("site_id")["iso3"]
    asked = list(every.index if sites is None else sites)
    for name in asked:
        if name not in every.index:
            near = difflib.get_close_matches(str(name), list(every.index), 1, 0)[0]
            raise Refusal(f"there is no site {name!r}; did you mean {near}?")
    if not asked:
        raise Refusal("there is no site to look at: name one at least, such as TX_ERCOT.")
    return every.loc[asked]
