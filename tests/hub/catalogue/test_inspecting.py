"""What may be part of a base model, file by file."""

from __future__ import annotations

import io
import json
from struct import pack

import pytest

from hub.catalogue.bases.inspecting import CONFIG_BYTES, MOST_FILES, check_names, parameters_in
from hub.catalogue.errors import BaseModelRefused
from tests.factories.catalogue import safetensors_bytes

NEEDED = ("config.json", "model.safetensors")


def look(path: str, content: bytes, size_bytes: int | None = None) -> int:
    size = len(content) if size_bytes is None else size_bytes
    return parameters_in(path, size, lambda: io.BytesIO(content))


def header(document: object, data: int = 0) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return pack("<Q", len(text)) + text + bytes(data)


def tensor(**changes: object) -> dict[str, object]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize(
    "path",
    [
        "../config.json",
        "/etc/config.json",
        "a/../config.json",
        "a//config.json",
        ".hidden/config.json",
        "a\\config.json",
        "a\nb.json",
        "ａ.json",
        "a" * 200 + ".json",
        "modeling_x.py",
        "pytorch_model.bin",
        "model.safetensors.py",
        "training_args.bin",
        "scaler.pkl",
        "weights.h5",
        "flax_model.msgpack",
        "model.onnx",
        "tokenizer.json.gz",
        "LICENSE.exe",
    ],
)
def test_a_name_that_could_hold_code_or_lead_elsewhere_is_refused(path):
    with pytest.raises(BaseModelRefused):
        check_names([*NEEDED, path])


def test_more_files_than_any_model_has_are_refused():
    names = [f"{number}.txt" for number in range(MOST_FILES)]
    with pytest.raises(BaseModelRefused, match="allowed"):
        check_names([*NEEDED, *names])


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("config.json", b'{"auto_map": {"AutoModel": "m.M"}}'),
        ("config.json", b'{"text_config": {"deep": [{"auto_map": {}}]}}'),
        ("config.json", b'{"custom_pipelines": {"x": {"impl": "m.P"}}}'),
        ("tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": ["t.T", null]}}'),
        ("preprocessor_config.json", b'{"auto_map": {}}'),
        ("vision/config.json", b'{"auto_map": {}}'),
        ("config.json", rb'{"auto\u005fmap": {"AutoModel": "m.M"}}'),
        ("modules.json", b'[{"type": "sentence_transformers.models.Pooling"}, {"type": "m.M"}]'),
        ("modules.json", b'[{"path": "x"}]'),
        ("modules.json", b'{"type": 3}'),
    ],
)
def test_what_names_code_of_its_own_is_refused(path, content):
    with pytest.raises(BaseModelRefused, match="code of its own"):
        look(path, content)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("config.json", b"[]"),
        ("config.json", b'{"a": 1, "a": 2}'),
        ("config.json", b"{"),
        ("config.json", b"[" * 200_000),
        ("config.json", b'{"a": "' + b"x" * CONFIG_BYTES + b'"}'),
        ("generation_config.json", b" " * (CONFIG_BYTES + 1)),
        ("vocab.json", b"\x80\x04cposix\nsystem\n"),
        ("vocab.json", b"x" * (CONFIG_BYTES + 1)),
        ("vocab.txt", b"PK\x03\x04"),
        ("vocab.txt", b"hello\0world"),
        ("vocab.txt", b"a" * (CONFIG_BYTES + 9) + b"\0"),
        ("spiece.model", b"\x80\x04cposix\nsystem\n"),
        ("spiece.model", b"PK\x03\x04 a torch file"),
        ("spiece.model", b"\x1f\x8b gzip"),
        ("README.md", b"#!/bin/sh"),
        ("LICENSE", b"\x7fELF"),
    ],
)
def test_what_is_not_what_its_name_says_is_refused(path, content):
    with pytest.raises(BaseModelRefused):
        look(path, content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        pack("<Q", 2**64 - 1) + b"{}",
        pack("<Q", 17 << 20) + b"{" + b" " * 64,
        header(b"[]"),
        header(b"{} {}"),
        header(b'{"w": 1, "w": 2}'),
        header(tensor(data_offsets=[0, 2**63]), 8),
        header(tensor(data_offsets=[4, 12]), 12),
        header(tensor(dtype="OBJECT"), 8),
        header(tensor(shape=[2**40, 2**40]), 8),
        header(tensor(shape=[-2]), 8),
        header(tensor(code="x"), 8),
        header({"__metadata__": {"format": "pt\u202e"}, **tensor()}, 8),
        header(tensor(), 9),
        b"\x80\x04cposix\nsystem\n",
        b"PK\x03\x04" * 20,
        b"GGUF" * 20,
    ],
)
def test_weights_whose_header_lies_are_refused(content):
    with pytest.raises(BaseModelRefused, match=r"^model"):
        look("model.safetensors", content)


def test_words_without_an_end_are_not_read():
    with pytest.raises(BaseModelRefused, match="more than any vocabulary"):
        look("vocab.txt", b"", size_bytes=1 << 40)


@pytest.mark.parametrize(
    ("path", "content", "numbers"),
    [
        ("model.safetensors", safetensors_bytes((3, 4)), 12),
        ("tokenizer.json", b'{"model": {"auto": "map"}}', 0),
        ("tokenizer.json", b'{"vocab": "' + b"x" * CONFIG_BYTES + b'"}', 0),
        ("modules.json", b'[{"type": "sentence_transformers.models.Transformer"}]', 0),
        ("vocab.txt", "[PAD]\nnaïve\n".encode(), 0),
        ("LICENSE", "Café".encode("latin-1"), 0),
        ("spiece.model", b"\n\x0e\n\x05<unk>\x15\0\0\0\0", 0),
        ("merges.txt", b"", 0),
    ],
)
def test_weights_and_words_are_taken(path, content, numbers):
    assert look(path, content) == numbers
