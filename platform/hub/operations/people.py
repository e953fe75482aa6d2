"""What operators do about people: each act asks why, is on record, and done twice is done once."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from hub.accounts import services as accounts
from hub.accounts.models import ApiToken, User
from hub.common.actors import Actor
from hub.common.errors import Invalid, NotFound
from hub.common.models import Event


@transaction.atomic
def sign_out(*, user_id: UUID, actor: Actor, reason: str, tokens: bool = False) -> None:
    """End all sessions of a person; with `tokens`, nothing that they gave to programs works."""
    user = _locked(user_id)
    accounts.end_sessions(user)
    revoked = ApiToken.objects.filter(user=user).delete()[0] if tokens else 0
    record(user, "signed_out", actor=actor, reason=reason, tokens=revoked)


@transaction.atomic
def suspend(*, user_id: UUID, actor: Actor, reason: str) -> None:
    """Let a person in no more, nor their tokens; what they did stays under their name.

    Raises:
        Invalid: nobody suspends themselves.
    """
    user = _somebody_else(user_id, actor)
    if user.is_active:
        user.is_active = False
        user.save(update_fields=["is_active"])
        accounts.end_sessions(user)
        record(user, "suspended", actor=actor, reason=reason)


@transaction.atomic
def reinstate(*, user_id: UUID, actor: Actor, reason: str) -> None:
    """Let a suspended person in again; their tokens work again, too."""
    user = _locked(user_id)
    if not user.is_active:
        user.is_active = True
        user.save(update_fields=["is_active"])
        record(user, "reinstated", actor=actor, reason=reason)


@transaction.atomic
def clear_second_factor(*, user_id: UUID, actor: Actor, reason: str) -> None:
    """For who has lost every factor: the password alone opens the account until the next is set up.

    Raises:
        Invalid: nobody clears their own here.
    """
    user = _somebody_else(user_id, actor)
    accounts.remove_second_factor(user=user, actor=actor, reason=reason)


@transaction.atomic
def appoint(*, user_id: UUID, actor: Actor, reason: str) -> None:
    """Make a person an operator."""
    _set_operator(_locked(user_id), is_one=True, actor=actor, reason=reason)


@transaction.atomic
def dismiss(*, user_id: UUID, actor: Actor, reason: str) -> None:
    """Let a person be an operator no more. There is always one left: who does this.

    Raises:
        Invalid: nobody dismisses themselves.
    """
    _set_operator(_somebody_else(user_id, actor), is_one=False, actor=actor, reason=reason)


def _set_operator(user: User, *, is_one: bool, actor: Actor, reason: str) -> None:
    if user.is_staff != is_one:
        user.is_staff = is_one
        user.save(update_fields=["is_staff"])
        what = "appointed" if is_one else "dismissed"
        record(user, what, actor=actor, reason=reason)


def record(user: User, what: str, *, actor: Actor, reason: str, **data: object) -> Event:
    return Event.objects.create(
        kind=f"person.{what}",
        subject_id=user.pk,
        reason=reason[:500],
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label[:200],
        data={"person": str(user), **data},
    )


def _somebody_else(user_id: UUID, actor: Actor) -> User:
    if user_id == actor.id:
        raise Invalid("Another operator has to do that.")
    return _locked(user_id)


def _locked(user_id: UUID) -> User:
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound("no such person")
    return user
