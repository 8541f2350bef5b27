"""Kernels forked from a warm server: the same as plain ones, apart from each other, and never left behind."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from wattshift import parameters
from wattshift.report import folders, run, warm
from wattshift.report.run import Job

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")

PROBE = """
import builtins, json, os, random, signal, sys, warnings
import matplotlib, numpy, pandas
state = {
    "names": sorted(n for n in globals() if not n.startswith("_")),
    "builtins": hasattr(builtins, "left_behind"),
    "cwd": os.getcwd(),
    "files": sorted(os.listdir(".")),
    "environ": {k: v for k, v in os.environ.items() if k not in ("JPY_PARENT_PID", "JPY_SESSION_NAME")},
    "rc": {k: repr(v) for k, v in matplotlib.rcParams.items()},
    "backend": matplotlib.get_backend(),
    "warnings": sorted(repr(f[:2]) + f[2].__name__ for f in warnings.filters if "DeprecationWarning" in f[2].__name__),
    "pandas": [pandas.get_option("display.max_rows"), pandas.get_option("display.precision")],
    "numpy": numpy.get_printoptions()["precision"],
    "path": sys.path,
    "signals": [str(signal.getsignal(n)) for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD)],
    "main": sys.modules["__main__"].__dict__ is globals(),
    "argv": [os.path.basename(sys.argv[0]), len(sys.argv)],
    "stdin": sys.stdin.read() if sys.stdin else None,
    "umask": os.umask(0o22),
    "lib": "wattshift" in sys.modules,
    "session": os.getsid(0) == os.getpid() == os.getpgid(0),
}
"""
TELL = "print(json.dumps(state))"
SPOIL = """
import builtins, os, signal, sys, warnings
import matplotlib, numpy, pandas
builtins.left_behind = 1
os.environ["LEFT_BEHIND"] = "yes"
os.umask(0o77)
matplotlib.rcParams["lines.linewidth"] = 9
matplotlib.use("agg")
warnings.filterwarnings("error", category=DeprecationWarning)
pandas.set_option("display.precision", 1)
numpy.set_printoptions(precision=1)
numpy.random.seed(1)
signal.signal(signal.SIGUSR1, lambda *_: None)
sys.path.insert(0, "/nowhere")
numpy.core_left_behind = 1
os.chdir("/")
"""


# ---------------------------------------------------------------- helpers


def job_of(folder: Path, *sources: str, name: str = "small") -> Job:
    cells = [
        new_markdown_cell("# Title\n\nquestion"),
        new_code_cell("from wattshift.units import Seed"),
        new_code_cell("seed: Seed = 1  # of the draws", metadata={"tags": ["parameters"]}),
        *(new_code_cell(source) for source in sources),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return Job(path, name, parameters.read(path), {"seed": 2}, out=folder / "out")


def executed(*sources: str, folder: Path, name: str = "small") -> list[str]:
    """What each cell printed."""
    made = run.execute(job_of(folder, *sources, name=name), run.quiet)
    return ["".join(o.get("text", "") for o in c.get("outputs", [])) for c in made.cells if c.cell_type == "code"]


def runs(pid: int) -> bool:
    """Whether a process is there and not only waiting to be counted."""
    try:
        return Path("/proc", str(pid), "stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def soon(what: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(warm.ENGINE, raising=False)
        patch.delenv(warm.ADDRESS, raising=False)
        with warm.running() as address:
            assert address
            yield address


def start_kernel(server: str) -> warm.Kernel:
    return warm.Kernel(server, ["-f", "/nowhere/c.json", "--ip=127.0.0.1"], "/", {**os.environ}, [2, 2])


# ---------------------------------------------------------------- runs apart


@pytest.mark.usefixtures("server")
def test_runs_cannot_see_each_other_and_look_like_plain_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SETTING", "of the caller")
    before = executed(PROBE, TELL, folder=tmp_path)[-1]
    executed(SPOIL, folder=tmp_path)
    after = executed(PROBE, TELL, folder=tmp_path)[-1]
    assert json.loads(before) == json.loads(after)
    monkeypatch.setenv(warm.ENGINE, "plain")
    plain = json.loads(executed(PROBE, TELL, folder=tmp_path)[-1])
    warmed = json.loads(after)
    assert warmed == plain
    assert warmed["environ"]["A_SETTING"] == "of the caller"
    assert (warmed["cwd"], warmed["lib"], warmed["session"]) == (str(tmp_path), True, True)
    assert not {warm.ADDRESS, warm.ENGINE} & set(warmed["environ"])


@pytest.mark.usefixtures("server")
def test_each_kernel_draws_its_own_random_numbers(tmp_path: Path) -> None:
    source = (
        "import random, uuid, numpy, scipy.stats\n"
        "print(random.random(), numpy.random.random(), scipy.stats.norm.rvs(), uuid.uuid4())"
    )
    first, second = (executed(source, folder=tmp_path)[-1].split() for _ in range(2))
    assert len(set(first) | set(second)) == 8


@pytest.mark.usefixtures("server")
def test_a_warm_kernel_imports_the_library_from_the_disk_of_now(tmp_path: Path) -> None:
    source = "import sys; sys.path.insert(0, '.'); import ours; print(ours.answer)"
    for answer in (41, 42):
        (tmp_path / "ours.py").write_text(f"answer = {answer} + 0 * {'1' * answer}\n", encoding="utf-8")
        assert executed(source, folder=tmp_path)[-1] == f"{answer}\n"


@pytest.mark.usefixtures("server")
def test_a_warm_kernel_does_what_kernels_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads, subprocesses, output of compiled code, a figure by the inline backend, and settings of the folder."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, ipykernel leaves compiled code's output alone
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 7\n", encoding="utf-8")
    job = job_of(
        tmp_path,
        "import os, subprocess, threading; import numpy as np; import matplotlib, matplotlib.pyplot as plt",
        "print(subprocess.run(['echo', 'below'], capture_output=True, text=True).stdout, end='')",
        "x = []; t = threading.Thread(target=lambda: x.append(np.linalg.inv(np.eye(99)).trace())); t.start(); t.join()",
        "print(x[0], matplotlib.rcParams['lines.linewidth'])",
        "import time; _ = os.write(1, b'from below\\n'); time.sleep(0.3)",
        "plt.plot([1, 2]);",
    )
    made = run.execute(job, run.quiet)
    outputs = [c.outputs for c in made.cells if c.cell_type == "code"][-5:]
    assert outputs[0][0].text == "below\n"
    assert outputs[2][0].text == "99.0 7.0\n"
    assert outputs[3][0].text == "from below\n"
    assert any("image/png" in o.get("data", {}) for o in outputs[4])


# ---------------------------------------------------------------- nothing stays


def test_a_kernel_goes_with_its_client(server: str) -> None:
    kernel = start_kernel(server)
    assert runs(kernel.pid)
    assert kernel.poll() is None
    kernel._socket.close()
    assert soon(lambda: not runs(kernel.pid))


def test_a_kernel_tells_how_it_ended(server: str) -> None:
    kernel = start_kernel(server)
    kernel.send_signal(signal.SIGKILL)
    assert kernel.wait(5) == -signal.SIGKILL
    assert not runs(kernel.pid)
    kernel.send_signal(signal.SIGKILL)  # nobody is hit: the number may be somebody else's by now


def test_a_signal_that_crosses_with_the_news_of_the_end_starts_no_kernel(server: str) -> None:
    kernel = start_kernel(server)
    os.kill(kernel.pid, signal.SIGKILL)
    assert soon(lambda: not runs(kernel.pid))
    kernel._socket.sendall(b'{"signal": 9}\n')  # the news is on its way, and we have not read it
    time.sleep(0.3)
    assert kernel._line() == {"exit": -signal.SIGKILL}
    with pytest.raises(BlockingIOError):
        kernel._line()
    kernel._socket.close()


def test_a_kernel_holds_no_file_of_another_client(server: str) -> None:
    """Else who reads from the other's pipe would wait until this kernel ends, too."""
    read, write = os.pipe()
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(server)
        socket.send_fds(other, [b"{"], [write, write])
        time.sleep(0.3)
        kernel = start_kernel(server)
        os.close(write)
    assert select.select([read], [], [], 5)[0]
    assert os.read(read, 1) == b""
    assert kernel.poll() is None
    kernel._socket.close()
    os.close(read)


