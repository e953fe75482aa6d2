"""What each kind of task reads of the site's data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.datasets import DataSet, load
from agent.errors import DataRefused
from federation.plan import Plan

TALK = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"}]
CHAT = Plan.model_validate({"task": {"type": "chat"}})
WORDS = Plan.model_validate({"task": {"type": "masked_lm"}})
IMAGES = Plan.model_validate({"task": {"type": "image_classification", "labels": ("sea", "sky")}})


def data_set(folder: Path, name: str, rows: list[dict[str, object]], **columns: str) -> DataSet:
    (folder / name).write_text("\n".join(map(json.dumps, rows)))
    return DataSet(folder=folder, train=name, test="test.jsonl", **columns)


def test_conversations_come_as_lists_or_as_json_in_a_cell(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"messages": TALK, "text": "is not read"},
        {"messages": json.dumps(TALK)},
        {"messages": [{**TALK[0], "name": "SECRET"}]},
        {"messages": None},
    ]
    examples = load(data_set(tmp_path, "train.jsonl", rows), "train", CHAT)
    assert examples.messages == [TALK, TALK, TALK[:1]]
    assert len(examples) == 3


def test_a_column_of_another_name_is_found(tmp_path: Path) -> None:
    data = data_set(tmp_path, "train.jsonl", [{"talk": TALK}], messages="talk")
    assert load(data, "train", CHAT).messages == [TALK]


@pytest.mark.parametrize(
    "value",
    ["SECRET", "[3]", {"role": "user"}, [{"role": "user"}], [{"role": "user", "content": 3}], 5],
)
def test_what_is_no_conversation_is_counted_and_not_quoted(tmp_path: Path, value: object) -> None:
    data = data_set(tmp_path, "train.jsonl", [{"messages": TALK}, {"messages": value}])
    with pytest.raises(DataRefused) as refused:
        load(data, "train", CHAT)
    assert refused.value.code == "messages_malformed"
    assert refused.value.detail.startswith("1 of 2 examples")


def test_hidden_words_need_texts_only(tmp_path: Path) -> None:
    examples = load(
        data_set(tmp_path, "train.jsonl", [{"text": "a"}, {"text": " "}]), "train", WORDS
    )
    assert (examples.texts, examples.labels, examples.prompts) == (["a"], None, None)


def test_images_are_files_named_in_a_column(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    whole = tmp_path / "elsewhere.png"
    for file in (tmp_path / "pictures" / "1.png", whole):
        file.write_bytes(b"")
    rows: list[dict[str, object]] = [
        {"image": "pictures/1.png", "label": "sea"},
        {"image": str(whole), "label": "sky"},
    ]
    examples = load(data_set(tmp_path, "train.jsonl", rows), "train", IMAGES)
    assert examples.images == [tmp_path / "pictures" / "1.png", whole]
    assert examples.labels == ["sea", "sky"]


def test_images_that_are_not_there_are_counted(tmp_path: Path) -> None:
    data = data_set(tmp_path, "train.jsonl", [{"image": "SECRET.png", "label": "sea"}])
    with pytest.raises(DataRefused) as refused:
        load(data, "train", IMAGES)
    assert refused.value.code == "images_missing"
    assert "SECRET" not in str(refused.value)
