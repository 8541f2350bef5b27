"""The nbconvert exporter `typst-pdf`: any notebook through our own typesetting. A module of its own, since nbconvert is
slow to import and a render has no use for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbconvert.exporters import Exporter
from traitlets import Unicode

from wattshift.report import document as documents
from wattshift.report import typst


class TypstPDFExporter(Exporter):
    """`jupyter nbconvert --to typst-pdf`: any notebook as an accessible PDF, without TeX, browser or network."""

    export_from_notebook = "PDF via Typst (wattshift)"
    output_mimetype = "application/pdf"
    edition = Unicode(
        "",
        help="report (no code), teaching (code, no solutions); empty: report for wattshift's notebooks, else teaching",
    ).tag(config=True)

    def _file_extension_default(self) -> str:
        return ".pdf"

    def from_notebook_node(  # type: ignore[override]
        self, nb: Any, resources: dict[str, Any] | None = None, **kw: Any
    ) -> tuple[bytes, dict[str, Any]]:
        """The PDF's bytes, and nbconvert's resources."""
        nb, resources = super().from_notebook_node(nb, resources, **kw)
        about = resources.get("metadata") or {}
        chosen = self.edition or ("report" if documents.is_ours(nb) else "teaching")
        made = documents.read(
            nb,
            edition="teaching" if chosen == "teaching" else "report",
            name=str(about.get("name") or "notebook"),
            folder=Path(about.get("path") or "."),
        )
        resources["output_extension"] = ".pdf"
        return typst.pdf(made), resources