def test_stopping_the_server_ends_kernels_and_folder() -> None:
    with warm.Server(["ipykernel.kernelapp"]) as own:
        kernel = start_kernel(own.address)
        assert own.alive
    assert soon(lambda: not runs(kernel.pid))
    assert kernel.poll() == -signal.SIGKILL
    assert not own.folder.exists()
    own.stop()


def test_killing_the_server_kills_its_kernels_and_the_next_one_starts_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warm.Server(["ipykernel.kernelapp"]) as own:
        monkeypatch.setenv(warm.ADDRESS, own.address)
        kernel = start_kernel(own.address)
        own.process.kill()
        assert soon(lambda: not runs(kernel.pid))
        assert kernel.poll() == -signal.SIGKILL
        with pytest.raises(warm.Unavailable):
            start_kernel(own.address)
        assert executed("print(6 * 7)", folder=tmp_path)[-1] == "42\n"


def test_a_killed_owner_takes_everything_with_it() -> None:
    script = (
        "import os, signal\nfrom wattshift.report import warm\n"
        "own = warm.Server(['ipykernel.kernelapp'])\n"
        "kernel = warm.Kernel(own.address, [], '/', dict(os.environ), [2, 2])\n"
        "print(own.process.pid, kernel.pid, own.folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    process, kernel, folder = done.stdout.split()
    assert done.returncode == -signal.SIGKILL
    assert soon(lambda: not runs(int(process)) and not runs(int(kernel)) and not Path(folder).exists())


def test_what_a_killed_process_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "place", lambda: tmp_path)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    names = [f"ws-{gone.pid}-abc", f"ws-{gone.pid}-new", f"ws-{os.getpid()}-abc", "ws-notes-abc", "other"]
    for name in names:
        (tmp_path / name).mkdir()
        if not name.endswith("new"):
            os.utime(tmp_path / name, (1, 1))
    folders.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


