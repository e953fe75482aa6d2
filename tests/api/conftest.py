from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    """Tries of one test do not count for the next."""
    cache.clear()
    yield
    cache.clear()
