"""One participation's training in one round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from federation.modelling.adapting import Adapted, adapted, keep, set_gradient_checkpointing
from federation.modelling.batches import encode, round_of_batches
from federation.modelling.checkpoints import Checkpoints, Trainee, identity_of
from federation.modelling.examples import Example, Outcome
from federation.modelling.kinds import kind_of
from federation.modelling.loading import device_for, forked_random, kept_base
from federation.modelling.messages import Checkpointing, Examples, OnStep, Seat, Trained
from federation.modelling.objectives import outcome
from federation.modelling.optimisation import optimisation_of
from federation.modelling.packing import require_positions
from federation.modelling.progress import Progress, device_clock, tokens_of
from federation.modelling.teams import Team, team_of, whole
from federation.plan import Plan


def train(
    *,
    base: Path,
    plan: Plan,
    start: Path,
    rank: int,
    seed: int,
    examples: Examples,
    target: Path,
    on_step: OnStep,
    device: str = "auto",
    checkpointing: Checkpointing | None = None,
    seat: Seat | None = None,
    round_number: int = 1,
    correction: Path | None = None,
) -> Trained:
    """Train `start` on the examples for one round of the plan and write the result to `target`.

    `start` is the shared adapter, cut to `rank`; the result holds what of it travels in this round
    of the run, and the rest is not trained. The optimiser begins anew each round. On a CPU,
    with the same number of threads, equal arguments give equal bytes. `on_step` is called before
    every micro-batch; what it raises ends the training, and nothing is written but a checkpoint.
    Where there is one of the same training, it goes on from there, to the same bytes. A
    `correction` of every trained tensor, as `controls.Site` writes it, is added to its gradients.

    With a `seat`, several processes are called like this at the same time and share the work; the
    first of them writes. Raises `ModellingRefused`.
    """
    chosen = device_for(plan, device)
    team = team_of(seat, plan, chosen)
    began = device_clock(chosen)
    with forked_random(chosen):
        lay = partial(
            _laid, base=base, plan=plan, rank=rank, start=start, round_number=round_number
        )
        model = team.laid(lay, chosen)
        encoded = encode(examples, plan, model.processor, packing=True)
        if any(one.lengths for one in encoded):
            require_positions(model)
        batches = round_of_batches(encoded, plan, seed)
        checkpoints = None
        if checkpointing:
            identity = identity_of(
                plan=plan,
                seed=seed,
                rank=rank,
                start=start,
                examples=examples,
                device=chosen,
                seat=seat,
                correction=correction,
            )
            checkpoints = Checkpoints(checkpointing, identity, team)
        # Only now: a base that was kept has drawn nothing so far.
        torch.manual_seed(seed + team.index)
        corrections = load_file(correction) if correction else {}
        lesson = _Lesson(
            model, plan, encoded, batches, began=began, team=team, correction=corrections
        )
        lesson.learn(on_step, checkpoints)
    trained = {name: whole(value) for name, value in model.parameters.items()}
    seconds = team.sum(lesson.seconds)
    if team.index == 0:
        keep(trained, target)
    return Trained(
        examples=sum(encoded[i].members for i in {i for batch in batches for i in batch}),
        tokens=sum(len(encoded[index].ids) for batch in batches for index in batch),
        steps=len(lesson.groups),
        loss=lesson.progress.loss_sum / lesson.progress.count,
        device_seconds=seconds,
    )


def _laid(
    device: torch.device, *, base: Path, plan: Plan, rank: int, start: Path, round_number: int
) -> Adapted:
    model = adapted(kept_base(base, plan, device), plan, rank=rank, file=start)
    return model.training(plan.aggregation.travels(round_number))


class _Lesson:
    """The loop over one round's batches."""

    def __init__(
        self,
        model: Adapted,
        plan: Plan,
        encoded: Sequence[Example],
        batches: Sequence[list[int]],
        *,
        began: float,
        team: Team,
        correction: Mapping[str, Tensor],
    ) -> None:
        self.groups = _grouped(batches, plan.training.accumulation)
        self.progress = Progress(steps=len(batches), device=model.device)
        self._model, self._plan, self._encoded = model, plan, encoded
        self._team = team
        self._called: Any = None
        self._kind = kind_of(plan)
        self._optimisation = optimisation_of(model, plan.training, len(self.groups), correction)
        self._began, self._seconds_before = began, 0.0

    @property
    def seconds(self) -> float:
        """Of this device; what went before this life is counted by the first process."""
        return self._seconds_before + device_clock(self._model.device) - self._began

    def learn(self, on_step: OnStep, checkpoints: Checkpoints | None) -> None:
        """Do what is left of the round."""
        trainee = self._trainee()
        done = self._resumed(checkpoints, trainee)
        self._model.model.train()
        set_gradient_checkpointing(self._model, on=self._plan.training.gradient_checkpointing)
        self._called = self._team.callable(self._model)
        for number in range(done, len(self.groups)):
            if checkpoints and number > done:
                checkpoints.offer(trainee, steps=number, seconds=self.seconds)
            self._optimisation.pace(number)
            self._step(self.groups[number], on_step)

    def _resumed(self, checkpoints: Checkpoints | None, trainee: Trainee) -> int:
        """How many optimiser steps an earlier life has done."""
        position = checkpoints.restore(trainee) if checkpoints else None
        if position is None:
            return 0
        self._seconds_before = position.seconds if self._team.index == 0 else 0.0
        return position.steps

    def _trainee(self) -> Trainee:
        optimisation = self._optimisation
        return Trainee(
            self._model.parameters,
            optimisation.optimizer,
            optimisation.scaler,
            self.progress,
            self._model.device,
        )

    def _step(self, group: Sequence[list[int]], on_step: OnStep) -> None:
        """One step of the optimiser over its micro-batches."""
        terms = sum(self._encoded[index].terms for indices in group for index in indices)
        for number, indices in enumerate(group, 1):
            progress = self.progress
            rate = self._optimisation.learning_rate
            on_step(progress.report(loss=progress.last_loss, learning_rate=rate))
            with self._team.apart(self._called, last=number == len(group)):
                result = self._pass(indices, terms)
            chosen = [self._encoded[i] for i in indices]
            progress.add(
                result, examples=sum(one.members for one in chosen), tokens=tokens_of(chosen)
            )
        self._optimisation.step()

    def _pass(self, indices: Sequence[int], terms: int) -> Outcome:
        """Forward and backward over this process's share; the outcome of the whole micro-batch.

        Gradients of a team are averaged, and a sum is wanted.
        """
        share, weight = self._team.share(indices)
        chosen = [self._encoded[i] for i in share]
        batch = self._kind.batch(chosen, self._model, self._plan, None)
        result = outcome(self._called, batch, self._plan)
        factor = weight * self._team.size
        loss = result.loss if factor == 1.0 else result.loss * factor
        self._optimisation.backward(loss / terms)
        return self._team.total(result, weight)


def _grouped(batches: Sequence[list[int]], size: int) -> list[Sequence[list[int]]]:
    """Micro-batches by the optimiser step they share."""
    return [batches[start : start + size] for start in range(0, len(batches), size)]
