"""`papermill --engine warm`: kernels forked from a server that has imported the science stack already.

papermill imports every engine it finds, at every start: so this module imports nothing until it is used.
"""

from __future__ import annotations

from typing import Any

from papermill.engines import Engine


class WarmEngine(Engine):  # type: ignore[misc]
    """Where no server runs, one is started and ends with this process; where none can be, kernels start as usual."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        """Run the notebook's cells; options as for papermill's own engine."""
        from wattshift.report import engine, warm

        return engine.WatchedEngine.execute_managed_notebook(nb_man, kernel_name, warm=warm.shared(), **options)
