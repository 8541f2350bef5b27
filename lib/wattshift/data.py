"""Load a table of data/, checked against its card; nothing else in this project reads tables.

A table is two files: `<name>.csv` (UTF-8, LF, comma, first line = column names) and its card `<name>.yml`. The card
says what a row is, what each column may hold, who published it, what may be done with it, and the sha256 of the
table. A table that is not exactly what its card says is refused (`Refusal`), with the file, the line, the column, the
value and what is allowed, one sentence per fault; it is never repaired, guessed at or half loaded.

The folder is data/ of this project, or the one that the environment variable WATTSHIFT_DATA names.
"""

import csv
import datetime as dt
import difflib
import functools
import hashlib
import io
import json
import math
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wattshift.refusal import Refusal

PENDING = ".new"  # ending of a table or card that a refresh has written but not yet put in place
MAX_FAULTS = 5  # a refusal names this many faults of a table, then counts the rest

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_CARD_FAULTS = {"missing": "is missing", "extra_forbidden": "is no field of a card"}
_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]")
_DATES = {  # format on the card: what it looks like, and what completes it to its first instant
    "YYYY": (re.compile(r"[0-9]{4}"), "-01-01"),
    "YYYY-MM": (re.compile(r"[0-9]{4}-[0-9]{2}"), "-01"),
    "YYYY-MM-DD": (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), ""),
    "YYYY-MM-DDThh:mm:ssZ": (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"), ""),
}


# ---------------------------------------------------------------- the card


class Column(BaseModel):
    """One column as its card describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    type: Literal["date", "number", "integer", "string"]
    unit: str | None
    meaning: str
    required: bool
    format: str | None = None  # of a date: one form of _DATES, or several joined by " or "
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[Any, ...] | None = Field(default=None, strict=False)
    reference: str | None = Field(
        default=None, pattern=r"^[a-z0-9_]+\.csv$"
    )  # a table whose keys, or web addresses, the cells hold, joined by "; "
    step: int | None = Field(default=None, gt=0)  # each row is this much (of a date: days) after the row before

    @property
    def formats(self) -> list[str]:
        """The forms that a date may be written in."""
        return self.format.split(" or ") if self.format else []

    @model_validator(mode="after")
    def _fits_its_type(self) -> "Column":
        if (self.type == "date") != bool(self.format) or not set(self.formats) <= set(_DATES):
            raise ValueError(f"column {self.name}: a date needs a format out of {', '.join(_DATES)}; others have none")
        if self.type not in ("number", "integer") and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"column {self.name}: only a number has a minimum or a maximum")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"column {self.name}: minimum {self.minimum} lies above maximum {self.maximum}")
        kinds = (str,) if self.type == "string" else (int, float)
        if any(isinstance(value, bool) or not isinstance(value, kinds) for value in self.allowed or ()):
            raise ValueError(f"column {self.name}: a value of allowed is not a {self.type} (quote yes, no, on, off)")
        if self.step is not None and self.type not in ("date", "integer"):
            raise ValueError(f"column {self.name}: only a date or an integer has a step")
        return self

    def allows(self) -> str:
        """What a cell of this column may hold, in words.

        >>> Column(name="w", type="integer", unit="W", meaning="", required=True, minimum=1, maximum=9).allows()
        'a whole number from 1 to 9 W'
        """
        if self.allowed is not None:
            text = "one of " + ", ".join(str(value) for value in self.allowed)
        elif self.reference is not None:
            text = f'keys of {self.reference} or web addresses, joined by "; "'
        elif self.type == "date":
            text = f"a date written {self.format}"
        elif self.type == "string":
            text = "text"
        else:
            text = "a whole number" if self.type == "integer" else "a number in plain digits"
            if self.minimum is not None:
                text += f" from {self.minimum:.12g}"
            if self.maximum is not None:
                text += f" {'to' if self.minimum is not None else 'up to'} {self.maximum:.12g}"
            text += f" {self.unit}" if self.unit else ""
        return text if self.required else text + ", or nothing"


class Renewal(BaseModel):
    """How newer rows get into a table: by an adapter of `refresh/publishers.py`, or by hand, as a sentence says."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    adapter: str | None = None
    by_hand: str | None = None

    @model_validator(mode="after")
    def _says_one_way(self) -> "Renewal":
        if (self.adapter is None) == (self.by_hand is None):
            raise ValueError("give either adapter or by_hand")
        return self


