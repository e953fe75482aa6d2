from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from hub.common.actors import HUB
from hub.common.models import Event, OutboxMessage
from hub.common.sentences import sentence
from hub.dispatch import Job
from hub.federations.charters.services import publish_charter, sign_charter
from hub.federations.errors import CharterUnsigned
from hub.federations.models import Participation, Standing
from hub.ledger.services import PLACE_NOW
from hub.ledger.signing import stop
from hub.runs import services
from hub.runs.models import Run
from hub.runs.services.consent import waiting_sentence
from jobs.coordination import advance_federation
from tests.factories.organisations import MembershipFactory
from tests.hub.runs.world import World, make_world, plan_of

pytestmark = pytest.mark.django_db

TEXT = "1. Nobody's data leaves its owner.\n2. Everybody sees the same record."


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    return make_world(tmp_path, members=2)


def publish(world: World) -> None:
    publish_charter(federation=world.federation, text=TEXT, actor=HUB)


def sign(place: Participation) -> None:
    place.federation.refresh_from_db()
    owner = (
        place.organisation.members.first()
        or MembershipFactory(organisation=place.organisation).user
    )
    sign_charter(
        user=owner,
        participation_id=place.pk,
        charter_digest=place.federation.charter_digest,
    )


def places(world: World) -> list[Participation]:
    return list(world.federation.participations.select_related("organisation"))


def opened(run: Run) -> int:
    return run.rounds.count()


def between_rounds(world: World) -> Run:
    """A run whose first round is over; before that, another text came into force."""
    run = world.start_run()
    publish(world)
    world.play_round(run)
    run.refresh_from_db()
    return run


def test_a_run_waits_between_rounds_until_the_last_has_signed(world: World) -> None:
    run = between_rounds(world)
    assert (run.state, opened(run)) == ("running", 1)
    assert run.waiting_since is not None
    first, second = places(world)
    sign(first)
    services.advance_federation(federation_id=world.federation.pk)
    assert opened(run) == 1
    sign(second)
    assert OutboxMessage.objects.filter(job=Job.ADVANCE_FEDERATION).count() == 2
    for _ in range(2):
        advance_federation(str(world.federation.pk))
    run.refresh_from_db()
    assert (opened(run), run.waiting_since) == (2, None)
    world.play_round(run)
    run.refresh_from_db()
    assert run.state == "completed"


def test_a_run_says_once_for_whom_it_waits(world: World) -> None:
    run = between_rounds(world)
    for _ in range(2):
        services.advance_run(run_id=run.pk)
    names = " and ".join(place.organisation.name for place in places(world))
    (event,) = Event.objects.filter(kind="run.waiting")
    assert sentence(event) == (
        f"The run '{run.name}' waits for {names} to sign the present charter"
    )


def test_the_sweep_finds_who_has_signed_when_the_message_is_lost(world: World) -> None:
    run = between_rounds(world)
    sweep = OutboxMessage.objects.filter(job=Job.ADVANCE_RUN, arguments=[str(run.pk)])
    sweep.delete()
    services.reconcile()
    assert not sweep.exists()
    for place in places(world):
        sign(place)
    services.reconcile()
    assert sweep.count() == 1


def test_who_leaves_is_not_waited_for(world: World) -> None:
    run = between_rounds(world)
    first, second = places(world)
    sign(first)
    Participation.objects.filter(pk=second.pk).update(state="left")
    services.reconcile()
    services.advance_run(run_id=run.pk)
    assert opened(run) == 2


def test_a_queued_run_waits_before_its_first_round(world: World) -> None:
    run = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="First", plan=plan_of()
    )
    services.start_run(user=world.lead, run_id=run.pk)
    publish(world)
    services.run_prepared(run_id=run.pk, start=world.start())
    run.refresh_from_db()
    assert (run.state, opened(run)) == ("running", 0)
    for place in places(world):
        sign(place)
    advance_federation(str(world.federation.pk))
    assert opened(run) == 1
    opening = run.rounds.get()
    seconds = (opening.deadline_at - opening.created_at).total_seconds()
    assert seconds == pytest.approx(plan_of().rounds.deadline_seconds, abs=5)


def test_a_paused_run_opens_its_round_when_it_goes_on(world: World) -> None:
    run = between_rounds(world)
    services.pause_run(user=world.lead, run_id=run.pk)
    for place in places(world):
        sign(place)
    advance_federation(str(world.federation.pk))
    assert opened(run) == 1
    services.resume_run(user=world.lead, run_id=run.pk)
    services.advance_run(run_id=run.pk)
    assert opened(run) == 2


def test_no_run_starts_before_all_have_signed(world: World) -> None:
    run = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="First", plan=plan_of()
    )
    publish(world)
    with pytest.raises(CharterUnsigned) as refused:
        services.start_run(user=world.lead, run_id=run.pk)
    assert refused.value.extra == {
        "organisations": [place.organisation.name for place in places(world)]
    }
    run.refresh_from_db()
    assert run.state == "draft"
    for place in places(world):
        sign(place)
    assert services.start_run(user=world.lead, run_id=run.pk).state == "queued"


def test_observers_get_no_tasks_and_are_not_waited_for(world: World) -> None:
    observer = places(world)[1]
    Participation.objects.filter(pk=observer.pk).update(standing=Standing.OBSERVER)
    run = world.start_run(plan_of(quorum=1))
    assert run.trainers == run.evaluators == [places(world)[0].pk]
    assert world.sites[1].lease(world.federation) is None
    publish(world)
    sign(places(world)[0])
    world.train(world.sites[0])
    world.aggregate(run)
    world.evaluate(world.sites[0])
    services.advance_run(run_id=run.pk)
    assert opened(run) == 2


def test_a_run_says_that_its_ledger_is_stopped(world: World) -> None:
    run = world.start_run()
    with connection.cursor() as cursor:
        cursor.execute(PLACE_NOW)
    assert waiting_sentence(run) == ""
    stop(ledger=world.federation.pk, code="ledger_damaged", reason="entry 3 is not what it was")
    assert "takes no entries" in waiting_sentence(run)
