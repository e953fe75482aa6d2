"""Silence, standstill and ends that come near are noticed once per occurrence."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from hub.accounts.models import ApiToken
from hub.common.models import Event
from hub.federations.models import Federation
from hub.notices.conditions import notice_conditions
from hub.notices.models import Notice
from hub.notices.settling import settle_needs
from hub.notices.telling import tell_news
from tests.conftest import Person
from tests.factories.organisations import AgentFactory, MembershipFactory
from tests.factories.runs import RoundFactory, RunFactory
from tests.hub.notices.happening import at_once, inbox

pytestmark = pytest.mark.django_db


def ago(**span: int) -> object:
    return timezone.now() - timedelta(**span)


def before_now(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Spans as moments: cases are made when tests are collected, long before some of them run."""
    now = timezone.now()
    spans = {name: span for name, span in columns.items() if isinstance(span, timedelta)}
    return {**columns, **{name: now - span for name, span in spans.items()}}


def look() -> int:
    noticed = notice_conditions()
    tell_news()
    settle_needs()
    return noticed


def test_an_agent_that_falls_silent_is_told_once_until_it_does_so_again(ada: Person):
    agent = AgentFactory(
        organisation=ada.organisation, name="vault-1", last_seen_at=ago(minutes=20)
    )
    scientist = MembershipFactory(organisation=ada.organisation, role="auditor").user
    assert [look(), look()] == [1, 0]
    (told,) = Notice.objects.filter(user=ada.user)
    assert told.waits
    assert inbox(scientist) == []
    agent.last_seen_at = timezone.now()
    agent.save()
    look()
    told.refresh_from_db()
    assert not told.waits
    agent.last_seen_at = ago(minutes=16)
    agent.save()
    assert look() == 1
    assert inbox(ada.user) == ["agent_silent", "agent_silent"]


@pytest.mark.parametrize(
    "columns",
    [
        {"last_seen_at": None},
        {"last_seen_at": timedelta(minutes=5)},
        {"last_seen_at": timedelta(days=40)},
        {"last_seen_at": timedelta(hours=1), "state": "revoked"},
    ],
    ids=["never seen", "a moment", "long gone", "revoked"],
)
def test_other_agents_are_no_news(ada: Person, columns):
    AgentFactory(organisation=ada.organisation, **before_now(columns))
    assert notice_conditions() == 0


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"deadline_at": timedelta(minutes=5)}, "past its deadline"),
        (
            {"state": "aggregating", "state_changed_at": timedelta(minutes=20)},
            "aggregated by nobody",
        ),
    ],
)
def test_a_run_that_stands_still_is_told_until_it_goes_on(
    ada: Person, federation: Federation, columns, why
):
    columns = before_now(columns)
    stuck = RoundFactory(run=RunFactory(federation=federation), **columns)
    type(stuck).objects.filter(pk=stuck.pk).update(**columns)
    assert [look(), look()] == [1, 0]
    assert why in Event.objects.get(kind="run.stuck").reason
    (told,) = Notice.objects.filter(user=ada.user)
    assert told.waits
    type(stuck).objects.filter(pk=stuck.pk).update(state="evaluating", deadline_at=ago(hours=-1))
    look()
    told.refresh_from_db()
    assert not told.waits


def test_a_run_that_nobody_prepares_is_told(ada: Person, federation: Federation):
    run = RunFactory(federation=federation, state="queued", start=None)
    type(run).objects.update(state_changed_at=ago(minutes=6))
    assert [look(), look()] == [1, 0]
    assert inbox(ada.user) == ["run_stuck"]


def token(person: Person, *, made: timedelta, ends: timedelta) -> None:
    now = timezone.now()
    ApiToken.objects.create(user=person.user, expiry=ends, name="notebook")
    ApiToken.objects.filter(name="notebook").update(created=now - made)


@pytest.mark.parametrize(
    ("made", "ends", "told"),
    [(80, 6, 1), (80, 8, 0), (2, 3, 0), (80, -1, 0)],
    ids=["soon", "later", "short from the start", "ended"],
)
def test_a_token_that_ends_within_a_week_is_told_to_its_owner(ada: Person, made, ends, told):
    MembershipFactory(organisation=ada.organisation)
    token(ada, made=timedelta(days=made), ends=timedelta(days=ends))
    assert [look(), look()] == [told, 0]
    assert inbox(ada.user) == ["token_expiring"] * told
    assert Notice.objects.count() == told


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_notice_it_once(ada: Person):
    for _ in range(3):
        AgentFactory(organisation=ada.organisation, last_seen_at=ago(minutes=20))
    at_once(3, notice_conditions)
    assert Event.objects.filter(kind="agent.silent").count() == 3
