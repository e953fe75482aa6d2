"""What is said of a base model beside its files."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from django.utils.translation import gettext as _

from hub.catalogue.errors import BaseModelRefused
from hub.common import text
from hub.common.services import RESERVED

SLUG = re.compile(r"[a-z0-9](-?[a-z0-9]+)*")
LONGEST_SLUG = 80
LONGEST_LICENCE = 200_000


@dataclass(frozen=True, slots=True)
class Facts:
    slug: str  # its name in base/<slug>
    name: str  # what people read
    licence: str  # SPDX identifier, such as Apache-2.0
    licence_text: str = ""
    must_accept: bool = False  # each organisation, before it gets a file
    description: str = ""
    source: str = ""  # where it comes from

    @classmethod
    def of(cls, **given: Any) -> Self:
        """Made fit to store and to show.

        Raises:
            BaseModelRefused, UnfitText: it cannot be.
        """
        said = cls(**given)
        is_named = SLUG.fullmatch(said.slug) and said.slug not in RESERVED
        if not is_named or len(said.slug) > LONGEST_SLUG:
            raise BaseModelRefused(
                _("%(slug)s is no name in lower-case letters, digits and hyphens")
                % {"slug": repr(said.slug[:80])}
            )
        return replace(
            said,
            name=text.line(said.name, least=1, most=120),
            licence=text.line(said.licence, least=1, most=60),
            licence_text=text.paragraphs(said.licence_text, most=LONGEST_LICENCE),
            description=text.line(said.description, most=1000),
            source=text.line(said.source, most=300),
        )

    @property
    def columns(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "slug"}

    def with_licence_of(self, content: bytes) -> Self:
        """Take the text from a LICENSE file where none was given.

        Raises:
            BaseModelRefused: it must be accepted, and there is nothing to read.
        """
        found = self.licence_text or _readable(content)
        if self.must_accept and not found:
            raise BaseModelRefused(_("a licence that must be accepted has a text to be read"))
        return replace(self, licence_text=found)


def _readable(content: bytes) -> str:
    """The text of a file, without what cannot be shown; licences come in every encoding."""
    shown = (c for c in content.decode("utf-8", "replace") if c.isprintable() or c in "\n\t")
    return "".join(shown).strip()[:LONGEST_LICENCE]
