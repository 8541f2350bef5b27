"""The notebook's voice: computed sentences, captions, tables, recorded results, and where everything came from.

Each function puts one output into the notebook, with metadata {"wattshift": {"kind": …}} for the renderer. Texts are
Markdown; a string that comes from data goes through `plain` first. A number that is not one (nan, inf) is refused here,
at the last door before the reader.
"""

from __future__ import annotations

import datetime
import html
import io
import math
import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.core.getipython import get_ipython
from IPython.display import display

from wattshift import data
from wattshift.parameters import Given, checked

TABLE_TYPE = "application/vnd.wattshift.table+json"
RESULT_TYPE = "application/vnd.wattshift.result+json"
PROVENANCE_TYPE = "application/vnd.wattshift.provenance+json"
NOT_AVAILABLE = "–"
MINUS = "−"
PACKAGES = (
    "numpy", "pandas", "scipy", "statsmodels", "linearmodels", "pymcdm", "SALib",
    "matplotlib", "seaborn", "papermill", "typst",
)  # fmt: skip
MANY_TABLES = 3  # behind one figure: above that a caption names tables, whose producers stand on the last pages
SCREEN_FONTS = "Arial, Helvetica, 'DejaVu Sans', sans-serif"  # no wider than ours, for browsers without our font
Format = str | Callable[[Any], str]

_numbers: dict[str, tuple[str, int]] = {}  # label -> ("fig" | "tbl", number), for this kernel
_records: dict[str, tuple[Any, tuple[str, int] | None]] = {}  # name -> value, and the cell run that recorded it


def say(markdown: str) -> None:
    """Show a computed sentence or paragraph (Markdown). Hyphens before numbers become minus signs.

    Raises ValueError where a number is missing (`nan`, `inf`, `NaT`) or a Python object shows through.
    """
    _put({"text/markdown": _text(markdown)}, kind="say")


def plain(text: object) -> str:
    """The text as it is, for use in Markdown: nothing in it can act as markup; line breaks become spaces.

    >>> print(plain("S19 <b>_x_</b> $5"))
    S19 \\<b\\>\\_x\\_\\</b\\> \\$5
    """
    words = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    words = re.sub(r"""([\\`*_{}\[\]<>#$~^@|&!"':])""", r"\\\1", words)
    words = re.sub(r"(?i)\b(www)\.", r"\1\\.", words)  # GitHub's Markdown makes links of bare addresses
    return re.sub(r"^([-+=]|\d+(?=[.)]))", lambda found: _escape_start(found.group()), words)


def _escape_start(start: str) -> str:
    return f"\\{start}" if not start[0].isdigit() else f"{start}\\"


def count(number: int, noun: str) -> str:
    """A number with its noun, in the plural where the number asks for it.

    >>> count(1, "halving"), count(1_200, "day")
    ('1 halving', '1,200 days')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them.

    >>> listed(["price"]), listed(["price", "fees", "difficulty"])
    ('price', 'price, fees and difficulty')
    """
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def gap(value: float, level: float) -> str:
    """How a value stands to a level (both positive), as "12% above" it; "12.5 times" it where it is far above.

    >>> gap(112.0, 100.0), gap(88.0, 100.0), gap(1_250.0, 100.0), gap(100.2, 100.0)
    ('12% above', '12% below', '12.5 times', 'level with')
    """
    ratio = value / level
    if ratio >= 10:
        return f"{ratio:,.{1 if ratio < 100 else 0}f} times"
    if abs(ratio - 1) < 0.005:
        return "level with"
    return f"{abs(ratio - 1):.0%} {'above' if ratio >= 1 else 'below'}"


