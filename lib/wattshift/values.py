"""One value of a parameter: what its declared type allows, and how a typed or injected value becomes a normal one.

Numbers and days may be written in Latin, Arabic-Indic or Persian digits; nothing else is guessed. pydantic has the last
word on every value; this module turns its no, and its own, into a clause of a plain sentence (`Fault`).
"""

import ast
import difflib
import numbers
import re
import types
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from wattshift import units
from wattshift.units import Unit, plain

Value = bool | int | float | str | None | tuple[Any, ...] | list[Any]
Kind = Literal["float", "int", "bool", "choice", "date", "str"]

LONGEST_NUMBER = 60  # characters typed for one number
LONGEST_LIST = 1_000  # values in a list
LONGEST_TEXT = 200  # characters of a plain str


class Fault(Exception):
    """Why one value will not do, as a clause that fits in brackets; empty when 'not in the range' says it all."""


# ---------------------------------------------------------------- types


@dataclass(frozen=True)
class Type:
    """A declared type, taken apart: what one value is, its unit, and whether None or several values are allowed.

    text : the type as the notebook writes it; annotation : the type itself, as pydantic takes it
    many : "tuple" or "list" when several values are given at once, else None
    """

    text: str
    annotation: Any
    kind: Kind
    unit: Unit | None = None
    options: tuple[str | int, ...] = ()
    optional: bool = False
    many: Literal["tuple", "list"] | None = None

    @property
    def element(self) -> Any:
        """The annotation of one value, without `| None` and without the list around it."""
        inner = _without_none(self.annotation)
        return get_args(inner)[0] if self.many else inner

    @property
    def symbol(self) -> str:
        """Unit symbol, empty where a value is its own unit."""
        return self.unit.symbol if self.unit else ""

    @property
    def allowed(self) -> str:
        """What one may give, in words, with unit and range."""
        if self.kind == "choice":
            one = "one of " + ", ".join(map(str, self.options))
        elif self.kind == "bool":
            one = "true or false"
        elif self.kind == "str":
            one = f"a line of text of 1 to {self.unit.high if self.unit else LONGEST_TEXT} characters"
        elif self.kind == "date":
            one = f"a day as YYYY-MM-DD from {self.unit.range}" if self.unit else "a day as YYYY-MM-DD"
        else:
            noun = "a whole number" if self.kind == "int" else "a number"
            one = f"{noun} from {self.unit.range}" if self.unit else noun
            one += f", as a {self.symbol}" if self.symbol.startswith("share") else f" {self.symbol}".rstrip()
        if self.many:
            one = f"a list in square brackets, each value {one}" + (", or all" if self.all_options else "")
        return one + (", or none" if self.optional else "")

    @property
    def all_options(self) -> tuple[str | int, ...]:
        """What the word all stands for: every option, where several may be given; else nothing."""
        return self.options if self.many and "all" not in self.options else ()

    @property
    def range(self) -> str:
        """The allowed values for a table: a range, the options, or nothing."""
        if self.kind == "choice":
            text = ", ".join(map(str, self.options))
        elif self.kind == "bool":
            text = "true, false"
        elif self.kind == "str":
            text = f"up to {self.unit.high if self.unit else LONGEST_TEXT} characters"
        else:
            text = self.unit.range if self.unit else "any"
        return text + (", all" if self.all_options else "") + (", none" if self.optional else "")

    def text_of(self, value: Value) -> str:
        """A checked value in print: full digits, thousands separated, no unit.

        >>> Type("Count", units.Count, "int", units.Count.__metadata__[0]).text_of(20_000)
        '20,000'
        >>> Type("list", list[str], "choice", options=("hayes", "value"), many="list").text_of(["hayes", "value"])
        'all'
        >>> Type("list", list[str], "text", many="list").text_of(["IREN", "CIFR"])  # as it may be typed
        '[IREN, CIFR]'
        """
        if isinstance(value, tuple | list) and self.all_options and set(value) == set(self.options):
            return "all"
        if isinstance(value, tuple | list):
            return f"[{', '.join(self._one_text(each, grouped=False) for each in value)}]"
        return self._one_text(value, grouped=self.unit.grouped if self.unit else True)

    def _one_text(self, value: Any, grouped: bool) -> str:
        if value is None:
            return "none"
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else plain(value, grouped=grouped)


