from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminIntegerFieldWidget

from hub.accounts.selectors import person_of
from hub.common.acts import Act, act_url, acts_for, offer
from hub.common.console import ReadOnlyAdmin, ReadOnlyInline, linked, moment, state
from hub.common.errors import DomainError
from hub.common.templatetags.foedus import human_bytes
from hub.organisations import services
from hub.organisations.models import (
    Agent,
    AgentState,
    EnrolmentCode,
    Invitation,
    Membership,
    Organisation,
    OrganisationState,
)
from hub.organisations.registrations import Candidate, candidates, waiting
from hub.organisations.selectors import invitations_to_hub

WAITING_SHOWN = 20


class MembershipInline(ReadOnlyInline):
    model = Membership
    fields = ("user", "role", "created_at")
    readonly_fields = ("created_at",)
    ordering = ("created_at",)
    verbose_name_plural = "people"


class AgentInline(ReadOnlyInline):
    model = Agent
    fields = ("name", "state", "version", "device", "last_seen_at", "opened")


class GuestForm(forms.Form):
    """Whom operators invite to bring an organisation."""

    email = forms.EmailField(
        max_length=254, label="E-mail address", widget=UnfoldAdminEmailInputWidget()
    )


@admin.register(Organisation)
class OrganisationAdmin(ReadOnlyAdmin):
    """All organisations; those that wait for an operator stand on a page of their own."""

    list_display = ("name", state, "contact_email", moment("created_at", "registered"))
    list_filter = ("state",)
    search_fields = ("name", "slug", "contact_email", "id__exact")
    date_hierarchy = "created_at"
    inlines = (MembershipInline, AgentInline)
    fields = (
        ("name", "slug"),
        ("state", "state_changed_at"),
        "description",
        ("website", "country"),
        ("contact_email", "created_at"),
        "quota",
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.registrations)
        name = "organisations_organisation_registrations"
        return [path("registrations/", view, name=name), *super().get_urls()]

    def registrations(self, request: HttpRequest) -> HttpResponseBase:
        """The queue, with what is known of each; posted to, it invites somebody to the hub."""
        form = GuestForm(request.POST or None)
        if form.is_valid() and _invited(request, form):
            return redirect("admin:organisations_organisation_registrations")
        page = Paginator(waiting(), WAITING_SHOWN).get_page(request.GET.get("page"))
        invited = Paginator(invitations_to_hub(), WAITING_SHOWN).get_page(1)
        here = reverse("admin:organisations_organisation_registrations")
        context = {
            **self.admin_site.each_context(request),
            "title": "Registrations",
            "opts": self.opts,
            "page": page,
            "candidates": [(one, _decisions(one, here)) for one in candidates(list(page))],
            "invited": invited,
            "form": form,
        }
        return TemplateResponse(request, "console/registrations.html", context)

    @admin.display(description="may store")
    def quota(self, organisation: Organisation) -> str:
        own = organisation.quota_bytes
        return "as much as any other" if own is None else human_bytes(own) if own else "no limit"


def _invited(request: HttpRequest, form: GuestForm) -> bool:
    user = person_of(request)
    try:
        made = services.invite_to_hub(user=user, **form.cleaned_data)
    except DomainError as refusal:
        messages.error(request, f"Nothing was done. {refusal.title} {refusal.detail}")
        return False
    messages.success(request, f"A link is on its way to {made.email}.")
    return True


def _decisions(one: Candidate, back: str) -> list[tuple[str, str]]:
    acts = acts_for(one.organisation)
    return [(act.label, act_url(one.organisation, act.name, back=back)) for act in acts]


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = (
        "email",
        "kind",
        linked("organisation"),
        state,
        moment("created_at", "made"),
        moment("expires_at", "expires"),
    )
    list_select_related = ("organisation",)
    list_filter = ("state", "kind")
    search_fields = ("email", "organisation__name", "id__exact")
    date_hierarchy = "created_at"
    fields = (
        ("email", "kind"),
        ("state", "state_changed_at"),
        ("organisation", "invited_by"),
        ("role", "standing"),
        ("accepted_by", "accepted_for"),
        ("created_at", "expires_at"),
    )


