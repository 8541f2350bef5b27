"""Several jobs at once: worker processes that take a job, run and typeset it, and say how far they are.

A worker is a process of its own, so one that dies takes nothing with it but its job, which is then told as failed, and
another worker takes its place. Workers share the fork server that their environment names. One job alone, or one at a
time, runs in this process.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import IO, Any

from wattshift.report.run import Job, Outcome, run

Progress = tuple[int, int, str]
Hear = Callable[[int, Progress | Outcome], None]  # the job's place in the list, and how far it is or what became of it
STOPPING = 5.0  # seconds that a worker gets to clean up
START = "from wattshift.report.workers import serve; serve()"


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def work(jobs: Sequence[Job], at_once: int, hear: Hear) -> None:
    """Run the jobs, `at_once` of them at a time; `hear` is called in this thread.

    An exception (Ctrl-C, or one that `hear` raises) stops what is running: its kernels, folders and processes go.
    """
    if min(len(jobs), at_once) > 1:
        _beside(jobs, min(len(jobs), at_once), hear)
        return
    with lightly():
        for number, job in enumerate(jobs):
            hear(number, run(job, lambda *at, number=number: hear(number, at)))


# ---------------------------------------------------------------------------------------------------- our side
def _beside(jobs: Sequence[Job], at_once: int, hear: Hear) -> None:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(jobs)):
        waiting.put(number)
    said: queue.SimpleQueue[tuple[int, Progress | Outcome]] = queue.SimpleQueue()
    workers = [Worker() for _ in range(at_once)]
    threads = [threading.Thread(target=_lead, args=(worker, jobs, waiting, said), daemon=True) for worker in workers]
    try:
        for thread in threads:
            thread.start()
        left = len(jobs)
        while left:
            number, what = said.get()
            hear(number, what)
            left -= isinstance(what, Outcome)
    finally:
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for worker in workers:
            worker.ask_to_stop()
        for worker in workers:
            worker.stop()


def _lead(worker: Worker, jobs: Sequence[Job], waiting: Any, said: Any) -> None:
    """Hand jobs to one worker until none is left; a thread of ours."""
    while True:
        try:
            number = waiting.get_nowait()
        except queue.Empty:
            return
        job = jobs[number]
        try:
            worker.send(job)
            while not isinstance(what := worker.hear(), Outcome):
                said.put((number, what))
            said.put((number, replace(what, job=job)))
        except (OSError, EOFError, ValueError, pickle.PickleError, AttributeError, TypeError, struct.error) as error:
            if worker.stopping:  # ValueError: its pipe was closed while we wrote
                return
            why = worker.end() if isinstance(error, OSError | EOFError | struct.error) else str(error)
            said.put((number, Outcome(job, "failed", f"{job.stem}: the process that made it ended ({why}).")))


class Worker:
    """A worker process, started when it is first needed."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self._turn = threading.Lock()  # one thread leads a worker, another may stop it
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; a worker ends when we say so
        )

    def send(self, job: object) -> None:
        """Hand over a job. Raises OSError where it has gone, or has been asked to stop."""
        with self._turn:
            if self.stopping:
                raise BrokenPipeError("it is to stop")
            if self.process is None:
                self._start()
            assert self.process is not None
            pipe = self.process.stdin
        _put(pipe, job)

    def hear(self) -> Progress | Outcome:
        """What it says next. Raises EOFError or struct.error where it has gone."""
        assert self.process is not None
        return _take(self.process.stdout)  # type: ignore[no-any-return]

    def end(self) -> str:
        """Clear away a process that has ended, or that makes no sense any more; say how it ended."""
        assert self.process is not None
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._close()
        with self._turn:
            self.process = self.process if self.stopping else None
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def ask_to_stop(self) -> None:
        """It has no more jobs; one that it has in hand is dropped. Its kernel and temporary folder go with it."""
        with self._turn:
            self.stopping = True
        if self.process is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()  # type: ignore[union-attr]

    def stop(self) -> None:
        """Wait until it has gone."""
        if self.process is not None:
            try:
                self.process.wait(STOPPING)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self._close()

    def _close(self) -> None:
        assert self.process is not None
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


# ---------------------------------------------------------------------------------------------------- their side
def serve() -> None:
    """Be a worker: jobs on the standard input, progress and outcomes on the standard output, until the input closes.

    A job may also be a callable, as the runs of a sweep are: it is called, and what it gives is its outcome.

    When it closes while a job runs, our owner has gone or wants to stop: the job is dropped as by Ctrl-C.
    """
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no message
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _drop)
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, jobs), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        with lightly():
            sys.modules.setdefault("boto3", None)  # type: ignore[arg-type]  # slow, and no worker reaches a bucket
            from wattshift.report import engine, typst  # noqa: F401  while the first job is on its way
        while (job := jobs.get()) is not None:
            _put(out, job() if callable(job) else run(job, lambda *at: _put(out, at)))
    os._exit(0)  # threads of libraries have nothing more to say


def _read(source: IO[bytes], jobs: queue.SimpleQueue[Any]) -> None:
    busy = False
    with contextlib.suppress(EOFError, struct.error, OSError):
        while True:
            job = _take(source)
            busy = True
            jobs.put(job)
    jobs.put(None)
    if busy and os.name == "posix":
        os.kill(os.getpid(), signal.SIGTERM)  # the main thread may be waiting for a kernel
        threading.Timer(STOPPING, os._exit, [1]).start()


def _drop(*_: Any) -> None:
    raise KeyboardInterrupt


def _put(pipe: IO[bytes] | None, what: object) -> None:
    assert pipe is not None
    body = pickle.dumps(what)
    pipe.write(struct.pack("!Q", len(body)) + body)
    pipe.flush()


def _take(pipe: IO[bytes] | None) -> Any:
    """The next message; EOFError or struct.error where the pipe has ended."""
    assert pipe is not None
    (size,) = struct.unpack("!Q", pipe.read(8))
    body = pipe.read(size)
    if len(body) < size:
        raise EOFError
    return pickle.loads(body)


@contextlib.contextmanager
def lightly() -> Iterator[None]:
    """Spare our own processes a grammar that jsonschema compiles at import (0.7 s) and notebooks do not ask for."""
    heavy = "rfc3987_syntax"
    ours = "jsonschema" not in sys.modules and heavy not in sys.modules
    if ours:
        sys.modules[heavy] = None  # type: ignore[assignment]  # to jsonschema: not installed
    try:
        if ours:
            import_module("jsonschema")
        yield
    finally:
        if ours:
            sys.modules.pop(heavy, None)
