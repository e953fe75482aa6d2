"""An agent at a hub of another version of the protocol."""

from __future__ import annotations

import asyncio
import json
import re
from uuid import UUID

import pytest

from agent.answers import message_of
from agent.client import HubClient
from agent.errors import Refused
from agent.home import Home
from federation.negotiation import Version
from federation.protocol import (
    PROTOCOL_HEADER,
    PROTOCOL_VERSION,
    EvaluationIn,
    EvaluationResult,
    HeartbeatIn,
    HeartbeatOut,
    LeaseRequest,
    PolicySummary,
    Progress,
)
from federation.tallies import Rows, result_of
from tests.agent.fake_http import Answer, FaultyServer, Seen
from tests.agent.fake_hub import FakeHub

OURS = Version.of(PROTOCOL_VERSION)
NEXT, FAR = f"{OURS.major}.{OURS.minor + 1}", f"{OURS.major}.{OURS.minor + 2}"
BEFORE = f"{OURS.major}.{OURS.minor - 1}"
TOLD = {
    "leases?wait=0": LeaseRequest(
        agent_version="1",
        federations=("coast",),
        policy=PolicySummary(state="set", rules=("paused",)),
        held=(UUID(int=1),),
    ),
    "tasks/x/heartbeats": HeartbeatIn(
        fence=1,
        progress=Progress(
            phase="training",
            loss=0.5,
            tokens_per_second=3.0,
            device_memory_bytes=4,
            device_utilisation=0.5,
        ),
    ),
    "tasks/x/evaluations": EvaluationIn(
        fence=1,
        results=(result_of("1", Rows((0.5,), (1,), (0,), (1,)), None, Rows((0.5,), (1,))),),
    ),
}
NEWS = {"verdict": "continue", "reason": "", "lease_expires_at": None, "mood": "good"}


def asked(home: Home) -> HeartbeatOut:
    async def ask() -> HeartbeatOut:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            response = await hub.post("/api/v1/agent/tasks/x/heartbeats", {})
        return message_of(HeartbeatOut, response)

    return asyncio.run(ask())


def test_every_request_says_our_version(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("heartbeats", answer={"verdict": "continue"})
    asked(home)
    (seen,) = quiet_hub.requests("heartbeats")
    assert seen.headers[PROTOCOL_HEADER] == PROTOCOL_VERSION


@pytest.mark.parametrize("version", [BEFORE, PROTOCOL_VERSION, NEXT])
def test_one_minor_version_of_skew_is_no_matter(
    quiet_hub: FakeHub, home: Home, version: str
) -> None:
    answer = {"verdict": "continue"}
    quiet_hub.fail_next("heartbeats", answer=answer, headers={PROTOCOL_HEADER: version})
    assert asked(home).verdict == "continue"


def test_what_a_newer_hub_says_beyond_our_knowledge_is_passed_over(
    quiet_hub: FakeHub, home: Home
) -> None:
    quiet_hub.fail_next("heartbeats", answer=NEWS, headers={PROTOCOL_HEADER: NEXT})
    assert asked(home).verdict == "continue"


class Elder(FaultyServer):
    """A hub of the first version: it says so, and refuses what came later."""

    def answer(self, seen: Seen) -> Answer:
        known = set(re.findall(r'"(\w+)":', seen.body.decode()))
        status = 422 if known & LATER else 200
        return status, {PROTOCOL_HEADER: "1.0"}, b"{}"


LATER = {*LeaseRequest.since, *Progress.since, *EvaluationResult.since}


@pytest.mark.parametrize("path", TOLD)
def test_a_hub_that_is_behind_is_told_what_it_knows(path: str) -> None:
    async def ask(url: str) -> None:
        async with HubClient(url) as client:
            for _ in range(2):
                await client.post(f"/api/v1/agent/{path}", TOLD[path])

    with Elder().serving() as hub:
        asyncio.run(ask(hub.url))
    first, *later = (json.loads(seen.body) for seen in hub.seen)
    assert first == TOLD[path].model_dump(mode="json")  # nobody had said the version yet
    assert len(later) == 2
    assert later[0] == later[1] != first


def test_a_refusal_of_what_a_hub_knows_is_not_repeated() -> None:
    with Elder().serving() as hub:
        hub.fail_next("heartbeats", status=422, headers={PROTOCOL_HEADER: PROTOCOL_VERSION})

        async def ask() -> None:
            async with HubClient(hub.url) as client:
                await client.post("/heartbeats", TOLD["tasks/x/heartbeats"])

        with pytest.raises(Refused):
            asyncio.run(ask())
    assert len(hub.seen) == 1


def test_a_hub_of_our_own_version_says_nothing_that_we_do_not_know(
    quiet_hub: FakeHub, home: Home
) -> None:
    quiet_hub.fail_next("heartbeats", answer=NEWS, headers={PROTOCOL_HEADER: PROTOCOL_VERSION})
    with pytest.raises(ValueError, match="mood"):
        asked(home)


@pytest.mark.parametrize("version", [FAR, f"{OURS.major + 1}.0", "tomorrow"])
@pytest.mark.parametrize("how", [{"answer": {"verdict": "continue"}}, {"status": 422}])
def test_a_hub_that_is_too_far_away_ends_the_agent_with_the_reason(
    quiet_hub: FakeHub, home: Home, version: str, how: dict[str, object]
) -> None:
    quiet_hub.fail_next("heartbeats", headers={PROTOCOL_HEADER: version}, **how)
    with pytest.raises(Refused, match=r"of another version.*understood.*Upgrade") as refusal:
        asked(home)
    assert refusal.value.is_final
    assert refusal.value.code == "protocol_version"


def test_a_hub_that_does_not_understand_us_ends_the_agent(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("heartbeats", status=426, code="protocol_version")
    with pytest.raises(Refused, match="protocol_version") as refusal:
        asked(home)
    assert refusal.value.is_final
