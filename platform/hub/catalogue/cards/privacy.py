"""What may be said of privacy, and its exact scope. Nothing is claimed that a record does not show.

These words are checked by tests: a card must not promise what the plan did not enforce.
"""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from federation.plan import Plan

PLAIN_CODEC = "fp32"
KEPT = _noop(
    "Training data stayed with each organisation: its agent trained on the organisation's own "
    "machines and sent an update of the weights, its number of examples and its figures."
)
SEEN = _noop(
    "The hub received every organisation's update in clear and could read it. Secure aggregation "
    "was not used, so single updates were not hidden from the hub or from whoever runs it."
)
UNBOUNDED = _noop(
    "Differential privacy was not used. Nothing bounds what the weights may reveal about single "
    "training examples to somebody who holds the model."
)
SCOPE = _noop("This covers training only, not what is typed into the model or what it answers.")


def privacy_statement(plan: Plan) -> tuple[str, ...]:
    """Who saw what while the version was trained, in sentences.

    No plan can ask for secure aggregation or differential privacy yet; one that can changes this
    function with it.
    """
    return (_(KEPT), *_coded(plan), _(SEEN), _(UNBOUNDED), _(SCOPE))


def _coded(plan: Plan) -> tuple[str, ...]:
    """A lossy code is no protection, and is not to be taken for one."""
    if plan.transfer.codec == PLAIN_CODEC:
        return ()
    said = _("Updates travelled in the code `%(codec)s`, which hides nothing.")
    return (said % {"codec": plan.transfer.codec},)
