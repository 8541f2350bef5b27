"""What the rules of the chain say about newer rows: counted from the first block on, with nothing taken on trust."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from wattshift import bitcoin
from wattshift.refusal import Refusal
from wattshift.units import BLOCKS_PER_RETARGET, SATOSHI_PER_BTC, SECONDS_PER_DAY, plain

FIRST_DAY = dt.date(2009, 1, 9)  # the first day with a block after genesis; from it, blocks can be counted to heights
FEWEST_BLOCKS, MOST_BLOCKS = 40, 300  # in a day; from 2012 to 2026-06-01 days had 58 to 260
PRICE_FACTOR = 2.0  # between two days; from 2014 to 2026-06-01 the largest was 1.60
LEVEL_SLACK = 1e-6  # relative; difficulty has 9 digits, and since 2012 no day was off its period by more than 1e-7
SPAN_SLACK = 0.03  # relative; a period's length read off header times or off the place of a block within its day


def check_days(frame: pd.DataFrame, new: int) -> None:
    """Refusal if days of btc_network_daily from position `new` on contradict the chain. All days before are needed.

    The blocks of all days since 2009-01-09, counted up, are heights; so for each day the rules say
    - its new coins: the subsidy of each of its heights, exactly (halving days too);
    - its mean difficulty: the one of its period of 2,016 blocks, or the mixture of two in the shares of their blocks;
    - the step from one period's difficulty to the next: two weeks over the time that the period took, in [1/4, 4].
    The hashrate of the table is difficulty x 2^32 / 600 x blocks / 144. Blocks and price must be plausible besides.
    """
    if frame.date.iloc[0].date() != FIRST_DAY:
        raise Refusal(f"heights cannot be counted in a table that does not begin on {FIRST_DAY}.")
    for date, blocks in zip(frame.date[new:], frame.blocks[new:], strict=True):
        if not FEWEST_BLOCKS <= blocks <= MOST_BLOCKS:
            raise Refusal(f"{date.date()} has {blocks} blocks; a day has {FEWEST_BLOCKS} to {MOST_BLOCKS}.")
    check_prices(frame, new)
    since = max(new - 60, 0)  # four periods before are enough to know where the last one began
    last = frame.blocks.cumsum()[since:]
    first = last - frame.blocks[since:] + 1
    days = [
        _Day(date.date(), float(i), int(low), int(high), float(mean))
        for i, date, low, high, mean in zip(
            last.index, frame.date[since:], first, last, frame.difficulty[since:], strict=True
        )
    ]
    levels, begins = _periods(days)
    for day in days[new - since :]:
        coins = _subsidies(day.first, day.last)
        issued = float(frame.issuance_btc[int(day.number)])
        if round(issued * SATOSHI_PER_BTC) != coins:
            raise Refusal(
                f"{day.date} has {plain(issued)} BTC of new coins, but heights {day.first:,} to {day.last:,} allow "
                f"{plain(coins / SATOSHI_PER_BTC)}."
            )
        share = day.share
        expected = share * levels[day.period] + (1 - share) * levels.get(day.opened_in, levels[day.period])
        if abs(day.difficulty / expected - 1) > LEVEL_SLACK:
            raise Refusal(
                f"{day.date} has a mean difficulty of {day.difficulty:,.0f}, and its hashrate with it, but the "
                f"rules of the chain give {expected:,.0f} for heights {day.first:,} to {day.last:,}."
            )
        if day.opened_in in begins and day.opened_in != day.period:
            seconds = (begins[day.period] - begins[day.opened_in]) * SECONDS_PER_DAY
            follows(day.period * BLOCKS_PER_RETARGET, levels[day.opened_in], levels[day.period], seconds)


def check_prices(frame: pd.DataFrame, new: int) -> None:
    """Refusal if a price from position `new` on is not that of the day before within PRICE_FACTOR."""
    for i in range(max(new, 1), len(frame)):
        before, price = float(frame.price_usd.iloc[i - 1]), float(frame.price_usd.iloc[i])
        if not before / PRICE_FACTOR <= price <= before * PRICE_FACTOR:
            raise Refusal(
                f"{frame.date.iloc[i].date()} has a price of {plain(price)} USD after {plain(before)} USD; a change by "
                f"more than a factor of {PRICE_FACTOR:g} in a day is taken for an error."
            )


def follows(height: int, before: float, after: float, seconds: float) -> None:
    """Refusal unless a period's difficulty follows from the one before and the time that one took."""
    factor = after / before if before > 0 else 0.0
    allowed = bitcoin.clamped_factor(seconds)
    if not abs(factor / allowed - 1) <= SPAN_SLACK:
        raise Refusal(
            f"difficulty changes by a factor of {factor:.4g} at height {height:,}, but the period before took "
            f"{seconds / SECONDS_PER_DAY:.1f} days, for which the rules of the chain give {allowed:.4g}."
        )


@dataclass(frozen=True)
class _Day:
    """A day's place (days since the table begins), its heights from `first` to `last`, and its mean difficulty."""

    date: dt.date
    number: float
    first: int
    last: int
    difficulty: float

    @property
    def opened_in(self) -> int:
        """The period of its first block."""
        return self.first // BLOCKS_PER_RETARGET

    @property
    def period(self) -> int:
        """The period of its last block."""
        return self.last // BLOCKS_PER_RETARGET

    @property
    def share(self) -> float:
        """Share of its blocks in the period of the last one."""
        inside = self.last - max(self.first, self.period * BLOCKS_PER_RETARGET) + 1
        return inside / (self.last - self.first + 1)


def _periods(days: Sequence[_Day]) -> tuple[dict[int, float], dict[int, float]]:
    """Of each period: its difficulty, and when its first block came, in days since the table begins.

    The difficulty is that of its first whole day; if there is none yet, what the day that opens it leaves for it.
    """
    levels: dict[int, float] = {}
    begins: dict[int, float] = {}
    for day in days:
        if day.opened_in == day.period:
            levels.setdefault(day.period, day.difficulty)
        else:
            begins[day.period] = day.number + 1 - day.share
    for day in days:
        if day.period not in levels:
            levels[day.period] = (day.difficulty - (1 - day.share) * levels[day.opened_in]) / day.share
    return levels, begins


def _subsidies(first: int, last: int) -> int:
    """Satoshi of subsidy from height `first` to `last`, both included."""
    low, high = bitcoin.subsidy_satoshi(first), bitcoin.subsidy_satoshi(last)
    if low == high:
        return low * (last - first + 1)
    return sum(bitcoin.subsidy_satoshi(height) for height in range(first, last + 1))
