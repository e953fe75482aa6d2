"""Agents as witnesses of a federation's ledger: what they are shown, and what they say of it."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from federation.ledger import notes
from federation.ledger.notes import NoteWrong
from federation.protocol_ledger import CheckpointOut, CosignatureIn, Inclusion
from hub.common.errors import NotFound
from hub.contributions.errors import CosignatureWrong
from hub.federations.entries import is_told
from hub.federations.models import Participation, ParticipationState
from hub.ledger import selectors
from hub.ledger.errors import CheckpointPending, NoSuchTree
from hub.ledger.models import Cosignature
from hub.organisations.models import Agent, AgentKey

PATIENCE_SECONDS = 1


def checkpoint_for(
    *, agent: Agent, federation_id: UUID, known: int, covers: int | None
) -> CheckpointOut:
    """The newest checkpoint, that it extends the one over `known`, and the entry at `covers`.

    Raises:
        NotFound: the agent's organisation takes no part in such a federation.
        NoSuchTree: the ledger is shorter than what the agent knows, or has no such entry.
        CheckpointPending: none is signed yet that covers all that.
    """
    _place(agent, federation_id)
    size = selectors.size_of(federation_id)
    needed = max(known, 0 if covers is None else covers + 1)
    if known < 0 or needed > size or (covers is not None and covers < 0):
        raise NoSuchTree(_("the ledger has %(size)s entries") % {"size": size})
    newest = selectors.newest_checkpoint(federation_id)
    if newest is None or newest.size < max(needed, 1):
        raise CheckpointPending(_("It is signed in a moment."), retry_after=PATIENCE_SECONDS)
    return CheckpointOut(
        note=newest.note,
        size=newest.size,
        ledger_key=settings.LEDGER_VERIFIER_KEY,
        consistency=_consistency(federation_id, known, newest.size),
        inclusion=None if covers is None else _inclusion(federation_id, covers, newest.size),
    )


@transaction.atomic
def cosign(*, agent: Agent, key_id: str, federation_id: UUID, message: CosignatureIn) -> None:
    """Keep an agent's word beside the checkpoint. Said twice, the first stays.

    `key_id`: of the key that the request was signed with.

    Raises:
        NotFound: the agent's organisation takes no part in such a federation.
        NoSuchTree: there is no checkpoint of this size.
        CosignatureWrong: not of this checkpoint, this key and this moment.
    """
    place = _place(agent, federation_id)
    row = selectors.checkpoints_of(federation_id).filter(size=message.size).first()
    if row is None:
        raise NoSuchTree(_("there is no checkpoint over %(size)s entries") % {"size": message.size})
    _check(message.line, row.note, key_id)
    if not is_told(key_id, place):
        raise CosignatureWrong(_("The ledger does not know this key yet: cosign the next one."))
    said = Cosignature(
        checkpoint=row, participation=place.pk, agent=agent.pk, key_id=key_id, line=message.line
    )
    Cosignature.objects.bulk_create([said], ignore_conflicts=True)


def _place(agent: Agent, federation_id: UUID) -> Participation:
    found = Participation.objects.filter(
        federation_id=federation_id,
        organisation=agent.organisation_id,
        state=ParticipationState.ACTIVE,
    ).first()
    if found is None:
        raise NotFound("no such federation")
    return found


def _consistency(ledger: UUID, known: int, size: int) -> tuple[str, ...]:
    if known in {0, size}:
        return ()
    return tuple(step.hex() for step in selectors.consistency_proof(ledger, known, size))


def _inclusion(ledger: UUID, index: int, size: int) -> Inclusion:
    proof = selectors.inclusion_proof(ledger, index, size)
    entry = selectors.entry_at(ledger, index).text or ""
    return Inclusion(index=index, entry=entry, proof=tuple(step.hex() for step in proof))


def _check(line: str, note: str, key_id: str) -> None:
    """Raise CosignatureWrong unless the key has signed this checkpoint just now."""
    public = bytes(AgentKey.objects.values_list("public_key", flat=True).get(key_id=key_id))
    checkpoint = notes.parse_checkpoint(notes.parse_note(note).text)
    name = notes.witness_name(checkpoint.origin, key_id)
    try:
        at = notes.verify_cosignature(line, checkpoint, name=name, public=public)
    except NoteWrong as wrong:
        raise CosignatureWrong(f"{wrong}.") from wrong
    if abs((timezone.now() - at).total_seconds()) > settings.CLOCK_SKEW_SECONDS:
        raise CosignatureWrong(
            _("It says that it was made at %(isoformat)s.") % {"isoformat": at.isoformat()}
        )
