"""The upload protocol as a client sees it: statuses, codes, headers (cases 78 to 96)."""

from __future__ import annotations

import io
import os
from uuid import uuid4

import pytest
import requests
from django.test import Client
from django.utils import timezone
from tusclient.uploader import Uploader

from federation.signatures import new_nonce, sign_request
from hub.catalogue.blobs.storage import store
from hub.catalogue.blobs.uploads import close_uploads
from hub.catalogue.models import Artifact, Upload
from tests.api.live import live_hub
from tests.factories.catalogue import begin, sha256_hex
from tests.factories.organisations import AgentFactory
from tests.signing import signed_headers

pytestmark = pytest.mark.django_db

PART_TYPE = "application/offset+octet-stream"
CONTENT = os.urandom(3000)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def agent():
    return AgentFactory()


@pytest.fixture
def upload(agent):
    return begin(agent, CONTENT)


def path_of(upload: Upload) -> str:
    return f"/api/v1/agent/uploads/{upload.pk}"


def patch(
    agent,
    path: str,
    body: bytes,
    offset: object = 0,
    *,
    signed_body: bytes | None = None,
    content_type: str = PART_TYPE,
    **changes: str | None,
):
    """A PATCH as the agent sends it; `changes` replace headers, None leaves one out."""
    headers = signed_headers(
        agent,
        "PATCH",
        path,
        body if signed_body is None else signed_body,
        content_type=content_type,
    )
    headers |= {"Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return send("PATCH", path, headers, body)


def head(agent, path: str):
    return send("HEAD", path, signed_headers(agent, "HEAD", path) | {"Tus-Resumable": "1.0.0"})


def send(method: str, path: str, headers: dict[str, str | None], body: bytes = b""):
    """As a server passes it on: with a type and a length even where there is no body."""
    named = {name: value for name, value in headers.items() if value is not None}
    about = {"CONTENT_TYPE": named.pop("Content-Type"), "CONTENT_LENGTH": str(len(body))}
    if "Content-Length" in headers:
        del about["CONTENT_LENGTH"]
    return Client().generic(method, path, data=body, headers=named, **about)


def refused(response) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    assert response["Tus-Resumable"] == "1.0.0"
    return response.status_code, response.json()["code"]


def test_parts_arrive_one_after_the_other(agent, upload):
    path = path_of(upload)
    first = patch(agent, path, CONTENT[:1000])
    assert (first.status_code, first["Upload-Offset"], first.content) == (204, "1000", b"")
    assert first["Tus-Resumable"] == "1.0.0"
    asked = head(agent, path)
    assert (asked.status_code, asked["Upload-Offset"]) == (200, "1000")
    assert (asked["Upload-Length"], asked["Cache-Control"]) == ("3000", "no-store")
    last = patch(agent, path, CONTENT[1000:], 1000)
    assert (last.status_code, last["Upload-Offset"]) == (204, "3000")
    assert Artifact.objects.get(pk=sha256_hex(CONTENT)).size_bytes == 3000
    assert head(agent, path)["Upload-Offset"] == "3000"


def test_an_empty_part_finishes_what_a_crash_left_undone(agent, upload, settings):
    (settings.UPLOAD_FOLDER / str(upload.pk)).write_bytes(CONTENT)
    Upload.objects.update(offset=3000)
    assert patch(agent, path_of(upload), b"", 3000).status_code == 204
    assert Artifact.objects.filter(pk=sha256_hex(CONTENT)).exists()


def test_a_part_without_a_length_is_411(agent, upload):
    response = patch(agent, path_of(upload), b"", Content_Length=None)
    assert refused(response) == (411, "length_missing")


def test_more_than_was_announced_is_413_and_closes_the_upload(agent, upload):
    path = path_of(upload)
    assert refused(patch(agent, path, bytes(2**20))) == (413, "upload_too_large")
    assert refused(patch(agent, path, CONTENT)) == (410, "upload_closed")
    assert head(agent, path).status_code == 410


def test_a_part_beyond_the_limit_is_413_and_may_be_sent_in_pieces(agent, upload, settings):
    settings.UPLOAD_CHUNK_BYTES = 1000
    path = path_of(upload)
    assert refused(patch(agent, path, CONTENT[:1001])) == (413, "part_too_large")
    assert patch(agent, path, CONTENT[:1000]).status_code == 204


def test_a_part_that_is_not_the_signed_one_is_422_and_not_stored(agent, upload):
    path = path_of(upload)
    response = patch(agent, path, CONTENT[:1000], signed_body=b"x" * 1000)
    assert refused(response) == (422, "digest_mismatch")
    assert head(agent, path)["Upload-Offset"] == "0"


@pytest.mark.parametrize("offset", ["-1", "1;2", "0x0", "١", "", "1.0", "9" * 30, None])
def test_an_offset_that_is_no_number_is_400(agent, upload, offset):
    response = patch(agent, path_of(upload), CONTENT[:10], Upload_Offset=offset)
    assert refused(response) == (400, "bad_upload_header")


@pytest.mark.parametrize("offset", [0, 999, 1001])
def test_a_part_at_another_offset_is_409_and_says_where_to_go_on(agent, upload, offset):
    path = path_of(upload)
    patch(agent, path, CONTENT[:1000])
    response = patch(agent, path, CONTENT[:1000], offset)
    assert refused(response) == (409, "offset_mismatch")
    assert response.json()["offset"] == 1000
    assert response["Upload-Offset"] == "1000"


def test_the_wrong_whole_is_422_and_its_bytes_are_dropped(agent):
    upload = begin(agent, CONTENT, sha256="0" * 64)
    path = path_of(upload)
    assert refused(patch(agent, path, CONTENT)) == (422, "digest_mismatch")
    assert head(agent, path).status_code == 410
    assert not Artifact.objects.exists()


def test_another_agent_s_upload_is_404_as_if_it_were_not_there(agent, upload):
    absent = f"/api/v1/agent/uploads/{uuid4()}"
    for other in (AgentFactory(), AgentFactory(organisation=agent.organisation)):
        foreign = patch(other, path_of(upload), CONTENT)
        assert refused(foreign) == (404, "not_found")
        nothing = patch(other, absent, CONTENT)
        told = [{**r.json(), "request_id": ""} for r in (foreign, nothing)]
        assert told[0] == told[1]
        assert head(other, path_of(upload)).status_code == 404


def test_a_part_after_completion_is_409(agent, upload):
    path = path_of(upload)
    patch(agent, path, CONTENT)
    assert refused(patch(agent, path, b"x", 3000)) == (409, "upload_finished")
    assert patch(agent, path, b"", 3000).status_code == 204


def test_a_compressed_part_is_415(agent, upload):
    response = patch(agent, path_of(upload), CONTENT, Content_Encoding="gzip")
    assert (response.status_code, response.json()["code"]) == (415, "content_encoding")


def test_a_part_of_another_type_is_415(agent, upload):
    response = patch(agent, path_of(upload), CONTENT, content_type="application/json")
    assert refused(response) == (415, "media_type")


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0"])
def test_another_version_of_the_protocol_is_412(agent, upload, version):
    response = patch(agent, path_of(upload), CONTENT, Tus_Resumable=version)
    assert refused(response) == (412, "tus_version")


def test_a_part_after_the_deadline_is_410(agent, upload):
    close_uploads(task_id=upload.task_id)
    assert refused(patch(agent, path_of(upload), CONTENT)) == (410, "upload_closed")


def test_a_part_after_revocation_is_401(agent, upload):
    path = path_of(upload)
    patch(agent, path, CONTENT[:1000])
    agent.move_to("revoked")
    response = patch(agent, path, CONTENT[1000:], 1000)
    assert refused(response) == (401, "revoked_key")
    upload.refresh_from_db()
    assert upload.offset == 1000


def test_a_part_that_nobody_signed_is_401(upload):
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    response = Client().patch(path_of(upload), CONTENT, content_type=PART_TYPE, headers=headers)
    assert response.status_code == 401


def test_options_tell_what_is_spoken(agent, upload, settings):
    path = path_of(upload)
    response = send("OPTIONS", path, signed_headers(agent, "OPTIONS", path))
    assert (response.status_code, response["Tus-Version"]) == (204, "1.0.0")
    assert response["Tus-Max-Size"] == str(settings.UPLOAD_LIMIT_BYTES)


def test_a_part_takes_few_queries(agent, upload, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        assert patch(agent, path_of(upload), CONTENT[:1000]).status_code == 204


class Signing(requests.auth.AuthBase):
    """Signs what an independent client sends, as a proxy at the site could."""

    def __init__(self, agent) -> None:
        self.agent = agent

    def __call__(self, request):
        sign_request(
            private_key=self.agent.private_key,
            key_id=self.agent.key_id,
            method=request.method,
            url=request.url,
            headers=request.headers,
            body=request.body or b"",
            now=timezone.now(),
            nonce=new_nonce(),
        )
        return request


@pytest.fixture
def tus(agent, monkeypatch):
    """tuspy, with every request of it signed by the agent."""
    session = requests.Session()
    session.auth = Signing(agent)
    session.exceptions = requests.exceptions
    monkeypatch.setattr("tusclient.request.requests", session)
    monkeypatch.setattr("tusclient.uploader.baseuploader.requests", session)
    with session, live_hub() as hub:
        yield lambda upload, content: Uploader(
            file_stream=io.BytesIO(content),
            url=hub.url + path_of(upload),
            chunk_size=100_000,
            retries=2,
            retry_delay=0,
        )


@pytest.mark.django_db(transaction=True)
def test_an_independent_client_uploads_resumes_and_recovers(agent, tus):
    content = os.urandom(1_050_000)
    upload = begin(agent, content)
    tus(upload, content).upload(stop_at=300_000)
    upload.refresh_from_db()
    assert (upload.state, upload.offset) == ("open", 300_000)
    resumed = tus(upload, content)
    assert resumed.offset == 300_000
    resumed.offset = 100_000  # what a client believes that missed an answer
    resumed.upload()
    upload.refresh_from_db()
    assert (upload.state, upload.offset) == ("complete", 1_050_000)
    assert store().local_path(sha256_hex(content)).read_bytes() == content


@pytest.mark.django_db(transaction=True)
def test_a_body_is_refused_before_it_is_written_anywhere(agent, tus, settings):
    upload = begin(agent, CONTENT, size_bytes=settings.UPLOAD_LIMIT_BYTES)
    url = tus(upload, CONTENT).url
    too_much = settings.UPLOAD_CHUNK_BYTES + 1
    response = requests.patch(url, data=bytes(too_much), headers={"Content-Type": PART_TYPE})
    assert response.status_code == 413
