"""Run files: reports/runs/*.yml, written by hand, each a notebook and a set of parameters."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wattshift.refusal import Refusal
from wattshift.values import LONGEST_TEXT, Fault, line_of_text, shown

LARGEST_RUN = 100_000  # bytes


@dataclass(frozen=True)
class Run:
    """A run file: which notebook, with which parameters (as typed, unchecked), as which edition and formats."""

    path: Path
    notebook: str
    parameters: dict[str, object]
    edition: str | None = None
    formats: tuple[str, ...] | None = None
    title: str | None = None


_RUN_KEYS = ("notebook", "parameters", "edition", "formats", "title")


def read_run(path: str | Path) -> Run:
    """A run file of reports/runs, read as texts so that no value changes by its looks; `Refusal` says what is wrong.

    Keys: notebook (needed), parameters (name: value), edition (report or teaching), formats (list of pdf, html), title.
    """
    path = Path(path)
    file = shown(path.name, 80)[1:-1]
    if not path.is_file():
        raise Refusal(f"{file} is not there: give a run file that exists, for example reports/runs/01_default.yml.")
    try:
        if path.stat().st_size > LARGEST_RUN:
            raise Refusal(f"{file} is larger than {LARGEST_RUN // 1_000} kB: a run file holds a few lines.")
        tree = _plain_yaml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise Refusal(f"{file} is not a text in UTF-8: write it anew as plain text.") from None
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror or 'the system says no'}.") from None
    except Fault as fault:
        raise Refusal(f"{file} is not a run file ({fault}): write lines such as notebook: 01_halving_impact.") from None
    if not isinstance(tree, dict):
        raise Refusal(f"{file} is not a run file: write lines such as notebook: 01_halving_impact.")
    faults = _run_faults(file, tree)
    if faults:
        raise Refusal("\n".join(faults))
    formats = tree.get("formats")
    return Run(
        path=path,
        notebook=tree["notebook"],
        parameters=dict(tree.get("parameters") or {}),
        edition=tree.get("edition"),
        formats=tuple(dict.fromkeys([formats] if isinstance(formats, str) else formats)) if formats else None,
        title=line_of_text(tree["title"]) if "title" in tree else None,
    )


def _run_faults(file: str, tree: Mapping[str, Any]) -> list[str]:
    """One sentence for each key of a run file that is unknown, missing or not what it should be."""
    faults = []
    for key in tree:
        if key not in _RUN_KEYS:
            near = difflib.get_close_matches(key[:100].lower(), _RUN_KEYS, 1, 0.5)
            hint = f"the nearest is {near[0]}" if near else f"it takes {', '.join(_RUN_KEYS)}"
            faults.append(f"{file}: {shown(key)[1:-1]} is not a key of a run file: {hint}.")
    name = tree.get("notebook")
    if not isinstance(name, str) or not name.strip():
        faults.append(
            f"{file}: notebook cannot be {shown(name)}: give a notebook's name, for example 01_halving_impact."
        )
    given = tree.get("parameters")
    if given not in (None, "") and not isinstance(given, dict):
        faults.append(f"{file}: parameters cannot be {shown(given)}: give indented lines such as power_price: 0.05.")
    if tree.get("edition", "report") not in ("report", "teaching"):
        faults.append(
            f"{file}: edition cannot be {shown(tree['edition'])}: give report or teaching, for example report."
        )
    formats = tree.get("formats", "pdf")
    if not formats or any(each not in ("pdf", "html") for each in ([formats] if isinstance(formats, str) else formats)):
        faults.append(f"{file}: formats cannot be {shown(formats)}: give a list of pdf and html, for example [pdf].")
    if "title" in tree:
        try:
            if len(line_of_text(tree["title"])) > LONGEST_TEXT:
                raise Fault("too long")
        except Fault as fault:
            faults.append(f"{file}: title cannot be {shown(tree['title'])} ({fault}): give a line of text.")
    return faults


def _plain_yaml(text: str) -> Any:
    """YAML as texts, lists and mappings only; repeated keys, aliases and tags are faults, since each hides a value."""
    import yaml

    try:
        tokens = yaml.parse(text, Loader=yaml.BaseLoader)
        for event in tokens:
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise Fault(f"line {line} uses an alias; write the value out")
        return _plain_node(yaml.compose(text, Loader=yaml.BaseLoader), 0)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Fault(f"line {mark.line + 1} is not YAML" if mark else "it is not YAML") from None
    except RecursionError:
        raise Fault("it is nested too deeply") from None


def _plain_node(node: Any, depth: int) -> Any:
    """A composed YAML node as plain Python."""
    import yaml

    if depth > 3:
        raise Fault("it is nested too deeply")
    if isinstance(node, yaml.ScalarNode):
        return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain_node(each, depth + 1) for each in node.value]
    if isinstance(node, yaml.MappingNode):
        tree: dict[str, Any] = {}
        for key, value in node.value:
            name = _plain_node(key, depth + 1)
            if not isinstance(name, str) or name in tree:
                raise Fault(f"line {key.start_mark.line + 1} repeats or misuses a key")
            tree[name] = _plain_node(value, depth + 1)
        return tree
    return None
