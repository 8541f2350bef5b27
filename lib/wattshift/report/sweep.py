"""Make the runs of a sweep: on this machine's cores or on the workers of a dask scheduler, a row for each.

A run is the notebook executed with one parameter set, nothing typeset, and the results that it recorded. `make` does
one and gives an answer whatever happens in it; `answers` keeps a pool busy and survives the loss of a worker. How a
kernel starts is the engine's business, where a worker stands the pool's.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import queue
import signal
import struct
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from wattshift import parameters
from wattshift.parameters import Contract, Json
from wattshift.refusal import Refusal
from wattshift.report import folders, warm
from wattshift.report.run import CellFailed, Job, execute, notebook_bytes, quiet
from wattshift.report.workers import Worker, cores, lightly
from wattshift.sweep import CARD, FIGURE, TABLE, Answer, Column, Folder, Place, Point, Result, Table

RESULT = "application/vnd.wattshift.result+json"
DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 130
PATIENCE = 60.0  # seconds to wait for a scheduler's first or next worker
COUNTED = ("numpy", "pandas", "scipy", "statsmodels")  # packages whose version may show in a result
UNCOUNTED = ("cli.py", "sweep.py", "runs.py", "refresh.py", "controls.py")  # of our own, those that no notebook hears


# ---------------------------------------------------------------- one run


@dataclass(frozen=True)
class Task:
    """One run to make, complete in itself: a worker on another machine needs wattshift and nothing else."""

    id: str
    given: Mapping[str, Json]
    name: str  # of the notebook
    folder: str  # where it lies; a worker without that folder works in one of its own
    text: bytes  # the notebook, compressed
    made_from: str
    keep: bool = False  # whether the executed notebook comes back too

    def __call__(self) -> Answer:
        """Make the run, as a worker does."""
        return make(self)


_turn = threading.Lock()  # papermill changes the working folder of the process, so runs of one process take turns


def make(task: Task) -> Answer:
    """Make one run. Never raises for a fault of the notebook, its values or this machine: the answer says it."""
    start = time.monotonic()
    text = zlib.decompress(task.text).decode()
    try:
        if made_from(text) != task.made_from:
            why = "this worker has another version of the library, the data or a package than the one that asked"
            return Answer(task.id, "failed", why)
        contract = parameters.read_node(json.loads(text), task.name)
        with _turn, _file(task, text) as path, lightly():
            _warmed()
            start = time.monotonic()
            made = execute(Job(path, task.name, contract, task.given), quiet)
        seconds = time.monotonic() - start
        kept = notebook_bytes(made).decode() if task.keep else ""
        return Answer(task.id, "done", "", seconds, recorded(made), kept)
    except CellFailed as failure:
        seconds = time.monotonic() - start
        if failure.refusal is not None:
            return Answer(task.id, "refused", failure.refusal, seconds)
        return Answer(task.id, "failed", str(failure), seconds)
    except Refusal as refusal:
        return Answer(task.id, "refused", str(refusal))
    except Exception as error:  # a fault nobody foresaw must not stop the others
        return Answer(task.id, "failed", f"{type(error).__name__}: {error}", time.monotonic() - start)


def _warmed() -> None:
    """Let kernels fork from a server: the one that our owner named, else one that ends with this process."""
    if found := warm.shared():
        os.environ[warm.ADDRESS] = found


@contextlib.contextmanager
def _file(task: Task, text: str) -> Iterator[Path]:
    """The notebook as a file: where it lies, if it is there and the same, else in a temporary folder."""
    there = Path(task.folder, f"{task.name}.ipynb")
    try:
        same = there.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        same = False
    if same:
        yield there
        return
    with folders.scratch() as folder:
        path = folder / there.name
        path.write_text(text, encoding="utf-8")
        yield path


def recorded(notebook: Any) -> tuple[Result, ...]:
    """What an executed notebook recorded with `show.record`, in its order; of a repeated name the last."""
    found: dict[str, Result] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            body = output.get("data", {}).get(RESULT)
            if isinstance(body, Mapping) and body.get("name"):
                name, unit, label = (str(body.get(key) or "") for key in ("name", "unit", "label"))
                found[name] = Result(name, body.get("value"), unit, label, bool(body.get("headline")))
    return tuple(found.values())


@lru_cache(maxsize=8)
def made_from(text: str) -> str:
    """One word for all that makes the results of a notebook: its cells, the library, the data, the packages' versions.

    Rows of one table share it, so that they can be compared.
    """
    from wattshift import data

    node = json.loads(text)
    library = Path(parameters.__file__).parent
    files = [*sorted(library.glob("*.py")), *sorted(data.folder().glob("*.csv")), *sorted(data.folder().glob("*.yml"))]
    word = hashlib.sha256()
    word.update(json.dumps([parameters.source_of(cell) for cell in node["cells"]]).encode())
    word.update(json.dumps([metadata.version(package) for package in COUNTED]).encode())
    for file in files:
        if file.name not in UNCOUNTED:
            word.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    return word.hexdigest()[:16]


# ---------------------------------------------------------------- pools


class Pool(Protocol):
    """Something that makes runs elsewhere."""

    @property
    def width(self) -> int:
        """How many runs to have under way."""

    def submit(self, task: Task) -> Future[Answer]:
        """Hand over one run."""

    def stop(self) -> None:
        """Let go of everything, at once."""


class Local:
    """The worker processes of this machine, each led by a thread of ours: which run a dead one had in hand is known."""

    def __init__(self, jobs: int) -> None:
        self.width = jobs
        self._workers = [Worker() for _ in range(jobs)]
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._threads = ThreadPoolExecutor(jobs)

    def submit(self, task: Task) -> Future[Answer]:
        """Hand over one run."""
        return self._threads.submit(self._lead, task)

    def _lead(self, task: Task) -> Answer:
        worker = self._free.get()  # as many as there are threads
        start = time.monotonic()
        try:
            worker.send(task)
            return worker.hear()  # type: ignore[return-value]
        except (OSError, EOFError, ValueError, struct.error):  # ValueError: its pipe was closed while we wrote
            if worker.stopping:
                raise
            seconds = time.monotonic() - start
            return Answer(task.id, "failed", f"the process that made it ended ({worker.end()})", seconds)
        finally:
            self._free.put(worker)

    def stop(self) -> None:
        """Drop what is running and end the workers, with their kernels and folders."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.stop()


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """No Ctrl-C, and no signal that asks to end, while things are put in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in folders.STOPS if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


class Unreachable(Exception):
    """The scheduler has no workers, or is not there any more."""


class Far:
    """Workers of a dask scheduler, which gives a run whose worker died to another one, three times at most."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ModuleNotFoundError:
            raise Refusal("--scheduler needs dask.distributed: install the extra, wattshift[dask].") from None
        try:
            far: Any = distributed
            self._client = far.Client(address, timeout=10, set_as_default=False)
        except (OSError, ValueError) as error:
            why = "nobody answers there" if isinstance(error, OSError) else "this is no address"
            raise Refusal(
                f"--scheduler cannot be {address!r} ({why}): give the address that dask scheduler prints, "
                "for example tcp://127.0.0.1:8786."
            ) from None
        self._executor = self._client.get_executor(pure=False)
        self._seen, self._asked, self._width = time.monotonic(), -math.inf, 1

    @property
    def width(self) -> int:
        """As many runs as the workers have threads, and two more so that none waits; asked anew every two seconds.

        Raises Unreachable where there has been no worker for longer than we wait.
        """
        now = time.monotonic()
        if now - self._asked >= 2:
            try:
                threads = sum(self._client.nthreads().values())
            except (OSError, TimeoutError):
                threads = 0
            self._asked, self._width = now, threads + 2
            if threads:
                self._seen = now
            elif now - self._seen > PATIENCE:
                raise Unreachable(f"The scheduler has had no worker for {PATIENCE:.0f} s.")
        return self._width

    def submit(self, task: Task) -> Future[Answer]:
        """Hand over one run."""
        future: Future[Answer] = self._executor.submit(make, task)
        return future

    def stop(self) -> None:
        """Take back what has not begun, and leave; a run that a worker has begun ends there unheard."""
        with contextlib.suppress(Exception):
            self._executor.shutdown(wait=False)
        with contextlib.suppress(Exception):
            self._client.close(timeout=5)


