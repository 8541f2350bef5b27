"""What a report says, in reading order, before anyone decides how it looks.

`read` turns an executed notebook into a `Document`: a front page (title, question, headline numbers, parameters), then
blocks of prose, code, figures, tables and printed text, then where everything came from. The PDF and the HTML page are
both written from it.
"""

from __future__ import annotations

import ast
import base64
import binascii
import hashlib
import html.parser
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Edition = Literal["report", "teaching"]
TABLE = "application/vnd.wattshift.table+json"
RESULT = "application/vnd.wattshift.result+json"
PROVENANCE = "application/vnd.wattshift.provenance+json"

LEFT_OUT: Mapping[str, frozenset[str]] = {
    "report": frozenset({"exercise", "solution", "controls", "lab", "remove-cell", "remove_cell"}),
    "teaching": frozenset({"solution", "controls", "lab", "remove-cell", "remove_cell"}),
}
CODE_HIDDEN = frozenset({"remove-input", "remove_input", "hide-input", "hide_input"})
OUTPUT_HIDDEN = frozenset({"remove-output", "remove_output"})
FRONT = "front"  # a cell that can be computed only late and has to be read first
TERMS: Mapping[
    str, str
] = {  # what a card says of passing its table on, in the words of the first page; "yes" needs none
    "attribution": "with attribution only",
    "non-commercial": "non-commercial only",
    "quote-figures-only": "single figures only",
    "unknown": "terms unknown",
}

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_NUMBER = re.compile(r"^[\s$€£+\-−–<>≤≥≈~(]*\d[\d,\s]*(\.\d+)?([eE][+-]?\d+)?[\s%)]*$")


@dataclass(frozen=True)
class Block:
    """One piece of the body. `kind` says which of the other fields are filled; `data` is plain data, never markup."""

    kind: Literal["prose", "code", "text", "figure", "table", "error"]
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    image: bytes = b""
    suffix: str = ""


@dataclass(frozen=True)
class Document:
    """A report's content. Strings are what the reader shall see, letter by letter."""

    name: str
    title: str
    question: str
    as_of: str
    edition: Edition
    blocks: Sequence[Block]
    tiles: Sequence[Mapping[str, Any]]
    parameters: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any] | None
    provenance_prose: int | None
    records: Sequence[Mapping[str, Any]]
    images: Mapping[str, tuple[bytes, str]]
    shift: int
    caution: str = ""  # Markdown that page 1 shows in red, below the question

    @property
    def labels(self) -> dict[str, int]:
        """Anchor (`fig-x`, `tbl-x`, `eq-x`) to the number it has in this edition."""
        out: dict[str, int] = {}
        counts = {"figure": 0, "table": 0}
        for block in self.blocks:
            if block.kind in counts and block.data.get("caption"):
                counts[block.kind] += 1
                if anchor := block.data.get("anchor"):
                    out[str(anchor)] = counts[block.kind]
        equations = [
            m for b in self.blocks if b.kind == "prose" for m in re.findall(r"\$\$\s*\{#(eq-[\w-]+)\}", b.text)
        ]
        return out | {name: n for n, name in enumerate(dict.fromkeys(equations), 1)}


def direction(text: str) -> Literal["ltr", "rtl"]:
    """Reading direction by the first strong character.

    >>> direction("12 % الهاش"), direction("Hash الهاش"), direction("12 %")
    ('rtl', 'ltr', 'ltr')
    """
    for letter in text:
        bidi = unicodedata.bidirectional(letter)
        if bidi in ("R", "AL"):
            return "rtl"
        if bidi == "L":
            return "ltr"
    return "ltr"


def clean(text: object) -> str:
    """A text without the control characters that no font can show (tabs and line ends stay).

    >>> clean("a\\x00b\\x1b[31mred\\x1b[0m")
    'abred'
    """
    bare = _ANSI.sub("", str(text)).replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in bare if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Co"))


