from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from hub.runs.api import agent, comparing, views
from hub.runs.api.alone import AloneView

router = SimpleRouter(trailing_slash=False)
router.register("runs", views.RunViewSet, basename="run")
router.register("rounds", views.RoundViewSet, basename="round")
router.register("recomputations", views.RecomputationViewSet, basename="recomputation")
router.register("tasks", views.TaskViewSet, basename="task")
router.register("updates", views.UpdateViewSet, basename="update")
router.register("events", views.EventViewSet, basename="event")

urlpatterns = [
    path("agent/standing", agent.StandingView.as_view()),
    path("agent/leases", agent.LeaseView.as_view()),
    path("agent/tasks/<uuid:task_id>/heartbeats", agent.HeartbeatView.as_view()),
    path("agent/tasks/<uuid:task_id>/uploads", agent.UploadsView.as_view()),
    path("agent/tasks/<uuid:task_id>/commitments", agent.CommitmentsView.as_view()),
    path("agent/tasks/<uuid:task_id>/updates", agent.UpdatesView.as_view()),
    path("agent/tasks/<uuid:task_id>/evaluations", agent.EvaluationsView.as_view()),
    path("agent/tasks/<uuid:task_id>/failures", agent.FailuresView.as_view()),
    path("agent/tasks/<uuid:task_id>/release", agent.ReleaseView.as_view()),
    path("runs/<uuid:pk>/alone", AloneView.as_view()),
    path("version-comparison", comparing.ComparisonView.as_view()),
    *router.urls,
]
