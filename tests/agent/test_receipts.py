from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from agent.errors import ReceiptInvalid
from agent.home import Home
from agent.receipts import keep_receipt
from federation.plan import canonical
from federation.signatures import generate_private_key, sign_bytes
from tests.agent.fake_hub import FakeHub

SUBMISSION = {"statement": {"round": 1, "examples": 3}, "signature": "s"}


def receipt(key: bytes, **changed: str) -> dict[str, Any]:
    body = {
        "update": str(uuid4()),
        "statement_sha256": sha256(canonical(SUBMISSION["statement"])).hexdigest(),
        "received_at": datetime.now(UTC).isoformat(),
        **changed,
    }
    return {**body, "signature": sign_bytes(key, "fl-receipt-v1", canonical(body))}


def test_a_receipt_is_kept_beside_what_it_is_for(quiet_hub: FakeHub, home: Home) -> None:
    given = receipt(quiet_hub.key)
    keep_receipt(home, given, SUBMISSION)
    (file,) = home.receipts.iterdir()
    assert json.loads(file.read_text()) == {"receipt": given, **SUBMISSION}


def test_a_receipt_of_another_key_is_refused(home: Home) -> None:
    with pytest.raises(ReceiptInvalid, match="enrolment"):
        keep_receipt(home, receipt(generate_private_key()), SUBMISSION)


def test_a_receipt_for_another_statement_is_refused(quiet_hub: FakeHub, home: Home) -> None:
    with pytest.raises(ReceiptInvalid, match="another update"):
        keep_receipt(home, receipt(quiet_hub.key, statement_sha256="0" * 64), SUBMISSION)
