"""The stream of a run over a real server: what it names, where it goes on, when it ends."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.urls import reverse

from federation.protocol import HeartbeatIn, Progress
from hub.accounts.models import User
from hub.runs import live, services
from hub.runs.models import Run
from hub.runs.selectors import events_of_run
from tests.hub.runs.world import World, make_world, plan_of

pytestmark = pytest.mark.django_db(transaction=True)
SOON = 10.0


@dataclass(frozen=True)
class Message:
    id: int
    event: str


class Reader:
    """An event source: reads messages in a thread until it is closed or the stream ends."""

    def __init__(self, base: str, cookie: str, run: Run, **options: object) -> None:
        self.messages: list[Message] = []
        self.comments: list[str] = []
        self.headers: httpx.Headers = httpx.Headers()
        self.has_ended = threading.Event()
        self._client = httpx.Client(base_url=base, cookies={settings.SESSION_COOKIE_NAME: cookie})
        self._url = reverse("runs:events", args=[run.pk])
        self._options = options
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            with self._client.stream("GET", self._url, timeout=30, **self._options) as response:
                self.headers = response.headers
                stream = response.extensions["network_stream"]
                self._socket = stream.get_extra_info("socket")
                self._parse(response.iter_lines())
        except httpx.HTTPError:
            pass
        self.has_ended.set()

    def _parse(self, lines: Iterator[str]) -> None:
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            if not line:
                if "event" in fields:
                    self.messages.append(Message(int(fields["id"]), fields["event"]))
                fields = {}
            elif line.startswith(":"):
                self.comments.append(line)
            else:
                fields[name] = value

    @property
    def names(self) -> set[str]:
        return {message.event for message in self.messages}

    @property
    def news(self) -> set[str]:
        """Without what a heartbeat names, and a server that has just begun to listen."""
        return self.names - live.HEARTBEAT

    def until(self, *names: str) -> set[str]:
        """Wait until all of these have come."""
        deadline = time.monotonic() + SOON
        while not self.names >= set(names):
            assert time.monotonic() < deadline, f"{set(names) - self.names} did not come"
            time.sleep(0.02)
        return self.names

    def close(self) -> None:
        """Hang up, as a browser does that goes to another page."""
        if not self.has_ended.is_set():
            self._socket.shutdown(socket.SHUT_RDWR)
        assert self.has_ended.wait(SOON)
        self._client.close()


@pytest.fixture
def hub(db: None) -> Iterator[str]:
    """The hub's own server, in a thread."""
    from hub.asgi import application

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=15)
    listener.close()


def signed_in(user: User) -> str:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "hub.accounts.backends.PeopleBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


@pytest.fixture
def follow(hub: str) -> Iterator[object]:
    readers = []

    def start(user: User, run: Run, **options: object) -> Reader:
        readers.append(Reader(hub, signed_in(user), run, **options))
        return readers[-1]

    yield start
    for reader in readers:
        reader.close()


def newest(run: Run) -> int:
    return max(event.pk for event in events_of_run(run.pk))


def test_what_happens_names_the_parts_that_are_out_of_date(world: World, follow) -> None:
    run = world.start_run()
    reader = follow(world.lead, run, params={"last_event_id": newest(run)})
    time.sleep(0.5)
    assert reader.news == set()
    world.train(world.sites[0])
    assert "state" not in reader.until("now", "feed", "summary", "rounds", "sentence")
    services.pause_run(user=world.lead, run_id=run.pk)
    reader.until("state")
    assert reader.messages[-1].id <= newest(run)


def test_a_heartbeat_leaves_no_event_and_moves_the_page(world: World, follow) -> None:
    run = world.start_run()
    offer = world.lease(world.sites[0])
    reader = follow(world.lead, run, params={"last_event_id": newest(run)})
    time.sleep(0.5)
    progress = Progress(phase="training", step=3, steps=9, loss=1.5)
    services.heartbeat(
        agent=world.sites[0].agent,
        task_id=offer.id,
        message=HeartbeatIn(fence=1, progress=progress),
    )
    reader.until("now", "charts")
    assert reader.news == set()