def _text(value: object) -> str:
    """Notebook sources and outputs are a string or a list of strings."""
    return clean("".join(value) if isinstance(value, list | tuple) else value)


# -------------------------------------------------------------------------------------------------------- tables
class _Tables(html.parser.HTMLParser):
    """Rows of text from the HTML tables that pandas and statsmodels write; spans are filled with blanks."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[dict[str, Any]] = []
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._head = False
        self._heads: list[bool] = []
        self._spans: dict[int, int] = {}
        self._span = (1, 1)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {k: v or "" for k, v in attrs}
        if tag == "table":
            self.tables.append({"head": [], "rows": [], "caption": "", "class": given.get("class", "")})
            self._spans = {}
        elif tag == "thead":
            self._head = True
        elif tag == "tr" and self.tables:
            self._row, self._heads = [], []
        elif tag in ("td", "th") and self._row is not None:
            self._skip_spanned()
            self._cell = []
            self._heads.append(tag == "th")
            self._span = (_count(given.get("colspan")), _count(given.get("rowspan")))
        elif tag == "caption" and self.tables:
            self._cell = []
        elif tag == "br" and self._cell is not None:
            self._cell.append(" ")

    def _skip_spanned(self) -> None:
        assert self._row is not None
        while self._spans.get(len(self._row), 0) > 0:
            self._spans[len(self._row)] -= 1
            self._row.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None and self._row is not None:
            wide, deep = self._span
            at = len(self._row)
            said = " ".join("".join(self._cell).split())
            self._row += [said] + [said if self._head else ""] * (wide - 1)  # a head stands over all its columns
            if deep > 1:
                self._spans |= {at + k: deep - 1 for k in range(wide)}
            self._cell = None
        elif tag == "tr" and self._row is not None:
            self._skip_spanned()
            if self._row:
                table = self.tables[-1]
                rest = self._heads[1:] or self._heads  # the corner may be an empty td
                head = self._head or (all(rest) and not table["rows"] and not table["head"])
                table["head" if head else "rows"].append(self._row)
            self._row = None
        elif tag == "thead":
            self._head = False
        elif tag == "caption" and self._cell is not None and self._row is None:
            self.tables[-1]["caption"] = " ".join("".join(self._cell).split())
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def _count(given: str | None) -> int:
    return min(int(given), 1_000) if given and given.isdigit() and int(given) else 1


def tables_of_html(source: str) -> list[dict[str, Any]]:
    """The tables in a piece of HTML, in the shape of our own table output; [] where there is none.

    >>> tables_of_html("<table><tr><th>a</th></tr><tr><td>1.5</td></tr></table>")[0]["rows"]
    [['1.5']]
    """
    reader = _Tables()
    reader.feed(source)
    out = []
    for found in reader.tables:
        width = max((len(row) for row in found["head"] + found["rows"]), default=0)
        if not width:
            continue
        pad = [row + [""] * (width - len(row)) for row in found["rows"]]
        if "simpletable" in found["class"]:  # statsmodels prints the wall clock: a report does not
            pad = [_without_clock(row) for row in pad]
        heads = [row + [""] * (width - len(row)) for row in found["head"]]
        names = [" ".join(dict.fromkeys(h[k] for h in heads if h[k])) for k in range(width)]
        numeric = [_numeric([row[k] for row in pad]) for k in range(width)]
        columns = [
            {"name": n, "unit": "", "align": "right" if d else "left"} for n, d in zip(names, numeric, strict=True)
        ]
        out.append({"columns": columns, "rows": pad, "caption": found["caption"], "headed": any(names)})
    return out


def _without_clock(row: list[str]) -> list[str]:
    blank = {k + 1 for k, cell in enumerate(row) if cell in ("Date:", "Time:")} | {
        k for k, cell in enumerate(row) if cell in ("Date:", "Time:")
    }
    return ["" if k in blank else cell for k, cell in enumerate(row)]


def _numeric(cells: Sequence[str]) -> bool:
    said = [c for c in cells if c.strip() not in ("", "NaN", "nan", "None", "…", "...", "—", "-", "n/a", "NaT")]
    return bool(said) and all(_NUMBER.match(c) for c in said)


def _table(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Our table output, with every cell a clean string and every row as long as the head."""
    columns = [
        {
            "name": clean(c.get("name", "")),
            "unit": clean(c.get("unit") or ""),
            "align": c.get("align") if c.get("align") in ("left", "right", "center") else "left",
        }
        for c in spec.get("columns", [])
    ]
    rows = [[clean(cell) for cell in row][: len(columns)] for row in spec.get("rows", [])]
    rows = [row + [""] * (len(columns) - len(row)) for row in rows]
    words = " ".join([c["name"] for c in columns] + [cell for row in rows[:3] for cell in row])
    label = spec.get("label")
    return {
        "columns": columns,
        "rows": rows,
        "caption": clean(spec.get("caption") or ""),
        "anchor": _anchor("tbl", label),
        "headed": spec.get("headed", True),
        "rtl": direction(words) == "rtl",
        "source": sources(spec),
    }


