"""The layout of a safetensors file, read by a parser of our own before any library sees the file.

A file is eight bytes of little-endian header length, a JSON header that says where each tensor
lies, and the tensors' bytes without gap or overlap. Everything is bounded before it is parsed,
and what a lenient reader would forgive is refused. Nothing here imports torch or numpy.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn, TypeAlias

MAX_HEADER_BYTES = 16 << 20
MAX_TENSORS = 20_000
MAX_RANK = 8
MAX_NAME_CHARS = 256
MAX_METADATA_BYTES = 64 << 10
A_SUFFIX, B_SUFFIX = ".lora_A.weight", ".lora_B.weight"
R_SUFFIX = ".lora_R.weight"  # what lies between a pair of fixed factors: B·R·A
# A second pair of a module, beside the one that is trained.
RESIDUAL_A, RESIDUAL_B = ".residual_A.weight", ".residual_B.weight"
ITEM_BYTES = MappingProxyType({"F32": 4, "F16": 2, "BF16": 2})
# Base models have tables of indices and quantised weights; adapters may not.
BASE_ITEM_BYTES = MappingProxyType(
    {**ITEM_BYTES, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4, "I16": 2}
    | {"I8": 1, "U8": 1, "BOOL": 1}
)

_FACTORS = MappingProxyType({"A": A_SUFFIX, "B": B_SUFFIX, "R": R_SUFFIX})
_LENGTH_BYTES = 8
_HEADER_ALIGNMENT = 8
_FIELDS = frozenset({"dtype", "shape", "data_offsets"})
# Commas a lawful header can hold: a tensor brings its fields, shape, offsets and separator.
_MAX_COMMAS = (MAX_TENSORS + 1) * (MAX_RANK + 4) + MAX_METADATA_BYTES

Shape = tuple[int, ...]
Chosen: TypeAlias = Callable[[str], bool]  # some of the tensors of a file, by their names


class LayoutRefused(ValueError):
    """A file is not the adapter it should be. `code` is stable, `detail` is for people.

    Codes of the format: too_short, format, header_length, header_too_large, header_json,
    duplicate_name, unknown_field, too_many_tensors, name, dtype, shape, offsets, overlap, gap,
    trailing_bytes. Against what was expected: missing_tensor, extra_tensor, dtype_mismatch,
    shape_mismatch, codec_mismatch. Of the values: non_finite, norm_bound.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: its values lie in bytes [begin, end) after the header."""

    name: str
    dtype: str
    shape: Shape
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """All tensors in the order in which they lie in the file, from byte `data_start` on."""

    tensors: Mapping[str, TensorInfo]
    data_start: int
    metadata: Mapping[str, str]


def read_layout(path: Path, items: Mapping[str, int] = ITEM_BYTES) -> Layout:
    """Parse the header of a file; raises LayoutRefused. The values are not read.

    `items` names the dtypes that may be there and how many bytes a value of each has.
    """
    total_size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_LENGTH_BYTES + 1)
        head += file.read(header_end(head, total_size) - len(head))
    return parse_header(head, total_size, items)


def header_end(head: bytes, total_size: int) -> int:
    """How many bytes of the file `parse_header` needs; the first nine tell."""
    if total_size <= _LENGTH_BYTES + 1 or len(head) <= _LENGTH_BYTES:
        raise LayoutRefused("too_short", f"{total_size} bytes hold no header")
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    if length == 0:
        raise LayoutRefused("header_length", "the header is empty")
    if head[_LENGTH_BYTES] != ord("{"):
        raise LayoutRefused("format", "this is not a safetensors file")
    if length > MAX_HEADER_BYTES:
        raise LayoutRefused("header_too_large", f"{length} bytes of header")
    if _LENGTH_BYTES + length > total_size:
        raise LayoutRefused("header_length", f"{length} bytes of header in {total_size} of file")
    return _LENGTH_BYTES + length


def parse_header(head: bytes, total_size: int, items: Mapping[str, int] = ITEM_BYTES) -> Layout:
    """Parse the beginning of a file of `total_size` bytes.

    `head` holds at least the first `header_end(...)` bytes; what follows them is not looked at.
    """
    data_start = header_end(head, total_size)
    if len(head) < data_start:
        raise LayoutRefused("too_short", f"{len(head)} of {data_start} bytes of header")
    document = _json(head[_LENGTH_BYTES:data_start])
    metadata = _metadata(document.pop("__metadata__", {}))
    if len(document) > MAX_TENSORS:
        raise LayoutRefused("too_many_tensors", f"{len(document)} tensors")
    tensors_in_header = (_tensor(name, value, items) for name, value in document.items())
    found = sorted(tensors_in_header, key=lambda t: (t.begin, t.end))
    _check_cover(found, total_size - data_start)
    tensors = {tensor.name: tensor for tensor in found}
    return Layout(MappingProxyType(tensors), data_start, MappingProxyType(metadata))


def header_of(
    tensors: Mapping[str, tuple[str, Shape]],
    metadata: Mapping[str, str],
    items: Mapping[str, int] = ITEM_BYTES,
) -> bytes:
    """The beginning of a file with these tensors, (dtype, shape) by name, in the order given."""
    document: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        end = offset + prod(shape) * items[dtype]
        document[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _json(header: bytes) -> dict[str, object]:
    _check_budget(header)
    if not header.rstrip(b" ").endswith(b"}"):  # writers pad with spaces, and only at the end
        raise LayoutRefused("header_json", "the header does not end with its object")
    try:
        document: dict[str, object] = json.loads(
            header.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except LayoutRefused:
        raise
    except ValueError as error:  # not UTF-8, not JSON, or a number of thousands of digits
        raise LayoutRefused("header_json", "the header is not JSON in UTF-8") from error
    except RecursionError as error:
        raise LayoutRefused("header_json", "the header is nested too deeply") from error
    return document


def _check_budget(header: bytes) -> None:
    """Bound what parsing may allocate: Python's lists and strings are larger than their text."""
    if header.count(b",") > _MAX_COMMAS or header.count(b"[") > 4 * MAX_TENSORS:
        raise LayoutRefused("too_many_tensors", f"a header for more than {MAX_TENSORS} tensors")
    if not header.isascii() and len(header) > MAX_HEADER_BYTES // 4:
        raise LayoutRefused("header_too_large", f"{len(header)} bytes of header beyond ASCII")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise LayoutRefused("duplicate_name", "a name occurs twice in one object")
    return keys


