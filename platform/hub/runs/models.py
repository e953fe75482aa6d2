"""Runs, rounds, tasks and updates: the state machines of federated training."""

from __future__ import annotations

import json
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from federation.plan import Plan
from federation.protocol import TaskType
from federation.rules import Evidence
from hub.catalogue.models import Artifact, ModelVersion, Probe
from hub.common.models import Stateful, Transitions
from hub.federations.models import Federation, Participation
from hub.organisations.models import Agent
from hub.runs.commitment_models import Commitment, Unveiling  # noqa: F401  (Django looks here)
from hub.runs.point_models import TrainingPoint  # noqa: F401  (and here)
from hub.runs.stacked_models import Stacking  # noqa: F401  (and here)


class RunState(models.TextChoices):
    DRAFT = "draft", _lazy("draft")
    QUEUED = "queued", _lazy("queued")
    RUNNING = "running", _lazy("running")
    PAUSED = "paused", _lazy("paused")
    COMPLETED = "completed", _lazy("completed")
    FAILED = "failed", _lazy("failed")
    CANCELLED = "cancelled", _lazy("cancelled")


class Purpose(models.TextChoices):
    FEDERATED = "federated", _lazy("Together")
    SOLO = "solo", _lazy("One organisation alone")
    REFERENCE = "reference", _lazy("All data in one place")


