from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from hub.common.console import ReadOnlyAdmin, moment
from hub.common.models import Event, OutboxMessage, Stateful
from hub.common.sentences import sentence


class SubjectFilter(admin.SimpleListFilter):
    """By what the event is about; the words come from the models that leave events."""

    title = "subject"
    parameter_name = "subject"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        subjects = sorted(model.subject for model in Stateful.__subclasses__())
        return [(subject, subject.capitalize()) for subject in subjects]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:  # noqa: ARG002
        chosen = self.value()
        return queryset.filter(kind__startswith=f"{chosen}.") if chosen else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("kind", moment("at", "when"), "what", "actor_label")
    list_filter = (SubjectFilter, "actor_kind")
    search_fields = ("subject_id__exact", "actor_label", "reason")
    search_help_text = "An identifier, somebody's name, or words of a reason"
    date_hierarchy = "at"
    ordering = ("-id",)

    @admin.display(description="what happened")
    def what(self, event: Event) -> str:
        return sentence(event)


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ("job", "arguments", moment("created_at", "written"), moment("sent_at", "sent"))
    list_filter = (("sent_at", admin.EmptyFieldListFilter), "job")
    search_fields = ("arguments",)
    search_help_text = "An identifier among the arguments"
    date_hierarchy = "created_at"
    ordering = ("-id",)
