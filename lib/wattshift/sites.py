"""What sites are judged by: nine criteria, each measured as of a day with its error and its age, on a declared scale.

A figure enters only if it had been published by the day (`published`), in today's edition of its year. A scale has a
worst and a best anchor which do not depend on the sites compared, so adding a site moves no other. What no table
knows stays unknown, with a reason and, where one is stated, a bound: it is never zero and never the best. `measure`
gives figures in their own units, `panel` brings them to utilities from 0, worst, to 1, best.

Three laws lead from a figure x to a utility; w is the worst anchor, b the best, o an offset that keeps a zero finite:

    linear  c = (x - w) / (b - w)                                 log  c = ln((x + o)/(w + o)) / ln((b + o)/(w + o))
    normal  Phi(1.645 (2c - 1)), c linear, with anchors at the 5th and 95th percentile of the world

Linear and log are cut to 0..1 at the very end, so a worse figure never has the higher utility.

Errors are standard deviations. That of governance is the mean of six standard errors, as if they were wholly dependent:
the indicators share sources, and independent errors would make the mean look 2.4 times as sure. A yearly figure of
electricity that is a years old may have moved by its usual yearly change times the square root of a.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from wattshift import gates
from wattshift.refusal import Refusal

Floats = NDArray[np.float64]
Row = Any  # one row of a frame, as itertuples gives it: pandas has no name for its columns' types
Law = Literal["linear", "log", "normal"]
Scale = Literal["declared", "range", "rank"]
Missing = Literal["range", "region", "leave out"]

TABLES = (
    "country_governance", "wgi_world_summary", "conflict_events_annual", "gpr_monthly", "mining_regulation_events",
    "country_energy_annual", "us_state_electricity_annual",
)  # fmt: skip
INDICATORS = ("WGI_VA", "WGI_PV", "WGI_GE", "WGI_RQ", "WGI_RL", "WGI_CC")
PUBLISHED = {"governance": 9, "deaths": gates.UCDP_MONTH, "electricity": 5}  # month of the next year, by whose end
TREND_YEARS = 10
DEATH_YEARS = 5  # published years over which deaths are counted
CHANGE_YEARS = 5  # newest yearly changes from which the usual one is taken
NEWS_SINCE = "2005-01"  # a country's own mean of news begins here
NEWS_MONTHS = 12
PROVISIONAL_MONTHS = 15  # newest months of the news index that its makers still revise
LEVELS = ("open", "priced or licensed", "limited", "closed")  # to new mining load
PARTNERSHIP = "state_partnership"  # shows that one party was let in, and so no more than open or licensed
LEVEL_OF = {  # of the kinds that are a measure on new load; cuts, seizures and the like are hazards
    "liberalisation": 0, PARTNERSHIP: 0, "tariff": 1, "tax": 1, "licence_law": 1, "grid_limit": 2,
    "moratorium": 3, "ban": 3, "regional_ban": 3,
}  # fmt: skip
SETTLING = ("liberalisation", "licence_law", "moratorium", "ban", "regional_ban")  # end the doubt about older plans
OWN_GRIDS = ("AESO", "Hydro-Quebec", "Siberia")  # grids of a province or zone: the country's figures are not theirs
NO_RECORD = {("KAZ", 2022): "the unrest of January 2022 is outside UCDP's definition: this zero is a definition"}
REGIONS = {  # the United Nations' geographic regions (M49)
    "Africa": ("ETH",),
    "Americas": ("ARG", "BRA", "CAN", "PRY", "USA"),
    "Asia": ("ARE", "BTN", "CHN", "IRN", "KAZ", "OMN"),
    "Europe": ("FIN", "ISL", "NOR", "RUS", "SWE", "UKR", "XKX"),
}
HOURS_PER_YEAR = 8_760
_TINY = 1e-12  # keeps the logarithm of a figure less its error finite; such a utility is cut to 0 or 1 anyway
_FUELS = ("coal", "gas", "oil", "nuclear", "hydro", "wind", "solar", "bioenergy", "other_renewables")


@dataclass(frozen=True)
class Criterion:
    """One criterion: its unit, law and anchors, with the reasons. An anchor that a table gives is None here.

    unit, law   : of the figure, and how it becomes a utility
    worst, best : anchors, in the unit; offset: added before a logarithm is taken
    meaning     : what the figure is; anchors, error: where its anchors and its error come from
    """

    unit: str
    law: Law
    worst: float | None
    best: float | None
    offset: float | None
    meaning: str
    anchors: str
    error: str


CRITERIA: dict[str, Criterion] = {
    "governance": Criterion(
        "standard units", "normal", None, None, 0.0,
        "mean of the six Worldwide Governance Indicators",
        "5th and 95th percentile of the world",
        "mean of the six standard errors, as if wholly dependent",
    ),
    "governance trend": Criterion(
        "standard units", "linear", -0.5, 0.5, 0.0,
        "its change in ten years, relative to the world",
        "half a standard deviation of the world either way",
        "both years' errors, as if independent, which overstates it",
    ),
    "violence": Criterion(
        "deaths per million a year", "log", None, 0.0, None,
        "deaths in organised violence per million and year, last five published years",
        "UCDP's 1,000 deaths of a war in a country of mean size (offset: its 25 of a conflict), and none",
        "the published low and high, chance, and how much the years differ",
    ),
    "attention": Criterion(
        "times its own mean", "log", 4.0, 0.25, 0.05,
        "news about its geopolitical risk, last twelve months over its mean since 2005",
        "four times its usual news, and a quarter",
        "how much the four quarters differ",
    ),
    "measures": Criterion(
        "level, 0 to 3", "linear", 3.0, 0.0, 0.0,
        "strictest measure on new mining load: 0 open, 1 priced or licensed, 2 limited, 3 closed",
        "closed, and open",
        "half a level either way: another coder may read a row otherwise",
    ),
    "surplus": Criterion(
        "share of demand", "linear", -0.2, 0.2, 0.0,
        "generation over demand of the country, less 1",
        "a fifth of demand imported, and a fifth exported",
        "the usual yearly change, grown with age",
    ),
    "fuel mix": Criterion(
        "share of generation", "linear", 1.0, 1 / 9, 0.0,
        "share of the largest source, which a dry year or a fuel crisis can hit",
        "one source alone, and nine equal ones",
        "the usual yearly change, grown with age",
    ),
    "carbon": Criterion(
        "gCO2/kWh", "linear", 1_000.0, 0.0, 0.0,
        "carbon intensity of generation",
        "about that of coal alone, and none",
        "the usual yearly change, grown with age",
    ),
    "system size": Criterion(
        "share of mean load", "log", 0.1, 0.001, 0.0,
        "the site as a share of the mean load it joins: a small system feels it, and so do voters",
        "a tenth, and a thousandth",
        "the usual yearly change, grown with age",
    ),
}  # fmt: skip
COLUMNS = (
    "site_id", "iso3", "criterion", "value", "error", "low", "high", "unit", "year", "age_years", "table", "level",
    "note", "law", "worst", "best", "offset", "draw", "borrowed",
)  # fmt: skip


# ---------------------------------------------------------------- names, days


def check_names(what: str, asked: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The names asked for. Raises Refusal for none, for one named twice, and for an unknown one, with the nearest.

    >>> check_names("criterion", ["carbon"], CRITERIA)
    ('carbon',)
    """
    names, allowed = tuple(asked), list(known)
    if not names:
        raise Refusal(f"no {what} is named: give one at least, such as {(allowed or ['TX_ERCOT'])[0]}.")
    for name in names:
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, 1, 0)[0]
            raise Refusal(f"there is no {what} {name!r}; did you mean {near}? Known are {', '.join(allowed)}.")
        if names.count(name) > 1:
            raise Refusal(f"the {what} {name} is named twice: name each once.")
    return names


