"""SCAFFOLD, sites and server together over files: laws, the paper's claim, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from federation.combinations import combinations
from federation.controls import Site, control_name
from federation.engine import AggregationRefused, AggregationReport, WeightedUpdate, aggregate
from federation.layout import LayoutRefused, everything
from federation.optimisers import Scaffold
from federation.rates import Rates, pace, paces
from federation.rules import rules
from federation.tensors import write_adapter
from tests.federation.adapters import method
from tests.strategies import normal, seeded

SCHEDULE = "linear"
RATES = Rates(0.05, 0.02, SCHEDULE)
NAMES = ("base_model.model.layer.ia3_l", "base_model.model.classifier.weight")
SIZE = (5, 3)


@dataclass
class Quadratic:
    """A site whose loss is Σ a·(w − b)²/2 over each value of each tensor."""

    curve: dict[str, Tensor]
    best: dict[str, Tensor]
    steps: int
    own: Path | None = None

    def gradient(self, name: str, at: Tensor) -> Tensor:
        return self.curve[name] * (at - self.best[name])

    def train(self, start: dict[str, Tensor], correction: dict[str, Tensor]) -> dict[str, Tensor]:
        """Plain SGD; what it does without a correction is what a site of FedAvg does."""
        values = {name: value.double() for name, value in start.items()}
        for step in range(self.steps):
            for name, at in values.items():
                rate = RATES.total(name, 1) * pace(SCHEDULE, self.steps, step)
                slope = self.gradient(name, at) + correction.get(name, torch.zeros(()))
                values[name] = at - rate * slope
        return {name: value.float() for name, value in values.items()}


def quadratics(count: int, *, steps: tuple[int, ...] = (20,), seed: int = 1) -> list[Quadratic]:
    """Sites that agree neither on the optimum nor on the curvature: this is what makes drift."""
    generator = seeded(seed)

    def drawn(low: float, high: float) -> dict[str, Tensor]:
        return {n: low + (high - low) * normal(generator, *SIZE).sigmoid() for n in NAMES}

    return [
        Quadratic(drawn(0.2, 4.0), drawn(-3.0, 3.0), steps[number % len(steps)])
        for number in range(count)
    ]


def optimum(sites: list[Quadratic]) -> dict[str, Tensor]:
    """Of the mean of all losses, each site counted as one."""
    return {
        name: sum(s.curve[name] * s.best[name] for s in sites) / sum(s.curve[name] for s in sites)
        for name in NAMES
    }


@dataclass
class Campaign:
    """Rounds of a run: every file is what agents and hub write; `is_corrected` or plain FedAvg."""

    folder: Path
    sites: list[Quadratic]
    is_corrected: bool = True
    start: Path = field(init=False)
    state: Path | None = None
    number: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.start = self.folder / "start"
        write_adapter(self.start, {name: torch.zeros(SIZE) for name in NAMES}.items())

    @property
    def weights(self) -> dict[str, Tensor]:
        return load_file(self.start)

    @property
    def control(self) -> dict[str, Tensor]:
        """The server's c; 0 before the first round."""
        held = load_file(self.state) if self.state else {}
        return {n: held.get(control_name(n), torch.zeros(SIZE)) for n in NAMES}

    def control_of(self, site: Quadratic) -> dict[str, Tensor]:
        held = load_file(site.own) if site.own else {}
        return {n: held.get(control_name(n), torch.zeros(SIZE)) for n in NAMES}

    def update(self, index: int) -> WeightedUpdate:
        """Train, send, and remember cᵢ'."""
        site, path = self.sites[index], self.folder / f"update-{self.number}-{index}"
        own = Site(self.start, everything, self.state, site.own)
        correction = {}
        if self.is_corrected and self.state:
            own.write_correction(self.folder / "correction")
            correction = load_file(self.folder / "correction")
        digest = write_adapter(path, site.train(self.weights, correction).items())
        site.own = self.folder / f"control-{self.number}-{index}"
        own.write_control(
            update=path,
            rank=1,
            codec="fp32",
            travels=everything,
            rates=RATES,
            steps=site.steps,
            target=site.own,
        )
        return WeightedUpdate(path, 1.0, 1, digest, steps=site.steps)

    def round(self, *present: int, **changed: object) -> AggregationReport:
        """A round with these sites, or with all of them."""
        return self.aggregate(self.updates(*present), **changed)

    def updates(self, *present: int) -> list[WeightedUpdate]:
        self.number += 1
        return [self.update(index) for index in present or range(len(self.sites))]

    def aggregate(self, updates: list[WeightedUpdate], **changed: object) -> AggregationReport:
        target, after = (self.folder / f"{name}-{self.number}" for name in ("result", "state"))
        remembering = {"optimiser": Scaffold(), "rates": RATES} if self.is_corrected else {}
        report = aggregate(
            start=self.start,
            updates=updates,
            method=method("fedavg", **{"clip": 1e9, **remembering, **changed}),
            target=target,
            state=self.state,
            state_target=after,
            members=len(self.sites),
        )
        self.start, self.state = target, after if self.is_corrected else None
        return report

    def error(self) -> float:
        """How far the model is from the optimum of all losses together."""
        best = optimum(self.sites)
        squares = [(self.weights[n].double() - best[n]).square().sum() for n in NAMES]
        return float(torch.stack(squares).sum().sqrt())