def _no_constant(text: str) -> NoReturn:
    raise LayoutRefused("header_json", f"{text} is not JSON")


def _metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise LayoutRefused("header_json", "__metadata__ is not an object")
    if not all(isinstance(text, str) and (key + text).isprintable() for key, text in value.items()):
        raise LayoutRefused("header_json", "__metadata__ maps text to printable text")
    if sum(len(key) + len(text) for key, text in value.items()) > MAX_METADATA_BYTES:
        raise LayoutRefused("header_too_large", "too much __metadata__")
    return value


def _tensor(name: str, value: object, items: Mapping[str, int]) -> TensorInfo:
    _check_name(name)
    if not isinstance(value, dict):
        raise LayoutRefused("header_json", f"{name}: not an object")
    if unknown := value.keys() - _FIELDS:
        raise LayoutRefused("unknown_field", f"{name}: {len(unknown)} unknown fields")
    dtype = value.get("dtype")
    if not isinstance(dtype, str) or dtype not in items:
        raise LayoutRefused("dtype", f"{name}: known are {', '.join(items)}")
    shape = _shape(name, value.get("shape"))
    begin, end = _offsets(name, value.get("data_offsets"))
    if end - begin != prod(shape) * items[dtype]:
        raise LayoutRefused("shape", f"{name}: {end - begin} bytes for {list(shape)} of {dtype}")
    return TensorInfo(name, dtype, shape, begin, end)


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise LayoutRefused("name", f"a name of {len(name)} characters")
    if not name.isprintable() or " " in name:  # controls, bidi, zero-width, lone surrogates
        raise LayoutRefused("name", "a name with invisible characters")
    if not unicodedata.is_normalized("NFC", name):
        raise LayoutRefused("name", "a name that is not in normal form C")
    if "" in name.split(".") or "/" in name or "\\" in name:
        raise LayoutRefused("name", "a name that reads like a path")


def _shape(name: str, value: object) -> Shape:
    """No dimension may be empty: an adapter has no use for it, and overflow hides behind it."""
    if not isinstance(value, list) or len(value) > MAX_RANK:
        raise LayoutRefused("shape", f"{name}: a shape is a list of at most {MAX_RANK} numbers")
    if not all(type(size) is int and size > 0 for size in value):
        raise LayoutRefused("shape", f"{name}: dimensions are whole numbers from 1")
    return tuple(value)


