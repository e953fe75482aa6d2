"""Each task has a process of its own, which goes with it, by force where it must."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

import psutil
import pytest

from agent import apart
from agent.apart import Stage, begun
from agent.home import Home
from agent.journal import Entry, Outcome
from federation.protocol import FailureIn
from tests.agent.place import ROOTS

DONE = Outcome(failure=FailureIn(fence=1, code="done"))
PARENT = """
import time
from agent.apart import begun
print(begun(time.sleep, 60).pid, flush=True)
time.sleep(60)
"""


def nothing() -> None:
    """What a process loads before its task: here it needs nothing."""


def note(entry: Entry) -> None:
    with (entry.folder / "pids").open("a") as file:
        file.write(f"{os.getpid()}\n")


def pids(entry: Entry) -> list[int]:
    file = entry.folder / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def do(entry: Entry) -> None:
    note(entry)
    entry.decide(DONE)


def do_and_forget(entry: Entry) -> None:
    do(entry)
    (entry.folder / "outcome.json").unlink()


def ignore_everything(entry: Entry) -> None:
    subprocess.Popen(["sleep", "60"])
    with entry.worked_on():
        note(entry)
        time.sleep(60)


def die(entry: Entry) -> None:
    note(entry)
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise ValueError("SECRET")


def attended(home: Home, entry: Entry, work: Callable[[Entry], None], meanwhile: Callable[[], None] = nothing) -> float:  # fmt: skip
    """How long the worker was on it."""
    began = time.monotonic()
    arguments = (home, entry.offer.id, partial(work, entry))
    with Stage(nothing) as stage:
        thread = threading.Thread(target=stage.attend, args=arguments)
        thread.start()
        meanwhile()
        thread.join(30)
        assert not thread.is_alive()
    return time.monotonic() - began


def wait_until(happened: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def test_each_task_has_a_process_of_its_own_that_is_gone_after_it(home: Home, entry: Entry) -> None:
    with Stage(nothing) as stage:
        for _ in range(2):
            stage.attend(home, entry.offer.id, partial(do_and_forget, entry))
    first, second = pids(entry)
    assert first != second
    assert not psutil.pid_exists(first)
    assert not psutil.pid_exists(second)


def test_a_task_that_is_decided_or_cancelled_begins_no_process(home: Home, entry: Entry) -> None:
    attended(home, entry, do)
    attended(home, entry, do)
    (entry.folder / "outcome.json").unlink()
    entry.cancel()
    attended(home, entry, do)
    assert len(pids(entry)) == 1


def test_a_cancelled_task_that_does_not_react_is_ended_by_force_with_its_children(
    home: Home, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "CANCEL_SECONDS", 0.3)
    family: list[psutil.Process] = []

    def cancel() -> None:
        wait_until(lambda: pids(entry))
        process = psutil.Process(pids(entry)[0])
        family.extend([process, *process.children(recursive=True)])
        entry.cancel()

    assert attended(home, entry, ignore_everything, cancel) < 10
    assert len(family) == 2
    assert not psutil.wait_procs(family, timeout=5)[1]
    assert not entry.is_worked_on
    assert entry.outcome is None


def test_a_task_that_outlives_the_plans_deadline_is_ended_and_says_so(
    home: Home, entry: Entry
) -> None:
    def let_time_pass() -> None:
        wait_until(lambda: pids(entry))
        past = time.time() - entry.limit_seconds - 1
        os.utime(entry.folder / "offer.json", (past, past))

    attended(home, entry, ignore_everything, let_time_pass)
    assert not psutil.pid_exists(pids(entry)[0])
    assert entry.outcome
    failure = entry.outcome.failure
    assert failure
    assert (failure.code, failure.retry) == ("time_limit", False)
    assert str(entry.offer.spec.plan.rounds.deadline_seconds) in failure.detail


def test_a_process_that_dies_is_followed_by_another_a_few_times(
    home: Home, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "PAUSES", (0.0, 0.0, 0.0))
    attended(home, entry, die)
    assert len(set(pids(entry))) == 3


def test_what_went_wrong_in_it_is_told_by_its_kind_alone(capfd: pytest.CaptureFixture[str]) -> None:
    process = begun(fail)
    process.join()
    told = capfd.readouterr().err
    assert process.exitcode == 1
    assert "ValueError" in told
    assert "SECRET" not in told
    assert "Traceback" not in told


def test_it_dies_with_the_process_that_began_it() -> None:
    argv = [sys.executable, "-c", PARENT]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS)}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        assert not psutil.wait_procs([child], timeout=10)[1]


def test_where_the_device_is_open_already_nothing_is_forked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    assert apart._context().get_start_method() == "spawn"
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: False)
    expected = "fork" if sys.platform == "linux" else "spawn"
    assert apart._context().get_start_method() == expected


def test_what_is_loaded_before_a_task_starts_no_thread_and_opens_no_device() -> None:
    """Else no process could be forked from it."""
    program = (
        "import threading, psutil, agent.worker as w, torch\n"
        "w.load_libraries()\n"
        "print(psutil.Process().num_threads(), torch.cuda.is_initialized())"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS), "OMP_NUM_THREADS": "1"}
    env["TOKENIZERS_PARALLELISM"] = "false"
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1", "False"], done.stderr
