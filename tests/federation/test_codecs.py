"""Coded updates: what they lose, how long they are, and that nothing else passes for one."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from math import ceil, prod
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from federation.coded import (
    CODED_ITEM_BYTES,
    FORMS,
    PLAIN,
    bits_per_value,
    check_update,
    coded_bytes,
)
from federation.codings import Feedback, codecs, encode_update
from federation.engine import AggregationRefused, change_norm
from federation.layout import LayoutRefused, expected_shapes, read_layout
from federation.plan import Plan, Transfer
from federation.strategies import keeps_basis, strategies
from federation.tensors import BLOCK_VALUES, sha256_of, write_adapter
from tests.federation.adapters import HEAD, MODULE, Workshop, adapter
from tests.federation.decoding import decode_update
from tests.strategies import moved, random_pair, seeded

NAMES = sorted(codecs)
LOST = {"bf16": 0.0017, "int8": 0.0076, "nf4": 0.10}  # METHODS: relative error of one update
RATIOS = {"bf16": 2.0, "int8": 3.76, "nf4": 7.11}
A, B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"


def payload(codec: str, count: int) -> int:
    """The published formula, written out."""
    scales = 4 * ceil(count / 64)
    return {"bf16": 2 * count, "int8": count + scales, "nf4": ceil(count / 2) + scales}[codec]


class Wire:
    """A start, an update, and the files between them."""

    def __init__(self, folder: Path, start: dict[str, Tensor], update: dict[str, Tensor]) -> None:
        self.start, self.update = folder / "start", folder / "update"
        self.coded, self.decoded = folder / "coded", folder / "decoded"
        write_adapter(self.start, start.items())
        write_adapter(self.update, update.items())

    def encode(self, codec: str, feedback: Feedback | None = None) -> Path:
        encode_update(
            start=self.start, update=self.update, codec=codec, target=self.coded, feedback=feedback
        )
        return self.coded

    def decode(self, codec: str, rank: int = 3) -> dict[str, Tensor]:
        decode_update(
            start=self.start, update=self.coded, rank=rank, codec=codec, target=self.decoded
        )
        return load_file(self.decoded)


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    """An adapter of one LoRA pair and a head, and the same one after some training."""
    generator = seeded(1)
    pair, head = random_pair(generator, 40, 56, 3), torch.randn(5, 40, generator=generator)
    later = head + 0.01 * torch.randn(5, 40, generator=generator)
    return Wire(tmp_path, adapter(pair, head=head), adapter(moved(generator, pair), head=later))


def in_memory(path: Path) -> dict[str, Tensor]:
    """The library maps files, and this one is going to be written anew."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def norm_of(tensors: dict[str, Tensor]) -> float:
    return float(sum(t.double().square().sum() for t in tensors.values())) ** 0.5


def minus(left: dict[str, Tensor], right: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: left[name].double() - right[name].double() for name in left}


def test_every_codec_is_described_and_can_be_planned():
    assert (
        {PLAIN, *codecs}
        == {PLAIN, *FORMS}
        == set(get_args(Transfer.model_fields["codec"].annotation))
    )


@pytest.mark.parametrize("codec", NAMES)
@given(seed=st.integers(0, 99), scale=st.sampled_from([1e-8, 1e-3, 1.0, 1e6]))
def test_one_update_loses_less_than_the_table_says(codec, seed, scale):
    coder = codecs[codec]()
    values = scale * torch.randn(64 * 1024, generator=seeded(seed))
    lost = coder.decode(coder.encode(values), len(values)) - values
    assert lost.norm() < LOST[codec] * values.norm()


@pytest.mark.parametrize("codec", NAMES)
@given(shapes=st.lists(st.lists(st.integers(1, 40), max_size=3).map(tuple), min_size=1, max_size=4))
def test_a_file_is_as_long_as_the_formula_says(tmp_path_factory, codec, shapes):
    start = {f"t{i}": torch.zeros(shape) for i, shape in enumerate(shapes)}
    wire = Wire(tmp_path_factory.mktemp("wire"), start, start)
    content = wire.encode(codec).read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    assert len(content) - header == sum(payload(codec, prod(shape)) for shape in shapes)
    assert len(content) == coded_bytes({n: ("F32", t.shape) for n, t in start.items()}, codec)


