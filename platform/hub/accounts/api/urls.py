from __future__ import annotations

from django.urls import path

from hub.accounts.api import views
from hub.common.api.routers import router

tokens = router()
tokens.register("tokens", views.TokenViewSet, basename="token")

urlpatterns = [path("me", views.MeView.as_view()), *tokens.urls]