def assert_controls_agree(campaign: Campaign) -> None:
    for name in NAMES:
        means = [campaign.control_of(site)[name].double() for site in campaign.sites]
        expected = torch.stack(means).mean(dim=0)
        torch.testing.assert_close(campaign.control[name].double(), expected, rtol=1e-4, atol=1e-5)


def test_in_its_first_round_it_is_fedavg(tmp_path):
    corrected = Campaign(tmp_path / "a", quadratics(4))
    plain = Campaign(tmp_path / "b", quadratics(4), is_corrected=False)
    reports = [corrected.round(), plain.round()]
    assert reports[0].norms.keys() == reports[1].norms.keys()  # by digest: the same bytes were sent
    torch.testing.assert_close(corrected.weights, plain.weights, rtol=1e-6, atol=1e-7)


def test_with_corrections_of_zero_a_site_sends_the_bytes_of_fedavg(tmp_path):
    (site,) = quadratics(1)
    zeros = {name: torch.zeros(SIZE) for name in NAMES}
    start = {name: torch.ones(SIZE) for name in NAMES}
    assert all(torch.equal(site.train(start, zeros)[n], site.train(start, {})[n]) for n in NAMES)


def test_identical_sites_learn_as_one_that_is_alone(tmp_path):
    sites = [replace(quadratics(1)[0]) for _ in range(3)]
    together, alone = Campaign(tmp_path / "a", sites), quadratics(1)[0]
    weights = together.weights
    for _ in range(4):
        together.round()
        weights = alone.train(weights, {})
        torch.testing.assert_close(together.weights, weights, rtol=1e-5, atol=1e-5)
        corrections = [together.control[n] - together.control_of(sites[0])[n] for n in NAMES]
        assert max(float(one.abs().max()) for one in corrections) < 1e-5


@pytest.mark.parametrize("steps", [(20,), (5, 40)])
def test_where_fedavg_stalls_it_finds_the_optimum_of_all(tmp_path, steps):
    """Many steps between rounds, and sites that disagree: FedAvg's fixed point is another one."""
    rounds, errors = 30, {}
    for name, is_corrected in (("FedAvg", False), ("SCAFFOLD", True)):
        campaign = Campaign(tmp_path / name, quadratics(5, steps=steps), is_corrected=is_corrected)
        for _ in range(rounds):
            campaign.round()
        errors[name] = campaign.error()
    start = Campaign(tmp_path / "start", quadratics(5)).error()
    print(f"\nfrom the optimum after {rounds} rounds, {start:.2f} at first: {errors}")
    assert errors["FedAvg"] > 0.05 * start
    assert errors["SCAFFOLD"] < 1e-3 * errors["FedAvg"]


def test_it_finds_the_optimum_where_half_of_the_sites_take_part(tmp_path):
    campaign, generator = Campaign(tmp_path / "a", quadratics(4)), seeded(7)
    for _ in range(60):
        chosen = torch.randperm(4, generator=generator)[:2].tolist()
        campaign.round(*chosen)
        assert_controls_agree(campaign)
    print(f"\nfrom the optimum with 2 of 4: {campaign.error():.2e}")
    assert campaign.error() < 1e-3


def test_the_mean_of_all_control_variates_is_the_server_s(tmp_path):
    campaign = Campaign(tmp_path / "a", quadratics(4, steps=(3, 11)))
    for present in ((0, 1, 2, 3), (0, 2), (3,), (1, 2, 3)):
        report = campaign.round(*present)
        assert len(report.controls) == len(present)
        assert_controls_agree(campaign)


