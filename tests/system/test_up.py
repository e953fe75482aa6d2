"""`make up`: a hub with one command, and nothing of it left after Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from hub.embedded.services import remove
from tests.system.installation import ROOT, Browser
from tests.system.processes import without_our_services

pytestmark = pytest.mark.system


@contextmanager
def up(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, ROOT / "manage.py", "up", "--port", "0", *arguments],
        env={**without_our_services(), "FOEDUS_HOME": str(folder), "OMP_NUM_THREADS": "1"},
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def said_until(process: subprocess.Popen[str], last: str) -> str:
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if last in line:
            return said
    raise AssertionError(f"it ended after {said!r}")


def test_one_command_brings_a_hub_up_and_takes_it_down(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    with up(folder, "--operator", "ada@example.org") as process:
        said = said_until(process, "Ctrl-C")
        url = re.search(r"http://\S+:\d+", said)
        password = re.search(r"shown only now: (\S+)", said)
        assert url
        assert password
        assert httpx.get(f"{url[0]}/readyz").status_code == 200
        browser = Browser(url[0])
        browser.sign_in("ada@example.org", password[1])
        assert "What is wrong now" in browser.http.get("/console/").text
        browser.http.close()

        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 6, "web, worker, compute, beat and two services"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        _, left = psutil.wait_procs(family, timeout=5)
        assert left == []
    assert {log.stem for log in (folder / "logs").iterdir()} == {"web", "worker", "compute", "beat"}

    with up(folder) as again:
        assert "shown only now" not in said_until(again, "Ctrl-C")
        again.terminate()
        again.wait(timeout=30)
    remove(folder)
