"""Pages of runs and rounds: begun, watched, steered, looked into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.catalogue.blobs.streaming import artifact_response
from hub.common.errors import DomainError
from hub.common.forms import reason_in
from hub.common.pages import redirect_once, refusals_on
from hub.common.refusals import sentence_of, told
from hub.federations.errors import CharterUnsigned
from hub.federations.selectors import federations_of
from hub.runs import selectors, services
from hub.runs.beginnings import Draft
from hub.runs.boards import Board
from hub.runs.errors import VoteNeeded
from hub.runs.forms import RunFilter, RunForm, VerdictForm
from hub.runs.listings import listed, runs_in_view
from hub.runs.live import EVERYTHING
from hub.runs.models import Round, RoundState, Run, RunState
from hub.runs.recomputed import MethodsBoard
from hub.runs.rounds import RoundBoard
from hub.runs.services.agreed import needs_vote

RUNS_SHOWN = 25
PARTS = EVERYTHING | {"badge"}


@require_safe
@login_required
def runs(request: HttpRequest) -> HttpResponse:
    """All that the person may see: what goes on first, then the newest."""
    user = person_of(request)
    chosen = RunFilter(request.GET or None, federations=federations_of(user))
    found = runs_in_view(user, chosen.cleaned_data if chosen.is_valid() else {})
    page = Paginator(found, RUNS_SHOWN).get_page(request.GET.get("page"))
    context = {"filters": chosen, "page": page, "rows": listed(page.object_list)}
    return render(request, "runs/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: HttpRequest, slug: str) -> HttpResponse:
    """The form for a run; sent with `forecast`, only what it would cost."""
    user = person_of(request)
    federations = federations_of(user).select_related("base_model")
    draft = Draft(get_object_or_404(federations, slug=slug), user, asked=request.GET)
    form = draft.form(request.POST or None)
    context = {"draft": draft, "form": form}
    if "forecast" in request.POST:
        return render(request, "runs/new.html#forecast", context)
    if form.is_valid():
        with refusals_on(form):
            return redirect_once(request, form, lambda: _begun(request, draft, form))
    return render(request, "runs/new.html", context)


def _begun(request: HttpRequest, draft: Draft, form: RunForm) -> str:
    run = services.create_run(
        user=draft.user, federation_id=draft.federation.pk, **form.service_fields()
    )
    if "start" in request.POST:
        _started(request, run)
    else:
        messages.success(request, _("%(name)s is kept as a draft.") % {"name": run.name})
    return reverse("runs:detail", args=[run.pk])


def _started(request: HttpRequest, run: Run) -> None:
    """What others have to do first leaves the draft as it is."""
    try:
        services.start_run(user=person_of(request), run_id=run.pk)
    except (CharterUnsigned, VoteNeeded) as refusal:
        messages.warning(
            request,
            _("%(name)s is kept as a draft. %(refusal)s")
            % {"name": run.name, "refusal": sentence_of(refusal)},
        )
    else:
        messages.success(request, _("%(name)s is on its way.") % {"name": run.name})


@require_safe
@login_required
def run(request: HttpRequest, pk: UUID) -> HttpResponse:
    return render(request, "runs/detail.html", _seen(_board(request, pk)))


@login_not_required
@require_safe
def part(request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
    """One part of a run's page again; who has been signed out meanwhile is sent to sign in."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401, headers={"HX-Refresh": "true"})
    if name not in PARTS:
        raise Http404
    return render(request, f"runs/detail.html#{name}", _seen(_board(request, pk)))


def _seen(board: Board) -> dict[str, Any]:
    is_draft = board.run.state == RunState.DRAFT
    return {"run": board.run, "board": board, "needs_vote": is_draft and needs_vote(board.run)}


def _board(request: HttpRequest, pk: UUID) -> Board:
    user = person_of(request)
    before = request.GET.get("before", "")
    return Board(_run(user, pk), user, before=int(before[:9]) if before.isdecimal() else None)