@admin.register(Agent)
class AgentAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        linked("organisation"),
        state,
        "version",
        "device",
        moment("last_seen_at", "last seen"),
    )
    list_select_related = ("organisation",)
    list_filter = ("state", "version")
    search_fields = ("name", "key_id", "organisation__name", "id__exact")
    date_hierarchy = "created_at"
    fields = (
        ("name", "organisation"),
        ("state", "state_changed_at"),
        ("version", "device"),
        ("last_seen_at", "created_at"),
        "federations",
        "key_id",
    )


@admin.register(EnrolmentCode)
class EnrolmentCodeAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        linked("created_by", "made by"),
        moment("created_at", "made"),
        moment("expires_at", "expires"),
        linked("agent", "spent by"),
    )
    list_select_related = ("organisation", "created_by", "agent")
    search_fields = ("organisation__name",)
    date_hierarchy = "created_at"
    fields = ("organisation", "created_by", ("created_at", "expires_at"), "agent")


def gibibytes() -> forms.IntegerField:
    return forms.IntegerField(
        min_value=0,
        max_value=2**20,
        required=False,
        label="GiB",
        widget=UnfoldAdminIntegerFieldWidget(attrs={"autofocus": True}),
        help_text="0: no limit. Empty: as much as any other, which a setting says.",
    )


offer(
    Organisation,
    Act(
        name="quota",
        label="Set quota",
        consequence="Its agents' uploads and the base models that it brings may take so much. What "
        "it has stored stays, even if that is more.",
        perform=lambda pk, who, why, gib: services.set_quota(
            organisation_id=pk,
            quota_bytes=None if gib is None else gib * 2**30,
            actor=who,
            reason=why,
        ),
        states=frozenset({OrganisationState.APPROVED, OrganisationState.SUSPENDED}),
        asks={"gib": gibibytes},
        icon="database",
    ),
    Act(
        name="approve",
        label="Approve",
        consequence="Its people may found and join federations, and enrol agents.",
        perform=lambda pk, who, why: services.approve_organisation(
            organisation_id=pk, actor=who, reason=why
        ),
        states=frozenset({OrganisationState.PENDING}),
        icon="check",
    ),
    Act(
        name="refuse",
        label="Refuse",
        consequence="The registration ends here, for good; its name stays taken.",
        perform=lambda pk, who, why: services.refuse_organisation(
            organisation_id=pk, actor=who, reason=why
        ),
        states=frozenset({OrganisationState.PENDING}),
        icon="close",
    ),
    Act(
        name="suspend",
        label="Suspend",
        consequence="Its agents and people are refused from their next request on.",
        perform=lambda pk, who, why: services.suspend_organisation(
            organisation_id=pk, actor=who, reason=why
        ),
        states=frozenset({OrganisationState.APPROVED}),
        is_dangerous=True,
        icon="block",
    ),
    Act(
        name="reinstate",
        label="Reinstate",
        consequence="Everything that it could do before, it can do again.",
        perform=lambda pk, who, why: services.reinstate_organisation(
            organisation_id=pk, actor=who, reason=why
        ),
        states=frozenset({OrganisationState.SUSPENDED}),
        icon="undo",
    ),
)
offer(
    Agent,
    Act(
        name="revoke",
        label="Revoke",
        consequence="Its keys open nothing from its next request on, for good. What it holds "
        "goes back to the queue.",
        perform=lambda pk, who, why: services.revoke_agent(agent_id=pk, actor=who, reason=why),
        states=frozenset({AgentState.ACTIVE}),
        is_dangerous=True,
        icon="key_off",
    ),
)
