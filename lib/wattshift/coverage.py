"""What the tables hold of each candidate site as of a day, and to which day it goes: silence is shown, never filled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.api.typing import NaTType

from wattshift import gates, sites

TABLES = (
    *sites.TABLES,
    "industrial_power_prices",
    "electricity_price_points",
    "grid_reliability",
    "pri_contracts_opic",
)
SUBJECTS = ("governance", "violence", "news", "event", "electricity", "price", "outages", "insurance")
OUTAGES_MONTH = 10  # form EIA-861 of a year is out by the end of October of the next


def newest(tables: Mapping[str, pd.DataFrame], places: pd.DataFrame, as_of: pd.Timestamp | str) -> pd.DataFrame:
    """The end of the newest period, or the day of the newest event, that the tables hold of each site by a day.

    tables : those of `TABLES`, by name
    places : rows of site_candidates, index site_id

    Index: site_id. Columns: those of `SUBJECTS`, datetimes; NaT: no table says anything. Figures count from the day on
    which they had been published (`sites.published`). Governance, violence, news and insurance are of the country,
    electricity of the US state where there is one. An event and a price count where they hold in the site's region or
    in the whole country; a tax, a levy and a price of homes is no price of a site. Outages count for the region alone.
    """
    day, known = pd.Timestamp(as_of), sites.published(tables, as_of)
    prices, tariffs, outages, insured = (tables[name] for name in TABLES[len(sites.TABLES) :])
    energy, states = known["country_energy_annual"], known["us_state_electricity_annual"]
    codes = dict(zip(energy["country"], energy["iso3"], strict=True))
    prices = prices[~prices["period_kind"].isin(["tax", "levy"])]
    year_end = prices["period"] + pd.offsets.YearEnd(0)
    prices = prices.assign(period=prices["period"].mask(prices["period_kind"] == "year", year_end))
    tariffs = tariffs[~tariffs["item"].str.startswith("RESIDENTIAL")].assign(iso3=tariffs["country"].map(codes))
    outages = outages[outages["year"] <= gates.newest_year(day, OUTAGES_MONTH)]
    by_subject = {  # country, region (none: of the whole country), end of the period
        "governance": _rows(known["country_governance"], "year"),
        "violence": _rows(known["conflict_events_annual"], "year"),
        "news": _rows(known["gpr_monthly"], "month"),
        "event": _rows(known["mining_regulation_events"], "date", "region"),
        "electricity": pd.concat(
            [_rows(energy[energy["iso3"] != "USA"], "year"), _rows(states.assign(iso3="USA"), "year", "state")]
        ),
        "price": pd.concat([_rows(prices, "period", "region"), _rows(tariffs, "date", "area")]),
        "outages": _rows(outages[(outages["metric"] == "SAIDI") & outages["region"].notna()], "year", "region"),
        "insurance": _rows(insured.rename(columns={"iso3c": "iso3"}), "year"),
    }
    found = {
        name: [_newest(rows[rows["end"] <= day], site) for site in places.itertuples()]
        for name, rows in by_subject.items()
    }
    return pd.DataFrame(found, index=places.index)


def _rows(table: pd.DataFrame, time: str, region: str | None = None) -> pd.DataFrame:
    """Columns iso3, region and end: of the year, of the month for news, the day itself for anything else."""
    at = table[time]
    end = pd.to_datetime(at.astype(str) + "-12-31") if time == "year" else at
    end = end + pd.offsets.MonthEnd(0) if time == "month" else end
    return pd.DataFrame({"iso3": table["iso3"], "region": table[region] if region else None, "end": end})


def _newest(rows: pd.DataFrame, site: Any) -> pd.Timestamp | NaTType:
    """The newest end among the rows that hold at a site; NaT where there is none."""
    ours = rows[rows["iso3"] == site.iso3]
    ends = [end for end, region in zip(ours["end"], ours["region"], strict=True) if gates.reaches(site, region)[0]]
    return max(ends) if ends else pd.NaT
