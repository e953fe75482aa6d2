"""Files that try to break the parser of headers; `python -m tests.fuzz.layout --seconds 3600`.

The process allows itself 2 GB of addresses, no matter what a header asks for. Whatever the parser
takes, the library must take too, and see the same.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from federation.layout import Layout, LayoutRefused, header_of, parse_header, read_layout

ADDRESSES = 2 << 30
EXAMPLES = 500  # of one seed

# Headers as large as the parser lets them be, and made to take the most memory.
HOSTILE = {
    "lists": b'{"x":[' + b"[]," * (5 << 20) + b"[]]}",
    "numbers": b'{"x":[' + b"1," * (8 << 20) + b"1]}",
    "texts": b'{"x":[' + b'"",' * (5 << 20) + b'""]}',
    "objects": b'{"x":[' + b"{}," * (5 << 20) + b"{}]}",
    "one name": b'{"' + b"x" * (16_000_000) + b'":{}}',
    "one wide name": b'{"' + b"x" * 16_000_000 + "\U0001f984".encode() + b'":{}}',
    "lists in metadata": b'{"__metadata__":{"x":[' + b"[]," * (5 << 20) + b"[]]}}",
}


def framed(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + data


NAMES = st.text('abAB._/\\\n\x00сé\ud800\u202e{}"', max_size=12) | st.sampled_from(
    ["m.lora_A.weight", "__metadata__", "dtype", "..", ""]
)
NUMBERS = st.sampled_from([-1, 0, 1, 2, 4, 8, 2**31, 2**32, 2**63, 2**64, 10**40]) | st.integers(
    0, 64
)
DTYPES = st.sampled_from(["F32", "F16", "BF16", "F64", "I8", "F4", "f32", "", 4, None, ["F32"]])
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | NUMBERS | NAMES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
TENSORS = st.fixed_dictionaries(
    {
        "dtype": DTYPES,
        "shape": st.lists(NUMBERS, max_size=10) | ANYTHING,
        "data_offsets": st.lists(NUMBERS, max_size=3) | ANYTHING,
    },
    optional={"note": ANYTHING},
)
LAWFUL = st.dictionaries(
    st.text("abc.", min_size=1, max_size=8).filter(lambda name: "" not in name.split(".")),
    st.tuples(
        st.sampled_from(["F32", "F16", "BF16"]), st.lists(st.integers(0, 4), max_size=4).map(tuple)
    ),
    max_size=5,
)


@st.composite
def good_files(draw: st.DrawFn) -> bytes:
    """What a lawful writer writes."""
    tensors = draw(LAWFUL)
    head = header_of(tensors, draw(st.dictionaries(st.text("ab", max_size=3), st.text("cd"))))
    end = max((one["data_offsets"][1] for one in _tensors_of(head)), default=0)
    return head + bytes(end)


def _tensors_of(head: bytes) -> list[dict[str, Any]]:
    document = json.loads(head[8:])
    return [value for name, value in document.items() if name != "__metadata__"]


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    """A good file after a few accidents: bytes changed, cut out, put in, doubled."""
    data = bytearray(draw(good_files()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        to = min(len(data), at + draw(st.integers(0, 16)))
        match draw(st.sampled_from(["change", "cut", "insert", "double"])):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del data[at:to]
            case "insert":
                data[at:at] = draw(st.binary(max_size=8) | st.sampled_from(SPLINTERS))
            case "double":
                data[to:to] = data[at:to]
    return bytes(data)


SPLINTERS = [b"{", b"}", b"[", b"]", b",", b'"', b"\\u0000", b"1e99", b"NaN", b"-", b"0", b"\xff"]


@st.composite
def odd_headers(draw: st.DrawFn) -> bytes:
    """JSON that looks like a header, with whatever may stand in it."""
    document = draw(st.dictionaries(NAMES, TENSORS | ANYTHING, max_size=5) | ANYTHING)
    text = json.dumps(document, ensure_ascii=draw(st.booleans()))
    header = text.encode("utf-8", "surrogatepass") + b" " * draw(st.integers(0, 9))
    length = draw(st.none() | st.sampled_from([0, 1, 2**24, 2**63, 2**64 - 1]))
    return framed(header, bytes(draw(st.integers(0, 64))), length)


FILES = (
    good_files() | mutated_files() | odd_headers() | st.binary(max_size=64).map(lambda b: b"{" + b)
)


def check(data: bytes, path: Path | None = None) -> None:
    """Refused with a code, or lawful: its tensors cover the data, and the library agrees.

    With `path`, read from a file, too, with the same result.
    """
    found = outcome(lambda: parse_header(data, len(data)))
    if path is not None:
        path.write_bytes(data)
        assert outcome(lambda: read_layout(path)) == found
    if isinstance(found, str):
        assert found.islower()
        return
    covers(found, len(data))
    theirs = {name: tuple(one["shape"]) for name, one in safetensors.deserialize(data)}
    assert theirs == {name: one.shape for name, one in found.tensors.items()}


def outcome(read: Callable[[], Layout]) -> Layout | str:
    """The layout, or the code with which it was refused."""
    try:
        return read()
    except LayoutRefused as refused:
        return refused.code


def covers(layout: Layout, size: int) -> None:
    at = 0
    for one in layout.tensors.values():
        assert one.begin == at
        at = one.end
    assert layout.data_start + at == size


def hunt(seconds: float, first: int = 0) -> int:
    """Look for a file that breaks the parser; returns how many seeds were tried.

    Seeds count from `first`, so that what was found is found again.
    """
    until, number = time.monotonic() + seconds, first
    relaxed = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "update"
        while time.monotonic() < until:
            seed(number)(relaxed(given(FILES)(lambda data: check(data, path))))()
            number += 1
    return number - first


def main() -> None:
    """Hunt within the addresses that are allowed; a find is an assertion, or a dead process."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    for header in HOSTILE.values():
        check(framed(header))
    tried = hunt(chosen.seconds, chosen.seed)
    print(f"nothing found: {tried} seeds of {EXAMPLES} files each, from seed {chosen.seed}")


if __name__ == "__main__":
    main()
