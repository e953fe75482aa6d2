"""How a request is answered under ASGI: by synchronous code, in one thread, in one go.

Our middleware and views are synchronous. Left to itself, Django makes a thread for each request
and crosses between it and the event loop at each middleware, some twenty times, which costs more
than all that they do. The loop is left to what waits: bodies that come or go, and responses that
are not due yet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import IO, Any, ParamSpec, TypeVar, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from hub.common.api.problems import problem_of
from hub.common.bodies import Body, Continued, Message, Receive, Scope, Send, body_of, refuse
from hub.common.errors import StorageFull
from hub.common.room import refusing_when_full
from hub.common.wakeups import listener

ASYNCHRONOUS_ONLY = {"servestatic.middleware.ServeStaticMiddleware"}  # for static files
THREADS = 8
LOOK_AGAIN = 30.0  # seconds; after a lost wake-up, and agents that wait for less ask anew
BLOCK_BYTES = 1 << 20

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=HttpResponseBase)


@dataclass(frozen=True, slots=True)
class Wait:
    """What an empty response waits for, and how long (on the monotonic clock)."""

    channels: tuple[str, ...]
    until: float

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.until - time.monotonic())


def until_woken(response: R, *, channels: Iterable[str], until: float) -> R:
    """Have the request asked again when somebody wakes one of the channels, and at the end.

    Meanwhile it holds no thread and no connection. Elsewhere than under `Handler` the response is
    sent as it is.
    """
    response.wait = Wait(tuple(channels), until)  # type: ignore[attr-defined]
    return response


def nothing(_scope: Scope) -> None:
    """No hash is begun anywhere."""


class Handler(ASGIHandler):
    """See the module.

    `continued` says of a request what hash its body goes on with, before anybody has read it.
    """

    chunk_size = BLOCK_BYTES  # of answers: Django would cut each block into sixteen

    def __init__(self, continued: Callable[[Scope], Continued | None] = nothing) -> None:
        super().__init__()
        self._continued = continued
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self.read_body(receive, self._continued(scope))
        except RequestAborted:
            return
        except StorageFull as full:
            await refuse(send, problem_of(full))
            return
        with closing(body):
            request, refusal = self.create_request(scope, cast("IO[bytes]", body))
            if request is not None:
                await _unless_left(self._answer(request, send), receive)
            elif refusal is not None:
                await self.send_response(refusal, send)

    async def read_body(  # type: ignore[override]
        self, receive: Receive, continued: Continued | None = None
    ) -> Body:
        """Take the body. Raises RequestAborted, or StorageFull; then nothing of it is left."""
        body = Body(continued)
        try:
            with refusing_when_full():
                await _fill(body, receive)
        except BaseException:
            body.close()
            raise
        return body

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        everything = settings.MIDDLEWARE
        settings.MIDDLEWARE = [name for name in everything if name not in ASYNCHRONOUS_ONLY]
        try:
            super().load_middleware(is_async=False)
        finally:
            settings.MIDDLEWARE = everything

    async def _answer(self, request: HttpRequest, send: Send) -> None:
        response = await self._due_response(request)
        try:
            await self.send_response(response, send)
        finally:
            if response.streaming:  # whoever reads may leave in this moment, too
                await asyncio.shield(self._in_thread(response.close))

    async def _due_response(self, request: HttpRequest) -> HttpResponseBase:
        heard = listener().heard
        response = await self._in_thread(self._look, request)
        wait = _wait_of(response)
        if wait is None or not wait.seconds_left:
            return response
        async with listener().watch(wait.channels) as watch:
            # A wake-up that came before the watch stood was for something that we did not see.
            is_due = heard is None or heard != listener().heard
            while wait.seconds_left and _wait_of(response):
                if is_due:
                    response = await self._in_thread(self._look, request)
                if _wait_of(response):
                    await watch.wait(min(wait.seconds_left, LOOK_AGAIN))
                is_due = True
        return response

    def _look(self, request: Any) -> HttpResponseBase:
        """Ask the views. What then takes long, a stream or a wait, has no database connection."""
        set_script_prefix(get_script_prefix(request.scope))
        signals.request_started.send(sender=type(self), scope=request.scope)
        body = body_of(request)
        with body.being_read() if body else nullcontext():
            response = self.get_response(request)
        if response.streaming:
            connections.close_all()
        else:
            response.close()
        return response

    async def _in_thread(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        call = sync_to_async(function, thread_sensitive=False, executor=self._threads)
        return await call(*args, **kwargs)


async def _fill(body: Body, receive: Receive) -> None:
    """Take all that comes in blocks; each is hashed and written while the next one comes."""
    pieces, size, more = list[bytes](), 0, True
    writing: asyncio.Future[None] | None = None
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestAborted
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            more = message.get("more_body", False)
            if size >= BLOCK_BYTES:
                if writing:
                    await writing
                writing = asyncio.ensure_future(_taken(body, b"".join(pieces)))
                pieces, size = [], 0
        if writing:
            await writing
    finally:
        if writing:  # nobody writes any more when the body is closed
            await asyncio.gather(writing, return_exceptions=True)
    rest = b"".join(pieces)
    body.take(rest)
    body.go_on(rest)
    body.rewind()


async def _taken(body: Body, block: bytes) -> None:
    """Have a block written and hashed; where there are two hashes, each in a thread of its own."""
    if body.continued is None:
        await asyncio.to_thread(body.take, block)
    else:
        await asyncio.gather(
            asyncio.to_thread(body.take, block), asyncio.to_thread(body.go_on, block)
        )


def _wait_of(response: HttpResponseBase) -> Wait | None:
    return getattr(response, "wait", None)


async def _unless_left(work: Any, receive: Receive) -> None:
    """Do the work; who asked for it and leaves meanwhile, has it cancelled."""
    working = asyncio.create_task(work)
    leaving: asyncio.Task[Message] = asyncio.create_task(_next(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        working.cancel()  # nothing happens if it is done
        await asyncio.wait({working, leaving})
    if not working.cancelled():
        working.result()


async def _next(receive: Receive) -> Message:
    return await receive()