def published(tables: Mapping[str, pd.DataFrame], as_of: pd.Timestamp | str) -> dict[str, pd.DataFrame]:
    """The rows of each table that had been published by a day: governance of a year in September of the next, deaths in
    June, electricity in May, news of a month by the end of the next, events at their date.

    The figures are those of today's edition: how a year read when it first came out is not in the tables.
    Raises Refusal if a table of `TABLES` is missing.
    """
    for name in TABLES:
        if name not in tables:
            raise Refusal(f"the table {name} is missing: the criteria need {', '.join(TABLES)}.")
    day = pd.Timestamp(as_of)
    lag = {"country_governance": "governance", "wgi_world_summary": "governance", "conflict_events_annual": "deaths"}
    known = {}
    for name in TABLES:
        table = tables[name]
        if name == "gpr_monthly":
            known[name] = table[table["month"] + pd.offsets.MonthEnd(2) <= day]
        elif name == "mining_regulation_events":
            known[name] = gates.happened(table, day)
        else:
            known[name] = table[table["year"] <= gates.newest_year(day, PUBLISHED[lag.get(name, "electricity")])]
    return known


def population(energy: pd.DataFrame) -> pd.Series[float]:
    """People, in millions, as demand over demand per head; index (iso3, year), years without demand left out.

    energy : table country_energy_annual. Differs from a census by what demand per head was rounded to (Ethiopia 4%).

    >>> row = {"iso3": ["USA"], "year": [2023], "demand_twh": [4272.81], "demand_mwh_per_capita": [12.44]}
    >>> population(pd.DataFrame(row)).round(1).tolist()
    [343.5]
    """
    people = energy.set_index(["iso3", "year"])
    return (people["demand_twh"] / people["demand_mwh_per_capita"]).dropna().rename("millions")


# ---------------------------------------------------------------- scales


