from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from agent.datasets import DataSet, found_in, load, read_rows, register, registered, unregister
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
        ("train.txt", "SECRET", "labels_missing"),
        ("train.xml", "SECRET", "data_unreadable"),
        ("train.parquet", "SECRET", "parquet_unsupported"),
    ],
)
def test_data_that_cannot_be_used_is_refused_without_a_quotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, code: str
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
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


def test_a_federation_is_taken_out_of_the_mapping(tmp_path: Path) -> None:
    file = tmp_path / "data.toml"
    register(file, "coast", data_set(tmp_path))
    register(file, "forest", data_set(tmp_path))
    unregister(file, "coast")
    assert list(registered(file)) == ["forest"]
    with pytest.raises(AgentFault, match="data list"):
        unregister(file, "coast")


def found(path: Path, **how: object) -> DataSet:
    return found_in(path, text="text", label="label", prompt="prompt", **how)  # type: ignore[arg-type]


def test_a_file_of_any_name_is_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "tickets.jsonl").write_text(json.dumps({"text": "wave", "label": "sea"}))
    (tmp_path / "held.csv").write_text("text,label\nsalt,sea\n")
    alone = found(tmp_path / "tickets.jsonl")
    assert not alone.file("test").exists()  # never the data it was trained on
    both = found(tmp_path / "tickets.jsonl", test=tmp_path / "held.csv")
    assert load(both, "train", tiny.plan()).texts == ["wave"]
    assert load(both, "test", tiny.plan()).texts == ["salt"]
    with pytest.raises(AgentFault, match="does not exist"):
        found(tmp_path / "tickets.jsonl", test=tmp_path / "lost.csv")


def test_of_plain_text_each_line_is_an_example(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\ufeffthe wave\n\n  \nthe tide \r\n")
    assert load(found(tmp_path), "train", SENTENCES).texts == ["the wave", "the tide "]


class Batch:
    def __init__(self, rows: list[dict[str, object]]) -> None:
        self.to_pylist = lambda: rows


class Arrow:
    """Stands for pyarrow, which sites install only if their data need it."""

    batches = (Batch([{"text": "wave", "label": "sea"}]), Batch([{"text": "wing", "label": "sky"}]))

    class ParquetFile:
        def __init__(self, _file: Path) -> None:
            self.iter_batches = lambda: Arrow.batches

    class ipc:  # noqa: N801
        open_stream = staticmethod(lambda _source: Arrow.batches)

    memory_map = staticmethod(lambda name: nullcontext(Path(name)))


def test_parquet_is_read_batch_by_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", Arrow)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", Arrow)
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    assert load(found(tmp_path), "train", tiny.plan()).labels == ["sea", "sky"]


def saved(folder: Path, **state: object) -> None:
    folder.mkdir()
    (folder / "data-00000-of-00001.arrow").write_bytes(b"")
    files = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    (folder / "state.json").write_text(json.dumps({**files, **state}))


def test_a_folder_saved_by_datasets_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "train")
    saved(tmp_path / "test", _indices_data_files=[{"filename": "indices.arrow"}])
    monkeypatch.setitem(sys.modules, "pyarrow", Arrow)
    assert load(found(tmp_path), "train", tiny.plan()).texts == ["wave", "wing"]
    with pytest.raises(DataRefused, match="flatten_indices"):
        read_rows(found(tmp_path).file("test"))


@pytest.mark.parametrize("name", ["train.parquet", "train"])
def test_what_needs_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    saved(tmp_path / "train")
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataRefused, match="pip install pyarrow"):
        read_rows(tmp_path / name)
