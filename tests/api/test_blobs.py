"""Artifacts over HTTP: who gets them, in which pieces, and how much memory that takes."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from hub.catalogue.blobs.artifacts import grant
from hub.catalogue.blobs.storage import store
from hub.catalogue.blobs.streaming import wanted_span
from hub.catalogue.errors import RangeUnsatisfiable
from hub.catalogue.models import Artifact
from tests.api.live import live_hub, wait_for
from tests.factories.catalogue import ArtifactFactory, BaseModelFactory, begin, send, sha256_hex
from tests.factories.organisations import AgentFactory
from tests.signing import signed_headers

CONTENT = os.urandom(3 * 2**20 + 17)
SHA256 = sha256_hex(CONTENT)
PATH = f"/api/v1/blobs/{SHA256}"


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def blob(federation):
    artifact = ArtifactFactory(content=CONTENT)
    grant(artifacts=[artifact], federation=federation)
    return artifact


def fetch(person, path: str = PATH, method: str = "GET", **headers: str):
    """As an ASGI server calls us; the body has been read."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if hasattr(person, "api"):
        given["Authorization"] = person.api._credentials["HTTP_AUTHORIZATION"]

    async def ask():
        response = await AsyncClient().generic(method, path, headers=given)
        parts = [part async for part in response] if response.streaming else [response.content]
        return response, b"".join(parts)

    return async_to_sync(ask)()


def fetch_signed(agent, path: str = PATH):
    headers = signed_headers(agent, "GET", path)
    content_type = headers.pop("Content-Type")

    async def ask():
        request = AsyncClient().generic("GET", path, headers=headers, CONTENT_TYPE=content_type)
        response = await request
        parts = [part async for part in response] if response.streaming else [response.content]
        return response, b"".join(parts)

    return async_to_sync(ask)()


@pytest.mark.django_db
def test_a_participant_gets_all_bytes_and_may_keep_them(blaise, blob):
    response, body = fetch(blaise)
    assert response.status_code == 200
    assert body == CONTENT
    assert response["Content-Length"] == str(len(CONTENT))
    assert response["ETag"] == f'"{SHA256}"'
    assert response["Accept-Ranges"] == "bytes"
    assert response["Cache-Control"] == "private, max-age=31536000, immutable"
    assert response["Content-Type"] == "application/octet-stream"


@pytest.mark.django_db
def test_a_head_tells_the_same_without_the_bytes(blaise, blob):
    response, body = fetch(blaise, method="HEAD")
    assert (response.status_code, body) == (200, b"")
    assert response["Content-Length"] == str(len(CONTENT))
    assert response["ETag"] == f'"{SHA256}"'


@pytest.mark.django_db
def test_one_range_is_served_and_one_beyond_the_end_is_not(blaise, blob):
    response, body = fetch(blaise, Range="bytes=1000000-2000000")
    assert (response.status_code, body) == (206, CONTENT[1_000_000:2_000_001])
    assert response["Content-Range"] == f"bytes 1000000-2000000/{len(CONTENT)}"
    response, _ = fetch(blaise, Range=f"bytes={len(CONTENT)}-")
    assert response.status_code == 416
    assert response["Content-Range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.django_db
def test_what_the_caller_has_is_not_sent_again(blaise, blob):
    response, body = fetch(blaise, If_None_Match=f'"{SHA256}"')
    assert (response.status_code, body) == (304, b"")
    response, _ = fetch(blaise, If_None_Match='"other"')
    assert response.status_code == 200


@pytest.mark.django_db
def test_strangers_get_what_they_would_get_for_nothing(carol, blob):
    foreign, _ = fetch(carol)
    absent, _ = fetch(carol, f"/api/v1/blobs/{'0' * 64}")
    assert foreign.status_code == absent.status_code == 404
    told = [{**response.json(), "request_id": ""} for response in (foreign, absent)]
    assert told[0] == told[1]
    anonymous, _ = fetch(None)
    assert anonymous.status_code == 401


@pytest.mark.django_db
def test_agents_get_what_was_granted_to_their_federations(ada, carol, blob):
    response, body = fetch_signed(AgentFactory(organisation=ada.organisation))
    assert (response.status_code, body) == (200, CONTENT)
    response, _ = fetch_signed(AgentFactory(organisation=carol.organisation))
    assert response.status_code == 404


@pytest.mark.django_db
def test_an_update_is_seen_by_the_agents_of_its_organisation_alone(ada, blaise, federation):
    author = AgentFactory(organisation=ada.organisation)
    send(begin(author, CONTENT), CONTENT)
    colleague = AgentFactory(organisation=ada.organisation)
    assert fetch_signed(colleague)[0].status_code == 200
    assert fetch_signed(AgentFactory(organisation=blaise.organisation))[0].status_code == 404
    assert fetch(ada)[0].status_code == 404
    assert fetch(blaise)[0].status_code == 404


@pytest.mark.django_db
def test_who_has_left_gets_nothing_any_more(blaise, blob, federation):
    place = federation.participations.get(organisation=blaise.organisation)
    agent = AgentFactory(organisation=blaise.organisation)
    place.move_to("left")
    assert fetch(blaise)[0].status_code == 404
    assert fetch_signed(agent)[0].status_code == 404


@pytest.mark.django_db
def test_files_of_base_models_are_for_everybody_who_is_known(carol):
    BaseModelFactory(files={"model.safetensors": CONTENT})
    assert fetch(carol)[1] == CONTENT
    assert fetch(None)[0].status_code == 401


@pytest.mark.django_db
def test_bytes_that_cannot_be_read_are_503_before_anything_is_sent(blaise, blob):
    store().delete(SHA256)
    response, _ = fetch(blaise)
    assert (response.status_code, response.json()["code"]) == (503, "artifact_unavailable")


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, "A" * 64, "..%2f" * 10, "-1"])
@pytest.mark.django_db
def test_what_is_no_digest_is_404(ada, digest):
    assert fetch(ada, f"/api/v1/blobs/{digest}")[0].status_code == 404


