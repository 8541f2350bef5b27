"""What each publisher is asked, and how its answer is read into cells, in the units and rounding of the card.

Each answer begins with rows that are held, so that the two can be compared, and goes on without a gap. It may end
before yesterday (a figure not out yet, or as many days as one answer holds); the next refresh goes on from there.

Coin Metrics has a Python client, `coinmetrics-api-client`. It is not used: it asks for older pandas, python-dateutil
and websocket-client than this project stands on, and it has no time limit. What is needed is one GET.
"""

import datetime as dt
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import pandas as pd

from wattshift import bitcoin
from wattshift.refresh import chain
from wattshift.refresh.ask import Ask
from wattshift.refusal import Refusal
from wattshift.units import (
    BLOCKS_PER_DAY,
    BLOCKS_PER_RETARGET,
    HASHES_PER_DIFFICULTY,
    SECONDS_PER_BLOCK,
    SECONDS_PER_DAY,
    plain,
)

OVERLAP_DAYS = 30  # days held that are asked for again and compared
OVERLAP_PERIODS = 26
MOST_DAYS, MOST_CANDLES = 10_000, 300  # in one answer: of Coin Metrics, of Coinbase Exchange

Row = tuple[str, ...]


@dataclass(frozen=True)
class Adapter:
    """How one publisher serves one kind of table.

    address : where its interface lies, without the path that `fetch` asks for
    source  : what `obtained_via` of the card calls it
    columns : the columns of the tables it can renew, in order
    fetch   : (ask, held rows, today) -> rows as cells, oldest first: some of the newest held ones, then newer ones
    check   : (frame, position of the first new row) -> nothing, or a Refusal where the new rows contradict the rules
    slack   : column -> relative difference that rounding may make between a held and a fetched cell
    """

    address: str
    source: str
    columns: tuple[str, ...]
    fetch: Callable[[Ask, Sequence[Row], dt.date], list[Row]]
    check: Callable[[pd.DataFrame, int], None]
    slack: Mapping[str, float]


# ---------------------------------------------------------------- Coin Metrics: days of the network

METRICS = ("PriceUSD", "HashRate", "BlkCnt", "IssTotNtv", "FeeTotNtv")


def fetch_days(ask: Ask, held: Sequence[Row], today: dt.date) -> list[Row]:
    """Days of btc_network_daily from Coin Metrics, from OVERLAP_DAYS before the last one held to yesterday at most.

    Days at the end for which a figure is not out yet (null) are left out; in the midst, a null is refused.
    """
    start = _overlap(held)
    params = {
        "assets": "btc",
        "metrics": ",".join(METRICS),
        "frequency": "1d",
        "start_time": start.isoformat(),
        "end_time": (today - dt.timedelta(1)).isoformat(),
        "paging_from": "start",
        "page_size": str(MOST_DAYS),
    }
    answer = ask("timeseries/asset-metrics", params)
    found = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise Refusal("Coin Metrics sent JSON without a list named data.")
    for record in found:
        for name in ("asset", "time", *METRICS):
            if not isinstance(record, dict) or name not in record:
                raise Refusal(f"Coin Metrics sent a day without {name}.")
    while found and any(found[-1][name] is None for name in METRICS):
        found.pop()
    days = [(_midnight(record["time"]), record) for record in found]
    rows = [day_row(day, record) for day, record in days if day < today]
    _consecutive("Coin Metrics", rows, start)
    return rows


def day_row(day: dt.date, record: Mapping[str, Any]) -> Row:
    """One day of Coin Metrics as cells: hashrate in EH/s, difficulty from it, everything rounded as the card says.

    difficulty = hashrate x 600 x 144 / (blocks x 2^32), the hashrate in hashes per second (Coin Metrics gives TH/s).

    >>> day = {"asset": "btc", "PriceUSD": "71328.7312", "HashRate": "932513615.581", "BlkCnt": "135",
    ...        "IssTotNtv": "421.875", "FeeTotNtv": "3.55204"}
    >>> day_row(dt.date(2026, 6, 1), day)
    ('2026-06-01', '71328.73', '932.514', '138955357000000', '135', '421.875', '3.552')
    """
    if record["asset"] != "btc":
        raise Refusal(f"Coin Metrics sent {_shown(record['asset'])} where btc was asked for.")
    price, terahash, blocks, issuance, fees = (
        _number("Coin Metrics", f"{name} of {day}", record[name]) for name in METRICS
    )
    if blocks < 1 or blocks % 1:
        raise Refusal(f"Coin Metrics gives {digits(blocks)} blocks for {day}.")
    difficulty = terahash * 10**12 * SECONDS_PER_BLOCK * BLOCKS_PER_DAY / (blocks * HASHES_PER_DIFFICULTY)
    return (
        day.isoformat(),
        price_cell(price),
        digits(significant(terahash / 10**6, 6)),
        digits(significant(difficulty, 9)),
        digits(blocks),
        digits(issuance),
        digits(round(fees, 4)),
    )


