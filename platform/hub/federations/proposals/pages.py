"""Pages of votes: what is proposed in a federation, one proposal, and making one."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common.errors import Invalid
from hub.common.forms import reason_in
from hub.common.pages import refusals_on
from hub.common.refusals import told
from hub.federations.models import Federation, Proposal
from hub.federations.proposals import services
from hub.federations.proposals.boards import Ballot, Reader, who_decides
from hub.federations.proposals.forms import ReasonForm, VoteForm
from hub.federations.proposals.kinds import Kind, kinds
from hub.federations.proposals.selectors import proposals_visible_to
from hub.federations.selectors import federations_of, require_place
from hub.organisations.permissions import Permission

PROPOSALS_SHOWN = 20


@require_safe
@login_required
def proposals(request: HttpRequest, slug: str) -> HttpResponse:
    """What waits for the reader's vote first, then what is open, then what was decided."""
    user = person_of(request)
    federation = _federation(user, slug)
    found = proposals_visible_to(user).filter(federation=federation)
    reader = Reader(user, federation.pk)
    listed = reader.waiting_first(found)
    page = Paginator(listed, PROPOSALS_SHOWN).get_page(request.GET.get("page"))
    context = {
        "federation": federation,
        "standpoint": reader.standpoint,
        "shown": "proposals",
        "page": page,
        "rows": reader.rows(cast("QuerySet[Proposal]", page.object_list)),
        "may_propose": reader.may(Permission.MAKE_PROPOSALS),
    }
    return render(request, "federations/proposals/list.html", context)


@require_safe
@login_required
def proposal(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What would change, who has voted, and what is still needed."""
    user = person_of(request)
    found = get_object_or_404(proposals_visible_to(user), pk=pk)
    ballot = Ballot(found, user)
    context = {"proposal": found, "federation": found.federation, "ballot": ballot}
    return render(request, "federations/proposals/detail.html", {**context, **ballot.shown})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def propose(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose what to propose, and say what and why."""
    user = person_of(request)
    federation = _federation(user, slug)
    with refusals_on(Form()):
        require_place(user, federation.pk, Permission.MAKE_PROPOSALS)
    kind = _chosen(request.GET.get("kind"))
    about = request.GET.get("participation", "")
    context: dict[str, Any] = {"federation": federation, "kind": kind, "kinds": _offered()}
    if kind is None or kind.form is None:
        return render(request, "federations/proposals/new.html", {**context, "about": about})
    chosen = {"initial": {"participation": about}} if about else {}
    form: Any = kind.form(request.POST or None, federation=federation, user=user, **chosen)
    reason = ReasonForm(request.POST or None)
    if form.is_valid() and reason.is_valid():
        with refusals_on(form):
            made = services.propose(
                user=user,
                federation_id=federation.pk,
                kind=kind.name,
                terms=form.terms(),
                reason=reason.cleaned_data["reason"],
            )
            messages.success(request, _outcome(made))
            return redirect("federations:proposal", made.pk)
    rule = who_decides(federation, kind.name)
    shown = {"form": form, "reason": reason, "rule": rule}
    return render(request, "federations/proposals/new.html", {**context, **shown})


@require_POST
@login_required
def vote(request: HttpRequest, pk: UUID) -> HttpResponse:
    user = person_of(request)
    get_object_or_404(proposals_visible_to(user), pk=pk)
    form = VoteForm(request.POST)
    with told(request):
        if not form.is_valid():
            raise Invalid(str(next(iter(form.errors.values()))[0]))
        said = form.cleaned_data
        done = services.vote(
            user=user,
            proposal_id=pk,
            choice=said["choice"],
            reason=said["reason"],
            participation_id=said["participation"],
        )
        messages.success(request, _outcome(done))
    return redirect("federations:proposal", pk)


@require_POST
@login_required
def withdraw(request: HttpRequest, pk: UUID) -> HttpResponse:
    user = person_of(request)
    get_object_or_404(proposals_visible_to(user), pk=pk)
    with told(request):
        services.withdraw(user=user, proposal_id=pk, reason=reason_in(request.POST))
        messages.success(request, _("The proposal is withdrawn. It stays on record."))
    return redirect("federations:proposal", pk)


def _outcome(proposal: Proposal) -> str:
    if proposal.is_open:
        return _("It is on record. The vote is open.")
    return _("The proposal is %(state)s.") % {"state": proposal.get_state_display()}


def _offered() -> list[Kind]:
    """The kinds that are proposed with a form, by their labels."""
    return sorted((one for one in kinds.values() if one.form), key=lambda one: str(one.label))


def _chosen(name: str | None) -> Kind | None:
    """Raises Http404: there is no such kind."""
    if not name:
        return None
    if name not in kinds:
        raise Http404("no such kind of proposal")
    return kinds[name]


def _federation(user: User, slug: str) -> Federation:
    return get_object_or_404(federations_of(user), slug=slug)
