"""Which story the demonstration tells: the standard library's docstrings, or the user's data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from federation.plan import Lora, Plan, Rounds, SequenceClassification, Training, ValuationSpec
from federation.plan_rewards import Rewards
from hub.demo.corpus import Corpus, build_docstring_corpus, build_from_folder


@dataclass(frozen=True, slots=True)
class Story:
    name: str
    slug: str
    corpus: Corpus
    plan: Plan


def story_of(options: Mapping[str, Any], folder: Path) -> Story:
    """The story that the command line asks for.

    Raises:
        CorpusRefused: the user's folder cannot be used; says why.
    """
    if options["data"] is None:
        return _docstrings(options, folder)
    return _own_data(options, folder)


def _docstrings(options: Mapping[str, Any], folder: Path) -> Story:
    corpus = build_docstring_corpus(folder / "docstrings")
    rounds = options["rounds"] or (2 if options["fast"] else 5)
    training = Training(
        head_learning_rate=5e-2,
        schedule="linear",
        precision=precision(),
        max_steps=4 if options["fast"] else None,
    )
    plan = Plan(
        task=SequenceClassification(labels=corpus.labels, max_tokens=64),
        adapter=Lora(rank=max(o.rank for o in corpus.organisations)),
        training=training,
        rounds=Rounds(count=rounds, quorum=_quorum(corpus)),
        # Of the last round, while the comparisons train: no round waits for it.
        valuation=ValuationSpec(method="shapley", examples=60, every=rounds),
        rewards=Rewards(budget=1000),
        seed=options["seed"],
    )
    return Story("Standard library", "stdlib", corpus, plan)


def _own_data(options: Mapping[str, Any], folder: Path) -> Story:
    source: Path = options["data"]
    parts = (source.name, options["split"], str(options["orgs"]), str(options["per_class"] or ""))
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:40]
    corpus = build_from_folder(
        source=source,
        label=options["label"],
        orgs=options["orgs"],
        split=options["split"],
        per_class=options["per_class"],
        folder=folder / slug,
        seed=options["seed"],
    )
    plan = Plan(
        task=SequenceClassification(labels=corpus.labels, max_tokens=48),
        adapter=Lora(rank=max(o.rank for o in corpus.organisations)),
        training=Training(precision=precision(), max_steps=4 if options["fast"] else None),
        rounds=Rounds(
            count=options["rounds"] or (2 if options["fast"] else 8), quorum=_quorum(corpus)
        ),
        seed=options["seed"],
    )
    return Story(f"{source.name}, {options['split']}", slug, corpus, plan)


def precision() -> Literal["fp32", "bf16"]:
    """bf16 where this processor multiplies it, which halves the time; elsewhere it is slow."""
    flags = Path("/proc/cpuinfo")
    known = flags.read_text(encoding="ascii", errors="replace") if flags.exists() else ""
    return "bf16" if "avx512_bf16" in known or "amx_bf16" in known else "fp32"


def _quorum(corpus: Corpus) -> int:
    return max(1, len(corpus.organisations) - 1)
