"""Fetch newer rows of a table from its publisher, check them, and replace table and card together or not at all.

This is the project's only door to the network, and no notebook calls it. `refresh(name, today)` goes four steps:

1. ask     : `asker` is the one function that opens a connection; an `Adapter` says what to ask a publisher, and turns
             the answer into cells as the card's `transformations` describe them (units, rounding).
2. check   : the rows held and the rows that came must agree where both have a day (`merge`); every column must fit the
             card, a maximum moved up to twice its value at most, and said so; the new rows must obey the chain's rules
             (`check_network_days`, `check_retargets`). All of this is pure: cells and frames in, a Refusal out.
3. plan    : the new bytes of the table and the new text of its card, which is then read back and compared (`plan`).
4. replace : both files are written beside the old ones and synced; then the card is put in place, then the table. A
             stop before leaves the old pair, a stop after the new one; a stop between is told by `data.load` in one
             sentence, and the next refresh finishes it first of all, without a network (`finish`).

Any fault is a `Refusal` of one sentence that begins with "<table> stays as it is", and no file is changed.

Coin Metrics has a Python client of its own, `coinmetrics-api-client`. It is not used, for reasons measured. Its release
2026.10.23.19 asks for pandas < 3, python-dateutil < 3 and websocket-client < 1.9, where this project stands on pandas
3.1, python-dateutil 4 and websocket-client 1.9: the two cannot be installed together, and under our lock a resolver
goes back to 2022.1.19.22.0. The newest release that a resolver finds beside pandas 3.1, 2025.3.3.16, takes
python-dateutil back to 2.9, imports polars though it calls it optional, and cannot be pointed at another host. In an
environment of its own the newest takes 487 MB, and it has no time limit: for a silent server it still waited after
25 s, without any server it still tried after 35 s; a 429 without a header of theirs ended in a KeyError.
What is needed is one GET with a page token, which the standard library does. The two ask alike: a server that gave this
client its pages was asked with the same words (`assets`, `metrics`, `frequency`, `start_time`, `next_page_token`).
"""

import datetime as dt
import http.client
import itertools
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from wattshift import bitcoin, data
from wattshift.data import PENDING, Card
from wattshift.refusal import Refusal
from wattshift.units import (
    BLOCKS_PER_DAY,
    BLOCKS_PER_RETARGET,
    HASHES_PER_DIFFICULTY,
    SATOSHI_PER_BTC,
    SECONDS_PER_BLOCK,
    SECONDS_PER_DAY,
    plain,
)

if sys.platform != "win32":
    import fcntl

COIN_METRICS = "https://community-api.coinmetrics.io/v4"
MEMPOOL_SPACE = "https://mempool.space/api"
COINBASE_EXCHANGE = "https://api.exchange.coinbase.com"

TIMEOUT_SECONDS = 30.0  # for a whole answer, not only for its first byte
MAX_ANSWER_BYTES = 32_000_000
MAX_PAGES = 50
PAGE_DAYS = 1_000  # days asked for in one page of Coin Metrics (it allows 10,000)
PAGE_CANDLES = 300  # the most that Coinbase gives in one answer
OVERLAP_DAYS = 30  # days we hold that are asked for again and compared

FIRST_DAY = dt.date(2009, 1, 9)  # the first day with a block after genesis; from it, blocks can be counted to heights
FEWEST_BLOCKS, MOST_BLOCKS = 40, 300  # in a day; from 2012 to 2026-06-01 days had 58 to 260
PRICE_FACTOR = 2.0  # between two days; from 2014 to 2026-06-01 the largest was 1.60
LEVEL_SLACK = 1e-6  # relative; difficulty has 9 digits, and since 2012 no day was off its period by more than 1e-7
SPAN_SLACK = 0.03  # relative; a period's length read off header times or off the place of a block within its day
WIDEST = 2  # a maximum on a card is moved up to this many times its value, no further

Row = tuple[str, ...]
Ask = Callable[[str, Mapping[str, str]], Any]


# ---------------------------------------------------------------- what a refresh is