class Card(BaseModel):
    """What a table is: its columns, its origin, its licence, its traps, and the checksum of its file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: str
    file: str
    topics: str
    row: str
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    range: str | None = Field(default=None, pattern=r"^[0-9-]+\.\.[0-9-]+$")
    columns: tuple[Column, ...] = Field(min_length=1, strict=False)
    primary_key: tuple[str, ...] = Field(min_length=1, strict=False)
    producers: tuple[str, ...] = Field(min_length=1, strict=False)
    citation: str
    source_urls: tuple[str, ...] = Field(strict=False)
    obtained_via: tuple[str, ...] = Field(strict=False)
    vintage: str
    date_read: dt.date
    licence: str
    redistribution: Literal["yes", "attribution", "non-commercial", "quote-figures-only", "unknown"]
    redistribution_note: str
    transformations: tuple[str, ...] = Field(strict=False)
    checks: tuple[str, ...] = Field(strict=False)
    caveats: tuple[str, ...] = Field(strict=False)
    refresh: Renewal | None = None
    interval_days: int | None = Field(default=None, gt=0)  # how old the table may grow before a look is due

    @property
    def name(self) -> str:
        """The table's name, as `load` takes it."""
        return self.file.removesuffix(".csv")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Card":
        columns = [column.name for column in self.columns]
        if len(set(columns)) < len(columns):
            raise ValueError("columns: two columns have one name")
        for key in self.primary_key:
            if key not in columns:
                raise ValueError(f"primary_key: there is no column {key}")
        return self


# ---------------------------------------------------------------- the folder


@dataclass(frozen=True)
class Inspection:
    """One table of the folder: its card (None if that cannot be read) and what is wrong, a sentence per fault."""

    name: str
    card: Card | None
    faults: tuple[str, ...]


def folder() -> Path:
    """The folder that holds the tables: WATTSHIFT_DATA if set, else data/ of this project; it may not exist."""
    override = os.environ.get("WATTSHIFT_DATA")
    return Path(override) if override else Path(__file__).resolve().parents[2] / "data"


def names() -> list[str]:
    """Names of all tables in the folder (every .csv and every card), sorted. Raises Refusal if there is no folder."""
    if not folder().is_dir():
        raise Refusal(
            f"there is no data folder at {folder()}; run from a clone of the project, or let the environment variable "
            "WATTSHIFT_DATA name a folder of tables and cards."
        )
    return sorted({path.stem for path in folder().iterdir() if path.suffix in (".csv", ".yml")} - {""})


def card(name: str) -> Card:
    """The card of a table. Raises Refusal if the table is unknown or its card is missing or not valid."""
    _known(name)
    return _card(name, _bytes(f"{name}.yml", f"{name}.csv has no card: {name}.yml is missing."))


def load(name: str) -> pd.DataFrame:
    """A table of data/ as a typed frame, after every check of its card; a fresh copy at every call.

    Columns are those of the card, in its order, over a plain RangeIndex. date: datetime64, UTC without a zone; a date
    that is known only to the month or the year is its first day. integer: int64, or Int64 where a cell is blank.
    number: float64. string: str. A blank cell is a missing value, never zero.

    Raises Refusal if the table is unknown, or if it or its card is damaged.

    >>> load("halvings").height.tolist()
    [210000, 420000, 630000, 840000]
    """
    frame = _checked(name).copy()
    if name not in _loaded:
        _loaded.append(name)
    return frame


def raw(name: str) -> tuple[Card, str, bytes]:
    """The card, its text and the table's bytes, after the checks of `load` (for `refresh`, which replaces both)."""
    of = card(name)
    _checked(name)
    text = _bytes(f"{name}.yml", f"{name}.yml is missing.")
    content = _bytes(of.file, f"{of.file} is missing.")
    if _card(name, text) != of or sha256(content) != of.sha256:
        raise Refusal(f"{name}: its files changed while they were read; try again.")
    return of, text.decode(), content


def read_card(name: str, content: bytes) -> Card:
    """The card that these bytes would be for the table `name`; Refusal as from `card`. Reads no file."""
    return _card(name, content)


def read_table(of: Card, content: bytes) -> pd.DataFrame:
    """The frame that these bytes would be under this card; Refusal as from `load`. Reads no file."""
    return _frame(of, content, ()).copy()


def read_cells(of: Card, content: bytes) -> list[tuple[str, ...]]:
    """The rows below the column names as they are written, cell by cell. Reads no file."""
    return [tuple(row) for row in _rows(of, _text(of.file, content))[0]]


