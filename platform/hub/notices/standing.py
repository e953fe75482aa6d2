"""Whether a need still stands, as a condition over rows of `Notice` in the database.

`OuterRef("object_id")` is what the notice is about, `OuterRef("organisation_id")` through whom its
reader was told. A need whose condition does not hold any more is settled by the next look.
"""

from __future__ import annotations

from datetime import timedelta

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from hub.contributions.models import Case, CaseState
from hub.federations.models import (
    Participation,
    ParticipationState,
    Proposal,
    ProposalState,
    Vote,
)
from hub.organisations.models import (
    Agent,
    AgentState,
    Invitation,
    InvitationState,
    Organisation,
    OrganisationState,
)
from hub.runs.models import Round, RoundState, Run, RunState, Update, UpdateState

SILENT = timedelta(minutes=15)  # shorter than that is a restart
UNPREPARED = timedelta(minutes=5)
OVERDUE = timedelta(minutes=2)
UNCLAIMED = timedelta(minutes=10)
WAITING = (RoundState.OPEN, RoundState.COLLECTING, RoundState.EVALUATING)

ABOUT, THEIRS = OuterRef("object_id"), OuterRef("organisation_id")


def registration_is_pending() -> Exists:
    return Exists(Organisation.objects.filter(pk=ABOUT, state=OrganisationState.PENDING))


def invitation_is_open() -> Exists:
    held = Invitation.objects.filter(pk=ABOUT, state=InvitationState.OPEN)
    return Exists(held.filter(expires_at__gt=Now()))


def request_is_open() -> Exists:
    return Exists(Participation.objects.filter(pk=ABOUT, state=ParticipationState.REQUESTED))


def signature_is_missing() -> Exists:
    places = Participation.objects.filter(
        federation=ABOUT, organisation=THEIRS, state=ParticipationState.ACTIVE
    )
    return Exists(places.exclude(charter_number=F("federation__charter_number")))


def vote_is_missing() -> Exists:
    """Their organisation has a voice and has not used it."""
    theirs = OuterRef(OuterRef("organisation_id"))
    places = Participation.objects.filter(
        federation=OuterRef("federation_id"), organisation=theirs, state=ParticipationState.ACTIVE
    )
    cast = Vote.objects.filter(proposal=OuterRef("pk"), participation__organisation=theirs)
    voiced = Q(electorate__overlap=ArraySubquery(places.values("pk")))
    return Exists(
        Proposal.objects.filter(voiced, ~Exists(cast), pk=ABOUT, state=ProposalState.OPEN)
    )


def update_is_held() -> Exists:
    """One of the run's, while there is something to decide."""
    return Exists(
        Update.objects.filter(
            round__run=ABOUT, state=UpdateState.QUARANTINED, round__state=RoundState.COLLECTING
        )
    )


def case_is_open() -> Exists:
    return Exists(Case.objects.filter(pk=ABOUT, state=CaseState.OPEN))


def agent_is_silent() -> Exists:
    return Exists(silent_agents().filter(pk=ABOUT))


def run_is_stuck() -> Exists:
    stuck = Q(pk__in=unprepared_runs().values("pk")) | Q(waiting_since__isnull=False)
    stuck |= Q(pk__in=stuck_rounds().values("run"))
    live = Run.objects.filter(pk=ABOUT, state__in=(RunState.QUEUED, RunState.RUNNING))
    return Exists(live.filter(stuck))


def silent_agents() -> QuerySet[Agent]:
    return Agent.objects.filter(
        state=AgentState.ACTIVE,
        last_seen_at__lt=Now() - SILENT,
        organisation__state=OrganisationState.APPROVED,
    )


def unprepared_runs() -> QuerySet[Run]:
    return Run.objects.filter(state=RunState.QUEUED, state_changed_at__lt=Now() - UNPREPARED)


def stuck_rounds() -> QuerySet[Round]:
    """Of runs that go on: past their deadline, or aggregated by nobody."""
    overdue = Q(state__in=WAITING, deadline_at__lt=Now() - OVERDUE)
    unclaimed = Q(claimed_until__isnull=True) | Q(claimed_until__lt=Now())
    forgotten = unclaimed & Q(state=RoundState.AGGREGATING, state_changed_at__lt=Now() - UNCLAIMED)
    return Round.objects.filter(overdue | forgotten, run__state=RunState.RUNNING)
