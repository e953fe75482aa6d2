"""Server optimisers: against slow references over several rounds, identities, published vectors."""

from __future__ import annotations

from dataclasses import replace
from math import copysign, sqrt

import pytest
import torch

from federation.combinations import combinations
from federation.engine import AggregationRefused
from federation.layout import read_layout
from federation.optimisers import LinearOptimiser, optimisers
from federation.registry import configured
from federation.scattered import ScatteredFile
from federation.tensors import BLOCK_VALUES, sha256_of, write_adapter
from tests.federation.adapters import HEAD, MODULE, Workshop, adapter
from tests.federation.reference import distance
from tests.strategies import moved, normal, random_pair, seeded

ALL = sorted(optimisers)
REMEMBERING = [name for name in ALL if configured(optimisers, name).slots]
LINEAR = [name for name in REMEMBERING if isinstance(configured(optimisers, name), LinearOptimiser)]
ADAPTIVE = [name for name in REMEMBERING if "tau" in optimisers[name].__slots__]
CELLS = [(name, "fedavg") for name in ALL] + [(name, "stack_svd") for name in ["none", *LINEAR]]
RANK = 3


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


@pytest.fixture
def make_workshop(tmp_path_factory):
    return lambda: Workshop(tmp_path_factory.mktemp("workshop"))


class Slow:
    """One value at a time, in plain Python, as the formulas of the papers are written."""

    def __init__(self, name: str, **changed: float) -> None:
        chosen = configured(optimisers, name, **changed)
        self.name = name
        self.at = {key: getattr(chosen, key) for key in chosen.__slots__}
        self.memory: dict[int, tuple[float, float]] = {}

    def step(self, change: torch.Tensor) -> torch.Tensor:
        values = [self._value(place, d) for place, d in enumerate(change.flatten().tolist())]
        return torch.tensor(values, dtype=torch.float64).reshape(change.shape)

    def _value(self, place: int, d: float) -> float:
        m, v = self.memory.get(place, (0.0, 0.0))
        step, *memory = getattr(self, f"_{self.name}")(d, m, v, **self.at)
        self.memory[place] = tuple(memory)
        return step

    def _none(self, d, m, v):
        return d, m, v

    def _scaffold(self, d, m, v, *, lr):  # what it remembers is in test_controls
        return lr * d, m, v

    def _fedavgm(self, d, m, v, *, lr, momentum):
        m = momentum * m + d
        return lr * m, m, v

    def _diloco(self, d, m, v, *, lr, momentum):
        m = momentum * m + d
        return lr * (d + momentum * m), m, v

    def _fedadagrad(self, d, m, v, *, lr, tau):
        v = v + d**2
        return lr * d / (sqrt(v) + tau), m, v

    def _fedadam(self, d, m, v, *, lr, beta1, beta2, tau):
        m = beta1 * m + (1 - beta1) * d
        v = beta2 * v + (1 - beta2) * d**2
        return lr * m / (sqrt(v) + tau), m, v

    def _fedyogi(self, d, m, v, *, lr, beta1, beta2, tau):
        m = beta1 * m + (1 - beta1) * d
        v = v - (1 - beta2) * d**2 * (copysign(1, v - d**2) if v != d**2 else 0)
        return lr * m / (sqrt(v) + tau), m, v


class Line:
    """Rounds of one workshop that follow each other, as a run does: result becomes start."""

    def __init__(self, workshop: Workshop, **settings: object) -> None:
        self.workshop = workshop
        self.settings = settings
        self.number = 0
        self.state = None

    def play(self, **changed: object):
        """Aggregate the workshop's updates; the next round starts from what comes of it."""
        self.number += 1
        shop, folder = self.workshop, self.workshop.folder
        shop.target, after = folder / f"result-{self.number}", folder / f"state-{self.number}"
        settings = {**self.settings, "state": self.state, "state_target": after, **changed}
        report = shop.aggregate(**settings)
        assert report.digest == sha256_of(shop.target)
        if report.state is not None:
            assert report.state == sha256_of(after)
            self.state = after
        return report

    def go_on(self) -> dict[str, torch.Tensor]:
        """Start the next round; returns its start."""
        self.workshop.start, self.workshop.updates = self.workshop.target, []
        return self.workshop.result()


