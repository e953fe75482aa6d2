"""What the pages of a federation's charter show one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.core.paginator import Page, Paginator
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hub.federations.charters.diffing import Line, difference
from hub.federations.charters.selectors import signatures_under
from hub.federations.models import CharterVersion, Federation, Participation
from hub.federations.selectors import Seat, Standpoint

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Signed:
    """An organisation's line below a text; without `at`, it has still to sign."""

    organisation: str
    by: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class CharterBoard:
    """The charter as it is, as it was, and who has signed it. `number`: of the text to show."""

    federation: Federation
    standpoint: Standpoint
    number: int
    page: str | None = None
    older: str | None = None

    @cached_property
    def _texts(self) -> Mapping[int, CharterVersion]:
        """The shown text, and the one before it."""
        wanted = (self.number, self.number - 1)
        texts = self.federation.charter_versions.filter(number__in=wanted)
        return {text.number: text for text in texts}

    @property
    def shown(self) -> CharterVersion | None:
        return self._texts.get(self.number)

    @property
    def is_present(self) -> bool:
        return self.number == self.federation.charter_number

    @cached_property
    def changes(self) -> Sequence[Line]:
        """What the shown text changed in the one before it."""
        before = self._texts.get(self.number - 1)
        return difference(before.text, self._texts[self.number].text) if before else []

    @cached_property
    def versions(self) -> Page[CharterVersion]:
        texts = self.federation.charter_versions.defer("text").order_by("-number")
        leaves: Any = Paginator(texts, SHOWN)
        leaves.count = self.federation.charter_number  # they are numbered without a gap
        page: Page[CharterVersion] = leaves.get_page(self.older)
        return page

    @cached_property
    def signatures(self) -> Page[Signed]:
        """Below the shown text, for those who are inside: who is awaited comes first."""
        if self.is_present:
            return Paginator(self._present(), SHOWN).get_page(self.page)
        page: Any = Paginator(signatures_under(self.shown), SHOWN).get_page(self.page)
        page.object_list = [
            Signed(one.participation.organisation.name, one.signed_by.name, one.signed_at)
            for one in page
        ]
        return page  # type: ignore[no-any-return]

    def _present(self) -> Sequence[Signed]:
        signed = [
            Signed(seat.place.organisation.name, seat.place.signed_by.name, seat.place.signed_at)
            for seat in self.standpoint.seats
            if seat.is_active and self._has_signed(seat)
        ]
        return [*(Signed(place.organisation.name) for place in self.missing), *signed]

    @cached_property
    def missing(self) -> Sequence[Participation]:
        """Members that have not signed the present text."""
        return unsigned_of(self.federation, self.standpoint)

    @property
    def awaited(self) -> str:
        return awaited_words(self.missing)

    @property
    def to_sign(self) -> Sequence[Seat]:
        """The reader's own places for which they may sign now."""
        own = self.standpoint.own if self.is_present else ()
        return [seat for seat in own if seat.may_sign and not self._has_signed(seat)]

    def _has_signed(self, seat: Seat) -> bool:
        return seat.place.charter_number == self.federation.charter_number


def unsigned_of(federation: Federation, standpoint: Standpoint) -> Sequence[Participation]:
    """`unsigned_places` of what is read already."""
    active = (seat.place for seat in standpoint.seats if seat.is_active)
    return [place for place in active if place.charter_number != federation.charter_number]


def awaited_words(missing: Sequence[Participation]) -> str:
    """What waits for whom, in two sentences; empty: for nobody."""
    if not missing:
        return ""
    names = get_text_list([place.organisation.name for place in missing], _("and"))
    return ngettext(
        "No run starts and no round opens until %(names)s has signed it. What waits then goes on "
        "by itself.",
        "No run starts and no round opens until %(names)s have signed it. What waits then goes on "
        "by itself.",
        len(missing),
    ) % {"names": names}
