"""Invitations, own roles and profiles over the API."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache

from hub.federations.models import Federation
from tests.conftest import Person, client_of
from tests.factories.accounts import UserFactory
from tests.factories.organisations import MembershipFactory

pytestmark = pytest.mark.django_db


def post(person: Person, path: str, body: object = None) -> Any:
    headers = {"Idempotency-Key": str(uuid4())}
    return person.api.post(f"/api/v1/{path}", body or {}, headers=headers)


def invited(ada: Person, email: str, **more: object) -> Any:
    body = {"email": email, "role": "scientist", **more}
    return post(ada, f"organisations/{ada.organisation.pk}/invitations", body)


def test_a_colleague_is_invited_comes_and_goes(ada: Person, blaise: Person):
    made = invited(ada, "BLAISE@example.org")
    assert (made.status_code, made.json()["state"]) == (201, "open")
    (mine,) = blaise.api.get("/api/v1/invitations?state=open").json()["results"]
    assert mine["organisation_name"] == "Ada Institute"
    for _ in range(2):
        accepted = post(blaise, f"invitations/{mine['id']}/accept")
        assert (accepted.status_code, accepted.json()["state"]) == (200, "accepted")
    path = f"/api/v1/organisations/{ada.organisation.pk}/members"
    assert len(blaise.api.get(path).json()["results"]) == 2
    changed = ada.api.patch(f"{path}/{blaise.user.pk}", {"role": "manager"})
    assert changed.json()["role_name"] == "Manager"
    assert blaise.api.delete(f"{path}/{blaise.user.pk}").status_code == 204
    assert blaise.api.get(path).status_code == 404


def test_the_answer_does_not_tell_whether_there_is_an_account(ada: Person, blaise: Person):
    known = invited(ada, blaise.user.email)
    unknown = invited(ada, "nobody@example.org")
    assert known.status_code == unknown.status_code == 201
    differ = {key for key in known.json() if known.json()[key] != unknown.json()[key]}
    assert differ == {"id", "email", "expires_at", "created_at"}
    assert "secret" not in str(known.json())


def test_so_many_an_hour(ada: Person):
    cache.clear()
    statuses = [invited(ada, f"nobody{n}@example.org").status_code for n in range(32)]
    assert statuses == [201] * 30 + [429] * 2
    cache.clear()


def test_declined_revoked_and_sent_again(ada: Person, blaise: Person, carol: Person):
    pk = invited(ada, blaise.user.email).json()["id"]
    for act in ("accept", "decline", "revoke", "resend"):
        assert post(carol, f"invitations/{pk}/{act}").status_code == 404
    assert post(ada, f"invitations/{pk}/resend").json()["state"] == "open"
    assert post(blaise, f"invitations/{pk}/revoke").status_code == 404
    assert post(blaise, f"invitations/{pk}/decline").json()["state"] == "declined"
    refused = post(ada, f"invitations/{pk}/revoke")
    assert (refused.status_code, refused.json()["code"]) == (410, "invitation_closed")


def test_a_federation_s_lead_invites_organisations(
    ada: Person, blaise: Person, carol: Person, federation: Federation
):
    path = f"federations/{federation.pk}/invitations"
    offer = {"email": carol.user.email, "standing": "observer"}
    assert post(blaise, path, offer).status_code == 403
    assert post(carol, path, offer).status_code == 404
    assert post(ada, path, {**offer, "standing": "lead"}).status_code == 400
    made = post(ada, path, offer)
    assert (made.status_code, made.json()["standing"]) == (201, "observer")
    assert len(ada.api.get(f"/api/v1/{path}").json()["results"]) == 1
    accept = f"invitations/{made.json()['id']}/accept"
    assert post(carol, accept).json()["code"] == "invalid"
    brought = post(carol, accept, {"organisation_id": str(carol.organisation.pk)})
    assert brought.json()["state"] == "accepted"


def test_operators_invite_to_the_hub(ada: Person, operator: Person):
    assert post(ada, "invitations", {"email": "x@example.org"}).status_code == 403
    assert post(operator, "invitations", {"email": "x@example.org"}).json()["kind"] == "hub"


def test_a_role_of_one_s_own_is_made_changed_given_and_deleted(ada: Person):
    path = f"organisations/{ada.organisation.pk}/roles"
    body = {"name": "Custodian", "permissions": ["agents.manage", "organisation.see"]}
    made = post(ada, path, body).json()
    assert made["permissions"] == ["organisation.see", "agents.manage"]
    assert post(ada, path, {**body, "permissions": ["all"]}).status_code == 400
    at = f"/api/v1/{path}/{made['id']}"
    changed = ada.api.put(at, {"name": "Keeper", "permissions": ["organisation.see"]})
    assert changed.json()["name"] == "Keeper"
    place = MembershipFactory(organisation=ada.organisation, role="scientist")
    member = f"/api/v1/organisations/{ada.organisation.pk}/members/{place.user_id}"
    given = ada.api.patch(member, {"custom_role_id": made["id"]})
    assert (given.json()["role"], given.json()["role_name"]) == ("custom", "Keeper")
    assert ada.api.delete(at).json()["code"] == "role_held"
    ada.api.patch(member, {"role": "auditor"})
    assert [ada.api.delete(at).status_code for _ in range(2)] == [204, 404]


def test_nobody_grants_what_they_lack(ada: Person):
    manager = MembershipFactory(organisation=ada.organisation, role="manager").user
    made = client_of(manager).post(
        f"/api/v1/organisations/{ada.organisation.pk}/invitations",
        {"email": "x@example.org", "role": "owner"},
        headers={"Idempotency-Key": "1"},
    )
    assert (made.status_code, made.json()["code"]) == (403, "grants_more")


def test_the_profile_is_changed_whole(ada: Person, carol: Person):
    path = f"/api/v1/organisations/{ada.organisation.pk}"
    profile = {
        "description": "Heals",
        "website": "https://ada.example",
        "country": "Norway",
        "contact_email": "office@ada.example",
    }
    assert ada.api.put(path, profile).json()["country"] == "Norway"
    assert ada.api.put(path, {**profile, "name": "Other"}).status_code == 400
    assert carol.api.put(path, profile).status_code == 404


def test_who_was_invited_before_the_account_was_there_finds_it(ada: Person):
    invited(ada, "later@example.org")
    later = client_of(UserFactory(email="later@example.org"))
    assert len(later.get("/api/v1/invitations").json()["results"]) == 1
