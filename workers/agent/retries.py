"""Trying again while the hub is away: growing pauses with jitter, or as long as it asks for."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from agent.errors import Away

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
LONGEST_REQUESTED = 300.0  # seconds of a Retry-After that we believe
FOR_EVER = math.inf


def pauses() -> Iterator[float]:
    """Seconds to wait before each further try; jitter keeps many agents from coming at once."""
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, guards nothing)
        pause = min(2 * pause, LONGEST_PAUSE)


async def persistently(attempt: Callable[[], Awaitable[T]], *, patience: float = FOR_EVER) -> T:
    """Repeat an attempt for as long as it raises Away, at most for `patience` seconds."""
    give_up_at = time.monotonic() + patience
    for number, pause in enumerate(pauses()):
        try:
            result = await attempt()
        except Away as away:
            wait = max(pause, min(away.retry_after or 0.0, LONGEST_REQUESTED))
            if time.monotonic() + wait >= give_up_at:
                raise
            if number == 0:
                logger.warning("hub away, trying again", extra={"cause": away.cause})
            await asyncio.sleep(wait)
        else:
            if number:
                logger.info("hub is back", extra={"tries": number + 1})
            return result
    raise AssertionError("pauses never end")
