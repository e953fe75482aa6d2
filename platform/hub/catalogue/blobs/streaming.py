"""An artifact as an HTTP response: whole or a range, in blocks, without holding a thread."""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header, parse_etags

from federation.protocol import LINKS_HEADER
from hub.catalogue.blobs.storage import BLOCK_BYTES, Readable, key_of, store
from hub.catalogue.errors import ArtifactUnavailable, RangeUnsatisfiable
from hub.catalogue.models import Artifact
from hub.common.api.problems import problem_of

BYTES = "application/octet-stream"
FOREVER = "private, max-age=31536000, immutable"
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def artifact_response(
    request: HttpRequest,
    artifact: Artifact,
    *,
    filename: str = "",
    headers: Mapping[str, str] | None = None,
) -> HttpResponseBase:
    """Answer GET or HEAD with the artifact's bytes.

    Raises:
        ArtifactUnavailable: before anything is sent.
    """
    about = {
        "ETag": f'"{artifact.sha256}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": FOREVER,
        **(headers or {}),
    }
    if filename:
        about["Content-Disposition"] = content_disposition_header(True, filename) or ""
    response = _response(request, artifact, filename)
    for name, value in about.items():
        response.headers.setdefault(name, value)
    return response


def _response(request: HttpRequest, artifact: Artifact, filename: str) -> HttpResponseBase:
    if artifact.sha256 in _known_etags(request):
        return HttpResponse(status=304)
    if request.method == "HEAD":
        return _described(HttpResponse(), Span(0, artifact.size_bytes))
    return _elsewhere(request, artifact, filename) or _streamed(request, artifact)


def _elsewhere(request: HttpRequest, artifact: Artifact, filename: str) -> HttpResponse | None:
    """Send the reader to the bucket, or let the proxy send the file; it sees to ranges then."""
    if prefix := settings.BLOB_ACCEL_PREFIX:
        store().local_path(artifact.sha256)  # nginx would say of what is gone that it never was
        address = f"{prefix.rstrip('/')}/{key_of(artifact.sha256)}"
        return HttpResponse(headers={"X-Accel-Redirect": address, "Content-Type": BYTES})
    if not _follows(request):
        return None
    link = store().link(artifact.sha256, size_bytes=artifact.size_bytes, filename=filename)
    if link is None:
        return None
    linked = {"X-Linked-Etag": f'"{artifact.sha256}"', "X-Linked-Size": str(artifact.size_bytes)}
    return HttpResponse(
        status=302, headers={"Location": link, "Cache-Control": "no-store", **linked}
    )


def _follows(request: HttpRequest) -> bool:
    """Agents say whether they follow links; those from before there were any do not."""
    is_agent = "Signature" in request.headers
    return not is_agent or request.headers.get(LINKS_HEADER) == "follow"


def _streamed(request: HttpRequest, artifact: Artifact) -> HttpResponseBase:
    try:
        span = wanted_span(request, artifact)
    except RangeUnsatisfiable as refused:
        return _unsatisfiable(refused, artifact)
    if span is None:
        return _stream(artifact, Span(0, artifact.size_bytes))
    response = _stream(artifact, span)
    response.status_code = 206
    response.headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{artifact.size_bytes}"
    return response


def _unsatisfiable(refused: RangeUnsatisfiable, artifact: Artifact) -> HttpResponseBase:
    response = problem_of(refused).response()
    response.headers["Content-Range"] = f"bytes */{artifact.size_bytes}"
    return response


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` up to, and without, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


def wanted_span(request: HttpRequest, artifact: Artifact) -> Span | None:
    """The one range that is asked for; None for all bytes (RFC 9110, section 14.2).

    Several ranges, other units and ranges of another content are not served as such.

    Raises:
        RangeUnsatisfiable: the range begins after the end, or ends before it begins.
    """
    asked = request.headers.get("Range", "")
    given = RANGE.fullmatch(asked.replace(" ", ""))
    if given is None or given[0] == "bytes=-" or not _is_of(request, artifact):
        return None
    size = artifact.size_bytes
    if not given[1]:
        span = Span(max(0, size - int(given[2])), size)
    else:
        last = min(int(given[2]), size - 1) if given[2] else size - 1
        span = Span(int(given[1]), last + 1)
    if span.length <= 0:
        raise RangeUnsatisfiable(f"there are {size} bytes")
    return span


def _is_of(request: HttpRequest, artifact: Artifact) -> bool:
    condition = request.headers.get("If-Range")
    return condition is None or condition == f'"{artifact.sha256}"'


def _known_etags(request: HttpRequest) -> set[str]:
    etags = parse_etags(request.headers.get("If-None-Match", ""))
    return {etag.removeprefix("W/").strip('"') for etag in etags}


def _stream(artifact: Artifact, span: Span) -> HttpResponseBase:
    blocks = Blocks(store().open(artifact.sha256, start=span.start), span.length)
    return _described(StreamingHttpResponse(blocks), span)


def _described(response: HttpResponseBase, span: Span) -> HttpResponseBase:
    response.headers["Content-Type"] = BYTES
    response.headers["Content-Length"] = str(span.length)
    return response


class Blocks:
    """Reads a source block by block, so that the event loop never waits for a disk.

    What memory has already is read at once; a thread costs more than that. A synchronous iterator
    would be read to its end before the first byte is sent.
    """

    def __init__(self, source: Readable, length: int) -> None:
        self.source = source
        self.length = length
        self._room = memoryview(bytearray(min(BLOCK_BYTES, length)))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self.length
        while left:
            size = min(BLOCK_BYTES, left)
            block = self._at_hand(size) or await asyncio.to_thread(self.source.read, size)
            if not block:
                raise ArtifactUnavailable("the bytes end too early")  # cuts the connection
            left -= len(block)
            yield block

    def _at_hand(self, size: int) -> bytes:
        """The next bytes as far as the system has them in memory, which may be none."""
        if not isinstance(self.source, io.FileIO):
            return b""
        place = self.source.tell()
        try:
            count = os.preadv(self.source.fileno(), [self._room[:size]], place, os.RWF_NOWAIT)
        except OSError:  # they would have to be waited for, or the file system cannot say
            return b""
        self.source.seek(place + count)
        return bytes(self._room[:count])

    def close(self) -> None:
        """Django calls this when the response is done with, sent or not."""
        self.source.close()
