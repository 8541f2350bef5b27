"""The voice says only what is there: no missing numbers, no markup from data, one number per label, true sources."""

import datetime
import html.parser
import io
import json
import re
import subprocess
import types

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient

from wattshift import data, draw, show
from wattshift.parameters import check
from wattshift.units import Seed, UsdPerKwh

CARD = types.SimpleNamespace(
    title="An invented table",
    producers=("Some & Sons", "Office <b>"),
    citation="Some & Sons, invented.",
    source_urls=("https://example.org/a",),
    date_read=datetime.date(2026, 11, 21),
    range="2020-01-01..2020-12-31",
    licence="CC BY 4.0",
    redistribution="attribution",
    sha256="0" * 64,
    rows=366,
)


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """Everything put out during a test, as (kind, bundle, metadata); a fresh numbering; one invented table, loaded."""
    outputs = []

    def collect(bundle, *, metadata, raw):
        assert raw
        json.dumps([bundle, metadata], allow_nan=False)  # whatever is put out must be valid JSON
        about = dict(metadata["wattshift"])
        outputs.append((about.pop("kind"), bundle, about))

    monkeypatch.setattr(show, "display", collect)
    monkeypatch.setattr(show, "_numbers", {})
    monkeypatch.setattr(show, "_records", {})
    monkeypatch.setattr(data, "card", lambda _: CARD)
    monkeypatch.setattr(data, "loaded", lambda: ["invented"])
    yield outputs
    plt.close("all")


# ---- say, plain ----------------------------------------------------------------------------------------------------


def test_say_puts_markdown(shown):
    show.say("It **fell** by 3 %.")
    assert shown == [("say", {"text/markdown": "It **fell** by 3 %."}, {})]


@pytest.mark.parametrize(
    "text",
    [f"{np.nan:.0%} of days", f"from {np.nan} on", f"{-np.inf:,.0f} USD", f"since {pd.NaT}", f"{pd.NA} rigs",
     f"{np.float64(2)!r} EH/s", f"{[np.float64(2)]}", f"{pd.Timestamp('2020-01-01')!r}",
     "<object object at 0x7fd7a8414b50>", f"{np.nan}USD"],
)  # fmt: skip
def test_say_refuses_what_is_no_number(text, shown):
    with pytest.raises(ValueError, match="a number is missing"):
        show.say(text)
    assert not shown


@pytest.mark.parametrize(
    "text", ["In finance, information on Nancy's infrastructure", "a Nanjing influx", "None of the four", "NaNoWriMo"]
)
def test_say_takes_words_that_look_like_missing_numbers(text, shown):
    show.say(text)
    assert shown[0][1]["text/markdown"] == text


def test_minus_signs_are_true_and_dates_links_and_formulas_are_left_alone(shown):
    show.say("-3.2 % on 2024-04-20, (-1), a -2 to **-5**, S19-95T, $x = -1$, `y -1`, [a](b -7)")
    assert shown[0][1]["text/markdown"] == (
        "−3.2 % on 2024-04-20, (−1), a −2 to **−5**, S19-95T, $x = -1$, `y -1`, [a](b -7)"
    )


SPECIAL = st.text(st.sampled_from("\\`*_{}[]<>#+-.!|&$~^@:()=1a \n\t\"'/w%"), max_size=30)


@given(SPECIAL)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_plain_text_survives_markdown_as_it_is(text):
    """Escapes by CommonMark's rule (a backslash before ASCII punctuation is that character), read back by the rule."""
    escaped = show.plain(text)
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped) == " ".join(text.split())
    active = re.sub(r"\\.", "", escaped)
    assert not set(active) & set("`*_{}[]<>#$~^@|&!:\"'")


