"""pytest plugin: PostgreSQL and Redis for the tests, before anything reads the settings.

The controlling process serves a folder of its own and removes it at the end, so that two test
sessions never meet; the workers of pytest-xdist inherit the environment, each with Redis databases
and a folder of its own (pytest-django gives them their PostgreSQL databases). Services that the
environment names already are used instead.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from hub.embedded.environment import (
    environment,
    is_set,
    ledger_keys,
    model_key,
    secret_key,
    signing_key,
)
from hub.embedded.errors import Unavailable
from hub.embedded.folder import kept_file, made
from hub.embedded.services import remove

FOLDER = Path(__file__).parents[1] / ".foedus"
WORKER = "PYTEST_XDIST_WORKER"
PER_SESSION = 2  # Redis databases: one for cache and wake-ups, one for Celery


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    if WORKER in os.environ:
        keep_apart(int(os.environ[WORKER].removeprefix("gw")) + 1)
    else:
        session = serving()
        session.__enter__()
        early_config.add_cleanup(lambda: session.__exit__(None, None, None))
    return (yield)


@contextmanager
def serving() -> Iterator[None]:
    """Serve the session; what an earlier one left behind when it was killed is removed."""
    sweep()
    folder = FOLDER / f"test-{os.getpid()}"
    with environment(folder) as found:
        os.environ.update(as_owner(found) or stand_ins(folder))
        end_like_interrupted()
        yield
    if found:
        remove(folder)


def as_owner(found: dict[str, str]) -> dict[str, str]:
    """Return what is found for tests that make databases of their own, and change them."""
    owner = found.pop("DATABASE_OWNER_URL", None)
    return {**found, "DATABASE_URL": owner} if owner else found


def sweep() -> None:
    for folder in FOLDER.glob("test-*"):
        if not psutil.pid_exists(int(folder.name.removeprefix("test-"))):
            with suppress(Unavailable, OSError):
                remove(folder)


def stand_ins(folder: Path) -> dict[str, str]:
    """Return what the settings need beside services that the environment names."""
    needed = {
        "SECRET_KEY": secret_key(),
        "HUB_SIGNING_KEY": signing_key(),
        "FOEDUS_HOME": str(folder),
        "MODEL_SIGNING_KEY_FILE": kept_file(made(folder) / "model_signing_key", model_key),
        **ledger_keys(made(folder)),
    }
    return {name: text for name, text in needed.items() if not is_set(name)}


def end_like_interrupted() -> None:
    """Make SIGTERM a Ctrl-C: pytest would take the services' SystemExit for a failed test."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def keep_apart(number: int) -> None:
    """Give a worker of pytest-xdist its own share of what the session serves."""
    for offset, name in enumerate(("REDIS_URL", "BROKER_URL")):
        os.environ[name] = numbered(os.environ[name], PER_SESSION * number + offset)
    home = Path(os.environ["FOEDUS_HOME"], os.environ[WORKER])
    home.mkdir(parents=True, exist_ok=True)
    os.environ["FOEDUS_HOME"] = str(home)


def numbered(url: str, database: int) -> str:
    """Return the URL of another database of the same Redis."""
    parts = urlsplit(url)
    if parts.scheme in {"unix", "redis+socket"}:
        name = "db" if parts.scheme == "unix" else "virtual_host"
        return f"{re.sub(r'[?].*', '', url)}?{name}={database}"
    return parts._replace(path=f"/{database}").geturl()
