"""A closed round taken apart, for those whom the plan lets tell its updates apart."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from django.urls import reverse
from safetensors.torch import load_file

from federation.layout import read_layout
from federation.plan import Plan, Transfer
from federation.stacked import masked, shares_of
from hub.catalogue.blobs.storage import store
from hub.catalogue.selectors import artifacts_visible_to
from hub.common.errors import NotFound
from hub.common.models import OutboxMessage
from hub.dispatch import Job
from hub.runs import services
from hub.runs.errors import NotAttributable, NotStacked, RoundOpen
from hub.runs.models import Round, Run
from hub.runs.services.reconciler import reconcile
from hub.runs.stacked_models import Stacking
from jobs.compute import stack_round
from tests.conftest import client_of
from tests.factories.accounts import UserFactory
from tests.hub.runs.world import A, B, World, plan_of
from tests.pages import browser, words


def open_plan(*, attributable: bool = True, **rounds: int | str) -> Plan:
    plan = plan_of(**{"count": 1, **rounds})
    return plan.model_copy(update={"transfer": Transfer(attributable=attributable)})


@pytest.fixture
def closed(world: World) -> Round:
    return only(played(world, open_plan()))


def played(world: World, plan: Plan) -> Run:
    run = world.start_run(plan)
    world.play_round(run)
    return run


def only(run: Run) -> Round:
    return run.rounds.select_related("run__federation", "version").get()


def work() -> None:
    """What was asked for is made, each message twice."""
    for message in OutboxMessage.objects.filter(job=Job.STACK_ROUND):
        stack_round(*message.arguments)
        stack_round(*message.arguments)


def test_every_update_owns_its_components(world: World, closed: Round, tmp_path) -> None:
    asked = services.stack_round(user=world.lead, round_id=closed.pk)
    assert services.stack_round(user=world.lead, round_id=closed.pk).pk == asked.pk
    work()
    artifact = services.stacked_adapter(user=world.lead, current=closed)
    path = store().local_path(artifact.pk)
    shares = shares_of(read_layout(path))
    assert [one.digest for one in shares] == sorted(closed.version.report["weights"])
    assert {one.digest: one.weight for one in shares} == closed.version.report["weights"]
    whole = load_file(path)
    assert whole[B].shape[1] == whole[A].shape[0] == shares[-1].last
    nobody = load_file_of(masked(path, [], tmp_path / "nobody"), tmp_path / "nobody")
    start = load_file(store().local_path(closed.start_id))
    assert (nobody[B] @ nobody[A]).allclose(start[B] @ start[A], atol=1e-6)


def load_file_of(digest: str, path) -> dict:
    assert len(digest) == 64
    return load_file(path)


def test_made_again_it_is_the_same_file(world: World, closed: Round) -> None:
    services.stack_round(user=world.lead, round_id=closed.pk)
    work()
    first = Stacking.objects.get()
    Stacking.objects.all().delete()
    OutboxMessage.objects.all().delete()
    services.stack_round(round_id=closed.pk)
    work()
    assert Stacking.objects.get().artifact_id == first.artifact_id


def test_without_the_plan_s_consent_no_member_has_it(world: World) -> None:
    """Single updates are nobody's but the hub's and their organisation's."""
    current = only(played(world, open_plan(attributable=False)))
    with pytest.raises(NotAttributable):
        services.stack_round(user=world.lead, round_id=current.pk)
    services.stack_round(round_id=current.pk)  # the hub, for its own use
    work()
    artifact = Stacking.objects.get().artifact
    assert artifact is not None
    with pytest.raises(NotAttributable):
        services.stacked_adapter(user=world.lead, current=current)
    assert not artifacts_visible_to(world.lead).filter(pk=artifact.pk).exists()
    client, url = browser(world.lead), reverse("runs:round", args=[current.pk])
    assert "stacked adapter" not in words(client.get(url))
    api = client_of(world.lead)
    refused = api.post(f"/api/v1/rounds/{current.pk}/stack")
    assert (refused.status_code, refused.json()["code"]) == (403, "not_attributable")
    assert api.get(f"/api/v1/rounds/{current.pk}/stacked").status_code == 403


