"""How long six parameterized reports take, by `wattshift render` and by other ways, side by side.

Run: python benchmarks/render.py [--notebook FILE] [--rounds N] [--growth 1,6,24]. The ways take turns, round by round,
so that a busy machine is busy for all of them; the table gives medians. Beside the time stands the work: processor
seconds of all processes of a way, which hardly depend on who else uses the machine. Every way makes the same PDF from
the same runs, but webpdf, whose PDF is the browser's. Nothing fails, since a clock is no test.

webpdf     papermill's command, nbconvert's HTML, and Chromium printing it, one report after the other. nbconvert's own
           webpdf downloads a browser through Playwright; this drives Debian's chromium instead, with the same HTML.
           Left out, with a message, where there is no chromium.
plain      the same renderer with kernels that start as usual, one report after the other.
in-process one process that runs all cells itself (IPython's shell) and typesets: no kernels, so no isolation.
floor      the code of the cells in a process that has imported everything, plus typesetting; nothing else counted.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRICES = [0.04, 0.05, 0.06, 0.07, 0.08, 0.09]  # USD/kWh: six scenarios
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCRIPTS = Path(sys.executable).parent


# ---------------------------------------------------------------- the ways, each from a cold start


def command(*words: str, **settings: str) -> None:
    """Run a command of this environment quietly; raise where it fails."""
    line = [str(SCRIPTS / words[0]), *words[1:]]
    env = {**os.environ, **settings}
    done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:3])} failed:\n{done.stderr[-2000:]}")


def run_files(notebook: Path, given: dict[str, str], folder: Path, count: int) -> list[Path]:
    """Run files for `count` scenarios."""
    files = []
    for number in range(count):
        price = PRICES[number % len(PRICES)] + 0.001 * (number // len(PRICES))
        body = {"notebook": str(notebook), "parameters": {**given, "power_price": f"{price:.3f}"}}
        files.append(folder / f"run{number:02}.yml")
        files[-1].write_text(json.dumps(body), encoding="utf-8")
    return files


def by_wattshift(files: list[Path], out: Path, *options: str, **settings: str) -> None:
    """`wattshift render` of all run files."""
    words = [word for file in files for word in ("--run", str(file))]
    command("wattshift", "render", *words, "--force", "--out", str(out), *options, **settings)


def by_webpdf(files: list[Path], out: Path) -> None:
    """papermill, nbconvert, Chromium, for each."""
    for file in files:
        run = json.loads(file.read_text(encoding="utf-8"))
        made = out / f"{file.stem}.ipynb"
        words = [word for name, value in run["parameters"].items() for word in ("-p", name, value)]
        notebook = Path(run["notebook"])
        command("papermill", str(notebook), str(made), "--cwd", str(notebook.parent), "--no-progress-bar", *words)
        command("jupyter-nbconvert", "--to", "html", "--no-input", str(made))
        page = made.with_suffix(".html")
        line = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
        line += [f"--user-data-dir={out / 'browser'}", f"--print-to-pdf={page.with_suffix('.pdf')}", page.as_uri()]
        subprocess.run(line, capture_output=True, timeout=300, check=True)
        if not page.with_suffix(".pdf").stat().st_size:
            raise SystemExit("Chromium wrote an empty PDF.")


def by_process(files: list[Path], out: Path) -> None:
    """A fresh process that does all of it by itself."""
    line = [sys.executable, str(Path(__file__)), "--in-process", str(out), *map(str, files)]
    subprocess.run(line, cwd=ROOT, capture_output=True, check=True)


# ---------------------------------------------------------------- without kernels


def in_process(out: Path, files: list[Path]) -> None:
    """Run the cells of each notebook in this process's own shell, and typeset."""
    from IPython.core.interactiveshell import InteractiveShell

    from wattshift.report import workers

    with workers.lightly():
        import nbformat
        from papermill.iorw import load_notebook_node
        from papermill.parameterize import parameterize_notebook
    shell = InteractiveShell.instance()
    for file in files:
        _, job, values = prepared(file, out)
        node = parameterize_notebook(load_notebook_node(str(job.notebook)), dict(job.given))
        forget_library()
        shell.reset()
        with contextlib.chdir(job.notebook.parent):
            for cell in node.cells:
                if cell.cell_type == "code":
                    cell.outputs = outputs_of(shell, cell.source, nbformat)
        typeset(node, job, values, out)


def outputs_of(shell: Any, source: str, nbformat: Any) -> list[Any]:
    """Run one cell; what it showed, as a notebook keeps it."""
    from IPython.utils.capture import capture_output

    with capture_output() as said:
        done = shell.run_cell(source, store_history=True)
    done.raise_error()
    new = nbformat.v4.new_output
    text = [new("stream", name="stdout", text=said.stdout)] if said.stdout else []
    return text + [new("display_data", data=o.data or {}, metadata=o.metadata or {}) for o in said.outputs]


def prepared(file: Path, out: Path) -> tuple[Any, Any, Any]:
    """The notebook of a run file, its job, and the values of its parameters."""
    import nbformat

    from wattshift import parameters
    from wattshift.report.run import Job
    from wattshift.runs import read_run

    run = read_run(file)
    path = Path(run.notebook)
    contract = parameters.read(path)
    given = contract.injection(run.parameters)
    job = Job(path, file.stem, contract, given, out=out)
    return nbformat.read(path, as_version=4), job, contract.validate(given)


def typeset(node: Any, job: Any, values: Any, out: Path) -> None:
    """Results, notebook and PDF, as the renderer writes them."""
    from wattshift.report import run

    run.build(job, node, values, out)


