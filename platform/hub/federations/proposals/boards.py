"""What pages show of votes: how each stands, what is still needed, and what a person may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import JSONObject
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from django.utils.translation import ngettext

from hub.accounts.models import User
from hub.common.feed import Told, told
from hub.common.models import Event
from hub.federations.models import (
    Federation,
    Participation,
    ParticipationState,
    Proposal,
    ProposalState,
    Vote,
)
from hub.federations.policies import VotingRule
from hub.federations.proposals.kinds import kinds, words_of
from hub.federations.proposals.tallying import Tally, needed, outcome, tally
from hub.federations.selectors import Seat, Standpoint
from hub.organisations.models import Membership
from hub.organisations.permissions import Permission
from hub.organisations.selectors import memberships_of

EVENTS_SHOWN = 100
MAJORITIES = {
    "simple": _noop("more yes than no"),
    "two_thirds": _noop("two thirds of those who say yes or no"),
    "unanimous": _noop("nobody who says no"),
}


def who_decides(federation: Federation, kind: str) -> str:
    """Who decides on such proposals in this federation, as a sentence."""
    policy = federation.typed_policy
    return sentence_of(policy.voting, is_led=kind in policy.led)


def sentence_of(rule: VotingRule, *, is_led: bool) -> str:
    """A rule in words."""
    if is_led:
        return _("The lead organisation decides.")
    share = f"{round(rule.quorum * 100)}%"
    return _(
        "The members vote, one voice each: %(share)s must take part, and it needs %(majority)s. "
        "The vote closes after %(days)s days."
    ) % {"share": share, "majority": _(MAJORITIES[rule.majority]), "days": rule.days}


@dataclass(frozen=True, slots=True)
class Voice:
    """One organisation in a vote."""

    place: Participation
    vote: Vote | None
    counts: bool  # it takes part at present
    is_own: bool  # the reader may vote for it

    @property
    def word(self) -> str:
        if not self.counts:
            state = self.place.get_state_display()
            return _("does not count: %(state)s") % {"state": state}
        return self.vote.get_choice_display() if self.vote else _("has not voted")

    @property
    def state(self) -> str:
        if not self.counts:
            return "withdrawn"
        choice = self.vote.choice if self.vote else ""
        return {"yes": "accepted", "no": "refused", "abstain": "lapsed"}.get(choice, "open")


class Ballot:
    """A proposal as one person sees it: four queries, however many vote."""

    def __init__(self, proposal: Proposal, user: User) -> None:
        self.proposal = proposal
        self.user = user

    @property
    def words(self) -> str:
        return words_of(self.proposal)

    @property
    def title(self) -> str:
        return self.words[:1].upper() + self.words[1:]

    @cached_property
    def held(self) -> Mapping[UUID, Membership]:
        return {one.organisation_id: one for one in memberships_of(self.user)}

    @cached_property
    def voices(self) -> Sequence[Voice]:
        """Those with a voice, by name."""
        votes = {one.participation_id: one for one in self.proposal.votes.select_related("voter")}
        places = Participation.objects.filter(pk__in=self.proposal.electorate)
        return [
            Voice(place, votes.get(place.pk), _is_active(place), self._is_own(place))
            for place in places.select_related("organisation").order_by("organisation__name")
        ]

    def _is_own(self, place: Participation) -> bool:
        membership = self.held.get(place.organisation_id)
        return membership is not None and membership.may(Permission.VOTE) and _is_active(place)

    @cached_property
    def tally(self) -> Tally:
        """Of an open one as it is now; of a decided one as it then was."""
        votes = {one.place.pk: one.vote.choice for one in self.voices if one.vote}
        present = {one.place.pk for one in self.voices if one.counts}
        return tally(self.proposal.electorate, present, votes)

    @property
    def bars(self) -> Sequence[tuple[str, int, str]]:
        """What was said, how often, and in which tone it is drawn."""
        count = self.tally
        return (
            (_("Yes"), count.yes, "positive"),
            (_("No"), count.no, "negative"),
            (_("Abstained"), count.abstained, "neutral"),
            (_("Not yet"), count.waiting, "waiting"),
        )

    @property
    def rule(self) -> VotingRule:
        return self.proposal.typed_rule

    @property
    def needed(self) -> int:
        return needed(self.rule, self.tally.electorate)

    @property
    def missing(self) -> int:
        """How many more must vote for the quorum."""
        return max(0, self.needed - self.tally.voted)

    @property
    def rule_words(self) -> str:
        return sentence_of(self.rule, is_led=self.proposal.is_led)

    @property
    def outlook(self) -> str:
        """What would come of it if nobody else voted, in a sentence."""
        if self.proposal.is_led:
            return _("The lead organisation has not said yet.")
        end = outcome(self.rule, self.tally)
        if end == "lapsed":
            return ngettext(
                "%(count)s more organisation must vote, or it lapses.",
                "%(count)s more organisations must vote, or it lapses.",
                self.missing,
            ) % {"count": self.missing}
        if end == "accepted":
            return _("If nobody else votes, it is accepted.")
        return _("If nobody else votes, it is refused.")

    @property
    def own(self) -> Sequence[Voice]:
        return [one for one in self.voices if one.is_own]

    @property
    def may_vote(self) -> bool:
        return self.proposal.is_open and bool(self.own)

    @property
    def may_withdraw(self) -> bool:
        membership = self.held.get(self.proposal.participation.organisation_id)
        is_able = membership is not None and membership.may(Permission.MAKE_PROPOSALS)
        return self.proposal.is_open and is_able

    @property
    def template(self) -> str:
        kind = kinds.get(self.proposal.kind)
        return kind.template if kind else ""

    @cached_property
    def shown(self) -> Mapping[str, object]:
        """What its kind shows of what would change."""
        kind = kinds.get(self.proposal.kind)
        return kind.shown(self.proposal) if kind and kind.shown else {}

    @cached_property
    def history(self) -> Sequence[Told]:
        events = Event.objects.filter(subject_id=self.proposal.pk).order_by("-pk")
        return told(events[:EVENTS_SHOWN])


@dataclass(frozen=True, slots=True)
class Row:
    """A proposal in a list."""

    proposal: Proposal
    tally: Tally
    waits_for_reader: bool

    @property
    def words(self) -> str:
        return words_of(self.proposal)

    @property
    def title(self) -> str:
        return self.words[:1].upper() + self.words[1:]


class Reader:
    """A person in one federation: what they may do there, and which votes wait for them."""

    def __init__(self, user: User, federation_id: UUID) -> None:
        self.user = user
        self.federation_id = federation_id

    @cached_property
    def standpoint(self) -> Standpoint:
        """All seats, without what was declared; for members, who join nothing. Two queries."""
        held = {one.organisation_id: one for one in memberships_of(self.user)}
        places = Participation.objects.filter(federation=self.federation_id)
        ordered = places.select_related("organisation").order_by("created_at", "pk")
        seats = [
            Seat(place, position, held.get(place.organisation_id))
            for position, place in enumerate(ordered)
        ]
        return Standpoint(seats, may_join=False)

    def may(self, permission: Permission) -> bool:
        """Whether a role of theirs and its organisation's place carry it."""
        return self.standpoint.may(permission)

    @cached_property
    def present(self) -> set[UUID]:
        """The places that take part."""
        return {seat.place.pk for seat in self.standpoint.seats if seat.is_active}

    @cached_property
    def voices(self) -> set[UUID]:
        """Those for which they may vote."""
        own = (seat for seat in self.standpoint.own if seat.may(Permission.VOTE))
        return {seat.place.pk for seat in own if seat.is_active}

    def rows(self, proposals: QuerySet[Proposal]) -> list[Row]:
        """Proposals of the federation with their votes; one query, however many they are."""
        return [_row(one, self.present, self.voices) for one in with_votes(proposals)]

    def waiting_first(self, proposals: QuerySet[Proposal]) -> QuerySet[Proposal]:
        """What waits for their vote, then what else is open, then what was decided."""
        cast = Vote.objects.filter(proposal=OuterRef("pk"), participation__in=self.voices)
        waits = Q(state=ProposalState.OPEN, electorate__overlap=list(self.voices)) & ~Exists(cast)
        first = Case(When(waits, then=Value(0)), default=Value(1))
        return open_first(proposals, first)


