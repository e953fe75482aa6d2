from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.datasets import DataSet, found_in, load, register, registered
from agent.errors import AgentFault, DataRefused
from federation.plan import Plan
from tests.agent import tiny

SENTENCES = Plan.model_validate({"task": {"type": "causal_lm"}})


def data_set(folder: Path, name: str = "train.csv", **columns: str) -> DataSet:
    return DataSet(folder=folder, train=name, test="test.csv", **columns)


def test_what_is_registered_is_found_again(tmp_path: Path) -> None:
    file = tmp_path / "data.toml"
    odd = data_set(tmp_path / 'a "quoted" näme\\x', text="utterance")
    register(file, "coast", data_set(tmp_path))
    register(file, "coast", odd)
    register(file, "forest", data_set(tmp_path))
    assert registered(file) == {"coast": odd, "forest": data_set(tmp_path)}


def test_a_malformed_mapping_says_so(tmp_path: Path) -> None:
    file = tmp_path / "data.toml"
    file.write_text("[federations.coast]\nfolder = 3")
    with pytest.raises(AgentFault, match=r"data\.toml is malformed"):
        registered(file)


def test_a_folder_without_train_file_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(AgentFault, match=r"train\.csv"):
        found_in(tmp_path, text="text", label="label", prompt="prompt")


def test_texts_and_labels_come_from_csv(tmp_path: Path) -> None:
    data = found_in(tiny.make_data(tmp_path, rows=6), text="text", label="label", prompt="p")
    examples = load(data, "train", tiny.plan())
    assert len(examples) == 6
    assert examples.labels == [*tiny.LABELS, *tiny.LABELS]
    assert len(load(data, "test", tiny.plan())) == 2


def test_prompts_and_answers_come_from_json_lines(tmp_path: Path) -> None:
    rows = [{"q": "1+1?", "a": "2"}, {"q": None, "a": "hello"}, {"q": "", "a": " "}]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = data_set(tmp_path, "train.jsonl", text="a", prompt="q")
    examples = load(data, "train", SENTENCES)
    assert (examples.texts, examples.prompts) == (["2", "hello"], ["1+1?", ""])


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("train.csv", "text,label\n", "no_data"),
        ("train.csv", "text,label\n  ,sea\n", "no_data"),
        ("train.csv", "other\nSECRET\n", "no_data"),
        ("train.csv", "text,other\nSECRET,x\n", "labels_missing"),
        ("train.csv", "text,label\nwave,SECRET\nsalt,sea\n", "unknown_label"),
        ("train.csv", 'text,label\n"SECRET', "data_unreadable"),
        ("train.jsonl", '{"text": "SECRET"', "data_unreadable"),
        ("train.jsonl", '"SECRET"', "data_unreadable"),
        ("train.txt", "SECRET", "data_unreadable"),
        ("train.parquet", "SECRET", "parquet_unsupported"),
    ],
)
def test_data_that_cannot_be_used_is_refused_without_a_quotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, code: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    (tmp_path / name).write_text(content)
    with pytest.raises(DataRefused) as refusal:
        load(data_set(tmp_path, name), "train", tiny.plan())
    assert refusal.value.code == code
    assert not refusal.value.retry
    assert "SECRET" not in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_unknown_labels_are_counted(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\nwave,river\nsalt,sea\ntide,lake\n")
    with pytest.raises(DataRefused, match="2 of 3 examples"):
        load(data_set(tmp_path), "train", tiny.plan())
