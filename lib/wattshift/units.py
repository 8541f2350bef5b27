"""Named constants, and units as types.

A type here is an `Annotated` alias: its range and its unit travel with the name, so that a notebook's parameters cell
is the whole contract (`power_price: UsdPerKwh = 0.05`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

SATOSHI_PER_BTC = 100_000_000
SECONDS_PER_DAY = 86_400
BLOCKS_PER_DAY = 144
SECONDS_PER_BLOCK = 600
BLOCKS_PER_RETARGET = 2_016
BLOCKS_PER_HALVING = 210_000
JOULES_PER_KWH = 3.6e6
HASHES_PER_DIFFICULTY = 2**32


@dataclass(frozen=True, slots=True)
class Unit:
    """What a unit type adds to a plain Python type: symbol, closed range, an example, and what it measures.

    symbol  : printed behind a value ("USD/kWh"); empty where a value is its own unit (a count, a date, a name)
    what    : the quantity in a few words
    example : one value that is allowed
    low, high : smallest and largest value allowed, both included; for days ISO dates, for texts lengths in characters
    grouped : whether thousands are separated when printed (a seed is an identifier, so its digits stay together)

    pydantic reads the range through `__get_pydantic_core_schema__`, so `TypeAdapter(UsdPerKwh)` enforces it.

    >>> Unit("MW", "power", 10, 0, 100).range
    '0 to 100'
    """

    symbol: str
    what: str
    example: float | int | str
    low: float | int | str
    high: float | int | str
    grouped: bool = True

    @property
    def range(self) -> str:
        """The closed range in words, without the symbol."""
        low, high = (end if isinstance(end, str) else plain(end, grouped=self.grouped) for end in (self.low, self.high))
        return f"{low} to {high}"

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """The range, in pydantic's own terms: ge/le for numbers, lengths for texts, a calendar check for days."""
        schema = dict(handler(source))
        if source is float:
            return {**schema, "ge": self.low, "le": self.high, "allow_inf_nan": False}
        if source is int:
            return {**schema, "ge": self.low, "le": self.high}
        if isinstance(self.low, str):
            from pydantic_core import core_schema

            return core_schema.no_info_after_validator_function(self._day_inside, schema)
        return {**schema, "min_length": self.low, "max_length": self.high}

    def _day_inside(self, text: str) -> str:
        """Pass an ISO day on when it is a day of the calendar, written in full, inside the range; else ValueError."""
        if date.fromisoformat(text).isoformat() != text or not str(self.low) <= text <= str(self.high):
            raise ValueError(f"not an ISO day from {self.range}")
        return text


def plain(number: float, *, grouped: bool = True) -> str:
    """A number in full decimal digits, shortest form that reads back as itself, thousands separated by commas.

    >>> plain(0.05), plain(20.0), plain(2_100_000), plain(1e-6), plain(840000, grouped=False)
    ('0.05', '20', '2,100,000', '0.000001', '840000')
    """
    exact = format(Decimal(repr(number)), ",f" if grouped else "f")
    return exact.rstrip("0").rstrip(".") if "." in exact else exact


# Energy and money. A lower end of zero means "free" is a case worth asking about; elsewhere it would divide by zero.
UsdPerKwh = Annotated[float, Unit("USD/kWh", "price of energy", 0.05, 0.0, 10.0)]
UsdPerMwh = Annotated[float, Unit("USD/MWh", "price of energy", 50.0, 0.0, 10_000.0)]
Usd = Annotated[float, Unit("USD", "money", 1_000_000.0, 0.0, 1e15)]
UsdPerMw = Annotated[float, Unit("USD/MW", "capital per power of a site", 600_000.0, 0.0, 1e9)]
UsdPerBtc = Annotated[float, Unit("USD/BTC", "price of bitcoin", 65_000.0, 0.01, 1e9)]
UsdPerTerahash = Annotated[float, Unit("USD per TH/s", "price of a mining machine", 15.0, 0.0, 1e6)]
UsdPerPetahashDay = Annotated[float, Unit("USD/PH/day", "hashprice", 50.0, 0.0, 1e9)]
Btc = Annotated[float, Unit("BTC", "amount of bitcoin", 3.125, 0.0, 21e6)]