@dataclass(frozen=True)
class Adapter:
    """How one publisher serves one kind of table.

    address : where its interface lies, without the path that `fetch` asks for
    source  : what `obtained_via` of the card calls it
    columns : the columns of the tables it can renew, in order
    fetch   : (ask, held rows, today) -> rows as cells, oldest first, some of the newest held ones and all newer ones
    check   : (frame, position of the first new row) -> nothing, or a Refusal where the new rows contradict the rules
    vintage : newest key -> the card's field `vintage`
    slack   : column -> (relative, absolute) difference that rounding may make between a held and a fetched cell
    """

    address: str
    source: str
    columns: tuple[str, ...]
    fetch: Callable[[Ask, Sequence[Row], dt.date], list[Row]]
    check: Callable[[pd.DataFrame, int], None]
    vintage: Callable[[str], str]
    slack: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What a refresh changed, or would change.

    compared : held rows that the publisher sent again and that agree
    added    : new rows; filled: held cells that were blank and got a value
    widened  : a sentence for each maximum that had to be moved up
    terms    : what the card says about passing the rows on, unless they are free
    finished : nothing was asked; a refresh that had been stopped between its two files was finished
    """

    name: str
    rows: int
    compared: int
    added: int
    filled: int
    first: str
    last: str
    last_row: Mapping[str, str]
    widened: tuple[str, ...]
    terms: str = ""
    finished: bool = False

    def lines(self) -> list[str]:
        """The change in sentences, for the terminal."""
        if self.finished:
            return [
                f"{self.name}: a refresh that had been stopped is finished now; {self.rows:,} rows, to {self.last}."
            ]
        if not (self.added or self.filled):
            return [f"{self.name}: nothing newer; the {self.compared} rows sent again agree. Nothing was changed."]
        text = f"{self.name}: {self.added:,} rows added"
        text += f" ({self.first} to {self.last})" if self.added else ""
        text += f", {self.filled} blank cells filled" if self.filled else ""
        values = ", ".join(f"{column} {cell or 'blank'}" for column, cell in self.last_row.items())
        return [
            f"{text}; {self.rows:,} rows now.",
            f"Compared with rows held: {self.compared}, all agree.",
            f"Last row: {values}.",
            *self.widened,
            *([f"Before you pass the new rows on: {self.terms}"] if self.terms else []),
        ]


@dataclass(frozen=True)
class Plan:
    """The two files as they would be, the checksum of the table they replace, and what changes."""

    change: Change
    table: bytes
    card: str
    replaces: str


@dataclass(frozen=True)
class Stale:
    """A table that is older than its usual interval: its newest day, both lengths in days, and how to renew it."""

    name: str
    newest: dt.date
    age_days: int
    interval_days: int
    how: str


# ---------------------------------------------------------------- the door


def refresh(
    name: str,
    today: dt.date,
    *,
    address: str | None = None,
    timeout: float = TIMEOUT_SECONDS,
    dry_run: bool = False,
) -> Change:
    """Renew one table of the data folder from its publisher; the folder changes as a whole or not at all.

    today   : the day of asking, UTC; days from it on are not over and are left out. It becomes the card's `date_read`
    address : instead of the adapter's own, for a mirror or a test
    timeout : seconds that one answer may take as a whole
    dry_run : check everything and change nothing

    Raises Refusal if the table is unknown, damaged, or renewed by hand; if the publisher cannot be reached, refuses, or
    sends what is malformed; or if what it sent contradicts the rows held, the card, or the chain.
    """
    with _alone():
        finished = finish(name)
    of, text, content = data.raw(name)
    held = data.read_cells(of, content)
    if finished:
        place = [column.name for column in of.columns].index(of.primary_key[0])
        return Change(name, len(held), 0, 0, 0, "", held[-1][place], {}, (), finished=True)
    adapter = adapter_of(of)
    try:
        fetched = adapter.fetch(asker(address or adapter.address, timeout), held, today)
        ready = plan(of, text, content, adapter, fetched, today)
    except Refusal as refusal:
        raise Refusal(f"{name} stays as it is: {refusal}") from None
    if not dry_run and (ready.change.added or ready.change.filled):
        with _alone():
            replace(name, ready)
            _list_in_readme(data.card(name))
    return ready.change


def adapter_of(of: Card) -> Adapter:
    """The adapter that a card names; Refusal with the card's own words if it is renewed by hand."""
    if of.refresh is None:
        raise Refusal(f"{of.name} is renewed by hand: its card does not say how; see data/README.md.")
    if of.refresh.by_hand is not None:
        raise Refusal(f"{of.name} is renewed by hand: {of.refresh.by_hand.rstrip('.')}.")
    if of.refresh.adapter not in ADAPTERS:
        raise Refusal(f"{of.name}.yml names the adapter {of.refresh.adapter}; there are {', '.join(ADAPTERS)}.")
    adapter = ADAPTERS[of.refresh.adapter]
    if tuple(column.name for column in of.columns) != adapter.columns:
        raise Refusal(
            f"{of.name}.yml names the adapter {of.refresh.adapter}, which fills {', '.join(adapter.columns)} "
            "and no other columns."
        )
    return adapter


def stale(cards: Sequence[Card], today: dt.date) -> list[Stale]:
    """The tables that are older than their usual interval, oldest first.

    A table with an adapter is as old as its last day; one renewed by hand, as the day on which it was last read. A card
    without `interval_days` never goes stale.
    """
    found = []
    for of in cards:
        newest = of.date_read
        if of.refresh and of.refresh.adapter and of.range and len(of.range.split("..")[1]) == 10:
            newest = dt.date.fromisoformat(of.range.split("..")[1])
        age = (today - newest).days
        if of.interval_days is not None and age > of.interval_days:
            by_hand = of.refresh.by_hand if of.refresh else "see data/README.md"
            found.append(Stale(of.name, newest, age, of.interval_days, by_hand or f"run wattshift refresh {of.name}"))
    return sorted(found, key=lambda each: each.newest)


# ---------------------------------------------------------------- the network: one function


