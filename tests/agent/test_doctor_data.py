"""What `doctor` says of the site's data; nothing of it goes out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.checks import State
from agent.datasets import found_in, register
from agent.home import Home
from tests.agent.checkup import LIGHT, examine_only, lines_of, mapped, moved_to, place, worst
from tests.agent.fake_hub import FakeHub

PLANS = {
    "chat": {"task": {"type": "chat"}},
    "images": {"task": {"type": "image_classification", "labels": ["sea", "sky"]}},
}


def kept(folder: Path, rows: Sequence[object]) -> Path:
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "sea.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["text,label", "wave,sea"], ("ok", "1 examples, 1 labels")),
        (["text,label", "wave,sea", " ,sea"], ("warning", "1 of 2 rows have no text")),
        (["text,label", "wave,river", "salt,sea"], ("problem", "1 of 2 examples have a label")),
        (["text,other", "wave,sea"], ("problem", "no column 'label'")),
        (["other,label", "wave,sea"], ("problem", "no column 'text'")),
        (["text,label", " ,sea"], ("problem", "not one text")),
        (["text,label", '"wave'], ("problem", "malformed")),
    ],
)
def test_data_are_read_with_the_eyes_of_the_plan(
    quiet_hub: FakeHub, home: Home, tmp_path: Path, rows: Sequence[str], expected: tuple[str, str]
) -> None:
    place(quiet_hub)
    data = mapped(home, tmp_path)
    (data / "train.csv").write_text("\n".join(rows))
    train = [line for line in lines_of(home, "data") if line.says.startswith("coast, train")]
    (line,) = train
    assert (line.state, expected[1] in line.says) == (expected[0], True)


SEA = {"label": "sea", "image": "sea.png"}
TALK = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"messages": TALK, "text": ""}], ("chat", "ok", "1 examples")),
        ([{"text": "a"}], ("chat", "problem", "no column 'messages'")),
        ([{"messages": []}], ("chat", "problem", "not one conversation")),
        ([{"messages": TALK}, {"messages": [3]}], ("chat", "problem", "1 of 2 rows are no lists")),
        ([{"messages": TALK}, {}], ("chat", "warning", "1 of 2 rows have no conversation")),
        ([SEA, {**SEA, "label": "sky"}], ("images", "ok", "2 examples, 2 labels")),
        ([SEA, {**SEA, "image": "PLANTED"}], ("images", "problem", "1 of 2 rows name no file")),
        ([{"image": "sea.png"}], ("images", "problem", "no column 'label'")),
        ([{**SEA, "label": "x"}], ("images", "problem", "1 of 1 examples have a label")),
        ([{"text": "a", "label": "sea"}], ("images", "problem", "no column 'image'")),
    ],
)
def test_each_kind_of_task_has_columns_of_its_own(
    quiet_hub: FakeHub, home: Home, tmp_path: Path, rows: list[object], expected: tuple[str, ...]
) -> None:
    task, state, says = expected
    place(quiet_hub, plan=PLANS[task])
    folder = kept(tmp_path, rows)
    register(home.data_file, "coast", found_in(folder))
    lines = [line for line in lines_of(home, "data") if line.says.startswith("coast, train")]
    (line,) = lines
    assert (line.state, says in line.says) == (state, True)
    assert "PLANTED" not in line.says


def test_data_that_nobody_asks_for_or_that_are_missing(
    quiet_hub: FakeHub, home: Home, tmp_path: Path
) -> None:
    assert "No federation" in worst(home, "data")[1]
    data = mapped(home, tmp_path)
    assert "no such federation" in worst(home, "data")[1]
    place(quiet_hub)
    (data / "test.csv").unlink()
    assert "evaluations fail" in worst(home, "data")[1]
    (data / "train.csv").unlink()
    assert worst(home, "data")[0] == State.PROBLEM


def test_without_the_hub_the_data_are_read_all_the_same(home: Home, tmp_path: Path) -> None:
    mapped(home, tmp_path)
    moved_to(home, "http://127.0.0.1:9")
    assert worst(home, "data")[0] == State.OK


def test_nothing_of_the_site_goes_out(quiet_hub: FakeHub, home: Home, tmp_path: Path) -> None:
    place(quiet_hub)
    folder = tmp_path / "PLANTED-PATH"
    data = mapped(home, folder)
    (data / "train.csv").write_text("text,label\nPLANTED-ROW,PLANTED-LABEL\n")
    begun = len(quiet_hub.seen)
    list(examine_only(home, *LIGHT))
    sent = quiet_hub.seen[begun:]
    assert {seen.line for seen in sent} == {
        "GET /livez",
        "GET /api/v1/agent/standing",
        "POST /api/v1/agent/download-tokens",
    }
    everything = json.dumps([[seen.line, seen.headers, seen.body.decode()] for seen in sent])
    assert "PLANTED" not in everything
