"""Sweeps: many parameter sets of one notebook as a plan of runs, and the table that holds one row for each.

A plan comes from a grid, whole or sampled, through the notebook's contract: a set that the contract refuses stays in
the plan with its reason. The table is a CSV beside a card: each line is written as its run ends and is on the disk
before the next one, so a sweep may stop at any moment and go on from there. Nothing here runs a notebook.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from wattshift.parameters import Contract, Json
from wattshift.refusal import Refusal
from wattshift.values import Value, shown

Status = Literal["done", "failed", "refused"]
Role = Literal["run", "parameter", "result"]

LARGEST_PLAN = 100_000  # runs of one sweep
TABLE, CARD, FIGURE = "sweep.csv", "sweep.yml", "sweep.svg"
RUN_COLUMNS = {
    "row": "number of the run: its place in the sweep that first asked for it",
    "id": "the run by its content: the same parameter values of the same notebook have the same id",
    "status": "done; failed: a cell or a machine failed; refused: the contract or the notebook says no to these values",
    "seconds": "time that the run took, notebook and kernel",
    "reason": "why a run failed or was refused",
}
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")  # no spreadsheet reads an id as a number


# ---------------------------------------------------------------- the plan


@dataclass(frozen=True)
class Point:
    """One parameter set of a plan.

    texts : each named parameter as the table shows it; given : what to inject, checked; reason : why it is refused
    """

    id: str
    texts: Mapping[str, str]
    given: Mapping[str, Json] = field(default_factory=dict)
    reason: str = ""


def plan(
    contract: Contract,
    grid: Mapping[str, Sequence[str]],
    fixed: Mapping[str, str] | None = None,
    *,
    sample: int | None = None,
    seed: int = 0,
) -> list[Point]:
    """The parameter sets of a sweep, each once: every combination of the grid, or a Latin sample of it.

    grid : values of each swept parameter, as typed; fixed : one value of each further parameter; sample : how many
    sets to draw. Raises Refusal for an unknown or repeated name, and for a plan of more than LARGEST_PLAN runs.
    """
    fixed = fixed or {}
    faults = [f"{shown(name)[1:-1]} is given both as -p and as --grid: give it once." for name in grid if name in fixed]
    for name in [*grid, *fixed]:
        try:
            contract[name]
        except Refusal as refusal:
            faults.append(str(refusal))
    size = math.prod(len(values) for values in grid.values())
    if sample is None and size > LARGEST_PLAN:
        faults.append(f"The grid has {size:,} sets, more than {LARGEST_PLAN:,}: add --sample with a number of them.")
    if sample is not None and not 1 <= sample <= LARGEST_PLAN:
        faults.append(f"--sample cannot be {sample}: give a whole number from 1 to {LARGEST_PLAN:,}, for example 50.")
    if faults:
        raise Refusal("\n".join(faults))
    levels = [len(values) for values in grid.values()]
    places: Iterable[tuple[int, ...]] = (
        itertools.product(*map(range, levels)) if sample is None else latin(levels, sample, seed)
    )
    points: dict[str, Point] = {}
    for place in places:
        typed = {name: values[at] for (name, values), at in zip(grid.items(), place, strict=True)}
        point = _point(contract, {**fixed, **typed})
        points.setdefault(point.id, point)
    return list(points.values())


def _point(contract: Contract, typed: Mapping[str, str]) -> Point:
    order = [each.name for each in contract if each.name in typed]
    try:
        values = contract.validate(typed)
        given = contract.injection({name: typed[name] for name in order})
    except Refusal as refusal:
        texts = {name: " ".join(typed[name].split()) for name in order}
        return Point(_identity({**contract.defaults, **texts}), texts, reason=one_line(str(refusal)))
    return Point(_identity(values), {name: text_of(values[name]) for name in order}, given)


def _identity(values: Mapping[str, Any]) -> str:
    """Twelve letters out of all the values of a run, defaults included.

    >>> _identity({"halving": 4, "rigs": ("a", "b")}) == _identity({"rigs": ["a", "b"], "halving": 4})
    True
    """
    body = json.dumps(values, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(body.encode()).hexdigest()[:12].translate(_LETTERS)


def text_of(value: Value) -> str:
    """A checked value as a cell of the table: in full, and so that the contract reads it back as the same value.

    >>> text_of(0.05), text_of(None), text_of(("S19", "S21")), text_of(True)
    ('0.05', 'none', '[S19, S21]', 'true')
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(text_of(each) for each in value)}]"
    return str(value)


