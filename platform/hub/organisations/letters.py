"""What our mails say. Plain text; links lead to PUBLIC_URL.

A mail to an address that nobody has confirmed says nothing that a stranger could have typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from hub.common.models import Event
from hub.organisations.models import (
    Invitation,
    InvitationState,
    Letter,
    LetterKind,
    Organisation,
    OrganisationState,
    Registration,
)
from hub.organisations.seals import secret_of


def mail_of(letter: Letter) -> EmailMessage | None:
    """The letter as a mail; None where what it is about has passed."""
    if letter.kind == LetterKind.KNOWN or letter.about is None:
        link = at_hub(reverse("organisations:register"))
        return _mail(letter, _("Your organisation on Foedus"), {"link": link})
    return WRITERS[LetterKind(letter.kind)](letter, letter.about)


def _confirm(letter: Letter, about: UUID) -> EmailMessage | None:
    found = Registration.objects.filter(pk=about).first()
    if found is None:
        return None
    link = at_hub(reverse("organisations:confirm", args=[secret_of(found.pk)]))
    context = {"link": link, "expires_at": found.expires_at}
    return _mail(letter, _("Confirm your registration"), context)


def _invitation(letter: Letter, about: UUID) -> EmailMessage | None:
    held = Invitation.objects.select_related(
        "organisation", "federation", "invited_by", "custom_role"
    )
    found = held.filter(pk=about, state=InvitationState.OPEN, letters=letter.number).first()
    if found is None:
        return None
    secret = secret_of(found.pk, letter.number)
    link = at_hub(reverse("organisations:invitation-by-link", args=[secret]))
    return _mail(letter, subject_of(found), {"invitation": found, "link": link})


def subject_of(invitation: Invitation) -> str:
    if invitation.federation is not None:
        return _("Invitation into %(name)s") % {"name": invitation.federation.name}
    if invitation.organisation is not None:
        return _("Invitation to %(name)s") % {"name": invitation.organisation.name}
    return _("Invitation to Foedus")


def _decision(letter: Letter, about: UUID) -> EmailMessage | None:
    found = Organisation.objects.filter(pk=about).first()
    if found is None or found.state not in {OrganisationState.APPROVED, OrganisationState.REFUSED}:
        return None
    decided = Event.objects.filter(subject_id=found.pk, to_state=found.state).order_by("-pk")
    event = decided.exclude(from_state="").first()
    context = {
        "organisation": found,
        "reason": event.reason if event else "",
        "link": at_hub(reverse("organisations:detail", args=[found.slug])),
    }
    subject = _("%(organisation)s is %(state)s") % {
        "organisation": found.name,
        "state": found.get_state_display(),
    }
    return _mail(letter, subject, context)


WRITERS: Mapping[LetterKind, Callable[[Letter, UUID], EmailMessage | None]] = {
    LetterKind.CONFIRM: _confirm,
    LetterKind.INVITATION: _invitation,
    LetterKind.DECISION: _decision,
}


def _mail(letter: Letter, subject: str, context: dict[str, object]) -> EmailMessage:
    more = {**context, "letter": letter, "hub": settings.PUBLIC_URL}
    # Plain text: what escaping would do to an apostrophe nobody should read.
    body = render_to_string(f"organisations/mail/{letter.kind}.txt", more)
    whole = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX + subject
    return EmailMessage(" ".join(whole.split()), body.strip() + "\n", to=[letter.email])


def at_hub(path: str) -> str:
    return f"{settings.PUBLIC_URL}{path}"
