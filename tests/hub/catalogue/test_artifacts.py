"""Bytes and the rows that name them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from hub.catalogue.blobs.artifacts import (
    adopt_bytes,
    adopt_copy,
    adopt_file,
    grant,
    name_artifact,
)
from hub.catalogue.blobs.storage import store
from hub.catalogue.blobs.sweeps import sweep_store
from hub.catalogue.errors import ArtifactUnavailable
from hub.catalogue.models import Artifact, Grant
from hub.common.errors import StorageFull
from tests.factories.catalogue import sha256_hex
from tests.factories.federations import FederationFactory
from tests.hub.catalogue.faults import full_disk

pytestmark = pytest.mark.django_db

CONTENT = b"of one mind" * 1000
SHA256 = sha256_hex(CONTENT)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "made.safetensors"
    path.write_bytes(CONTENT)
    return path


def make_old(sha256: str) -> None:
    os.utime(store().local_path(sha256), (0, 0))


def test_adopting_moves_the_file_and_names_it(file):
    artifact = adopt_file(path=file)
    assert (artifact.sha256, artifact.size_bytes) == (SHA256, len(CONTENT))
    assert not file.exists()
    assert store().local_path(SHA256).read_bytes() == CONTENT


def test_adopting_twice_is_adopting_once(file, tmp_path):
    first = adopt_file(path=file)
    again = tmp_path / "again"
    again.write_bytes(CONTENT)
    assert adopt_file(path=again, sha256=SHA256) == first
    assert adopt_bytes(content=CONTENT) == first
    assert Artifact.objects.count() == 1
    assert not again.exists()


def test_adopting_for_a_federation_lets_it_read(file):
    federation = FederationFactory()
    artifact = adopt_file(path=file, federation=federation)
    grant(artifacts=[artifact, artifact], federation=federation)
    assert Grant.objects.filter(artifact=artifact, federation=federation).count() == 1


def test_a_copy_leaves_the_file_alone(file, settings):
    assert adopt_copy(path=file).sha256 == SHA256
    assert file.read_bytes() == CONTENT
    assert list(settings.UPLOAD_FOLDER.iterdir()) == []


def test_a_full_disk_leaves_neither_bytes_nor_row(file, settings):
    for take in (lambda: adopt_copy(path=file), lambda: adopt_bytes(content=CONTENT)):
        with full_disk(), pytest.raises(StorageFull):
            take()
    assert list(settings.UPLOAD_FOLDER.iterdir()) == []
    assert not Artifact.objects.exists()
    assert adopt_copy(path=file).sha256 == SHA256


def test_a_name_is_given_only_to_what_is_stored():
    with pytest.raises(ArtifactUnavailable):
        name_artifact(sha256=SHA256, size_bytes=1)
    assert not Artifact.objects.exists()


def test_what_no_row_names_is_swept_after_a_day_and_the_rest_stays(file, tmp_path):
    named = adopt_bytes(content=b"named").sha256
    orphan = tmp_path / "orphan"
    orphan.write_bytes(b"orphan")
    store().put(orphan, sha256_hex(b"orphan"))
    store().put(file, SHA256)
    make_old(named)
    make_old(sha256_hex(b"orphan"))
    assert sweep_store() == 1
    assert sweep_store() == 0
    assert store().exists(named)
    assert store().exists(SHA256)
    assert not store().exists(sha256_hex(b"orphan"))
    assert list(Artifact.objects.values_list("pk", flat=True)) == [named]


@pytest.mark.django_db(transaction=True)
def test_a_sweep_and_an_adoption_of_the_same_bytes_leave_no_row_without_bytes(tmp_path):
    def adopt() -> str:
        path = tmp_path / "again"
        path.write_bytes(CONTENT)
        try:
            gate.wait()
            return adopt_file(path=path).sha256
        except ArtifactUnavailable:
            return ""
        finally:
            connection.close()

    def sweep() -> None:
        try:
            gate.wait()
            sweep_store()
        finally:
            connection.close()

    for _ in range(10):
        Artifact.objects.all().delete()
        orphan = tmp_path / "orphan"
        orphan.write_bytes(CONTENT)
        store().put(orphan, SHA256)
        make_old(SHA256)
        gate = threading.Barrier(2, timeout=60)
        with ThreadPoolExecutor(2) as pool:
            adopted, swept = pool.submit(adopt), pool.submit(sweep)
            swept.result()
            named = adopted.result() == SHA256
        assert Artifact.objects.filter(pk=SHA256).exists() == named
        assert store().exists(SHA256) or not named


@pytest.mark.django_db(transaction=True)
def test_who_adopts_while_a_sweep_holds_the_name_is_told_to_put_again(file):
    store().put(file, SHA256)
    outcome: list[str] = []

    def adopt() -> None:
        try:
            name_artifact(sha256=SHA256, size_bytes=len(CONTENT))
            outcome.append("named")
        except ArtifactUnavailable:
            outcome.append("again")
        finally:
            connection.close()

    with transaction.atomic():
        Artifact.objects.create(sha256=SHA256, size_bytes=0)  # as the sweep does
        thread = threading.Thread(target=adopt)
        thread.start()
        thread.join(0.5)
        assert outcome == []
        store().delete(SHA256)
        transaction.set_rollback(True)
    thread.join()
    assert outcome == ["again"]
    assert not Artifact.objects.exists()