def asker(address: str, timeout: float = TIMEOUT_SECONDS) -> Ask:
    """A function that GETs `address/path?params` and gives the JSON answer; numbers with a point come as Decimal.

    Raises Refusal, in one sentence that names the host: no connection, no whole answer within `timeout` seconds, an
    answer with an error status (with the publisher's own words), one that is too long, cut off or not JSON.
    """
    host = urllib.parse.urlsplit(address).netloc

    def ask(path: str, params: Mapping[str, str]) -> Any:
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        request = urllib.request.Request(
            f"{address}/{path}{query}", headers={"Accept": "application/json", "User-Agent": "wattshift"}
        )
        ends = time.monotonic() + timeout
        body = b""
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                while piece := answer.read1(65_536):
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise Refusal(f"{host} sent more than {MAX_ANSWER_BYTES // 1_000_000} MB.")
                    if time.monotonic() > ends:
                        raise TimeoutError
                promised = answer.headers.get("Content-Length", "")
        except urllib.error.HTTPError as error:
            with error:
                raise Refusal(_status_said(host, error)) from None
        except TimeoutError:
            raise Refusal(f"{host} gave no whole answer within {timeout:g} seconds.") from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise Refusal(f"{host} gave no whole answer within {timeout:g} seconds.") from None
            raise Refusal(f"{host} cannot be reached ({_why(error.reason)}); look at the network.") from None
        except (http.client.HTTPException, OSError) as error:
            raise Refusal(f"the answer of {host} broke off ({_why(error)}); try again.") from None
        if promised.isdigit() and len(body) < int(promised):
            raise Refusal(f"the answer of {host} broke off after {len(body):,} of {promised} bytes; try again.")
        try:
            return json.loads(body, parse_float=Decimal, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise Refusal(
                f"the answer of {host} is not JSON, or was cut off ({len(body):,} bytes); try again."
            ) from None

    return ask


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _why(error: object) -> str:
    return _shown(getattr(error, "strerror", None) or type(error).__name__)


def _status_said(host: str, error: urllib.error.HTTPError) -> str:
    """What an error status means, with the publisher's words if it gave any."""
    said = ""
    try:
        answer = json.loads(error.read(10_000))
        reason = answer.get("error", answer)
        said = str(reason.get("message", "") if isinstance(reason, dict) else reason)
    except (ValueError, AttributeError, OSError, http.client.HTTPException, RecursionError):
        said = str(error.reason)
    words = f" ({_shown(said)})" if said.strip() else ""
    if error.code == 429:
        wait = error.headers.get("Retry-After") or error.headers.get("x-ratelimit-reset") or ""
        when = f"in {wait} seconds" if wait.isdigit() else "later"
        return f"{host} was asked too often (status 429){words}; try again {when}."
    if error.code in (401, 403):
        return f"{host} does not give this to us (status {error.code}){words}."
    hint = "; try again later" if error.code >= 500 else "; its interface may have changed"
    return f"{host} answered with status {error.code}{words}{hint}."


# ---------------------------------------------------------------- adapters: answers as cells

COIN_METRICS_METRICS = ("PriceUSD", "HashRate", "BlkCnt", "IssTotNtv", "FeeTotNtv")


def fetch_coin_metrics(ask: Ask, held: Sequence[Row], today: dt.date) -> list[Row]:
    """Days of btc_network_daily from Coin Metrics, from OVERLAP_DAYS before the last one held to yesterday.

    Days at the end for which a figure is not out yet (null) are left out; in the midst, a null is refused.
    """
    last = dt.date.fromisoformat(held[-1][0])
    start = max(last - dt.timedelta(OVERLAP_DAYS - 1), dt.date.fromisoformat(held[0][0]))
    params = {
        "assets": "btc",
        "metrics": ",".join(COIN_METRICS_METRICS),
        "frequency": "1d",
        "start_time": start.isoformat(),
        "end_time": (today - dt.timedelta(1)).isoformat(),
        "paging_from": "start",
        "page_size": str(PAGE_DAYS),
    }
    found = [record for page in _pages(ask, "timeseries/asset-metrics", params) for record in page]
    for record in found:
        for name in ("asset", "time", *COIN_METRICS_METRICS):
            if not isinstance(record, dict) or name not in record:
                raise Refusal(f"Coin Metrics sent a day without {name}.")
    while found and any(found[-1][name] is None for name in COIN_METRICS_METRICS):
        found.pop()
    days = [_midnight(record["time"]) for record in found]
    keep = [(day, record) for day, record in zip(days, found, strict=True) if day < today]
    _consecutive("Coin Metrics", [day for day, _ in keep], start)
    return [coin_metrics_row(day, record) for day, record in keep]


def coin_metrics_row(day: dt.date, record: Mapping[str, Any]) -> Row:
    """One day of Coin Metrics as cells: hashrate in EH/s, difficulty from it, everything rounded as the card says.

    difficulty = hashrate x 600 x 144 / (blocks x 2^32), the hashrate in hashes per second (Coin Metrics gives TH/s).

    >>> day = {"asset": "btc", "PriceUSD": "71328.7312", "HashRate": "932513615.581", "BlkCnt": "135",
    ...        "IssTotNtv": "421.875", "FeeTotNtv": "3.55204"}
    >>> coin_metrics_row(dt.date(2026, 6, 1), day)
    ('2026-06-01', '71328.73', '932.514', '138955357000000', '135', '421.875', '3.552')
    """
    if record["asset"] != "btc":
        raise Refusal(f"Coin Metrics sent {_shown(record['asset'])} where btc was asked for.")
    numbers = {name: _number("Coin Metrics", f"{name} of {day}", record[name]) for name in COIN_METRICS_METRICS}
    blocks = numbers["BlkCnt"]
    if blocks != blocks.to_integral_value() or not FEWEST_BLOCKS <= blocks <= MOST_BLOCKS:
        raise Refusal(
            f"Coin Metrics gives {digits(blocks)} blocks for {day}; a day has {FEWEST_BLOCKS} to {MOST_BLOCKS}."
        )
    terahash = numbers["HashRate"]
    difficulty = terahash * 10**12 * SECONDS_PER_BLOCK * BLOCKS_PER_DAY / (blocks * HASHES_PER_DIFFICULTY)
    return (
        day.isoformat(),
        price_cell(numbers["PriceUSD"]),
        digits(significant(terahash / 10**6, 6)),
        digits(significant(difficulty, 9)),
        digits(blocks),
        digits(numbers["IssTotNtv"]),
        digits(round(numbers["FeeTotNtv"], 4)),
    )


def _pages(ask: Ask, path: str, params: Mapping[str, str]) -> Iterator[list[Any]]:
    """The pages of a Coin Metrics answer. Only the token is taken from an answer, never an address to go to."""
    seen: set[str] = set()
    token = ""
    for _ in range(MAX_PAGES):
        answer = ask(path, {**params, "next_page_token": token} if token else params)
        page = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(page, list):
            raise Refusal("Coin Metrics sent JSON without a list named data.")
        yield page
        following = answer.get("next_page_token")
        if following is None or following == "":
            return
        if not isinstance(following, str) or following in seen:
            raise Refusal("Coin Metrics sent a page token that leads nowhere new.")
        seen.add(following)
        token = following
    raise Refusal(f"Coin Metrics sent more than {MAX_PAGES} pages.")


def fetch_mempool_space(ask: Ask, held: Sequence[Row], today: dt.date) -> list[Row]:
    """Retarget periods of difficulty_retargets from mempool.space, from the 26th last one held to the newest.

    The answer is a list of [Unix time, height, difficulty, change], newest first. A difficulty is taken only if it is
    that of a target which a block header can hold, and is written as that target's own (see `retarget_row`); one that
    does not follow from the length of the period before it is refused.
    """
    answer = ask("v1/mining/difficulty-adjustments/all", {})
    if not isinstance(answer, list):
        raise Refusal("mempool.space sent JSON that is not a list.")
    start = int(held[max(len(held) - 26, 0)][0])
    found: list[tuple[int, int, float]] = []
    for entry in answer:
        if not isinstance(entry, list) or len(entry) < 3 or any(type(part) is not int for part in entry[:2]):
            raise Refusal("mempool.space sent a row that is not a time, a height and a difficulty.")
        if entry[1] >= start:
            value = _number("mempool.space", f"difficulty at height {entry[1]}", entry[2])
            found.append((entry[1], entry[0], float(value)))
    found.sort()
    heights = [height for height, _, _ in found]
    if heights != list(range(start, start + BLOCKS_PER_RETARGET * len(found), BLOCKS_PER_RETARGET)) or not heights:
        raise Refusal(
            f"mempool.space did not send every period of {BLOCKS_PER_RETARGET:,} blocks from height {start:,} on, "
            "each once."
        )
    for before, after in itertools.pairwise(found):
        _follows(after[0], before[2], after[2], after[1] - before[1])
    limit = time_of(today)
    if found[-1][1] >= limit + SECONDS_PER_DAY:
        raise Refusal(f"mempool.space dates height {found[-1][0]:,} later than today.")
    return [retarget_row(*entry) for entry in found]


def retarget_row(height: int, seconds: int, difficulty: float) -> Row:
    """One period as cells. The difficulty must be that of a target in compact form, to 12 digits, and is given exactly.

    >>> retarget_row(951552, 1780012800, 138955357012247.31)
    ('951552', '2026-05-29', '138955357012247.3')
    """
    exact = bitcoin.difficulty_from_bits(bitcoin.bits_from_difficulty(difficulty)) if difficulty >= 1 else 0.0
    if abs(exact - difficulty) > 1e-12 * exact:
        raise Refusal(
            f"mempool.space gives difficulty {plain(difficulty)} at height {height:,}, which no block header can hold."
        )
    try:
        day = dt.datetime.fromtimestamp(seconds, dt.UTC).date()
    except (ValueError, OverflowError, OSError):
        raise Refusal(f"mempool.space gives no date for height {height:,}.") from None
    return str(height), day.isoformat(), plain(exact, grouped=False)


def fetch_coinbase(ask: Ask, held: Sequence[Row], today: dt.date) -> list[Row]:
    """Daily closes of BTC-USD from Coinbase Exchange, from OVERLAP_DAYS before the last one held to yesterday.

    A candle is [Unix time of its start, low, high, open, close, volume]; the close must lie between low and high.
    """
    first = max(dt.date.fromisoformat(held[-1][0]) - dt.timedelta(OVERLAP_DAYS - 1), dt.date.fromisoformat(held[0][0]))
    found: dict[dt.date, Row] = {}
    start = first
    while start < today:
        end = min(start + dt.timedelta(PAGE_CANDLES - 1), today - dt.timedelta(1))
        params = {"granularity": str(SECONDS_PER_DAY), "start": f"{start}T00:00:00Z", "end": f"{end}T00:00:00Z"}
        answer = ask("products/BTC-USD/candles", params)
        if not isinstance(answer, list):
            raise Refusal("Coinbase Exchange sent JSON that is not a list.")
        for candle in answer:
            day, row = coinbase_row(candle)
            if start <= day <= end:  # it may send some that were not asked for
                if day in found:
                    raise Refusal(f"Coinbase Exchange sent {day} twice.")
                found[day] = row
        start = end + dt.timedelta(1)
    _consecutive("Coinbase Exchange", sorted(found), first)
    return [found[day] for day in sorted(found)]


def coinbase_row(candle: Any) -> tuple[dt.date, Row]:
    """One candle as its day and its cells.

    >>> coinbase_row([1780358400, Decimal("65900.1"), Decimal("71500"), Decimal("71300"), Decimal("66658.35"), 9000])
    (datetime.date(2026, 6, 2), ('2026-06-02', '66658.35'))
    """
    if not isinstance(candle, list) or len(candle) != 6 or type(candle[0]) is not int:
        raise Refusal("Coinbase Exchange sent a candle that is not a time and five numbers.")
    if candle[0] % SECONDS_PER_DAY or not 0 < candle[0] < time_of(dt.date(2200, 1, 1)):
        raise Refusal("Coinbase Exchange sent a candle that does not begin at midnight UTC.")
    day = dt.datetime.fromtimestamp(candle[0], dt.UTC).date()
    low, high, _, close, _ = (_number("Coinbase Exchange", f"a figure of {day}", part) for part in candle[1:])
    if not low <= close <= high:
        raise Refusal(f"Coinbase Exchange gives a close for {day} outside the low and the high of the day.")
    return day, (day.isoformat(), price_cell(close))


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
    """A price in USD per BTC to 2 decimals; to 5 significant digits below 10 USD."""
    return digits(significant(price, 5) if price < 10 else round(price, 2))


def time_of(day: dt.date) -> int:
    """Unix time of the first second of a day, UTC."""
    return int(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC).timestamp())


