from __future__ import annotations

from django.urls import path

from hub.common.api.routers import router
from hub.organisations.api import agents, invitations, views

own = router()
own.register("organisations", views.OrganisationViewSet, basename="organisation")
own.register("organisations/<uuid:organisation_id>/members", views.MemberViewSet, basename="member")
own.register(
    "organisations/<uuid:organisation_id>/invitations",
    invitations.PersonInvitationViewSet,
    basename="person-invitation",
)
own.register("organisations/<uuid:organisation_id>/roles", invitations.RoleViewSet, basename="role")
own.register("invitations", invitations.InvitationViewSet, basename="invitation")
own.register("agents", views.AgentViewSet, basename="agent")

urlpatterns = [
    path("agent/enrolments", agents.EnrolmentView.as_view()),
    path("agent/enrolments/nonce", agents.NonceView.as_view()),
    path("agent/keys", agents.KeysView.as_view()),
    path("agent/leave", agents.LeaveView.as_view()),
    *own.urls,
]
