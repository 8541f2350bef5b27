"""Reports, as many at once as there are cores: one progress line each, what came of each, one exit code.

A report that is as it would be made again is left as it is (cache.py). Kernels are forked from one server (warm.py),
and run and typesetting of a report happen in a worker process (workers.py).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from wattshift import stopping
from wattshift.report import cache, folders, warm, workers
from wattshift.report.run import Job, Outcome

DONE, FAILED, REFUSED = 0, 1, 2

__all__ = ["Job", "Outcome", "exit_code", "render_many"]


def render_many(jobs: Sequence[Job], *, at_once: int | None = None, force: bool = False) -> int:
    """Render the jobs; say what came of each (files on stdout, reasons on stderr); give the exit code.

    at_once : how many run at a time; as many as there are cores where not given
    force   : make reports anew that would come out the same
    """
    outcomes: dict[int, Outcome] = {}
    makings: dict[int, dict[str, str]] = {}
    unsaid: list[OSError] = []

    def tell(outcome: Outcome) -> None:
        """Report; where that cannot be written, as into a log on a full disk, the other reports are made first."""
        try:
            report(outcome)
        except OSError as error:
            unsaid.append(error)

    for out in {job.out for job in jobs}:
        folders.tidy(out)
    records = {number: cache.read(job) for number, job in enumerate(jobs)}
    cache.forget()
    for number, job in enumerate(jobs):
        made = _makings(job)
        if made and not force and not cache.changed(job, made, records[number]):
            outcomes[number] = Outcome(job, "unchanged", files=cache.files(job))
            tell(outcomes[number])
        makings[number] = made
    left = [number for number in range(len(jobs)) if number not in outcomes]
    wanted = at_once or workers.cores()
    if wanted > 1:  # the longest first, so that none is left to run alone at the end; what was never run may be long
        left.sort(key=lambda number: -(record.seconds if (record := records[number]) else math.inf))
    if left:
        runs = {number: _Clock(jobs[number], records[number]) for number in left}

        def hear(place: int, what: workers.Progress | Outcome) -> None:
            stopping.check()
            number = left[place]
            if isinstance(what, Outcome):
                outcomes[number] = what
                if what.status == "done" and makings[number]:
                    cache.keep(jobs[number], makings[number], what, runs[number].ended())
                lines.end(runs[number])
                tell(what)
            else:
                runs[number].reached(*what)
                lines.say(runs[number])

        with warm.running(), _lines(list(runs.values())) as lines:
            try:
                workers.work([jobs[number] for number in left], wanted, hear)
            finally:
                for out in {job.out for job in jobs}:  # after a worker that was killed
                    folders.tidy(out)
                cache.forget()
                for number in left:  # what changed during the run may be in the report or not
                    if number in outcomes and _makings(jobs[number]) != makings[number]:
                        cache.drop(jobs[number])
    if unsaid:
        raise unsaid[0]
    return exit_code(list(outcomes.values()))


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """1 where a cell failed, else 2 where something was refused, else 0."""
    said = {outcome.status for outcome in outcomes}
    return FAILED if "failed" in said else REFUSED if "refused" in said else DONE


def report(outcome: Outcome) -> None:
    """Say in plain lines what came of a job."""
    if outcome.status == "unchanged":
        print(f"{outcome.job.stem}: unchanged", file=sys.stderr)
    if outcome.status in ("done", "unchanged"):
        for file in sorted(outcome.files, key=lambda f: (f.suffix != ".pdf", f.suffix != ".html", f.name)):
            print(file)
    else:
        print(outcome.message, file=sys.stderr)


def _makings(job: Job) -> dict[str, str]:
    """The checksums of a job's makings; empty where they cannot be taken, and then the report is made."""
    try:
        return cache.makings(job)
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


# ---------------------------------------------------------------------------------------------------- progress
class _Clock:
    """How far one job is: cells, section, and the time left if it runs as it did the last time."""

    def __init__(self, job: Job, record: cache.Record | None) -> None:
        self.name = job.stem
        self.done, self.total, self.section = 0, 1, "waiting"
        self.last = list(record.clock) if record else []
        self.start: float | None = None
        self.times: list[float] = []

    def reached(self, done: int, total: int, section: str) -> None:
        """Note that `done` cells are behind us."""
        now = time.monotonic()
        self.start = self.start if self.start is not None else now
        self.done, self.total, self.section = done, total, section
        while len(self.times) <= done:
            self.times.append(now - self.start)

    def ended(self) -> list[float]:
        """Seconds from the start to each cell, to the typesetting and to the end."""
        return [*self.times, self.seconds]

    @property
    def seconds(self) -> float:
        """Seconds since it started."""
        return time.monotonic() - self.start if self.start is not None else 0.0

    @property
    def left(self) -> float | None:
        """Seconds left, from the last run's clock at this cell, scaled to the pace of this run."""
        if self.start is None or len(self.last) < 2:
            return None
        at = self.last[min(self.done, len(self.last) - 2)]
        here = self.times[-1] if self.times else 0.0
        pace = min(4.0, max(0.25, here / at)) if at > 1 else 1.0
        return max(0.0, (self.last[-1] - at) * pace - (self.seconds - here))

    def words(self) -> str:
        """Cells, time and time left."""
        left = f", about {self.left:.0f} s left" if self.left is not None else ""
        return f"{self.done}/{self.total} cells, {self.seconds:.0f} s{left}"


class _Lines(Protocol):
    def say(self, run: _Clock) -> None: ...

    def end(self, run: _Clock) -> None: ...


@contextmanager
def _lines(runs: Sequence[_Clock]) -> Iterator[_Lines]:
    """A bar for each job in a terminal; elsewhere one plain line per section."""
    if not sys.stderr.isatty():
        yield _Plain()
        return
    with _bars(runs) as bars:
        yield bars


class _Plain:
    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def say(self, run: _Clock) -> None:
        if run.section and run.section != self.said.get(run.name):
            self.said[run.name] = run.section
            with suppress(OSError):
                print(f"{run.name}: {run.section} ({run.words()})", file=sys.stderr)

    def end(self, run: _Clock) -> None:
        pass


@contextmanager
def _bars(runs: Sequence[_Clock]) -> Iterator[_Lines]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    clocks: Mapping[str, _Clock] = {run.name: run for run in runs}

    class Words(ProgressColumn):
        """Cells, time, and time left."""

        def render(self, task: Task) -> Text:
            run = clocks[task.fields["name"]]
            return Text(run.words() if run.start is not None else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        Words(),
        TextColumn("{task.fields[section]}", style="dim"),
    )
    # what is printed meanwhile (stdout too) goes above the bars
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as bars:
        tasks = {run.name: bars.add_task(escape(run.name), total=1, section="waiting", name=run.name) for run in runs}

        class Bars:
            def say(self, run: _Clock) -> None:
                section = escape(run.section[:60])
                bars.update(tasks[run.name], completed=run.done, total=run.total, section=section)

            def end(self, run: _Clock) -> None:
                bars.update(tasks[run.name], visible=False)

        yield Bars()