def _number(publisher: str, what: str, given: Any) -> Decimal:
    """A finite number that is not negative, sent as a number or as its digits."""
    if isinstance(given, str) and re.fullmatch(r"[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", given):
        return Decimal(given)
    if isinstance(given, (int, Decimal)) and not isinstance(given, bool) and 0 <= given < 10**40:
        return Decimal(given)
    raise Refusal(f"{publisher} sent {_shown(given)} as {what}, which is not a number from 0 on.")


def _midnight(given: Any) -> dt.date:
    match = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T00:00:00(\.0+)?Z", given) if isinstance(given, str) else None
    try:
        return dt.date.fromisoformat(match[1] if match else "")
    except ValueError:
        raise Refusal(f"Coin Metrics sent {_shown(given)} as the time of a day.") from None


def _consecutive(publisher: str, days: Sequence[dt.date], start: dt.date) -> None:
    """Refusal unless the days run from `start` on, each once, none missing."""
    if not days:
        raise Refusal(f"{publisher} sent no day from {start} on.")
    for i, day in enumerate(days):
        expected = start + dt.timedelta(i)
        if i and day == days[i - 1]:
            raise Refusal(f"{publisher} sent {day} twice.")
        if day != expected:
            raise Refusal(f"{publisher} sent {day} where {expected} was expected.")


