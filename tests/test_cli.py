"""The command: what it lists, what it refuses, with which exit code, and what is left when it is stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wattshift import cli, data
from wattshift.refusal import Refusal

ROOT = Path(__file__).resolve().parents[1]
CELL = """\
price: UsdPerKwh = 0.05  # what the site pays
start: Day = '2024-01-01'  # first day
end: Day = '2024-12-31'  # last day
"""
PROSE = "# Who *survives*?\n\nAt what [price](x) does\nmining `clear`?\n\nAbout 2 to 3 minutes to run."


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two notebooks, the working folder below it."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "wattshift"\n', encoding="utf-8")
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    write(tmp_path, "01_halving_impact", PROSE, CELL)
    write(tmp_path, "02_equity", "no heading here", "price: UsdPerKwh = 0.06")
    monkeypatch.chdir(tmp_path / "notebooks" / "deep")
    return tmp_path


def write(project: Path, name: str, prose: str, cell: str, tags: tuple[str, ...] = ("parameters",)) -> Path:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": prose.splitlines(keepends=True)},
        {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": cell, "outputs": [], "execution_count": None},
    ]
    path = project / "notebooks" / f"{name}.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}), encoding="utf-8")
    return path


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The jobs that reach the renderer, which is replaced by a list; its exit code is 1."""

    @dataclass(frozen=True)
    class Job:
        notebook: Path
        name: str
        contract: Any
        given: dict[str, Any]
        edition: str
        formats: tuple[str, ...]
        out: Path
        title: str | None = None

    jobs: list[Any] = []
    batch: Any = types.ModuleType("wattshift.report.batch")
    batch.Job, batch.render_many = Job, lambda given: jobs.extend(given) or 1
    monkeypatch.setitem(sys.modules, "wattshift.report.batch", batch)
    return jobs


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


# ---------------------------------------------------------------- list and show


@pytest.mark.usefixtures("project")
def test_list_shows_title_question_minutes_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "list")
    lines = [line.split("  ") for line in out.splitlines()]
    words = [[part.strip() for part in line if part.strip()] for line in lines]
    assert (code, err) == (0, "")
    assert ["01_halving_impact", "Who *survives*?", "At what price does mining clear?", "2 to 3", "3"] in words
    assert ["02_equity", "no heading here", "1"] in words


def test_list_shows_a_faulty_notebook_and_says_so(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "03_none", "# Three", "x = 1", ())
    (project / "notebooks" / "04_cut.ipynb").write_text("{", encoding="utf-8")
    code, out, err = run(capsys, "list")
    assert code == 2
    assert "03_none has no parameters cell" in err
    assert "04_cut.ipynb is not a Jupyter notebook" in err
    assert "Three" in out
    assert "01_halving_impact" in out


