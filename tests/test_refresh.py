"""A refresh adds what is true or changes nothing: publishers are played by a local server, the chain by a simulation.

No test leaves this machine. The simulated chain mines block by block under the retarget rule and is read off per day,
so that its days are right for a reason that is not in the module.
"""

import dataclasses
import datetime as dt
import doctest
import itertools
import json
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from wattshift import bitcoin, cli, data, refresh
from wattshift.refresh import ask, merge, publishers, replace
from wattshift.refresh import chain as rules
from wattshift.refusal import Refusal

ROOT = Path(__file__).resolve().parents[1]
NETWORK, RETARGETS, TAIL = "btc_network_daily", "difficulty_retargets", "btc_price_tail_coinbase"
HELD_TO, LAST_HELD = dt.date(2026, 6, 1), 953_568  # the tables of data/ are set back to these, so they may grow
TODAY = dt.date(2026, 7, 20)
SEED = 20_260_601

Record = dict[str, Any]


# ---------------------------------------------------------------- a publisher on this machine


@dataclass
class Publisher:
    """A server that gives the answer put into it, and keeps what it was asked."""

    address: str
    answer: Callable[[str, dict[str, str]], Any] = field(default=lambda path, query: {})  # noqa: ARG005
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None  # send so many bytes of the body, though all are promised
    wait: float = 0.0  # seconds before the answer
    drip: float = 0.0  # seconds between single bytes
    stopped: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            played.asked.append((parts.path, query))
            body = played.answer(parts.path, query)
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            played.stopped.wait(played.wait)
            try:
                self.send_response(played.status)
                for name, value in {"Content-Length": str(len(body)), **played.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if played.drip:
                    for byte in body:
                        self.wfile.write(bytes([byte]))
                        if played.stopped.wait(played.drip):
                            return
                else:
                    self.wfile.write(body[: played.cut])
            except OSError:
                return  # the reader gave up, as it should

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    played = Publisher(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield played
    played.stopped.set()
    server.shutdown()
    server.server_close()
    thread.join()


# ---------------------------------------------------------------- a folder and a chain


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of data/ as it was on HELD_TO, before any refresh, whatever the project's own tables have grown to."""
    copy = tmp_path / "data"
    shutil.copytree(ROOT / "data", copy)
    set_back(copy, NETWORK, lambda row: row if row[0] <= HELD_TO.isoformat() else None)
    set_back(copy, RETARGETS, period_as_held)
    monkeypatch.setenv("WATTSHIFT_DATA", str(copy))
    return copy


def period_as_held(row: list[str]) -> list[str] | None:
    """A period known by HELD_TO; the last of them, known by its difficulty only, without its date."""
    height = int(row[0])
    return None if height > LAST_HELD else [row[0], "", row[2]] if height == LAST_HELD else row


def set_back(folder: Path, name: str, past: Callable[[list[str]], list[str] | None]) -> None:
    """Take a table back to its past, row by row (None: not there yet), and make its card agree."""
    path, card = folder / f"{name}.csv", folder / f"{name}.yml"
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    kept = [row for row in map(past, rows) if row is not None]
    content = "".join(",".join(row) + "\n" for row in [head, *kept]).encode()
    path.write_bytes(content)
    last = max(cell for row in kept for cell in row[:2] if re.fullmatch(r"\d{4}-\d\d-\d\d", cell))
    text = "".join(line for line in card.read_text().splitlines(keepends=True) if " API" not in line)
    for pattern, value in {
        r"^(rows: ).*$": len(kept),
        r"^(bytes: ).*$": len(content),
        r"^(sha256: ).*$": f'"{data.sha256(content)}"',
        r"^(range: \S+?\.\.)\S+$": last,
        r"^(vintage: ).*$": "long ago",
        r"^(date_read: ).*$": "2026-06-02",
    }.items():
        text = re.sub(pattern, rf"\g<1>{value}", text, flags=re.M)
    card.write_text(text)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@dataclass
class Chain:
    """Days after HELD_TO as Coin Metrics would give them, and the periods that begin in them."""

    days: list[Record]
    periods: list[tuple[int, int, float]]  # height, Unix time, difficulty

    def answer(self, path: str, query: dict[str, str]) -> Any:
        assert path == "/timeseries/asset-metrics"
        assert (query["assets"], query["frequency"], query["paging_from"]) == ("btc", "1d", "start")
        inside = [
            day
            for day in self.days
            if query["start_time"] <= day_of(day) <= query["end_time"] or not day_of(day).startswith("2026-")
        ]
        return {"data": inside}


def day_of(record: Record) -> str:
    return str(record["time"])[:10]


def held_days() -> list[Record]:
    """Days held, as Coin Metrics would send them: the hashrate with all its digits."""
    frame = data.load(NETWORK)
    frame = frame[frame.date > "2026-03-01"]
    return [
        metrics(row.date.date(), row.price_usd, row.difficulty * row.blocks, row.blocks, row.issuance_btc, row.fees_btc)
        for row in frame.itertuples()
    ]


def metrics(day: dt.date, price: float, work: float, blocks: int, issuance: float, fees: float) -> Record:
    """One day in the publisher's form; work is the sum of the difficulty of its blocks, the hashrate comes in TH/s."""
    return {
        "asset": "btc",
        "time": f"{day}T00:00:00.000000000Z",
        "PriceUSD": f"{price:.12f}",
        "HashRate": f"{work * 2**32 / 86_400 / 1e12:.8f}",
        "BlkCnt": str(blocks),
        "IssTotNtv": f"{issuance:.8f}",
        "FeeTotNtv": f"{fees:.8f}",
    }


@pytest.fixture
def chain(folder: Path) -> Chain:
    """48 days mined block by block: about 144 a day, the difficulty reset every 2,016 blocks to two weeks' worth."""
    assert folder.is_dir()
    luck = random.Random(SEED)
    held = data.load(NETWORK)
    periods = data.load(RETARGETS)
    height = int(held.blocks.sum())  # genesis has height 0, so this is the height of the last block held
    difficulty = float(periods.difficulty[periods.height <= height].iloc[-1])
    opened = float(pd.Timestamp("2026-05-29T12:00").timestamp())
    price = float(held.price_usd.iloc[-1])
    days, starts = held_days(), []
    day = HELD_TO
    while (day := day + dt.timedelta(1)) <= TODAY:
        blocks = round(luck.gauss(144, 12))
        work = 0.0
        for k in range(blocks):
            height += 1
            if height % 2016 == 0:
                now = publishers.time_of(day) + k / blocks * 86_400
                bits = bitcoin.bits_from_difficulty(difficulty * 2016 * 600 / (now - opened))
                difficulty = bitcoin.difficulty_from_bits(bits)
                opened = now
                starts.append((height, int(now), difficulty))
            work += difficulty
        price *= 1 + luck.gauss(0, 0.02)
        days.append(metrics(day, price, work, blocks, blocks * 3.125, luck.uniform(2, 4)))
    return Chain(days, starts)


@pytest.fixture
def good(publisher: Publisher, chain: Chain) -> Publisher:
    publisher.answer = chain.answer
    return publisher


def renew(publisher: Publisher, name: str = NETWORK, today: dt.date = TODAY, **options: Any) -> refresh.Change:
    return refresh.refresh(name, today, address=publisher.address, timeout=options.pop("timeout", 10.0), **options)


def refused(publisher: Publisher, folder: Path, name: str = NETWORK, **options: Any) -> str:
    """The one sentence of a refusal, after which every file of the folder is what it was."""
    before = files(folder)
    with pytest.raises(Refusal) as caught:
        renew(publisher, name, **options)
    assert files(folder) == before
    message = str(caught.value)
    assert re.fullmatch(rf"{name} stays as it is: [^\n]*\.", message), message
    assert message.isprintable()
    return message.removeprefix(f"{name} stays as it is: ")


# ---------------------------------------------------------------- the network table: what is good comes in


def test_newer_days_come_in_and_the_card_follows(good: Publisher, folder: Path, chain: Chain) -> None:
    before, old = files(folder), data.card(NETWORK)
    change = renew(good)
    fresh, card = data.load(NETWORK), data.card(NETWORK)
    assert (change.added, change.compared, change.filled) == (48, 30, 0)  # 2 June to 19 July; 20 July is not over
    assert len(fresh) == old.rows + 48 == card.rows
    assert fresh.date.iloc[-1].date() == dt.date(2026, 7, 19)
    table = (folder / f"{NETWORK}.csv").read_bytes()
    assert table.startswith(before[f"{NETWORK}.csv"])
    assert (card.sha256, card.bytes) == (data.sha256(table), len(table))
    assert (card.range, card.date_read) == ("2009-01-09..2026-07-19", TODAY)
    assert card.vintage == "to 2026-07-19"
    assert card.obtained_via[:-1] == old.obtained_via
    assert card.obtained_via[-1].endswith("timeseries/asset-metrics (2026-06-02..2026-07-19)")
    sent = {day_of(day): day for day in chain.days}
    row = fresh.iloc[-1]
    truth = sent["2026-07-19"]
    assert row.price_usd == pytest.approx(float(truth["PriceUSD"]), abs=0.005)
    assert row.hashrate_ehs == pytest.approx(float(truth["HashRate"]) / 1e6, rel=5e-6)
    assert row.difficulty == pytest.approx(chain.periods[-1][2], rel=5e-9)
    untouched = set(before) - {f"{NETWORK}.csv", f"{NETWORK}.yml"}
    assert {name: content for name, content in files(folder).items() if name in untouched} == {
        name: before[name] for name in untouched
    }
    spoken = "\n".join(change.lines())
    assert f"48 rows added, 0 blank cells filled; {card.rows:,} rows, to 2026-07-19; the 30 rows" in spoken
    assert "Last row: date 2026-07-19, price_usd" in spoken
    assert "Before you pass the new rows on: May be passed on with attribution for non-commercial use only" in spoken


def test_only_what_changed_changes_on_the_card(good: Publisher, folder: Path) -> None:
    old = (folder / f"{NETWORK}.yml").read_text().splitlines()
    renew(good)
    new = (folder / f"{NETWORK}.yml").read_text().splitlines()
    gone = [line for line in old if line not in new]
    assert {line.split(":")[0] for line in gone} == {"rows", "bytes", "sha256", "range", "vintage", "date_read"}
    assert len(new) == len(old) + 1  # the line of obtained_via


def test_a_second_refresh_adds_nothing_and_a_later_one_goes_on(good: Publisher, folder: Path) -> None:
    renew(good, today=dt.date(2026, 6, 20))
    first = files(folder)
    change = renew(good, today=dt.date(2026, 6, 20))
    assert (change.added, change.compared) == (0, 30)
    assert files(folder) == first
    assert "nothing newer" in change.lines()[0]
    assert renew(good).added == 30
    assert [entry for entry in data.card(NETWORK).obtained_via if "API" in entry] == [
        "Coin Metrics community API v4, timeseries/asset-metrics (2026-06-02..2026-07-19)"
    ]


def test_a_dry_run_says_all_and_changes_nothing(good: Publisher, folder: Path) -> None:
    before = files(folder)
    assert renew(good, dry_run=True).added == 48
    assert files(folder) == before


@pytest.mark.usefixtures("folder")
def test_days_whose_figures_are_not_out_yet_are_left_out(good: Publisher, chain: Chain) -> None:
    for record in chain.days[-4:]:
        record["HashRate"] = None
    assert renew(good).last == "2026-07-16"


@pytest.mark.usefixtures("folder")
def test_the_day_that_is_not_over_is_left_out_even_if_it_is_sent(good: Publisher, chain: Chain) -> None:
    good.answer = lambda path, query: chain.answer(path, {**query, "end_time": "2027-01-01"})
    assert chain.days[-1]["time"].startswith(TODAY.isoformat())
    assert renew(good).last == "2026-07-19"


@pytest.mark.usefixtures("folder")
def test_an_answer_that_ends_early_is_taken_as_far_as_it_goes(good: Publisher, chain: Chain) -> None:
    whole = chain.days.copy()
    chain.days[:] = [day for day in whole if day_of(day) <= "2026-06-11"]
    assert renew(good).last == "2026-06-11"
    chain.days[:] = whole
    assert renew(good).last == "2026-07-19"
    assert [query["start_time"] for _, query in good.asked] == ["2026-05-03", "2026-05-13"]


# ---------------------------------------------------------------- the network table: what is not, stays out


def test_without_a_network(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Publisher(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert "cannot be reached" in refused(nobody, folder)


def test_a_silent_server_and_a_dripping_one_are_left(good: Publisher, folder: Path) -> None:
    good.wait = 30
    begun = time.monotonic()
    assert "no whole answer within 0.3 seconds" in refused(good, folder, timeout=0.3)
    good.wait, good.drip = 0, 0.05
    assert "no whole answer within 0.3 seconds" in refused(good, folder, timeout=0.3)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (429, "answered with status 429; it was asked too often: try again later"),
        (403, "status 403; it does not give this without a key"),
        (401, "status 401; it does not give this without a key"),
        (400, "its interface may have changed"),
        (404, "status 404"),
        (500, "try again later"),
        (503, "status 503"),
    ],
)
def test_a_refusing_server_is_named(good: Publisher, folder: Path, status: int, phrase: str) -> None:
    good.status, good.answer = status, lambda path, query: b"<html>\x1b[31moops</html>"  # noqa: ARG005
    assert phrase in refused(good, folder)


def test_a_cut_off_answer(good: Publisher, folder: Path) -> None:
    good.cut = 400
    assert "or was cut off (400 bytes)" in refused(good, folder)
    good.cut, good.headers = 400, {"Transfer-Encoding": "chunked"}
    assert "broke off" in refused(good, folder)


@pytest.mark.parametrize(
    ("body", "phrase"),
    [
        (b"", "is not JSON"),
        (b"<html>hello</html>", "is not JSON"),
        (b'{"data": [{"asset": "btc", ', "cut off"),
        (b'{"data": [NaN]}', "a day without asset"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "without a list named data"),
        (b'{"data": {}}', "without a list named data"),
        (b'{"data": []}', "sent no day from 2026-05-03 on"),
        (b'{"data": [7]}', "a day without asset"),
    ],
)
def test_a_malformed_answer(good: Publisher, folder: Path, body: bytes, phrase: str) -> None:
    good.answer = lambda path, query: body  # noqa: ARG005
    assert phrase in refused(good, folder)


def test_too_long_an_answer(good: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "MAX_ANSWER_BYTES", 5_000)
    assert "sent more than" in refused(good, folder)


def at(days: list[Record], day: str) -> Record:
    return next(record for record in days if day_of(record) == day)


def put(day: str, **values: Any) -> Callable[[list[Record]], None]:
    return lambda days: at(days, day).update(values)


def scaled(metric: str, factor: float, since: str, until: str = "2027") -> Callable[[list[Record]], None]:
    def change(days: list[Record]) -> None:
        for record in days:
            if since <= day_of(record) <= until:
                record[metric] = f"{float(record[metric]) * factor:.8f}"

    return change


def doubled(days: list[Record]) -> None:
    days.insert(days.index(at(days, "2026-06-10")), dict(at(days, "2026-06-10")))


def swapped(days: list[Record]) -> None:
    i = days.index(at(days, "2026-06-10"))
    days[i], days[i + 1] = days[i + 1], days[i]


def later(days: list[Record]) -> None:
    del days[: days.index(at(days, "2026-06-02"))]


def one_block_more(days: list[Record]) -> None:
    """A day with a block too many, its coins and its hashrate to match: seen by the periods alone."""
    record = at(days, "2026-06-05")
    blocks = int(record["BlkCnt"])
    record["BlkCnt"] = str(blocks + 1)
    record["IssTotNtv"] = str((blocks + 1) * 3.125)
    record["HashRate"] = str(float(record["HashRate"]) * (blocks + 1) / blocks)


def steeper(days: list[Record]) -> None:
    """All from height 955,584 on too hard by 6 %, in itself consistent: seen by the time the period before took."""
    end = int(data.load(NETWORK).blocks.sum())
    for i, record in enumerate(days):
        if day_of(record) > HELD_TO.isoformat():
            blocks = int(record["BlkCnt"])
            first, end = end + 1, end + blocks
            if end >= 955_584:
                whole = days[i + 1] if first < 955_584 else record  # the day after the opening one is of one level
                level = float(whole["HashRate"]) / int(whole["BlkCnt"])
                inside = blocks - max(955_584 - first, 0)
                more = 0.06 * (float(record["HashRate"]) if inside == blocks else level * inside)
                record["HashRate"] = f"{float(record['HashRate']) + more:.8f}"


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        (lambda days: at(days, "2026-06-10").pop("BlkCnt"), "a day without BlkCnt"),
        (put("2026-06-10", HashRate=None), 'sent "None" as HashRate of 2026-06-10'),
        (put("2026-06-10", PriceUSD="NaN"), "not a number"),
        (put("2026-06-10", PriceUSD="-5"), "not a number"),
        (put("2026-06-10", PriceUSD=True), "not a number"),
        (put("2026-06-10", FeeTotNtv=[3]), "not a number"),
        (put("2026-06-10", FeeTotNtv="٣"), "not a number"),
        (put("2026-06-10", BlkCnt="144.5"), "144.5 blocks"),
        (put("2026-06-10", BlkCnt="0"), "gives 0 blocks"),
        (put("2026-06-10", BlkCnt="30"), "a day has 40 to 300"),
        (put("2026-06-10", BlkCnt="310"), "a day has 40 to 300"),
        (put("2026-06-10", BlkCnt="1440"), 'column blocks: holds "1440"'),
        (put("2026-06-10", asset="eth"), '"eth" where btc'),
        (put("2026-06-10", time="10 June 2026"), '"10 June 2026" as the time'),
        (put("2026-06-10", time="2026-06-10T04:00:00.000000000Z"), "as the time of a day"),
        (put("2026-06-10", time=1_781_000_000), "as the time of a day"),
        (lambda days: days.remove(at(days, "2026-06-10")), "sent 2026-06-11 where 2026-06-10 was expected"),
        (doubled, "sent 2026-06-10 where 2026-06-11 was expected"),
        (swapped, "sent 2026-06-11 where 2026-06-10"),
        (later, "sent 2026-06-02 where 2026-05-03 was expected"),
        (put("2026-05-20", PriceUSD="77000.55"), "now says price_usd = 77000.55, we hold"),
        (put("2026-05-20", FeeTotNtv="2.1"), "for 2026-05-20 the publisher now says fees_btc"),
        (scaled("HashRate", 1.0001, "2026-05-20", "2026-05-20"), "now says hashrate_ehs"),
        (put("2026-05-20", BlkCnt="150"), "for 2026-05-20 the publisher now says"),
        (put("2026-06-10", IssTotNtv="450.1"), "BTC of new coins, but heights"),
        (scaled("IssTotNtv", 2.0, "2026-06-02"), "BTC of new coins, but heights"),  # no halving in 2026
        (scaled("HashRate", 1.00001, "2026-06-05", "2026-06-05"), "2026-06-05 has a mean difficulty of"),
        (scaled("HashRate", 1e-6, "2026-06-02"), "2026-06-02 has a mean difficulty of"),  # EH/s taken for TH/s
        (one_block_more, "mean difficulty"),
        (steeper, "difficulty changes by a factor of"),
        (scaled("PriceUSD", 0.01, "2026-06-10"), "more than a factor of 2 in a day"),
        (put("2026-06-10", PriceUSD="0"), "price of 0 USD"),
        (put("2026-06-10", FeeTotNtv="4000"), 'column fees_btc: holds "4000"'),
    ],
)
def test_wrong_days_stay_out(
    good: Publisher, chain: Chain, folder: Path, change: Callable[[list[Record]], None], phrase: str
) -> None:
    change(chain.days)
    assert phrase in refused(good, folder)


