from __future__ import annotations

import base64
import secrets

import pytest
from django.core.exceptions import ImproperlyConfigured

from hub.common.checks import check_settings, refuse_unsafe_start

GOOD_KEY = base64.b64encode(bytes(range(32))).decode()

LONG = "Xq7mT2vLw9RkB4nZ8cJ5hF3sD6gP1yEaU0iO"  # as varied as a real one


@pytest.fixture(autouse=True)
def good(settings) -> None:
    settings.SECRET_KEY = secrets.token_urlsafe(48)
    settings.HUB_SIGNING_KEY = GOOD_KEY
    settings.BROKER_URL = "redis+socket:///run/foedus/r.sock"
    settings.REDIS_URL = "unix:///run/foedus/r.sock?db=1"
    settings.ALLOWED_HOSTS = ["hub.example"]
    settings.PUBLIC_URL = "https://hub.example"


def codes() -> list[str]:
    return [message.id.removeprefix("foedus.") for message in check_settings(None)]


def test_good_settings_pass():
    assert codes() == []
    refuse_unsafe_start()


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("SECRET_KEY", "short", "E002"),
        ("SECRET_KEY", "a" * 64, "E002"),
        ("SECRET_KEY", "django-insecure-" + LONG, "E002"),
        ("SECRET_KEY", "changeme" + LONG, "E002"),
        ("HUB_SIGNING_KEY", "not base64!", "E003"),
        ("HUB_SIGNING_KEY", base64.b64encode(bytes(range(31))).decode(), "E003"),
        ("HUB_SIGNING_KEY", base64.b64encode(bytes(32)).decode(), "E003"),
        ("BROKER_URL", "redis://broker:6379/0", "E004"),
        ("BROKER_URL", "redis://:secret@broker:6379/0", "E004"),
        ("BROKER_URL", "rediss://broker:6379/0", "E004"),
        ("BROKER_URL", "redis://127.0.0.1.evil.example/0", "E004"),
        ("REDIS_URL", "redis://10.0.0.5/1", "E004"),
        ("ALLOWED_HOSTS", ["*"], "E005"),
        ("DEBUG", True, "E006"),
        ("PUBLIC_URL", "http://hub.example", "E007"),
        ("BLOB_ACCEL_PREFIX", "/_blobs", "E008"),
        ("BLOB_LINK_ENDPOINT", "http://bucket.example", "E009"),
    ],
)
def test_what_is_unsafe_stops_the_start(settings, name, value, code):
    settings.BLOB_BUCKET = "blobs"
    setattr(settings, name, value)
    assert codes() == [code]
    with pytest.raises(ImproperlyConfigured, match=name):
        refuse_unsafe_start()


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://127.0.0.1/0",
        "redis://[::1]/0",
        "rediss://:secret@broker:6380/0",
    ],
)
def test_a_closed_broker_passes(settings, url):
    settings.BROKER_URL = settings.REDIS_URL = url
    assert codes() == []


def test_on_this_machine_plain_text_and_debug_are_fine(settings):
    settings.PUBLIC_URL, settings.DEBUG = "http://127.0.0.1:8000", True
    assert codes() == []


def test_a_broker_that_gives_up_before_the_job_does(settings):
    settings.CELERY = {**settings.CELERY, "task_time_limit": 3600}
    assert codes() == ["E001"]
