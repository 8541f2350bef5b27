"""A table and its card replaced in one step, and a replacement that was stopped between the two finished.

Both files are written beside the old ones and synced; then the card is put in place, then the table. A stop before
leaves the old pair, a stop after the new one; a stop between is told by `data.load` in one sentence, and mended by
`finish`, which needs no network.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wattshift import data
from wattshift.data import PENDING
from wattshift.refresh.merge import Plan
from wattshift.refusal import Refusal

if sys.platform != "win32":
    import fcntl


@contextmanager
def alone() -> Iterator[None]:
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


def put(name: str, ready: Plan) -> None:
    """Put the new card and table in place of the old ones; the only function that writes them.

    Raises Refusal, with nothing changed, if the table is no longer the one the plan was made from or the disk says no.
    """
    card, table = data.folder() / f"{name}.yml", data.folder() / f"{name}.csv"
    waiting_card, waiting_table = _waiting(name)
    try:
        if data.sha256(table) != ready.replaces:
            raise Refusal(f"{name} stays as it is: it was changed by somebody else meanwhile; try again.")
        _write_synced(waiting_table, ready.table)
        _write_synced(waiting_card, ready.card.encode())
        _sync_folder()
        waiting_card.replace(card)
    except OSError as error:
        _remove(waiting_card, waiting_table)
        raise Refusal(f"{name} stays as it is: {card.parent} cannot be written ({error.strerror}).") from None
    finish(name)


def finish(name: str) -> bool:
    """Finish, or clear away, what a refresh that was stopped left behind; whether there was one to finish.

    If the card in place is that of the waiting table, the table is put in place; otherwise what waits is removed.
    """
    of = data.card(name)  # refuses a name that is no table before any path is made of it
    waiting_card, waiting_table = _waiting(name)
    finished = waiting_table.is_file() and of.sha256 == data.sha256(waiting_table)
    if finished:
        try:
            waiting_table.replace(data.folder() / f"{name}.csv")
            _sync_folder()
        except OSError as error:
            raise Refusal(
                f"{name}: the new card is in place, the new table is not ({error.strerror}); once that is mended, "
                f"wattshift refresh {name} finishes it."
            ) from None
    _remove(waiting_card, waiting_table)
    return finished


def _waiting(name: str) -> tuple[Path, Path]:
    return data.folder() / f"{name}.yml{PENDING}", data.folder() / f"{name}.csv{PENDING}"


def _remove(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue  # it is only a leftover, and the next refresh tries again


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder() -> None:
    if sys.platform != "win32":
        handle = os.open(data.folder(), os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
