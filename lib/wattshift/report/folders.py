"""Folders that a process works in, each held by a lock that the system takes back when the process ends.

So a folder whose lock is free was left by one that was killed, in whatever container or on whatever machine, and the
next of us clears it away; and two renders of one report never meet. Where there are no such locks (Windows, some
network disks), folders have names of their own, nobody waits, and nobody clears away but his own.

Files are put into place as a set: the old ones are kept in the folder meanwhile, and come back when a move fails, or,
after a kill between two moves, when the next of us finds the folder.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK, OLD, MOVING = "lock", "old", "moving"  # what is in a folder beside files of a report, which all have an ending
PREFIX = "ws"  # of temporary folders; short, since the path of a socket has 107 letters at most
LONGEST_PLACE = 65  # letters of the path before them: of the 107, these folders and what is in them take up to 40
MAKING = ".making-"  # of folders inside a target
SECONDS_TO_KEEP = 3_600.0  # of a temporary folder that has no lock yet and whose owner is not seen
SECONDS_TO_LOOK = 0.1  # between two looks at a folder that another process holds
STOPS = ("SIGINT", "SIGTERM", "SIGHUP")


# ---------------------------------------------------------------------------------------------------- locks
class NoLocks(OSError):
    """The disk has no locks, as some network disks have none."""


def hold(folder: Path, *, make: bool = False) -> int | None:
    """Take a folder: a descriptor to close when done; None where another holds it, or where it is not there.

    make: make the folder where it is not there. Raises NoLocks, or OSError where the system says no.
    """
    while True:
        if make:
            folder.mkdir(exist_ok=True)
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # it has just been cleared away
            if make:
                continue
            return None
        try:
            _flock(lock)
            if os.path.samestat(os.fstat(lock), (folder / LOCK).stat()):
                with contextlib.suppress(OSError):  # the number is for those who wait to read: on a full disk, nothing
                    os.ftruncate(lock, 0)
                    os.write(lock, str(os.getpid()).encode())
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # we hold the lock of a folder that has been cleared away meanwhile


def hold_own(folder: Path) -> int | None:
    """Take a folder that we have just made under a name of its own; None where there are no locks."""
    try:
        return hold(folder)
    except NoLocks:
        return None


def _flock(file: int) -> None:
    """Lock a file. Raises BlockingIOError where another has it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
            raise NoLocks(error.errno, error.strerror) from None
        raise


def _holder(folder: Path) -> str:
    """Number of the process that holds a folder; empty where it cannot be read."""
    with contextlib.suppress(OSError):
        return (folder / LOCK).read_text(encoding="ascii", errors="replace").strip()
    return ""


