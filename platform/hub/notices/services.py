"""What people do with their notices. Each may be done twice."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.core import signing
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common.errors import Invalid, NotFound
from hub.notices.errors import LinkUnreadable
from hub.notices.kinds import BY_NAME
from hub.notices.models import Channel, Notice, NoticeSettings
from hub.notices.selectors import inbox_of

SALT = "hub.notices.unsubscribe"


def open_notice(*, user: User, notice_id: UUID) -> str:
    """Where it leads; it is read now. Raises NotFound."""
    found = _own(user, notice_id)
    _read(Notice.objects.filter(pk=found.pk))
    return found.url


def mark_read(*, user: User, notice_id: UUID) -> Notice:
    """Raises NotFound."""
    found = _own(user, notice_id)
    _read(Notice.objects.filter(pk=found.pk))
    found.refresh_from_db(fields=["read_at"])
    return found


def mark_all_read(*, user: User) -> int:
    """Everything the person was told so far; returns how many."""
    return _read(Notice.objects.filter(user=user))


@transaction.atomic
def save_settings(
    *, user: User, channels: Mapping[str, str], digest_hour: int | None = None
) -> NoticeSettings:
    """Have the person told so from now on; what is not named stays.

    Raises:
        Invalid: there is no such kind, way or hour.
    """
    if unknown := sorted(set(channels) - set(BY_NAME)):
        raise Invalid(f"There is no kind {unknown[0]!r}.")
    if wrong := sorted(set(channels.values()) - set(Channel.values)):
        raise Invalid(f"{wrong[0]!r} is no way to be told; there are {', '.join(Channel.values)}.")
    if digest_hour is not None and not 0 <= digest_hour < 24:  # noqa: PLR2004
        raise Invalid(_("An hour is 0 to 23."))
    held = _settings(user)
    held.channels = {**held.channels, **channels}
    if digest_hour is not None:
        held.digest_hour = digest_hour
    held.save()
    return held


def unsubscribe_token(*, user: User, kinds: list[str]) -> str:
    """What the link in a letter carries: who, and which kinds; signed, and good for ever."""
    return signing.dumps([str(user.pk), sorted(kinds)], salt=SALT)


def kinds_in(token: str) -> tuple[UUID, list[str]]:
    """Whom a link unsubscribes, and from what. Raises LinkUnreadable."""
    try:
        user_id, kinds = signing.loads(token, salt=SALT)
        return UUID(user_id), [str(name) for name in kinds]
    except (signing.BadSignature, ValueError, TypeError) as broken:
        raise LinkUnreadable(_("Take the link from the mail, all of it.")) from broken


@transaction.atomic
def unsubscribe(*, token: str) -> list[str]:
    """Send the kinds of a letter to the inbox only; what waits to be sent is not sent.

    Raises:
        LinkUnreadable: it is not a link of ours, or the account is gone.
    """
    user_id, kinds = kinds_in(token)
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise LinkUnreadable(_("The account is gone, and nothing is sent there."))
    named = [name for name in kinds if name in BY_NAME]
    save_settings(user=user, channels=dict.fromkeys(named, Channel.INBOX))
    Notice.objects.filter(user=user, kind__in=named, mail__isnull=True).update(
        channel=Channel.INBOX
    )
    return named


def _own(user: User, notice_id: UUID) -> Notice:
    found = inbox_of(user).filter(pk=notice_id).first()
    if found is None:
        raise NotFound("no such notice")
    return found


def _read(notices: QuerySet[Notice]) -> int:
    return notices.filter(read_at__isnull=True).update(read_at=timezone.now())


def _settings(user: User) -> NoticeSettings:
    NoticeSettings.objects.bulk_create([NoticeSettings(user=user)], ignore_conflicts=True)
    return NoticeSettings.objects.select_for_update().get(user=user)