@pytest.mark.parametrize("codec", NAMES)
def test_the_ratio_is_the_tables(codec):
    assert bits_per_value(PLAIN) / bits_per_value(codec) == pytest.approx(RATIOS[codec], abs=0.005)
    assert 8 * payload(codec, 64_000) == 64_000 * bits_per_value(codec)


@pytest.mark.parametrize("codec", NAMES)
def test_the_hub_gets_back_the_update_but_for_what_the_codec_loses(wire, codec):
    wire.encode(codec)
    start, update, decoded = load_file(wire.start), load_file(wire.update), wire.decode(codec)
    lost, few = norm_of(minus(decoded, update)), 1.1  # few values are further from the average
    assert lost < few * LOST[codec] * norm_of(minus(update, start))
    expected = expected_shapes(read_layout(wire.start), 3)
    assert {n: (t.dtype, t.shape) for n, t in read_layout(wire.decoded).tensors.items()} == expected


@pytest.mark.parametrize("codec", NAMES)
def test_an_update_that_did_not_move_comes_back_as_the_start(wire, codec):
    wire.update.write_bytes(wire.start.read_bytes())
    wire.encode(codec)
    wire.decode(codec)
    assert wire.decoded.read_bytes() == wire.start.read_bytes()


@pytest.mark.parametrize("codec", NAMES)
def test_equal_updates_have_equal_bytes(wire, codec):
    first, threads = sha256_of(wire.encode(codec)), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert sha256_of(wire.encode(codec)) == first
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("codec", NAMES)
def test_a_large_tensor_is_coded_in_pieces_as_if_it_were_whole(tmp_path, codec):
    values = torch.randn(2 * BLOCK_VALUES + 77, generator=seeded(4))
    wire = Wire(tmp_path, {"x": torch.zeros(len(values))}, {"x": values})
    wire.encode(codec)
    coder = codecs[codec]()
    assert torch.equal(wire.decode(codec)["x"], coder.decode(coder.encode(values), len(values)))


@pytest.mark.parametrize("codec", NAMES)
def test_the_library_reads_what_is_sent(wire, codec):
    found = load_file(wire.encode(codec))
    assert found[HEAD].numel() == (100 if codec == "nf4" else 200)
    save_file(found, wire.decoded, metadata={"codec": codec, "holds": "change"})
    theirs, ours = (
        read_layout(wire.decoded, CODED_ITEM_BYTES),
        read_layout(wire.coded, CODED_ITEM_BYTES),
    )
    assert theirs.tensors == ours.tensors


def test_a_participation_of_a_smaller_rank_changes_the_leading_components(tmp_path):
    generator = seeded(7)
    pair = random_pair(generator, 20, 24, 4)
    wire = Wire(tmp_path, adapter(pair.leading(2)), adapter(moved(generator, pair.leading(2))))
    wire.encode("int8")
    write_adapter(wire.start, adapter(pair).items())
    decoded = wire.decode("int8", rank=2)
    torch.testing.assert_close(decoded[A], load_file(wire.update)[A], atol=0.02, rtol=0)


# What is carried over.


def trained(wire: Wire, seed: int) -> dict[str, Tensor]:
    """One round's true change."""
    generator = seeded(seed)
    tensors = load_file(wire.start)
    return {n: 0.01 * torch.randn(t.shape, generator=generator) for n, t in tensors.items()}


