from __future__ import annotations

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from hub.catalogue.api import blobs, drafts, keys, line, moving, probes, uploads, views
from hub.catalogue.api.evaluations import EvaluationSummaryView
from hub.catalogue.api.playground import AnswerView, TryView
from hub.common.api.routers import router


class Sha256Converter(StringConverter):
    regex = "[0-9a-f]{64}"


register_converter(Sha256Converter, "sha256")

catalogue = router()
catalogue.register("base-models", views.BaseModelViewSet, basename="base-model")
catalogue.register("base-model-drafts", drafts.DraftViewSet, basename="base-model-draft")
catalogue.register("versions", views.VersionViewSet, basename="version")
catalogue.register("aliases", line.AliasViewSet, basename="alias")
catalogue.register("pushes", moving.PushViewSet, basename="push")
catalogue.register("model-keys", keys.ModelKeyViewSet, basename="model-key")
catalogue.register("evaluations", views.EvaluationViewSet, basename="evaluation")
catalogue.register("probes", probes.ProbeViewSet, basename="probe")
catalogue.register("probe-scores", probes.ProbeScoreViewSet, basename="probe-score")

urlpatterns = [
    path("agent/uploads/<uuid:upload_id>", uploads.UploadView.as_view(), name="upload"),
    path("agent/download-tokens", blobs.DownloadTokenView.as_view()),
    path("versions/<uuid:pk>/evaluation", EvaluationSummaryView.as_view()),
    path("versions/<uuid:pk>/archive", moving.ArchiveView.as_view(), name="version-archive"),
    path("versions/<uuid:pk>/try", TryView.as_view(), name="version-try"),
    path("versions/<uuid:pk>/try/<uuid:question_id>", AnswerView.as_view(), name="version-answer"),
    path("base-model-files/<uuid:file_id>", drafts.DraftFileView.as_view(), name="base-file"),
    path("blobs/<sha256:sha256>", blobs.BlobView.as_view(), name="blob"),
    *catalogue.urls,
]
