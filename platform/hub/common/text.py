"""Text that people type, made fit to store and to show.

Control, bidirectional and invisible characters hide what a name says; a word of letters from
two alphabets imitates another. Everything else is stored as it is, in NFC, and escaped where it
is shown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from hub.common.errors import Invalid

LONGEST = 50_000
MARKS_PER_LETTER = 4  # no orthography stacks more
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
INLINE_SIDE = re.compile(r' style="text-align:(?:left|right|center)"')
ALPHABETS = ("LATIN", "CYRILLIC", "GREEK")


class UnfitText(Invalid):
    code = "unfit_text"
    title = _noop("The text holds something that cannot be stored or shown.")


def line(value: str, *, most: int, least: int = 0) -> str:
    """One line, such as a name: trimmed, NFC, visible characters of one alphabet per word."""
    text = _fit(value.strip(), most=most, least=least, allowed="")
    for word in re.findall(r"\w+", text):
        if len(set(_alphabets(word))) > 1:
            raise UnfitText(_("A word mixes letters of different alphabets."))
    return text


def paragraphs(value: str, *, most: int, least: int = 0) -> str:
    """Text of several lines, each ended by a line feed."""
    unified = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    return _fit(unified, most=most, least=least, allowed="\n\t")


def _fit(value: str, *, most: int, least: int, allowed: str) -> str:
    if len(value) > most:
        raise UnfitText(_("Text is longer than %(most)s characters.") % {"most": most})
    text = unicodedata.normalize("NFC", value)
    if not least <= len(text) <= most:
        raise UnfitText(
            _("Text has %(count)s characters, between %(least)s and %(most)s are allowed.")
            % {"count": len(text), "least": least, "most": most}
        )
    for character in text:
        if character not in allowed and unicodedata.category(character) in INVISIBLE:
            raise UnfitText(
                _("Character U+%(code)s is not allowed.") % {"code": f"{ord(character):04X}"}
            )
    if _most_marks(text) > MARKS_PER_LETTER:
        raise UnfitText(
            _("A letter carries more than %(most)s marks.") % {"most": MARKS_PER_LETTER}
        )
    return text


def _most_marks(text: str) -> int:
    most = run = 0
    for character in text:
        run = run + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        most = max(most, run)
    return most


def _alphabets(word: str) -> Iterator[str]:
    for letter in word:
        name = unicodedata.name(letter, "")
        yield from (alphabet for alphabet in ALPHABETS if name.startswith(alphabet))


def readable(html: str) -> SafeString:
    """Rendered Markdown, whose boxes of code and tables scroll: so that the keyboard reaches them.

    The sides on which columns stand are the stylesheet's to say: it lets no page style itself.
    """
    bare = INLINE_SIDE.sub("", html)
    reached = bare.replace("<pre>", '<pre tabindex="0">').replace("<table>", '<table tabindex="0">')
    return mark_safe(reached)  # noqa: S308 (it was escaped)


def isolated(name: str) -> str:
    """A name in the midst of a sentence: one that is read from the right leaves the rest alone."""
    is_from_right = any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in name)
    return f"\u2068{name}\u2069" if is_from_right else name