@pytest.mark.parametrize(
    "text",
    ['#include "x"', "$5$ & <b>bold</b>", "_a_ **b** `c`", "[x](http://y)", "1. one", "- item", "+ x", "@cite ~s~ ^u^",
     "http://example.org www.example.org", "a | b", "![i](j)", "&amp; &lt;", "{=html}",
     "موقع <script>", "===", "\\alpha"],
)  # fmt: skip
def test_plain_text_comes_out_of_pandoc_as_it_went_in(text):
    """pandoc, which typesets our Markdown, must give back one paragraph holding exactly this text and nothing else."""
    pypandoc = pytest.importorskip("pypandoc")
    for dialect in ("gfm", "markdown"):
        tree = json.loads(pypandoc.convert_text(show.plain(text), "json", format=dialect))
        (block,) = tree["blocks"]
        assert block["t"] in ("Para", "Plain")
        assert {part["t"] for part in block["c"]} <= {"Str", "Space"}
        assert "".join(part.get("c", " ") for part in block["c"]).replace("\xa0", " ") == text


# ---- caption, ref ---------------------------------------------------------------------------------------------------


def a_figure():
    draw.theme()
    _, ax = plt.subplots(figsize=(3, 2))
    ax.plot([0, 1], [1, 2])


def test_a_producer_of_two_tables_read_on_one_day_is_named_once(shown, monkeypatch):
    cards = {
        "prices": types.SimpleNamespace(producers=("Exchange", "Vendor"), date_read=datetime.date(2026, 11, 21)),
        "rates": types.SimpleNamespace(producers=("Vendor", "Office"), date_read=datetime.date(2026, 11, 21)),
        "halvings": types.SimpleNamespace(producers=("Vendor",), date_read=datetime.date(2026, 11, 20)),
    }
    monkeypatch.setattr(data, "card", cards.get)
    monkeypatch.setattr(data, "loaded", lambda: list(cards))
    show.table("t", pd.DataFrame({"x": [1]}), "One.", source=list(cards))
    _, (_, _, about) = shown
    assert about["source"] == "Exchange, Vendor, Office, read 2026-11-21; Vendor, read 2026-11-20"


def test_many_tables_behind_one_figure_are_named_by_themselves(shown, monkeypatch):
    card = types.SimpleNamespace(producers=("A producer with a long name",), date_read=datetime.date(2026, 11, 21))
    monkeypatch.setattr(data, "card", lambda _: card)
    monkeypatch.setattr(data, "loaded", lambda: ["a", "b", "c", "d"])
    show.table("t", pd.DataFrame({"x": [1]}), "One.", source=["a", "b", "c", "d"])
    _, (_, _, about) = shown
    assert about["source"] == "a, b, c, d, read 2026-11-21"


def test_caption_shows_the_figure_once_with_its_words(shown):
    a_figure()
    show.caption("price", "Price, USD, $x$.", alt="A line  that\nrises.", source=["invented", "consensus rules."])
    assert plt.get_fignums() == []
    (kind, bundle, about), (second, words, _) = shown
    assert (kind, second) == ("figure", "caption")
    assert list(bundle) == ["image/svg+xml"]
    assert "<svg" in bundle["image/svg+xml"]
    assert about == {
        "label": "price", "number": 1, "caption": "Price, USD, $x$.", "alt": "A line that rises.",
        "sources": ["invented"], "read": ["2026-11-21"],
        "source": "Some & Sons, Office <b>, read 2026-11-21; consensus rules",
    }  # fmt: skip
    assert words["text/markdown"].startswith('<a id="fig-price"></a>**Figure 1.** Price')
    assert r"Office \<b\>" in words["text/markdown"]


def test_the_same_figure_is_the_same_bytes(shown):
    for label in ("one", "two"):
        a_figure()
        show.caption(label, "A line.", alt="It rises.", source="invented")
    figures = [bundle for kind, bundle, _ in shown if kind == "figure"]
    assert figures[0] == figures[1]


def test_numbers_follow_labels_and_a_second_run_keeps_them(shown):
    for label in ("a", "b", "a"):
        a_figure()
        show.caption(label, "A line.", alt="It rises.", source="invented")
    show.table("c", pd.DataFrame({"x": [1]}), "One.", source="invented")
    assert [about["number"] for kind, _, about in shown if kind == "figure"] == [1, 2, 1]
    assert (show.ref("b"), show.ref("c")) == ("[Figure 2](#fig-b)", "[Table 1](#tbl-c)")


