"""The laws of the store, for a folder and for a bucket alike."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.catalogue.blobs.buckets import S3Store
from hub.catalogue.blobs.storage import FolderStore, Store
from hub.catalogue.errors import ArtifactUnavailable
from hub.common.errors import DependencyDown, StorageFull
from hub.common.room import refusing_when_full
from tests.hub.catalogue.faults import full_disk

CONTENT = b"all of us together" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path) -> Store:
    folder = FolderStore(tmp_path / "blobs")
    if request.param == "folder":
        return folder
    bucket, endpoint = request.getfixturevalue("bucket")
    return S3Store(bucket, endpoint, cache=folder)


def put(store: Store, folder: Path, content: bytes = CONTENT) -> str:
    path = folder / uuid4().hex
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    store.put(path, sha256)
    assert not path.exists()
    return sha256


def read(store: Store, sha256: str, start: int = 0) -> bytes:
    source = store.open(sha256, start=start)
    try:
        return b"".join(iter(lambda: source.read(1000), b""))
    finally:
        source.close()


def test_what_was_put_is_read_back_from_any_start(store, tmp_path):
    put(store, tmp_path)
    assert read(store, SHA256) == CONTENT
    assert read(store, SHA256, start=17_999) == CONTENT[17_999:]
    assert store.local_path(SHA256).read_bytes() == CONTENT


def test_putting_twice_is_putting_once(store, tmp_path):
    put(store, tmp_path)
    put(store, tmp_path)
    assert list(store.stored_before(datetime.now(UTC) + timedelta(hours=1))) == [SHA256]
    assert read(store, SHA256) == CONTENT


def test_what_was_never_put_is_not_there(store):
    assert not store.exists(SHA256)
    assert not store.is_before(SHA256, datetime.now(UTC))
    with pytest.raises(ArtifactUnavailable):
        store.open(SHA256)
    with pytest.raises(ArtifactUnavailable):
        store.local_path(SHA256)


def test_deleting_twice_is_deleting_once(store, tmp_path):
    put(store, tmp_path)
    store.delete(SHA256)
    store.delete(SHA256)
    assert not store.exists(SHA256)


def test_putting_again_makes_old_bytes_young(store, tmp_path):
    put(store, tmp_path)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert store.is_before(SHA256, soon)
    assert not store.is_before(SHA256, datetime.now(UTC) - timedelta(minutes=1))
    if isinstance(store, FolderStore):
        os.utime(store.local_path(SHA256), (0, 0))
        assert list(store.stored_before(soon - timedelta(days=1))) == [SHA256]
        put(store, tmp_path)
        assert list(store.stored_before(soon - timedelta(days=1))) == []


def test_twenty_writers_of_the_same_content_leave_one_whole_file(store, tmp_path):
    threads = [threading.Thread(target=put, args=(store, tmp_path)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(store, SHA256) == CONTENT


def test_names_are_safe_whatever_the_content(tmp_path_factory):
    @given(st.binary(max_size=100))
    def holds(content):
        folder = tmp_path_factory.mktemp("any")
        sha256 = put(FolderStore(folder / "blobs"), folder, content)
        assert (folder / "blobs" / sha256[:2] / sha256[2:]).read_bytes() == content

    holds()


@pytest.fixture
def elsewhere() -> Path:
    """A folder of another file system: memory."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def test_a_file_of_another_file_system_is_copied_under_a_temporary_name(tmp_path, elsewhere):
    store = FolderStore(tmp_path / "blobs")
    put(store, elsewhere)
    assert read(store, SHA256) == CONTENT
    assert list((tmp_path / "blobs" / "parts").iterdir()) == []


