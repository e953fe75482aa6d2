from __future__ import annotations

from django.urls import path

from hub.audit.api import views
from hub.common.api.routers import router

own = router()
own.register("audit", views.AuditViewSet, basename="audit")
own.register("audit-signatures", views.AuditSignatureViewSet, basename="audit-signature")

urlpatterns = [path("audit-export", views.ExportView.as_view()), *own.urls]
