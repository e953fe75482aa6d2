"""The live page of a run: a stream that names the parts of the page which are out of date.

A message says only «fetch this part again»; what a part shows is read when it is fetched. So a
lost message costs nothing but time, and no message can tell what its reader may not see.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from hub.accounts.models import User
from hub.common.selectors import events_after
from hub.common.wakeups import listener
from hub.runs.models import Run
from hub.runs.selectors import runs_visible_to, stopping_tasks

# What an event makes out of date, by the subject of its kind.
PARTS: Mapping[str, frozenset[str]] = {
    "run": frozenset({"state", "sentence", "summary", "now", "rounds", "feed", "charts"}),
    "round": frozenset({"sentence", "summary", "now", "rounds", "feed", "charts"}),
    "task": frozenset({"sentence", "summary", "now", "feed"}),
    "update": frozenset({"sentence", "summary", "now", "rounds", "feed"}),
}
EVERYTHING = PARTS["run"]
HEARTBEAT = frozenset({"summary", "now", "charts"})  # leaves no event
PACE: Mapping[str, float] = {"charts": 4.0}  # seconds between two messages about one part
USUAL_PACE = 1.0
BREATH = 0.25  # seconds between two looks, however often somebody wakes us
LOOK_AGAIN = 5.0  # seconds; a lost wake-up delays the page by no more than this
PING = 15.0  # seconds of silence that no proxy takes for death
STOPPING = 30.0  # seconds that agents have to confirm that they have stopped
LONGEST = 1800.0  # seconds; then the browser comes again, and is asked again who it is
RETRY_MS = 2000
OVERLAP = 64  # ids are taken before the commit: how far behind the newest one a new one may show
MOST = 500  # events in one look; who has missed more fetches everything
LONGEST_ID = 18  # digits


@require_GET
@login_required
def events(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """Server-sent events of a run, from where the browser stopped until the run has ended."""
    if not runs_visible_to(cast("User", request.user)).filter(pk=pk).exists():
        raise Http404
    return StreamingHttpResponse(
        Stream(pk, last_id=_last_id(request)).messages(),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


def _last_id(request: HttpRequest) -> int | None:
    """The header comes from a browser that reconnects by itself: newer than its address."""
    given = request.headers.get("Last-Event-ID") or request.GET.get("last_event_id", "")
    return int(given) if given.isdecimal() and len(given) <= LONGEST_ID else None


@dataclass(frozen=True, slots=True)
class Look:
    """What the database says: whether the run is over, and its newest events, kinds by id."""

    is_final: bool
    kinds: Mapping[int, str]


def look(run_id: UUID, *, after: int | None) -> Look:
    """Read in a thread of the pool, and give the connection back at once."""
    try:
        run = Run.objects.only("state").get(pk=run_id)
        # Read after the state: a final state is never without the events that led to it.
        newest = events_after(after=max(0, (after or 0) - OVERLAP), run_id=run_id)
        kinds = newest.order_by("-id").values_list("id", "kind")[: 1 if after is None else MOST]
        return Look(run.is_final and not _is_stopping(run_id), dict(kinds))
    finally:
        connection.close()


def _is_stopping(run_id: UUID) -> bool:
    """Whether agents have yet to say that they have stopped. One that is away never will."""
    since = timezone.now() - timedelta(seconds=STOPPING)
    return stopping_tasks(run_id, since=since).exists()


class Stream:
    """One reader of a run's page."""

    def __init__(self, run_id: UUID, *, last_id: int | None) -> None:
        """`last_id` is the newest event that the page shows; unknown, all of it is out of date."""
        self.run_id = run_id
        self.last_id = last_id
        self.known: frozenset[int] | None = None
        self.pace = Pace()
        self.is_final = False

    async def messages(self) -> AsyncIterator[str]:
        yield f"retry: {RETRY_MS}\n\n"
        began = spoke = time.monotonic()
        async with listener().watch([f"run:{self.run_id}"]) as watch:
            while time.monotonic() - began < LONGEST:
                await self._look()
                for part in self.pace.due(at_once=self.is_final):
                    yield self._message(part)
                    spoke = time.monotonic()
                if self.is_final:
                    yield self._message("final")
                    return
                if time.monotonic() - spoke >= PING:
                    yield ": ping\n\n"
                    spoke = time.monotonic()
                await asyncio.sleep(BREATH)
                rest = min(LOOK_AGAIN, self.pace.rest(), spoke + PING - time.monotonic())
                if await watch.wait(max(rest, 0.0)):
                    self.pace.ask(HEARTBEAT)

    async def _look(self) -> None:
        seen = await sync_to_async(look, thread_sensitive=False)(self.run_id, after=self.last_id)
        self.is_final = seen.is_final
        self.pace.ask(self._outdated(seen))
        self.known = frozenset(seen.kinds)
        self.last_id = max(self.last_id or 0, *seen.kinds, 0)

    def _outdated(self, seen: Look) -> frozenset[str]:
        if self.last_id is None or len(seen.kinds) == MOST:
            return EVERYTHING
        known, last = self.known, self.last_id
        new = (
            kind
            for number, kind in seen.kinds.items()
            if (number > last if known is None else number not in known)
        )
        return frozenset().union(*(PARTS.get(kind.partition(".")[0], EVERYTHING) for kind in new))

    def _message(self, name: str) -> str:
        return f"id: {self.last_id}\nevent: {name}\ndata: {self.last_id}\n\n"


@dataclass(slots=True)
class Pace:
    """Which parts are out of date, and when each may be named again."""

    asked: set[str] = field(default_factory=set)
    named_at: dict[str, float] = field(default_factory=dict)

    def ask(self, parts: frozenset[str]) -> None:
        self.asked |= parts

    def due(self, *, at_once: bool) -> list[str]:
        """Parts to name now, in a fixed order; they count as up to date from here on."""
        now = time.monotonic()
        found = sorted(part for part in self.asked if at_once or self._wait(part, now) <= 0)
        self.asked.difference_update(found)
        self.named_at.update(dict.fromkeys(found, now))
        return found

    def rest(self) -> float:
        """Seconds until the next part is due; for ever when none is asked for."""
        now = time.monotonic()
        return min((self._wait(part, now) for part in self.asked), default=LONGEST)

    def _wait(self, part: str, now: float) -> float:
        if part not in self.named_at:
            return 0.0
        return self.named_at[part] + PACE.get(part, USUAL_PACE) - now