def train(workshop: Workshop, start: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Three updates with weights 1, 2 and 3; returns their mean in float64."""
    generator = seeded(seed)
    trained = [
        {name: value + 0.3 * normal(generator, *value.shape) for name, value in start.items()}
        for _ in range(3)
    ]
    rounded = [{name: value.float() for name, value in tensors.items()} for tensors in trained]
    for index, tensors in enumerate(rounded):
        workshop.add(tensors, weight=index + 1, rank=RANK)
    return {
        name: sum((i + 1) * tensors[name].double() for i, tensors in enumerate(rounded)) / 6
        for name in start
    }


def beginning(seed: int = 0, high: int = 7, wide: int = 5) -> dict[str, torch.Tensor]:
    generator = seeded(seed)
    pair = random_pair(generator, high, wide, RANK)
    tensors = adapter(pair, head=normal(generator, 4, 3))
    return {name: value.float() for name, value in tensors.items()}


def dense_of(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    a, b = (tensors[f"{MODULE}.lora_{f}.weight"].double() for f in "AB")
    return b @ a


@pytest.mark.parametrize("name", ALL)
def test_plain_tensors_and_averaged_factors_step_as_the_formulas_say(workshop, name):
    slow = {key: Slow(name) for key in beginning()}
    start = beginning()
    workshop.begin(start)
    line = Line(
        workshop, strategy="fedavg", rank=RANK, optimiser=configured(optimisers, name), clip=1e9
    )
    for number in range(4):
        mean = train(workshop, start, seed=number + 1)
        line.play()
        expected = {
            key: start[key].double() + slow[key].step(mean[key] - start[key].double())
            for key in start
        }
        start = line.go_on()
        for key, value in expected.items():
            torch.testing.assert_close(start[key].double(), value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["none", *LINEAR])
def test_stacked_pairs_step_as_the_model_itself_would(workshop, name):
    """The rank is the module's, so nothing is cut and the dense reference is exact."""
    full = 5
    generator = seeded(1)
    pair = random_pair(generator, 7, full, full)
    workshop.begin(adapter(pair))
    line = Line(workshop, rank=full, optimiser=configured(optimisers, name), clip=1e9)
    start, slow = dense_of(adapter(pair)), Slow(name)
    for number in range(4):
        rank = 1 + number
        cut = pair.leading(rank)
        trained = [moved(generator, cut) for _ in range(3)]
        for one in trained:
            workshop.add(adapter(one), rank=rank)
        report = line.play()
        change = sum(one.dense() - cut.dense() for one in trained) / 3
        start = start + slow.step(change)
        assert distance(workshop.result_pair().dense(), start) < 1e-5
        assert report.relative_error < 1e-6
        assert report.state_discarded < 1e-12
        line.go_on()
        pair = workshop.result_pair()
        start = pair.dense()  # as it was rounded


def test_a_velocity_is_cut_to_twice_the_rank_and_says_what_that_took(workshop):
    generator = seeded(2)
    pair = random_pair(generator, 20, 30, 2)
    workshop.begin(adapter(pair))
    trained = [moved(generator, pair) for _ in range(4)]
    for one in trained:
        workshop.add(adapter(one), rank=2)
    line = Line(workshop, rank=2, optimiser=configured(optimisers, "fedavgm"), clip=1e9)
    report = line.play()
    change = sum(one.dense() - pair.dense() for one in trained) / 4
    singular = torch.linalg.svdvals(change).square()
    lost = float(singular[4:].sum() / singular.sum())
    assert report.state_discarded == pytest.approx(lost, rel=1e-4)
    assert lost > 0.01
    shapes = {name: info.shape for name, info in read_layout(line.state).tensors.items()}
    assert shapes == {
        f"velocity.{MODULE}.lora_A.weight": (4, 30),
        f"velocity.{MODULE}.lora_B.weight": (20, 4),
    }


@pytest.mark.parametrize("strategy", ["fedavg", "stack_svd"])
@pytest.mark.parametrize(
    "identity",
    [
        configured(optimisers, "fedavgm", momentum=0, lr=1),
        configured(optimisers, "diloco", momentum=0, lr=1),
    ],
)
def test_without_momentum_and_at_rate_one_a_linear_step_is_fedavg(workshop, strategy, identity):
    start = beginning()
    workshop.begin(start)
    line = Line(workshop, strategy=strategy, rank=RANK, optimiser=identity)
    for number in range(3):
        train(workshop, start, seed=number)
        plain = workshop.folder / "plain"
        workshop.aggregate(strategy, rank=RANK, target=plain)
        line.play()
        result = workshop.result()
        workshop.target, kept = plain, workshop.target
        expected = workshop.result()
        torch.testing.assert_close(result[HEAD], expected[HEAD], rtol=1e-6, atol=1e-7)
        assert distance(dense_of(result), dense_of(expected)) < 1e-6
        if strategy == "fedavg":  # singular vectors are free to change their signs
            torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-7)
        workshop.target = kept
        start = line.go_on()


