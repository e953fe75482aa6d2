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

from agent.errors import ReceiptInvalid
from agent.files import write_whole
from agent.home import Home
from federation.keys import BadKey, BadSignature, verify_bytes
from federation.plan import canonical
from federation.protocol import Receipt

LABEL = "fl-receipt-v1"


def keep_receipt(home: Home, receipt: Receipt, submission: Mapping[str, Any]) -> None:
    """Verify a receipt with the key pinned at enrolment, and keep it beside what it is for.

    Raises ReceiptInvalid.
    """
    if receipt.statement_sha256 != sha256(canonical(submission["statement"])).hexdigest():
        raise ReceiptInvalid("The hub's receipt is for another update than the one we sent.")
    try:
        key = b64decode(home.identity().hub_public_key, validate=True)
        verify_bytes(key, LABEL, canonical(receipt.signed_part()), receipt.signature)
    except (BadSignature, BadKey, ValueError) as error:
        raise ReceiptInvalid(
            "The hub's receipt is not signed with the key it had at enrolment: "
            "ask its operator before going on."
        ) from error
    document = {"receipt": receipt.model_dump(mode="json"), **submission}
    write_whole(home.receipts / f"{receipt.update}.json", json.dumps(document, indent=2) + "\n")