def caption(label: str, text: str, *, alt: str, source: str | Sequence[str]) -> None:
    """Show the figure that was just drawn, numbered, with its caption, and close it.

    label: short name for `ref`, e.g. "hashprice". text: what is drawn over which sample, then how to read the marks
    (Markdown). alt: what is seen, for those who cannot see it; not the caption again. source: names of the tables in
    data/ behind the figure; a source that is no table is written out in words (with a space in it).
    """
    if not plt.get_fignums():
        raise ValueError(f"figure {label!r}: no figure is open; draw it and call show.caption in the same cell")
    text, alt = _text(text), " ".join(_text(alt).split())
    if not text.strip() or not alt or alt == " ".join(text.split()):
        raise ValueError(
            f"figure {label!r} needs a caption, and an alt text that says what is seen, not the same again"
        )
    number = _number(label, "fig")
    about = {"label": label, "number": number, "caption": text, "alt": alt, **_sources(source)}
    canvas = io.StringIO()
    shown = plt.gcf()
    shown.savefig(canvas, format="svg", metadata={"Date": None})
    plt.close(shown)
    drawn = canvas.getvalue().replace("'DejaVu Sans'", SCREEN_FONTS)
    _put({"image/svg+xml": drawn}, kind="figure", **about)
    _put_caption(about, "Figure", "fig")


def ref(label: str) -> str:
    """A link to a figure or table already shown, for use in `say`: "[Figure 3](#fig-hashprice)"."""
    if label not in _numbers:
        raise ValueError(
            f"nothing labelled {label!r} has been shown yet; shown so far: {', '.join(_numbers) or 'none'}"
        )
    kind, number = _numbers[label]
    return f"[{'Figure' if kind == 'fig' else 'Table'} {number}](#{kind}-{label})"


def table(
    label: str,
    frame: pd.DataFrame,
    caption: str,
    *,
    source: str | Sequence[str],
    units: Mapping[str, str] | None = None,
    formats: Mapping[str, Format] | None = None,
    names: Mapping[str, str] | None = None,
) -> None:
    """Show a frame as a numbered table: numbers right-aligned, units in the head, cells as plain text.

    caption: Markdown. units, names: unit and heading of a column. formats: a format specification (",.2f", ".1%",
    "%d %b %Y") or a function of one cell. The index is not shown: a frame with a meaningful one is refused. A missing
    cell shows as an en dash, and the caption says so.
    """
    units, formats, names = dict(units or {}), dict(formats or {}), dict(names or {})
    unknown = sorted((units.keys() | formats.keys() | names.keys()) - set(frame.columns))
    if unknown:
        raise ValueError(f"table {label!r} has no column {', '.join(map(repr, unknown))}")
    if not isinstance(frame.index, pd.RangeIndex) and not pd.api.types.is_integer_dtype(frame.index):
        raise ValueError(f"table {label!r}: the index would be lost; call reset_index() first")
    if not len(frame.columns):
        raise ValueError(f"table {label!r} has no columns")
    columns = [
        {"name": str(names.get(name, name)), "unit": units.get(name, ""), "align": _align(frame[name])}
        for name in frame.columns
    ]
    shown = [[_cell(value, formats.get(name), label, name) for value in frame[name]] for name in frame.columns]
    rows = [list(cells) for cells in zip(*shown, strict=True)]
    text = _text(caption)
    if any(cell == NOT_AVAILABLE for row in rows for cell in row):
        text += f" {NOT_AVAILABLE} means not available."
    number = _number(label, "tbl")
    about = {"label": label, "number": number, "caption": text, **_sources(source)}
    body = {**about, "columns": columns, "rows": rows}
    _put_caption(about, "Table", "tbl")
    _put({"text/html": _table_html(body), TABLE_TYPE: body}, kind="table", **about)


