"""The PDF: a document as Typst source and data, compiled."""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import re
import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import typst

from wattshift.report import document as documents
from wattshift.report import folders, prose
from wattshift.report.document import Block, Document, clean, plain_markdown

HERE = Path(__file__).parent
PAGE_WIDTH = 475.2  # points: 6.6 inches, the width our figures are drawn for
FACES = {("DejaVu Sans", 400), *(("IBM Plex Sans Arabic", weight) for weight in (400, 500, 600))}
PAGE_HEIGHT = 590.0  # points that a figure may take, so that its caption stays with it


@cache
def font_folders() -> tuple[str, ...]:
    """Folders of the fonts in our own dependencies; the fonts of the machine are never used."""
    found = []
    for package, under in (("fontpkg_ibm_plex_sans_arabic", "files"), ("matplotlib", "mpl-data/fonts/ttf")):
        spec = importlib.util.find_spec(package)  # importing them would cost each worker 0.2 s
        if spec is None or spec.origin is None:
            raise RuntimeError(f"the fonts of {package} are not installed")
        found.append(str(Path(spec.origin).parent / under))
    return found[0], found[1]


@cache
def check_fonts() -> None:
    """Raise RuntimeError where a face of the template is missing: Typst would take another one and say nothing."""
    faces = typst.Fonts(include_system_fonts=False, font_paths=[Path(folder) for folder in font_folders()]).fonts()
    missing = sorted(FACES - {(face.family, face.weight) for face in faces if face.style == "normal"})
    if missing:
        family, weight = missing[0]
        raise RuntimeError(f"the font {family}, weight {weight}, is missing or damaged: install the packages again")


def pieces_of(document: Document) -> list[prose.Piece]:
    """Front page, body and last page, in reading order."""
    out = [prose.Piece(f"{document.question}\n\n{document.caution}".strip(), {"kind": "front"})]
    for number, block in enumerate(document.blocks):
        if number == document.provenance_prose:
            out.append(prose.Piece("", {"kind": "page"}))
        if block.kind == "prose":
            out.append(prose.Piece(block.text))
        elif block.kind in ("figure", "table"):
            out.append(prose.Piece(str(block.data["caption"]), {"kind": block.kind, **block.data, "block": number}))
        else:
            said = {"kind": block.kind, "text": block.text, **block.data}
            out.append(prose.Piece("", said))
    if document.provenance is not None:
        if document.provenance_prose is None:
            out.append(prose.Piece("", {"kind": "page"}))
        out.append(prose.Piece("", {"kind": "provenance", **provenance_facts(document)}))
    return out


def provenance_facts(document: Document) -> dict[str, Any]:
    """The last page as plain texts: tables, parameters, code and versions."""
    given = document.provenance or {}
    tables = []
    for table in given.get("tables") or []:
        got = {key: clean(value) for key, value in table.items() if value not in (None, "", "None")}
        covers = [got.get("range", "").replace("..", " to "), f"{got['rows']} rows" if "rows" in got else ""]
        covers.append(f"read {got['date_read']}" if "date_read" in got else "")
        terms = [got.get("licence", ""), f"passing on: {got['redistribution']}" if "redistribution" in got else ""]
        facts = {
            "Producer": got.get("producer", ""),
            "Citation": got.get("citation", ""),
            "Address": got.get("url", ""),
            "Covers": "; ".join(c for c in covers if c),
            "Licence": "; ".join(t for t in terms if t),
            "SHA-256": got.get("sha256", ""),
        }
        said = [[name, value] for name, value in facts.items() if value]
        tables.append({"name": got.get("name", ""), "title": got.get("title", ""), "facts": said})
    state = {True: "clean tree", False: "tree with uncommitted changes", None: "state of the tree unknown"}[
        given.get("clean")
    ]
    code = [["Revision", f"{clean(given.get('revision') or 'unknown')}, {state}"]]
    if given.get("python"):
        code.append(["Python", clean(given["python"])])
    if given.get("packages"):
        code.append(["Packages", ", ".join(f"{clean(k)} {clean(v)}" for k, v in sorted(given["packages"].items()))])
    if given.get("seed") is not None:
        code.append(["Seed", clean(given["seed"])])
    return {
        "tables": tables,
        "parameters": list(document.parameters),
        "code": code,
        "own-heading": document.provenance_prose is None,
    }