def test_a_reference_forward_is_refused():
    with pytest.raises(ValueError, match="'later' has been shown yet"):
        show.ref("later")


@pytest.mark.parametrize(
    ("text", "alt", "source", "words"),
    [
        ("A line.", "A line.", "invented", "alt text"),
        ("A line.", " ", "invented", "alt text"),
        ("", "It rises.", "invented", "caption"),
        ("A line.", "It rises.", [], "names its source"),
        ("A line.", "It rises.", "elsewhere", "elsewhere is named as a source, but"),
        (f"Mean {np.nan}.", "It rises.", "invented", "a number is missing"),
        ("A line.", f"It rises by {np.inf}.", "invented", "a number is missing"),
    ],
)
def test_captions_that_say_nothing_or_too_much_are_refused(text, alt, source, words, shown):
    a_figure()
    with pytest.raises(ValueError, match=words):
        show.caption("price", text, alt=alt, source=source)
    assert not shown


def test_a_caption_needs_an_open_figure():
    with pytest.raises(ValueError, match="no figure is open"):
        show.caption("price", "A line.", alt="It rises.", source="invented")


@pytest.mark.parametrize("label", ["Price", "a b", "1", "", "a_b"])
def test_labels_are_plain(label):
    a_figure()
    with pytest.raises(ValueError, match="a label is made of"):
        show.caption(label, "A line.", alt="It rises.", source="invented")


def test_a_label_belongs_to_one_thing():
    show.table("x", pd.DataFrame({"x": [1]}), "One.", source="invented")
    a_figure()
    with pytest.raises(ValueError, match="already taken"):
        show.caption("x", "A line.", alt="It rises.", source="invented")


# ---- table ----------------------------------------------------------------------------------------------------------


def test_table_cells_are_typeset(shown):
    frame = pd.DataFrame(
        {
            "site": ["<b>_x_</b>", 'a\n#include "x"', None],
            "share": [0.125, -0.5, np.nan],
            "blocks": [840_000, 1, 2],
            "day": pd.to_datetime(["2024-04-20", None, "2020-05-11"]),
            "alive": [True, False, True],
        }
    )
    show.table(
        "t",
        frame,
        "Sites.",
        source="invented",
        units={"share": "of all"},
        formats={"share": ".1%"},
        names={"site": "Site"},
    )
    (before, words, _), (kind, bundle, about) = shown
    body = bundle[show.TABLE_TYPE]
    assert (before, kind) == ("caption", "table")
    assert words["text/markdown"].startswith('<a id="tbl-t"></a>**Table 1.** Sites. – means')
    assert body["rows"] == [
        ["<b>_x_</b>", "12.5%", "840,000", "2024-04-20", "yes"],
        ['a #include "x"', "−50.0%", "1", "–", "no"],
        ["–", "–", "2", "2020-05-11", "yes"],
    ]
    assert body["columns"][:3] == [
        {"name": "Site", "unit": "", "align": "left"},
        {"name": "share", "unit": "of all", "align": "right"},
        {"name": "blocks", "unit": "", "align": "right"},
    ]
    assert about["caption"] == body["caption"] == "Sites. – means not available."
    assert about["number"] == 1


def test_table_html_holds_the_cells_and_nothing_else(shown):
    """Read back by Python's own HTML parser: cell texts as given, no element that we did not write."""
    frame = pd.DataFrame({"a<i>": ["<script>alert(1)</script>", "&amp;"], "n": [1.5, -2.25]})
    show.table("t", frame, "A & <b>", source="invented", units={"n": "J/TH"}, formats={"n": ".2f"})
    cells, tags = [], set()

    class Reader(html.parser.HTMLParser):
        inside = False

        def handle_starttag(self, tag, attrs):
            tags.add(tag)
            self.inside = tag == "td"
            if tag == "td" and len(cells) % 2:
                assert ("style", "text-align:right") in attrs

        def handle_data(self, text):
            if self.inside:
                cells.append(text)

        def handle_endtag(self, _):
            self.inside = False

    Reader().feed(shown[1][1]["text/html"])
    assert cells == ["<script>alert(1)</script>", "1.50", "&amp;", "−2.25"]
    assert tags == {"table", "thead", "tbody", "tr", "th", "td", "br", "small"}


