"""What every template may use."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from hub.common import switches
from hub.common.languages import is_interface


def _version() -> str:
    try:
        return version("foedus")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "development"


VERSION = _version()


def site(request: HttpRequest) -> dict[str, object]:
    """The hub's own name, address and version, and what its operators have to say."""
    return {
        "site_name": "Foedus",
        "public_url": settings.PUBLIC_URL,
        "version": VERSION,
        "languages": [] if is_interface(request) else settings.LANGUAGES,
        **_said_to_all(request),
    }


def _said_to_all(request: HttpRequest) -> dict[str, object]:
    """`maintenance` while there is some; `banner` unless this reader has put it away."""
    board = switches.present()
    is_away = request.COOKIES.get("banner") == board.banner_key
    is_up = board.shows_banner(timezone.now()) and not is_away
    return {
        "maintenance": board if board.is_in_maintenance else None,
        "banner": board if is_up else None,
    }
