"""What each role may do, as the services have it; the organisation's page shows this table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub.organisations.models import Role


@dataclass(frozen=True, slots=True)
class Permission:
    may: str
    roles: frozenset[Role]

    @property
    def columns(self) -> Sequence[tuple[str, bool]]:
        """Each role's label, and whether it may."""
        return [(role.label, role in self.roles) for role in reversed(Role)]


EVERYBODY, OWNERS = frozenset(Role), frozenset({Role.OWNER})

PERMISSIONS: Sequence[Permission] = (
    Permission("See the organisation's people, agents and federations", EVERYBODY),
    Permission("See runs, versions and contributions; download models", EVERYBODY),
    Permission("Create, start, pause and cancel runs", EVERYBODY),
    Permission("Set the largest adapter rank it trains", EVERYBODY),
    Permission("Propose to release a version, or to go back to one", EVERYBODY),
    Permission("As the lead: judge held updates, release, retire and name versions", EVERYBODY),
    Permission("As the lead: let organisations in, or not", OWNERS),
    Permission("Found a federation, sign a charter, leave", OWNERS),
    Permission("Enrol, rename and revoke agents", OWNERS),
    Permission("Add and remove people, change their roles", OWNERS),
)
