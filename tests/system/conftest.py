from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent import tiny
from tests.system.plays import Plays
from tests.system.stack import Stack, standing


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def stack(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything up. Starting it costs many seconds, so all tests of a process share it."""
    with standing(tmp_path_factory.mktemp("stack"), base) as stack:
        yield stack


@pytest.fixture(scope="session")
def plays(stack: Stack) -> Plays:
    return Plays(stack)
