"""Everything that writes organisations, their people and their agents."""

from __future__ import annotations

from hub.organisations.services.agents import (
    leave,
    prune_nonces,
    rename_agent,
    revoke_agent,
    spend_nonce,
    touch_agent,
)
from hub.organisations.services.enrolment import (
    enrol_agent,
    make_enrolment_code,
    new_nonce,
    revoke_enrolment_code,
)
from hub.organisations.services.keys import rotate_key
from hub.organisations.services.organisations import (
    add_member,
    approve_organisation,
    refuse_organisation,
    register_organisation,
    reinstate_organisation,
    remove_member,
    set_quota,
    suspend_organisation,
)

__all__ = [
    "add_member",
    "approve_organisation",
    "enrol_agent",
    "leave",
    "make_enrolment_code",
    "new_nonce",
    "prune_nonces",
    "refuse_organisation",
    "register_organisation",
    "reinstate_organisation",
    "remove_member",
    "rename_agent",
    "revoke_agent",
    "revoke_enrolment_code",
    "rotate_key",
    "set_quota",
    "spend_nonce",
    "suspend_organisation",
    "touch_agent",
]
