"""A policy in words, and the names of what it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from django.utils.translation import ngettext

from federation.plan_valuation import ValuationSpec
from federation.terms import TERMS
from hub.common.templatetags.foedus import human_bytes
from hub.federations.models import Federation
from hub.federations.policies import Policy, VotingRule
from hub.federations.proposals.kinds import kinds

JOINING: Final = {
    "request": _noop("By request: it signs the charter, asks, and is let in or not"),
    "invitation": _noop("By invitation: the lead invites it, and it takes part once it has signed"),
    "open": _noop("Open: it takes part as soon as it has signed"),
}
MAJORITIES: Final = {
    "simple": _noop("More yes than no"),
    "two_thirds": _noop("Two thirds of those who say yes or no"),
    "unanimous": _noop("Nobody says no"),
}
# What people call a method; the name behind it is the one that plans have.
METHODS: Final = {
    "stack_svd": _noop("stacking, cut back to the rank of the plan"),
    "fedavg": _noop("averaging"),
    "ffa": _noop("averaging one factor, the other frozen"),
    "rolora": _noop("averaging the two factors in turn"),
    "fedex": _noop("averaging, with what that loses added to the base"),
    "fedsb": _noop("averaging a small core between frozen factors"),
    "shapley": _noop("Shapley values, exact or sampled as the round's size asks"),
    "exact": _noop("exact Shapley values"),
    "guided_permutations": _noop("sampled Shapley values"),
    "leave_one_out": _noop("what would be missing without each"),
    "gradient_alignment": _noop("how far each goes down the slope of the loss"),
    "cgsv": _noop("how far each goes the way of all"),
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
    yield Rule(_("How an organisation joins"), f"{_(JOINING[policy.join])}.")
    yield Rule(_("Who finds the federation"), _visibility(is_listed=is_listed))
    yield Rule(_("Organisations in a run"), _minimum(policy.minimum_participants))
    yield Rule(
        _("How updates are combined"), _only(policy.strategies, _("By any method of the hub."))
    )
    yield Rule(_("Committing first"), _committing(must=policy.must_commit))
    yield Rule(_("Single updates"), _attribution(may=policy.may_attribute))
    yield Rule(
        _("How contributions are valued"), _only(policy.valuation, _("By any method, or none."))
    )
    yield Rule(_("Credits without a vote"), _credits(policy.credits_without_vote))
    yield Rule(_("Credits of a period"), _period(policy))
    yield Rule(_("Largest update"), _largest(largest_update_bytes))
    yield Rule(_("A vote"), _voting(policy.voting))
    yield Rule(_("Who decides"), _deciding(policy.led))


def _largest(most: int) -> str:
    return _("%(size)s; a larger one is refused.") % {"size": human_bytes(most)}


def _visibility(*, is_listed: bool) -> str:
    if is_listed:
        return _("Every approved organisation on this hub finds it and reads its charter.")
    return _("Only its members, and whom they invite, know that it is there.")


def _minimum(least: int) -> str:
    if least == 1:
        return _("One is enough. What a single one learnt may then become a version.")
    return _(
        "At least %(least)s train in every run, and no round has a result with fewer than "
        "%(least)s updates, so no version shows what one of them learnt by itself."
    ) % {"least": least}


def _only(names: Sequence[str], otherwise: str) -> str:
    if not names:
        return otherwise
    return _("By %(methods)s only.") % {
        "methods": get_text_list([in_words(name) for name in names], _("or"))
    }


def in_words(method: str) -> str:
    """«averaging (fedavg)»; a method without words of its own keeps its name."""
    return f"{_(METHODS[method])} ({method})" if method in METHODS else method


def _committing(*, must: bool) -> str:
    if must:
        return _(
            "Before any update of a round is sent, each organisation commits to its own by a "
            "digest. So nobody can copy what it has seen of another."
        )
    return _("A run may ask organisations to commit to their updates first, and need not.")


def _attribution(*, may: bool) -> str:
    if may:
        return _("A run may let the members tell single updates apart; its plan says so before.")
    return _("No run lets the members tell single updates apart. Only the hub has them.")


def _credits(most: int | None) -> str:
    if most is None:
        return _("A run may split any number of credits without a vote.")
    if most == 0:
        return _("The members vote on every run that splits credits.")
    return _(
        "The members vote on a run that splits more than %(most)s credits before it starts."
    ) % {"most": most}


def _period(policy: Policy) -> str:
    if policy.credits_in_period is None:
        return _("All runs together may split any number of credits.")
    return _(
        "All runs that begin within %(days)s days may split %(credits)s credits together; a run "
        "that splits more than is left does not start."
    ) % {"days": policy.period_days, "credits": policy.credits_in_period}


def _voting(rule: VotingRule) -> str:
    return ngettext(
        "Each organisation but observers has one voice. It counts when %(share)s of them or more "
        "have voted, and is won thus: %(majority)s. It is open for %(days)s day, or until nothing "
        "can change it.",
        "Each organisation but observers has one voice. It counts when %(share)s of them or more "
        "have voted, and is won thus: %(majority)s. It is open for %(days)s days, or until nothing "
        "can change it.",
        rule.days,
    ) % {
        "share": f"{rule.quorum:.0%}",
        "majority": small(_(MAJORITIES[rule.majority])),
        "days": rule.days,
    }


def _deciding(led: Sequence[str]) -> str:
    """What the lead decides alone, and what the members vote on."""
    if not led:
        return _(
            "The members vote on all that can be proposed. The lead has one voice like the others."
        )
    named = get_text_list([label_of(name) for name in led], _("and"))
    return _("The lead decides alone: %(named)s. The members vote on everything else.") % {
        "named": named
    }


def label_of(kind: str) -> str:
    """A kind of proposal in the middle of a sentence."""
    return small(str(kinds[kind].label)) if kind in kinds else kind


def small(words: str) -> str:
    """As it stands in the middle of a sentence: none of these begins with a noun."""
    return words[:1].lower() + words[1:]
