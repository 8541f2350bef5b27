"""The parameter contract: a notebook's parameters cell says what may be given; all else is refused in plain words.

`read` takes the contract from a notebook without running it; `Contract.validate` judges values from a command line, a
run file or Python; `check(globals())` does the same inside a notebook, so plain papermill and JupyterLab are guarded.
Every refusal is one sentence per fault: the parameter, the value given, what is allowed, an example.
"""

import ast
import difflib
import io
import json
import tokenize
import warnings
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wattshift.refusal import Refusal
from wattshift.units import plain
from wattshift.values import Fault, Kind, Type, Value, annotation_of, normal, shown, take_apart, type_names

Json = bool | int | float | str | None | list[Any]

LARGEST_NOTEBOOK = 50_000_000  # bytes
LONGEST_NAME = 40  # characters of a parameter's name


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: name, type, default and what it means (the comment behind it)."""

    name: str
    type: Type
    default: Value
    meaning: str = ""

    @property
    def kind(self) -> Kind:
        """What one value is: float, int, bool, choice, date or str."""
        return self.type.kind

    @property
    def annotation(self) -> Any:
        """The declared type, as pydantic takes it."""
        return self.type.annotation

    @property
    def unit(self) -> str:
        """The unit's symbol; empty where a value is its own unit."""
        return self.type.symbol

    @property
    def many(self) -> Literal["tuple", "list"] | None:
        """Whether several values are given at once, and as what."""
        return self.type.many

    @property
    def optional(self) -> bool:
        """Whether None is a value."""
        return self.type.optional

    @property
    def minimum(self) -> float | int | str | None:
        """Smallest value allowed (an ISO day for a date); None when unbounded, or not a number or day."""
        return self.type.unit.low if self.type.unit and self.kind != "str" else None

    @property
    def maximum(self) -> float | int | str | None:
        """Largest value allowed (an ISO day for a date); None when unbounded, or not a number or day."""
        return self.type.unit.high if self.type.unit and self.kind != "str" else None

    @property
    def choices(self) -> tuple[str | int, ...] | None:
        """The options of a Literal, else None."""
        return self.type.options or None

    @property
    def example(self) -> str:
        """A value one may give, as typed behind `name=`: the default, or one of the type where there is none."""
        value = self.default
        if value is None:
            words: dict[Kind, Value] = {"float": 1, "int": 1, "bool": True, "str": "some text"}
            one = self.type.options[0] if self.type.options else None
            value = one or (self.type.unit.example if self.type.unit else words[self.kind])
            value = [value] if self.many else value
        texts = [_typed(each) for each in (value if isinstance(value, tuple | list) else [value])]
        return f"[{', '.join(texts[:2])}]" if self.many else texts[0]

    def judge(self, value: object) -> Value:
        """The value, normalized; `Refusal` with one sentence when it will not do."""
        try:
            return normal(self.type, value)  # type: ignore[no-any-return]
        except Fault as fault:
            why = f" ({fault})" if str(fault) else ""
            raise Refusal(
                f"{self.name} cannot be {shown(value)}{why}: give {self.type.allowed}, for example {self.example}."
            ) from None


