"""The agent as a witness: it begins no round that the ledger it knows does not open.

Before a training task the hub must show a signed checkpoint that covers the round's opening, that
it extends the last checkpoint this agent has kept, and that the opening is the task's. The agent
then keeps the new checkpoint and cosigns it. Where it does not fit, the task is refused, and the
federation is left alone until the site's owner says otherwise.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agent.answers import message_of
from agent.client import HubClient
from agent.errors import Away, LedgerFault, Refused
from agent.home import Home
from agent.journal import Entry
from agent.ledgers import FORK, REGRESSION, STALE, Held, Kept, Ledgers
from agent.retries import pauses
from federation.keys import key_id, public_key_of
from federation.ledger import entries, merkle, notes
from federation.ledger.entries import EntryWrong
from federation.ledger.merkle import ProofWrong
from federation.ledger.notes import Checkpoint, NoteWrong, VerifierKey
from federation.protocol import TrainSpec
from federation.protocol_ledger import CheckpointOut, CosignatureIn, Inclusion, LedgerRef

logger = logging.getLogger(__name__)

PATIENCE = "AGENT_LEDGER_SECONDS"  # environment: how long a checkpoint may take
USUAL_SECONDS = 120.0
LOOK_SECONDS = 20.0
OPENED = "round.opened"
PENDING, NO_SUCH_TREE = "checkpoint_pending", "no_such_tree"


@dataclass(frozen=True, slots=True)
class Shown:
    """A checkpoint that extends what we keep, and the entry that was asked for."""

    checkpoint: Checkpoint
    note: str
    index: int
    entry: str


class Witness:
    """Shared by all workers of an agent: each ledger is looked at by one of them at a time."""

    def __init__(
        self, *, home: Home, hub: HubClient, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._home = home
        self._hub = hub
        self._ledgers = Ledgers(home)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._turns: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def examine(self, entry: Entry) -> None:
        """Let a training task begin. Raises LedgerFault, and Refused for a final one."""
        spec = entry.offer.spec
        if not isinstance(spec, TrainSpec):
            return
        reference = self._named(entry.offer.federation, spec.ledger)
        if reference is None:
            return
        async with self._turns[reference.federation]:
            try:
                await self._examine(entry, reference)
            except LedgerFault as fault:
                if fault.code != STALE:
                    self._hold(entry, reference.federation, fault)
                raise

    def _named(self, slug: str, reference: LedgerRef | None) -> LedgerRef | None:
        """The ledger that a task names; one that was seen once cannot be left out or exchanged."""
        known = self._ledgers.of_slug(slug)
        if known and known.size and reference is None:
            raise LedgerFault(STALE, "the task does not say where the ledger opens its round")
        if known and reference and known.federation != reference.federation:
            raise LedgerFault(FORK, f"the ledger was {known.federation} until now")
        return reference

    async def _examine(self, entry: Entry, reference: LedgerRef) -> None:
        kept = self._ledgers.of(reference.federation, entry.offer.federation)
        if kept.held:
            raise LedgerFault(kept.held.code, kept.held.words)
        shown = await self._covering(kept, reference.covers)
        _check_opening(shown, entry)
        kept = self._keep(kept, shown)
        for owed in kept.owed:
            found = await self._covering(kept, owed.index)
            if entries.leaf_of(found.entry).hex() != owed.leaf:
                raise LedgerFault(
                    REGRESSION, f"entry {owed.index} is not the one of our receipt", found.note
                )
            kept = self._keep(kept, found)
        await self._cosign(kept)

    async def _covering(self, kept: Kept, index: int) -> Shown:
        """The newest checkpoint over an entry, verified, as soon as there is one."""
        patience = float(os.environ.get(PATIENCE) or USUAL_SECONDS)
        give_up_at, waits = time.monotonic() + patience, pauses()
        while (left := give_up_at - time.monotonic()) > 0:
            try:
                answer = await self._asked(kept, left, origin=kept.size, covers=index)
            except Away:
                break
            except Refused as refusal:
                if refusal.is_final:
                    raise
                if refusal.code != PENDING:
                    await self._look_back(kept, refusal)
                    break
                await asyncio.sleep(next(waits))
            else:
                return self._verified(kept, answer, index)
        raise LedgerFault(STALE, f"no checkpoint covers entry {index}")

    async def _asked(self, kept: Kept, patience: float, **query: int) -> CheckpointOut:
        """Raises Refused, Away."""
        told = "&".join(f"{_QUERY[name]}={value}" for name, value in query.items())
        path = f"/api/v1/agent/ledgers/{kept.federation}/checkpoint?{told}"
        response = await self._hub.request("GET", path, patience=patience)
        try:
            return message_of(CheckpointOut, response)
        except ValidationError as error:
            raise LedgerFault(STALE, "the checkpoint is not understood") from error

    async def _look_back(self, kept: Kept, refusal: Refused) -> None:
        """Raise LedgerFault if the ledger has become shorter than it was, with what shows it."""
        if refusal.code != NO_SUCH_TREE or not (kept.size or kept.owed):
            return
        known, note = max((kept.size, *(owed.index + 1 for owed in kept.owed))), ""
        with suppress(Refused, Away):
            note = (await self._asked(kept, LOOK_SECONDS, origin=0)).note
        raise LedgerFault(REGRESSION, f"we know of {known} entries, and the hub of fewer", note)

    def _verified(self, kept: Kept, answer: CheckpointOut, index: int) -> Shown:
        checkpoint = self._signed(kept, answer)
        if checkpoint.size < kept.size:
            told = f"{checkpoint.size} entries are left of {kept.size}"
            raise LedgerFault(REGRESSION, told, answer.note)
        try:
            _check_extends(kept, checkpoint, answer)
            entry = _check_included(checkpoint, answer.inclusion, index)
        except ProofWrong as wrong:
            raise LedgerFault(FORK, str(wrong), answer.note) from wrong
        return Shown(checkpoint, answer.note, index, entry)

    def _signed(self, kept: Kept, answer: CheckpointOut) -> Checkpoint:
        """The checkpoint, if it is this ledger's and signed with the key that we have pinned."""
        key = self._pinned(answer)
        try:
            origin = kept.origin or _origin(answer.note, kept.federation)
            return notes.verify_checkpoint(answer.note, key, origin=origin)
        except NoteWrong as wrong:
            raise LedgerFault(FORK, str(wrong), answer.note) from wrong

    def _pinned(self, answer: CheckpointOut) -> VerifierKey:
        """Since enrolment; an agent that was enrolled before there were ledgers pins it now."""
        identity = self._home.identity()
        try:
            if identity.ledger_key:
                return notes.parse_verifier_key(identity.ledger_key)
            key = notes.parse_verifier_key(answer.ledger_key)
        except NoteWrong as wrong:
            raise LedgerFault(FORK, f"the ledger's key: {wrong}") from wrong
        logger.warning("ledger key pinned at first sight", extra={"ledger_key": str(key)})
        self._home.keep_identity(identity.model_copy(update={"ledger_key": str(key)}))
        return key

    def _keep(self, kept: Kept, shown: Shown) -> Kept:
        """Write down what was seen, and what of it we are not owed any more."""
        leaf = entries.leaf_of(shown.entry).hex()
        facts: dict[str, Any] = {
            "origin": shown.checkpoint.origin,
            "size": shown.checkpoint.size,
            "root": shown.checkpoint.root.hex(),
            "note": shown.note,
            "seen_at": self._clock(),
        }

        def kept_with(now: Kept) -> Kept:
            owed = tuple(one for one in now.owed if (one.index, one.leaf) != (shown.index, leaf))
            return now.model_copy(update={**facts, "owed": owed})

        return self._ledgers.change(kept.federation, kept.slug, kept_with)

    def _hold(self, entry: Entry, federation: UUID, fault: LedgerFault) -> None:
        offer = entry.offer
        held = Held(code=fault.code, words=fault.detail, at=self._clock(), note=fault.note)
        facts = {"federation": offer.federation, "code": fault.code, "cause": fault.detail}
        logger.error("ledger refused, no work is taken", extra=facts)
        self._ledgers.change(
            federation,
            offer.federation,
            lambda kept: kept if kept.held else kept.model_copy(update={"held": held}),
        )

    async def _cosign(self, kept: Kept) -> None:
        """Say that we have seen it; others gain by that, so a refusal does not stop our work."""
        key, checkpoint = self._home.private_key(), _checkpoint_of(kept)
        name = notes.witness_name(checkpoint.origin, key_id(public_key_of(key)))
        line = notes.cosign(key, checkpoint, name=name, at=self._clock())
        message = CosignatureIn(size=checkpoint.size, line=line)
        path = f"/api/v1/agent/ledgers/{kept.federation}/cosignatures"
        try:
            await self._hub.post(path, message, patience=LOOK_SECONDS)
        except (Refused, Away) as refusal:
            if isinstance(refusal, Refused) and refusal.is_final:
                raise
            logger.warning("cosignature not taken", extra={"cause": str(refusal)})


