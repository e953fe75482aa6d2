from __future__ import annotations

from django.urls import path

from hub.organisations import (
    agent_pages,
    invitation_pages,
    pages,
    people_pages,
    registration_pages,
    safety_pages,
)

app_name = "organisations"

urlpatterns = [
    path("organisations/", pages.organisations, name="list"),
    path("organisations/register", registration_pages.register, name="register"),
    path("registrations/", registration_pages.handed_in, name="handed-in"),
    path("registrations/<str:secret>", registration_pages.confirm, name="confirm"),
    path("organisations/<slug:slug>", pages.organisation, name="detail"),
    path("organisations/<slug:slug>/settings", pages.edit, name="settings"),
    path("organisations/<slug:slug>/sign-in", safety_pages.safety, name="safety"),
    path("organisations/<slug:slug>/people", people_pages.people, name="people"),
    path(
        "organisations/<slug:slug>/people/<uuid:user_id>/role",
        people_pages.set_role,
        name="set-role",
    ),
    path(
        "organisations/<slug:slug>/people/<uuid:user_id>/remove",
        people_pages.remove_member,
        name="remove-member",
    ),
    path("organisations/<slug:slug>/roles", people_pages.roles, name="roles"),
    path("organisations/<slug:slug>/roles/new", people_pages.new_role, name="new-role"),
    path("organisations/<slug:slug>/roles/<uuid:role_id>", people_pages.role, name="role"),
    path(
        "organisations/<slug:slug>/roles/<uuid:role_id>/delete",
        people_pages.delete_role,
        name="delete-role",
    ),
    path("invitations/", invitation_pages.invitations, name="invitations"),
    path("invitations/<uuid:invitation_id>", invitation_pages.invitation, name="invitation"),
    path(
        "invitations/<uuid:invitation_id>/revoke",
        invitation_pages.revoke,
        name="revoke-invitation",
    ),
    path(
        "invitations/<uuid:invitation_id>/resend",
        invitation_pages.resend,
        name="resend-invitation",
    ),
    path("invitations/by/<str:secret>", invitation_pages.by_link, name="invitation-by-link"),
    path("agents/", agent_pages.agents, name="agents"),
    path("agents/enrol", agent_pages.enrol, name="enrol"),
    path("agents/codes/<uuid:code_id>/revoke", agent_pages.revoke_code, name="revoke-code"),
    path("agents/<uuid:agent_id>", agent_pages.agent, name="agent"),
    path("agents/<uuid:agent_id>/rename", agent_pages.rename, name="rename"),
    path("agents/<uuid:agent_id>/revoke", agent_pages.revoke, name="revoke"),
]
