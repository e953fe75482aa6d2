"""The adapter that a run's first round starts from."""

from __future__ import annotations

from federation.layout import lora_factor, ranks_of, read_layout, residual_rank
from federation.plan import Plan
from federation.terms import TERMS
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.blobs.storage import store
from hub.catalogue.cards.files import ADAPTER
from hub.catalogue.models import Artifact, ModelVersion
from hub.runs.models import Run
from jobs.folders import base_folder, scratch


def starting_adapter(run: Run) -> Artifact:
    """The parent version's adapter, or a fresh one drawn from the plan's seed.

    Raises:
        ValueError: the plan does not fit the base model, or not the version that it goes on from.
    """
    if run.parent_version is not None:
        return _continued(run.parent_version, run.typed_plan)
    from federation.modelling import create_adapter

    with scratch() as folder:
        target = folder / "start.safetensors"
        base = base_folder(run.federation.base_model)
        create_adapter(base=base, plan=run.typed_plan, target=target)
        return adopt_file(path=target, federation=run.federation)


def _continued(version: ModelVersion, plan: Plan) -> Artifact:
    """A version's state where the plan's strategy goes on with such, else what it published."""
    terms = TERMS[plan.aggregation.strategy]
    layout = read_layout(store().local_path(version.adapter_id))
    has_middle = any(lora_factor(name) == "R" for name in layout.tensors)
    if terms.has_middle and not has_middle:
        raise ValueError(
            f"{plan.aggregation.strategy} needs factors that stay as they are and a matrix between "
            f"them, which {version} does not have: begin without it"
        )
    is_kept = terms.has_middle or not has_middle
    if is_kept and (terms.has_residual or not residual_rank(layout)):
        return _of_rank(version, version.adapter, plan)
    return _of_rank(version, version.files.get(path=ADAPTER).artifact, plan)


def _of_rank(version: ModelVersion, adapter: Artifact, plan: Plan) -> Artifact:
    ranks = ranks_of(read_layout(store().local_path(adapter.pk)))
    if ranks - {plan.adapter.rank}:
        raise ValueError(
            f"{version} is of rank {max(ranks)}, and the plan of rank {plan.adapter.rank}"
        )
    return adapter
