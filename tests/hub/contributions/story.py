"""A federation founded, joined and trained in by its services, so that its ledger tells all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.db import connection

from hub.accounts.models import User
from hub.federations import services as federations
from hub.federations.models import Federation, Participation
from hub.ledger.models import Entry, EntryType
from hub.ledger.selectors import entries_of
from hub.organisations.models import Organisation
from hub.runs.models import Run
from jobs.coordination import tell_keys
from tests.factories.catalogue import BaseModelFactory
from tests.factories.organisations import MembershipFactory, OrganisationFactory
from tests.hub.runs.world import Site, World, make_site, plan_of

CHARTER = "1. Nobody's data leaves its owner."
NAMES = ("Ada Institute", "Blaise Bank", "Grace Works")


def owner_of(organisation: Organisation) -> User:
    return organisation.memberships.get().user


def joined(federation: Federation, organisation: Organisation, lead: User) -> Participation:
    place = federations.request_to_join(
        user=owner_of(organisation),
        organisation_id=organisation.pk,
        federation_id=federation.pk,
        charter_digest=federation.charter_digest,
    )
    return federations.approve_participation(user=lead, participation_id=place.pk)


def founded_world(folder: Path) -> World:
    """As `make_world`, by the services; the last site's agent comes after its organisation."""
    first, *others = (
        MembershipFactory(organisation=OrganisationFactory(name=name)).organisation
        for name in NAMES
    )
    lead = owner_of(first)
    federation = federations.create_federation(
        user=lead,
        organisation_id=first.pk,
        name="Support tickets",
        purpose="",
        charter=CHARTER,
        base_model_id=BaseModelFactory().pk,
    )
    *early, late = others
    sites = [make_site(one) for one in (first, *early)]
    for organisation in others:
        joined(federation, organisation, lead)
    sites.append(make_site(late))
    for site in sites:
        for _ in range(2):
            tell_keys(str(site.agent.pk))
    return World(federation, lead, sites, folder)


def declare(world: World, site: Site, train: int, test: int = 1000) -> None:
    organisation = site.agent.organisation
    place = world.federation.participations.get(organisation=organisation)
    federations.declare_data(
        user=owner_of(organisation),
        participation_id=place.pk,
        train_examples=train,
        test_examples=test,
    )


def told(world: World, kind: EntryType | None = None) -> list[Entry]:
    """The entries, all of them or of one type, in the order that they have with the commit."""
    place_all()
    entries = entries_of(world.federation.pk)
    return list(entries.filter(type=kind) if kind else entries)


def place_all() -> None:
    """What a commit does, where the test rolls back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def payload_of(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(entry.payload)
    return found


def one_round(world: World, **rounds: int | str) -> Run:
    run = world.start_run(plan_of(**{"count": 1, **rounds}))
    world.play_round(run)
    return run