def parse_grid(pairs: Sequence[str]) -> dict[str, list[str]]:
    """`name=value,value` pairs of a command line. A comma in brackets parts nothing; a name given again adds values.

    >>> parse_grid(["power_price=0.03,0.05", "rigs=[S19, S21],[S9]", "power_price=0.07"])
    {'power_price': ['0.03', '0.05', '0.07'], 'rigs': ['[S19, S21]', '[S9]']}
    """
    grid: dict[str, list[str]] = {}
    faults = []
    for pair in pairs:
        name, sign, text = pair.partition("=")
        values = [value.strip() for value in re.split(r",(?![^\[\]]*\])", text)]
        if not sign or not name.strip() or not all(values):
            faults.append(f"{shown(pair)} is no axis of a grid: write name=value,value, for example halving=3,4.")
        else:
            known = grid.setdefault(name.strip(), [])
            known += [value for value in dict.fromkeys(values) if value not in known]
    if faults:
        raise Refusal("\n".join(faults))
    return grid


def latin(levels: Sequence[int], size: int, seed: int) -> list[tuple[int, ...]]:
    """`size` different places of a grid, drawn so that the levels of each axis come up equally often, give or take one.

    levels : number of levels of each axis. A Latin hypercube sample (McKay, Beckman and Conover 1979, Technometrics 21)
    on the levels of a grid; the whole grid where `size` reaches it. The same seed gives the same places.

    >>> sorted(place[0] for place in latin([3, 4], 6, seed=1))
    [0, 0, 1, 1, 2, 2]
    """
    total = math.prod(levels)
    if size > total // 2 and total <= 2 * LARGEST_PLAN:  # what a balanced sample leaves out of a grid is balanced too
        left_out = set(latin(levels, total - size, seed)) if size < total else set()
        return [place for place in itertools.product(*map(range, levels)) if place not in left_out]
    random = np.random.default_rng(seed)
    axes = [random.permutation(random.permutation(count)[np.arange(size) % count]).tolist() for count in levels]
    places = list(zip(*axes, strict=True))
    return _parted(places, levels, random)


def _parted(places: list[tuple[int, ...]], levels: Sequence[int], random: np.random.Generator) -> list[tuple[int, ...]]:
    """The places without repeats: two of them exchange a level, which keeps the balance, until all are different."""
    count = Counter(places)
    for here in range(len(places)):
        for _ in range(1_000):
            if count[places[here]] == 1:
                break
            other, axis = int(random.integers(len(places))), int(random.integers(len(levels)))
            old = (places[here], places[other])
            one, two = list(old[0]), list(old[1])
            one[axis], two[axis] = two[axis], one[axis]
            new = (tuple(one), tuple(two))
            count.subtract(old)
            if here != other and new[0] != new[1] and not count[new[0]] and not count[new[1]]:
                places[here], places[other] = new
                count.update(new)
            else:
                count.update(old)
        else:  # never seen; a sample that leans a little is better than a run made twice
            free = next(place for place in itertools.product(*map(range, levels)) if not count[place])
            count.subtract([places[here]])
            count.update([free])
            places[here] = free
    return places


