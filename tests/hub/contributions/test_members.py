"""Values that members measure: each on its own examples, and none of its own contribution."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from federation.plan import Evaluation, Rounds, Transfer, ValuationSpec
from federation.protocol import HeartbeatIn, Progress, TaskOffer
from hub.common.models import OutboxMessage
from hub.contributions.errors import NotValuable, ValuesRefused
from hub.contributions.models import Valuation
from hub.contributions.valuations.members import submit_values
from hub.contributions.valuations.resuming import resume_valuations
from hub.contributions.valuations.starting import ask_valuation
from hub.contributions.valued import answers_to
from hub.runs import services
from hub.runs.errors import BadStatementSignature, StatementMismatch
from hub.runs.models import Run, Task
from tests.hub.contributions.measuring import measured_at, said
from tests.hub.contributions.valued import only, played, valuation_of, work
from tests.hub.runs.probed import ProbedWorld, make_probed, plan_of

pytestmark = pytest.mark.django_db

MEMBERS = ValuationSpec(method="shapley", probe="members", examples=36)
THREE = Rounds(count=1, quorum=3)
OPEN = Transfer(attributable=True)


@pytest.fixture
def world(db: None, tmp_path: Path) -> ProbedWorld:
    return make_probed(tmp_path, members=3)


def asked(world: ProbedWorld, **parts: object) -> Run:
    """A closed round whose coalitions the members are asked to measure."""
    run = played(world, MEMBERS, **{"rounds": THREE, "transfer": OPEN, **parts})
    work()
    return run


def answer(world: ProbedWorld, place: int) -> TaskOffer:
    site = world.sites[place]
    offer = world.lease(site)
    message = said(site, offer, *measured_at(world, site, offer))
    submit_values(agent=site.agent, task_id=offer.id, message=message)
    submit_values(agent=site.agent, task_id=offer.id, message=message)
    work()
    return offer


def test_nobody_is_judged_by_its_own_examples(world: ProbedWorld) -> None:
    run = asked(world)
    assert run.state == "completed"  # whoever measures, the run has gone on
    for place in range(3):
        answer(world, place)
    found = valuation_of(run)
    assert (found.state, found.failure_detail) == ("recorded", "")
    assert found.seconds == 3.0  # as the sites said
    for value in found.values.all():
        others = [v for owner, v in value.by_owner.items() if owner != str(value.participation_id)]
        assert len(value.by_owner) == 3
        assert min(others) <= value.phi <= max(others)


def test_who_does_not_answer_is_left_out_with_the_reason(world: ProbedWorld) -> None:
    run = asked(world)
    answer(world, 0)
    answer(world, 1)
    found = valuation_of(run)
    assert found.state == "measuring"
    Valuation.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    OutboxMessage.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert resume_valuations() == 1
    work()
    found = valuation_of(run)
    assert found.state == "recorded", found.failure_detail
    told = {one.state: one.reason for one in answers_to(found)}
    assert told["cancelled"] == "it had not answered when the time was over"
    assert all(len(value.by_owner) == 2 for value in found.values.all())


def test_what_was_not_asked_for_is_not_kept(world: ProbedWorld) -> None:
    run = asked(world)
    site = world.sites[0]
    offer = world.lease(site)
    losses, counts = measured_at(world, site, offer)
    fewer = dict(list(losses.items())[1:])
    strangers = {**losses, (7,): losses[()]}
    wrong = [
        (said(site, offer, fewer, counts), ValuesRefused),
        (said(site, offer, strangers, counts), ValuesRefused),
        (said(site, offer, losses, counts[1:]), ValuesRefused),
        (said(site, offer, losses, counts, measured_sha256="0" * 64), StatementMismatch),
        (said(site, offer, losses, counts, round=9), StatementMismatch),
        (
            said(world.sites[1], offer, losses, counts, key_id=site.agent.key_id),
            BadStatementSignature,
        ),
    ]
    for message, refusal in wrong:
        with pytest.raises(refusal):
            submit_values(agent=site.agent, task_id=offer.id, message=message)
    assert not valuation_of(run).scores.exists()


def test_measuring_makes_way_for_a_round(world: ProbedWorld) -> None:
    run = asked(world, evaluation=Evaluation(every="never"))
    site = world.sites[0]
    offer = world.lease(site)
    beat = HeartbeatIn(fence=offer.fence, progress=Progress(phase="evaluating"))
    assert (
        services.heartbeat(agent=site.agent, task_id=offer.id, message=beat).verdict == "continue"
    )
    type(site.agent).objects.filter(pk=site.agent.pk).update(federations=[run.federation.slug])
    site.agent.refresh_from_db()
    world.start_run(plan_of())
    told = services.heartbeat(agent=site.agent, task_id=offer.id, message=beat)
    assert (told.verdict, told.reason) == ("cancel", "a round goes first")
    assert world.lease(site).spec.type == "train"
    task = Task.objects.get(pk=offer.id)
    assert (task.state, task.attempts) == ("queued", 0)


def test_members_hold_single_updates_only_where_the_plan_says_so(world: ProbedWorld) -> None:
    run = played(world, ValuationSpec(), rounds=THREE)
    with pytest.raises(NotValuable, match="told apart"):
        ask_valuation(user=world.lead, round_id=only(run).pk, spec=MEMBERS)
