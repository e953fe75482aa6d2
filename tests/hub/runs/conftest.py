from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.runs.world import World, make_world


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    return make_world(tmp_path)