def one_line(text: str, longest: int = 500) -> str:
    """The text in one line without anything invisible: a row of the table is a line of its file."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= longest else words[: longest - 1] + "…"


# ---------------------------------------------------------------- where a table lies


class Place(Protocol):
    """A folder that keeps texts under names."""

    def read(self, name: str) -> str | None:
        """The text, None where there is none; a last line that was cut off is left out."""

    def write(self, name: str, text: str) -> None:
        """Put a text there in one step, over an older one."""

    def append(self, name: str, lines: str, whole: str) -> None:
        """Add lines to a text; `whole` is the text with them, for a place that cannot add."""

    def where(self, name: str) -> str:
        """Name of the text for the reader."""


@dataclass(frozen=True)
class Folder:
    """A folder on this machine. What `write` and `append` gave back from is on the disk."""

    path: Path

    def read(self, name: str) -> str | None:
        """The text, whole lines only: the rest of a line that a crash cut off is removed from the file as well."""
        file = self.path / name
        try:
            body = file.read_bytes()
            whole = body[: body.rfind(b"\n") + 1]
            if len(whole) < len(body):
                os.truncate(file, len(whole))
            return whole.decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise Refusal(f"{file} is not a text in UTF-8: give another --out.") from None
        except OSError as error:
            raise Refusal(f"{file} cannot be read ({error.strerror}): give another --out.") from None

    def write(self, name: str, text: str) -> None:
        """Put a text into place, over an older one, in one step."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=file.parent, prefix=".making-", delete=False) as made:
            try:
                made.write(text.encode())
                made.flush()
                os.fsync(made.fileno())
                if os.name == "posix":
                    os.fchmod(made.fileno(), 0o666 & ~_umask())
                made.close()
                Path(made.name).replace(file)
            except BaseException:
                Path(made.name).unlink(missing_ok=True)
                raise

    def append(self, name: str, lines: str, whole: str) -> None:  # noqa: ARG002
        """Add lines and wait until the disk has them; a line that does not fit is taken back."""
        with (self.path / name).open("ab") as file:
            before = file.tell()
            try:
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    os.truncate(file.fileno(), before)
                raise

    def where(self, name: str) -> str:
        """The file's path."""
        return str(self.path / name)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder for one sweep; Refusal where another one holds it."""
        self.path.mkdir(parents=True, exist_ok=True)
        if os.name != "posix":
            yield
            return
        import fcntl

        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refusal(f"Another sweep is writing to {self.path}: wait for it, or give another --out.") from None
            yield
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# ---------------------------------------------------------------- the table


@dataclass(frozen=True)
class Result:
    """One number, text or day that a run recorded."""

    name: str
    value: Json
    unit: str
    label: str = ""
    headline: bool = False


@dataclass(frozen=True)
class Answer:
    """What became of one run."""

    id: str
    status: Status
    reason: str = ""
    seconds: float | None = None
    results: tuple[Result, ...] = ()
    notebook: str = ""  # the executed notebook, where it was asked for


@dataclass(frozen=True)
class Column:
    """One column of the table as its card describes it."""

    name: str
    role: Role
    unit: str | None
    meaning: str
    headline: bool = False


class Table:
    """The rows of a sweep in `place`: one per run, in memory and on the disk alike.

    made_from : what the runs are made from (the notebook, the library, the data) in one word; a table that was begun
    from something else is refused, since its rows would not be comparable.
    """

    def __init__(self, place: Place, contract: Contract, notebook: str, made_from: str) -> None:
        self.place, self.contract, self.notebook, self.made_from = place, contract, notebook, made_from
        self.columns: dict[str, Column] = {}
        self.rows: dict[str, dict[str, str]] = {}  # id -> cells
        self._numbers: dict[str, int] = {}
        self._texts: dict[str, Mapping[str, str]] = {}
        self._head_there: list[str] = []  # columns of the table as it lies in its place
        self._read()

    # ---- reading

    def _read(self) -> None:
        text, card = self.place.read(TABLE), self.place.read(CARD)
        if not text:
            return
        where = self.place.where(TABLE)
        about = _card_of(card)
        if about is None:
            raise Refusal(f"{where} has no card that says what it was made from: give another --out.")
        if (about["notebook"], about["made_from"]) != (self.notebook, self.made_from):
            what = (
                "the notebook, the library or the data have changed since"
                if about["notebook"] == self.notebook
                else f"it is of {shown(about['notebook'])[1:-1]}"
            )
            raise Refusal(f"{where} cannot take these rows ({what}): give another --out, or remove the old table.")
        known = {column.name: column for column in about["columns"]}
        lines = list(csv.reader(io.StringIO(text)))
        head = lines[0]
        if not set(head) <= set(known) or not set(RUN_COLUMNS) <= set(head):
            raise Refusal(f"{where}, line 1: the columns are not those of its card: give another --out.")
        for number, cells in enumerate(lines[1:], 2):
            row = dict(zip(head, cells, strict=False))
            if (
                len(cells) != len(head)
                or row["status"] not in ("done", "failed", "refused")
                or not row["row"].isdigit()
            ):
                if number == len(lines):
                    continue  # a crash of the machine may leave the last line in any state; its run is made again
                raise Refusal(f"{where}, line {number}: this is no row of a sweep: give another --out.")
            self.rows[row["id"]] = row
        self.columns = {name: known[name] for name in head if known[name].role != "run"}
        self._head_there = head
        if len(lines) - 1 != len(self.rows):
            self._write()

    def unfinished(self, points: Sequence[Point], *, retry: bool = False) -> list[Point]:
        """The points that have no row yet, refused ones included; with `retry` also those whose run failed."""
        if retry:
            failed = [point.id for point in points if self.rows.get(point.id, {}).get("status") == "failed"]
            for each in failed:
                self._numbers[each] = int(self.rows.pop(each)["row"])
            if failed:
                self._write()
        self._number(points)
        self._add_columns([self._parameter(name) for point in points for name in point.texts])
        self._texts = {point.id: point.texts for point in points}
        return [point for point in points if point.id not in self.rows]

    def _number(self, points: Sequence[Point]) -> None:
        """Give each point its row number: the one it has, else the smallest that is free, in the plan's order."""
        self._numbers |= {each: int(row["row"]) for each, row in self.rows.items()}
        taken = set(self._numbers.values())
        free = (number for number in itertools.count(1) if number not in taken)
        for point in points:
            if point.id not in self._numbers:
                self._numbers[point.id] = next(free)

    # ---- writing

    def begin(self) -> None:
        """Write the head of the table, so that a place that takes nothing is known before anything runs."""
        if self.head != self._head_there:
            self._write()

    def add(self, answers: Sequence[Answer]) -> None:
        """Write the rows of some runs; when this comes back, they are kept."""
        if not answers:
            return
        before = dict(self.rows), dict(self.columns)
        for answer in map(self._one_unit, answers):
            self._add_columns([self._column(result) for result in answer.results])
            self.rows[answer.id] = self._row(answer)
        try:
            if self.head != self._head_there:
                self._write()
            else:
                lines = _lines(self.head, [self.rows[answer.id] for answer in answers])
                self.place.append(TABLE, lines, self.text())
        except BaseException:
            self.rows, self.columns = before
            raise

    def close(self) -> None:
        """Put the rows into the order of their numbers, and say so on the card."""
        order = sorted(self.rows, key=lambda each: int(self.rows[each]["row"]))
        if order != list(self.rows):
            self.rows = {each: self.rows[each] for each in order}
            self._write()

    def _row(self, answer: Answer) -> dict[str, str]:
        cells = {name: text_of(self.contract.defaults[name]) for name in self._swept}
        cells |= dict(self._texts.get(answer.id, {}))
        cells |= {self._result_name(each.name): _cell(each.value) for each in answer.results}
        return cells | {
            "row": str(self._numbers[answer.id]),
            "id": answer.id,
            "status": answer.status,
            "seconds": "" if answer.seconds is None else f"{answer.seconds:.2f}",
            "reason": one_line(answer.reason),
        }

    def _one_unit(self, answer: Answer) -> Answer:
        """The answer, failed where it records a result in another unit than the rows before it."""
        for result in answer.results:
            known = self.columns.get(self._result_name(result.name))
            if known is not None and known.unit != result.unit:
                units = f"{result.unit or 'no unit'!r}, other rows in {known.unit or 'no unit'!r}"
                why = f"it records {result.name} in {units}: a column has one unit"
                return replace(answer, status="failed", reason=why, results=())
        return answer

    def _parameter(self, name: str) -> Column:
        declared = self.contract[name]
        return Column(name, "parameter", declared.unit or None, declared.meaning)

    def _column(self, result: Result) -> Column:
        return Column(self._result_name(result.name), "result", result.unit, result.label, result.headline)

    def _result_name(self, name: str) -> str:
        return f"result_{name}" if name in RUN_COLUMNS or name in self.contract else name

    @property
    def _swept(self) -> list[str]:
        return [name for name, column in self.columns.items() if column.role == "parameter"]

    @property
    def head(self) -> list[str]:
        """Names of the columns: the run, its parameters, its results, how long it took."""
        results = [name for name, column in self.columns.items() if column.role == "result"]
        return ["row", "id", "status", *self._swept, *results, "seconds", "reason"]

    def _add_columns(self, columns: Iterable[Column]) -> None:
        """Add the columns that are new. Older rows get a parameter's default, and no result."""
        new = {column.name: column for column in columns if column.name not in self.columns}
        if not new:
            return
        self.columns |= new
        place = {each.name: number for number, each in enumerate(self.contract)}
        order = sorted(self.columns, key=lambda name: place.get(name, len(place)))
        self.columns = {name: self.columns[name] for name in order}
        defaults = {n: text_of(self.contract.defaults[n]) for n, c in new.items() if c.role == "parameter"}
        for each, row in self.rows.items():
            self.rows[each] = {**defaults, **row}

    def text(self) -> str:
        """The table as CSV."""
        return ",".join(self.head) + "\n" + _lines(self.head, list(self.rows.values()))

    def _write(self) -> None:
        """Write card and table anew. The card first: it may describe a column too many, never one too few."""
        self.place.write(CARD, self.card())
        self.place.write(TABLE, self.text())
        self._head_there = self.head

    def card(self) -> str:
        """What the table holds: each column with its unit, and the parameters that all rows share."""
        import yaml

        run_columns = {
            name: Column(name, "run", "s" if name == "seconds" else None, RUN_COLUMNS[name]) for name in RUN_COLUMNS
        }
        columns = [asdict({**run_columns, **self.columns}[name]) for name in self.head]
        body = {
            "title": f"Sweep of {self.notebook}",
            "file": TABLE,
            "row": "one run of the notebook",
            "notebook": self.notebook,
            "made_from": self.made_from,
            "held": {each.name: text_of(each.default) for each in self.contract if each.name not in self.columns},
            "columns": [
                {key: value for key, value in column.items() if key != "headline" or value} for column in columns
            ],
        }
        return str(yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None))

    # ---- picking rows

    def known(self, words: Sequence[str]) -> None:
        """Refusal for each word that names no row of the table or of the plan, before anything runs."""
        names = {str(number) for number in self._numbers.values()} | set(self._numbers)
        where = self.place.where(TABLE)
        faults = [f"--report: there is no row {shown(word)} in {where}." for word in words if word not in names]
        if faults:
            raise Refusal("\n".join(faults))

    def pick(self, words: Sequence[str]) -> list[dict[str, str]]:
        """Rows by number or id, in the order asked for; Refusal names each that is not there or was not done."""
        by_name = {row["row"]: row for row in self.rows.values()} | self.rows
        faults = []
        for word in words:
            if word not in by_name:
                faults.append(
                    f"--report: there is no row {shown(word)} in {self.place.where(TABLE)}: give its number or id."
                )
            elif by_name[word]["status"] != "done":
                row = by_name[word]
                faults.append(
                    f"--report: row {row['row']} was {row['status']} ({row['reason']}): give a row that is done."
                )
        if faults:
            raise Refusal("\n".join(faults))
        return [by_name[word] for word in dict.fromkeys(words)]

    def parameters_of(self, row: Mapping[str, str]) -> dict[str, Json]:
        """What to inject to make a row's run again: the values that differ from the defaults."""
        values = self.contract.validate({name: row[name] for name in self._swept})
        return self.contract.injection({n: v for n, v in values.items() if v != self.contract.defaults[n]})


def _card_of(text: str | None) -> dict[str, Any] | None:
    import yaml

    try:
        body = yaml.safe_load(text or "")
        columns = [Column(**{"headline": False, **column}) for column in body["columns"]]
        return {"notebook": str(body["notebook"]), "made_from": str(body["made_from"]), "columns": columns}
    except (yaml.YAMLError, TypeError, KeyError):
        return None


def _cell(value: Json) -> str:
    """A recorded value as a cell; numbers in full."""
    return one_line(value) if isinstance(value, str) else text_of(value)


def _lines(head: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    page = io.StringIO()
    csv.writer(page, lineterminator="\n").writerows([row.get(name, "") for name in head] for row in rows)
    return page.getvalue()
