"""Whether a plan's texts fit what its base model can read."""

from __future__ import annotations

from django.utils.translation import gettext as _

from federation.plan import Plan
from hub.catalogue.bases.registering import most_tokens
from hub.catalogue.models import BaseModel
from hub.runs.errors import PlanRefused


def check_fit(plan: Plan, base_model: BaseModel) -> None:
    """Refuse texts that, behind the learnt tokens, are longer than the base model can read."""
    text = getattr(plan.task, "max_tokens", 0)
    learnt = getattr(plan.adapter, "virtual_tokens", 0)
    most = most_tokens(base_model)
    if most is None or text + learnt <= most:
        return
    said = _("%(tokens)s (%(learnt)s learnt and %(text)s of a text)")
    told = {"tokens": text + learnt, "learnt": learnt, "text": text}
    wanted = said % told if learnt else str(text)
    raise PlanRefused(
        _("%(name)s reads %(most)s tokens at most, not %(wanted)s")
        % {"name": base_model.name, "most": most, "wanted": wanted}
    )
