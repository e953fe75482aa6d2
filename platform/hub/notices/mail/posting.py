"""Sending letters through the SMTP server of the settings, one after the other.

A letter is claimed, sent, and then recorded. Between the last two a worker may be killed, and
nothing can make the mail server and the database one: we would rather send a letter twice than
never. It goes again under the same Message-ID, so that mail programs can show it once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from smtplib import (
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
)
from uuid import UUID

from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from hub.common.languages import spoken_to
from hub.notices.mail.letters import letter_of
from hub.notices.models import Mail, MailState

logger = logging.getLogger(__name__)

CLAIM = timedelta(minutes=10)
PAUSES: Sequence[int] = (30, 120, 600, 1800, 3600, 7200, 14400)  # seconds; then the last again
TRIED_FOR = timedelta(days=2)
AWAY = timedelta(minutes=1)  # nothing is tried for so long after the server did not answer
KEPT = timedelta(days=90)
PERMANENT = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    state: MailState
    words: str  # what the server said; never whom it was about
    is_away: bool = False  # nobody answers: the others need not be tried now


def letters_are_due() -> bool:
    return _due().exists()


def post_letters(*, seconds: float = 60.0) -> int:
    """Send what is due, for at most about so long; returns how many were sent."""
    until, sent = time.monotonic() + seconds, 0
    connection = get_connection()
    try:
        while time.monotonic() < until and (mail := _claim()) is not None:
            outcome = _posted(mail, connection)
            _record(mail, outcome)
            sent += outcome.state == MailState.SENT
            if outcome.is_away:
                _due().update(next_at=timezone.now() + AWAY)
                break
    finally:
        _close(connection)
    return sent


def forget_letters() -> None:
    """Let go of letters that ended long ago; the notices stay."""
    Mail.objects.filter(created_at__lt=timezone.now() - KEPT).exclude(
        state=MailState.QUEUED
    ).delete()


def _due() -> QuerySet[Mail]:
    now = timezone.now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    return Mail.objects.filter(free, state=MailState.QUEUED, next_at__lte=now)


@transaction.atomic
def _claim() -> Mail | None:
    held = _due().select_for_update(of=("self",), skip_locked=True).select_related("user")
    mail = held.order_by("next_at", "pk").first()
    if mail is not None:
        mail.attempts, mail.claimed_until = mail.attempts + 1, timezone.now() + CLAIM
        mail.save(update_fields=["attempts", "claimed_until"])
    return mail


def _posted(mail: Mail, connection: BaseEmailBackend) -> Outcome:
    with spoken_to(mail.user.language):
        letter = letter_of(mail)
    if letter is None:
        return Outcome(MailState.DROPPED, "nothing is left to say, or no address is confirmed")
    try:
        connection.open()
    except (SMTPException, OSError) as away:
        return Outcome(MailState.QUEUED, _words(away), is_away=True)
    return _sent(letter, connection)


def _sent(letter: EmailMultiAlternatives, connection: BaseEmailBackend) -> Outcome:
    letter.connection = connection
    try:
        letter.send()
    except SMTPRecipientsRefused as refused:
        return _refused(max(code for code, _ in refused.recipients.values()))
    except (SMTPSenderRefused, SMTPDataError) as refused:
        return _refused(refused.smtp_code)
    except (SMTPException, OSError) as broken:
        _close(connection)
        return Outcome(MailState.QUEUED, _words(broken), is_away=True)
    return Outcome(MailState.SENT, "")


def _refused(code: int) -> Outcome:
    state = MailState.FAILED if code >= PERMANENT else MailState.QUEUED
    return Outcome(state, f"the mail server answered {code}")


def _words(error: Exception) -> str:
    return f"the mail server does not answer: {type(error).__name__}"


def _record(mail: Mail, outcome: Outcome) -> None:
    """What became of it; who has lost the claim meanwhile changes nothing."""
    now = timezone.now()
    state, words = outcome.state, outcome.words
    if state == MailState.QUEUED and now - mail.created_at > TRIED_FOR:
        state, words = MailState.FAILED, f"given up: {words}"
    pause = timedelta(seconds=PAUSES[min(mail.attempts, len(PAUSES)) - 1])
    _of(mail.pk, mail.attempts).update(
        state=state,
        outcome=words[:200],
        claimed_until=None,
        next_at=now + pause if state == MailState.QUEUED else F("next_at"),
        ended_at=None if state == MailState.QUEUED else now,
    )
    if state != MailState.SENT:
        logger.warning("letter", extra={"mail": str(mail.pk), "state": state, "cause": words})


def _of(mail_id: UUID, attempt: int) -> QuerySet[Mail]:
    return Mail.objects.filter(pk=mail_id, attempts=attempt, state=MailState.QUEUED)


def _close(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except (SMTPException, OSError):
        logger.info("the mail server had gone")
