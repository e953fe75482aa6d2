from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from hub.contributions.api import agent, valuations, views

router = SimpleRouter(trailing_slash=False)
router.register("contributions", views.FactViewSet, basename="contribution")
router.register("valuations", valuations.ValuationViewSet, basename="valuation")

urlpatterns = [
    path("agent/tasks/<uuid:task_id>/values", agent.ValuesView.as_view()),
    path("federations/<uuid:pk>/valuations", valuations.WorthsView.as_view()),
    *router.urls,
]
