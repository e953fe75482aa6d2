"""Refusals of the domain. Each has a stable code; `docs/problems.md` has a section for each."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext_noop as _noop


class DomainError(Exception):
    """A refusal that somebody can act on: status says who, code says what, detail says why."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "conflict"
    title: ClassVar[str] = _noop("The request conflicts with the present state.")

    def __init__(self, detail: str, *, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.extra = extra  # further members of the problem document (RFC 9457, section 3.2)


# What it means that the database refuses a commit, by the name of the constraint.
AT_COMMIT: dict[str, DomainError] = {}


class IllegalTransition(DomainError):
    code = "illegal_transition"
    title = _noop("This step is not possible from the present state.")


class NotFound(DomainError):
    status = 404
    code = "not_found"
    title = _noop("There is no such thing, or it is not yours to see.")


class Forbidden(DomainError):
    status = 403
    code = "forbidden"
    title = _noop("Your role does not allow this.")


class SecondFactorRequired(DomainError):
    status = 403
    code = "second_factor_required"
    title = _noop("This account needs a second factor first.")


class TokenScope(DomainError):
    status = 403
    code = "token_scope"
    title = _noop("This token may read only.")


class Invalid(DomainError):
    status = 422
    code = "invalid"
    title = _noop("The request is well-formed but cannot be right.")


class KeyReused(DomainError):
    status = 422
    code = "idempotency_key_reused"
    title = _noop("This Idempotency-Key was used for something else.")


class KeyMissing(DomainError):
    status = 428
    code = "idempotency_key_missing"
    title = _noop("This request needs an Idempotency-Key header.")


class DependencyDown(DomainError):
    status = 503
    code = "dependency_down"
    title = _noop("A service that this needs does not answer.")


class Maintenance(DomainError):
    status = 503
    code = "maintenance"
    title = _noop("The hub is being worked on, and takes nothing in.")


class StorageFull(DomainError):
    status = 507
    code = "storage_full"
    title = _noop("There is no room to store this.")
