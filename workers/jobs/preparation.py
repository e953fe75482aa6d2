"""The adapter that a run's first round starts from."""

from __future__ import annotations

from hub.catalogue.artifacts import adopt_file
from hub.catalogue.models import Artifact
from hub.runs.models import Run
from jobs.folders import base_folder, scratch


def starting_adapter(run: Run) -> Artifact:
    """The parent version's adapter, or a fresh one drawn from the plan's seed.

    Raises:
        ValueError: the plan does not fit the base model.
    """
    if run.parent_version is not None:
        return run.parent_version.adapter
    from federation.modelling import create_adapter

    with scratch() as folder:
        target = folder / "start.safetensors"
        base = base_folder(run.federation.base_model)
        create_adapter(base=base, plan=run.typed_plan, target=target)
        return adopt_file(path=target, federation=run.federation)