def test_diloco_is_the_nesterov_sgd_of_torch(workshop):
    """Outer SGD with Nesterov momentum on −D, value by value, over four rounds."""
    parameter = torch.nn.Parameter(beginning()[HEAD].double())
    outer = torch.optim.SGD([parameter], lr=0.7, momentum=0.9, nesterov=True)
    start = {HEAD: beginning()[HEAD]}
    workshop.begin(start)
    line = Line(workshop, optimiser=configured(optimisers, "diloco"), clip=1e9)
    for number in range(4):
        mean = train(workshop, start, seed=number)
        line.play()
        parameter.grad = start[HEAD].double() - mean[HEAD]
        outer.step()
        start = line.go_on()
        torch.testing.assert_close(start[HEAD].double(), parameter.data, rtol=1e-5, atol=1e-5)


def test_published_fedavgm_at_rate_one_is_the_weighted_mean(workshop):
    """Vectors of Flower's tests: clients of 1 and 2 examples, a start of zeros."""
    first = {"conv": torch.tensor([[1.0, 2, 3], [4, 5, 6]]), "dense": torch.tensor([7.0, 8, 9, 10])}
    second = {
        "conv": torch.tensor([[29.0, 23, 19], [17, 13, 11]]),
        "dense": torch.tensor([7.0, 5, 3, 2]),
    }
    workshop.begin({key: torch.zeros_like(value) for key, value in first.items()})
    workshop.add(first, weight=1)
    workshop.add(second, weight=2)
    Line(workshop, strategy="fedavg", optimiser=configured(optimisers, "fedavgm", lr=1.0)).play()
    expected = {key: (first[key] + 2 * second[key]) / 3 for key in first}
    torch.testing.assert_close(workshop.result(), expected)


def test_published_fedadagrad_begins_with_squares_of_zero(workshop):
    """Vector of Flower's tests: 0.1 + 0.1 · 0.5 / (0.5 + 0.5) = 0.15."""
    workshop.begin({"x": torch.full((4,), 0.1)})
    workshop.add({"x": torch.full((4,), 0.2)}, weight=5)
    workshop.add({"x": torch.full((4,), 1.0)}, weight=5)
    Line(
        workshop, strategy="fedavg", optimiser=configured(optimisers, "fedadagrad", lr=0.1, tau=0.5)
    ).play()
    torch.testing.assert_close(workshop.result()["x"], torch.full((4,), 0.15))


@pytest.mark.parametrize("name", ["fedadam", "fedyogi"])
def test_second_moments_are_of_the_change_and_not_of_the_first_moment(name):
    """One round, D = 1: m = 0.1, and √v is 0.1 of D² but 0.01 of m²: steps of η and of 10·η."""
    optimiser = configured(optimisers, name, lr=1.0, tau=1e-12)
    one = torch.ones(1, dtype=torch.float64)
    zero = {slot: torch.zeros(1, dtype=torch.float64) for slot in optimiser.slots}
    step, state = optimiser.step(one, zero)
    assert float(step) == pytest.approx(1.0)
    assert float(state["squares"]) == pytest.approx(0.01)
    back, state = optimiser.step(-one, state)  # m = −0.01, while D² stays 1
    assert float(state["mean"]) == pytest.approx(-0.01)
    assert float(state["squares"]) == pytest.approx({"fedadam": 0.0199, "fedyogi": 0.02}[name])
    assert float(back) == pytest.approx(-0.01 / sqrt(float(state["squares"])))


def test_yogi_forgets_a_large_change_by_steps_of_the_small_ones():
    """v = 1 and D = 0.1: Adam's v falls to 0.9901 · 1, Yogi's by 0.01 · 0.01 only."""
    state = {slot: torch.ones(1, dtype=torch.float64) for slot in ("mean", "squares")}
    small = torch.full((1,), 0.1, dtype=torch.float64)
    assert float(
        configured(optimisers, "fedadam").step(small, state)[1]["squares"]
    ) == pytest.approx(0.9901)
    assert float(
        configured(optimisers, "fedyogi").step(small, state)[1]["squares"]
    ) == pytest.approx(0.9999)


