"""Proposals and votes: one voice each, decided once, applied with the decision or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from hub.common.errors import Forbidden, IllegalTransition, Invalid, NotFound
from hub.common.models import Event, OutboxMessage
from hub.common.sentences import sentence
from hub.dispatch import Job
from hub.federations.errors import (
    FederationDissolved,
    KindUnknown,
    LeadStays,
    NotTakingPart,
    NoVoice,
    ProposalClosed,
)
from hub.federations.leaving import leave
from hub.federations.models import (
    Federation,
    Participation,
    ParticipationState,
    Proposal,
    Standing,
    Vote,
)
from hub.federations.policies import Policy, VotingRule
from hub.federations.proposals import kinds as registry
from hub.federations.proposals.acts import restore, suspend
from hub.federations.proposals.kinds import Kind, kinds
from hub.federations.proposals.selectors import open_for, proposals_visible_to
from hub.federations.proposals.services import close_due, propose, vote, withdraw
from hub.federations.selectors import federations_of, require_place
from hub.federations.services import request_to_join
from hub.ledger.models import Entry
from hub.organisations.permissions import Permission, Role
from tests.conftest import Person, owner
from tests.factories.federations import ParticipationFactory

pytestmark = pytest.mark.django_db


def agree(federation: Federation, **policy: Any) -> None:
    federation.policy = Policy(**policy).model_dump(mode="json")
    federation.save(update_fields=["policy"])


@pytest.fixture
def members(federation: Federation, ada: Person, blaise: Person) -> list[Person]:
    """Ada, Blaise and two more, who decide everything by more yes than no."""
    agree(federation)
    more = [owner("Dora", "Dora Data"), owner("Emil", "Emil Energy")]
    for person in more:
        ParticipationFactory(
            federation=federation, organisation=person.organisation, signed_by=person.user
        )
    return [ada, blaise, *more]


def place_of(federation: Federation, person: Person) -> Participation:
    return federation.participations.get(organisation=person.organisation)


def about(federation: Federation, person: Person) -> dict[str, str]:
    return {"participation": str(place_of(federation, person).pk)}


def proposed(federation: Federation, by: Person, kind: str, **terms: object) -> Proposal:
    return propose(
        user=by.user, federation_id=federation.pk, kind=kind, terms=terms, reason="it is time"
    )


def expulsion(federation: Federation, by: Person, whom: Person) -> Proposal:
    return proposed(federation, by, "expel", **about(federation, whom))


def entries(federation: Federation, *types: str) -> list[str]:
    found = Entry.objects.filter(ledger=federation.pk, type__in=types).order_by("pk")
    return list(found.values_list("type", flat=True))


VOTES = ("proposal.made", "vote.cast", "proposal.decided")


def test_a_majority_that_nothing_can_change_expels_at_once(federation, members) -> None:
    ada, blaise, dora, emil = members
    made = expulsion(federation, ada, emil)
    assert (made.state, made.votes.count()) == ("open", 1)
    assert place_of(federation, emil).pk not in made.electorate
    for _ in range(2):
        done = vote(user=blaise.user, proposal_id=made.pk, choice="yes", reason="I saw it")
    assert (done.state, done.decided_by) == ("accepted", blaise.user)
    gone = place_of(federation, emil)
    assert gone.state == ParticipationState.EXPELLED
    assert not federations_of(emil.user).exists()
    assert OutboxMessage.objects.filter(job=Job.END_WORK, arguments=[str(gone.pk)]).count() == 1
    assert entries(federation, *VOTES, "participation.expelled") == [
        "proposal.made",
        "vote.cast",
        "vote.cast",
        "proposal.decided",
        "participation.expelled",
    ]
    with pytest.raises(ProposalClosed):
        vote(user=dora.user, proposal_id=made.pk, choice="no")
    told = [sentence(one) for one in Event.objects.filter(subject_id=made.pk)]
    assert told == [
        "Ada Institute proposed to expel Emil Energy: it is time",
        "Ada Institute voted yes on the proposal to expel Emil Energy",
        "Blaise Bank voted yes on the proposal to expel Emil Energy: I saw it",
        "The proposal to expel Emil Energy was accepted: 2 of 3 voted: 2 yes, 0 no, 0 abstained",
    ]


def test_proposing_the_same_again_answers_with_the_open_one(federation, members) -> None:
    ada, blaise, _, emil = members
    first = expulsion(federation, ada, emil)
    assert expulsion(federation, blaise, emil) == first
    assert Proposal.objects.count() == 1
    withdraw(user=ada.user, proposal_id=first.pk)
    assert expulsion(federation, blaise, emil) != first


def test_a_vote_is_changed_until_it_is_decided_and_both_stay_on_record(federation, members) -> None:
    ada, _, _, emil = members
    made = expulsion(federation, ada, emil)
    changed = vote(user=ada.user, proposal_id=made.pk, choice="no", reason="I was wrong")
    assert changed.is_open
    cast = made.votes.get()
    assert (cast.choice, cast.number) == ("no", 2)
    assert entries(federation, "vote.cast") == ["vote.cast"] * 2
    told = [sentence(one) for one in Event.objects.filter(kind="proposal.vote_changed")]
    assert told == [
        "Ada Institute now votes no, not yes, on the proposal to expel Emil Energy: I was wrong"
    ]


def test_who_has_a_voice_is_fixed_when_it_is_proposed(federation, members, carol) -> None:
    ada, blaise, dora, emil = members
    agree(federation, voting=VotingRule(majority="unanimous", quorum=1.0))
    observer = owner("Olaf", "Olaf Observatory")
    ParticipationFactory(
        federation=federation, organisation=observer.organisation, standing=Standing.OBSERVER
    )
    made = expulsion(federation, ada, emil)
    ParticipationFactory(federation=federation, organisation=carol.organisation)
    for person in (carol, emil):
        with pytest.raises(NoVoice):
            vote(user=person.user, proposal_id=made.pk, choice="no")
    with pytest.raises(Forbidden):
        vote(user=observer.user, proposal_id=made.pk, choice="no")
    vote(user=blaise.user, proposal_id=made.pk, choice="yes")
    agree(federation, voting=VotingRule(quorum=0.1))  # of this vote, the rule is what it was
    assert vote(user=dora.user, proposal_id=made.pk, choice="yes").state == "accepted"
    assert made.typed_rule.majority == "unanimous"


def test_who_leaves_does_not_count_any_more(federation, members) -> None:
    ada, blaise, dora, emil = members
    agree(federation, voting=VotingRule(majority="unanimous", quorum=1.0))
    made = expulsion(federation, ada, emil)
    vote(user=blaise.user, proposal_id=made.pk, choice="yes")
    leave(user=dora.user, participation_id=place_of(federation, dora).pk)
    assert Proposal.objects.get(pk=made.pk).is_open
    for _ in range(2):
        close_due()
    made.refresh_from_db()
    assert (made.state, made.decided_by) == ("accepted", None)
    assert place_of(federation, emil).state == ParticipationState.EXPELLED


def test_who_is_suspended_sees_and_does_nothing_until_it_is_restored(federation, members) -> None:
    ada, blaise, dora, emil = members
    made = proposed(federation, ada, "suspend", **about(federation, emil))
    vote(user=blaise.user, proposal_id=made.pk, choice="yes")
    place = place_of(federation, emil)
    assert place.state == ParticipationState.SUSPENDED
    assert federations_of(emil.user).get() == federation
    assert require_place(emil.user, federation.pk) == place
    with pytest.raises(Forbidden, match="suspended here"):
        require_place(emil.user, federation.pk, Permission.VOTE)
    open_one = expulsion(federation, ada, dora)
    assert place.pk not in open_one.electorate
    back = proposed(federation, ada, "restore", **about(federation, emil))
    assert vote(user=dora.user, proposal_id=back.pk, choice="yes").state == "accepted"
    assert place_of(federation, emil).state == ParticipationState.ACTIVE
    assert require_place(emil.user, federation.pk, Permission.VOTE) == place
    assert entries(federation, "participation.suspended", "participation.restored") == [
        "participation.suspended",
        "participation.restored",
    ]


def test_suspending_and_restoring_twice_is_once(federation, members) -> None:
    place = place_of(federation, members[3])
    acts = {"participation_id": place.pk, "actor": members[0].user.actor, "reason": ""}
    for act, state in ((suspend, "suspended"), (restore, "active")):
        for _ in range(2):
            assert act(**acts).state == state
    assert Event.objects.filter(subject_id=place.pk).count() == 2
    with pytest.raises(LeadStays):
        suspend(**{**acts, "participation_id": place_of(federation, members[0]).pk})


@pytest.mark.parametrize(
    ("choices", "state", "answer"),
    [
        ({1: "no"}, "refused", ""),  # a tie
        ({}, "lapsed", "too few voted: 1 of 3"),
        ({1: "abstain"}, "accepted", ""),
    ],
)
def test_the_hub_closes_a_vote_at_its_time(federation, members, choices, state, answer) -> None:
    made = expulsion(federation, members[0], members[3])
    for position, choice in choices.items():
        vote(user=members[position].user, proposal_id=made.pk, choice=choice)
    assert close_due() == 0
    past(made)
    with pytest.raises(ProposalClosed):
        vote(user=members[2].user, proposal_id=made.pk, choice="yes")
    for _ in range(2):
        close_due()
    made.refresh_from_db()
    assert (made.state, made.answer, made.decided_by) == (state, answer, None)
    expelled = place_of(federation, members[3]).state == ParticipationState.EXPELLED
    assert expelled == (state == "accepted")


def past(proposal: Proposal) -> None:
    then = timezone.now() - timedelta(seconds=1)
    Proposal.objects.filter(pk=proposal.pk).update(closes_at=then, due_at=then)


def test_what_cannot_be_applied_has_failed_and_changed_nothing(federation, members) -> None:
    ada, blaise, _, emil = members
    made = proposed(federation, ada, "restore", **suspended(federation, emil))
    restore(participation_id=place_of(federation, emil).pk, actor=ada.user.actor, reason="")
    leave(user=emil.user, participation_id=place_of(federation, emil).pk)
    done = vote(user=blaise.user, proposal_id=made.pk, choice="yes")
    assert done.state == "failed"
    assert "takes no part" in done.answer
    assert place_of(federation, emil).state == ParticipationState.LEFT
    events = Event.objects.filter(subject_id=made.pk).values_list("kind", flat=True)
    assert "proposal.accepted" not in set(events)
    assert list(events)[-1] == "proposal.failed"
    assert vote(user=blaise.user, proposal_id=made.pk, choice="yes").state == "failed"


def suspended(federation: Federation, person: Person) -> dict[str, str]:
    place = place_of(federation, person)
    suspend(participation_id=place.pk, actor=person.user.actor, reason="for now")
    return {"participation": str(place.pk)}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A kind that notes how often it was applied, and fails as it is told."""
    applied: list[str] = []

    def apply(proposal: Proposal, _: object) -> None:
        proposal.federation.purpose = "applied"
        proposal.federation.save(update_fields=["purpose"])
        applied.append(str(proposal.pk))
        match proposal.terms.get("then"):
            case "refuse":
                raise IllegalTransition("not in this state")
            case "die":
                raise RuntimeError("killed")

    kind = Kind(
        name="counted",
        label="Count",
        checked=lambda _, terms, __: dict(terms),
        words=lambda _: "count",
        apply=apply,
    )
    monkeypatch.setattr(registry, "_kinds", {**kinds, "counted": kind})
    return applied


