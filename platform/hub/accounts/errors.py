"""The refusals of accounts."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _noop

from hub.common.errors import DomainError, Forbidden


class SecondFactorNeeded(Forbidden):
    code = "second_factor_needed"
    title = _noop("This account has a second factor: make the token in the browser.")


class ReauthenticationNeeded(Forbidden):
    code = "reauthentication_needed"
    title = _noop("This needs a sign-in of just now.")


class TooManyTokens(DomainError):
    code = "too_many_tokens"
    title = _noop("This account has as many tokens as it may have.")
