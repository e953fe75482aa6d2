"""What must be right before the hub serves: weak secrets and open doors stop the start."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register, run_checks
from django.core.exceptions import ImproperlyConfigured

from hub.common.hosts import is_loopback

TAG = "foedus"
KEY_BYTES = 32
SECRET_LENGTH, SECRET_VARIETY = 50, 10
WEAK_WORDS = ("django-insecure", "changeme", "change-me", "secret", "password", "default")
SOCKETS = {"unix", "redis+socket"}
FIX = "docs/configuration.md has a row for each setting."


@register(TAG)
def check_settings(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:  # noqa: ARG001
    """All that is wrong with the settings, at once."""
    return [Error(message, hint=FIX, id=f"foedus.{code}") for code, message in _wrong()]


def refuse_unsafe_start() -> None:
    """Called by the servers, which do not run checks by themselves.

    Raises:
        ImproperlyConfigured: with everything that is wrong.
    """
    if errors := [str(message.msg) for message in run_checks(tags=[TAG]) if message.is_serious()]:
        raise ImproperlyConfigured(" ".join(errors))


def _wrong() -> Iterator[tuple[str, str]]:
    longest = max(settings.CELERY["task_time_limit"], settings.CELERY["task_soft_time_limit"])
    if settings.CELERY["broker_transport_options"]["visibility_timeout"] <= longest:
        yield "E001", f"The broker's visibility timeout must be above {longest} s, the time limit."
    if _is_weak(settings.SECRET_KEY):
        yield "E002", f"SECRET_KEY must be {SECRET_LENGTH} random characters of your own."
    if not _is_key(settings.HUB_SIGNING_KEY) or settings.HUB_SIGNING_KEY == settings.SECRET_KEY:
        yield "E003", f"HUB_SIGNING_KEY must be base64 of {KEY_BYTES} random bytes of its own."
    for name in ("BROKER_URL", "REDIS_URL"):
        if not _is_closed(getattr(settings, name)):
            yield "E004", f"{name} must have a password and TLS (rediss://), or be on this machine."
    if any("*" in host for host in settings.ALLOWED_HOSTS):
        yield "E005", "ALLOWED_HOSTS must name the hosts; `*` is every host."
    if settings.BLOB_ACCEL_PREFIX and settings.BLOB_BUCKET:
        yield "E008", "BLOB_ACCEL_PREFIX is for a folder: nginx cannot send what BLOB_BUCKET holds."
    yield from _wrong_outside(urlsplit(settings.PUBLIC_URL))


def _wrong_outside(public: Any) -> Iterator[tuple[str, str]]:
    if is_loopback(public.hostname):
        return
    if settings.DEBUG:
        yield "E006", "DEBUG shows the inside to everybody; it is for this machine only."
    if settings.BLOB_LINK_ENDPOINT and urlsplit(settings.BLOB_LINK_ENDPOINT).scheme != "https":
        yield "E009", "BLOB_LINK_ENDPOINT must be https: models travel there."
    if public.scheme != "https":
        yield "E007", "PUBLIC_URL must be https: outside this machine everything travels by TLS."


def _is_weak(secret: str) -> bool:
    lower = secret.lower()
    return (
        len(secret) < SECRET_LENGTH
        or len(set(secret)) < SECRET_VARIETY
        or any(lower.startswith(word) for word in WEAK_WORDS)
    )


def _is_key(text: str) -> bool:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(key) == KEY_BYTES and len(set(key)) > SECRET_VARIETY


def _is_closed(url: str) -> bool:
    """Whether nobody outside can read or write there."""
    parts = urlsplit(url)
    if parts.scheme in SOCKETS or is_loopback(parts.hostname):
        return True
    return parts.scheme == "rediss" and bool(parts.password)