_QUERY = {"origin": "from", "covers": "covers"}  # `from` is a word of the language


def _origin(note: str, federation: UUID) -> str:
    """What a first checkpoint calls its ledger; raises NoteWrong where that is another's."""
    origin = notes.parse_checkpoint(notes.parse_note(note).text).origin
    if not origin.endswith(f"/federations/{federation}"):
        raise NoteWrong(f"a checkpoint of {origin}")
    return origin


def _checkpoint_of(kept: Kept) -> Checkpoint:
    return Checkpoint(kept.origin, kept.size, bytes.fromhex(kept.root))


def _check_extends(kept: Kept, checkpoint: Checkpoint, answer: CheckpointOut) -> None:
    """Raises ProofWrong."""
    if not kept.size:
        return
    merkle.verify_consistency(
        old=kept.size,
        new=checkpoint.size,
        old_root=bytes.fromhex(kept.root),
        new_root=checkpoint.root,
        proof=_hashes(answer.consistency),
    )


def _check_included(checkpoint: Checkpoint, inclusion: Inclusion | None, index: int) -> str:
    """The text of the entry that was asked for; raises ProofWrong."""
    if inclusion is None or inclusion.index != index:
        raise ProofWrong(f"entry {index} was asked for, and is not shown")
    merkle.verify_inclusion(
        index=index,
        size=checkpoint.size,
        leaf=entries.leaf_of(inclusion.entry),
        proof=_hashes(inclusion.proof),
        root=checkpoint.root,
    )
    return inclusion.entry


def _hashes(proof: tuple[str, ...]) -> list[bytes]:
    return [bytes.fromhex(step) for step in proof]


def _check_opening(shown: Shown, task: Entry) -> None:
    """What the ledger says of the round must be what the task says. Raises LedgerFault."""
    offer, spec = task.offer, task.offer.spec
    assert isinstance(spec, TrainSpec)
    try:
        opening = entries.parse_entry(shown.entry)
    except EntryWrong as wrong:
        raise LedgerFault(FORK, f"the opening is no entry: {wrong}", shown.note) from wrong
    said = {
        "run": str(offer.run),
        "number": offer.round,
        "start": spec.start.sha256,
        "plan_digest": spec.plan_digest,
    }
    told = {name: opening.payload.get(name) for name in said}
    if opening.type != OPENED or told != said:
        differing = json.dumps([name for name in said if told[name] != said[name]])
        raise LedgerFault(FORK, f"the ledger opens another round: {differing}", shown.note)