def _midnight(given: Any) -> dt.date:
    match = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T00:00:00(\.0+)?Z", given) if isinstance(given, str) else None
    try:
        return dt.date.fromisoformat(match[1] if match else "")
    except ValueError:
        raise Refusal(f"Coin Metrics sent {_shown(given)} as the time of a day.") from None


# ---------------------------------------------------------------- mempool.space: periods of 2,016 blocks


def fetch_periods(ask: Ask, held: Sequence[Row], today: dt.date) -> list[Row]:
    """Retarget periods of difficulty_retargets from mempool.space, from the 26th last one held to the newest.

    The answer is a list of [Unix time, height, difficulty, change], newest first. A difficulty that does not follow
    from the length of the period before it is refused, and so is one that no block header can hold.
    """
    answer = ask("v1/mining/difficulty-adjustments/all", {})
    if not isinstance(answer, list):
        raise Refusal("mempool.space sent JSON that is not a list.")
    start, ends = int(held[-OVERLAP_PERIODS:][0][0]), time_of(today) + SECONDS_PER_DAY
    found: list[tuple[int, int, float]] = []
    for entry in answer:
        if not isinstance(entry, list) or len(entry) < 3 or any(type(part) is not int for part in entry[:2]):
            raise Refusal("mempool.space sent a row that is not a time, a height and a difficulty.")
        seconds, height = entry[:2]
        if height >= start:
            if not 0 <= seconds < ends:
                raise Refusal(f"mempool.space dates height {height:,} before 1970 or later than today.")
            found.append((height, seconds, float(_number("mempool.space", f"difficulty at {height:,}", entry[2]))))
    found.sort()
    expected = range(start, start + BLOCKS_PER_RETARGET * len(found), BLOCKS_PER_RETARGET)
    if not found or [height for height, _, _ in found] != list(expected):
        raise Refusal(
            f"mempool.space did not send every period of {BLOCKS_PER_RETARGET:,} blocks from height {start:,} on, "
            "each once."
        )
    for before, after in itertools.pairwise(found):
        chain.follows(after[0], before[2], after[2], after[1] - before[1])
    return [period_row(*entry) for entry in found]


def period_row(height: int, seconds: int, difficulty: float) -> Row:
    """One period as cells. The difficulty must be that of a target in compact form, to 12 digits, and is given exactly.

    >>> period_row(951552, 1780012800, 138955357012247.31)
    ('951552', '2026-05-29', '138955357012247.3')
    """
    exact = bitcoin.difficulty_from_bits(bitcoin.bits_from_difficulty(difficulty)) if difficulty >= 1 else 0.0
    if abs(exact - difficulty) > 1e-12 * exact:
        raise Refusal(
            f"mempool.space gives difficulty {plain(difficulty)} at height {height:,}, which no block header can hold."
        )
    return str(height), dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat(), plain(exact, grouped=False)


# ---------------------------------------------------------------- Coinbase Exchange: closing prices


def fetch_closes(ask: Ask, held: Sequence[Row], today: dt.date) -> list[Row]:
    """Daily closes of BTC-USD from Coinbase Exchange, from OVERLAP_DAYS before the last one held, at most MOST_CANDLES.

    A candle is [Unix time of its start, low, high, open, close, volume]; the close must lie between low and high.
    """
    start = _overlap(held)
    end = min(start + dt.timedelta(MOST_CANDLES - 1), today - dt.timedelta(1))
    params = {"granularity": str(SECONDS_PER_DAY), "start": f"{start}T00:00:00Z", "end": f"{end}T00:00:00Z"}
    answer = ask("products/BTC-USD/candles", params)
    if not isinstance(answer, list):
        raise Refusal("Coinbase Exchange sent JSON that is not a list.")
    days = sorted(candle_row(candle) for candle in answer)
    rows = [row for row in days if start.isoformat() <= row[0] <= end.isoformat()]  # it may send more than asked for
    _consecutive("Coinbase Exchange", rows, start)
    return rows


