"""What a role lets a person do, as resource and operation; nobody has what is not written here.

An organisation's role says what its person may do; its standing in a federation (see
`hub.federations.permissions`) says how much of that counts there.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _lazy


class Permission(models.TextChoices):
    """`resource.operation`; the label completes «may …»."""

    SEE_ORGANISATION = (
        "organisation.see",
        _lazy("see the organisation's people, agents and federations"),
    )
    EDIT_ORGANISATION = (
        "organisation.edit",
        _lazy("change its profile, and require a second factor"),
    )
    MANAGE_PEOPLE = "people.manage", _lazy("invite and remove people, and give roles")
    MANAGE_ROLES = "roles.manage", _lazy("make and change roles")
    MANAGE_AGENTS = "agents.manage", _lazy("enrol, rename and revoke agents")
    MANAGE_WEBHOOKS = "webhooks.manage", _lazy("have other systems told by webhooks")
    BRING_BASES = "bases.bring", _lazy("bring base models")
    READ_AUDIT = "audit.read", _lazy("read and export the record of what happened")
    FOUND_FEDERATIONS = "federations.found", _lazy("found federations")
    SIGN_CHARTERS = (
        "charters.sign",
        _lazy("sign charters, accept licences, declare data, join and leave"),
    )
    SEE_FEDERATIONS = (
        "federations.see",
        _lazy("see runs, versions and contributions; download models"),
    )
    STEER_FEDERATIONS = (
        "federations.steer",
        _lazy("describe the federation and invite organisations"),
    )
    ADMIT_MEMBERS = "members.admit", _lazy("let organisations in, or not")
    MAKE_PROPOSALS = "proposals.make", _lazy("make proposals")
    VOTE = "proposals.vote", _lazy("vote on proposals")
    START_RUNS = "runs.start", _lazy("create, start, pause and cancel runs")
    JUDGE_UPDATES = "updates.judge", _lazy("judge updates that are held for review")
    CURATE_VERSIONS = (
        "versions.curate",
        _lazy("name and retire versions, set probes, ask for valuations"),
    )
    PUSH_VERSIONS = "versions.push", _lazy("send versions to another hub")
    DECIDE_CASES = "cases.decide", _lazy("decide cases about contributions")
    GRANT_CREDITS = "credits.grant", _lazy("split credits, and correct them")


class Role(models.TextChoices):
    OWNER = "owner", _lazy("Owner")
    MANAGER = "manager", _lazy("Manager")
    SCIENTIST = "scientist", _lazy("Scientist")
    AUDITOR = "auditor", _lazy("Auditor")
    CUSTOM = "custom", _lazy("Role of its own")


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
