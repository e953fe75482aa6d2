"""What happened, in plain sentences, as feeds show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.common.models import Event
from hub.common.sentences import sentence
from hub.common.templatetags.foedus import STATES

DRAWINGS: Mapping[str, str] = {"drafted": "draft"}


@dataclass(frozen=True, slots=True)
class Told:
    """An event as a sentence, with the state that gives it tone and drawing."""

    event: Event
    sentence: str
    state: str


def told(events: Iterable[Event]) -> list[Told]:
    return [Told(event, f"{sentence(event).rstrip('.')}.", _state(event)) for event in events]


def _state(event: Event) -> str:
    what = event.kind.partition(".")[2]
    what = DRAWINGS.get(what, what)
    return what if what in STATES else event.to_state
