"""The operator console's site."""

from __future__ import annotations

from unfold.sites import UnfoldAdminSite


class Console(UnfoldAdminSite):
    """Django's admin in unfold's clothes; sign-in and second factor are allauth's."""
