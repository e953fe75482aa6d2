"""Webhooks: who may have them, what is delivered, tried again, replayed and switched off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from hub.common.errors import NotFound
from hub.common.models import Event
from hub.federations.models import Federation
from hub.notices.hooks import services
from hub.notices.hooks.delivering import PAUSES, deliver_due, deliveries_are_due
from hub.notices.models import Attempt, Delivery, Notice, Webhook
from hub.notices.telling import tell_news
from tests.conftest import Person
from tests.hub.notices.happening import at_once, happens
from tests.hub.notices.hooking import Receiver, failed, made, receiving

pytestmark = pytest.mark.django_db

DOCS = Path(__file__).parents[3] / "docs" / "notifications.md"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    with receiving() as found:
        yield found


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
