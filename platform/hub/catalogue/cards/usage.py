"""Lines of Python that ask a loaded model something, for cards and recipes."""

from __future__ import annotations

from federation.plan import (
    Chat,
    ImageClassification,
    MaskedLanguageModelling,
    Plan,
    PromptTuning,
    SequenceClassification,
)
from federation.plan_tasks import Labelled


def preparer(plan: Plan) -> tuple[str, str]:
    """The variable, and its class of transformers, that prepares what a model is given."""
    name = plan.task.processor
    return ("processor" if name == "AutoImageProcessor" else "tokenizer"), name


def head_options(plan: Plan) -> str:
    """What `from_pretrained` of the base is told of its head."""
    return f", num_labels={len(plan.task.labels)}" if isinstance(plan.task, Labelled) else ""


def asking(plan: Plan) -> list[str]:
    """Use the model once."""
    match plan.task:
        case SequenceClassification() | ImageClassification():
            return [*_given(plan), *logits(plan)]
        case Chat():
            return [
                'given = tokenizer.apply_chat_template([{"role": "user", "content": "…"}],',
                '    add_generation_prompt=True, return_dict=True, return_tensors="pt")',
                "print(tokenizer.decode(model.generate(**given, max_new_tokens=40)[0]))",
            ]
        case MaskedLanguageModelling():
            return [
                'given = tokenizer(f"A word is {tokenizer.mask_token}.", return_tensors="pt")',
                'hidden = given["input_ids"][0] == tokenizer.mask_token_id',
                "print(tokenizer.decode(model(**given).logits[0, hidden].argmax(-1)))",
            ]
    return [
        'given = tokenizer("Once upon a time", return_tensors="pt")',
        "print(tokenizer.decode(model.generate(**given, max_new_tokens=40)[0]))",
    ]


def _given(plan: Plan) -> list[str]:
    if isinstance(plan.task, ImageClassification):
        return [
            "from PIL import Image",
            'given = processor([Image.open("picture.png").convert("RGB")], return_tensors="pt")',
        ]
    assert isinstance(plan.task, SequenceClassification)
    return [
        "given = tokenizer(",
        '    ["A text to classify"], padding=True, truncation=True,',
        f'    max_length={plan.task.max_tokens}, return_tensors="pt",',
        ")",
    ]


def logits(plan: Plan) -> list[str]:
    """One row of logits for each thing that was given."""
    if not (isinstance(plan.task, SequenceClassification) and plan.task.pooling == "mean"):
        return ["logits = model(**given).logits"]
    own = "[:, -mask.shape[1] :]" if isinstance(plan.adapter, PromptTuning) else ""
    return [
        "# Every token has an opinion; the text's is their mean.",
        'mask = given["attention_mask"].unsqueeze(-1)',
        f"logits = (model(**given).logits{own} * mask).sum(1) / mask.sum(1)",
    ]
