"""Where artifacts lie: a folder, or an S3-compatible bucket. Bytes are named by their SHA-256.

A name is given only to whole and durable bytes: they are written under another name in the same
file system, flushed, renamed, and the rename is flushed. Putting the same content twice is
putting it once. Nothing here knows who may read what.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from django.conf import settings

from hub.catalogue.errors import ArtifactUnavailable
from hub.common.errors import DependencyDown, StorageFull
from hub.common.room import refusing_when_full

if TYPE_CHECKING:
    from botocore.client import BaseClient

BLOCK_BYTES = 1 << 20
PARTS = "parts"  # files that have no name yet


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


class Store(Protocol):
    """Content-addressed bytes. All methods may block on disk or network."""

    def put(self, path: Path, sha256: str) -> None:
        """Take the file in under its digest, which the caller has computed; `path` is gone then.

        Raises:
            StorageFull: nothing is left behind, `path` is still there.
        """

    def open(self, sha256: str, *, start: int = 0) -> Readable:
        """Open the bytes from `start` on; the caller closes.

        Raises:
            ArtifactUnavailable: they are not there.
        """

    def local_path(self, sha256: str) -> Path:
        """A path to read from now; it may be gone tomorrow. Raises ArtifactUnavailable."""

    def exists(self, sha256: str) -> bool: ...

    def delete(self, sha256: str) -> None:
        """Forget the bytes; nothing happens if they are gone."""

    def stored_before(self, moment: datetime) -> Iterator[str]:
        """Digests of all that was put, or put again, before a moment."""

    def is_before(self, sha256: str, moment: datetime) -> bool:
        """Whether it is there and was last put before a moment."""

    def tidy(self, before: datetime) -> None:
        """Delete what crashes left half-written before a moment, and copies unused since."""


def store() -> Store:
    """The store that the settings name; one per process."""
    return _store(settings.BLOB_FOLDER, settings.BLOB_BUCKET, settings.BLOB_ENDPOINT)


@lru_cache(maxsize=4)
def _store(folder: Path, bucket: str, endpoint: str) -> Store:
    local = FolderStore(Path(folder))
    return S3Store(bucket, endpoint, cache=local) if bucket else local


class FolderStore:
    """`<folder>/ab/cdef…`; everything that reads and writes it shares one file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, path: Path, sha256: str) -> None:
        target = self._path(sha256)
        with refusing_when_full():
            self._make_shard(target.parent)
            if not self._touched(target):
                part = self._within(path)
                flush(part)
                part.chmod(0o440)
                part.replace(target)
            flush(target.parent)
        path.unlink(missing_ok=True)

    def open(self, sha256: str, *, start: int = 0) -> Readable:
        try:
            file = self._path(sha256).open("rb")
        except FileNotFoundError as error:
            raise ArtifactUnavailable(f"{sha256} is not in the store") from error
        file.seek(start)
        return file

    def local_path(self, sha256: str) -> Path:
        path = self._path(sha256)
        if not path.is_file():
            raise ArtifactUnavailable(f"{sha256} is not in the store")
        return path

    def exists(self, sha256: str) -> bool:
        return self._path(sha256).is_file()

    def delete(self, sha256: str) -> None:
        self._path(sha256).unlink(missing_ok=True)

    def stored_before(self, moment: datetime) -> Iterator[str]:
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if _is_older(path, moment):
                yield path.parent.name + path.name

    def is_before(self, sha256: str, moment: datetime) -> bool:
        return _is_older(self._path(sha256), moment)

    def tidy(self, before: datetime) -> None:
        for path in self.folder.glob(f"{PARTS}/*"):
            if _is_older(path, before):
                path.unlink(missing_ok=True)

    def new_part(self) -> Path:
        """A path within this file system for bytes that have no name yet."""
        folder = self.folder / PARTS
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid4().hex

    def _path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256[2:]

    def _touched(self, target: Path) -> bool:
        """Make what is there young again, so that no sweep takes it for forgotten."""
        with suppress(FileNotFoundError):
            os.utime(target)
            return True
        return False

    def _make_shard(self, shard: Path) -> None:
        if not shard.is_dir():
            shard.mkdir(parents=True, exist_ok=True)
            flush(self.folder)

    def _within(self, path: Path) -> Path:
        """The file itself, or a copy of it where it lies in another file system."""
        if path.stat().st_dev == self.folder.stat().st_dev:
            return path
        part = self.new_part()
        try:
            shutil.copyfile(path, part)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part