def _shown(given: Any) -> str:
    """A value from outside as one short printable word in quotation marks."""
    text = "".join(c if c.isprintable() else "?" for c in str(given))
    return json.dumps(text if len(text) <= 120 else text[:117] + "...", ensure_ascii=False)


# ---------------------------------------------------------------- checks


def check_network_days(frame: pd.DataFrame, new: int) -> None:
    """Refusal if days of btc_network_daily from position `new` on contradict the chain. All days before are needed.

    The blocks of all days since 2009-01-09, counted up, are heights; so for each day the rules say
    - its new coins: the subsidy of each of its heights, exactly (halving days too);
    - its mean difficulty: the one of its period of 2,016 blocks, or the mixture of two in the shares of their blocks;
    - the step from one period's difficulty to the next: two weeks over the time that the period took, in [1/4, 4].
    The hashrate then is difficulty x 2^32 / 600 x blocks / 144. Blocks and price must be plausible besides.
    """
    if frame.date.iloc[0].date() != FIRST_DAY:
        raise Refusal(f"heights cannot be counted in a table that does not begin on {FIRST_DAY}.")
    for i in range(new, len(frame)):
        _plausible_day(frame, i)
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
            _follows(day.period * BLOCKS_PER_RETARGET, levels[day.opened_in], levels[day.period], seconds)


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