def test_a_full_disk_is_refused_and_leaves_nothing(tmp_path, elsewhere):
    store = FolderStore(tmp_path / "blobs")
    source = elsewhere / "source"
    source.write_bytes(CONTENT)
    with full_disk(), pytest.raises(StorageFull):
        store.put(source, SHA256)
    assert source.exists()
    assert not store.exists(SHA256)
    assert list((tmp_path / "blobs" / "parts").iterdir()) == []
    store.put(source, SHA256)
    assert read(store, SHA256) == CONTENT


def test_other_errors_of_the_disk_are_not_called_full():
    with pytest.raises(OSError, match="fire") as caught, refusing_when_full():
        raise OSError(errno.EIO, "fire")
    assert not isinstance(caught.value, StorageFull)


def test_tidying_deletes_old_parts_and_keeps_content(tmp_path):
    store = FolderStore(tmp_path / "blobs")
    put(store, tmp_path)
    old, new = store.new_part(), store.new_part()
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.tidy(datetime.now(UTC) - timedelta(days=1))
    assert not old.exists()
    assert new.exists()
    assert store.exists(SHA256)


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_copy_of_a_bucket_goes_when_unused_and_comes_back(store, tmp_path):
    put(store, tmp_path)
    copy = store.local_path(SHA256)
    os.utime(copy, (0, 0))
    assert store.local_path(SHA256) == copy  # used: young again
    store.tidy(datetime.now(UTC) - timedelta(days=1))
    assert copy.exists()
    os.utime(copy, (0, 0))
    store.tidy(datetime.now(UTC) - timedelta(days=1))
    assert not copy.exists()
    assert store.local_path(SHA256).read_bytes() == CONTENT


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_bucket_that_holds_other_bytes_is_not_believed(store, tmp_path):
    store.client.put_object(Bucket=store.bucket, Key=f"{SHA256[:2]}/{SHA256[2:]}", Body=b"evil")
    with pytest.raises(ArtifactUnavailable, match="other bytes"):
        store.local_path(SHA256)
    assert not store.cache.exists(SHA256)


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_what_is_large_goes_in_parts_and_parts_that_nobody_ended_are_given_up(store, tmp_path):
    large = os.urandom((8 << 20) + 1)
    sha256 = put(store, tmp_path, large)
    begun = {"Bucket": store.bucket, "Key": f"{SHA256[:2]}/{SHA256[2:]}"}
    store.client.create_multipart_upload(**begun)
    store.client.create_multipart_upload(Bucket=store.bucket, Key="somebody/else")
    store.tidy(datetime.now(UTC) - timedelta(days=1))  # the server says that all began in 2010
    assert uploads_of(store) == ["somebody/else"]
    assert read(store, sha256, start=8 << 20) == large[8 << 20 :]
    assert dict(store.stored()) == {sha256: len(large)}


def uploads_of(store: S3Store) -> list[str]:
    found = store.client.list_multipart_uploads(Bucket=store.bucket)
    return [upload["Key"] for upload in found.get("Uploads", ())]


def test_what_is_there_is_listed_with_its_size_and_nothing_of_others(store, tmp_path):
    put(store, tmp_path)
    put(store, tmp_path, b"small")
    if isinstance(store, S3Store):
        store.client.put_object(Bucket=store.bucket, Key="ab/readme", Body=b"not ours")
    else:
        (store.folder / "ab").mkdir(exist_ok=True)
        (store.folder / "ab" / "readme").write_text("not ours")
    there = {SHA256: len(CONTENT), hashlib.sha256(b"small").hexdigest(): 5}
    assert dict(store.stored()) == there
    later = datetime.now(UTC) + timedelta(hours=1)
    assert set(store.stored_before(later)) == set(there)


def test_a_folder_has_no_addresses(tmp_path):
    assert FolderStore(tmp_path).link(SHA256, size_bytes=1 << 40) is None


def test_a_bucket_that_does_not_answer_is_a_dependency_down(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ada")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lovelace")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    store = S3Store("bucket", "http://127.0.0.1:9", cache=FolderStore(tmp_path))
    with pytest.raises(DependencyDown):
        store.exists(SHA256)