@pytest.mark.parametrize(
    "name", ["01", "01_halving_impact", "01_halving_impact.ipynb", "notebooks/01_halving_impact.ipynb"]
)
@pytest.mark.usefixtures("project")
def test_show_finds_a_notebook_by_file_name_or_beginning(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", name)
    assert (code, err) == (0, "")
    price = next(line for line in out.splitlines() if line.strip().startswith("price"))
    assert price.split() == ["price", "0.05", "USD/kWh", "0", "to", "10", "what", "the", "site", "pays"]
    assert "wattshift render 01_halving_impact -p price=0.05" in out


@pytest.mark.parametrize(
    ("says", "minutes"), [("about half a minute", "0.5"), ("1 minute", "1"), ("2–3 minutes", "2–3"), ("a moment", "")]
)
def test_minutes_are_read_off_the_first_cell(says: str, minutes: str) -> None:
    cell = {"cell_type": "markdown", "metadata": {}, "source": f"# A\n\nB?\n\n*Time to run:* {says}."}
    assert cli.opening({"cells": [cell]}).minutes == minutes


def test_show_takes_a_path_from_the_working_folder(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "notebooks")
    assert cli.find_notebook("02_equity.ipynb", project) == project / "notebooks" / "02_equity.ipynb"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(project / "notebooks" / "02_equity.ipynb", elsewhere / "mine.ipynb")
    assert cli.find_notebook(str(elsewhere / "mine.ipynb"), project) == elsewhere / "mine.ipynb"


def test_the_project_is_found_from_below_else_where_wattshift_lies(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert cli.project_root() == project
    assert cli.project_root(tmp_path_factory.mktemp("far")) == ROOT


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "01_halvin_impct"), "the nearest is 01_halving_impact"),
        (("show", "0"), "'0' could be 01_halving_impact or 02_equity: give the whole name."),
        (("show", "zzz\n"), r"There is no notebook 'zzz\u000a': there are 01_halving_impact, 02_equity."),
        (("show", "x" * 5_000), "There is no notebook 'xxx"),
        (("show",), "Missing argument"),
        (("shw", "01"), "No such command 'shw'"),
        (("show", "01", "--loud"), "No such option: --loud"),
        (("render", "01", "-p", "price=5%"), "price cannot be '5%' (a percent sign"),
        (("render", "01", "-p", "price=-1"), "price cannot be '-1': give a number from 0 to 10 USD/kWh"),
        (("render", "01", "-p", "pric=1"), "pric is not a parameter of 01_halving_impact: the nearest is price"),
        (("render", "01", "-p", "price"), "'price' is not a parameter: write name=value, for example price=0.05."),
        (("render", "01", "-p", "start=2025-01-01"), "start cannot be 2025-01-01 when end is 2024-12-31"),
        (("render", "01", "--edition", "draft"), "--edition cannot be 'draft': give report or teaching"),
        (("render", "01", "--format", "pdf,docx"), "--format cannot be 'docx': give pdf or html"),
        (("render", "01", "--out", "../../pyproject.toml"), "'pyproject.toml' is a file"),
        (("render", "01", "--out", "../../pyproject.toml/below"), "'pyproject.toml' is a file"),
        (("render", "01", "--run", "none.yml"), "none.yml is not there"),
        (("render", "01", "-p"), "Option '-p' requires an argument"),
        (("render", "-p", "end=2024-06-01"), "end is not a parameter of 02_equity"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_cannot_be_done_is_refused_before_anything_starts(
    arguments: tuple[str, ...], says: str, rendered: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out, rendered) == (2, "", [])
    assert says in err
    assert err.count("\n") == 1  # one sentence, no frame around it, no traceback
    assert "Traceback" not in err


def test_faults_of_all_notebooks_come_at_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "03_none", "# Three", "x = 1", ())
    code, _, err = run(capsys, "render", "-p", "price=5%", "-p", "strt=2024-02-01")
    assert code == 2
    assert [line.split(":")[0] for line in err.splitlines()] == [
        "01_halving_impact",
        "strt is not a parameter of 01_halving_impact",
        "02_equity",
        "strt is not a parameter of 02_equity",
        "03_none has no parameters cell",
    ]


# ---------------------------------------------------------------- render


def test_render_hands_over_checked_jobs_and_the_exit_code(project: Path, rendered: list[Any]) -> None:
    assert cli.run(["render", "01", "-p", "price=٠٫٠٦", "--edition", "teaching", "--format", "html,pdf,html"]) == 1
    (job,) = rendered
    assert (job.notebook, job.name) == (
        project / "notebooks" / "01_halving_impact.ipynb",
        "01_halving_impact-price-0.06",  # a scenario never writes over the report as it stands
    )
    assert (job.given, job.edition, job.formats) == ({"price": 0.06}, "teaching", ("html", "pdf"))
    assert (job.out, job.title) == (project / "reports" / "build", None)
    assert not job.out.exists()


@pytest.mark.usefixtures("project")
def test_render_without_names_takes_all_notebooks_once(rendered: list[Any]) -> None:
    cli.run(["render"])
    assert [(job.name, job.edition, job.formats) for job in rendered] == [
        ("01_halving_impact", "report", ("pdf",)),
        ("02_equity", "report", ("pdf",)),
    ]
    rendered.clear()
    cli.run(["render", "02", "02_equity"])
    assert [job.name for job in rendered] == ["02_equity"]


