"""Acts of operators are events like any other: every act that is offered leaves one, with its why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib import admin
from django.db.models import Max, Model
from django.utils import timezone

from hub.accounts.models import User
from hub.common import acts, switches
from hub.common.models import Event, OutboxMessage, Switchboard
from hub.dispatch import Job
from hub.operations.models import FailedJob
from tests.api.seeded import Seeded
from tests.factories.accounts import UserFactory
from tests.factories.organisations import AgentFactory, OrganisationFactory

pytestmark = pytest.mark.django_db

WHY = "The site asked for it by telephone."
admin.autodiscover()
OFFERED = [
    (model._meta.label, act.name)
    for model, offered in acts._offered.items()
    for act in offered
    if act.label != "Try"  # of a test
]


def person(**columns: Any) -> User:
    user: User = UserFactory(**columns)
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    return user


def failed_job() -> FailedJob:
    return FailedJob.objects.create(
        job=Job.RECONCILE, digest="0" * 64, failed_at=timezone.now(), worker="w", error="killed"
    )


def switchboard(**columns: Any) -> Switchboard:
    row, _ = Switchboard.objects.update_or_create(pk=Switchboard.THE_ONE, defaults=columns)
    switches.presume(row)
    return row


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    switches._forget_now()


def updated(row: Any, **columns: Any) -> Any:
    type(row).objects.filter(pk=row.pk).update(**columns)
    row.refresh_from_db()
    return row


NOW = timezone.now()
ROWS: dict[str, Callable[[Any], Model]] = {
    "organisations.Organisation": lambda _: OrganisationFactory(),
    "organisations.Organisation approve": lambda _: OrganisationFactory(state="pending"),
    "organisations.Organisation refuse": lambda _: OrganisationFactory(state="pending"),
    "organisations.Organisation reinstate": lambda _: OrganisationFactory(state="suspended"),
    "organisations.Agent": lambda _: AgentFactory(),
    "accounts.User": lambda _: person(),
    "accounts.User reinstate": lambda _: person(is_active=False),
    "accounts.User dismiss": lambda _: person(is_staff=True),
    "common.Switchboard": lambda _: switchboard(),
    "common.Switchboard reopen": lambda _: switchboard(maintenance_since=NOW),
    "common.Switchboard take_down": lambda _: switchboard(banner_text="x", banner_from=NOW),
    "common.Switchboard open_sign_up": lambda _: switchboard(sign_up_open=False),
    "common.Switchboard approve_by_hand": lambda _: switchboard(approves_by_itself=True),
    "common.OutboxMessage": lambda _: OutboxMessage.objects.create(job=Job.RECONCILE),
    "operations.FailedJob": lambda _: failed_job(),
    "runs.Run": lambda world: world.run,
    "runs.Round": lambda world: world.round,
    "runs.Task": lambda world: next(iter(world.tasks.values())),
    "runs.Update": lambda world: updated(world.update, state="received"),
    "catalogue.Upload": lambda world: world.upload,
    "federations.Federation": lambda world: world.federation,
    "federations.Federation resume": lambda world: updated(world.federation, state="paused"),
}
SAID = {
    "gib": 5,
    "tokens": True,
    "note": "The hub is upgraded.",
    "minutes": 5,
    "words": "The hub is upgraded.",
    "level": "info",
    "begins": None,
    "ends": None,
}


@pytest.mark.parametrize(("label", "name"), OFFERED, ids=lambda part: part)
def test_every_act_is_on_record_with_its_reason(label: str, name: str) -> None:
    of_federations = label.startswith(("runs.", "catalogue.", "federations."))
    world = Seeded() if of_federations else None
    operator = UserFactory(is_staff=True)
    row = ROWS.get(f"{label} {name}", ROWS.get(label))
    assert row, f"say here which {label} can have {name} done to it"
    found = row(world)
    act = next(act for act in acts._offered[apps.get_model(label)] if act.name == name)
    assert act.fits(found)
    before = Event.objects.aggregate(last=Max("pk"))["last"] or 0
    act.perform(found.pk, operator.actor, WHY, **{one: SAID[one] for one in act.asks})
    told = Event.objects.filter(pk__gt=before, actor_id=operator.pk, reason__contains=WHY)
    assert told.exists()
