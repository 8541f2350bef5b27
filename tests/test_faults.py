"""Every fault that a laptop or a cluster can produce: the last good report stays, and nothing else does.

Faults that other files test already: test_batch (stops in a cell, a worker that is killed), test_warm (runs apart, the
fork server killed, its owner killed), test_report (targets that are no folder, refusals, what cannot be set),
test_cache (records), test_cli (bad options, a reader who leaves).
"""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from wattshift import cli, data, parameters, stopping
from wattshift.report import batch, cache, folders, prose, run, typst, warm
from wattshift.report.run import Job

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs signals and /proc as Linux has them")
pytestmark = linux
START = [sys.executable, "-c", "from wattshift.cli import main; main()", "render"]
IMPORT = "from wattshift.units import Seed"
ENDINGS = ("results.json", "ipynb", "pdf")


# ---------------------------------------------------------------- helpers


def notebook(folder: Path, *sources: str, first: str = IMPORT, name: str = "small", words: str = "question") -> Path:
    cells = [
        new_markdown_cell(f"# Title\n\n{words}", id="title"),
        new_code_cell(first, id="import"),
        new_code_cell("seed: Seed = 1  # of the draws", metadata={"tags": ["parameters"]}, id="parameters"),
        *(new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


def processes() -> set[int]:
    """All that descends from this process and still runs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            state, parent = (entry / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(entry.name)] = int(parent)
    found: set[int] = set()
    while new := {pid for pid, parent in parents.items() if parent in {os.getpid(), *found}} - found:
        found |= new
    return found


def told_of(folder: Path) -> set[int]:
    """Processes whose environment names a folder, whoever is their parent by now."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if str(folder).encode() in (entry / "environ").read_bytes() and int(entry.name) != os.getpid():
                state = (entry / "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
                found |= {int(entry.name)} if state not in "ZX" else set()
    return found


def soon(what: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@dataclass
class Scene:
    """A folder with a target that holds a good report, and all that may be there after a fault."""

    place: Path
    server: Path | None  # folder of the fork server
    before: set[int]

    @property
    def out(self) -> Path:
        return self.place / "out"

    @property
    def temporary(self) -> Path:
        return self.place / "t"

    def job(self, *sources: str, **more: Any) -> Job:
        about = {key: more.pop(key) for key in ("first", "name", "words") if key in more}
        path = notebook(self.place, *sources, **about)
        contract = parameters.read(path)
        return Job(path, path.stem, contract, {"seed": 2}, out=self.out, **more)

    def good(self, name: str = "small") -> dict[str, bytes]:
        """Put a good report into the target."""
        self.out.mkdir(exist_ok=True)
        for ending in ENDINGS:
            (self.out / f"{name}.{ending}").write_bytes(f"the last good {ending}".encode())
        return contents(self.out)

    def command(self, *options: str, start: Sequence[str] = START, **env: str) -> "subprocess.Popen[str]":
        """`wattshift render` of the scene's notebook, as a process of its own."""
        line = [*start, str(self.place / "small.ipynb"), "--out", str(self.out), *options]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(line, text=True, env={**os.environ, "SCENE": str(self.place), **env}, **pipes)

    def clean(self, good: dict[str, bytes], partial: str | None = None, *, killed: bool = False) -> None:
        """The target holds the good report byte for byte, and the partial notebook if one was told; nothing is left.

        No process, socket or temporary folder, neither in the target nor in the temporary folder nor at the server.
        killed: what a client leaves at its server goes when the server goes, which its owner's end brings about.
        """
        assert soon(lambda: processes() <= self.before), processes() - self.before
        assert soon(lambda: not told_of(self.place)), told_of(self.place)
        expected = {*good, *([f"failed/{partial}.ipynb"] if partial else [])}
        now = contents(self.out)
        assert set(now) == expected
        assert {name: now[name] for name in good} == good
        assert [
            path for path in self.out.rglob("*") if path.is_dir() and path.name not in ("failed", cache.FOLDER)
        ] == []
        assert soon(lambda: not list(self.temporary.iterdir())), list(self.temporary.iterdir())
        if self.server and killed:
            for folder in self.server.glob("k*"):
                shutil.rmtree(folder)
        if self.server:
            assert soon(lambda: {path.name for path in self.server.iterdir()} == {"s", "notes", "lock"})  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def server() -> Iterator[warm.Server]:
    """One server for this module, with the little that these notebooks need."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(warm.ADDRESS, raising=False)
        with warm.Server(["ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger"]) as own:
            yield own


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short name, since sockets lie in it, and the temporary folder inside it."""
    folder = Path(tempfile.mkdtemp(prefix="f-"))
    (folder / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "t"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "t"))
    monkeypatch.setenv("WATTSHIFT_REVISION", "0123456789ab")
    monkeypatch.setenv("WATTSHIFT_CLEAN", "1")
    monkeypatch.delenv(warm.ENGINE, raising=False)
    monkeypatch.delenv(warm.ADDRESS, raising=False)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["warm", "plain"])
def scene(request: pytest.FixtureRequest, server: warm.Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A scene for each engine."""
    if request.param == "plain":
        monkeypatch.setenv(warm.ENGINE, "plain")
        return Scene(place, None, processes())
    monkeypatch.setenv(warm.ADDRESS, server.address)
    return Scene(place, server.folder, processes())


@pytest.fixture
def stage(place: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A scene for faults beyond the kernel: notebooks count as run."""
    monkeypatch.setattr(run, "execute", lambda job, _: nbformat.read(job.notebook, as_version=4))
    return Scene(place, None, processes())


# ---------------------------------------------------------------- in the kernel


@pytest.mark.parametrize(
    ("first", "sources", "cell", "began"),
    [
        (f"{IMPORT}\nraise ValueError('no price')", ["1", "2"], 2, 1),
        (IMPORT, ["raise ValueError('no price')", "1", "2"], 4, 4),
        (IMPORT, ["1", "raise ValueError('no price')", "2"], 5, 5),
        (IMPORT, ["1", "2", "raise ValueError('no price')"], 6, 6),
    ],
    ids=["first", "after-the-parameters", "middle", "last"],
)
def test_raises(scene: Scene, first: str, sources: list[str], cell: int, began: int, capsys: Any) -> None:
    good = scene.good()
    assert batch.render_many([scene.job(*sources, first=first)]) == cli.FAILED
    said = capsys.readouterr()
    partial = scene.out / "failed" / "small.ipynb"
    assert said.err.splitlines()[-2:] == [
        f'small, cell {cell} ("Title") failed: ValueError: no price',
        f"The notebook as far as it came: {partial}",
    ]
    assert said.out == ""
    ran = [c.execution_count for c in nbformat.read(partial, as_version=4).cells if c.cell_type == "code"]
    assert [count for count in ran if count] == list(range(1, began + 1))
    scene.clean(good, "small")


DIES = {
    "kill": ("import os; os.kill(os.getpid(), 9)", "It was killed, as the system does when memory runs out."),
    "exit": ("import os; os._exit(3)", "It left with exit code 3."),
    "exit-0": ("import os; os._exit(0)", "It left with exit code 0."),
    "crash": ("import ctypes; ctypes.string_at(0)", "It was ended by signal 11 (Segmentation fault)."),
}


@pytest.mark.parametrize("how", DIES)
def test_dies(scene: Scene, how: str, capsys: Any) -> None:
    good = scene.good()
    cell, says = DIES[how]
    assert batch.render_many([scene.job("1", cell, "2")]) == cli.FAILED
    said = capsys.readouterr().err
    assert 'small, cell 5 ("Title") failed: the kernel died.' in said
    assert says in said
    scene.clean(good, "small")


DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
LIMITS = {
    "cell": ("while True: pass", {"cell_limit": 1.5}, "it took longer than the 1.5 s that --cell-limit gives a cell"),
    "deaf": (DEAF, {"cell_limit": 1.5}, "it took longer than the 1.5 s that --cell-limit gives a cell"),
    "run": (
        "import time; time.sleep(60)",
        {"cell_limit": 50.0, "run_limit": 2.0},
        "the run took longer than the 2 s",
    ),
    "stopped": ("import os; os.kill(os.getpid(), 19)", {"run_limit": 2.0}, "the run took longer than the 2 s"),
}


@pytest.mark.parametrize("which", LIMITS)
def test_never_ends(scene: Scene, which: str, capsys: Any) -> None:
    good = scene.good()
    cell, limits, says = LIMITS[which]
    began = time.monotonic()
    assert batch.render_many([scene.job("1", cell, "2", **limits)]) == cli.FAILED
    assert time.monotonic() - began < 40
    assert f'small, cell 5 ("Title") failed: {says}' in capsys.readouterr().err
    scene.clean(good, "small")


def test_many_short_cells_add_up(scene: Scene, capsys: Any) -> None:
    good = scene.good()
    job = scene.job(*["import time; time.sleep(0.4)"] * 9, run_limit=1.5, cell_limit=5.0)
    assert batch.render_many([job]) == cli.FAILED
    assert "the run took longer than the 1.5 s that --run-limit gives it." in capsys.readouterr().err
    scene.clean(good, "small")


def test_within_limits_nothing_changes(scene: Scene) -> None:
    job = scene.job("print(seed)")
    assert batch.render_many([job], force=True) == cli.DONE
    free = contents(scene.out)
    limited = replace(job, cell_limit=50.0, run_limit=60.0, memory_limit=4_000)
    assert run.run(limited).status == "done"
    assert {name: body for name, body in contents(scene.out).items() if not name.startswith(".")} == {
        name: body for name, body in free.items() if not name.startswith(".")
    }
    assert batch.render_many([limited]) == cli.DONE


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("x = bytearray(3_000_000_000)", 'cell 5 ("Title") failed: MemoryError: '),
        ("import os; x = [bytes(10_000_000) for _ in range(300)]", 'cell 5 ("Title") failed: MemoryError: '),
        (
            "try: x = bytearray(3_000_000_000)\nexcept MemoryError: os.abort()",
            'cell 5 ("Title") failed: the kernel died ',
        ),
    ],
    ids=["at-once", "slowly", "died"],
)
def test_memory(scene: Scene, cell: str, says: str, capsys: Any) -> None:
    good = scene.good()
    assert batch.render_many([scene.job("import os", cell, memory_limit=1_000)]) == cli.FAILED
    assert f"small, {says}(--memory-limit gives a run 1000 MB)" in capsys.readouterr().err
    scene.clean(good, "small")


def test_a_table_damaged_between_key_and_load(scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    tables = scene.place / "data"
    tables.mkdir()
    for file in ("halvings.csv", "halvings.yml"):
        shutil.copy(cache.ROOT / "data" / file, tables)
    monkeypatch.setenv("WATTSHIFT_DATA", str(tables))
    flag, table = scene.place / "now", tables / "halvings.csv"
    damage = f"from pathlib import Path\nif Path({str(flag)!r}).exists(): Path({str(table)!r}).write_bytes(b'half')"
    job = scene.job(damage, "from wattshift import data; print(len(data.load('halvings')))")
    assert batch.render_many([job]) == cli.DONE, capsys.readouterr().err
    good = contents(scene.out)
    flag.touch()
    assert batch.render_many([job], force=True) == cli.REFUSED
    assert "halvings.csv" in capsys.readouterr().err
    scene.clean(good)
    assert cache.changed(job, cache.makings(job), cache.read(job)) == "halvings.csv changed"


def test_a_notebook_changed_during_its_run_is_run_again(scene: Scene) -> None:
    path = scene.place / "small.ipynb"
    job = scene.job(f"text = open({str(path)!r}).read(); open({str(path)!r}, 'w').write(text.replace('quest', 'quiz'))")
    assert batch.render_many([job]) == cli.DONE
    assert cache.read(job) is None
    assert "quiz" in path.read_text(encoding="utf-8")


def test_the_fork_server_dies_between_runs(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    scene = Scene(place, None, processes())
    with warm.Server(["ipykernel.kernelapp"]) as own:
        monkeypatch.setenv(warm.ADDRESS, own.address)
        real = batch.report

        def then_dies(outcome: run.Outcome) -> None:
            real(outcome)
            own.process.kill()

        monkeypatch.setattr(batch, "report", then_dies)
        jobs = [scene.job("import os; print(os.getppid())", name=name) for name in ("a", "b")]
        assert batch.render_many(jobs, at_once=1) == cli.DONE, capsys.readouterr().err
        parents = []
        for job in jobs:
            made = nbformat.read(job.out / f"{job.name}.ipynb", as_version=4)
            parents.append(int(made.cells[-1].outputs[0].text))
        assert parents == [own.process.pid, os.getpid()]
    assert soon(lambda: processes() <= scene.before)
    assert list(scene.temporary.iterdir()) == []


def test_the_fork_server_dies_during_a_run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    scene = Scene(place, None, processes())
    good = scene.good()
    with warm.Server(["ipykernel.kernelapp"]) as own:
        monkeypatch.setenv(warm.ADDRESS, own.address)
        assert batch.render_many([scene.job("import os; os.kill(os.getppid(), 9)")]) == cli.FAILED
    assert "failed: the kernel died." in capsys.readouterr().err
    scene.clean(good, "small")


# ---------------------------------------------------------------- being stopped


def slow_pandoc(scene: Scene, seconds: int) -> dict[str, str]:
    """The setting for a pandoc that tells that it was called, and then takes its time."""
    script = scene.place / "pandoc"
    real = prose.pandoc_path()
    ask = f'[ "$1" = --version ] && exec {real} --version'
    script.write_text(f"#!/bin/sh\n{ask}\ntouch {scene.place}/typesetting\nexec sleep {seconds}\n", encoding="utf-8")
    script.chmod(0o755)
    return {"PYPANDOC_PANDOC": str(script)}


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    with process:
        _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    return process.returncode, said


def test_asked_to_end_in_the_background(scene: Scene) -> None:
    """A script's `wattshift render … &` ignores Ctrl-C, as the shell wants it, but ends when it is asked to."""
    good = scene.good()
    scene.job(f"open({str(scene.place / 'here')!r}, 'w'); import time; time.sleep(60)")
    process = scene.command(start=["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *START])
    assert soon((scene.place / "here").exists)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    code, said = ended(process)
    assert (code, said.splitlines()[-1]) == (cli.STOPPED, "Stopped.")
    scene.clean(good)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_stopped_while_typesetting(scene: Scene, number: signal.Signals) -> None:
    good = scene.good()
    scene.job("1")
    process = scene.command(**slow_pandoc(scene, 3))
    assert soon((scene.place / "typesetting").exists)
    process.send_signal(number)
    code, said = ended(process)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
        assert list(scene.out.glob(".making-*")) != []  # the next of us clears it away
        folders.tidy(scene.out)
        folders.sweep()
    else:
        assert (code, said.splitlines()[-1]) == (cli.STOPPED, "Stopped.")
    scene.clean(good)


def test_stopped_while_typesetting_beside(scene: Scene) -> None:
    good = scene.good()
    scene.job("1")
    other = notebook(scene.place, "1", name="other")
    process = scene.command(str(other), "--jobs", "2", **slow_pandoc(scene, 3))
    assert soon((scene.place / "typesetting").exists)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert (code, said.splitlines()[-1]) == (cli.STOPPED, "Stopped.")
    scene.clean(good)


def test_killed_in_a_cell(scene: Scene) -> None:
    """SIGKILL leaves folders whose locks are free: the next render of any report there clears them away."""
    good = scene.good()
    job = scene.job(f"open({str(scene.place / 'here')!r}, 'w'); import time; time.sleep(60)")
    process = scene.command()
    assert soon((scene.place / "here").exists)
    process.kill()
    assert ended(process)[0] == -signal.SIGKILL
    assert soon(lambda: not told_of(scene.place))
    assert list(scene.out.glob(".making-*")) != []
    job = replace(scene.job("raise ValueError", name="other"))
    assert batch.render_many([job]) == cli.FAILED
    folders.sweep()
    scene.clean(good, "other", killed=True)


IMPORTING = """
import sys
def tell(event, about):
    if event == "import" and about[0] == "typer":
        open(sys.argv.pop(1), "w").close()
sys.addaudithook(tell)
from wattshift.cli import main
main()
"""


def test_a_stop_that_python_swallows_is_neither_lost_nor_printed() -> None:
    """A weak reference's callback, as the import machinery has them, cannot raise: Python prints and goes on."""
    script = """
import signal, sys, weakref
from wattshift import stopping
class Thing: pass
def gone(_):
    signal.raise_signal(signal.SIGINT)
    sum(range(10))
signal.signal(signal.SIGINT, signal.default_int_handler)
stopping.listen()
thing = Thing(); seen = weakref.ref(thing, gone)
del thing
print("went on")
try:
    stopping.check()
except KeyboardInterrupt:
    print("stopped")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split("\n")[:2], done.stderr) == (["went on", "stopped"], "")


@pytest.mark.parametrize("after", [0.0, 0.3, 0.7])
def test_stopped_at_the_start(scene: Scene, after: float) -> None:
    """From the moment that the command's own modules are being imported; before that it is Python's start."""
    good = scene.good()
    scene.job("import time; time.sleep(60)")
    process = scene.command(start=[sys.executable, "-c", IMPORTING, str(scene.place / "importing"), "render"])
    assert soon((scene.place / "importing").exists)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert (code, said.splitlines()[-1]) == (cli.STOPPED, "Stopped.")
    scene.clean(good)


def test_a_stop_that_a_library_swallows_is_not_lost(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    good = scene.good()
    monkeypatch.setattr(stopping, "_heard", False)
    with monkeypatch.context() as patch:
        patch.setattr(stopping.signal, "getsignal", lambda _: signal.default_int_handler)
        patch.setattr(stopping.signal, "signal", lambda _, handler: swallow(handler))
        stopping.listen()
    with pytest.raises(KeyboardInterrupt):
        batch.render_many([scene.job("1")])
    stopping.check()  # once is enough
    scene.clean(good)


def swallow(handler: Callable[..., None]) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        handler()


def test_stopped_before_the_command_is_there(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(START, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (cli.STOPPED, "", "Stopped.\n")


# ---------------------------------------------------------------- at the target


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int, *options: str) -> Iterator[None]:
    """A disk of its own mounted at a folder; the test is skipped where we may not mount one."""
    line = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={kilobytes}k", *options]), "none", str(folder)]
    try:
        mounted = subprocess.run(line, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_disk_full_while_saving(scene: Scene, capsys: Any) -> None:
    scene.out.mkdir()
    with small_disk(scene.out, 500):
        good = scene.good()
        job = scene.job("print('x' * 300_000)", formats=("html", "pdf"))
        assert batch.render_many([job]) == cli.FAILED  # the text is in the notebook and in the page: no room for both
        said = capsys.readouterr().err
        assert "small: No space left on device\n" in said
        assert f"The notebook as far as it came: {scene.out}/failed/small.ipynb" in said  # for this there is room
        scene.clean(good, "small")


def test_disk_full_to_the_last_byte(scene: Scene, capsys: Any) -> None:
    scene.out.mkdir()
    with small_disk(scene.out, 100):
        good = scene.good()
        assert batch.render_many([scene.job("print('x' * 300_000)")]) == cli.FAILED
        said = capsys.readouterr().err
        assert said.splitlines()[-2:] == ["small: No space left on device", "The partial notebook could not be kept."]
        (scene.out / "failed").rmdir()
        scene.clean(good)


def test_disk_full_while_typesetting(scene: Scene, capsys: Any) -> None:
    good = scene.good()
    with small_disk(scene.temporary, 250):
        assert batch.render_many([scene.job("print('x' * 600_000)")]) == cli.FAILED
        said = capsys.readouterr().err
        assert "small: No space left on device\n" in said
        scene.clean(good, "small")


def test_read_only_target(scene: Scene) -> None:
    scene.out.mkdir()
    scene.job("1")
    with small_disk(scene.out, 100):
        good = scene.good()
        subprocess.run(["mount", "-o", "remount,ro", str(scene.out)], check=True)
        code, said = ended(scene.command())
        assert code == cli.REFUSED
        assert f"--out cannot be '{scene.out}' (it cannot be written to)" in said
        scene.clean(good)


def test_progress_that_nobody_can_write(scene: Scene) -> None:
    scene.job("1")
    with Path("/dev/full").open("w") as full:
        line = [*START, str(scene.place / "small.ipynb"), "--out", str(scene.out)]
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=full, text=True, timeout=60, check=False)
    assert done.returncode == cli.DONE
    assert done.stdout.splitlines() == [
        str(scene.out / f"small.{ending}") for ending in ("pdf", "ipynb", "results.json")
    ]


def test_answer_that_nobody_can_write(scene: Scene) -> None:
    scene.job("1")
    with Path("/dev/full").open("w") as full:
        line = [*START, str(scene.place / "small.ipynb"), "--out", str(scene.out)]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == cli.FAILED
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "The answer could not be written: No space left on device."
    assert sorted(path.name for path in scene.out.iterdir() if path.is_file()) == [
        f"small.{ending}" for ending in sorted(ENDINGS)
    ]


def test_two_renders_of_one_report(scene: Scene) -> None:
    """The second waits for the first, then makes the report itself; in between nothing is half there."""
    go, here = scene.place / "go", scene.place / "here"
    wait = f"import os, time\nopen({str(here)!r}, 'w').close()\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    scene.job(wait)
    good = scene.good()
    first = scene.command()
    assert soon(here.exists)
    second = scene.command()
    assert second.stderr
    said = second.stderr.readline()
    assert said == (f"small: waiting for process {first.pid}, which makes the same report (0/1 cells, 0 s)\n")
    assert {name: body for name, body in contents(scene.out).items() if not name.startswith(".")} == good
    go.touch()
    assert ended(first)[0] == cli.DONE
    made = {name: body for name, body in contents(scene.out).items() if not name.startswith(".")}
    assert ended(second)[0] == cli.DONE
    now = contents(scene.out)
    assert sorted(now) == sorted([f"{cache.FOLDER}/small.json", *good])
    assert {name: now[name] for name in good} == made
    scene.clean(now)


def test_a_stopped_wait_harms_nobody(stage: Scene) -> None:
    stage.job()
    with folders.workshop(stage.out, "small") as mine:
        (mine / "small.pdf").write_bytes(b"half")
        process = stage.command()
        assert process.stderr
        assert f"waiting for process {os.getpid()}" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == cli.STOPPED
        assert (mine / "small.pdf").read_bytes() == b"half"
        folders.tidy(stage.out)
        assert mine.exists()
    assert list(stage.out.iterdir()) == []


def test_a_lock_that_a_crash_left_holds_nobody(stage: Scene) -> None:
    left = stage.out / ".making-small"
    left.mkdir(parents=True)
    (left / "lock").write_text("1", encoding="utf-8")  # the number of a process that lives, but holds nothing
    (left / "small.pdf").write_bytes(b"half")
    (left / "old").mkdir()
    assert run.run(stage.job()).status == "done"
    assert sorted(contents(stage.out)) == sorted(f"small.{ending}" for ending in ENDINGS)
    assert not left.exists()


def test_target_open_in_a_viewer(stage: Scene) -> None:
    good = stage.good()
    with (stage.out / "small.pdf").open("rb") as viewer:
        assert viewer.read(5) == b"the l"
        assert run.run(stage.job()).status == "done"
        assert b"the l" + viewer.read() == good["small.pdf"]
    assert (stage.out / "small.pdf").read_bytes().startswith(b"%PDF")


def test_a_folder_in_the_way(stage: Scene) -> None:
    good = stage.good()
    (stage.out / "small.pdf").unlink()
    (stage.out / "small.pdf").mkdir()
    outcome = run.run(stage.job())
    assert outcome.status == "failed"
    assert "small.pdf is a folder" in outcome.message
    assert {name: body for name, body in contents(stage.out).items() if name in good} == {
        name: body for name, body in good.items() if name != "small.pdf"
    }


def test_a_disk_without_locks(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(folders.fcntl, "flock", flock)
    stage.good()
    with folders.workshop(stage.out, "small") as other:
        assert run.run(stage.job()).status == "done"
        folders.tidy(stage.out)
        assert other.exists()
    assert sorted(contents(stage.out)) == sorted(f"small.{ending}" for ending in ENDINGS)
    assert sorted(path.name for path in stage.out.iterdir()) == sorted(f"small.{ending}" for ending in ENDINGS)
    with warm.Server(["json"]):
        pass
    stage.clean(contents(stage.out))


@pytest.mark.parametrize("room", [0, 1])
def test_disk_without_room_for_a_folder(stage: Scene, room: int) -> None:
    """Four files and folders are there; a fifth may be the folder, a sixth its lock."""
    stage.out.mkdir()
    with small_disk(stage.out, 100, f"nr_inodes={4 + room}"):
        good = stage.good()
        outcome = run.run(stage.job())
        assert outcome.status == "refused"
        assert "cannot be written (no space left on device): give a folder" in outcome.message
        stage.clean(good)


# ---------------------------------------------------------------- between two moves


KILLED = """
import os, sys
from pathlib import Path
from wattshift.report import folders
out, moves = Path(sys.argv[1]), int(sys.argv[2])
real = Path.replace
def replace(self, target):
    global moves
    if moves == 0:
        os.kill(os.getpid(), 9)
    moves -= 1
    return real(self, target)
Path.replace = replace
with folders.workshop(out, "small") as folder:
    files = [folders.write(folder / f"small.{ending}", b"new") for ending in ("results.json", "ipynb", "pdf", "html")]
    folders.move_into_place(files, out)
    if moves == 0:
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("moves", [0, 1, 2, 3, 4])
def test_killed_between_two_moves(stage: Scene, moves: int) -> None:
    """Old and new files lie side by side until the next render: it finds the folder, and the old set returns whole."""
    good = stage.good()
    job = stage.job()
    ended_well = run.Outcome(job, "done", files=cache.files(job), sums={n: data.sha256(b) for n, b in good.items()})
    (stage.out / "small.results.json").write_bytes(b"{}")
    cache.keep(job, cache.makings(job), replace(ended_well, sums={**ended_well.sums, "small.results.json": SUM}), [1.0])
    good = contents(stage.out)
    assert cache.changed(job, cache.makings(job), cache.read(job)) == ""
    done = subprocess.run([sys.executable, "-c", KILLED, str(stage.out), str(moves)], check=False)
    assert done.returncode == -signal.SIGKILL
    mixed = contents(stage.out)
    assert sum(mixed[f"small.{ending}"] == b"new" for ending in ENDINGS) == min(moves, 3)
    if moves:
        assert cache.changed(job, cache.makings(job), cache.read(job)) == "small.results.json was edited"
    folders.tidy(stage.out)
    if moves < 4:
        stage.clean(good)
        assert cache.changed(job, cache.makings(job), cache.read(job)) == ""
    else:  # the new set was whole
        whole = dict.fromkeys([*(f"small.{ending}" for ending in ENDINGS), "small.html"], b"new")
        stage.clean({name: body for name, body in good.items() if name.startswith(".")} | whole)


SUM = data.sha256(b"{}")


def test_a_move_that_fails_undoes_the_others(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    good = stage.good()
    real = Path.replace

    def replaced(self: Path, target: Path) -> Path:
        if self.name == "small.pdf" and self.parent.name.startswith(".making"):
            raise PermissionError(13, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    outcome = run.run(stage.job())
    assert outcome.status == "failed"
    assert outcome.message.startswith("small: Permission denied\n")
    monkeypatch.undo()
    assert {name: body for name, body in contents(stage.out).items() if name in good} == good


def test_a_stop_between_two_moves_waits(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.good()
    real = Path.replace

    def replaced(self: Path, target: Path) -> Path:
        signal.raise_signal(signal.SIGINT)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    with pytest.raises(KeyboardInterrupt):
        run.run(stage.job())
    now = contents(stage.out)
    assert len(now) == 3
    assert not [name for name, body in now.items() if body.startswith(b"the last good")]
    assert not (stage.out / ".making-small").exists()


# ---------------------------------------------------------------- fonts


@pytest.mark.parametrize("how", ["missing", "damaged"])
@pytest.mark.parametrize("file", ["IBMPlexSansArabic-SemiBold.ttf", "DejaVuSans.ttf"])
def test_fonts(stage: Scene, how: str, file: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    good = stage.good()
    copies = tuple(str(shutil.copytree(folder, stage.place / f"fonts-{n}")) for n, folder in enumerate(FONTS))
    (found,) = (Path(folder, file) for folder in copies if Path(folder, file).exists())
    found.unlink() if how == "missing" else found.write_bytes(found.read_bytes()[:3_000])
    monkeypatch.setattr(typst, "font_folders", lambda: copies)
    typst.check_fonts.cache_clear()
    assert batch.render_many([stage.job()]) == cli.FAILED
    typst.check_fonts.cache_clear()
    assert "the report could not be set: the font " in (said := capsys.readouterr().err)
    assert "is missing or damaged: install the packages again" in said
    stage.clean(good, "small")


def test_fonts_not_installed(stage: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    typst.font_folders.cache_clear()
    typst.check_fonts.cache_clear()
    monkeypatch.setattr(typst.importlib.util, "find_spec", lambda _: None)
    outcome = run.run(stage.job())
    monkeypatch.undo()
    assert outcome.status == "failed"
    assert "the fonts of fontpkg_ibm_plex_sans_arabic are not installed" in outcome.message


FONTS = typst.font_folders()


# ---------------------------------------------------------------- what a crash left


HELD = """
import os, sys, time
from wattshift.report import folders
folder = folders.temporary()
folders.hold(folder)
(folder / "k-1").touch()
print(folder, flush=True)
time.sleep(60)
"""


def test_folders_of_a_crash_go_those_of_the_living_stay(place: Path) -> None:
    line = [sys.executable, "-c", HELD]
    with (
        subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as dead,
        subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as living,
    ):
        assert dead.stdout
        assert living.stdout
        left, kept = (Path(process.stdout.readline().strip()) for process in (dead, living))  # type: ignore[union-attr]
        strange = place / "t" / "ws-1-link"
        strange.symlink_to(place)
        dead.kill()
        dead.wait()
        assert left.exists()
        with warm.Server(["json"]) as own, folders.scratch() as mine:
            assert not left.exists()  # a start clears away
            folders.sweep()
            assert kept.exists()
            assert mine.exists()
            assert own.folder.exists()
        living.kill()
    folders.sweep()
    assert [path.name for path in (place / "t").iterdir()] == ["ws-1-link"]
    assert place.exists()


def test_a_server_and_its_owner_killed_at_once(place: Path) -> None:
    script = (
        "import os, sys, time\nfrom wattshift.report import warm\n"
        "own = warm.Server(['json'])\nprint(own.process.pid, own.folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        server, folder = owner.stdout.readline().split()
        os.kill(int(server), signal.SIGKILL)
        owner.kill()
    assert Path(folder, "s").exists()  # a stale socket
    folders.sweep()
    assert list((place / "t").iterdir()) == []


# ---------------------------------------------------------------- the options


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--cell-limit", "0", "--cell-limit cannot be 0: give seconds above 0, for example 600.\n"),
        ("--run-limit", "nan", "--run-limit cannot be nan: give seconds above 0, for example 3600.\n"),
        ("--memory-limit", "5", "--memory-limit cannot be 5: give megabytes from 500 up, for example 8000.\n"),
    ],
)
def test_limits_that_are_none(option: str, value: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["render", "01", option, value]) == cli.REFUSED
    assert capsys.readouterr().err == says


def test_limits_reach_the_run(scene: Scene) -> None:
    good = scene.good()
    scene.job("import time; time.sleep(60)")
    code, said = ended(scene.command("--cell-limit", "0.5", "--run-limit", "30", "--memory-limit", "8000"))
    assert code == cli.FAILED
    assert "the 0.5 s that --cell-limit gives a cell." in said
    scene.clean(good, "small")


def test_a_temporary_place_with_a_long_path_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = tmp_path / ("x" * 90)
    far.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(far))
    with folders.scratch() as folder:
        assert folder.parent == Path("/tmp")
        assert len(str(folder / "k12345678" / "k-5")) <= 107
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    with folders.scratch() as folder:
        assert folder.parent == Path("/var/tmp")
