"""The process is killed at each durable write of an upload; what follows heals it."""

from __future__ import annotations

import os
import signal
from uuid import UUID, uuid4

import pytest
from django.db import connections

from hub.catalogue.blobs import uploads
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import Artifact, Upload
from hub.organisations.models import Agent
from tests.factories.catalogue import begin, send, sha256_hex
from tests.factories.organisations import AgentFactory

CONTENT = os.urandom(300_000)
POINTS = [
    f"{point}:{when}:{passage}"
    for point, passages in (("W05", 1), ("W06", 2), ("W07", 2), ("W08", 1))
    for when in ("before", "after")
    for passage in range(1, passages + 1)
]


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


def upload_all(agent: Agent, task_id: UUID) -> None:
    """What an agent does, from wherever it stands."""
    upload = begin(agent, CONTENT, task_id=task_id)
    if upload.state == "open":
        upload = uploads.resumed_upload(agent=agent, upload_id=upload.pk)
    while upload.state == "open":
        upload = send(upload, CONTENT[upload.offset : upload.offset + 200_000])


def killed_at(point: str, mark: str, agent: Agent, task_id: UUID) -> int:
    """Upload in a process of its own that dies at the point; returns the signal."""
    connections["default"].close()
    connections["default"].close_pool()
    child = os.fork()
    if child == 0:
        try:
            os.environ |= {"FOEDUS_FAILPOINT": point, "FOEDUS_FAILPOINT_MARK": mark}
            upload_all(agent, task_id)
        finally:
            os._exit(1)  # nothing of the tests goes on in the child
    return os.WTERMSIG(os.waitpid(child, 0)[1])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", POINTS)
def test_an_upload_killed_anywhere_ends_as_if_nothing_happened(point, tmp_path):
    agent, task_id = AgentFactory(), uuid4()
    assert killed_at(point, str(tmp_path / "mark"), agent, task_id) == signal.SIGKILL
    upload_all(agent, task_id)
    upload_all(agent, task_id)
    assert Upload.objects.get().state == "complete"
    assert Artifact.objects.get().pk == sha256_hex(CONTENT)
    assert store().local_path(sha256_hex(CONTENT)).read_bytes() == CONTENT
    assert list((tmp_path / "uploads").iterdir()) == []
