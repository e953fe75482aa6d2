from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis import Redis

from agent.broker import embedded_broker
from agent.errors import AgentFault
from agent.home import Home


def test_the_broker_serves_its_agent_and_leaves_nothing(home: Home) -> None:
    async def serve() -> Path:
        async with embedded_broker(home) as url:
            socket = Path(url.removeprefix("redis+socket://"))
            assert socket.parent.stat().st_mode & 0o077 == 0
            with Redis(unix_socket_path=str(socket)) as client:
                assert client.ping()
                assert client.config_get("save") == {"save": ""}
            return socket.parent

    assert not asyncio.run(serve()).exists()


def test_a_socket_has_a_short_path_wherever_temporary_files_lie(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 80)))

    async def serve() -> str:
        async with embedded_broker(home) as url:
            return url

    assert len(asyncio.run(serve()).removeprefix("redis+socket://")) < 108


def test_what_a_killed_agent_left_is_swept(home: Home, tmp_path: Path) -> None:
    left = tmp_path / "foedus-agent-left"
    left.mkdir()
    (home.folder / "broker.folder").write_text(str(left))

    async def serve() -> None:
        async with embedded_broker(home):
            assert not left.exists()

    asyncio.run(serve())


def test_without_any_redis_it_says_what_to_install(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("agent.broker.find_spec", lambda _: None)

    async def serve() -> None:
        async with embedded_broker(home):
            pass

    with pytest.raises(AgentFault, match="install redis-server"):
        asyncio.run(serve())
