from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent import tiny
from tests.system.plays import Plays
from tests.system.stack import WIDTH, Stack, standing


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model that is small itself, but whose adapters need not be."""
    return tiny.make_base(tmp_path_factory.mktemp("base") / "wide", layers=1, width=WIDTH)


@pytest.fixture(scope="session")
def stack(base: Path, wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything up. Starting it costs many seconds, so all tests of a process share it."""
    with standing(tmp_path_factory.mktemp("stack"), base, wide) as stack:
        yield stack


@pytest.fixture(scope="session")
def plays(stack: Stack) -> Plays:
    return Plays(stack)