def test_it_goes_on_after_the_last_event_that_was_seen(world: World, follow) -> None:
    run = world.start_run()
    seen = newest(run)
    world.train(world.sites[0])
    reader = follow(world.lead, run, headers={"Last-Event-ID": str(seen)})
    reader.until("now", "feed", "rounds")
    assert {message.id for message in reader.messages} == {newest(run)}
    fresh = follow(world.lead, run, headers={"Last-Event-ID": str(newest(run))})
    time.sleep(0.5)
    assert fresh.news == set()


def test_the_header_is_newer_than_the_address(world: World, follow) -> None:
    run = world.start_run()
    world.train(world.sites[0])
    reader = follow(
        world.lead,
        run,
        params={"last_event_id": "1"},
        headers={"Last-Event-ID": str(newest(run))},
    )
    time.sleep(0.5)
    assert reader.news == set()


@pytest.mark.parametrize("last_id", ["", "soon", "9" * 30])
def test_who_does_not_know_where_it_was_is_told_everything(world: World, follow, last_id) -> None:
    run = world.start_run()
    reader = follow(world.lead, run, params={"last_event_id": last_id})
    assert reader.until(*live.EVERYTHING) == live.EVERYTHING


def test_the_stream_ends_with_the_run(world: World, follow) -> None:
    run = world.start_run()
    reader = follow(world.lead, run, params={"last_event_id": newest(run)})
    time.sleep(0.3)
    services.cancel_run(user=world.lead, run_id=run.pk)
    assert reader.has_ended.wait(SOON)
    assert reader.messages[-1] == Message(newest(run), "final")
    assert reader.names >= {"state", "summary", "rounds", "feed", "final"}


def test_the_stream_of_an_ended_run_ends_at_once(world: World, follow) -> None:
    run = world.start_run()
    services.cancel_run(user=world.lead, run_id=run.pk)
    reader = follow(world.lead, run, params={"last_event_id": newest(run)})
    assert reader.has_ended.wait(SOON)
    assert reader.news == {"final"}


def test_it_is_an_event_stream_that_no_proxy_keeps(world: World, follow) -> None:
    reader = follow(world.lead, world.start_run())
    reader.until("now")
    assert reader.headers["content-type"] == "text/event-stream"
    assert reader.headers["cache-control"] == "no-cache"
    assert reader.headers["x-accel-buffering"] == "no"


def test_silence_is_broken_by_pings(world: World, follow, monkeypatch) -> None:
    monkeypatch.setattr(live, "PING", 0.3)
    run = world.start_run()
    reader = follow(world.lead, run, params={"last_event_id": newest(run)})
    time.sleep(2)
    assert reader.comments[:2] == [": ping", ": ping"]


def test_strangers_get_no_stream(world: World, hub: str) -> None:
    run = world.start_run()
    stranger = make_world(world.folder).lead
    cookies = {settings.SESSION_COOKIE_NAME: signed_in(stranger)}
    url = hub + reverse("runs:events", args=[run.pk])
    assert httpx.get(url, cookies=cookies).status_code == 404
    assert httpx.get(url).status_code == 302


def test_who_only_follows_holds_no_thread_and_no_connection(world: World, follow) -> None:
    run = world.start_run(plan_of())
    last = newest(run)
    first = follow(world.lead, run, params={"last_event_id": last})
    time.sleep(1)
    threads = threading.active_count()
    pool = min(32, (os.cpu_count() or 1) + 4)  # looks are taken in one, however many follow
    readers = [follow(world.lead, run, params={"last_event_id": last}) for _ in range(pool + 10)]
    time.sleep(4)
    assert threading.active_count() - threads - len(readers) <= pool  # each reader is a thread
    assert connections_in_use() <= 2
    services.pause_run(user=world.lead, run_id=run.pk)
    for reader in (first, *readers):
        reader.until("state")


def connections_in_use() -> int:
    stats = connection.pool.get_stats()
    return int(stats["pool_size"] - stats["pool_available"])
