"""Several workers of one agent, and several agents on one Redis."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from redis import Redis

from agent.broker import executable
from agent.client import HubClient
from agent.home import Home
from agent.journal import Journal, Outcome
from agent.poller import Poller
from federation.protocol import FailureIn
from tests.agent import tiny
from tests.agent.conftest import Spec, training
from tests.agent.fake_hub import FakeHub, Task
from tests.agent.place import Place
from tests.agent.tiny import plan

HERE = socket.gethostname()


# Workers in this process, which do nothing for a while.


@dataclass
class Idle:
    """A worker that holds a task for some time, and then says that it has failed."""

    name: str
    home: Home
    seconds: float = 0.5
    is_living: bool = True
    begun: list[str] = field(default_factory=list)

    async def send(self, task_id: str) -> None:
        if self.is_living:
            self.begun.append(task_id)
            threading.Thread(target=self._hold, args=(task_id,)).start()

    def kill(self) -> None:
        raise AssertionError

    def _hold(self, task_id: str) -> None:
        (entry,) = [e for e in Journal(self.home.tasks).entries() if str(e.offer.id) == task_id]
        with entry.worked_on():
            time.sleep(self.seconds)
            entry.decide(Outcome(failure=FailureIn(fence=entry.offer.fence, code="idle")))


@dataclass
class Idlers:
    all: list[Idle]

    def living(self) -> list[Idle]:
        return [worker for worker in self.all if worker.is_living]


def poll(home: Home, workers: list[Idle], *, until: Callable[[], object]) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        async with HubClient(home.identity().hub, home.private_key()) as client:
            poller = Poller(home=home, hub=client, crew=Idlers(workers))
            polling = asyncio.create_task(poller.run_until(stop))
            while not polling.done():
                if until():
                    break
                await asyncio.sleep(0.02)
            stop.set()
            await polling

    asyncio.run(asyncio.wait_for(run(), 30))


def offered(hub: FakeHub, count: int) -> list[Task]:
    spec = training(hub, b"start", plan())
    return [hub.offer(spec) for _ in range(count)]


def are_over(tasks: list[Task]) -> bool:
    return all(task.failures for task in tasks)


def test_each_worker_has_one_task_at_a_time_and_all_are_done(
    quiet_hub: FakeHub, home: Home
) -> None:
    workers = [Idle("cuda:0@a", home), Idle("cuda:0@b", home)]
    tasks = offered(quiet_hub, 4)
    began = time.monotonic()
    poll(home, workers, until=lambda: are_over(tasks))
    assert time.monotonic() - began > 2 * workers[0].seconds
    assert sorted(len(worker.begun) for worker in workers) == [2, 2]
    assert {seen.held is not None and len(seen.held) < 2 for seen in quiet_hub.leases} == {True}


def test_a_resumed_task_goes_to_the_worker_that_had_it(quiet_hub: FakeHub, home: Home) -> None:
    workers = [Idle(name, home, seconds=0.1) for name in ("a", "b", "c")]
    tasks = offered(quiet_hub, 2)
    for task, name in zip(tasks, ("gone", "c"), strict=True):
        task.state = "leased"
        Journal(home.tasks).open(task.offer).assign(name)
    poll(home, workers, until=lambda: are_over(tasks))
    assert workers[2].begun == [str(tasks[1].offer.id)]
    assert workers[0].begun == [str(tasks[0].offer.id)]


def test_a_worker_that_goes_for_good_gives_its_task_to_others(
    quiet_hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.slots.GONE_SECONDS", 0.3)
    monkeypatch.setattr("agent.poller.CREW_LOOK_SECONDS", 0.1)
    near, far = Idle("near", home, seconds=0.1), Idle("far", home)
    (task,) = offered(quiet_hub, 1)
    task.state = "leased"
    Journal(home.tasks).open(task.offer).assign("far")
    monkeypatch.setattr(Idle, "send", _lost)
    poll(home, [near, far], until=lambda: task.releases)
    assert not list(Journal(home.tasks).entries())


async def _lost(worker: Idle, _task_id: str) -> None:
    """Whoever was to take the message is gone with its machine."""
    worker.is_living = False


def test_a_budget_holds_with_several_workers(quiet_hub: FakeHub, home: Home) -> None:
    """As many tasks begin beyond it as there are workers, less one; the others are declined."""
    (home.folder / "policy.toml").write_text(f"total.device_hours = {0.4 / 3600}\n")
    workers = [Idle(name, home, seconds=1.0) for name in ("a", "b")]
    tasks = offered(quiet_hub, 6)
    poll(home, workers, until=lambda: are_over(tasks))
    codes = sorted(task.failures[0].code for task in tasks)
    assert codes == ["declined_by_policy"] * 4 + ["idle"] * 2


# Processes.


@pytest.fixture(scope="module")
def hub(base: Path) -> Iterator[FakeHub]:
    """A hub that no other test's agent asks for work."""
    with FakeHub().serving() as hub:
        hub.repositories[tiny.BASE_REPO] = base
        yield hub


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of the organisation's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    argv = [executable(), "--port", port, "--bind", "127.0.0.1", "--save", ""]
    folder = tmp_path_factory.mktemp("redis")
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.DEVNULL) as server:
        yield f"redis://127.0.0.1:{port}/0"
        server.kill()


