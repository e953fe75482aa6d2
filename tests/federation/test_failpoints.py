"""A process dies where it is told to, once, as by a power cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from federation.failpoints import failpoint

PLATFORM = Path(__file__).parents[2] / "platform"

PROGRAM = """
import atexit, sys
sys.path.insert(0, sys.argv[1])
from federation.failpoints import failpoint

atexit.register(print, "a handler ran", flush=True)
for passage in range(1, 5):
    failpoint("W09", "before")
    print("wrote", passage, flush=True)
    failpoint("W09", "after")
"""


def run(mark: Path, wanted: str | None) -> subprocess.CompletedProcess[str]:
    asked = {"FOEDUS_FAILPOINT": wanted, "FOEDUS_FAILPOINT_MARK": str(mark)} if wanted else {}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FOEDUS_FAILPOINT")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, PLATFORM],
        env=environment | asked,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("wanted", "writes"),
    [("W09:before", 0), ("W09:after", 1), ("W09:before:3", 2), ("W09:after:4", 4)],
)
def test_the_process_is_killed_at_the_point(tmp_path, wanted, writes):
    done = run(tmp_path / "mark", wanted)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.splitlines() == [f"wrote {n}" for n in range(1, writes + 1)]
    assert (tmp_path / "mark").exists()


def test_it_happens_only_once(tmp_path):
    run(tmp_path / "mark", "W09:before")
    again = run(tmp_path / "mark", "W09:before")
    assert again.returncode == 0
    assert "wrote 4" in again.stdout


@pytest.mark.parametrize("wanted", [None, "W08:before", "W09:during", "W09:before:5"])
def test_elsewhere_nothing_happens(tmp_path, wanted):
    done = run(tmp_path / "mark", wanted)
    assert done.returncode == 0
    assert not (tmp_path / "mark").exists()


def test_a_file_arms_a_process_that_runs_already(tmp_path):
    order = tmp_path / "order"
    assert run(tmp_path / "mark", f"@{order}").returncode == 0
    order.write_text("W09:after:2\n")
    done = run(tmp_path / "mark", f"@{order}")
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.splitlines() == ["wrote 1", "wrote 2"]


def test_a_process_may_be_frozen_instead(tmp_path):
    environment = {"FOEDUS_FAILPOINT": "W09:before:2:STOP"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, PLATFORM],
        env={**os.environ, **environment, "FOEDUS_FAILPOINT_MARK": str(tmp_path / "mark")},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=60)[0].splitlines()[-2:] == ["wrote 4", "a handler ran"]


def test_in_production_it_is_nothing(monkeypatch):
    monkeypatch.delenv("FOEDUS_FAILPOINT", raising=False)
    failpoint("W09", "before")
    failpoint("W09", "after")
