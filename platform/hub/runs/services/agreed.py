"""Runs keep to the policy that the members have agreed on."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from federation.plan import Plan
from hub.federations.policies import Policy
from hub.runs.errors import AgainstPolicy, VoteNeeded
from hub.runs.models import Purpose, Run


def require_agreed(policy: Policy, plan: Plan, *, purpose: str, training: int) -> None:
    """Refuse a plan that breaks a rule; `training`: how many organisations train in the run.

    A comparison, in which one organisation trains by itself, need not keep to rules about several.

    Raises:
        AgainstPolicy: with a sentence for each rule.
    """
    is_alone = purpose != Purpose.FEDERATED and training == 1
    broken = [*_apart(policy, plan), *(() if is_alone else _together(policy, plan, training))]
    if broken:
        raise AgainstPolicy(" ".join(broken), reasons=broken)


def _apart(policy: Policy, plan: Plan) -> Iterator[str]:
    if plan.transfer.attributable and not policy.may_attribute:
        yield _("Members may not tell single updates apart.")


def _together(policy: Policy, plan: Plan, training: int) -> Iterator[str]:
    least = policy.minimum_participants
    if training < least:
        said = _("At least %(least)s organisations train in a run, not %(training)s.")
        yield said % {"least": least, "training": training}
    if plan.rounds.quorum < least:
        said = _("A round closes with %(least)s updates or more: the quorum is %(quorum)s.")
        yield said % {"least": least, "quorum": plan.rounds.quorum}
    strategy = plan.aggregation.strategy
    if policy.strategies and strategy not in policy.strategies:
        said = _("Runs aggregate by %(allowed)s, not by %(strategy)s.")
        yield said % {"allowed": _any_of(policy.strategies), "strategy": strategy}
    if policy.must_commit and plan.rounds.commit_seconds is None:
        yield _("Organisations commit to their updates before they send them: give them time to.")
    if policy.valuation and plan.valuation.method not in policy.valuation:
        said = _("Contributions are valued by %(allowed)s.")
        yield said % {"allowed": _any_of(policy.valuation)}


def _any_of(names: tuple[str, ...]) -> str:
    return _(" or ").join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def needs_vote(run: Run) -> bool:
    """Whether it splits more credits than one member may decide on alone."""
    most = run.federation.typed_policy.credits_without_vote
    return most is not None and run.typed_plan.rewards.budget > most


def require_no_vote(run: Run) -> None:
    """Raises VoteNeeded: the run splits more credits than one member may decide on alone."""
    if needs_vote(run):
        most = run.federation.typed_policy.credits_without_vote
        budget = run.typed_plan.rewards.budget
        raise VoteNeeded(
            _(
                "It splits %(budget)s credits, and members vote on more than %(most)s: "
                "propose to start %(name)s."
            )
            % {"budget": budget, "most": most, "name": run.name},
            kind="run",
            terms={"run": str(run.pk)},
        )
