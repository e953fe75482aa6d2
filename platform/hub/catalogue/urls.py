from __future__ import annotations

from django.urls import path

from hub.catalogue import (
    basepages,
    evaluation_pages,
    linepages,
    mergepages,
    pages,
    probe_pages,
    trypages,
)
from hub.catalogue.cardurls import card_patterns

app_name = "catalogue"

urlpatterns = [
    *card_patterns,
    path("models/", pages.models, name="models"),
    path("federations/<slug:slug>/versions", pages.versions, name="versions"),
    path("versions/<uuid:pk>", pages.version, name="version"),
    path("versions/<uuid:pk>/files/<path:path>", pages.download, name="download"),
    path("versions/<uuid:pk>/evaluation", evaluation_pages.evaluation, name="evaluation"),
    path("versions/<uuid:pk>/try", trypages.try_version, name="try"),
    path("versions/<uuid:pk>/try/<uuid:question_id>", trypages.answer, name="answer"),
    path("versions/<uuid:pk>/release", pages.release, name="release"),
    path("versions/<uuid:pk>/retire", pages.retire, name="retire"),
    path("versions/<uuid:pk>/merge", mergepages.merge, name="merge"),
    path("federations/<slug:slug>/lineage", linepages.lineage, name="lineage"),
    path("federations/<slug:slug>/decisions", linepages.decisions, name="decisions"),
    path("federations/<slug:slug>/names/remove", linepages.remove_name, name="remove_name"),
    path("versions/<uuid:pk>/origins", linepages.origins, name="origins"),
    path("versions/<uuid:pk>/decisions", linepages.version_decisions, name="version_decisions"),
    path("versions/<uuid:pk>/propose", linepages.propose, name="propose"),
    path("versions/<uuid:pk>/name", linepages.give_name, name="give_name"),
    path("proposals/<uuid:pk>/decide", linepages.decide, name="decide"),
    path("federations/<slug:slug>/probes", probe_pages.probes, name="probes"),
    path("probes/<uuid:pk>", probe_pages.download, name="probe_download"),
    path("base-models/new", basepages.bring, name="bring"),
    path("base-models/mirrors/new", basepages.mirror, name="mirror"),
    path("base-models/drafts/<uuid:pk>", basepages.draft, name="draft"),
    path("base-models/drafts/<uuid:pk>/files", basepages.add_files, name="add_files"),
    path("base-models/drafts/<uuid:pk>/register", basepages.register, name="register"),
    path("base-models/drafts/<uuid:pk>/close", basepages.close, name="close"),
    path("base-models/<slug:slug>", basepages.base, name="base"),
    path("base-models/<slug:slug>/accept/<slug:organisation>", basepages.accept, name="accept"),
    path("storage", basepages.storages, name="storages"),
    path("organisations/<slug:slug>/storage", basepages.storage, name="storage"),
    path("federations/<slug:slug>/storage", basepages.shared_storage, name="shared_storage"),
]