def candle_row(candle: Any) -> Row:
    """One candle as cells.

    >>> candle_row([1780358400, Decimal("65900.1"), Decimal("71500"), Decimal("71300"), Decimal("66658.35"), 9000])
    ('2026-06-02', '66658.35')
    """
    if not isinstance(candle, list) or len(candle) != 6 or type(candle[0]) is not int:
        raise Refusal("Coinbase Exchange sent a candle that is not a time and five numbers.")
    if candle[0] % SECONDS_PER_DAY or not 0 < candle[0] < time_of(dt.date(2200, 1, 1)):
        raise Refusal("Coinbase Exchange sent a candle that does not begin at midnight UTC.")
    day = dt.datetime.fromtimestamp(candle[0], dt.UTC).date().isoformat()
    low, high, _, close, _ = (_number("Coinbase Exchange", f"a figure of {day}", part) for part in candle[1:])
    if not low <= close <= high:
        raise Refusal(f"Coinbase Exchange gives a close for {day} outside the low and the high of the day.")
    return day, price_cell(close)


# ---------------------------------------------------------------- cells


def significant(value: Decimal, figures: int) -> Decimal:
    """Rounded to so many significant digits, half to even.

    >>> significant(Decimal("932.5140127"), 6)
    Decimal('932.514')
    """
    return Context(prec=figures).plus(value)


def digits(value: Decimal) -> str:
    """Plain digits without exponent or trailing zeros, as every table has them.

    >>> digits(Decimal("1.389E+14")), digits(Decimal("450.000"))
    ('138900000000000', '450')
    """
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def price_cell(price: Decimal) -> str:
    """A price in USD per BTC to 2 decimals; to 5 significant digits below 10 USD.

    >>> price_cell(Decimal("71328.725")), price_cell(Decimal("9.876543")), price_cell(Decimal("10"))
    ('71328.72', '9.8765', '10')
    """
    return digits(significant(price, 5) if price < 10 else round(price, 2))


def time_of(day: dt.date) -> int:
    """Unix time of the first second of a day, UTC."""
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp())


def _overlap(held: Sequence[Row]) -> dt.date:
    """The first of the days held that are asked for again."""
    return dt.date.fromisoformat(held[-OVERLAP_DAYS:][0][0])


def _consecutive(publisher: str, rows: Sequence[Row], start: dt.date) -> None:
    """Refusal unless the rows run day by day from `start` on, each once, none missing."""
    if not rows:
        raise Refusal(f"{publisher} sent no day from {start} on.")
    for i, row in enumerate(rows):
        expected = start + dt.timedelta(i)
        if row[0] != expected.isoformat():
            raise Refusal(f"{publisher} sent {row[0]} where {expected} was expected.")


def _number(publisher: str, what: str, given: Any) -> Decimal:
    """A finite number that is not negative, sent as a number or as its digits."""
    if isinstance(given, str) and re.fullmatch(r"[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", given):
        return Decimal(given)
    if isinstance(given, (int, Decimal)) and not isinstance(given, bool) and 0 <= given < 10**40:
        return Decimal(given)
    raise Refusal(f"{publisher} sent {_shown(given)} as {what}, which is not a number from 0 on.")


def _shown(given: Any) -> str:
    """A value from outside as one short printable word in quotation marks."""
    text = "".join(c if c.isprintable() else "?" for c in str(given))
    return json.dumps(text if len(text) <= 120 else text[:117] + "...", ensure_ascii=False)


ADAPTERS = {
    "coin_metrics": Adapter(
        address="https://community-api.coinmetrics.io/v4",
        source="Coin Metrics community API v4, timeseries/asset-metrics",
        columns=("date", "price_usd", "hashrate_ehs", "difficulty", "blocks", "issuance_btc", "fees_btc"),
        fetch=fetch_days,
        check=chain.check_days,
        slack={"price_usd": 1e-6, "hashrate_ehs": 1e-5, "difficulty": 1e-8, "fees_btc": 1e-4},
    ),
    "mempool_space": Adapter(
        address="https://mempool.space/api",
        source="mempool.space API, mining/difficulty-adjustments",
        columns=("height", "date", "difficulty"),
        fetch=fetch_periods,
        check=lambda frame, new: None,  # noqa: ARG005  # the step of each period was held to the rule when it was read
        slack={"difficulty": 1e-12},
    ),
    "coinbase_exchange": Adapter(
        address="https://api.exchange.coinbase.com",
        source="Coinbase Exchange API, products/BTC-USD/candles",
        columns=("date", "price_usd"),
        fetch=fetch_closes,
        check=chain.check_prices,
        slack={"price_usd": 1e-6},
    ),
}
