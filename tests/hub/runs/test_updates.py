from __future__ import annotations

import threading
from base64 import b64decode
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.db import connection

from federation.plan import canonical
from federation.signatures import generate_private_key, sign_bytes, verify_bytes
from hub.common.errors import DomainError
from hub.organisations.selectors import hub_key
from hub.runs import services
from hub.runs.errors import (
    AlreadySubmitted,
    BadStatementSignature,
    BaseModelMismatch,
    DuplicateContent,
    LateUpdate,
    StatementMismatch,
    UpdateRefused,
    UploadIncomplete,
)
from hub.runs.models import Round, Update
from jobs.validation import weigh
from tests.hub.runs.world import World, adapter_file, make_world, plan_of


def test_the_receipt_is_signed_by_the_hub(world: World) -> None:
    world.start_run()
    receipt = world.train(world.sites[0])
    key = b64decode(hub_key().public_key)
    verify_bytes(key, "fl-receipt-v1", canonical(receipt.signed_part()), receipt.signature)


def test_the_same_submission_again_gets_the_same_receipt(world: World) -> None:
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    path = world.update_file(offer, site)
    world.upload(site, offer, path)
    message = world.statement(site, offer, path)
    first = services.submit_update(agent=site.agent, task_id=offer.id, message=message)
    second = services.submit_update(agent=site.agent, task_id=offer.id, message=message)
    assert first == second
    assert Update.objects.count() == 1


def test_a_second_different_update_is_refused(world: World) -> None:
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    world.train(site, offer)
    other = world.statement(site, offer, world.update_file(offer, site), examples=999)
    with pytest.raises(AlreadySubmitted):
        services.submit_update(agent=site.agent, task_id=offer.id, message=other)
    assert Update.objects.get().examples == 100


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"round": 2}, StatementMismatch),
        ({"federation": "elsewhere"}, StatementMismatch),
        ({"plan_digest": "0" * 64}, StatementMismatch),
        ({"participation_rank": 1}, StatementMismatch),
        ({"key_id": "0" * 64}, StatementMismatch),
        ({"size_bytes": 1}, StatementMismatch),
        ({"start_sha256": "0" * 64}, BaseModelMismatch),
        ({"update_sha256": "0" * 64}, UploadIncomplete),
    ],
)
def test_a_statement_that_does_not_fit_the_task_is_refused(
    world: World, changes: dict[str, object], refusal: type[DomainError]
) -> None:
    world.start_run()
    with pytest.raises(refusal):
        world.train(world.sites[0], **changes)
    assert Update.objects.count() == 0


def test_a_statement_signed_by_another_key_is_refused(world: World) -> None:
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    path = world.update_file(offer, site)
    world.upload(site, offer, path)
    message = world.statement(site, offer, path)
    payload = canonical(message.statement.model_dump(mode="json"))
    forged = sign_bytes(generate_private_key(), "fl-update-v1", payload)
    with pytest.raises(BadStatementSignature):
        services.submit_update(
            agent=site.agent,
            task_id=offer.id,
            message=message.model_copy(update={"signature": forged}),
        )


def test_bytes_that_were_not_uploaded_for_this_task_are_not_enough(world: World) -> None:
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    message = world.statement(site, offer, world.update_file(offer, site))
    with pytest.raises(UploadIncomplete):
        services.submit_update(agent=site.agent, task_id=offer.id, message=message)


def test_a_byte_copy_of_a_peers_update_is_refused(world: World) -> None:
    world.start_run()
    first, second = world.sites[:2]
    offer = world.lease(first)
    copied = world.update_file(offer, first)
    world.train(first, offer)
    other = world.lease(second)
    world.upload(second, other, copied)
    message = world.statement(second, other, copied)
    with pytest.raises(DuplicateContent):
        services.submit_update(agent=second.agent, task_id=other.id, message=message)


def test_a_wrong_rank_in_the_bytes_is_refused_at_once(world: World, tmp_path: object) -> None:
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    path = adapter_file(tmp_path, 77, rank=1)
    world.upload(site, offer, path)
    message = world.statement(site, offer, path)
    with pytest.raises(UpdateRefused) as refused:
        services.submit_update(agent=site.agent, task_id=offer.id, message=message)
    assert refused.value.code == "shape_mismatch"
    assert Update.objects.count() == 0


