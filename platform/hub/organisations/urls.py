from __future__ import annotations

from django.urls import path

from hub.organisations import agent_pages, pages

app_name = "organisations"

urlpatterns = [
    path("organisations/", pages.organisations, name="list"),
    path("organisations/register", pages.register, name="register"),
    path("organisations/<slug:slug>", pages.organisation, name="detail"),
    path("organisations/<slug:slug>/people", pages.add_member, name="add-member"),
    path(
        "organisations/<slug:slug>/people/<uuid:user_id>/remove",
        pages.remove_member,
        name="remove-member",
    ),
    path("agents/", agent_pages.agents, name="agents"),
    path("agents/enrol", agent_pages.enrol, name="enrol"),
    path("agents/codes/<uuid:code_id>/revoke", agent_pages.revoke_code, name="revoke-code"),
    path("agents/<uuid:agent_id>", agent_pages.agent, name="agent"),
    path("agents/<uuid:agent_id>/rename", agent_pages.rename, name="rename"),
    path("agents/<uuid:agent_id>/revoke", agent_pages.revoke, name="revoke"),
]
