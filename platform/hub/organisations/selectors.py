"""Reads of organisations, memberships and agents, scoped to who asks."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db.models import Count, F, FilteredRelation, Q, QuerySet
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from federation.signatures import key_id, public_key_of, sign_bytes
from hub.accounts.models import User
from hub.common.asked import Asked, instance_of
from hub.common.errors import Forbidden, NotFound
from hub.common.feed import Told, told
from hub.common.models import Event
from hub.common.sentences import DOING
from hub.organisations.models import (
    Agent,
    AgentKey,
    CustomRole,
    EnrolmentCode,
    Invitation,
    InvitationKind,
    InvitationState,
    Membership,
    Organisation,
    OrganisationState,
)
from hub.organisations.permissions import Permission, granting
from hub.organisations.seals import digest_of

SILENT_AFTER = timedelta(minutes=2)  # an agent that waits for work asks twice a minute
EVENTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class HubKey:
    """The hub's own key: signs receipts, and is what agents pin when they enrol."""

    private: bytes

    @property
    def public_key(self) -> str:
        """Base64 of the 32 bytes."""
        return base64.b64encode(public_key_of(self.private)).decode()

    @property
    def key_id(self) -> str:
        return key_id(public_key_of(self.private))

    def sign(self, label: str, payload: bytes) -> str:
        return sign_bytes(self.private, label, payload)


@cache
def hub_key() -> HubKey:
    return HubKey(base64.b64decode(settings.HUB_SIGNING_KEY))


def organisations_of(user: User) -> QuerySet[Organisation]:
    """Those that the person acts for, in any state."""
    return Organisation.objects.filter(memberships__user=user)


def organisations_visible_to(user: User) -> QuerySet[Organisation]:
    """The person's own; operators see all."""
    return Organisation.objects.all() if user.is_staff else organisations_of(user)


def membership_of(user: User, organisation: Organisation) -> Membership | None:
    """The person's place in the organisation, if there is one."""
    held = Membership.objects.select_related("custom_role")
    return held.filter(user=user, organisation=organisation).first()


def require_permission(user: User, organisation_id: UUID, permission: Permission) -> Membership:
    """The person's membership, whose role carries the permission.

    Raises:
        NotFound: the person is no member, or there is no such organisation.
        Forbidden: a member whose role does not.
    """
    membership = (
        Membership.objects.select_related("organisation", "custom_role")
        .filter(user=user, organisation_id=organisation_id)
        .first()
    )
    if membership is None:
        raise NotFound("no such organisation")
    if not membership.may(permission):
        raise Forbidden(
            _("The role %(role_name)s may not %(label)s.")
            % {"role_name": membership.role_name, "label": permission.label}
        )
    return membership


def memberships_of(user: User) -> QuerySet[Membership]:
    """The person's places with their organisations, by name."""
    held = user.memberships.select_related("organisation", "custom_role")
    return held.order_by("organisation__name")


def organisations_where(user: User, permission: Permission) -> QuerySet[Organisation]:
    """The approved ones in which the person's role carries the permission."""
    held = Membership.objects.filter(granting(permission), user=user)
    return Organisation.objects.filter(
        state=OrganisationState.APPROVED, pk__in=held.values("organisation")
    )


def organisations_to_bring(user: User) -> QuerySet[Organisation]:
    """Those for which the person signs charters; one that waits for the operator, too."""
    held = Membership.objects.filter(granting(Permission.SIGN_CHARTERS), user=user)
    states = (OrganisationState.PENDING, OrganisationState.APPROVED)
    found = Organisation.objects.filter(state__in=states, pk__in=held.values("organisation"))
    return found.order_by("name")


def roles_of(organisation: Organisation) -> QuerySet[CustomRole]:
    """Its own roles, with how many hold each."""
    return organisation.custom_roles.annotate(holders=Count("memberships")).order_by("name")


def reason_of(organisation: Organisation) -> str:
    """Why it is in the state it is in, as the operator said."""
    moved = Event.objects.filter(subject_id=organisation.pk, to_state=organisation.state)
    found = moved.exclude(from_state="").order_by("-pk").first()
    return found.reason if found else ""


def members_of(organisation: Organisation) -> QuerySet[Membership]:
    return organisation.memberships.select_related("user", "custom_role").order_by("created_at")


def addresses_of(user: User) -> set[str]:
    """The addresses that are known to be the person's, in lower case.

    Where this hub proves no addresses (EMAIL_VERIFICATION), theirs is believed.
    """
    proved = EmailAddress.objects.filter(user=user, verified=True)
    known = {email.lower() for email in proved.values_list("email", flat=True)}
    return known if settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory" else known | {user.email}


def invitations_to(user: User) -> QuerySet[Invitation]:
    """Those that wait for the person's answer."""
    return _invitations().filter(
        state=InvitationState.OPEN, expires_at__gt=timezone.now(), email__in=addresses_of(user)
    )


def invitation_by(secret: str) -> Invitation | None:
    """The one whose newest link this is, in any state."""
    return _invitations().filter(digest=digest_of(secret)).first()


def people_invited(organisation: Organisation) -> QuerySet[Invitation]:
    """Whom the organisation has invited to act for it, the newest first."""
    return _invitations().filter(organisation=organisation, kind=InvitationKind.PERSON)


def invitations_into(federation_id: UUID) -> QuerySet[Invitation]:
    """Which organisations have been invited into a federation, the newest first."""
    return _invitations().filter(federation_id=federation_id)


def invitations_to_hub() -> QuerySet[Invitation]:
    """Whom operators have invited, the newest first."""
    return _invitations().filter(kind=InvitationKind.HUB)


