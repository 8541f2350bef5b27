"""The papermill engine of a report run: papermill's own, with someone watching and a quiet kernel, warm or plain."""

from __future__ import annotations

import ast
import logging
import os
import tempfile
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from traitlets.config import Config

from wattshift.report import provisioner
from wattshift.report import warm as kernels

logger = logging.getLogger("wattshift.kernel")  # what it would say is in the outcome
logger.setLevel(logging.CRITICAL + 1)

NAME = "wattshift-watched"
Watch = Callable[[Any, int], None]  # the notebook as it stands, and the index of the cell that starts
READ = "dict(getattr(__import__('sys').modules.get('wattshift.data'), 'bytes_read', {}))"


class Client(PapermillNotebookClient):  # type: ignore[misc]
    """Asks the kernel at the end which files of data/ the notebook read."""

    read: MutableMapping[str, str] | None = None

    def papermill_execute_cells(self) -> None:
        """Run the cells; then ask, without leaving a trace in the notebook."""
        super().papermill_execute_cells()
        if self.read is None:
            return
        asked = self.kc.execute("", silent=True, store_history=False, user_expressions={"read": READ})
        answer = self.wait_for_reply(asked) or {}
        said = answer.get("content", {}).get("user_expressions", {}).get("read", {})
        if said.get("status") == "ok":
            self.read.update(ast.literal_eval(said["data"]["text/plain"]))


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
        place = Path(warm).parent if warm else None  # then the server cleans up, should we not come to it
        prefix = "k" if place else f"{kernels.FOLDER}-{os.getpid()}-"  # short: a socket's path has 107 letters at most
        with tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True) as folder:
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
            with notes.open("w") as file:
                try:
                    return client.execute(stderr=file, env=kernels.kernel_environment())
                except Exception as error:
                    said = notes.read_text(errors="replace").strip().splitlines()[-5:]
                    error.add_note("\n".join(line for line in said if "KeyboardInterrupt caught" not in line))
                    raise


def name() -> str:
    """The engine's name, registered with papermill on first use."""
    papermill_engines.register(NAME, WatchedEngine)
    return NAME
