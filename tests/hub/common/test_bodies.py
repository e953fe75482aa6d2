from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hub.common import bodies
from hub.common.bodies import Body, Bounded, Room

MOST = 100


async def takes_all(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body as Django does: to its end, or until who sends it is gone."""
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def ask(parts: Sequence[bytes], *, length: bytes | None = None) -> tuple[int, int]:
    """The answer's status, and how many parts of the body were taken."""
    left, sent = list(parts), []

    async def receive() -> dict[str, Any]:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [] if length is None else [(b"content-length", length)]
    asyncio.run(Bounded(takes_all, most=MOST)({"type": "http", "headers": headers}, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], len(parts) - len(left)


@pytest.mark.parametrize("length", [None, b"100", b"nonsense"])
def test_a_body_within_the_bound_is_taken(length):
    assert ask([b"x" * 60, b"x" * 40], length=length) == (200, 2)


@pytest.mark.parametrize("length", [b"101", b"9" * 20])
def test_an_announced_body_beyond_it_is_refused_unread(length):
    assert ask([b"x" * 60, b"x" * 60], length=length) == (413, 0)


def test_a_body_without_length_is_read_to_the_bound_and_no_further():
    assert ask([b"x" * 60] * 1000) == (413, 2)


def test_long_bodies_share_memory_and_go_to_disk_where_it_ends(settings, tmp_path, monkeypatch):
    settings.UPLOAD_FOLDER = tmp_path
    monkeypatch.setattr(bodies, "MOST_IN_MEMORY", 100)
    monkeypatch.setattr(bodies, "room", Room(1000))
    short, first, second = Body(), Body(), Body()
    for body, size in ((short, 100), (first, 700), (second, 200)):
        body.take(b"x" * size)
    assert bodies.room.left == 100
    second.take(b"y" * 101)
    assert [body.is_in_memory for body in (short, first, second)] == [True, True, False]
    second.rewind()
    assert second.read() == b"x" * 200 + b"y" * 101
    assert bodies.room.left == 300
    for body in (short, first, first, second):
        body.close()
    assert bodies.room.left == 1000
