"""PostgreSQL and Redis with their data in one folder.

A folder is served by one process, its launcher. Others that ask for the same folder meanwhile
use what it started; what a killed launcher left is cleared away by the next.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from hub.embedded import postgres, redis
from hub.embedded.account import Account
from hub.embedded.errors import Unavailable
from hub.embedded.folder import Launcher, announce, launcher_of, locked, made, withdraw
from hub.embedded.processes import ended_by_signals, undisturbed
from hub.embedded.supervisor import Supervisor

SHORT, PREFIX = "/tmp", "foedus-"  # noqa: S108 (socket paths end at 107 bytes; the folder is 0700)
START_SECONDS = 120.0  # recovery after a crash may have much to read
MANY_EXITS = 6


@dataclass(frozen=True, slots=True)
class ServiceUrls:
    """Where the services are, as the settings want to hear it."""

    database_url: str
    owner_url: str  # for `migrate` only
    redis_url: str
    broker_url: str

    @classmethod
    def at(cls, sockets: Path) -> Self:
        return cls(
            database_url=postgres.database_url(sockets),
            owner_url=postgres.owner_url(sockets),
            redis_url=redis.redis_url(sockets),
            broker_url=redis.broker_url(sockets),
        )

    def as_environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database_url,
            "DATABASE_OWNER_URL": self.owner_url,
            "REDIS_URL": self.redis_url,
            "BROKER_URL": self.broker_url,
        }


@contextmanager
def services(folder: Path, *, account: Account | None = None) -> Iterator[ServiceUrls]:
    """Serve a folder, or use what serves it already; who started the services ends them.

    Both are restarted if they die. `account` says who runs PostgreSQL (default: as it fits).
    Raises `Unavailable`.
    """
    folder = made(folder)
    with ended_by_signals():
        with locked(folder):
            instance = _served(folder) or _started(folder, account)
        try:
            yield ServiceUrls.at(instance.sockets)
        finally:
            instance.leave()


def remove(folder: Path) -> None:
    """Remove a folder of services that nobody serves, wherever its parts lie."""
    folder = made(folder)
    with locked(folder):
        if (launcher := launcher_of(folder)) and launcher.is_alive:
            raise Unavailable(f"{folder} is in use.")
        _clear(folder)
        data = folder / "postgres"
        if data.is_symlink():
            shutil.rmtree(data.readlink().parent, ignore_errors=True)
        shutil.rmtree(folder)


class _Served:
    """The services of another process."""

    def __init__(self, launcher: Launcher) -> None:
        self.sockets = Path(launcher.sockets)

    def leave(self) -> None:
        """Leave them to the one who started them."""


def _served(folder: Path) -> _Served | None:
    """Return the services of a living launcher, once they answer."""
    launcher = launcher_of(folder)
    if not launcher or not launcher.is_alive:
        return None
    served = _Served(launcher)
    for answers in (postgres.answers, redis.answers):
        _wait(
            partial(answers, served.sockets),
            failed=lambda: False,
            hint=f"Process {launcher.pid} serves {folder} but does not answer: end it, try again.",
        )
    return served


class _Started:
    """The services that this process runs for a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sockets = Path(tempfile.mkdtemp(dir=SHORT, prefix=PREFIX))
        self.supervisor = Supervisor(grace=30)

    def start(self, account: Account | None) -> None:
        announce(self.folder, Launcher.this_process(self.sockets))
        self._start_redis()
        self._start_postgres(postgres.postgres_for(self.folder, account))
        self._wait("redis", redis.answers)
        self._wait("postgres", postgres.answers)
        postgres.make_database(self.sockets)

    def stop(self) -> None:
        withdraw(self.folder)
        self.supervisor.stop_all()
        shutil.rmtree(self.sockets, ignore_errors=True)

    def leave(self) -> None:
        with undisturbed(), locked(self.folder):
            self.stop()

    def _start_redis(self) -> None:
        program = redis.command(self.sockets)
        self.supervisor.start("redis", program, log=self._log("redis"), folder=self.sockets)

    def _start_postgres(self, cluster: postgres.Postgres) -> None:
        cluster.prepare()
        cluster.account.own(self.sockets)
        self.supervisor.start(
            "postgres",
            cluster.command(self.sockets),
            log=self._log("postgres"),
            stop_signal=postgres.STOP_SIGNAL,
            owner=cluster.account.owner,
            folder=Path("/"),
        )

    def _wait(self, name: str, answers: Callable[[Path], bool]) -> None:
        _wait(
            partial(answers, self.sockets),
            failed=lambda: self.supervisor.exits(name) >= MANY_EXITS,
            hint=f"{name} did not start: {self._log(name)} says why.",
        )

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def _started(folder: Path, account: Account | None) -> _Started:
    """Return services started here; what does not come up leaves nothing behind."""
    _clear(folder)
    instance = _Started(folder)
    try:
        instance.start(account)
    except BaseException:
        with undisturbed():
            instance.stop()
        raise
    return instance


def _clear(folder: Path) -> None:
    """Clear away what a launcher left that was killed."""
    launcher = launcher_of(folder)
    if launcher and (sockets := Path(launcher.sockets)).name.startswith(PREFIX):
        redis.stop_leftover(sockets)
        shutil.rmtree(sockets, ignore_errors=True)
    postgres.stop_leftovers(postgres.name_of(folder))
    withdraw(folder)


def _wait(ready: Callable[[], bool], *, failed: Callable[[], bool], hint: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if failed() or time.monotonic() > deadline:
            raise Unavailable(hint)
        time.sleep(0.01)
