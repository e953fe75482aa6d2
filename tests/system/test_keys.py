"""`rotate-key` is killed at each of its steps: the agent goes on, and has one key in the end."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.enrolment import enrol
from agent.home import Home
from agent.rotation import finish
from federation.keys import key_id, public_key_of
from hub.demo.agents import command
from hub.operations.processes import source_path
from tests.system.people import Hand
from tests.system.processes import wait_until, without_our_services
from tests.system.stack import ROOT, Stack

pytestmark = [pytest.mark.system, pytest.mark.crash]

POINTS = {"K01": "the new key is made", "K02": "the hub has it", "K03": "it takes its place"}
KILLED = [f"{point}:{when}" for point in POINTS for when in ("before", "after")]
AGENT = "agent-keys"
KEYS = """
    SELECT key_id, expires_at IS NULL AS is_present, expires_at > now() + interval '23 hours' AS lasts
    FROM organisations_agentkey WHERE agent_id = %s AND (expires_at IS NULL OR expires_at > now())
"""


@pytest.fixture(scope="module")
def home(stack: Stack) -> Home:
    """A second agent of an organisation outside of all federations: it has nothing to do."""
    home = Home.found(stack.folder / "agents" / "keys")
    carol = stack.facts["people"]["carol"]
    asyncio.run(enrol(home, url=stack.url, code=carol["code"], name="keys"))
    return home


@pytest.fixture
def running(stack: Stack, home: Home) -> Iterator[None]:
    stack.supervisor.start(
        AGENT,
        command(home.folder, "run", "--device", "cpu"),
        env={"PYTHONPATH": source_path(), "OMP_NUM_THREADS": "1"},
        log=stack.folder / "hub" / "logs" / f"{AGENT}.log",
    )
    yield
    stack.supervisor.stop(AGENT)


@pytest.mark.parametrize("point", KILLED)
def test_whichever_key_it_is_left_with_it_ends_with_one(
    stack: Stack, home: Home, point: str, tmp_path: Path
) -> None:
    before = home.private_key()
    assert rotate(home, point, tmp_path) == -signal.SIGKILL
    assert answer(stack, home.private_key()) == 200  # a running agent need not know of it
    asyncio.run(finish(home, asyncio.Event()))  # the first thing that a start does
    ends_with_one_key(stack, home, before)


def test_so_it_does_while_it_runs_and_when_it_is_killed_too(
    stack: Stack, home: Home, running: None, tmp_path: Path
) -> None:
    wait_until(lambda: "agent started" in logged(stack), what="it does not start")
    before = home.private_key()
    assert rotate(home, "K02:after", tmp_path) == -signal.SIGKILL
    stack.supervisor.kill(AGENT)
    wait_until(lambda: not home.next_key_file.exists(), what="the rotation is not finished")
    wait_until(lambda: has_signed(stack, home), what="it does not use its key")
    ends_with_one_key(stack, home, before)


def test_every_step_of_a_rotation_has_its_points() -> None:
    call = re.compile(r'failpoint\("(K\d\d)", "(?:before|after)"\)')
    code = [path.read_text() for path in (ROOT / "workers" / "agent").rglob("*.py")]
    assert {point for text in code for point in call.findall(text)} == POINTS.keys()


def rotate(home: Home, point: str, folder: Path) -> int:
    """Have a site engineer rotate the key, and a power cut come in between."""
    armed = {"FOEDUS_FAILPOINT": point, "FOEDUS_FAILPOINT_MARK": str(folder / "mark")}
    env = {**without_our_services(), **armed, "PYTHONPATH": source_path()}
    words = command(home.folder, "rotate-key")
    return subprocess.run(words, env=env, capture_output=True, check=False, timeout=60).returncode


def ends_with_one_key(stack: Stack, home: Home, before: bytes) -> None:
    """The hub has the site's key; where there was another, it ends a day later."""
    now, old = home.private_key(), key_id(public_key_of(before))
    keys = {row["key_id"]: row for row in stack.sql(KEYS, home.identity().agent)}
    assert not home.next_key_file.exists()
    assert home.identity().key_id == key_id(public_key_of(now))
    assert [name for name, row in keys.items() if row["is_present"]] == [home.identity().key_id]
    if now != before:
        assert keys[old]["lasts"]
        stack.change("UPDATE organisations_agentkey SET expires_at = now() WHERE key_id = %s", old)
        assert answer(stack, before) == 401
    assert answer(stack, now) == 200


def answer(stack: Stack, key: bytes) -> int:
    hand = Hand(stack.url, key)
    with hand.http:
        return hand.send("GET", "standing").status_code


def has_signed(stack: Stack, home: Home) -> bool:
    query = "SELECT count(*) FROM organisations_usednonce WHERE key_id = %s"
    return bool(stack.value(query, home.identity().key_id))


def logged(stack: Stack) -> str:
    return (stack.folder / "hub" / "logs" / f"{AGENT}.log").read_text()
