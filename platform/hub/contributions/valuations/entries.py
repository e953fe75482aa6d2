"""What a ledger tells of a valuation: all that its values follow from, or the digest of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from federation.plan import canonical
from hub.contributions.models import Valuation, Value
from hub.contributions.valuations.players import charter_digest_of
from hub.ledger.models import EntryType
from hub.ledger.services import append

LARGEST_RECORD: Final = 700_000  # bytes that an entry holds beside the rest


def append_valuation(
    found: Valuation, document: Mapping[str, Any], values: Sequence[Value]
) -> None:
    """In the transaction that records the values.

    With the record in it, `federation.valuation.documents.replay` gives the values and intervals
    again. A record that is too large for an entry is named by its digest; the API has it.
    """
    record = canonical(document)
    run = found.round.run
    is_small = len(record) <= LARGEST_RECORD
    append(
        ledger=run.federation_id,
        type=EntryType.VALUATION_RECORDED,
        key=f"valuation:{found.pk}",
        payload={
            "valuation": str(found.pk),
            "run": str(run.pk),
            "round": found.round.number,
            "number": found.number,
            "planned": found.is_planned,
            "spec": found.spec,
            "charter_digest": charter_digest_of(found.round),
            "players": found.players,
            "probe": found.probe.artifact_id if found.probe else None,
            "record_sha256": sha256(record).hexdigest(),
            **({"record": document} if is_small else {}),
            "values": [
                {
                    "participation": str(value.participation_id),
                    "value": value.phi,
                    "lower": value.low,
                    "upper": value.high,
                }
                for value in values
            ],
        },
    )
