"""What a role lets a person do, as resource and operation; nobody has what is not written here.

An organisation's role says what its person may do; its standing in a federation (see
`hub.federations.permissions`) says how much of that counts there.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models
from django.db.models import Q


class Permission(models.TextChoices):
    """`resource.operation`; the label completes «may …»."""

    SEE_ORGANISATION = "organisation.see", "see the organisation's people, agents and federations"
    EDIT_ORGANISATION = "organisation.edit", "change its profile, and require a second factor"
    MANAGE_PEOPLE = "people.manage", "invite and remove people, and give roles"
    MANAGE_ROLES = "roles.manage", "make and change roles"
    MANAGE_AGENTS = "agents.manage", "enrol, rename and revoke agents"
    MANAGE_WEBHOOKS = "webhooks.manage", "have other systems told by webhooks"
    BRING_BASES = "bases.bring", "bring base models"
    READ_AUDIT = "audit.read", "read and export the record of what happened"
    FOUND_FEDERATIONS = "federations.found", "found federations"
    SIGN_CHARTERS = "charters.sign", "sign charters, accept licences, declare data, join and leave"
    SEE_FEDERATIONS = "federations.see", "see runs, versions and contributions; download models"
    STEER_FEDERATIONS = "federations.steer", "describe the federation and invite organisations"
    ADMIT_MEMBERS = "members.admit", "let organisations in, or not"
    MAKE_PROPOSALS = "proposals.make", "make proposals"
    VOTE = "proposals.vote", "vote on proposals"
    START_RUNS = "runs.start", "create, start, pause and cancel runs"
    JUDGE_UPDATES = "updates.judge", "judge updates that are held for review"
    CURATE_VERSIONS = "versions.curate", "name and retire versions, set probes, ask for valuations"
    PUSH_VERSIONS = "versions.push", "send versions to another hub"
    DECIDE_CASES = "cases.decide", "decide cases about contributions"
    GRANT_CREDITS = "credits.grant", "split credits, and correct them"


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    MANAGER = "manager", "Manager"
    SCIENTIST = "scientist", "Scientist"
    AUDITOR = "auditor", "Auditor"
    CUSTOM = "custom", "Role of its own"


_READS = frozenset({Permission.SEE_ORGANISATION, Permission.SEE_FEDERATIONS})
_SCIENCE = frozenset(
    {
        Permission.MAKE_PROPOSALS,
        Permission.START_RUNS,
        Permission.JUDGE_UPDATES,
        Permission.CURATE_VERSIONS,
    }
)
_MANAGEMENT = frozenset(
    {
        Permission.MANAGE_PEOPLE,
        Permission.MANAGE_AGENTS,
        Permission.MANAGE_WEBHOOKS,
        Permission.BRING_BASES,
        Permission.READ_AUDIT,
        Permission.STEER_FEDERATIONS,
        Permission.ADMIT_MEMBERS,
        Permission.VOTE,
    }
)

ROLES: Mapping[str, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.MANAGER: _READS | _SCIENCE | _MANAGEMENT,
    Role.SCIENTIST: _READS | _SCIENCE,
    Role.AUDITOR: _READS | frozenset({Permission.READ_AUDIT}),
    Role.CUSTOM: frozenset(),  # what its own list says
}

# Those that every organisation has; a role of its own is given by its name.
GIVEN_ROLES = [(role.value, role.label) for role in Role if role != Role.CUSTOM]


def granting(permission: Permission, *, at: str = "") -> Q:
    """Memberships whose role carries the permission; `at` is the way to them, such as `members__`.

    A role of the organisation's own counts with what it lists.
    """
    named = [role for role, carried in ROLES.items() if permission in carried]
    own = {f"{at}custom_role__permissions__contains": [permission]}
    return Q(**{f"{at}role__in": named}) | Q(**own)
