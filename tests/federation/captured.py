"""A request of an agent, as somebody on the way might capture it, and ways to change it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import ED25519

from federation import keys
from federation.signatures import (
    COMPONENTS,
    LIFETIME,
    TAG,
    generate_private_key,
    key_id,
    public_key_of,
    sign_request,
)

ADA, BLAISE = generate_private_key(), generate_private_key()
ADA_ID, BLAISE_ID = key_id(public_key_of(ADA)), key_id(public_key_of(BLAISE))
KNOWN = {ADA_ID: public_key_of(ADA), BLAISE_ID: public_key_of(BLAISE)}
NOW = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
NONCE = "q1w2e3r4t5z6u7i8o9p0AA"


@dataclass(frozen=True)
class Captured:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    now: datetime = NOW

    def having(self, **headers: str | None) -> Captured:
        """With headers replaced, or taken away by None; underscores are hyphens."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        merged = {k: v for k, v in self.headers.items() if k.lower() not in changed} | changed
        return replace(self, headers={k: v for k, v in merged.items() if v is not None})

    def rewritten(self, pattern: str, text: str) -> Captured:
        """With something in Signature-Input replaced, and the signature left alone."""
        old = self.headers["Signature-Input"]
        new = re.sub(pattern, lambda _: text, old, count=1)
        assert new != old, pattern
        return self.having(signature_input=new)


def request(**changed: Any) -> Captured:
    """A poll of Ada's agent."""
    captured = Captured(
        method="POST",
        url="https://hub.example/api/v1/agent/leases?wait=25&a=%2F",
        headers={"Content-Type": "application/json", "Idempotency-Key": "k-1"},
        body=b'{"fence": 3}',
    )
    captured = replace(captured, **changed)
    sign_request(
        private_key=ADA,
        key_id=ADA_ID,
        method=captured.method,
        url=captured.url,
        headers=captured.headers,
        body=captured.body,
        now=captured.now,
        nonce=NONCE,
    )
    return captured


def signed_otherwise(
    *,
    key: bytes = ADA,
    components: tuple[str, ...] = COMPONENTS,
    tag: str | None = TAG,
    nonce: str | None = NONCE,
    lifetime: timedelta | None = LIFETIME,
    created: datetime = NOW,
    name: str = ADA_ID,
    alg: bool = True,
) -> Captured:
    """A request that the library signed as RFC 9421 allows, but not as we require."""
    captured = request()
    for header in ("Content-Digest", "Signature", "Signature-Input"):
        del captured.headers[header]
    resolver = MappingKeyResolver(public_keys={}, private_keys={name: keys.private_key(key)})
    HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=resolver).sign(
        captured,
        key_id=name,
        created=created,
        expires=created + lifetime if lifetime is not None else None,
        nonce=nonce,
        label="sig",
        tag=tag,
        include_alg=alg,
        covered_component_ids=components,
        body=captured.body,
    )
    return captured