def loaded() -> list[str]:
    """Names of the tables loaded so far in this process, in the order of their first load (for the provenance)."""
    return list(_loaded)


def inspect() -> list[Inspection]:
    """Check every table of the folder; no fault of a table is raised. Raises Refusal only if there is no folder."""
    return [_inspect(name) for name in names()]


def sha256(content: bytes | Path) -> str:
    """Checksum of bytes, or of a file's bytes, in hexadecimal.

    >>> sha256(b"abc")[:16]
    'ba7816bf8f01cfea'
    """
    return hashlib.sha256(content if isinstance(content, bytes) else content.read_bytes()).hexdigest()


_loaded: list[str] = []
bytes_read: dict[str, str] = {}  # file -> sha256 of what was last read of it: a report stays good while these stay


def _inspect(name: str) -> Inspection:
    found = None
    try:
        found = card(name)
        _checked(name)
    except Refusal as refusal:
        return Inspection(name, found, tuple(str(refusal).splitlines()))
    return Inspection(name, found, ())


def _known(name: str) -> None:
    known = names()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean {near[0]}?" if near else "wattshift data lists the tables."
        raise Refusal(f"there is no table named {_quoted(str(name))}; {hint}")


def _bytes(file: str, missing: str) -> bytes:
    try:
        content = (folder() / file).read_bytes()
        bytes_read[file] = sha256(content)
        return content
    except FileNotFoundError:
        raise Refusal(missing) from None
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}.") from None


def _checked(name: str) -> pd.DataFrame:
    """The checked frame, shared: do not hand out. Checked again only when a byte of table, card or sources changed."""
    of = card(name)
    content = _bytes(of.file, f"{name}.yml is a card without its table: {of.file} is missing.")
    if sha256(content) != of.sha256:
        content = _after_refresh(of)
        of = card(name)
    references = sorted({column.reference for column in of.columns if column.reference} - {of.file})
    keys = tuple((file, _keys(file)) for file in references if (folder() / file).is_file())
    return _frame(of, content, keys)


def _after_refresh(of: Card) -> bytes:
    """The table again, if a refresh was just replacing it; Refusal if one was stopped between its two files.

    A refresh puts the new card in place first and the new table, waiting beside it, at once afterwards.
    """
    for pause in (0.0, 0.02, 0.2):
        time.sleep(pause)
        of = card(of.name)
        content = _bytes(of.file, f"{of.file} is missing.")
        waiting = folder() / (of.file + PENDING)
        if sha256(content) == of.sha256 or not waiting.is_file():
            return content
    if sha256(_bytes(waiting.name, f"{waiting.name} is missing.")) == of.sha256:
        raise Refusal(
            f"{of.file}: a refresh was stopped between the new card and the new table; finish it, without a network, "
            f"by: wattshift refresh {of.name}."
        )
    return content


def _keys(file: str) -> frozenset[str]:
    """The keys of a table that another one refers to (its own references are not followed)."""
    of = card(file.removesuffix(".csv"))
    return frozenset(_frame(of, _bytes(file, f"{file} is missing."), ())[of.primary_key[0]].astype(str))


# ---------------------------------------------------------------- reading and checking


@functools.lru_cache(maxsize=64)
def _card(name: str, content: bytes) -> Card:
    file = f"{name}.yml"
    try:
        given = yaml.safe_load(_text(file, content))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise Refusal(f"{file}{where}: not valid YAML ({getattr(error, 'problem', None) or 'unreadable'}).") from None
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):  # such as the date 2026-02-30
        raise Refusal(f"{file}: not valid YAML (a value cannot be read).") from None
    if not isinstance(given, dict):
        raise Refusal(f"{file}: a card is a list of fields such as 'title: …'; this is not one.")
    try:
        found = Card.model_validate(given)
    except ValidationError as error:
        raise Refusal(_listed([_card_fault(file, fault) for fault in error.errors()])) from None
    if found.file != f"{name}.csv":
        raise Refusal(f"{file}: field file says {_quoted(found.file)}; allowed is {name}.csv.")
    return found


