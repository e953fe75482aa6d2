"""The app of notices, and the figure that every page shows of them."""

from __future__ import annotations

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "hub.notices"

    def ready(self) -> None:
        from hub.accounts.models import FETCHED_ALONG  # noqa: PLC0415  (models come after apps)
        from hub.notices.selectors import unread_of_person  # noqa: PLC0415

        FETCHED_ALONG["unread"] = unread_of_person