def _typed(value: Value) -> str:
    """A value as one would type it behind `name=`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain(value, grouped=False) if isinstance(value, int | float) else str(value)


@dataclass(frozen=True)
class Row:
    """One line of the parameter table, ready to print; `changed` says whether the value differs from the default."""

    name: str
    value: str
    unit: str
    meaning: str
    default: str
    changed: bool
    range: str
    type: str


@dataclass(frozen=True)
class Contract:
    """What one notebook lets its reader choose, in the order of its parameters cell."""

    notebook: str
    parameters: tuple[Parameter, ...]

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __contains__(self, name: object) -> bool:
        return any(each.name == name for each in self.parameters)

    def __getitem__(self, name: str) -> Parameter:
        found = next((each for each in self.parameters if each.name == name), None)
        if found is None:
            raise Refusal(self._unknown(name))
        return found

    @property
    def defaults(self) -> dict[str, Value]:
        """Every parameter's default."""
        return {each.name: each.default for each in self.parameters}

    def validate(self, given: Mapping[str, object]) -> dict[str, Value]:
        """Values of a run: those given, normalized, and defaults for the rest. `Refusal` lists every fault."""
        values, faults = self.defaults, []
        for name, value in given.items():
            try:
                values[self[name].name] = self[name].judge(value)
            except Refusal as refusal:
                faults.append(str(refusal))
        if not faults:
            faults = self._windows(values)
        if faults:
            raise Refusal("\n".join(faults))
        return values

    def injection(self, given: Mapping[str, object]) -> dict[str, Json]:
        """What to hand to papermill: the given values only, checked, as plain JSON (days as texts, tuples as lists)."""
        values = self.validate(given)
        return {name: list(v) if isinstance(v := values[name], tuple) else v for name in given}

    def parse(self, pairs: Sequence[str]) -> dict[str, str]:
        """`name=value` pairs of a command line as a mapping, values still as typed: nothing is guessed from looks."""
        given: dict[str, str] = {}
        faults = []
        for pair in pairs:
            name, sign, value = pair.partition("=")
            name = name.strip()
            if not sign or not name:
                faults.append(f"{shown(pair)} is not a parameter: write name=value, for example {self._sample()}.")
            elif name in given:
                faults.append(
                    f"{shown(name)[1:-1]} is given twice, as {shown(given[name])} and {shown(value)}: give it once."
                )
            else:
                given[name] = value
        if faults:
            raise Refusal("\n".join(faults))
        return given

    def table(self, values: Mapping[str, Value] | None = None) -> list[Row]:
        """The parameter table of a report, one `Row` per parameter; `values` as from `validate`, else the defaults."""
        current = self.defaults | dict(values or {})
        return [
            Row(
                name=each.name,
                value=each.type.text_of(current[each.name]),
                unit=each.type.symbol,
                meaning=each.meaning,
                default=each.type.text_of(each.default),
                changed=current[each.name] != each.default,
                range=each.type.range,
                type=each.type.text,
            )
            for each in self.parameters
        ]

    def _sample(self) -> str:
        return f"{self.parameters[0].name}={self.parameters[0].example}" if self.parameters else "name=value"

    def _unknown(self, name: object) -> str:
        names = [each.name for each in self.parameters]
        given = shown(name)[1:-1] if isinstance(name, str) else shown(name)
        near = difflib.get_close_matches(str(name)[:100].lower() if isinstance(name, str) else "", names, 1, 0.5)
        if near:
            best = self[near[0]]
            return (
                f"{given} is not a parameter of {self.notebook}: the nearest is {best.name}, "
                f"{best.type.allowed}, for example {best.name}={best.example}."
            )
        known = ", ".join(names)
        known = known if len(known) <= 200 else known[:199].rsplit(",", 1)[0] + " …"
        return f"{given} is not a parameter of {self.notebook}: it has {known}, for example {self._sample()}."

    def _windows(self, values: Mapping[str, Value]) -> list[str]:
        """A sentence for each window whose start comes after its end."""
        faults = []
        for each in self.parameters:
            tokens = each.name.split("_")
            if "start" not in tokens:
                continue
            other = "_".join("end" if token == "start" else token for token in tokens)
            if other not in self or self[other].type.kind != each.type.kind or each.type.many or self[other].type.many:
                continue
            start, end = values[each.name], values[other]
            if start is not None and end is not None and start > end:  # type: ignore[operator]
                first, last = each.type.text_of(start), each.type.text_of(end)
                faults.append(
                    f"{each.name} cannot be {first} when {other} is {last}: a window starts no later than it ends, "
                    f"for example {each.name}={last} {other}={first}."
                )
        return faults


# ---------------------------------------------------------------- reading notebooks


def read(path: str | Path) -> Contract:
    """The contract of the notebook at `path`, read without running it; `Refusal` names notebook and line."""
    return read_node(load_notebook(path), Path(path).stem)


def load_notebook(path: str | Path) -> dict[str, Any]:
    """A notebook file as plain JSON, or a `Refusal` that says why it is none."""
    path = Path(path)
    file = shown(path.name, 80)[1:-1]
    if not path.is_file():
        raise Refusal(f"{file} is not there: give a notebook file that exists, for example 01_halving_impact.ipynb.")
    try:
        if path.stat().st_size > LARGEST_NOTEBOOK:
            raise Refusal(f"{file} is larger than {LARGEST_NOTEBOOK // 1_000_000} MB: strip its outputs first.")
        node = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise Refusal(f"{file} is not a Jupyter notebook: its content is not JSON text in UTF-8.") from None
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror or 'the system says no'}.") from None
    if not isinstance(node, dict) or not isinstance(node.get("cells"), list):
        raise Refusal(f"{file} is not a Jupyter notebook of format 4: it has no list of cells.")
    if node.get("nbformat") != 4 or not isinstance(node.get("metadata"), dict):
        raise Refusal(f"{file} is not a Jupyter notebook of format 4: open it in JupyterLab and save it again.")
    odd = next((place for place, cell in enumerate(node["cells"], 1) if not _is_cell(cell)), None)
    if odd is not None:
        raise Refusal(f"{file} is not a Jupyter notebook of format 4: cell {odd} is damaged.")
    return node


