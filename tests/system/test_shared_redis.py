"""Two agents of one organisation on one Redis of its own share the work of two federations."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from uuid import UUID

import pytest
from redis import Redis, RedisError

from agent.broker import executable
from agent.datasets import found_in, register
from agent.enrolment import enrol
from hub.demo.agents import command
from hub.operations.processes import source_path
from tests.agent import tiny
from tests.system.processes import wait_until
from tests.system.stack import Stack, plan

pytestmark = pytest.mark.system

NAMES = ("agent-first", "agent-second")
SENT = re.compile(r"LPUSH agent\.([0-9a-f-]{36})\..*?argsrepr.*?([0-9a-f-]{36})")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    argv = [executable(), "--port", port, "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        yield f"redis://127.0.0.1:{port}/0"
        server.kill()


@pytest.fixture
def agents(stack: Stack, redis: str) -> Iterator[dict[str, UUID]]:
    """Grace's two, each with data for both federations."""
    yield {name: started(stack, name, redis) for name in NAMES}
    for name in NAMES:
        stack.supervisor.stop(name)


def started(stack: Stack, name: str, redis: str) -> UUID:
    home = stack.home(name)
    house = stack.facts["people"]["grace"]["organisation"]
    code = stack.grace_herself.post(f"/organisations/{house}/enrolment-codes")["code"]
    asyncio.run(enrol(home, url=stack.url, code=code, name=name))
    data = tiny.make_data(stack.folder / "data" / name, rows=16)
    for slug in (stack.facts["slug"], stack.facts["wide"]["slug"]):
        chosen = found_in(data, text="text", label="label", prompt="prompt")
        register(home.data_file, slug, chosen)
    stack.supervisor.start(
        name,
        command(home.folder, "run", "--device", "cpu"),
        env={"PYTHONPATH": source_path(), "OMP_NUM_THREADS": "1", "AGENT_BROKER_URL": redis},
        log=stack.folder / "hub" / "logs" / f"{name}.log",
        restart=False,
    )
    return home.identity().agent


@contextmanager
def overheard(url: str) -> Iterator[set[tuple[str, str]]]:
    """Whose worker was sent which task, while the block lasts."""
    sent: set[tuple[str, str]] = set()
    wait_until(lambda: answers(url), what="Redis does not start")
    with Redis.from_url(url, socket_timeout=None) as client, client.monitor() as monitor:

        def listen() -> None:
            try:
                for heard in monitor.listen():
                    sent.update(SENT.findall(heard["command"]))
            except (RedisError, OSError, ValueError):  # the block is over
                return

        Thread(target=listen, daemon=True).start()
        yield sent


def answers(url: str) -> bool:
    try:
        with Redis.from_url(url) as client:
            return bool(client.ping())
    except RedisError:
        return False


def runs_of_both_federations(stack: Stack) -> list[UUID]:
    """Long enough to be seen at work."""
    long = plan(
        count=2,
        every="never",
        rounds={"quorum": 1},
        training={"max_steps": None, "epochs": 40.0, "batch_size": 1},
    )
    wide = stack.facts["wide"]
    elsewhere = {
        "federation": wide["federation"],
        "trainers": [wide["participations"]["grace"]],
        "evaluators": [],
    }
    return [stack.start_run(long, "grace"), stack.start_run(long, "grace", **elsewhere)]


def test_they_share_the_work_and_one_finishes_it_when_the_other_is_killed(
    stack: Stack, redis: str, agents: dict[str, UUID]
) -> None:
    first, second = NAMES
    with overheard(redis) as sent:
        runs = runs_of_both_federations(stack)
        wait_until(lambda: all(stack.doings(name) for name in NAMES), what="one has no work")
        wait_until(lambda: len({agent for agent, _ in sent}) == 2, what="a message is missing")
        stack.supervisor.kill(second)
        for run in runs:
            assert stack.wait_for_end(run, seconds=180) == "completed"
    query = """SELECT t.id, t.agent_id, t.state FROM runs_task t
               JOIN runs_round r ON r.id = t.round_id WHERE r.run_id = ANY(%s)"""
    tasks = stack.sql(query, runs)
    assert [task["state"] for task in tasks] == ["completed"] * 4
    assert {task["agent_id"] for task in tasks} == {agents[first]}
    leased = {(str(e["agent"]), str(e["task"])) for e in leases(stack, runs)}
    assert sent <= leased  # each message went to the agent that has the task, and to no other
    assert {task for _, task in leased} == {str(task["id"]) for task in tasks}


def leases(stack: Stack, runs: list[UUID]) -> list[dict[str, UUID]]:
    query = """SELECT actor_id AS agent, subject_id AS task FROM common_event
               WHERE kind = 'task.leased' AND run_id = ANY(%s)"""
    return stack.sql(query, runs)
