from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.enrolment import enrol
from agent.home import Home
from agent.journal import Entry, Journal
from federation.plan import Plan
from tests.agent import tiny
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place

Spec = dict[str, object]

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's stands between the agent and its hub."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("adapter") / "start.safetensors"
    return tiny.make_adapter(base, target).read_bytes()


# A hub with a running agent: starting one costs seconds, so all tests share it.


@pytest.fixture(scope="session")
def hub(base: Path) -> Iterator[FakeHub]:
    with FakeHub().serving() as hub:
        hub.repositories[tiny.BASE_REPO] = base
        yield hub


@pytest.fixture(scope="session")
def shared_place(hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Blaise's agent, enrolled and with data."""
    folder = tmp_path_factory.mktemp("blaise")
    place = Place(hub, folder)
    place.command("enrol", hub.url, "--code", hub.code(), "--name", "blaise-1")
    place.command("data", "add", "coast", str(tiny.make_data(folder / "data")))
    yield place
    if place.is_running:
        place.stop()


@pytest.fixture
def place(shared_place: Place) -> Iterator[Place]:
    """Blaise's agent, running."""
    if not shared_place.is_running:
        shared_place.start()
    yield shared_place
    shared_place.hub.forget()


@pytest.fixture
def train_spec(hub: FakeHub, adapter: bytes) -> Spec:
    return training(hub, adapter, tiny.plan())


@pytest.fixture
def long_spec(hub: FakeHub, adapter: bytes) -> Spec:
    """Some ten thousand steps: enough for whatever is to happen meanwhile."""
    return training(hub, adapter, tiny.plan(batch_size=1, epochs=100.0))


def training(hub: FakeHub, adapter: bytes, plan: Plan, **facts: object) -> Spec:
    return {
        "type": "train",
        **common(plan),
        "start": {"sha256": hub.put(adapter), "size_bytes": len(adapter)},
        "rank": 2,
        "seed": 11,
        **facts,
    }


def evaluating(hub: FakeHub, adapter: bytes, plan: Plan) -> Spec:
    reference = {"sha256": hub.put(adapter), "size_bytes": len(adapter)}
    candidates = [{"name": name, "adapter": reference} for name in ("0", "1")]
    return {"type": "evaluate", **common(plan), "candidates": candidates, "reference": "0"}


def common(plan: Plan) -> Spec:
    return {
        "plan": plan.model_dump(mode="json"),
        "plan_digest": plan.digest(),
        "base": {"repo": tiny.BASE_REPO, "revision": tiny.REVISION},
    }


# A hub and the parts of an agent, in this process.


@pytest.fixture
def quiet_hub() -> Iterator[FakeHub]:
    with FakeHub().serving() as hub:
        yield hub


@pytest.fixture
def home(quiet_hub: FakeHub, tmp_path: Path) -> Home:
    """The folder of an enrolled agent."""
    home = Home.found(tmp_path / "home")
    asyncio.run(enrol(home, url=quiet_hub.url, code=quiet_hub.code(), name="blaise-1"))
    return home


@pytest.fixture
def entry(quiet_hub: FakeHub, home: Home) -> Entry:
    """A leased training task in the journal."""
    task = quiet_hub.offer(training(quiet_hub, b"start", tiny.plan()))
    task.state = "leased"
    return Journal(home.tasks).open(task.offer)