def test_an_empty_table_still_has_its_head(shown):
    show.table("t", pd.DataFrame({"a": [], "b": []}), "None found.", source="invented")
    assert shown[1][1][show.TABLE_TYPE]["rows"] == []


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (pd.DataFrame({"x": [np.inf]}), {}, "infinite"),
        (pd.DataFrame({"x": [1]}, index=["total"]), {}, "index would be lost"),
        (pd.DataFrame({"x": [1]}), {"units": {"y": "MW"}}, "no column 'y'"),
        (pd.DataFrame(index=[0]), {}, "no columns"),
    ],
)
def test_tables_that_lose_or_hide_something_are_refused(frame, options, words):
    with pytest.raises(ValueError, match=words):
        show.table("t", frame, "T.", source="invented", **options)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
@settings(max_examples=200, derandomize=True)
def test_default_formats_stay_near_the_value_and_never_write_minus_zero(value):
    text = show._typeset(value)
    back = float(text.replace(",", "").replace("−", "-"))
    assert back == pytest.approx(value, rel=0.006, abs=1e-44)
    assert text not in ("−0", "-0", "−0.00")


# ---- record ---------------------------------------------------------------------------------------------------------


def test_record_keeps_the_number_and_its_face(shown):
    show.record("share_under_water", np.float64(0.12345), "", label="Fleet under water", headline=True, format=".1%")
    kind, bundle, about = shown[0]
    assert (kind, about) == ("record", {"name": "share_under_water"})
    assert bundle[show.RESULT_TYPE] == {
        "name": "share_under_water", "value": 0.12345, "unit": "", "label": "Fleet under water", "headline": True,
        "text": "12.3%",
    }  # fmt: skip
    assert "12.3%" in bundle["text/html"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [(np.int64(3), 3), ("rose", "rose"), (pd.Timestamp("2028-04-11"), "2028-04-11"), (True, True),
     (datetime.date(2028, 4, 11), "2028-04-11"), (np.datetime64("2028-04-11"), "2028-04-11")],
)  # fmt: skip
def test_record_takes_plain_things(value, kept, shown):
    show.record("x", value, "unit")
    body = shown[0][1][show.RESULT_TYPE]
    assert (body["value"], type(body["value"])) == (kept, type(kept))


@pytest.mark.parametrize(
    "value", [np.nan, np.inf, -np.inf, None, pd.NaT, pd.NA, np.float32("nan"), [1.0], np.array([1])]
)
def test_record_refuses_what_is_no_result(value, shown):
    with pytest.raises(ValueError, match="result"):
        show.record("x", value, "unit")
    assert not shown


def test_a_name_means_one_value():
    show.record("x", 1.0, "USD")
    show.record("x", 1.0, "USD")
    with pytest.raises(ValueError, match=r"recorded before as 1\.0, now as 2\.0"):
        show.record("x", 2.0, "USD")


def test_running_a_cell_again_may_change_its_results_but_a_loop_may_not(monkeypatch):
    runs = iter([("cell", 1), ("cell", 2), ("cell", 2), ("other", 3)])
    monkeypatch.setattr(show, "_cell_run", lambda: next(runs))
    show.record("x", 1, "USD")
    show.record("x", 2, "USD")
    for _ in range(2):
        with pytest.raises(ValueError, match="recorded before"):
            show.record("x", 3, "USD")


@pytest.mark.parametrize("name", ["Hashprice", "a b", "2x", "a-b", ""])
def test_results_are_named_in_snake_case(name):
    with pytest.raises(ValueError, match="snake_case"):
        show.record(name, 1, "USD")


