"""Pages of `docs/` as HTML. Written by us, and still rendered without any markup of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.utils.safestring import SafeString
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

from hub.common.text import readable

FOLDER = settings.ROOT / "docs"


@dataclass(frozen=True, slots=True)
class Part:
    """A chapter (`## …`) or a section of it (`### …`)."""

    anchor: str
    title: str
    level: int


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    parts: Sequence[Part]
    html: SafeString  # without the title

    @property
    def chapters(self) -> Sequence[Part]:
        return [part for part in self.parts if part.level == 2]  # noqa: PLR2004

    @property
    def sections(self) -> Sequence[Part]:
        return [part for part in self.parts if part.level == 3]  # noqa: PLR2004


@cache
def read(name: str) -> Document:
    """The page `docs/<name>`, read once; each heading's anchor is its text as a slug."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse((FOLDER / name).read_text(encoding="utf-8"))
    title, rest = tokens[1].content, tokens[3:]
    parts = [_anchored(rest, place) for place, token in enumerate(rest) if _is_heading(token)]
    return Document(title, parts, readable(parser.renderer.render(rest, parser.options, {})))


def _is_heading(token: Token) -> bool:
    return token.type == "heading_open"


def _anchored(tokens: Sequence[Token], place: int) -> Part:
    opening, title = tokens[place], tokens[place + 1].content.strip("`")
    part = Part(slugify(title), title, int(opening.tag[1]))
    opening.attrSet("id", part.anchor)
    return part
