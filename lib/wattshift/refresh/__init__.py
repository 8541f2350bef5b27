"""Fetch newer rows of a table from its publisher, check them, and replace table and card together or not at all.

This is the project's only door to the network, and no notebook calls it. `refresh` goes four steps, a file for each:

publishers : what a publisher is asked (`ask` opens the connection), and its answer as cells, rounded as the card says
merge      : rows held that were sent again must agree; the new bytes of the table and the new text of its card
chain      : what the rules of the chain say about the new rows
replace    : table and card put in place in one step, or an interrupted step finished

Any fault is a `Refusal` of one sentence that begins with "<table> stays as it is", and no file is changed.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from wattshift import data
from wattshift.data import Card
from wattshift.refresh import replace
from wattshift.refresh.ask import asker
from wattshift.refresh.merge import Change, plan
from wattshift.refresh.publishers import ADAPTERS, Adapter
from wattshift.refusal import Refusal

__all__ = ["Change", "Stale", "refresh", "stale"]

TIMEOUT_SECONDS = 30.0


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
    timeout : seconds that an answer may take as a whole
    dry_run : check everything and change nothing

    Raises Refusal if the table is unknown, damaged, or renewed by hand; if the publisher cannot be reached, refuses, or
    sends what is malformed; or if what it sent contradicts the rows held, the card, or the chain.
    """
    with replace.alone():
        finished = replace.finish(name)
    of, text, content = data.raw(name)
    if finished:
        return Change(name, of.rows, (of.range or "").split("..")[-1], finished=True)
    adapter = _adapter(of)
    try:
        fetched = adapter.fetch(asker(address or adapter.address, timeout), data.read_cells(of, content), today)
        ready = plan(of, text, content, adapter, fetched, today)
    except Refusal as refusal:
        raise Refusal(f"{name} stays as it is: {refusal}") from None
    if not dry_run and (ready.change.added or ready.change.filled):
        with replace.alone():
            replace.put(name, ready)
    return ready.change


def _adapter(of: Card) -> Adapter:
    """The adapter that a card names; Refusal with the card's own words if it is renewed by hand."""
    if of.refresh is None:
        raise Refusal(f"{of.name} is renewed by hand: its card does not say how; see data/README.md.")
    if of.refresh.by_hand is not None:
        raise Refusal(f"{of.name} is renewed by hand: {of.refresh.by_hand.rstrip('.')}.")
    adapter = ADAPTERS.get(of.refresh.adapter or "")
    if adapter is None:
        raise Refusal(f"{of.name}.yml names the adapter {of.refresh.adapter}; there are {', '.join(ADAPTERS)}.")
    if tuple(column.name for column in of.columns) != adapter.columns:
        raise Refusal(
            f"{of.name}.yml names the adapter {of.refresh.adapter}, which fills {', '.join(adapter.columns)} "
            "and no other columns."
        )
    return adapter


@dataclass(frozen=True)
class Stale:
    """A table that is older than its usual interval: its newest day, both lengths in days, and how to renew it."""

    name: str
    newest: dt.date
    age_days: int
    interval_days: int
    how: str


def stale(cards: Sequence[Card], today: dt.date) -> list[Stale]:
    """The tables that are older than their usual interval, oldest first.

    A table with an adapter is as old as its last day; one renewed by hand, as the day on which it was last read. A card
    without `interval_days` never goes stale.
    """
    found = []
    for of in cards:
        newest, how = of.date_read, (of.refresh and of.refresh.by_hand) or "see data/README.md"
        if of.refresh and of.refresh.adapter and of.range:
            newest, how = dt.date.fromisoformat(of.range.split("..")[1]), f"run wattshift refresh {of.name}"
        age = (today - newest).days
        if of.interval_days is not None and age > of.interval_days:
            found.append(Stale(of.name, newest, age, of.interval_days, how))
    return sorted(found, key=lambda each: each.newest)
