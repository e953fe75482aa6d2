from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.enrolment import enrol
from agent.errors import AgentFault, Away, NotEnrolled
from agent.home import Home
from agent.journal import Entry
from agent.leaving import leave
from tests.agent.fake_hub import FakeHub


def names(home: Home) -> set[str]:
    return {path.name for path in home.folder.iterdir()}


def left(home: Home, **how: object) -> None:
    asyncio.run(leave(home, **how))  # type: ignore[arg-type]


def test_who_leaves_hands_back_its_work_and_forgets_its_key(
    quiet_hub: FakeHub, home: Home, entry: Entry
) -> None:
    identity = home.identity()
    (home.receipts / "one.json").write_text("{}")
    home.data_file.write_text("")
    left(home, reason="sold")
    assert quiet_hub.tasks[entry.offer.id].releases == 1
    assert quiet_hub.left == {str(identity.agent): "sold"}
    assert names(home) == {"receipts", "data.toml", "run.lock", f"left-{identity.agent}.json"}
    with pytest.raises(NotEnrolled):
        home.identity()


def test_a_purge_leaves_nothing_behind(home: Home) -> None:
    (home.receipts / "one.json").write_text("{}")
    left(home, purge=True)
    assert names(home) == {"run.lock"}


def test_a_lost_answer_or_a_revoked_key_keeps_nobody_here(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("POST .*/leave", is_lost=True)
    left(home)
    assert len(quiet_hub.requests("POST .*/leave")) == 2
    assert not home.is_enrolled


def test_a_hub_that_is_away_is_not_left(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.leaving.PATIENCE_SECONDS", 0)
    home.keep_identity(home.identity().model_copy(update={"hub": "http://127.0.0.1:9"}))
    with pytest.raises(Away):
        left(home)
    assert home.is_enrolled
    assert home.key_file.exists()


def test_killed_in_the_middle_it_goes_on(home: Home) -> None:
    home.key_file.unlink()  # the hub had confirmed
    left(home)
    assert not home.is_enrolled


def test_a_running_agent_is_stopped_first(home: Home) -> None:
    with home.locked(), pytest.raises(AgentFault, match="stop it first"):
        left(home)
    assert home.is_enrolled


def test_a_machine_that_has_left_can_come_back(
    quiet_hub: FakeHub, home: Home, tmp_path: Path
) -> None:
    left(home)
    again = enrol(home, url=quiet_hub.url, code=quiet_hub.code(), name="blaise-2")
    assert asyncio.run(again).name == "blaise-2"
