"""A report whose makings have not changed is left as it is, and any change that could reach the page is noticed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from wattshift import data, parameters
from wattshift.report import batch, cache, workers
from wattshift.report.run import Job, Outcome

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTSHIFT_REVISION", "0123456789ab")
    monkeypatch.setenv("WATTSHIFT_CLEAN", "1")
    cache.forget()


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small tables of ours in a folder of their own."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("halvings", "sources"):
        for ending in ("csv", "yml"):
            shutil.copy(ROOT / "data" / f"{name}.{ending}", folder)
    monkeypatch.setenv("WATTSHIFT_DATA", str(folder))
    return folder


def notebook(folder: Path, name: str, *sources: str, prose: str = "# Title\n\nquestion") -> Path:
    cells = [
        new_markdown_cell(prose),
        new_code_cell("from wattshift.units import Seed"),
        new_code_cell("seed: Seed = 1  # of the draws", metadata={"tags": ["parameters"]}),
        *(new_code_cell(source) for source in sources),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


def job_of(path: Path, **changed: object) -> Job:
    return Job(
        **{"notebook": path, "name": path.stem, "contract": parameters.read(path), "out": path.parent / "out"} | changed
    )  # type: ignore[arg-type]


@pytest.fixture
def made(tmp_path: Path, tables: Path) -> Job:
    """A job whose report is in place, as if it had been run: its notebook reads the halvings and shows a picture."""
    (tmp_path / "dot.png").write_bytes(b"\x89PNG")
    job = job_of(notebook(tmp_path, "small", "1 + 1", prose="# T\n\nq\n\n![a dot](dot.png)"))
    job.out.mkdir()
    ended = ended_well(job, pretend(job), read(tables, "halvings.csv", "halvings.yml"))
    cache.keep(job, cache.makings(job), ended, [0.0, 1.0])
    assert why(job) == ""
    return job


def pretend(job: Job) -> tuple[Path, ...]:
    files = cache.files(job)
    for file in files:
        file.write_text('{"revision": "0123456789ab", "clean": true}', encoding="utf-8")
    return files


def ended_well(job: Job, files: tuple[Path, ...], read: Mapping[str, str] | None = None) -> Outcome:
    return Outcome(job, "done", files=files, read=read or {}, sums={file.name: data.sha256(file) for file in files})


def read(folder: Path, *names: str) -> dict[str, str]:
    return {name: data.sha256(folder / name) for name in names}


def why(job: Job) -> str:
    cache.forget()
    return cache.changed(job, cache.makings(job), cache.read(job))


# ---------------------------------------------------------------- what counts


def edit_cell(job: Job, change: Callable[[nbformat.NotebookNode], None]) -> None:
    node = nbformat.read(job.notebook, as_version=4)
    change(node)
    nbformat.write(node, job.notebook)


def test_what_does_not_reach_the_page_changes_nothing(made: Job, tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def show_outputs(node: nbformat.NotebookNode) -> None:  # what JupyterLab saves after a run
        node.cells[-1].outputs = [nbformat.v4.new_output("stream", text="2")]
        node.cells[-1].execution_count = 7

    edit_cell(made, show_outputs)
    assert why(made) == ""
    (tables / "sources.csv").write_text("not read by it", encoding="utf-8")
    os.utime(made.notebook)
    monkeypatch.setenv("HOME", "/elsewhere")
    assert why(made) == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda node: node.cells[-1].update(source="1 + 2"), "the notebook changed"),
        (lambda node: node.cells[0].update(source="# Another\n\nq"), "the notebook changed"),
        (lambda node: node.cells[-1].metadata.update(tags=["solution"]), "the notebook changed"),
        (lambda node: node.cells.pop(), "the notebook changed"),
        (lambda node: node.metadata.kernelspec.update(name="other"), "the notebook changed"),
    ],
    ids=["code", "prose", "tag", "cell", "kernel"],
)
def test_cells_count(made: Job, change: Callable[[nbformat.NotebookNode], None], says: str) -> None:
    edit_cell(made, change)
    assert why(made) == says


def test_parameters_edition_and_title_count(made: Job) -> None:
    assert why(job_of(made.notebook, given={"seed": 2})) == "other parameters"
    assert why(job_of(made.notebook, title="Another")) == "other parameters"
    assert why(job_of(made.notebook, edition="teaching")) == "not made yet"  # it has files of its own
    assert why(job_of(made.notebook, formats=("pdf", "html"))) == "small.html was not made yet"
    assert why(job_of(made.notebook, formats=())) == ""


def test_tables_and_pictures_count(made: Job, tables: Path) -> None:
    card = tables / "halvings.yml"
    card.write_text(card.read_text(encoding="utf-8") + "# a remark\n", encoding="utf-8")
    assert why(made) == "halvings.yml changed"
    (tables / "halvings.csv").unlink()
    assert why(made) == "halvings.csv is gone"
    (made.notebook.parent / "dot.png").write_bytes(b"\x89PNG another")
    assert why(made) == "a picture changed"


@pytest.mark.parametrize("part", ["library", "fonts", "packages"])
def test_library_fonts_and_packages_count(
    made: Job, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if part == "library":
        monkeypatch.setattr(cache, "LIBRARY", tmp_path / "lib")
        (tmp_path / "lib" / "report").mkdir(parents=True)
        (tmp_path / "lib" / "report" / "template.typ").write_text("x", encoding="utf-8")
    elif part == "fonts":
        for name in ("fontpkg_ibm_plex_sans_arabic", "matplotlib"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").touch()
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        for name in ("fontpkg_ibm_plex_sans_arabic", "matplotlib"):
            monkeypatch.delitem(sys.modules, name, raising=False)
    else:
        (tmp_path / "pandas-99.0.dist-info").mkdir()
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert why(made) == cache.WORDS[part]


def test_settings_that_reach_the_page_count(made: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1231006505")
    assert why(made) == "a setting of the environment changed"


def test_files_deleted_or_edited_by_hand_are_noticed(made: Job) -> None:
    pdf = made.out / "small.pdf"
    whole = pdf.read_bytes()
    pdf.write_bytes(whole + b" ")
    assert why(made) == "small.pdf was edited"
    pdf.unlink()
    assert why(made) == "small.pdf is gone"
    pdf.write_bytes(whole)
    assert why(made) == ""


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"form": 1}', b'{"form": 0}', b'{"form": 1, "odd": 2}'])
def test_a_broken_record_is_no_record(made: Job, body: bytes) -> None:
    (made.out / cache.FOLDER / "small.json").write_bytes(body)
    assert why(made) == "not made yet"


def test_a_record_that_cannot_be_written_harms_nothing(made: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(made.out / cache.FOLDER)
    (made.out / cache.FOLDER).write_text("in the way", encoding="utf-8")
    cache.keep(made, cache.makings(made), ended_well(made, pretend(made)), [])
    assert why(made) == "not made yet"
    (made.out / cache.FOLDER).unlink()

    def full(*_: object) -> Path:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(cache, "write", full)
    cache.keep(made, cache.makings(made), ended_well(made, pretend(made)), [])
    assert list((made.out / cache.FOLDER).iterdir()) == []


# ---------------------------------------------------------------- the revision on the last page


def test_a_report_stays_while_the_revision_it_names_leads_here(
    made: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "ROOT", tmp_path / "clone")
    (tmp_path / "clone").mkdir()
    monkeypatch.setattr(cache, "_library", lambda: "the same")
    cache._library.cache_clear = lambda: None  # type: ignore[attr-defined]
    for name in ("WATTSHIFT_REVISION", "WATTSHIFT_CLEAN"):
        monkeypatch.delenv(name)

    def git(*words: str) -> str:
        start = ["git", "-C", str(tmp_path / "clone"), "-c", "user.name=n", "-c", "user.email=e@example.org"]
        return subprocess.run([*start, *words], capture_output=True, text=True, check=True).stdout.strip()

    def commit(text: str, *more: str) -> str:
        (tmp_path / "clone" / "README.md").write_text(text, encoding="utf-8")
        git("add", "-A")
        git("commit", "-qm", text, *more)
        return git("rev-parse", "--short=12", "HEAD")

    def keep(revision: str, clean: bool) -> None:
        for file in cache.files(made):
            file.write_text(json.dumps({"revision": revision, "clean": clean}), encoding="utf-8")
        cache.keep(made, cache.makings(made), ended_well(made, cache.files(made)), [])

    keep("unknown", False)
    assert why(made) == ""  # no repository: nobody can tell
    git("init", "-q")
    revision = commit("one")
    keep(revision, True)
    commit("two")
    assert why(made) == ""  # what it names still gives this report
    commit("three, in place of two", "--amend")
    assert why(made) == ""
    keep(commit("four"), True)
    commit("five, in place of four", "--amend")
    assert why(made) == "the revision it names is not in the history"
    (tmp_path / "clone" / "README.md").write_text("being written", encoding="utf-8")
    keep(revision, False)
    assert why(made) == ""
    commit("six")
    assert why(made) == "the changes in it are committed now"


# ---------------------------------------------------------------- from the command


LOADS = "from wattshift import data\nprint(len(data.load('{}')))"


def test_a_changed_table_renders_only_what_read_it(
    tmp_path: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    jobs = [
        job_of(notebook(tmp_path, "a", LOADS.format("halvings")), out=out),
        job_of(notebook(tmp_path, "b", LOADS.format("sources")), out=out),
    ]

    def states() -> dict[str, str]:
        stamps = {job.stem: (out / f"{job.stem}.pdf").stat().st_mtime_ns for job in jobs if out.exists()}
        assert batch.render_many(jobs) == 0
        said = capsys.readouterr()
        assert len(said.out.splitlines()) == 6
        for job in jobs:
            unchanged = f"{job.stem}: unchanged" in said.err.splitlines()
            assert unchanged == (stamps.get(job.stem) == (out / f"{job.stem}.pdf").stat().st_mtime_ns)
        return {job.stem: "unchanged" if f"{job.stem}: unchanged" in said.err else "made" for job in jobs}

    assert states() == {"a": "made", "b": "made"}
    record = cache.read(jobs[0])
    assert record
    assert record.read == read(tables, "halvings.csv", "halvings.yml")
    assert record.seconds > 0
    assert states() == {"a": "unchanged", "b": "unchanged"}
    card = tables / "halvings.yml"
    card.write_text(card.read_text(encoding="utf-8") + "# a remark\n", encoding="utf-8")
    assert states() == {"a": "made", "b": "unchanged"}
    table = tables / "sources.csv"
    table.write_text(table.read_text(encoding="utf-8") + "cut off", encoding="utf-8")
    before = (out / "b.pdf").read_bytes()
    assert batch.render_many(jobs) == 2  # a damaged table is refused, and the last good report stays
    assert "sources.csv" in capsys.readouterr().err
    assert (out / "b.pdf").read_bytes() == before


def test_force_renders_all_and_one_at_a_time_if_wanted(made: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def work(jobs: list[Job], at_once: int, hear: Callable[[int, Outcome], None]) -> None:
        seen.append((len(jobs), at_once))
        for number, job in enumerate(jobs):
            hear(number, Outcome(job, "failed", "stopped here"))

    monkeypatch.setattr(workers, "work", work)
    assert batch.render_many([made]) == 0
    assert seen == []
    assert batch.render_many([made], force=True, at_once=3) == 1
    assert seen == [(1, 3)]
    assert why(made) == ""  # a run that failed leaves the record of the last good one


def test_nothing_to_do_takes_under_a_second(made: Job) -> None:
    """The command itself, with twenty-four reports in place: no numpy, no pandas, no kernel.

    Counted in seconds of the processor, git's too: on a machine that others use the clock tells of the others.
    """
    twins = []
    for number in range(24):
        twin = job_of(shutil.copy(made.notebook, made.notebook.with_name(f"twin{number}.ipynb")))
        ended = ended_well(twin, pretend(twin), dict(cache.read(made).read))  # type: ignore[union-attr]
        cache.keep(twin, cache.makings(twin), ended, [])
        twins.append(str(twin.notebook))
    script = (
        "import os, sys; from wattshift import cli; code = cli.run(sys.argv[1:]); "
        "print(code, sum(os.times()[:4]), sorted({'numpy', 'pandas', 'papermill', 'typst'} & {*sys.modules}))"
    )
    line = [sys.executable, "-c", script, "render", *twins, "--out", str(made.out)]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    code, seconds, heavy = done.stdout.splitlines()[-1].split(maxsplit=2)
    assert (code, heavy) == ("0", "[]")
    assert done.stderr.count(": unchanged\n") == 24
    assert float(seconds) < 1
