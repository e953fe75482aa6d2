"""How tests speak the Hugging Face dialect: by its own library, or by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2
from django.test import Client
from huggingface_hub import HfApi, close_session, set_client_factory
from huggingface_hub.utils._http import default_client_factory, hf_request_event_hook


@dataclass
class NearHub:
    """The hub in this process and transaction, as the library's own session reaches it."""

    url: str = "http://testserver"
    requests: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append((request.method, request.url.path))
        named = {name: value for name, value in request.headers.items() if name != "content-length"}
        found = Client().generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type=named.pop("content-type", "application/octet-stream"),
            headers=named,
        )
        return httpx2.Response(
            found.status_code, headers=dict(found.items()), content=found.content
        )


@contextmanager
def near_hub() -> Iterator[NearHub]:
    """Lead the library's requests to the hub without a server; files themselves need one."""
    near = NearHub()
    close_session()
    set_client_factory(
        lambda: httpx2.Client(
            transport=httpx2.MockTransport(near.answer),
            event_hooks={"request": [hf_request_event_hook]},
        )
    )
    try:
        yield near
    finally:
        set_client_factory(default_client_factory)


def token_of(person) -> str:
    return person.api._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")


def api_of(hub, token: str | bool) -> HfApi:
    return HfApi(endpoint=f"{hub.url}/hf", token=token)


def get(path: str, token: str = "", method: str = "GET", **headers: str):
    given = {"Authorization": f"Bearer {token}"} if token else {}
    return Client().generic(method, path, headers=given | headers)
