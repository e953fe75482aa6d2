"""An offer that the agent does not understand."""

from __future__ import annotations

import asyncio

import pytest

from agent.client import HubClient
from agent.errors import AgentFault
from agent.home import Home
from agent.leases import understood
from tests.agent.conftest import training
from tests.agent.fake_hub import FakeHub, Task
from tests.agent.tiny import plan


def leased(hub: FakeHub, home: Home, **news: object) -> Task:
    """A task, leased with an offer that says something else than ours."""
    task = hub.offer(training(hub, b"start", plan()))
    task.state = "leased"
    said = {**task.offer.model_dump(mode="json"), **news}
    hub.fail_next("leases", answer=said)

    async def ask() -> None:
        async with HubClient(home.identity().hub, home.private_key()) as client:
            await understood(client, await client.post("/api/v1/agent/leases?wait=0", {}))

    with pytest.raises(AgentFault, match="upgrade the agent"):
        asyncio.run(ask())
    return task


def test_its_lease_is_ended_at_once_with_the_reason(quiet_hub: FakeHub, home: Home) -> None:
    task = leased(quiet_hub, home, spec={"type": "dream"}, mood="PLANTED")
    (failure,) = task.failures
    assert (failure.code, failure.retry, failure.fence) == ("offer_not_understood", True, 0)
    assert failure.detail == "2 fields are not understood"


@pytest.mark.parametrize("news", [{"id": "of tomorrow"}, {"fence": None}, {"fence": -1}])
def test_what_cannot_be_named_is_left_to_expire(
    quiet_hub: FakeHub, home: Home, news: dict[str, object]
) -> None:
    assert leased(quiet_hub, home, **news).failures == []


def test_a_hub_that_wants_to_hear_nothing_of_it_ends_nothing(
    quiet_hub: FakeHub, home: Home
) -> None:
    quiet_hub.fail_next("failures", status=409, code="lease_lost")
    assert leased(quiet_hub, home, spec={}).failures == []
