"""The papermill engine of a report run: papermill's own, with someone watching and a quiet kernel, warm or plain."""

from __future__ import annotations

import ast
import logging
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from traitlets.config import Config

from wattshift.report import folders, provisioner
from wattshift.report import warm as kernels

logger = logging.getLogger("wattshift.kernel")  # what it would say is in the outcome
logger.setLevel(logging.CRITICAL + 1)

NAME = "wattshift-watched"
Watch = Callable[[Any, int], None]  # the notebook as it stands, and the index of the cell that starts
READ = "dict(getattr(__import__('sys').modules.get('wattshift.data'), 'bytes_read', {}))"


@dataclass(frozen=True)
class Limits:
    """Seconds for one cell, seconds for all cells, and megabytes of memory of the kernel; None for no limit."""

    cell: float | None = None
    run: float | None = None
    memory: int | None = None


class TookTooLong(Exception):
    """A cell, or all of them together, took longer than a limit allows; the text says which."""


class Client(PapermillNotebookClient):  # type: ignore[misc]
    """Keeps a run within its limits, and asks the kernel at the end which files of data/ the notebook read."""

    read: MutableMapping[str, str] | None = None
    limits = Limits()
    began = 0.0
    exit_code: int | None = None  # of a kernel that died

    def papermill_execute_cells(self) -> None:
        """Run the cells; then ask, without leaving a trace in the notebook."""
        self.began = time.monotonic()
        if self.limits.cell is not None or self.limits.run is not None:
            self.timeout_func = self._seconds
        if self.limits.memory is not None:
            _limit_memory(self.km.provisioner.pid, self.limits.memory)
        try:
            super().papermill_execute_cells()
        except CellTimeoutError as error:
            raise TookTooLong(self._too_long()) from error
        if self.read is None:
            return
        asked = self.kc.execute("", silent=True, store_history=False, user_expressions={"read": READ})
        answer = self.wait_for_reply(asked) or {}
        said = answer.get("content", {}).get("user_expressions", {}).get("read", {})
        if said.get("status") == "ok":
            self.read.update(ast.literal_eval(said["data"]["text/plain"]))

    def _seconds(self, _: Any) -> float:
        """What a cell that starts now may take: nothing is no limit to nbclient, so it gets a moment at least."""
        limits = (self.limits.cell, self.limits.run and self.began + self.limits.run - time.monotonic())
        return max(0.01, min(limit for limit in limits if limit is not None))

    def _too_long(self) -> str:
        run = self.limits.run
        if run is not None and time.monotonic() - self.began >= run:
            return f"the run took longer than the {run:g} s that --run-limit gives it"
        return f"it took longer than the {self.limits.cell:g} s that --cell-limit gives a cell"

    async def _async_check_alive(self) -> None:
        try:
            await super()._async_check_alive()
        except DeadKernelError:
            self.exit_code = await self.km.provisioner.poll()
            raise


def _how_it_ended(code: int) -> str:
    """The end of a kernel in words.

    >>> _how_it_ended(3)
    'It left with exit code 3.'
    """
    if code >= 0:
        return f"It left with exit code {code}."
    if code == -9:
        return "It was killed, as the system does when memory runs out."
    return f"It was ended by signal {-code} ({signal.strsignal(-code)})."


def _limit_memory(process: int, megabytes: int) -> None:
    """Give a kernel that runs already so much memory of its own; what it asks for beyond is a MemoryError.

    Its own: the heap and what is mapped for it to write to, not the libraries that it shares with others (RLIMIT_DATA;
    RLIMIT_AS would count a gigabyte for a warm kernel that has done nothing yet).
    """
    try:
        from resource import RLIMIT_DATA, prlimit
    except ImportError:  # not Linux: the command refuses the limit there
        return
    prlimit(process, RLIMIT_DATA, (megabytes * 1_000_000, megabytes * 1_000_000))


class WatchedEngine(NBClientEngine):  # type: ignore[misc]
    """Tells `watch` about each cell before it runs, and talks to the kernel over local sockets where there are any.

    What the kernel's process writes outside of cells (start-up notes, a crash of compiled code) goes into a file; its
    last lines are added to the error when the kernel dies. At the end the kernel is stopped without a grace period:
    everything it had to say has arrived. `warm` is the address of the fork server; without one kernels start as usual.
    Into `read` goes the sha256 of each file of data/ that the notebook read.
    """

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        watch: Watch | None = None,
        warm: str | None = None,
        read: MutableMapping[str, str] | None = None,
        limits: Limits | None = None,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        **_: Any,
    ) -> Any:
        """Run the notebook's cells; a cell that raises ends the run and stays in the notebook."""
        if watch is not None:
            watch(nb_man.nb, -1)
            start = nb_man.cell_start

            def cell_start(cell: Any, cell_index: int, **rest: Any) -> None:
                watch(nb_man.nb, cell_index)
                start(cell, cell_index, **rest)

            nb_man.cell_start = cell_start
        with _folder(warm) as folder:
            local: dict[str, Any] = {}
            if os.name == "posix":
                local = {"transport": "ipc", "ip": str(Path(folder, "k")), "connection_file": str(Path(folder, "c"))}
            notes = Path(folder, "notes.txt")
            client = Client(
                nb_man,
                kernel_name=kernel_name,
                kernel_manager_class=provisioner.WarmManager if warm else provisioner.PromptManager,
                startup_timeout=start_timeout,
                timeout=execution_timeout,
                shutdown_kernel="immediate",
                log=logger,
                log_output=log_output,
                stdout_file=stdout_file,
                stderr_file=stderr_file,
                config=Config({"KernelManager": local}),
            )
            client.read = read
            client.limits = limits or Limits()
            with notes.open("w") as file:
                try:
                    return client.execute(stderr=file, env=kernels.kernel_environment())
                except Exception as error:
                    said = notes.read_text(errors="replace").strip().splitlines()[-5:]
                    error.add_note("\n".join(line for line in said if "KeyboardInterrupt caught" not in line))
                    if client.exit_code is not None:
                        error.add_note(_how_it_ended(client.exit_code))
                    raise
                finally:
                    provisioner.end(client.km)


@contextmanager
def _folder(warm: str | None) -> Iterator[str]:
    """A folder for a kernel's sockets: the server's, which cleans up should we not come to it, else one of our own."""
    if warm and Path(warm).parent.is_dir():
        with tempfile.TemporaryDirectory(prefix="k", dir=Path(warm).parent, ignore_cleanup_errors=True) as folder:
            yield folder
    else:
        with folders.scratch() as own:
            yield str(own)


def name() -> str:
    """The engine's name, registered with papermill on first use."""
    papermill_engines.register(NAME, WatchedEngine)
    return NAME