def test_a_refusal_while_applying_takes_back_what_was_done(federation, members, counted) -> None:
    made = proposed(federation, members[0], "counted", then="refuse")
    vote(user=members[1].user, proposal_id=made.pk, choice="yes")
    done = vote(user=members[2].user, proposal_id=made.pk, choice="yes")
    assert (done.state, len(counted)) == ("failed", 1)
    federation.refresh_from_db()
    assert federation.purpose == ""


@pytest.mark.django_db(transaction=True)
def test_killed_while_applying_nothing_is_left_and_the_vote_can_be_cast_again(
    federation, members, counted
) -> None:
    made = proposed(federation, members[0], "counted", then="die")
    vote(user=members[1].user, proposal_id=made.pk, choice="yes")
    with pytest.raises(RuntimeError):
        vote(user=members[2].user, proposal_id=made.pk, choice="yes")
    made.refresh_from_db()
    federation.refresh_from_db()
    assert (made.state, made.votes.count(), federation.purpose) == ("open", 2, "")
    Proposal.objects.filter(pk=made.pk).update(terms={})
    assert vote(user=members[2].user, proposal_id=made.pk, choice="yes").state == "accepted"


def at_once(acts: list[Callable[[], object]]) -> list[object]:
    """Do all of it at the same instant, each in a thread of its own."""
    barrier = threading.Barrier(len(acts))

    def one(act: Callable[[], object]) -> object:
        barrier.wait()
        try:
            return act()
        except ProposalClosed as closed:
            return closed
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


