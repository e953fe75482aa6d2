from __future__ import annotations

from django.urls import path

from hub.runs import alone_pages, comparepages, departure_pages, live, pages

app_name = "runs"

urlpatterns = [
    path("runs/", pages.runs, name="list"),
    path("federations/<slug:slug>/runs/new", pages.new, name="new"),
    path("federations/<slug:slug>/versions/compare", comparepages.compare, name="compare_versions"),
    path(
        "federations/<slug:slug>/versions/distances",
        comparepages.distances,
        name="version_distances",
    ),
    path("participations/<uuid:pk>/departure", departure_pages.departure, name="departure"),
    path("rounds/<uuid:pk>/without/<uuid:place>", departure_pages.without, name="without"),
    path("runs/<uuid:pk>", pages.run, name="detail"),
    path("runs/<uuid:pk>/events", live.events, name="events"),
    path("runs/<uuid:pk>/parts/<slug:name>", pages.part, name="part"),
    path("runs/<uuid:pk>/start", pages.start, name="start"),
    path("runs/<uuid:pk>/pause", pages.pause, name="pause"),
    path("runs/<uuid:pk>/resume", pages.resume, name="resume"),
    path("runs/<uuid:pk>/cancel", pages.cancel, name="cancel"),
    path("runs/<uuid:pk>/alone", alone_pages.alone, name="alone"),
    path("rounds/<uuid:pk>", pages.round_, name="round"),
    path("rounds/<uuid:pk>/stack", pages.stack, name="stack"),
    path("rounds/<uuid:pk>/stacked", pages.stacked, name="stacked"),
    path("rounds/<uuid:pk>/replay", pages.replay, name="replay"),
    path("rounds/<uuid:pk>/methods", pages.methods, name="methods"),
    path("rounds/<uuid:pk>/methods/results", pages.methods_results, name="methods_results"),
    path("updates/<uuid:pk>/judge", pages.judge, name="judge"),
]
