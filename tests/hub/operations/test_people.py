"""What operators do about people: each act with a reason, on record, twice as once."""

from __future__ import annotations

from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from hub.accounts.models import User
from hub.common.acts import act_url, acts_for
from hub.common.errors import Invalid, NotFound
from hub.common.models import Event
from hub.operations import people
from tests.conftest import client_of
from tests.factories.accounts import UserFactory
from tests.hub.operations.conftest import reauthenticated, signed_in, signed_in_long_ago

REASON = {"reason": "They asked for it by telephone."}
DANGEROUS = {"suspend", "clear_factor", "appoint", "dismiss"}


def act(console: Client, user: User, name: str, **more: str) -> str:
    return console.post(act_url(user, name), {**REASON, **more}, follow=True).text


def kinds(user: User) -> list[str]:
    found = Event.objects.filter(subject_id=user.pk, kind__startswith="person.")
    return [kind.partition(".")[2] for kind in found.values_list("kind", flat=True)]


def test_signing_somebody_out_ends_all_sessions_and_if_asked_all_tokens(console: Client) -> None:
    person = UserFactory()
    theirs, script = signed_in(person), client_of(person)
    assert "Done" in act(console, person, "sign_out")
    assert theirs.get(reverse("account_email")).status_code == 302
    assert script.get("/api/v1/me").status_code == 200
    assert "Done" in act(console, person, "sign_out", tokens="on")
    assert script.get("/api/v1/me").status_code == 401
    event = Event.objects.filter(kind="person.signed_out").latest("pk")
    assert (event.reason, event.actor_label) == (REASON["reason"], "Olga")


def test_a_suspended_person_is_out_at_once_and_can_come_back(console: Client) -> None:
    person = UserFactory()
    theirs, script = signed_in(person), client_of(person)
    reauthenticated(console)
    act(console, person, "suspend")
    assert theirs.get(reverse("account_email")).status_code == 302
    assert script.get("/api/v1/me").status_code == 401
    person.refresh_from_db()
    act(console, person, "reinstate")
    assert script.get("/api/v1/me").status_code == 200
    assert kinds(person)[-2:] == ["suspended", "reinstated"]


def test_a_lost_device_is_cleared_by_another_operator(console: Client, olga: User) -> None:
    person = UserFactory()
    for user in (person, olga):
        Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    who = {"actor": olga.actor, "reason": REASON["reason"]}
    for _ in range(2):
        people.clear_second_factor(user_id=person.pk, **who)
    assert not Authenticator.objects.filter(user=person).exists()
    assert kinds(person) == ["factors_removed"]
    with pytest.raises(Invalid):
        people.clear_second_factor(user_id=olga.pk, **who)
    assert Authenticator.objects.filter(user=olga).exists()


def test_operators_are_appointed_and_dismissed_by_others(olga: User) -> None:
    person = UserFactory()
    who = {"actor": olga.actor, "reason": REASON["reason"]}
    for service in (people.appoint, people.appoint, people.dismiss, people.dismiss):
        service(user_id=person.pk, **who)
    assert kinds(person) == ["appointed", "dismissed"]
    for service in (people.dismiss, people.suspend):
        with pytest.raises(Invalid):
            service(user_id=olga.pk, **who)
    with pytest.raises(NotFound):
        people.suspend(user_id=uuid4(), **who)


def test_what_is_dangerous_asks_for_the_password_again(olga: User) -> None:
    console = signed_in_long_ago(olga)
    person = UserFactory()
    Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data={"secret": "x"})
    offered = acts_for(person)
    assert {one.name for one in offered if one.is_dangerous} == DANGEROUS - {"dismiss"}
    for name in DANGEROUS - {"dismiss"}:
        answer = console.post(act_url(person, name), REASON)
        assert answer["Location"].startswith(reverse("account_reauthenticate"))
    person.refresh_from_db()
    assert person.is_active
    assert not person.is_staff
