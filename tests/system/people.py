"""Who talks to the hub over HTTP: people with tokens, and agents by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from federation.keys import key_id, public_key_of
from federation.signatures import new_nonce, sign_request

PATIENCE_SECONDS = 60.0


class Person:
    """Somebody's scripts: requests with a token, repeated with the same key until answered."""

    def __init__(self, url: str, token: str) -> None:
        self.http = httpx.Client(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )

    def get(self, path: str, **query: str) -> Any:
        return self._answer("GET", path, params=query)

    def all(self, path: str, **query: str) -> list[Any]:
        """Every row of a list, page after page."""
        page = self.get(path, **query)
        rows: list[Any] = page["results"]
        while page["next"]:
            page = self._answer("GET", page["next"])
            rows += page["results"]
        return rows

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        key = {"Idempotency-Key": str(uuid4())}
        return self._answer("POST", path, json=body or {}, headers=key)

    def _answer(self, method: str, path: str, **rest: Any) -> Any:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                response = self.http.request(method, path, **rest)
                if response.status_code < 500 or time.monotonic() > give_up_at:
                    break
            except httpx.TransportError:
                assert time.monotonic() < give_up_at, "the hub does not come back"
            time.sleep(0.2)
        assert response.is_success, response.text
        return response.json()


class Hand:
    """An agent's key in the hand of a test, which signs what it likes."""

    def __init__(self, url: str, private_key: bytes) -> None:
        self.url = url
        self.private_key = private_key
        self.key_id = key_id(public_key_of(private_key))
        self.http = httpx.Client(timeout=30)

    def headers(self, method: str, path: str, body: bytes, **named: str) -> dict[str, str]:
        headers = {name.replace("_", "-"): value for name, value in named.items()}
        headers.setdefault("Content-Type", "application/json")
        sign_request(
            private_key=self.private_key,
            key_id=self.key_id,
            method=method,
            url=self.url + path,
            headers=headers,
            body=body,
            now=datetime.now(UTC),
            nonce=new_nonce(),
        )
        return headers

    def send(self, method: str, path: str, message: Any = None, **named: str) -> httpx.Response:
        """Send a message as JSON, or bytes as they are; `named` headers with underscores."""
        path = f"/api/v1/agent/{path}"
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        if message is None:
            body = b""
        headers = self.headers(method, path, body, **named)
        return self.http.request(method, self.url + path, content=body, headers=headers)

    def post(self, path: str, message: Any, **named: str) -> httpx.Response:
        return self.send("POST", path, message, Idempotency_Key=str(uuid4()), **named)
