from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from tests.api.live import LiveHub, live_hub


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    """Tries of one test do not count for the next."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def hub(settings: object) -> Iterator[LiveHub]:
    """The hub behind a real server, which knows its address."""
    from huggingface_hub import close_session

    with live_hub() as live:
        settings.PUBLIC_URL = live.url
        yield live
    close_session()
