"""The files of a version: what `from_pretrained` needs, and a card written from the records."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from federation.layout import ranks_of, read_layout
from federation.modelling.config import adapter_config, layers_of
from federation.plan import FullWeights, Lora, Plan
from federation.plan_tasks import Labelled
from hub.catalogue.artifacts import adopt_bytes
from hub.catalogue.models import Artifact, BaseModel
from hub.catalogue.storage import store
from hub.catalogue.usage import asking, head_options, preparer
from hub.federations.models import Federation

ADAPTER, CONFIG, CARD, LABELS = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "README.md",
    "labels.json",
)
ACCESS = (
    "Set `HF_ENDPOINT` to the address of the hub followed by `/hf`, and `HF_TOKEN` to a token of "
    "yours."
)
# What the Hugging Face Hub calls our tasks.
PIPELINES = {
    "sequence_classification": "text-classification",
    "causal_lm": "text-generation",
    "chat": "text-generation",
    "masked_lm": "fill-mask",
    "image_classification": "image-classification",
}
MARKS = re.compile(r"([\\`*_{}\[\]<>#|!~&])")

Contributors = Sequence[Mapping[str, Any]]


def version_files(
    *, plan: Plan, federation: Federation, adapter: Artifact, contributors: Contributors
) -> dict[str, Artifact]:
    """Write the files of a version around its adapter; equal records give equal bytes."""
    base = federation.base_model
    layout = read_layout(store().local_path(adapter.pk))
    config = adapter_config(
        plan,
        base_repo=base.repo,
        rank=max(ranks_of(layout), default=None),
        layers=layers_of(layout.tensors) if isinstance(plan.adapter, FullWeights) else (),
    )
    card = model_card(plan=plan, federation=federation, adapter=adapter, contributors=contributors)
    files = {
        ADAPTER: adapter,
        CONFIG: adopt_bytes(content=_json(config)),
        CARD: adopt_bytes(content=card.encode()),
    }
    if isinstance(plan.task, Labelled):
        files[LABELS] = adopt_bytes(content=_json(list(plan.task.labels)))
    return files


def model_card(
    *, plan: Plan, federation: Federation, adapter: Artifact, contributors: Contributors
) -> str:
    """Markdown with YAML metadata, as the Hugging Face Hub defines model cards."""
    base = federation.base_model
    parts = (
        f"---\n{_metadata(plan, base)}\n---",
        f"# {plain(federation.name)}",
        plain(federation.purpose),
        _introduction(base),
        "## How to load it\n\n" + _usage(plan, federation),
        "## Who trained it\n\n" + _table(contributors),
        "## How\n\n" + _how(plan),
        f"## Checksums\n\n`{ADAPTER}`: sha-256 `{adapter.sha256}`, plan `{plan.digest()}`",
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(base: BaseModel) -> str:
    return (
        f"An adapter over `{base.repo}` ({plain(base.name)}), trained together by organisations "
        "that did not share their data."
    )


def plain(text: str) -> str:
    """A name as Markdown that stays what it is: no markup, no HTML, one line."""
    return MARKS.sub(r"\\\1", " ".join(text.split()))


def _metadata(plan: Plan, base: BaseModel) -> str:
    from huggingface_hub import ModelCardData  # noqa: PLC0415  (slow, and only jobs need it)

    data = ModelCardData(
        base_model=base.repo,
        library_name="peft",
        license=base.licence.lower(),
        pipeline_tag=PIPELINES[plan.task.type],
        tags=["federated-learning", plan.adapter.type.replace("_", "-")],
    )
    return str(data.to_yaml()).strip()


def _usage(plan: Plan, federation: Federation) -> str:
    base, repo = federation.base_model.repo, f"{federation.slug}/adapter"
    variable, preparing = preparer(plan)
    model_class = plan.task.model_class
    lines = [
        "from peft import PeftModel",
        f"from transformers import {model_class}, {preparing}",
        "",
        f'{variable} = {preparing}.from_pretrained("{base}")',
        f'base = {model_class}.from_pretrained("{base}"{head_options(plan)})',
        f'model = PeftModel.from_pretrained(base, "{repo}")',
        *asking(plan),
    ]
    return "\n".join([ACCESS, "", "```python", *lines, "```"])


def _table(contributors: Contributors) -> str:
    rows = [
        f"| {plain(str(one['organisation']))} | {one['examples']} | {one['weight']:.1%} |"
        for one in contributors
    ]
    return "\n".join(["| organisation | examples | weight |", "|---|---:|---:|", *sorted(rows)])


def _how(plan: Plan) -> str:
    adapter, training = plan.adapter, plan.training
    alpha = f", alpha {adapter.alpha:g}" if isinstance(adapter, Lora) else ""
    lines = (
        f"adapter: {plain(adapter.in_words)}{alpha}",
        f"epochs in a round: {training.epochs:g}, in batches of {training.batch_size}",
        f"learning rate: {training.learning_rate:g}, {training.schedule} schedule",
        f"aggregation: `{plan.aggregation.strategy}`",
        f"rounds planned: {plan.rounds.count}, seed: {plan.seed}",
    )
    return "\n".join(f"- {line}" for line in lines)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
