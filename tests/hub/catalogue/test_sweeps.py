"""What is let go of, and that nothing which a row names ever is."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from hub.catalogue.blobs.artifacts import adopt_bytes, grant, name_artifact
from hub.catalogue.blobs.storage import store
from hub.catalogue.blobs.sweeps import holders, sweep_artifacts, sweep_store, unheld
from hub.catalogue.errors import ArtifactUnavailable
from hub.catalogue.models import Artifact, BaseModelFile, Upload
from tests.factories.catalogue import BaseModelFactory, VersionFactory, begin, send, sha256_hex
from tests.factories.federations import FederationFactory
from tests.factories.organisations import AgentFactory

pytestmark = pytest.mark.django_db

CONTENT = b"of one mind" * 1000
SHA256 = sha256_hex(CONTENT)
LONG_AGO = timedelta(days=30)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


def make_old(*digests: str) -> None:
    Artifact.objects.filter(pk__in=digests).update(taken_at=timezone.now() - LONG_AGO)
    for sha256 in digests:
        os.utime(store().local_path(sha256), (0, 0))


def test_every_table_that_needs_an_artifact_holds_it():
    """Found a second way, so that a table of tomorrow cannot be forgotten."""
    fields = [field for model in apps.get_models() for field in model._meta.get_fields()]
    keys = {f for f in fields if isinstance(f, models.ForeignKey) and f.related_model is Artifact}
    dying = {key for key in keys if key.remote_field.on_delete is models.CASCADE}
    assert {(key.model.__name__, key.name) for key in dying} == {("Grant", "artifact")}
    assert set(holders()) == keys - dying
    assert {key.remote_field.on_delete for key in holders()} == {models.PROTECT}
    many = [f for f in fields if f.many_to_many and f.related_model is Artifact]
    assert not many  # the row between would be a holder that nobody has thought about


def test_what_nothing_names_goes_after_a_day_and_its_bytes_with_it():
    forgotten, young = adopt_bytes(content=CONTENT), adopt_bytes(content=b"young")
    grant(artifacts=[forgotten], federation=FederationFactory())
    make_old(SHA256)
    assert sweep_artifacts() == 1
    assert sweep_artifacts() == 0
    assert sweep_store() == 1
    assert not store().exists(SHA256)
    assert list(Artifact.objects.all()) == [young]
    assert adopt_bytes(content=CONTENT).sha256 == SHA256  # and may come again


def test_what_a_row_names_stays_for_ever():
    base = BaseModelFactory(files={"model.safetensors": CONTENT})
    version = VersionFactory()
    make_old(SHA256, version.adapter_id)
    assert sweep_artifacts() == sweep_store() == 0
    assert store().exists(SHA256)
    assert store().exists(version.adapter_id)
    base.files.all().delete()
    assert list(unheld(timezone.now())) == [Artifact.objects.get(pk=SHA256)]


def test_bytes_that_are_brought_again_are_young():
    adopt_bytes(content=CONTENT)
    make_old(SHA256)
    adopt_bytes(content=CONTENT)
    assert sweep_artifacts() == sweep_store() == 0


def test_a_complete_upload_waits_a_week_for_its_update_and_is_begun_anew_after():
    agent, task = AgentFactory(), uuid4()
    upload = send(begin(agent, CONTENT, task_id=task), CONTENT)
    make_old(SHA256)
    assert sweep_artifacts() == 0
    Upload.objects.filter(pk=upload.pk).update(touched_at=timezone.now() - LONG_AGO)
    assert sweep_artifacts() == 1
    upload.refresh_from_db()
    assert upload.state == "closed"
    again = begin(agent, CONTENT, task_id=task)
    assert (again.state, again.offset) == ("open", 0)
    assert send(again, CONTENT).state == "complete"


def test_the_database_itself_keeps_what_is_named():
    artifact = BaseModelFactory(files={"a.txt": CONTENT}).files.get().artifact
    with pytest.raises(models.ProtectedError):
        artifact.delete()
    with pytest.raises(IntegrityError):
        deleted_behind_our_back()


@transaction.atomic
def deleted_behind_our_back() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM catalogue_artifact WHERE sha256 = %s", [SHA256])
    connection.check_constraints()


def test_files_in_the_store_that_are_not_ours_are_left_alone(settings):
    store().delete(SHA256)
    stranger = settings.BLOB_FOLDER / "ab" / "readme"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("not ours")
    os.utime(stranger, (0, 0))
    assert sweep_store() == 0
    assert stranger.exists()


@pytest.mark.django_db(transaction=True)
def test_whoever_names_bytes_while_they_are_swept_has_them_or_is_told(tmp_path):
    """Row and bytes go in two steps; adopting and naming race with both."""
    base = BaseModelFactory()

    def adopt(number: int) -> bool:
        try:
            gate.wait()
            artifact = adopt_bytes(content=CONTENT)
            BaseModelFile.objects.create(base_model=base, path=f"{number}", artifact=artifact)
        except (ArtifactUnavailable, IntegrityError):
            return False
        else:
            return True
        finally:
            connection.close()

    def sweep() -> None:
        try:
            gate.wait()
            sweep_artifacts()
            sweep_store()
        finally:
            connection.close()

    for number in range(12):
        BaseModelFile.objects.all().delete()
        adopt_bytes(content=CONTENT)
        make_old(SHA256)
        gate = threading.Barrier(2, timeout=60)
        with ThreadPoolExecutor(2) as pool:
            named, swept = pool.submit(adopt, number), pool.submit(sweep)
            swept.result()
            has_named = named.result()
        assert BaseModelFile.objects.exists() == has_named
        assert not has_named or store().local_path(SHA256).read_bytes() == CONTENT


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_is_passed_over():
    adopt_bytes(content=CONTENT)
    make_old(SHA256)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        name_artifact(sha256=SHA256, size_bytes=len(CONTENT))
        assert pool.submit(_swept_elsewhere).result() == 0
    assert Artifact.objects.filter(pk=SHA256).exists()


def _swept_elsewhere() -> int:
    try:
        return sweep_artifacts()
    finally:
        connection.close()
