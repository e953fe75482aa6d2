"""Measuring what contributions were worth, a batch of coalitions at a time."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from federation.layout import LayoutRefused
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.blobs.storage import store
from hub.catalogue.evaluation.probes import content_of
from hub.catalogue.models import Artifact
from hub.contributions.valuations import measuring, recording, starting
from hub.contributions.valuations.players import playing_updates
from jobs.aggregation import weighted
from jobs.folders import base_folder, scratch
from jobs.probing import Unmeasured, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from federation import valuation as pure
    from federation.valuation.measuring import Bench
    from hub.contributions.valuations.measuring import Batch
    from hub.contributions.valuations.starting import Preparation


def value(valuation_id: UUID) -> None:
    """Do what is next: begin, measure a few coalitions, or record what follows from all."""
    try:
        _begin(valuation_id)
        if batch := measuring.claim_batch(valuation_id=valuation_id):
            _measure(batch)
    except Unmeasured as refused:
        starting.fail_valuation(valuation_id=valuation_id, code=refused.code, reason=refused.detail)
        return
    conclude(valuation_id)


def conclude(valuation_id: UUID) -> None:
    """Record the values once all is measured that they follow from."""
    complete = recording.next_step(valuation_id=valuation_id)
    if complete is None:
        return
    from federation.valuation import ValuationRefused

    try:
        valued = complete.game.valued(complete.table)
    except ValuationRefused as refused:
        starting.fail_valuation(valuation_id=valuation_id, code=refused.code, reason=refused.detail)
        return
    recording.record_values(complete=complete, valued=valued)


def _begin(valuation_id: UUID) -> None:
    wanted = starting.prepare_valuation(valuation_id=valuation_id)
    if wanted is None:
        return
    stacked = _stack(wanted) if wanted.needs_stack else None
    starting.begin_valuation(valuation_id=valuation_id, stacked=stacked)


def _stack(wanted: Preparation) -> Artifact:
    """The round's start and all updates beside each other, by weights that no rule has changed."""
    from federation.strategies import AggregationRefused
    from federation.valuation.coalitions import write_game

    current, plan = wanted.round, wanted.plan
    with scratch() as folder:
        target = folder / "game.safetensors"
        try:
            digest = write_game(
                start=store().local_path(current.start_id),
                updates=[
                    replace(weighted(update, plan), norm=update.norm)
                    for update in playing_updates(current)
                ],
                target=target,
                travels=plan.aggregation.travels(current.number),
            )
        except (AggregationRefused, LayoutRefused) as refused:
            raise Unmeasured(refused.code, refused.detail) from refused
        return adopt_file(path=target, sha256=digest)


def _measure(batch: Batch) -> None:
    """Measure for a while, and leave the rest to the next message."""
    began = last = time.perf_counter()
    with _bench(batch) as bench:
        for measured in _losses(bench, batch):
            now = time.perf_counter()
            measuring.record_measured(batch=batch, measured=measured, seconds=now - last)
            last = now
            if now - began > settings.VALUATION_SECONDS:
                break
    measuring.let_go(batch=batch)


def _losses(bench: Bench, batch: Batch) -> Iterator[pure.Measured]:
    if batch.evidence == "slopes":
        from federation.valuation.slopes import slopes

        yield from (one for one in slopes(bench) if one.coalition in batch.wanted)
        return
    for coalition in batch.wanted:
        yield bench.measured(coalition)


@contextmanager
def _bench(batch: Batch) -> Iterator[Bench]:
    """The model under the round's stack, and the probe set. Raises Unmeasured."""
    from federation.modelling import ModellingRefused
    from federation.modelling.evaluation import OutOfMemoryError
    from federation.valuation import ValuationRefused
    from federation.valuation.coalitions import board_of
    from federation.valuation.measuring import Bench

    try:
        with board_of(
            base=base_folder(batch.base_model),
            plan=batch.plan,
            stacked=store().local_path(batch.stacked),
            players=batch.players,
        ) as board:
            yield Bench.of(
                board,
                content_of(batch.probe).examples(),
                owner=None,
                most=batch.most,
                on_step=within(settings.PROBE_SECONDS),
            )
    except (ModellingRefused, ValuationRefused) as refused:
        raise Unmeasured(refused.code, refused.detail) from refused
    except OutOfMemoryError as full:
        raise Unmeasured("out_of_memory", "the worker's device has too little memory") from full
