"""A policy in words, and the names of what it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from django.utils.text import get_text_list

from federation.plan_valuation import ValuationSpec
from federation.terms import TERMS
from hub.common.templatetags.foedus import human_bytes
from hub.federations.models import Federation
from hub.federations.policies import Policy, VotingRule
from hub.federations.proposals.kinds import kinds

JOINING: Final = {
    "request": "By request: it signs the charter, asks, and is let in or not",
    "invitation": "By invitation: the lead invites it, and it takes part once it has signed",
    "open": "Open: it takes part as soon as it has signed",
}
MAJORITIES: Final = {
    "simple": "More yes than no",
    "two_thirds": "Two thirds of those who say yes or no",
    "unanimous": "Nobody says no",
}
# What people call a method; the name behind it is the one that plans have.
METHODS: Final = {
    "stack_svd": "stacking, cut back to the rank of the plan",
    "fedavg": "averaging",
    "ffa": "averaging one factor, the other frozen",
    "rolora": "averaging the two factors in turn",
    "fedex": "averaging, with what that loses added to the base",
    "fedsb": "averaging a small core between frozen factors",
    "shapley": "Shapley values, exact or sampled as the round's size asks",
    "exact": "exact Shapley values",
    "guided_permutations": "sampled Shapley values",
    "leave_one_out": "what would be missing without each",
    "gradient_alignment": "how far each goes down the slope of the loss",
    "cgsv": "how far each goes the way of all",
}
STRATEGIES: Final = tuple(TERMS)
VALUATIONS: Final = tuple(
    name for name in get_args(ValuationSpec.model_fields["method"].annotation) if name != "none"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is agreed: what it is about, and a sentence or two."""

    title: str
    words: str


def rules_of(federation: Federation) -> Sequence[Rule]:
    """All that is agreed at present."""
    return list(
        rules_in(
            federation.typed_policy,
            is_listed=federation.is_listed,
            largest_update_bytes=federation.largest_update_bytes,
        )
    )


def rules_in(policy: Policy, *, is_listed: bool, largest_update_bytes: int) -> Iterator[Rule]:
    """In the order of the form."""
    yield Rule("How an organisation joins", f"{JOINING[policy.join]}.")
    yield Rule("Who finds the federation", _visibility(is_listed=is_listed))
    yield Rule("Organisations in a run", _minimum(policy.minimum_participants))
    yield Rule("How updates are combined", _only(policy.strategies, "any method of the hub"))
    yield Rule("Committing first", _committing(must=policy.must_commit))
    yield Rule("Single updates", _attribution(may=policy.may_attribute))
    yield Rule("How contributions are valued", _only(policy.valuation, "any method, or none"))
    yield Rule("Credits without a vote", _credits(policy.credits_without_vote))
    yield Rule("Credits of a period", _period(policy))
    yield Rule("Largest update", f"{human_bytes(largest_update_bytes)}; a larger one is refused.")
    yield Rule("A vote", _voting(policy.voting))
    yield Rule("Who decides", _deciding(policy.led))


def _visibility(*, is_listed: bool) -> str:
    if is_listed:
        return "Every approved organisation on this hub finds it and reads its charter."
    return "Only its members, and whom they invite, know that it is there."


def _minimum(least: int) -> str:
    if least == 1:
        return "One is enough. What a single one learnt may then become a version."
    return (
        f"At least {least} train in every run, and no round has a result with fewer than {least} "
        "updates, so no version shows what one of them learnt by itself."
    )


def _only(names: Sequence[str], otherwise: str) -> str:
    if not names:
        return f"By {otherwise}."
    return f"By {get_text_list([in_words(name) for name in names], 'or')} only."


def in_words(method: str) -> str:
    """«averaging (fedavg)»; a method without words of its own keeps its name."""
    return f"{METHODS[method]} ({method})" if method in METHODS else method


def _committing(*, must: bool) -> str:
    if must:
        return (
            "Before any update of a round is sent, each organisation commits to its own by a "
            "digest. So nobody can copy what it has seen of another."
        )
    return "A run may ask organisations to commit to their updates first, and need not."


def _attribution(*, may: bool) -> str:
    if may:
        return "A run may let the members tell single updates apart; its plan says so before."
    return "No run lets the members tell single updates apart. Only the hub has them."


def _credits(most: int | None) -> str:
    if most is None:
        return "A run may split any number of credits without a vote."
    if most == 0:
        return "The members vote on every run that splits credits."
    return f"The members vote on a run that splits more than {most} credits before it starts."


def _period(policy: Policy) -> str:
    if policy.credits_in_period is None:
        return "All runs together may split any number of credits."
    return (
        f"All runs that begin within {policy.period_days} days may split "
        f"{policy.credits_in_period} credits together; a run that splits more than is left does "
        "not start."
    )


def _voting(rule: VotingRule) -> str:
    return (
        f"Each organisation but observers has one voice. It counts when {rule.quorum:.0%} of them "
        f"or more have voted, and is won thus: {MAJORITIES[rule.majority].lower()}. It is open for "
        f"{rule.days} {'day' if rule.days == 1 else 'days'}, or until nothing can change it."
    )


def _deciding(led: Sequence[str]) -> str:
    """What the lead decides alone, and what the members vote on."""
    if not led:
        return (
            "The members vote on all that can be proposed. The lead has one voice like the others."
        )
    named = get_text_list([label_of(name) for name in led], "and")
    return f"The lead decides alone: {named}. The members vote on everything else."


def label_of(kind: str) -> str:
    """A kind of proposal in the middle of a sentence."""
    label = kinds[kind].label if kind in kinds else kind
    return label[:1].lower() + label[1:]