def _without_none(annotation: Any) -> Any:
    """The annotation without a `| None`, if it has one."""
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def take_apart(annotation: Any, text: str) -> Type:
    """Take a type apart; raise `Fault` for one that no contract can use."""
    inner = _without_none(annotation)
    optional = inner is not annotation
    many: Literal["tuple", "list"] | None = None
    element = inner
    if get_origin(inner) in (tuple, list):
        parts = get_args(inner)
        if get_origin(inner) is tuple and (len(parts) != 2 or parts[1] is not Ellipsis):
            raise Fault("a tuple type is written tuple[T, ...]")
        many, element = ("tuple" if get_origin(inner) is tuple else "list"), parts[0]
    if get_origin(element) is Literal:
        options = get_args(element)
        if len({type(each) for each in options}) != 1 or type(options[0]) not in (str, int):
            raise Fault("the options of a Literal are either all texts or all whole numbers")
        return Type(text, annotation, "choice", None, options, optional, many)
    if get_origin(element) is Annotated:
        unit = next((part for part in element.__metadata__ if isinstance(part, Unit)), None)
        plain_type = get_args(element)[0]
        if unit is None:
            raise Fault("an Annotated type needs a Unit; give it a name in wattshift.units")
        kind: Kind = {float: "float", int: "int", str: "str"}[plain_type]  # type: ignore[assignment]
        if kind == "str" and isinstance(unit.low, str):
            kind = "date"
        return Type(text, annotation, kind, unit, (), optional, many)
    bare: dict[Any, Kind] = {float: "float", int: "int", str: "str", bool: "bool"}
    if isinstance(element, type) and element in bare:
        return Type(text, annotation, bare[element], None, (), optional, many)
    raise Fault(f"{shown(text)} is not a type that a parameter can have")


@lru_cache(maxsize=1)
def type_names() -> dict[str, Any]:
    """Every name that an annotation may use: the unit types, and Python's own four."""
    named = {name: kind for name, kind in vars(units).items() if get_origin(kind) is Annotated}
    return {**named, "float": float, "int": int, "str": str, "bool": bool}


def annotation_of(node: ast.expr) -> Any:
    """Turn the annotation written in a notebook into the type it names, without running anything."""
    match node:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="units"), attr=name):
            if name in type_names():
                return type_names()[name]
            near = difflib.get_close_matches(name, type_names(), 1, 0.6)
            raise Fault(f"there is no type {name}" + (f", the nearest is {near[0]}" if near else ""))
        case ast.Constant(value=str()):
            raise Fault("its type is written as a text; write the type's name without quotes")
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return annotation_of(left) | None
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return annotation_of(inner) | None
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            options = tuple(part.value for part in parts if isinstance(part, ast.Constant))
            if len(options) == len(parts) and options:
                return Literal[options]
            raise Fault("the options of a Literal are written out as values")
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            return list[annotation_of(inner)]  # type: ignore[misc]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[inner, ast.Constant(value=dots)])) if (
            dots is Ellipsis
        ):
            return tuple[annotation_of(inner), ...]  # type: ignore[misc]
    raise Fault(f"{shown(ast.unparse(node))} is not a type that a parameter can have")


