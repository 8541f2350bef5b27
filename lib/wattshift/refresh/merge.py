"""Rows held and rows fetched as one table and its card. Nothing is read or written here."""

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wattshift import data
from wattshift.data import Card
from wattshift.refresh.publishers import Adapter, Row
from wattshift.refusal import Refusal


@dataclass(frozen=True)
class Change:
    """What a refresh changed, or would change.

    rows, last : length of the table now, and its newest day
    compared   : held rows that the publisher sent again and that agree
    added      : new rows; filled: held cells that were blank and got a value
    last_row   : the newest row as it is written, for a glance
    terms      : what the card says about passing the rows on, unless they are free
    finished   : nothing was asked; a refresh that had been stopped between its two files was finished
    """

    name: str
    rows: int
    last: str
    compared: int = 0
    added: int = 0
    filled: int = 0
    last_row: str = ""
    terms: str = ""
    finished: bool = False

    def lines(self) -> list[str]:
        """The change in sentences, for the terminal."""
        now = f"{self.rows:,} rows, to {self.last}"
        if self.finished:
            return [f"{self.name}: a refresh that had been stopped is finished now; {now}."]
        agree = f"the {self.compared} rows sent again agree"
        if not (self.added or self.filled):
            return [f"{self.name}: nothing newer; {agree}. Nothing was changed."]
        return [
            f"{self.name}: {self.added:,} rows added, {self.filled} blank cells filled; {now}; {agree}.",
            f"Last row: {self.last_row}.",
            *([f"Before you pass the new rows on: {self.terms}"] if self.terms else []),
        ]


@dataclass(frozen=True)
class Plan:
    """The two files as they would be, the checksum of the table they replace, and what changes."""

    change: Change
    table: bytes
    card: str
    replaces: str


def plan(of: Card, text: str, content: bytes, adapter: Adapter, fetched: Sequence[Row], today: dt.date) -> Plan:
    """The new table and card, checked as `data.load` would check them and against the rules of the chain.

    Rows held stay as they are, byte for byte, but for blank cells that get a value. Raises Refusal.
    """
    columns = [column.name for column in of.columns]
    held = data.read_cells(of, content)
    rows, compared, filled = merge(columns, held, fetched, adapter.slack)
    days = [row[columns.index("date")] for row in rows]
    change = Change(
        name=of.name,
        rows=len(rows),
        last=max(days),
        compared=compared,
        added=len(rows) - len(held),
        filled=filled,
        last_row=", ".join(f"{name} {cell or 'blank'}" for name, cell in zip(columns, rows[-1], strict=True)),
        terms="" if of.redistribution == "yes" else of.redistribution_note,
    )
    if rows == held:
        return Plan(change, content, text, of.sha256)
    table = "".join(",".join(row) + "\n" for row in [columns, *rows]).encode()
    if not filled and not table.startswith(content):
        raise Refusal(f"{of.file} is not written in plain cells, so rows cannot be added by machine.")
    new = next(i for i, row in enumerate(rows) if i == len(held) or row != held[i])
    renewed = of.model_copy(
        update={
            "rows": len(rows),
            "bytes": len(table),
            "sha256": data.sha256(table),
            "range": f"{min(filter(None, days))}..{max(days)}",
            "date_read": today,
            "vintage": f"to {max(days)}",
            "obtained_via": _obtained(of.obtained_via, adapter.source, rows[new][0], rows[-1][0]),
        }
    )
    adapter.check(data.read_table(renewed, table), new)
    return Plan(change, table, recard(text, of, renewed), of.sha256)


def merge(
    columns: Sequence[str], held: Sequence[Row], fetched: Sequence[Row], slack: Mapping[str, float]
) -> tuple[list[Row], int, int]:
    """Rows held and fetched as one list, the number of rows in both, and the number of blank cells filled.

    The first row fetched is one that is held. Raises Refusal if a cell of a row in both differs by more than rounding,
    or became blank.

    >>> merge(["date", "price"], [("1", "5"), ("2", "")], [("2", "6"), ("3", "7")], {})
    ([('1', '5'), ('2', '6'), ('3', '7')], 1, 1)
    """
    start = next(i for i, row in enumerate(held) if row[0] == fetched[0][0])
    both, filled = [], 0
    for old, new in zip(held[start:], fetched, strict=False):
        for name, was, now in zip(columns, old, new, strict=True):
            if was and was != now and not (now and math.isclose(_real(was), _real(now), rel_tol=slack.get(name, 0))):
                raise Refusal(
                    f"for {old[0]} the publisher now says {name} = {now or 'nothing'}, we hold {was}: look which is "
                    "right, and if it was revised, replace the table by hand and say so on the card (data/README.md)."
                )
            filled += now != "" and was == ""
        both.append(tuple(was or now for was, now in zip(old, new, strict=True)))
    return [*held[:start], *both, *held[start + len(both) :], *fetched[len(both) :]], len(both), filled


def _real(cell: str) -> float:
    """The number in a cell; a cell without one is near no other."""
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _obtained(entries: Sequence[str], source: str, first: str, last: str) -> tuple[str, ...]:
    """The entries of `obtained_via`, with one for this source: a new one, or the one there reaching further."""
    mine = re.compile(rf"{re.escape(source)} \((\S+)\.\.\S+\)")
    before = [found[1] for entry in entries if (found := mine.fullmatch(entry))]
    others = [entry for entry in entries if not mine.fullmatch(entry)]
    return (*others, f"{source} ({(before or [first])[0]}..{last})")


def recard(text: str, old: Card, new: Card) -> str:
    """The card's text with the fields that a refresh renews changed, and every other character kept.

    The text that comes out is read again and must be the new card; Refusal if not.
    """
    out = text
    for name in ("rows", "bytes", "sha256", "range", "date_read", "vintage"):
        value = getattr(new, name)
        line = f'{name}: "{value}"' if name == "sha256" else f"{name}: {value}"
        out = re.sub(rf"^{name}: .*$", line, out, count=1, flags=re.M)
    block = "obtained_via:\n" + "".join(f"- {entry}\n" for entry in new.obtained_via)
    out = re.sub(r"^obtained_via:.*\n(?:[- ].*\n)*", lambda _: block, out, count=1, flags=re.M)
    try:
        same = data.read_card(old.name, out.encode()) == new
    except Refusal:
        same = False
    if not same:
        raise Refusal(f"{old.name}.yml is written in a way that cannot be changed by machine.")
    return out
