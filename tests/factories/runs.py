"""Runs, rounds, tasks and updates in any state, without having been run."""

from __future__ import annotations

from datetime import timedelta

import factory
from django.utils import timezone
from factory import LazyAttribute, LazyFunction, SelfAttribute, SubFactory
from factory.django import DjangoModelFactory

from federation.plan import Lora, Plan, Rounds, SequenceClassification
from hub.runs.models import Round, RoundState, Run, RunState, Task, TaskState, Update, UpdateState
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import ArtifactFactory
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import AgentFactory

PLAN = Plan(
    task=SequenceClassification(labels=("ham", "spam")),
    adapter=Lora(rank=8, alpha=16.0),
    rounds=Rounds(count=5, quorum=2),
)


class RunFactory(DjangoModelFactory[Run]):
    class Meta:
        model = Run

    federation = SubFactory(FederationFactory)
    number = LazyAttribute(lambda run: run.federation.runs.count() + 1)
    name = LazyAttribute(lambda run: f"Run {run.number}")
    state = RunState.RUNNING
    plan = LazyFunction(lambda: PLAN.model_dump(mode="json"))
    plan_digest = PLAN.digest()
    created_by = SubFactory(UserFactory)
    start = SubFactory(ArtifactFactory)
    started_at = LazyFunction(timezone.now)


class RoundFactory(DjangoModelFactory[Round]):
    class Meta:
        model = Round

    run = SubFactory(RunFactory)
    number = LazyAttribute(lambda found: found.run.rounds.count() + 1)
    state = RoundState.COLLECTING
    start = SelfAttribute("run.start")
    deadline_at = LazyFunction(lambda: timezone.now() + timedelta(hours=1))


class TaskFactory(DjangoModelFactory[Task]):
    """Work that an agent has leased; `agent` is of the participation's organisation."""

    class Meta:
        model = Task

    round = SubFactory(RoundFactory)
    participation = SubFactory(
        ParticipationFactory, federation=SelfAttribute("..round.run.federation")
    )
    agent = SubFactory(AgentFactory, organisation=SelfAttribute("..participation.organisation"))
    type = "train"
    state = TaskState.LEASED
    fence = 1
    leased_at = LazyFunction(timezone.now)
    lease_expires_at = LazyAttribute(
        lambda task: timezone.now() + timedelta(minutes=1) if task.state == "leased" else None
    )


class UpdateFactory(DjangoModelFactory[Update]):
    class Meta:
        model = Update

    task = SubFactory(TaskFactory, state=TaskState.COMPLETED)
    round = SelfAttribute("task.round")
    participation = SelfAttribute("task.participation")
    agent = SelfAttribute("task.agent")
    artifact = SubFactory(ArtifactFactory)
    state = UpdateState.ACCEPTED
    rank = 8
    examples = 100
    tokens = 1000
    steps = 10
    device_seconds = 1.0
    statement = factory.Dict({})
    signature = "none"