@pytest.mark.parametrize(("name", "strategy"), CELLS)
def test_a_round_in_which_nobody_moves_moves_nothing_at_first(workshop, name, strategy):
    start = beginning()
    workshop.begin(start)
    for _ in range(3):
        workshop.add(start, rank=RANK)
    Line(workshop, strategy=strategy, rank=RANK, optimiser=configured(optimisers, name)).play()
    found = workshop.result()
    torch.testing.assert_close(found[HEAD], start[HEAD], rtol=0, atol=0)
    assert distance(dense_of(found), dense_of(start)) < 1e-6


@pytest.mark.parametrize(("name", "strategy"), CELLS)
def test_order_and_threads_change_no_byte_of_result_or_state(workshop, name, strategy):
    start = beginning(high=120, wide=90)
    workshop.begin(start)
    line = Line(workshop, strategy=strategy, rank=RANK, optimiser=configured(optimisers, name))
    train(workshop, start, seed=1)
    line.play()
    train(workshop, line.go_on(), seed=2)
    before, begun = torch.get_num_threads(), line.state
    reports = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        line.state = begun
        reports.append(line.play(updates=workshop.updates[:: 2 * threads - 3]))
    torch.set_num_threads(before)
    assert replace(reports[0], seconds=0) == replace(reports[1], seconds=0)
    assert (reports[0].state is None) == (name == "none")


@pytest.mark.parametrize("combination", sorted(combinations))
@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_step_goes_along_any_combination(workshop, name, combination):
    """Equal updates combine to themselves under every combination."""
    full = 5
    pair, other = random_pair(seeded(1), 7, full, full), random_pair(seeded(2), 7, full, full)
    workshop.begin(adapter(pair))
    for weight in range(5):
        workshop.add(adapter(other), weight=weight + 1, rank=full)
    chosen = combinations[combination]()
    line = Line(
        workshop, rank=full, optimiser=configured(optimisers, name), combination=chosen, clip=1e9
    )
    slow = Slow(name)
    line.play()
    expected = pair.dense() + slow.step(other.dense() - pair.dense())
    assert distance(workshop.result_pair().dense(), expected) < 1e-5
    middle = workshop.result_pair()
    line.go_on()
    for weight in range(5):
        workshop.add(adapter(pair), weight=weight + 1, rank=full)
    line.play()
    expected = middle.dense() + slow.step(pair.dense() - middle.dense())
    assert distance(workshop.result_pair().dense(), expected) < 1e-5


@pytest.mark.parametrize("name", REMEMBERING)
def test_tensors_larger_than_a_block_remember_every_value(workshop, name):
    generator = seeded(3)
    start = torch.randn(2 * BLOCK_VALUES + 7, generator=generator)
    workshop.begin({"x": start})
    optimiser = configured(optimisers, name)
    line = Line(workshop, strategy="fedavg", optimiser=optimiser)
    state = {slot: torch.zeros(len(start), dtype=torch.float64) for slot in optimiser.slots}
    for _ in range(2):
        trained = start + torch.randn(len(start), generator=generator)
        workshop.add({"x": trained})
        line.play()
        step, state = optimiser.step(trained.double() - start.double(), state)
        found = line.go_on()["x"]
        torch.testing.assert_close(found.double(), start + step, rtol=1e-4, atol=1e-5)
        start = found


@pytest.mark.parametrize("name", ADAPTIVE)
def test_moments_of_values_are_refused_for_factors_that_are_new_in_every_round(workshop, name):
    workshop.begin(beginning())
    with pytest.raises(AggregationRefused) as refused:
        workshop.aggregate("stack_svd", rank=RANK, optimiser=configured(optimisers, name))
    assert refused.value.code == "optimiser"


def test_a_state_of_something_else_is_refused(workshop):
    start = beginning()
    workshop.begin(start)
    train(workshop, start, seed=1)
    line = Line(workshop, strategy="fedavg", rank=RANK, optimiser=configured(optimisers, "fedadam"))
    line.state = workshop.folder / "other"
    for tensors in ({"mean.x": torch.zeros(3)}, {"velocity.x": torch.zeros(3)}):
        write_adapter(line.state, tensors.items())
        with pytest.raises(AggregationRefused) as refused:
            line.play()
        assert refused.value.code == "state_mismatch"
    line.state.write_bytes(b"nothing")
    with pytest.raises(AggregationRefused) as refused:
        line.play()
    assert refused.value.code == "state_mismatch"


def test_an_optimiser_that_remembers_needs_a_file(workshop):
    start = beginning()
    workshop.begin(start)
    train(workshop, start, seed=1)
    with pytest.raises(ValueError, match="needs a file"):
        workshop.aggregate("fedavg", rank=RANK, optimiser=configured(optimisers, "fedavgm"))