def scales(tables: Mapping[str, pd.DataFrame], as_of: pd.Timestamp | str) -> pd.DataFrame:
    """The scale of every criterion as of a day. Index: criterion. Columns: unit, law, worst, best, offset, meaning,
    anchors, error. Raises Refusal where a day lies before every figure that an anchor comes from."""
    known = published(tables, as_of)
    world, energy = known["wgi_world_summary"], known["country_energy_annual"]
    people = population(energy)
    if world.empty or "WLD" not in people.index:
        raise Refusal(f"no table tells of the world as it was known on {as_of}: give a day from 2009-01-03 on.")
    newest = world[world["year"] == world["year"].max()]
    mean_size = float(people.xs("WLD").iloc[-1]) / float(newest["n_economies"].max())  # million people
    frame = pd.DataFrame({name: vars(criterion) for name, criterion in CRITERIA.items()}).T
    frame.loc["governance", ["worst", "best"]] = newest["p05"].mean(), newest["p95"].mean()
    frame.loc["violence", ["worst", "offset"]] = gates.WAR / mean_size, gates.ACTIVE_CONFLICT / mean_size
    return frame.astype({"worst": float, "best": float, "offset": float}).rename_axis("criterion")


def position(x: ArrayLike, law: str, worst: float, best: float, offset: float = 0.0) -> Floats:
    """Where a figure lies between the worst anchor, 0, and the best, 1, in its unit (logarithms for log); not cut.

    Raises Refusal for equal anchors, and for logarithms of an anchor not above zero.

    >>> position([0.0, 5.0, 20.0], "linear", 10.0, 0.0).tolist()
    [1.0, 0.5, -1.0]
    """
    if worst == best:
        raise Refusal(f"the worst and the best anchor cannot both be {worst}: a scale needs two.")
    if law != "log":
        return (np.asarray(x, float) - worst) / (best - worst)
    if min(worst, best) + offset <= 0:
        raise Refusal(f"a log scale cannot reach {min(worst, best)} with an offset of {offset}: give a larger offset.")
    ends = np.log([worst + offset, best + offset])
    return np.asarray((np.log(np.maximum(np.asarray(x, float) + offset, _TINY)) - ends[0]) / (ends[1] - ends[0]))


def utility(x: ArrayLike, law: str, worst: float, best: float, offset: float = 0.0) -> Floats:
    """The utility of a figure, 0 worst to 1 best, on the scale that its anchors declare. NaN stays NaN.

    >>> utility([10.0, 1.0, 0.1], "log", worst=10.0, best=0.1).tolist()
    [0.0, 0.5, 1.0]
    >>> utility([-1.5, 0.0, 1.5], "normal", worst=-1.5, best=1.5).round(2).tolist()
    [0.05, 0.5, 0.95]
    """
    where = position(x, law, worst, best, offset)
    if law == "normal":
        return np.asarray(stats.norm.cdf(stats.norm.ppf(0.95) * (2 * where - 1)))
    return np.asarray(np.clip(where, 0.0, 1.0) + 0.0)


# ---------------------------------------------------------------- figures

Cell = dict[str, Any]


def _rows(frame: pd.DataFrame) -> Iterable[Row]:
    return frame.itertuples()


def measure(
    tables: Mapping[str, pd.DataFrame],
    candidates: pd.DataFrame,
    as_of: pd.Timestamp | str,
    site_power: float = 100.0,
) -> pd.DataFrame:
    """Every criterion at every site as known on a day, in its own unit.

    tables     : those of `TABLES`, by name; candidates: rows of site_candidates, site_id as a column or the index
    site_power : of one site, MW

    One row per site and criterion, with the site's iso3. value (NaN: unknown), error (a standard deviation), low and
    high (bounds stated for an unknown value; NaN: none), unit, year (of the figure), age_years (from the end of that
    year or month to the day), table, level (country or region), note (reason, source, caveat), the scale (law, worst,
    best, offset), draw: rows with one draw share one error, as two sites of one country do; and borrowed: whether a
    figure of electricity is the country's though the site joins a grid of its own.
    Raises Refusal for no site, a site twice, a missing table, and a power not above zero.
    """
    if not site_power > 0:
        raise Refusal(f"a site cannot have {site_power} MW: give a power above zero, such as 100.")
    places = candidates if "site_id" in candidates.columns else candidates.reset_index()
    check_names("site", places["site_id"], places["site_id"])
    day, known, scale = pd.Timestamp(as_of), published(tables, as_of), scales(tables, as_of)
    rows = []
    for site in _rows(places):
        cells: dict[str, Cell] = {
            "governance": _governance(site, known),
            "governance trend": _trend(site, known),
            "violence": _violence(site, known),
            "attention": _attention(site, known, tables["gpr_monthly"]["month"].max()),
            "measures": _measures(site, known, day),
            **_electricity(site, known, day, site_power),
        }
        for name, cell in cells.items():
            level = cell.get("level", "country")
            rows.append(
                {"value": np.nan, "error": np.nan, "low": np.nan, "high": np.nan, "year": pd.NA, "ends": pd.NaT}
                | {"borrowed": False}
                | {"note": "", "level": level, "site_id": site.site_id, "iso3": site.iso3, "criterion": name}
                | {"draw": f"{name} of {site.iso3 if level == 'country' else site.site_id}"}
                | cell
            )
    frame = pd.DataFrame(rows).join(scale[["unit", "law", "worst", "best", "offset"]], on="criterion")
    frame["age_years"] = (day - pd.to_datetime(frame["ends"])).dt.days / 365.25
    return frame.astype({"year": "Int64", "value": float, "error": float})[list(COLUMNS)]


