"""What is said about one leased task: heartbeats, failure, handing back."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from agent.answers import message_of
from agent.client import HubClient
from agent.errors import AgentFault, Away, Refused, TaskGone
from agent.journal import Entry
from agent.retries import FOR_EVER
from federation.protocol import (
    FailureIn,
    HeartbeatIn,
    HeartbeatOut,
    Message,
    Progress,
    ReleaseIn,
    TaskOffer,
    Verdict,
)

logger = logging.getLogger(__name__)

FIRST_BEAT_SECONDS = 1.0  # so that also a short task is seen to move
RELEASE_SECONDS = 5.0
NOT_UNDERSTOOD = "offer_not_understood"


@dataclass(slots=True)
class Lease:
    """A task that is ours until the hub says otherwise."""

    hub: HubClient
    entry: Entry
    shown: Progress | None = None  # instead of the worker's progress, once it is done
    # Set once the hub says that the update may be sent, where it is committed to first.
    may_reveal: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def facts(self) -> dict[str, object]:
        offer = self.entry.offer
        return {"task": str(offer.id), "type": str(offer.spec.type), "round": offer.round}

    def show(self, progress: Progress) -> None:
        """Say this with the next heartbeat."""
        self.shown = progress

    async def keep(self) -> None:
        """Beat for ever. Raises TaskGone when the hub says that the task is not ours any more."""
        every = self.entry.offer.heartbeat_seconds
        await asyncio.sleep(min(every, FIRST_BEAT_SECONDS))
        while True:
            with suppress(Away):
                await self.beat(patience=every)
            await asyncio.sleep(every)

    async def beat(self, *, patience: float = FOR_EVER) -> None:
        progress = self.shown or self.entry.progress
        message = HeartbeatIn(fence=self.entry.offer.fence, progress=progress)
        path = f"{self._path}/heartbeats"
        try:
            response = await self.hub.post(path, message, patience=patience)
        except Refused as refusal:
            if refusal.is_final:
                raise
            raise TaskGone(refusal.code) from refusal
        answer = message_of(HeartbeatOut, response)
        if answer.verdict == Verdict.CANCEL:
            raise TaskGone(answer.reason or "cancelled", told=True)
        if answer.reveal:
            self.may_reveal.set()

    async def beat_after_restart(self) -> None:
        """Renew the lease, if it still is ours.

        A task whose bytes are all at the hub may have been submitted just before the agent died.
        Then it is over for the hub, but we have no receipt yet: submitting decides.
        """
        try:
            await self.beat()
        except TaskGone:
            if not (self.entry.session and self.entry.session.complete):
                raise

    async def fail(self, failure: FailureIn) -> None:
        """Tell why the task is not done; raises Refused when nobody waits for it any more."""
        facts = {**self.facts, "code": failure.code, "detail": failure.detail}
        logger.warning("task failed", extra=facts)
        await self._post("failures", failure)

    async def give_back(self) -> bool:
        """Let another agent take the task at once; False if the hub could not be told."""
        message = ReleaseIn(fence=self.entry.offer.fence)
        try:
            await self._post("release", message, patience=RELEASE_SECONDS)
        except Refused:
            return True  # then it was not ours any more
        except Away:
            return False
        return True

    async def _post(self, what: str, message: Message, *, patience: float = FOR_EVER) -> None:
        await self.hub.post(f"{self._path}/{what}", message, patience=patience)

    @property
    def _path(self) -> str:
        return f"/api/v1/agent/tasks/{self.entry.offer.id}"


class _Trace(BaseModel):
    """What must be readable of an offer for its lease to be ended; anything else may be new."""

    id: UUID
    fence: int


async def understood(hub: HubClient, response: httpx.Response) -> TaskOffer:
    """The offer. Raises AgentFault where it is not understood, after its lease has been ended."""
    try:
        return message_of(TaskOffer, response)
    except ValidationError as error:
        fields = error.error_count()
        await _refuse(hub, response, detail=f"{fields} fields are not understood")
        told = f"The hub's offer is not understood ({fields} fields): upgrade the agent."
        raise AgentFault(told) from error


async def _refuse(hub: HubClient, response: httpx.Response, *, detail: str) -> None:
    """Tell the hub at once, so that another agent may try it, as far as the offer says its name."""
    with suppress(ValidationError, Refused, Away):
        offer = _Trace.model_validate_json(response.content)
        failure = FailureIn(fence=offer.fence, code=NOT_UNDERSTOOD, detail=detail)
        path = f"/api/v1/agent/tasks/{offer.id}/failures"
        await hub.post(path, failure, patience=RELEASE_SECONDS)