def _plausible_day(frame: pd.DataFrame, i: int) -> None:
    row, day = frame.iloc[i], frame.date.iloc[i].date()
    if not FEWEST_BLOCKS <= row.blocks <= MOST_BLOCKS:
        raise Refusal(f"{day} has {row.blocks} blocks; a day has {FEWEST_BLOCKS} to {MOST_BLOCKS}.")
    _plausible_price(frame, i)
    exact = row.difficulty * HASHES_PER_DIFFICULTY / SECONDS_PER_BLOCK * row.blocks / BLOCKS_PER_DAY / 1e18
    if abs(row.hashrate_ehs / exact - 1) > 2e-5:  # 6 digits
        raise Refusal(f"{day}: hashrate, difficulty and blocks do not fit each other.")


def _plausible_price(frame: pd.DataFrame, i: int) -> None:
    price, before = float(frame.price_usd.iloc[i]), float(frame.price_usd.iloc[max(i - 1, 0)])
    if not (price > 0 and 1 / PRICE_FACTOR <= price / before <= PRICE_FACTOR):
        raise Refusal(
            f"{frame.date.iloc[i].date()} has a price of {plain(price)} USD after {plain(before)} USD; a change by "
            f"more than a factor of {PRICE_FACTOR:g} in a day is taken for an error."
        )


def _subsidies(first: int, last: int) -> int:
    """Satoshi of subsidy from height `first` to `last`, both included."""
    low, high = bitcoin.subsidy_satoshi(first), bitcoin.subsidy_satoshi(last)
    if low == high:
        return low * (last - first + 1)
    return sum(bitcoin.subsidy_satoshi(height) for height in range(first, last + 1))


def _follows(height: int, before: float, after: float, seconds: float) -> None:
    """Refusal unless a period's difficulty follows from the one before and the time that one took."""
    factor = after / before if before > 0 else 0.0
    allowed = bitcoin.clamped_factor(seconds)
    if not abs(factor / allowed - 1) <= SPAN_SLACK:
        raise Refusal(
            f"difficulty changes by a factor of {factor:.4g} at height {height:,}, but the period before took "
            f"{seconds / SECONDS_PER_DAY:.1f} days, for which the rules of the chain give {allowed:.4g}."
        )


def check_retargets(frame: pd.DataFrame, new: int) -> None:
    """Refusal if periods of difficulty_retargets from position `new` on contradict the chain: the clamp, and the dates.

    That each step follows from the time that the period took was checked to the second when it was fetched.
    """
    dates = frame.date.ffill()
    for i in range(max(new, 1), len(frame)):
        height = int(frame.height.iloc[i])
        factor = frame.difficulty.iloc[i] / frame.difficulty.iloc[i - 1]
        if not 1 - LEVEL_SLACK <= factor * bitcoin.RETARGET_CLAMP <= bitcoin.RETARGET_CLAMP**2 * (1 + LEVEL_SLACK):
            raise Refusal(
                f"difficulty changes by a factor of {factor:.4g} at height {height:,}; the chain allows 1/4 to 4."
            )
        if dates.iloc[i] <= dates.iloc[i - 1] and not pd.isna(frame.date.iloc[i]):
            raise Refusal(f"height {height:,} is not dated after the period before it.")


def check_price_days(frame: pd.DataFrame, new: int) -> None:
    """Refusal if a price from position `new` on is PRICE_FACTOR times that of the day before, or its inverse."""
    for i in range(new, len(frame)):
        _plausible_price(frame, i)


# ---------------------------------------------------------------- the plan


def plan(of: Card, text: str, content: bytes, adapter: Adapter, fetched: Sequence[Row], today: dt.date) -> Plan:
    """The new table and card, from the ones held and the rows fetched; pure, and checked as `data.load` would check it.

    Rows held stay as they are, byte for byte, but for blank cells that get a value. Raises Refusal.
    """
    held = data.read_cells(of, content)
    rows, compared, filled = merge(of, held, fetched, adapter.slack)
    added = len(rows) - len(held)
    new = len(held) if not filled else min(i for i, row in enumerate(held) if row != rows[i])
    wide, widened = _widened(of, rows[new:])
    key = of.primary_key[0]
    place = [column.name for column in of.columns].index(key)
    change = Change(
        name=of.name,
        rows=len(rows),
        compared=compared,
        added=added,
        filled=filled,
        first=rows[len(held)][place] if added else "",
        last=rows[-1][place],
        last_row={column.name: cell for column, cell in zip(of.columns, rows[-1], strict=True)},
        widened=tuple(widened),
        terms="" if of.redistribution == "yes" else of.redistribution_note,
    )
    if not (added or filled):
        return Plan(change, content, text, of.sha256)
    table = ("\n".join([",".join(row) for row in ([c.name for c in of.columns], *rows)]) + "\n").encode()
    if not filled and not table.startswith(content):
        raise Refusal(f"{of.file} is not written in plain cells, so rows cannot be added by machine.")
    renewed = wide.model_copy(
        update={
            "rows": len(rows),
            "bytes": len(table),
            "sha256": data.sha256(table),
            "range": _range(of, rows),
            "date_read": today,
            "vintage": adapter.vintage(rows[-1][place]),
            "obtained_via": _obtained(of.obtained_via, adapter.source, rows[new][place], rows[-1][place]),
        }
    )
    adapter.check(data.read_table(renewed, table), new)
    return Plan(change, table, recard(text, of, renewed), of.sha256)


