"""The lines of Python that load a version or a base model from this hub, ready to be copied."""

from __future__ import annotations

from django.conf import settings

from federation.modelling.config import task_type
from federation.plan import Plan, SequenceClassification
from hub.catalogue.cards import token_mean
from hub.catalogue.models import BaseModel, ModelVersion

AUTO_CLASSES = {
    "TOKEN_CLS": "AutoModelForTokenClassification",
    "SEQ_CLS": "AutoModelForSequenceClassification",
    "CAUSAL_LM": "AutoModelForCausalLM",
}


def loading_code(version: ModelVersion, plan: Plan, *, hub: str = "", token: str = "") -> str:
    """Load a version with stock transformers and peft, and use it once.

    `hub` is the address, if it is not the usual one; without a `token` a person puts theirs in.
    """
    auto_class = AUTO_CLASSES[task_type(plan)]
    base, revision = version.base_model.repo, f'revision="v{version.number}"'
    classes = (
        f", num_labels={len(plan.task.labels)}"
        if isinstance(plan.task, SequenceClassification)
        else ""
    )
    return "\n".join(
        [
            *_access(hub, token),
            "from peft import PeftModel",
            f"from transformers import {auto_class}, AutoTokenizer",
            "",
            f'tokenizer = AutoTokenizer.from_pretrained("{base}")',
            f'base = {auto_class}.from_pretrained("{base}"{classes})',
            f'model = PeftModel.from_pretrained(base, "{version.repo}", {revision}).eval()',
            "",
            *_usage(version, plan),
        ]
    )


def base_loading_code(base: BaseModel) -> str:
    """Load a base model through the hub."""
    return "\n".join(
        [
            *_access(),
            "from transformers import AutoModel, AutoTokenizer",
            "",
            f'tokenizer = AutoTokenizer.from_pretrained("{base.repo}")',
            f'model = AutoModel.from_pretrained("{base.repo}")',
        ]
    )


def _access(hub: str = "", token: str = "") -> list[str]:
    """Before the libraries are imported: they read it once."""
    whose = "" if token else "  # a token of yours: Account, API tokens"
    return [
        "import os",
        "",
        f'os.environ["HF_ENDPOINT"] = "{hub or settings.PUBLIC_URL}/hf"',
        f'os.environ["HF_TOKEN"] = "{token or "foe_…"}"{whose}',
        "",
    ]


def _usage(version: ModelVersion, plan: Plan) -> list[str]:
    if not isinstance(plan.task, SequenceClassification):
        return [
            'given = tokenizer("Once upon a time", return_tensors="pt")',
            "print(tokenizer.decode(model.generate(**given, max_new_tokens=40)[0]))",
        ]
    return [
        "given = tokenizer(",
        '    ["A text to classify"], padding=True, truncation=True,',
        f'    max_length={plan.task.max_tokens}, return_tensors="pt",',
        ")",
        *_logits(plan),
        "",
        "import json",
        "from huggingface_hub import hf_hub_download",
        "",
        f'labels = hf_hub_download("{version.repo}", "labels.json", revision="v{version.number}")',
        "labels = json.load(open(labels))",
        "print([labels[best] for best in logits.argmax(-1)])",
    ]


def _logits(plan: Plan) -> list[str]:
    if task_type(plan) != "TOKEN_CLS":
        return ["logits = model(**given).logits"]
    return [
        "# Every token has an opinion; the text's is their mean.",
        *token_mean(plan),
    ]