def answers(tasks: Sequence[Task], pool: Pool) -> Iterator[list[Answer]]:
    """The answers as they come, some at a time; a run that no answer came back from is answered with the reason."""
    waiting = deque(tasks)
    running: dict[Future[Answer], Task] = {}
    while waiting or running:
        width = pool.width  # asked at each turn: a pool that has been lost for too long says so
        while waiting and len(running) < width:
            task = waiting.popleft()
            running[pool.submit(task)] = task
        done, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
        come = []
        for future in done:
            if future.cancelled():
                raise Unreachable("the scheduler has gone away")
            task, error = running.pop(future), future.exception()
            come.append(future.result() if error is None else Answer(task.id, "failed", _why(error)))
        if come:
            yield come


def _why(error: BaseException) -> str:
    """Why no answer came back, in words."""
    if type(error).__name__ == "KilledWorker":
        return "each worker that took it died, killed or out of memory"
    return f"{type(error).__name__}: {error}"


# ---------------------------------------------------------------- object stores


class Bucket:
    """A folder of an object store, reached through papermill's own handler for its scheme (s3://)."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    def read(self, name: str) -> str | None:
        """The text; None where there is none."""
        try:
            return str(self._io("read", self.where(name))).rstrip("\n") + "\n"
        except Exception as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code")
            if code in ("NoSuchKey", "404"):
                return None
            raise Refusal(_no_bucket(self.address, error)) from None

    def write(self, name: str, text: str) -> None:
        """Put a text there; an object is replaced whole or not at all."""
        try:
            self._io("write", text, self.where(name))
        except Exception as error:
            raise OSError(_no_bucket(self.address, error)) from None

    def append(self, name: str, lines: str, whole: str) -> None:  # noqa: ARG002
        """Put the whole text there: objects do not grow."""
        self.write(name, whole)

    def where(self, name: str) -> str:
        """The object's address."""
        return f"{self.address}/{name}"

    def _io(self, what: str, *words: str) -> Any:
        from papermill.iorw import papermill_io

        return getattr(papermill_io, what)(*words, extensions=[Path(words[-1]).suffix])