def invitations_for(organisation: Organisation) -> QuerySet[Invitation]:
    """Invitations into federations that somebody has accepted for the organisation.

    With each it may join its `federation` in its `standing` without asking, once: what happened
    to its place there since, such as an expulsion, has used the invitation up.
    """
    # Participations belong to a higher app: only the database follows this arrow.
    place = FilteredRelation(
        "federation__participations",
        condition=Q(federation__participations__organisation=organisation),
    )
    return (
        _invitations()
        .filter(
            kind=InvitationKind.FEDERATION,
            state=InvitationState.ACCEPTED,
            accepted_for=organisation,
        )
        .annotate(place=place)
        .filter(Q(place__isnull=True) | Q(place__state_changed_at__lte=F("state_changed_at")))
    )


def invitations_visible_to(user: User) -> QuerySet[Invitation]:
    """Those to the person, and those that they may take back; operators' own to the hub, too."""
    managing = Membership.objects.filter(granting(Permission.MANAGE_PEOPLE), user=user)
    steering = Membership.objects.filter(granting(Permission.STEER_FEDERATIONS), user=user)
    seen = Q(email__in=addresses_of(user)) | Q(accepted_by=user)
    seen |= Q(kind=InvitationKind.PERSON, organisation__in=managing.values("organisation"))
    seen |= Q(kind=InvitationKind.FEDERATION, organisation__in=steering.values("organisation"))
    if user.is_staff:
        seen |= Q(kind=InvitationKind.HUB)
    return _invitations().filter(seen)


def _invitations() -> QuerySet[Invitation]:
    held = Invitation.objects.select_related(
        "organisation", "federation", "custom_role", "invited_by", "accepted_for"
    )
    return held.order_by("-created_at", "-pk")


def agents_of(user: User) -> QuerySet[Agent]:
    """Agents of the person's organisations, revoked ones too."""
    seeing = Membership.objects.filter(granting(Permission.SEE_ORGANISATION), user=user)
    held = Agent.objects.filter(organisation__in=seeing.values("organisation"))
    return held.select_related("organisation")


def open_codes_of(user: User) -> QuerySet[EnrolmentCode]:
    """Codes that still let an agent in to an organisation whose agents the person manages."""
    return EnrolmentCode.objects.filter(
        organisation__in=organisations_where(user, Permission.MANAGE_AGENTS),
        agent__isnull=True,
        expires_at__gt=timezone.now(),
    ).select_related("organisation", "created_by")


def agent_key(key: str) -> AgentKey | None:
    """The key of this id with its agent, in any state, and the organisation; one query."""
    row = _key_of_id().first(key=key)
    if row is None:
        return None
    columns = iter(row)
    found, agent = instance_of(AgentKey, columns), instance_of(Agent, columns)
    agent.organisation, found.agent = instance_of(Organisation, columns), agent
    return found


@cache
def _key_of_id() -> Asked:
    """Asked with every request of every agent."""
    keys = AgentKey.objects.select_related("agent__organisation")
    return Asked(keys.filter(key_id="?"), key="?")


def key_in_force(agent: Agent, key: str) -> AgentKey | None:
    """The agent's key of this id, if it is its present one or was until lately."""
    found = agent.keys.filter(key_id=key).first()
    return found if found and found.is_in_force else None


def history_of(subject: Organisation | Agent) -> list[Told]:
    """What happened to an organisation with its people, or to an agent; the newest first."""
    events = Event.objects.filter(subject_id=subject.pk).order_by("-pk")[:EVENTS_SHOWN]
    return told(events)


@dataclass(frozen=True, slots=True)
class Work:
    """What an agent does at present, as its last heartbeat told it."""

    type: str  # of the task: train or evaluate
    run_id: UUID
    run: str
    federation: str
    round: int
    since: datetime
    progress: Mapping[str, Any]

    @property
    def words(self) -> str:
        return capfirst(_(DOING.get(self.type, self.type)))

    @property
    def step(self) -> int:
        return int(self.progress.get("step") or 0)

    @property
    def steps(self) -> int | None:
        """None: not known yet."""
        return int(self.progress.get("steps") or 0) or None


@dataclass(frozen=True, slots=True)
class Sighting:
    """An agent and what is known of it now."""

    agent: Agent
    work: Work | None

    @property
    def state(self) -> str:
        """revoked, left, enrolled (never seen), offline (silent), busy or online."""
        seen = self.agent.last_seen_at
        if self.agent.is_final:
            return self.agent.state
        if seen is None:
            return "enrolled"
        if seen < timezone.now() - SILENT_AFTER:
            return "offline"
        return "busy" if self.work else "online"

    @property
    def word(self) -> str:
        words = {
            "enrolled": _noop("never seen"),
            "offline": _noop("silent"),
            "busy": _noop("working"),
        }
        return _(words.get(self.state, self.state))


# Tasks belong to a higher app: named by string, and only the database follows this arrow.
WORK = {
    "work_type": "leased__type",
    "work_since": "leased__leased_at",
    "work_progress": "leased__progress",
    "work_round": "leased__round__number",
    "work_run_id": "leased__round__run_id",
    "work_run": "leased__round__run__name",
    "work_federation": "leased__round__run__federation__name",
}


def sightings(agents: QuerySet[Agent]) -> list[Sighting]:
    """Each agent with its present work, in one query."""
    leased = FilteredRelation("tasks", condition=Q(tasks__state="leased"))
    columns = {name: F(column) for name, column in WORK.items()}
    seen: dict[UUID, Sighting] = {}
    for agent in agents.annotate(leased=leased).annotate(**columns):
        seen.setdefault(agent.pk, Sighting(agent, _work(agent)))  # one may hold several leases
    return list(seen.values())


def _work(agent: Agent) -> Work | None:
    found = {name.removeprefix("work_"): getattr(agent, name) for name in WORK}
    return Work(**found) if found["type"] else None