class Run(Stateful):
    """One campaign of a federation from a base model to model versions; its plan is frozen."""

    subject = "run"
    transitions: ClassVar[Transitions] = {
        RunState.DRAFT: {RunState.QUEUED, RunState.CANCELLED},
        RunState.QUEUED: {RunState.RUNNING, RunState.FAILED, RunState.CANCELLED},
        RunState.RUNNING: {
            RunState.PAUSED,
            RunState.COMPLETED,
            RunState.FAILED,
            RunState.CANCELLED,
        },
        RunState.PAUSED: {RunState.RUNNING, RunState.CANCELLED},
        RunState.COMPLETED: set(),
        RunState.FAILED: set(),
        RunState.CANCELLED: set(),
    }

    state = models.CharField(max_length=20, choices=RunState, default=RunState.DRAFT)
    federation = models.ForeignKey(Federation, on_delete=models.PROTECT, related_name="runs")
    number = models.PositiveIntegerField()  # within the federation, from 1
    name = models.CharField(max_length=120)
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.FEDERATED)
    plan = models.JSONField()
    plan_digest = models.CharField(max_length=64)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    # Who trains and who evaluates; fixed when the run starts (ids of participations).
    trainers = ArrayField(models.UUIDField(), default=list)
    evaluators = ArrayField(models.UUIDField(), default=list)
    parent_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="runs_from_here"
    )  # continue from this version; null: from a fresh adapter
    start = models.ForeignKey(
        Artifact, on_delete=models.PROTECT, null=True, related_name="+"
    )  # the adapter round 1 starts from; set by preparation
    compared_with = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="comparisons"
    )  # the run that this one shows what joining is worth of; its trainer worked alone
    probe = models.ForeignKey(
        Probe, on_delete=models.PROTECT, null=True, related_name="runs"
    )  # what it is measured on by the hub itself; the federation's when the run started
    waiting_since = models.DateTimeField(null=True)  # for signatures, before the next round
    failure_code = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=["federation", "number"], name="run_numbers_differ"),
            models.CheckConstraint(
                condition=~models.Q(state="running") | models.Q(start__isnull=False),
                name="a_running_run_has_a_start",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def event_scope(self) -> dict[str, UUID | None]:
        return {"federation_id": self.federation_id, "run_id": self.pk}

    @property
    def typed_plan(self) -> Plan:
        return Plan.model_validate_json(json.dumps(self.plan))


class RoundState(models.TextChoices):
    OPEN = "open", _lazy("open")
    COLLECTING = "collecting", _lazy("collecting")
    AGGREGATING = "aggregating", _lazy("aggregating")
    EVALUATING = "evaluating", _lazy("evaluating")
    CLOSED = "closed", _lazy("closed")
    FAILED = "failed", _lazy("failed")


class Round(Stateful):
    """One cycle of a run: offer tasks, collect updates, aggregate, evaluate.

    `fence` grows each time a hub worker claims the aggregation; a commit with an older fence
    changes nothing.
    """

    subject = "round"
    transitions: ClassVar[Transitions] = {
        RoundState.OPEN: {RoundState.COLLECTING, RoundState.FAILED},
        RoundState.COLLECTING: {RoundState.AGGREGATING, RoundState.FAILED},
        RoundState.AGGREGATING: {RoundState.EVALUATING, RoundState.CLOSED, RoundState.FAILED},
        RoundState.EVALUATING: {RoundState.CLOSED, RoundState.FAILED},
        RoundState.CLOSED: set(),
        RoundState.FAILED: set(),
    }

    state = models.CharField(max_length=20, choices=RoundState, default=RoundState.OPEN)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="rounds")
    number = models.PositiveIntegerField()  # from 1
    start = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")
    deadline_at = models.DateTimeField()
    frozen = models.JSONField(default=list)  # digests and ids of the updates that count
    fence = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    version = models.OneToOneField(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="round"
    )
    reference = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, null=True, related_name="+"
    )  # what its version is measured beside; null: the start of the run
    summary = models.CharField(max_length=500, blank=True)  # how it closed, in one sentence
    failure_code = models.CharField(max_length=64, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=["run", "number"], name="round_numbers_differ"),
            models.CheckConstraint(
                condition=~models.Q(state="closed") | models.Q(version__isnull=False),
                name="a_closed_round_has_a_version",
            ),
        )
        indexes = (models.Index(fields=["state", "deadline_at"]),)

    def __str__(self) -> str:
        return f"round {self.number}"

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `run`."""
        return {"federation_id": self.run.federation_id, "run_id": self.run_id}


class TaskState(models.TextChoices):
    QUEUED = "queued", _lazy("queued")
    LEASED = "leased", _lazy("leased")
    COMPLETED = "completed", _lazy("completed")
    FAILED = "failed", _lazy("failed")
    CANCELLED = "cancelled", _lazy("cancelled")


class Task(Stateful):
    """A unit of work offered to one participation's agents; leased, not assigned."""

    subject = "task"
    transitions: ClassVar[Transitions] = {
        TaskState.QUEUED: {TaskState.LEASED, TaskState.FAILED, TaskState.CANCELLED},
        TaskState.LEASED: {
            TaskState.COMPLETED,
            TaskState.QUEUED,
            TaskState.FAILED,
            TaskState.CANCELLED,
        },
        TaskState.COMPLETED: set(),
        TaskState.FAILED: set(),
        TaskState.CANCELLED: set(),
    }

    state = models.CharField(max_length=20, choices=TaskState, default=TaskState.QUEUED)
    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="tasks")
    participation = models.ForeignKey(Participation, on_delete=models.PROTECT, related_name="tasks")
    type = models.CharField(max_length=12, choices=[(t.value, t.value) for t in TaskType])
    about = models.UUIDField(null=True)  # the valuation that it measures for
    details = models.JSONField(default=dict)  # what its specification says beyond plan and round
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, null=True, related_name="tasks")
    fence = models.PositiveIntegerField(default=0)  # grows with each lease
    lease_expires_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    progress = models.JSONField(default=dict)
    device_seconds = models.FloatField(default=0)  # of an evaluation; an update states its own
    failure_code = models.CharField(max_length=64, blank=True)
    failure_detail = models.CharField(max_length=500, blank=True)
    leased_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=["round", "participation", "type", "about"],
                name="one_task_per_participation",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(state="leased", lease_expires_at__isnull=False)
                | (~models.Q(state="leased") & models.Q(lease_expires_at__isnull=True)),
                name="leased_if_and_only_if_it_has_a_lease",
            ),
        )
        indexes = (
            models.Index(fields=["state", "lease_expires_at"]),
            models.Index(
                fields=["participation", "created_at"],
                condition=models.Q(state="queued"),
                name="task_waiting",
            ),
        )

    def __str__(self) -> str:
        return f"{self.type} by {self.participation_id}"

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `round.run` and `participation`."""
        return {**self.round.event_scope(), "organisation_id": self.participation.organisation_id}


class UpdateState(models.TextChoices):
    RECEIVED = "received", _lazy("received")
    ACCEPTED = "accepted", _lazy("accepted")
    QUARANTINED = "quarantined", _lazy("quarantined")
    REJECTED = "rejected", _lazy("rejected")


class Update(Stateful):
    """What a training task sends back: the trained adapter, the signed statement about it."""

    subject = "update"
    transitions: ClassVar[Transitions] = {
        UpdateState.RECEIVED: {
            UpdateState.ACCEPTED,
            UpdateState.QUARANTINED,
            UpdateState.REJECTED,
        },
        UpdateState.QUARANTINED: {UpdateState.ACCEPTED, UpdateState.REJECTED},
        UpdateState.ACCEPTED: {UpdateState.QUARANTINED},
        UpdateState.REJECTED: set(),
    }

    state = models.CharField(max_length=20, choices=UpdateState, default=UpdateState.RECEIVED)
    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="updates")
    participation = models.ForeignKey(
        Participation, on_delete=models.PROTECT, related_name="updates"
    )
    task = models.OneToOneField(Task, on_delete=models.PROTECT, related_name="update")
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="updates")
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="updates")
    rank = models.PositiveSmallIntegerField()
    examples = models.PositiveIntegerField()
    tokens = models.BigIntegerField()
    steps = models.PositiveIntegerField()
    device_seconds = models.FloatField()
    metrics = models.JSONField(default=dict)
    is_late = models.BooleanField(default=False)  # recorded after the freeze; counts for nothing
    counted_in = models.ForeignKey(
        Round, on_delete=models.PROTECT, null=True, related_name="counted"
    )  # the one round in which it counts; a later one than its own where the plan counts late ones
    statement = models.JSONField()
    signature = models.CharField(max_length=128)
    receipt = models.JSONField(default=dict)
    verdict_code = models.CharField(max_length=64, blank=True)
    evidence = models.JSONField(default=dict)
    norm = models.FloatField(null=True)  # of the change, in ΔW space
    judged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )  # who decided after it was set aside; no sign sets it aside again

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["round", "participation"], name="one_update_per_participation"
            ),
            models.CheckConstraint(
                condition=models.Q(examples__gte=1), name="an_update_has_examples"
            ),
        )

    def __str__(self) -> str:
        return f"update {self.artifact_id[:8]}"

    @property
    def staleness(self) -> int:
        """How many rounds after its own it counts; needs `round` and `counted_in`."""
        return self.counted_in.number - self.round.number if self.counted_in else 0

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `round.run` and `participation`."""
        return {**self.round.event_scope(), "organisation_id": self.participation.organisation_id}


