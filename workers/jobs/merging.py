"""A version worked into the weights of its base model, as a repository of its own."""

from __future__ import annotations

import json

from federation.layout import LayoutRefused
from federation.modelling import ModellingRefused
from federation.plan import Plan
from hub.catalogue.blobs.artifacts import adopt_bytes, adopt_file
from hub.catalogue.blobs.storage import store
from hub.catalogue.cards.files import ADAPTER, CARD, CONFIG, plain
from hub.catalogue.hf.repositories import MergedRepository
from hub.catalogue.models import Artifact, BaseModel, MergedModel, ModelVersion
from hub.catalogue.versions import merging
from jobs.folders import base_folder, scratch

WEIGHTS = (".safetensors", ".safetensors.index.json")


def merge_claimed(claimed: MergedModel) -> None:
    """Make the files of a merged model and keep them; a refusal is recorded."""
    version = claimed.version
    plan = Plan.model_validate_json(json.dumps(version.plan))
    try:
        made = _made(version, plan)
    except (ModellingRefused, LayoutRefused) as refused:
        merging.fail_merge(merged_id=claimed.pk, code=refused.code, reason=refused.detail)
        return
    made[CARD] = adopt_bytes(content=_card(version, plan).encode())
    merging.record_merge(merged_id=claimed.pk, files=_kept(version.base_model) | made)


def _made(version: ModelVersion, plan: Plan) -> dict[str, Artifact]:
    from federation.modelling import merge_adapter

    files = {file.path: store().local_path(file.artifact_id) for file in version.files}
    with scratch() as folder:
        digests = merge_adapter(
            base=base_folder(version.base_model),
            adapter=files[ADAPTER],
            config=json.loads(files[CONFIG].read_bytes()),
            plan=plan,
            target=folder,
        )
        return {
            path: adopt_file(path=folder / path, sha256=digest) for path, digest in digests.items()
        }


def _kept(base: BaseModel) -> dict[str, Artifact]:
    """What the base has beside its weights, such as its tokenizer and its licence."""
    files = base.files.select_related("artifact")
    return {file.path: file.artifact for file in files if not file.path.endswith(WEIGHTS)}


def _card(version: ModelVersion, plan: Plan) -> str:
    from huggingface_hub import ModelCardData

    base, number = version.base_model, version.number
    known = MergedRepository(version.federation).at(f"v{number}").card
    data = ModelCardData(**known, tags=["federated-learning", "merged"])
    return (
        f"---\n{data.to_yaml().strip()}\n---\n\n# {plain(version.federation.name)}, merged\n\n"
        f"`{base.repo}` with version {number} of `{version.repo}` worked into its weights, so that "
        f"`{plan.task.model_class}` of transformers loads it alone. Who trained it and what it is "
        f'for is on the card of `{version.repo}`, revision `"v{number}"`.\n\n'
        f"Adapter: sha-256 `{version.adapter_id}`\n"
    )
