"""How the hub's processes are started, and what they must not carry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from hub.embedded.errors import Unavailable
from hub.embedded.ports import port_of
from hub.embedded.supervisor import Supervisor
from hub.operations.processes import (
    PYTHON,
    SOURCES,
    become,
    commands,
    listening,
    only_hub,
    source_path,
    start_hub,
)
from hub.operations.web import configuration

HEAVY = ("torch", "transformers", "peft", "numpy", "safetensors")


@pytest.mark.parametrize(
    "program",
    [
        "import jobs.app; jobs.app.app.loader.import_default_modules()",
        "import hub.asgi; from django.urls import get_resolver; get_resolver().url_patterns",
    ],
    ids=["worker", "web"],
)
def test_no_process_loads_tensors_before_it_needs_them(program: str) -> None:
    look = f"{program}; import sys; print([m for m in {HEAVY} if m in sys.modules])"
    said = subprocess.check_output(
        [sys.executable, "-P", "-c", look],
        env={**os.environ, "PYTHONPATH": source_path()},
        text=True,
    )
    assert said.splitlines()[-1] == "[]"


def test_every_process_has_a_program() -> None:
    assert set(commands()) == {"web", "worker", "compute", "beat"}
    assert all(command[: len(PYTHON)] == PYTHON for command in commands().values())


def test_each_queue_has_one_kind_of_worker() -> None:
    queues = [c[c.index("-Q") + 1] for c in commands().values() if "-Q" in c]
    assert queues == ["default,periodic,transfers", "compute,interactive"]


class Started(Supervisor):
    """Notes what would be started."""

    def __init__(self) -> None:
        super().__init__()
        self.environments: dict[str, dict[str, str]] = {}

    def start(self, name: str, argv: object, **options: Any) -> None:
        self.environments[name] = {**os.environ, **options["env"]}
        for listener in options["sockets"]:
            listener.close()


def test_only_the_worker_has_the_ledgers_key_and_nobody_the_owners_login(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hub.operations.processes.wait_for_url", print)
    monkeypatch.setenv("LEDGER_KEY_FILE", "/secrets/key")
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgres://owner@/x")
    started = Started()
    start_hub(started, port=0)
    for name, environment in started.environments.items():
        assert (environment["LEDGER_KEY_FILE"] == "/secrets/key") is (name == "worker"), name
        assert environment["DATABASE_OWNER_URL"] == "", name
    assert started.environments.keys() == commands().keys()


def test_a_second_compute_worker_may_be_for_the_playground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPUTE_QUEUES", "interactive")
    command = commands()["compute"]
    assert command[command.index("-Q") + 1] == "interactive"


def test_sources_come_first_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([SOURCES[1], "/elsewhere", ""]))
    assert source_path().split(os.pathsep) == [*SOURCES, "/elsewhere"]


def test_an_unknown_process_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SystemExit, match="web, worker, compute, beat"):
        become("wsgi")


def test_only_a_hub_behind_tls_listens_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PUBLIC_URL", raising=False)
    with pytest.raises(CommandError, match="PUBLIC_URL"):
        call_command("up", host="0.0.0.0")


def test_a_second_hub_on_one_folder_is_refused(settings: Any, tmp_path: Path) -> None:
    settings.HOME = tmp_path
    with only_hub(), pytest.raises(Unavailable, match=f"process {os.getpid()}"), only_hub():
        pass
    with only_hub():
        pass


def test_a_port_that_is_taken_elsewhere_is_said() -> None:
    with listening("127.0.0.2", 0) as taken, pytest.raises(Unavailable, match=r"127\.0\.0\.2"):
        listening("127.0.0.2", port_of(taken))


def test_uvicorn_ends_open_streams_and_leaves_logging_to_us() -> None:
    config = configuration("127.0.0.1", 0, processes=1)
    assert config.timeout_graceful_shutdown == 3
    assert config.log_config is None
    assert not config.access_log
