"""How requests are answered under ASGI: in threads, after waiting, and never for who has left."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from hub.common import bodies
from hub.common.bodies import sha256_of_body
from hub.common.handler import Handler, until_woken
from hub.common.wakeups import listener, wake
from tests.hub.catalogue.faults import full_disk

Messages = list[MutableMapping[str, Any]]
Step = MutableMapping[str, Any]
SECRET = "the views of this module share what they saw here"
seen: dict[str, Any] = {}


def looks(request: HttpRequest) -> HttpResponse:
    """Has work from the third look on."""
    seen["looks"] = seen.get("looks", 0) + 1
    seen.pop("during", bool)()
    if seen["looks"] >= seen["needed"]:
        return HttpResponse("work")
    return until_woken(HttpResponse(status=204), channels=["run:1"], until=seen["until"])


def digests(request: HttpRequest) -> HttpResponse:
    known = sha256_of_body(request).hex()
    assert known == hashlib.sha256(request.read()).hexdigest()
    return HttpResponse(known)


def breaks(request: HttpRequest) -> HttpResponse:
    raise RuntimeError(SECRET)


def blocks(request: HttpRequest) -> HttpResponse:
    seen.setdefault("threads", set()).add(threading.current_thread().name)
    time.sleep(0.2)
    return HttpResponse()


def streams(request: HttpRequest) -> StreamingHttpResponse:
    connection.ensure_connection()

    async def forever() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"."
                await asyncio.sleep(0.01)
        finally:
            seen["ended"] = True

    return StreamingHttpResponse(forever())


def reads_late(request: HttpRequest) -> HttpResponse:
    seen["begun"] = True
    seen["may_read"].wait(5)
    seen["read"] = request.read()
    return HttpResponse()


def connected(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(connection.connection is not None))


urlpatterns = [
    path(view.__name__, view)
    for view in (looks, digests, breaks, blocks, streams, reads_late, connected)
]


@pytest.fixture(autouse=True)
def on_these_views() -> Iterator[None]:
    seen.clear()
    middleware = ["hub.common.middleware.RequestGuard"]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, ALLOWED_HOSTS=["hub"]):
        yield


@dataclass
class Visit:
    """One request; `leave` hangs up."""

    handler: Handler
    view: str
    parts: tuple[bytes, ...] = (b"",)
    sent: Messages = field(default_factory=list)
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    async def go(self) -> str:
        scope = {
            "type": "http", "method": "POST", "path": f"/{self.view}", "headers": [(b"host", b"hub")],
        }  # fmt: skip
        pending = [
            {"type": "http.request", "body": part, "more_body": number < len(self.parts)}
            for number, part in enumerate(self.parts, 1)
        ]

        async def receive() -> Step:
            if pending:
                return pending.pop(0)
            await self.leave.wait()
            return {"type": "http.disconnect"}

        async def send(message: Step) -> None:
            self.sent.append(message)

        await self.handler(scope, receive, send)
        return self.body

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> str:
        return b"".join(m.get("body", b"") for m in self.sent).decode()


def run(story: Callable[[Handler], Awaitable[None]]) -> None:
    async def with_an_end() -> None:
        try:
            await story(Handler())
        finally:
            await listener().close()

    asyncio.run(with_an_end())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "parts",
    [(b"",), (b"x",), (b"x" * 3_000_000, b"", b"y" * 2_000_000), tuple([b"z" * 65536] * 40)],
    ids=["nothing", "a byte", "large parts", "many parts"],
)
def test_a_body_is_hashed_while_it_comes_and_can_be_read(parts: tuple[bytes, ...]):
    async def story(handler: Handler) -> None:
        visit = Visit(handler, "digests", parts)
        assert await visit.go() == hashlib.sha256(b"".join(parts)).hexdigest()

    run(story)


@pytest.mark.parametrize("room_bytes", [1000, 2_500_000])
def test_a_body_that_the_disk_has_no_room_for_is_refused_and_leaves_nothing(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room_bytes: int
) -> None:
    settings.UPLOAD_FOLDER = tmp_path
    monkeypatch.setattr(bodies, "room", bodies.Room(0))

    async def story(handler: Handler) -> None:
        visit = Visit(handler, "digests", (b"x" * 1_500_000, b"y" * 1_500_000, b""))
        with full_disk(room_bytes):
            await visit.go()
        assert visit.status == 507
        assert json.loads(visit.body)["code"] == "storage_full"
        assert await Visit(handler, "connected").go() == "False"

    run(story)
    assert list(tmp_path.iterdir()) == []
    assert not [file for file in open_files() if file.startswith(str(tmp_path))]


def open_files() -> list[str]:
    """Where the files of this process lie, those without a name too."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(link.readlink()))
    return found


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_answered_when_woken():
    def find_work() -> None:
        wake("run:1")
        connection.close()

    async def story(handler: Handler) -> None:
        seen.update(needed=3, until=time.monotonic() + 30)
        visit = Visit(handler, "looks")
        going = asyncio.create_task(visit.go())
        await until(lambda: seen.get("looks") == 2)  # one before the watch stood, one after
        await asyncio.to_thread(find_work)
        assert await asyncio.wait_for(going, 5) == "work"

    run(story)


