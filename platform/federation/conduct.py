"""What looks odd about the updates of a run over its rounds: signs and thresholds.

Every sign has an honest explanation, too, so a sign is the beginning of a question to people and
never a verdict. Thresholds were chosen from honest runs on CLINC150, however its examples were
shared out; docs/contributions.md has the figures. All cosines are those of what updates do to the
model, so that other factors of the same change are no disguise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from statistics import median

import torch
from torch import Tensor

from federation.cores import single_threaded
from federation.noticed import Figures, Finding, Seen, Sent

FEWEST = 3  # updates, before one is set beside the others
FEWEST_BESIDE_A_PAIR = 2  # others, before two are found to be more alike than those explain
NOTHING = 0.01  # of the usual norm, below which an update changes next to nothing
SAME = 0.995  # cosine above which two changes are nearly the same
APART = 0.1  # how much nearer than usual that has to be: of what the others are away from one
UNRELATED = 0.12  # cosine below which an update has to do with nothing that is known
RELATED = 0.15  # as which the others have to do with something, in the middle
UNEXPLAINED = 0.85  # correlation of two beyond what all others explain, from one data set mostly
HARM = 0.25  # of what the others help in the middle, from which an update harms
TOWARDS = 0.25  # cosine to the others from which an update goes their way
TWICE, THRICE = 2, 3  # rounds in which a sign has to show
EXACT = 1e-6  # of 1 − cosine: the same but for rounding

Signs = Iterator[tuple[tuple[str, ...], Figures]]


class Shown:
    """A round, with what several signs look at; all tensors have a row for each update."""

    def __init__(self, seen: Seen) -> None:
        self.number = seen.number
        self.sent = seen.sent
        self._seen = seen

    @cached_property
    def sketches(self) -> Tensor:
        return torch.tensor([list(one.sketch) for one in self.sent], dtype=torch.float64)

    @cached_property
    def made(self) -> Tensor:
        """The sketch of what the round made of all: sketches add up like changes do."""
        shares = [self._seen.weights.get(one.who, 0.0) for one in self.sent]
        return torch.tensor(shares, dtype=torch.float64) @ self.sketches

    @cached_property
    def cosines(self) -> Tensor:
        """Between the updates."""
        found, exact = _cosines(self.sketches, self.sketches), self._seen.exact
        for i, j in combinations(range(len(self.sent)), 2):
            pair = self.sent[i].digest, self.sent[j].digest
            known = exact.get(pair, exact.get(pair[::-1]))
            if known is not None:
                found[i, j] = found[j, i] = known
        return found


Sign = Callable[[Sequence[Shown]], Signs]


def findings(history: Sequence[Seen]) -> list[Finding]:
    """What the newest round of a run shows, beside those before it; `history` is in their order."""
    shown = [Shown(seen) for seen in history]
    with single_threaded():
        return [
            Finding(kind, who, figures)
            for kind, (sign, rounds) in SIGNS.items()
            for who, figures in _lasting(sign, rounds, shown)
        ]


def _lasting(sign: Sign, rounds: int, history: Sequence[Shown]) -> Signs:
    """Who shows a sign in the newest round, and in so many altogether."""
    for who, figures in sign(history):
        before = range(1, len(history))
        times = 1 + sum(who in dict(sign(history[:end])) for end in before) if rounds > 1 else 1
        if times >= rounds:
            yield who, {**figures, "rounds": times}


def _zero(history: Sequence[Shown]) -> Signs:
    sent = history[-1].sent
    for one in sent:
        others = [other.norm for other in sent if other is not one and other.norm > 0]
        usual = median(others) if len(sent) >= FEWEST and others else 0.0
        if one.norm <= NOTHING * usual or one.norm == 0.0:
            yield (one.who,), {"norm": one.norm, "usual_norm": usual}


def _noise(history: Sequence[Shown]) -> Signs:
    """It has to do neither with the others, nor with what it sent before, nor with the result."""
    if len(history) < TWICE or len(history[-1].sent) < FEWEST:
        return
    found = _relations(history[-2], history[-1])
    for who, relation in found.items():
        usual = median(other for name, other in found.items() if name != who)
        if relation < UNRELATED and usual > RELATED:
            yield (who,), {"relation": relation, "usual_relation": usual}


def _relations(before: Shown, now: Shown) -> dict[str, float]:
    """The largest cosine, of either sign, of each update to all that it could have to do with."""
    own = {one.who: place for place, one in enumerate(before.sent)}
    found = {}
    for place, one in enumerate(now.sent):
        if one.norm == 0.0:
            continue
        known = [before.made, *([before.sketches[own[one.who]]] if one.who in own else [])]
        beside = _cosines(now.sketches[place : place + 1], torch.stack(known)).abs().max()
        found[one.who] = max(float(beside), abs(_towards(now.cosines, place)))
    return found


def _towards(cosines: Tensor, place: int) -> float:
    """Cosine to the sum of the others' directions."""
    others = [other for other in range(len(cosines)) if other != place]
    length = float(cosines[others][:, others].sum().clamp_min(0)) ** 0.5
    return float(cosines[place, others].sum()) / length if length > 0 else 0.0


