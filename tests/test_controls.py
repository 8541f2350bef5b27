"""Controls come from the contract, hand validated values to the figure, and never show a traceback."""

import html
import shlex
import textwrap
from typing import Annotated, Literal

import matplotlib as mpl

mpl.use("Agg")

import ipywidgets as widgets
import matplotlib.pyplot as plt
import nbformat
import pytest
from nbclient import NotebookClient

from wattshift import controls
from wattshift.parameters import Refusal, check
from wattshift.units import Day, Days, HalvingNumber, JoulesPerTerahash, RigModel, Seed, Share, Unit, Usd, UsdPerKwh

TYPES = {
    "power_price": (UsdPerKwh, 0.05),
    "efficiency": (JoulesPerTerahash, 17.5),
    "uptime": (Share, 0.95),
    "halving": (HalvingNumber, 4),
    "window_days": (Days, 360),
    "seed": (Seed, 840_000),
    "as_of": (Day, "2026-06-01"),
    "rig": (RigModel, "Antminer S21"),
    "cost_basis": (Literal["cash", "all-in"], "cash"),
    "with_fees": (bool, True),
    "cap": (UsdPerKwh | None, None),
    "prices": (list[UsdPerKwh], [0.03, 0.05]),
    "debt": (Usd, 0.0),
}


@pytest.fixture
def given():
    return check({"__annotations__": {n: t for n, (t, _) in TYPES.items()}, **{n: v for n, (_, v) in TYPES.items()}})


@pytest.fixture
def calls():
    return []


@pytest.fixture
def draw(calls):
    def headline(power_price, efficiency, cost_basis, as_of, rig):
        calls.append((power_price, efficiency, cost_basis, as_of, rig))
        fig, ax = plt.subplots(figsize=(2, 1))
        ax.bar([0], [power_price])
        return fig

    return headline


@pytest.mark.parametrize(
    ("name", "kind", "facts"),
    [
        ("power_price", widgets.FloatSlider, {"min": 0.0, "max": 0.25, "step": 0.001}),
        ("efficiency", widgets.FloatLogSlider, {"min": pytest.approx(0.5441, abs=1e-4)}),  # log10(17.5 / 5)
        ("uptime", widgets.FloatSlider, {"min": 0.0, "max": 1.0}),
        ("halving", widgets.IntSlider, {"min": 1, "max": 4, "step": 1}),
        ("window_days", widgets.IntSlider, {"min": 72, "max": 1800}),
        ("seed", widgets.Text, {"value": "840000"}),
        ("as_of", widgets.Text, {"value": "2026-06-01"}),
        ("rig", widgets.Text, {}),
        ("cost_basis", widgets.Dropdown, {"options": ("cash", "all-in")}),
        ("with_fees", widgets.Checkbox, {"value": True}),
        ("cap", widgets.Text, {"value": "none"}),
        ("prices", widgets.Text, {"value": "[0.03, 0.05]"}),
        ("debt", widgets.FloatSlider, {"min": 0.0, "max": 5e6}),
    ],
)
def test_each_kind_of_parameter_gets_its_control(given, name, kind, facts):
    made = controls.control(given.contract[name], given[name])
    assert type(made) is kind
    assert {key: getattr(made, key) for key in facts} == facts
    assert given.contract.validate({name: made.value})[name] == given[name]  # nothing is lost before it is touched
    assert given.contract[name].type.allowed in made.tooltip


@pytest.mark.parametrize("name", ["power_price", "efficiency", "uptime", "halving", "window_days", "debt"])
def test_no_slider_leads_out_of_the_contract(given, name):
    made = controls.control(given.contract[name], given[name])
    for end in (made.min, made.max):
        made.value = made.base**end if isinstance(made, widgets.FloatLogSlider) else end
        assert given.contract.validate({name: made.value})


@pytest.mark.parametrize(
    ("low", "high", "value"), [(0.1, 1e4, 0.1), (0.1, 1e4, 1e4), (-0.99, 10.0, -0.5), (1, 10_000, 1)]
)
@pytest.mark.parametrize("base", [float, int])
def test_a_slider_holds_even_the_ends_of_a_range(low, high, value, base):
    if base is int:
        low, high, value = -1 if low < 0 else 1, int(high), -1 if low < 0 else max(1, int(value))
    kind = Annotated[base, Unit("x", "anything", value, low, high)]
    parameter = check({"__annotations__": {"x": kind}, "x": value}).contract["x"]
    made = controls.control(parameter, value)
    assert made.value == value


@pytest.mark.parametrize(("value", "start"), [(0.95, 0.002), (0.001, 0.001)])
def test_a_share_that_may_not_be_zero_moves_in_round_steps(value, start):
    kind = Annotated[float, Unit("share of 1", "a share", 0.9, 0.001, 1)]
    made = controls.control(check({"__annotations__": {"x": kind}, "x": value}).contract["x"], value)
    assert type(made) is widgets.FloatSlider
    assert (made.min, made.max, made.step, made.value) == (start, 1, 0.002, value)


def test_controls_are_those_that_the_figure_takes(given, draw):
    panel = controls.panel(given, draw)
    assert list(panel.widgets) == ["power_price", "efficiency", "as_of", "rig", "cost_basis"]
    assert list(controls.panel(given, draw, names=["rig"]).widgets) == ["rig"]


