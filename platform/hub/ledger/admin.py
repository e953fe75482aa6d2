from __future__ import annotations

from django.contrib import admin

from hub.common.console import ReadOnlyAdmin, moment
from hub.ledger.models import Checkpoint, Entry, Head


@admin.register(Entry)
class EntryAdmin(ReadOnlyAdmin):
    list_display = ("key", "type", "position", "ledger", moment("at", "written"))
    list_filter = ("type",)
    search_fields = ("=ledger", "key")
    ordering = ("-id",)


@admin.register(Head)
class HeadAdmin(ReadOnlyAdmin):
    list_display = ("ledger", "size", "stopped", "stopped_reason", moment("at", "grew"))
    list_filter = ("stopped",)
    search_fields = ("=ledger",)
    ordering = ("ledger",)


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ("ledger", "size", moment("at", "signed"))
    search_fields = ("=ledger",)
    ordering = ("-id",)