def _stale(history: Sequence[Shown]) -> Signs:
    """It is what was sent, or made, in an earlier round: the same change, or the same state."""
    now, before = history[-1], history[:-1]
    if not before:
        return
    each = zip(now.sent, _nearest(history), strict=True)
    nearest = {one.who: found for one, found in each if one.norm > 0}
    digests = {one.digest: seen.number for seen in before for one in seen.sent}
    for one in now.sent:
        cosine, number = nearest.get(one.who, (0.0, 0))
        others = [1 - found[0] for who, found in nearest.items() if who != one.who]
        if one.digest in digests:
            yield (one.who,), {"cosine": cosine, "earlier_round": digests[one.digest]}
        elif one.norm > 0 and _is_odd(1 - cosine, others):
            yield (one.who,), {"cosine": cosine, "earlier_round": number}


def _nearest(history: Sequence[Shown]) -> list[tuple[float, int]]:
    """For each update the cosine to the nearest of what was there before, and the round of that."""
    *before, now = history
    state, states = torch.zeros_like(now.sketches[:1]), []
    for seen in before:
        states.append(torch.cat([state + seen.sketches, state]))
        state = state + seen.made
    found = [[(-1.0, 0)] for _ in now.sent]
    for seen, earlier in zip(before, states, strict=True):
        known = _cosines(now.sketches, torch.cat([seen.sketches, seen.made[None]]))
        nearest = torch.maximum(known.amax(1), _cosine_away(now.sketches, earlier - state))
        for one, cosine in zip(found, nearest.tolist(), strict=True):
            one.append((cosine, seen.number))
    return [max(one) for one in found]


def _cosine_away(changes: Tensor, states: Tensor) -> Tensor:
    """As a change from here, an earlier state is as near as the cosine of the two changes."""
    away = torch.cdist(changes, states, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    cosines: Tensor = 1 - (away / changes.norm(dim=1).clamp_min(1e-300)) ** 2 / 2
    return cosines


def _is_odd(distance: float, others: Sequence[float]) -> bool:
    """Nearly the same, where that is not how things are: honest steps may all go one way."""
    usual = median(others) if others else 1.0
    return distance < EXACT or (distance < 1 - SAME and distance < APART * usual)


def _near_copy(history: Sequence[Shown]) -> Signs:
    now = history[-1]
    cosines = now.cosines
    pairs = _pairs(now)
    for i, j in pairs:
        others = [1 - float(cosines[pair]) for pair in pairs if pair != (i, j)]
        if _is_odd(1 - float(cosines[i, j]), others):
            usual = {"usual_cosine": 1 - median(others)} if others else {}
            yield _names(now, i, j), {"cosine": float(cosines[i, j]), **usual}


def _same_data(history: Sequence[Shown]) -> Signs:
    """Two are alike in what nobody else explains; in its first round a run goes one way anyhow."""
    now = history[-1]
    moving = [place for place, one in enumerate(now.sent) if one.norm > 0]
    if len(history) == 1 or len(moving) < 2 + FEWEST_BESIDE_A_PAIR:
        return
    cosines = now.cosines
    partial = _partial(cosines[moving][:, moving])
    for a, b in combinations(range(len(moving)), 2):
        i, j = moving[a], moving[b]
        if float(partial[a, b]) >= UNEXPLAINED and float(cosines[i, j]) < SAME:
            figures = {"cosine": float(cosines[i, j]), "unexplained": float(partial[a, b])}
            yield _names(now, i, j), figures


def _partial(cosines: Tensor) -> Tensor:
    """Correlations of each two beyond what all others explain, from the inverse of the cosines."""
    ridge = 1e-9 * torch.eye(len(cosines), dtype=torch.float64)
    precision: Tensor = torch.linalg.pinv(cosines + ridge, hermitian=True)
    scale = precision.diagonal().clamp_min(1e-300).rsqrt()
    partial: Tensor = -precision * scale[:, None] * scale[None]
    return partial


def _crafted(history: Sequence[Shown]) -> Signs:
    """It goes the others' way, so that cosines praise it, and by itself helps nobody."""
    now = history[-1]
    known = [place for place, one in enumerate(now.sent) if one.loss_change is not None]
    if len(known) <= FEWEST:
        return
    cosines = now.cosines
    towards = {place: _towards(cosines, place) for place in known}
    for place in known:
        one, others = now.sent[place], [other for other in known if other != place]
        change = one.loss_change
        usual = median(_change(now.sent[other]) for other in others)
        is_praised = towards[place] >= max(TOWARDS, median(towards[other] for other in others))
        if change is not None and change > -HARM * usual > 0 and is_praised:
            figures = {"cosine": towards[place], "loss_change": change, "usual_loss_change": usual}
            yield (one.who,), figures


def _change(one: Sent) -> float:
    return one.loss_change or 0.0


def _pairs(seen: Shown) -> list[tuple[int, int]]:
    moving = [place for place, one in enumerate(seen.sent) if one.norm > 0]
    return list(combinations(moving, 2))


def _names(seen: Shown, i: int, j: int) -> tuple[str, ...]:
    return tuple(sorted((seen.sent[i].who, seen.sent[j].who)))


def _cosines(left: Tensor, right: Tensor) -> Tensor:
    """Of each row to each row; 0 where one is nothing."""
    lengths = left.norm(dim=1)[:, None] * right.norm(dim=1)[None]
    return torch.where(lengths > 0, left @ right.T / lengths.clamp_min(1e-300), 0.0).clamp(-1, 1)


# By the kind of the case: the sign, and in how many rounds of a run it has to show.
SIGNS: Mapping[str, tuple[Sign, int]] = {
    "zero_update": (_zero, 1),
    "noise": (_noise, TWICE),
    "stale": (_stale, 1),
    "near_copy": (_near_copy, TWICE),
    "same_data": (_same_data, THRICE),
    "crafted": (_crafted, THRICE),
}
