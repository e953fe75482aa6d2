"""The corpus of bad update files, RELIABILITY 5.1: each case by its number, with its code."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from federation.layout import (
    MAX_HEADER_BYTES,
    Layout,
    LayoutRefused,
    check_layout,
    expected_shapes,
    header_end,
    parse_header,
    read_layout,
)
from tests.fuzz.layout import HOSTILE, framed

GOOD = save({"a": torch.zeros(2, 3), "b": torch.zeros(4)}, metadata={"format": "pt"})


def tensor(begin: int = 0, **changed: Any) -> dict[str, Any]:
    """A tensor of two fp32 numbers."""
    return {"dtype": "F32", "shape": [2], "data_offsets": [begin, begin + 8]} | changed


def file_of(document: object, data: bytes = bytes(8)) -> bytes:
    return framed(json.dumps(document).encode(), data)


def one(data: bytes = bytes(8), name: str = "x", **changed: Any) -> bytes:
    return file_of({name: tensor(**changed)}, data)


def text(header: str, data: bytes = bytes(8)) -> bytes:
    return framed(header.encode(), data)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1, 2, 3]))
    return buffer.getvalue()


def empty_tensors(count: int) -> bytes:
    return file_of({str(i): tensor(shape=[0], data_offsets=[0, 0]) for i in range(count)}, b"")


FIELDS = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'
HEADER = GOOD[8 : header_end(GOOD, len(GOOD))]

CASES: dict[str, tuple[bytes, str]] = {
    "1 empty file": (b"", "too_short"),
    "2 five bytes": (b"\x05\0\0\0\0", "too_short"),
    "2 eight bytes": (bytes(8), "too_short"),
    "3 header length 0": (bytes(8) + GOOD[8:], "header_length"),
    "4 length 2**64-1": (b"\xff" * 8 + GOOD[8:], "header_too_large"),
    "5 length 2**63": ((1 << 63).to_bytes(8, "little") + GOOD[8:], "header_too_large"),
    "6 length one past the end": (framed(GOOD[8:], length=len(GOOD) - 7), "header_length"),
    "7 length in big-endian": (len(HEADER).to_bytes(8, "big") + GOOD[8:], "header_too_large"),
    "8 header over the cap": (
        framed(b'{"x":' + b" " * MAX_HEADER_BYTES + b"{}}"),
        "header_too_large",
    ),
    "9 header cut by the end of the file": (GOOD[:40], "header_length"),
    "9 header cut in the middle": (framed(HEADER[:40], GOOD[48:]), "header_json"),
    "10 invalid UTF-8": (framed(b'{"\xff":{' + FIELDS.encode() + b"}}", bytes(8)), "header_json"),
    "11 byte-order mark": (framed(b"\xef\xbb\xbf" + HEADER), "format"),
    "12 leading space": (framed(b" " + HEADER), "format"),
    "13 NUL padding after": (framed(HEADER + b"\0\0", GOOD[8 + len(HEADER) :]), "header_json"),
    "13 NUL padding before": (framed(b"\0" + HEADER), "format"),
    "14 top-level list": (text("[]"), "format"),
    "15 trailing comma": (text("{" + f'"x":{{{FIELDS}}},' + "}"), "header_json"),
    "16 two documents": (text(f'{{"x":{{{FIELDS}}}}}{{}}'), "header_json"),
    "17 comment": (text(f'{{/* c */"x":{{{FIELDS}}}}}'), "header_json"),
    "18 NaN literal": (
        text('{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'),
        "header_json",
    ),
    "18 Infinity literal": (text('{"x":-Infinity}'), "header_json"),
    "19 nested lists": (text('{"x":' + "[" * 100_000 + "]" * 100_000 + "}"), "too_many_tensors"),
    "19 fewer nested lists": (text('{"x":' + "[" * 60_000 + "]" * 60_000 + "}"), "header_json"),
    "19 nested objects": (text('{"x":' * 100_000 + "0" + "}" * 100_000), "header_json"),
    "20 duplicate tensor": (text(f'{{"x":{{{FIELDS}}},"x":{{{FIELDS}}}}}'), "duplicate_name"),
    "21 duplicate by escape": (
        text(f'{{"x":{{{FIELDS}}},"\\u0078":{{{FIELDS}}}}}'),
        "duplicate_name",
    ),
    "22 duplicate field": (text(f'{{"x":{{{FIELDS},"dtype":"F32"}}}}'), "duplicate_name"),
    "23 two metadata": (
        text('{"__metadata__":{},"__metadata__":{},' + f'"x":{{{FIELDS}}}}}'),
        "duplicate_name",
    ),
    "24 metadata value a number": (
        file_of({"__metadata__": {"a": 1}, "x": tensor()}),
        "header_json",
    ),
    "24 metadata a list": (file_of({"__metadata__": ["a"], "x": tensor()}), "header_json"),
    "24 metadata with a lone surrogate": (
        file_of({"__metadata__": {"a": "\ud800"}, "x": tensor()}),
        "header_json",
    ),
    "25 metadata of 10 MB": (
        file_of({"__metadata__": {"a": "b" * 10_000_000}, "x": tensor()}),
        "header_too_large",
    ),
    "26 unknown tensor field": (one(note="hello"), "unknown_field"),
    "27 missing dtype": (text('{"x":{"shape":[2],"data_offsets":[0,8]}}'), "dtype"),
    "27 missing shape": (text('{"x":{"dtype":"F32","data_offsets":[0,8]}}'), "shape"),
    "27 missing offsets": (text('{"x":{"dtype":"F32","shape":[2]}}'), "offsets"),
    "27 a tensor that is a list": (file_of({"x": [1]}), "header_json"),
    "28 unknown dtype": (one(dtype="F31"), "dtype"),
    "28 a dtype that we do not take": (one(dtype="I32"), "dtype"),
    "28 a dtype that is no text": (one(dtype=["F32"]), "dtype"),
    "29 lower-case dtype": (one(dtype="f32"), "dtype"),
    "30 4-bit dtype": (one(dtype="F4"), "dtype"),
    "31 negative dimension": (one(shape=[-2]), "shape"),
    "32 fractional dimension": (one(shape=[2.0]), "shape"),
    "32 exponent": (text('{"x":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}'), "shape"),
    "33 dimension as text": (one(shape=["2"]), "shape"),
    "33 dimension as truth": (one(shape=[2, True]), "shape"),
    "33 shape as text": (one(shape="2"), "shape"),
    "34 rank 500": (one(shape=[1] * 499 + [2]), "shape"),
    "34 rank 9": (one(shape=[1] * 8 + [2]), "shape"),
    "35 product 0 modulo 2**64": (one(b"", shape=[1 << 32, 1 << 32], data_offsets=[0, 0]), "shape"),
    "36 product 2 modulo 2**64": (one(shape=[2, (1 << 63) + 1]), "shape"),
    "37 zero times huge": (one(b"", shape=[0, 1 << 62], data_offsets=[0, 0]), "shape"),
    "38 offsets reversed": (one(data_offsets=[8, 0]), "offsets"),
    "39 negative offset": (one(data_offsets=[-8, 0]), "offsets"),
    "40 offset past the end": (one(shape=[4], data_offsets=[0, 16]), "offsets"),
    "41 offset over 2**64": (one(data_offsets=[1 << 64, (1 << 64) + 8]), "offsets"),
    "41 offset of 5,000 digits": (
        text(f'{{"x":{{"dtype":"F32","shape":[2],"data_offsets":[0,{"9" * 5000}]}}}}'),
        "header_json",
    ),
    "42 three offsets": (one(data_offsets=[0, 8, 8]), "offsets"),
    "42 an offset that is a fraction": (one(data_offsets=[0, 8.0]), "offsets"),
    "42 an offset that is a truth": (one(data_offsets=[False, 8]), "offsets"),
    "43 bytes are not shape times dtype": (one(shape=[3]), "shape"),
    "44 aliasing tensors": (file_of({"x": tensor(), "y": tensor()}), "overlap"),
    "45 partial overlap": (file_of({"x": tensor(), "y": tensor(4)}, bytes(12)), "overlap"),
    "46 gap": (file_of({"x": tensor(), "y": tensor(12)}, bytes(20)), "gap"),
    "47 hole at the start": (one(bytes(12), data_offsets=[4, 12]), "gap"),
    "48 one trailing byte": (GOOD + b"\0", "trailing_bytes"),
    "48 data without tensors": (file_of({}), "trailing_bytes"),
    "49 zip appended": (GOOD + zipped(), "trailing_bytes"),
    "50 last byte missing": (GOOD[:-1], "offsets"),
    "51 100,000 empty tensors": (empty_tensors(100_000), "too_many_tensors"),
    "51 30,000 empty tensors": (empty_tensors(30_000), "too_many_tensors"),
    "52 empty name": (one(name=""), "name"),
    "53 ../ in a name": (one(name="../../etc/passwd"), "name"),
    "53 backslash in a name": (one(name="..\\x"), "name"),
    "53 dots alone": (one(name="a..b"), "name"),
    "54 newline in a name": (one(name="a\nb"), "name"),
    "54 terminal escape in a name": (one(name="a\x1b[31m"), "name"),
    "54 right-to-left override": (one(name="a\u202eb"), "name"),
    "54 zero-width joiner": (one(name="a\u200db"), "name"),
    "54 not in normal form": (one(name="cafe\u0301"), "name"),
    "55 name of 1 MB": (one(name="x" * 1_000_000), "name"),
    "55 name of 257 characters": (one(name="x" * 257), "name"),
    "56 lone surrogate": (one(name="a\ud800"), "name"),
    "72 pickle renamed": (pickle.dumps({"weights": [0.0] * 100}), "format"),
    "73 torch zip renamed": (zipped(), "format"),
    "74 gzip of a good file": (gzip.compress(GOOD), "format"),
    "75 npy of objects": (
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False}",
        "format",
    ),
    "76 GGUF": (b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0" + bytes(32), "format"),
    "77 HTML": (b"<!DOCTYPE html><html><body>502</body></html>", "format"),
}


@pytest.fixture
def written(tmp_path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        (tmp_path / "update").write_bytes(data)
        return tmp_path / "update"

    return write


@pytest.mark.parametrize(("data", "code"), CASES.values(), ids=CASES)
def test_a_bad_file_is_refused_with_its_code(written, data, code):
    with pytest.raises(LayoutRefused) as refused:
        read_layout(written(data))
    assert refused.value.code == code
    assert len(refused.value.detail) < 600


def test_every_case_of_the_format_is_there():
    numbers = {int(name.split()[0]) for name in CASES}
    assert numbers == {*range(1, 57), *range(72, 78)}


def test_a_good_file_is_read(written):
    layout = read_layout(written(GOOD))
    assert list(layout.tensors) == ["a", "b"]
    assert layout.tensors["a"].shape == (2, 3)
    assert (layout.tensors["b"].begin, layout.tensors["b"].end) == (24, 40)
    assert layout.metadata == {"format": "pt"}
    assert layout.data_start + 40 == len(GOOD)


@given(
    shapes=st.dictionaries(
        st.text("abcß漢.", min_size=1, max_size=9).filter(lambda n: "" not in n.split(".")),
        st.lists(st.integers(1, 4), max_size=8),
        min_size=1,
    ),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_whatever_the_library_writes_within_our_bounds_is_read(shapes, dtype):
    data = save({name: torch.zeros(shape, dtype=dtype) for name, shape in shapes.items()})
    layout = parse_header(data, len(data))
    assert {name: list(info.shape) for name, info in layout.tensors.items()} == shapes


@given(data=st.binary(max_size=200) | st.binary(max_size=120).map(lambda b: framed(b"{" + b)))
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(data):
    assert_refused_or_lawful(data)


@given(at=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_a_lawful_layout(at, byte):
    assert_refused_or_lawful(GOOD[:at] + bytes([byte]) + GOOD[at + 1 :])


def assert_refused_or_lawful(data: bytes) -> None:
    try:
        layout = parse_header(data, len(data))
    except LayoutRefused:
        return
    sizes = [info.end - info.begin for info in layout.tensors.values()]
    assert layout.data_start + sum(sizes) == len(data)


def test_the_beginning_of_a_file_is_enough():
    end = header_end(GOOD[:9], len(GOOD))
    assert parse_header(GOOD[:end], len(GOOD)) == parse_header(GOOD, len(GOOD))
    with pytest.raises(LayoutRefused, match="too_short"):
        parse_header(GOOD[: end - 1], len(GOOD))


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_header_takes_little_memory(written, header):
    path = written(framed(header))
    tracemalloc.start()
    with pytest.raises(LayoutRefused):
        read_layout(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


START = {
    "m.lora_A.weight": torch.zeros(8, 6),
    "m.lora_B.weight": torch.zeros(4, 8),
    "classifier.weight": torch.zeros(3, 4),
}


def layout_of(tensors: dict[str, torch.Tensor]) -> Layout:
    data = save(tensors)
    return parse_header(data, len(data))


def trained(**changed: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """A lawful update at rank 4, changed; None takes a tensor away."""
    tensors = {
        "m.lora_A.weight": torch.zeros(4, 6),
        "m.lora_B.weight": torch.zeros(4, 4),
        "classifier.weight": torch.zeros(3, 4),
    } | changed
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def test_a_lawful_update_passes():
    check_layout(layout_of(trained()), expected_shapes(layout_of(START), 4))


def test_expected_shapes_follow_the_rank():
    assert expected_shapes(layout_of(START), 2) == {
        "m.lora_A.weight": ("F32", (2, 6)),
        "m.lora_B.weight": ("F32", (4, 2)),
        "classifier.weight": ("F32", (3, 4)),
    }


MISFITS = {
    "57 missing tensor": (trained(**{"classifier.weight": None}), "missing_tensor"),
    "58 extra tensor": (trained(extra=torch.zeros(1)), "extra_tensor"),
    "59 Cyrillic look-alike": (
        trained(**{"classifier.weight": None, "сlassifier.weight": torch.zeros(3, 4)}),
        "missing_tensor",
    ),
    "60 transposed": (trained(**{"classifier.weight": torch.zeros(4, 3)}), "shape_mismatch"),
    "61 flattened": (trained(**{"classifier.weight": torch.zeros(12)}), "shape_mismatch"),
    "62 extra axis of 1": (
        trained(**{"classifier.weight": torch.zeros(1, 3, 4)}),
        "shape_mismatch",
    ),
    "63 other dtype, same bytes": (
        trained(**{"classifier.weight": torch.zeros(3, 8, dtype=torch.bfloat16)}),
        "dtype_mismatch",
    ),
    "64 LoRA rank changed": (
        trained(**{"m.lora_A.weight": torch.zeros(2, 6), "m.lora_B.weight": torch.zeros(4, 2)}),
        "shape_mismatch",
    ),
}


@pytest.mark.parametrize(("tensors", "code"), MISFITS.values(), ids=MISFITS)
def test_an_update_of_another_adapter_is_refused(tensors, code):
    with pytest.raises(LayoutRefused) as refused:
        check_layout(layout_of(tensors), expected_shapes(layout_of(START), 4))
    assert refused.value.code == code
