"""What events mean to people: one row a kind of notice, and nothing is told that is not here.

A kind is named in the database, in the API and in webhooks: names stay. Which events it tells is
written as `Event.kind`, with «from …» where the state it came from makes the difference; «from …»
goes before the plain kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

from django.db.models import Exists
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Event
from hub.notices import audience, links, standing
from hub.notices.audience import Audience
from hub.notices.models import Channel
from hub.organisations.permissions import Permission

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

About: TypeAlias = Literal["subject_id", "federation_id", "run_id"]


@dataclass(frozen=True, slots=True)
class Need:
    """That somebody must do something: the words on the button, and whether it still stands."""

    action: StrOrPromise
    stands: Callable[[], Exists]


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    label: StrOrPromise
    events: tuple[str, ...]
    who: Audience
    link: Callable[[Event], str]
    channel: Channel  # unless the person says otherwise
    about: About = "subject_id"  # events about the same join while the notice is open
    need: Need | None = None
    is_offered: bool = True  # to webhooks
    is_for_operators: bool = False

    def object_of(self, event: Event) -> UUID:
        found: UUID = getattr(event, self.about) or event.subject_id
        return found


KINDS: tuple[Kind, ...] = (
    Kind(
        "invitation",
        _lazy("You are invited"),
        ("invitation.open", "invitation.open from expired"),
        audience.whoever_is_invited(),
        links.to_invitation,
        Channel.INBOX,  # the invitation itself is a mail
        need=Need(_lazy("Answer it"), standing.invitation_is_open),
        is_offered=False,
    ),
    Kind(
        "signature",
        _lazy("A charter waits for a signature"),
        ("federation.charter_published",),
        audience.of_federation(Permission.SIGN_CHARTERS),
        links.to_charter,
        Channel.NOW,
        need=Need(_lazy("Read and sign"), standing.signature_is_missing),
    ),
    Kind(
        "vote",
        _lazy("A proposal waits for a vote"),
        ("proposal.made",),
        audience.of_federation(Permission.VOTE),
        links.to_proposal,
        Channel.NOW,
        need=Need(_lazy("Vote"), standing.vote_is_missing),
    ),
    Kind(
        "decision",
        _lazy("A proposal was decided"),
        ("proposal.accepted", "proposal.refused", "proposal.lapsed", "proposal.failed"),
        audience.of_federation(Permission.SEE_FEDERATIONS),
        links.to_proposal,
        Channel.DIGEST,
    ),
    Kind(
        "join_request",
        _lazy("An organisation asks to join"),
        ("participation.requested",),
        audience.of_federation(Permission.ADMIT_MEMBERS),
        links.to_requests,
        Channel.NOW,
        need=Need(_lazy("Decide"), standing.request_is_open),
    ),
    Kind(
        "membership",
        _lazy("Your organisation's place in a federation changed"),
        (
            "participation.active",
            "participation.refused",
            "participation.suspended",
            "participation.expelled",
        ),
        audience.of_organisation(Permission.SEE_FEDERATIONS),
        links.to_federation,
        Channel.DIGEST,
    ),
    Kind(
        "run_started",
        _lazy("A run started"),
        ("run.running from queued",),
        audience.of_federation(Permission.SEE_FEDERATIONS),
        links.to_run,
        Channel.INBOX,
    ),
    Kind(
        "run_stuck",
        _lazy("A run does not go on"),
        ("run.stuck", "run.waiting"),
        audience.of_federation(Permission.START_RUNS),
        links.to_run,
        Channel.NOW,
        need=Need(_lazy("Look at it"), standing.run_is_stuck),
    ),
    Kind(
        "run_finished",
        _lazy("A run is complete"),
        ("run.completed",),
        audience.of_federation(Permission.SEE_FEDERATIONS),
        links.to_run,
        Channel.DIGEST,
    ),
    Kind(
        "run_failed",
        _lazy("A run failed"),
        ("run.failed",),
        audience.of_federation(Permission.SEE_FEDERATIONS),
        links.to_run,
        Channel.NOW,
    ),
    Kind(
        "quarantine",
        _lazy("An update is held for review"),
        ("update.quarantined",),
        audience.of_federation(Permission.JUDGE_UPDATES),
        links.to_held,
        Channel.NOW,
        about="run_id",
        need=Need(_lazy("Review"), standing.update_is_held),
    ),
    Kind(
        "agent_silent",
        _lazy("An agent is silent"),
        ("agent.silent",),
        audience.of_organisation(Permission.MANAGE_AGENTS),
        links.to_agent,
        Channel.NOW,
        need=Need(_lazy("Look at it"), standing.agent_is_silent),
    ),
    Kind(
        "gate_failed",
        _lazy("A version does not pass a gate"),
        ("version.gate_failed",),
        audience.of_federation(Permission.SEE_FEDERATIONS),
        links.to_version,
        Channel.DIGEST,
    ),
    Kind(
        "release",
        _lazy("A version was released"),
        ("version.released",),
        audience.of_federation(Permission.SEE_FEDERATIONS),
        links.to_version,
        Channel.DIGEST,
    ),
    Kind(
        "rollback",
        _lazy("A federation went back to an earlier version"),
        ("version.released from retired",),
        audience.of_federation(Permission.SEE_FEDERATIONS),
        links.to_version,
        Channel.NOW,
    ),
    Kind(
        "case_opened",
        _lazy("A case was opened"),
        ("case.opened",),
        audience.of_case(Permission.SEE_FEDERATIONS),
        links.to_case,
        Channel.NOW,
        need=Need(_lazy("Look at it"), standing.case_is_open),
    ),
    Kind(
        "token_expiring",
        _lazy("A token ends within a week"),
        ("token.expiring",),
        audience.the_person(),
        links.to_tokens,
        Channel.NOW,
        is_offered=False,
    ),
    Kind(
        "organisation_decided",
        _lazy("Your organisation was approved, refused or suspended"),
        ("organisation.approved", "organisation.refused", "organisation.suspended"),
        audience.of_organisation(Permission.SEE_ORGANISATION),
        links.to_organisation,
        Channel.INBOX,  # the decision itself is a mail
    ),
    Kind(
        "registration",
        _lazy("An organisation waits for approval"),
        ("organisation.registered",),
        audience.operators(),
        links.to_registration,
        Channel.DIGEST,
        need=Need(_lazy("Decide"), standing.registration_is_pending),
        is_offered=False,
        is_for_operators=True,
    ),
    Kind(
        "webhook_disabled",
        _lazy("A webhook was switched off"),
        ("webhook.disabled",),
        audience.of_organisation(Permission.MANAGE_WEBHOOKS),
        links.to_webhooks,
        Channel.NOW,
        is_offered=False,
    ),
)

BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
BY_EVENT: Mapping[str, Kind] = {event: kind for kind in KINDS for event in kind.events}
EVENTS = frozenset(event.partition(" from ")[0] for event in BY_EVENT)  # values of `Event.kind`
OFFERED = tuple(kind for kind in KINDS if kind.is_offered)
CHOICES = [(kind.name, kind.label) for kind in KINDS]


def kind_of(event: Event) -> Kind | None:
    """What an event means; None: nothing to anybody."""
    exactly = BY_EVENT.get(f"{event.kind} from {event.from_state}")
    return exactly or BY_EVENT.get(event.kind)


def label_of(name: str) -> str:
    """Also of a kind that is no more."""
    return str(BY_NAME[name].label) if name in BY_NAME else name.replace("_", " ").capitalize()