def _unknown(table: str, note: str, **more: object) -> Cell:
    return {"table": table, "note": note} | more


def _year_end(year: int) -> pd.Timestamp:
    return pd.Timestamp(int(year), 12, 31)


def _six(site: Row, known: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Mean of the six indicators and of their standard errors by year, for years with all six."""
    table = known["country_governance"]
    years = table[table["iso3"] == site.iso3].groupby("year")
    six: pd.DataFrame = years[["estimate", "std_error"]].mean()[years["indicator"].nunique() == len(INDICATORS)]
    return six


def _governance(site: Row, known: Mapping[str, pd.DataFrame]) -> Cell:
    six = _six(site, known)
    if six.empty:
        return _unknown("country_governance", "no year with all six indicators had been published")
    year, last = six.index[-1], six.iloc[-1]
    return {
        "value": last["estimate"], "error": last["std_error"], "year": year, "ends": _year_end(year),
        "table": "country_governance",
    }  # fmt: skip


def _trend(site: Row, known: Mapping[str, pd.DataFrame]) -> Cell:
    six = _six(site, known)
    if six.empty or six.index[-1] - TREND_YEARS not in six.index:
        return _unknown("country_governance", f"no two years, {TREND_YEARS} apart, with all six indicators")
    year = six.index[-1]
    now, then = six.loc[year], six.loc[year - TREND_YEARS]
    return {
        "value": now["estimate"] - then["estimate"], "error": float(np.hypot(now["std_error"], then["std_error"])),
        "year": year, "ends": _year_end(year), "table": "country_governance", "note": f"since {year - TREND_YEARS}",
    }  # fmt: skip


def _violence(site: Row, known: Mapping[str, pd.DataFrame]) -> Cell:
    table = known["conflict_events_annual"]
    ours = table[table["iso3"] == site.iso3].nlargest(DEATH_YEARS, "year")
    people = population(known["country_energy_annual"])
    if ours.empty or site.iso3 not in people.index:
        return _unknown(
            "conflict_events_annual", f"no count of deaths, or of people, in {site.iso3} had been published"
        )
    best, low, high = (ours[f"total_deaths_{name}"] for name in ("best", "low", "high"))
    width = (high.clip(lower=best) - low.clip(upper=best)).sum()
    heads = people[site.iso3].reindex(sorted({*people[site.iso3].index, *ours["year"]})).ffill().bfill()[ours["year"]]
    scatter = len(ours) * best.var() if len(ours) > 1 else 0.0
    spread = np.sqrt(max(best.sum(), scatter) + 0.5 + width**2 / 12)  # half a death: a zero is no proof
    notes = [f"{best.sum():,} {'death' if best.sum() == 1 else 'deaths'} in {ours['year'].min()}–{ours['year'].max()}"]
    notes += [text for (iso3, year), text in NO_RECORD.items() if iso3 == site.iso3 and year in set(ours["year"])]
    if ours["bounds_flag"].notna().any():
        notes.append("a published bound is on the wrong side of the best estimate")
    return {
        "value": best.sum() / heads.sum(), "error": spread / heads.sum(), "year": ours["year"].max(),
        "ends": _year_end(ours["year"].max()), "table": "conflict_events_annual", "note": "; ".join(notes),
    }  # fmt: skip


def _attention(site: Row, known: Mapping[str, pd.DataFrame], newest: pd.Timestamp) -> Cell:
    table = known["gpr_monthly"]
    if not isinstance(site.gpr_series, str):
        return _unknown("gpr_monthly", f"there is no series of news for {site.iso3}")
    ours = table[(table["series"] == site.gpr_series) & (table["month"] >= NEWS_SINCE)].set_index("month")["value"]
    if len(ours) < 2 * NEWS_MONTHS or ours.mean() <= 0:
        return _unknown("gpr_monthly", f"less than two years of {site.gpr_series} had been published")
    last = ours.iloc[-NEWS_MONTHS:]
    quarters = last.to_numpy().reshape(4, -1).mean(axis=1)
    open_months = int((last.index > newest - pd.DateOffset(months=PROVISIONAL_MONTHS)).sum())
    return {
        "value": last.mean() / ours.mean(), "error": quarters.std(ddof=1) / 2 / ours.mean(),
        "year": last.index[-1].year, "ends": last.index[-1] + pd.offsets.MonthEnd(0), "table": "gpr_monthly",
        "note": f"{open_months} of {NEWS_MONTHS} months are provisional" if open_months else "",
    }  # fmt: skip


# ---------------------------------------------------------------- why governance is one criterion


@dataclass(frozen=True)
class SixAsOne:
    """How far the six governance indicators say one thing, over the economies of a table and over the world.

    year, economies : of the estimates; correlation: frame, 6 x 6, over those economies
    first : share of the variance of the six, each on its own spread, that their first principal component holds
    world : a lower bound of the same share over the whole world, see `six_as_one`
    """

    year: int
    economies: int
    correlation: pd.DataFrame
    first: float
    world: float

    @property
    def pairs(self) -> Floats:
        """The fifteen correlations, the smallest first."""
        return np.sort(self.correlation.to_numpy()[np.triu_indices(len(INDICATORS), 1)])


def six_as_one(governance: pd.DataFrame, year: int, level: float = 0.95) -> SixAsOne:
    """Correlations and first component of the six indicators in a year, and what must hold for the world.

    governance : table country_governance; level: one-sided, of each correlation's lower limit

    The world has no list of economies here, but each indicator has a standard deviation of 1 over it by construction.
    (1) Each correlation r of the n economies is lowered to its limit by Fisher's z, tanh(atanh r - z/sqrt(n - 3)).
    (2) It is moved from the spread s of these economies to the world's by r/s / sqrt(1 - r^2 + r^2/s^2) (Thorndike's
    case 2; the smaller answer of the two indicators), which supposes the regression to be the same in the world.
    (3) Six equal weights hold (1 + 5 m)/6 of the variance, with m the mean correlation, and no weights hold more than
    the first component.
    Raises Refusal for a year with fewer than 5 economies that have all six.
    """
    table = governance[governance["year"] == year]
    wide = table.pivot(index="iso3", columns="indicator", values="estimate").reindex(columns=list(INDICATORS)).dropna()
    if len(wide) < 5:
        raise Refusal(f"{len(wide)} economies have all six indicators in {year}: five at least tell how they go along.")
    r = wide.corr().to_numpy()
    first = float(np.linalg.eigvalsh(r)[-1]) / len(r)
    upper = np.triu_indices(len(r), 1)
    least = np.tanh(np.arctanh(r[upper]) - stats.norm.ppf(level) / np.sqrt(len(wide) - 3))
    spread = wide.std().to_numpy()
    moved = [least / s / np.sqrt(1 - least**2 + least**2 / s**2) for s in (spread[upper[0]], spread[upper[1]])]
    mean = float(np.minimum(*moved).mean())
    frame = pd.DataFrame(r, index=list(INDICATORS), columns=list(INDICATORS))
    return SixAsOne(year, len(wide), frame, first, (1 + (len(r) - 1) * mean) / len(r))


def apart(value: ArrayLike, error: ArrayLike, level: float = 0.95) -> NDArray[np.bool_]:
    """Which pairs differ by more than their errors explain, two-sided at a level, if the errors are independent.

    >>> apart([0.0, 0.5, 1.0], [0.2, 0.2, 0.2])[0].tolist()
    [False, False, True]
    """
    x, e = np.asarray(value, float), np.asarray(error, float)
    allowed = stats.norm.ppf((1 + level) / 2) * np.hypot(e[:, None], e[None, :])
    return np.asarray(np.abs(x[:, None] - x[None, :]) > allowed)


# ---------------------------------------------------------------- measures on new load


def measures(events: pd.DataFrame, candidates: pd.DataFrame, as_of: pd.Timestamp | str) -> pd.DataFrame:
    """Which events are a measure on new mining load at each site, and how each stood on a day.

    events, candidates : tables mining_regulation_events and site_candidates. One row per site and measure, oldest
    first: site_id, event_id, kind, level (place in `LEVELS`), status, starts, ends, wide (holds in the whole country).

    status, by this rule: `in force`: begun, not ended. `announced`: not yet in force, or its text speaks of a plan,
    proposal, draft or request, and no later law in force that reaches the site settled it. `settled`: one did.
    `ended`: on its end date, after the term in its own words, or by a liberalisation of the same place.
    A statement of policy is no measure; neither are sanctions (a gate) nor cuts, seizures and shutdowns (hazards).
    """
    day = pd.Timestamp(as_of)
    places = candidates if "site_id" in candidates.columns else candidates.reset_index()
    known = gates.happened(events, day)
    known = known[known["kind"].isin(list(LEVEL_OF))]
    rows = [
        {"site_id": site.site_id, "event_id": event.event_id, "kind": event.kind, "level": LEVEL_OF[event.kind]}
        | _standing(event, known[known["iso3"] == site.iso3], site, day)
        for site in _rows(places)
        for event in _rows(known[known["iso3"] == site.iso3])
        if gates.reaches(site, event.region)[0]
    ]
    names = ["site_id", "event_id", "kind", "level", "status", "starts", "ends", "wide"]
    return pd.DataFrame(rows, columns=names)


def _standing(event: Row, ours: pd.DataFrame, site: Row, day: pd.Timestamp) -> Cell:
    """How one measure stands on a day: level (a limit that refuses all new load closes), status, starts, ends, wide."""
    starts = event.effective_date if pd.notna(event.effective_date) else event.date
    ends = gates.stated_end(event.event, event.date, event.end_date)
    later = ours[(ours["date"] > event.date) & (ours["date"] <= day)]
    freed = later[(later["kind"] == "liberalisation") & (later["region"].fillna("") == (event.region or ""))]
    planned = event.kind != PARTNERSHIP and bool(gates.PLANNED.search(event.event))
    if planned or starts > day:
        laws = later[later["kind"].isin(SETTLING) & ~(later["effective_date"] > day)]
        settled = planned and any(
            gates.reaches(site, row.region)[0] and not gates.PLANNED.search(row.event) for row in _rows(laws)
        )
        status = "settled" if settled else "announced"
    elif (pd.notna(ends) and ends < day) or len(freed):
        status = "ended"
    else:
        status = "in force"
    closes = event.kind == "grid_limit" and bool(gates.REFUSED.search(event.event))
    return {
        "level": LEVEL_OF["ban"] if closes else LEVEL_OF[event.kind], "status": status, "starts": starts, "ends": ends,
        "wide": not isinstance(event.region, str),
    }  # fmt: skip


def _measures(site: Row, known: Mapping[str, pd.DataFrame], day: pd.Timestamp) -> Cell:
    table = "mining_regulation_events"
    ours = measures(known[table], pd.DataFrame([site._asdict()]), day)
    force, plans = ours[ours["status"] == "in force"], ours[ours["status"] == "announced"]
    rules = force[force["kind"] != PARTNERSHIP]
    if rules.empty and len(force):
        note = f"state partnership ({force['event_id'].iloc[-1]}): one party was let in, which is no rule"
        return _unknown(table, note, low=0.0, high=1.0, level="region")
    if rules.empty:
        before = ours[ours["status"].isin(["ended", "announced"])]
        strictest = max(LEVELS.index("limited"), *before["level"], 0)
        ended = ours[(ours["status"] == "ended") & (ours["level"] > 0)]
        past = f"; {ended['event_id'].iloc[-1]} ended on {gates.dated(ended['ends'].iloc[-1])}" if len(ended) else ""
        return _unknown(table, f"no row is in force{past}", low=0.0, high=float(strictest), level="region")
    top = rules[rules["level"] == rules["level"].max()].iloc[-1]
    stricter = plans[plans["level"] > top["level"]]
    level = "country" if top["wide"] else "region"
    what = f"{top['kind'].replace('_', ' ')} ({top['event_id']})"
    if len(stricter):
        plan = stricter.iloc[int(stricter["level"].argmax())]
        note = f"{what}; {LEVELS[plan['level']]} if {plan['event_id']}, a plan or request, was carried out: not seen"
        return _unknown(table, note, low=float(top["level"]), high=float(plan["level"]), level=level)
    return {
        "value": float(top["level"]), "error": 1 / np.sqrt(12), "year": top["starts"].year, "ends": top["starts"],
        "table": table, "note": what, "level": level,
    }  # fmt: skip


# ---------------------------------------------------------------- electricity


def _electricity(site: Row, known: Mapping[str, pd.DataFrame], day: pd.Timestamp, site_power: float) -> dict[str, Cell]:
    """Surplus, fuel mix, carbon and system size: of the US state where there is one, else of the country."""
    energy, states = known["country_energy_annual"], known["us_state_electricity_annual"]
    nation = energy[energy["iso3"] == site.iso3].set_index("year")
    in_state = site.iso3 == "USA" and site.region in set(states["state"])
    own = states[states["state"] == site.region].set_index("year") if in_state else nation
    table = "us_state_electricity_annual" if in_state else "country_energy_annual"
    base = {"table": table, "level": "region" if in_state else "country"}
    apart = site.grid in OWN_GRIDS and not in_state
    shares = own[[name for fuel in _FUELS if (name := f"{fuel}_pct") in own.columns]].dropna(how="all") / 100
    load = own["generation_gwh"] * 1e3 / HOURS_PER_YEAR if in_state else own["demand_twh"] * 1e6 / HOURS_PER_YEAR

    surplus = _aged(nation["generation_twh"] / nation["demand_twh"] - 1, day)
    surplus |= {"table": "country_energy_annual"}
    jumps = nation["demand_twh"].dropna().pct_change().iloc[-CHANGE_YEARS:]
    surplus["borrowed"] = "value" in surplus and (in_state or apart)
    if in_state:
        surplus["note"] = "of the country: the demand of a state is not in the tables"
    elif apart:
        surplus["note"] = f"of the country, not of {site.region}"
    elif (jumps.abs() > 0.3).any():
        surplus["note"] = f"demand changes by {jumps.loc[jumps.abs().idxmax()]:+.0%} in {jumps.abs().idxmax()}: a break"
    mix = _aged(shares.max(axis=1), day) | base
    if "year" in mix:
        mix["note"] = shares.loc[mix["year"]].idxmax().removesuffix("_pct").replace("_", " ")
    carbon = _aged(own["carbon_intensity_gco2_kwh"], day) | base
    size = _aged(site_power / load, day, relative=True) | base
    if in_state and "value" in size:
        size["note"] = "generation of the state stands for its load"
    if apart:
        for cell, off in zip((mix, carbon), _off_country(states, energy), strict=True):
            if "value" in cell:
                cell["note"] = "; ".join(filter(None, [cell.get("note"), f"of the country, not of {site.region}"]))
                cell["error"], cell["level"] = float(np.hypot(cell["error"], off)), "region"
                cell["borrowed"] = True
        if "value" in size:
            note = f"its share of the country's load; that of {site.region} alone is larger and not in the tables"
            size = {"table": table, "level": "region", "note": note, "low": size["value"]}
    return {"surplus": surplus, "fuel mix": mix, "carbon": carbon, "system size": size}


def _aged(series: pd.Series[float], day: pd.Timestamp, *, relative: bool = False) -> Cell:
    """The newest figure of a yearly series; its error is the usual yearly change (relative: as a share of the figure,
    for one on a log scale) times the root of its age."""
    values = series.dropna()
    changes = np.diff(np.log(values.to_numpy()) if relative else values.to_numpy())[-CHANGE_YEARS:]
    if not len(changes):
        return {"note": "fewer than two years had been published"}
    year = int(values.index[-1])
    age = max((day - _year_end(year)).days / 365.25, 1.0)
    error = float(np.sqrt((changes**2).mean() * age)) * (float(values.iloc[-1]) if relative else 1.0)
    return {"value": float(values.iloc[-1]), "error": error, "year": year, "ends": _year_end(year)}


def _off_country(states: pd.DataFrame, energy: pd.DataFrame) -> tuple[float, float]:
    """How far the states of one country lie from it in the newest year, root mean square: largest share, carbon."""
    year = states["year"].max()
    here = states[(states["year"] == year) & (states["state"] != "US Total")]
    nation = energy[(energy["iso3"] == "USA") & (energy["year"] == year)].iloc[0]
    share = here[[f"{fuel}_pct" for fuel in _FUELS if f"{fuel}_pct" in here.columns]].max(axis=1) / 100
    off_share = share - max(nation[f"{fuel}_pct"] for fuel in _FUELS) / 100
    off_carbon = here["carbon_intensity_gco2_kwh"] - nation["carbon_intensity_gco2_kwh"]
    return float(np.sqrt((off_share**2).mean())), float(np.sqrt((off_carbon**2).mean()))


# ---------------------------------------------------------------- the panel


@dataclass(frozen=True)
class Panel:
    """Utilities of S sites by C criteria, 0 worst to 1 best.

    value, error : (S, C) utility and its standard deviation, NaN where unknown
    low, high    : (S, C) range that stands for an unknown utility, NaN where it is known
    source       : (S, C) cells with one number share one random draw
    left_out     : criteria asked for and left out, since some site's figure is unknown
    """

    sites: tuple[str, ...]
    criteria: tuple[str, ...]
    value: Floats
    error: Floats
    low: Floats
    high: Floats
    source: NDArray[np.int64]
    left_out: tuple[str, ...] = ()


def figured(measured: pd.DataFrame, sites: Iterable[str], criteria: Iterable[str]) -> tuple[str, ...]:
    """Those of the criteria that have a figure for at least one of the sites, in the order given."""
    rows = measured[measured["site_id"].isin(list(sites)) & measured["value"].notna()]
    return tuple(name for name in criteria if name in set(rows["criterion"]))


def panel(
    measured: pd.DataFrame,
    sites: Sequence[str],
    criteria: Sequence[str] = tuple(CRITERIA),
    missing: Missing = "range",
    scale: Scale = "declared",
) -> Panel:
    """The utilities of sites by criteria, from what `measure` gave.

    missing : what stands for an unknown figure, where it has no bounds of its own. range: from the worst to the best
              of these sites; region: of those in the same of the `REGIONS`, where two countries there have a figure;
              leave out: the criterion goes. Where fewer than two countries have a figure, the whole scale, 0 to 1.
              A bound of its own always holds
    scale   : declared: the anchors; range: the worst figure or stated bound of these sites is 0, the best 1;
              rank: ranks of the known figures, evenly spaced

    The error of a utility is half the distance of the utilities one standard deviation either way, so it vanishes
    where the scale is cut. Under `rank` it is that of the rank, from the chance that two sites change places.
    Raises Refusal for an unknown site, criterion, missing or scale, and a criterion without a figure for any site.
    """
    sites = check_names("site", sites, dict.fromkeys(measured["site_id"]))
    criteria = check_names("criterion", criteria, CRITERIA)
    check_names("law for a missing figure", [missing], get_args(Missing))
    check_names("scale", [scale], get_args(Scale))
    of_site = measured.set_index("site_id")
    parts = {name: of_site[of_site["criterion"] == name].loc[list(sites)] for name in criteria}
    for name, rows in parts.items():
        if rows["value"].isna().all():
            raise Refusal(f"{name} has no figure for any of the sites {', '.join(sites)}: leave that criterion out.")
    left_out = tuple(name for name, rows in parts.items() if missing == "leave out" and rows["value"].isna().any())
    used = tuple(name for name in criteria if name not in left_out)
    if not used:
        raise Refusal("every criterion is unknown for some site: choose missing=range or region, or fewer sites.")
    columns = [_column(parts[name], missing, scale) for name in used]
    value, error, low, high = (np.column_stack(part) for part in zip(*columns, strict=True))
    draws = np.column_stack([parts[name]["draw"] for name in used])
    source = pd.factorize(draws.ravel())[0].reshape(draws.shape).astype(np.int64)
    return Panel(sites, used, value, error, low, high, source, left_out)


def _column(rows: pd.DataFrame, missing: str, scale: str) -> tuple[Floats, Floats, Floats, Floats]:
    """value, error, low and high of one criterion, each (S,)."""
    law, worst, best, offset = (rows[name].iloc[0] for name in ("law", "worst", "best", "offset"))
    x, e = rows["value"].to_numpy(float), rows["error"].to_numpy(float)
    known = np.isfinite(x)
    places = position(x, law, worst, best, offset)

    bounds = [position(rows[name].to_numpy(float), law, worst, best, offset)[~known] for name in ("low", "high")]
    ranked = np.sort(places[known])
    stated = np.concatenate([ranked, *(bound[np.isfinite(bound)] for bound in bounds)])

    def of(figures: Floats) -> Floats:
        if scale == "declared":
            return utility(figures, law, worst, best, offset)
        where = position(figures, law, worst, best, offset)
        if scale == "range" and stated.min() < stated.max():
            return np.asarray(np.clip((where - stated.min()) / (stated.max() - stated.min()), 0.0, 1.0))
        if scale == "rank" and len(ranked) > 1:
            below = np.searchsorted(ranked, where, "left") + np.searchsorted(ranked, where, "right") - 1
            return np.where(np.isfinite(where), np.clip(below / 2 / (len(ranked) - 1), 0.0, 1.0), np.nan)
        return np.where(np.isfinite(where), 0.5, np.nan)

    value = of(x)
    error = np.abs(of(x + e) - of(x - e)) / 2
    if scale == "rank" and known.sum() > 1:
        sd = np.abs(position(x + e, law, worst, best, offset) - position(x - e, law, worst, best, offset)) / 2
        gap, doubt = places[:, None] - places[None, :], np.hypot(sd[:, None], sd[None, :])
        apart = np.asarray(rows["draw"])[:, None] != np.asarray(rows["draw"])[None, :]
        swap = stats.norm.cdf(np.divide(gap, doubt, where=doubt > 0, out=np.full_like(gap, np.inf)))
        variance = np.where(apart & known[:, None] & known[None, :], swap * (1 - swap), 0.0).sum(axis=1)
        error = np.where(known, np.sqrt(variance) / (known.sum() - 1), np.nan)
    below, above = of(rows["low"].to_numpy(float)), of(rows["high"].to_numpy(float))
    floor, cap = (above, below) if worst > best else (below, above)
    low, high = np.full(len(x), np.nan), np.full(len(x), np.nan)
    for i in map(int, np.flatnonzero(~known)):
        worst_case, best_case = _range(rows, value, i, missing)
        low[i] = floor[i] if np.isfinite(floor[i]) else min(worst_case, cap[i]) if np.isfinite(cap[i]) else worst_case
        high[i] = cap[i] if np.isfinite(cap[i]) else max(best_case, floor[i]) if np.isfinite(floor[i]) else best_case
    return value, error, low, high


def _range(rows: pd.DataFrame, value: Floats, place: int, missing: str) -> tuple[float, float]:
    """The range of the known utilities that stands for the unknown one at a place: of its region, else of all sites."""
    known, country = np.isfinite(value), rows["iso3"].to_numpy()
    near = known & np.asarray([region_of(iso3) == region_of(country[place]) for iso3 in country])
    for group in (near, known) if missing == "region" else (known,):
        if len(set(country[group])) > 1:
            return float(value[group].min()), float(value[group].max())
    return 0.0, 1.0


def region_of(iso3: str) -> str:
    """The United Nations' geographic region of a country. Raises Refusal for one that is in none of `REGIONS`.

    >>> region_of("PRY")
    'Americas'
    """
    for region, countries in REGIONS.items():
        if iso3 in countries:
            return region
    raise Refusal(f"{iso3} is in no region that is known here: add it to REGIONS.")