@pytest.mark.django_db(transaction=True)
def test_votes_at_the_same_instant_apply_it_once(federation, members, counted) -> None:
    made = proposed(federation, members[0], "counted")
    voices = [
        lambda person=person: vote(user=person.user, proposal_id=made.pk, choice="yes")
        for person in members[1:]
        for _ in range(2)
    ]
    at_once(voices)
    made.refresh_from_db()
    assert (made.state, counted) == ("accepted", [str(made.pk)])
    assert made.votes.count() == Vote.objects.values("participation").distinct().count()
    assert Event.objects.filter(subject_id=made.pk, kind="proposal.accepted").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_vote_and_the_close_at_the_same_instant_decide_once(federation, members, counted) -> None:
    made = proposed(federation, members[0], "counted")
    vote(user=members[1].user, proposal_id=made.pk, choice="yes")
    Proposal.objects.filter(pk=made.pk).update(due_at=timezone.now(), closes_at=timezone.now())
    last = [lambda: vote(user=members[2].user, proposal_id=made.pk, choice="yes")]
    at_once([*last, close_due, close_due])
    made.refresh_from_db()
    assert (made.state, counted) == ("accepted", [str(made.pk)])


def test_what_the_lead_decides_it_decides_at_once(federation, members) -> None:
    ada, blaise, _, emil = members
    agree(federation, led=("expel",))
    made = expulsion(federation, blaise, emil)
    assert (made.state, made.is_led, made.electorate) == (
        "open",
        True,
        [place_of(federation, ada).pk],
    )
    with pytest.raises(NoVoice):
        vote(user=blaise.user, proposal_id=made.pk, choice="yes")
    done = vote(user=ada.user, proposal_id=made.pk, choice="no", reason="not yet")
    assert (done.state, done.decided_by) == ("refused", ada.user)
    assert expulsion(federation, ada, emil).state == "accepted"


