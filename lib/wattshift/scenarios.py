"""Scenario paths between the years that a source prints, what each new edition changed, and shares of a grid's demand.

A path belongs to one edition, one scenario and one region: it starts from that edition's own base and grows at a
constant rate between printed years. Editions are held side by side, never joined. A share names its denominator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from wattshift import demand
from wattshift.refusal import Refusal

CENTRAL = ("Base", "Reference", "Medium", "Moderate", "Midrange")  # what sources call the scenario in the middle


def anchors(
    scenarios: pd.DataFrame, history: pd.DataFrame, source: str, scenario: str, region: str
) -> pd.Series[float]:
    """TWh of the years that one scenario prints, from its own base on; index year. Raises Refusal if there are none.

    Of a source with several editions (Goldman Sachs) the newest is taken.
    """
    rows = scenarios[
        (scenarios["source"] == source) & (scenarios["scenario"] == scenario) & (scenarios["region"] == region)
    ]
    rows = rows[rows["twh"].notna() & (rows["published"] == rows["published"].max())]
    if rows.empty:
        raise Refusal(f"{source} prints no energy for {region} in a scenario named {scenario!r}.")
    points = dict(zip(rows["year"].astype(int), rows["twh"].astype(float), strict=True))
    base = demand.own_base(history, rows)
    if base is not None:
        points.setdefault(*base)
    return pd.Series(points, name="twh", dtype=float).sort_index().rename_axis("year")


def path(points: Mapping[int, float] | pd.Series[float]) -> pd.Series[float]:
    """Every year from the first to the last anchor, at constant growth between anchors. Index year.

    Raises Refusal for fewer than two anchors or one that is not positive.

    >>> path({2020: 100.0, 2022: 121.0}).round(1).tolist()
    [100.0, 110.0, 121.0]
    """
    known = pd.Series(points, dtype=float).sort_index()
    if len(known) < 2 or not (known > 0).all():
        raise Refusal(f"a path needs two positive levels; given {len(known)}, the lowest {known.min():g}.")
    years = np.arange(known.index[0], known.index[-1] + 1)
    return pd.Series(
        np.exp(np.interp(years, known.index, np.log(known))), index=pd.Index(years, name="year"), name="twh"
    )


def rate(start: float, end: float, years: float) -> float:
    """Constant growth per year from one level to another, as a share.

    >>> round(rate(176, 580, 5), 3)
    0.269
    """
    if not (start > 0 and end > 0 and years > 0):
        raise Refusal(
            f"growth needs two positive levels and time between them; given {start:g}, {end:g}, {years:g} years."
        )
    return float((end / start) ** (1 / years) - 1)


def growth_table(points: Mapping[str, pd.Series[float]]) -> pd.DataFrame:
    """Growth between neighbouring anchors of several paths. A row: one stretch of one path.

    Columns: name, start, end (years), twh_start, twh_end, growth (per year, share), added (TWh a year, each year).
    """
    rows = [
        (name, int(a), int(b), known[a], known[b], rate(known[a], known[b], b - a), (known[b] - known[a]) / (b - a))
        for name, known in points.items()
        for a, b in zip(known.index[:-1], known.index[1:], strict=True)
    ]
    return pd.DataFrame(rows, columns=["name", "start", "end", "twh_start", "twh_end", "growth", "added"])


# ---------------------------------------------------------------- editions


def editions(scenarios: pd.DataFrame, region: str | None = None) -> pd.DataFrame:
    """What each edition says about each region and year: lowest, central and highest scenario in one unit.

    A row: family, source, published, region, year, counts (boundary), unit (TWh or GW, whichever of the two the edition
    prints; TWh first), low, central, high, scenarios (how many). central is the scenario that its source treats as the
    middle one, blank where none is named so; with one scenario only, that one.
    """
    rows = scenarios if region is None else scenarios[scenarios["region"] == region]
    rows = rows[rows["twh"].notna() | rows["gw"].notna()].copy()
    rows["counts"] = [str(demand.boundary(*pair)) for pair in zip(rows["source"], rows["scope"], strict=True)]
    rows["unit"] = np.where(rows["twh"].notna(), "TWh", "GW")
    rows["value"] = rows["twh"].fillna(rows["gw"])
    rows["family"] = [demand.family(source) for source in rows["source"]]
    found = []
    keys = ["family", "source", "published", "region", "year", "counts", "unit"]
    for key, part in rows.groupby(keys, sort=True):
        middle = part[part["scenario"].isin(CENTRAL)]["value"]
        central = middle.iloc[0] if len(middle) else (part["value"].iloc[0] if len(part) == 1 else math.nan)
        found.append((*key, part["value"].min(), central, part["value"].max(), len(part)))
    return pd.DataFrame(found, columns=[*keys, "low", "central", "high", "scenarios"])


def revisions(scenarios: pd.DataFrame, region: str | None = None) -> pd.DataFrame:
    """What each new edition of a family did to the one before, wherever both speak of one region, year and boundary.

    A row: family, region, year, unit, counts, old, new (dates of publication), low_old, central_old, high_old, low_new,
    central_new, high_new, change (of the central scenario, as a share; blank where one of the two names none) and
    width_change (of high over low, as a share; blank where an edition has one scenario). Editions that count crypto
    never meet those that do not, nor TWh GW.
    """
    every = editions(scenarios, region)
    found = []
    keys = ["family", "region", "year", "unit", "counts"]
    for key, part in every.groupby(keys, sort=True):
        part = part.sort_values("published")
        for (_, old), (_, new) in zip(part.iloc[:-1].iterrows(), part.iloc[1:].iterrows(), strict=True):
            widths = [one["high"] / one["low"] if one["scenarios"] > 1 else math.nan for one in (old, new)]
            found.append(
                (*key, old["published"], new["published"], old["low"], old["central"], old["high"], new["low"],
                 new["central"], new["high"], new["central"] / old["central"] - 1, widths[1] / widths[0] - 1)
            )  # fmt: skip
    columns = [*keys, "old", "new", "low_old", "central_old", "high_old", "low_new", "central_new", "high_new"]
    table = pd.DataFrame(found, columns=[*columns, "change", "width_change"])
    dates = scenarios["published"].dtype
    return table.astype({"old": dates, "new": dates, "change": float, "width_change": float})


# ---------------------------------------------------------------- shares


@dataclass(frozen=True, slots=True)
class Denominator:
    """Electricity that a share is taken of: its name, the year it was measured, and how fast the rest of it may grow.

    twh : all demand of that year, data centres included
    slow, fast : growth per year of the demand outside data centres, as shares
    """

    name: str
    year: int
    twh: float
    slow: float
    fast: float

    def ahead(self, year: int, now: float, then: float) -> tuple[float, float]:
        """(low, high) of all demand in a later year: the rest grows slowly or fast, data centres go from now to then.

        now: TWh of data centres in the year of the denominator, by the same family as `then`. Raises Refusal for an
        earlier year, and for data centres that would have used more than everything.
        """
        if year < self.year or not 0 <= now < self.twh:
            raise Refusal(
                f"a share of {self.name} in {year} with {now:g} TWh of data centres in {self.year} cannot be formed: "
                f"give a year from {self.year} on and less than {self.twh:,.0f} TWh."
            )
        rest = [(self.twh - now) * (1 + growth) ** (year - self.year) for growth in (self.slow, self.fast)]
        return rest[0] + then, rest[1] + then


def denominator(nations: pd.DataFrame, nation: str, column: str = "demand_twh", window: int = 10) -> Denominator:
    """All electricity of a nation (or the world) in its newest year, and its slowest and fastest growth over ten years.

    nations: the table country_energy_annual. column: demand_twh (Ember) or generation_twh. slow and fast are the lowest
    and highest growth per year over any `window` years of the table; they are what has been, no forecast.
    """
    known = nations[(nations["country"] == nation) & nations[column].notna()].set_index("year")[column].sort_index()
    if len(known) <= window:
        raise Refusal(f"{nation!r} has {len(known)} years of {column}; {window + 1} are needed for its growth.")
    pace = (known / known.shift(window)) ** (1 / window) - 1
    what, who = {
        "demand_twh": ("electricity demand", "Ember"),
        "generation_twh": ("electricity generation", "Our World in Data"),
    }[column]
    place = {"World": "the world", "United States": "the United States"}.get(nation, nation)
    return Denominator(
        f"{what} of {place} ({who})", int(known.index[-1]), float(known.iloc[-1]),
        float(pace.min()), float(pace.max()),
    )  # fmt: skip


def shares(nations: pd.DataFrame, nation: str, twh: Mapping[int, float], column: str = "demand_twh") -> pd.DataFrame:
    """Data centres as a share of a nation's electricity, for past years that the table holds.

    A row: year, twh, total (TWh), share, of (the denominator's name). Years without a total are left out.
    """
    totals = nations[nations["country"] == nation].set_index("year")[column].dropna()
    name = denominator(nations, nation, column).name
    rows = [
        (year, level, totals[year], level / totals[year], name) for year, level in twh.items() if year in totals.index
    ]
    return pd.DataFrame(rows, columns=["year", "twh", "total", "share", "of"])


# ---------------------------------------------------------------- regions

PARTS_OF_WORLD = ("Africa", "Asia Pacific", "Central and South America", "Europe", "Middle East", "North America")
INSIDE = {"China": "Asia Pacific", "United States": "North America"}  # never added to the region that holds them


def by_region(
    annex: pd.DataFrame, year: int, metric: str = "electricity_total", scenario: str = "Base"
) -> pd.DataFrame:
    """One year of the IEA's annex by region, largest first, with what the named regions leave of the world.

    annex: the table dc_iea_annex. scenario: used for years ahead. A row: region, value, share (of the world). The last
    row, "Rest of the world", is the world less the six regions: countries that the annex does not print, and rounding.
    Raises Refusal where the annex has no such year, or its regions add to more than the world.
    """
    rows = annex[(annex["year"] == year) & (annex["metric"] == metric)]
    rows = rows[rows["scenario"].isin(["Historical", scenario])]
    known = dict(zip(rows["region"], rows["value"].astype(float), strict=True))
    if not {"World", *PARTS_OF_WORLD} <= set(known):
        raise Refusal(f"the annex prints no regions for {year} in the case {scenario!r}.")
    parts = {name: known[name] for name in sorted(PARTS_OF_WORLD, key=lambda name: -known[name])}
    world, named = known["World"], sum(parts.values())
    if named > 1.01 * world:
        raise Refusal(f"the regions of {year} add to {named:g}, more than the world's {world:g}.")
    values = [*parts.values(), world - named]
    return pd.DataFrame(
        {"region": [*parts, "Rest of the world"], "value": values, "share": [value / world for value in values]}
    )


# ---------------------------------------------------------------- what publishers print about their own numbers


def check_growth(rates: pd.DataFrame, scenarios: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Each printed growth rate, computed again from the levels that the same source prints.

    rates: the table dc_published_rates. A row: source, scenario, region, kind, from_year, to_year, step, printed and
    computed (percent), agrees (within half of the step that the print is rounded to). Rates without a level
    of their source to check them by (EPRI 2024, whose levels follow from the rates) are left out.
    """
    rows = []
    for row in rates[rates["kind"].str.startswith("growth")].to_dict("records"):
        about = {str(name): value for name, value in row.items()}
        start, end = (_level(about, int(about[year]), rates, scenarios, history) for year in ("from_year", "to_year"))
        if start is None or end is None:
            continue
        years = 1 if about["kind"] == "growth in all" else int(about["to_year"] - about["from_year"])
        computed = 100 * rate(start, end, years)
        kept = {name: about[name] for name in ("source", "scenario", "region", "kind", "from_year", "to_year", "step")}
        near = abs(computed - about["value"]) <= about["step"] / 2 + 1e-9
        rows.append(kept | {"printed": about["value"], "computed": computed, "agrees": near})
    return pd.DataFrame(rows)


def check_shares(
    rates: pd.DataFrame, scenarios: pd.DataFrame, history: pd.DataFrame, nations: pd.DataFrame
) -> pd.DataFrame:
    """Each printed share of electricity: the total that it and the source's own level imply, beside Ember's demand.

    A row: source, scenario, region, year, printed (percent), step (that the print is rounded to), level (TWh),
    total_low and total_high (TWh: what the share can be a share of), measured (TWh of demand by Ember; blank for years
    ahead), agrees (whether the measured total lies in that range; blank where there is none). A share without a level
    of its own is left out.
    """
    rows = []
    for row in rates[rates["kind"] == "share of electricity"].to_dict("records"):
        about = {str(name): value for name, value in row.items()}
        year, share, half = int(about["to_year"]), about["value"], about["step"] / 2
        level = _level(about, year, rates, scenarios, history)
        if level is None:
            continue
        totals = nations[nations["country"] == about["region"]].set_index("year")["demand_twh"].dropna()
        low, high = (100 * level / edge for edge in (share + half, share - half))
        measured = float(totals.get(year, math.nan))
        kept = {name: about[name] for name in ("source", "scenario", "region", "step")}
        rows.append(
            kept | {"year": year, "printed": share, "level": level, "total_low": low, "total_high": high,
                    "measured": measured, "agrees": None if math.isnan(measured) else low <= measured <= high}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _level(
    row: Mapping[str, Any], year: int, rates: pd.DataFrame, scenarios: pd.DataFrame, history: pd.DataFrame
) -> float | None:
    """What a source gives for a year: TWh, else TWh by its own growth rate, else GW; None where it has none."""
    same = scenarios[(scenarios["source"] == row["source"]) & (scenarios["region"] == row["region"])]
    same = same[(same["published"] == row["published"]) & (same["scenario"] == row["scenario"])]
    same = same[same["year"] == year]
    if same["twh"].notna().any():
        return float(same["twh"].dropna().iloc[0])
    if same["share_pct_published"].notna().any() and row["kind"] == "share of electricity":
        found = demand.by_growth(same.iloc[0], rates, demand.own_base(history, same))
        return found if found is None else float(found)
    if same["gw"].notna().any():
        return float(same["gw"].dropna().iloc[0])
    base = rates[(rates["source"] == row["source"]) & (rates["kind"] == "capacity") & (rates["to_year"] == year)]
    base = base[(base["region"] == row["region"]) & (base["scenario"] == "Base year")]
    if len(base):
        return float(base["value"].iloc[0])
    past = demand.levels(history)
    past = past[(past["family"] == demand.family(row["source"])) & (past["region"] == row["region"])]
    near = (past["published"] - row["published"]).abs() <= pd.Timedelta(days=366)
    past = past[near & past["twh"].notna() & (past["year"] == year)].sort_values("published")
    return float(past["twh"].iloc[-1]) if len(past) else None
