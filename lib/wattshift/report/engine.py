"""The papermill engine of a report run: papermill's own, with someone watching and a quiet kernel."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from traitlets.config import Config

logger = logging.getLogger("wattshift.kernel")  # what it would say is in the outcome
logger.setLevel(logging.CRITICAL + 1)

NAME = "wattshift-watched"
Watch = Callable[[Any, int], None]  # the notebook as it stands, and the index of the cell that starts


class WatchedEngine(NBClientEngine):  # type: ignore[misc]
    """Tells `watch` about each cell before it runs, and talks to the kernel over local sockets where there are any.

    What the kernel's process writes outside of cells (start-up notes, a crash of compiled code) goes into a file; its
    last lines are added to the error when the kernel dies. At the end the kernel is stopped without a grace period:
    everything it had to say has arrived.
    """

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, watch: Watch | None = None, start_timeout: int = 60, **_: Any
    ) -> Any:
        """Run the notebook's cells; a cell that raises ends the run and stays in the notebook."""
        if watch is not None:
            watch(nb_man.nb, -1)
            start = nb_man.cell_start

            def cell_start(cell: Any, cell_index: int, **rest: Any) -> None:
                watch(nb_man.nb, cell_index)
                start(cell, cell_index, **rest)

            nb_man.cell_start = cell_start
        with tempfile.TemporaryDirectory(prefix="ws-") as folder:  # short: a socket's path has 107 letters at most
            local = {"KernelManager": {"transport": "ipc", "ip": str(Path(folder, "k"))}} if os.name == "posix" else {}
            notes = Path(folder, "notes.txt")
            client = PapermillNotebookClient(
                nb_man,
                kernel_name=kernel_name,
                startup_timeout=start_timeout,
                timeout=None,
                shutdown_kernel="immediate",
                log=logger,
                config=Config(local),
            )
            with notes.open("w") as file:
                try:
                    return client.execute(stderr=file)
                except Exception as error:
                    said = notes.read_text(errors="replace").strip().splitlines()[-5:]
                    error.add_note("\n".join(line for line in said if "KeyboardInterrupt caught" not in line))
                    raise


def name() -> str:
    """The engine's name, registered with papermill on first use."""
    papermill_engines.register(NAME, WatchedEngine)
    return NAME