def test_a_scientist_proposes_and_does_not_vote(federation, members) -> None:
    ada, _, _, emil = members
    ada.user.memberships.update(role=Role.SCIENTIST)
    made = expulsion(federation, ada, emil)
    assert made.votes.count() == 0
    with pytest.raises(Forbidden):
        vote(user=ada.user, proposal_id=made.pk, choice="yes")
    ada.user.memberships.update(role=Role.AUDITOR)
    with pytest.raises(Forbidden):
        expulsion(federation, ada, emil)


def test_only_who_made_it_takes_it_back(federation, members) -> None:
    ada, blaise, _, emil = members
    made = expulsion(federation, ada, emil)
    with pytest.raises(Forbidden):
        withdraw(user=blaise.user, proposal_id=made.pk)
    for _ in range(2):
        assert withdraw(user=ada.user, proposal_id=made.pk, reason="a mistake").state == "withdrawn"
    with pytest.raises(ProposalClosed):
        vote(user=blaise.user, proposal_id=made.pk, choice="yes")


def test_strangers_and_unknown_proposals_are_told_alike(federation, members, carol) -> None:
    made = expulsion(federation, members[0], members[3])
    told = set()
    for pk in (made.pk, federation.pk):
        for act in (
            lambda pk=pk: vote(user=carol.user, proposal_id=pk, choice="yes"),
            lambda pk=pk: withdraw(user=carol.user, proposal_id=pk),
        ):
            with pytest.raises(NotFound) as found:
                act()
            told.add(found.value.detail)
    assert len(told) == 1
    assert not proposals_visible_to(carol.user).exists()
    with pytest.raises(NotFound):
        proposed(federation, carol, "dissolve")


