"""The adapter's configuration as peft reads it. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

from federation.plan import (
    AdapterPart,
    FullWeights,
    Ia3,
    Lora,
    Plan,
    PromptTuning,
)
from federation.plan_tasks import Labelled

# The heads that peft trains in full for classification, by the names architectures give them.
HEADS = ("classifier", "score")

# What peft calls the trained copy of a layer, in the names of tensors.
COPY = ".ln_tuning_layers."
_OUTER = "base_model.model."


def is_head(name: str) -> bool:
    """Whether a tensor of this name belongs to a head, which learns at a rate of its own."""
    return bool(set(HEADS).intersection(name.split(".")))


def adapter_config(
    plan: Plan, *, base_repo: str, rank: int | None = None, layers: Iterable[str] = ()
) -> dict[str, object]:
    """The content of adapter_config.json, for `PeftModel.from_pretrained`.

    Without a rank it is the shared adapter's. `layers` are those of the base that full training
    copies, as `layers_of` reads them off the adapter's tensors; other types need none.
    """
    return {
        **_of_type(plan.adapter, plan.adapter.rank if rank is None else rank, layers),
        "task_type": plan.task.peft_task,
        "base_model_name_or_path": base_repo,
        "modules_to_save": list(HEADS) if label_count(plan) else None,
        "inference_mode": True,
    }


def layers_of(tensors: Iterable[str]) -> list[str]:
    """The layers that an adapter's tensors are trained copies of, by their names in the base."""
    copies = (name.partition(COPY) for name in tensors if COPY in name)
    return sorted({layer.removeprefix(_OUTER) for layer, _, _ in copies})


def _of_type(adapter: AdapterPart, rank: int, layers: Iterable[str]) -> dict[str, object]:
    match adapter:
        case Lora():
            return _lora(adapter, rank)
        case Ia3():
            return {
                "peft_type": "IA3",
                "target_modules": sorted(adapter.targets),
                "feedforward_modules": sorted(adapter.feedforward),
                "fan_in_fan_out": False,
                "init_ia3_weights": True,
            }
        case PromptTuning():
            return {
                "peft_type": "PROMPT_TUNING",
                "num_virtual_tokens": adapter.virtual_tokens,
                "prompt_tuning_init": "RANDOM",
            }
        case FullWeights():
            # Made for layer norms, but it copies and trains whatever layer it is told to.
            return {"peft_type": "LN_TUNING", "target_modules": sorted(layers)}


def _lora(adapter: Lora, rank: int) -> dict[str, object]:
    """The scale is the plan's at every rank, so `lora_alpha` follows the rank."""
    return {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": adapter.scale * (sqrt(rank) if adapter.rslora else rank),
        "lora_dropout": 0.0,
        "target_modules": sorted(adapter.targets),
        "bias": "none",
        "use_rslora": adapter.rslora,
        "use_dora": adapter.dora,
        "fan_in_fan_out": False,
        "init_lora_weights": True,
    }


def label_count(plan: Plan) -> int:
    """How wide the head is; 0 where there is none to train."""
    return len(plan.task.labels) if isinstance(plan.task, Labelled) else 0
