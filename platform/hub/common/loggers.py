"""How loud the libraries are. Read by the settings, so nothing is imported here."""

from __future__ import annotations

LOGGERS = {
    "celery.app.trace": {"level": "CRITICAL"},  # django_structlog tells what failed
    "celery.beat": {"level": "WARNING"},
    "celery.worker.strategy": {"level": "WARNING"},
    "django.request": {"level": "CRITICAL"},  # django_structlog tells, with the request's id
    "django_structlog": {"level": "WARNING"},
    "httpx": {"level": "WARNING"},  # addresses may carry signatures
    "httpx2": {"level": "WARNING"},  # likewise, of the Hugging Face client
    "uvicorn.access": {"level": "WARNING"},
}