def _no_bucket(address: str, error: Exception) -> str:
    if "OptionalDependency" in type(error).__name__:
        return "An --out of s3:// needs boto3: install the extra, wattshift[s3]."
    said = getattr(error, "response", {}).get("Error", {}).get("Message") or str(error) or type(error).__name__
    return f"--out cannot be {address!r} ({' '.join(said.split()).rstrip('.')}): give a bucket that you may write to."


# ---------------------------------------------------------------- the sweep


@dataclass(frozen=True)
class Sweep:
    """One sweep to make: which notebook and points, where to, and how."""

    notebook: Path
    contract: Contract
    points: Sequence[Point]
    out: str | Path  # a folder, or s3://bucket/prefix
    jobs: int | None = None  # as many at once as there are cores
    scheduler: str | None = None
    retry: bool = False
    keep: bool = False
    report: Sequence[str] = ()
    reports: Path = Path("reports/build")  # where to put reports when `out` is no folder


Say = Callable[[str], None]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def sweep(wanted: Sweep, say: Say = _say) -> int:
    """Make the runs that have no row yet, then the figure and the reports asked for; give the exit code.

    1 where a run failed, 2 where all were refused, else 0; 130 when stopped by hand. The table is whole at any moment.
    """
    with contextlib.ExitStack() as held:
        place: Place
        if isinstance(wanted.out, Path):
            place = Folder(wanted.out)
            held.enter_context(_held(place))
        else:
            place = Bucket(wanted.out)
        text = wanted.notebook.read_text(encoding="utf-8")
        table = Table(place, wanted.contract, wanted.notebook.stem, made_from(text))
        left = table.unfinished(wanted.points, retry=wanted.retry)
        kept = len(wanted.points) - len(left)
        if kept:
            say(f"{kept} of {len(wanted.points)} runs are in {place.where(TABLE)} already.")
        table.known(wanted.report)
        try:
            with warm.running() if wanted.scheduler is None else contextlib.nullcontext():
                _fill(wanted, table, place, left, text, say)
        except KeyboardInterrupt:
            with _deaf():
                table.close()
            have = sum(point.id in table.rows for point in wanted.points)
            say(
                f"{have} of {len(wanted.points)} runs are in {place.where(TABLE)}; the same command goes on from there."
            )
            return STOPPED
        except (OSError, Unreachable) as error:
            if not table.rows and isinstance(error, OSError):
                raise Refusal(str(error) if isinstance(place, Bucket) else _no_folder(place, error)) from None
            have = sum(point.id in table.rows for point in wanted.points)
            why = str(getattr(error, "strerror", None) or error).rstrip(".")
            say(f"The sweep stopped: {why}. {have} of {len(wanted.points)} runs are in {place.where(TABLE)}.")
            return FAILED
        return max(_finish(wanted, table, place, say), _report(wanted, table) if wanted.report else DONE)


@contextlib.contextmanager
def _held(folder: Folder) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(folder.alone())
        except OSError as error:
            raise Refusal(_no_folder(folder, error)) from None
        yield


def _no_folder(folder: Place, error: OSError) -> str:
    return f"--out cannot be {folder.where('')!r} ({error.strerror or error}): give a folder that takes files."


def _fill(wanted: Sweep, table: Table, place: Place, left: Sequence[Point], text: str, say: Say) -> None:
    """Make the runs that are left, and write each row as its run ends."""
    if not left:
        return
    todo = {point.id: point for point in left if not point.reason}
    packed, word = zlib.compress(text.encode()), made_from(text)
    tasks = [
        Task(point.id, point.given, wanted.notebook.stem, str(wanted.notebook.parent), packed, word, wanted.keep)
        for point in todo.values()
    ]
    here = min(wanted.jobs or cores(), max(1, len(tasks)))
    pool: Pool = Far(wanted.scheduler) if wanted.scheduler and tasks else Local(here)
    count = 0
    try:
        table.begin()
        table.add([Answer(point.id, "refused", point.reason) for point in left if point.reason])
        for batch in answers(tasks, pool):
            for answer in batch:
                if answer.notebook:
                    place.write(f"runs/{answer.id}.ipynb", answer.notebook)
            table.add(batch)
            for answer in batch:
                count += 1
                say(_line(answer, todo[answer.id], count, len(tasks)))
    finally:
        with _deaf():
            pool.stop()
    table.close()


