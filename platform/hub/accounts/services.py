"""Everything that writes accounts' rows; sign-up and sign-in are allauth's."""

from __future__ import annotations

from datetime import timedelta

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.errors import TooManyTokens
from hub.accounts.models import ApiToken, Scope, User
from hub.common import text
from hub.common.actors import Actor
from hub.common.errors import Invalid, NotFound
from hub.common.languages import is_spoken
from hub.common.models import Event

MOST_TOKENS = 50
ENDED_KEPT = timedelta(days=30)  # a token that ended is on the list until then
LONGEST_DAYS = 365


def rename_person(*, user: User, name: str) -> None:
    """Call the person so from now on; what is on record keeps the name of its time."""
    user.name = text.line(name, least=1, most=120)
    user.save(update_fields=["name"])


def choose_language(*, user: User, language: str) -> None:
    """Have pages and letters speak it from now on; blank, pages speak the browser's.

    Raises:
        Invalid: the hub does not speak it.
    """
    if language and not is_spoken(language):
        raise Invalid(_("%(language)s is not spoken here.") % {"language": language})
    user.language = language
    user.save(update_fields=["language"])


@transaction.atomic
def issue_token(
    *, user: User, name: str, days: int | None, scope: str, by: ApiToken | None = None
) -> tuple[ApiToken, str]:
    """Make a token that lives for `days`, or until it is revoked; its text is known only now.

    Made with another token (`by`) it ends with that one at the latest. Tokens that ended long
    ago go.

    Raises:
        Invalid: name, days or scope cannot be.
        TooManyTokens: the person has 50 already.
    """
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise Invalid(
            _("A token lives between 1 and %(LONGEST_DAYS)s days.") % {"LONGEST_DAYS": LONGEST_DAYS}
        )
    if scope not in Scope:
        raise Invalid(_("%(scope)s is no scope of tokens.") % {"scope": scope})
    name = text.line(name, least=1, most=80)
    held = User.objects.select_for_update().get(pk=user.pk)
    held.auth_token_set.filter(expiry__lt=timezone.now() - ENDED_KEPT).delete()
    if held.auth_token_set.filter(Q(expiry=None) | Q(expiry__gt=Now())).count() >= MOST_TOKENS:
        raise TooManyTokens(
            _("Revoke one of your %(MOST_TOKENS)s tokens first.") % {"MOST_TOKENS": MOST_TOKENS}
        )
    life = _life(days, by)
    token, secret = ApiToken.objects.create(user=held, expiry=life, name=name, scope=scope)
    _record(user, "token_made", actor=user.actor, token=name, scope=scope)
    return token, secret


def _life(days: int | None, by: ApiToken | None) -> timedelta | None:
    asked = None if days is None else timedelta(days=days)
    left = by.expiry - timezone.now() if by is not None and by.expiry is not None else None
    lives = [life for life in (asked, left) if life is not None]
    return min(lives) if lives else None


@transaction.atomic
def revoke_token(*, user: User, token_id: str) -> None:
    """Delete the person's token that begins with `token_id`; acts on the next request.

    Raises:
        NotFound: the person has no such token, or no longer.
    """
    found = ApiToken.objects.filter(user=user, token_key=token_id).first()
    if found is None:
        raise NotFound("no such token")
    found.delete()
    _record(user, "token_revoked", actor=user.actor, token=found.name)


@transaction.atomic
def remove_second_factor(*, user: User, actor: Actor, reason: str) -> int:
    """Let somebody in who has lost every factor: password or provider alone open the account.

    All their sessions end. Returns how many factors there were; the second time it is none.
    """
    reason = text.line(reason, least=3, most=500)
    removed: int = Authenticator.objects.filter(user=user).delete()[0]
    if removed:
        end_sessions(user)
        _record(user, "factors_removed", actor=actor, reason=reason, person=str(user))
    return removed


def record_made(*, user: User, actor: Actor) -> None:
    """An operator has made an account for somebody."""
    _record(user, "made", actor=actor, person=str(user))


def end_sessions(user: User) -> None:
    """Sign the person out everywhere."""
    for session in UserSession.objects.filter(user=user):
        session.end()


def _record(user: User, what: str, *, actor: Actor, reason: str = "", **data: str) -> None:
    Event.objects.create(
        kind=f"person.{what}",
        subject_id=user.pk,
        reason=reason,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label,
        data=data,
    )
