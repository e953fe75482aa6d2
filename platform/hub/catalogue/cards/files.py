"""The files of a version: what `from_pretrained` needs, and a card written from the records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from federation.layout import ranks_of, read_layout
from federation.modelling.config import adapter_config, layers_of
from federation.plan import FullWeights, Lora, Plan
from federation.plan_tasks import Labelled
from hub.catalogue.blobs.artifacts import adopt_bytes
from hub.catalogue.blobs.storage import store
from hub.catalogue.cards.markup import bullets, plain, prose, quoted, table
from hub.catalogue.cards.privacy import privacy_statement
from hub.catalogue.cards.records import Contributors, Record, Result
from hub.catalogue.cards.usage import asking, head_options, preparer
from hub.catalogue.models import Artifact, BaseModel
from hub.common.languages import on_record
from hub.common.templatetags.foedus import formatted
from hub.federations.models import Federation

__all__ = [
    "ADAPTER",
    "CARD",
    "CONFIG",
    "LABELS",
    "PIPELINES",
    "model_card",
    "plain",
    "version_files",
]

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
VERIFY = (
    "`foedus-verify model FOLDER --key KEY` checks the signature in `model.sig`, these digests, "
    "and that nothing else lies in the folder."
)
# What the Hugging Face Hub calls our tasks.
PIPELINES = {
    "sequence_classification": "text-classification",
    "causal_lm": "text-generation",
    "chat": "text-generation",
    "masked_lm": "fill-mask",
    "image_classification": "image-classification",
}


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
    card = model_card(Record(plan, federation, adapter, contributors))
    files = {
        ADAPTER: adapter,
        CONFIG: adopt_bytes(content=as_json(config)),
        CARD: adopt_bytes(content=card.encode()),
    }
    if isinstance(plan.task, Labelled):
        files[LABELS] = adopt_bytes(content=as_json(list(plan.task.labels)))
    return files


@on_record()
def model_card(record: Record) -> str:
    """Markdown with YAML metadata, as the Hugging Face Hub defines model cards."""
    sections = (f"## {title}\n\n{text}" for title, text in _sections(record) if text)
    federation = record.federation
    top = (
        f"---\n{_metadata(record)}\n---",
        f"# {plain(federation.name)}{f', version {record.number}' if record.number else ''}",
        prose(federation.purpose),
        _introduction(federation.base_model),
    )
    return "\n\n".join(part for part in (*top, *sections) if part) + "\n"


def _sections(record: Record) -> Iterator[tuple[str, str]]:
    federation = record.federation
    yield "What it is for", prose(federation.intended_use) or "The federation has not said."
    yield "Limits", prose(federation.limits) or "The federation has not said."
    yield "How to load it", _usage(record.plan, federation)
    yield "What it achieves", _results(record)
    yield "Who trained it", _who(record)
    yield "On what data", _data(record)
    yield "What each contributed", _shares(record)
    yield "How", _how(record)
    yield "Base model and licence", _base(federation.base_model)
    yield "Privacy", bullets(privacy_statement(record.plan))
    yield "Checksums", _checksums(record)


def _introduction(base: BaseModel) -> str:
    return (
        f"An adapter over `{base.repo}` ({plain(base.name)}), trained together by organisations "
        "that did not share their data."
    )


def _metadata(record: Record) -> str:
    from huggingface_hub import ModelCardData  # noqa: PLC0415  (slow, and only jobs need it)

    plan, base = record.plan, record.federation.base_model
    results = [result for result in record.results or () if result.score.value is not None]
    data = ModelCardData(
        base_model=base.repo,
        eval_results=[_indexed(result, record) for result in results] or None,
        library_name="peft",
        license=base.licence.lower(),
        model_name=record.federation.name if results else None,
        pipeline_tag=PIPELINES[plan.task.type],
        tags=["federated-learning", plan.adapter.type.replace("_", "-")],
    )
    return str(data.to_yaml()).strip()


def _indexed(result: Result, record: Record) -> Any:
    """One figure as the `model-index` has it; the data are private, so their name says whose."""
    from huggingface_hub import EvalResult  # noqa: PLC0415

    whose = result.organisation or "all organisations together"
    return EvalResult(
        task_type=PIPELINES[record.plan.task.type],
        dataset_type=f"private/{record.federation.slug}",
        dataset_name=f"Test data of {whose}",
        dataset_config=whose,
        metric_type=result.score.measure.title.lower(),
        metric_value=result.score.value,
    )


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


def _results(record: Record) -> str:
    if record.results is None:
        return "Its evaluation has not ended."
    if not record.results:
        return "Nobody has measured it."
    measure = record.results[0].score.measure
    head = ("test data of", measure.title.lower(), "at the start of the run", "examples")
    said = "Measured by each organisation on test data that only it has, and added up exactly."
    return f"{said}\n\n{table(head, map(_result, record.results), numbers=3)}"


def _result(result: Result) -> tuple[str, ...]:
    score = result.score
    whose = plain(result.organisation) or "**all together**"
    if score.coverage:
        whose += f" ({score.coverage})"
    figures = (formatted(value, score.measure.format) for value in (score.value, score.before))
    return (whose, *figures, str(score.examples))


def _who(record: Record) -> str:
    rows = [
        (plain(str(one["organisation"])), str(one["examples"]), f"{one['weight']:.1%}")
        for one in record.contributors
    ]
    whose = table(("organisation", "examples", "weight"), sorted(rows), numbers=2)
    if record.origin is None:
        return whose
    organisations = "1 organisation" if len(rows) == 1 else f"{len(rows)} organisations"
    return (
        f"Round {record.origin.round} of {record.plan.rounds.count} of the run "
        f"«{plain(record.origin.run)}», with updates of {organisations}.\n\n{whose}"
    )


def _data(record: Record) -> str:
    """Each organisation's own words, as it wrote them; the hub has not seen the data."""
    said = dict(record.data_statements)
    names = sorted({str(one["organisation"]) for one in record.contributors})
    return "\n\n".join(
        f"{plain(name)}:\n\n{quoted(said[name])}"
        if name in said
        else f"{plain(name)} has not said."
        for name in names
    )


