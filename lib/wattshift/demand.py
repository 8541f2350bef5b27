"""Electricity of data centres: quantities that carry their kind, and forecasts side by side on one footing.

A terawatt-hour of all data centres, a gigawatt of their computers, a gigawatt of peak and a gigawatt that is missing
are different things. `Quantity` carries what it is, `convert` leads from one kind to another only through a load factor
and a PUE, each a range, and gives a range. `harmonize` does so for every published projection of a region and a year,
and lists what it would not compare, with the reason. Families of models (IEA, LBNL, EPRI, ...) stand side by side; they
are never spliced or averaged, and what counts crypto never stands beside what does not.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from wattshift.refusal import Refusal

Row = dict[str, Any]

TWH_PER_GW_YEAR = 8.76  # one gigawatt all year, 8,760 hours
OWN_BASE_DAYS = 190  # an edition's base year is read from the same publisher, published at most so far from it


class Kind(StrEnum):
    """What a number of TWh a year or GW measures."""

    ENERGY = "energy"
    IT_ENERGY = "energy of IT"
    IT_LOAD = "IT load"
    FACILITY_LOAD = "facility load"
    IT_CAPACITY = "installed IT capacity"
    CAPACITY = "installed capacity"
    SOME_CAPACITY = "installed capacity, of IT or of the site not said"
    PEAK = "peak load"
    SHORTAGE = "shortage"

    @property
    def unit(self) -> str:
        """TWh a year for the two energies, GW for all else."""
        return "TWh a year" if self in (Kind.ENERGY, Kind.IT_ENERGY) else "GW"


class Boundary(StrEnum):
    """What is counted. Numbers with different boundaries are never added, averaged or ranked together."""

    WITHOUT_CRYPTO = "without crypto"
    WITH_CRYPTO = "with crypto"
    AI_SERVERS = "AI servers"
    AI_SITES = "AI sites"
    PART = "part"


BOUNDARIES: dict[str, Boundary] = {  # the words of the tables -> what is counted
    "AI data centre facility power": Boundary.AI_SITES,
    "AI power demand": Boundary.AI_SITES,
    "AI servers": Boundary.AI_SERVERS,
    "AI-focused data centres only": Boundary.AI_SITES,
    "AI-optimised servers": Boundary.AI_SERVERS,
    "AI-optimised servers only": Boundary.AI_SERVERS,
    "all data centres": Boundary.WITHOUT_CRYPTO,
    "all data centres excl. crypto": Boundary.WITHOUT_CRYPTO,
    "boundaries differ (low Masanet, high Hintemann incl. crypto)": Boundary.PART,
    "data centre capacity demand": Boundary.WITHOUT_CRYPTO,
    "data centre demand": Boundary.WITHOUT_CRYPTO,
    "data centres": Boundary.WITHOUT_CRYPTO,
    "data centres (IEA Electricity 2024 boundary)": Boundary.WITH_CRYPTO,
    "data centres (may include crypto)": Boundary.WITH_CRYPTO,
    "data centres + crypto + AI": Boundary.WITH_CRYPTO,
    "data centres + cryptocurrency + AI": Boundary.WITH_CRYPTO,
    "data centres excl. crypto": Boundary.WITHOUT_CRYPTO,
    "data centres excl. crypto and data transmission": Boundary.WITHOUT_CRYPTO,
    "data centres identified in ESB meter data": Boundary.WITHOUT_CRYPTO,
    "data centres incl. AI excl. crypto": Boundary.WITHOUT_CRYPTO,
    "data centres incl. some crypto": Boundary.WITH_CRYPTO,
    "data centres incl. some crypto; GW = peak load": Boundary.WITH_CRYPTO,
    "hyperscale, leased and crypto only": Boundary.PART,
    "hyperscale, leased and crypto only; excludes enterprise": Boundary.PART,
    "servers and data centres": Boundary.WITHOUT_CRYPTO,
    "servers only": Boundary.PART,
}
EDITIONS_WITH_CRYPTO = ("IEA Electricity 2024", "EPRI Powering Intelligence 2024")  # whatever the words of a row

POWER_KINDS: dict[tuple[str, str], Kind] = {  # (source, words of the boundary) -> what its GW are; else: not said
    ("EPRI Powering Intelligence 2026", "data centres incl. some crypto; GW = peak load"): Kind.PEAK,
    ("IEA Energy and AI", "all data centres"): Kind.CAPACITY,
    ("McKinsey", "data centre capacity demand"): Kind.SOME_CAPACITY,
    ("RAND", "AI data centre facility power"): Kind.CAPACITY,
    ("SemiAnalysis", "AI data centre facility power"): Kind.CAPACITY,
}

FAMILIES = (
    "IEA", "LBNL", "EPRI", "Goldman Sachs", "McKinsey", "Deloitte", "Gartner", "BloombergNEF", "S&P Global",
    "RAND", "SemiAnalysis", "EIA",
)  # fmt: skip


def family(source: str) -> str:
    """The family of models that a source belongs to; a publisher of its own is its own family.

    >>> family("IEA Key Questions"), family("LBNL 2025 update"), family("Koomey / NRDC")
    ('IEA', 'LBNL', 'Koomey / NRDC')
    """
    return next((name for name in FAMILIES if source == name or source.startswith(name + " ")), source)


def boundary(source: str, scope: str) -> Boundary:
    """What a row counts, from its words and its edition. Raises Refusal for words that nobody has judged yet.

    >>> boundary("IEA Electricity 2024", "data centres") == boundary("McKinsey", "data centres")
    False
    """
    if source in EDITIONS_WITH_CRYPTO:
        return Boundary.WITH_CRYPTO
    if scope not in BOUNDARIES:
        raise Refusal(
            f"what {scope!r} counts has not been judged yet; add it to demand.BOUNDARIES.{_near(scope, BOUNDARIES)}"
        )
    return BOUNDARIES[scope]


# ---------------------------------------------------------------- quantities


@dataclass(frozen=True, slots=True)
class Range:
    """A closed range of positive numbers, such as a PUE from 1.2 to 1.5. names: what a reader calls its two ends."""

    low: float
    high: float
    names: tuple[str, str] = field(default=("the low end", "the high end"), compare=False)

    def __post_init__(self) -> None:
        if 0 < self.high < self.low:
            low, high = self.names
            raise Refusal(
                f"{low} is {self.low:g} and {high} only {self.high:g}; give the lower one first, for example "
                f"{self.high:g} and {self.low:g}."
            )
        if not (math.isfinite(self.low) and math.isfinite(self.high) and 0 < self.low <= self.high):
            raise Refusal(
                f"a range from {self.low:g} to {self.high:g} is none; give two positive numbers, the lower one first."
            )

    def __pow__(self, power: int) -> Range:
        """The range of x^power over the range."""
        ends = sorted((self.low**power, self.high**power))
        return Range(ends[0], ends[1])


@dataclass(frozen=True, slots=True)
class Inputs:
    """What leads from power to energy and from IT to the whole site, each as a range.

    load_factor      : mean load of the year as a share of the installed capacity, above 0, at most 1
    pue              : energy of the whole site per energy of its IT, at least 1
    peak_load_factor : mean load as a share of the year's peak; None: peaks are not converted. It is not the load factor
                       of installed capacity: at a site that is half used the peak is not twice the mean

    Raises Refusal for a load factor of 0 or above 1 and for a PUE below 1.
    """

    load_factor: Range
    pue: Range
    peak_load_factor: Range | None = None

    def __post_init__(self) -> None:
        for name, found in (("load factor", self.load_factor), ("load factor of peaks", self.peak_load_factor)):
            if found is not None and found.high > 1:
                raise Refusal(f"a {name} of {found.high:g} is more than all the time; give a share above 0, at most 1.")
        if self.pue.low < 1:
            raise Refusal(f"a PUE of {self.pue.low:g} is less than the IT it holds; give 1 or more, for example 1.4.")


_HUB: dict[Kind, tuple[int, int, int, int]] = {  # powers of (TWh per GW-year, load factor, PUE, peak load factor)
    Kind.ENERGY: (-1, 0, 0, 0),  # that lead to the mean load of the whole site, in GW
    Kind.IT_ENERGY: (-1, 0, 1, 0),
    Kind.IT_LOAD: (0, 0, 1, 0),
    Kind.FACILITY_LOAD: (0, 0, 0, 0),
    Kind.IT_CAPACITY: (0, 1, 1, 0),
    Kind.CAPACITY: (0, 1, 0, 0),
    Kind.PEAK: (0, 0, 0, 1),
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """An amount that knows what it measures: a kind, what is counted, and a range (low = high for one number)."""

    kind: Kind
    low: float
    high: float
    counts: Boundary = Boundary.WITHOUT_CRYPTO

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and 0 <= self.low <= self.high):
            raise Refusal(f"{self.low:g} to {self.high:g} is no amount of {self.kind}; give the lower number first.")

    def __add__(self, other: Quantity) -> Quantity:
        """Sum of two amounts of one kind and one boundary; a Refusal that names both where they differ."""
        if self.kind != other.kind:
            raise Refusal(f"{self.kind} and {other.kind} are unlike and cannot be added; convert one of them first.")
        if self.counts != other.counts:
            raise Refusal(
                f"what counts {self.counts!s} and what counts {other.counts!s} cannot be added: part would be counted "
                "twice, or not at all."
            )
        return Quantity(self.kind, self.low + other.low, self.high + other.high, self.counts)

    def __str__(self) -> str:
        """As a reader sees it: "416 TWh a year of energy", "44 to 57 GW of facility load"."""
        ends = [f"{end:,.4g}" for end in dict.fromkeys((self.low, self.high))]
        return f"{' to '.join(ends)} {self.kind.unit} of {self.kind}"


def convert(quantity: Quantity, to: Kind, inputs: Inputs) -> Quantity:
    """The same thing as another kind: a range, as the inputs are ranges, even where the amount is one number.

    Energy over a year is mean load times 8.76 thousand hours; the site's load is PUE times that of its IT; mean load is
    the load factor times what is installed. Where it is not said whether a capacity is of IT or of the site, the result
    holds both. The ends are those of interval arithmetic: every input at its worst, no probability.

    Raises Refusal for a shortage (it is a difference between plans, no load), and for peaks without a load factor of
    their own.

    >>> some = Inputs(load_factor=Range(0.5, 0.5), pue=Range(1.25, 1.25))
    >>> print(convert(Quantity(Kind.IT_CAPACITY, 80, 80), Kind.ENERGY, some))
    438 TWh a year of energy
    """
    if quantity.kind == to:
        return quantity
    for kind in (quantity.kind, to):
        if kind == Kind.SHORTAGE:
            raise Refusal(f"a {kind} is a difference between plans: it converts to nothing, and nothing to it.")
    if to == Kind.SOME_CAPACITY:
        raise Refusal(f"convert to {Kind.CAPACITY} or to {Kind.IT_CAPACITY}: one of the two has to be meant.")
    if quantity.kind == Kind.SOME_CAPACITY:
        readings = [
            convert(Quantity(kind, quantity.low, quantity.high, quantity.counts), to, inputs)
            for kind in (Kind.CAPACITY, Kind.IT_CAPACITY)
        ]
        low, high = min(one.low for one in readings), max(one.high for one in readings)
        return Quantity(to, low, high, quantity.counts)
    powers = [there - here for there, here in zip(_HUB[quantity.kind], _HUB[to], strict=True)]
    if powers[3] and inputs.peak_load_factor is None:
        raise Refusal(
            f"{quantity.kind} to {to} needs a load factor of peaks, and none is given; that of installed capacity is "
            "another quantity."
        )
    peaks = inputs.peak_load_factor or Range(1, 1)
    hours = Range(TWH_PER_GW_YEAR, TWH_PER_GW_YEAR)
    low, high = quantity.low, quantity.high
    for factor, power in zip((hours, inputs.load_factor, inputs.pue, peaks), powers, strict=True):
        low, high = low * (factor**power).low, high * (factor**power).high
    return Quantity(to, low, high, quantity.counts)


def implied_load_factor(twh: float, gw: float) -> float:
    """Mean load over a stated power: what a source's own TWh and GW say about the kind of its GW.

    >>> round(implied_load_factor(416, 97), 2)
    0.49
    """
    return twh / (gw * TWH_PER_GW_YEAR)


def amount(size: float) -> str:
    """A number of TWh or GW as a sentence needs it: whole from ten on, with decimals below.

    >>> amount(1405.6), amount(2.9), amount(0.71)
    ('1,406', '2.9', '0.71')
    """
    return f"{size:,.0f}" if size >= 10 else f"{size:,.1f}" if size >= 1 else f"{size:,.2f}"


# ---------------------------------------------------------------- the tables


def published_by(frame: pd.DataFrame, day: str) -> pd.DataFrame:
    """Rows published by a day. A date known only to its month or year counts as the first day of it, so it may slip in
    a little early."""
    return frame[frame["published"] <= pd.Timestamp(day)].reset_index(drop=True)


def levels(history: pd.DataFrame) -> pd.DataFrame:
    """Yearly values of `dc_demand_history`: year as a number, with family, counts (the boundary) and metered.

    Quarters are left out. A row that has only a range keeps twh blank and its ends.
    """
    found = history[history["period_kind"] == "year"].reset_index(drop=True)
    found["year"] = found["year"].astype(int)
    found["family"] = [family(publisher) for publisher in found["publisher"]]
    found["counts"] = [str(boundary(p, s)) for p, s in zip(found["publisher"], found["scope"], strict=True)]
    found["metered"] = found["basis"].str.startswith("metered")
    return found


def newest_levels(history: pd.DataFrame, region: str, counts: Boundary | str) -> pd.DataFrame:
    """The newest year that each family gives for a region, from its newest publication of that year.

    A row: one family. Columns of `levels`. Sorted by year, newest first. Raises Refusal for a region without any level.
    """
    every = levels(history)
    here = _in_region(every, region)
    here = here[(here["counts"] == str(counts)) & here[["twh", "low", "high"]].notna().any(axis=1)]
    if here.empty:
        raise Refusal(
            f"no publisher gives a yearly level of {region} that counts {counts}; the counts known there are "
            f"{_listed(sorted(set(every[every['region'] == region]['counts'])))}."
        )
    newest = here.sort_values(["year", "published"]).groupby("family", as_index=False).tail(1)
    return newest.sort_values(["year", "published", "family"], ascending=[False, False, True]).reset_index(drop=True)


def starting_level(newest: pd.DataFrame) -> tuple[str, int, float]:
    """(family, year, TWh) that a forecast of ours starts from: one family's own level, never an average of several.

    newest: from `newest_levels`. Of the families whose level is at most a year older than the newest, the first in the
    order of FAMILIES is taken, so the choice does not depend on the numbers. A range counts as its geometric middle.
    """
    fresh = newest[newest["year"] >= newest["year"].max() - 1]
    order = [FAMILIES.index(name) if name in FAMILIES else len(FAMILIES) for name in fresh["family"]]
    first = fresh.iloc[int(np.argmin(order))]
    twh = first["twh"] if not math.isnan(first["twh"]) else math.sqrt(first["low"] * first["high"])
    return str(first["family"]), int(first["year"]), float(twh)


def disagreement(history: pd.DataFrame, region: str, counts: Boundary | str) -> pd.DataFrame:
    """Years of a region for which two families or more give a level: how far apart their newest words on it are.

    A row: year, low, high (TWh), apart (high over low, less one), lowest, highest (families). Of each family its newest
    publication counts; ranges without a middle are left out.
    """
    known = levels(history)
    known = known[(known["region"] == region) & (known["counts"] == str(counts)) & known["twh"].notna()]
    known = known.sort_values("published").groupby(["year", "family"], as_index=False).tail(1)
    rows = []
    for year, part in known.groupby("year"):
        if len(part) > 1:
            low, high = part.sort_values("twh").iloc[0], part.sort_values("twh").iloc[-1]
            apart = high["twh"] / low["twh"] - 1
            rows.append((year, low["twh"], high["twh"], apart, low["family"], high["family"]))
    return pd.DataFrame(rows, columns=["year", "low", "high", "apart", "lowest", "highest"])


def own_base(history: pd.DataFrame, path: pd.DataFrame) -> tuple[int, float] | None:
    """(year, TWh) that one projection starts from, out of its own pages; None where the tables do not hold it.

    path: its rows of dc_demand_scenarios (one source, date, scenario, region and boundary). The base is the newest
    level of the same family, region and boundary that was published within OWN_BASE_DAYS of it, else the last year of
    the path itself before the year of its publication. Levels of another family, or of a later edition, are not its
    base. A range counts as its geometric middle.
    """
    first = path.iloc[0]
    source, published, region = first["source"], first["published"], first["region"]
    counts = boundary(source, first["scope"])
    known = levels(history)
    near = (known["published"] - published).abs() <= pd.Timedelta(days=OWN_BASE_DAYS)
    known = known[near & (known["family"] == family(source)) & (known["region"] == region)]
    known = known[(known["counts"] == str(counts)) & (known["year"] <= published.year)]
    middles = known["twh"].fillna(np.sqrt(known["low"] * known["high"]))
    if len(known):
        newest = known.assign(middle=middles).sort_values(["year", "published"]).iloc[-1]
        return int(newest["year"]), float(newest["middle"])
    past = path[(path["year"] < published.year) & path["twh"].notna()].sort_values("year")
    return (int(past["year"].iloc[-1]), float(past["twh"].iloc[-1])) if len(past) else None


@dataclass(frozen=True)
class Comparison:
    """Every projection of one region and year: what can be compared, and what cannot, with the reason.

    comparable : a row per projection. family, source, published, scenario, year; twh_low, twh, twh_high (equal where
                 the source prints one number; twh is blank where a range of inputs leaves no middle); how; base_year,
                 base_twh (the source's own), times (twh over its base), growth (per year, from its own base); newest
                 (whether no later edition of its family is among the rows); source_ref
    refused    : source, published, scenario, printed, reason
    """

    comparable: pd.DataFrame
    refused: pd.DataFrame


COMPARABLE = (
    "family", "source", "published", "scenario", "year", "twh_low", "twh", "twh_high", "how", "base_year", "base_twh",
    "times", "growth", "newest", "source_ref",
)  # fmt: skip
REFUSED = ("source", "published", "scenario", "printed", "reason")
PRINTED, BY_GROWTH, BY_POWER, BETWEEN = "printed", "from its growth rate", "from its power", "between its years"


def harmonize(
    scenarios: pd.DataFrame,
    history: pd.DataFrame,
    rates: pd.DataFrame,
    *,
    region: str,
    year: int,
    counts: Boundary | str,
    families: Sequence[str] = FAMILIES,
    inputs: Inputs,
) -> Comparison:
    """Put the projections of a region for a year on one footing: TWh a year of one boundary, each beside its own base.

    scenarios, history, rates : the tables dc_demand_scenarios, dc_demand_history, dc_published_rates
    counts                    : the boundary; rows of another are listed as refused
    families                  : which publishers take part; the others are listed as refused
    inputs                    : for sources that give only power of a known kind

    A printed level stays as it is. A share or a power is converted only where its own source prints a growth rate with
    its base, or says what its GW are. A source that prints years before and after, but not this one, is read between
    them at constant growth, and marked so. Every row of the region and year lands in exactly one of the two frames.

    Raises Refusal for an unknown region or family, no family at all, a year before every base, and where nothing is
    left to compare.
    """
    if not len(families):
        raise Refusal("no family of forecasts is chosen; give at least one, for example IEA.")
    for name in families:
        if name not in FAMILIES:
            raise Refusal(f"there is no family {name!r}.{_near(name, FAMILIES)}")
    here = _in_region(scenarios, region)
    counts = Boundary(counts)
    lines: list[Row] = []
    refused: list[Row] = []
    for _, path in here.groupby(["source", "published", "scenario", "scope"], sort=False):
        first = path.iloc[0]
        counted = boundary(first["source"], first["scope"])
        base = own_base(history, path)
        aimed = path[path["year"] == year]
        if family(first["source"]) not in families:
            found: Level | str | None = "its family is left out of this run"
        elif counted != counts:
            found = _COUNTS[counted]
        else:
            found = _energy(aimed.iloc[0], rates, base, inputs) if len(aimed) else _between(path, base, year)
        if isinstance(found, Level):
            lines.append(_line(first, year, found, base))
        elif found and len(aimed):
            about = {name: first[name] for name in ("source", "published", "scenario")}
            refused.append({**about, "printed": _printed(aimed.iloc[0]), "reason": found})
    if not lines:
        raise Refusal(_nothing(here, region, year, counts, families))
    bases = [line["base_year"] for line in lines if line["base_year"] is not None]
    if bases and year <= min(bases):
        raise Refusal(f"{year} is no forecast: the sources start in {min(bases)} or later; give a later year.")
    comparable = pd.DataFrame(lines, columns=list(COMPARABLE))
    order = comparable["family"].map(FAMILIES.index)
    newest = comparable["published"] == comparable.groupby("family")["published"].transform("max")
    comparable = comparable.assign(
        order=order, newest=newest, base_year=comparable["base_year"].astype("Int64")
    ).sort_values(["order", "published", "twh_low", "scenario"])
    left = pd.DataFrame(refused, columns=list(REFUSED)).astype({"published": comparable["published"].dtype})
    left = left.sort_values(["source", "published", "scenario"])
    return Comparison(
        comparable.drop(columns="order").reset_index(drop=True),
        left.reset_index(drop=True),
    )


def silent_on_crypto(rows: pd.DataFrame, *tables: pd.DataFrame) -> pd.Series[bool]:
    """Which rows come from an edition of which no row says "excl. crypto". Index of rows.

    rows: columns family, published. tables: dc_demand_history, dc_demand_scenarios. An edition is a family and a year
    of publication. Where it is silent, `BOUNDARIES` reads it as without crypto: our reading, not its word.
    """
    stated = set()
    for table in tables:
        said = table[table["scope"].str.contains("excl. crypto", regex=False)]
        sources = said["publisher" if "publisher" in said else "source"]
        stated |= {(family(name), day.year) for name, day in zip(sources, said["published"], strict=True)}
    found = [(name, day.year) not in stated for name, day in zip(rows["family"], rows["published"], strict=True)]
    return pd.Series(found, index=rows.index, dtype=bool)


class Level(NamedTuple):
    """TWh of one projection, and where they come from; middle is nan where only the ends are known."""

    low: float
    middle: float
    high: float
    how: str


def _line(first: Row | pd.Series[Any], year: int, twh: Level, base: tuple[int, float] | None) -> Row:
    """One row of `Comparison.comparable`."""
    start, level = base or (None, math.nan)
    times = twh.middle / level
    growth = times ** (1 / (year - start)) - 1 if start is not None and year > start else math.nan
    return {
        "family": family(first["source"]),
        **{name: first[name] for name in ("source", "published", "scenario", "source_ref")},
        "year": year,
        "twh_low": twh.low,
        "twh": twh.middle,
        "twh_high": twh.high,
        "how": twh.how,
        "base_year": start,
        "base_twh": level,
        "times": times,
        "growth": growth,
    }


def _energy(row: pd.Series[Any], rates: pd.DataFrame, base: tuple[int, float] | None, inputs: Inputs) -> Level | str:
    """The TWh of one row of dc_demand_scenarios, or why there are none."""
    if not math.isnan(row["twh"]):
        return Level(row["twh"], row["twh"], row["twh"], PRINTED)
    if not math.isnan(row["gw"]):
        kind = POWER_KINDS.get((row["source"], row["scope"]))
        if kind is None:
            return "gives GW and does not say of what: mean load, peak or capacity"
        try:
            found = convert(Quantity(kind, row["gw"], row["gw"]), Kind.ENERGY, inputs)
        except Refusal as no:
            return str(no).rstrip(".")
        return Level(found.low, math.nan, found.high, BY_POWER)
    level = by_growth(row, rates, base)
    if level is None:
        return "prints a share of an electricity total that it does not print"
    return Level(level, level, level, BY_GROWTH)


def by_growth(row: pd.Series[Any], rates: pd.DataFrame, base: tuple[int, float] | None) -> float | None:
    """TWh of one row from its source's own base and printed growth rate; None where the source prints no such pair."""
    grows = rates[
        (rates["source"] == row["source"])
        & (rates["scenario"] == row["scenario"])
        & (rates["region"] == row["region"])
        & (rates["kind"] == "growth per year")
        & (rates["to_year"] == row["year"])
    ]
    if grows.empty or base is None or grows["from_year"].iloc[0] != base[0]:
        return None
    return float(base[1] * (1 + grows["value"].iloc[0] / 100) ** (row["year"] - base[0]))


def _between(path: pd.DataFrame, base: tuple[int, float] | None, year: int) -> Level | None:
    """A path that prints energy before and after a year but not for it, read at constant growth; else None."""
    printed = path[path["twh"].notna()]
    points = dict(zip(printed["year"].astype(int), printed["twh"].astype(float), strict=True))
    if base is not None:
        points.setdefault(*base)
    before, after = [y for y in points if y < year], [y for y in points if y > year]
    if not before or not after:
        return None
    start, end = max(before), min(after)
    level = points[start] * (points[end] / points[start]) ** ((year - start) / (end - start))
    return Level(level, level, level, BETWEEN)


_COUNTS = {
    Boundary.WITHOUT_CRYPTO: "counts all data centres, and no crypto",
    Boundary.WITH_CRYPTO: "counts crypto too, or may",
    Boundary.AI_SERVERS: "counts AI servers only",
    Boundary.AI_SITES: "counts data centres for AI only",
    Boundary.PART: "counts a part of the data centres only",
}


def _printed(row: pd.Series[Any]) -> str:
    """What a source prints for the year, as words."""
    units = {"twh": "TWh", "gw": "GW", "share_pct_published": "% of generation"}
    return ", ".join(f"{row[name]:,g} {unit}" for name, unit in units.items() if not math.isnan(row[name]))


def _nothing(here: pd.DataFrame, region: str, year: int, counts: Boundary, families: Sequence[str]) -> str:
    """The sentence where nothing can be compared: what there would be instead."""
    rows = here.assign(counts=[str(boundary(*pair)) for pair in zip(here["source"], here["scope"], strict=True)])
    rows = rows[[family(source) in families for source in rows["source"]]]
    years = sorted(set(rows[(rows["counts"] == str(counts)) & rows["twh"].notna()]["year"]))
    others = sorted(set(rows[(rows["counts"] != str(counts)) & (rows["year"] == year)]["counts"]))
    hints = [f"for {_listed([str(one) for one in years])}"] if years else []
    hints += [f"for {year} that count: {_listed(others)}"] if others else []
    hint = f"; there are rows {', and '.join(hints)}" if hints else ", nor for any other year"
    return f"the chosen families have no forecast for {region} in {year} ({counts!s}){hint}."


def _in_region(frame: pd.DataFrame, region: str) -> pd.DataFrame:
    known = sorted(set(frame["region"]))
    if region not in known:
        raise Refusal(
            f"there are no rows for the region {region!r}; the regions are {_listed(known)}.{_near(region, known)}"
        )
    return frame[frame["region"] == region].reset_index(drop=True)


def _near(given: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(given), list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _listed(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part) or "none"
