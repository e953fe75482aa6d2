"""Commit to an update before it is sent, where the plan asks for it, and wait until it may be."""

from __future__ import annotations

import logging

from agent.answers import message_of
from agent.tasks.base import Delivery
from federation.failpoints import failpoint
from federation.plan import canonical
from federation.protocol_commitments import (
    COMMITMENT_LABEL,
    CommitmentIn,
    CommitmentOut,
    CommitmentStatement,
)
from federation.signatures import key_id, public_key_of, sign_bytes

logger = logging.getLogger(__name__)


async def commit(delivery: Delivery) -> None:
    """Return once the update may be sent; heartbeats keep the lease meanwhile.

    The bytes are on disk by now, so that after a restart the same ones are committed to and sent.
    Raises Refused where the time to commit is over, or other bytes were committed to.
    """
    if delivery.entry.offer.spec.plan.rounds.commit_seconds is None:
        return
    failpoint("W21", "before")
    response = await delivery.hub.post(f"{delivery.path}/commitments", _commitment(delivery))
    failpoint("W21", "after")
    answer = message_of(CommitmentOut, response)
    if not answer.reveal:
        logger.info(
            "committed, waiting for the others", extra={"task": str(delivery.entry.offer.id)}
        )
        await delivery.may_reveal.wait()


def _commitment(delivery: Delivery) -> CommitmentIn:
    """Signed with the present key, by its own name."""
    said, key = delivery.submission["statement"], delivery.home.private_key()
    statement = CommitmentStatement.model_validate(
        {
            **{name: said[name] for name in CommitmentStatement.model_fields if name in said},
            "type": CommitmentStatement.model_fields["type"].default,
            "key_id": key_id(public_key_of(key)),
        }
    )
    signature = sign_bytes(key, COMMITMENT_LABEL, canonical(statement.model_dump(mode="json")))
    return CommitmentIn(fence=delivery.entry.offer.fence, statement=statement, signature=signature)