def _offsets(name: str, value: object) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != len(("begin", "end")):
        raise LayoutRefused("offsets", f"{name}: two offsets are needed")
    if not all(type(offset) is int for offset in value):
        raise LayoutRefused("offsets", f"{name}: offsets are whole numbers")
    begin, end = value
    if not 0 <= begin <= end < 1 << 63:
        raise LayoutRefused("offsets", f"{name}: [{begin}, {end}] is no range of bytes")
    return begin, end


def _check_cover(tensors: list[TensorInfo], data_bytes: int) -> None:
    """The tensors, sorted by offset, fill the data from its first byte to its last."""
    if tensors and tensors[0].begin > 0:
        raise LayoutRefused("gap", "the first tensor does not begin at 0")
    for before, after in pairwise(tensors):
        if after.begin < before.end:
            raise LayoutRefused("overlap", f"{after.name} lies over {before.name}")
        if after.begin > before.end:
            raise LayoutRefused("gap", f"unused bytes before {after.name}")
    end = tensors[-1].end if tensors else 0
    if end > data_bytes:
        raise LayoutRefused("offsets", f"{end} bytes announced, {data_bytes} there")
    if end < data_bytes:
        raise LayoutRefused("trailing_bytes", f"{data_bytes - end} bytes after the last tensor")


def lora_factor(name: str) -> str | None:
    """Which factor a tensor is: "A" (rank, in), "B" (out, rank), "R" (rank, rank), or none."""
    return next((factor for factor, end in _FACTORS.items() if name.endswith(end)), None)


def is_residual(name: str) -> bool:
    """Whether a tensor belongs to a pair that is added to the model and never trained."""
    return name.endswith((RESIDUAL_A, RESIDUAL_B))


def residual_rank(layout: Layout) -> int:
    """How many components the residuals of all modules have; 0 where there are none."""
    tensors = layout.tensors.items()
    return max((info.shape[0] for name, info in tensors if name.endswith(RESIDUAL_A)), default=0)


def modules_of(layout: Layout) -> set[str]:
    """The names of the modules that have a LoRA factor."""
    return {
        name.removesuffix(end)
        for name in layout.tensors
        for end in _FACTORS.values()
        if name.endswith(end)
    }


def ranks_of(layout: Layout) -> set[int]:
    """All ranks among the LoRA factors; one for a plain adapter."""
    tensors = layout.tensors.values()
    a = {tensor.shape[0] for tensor in tensors if lora_factor(tensor.name) == "A"}
    return a | {tensor.shape[1] for tensor in tensors if lora_factor(tensor.name) == "B"}


def everything(_: str) -> bool:
    """Choose every tensor, whatever its name."""
    return True


def expected_shapes(
    start: Layout, rank: int, travels: Chosen = everything
) -> dict[str, tuple[str, Shape]]:
    """What an update trained from `start` at `rank` must hold: dtype and shape by name."""
    chosen = (tensor for tensor in start.tensors.values() if travels(tensor.name))
    return {tensor.name: (tensor.dtype, at_rank(tensor, rank)) for tensor in chosen}


def at_rank(tensor: TensorInfo, rank: int) -> Shape:
    """The shape of a tensor, at another rank where it is a factor."""
    match lora_factor(tensor.name):
        case "A":
            return (rank, *tensor.shape[1:])
        case "B":
            return (tensor.shape[0], rank, *tensor.shape[2:])
        case "R":
            return (rank, rank)
        case _:
            return tensor.shape


def check_layout(layout: Layout, expected: Mapping[str, tuple[str, Shape]]) -> None:
    """Refuse any difference from what `expected_shapes` lists; raises LayoutRefused."""
    if missing := expected.keys() - layout.tensors.keys():
        raise LayoutRefused("missing_tensor", _some(missing))
    if extra := layout.tensors.keys() - expected.keys():
        raise LayoutRefused("extra_tensor", _some(extra))
    for name, (dtype, shape) in expected.items():
        found = layout.tensors[name]
        if found.dtype != dtype:
            raise LayoutRefused("dtype_mismatch", f"{name}: {found.dtype} for {dtype}")
        if found.shape != shape:
            raise LayoutRefused("shape_mismatch", f"{name}: {list(found.shape)} for {list(shape)}")


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if ordered[3:] else "")