def test_a_control_variate_is_the_mean_gradient_of_its_site(tmp_path):
    campaign = Campaign(tmp_path / "a", quadratics(3))
    campaign.round()
    site = campaign.sites[0]
    one = replace(site, steps=1)  # then it is the gradient where it started
    campaign.sites[0] = one
    before = campaign.weights
    campaign.round()
    for name in NAMES:
        found = campaign.control_of(one)[name].double()
        torch.testing.assert_close(
            found, one.gradient(name, before[name].double()), rtol=1e-3, atol=1e-3
        )


def test_the_same_bytes_twice_in_any_order(tmp_path):
    campaign = Campaign(tmp_path / "a", quadratics(4))
    campaign.round()
    updates = campaign.updates()
    start, state, found = campaign.start, campaign.state, []
    for order in (updates, updates[::-1]):
        campaign.start, campaign.state = start, state
        report = campaign.aggregate(order)
        found.append((report.digest, report.state, report.controls))
    assert found[0] == found[1]
    assert found[0][1] is not None


def test_an_update_that_the_bound_scaled_down_is_not_remembered(tmp_path):
    campaign = Campaign(tmp_path / "a", quadratics(4))
    campaign.round()
    kept = [site.own for site in campaign.sites]
    updates = campaign.updates()
    longest = max(updates, key=lambda one: norm_of(campaign, one))
    bound = sorted(norm_of(campaign, one) for one in updates)[-2]
    report = campaign.aggregate(updates, clip=bound * 1.0001)
    assert report.clipped == (longest.digest,)
    assert set(report.controls) == {one.digest for one in updates} - {longest.digest}
    loser = campaign.sites[updates.index(longest)]
    loser.own = kept[updates.index(longest)]  # which the hub tells it to take
    assert_controls_agree(campaign)


def norm_of(campaign: Campaign, update: WeightedUpdate) -> float:
    moved = load_file(update.path)
    squares = [(moved[n] - campaign.weights[n]).double().square().sum() for n in NAMES]
    return float(torch.stack(squares).sum().sqrt())


def test_where_one_has_lost_its_own_all_begin_anew(tmp_path):
    campaign = Campaign(tmp_path / "a", quadratics(3))
    campaign.round()
    updates = campaign.updates()
    report = campaign.aggregate([replace(updates[0], is_anew=True), *updates[1:]])
    assert report.controls == ()
    assert not any(value.any() for value in campaign.control.values())
    for site in campaign.sites:
        site.own = None
    for _ in range(10):
        campaign.round()
        assert_controls_agree(campaign)


def test_what_does_not_travel_keeps_its_control_variate(tmp_path):
    campaign = Campaign(tmp_path / "a", quadratics(2))
    campaign.round()
    first, second = NAMES
    site = Site(campaign.start, everything, campaign.state, campaign.sites[0].own)
    sent = {first: campaign.weights[first] + 1}
    write_adapter(tmp_path / "half", sent.items())
    how = {"rank": 1, "codec": "fp32", "travels": first.__eq__, "rates": RATES, "steps": 4}
    site.write_control(update=tmp_path / "half", target=tmp_path / "control", **how)
    before, after = load_file(site.own), load_file(tmp_path / "control")
    assert torch.equal(before[control_name(second)], after[control_name(second)])
    assert not torch.equal(before[control_name(first)], after[control_name(first)])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda held: held.pop(control_name(NAMES[0])), "missing_tensor"),
        (lambda held: held.update(extra=torch.zeros(1)), "extra_tensor"),
        (lambda held: held.update({control_name(NAMES[0]): torch.zeros(2)}), "shape_mismatch"),
        (lambda held: held[control_name(NAMES[0])].fill_(float("nan")), "non_finite"),
    ],
)
def test_a_file_that_is_no_control_variate_is_refused(tmp_path, spoil, code):
    campaign = Campaign(tmp_path / "a", quadratics(2))
    campaign.round()
    held = load_file(campaign.state)
    spoil(held)
    write_adapter(tmp_path / "spoilt", held.items())
    site = Site(campaign.start, everything, tmp_path / "spoilt", None)
    with pytest.raises(LayoutRefused) as refused:
        site.check()
    assert refused.value.code == code
    Site(campaign.start, everything, campaign.state, campaign.sites[0].own).check()


@pytest.mark.parametrize(
    "changed",
    [
        {"rule": rules["krum"](liars=1)},
        {"combination": combinations["median"]()},
    ],
)
def test_a_guard_is_refused_by_the_engine_too(changed):
    with pytest.raises(AggregationRefused, match="guard"):
        method("fedavg", optimiser=Scaffold(), rates=RATES, **changed)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_paces_add_up_in_closed_form(schedule, steps):
    assert paces(schedule, steps) == pytest.approx(
        sum(pace(schedule, steps, k) for k in range(steps))
    )
