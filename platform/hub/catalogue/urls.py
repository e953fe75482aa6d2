from __future__ import annotations

from django.urls import path

from hub.catalogue import pages, probe_pages, trypages

app_name = "catalogue"

urlpatterns = [
    path("models/", pages.models, name="models"),
    path("federations/<slug:slug>/versions", pages.versions, name="versions"),
    path("versions/<uuid:pk>", pages.version, name="version"),
    path("versions/<uuid:pk>/files/<path:path>", pages.download, name="download"),
    path("versions/<uuid:pk>/try", trypages.try_version, name="try"),
    path("versions/<uuid:pk>/try/<uuid:question_id>", trypages.answer, name="answer"),
    path("versions/<uuid:pk>/release", pages.release, name="release"),
    path("versions/<uuid:pk>/retire", pages.retire, name="retire"),
    path("federations/<slug:slug>/probes", probe_pages.probes, name="probes"),
    path("probes/<uuid:pk>", probe_pages.download, name="probe_download"),
    path("base-models/<slug:slug>", pages.base, name="base"),
]
