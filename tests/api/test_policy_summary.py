"""The site's policy as it comes with the request for work: small, checked, and not required."""

from __future__ import annotations

import pytest

from hub.organisations.models import Agent
from tests.factories.organisations import AgentFactory
from tests.signing import SignedClient

pytestmark = pytest.mark.django_db

PATH = "/api/v1/agent/leases?wait=0"
ASKING = {"agent_version": "0.1.0", "federations": ["coast"]}
CLOSED = {"federation": "hills", "rule": "per_day.device_hours"}


def ask(**policy: object) -> tuple[int, Agent]:
    agent = AgentFactory()
    message = {**ASKING, "policy": {"state": "set", **policy}} if policy else ASKING
    status = SignedClient(agent).send("POST", PATH, message).status_code
    agent.refresh_from_db()
    return status, agent


def test_a_summary_is_kept_with_the_agent():
    status, agent = ask(rules=["windows"], closed=[CLOSED], device_seconds_today=9)
    assert status == 204
    assert agent.federations == ["coast", "hills"]
    assert (agent.policy["rules"], agent.policy["closed"]) == (["windows"], [CLOSED])


def test_an_agent_that_tells_of_none_is_served_as_before():
    status, agent = ask()
    assert (status, agent.policy, agent.federations) == (204, {}, ["coast"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "odd"},
        {"rules": ["/srv/data/rows.csv"]},
        {"rules": ["Limits"]},
        {"rules": ["x" * 65]},
        {"rules": ["windows"] * 65},
        {"closed": [CLOSED] * 201},
        {"closed": [{**CLOSED, "path": "/srv"}]},
        {"closed": [{**CLOSED, "federation": "x" * 81}]},
        {"sections": -1},
        {"consents": 2**53},
        {"sent_bytes_today": 1.5},
        {"device_seconds_today": "9"},
        {"folder": "/srv/data"},
    ],
)
def test_what_is_no_summary_is_refused_and_not_kept(wrong: dict[str, object]):
    status, agent = ask(**wrong)
    assert (status, agent.policy, agent.last_seen_at) == (422, {}, None)