# Work and power. Gross power is what the site draws; critical IT power is what reaches the computers behind it.
JoulesPerTerahash = Annotated[float, Unit("J/TH", "energy per unit of work", 17.5, 0.1, 10_000.0)]
TerahashPerSecond = Annotated[float, Unit("TH/s", "hashrate", 200.0, 1e-3, 1e12)]
PetahashPerSecond = Annotated[float, Unit("PH/s", "hashrate", 1_000.0, 1e-3, 1e9)]
ExahashPerSecond = Annotated[float, Unit("EH/s", "hashrate", 900.0, 1e-6, 1e6)]
MegawattGross = Annotated[float, Unit("MW gross", "power drawn by a whole site", 100.0, 0.001, 100_000.0)]
MegawattCriticalIT = Annotated[float, Unit("MW critical IT", "power delivered to computers", 75.0, 0.001, 100_000.0)]

# Shares are of one, never per cent. The two narrower ones keep a denominator away from zero.
Share = Annotated[float, Unit("share of 1", "a part of the whole", 0.05, 0.0, 1.0)]
PositiveShare = Annotated[float, Unit("share of 1", "a part of the whole, not nothing", 0.95, 0.001, 1.0)]
PartialShare = Annotated[float, Unit("share of 1", "a part of the whole, not all of it", 0.01, 0.0, 0.99)]
SharePerYear = Annotated[float, Unit("share per year", "rate of growth or of discount", 0.1, -0.99, 10.0)]
LogSpread = Annotated[float, Unit("log points", "standard deviation of a logarithm", 0.25, 0.001, 3.0)]
Level = Annotated[float, Unit("share of 1", "coverage of a band", 0.9, 0.5, 0.999)]

# Data centres. A PUE below one would be a site that uses less than its computers; no year is a forecast before 2026.
Pue = Annotated[float, Unit("ratio", "energy of a whole site per energy of its computers", 1.4, 1.0, 3.0)]
TargetYear = Annotated[int, Unit("", "year that is forecast", 2030, 2026, 2035, grouped=False)]

# Records of risk. The insurer's run from 1961 to 2017; a thousand deaths a year is where UCDP speaks of war.
DeathsPerYear = Annotated[int, Unit("deaths a year", "deaths in state-based conflict", 1_000, 25, 1_000_000)]
InsuranceYear = Annotated[int, Unit("", "a year of the insurer's records", 1991, 1966, 2012, grouped=False)]

# Time, counts and the chain.
Days = Annotated[int, Unit("days", "length of time", 360, 1, 10_000)]
EventDay = Annotated[int, Unit("trading days", "distance from the day of an event", -1, -250, 250)]
Hours = Annotated[float, Unit("hours", "length of time", 24.0, 0.01, 100_000.0)]
Years = Annotated[float, Unit("years", "length of time", 4.0, 0.1, 100.0)]
HalvingNumber = Annotated[int, Unit("", "which of the halvings so far", 4, 1, 4)]
BlockHeight = Annotated[int, Unit("block", "height in the chain", 840_000, 0, 13_440_000)]
Count = Annotated[int, Unit("", "how many", 1_000, 1, 1_000_000)]
Paths = Annotated[int, Unit("paths", "how many simulated futures", 20_000, 100, 100_000)]
Seed = Annotated[int, Unit("", "seed of the random numbers", 840000, 0, 2**32 - 1, grouped=False)]
Day = Annotated[str, Unit("", "a day of the calendar", "2026-06-01", "2009-01-03", "2140-12-31")]
Vintage = Annotated[str, Unit("", "last day of publication in use", "2026-11-21", "2025-06-30", "2026-12-31")]

# Words. Which machines and tickers exist is known to tables alone, so the notebook checks the name against its own.
Text = Annotated[str, Unit("", "a line of text", "West Texas site", 1, 200)]
RigModel = Annotated[str, Unit("", "a mining machine's model name", "Antminer S21", 1, 80)]
Ticker = Annotated[str, Unit("", "a share, fund or coin by its short name", "IREN", 1, 12)]

# Changes. -0.3 is a fall by 30 per cent; a fall by everything would leave nothing to divide by.
RelativeChange = Annotated[float, Unit("share of 1", "a change, relative to what was", -0.3, -0.99, 10.0)]
