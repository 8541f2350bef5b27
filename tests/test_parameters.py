"""The parameter contract: what is accepted lies in its range, what is refused is refused in one plain sentence."""

import datetime as dt
import fractions
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from wattshift import parameters
from wattshift.parameters import Parameter, read_source
from wattshift.refusal import Refusal
from wattshift.runs import read_run

CELL = """# tag: parameters
#| label: parameters
halving: HalvingNumber = 4                # which halving
as_of: Day = "2026-06-01"                 # last day used
window_start: Day = "2024-01-01"          # first day shown
window_end: Day = "2024-12-31"            # last day shown
power_price: UsdPerKwh = 0.05             # what the site pays # at the meter
efficiency: JoulesPerTerahash = 20        # of the fleet
growth: SharePerYear = -0.1               # may be negative
uptime: PositiveShare = 0.95              # hours hashing
rig: RigModel = "Antminer S21"            # a model, or none
site: Text | None = None                  # a name for the title
fee: Share | None = None                  # measured when None
prices: tuple[UsdPerKwh, ...] = (
    0.03,
    0.05,
)                                         # several prices
days: list[Day] = ["2024-04-20"]          # several days
laws: tuple[Literal["flat", "trend"], ...] = ("flat",)  # several laws
basis: Literal["cash", "all-in"] = "cash" # which costs
order: Literal[1, 2] = 1                  # which lag
aside: bool = False                       # with the long aside
paths: Paths = 20_000                     # futures
seed: Seed = 840000                       # of all random numbers
bare: float = 1.5
bare_whole: int = 3
bare_text: str = "x"
"""
CONTRACT = read_source(CELL, "demo")
ONCE = settings(derandomize=True, deadline=None, database=None, max_examples=150)


def refusal(name: str, value: object) -> str:
    with pytest.raises(Refusal) as caught:
        CONTRACT.validate({name: value})
    return str(caught.value)


