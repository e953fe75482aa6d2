"""Events as the page has them: a sentence, and what its identifiers are called now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.common.feed import Told, told
from hub.common.models import Event
from hub.federations.models import Federation
from hub.organisations.models import Organisation
from hub.runs.models import Run

NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Line:
    told: Told
    organisation: Organisation | None
    federation: Federation | None
    run: Run | None

    @property
    def event(self) -> Event:
        return self.told.event


def lines_of(events: Sequence[Event]) -> list[Line]:
    """Three queries, however many they are."""
    organisations = Organisation.objects.only("name", "slug").in_bulk(
        {event.organisation_id for event in events if event.organisation_id}
    )
    federations = Federation.objects.only("name", "slug").in_bulk(
        {event.federation_id for event in events if event.federation_id}
    )
    runs = Run.objects.only("name").in_bulk({event.run_id for event in events if event.run_id})
    return [
        Line(
            one,
            organisations.get(one.event.organisation_id or NOBODY),
            federations.get(one.event.federation_id or NOBODY),
            runs.get(one.event.run_id or NOBODY),
        )
        for one in told(events)
    ]
