"""A language in which every message stands between ⟦ and ⟧, so that what is no message shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.translation import trans_real

LANGUAGE = "de"  # which it takes the place of
SAID = re.compile(r"⟦[^⟦⟧]*⟧")
FUNCTIONS = ("gettext", "ngettext", "pgettext", "npgettext")
VOID = frozenset(
    {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
UNREAD = frozenset({"script", "style", "code", "pre"})
READ_ALOUD = frozenset(
    {"title", "aria-label", "aria-description", "placeholder", "alt", "data-label", "label"}
)


def speak_pseudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on; what is said in the language of the record stays as it is."""
    for name in FUNCTIONS:
        monkeypatch.setattr(translation._trans, name, _marked(getattr(trans_real, name)))


def _marked(saying: Callable[..., str]) -> Callable[..., str]:
    def said(*message: Any) -> str:
        text = saying(*message)
        is_read = translation.get_language() != settings.LANGUAGE_CODE
        return f"⟦{text}⟧" if text and is_read else text

    return said


class Texts(HTMLParser):
    """What a page says, to eyes and ears, outside of messages.

    Code and what says its own language are left out. A message may hold elements, and ends with
    the element that it began in at the latest.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool, int]] = []  # elements; left out? within how many messages
        self._messages = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_foreign = tag != "html" and "lang" in given
        is_out = self._is_out or tag in UNREAD or is_foreign
        if tag not in VOID:
            self._open.append((tag, is_out, self._messages))
        if not is_out:
            for name in sorted(READ_ALOUD & given.keys()):
                self._hear(outside(given[name] or ""))

    def handle_endtag(self, tag: str) -> None:
        while any(name == tag for name, *_ in self._open):
            name, _, self._messages = self._open.pop()
            if name == tag:
                return

    def handle_data(self, data: str) -> None:
        left = []
        for letter in data:
            self._messages += letter == "⟦"
            left.append(" " if self._messages else letter)
            self._messages = max(0, self._messages - (letter == "⟧"))
        if not self._is_out:
            self._hear("".join(left))

    @property
    def _is_out(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def _hear(self, text: str) -> None:
        if left := " ".join(text.split()):
            self.found.append(left)


def outside(text: str) -> str:
    """What of an attribute is no message."""
    while SAID.search(text):
        text = SAID.sub(" ", text)
    return text