def record(
    name: str,
    value: Any,
    unit: str,
    *,
    label: str | None = None,
    headline: bool = False,
    format: Format | None = None,
) -> None:
    """Put a result into results.json beside the report: a number (or a text, a date), its unit, its name in snake_case.

    headline: also a tile on page 1, under `label`. format: a format specification or a function, for the tile's number.
    Raises ValueError for nan and inf, and for a name recorded before with another value.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"a result is named in snake_case, such as hashprice_usd_per_ph_day; given {name!r}")
    if headline and not label:
        raise ValueError(f"the headline result {name!r} needs a label, the words on its tile")
    value = _python(value)
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"the result {name!r} is {value}, which says nothing: record only what was found")
    run = _cell_run()
    before, run_before = _records.get(name, (value, run))
    again = run is not None and run_before is not None and run[0] == run_before[0] and run[1] != run_before[1]
    if before != value and not again:
        raise ValueError(f"the result {name!r} was recorded before as {before}, now as {value}; give each its own name")
    _records[name] = (value, run)
    text = _typeset(value, format)
    body = {"name": name, "value": value, "unit": unit, "label": label, "headline": headline, "text": text}
    bundle: dict[str, Any] = {RESULT_TYPE: body}
    if headline:
        tile = f"<b>{html.escape(text)}</b> {html.escape(unit)}<br><small>{html.escape(str(label))}</small>"
        bundle["text/html"] = f'<div style="margin:.2em 0">{tile}</div>'
    _put(bundle, kind="record", name=name)


def recorded() -> dict[str, Any]:
    """Every result recorded so far, by name: for a closing section that repeats what earlier ones found."""
    return {name: value for name, (value, _) in _records.items()}


def provenance(given: Mapping[str, Any] | None = None) -> None:
    """Show the last page: every table loaded so far with its card, the parameters, code revision, versions.

    given: what `parameters.check(globals())` gave, by default its last answer. Revision and cleanness come from git, or
    from WATTSHIFT_REVISION and WATTSHIFT_CLEAN ("1" or "0") where a renderer has fixed them; "unknown" and None where
    there is no git.
    """
    given = given if given is not None else (checked() or {})
    revision, clean = _revision()
    body = {
        "tables": [_card_entry(name) for name in sorted(set(data.loaded()))],
        "parameters": _parameters(given),
        "revision": revision,
        "clean": clean,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "seed": given.get("seed"),
    }
    _put({"text/html": _provenance_html(body), PROVENANCE_TYPE: body}, kind="provenance")


# ---- numbers and text ---------------------------------------------------------------------------------------------


def _text(markdown: str) -> str:
    """The text with true minus signs, or ValueError where a computed number or object has gone wrong."""
    leak = re.search(
        r"(?<![A-Za-z])(nan|NaN|NaT|inf)(?![a-z])|<NA>|\bnp\.\w+\(|\bTimestamp\(|<\w[\w.]* object", markdown
    )
    if leak:
        start = max(0, leak.start() - 40)
        raise ValueError(f"a number is missing in the sentence: …{markdown[start : leak.end() + 20]}…")
    parts = re.split(r"(\$\$.*?\$\$|\$[^$\n]+\$|`[^`]*`|\]\([^)]*\))", markdown, flags=re.DOTALL)
    return "".join(
        part if odd % 2 else re.sub(r"(^|(?<=[\s(*\[]))-(?=\d)", MINUS, part) for odd, part in enumerate(parts)
    )


def _python(value: Any) -> Any:
    """A plain Python value, fit for JSON, from numpy, pandas and date types; a missing one becomes None."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.Timestamp | datetime.datetime):
        midnight = value.time() == datetime.time(0)
        return value.date().isoformat() if midnight else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a result is one number, text or date; given a {type(value).__name__}")


