"""One signed request to a webhook, bounded in every way; what comes back is measured, not kept."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import httpx

from hub.notices.hooks.addresses import Target

WHOLE_SECONDS = 15.0  # of connecting, sending and the answer together
EACH_SECONDS = 8.0
MOST_ANSWER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    status: int | None
    took_ms: int
    length: int = 0  # bytes of the answer, up to what is read
    failure: str = ""  # a word for why nobody answered

    @property
    def is_taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004


@cache
def certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def post(
    target: Target,
    *,
    body: bytes,
    headers: Mapping[str, str],
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """Send it to the address that was looked at, as the name it was looked up by.

    No proxy, no redirect, no cookie, no compression.
    """
    began = time.monotonic()
    try:
        status, length = asyncio.run(_posted(target, body, headers, trust or certificates()))
    except (TimeoutError, httpx.TimeoutException):
        return Answer(None, _ms(began), failure="timeout")
    except httpx.ConnectError as refused:
        is_tls = isinstance(_root(refused), ssl.SSLError)
        return Answer(None, _ms(began), failure="certificate" if is_tls else "no_connection")
    except httpx.HTTPError:
        return Answer(None, _ms(began), failure="no_http")
    return Answer(status, _ms(began), length)


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


async def _posted(
    target: Target, body: bytes, headers: Mapping[str, str], trust: ssl.SSLContext
) -> tuple[int, int]:
    transport = httpx.AsyncHTTPTransport(verify=trust, trust_env=False, retries=0)
    client = httpx.AsyncClient(
        transport=transport, timeout=EACH_SECONDS, follow_redirects=False, trust_env=False
    )
    async with asyncio.timeout(WHOLE_SECONDS), client:
        request = client.build_request(
            "POST",
            target.url,
            content=body,
            headers={"Host": target.host_header, "Accept-Encoding": "identity", **headers},
            extensions={"sni_hostname": target.host},
        )
        response = await client.send(request, stream=True)
        return response.status_code, await _measured(response)


async def _measured(response: httpx.Response) -> int:
    """How long the answer is, as far as it is read."""
    length = 0
    async for chunk in response.aiter_raw():
        length += len(chunk)
        if length >= MOST_ANSWER_BYTES:
            break
    await response.aclose()
    return min(length, MOST_ANSWER_BYTES)


def _ms(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