def _anchor(kind: str, label: object) -> str:
    if label is None or label == "":
        return ""
    name = clean(label)
    return name if name.startswith(f"{kind}-") else f"{kind}-{name}"


def sources(spec: Mapping[str, Any]) -> str:
    """The words of the source line under a figure or table, without "Source:"; "" where nothing is named.

    >>> sources({"sources": ["halvings"], "read": ["2026-11-21"]})
    'halvings, read 2026-11-21'
    """
    if spec.get("source"):
        return clean(spec["source"]).strip().rstrip(".")
    names = [clean(n) for n in spec.get("sources") or []]
    read = [clean(d) for d in spec.get("read") or []]
    days = read if len(read) == len(names) else [""] * len(names)
    return "; ".join(f"{n}, read {d}" if d else n for n, d in zip(names, days, strict=True))


# ------------------------------------------------------------------------------------------------------- outputs
def _output(output: Mapping[str, Any]) -> list[Block]:
    """The blocks one output of a cell becomes: the richest form that a page can show."""
    kind = output.get("output_type")
    if kind == "stream":
        text = _text(output.get("text", "")).strip("\n")
        return [Block("text", text)] if output.get("name") != "stderr" and text.strip() else []
    if kind == "error":
        said = f"{clean(output.get('ename', 'Error'))}: {clean(output.get('evalue', ''))}"
        return [Block("error", said)]
    data: Mapping[str, Any] = output.get("data", {})
    about = dict((output.get("metadata") or {}).get("wattshift") or {})
    if about.get("kind") in ("caption", "record", "provenance", "controls") or RESULT in data or PROVENANCE in data:
        return []
    if "application/vnd.jupyter.widget-view+json" in data:
        return []
    if TABLE in data:
        return [Block("table", data=_table({**about, **data[TABLE]}))]
    for mime, suffix in (("image/svg+xml", "svg"), ("image/png", "png"), ("image/jpeg", "jpg")):
        if mime in data:
            return _figure(data[mime], suffix, about, data)
    if "text/markdown" in data:
        return [Block("prose", _text(data["text/markdown"]))]
    if "text/latex" in data and "text/html" not in data:
        formula = _text(data["text/latex"]).strip()
        inner = re.sub(r"^\${1,2}(?:\\displaystyle)?|\${1,2}$", "", formula).strip()
        return [Block("prose", f"$$\n{inner}\n$$")] if formula.startswith("$") else [Block("text", formula)]
    if "text/html" in data and (found := tables_of_html(_text(data["text/html"]))):
        return [Block("table", data=_table(t)) for t in found]
    plain = _text(data.get("text/plain", "")).strip("\n")
    quiet = re.match(r"^(<Figure size|<Axes|\[?<matplotlib|<IPython\.core\.display)", plain)
    return [Block("text", plain)] if plain.strip() and not quiet else []


