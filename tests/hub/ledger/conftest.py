from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.db import transaction

from hub.ledger.models import EntryType
from hub.ledger.services import append

Tell = Callable[..., None]


@pytest.fixture
def log() -> UUID:
    return uuid4()


@pytest.fixture
def tell(log: UUID) -> Tell:
    """Append entries, each in a transaction of its own."""

    def told(*keys: str, ledger: UUID = log) -> None:
        for key in keys:
            with transaction.atomic():
                append(ledger=ledger, type=EntryType.CORRECTION, key=key, payload={"said": key})

    return told