def test_render_without_names_takes_the_run_files_too(project: Path, rendered: list[Any]) -> None:
    (project / "reports" / "runs").mkdir(parents=True)
    (project / "reports" / "runs" / "dear.yml").write_text("notebook: 01_halving_impact\nparameters: {price: 0.09}\n")
    cli.run(["render"])
    assert [(job.name, job.given) for job in rendered] == [
        ("01_halving_impact", {}),
        ("02_equity", {}),
        ("dear", {"price": 0.09}),
    ]


def test_names_of_scenarios_tell_what_changed_or_are_a_short_hash() -> None:
    assert cli.scenario("01", {}) == "01"
    assert cli.scenario("01", {"title": "../../x y"}) == "01-title-..-..-x-y"
    long, other = (cli.scenario("01", {"rig": "A" * 90 + end}) for end in "12")
    assert len(long) == len(other) == len("01-") + 8
    assert long != other


def test_a_run_file_is_a_job_and_the_command_line_goes_before_it(
    project: Path, rendered: list[Any], capsys: Any
) -> None:
    path = project / "dear.yml"
    path.write_text(
        "notebook: 01_halving_impact\nparameters: {price: 0.10, start: 2024-02-01}\n"
        "edition: teaching\nformats: [html]\ntitle: T\n",
        encoding="utf-8",
    )
    cli.run(["render", "--run", str(path)])
    cli.run(
        ["render", "--run", str(path), "-p", "price=0.2", "--edition", "report", "--format", "pdf", "--out", "here"]
    )
    first, second = rendered
    assert (first.name, first.given, first.edition) == ("dear", {"price": 0.1, "start": "2024-02-01"}, "teaching")
    assert (first.formats, first.title) == (("html",), "T")
    assert second.given == {"price": 0.2, "start": "2024-02-01"}
    assert (second.edition, second.formats, second.out) == ("report", ("pdf",), Path.cwd() / "here")
    code, _, err = run(capsys, "render", "--run", str(path), "--run", str(path))
    assert code == 2
    assert err.startswith("Two reports would be called dear")


def test_a_refusal_from_the_renderer_is_a_refusal(
    project: Path, rendered: list[Any], monkeypatch: Any, capsys: Any
) -> None:
    def refuse(_: object) -> int:
        raise Refusal("The folder is full.")

    monkeypatch.setattr(sys.modules["wattshift.report.batch"], "render_many", refuse)
    assert run(capsys, "render", "01") == (2, "", "The folder is full.\n")
    assert (rendered, project.exists()) == ([], True)


def test_stopping_by_hand_is_said_in_a_word(project: Path, rendered: list[Any], monkeypatch: Any, capsys: Any) -> None:
    def stop(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["wattshift.report.batch"], "render_many", stop)
    assert run(capsys, "render", "01") == (130, "", "Stopped.\n")
    assert (rendered, project.exists()) == ([], True)


def test_a_folder_that_keeps_us_out_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "access", lambda place, _: Path(place) != tmp_path / "locked")  # root may write anywhere
    assert cli.writable(tmp_path / "open" / "below") == tmp_path / "open" / "below"
    with pytest.raises(Refusal, match="it cannot be written to"):
        cli.writable(tmp_path / "locked" / "below")


# ---------------------------------------------------------------- data


def test_data_lists_every_table_and_finds_it_whole(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "data")
    assert (code, err) == (0, "")
    names = sorted(path.stem for path in (ROOT / "data").glob("*.csv"))
    rows = {line.split()[0]: line for line in out.splitlines() if line.endswith("whole")}
    assert sorted(rows) == names
    assert "Coin Metrics" in rows["btc_network_daily"]
    assert f" {data.card('btc_network_daily').range} " in rows["btc_network_daily"]
    assert "CC BY-NC 4.0" in rows["btc_network_daily"]
    assert f" {data.card('btc_network_daily').date_read} " in rows["btc_network_daily"]