def test_an_update_after_the_freeze_is_recorded_as_late_and_counts_for_nothing(
    world: World,
) -> None:
    run = world.start_run()
    offers = [world.lease(site) for site in world.sites]
    for site, offer in zip(world.sites[:2], offers[:2], strict=True):
        world.train(site, offer)
    slow, offer = world.sites[2], offers[2]
    path = world.update_file(offer, slow)
    world.upload(slow, offer, path)
    Round.objects.update(deadline_at="2020-01-01T00:00Z")
    world.aggregate(run)
    message = world.statement(slow, offer, path)
    with pytest.raises(LateUpdate):
        services.submit_update(agent=slow.agent, task_id=offer.id, message=message)
    late = Update.objects.get(is_late=True)
    assert late.participation.organisation == slow.agent.organisation
    first = run.rounds.get(number=1)
    assert len(first.frozen) == 2
    assert str(late.pk) not in {entry["update"] for entry in first.frozen}


def test_a_late_update_is_refused_where_the_plan_says_so(world: World) -> None:
    run = world.start_run(plan_of(late="refuse"))
    offers = [world.lease(site) for site in world.sites]
    for site, offer in zip(world.sites[:2], offers[:2], strict=True):
        world.train(site, offer)
    slow, offer = world.sites[2], offers[2]
    path = world.update_file(offer, slow)
    world.upload(slow, offer, path)
    Round.objects.update(deadline_at="2020-01-01T00:00Z")
    world.aggregate(run)
    with pytest.raises(DomainError) as refused:
        services.submit_update(
            agent=slow.agent, task_id=offer.id, message=world.statement(slow, offer, path)
        )
    assert refused.value.code == "task_over"
    assert not Update.objects.filter(is_late=True).exists()


def test_an_update_far_larger_than_its_peers_is_set_aside_with_evidence() -> None:
    found = weigh(100.0, [1.0, 1.1, 0.9])
    assert (found.verdict, found.code) == ("quarantined", "norm_outlier")
    assert found.evidence == {"norm": 100.0, "usual_norm": 1.0}
    assert weigh(2.0, [1.0, 1.1, 0.9]).verdict == "accepted"
    assert weigh(0.0, []).code == "suspect_zero"


def test_a_person_of_the_lead_decides_on_quarantine_with_a_reason(world: World) -> None:
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    held = Update.objects.first()
    services.record_verdict(update_id=held.pk, verdict="quarantined", code="norm_outlier")
    world.freeze(run)
    assert run.rounds.get().state == "collecting"
    with pytest.raises(DomainError, match="say why"):
        services.judge_update(user=world.lead, update_id=held.pk, accept=True, reason=" ")
    services.judge_update(user=world.lead, update_id=held.pk, accept=True, reason="known site")
    world.freeze(run)
    assert len(run.rounds.get().frozen) == 3


def test_a_second_verdict_changes_nothing(world: World) -> None:
    world.start_run()
    world.train(world.sites[0])
    update = Update.objects.get()
    services.record_verdict(update_id=update.pk, verdict="rejected", code="non_finite")
    services.record_verdict(update_id=update.pk, verdict="accepted")
    update.refresh_from_db()
    assert (update.state, update.verdict_code) == ("rejected", "non_finite")


@pytest.mark.django_db(transaction=True)
def test_fifty_parallel_submissions_make_one_update_and_one_receipt(tmp_path: object) -> None:
    world = make_world(tmp_path)
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    path = world.update_file(offer, site)
    world.upload(site, offer, path)
    message = world.statement(site, offer, path)
    receipts = []

    def submit() -> None:
        receipts.append(services.submit_update(agent=site.agent, task_id=offer.id, message=message))
        connection.close()

    threads = [threading.Thread(target=submit) for _ in range(50)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(receipts) == 50
    assert len({r.signature for r in receipts}) == 1
    assert Update.objects.count() == 1


def test_a_submission_takes_few_statements(
    world: World, django_assert_max_num_queries: Callable[[int], AbstractContextManager[object]]
) -> None:
    world.start_run()
    world.train(world.sites[0])
    site = world.sites[1]
    offer = world.lease(site)
    path = world.update_file(offer, site)
    world.upload(site, offer, path)
    message = world.statement(site, offer, path)
    with django_assert_max_num_queries(26):  # of them 4 that tell the ledger a new key
        services.submit_update(agent=site.agent, task_id=offer.id, message=message)
