"""One report, whole or not at all: check, run, typeset, then move into place.

Everything is made in a temporary folder inside the target folder (folders.py). Files are written out to the disk and
moved over the old ones only when all of them are there. A cell that fails leaves the last good report alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from wattshift.parameters import Contract
from wattshift.refusal import Refusal
from wattshift.report.document import Document, Edition, plain_markdown
from wattshift.report.folders import move_into_place, workshop, write

Format = Literal["pdf", "html"]
Status = Literal["done", "unchanged", "failed", "refused"]
Progress = Callable[[int, int, str], None]  # cells behind us, cells in all, the section we are in


@dataclass(frozen=True)
class Job:
    """One report to make. `given` holds the changed parameters only, checked; `name` is the files' name.

    cell_limit, run_limit : seconds that one cell, and all cells together, may take; no limit where not given
    memory_limit          : megabytes of memory of its own that the kernel may have; no limit where not given (Linux)
    """

    notebook: Path
    name: str
    contract: Contract
    given: Mapping[str, Any] = field(default_factory=dict)
    edition: Edition = "report"
    formats: tuple[Format, ...] = ("pdf",)
    out: Path = Path("reports/build")
    title: str | None = None
    cell_limit: float | None = None
    run_limit: float | None = None
    memory_limit: int | None = None

    @property
    def stem(self) -> str:
        """Name of the report's files without their endings: editions lie side by side."""
        return self.name if self.edition == "report" else f"{self.name}.{self.edition}"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `files` in place when done or unchanged; `message` says why when failed or refused.

    read: sha256 of each file of data/ that the notebook read. sums: sha256 of each of `files`, as made.
    """

    job: Job
    status: Status
    message: str = ""
    files: tuple[Path, ...] = ()
    partial: Path | None = None
    read: Mapping[str, str] = field(default_factory=dict)
    sums: Mapping[str, str] = field(default_factory=dict)


class CellFailed(Exception):
    """A cell raised: its name, what was said, and the notebook as far as it came."""

    def __init__(self, message: str, notebook: Any, refusal: str | None = None) -> None:
        super().__init__(message)
        self.notebook = notebook
        self.refusal = refusal


def quiet(done: int, total: int, section: str) -> None:
    """A progress that says nothing."""


def run(job: Job, progress: Progress = quiet) -> Outcome:
    """Make one report. Never raises for a fault of the notebook, its parameters or the target: the outcome says it."""
    try:
        values = job.contract.validate(job.given)
        with _workshop(job.out, job.stem, lambda other: progress(0, 1, _waiting(other))) as folder:
            try:
                notebook = execute(job, progress)
                files = build(job, notebook, values, folder)
            except CellFailed as failure:
                if failure.refusal is not None:
                    return Outcome(job, "refused", failure.refusal)
                return _failed(job, str(failure), failure.notebook)
            except Refusal:
                raise
            except _Unwritten as failure:
                return _failed(job, f"{job.notebook.stem}: {failure}", failure.notebook)
            except _Unset as failure:
                return _failed(job, f"{job.notebook.stem}: the report could not be set: {failure}", failure.notebook)
            read = notebook.metadata.get("wattshift", {}).get("read", {})
            sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
            try:
                placed = move_into_place(files, job.out)
            except OSError as error:
                return _failed(job, f"{job.notebook.stem}: {error.strerror or error}", notebook)
            return Outcome(job, "done", files=placed, read=read, sums=sums)
    except Refusal as refusal:
        return Outcome(job, "refused", str(refusal))
    except OSError as error:
        return _failed(job, f"{job.notebook.stem}: {error.strerror or error}", None)
    except Exception as error:  # a notebook nobody foresaw must not stop the others
        return _failed(job, f"{job.notebook.stem}: {type(error).__name__}: {error}", None)


# ---------------------------------------------------------------------------------------------------- the target
@contextlib.contextmanager
def _workshop(out: Path, stem: str, waiting: Callable[[str], Any] = str) -> Iterator[Path]:
    """The folder to work in, taken before a kernel starts, so that a bad target is refused at once."""
    reason = ""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(workshop(out, stem, waiting))
        except (FileExistsError, NotADirectoryError):
            reason = "it is a file, or lies under one"
        except OSError as error:
            reason = (error.strerror or "the system says no").lower()
        if reason:
            raise Refusal(
                f"The output folder {str(out)!r} cannot be written ({reason}): give a folder, such as reports/build."
            )
        yield folder


def _waiting(process: str) -> str:
    return f"waiting for process {process}, which makes the same report"


def _failed(job: Job, message: str, notebook: Any) -> Outcome:
    """Keep the partial notebook where the message says; the last good report is not touched."""
    if notebook is None:
        return Outcome(job, "failed", message)
    target = job.out / "failed"
    try:
        with _workshop(target, job.stem) as folder:
            (place,) = move_into_place([write(folder / f"{job.stem}.ipynb", notebook_bytes(notebook))], target)
    except (OSError, Refusal):
        return Outcome(job, "failed", f"{message}\nThe partial notebook could not be kept.")
    return Outcome(job, "failed", f"{message}\nThe notebook as far as it came: {place}", partial=place)


# ---------------------------------------------------------------------------------------------------- the kernel
def execute(job: Job, progress: Progress) -> Any:
    """The executed notebook. Raises CellFailed where a cell raises or the kernel ends."""
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from wattshift.report import engine, warm

    logging.getLogger("papermill").setLevel(logging.ERROR)
    node: Any = nbformat.reads(job.notebook.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    sections = _sections(node.cells)
    seen: dict[str, Any] = {"notebook": None, "cell": -1}
    read: dict[str, str] = {}

    def watch(notebook: Any, cell: int) -> None:
        seen.update(notebook=notebook, cell=cell)
        total = len(notebook.cells)
        at = _index_in_master(notebook, cell) if cell >= 0 else 0
        progress(max(cell, 0), total, sections[at] if at < len(sections) else "")

    try:
        made = papermill.execute_notebook(
            node,
            None,
            parameters=dict(job.given) or None,
            engine_name=engine.name(),
            kernel_name="python3",  # ours, whatever kernel a machine wrote into the notebook when it was saved
            language="python",
            progress_bar=False,
            log_output=False,
            cwd=job.notebook.parent,
            autosave_cell_every=0,
            watch=watch,
            warm=warm.address(),
            read=read,
            limits=engine.Limits(job.cell_limit, job.run_limit, job.memory_limit),
        )
    except PapermillExecutionError as error:
        at = _index_in_master(seen["notebook"], seen["cell"])
        place = _place(job, sections, at)
        said = " ".join(str(error.evalue).split())
        if error.ename in ("MemoryError", "CellExecutionError"):  # the latter: no room even to say what is missing
            said = f"{said} {_memory(job)}".strip()
        refusal = str(error.evalue) if error.ename == "Refusal" else None
        raise CellFailed(f"{place} failed: {error.ename}{': ' * bool(said)}{said}", seen["notebook"], refusal) from None
    except (DeadKernelError, engine.TookTooLong) as error:
        at = _index_in_master(seen["notebook"], seen["cell"])
        why = f"the kernel died {_memory(job)}".strip() if isinstance(error, DeadKernelError) else str(error)
        place = _place(job, sections, at)
        notes = "\n".join(note for note in getattr(error, "__notes__", []) if note)
        raise CellFailed(f"{place} failed: {why}.{chr(10) if notes else ''}{notes}", seen["notebook"]) from None
    for number, cell in enumerate(made.cells):
        if any(output.output_type == "error" for output in cell.get("outputs", [])):  # papermill lets sys.exit() pass
            at = _index_in_master(made, number)
            raise CellFailed(f"{_place(job, sections, at)} failed: it left the notebook (SystemExit).", made)
    for cell in made.cells:
        if "outputs" in cell:
            cell.outputs = _joined(cell.outputs)
    made.metadata["wattshift"] = {"read": read}
    progress(len(made.cells), len(made.cells), "typesetting")
    return made


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs, printed text in one piece: where a kernel cuts it in two depends on the clock."""
    out: list[Any] = []
    for each in outputs:
        if out and each.output_type == "stream" == out[-1].output_type and each.name == out[-1].name:
            out[-1].text += each.text
        else:
            out.append(each)
    return out


