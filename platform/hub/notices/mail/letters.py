"""What a letter says: subject, text and simple HTML, and the headers that stop it.

Names of organisations, federations and runs, as the inbox shows them; no addresses of others.
"""

from __future__ import annotations

from collections.abc import Sequence

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hub.accounts.models import User
from hub.notices.models import Mail
from hub.notices.selectors import Item, inbox_of, items
from hub.notices.services import unsubscribe_token

MOST_NOTICES = 50  # in one letter; the inbox has the others
LONGEST_SUBJECT = 120


def has_confirmed_address(user: User) -> bool:
    return confirmed_address(user) is not None


def confirmed_address(user: User) -> str | None:
    """Where letters may go: an address that the person has confirmed is theirs."""
    held = EmailAddress.objects.filter(user=user, verified=True)
    found = held.order_by("-primary", "pk").values_list("email", flat=True).first()
    return str(found) if found else None


def letter_of(mail: Mail) -> EmailMultiAlternatives | None:
    """The letter as it is sent; None where nothing is left to say, or nowhere to send it.

    What was read or settled meanwhile is left out, and so is what the person may not see any more.
    """
    address = confirmed_address(mail.user)
    unread = inbox_of(mail.user).filter(mail=mail, read_at__isnull=True)
    held = items(unread[: MOST_NOTICES + 1])
    if address is None or not held or not mail.user.is_active:
        return None
    return _written(mail, held, address)


def _written(mail: Mail, held: Sequence[Item], address: str) -> EmailMultiAlternatives:
    kinds = sorted({item.notice.kind for item in held})
    token = unsubscribe_token(user=mail.user, kinds=kinds)
    stop = settings.PUBLIC_URL + reverse("notices:unsubscribe", args=[token])
    context = {
        "hub": settings.PUBLIC_URL,
        "person": str(mail.user),
        "items": held[:MOST_NOTICES],
        "is_cut": len(held) > MOST_NOTICES,
        "is_digest": mail.is_digest,
        "labels": sorted({item.label for item in held}),
        "inbox": settings.PUBLIC_URL + reverse("notices:inbox"),
        "settings": settings.PUBLIC_URL + reverse("notices:settings"),
        "unsubscribe": stop,
    }
    letter = EmailMultiAlternatives(
        subject=_subject(mail, held),
        body=render_to_string("notices/mail/letter.txt", context),
        to=[address],
        headers={
            "Message-ID": f"<notice-{mail.pk}@{_domain()}>",
            "List-Unsubscribe": f"<{stop}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        },
    )
    letter.attach_alternative(render_to_string("notices/mail/letter.html", context), "text/html")
    return letter


def _subject(mail: Mail, held: Sequence[Item]) -> str:
    prefix = settings.ACCOUNT_EMAIL_SUBJECT_PREFIX
    if mail.is_digest:
        count = sum(item.notice.count for item in held)
        said = ngettext("%(count)s thing that happened", "%(count)s things that happened", count)
        return prefix + said % {"count": count}
    if len(held) > 1:
        return prefix + _("%(count)s notices") % {"count": len(held)}
    return (prefix + " ".join(held[0].sentence.split()).rstrip("."))[:LONGEST_SUBJECT]


def _domain() -> str:
    """Of the sender, for Message-IDs."""
    address = settings.DEFAULT_FROM_EMAIL.rpartition("<")[2].rstrip(">")
    return str(address.rpartition("@")[2] or "localhost")