def test_nothing_is_drawn_until_a_control_is_moved(given, draw, calls):
    panel = controls.panel(given, draw)
    assert (calls, panel.image.value, panel.image.layout.display) == ([], b"", "none")


def test_a_move_redraws_with_validated_values(given, draw, calls):
    panel = controls.panel(given, draw)
    panel.widgets["power_price"].value = 0.07
    assert calls == [(0.07, 17.5, "cash", "2026-06-01", "Antminer S21")]
    assert bytes(panel.image.value).startswith(b"\x89PNG")
    assert panel.message.value == "In a report: <code>-p power_price=0.07</code>"
    first = panel.image.value
    panel.widgets["efficiency"].value = 23.456789
    assert calls[-1][1] == 23.5  # a logarithmic slider speaks in three digits
    panel.widgets["power_price"].value = 0.12
    assert panel.image.value != first
    assert plt.get_fignums() == []


def test_values_are_normalized_before_they_reach_the_figure(given, draw, calls):
    panel = controls.panel(given, draw)
    panel.widgets["as_of"].value = " ٢٠٢٥-٠١-٠٢ "
    assert calls[-1][3] == "2025-01-02"


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", "", "<b>2026</b>"])
def test_a_refusal_is_a_sentence_and_the_figure_stays(given, draw, calls, day):
    panel = controls.panel(given, draw)
    panel.widgets["power_price"].value = 0.07
    shown, values = panel.image.value, panel.values
    panel.widgets["as_of"].value = day
    assert len(calls) == 1
    assert (panel.image.value, panel.values) == (shown, values)
    assert "as_of" in panel.message.value
    assert "<b>" not in panel.message.value
    panel.widgets["as_of"].value = "2026-05-01"
    assert len(calls) == 2
    assert "as_of=2026-05-01" in panel.message.value


def test_a_failing_figure_is_a_sentence_too_and_leaves_no_figure_open(given):
    def broken(power_price):
        plt.subplots()
        raise ZeroDivisionError(f"<i>{power_price}</i>")

    panel = controls.panel(given, broken)
    panel.widgets["power_price"].value = 0.07
    assert "could not be drawn with these values (ZeroDivisionError: &lt;i&gt;0.07&lt;/i&gt;)" in panel.message.value
    assert plt.get_fignums() == []


def test_a_refusal_from_the_figure_itself_is_shown(given):
    def empty(as_of):
        raise Refusal(f"as_of: no day up to {as_of} is in the table.")

    panel = controls.panel(given, empty)
    panel.widgets["as_of"].value = "2009-01-04"
    assert "no day up to 2009-01-04 is in the table" in panel.message.value


def test_reset_draws_once_and_says_so(given, draw, calls):
    panel = controls.panel(given, draw)
    panel.widgets["power_price"].value = 0.07
    panel.widgets["cost_basis"].value = "all-in"
    panel.reset.click()
    assert len(calls) == 3
    assert calls[-1] == (0.05, 17.5, "cash", "2026-06-01", "Antminer S21")
    assert panel.message.value == "As in the parameters cell."


def test_the_line_for_a_report_is_what_a_shell_and_the_contract_take(given, draw):
    panel = controls.panel(given, draw, options={"rig": ["none", "Whatsminer M60S+ 'hydro'"]})
    panel.widgets["rig"].value = "Whatsminer M60S+ 'hydro'"
    panel.widgets["cost_basis"].value = "all-in"
    line = panel.message.value.removeprefix("In a report: <code>").removesuffix("</code>")
    words = shlex.split(html.unescape(line))
    typed = given.contract.parse(words[1::2])
    assert given.contract.validate(typed) == panel.values


def test_a_figure_of_everything_gets_everything(given):
    seen = []
    panel = controls.panel(given, lambda **values: seen.append(values), names=["uptime"])
    panel.widgets["uptime"].value = 0.5
    assert seen[0].keys() == given.keys()
    assert seen[0]["uptime"] == 0.5


def test_an_unknown_name_is_refused(given, draw):
    with pytest.raises(Refusal, match="power_cost"):
        controls.panel(given, draw, names=["power_cost"])
    with pytest.raises(Refusal, match="rigs"):
        controls.panel(given, draw, options={"rigs": ["a"]})


def test_meanings_are_text_not_markup(given, draw):
    panel = controls.panel(given, draw)
    assert "USD/kWh" in panel.box.children[0].children[1].value


def test_without_a_front_end_the_cell_runs_and_changes_nothing():
    """Through nbclient, as under papermill: a widget view with plain words behind it, no error, no figure drawn."""
    cells = [
        "from wattshift import controls, parameters\nfrom wattshift.units import UsdPerKwh",
        "power_price: UsdPerKwh = 0.05  # what the site <b>pays</b>",
        "given = parameters.check(globals())",
        """\
        def draw_headline(power_price):
            raise RuntimeError("drawn without being asked")
        panel = controls.panel(given, draw_headline)
        panel""",
        "print(panel.box.children[0].children[1].value, power_price)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (view,) = notebook.cells[3].outputs
    assert "application/vnd.jupyter.widget-view+json" in view.data
    assert view.data["text/plain"] == "Controls of this notebook: open it in JupyterLab to use them."
    assert notebook.cells[4].outputs[0].text == (
        "<small>USD/kWh · what the site &lt;b&gt;pays&lt;/b&gt;</small> 0.05\n"
    )
