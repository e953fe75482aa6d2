"""Webhooks: who may have them, what is delivered, tried again, replayed and switched off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event
from hub.federations.models import Federation
from hub.notices.errors import AddressRefused, TooManyWebhooks, WebhookOff
from hub.notices.hooks import services
from hub.notices.hooks.delivering import PAUSES, deliver_due, deliveries_are_due
from hub.notices.models import Attempt, Delivery, Notice, Webhook
from hub.notices.telling import tell_news
from hub.organisations.errors import NotApproved
from tests.conftest import Person
from tests.factories.organisations import MembershipFactory
from tests.hub.notices.happening import at_once, happens
from tests.hub.notices.hooking import Receiver, receiving
from tests.pages import browser, once, words

pytestmark = pytest.mark.django_db

DOCS = Path(__file__).parents[3] / "docs" / "notifications.md"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    with receiving() as found:
        yield found


def made(person: Person, receiver: Receiver, *kinds: str) -> tuple[Webhook, str]:
    return services.make_webhook(
        user=person.user,
        organisation_id=person.organisation.pk,
        name="Tickets",
        url=f"http://127.0.0.1:{receiver.port}/hooks?from=foedus",
        kinds=kinds or ["run_failed"],
    )


def failed(federation: Federation, run: str = "Autumn") -> Event:
    pk = uuid4()
    scope = {"federation_id": federation.pk, "run_id": pk, "subject_id": pk}
    event = happens("run.failed", data={"run": run}, reason="the disk is full", **scope)
    tell_news()
    return event


def soon() -> None:
    """As if all pauses had passed."""
    before = timezone.now() - timedelta(seconds=1)
    Delivery.objects.update(next_at=before)
    Webhook.objects.update(resting_until=None)


def test_a_delivery_is_signed_and_says_what_happened(
    receiver: Receiver, ada: Person, federation: Federation, settings: Any
):
    _, secret = made(ada, receiver)
    event = failed(federation)
    assert deliver_due() == 1
    ((path, headers, body),) = receiver.requests
    assert path == "/hooks?from=foedus"
    said = Verifier(secret).verify(body, headers)
    assert said == {
        "type": "run_failed",
        "timestamp": event.at.isoformat(),
        "data": {
            "event": "run.failed",
            "text": "The run 'Autumn' failed: the disk is full.",
            "url": f"{settings.PUBLIC_URL}/runs/{event.run_id}",
            "subject": str(event.subject_id),
            "federation": str(federation.pk),
            "run": str(event.run_id),
        },
    }
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(body.replace(b"disk", b"desk"), headers)
    assert secret.encode() not in body


def test_the_guide_s_receiver_takes_it(receiver: Receiver, ada: Person, federation: Federation):
    """The snippet of docs/notifications.md, as it stands there."""
    _, secret = made(ada, receiver)
    failed(federation)
    deliver_due()
    (_, headers, body) = receiver.requests[0]
    snippet = re.search(r"```python\n(# receive\.py.*?)```", DOCS.read_text(), re.DOTALL)
    assert snippet is not None
    namespace: dict[str, Any] = {}
    exec(compile(snippet[1], "receive.py", "exec"), namespace)
    assert (
        namespace["happened"](secret, headers, body) == "The run 'Autumn' failed: the disk is full."
    )
    assert namespace["happened"](secret, headers, body + b" ") is None


def test_an_event_is_delivered_once(receiver: Receiver, ada: Person, federation: Federation):
    made(ada, receiver)
    failed(federation)
    assert [deliver_due(), deliver_due(), tell_news(), deliver_due()] == [1, 0, 0, 0]
    assert len(receiver.requests) == 1


def test_only_members_and_only_chosen_kinds_are_told(
    receiver: Receiver, ada: Person, carol: Person, federation: Federation
):
    made(carol, receiver)
    made(ada, receiver, "release")
    failed(federation)
    assert not deliveries_are_due()
    assert deliver_due() == 0


def test_what_concerns_one_organisation_goes_to_no_other(
    receiver: Receiver, ada: Person, blaise: Person, federation: Federation
):
    made(ada, receiver, "agent_silent")
    hook, _ = made(blaise, receiver, "agent_silent")
    happens("agent.silent", organisation_id=blaise.organisation.pk)
    tell_news()
    assert [one.webhook for one in Delivery.objects.all()] == [hook]


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
def test_what_is_not_taken_is_tried_again_as_the_same_message(
    receiver: Receiver, ada: Person, federation: Federation, status: int
):
    _, secret = made(ada, receiver)
    failed(federation)
    receiver.statuses, receiver.answer = [status], b"secret words"
    assert deliver_due() == 0
    assert deliver_due() == 0  # it rests
    assert len(receiver.requests) == 1
    soon()
    assert deliver_due() == 1
    first, second = (headers for _, headers, _ in receiver.requests)
    assert first["webhook-id"] == second["webhook-id"]
    Verifier(secret).verify(receiver.bodies[1], second)
    log = Attempt.objects.order_by("id")
    assert [(one.status, one.answer_bytes) for one in log] == [(status, 12), (204, 0)]


def test_it_is_tried_for_about_a_day_and_given_up(
    receiver: Receiver, ada: Person, federation: Federation
):
    made(ada, receiver)
    failed(federation)
    assert timedelta(hours=20) < timedelta(seconds=sum(PAUSES)) < timedelta(hours=30)
    receiver.statuses = [500] * 20
    for _ in range(len(PAUSES) + 3):
        deliver_due()
        soon()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("failed", len(PAUSES) + 1)
    assert Attempt.objects.count() == len(PAUSES) + 1


def test_a_failing_one_holds_up_no_other(
    receiver: Receiver, ada: Person, blaise: Person, federation: Federation
):
    failing, _ = made(ada, receiver)
    made(blaise, receiver)
    Webhook.objects.filter(pk=failing.pk).update(url="http://127.0.0.1:1024/")
    for _ in range(5):
        failed(federation)
    assert deliver_due() == 5
    assert Attempt.objects.filter(delivery__webhook=failing).count() == 1  # then it rests


def test_after_days_without_success_it_is_switched_off_and_told(
    receiver: Receiver, ada: Person, federation: Federation, settings: Any
):
    webhook, _ = made(ada, receiver)
    failed(federation)
    failed(federation)
    Webhook.objects.update(failing_since=timezone.now() - timedelta(days=6), failures=40)
    receiver.statuses = [500]
    deliver_due()
    webhook.refresh_from_db()
    assert webhook.state == "disabled"
    tell_news()
    assert Notice.objects.filter(user=ada.user, kind="webhook_disabled").count() == 1
    soon()
    assert deliver_due() == 0
    for _ in range(2):
        services.enable_webhook(user=ada.user, webhook_id=webhook.pk)
    assert deliver_due() == 2  # what had waited
    webhook.refresh_from_db()
    assert (webhook.failing_since, webhook.failures) == (None, 0)


def test_one_that_is_gone_is_switched_off_at_once(
    receiver: Receiver, ada: Person, federation: Federation
):
    webhook, _ = made(ada, receiver)
    failed(federation)
    receiver.statuses = [410]
    deliver_due()
    webhook.refresh_from_db()
    assert webhook.state == "disabled"


def test_a_name_that_leads_inside_later_is_not_told(
    receiver: Receiver, ada: Person, federation: Federation, settings: Any
):
    made(ada, receiver)
    failed(federation)
    settings.WEBHOOK_NETWORKS = []
    assert deliver_due() == 0
    assert receiver.requests == []
    assert Attempt.objects.get().failure == "address_refused"


def test_a_delivery_can_be_sent_again(receiver: Receiver, ada: Person, federation: Federation):
    made(ada, receiver)
    failed(federation)
    deliver_due()
    delivery = Delivery.objects.get()
    for _ in range(2):
        services.replay_delivery(user=ada.user, delivery_id=delivery.pk)
    assert [deliver_due(), deliver_due()] == [1, 0]
    first, second = (headers for _, headers, _ in receiver.requests)
    assert first["webhook-id"] == second["webhook-id"]
    assert receiver.bodies[0] == receiver.bodies[1]


def test_for_a_day_both_secrets_sign(receiver: Receiver, ada: Person, federation: Federation):
    webhook, former = made(ada, receiver)
    _, present = services.rotate_secret(user=ada.user, webhook_id=webhook.pk)
    failed(federation)
    deliver_due()
    _, headers, body = receiver.requests[0]
    for secret in (former, present):
        Verifier(secret).verify(body, headers)
    Webhook.objects.update(former_until=timezone.now() - timedelta(seconds=1))
    failed(federation)
    deliver_due()
    _, headers, body = receiver.requests[1]
    Verifier(present).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(former).verify(body, headers)


def test_secrets_lie_sealed(receiver: Receiver, ada: Person):
    webhook, secret = made(ada, receiver)
    kept = Webhook.objects.get()
    assert secret.encode() not in bytes(kept.sealed_secret)
    assert secret not in json.dumps(list(Event.objects.values_list("data", flat=True)))
    services.remove_webhook(user=ada.user, webhook_id=webhook.pk)
    kept.refresh_from_db()
    assert (bytes(kept.sealed_secret), bytes(kept.former_secret)) == (b"", b"")
    with pytest.raises(NotFound):
        services.remove_webhook(user=ada.user, webhook_id=webhook.pk)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"kinds": []}, Invalid),
        ({"kinds": ["weather"]}, Invalid),
        ({"kinds": ["token_expiring"]}, Invalid),
        ({"url": "https://127.0.0.1:8443/"}, AddressRefused),
        ({"url": "http://93.184.215.14/"}, AddressRefused),
        ({"organisation_id": uuid4()}, NotFound),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(ada: Person, change, refusal):
    asked = {"organisation_id": ada.organisation.pk, "name": "x", "url": "https://93.184.215.14/"}
    with pytest.raises(refusal):
        services.make_webhook(user=ada.user, **{**asked, "kinds": ["release"], **change})
    assert not Webhook.objects.exists()


def test_an_organisation_has_a_bounded_number(receiver: Receiver, ada: Person):
    for _ in range(services.MOST_WEBHOOKS):
        webhook, _ = made(ada, receiver)
    with pytest.raises(TooManyWebhooks):
        made(ada, receiver)
    services.remove_webhook(user=ada.user, webhook_id=webhook.pk)
    made(ada, receiver)
    ada.organisation.state = "suspended"
    ada.organisation.save()
    with pytest.raises(NotApproved):
        made(ada, receiver)


ACTS = ("rotate_secret", "disable_webhook", "enable_webhook", "remove_webhook")


@pytest.mark.parametrize("act", ACTS)
def test_they_are_for_those_whose_role_manages_them(
    receiver: Receiver, ada: Person, blaise: Person, act: str
):
    webhook, _ = made(ada, receiver)
    scientist = MembershipFactory(organisation=ada.organisation, role="scientist").user
    with pytest.raises(Forbidden):
        getattr(services, act)(user=scientist, webhook_id=webhook.pk)
    with pytest.raises(NotFound):
        getattr(services, act)(user=blaise.user, webhook_id=webhook.pk)
    assert Webhook.objects.get().state == "active"


def test_a_webhook_that_is_off_replays_nothing(
    receiver: Receiver, ada: Person, federation: Federation
):
    webhook, _ = made(ada, receiver)
    failed(federation)
    deliver_due()
    for _ in range(2):
        services.disable_webhook(user=ada.user, webhook_id=webhook.pk)
    with pytest.raises(WebhookOff):
        services.replay_delivery(user=ada.user, delivery_id=Delivery.objects.get().pk)


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_deliver_each_once(
    receiver: Receiver, ada: Person, federation: Federation
):
    made(ada, receiver)
    for number in range(6):
        failed(federation, run=f"Run {number}")
    at_once(3, deliver_due)
    assert len(receiver.requests) == 6
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 6


def test_the_page_shows_the_secret_once(receiver: Receiver, ada: Person, federation: Federation):
    client, address = browser(ada.user), f"/organisations/{ada.organisation.slug}/webhooks"
    assert "No webhooks yet" in words(client.get(address))
    key = once(client.get(address))
    url = f"http://127.0.0.1:{receiver.port}/"
    body = {"once": key, "name": "Tickets", "url": url, "kinds": ["run_failed", "vote"]}
    assert client.post(address, body).status_code == 302
    assert "whsec_" in words(client.get(address))
    assert "whsec_" not in words(client.get(address))
    webhook = Webhook.objects.get()
    page = f"/webhooks/{webhook.pk}"
    assert "Nothing was sent yet" in words(client.get(page))
    for _ in range(3):
        failed(federation)
    receiver.statuses = [204, 500]
    deliver_due()
    client.get(page)
    with CaptureQueriesContext(connection) as counted:
        text = words(client.get(page))
    assert len(counted) <= 10, [one["sql"][:100] for one in counted]
    assert "Delivered 204" in text
    assert "On its way 500" in text
    delivered = Delivery.objects.get(state="delivered")
    client.post(f"/webhooks/deliveries/{delivered.pk}/replay")
    client.post(f"{page}/rotate")
    assert "whsec_" in words(client.get(page))
    assert "Two secrets sign at present." in words(client.get(page))
    changed = {"name": "Chat", "kinds": ["vote"]}
    for _ in range(2):
        assert client.post(page, changed).status_code == 302
    assert Webhook.objects.get().kinds == ["vote"]
    client.post(f"{page}/disable")
    assert "It is switched off." in words(client.get(page))
    client.post(f"{page}/enable")
    client.post(f"{page}/remove")
    assert client.get(page).status_code == 404


@pytest.mark.parametrize("role", ["scientist", "auditor"])
def test_others_do_not_see_the_page(receiver: Receiver, ada: Person, blaise: Person, role: str):
    webhook, _ = made(ada, receiver)
    member = MembershipFactory(organisation=ada.organisation, role=role).user
    address = f"/organisations/{ada.organisation.slug}/webhooks"
    assert browser(member).get(address).status_code == 403
    assert browser(blaise.user).get(address).status_code == 404
    for user, refused in ((member, 403), (blaise.user, 404)):
        assert browser(user).get(f"/webhooks/{webhook.pk}").status_code == refused
        assert browser(user).post(f"/webhooks/{webhook.pk}/remove").status_code == refused
    assert blaise.api.get("/api/v1/webhooks").json()["results"] == []
    assert blaise.api.delete(f"/api/v1/webhooks/{webhook.pk}").status_code == 404


def test_scripts_do_the_same(receiver: Receiver, ada: Person, federation: Federation):
    body = {
        "organisation": str(ada.organisation.pk),
        "name": "Tickets",
        "url": f"http://127.0.0.1:{receiver.port}/",
        "kinds": ["run_failed"],
    }
    answer = ada.api.post("/api/v1/webhooks", body)
    assert answer.status_code == 201
    assert answer.json()["secret"].startswith("whsec_")
    address = f"/api/v1/webhooks/{answer.json()['id']}"
    assert "secret" not in ada.api.get(address).json()
    assert ada.api.post(f"{address}/rotate").json()["secret"] != answer.json()["secret"]
    failed(federation)
    deliver_due()
    (delivery,) = ada.api.get("/api/v1/webhook-deliveries").json()["results"]
    assert (delivery["state"], delivery["last_status"]) == ("delivered", 204)
    assert delivery["message"] == receiver.requests[0][1]["webhook-id"]
    replayed = ada.api.post(f"/api/v1/webhook-deliveries/{delivery['id']}/replay")
    assert replayed.json()["state"] == "pending"
    assert ada.api.put(address, {"name": "Chat", "kinds": ["vote"]}).json()["kinds"] == ["vote"]
    assert ada.api.post(f"{address}/disable").json()["state"] == "disabled"
    assert ada.api.post(f"{address}/enable").json()["state"] == "active"
    assert ada.api.delete(address).status_code == 204
    assert ada.api.get(address).status_code == 404


def test_scripts_are_refused_addresses_inside(ada: Person):
    body = {"organisation": str(ada.organisation.pk), "name": "x", "kinds": ["vote"]}
    answer = ada.api.post("/api/v1/webhooks", {**body, "url": "https://169.254.169.254/latest"})
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("webhook_address")
