from __future__ import annotations

from django import forms
from django.contrib import admin
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from hub.common.acts import Act, offer
from hub.common.console import ReadOnlyAdmin, ReadOnlyInline, linked, moment, state
from hub.common.templatetags.foedus import human_bytes
from hub.organisations import services
from hub.organisations.models import (
    Agent,
    AgentState,
    EnrolmentCode,
    Membership,
    Organisation,
    OrganisationState,
)


class MembershipInline(ReadOnlyInline):
    model = Membership
    fields = ("user", "role", "created_at")
    readonly_fields = ("created_at",)
    ordering = ("created_at",)
    verbose_name_plural = "people"


class AgentInline(ReadOnlyInline):
    model = Agent
    fields = ("name", "state", "version", "device", "last_seen_at", "opened")


@admin.register(Organisation)
class OrganisationAdmin(ReadOnlyAdmin):
    list_display = ("name", state, "contact_email", moment("created_at", "registered"))
    list_filter = ("state",)
    search_fields = ("name", "slug", "contact_email", "id__exact")
    date_hierarchy = "created_at"
    inlines = (MembershipInline, AgentInline)
    fields = (
        ("name", "slug"),
        ("state", "state_changed_at"),
        "description",
        ("contact_email", "created_at"),
        "quota",
    )

    @admin.display(description="may store")
    def quota(self, organisation: Organisation) -> str:
        own = organisation.quota_bytes
        return "as much as any other" if own is None else human_bytes(own) if own else "no limit"


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
