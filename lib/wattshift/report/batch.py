"""Several reports in a row: one progress line each, what came of each, one exit code.

`render_many` hands jobs to `run` one after the other. A job and its outcome are plain values, so workers can stand in
between later.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from wattshift.report.run import Job, Outcome, Progress, run

DONE, FAILED, REFUSED = 0, 1, 2

__all__ = ["Job", "Outcome", "exit_code", "render_many"]


def render_many(jobs: Sequence[Job]) -> int:
    """Render the jobs in order; say what came of each (files on stdout, reasons on stderr); give the exit code."""
    outcomes = []
    for job in jobs:
        with _line(job.stem) as progress:
            outcome = run(job, progress)
        report(outcome)
        outcomes.append(outcome)
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """1 where a cell failed, else 2 where something was refused, else 0."""
    said = {outcome.status for outcome in outcomes}
    return FAILED if "failed" in said else REFUSED if "refused" in said else DONE


def report(outcome: Outcome) -> None:
    """Say in plain lines what came of a job."""
    if outcome.status == "done":
        for file in sorted(outcome.files, key=lambda f: (f.suffix != ".pdf", f.suffix != ".html", f.name)):
            print(file)
    else:
        print(outcome.message, file=sys.stderr)


@contextmanager
def _line(name: str) -> Iterator[Progress]:
    """A progress bar in a terminal; elsewhere one plain line per section."""
    if sys.stderr.isatty():
        with _bar(name) as progress:
            yield progress
        return
    start, last = time.monotonic(), [""]

    def say(done: int, total: int, section: str) -> None:
        if section and section != last[0]:
            last[0] = section
            print(f"{name}: {section} ({done}/{total} cells, {time.monotonic() - start:.0f} s)", file=sys.stderr)

    yield say


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f} cells"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[section]}", style="dim"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(escape(name), total=1, section="starting")

        def say(done: int, total: int, section: str) -> None:
            bars.update(task, completed=done, total=total, section=escape(section[:60]))

        yield say