def _shares(record: Record) -> str:
    """Nothing, until a charter publishes shares and somebody has computed them."""
    return bullets(f"{plain(name)}: {share:.1%}" for name, share in record.shares)


def _how(record: Record) -> str:
    plan = record.plan
    adapter, training = plan.adapter, plan.training
    alpha = f", alpha {adapter.alpha:g}" if isinstance(adapter, Lora) else ""
    lines = (
        f"adapter: {plain(adapter.in_words)}{alpha}",
        f"epochs in a round: {training.epochs:g}, in batches of {training.batch_size}",
        f"learning rate: {training.learning_rate:g}, {training.schedule} schedule",
        f"aggregation: `{plan.aggregation.strategy}`",
        f"rounds planned: {plan.rounds.count}, seed: {plan.seed}",
        *_errors(record),
    )
    return bullets(lines)


def _errors(record: Record) -> Iterator[str]:
    """What the aggregation says that it lost, where the method defines it."""
    words = {
        "relative_error": "difference between the aggregate and the exact mean of the changes",
        "discarded_energy": "energy cut away to fit the rank",
    }
    for name, meaning in words.items():
        if isinstance(value := record.report.get(name), int | float):
            yield f"{meaning}: {value:.3%}"


def _base(base: BaseModel) -> str:
    source = f", from {plain(base.source)}" if base.source else ""
    return (
        f"`{base.repo}` at `{base.revision}`{source}. Licence of the base model: "
        f"{plain(base.licence)}; it applies to what is made of it."
    )


def _checksums(record: Record) -> str:
    digests = (
        f"`{ADAPTER}`: sha-256 `{record.adapter.sha256}`",
        f"plan: sha-256 `{record.plan.digest()}`",
    )
    return f"{bullets(digests)}\n\n{VERIFY}"


def as_json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
