"""Everything that writes accounts' rows; sign-up and sign-in are allauth's."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from hub.accounts.errors import TooManyTokens
from hub.accounts.models import ApiToken, Scope, User
from hub.common import text
from hub.common.errors import Invalid, NotFound

MOST_TOKENS = 50
LONGEST_DAYS = 365


def rename_person(*, user: User, name: str) -> None:
    """Call the person so from now on; what is on record keeps the name of its time."""
    user.name = text.line(name, least=1, most=120)
    user.save(update_fields=["name"])


@transaction.atomic
def issue_token(*, user: User, name: str, days: int | None, scope: str) -> tuple[ApiToken, str]:
    """Make a token that lives for `days`, or until it is revoked; its text is known only now.

    Raises:
        Invalid: name, days or scope cannot be.
        TooManyTokens: the person has 50 already.
    """
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise Invalid(f"A token lives between 1 and {LONGEST_DAYS} days.")
    if scope not in Scope:
        raise Invalid(f"{scope} is no scope of tokens.")
    name = text.line(name, least=1, most=80)
    held = User.objects.select_for_update().get(pk=user.pk)
    if held.auth_token_set.count() >= MOST_TOKENS:
        raise TooManyTokens(f"Revoke one of your {MOST_TOKENS} tokens first.")
    expiry = None if days is None else timedelta(days=days)
    token, secret = ApiToken.objects.create(user=held, expiry=expiry, name=name, scope=scope)
    return token, secret


@transaction.atomic
def revoke_token(*, user: User, token_id: str) -> None:
    """Delete the person's token that begins with `token_id`; acts on the next request.

    Raises:
        NotFound: the person has no such token, or no longer.
    """
    deleted, _ = ApiToken.objects.filter(user=user, token_key=token_id).delete()
    if not deleted:
        raise NotFound("no such token")
