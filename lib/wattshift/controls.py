"""Controls for JupyterLab, made from a notebook's own parameter contract; they redraw one figure, and nothing depends
on them: without a front end they do nothing, and a report leaves them out.

The last line of a cell tagged `controls` is `controls.panel(given, draw_headline)`.
"""

from __future__ import annotations

import html
import inspect
import io
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from wattshift.parameters import Given, Parameter
from wattshift.refusal import Refusal

REACH = 5.0  # a slider over a range of many decades goes this many times up and down from where it starts
WIDE = 100.0  # a positive range, unless of shares, whose ends are this many times apart gets a logarithmic slider
_WIDTH = "32em"
_PICTURE = {"display": "none", "width": "6.6in", "max_width": "100%", "align_self": "flex-start"}
_DOTS = 200  # per inch, of the picture
_HINT = "Move a control, and the figure is drawn again here."


@dataclass
class Panel:
    """One widget per parameter, a line for messages, and the figure. Shown by being the last line of a cell.

    given : the checked parameters that it starts from
    draw  : draws a figure from parameters, called with those of `names` and whatever else it takes from the contract
    """

    given: Given
    draw: Callable[..., Figure | None]
    widgets: dict[str, Any]
    message: Any = field(default_factory=lambda: widgets.HTML(_HINT))
    image: Any = field(default_factory=lambda: widgets.Image(format="png", layout=_PICTURE))
    values: dict[str, Any] = field(default_factory=dict)  # of the figure now shown

    def __post_init__(self) -> None:
        self._start = {name: widget.value for name, widget in self.widgets.items()}
        self._quiet = False
        for widget in self.widgets.values():
            widget.observe(self._changed, names="value")
        self.reset = widgets.Button(
            description="As in the parameters cell", layout={"width": "auto", "align_self": "flex-start"}
        )
        self.reset.on_click(lambda _: self._restore())
        rows = [self._row(self.given.contract[name], widget) for name, widget in self.widgets.items()]
        self.box = widgets.VBox([*rows, self.reset, self.message, self.image])

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget view; in words where widgets cannot be shown."""
        bundle = self.box._repr_mimebundle_(**options)
        words = {"text/plain": "Controls of this notebook: open it in JupyterLab to use them."}
        return bundle if bundle is None else {**bundle, **words}

    def asked(self) -> dict[str, Any]:
        """What the widgets hold now; a slider's value to three digits, unless it has not been moved."""
        return {
            name: widget.value
            if widget.value == self._start[name] or not isinstance(widget, widgets.FloatLogSlider)
            else float(f"{widget.value:.3g}")
            for name, widget in self.widgets.items()
        }

    def update(self) -> None:
        """Check the widgets' values and draw again; a refusal or a failure becomes a sentence above the old figure."""
        try:
            values = self.given.contract.validate({**self.given, **self.asked()})
            picture = _picture(self.draw, values)
        except Refusal as refusal:
            self._say("<br>".join(html.escape(line) for line in str(refusal).splitlines()), wrong=True)
            return
        except Exception as error:  # whatever the figure's code raises: the reader gets a sentence, not a traceback
            words = f"The figure could not be drawn with these values ({type(error).__name__}: {error})."
            self._say(html.escape(words), wrong=True)
            return
        self.values = values
        self.image.value = picture
        self.image.layout.display = "block"
        self._say(_as_options(self.given, values))

    def _say(self, text: str, *, wrong: bool = False) -> None:
        self.message.value = f'<span style="color:#A33B00">{text}</span>' if wrong else text

    def _changed(self, _: Any) -> None:
        if not self._quiet:
            self.update()

    def _restore(self) -> None:
        self._quiet = True
        for name, widget in self.widgets.items():
            widget.value = self._start[name]
        self._quiet = False
        self.update()

    @staticmethod
    def _row(parameter: Parameter, widget: Any) -> Any:
        meaning = f"{parameter.unit} · {parameter.meaning}" if parameter.unit else parameter.meaning
        return widgets.HBox([widget, widgets.HTML(f"<small>{html.escape(meaning)}</small>")])


def panel(
    given: Given,
    draw: Callable[..., Figure | None],
    *,
    names: Sequence[str] | None = None,
    options: Mapping[str, Sequence[str]] | None = None,
) -> Panel:
    """A panel with a control for each of `names`, which redraws the figure of `draw` at every change.

    given   : what `parameters.check(globals())` gave
    draw    : takes parameters by name, draws, and returns its figure (None: the current one)
    names   : which parameters get a control; by default those that `draw` takes, in the contract's order
    options : values to choose from for a parameter of type text, e.g. {"rig": ["none", "Antminer S21"]}

    Raises Refusal for a name that the contract does not know.
    """
    taken = inspect.signature(draw).parameters
    chosen = list(names) if names is not None else [each.name for each in given.contract if each.name in taken]
    choices = options or {}
    for name in choices:
        given.contract[name]  # refuses a name that is not there
    made = {name: control(given.contract[name], given[name], choices.get(name)) for name in chosen}
    return Panel(given, draw, made)


