"""Names of choices in the API's schema, where one field's name would not tell them apart.

Read by the settings, so nothing is imported here.
"""

from __future__ import annotations

_STATES = {
    "organisations.models": ("Organisation", "Agent", "Invitation"),
    "federations.models": ("Federation", "Participation", "Proposal"),
    "catalogue.models": ("Version", "Push", "Draft", "Merged"),
    "notices.models": ("Webhook", "Delivery"),
    "runs.models": ("Run", "Round", "Task", "Update", "Recomputation"),
}
_OTHERS = {
    "CommitReason": "hub.catalogue.models.CommitReason",
    "Role": "hub.organisations.permissions.Role",
    "GivenRole": "hub.organisations.permissions.GIVEN_ROLES",
}
ENUMS = _OTHERS | {
    f"{name}State": f"hub.{module}.{name}State"
    for module, names in _STATES.items()
    for name in names
}
