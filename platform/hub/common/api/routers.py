"""Addresses of the API: plural nouns, no slash at the end, identifiers that are UUIDs."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter


def router() -> SimpleRouter:
    """A router whose identifiers are checked by their converter before a view sees them."""
    return SimpleRouter(trailing_slash=False, use_regex_path=False)
