"""What each role may do, as a table to show: a row for each permission, by resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hub.organisations.models import CustomRole
from hub.organisations.permissions import GIVEN_ROLES, ROLES, Permission


@dataclass(frozen=True, slots=True)
class Column:
    """A role that can be given; `own` where it is the organisation's."""

    label: str
    permissions: frozenset[str]
    own: CustomRole | None = None


@dataclass(frozen=True, slots=True)
class Row:
    permission: Permission
    columns: Sequence[tuple[str, bool]]  # each role's label, and whether it may


def columns(own: Iterable[CustomRole] = ()) -> list[Column]:
    """First the roles that every organisation has."""
    given = [Column(str(label), ROLES[role]) for role, label in GIVEN_ROLES]
    return given + [Column(role.name, frozenset(role.permissions), role) for role in own]


def matrix(shown: Sequence[Column]) -> Mapping[str, Sequence[Row]]:
    """By resource, as «people»."""
    found: dict[str, list[Row]] = {}
    for permission in Permission:
        may = [(column.label, permission in column.permissions) for column in shown]
        resource = permission.value.partition(".")[0]
        found.setdefault(resource, []).append(Row(permission, may))
    return found