def test_with_feedback_the_sum_of_what_arrived_follows_the_sum_of_what_was_sent(wire, tmp_path):
    """What is missing is always the last residual: it does not grow with the rounds."""
    start, carried, gaps = load_file(wire.start), None, []
    total = {name: torch.zeros_like(t, dtype=torch.float64) for name, t in start.items()}
    arrived = dict(total)
    for number in range(40):
        change = trained(wire, number)
        write_adapter(wire.update, [(n, start[n] + change[n]) for n in start])
        left = tmp_path / f"left{number}"
        wire.encode("nf4", Feedback(carried, left, keeps_basis=True))
        decoded = minus(wire.decode("nf4"), start)
        total = {n: total[n] + change[n].double() for n in start}
        arrived = {n: arrived[n] + decoded[n] for n in start}
        gaps.append(norm_of(minus(total, arrived)))
        assert gaps[-1] == pytest.approx(norm_of(load_file(left)), rel=1e-3)
        carried = left
    assert max(gaps[20:]) < 1.2 * max(gaps[:20]) < 0.2 * norm_of(change)
    assert gaps[-1] < 0.02 * norm_of(total)


def test_without_feedback_what_is_missing_grows(wire):
    start, gap = load_file(wire.start), None
    for number in range(40):
        change = trained(wire, number)
        write_adapter(wire.update, [(n, start[n] + change[n]) for n in start])
        wire.encode("nf4")
        lost = minus(minus(wire.decode("nf4"), start), change)
        gap = lost if gap is None else {n: gap[n] + lost[n] for n in gap}
    assert norm_of(gap) > 3 * norm_of(lost)


@pytest.mark.parametrize("strategy", sorted(strategies))
def test_factors_are_carried_over_only_where_their_basis_lasts(wire, tmp_path, strategy):
    feedback = Feedback(None, tmp_path / "left", keeps_basis=keeps_basis(strategy))
    wire.encode("nf4", feedback)
    assert set(load_file(feedback.left)) == ({HEAD} if strategy == "stack_svd" else {A, B, HEAD})


def test_what_no_longer_fits_is_not_carried_over(wire, tmp_path):
    wire.encode("nf4")
    alone = wire.coded.read_bytes()
    carried = tmp_path / "carried"
    write_adapter(carried, adapter(random_pair(seeded(3), 40, 56, 2)).items())
    wire.encode("nf4", Feedback(carried, tmp_path / "left", keeps_basis=True))
    assert wire.coded.read_bytes() == alone


# What the hub does with it, and what it refuses.


@pytest.mark.parametrize("strategy", sorted(strategies))
@pytest.mark.parametrize(("codec", "tolerance"), [("bf16", 0.002), ("int8", 0.008)])
def test_a_round_gives_the_same_result_but_for_what_the_codec_loses(
    tmp_path, strategy, codec, tolerance
):
    plain, coded = (made(tmp_path / name) for name in ("plain", "coded"))
    generator = seeded(11)
    start = random_pair(generator, 48, 40, 4)
    for workshop in (plain, coded):
        workshop.begin(adapter(start))
    for number in range(3):
        update = adapter(moved(generator, start))
        plain.add(update, weight=1.0 + number, rank=4)
        wire = Wire(made(tmp_path / f"wire{number}").folder, adapter(start), update)
        wire.encode(codec)
        coded.add(wire.decode(codec, rank=4), weight=1.0 + number, rank=4)
    for workshop in (plain, coded):
        workshop.aggregate(strategy, rank=4)
    exact, found = plain.result_pair().dense(), coded.result_pair().dense()
    assert (found - exact).norm() < tolerance * (exact - start.dense()).norm()


def made(folder: Path) -> Workshop:
    folder.mkdir()
    return Workshop(folder)


