"""The agent's child processes: restarted when they die, gone when the agent is.

They are ended by force. Neither has anything to lose: the worker's state lies in the journal, and
what the broker holds is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
SETTLED_SECONDS = 60.0  # who has lived this long is restarted at once

LEASH = Path(__file__).with_name("leash.py")


@dataclass(slots=True)
class Child:
    """One program, in a process group of its own, kept running for as long as the block lasts.

    `output`: a file for what it prints; by default it shares our own output.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None
    _keeper: asyncio.Task[None] | None = None
    _process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    def kill(self) -> None:
        """End its present life, with everything it has started; another begins."""
        if self._process and self._process.returncode is None:
            _kill_group(self._process.pid)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            born = time.monotonic()
            status = await self._live()
            settled = time.monotonic() - born > SETTLED_SECONDS
            pause = FIRST_PAUSE if settled else min(2 * pause, LONGEST_PAUSE)
            facts = {"child": self.name, "status": status, "pause_seconds": pause}
            logger.warning("child ended, starting it again", extra=facts)
            await asyncio.sleep(pause)

    async def _live(self) -> int:
        """One life, from start to end; when cancelled, the end is ours."""
        self._process = process = await self._start()
        try:
            return await process.wait()
        finally:
            _kill_group(process.pid)
            await process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
        output = self.output.open("ab") if self.output else None
        try:
            return await asyncio.create_subprocess_exec(
                *leash,
                *self.argv,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
