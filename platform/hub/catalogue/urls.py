from __future__ import annotations

from django.urls import path

from hub.catalogue.pages import (
    bases,
    cards,
    evaluation,
    keys,
    line,
    merging,
    playground,
    probes,
    registry,
)

app_name = "catalogue"

urlpatterns = [
    path(".well-known/foedus/model-keys.json", keys.model_keys, name="model-keys"),
    path("versions/<uuid:pk>/card", cards.card, name="card"),
    path("versions/<uuid:pk>/archive", cards.archive, name="archive"),
    path("versions/<uuid:pk>/push", cards.push, name="push"),
    path("models/", registry.models, name="models"),
    path("federations/<slug:slug>/versions", registry.versions, name="versions"),
    path("versions/<uuid:pk>", registry.version, name="version"),
    path("versions/<uuid:pk>/files/<path:path>", registry.download, name="download"),
    path("versions/<uuid:pk>/evaluation", evaluation.evaluation, name="evaluation"),
    path("versions/<uuid:pk>/try", playground.try_version, name="try"),
    path("versions/<uuid:pk>/try/<uuid:question_id>", playground.answer, name="answer"),
    path("versions/<uuid:pk>/release", registry.release, name="release"),
    path("versions/<uuid:pk>/retire", registry.retire, name="retire"),
    path("versions/<uuid:pk>/merge", merging.merge, name="merge"),
    path("federations/<slug:slug>/lineage", line.lineage, name="lineage"),
    path("federations/<slug:slug>/decisions", line.decisions, name="decisions"),
    path("federations/<slug:slug>/names/remove", line.remove_name, name="remove_name"),
    path("versions/<uuid:pk>/origins", line.origins, name="origins"),
    path("versions/<uuid:pk>/decisions", line.version_decisions, name="version_decisions"),
    path("versions/<uuid:pk>/propose", line.propose, name="propose"),
    path("versions/<uuid:pk>/name", line.give_name, name="give_name"),
    path("federations/<slug:slug>/probes", probes.probes, name="probes"),
    path("probes/<uuid:pk>", probes.download, name="probe_download"),
    path("base-models/new", bases.bring, name="bring"),
    path("base-models/mirrors/new", bases.mirror, name="mirror"),
    path("base-models/drafts/<uuid:pk>", bases.draft, name="draft"),
    path("base-models/drafts/<uuid:pk>/files", bases.add_files, name="add_files"),
    path("base-models/drafts/<uuid:pk>/register", bases.register, name="register"),
    path("base-models/drafts/<uuid:pk>/close", bases.close, name="close"),
    path("base-models/<slug:slug>", bases.base, name="base"),
    path("base-models/<slug:slug>/accept/<slug:organisation>", bases.accept, name="accept"),
    path("storage", bases.storages, name="storages"),
    path("organisations/<slug:slug>/storage", bases.storage, name="storage"),
    path("federations/<slug:slug>/storage", bases.shared_storage, name="shared_storage"),
]
