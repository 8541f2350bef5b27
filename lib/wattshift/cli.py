"""The `wattshift` command: list the notebooks, show a contract, check and refresh the data, render reports.

Exit codes: 0 done; 1 a cell failed; 2 refused, with one plain sentence per fault on stderr and nothing started.
Whatever is heavy (tables, papermill, Typst) is imported inside the command that needs it.
"""

import sys

try:
    import contextlib
    import datetime as dt
    import difflib
    import hashlib
    import io
    import math
    import os
    import re
    from collections.abc import Mapping, Sequence
    from dataclasses import dataclass
    from pathlib import Path
    from typing import TYPE_CHECKING, Annotated, Any, Literal

    import typer

    from wattshift import stopping
    from wattshift.refusal import Refusal
except KeyboardInterrupt:  # stopped by hand before there was anything to stop
    print("Stopped.", file=sys.stderr)
    raise SystemExit(130) from None

if TYPE_CHECKING:
    from wattshift.data import Inspection

DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 130
MOST_JOBS = 1_000  # reports made at once
LEAST_MEMORY, MOST_MEMORY = 500, 100_000_000  # megabytes; with the science stack a kernel begins with 350
EDITIONS: tuple[Literal["report", "teaching"], ...] = ("report", "teaching")
FORMATS: tuple[Literal["pdf", "html"], ...] = ("pdf", "html")

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What happens when bitcoin miners turn their power sites into AI data centres: notebooks and their reports.",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Arabic letters still gets its answer
    stopping.listen()
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that leaving does not try again
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                print(f"The answer could not be written: {error.strerror}.", file=sys.stderr)
        code = FAILED
    raise SystemExit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command; give its exit code. Refusals become sentences on stderr, never a traceback."""
    try:
        code = app(args=list(arguments) or ["--help"], prog_name="wattshift", standalone_mode=False)
        if code == STOPPED:
            print("Stopped.", file=sys.stderr)
        return code if isinstance(code, int) else DONE
    except Refusal as refusal:
        return _say_no(str(refusal))
    except typer.exceptions.TyperException as error:
        return _say_no(f"{error.format_message().rstrip('.')}: see wattshift --help.")
    except SystemExit:  # typer's answer to a reader who left early, as in `wattshift data | head`
        return FAILED


def _say_no(sentences: str) -> int:
    print(sentences, file=sys.stderr)
    return REFUSED


# ---------------------------------------------------------------- finding notebooks


def project_root(start: Path | None = None) -> Path:
    """The project's folder: the nearest one at or above `start` (the working folder), else where wattshift lies."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "notebooks").is_dir() and _is_ours(folder / "pyproject.toml"):
            return folder
    raise Refusal("There is no notebooks folder here or above: work inside a clone of the project.")


def _is_ours(pyproject: Path) -> bool:
    try:
        return 'name = "wattshift"' in pyproject.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def notebooks(root: Path) -> list[Path]:
    """The notebooks in reading order."""
    return sorted((root / "notebooks").glob("*.ipynb"))


def find_notebook(name: str, root: Path) -> Path:
    """A notebook by file, by name ("01_halving_impact"), or by its beginning ("01"); `Refusal` names the nearest."""
    from wattshift.values import shown

    for path in (Path(name), root / name, root / "notebooks" / name):
        if path.suffix == ".ipynb" and _is_file(path):
            return path.resolve()
    known = {path.stem: path for path in notebooks(root)}
    wanted = name.strip().removesuffix(".ipynb")
    matches = [stem for stem in known if stem == wanted] or [
        stem for stem in known if wanted and stem.startswith(wanted)
    ]
    if len(matches) == 1:
        return known[matches[0]].resolve()
    if matches:
        raise Refusal(f"{shown(name)} could be {' or '.join(matches)}: give the whole name.")
    near = difflib.get_close_matches(wanted[:100].lower(), known, 1, 0.4)
    hint = f"the nearest is {near[0]}" if near else f"there are {', '.join(known) or 'none yet'}"
    raise Refusal(f"There is no notebook {shown(name)}: {hint}.")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class Opening:
    """What a notebook's first cell says: its title (H1), its question (first paragraph), minutes to run if told."""

    title: str
    question: str
    minutes: str


