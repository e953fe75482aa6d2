"""Large downloads that bypass the web process: links into the bucket, and files that nginx sends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from huggingface_hub import close_session, hf_hub_download

from agent.client import HubClient
from agent.errors import Refused
from federation.protocol import ArtifactRef
from tests.api.live import live_hub
from tests.buckets import OURS, Bucket, bucket, s3  # noqa: F401  (fixtures)
from tests.factories.catalogue import BaseModelFactory, sha256_hex
from tests.factories.organisations import AgentFactory
from tests.signing import signed_headers

CONTENT = os.urandom(300_000)
SHA256 = sha256_hex(CONTENT)
PATH = f"/api/v1/blobs/{SHA256}"
FILES = {"config.json": b"{}", "model.safetensors": CONTENT}
committing = pytest.mark.django_db(transaction=True)


@pytest.fixture
def place(bucket: Bucket, settings, tmp_path) -> Bucket:  # noqa: F811
    """The hub's artifacts lie in a bucket that people can reach."""
    settings.BLOB_FOLDER, settings.UPLOAD_FOLDER = tmp_path / "blobs", tmp_path / "uploads"
    settings.BLOB_BUCKET, settings.BLOB_ENDPOINT = bucket
    settings.BLOB_LINK_ENDPOINT, settings.BLOB_LINK_BYTES = bucket.endpoint, 100_000
    return bucket


@pytest.fixture
def base(db, place):
    made = BaseModelFactory(slug="tiny", files=FILES)
    place.seen.clear()
    return made


def bearer(person) -> dict[str, str]:
    return {"Authorization": person.api._credentials["HTTP_AUTHORIZATION"]}


def fetch(headers: dict[str, str], path: str = PATH, method: str = "GET", **more: str):
    """As an ASGI server calls us; the body has been read."""

    async def ask():
        response = await AsyncClient().generic(method, path, headers=headers, **more)
        if response.streaming:
            response.content_seen = b"".join([part async for part in response])
        return response

    return async_to_sync(ask)()


def is_clean(request: dict[str, str]) -> bool:
    return not any(name in request for name in OURS)


def test_a_large_artifact_is_linked_for_minutes_and_a_small_one_sent(ada, base, place):
    linked = fetch(bearer(ada))
    assert (linked.status_code, linked.content) == (302, b"")
    assert linked["Cache-Control"] == "no-store"
    assert linked["X-Linked-Etag"] == f'"{SHA256}"'
    asked = parse_qs(urlsplit(linked["Location"]).query)
    assert asked["X-Amz-Expires"] == ["300"]
    got = httpx.get(linked["Location"], headers={"Range": "bytes=1000-1999"})
    assert (got.status_code, got.content) == (206, CONTENT[1000:2000])
    small = fetch(bearer(ada), f"/api/v1/blobs/{sha256_hex(b'{}')}")
    assert (small.status_code, small.content_seen) == (200, b"{}")
    head = fetch(bearer(ada), method="HEAD")
    assert (head.status_code, head["ETag"]) == (200, f'"{SHA256}"')
    assert head["Content-Length"] == str(len(CONTENT))


def test_without_an_address_that_people_reach_all_bytes_come_by_the_hub(ada, base, settings):
    settings.BLOB_LINK_ENDPOINT = ""
    assert fetch(bearer(ada)).content_seen == CONTENT


def test_an_agent_that_does_not_say_that_it_follows_gets_the_bytes(ada, base):
    agent = AgentFactory(organisation=ada.organisation)
    headers = signed_headers(agent, "GET", PATH)
    content_type = headers.pop("Content-Type")
    assert fetch(headers, CONTENT_TYPE=content_type).content_seen == CONTENT


@committing
def test_clients_follow_without_showing_the_bucket_who_they_are(ada, base, place, tmp_path):
    """httpx as scripts use it, huggingface_hub as it comes, and our own agent in mid-file."""
    agent = AgentFactory(organisation=ada.organisation)
    token = bearer(ada)["Authorization"].removeprefix("Bearer ")
    with live_hub() as hub:
        headers = {**bearer(ada), "Range": "bytes=5-"}
        script = httpx.get(hub.url + PATH, headers=headers, follow_redirects=True)
        found = hf_hub_download(
            "base/tiny",
            "model.safetensors",
            endpoint=f"{hub.url}/hf",
            token=token,
            cache_dir=tmp_path / "hf",
        )
        part = asyncio.run(resumed(hub.url, agent, tmp_path))
        close_session()
    assert (script.status_code, script.content) == (206, CONTENT[5:])
    assert Path(found).read_bytes() == CONTENT
    assert part == CONTENT
    by_link = place.links()
    assert len(by_link) == 3
    assert all(is_clean(request) for request in by_link)
    assert by_link[2]["RANGE"] == "bytes=100000-"


async def resumed(url: str, agent, folder) -> bytes:
    """What an agent has after a download of which it had a third."""
    path = folder / "part"
    path.write_bytes(CONTENT[:100_000])
    with path.open("ab") as file:
        async with HubClient(url, agent.private_key) as client:
            wanted = ArtifactRef(sha256=SHA256, size_bytes=len(CONTENT))
            await client.download(wanted, file, lambda: None)
    return path.read_bytes()


def test_an_agent_goes_to_no_address_without_tls_unless_its_hub_has_none():
    client = HubClient("https://hub.example")
    request = client._request("GET", PATH)
    linked = httpx.Response(302, headers={"Location": "http://bucket.example/x"})
    with pytest.raises(Refused, match="http://bucket"):
        client._elsewhere(request, linked)
    asyncio.run(client._http.aclose())


@pytest.mark.django_db
def test_nginx_is_told_which_file_to_send(ada, settings, tmp_path):
    settings.BLOB_FOLDER, settings.UPLOAD_FOLDER = tmp_path / "blobs", tmp_path / "uploads"
    settings.BLOB_ACCEL_PREFIX = "/_blobs/"
    BaseModelFactory(slug="tiny", files=FILES)
    response = fetch({**bearer(ada), "Range": "bytes=5-9"})
    assert (response.status_code, response.content) == (200, b"")  # nginx sees to the range
    assert response["X-Accel-Redirect"] == f"/_blobs/{SHA256[:2]}/{SHA256[2:]}"
    assert (settings.BLOB_FOLDER / response["X-Accel-Redirect"].removeprefix("/_blobs/")).is_file()
    assert response["Content-Type"] == "application/octet-stream"
    assert response["ETag"] == f'"{SHA256}"'
    assert fetch({**bearer(ada), "If-None-Match": f'"{SHA256}"'}).status_code == 304
    head = fetch(bearer(ada), method="HEAD")
    assert "X-Accel-Redirect" not in head
    assert head["Content-Length"] == str(len(CONTENT))
    stranger = fetch({})
    assert (stranger.status_code, "X-Accel-Redirect" in stranger) == (401, False)
