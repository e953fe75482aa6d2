"""Uploads: each step may happen twice, be interrupted, or come from two sides at once."""

from __future__ import annotations

import io
import os
from contextlib import closing

import pytest
from asgiref.sync import async_to_sync
from django.test import RequestFactory

from hub.catalogue.blobs import uploads
from hub.catalogue.blobs.artifacts import grant
from hub.catalogue.blobs.parts import part_path
from hub.catalogue.blobs.storage import store
from hub.catalogue.blobs.streaming import artifact_response
from hub.catalogue.errors import (
    DigestMismatch,
    OffsetMismatch,
    PartTooLarge,
    TooManyUploads,
    UploadFinished,
    UploadGone,
    UploadTooLarge,
)
from hub.catalogue.models import Artifact, Upload
from hub.common import bodies
from hub.common.errors import DependencyDown, Invalid, NotFound, StorageFull
from hub.common.models import Event
from tests.factories.catalogue import ArtifactFactory, begin, received, send
from tests.factories.federations import ParticipationFactory
from tests.factories.organisations import AgentFactory
from tests.hub.catalogue.faults import full_disk
from tests.hub.catalogue.uploading import CONTENT, SHA256, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders")]
# With real commits, which run what waits for them; slower.
committing = pytest.mark.django_db(transaction=True)


def test_an_upload_in_parts_becomes_an_artifact(upload):
    upload = send(upload, CONTENT[:2000])
    assert (upload.state, upload.offset) == ("open", 2000)
    assert not Artifact.objects.filter(pk=SHA256).exists()
    upload = send(upload, CONTENT[2000:])
    assert (upload.state, upload.offset) == ("complete", 5000)
    assert stored() == CONTENT
    assert Artifact.objects.get(pk=SHA256).size_bytes == 5000
    assert not part_path(upload.pk).exists()


def test_with_a_bucket_it_ends_there_and_is_served_from_there(agent, bucket, settings):
    settings.BLOB_BUCKET, settings.BLOB_ENDPOINT = bucket
    upload = send(begin(agent, CONTENT), CONTENT[:2000])
    assert send(upload, CONTENT[2000:]).state == "complete"
    assert not settings.BLOB_FOLDER.exists()
    request = RequestFactory().get("/", headers={"Range": "bytes=10-4000"})
    response = artifact_response(request, Artifact.objects.get(pk=SHA256))
    assert response.status_code == 206
    assert body_of(response) == CONTENT[10:4001]
    response.close()


def test_while_the_bucket_is_away_nothing_is_lost_and_it_ends_by_itself(agent, bucket, settings):
    settings.BLOB_BUCKET, settings.BLOB_ENDPOINT = bucket
    upload = send(begin(agent, CONTENT), CONTENT[:2000])
    settings.BLOB_ENDPOINT = "http://127.0.0.1:9"
    with pytest.raises(DependencyDown) as away:
        send(upload, CONTENT[2000:])
    assert (away.value.status, away.value.retry_after) == (503, 5)
    assert not Artifact.objects.exists()
    assert part_path(upload.pk).read_bytes() == CONTENT
    settings.BLOB_ENDPOINT = bucket.endpoint
    assert uploads.resumed_upload(agent=agent, upload_id=upload.pk).state == "complete"
    assert stored() == CONTENT


@async_to_sync
async def body_of(response) -> bytes:
    return b"".join([part async for part in response])


def test_announced_twice_it_goes_on_where_it_was(agent, upload):
    send(upload, CONTENT[:2000])
    again = begin(agent, CONTENT, task_id=upload.task_id)
    assert (again.pk, again.offset) == (upload.pk, 2000)


def test_announced_again_with_another_size_it_is_refused(agent, upload):
    with pytest.raises(Invalid):
        begin(agent, CONTENT, task_id=upload.task_id, size_bytes=4999)


def test_announced_again_when_complete_it_is_complete(agent, upload):
    send(upload, CONTENT)
    again = begin(agent, CONTENT, task_id=upload.task_id)
    assert (again.pk, again.state) == (upload.pk, "complete")


def test_content_that_the_agent_may_read_is_complete_at_once(agent, upload):
    send(upload, CONTENT)
    again = begin(agent, CONTENT)
    assert again.pk != upload.pk
    assert (again.state, again.offset) == ("complete", 5000)


def test_knowing_the_digest_of_another_s_content_is_not_having_it(upload):
    send(upload, CONTENT)
    stranger = AgentFactory()
    assert begin(stranger, CONTENT).state == "open"


def test_content_granted_to_the_agent_s_federation_is_complete_at_once():
    place = ParticipationFactory()
    artifact = ArtifactFactory(content=CONTENT)
    agent = AgentFactory(organisation=place.organisation)
    assert begin(agent, CONTENT).state == "open"
    grant(artifacts=[artifact], federation=place.federation)
    assert begin(agent, CONTENT).state == "complete"
    with pytest.raises(Invalid):
        begin(agent, CONTENT, size_bytes=1)


