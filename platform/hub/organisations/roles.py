"""What each role may do, as a table to show: a row for each permission, by resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub.organisations.permissions import GIVEN_ROLES, ROLES, Permission


@dataclass(frozen=True, slots=True)
class Row:
    permission: Permission
    columns: Sequence[tuple[str, bool]]  # each role's label, and whether it may


def matrix() -> Mapping[str, Sequence[Row]]:
    """By resource, as «people»."""
    found: dict[str, list[Row]] = {}
    for permission in Permission:
        columns = [(label, permission in ROLES[role]) for role, label in GIVEN_ROLES]
        resource = permission.value.partition(".")[0]
        found.setdefault(resource, []).append(Row(permission, columns))
    return found
