"""The agent's side of HTTPS: every request signed, every try with a nonce of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import httpx

from agent import __version__
from agent.answers import peer_of
from agent.bandwidth import pacing
from agent.errors import AgentFault, Away, ClockDiffers, Refused
from agent.retries import FOR_EVER, persistently
from federation.negotiation import Version, told_to
from federation.protocol import (
    LINKS_HEADER,
    PROTOCOL_HEADER,
    PROTOCOL_VERSION,
    ArtifactRef,
    Message,
)
from federation.signatures import key_id, new_nonce, public_key_of, sign_request

PASSING: Final = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
PASSING_CODES: Final = {"replayed_nonce"}  # somebody on the way sent a request twice
CLOCK_CODES: Final = {"clock_skew", "expired"}
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
BLOCK_BYTES = 1 << 20


class HubClient:
    """Signed requests to one hub; an async context manager.

    Requests raise Refused when the hub says no, and Away when `patience` ran out before it
    answered. Network errors, 408, 425, 429 and 5xx are tried again until then.
    """

    def __init__(
        self,
        hub: str,
        key: bytes | Callable[[], bytes] | None = None,
        *,
        folder: Path | None = None,
    ) -> None:
        """`key` signs; a function is asked for it at every try, since keys are rotated.

        `folder`: where the agent's processes share a cap on their bandwidth, if there is one.
        """
        self.hub = hub.rstrip("/")
        self._folder = folder
        self._key = key
        self._version = Version.of(PROTOCOL_VERSION)  # the hub's, as far as it has said it
        try:
            self._http = self._made()
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise AgentFault(f"The proxy of the environment cannot be used: {error}") from error

    def _made(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            event_hooks=pacing(self._folder),
            headers={
                "User-Agent": f"foedus-agent/{__version__}",
                "Accept": "application/json",
                PROTOCOL_HEADER: PROTOCOL_VERSION,
            },
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def post(
        self,
        path: str,
        message: Message | Mapping[str, object],
        *,
        key: str | None = None,
        patience: float = FOR_EVER,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> httpx.Response:
        """Send a message as JSON; `key` is the same in every try, so the hub acts once.

        A hub that turns out to be a version behind is told again, what it knows alone.
        """
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        send = partial(
            self.request,
            "POST",
            path,
            headers=headers,
            patience=patience,
            answer_seconds=answer_seconds,
        )
        version = self._version
        try:
            return await send(content=self._written(message))
        except Refused:
            if self._version >= version:
                raise
        return await send(content=self._written(message))

    def _written(self, message: Message | Mapping[str, object]) -> bytes:
        document = message if isinstance(message, Mapping) else told_to(message, self._version)
        return json.dumps(document, allow_nan=False).encode()

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes = b"",
        sha256: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        patience: float = FOR_EVER,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> httpx.Response:
        """Send until there is an answer. `path` begins with a slash and may have a query.

        `sha256`: of the content, where it is known already.
        """
        attempt = partial(
            self._try,
            method,
            path,
            content=content,
            sha256=sha256,
            headers=headers or {},
            answer_seconds=answer_seconds,
        )
        return await persistently(attempt, patience=patience)

    async def download(
        self, artifact: ArtifactRef, file: BinaryIO, check: Callable[[], None]
    ) -> None:
        """Append what is missing of an artifact to a file, once.

        Raises Away when the line breaks: the next call goes on where this one stopped. `check` is
        called for every block. The digest is the caller's to compare.
        """
        offset = file.seek(0, os.SEEK_END)
        if offset == artifact.size_bytes:
            return
        request = self._request("GET", f"/api/v1/blobs/{artifact.sha256}")
        request.headers[LINKS_HEADER] = "follow"
        if offset:
            request.headers["Range"] = f"bytes={offset}-"
        await self._receive(request, file, artifact.size_bytes, check)
        if file.tell() < artifact.size_bytes:
            raise Away("cut_short")

    async def _receive(
        self, request: httpx.Request, file: BinaryIO, limit: int, check: Callable[[], None]
    ) -> None:
        try:
            response = await self._opened(request)
            try:
                if response.is_error:
                    await response.aread()
                    _raise_refusal(response)
                if response.status_code != HTTPStatus.PARTIAL_CONTENT:
                    file.truncate(0)
                    file.seek(0)
                async for block in response.aiter_bytes(BLOCK_BYTES):
                    check()
                    file.write(block)
                    if file.tell() > limit:
                        raise Refused(502, "oversized", "more bytes came than were announced")
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise Away(type(error).__name__) from error

    async def _opened(self, request: httpx.Request) -> httpx.Response:
        """The hub's answer, or that of the store to which the hub sends us for the bytes."""
        response = await self._http.send(self._signed(request), stream=True)
        if not response.is_redirect:
            return response
        await response.aclose()
        linked = await self._http.send(self._elsewhere(request, response), stream=True)
        if linked.is_success:
            return linked
        await linked.aclose()
        raise Away(f"store_{linked.status_code}")  # the next link may open

    def _elsewhere(self, request: httpx.Request, response: httpx.Response) -> httpx.Request:
        """Ask the store for the range alone: it has no use for who we are."""
        link = httpx.URL(response.headers.get("Location", ""))
        if link.scheme not in {"https", request.url.scheme}:
            raise Refused(502, "insecure_link", f"the hub links to {link.scheme}://{link.host}")
        found = self._http.build_request("GET", link, headers={"Accept": "*/*"})
        del found.headers[PROTOCOL_HEADER]
        if "Range" in request.headers:
            found.headers["Range"] = request.headers["Range"]
        return found

    async def _try(
        self,
        method: str,
        path: str,
        *,
        content: bytes,
        sha256: bytes | None,
        headers: Mapping[str, str],
        answer_seconds: float,
    ) -> httpx.Response:
        timeout = httpx.Timeout(answer_seconds, connect=CONNECT_SECONDS)
        request = self._request(method, path, content, headers, timeout)
        try:
            response = await self._http.send(self._signed(request, sha256))
        except httpx.TransportError as error:
            raise Away(type(error).__name__) from error
        peer = peer_of(response)
        if PROTOCOL_HEADER in response.headers:  # what stands between us and the hub says none
            self._version = peer.version
        if response.is_error or response.is_redirect:
            _raise_refusal(response)
        return response

    def _request(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Request:
        return self._http.build_request(
            method,
            self.hub + path,
            content=content,
            headers=headers,
            timeout=timeout or self._http.timeout,
        )

    def _signed(self, request: httpx.Request, sha256: bytes | None = None) -> httpx.Request:
        """Sign this try: its time and nonce are new, the body is covered by its digest."""
        key = self._key() if callable(self._key) else self._key
        if key:
            sign_request(
                private_key=key,
                key_id=key_id(public_key_of(key)),
                method=request.method,
                url=str(request.url),
                headers=request.headers,
                body=request.read(),
                now=datetime.now(UTC),
                nonce=new_nonce(),
                sha256_of_body=sha256,
            )
        return request


def _raise_refusal(response: httpx.Response) -> None:
    """Turn an error into what the caller can act on: come back later, or a reason."""
    status = response.status_code
    if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Away(f"http_{status}", _retry_after(response))
    code, detail = _problem_of(response)
    if response.is_redirect:
        detail = f"it redirects to {response.headers.get('Location')}: use that address"
    if code in CLOCK_CODES:
        raise ClockDiffers(f"this machine's clock is {_clock_difference(response)} the hub's")
    if code in PASSING_CODES:
        raise Away(code)
    raise Refused(status, code, detail)


def _problem_of(response: httpx.Response) -> tuple[str, str]:
    """The code and detail of a problem document; anything else gets a code from its status."""
    with suppress(ValueError, AttributeError):
        problem = response.json()
        return str(problem.get("code") or f"http_{response.status_code}"), str(
            problem.get("detail") or ""
        )
    return f"http_{response.status_code}", ""


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    with suppress(ValueError):
        return max(0.0, float(text))
    with suppress(ValueError):
        return max(0.0, (_moment(text) - datetime.now(UTC)).total_seconds())
    return None


def _clock_difference(response: httpx.Response) -> str:
    """How our clock stands to the one that dated the hub's answer, in words."""
    with suppress(ValueError, KeyError):
        ahead = datetime.now(UTC) - _moment(response.headers["Date"])
        seconds = round(ahead.total_seconds())
        return f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'}"
    return "not"


def _moment(text: str) -> datetime:
    """An HTTP date; raises ValueError."""
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
