"""Train the shared adapter for one round on the site's data, and send the result."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.answers import message_of
from agent.arrangement import Choice, Mode, arranged
from agent.coding import encode, keep_residual, trained_file
from agent.committing import commit
from agent.controlling import memory_of
from agent.errors import Refused
from agent.files import sha256_of
from agent.journal import Entry
from agent.receipts import keep_receipt
from agent.tasks.base import Delivery, Work, task_types
from agent.together import Lesson, trained_together
from agent.uploads import upload
from federation.failpoints import failpoint
from federation.modelling.messages import Checkpointing
from federation.plan import canonical
from federation.protocol import (
    CONTROL_LOST,
    Receipt,
    TaskType,
    TrainSpec,
    UpdateIn,
    UpdateStatement,
)
from federation.signatures import key_id, public_key_of, sign_bytes

if TYPE_CHECKING:
    from federation.modelling import Trained

logger = logging.getLogger(__name__)

LABEL = "fl-update-v1"
CHECKPOINT_SECONDS = "AGENT_CHECKPOINT_SECONDS"  # environment: between two checkpoints
USUAL_SECONDS = 60.0


@task_types.register(TaskType.TRAIN)
class Train:
    def perform(self, work: Work) -> UpdateIn:
        spec = work.entry.offer.spec
        assert isinstance(spec, TrainSpec)
        examples = work.examples("train", spec.plan)
        base, start = work.fetcher.base(spec.base), _start(work, spec)
        memory = memory_of(work, spec, start)
        from federation.modelling import train

        work.reporter.enter("training")
        lesson = partial(
            train,
            base=base,
            plan=spec.plan,
            start=start,
            rank=spec.rank,
            seed=spec.seed,
            examples=examples,
            target=trained_file(work.entry),
            checkpointing=_checkpointing(work.entry),
            round_number=work.entry.offer.round,
            correction=memory.correction() if memory else None,
        )
        choice = arranged(
            work.devices,
            base=base,
            plan=spec.plan,
            start=start,
            examples=len(examples),
            round_number=work.entry.offer.round,
        )
        trained = _trained(work, lesson, choice)
        encode(work.home, work.entry, spec, start)
        is_lost = memory is not None and memory.is_lost
        said = _statement(work, spec, trained, {CONTROL_LOST: 1.0} if is_lost else {})
        message = _signed(work, said)
        if memory:
            memory.keep(message.statement)
        return message

    async def upload(self, delivery: Delivery) -> None:
        statement = delivery.submission["statement"]
        await commit(delivery)
        await upload(
            delivery.hub,
            delivery.entry,
            sha256=statement["update_sha256"],
            size_bytes=statement["size_bytes"],
            show=delivery.show,
        )

    async def submit(self, delivery: Delivery) -> None:
        """Hand in the statement; if the hub lost bytes on the way, they are sent once more."""
        try:
            await _submit(delivery)
        except Refused as refusal:
            if refusal.code != "upload_incomplete":
                raise
            delivery.entry.drop_session()
            await self.upload(delivery)
            await _submit(delivery)


def _trained(work: Work, lesson: Lesson, choice: Choice) -> Trained:
    if choice.mode is Mode.SINGLE:
        on_step = partial(work.reporter.step, "training")
        return lesson(device=work.devices[0], on_step=on_step)
    facts = {"task": str(work.entry.offer.id), "mode": str(choice.mode), "reason": choice.reason}
    logger.info("training is shared", extra=facts)
    return trained_together(work, lesson, is_sharded=choice.mode is Mode.FSDP)


def _start(work: Work, spec: TrainSpec) -> Path:
    """The shared adapter's leading components, as many as this participation trains."""
    from federation.tensors import cut_rank

    start = work.entry.folder / "start.safetensors"
    cut_rank(work.fetcher.artifact(spec.start), spec.rank, start)
    return start


def _checkpointing(entry: Entry) -> Checkpointing:
    """In the task's own folder: it goes when the task is over."""
    return Checkpointing(
        entry.checkpoint_file,
        every_seconds=float(os.environ.get(CHECKPOINT_SECONDS) or USUAL_SECONDS),
        on_saved=entry.forgive_attempts,
    )


def _statement(
    work: Work, spec: TrainSpec, trained: Trained, also: Mapping[str, float]
) -> UpdateStatement:
    offer, update = work.entry.offer, work.entry.update_file
    return UpdateStatement(
        federation=offer.federation,
        run=offer.run,
        round=offer.round,
        task=offer.id,
        participation_rank=spec.rank,
        plan_digest=spec.plan_digest,
        start_sha256=spec.start.sha256,
        update_sha256=sha256_of(update),
        size_bytes=update.stat().st_size,
        examples=trained.examples,
        tokens=trained.tokens,
        steps=trained.steps,
        device_seconds=trained.device_seconds,
        metrics={"loss": trained.loss, **also},
        key_id=work.home.identity().key_id,
        made_at=datetime.now(UTC),
    )


def _signed(work: Work, unsigned: UpdateStatement) -> UpdateIn:
    """Sign with the present key, by its own name: it may have been rotated a moment ago."""
    key = work.home.private_key()
    statement = unsigned.model_copy(update={"key_id": key_id(public_key_of(key))})
    signature = sign_bytes(key, LABEL, canonical(statement.model_dump(mode="json")))
    return UpdateIn(fence=work.entry.offer.fence, statement=statement, signature=signature)


async def _submit(delivery: Delivery) -> None:
    digest = delivery.submission["statement"]["update_sha256"]
    failpoint("W09", "before")
    response = await delivery.hub.post(
        f"{delivery.path}/updates", delivery.submission, key=delivery.key("update", digest)
    )
    failpoint("W09", "after")
    receipt = message_of(Receipt, response)
    spec = delivery.entry.offer.spec
    ledger = spec.ledger if isinstance(spec, TrainSpec) else None
    keep_receipt(delivery.home, receipt, delivery.submission, ledger)
    keep_residual(delivery.home, delivery.entry)
