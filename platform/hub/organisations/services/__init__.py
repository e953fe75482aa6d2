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
from hub.organisations.services.answers import (
    accept_invitation,
    decline_invitation,
)
from hub.organisations.services.enrolment import (
    enrol_agent,
    make_enrolment_code,
    new_nonce,
    revoke_enrolment_code,
)
from hub.organisations.services.invitations import (
    expire_invitations,
    invite_organisation,
    invite_person,
    invite_to_hub,
    resend_invitation,
    revoke_invitation,
)
from hub.organisations.services.keys import (
    rotate_key,
)
from hub.organisations.services.letters import (
    send_letter,
    sweep_letters,
)
from hub.organisations.services.organisations import (
    approve_organisation,
    edit_organisation,
    refuse_organisation,
    register_organisation,
    reinstate_organisation,
    set_quota,
    suspend_organisation,
)
from hub.organisations.services.people import (
    remove_member,
    set_role,
)
from hub.organisations.services.registering import (
    Profile,
    addresses_are_proved,
    confirm_registration,
    hand_in_registration,
    prune_registrations,
    sign_up_invited,
)
from hub.organisations.services.roles import (
    change_role,
    create_role,
    delete_role,
)

__all__ = [
    "Profile",
    "accept_invitation",
    "addresses_are_proved",
    "approve_organisation",
    "change_role",
    "confirm_registration",
    "create_role",
    "decline_invitation",
    "delete_role",
    "edit_organisation",
    "enrol_agent",
    "expire_invitations",
    "hand_in_registration",
    "invite_organisation",
    "invite_person",
    "invite_to_hub",
    "leave",
    "make_enrolment_code",
    "new_nonce",
    "prune_nonces",
    "prune_registrations",
    "refuse_organisation",
    "register_organisation",
    "reinstate_organisation",
    "remove_member",
    "rename_agent",
    "resend_invitation",
    "revoke_agent",
    "revoke_enrolment_code",
    "revoke_invitation",
    "rotate_key",
    "send_letter",
    "set_quota",
    "set_role",
    "sign_up_invited",
    "spend_nonce",
    "suspend_organisation",
    "sweep_letters",
    "touch_agent",
]
