"""Requests as an agent signs them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.test import Client
from django.utils import timezone

from federation.signatures import new_nonce, sign_request
from hub.organisations.models import Agent

HOST = "http://testserver"


def signed_headers(
    agent: Agent,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    now: datetime | None = None,
    nonce: str | None = None,
    content_type: str = "application/json",
) -> dict[str, str]:
    headers = {"Content-Type": content_type}
    sign_request(
        private_key=agent.private_key,
        key_id=agent.key_id,
        method=method,
        url=HOST + path,
        headers=headers,
        body=body,
        now=now or timezone.now(),
        nonce=nonce or new_nonce(),
    )
    return headers


class SignedClient(Client):
    """A Django test client that signs each request as the agent does."""

    def __init__(self, agent: Agent) -> None:
        super().__init__()
        self.agent = agent

    def send(
        self,
        method: str,
        path: str,
        message: Any = None,
        *,
        now: datetime | None = None,
        nonce: str | None = None,
        **headers: str,
    ) -> Any:
        """Send JSON, or bytes as they are; `headers` with underscores for dashes."""
        raw = isinstance(message, bytes)
        body = message if raw else b"" if message is None else json.dumps(message).encode()
        signed = signed_headers(self.agent, method, path, body, now=now, nonce=nonce)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.as_signed(method, path, body, {**named, **signed})

    def as_signed(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Any:
        """Send with headers that were made before, perhaps for something else."""
        return self.generic(
            method, path, data=body, content_type=headers["Content-Type"], headers=headers
        )