def _card_fault(file: str, fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    where = f"{file}{', field ' + place if place else ''}"
    if fault["type"] in _CARD_FAULTS:
        return f"{where}: {_CARD_FAULTS[fault['type']]}."
    given = "" if isinstance(fault["input"], dict) else f" {_quoted(str(fault['input']))}:"
    return f"{where}:{given} {fault['msg'].removeprefix('Value error, ')}."


def _text(file: str, content: bytes) -> str:
    """The file as text, if it is plain UTF-8 with LF line ends, without a byte-order mark or control characters."""
    if not content:
        raise Refusal(f"{file}: the file is empty.")
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise Refusal(f"{file}, line 1: starts with a byte-order mark; allowed is plain UTF-8 without one.")
    carriage = content.find(b"\r")
    if carriage >= 0:
        line = content.count(b"\n", 0, carriage) + 1
        raise Refusal(f"{file}, line {line}: holds a carriage return (CRLF line ends?); allowed is LF alone.")
    control = _CONTROL.search(content)
    if control:
        line = content.count(b"\n", 0, control.start()) + 1
        raise Refusal(f"{file}, line {line}: holds control character {control[0][0]}; allowed is plain text.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refusal(
            f"{file}, line {line}: byte {content[error.start]:#04x} is not UTF-8; allowed is UTF-8."
        ) from None


@functools.lru_cache(maxsize=64)
def _frame(of: Card, content: bytes, keys: tuple[tuple[str, frozenset[str]], ...]) -> pd.DataFrame:
    """The typed frame of a table's bytes, or a Refusal that names the first faults."""
    rows, lines = _rows(of, _text(of.file, content))
    series: dict[str, pd.Series] = {}
    faults: list[tuple[int, str]] = []
    for place, column in enumerate(of.columns):
        cells = [row[place] for row in rows]
        bad = set(_bad_cells(column, cells, dict(keys)))
        faults += [(lines[i], _cell_fault(of.file, lines[i], column, cells[i])) for i in bad]
        if not bad:
            series[column.name] = _typed(column, cells)
    if not faults:
        faults += [(lines[i], f"{of.file}, line {lines[i]}, {fault}") for i, fault in _order_faults(of, series, rows)]
    faults.sort()
    sentences = [sentence for _, sentence in faults]
    if len(rows) != of.rows:
        sentences.append(f"{of.file}: has {len(rows):,} rows below the column names; its card says {of.rows:,}.")
    if not sentences:
        sentences += _range_faults(of, series, rows)
    if sha256(content) != of.sha256 and not sentences:
        sentences.append(
            f"{of.file}: was changed since its card was made, though every cell is of an allowed kind: sha256 is "
            f"{sha256(content)} over {len(content)} bytes, its card says {of.sha256} over {of.bytes}."
        )
    elif len(content) != of.bytes and not sentences:
        sentences.append(f"{of.file}: has {len(content)} bytes; its card says {of.bytes}.")
    if sentences:
        raise Refusal(_listed(sentences))
    return pd.DataFrame(series)


def _rows(of: Card, text: str) -> tuple[list[list[str]], list[int]]:
    """The rows below the column names, each with its line number in the file; Refusal if the grid is broken."""
    if not text.endswith("\n"):
        raise Refusal(f"{of.file}, line {text.count(chr(10)) + 1}: the file is cut off; allowed is a whole last line.")
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    columns = [column.name for column in of.columns]
    line = 1
    try:
        for row in reader:
            if line == 1 and row != columns:
                raise Refusal(_header_fault(of.file, row, columns))
            if len(row) != len(columns):
                raise Refusal(f"{of.file}, line {line}: has {len(row)} cells; allowed is {len(columns)}.")
            rows.append(row)
            lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise Refusal(f"{of.file}, line {line}: not comma-separated values ({error}).") from None
    return rows[1:], lines[1:]


def _header_fault(file: str, given: list[str], columns: list[str]) -> str:
    place = next((i for i, (a, b) in enumerate(zip(given, columns, strict=False)) if a != b), None)
    if place is None:
        return f"{file}, line 1: has {len(given)} column names; allowed are {', '.join(columns)}."
    return (
        f"{file}, line 1, column {place + 1}: is named {_quoted(given[place])}; allowed is {columns[place]} "
        f"(the columns are {', '.join(columns)}, in this order)."
    )


def _bad_cells(column: Column, cells: Sequence[str], keys: dict[str, frozenset[str]]) -> Iterator[int]:
    """Positions of the cells that the column does not allow."""
    for i, cell in enumerate(cells):
        if cell == "":
            if column.required:
                yield i
        elif not _allowed(column, cell, keys):
            yield i


def _allowed(column: Column, cell: str, keys: dict[str, frozenset[str]]) -> bool:
    if column.type == "date":
        return _instant(column, cell) is not None
    if column.type == "string":
        if column.reference in keys:
            known = keys[column.reference]
            if not all(part in known or part.startswith(("https://", "http://")) for part in cell.split("; ")):
                return False
        return column.allowed is None or cell in column.allowed
    if not (_WHOLE if column.type == "integer" else _DECIMAL).fullmatch(cell):
        return False
    value = int(cell) if column.type == "integer" else float(cell)
    return (
        math.isfinite(value)
        and (column.minimum is None or value >= column.minimum)
        and (column.maximum is None or value <= column.maximum)
        and (column.allowed is None or value in column.allowed)
    )


def _instant(column: Column, cell: str) -> str | None:
    """The first instant of a written date, as ISO 8601 without a zone; None if the cell is no date of this column."""
    for form in column.formats:
        pattern, rest = _DATES[form]
        if pattern.fullmatch(cell):
            whole = cell.removesuffix("Z") + rest
            try:
                dt.datetime.fromisoformat(whole)
            except ValueError:
                return None
            return whole
    return None


def _typed(column: Column, cells: Sequence[str]) -> pd.Series:
    """The cells of a column, already checked, as a series of its type."""
    if column.type == "date":
        instants = [_instant(column, cell) or "NaT" for cell in cells]
        return pd.Series(np.array(instants, dtype="datetime64[us]"))
    if column.type == "integer":
        whole = [int(cell) if cell else None for cell in cells]
        return pd.Series(whole, dtype="Int64" if None in whole else "int64")
    if column.type == "number":
        return pd.Series([float(cell) if cell else math.nan for cell in cells], dtype="float64")
    return pd.Series([cell or None for cell in cells], dtype="str")


def _order_faults(of: Card, series: dict[str, pd.Series], rows: list[list[str]]) -> Iterator[tuple[int, str]]:
    """(position, fault) of each row that repeats a key, is out of order, or does not follow at the card's step."""
    places = [i for i, column in enumerate(of.columns) if column.name in of.primary_key]
    written = [" / ".join(row[i] for i in places) for row in rows]
    parts = (series[name].fillna("") if series[name].dtype == "str" else series[name] for name in of.primary_key)
    key = list(zip(*(part.tolist() for part in parts), strict=True))  # no text comes before any text
    named = f"column {' and '.join(of.primary_key)}"
    for i in range(1, len(key)):
        if key[i] == key[i - 1]:
            yield i, f"{named}: {_quoted(written[i])} repeats the row above; allowed is each key once."
        elif key[i] < key[i - 1]:
            yield i, f"{named}: {_quoted(written[i])} comes after {_quoted(written[i - 1])}; allowed is rising order."
    for place, column in enumerate(of.columns):
        if column.step is None:
            continue
        wanted = dt.timedelta(days=column.step) if column.type == "date" else column.step
        values = series[column.name].tolist()
        unit = f" day{'s' if column.step > 1 else ''}" if column.type == "date" else ""
        for i in range(1, len(values)):
            if values[i] > values[i - 1] and values[i] - values[i - 1] != wanted:
                yield (
                    i,
                    f"column {column.name}: {_quoted(rows[i][place])} follows {_quoted(rows[i - 1][place])}, so a row "
                    f"is missing or wrong; allowed is a step of {column.step}{unit}.",
                )


def _range_faults(of: Card, series: dict[str, pd.Series], rows: list[list[str]]) -> list[str]:
    """The card's range against the first and the last written date of the first date column."""
    place = next((i for i, column in enumerate(of.columns) if column.type == "date"), None)
    if of.range is None or place is None or not rows:
        return []
    dates = series[of.columns[place].name]
    first, last = rows[int(dates.argmin())][place], rows[int(dates.argmax())][place]
    low, high = of.range.split("..")
    if first.startswith(low) and last.startswith(high):
        return []
    return [f"{of.file}, column {of.columns[place].name}: runs from {first} to {last}; its card says {of.range}."]


def _cell_fault(file: str, line: int, column: Column, cell: str) -> str:
    value = _quoted(cell) if cell else "nothing"
    return f"{file}, line {line}, column {column.name}: holds {value}; allowed is {column.allows()}."


def _quoted(value: str) -> str:
    """A value from a file as one short printable word in quotation marks."""
    shown = "".join(character if character.isprintable() else "?" for character in value)
    return json.dumps(shown if len(shown) <= 60 else shown[:57] + "...", ensure_ascii=False)


def _listed(sentences: Sequence[str]) -> str:
    """One sentence a line, the first few of them."""
    rest = len(sentences) - MAX_FAULTS
    return "\n".join([*sentences[:MAX_FAULTS], *([f"and {rest:,} more faults."] if rest > 0 else [])])
