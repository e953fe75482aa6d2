"""Mails to people who are not members yet: written with what causes them, sent by a job.

A letter that could not be sent is sent by the next housekeeping, for two days.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import get_language

from hub.accounts.selectors import language_of
from hub.common.errors import NotFound
from hub.common.languages import spoken_to
from hub.dispatch import Job, enqueue
from hub.organisations.letters import mail_of
from hub.organisations.models import Letter, LetterKind

TRIED_FOR = timedelta(days=2)
KEPT = timedelta(days=30)
PATIENCE = timedelta(minutes=5)  # a job has so long before another asks again
BATCH = 200


def post(kind: LetterKind, *, email: str, about: UUID | None = None, number: int = 0) -> None:
    """Write a letter in the caller's transaction; it is sent after the commit."""
    language = get_language() or ""
    letter = Letter.objects.create(
        kind=kind, email=email, about=about, number=number, language=language
    )
    enqueue(Job.SEND_LETTER, str(letter.pk))


def send_letter(*, letter_id: UUID) -> None:
    """Send a letter, unless it has been; one about what is no longer so is not sent.

    A process that dies between the sending and the record of it sends once more, with the same
    link in it.

    Raises:
        NotFound: no such letter.
        OSError, SMTPException: the mail server does not take it now.
    """
    letter = Letter.objects.filter(pk=letter_id).first()
    if letter is None:
        raise NotFound("no such letter")
    if letter.sent_at is not None:
        return
    with spoken_to(language_of(letter.email) or letter.language):
        mail = mail_of(letter)
    if mail is not None:
        mail.send()
    Letter.objects.filter(pk=letter.pk).update(sent_at=timezone.now())


def sweep_letters() -> None:
    """Ask again for letters that were not sent, and let go of those that were long ago."""
    now = timezone.now()
    Letter.objects.filter(created_at__lt=now - KEPT).delete()
    waiting = Letter.objects.filter(
        sent_at__isnull=True, created_at__lt=now - PATIENCE, created_at__gt=now - TRIED_FOR
    ).order_by("created_at")
    with transaction.atomic():
        for letter in waiting[:BATCH]:
            enqueue(Job.SEND_LETTER, str(letter.pk))