def test_a_headline_has_words():
    with pytest.raises(ValueError, match="needs a label"):
        show.record("x", 1, "USD", headline=True)


# ---- provenance -----------------------------------------------------------------------------------------------------


def test_provenance_lists_what_the_report_stands_on(shown, monkeypatch):
    monkeypatch.setenv("WATTSHIFT_REVISION", "abc123")
    monkeypatch.setenv("WATTSHIFT_CLEAN", "1")
    cell = {"__annotations__": {"power_price": UsdPerKwh, "seed": Seed}, "power_price": 0.05, "seed": 7}
    show.provenance(check(cell))
    kind, bundle, _ = shown[0]
    body = bundle[show.PROVENANCE_TYPE]
    assert kind == "provenance"
    assert (body["revision"], body["clean"], body["seed"]) == ("abc123", True, 7)
    assert body["tables"] == [
        {
            "name": "invented", "title": "An invented table", "producer": "Some & Sons, Office <b>",
            "citation": "Some & Sons, invented.", "url": "https://example.org/a", "date_read": "2026-11-21",
            "range": "2020-01-01..2020-12-31", "licence": "CC BY 4.0", "redistribution": "attribution",
            "sha256": "0" * 64, "rows": 366,
        }
    ]  # fmt: skip
    assert [(entry["name"], entry["value"], entry["unit"]) for entry in body["parameters"]] == [
        ("power_price", 0.05, "USD/kWh"), ("seed", 7, ""),
    ]  # fmt: skip
    assert body["packages"]["numpy"] == np.__version__
    assert "Office &lt;b&gt;" in bundle["text/html"]


def test_revision_and_cleanness_come_from_git(tmp_path, monkeypatch):
    def git(*words):
        config = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        return subprocess.run(["git", *config, *words], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    for name in ("WATTSHIFT_REVISION", "WATTSHIFT_CLEAN"):
        monkeypatch.delenv(name, raising=False)
    inside = tmp_path / "lib" / "wattshift"
    inside.mkdir(parents=True)
    monkeypatch.setattr(show, "__file__", str(inside / "show.py"))
    assert show._revision() == ("unknown", None)
    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "first")
    revision, clean = show._revision()
    assert git("rev-parse", "HEAD").startswith(revision)
    assert clean is True
    (tmp_path / "a").write_text("2")
    assert show._revision() == (revision, False)


# ---- in a real kernel -----------------------------------------------------------------------------------------------


def test_outputs_of_a_real_kernel():
    """One notebook through nbclient: the figure appears once, as SVG, and every output carries its kind."""
    cell = """
import matplotlib.pyplot as plt
from wattshift import draw, show
draw.theme()
plt.plot([0, 1], [0, 1])
show.caption("line", "A line.", alt="It rises.", source="drawn by hand")
show.say(f"See {show.ref('line')}.")
show.record("slope", 1.0, "per step")
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    outputs = [output for output in notebook.cells[0].outputs if output.output_type == "display_data"]
    kinds = [output.metadata.get("wattshift", {}).get("kind") for output in outputs]
    assert kinds == ["figure", "caption", "say", "record"]
    nbformat.validate(notebook)
    assert io.StringIO(outputs[0].data["image/svg+xml"]).readline().startswith("<?xml")


# ---- small words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "said"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), ("abc", "a, b and c")])
def test_words_are_listed_as_in_a_sentence(words, said):
    assert show.listed(list(words)) == said


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_a_gap_is_named_on_its_side(value, level):
    said = show.gap(value, level)
    if said.endswith("times"):
        assert value >= 10 * level * (1 - 1e-12)
    elif said != "level with":
        assert said.endswith("above" if value > level else "below")
        share = float(said.split("%")[0]) / 100
        assert abs(abs(value / level - 1) - share) <= 0.005 + 1e-9
    else:
        assert abs(value / level - 1) < 0.005


def test_results_can_be_read_again():
    show.record("answer", 42, "units")
    assert show.recorded() == {"answer": 42}
