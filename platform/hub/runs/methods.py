"""With what else a round could have been aggregated: the plan's own method, varied in one respect.

The names come from the plan's schema, and what the plan refuses falls away; so a new strategy,
rule or combination is among them as soon as a plan may ask for it. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import ValidationError

from federation.compatibility import PLAIN_COMBINATION, PLAIN_RULE, STAGES
from federation.plan import Aggregation, Plan, Server, canonical
from federation.terms import TERMS

VARIED: Final = ("strategy", "rule", "combination")
PLAIN: Final[Mapping[str, str]] = {"rule": PLAIN_RULE, "combination": PLAIN_COMBINATION}


@dataclass(frozen=True, slots=True)
class Variation:
    """A method for a round, as a whole plan; `key` is what people choose and rows are named by."""

    key: str
    plan: Plan
    is_own: bool

    @property
    def method(self) -> dict[str, Any]:
        """What makes it this method; kept in the row."""
        aggregation = self.plan.aggregation.model_dump(mode="json")
        return {"aggregation": aggregation, "server": self.plan.server.model_dump(mode="json")}

    @property
    def digest(self) -> str:
        return hashlib.sha256(canonical(self.method)).hexdigest()


def key_of(aggregation: Aggregation) -> str:
    """Such as "stack_svd", or "fedavg krum"; what is plain goes without saying."""
    rest = (getattr(aggregation, name) for name in PLAIN)
    plain = set(PLAIN.values())
    return " ".join([aggregation.strategy, *(name for name in rest if name not in plain)])


def in_words(key: str) -> str:
    """«fedavg · krum»."""
    return key.replace(" ", " · ")


def variations(
    plan: Plan, *, round_number: int, updates: int, is_mixed: bool
) -> dict[str, Variation]:
    """By key, the plan's own first: what this round's updates can be aggregated with.

    `updates`: how many there are, which some rules need to know; `is_mixed`: of several ranks.
    """
    own = Variation(key_of(plan.aggregation), plan, is_own=True)
    found = {own.key: own}
    for changes in _changes(plan.aggregation):
        varied = _varied(plan, changes, updates)
        if varied is not None and _fits(plan, varied, round_number, is_mixed=is_mixed):
            key = key_of(varied.aggregation)
            found.setdefault(key, Variation(key, varied, is_own=False))
    return found


def _changes(own: Aggregation) -> Iterator[dict[str, str]]:
    """One respect at a time; the two stages of a method go together."""
    for field in VARIED:
        for name in get_args(Aggregation.model_fields[field].annotation):
            if name != getattr(own, field):
                yield {field: name}
    yield dict(zip(("rule", "combination"), STAGES, strict=True))
    if any(getattr(own, field) != plain for field, plain in PLAIN.items()):
        yield dict(PLAIN)


def _varied(plan: Plan, changes: Mapping[str, str], updates: int) -> Plan | None:
    """The plan with another aggregation, for as many updates as there are; None if it refuses.

    Another strategy does without the server's optimiser, whose memory is about this one.
    """
    server = Server() if "strategy" in changes else plan.server
    own = plan.aggregation.model_dump(mode="json")
    method = {"aggregation": {**own, **changes}, "server": server.model_dump(mode="json")}
    try:
        return with_method(plan, method, updates)
    except ValidationError:
        return None


def with_method(plan: Plan, method: Mapping[str, Any], updates: int) -> Plan:
    """The plan with other sections, as if its rounds closed with so many updates.

    Raises ValidationError where the plan refuses.
    """
    document = plan.model_dump(mode="json")
    rounds = {**document["rounds"], "quorum": updates, "late": "record"}
    rounds.pop("buffer", None)
    return Plan.model_validate_json(json.dumps({**document, **method, "rounds": rounds}))


def _fits(plan: Plan, varied: Plan, round_number: int, *, is_mixed: bool) -> bool:
    """Whether the updates hold what the strategy wants to read."""
    one, other = TERMS[plan.aggregation.strategy], TERMS[varied.aggregation.strategy]
    is_same = one.travels(round_number) == other.travels(round_number)
    return is_same and (other.mixes_ranks or not is_mixed)