@pytest.fixture
def site(hub: FakeHub, redis: str, tmp_path: Path) -> Iterator[Place]:
    """An agent on the organisation's Redis, with a second worker that it did not start."""
    place, further = Place(hub, tmp_path), Place(hub, tmp_path)
    place.command("enrol", hub.url, "--code", hub.code(), "--name", "blaise-2")
    place.command("data", "add", "coast", str(tiny.make_data(tmp_path / "data")))
    place.start({"AGENT_BROKER_URL": redis})
    further.start({"AGENT_BROKER_URL": redis}, words=("worker", "--device", "auto"))
    yield place
    hub.forget()
    for one in (further, place):
        if one.is_running:
            one.stop()


def status(place: Place) -> dict[str, str]:
    facts = json.loads(place.command("status", "--json"))
    return {one["name"]: one["state"] for one in facts["workers"]}


def trainers(place: Place) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if _holds(p, list(place.home.tasks.glob("*/lock")))]


def _holds(process: psutil.Process, locks: list[Path]) -> bool:
    try:
        return any(Path(file.path) in locks for file in process.open_files())
    except psutil.Error:
        return False


def test_workers_of_two_processes_share_the_work_of_an_agent(
    hub: FakeHub, site: Place, redis: str, long_spec: Spec, train_spec: Spec
) -> None:
    site.wait_until(lambda: site.logged().count("worker ready") == 2)
    tasks = [hub.offer(long_spec), hub.offer(long_spec)]
    site.wait_until(lambda: all(site.step_of(task) > 0 for task in tasks))
    assert status(site) == {f"auto@{HERE}": "busy", f"cpu@{HERE}": "busy"}
    before = trainers(site)
    assert len(before) == 2
    tasks[0].cancel = "the run was cancelled"
    hub.wait_for(lambda: tasks[0].releases)
    third = hub.offer(train_spec)
    hub.wait_for(lambda: third.receipt)
    assert tasks[1].state == "leased"
    site.wait_until(lambda: sum(process.is_running() for process in before) == 1)
    with Redis.from_url(redis) as client:
        keys = {key.decode() for key in client.scan_iter("*")}
    assert {key.partition(".")[2][:36] for key in keys} == {str(site.home.identity().agent)}


def test_a_worker_without_a_broker_says_what_is_missing(hub: FakeHub, tmp_path: Path) -> None:
    place = Place(hub, tmp_path)
    assert "enrolled" in place.command("worker", status=3)
    place.command("enrol", hub.url, "--code", hub.code())
    assert "AGENT_BROKER_URL" in place.command("worker", status=3)