sizes = st.integers(1, 1000)
ends = st.integers(0, 1200)


def span_of(text: str, size: int):
    request = RequestFactory().get("/", headers={"Range": text})
    return wanted_span(request, Artifact(sha256=SHA256, size_bytes=size))


@given(size=sizes, first=ends, last=ends)
def test_a_closed_range_is_what_slicing_would_give(size, first, last):
    content = bytes(size)
    if first >= size or last < first:
        with pytest.raises(RangeUnsatisfiable):
            span_of(f"bytes={first}-{last}", size)
        return
    span = span_of(f"bytes={first}-{last}", size)
    assert content[span.start : span.end] == content[first : last + 1]
    assert span.end <= size


@given(size=sizes, count=ends)
def test_a_suffix_is_the_last_bytes(size, count):
    if count == 0:
        with pytest.raises(RangeUnsatisfiable):
            span_of("bytes=-0", size)
        return
    span = span_of(f"bytes=-{count}", size)
    assert (span.start, span.end) == (max(0, size - count), size)


@pytest.mark.parametrize(
    "text", ["", "bytes=-", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=٠-١", "0-1"]
)
def test_what_is_not_one_range_of_bytes_gets_all(text):
    assert span_of(text, 100) is None


def test_a_range_of_other_content_gets_all():
    request = RequestFactory().get("/", headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert wanted_span(request, Artifact(sha256=SHA256, size_bytes=100)) is None
    request = RequestFactory().get("/", headers={"Range": "bytes=0-1", "If-Range": f'"{SHA256}"'})
    assert wanted_span(request, Artifact(sha256=SHA256, size_bytes=100)).length == 2


@pytest.mark.django_db(transaction=True)
def test_a_client_that_hangs_up_leaves_no_file_open(blaise, blob):
    token = blaise.api._credentials["HTTP_AUTHORIZATION"]
    with live_hub() as hub:
        for _ in range(5):
            with httpx.stream("GET", hub.url + PATH, headers={"Authorization": token}) as response:
                next(response.iter_bytes(1000))
        whole = httpx.get(hub.url + PATH, headers={"Authorization": token})
        wait_for(lambda: not is_open(store().local_path(SHA256)))
    assert whole.content == CONTENT


def is_open(path: Path) -> bool:
    return str(path) in {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}


@pytest.mark.django_db
def test_an_agent_gets_a_token_for_repositories_it_may_see(ada, federation, carol):
    path = "/api/v1/agent/download-tokens"
    agent = AgentFactory(organisation=ada.organisation)
    for repo, status in (
        (f"{federation.slug}/adapter", 201),
        (federation.base_model.repo, 201),
        ("elsewhere/adapter", 404),
        (f"base/{uuid4()}", 404),
    ):
        assert ask_token(agent, path, repo).status_code == status
    stranger = AgentFactory(organisation=carol.organisation)
    assert ask_token(stranger, path, f"{federation.slug}/adapter").status_code == 404


def ask_token(agent, path: str, repo: str):
    from tests.signing import SignedClient

    return SignedClient(agent).send("POST", path, {"repo": repo})
