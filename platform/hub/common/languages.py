"""In which language pages speak: the person's own, else what the browser asks for.

Interfaces speak English whatever is asked for: scripts and agents read codes, and the handbook and
the operators' console are written in English. What is on record (events, reasons, summaries) and
what is exported is English, too, so that all read the same words (ADR 26).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers

INTERFACES = (
    "/api/",
    "/hf/",
    "/console/",
    "/docs/",
    "/styleguide",
    "/metrics",
    "/livez",
    "/readyz",
)


class PageLanguage(LocaleMiddleware):
    """Stands behind the sign-in, since it asks who reads."""

    def process_request(self, request: HttpRequest) -> None:
        speak(request, language_for(request))

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Say in which language a page is, and that the next reader may get it in another one."""
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Language", translation.get_language())
            if not is_interface(request):
                patch_vary_headers(response, ("Accept-Language",))
        return response


def language_for(request: HttpRequest) -> str:
    if is_interface(request):
        return settings.LANGUAGE_CODE
    chosen = getattr(request.user, "language", "")
    return chosen if is_spoken(chosen) else translation.get_language_from_request(request)


def is_interface(request: HttpRequest) -> bool:
    return request.path.startswith(INTERFACES)


def is_spoken(language: str) -> bool:
    return language in dict(settings.LANGUAGES)


def speak(request: HttpRequest, language: str) -> None:
    """From here on, in this request."""
    translation.activate(language)
    request.LANGUAGE_CODE = translation.get_language()


@contextmanager
def on_record() -> Iterator[None]:
    """Words inside are for the record, or for export: in the language in which all read them."""
    with translation.override(settings.LANGUAGE_CODE):
        yield


@contextmanager
def spoken_to(language: str) -> Iterator[None]:
    """Words inside are for somebody who is not asking now, such as who gets a letter."""
    with translation.override(language if is_spoken(language) else settings.LANGUAGE_CODE):
        yield


def remember_here(request: HttpRequest, response: HttpResponse, language: str) -> None:
    """Have the browser remember the language, and speak it; blank, the browser says which."""
    cookie = settings.LANGUAGE_COOKIE_NAME
    if language:
        response.set_cookie(
            cookie,
            language,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            secure=settings.LANGUAGE_COOKIE_SECURE,
            httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
            samesite="Lax",
        )
    else:
        request.COOKIES.pop(cookie, None)
        response.delete_cookie(cookie, samesite="Lax")
    speak(request, language or language_for(request))
