from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent import cli
from agent.commands.shared import Exit
from agent.home import Home
from agent.journal import Entry
from tests.agent import tiny
from tests.agent.fake_hub import FakeHub


def run(home: Home, *words: str, status: int = 0) -> str:
    done = CliRunner().invoke(cli.app, [*words, "--home", str(home.folder)])
    assert done.exit_code == status, done.output
    return done.stdout


def left_with(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["foedus-agent", *words])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
    return int(leaving.value.code or 0), capsys.readouterr().err


def test_status_says_who_where_and_what(home: Home, entry: Entry) -> None:
    facts = json.loads(run(home, "status", "--json", status=Exit.STOPPED))
    assert facts["agent"] == "blaise-1"
    assert facts["organisation"] == "Blaise & Sons"
    assert (facts["running"], facts["paused"]) == (False, False)
    assert facts["tasks"][0]["id"] == str(entry.offer.id)
    with home.locked():
        assert "blaise-1" in run(home, "status")


def test_data_is_added_and_listed(home: Home, tmp_path: Path) -> None:
    folder = tiny.make_data(tmp_path / "data", rows=9)
    assert "9 train, 3 test" in run(home, "data", "add", "coast", str(folder))
    listed = json.loads(run(home, "data", "list", "--json"))
    assert listed["coast"]["folder"] == str(folder)
    assert "coast" in run(home, "data", "list")


def test_pausing_is_remembered(home: Home) -> None:
    run(home, "pause")
    assert home.is_paused
    run(home, "resume")
    assert not home.is_paused


def test_a_missing_column_is_named_here_where_it_may_be(
    capsys: pytest.CaptureFixture[str], home: Home, tmp_path: Path
) -> None:
    folder = str(tiny.make_data(tmp_path / "data"))
    words = ("data", "add", "coast", folder, "--text", "utterance")
    code, told = left_with(capsys, *words, "--home", str(home.folder))
    assert code == Exit.FAULT
    assert "utterance" in told


def test_an_agent_without_identity_is_told_to_enrol(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, told = left_with(capsys, "run", "--home", str(tmp_path))
    assert code == Exit.FAULT
    assert "foedus-agent enrol" in told


def test_a_spent_code_has_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str], quiet_hub: FakeHub, tmp_path: Path
) -> None:
    words = ("enrol", quiet_hub.url, "--code", quiet_hub.code("spent"))
    code, told = left_with(capsys, *words, "--home", str(tmp_path))
    assert code == Exit.REFUSED
    assert "code_spent" in told


def test_a_key_is_rotated_by_command(quiet_hub: FakeHub, home: Home) -> None:
    before = home.identity().key_id
    done = json.loads(run(home, "rotate-key", "--json"))
    assert (done["replaces"], done["key_id"]) == (before, home.identity().key_id)
    assert done["key_id"] in quiet_hub.keys
    assert "good until" in run(home, "rotate-key")


def test_leaving_is_asked_for_twice(home: Home) -> None:
    words = ["leave", "--home", str(home.folder)]
    assert CliRunner().invoke(cli.app, words, input="n\n").exit_code == 1
    assert home.is_enrolled
    assert json.loads(run(home, "leave", "--yes", "--json"))["left"] is True
    assert not home.is_enrolled