def _is_cell(cell: Any) -> bool:
    """Whether this is a notebook's cell: its kind, its metadata and its text are there."""
    if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
        return False
    source = cell.get("source")
    lines = source if isinstance(source, list) else [source]
    whole = isinstance(cell.get("metadata"), dict) and all(isinstance(line, str) for line in lines)
    return whole and (cell["cell_type"] != "code" or isinstance(cell.get("outputs"), list))


def _tags(cell: Any) -> list[str]:
    tags = cell.get("metadata", {}).get("tags", []) if isinstance(cell.get("metadata"), Mapping) else []
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def source_of(cell: Any) -> str:
    """A cell's text, whether stored as one text or as lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(line for line in source if isinstance(line, str))


def read_node(node: Mapping[str, Any], notebook: str) -> Contract:
    """The contract of a notebook already in memory (nbformat node or plain JSON); `notebook` names it in refusals."""
    cells = [
        (place, cell)
        for place, cell in enumerate(node.get("cells", []), 1)
        if isinstance(cell, Mapping) and cell.get("cell_type") == "code" and "parameters" in _tags(cell)
    ]
    if not cells:
        raise Refusal(f"{notebook} has no parameters cell: tag one code cell 'parameters'.")
    if len(cells) > 1:
        places = " and ".join(str(place) for place, _ in cells)
        raise Refusal(
            f"{notebook} has {len(cells)} parameters cells, cells {places}: tag only one of them 'parameters'."
        )
    place, cell = cells[0]
    return read_source(source_of(cell), notebook, f"{notebook}, cell {place}")


def read_source(source: str, notebook: str, where: str | None = None) -> Contract:
    """The contract that a parameters cell's text declares; `Refusal` names place and line of every fault.

    >>> read_source("power_price: UsdPerKwh = 0.05  # what the site pays", "demo").table()[0].meaning
    'what the site pays'
    """
    where = where or notebook
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source).body
    except SyntaxError as error:
        raise Refusal(f"{where}, line {error.lineno or 1}: this is not Python; declare one parameter a line.") from None
    except (ValueError, RecursionError, MemoryError):
        raise Refusal(f"{where}, line 1: this is not Python; declare one parameter a line.") from None
    comments = _comments(source)
    found: list[Parameter] = []
    faults: list[str] = []
    used_lines: set[int] = set()
    for statement in body:
        try:
            found.append(_declared(statement, comments, {each.name for each in found}, used_lines))
        except (Fault, Refusal) as fault:
            faults.append(f"{where}, line {statement.lineno}: {str(fault).rstrip('.')}.")
    if not found and not faults:
        faults.append(f"{where}, line 1: the parameters cell declares nothing; write name: Type = default  # meaning.")
    contract = Contract(notebook, tuple(found))
    if not faults:
        faults = [f"{where}: {fault}" for fault in contract._windows(contract.defaults)]
    if faults:
        raise Refusal("\n".join(faults))
    return contract


def _declared(statement: ast.stmt, comments: Mapping[int, str], names: set[str], used_lines: set[int]) -> Parameter:
    """One statement of a parameters cell as a parameter, or `Fault`."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        raise Fault(f"{statement.targets[0].id} has no type; write it as name: Type = default")
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
        raise Fault("only declarations belong here; write name: Type = default  # meaning")
    name = statement.target.id
    if not name.isascii() or name.startswith("_") or len(name) > LONGEST_NAME:
        raise Fault(f"{shown(name)[1:-1]} is no parameter name; use up to {LONGEST_NAME} plain letters, digits and _")
    if name in names:
        raise Fault(f"{name} is declared twice; keep one of the two")
    if statement.value is None:
        raise Fault(f"{name} has no default; give one that works")
    if statement.lineno in used_lines:
        raise Fault(f"{name} shares its line with another parameter; give it a line of its own")
    end = statement.end_lineno or statement.lineno
    used_lines.update(range(statement.lineno, end + 1))
    try:
        annotation = annotation_of(statement.annotation)
        declared = take_apart(annotation, ast.unparse(statement.annotation))
    except Fault as fault:
        raise Fault(f"{name}: {fault}") from None
    except TypeError:
        raise Fault(f"{name}: {shown(ast.unparse(statement.annotation))} is not a type") from None
    try:
        default = ast.literal_eval(statement.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise Fault(f"{name} is computed; a default is a plain value, so compute it in the next cell") from None
    kept = Parameter(name, declared, None).judge(default)
    same_type = type(kept) is type(default) or (type(kept) is float and type(default) is int)
    if not same_type or kept != default:
        raise Fault(f"the default of {name} is {shown(default)}; write it as {shown(kept)}")
    return Parameter(name, declared, kept, comments.get(end, ""))


def _comments(source: str) -> dict[int, str]:
    """The comment that trails on each line, without its mark; whole-line comments and cell options are left out."""
    found: dict[int, str] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            alone = not token.line[: token.start[1]].strip()
            if token.type == tokenize.COMMENT and not alone:
                found[token.start[0]] = " ".join(token.string.lstrip("#").split())
    except (tokenize.TokenError, SyntaxError):
        pass  # ast.parse has already said so
    return found


def injected(node: Mapping[str, Any]) -> dict[str, object]:
    """The values that papermill put into an executed notebook: the assignments of its injected-parameters cell."""
    for cell in node.get("cells", []):
        if "injected-parameters" in _tags(cell):
            return _assigned(source_of(cell))
    return {}


def _assigned(source: str) -> dict[str, object]:
    """Name and value of each plain assignment in a cell that papermill wrote; nan and infinities included."""
    values: dict[str, object] = {}
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                value: object = ast.literal_eval(statement.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                value = float("nan")  # papermill writes float('nan') and float('inf'); both are refused alike
            values[statement.targets[0].id] = value
    return values


# ---------------------------------------------------------------- inside a notebook


class Given(Mapping[str, Value]):
    """The checked values of a notebook: a read-only mapping that also knows its contract and what was changed."""

    def __init__(self, contract: Contract, values: Mapping[str, Value], injected: Sequence[str] = ()) -> None:
        self.contract = contract
        self.injected = tuple(injected)
        self._values = dict(values)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return "\n".join(
            f"{row.name} = {row.value} {row.unit}".rstrip() + (f"  (default {row.default})" if row.changed else "")
            for row in self.table()
        )

    @property
    def changed(self) -> tuple[str, ...]:
        """Names whose value differs from the default."""
        return tuple(row.name for row in self.table() if row.changed)

    def table(self) -> list[Row]:
        """The parameter table, as `Contract.table`."""
        return self.contract.table(self._values)


_last: list[Given] = []


def checked() -> Given | None:
    """What `check` accepted last in this process, for the provenance page; None before the first check."""
    return _last[0] if _last else None


def check(namespace: MutableMapping[str, Any]) -> Given:
    """Check a notebook's parameters from inside: `given = parameters.check(globals())` right after the parameters cell.

    The types are those of the cell (`__annotations__`); the values are whatever the names hold now, so plain papermill,
    a widget or a hand in JupyterLab are all guarded. Normalized values are written back. In IPython the run cells are
    known, so defaults, meanings and names that papermill injected without effect are known too.
    """
    contract, unknown = _contract_of(namespace)
    missing = [each.name for each in contract if each.name not in namespace]
    if missing:
        raise Refusal(f"{missing[0]} has no value: run the parameters cell again.")
    strangers = {name: None for name in unknown if name not in contract}
    values = contract.validate({**{each.name: namespace[each.name] for each in contract}, **strangers})
    namespace.update(values)
    _last[:] = [Given(contract, values, [name for name in unknown if name in contract])]
    return _last[0]


def _contract_of(namespace: Mapping[str, Any]) -> tuple[Contract, list[str]]:
    """The contract that a running notebook declared, and the names that papermill injected after it."""
    annotations = namespace.get("__annotations__")
    if not isinstance(annotations, Mapping) or not annotations:
        raise Refusal("This notebook has declared no parameters: run its parameters cell first.")
    cells = [cell for cell in namespace.get("In", []) if isinstance(cell, str)]
    first = next(iter(annotations))
    for place in range(len(cells) - 1, -1, -1):
        if first in _declarations(cells[place]):
            later = [cell for cell in cells[place + 1 :] if cell.startswith("# Parameters\n")]
            names = [name for cell in later[-1:] for name in _assigned(cell)]
            return read_source(cells[place], "this notebook", "the parameters cell"), names
    return Contract("this notebook", tuple(_bare(annotations, namespace))), []


def _declarations(source: str) -> set[str]:
    """Names that a cell declares when it holds declarations and plain assignments only, else none."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    if not all(isinstance(statement, ast.AnnAssign | ast.Assign) for statement in body):
        return set()
    return {s.target.id for s in body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}


def _bare(annotations: Mapping[str, Any], namespace: Mapping[str, Any]) -> Iterator[Parameter]:
    """Parameters from types alone, where the cell's text is not known: the default is the value itself."""
    names = {id(kind): name for name, kind in type_names().items()}
    for name, annotation in annotations.items():
        if isinstance(annotation, str):
            raise Refusal(f"{name}: its type is written as a text; write the type's name without quotes.")
        text = names.get(id(annotation), str(annotation).replace("typing.", ""))
        try:
            declared = take_apart(annotation, text)
        except Fault as fault:
            raise Refusal(f"{name}: {fault}.") from None
        try:
            yield Parameter(name, declared, normal(declared, namespace.get(name)))
        except Fault:
            yield Parameter(name, declared, None)
