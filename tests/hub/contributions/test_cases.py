"""What looks odd becomes a case, once; people decide on it, and what follows can be undone."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event
from hub.contributions.cases.examining import examine_the_rest
from hub.contributions.cases.selectors import clusters_of, joined, suspects_of
from hub.contributions.cases.services import answer_case, decide_case, open_case
from hub.contributions.errors import CaseDecided
from hub.contributions.models import Case, CaseKind, Sketch
from hub.ledger.models import Entry
from hub.runs import services
from hub.runs.errors import DuplicateContent
from hub.runs.models import Round
from jobs.compute import examine_round
from tests.factories.organisations import MembershipFactory
from tests.hub.contributions.conducted import (
    Conducted,
    Sends,
    honest,
    make_wide,
    near_copy,
    noise,
    place_of,
    replay,
    zero,
)
from tests.hub.runs.world import World, make_world, plan_of

HONEST = [honest(1), honest(2), honest(3)]


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    return make_wide(tmp_path)


def played(world: World, last: Sends, *, rounds: int) -> Conducted:
    """So many rounds in which the last site is another than the rest."""
    run = Conducted(world, [*HONEST, last], rounds=rounds + 1)
    run.play(rounds)
    return run


def test_honest_updates_are_no_case(world: World) -> None:
    assert played(world, honest(4), rounds=3).cases() == set()
    assert Sketch.objects.count() == 3 * (4 + 1)


@pytest.mark.parametrize(
    ("sends", "rounds", "case"),
    [
        (zero, 1, ("zero_update", (3,))),
        (noise, 3, ("noise", (3,))),
        (replay, 2, ("stale", (3,))),
        (near_copy(0), 2, ("near_copy", (0, 3))),
    ],
)
def test_a_cheat_is_a_case(world: World, sends: Sends, rounds: int, case: object) -> None:
    run = played(world, sends, rounds=rounds)
    assert run.cases() == {case}
    entry = Entry.objects.get(type="case.opened")
    assert json.loads(entry.payload)["kind"] == case[0]  # type: ignore[index]
    assert Event.objects.filter(kind="case.opened").count() == 1


def test_a_round_is_looked_at_once_and_its_case_grows_by_rounds(world: World) -> None:
    run = played(world, zero, rounds=2)
    before = Case.objects.get().evidence
    for current in Round.objects.all():
        examine_round(str(current.pk))
    assert Case.objects.get().evidence == before
    assert [one["round"] for one in before] == [1, 2]
    assert suspects_of(run.run) == {place_of(world, world.sites[3]): {1, 2}}


def test_what_was_forgotten_is_looked_at(world: World) -> None:
    played(world, zero, rounds=1)
    Case.objects.all().delete()
    Sketch.objects.all().delete()
    Round.objects.update(state_changed_at="2026-01-01T00:00Z")
    assert examine_the_rest() == 0  # long ago, and nobody could
    Round.objects.update(state_changed_at=timezone.now() - timedelta(minutes=10))
    assert examine_the_rest() == 1


@pytest.mark.django_db
def test_exact_copies_are_refused_and_a_case_of_both(tmp_path: Path) -> None:
    world = make_world(tmp_path, members=4)
    run = world.start_run(plan_of(count=1))
    first, last = world.sites[0], world.sites[3]
    offer = world.lease(first)
    path = world.update_file(offer, first)
    world.upload(first, offer, path)
    message = world.statement(first, offer, path)
    services.submit_update(agent=first.agent, task_id=offer.id, message=message)
    theirs = world.lease(last)
    world.upload(last, theirs, path)
    copied = world.statement(last, theirs, path)
    for _ in range(2):
        with pytest.raises(DuplicateContent):
            services.submit_update(agent=last.agent, task_id=theirs.id, message=copied)
    for site in world.sites[1:3]:
        world.train(site)
    world.train(last, theirs)
    world.aggregate(run)
    examine_round(str(world.round_id(run)))
    case = Case.objects.get()
    assert (case.kind, case.rounds) == (CaseKind.EXACT_COPY, [1])
    assert clusters_of(run) == [{place_of(world, first), place_of(world, last)}]


# ------------------------------------------------------------------ decisions


def opened(world: World, kind: CaseKind, *places: int) -> Case:
    """A case about these sites, without anybody having done it."""
    world.start_run()
    current = Round.objects.select_related("run__federation").get()
    about = [place_of(world, world.sites[place]) for place in places]
    figures = {"cosine": 0.999}
    return open_case(current=current, kind=kind, participations=about, figures=figures)


def test_a_dismissed_case_restores_and_does_not_come_again(world: World) -> None:
    case = opened(world, CaseKind.NEAR_COPY, 0, 3)
    assert clusters_of(case.run) == [set(case.participations)]
    decide_case(
        user=judge_of(world), case_id=case.pk, uphold=False, reason="one ward, two hospitals"
    )
    assert clusters_of(case.run) == []
    again = open_case(
        current=Round.objects.select_related("run__federation").get(),
        kind=CaseKind.NEAR_COPY,
        participations=case.participations,
        figures={"cosine": 0.999},
    )
    assert (again.pk, again.state) == (case.pk, "dismissed")
    assert clusters_of(case.run) == []


def test_an_upheld_case_stays_in_force(world: World) -> None:
    case = opened(world, CaseKind.ZERO_UPDATE, 3)
    for _ in range(2):
        decide_case(user=world.lead, case_id=case.pk, uphold=True, reason="they say so")
    assert suspects_of(case.run) != {}
    assert Event.objects.filter(kind="case.upheld").count() == 1
    said = json.loads(Entry.objects.get(type="case.decided").payload)
    assert said["decision"] == "upheld"
    assert "they say so" not in json.dumps(said)
    with pytest.raises(CaseDecided):
        decide_case(user=world.lead, case_id=case.pk, uphold=False, reason="no")


def judge_of(world: World) -> object:
    """Somebody of a member that is not part of the case, which the lead is."""
    return MembershipFactory(organisation=world.sites[1].agent.organisation, role="owner").user


def test_nobody_decides_about_their_own_organisation(world: World) -> None:
    case = opened(world, CaseKind.NEAR_COPY, 0, 3)  # the first is the lead's
    own = MembershipFactory(organisation=world.sites[3].agent.organisation, role="owner").user
    member = MembershipFactory(
        organisation=world.sites[1].agent.organisation, role="scientist"
    ).user
    for user in (world.lead, own, member):
        with pytest.raises(Forbidden):
            decide_case(user=user, case_id=case.pk, uphold=False, reason="it is ours")
    decide_case(user=judge_of(world), case_id=case.pk, uphold=True, reason="seen")
    assert Case.objects.get().state == "upheld"


def test_a_decision_has_a_reason_and_a_stranger_sees_nothing(world: World) -> None:
    case = opened(world, CaseKind.ZERO_UPDATE, 3)
    with pytest.raises(Invalid):
        decide_case(user=world.lead, case_id=case.pk, uphold=True, reason=" ")
    stranger = make_world(world.folder).lead
    for act in (
        lambda: decide_case(user=stranger, case_id=case.pk, uphold=True, reason="x"),
        lambda: answer_case(user=stranger, case_id=case.pk, text="x"),
    ):
        with pytest.raises(NotFound):
            act()
    assert Case.objects.get().state == "open"


def test_who_a_case_is_about_answers_it(world: World) -> None:
    case = opened(world, CaseKind.ZERO_UPDATE, 3)
    own = MembershipFactory(organisation=world.sites[3].agent.organisation, role="scientist").user
    for text in ("our disk was full", "our disk was full, and is not now"):
        answer_case(user=own, case_id=case.pk, text=text)
    assert case.answers.get().text.endswith("is not now")
    assert Event.objects.filter(kind="case.answered").count() == 1
    with pytest.raises(Forbidden):
        answer_case(user=world.lead, case_id=case.pk, text="well")
    decide_case(user=world.lead, case_id=case.pk, uphold=False, reason="a full disk")
    with pytest.raises(CaseDecided):
        answer_case(user=own, case_id=case.pk, text="thank you")


def test_groups_with_a_member_in_common_are_one() -> None:
    groups = [["a", "b"], ["c", "d"], ["b", "c"], ["e", "f"]]
    assert joined(groups) == [{"a", "b", "c", "d"}, {"e", "f"}]  # type: ignore[arg-type, comparison-overlap]