def _typeset(value: Any, format: Format | None = None) -> str:
    """One value as the reader sees it.

    >>> _typeset(-1234.5), _typeset(0.0521, ".1%"), _typeset(210000), _typeset(-0.001, ".2f")
    ('−1,234', '5.2%', '210,000', '0.00')
    """
    if callable(format):
        text = str(format(value))
    elif format is not None:
        text = f"{value:{format}}"
    elif isinstance(value, bool | np.bool_):
        text = "yes" if value else "no"
    elif isinstance(value, int | np.integer):
        text = f"{value:,d}"
    elif isinstance(value, float | np.floating):
        size = abs(float(value))
        decimals = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 or size == 0 else 3
        text = f"{value:,.{decimals}f}" if size >= 0.1 or size == 0 else f"{value:.3g}"
    else:
        text = str(_python(value))
    if isinstance(value, int | float | np.number) and text.startswith("-"):
        text = MINUS + text[1:] if re.search("[1-9]", text) else text[1:]
    return text


def _cell(value: Any, format: Format | None, label: str, column: str) -> str:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return NOT_AVAILABLE
    if isinstance(value, float) and math.isinf(value):
        raise ValueError(f"table {label!r}, column {column!r}: an infinite number")
    text = _typeset(value, format)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _align(column: pd.Series[Any]) -> str:
    present = [value for value in column if not (value is None or value is pd.NA or value is pd.NaT)]
    numeric = bool(present) and all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in present
    )
    return "right" if numeric else "left"


def _number(label: str, kind: str) -> int:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", label):
        raise ValueError(
            f"a label is made of small letters, digits and hyphens, such as shutdown-price; given {label!r}"
        )
    if label in _numbers and _numbers[label][0] != kind:
        raise ValueError(f"the label {label!r} is already taken: figures and tables share one list of labels")
    if label not in _numbers:
        _numbers[label] = (kind, 1 + sum(taken == kind for taken, _ in _numbers.values()))
    return _numbers[label][1]


# ---- sources and provenance ---------------------------------------------------------------------------------------


def _sources(source: str | Sequence[str]) -> dict[str, Any]:
    """What a caption says about its sources: table names, dates read, and the words "Coin Metrics, read 2026-11-21"."""
    given = [source] if isinstance(source, str) else list(source)
    if not given or not all(name.strip() for name in given):
        raise ValueError("a figure or table names its source: tables of data/, or words")
    tables = [name for name in given if " " not in name.strip()]
    missing = [name for name in tables if name not in data.loaded()]
    if missing:
        raise ValueError(f"{', '.join(missing)} is named as a source, but this notebook has not loaded it")
    read = [str(data.card(name).date_read) for name in tables]
    who: dict[
        str, dict[str, None]
    ] = {}  # day read -> producers, each once; of many tables the names, which are shorter
    for name, day in zip(tables, read, strict=True):
        who.setdefault(day, {}).update(dict.fromkeys(_producers(name) if len(tables) <= MANY_TABLES else (name,)))
    words = [f"{', '.join(names)}, read {day}" for day, names in who.items()]
    words += [_text(name).strip().rstrip(".") for name in given if name not in tables]
    return {"sources": tables, "read": read, "source": "; ".join(dict.fromkeys(words))}


def _producers(name: str) -> tuple[str, ...]:
    producers = data.card(name).producers
    return (producers,) if isinstance(producers, str) else tuple(producers)


def _card_entry(name: str) -> dict[str, Any]:
    card = data.card(name)
    urls = getattr(card, "source_urls", None) or getattr(card, "url", None) or ""
    entry = {
        "name": name,
        "title": card.title,
        "producer": ", ".join(_producers(name)),
        "citation": card.citation,
        "url": urls if isinstance(urls, str) else next(iter(urls), ""),
        "date_read": card.date_read,
        **{key: getattr(card, key, "") for key in ("range", "licence", "redistribution", "sha256", "rows")},
    }
    return {key: value if isinstance(value, int) else str(value) for key, value in entry.items()}


