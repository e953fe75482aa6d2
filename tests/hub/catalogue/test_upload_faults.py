"""Uploads through crashes, power cuts and races; and those that nobody ends."""

from __future__ import annotations

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from hub.catalogue.blobs import uploads
from hub.catalogue.blobs.parts import hashes, part_path
from hub.catalogue.blobs.storage import store
from hub.catalogue.errors import (
    DigestMismatch,
    OffsetMismatch,
    UploadFinished,
    UploadGone,
)
from hub.catalogue.models import Artifact, Upload
from hub.common import bodies
from hub.common.models import Event
from tests.factories.catalogue import begin, received, send
from tests.factories.organisations import AgentFactory
from tests.hub.catalogue.uploading import CONTENT, SHA256, stored

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders")]
# With real commits, which run what waits for them; slower.
committing = pytest.mark.django_db(transaction=True)


def test_after_a_restart_the_file_is_hashed_once_in_the_end(upload):
    upload = send(upload, CONTENT[:2000])
    hashes.forget(upload.pk)  # what another process has not hashed
    upload = send(upload, CONTENT[2000:3000])
    assert send(upload, CONTENT[3000:]).state == "complete"
    assert stored() == CONTENT


def test_after_a_restart_a_wrong_whole_is_found_out_all_the_same(agent):
    upload = send(begin(agent, CONTENT, sha256="0" * 64), CONTENT[:2000])
    hashes.forget(upload.pk)
    with pytest.raises(DigestMismatch):
        send(upload, CONTENT[2000:])


def test_half_a_part_that_a_crash_left_is_written_over(upload):
    upload = send(upload, CONTENT[:2000])
    with part_path(upload.pk).open("ab") as file:
        file.write(b"half a part")
    assert send(upload, CONTENT[2000:]).state == "complete"
    assert stored() == CONTENT


def test_a_crash_between_the_last_part_and_the_store_heals_when_asked(agent, upload):
    part_path(upload.pk).parent.mkdir(parents=True, exist_ok=True)
    part_path(upload.pk).write_bytes(CONTENT)
    Upload.objects.update(offset=5000)
    assert uploads.resumed_upload(agent=agent, upload_id=upload.pk).state == "complete"
    assert stored() == CONTENT


def test_a_crash_between_the_store_and_the_row_adopts_the_bytes(agent, upload):
    path = part_path(upload.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    Upload.objects.update(offset=5000)
    store().put(path, SHA256)
    assert uploads.resumed_upload(agent=agent, upload_id=upload.pk).state == "complete"
    assert Artifact.objects.filter(pk=SHA256).exists()
    assert stored() == CONTENT
    assert not path.exists()


def test_a_late_part_between_the_store_and_the_row_takes_nothing_back(upload):
    path = part_path(upload.pk)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    Upload.objects.update(offset=5000)
    store().put(path, SHA256)
    with pytest.raises(OffsetMismatch):
        send(upload, CONTENT[4000:], offset=4000)
    upload.refresh_from_db()
    assert (upload.state, upload.offset) == ("open", 5000)
    assert uploads.complete_upload(upload_id=upload.pk).state == "complete"


def test_bytes_lost_in_a_power_cut_are_asked_for_again(agent, upload):
    send(upload, CONTENT[:4000])
    os.truncate(part_path(upload.pk), 1500)
    resumed = uploads.resumed_upload(agent=agent, upload_id=upload.pk)
    assert (resumed.state, resumed.offset) == ("open", 1500)
    assert send(resumed, CONTENT[1500:]).state == "complete"
    assert stored() == CONTENT


def test_bytes_lost_after_the_last_part_are_asked_for_again(agent, upload):
    part_path(upload.pk).parent.mkdir(parents=True, exist_ok=True)
    part_path(upload.pk).write_bytes(CONTENT[:100])
    Upload.objects.update(offset=5000)
    resumed = uploads.resumed_upload(agent=agent, upload_id=upload.pk)
    assert (resumed.state, resumed.offset) == ("open", 100)


def test_a_part_for_bytes_that_were_lost_says_where_to_go_on(upload):
    upload = send(upload, CONTENT[:4000])
    os.truncate(part_path(upload.pk), 1500)
    with pytest.raises(OffsetMismatch) as refused:
        send(upload, CONTENT[4000:])
    assert refused.value.extra == {"offset": 1500}
    upload.refresh_from_db()
    assert upload.offset == 1500


@committing
def test_fifty_at_once_who_complete_it_get_one_result(upload):
    send(upload, CONTENT[:4999])
    gate = threading.Barrier(50, timeout=60)

    def finish(_: int) -> tuple[str, int]:
        try:
            gate.wait()
            mine = Upload.objects.get(pk=upload.pk)
            try:
                done = send(mine, CONTENT[4999:], offset=4999)
            except (OffsetMismatch, UploadFinished):
                done = uploads.complete_upload(upload_id=upload.pk)
            return done.state, done.offset
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(finish, range(50))) == {("complete", 5000)}
    assert stored() == CONTENT
    assert Event.objects.filter(subject_id=upload.pk, to_state="complete").count() == 1


