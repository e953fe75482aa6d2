"""The hub's processes by name, and how each is started.

start_hub(supervisor)                       all of them, on this machine
python -m hub.operations.processes worker   become one of them: the images' entrypoints
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from hub.embedded.errors import Unavailable
from hub.embedded.ports import LOOPBACK, listen, port_of, wait_for_url
from hub.embedded.supervisor import Supervisor

PREFERRED_PORT = 8000
EVERYWHERE = "0.0.0.0"  # noqa: S104 (asked for by name only)
ROOT = Path(__file__).resolve().parents[3]
SOURCES = [str(ROOT / "platform"), str(ROOT / "workers")]
# `-P`: where it is started from is no place to import from.
PYTHON = [sys.executable, "-P", "-m"]
CELERY = [*PYTHON, "celery", "--quiet", "-A", "jobs.app"]
# Workers talk to nobody but the broker; leases and claims in the database say who is alive.
QUIETLY = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
LIGHT = "default,periodic,transfers"  # queues without tensors
ANSWERING = ["--enable-remote-control"]  # so that `celery inspect ping` finds beat too
# Who alone has the ledgers' key; what the others are told instead.
SIGNER, KEYLESS = "worker", {"LEDGER_KEY_FILE": "", "LEDGER_KEY_FILE_FILE": ""}
# What no process of the hub has, but who starts them may.
NOBODYS = {"DATABASE_OWNER_URL": "", "DATABASE_OWNER_URL_FILE": ""}


def threads() -> int:
    """Of the light worker."""
    return int(os.environ.get("WORKER_THREADS", "4"))


def commands() -> dict[str, list[str]]:
    """The programs by name. Beat keeps nothing: what it asks for is due again in seconds."""
    pool = ["-P", "threads", "-c", str(threads())]
    tensors = os.environ.get("COMPUTE_QUEUES", "compute,interactive")
    return {
        "web": [*PYTHON, "hub.operations.web"],
        "worker": [*CELERY, "worker", "-n", "worker@%h", "-Q", LIGHT, *pool, *QUIETLY],
        "compute": [*CELERY, "worker", "-n", "compute@%h", "-Q", tensors, "-P", "solo", *QUIETLY],
        "beat": [*CELERY, "beat", "-S", "celery.beat.Scheduler", "--pidfile=", *ANSWERING],
    }


@contextmanager
def only_hub() -> Iterator[None]:
    """Keep a second hub out of FOEDUS_HOME: two would share one database and each agent's folder.

    Raises:
        Unavailable: one runs already; says which process.
    """
    home = Path(settings.HOME)
    home.mkdir(parents=True, exist_ok=True)
    with (home / "hub.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            raise Unavailable(
                f"A hub runs here already (process {pid}); stop it first, or give this one a "
                "FOEDUS_HOME of its own."
            ) from held
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def start_hub(
    supervisor: Supervisor,
    *,
    port: int | None = None,
    host: str = LOOPBACK,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Start web, worker, compute and beat under a supervisor; return the hub's URL once it answers.

    The database has its tables already. On this machine's loopback, `port` is a wish: where it is
    taken, another is found. Each process writes to its own file in `logs` under FOEDUS_HOME.
    """
    listener = listening(host, PREFERRED_PORT if port is None else port)
    url = f"http://{LOOPBACK if host == EVERYWHERE else host}:{port_of(listener)}"
    env = {"PUBLIC_URL": url, "PYTHONPATH": source_path(), **(environment or {}), **NOBODYS}
    logs = Path(env.get("FOEDUS_HOME") or settings.HOME) / "logs"
    for name, command in commands().items():
        is_web = name == "web"
        supervisor.start(
            name,
            [*command, "--fd", str(listener.fileno())] if is_web else command,
            env=env if name == SIGNER else {**env, **KEYLESS},
            log=logs / f"{name}.log",
            sockets=[listener] if is_web else (),
        )
    wait_for_url(f"{url}/readyz")
    return url


def listening(host: str, port: int) -> socket.socket:
    """A listening socket; raises `Unavailable` where there is none to be had."""
    if host == LOOPBACK:
        return listen(port)
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as refusal:
        raise Unavailable(f"{host}:{port} cannot be listened on: {refusal.strerror}.") from refusal


def source_path() -> str:
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([*SOURCES, *(path for path in inherited if path not in ["", *SOURCES])])


def become(name: str) -> None:
    """Replace this process by one of the hub's."""
    programs = commands()
    if name not in programs:
        sys.exit(f"{name} is no process of the hub; there are {', '.join(programs)}.")
    os.execv(programs[name][0], programs[name])  # noqa: S606 (our own command lines)


if __name__ == "__main__":
    become(*sys.argv[1:])
