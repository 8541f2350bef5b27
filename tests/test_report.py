"""Reports: what each edition holds, that nothing from data acts as markup, and that no good report is ever lost."""

import base64
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import typst as compiler
from matplotlib import image as pictures
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from wattshift import parameters
from wattshift.report import batch, document, exporter, html, prose, run, typst
from wattshift.report.run import Job

SPOKEN = Path(__file__).parent / "notebooks" / "spoken.ipynb"
MARGIN = (595.3 - 475.2) / 2  # points left and right of the text on A4
EVIL = [
    '#include "x"',
    "$5 and $6",
    "<b>bold</b>",
    "_under_ *star* ~~gone~~",
    "back\\slash \\n",
    "`tick` ``` fence",
    "@ref <label>",
    "] ) } #[",
    "\"double\" 'single'",
    "line\nbreak",
    "🙂 中文 \u200b \x00 \x1b[31mred",
    "// not a comment /* nor this */",
    "= heading\n== other",
    "&amp; <!-- --> <script>alert(1)</script>",
    "W" * 300,
]


# ---------------------------------------------------------------- helpers


def shown(data: Mapping[str, Any], **about: Any) -> Any:
    """One display output with our metadata."""
    return new_output("display_data", data=dict(data), metadata={"wattshift": about} if about else {})


def cell(*outputs: Any, source: str = "pass", tags: Sequence[str] = ()) -> Any:
    return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def table(
    rows: Sequence[Sequence[str]],
    columns: Sequence[Mapping[str, str]] | None = None,
    *,
    label: str = "t",
    caption: str = "A table.",
) -> Any:
    columns = (
        columns
        if columns is not None
        else [{"name": f"c{k}", "unit": "", "align": "left"} for k in range(len(rows[0]))]
    )
    body = {"label": label, "number": 1, "caption": caption, "columns": columns, "rows": rows, "source": "nobody"}
    return cell(shown({document.TABLE: body, "text/html": "<p>html</p>"}, kind="table"))


SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="475.2pt" height="100pt"><rect width="9" height="9" id="a"/></svg>'


def figure(label: str = "line", caption: str = "A *line*.", alt: str = "A falling line", svg: str = SVG) -> Any:
    about = {"kind": "figure", "label": label, "number": 1, "caption": caption, "alt": alt, "source": "nobody"}
    return cell(shown({"image/svg+xml": svg}, **about))


def read(*cells: Any, edition: document.Edition = "report") -> document.Document:
    return document.read(new_notebook(cells=list(cells)), edition=edition, name="made")


def pages(made: document.Document, ppi: float = 72) -> list[Any]:
    """The pages as arrays of grey, 1 = white; a pixel is a point at 72 ppi."""
    return [page.mean(axis=2) for page in colours(made, ppi)]


def colours(made: document.Document, ppi: float = 72) -> Any:
    """The pages as one array: page, row, column, red green and blue, 1 = white."""
    source, files = typst.source_of(made)
    with tempfile.TemporaryDirectory() as folder:
        for name, body in {**files, "main.typ": source.encode()}.items():
            Path(folder, name).write_bytes(body)
        fonts = [Path(f) for f in typst.font_folders()]
        out: Any = compiler.compile(
            Path(folder, "main.typ"),
            root=Path(folder),
            font_paths=fonts,
            ignore_system_fonts=True,
            format="png",
            ppi=ppi,
        )
    images = out if isinstance(out, list) else [out]
    return np.stack([pictures.imread(io.BytesIO(page), format="png")[..., :3] for page in images])


def ink_columns(page: Any) -> tuple[int, int]:
    """First and last column with ink between running head and footer."""
    dark = np.flatnonzero((page[75:770] < 0.97).any(axis=0))
    return int(dark[0]), int(dark[-1])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module", autouse=True)