def merge(
    of: Card, held: Sequence[Row], fetched: Sequence[Row], slack: Mapping[str, tuple[str, str]]
) -> tuple[list[Row], int, int]:
    """Rows held and fetched as one list, the number of rows in both, and the number of blank cells filled.

    Raises Refusal if no row is in both, if a cell differs by more than rounding (or a value became blank), or if a row
    would go between the ones held.
    """
    columns = [column.name for column in of.columns]
    key = columns.index(of.primary_key[0])
    place = {row[key]: i for i, row in enumerate(held)}
    rows, compared, filled = list(held), 0, 0
    for row in fetched:
        if row[key] not in place:
            if len(rows) == len(held) and compared == 0:
                raise Refusal(
                    f"the answer begins at {row[key]} and shares no row with the ones held, which end at "
                    f"{held[-1][key]}."
                )
            rows.append(row)
            continue
        if len(rows) > len(held):
            raise Refusal(f"the answer has {row[key]}, which we hold, after a newer row.")
        old = held[place[row[key]]]
        for name, was, now in zip(columns, old, row, strict=True):
            if was and not _agree(was, now, *slack.get(name, ("0", "0"))):
                raise Refusal(
                    f"for {row[key]} the publisher now says {name} = {now or 'nothing'}, we hold {was}: look which is "
                    "right, and if it was revised, replace the table by hand and say so on the card (data/README.md)."
                )
            filled += now != "" and was == ""
        rows[place[row[key]]] = tuple(was or now for was, now in zip(old, row, strict=True))
        compared += 1
    return rows, compared, filled


def _agree(was: str, now: str, relative: str, absolute: str) -> bool:
    if was == now:
        return True
    if not now or (relative, absolute) == ("0", "0"):
        return False
    old, new = Decimal(was), Decimal(now)
    return abs(old - new) <= max(Decimal(relative) * old, Decimal(absolute))


def _widened(of: Card, rows: Sequence[Row]) -> tuple[Card, list[str]]:
    """The card with each maximum moved up, to two digits, where new rows pass it; and a sentence for each."""
    columns, said = [], []
    for i, column in enumerate(of.columns):
        highest = max((Decimal(row[i]) for row in rows if row[i]), default=None) if column.maximum is not None else None
        limit = Decimal(str(column.maximum)) if column.maximum is not None else Decimal(0)
        if highest is None or highest <= limit:
            columns.append(column)
            continue
        if highest > WIDEST * limit:
            raise Refusal(
                f"{column.name} reaches {digits(highest)}, more than {WIDEST} times the maximum on the card "
                f"({digits(limit)}); if it is right, raise the maximum by hand first."
            )
        maximum = roomy(highest)
        columns.append(column.model_copy(update={"maximum": float(maximum)}))
        said.append(
            f"Maximum of {column.name} on the card widened from {digits(limit)} to {digits(maximum)}: "
            f"the new rows reach {digits(highest)}."
        )
    return of.model_copy(update={"columns": tuple(columns)}), said


