"""What can be agreed on, checked before it is in force."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from hub.common.errors import Invalid
from hub.federations.charters.policywords import STRATEGIES, VALUATIONS
from hub.federations.models import Federation
from hub.federations.policies import LARGEST_UPDATES, Policy
from hub.federations.proposals.kinds import kinds

AGREED = ("policy", "is_listed", "largest_update_bytes")


def agreed_columns(*, policy: Policy, is_listed: bool, largest_update_bytes: int) -> dict[str, Any]:
    """The columns of a federation with these rules.

    Raises:
        Invalid: no update could be that small, or that large, or there is no such method.
    """
    least, most = LARGEST_UPDATES
    if not least <= largest_update_bytes <= most:
        raise Invalid(
            _("The largest update has between %(least)s and %(most)s bytes.")
            % {"least": least, "most": most}
        )
    _require_known("strategies", policy.strategies, STRATEGIES)
    _require_known("valuation", policy.valuation, VALUATIONS)
    _require_known("led", policy.led, kinds)
    return {
        "policy": policy.model_dump(mode="json"),
        "is_listed": is_listed,
        "largest_update_bytes": largest_update_bytes,
    }


def agreed_in(federation: Federation) -> dict[str, Any]:
    """What is agreed at present, in the same form."""
    return {
        "policy": federation.typed_policy.model_dump(mode="json"),
        "is_listed": federation.is_listed,
        "largest_update_bytes": federation.largest_update_bytes,
    }


def policy_of(document: object) -> Policy:
    """Raises Invalid: it is no policy, and says where."""
    try:
        return Policy.model_validate_json(json.dumps(document))
    except ValidationError as refused:
        first = refused.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{where}: {first['msg']}" if where else str(first["msg"])) from refused


def _require_known(field: str, named: Sequence[str], known: Collection[str]) -> None:
    strange = [name for name in named if name not in known]
    if strange:
        raise Invalid(
            _("%(field)s: there is no %(strange)s; there are %(known)s.")
            % {"field": field, "strange": ", ".join(strange), "known": ", ".join(known)}
        )
    if len(set(named)) != len(named):
        raise Invalid(_("%(field)s: each is named once.") % {"field": field})
