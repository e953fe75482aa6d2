from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.stack import Stack, running
from tests.federation.modelling.worlds import save_encoder

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; CI installs it, so there its absence is an error.

    An event loop runs in this thread for as long as it is up, and nobody else can run one.
    """
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "CI has no Chromium: .ci/run should have installed it"
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("e2e")
    base = save_encoder(folder / "base")
    with running(folder) as up:
        up.manage(
            "register_base_model", str(base), "--slug", "tiny", "--name", "Tiny",
            "--licence", "Apache-2.0",
        )  # fmt: skip
        yield up
