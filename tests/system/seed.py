"""python -m tests.system.seed BASE WIDE MEMBER...: the cast and its federations, in the database.

Prints as JSON what a person would read on pages: ids, API tokens and enrolment codes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from uuid import UUID

import django

django.setup()

from hub.accounts.models import User
from hub.accounts.services import issue_token
from hub.catalogue.bases.registering import register_base_model
from hub.federations.models import Federation
from hub.federations.services import approve_participation, create_federation, request_to_join
from hub.organisations.services import (
    approve_organisation,
    make_enrolment_code,
    register_organisation,
)

OUTSIDER = "carol"


def main(base: str, wide: str, *members: str) -> None:
    """The first member leads; the wide model's federation has the first and the last."""
    operator = User.objects.create_user("olga@example.org", None, name="Olga", is_staff=True)
    users = {name: _user(name) for name in (*members, OUTSIDER)}
    houses = {name: _organisation(user, operator) for name, user in users.items()}
    lead, last = members[0], members[-1]
    federation = _federation("Coast", users[lead], houses[lead], base)
    estuary = _federation("Estuary", users[lead], houses[lead], wide)
    places = {name: _participation(federation, users, houses, name) for name in members}
    people = {
        name: {
            "token": issue_token(user=user, name="tests", days=1, scope="write")[1],
            "code": make_enrolment_code(organisation_id=houses[name], user=user)[1],
            "organisation": str(houses[name]),
            "participation": places.get(name),
        }
        for name, user in users.items()
    }
    facts = {
        "federation": str(federation.pk),
        "slug": federation.slug,
        "people": people,
        "wide": {
            "federation": str(estuary.pk),
            "slug": estuary.slug,
            "participations": {
                name: _participation(estuary, users, houses, name) for name in (lead, last)
            },
        },
    }
    print(json.dumps(facts))


def _user(name: str) -> User:
    return User.objects.create_user(f"{name}@example.org", None, name=name.title())


def _organisation(user: User, operator: User) -> UUID:
    made = register_organisation(user=user, name=f"{user.name} & Co")
    approve_organisation(organisation_id=made.pk, actor=operator.actor)
    return made.pk


def _federation(name: str, lead: User, organisation: UUID, base: str) -> Federation:
    folder = Path(base)
    model = register_base_model(
        folder=folder, slug=folder.name, name=folder.name.title(), licence="Apache-2.0"
    )
    return create_federation(
        user=lead,
        organisation_id=organisation,
        name=name,
        purpose="To tell sea, sky and stone apart.",
        charter="What is ours stays with us.",
        base_model_id=model.pk,
    )


def _participation(
    federation: Federation, users: dict[str, User], houses: dict[str, UUID], name: str
) -> str:
    lead = next(iter(users))
    if name != lead:
        asked = request_to_join(
            user=users[name],
            organisation_id=houses[name],
            federation_id=federation.pk,
            charter_digest=federation.charter_digest,
        )
        approve_participation(user=users[lead], participation_id=asked.pk)
    return str(federation.participations.get(organisation_id=houses[name]).pk)


main(*sys.argv[1:])
