"""Bring an update's bytes to the hub, part by part (tus 1.0); a cut costs at most one part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import BinaryIO

from agent.client import HubClient
from agent.errors import Away, Refused
from agent.journal import Entry
from agent.retries import persistently
from federation.failpoints import When, failpoint
from federation.protocol import Progress, UploadIn, UploadOut

LARGEST_PART = 8 << 20  # bytes; the hub may take more, but a cut costs a whole part
SMALLEST_PART = 64 << 10
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
            with entry.update_file.open("rb") as file:
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
    session = UploadOut.model_validate_json(response.content)
    entry.keep_session(session)
    failpoint("W05", "after")
    return session


def _begins_again(refusal: Refused) -> bool:
    """The session is of no more use; whether the task still is, a new one will tell."""
    gone = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}  # HEAD answers have no code
    return refusal.code in BEGIN_AGAIN or refusal.status in gone


@dataclass(slots=True)
class _Sender:
    hub: HubClient
    session: UploadOut
    file: BinaryIO
    size_bytes: int
    show: Show
    offset: int | None  # None: only the hub knows how far it has come
    part_bytes: int = field(init=False)  # shrinks on a bad line, so that some parts get through

    def __post_init__(self) -> None:
        self.part_bytes = self._largest_part

    async def send(self) -> None:
        """Send at least one part: where none is missing, an empty one has the hub finish."""
        begun = False
        while not begun or self.offset is None or self.offset < self.size_bytes:
            await persistently(self._advance)
            begun = True
            self._report()

    def _report(self) -> None:
        unit = self._largest_part
        done, steps = -(-(self.offset or 0) // unit), -(-self.size_bytes // unit)
        self.show(Progress(phase="uploading", step=done, steps=steps))

    async def _advance(self) -> None:
        """Send one part, once; after a broken line, ask first how far the hub has come."""
        begin = await self._asked() if self.offset is None else self.offset
        self.offset = None
        try:
            self.offset = await self._sent(begin)
        except Away:
            self.part_bytes = max(self.part_bytes // 2, min(SMALLEST_PART, self._largest_part))
            raise
        self.part_bytes = min(self.part_bytes * 2, self._largest_part)

    async def _asked(self) -> int:
        headers = {"Tus-Resumable": "1.0.0"}
        response = await self.hub.request("HEAD", self._path, headers=headers, patience=0)
        return int(response.headers["Upload-Offset"])

    async def _sent(self, begin: int) -> int:
        """Send the part that begins here; return where the hub expects the next."""
        self.file.seek(begin)
        part = self.file.read(self.part_bytes)
        is_last = begin + len(part) >= self.size_bytes
        _failpoints("before", is_last=is_last)
        headers = {
            "Content-Type": "application/offset+octet-stream",
            "Tus-Resumable": "1.0.0",
            "Upload-Offset": str(begin),
        }
        try:
            response = await self.hub.request(
                "PATCH", self._path, content=part, headers=headers, patience=0
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
        return min(self.session.chunk_bytes, LARGEST_PART)

    @property
    def _path(self) -> str:
        return f"/api/v1/agent/uploads/{self.session.id}"


def _failpoints(when: When, *, is_last: bool) -> None:
    failpoint("W06", when)
    if is_last:
        failpoint("W08", when)