def test_who_waits_for_nothing_is_answered_at_the_end():
    async def story(handler: Handler) -> None:
        seen.update(needed=99, until=time.monotonic() + 0.3)
        visit = Visit(handler, "looks")
        assert await asyncio.wait_for(visit.go(), 5) == ""
        assert (visit.status, seen["looks"]) == (204, 2)

    run(story)


def test_while_nothing_happens_one_look_is_enough():
    async def story(handler: Handler) -> None:
        async with listener().watch(["run:1"]):  # the process listens already
            seen.update(needed=99, until=time.monotonic() + 0.3)
            visit = Visit(handler, "looks")
            await visit.go()
        assert (visit.status, seen["looks"]) == (204, 1)

    run(story)


@pytest.mark.django_db(transaction=True)
def test_a_wake_up_during_the_look_is_not_missed():
    def wakes() -> None:
        wake("run:1")
        connection.close()

    async def story(handler: Handler) -> None:
        async with listener().watch(["run:1"]):
            seen.update(needed=2, until=time.monotonic() + 30, during=wakes)
            assert await Visit(handler, "looks").go() == "work"

    run(story)


def test_who_leaves_while_waiting_is_not_asked_for_again():
    async def story(handler: Handler) -> None:
        seen.update(needed=99, until=time.monotonic() + 30)
        visit = Visit(handler, "looks")
        going = asyncio.create_task(visit.go())
        await until(lambda: seen.get("looks") == 2)
        visit.leave.set()
        await asyncio.wait_for(going, 5)
        assert (visit.sent, seen["looks"]) == ([], 2)
        assert not listener()._watches

    run(story)


def test_who_leaves_before_the_end_of_the_body_is_not_answered():
    async def story(handler: Handler) -> None:
        visit = Visit(handler, "digests")

        async def receive() -> Step:
            return {"type": "http.disconnect"}

        async def send(message: Step) -> None:
            visit.sent.append(message)

        await handler({"type": "http", "method": "POST", "path": "/digests"}, receive, send)
        assert visit.sent == []

    run(story)


def test_who_leaves_while_a_view_reads_does_not_close_the_body_under_it():
    async def story(handler: Handler) -> None:
        seen["may_read"] = threading.Event()
        visit = Visit(handler, "reads_late", (b"x" * 2_000_000,))
        going = asyncio.create_task(visit.go())
        await until(lambda: seen.get("begun"))
        visit.leave.set()
        await asyncio.wait_for(going, 5)
        seen["may_read"].set()
        await until(lambda: "read" in seen)
        assert len(seen["read"]) == 2_000_000
        await until(lambda: bodies.room.left == bodies.MOST_TOGETHER)
        assert visit.sent == []

    run(story)


@pytest.mark.django_db(transaction=True)
def test_a_stream_holds_no_connection_and_ends_when_its_reader_leaves():
    async def story(handler: Handler) -> None:
        visit = Visit(handler, "streams")
        going = asyncio.create_task(visit.go())
        await until(lambda: len(visit.sent) > 3)
        assert [await Visit(handler, "connected").go() for _ in range(16)] == ["False"] * 16
        visit.leave.set()
        await asyncio.wait_for(going, 5)
        assert seen["ended"]

    run(story)


def test_requests_share_a_few_threads():
    async def story(handler: Handler) -> None:
        await asyncio.gather(*(Visit(handler, "blocks").go() for _ in range(24)))
        assert len(seen["threads"]) == 8

    run(story)


def test_what_breaks_is_a_bare_500():
    async def story(handler: Handler) -> None:
        visit = Visit(handler, "breaks")
        await visit.go()
        assert visit.status == 500
        assert SECRET not in visit.body

    run(story)