def test_strangers_find_neither_the_round_nor_its_file(world: World, closed: Round) -> None:
    stranger = UserFactory()
    with pytest.raises(NotFound):
        services.stack_round(user=stranger, round_id=closed.pk)
    api, page = client_of(stranger), browser(stranger)
    assert api.post(f"/api/v1/rounds/{closed.pk}/stack").status_code == 404
    assert api.get(f"/api/v1/rounds/{closed.pk}/stacked").status_code == 404
    assert page.post(reverse("runs:stack", args=[closed.pk])).status_code == 404
    assert page.get(reverse("runs:stacked", args=[closed.pk])).status_code == 404
    assert not Stacking.objects.exists()


def test_a_round_that_goes_on_is_not_taken_apart(world: World) -> None:
    run = world.start_run(open_plan())
    with pytest.raises(RoundOpen):
        services.stack_round(user=world.lead, round_id=only(run).pk)


def test_what_is_not_made_yet_is_said_to_be(world: World, closed: Round) -> None:
    with pytest.raises(NotStacked):
        services.stacked_adapter(user=world.lead, current=closed)
    api = client_of(world.lead)
    waiting = api.get(f"/api/v1/rounds/{closed.pk}/stacked")
    assert (waiting.status_code, waiting.json()["code"]) == (409, "not_stacked")


def test_what_cannot_be_stacked_says_why_and_may_be_asked_again(
    world: World, closed: Round
) -> None:
    asked = services.stack_round(user=world.lead, round_id=closed.pk)
    services.fail_stacking(stacking_id=asked.pk, code="layout", reason="a file is gone")
    url = reverse("runs:round", args=[closed.pk])
    assert "The stacked adapter could not be made" in words(browser(world.lead).get(url))
    services.stack_round(user=world.lead, round_id=closed.pk)
    work()
    assert Stacking.objects.get().state == "computed"


def test_one_that_kills_its_worker_is_given_up(world: World, closed: Round) -> None:
    asked = services.stack_round(user=world.lead, round_id=closed.pk)
    for _ in range(6):
        services.begin_stacking(stacking_id=asked.pk)
    asked.refresh_from_db()
    assert (asked.state, asked.failure_code) == ("failed", "gave_up")


def test_one_that_was_lost_is_asked_for_again(world: World, closed: Round, settings) -> None:
    asked = services.stack_round(user=world.lead, round_id=closed.pk)
    OutboxMessage.objects.all().delete()
    settings.CLAIM_SECONDS = settings.RECONCILE_SECONDS = -1.0
    reconcile()
    assert OutboxMessage.objects.filter(job=Job.STACK_ROUND, arguments=[str(asked.pk)]).exists()


def test_the_page_makes_it_and_gives_it(world: World, closed: Round) -> None:
    client, url = browser(world.lead), reverse("runs:round", args=[closed.pk])
    assert "The plan lets members tell the updates apart" in words(client.get(url))
    told = words(client.post(reverse("runs:stack", args=[closed.pk]), follow=True))
    assert "The stacked adapter of round 1 is being made." in told
    work()
    assert "has each organisation's update in it" in words(client.get(url))
    other = AsyncClient()
    other.force_login(world.lead)

    async def fetch(path: str) -> tuple[object, bytes]:
        answer = await other.get(path)
        return answer, b"".join([part async for part in answer])

    answer, content = async_to_sync(fetch)(reverse("runs:stacked", args=[closed.pk]))
    named = 'attachment; filename="round-1-stacked.safetensors"'
    assert answer.headers["Content-Disposition"] == named
    assert len(content) == Stacking.objects.get().artifact.size_bytes


def test_an_old_plan_keeps_its_digest() -> None:
    plan = plan_of()
    assert "transfer" not in plan.model_dump(mode="json")
    assert open_plan(attributable=False, count=2).digest() == plan.digest()
    assert open_plan(count=2).digest() != plan.digest()