def _parameters(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parameter table; with `parameters.check`'s answer also unit, meaning, default, and whether it was changed."""
    if isinstance(given, Given):
        rows = {row.name: row for row in given.table()}
        keys = ("unit", "meaning", "default", "changed")
        return [
            {"name": name, "value": _plain_value(value), "text": rows[name].value}
            | {key: getattr(rows[name], key) for key in keys}
            for name, value in given.items()
        ]
    return [{"name": name, "value": _plain_value(value), "text": str(value)} for name, value in given.items()]


def _plain_value(value: Any) -> Any:
    return [_python(each) for each in value] if isinstance(value, list | tuple) else _python(value)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _revision() -> tuple[str, bool | None]:
    fixed, clean = os.environ.get("WATTSHIFT_REVISION"), os.environ.get("WATTSHIFT_CLEAN")
    root = Path(__file__).resolve().parents[2]
    revision = fixed or _git(root, "rev-parse", "--short=12", "HEAD") or "unknown"
    if clean is not None:
        return revision, clean.strip().lower() in {"1", "true", "yes"}
    changes = _git(root, "status", "--porcelain")
    return revision, None if changes is None else not changes


def _git(root: Path, *words: str) -> str | None:
    """What git answers about the project itself; None without git, or where the project is no repository of its own."""
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


# ---- outputs ------------------------------------------------------------------------------------------------------


def _put(bundle: dict[str, Any], *, kind: str, **about: Any) -> None:
    publish: Callable[..., Any] = display
    publish(bundle, metadata={"wattshift": {"kind": kind, **about}}, raw=True)


def _put_caption(about: Mapping[str, Any], word: str, kind: str) -> None:
    """The caption as Markdown, for JupyterLab; a renderer takes it from the figure's or table's metadata instead."""
    head = f'<a id="{kind}-{about["label"]}"></a>**{word} {about["number"]}.**'
    words = f"{head} {about['caption']} *Source: {plain(about['source'])}.*"
    _put({"text/markdown": words}, kind="caption", label=about["label"])


def _cell_run() -> tuple[str, int] | None:
    """The running cell and its count, where the front end tells (JupyterLab does); None elsewhere."""
    shell: Any = get_ipython()
    try:
        cell = shell.kernel.get_parent("shell")["metadata"]["cellId"]
    except (AttributeError, KeyError, TypeError):
        return None
    return str(cell), int(shell.execution_count)


def _table_html(body: Mapping[str, Any]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(
            f'<{tag} style="text-align:{column["align"]}">{cell}</{tag}>'
            for cell, column in zip(cells, body["columns"], strict=True)
        ) + "</tr>"  # fmt: skip

    head = [
        html.escape(column["name"]) + (f"<br><small>{html.escape(column['unit'])}</small>" if column["unit"] else "")
        for column in body["columns"]
    ]
    rows = "".join(row([html.escape(cell) for cell in cells], "td") for cells in body["rows"])
    return f"<table><thead>{row(head, 'th')}</thead><tbody>{rows}</tbody></table>"


def _provenance_html(body: Mapping[str, Any]) -> str:
    def rows(entries: Sequence[Sequence[Any]], tag: str = "td") -> str:
        return "".join(
            "<tr>"
            + "".join(f'<{tag} style="text-align:left">{html.escape(str(cell))}</{tag}>' for cell in entry)
            + "</tr>"
            for entry in entries
        )

    heads = ["name", "title", "producer", "date_read", "range", "licence", "sha256"]
    tables = rows([[head.replace("_", " ") for head in heads]], "th") + rows(
        [[str(entry[key])[:12] if key == "sha256" else entry[key] for key in heads] for entry in body["tables"]]
    )
    settings = rows([[entry["name"], entry["text"], entry.get("unit", "")] for entry in body["parameters"]])
    state = {True: "clean tree", False: "tree with changes", None: "state of the tree unknown"}[body["clean"]]
    versions = ", ".join(f"{name} {version}" for name, version in body["packages"].items())
    code = f"Code revision {body['revision']}, {state}. Python {body['python']}; {versions}."
    return f"<table>{tables}</table><table>{settings}</table><p>{html.escape(code)}</p>"