@require_POST
@login_required
def start(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _steer(request, pk, services.start_run, _("{run} is on its way."))


@require_POST
@login_required
def pause(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _steer(request, pk, services.pause_run, _("{run} is paused."))


@require_POST
@login_required
def resume(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _steer(request, pk, services.resume_run, _("{run} goes on."))


@require_POST
@login_required
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    def stop(*, user: User, run_id: UUID) -> Run:
        return services.cancel_run(user=user, run_id=run_id, reason=reason_in(request.POST))

    said = _("{run} is cancelled. Agents stop with their next heartbeat.")
    return _steer(request, pk, stop, said)


def _steer(
    request: HttpRequest, pk: UUID, service: Callable[..., Run], sentence: str
) -> HttpResponse:
    user = person_of(request)
    found = _run(user, pk)
    with told(request):
        service(user=user, run_id=found.pk)
        messages.success(request, sentence.format(run=found.name))
    return redirect("runs:detail", found.pk)


@require_safe
@login_required
def round_(request: HttpRequest, pk: UUID) -> HttpResponse:
    user = person_of(request)
    visible = selectors.rounds_visible_to(user).select_related("comparison", "stacking__artifact")
    found = get_object_or_404(selectors.with_replay(visible), pk=pk)
    board = RoundBoard(found, user)
    return render(request, "runs/round.html", {"round": found, "board": board})


@require_POST
@login_required
def replay(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have the round computed again from its stored updates."""
    user = person_of(request)
    found = get_object_or_404(selectors.rounds_visible_to(user), pk=pk)
    with told(request):
        services.replay_round(user=user, round_id=found.pk)
        messages.success(
            request, _("Round %(number)s is being computed again.") % {"number": found.number}
        )
    return redirect("runs:round", found.pk)


@require_POST
@login_required
def stack(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Have the round's stacked adapter made."""
    user = person_of(request)
    found = get_object_or_404(selectors.rounds_visible_to(user), pk=pk)
    with told(request):
        services.stack_round(user=user, round_id=found.pk)
        messages.success(
            request,
            _("The stacked adapter of round %(number)s is being made.") % {"number": found.number},
        )
    return redirect("runs:round", found.pk)


@require_safe
@login_required
def stacked(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The stacked adapter as a file, for members whom the plan lets have it."""
    user = person_of(request)
    found = get_object_or_404(selectors.rounds_visible_to(user), pk=pk)
    try:
        artifact = services.stacked_adapter(user=user, current=found)
    except DomainError as refusal:
        messages.error(request, sentence_of(refusal))
        return redirect("runs:round", found.pk)
    filename = f"round-{found.number}-stacked.safetensors"
    return artifact_response(request, artifact, filename=filename)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def methods(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What a closed round's updates come to under other methods."""
    user = person_of(request)
    found = _closed_round(user, pk)
    if request.method == "POST":
        keys = request.POST.getlist("method")
        if not keys:
            messages.error(request, _("Choose a method first."))
        with told(request):
            services.recompute_round(user=user, round_id=found.pk, keys=keys)
        return redirect("runs:methods", found.pk)
    return render(request, "runs/methods.html", {"round": found, "board": MethodsBoard(found)})


@login_not_required
@require_safe
def methods_results(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The results again, by themselves."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401, headers={"HX-Refresh": "true"})
    found = _closed_round(person_of(request), pk)
    context = {"round": found, "board": MethodsBoard(found)}
    return render(request, "runs/methods.html#results", context)


def _closed_round(user: User, pk: UUID) -> Round:
    closed = selectors.rounds_visible_to(user).filter(state=RoundState.CLOSED)
    return get_object_or_404(closed, pk=pk)


@require_POST
@login_required
def judge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The lead accepts or rejects an update that was set aside, with a reason."""
    user = person_of(request)
    update = get_object_or_404(selectors.updates_visible_to(user), pk=pk)
    form = VerdictForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Say why, in at most 500 characters."))
        return redirect("runs:round", update.round_id)
    accept = form.cleaned_data["verdict"] == "accept"
    with told(request):
        services.judge_update(
            user=user, update_id=pk, accept=accept, reason=form.cleaned_data["reason"]
        )
        counts = _("The update of %(organisation)s counts.")
        done = counts if accept else _("The update of %(organisation)s is left out.")
        messages.success(request, done % {"organisation": update.participation.organisation})
    return redirect("runs:round", update.round_id)


def _run(user: User, pk: UUID) -> Run:
    visible = selectors.runs_visible_to(user).select_related(
        "federation__base_model", "created_by", "parent_version"
    )
    return get_object_or_404(visible, pk=pk)
