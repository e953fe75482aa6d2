"""What operators may do to rows: through a service, with a reason, recorded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from hub.accounts.models import User
from hub.common.acts import Act, act_url, acts_for, change_url, offer
from hub.common.models import Event, OutboxMessage
from hub.common.sentences import sentence
from hub.common.templatetags.foedus import human_bytes
from hub.dispatch import Job
from hub.organisations.models import Organisation, OrganisationState
from hub.runs.models import Task, Update
from tests.factories.catalogue import begin
from tests.factories.organisations import AgentFactory, OrganisationFactory
from tests.hub.operations.conftest import reauthenticated, signed_in_long_ago
from tests.hub.runs.world import World

REASON = {"reason": "The site asked for it by telephone."}


def pending() -> Organisation:
    return OrganisationFactory(state=OrganisationState.PENDING)


def leased(world: World) -> Task:
    world.start_run()
    return Task.objects.get(pk=world.lease(world.sites[0]).id)


def received(world: World) -> Update:
    world.start_run()
    world.train(world.sites[0])
    return Update.objects.get()


def uploading(world: World) -> Model:
    return begin(world.sites[0].agent, b"some bytes", task_id=leased(world).pk)


ROWS: dict[tuple[str, str], tuple[Callable[[World], Model], str]] = {
    ("organisation", "approve"): (lambda _: pending(), "organisation.approved"),
    ("organisation", "refuse"): (lambda _: pending(), "organisation.refused"),
    ("organisation", "suspend"): (lambda _: OrganisationFactory(), "organisation.suspended"),
    ("organisation", "reinstate"): (
        lambda _: OrganisationFactory(state=OrganisationState.SUSPENDED),
        "organisation.approved",
    ),
    ("organisation", "quota"): (
        lambda _: OrganisationFactory(quota_bytes=1),
        "organisation.quota_set",
    ),
    ("agent", "revoke"): (lambda _: AgentFactory(), "agent.revoked"),
    ("federation", "pause"): (lambda world: world.federation, "federation.paused"),
    ("run", "nudge"): (lambda world: world.start_run(), "run.nudged"),
    ("run", "fail"): (lambda world: world.start_run(), "run.failed"),
    ("round", "fail"): (lambda world: world.start_run().rounds.get(), "round.failed"),
    ("round", "nudge"): (lambda world: world.start_run().rounds.get(), "round.nudged"),
    ("task", "requeue"): (leased, "task.queued"),
    ("update", "nudge"): (received, "update.nudged"),
    ("upload", "close"): (uploading, "upload.closed"),
}


@pytest.mark.parametrize(("subject", "name"), ROWS, ids="-".join)
def test_an_act_asks_for_a_reason_and_leaves_an_event(
    subject: str, name: str, world: World, console: Client, olga: User
) -> None:
    make, kind = ROWS[subject, name]
    row = make(world)
    url = act_url(row, name)
    reauthenticated(console)
    before = Event.objects.filter(kind=kind, subject_id=row.pk).count()

    assert "Reason" in console.get(url).text
    assert "This field is required" in console.post(url, {"reason": " "}).text
    assert Event.objects.filter(kind=kind, subject_id=row.pk).count() == before

    answer = console.post(url, REASON, follow=True)
    assert "Done and recorded" in answer.text
    event = Event.objects.filter(kind=kind, subject_id=row.pk).latest("pk")
    assert (event.reason, event.actor_id, event.actor_label) == (
        REASON["reason"],
        olga.pk,
        "Olga",
    )


def test_all_acts_are_tried_above(world: World) -> None:
    rows = [make(world) for make, _ in list(ROWS.values())[:6]]
    assert all(acts_for(row) for row in rows)


def test_what_does_not_fit_the_state_is_neither_offered_nor_done(console: Client) -> None:
    organisation = pending()
    page = console.get(reverse("admin:organisations_organisation_change", args=[organisation.pk]))
    assert "Approve" in page.text
    assert "Suspend" not in page.text
    answer = console.post(act_url(organisation, "suspend"), REASON, follow=True)
    assert "Nothing was done" in answer.text
    organisation.refresh_from_db()
    assert organisation.state == OrganisationState.PENDING


def test_a_dangerous_act_asks_for_the_password_again(olga: User) -> None:
    console = signed_in_long_ago(olga)
    url = act_url(OrganisationFactory(), "suspend")
    assert console.get(url)["Location"].startswith(reverse("account_reauthenticate"))
    assert console.post(url, REASON)["Location"].startswith(reverse("account_reauthenticate"))
    reauthenticated(console)
    assert console.get(url).status_code == 200


def test_an_act_may_ask_for_more_than_a_reason(console: Client) -> None:
    organisation = OrganisationFactory()
    url = act_url(organisation, "quota")
    assert "as much as any other" in console.get(change_url(organisation)).text
    for wrong in ("-1", "much", "2000000"):
        assert "Done" not in console.post(url, {**REASON, "gib": wrong}, follow=True).text
    for asked, kept in (("512", 512 * 2**30), ("0", 0), ("", None)):
        console.post(url, {**REASON, "gib": asked})
        organisation.refresh_from_db()
        assert organisation.quota_bytes == kept
        shown = "no limit" if kept == 0 else human_bytes(kept) if kept else "as much as any other"
        assert shown in console.get(change_url(organisation)).text
    told = [sentence(event) for event in Event.objects.filter(kind="organisation.quota_set")]
    assert told[0].startswith(f"Olga let {organisation.name} store 512 GiB")


def test_a_refusal_of_the_service_is_shown(world: World, console: Client) -> None:
    run = world.start_run()
    offer(Organisation, Act("try", "Try", "", lambda *_: world.lease(world.sites[0]) and 1 / 0))
    with pytest.raises(ZeroDivisionError):  # only refusals of the domain are caught
        console.post(act_url(pending(), "try"), REASON)
    assert run.state == "running"


def test_strangers_and_members_do_nothing(client: Client, world: World) -> None:
    organisation = pending()
    client.force_login(world.lead)
    assert client.post(act_url(organisation, "approve"), REASON, follow=True).status_code == 403
    organisation.refresh_from_db()
    assert organisation.state == OrganisationState.PENDING


def test_afterwards_one_is_back_where_one_came_from(console: Client) -> None:
    home = reverse("admin:index")
    url = act_url(pending(), "approve", back=home)
    assert f'value="{home}"' in console.get(url).text
    assert console.post(url, {**REASON, "next": home})["Location"] == home


def test_nobody_is_led_elsewhere(console: Client) -> None:
    organisation = pending()
    url = act_url(organisation, "approve")
    answer = console.post(url, {**REASON, "next": "https://elsewhere.example/"})
    assert answer["Location"].startswith(reverse("admin:index"))


def test_a_row_that_is_gone_leads_home(console: Client) -> None:
    organisation = pending()
    url = act_url(organisation, "approve")
    organisation.delete()
    assert console.get(url)["Location"] == reverse("admin:index")


def test_two_acts_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="approve"):
        offer(Organisation, Act("approve", "Approve", "", lambda *_: None))


def test_the_outbox_is_sent_and_that_is_recorded(console: Client, olga: User) -> None:
    message = OutboxMessage.objects.create(job=Job.RECONCILE, arguments=[])
    console.post(act_url(message, "resend"), REASON)
    message.refresh_from_db()
    assert message.sent_at
    event = Event.objects.get(kind="outbox.resent")
    assert (event.reason, event.actor_id, event.data) == (
        REASON["reason"],
        olga.pk,
        {"messages": 1},
    )
