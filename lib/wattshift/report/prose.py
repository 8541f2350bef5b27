"""A report's Markdown, all of it, through one call of pandoc per format.

Whatever is not prose stands in the Markdown as a numbered fence (a slot) whose class is a word that nobody can have
written into the notebook: it is the hash of the notebook's own text. filter.lua turns the fences into calls of the
template, so nothing that a cell shows is ever read as markup.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from wattshift.report import folders
from wattshift.report.document import Document

HERE = Path(__file__).parent
READS = "gfm-emoji-yaml_metadata_block"


@dataclass(frozen=True)
class Piece:
    """Something in reading order: prose on its own, or a slot with the words (caption) that belong to it."""

    markdown: str
    slot: Mapping[str, Any] | None = None


@cache
def pandoc_path() -> str:
    """The pandoc that came with the pypandoc-binary wheel."""
    import pypandoc  # slow to import, and needed once

    return str(pypandoc.get_pandoc_path())


def typeset(document: Document, pieces: Sequence[Piece], to: Literal["typst", "html"]) -> tuple[str, str]:
    """The prose in the target language with its slots marked, and the secret word of the slots.

    Raises RuntimeError where pandoc fails.
    """
    secret = "slot" + hashlib.sha256("\0".join(p.markdown for p in pieces).encode()).hexdigest()[:24]
    known = {
        "slot": secret,
        "labels": document.labels,
        "images": {name: name for name in document.images},
        "shift": document.shift,
    }
    text = "\n\n".join(_fenced(number, piece, secret) for number, piece in enumerate(pieces))
    made = _pandoc(text, known, to)
    if not _whole(made, pieces, secret, to):
        # some cell holds Markdown that swallows what follows (an HTML comment left open): each cell by itself, then
        parts = []
        for number, piece in enumerate(pieces):
            alone = _pandoc(_fenced(number, piece, secret), known, to)
            if not _whole(alone, [piece], secret, to, start=number):
                alone = _pandoc(_fenced(number, Piece(_literal(piece.markdown), piece.slot), secret), known, to)
            parts.append(alone)
        made = "\n".join(parts)
    return made, secret


def _fenced(number: int, piece: Piece, secret: str) -> str:
    def fence(mark: str) -> str:
        return f"```{secret}\n{number}{mark}\n```"

    if piece.slot is None:
        return piece.markdown
    if not piece.markdown.strip():
        return fence("")
    return f"{fence('<')}\n\n{piece.markdown}\n\n{fence('>')}"


def _whole(made: str, pieces: Sequence[Piece], secret: str, to: str, start: int = 0) -> bool:
    """Whether every slot came out, once and in order."""
    wanted: list[str] = []
    for number, piece in enumerate(pieces, start):
        if piece.slot is not None:
            wanted += [f"{number}"] if not piece.markdown.strip() else [f"{number}<", f"{number}>"]
    if to == "html":
        return re.findall(rf"<!--{secret}:(\d+[<>]?)-->", made) == wanted
    return len(re.findall(r"^#slot\(\d+\)", made, re.MULTILINE)) == sum(not w.endswith(">") for w in wanted)


def _literal(markdown: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#$~|!&])", r"\\\1", markdown)


def _pandoc(markdown: str, known: Mapping[str, Any], to: str) -> str:
    with folders.scratch() as folder:
        file = Path(folder, "prose.json")
        file.write_text(json.dumps(known), encoding="utf-8")
        flags = ["--mathml", "--wrap=none"] if to == "html" else ["--wrap=none", "--syntax-highlighting=none"]
        done = subprocess.run(
            [pandoc_path(), "-f", READS, "-t", to, *flags, "--lua-filter", str(HERE / "filter.lua")],
            input=markdown,
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "WATTSHIFT_PROSE": str(file)},
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"pandoc could not read the prose: {done.stderr.strip()}")
    return done.stdout
