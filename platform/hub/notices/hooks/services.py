"""What people do with webhooks of their organisation. The secret is shown once and lies sealed."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.sealing import sealed
from hub.common import text
from hub.common.errors import Invalid, NotFound
from hub.notices.errors import TooManyWebhooks, WebhookOff
from hub.notices.hooks.addresses import target_of
from hub.notices.hooks.messages import seal_of
from hub.notices.kinds import OFFERED
from hub.notices.models import Delivery, DeliveryState, Webhook, WebhookState
from hub.organisations.errors import NotApproved
from hub.organisations.models import Organisation, OrganisationState
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission

MOST_WEBHOOKS = 10
OVERLAP = timedelta(hours=24)  # both secrets sign
SECRET_BYTES = 32


def make_webhook(
    *, user: User, organisation_id: UUID, name: str, url: str, kinds: Sequence[str]
) -> tuple[Webhook, str]:
    """Have another system told; returns the webhook and its secret, which nobody can show again.

    Raises:
        NotFound, Forbidden: the organisation is not the user's, or their role does not allow it.
        NotApproved: an operator has not let the organisation in, or has stopped it.
        AddressRefused: the address is not one of the public internet, or not by https.
        Invalid, UnfitText: kinds or name make no sense.
        TooManyWebhooks: there are as many as there may be.
    """
    require_permission(user, organisation_id, Permission.MANAGE_WEBHOOKS)
    chosen = _checked(kinds)
    name = text.line(name, most=80)
    target_of(url)  # before any lock: names may take seconds
    with transaction.atomic():
        organisation = Organisation.objects.select_for_update().get(pk=organisation_id)
        _require_room(organisation)
        secret = _new_secret()
        webhook = Webhook(
            id=uuid4(), organisation=organisation, name=name, url=url, kinds=chosen, made_by=user
        )
        webhook.sealed_secret = sealed(secret.encode(), name=seal_of(webhook))
        webhook.save()
        webhook.record("made", actor=user.actor, data={"name": name})
    return webhook, secret


@transaction.atomic
def change_webhook(*, user: User, webhook_id: UUID, name: str, kinds: Sequence[str]) -> Webhook:
    """Give it another name, or tell it other things. For another address make another one.

    Raises:
        NotFound, Forbidden: it is not the user's, or their role does not allow it.
        Invalid, UnfitText: kinds or name make no sense.
    """
    webhook = _held(user, webhook_id)
    name, chosen = text.line(name, most=80), _checked(kinds)
    if (name, chosen) != (webhook.name, webhook.kinds):
        webhook.name, webhook.kinds = name, chosen
        webhook.save(update_fields=["name", "kinds"])
        webhook.record("changed", actor=user.actor, data={"name": webhook.name})
    return webhook


@transaction.atomic
def rotate_secret(*, user: User, webhook_id: UUID) -> tuple[Webhook, str]:
    """A new secret; for a day the present one signs as well.

    Raises:
        NotFound, Forbidden: it is not the user's, or their role does not allow it.
    """
    webhook = _held(user, webhook_id)
    secret = _new_secret()
    webhook.former_secret, webhook.former_until = webhook.sealed_secret, timezone.now() + OVERLAP
    webhook.sealed_secret = sealed(secret.encode(), name=seal_of(webhook))
    webhook.save(update_fields=["former_secret", "former_until", "sealed_secret"])
    webhook.record("secret_rotated", actor=user.actor, data={"name": webhook.name})
    return webhook, secret


@transaction.atomic
def disable_webhook(*, user: User, webhook_id: UUID) -> Webhook:
    """Tell it nothing more; what waits is kept. Twice is once. Raises NotFound, Forbidden."""
    webhook = _held(user, webhook_id)
    if webhook.state == WebhookState.ACTIVE:
        reason = f"by {user}"
        data = {"name": webhook.name}
        webhook.move_to(WebhookState.DISABLED, actor=user.actor, reason=reason, data=data)
    return webhook


@transaction.atomic
def enable_webhook(*, user: User, webhook_id: UUID) -> Webhook:
    """Tell it again, with what has waited. Twice is once. Raises NotFound, Forbidden."""
    webhook = _held(user, webhook_id)
    if webhook.state == WebhookState.DISABLED:
        webhook.move_to(
            WebhookState.ACTIVE,
            actor=user.actor,
            data={"name": webhook.name},
            failures=0,
            failing_since=None,
            resting_until=None,
        )
    return webhook


@transaction.atomic
def remove_webhook(*, user: User, webhook_id: UUID) -> None:
    """For good: secrets and deliveries go. Raises NotFound, Forbidden; NotFound the second time."""
    webhook = _held(user, webhook_id)
    webhook.move_to(
        WebhookState.REMOVED,
        actor=user.actor,
        data={"name": webhook.name},
        sealed_secret=b"",
        former_secret=b"",
        former_until=None,
    )
    webhook.deliveries.all().delete()


@transaction.atomic
def replay_delivery(*, user: User, delivery_id: UUID) -> Delivery:
    """Send it once more, as the same message; one that is on its way stays so.

    Raises:
        NotFound, Forbidden: it is not the user's, or their role does not allow it.
        WebhookOff: the webhook is switched off.
    """
    found = Delivery.objects.filter(pk=delivery_id).values_list("webhook_id", flat=True).first()
    if found is None:
        raise NotFound("no such delivery")
    webhook = _held(user, found)
    if webhook.state != WebhookState.ACTIVE:
        raise WebhookOff(_("Switch it on first."))
    delivery = Delivery.objects.select_for_update().get(pk=delivery_id)
    if delivery.state != DeliveryState.PENDING:
        delivery.state, delivery.ended_at = DeliveryState.PENDING, None
        delivery.attempts, delivery.next_at = 0, timezone.now()
        delivery.save(update_fields=["state", "ended_at", "attempts", "next_at"])
    return delivery


def _held(user: User, webhook_id: UUID) -> Webhook:
    webhook = Webhook.objects.select_for_update().filter(pk=webhook_id).first()
    if webhook is None or webhook.state == WebhookState.REMOVED:
        raise NotFound("no such webhook")
    require_permission(user, webhook.organisation_id, Permission.MANAGE_WEBHOOKS)
    return webhook


def _require_room(organisation: Organisation) -> None:
    if organisation.state != OrganisationState.APPROVED:
        raise NotApproved(
            _("%(organisation)s is %(state)s.")
            % {"organisation": organisation, "state": organisation.get_state_display()}
        )
    if organisation.webhooks.exclude(state=WebhookState.REMOVED).count() >= MOST_WEBHOOKS:
        raise TooManyWebhooks(
            _("There are %(MOST_WEBHOOKS)s; remove one first.") % {"MOST_WEBHOOKS": MOST_WEBHOOKS}
        )


def _checked(kinds: Sequence[str]) -> list[str]:
    offered = [kind.name for kind in OFFERED]
    if unknown := sorted(set(kinds) - set(offered)):
        raise Invalid(f"{unknown[0]!r} is nothing that webhooks are told.")
    if not kinds:
        raise Invalid(_("Choose at least one kind."))
    return [name for name in offered if name in kinds]


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
