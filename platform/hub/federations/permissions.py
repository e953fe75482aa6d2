"""How much of what a person's role lets them do counts in a federation: their place there decides.

What a person may do in a federation is what both their role and their organisation's standing
carry. Permissions that are not about federations are in no standing.
"""

from __future__ import annotations

from collections.abc import Mapping

from hub.federations.models import Standing
from hub.organisations.permissions import Permission

_SEEING = frozenset({Permission.SEE_FEDERATIONS, Permission.SIGN_CHARTERS, Permission.READ_AUDIT})
_TAKING_PART = frozenset(
    {
        Permission.MAKE_PROPOSALS,
        Permission.VOTE,
        Permission.START_RUNS,
        Permission.PUSH_VERSIONS,
        Permission.DECIDE_CASES,  # which concern the lead; of others, the lead decides
    }
)
_LEADING = frozenset(
    {
        Permission.STEER_FEDERATIONS,
        Permission.ADMIT_MEMBERS,
        Permission.JUDGE_UPDATES,
        Permission.CURATE_VERSIONS,
        Permission.GRANT_CREDITS,
    }
)

STANDINGS: Mapping[str, frozenset[Permission]] = {
    Standing.LEAD: _SEEING | _TAKING_PART | _LEADING,
    Standing.CONTRIBUTOR: _SEEING | _TAKING_PART,
    Standing.OBSERVER: _SEEING,
}
