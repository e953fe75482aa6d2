"""The hub's signed words that it has stored our updates; they are kept for good.

A receipt outlives the hub's database: a hub that was set back to an older state cannot deny what
it has signed.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from agent.errors import ReceiptInvalid
from agent.files import write_whole
from agent.home import Home
from agent.ledgers import Kept, Ledgers, Owed
from federation.keys import BadKey, BadSignature, verify_bytes
from federation.plan import canonical
from federation.protocol import Receipt
from federation.protocol_ledger import LedgerRef

LABEL = "fl-receipt-v1"
PLACED_LABEL = "fl-receipt-v2"


def keep_receipt(
    home: Home, receipt: Receipt, submission: Mapping[str, Any], ledger: LedgerRef | None = None
) -> None:
    """Verify a receipt with the key pinned at enrolment, and keep it beside what it is for.

    Where it names an entry of the ledger, a later checkpoint must show that. Raises ReceiptInvalid.
    """
    if receipt.statement_sha256 != sha256(canonical(submission["statement"])).hexdigest():
        raise ReceiptInvalid("The hub's receipt is for another update than the one we sent.")
    try:
        key = b64decode(home.identity().hub_public_key, validate=True)
        verify_bytes(key, LABEL, canonical(receipt.signed_part()), receipt.signature)
        if receipt.ledger_index is not None:
            signature = receipt.ledger_signature or ""
            verify_bytes(key, PLACED_LABEL, canonical(receipt.ledger_part()), signature)
    except (BadSignature, BadKey, ValueError) as error:
        raise ReceiptInvalid(
            "The hub's receipt is not signed with the key it had at enrolment: "
            "ask its operator before going on."
        ) from error
    document = {"receipt": receipt.model_dump(mode="json"), **submission}
    if ledger:
        document["ledger"] = str(ledger.federation)
    write_whole(home.receipts / f"{receipt.update}.json", json.dumps(document, indent=2) + "\n")
    if ledger:
        _owe(home, receipt, ledger.federation, str(submission["statement"]["federation"]))


def _owe(home: Home, receipt: Receipt, federation: UUID, slug: str) -> None:
    """Remember which entry the hub has promised, until a checkpoint has shown it."""
    if receipt.ledger_index is None or receipt.entry_sha256 is None:
        return
    owed = Owed(update=receipt.update, index=receipt.ledger_index, leaf=receipt.entry_sha256)

    def with_it(kept: Kept) -> Kept:
        return kept.model_copy(update={"owed": (*{*kept.owed, owed},)})

    Ledgers(home).change(federation, slug, with_it)