def test_a_state_too_large_for_fp32_is_refused(workshop):
    workshop.begin({"x": torch.zeros(2)})
    workshop.add({"x": torch.full((2,), 1e30)})
    with pytest.raises(AggregationRefused) as refused:
        Line(workshop, strategy="fedavg", optimiser=configured(optimisers, "fedadagrad")).play()
    assert refused.value.code == "non_finite"


@pytest.mark.parametrize("name", REMEMBERING)
def test_averaged_factors_with_an_optimiser_claim_no_error(workshop, name):
    start = beginning()
    workshop.begin(start)
    train(workshop, start, seed=1)
    report = Line(
        workshop, strategy="fedavg", rank=RANK, optimiser=configured(optimisers, name)
    ).play()
    assert report.relative_error is None
    assert report.ranks == {MODULE: RANK}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [(n, {"lr": 0.0}) for n in REMEMBERING]
    + [(n, {"momentum": 1.0}) for n in LINEAR]
    + [(n, {"tau": 0.0}) for n in ADAPTIVE]
    + [(n, {key: 1.0}) for n in ("fedadam", "fedyogi") for key in ("beta1", "beta2")],
)
def test_settings_out_of_range_are_refused(name, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        configured(optimisers, name, **wrong)


def test_a_scattered_file_is_what_the_library_reads(tmp_path):
    shapes = {"b": (2, 3), "a": (4,)}
    with ScatteredFile(tmp_path / "file", shapes) as file:
        file.write("b", 3, torch.tensor([3.0, 4, 5]))
        with pytest.raises(ValueError, match="7 values are missing"):
            file.digest()
        file.write("a", 0, torch.arange(4.0))
        file.write("b", 0, torch.arange(3.0))
        digest = file.digest()
    tensors = {"a": torch.arange(4.0), "b": torch.arange(6.0).reshape(2, 3)}
    assert write_adapter(tmp_path / "streamed", tensors.items()) == digest


def steps_of(workshop: Workshop, *counts: int) -> None:
    workshop.updates = [
        replace(update, steps=steps) for update, steps in zip(workshop.updates, counts, strict=True)
    ]


@pytest.mark.parametrize("strategy", ["fedavg", "stack_svd"])
def test_fednova_with_equal_steps_is_fedavg_to_the_byte(workshop, strategy):
    start = beginning()
    workshop.begin(start)
    train(workshop, start, seed=1)
    plain = workshop.aggregate(strategy, rank=RANK)
    steps_of(workshop, 7, 7, 7)
    normalised = workshop.aggregate(strategy, rank=RANK, normalise_steps=True)
    assert normalised.digest == plain.digest
    assert normalised.weights == plain.weights


def test_fednova_counts_changes_by_step(workshop):
    """Shares ¼ and ¾, 2 and 10 steps: τ_eff = 8, and D = 8 · (¼ · 2/2 + ¾ · 5/10) = 5."""
    workshop.begin({"x": torch.zeros(2)})
    workshop.add({"x": torch.tensor([2.0, 0.0])}, weight=1)
    workshop.add({"x": torch.tensor([5.0, 0.0])}, weight=3)
    steps_of(workshop, 2, 10)
    report = workshop.aggregate(normalise_steps=True)
    torch.testing.assert_close(workshop.result()["x"], torch.tensor([5.0, 0.0]))
    assert sorted(report.weights.values()) == pytest.approx([0.6, 1.0])


def test_claiming_few_steps_does_not_lift_an_update_over_the_bound(workshop):
    workshop.begin({"x": torch.zeros(1)})
    honest = [workshop.add({"x": torch.full((1,), 1.0 + i / 10)}) for i in range(4)]
    liar = workshop.add({"x": torch.full((1,), -1.0)})
    steps_of(workshop, 100, 100, 100, 100, 1)
    report = workshop.aggregate(normalise_steps=True)
    assert report.clipped == (liar,)
    pulled = -report.norms[liar] * report.weights[liar]
    assert pulled == pytest.approx(-report.bound / 5)
    assert set(honest).isdisjoint(report.clipped)


def test_fednova_refuses_an_update_of_no_steps(workshop):
    workshop.begin({"x": torch.zeros(1)})
    workshop.add({"x": torch.ones(1)})
    steps_of(workshop, 0)
    with pytest.raises(AggregationRefused) as refused:
        workshop.aggregate(normalise_steps=True)
    assert refused.value.code == "steps"