def test_bad_proposals_and_votes_change_nothing(federation, members) -> None:
    ada, blaise, _, emil = members
    with pytest.raises(KindUnknown):
        proposed(federation, ada, "coup")
    with pytest.raises(Invalid):
        propose(user=ada.user, federation_id=federation.pk, kind="dissolve", terms={}, reason=" ")
    for terms in ({}, {"participation": "x"}, {"participation": str(federation.pk)}):
        with pytest.raises(Invalid):
            proposed(federation, ada, "expel", **terms)
    with pytest.raises(LeadStays):
        expulsion(federation, blaise, ada)
    with pytest.raises(NotTakingPart):
        proposed(federation, ada, "restore", **about(federation, emil))
    made = expulsion(federation, ada, emil)
    with pytest.raises(Invalid):
        vote(user=blaise.user, proposal_id=made.pk, choice="maybe")
    assert Proposal.objects.count() == 1
    assert Vote.objects.count() == 1


def test_an_organisation_offers_to_lead_and_the_members_agree(federation, members) -> None:
    ada, blaise, dora, _ = members
    with pytest.raises(NotFound):
        proposed(federation, ada, "lead", **about(federation, blaise))
    with pytest.raises(LeadStays):
        leave(user=ada.user, participation_id=place_of(federation, ada).pk)
    made = proposed(federation, blaise, "lead", **about(federation, blaise))
    vote(user=ada.user, proposal_id=made.pk, choice="yes")
    assert vote(user=dora.user, proposal_id=made.pk, choice="yes").state == "accepted"
    standings = {person: place_of(federation, person).standing for person in (ada, blaise)}
    assert standings == {ada: Standing.CONTRIBUTOR, blaise: Standing.LEAD}
    assert leave(user=ada.user, participation_id=place_of(federation, ada).pk).state == "left"
    assert entries(federation, "lead.changed") == ["lead.changed"]


def test_a_dissolved_federation_begins_nothing_and_keeps_its_record(federation, members) -> None:
    ada, blaise, dora, emil = members
    other = expulsion(federation, ada, emil)
    made = proposed(federation, ada, "dissolve")
    for person in (blaise, dora):
        vote(user=person.user, proposal_id=made.pk, choice="yes")
    federation.refresh_from_db()
    other.refresh_from_db()
    assert (federation.state, other.state) == ("dissolved", "withdrawn")
    assert OutboxMessage.objects.filter(job=Job.END_RUNS).count() == 1
    with pytest.raises(FederationDissolved):
        proposed(federation, ada, "dissolve")
    assert federations_of(emil.user).exists()
    assert entries(federation, "federation.dissolved") == ["federation.dissolved"]
    assert leave(user=ada.user, participation_id=place_of(federation, ada).pk).state == "left"


def asks(federation: Federation, person: Person) -> Participation:
    return request_to_join(
        user=person.user,
        organisation_id=person.organisation.pk,
        federation_id=federation.pk,
        charter_digest=federation.charter_digest,
    )


def test_a_request_to_join_is_a_proposal_to_the_members(federation, members, carol) -> None:
    place = asks(federation, carol)
    made = Proposal.objects.get()
    assert (made.kind, made.participation, made.votes.count()) == ("admit", place, 0)
    for person in members[:3]:
        vote(user=person.user, proposal_id=made.pk, choice="yes")
    place.refresh_from_db()
    assert place.state == ParticipationState.ACTIVE


def test_a_request_that_is_voted_down_or_lapses_is_answered(federation, members, carol) -> None:
    for choices in (["no"] * 2, []):
        place = asks(federation, carol)
        made = Proposal.objects.filter(state="open").get()
        for person, choice in zip(members, choices, strict=False):
            vote(user=person.user, proposal_id=made.pk, choice=choice)
        past(made)  # refused already, or not
        close_due()
        place.refresh_from_db()
        assert place.state == ParticipationState.REFUSED


def test_who_takes_back_a_request_ends_the_vote_on_it(federation, members, carol) -> None:
    place = asks(federation, carol)
    leave(user=carol.user, participation_id=place.pk)
    assert Proposal.objects.get().state == "withdrawn"


def test_what_waits_for_a_vote_is_known(federation, members) -> None:
    ada, blaise, dora, emil = members
    made = expulsion(federation, ada, emil)
    assert list(open_for(blaise.user)) == [made]
    assert not open_for(ada.user).exists()
    assert not open_for(emil.user).exists()
    vote(user=blaise.user, proposal_id=made.pk, choice="abstain")
    assert not open_for(blaise.user).exists()
    dora.user.memberships.update(role=Role.SCIENTIST)
    assert not open_for(dora.user).exists()
