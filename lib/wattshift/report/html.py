"""The report as one HTML file: the same document, prose through the same pandoc filter, nothing fetched when opened."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from wattshift.report import prose
from wattshift.report.document import Block, Document, direction, plain_markdown, terms
from wattshift.report.typst import font_folders, image_width, pieces_of

HERE = Path(__file__).parent
WEIGHTS = {"Regular": 400, "SemiBold": 600}
WORDS = {"ltr": ("Figure", "Table", "Source"), "rtl": ("شكل", "جدول", "المصدر")}


def page(document: Document) -> str:
    """The whole page as a text; every string from data is escaped on its way in."""
    pieces = pieces_of(document)
    made, secret = prose.typeset(document, pieces, "html")
    made = _drawn(made, secret, document, [p.slot for p in pieces])
    made = _pictures(made, document)
    title = plain_markdown(document.title)
    style = (HERE / "style.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'"
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en" dir="{direction(title)}">',
            '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            f"<title>{escape(title)}</title>",
            f"<style>{_fonts()}\n{style}</style></head>",
            f"<body><main>\n{made}\n</main></body></html>\n",
        ]
    )


def _fonts() -> str:
    folder = Path(font_folders()[0])
    rules = []
    for name, weight in WEIGHTS.items():
        body = base64.b64encode((folder / f"IBMPlexSansArabic-{name}.ttf").read_bytes()).decode()
        rules.append(
            f'@font-face{{font-family:"IBM Plex Sans Arabic";font-weight:{weight};'
            f'src:url(data:font/ttf;base64,{body}) format("truetype")}}'
        )
    return "\n".join(rules)


def _drawn(made: str, secret: str, document: Document, slots: Sequence[Mapping[str, Any] | None]) -> str:
    """The page with its slots filled in."""
    contents = _contents(made)
    counts = {"figure": 0, "table": 0}

    def fill(match: re.Match[str]) -> str:
        slot = slots[int(match[1])]
        words = re.sub(r"^\s*<p>|</p>\s*$", "", (match[2] or "").strip())
        assert slot is not None
        kind = str(slot["kind"])
        if kind in counts and slot.get("caption"):
            counts[kind] += 1
        if kind == "front":
            return _front(document, (match[2] or "").strip()) + contents
        if kind == "figure":
            return _figure(document.blocks[slot["block"]], slot, words, counts[kind])
        if kind == "table":
            return _table(slot, words, counts[kind])
        if kind == "provenance":
            return _provenance(slot)
        if kind == "page":
            return "<hr>"
        css = {"code": "code", "error": "printed error"}.get(kind, "printed")
        return f'<pre class="{css}"><code>{escape(str(slot["text"]))}</code></pre>'

    shape = rf"<!--{secret}:(\d+)<-->(.*?)<!--{secret}:\1>-->"
    made = re.sub(shape, fill, made, flags=re.DOTALL)  # captions hold no slots of their own
    return re.sub(rf"<!--{secret}:(\d+)()-->", fill, made)


def _contents(made: str) -> str:
    found = re.findall(r'<h([23]) [^>]*?id="([^"]*)"[^>]*>(.*?)</h\1>', made, flags=re.DOTALL)
    if len(found) < 3:
        return ""
    rows = "".join(
        f'<li class="level{int(level) - 1}"><a href="#{anchor}">{re.sub(r"</?a[^>]*>", "", words)}</a></li>'
        for level, anchor, words in found
    )
    return f'<nav aria-label="Contents"><h2 class="plain">Contents</h2><ul>{rows}</ul></nav>'


def _front(document: Document, question: str) -> str:
    title = plain_markdown(document.title)
    edition = " · teaching edition: code that only writes text is left out" if document.edition == "teaching" else ""
    as_of = f" · data to {document.as_of}" if document.as_of else ""
    tiles = "".join(
        f'<div class="tile"><p class="number"{_dir(t["value"])}>{escape(t["value"])} '
        f'<span class="unit">{escape(t["unit"])}</span></p><p{_dir(t["label"])}>{escape(t["label"])}</p></div>'
        for t in document.tiles
    )
    rows = "".join(
        f'<tr{" class=changed" if p["changed"] else ""}><th scope="row">{escape(p["name"])}</th>'
        f'<td class="right">{escape(p["value"])}</td><td class="unit">{escape(p["unit"])}</td>'
        f"<td{_dir(p['meaning'])}>{escape(p['meaning'])}"
        + (f" <b>(default {escape(p['default'])})</b>" if p["changed"] else "")
        + "</td></tr>"
        for p in document.parameters
    )
    head = "<tr><th>Parameter</th><th class=right>Value</th><th>Unit</th><th>Meaning</th></tr>"
    settings = (
        f'<details open><summary>What this run assumes</summary><div class="wide"><table class="settings"><thead>{head}'
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )
    return (
        f'<header><p class="brand">wattshift{escape(edition)}{escape(as_of)}</p><h1{_dir(title)}>{escape(title)}</h1>'
        f'<div class="question"{_dir(plain_markdown(document.question))}>{question}</div>'
        + (f'<div class="tiles">{tiles}</div>' if tiles else "")
        + (settings if rows else "")
        + (f'<p class="terms">{escape(passing_on)}</p>' if (passing_on := terms(document.provenance)) else "")
        + "</header>"
    )


def _dir(text: str) -> str:
    return ' dir="rtl"' if direction(text) == "rtl" else ""


def _caption(slot: Mapping[str, Any], words: str, number: int, kind: int) -> str:
    said = WORDS["rtl" if slot["rtl"] else "ltr"]
    source = f' <span class="source">{said[2]}: {escape(slot["source"])}.</span>' if slot["source"] else ""
    return f"<b>{said[kind]} {number}.</b> {words}{source}"


def _figure(block: Block, slot: Mapping[str, Any], words: str, number: int) -> str:
    width = image_width(block.image, block.suffix)
    size = f' style="width:{width / 475.2 * 100:.1f}%"' if width else ""
    if block.suffix == "svg":
        svg = _own_names(block.image.decode("utf-8", "replace"), f"f{slot['block']}-")
        drawn = f'<div class="svg" role="img" aria-label="{escape(slot["alt"])}"{size}>{svg}</div>'
    else:
        mime = "jpeg" if block.suffix == "jpg" else block.suffix
        body = base64.b64encode(block.image).decode()
        drawn = f'<img alt="{escape(slot["alt"])}" src="data:image/{mime};base64,{body}"{size}>'
    anchor = f' id="{escape(slot["anchor"])}"' if slot["anchor"] else ""
    rtl = ' dir="rtl"' if slot["rtl"] else ""
    caption = f"<figcaption>{_caption(slot, words, number, 0)}</figcaption>" if slot["caption"] else ""
    return f"<figure{anchor}{rtl}>{drawn}{caption}</figure>"


def _own_names(svg: str, prefix: str) -> str:
    """An SVG fit to stand in a page: no XML head, no scripts, no handlers, ids that clash with no other figure's."""
    svg = re.sub(r"^.*?(?=<svg\b)", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<(script|foreignObject)\b.*?</\1\s*>", "", svg, flags=re.DOTALL | re.IGNORECASE)
    svg = re.sub(r"\s(on\w+)\s*=\s*(\"[^\"]*\"|'[^']*')", "", svg, flags=re.IGNORECASE)
    names = dict.fromkeys(re.findall(r'\bid="([^"]*)"', svg))
    short = {name: f"{prefix}{number}" for number, name in enumerate(names)}  # some drawers name parts at random
    svg = re.sub(r'\bid="([^"]*)"', lambda m: f'id="{short[m[1]]}"', svg)
    svg = re.sub(r"url\(#([^)]*)\)", lambda m: f"url(#{short.get(m[1], '')})", svg)
    svg = re.sub(r'href="#([^"]*)"', lambda m: f'href="#{short.get(m[1], "")}"', svg)
    # matplotlib writes one style for every path: it must not reach the other figures of the page
    return re.sub(r"<style[^>]*>\s*\*\{stroke-linejoin: round; stroke-linecap: butt\}\s*</style>", "", svg)


def _table(slot: Mapping[str, Any], words: str, number: int) -> str:
    columns = slot["columns"]
    head = "".join(
        f'<th scope="col" class="{escape(c["align"])}">{escape(c["name"])}'
        + (f'<br><span class="unit">{escape(c["unit"])}</span>' if c["unit"] else "")
        + "</th>"
        for c in columns
    )
    rows = "".join(
        "<tr>"
        + "".join(f'<td class="{escape(c["align"])}">{escape(v)}</td>' for c, v in zip(columns, row, strict=True))
        + "</tr>"
        for row in slot["rows"]
    )
    anchor = f' id="{escape(slot["anchor"])}"' if slot["anchor"] else ""
    rtl = ' dir="rtl"' if slot["rtl"] else ""
    caption = f"<caption>{_caption(slot, words, number, 1)}</caption>" if slot["caption"] else ""
    top = f"<thead><tr>{head}</tr></thead>" if slot["headed"] else ""
    return f'<div class="wide"><table{anchor}{rtl}>{caption}{top}<tbody>{rows}</tbody></table></div>'


def _provenance(slot: Mapping[str, Any]) -> str:
    def facts(pairs: Sequence[Sequence[str]]) -> str:
        return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs) + "</dl>"

    tables = "".join(
        f"<h3>{escape(t['name'])} <small>{escape(t['title'])}</small></h3>{facts(t['facts'])}" for t in slot["tables"]
    )
    heading = '<h2 class="plain">Where everything came from</h2>' if slot["own-heading"] else ""
    return f'<section class="provenance">{heading}{tables}<h3>Code and versions</h3>{facts(slot["code"])}</section>'


def _pictures(made: str, document: Document) -> str:
    def inline(match: re.Match[str]) -> str:
        image, suffix = document.images[match[1]]
        mime = {"svg": "svg+xml", "jpg": "jpeg"}.get(suffix, suffix)
        return f'src="data:image/{mime};base64,{base64.b64encode(image).decode()}"'

    names = "|".join(re.escape(name) for name in document.images)
    return re.sub(rf'src="({names})"', inline, made) if names else made
