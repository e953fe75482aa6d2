"""Reads of people and tokens."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from hub.accounts.models import ApiToken, User
from hub.accounts.validators import LONGEST_PASSWORD


def person_of(request: HttpRequest) -> User:
    """Who looks at a page that asks for a sign-in."""
    assert isinstance(request.user, User)
    return request.user


def tokens_of(user: User) -> QuerySet[ApiToken]:
    """The person's tokens, newest first, expired ones too."""
    tokens: QuerySet[ApiToken] = ApiToken.objects.filter(user=user)
    return tokens.order_by("-created")


def language_of(email: str) -> str:
    """What who has this address wants letters to speak; blank if nobody, or whatever it is."""
    theirs = Q(email=email.lower())
    confirmed = Q(emailaddress__email__iexact=email, emailaddress__verified=True)
    found = User.objects.filter(theirs | confirmed).exclude(language="")
    return found.values_list("language", flat=True).first() or ""


def person_by_password(*, email: str, password: str) -> User | None:
    """Who has this address and password; takes the same time whether the address is known."""
    if len(password) > LONGEST_PASSWORD:
        return None
    user = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if user is None:
        make_password(password)
        return None
    return user if user.check_password(password) else None
