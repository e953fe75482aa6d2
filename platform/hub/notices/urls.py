from __future__ import annotations

from django.urls import path

from hub.notices import hook_pages, pages

app_name = "notices"

WEBHOOKS = "organisations/<slug:slug>/webhooks"

urlpatterns = [
    path("inbox", pages.inbox, name="inbox"),
    path("inbox/read", pages.read_all, name="read_all"),
    path("inbox/settings", pages.settings, name="settings"),
    path("inbox/<uuid:pk>/open", pages.open_, name="open"),
    path("inbox/<uuid:pk>/read", pages.read, name="read"),
    path("unsubscribe/<str:token>", pages.unsubscribe, name="unsubscribe"),
    path(WEBHOOKS, hook_pages.webhooks, name="webhooks"),
    path("webhooks/<uuid:pk>", hook_pages.webhook, name="webhook"),
    path("webhooks/<uuid:pk>/rotate", hook_pages.rotate, name="rotate"),
    path("webhooks/<uuid:pk>/disable", hook_pages.disable, name="disable"),
    path("webhooks/<uuid:pk>/enable", hook_pages.enable, name="enable"),
    path("webhooks/<uuid:pk>/remove", hook_pages.remove, name="remove"),
    path("webhooks/deliveries/<uuid:pk>/replay", hook_pages.replay, name="replay"),
]
