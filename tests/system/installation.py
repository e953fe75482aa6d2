"""A hub as the images run it: their entrypoints as plain processes, services over TCP, blobs in S3.

PostgreSQL and Redis are the real ones from packages; moto stands in for the S3 store, which is
nobody's code of ours. The secrets are what docker/make-secrets.sh makes, mounted as files.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import redis as client

from hub.embedded import postgres, redis
from hub.embedded.ports import free_port
from hub.embedded.supervisor import Supervisor
from tests.buckets import Bucket, serving
from tests.system.processes import wait_until, without_our_services

ROOT = Path(__file__).parents[2]
ENTRYPOINTS = ROOT / "docker" / "entrypoints"
SERVERS = ("web", "worker", "compute", "beat")
GUIDE = (ROOT / "docs" / "operating.md").read_text()
BLOCKS = dict(re.findall(r"<!-- test: (\w+) -->\n```sh\n(.*?)```", GUIDE, re.DOTALL))


@dataclass
class Installation:
    """What runs, where it answers, and what it has logged."""

    folder: Path
    environment: dict[str, str]
    bucket: Bucket
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.environment["PUBLIC_URL"]

    def run(self, entrypoint: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run an entrypoint that ends by itself."""
        return subprocess.run(
            [ENTRYPOINTS / f"{entrypoint}.sh"],
            env={**self.environment, **more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def start(self, entrypoint: str, **more: str) -> subprocess.Popen[bytes]:
        with self.log(entrypoint).open("ab") as log:
            process = subprocess.Popen(
                [ENTRYPOINTS / f"{entrypoint}.sh"],
                env={**self.environment, **more},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running[entrypoint] = process
        return process

    def follow(self, block: str) -> str:
        """Run commands of the guide; `docker compose exec` and `run` mean these processes."""
        return followed(block, self.folder, self.environment)

    def stop(self, entrypoint: str) -> int:
        """Ask a server to end, as a container engine does; return its status."""
        process = self.running.pop(entrypoint)
        process.terminate()
        return process.wait(timeout=15)

    def kill_all(self) -> None:
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def log(self, entrypoint: str) -> Path:
        return self.folder / f"{entrypoint}.log"

    def database(self) -> psycopg.Connection:
        return psycopg.connect(self.environment_file("DATABASE_OWNER_URL"), autocommit=True)

    def environment_file(self, name: str) -> str:
        return Path(self.environment[f"{name}_FILE"]).read_text()


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    """Have the services up and the entrypoints' environment ready, until the block ends."""
    with ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor())
        sockets = Path(tempfile.mkdtemp(prefix="foedus-"))
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        secrets = made_secrets(folder)
        database = start_postgres(supervisor, folder, sockets)
        (secrets / "database_owner_url").write_text(database)
        (secrets / "database_url").write_text(database.replace("foedus:", "foedus_hub:", 1))
        server = urlsplit(database)
        store = stack.enter_context(serving())
        environment = {
            **inherited(),
            **mounted(secrets),
            **redis_environment(start_redis(supervisor, folder, sockets)),
            **addresses(),
            "PGHOST": str(server.hostname),
            "PGPORT": str(server.port),
            "BLOB_BUCKET": "foedus",
            "BLOB_ENDPOINT": store.endpoint,
            "BLOB_LINK_ENDPOINT": store.endpoint,
            "FOEDUS_HOME": str(folder / "home"),
        }
        (folder / "home").mkdir()
        installation = Installation(folder, environment, store)
        stack.callback(installation.kill_all)
        yield installation


def made_secrets(folder: Path) -> Path:
    """Follow the guide in a copy of what it works on."""
    shutil.copytree(ROOT / "docker", folder / "docker")
    followed("secrets", folder, inherited())
    return folder / "docker" / "secrets"


def followed(block: str, folder: Path, environment: Mapping[str, str]) -> str:
    engine = Path(__file__).with_name("engine")
    ran = subprocess.run(
        ["sh", "-eu", "-c", BLOCKS[block]],
        env={**environment, "PATH": f"{engine}:{environment['PATH']}", "ROOT": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def inherited() -> dict[str, str]:
    """What an image would set: its programs on the path, and little else."""
    package = importlib.util.find_spec(postgres.PACKAGE)
    assert package
    assert package.origin
    clients = Path(package.origin).with_name(postgres.INSTALLATION) / "bin"
    programs = (Path(sys.executable).parent, clients)
    return {
        **without_our_services(),
        "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
        "OMP_NUM_THREADS": "1",
    }


def mounted(secrets: Path) -> dict[str, str]:
    return {
        "SECRET_KEY_FILE": str(secrets / "secret_key"),
        "HUB_SIGNING_KEY_FILE": str(secrets / "signing_key"),
        "LEDGER_KEY_FILE": str(secrets / "ledger_key"),
        "LEDGER_VERIFIER_KEY_FILE": str(secrets / "ledger_verifier_key"),
        "METRICS_TOKEN_FILE": str(secrets / "metrics_token"),
        "DATABASE_URL_FILE": str(secrets / "database_url"),
        "DATABASE_OWNER_URL_FILE": str(secrets / "database_owner_url"),
        "AWS_SHARED_CREDENTIALS_FILE": str(secrets / "s3_credentials"),
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def addresses() -> Mapping[str, str]:
    port = free_port(0)
    return {
        "WEB_PORT": str(port),
        "WEB_PROCESSES": "2",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "AUTO_APPROVE_ORGANISATIONS": "yes",
        "RECONCILE_SECONDS": "1",
        "STATIC_FROM_PACKAGES": "yes",
    }


def start_postgres(supervisor: Supervisor, folder: Path, sockets: Path) -> str:
    cluster = postgres.postgres_for(folder)
    cluster.prepare()
    cluster.account.own(sockets)
    port = free_port(0)
    supervisor.start(
        "postgres",
        [*cluster.command(sockets), "--listen_addresses=127.0.0.1", f"--port={port}"],
        log=folder / "postgres.log",
        stop_signal=postgres.STOP_SIGNAL,
        owner=cluster.account.owner,
        folder=Path("/"),
    )
    server = f"postgres://foedus:any@127.0.0.1:{port}"
    wait_until(partial(database_made, server), every=0.1, what="PostgreSQL does not start")
    return f"{server}/foedus"


def database_made(server: str) -> bool:
    with suppress(psycopg.OperationalError), psycopg.connect(f"{server}/postgres") as connection:
        connection.autocommit = True
        connection.execute("CREATE DATABASE foedus")
        return True
    return False


def start_redis(supervisor: Supervisor, folder: Path, sockets: Path) -> str:
    port = free_port(0)
    program = [*redis.command(sockets), "--port", str(port), "--bind", "127.0.0.1"]
    supervisor.start("redis", program, log=folder / "redis.log", folder=folder)
    url = f"redis://127.0.0.1:{port}"
    wait_until(partial(redis_answers, url), every=0.1, what="Redis does not start")
    return url


def redis_answers(url: str) -> bool:
    with suppress(client.ConnectionError), client.Redis.from_url(url) as connection:
        return bool(connection.ping())
    return False


def redis_environment(url: str) -> dict[str, str]:
    return {"REDIS_URL": f"{url}/0", "BROKER_URL": f"{url}/1"}


class Browser:
    """Somebody's browser, as far as scripts need one."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, follow_redirects=True, timeout=30)

    def sign_in(self, email: str, password: str) -> httpx.Response:
        self.http.get("/accounts/login/")
        return self.post("/accounts/login/", {"login": email, "password": password})

    def post(self, path: str, fields: Mapping[str, str]) -> httpx.Response:
        data = {**fields, "csrfmiddlewaretoken": self.http.cookies["csrftoken"]}
        return self.http.post(path, data=data)

    def call(self, path: str, body: Mapping[str, object]) -> Any:
        """Make something through the API; the browser's session is the identity."""
        headers = {
            "X-CSRFToken": self.http.cookies["csrftoken"],
            "Idempotency-Key": str(uuid4()),
        }
        answer = self.http.post(f"/api/v1{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()
