"""The updates of a run's rounds as they are looked at together, and what is found; no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Figures = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Sent:
    """What one participation sent in a round: how far it moves the model, and its sketch.

    `loss_change`: what it does by itself to the loss on the public probe set, where measured.
    """

    who: str
    digest: str
    norm: float
    sketch: Sequence[float]
    loss_change: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The updates of one round, and by `weights` what each participation counted in its result.

    `exact`: cosines by pairs of digests that are known better than from sketches.
    """

    number: int
    sent: tuple[Sent, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    exact: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """A sign that shows in the newest round, about one participation or two (sorted)."""

    kind: str
    who: tuple[str, ...]
    figures: Figures
