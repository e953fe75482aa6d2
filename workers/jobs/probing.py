"""Measuring adapters on public probe sets, within a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from federation.protocol import EvaluationResult
from federation.tallies import result_of
from hub.catalogue.blobs.storage import store
from hub.catalogue.evaluation import scoring
from hub.catalogue.evaluation.probes import content_of
from hub.catalogue.models import BaseModel
from hub.runs.services.probing import tell_runs
from jobs.folders import base_folder

if TYPE_CHECKING:
    from federation.modelling import Examples, Step
    from federation.plan import Plan
    from hub.catalogue.evaluation.scoring import Measurement


class Unmeasured(Exception):
    """An adapter cannot be measured, and trying again would not help; `code` is stable.

    Besides those of `ModellingRefused`: probe_timeout, out_of_memory, non_finite.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def measure(wanted: Measurement) -> None:
    """Measure an adapter on the whole of a probe set, and keep what was found."""
    began = time.perf_counter()
    try:
        found = achieved(
            base_model=wanted.probe.federation.base_model,
            plan=wanted.plan,
            adapter=store().local_path(wanted.adapter),
            examples=content_of(wanted.probe).examples(),
            on_step=within(settings.PROBE_SECONDS),
        )
    except Unmeasured as refused:
        scoring.fail_score(score_id=wanted.score_id, code=refused.code, reason=refused.detail)
        return
    scoring.record_score(score_id=wanted.score_id, found=found, seconds=time.perf_counter() - began)
    tell_runs(wanted.probe)


def within(seconds: float) -> Callable[[Step], None]:
    """What ends an evaluation at its next batch once the time is up; made when the time begins."""
    end = time.monotonic() + seconds

    def check(_: Step) -> None:
        if time.monotonic() > end:
            raise Unmeasured("probe_timeout", f"it took longer than {seconds:.0f} seconds")

    return check


def achieved(
    *,
    base_model: BaseModel,
    plan: Plan,
    adapter: Path,
    examples: Examples,
    on_step: Callable[[Step], None],
) -> EvaluationResult:
    """The sufficient statistics of an adapter. Raises Unmeasured."""
    from federation.modelling import ModellingRefused, evaluate
    from federation.modelling.evaluation import OutOfMemoryError

    try:
        found = evaluate(
            base=base_folder(base_model),
            plan=plan,
            adapter=adapter,
            examples=examples,
            on_step=on_step,
        )
    except ModellingRefused as refused:
        raise Unmeasured(refused.code, refused.detail) from refused
    except OutOfMemoryError as full:
        raise Unmeasured("out_of_memory", "the worker's device has too little memory") from full
    if not isfinite(found.loss_sum):
        raise Unmeasured("non_finite", "its loss is no number")
    return result_of("probe", found.rows, found.scores)
