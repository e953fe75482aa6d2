from __future__ import annotations

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from hub.contributions.api import agent, cases, ledger, rewards, valuations, views

router = SimpleRouter(trailing_slash=False)
router.register("contributions", views.FactViewSet, basename="contribution")
router.register("cases", cases.CaseViewSet, basename="case")
router.register("credits", rewards.CreditViewSet, basename="credit")
router.register("valuations", valuations.ValuationViewSet, basename="valuation")

of_ledger = SimpleRouter(trailing_slash=False)
of_ledger.register("entries", ledger.EntryViewSet, basename="ledger-entry")
of_ledger.register("checkpoints", ledger.CheckpointViewSet, basename="ledger-checkpoint")

ledger_patterns = [
    path("entries/<int:index>", ledger.EntryView.as_view()),
    path("consistency", ledger.ConsistencyView.as_view()),
    path("export", ledger.ExportView.as_view(), name="ledger-export"),
    *of_ledger.urls,
]

urlpatterns = [
    path("federations/<uuid:federation_id>/ledger/", include(ledger_patterns)),
    path("agent/ledgers/<uuid:federation_id>/checkpoint", ledger.AgentCheckpointView.as_view()),
    path("agent/ledgers/<uuid:federation_id>/cosignatures", ledger.CosignaturesView.as_view()),
    path("agent/tasks/<uuid:task_id>/values", agent.ValuesView.as_view()),
    path("federations/<uuid:pk>/valuations", valuations.WorthsView.as_view()),
    *router.urls,
]