def test_a_part_at_another_offset_changes_nothing(upload):
    send(upload, CONTENT[:2000])
    for offset in (0, 1999, 2001, 4000):
        with pytest.raises(OffsetMismatch) as refused:
            send(upload, CONTENT[:10], offset=offset)
        assert refused.value.extra == {"offset": 2000}
    assert send(upload, CONTENT[2000:]).state == "complete"
    assert stored() == CONTENT


@pytest.mark.parametrize("left_bytes", [0, 5000], ids=["on disk", "in memory"])
def test_parts_that_came_as_bodies_leave_nothing_but_their_bytes(
    upload, settings, monkeypatch, left_bytes
):
    monkeypatch.setattr(bodies, "MOST_IN_MEMORY", 1000)
    monkeypatch.setattr(bodies, "room", bodies.Room(left_bytes))
    for start, end in ((0, 3000), (3000, 5000)):
        with closing(received(CONTENT[start:end])) as body:
            assert body.is_in_memory == bool(left_bytes)
            upload = send(upload, CONTENT[start:end], carrier=lambda _, body=body: body)
    assert upload.state == "complete"
    assert stored() == CONTENT
    assert bodies.room.left == left_bytes
    assert not list(settings.UPLOAD_FOLDER.iterdir())


def test_no_more_is_read_than_was_said(upload):
    body = io.BytesIO(CONTENT)
    uploads.append(upload=upload, offset=0, length=100, body=body)
    assert body.tell() == 100


@committing
def test_a_wrong_whole_closes_the_upload_and_deletes_its_bytes(agent):
    upload = begin(agent, CONTENT, sha256="0" * 64)
    send(upload, CONTENT[:2000])
    with pytest.raises(DigestMismatch):
        send(upload, CONTENT[2000:])
    upload.refresh_from_db()
    assert upload.state == "closed"
    assert not part_path(upload.pk).exists()
    assert not Artifact.objects.exists()
    assert not store().exists("0" * 64)
    with pytest.raises(UploadGone):
        send(upload, CONTENT)
    assert begin(agent, CONTENT, sha256="0" * 64, task_id=upload.task_id).pk != upload.pk


def test_more_than_was_announced_closes_the_upload(upload):
    with pytest.raises(UploadTooLarge):
        send(upload, CONTENT + b"x")
    upload.refresh_from_db()
    assert upload.state == "closed"
    assert Event.objects.get(subject_id=upload.pk).reason


def test_one_part_may_not_be_larger_than_the_limit(upload, settings):
    settings.UPLOAD_CHUNK_BYTES = 1000
    with pytest.raises(PartTooLarge):
        send(upload, CONTENT[:1001])
    assert send(upload, CONTENT[:1000]).offset == 1000


def test_nothing_can_be_added_to_a_complete_upload(upload):
    upload = send(upload, CONTENT)
    with pytest.raises(UploadFinished):
        send(upload, b"x")
    assert send(upload, b"").state == "complete"
    assert not part_path(upload.pk).exists()


def test_an_upload_beyond_the_limit_is_not_begun(agent, settings):
    settings.UPLOAD_LIMIT_BYTES = 4999
    with pytest.raises(UploadTooLarge):
        begin(agent, CONTENT)
    assert not Upload.objects.exists()


def test_an_organisation_has_so_many_open_uploads_and_no_more(agent, settings):
    settings.UPLOADS_PER_ORGANISATION = 3
    colleague = AgentFactory(organisation=agent.organisation)
    first = [begin(agent, b"a"), begin(agent, b"b"), begin(colleague, b"c")]
    with pytest.raises(TooManyUploads) as refused:
        begin(colleague, b"d")
    assert refused.value.retry_after
    assert begin(agent, b"a", task_id=first[0].task_id).pk == first[0].pk
    begin(AgentFactory(), b"d")
    send(first[0], b"a")
    begin(colleague, b"d")


def test_what_is_announced_must_fit_beside_the_reserve(agent, settings, monkeypatch):
    usage = os.statvfs("/")
    free = usage.f_bavail * usage.f_frsize
    settings.DISK_RESERVE_BYTES = free + 2**40
    with pytest.raises(StorageFull) as refused:
        begin(agent, CONTENT)
    assert refused.value.retry_after
    assert not Upload.objects.exists()


def test_a_disk_that_fills_up_stores_nothing_and_heals(upload):
    upload = send(upload, CONTENT[:2000])
    with full_disk(room_bytes=3000), pytest.raises(StorageFull):
        send(upload, CONTENT[2000:])
    upload.refresh_from_db()
    assert (upload.state, upload.offset) == ("open", 2000)
    assert send(upload, CONTENT[2000:]).state == "complete"
    assert stored() == CONTENT


def test_another_agent_s_upload_is_not_there(agent, upload):
    colleague = AgentFactory(organisation=agent.organisation)
    for other in (colleague, AgentFactory()):
        with pytest.raises(NotFound):
            uploads.resumed_upload(agent=other, upload_id=upload.pk)
