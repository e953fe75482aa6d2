from __future__ import annotations

from rest_framework.routers import SimpleRouter

from hub.contributions.api import views

router = SimpleRouter(trailing_slash=False)
router.register("contributions", views.FactViewSet, basename="contribution")

urlpatterns = router.urls