@lru_cache(maxsize=256)
def _adapter(annotation: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(annotation)


# ---------------------------------------------------------------- values

_DIGITS = {ord(digit): str(n % 10) for n, digit in enumerate("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹")}
_NUMERALS = {**_DIGITS, ord("٫"): ".", ord("٬"): "_", ord("−"): "-"}
_MARKS = "\u200e\u200f\u061c"  # direction marks that come along when a number is copied out of Arabic text
_JOINERS = "\u200c\u200d\u200e\u200f"  # invisible, but part of correctly spelled Persian and Arabic
_WHOLE = r"(?:0|[1-9][0-9]{0,2}(?:_[0-9]{3})+|[1-9][0-9]*)"
_WHOLE_NUMBER = re.compile(rf"[+-]?{_WHOLE}")
_NUMBER = re.compile(rf"[+-]?(?:{_WHOLE}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{{1,4}})?")


def shown(value: object, longest: int = 40) -> str:
    """A value as one may quote it in a sentence: one line, short, nothing invisible, whatever it is.

    >>> shown("0,05"), shown(float("nan")), shown([1, 2]), shown("a\\nb")
    ("'0,05'", 'nan', 'a list of 2', "'a\\\\u000ab'")
    """
    if isinstance(value, str):
        text = value if len(value) <= longest else value[: longest - 1] + "…"
        text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
        return f"'{text[: 2 * longest]}'"
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() < 100 else f"a whole number of {value.bit_length()} bits"
    if isinstance(value, float):
        return str(float(value))
    if type(value) is date or (isinstance(value, datetime) and type(value).__module__ == "datetime"):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a value of type {shown(type(value).__name__, 30)[1:-1]}"


def _number_of_text(text: str) -> int | float:
    """The number that a text spells, in Latin, Arabic-Indic or Persian digits; `Fault` says what is wrong with it."""
    typed = text.strip().strip(_MARKS).translate(_NUMERALS).strip()
    if not typed:
        raise Fault("nothing was given")
    if len(typed) > LONGEST_NUMBER:
        raise Fault("too long for a number")
    if _WHOLE_NUMBER.fullmatch(typed):
        return int(typed)
    if _NUMBER.fullmatch(typed):
        return float(typed)
    if "%" in typed or "٪" in typed:
        raise Fault("a percent sign; write a plain number, such as 0.05 for 5 per cent")
    if "," in typed or "،" in typed:
        raise Fault("a comma; write a decimal point and no comma between thousands")
    if typed.lstrip("+-").lower() in ("nan", "inf", "infinity"):
        raise Fault("not a finite number")
    if re.fullmatch(r"[+-]?0[0-9]+.*", typed):
        raise Fault("a leading zero")
    raise Fault("not a number in plain decimal digits")


def _number(value: object) -> int | float:
    """A real number from a number or a text; yes/no values and everything else are faults."""
    if isinstance(value, str):
        return _number_of_text(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise Fault("not a number")
    if isinstance(value, numbers.Integral):
        return int(value)
    try:
        return float(value)
    except (OverflowError, ValueError):
        raise Fault("not a finite number") from None


def _finite(value: object) -> float:
    try:
        number = float(_number(value))
    except OverflowError:
        raise Fault("") from None
    if number != number or number in (float("inf"), float("-inf")):
        raise Fault("not a finite number")
    return number + 0.0  # minus zero becomes zero


def _whole(value: object) -> int:
    number = _number(value)
    if isinstance(number, int):
        return number
    if number != number or number in (float("inf"), float("-inf")):
        raise Fault("not a finite number")
    if not number.is_integer() or abs(number) > 2**53:
        raise Fault("not a whole number")
    return int(number)


def _yes_no(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise Fault("")


def _day(value: object) -> str:
    """An ISO day from a text or a date; a moment inside a day is a fault, since it would lose its hours."""
    if isinstance(value, datetime):
        if value != value or value.tzinfo is not None or (value.hour, value.minute, value.second) != (0, 0, 0):
            raise Fault("a moment, not a day")
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise Fault("not a day")
    typed = value.strip().strip(_MARKS).translate(_DIGITS).strip()
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", typed):
        raise Fault("" if typed else "nothing was given")
    try:
        return date.fromisoformat(typed).isoformat()
    except ValueError:
        raise Fault("no such day in the calendar") from None


def line_of_text(value: object) -> str:
    """A line of text without control characters or surrounding spaces; `Fault` otherwise."""
    if not isinstance(value, str):
        raise Fault("not a text; put it in quotes" if isinstance(value, numbers.Real | date) else "not a text")
    typed = value.strip()
    if not typed:
        raise Fault("nothing was given")
    strange = next((c for c in typed if not c.isprintable() and c not in _JOINERS), None)
    if strange:
        raise Fault(f"it holds the control character U+{ord(strange):04X}")
    return typed


def _choice(value: object, options: tuple[str | int, ...]) -> str | int:
    if isinstance(options[0], int):
        return _whole(value)
    if not isinstance(value, str):
        raise Fault("")
    spelt = {str(each).lower(): str(each) for each in options}
    near = difflib.get_close_matches(value.strip()[:100].lower(), spelt, 1, 0.6)
    if near and value.strip() not in options:
        raise Fault(f"the nearest is {spelt[near[0]]}")
    return value.strip()


def _one(declared: Type, value: object) -> Any:
    """One value of a kind, normalized, then judged by pydantic against the declared type."""
    from pydantic import ValidationError

    if declared.kind == "choice":
        normal: Any = _choice(value, declared.options)
    else:
        normal = {"float": _finite, "int": _whole, "bool": _yes_no, "date": _day, "str": line_of_text}[declared.kind](
            value
        )
    if declared.kind == "str" and declared.unit is None and len(normal) > LONGEST_TEXT:
        raise Fault("too long")
    if declared.kind == "int" and declared.unit is None and not -(2**63) <= normal < 2**63:
        raise Fault("beyond 64 bits")
    try:
        return _adapter(declared.element).validate_python(normal, strict=True)
    except ValidationError:
        raise Fault("too long" if declared.kind == "str" else "") from None


def _several(declared: Type, value: object) -> Any:
    """All values of a list, each normalized; a text is taken apart at commas inside square brackets.

    The word all stands for every option of a list of choices.
    """
    if isinstance(value, str) and value.strip().lower() == "all" and declared.all_options:
        value = list(declared.all_options)
    if isinstance(value, str):
        inside = re.fullmatch(r"\s*\[(.*)\]\s*", value, re.DOTALL)
        if not inside:
            raise Fault("not a list in square brackets")
        value = inside[1].split(",") if inside[1].strip() else []
    if not isinstance(value, list | tuple):
        raise Fault("not a list")
    if not 1 <= len(value) <= LONGEST_LIST:
        raise Fault("an empty list" if not value else f"more than {LONGEST_LIST} values")
    normal = []
    for place, each in enumerate(value, 1):
        try:
            normal.append(_one(declared, each))
        except Fault as fault:
            raise Fault(f"value {place} is {shown(each)}" + (f", {fault}" if str(fault) else "")) from None
    return tuple(normal) if declared.many == "tuple" else normal


def normal(declared: Type, value: object) -> Any:
    """A value in the form a notebook gets it, or `Fault`."""
    if declared.optional and (value is None or (isinstance(value, str) and value.strip().lower() in ("none", "null"))):
        return None
    return _several(declared, value) if declared.many else _one(declared, value)
