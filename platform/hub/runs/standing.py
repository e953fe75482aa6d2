"""What an agent may ask about itself: who it is here, and what work its organisation may get."""

from __future__ import annotations

import json

from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from federation.plan import Plan
from federation.protocol import BaseModelRef, Place, StandingOut
from hub.catalogue.models import BaseModelFile
from hub.federations.models import Participation, ParticipationState
from hub.organisations.models import Agent
from hub.runs.models import Run, RunState


def standing_of(agent: Agent) -> StandingOut:
    """The agent's standing, in one query; it tells what a lease would tell anyway."""
    return StandingOut(
        agent=agent.pk,
        name=agent.name,
        organisation=agent.organisation.slug,
        organisation_name=agent.organisation.name,
        key_id=agent.key_id,
        places=tuple(_place(found) for found in _places(agent)),
    )


def _places(agent: Agent) -> QuerySet[Participation]:
    federation = OuterRef("federation")
    runs = Run.objects.filter(federation=federation).exclude(state=RunState.DRAFT)
    files = BaseModelFile.objects.filter(base_model=OuterRef("federation__base_model"))
    sizes = files.order_by().values("base_model").annotate(sum=Sum("artifact__size_bytes"))
    return (
        Participation.objects.filter(
            organisation_id=agent.organisation_id, state=ParticipationState.ACTIVE
        )
        .select_related("federation__base_model")
        .annotate(
            plan=Subquery(runs.order_by("-created_at").values("plan")[:1]),
            base_bytes=Coalesce(Subquery(sizes.values("sum")), 0),
        )
        .order_by("federation__slug")
    )


def _place(found: Participation) -> Place:
    federation, base = found.federation, found.federation.base_model
    plan, size = found.plan, found.base_bytes  # type: ignore[attr-defined]  # annotated
    return Place(
        federation=federation.slug,
        federation_name=federation.name,
        base=BaseModelRef(repo=base.repo, revision=base.revision),
        base_bytes=int(size),
        plan=Plan.model_validate_json(json.dumps(plan)) if plan else None,
    )
