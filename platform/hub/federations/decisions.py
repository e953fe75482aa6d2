"""What members decide about charter and policy: kinds of proposals, registered at the start."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from federation.ledger.entries import canonical
from hub.accounts.models import User
from hub.common.actors import Actor
from hub.common.errors import Invalid
from hub.common.text import paragraphs
from hub.federations.charters.agreeing import AGREED, agreed_columns, agreed_in, policy_of
from hub.federations.charters.diffing import difference
from hub.federations.charters.forms import CharterChangeForm
from hub.federations.charters.policyforms import PolicyChangeForm
from hub.federations.charters.policywords import rules_in, rules_of
from hub.federations.charters.selectors import version_of
from hub.federations.charters.services import (
    LONGEST_CHARTER,
    change_policy,
    locked,
    publish_charter,
)
from hub.federations.errors import CharterChanged, PolicyChanged
from hub.federations.models import Federation, Proposal
from hub.federations.proposals.kinds import Kind, register


def _charter(federation: Federation, terms: Mapping[str, Any], _by: User) -> dict[str, Any]:
    """`text`, and which version it would replace; made by the hub: nobody overwrites another."""
    text = terms.get("text")
    if not isinstance(text, str) or set(terms) - {"text", "replaces", "digest"}:
        raise Invalid(_("A charter is proposed as its text."))
    text = paragraphs(text, least=1, most=LONGEST_CHARTER)
    if text == federation.charter:
        raise Invalid(_("This is the text that is in force."))
    digest = sha256(text.encode()).hexdigest()
    return {"text": text, "digest": digest, "replaces": federation.charter_number}


def _put_in_force(proposal: Proposal, actor: Actor) -> None:
    federation = locked(proposal.federation_id)
    if proposal.terms["replaces"] != federation.charter_number:
        raise CharterChanged(_("Another text has come into force since this one was proposed."))
    publish_charter(
        federation=federation, text=proposal.terms["text"], actor=actor, proposal=proposal.pk
    )


def _policy(federation: Federation, terms: Mapping[str, Any], _by: User) -> dict[str, Any]:
    """The whole of what would be agreed: what the terms leave out stays as it is."""
    unknown = set(terms) - {*AGREED, "replaces"}
    if unknown:
        raise Invalid(_("A policy has no %(join)s.") % {"join": ", ".join(sorted(unknown))})
    said = {**agreed_in(federation), **{name: terms[name] for name in AGREED if name in terms}}
    columns = agreed_columns(
        policy=policy_of(said["policy"]),
        is_listed=_boolean(said["is_listed"]),
        largest_update_bytes=_whole(said["largest_update_bytes"]),
    )
    if columns == agreed_in(federation):
        raise Invalid(_("This is what is agreed on already."))
    return {**columns, "replaces": _fingerprint(federation)}


def _put_agreed(proposal: Proposal, actor: Actor) -> None:
    federation = locked(proposal.federation_id)
    if proposal.terms["replaces"] != _fingerprint(federation):
        raise PolicyChanged(_("Other rules have come into force since these were proposed."))
    terms = proposal.terms
    change_policy(
        federation=federation,
        policy=policy_of(terms["policy"]),
        is_listed=terms["is_listed"],
        largest_update_bytes=terms["largest_update_bytes"],
        actor=actor,
        proposal=proposal.pk,
    )


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid(_("is_listed is true or false."))
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(_("largest_update_bytes is a whole number."))
    return value


def _fingerprint(federation: Federation) -> str:
    return sha256(canonical(agreed_in(federation)).encode()).hexdigest()


def _charter_shown(proposal: Proposal) -> dict[str, Any]:
    """The text it would replace is the one that it was proposed for."""
    federation, terms = proposal.federation, proposal.terms
    before = version_of(federation, terms["replaces"])
    return {"lines": difference(before.text if before else "", terms["text"]), "terms": terms}


def _policy_shown(proposal: Proposal) -> dict[str, Any]:
    """What would be agreed, and what is at present, wherever they differ."""
    terms = proposal.terms
    wanted = rules_in(
        policy_of(terms["policy"]),
        is_listed=terms["is_listed"],
        largest_update_bytes=terms["largest_update_bytes"],
    )
    present = {rule.title: rule.words for rule in rules_of(proposal.federation)}
    rows = [(rule, present.get(rule.title, "")) for rule in wanted]
    if proposal.is_open:
        rows = [(rule, before) for rule, before in rows if rule.words != before]
    return {"rows": rows}


def _charter_words(_proposal: Proposal) -> str:
    return _("put another charter in force")


def _policy_words(_proposal: Proposal) -> str:
    return _("change the policy")


register(
    Kind(
        name="charter",
        label=_lazy("Change the charter"),
        hint=_lazy("Other words, which every member signs before the next round opens."),
        checked=_charter,
        words=_charter_words,
        apply=_put_in_force,
        template="federations/proposals/charter.html",
        shown=_charter_shown,
        form=CharterChangeForm,
    )
)
register(
    Kind(
        name="policy",
        label=_lazy("Change the policy"),
        hint=_lazy("Other rules for joining, for runs and for votes."),
        checked=_policy,
        words=_policy_words,
        apply=_put_agreed,
        template="federations/proposals/policy.html",
        shown=_policy_shown,
        form=PolicyChangeForm,
    )
)
