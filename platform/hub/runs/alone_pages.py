"""The button that has every organisation train alone, to show what joining is worth."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from hub.accounts.selectors import person_of
from hub.common.refusals import told
from hub.runs import selectors
from hub.runs.services.alone import train_alone


@require_POST
@login_required
def alone(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start the comparisons; leads to the run's last version, whose page will show them."""
    user = person_of(request)
    found = get_object_or_404(selectors.runs_visible_to(user), pk=pk)
    with told(request):
        made = train_alone(user=user, run_id=found.pk)
        messages.success(
            request, _("%(made)s organisations train alone, for comparison.") % {"made": len(made)}
        )
    last = found.rounds.exclude(version=None).order_by("-number").first()
    if last is None:
        return redirect("runs:detail", found.pk)
    return redirect("catalogue:evaluation", last.version_id)
