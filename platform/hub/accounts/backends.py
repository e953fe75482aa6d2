"""How a session and a password become a person."""

from __future__ import annotations

from uuid import UUID

from allauth.account.auth_backends import AuthenticationBackend

from hub.accounts.models import User


class PeopleBackend(AuthenticationBackend):  # type: ignore[misc]  # allauth has no types
    """allauth's, which reads with the person whether they owe a second factor."""

    def get_user(self, user_id: UUID) -> User | None:
        user = User.objects.with_dues().filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
