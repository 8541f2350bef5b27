"""Every notebook, run from its first cell to its last: as it stands, as a run file changes it, and by plain papermill.

A notebook is tested by being in notebooks/; its other scenario is the first file of reports/runs/ that changes a
parameter. What is checked holds for any notebook: nothing here knows what a report says.
"""

import ast
import contextlib
import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from wattshift import data, parameters
from wattshift.parameters import Contract
from wattshift.report import document

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RUNS = {
    path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "reports/runs").glob("*.yml"))
}
PATIENCE = 240  # seconds that the runs of one notebook may take before something is wrong


def other(notebook: Path) -> Path:
    """The run file that stands for another scenario of a notebook."""
    found = [path for path, run in RUNS.items() if run["notebook"] == notebook.stem and run.get("parameters")]
    assert found, f"{notebook.stem} needs a file in reports/runs/ that changes parameters"
    return found[0]


@dataclass(frozen=True)
class Shown:
    """One run: the notebook, the files that came of it, and the executed notebook."""

    notebook: Path
    contract: Contract
    folder: Path
    stem: str
    scenario: str
    node: Any

    @property
    def results(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads((self.folder / f"{self.stem}.results.json").read_text(encoding="utf-8"))
        return body

    def outputs(self, kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Metadata and data of all our outputs of one kind, in reading order."""
        return [(o.metadata.wattshift, o.data) for o in ours(self.node) if o.metadata.wattshift["kind"] == kind]


def outputs_of(node: Any) -> Iterator[Any]:
    for cell in node.cells:
        yield from cell.get("outputs", [])


def ours(node: Any) -> Iterator[Any]:
    return (o for o in outputs_of(node) if "wattshift" in o.get("metadata", {}))


def on_the_side(node: Any) -> list[Any]:
    """Errors, warnings, and what was printed; a solution may print its answer."""
    plain = [o for cell in tagged(node, "solution") for o in cell.outputs if o.get("name") == "stdout"]
    return [o for o in outputs_of(node) if o.output_type in ("stream", "error") and o not in plain]


def tagged(node: Any, tag: str) -> list[Any]:
    return [cell for cell in node.cells if tag in (cell.metadata.get("tags") or [])]


def commands(notebook: Path, place: Path) -> dict[str, list[str]]:
    """The three ways in which each notebook is run, by name."""
    render = [sys.executable, "-c", "from wattshift.cli import main; main()", "render", "--format", "pdf,html"]
    return {
        "default": [*render, notebook.stem, "--out", str(place / "default")],
        "other": [*render, "--run", str(other(notebook)), "--out", str(place / "other")],
        "papermill": papermill(notebook, place / "papermill.ipynb", *(f"{k}={v}" for k, v in typed(notebook).items())),
    }


def typed(notebook: Path) -> dict[str, str]:
    """The parameters of the other scenario, as one would type them."""
    run: dict[str, Any] = yaml.load(other(notebook).read_text(encoding="utf-8"), yaml.BaseLoader)
    return {name: f"[{', '.join(v)}]" if isinstance(v, list) else v for name, v in run["parameters"].items()}


def papermill(notebook: Path, out: Path, *pairs: str) -> list[str]:
    """The words of `papermill in.ipynb out.ipynb -p name value …`."""
    start = [sys.executable, "-m", "papermill", "--no-progress-bar", "--no-log-output", "--cwd", str(notebook.parent)]
    return [*start, str(notebook), str(out), *(word for pair in pairs for word in ("-p", *pair.split("=", 1)))]


def run_once(notebook: Path, base: Path) -> Path:
    """The folder with what came of all commands, run side by side: by one worker, while the others wait for it."""
    place = base / f"shown-{notebook.stem}"
    try:
        place.mkdir()
    except FileExistsError:
        until = time.monotonic() + PATIENCE + 10
        while not (place / "ended.json").exists():
            assert time.monotonic() < until, f"{notebook.stem} did not come to an end"
            time.sleep(0.2)
        return place
    started = {}
    for name, words in commands(notebook, place).items():
        with (place / f"{name}.out").open("w") as out, (place / f"{name}.err").open("w") as err:
            started[name] = subprocess.Popen(words, cwd=ROOT, stdout=out, stderr=err)
    codes, until = {}, time.monotonic() + PATIENCE
    try:
        for name, process in started.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            process.kill()
            codes[name] = process.wait()  # that of a kill where it took too long: told, so that nobody waits for it
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    (place / "ended.part").write_text(json.dumps(codes), encoding="utf-8")
    (place / "ended.part").rename(place / "ended.json")
    return place


def succeeded(place: Path, name: str) -> list[str]:
    """The lines that a command printed; fails with what it complained of if it ended badly."""
    code = json.loads((place / "ended.json").read_text(encoding="utf-8"))[name]
    assert code == 0, (place / f"{name}.err").read_text(encoding="utf-8")[-3_000:]
    return (place / f"{name}.out").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A notebook, and the folder with what came of running it."""
    base = tmp_path_factory.getbasetemp()
    return request.param, run_once(request.param, base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="module", params=["default", "other"])
def shown(request: pytest.FixtureRequest, ran: tuple[Path, Path]) -> Shown:
    """A notebook rendered with `wattshift render`: PDF and HTML."""
    notebook, place = ran
    pdf = Path(succeeded(place, request.param)[0])
    assert pdf.suffix == ".pdf"
    assert pdf.read_bytes().startswith(b"%PDF-")
    node = nbformat.read(pdf.with_suffix(".ipynb"), as_version=4)
    return Shown(notebook, parameters.read(notebook), pdf.parent, pdf.stem, request.param, node)


# ---------------------------------------------------------------- as a reader sees it


def test_every_cell_runs_and_says_nothing_on_the_side(shown: Shown) -> None:
    code = [cell for cell in shown.node.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert on_the_side(shown.node) == []
    free = [o for o in outputs_of(shown.node) if o.output_type != "stream" and "wattshift" not in o.metadata]
    controls = [o for cell in tagged(shown.node, "controls") for o in cell.get("outputs", [])]
    assert free == controls  # whatever else is shown went through `show`


def test_figures_and_tables_are_numbered_in_sequence(shown: Shown) -> None:
    figures = [about for about, _ in shown.outputs("figure")]
    tables = [bundle[document.TABLE] for _, bundle in shown.outputs("table")]
    assert figures
    assert tables
    for listed in (figures, tables):
        assert [each["number"] for each in listed] == list(range(1, len(listed) + 1))
        labels = [each["label"] for each in listed]
        assert len(set(labels)) == len(labels)
    pages = tagged(shown.node, "exercise") + tagged(shown.node, "solution") + tagged(shown.node, "controls")
    left_out = [
        o.get("metadata", {}).get("wattshift", {}).get("kind") for cell in pages for o in cell.get("outputs", [])
    ]
    assert not {"figure", "table"} & set(left_out)  # what an edition leaves out takes no number


def test_every_figure_has_words_for_those_who_cannot_see_it(shown: Shown) -> None:
    for about, bundle in shown.outputs("figure"):
        assert len(about["alt"].split()) >= 8, about["label"]
        assert about["alt"] not in about["caption"]
        assert set(about["sources"]) <= set(data.names())
        assert about["source"]
        svg = "".join(bundle["image/svg+xml"])
        assert "<path" in svg
        assert "<image" not in svg or "contour" in about["alt"]  # a picture of dots only for a surface


def test_tables_hold_what_their_heads_promise(shown: Shown) -> None:
    for _, bundle in shown.outputs("table"):
        body = bundle[document.TABLE]
        assert body["rows"], body["label"]
        assert {len(row) for row in body["rows"]} == {len(body["columns"])}
        cells = [cell for row in body["rows"] for cell in row]
        assert not [cell for cell in cells if re.search(r"\b(nan|NaT|None|inf)\b", cell)]


def test_references_point_to_what_is_there(shown: Shown) -> None:
    numbers = {f"fig-{about['label']}": f"Figure {about['number']}" for about, _ in shown.outputs("figure")}
    for _, bundle in shown.outputs("table"):
        numbers[f"tbl-{bundle[document.TABLE]['label']}"] = f"Table {bundle[document.TABLE]['number']}"
    said = ["".join(bundle["text/markdown"]) for _, bundle in shown.outputs("say")]
    said += [cell.source for cell in shown.node.cells if cell.cell_type == "markdown"]
    links = [link for text in said for link in re.findall(r"\[([^\]]+)\]\(#((?:fig|tbl)-[^)]+)\)", text)]
    assert links
    assert [link for link in links if numbers.get(link[1]) != link[0]] == []


@pytest.mark.parametrize(
    "slip",
    [
        r"(?<![\w-])(nan|NaN|NaT|inf|None(?! of\b|\?))(?![\w-])",  # a value that is none
        r"\d\.\d{9,}",  # a number that nobody rounded (a satoshi is the eighth digit)
        r"\d %",  # percent signs stand close
        r"(?<!\.)\.\.(?!\.)|,,| [,;:.](?=\s)|(?<=\S) {2,}\S",  # joints of sentences
        r"\b(a|an|the|of|to|is|in|and) \1\b",
        r"\{\w+[:}]|<[A-Z]\w+",  # a name left in braces, a value that printed as an object
    ],
)
def test_sentences_are_whole(shown: Shown, slip: str) -> None:
    """Computed prose, captions, tables: no slip of the pen that a reader would trip over."""
    said = ["".join(bundle["text/markdown"]) for _, bundle in shown.outputs("say")]
    said += [text for about, _ in shown.outputs("figure") for text in (about["caption"], about["alt"])]
    said += [bundle[document.TABLE]["caption"] for _, bundle in shown.outputs("table")]
    said += [cell.source for cell in shown.node.cells if cell.cell_type == "markdown"]
    said = [re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$|`[^`\n]+`|^ +(?=[-*\d>])", "x", text, flags=re.S | re.M) for text in said]
    slips = [text[max(0, hit.start() - 40) : hit.end() + 40] for text in said for hit in re.finditer(slip, text)]
    assert slips == []


# ---------------------------------------------------------------- as others use it


def test_headline_numbers_fit_the_first_page(shown: Shown) -> None:
    records = [bundle[document.RESULT] for _, bundle in shown.outputs("record")]
    tiles = [record for record in records if record["headline"]]
    assert 4 <= len(tiles) <= 6
    assert all(tile["label"] and tile["text"] for tile in tiles)


def test_results_carry_units_parameters_and_hashes(shown: Shown) -> None:
    results = shown.results
    assert results["results"]
    for record in results["results"]:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", record["name"])
        assert record["unit"], record
        assert record["value"] is not None
        assert not isinstance(record["value"], float) or math.isfinite(record["value"])
    expected = shown.contract.validate(typed(shown.notebook) if shown.scenario == "other" else {})
    assert results["parameters"] == json.loads(json.dumps(expected))
    assert results["data"] == {name: data.sha256(data.folder() / f"{name}.csv") for name in results["data"]}
    assert results["notebook"] == shown.notebook.stem


def test_provenance_comes_last_and_misses_nothing(shown: Shown) -> None:
    last = list(outputs_of(shown.node))[-1]
    assert last.metadata.wattshift["kind"] == "provenance"
    assert shown.node.cells[-1].outputs == [last]
    body = last.data[document.PROVENANCE]
    tables = {table["name"] for table in body["tables"]}
    named = {name for about, _ in shown.outputs("figure") for name in about["sources"]}
    assert named <= tables
    assert tables == set(shown.results["data"])
    assert [entry["name"] for entry in body["parameters"]] == [each.name for each in shown.contract]


def test_solutions_are_run_and_checked(shown: Shown) -> None:
    solutions = tagged(shown.node, "solution")
    assert len(solutions) >= 4
    assert len([cell for cell in tagged(shown.node, "exercise") if cell.source.startswith("### ")]) == len(solutions)
    for cell in solutions:
        assert cell.execution_count
        assert cell.source.startswith("# Solution")
        assert isinstance(ast.parse(cell.source).body[-1], ast.Assert)


class Page(HTMLParser):
    """Ids, inner links and figures of an HTML report."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.unseen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"][1:]] if tag == "a" and given.get("href", "").startswith("#") else []
        if tag == "img" and not given.get("alt"):
            self.unseen.append(given.get("src", "")[:60])


def test_links_of_the_page_lead_somewhere(shown: Shown) -> None:
    page = Page((shown.folder / f"{shown.stem}.html").read_text(encoding="utf-8"))
    assert page.links
    assert [link for link in page.links if link not in page.ids] == []
    assert len(set(page.ids)) == len(page.ids)
    assert page.unseen == []


# ---------------------------------------------------------------- plain papermill, plain words


def test_plain_papermill_finds_the_same_numbers(ran: tuple[Path, Path]) -> None:
    """`papermill in.ipynb out.ipynb -p name value` as a shell hands it over, without our renderer around it."""
    notebook, place = ran
    succeeded(place, "papermill")
    succeeded(place, "other")
    node = nbformat.read(place / "papermill.ipynb", as_version=4)
    assert on_the_side(node) == []
    body = next(o.data[document.PROVENANCE] for o in ours(node) if o.metadata.wattshift["kind"] == "provenance")
    contract = parameters.read(notebook)
    rows = contract.table(contract.validate(typed(notebook)))
    assert {each["name"]: each["text"] for each in body["parameters"]} == {row.name: row.value for row in rows}
    found = [o.data[document.RESULT] for o in ours(node) if o.metadata.wattshift["kind"] == "record"]
    (results,) = (place / "other").glob("*.results.json")
    told = json.loads(results.read_text(encoding="utf-8"))["results"]
    values, others = ({each["name"]: each["value"] for each in some} for some in (found, told))
    assert values.keys() == others.keys()
    for name, value in values.items():  # the last digits of a linear solve depend on how many threads it may use
        assert value == (pytest.approx(others[name], rel=1e-9) if isinstance(value, float) else others[name]), name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_plain_papermill_is_refused_in_the_same_words(path: Path, tmp_path: Path) -> None:
    first = parameters.read(path).parameters[0]
    words = papermill(path, tmp_path / "out.ipynb", f"{first.name}=5%")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode != 0
    assert f"Refusal: {first.name} cannot be '5%'" in done.stderr
    assert f"for example {first.example}." in done.stderr


# ---------------------------------------------------------------- the cells themselves


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_parameter_has_a_meaning_and_is_used(path: Path) -> None:
    """A parameter that nothing reads would be a promise not kept."""
    node = nbformat.read(path, as_version=4)
    code = [cell for cell in node.cells if cell.cell_type == "code" and cell not in tagged(node, "parameters")]
    read = {
        each.id
        for cell in code
        for each in ast.walk(ast.parse(cell.source))
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }
    texts = {
        each.value
        for cell in code
        for each in ast.walk(ast.parse(cell.source))
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }
    contract = parameters.read(path)
    assert [each.name for each in contract if each.name not in read | texts] == []
    assert [each.name for each in contract if not each.meaning] == []
    written = {
        each.id
        for cell in code
        for each in ast.walk(ast.parse(cell.source))
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    }
    assert [each.name for each in contract if each.name in written] == []  # nor is one written over


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_story_has_one_title_and_headings_in_steps(path: Path) -> None:
    """Prose opens the notebook, there is one title, and headings go down by one level at a time."""
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown"
    levels = [
        len(found[1])
        for cell in cells
        if cell.cell_type == "markdown"
        for found in re.finditer(r"^(#{1,6}) ", cell.source, re.MULTILINE)
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
