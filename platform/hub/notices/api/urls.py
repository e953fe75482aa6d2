from __future__ import annotations

from django.urls import path

from hub.common.api.routers import router
from hub.notices.api import views, webhooks

rows = router()
rows.register("notices", views.NoticeViewSet, basename="notice")
rows.register("webhooks", webhooks.WebhookViewSet, basename="webhook")
rows.register("webhook-deliveries", webhooks.DeliveryViewSet, basename="webhook-delivery")

urlpatterns = [
    path("notice-settings", views.NoticeSettingsView.as_view()),
    *rows.urls,
]
