"""E-mail address and password, for one thing only: the first token of a script."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BasicAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from hub.accounts import selectors
from hub.accounts.errors import SecondFactorNeeded
from hub.accounts.factors import has_second_factor
from hub.accounts.models import User
from hub.common.api.limits import Limit, address_of
from hub.common.errors import SecondFactorRequired


class PasswordAuthentication(BasicAuthentication):
    """HTTP Basic with e-mail address and password; every try counts, right ones too."""

    www_authenticate_realm = "Foedus"
    limit = Limit("token")

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | None = None
    ) -> tuple[User, None]:
        assert request is not None
        self.limit.spend(f"address {address_of(request)}")
        self.limit.spend(f"account {userid.strip().lower()}")
        user = selectors.person_by_password(email=userid, password=password)
        if user is None:
            raise AuthenticationFailed("Address or password is wrong.")
        if has_second_factor(user):
            raise SecondFactorNeeded("Sign in and make the token on your profile.")
        if user.owes_second_factor:
            raise SecondFactorRequired("Sign in and set one up first.")
        return user, None


class PasswordScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "hub.accounts.api.authentication.PasswordAuthentication"
    name = "password"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        about = "E-mail address and password; for accounts without a second factor."
        return {"type": "http", "scheme": "basic", "description": about}
