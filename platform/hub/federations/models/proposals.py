"""What members decide together: proposals, and the voice of each organisation."""

from __future__ import annotations

import json
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Identified, Stateful, Transitions
from hub.federations.models.federations import Federation, Participation
from hub.federations.policies import VotingRule


class ProposalState(models.TextChoices):
    OPEN = "open", _lazy("open")
    ACCEPTED = "accepted", _lazy("accepted")
    REFUSED = "refused", _lazy("refused")
    WITHDRAWN = "withdrawn", _lazy("withdrawn")
    LAPSED = "lapsed", _lazy("lapsed")
    FAILED = "failed", _lazy("failed")


class Proposal(Stateful):
    """That a federation do something. `kind` says what its terms mean and how they are applied.

    Who has a voice is fixed when it is made; whoever does not take part any more has lost it.
    Accepted means applied: both are one transaction, and what cannot be applied has failed.
    """

    subject = "proposal"
    transitions: ClassVar[Transitions] = {
        ProposalState.OPEN: {
            ProposalState.ACCEPTED,
            ProposalState.REFUSED,
            ProposalState.WITHDRAWN,
            ProposalState.LAPSED,
            ProposalState.FAILED,
        },
        ProposalState.ACCEPTED: set(),
        ProposalState.REFUSED: set(),
        ProposalState.WITHDRAWN: set(),
        ProposalState.LAPSED: set(),
        ProposalState.FAILED: set(),
    }

    state = models.CharField(max_length=20, choices=ProposalState, default=ProposalState.OPEN)
    federation = models.ForeignKey(Federation, on_delete=models.PROTECT, related_name="proposals")
    kind = models.CharField(max_length=24)  # a name of `proposals.kinds`
    terms = models.JSONField(default=dict)  # as its kind has checked them
    digest = models.CharField(max_length=64)  # SHA-256 of the terms in RFC 8785
    reason = models.CharField(max_length=500, blank=True)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    participation = models.ForeignKey(
        Participation, on_delete=models.PROTECT, related_name="proposals"
    )  # through which it was made
    rule = models.JSONField(default=dict)  # the `VotingRule` of that moment
    electorate = ArrayField(models.UUIDField(), default=list)  # places that have a voice
    is_led = models.BooleanField(default=False)  # the lead's voice is the only one
    closes_at = models.DateTimeField()
    due_at = models.DateTimeField()  # when the hub looks next: at the close, or places have changed
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )  # whose voice settled it; null: open, or the hub closed it
    answer = models.CharField(max_length=500, blank=True)  # why it did not come to pass
    result = models.JSONField(default=dict)  # what applying it has left

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["federation", "kind", "digest"],
                condition=models.Q(state="open"),
                name="one_open_proposal_of_its_terms",
            ),
            models.CheckConstraint(
                condition=models.Q(state="open", decided_at__isnull=True, decided_by__isnull=True)
                | (~models.Q(state="open") & models.Q(decided_at__isnull=False)),
                name="open_or_decided",
            ),
        )
        indexes = (
            models.Index(fields=["federation", "state", "created_at"]),
            models.Index(fields=["due_at"], name="proposals_due", condition=models.Q(state="open")),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `participation`."""
        return {
            "federation_id": self.federation_id,
            "organisation_id": self.participation.organisation_id,
        }

    @property
    def is_open(self) -> bool:
        return self.state == ProposalState.OPEN

    @property
    def typed_rule(self) -> VotingRule:
        return VotingRule.model_validate_json(json.dumps(self.rule))


class Choice(models.TextChoices):
    YES = "yes", _lazy("yes")
    NO = "no", _lazy("no")
    ABSTAIN = "abstain", _lazy("abstention")


class Vote(Identified):
    """What an organisation says to a proposal at present; what it said before is in the events."""

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="votes")
    participation = models.ForeignKey(Participation, on_delete=models.PROTECT, related_name="votes")
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    choice = models.CharField(max_length=8, choices=Choice)
    reason = models.CharField(max_length=500, blank=True)
    number = models.PositiveSmallIntegerField(default=1)  # how often it was cast
    at = models.DateTimeField()

    class Meta:
        ordering = ("at",)
        constraints = (
            models.UniqueConstraint(
                fields=["proposal", "participation"], name="one_vote_per_organisation"
            ),
        )

    def __str__(self) -> str:
        return f"{self.choice} of {self.participation_id}"
