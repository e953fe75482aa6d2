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
    code, told = left_with(capsys, *words[:-2], "--label", "tag", "--home", str(home.folder))
    assert (code, "no column 'tag'" in told, "--label" in told) == (Exit.FAULT, True, True)


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


def test_data_are_previewed_on_this_screen(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["text,label", "[b]wave,sea", "salt,sea", "wing,sky", " ,sky"]
    (folder / "train.csv").write_text("\n".join(rows))
    run(home, "data", "add", "coast", str(folder))
    shown = run(home, "data", "preview", "coast", "--rows", "1")
    assert "3 examples in 4 rows" in shown
    assert "1 without text" in shown
    assert "[b]wave" in shown
    assert "wing" not in shown
    said = json.loads(run(home, "data", "preview", "coast", "--json"))["train"]
    assert (said["columns"], said["labels"]) == (["text", "label"], {"sea": 2, "sky": 1})
    assert said["sample"][0] == {"text": "[b]wave", "label": "sea"}


def test_conversations_and_images_have_columns_of_their_own(home: Home, tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "hello"}]
    rows = [{"talk": talk, "text": "is not read"}, {"talk": "hello"}, {"talk": None}]
    file = tmp_path / "talks.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert "1 train" in run(home, "data", "add", "coast", str(file), "--messages", "talk")
    said = json.loads(run(home, "data", "preview", "coast", "--json"))["train"]
    assert (said["main"], said["usable"], said["unreadable"], said["empty"]) == (
        "messages",
        1,
        1,
        1,
    )
    assert "1 are no lists of messages" in run(home, "data", "preview", "coast")
    (tmp_path / "wave.png").write_bytes(b"")
    file.write_text('{"file": "wave.png", "label": "sea"}\n{"file": "gone.png", "label": "sea"}')
    added = run(home, "data", "add", "hills", str(file), "--image", "file", "--json")
    assert json.loads(added)["examples"] == {"train": 1}
    assert json.loads(run(home, "data", "list", "--json"))["hills"]["image"] == "file"


def test_data_are_removed_from_the_mapping_alone(home: Home, tmp_path: Path) -> None:
    folder = tiny.make_data(tmp_path / "data")
    run(home, "data", "add", "coast", str(folder))
    assert json.loads(run(home, "data", "remove", "coast", "--json")) == {"removed": "coast"}
    assert json.loads(run(home, "data", "list", "--json")) == {}
    assert (folder / "train.csv").exists()


@pytest.mark.parametrize("command", ["preview", "remove"])
def test_what_is_not_mapped_is_said_to_be_so(
    capsys: pytest.CaptureFixture[str], home: Home, command: str
) -> None:
    code, told = left_with(capsys, "data", command, "coast", "--home", str(home.folder))
    assert (code, "data list" in told) == (Exit.FAULT, True)


def test_wrong_usage_and_a_hub_that_is_away_have_codes_of_their_own(
    capsys: pytest.CaptureFixture[str], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert left_with(capsys, "data", "preview")[0] == 2
    home.keep_identity(home.identity().model_copy(update={"hub": "http://127.0.0.1:9"}))
    monkeypatch.setattr("agent.commands.identity.PATIENCE_SECONDS", 0)
    code, told = left_with(capsys, "rotate-key", "--home", str(home.folder))
    assert (code, "does not answer" in told) == (Exit.AWAY, True)


def test_a_proxy_that_cannot_be_used_is_the_sites_to_correct(
    capsys: pytest.CaptureFixture[str], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1")
    code, told = left_with(capsys, "rotate-key", "--home", str(home.folder))
    assert (code, "proxy" in told) == (Exit.FAULT, True)
