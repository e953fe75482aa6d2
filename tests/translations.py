"""Catalogues of translations: what code and templates say, and what each language says to it.

`make messages` brings the catalogues up to date; a test says where that is due. What
is on record stays in the words of its time, so only what is said anew is found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import allauth
from babel.messages import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation.template import templatize

from federation.plan import Plan
from hub.audit.forms import KINDS, SUBJECTS
from hub.common.sentences import DOING, PATTERNS
from hub.common.templatetags.foedus import SPANS, STATES

ROOT = Path(__file__).parents[1]
LOCALES = ROOT / "frontend" / "locale"
TEMPLATES = ROOT / "frontend" / "templates"
CODE = ROOT / "platform" / "hub"
SAYING = {
    "_": None,
    "_lazy": None,
    "_noop": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
# What Django makes of a template is made for another extractor: only its calls are Python.
TEXT = r"""u?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
CALL = re.compile(rf"\bn?p?gettext\((?:{TEXT}|\w+)(?:, *(?:{TEXT}|\w+))*\)")
ALLAUTH = Path(allauth.__file__).parent / "locale" / "de" / "LC_MESSAGES" / "django.po"
UNUSED = re.compile(r"\b(?:idp|phone|phone_change)\b")  # parts of it that the hub does not have
FAMILIAR = re.compile(
    r"\b(?:du|dich|dir|dein\w*|bitte (?:wähle|versuche|bestätige|kontaktiere))\b", re.IGNORECASE
)
HEADER = "# What Foedus says, in {language}. Brought up to date by make messages.\n#"


def said() -> Catalog:
    """All messages, each with the files in which it stands."""
    catalogue = Catalog()
    for name, source in _sources():
        for _, message, comments, context in extract(
            "python", BytesIO(source.encode()), SAYING, ["Translators:"]
        ):
            flags = _flags(message)
            catalogue.add(
                message,
                locations=[(name, None)],
                auto_comments=comments,
                context=context,
                flags=flags,
            )
    return catalogue


def _sources() -> Iterator[tuple[str, str]]:
    for path in sorted(CODE.rglob("*.py")):
        yield str(path.relative_to(ROOT)), path.read_text()
    for path in sorted([*TEMPLATES.rglob("*.html"), *TEMPLATES.rglob("*.txt")]):
        name = str(path.relative_to(ROOT))
        calls = CALL.finditer(templatize(path.read_text(), origin=name))
        yield name, "".join(f"{call.group()}\n" for call in calls)

    yield "the schema of plans", _calls(_schema(Plan.model_json_schema()))
    yield "what events say", _calls([*PATTERNS.values(), *DOING.values()])
    yield "allauth", _calls(_familiar())
    yield "kinds of events", _calls([*SUBJECTS.values(), *KINDS.values()])
    yield "states", _calls(state.replace("_", " ") for state in STATES)
    for ago, many_ago, ahead, many_ahead in SPANS.values():
        yield "spans", f"ngettext({ago!r}, {many_ago!r}, 1)\nngettext({ahead!r}, {many_ahead!r}, 1)"


def _calls(texts: Iterable[str]) -> str:
    return "".join(f"_({text!r})\n" for text in texts)


def _familiar() -> Iterator[str]:
    """What allauth's own catalogue says as to friends: pages speak German to strangers."""
    with ALLAUTH.open("rb") as file:
        for one in read_po(file, locale="de"):
            is_ours = any(not UNUSED.search(name) for name, _ in one.locations)
            if is_ours and isinstance(one.id, str) and FAMILIAR.search(str(one.string)):
                yield one.id


def _schema(part: object) -> Iterator[str]:
    """Titles and descriptions, which forms show."""
    if isinstance(part, Mapping):
        yield from (part[key] for key in ("title", "description") if isinstance(part.get(key), str))
        for inner in part.values():
            yield from _schema(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _schema(inner)


def _flags(message: str | tuple[str, ...]) -> list[str]:
    one = message if isinstance(message, str) else message[0]
    return ["python-format"] if "%(" in one else []


def languages() -> list[str]:
    """Those that pages speak beside the one that they are written in."""
    return [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


def file_of(language: str) -> Path:
    return LOCALES / language / "LC_MESSAGES" / "django.po"


def catalogue_of(language: str) -> Catalog:
    if not file_of(language).exists():
        return Catalog(locale=language)
    with file_of(language).open("rb") as file:
        return read_po(file, locale=language)


def brought_up(language: str) -> Catalog:
    """The language's catalogue with what is said now; what is not yet translated is empty."""
    catalogue = catalogue_of(language)
    catalogue.update(said(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.header_comment = HEADER.format(language=language)
    return catalogue


def written(catalogue: Catalog) -> bytes:
    file = BytesIO()
    write_po(file, catalogue, width=100, omit_header=False, sort_output=True, include_lineno=False)
    lines = file.getvalue().splitlines(keepends=True)
    dated = (b'"POT-Creation-Date', b'"PO-Revision-Date', b'"Generated-By', b'"Last-Translator')
    return b"".join(line for line in lines if not line.startswith(dated))


def compiled(catalogue: Catalog) -> bytes:
    """The same bytes for the same messages, whenever they are made."""
    catalogue.creation_date = datetime(2000, 1, 1, tzinfo=UTC)
    file = BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def main() -> None:
    for language in languages():
        catalogue = brought_up(language)
        file_of(language).parent.mkdir(parents=True, exist_ok=True)
        file_of(language).write_bytes(written(catalogue))
        file_of(language).with_suffix(".mo").write_bytes(compiled(catalogue_of(language)))
        missing = sum(not one.string for one in catalogue if one.id)
        print(f"{language}: {len(catalogue)} messages, {missing} not translated")
