"""What happened, in plain sentences: the feed of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.common.models import Event
from hub.common.sentences import sentence
from hub.common.templatetags.foedus import STATES
from hub.runs.doings import in_words

CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
DRAWINGS: Mapping[str, str] = {"drafted": "draft"}


@dataclass(frozen=True, slots=True)
class Told:
    """An event as a sentence, with the state that gives it tone and drawing."""

    event: Event
    sentence: str
    state: str


def told(events: Iterable[Event]) -> list[Told]:
    return [_told(event) for event in events]


def _told(event: Event) -> Told:
    if event.kind == "task.cancelled":
        event.reason = ""  # the round's or the run's, which stands beside it
    elif CODE.fullmatch(event.reason):
        event.reason = in_words(event.reason)
    return Told(event, f"{sentence(event).rstrip('.')}.", _state(event))


def _state(event: Event) -> str:
    what = event.kind.partition(".")[2]
    what = DRAWINGS.get(what, what)
    return what if what in STATES else event.to_state