def _figure(source: object, suffix: str, about: Mapping[str, Any], data: Mapping[str, Any]) -> list[Block]:
    if suffix == "svg":
        image = ("".join(source) if isinstance(source, list) else str(source)).encode()
        # the outline of a page has nothing to gain from who drew it when
        image = re.sub(rb"<metadata>.*?</metadata>", b"", image, flags=re.DOTALL)
    else:
        try:
            image = base64.b64decode("".join(source) if isinstance(source, list) else str(source), validate=False)
        except binascii.Error:
            return []
    caption = clean(about.get("caption") or "")
    alt = clean(about.get("alt") or caption or _text(data.get("text/plain", "")) or "Figure")
    if alt.startswith("<Figure"):
        alt = "Figure drawn by the cell above"
    spec = {
        "caption": caption,
        "alt": alt,
        "anchor": _anchor("fig", about.get("label")),
        "rtl": direction(caption) == "rtl",
        "source": sources(about),
    }
    return [Block("figure", data=spec, image=image, suffix=suffix)]


# ---------------------------------------------------------------------------------------------------- parameters
def parameters_of(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Name, value, default, type and meaning of each parameter, from the parameters cell and what was injected.

    Reads literals only; the cell never runs.
    """
    declared: dict[str, dict[str, Any]] = {}
    given: dict[str, Any] = {}
    for cell in notebook.get("cells", []):
        tags = set((cell.get("metadata") or {}).get("tags") or [])
        if cell.get("cell_type") != "code" or not tags & {"parameters", "injected-parameters"}:
            continue
        source = _text(cell.get("source", ""))
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        lines = source.splitlines()
        for node in tree.body:
            target = (
                node.target
                if isinstance(node, ast.AnnAssign)
                else node.targets[0]
                if isinstance(node, ast.Assign)
                else None
            )
            value = getattr(node, "value", None)
            if not isinstance(target, ast.Name) or value is None:
                continue
            try:
                literal = ast.literal_eval(value)
            except ValueError:
                literal = ast.unparse(value)
            if "injected-parameters" in tags:
                given[target.id] = literal
                continue
            said = re.search(r"#\s*(.*)$", lines[(value.end_lineno or 1) - 1][value.end_col_offset or 0 :])
            unit = ast.unparse(node.annotation) if isinstance(node, ast.AnnAssign) else ""
            declared[target.id] = {
                "name": target.id,
                "default": literal,
                "type": unit,
                "meaning": said[1] if said else "",
            }
    return [{**d, "value": given.get(name, d["default"])} for name, d in declared.items()]


def plain_value(value: object) -> str:
    """A parameter's value as a reader writes it.

    >>> plain_value(840000), plain_value(0.05), plain_value(True), plain_value("none"), plain_value([3, 4])
    ('840000', '0.05', 'yes', 'none', '3, 4')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain_value(v) for v in value)
    return clean(value)


def _parameter(entry: Mapping[str, Any]) -> dict[str, Any]:
    value, default = entry.get("value"), entry.get("default")
    changed = entry.get("changed")
    if changed is None:
        changed = "default" in entry and plain_value(value) != plain_value(default)
    return {
        "name": clean(entry.get("name", "")),
        "value": clean(entry.get("text") or plain_value(value)),
        "unit": clean(entry.get("unit") or ""),
        "meaning": clean(entry.get("meaning") or ""),
        "default": plain_value(default) if "default" in entry else "",
        "changed": bool(changed),
    }