def fixed_revision() -> Iterator[None]:
    """The revision that reports show, whatever happens in the working tree meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WATTSHIFT_REVISION", "0123456789ab")
        patch.setenv("WATTSHIFT_CLEAN", "1")
        yield


@pytest.fixture(scope="module")
def spoken(place: Path) -> tuple[Job, run.Outcome, list[tuple[int, int, str]]]:
    """The fixture notebook, run once with a changed parameter into a folder that is not there yet."""
    contract = parameters.read(SPOKEN)
    given = contract.injection({"power_price": "0.07"})
    job = Job(SPOKEN, "spoken", contract, given, formats=("pdf", "html"), out=place / "deep" / "build")
    steps: list[tuple[int, int, str]] = []
    return job, run.run(job, lambda done, total, section: steps.append((done, total, section))), steps


@pytest.fixture(scope="module")
def executed(spoken: Any) -> Any:
    return nbformat.read(spoken[0].out / "spoken.ipynb", as_version=4)


# ---------------------------------------------------------------- a whole run


def test_a_run_leaves_a_whole_report_and_nothing_else(spoken: Any) -> None:
    job, outcome, _ = spoken
    assert (outcome.status, outcome.message) == ("done", "")
    names = sorted(path.name for path in job.out.iterdir())
    assert names == ["spoken.html", "spoken.ipynb", "spoken.pdf", "spoken.results.json"]
    body = (job.out / "spoken.pdf").read_bytes()
    assert body.startswith(b"%PDF-")
    assert b"pdfuaid:part" in body  # the file says that it is PDF/UA
    assert b"FontFile" in body or b"/ObjStm" in body


def test_results_are_recorded_with_inputs(spoken: Any) -> None:
    job, *_ = spoken
    found = json.loads((job.out / "spoken.results.json").read_text(encoding="utf-8"))
    assert [r["name"] for r in found["results"]] == ["alone", "halving_height", "price_now"]
    assert {r["name"]: (r["value"], r["unit"]) for r in found["results"]}["halving_height"] == (840_000, "blocks")
    assert found["parameters"] == {"as_of": "2026-06-01", "halving": 4, "power_price": 0.07, "seed": 840_000}
    card = Path("data/halvings.yml").read_text(encoding="utf-8") if Path("data/halvings.yml").exists() else ""
    assert re.fullmatch("[0-9a-f]{64}", found["data"]["halvings"])
    assert not card or found["data"]["halvings"] in card
    assert found["title"] == "Who survives a halving?"


def test_a_second_run_gives_the_same_bytes(spoken: Any, place: Path) -> None:
    job, *_ = spoken
    again = Job(job.notebook, job.name, job.contract, job.given, formats=job.formats, out=place / "again")
    assert run.run(again).status == "done"
    for name in ("spoken.pdf", "spoken.html", "spoken.results.json", "spoken.ipynb"):
        assert (job.out / name).read_bytes() == (again.out / name).read_bytes(), name


def test_progress_names_the_sections_in_order(spoken: Any) -> None:
    sections = list(dict.fromkeys(section for *_, section in spoken[2]))
    assert sections == ["Who survives a halving?", "The clock", "متى يأتي التنصيف", "Exercises", "typesetting"]


def test_the_notebook_keeps_no_clock_and_no_place(executed: Any, spoken: Any) -> None:
    text = (spoken[0].out / "spoken.ipynb").read_text(encoding="utf-8")
    assert "papermill" not in executed.metadata
    assert not any({"papermill", "execution"} & set(c.metadata) for c in executed.cells)
    assert str(SPOKEN.parent) not in text


# ---------------------------------------------------------------- editions


def test_front_page_holds_title_question_tiles_and_changed_parameters(executed: Any) -> None:
    made = document.read(executed, edition="report", name="spoken")
    assert made.question == "At what price does mining clear?"
    assert [(t["value"], t["unit"]) for t in made.tiles] == [("840,000", "blocks"), ("0.07", "USD/kWh")]
    changed = {p["name"]: (p["value"], p["default"]) for p in made.parameters if p["changed"]}
    assert changed == {"power_price": ("0.07", "0.05")}
    assert made.as_of == "2026-06-01"


def test_report_edition_hides_code_and_exercises(executed: Any) -> None:
    source, _ = typst.source_of(document.read(executed, edition="report", name="spoken"))
    page = html.page(document.read(executed, edition="report", name="spoken"))
    everything = source + _json(executed, "report") + page
    assert "SECRET_NAME" not in everything
    assert "Turn" not in source
    assert "# Solution" not in everything


def test_teaching_edition_shows_code_and_exercises_without_solutions(executed: Any) -> None:
    source, _ = typst.source_of(document.read(executed, edition="teaching", name="spoken"))
    content = _json(executed, "teaching")
    assert "SECRET_NAME" in content
    assert "Turn `halving` to 3" in source
    assert "# Solution" not in content


def _json(notebook: Any, edition: document.Edition) -> str:
    return typst.source_of(document.read(notebook, edition=edition, name="x"))[1]["document.json"].decode()


def test_provenance_is_the_last_page(executed: Any) -> None:
    made = document.read(executed, edition="report", name="spoken")
    last = typst.pieces_of(made)[-1].slot
    assert last is not None
    assert last["kind"] == "provenance"
    (halvings,) = last["tables"]
    assert ["Covers", "2012 to 2024; 4 rows; read 2026-11-21"] in halvings["facts"]
    without = document.read(_without(executed, document.PROVENANCE), edition="report", name="spoken")
    assert len(pages(made, 20)) == len(pages(without, 20)) + 1


def _without(notebook: Any, mime: str) -> Any:
    cells = [c for c in notebook.cells if not any(mime in o.get("data", {}) for o in c.get("outputs", []))]
    return new_notebook(cells=cells, metadata=notebook.metadata)


def test_a_heading_before_the_provenance_cell_moves_to_its_page() -> None:
    cells = [new_markdown_cell("# T\n\nq"), new_markdown_cell("## Sources"), cell(shown({document.PROVENANCE: {}}))]
    kinds = [(p.slot or {}).get("kind", p.markdown) for p in typst.pieces_of(read(*cells))]
    assert kinds == ["front", "page", "## Sources", "provenance"]


@pytest.mark.parametrize("edition", ["report", "teaching"])
def test_front_cells_are_read_first_and_bring_no_code(edition: document.Edition) -> None:
    """A hand-written order: introduction, what was found, then the story; the last page keeps its heading."""
    cells = [
        new_markdown_cell("# T\n\nq\n\nintroduction"),
        cell(source="first = 1"),
        new_markdown_cell("## Story"),
        cell(shown({"text/markdown": "told, as [Figure 1](#fig-line) shows"}, kind="say")),
        figure("line"),
        new_markdown_cell("## Found"),
        cell(shown({"text/markdown": "an answer, see [Figure 1](#fig-line)"}, kind="say"), source="found = 2"),
        new_markdown_cell("## Sources"),
        cell(shown({document.PROVENANCE: {}})),
    ]
    for late in (5, 6):
        cells[late].metadata["tags"] = ["front"]
    made = read(*cells, edition=edition)
    prose_only = [block.text for block in made.blocks if block.kind == "prose"]
    assert prose_only == [
        "introduction", "## Found", "an answer, see [Figure 1](#fig-line)",
        "## Story", "told, as [Figure 1](#fig-line) shows", "## Sources",
    ]  # fmt: skip
    assert [block.text for block in made.blocks if block.kind == "code"] == (
        ["first = 1", "pass", "pass"] if edition == "teaching" else []
    )
    assert [piece.markdown for piece in typst.pieces_of(made)][-2:] == ["## Sources", ""]
    page = html.page(made)
    assert page.index("introduction") < page.index("an answer") < page.index("told, as")
    assert typst.pdf(made).startswith(b"%PDF")


@pytest.mark.parametrize("late", [True, False])
def test_a_caution_is_red_and_from_a_front_cell_stands_on_page_one(late: bool) -> None:
    """A warning that has to be seen: above contents and story, and the only red on the page."""

    def said(words: str, *tags: str) -> Any:
        made = cell(shown({"text/markdown": words}, kind="say"))
        made.metadata["tags"] = list(tags)
        return made

    heads = [new_markdown_cell(f"## Part {k}\n\nstory {k}\n\n{'word ' * 400}") for k in range(4)]
    caution = [said("> [!CAUTION]\n> The **gate** is off.", "front")] * late
    made = read(new_markdown_cell("# T\n\nq\n\nintroduction"), *heads, *caution, said("found", "front"))
    page = html.page(made)
    assert ("The <strong>gate</strong> is off." in page.split("Contents")[0]) == late
    assert page.index("introduction") < page.index("found") < page.index("story 0")
    paper = colours(made)
    red = (paper[..., 0] - paper[..., 1:].max(axis=-1) > 0.3).any(axis=(1, 2))  # of each page
    assert red.tolist() == [late, *[False] * (len(paper) - 1)]


def test_a_notebook_without_front_cells_keeps_its_order() -> None:
    cells = [new_markdown_cell("# T\n\nq\n\na"), new_markdown_cell("b"), new_markdown_cell("c")]
    assert [block.text for block in read(*cells).blocks] == ["a", "b", "c"]
    cells[0] = new_markdown_cell("# T\n\nq")  # no introduction: what was found comes at once
    cells[2].metadata["tags"] = ["front"]
    assert [block.text for block in read(*cells).blocks] == ["c", "b"]


def test_page_one_says_what_may_not_be_passed_on() -> None:
    """The words stand before the story, in the PDF and on the page; a report of free tables has none."""
    free = {"name": "halvings", "redistribution": "yes", "licence": "facts"}
    held = {"name": "network", "redistribution": "non-commercial", "licence": "CC BY-NC 4.0 (stated by X)"}
    unsaid = {"name": "rigs_<b>", "redistribution": "unknown", "licence": "none stated"}
    line = "Passing on: non-commercial only for network (CC BY-NC 4.0); terms unknown for rigs_<b>. See the last page."
    for tables, wanted in (([free, unsaid, held], line), ([free], "")):
        made = read(new_markdown_cell("# T\n\nq\n\nstory"), cell(shown({document.PROVENANCE: {"tables": tables}})))
        assert json.loads(typst.source_of(made)[1]["document.json"])["terms"] == wanted
        page = html.page(made)
        assert ("Passing on:" in page.split("story")[0]) == bool(wanted)
        assert "rigs_<b>" not in page
        assert len(pages(made, 20)) == 2  # the front with the story, and the last page


def test_a_table_of_unheard_terms_counts_as_unknown() -> None:
    said = document.terms({"tables": [{"name": "a", "redistribution": "ask me"}, {"name": "b"}]})
    assert said == "Passing on: terms unknown for a, b. See the last page."
    assert document.terms(None) == ""


# ---------------------------------------------------------------- cross references


def test_references_follow_the_numbers_of_the_edition() -> None:
    cells = [
        new_markdown_cell(
            "# T\n\nq\n\nSee [Figure 2](#fig-b), [Equation 9](#eq-e), [the end](#The-end), [lost](#none)."
        ),
        figure("a"),
        new_markdown_cell("$$ a = b $$ {#eq-e}\n\n## The end\n\nwords"),
        figure("b"),
    ]
    cells[1].metadata["tags"] = ["exercise"]
    for edition, number in (("report", 1), ("teaching", 2)):
        source, _ = typst.source_of(read(*cells, edition=edition))
        assert f'#link(label("fig-b"))[Figure {number}]' in source
        assert '#link(label("eq-e"))[Equation 1]' in source
        assert '#link(label("sec-the-end"))[the end]' in source
        assert "lost" in source
        assert "#none" not in source
        assert typst.pdf(read(*cells, edition=edition)).startswith(b"%PDF")
        page = html.page(read(*cells, edition=edition))
        assert f'href="#fig-b">Figure {number}</a>' in page
        assert f"<b>Figure {number}.</b>" in page


def test_one_label_shown_twice_points_to_the_first() -> None:
    made = read(new_markdown_cell("# T\n\nq\n\n[Figure 1](#fig-a)"), figure("a"), figure("a"))
    assert [b.data.get("anchor") for b in made.blocks if b.kind == "figure"] == ["fig-a", ""]
    assert typst.pdf(made)


def test_footnotes_of_two_cells_do_not_meet() -> None:
    made = read(new_markdown_cell("# T\n\nq\n\none[^1]\n\n[^1]: first"), new_markdown_cell("two[^1]\n\n[^1]: second"))
    source, _ = typst.source_of(made)
    assert "one#footnote[first]" in source
    assert "two#footnote[second]" in source


# ---------------------------------------------------------------- nothing from data acts


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_data_never_acts_as_markup(evil: str) -> None:
    about = {"kind": "figure", "label": "f", "caption": "plain", "alt": evil, "source": evil}
    tile = {"name": "n", "value": 1, "unit": evil, "label": evil, "headline": True, "text": evil}
    origin = {"tables": [{"name": evil, "title": evil, "licence": evil}], "revision": evil, "packages": {evil: evil}}
    made = document.read(
        new_notebook(
            cells=[
                new_markdown_cell("# T\n\nq"),
                cell(shown({document.RESULT: tile}, kind="record")),
                table([[evil, evil]], [{"name": evil, "unit": evil, "align": a} for a in ("left", "right")]),
                cell(shown({"image/svg+xml": SVG}, **about)),
                cell(new_output("stream", name="stdout", text=evil)),
                cell(new_output("error", ename="E", evalue=evil, traceback=[])),
                cell(shown({document.PROVENANCE: origin}, kind="provenance")),
            ]
        ),
        edition="report",
        name=evil,
        parameters=[{"name": evil, "value": evil, "unit": evil, "meaning": evil, "default": "0"}],
    )
    source, files = typst.source_of(made)
    token = evil.strip()[:6]
    assert len(token) < 6 or token not in source  # what cells show is data: the Typst source never holds it
    content = json.loads(files["document.json"])
    assert content["tiles"][0]["label"] == document.clean(evil)
    assert typst.pdf(made).startswith(b"%PDF")
    page = html.page(made)
    assert "<script" not in page
    assert "<b>bold" not in page


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_unescaped_prose_cannot_reach_typst(evil: str) -> None:
    said = cell(shown({"text/markdown": f"A site called {evil} here."}, kind="say"))
    made = read(
        new_markdown_cell(f"# {evil}\n\n{evil}"), said, figure(caption=f"Caption {evil}"), new_markdown_cell("end")
    )
    assert typst.pdf(made).startswith(b"%PDF")
    assert "<script" not in html.page(made)


def test_raw_typst_in_markdown_is_only_text() -> None:
    made = read(new_markdown_cell("# T\n\nq\n\n```{=typst}\n#panic()\n```\n\n`#panic()`{=typst} #panic() @nobody"))
    assert typst.pdf(made).startswith(b"%PDF")


@pytest.mark.parametrize(
    "opens", ["```python\nx = 1", "<!-- never closed", "<script>", "~~~~\nx", "> ```\n> x", "<pre>"]
)
def test_markdown_left_open_swallows_nothing(opens: str) -> None:
    made = read(new_markdown_cell("# T\n\nq"), new_markdown_cell(opens), figure(), new_markdown_cell("the last words"))
    source, _ = typst.source_of(made)
    assert source.index("#slot(2)[") < source.index("the last words")
    assert 'id="fig-line"' in html.page(made)


def test_a_svg_brings_no_script_into_the_page() -> None:
    bad = SVG.replace("<rect", '<script>alert(1)</script><rect onload="x()"')
    page = html.page(read(new_markdown_cell("# T"), figure(svg=bad)))
    assert "alert(1)" not in page
    assert "onload" not in page


def test_the_page_fetches_nothing(spoken: Any) -> None:
    page = (spoken[0].out / "spoken.html").read_text(encoding="utf-8")
    assert set(re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', page)) == set()
    assert re.findall(r"url\((?!data:|#)", page) == []
    assert "<math" in page


# ---------------------------------------------------------------- tables and figures on paper


def test_wide_tables_stay_inside_the_margins() -> None:
    numbers = [[f"row {r}", *(f"{r * k * 1234.5:,.2f}" for k in range(15))] for r in range(12)]
    columns = [{"name": f"column {k}", "unit": "USD/PH/day", "align": "right" if k else "left"} for k in range(16)]
    wordy = [["W" * 300, "many words " * 30, "1.5"]]
    made = read(
        new_markdown_cell("# T\n\nq"), table(numbers, columns), table(wordy, label="u"), table([["x" * 300] * 16] * 3)
    )
    found = pages(made)
    for page in found:
        first, last = ink_columns(page)
        assert first >= MARGIN - 2
        assert last <= 595.3 - MARGIN + 2
        assert page[805:].min() > 0.97  # nothing runs off the foot of a page


def test_long_contents_stand_in_two_columns() -> None:
    """60 headings: both halves of the list hold ink, nothing leaves the page; 8 stay in one column."""
    for many, columns in ((60, 2), (8, 1)):
        wordy = " of so many words that no column holds it on one line of its own" * (many == 60)
        heads = [new_markdown_cell(f"## Part {k}{wordy if k > 40 else ''}") for k in range(many)]
        made = read(new_markdown_cell("# T\n\nq"), *heads)
        page = pages(made)[0]
        left, right = ink_columns(page)
        assert left >= MARGIN - 1
        assert right <= 595.3 - MARGIN + 1
        names = (page[200:300, :] < 0.8).sum(axis=0)  # dark letters of entries, not their dots
        middle = names[315:430].sum() > 0
        assert middle == (columns == 2)


def test_a_long_value_does_not_run_over_the_name_of_its_parameter() -> None:
    """The row of a long value is higher than that of a short one: the value breaks, the name keeps its place."""
    heights = []
    for value in ("one", "alpha; beta; gamma; delta; epsilon; zeta; eta; theta; iota; k"):
        setting = new_code_cell(f"a_name_of_some_length = {value!r}  # meaning", metadata={"tags": ["parameters"]})
        page = pages(read(new_markdown_cell("# T\n\nq"), setting))[0]
        rows = np.flatnonzero((page[150:600] < 0.7).any(axis=1))
        heights.append(int(rows[-1] - rows[0]))
    assert heights[1] > heights[0] + 5


def test_a_long_table_repeats_its_head() -> None:
    columns = [{"name": "day", "unit": "", "align": "left"}, {"name": "price", "unit": "USD", "align": "right"}]
    made = read(new_markdown_cell("# T\n\nq"), table([[f"day {k}", f"{k}.5"] for k in range(120)], columns))
    found = pages(made)
    assert len(found) == 3
    heads = [page[75:100, 60:200].mean() for page in found[1:]]
    assert heads[0] == pytest.approx(heads[1], abs=0.02)  # the same head stands at the top of pages 2 and 3


def test_numbers_align_at_the_decimal_point() -> None:
    columns = [{"name": "v", "unit": "", "align": "right"}]
    page = pages(read(new_markdown_cell("# T\n\nq"), table([["111"], ["1.1111"]], columns, caption="")), 144)[0]
    body = page[2 * 75 :, :]
    rows = np.flatnonzero((body < 0.6).sum(axis=1) > 0)
    lines = np.split(rows, np.flatnonzero(np.diff(rows) > 3) + 1)
    ends = [int(np.flatnonzero((body[line] < 0.6).any(axis=0))[-1]) for line in lines if len(line) > 6]
    assert ends[-1] - ends[-2] > 15  # "111" ends well before ".1111" does


def test_arabic_is_set_from_the_right() -> None:
    columns = [{"name": "الموقع", "unit": "", "align": "left"}, {"name": "القدرة", "unit": "MW", "align": "right"}]
    made = read(
        new_markdown_cell("# T\n\nq\n\n## الهاش\n\nينخفض الدخل."),
        table([["تكساس", "100"], ["عمان", "20.5"]], columns, caption="المواقع."),
        figure(caption="سعر الهاش.", svg=SVG),
    )
    source, files = typst.source_of(made)
    assert source.count("#right-to-left[") == 2
    slots = [s for s in json.loads(files["document.json"])["slots"] if s]
    assert [s["rtl"] for s in slots if s["kind"] in ("table", "figure")] == [True, True]
    only = pages(read(new_markdown_cell("# \u200e\n\nينخفض الدخل.\n\n## الهاش\n\nينخفض الدخل.")))[0]
    only = np.vstack([np.ones_like(only[:150]), only[150:]])  # without the line above the title
    assert ink_columns(only)[0] > 250  # short Arabic lines stand at the right margin
    page = html.page(made)
    assert page.count('dir="rtl"') >= 4


def test_figures_fit_the_page_and_keep_their_alt_text() -> None:
    tall = SVG.replace('height="100pt"', 'height="2000pt"')
    made = read(new_markdown_cell("# T\n\nq"), figure(svg=tall, alt='He said "no" \\ #x'))
    assert len(pages(made, 20)) <= 2
    assert typst.image_width(tall.encode(), "svg") == pytest.approx(475.2 * 590 / 2000, abs=0.01)
    assert typst.image_width(b"<svg>", "svg") is None
    slot = next(
        s for s in json.loads(typst.source_of(made)[1]["document.json"])["slots"] if s and s["kind"] == "figure"
    )
    assert slot["alt"] == 'He said "no" \\ #x'


def test_png_and_attached_pictures_are_shown() -> None:
    buffer = io.BytesIO()
    pictures.imsave(buffer, np.zeros((4, 8)), format="png")
    png = base64.b64encode(buffer.getvalue()).decode()
    attached = new_markdown_cell(
        "# T\n\nq\n\n![a dot](attachment:dot.png)", attachments={"dot.png": {"image/png": png}}
    )
    made = read(attached, cell(shown({"image/png": png, "text/plain": "<Figure size 1x1 with 1 Axes>"})))
    source, files = typst.source_of(made)
    assert sum(name.endswith(".png") for name in files) == 2
    assert '"a dot"' in source
    assert typst.pdf(made)
    assert html.page(made).count("data:image/png") == 2


# ---------------------------------------------------------------- notebooks that are not ours


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [new_markdown_cell("words without a heading")],
        [new_markdown_cell("# One\n\n### Deep\n\n# Two"), new_markdown_cell("###### deepest\n\n# Three")],
        [new_markdown_cell("$\\nosuchcommand{x}$ and $$\\begin{aligned}a&=b\\\\c&=d\\end{aligned}$$")],
        [cell(shown({"text/latex": "$\\displaystyle \\frac{x}{2}$", "text/plain": "x/2"}))],
        [cell(shown({"text/html": "<b>hi</b>", "text/plain": "hi"}))],
        [table([], columns=[])],
        [cell(shown({document.TABLE: {"columns": [{"name": "a"}], "rows": [[], ["1", "2"]]}}))],
        [cell(shown({"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Box()"}), tags=["controls"])],
    ],
    ids=range(9),
)
def test_any_notebook_becomes_a_document(cells: list[Any]) -> None:
    for edition in ("report", "teaching"):
        made = read(*cells, edition=edition)
        assert typst.pdf(made).startswith(b"%PDF")
        assert html.page(made).startswith("<!doctype html>")


def test_a_pandas_table_keeps_its_head_and_drops_the_clock() -> None:
    frame = (
        "<table><thead><tr><th></th><th colspan=2>a</th></tr><tr><th></th><th>x</th><th>y</th></tr></thead>"
        "<tbody><tr><th rowspan=2>k</th><td>1</td><td>p&lt;q</td></tr><tr><td>2.5</td><td>r</td></tr></tbody></table>"
    )
    (made,) = document.tables_of_html(frame)
    assert [c["name"] for c in made["columns"]] == ["", "a x", "a y"]
    assert [c["align"] for c in made["columns"]] == ["left", "right", "left"]
    assert made["rows"] == [["k", "1", "p<q"], ["", "2.5", "r"]]
    summary = '<table class="simpletable"><tr><th>Date:</th><td>Sat</td><th>AIC:</th><td>1</td></tr></table>'
    assert document.tables_of_html(summary)[0]["rows"] == [["", "", "AIC:", "1"]]


def test_nbconvert_finds_the_exporter(tmp_path: Path) -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# Plain\n\nwords $x^2$"), cell(source="answer = 42")])
    nbformat.write(notebook, tmp_path / "plain.ipynb")
    line = [sys.executable, "-m", "nbconvert", "--to", "typst-pdf", "plain.ipynb"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plain.pdf").read_bytes().startswith(b"%PDF")


def test_the_exporter_shows_code_of_plain_notebooks_and_hides_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[document.Document] = []
    monkeypatch.setattr(typst, "pdf", lambda made: seen.append(made) or b"%PDF")
    for notebook in (new_notebook(cells=[cell()]), new_notebook(cells=[figure()])):
        exporter.TypstPDFExporter().from_notebook_node(notebook)
    exporter.TypstPDFExporter(edition="teaching").from_notebook_node(new_notebook(cells=[figure()]))
    assert [made.edition for made in seen] == ["teaching", "report", "teaching"]


def test_the_file_says_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    day = cell(source="as_of = '2026-06-01'", tags=["parameters"])
    assert typst.timestamp_of(read(day)) == 1_780_272_000  # 2026-06-01 00:00 UTC
    assert typst.timestamp_of(read()) == 946_684_800  # 2000-01-01
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1231006505")
    assert typst.timestamp_of(read(day)) == 1_231_006_505


def test_one_pandoc_call_per_format(executed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real: Callable[..., str] = prose._pandoc
    monkeypatch.setattr(prose, "_pandoc", lambda text, known, to: calls.append(to) or real(text, known, to))
    made = document.read(executed, edition="teaching", name="spoken")
    typst.source_of(made)
    html.page(made)
    assert calls == ["typst", "html"]


# ---------------------------------------------------------------- faults


def job_of(folder: Path, *sources: str, name: str = "faulty", out: Path | None = None) -> Job:
    """A small notebook under one heading, whose parameters cell needs no heavy import."""
    cells = [
        new_markdown_cell("# Title\n\nquestion"),
        new_code_cell("from wattshift.units import Seed"),
        new_code_cell("seed: Seed = 1  # of the draws", metadata={"tags": ["parameters"]}),
        new_markdown_cell("## The *broken* part"),
        *(new_code_cell(source) for source in sources),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return Job(path, name, parameters.read(path), {"seed": 2}, out=out or folder / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_failing_cell_leaves_the_last_good_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = job_of(tmp_path, "x = 1", "raise ValueError('no\\nprice')")
    job.out.mkdir()
    for ending in ("pdf", "html", "results.json", "ipynb"):
        (job.out / f"faulty.{ending}").write_bytes(b"the last good one")
    before = contents(job.out)
    assert batch.render_many([job]) == 1
    said = capsys.readouterr()
    assert 'faulty, cell 6 ("The broken part") failed: ValueError: no price' in said.err
    partial = job.out / "failed" / "faulty.ipynb"
    assert str(partial) in said.err
    assert said.out == ""
    assert {name: body for name, body in contents(job.out).items() if not name.startswith("failed")} == before
    node = nbformat.read(partial, as_version=4)
    assert [c.execution_count for c in node.cells if c.cell_type == "code"][-2:] == [4, 5]
    assert sorted(p.name for p in job.out.iterdir() if p.is_dir()) == ["failed"]  # no temporary folder stays


def test_a_refusal_in_the_kernel_is_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = job_of(
        tmp_path, "from wattshift.refusal import Refusal", "raise Refusal('The window holds no day: give a later end.')"
    )
    assert batch.render_many([job]) == 2
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == "The window holds no day: give a later end."
    assert contents(job.out) == {}


def test_a_kernel_that_dies_is_a_failure(tmp_path: Path) -> None:
    outcome = run.run(job_of(tmp_path, "import os; os._exit(7)"))
    assert outcome.status == "failed"
    assert 'faulty, cell 5 ("The broken part") failed: the kernel died.' in outcome.message
    assert outcome.partial is not None
    assert outcome.partial.is_file()


def test_a_cell_that_leaves_is_no_whole_report(tmp_path: Path) -> None:
    outcome = run.run(job_of(tmp_path, "raise SystemExit", "1"))
    assert outcome.status == "failed"
    assert 'faulty, cell 5 ("The broken part") failed: it left the notebook' in outcome.message


@pytest.mark.parametrize("kernel", ['{"name": "conda-env-x", "display_name": "x", "language": "python"}', None])
def test_a_notebook_saved_for_the_kernel_of_another_machine_runs_on_ours(tmp_path: Path, kernel: str | None) -> None:
    job = job_of(tmp_path, "1")
    node = json.loads(job.notebook.read_text(encoding="utf-8"))
    node["metadata"] = {"kernelspec": json.loads(kernel)} if kernel else {}
    job.notebook.write_text(json.dumps(node), encoding="utf-8")
    outcome = run.run(job)
    assert outcome.status == "done", outcome.message


def test_a_report_that_cannot_be_set_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(tmp_path, "1")
    monkeypatch.setattr(run, "execute", lambda job, _: nbformat.read(job.notebook, as_version=4))
    monkeypatch.setattr(typst, "pdf", _broken)
    outcome = run.run(job)
    assert outcome.status == "failed"
    assert "could not be set: unknown variable" in outcome.message
    assert [path.name for path in job.out.iterdir()] == ["failed"]


def _broken(_: document.Document) -> bytes:
    return typst.compiled("#nonsense", {}, 0)


@pytest.mark.parametrize("under", ["", "below", "far/below"])
def test_an_output_folder_that_is_a_file_is_refused_before_the_kernel(
    tmp_path: Path, under: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    job = job_of(tmp_path, "1", out=tmp_path / "taken" / under)
    monkeypatch.setattr(run, "execute", lambda *_: pytest.fail("a kernel was started"))
    outcome = run.run(job)
    assert outcome.status == "refused"
    assert "it is a file, or lies under one" in outcome.message
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "execute", lambda *_: pytest.fail("a kernel was started"))
    outcome = run.run(job_of(tmp_path, "1", out=Path("/proc/wattshift")))
    assert outcome.status == "refused"
    assert "cannot be written" in outcome.message


def test_nothing_moves_before_everything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(tmp_path, "1")
    job.out.mkdir()
    (job.out / "faulty.results.json").write_bytes(b"the last good one")
    monkeypatch.setattr(run, "execute", lambda job, _: nbformat.read(job.notebook, as_version=4))
    real = run.write

    def full(path: Path, body: bytes) -> Path:
        if path.suffix == ".pdf":
            raise OSError(28, os.strerror(28))
        return real(path, body)

    monkeypatch.setattr(run, "write", full)
    outcome = run.run(job)
    assert outcome.status == "failed"
    assert outcome.message.splitlines()[0] == "faulty: No space left on device"
    assert sorted(contents(job.out)) == ["failed/faulty.ipynb", "faulty.results.json"]
    assert contents(job.out)["faulty.results.json"] == b"the last good one"


def test_bad_parameters_are_refused_before_the_folder_is_made(tmp_path: Path) -> None:
    job = job_of(tmp_path, "1")
    bad = Job(job.notebook, job.name, job.contract, {"sed": 3}, out=job.out)
    outcome = run.run(bad)
    assert outcome.status == "refused"
    assert "sed is not a parameter" in outcome.message
    assert not job.out.exists()


@pytest.mark.parametrize(
    ("statuses", "code"),
    [(["done"], 0), (["done", "refused"], 2), (["refused", "failed"], 1), (["failed", "done"], 1), ([], 0)],
)
def test_exit_code_of_a_batch(statuses: list[run.Status], code: int, spoken: Any) -> None:
    assert batch.exit_code([run.Outcome(spoken[0], status) for status in statuses]) == code


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("x = 1\nshow.say(\n    f'{x}'\n)\ny = 2", "x = 1\ny = 2"),
        ("if x:\n    show.say('a')\nelse:\n    show.record('b', 1, '')", ""),
        ("if x:\n    y = 2\n    show.say('a')", "if x:\n    y = 2\n    show.say('a')"),
        ("x = 1; show.say('a')", "x = 1; show.say('a')"),
        (
            "# why\nfig, ax = draw.figure()\nshow.caption('a', 'b', alt='c', source='d')",
            "# why\nfig, ax = draw.figure()",
        ),
        ("%matplotlib inline\nshow.say('a')", "%matplotlib inline\nshow.say('a')"),
        ("showing.say('a')\nshow", "showing.say('a')\nshow"),
    ],
)
def test_the_teaching_edition_leaves_out_code_that_only_speaks(source, left):
    assert document.without_voice(source) == left