def with_votes(proposals: QuerySet[Proposal]) -> QuerySet[Proposal]:
    """Fetch the votes of each with it, as `cast`."""
    said = JSONObject(place="participation_id", choice="choice")
    votes = Vote.objects.filter(proposal=OuterRef("pk")).values(said=said)
    return proposals.annotate(cast=ArraySubquery(votes))


def _row(proposal: Proposal, present: set[UUID], own: set[UUID]) -> Row:
    cast: Sequence[Mapping[str, str]] = proposal.cast  # type: ignore[attr-defined]
    votes = {UUID(one["place"]): one["choice"] for one in cast}
    count = tally(proposal.electorate, present, votes)
    silent = own.intersection(proposal.electorate) - set(votes)
    return Row(proposal, count, waits_for_reader=proposal.is_open and bool(silent))


def open_first(proposals: QuerySet[Proposal], *before: Case) -> QuerySet[Proposal]:
    """Open ones first, those that close next before others; then the decided, the newest first.

    `before`: by what they are put in order before that.
    """
    is_open = Case(When(state=ProposalState.OPEN, then=Value(0)), default=Value(1))
    closing = Case(When(state=ProposalState.OPEN, then=F("closes_at")))
    return proposals.order_by(*before, is_open, closing.asc(nulls_last=True), "-created_at")


def _is_active(place: Participation) -> bool:
    return place.state == ParticipationState.ACTIVE
