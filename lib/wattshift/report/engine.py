"""The papermill engine of a report run: papermill's own, with someone watching and a quiet connection."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from papermill.engines import NBClientEngine, papermill_engines
from traitlets.config import Config

NAME = "wattshift-watched"
Watch = Callable[[Any, int], None]  # the notebook as it stands, and the index of the cell that starts


class WatchedEngine(NBClientEngine):  # type: ignore[misc]
    """Tells `watch` about each cell before it runs, and talks to the kernel over local sockets where there are any."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, watch: Watch | None = None, **kwargs: Any) -> Any:
        """Run the notebook's cells; a cell that raises ends the run and stays in the notebook."""
        if watch is not None:
            watch(nb_man.nb, -1)
            start = nb_man.cell_start

            def cell_start(cell: Any, cell_index: int, **rest: Any) -> None:
                watch(nb_man.nb, cell_index)
                start(cell, cell_index, **rest)

            nb_man.cell_start = cell_start
        if os.name != "posix":
            return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)
        with tempfile.TemporaryDirectory(prefix="ws-") as sockets:  # short: a socket's path has 107 letters at most
            config = Config({"KernelManager": {"transport": "ipc", "ip": str(Path(sockets, "k"))}})
            return super().execute_managed_notebook(nb_man, kernel_name, config=config, **kwargs)


def name() -> str:
    """The engine's name, registered with papermill on first use."""
    papermill_engines.register(NAME, WatchedEngine)
    return NAME
