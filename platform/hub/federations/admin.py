from __future__ import annotations

from django.contrib import admin

from hub.common.console import ReadOnlyAdmin, ReadOnlyInline, linked, moment, state
from hub.federations.models import Federation, Participation, Proposal, Vote


class ParticipationInline(ReadOnlyInline):
    model = Participation
    fields = ("organisation", "standing", "state", "rank", "signed_at", "opened")


@admin.register(Federation)
class FederationAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        state,
        linked("base_model"),
        "is_listed",
        moment("created_at", "founded"),
    )
    list_select_related = ("base_model",)
    list_filter = ("state", "is_listed", "base_model")
    search_fields = ("name", "slug", "id__exact")
    date_hierarchy = "created_at"
    inlines = (ParticipationInline,)
    fields = (
        ("name", "slug"),
        ("state", "state_changed_at"),
        ("base_model", "created_at"),
        ("is_listed", "largest_update_bytes"),
        "purpose",
        "charter",
    )


@admin.register(Participation)
class ParticipationAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        linked("federation"),
        linked("organisation"),
        "standing",
        state,
        "rank",
        moment("signed_at", "signed"),
    )
    list_select_related = ("federation", "organisation")
    list_filter = ("state", "standing", "federation")
    search_fields = ("federation__name", "organisation__name", "id__exact")
    date_hierarchy = "created_at"
    exclude = ("data_statement",)  # its own words on its data, for the members


class VoteInline(ReadOnlyInline):
    model = Vote
    fields = ("participation", "choice", "reason", "voter", "at")


@admin.register(Proposal)
class ProposalAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        state,
        linked("federation"),
        linked("proposed_by"),
        moment("created_at", "made"),
        moment("closes_at", "closes"),
    )
    list_select_related = ("federation", "proposed_by")
    list_filter = ("state", "kind")
    search_fields = ("federation__name", "reason", "answer", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (VoteInline,)