# --------------------------------------------------------------------------------------------------------- prose
def _front(source: str) -> tuple[str, str, str]:
    """Title, question and the rest of a first cell: its H1, the paragraph under it, and what follows.

    >>> _front("# Who survives?\\n\\nAt what price\\ndoes mining clear?\\n\\nIt matters.")
    ('Who survives?', 'At what price\\ndoes mining clear?', 'It matters.')
    """
    found = re.match(r"\s*#[ \t]+(.+?)[ \t]*#*[ \t]*(?:\n|$)", source)
    if not found:
        return "", "", source
    rest = source[found.end() :].strip("\n")
    first, _, after = rest.partition("\n\n")
    if re.match(r"\s*([#>|`~]|[-*+] |\d+[.)] |\$\$|!\[)", first):
        return found[1], "", rest
    return found[1], first.strip(), after.strip("\n")


def plain_markdown(text: str) -> str:
    """The words of a line of Markdown, for places that hold no markup: document title, running head.

    >>> plain_markdown("Who *survives* a [halving](x), `hash` by hash?")
    'Who survives a halving, hash by hash?'
    """
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(\*\*|__|`)(.+?)\1", r"\2", text)
    text = re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*", r"\1", text)
    return clean(re.sub(r"\\([\\`*_{}\[\]()#+\-.!$<>|~])", r"\1", text)).strip()


def _fences_closed(source: str) -> str:
    """Close a code fence that a cell leaves open, so that it cannot swallow what follows."""
    fence = ""
    for line in source.splitlines():
        mark = re.match(r"^ {0,3}(`{3,}|~{3,})(.*)$", line)
        if not mark:
            continue
        if not fence and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
        elif fence and mark[1][0] == fence[0] and len(mark[1]) >= len(fence) and not mark[2].strip():
            fence = ""
    return f"{source}\n{fence}" if fence else source


def _footnotes_apart(sources: Sequence[str]) -> list[str]:
    """Give each cell's footnotes names of their own: `[^1]` in two cells is two notes, as in JupyterLab."""
    out = []
    for number, source in enumerate(sources):
        own = set(re.findall(r"^ {0,3}\[\^([^\]\s]+)\]:", source, re.MULTILINE))
        for name in own:
            source = source.replace(f"[^{name}]", f"[^{name}-cell{number}]")
        out.append(source)
    return out


def _images(source: str, cell: Mapping[str, Any], folder: Path | None) -> tuple[str, dict[str, tuple[bytes, str]]]:
    """Pictures named in prose (attachments, files beside the notebook), read now and renamed by their content."""
    found: dict[str, tuple[bytes, str]] = {}

    def replace(match: re.Match[str]) -> str:
        address = match[2].strip("<>")
        image, suffix = b"", Path(address).suffix.lower().lstrip(".")
        if address.startswith("attachment:"):
            bundle = (cell.get("attachments") or {}).get(address.removeprefix("attachment:")) or {}
            for mime, body in bundle.items():
                suffix = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}.get(mime, "")
                image = base64.b64decode(_text(body)) if suffix != "svg" else _text(body).encode()
        elif folder is not None and ":" not in address and not address.startswith("/"):
            file = (folder / address).resolve()
            if file.is_file() and file.is_relative_to(folder.resolve().parent):
                image = file.read_bytes()
        suffix = "jpg" if suffix == "jpeg" else suffix
        if not image or suffix not in ("svg", "png", "jpg", "gif", "webp"):
            return match[0]
        name = f"picture-{hashlib.sha256(image).hexdigest()[:12]}.{suffix}"
        found[name] = (image, suffix)
        return f"![{match[1]}]({name})"

    return re.sub(r"!\[([^\]]*)\]\(([^)\s]+)\)", replace, source), found


# ---------------------------------------------------------------------------------------------------------- read
def is_ours(notebook: Mapping[str, Any]) -> bool:
    """Whether a notebook speaks with our voice (`wattshift.show`): then its code can stay out of the report."""
    return any(
        "wattshift" in (output.get("metadata") or {})
        for cell in notebook.get("cells", [])
        for output in cell.get("outputs", [])
    )