class S3Store:
    """Objects `ab/cdef…` of one bucket. Jobs that need a path get a copy, kept for a while."""

    def __init__(self, bucket: str, endpoint: str, *, cache: FolderStore) -> None:
        self.bucket = bucket
        self.endpoint = endpoint or None
        self.cache = cache

    @property
    def client(self) -> BaseClient:
        return _client(self.endpoint)

    def put(self, path: Path, sha256: str) -> None:
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415  (slow, folders need it not)

        modest = TransferConfig(max_concurrency=2)
        with answering():
            self.client.upload_file(str(path), self.bucket, _key(sha256), Config=modest)
        path.unlink(missing_ok=True)

    def open(self, sha256: str, *, start: int = 0) -> Readable:
        # A range that begins at the end is refused, so an empty rest has to be asked for whole.
        wanted: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
        with answering(sha256):
            found = self.client.get_object(Bucket=self.bucket, Key=_key(sha256), **wanted)
        body: Readable = found["Body"]
        return body

    def local_path(self, sha256: str) -> Path:
        if not self.cache.exists(sha256):
            self._fetch(sha256)
        path = self.cache.local_path(sha256)
        os.utime(path)
        return path

    def exists(self, sha256: str) -> bool:
        return self._stored_at(sha256) is not None

    def delete(self, sha256: str) -> None:
        with answering():
            self.client.delete_object(Bucket=self.bucket, Key=_key(sha256))
        self.cache.delete(sha256)

    def stored_before(self, moment: datetime) -> Iterator[str]:
        with answering():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
            for page in pages:
                for found in page.get("Contents", ()):
                    if found["LastModified"] < moment:
                        yield found["Key"].replace("/", "")

    def is_before(self, sha256: str, moment: datetime) -> bool:
        stored_at = self._stored_at(sha256)
        return stored_at is not None and stored_at < moment

    def tidy(self, before: datetime) -> None:
        self.cache.tidy(before)
        for sha256 in list(self.cache.stored_before(before)):
            self.cache.delete(sha256)

    def _stored_at(self, sha256: str) -> datetime | None:
        try:
            with answering(sha256):
                found = self.client.head_object(Bucket=self.bucket, Key=_key(sha256))
        except ArtifactUnavailable:
            return None
        stored_at: datetime = found["LastModified"]
        return stored_at

    def _fetch(self, sha256: str) -> None:
        part = self.cache.new_part()
        try:
            with answering(sha256), refusing_when_full():
                self.client.download_file(self.bucket, _key(sha256), str(part))
            if sha256_of(part) != sha256:
                raise ArtifactUnavailable(f"the bucket holds other bytes under {sha256}")
            self.cache.put(part, sha256)
        finally:
            part.unlink(missing_ok=True)


@lru_cache(maxsize=4)
def _client(endpoint: str | None) -> BaseClient:
    """Credentials and region come from the environment, as boto3 documents it."""
    import boto3  # noqa: PLC0415  (slow to import, and folders need it not)
    from botocore.config import Config  # noqa: PLC0415

    # Checksums in trailers are Amazon's own; other stores refuse them.
    plain = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"max_attempts": 3, "mode": "standard"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client("s3", endpoint_url=endpoint, config=plain)


@contextmanager
def answering(sha256: str = "") -> Iterator[None]:
    """Turn what a bucket answers, or that it does not, into our refusals."""
    from boto3.exceptions import Boto3Error  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status == 404:  # noqa: PLR2004
            raise ArtifactUnavailable(f"{sha256} is not in the bucket") from error
        if status == StorageFull.status:
            raise StorageFull("the bucket has no room") from error
        raise DependencyDown("the blob store refuses", retry_after=5) from error
    except (BotoCoreError, Boto3Error) as error:
        raise DependencyDown("the blob store does not answer", retry_after=5) from error


def flush(path: Path) -> None:
    """Make a file's bytes, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256[2:]}"


def _is_older(path: Path, moment: datetime) -> bool:
    with suppress(FileNotFoundError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) < moment
    return False
