from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import psutil

LEASH = Path(__file__).with_name("leash.py")


def on_leash(program: Sequence[str], *, death_signal: int, owner: str = "-") -> list[str]:
    """Return the command that runs a program and ends it when this process ends."""
    leash = [sys.executable, "-I", "-S", str(LEASH), str(int(death_signal)), str(os.getpid())]
    return [*leash, owner, *program]


def started_at(pid: int) -> float | None:
    """Return when a process was started (with its number, its identity), None if it is gone.

    On Linux in ticks since the boot, since psutil's answer changes when the clock is set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return _ticks(pid) if sys.platform == "linux" else process.create_time()
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def _ticks(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    return float(after_name.split()[19])


def mentioning(text: str) -> list[psutil.Process]:
    """Return the processes that have a text in their command line, with `info` of both."""
    processes = psutil.process_iter(["name", "cmdline"])
    return [process for process in processes if text in " ".join(process.info["cmdline"] or ())]


def await_end(processes: Iterable[psutil.Process], *, seconds: float) -> None:
    """Wait for processes to end, and kill those that have not by then."""
    _, alive = psutil.wait_procs(list(processes), timeout=seconds)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Leave the block in an orderly way on SIGTERM and SIGHUP too, as SIGINT does by itself.

    Where the program has its own way with a signal, it keeps it. A shell starts what runs in the
    background with SIGINT ignored; whoever sends it all the same means it.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signals = (signal.SIGTERM, signal.SIGHUP)
    with _handling(leave, [one for one in signals if signal.getsignal(one) == signal.SIG_DFL]):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no second Ctrl-C interrupt the cleaning up after the first.

    A handler that does nothing, since children would inherit that a signal is ignored.
    """
    with _handling(lambda *_: None, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
        yield


@contextmanager
def _handling(handler: signal._HANDLER, numbers: Iterable[signal.Signals]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may decide about signals
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
