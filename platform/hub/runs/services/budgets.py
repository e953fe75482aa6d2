"""The credits of a period: what all runs of a federation may split together."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.db.models import IntegerField, Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.runs.errors import AgainstPolicy
from hub.runs.models import Run, RunState

BUDGET = KeyTextTransform("budget", KeyTextTransform("rewards", "plan"))


def require_affordable(run: Run) -> None:
    """To be asked in the transaction that queues the run; runs that begin at once wait here.

    Raises:
        AgainstPolicy: the runs of the last days leave fewer credits than this one splits.
    """
    policy = run.federation.typed_policy
    asked = run.typed_plan.rewards.budget
    if policy.credits_in_period is None or not asked:
        return
    _one_at_a_time(run)
    left = max(0, policy.credits_in_period - _promised(run, days=policy.period_days))
    if asked > left:
        said = {"asked": asked, "left": left, "days": policy.period_days}
        raise AgainstPolicy(
            _(
                "It splits %(asked)s credits, and %(left)s are left of the %(all)s for "
                "%(days)s days."
            )
            % {**said, "all": policy.credits_in_period},
            reasons=[_("%(left)s credits are left for these %(days)s days.") % said],
        )


def _one_at_a_time(run: Run) -> None:
    """Held until the transaction ends, like a row of its own; the federation's is locked before."""
    with connection.cursor() as cursor:
        key = f"credits of {run.federation_id}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])


def _promised(run: Run, *, days: int) -> int:
    """Credits of the runs that have begun since, whatever became of them."""
    since = timezone.now() - timedelta(days=days)
    begun = Q(state=RunState.QUEUED) | Q(started_at__gte=since)
    others = Run.objects.filter(begun, federation=run.federation_id).exclude(pk=run.pk)
    return others.aggregate(all=Sum(Cast(BUDGET, IntegerField())))["all"] or 0
