"""What members decide about versions: releases and rollbacks, registered at the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.catalogue.errors import NotReleasable
from hub.catalogue.models import ModelVersion, VersionState
from hub.catalogue.versions.releases import ROLLBACK, locked, put_in_place, require_releasable
from hub.common.actors import Actor
from hub.common.errors import Invalid
from hub.federations.models import Federation, Proposal
from hub.federations.proposals.kinds import Kind, register

Checked = Callable[[Federation, Mapping[str, Any], User], dict[str, Any]]


def _checked(state: VersionState) -> Checked:
    """A check of terms that name a version in this state, which may be released."""

    def checked(federation: Federation, terms: Mapping[str, Any], _by: User) -> dict[str, Any]:
        version = _version(federation, terms)
        require_releasable(version)
        if version.state != state:
            raise NotReleasable(
                _("%(version)s is %(state)s.")
                % {"version": version, "state": version.get_state_display()}
            )
        return {"version": str(version.pk), "number": version.number}

    return checked


def _version(federation: Federation, terms: Mapping[str, Any]) -> ModelVersion:
    try:
        wanted = UUID(str(terms.get("version", "")))
    except ValueError as wrong:
        raise Invalid(_("Name the version by its identifier.")) from wrong
    found = federation.versions.filter(pk=wanted).first()
    if found is None:
        raise Invalid(_("There is no such version in this federation."))
    return found


def _apply(proposal: Proposal, actor: Actor) -> None:
    put_in_place(locked(UUID(proposal.terms["version"])), proposal, actor)


register(
    Kind(
        name="release",
        label=_lazy("Release a version"),
        checked=_checked(VersionState.CANDIDATE),
        words=lambda proposal: _("release version %(number)s") % proposal.terms,
        apply=_apply,
        template="catalogue/parts/proposed_version.html",
    )
)
register(
    Kind(
        name=ROLLBACK,
        label=_lazy("Go back to a version"),
        checked=_checked(VersionState.RETIRED),
        words=lambda proposal: _("go back to version %(number)s") % proposal.terms,
        apply=_apply,
        template="catalogue/parts/proposed_version.html",
    )
)
