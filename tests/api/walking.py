"""Asking at addresses as somebody, in a world to which nothing of it sticks."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.core.signals import request_finished
from django.db import close_old_connections, transaction
from django.test import Client

from tests.api.addresses import Address, absent, addresses
from tests.api.rights import RIGHTS, Need
from tests.api.seeded import Seeded, Tenant, ids_of, slugs_of
from tests.signing import SignedClient

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OURS = [one for one in addresses() if one.area not in {"console/", "accounts/"}]


@dataclass(frozen=True)
class Answered:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_page(self) -> bool:
        return self.headers.get("Content-Type", "").startswith("text/html")


@dataclass
class Walk:
    world: Seeded
    counted: Counter[str] = field(default_factory=Counter)

    def call(
        self, client: Client, method: str, address: Address, names: Names, **more: Any
    ) -> Answered:
        """Ask once; nothing of what that did stays."""
        path = address.filled(names.by_word, names.slugs)
        cookies = client.cookies.copy()
        kept = transaction.savepoint()
        try:
            answer = self._ask(client, method, path, address, names, **more)
            body = content_of(answer)
        finally:
            transaction.savepoint_rollback(kept)
            client.cookies = cookies
        self.counted[method] += 1
        assert answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR, (method, path, body[-2000:])
        return Answered(answer.status_code, body, answer.headers)

    def _ask(self, client: Client, method: str, path: str, address: Address, names: Names) -> Any:
        need = RIGHTS.get(f"{method} {address.shape}")
        said = names.in_body(need) if need else {}
        if isinstance(client, SignedClient):
            return client.send(method, path, said, idempotency_key=str(uuid4()))
        headers = {"Idempotency-Key": str(uuid4())}
        if address.is_api and method != "GET":
            body = json.dumps(said)
            return client.generic(method, path, body, "application/json", headers=headers)
        return getattr(client, method.lower())(path, said, headers=headers)

    def names(self, of: Tenant) -> Names:
        return Names(ids_of(self.world, of), slugs_of(self.world, of))


def content_of(answer: Any) -> bytes:
    """What is streamed is let go; the connection, which is the world's, stays."""
    if not answer.streaming:
        return bytes(answer.content)
    request_finished.disconnect(close_old_connections)
    try:
        answer.close()
    finally:
        request_finished.connect(close_old_connections)
    return b""


@dataclass(frozen=True)
class Names:
    """What stands in an address and in a body for the things that they name."""

    by_word: Mapping[str, str]
    slugs: Mapping[str, str]

    def nobodys(self) -> Names:
        return Names(absent(self.by_word), absent(self.slugs))

    def in_body(self, need: Need) -> dict[str, Any]:
        return {name: self._said(value) for name, value in need.body.items()}

    def _said(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._said(one) for one in value]
        named = re.fullmatch(r"\{([\w-]+)\}", value) if isinstance(value, str) else None
        return self.by_word[named[1]] if named else value
