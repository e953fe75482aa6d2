"""Webhooks: who may have them, on their pages and by the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hub.common.errors import Forbidden, Invalid, NotFound
from hub.federations.models import Federation
from hub.notices.errors import AddressRefused, TooManyWebhooks, WebhookOff
from hub.notices.hooks import services
from hub.notices.hooks.delivering import deliver_due
from hub.notices.models import Delivery, Webhook
from hub.organisations.errors import NotApproved
from tests.conftest import Person
from tests.factories.organisations import MembershipFactory
from tests.hub.notices.hooking import Receiver, failed, made, receiving
from tests.pages import browser, once, words

pytestmark = pytest.mark.django_db


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    with receiving() as found:
        yield found


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
