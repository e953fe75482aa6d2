"""Releases and rollbacks: proposed with a reason, decided by a rule, in force exactly once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connection, transaction

from hub.catalogue.errors import NotReleasable
from hub.catalogue.models import ModelVersion
from hub.catalogue.selectors import released_version
from hub.catalogue.versions.releases import (
    propose_release,
    release_version,
    retire_version,
)
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.federations.errors import MembersDecide, ProposalClosed
from hub.federations.models import Proposal
from hub.federations.policies import Policy
from hub.federations.proposals.services import vote, withdraw
from tests.conftest import Person
from tests.factories.catalogue import VersionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"


def released_events(version: ModelVersion) -> int:
    return Event.objects.filter(subject_id=version.pk, kind="version.released").count()


def lead_says(proposal: Proposal, ada: Person, choice: str, reason: str = "") -> Proposal:
    return vote(user=ada.user, proposal_id=proposal.pk, choice=choice, reason=reason)


def test_anybody_in_the_federation_proposes_and_the_lead_decides(federation, ada, blaise):
    version = VersionFactory(federation=federation)
    proposal = propose_release(user=blaise.user, version_id=version.pk, reason="best of all")
    again = propose_release(user=ada.user, version_id=version.pk, reason="I think so too")
    assert again == proposal
    with pytest.raises(Forbidden):
        vote(user=blaise.user, proposal_id=proposal.pk, choice="yes")
    for _ in range(2):
        done = lead_says(proposal, ada, "yes")
    assert (done.state, done.kind, done.decided_by, done.result) == (
        "accepted",
        "release",
        ada.user,
        {},
    )
    assert released_version(federation) == version
    assert released_events(version) == 1
    told = [sentence(one) for one in Event.objects.filter(subject_id=proposal.pk)]
    assert told == [
        "Blaise Bank proposed to release version 1: best of all",
        "Ada Institute voted yes on the proposal to release version 1",
        "The proposal to release version 1 was accepted: 1 of 1 voted: 1 yes, 0 no, 0 abstained",
    ]


def test_where_the_lead_does_not_decide_the_members_vote(federation, ada, blaise):
    federation.policy = Policy().model_dump(mode="json")
    federation.save(update_fields=["policy"])
    version = VersionFactory(federation=federation)
    with pytest.raises(MembersDecide):
        release_version(user=ada.user, version_id=version.pk)
    assert not Proposal.objects.exists()
    proposal = propose_release(user=ada.user, version_id=version.pk, reason="best of all")
    assert proposal.is_open
    done = vote(user=blaise.user, proposal_id=proposal.pk, choice="yes")
    assert (done.state, released_version(federation)) == ("accepted", version)


def test_what_may_not_be_released_any_more_has_failed(federation, ada, blaise):
    version = VersionFactory(federation=federation)
    proposal = propose_release(user=blaise.user, version_id=version.pk, reason="best of all")
    ModelVersion.objects.filter(pk=version.pk).update(state="released")
    done = lead_says(proposal, ada, "yes")
    assert done.state == "failed"
    assert "released already" in done.answer


def test_what_was_refused_or_withdrawn_is_not_accepted_any_more(federation, ada, blaise):
    version = VersionFactory(federation=federation)
    refused = propose_release(user=blaise.user, version_id=version.pk, reason="now")
    for _ in range(2):
        lead_says(refused, ada, "no", "not yet measured")
    withdrawn = propose_release(user=blaise.user, version_id=version.pk, reason="measured")
    with pytest.raises(Forbidden):
        withdraw(user=ada.user, proposal_id=withdrawn.pk)
    for _ in range(2):
        withdraw(user=blaise.user, proposal_id=withdrawn.pk, reason="a mistake")
    for proposal in (refused, withdrawn):
        with pytest.raises(ProposalClosed):
            lead_says(proposal, ada, "yes")
    with pytest.raises(ProposalClosed):
        withdraw(user=blaise.user, proposal_id=refused.pk)
    assert refused.votes.get().reason == "not yet measured"
    assert released_version(federation) is None


def test_strangers_and_unknown_proposals_are_told_alike(federation, ada, carol):
    version = VersionFactory(federation=federation)
    proposal = propose_release(user=ada.user, version_id=version.pk, reason="now")
    told = set()
    for pk in (proposal.pk, version.pk):
        for act in (
            lambda pk=pk: vote(user=carol.user, proposal_id=pk, choice="yes"),
            lambda pk=pk: withdraw(user=carol.user, proposal_id=pk),
        ):
            with pytest.raises(NotFound) as found:
                act()
            told.add(found.value.detail)
    with pytest.raises(NotFound):
        propose_release(user=carol.user, version_id=version.pk, reason="mine")
    assert len(told) == 1


def test_a_proposal_needs_a_reason_and_a_version_that_can_be_released(federation, ada):
    version = VersionFactory(federation=federation)
    baseline = VersionFactory(federation=federation, is_baseline=True)
    with pytest.raises(Invalid):
        propose_release(user=ada.user, version_id=version.pk, reason="")
    with pytest.raises(NotReleasable):
        propose_release(user=ada.user, version_id=baseline.pk, reason="now")
    release_version(user=ada.user, version_id=version.pk)
    with pytest.raises(NotReleasable):
        propose_release(user=ada.user, version_id=version.pk, reason="again")
    assert Proposal.objects.count() == 1


def test_the_lead_s_own_release_is_a_proposal_accepted_at_once(federation, ada):
    first, second = (VersionFactory(federation=federation) for _ in range(2))
    release_version(user=ada.user, version_id=first.pk)
    release_version(user=ada.user, version_id=second.pk)
    release_version(user=ada.user, version_id=first.pk, reason="v2 harms the smallest")
    found = list(Proposal.objects.order_by("created_at"))
    assert [(one.kind, one.state, one.result.get("replaced")) for one in found] == [
        ("release", "accepted", None),
        ("release", "accepted", str(first.pk)),
        ("rollback", "accepted", str(second.pk)),
    ]
    assert {one.decided_by for one in found} == {ada.user}


def test_the_lead_s_release_accepts_what_is_open(federation, ada, blaise):
    version = VersionFactory(federation=federation)
    proposal = propose_release(user=blaise.user, version_id=version.pk, reason="best of all")
    release_version(user=ada.user, version_id=version.pk, reason="agreed")
    proposal.refresh_from_db()
    assert (proposal.state, proposal.votes.get().reason) == ("accepted", "agreed")
    assert Event.objects.get(subject_id=version.pk, kind="version.released").reason == (
        "best of all"
    )


def test_retiring_a_candidate_closes_what_was_proposed_of_it(federation, ada, blaise):
    version = VersionFactory(federation=federation)
    proposal = propose_release(user=blaise.user, version_id=version.pk, reason="now")
    retire_version(user=ada.user, version_id=version.pk)
    proposal.refresh_from_db()
    assert (proposal.state, proposal.decided_by) == ("withdrawn", None)
    back = propose_release(user=blaise.user, version_id=version.pk, reason="it was good")
    assert back.kind == "rollback"


@pytest.mark.django_db(transaction=True)
def test_decisions_at_once_take_effect_once(federation, ada, blaise):
    version = VersionFactory(federation=federation)
    proposal = propose_release(user=blaise.user, version_id=version.pk, reason="now")
    gate = threading.Barrier(6, timeout=60)

    def race(place: int) -> str:
        try:
            gate.wait()
            if place % 3 == 0:
                return lead_says(proposal, ada, "yes").state
            if place % 3 == 1:
                return lead_says(proposal, ada, "no").state
            release_version(user=ada.user, version_id=version.pk)
        except ProposalClosed:
            return "closed"
        else:
            return "accepted"
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(race, range(6)))
    assert released_version(federation) == version
    assert released_events(version) == 1
    assert Proposal.objects.filter(state="accepted").count() == 1


@pytest.mark.django_db(transaction=True)
def test_proposals_at_once_are_one(federation, blaise):
    version = VersionFactory(federation=federation)
    gate = threading.Barrier(4, timeout=60)

    def race(_: int) -> object:
        try:
            gate.wait()
            return propose_release(user=blaise.user, version_id=version.pk, reason="now").pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(race, range(4)))) == 1


FIXED = sorted(
    field.column
    for field in ModelVersion._meta.concrete_fields
    if field.name not in {"state", "state_changed_at"}
)
OTHER = {
    "number": "99",
    "rank": "rank + 1",
    "created_at": "now()",
    "is_baseline": "not is_baseline",
    "plan": "'{}'::jsonb",
    "contributors": "'[1]'::jsonb",
    "report": "'{\"x\": 1}'::jsonb",
    "parent_id": "id",
    "id": "gen_random_uuid()",
    "federation_id": "gen_random_uuid()",
    "base_model_id": "gen_random_uuid()",
    "optimiser_state_id": "adapter_id",
}


@pytest.mark.parametrize("column", FIXED)
def test_the_database_itself_keeps_what_a_version_comes_from(db, column):
    version = VersionFactory()
    change = f"UPDATE catalogue_modelversion SET {column} = {OTHER.get(column, repr('other'))}"
    with (
        pytest.raises(IntegrityError, match="never changes"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"{change} WHERE id = %s", [version.pk])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE catalogue_modelversion SET state = 'retired', state_changed_at=now()"
        )
        assert cursor.rowcount == 1
