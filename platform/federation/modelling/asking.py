"""Asking a version and its base the same question.

Everything is greedy: the same question gets the same answer. What is refused is refused by a code
and figures, never with the words of the question.
"""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import GenerationConfig

from federation.modelling.adapting import Adapted, adapted
from federation.modelling.collating import collate
from federation.modelling.examples import Example
from federation.modelling.kinds.chat import in_template
from federation.modelling.loading import Base, choose_device, forked_random, kept_base
from federation.modelling.losses import masked_mean
from federation.modelling.messages import ModellingRefused
from federation.modelling.questions import Answer, Guess, Question, Reply, playground_of
from federation.modelling.residuals import take_residuals_off
from federation.plan import Plan, PromptTuning, SequenceClassification
from federation.plan_tasks import Labelled

MOST_TOKENS = 1024  # of what is given to a model that generates
MOST_GAPS = 5
LABELS_SHOWN, WORDS_SHOWN = 10, 5
SPARED = (0.55, 0.15)  # of the time, for what comes after the version's text, and the base's
IMAGE_FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 40_000_000
GAP = re.compile(r"_{3,}")


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question to a model, and until when on the monotonic clock it may go on talking."""

    question: Question
    plan: Plan
    model: Adapted
    until: float


def ask(
    *,
    base: Path,
    plan: Plan,
    adapter: Path,
    question: Question,
    seconds: float,
    device: str = "auto",
) -> Answer:
    """Ask the version whose state is `adapter`, then its base alone where that has an answer.

    The base is in fp32 whatever the plan trained on, as whoever loads the version has it. It is
    kept for the next question. Raises `ModellingRefused`; `answer_too_slow` after `seconds`.
    """
    began = time.monotonic()
    until, chosen = began + seconds, choose_device(device)
    training = plan.training.model_copy(update={"base_weights": "fp32", "precision": "fp32"})
    plan = plan.model_copy(update={"training": training})
    held = kept_base(base, plan, chosen)
    with forked_random(chosen):
        model = adapted(held, plan, rank=plan.adapter.rank, file=adapter)
    model.model.eval()
    inquire, left = _INQUIRIES[playground_of(plan) or ""], until - time.monotonic()
    first, second = (Inquiry(question, plan, model, until - share * left) for share in SPARED)
    with ended_at(until), torch.inference_mode():
        version = inquire(first)
        of_base = _of_base(inquire, second, held)
    return Answer(
        version=version,
        base=of_base,
        is_shortened=_is_shortened(question, plan, model),
        seconds=round(time.monotonic() - began, 3),
    )


@contextmanager
def ended_at(until: float) -> Iterator[None]:
    """Whatever model computes in the block is ended before its next module once it is time.

    Raises `ModellingRefused`: answer_too_slow.
    """

    def look(*_: Any) -> None:
        if time.monotonic() > until:
            raise ModellingRefused("answer_too_slow", "the answer took longer than it may")

    hook = register_module_forward_pre_hook(look)
    try:
        yield
    finally:
        hook.remove()


def _of_base(inquire: Callable[[Inquiry], Reply], inquiry: Inquiry, held: Base) -> Reply | None:
    """What the base says without anything of ours.

    A head for labels is made with the adapter and trained with it; that of the base alone is
    random, so there is nothing to show.
    """
    if isinstance(inquiry.plan.task, Labelled):
        return None
    take_residuals_off(held)
    with inquiry.model.model.disable_adapter():
        return inquire(inquiry)


def _labels(inquiry: Inquiry) -> Reply:
    """The likeliest labels of a text."""
    plan, model = inquiry.plan, inquiry.model
    assert isinstance(plan.task, SequenceClassification)
    ids = _tokens(inquiry.question, model, limit=plan.task.max_tokens)
    inputs = collate([Example(ids or [model.pad], [0])], pad=model.pad, device=model.device).inputs
    logits = model.model(**inputs).logits
    if plan.task.pooling == "mean":
        own = logits[:, -inputs["input_ids"].shape[1] :]  # a learnt prompt comes first
        logits = masked_mean(own, inputs["attention_mask"])
    return _likeliest(logits[0], plan.task)


def _image(inquiry: Inquiry) -> Reply:
    """The likeliest labels of an image."""
    assert isinstance(inquiry.plan.task, Labelled)
    if inquiry.question.image is None:
        raise ModellingRefused("images_missing", "there is no image to look at")
    model = inquiry.model
    image = _opened(inquiry.question.image)
    pixels = model.processor([image], return_tensors="pt")["pixel_values"].to(model.device)
    return _likeliest(model.model(pixel_values=pixels).logits[0], inquiry.plan.task)


def _opened(content: bytes) -> Any:
    image = import_module("PIL.Image")
    try:
        with image.open(BytesIO(content), formats=IMAGE_FORMATS) as found:
            is_small = found.width * found.height <= MOST_PIXELS
            opened = found.convert("RGB") if is_small else None
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        told = f"the image cannot be opened ({type(error).__name__})"
        raise ModellingRefused("image_unreadable", told) from None
    if opened is None:
        raise ModellingRefused("image_unreadable", f"it has more than {MOST_PIXELS:,} pixels")
    return opened


def _likeliest(logits: Tensor, task: Labelled) -> Reply:
    shares = logits.float().softmax(dim=0)
    guesses = _guesses(shares, LABELS_SHOWN, lambda place: task.labels[place])
    return Reply(guesses=(guesses,), others=len(task.labels) - len(guesses))


def _guesses(shares: Tensor, most: int, name: Callable[[int], str]) -> tuple[Guess, ...]:
    """Equal ones in the order of their places."""
    found, places = shares.sort(descending=True, stable=True)
    pairs = zip(found[:most].tolist(), places[:most].tolist(), strict=True)
    return tuple(Guess(words=name(place), share=share) for share, place in pairs)


def _gaps(inquiry: Inquiry) -> Reply:
    """What may stand in each gap."""
    model, tokenizer = inquiry.model, inquiry.model.processor
    if tokenizer.mask_token_id is None:
        raise ModellingRefused("no_mask_token", "the tokenizer has no token for a hidden word")
    text = GAP.sub(tokenizer.mask_token, inquiry.question.text)
    given = tokenizer(text, truncation=True, max_length=_limit(inquiry.plan), return_tensors="pt")
    given = {name: given[name].to(model.device) for name in ("input_ids", "attention_mask")}
    hidden = given["input_ids"][0] == tokenizer.mask_token_id
    if not 1 <= int(hidden.sum()) <= MOST_GAPS:
        detail = f"a question has 1 to {MOST_GAPS} gaps, and this one {int(hidden.sum())}"
        raise ModellingRefused("nothing_hidden", detail)
    rows = model.model(**given).logits[0, -len(hidden) :][hidden].float().softmax(dim=1)
    name = tokenizer.decode
    return Reply(guesses=tuple(_guesses(row, WORDS_SHOWN, lambda n: name([n])) for row in rows))


def _continuation(inquiry: Inquiry) -> Reply:
    ids = _tokens(inquiry.question, inquiry.model)
    end = inquiry.model.processor.eos_token_id
    return _generated(inquiry, ids[:-1] if ids[-1:] == [end] and len(ids) > 1 else ids)


def _chat(inquiry: Inquiry) -> Reply:
    tokenizer = inquiry.model.processor
    if not tokenizer.chat_template:
        raise ModellingRefused("no_chat_template", "the tokenizer has no chat template")
    turn = {"role": "user", "content": inquiry.question.text}
    given = in_template([turn], tokenizer, invites=True)
    return _generated(inquiry, tokenizer(given, add_special_tokens=False)["input_ids"])


def _generated(inquiry: Inquiry, ids: list[int]) -> Reply:
    model, wanted = inquiry.model, inquiry.question.new_tokens
    room = _room(inquiry) - wanted
    if not 1 <= len(ids) <= room:
        detail = f"the question has {len(ids)} tokens, and there is room for 1 to {room}"
        raise ModellingRefused("prompt_too_long", detail)
    given = torch.tensor([ids], device=model.device)
    settings = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=wanted,
        max_time=max(0.1, inquiry.until - time.monotonic()),
        pad_token_id=model.pad,
        eos_token_id=sorted(_ends(model)) or None,
    )
    with warnings.catch_warnings():  # peft speaks of positions that it works out itself
        warnings.filterwarnings("ignore", "Position ids are not supported")
        made = model.model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), generation_config=settings
        )
    new = made[0, len(ids) :].tolist()
    text = model.processor.decode(new, skip_special_tokens=True)
    return Reply(text=text, is_cut=not set(new[-1:]) & _ends(model))


def _ends(model: Adapted) -> set[int]:
    """The tokens after which nothing comes: the base's own, and the one that training ends with."""
    found = model.model.get_base_model().generation_config.eos_token_id
    listed = [*(found if isinstance(found, list) else [found]), model.processor.eos_token_id]
    return {token for token in listed if token is not None}