def _line(answer: Answer, point: Point, count: int, total: int) -> str:
    took = f" in {answer.seconds:.1f} s" if answer.seconds is not None else ""
    which = ", ".join(f"{name}={text}" for name, text in point.texts.items())
    return f"{count}/{total} {answer.status}{took}: {which}" + (f": {answer.reason}" if answer.reason else "")


def _finish(wanted: Sweep, table: Table, place: Place, say: Say) -> int:
    """Draw the figure, say what came of the sweep, and name the files."""
    rows = [table.rows[point.id]["status"] for point in wanted.points]
    drawn = figure(table)
    if drawn:
        place.write(FIGURE, drawn)
    for name in [TABLE, CARD, *([FIGURE] if drawn else [])]:
        print(place.where(name))
    if rows:
        said = ", ".join(f"{rows.count(each)} {each}" for each in ("done", "failed", "refused") if each in rows)
        say(f"{len(rows)} runs: {said}.")
    if "failed" in rows:
        say("Failed runs are not made again unless --retry is given.")
    return FAILED if "failed" in rows else REFUSED if rows and set(rows) == {"refused"} else DONE


def _report(wanted: Sweep, table: Table) -> int:
    """Render the rows asked for the ordinary way."""
    from wattshift.report import batch

    folder = wanted.out if isinstance(wanted.out, Path) else wanted.reports
    jobs = []
    for row in table.pick(wanted.report):
        name = f"{wanted.notebook.stem}.row{row['row']}"
        given = table.parameters_of(row)
        jobs.append(Job(wanted.notebook, name, wanted.contract, given, out=folder))
    return batch.render_many(jobs)


def _worth_drawing(moved: Sequence[str], results: Mapping[str, Column], points: Any, numbers: Any) -> list[str]:
    """The headlines; and for a parameter that moves none of them what it does move, what has a label first."""
    shown = [name for name in moved if results[name].headline]
    for axis in points:
        others = [name for name in points if name != axis]

        def moves(name: str, others: Sequence[str] = others) -> bool:
            alike = numbers[name].groupby([points[other] for other in others]) if others else numbers[[name]]
            return bool((alike.nunique() > 1).any())

        if not any(map(moves, shown)):
            more = [name for name in moved if name not in shown and moves(name)]
            shown += ([name for name in more if results[name].meaning] or more)[:4]
    return shown or list(moved)


def figure(table: Table) -> str | None:
    """The summary figure as SVG: recorded numbers against the swept parameters; None where there is nothing to draw."""
    import pandas as pd

    done = [row for row in table.rows.values() if row["status"] == "done"]
    frame = pd.DataFrame(done, columns=table.head).replace("", None)
    axes = [name for name, c in table.columns.items() if c.role == "parameter" and frame[name].nunique() > 1]
    results = {name: c for name, c in table.columns.items() if c.role == "result"}
    numbers = frame[list(results)].apply(pd.to_numeric, errors="coerce")
    shown = [name for name in results if numbers[name].nunique() > 1]  # what no run moves is no picture
    shown = _worth_drawing(shown, results, frame[axes], numbers)
    if not axes or not shown:
        return None
    import matplotlib.pyplot as plt

    from wattshift import draw

    for name in axes:
        kind = table.contract[name].kind
        if table.contract[name].many is None and kind in ("float", "int"):
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
        elif table.contract[name].many is None and kind == "date":
            frame[name] = pd.to_datetime(frame[name], errors="coerce")
    heads = {name: _words(name, table.columns[name].unit) for name in axes}
    titles = {name: _words(results[name].meaning or name, results[name].unit) for name in shown}
    titles = {name: words[:1].upper() + words[1:] for name, words in titles.items()}
    draw.theme()
    with plt.rc_context({"svg.fonttype": "path"}):  # the figure is opened where our fonts are not
        drawn = draw.swept(frame[axes], numbers[shown], heads, titles)
        page = io.StringIO()
        drawn.savefig(page, format="svg", metadata={"Date": None, "Title": f"Sweep of {table.notebook}"})
        plt.close(drawn)
    return page.getvalue()


def _words(name: str, unit: str | None) -> str:
    return name.replace("_", " ") + (f", {unit}" if unit else "")
