"""Secrets in the links of our mails: each made from its row and the hub's own key when it is sent.

So a letter that is written again has the same link, and neither the database, the outbox nor the
broker ever holds a secret: a row keeps the digest by which it is found.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from uuid import UUID

from django.utils.crypto import salted_hmac

SALT = "hub.organisations.seals"


def secret_of(row: UUID, number: int = 1) -> str:
    """The secret of a row's letter; each number is another one. 43 characters."""
    made = salted_hmac(SALT, f"{row}:{number}", algorithm="sha256").digest()
    return urlsafe_b64encode(made).decode().rstrip("=")


def digest_of(secret: str) -> str:
    """SHA-256 in hex, by which the row is looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()
