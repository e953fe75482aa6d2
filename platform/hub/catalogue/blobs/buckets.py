"""Artifacts in an S3-compatible bucket, with copies on disk for whoever needs a path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.utils.http import content_disposition_header

from hub.catalogue.blobs.storage import FolderStore, Readable, digest_in, key_of, sha256_of
from hub.catalogue.errors import ArtifactUnavailable
from hub.common.errors import DependencyDown, StorageFull
from hub.common.room import refusing_when_full

if TYPE_CHECKING:
    from pathlib import Path

    from botocore.client import BaseClient

LINK_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Links:
    """Large artifacts are read from the bucket itself, by addresses that open for minutes."""

    endpoint: str  # the bucket's service as those who download reach it
    least_bytes: int  # what is smaller comes through the hub: a second request costs more


class S3Store:
    """Objects `ab/cdef…` of one bucket. Jobs that need a path get a copy, kept for a while."""

    def __init__(
        self, bucket: str, endpoint: str, *, cache: FolderStore, links: Links | None = None
    ) -> None:
        self.bucket = bucket
        self.endpoint = endpoint or None
        self.cache = cache
        self.links = links

    @property
    def client(self) -> BaseClient:
        return _client(self.endpoint)

    def put(self, path: Path, sha256: str) -> None:
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415  (slow, folders need it not)

        modest = TransferConfig(max_concurrency=2)  # in parts from 8 MiB on
        with answering():
            self.client.upload_file(str(path), self.bucket, key_of(sha256), Config=modest)
        path.unlink(missing_ok=True)

    def open(self, sha256: str, *, start: int = 0) -> Readable:
        # A range that begins at the end is refused, so an empty rest has to be asked for whole.
        wanted: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
        with answering(sha256):
            found = self.client.get_object(Bucket=self.bucket, Key=key_of(sha256), **wanted)
        body: Readable = found["Body"]
        return body

    def link(self, sha256: str, *, size_bytes: int, filename: str = "") -> str | None:
        if self.links is None or size_bytes < self.links.least_bytes:
            return None
        wanted = {
            "Bucket": self.bucket,
            "Key": key_of(sha256),
            "ResponseContentType": "application/octet-stream",
            "ResponseContentDisposition": content_disposition_header(True, filename)
            or "attachment",
        }
        signer = _client(self.links.endpoint)
        address: str = signer.generate_presigned_url(
            "get_object", Params=wanted, ExpiresIn=LINK_SECONDS
        )
        return address

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
            self.client.delete_object(Bucket=self.bucket, Key=key_of(sha256))
        self.cache.delete(sha256)

    def stored(self) -> Iterator[tuple[str, int]]:
        for found in self._objects():
            yield digest_in(found["Key"]), found["Size"]

    def stored_before(self, moment: datetime) -> Iterator[str]:
        for found in self._objects():
            if found["LastModified"] < moment:
                yield digest_in(found["Key"])

    def is_before(self, sha256: str, moment: datetime) -> bool:
        stored_at = self._stored_at(sha256)
        return stored_at is not None and stored_at < moment

    def tidy(self, before: datetime) -> None:
        self.cache.tidy(before)
        for sha256 in list(self.cache.stored_before(before)):
            self.cache.delete(sha256)
        self._abort_uploads(before)

    def _objects(self) -> Iterator[dict[str, Any]]:
        """What we have put there; other keys of the bucket are somebody else's."""
        with answering():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
            for page in pages:
                yield from (found for found in page.get("Contents", ()) if digest_in(found["Key"]))

    def _abort_uploads(self, before: datetime) -> None:
        """Give up uploads in parts that a crash left: their parts take room that nobody sees."""
        with answering():
            pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket)
            begun = [found for page in pages for found in page.get("Uploads", ())]
            for found in begun:
                if digest_in(found["Key"]) and found["Initiated"] < before:
                    self.client.abort_multipart_upload(
                        Bucket=self.bucket, Key=found["Key"], UploadId=found["UploadId"]
                    )

    def _stored_at(self, sha256: str) -> datetime | None:
        try:
            with answering(sha256):
                found = self.client.head_object(Bucket=self.bucket, Key=key_of(sha256))
        except ArtifactUnavailable:
            return None
        stored_at: datetime = found["LastModified"]
        return stored_at

    def _fetch(self, sha256: str) -> None:
        part = self.cache.new_part()
        try:
            with answering(sha256), refusing_when_full():
                self.client.download_file(self.bucket, key_of(sha256), str(part))
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
        signature_version="s3v4",
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