def _room(inquiry: Inquiry) -> int:
    """Tokens that fit into the model, with what it generates."""
    config = inquiry.model.model.get_base_model().config
    positions = getattr(config, "max_position_embeddings", None) or MOST_TOKENS
    adapter = inquiry.plan.adapter
    learnt = adapter.virtual_tokens if isinstance(adapter, PromptTuning) else 0
    return min(MOST_TOKENS + inquiry.question.new_tokens, positions - learnt)


def _limit(plan: Plan) -> int | None:
    """Tokens that a text is cut to, as in training; None where it is not cut."""
    kind = playground_of(plan)
    return getattr(plan.task, "max_tokens", None) if kind in {"labels", "gaps"} else None


def _is_shortened(question: Question, plan: Plan, model: Adapted) -> bool:
    limit = _limit(plan)
    return limit is not None and len(_tokens(question, model)) > limit


def _tokens(question: Question, model: Adapted, limit: int | None = None) -> list[int]:
    options = {} if limit is None else {"truncation": True, "max_length": limit}
    ids: list[int] = model.processor(question.text, **options)["input_ids"]
    return ids


_INQUIRIES: Mapping[str, Callable[[Inquiry], Reply]] = {
    "labels": _labels,
    "image": _image,
    "gaps": _gaps,
    "continuation": _continuation,
    "chat": _chat,
}