def forget_library() -> None:
    """The library counts figures per process: take it anew for the next notebook, as a new kernel would."""
    import matplotlib.pyplot as plt

    import wattshift

    plt.close("all")
    kept = ("wattshift.report", "wattshift.parameters", "wattshift.refusal", "wattshift.values", "wattshift.units")
    for name in [name for name in sys.modules if name.startswith("wattshift.") and not name.startswith(kept)]:
        del sys.modules[name]
        vars(wattshift).pop(name.split(".")[1], None)


def floor(files: list[Path], out: Path, made: Path) -> float:
    """Seconds for the code of all cells, everything imported and run once before, plus typesetting what was made."""
    import nbformat

    def once(file: Path) -> float:
        node, job, values = prepared(file, out)
        lines = [cell.source for cell in node.cells if cell.cell_type == "code"]
        assigned = "\n".join(f"{name} = {value!r}" for name, value in job.given.items())
        at = next(n for n, c in enumerate(lines) if "parameters.check(" in c)
        done = nbformat.read(made / f"{file.stem}.ipynb", as_version=4)
        forget_library()
        space: dict[str, Any] = {"__name__": "__main__"}
        gc.collect()
        with contextlib.chdir(job.notebook.parent), contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            for number, source in enumerate(lines):
                if number == at:
                    exec(assigned, space)
                exec(compile(source, "<cell>", "exec"), space)
            typeset(done, job, values, out)
            return time.perf_counter() - start

    once(files[0])
    return sum(once(file) for file in files)


# ---------------------------------------------------------------- measuring


@contextlib.contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Largest sum of what this process's descendants occupy, MiB; pages that several share count once (Linux)."""
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            peak[0] = max(peak[0], sum(map(occupied, descendants(os.getpid()))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def occupied(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def timed(what: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and processor seconds of all processes that ended meanwhile."""
    start, before = time.perf_counter(), os.times()
    what()
    after = os.times()
    work = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, work


def in_words(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"


def main(notebook: Path, given: dict[str, str], count: int, rounds: int, growth: list[int]) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place, "out")
        out.mkdir()
        files = run_files(notebook, given, Path(place), count)
        ways: dict[str, Callable[[], object]] = {
            "`wattshift render`": lambda: by_wattshift(files, out),
            "the same, one at a time": lambda: by_wattshift(files, out, "--jobs", "1"),
            "in-process execution, no isolation": lambda: by_process(files, out),
            "plain kernels, one at a time": lambda: by_wattshift(files, out, "--jobs", "1", WATTSHIFT_ENGINE="plain"),
            "papermill + nbconvert + Chromium": lambda: by_webpdf(files, out),
        }
        if CHROMIUM is None:
            print("There is no chromium here: the webpdf way is left out.", file=sys.stderr)
            ways.popitem()
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        floors = []
        for number in range(rounds):
            for name, way in ways.items():
                times[name].append(timed(way))
                print(
                    "round {}: {:7.2f} s {:7.2f} s of work  {}".format(number + 1, *times[name][-1], name),
                    file=sys.stderr,
                )
            by_wattshift(files, out)
            line = [sys.executable, str(Path(__file__)), "--floor", str(out), *map(str, files)]
            done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
            floors.append(float(done.stdout.splitlines()[-1]))
            print(f"round {number + 1}: {floors[-1]:7.2f} s  floor", file=sys.stderr)
        middle = {name: [statistics.median(part) for part in zip(*found, strict=True)] for name, found in times.items()}
        middle["floor: code and typesetting alone, one core"] = [statistics.median(floors)] * 2
        first = middle["`wattshift render`"]
        about = f"{count} runs of {notebook.stem} with PDF"
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        print(f"\nPython {platform.python_version()}, {cores} cores, {rounds} interleaved rounds, medians.\n")
        print(f"| {about} | time | times `wattshift render` | work | times |\n| --- | ---: | ---: | ---: | ---: |")
        for name, (clock, work) in middle.items():
            both = f"{in_words(clock)} | {clock / first[0]:.1f} | {in_words(work)} | {work / first[1]:.1f}"
            print(f"| {name} | {both} |")
        again = timed(lambda: command("wattshift", "render", *unchanged(files), "--out", str(out)))
        print(f"| `wattshift render` again, nothing changed | {in_words(again[0])} | | {in_words(again[1])} | |")
        print("\n| notebooks | time | per report | peak memory |\n| ---: | ---: | ---: | ---: |")
        for several in growth:
            files_of = run_files(notebook, given, Path(place), several)
            with peak_memory() as peak:
                taken, _ = timed(lambda files_of=files_of: by_wattshift(files_of, out))  # type: ignore[misc]
            print(f"| {several} | {in_words(taken)} | {in_words(taken / several)} | {peak[0]:,.0f} MiB |")


def unchanged(files: list[Path]) -> list[str]:
    return [word for file in files for word in ("--run", str(file))]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in-process"]:
        in_process(Path(sys.argv[2]), list(map(Path, sys.argv[3:])))
    elif sys.argv[1:2] == ["--floor"]:
        print(floor(list(map(Path, sys.argv[3:])), Path(tempfile.mkdtemp()), Path(sys.argv[2])))
    else:
        parser = argparse.ArgumentParser(description="Six parameterized reports, several ways, side by side.")
        parser.add_argument("--notebook", type=Path, default=ROOT / "notebooks" / "01_halving_impact.ipynb")
        parser.add_argument("-p", action="append", default=[], metavar="NAME=VALUE", help="change a parameter")
        parser.add_argument("--runs", type=int, default=len(PRICES))
        parser.add_argument("--rounds", type=int, default=3)
        parser.add_argument("--growth", type=lambda text: [int(n) for n in text.split(",")], default=[1, 6, 12, 24])
        told = parser.parse_args()
        pairs = dict(pair.split("=", 1) for pair in told.p)
        main(told.notebook.resolve(), pairs, told.runs, told.rounds, told.growth)