@committing
@pytest.mark.parametrize("carrier", [io.BytesIO, received], ids=["read", "body"])
def test_two_writers_at_one_offset_leave_the_bytes_of_one_of_them(agent, monkeypatch, carrier):
    monkeypatch.setattr(bodies, "room", bodies.Room(0))
    monkeypatch.setattr(bodies, "MOST_IN_MEMORY", 50_000)
    ours, theirs = b"a" * 100_000, b"b" * 100_000
    for _ in range(10):
        upload = begin(agent, ours)
        gate = threading.Barrier(2, timeout=60)

        def write(content: bytes) -> str:
            try:
                gate.wait()  # noqa: B023
                mine = Upload.objects.get(pk=upload.pk)  # noqa: B023
                send(mine, content[:60_000], offset=0, carrier=carrier)
            except OffsetMismatch:
                return "lost"
            finally:
                connection.close()
            return "won"

        with ThreadPoolExecutor(2) as pool:
            outcomes = dict(zip("ab", pool.map(write, (ours, theirs)), strict=True))
        assert sorted(outcomes.values()) == ["lost", "won"]
        winner = next(letter for letter, outcome in outcomes.items() if outcome == "won")
        assert part_path(upload.pk).read_bytes() == winner.encode() * 60_000
        upload.refresh_from_db()
        if winner == "a":
            assert send(upload, ours[60_000:]).state == "complete"
        else:
            with pytest.raises(DigestMismatch):
                send(upload, ours[60_000:])
        agent = AgentFactory()


@committing
def test_the_uploads_of_a_task_that_is_over_are_closed(upload):
    send(upload, CONTENT[:2000])
    assert uploads.close_uploads(task_id=upload.task_id) == 1
    assert uploads.close_uploads(task_id=upload.task_id) == 0
    assert not part_path(upload.pk).exists()
    upload.refresh_from_db()
    with pytest.raises(UploadGone):
        send(upload, CONTENT[2000:])


def test_the_uploads_of_an_agent_that_is_revoked_are_swept(agent, upload):
    other = begin(AgentFactory(), CONTENT)
    agent.move_to("revoked")
    assert uploads.sweep_uploads() == 1
    upload.refresh_from_db()
    other.refresh_from_db()
    assert (upload.state, other.state) == ("closed", "open")


def test_what_is_complete_stays_so_when_its_task_is_over(upload):
    send(upload, CONTENT)
    assert uploads.close_uploads(task_id=upload.task_id) == 0
    assert stored() == CONTENT


def test_an_upload_closed_while_it_completes_is_gone(upload, monkeypatch):
    send(upload, CONTENT[:4999])
    put = type(store()).put

    def late(self, path, sha256):
        put(self, path, sha256)
        uploads.close_uploads(task_id=upload.task_id)

    monkeypatch.setattr(type(store()), "put", late)
    upload.refresh_from_db()
    with pytest.raises(UploadGone):
        send(upload, CONTENT[4999:])
    assert not Artifact.objects.filter(pk=SHA256).exists()


@committing
def test_idle_uploads_and_stray_files_are_swept(agent, upload, settings):
    send(upload, CONTENT[:2000])
    busy = send(begin(agent, b"busy"), b"bu")
    long_ago = timezone.now() - timedelta(seconds=settings.UPLOAD_IDLE_SECONDS + 1)
    Upload.objects.filter(pk=upload.pk).update(touched_at=long_ago)
    stray, young = part_path(uuid4()), part_path(uuid4())
    for path in (stray, young):
        path.write_bytes(b"stray")
    for path in (stray, part_path(busy.pk)):
        os.utime(path, (0, 0))
    assert uploads.sweep_uploads() == 1
    assert uploads.sweep_uploads() == 0
    upload.refresh_from_db()
    busy.refresh_from_db()
    assert (upload.state, busy.state) == ("closed", "open")
    assert not part_path(upload.pk).exists()
    assert not stray.exists()
    assert young.exists()
    assert part_path(busy.pk).read_bytes() == b"bu"