def read(
    notebook: Mapping[str, Any],
    *,
    edition: Edition,
    name: str,
    folder: Path | None = None,
    parameters: Sequence[Mapping[str, Any]] | None = None,
    title: str | None = None,
) -> Document:
    """The document that an executed notebook holds.

    notebook   : nbformat 4 node
    edition    : "report" leaves code and exercises out, "teaching" leaves solutions out
    name       : used where the notebook has no title
    folder     : where pictures named in prose are looked for
    parameters : name, value, default, unit, meaning; read from the notebook where not given
    title      : instead of the notebook's own

    Cells tagged `front` move to right after the first cell's introduction, without their code; what they say as a
    `> [!CAUTION]` goes to page 1 itself.
    """
    body: list[Block] = []
    fronted: list[Block] = []
    opening = 0  # blocks of the first cell
    records: list[Mapping[str, Any]] = []
    provenance: Mapping[str, Any] | None = None
    images: dict[str, tuple[bytes, str]] = {}
    heading = question = ""
    first = True
    heading_at: int | None = None
    before: int | None = None
    language = str(((notebook.get("metadata") or {}).get("language_info") or {}).get("name") or "python")
    for cell in notebook.get("cells", []):
        tags = set((cell.get("metadata") or {}).get("tags") or [])
        for output in cell.get("outputs", []):
            if RESULT in output.get("data", {}):
                records.append(output["data"][RESULT])
            if PROVENANCE in output.get("data", {}):
                provenance, heading_at = output["data"][PROVENANCE], before
        before = None
        if tags & LEFT_OUT[edition] or "papermill-error-cell-tag" in tags:
            continue
        blocks = fronted if FRONT in tags else body
        source = _text(cell.get("source", ""))
        if cell.get("cell_type") == "markdown":
            source, found = _images(source, cell, folder)
            images |= found
            opens, first = first, False
            if opens:
                heading, question, source = _front(source)
            if source.strip():
                before = len(blocks) if blocks is body and source.lstrip().startswith("#") else None
                blocks.append(Block("prose", source))
            if opens:
                opening = len(body)
        elif cell.get("cell_type") == "code":
            if "injected-parameters" in tags:
                source = re.sub(r"\A# Parameters\n", "", source)
            last_page = any(PROVENANCE in output.get("data", {}) for output in cell.get("outputs", []))
            shown = without_voice(source)
            hidden = last_page or blocks is fronted or bool(tags & CODE_HIDDEN)
            if edition == "teaching" and shown.strip() and not hidden:
                blocks.append(
                    Block("code", shown.rstrip(), {"language": language, "injected": "injected-parameters" in tags})
                )
            if not tags & OUTPUT_HIDDEN:
                for output in cell.get("outputs", []):
                    blocks += _output(output)
    cautions = [b.text for b in fronted if b.kind == "prose" and b.text.lstrip().startswith("> [!CAUTION]")]
    fronted = [b for b in fronted if b.text not in cautions]
    blocks = [*body[:opening], *fronted, *body[opening:]]
    heading_at = None if heading_at is None else heading_at + len(fronted)
    prose = [b for b in blocks if b.kind == "prose"]
    texts = iter(_footnotes_apart([_fences_closed(b.text) for b in prose]))
    blocks = [Block("prose", next(texts)) if b.kind == "prose" else b for b in blocks]
    blocks = _labels_once(blocks)
    top = any(re.search(r"^#[ \t]", _outside_fences(b.text), re.MULTILINE) for b in prose)
    entries = [_parameter(p) for p in parameters or (provenance or {}).get("parameters") or parameters_of(notebook)]
    return Document(
        name=name,
        title=title or heading or name,
        question=question,
        as_of=next((p["value"] for p in entries if p["name"] == "as_of"), ""),
        edition=edition,
        blocks=blocks,
        tiles=[_tile(r) for r in _last_of_each(records) if r.get("headline")],
        parameters=entries,
        provenance=provenance,
        provenance_prose=heading_at,
        records=_last_of_each(records),
        images=images,
        shift=0 if top else 1,
        caution="\n\n".join(_fences_closed(text) for text in cautions),
    )


