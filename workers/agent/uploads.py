"""Bring an update's bytes to the hub, part by part (tus 1.0); a cut costs at most one part.

A part is a 32nd of the whole, so that what a cut costs stays small beside it, but not so small
that the questions between the parts cost more; and never more than what passes in some seconds,
because a signature does not live for long. While one is on its way the next is read and hashed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256 as new_sha256
from http import HTTPStatus
from pathlib import Path

from agent.answers import message_of
from agent.bandwidth import cap
from agent.client import HubClient
from agent.errors import Away, Refused
from agent.journal import Entry
from agent.retries import persistently
from federation.failpoints import When, failpoint
from federation.protocol import Progress, UploadIn, UploadOut

PARTS = 32
USUAL_PART = 1 << 20  # bytes; of a small update, where the hub takes as much
SMALLEST_PART = 64 << 10
PART_SECONDS = 20.0
TRIES = 3

FINISHED = "upload_finished"
ELSEWHERE = "offset_mismatch"
BEGIN_AGAIN = frozenset({"upload_closed", "digest_mismatch"})

Show = Callable[[Progress], None]


async def upload(hub: HubClient, entry: Entry, *, sha256: str, size_bytes: int, show: Show) -> None:
    """Upload the update's file; whole already, or after a restart, only the rest is sent."""
    for tries_left in reversed(range(TRIES)):
        known = entry.session
        session = known or await _announce(hub, entry, sha256, size_bytes)
        if session.complete:
            return
        offset = None if known else session.offset
        try:
            file = entry.update_file
            await _Sender(hub, session, file, size_bytes, show, offset).send()
        except Refused as refusal:
            if not tries_left or not _begins_again(refusal):
                raise
            entry.drop_session()
        else:
            entry.keep_session(session.model_copy(update={"complete": True}))
            return


async def _announce(hub: HubClient, entry: Entry, sha256: str, size_bytes: int) -> UploadOut:
    """Open a session, or find the one that this agent has open for these bytes."""
    failpoint("W05", "before")
    message = UploadIn(fence=entry.offer.fence, sha256=sha256, size_bytes=size_bytes)
    response = await hub.post(f"/api/v1/agent/tasks/{entry.offer.id}/uploads", message)
    session = message_of(UploadOut, response)
    entry.keep_session(session)
    failpoint("W05", "after")
    return session


def _begins_again(refusal: Refused) -> bool:
    """The session is of no more use; whether the task still is, a new one will tell."""
    gone = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}  # HEAD answers have no code
    return refusal.code in BEGIN_AGAIN or refusal.status in gone


def largest_part(size_bytes: int, chunk_bytes: int) -> int:
    """The most that one request brings, for an upload to a hub that takes `chunk_bytes`."""
    return min(chunk_bytes, max(USUAL_PART, size_bytes // PARTS))


@dataclass(frozen=True, slots=True)
class _Part:
    begin: int
    content: bytes
    sha256: bytes


def _read(file: Path, begin: int, size_bytes: int) -> _Part:
    with file.open("rb") as opened:
        opened.seek(begin)
        content = opened.read(size_bytes)
    return _Part(begin, content, new_sha256(content).digest())


@dataclass(slots=True)
class _Sender:
    hub: HubClient
    session: UploadOut
    file: Path
    size_bytes: int
    show: Show
    offset: int | None  # None: only the hub knows how far it has come
    part_bytes: int = field(init=False)  # shrinks on a bad line, so that some parts get through
    next_part: asyncio.Task[_Part] | None = None

    def __post_init__(self) -> None:
        self.part_bytes = self._at_pace(
            allowed.up.bytes_per_second if (allowed := cap()) else math.inf
        )

    async def send(self) -> None:
        """Send at least one part: where none is missing, an empty one has the hub finish."""
        begun = False
        try:
            while not begun or self.offset is None or self.offset < self.size_bytes:
                await persistently(self._advance)
                begun = True
                self._report()
        finally:
            if self.next_part:
                self.next_part.cancel()

    def _report(self) -> None:
        unit = self._largest_part
        done, steps = -(-(self.offset or 0) // unit), -(-self.size_bytes // unit)
        self.show(Progress(phase="uploading", step=done, steps=steps))

    async def _advance(self) -> None:
        """Send one part, once; after a broken line, ask first how far the hub has come."""
        begin = await self._asked() if self.offset is None else self.offset
        self.offset = None
        part, began = await self._part(begin), time.monotonic()
        try:
            self.offset = await self._sent(part)
        except Away:
            self.part_bytes = max(self.part_bytes // 2, min(SMALLEST_PART, self._largest_part))
            raise
        speed = len(part.content) / max(time.monotonic() - began, 1e-3)
        self.part_bytes = min(self.part_bytes * 2, self._at_pace(speed))

    async def _part(self, begin: int) -> _Part:
        """The part that begins here, read in advance or now; then have the one after it read."""
        ready, self.next_part = self.next_part, None
        part = await ready if ready else None
        if part is None or part.begin != begin or len(part.content) > self.part_bytes:
            part = await self._reading(begin)
        if (after := begin + len(part.content)) < self.size_bytes:
            self.next_part = self._reading(after)
        return part

    def _reading(self, begin: int) -> asyncio.Task[_Part]:
        return asyncio.create_task(asyncio.to_thread(_read, self.file, begin, self.part_bytes))

    async def _asked(self) -> int:
        headers = {"Tus-Resumable": "1.0.0"}
        response = await self.hub.request("HEAD", self._path, headers=headers, patience=0)
        return int(response.headers["Upload-Offset"])

    async def _sent(self, part: _Part) -> int:
        """Send a part; return where the hub expects the next."""
        is_last = part.begin + len(part.content) >= self.size_bytes
        _failpoints("before", is_last=is_last)
        headers = {
            "Content-Type": "application/offset+octet-stream",
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": str(part.begin),
        }
        try:
            response = await self.hub.request(
                "PATCH",
                self._path,
                content=part.content,
                sha256=part.sha256,
                headers=headers,
                patience=0,
            )
        except Refused as refusal:
            return self._corrected(refusal)
        _failpoints("after", is_last=is_last)
        return int(response.headers["Upload-Offset"])

    def _corrected(self, refusal: Refused) -> int:
        """What a refused part says about how far the hub has come."""
        if refusal.code == FINISHED:
            return self.size_bytes
        if refusal.code == ELSEWHERE:
            raise Away(refusal.code) from refusal
        raise refusal

    @property
    def _largest_part(self) -> int:
        return largest_part(self.size_bytes, self.session.chunk_bytes)

    def _at_pace(self, bytes_per_second: float) -> int:
        """As much as passes within some seconds at this speed."""
        passes = max(SMALLEST_PART, int(min(bytes_per_second * PART_SECONDS, self.size_bytes)))
        return min(passes, self._largest_part)

    @property
    def _path(self) -> str:
        return f"/api/v1/agent/uploads/{self.session.id}"


def _failpoints(when: When, *, is_last: bool) -> None:
    failpoint("W06", when)
    if is_last:
        failpoint("W08", when)
