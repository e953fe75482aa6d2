"""Where what an event tells is seen or done: paths on this hub."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse

from hub.common.models import Event
from hub.federations.models import Federation
from hub.organisations.models import Organisation
from hub.runs.models import Update

INBOX = "notices:inbox"


def to_run(event: Event) -> str:
    return reverse("runs:detail", args=[event.run_id]) if event.run_id else reverse(INBOX)


def to_held(event: Event) -> str:
    """The round that the update came to."""
    found = Update.objects.filter(pk=event.subject_id).values_list("round_id", flat=True).first()
    return reverse("runs:round", args=[found]) if found else to_run(event)


def to_version(event: Event) -> str:
    return reverse("catalogue:version", args=[event.subject_id])


def to_agent(event: Event) -> str:
    return reverse("organisations:agent", args=[event.subject_id])


def to_federation(event: Event) -> str:
    slug = _slug(event.federation_id)
    return reverse("federations:detail", args=[slug]) if slug else reverse(INBOX)


def to_requests(event: Event) -> str:
    return f"{to_federation(event)}#requests"


def to_case(event: Event) -> str:
    slug = _slug(event.federation_id)
    if slug is None:
        return reverse(INBOX)
    return reverse("contributions:case", args=[slug, event.subject_id])


def to_organisation(event: Event) -> str:
    slug = _slug_of_organisation(event.organisation_id)
    return reverse("organisations:detail", args=[slug]) if slug else reverse(INBOX)


def to_webhooks(event: Event) -> str:
    slug = _slug_of_organisation(event.organisation_id)
    return reverse("notices:webhooks", args=[slug]) if slug else reverse(INBOX)


def to_registration(event: Event) -> str:
    return reverse("admin:organisations_organisation_change", args=[event.subject_id])


def to_tokens(_event: Event) -> str:
    return reverse("accounts:tokens")


def to_proposal(event: Event) -> str:
    return reverse("federations:proposal", args=[event.subject_id])


def to_charter(event: Event) -> str:
    slug = _slug(event.federation_id)
    return reverse("federations:charter", args=[slug]) if slug else reverse(INBOX)


def to_invitation(event: Event) -> str:
    return reverse("organisations:invitation", args=[event.subject_id])


def _slug(federation_id: UUID | None) -> str | None:
    if federation_id is None:
        return None
    return Federation.objects.filter(pk=federation_id).values_list("slug", flat=True).first()


def _slug_of_organisation(organisation_id: UUID | None) -> str | None:
    if organisation_id is None:
        return None
    return Organisation.objects.filter(pk=organisation_id).values_list("slug", flat=True).first()