def _clear(folder: Path) -> None:
    """Empty a folder that we hold, of all but its lock."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != LOCK:
            entry.unlink(missing_ok=True)


def _leave(folder: Path, lock: int) -> None:
    """Remove a folder that we hold, its lock last."""
    with contextlib.suppress(OSError):
        _clear(folder)
    with contextlib.suppress(OSError):
        (folder / LOCK).unlink()
        folder.rmdir()
    os.close(lock)


# ---------------------------------------------------------------------------------------------------- temporary
def place() -> Path:
    """Where temporary folders lie: the system's place, or /tmp where its path leaves no room for a socket's."""
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) <= LONGEST_PLACE or not os.access("/tmp", os.W_OK) else Path("/tmp")


def temporary() -> Path:
    """A new temporary folder of this process, not held yet."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-", dir=place()))


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder for the time of a with block; should we be killed, the next of us removes it."""
    folder = temporary()
    lock = None
    try:
        lock = hold_own(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def sweep() -> None:
    """Remove temporary folders of ours that nobody holds any more."""
    for folder in place().glob(f"{PREFIX}-*-*"):
        owner = folder.name.split("-")[1]
        with contextlib.suppress(OSError):
            about = folder.lstat()
            ours = stat.S_ISDIR(about.st_mode) and (not hasattr(os, "getuid") or about.st_uid == os.getuid())
            if not ours or not owner.isdigit():
                continue
            if fcntl is not None and (folder / LOCK).exists():
                if (lock := hold(folder)) is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(lock)
            elif time.time() - about.st_mtime > SECONDS_TO_KEEP and not Path("/proc", owner).exists():
                shutil.rmtree(folder, ignore_errors=True)


# ---------------------------------------------------------------------------------------------------- the target
@contextlib.contextmanager
def workshop(out: Path, stem: str, waiting: Callable[[str], Any] = str) -> Iterator[Path]:
    """A folder inside the target, so on the same disk, for one report; `out` is made where it is not there.

    While another process makes the same report, `waiting` is told its number, once, and we wait.
    """
    out.mkdir(parents=True, exist_ok=True)
    folder = out / f"{MAKING}{stem}"
    try:
        lock = None if fcntl is None else _wait_for(folder, waiting)
    except OSError as error:
        with contextlib.suppress(OSError):
            if isinstance(error, NoLocks):  # else it may be somebody's
                (folder / LOCK).unlink()
            folder.rmdir()
        if not isinstance(error, NoLocks):
            raise
        lock = None
    if lock is None:
        with tempfile.TemporaryDirectory(prefix=MAKING, dir=out, ignore_cleanup_errors=True) as made:
            yield Path(made)
        return
    try:
        put_back(folder)
        _clear(folder)
        yield folder
    finally:
        _leave(folder, lock)


def _wait_for(folder: Path, waiting: Callable[[str], Any]) -> int:
    told = False
    while (lock := hold(folder, make=True)) is None:
        if not told:
            waiting(_holder(folder))
            told = True
        time.sleep(SECONDS_TO_LOOK)
    return lock


def tidy(out: Path) -> None:
    """Clear away what killed renders left in a target, and complete what they left half done."""
    if fcntl is None:
        return
    for folder in [*out.glob(f"{MAKING}*"), *out.glob(f"failed/{MAKING}*")]:
        with contextlib.suppress(OSError):
            if (lock := hold(folder)) is not None:
                try:
                    put_back(folder)
                finally:
                    _leave(folder, lock)


def move_into_place(files: Sequence[Path], out: Path) -> tuple[Path, ...]:
    """Put the finished files of one folder over the old ones: all of them, or, where the system says no, none.

    Each file changes in one step, so whoever has an old one open goes on reading it. A stop waits until all are there.
    """
    folder = files[0].parent
    targets = tuple(out / file.name for file in files)
    (folder / OLD).mkdir()
    for target in targets:
        if target.is_dir() and not target.is_symlink():
            raise IsADirectoryError(f"{target} is a folder")
        if os.path.lexists(target):
            _keep(target, folder / OLD / target.name)
    with unstopped():
        write(folder / MOVING, json.dumps([file.name for file in files]).encode())
        _settle(folder / OLD, folder)
        try:
            for file, target in zip(files, targets, strict=True):
                file.replace(target)
            _settle(out)
        except BaseException:
            put_back(folder)
            raise
        (folder / MOVING).unlink()
    return targets


def put_back(folder: Path) -> None:
    """Undo moves that were not all made: the old files return, and new ones that had no forerunner go."""
    try:
        names = json.loads((folder / MOVING).read_bytes())
    except (OSError, ValueError):  # no move has begun
        return
    for name in names:
        if os.path.lexists(folder / OLD / name):
            (folder / OLD / name).replace(folder.parent / name)
        elif not (folder / name).exists():
            (folder.parent / name).unlink(missing_ok=True)
    _settle(folder.parent)
    (folder / MOVING).unlink()


def write(path: Path, body: bytes) -> Path:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    return path


def _keep(file: Path, place: Path) -> None:
    """The same file under a second name; a copy where the disk knows no such thing."""
    try:
        os.link(file, place, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(file, place, follow_symlinks=False)


def _settle(*folders: Path) -> None:
    """Wait until the disk has what folders list."""
    if os.name != "posix":
        return
    for folder in folders:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def unstopped() -> Iterator[None]:
    """Put off being stopped by hand or by a signal until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    numbers = [getattr(signal, name) for name in STOPS if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda heard_now, _: heard.append(heard_now)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        if heard:
            signal.raise_signal(heard[0])