def test_data_names_every_damaged_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("halvings", "difficulty_retargets", "sources"):
        for suffix in (".csv", ".yml"):
            shutil.copy(ROOT / "data" / f"{name}{suffix}", tmp_path)
    table = tmp_path / "halvings.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("840000", "840001"), encoding="utf-8")
    (tmp_path / "difficulty_retargets.yml").unlink()
    monkeypatch.setenv("WATTSHIFT_DATA", str(tmp_path))
    code, out, err = run(capsys, "data")
    assert code == 2
    assert [line.split()[-1] for line in out.splitlines()[2:]] == ["damaged", "damaged", "whole"]
    assert "halvings.csv" in err
    assert err.endswith("Damaged: difficulty_retargets, halvings.\n")
    monkeypatch.setenv("WATTSHIFT_DATA", str(tmp_path / "nowhere"))
    code, out, err = run(capsys, "data")
    assert (code, out, err.count("\n")) == (2, "", 1)


# ---------------------------------------------------------------- the process around it


def command(*arguments: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    start = [sys.executable, "-c", "from wattshift.cli import main; main()", *arguments]
    return subprocess.run(start, capture_output=True, timeout=60, check=False, **settings)


def test_help_is_plain_and_loads_nothing_heavy() -> None:
    script = (
        "import sys; from wattshift import cli; code = cli.run([]); print(code, sorted({*sys.modules} & {*sys.argv}))"
    )
    heavy = ["pandas", "numpy", "papermill", "nbformat", "matplotlib", "typst", "pydantic", "yaml"]
    done = subprocess.run(
        [sys.executable, "-c", script, *heavy], capture_output=True, timeout=60, check=True, text=True
    )
    assert done.stdout.startswith("Usage: wattshift")
    assert all(name in done.stdout for name in ("list", "show", "data", "render"))
    assert done.stdout.splitlines()[-1] == "0 []"


def test_refusals_survive_a_terminal_without_arabic_letters(project: Path) -> None:
    done = command("render", "01", "-p", "price=خمسة", cwd=project, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"price cannot be '\\u062e")
    assert done.stderr.count(b"\n") == 1


def test_a_reader_who_leaves_early_is_no_error(project: Path) -> None:
    start = [sys.executable, "-c", "from wattshift.cli import main; main()", "list"]
    with subprocess.Popen(start, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_run_that_is_stopped_leaves_the_last_report_and_no_kernel(project: Path, name: str) -> None:
    """The cell tells its process, then waits for minutes; the signal goes to the command alone, as `kill` does it."""
    told, temporary, out = project / "pid.txt", project / "temporary", project / "out"
    write(project, "03_slow", "# Slow", "price: UsdPerKwh = 0.05")
    path = project / "notebooks" / "03_slow.ipynb"
    node = json.loads(path.read_text(encoding="utf-8"))
    node["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    node["cells"].insert(1, {**node["cells"][1], "metadata": {}, "source": "from wattshift.units import UsdPerKwh"})
    waiting = f"import os, time\nopen({str(told)!r}, 'w').write(str(os.getpid()))\ntime.sleep(300)"
    node["cells"].append({**node["cells"][1], "source": waiting})
    path.write_text(json.dumps(node), encoding="utf-8")
    temporary.mkdir()
    out.mkdir()
    (out / "03_slow.pdf").write_bytes(b"the last good one")
    start = [sys.executable, "-c", "from wattshift.cli import main; main()", "render", "03", "--out", str(out)]
    settings: dict[str, Any] = {"cwd": project, "env": {**os.environ, "TMPDIR": str(temporary)}}
    with subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings) as process:
        until = time.monotonic() + 60
        while not (told.exists() and told.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        said, warned = process.communicate(timeout=60)
    assert (process.returncode, said) == (cli.STOPPED, b"")
    assert warned.decode().splitlines()[-1] == "Stopped."
    assert b"Traceback" not in warned
    assert files_of(out) == {"03_slow.pdf": b"the last good one"}
    assert list(out.iterdir()) == [out / "03_slow.pdf"]
    assert [each for each in temporary.iterdir() if each.is_dir()] == []
    until = time.monotonic() + 10  # killed already; the system may take a moment to forget it
    while runs(int(told.read_text())) and time.monotonic() < until:
        time.sleep(0.05)
    assert not runs(int(told.read_text()))
