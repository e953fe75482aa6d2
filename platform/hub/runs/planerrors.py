"""What pydantic refuses in a plan, as a person would say it, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from django.utils.translation import ngettext
from pydantic_core import ErrorDetails

# By the type of the error, with its figures; what is not here is told in English.
WORDS: Mapping[str, str] = {
    "greater_than": _noop("Must be greater than %(gt)s."),
    "greater_than_equal": _noop("Must be greater than or equal to %(ge)s."),
    "less_than": _noop("Must be less than %(lt)s."),
    "less_than_equal": _noop("Must be less than or equal to %(le)s."),
}


def told(error: ErrorDetails) -> str:
    """One error as a sentence."""
    figures = {name: _figure(value) for name, value in error.get("ctx", {}).items()}
    kind = error["type"]
    if kind in WORDS:
        return _(WORDS[kind]) % figures
    if kind == "too_short":
        return ngettext(
            "Needs at least %(min_length)s item, not %(actual_length)s.",
            "Needs at least %(min_length)s items, not %(actual_length)s.",
            error["ctx"]["min_length"],
        ) % {"min_length": figures["min_length"], "actual_length": figures["actual_length"]}
    return readable(str(error["msg"]))


def _figure(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def readable(message: str) -> str:
    """Pydantic's words as a person would say them."""
    text = message.removeprefix("Value error, ").replace("Input should be", "Must be")
    text = text.replace("Tuple should have", "Needs").replace(" after validation", "")
    return f"{text[:1].upper()}{text[1:]}."
