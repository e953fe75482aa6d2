"""What may be said of privacy, and its exact scope. Nothing is claimed that a record does not show.

These words are checked by tests: a card must not promise what the plan did not enforce.
"""

from __future__ import annotations

from federation.plan import Plan

PLAIN_CODEC = "fp32"
KEPT = (
    "Training data stayed with each organisation: its agent trained on the organisation's own "
    "machines and sent an update of the weights, its number of examples and its figures."
)
SEEN = (
    "The hub received every organisation's update in clear and could read it. Secure aggregation "
    "was not used, so single updates were not hidden from the hub or from whoever runs it."
)
UNBOUNDED = (
    "Differential privacy was not used. Nothing bounds what the weights may reveal about single "
    "training examples to somebody who holds the model."
)
SCOPE = "This covers training only, not what is typed into the model or what it answers."


def privacy_statement(plan: Plan) -> tuple[str, ...]:
    """Who saw what while the version was trained, in sentences.

    No plan can ask for secure aggregation or differential privacy yet; one that can changes this
    function with it.
    """
    return (KEPT, *_coded(plan), SEEN, UNBOUNDED, SCOPE)


def _coded(plan: Plan) -> tuple[str, ...]:
    """A lossy code is no protection, and is not to be taken for one."""
    if plan.transfer.codec == PLAIN_CODEC:
        return ()
    return (f"Updates travelled in the code `{plan.transfer.codec}`, which hides nothing.",)