def image_width(image: bytes, suffix: str) -> float | None:
    """Width in points at which a picture fits the page; None where its size is unknown.

    >>> image_width(b'<svg width="720pt" height="360pt">', "svg")
    475.2
    """
    width = height = 0.0
    if suffix == "svg":
        found = re.search(
            rb'<svg[^>]*?\bwidth="([\d.]+)(pt|px|in)?"[^>]*?\bheight="([\d.]+)(pt|px|in)?"', image, re.DOTALL
        )
        found_back = re.search(
            rb'<svg[^>]*?\bheight="([\d.]+)(pt|px|in)?"[^>]*?\bwidth="([\d.]+)(pt|px|in)?"', image, re.DOTALL
        )
        unit = {b"pt": 1.0, b"px": 0.75, b"in": 72.0, None: 0.75}
        if found:
            width, height = float(found[1]) * unit[found[2]], float(found[3]) * unit[found[4]]
        elif found_back:
            height, width = float(found_back[1]) * unit[found_back[2]], float(found_back[3]) * unit[found_back[4]]
    elif suffix == "png" and image[:8] == b"\x89PNG\r\n\x1a\n":
        width, height = (side * 0.72 for side in struct.unpack(">II", image[16:24]))  # drawn at 100 dots per inch
    if not width or not height:
        return None
    return round(width * min(1.0, PAGE_WIDTH / width, PAGE_HEIGHT / height), 2)


def source_of(document: Document) -> tuple[str, dict[str, bytes]]:
    """The Typst source and the files beside it (name to bytes). Texts from data are in document.json only."""
    pieces = pieces_of(document)
    files: dict[str, bytes] = {name: image for name, (image, _) in document.images.items()}
    slots: list[Mapping[str, Any] | None] = []
    for piece in pieces:
        slot = dict(piece.slot) if piece.slot is not None else None
        if slot and slot["kind"] == "figure":
            block: Block = document.blocks[slot["block"]]
            slot["file"] = f"figure-{slot['block']}.{block.suffix}"
            slot["width"] = image_width(block.image, block.suffix)
            files[slot["file"]] = block.image
        slots.append(slot)
    body, _ = prose.typeset(document, pieces, "typst")
    title = plain_markdown(document.title)
    listed = re.compile(rf"^#{{1,{2 + document.shift}}}[ \t]", re.MULTILINE)  # two levels
    headings = sum(len(listed.findall(b.text)) for b in document.blocks if b.kind == "prose")
    content = {
        "title": title,
        "short-title": title if len(title) <= 80 else title[:78].rsplit(" ", 1)[0] + " …",
        "question": " ".join(plain_markdown(document.question).split()),
        "as_of": document.as_of,
        "edition": document.edition,
        "tiles": list(document.tiles),
        "parameters": list(document.parameters),
        "terms": documents.terms(document.provenance),
        "contents": headings > 2,
        "entries": headings,
        "long-contents": headings > 92,
        "slots": slots,
    }
    files["document.json"] = json.dumps(content, ensure_ascii=False, sort_keys=True).encode()
    files["template.typ"] = (HERE / "template.typ").read_bytes()
    return f'#import "template.typ": *\n#show: report\n\n{body}\n', files


def timestamp_of(document: Document) -> int:
    """Seconds since 1970 that the file says it was made: SOURCE_DATE_EPOCH, else the as-of day, else 1 January 2000.

    Never the clock: the same inputs give the same bytes.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isdigit():
        return int(given)
    try:
        day = datetime.date.fromisoformat(document.as_of[:10])
    except ValueError:
        day = datetime.date(2000, 1, 1)
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp())


def pdf(document: Document) -> bytes:
    """The document as a tagged PDF (PDF/UA-1). Raises typst.TypstError where it does not compile."""
    source, files = source_of(document)
    return compiled(source, files, timestamp_of(document))


def compiled(source: str, files: Mapping[str, bytes], timestamp: int) -> bytes:
    """Compile Typst source with its files in a folder of its own."""
    check_fonts()
    with folders.scratch() as folder:
        for name, body in {**files, "main.typ": source.encode()}.items():
            Path(folder, name).write_bytes(body)
        return typst.compile(
            Path(folder, "main.typ"),
            root=Path(folder),
            font_paths=[Path(folder) for folder in font_folders()],
            ignore_system_fonts=True,
            format="pdf",
            pdf_standards=["ua-1"],
            timestamp=timestamp,
        )
