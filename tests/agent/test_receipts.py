from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

import pytest

from agent.errors import ReceiptInvalid
from agent.home import Home
from agent.receipts import keep_receipt
from federation.plan import canonical
from federation.protocol import Receipt
from federation.signatures import generate_private_key, sign_bytes
from tests.agent.fake_hub import FakeHub

SUBMISSION = {"statement": {"round": 1, "examples": 3}, "signature": "s"}


def receipt(key: bytes, **changed: str) -> Receipt:
    unsigned = Receipt(
        update=uuid4(),
        statement_sha256=sha256(canonical(SUBMISSION["statement"])).hexdigest(),
        received_at=datetime.now(UTC),
        hub_key_id="0" * 64,
        signature="",
    ).model_copy(update=changed)
    signature = sign_bytes(key, "fl-receipt-v1", canonical(unsigned.signed_part()))
    return unsigned.model_copy(update={"signature": signature})


def test_a_receipt_is_kept_beside_what_it_is_for(quiet_hub: FakeHub, home: Home) -> None:
    given = receipt(quiet_hub.key)
    keep_receipt(home, given, SUBMISSION)
    (file,) = home.receipts.iterdir()
    kept = json.loads(file.read_text())
    assert kept == {"receipt": given.model_dump(mode="json"), **SUBMISSION}


def test_a_receipt_of_another_key_is_refused(home: Home) -> None:
    with pytest.raises(ReceiptInvalid, match="enrolment"):
        keep_receipt(home, receipt(generate_private_key()), SUBMISSION)


def test_a_receipt_for_another_statement_is_refused(quiet_hub: FakeHub, home: Home) -> None:
    with pytest.raises(ReceiptInvalid, match="another update"):
        keep_receipt(home, receipt(quiet_hub.key, statement_sha256="0" * 64), SUBMISSION)
