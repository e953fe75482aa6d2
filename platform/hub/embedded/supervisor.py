"""Child processes that are restarted when they die and are gone when this process is.

    with Supervisor() as supervisor:
        supervisor.start("web", [sys.executable, "-m", "uvicorn", …], log=folder / "web.log")
        wait_for_url(f"http://127.0.0.1:{port}/livez")
        supervisor.run_until_stopped()

A child is restarted at once, then after 0.2, 0.4, 0.8 … 30 seconds while it keeps dying young.
Leaving the block (also by an error, Ctrl-C, SIGTERM or SIGHUP) ends all of them, the last started
first; if this process is killed outright, the kernel sends each child its `stop_signal`.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from hub.embedded.processes import ended_by_signals, on_leash, undisturbed

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
SETTLED_SECONDS = 10.0  # who has lived this long starts with a clean slate
LOG_LIMIT_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Program:
    """What to run; `env` is added to this process's own environment."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path | None
    restart: bool
    stop_signal: signal.Signals
    folder: Path | None
    owner: str
    sockets: tuple[socket.socket, ...]

    def run(self) -> subprocess.Popen[bytes]:
        """Start it as the leader of its own session, so that nothing of it escapes us."""
        with ExitStack() as stack:
            output = stack.enter_context(_opened(self.log)) if self.log else None
            return subprocess.Popen(
                on_leash(self.argv, death_signal=self.stop_signal, owner=self.owner),
                env={**os.environ, **self.env},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output and subprocess.STDOUT,
                pass_fds=[listener.fileno() for listener in self.sockets],
                start_new_session=True,
            )


class Supervisor:
    """See the module. `grace`: seconds that children have between `stop_signal` and SIGKILL.

    `settled`: seconds after which a child has not died young.
    """

    def __init__(self, *, grace: float = 10.0, settled: float = SETTLED_SECONDS) -> None:
        self.grace = grace
        self.settled = settled
        self._children: dict[str, _Child] = {}
        self._signals = ExitStack()

    def __enter__(self) -> Self:
        self._signals.enter_context(ended_by_signals())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop_all()
        finally:
            self._signals.close()
            for child in self._children.values():
                for listener in child.program.sockets:
                    listener.close()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        restart: bool = True,
        stop_signal: signal.Signals = signal.SIGTERM,
        folder: Path | None = None,
        owner: str = "-",
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        """Start a child under a name that no living child has.

        `log` takes stdout and stderr (default: ours). `sockets` stay open in the child under
        their own numbers, from life to life; leaving the block closes them. `owner` is who runs
        it, as in `leash`.
        """
        if name in self._children and self._children[name].is_alive():
            raise ValueError(f"a child named {name} is running")
        program = Program(
            name=name,
            argv=tuple(argv),
            env=env or {},
            log=log,
            restart=restart,
            stop_signal=stop_signal,
            folder=folder,
            owner=owner,
            sockets=tuple(sockets),
        )
        self._children.pop(name, None)
        self._children[name] = _Child(program, settled=self.settled)
        self._children[name].begin()

    def pid(self, name: str) -> int | None:
        """Return the process id of a child, None between its death and its restart."""
        return self._children[name].pid

    def exits(self, name: str) -> int:
        """Return how often a child has ended so far."""
        return self._children[name].exits

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a child a signal; if it dies of it, it is restarted like after any death."""
        self._children[name].send(number)

    def wait(self, name: str, *, seconds: float | None = None) -> int | None:
        """Wait for a child that is not restarted; return its exit status, None if it goes on."""
        child = self._children[name]
        child.join(seconds)
        return None if child.is_alive() else child.status

    def stop(self, name: str) -> None:
        """End one child for good; nothing happens if it has ended."""
        self._stop([self._children[name]])

    def stop_all(self) -> None:
        """End all children, the last started first."""
        self._stop(list(reversed(self._children.values())))

    def run_until_stopped(self) -> None:
        """Wait for Ctrl-C; other signals leave the `with` block by themselves."""
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)

    def _stop(self, children: Sequence[_Child]) -> None:
        with undisturbed():
            deadline = time.monotonic() + self.grace
            for child in children:
                child.dismiss()
            for child in children:
                child.join(max(0.0, deadline - time.monotonic()))
            for child in children:
                child.send(signal.SIGKILL)
                child.join()


class _Child(threading.Thread):
    """Runs one program again and again.

    Each life begins and ends in this thread, because the kernel takes the end of the thread that
    started a process for the end of its parent.
    """

    def __init__(self, program: Program, *, settled: float) -> None:
        super().__init__(name=f"supervise {program.name}", daemon=True)
        self.program = program
        self.settled = settled
        self.exits = 0
        self.status: int | None = None
        self.refusal: OSError | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._tried = threading.Event()
        self._dismissed = threading.Event()

    @property
    def pid(self) -> int | None:
        with self._lock:
            return self._process.pid if self._process else None

    def begin(self) -> None:
        """Start the thread; raise what kept the first life from beginning."""
        self.start()
        self._tried.wait()
        if self.refusal:
            self._dismissed.set()
            raise self.refusal

    def send(self, number: signal.Signals) -> None:
        with self._lock:
            if self._process:
                os.kill(self._process.pid, number)

    def dismiss(self) -> None:
        """End this life, and begin no other."""
        self._dismissed.set()
        self.send(self.program.stop_signal)

    def run(self) -> None:
        """Live once after the other, with longer and longer pauses between short lives."""
        pause = FIRST_PAUSE
        while not self._dismissed.is_set():
            born = time.monotonic()
            self._try_to_live()
            if not self.program.restart or self._dismissed.is_set():
                return
            pause = FIRST_PAUSE if time.monotonic() - born > self.settled else pause
            self._log_restart(pause)
            self._dismissed.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _try_to_live(self) -> None:
        try:
            with self._lock:
                if not self._dismissed.is_set():
                    self._process = self.program.run()
        except OSError as refusal:
            self.refusal = refusal
        finally:
            self._tried.set()
        if self._process:
            self._live(self._process)

    def _live(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a life and end what it leaves behind in its process group.

        Until it is reaped, its number cannot become another process's: so we look first, clean
        up, and reap last, and nobody else signals in between.
        """
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            self.status = process.wait()
            self._process = None
            self.exits += 1

    def _log_restart(self, pause: float) -> None:
        facts = {"child": self.program.name, "status": self.status, "pause_seconds": pause}
        logger.warning("child ended, starting it again", extra=facts)


def _opened(log: Path) -> BinaryIO:
    """Open a log for appending; what is older than the last few megabytes moves aside."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".old"))
    return log.open("ab")