@pytest.mark.parametrize("cell", ["import os; os._exit(3)", "import os; os.kill(os.getpid(), 9)"])
@pytest.mark.usefixtures("server")
def test_a_warm_kernel_that_dies_is_a_failure(cell: str, tmp_path: Path) -> None:
    outcome = run.run(job_of(tmp_path, "1", cell, "2"))
    assert outcome.status == "failed"
    assert 'small, cell 5 ("Title") failed: the kernel died.' in outcome.message


# ---------------------------------------------------------------- the doors


def test_papermill_finds_the_engine_and_pays_nothing_for_it() -> None:
    script = (
        "import sys, papermill; from papermill.engines import papermill_engines as e; "
        "print(e.get_engine('warm').__name__, [m for m in sys.modules if m.startswith('wattshift')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = "['wattshift', 'wattshift.report', 'wattshift.report.warm_engine']"
    assert done.stdout.strip() == f"WarmEngine {loaded}"


def test_papermill_with_the_warm_engine_works_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(warm.ADDRESS, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    job = job_of(tmp_path, "import os, sys; print(os.getppid(), 'pandas' in sys.modules, seed)")
    line = [sys.executable, "-m", "papermill", "--engine", "warm", "--no-progress-bar", "-p", "seed", "7"]
    done = subprocess.run(
        [*line, str(job.notebook), str(tmp_path / "out.ipynb")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    parent, imported, seed = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs[0].text.split()
    assert (imported, seed) == ("True", "7")
    assert soon(lambda: not runs(int(parent)))  # the server ends with papermill
    assert not list(tmp_path.glob("ws-*"))


@pytest.mark.usefixtures("server")
def test_jupyter_clients_can_use_the_provisioner(monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.kernelspec import get_kernel_spec
    from jupyter_client.provisioning.factory import KernelProvisionerFactory as Factory

    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "wattshift-warm")
    made: Any = Factory().create_provisioner_instance("id", get_kernel_spec("python3"), None)
    made.connection_info = {"transport": "tcp"}
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "/nowhere/c.json"]

    async def live() -> tuple[int, int | None]:
        await made.launch_kernel(command, cwd="/", env={**os.environ})
        assert made.has_process
        assert await made.poll() is None
        await made.kill()
        return made.pid, await made.wait()

    pid, code = asyncio.run(live())
    assert code == -signal.SIGKILL
    assert not made.has_process
    assert not runs(pid)


def test_kernels_start_plainly_where_there_is_no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(warm.ADDRESS, raising=False)
    for name, value in (("platform", "darwin"), ("platform", "win32")):
        with monkeypatch.context() as patch:
            patch.setattr(warm.sys, name, value)
            assert not warm.available()
            assert warm.shared() is None
            with warm.running() as address:
                assert address is None
    monkeypatch.setenv(warm.ENGINE, "plain")
    assert warm.shared() is None


def test_a_server_that_cannot_start_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(warm.ADDRESS, raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(warm.sys, "executable", "/nowhere/python")
        with warm.running() as address:
            assert address is None
    (tmp_path / "numpy.py").write_text("raise SystemExit('broken')", encoding="utf-8")  # it starts, and gives up
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with warm.running() as address:
        assert address
        monkeypatch.delenv("PYTHONPATH")
        assert executed("print(6 * 7)", folder=tmp_path, name="small")[-1] == "42\n"
