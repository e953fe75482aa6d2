from __future__ import annotations

from pathlib import Path

import pytest

from tests.federation.modelling import worlds


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return worlds.save_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(params=worlds.KINDS)
def world(
    request: pytest.FixtureRequest, encoder: Path, causal: Path, tmp_path: Path
) -> worlds.World:
    return worlds.world_of(request.param, encoder, causal, tmp_path)