class Comparison(models.Model):
    """How the updates of a round stand to each other: what its peers say of each one.

    It holds for exactly the updates named; a round is only frozen when it is theirs. A table of
    its own, since nobody who lists rounds should read the products of all of them.
    """

    round = models.OneToOneField(Round, on_delete=models.CASCADE, related_name="comparison")
    digests = models.JSONField()  # of the updates, sorted
    products = models.JSONField()  # ⟨Δᵢ, Δⱼ⟩ in ΔW space, in the order of the digests
    probe_failure = models.CharField(max_length=64, blank=True)  # why no loss was measured
    at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"comparison of {len(self.digests)} updates"

    @property
    def evidence(self) -> Evidence:
        """As the engine takes it; floats go through JSON unchanged."""
        return Evidence(tuple(self.digests), tuple(map(tuple, self.products)))


class RecomputationState(models.TextChoices):
    QUEUED = "queued", _lazy("queued")
    COMPUTED = "computed", _lazy("computed")
    FAILED = "failed", _lazy("failed")


class Recomputation(Stateful):
    """What a closed round's stored updates come to: by its own method, or by another one.

    By its own, the digest is the version's or something is wrong. Nothing is published.
    """

    subject = "recomputation"
    transitions: ClassVar[Transitions] = {
        RecomputationState.QUEUED: {RecomputationState.COMPUTED, RecomputationState.FAILED},
        RecomputationState.COMPUTED: {RecomputationState.QUEUED},
        RecomputationState.FAILED: {RecomputationState.QUEUED},
    }

    state = models.CharField(
        max_length=20, choices=RecomputationState, default=RecomputationState.QUEUED
    )
    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="recomputations")
    key = models.CharField(max_length=120)  # as people choose it, such as "fedavg krum"
    method = models.JSONField()  # the plan's sections that make it
    method_digest = models.CharField(max_length=64)
    is_own = models.BooleanField()  # the round's own method: a replay
    attempts = models.PositiveSmallIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True)
    size_bytes = models.BigIntegerField(null=True)  # what each site would download
    report = models.JSONField(default=dict)
    failure_code = models.CharField(max_length=64, blank=True)
    failure_detail = models.CharField(max_length=500, blank=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(fields=["round", "method_digest"], name="a_method_once"),
        )

    def __str__(self) -> str:
        return self.key

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `round.run`."""
        return self.round.event_scope()