def opening(node: dict[str, Any]) -> Opening:
    """Read title, question and minutes off the first prose cell; empty texts where it does not say."""
    from wattshift.parameters import source_of

    prose = [cell for cell in node["cells"] if isinstance(cell, dict) and cell.get("cell_type") == "markdown"]
    text = source_of(prose[0]) if prose else ""
    heading = re.search(r"^# +(.+?)\s*$", text, re.MULTILINE)
    rest = text[heading.end() :] if heading else text
    paragraph = next((part for part in re.split(r"\n\s*\n", rest) if part.strip()), "")
    told = re.search(r"(half a|[0-9]+(?:\s*(?:-|–|to)\s*[0-9]+)?)\s+minutes?\b", text)
    words = re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", lambda m: m[1] or "", " ".join(paragraph.split()))
    return Opening(heading[1].strip(" *`") if heading else "", words, told[1].replace("half a", "0.5") if told else "")


# ---------------------------------------------------------------- printing


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print a table of plain texts; wrapped in a terminal, one line per row in a pipe."""

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="right" if head in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    page = io.StringIO()
    Console(file=page, width=2_000, highlight=False).print(table)
    print("\n".join(line.rstrip() for line in page.getvalue().splitlines()).strip("\n"))


# ---------------------------------------------------------------- commands


@app.command("list")
def list_notebooks() -> int:
    """List the notebooks in reading order."""
    from wattshift import parameters

    rows, faults = [], []
    for path in notebooks(project_root()):
        count = says = None
        try:
            node = parameters.load_notebook(path)
            says = opening(node)
            count = len(parameters.read_node(node, path.stem))
        except Refusal as refusal:
            faults.append(str(refusal))
        says = says or Opening("", "", "")
        shown_count = "refused" if count is None else str(count)
        rows.append([path.stem, says.title, says.question, says.minutes, shown_count])
    _table(["notebook", "title", "question", "minutes", "parameters"], rows, right=["minutes", "parameters"])
    return _say_no("\n".join(faults)) if faults else DONE


@app.command()
def show(
    notebook: Annotated[str, typer.Argument(help="a file, a name such as 01_halving_impact, or its beginning: 01")],
) -> int:
    """Show what a notebook lets you choose."""
    from wattshift import parameters

    path = find_notebook(notebook, project_root())
    contract = parameters.read(path)
    rows = [[row.name, row.default, row.unit, row.range, row.meaning] for row in contract.table()]
    _table(["parameter", "default", "unit", "range", "meaning"], rows, right=["default"])
    first = contract.parameters[0]
    print(f"Change one with: wattshift render {path.stem} -p {first.name}={first.example}")
    return DONE


@app.command("data")
def check_data(
    stale: Annotated[
        bool, typer.Option("--stale", help="only tables older than their usual interval, and why")
    ] = False,
) -> int:
    """List the tables and check each one."""
    from wattshift import data

    found = data.inspect()
    if stale:
        return _say_stale(found)
    rows = [
        [
            each.name,
            f"{each.card.rows:,}" if each.card else "",
            (each.card.range or "") if each.card else "",
            "; ".join(each.card.producers) if each.card else "",
            each.card.date_read.isoformat() if each.card else "",
            each.card.licence if each.card else "",
            each.card.redistribution if each.card else "",
            "damaged" if each.faults else "whole",
        ]
        for each in found
    ]
    _table(["table", "rows", "range", "producer", "read", "licence", "passing on", "check"], rows, right=["rows"])
    damaged = [each.name for each in found if each.faults]
    if not damaged:
        print(f"{len(found)} tables, each exactly as its card says.")
        return DONE
    faults = [fault for each in found for fault in each.faults]
    return _say_no("\n".join([*faults, f"Damaged: {', '.join(damaged)}."]))


def _say_stale(found: Sequence["Inspection"]) -> int:
    """List the tables that are due, and what to do; cards that cannot be read are said after them."""
    from wattshift import refresh as door

    due = door.stale([each.card for each in found if each.card], _today())
    if due:
        rows = [
            [each.name, each.newest.isoformat(), f"{each.age_days:,}", f"{each.interval_days:,}", each.how]
            for each in due
        ]
        _table(["table", "newest", "days old", "usual", "what to do"], rows, right=["days old", "usual"])
    else:
        print("No table is older than its usual interval.")
    faults = [fault for each in found if not each.card for fault in each.faults]
    return _say_no("\n".join(faults)) if faults else DONE


def _today() -> dt.date:
    """The day it is, UTC; the only place where the data commands look at the clock."""
    return dt.datetime.now(dt.UTC).date()


@app.command("refresh")
def refresh_table(
    table: Annotated[str, typer.Argument(help="a table of data/, for example btc_network_daily")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="ask and check, but change nothing")] = False,
) -> int:
    """Fetch newer rows of a table from its publisher."""
    from wattshift import refresh as door

    change = door.refresh(table, _today(), dry_run=dry_run)
    print("\n".join(change.lines()))
    if dry_run and (change.added or change.filled):
        print("This was a dry run: nothing was changed.")
    return DONE


@app.command()
def render(
    notebook: Annotated[
        list[str] | None,
        typer.Argument(help="files, names or beginnings (01); with none, all of them and every file of reports/runs"),
    ] = None,
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="change a parameter")] = None,
    run_file: Annotated[list[Path] | None, typer.Option("--run", metavar="FILE", help="a file of reports/runs")] = None,
    edition: Annotated[str | None, typer.Option(metavar="report|teaching", help="with or without code")] = None,
    format_: Annotated[str | None, typer.Option("--format", metavar="pdf,html", help="what to write; pdf")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="where to; reports/build")] = None,
    at_once: Annotated[int | None, typer.Option("--jobs", metavar="N", help="how many at once; one per core")] = None,
    force: Annotated[bool, typer.Option("--force", help="make reports anew that would come out the same")] = False,
    cell_limit: Annotated[float | None, typer.Option(metavar="SECONDS", help="the most that one cell may take")] = None,
    run_limit: Annotated[float | None, typer.Option(metavar="SECONDS", help="the most that a run may take")] = None,
    memory_limit: Annotated[int | None, typer.Option(metavar="MB", help="the most memory that a run may take")] = None,
) -> int:
    """Run notebooks and write the reports."""
    if at_once is not None and not 1 <= at_once <= MOST_JOBS:
        raise Refusal(f"--jobs cannot be {at_once}: give a whole number from 1 to {MOST_JOBS}, for example 2.")
    limits = _limits(cell_limit, run_limit, memory_limit)
    jobs = plan(notebook or [], parameter or [], run_file or [], edition, format_, out)
    from wattshift.report.batch import Job, render_many

    return render_many([Job(**job, **limits) for job in jobs], at_once=at_once, force=force)


def _limits(cell: float | None, run: float | None, memory: int | None) -> dict[str, Any]:
    """The limits of a job that were given."""
    faults = [
        f"--{name}-limit cannot be {value:g}: give seconds above 0, for example {example}."
        for name, value, example in (("cell", cell, 600), ("run", run, 3_600))
        if value is not None and not 0 < value < math.inf
    ]
    if memory is not None and not LEAST_MEMORY <= memory <= MOST_MEMORY:
        faults.append(f"--memory-limit cannot be {memory}: give megabytes from {LEAST_MEMORY} up, for example 8000.")
    elif memory is not None and sys.platform != "linux":
        faults.append("--memory-limit is for Linux only: leave it out here.")
    if faults:
        raise Refusal("\n".join(faults))
    given = {"cell_limit": cell, "run_limit": run, "memory_limit": memory}
    return {name: value for name, value in given.items() if value is not None}


@app.command()
def sweep(
    notebook: Annotated[str, typer.Argument(help="a file, a name such as 01_halving_impact, or its beginning: 01")],
    grid: Annotated[list[str] | None, typer.Option(metavar="NAME=V1,V2", help="values of a parameter to sweep")] = None,
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="one value for all")] = None,
    sample: Annotated[int | None, typer.Option(metavar="N", help="only N sets, spread over the grid")] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="of the sample")] = 0,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="runs at once; as many as there are cores")] = None,
    scheduler: Annotated[str | None, typer.Option(metavar="tcp://HOST:PORT", help="of dask, for more machines")] = None,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="or s3://bucket/prefix; reports/build/sweeps")] = None,
    report: Annotated[str | None, typer.Option(metavar="ROWS", help="PDFs of some rows: numbers or ids, 3,7")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="make failed runs again")] = False,
    notebooks: Annotated[bool, typer.Option("--notebooks", help="keep the executed notebooks too")] = False,
) -> int:
    """Run a notebook over a grid of parameters: one table, a row for each run."""
    from wattshift import parameters
    from wattshift import sweep as sweeps

    root = project_root()
    path = find_notebook(notebook, root)
    contract = parameters.read(path)
    axes = sweeps.parse_grid(grid or [])
    if not axes and not report:
        first = contract.parameters[0]
        raise Refusal(f"There is nothing to sweep: give at least one --grid, for example {first.name}={first.example}.")
    if jobs is not None and not 1 <= jobs <= MOST_JOBS:
        raise Refusal(f"--jobs cannot be {jobs}: give a whole number from 1 to {MOST_JOBS}, for example 2.")
    points = sweeps.plan(contract, axes, contract.parse(parameter or []), sample=sample, seed=seed) if axes else []
    far = out is not None and "://" in out
    if far and not str(out).startswith("s3://"):
        raise Refusal(f"--out cannot be {out!r}: give a folder or an address such as s3://bucket/prefix.")
    from wattshift.report.sweep import Sweep
    from wattshift.report.sweep import sweep as make

    default = root / "reports" / "build" / "sweeps" / path.stem
    return make(
        Sweep(
            path,
            contract,
            points,
            str(out) if far else writable(Path(out).absolute() if out else default),
            jobs=jobs,
            scheduler=scheduler,
            retry=retry,
            keep=notebooks,
            report=[word.strip() for word in (report or "").split(",") if word.strip()],
            reports=default,
        )
    )


def plan(
    names: Sequence[str],
    pairs: Sequence[str],
    run_files: Sequence[Path],
    edition: str | None,
    formats: str | None,
    out: Path | None,
) -> list[dict[str, Any]]:
    """The fields of each `Job` of one `wattshift render`, parameters checked; `Refusal` lists the faults of all.

    A parameter of the command line goes before one of a run file, and so do edition and formats.
    """
    from wattshift import parameters
    from wattshift.runs import Run, read_run

    root = project_root()
    wanted_edition = _one_of("--edition", edition, EDITIONS) if edition is not None else None
    wanted_formats = _formats(formats) if formats is not None else None
    folder = writable((out or root / "reports" / "build").absolute())
    tasks = [read_run(path) for path in run_files]
    if not names and not tasks:
        tasks = [read_run(path) for path in sorted((root / "reports" / "runs").glob("*.yml"))]
        names = [str(path) for path in notebooks(root)]
    chosen = dict.fromkeys(find_notebook(name, root) for name in names)
    tasks = [*(Run(path, str(path), {}) for path in chosen), *tasks]
    if not tasks:
        raise Refusal("There is no notebook to render yet: put one into notebooks/.")
    jobs: list[dict[str, Any]] = []
    faults: list[str] = []
    for task in tasks:
        try:
            path = find_notebook(task.notebook, root)
            contract = parameters.read(path)
            typed = contract.parse(pairs)
            given = contract.injection({**task.parameters, **typed})
        except Refusal as refusal:
            own = "" if len(tasks) == 1 else f"{task.path.stem}: "
            faults += [fault if task.path.stem in fault else own + fault for fault in str(refusal).splitlines()]
            continue
        jobs.append(
            {
                "notebook": path,
                "name": scenario(task.path.stem, {name: given[name] for name in typed}),
                "contract": contract,
                "given": given,
                "edition": wanted_edition or task.edition or "report",
                "formats": wanted_formats or task.formats or ("pdf",),
                "out": folder,
                "title": task.title,
            }
        )
    called = [job["name"] for job in jobs]
    twice = {name for name in called if called.count(name) > 1}
    faults += [
        f"Two reports would be called {name}: rename a run file, or render them one by one." for name in sorted(twice)
    ]
    if faults:
        raise Refusal("\n".join(faults))
    return jobs


def scenario(name: str, given: Mapping[str, object]) -> str:
    """What the files of a report are called: no scenario writes over another, or over the report as it stands.

    >>> scenario("01_halving_impact", {"power_price": 0.07, "rig": "Antminer S21"})
    '01_halving_impact-power_price-0.07-rig-Antminer-S21'
    """
    words = "-".join(str(part) for pair in given.items() for part in pair)
    plain = re.sub(r"[^\w.]+", "-", words, flags=re.ASCII).strip("-.")
    if len(plain) > 80 or plain.count("-") < 2 * len(given) - 1:
        plain = hashlib.sha256(words.encode()).hexdigest()[:8]
    return f"{name}-{plain}" if given else name


def _one_of(option: str, value: str, allowed: Sequence[Any]) -> Any:
    """The value, if it is one of those allowed."""
    from wattshift.values import shown

    if value not in allowed:
        raise Refusal(f"{option} cannot be {shown(value)}: give {' or '.join(allowed)}, for example {allowed[0]}.")
    return value


def _formats(text: str) -> tuple[Any, ...]:
    """Formats out of `pdf,html`, each once, in the order given."""
    return tuple(dict.fromkeys(_one_of("--format", part.strip(), FORMATS) for part in text.split(",")))


def writable(folder: Path) -> Path:
    """The folder, if reports can be put there; it need not exist yet."""
    from wattshift.values import shown

    try:
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        reason = "" if nearest.is_dir() else f"{shown(nearest.name)} is a file"
        reason = reason or ("" if os.access(nearest, os.W_OK | os.X_OK) else "it cannot be written to")
    except OSError as error:
        reason = error.strerror or "the system says no"
    if reason:
        raise Refusal(
            f"--out cannot be {shown(str(folder), 120)} ({reason}): give a folder, for example reports/build."
        )
    return folder
