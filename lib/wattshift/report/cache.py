"""What a report is made of, as checksums: a report whose makings have not changed need not be made again.

A record lies beside the reports, `.records/<name>.json`, written when a report is in place. It holds a checksum for
each kind of making: the notebook's cells, the parameters, this library with its templates, the fonts, Python and the
installed packages, the settings of the environment that reach a page, and every file of data/ that the run read (the
kernel tells which). It also holds the checksums of the files made, so one deleted or edited by hand is noticed, and how
long the run took. Nothing here imports numpy or pandas: to find twenty reports unchanged takes well under a second.

The revision that a report prints is not a making: a later commit that touches none of the above leaves a report as it
is, and what it says stays true, since the revision it names gives this very report. It is made again when that stops
being so: when the named revision is no longer in the history of what is checked out, or when the report says
"uncommitted changes" and there are none any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from wattshift.report.folders import write
from wattshift.report.run import Job, Outcome

FOLDER = ".records"
FORM = 1  # of the record; another one is not read
LIBRARY = Path(__file__).resolve().parents[1]
ROOT = LIBRARY.parents[1]
SETTINGS = (
    "SOURCE_DATE_EPOCH",
    "WATTSHIFT_REVISION",
    "WATTSHIFT_CLEAN",
    "MATPLOTLIBRC",
    "MPLCONFIGDIR",
    "TZ",
    "LC_ALL",
)
WORDS = {
    "cells": "the notebook changed",
    "parameters": "other parameters",
    "library": "the library changed",
    "fonts": "a font changed",
    "packages": "Python or a package changed",
    "settings": "a setting of the environment changed",
    "pictures": "a picture changed",
}


@dataclass(frozen=True)
class Record:
    """One report as it was last made: checksums of its makings, of the data it read, and of its files; its clock."""

    makings: Mapping[str, str]
    read: Mapping[str, str]
    files: Mapping[str, str]
    revision: str | None = None
    clean: bool | None = None
    seconds: float = 0.0
    clock: Sequence[float] = field(default_factory=tuple)  # seconds from the start to each cell


def sha256(body: bytes) -> str:
    """Checksum in hexadecimal.

    >>> sha256(b"abc")[:16]
    'ba7816bf8f01cfea'
    """
    return hashlib.sha256(body).hexdigest()


def makings(job: Job) -> dict[str, str]:
    """A checksum for each kind of making of a job, but for the data, which only a run can name."""
    node = json.loads(job.notebook.read_bytes())
    for cell in node.get("cells", []):
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
    wanted = [dict(job.given), job.edition, job.name, job.title]
    return {
        "cells": _of(node),
        "parameters": _of(wanted),
        "pictures": _of(_pictures(node, job.notebook.parent)),
        **common(),
    }


def common() -> dict[str, str]:
    """The makings that all reports share."""
    return {
        "library": _library(),
        "fonts": _fonts(),
        "packages": _packages(),
        "settings": _of({name: os.environ.get(name) for name in SETTINGS}),
    }


def read(job: Job) -> Record | None:
    """The record of a job's report; None where there is none that can be read."""
    try:
        found = json.loads(_place(job).read_bytes())
        if found.pop("form") != FORM:
            return None
        return Record(**found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def keep(job: Job, made: Mapping[str, str], outcome: Outcome, clock: Sequence[float]) -> None:
    """Write down what a report that is now in place was made of. `made`: its makings, taken before the run.

    A record that cannot be written costs the next render its time, not this one its report.
    """
    try:
        results = next(file for file in outcome.files if file.name.endswith(".results.json"))
        said = json.loads(results.read_bytes())
        body = {
            "form": FORM,
            "makings": dict(made),
            "read": dict(outcome.read),
            "files": dict(outcome.sums),  # not what lies there now: that may be another render's
            "revision": said.get("revision"),
            "clean": said.get("clean"),
            "seconds": round(clock[-1], 2) if clock else 0.0,
            "clock": [round(moment, 2) for moment in clock],
        }
        place = _place(job)
        place.parent.mkdir(exist_ok=True)
        new = place.with_name(f"{place.name}.{os.getpid()}.new")
        with contextlib.ExitStack() as stack:
            stack.callback(new.unlink, missing_ok=True)
            write(new, json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).replace(place)
    except (OSError, ValueError, StopIteration):
        return


def drop(job: Job) -> None:
    """Forget how a report was made, so that it is made again."""
    with contextlib.suppress(OSError):
        _place(job).unlink(missing_ok=True)


def changed(job: Job, made: Mapping[str, str], record: Record | None) -> str:
    """Why a report has to be made, in a few words; an empty text where it is as it would be made."""
    if record is None:
        return "not made yet"
    for part, words in WORDS.items():
        if made.get(part) != record.makings.get(part):
            return words
    folder = data_folder(job)
    for file, known in record.read.items():
        if _checksum(folder / file) != known:
            return f"{file} changed" if (folder / file).exists() else f"{file} is gone"
    for file in _wanted(job):
        if file not in record.files:
            return f"{file} was not made yet"
        if (now := _checksum(job.out / file)) != record.files[file]:
            return f"{file} was edited" if now else f"{file} is gone"
    if "WATTSHIFT_REVISION" not in os.environ and not _in_history(str(record.revision)):
        return "the revision it names is not in the history"
    if "WATTSHIFT_CLEAN" not in os.environ and record.clean is False and _clean():
        return "the changes in it are committed now"
    return ""


def files(job: Job) -> tuple[Path, ...]:
    """The files of a job's report."""
    return tuple(job.out / name for name in _wanted(job))


def data_folder(job: Job) -> Path:
    """The folder that the run's kernel takes tables from."""
    given = os.environ.get("WATTSHIFT_DATA")
    return job.notebook.parent / given if given else ROOT / "data"


def forget() -> None:
    """Take all checksums anew, in a process that lives on."""
    for each in (_library, _fonts, _packages, _in_history, _clean):
        each.cache_clear()


# ---------------------------------------------------------------------------------------------------- the parts
def _place(job: Job) -> Path:
    return job.out / FOLDER / f"{job.stem}.json"


def _wanted(job: Job) -> list[str]:
    return [f"{job.stem}.{ending}" for ending in ("results.json", "ipynb", *job.formats)]


def _of(value: Any) -> str:
    return sha256(json.dumps(value, sort_keys=True, default=str).encode())


def _checksum(file: Path) -> str:
    """Checksum of a file's bytes; empty where it cannot be read."""
    try:
        return sha256(file.read_bytes())
    except OSError:
        return ""


def _pictures(node: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Checksums of the files that prose shows as pictures."""
    found = {}
    for cell in node.get("cells", []):
        if cell.get("cell_type") == "markdown":
            source = cell.get("source", "")
            for name in re.findall(
                r"!\[[^\]]*\]\(<?([^)\s>:]+)", source if isinstance(source, str) else "".join(source)
            ):
                found[name] = _checksum(folder / name)
    return found


@cache
def _library() -> str:
    files = sorted(p for p in LIBRARY.rglob("*") if p.is_file() and p.suffix != ".pyc" and not p.name.startswith("."))
    return _of([(str(p.relative_to(LIBRARY)), _checksum(p)) for p in files])


@cache
def _fonts() -> str:
    """The fonts of our own dependencies; found, not imported."""
    out = []
    for package, under in (("fontpkg_ibm_plex_sans_arabic", "files"), ("matplotlib", "mpl-data/fonts/ttf")):
        spec = importlib.util.find_spec(package)
        folder = Path(spec.origin).parent / under if spec and spec.origin else None
        out += [(p.name, _checksum(p)) for p in sorted(folder.glob("*.?tf"))] if folder else [(package, "")]
    return _of(out)


@cache
def _packages() -> str:
    """Python, and each installed package with its version, as the names of their folders tell."""
    found = set()
    for place in sys.path:
        with contextlib.suppress(OSError):
            found |= {
                entry.name for entry in Path(place).glob("*.dist-info") if not entry.name.startswith("wattshift-")
            }
    return _of([sys.version, platform.machine(), *sorted(found)])


@cache
def _in_history(revision: str) -> bool:
    """Whether a revision is part of what is checked out; without git, or a revision, nobody can say it is not."""
    if not re.fullmatch("[0-9a-f]{7,40}", revision):
        return True
    return _git("merge-base", "--is-ancestor", revision, "HEAD") is not False


@cache
def _clean() -> bool:
    return _git("status", "--porcelain") is True


def _git(*words: str) -> bool | None:
    """Whether git answers yes (code 0, nothing printed); None without git, or where the project is no repository."""
    if not (ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.returncode == 0 and not done.stdout.strip()
