"""What a hub knows of a site's policy, and where people see it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from federation.protocol import DECLINED_BY_POLICY, ClosedFederation, PolicySummary
from hub.organisations import services
from hub.organisations.declined import DECLINES_SHOWN, declines
from hub.organisations.models import Agent
from tests.conftest import Person
from tests.factories.organisations import AgentFactory
from tests.factories.runs import TaskFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

SUMMARY = PolicySummary(
    state="set",
    rules=("limits.rank", "windows"),
    sections=1,
    consents=2,
    closed=(ClosedFederation(federation="nordic-hospitals", rule="windows"),),
    device_seconds_today=5400,
    sent_bytes_today=2_000_000,
    received_bytes_today=87_000_000,
)


@pytest.fixture
def agent(ada: Person) -> Agent:
    return AgentFactory(organisation=ada.organisation, name="ward-1")


def seen(agent: Agent, policy: PolicySummary | None, *federations: str) -> Agent:
    services.touch_agent(
        agent=agent, version="1", device="cpu", federations=federations, policy=policy
    )
    agent.refresh_from_db()
    return agent


def declined(agent: Agent, *, ago: timedelta = timedelta(), rule: str = "limits.rank"):
    return TaskFactory(
        agent=agent,
        participation__organisation=agent.organisation,
        state="failed",
        failure_code=DECLINED_BY_POLICY,
        failure_detail=f"{rule}: the plan asks for rank 8, the site allows 4",
        ended_at=timezone.now() - ago,
    )


def test_the_agent_s_page_shows_the_policy(ada: Person, agent: Agent) -> None:
    seen(agent, SUMMARY)
    told = words(browser(ada.user).get(f"/agents/{agent.pk}")).replace("\xa0", " ")
    assert "Rules limits.rank , windows Closed now nordic-hospitals by windows" in told
    assert "With rules of their own 1 federation Consent to 2 runs" in told
    assert "Device time today 1 h 30 min Sent today 1.9 MiB Received today 83.0 MiB" in told


def test_a_closed_federation_still_is_one_that_it_has_data_for(agent: Agent) -> None:
    assert seen(agent, SUMMARY, "coast").federations == ["coast", "nordic-hospitals"]


def test_a_policy_that_cannot_be_read_is_said_where_agents_are(ada: Person, agent: Agent) -> None:
    seen(agent, PolicySummary(state="unreadable"))
    client = browser(ada.user)
    assert "The policy cannot be read" in words(client.get(f"/agents/{agent.pk}"))
    assert "Site policy unreadable: takes no work" in words(client.get("/agents/"))


def test_what_is_not_told_any_more_is_not_shown_any_more(ada: Person, agent: Agent) -> None:
    seen(agent, SUMMARY)
    client = browser(ada.user)
    assert "Site policy 2 rules, 1 federation closed now" in words(client.get("/agents/"))
    assert seen(agent, None).policy == {}
    assert "The agent tells of no rules" in words(client.get(f"/agents/{agent.pk}"))


def test_declined_tasks_are_listed_with_run_round_rule_and_time(ada: Person, agent: Agent) -> None:
    task = declined(agent, ago=timedelta(hours=2))
    run = task.round.run
    client = browser(ada.user)
    for url, name in ((f"/agents/{agent.pk}", "limits.rank"), ("/agents/", "; offered to ward-1")):
        told = words(client.get(url)).replace("\xa0", " ")
        row = f"Training, round {task.round.number} of {run.name} , {run.federation.name} {name}"
        assert row in told
        assert "limits.rank The plan asks for rank 8, the site allows 4 2 hours ago" in told


def test_without_any_there_is_no_such_list(ada: Person, agent: Agent) -> None:
    TaskFactory(agent=agent, state="failed", failure_code="no_data")
    for url in (f"/agents/{agent.pk}", "/agents/"):
        assert "Declined by site policy" not in words(browser(ada.user).get(url))


def test_strangers_see_nothing_of_it(ada: Person, blaise: Person, agent: Agent) -> None:
    declined(agent)
    assert "limits.rank" not in words(browser(blaise.user).get("/agents/"))


def test_the_newest_come_first_and_not_all(agent: Agent) -> None:
    for hours in range(DECLINES_SHOWN + 2):
        declined(agent, ago=timedelta(hours=hours))
    shown = declines(Agent.objects.all())
    assert len(shown) == DECLINES_SHOWN
    assert [one.at for one in shown] == sorted((one.at for one in shown), reverse=True)
    assert timezone.now() - shown[0].at < timedelta(hours=1)


def test_what_an_agent_says_is_shown_as_text(ada: Person, agent: Agent) -> None:
    declined(agent, rule='<img src=x onerror="alert(1)">')
    closed = (ClosedFederation(federation="<img src=x>", rule="paused"),)
    seen(agent, PolicySummary(state="set", rules=("paused",), closed=closed))
    for url in (f"/agents/{agent.pk}", "/agents/"):
        assert "<img" not in browser(ada.user).get(url).content.decode()


def test_the_pages_need_few_queries(ada: Person, agent: Agent, django_assert_max_num_queries):
    for _ in range(4):
        declined(agent)
        declined(AgentFactory(organisation=ada.organisation))
    seen(agent, SUMMARY)
    client = browser(ada.user)
    for url in (f"/agents/{agent.pk}", reverse("organisations:agents")):
        with django_assert_max_num_queries(10):
            assert client.get(url).status_code == 200