# ---------------------------------------------------------------- the chain's rules, against all of history


def test_the_rules_hold_on_every_day_since_2012() -> None:
    frame = data.load(NETWORK)
    rules.check_days(frame, int((frame.date < "2012-02-01").sum()))


def test_a_halving_is_counted_to_the_block() -> None:
    frame = data.load(NETWORK)
    frame = frame[frame.date <= "2024-04-25"]
    new = int((frame.date < "2024-04-15").sum())
    rules.check_days(frame, new)
    halving = frame.index[frame.date == "2024-04-19"][0]
    assert frame.issuance_btc[halving] not in (frame.blocks[halving] * 6.25, frame.blocks[halving] * 3.125)
    wrong = frame.copy()
    wrong.loc[halving, "issuance_btc"] += 3.125  # one block too many at the old subsidy
    with pytest.raises(Refusal, match=r"2024-04-19 has .* BTC of new coins"):
        rules.check_days(wrong, new)


def test_the_step_of_difficulty_is_held_to_the_clamp_and_the_time() -> None:
    two_weeks = 2016 * 600.0
    rules.follows(2016, 100.0, 200.0, two_weeks / 2)
    rules.follows(2016, 100.0, 400.0, two_weeks / 100)  # the clamp
    for after, seconds in ((200.0, two_weeks), (800.0, two_weeks / 8), (100.0, two_weeks * 2), (0.0, two_weeks)):
        with pytest.raises(Refusal, match="difficulty changes by a factor"):
            rules.follows(2016, 100.0, after, seconds)


