"""Pages of agents: who is there, who is silent, what each does; enrol, rename, revoke."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.factors import recently_authenticated
from hub.accounts.selectors import person_of
from hub.common.forms import reason_in, sent
from hub.common.pages import redirect_with_secret, refusals_on, secret_shown
from hub.common.refusals import told
from hub.organisations import selectors, services
from hub.organisations.declined import declines
from hub.organisations.forms import AgentNameForm, EnrolForm
from hub.organisations.models import Agent, EnrolmentCode
from hub.organisations.permissions import Permission

TASKS_SHOWN = 20


@require_safe
@login_required
def agents(request: HttpRequest) -> HttpResponse:
    """All agents of the person's organisations; asked again by itself, only the list."""
    user = person_of(request)
    part = "#list" if request.htmx else ""  # type: ignore[attr-defined]  # of django-htmx
    seen = selectors.sightings(selectors.agents_of(user))
    context = {
        "current": [sighting for sighting in seen if not sighting.agent.is_final],
        "revoked": [sighting for sighting in seen if sighting.agent.is_final],
        "declines": declines(selectors.agents_of(user)),
        "codes": selectors.open_codes_of(user),
        "may_enrol": selectors.organisations_where(user, Permission.MANAGE_AGENTS).exists(),
    }
    return render(request, f"organisations/agents.html{part}", context)


@require_safe
@login_required
def agent(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    seen = selectors.sightings(selectors.agents_of(person_of(request)).filter(pk=agent_id))
    if not seen:
        raise Http404
    found = seen[0].agent
    part = "#now" if request.htmx else ""  # type: ignore[attr-defined]  # of django-htmx
    own = selectors.membership_of(person_of(request), found.organisation)
    context = {
        "sighting": seen[0],
        "may_manage": own is not None and own.may(Permission.MANAGE_AGENTS),
        # Tasks belong to a higher app: only the database follows this arrow.
        "tasks": found.tasks.select_related("round__run")
        .annotate(took=F("ended_at") - F("leased_at"))
        .order_by("-leased_at")[:TASKS_SHOWN],
        "declines": declines(Agent.objects.filter(pk=found.pk)),
        "history": selectors.history_of(found),
    }
    return render(request, f"organisations/agent.html{part}", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@recently_authenticated
def enrol(request: HttpRequest) -> HttpResponse:
    """Make a one-time code; the page that follows shows, this once, the lines that use it."""
    user = person_of(request)
    chosen = (
        selectors.organisations_where(user, Permission.MANAGE_AGENTS)
        .filter(slug=request.GET.get("for", ""))
        .first()
    )
    form = EnrolForm(request.POST or None, user=user, initial={"organisation": chosen})
    if form.is_valid():
        with refusals_on(form):
            organisation_id = form.cleaned_data["organisation"].pk
            code, secret = services.make_enrolment_code(organisation_id=organisation_id, user=user)
            return redirect_with_secret(request, name=str(code.pk), secret=secret)
    if made := secret_shown(request):
        code = get_object_or_404(selectors.open_codes_of(user), pk=made[0])
        return render(request, "organisations/enrol.html", _lines(code, made[1]))
    return render(request, "organisations/enrol.html", {"form": form})


@require_POST
@login_required
def revoke_code(request: HttpRequest, code_id: UUID) -> HttpResponse:
    with told(request):
        services.revoke_enrolment_code(code_id=code_id, user=person_of(request))
        messages.success(request, _("Revoked. The code lets nobody in any more."))
    return redirect("organisations:agents")


def _lines(code: EnrolmentCode, secret: str) -> dict[str, object]:
    places = code.organisation.participations.filter(state="active").order_by("created_at")
    slugs = list(places.values_list("federation__slug", flat=True))
    return {"code": code, "secret": secret, "url": settings.PUBLIC_URL, "slugs": slugs}


@require_POST
@login_required
def rename(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    found = _visible(request, agent_id)
    with told(request):
        name = sent(AgentNameForm(request.POST), "name")
        services.rename_agent(agent_id=found.pk, name=name, user=person_of(request))
        messages.success(request, _("It is called %(name)s now.") % {"name": name})
    return redirect("organisations:agent", found.pk)


@require_POST
@login_required
@recently_authenticated
def revoke(request: HttpRequest, agent_id: UUID) -> HttpResponse:
    found, user = _visible(request, agent_id), person_of(request)
    with told(request):
        selectors.require_permission(user, found.organisation_id, Permission.MANAGE_AGENTS)
        reason = reason_in(request.POST)
        services.revoke_agent(agent_id=found.pk, actor=user.actor, reason=reason)
        messages.success(
            request, _("%(name)s is revoked. Its next request is refused.") % {"name": found.name}
        )
    return redirect("organisations:agent", found.pk)


def _visible(request: HttpRequest, agent_id: UUID) -> Agent:
    return get_object_or_404(selectors.agents_of(person_of(request)), pk=agent_id)
