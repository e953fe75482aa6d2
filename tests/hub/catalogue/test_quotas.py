"""How much organisations and federations may store."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.conf import settings as django_settings

from federation.protocol import UploadIn
from hub.catalogue.blobs import uploads
from hub.catalogue.blobs.artifacts import adopt_bytes, grant
from hub.catalogue.blobs.quotas import Usage, usage_of_federation, usage_of_organisation
from hub.catalogue.errors import QuotaReached
from hub.catalogue.models import Upload
from hub.common.actors import HUB
from hub.common.models import Event
from hub.organisations.services import set_quota
from tests.factories.catalogue import BaseModelFactory, send, sha256_hex
from tests.factories.federations import FederationFactory
from tests.factories.organisations import AgentFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def limits(settings, tmp_path):
    settings.BLOB_FOLDER, settings.UPLOAD_FOLDER = tmp_path / "blobs", tmp_path / "uploads"
    settings.ORGANISATION_QUOTA_BYTES, settings.FEDERATION_QUOTA_BYTES = 1000, 1500


def begin(agent, content: bytes, federation=None) -> Upload:
    return uploads.begin_upload(
        agent=agent,
        task_id=uuid4(),
        message=UploadIn(fence=1, sha256=sha256_hex(content), size_bytes=len(content)),
        limit_bytes=django_settings.UPLOAD_LIMIT_BYTES,
        federation_id=federation.pk if federation else None,
    )


def test_an_organisation_stores_what_it_may_and_not_a_byte_more():
    agent = AgentFactory()
    send(begin(agent, b"a" * 600), b"a" * 600)
    with pytest.raises(QuotaReached) as refused:
        begin(agent, b"b" * 401)
    assert (refused.value.status, refused.value.retry_after) == (507, 300)
    assert Upload.objects.count() == 1
    begin(agent, b"c" * 400)  # announced is as good as stored
    assert usage_of_organisation(agent.organisation_id) == Usage(1000, 1000)
    assert begin(AgentFactory(), b"b" * 401).state == "open"


def test_the_same_bytes_count_once_and_closed_uploads_not_at_all():
    agent = AgentFactory()
    for _ in range(3):
        upload = begin(agent, b"a" * 300)
        upload = upload if upload.state == "complete" else send(upload, b"a" * 300)
    uploads.close_uploads(task_id=begin(agent, b"b" * 100).task_id)
    BaseModelFactory(brought_by=agent.organisation, files={"a": b"a" * 300, "d": b"d" * 50})
    assert usage_of_organisation(agent.organisation_id).used_bytes == 350


def test_a_federation_counts_what_is_sent_for_it_and_what_it_shares():
    federation, other = FederationFactory(), FederationFactory()
    grant(artifacts=[adopt_bytes(content=b"v" * 700)], federation=federation)
    send(begin(AgentFactory(), b"a" * 500, federation), b"a" * 500)
    with pytest.raises(QuotaReached):
        begin(AgentFactory(), b"b" * 301, federation)
    assert begin(AgentFactory(), b"b" * 300, federation).state == "open"
    assert usage_of_federation(federation.pk).share == 1.0
    assert usage_of_federation(other.pk).used_bytes == 0


def test_without_a_limit_there_is_always_room(settings):
    settings.ORGANISATION_QUOTA_BYTES = settings.FEDERATION_QUOTA_BYTES = 0
    begin(AgentFactory(), b"a" * 5000, FederationFactory())
    assert Usage(5000, 0).share == 0.0


def test_an_operator_gives_an_organisation_a_quota_of_its_own():
    agent, other = AgentFactory(), AgentFactory()
    for _ in range(2):
        set_quota(organisation_id=agent.organisation_id, quota_bytes=3000, actor=HUB)
    begin(agent, b"a" * 2500)
    assert usage_of_organisation(agent.organisation_id) == Usage(2500, 3000)
    with pytest.raises(QuotaReached, match="3000 bytes"):
        begin(agent, b"b" * 501)
    set_quota(organisation_id=agent.organisation_id, quota_bytes=0, actor=HUB)
    begin(agent, b"b" * 5000)
    set_quota(organisation_id=agent.organisation_id, quota_bytes=None, actor=HUB)
    with pytest.raises(QuotaReached, match="1000 bytes"):
        begin(agent, b"c")
    with pytest.raises(QuotaReached, match="1000 bytes"):
        begin(other, b"d" * 1001)
    assert Event.objects.filter(kind="organisation.quota_set").count() == 3
