"""Commit, then reveal: nobody can send what it has first seen of others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from federation.plan import canonical
from federation.protocol import (
    FailureIn,
    HeartbeatIn,
    HeartbeatOut,
    Progress,
    TaskOffer,
    UploadIn,
)
from federation.protocol_commitments import CommitmentIn, CommitmentOut, CommitmentStatement
from federation.signatures import sign_bytes
from federation.tensors import sha256_of
from hub.common.errors import DomainError
from hub.common.models import Event, OutboxMessage
from hub.dispatch import Job
from hub.ledger.models import Entry
from hub.runs import services
from hub.runs.commitment_models import Commitment, Unveiling
from hub.runs.errors import (
    AlreadyCommitted,
    BadStatementSignature,
    CommitmentsClosed,
    DuplicateContent,
    LeaseLost,
    NotCommitted,
    NothingToCommit,
    RevealNotOpen,
    StatementMismatch,
)
from hub.runs.models import Round, Run, Update
from hub.runs.services.unveiling import open_when_due
from tests.hub.runs.world import Site, World, make_world, plan_of
from tests.pages import browser, words


def begin(world: World, **rounds: int | str) -> tuple[Run, list[TaskOffer]]:
    run = world.start_run(plan_of(**{"commit_seconds": 600, **rounds}))
    return run, [world.lease(site) for site in world.sites]


def commitment(site: Site, offer: TaskOffer, digest: str, **changes: object) -> CommitmentIn:
    said = {
        "federation": offer.federation,
        "run": offer.run,
        "round": offer.round,
        "task": offer.id,
        "plan_digest": offer.spec.plan_digest,
        "update_sha256": digest,
        "key_id": site.agent.key_id,
        "made_at": datetime.now(UTC),
        **changes,
    }
    statement = CommitmentStatement.model_validate(said)
    signed = canonical(statement.model_dump(mode="json"))
    signature = sign_bytes(site.private_key, "fl-commitment-v1", signed)
    return CommitmentIn(fence=offer.fence, statement=statement, signature=signature)


def commit(world: World, site: Site, offer: TaskOffer, path: Path | None = None) -> CommitmentOut:
    digest = sha256_of(path or world.update_file(offer, site))
    message = commitment(site, offer, digest)
    return services.commit_update(agent=site.agent, task_id=offer.id, message=message)


def beat(site: Site, offer: TaskOffer) -> HeartbeatOut:
    message = HeartbeatIn(fence=offer.fence, progress=Progress(phase="uploading"))
    return services.heartbeat(agent=site.agent, task_id=offer.id, message=message)


def pass_the_deadline(run: Run) -> None:
    Unveiling.objects.filter(round__run=run).update(
        deadline_at=timezone.now() - timedelta(seconds=1)
    )


def test_a_round_of_commitments_ends_like_any_other(world: World) -> None:
    run, offers = begin(world, count=1)
    for site, offer in zip(world.sites, offers, strict=True):
        commit(world, site, offer)
    for site, offer in zip(world.sites, offers, strict=True):
        world.train(site, offer)
    services.advance_run(run_id=run.pk)
    world.aggregate(run)
    assert len(Round.objects.get().frozen) == 3
    assert Round.objects.get().state == "evaluating"


def test_updates_are_taken_once_all_have_committed(world: World) -> None:
    run, offers = begin(world)
    first = commit(world, world.sites[0], offers[0])
    assert not first.reveal
    assert beat(world.sites[0], offers[0]).reveal is False
    with pytest.raises(RevealNotOpen):
        world.train(world.sites[0], offers[0])
    commit(world, world.sites[1], offers[1])
    assert commit(world, world.sites[2], offers[2]).reveal
    assert beat(world.sites[0], offers[0]).reveal
    world.train(world.sites[0], offers[0])
    assert Update.objects.get().round.run == run


def test_the_same_commitment_again_is_one(world: World) -> None:
    _, offers = begin(world)
    first, second = (commit(world, world.sites[0], offers[0]) for _ in range(2))
    assert first == second
    assert Commitment.objects.count() == 1
    assert Event.objects.filter(kind="task.committed").count() == 1
    assert Entry.objects.filter(type="update.committed").count() == 1


def test_another_digest_is_refused(world: World) -> None:
    _, offers = begin(world)
    site = world.sites[0]
    commit(world, site, offers[0])
    other = commitment(site, offers[0], "0" * 64)
    with pytest.raises(AlreadyCommitted):
        services.commit_update(agent=site.agent, task_id=offers[0].id, message=other)
    assert Commitment.objects.get().digest != "0" * 64


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"round": 2}, StatementMismatch),
        ({"federation": "elsewhere"}, StatementMismatch),
        ({"plan_digest": "0" * 64}, StatementMismatch),
        ({"key_id": "0" * 64}, StatementMismatch),
    ],
)
def test_a_commitment_to_something_else_is_refused(
    world: World, changes: dict[str, object], refusal: type[DomainError]
) -> None:
    _, offers = begin(world)
    site = world.sites[0]
    message = commitment(site, offers[0], "1" * 64, **changes)
    with pytest.raises(refusal):
        services.commit_update(agent=site.agent, task_id=offers[0].id, message=message)
    assert not Commitment.objects.exists()


def test_a_commitment_is_signed_by_who_makes_it(world: World) -> None:
    _, offers = begin(world)
    site = world.sites[0]
    forged = commitment(site, offers[0], "1" * 64).model_copy(update={"signature": "A" * 86 + "=="})
    with pytest.raises(BadStatementSignature):
        services.commit_update(agent=site.agent, task_id=offers[0].id, message=forged)
    late = commitment(site, offers[0], "1" * 64).model_copy(update={"fence": 99})
    with pytest.raises(LeaseLost):
        services.commit_update(agent=site.agent, task_id=offers[0].id, message=late)


def test_rounds_without_commitments_are_what_they_were(world: World) -> None:
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    with pytest.raises(NothingToCommit):
        commit(world, site, offer)
    assert beat(site, offer).reveal is None
    assert not Unveiling.objects.exists()
    world.train(site, offer)


def test_what_was_not_committed_to_is_refused(world: World) -> None:
    _, offers = begin(world)
    for site, offer in zip(world.sites, offers, strict=True):
        commit(world, site, offer)
    site = world.sites[0]
    other = world.update_file(offers[1], world.sites[1])
    with pytest.raises(NotCommitted):
        world.upload(site, offers[0], other)
    message = world.statement(site, offers[0], other)
    with pytest.raises(NotCommitted):
        services.submit_update(agent=site.agent, task_id=offers[0].id, message=message)
    assert not Update.objects.exists()


def test_a_copycat_has_nothing_to_copy(world: World) -> None:
    """VAL-9: before the opening it sees no bytes, and a digest is of no use to it."""
    _, offers = begin(world)
    commit(world, world.sites[0], offers[0])
    seen = Entry.objects.get(type="update.committed")  # every member may read the ledger
    copycat, offer = world.sites[2], offers[2]
    stolen = commitment(copycat, offer, Commitment.objects.get().digest)
    assert Commitment.objects.get().digest in seen.payload
    with pytest.raises(DuplicateContent):
        services.commit_update(agent=copycat.agent, task_id=offer.id, message=stolen)
    upload = UploadIn(fence=offer.fence, sha256=Commitment.objects.get().digest, size_bytes=100)
    with pytest.raises(NotCommitted):
        services.begin_update_upload(agent=copycat.agent, task_id=offer.id, message=upload)
    assert Commitment.objects.count() == 1


def test_after_the_opening_nobody_commits_to_what_it_has_seen(world: World) -> None:
    run, offers = begin(world)
    for site, offer in zip(world.sites[:2], offers[:2], strict=True):
        commit(world, site, offer)
    pass_the_deadline(run)
    world.train(world.sites[0], offers[0])
    with pytest.raises(CommitmentsClosed):
        commit(world, world.sites[2], offers[2])
    assert Commitment.objects.count() == 2


def test_who_has_not_committed_in_time_is_out_of_the_round(world: World) -> None:
    run, offers = begin(world)
    for site, offer in zip(world.sites[:2], offers[:2], strict=True):
        commit(world, site, offer)
    pass_the_deadline(run)
    services.advance_run(run_id=run.pk)
    services.advance_run(run_id=run.pk)
    assert beat(world.sites[2], offers[2]).verdict == "cancel"
    for site, offer in zip(world.sites[:2], offers[:2], strict=True):
        world.train(site, offer)
    world.aggregate(run)
    for site in world.sites:
        world.evaluate(site)
    services.advance_run(run_id=run.pk)
    name = world.sites[2].agent.organisation.name
    assert f"{name} did not commit." in Round.objects.get(number=1).summary


def test_a_commitment_that_is_not_kept_is_a_missed_round(world: World) -> None:
    run, offers = begin(world)
    for site, offer in zip(world.sites, offers, strict=True):
        commit(world, site, offer)
    for site, offer in zip(world.sites[:2], offers[:2], strict=True):
        world.train(site, offer)
    services.advance_run(run_id=run.pk)
    Round.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    world.aggregate(run)
    for site in world.sites:
        world.evaluate(site)
    services.advance_run(run_id=run.pk)
    name = world.sites[2].agent.organisation.name
    assert f"{name} committed to an update and did not send it" in Round.objects.first().summary


def test_who_cannot_train_is_not_waited_for(world: World) -> None:
    run, offers = begin(world)
    for site, offer in zip(world.sites[:2], offers[:2], strict=True):
        commit(world, site, offer)
    failure = FailureIn(fence=offers[2].fence, code="no_data", retry=False)
    services.fail_task(agent=world.sites[2].agent, task_id=offers[2].id, message=failure)
    services.advance_run(run_id=run.pk)
    assert Unveiling.objects.get().opened_at is not None
    assert Event.objects.get(kind="round.revealing").data["committed"] == 2


def test_what_was_forgotten_is_opened_by_the_reconciler(world: World) -> None:
    run, offers = begin(world)
    commit(world, world.sites[0], offers[0])
    OutboxMessage.objects.all().delete()
    services.reconcile()
    assert not OutboxMessage.objects.filter(job=Job.ADVANCE_RUN).exists()
    pass_the_deadline(run)
    services.reconcile()
    assert OutboxMessage.objects.filter(job=Job.ADVANCE_RUN, arguments=[str(run.pk)]).exists()


def test_a_pause_stops_the_time_to_commit(world: World) -> None:
    run, offers = begin(world)
    services.pause_run(user=world.lead, run_id=run.pk)
    pass_the_deadline(run)
    assert commit(world, world.sites[0], offers[0]).reveal is False
    Run.objects.update(state_changed_at=timezone.now() - timedelta(seconds=100))
    services.resume_run(user=world.lead, run_id=run.pk)
    assert Unveiling.objects.get().deadline_at > timezone.now() + timedelta(seconds=90)


def test_the_page_of_the_round_tells_who_has_committed(
    world: World, django_assert_max_num_queries
) -> None:
    run, offers = begin(world)
    commit(world, world.sites[0], offers[0])
    client = browser(world.lead)
    url = reverse("runs:round", args=[world.round_id(run)])
    with django_assert_max_num_queries(10):
        page = words(client.get(url))
    assert f"{world.sites[0].agent.organisation.name} committed" in page
    assert "1 of 3 have committed" in page
    for site, offer in zip(world.sites[1:], offers[1:], strict=True):
        commit(world, site, offer)
    page = words(client.get(url))
    assert "Open for updates" in page
    assert "3 of 3 have committed" in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_", range(3))
def test_the_last_commitment_and_the_deadline_do_not_both_win(tmp_path: Path, _: int) -> None:
    """Whoever is first at the round decides: either it counts, or it is refused as too late."""
    world = make_world(tmp_path)
    run, offers = begin(world)
    for site, offer in zip(world.sites[:2], offers[:2], strict=True):
        commit(world, site, offer)
    Unveiling.objects.update(deadline_at=timezone.now() + timedelta(milliseconds=30))
    seen: list[object] = []

    def last() -> None:
        try:
            seen.append(commit(world, world.sites[2], offers[2]).reveal)
        except CommitmentsClosed:
            seen.append("closed")

    def opens() -> None:
        for _ in range(8):
            services.advance_run(run_id=run.pk)

    def sends() -> None:
        for _ in range(8):
            beat(world.sites[0], offers[0])

    together(last, opens, sends)
    with transaction.atomic():
        open_when_due(Round.objects.select_related("run").get())
    assert seen == [True if Commitment.objects.count() == 3 else "closed"]
    assert Event.objects.filter(kind="round.revealing").count() == 1


def together(*works: Callable[[], None]) -> None:
    """Begin all at the same moment, each with a connection of its own."""
    ready = threading.Barrier(len(works))

    def alone(work: Callable[[], None]) -> None:
        ready.wait()
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=alone, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