def control(parameter: Parameter, value: Any, options: Sequence[str] | None = None) -> Any:
    """The widget that fits a parameter, set to `value`, with its allowed values in the tooltip.

    A number in a bounded range gets a slider: the whole range where that is narrow, else a part around the value, on a
    logarithmic scale where the range is positive and wide. A seed, a day, a text, a list get a field to type in.
    """
    about = {
        "description": parameter.name.replace("_", " "),
        "tooltip": f"{parameter.meaning} ({parameter.type.allowed})",
        "style": {"description_width": "10em"},
        "layout": {"width": _WIDTH},
    }
    if options is not None or parameter.kind == "choice":
        listed = list(options if options is not None else parameter.choices or ())
        listed += [value] if value not in listed else []
        return widgets.Dropdown(options=listed, value=value, **about)
    if parameter.kind == "bool" and not parameter.optional:
        return widgets.Checkbox(value=value, indent=True, **about)
    bounded = parameter.minimum is not None and parameter.maximum is not None
    slidable = parameter.kind in ("float", "int") and bounded and not parameter.many and value is not None
    unit = parameter.type.unit
    if not slidable or (unit is not None and not unit.grouped):
        return widgets.Text(value=typed(parameter, value), continuous_update=False, **about)
    middle = float(value) or float(unit.example if unit else 1)
    low, high = reach(float(parameter.minimum), float(parameter.maximum), middle)  # type: ignore[arg-type]
    if parameter.kind == "int":
        step = max(1, round(step_of(low, high)))
        return widgets.IntSlider(
            value=value, min=math.ceil(low), max=math.floor(high), step=step, continuous_update=False, **about
        )
    if low > 0 and high > 1 and parameter.maximum / parameter.minimum >= WIDE:  # type: ignore[operator]
        return widgets.FloatLogSlider(
            value=value, base=10, min=math.log10(low), max=math.log10(high), step=0.01, readout_format=",.3r",
            continuous_update=False, **about,
        )  # fmt: skip
    step_size = step_of(low, high)
    low = min(math.ceil(low / step_size) * step_size, float(value))  # round stops, also where a range starts at 0.001
    decimals = max(0, -math.floor(math.log10(step_size)))
    return widgets.FloatSlider(
        value=value, min=low, max=high, step=step_size, readout_format=f".{decimals}f", continuous_update=False, **about
    )


def reach(low: float, high: float, value: float) -> tuple[float, float]:
    """The part of an allowed range that a slider covers: all of it unless it goes beyond `REACH` times the value.

    >>> reach(0, 1, 0.95), reach(0.1, 10_000, 20), reach(0, 10, 0.05)
    ((0, 1), (4.0, 100.0), (0, 0.25))
    """
    far = abs(value) * REACH
    if value <= 0 or high <= far or high - low <= 1:
        return low, high
    return (max(low, value / REACH) if low > 0 else max(low, -far)), far


def step_of(low: float, high: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that takes at least 200 steps through a range.

    >>> step_of(0, 1), step_of(0, 0.5)
    (0.005, 0.002)
    """
    rough = (high - low) / 200
    power = 10.0 ** math.floor(math.log10(rough))
    return float(f"{max(m for m in (1, 2, 5) if m * power <= rough * (1 + 1e-9)) * power:.1g}")


def _picture(draw: Callable[..., Figure | None], values: Mapping[str, Any]) -> bytes:
    """The figure that `draw` makes of the values it takes, as PNG; every figure it opened is closed again."""
    taken = inspect.signature(draw).parameters
    everything = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values())
    before = set(plt.get_fignums())
    try:
        drawn = draw(**{name: value for name, value in values.items() if everything or name in taken})
        canvas = io.BytesIO()
        (drawn if drawn is not None else plt.gcf()).savefig(canvas, format="png", dpi=_DOTS)
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
    return canvas.getvalue()


def _as_options(given: Given, values: Mapping[str, Any]) -> str:
    """The changes as they would be typed after `wattshift render`, so that a report can be made of what is seen."""
    changed = [each for each in given.contract if values[each.name] != each.default]
    if not changed:
        return "As in the parameters cell."
    words = " ".join(f"-p {shlex.quote(f'{each.name}={typed(each, values[each.name])}')}" for each in changed)
    return f"In a report: <code>{html.escape(words)}</code>"


def typed(parameter: Parameter, value: Any) -> str:
    """A value as one types it in a field or after `-p`: plain digits, lists in square brackets."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(typed(parameter, each) for each in value)}]"
    return value if isinstance(value, str) else parameter.type.text_of(value).replace(",", "")
