"""What a round goes on from beside its adapter: what the server's optimiser has remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from federation.plan import Plan
from federation.plan_server import CONTROLLED
from hub.catalogue.models import Artifact, ModelVersion
from hub.runs.models import Round, Run


@dataclass(frozen=True, slots=True)
class Memory:
    """The state, and of which updates it holds control variates.

    `controls`: by participation, the digest of the statement of the last update that counted. That
    update's site keeps the other half of what is remembered under this name.
    """

    state: Artifact
    controls: Mapping[str, str]

    def control_after(self, participation_id: UUID) -> str | None:
        return self.controls.get(str(participation_id))


def memory_of(current: Round) -> Memory | None:
    """What the server's optimiser goes on from in a round; the same whenever it is asked.

    It is that of the version whose adapter the round starts from, made by the same optimiser in
    the same space, and with control variates for the same sites; none where it begins anew.
    """
    parent, plan = parent_version(current.run, current), current.run.typed_plan
    if parent is None or parent.adapter_id != current.start_id or parent.optimiser_state is None:
        return None
    before = Plan.model_validate_json(json.dumps(parent.plan))
    if _space(before) != _space(plan):
        return None
    if is_controlled(plan) and not _has_the_same_sites(parent, current.run):
        return None
    return Memory(parent.optimiser_state, parent.report.get("control_after", {}))


def remembered(current: Round) -> str | None:
    """The SHA-256 of the state that the server's optimiser goes on from in a round, if any."""
    memory = memory_of(current)
    return memory.state.pk if memory else None


def is_controlled(plan: Plan) -> bool:
    """Whether the sites' gradients are corrected by what server and sites remember (SCAFFOLD)."""
    return plan.server.optimiser == CONTROLLED


def brought_bytes(current: Round) -> int:
    """What a site downloads to train in a round: the adapter, and the server's control variate."""
    memory = memory_of(current) if is_controlled(current.run.typed_plan) else None
    return current.start.size_bytes + (memory.state.size_bytes if memory else 0)


def parent_version(run: Run, current: Round) -> ModelVersion | None:
    """The version that a round goes on from, which is that of the round before; needs its state."""
    if current.number == 1:
        return run.parent_version
    rounds = run.rounds.select_related("version__optimiser_state")
    return rounds.get(number=current.number - 1).version


def _has_the_same_sites(parent: ModelVersion, run: Run) -> bool:
    """The mean over all sites of a run is none over others."""
    made = Round.objects.select_related("run").filter(version=parent).first()
    return made is not None and set(made.run.trainers) == set(run.trainers)


def _space(plan: Plan) -> tuple[object, ...]:
    """What an optimiser's state is about."""
    return plan.server.optimiser, plan.aggregation.strategy, plan.adapter
