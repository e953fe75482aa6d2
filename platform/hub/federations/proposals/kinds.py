"""What can be proposed. Each kind is registered by the app that owns the act, in its `decisions`.

A kind checks terms when a proposal is made, and applies them in the transaction that decides,
with the federation locked. What it refuses then makes the proposal fail, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.forms import Form
from django.utils.translation import gettext as _

from hub.common.actors import Actor
from hub.federations.errors import KindUnknown

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from hub.accounts.models import User
    from hub.federations.models import Federation, Proposal


def _nothing(*_given: object) -> None:
    """Most kinds have nothing to do when they are not accepted."""


def _nobody(_terms: Mapping[str, Any]) -> Collection[UUID]:
    return ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that members can decide."""

    name: str
    label: StrOrPromise  # of a choice on a screen: «Release a version»
    # The terms, checked and in their one form; raises DomainError.
    checked: Callable[[Federation, Mapping[str, Any], User], dict[str, Any]]
    # Completes «proposed to …»: «release version 3»; without any query.
    words: Callable[[Proposal], str]
    apply: Callable[[Proposal, Actor], None]
    not_applied: Callable[[Proposal, Actor], None] = _nothing  # refused, lapsed or withdrawn
    silent: Callable[[Mapping[str, Any]], Collection[UUID]] = _nobody  # places without a voice
    # How its page shows what would change: a template, and what that is given beside `proposal`.
    template: str = ""
    shown: Callable[[Proposal], Mapping[str, Any]] | None = None
    # How people make one on a screen: a form class that is called with `federation=` and `user=`
    # and has `terms()`; none: it is made where its matter is, such as on a version's page.
    form: Callable[..., Form] | None = None
    hint: StrOrPromise = ""  # what it does, in a sentence for those who choose what to propose


_kinds: dict[str, Kind] = {}
kinds: Mapping[str, Kind] = MappingProxyType(_kinds)


def register(kind: Kind) -> Kind:
    """Make a kind known. Raises ValueError: its name is taken."""
    if kind.name in _kinds:
        raise ValueError(f"two kinds of proposals are called {kind.name}")
    _kinds[kind.name] = kind
    return kind


def kind_named(name: str) -> Kind:
    """Raises KindUnknown."""
    found = _kinds.get(name)
    if found is None:
        raise KindUnknown(_("Choose one of %(join)s.") % {"join": ", ".join(sorted(_kinds))})
    return found


def words_of(proposal: Proposal) -> str:
    """What it is about, as it completes «proposed to …»; also of a kind that is gone."""
    found = _kinds.get(proposal.kind)
    return found.words(proposal) if found else _("decide on %(kind)s") % {"kind": proposal.kind}
