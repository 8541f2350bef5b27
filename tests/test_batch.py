"""Several reports at once: the same bytes from every engine and number of workers, progress, and ends of all kinds."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from wattshift import parameters
from wattshift.report import batch, cache, run, warm, workers
from wattshift.report.run import Job, Outcome

SPOKEN = Path(__file__).parent / "notebooks" / "spoken.ipynb"
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs signals and /proc")


@pytest.fixture(autouse=True)
def fixed_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTSHIFT_REVISION", "0123456789ab")
    monkeypatch.setenv("WATTSHIFT_CLEAN", "1")
    monkeypatch.delenv(warm.ENGINE, raising=False)
    monkeypatch.delenv(warm.ADDRESS, raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[str | None]:
    """One server for the batches of this module: `render_many` takes a running one where there is one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(warm.ADDRESS, raising=False)
        with warm.running() as address:
            yield address


@pytest.fixture
def warmed(server: str | None, fixed_revision: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    if server:
        monkeypatch.setenv(warm.ADDRESS, server)


def notebook(folder: Path, name: str, *sources: str) -> Path:
    cells = [
        new_markdown_cell("# Title\n\nquestion"),
        new_code_cell("from wattshift.units import Seed"),
        new_code_cell("seed: Seed = 1  # of the draws", metadata={"tags": ["parameters"]}),
        new_markdown_cell("## The middle"),
        *(new_code_cell(source) for source in sources),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


def job_of(path: Path, out: Path, **given: object) -> Job:
    contract = parameters.read(path)
    return Job(path, path.stem, contract, contract.injection(given), out=out)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.is_file()}


def soon(what: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


# ---------------------------------------------------------------- the same bytes


def test_every_engine_and_any_number_of_workers_give_the_same_bytes(
    warmed: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    contract = parameters.read(SPOKEN)
    made = {}
    for engine in ("warm", "plain"):
        monkeypatch.setenv(warm.ENGINE, engine)
        for at_once in (1, 2):
            out = tmp_path / f"{engine}-{at_once}"
            given = [contract.injection({"halving": halving}) for halving in ("3", "4")]
            jobs = [Job(SPOKEN, f"spoken{n}", contract, each, out=out) for n, each in enumerate(given)]
            assert batch.render_many(jobs, at_once=at_once) == 0, capsys.readouterr().err
            made[engine, at_once] = contents(out)
    first, *others = made.values()
    assert sorted(first) == [f"spoken{n}.{e}" for n in (0, 1) for e in ("ipynb", "pdf", "results.json")]
    for other in others:
        assert other == first
    assert first["spoken0.pdf"] != first["spoken1.pdf"]


@pytest.mark.parametrize("first", ["0a", "f3"])
def test_widgets_get_names_that_are_not_drawn(first: str) -> None:
    names = [first * 16, "7b" * 16]
    view = nbformat.v4.new_output(
        "display_data", data={"application/vnd.jupyter.widget-view+json": {"model_id": names[1]}}
    )
    node = new_notebook(cells=[new_code_cell("show", outputs=[view], id="one")])
    state = {names[0]: {"of": "slider"}, names[1]: {"children": [f"IPY_MODEL_{names[0]}"]}}
    node.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    found = nbformat.reads(run.notebook_bytes(node).decode(), as_version=4)
    (shown,) = found.cells[0].outputs[0].data.values()
    kept = found.metadata.widgets["application/vnd.jupyter.widget-state+json"].state
    assert list(kept) == [f"{0:032x}", f"{1:032x}"]
    assert kept[shown.model_id] == {"children": [f"IPY_MODEL_{0:032x}"]}
    assert kept[f"{0:032x}"] == {"of": "slider"}


def test_printed_text_is_one_piece_whatever_the_clock() -> None:
    streams = [("stdout", "a"), ("stdout", "\n"), ("stderr", "b"), ("stdout", "c"), ("stdout", "d")]
    outputs = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in streams]
    figure = nbformat.v4.new_output("display_data", data={"text/plain": "x"})
    joined = run._joined([*outputs[:4], figure, outputs[4]])
    assert [(o.get("name"), o.get("text")) for o in joined] == [
        ("stdout", "a\n"),
        ("stderr", "b"),
        ("stdout", "c"),
        (None, None),
        ("stdout", "d"),
    ]


# ---------------------------------------------------------------- what is said


@pytest.mark.usefixtures("warmed")
def test_each_report_says_how_far_it_is_and_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = [job_of(notebook(tmp_path, name, "import time; time.sleep(1)"), tmp_path / "out") for name in ("a", "b")]
    assert batch.render_many(jobs, at_once=2) == 0
    first = capsys.readouterr()
    for name in ("a", "b"):
        lines = [line for line in first.err.splitlines() if line.startswith(f"{name}: ")]
        sections = [re.match(r"\w: (.+) \(\d+/5 cells, \d+ s\)$", line)[1] for line in lines]  # type: ignore[index]
        assert sections == ["Title", "The middle", "typesetting"]
        assert f"{tmp_path / 'out' / name}.pdf" in first.out.splitlines()
    assert batch.render_many(jobs, at_once=2, force=True) == 0
    again = capsys.readouterr().err
    assert re.search(r"a: The middle \(\d/5 cells, \d+ s, about \d+ s left\)", again)


def test_time_left_follows_the_last_run_at_its_own_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(notebook(tmp_path, "a"), tmp_path)
    clock = batch._Clock(job, cache.Record({}, {}, {}, clock=[0.0, 1.0, 5.0, 9.0, 10.0]))
    now = [100.0]
    monkeypatch.setattr(batch.time, "monotonic", lambda: now[0])
    assert clock.left is None
    clock.reached(0, 4, "one")
    assert clock.left == 10  # nothing is known of this run yet
    now[0] = 110.0
    clock.reached(2, 4, "two")
    assert clock.left == 10  # half way, at half the pace
    now[0] = 113.0
    assert clock.left == 7
    assert clock.words() == "2/4 cells, 13 s, about 7 s left"
    assert clock.ended() == [0.0, 10.0, 10.0, 13.0]
    assert batch._Clock(job, None).left is None


# ---------------------------------------------------------------- bad ends


@pytest.mark.usefixtures("warmed")
def test_one_bad_report_takes_no_other_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell that raises, a refusal, and a kernel that kills the very worker that runs it."""
    sources = {
        "raises": "raise ValueError('no price')",
        "refuses": "from wattshift.refusal import Refusal; raise Refusal('No day in the window: give a later end.')",
        "kills": "import os; os.kill(int(os.environ['JPY_PARENT_PID']), 9); import time; time.sleep(60)",
        "good": "seed",
        "fine": "seed",
    }
    jobs = [job_of(notebook(tmp_path, name, source), tmp_path / "out") for name, source in sources.items()]
    assert batch.render_many(jobs, at_once=2) == 1
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if line.endswith(".pdf")].__len__() == 2
    assert 'raises, cell 5 ("The middle") failed: ValueError: no price' in said.err
    assert "No day in the window: give a later end." in said.err
    assert "kills: the process that made it ended (killed by signal 9)." in said.err
    assert sorted(p.stem for p in (tmp_path / "out").glob("*.pdf")) == ["fine", "good"]
    assert sorted(p.stem for p in (tmp_path / "out" / cache.FOLDER).iterdir()) == ["fine", "good"]
    assert list((tmp_path / "out").glob(".making-*")) == []


START = [sys.executable, "-c", "from wattshift.cli import main; main()", "render"]


def processes_in(folder: Path) -> list[int]:
    """Processes that work in, or were told of, a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = str(folder).encode() in (entry / "environ").read_bytes()
            except OSError:
                continue
            if told and (entry / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX":
                found.append(int(entry.name))
    return found


def stopped(folder: Path, jobs: Sequence[str], number: int) -> tuple[int, str]:
    """Start a render of slow notebooks, send it a signal in the middle of a cell; its exit code and what it said."""
    names = [str(notebook(folder, name, "import time", "time.sleep(120)")) for name in jobs]
    out = folder / "out"
    out.mkdir()
    (out / "a.pdf").write_bytes(b"the last good one")
    env = {**os.environ, "TMPDIR": str(folder), "MARK": str(folder)}
    with subprocess.Popen(
        [*START, *names, "--out", str(out), "--jobs", "2"], stderr=subprocess.PIPE, env=env
    ) as process:
        assert process.stderr
        said = b""
        while said.count(b"The middle") < len(jobs):
            said += process.stderr.readline()
        time.sleep(0.5)
        process.send_signal(number)
        said += process.stderr.read() if number != signal.SIGKILL else b""
        code = process.wait(30)
    return code, said.decode()


@linux
@pytest.mark.parametrize(
    ("jobs", "engine"),
    [(["a"], "warm"), (["a", "b"], "warm"), (["a", "b"], "plain")],
    ids=["here", "beside", "beside-plain"],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_a_stop_leaves_nothing_behind(
    jobs: list[str], engine: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(warm.ENGINE, engine)
    code, said = stopped(tmp_path, jobs, number)
    assert code == {signal.SIGKILL: -signal.SIGKILL}.get(number, 130)
    assert "Traceback" not in said
    assert soon(lambda: processes_in(tmp_path) == []), processes_in(tmp_path)
    assert contents(tmp_path / "out") == {"a.pdf": b"the last good one"}
    if (number, jobs) != (signal.SIGKILL, ["a"]):  # killed outright, it cannot clear its own table
        assert soon(lambda: not list((tmp_path / "out").glob(".making-*")))
    assert soon(lambda: not list(tmp_path.glob("ws-*")))
    if number != signal.SIGKILL:
        assert said.splitlines()[-1] == "Stopped."


def test_jobs_are_counted_in_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    from wattshift import cli

    assert cli.run(["render", "01", "--jobs", "0"]) == 2
    assert capsys.readouterr().err == "--jobs cannot be 0: give a whole number from 1 to 1000, for example 2.\n"


def test_one_job_runs_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(notebook(tmp_path, "a"), tmp_path)
    said: list[Any] = []

    def pretend(given: Job, progress: Any) -> Outcome:
        progress(1, 2, "here")
        return Outcome(given, "done")

    monkeypatch.setattr(workers, "run", pretend)
    monkeypatch.setattr(workers, "_beside", lambda *_: pytest.fail("a process was started"))
    workers.work([job], 8, lambda number, what: said.append((number, what)))
    workers.work([job, job], 1, lambda number, what: said.append((number, what)))
    assert [number for number, _ in said] == [0, 0, 0, 0, 1, 1]
    assert said[0] == (0, (1, 2, "here"))
    assert workers.cores() >= 1