def test_a_table_that_begins_later_cannot_be_counted() -> None:
    with pytest.raises(Refusal, match="does not begin on 2009-01-09"):
        rules.check_days(data.load(NETWORK).iloc[100:].reset_index(drop=True), 50)


# ---------------------------------------------------------------- two files, or none


def prepared(publisher: Publisher, folder: Path) -> merge.Plan:
    """The plan of a good refresh, not carried out."""
    of, text, content = data.raw(NETWORK)
    adapter = publishers.ADAPTERS["coin_metrics"]
    rows = adapter.fetch(ask.asker(publisher.address, 10.0), data.read_cells(of, content), TODAY)
    assert folder.is_dir()
    return merge.plan(of, text, content, adapter, rows, TODAY)


KILLED = """
import os, signal, sys
from pathlib import Path
from wattshift.refresh import merge
from wattshift.refresh import replace as step
plan = merge.Plan(None, Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_text(), sys.argv[3])
moves, really = [], Path.replace
def replace(self, target):
    moves.append(target)
    if len(moves) == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    return really(self, target)
Path.replace = replace
step.put("btc_network_daily", plan)
if int(sys.argv[4]) == 3:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_kill_at_any_moment_is_repaired_without_a_network(
    good: Publisher, folder: Path, tmp_path: Path, moment: int
) -> None:
    """Killed before the card is in place (1), between card and table (2), after both (3)."""
    before, ready = files(folder), prepared(good, folder)
    (tmp_path / "table").write_bytes(ready.table)
    (tmp_path / "card").write_text(ready.card)
    arguments = [str(tmp_path / "table"), str(tmp_path / "card"), ready.replaces, str(moment)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], timeout=60, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    good.status = 500
    if moment == 1:
        assert len(data.load(NETWORK)) == ready.change.rows - 48  # the old pair is whole
        with pytest.raises(Refusal, match="status 500"):
            renew(good)
        assert files(folder) == before  # and what was left beside it is gone
        return
    if moment == 2:
        with pytest.raises(Refusal) as caught:
            data.load(NETWORK)
        assert str(caught.value) == (
            f"{NETWORK}.csv: a refresh was stopped between the new card and the new table; finish it, without a "
            f"network, by: wattshift refresh {NETWORK}."
        )
        asked = len(good.asked)
        assert renew(good).lines() == [
            f"{NETWORK}: a refresh that had been stopped is finished now; {ready.change.rows:,} rows, to 2026-07-19."
        ]
        assert len(good.asked) == asked
    assert len(data.load(NETWORK)) == ready.change.rows
    assert (folder / f"{NETWORK}.csv").read_bytes() == ready.table
    assert sorted(files(folder)) == sorted(before)


def test_a_reader_in_the_moment_between_waits_for_the_table(good: Publisher, folder: Path) -> None:
    ready = prepared(good, folder)
    (folder / f"{NETWORK}.csv.new").write_bytes(ready.table)
    (folder / f"{NETWORK}.yml").write_text(ready.card)
    soon = threading.Timer(0.05, lambda: (folder / f"{NETWORK}.csv.new").replace(folder / f"{NETWORK}.csv"))
    soon.start()
    try:
        assert len(data.load(NETWORK)) == ready.change.rows
    finally:
        soon.join()


@pytest.mark.parametrize("failing", ["table", "card"])
def test_a_full_disk_changes_nothing(
    good: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    really = replace._write_synced

    def write(path: Path, content: bytes) -> None:
        if path.name.endswith({"table": "csv.new", "card": "yml.new"}[failing]):
            path.write_bytes(content[:1_000])
            raise OSError(28, "No space left on device")
        really(path, content)

    monkeypatch.setattr(replace, "_write_synced", write)
    assert "No space left on device" in refused(good, folder)


def test_a_disk_that_says_no_between_the_two_is_told_and_mended(
    good: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = Path.replace

    def move(self: Path, target: Path) -> Path:
        if target.name == f"{NETWORK}.csv":
            raise OSError(5, "Input/output error")
        return really(self, target)

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", move)
        with pytest.raises(Refusal, match=r"the new table is not \(Input/output error\); once that is mended"):
            renew(good)
        with pytest.raises(Refusal, match="a refresh was stopped between"):
            data.load(NETWORK)
    assert renew(good).finished
    assert data.load(NETWORK).date.iloc[-1].date() == dt.date(2026, 7, 19)
    assert not [name for name in files(folder) if name.endswith(".new")]


def test_a_table_changed_meanwhile_is_not_overwritten(good: Publisher, folder: Path) -> None:
    ready = prepared(good, folder)
    path = folder / f"{NETWORK}.csv"
    path.write_bytes(path.read_bytes() + b"2026-06-02,1,1,1,1,1,1\n")
    before = files(folder)
    with pytest.raises(Refusal, match="changed by somebody else meanwhile"):
        replace.put(NETWORK, ready)
    assert files(folder) == before


def test_a_damaged_table_is_refused_before_anybody_is_asked(good: Publisher, folder: Path) -> None:
    path = folder / f"{NETWORK}.csv"
    path.write_bytes(path.read_bytes().replace(b"2026-06-01,7", b"2026-06-01,8"))
    with pytest.raises(Refusal, match="was changed since its card was made"):
        renew(good)
    assert good.asked == []


def test_two_at_once_leave_one_whole_result(good: Publisher, folder: Path) -> None:
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(renew(good).added)
        except Refusal as refusal:
            results.append(str(refusal))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 48 in results
    assert all(result in (0, 48) or "meanwhile" in result or "try again" in result for result in results)
    assert len(data.load(NETWORK)) == data.card(NETWORK).rows
    assert not [name for name in files(folder) if name.endswith(".new")]


# ---------------------------------------------------------------- retarget periods


@pytest.fixture
def periods(publisher: Publisher, chain: Chain) -> list[list[Any]]:
    """What mempool.space would answer: [time, height, difficulty, change], newest first; the times fit the steps."""
    table = data.load(RETARGETS)
    rows = [
        [0, int(height), difficulty]
        for height, difficulty in zip(table.height, table.difficulty, strict=True)
        if height > 900_000
    ]
    rows += [[0, height, difficulty] for height, _, difficulty in chain.periods if height > 953_568]
    rows[0][0] = int(table.date[table.height == rows[0][1]].iloc[0].timestamp()) + 43_200
    for before, after in itertools.pairwise(rows):
        held = table.date[table.height == after[1]]
        exact = before[0] + round(2016 * 600 * before[2] / after[2])
        if len(held) and not pd.isna(held.iloc[0]):  # on the day that we hold, as near to the rule as it allows
            midnight = int(held.iloc[0].timestamp())
            exact = min(max(exact, midnight + 60), midnight + 86_340)
        after[0] = exact
    answer = [[*row, 1.0] for row in reversed(rows)]
    publisher.answer = lambda path, query: answer  # noqa: ARG005
    return answer


@pytest.mark.usefixtures("folder")
def test_newer_periods_come_in_and_the_missing_date_is_filled(publisher: Publisher, periods: list[list[Any]]) -> None:
    old = data.load(RETARGETS)
    assert pd.isna(old.date.iloc[-1])
    change = renew(publisher, RETARGETS)
    assert publisher.asked[0][0] == "/v1/mining/difficulty-adjustments/all"
    fresh, card = data.load(RETARGETS), data.card(RETARGETS)
    assert (change.compared, change.filled) == (26, 1)
    assert change.added == len(fresh) - len(old) >= 2
    assert fresh.date.notna().all()
    assert fresh.difficulty[: len(old)].equals(old.difficulty)
    assert fresh.date[: len(old) - 1].equals(old.date[: len(old) - 1])
    assert card.range == f"2009-01-03..{fresh.date.iloc[-1].date()}"
    assert card.vintage == f"to {fresh.date.iloc[-1].date()}"
    assert card.obtained_via[-1].endswith(f"difficulty-adjustments (953568..{fresh.height.iloc[-1]})")
    assert periods[0][1] == fresh.height.iloc[-1]
    assert renew(publisher, RETARGETS).added == 0


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        (lambda rows: rows[0].__setitem__(2, rows[0][2] * 1.000001), "which no block header can hold"),
        (lambda rows: rows[0].__setitem__(2, 0.5), "difficulty changes by a factor"),
        (lambda rows: rows[0].__setitem__(2, rows[5][2] * 3), "difficulty changes by a factor"),
        (lambda rows: rows[0].__setitem__(0, rows[0][0] + 172_800), "the rules of the chain give"),
        (lambda rows: rows[0].__setitem__(0, rows[0][0] * 1000), "later than today"),
        (lambda rows: rows[0].__setitem__(2, "hard"), "not a number"),
        (lambda rows: rows[0].__setitem__(1, 955_000), "did not send every period"),
        (lambda rows: rows[0].__setitem__(1, "957600"), "not a time, a height and a difficulty"),
        (lambda rows: rows.insert(0, rows[0]), "did not send every period"),
        (lambda rows: rows.pop(1), "did not send every period"),
        (lambda rows: rows.insert(0, {"height": 1}), "not a time, a height and a difficulty"),
        (lambda rows: rows.clear(), "did not send every period"),
    ],
)
def test_wrong_periods_stay_out(
    publisher: Publisher, folder: Path, periods: list[list[Any]], change: Callable[[list[Any]], Any], phrase: str
) -> None:
    change(periods)
    assert phrase in refused(publisher, folder, RETARGETS)


def test_a_period_from_the_future_and_a_contradicted_one(
    publisher: Publisher, folder: Path, periods: list[list[Any]]
) -> None:
    assert "later than today" in refused(publisher, folder, RETARGETS, today=dt.date(2026, 6, 20))
    for row in periods:
        row[0] += 86_400
    assert "the publisher now says date" in refused(publisher, folder, RETARGETS)
    publisher.answer = lambda path, query: {"error": "x"}  # noqa: ARG005
    assert "not a list" in refused(publisher, folder, RETARGETS)


# ---------------------------------------------------------------- prices of one exchange


@pytest.fixture
def candles(publisher: Publisher, folder: Path) -> list[list[Any]]:
    """The tail as it was after 40 days, and the candles that the exchange would send, some more than asked for."""
    set_back(folder, TAIL, lambda row: row if row[0] <= "2026-07-11" else None)
    held = data.load(TAIL)
    prices = {date.date(): price for date, price in zip(held.date, held.price_usd, strict=True)}
    prices |= {
        dt.date(2026, 7, 12) + dt.timedelta(i): round(prices[dt.date(2026, 7, 11)] + 37.25 * i, 2) for i in range(400)
    }
    sent = [
        [publishers.time_of(day), price - 500, price + 500, price, price, 8_000.125] for day, price in prices.items()
    ]
    sent.reverse()

    def answer(path: str, query: dict[str, str]) -> Any:
        assert (path, query["granularity"]) == ("/products/BTC-USD/candles", "86400")
        low, high = (publishers.time_of(dt.date.fromisoformat(query[end][:10])) for end in ("start", "end"))
        assert (high - low) / 86_400 < 300
        return [candle for candle in sent if not isinstance(candle[0], int) or low - 86_400 <= candle[0] <= high]

    publisher.answer = answer
    return sent


def test_prices_come_in_300_days_at_a_time(publisher: Publisher, candles: list[list[Any]]) -> None:
    today = dt.date(2027, 7, 1)
    change = renew(publisher, TAIL, today=today)
    assert (change.compared, change.added, change.last) == (30, 270, "2027-04-07")
    change = renew(publisher, TAIL, today=today)
    assert (change.compared, change.added, change.last) == (30, 84, "2027-06-30")
    close = {candle[0]: candle[4] for candle in candles}[publishers.time_of(dt.date(2027, 6, 30))]
    assert data.load(TAIL).price_usd.iloc[-1] == close
    assert data.card(TAIL).obtained_via[-1].endswith("candles (2026-07-12..2027-06-30)")


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        (lambda c: c[360].__setitem__(4, c[360][2] + 1), "outside the low and the high"),
        (lambda c: c[360].__setitem__(0, c[360][0] + 3_600), "does not begin at midnight"),
        (lambda c: c[360].__setitem__(0, "x"), "not a time and five numbers"),
        (lambda c: c.insert(360, c[360]), "was expected"),
        (lambda c: c.pop(360), "was expected"),
        (lambda c: c[360].__setitem__(slice(1, 5), [1.0, 2.0, 1.5, 1.5]), "more than a factor of 2"),
        (lambda c: c[360].pop(), "not a time and five numbers"),
        (lambda c: c[410].__setitem__(4, c[410][4] + 7), "the publisher now says price_usd"),
        (lambda c: c.clear(), "sent no day"),
    ],
)
def test_wrong_candles_stay_out(
    publisher: Publisher, folder: Path, candles: list[list[Any]], change: Callable[[list[Any]], Any], phrase: str
) -> None:
    change(candles)
    assert phrase in refused(publisher, folder, TAIL, today=dt.date(2026, 9, 1))


# ---------------------------------------------------------------- the small parts


def test_a_card_that_cannot_be_edited_is_left_alone(good: Publisher, folder: Path) -> None:
    path = folder / f"{NETWORK}.yml"
    text = path.read_text()
    path.write_text(re.sub("^rows: ", "rows:  ", text, flags=re.M).replace("\nrows:  ", "\n'rows': "))
    assert "cannot be changed by machine" in refused(good, folder)


def test_merge_compares_to_rounding_and_keeps_what_is_held() -> None:
    columns, slack = publishers.ADAPTERS["coin_metrics"].columns, publishers.ADAPTERS["coin_metrics"].slack
    held = [("2026-05-31", "73599.56", "994.681", "138955357000000", "144", "450", "2.8004")]
    near = ("2026-05-31", "73599.57", "994.682", "138955357000001", "144", "450", "2.8005")
    assert merge.merge(columns, held, [near], slack) == (held, 1, 0)
    for place, cell in ((1, "73599.8"), (2, "994.70"), (3, "138955359000000"), (4, "145"), (5, "450.1"), (6, "")):
        row = (*near[:place], cell, *near[place + 1 :])
        with pytest.raises(Refusal, match="2026-05-31 the publisher now says"):
            merge.merge(columns, held, [row], slack)
    with pytest.raises(Refusal, match="now says date = 2026-06-02, we hold 2026-06-01"):
        merge.merge(["date"], [("2026-05-31",), ("2026-06-01",)], [("2026-05-31",), ("2026-06-02",)], {})


def test_every_card_says_how_its_table_is_renewed() -> None:
    for name in data.names():
        card = data.card(name)
        assert card.refresh is not None, f"{name}.yml does not say how the table is renewed (refresh: ...)"
        if card.refresh.adapter is not None:
            assert card.interval_days
            assert refresh._adapter(card)
        else:
            with pytest.raises(Refusal, match=f"{name} is renewed by hand: "):
                refresh.refresh(name, TODAY)


def test_a_card_names_one_way_and_one_that_exists(folder: Path) -> None:
    path = folder / "halvings.yml"
    text = path.read_text()
    line = next(line for line in text.splitlines() if line.startswith("refresh:"))
    for said, phrase in (
        ("refresh: {adapter: mempool_space, by_hand: x}", "give either adapter or by_hand"),
        ("refresh: {}", "give either adapter or by_hand"),
        ("refresh: {adapter: nobody}", "there are coin_metrics, mempool_space"),
        ("refresh: {adapter: mempool_space}", "fills height, date, difficulty and no other columns"),
        ("interval_days: 0", "greater than 0"),
        ("caveat: none", "no field of a card"),
    ):
        path.write_text(text.replace(line, said).replace("interval_days: 1460\n", ""))
        with pytest.raises(Refusal, match=phrase):
            refresh.refresh("halvings", TODAY)
    path.write_text(text.replace(line + "\n", "").replace("interval_days: 1460\n", ""))
    with pytest.raises(Refusal, match="does not say how"):
        refresh.refresh("halvings", TODAY)


@pytest.mark.parametrize("name", ["btc_network_dayly", "../data/halvings", "", "README"])
def test_an_unknown_table_is_refused_before_a_path_is_made_of_it(folder: Path, name: str) -> None:
    bystander = folder.parent / "halvings.csv.new"
    bystander.write_text("mine")
    with pytest.raises(Refusal, match="there is no table named"):
        refresh.refresh(name, TODAY)
    assert bystander.read_text() == "mine"


@pytest.mark.usefixtures("folder")
def test_staleness_counts_from_the_last_day_or_the_last_reading() -> None:
    cards = [data.card(name) for name in data.names()]
    read = max(card.date_read for card in cards)  # of the tables renewed by hand
    network = data.card(NETWORK)
    assert network.interval_days == 31
    assert refresh.stale([network], HELD_TO + dt.timedelta(31)) == []
    (due,) = refresh.stale([network], HELD_TO + dt.timedelta(32))
    assert (due.newest, due.age_days, due.how) == (HELD_TO, 32, f"run wattshift refresh {NETWORK}")
    names = [each.name for each in refresh.stale(cards, read + dt.timedelta(365))]
    assert names[:2] == [RETARGETS, NETWORK]  # oldest first
    assert {"asic_models", "mining_regulation_events"} <= set(names)
    assert not {"claims", "sources", "halvings"} & set(names)


# ---------------------------------------------------------------- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_the_command_refreshes_says_what_changed_and_refuses(
    good: Publisher, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = publishers.ADAPTERS["coin_metrics"]
    monkeypatch.setitem(publishers.ADAPTERS, "coin_metrics", dataclasses.replace(adapter, address=good.address))
    monkeypatch.setattr(cli, "_today", lambda: TODAY)
    before = files(folder)
    code, out, err = run(capsys, "refresh", NETWORK, "--dry-run")
    assert (code, err) == (0, "")
    assert out.endswith("This was a dry run: nothing was changed.\n")
    assert files(folder) == before
    good.status = 503
    code, out, err = run(capsys, "refresh", NETWORK)
    assert (code, out, err.count("\n")) == (2, "", 1)
    good.status = 200
    code, out, err = run(capsys, "refresh", NETWORK)
    assert (code, err) == (0, "")
    assert out.startswith(f"{NETWORK}: 48 rows added")
    code, out, err = run(capsys, "data")
    assert code == 0
    assert "2009-01-09..2026-07-19" in out


def test_the_command_lists_what_is_due(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "_today", lambda: HELD_TO + dt.timedelta(100))
    code, out, err = run(capsys, "data", "--stale")
    assert (code, err) == (0, "")
    assert f"run wattshift refresh {NETWORK}" in out
    assert "halvings" not in out
    monkeypatch.setattr(cli, "_today", lambda: dt.date(2026, 5, 1))
    assert run(capsys, "data", "--stale") == (0, "No table is older than its usual interval.\n", "")
    (folder / "halvings.yml").write_text("x")
    code, out, err = run(capsys, "data", "--stale")
    assert code == 2
    assert err.startswith("halvings.yml")


def test_no_other_module_and_no_notebook_goes_through_the_door() -> None:
    doors = re.compile(r"urllib\.request|import requests|http\.client|import httpx|aiohttp")
    opened = [path.name for path in (ROOT / "lib").rglob("*.py") if doors.search(path.read_text(encoding="utf-8"))]
    assert opened == ["ask.py"]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert "refresh" not in re.findall(r"(?:import|wattshift\.)\s*(\w+)", text), path.name
        assert not doors.search(text), path.name


@pytest.mark.parametrize("module", [merge, publishers])
def test_doctests_hold(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert done.attempted
    assert not done.failed