def outcome(act: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What an action gives, or the sentences it refuses with; any other exception passes through and fails the test."""
    try:
        return act(), []
    except Refusal as no:
        return None, str(no).split("\n")


def notebook(*cells: tuple[str, list[str]], path: Path | None = None) -> dict[str, Any]:
    node = {
        "cells": [
            {"cell_type": "code", "metadata": {"tags": tags}, "source": source, "outputs": [], "execution_count": None}
            for source, tags in cells
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    if path:
        path.write_text(json.dumps(node), encoding="utf-8")
    return node


# ---------------------------------------------------------------- reading a cell


def test_a_cell_is_read_whole_and_in_order() -> None:
    rows = {row.name: row for row in CONTRACT.table()}
    assert list(rows)[:3] == ["halving", "as_of", "window_start"]
    assert (rows["power_price"].unit, rows["power_price"].range) == ("USD/kWh", "0 to 10")
    assert rows["power_price"].meaning == "what the site pays # at the meter"
    assert rows["prices"].meaning == "several prices"
    assert (rows["bare"].meaning, rows["bare"].range, rows["basis"].range) == ("", "any", "cash, all-in")
    assert CONTRACT.defaults["efficiency"] == 20.0
    assert isinstance(CONTRACT.defaults["efficiency"], float)
    assert not any(row.changed for row in rows.values())


def test_widgets_find_range_kind_and_choices() -> None:
    price, basis, day = CONTRACT["power_price"], CONTRACT["basis"], CONTRACT["as_of"]
    assert (price.kind, price.minimum, price.maximum, price.unit, price.choices) == (
        "float",
        0.0,
        10.0,
        "USD/kWh",
        None,
    )
    assert (basis.kind, basis.choices, basis.minimum) == ("choice", ("cash", "all-in"), None)
    assert (day.kind, day.minimum, CONTRACT["bare"].maximum) == ("date", "2009-01-03", None)
    assert (CONTRACT["prices"].many, CONTRACT["fee"].optional) == ("tuple", True)


@pytest.mark.parametrize(
    ("source", "line", "says"),
    [
        ("x = 3", 1, "x has no type"),
        ("a: Share = 0.1\n\nx: UsdPerKw = 1", 3, "there is no type UsdPerKw, the nearest is UsdPerKwh"),
        ("x: 'Share' = 0.1", 1, "written as a text"),
        ("x: Share", 1, "x has no default"),
        ("x: Share = 2", 1, "x cannot be 2: give a number from 0 to 1, as a share of 1"),
        ("x: Days = BLOCKS*2", 1, "x is computed"),
        ("x: Days = 2*2", 1, "x is computed"),
        ("x: Share = 0.1\nx: Share = 0.2", 2, "x is declared twice"),
        ("x: Share = 0.1; y: Share = 0.2", 1, "y shares its line"),
        ("import os", 1, "only declarations belong here"),
        ("x.y: Share = 0.1", 1, "only declarations belong here"),
        ("x: Share = (", 1, "not Python"),
        ("%matplotlib inline", 1, "not Python"),
        ("x: Share = 0\0", 1, "not Python"),
        ("# only a comment", 1, "declares nothing"),
        ("x: UsdPerKwh = '0.05'", 1, "write it as 0.05"),
        ("x: UsdPerKwh = True", 1, "x cannot be True"),
        ("x: Day = '٢٠٢٤-٠١-٠١'", 1, "write it as '2024-01-01'"),
        ("x: Share = 1e999", 1, "not a finite number"),
        ("x: dict[str, int] = {}", 1, "is not a type that a parameter can have"),
        ("x: tuple[Share, Share] = (0.1, 0.2)", 1, "is not a type that a parameter can have"),
        ("x: Literal[z] = 1", 1, "written out as values"),
        ("x: Literal[1, 'a'] = 1", 1, "all texts or all whole numbers"),
        ("x: Share = 0.1\n_y: Share = 0.1", 2, "_y is no parameter name"),
        ("x: SECONDS_PER_DAY = 3", 1, "there is no type SECONDS_PER_DAY"),
    ],
)
def test_a_faulty_cell_is_refused_with_notebook_and_line(source: str, line: int, says: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_source(source, "demo", "demo, cell 3")
    assert f"demo, cell 3, line {line}: " in str(caught.value)
    assert says in str(caught.value)


def test_several_faults_of_a_cell_are_all_named() -> None:
    with pytest.raises(Refusal) as caught:
        read_source("x = 1\ny: Foo = 2\nz: Share = 3", "demo")
    assert [sentence.split(":")[0] for sentence in str(caught.value).splitlines()] == [
        "demo, line 1",
        "demo, line 2",
        "demo, line 3",
    ]


def test_a_default_window_must_be_in_order() -> None:
    with pytest.raises(Refusal, match="a window starts no later than it ends"):
        read_source("start: Day = '2024-02-01'\nend: Day = '2024-01-01'", "demo")


def test_a_notebook_needs_exactly_one_parameters_cell(tmp_path: Path) -> None:
    path = tmp_path / "demo.ipynb"
    notebook(("import os", []), ("x: Share = 0.1  # a share", ["parameters"]), path=path)
    assert parameters.read(path).table()[0].meaning == "a share"
    notebook(("import os", []), path=path)
    with pytest.raises(Refusal, match="demo has no parameters cell"):
        parameters.read(path)
    notebook(("x: Share = 0.1", ["parameters"]), ("y: Share = 0.1", ["parameters"]), path=path)
    with pytest.raises(Refusal, match=r"demo has 2 parameters cells, cells 1 and 2"):
        parameters.read(path)
    notebook(("\n", []), ("y: Share = 0.1\ny = 3", ["parameters"]), path=path)
    with pytest.raises(Refusal, match="demo, cell 2, line 2: y has no type"):
        parameters.read(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"cells": 3}', b"\xff\xfe", b"[" * 100_000, b'{"cells": [3, {"cell_type": "code"}]}'],
)
def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "demo.ipynb"
    path.write_bytes(content)
    with pytest.raises(Refusal, match="demo"):
        parameters.read(path)
    with pytest.raises(Refusal, match="is not there"):
        parameters.read(tmp_path)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda node: node.update(nbformat=3), "open it in JupyterLab and save it again"),
        (lambda node: node.pop("nbformat"), "open it in JupyterLab and save it again"),
        (lambda node: node.update(metadata=None), "open it in JupyterLab and save it again"),
        (lambda node: node["cells"].insert(1, 5), "cell 2 is damaged"),
        (lambda node: node["cells"].insert(0, {}), "cell 1 is damaged"),
        (lambda node: node["cells"][0].update(cell_type="codex"), "cell 1 is damaged"),
        (lambda node: node["cells"][0].pop("metadata"), "cell 1 is damaged"),
        (lambda node: node["cells"][0].pop("outputs"), "cell 1 is damaged"),
        (lambda node: node["cells"][0].update(source=["x", 3]), "cell 1 is damaged"),
        (lambda node: node["cells"][0].update(source=None), "cell 1 is damaged"),
    ],
)
def test_a_damaged_notebook_is_refused_before_a_kernel_meets_it(tmp_path: Path, damage: Any, says: str) -> None:
    path = tmp_path / "demo.ipynb"
    notebook(("x: Share = 0.1  # a share", ["parameters"]), path=path)
    node = json.loads(path.read_text(encoding="utf-8"))
    damage(node)
    path.write_text(json.dumps(node), encoding="utf-8")
    with pytest.raises(Refusal, match=f"demo.ipynb is not a Jupyter notebook of format 4: .*{says}"):
        parameters.read(path)


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("power_price", "0.06", 0.06),
        ("power_price", 1, 1.0),
        ("power_price", ".5", 0.5),
        ("power_price", "5e-2", 0.05),
        ("power_price", np.float32(0.5), 0.5),
        ("power_price", -0.0, 0.0),
        ("power_price", "٠٫٠٦", 0.06),  # Arabic-Indic digits and decimal separator
        ("power_price", "۰.۰۶", 0.06),  # Persian digits, Latin point
        ("growth", "−0.25", -0.25),  # the typographic minus sign
        ("paths", "1_000", 1_000),
        ("paths", "۱۰٬۰۰۰", 10_000),  # Persian digits, Arabic thousands separator
        ("paths", 1e4, 10_000),  # what plain papermill makes of 1e4
        ("paths", np.int64(500), 500),
        ("halving", "\u200f٣\u200f", 3),
        ("as_of", "٢٠٢٤-٠٢-٢٩", "2024-02-29"),
        ("as_of", dt.date(2024, 4, 20), "2024-04-20"),
        ("as_of", pd.Timestamp("2024-04-20"), "2024-04-20"),
        ("site", " غرب تكساس ", "غرب تكساس"),
        ("site", "007", "007"),
        ("site", "true", "true"),
        ("site", "None", None),
        ("fee", "null", None),
        ("fee", None, None),
        ("prices", "[0.03, ٠٫٠٤]", (0.03, 0.04)),
        ("prices", [0, 1], (0.0, 1.0)),
        ("days", ("2024-01-01",), ["2024-01-01"]),
        ("laws", "[flat,trend]", ("flat", "trend")),
        ("basis", "all-in", "all-in"),
        ("order", "2", 2),
        ("aside", "true", True),
        ("aside", "FALSE", False),
        ("bare_text", "nan", "nan"),
    ],
)
def test_what_is_meant_is_taken(name: str, value: object, normal: object) -> None:
    taken = CONTRACT.validate({name: value})[name]
    assert taken == normal
    assert type(taken) is type(normal)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("power_price", "0,05", "'0,05' (a comma; write a decimal point"),
        ("power_price", "٠،٠٥", "a comma"),
        ("power_price", "5%", "'5%' (a percent sign"),
        ("power_price", "٥٪", "a percent sign"),
        ("power_price", "nan", "not a finite number"),
        ("power_price", math.nan, "nan (not a finite number)"),
        ("power_price", "-Infinity", "not a finite number"),
        ("power_price", "1e999", "not a finite number"),
        ("power_price", "0x10", "not a number in plain decimal digits"),
        ("power_price", "007", "a leading zero"),
        ("power_price", "1_0", "not a number in plain decimal digits"),
        ("power_price", "०.५", "not a number in plain decimal digits"),  # Devanagari: not on purpose, so not at all
        ("power_price", "", "nothing was given"),
        ("power_price", True, "True (not a number)"),
        ("power_price", -0.01, "-0.01: give a number from 0 to 10 USD/kWh, for example 0.05."),
        ("power_price", "0.05 USD", "not a number in plain decimal digits"),
        ("efficiency", "-20", "give a number from 0.1 to 10,000 J/TH, for example 20."),
        ("efficiency", 10**400, "a whole number of 1329 bits"),
        ("efficiency", fractions.Fraction(10**400), "not a finite number"),
        ("paths", 1.5, "not a whole number"),
        ("paths", "9" * 60, "give a whole number from 100 to 100,000 paths, for example 20000."),
        ("paths", "9" * 5_000, "too long for a number"),
        ("bare_whole", 2**63, "beyond 64 bits"),
        ("halving", 5, "give a whole number from 1 to 4, for example 4."),
        ("as_of", "2023-02-29", "no such day in the calendar"),
        ("as_of", "2024-13-01", "no such day in the calendar"),
        ("as_of", "20240101", "give a day as YYYY-MM-DD from 2009-01-03 to 2140-12-31"),
        ("as_of", "2008-12-31", "give a day as YYYY-MM-DD"),
        ("as_of", 20240101, "not a day"),
        ("as_of", dt.datetime(2024, 1, 1, 12), "a moment, not a day"),
        ("as_of", pd.NaT, "a moment, not a day"),
        ("rig", 7, "put it in quotes"),
        ("rig", " ", "nothing was given"),
        ("rig", "x" * 81, "too long"),
        ("rig", "a\u202eb", "control character U+202E"),
        ("rig", "a\nb", "control character U+000A"),
        ("rig", None, "None (not a text)"),
        ("basis", "csh", "the nearest is cash"),
        ("basis", 1, "give one of cash, all-in"),
        ("order", True, "not a number"),
        ("order", 3, "give one of 1, 2"),
        ("aside", 1, "give true or false"),
        ("aside", "yes", "give true or false"),
        ("prices", "0.03", "not a list in square brackets"),
        ("prices", "[0,05]", "value 2 is '05', a leading zero"),
        ("prices", [], "an empty list"),
        ("prices", [0.1] * 1_001, "more than 1000 values"),
        ("prices", [[0.1]], "value 1 is a list of 1"),
        ("prices", 0.1, "not a list"),
        (
            "powr_price",
            0.05,
            "the nearest is power_price, a number from 0 to 10 USD/kWh, for example power_price=0.05.",
        ),
        ("zz", 1, "zz is not a parameter of demo: it has halving"),
        ("Halving", 1, "the nearest is halving"),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, value: object, says: str) -> None:
    sentence = refusal(name, value)
    assert says in sentence
    assert sentence.startswith(name)
    assert "\n" not in sentence


def test_a_number_too_long_to_print_is_still_refused_in_a_sentence() -> None:
    assert "a whole number of 16610 bits (beyond 64 bits)" in refusal("bare_whole", 10**5_000)


def test_each_fault_gets_its_own_sentence() -> None:
    with pytest.raises(Refusal) as caught:
        CONTRACT.validate({"power_price": "5%", "halving": 9, "nothing": 1, "paths": 200})
    assert [sentence.split()[0] for sentence in str(caught.value).splitlines()] == ["power_price", "halving", "nothing"]


def test_a_window_ends_no_earlier_than_it_starts() -> None:
    assert CONTRACT.validate({"window_start": "2024-12-31"})["window_start"] == "2024-12-31"  # one day is a window
    sentence = refusal("window_start", "2025-01-01")
    assert sentence.startswith("window_start cannot be 2025-01-01 when window_end is 2024-12-31")
    moved = {"window_start": "2025-01-01", "window_end": "2025-02-01"}
    assert CONTRACT.validate(moved) == {**CONTRACT.defaults, **moved}


def test_all_stands_for_every_option_of_a_list() -> None:
    laws = CONTRACT["laws"].type
    assert CONTRACT.validate({"laws": "all"})["laws"] == CONTRACT.validate({"laws": "[flat, trend]"})["laws"]
    assert CONTRACT.validate({"laws": " All "})["laws"] == ("flat", "trend")
    assert [laws.text_of(value) for value in (("trend", "flat"), ("flat",), ("flat", "flat"))] == [
        "all",
        "[flat]",
        "[flat, flat]",
    ]
    assert laws.range == "flat, trend, all"
    assert "not a list in square brackets" in refusal("prices", "all")  # prices have no options


def test_a_choice_in_capitals_finds_its_nearest_too() -> None:
    place = read_source('place: Literal["TX_ERCOT", "NO"] = "NO"  # where', "x").validate
    with pytest.raises(Refusal, match="the nearest is TX_ERCOT"):
        place({"place": "tx_ercot"})


def test_an_example_is_always_allowed() -> None:
    for each in CONTRACT:
        bare = Parameter(each.name, each.type, None)
        assert each.judge(each.example) == each.default or each.many or each.optional
        assert bare.judge(bare.example) is not None


def test_the_command_line_is_read_by_declared_type() -> None:
    pairs = ["site=007", "bare_text=nan", "rig=a=b", "aside=true", "power_price= 0.06 "]
    values = CONTRACT.validate(CONTRACT.parse(pairs))
    assert [values[name] for name in ("site", "bare_text", "rig", "aside", "power_price")] == [
        "007",
        "nan",
        "a=b",
        True,
        0.06,
    ]
    for wrong, says in (
        [["halving"], "write name=value"],
        [["=3"], "write name=value"],
        [["a=1", "a=2"], "given twice"],
    ):
        with pytest.raises(Refusal, match=says):
            CONTRACT.parse(wrong)


def test_papermill_gets_the_given_values_only_as_plain_json() -> None:
    injection = CONTRACT.injection({"prices": "[0.1]", "as_of": dt.date(2024, 1, 1), "fee": None, "paths": "100"})
    assert injection == {"prices": [0.1], "as_of": "2024-01-01", "fee": None, "paths": 100}
    assert json.loads(json.dumps(injection)) == injection


def test_the_table_marks_what_differs_from_the_default() -> None:
    rows = CONTRACT.table(CONTRACT.validate({"power_price": 0.05, "paths": 1_000}))
    assert [(row.name, row.value, row.default) for row in rows if row.changed] == [("paths", "1,000", "20,000")]
    assert next(row for row in rows if row.name == "seed").value == "840000"  # an identifier keeps its digits together


# ---------------------------------------------------------------- thousands of absurd values

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-10, 10),
    st.integers(10**300, 10**310),
    st.floats(),
    st.floats(-1, 11),
    st.complex_numbers(),
    st.decimals(),
    st.fractions(),
    st.binary(max_size=20),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC)),
    st.timedeltas(),
    st.builds(object),
    st.sampled_from(
        [np.float32(1), np.bool_(True), np.int8(3), np.datetime64("NaT", "D"), pd.NA, pd.NaT, Ellipsis, int, np.ones(3)]
    ),
)
TEXTS = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳.٫,٬_-+eE%٪ []", max_size=14),
    st.text(alphabet="\x00\x07\n\r\u2028\u202e\ud800\U0010ffff a", max_size=8),
    st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True),
    st.dates(dt.date(2000, 1, 1), dt.date(2150, 1, 1)).map(dt.date.isoformat),
    st.sampled_from(
        ["true", "None", "nan", "inf", "cash", "all-in", "flat", "[flat]", "[0.1, 0.2]", "[", "[[1]]", "0x1F", "1j"]
    ),
)
NESTED = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=2).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=2),
    ),
    max_leaves=6,
)


def inside(parameter: Parameter, value: Any) -> bool:
    """Whether a value is what the declared type promises, checked without the library's own judge."""
    if value is None:
        return parameter.optional
    if parameter.many:
        one = Parameter(parameter.name, read_source(f"x: {_element(parameter)}", "x")["x"].type, None)
        return isinstance(value, tuple if parameter.many == "tuple" else list) and all(inside(one, v) for v in value)
    if parameter.choices:
        return value in parameter.choices and not isinstance(value, bool)
    kinds = {"float": float, "int": int, "bool": bool, "date": str, "str": str}
    if type(value) is not kinds[parameter.kind]:
        return False
    if parameter.kind == "str":
        return (
            1 <= len(value) <= 200
            and value == value.strip()
            and not any(ord(c) < 32 or c in "\u2028\u202e" for c in value)
        )
    if parameter.kind == "date":
        return dt.date(2009, 1, 3) <= dt.date.fromisoformat(value) <= dt.date(2140, 12, 31)
    if parameter.minimum is None:
        return math.isfinite(value)
    return parameter.minimum <= value <= parameter.maximum


def _element(parameter: Parameter) -> str:
    return {
        "prices": "UsdPerKwh = 0.1",
        "days": "Day = '2024-01-01'",
        "laws": "Literal['flat', 'trend'] = 'flat'",
    }[parameter.name]


@pytest.mark.parametrize("parameter", CONTRACT, ids=lambda each: each.name)
def test_any_value_is_taken_into_range_or_refused_in_one_sentence(parameter: Parameter) -> None:
    refused: list[str] = []

    @ONCE
    @given(value=NESTED)
    def throw(value: object) -> None:
        normal, sentences = outcome(lambda: parameter.judge(value))
        for sentence in sentences:
            assert sentence.isprintable()
            assert len(sentence) < 400
            assert sentence.startswith(f"{parameter.name} cannot be ")
            assert len(sentences) == 1
            refused.append(sentence)
        if not sentences:
            assert inside(parameter, normal)
            assert parameter.judge(normal) == normal
            assert CONTRACT.table({parameter.name: normal})

    throw()
    assert refused  # the strategy does reach both outcomes


@ONCE
@given(
    given=st.dictionaries(st.sampled_from([each.name for each in CONTRACT]) | st.text(max_size=60), NESTED, max_size=4)
)
def test_any_mapping_gives_values_or_one_sentence_a_fault(given: dict[str, object]) -> None:
    values, sentences = outcome(lambda: CONTRACT.validate(given))
    assert all(sentence.isprintable() and len(sentence) < 400 for sentence in sentences)
    if not sentences:
        assert set(values) == {each.name for each in CONTRACT}
        assert CONTRACT.validate(values) == values
        json.dumps(CONTRACT.injection(given), allow_nan=False)


@ONCE
@given(
    source=st.text(max_size=200)
    | st.lists(st.sampled_from([*CELL.splitlines(), "x =", "):", "'''", "\\"]), max_size=5).map("\n".join)
)
def test_any_cell_is_a_contract_or_a_refusal(source: str) -> None:
    contract, sentences = outcome(lambda: read_source(source, "demo"))
    assert all(sentence.startswith("demo") and len(sentence) < 500 for sentence in sentences)
    assert sentences or len(contract) > 0


@ONCE
@given(
    pairs=st.lists(
        st.text(max_size=40) | st.tuples(st.sampled_from([p.name for p in CONTRACT]), TEXTS).map("=".join), max_size=3
    )
)
def test_any_command_line_is_taken_or_refused(pairs: list[str]) -> None:
    values, sentences = outcome(lambda: CONTRACT.validate(CONTRACT.parse(pairs)))
    assert all(sentence.isprintable() and len(sentence) < 400 for sentence in sentences)
    assert sentences or len(values) == len(CONTRACT)


# ---------------------------------------------------------------- inside a notebook

SMALL = "halving: HalvingNumber = 4  # which\npower_price: UsdPerKwh = 0.05  # what the site pays\n"


def namespace(*cells: str) -> dict[str, Any]:
    """What IPython's globals hold after running the cells: `In`, annotations, values."""
    space: dict[str, Any] = {"In": [""]}
    exec("from wattshift.units import *", space)
    for cell in cells:
        space["In"].append(cell)
        exec(cell, space)
    return space


def test_check_writes_normal_values_back_and_knows_the_defaults() -> None:
    space = namespace(SMALL, "# Parameters\npower_price = '٠٫٠٦'\n")
    values = parameters.check(space)
    assert (space["power_price"], dict(values)) == (0.06, {"halving": 4, "power_price": 0.06})
    assert (values.changed, values.injected) == (("power_price",), ("power_price",))
    assert [row.meaning for row in values.table()] == ["which", "what the site pays"]
    assert parameters.checked() is values
    assert "power_price = 0.06 USD/kWh  (default 0.05)" in repr(values)


def test_check_refuses_what_papermill_let_through() -> None:
    with pytest.raises(Refusal, match="halvng is not a parameter of this notebook: the nearest is halving"):
        parameters.check(namespace(SMALL, "# Parameters\nhalvng = 3\n"))
    with pytest.raises(Refusal, match="power_price cannot be nan"):
        parameters.check(namespace(SMALL, "# Parameters\npower_price = float('nan')\n"))
    with pytest.raises(Refusal, match="power_price cannot be '5%'"):
        parameters.check(namespace(SMALL, "power_price = '5%'"))


def test_check_takes_the_cell_that_ran_last() -> None:
    edited = SMALL.replace("0.05", "0.07")
    space = namespace(SMALL, "# Parameters\npower_price = 0.06\nother = 1\n", edited, "x: int = 3", "y = power_price")
    values = parameters.check(space)
    assert (dict(values), values.changed) == ({"halving": 4, "power_price": 0.07}, ())


def test_check_works_where_no_cells_are_known() -> None:
    space = namespace(SMALL)
    del space["In"]
    space["power_price"] = "0.06"
    assert parameters.check(space)["power_price"] == 0.06
    space["power_price"] = 99
    with pytest.raises(
        Refusal, match=r"power_price cannot be 99: give a number from 0 to 10 USD/kWh, for example 0.05\."
    ):
        parameters.check(space)
    for broken, says in (
        ({}, "declared no parameters"),
        ({"__annotations__": {"x": "Share"}, "x": 1}, "written as a text"),
        ({"__annotations__": {"x": dict}, "x": {}}, "not a type"),
    ):
        with pytest.raises(Refusal, match=says):
            parameters.check(broken)
    space = namespace(SMALL)
    del space["halving"]
    with pytest.raises(Refusal, match="halving has no value"):
        parameters.check(space)


def test_plain_papermill_is_guarded_by_the_notebook_itself(tmp_path: Path) -> None:
    cells = [
        nbformat.v4.new_code_cell("from wattshift import parameters\nfrom wattshift.units import *"),
        nbformat.v4.new_code_cell(SMALL, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "given = parameters.check(globals())\nprint(given.changed, given.injected, power_price)"
        ),
    ]
    node = nbformat.v4.new_notebook(cells=cells)
    node.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(node, tmp_path / "demo.ipynb")

    def run(**given: object) -> str:
        done = papermill.execute_notebook(
            str(tmp_path / "demo.ipynb"),
            str(tmp_path / "out.ipynb"),
            parameters=given,
            progress_bar=False,
            log_output=False,
        )
        contract = parameters.read_node(done, "demo")
        assert contract.validate(parameters.injected(done))["power_price"] == 0.06
        return str(done.cells[-1].outputs[0]["text"])

    assert run(power_price=0.06) == "('power_price',) ('power_price',) 0.06\n"
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        run(power_prise=0.06)
    assert caught.value.ename == "Refusal"
    assert caught.value.evalue.startswith("power_prise is not a parameter of this notebook: the nearest is power_price")


# ---------------------------------------------------------------- run files


def test_a_run_file_is_read_without_guessing(tmp_path: Path) -> None:
    path = tmp_path / "dear.yml"
    path.write_text(
        "notebook: 01_halving_impact\n"
        "parameters: {site: 007, power_price: 0.10, as_of: 2024-01-01, prices: [0.1, 0.2]}\n"
        "edition: teaching\nformats: [pdf, html]\ntitle: غالٍ\n",
        encoding="utf-8",
    )
    run = read_run(path)
    assert run.parameters == {"site": "007", "power_price": "0.10", "as_of": "2024-01-01", "prices": ["0.1", "0.2"]}
    assert (run.notebook, run.edition, run.formats, run.title) == (
        "01_halving_impact",
        "teaching",
        ("pdf", "html"),
        "غالٍ",
    )
    values = CONTRACT.validate(run.parameters)
    assert (values["site"], values["prices"]) == ("007", (0.1, 0.2))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not a run file"),
        ("just words", "is not a run file"),
        ("a: [", "line 1 is not YAML"),
        ("a: 1\na: 2", "line 2 repeats or misuses a key"),
        ("notebook: &x a\ntitle: *x", "uses an alias"),
        ("edition: report", "notebook cannot be None"),
        ("notebook: 01\nparamters: {}", "paramters is not a key of a run file: the nearest is parameters"),
        ("notebook: 01\nparameters: [1]", "parameters cannot be a list of 1"),
        ("notebook: 01\nedition: draft", "edition cannot be 'draft': give report or teaching"),
        ("notebook: 01\nformats: [docx]", "formats cannot be a list of 1: give a list of pdf and html"),
        ('notebook: 01\ntitle: "a\\nb"', "control character"),
        ("notebook: " + "[" * 400, "dear.yml is not a run file"),
        ("\xff", "UTF-8"),
    ],
)
def test_a_broken_run_file_is_refused(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "dear.yml"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(Refusal) as caught:
        read_run(path)
    assert says in str(caught.value)
    assert "dear.yml" in str(caught.value)


@ONCE
@given(
    tree=st.recursive(
        st.text(max_size=9) | st.integers() | st.none(),
        lambda t: (
            st.lists(t, max_size=3)
            | st.dictionaries(
                st.sampled_from(["notebook", "parameters", "edition", "formats", "title", "x"]), t, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_any_run_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, tree: object) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    run, sentences = outcome(lambda: read_run(path))
    assert all("any.yml" in sentence and len(sentence) < 400 for sentence in sentences)
    assert sentences or (run.notebook and run.edition in (None, "report", "teaching"))
