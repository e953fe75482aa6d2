"""A version as one file: a zip of the newest commit, written while it is sent.

The files are stored as they are: weights do not compress, and who unpacks reads at the speed of
the disk. Equal commits give equal bytes. Nothing is held but one block.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import closing
from datetime import datetime
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile, ZipInfo

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from hub.catalogue.blobs.storage import BLOCK_BYTES, store
from hub.catalogue.models import ModelVersion, VersionCommit, VersionFile
from hub.catalogue.versions.commits import newest_commit
from hub.common.errors import NotFound

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ZIP = "application/zip"


def archive_response(version: ModelVersion) -> StreamingHttpResponse:
    """Answer with all files of the newest commit. Needs `federation`.

    Raises:
        NotFound: there are none.
    """
    commit = newest_commit(version)
    if commit is None:
        raise NotFound("this version has no files")
    name = f"{version.federation.slug}-{version}"
    response = StreamingHttpResponse(Archive(name, commit), content_type=ZIP)
    response["Content-Disposition"] = content_disposition_header(True, f"{name}.zip") or ""
    response["Cache-Control"] = "private, no-store"
    return response


class Archive:
    """Reads and packs in threads, so that the event loop never waits for a disk."""

    def __init__(self, name: str, commit: VersionCommit) -> None:
        files = list(commit.files.select_related("artifact"))
        self._blocks = packed(name, commit.created_at, files)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while block := await asyncio.to_thread(next, self._blocks, b""):
            yield block

    def close(self) -> None:
        """Django calls this when the response is done with, sent or not."""
        self._blocks.close()


def packed(
    name: str, made_at: datetime, files: Sequence[VersionFile]
) -> Generator[bytes, None, None]:
    """The bytes of the zip, in blocks none of which is empty; all files lie in one folder."""
    sink = Sink()
    with ZipFile(sink, "w") as archive:
        for file in files:
            about = ZipInfo(f"{name}/{file.path}", date_time=made_at.timetuple()[:6])
            about.external_attr = 0o644 << 16
            about.file_size = file.artifact.size_bytes
            with archive.open(about, "w") as entry, closing(store().open(file.artifact_id)) as own:
                while block := own.read(BLOCK_BYTES):
                    entry.write(block)
                    yield sink.taken()
    yield sink.taken()


class Sink(RawIOBase):
    """Keeps what was written until it is taken; it cannot go back, as a connection cannot."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, block: ReadableBuffer) -> int:
        before = len(self._kept)
        self._kept += block
        return len(self._kept) - before

    def taken(self) -> bytes:
        kept = bytes(self._kept)
        self._kept.clear()
        return kept


def write_folder(version: ModelVersion, folder: Path) -> list[str]:
    """Lay the newest commit down in a folder that is not there yet; returns the paths.

    Raises:
        FileExistsError: something has this name.
    """
    folder.mkdir(parents=True)
    files = list(version.files)
    for file in files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with closing(store().open(file.artifact_id)) as source, target.open("xb") as copy:
            while block := source.read(BLOCK_BYTES):
                copy.write(block)
    return [file.path for file in files]
