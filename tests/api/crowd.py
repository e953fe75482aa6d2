"""Everybody else on a hub that has been in use for years, around the world of `tests.api.seeded`."""

from __future__ import annotations

from uuid import uuid4

from django.db import connection
from django.utils import timezone

from hub.federations.models import Federation, Participation, Standing
from hub.organisations.models import Agent, Organisation
from hub.runs.models import Round, RoundState, Run, RunState
from tests.api.seeded import Seeded

ORGANISATIONS, FEDERATIONS, ROUNDS, EVENTS = 500, 300, 1000, 100_000

# Half of what happened did so in the federation at hand, and every thousandth act was the reader's.
HAPPENED = """
INSERT INTO common_event (at, kind, subject_id, from_state, to_state, reason, actor_kind, actor_id,
    actor_label, organisation_id, federation_id, run_id, data)
SELECT now() - (%(many)s - n) * interval '1 minute',
    (ARRAY['task.leased', 'task.completed', 'update.received', 'round.nudged'])[1 + n %% 4],
    gen_random_uuid(), '', '', '', 'hub',
    CASE WHEN n %% 1000 = 0 THEN %(reader)s::uuid END, 'the hub',
    (%(organisations)s::uuid[])[1 + n %% %(count)s],
    CASE WHEN n %% 2 = 0 THEN %(federation)s::uuid END,
    CASE WHEN n %% 2 = 0 THEN %(run)s::uuid END, '{}'
FROM generate_series(1, %(many)s) AS n
"""


def crowd_around(world: Seeded) -> None:
    """The lead of the world takes part in all federations; its run has all the rounds."""
    organisations = Organisation.objects.bulk_create(
        Organisation(
            name=f"Crowd {n}", slug=f"crowd-{n}", contact_email="c@x.org", state="approved"
        )
        for n in range(ORGANISATIONS)
    )
    federations = Federation.objects.bulk_create(
        Federation(
            name=f"Crowded {n}",
            slug=f"crowded-{n}",
            charter="1.",
            base_model=world.federation.base_model,
        )
        for n in range(FEDERATIONS)
    )
    _join(world, organisations, federations)
    _run(world, federations)
    with connection.cursor() as cursor:
        cursor.execute(HAPPENED, _said(world, organisations))
        cursor.execute("ANALYZE")


def _join(world: Seeded, organisations: list[Organisation], federations: list[Federation]) -> None:
    pairs = [
        (federation, organisation, standing)
        for n, federation in enumerate(federations)
        for organisation, standing in (
            (organisations[n], Standing.LEAD),
            (organisations[(n * 7 + 1) % ORGANISATIONS], Standing.CONTRIBUTOR),
            (world.lead.organisation, Standing.CONTRIBUTOR),
        )
    ]
    Participation.objects.bulk_create(
        Participation(
            federation=federation,
            organisation=organisation,
            standing=standing,
            state="active",
            charter_digest=federation.charter_digest,
            signed_by=world.lead.owner,
            signed_at=timezone.now(),
        )
        for federation, organisation, standing in pairs
    )
    Agent.objects.bulk_create(
        Agent(organisation=organisation, name="vault", key_id=uuid4().hex)
        for organisation in organisations
    )


def _run(world: Seeded, federations: list[Federation]) -> None:
    run = world.run
    Run.objects.bulk_create(
        Run(
            federation=federation,
            number=1,
            name=f"Of {federation}",
            plan=run.plan,
            plan_digest=run.plan_digest,
            created_by=world.lead.owner,
            state=RunState.CANCELLED,
        )
        for federation in federations
    )
    Round.objects.bulk_create(
        Round(
            run=run,
            number=n,
            start=run.start,
            state=RoundState.FAILED,
            deadline_at=timezone.now(),
            ended_at=timezone.now(),
        )
        for n in range(10, 10 + ROUNDS)
    )


def _said(world: Seeded, organisations: list[Organisation]) -> dict[str, object]:
    return {
        "many": EVENTS,
        "count": ORGANISATIONS,
        "organisations": [organisation.pk for organisation in organisations],
        "federation": world.federation.pk,
        "run": world.run.pk,
        "reader": world.lead.owner.pk,
    }
