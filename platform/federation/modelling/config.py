"""The adapter's configuration as peft reads it. Nothing here imports torch."""

from __future__ import annotations

from federation.plan import Plan, SequenceClassification

# The heads that peft trains in full for classification, by the names architectures give them.
HEADS = ("classifier", "score")


def adapter_config(plan: Plan, *, base_repo: str, rank: int | None = None) -> dict[str, object]:
    """The content of adapter_config.json, for `PeftModel.from_pretrained`.

    Without a rank it is the shared adapter's. The LoRA scale alpha / rank is the plan's at every
    rank, so `lora_alpha` follows the rank.
    """
    rank = plan.adapter.rank if rank is None else rank
    return {
        "peft_type": "LORA",
        "task_type": task_type(plan),
        "base_model_name_or_path": base_repo,
        "r": rank,
        "lora_alpha": plan.adapter.scale * rank,
        "lora_dropout": 0.0,
        "target_modules": sorted(plan.adapter.targets),
        "modules_to_save": list(HEADS) if label_count(plan) else None,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
    }


def task_type(plan: Plan) -> str:
    """Mean pooling rides on token classification: a linear head commutes with the mean."""
    if not isinstance(plan.task, SequenceClassification):
        return "CAUSAL_LM"
    return "TOKEN_CLS" if plan.task.pooling == "mean" else "SEQ_CLS"


def label_count(plan: Plan) -> int:
    """How wide the head is; 0 where there is none to train."""
    return len(plan.task.labels) if isinstance(plan.task, SequenceClassification) else 0