def terms(provenance: Mapping[str, Any] | None) -> str:
    """One line for the first page on the tables that may not be passed on freely; "" where all of them may.

    A standard licence is named where the card names one; what a card says in words of its own counts as unknown.

    >>> cards = [{"name": "a", "redistribution": "yes"}, {"name": "b", "redistribution": "unknown"}]
    >>> cards.append({"name": "c", "redistribution": "non-commercial", "licence": "CC BY-NC 4.0 (stated by C)"})
    >>> terms({"tables": cards})
    'Passing on: non-commercial only for c (CC BY-NC 4.0); terms unknown for b. See the last page.'
    """
    held: dict[str, list[str]] = {}
    for table in (provenance or {}).get("tables") or []:
        rule = clean(table.get("redistribution") or "unknown")
        if rule == "yes":
            continue
        licence = re.match(r"(?:CC|ODbL|GPL|MIT|BSD|Apache)\b[^(;,]*", clean(table.get("licence") or ""))
        named = f" ({licence[0].strip()})" if licence else ""
        held.setdefault(TERMS.get(rule, TERMS["unknown"]), []).append(f"{clean(table.get('name', ''))}{named}")
    said = [f"{words} for {', '.join(held[words])}" for words in TERMS.values() if words in held]
    return f"Passing on: {'; '.join(said)}. See the last page." if said else ""


def _last_of_each(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One record per name, the last one given, at the place of the first."""
    return list({str(r.get("name")): r for r in records}.values())


def without_voice(source: str) -> str:
    """Code without the calls that only say, caption, tabulate or record: what they show stands right below it.

    A branch that holds nothing else goes whole; everything that computes or draws stays as written, comments too. Code
    that is not plain Python stays as it is.

    >>> without_voice("x = 1\\nshow.say(f'It is {x}.')\\nassert x")
    'x = 1\\nassert x'
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return source
    lines = source.splitlines()
    kept = {line for each in body if not _only_speaks(each) for line in (each.lineno, each.end_lineno)}
    spoken = [each for each in body if _only_speaks(each) and not kept & {each.lineno, each.end_lineno}]
    for statement in reversed(spoken):
        del lines[statement.lineno - 1 : statement.end_lineno]
    return "\n".join(lines).strip("\n")


def _only_speaks(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.If):
        return all(map(_only_speaks, [*statement.body, *statement.orelse]))
    called = statement.value.func if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) else None
    return isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "show"


def _labels_once(blocks: Sequence[Block]) -> list[Block]:
    """A cell shown twice keeps its label once: a label can point to one place only."""
    seen: set[str] = set()
    out = []
    for block in blocks:
        anchor = block.data.get("anchor")
        if anchor and anchor in seen:
            block = Block(block.kind, block.text, {**block.data, "anchor": ""}, block.image, block.suffix)
        elif anchor:
            seen.add(str(anchor))
        out.append(block)
    return out


def _outside_fences(source: str) -> str:
    return re.sub(r"^ {0,3}(`{3,}|~{3,}).*?^ {0,3}\1[`~]*[ \t]*$", "", source, flags=re.DOTALL | re.MULTILINE)


def _tile(record: Mapping[str, Any]) -> dict[str, Any]:
    value = record.get("text")
    if value in (None, ""):
        raw = record.get("value")
        value = f"{raw:,.4g}" if isinstance(raw, float) else plain_value(raw)
    unit = clean(record.get("unit") or "")
    said = clean(value)
    if unit and said.endswith(unit) and said != unit:
        said = said[: -len(unit)].rstrip()
    if said.endswith("%") and unit in ("1", "share", "share of 1"):
        unit = ""  # the per cent sign has said it
    label = clean(record.get("label") or str(record.get("name", "")).replace("_", " "))
    return {"value": said, "unit": unit, "label": label}
