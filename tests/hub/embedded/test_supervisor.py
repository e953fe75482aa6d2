from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hub.embedded.errors import Unavailable
from hub.embedded.ports import free_port, listen, port_of, wait_for_url
from hub.embedded.supervisor import Supervisor
from tests.hub.embedded.machine import PLATFORM, eventually

SLEEP = ["sleep", "600"]
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True)"
)
SERVE = """
import http.server, socket, sys

server = http.server.HTTPServer(("", 0), http.server.SimpleHTTPRequestHandler, False)
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.serve_forever()
"""
# As from a terminal: what is started by a suite that runs under `nohup` would ignore SIGHUP.
SUPERVISE = """
import signal, sys, time
from hub.embedded.supervisor import Supervisor

signal.signal(signal.SIGHUP, signal.SIG_DFL)
with Supervisor() as supervisor:
    for name in sys.argv[1:]:
        supervisor.start(name, ["sleep", "600"])
    print(*(supervisor.pid(name) for name in sys.argv[1:]), flush=True)
    supervisor.run_until_stopped()
"""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor(grace=1) as supervisor:
        yield supervisor


def is_running(pid: int | None) -> bool:
    return psutil.pid_exists(pid or 0) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_what_dies_is_started_again(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor.start("web", SLEEP)
    first = supervisor.pid("web")
    supervisor.kill("web")
    eventually(lambda: supervisor.pid("web") not in {first, None})
    assert is_running(supervisor.pid("web"))
    assert supervisor.exits("web") == 1
    assert "child ended, starting it again" in caplog.text


def test_what_keeps_dying_is_started_less_and_less_often(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start("broken", ["no-such-program"], log=tmp_path / "logs" / "broken.log")
    begun = time.monotonic()
    eventually(lambda: supervisor.exits("broken") == 3)
    assert time.monotonic() - begun > 0.2 + 0.4
    assert (
        (tmp_path / "logs" / "broken.log").read_text().startswith("no-such-program: No such file")
    )


def test_what_ends_as_it_should_is_left_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    script = 'echo "$GREETING from $PWD"; echo trouble >&2; exit 3'
    log = tmp_path / "once.log"
    supervisor.start(
        "once",
        ["sh", "-c", script],
        env={"GREETING": "hello"},
        folder=tmp_path,
        log=log,
        restart=False,
    )
    assert supervisor.wait("once", seconds=10) == 3
    assert log.read_text() == f"hello from {tmp_path}\ntrouble\n"
    assert supervisor.pid("once") is None
    supervisor.start("once", SLEEP)
    with pytest.raises(ValueError, match="is running"):
        supervisor.start("once", SLEEP)
    assert supervisor.wait("once", seconds=0.01) is None


def test_a_log_that_cannot_be_written_is_said_at_once(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    with pytest.raises(IsADirectoryError):
        supervisor.start("web", SLEEP, log=tmp_path)


def test_stopping_ends_the_stubborn_and_their_children(tmp_path: Path) -> None:
    family = f"import subprocess; print(subprocess.Popen(['sleep', '600']).pid); {STUBBORN}; time.sleep(600)"
    log = tmp_path / "log"
    with Supervisor(grace=0.3) as supervisor:
        supervisor.start("meek", SLEEP)
        supervisor.start("stubborn", [sys.executable, "-c", family], log=log)
        eventually(lambda: log.exists() and "on" in log.read_text())
        grandchild = int(log.read_text().split()[0])
        supervisor.stop("meek")
        assert (supervisor.pid("meek"), is_running(supervisor.pid("stubborn"))) == (None, True)
    assert supervisor.pid("stubborn") is None
    eventually(lambda: not is_running(grandchild))


@pytest.mark.parametrize(
    ("end", "statuses"),
    [
        (signal.SIGKILL, {-9}),
        (signal.SIGTERM, {128 + 15}),
        (signal.SIGHUP, {128 + 1}),
        (signal.SIGINT, {0, -2}),  # before it waits for it, a Ctrl-C is an interruption
    ],
)
def test_nothing_outlives_the_supervising_process(end: signal.Signals, statuses: set[int]) -> None:
    command = [sys.executable, "-c", SUPERVISE, "one", "two"]
    environment = {**os.environ, "PYTHONPATH": str(PLATFORM)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        children = [int(pid) for pid in process.stdout.readline().split()]
        assert all(map(is_running, children))
        process.send_signal(end)
        assert process.wait(timeout=10) in statuses
    eventually(lambda: not any(map(is_running, children)))


def test_a_taken_port_is_replaced_by_another() -> None:
    with listen(0) as first:
        taken = port_of(first)
        with listen(taken) as second:
            assert port_of(second) != taken
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_a_socket_survives_the_child_that_answers_on_it(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    with listen(0) as socket:
        command = [sys.executable, "-c", SERVE, str(socket.fileno())]
        supervisor.start("web", command, sockets=[socket], folder=tmp_path, log=tmp_path / "log")
        url = f"http://127.0.0.1:{port_of(socket)}/"
        wait_for_url(url, seconds=10)
        supervisor.kill("web")
        wait_for_url(url, seconds=10)
        assert supervisor.exits("web") == 1


def test_a_url_that_only_fails_is_not_ready() -> None:
    class Failing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(Unavailable, match="did not answer"):
            wait_for_url(f"http://127.0.0.1:{server.server_port}/", seconds=0.2)
        server.shutdown()