@pytest.mark.parametrize("codec", NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_coded(wire, codec, value):
    tensors = in_memory(wire.update)
    tensors[HEAD][2, 3] = value
    write_adapter(wire.update, tensors.items())
    with pytest.raises(LayoutRefused, match="non_finite"):
        wire.encode(codec)


@pytest.mark.parametrize("codec", NAMES)
def test_what_is_not_finite_is_seen_when_it_is_measured(wire, codec):
    tensors = in_memory(wire.encode(codec))
    name = HEAD if codec == "bf16" else f"{HEAD}.scales"
    tensors[name].view(-1)[0] = float("inf")
    save_file(tensors, wire.coded, metadata={"codec": codec, "holds": "change"})
    with pytest.raises(AggregationRefused, match="non_finite"):
        change_norm(start=wire.start, update=wire.coded, rank=3, scale=1.0, codec=codec)


def spoilt(wire: Wire, how: str) -> None:
    tensors, about = in_memory(wire.coded), {"codec": "int8", "holds": "change"}
    scales = f"{HEAD}.scales"
    match how:
        case "codec_mismatch":
            about["codec"] = "nf4"
        case "missing_tensor":
            del tensors[scales]
        case "extra_tensor":
            tensors["more"] = torch.zeros(1)
        case "dtype_mismatch":
            tensors[HEAD] = tensors[HEAD].view(torch.uint8)
        case "shape_mismatch":
            tensors[scales] = tensors[scales][:-1].clone()
        case "dtype":
            tensors[scales] = tensors[scales].double()
    save_file(tensors, wire.coded, metadata=about)


@pytest.mark.parametrize(
    "how",
    [
        *("codec_mismatch", "missing_tensor", "extra_tensor"),
        *("dtype_mismatch", "shape_mismatch", "dtype"),
    ],
)
def test_a_file_that_differs_in_anything_is_refused(wire, how):
    wire.encode("int8")
    spoilt(wire, how)
    with pytest.raises(LayoutRefused) as refused:
        check_update(wire.coded, start=read_layout(wire.start), rank=3, codec="int8")
    assert refused.value.code == how


def test_weights_do_not_pass_for_a_change_nor_a_change_for_weights(wire):
    wire.encode("bf16")
    with pytest.raises(LayoutRefused, match="dtype_mismatch"):
        check_update(wire.coded, start=read_layout(wire.start), rank=3, codec=PLAIN)
    with pytest.raises(LayoutRefused, match="codec_mismatch"):
        check_update(wire.update, start=read_layout(wire.start), rank=3, codec="bf16")
    check_update(wire.update, start=read_layout(wire.start), rank=3, codec=PLAIN)


def test_scales_may_not_take_a_tensors_place(tmp_path):
    start = {"x": torch.zeros(64), "x.scales": torch.zeros(1)}
    with pytest.raises(LayoutRefused, match=r"x\.scales"):
        Wire(tmp_path, start, start).encode("int8")


PROGRAM = """
import json, resource, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from federation.codings import Feedback, encode_update
from tests.federation.decoding import decode_update

def peak_of(folder):
    start, update, coded, left = (folder / name for name in ("start", "update", "coded", "left"))
    feedback = Feedback(None, left, keeps_basis=True)
    encode_update(start=start, update=update, codec="nf4", target=coded, feedback=feedback)
    decode_update(start=start, update=coded, rank=1, codec="nf4", target=folder / "decoded")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

print(json.dumps([peak_of(Path(folder)) for folder in sys.argv[2:]]))
"""


def test_memory_does_not_grow_with_the_size_of_a_tensor(tmp_path):
    folders = []
    for name, count in (("small", 2 << 20), ("large", 12 << 20)):
        folders.append(tmp_path / name)
        made(folders[-1])
        write_adapter(folders[-1] / "start", [("x", torch.zeros(count))])
        write_adapter(folders[-1] / "update", [("x", torch.ones(count))])
    roots = [str(Path(__file__).parents[2] / name) for name in (".", "platform")]
    command = [sys.executable, "-c", PROGRAM, json.dumps(roots), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    small, large = json.loads(done.stdout)
    assert large - small < 8 << 20, f"{(large - small) >> 20} MiB more for 40 MiB more"


def test_a_plan_says_its_codec_only_where_it_is_not_the_usual_one():
    task = {"type": "causal_lm"}
    plain, coded = (
        Plan.model_validate({"task": task, "transfer": {"codec": c}}) for c in ("fp32", "nf4")
    )
    assert plain == Plan.model_validate({"task": task})
    assert "transfer" not in plain.model_dump(mode="json")
    assert coded.model_dump(mode="json")["transfer"] == {"codec": "nf4"}
    assert coded.digest() != plain.digest()
