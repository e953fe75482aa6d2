"""What happened in a run, in plain sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hub.common import feed
from hub.common.feed import Told
from hub.common.models import Event
from hub.runs.doings import in_words

CODE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")


def told(events: Iterable[Event]) -> list[Told]:
    return feed.told(_readable(event) for event in events)


def _readable(event: Event) -> Event:
    if event.kind == "task.cancelled":
        event.reason = ""  # the round's or the run's, which stands beside it
    elif CODE.fullmatch(event.reason):
        event.reason = in_words(event.reason)
    return event