def roomy(value: Decimal) -> Decimal:
    """The next number above with at most two significant digits.

    >>> digits(roomy(Decimal("131250.5"))), digits(roomy(Decimal("961632"))), digits(roomy(Decimal(1600)))
    ('140000', '970000', '1700')
    """
    step = Decimal(1).scaleb(value.adjusted() - 1)
    return (value // step + 1) * step


def _range(of: Card, rows: Sequence[Row]) -> str | None:
    place = next((i for i, column in enumerate(of.columns) if column.type == "date"), None)
    if of.range is None or place is None:
        return of.range
    return f"{of.range.split('..')[0]}..{max(row[place] for row in rows)}"


def _obtained(entries: Sequence[str], source: str, first: str, last: str) -> tuple[str, ...]:
    """The entries of `obtained_via`, with one for this source: a new one, or the one there reaching further."""
    mine = re.compile(rf"{re.escape(source)} \((?P<first>\S+)\.\.\S+\)")
    for i, entry in enumerate(entries):
        if found := mine.fullmatch(entry):
            return (*entries[:i], f"{source} ({found['first']}..{last})", *entries[i + 1 :])
    return (*entries, f"{source} ({first}..{last})")


def recard(text: str, old: Card, new: Card) -> str:
    """The card's text with the fields that differ between the two cards changed, and every other character kept.

    Knows rows, bytes, sha256, range, date_read, vintage, obtained_via and the maximum of a column. The text that comes
    out is read again and must be the new card; Refusal if not.
    """
    out = text
    for name in ("rows", "bytes", "sha256", "range", "date_read", "vintage"):
        value = getattr(new, name)
        if value != getattr(old, name):
            written = f'"{value}"' if name == "sha256" else str(value)
            out = re.sub(rf"^{name}: .*$", lambda _, line=f"{name}: {written}": line, out, count=1, flags=re.M)  # type: ignore[misc]
    if new.obtained_via != old.obtained_via:
        block = "obtained_via:\n" + "".join(f"- {entry}\n" for entry in new.obtained_via)
        out = re.sub(r"^obtained_via:.*\n(?:[- ].*\n)*", lambda _: block, out, count=1, flags=re.M)
    for was, now in zip(old.columns, new.columns, strict=True):
        if was.maximum != now.maximum and now.maximum is not None:
            written = plain(now.maximum, grouped=False)
            pattern = rf"(\{{name: {re.escape(now.name)},[^{{}}]*?maximum: )[0-9.]+"
            out = re.sub(pattern, lambda found, number=written: found[1] + number, out, count=1)  # type: ignore[misc]
    try:
        same = data.read_card(old.name, out.encode()) == new
    except Refusal:
        same = False
    if not same:
        raise Refusal(f"{old.name}.yml is written in a way that cannot be changed by machine.")
    return out


# ---------------------------------------------------------------- the two files


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the data folder, so that two refreshes cannot write at once (where the system knows such locks)."""
    if not data.folder().is_dir():
        data.names()  # refuses, in its own words
    if sys.platform == "win32":
        yield
        return
    handle = os.open(data.folder(), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def replace(name: str, ready: Plan) -> None:
    """Put the new card and table in place of the old ones; the only function here that writes them.

    Both are written beside the old files and synced before the first of the two renames. Raises Refusal, with nothing
    changed, if the table is no longer the one the plan was made from or if the disk says no.
    """
    folder = data.folder()
    card, table = folder / f"{name}.yml", folder / f"{name}.csv"
    waiting_card, waiting_table = folder / (card.name + PENDING), folder / (table.name + PENDING)
    try:
        if data.sha256(table) != ready.replaces:
            raise Refusal(f"{name} stays as it is: it was changed by somebody else meanwhile; try again.")
        _write_synced(waiting_table, ready.table)
        _write_synced(waiting_card, ready.card.encode())
        _sync_folder(folder)
        waiting_card.replace(card)
    except OSError as error:
        for path in (waiting_card, waiting_table):
            _remove(path)
        raise Refusal(f"{name} stays as it is: {folder} cannot be written ({_why(error)}).") from None
    finish(name)


def finish(name: str) -> bool:
    """Finish, or clear away, what a refresh that was stopped left behind; whether there was one to finish.

    If the card in place is that of the waiting table, the table is put in place; otherwise what waits is removed.
    """
    of = data.card(name)  # refuses a name that is no table before any path is made of it
    folder, finished = data.folder(), False
    waiting_card, waiting_table = folder / f"{name}.yml{PENDING}", folder / f"{name}.csv{PENDING}"
    if waiting_table.is_file() and of.sha256 == data.sha256(waiting_table):
        try:
            waiting_table.replace(folder / f"{name}.csv")
            _sync_folder(folder)
            finished = True
        except OSError as error:
            raise Refusal(
                f"{name}: the new card is in place, the new table is not ({_why(error)}); once that is mended, "
                f"wattshift refresh {name} finishes it."
            ) from None
    for path in (waiting_card, waiting_table):
        _remove(path)
    return finished


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # it is only a leftover, and the next refresh tries again


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _list_in_readme(of: Card) -> None:
    """Bring the table's line in the README beside it up to date; no fault of that file stops a refresh."""
    path = data.folder() / "README.md"
    try:
        text = path.read_text(encoding="utf-8")
        new = listed(text, of)
        if new != text:
            waiting = path.with_name(path.name + PENDING)
            _write_synced(waiting, new.encode())
            waiting.replace(path)
    except (OSError, UnicodeDecodeError):
        return


def listed(text: str, of: Card) -> str:
    """The README with the number of rows and the range in the line of this table (its 3rd and 4th cell) renewed."""
    line = re.compile(rf"^(\| `{of.name}` \|[^|\n]*\|)[^|\n]*\|[^|\n]*\|", re.M)
    return line.sub(lambda found: f"{found[1]} {of.rows:,} | {of.range or ''} |", text, count=1)


ADAPTERS: dict[str, Adapter] = {
    "coin_metrics": Adapter(
        address=COIN_METRICS,
        source="Coin Metrics community API v4, timeseries/asset-metrics",
        columns=("date", "price_usd", "hashrate_ehs", "difficulty", "blocks", "issuance_btc", "fees_btc"),
        fetch=fetch_coin_metrics,
        check=check_network_days,
        vintage=lambda last: f"community data to {last}",
        slack={
            "price_usd": ("0", "0.01"),
            "hashrate_ehs": ("0.00001", "0"),
            "difficulty": ("0.00000001", "0"),
            "fees_btc": ("0", "0.0001"),
        },
    ),
    "mempool_space": Adapter(
        address=MEMPOOL_SPACE,
        source="mempool.space API, mining/difficulty-adjustments",
        columns=("height", "date", "difficulty"),
        fetch=fetch_mempool_space,
        check=check_retargets,
        vintage=lambda last: f"to height {int(last):,}",
        slack={"difficulty": ("0.000000000001", "0")},
    ),
    "coinbase_exchange": Adapter(
        address=COINBASE_EXCHANGE,
        source="Coinbase Exchange API, products/BTC-USD/candles",
        columns=("date", "price_usd"),
        fetch=fetch_coinbase,
        check=check_price_days,
        vintage=lambda last: f"to {last}",
        slack={"price_usd": ("0", "0.01")},
    ),
}