def _memory(job: Job) -> str:
    return f"(--memory-limit gives a run {job.memory_limit} MB)" if job.memory_limit is not None else ""


def _place(job: Job, sections: list[str], at: int) -> str:
    """Notebook, cell and section in words: `01_halving_impact, cell 9 ("The clock")`."""
    return f"{job.notebook.stem}, cell {at + 1}" + (f' ("{sections[at]}")' if sections[at] else "")


def _index_in_master(notebook: Any, cell: int) -> int:
    """Index of a cell that ran in the notebook as written: what papermill puts in, a banner too, does not count."""
    cells = [c for c in notebook.cells if "papermill-error-cell-tag" not in (c.metadata.get("tags") or [])]
    before = cells[: max(cell, 0)]
    return max(cell, 0) - sum("injected-parameters" in (c.metadata.get("tags") or []) for c in before)


def _sections(cells: Any) -> list[str]:
    """For each cell, the heading it stands under."""
    out, now = [], ""
    for cell in cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"^(`{3,}|~{3,}).*?^\1", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            if found := re.findall(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", prose, re.MULTILINE):
                now = plain_markdown(found[-1])
        out.append(now)
    return out


# ---------------------------------------------------------------------------------------------------- the report
class _Unset(Exception):
    """The report could not be typeset, though the notebook ran."""

    def __init__(self, message: str, notebook: Any) -> None:
        super().__init__(message)
        self.notebook = notebook


class _Unwritten(_Unset):
    """The report could not be written to the disk, though the notebook ran."""


def build(job: Job, notebook: Any, values: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write results, notebook and the wanted formats into `folder`; give the files in the order they move."""
    from wattshift.report import document, html, typst

    rows = [asdict(row) for row in job.contract.table(values)]
    try:
        made = document.read(
            notebook, edition=job.edition, name=job.name, folder=job.notebook.parent, parameters=rows, title=job.title
        )
        bodies = {
            f"{job.stem}.results.json": results(job, made, values),
            f"{job.stem}.ipynb": notebook_bytes(notebook),
        }
        if "html" in job.formats:
            bodies[f"{job.stem}.html"] = html.page(made).encode()
        if "pdf" in job.formats:
            bodies[f"{job.stem}.pdf"] = typst.pdf(made)
    except (RuntimeError, ValueError) as error:
        raise _Unset(str(getattr(error, "message", error)), notebook) from error
    except OSError as error:
        raise _Unwritten(error.strerror or str(error), notebook) from error
    try:
        return [write(folder / name, body) for name, body in bodies.items()]
    except OSError as error:
        for name in bodies:
            (folder / name).unlink(missing_ok=True)  # room for the notebook, which took the time
        raise _Unwritten(error.strerror or str(error), notebook) from error


def results(job: Job, document: Document, values: Mapping[str, Any]) -> bytes:
    """results.json: what was found, from which inputs. The same inputs give the same bytes."""
    about = document.provenance or {}
    body = {
        "notebook": job.notebook.stem,
        "title": plain_markdown(document.title),
        "parameters": {name: _plain(value) for name, value in values.items()},
        "results": sorted(
            ({key: _plain(r.get(key)) for key in ("name", "value", "unit", "label")} for r in document.records),
            key=lambda r: str(r["name"]),
        ),
        "data": {str(t.get("name")): t.get("sha256") for t in about.get("tables") or []},
        "seed": _plain(values.get("seed", about.get("seed"))),
        "revision": about.get("revision"),
        "clean": about.get("clean"),
    }
    return (json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """A value as JSON holds it: days as texts, tuples as lists, no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value)


def notebook_bytes(notebook: Any) -> bytes:
    """The executed notebook without clock times and places of this machine."""
    import copy

    import nbformat

    node = copy.deepcopy(notebook)
    for part in (node, *node.cells):
        for key in ("papermill", "execution", "wattshift"):
            part.metadata.pop(key, None)
    node.cells = [cell for cell in node.cells if "papermill-error-cell-tag" not in (cell.metadata.get("tags") or [])]
    for number, cell in enumerate(node.cells):
        if "injected-parameters" in (cell.metadata.get("tags") or []):
            cell["id"] = f"injected-{number}"  # papermill's own is drawn anew each time
        for output in cell.get("outputs", []):
            if output.get("output_type") == "stream" and output.get("name") == "stderr":
                output["text"] = re.sub(r"\S*ipykernel_\d+\S*", "<cell>", "".join(output["text"]))
    text = str(nbformat.writes(node))  # type: ignore[no-untyped-call]
    widgets = node.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    for number, drawn in enumerate(widgets):  # widgets are named at random: count them instead, as they were made
        text = text.replace(drawn, f"{number:032x}")
    if widgets:
        text = str(nbformat.writes(nbformat.reads(text, as_version=4)))  # type: ignore[no-untyped-call]
    return text.encode()
