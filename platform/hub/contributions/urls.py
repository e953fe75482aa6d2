from __future__ import annotations

from django.urls import path

from hub.contributions.pages import cases, facts, ledger, rewards, statements, values

app_name = "contributions"

FEDERATION = "federations/<slug:slug>"
CONTRIBUTIONS = f"{FEDERATION}/contributions"

urlpatterns = [
    path(CONTRIBUTIONS, facts.facts, name="facts"),
    path(f"{CONTRIBUTIONS}.csv", facts.download, name="csv"),
    path(f"{CONTRIBUTIONS}/value", values.values, name="values"),
    path(f"{CONTRIBUTIONS}/rewards", rewards.rewards, name="rewards"),
    path(f"{CONTRIBUTIONS}/rewards/<uuid:run_id>/split", rewards.split_now, name="split"),
    path(f"{CONTRIBUTIONS}/rewards/<uuid:run_id>/correct", rewards.correct_now, name="correct"),
    path(
        f"{CONTRIBUTIONS}/statements/<uuid:participation_id>",
        statements.statement,
        name="statement",
    ),
    path(
        f"{CONTRIBUTIONS}/statements/<uuid:participation_id>.csv",
        statements.download,
        name="statement_csv",
    ),
    path(f"{CONTRIBUTIONS}/cases", cases.cases, name="cases"),
    path(f"{CONTRIBUTIONS}/cases/<uuid:pk>", cases.case, name="case"),
    path(f"{CONTRIBUTIONS}/cases/<uuid:pk>/decide", cases.decide, name="decide"),
    path(f"{CONTRIBUTIONS}/cases/<uuid:pk>/answer", cases.answer, name="answer"),
    path(f"{FEDERATION}/ledger", ledger.entries, name="ledger"),
    path(f"{FEDERATION}/ledger/<int:index>", ledger.entry, name="entry"),
]
