"""What every template may use."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from django.conf import settings
from django.http import HttpRequest


def _version() -> str:
    try:
        return version("foedus")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "development"


VERSION = _version()


def site(request: HttpRequest) -> dict[str, object]:  # noqa: ARG001 (Django calls it so)
    """The hub's own name, address and version."""
    return {"site_name": "Foedus", "public_url": settings.PUBLIC_URL, "version": VERSION}
