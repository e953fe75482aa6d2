"""A run's credits: split once by what contributions were worth, and told to the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from federation.plan_rewards import Rewards
from federation.valuation.rewards import RewardRule, credits_of
from hub.common.errors import Forbidden, NotFound
from hub.contributions.errors import NotGrantable, NothingToCorrect
from hub.contributions.models import Case, CaseKind, CaseState, Credit, Reward, Value
from hub.contributions.rewards.basis import Basis, Valued, basis_of, standing_of, with_standing
from hub.contributions.rewards.correcting import correct
from hub.contributions.rewards.granting import grant_now, grant_what_is_due, seed_of
from hub.contributions.rewards.paying import release, release_what_is_due
from hub.ledger.exporting import _line, cosigned
from hub.ledger.models import Entry
from hub.ledger.selectors import checkpoints_of, entries_of
from hub.ledger.services import settle
from hub.ledger.signing import sign
from hub.runs.models import Run
from tests.conftest import client_of
from tests.factories.accounts import UserFactory
from tests.factories.organisations import MembershipFactory
from tests.hub.contributions.valued import make_valued, played, valuation_of, work
from tests.hub.runs.probed import ProbedWorld
from verifier.cli import main as verify

pytestmark = pytest.mark.django_db

PROMISE = Rewards(budget=1000, floor=0.1, hold_back=0.2, hold_days=30)


@pytest.fixture
def world(db: None, tmp_path: Path) -> ProbedWorld:
    return make_valued(tmp_path)


@pytest.fixture
def run(world: ProbedWorld) -> Run:
    found = played(world, rewards=PROMISE)
    work()
    return found


def told(key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Entry.objects.get(key=key).payload)
    return found


def balances(reward: Reward) -> dict[str, tuple[int, int]]:
    sums = reward.credits.values_list("participation").annotate(Sum("paid"), Sum("held"))
    return {str(player): (paid, held) for player, paid, held in sums}


def opened(run: Run, kind: CaseKind, *players: str, state: CaseState = CaseState.OPEN) -> Case:
    return Case.objects.create(
        federation=run.federation,
        run=run,
        round=run.rounds.get(),
        kind=kind,
        participations=sorted(players),
        evidence=[{"round": 1}],
        state=state,
        decided_by=None if state == CaseState.OPEN else run.created_by,
    )


def lines_of(ledger: UUID) -> Iterator[str]:
    for text, leaf in entries_of(ledger).values_list("text", "leaf"):
        yield f'{{"entry":{text},"leaf":"{bytes(leaf or b"").hex()}"}}\n'
    for checkpoint in checkpoints_of(ledger):
        yield _line(checkpoint=cosigned(checkpoint)).decode()
    yield _line(ledger_key=settings.LEDGER_VERIFIER_KEY).decode()


def standing(run: Run) -> str:
    return standing_of(with_standing(Run.objects.all()).get(pk=run.pk)).reason


def players_of(run: Run) -> list[str]:
    return [player["id"] for player in valuation_of(run).players]


def test_when_all_is_known_the_whole_budget_is_split_once(run: Run) -> None:
    assert (grant_what_is_due(), grant_what_is_due()) == (1, 0)
    reward = Reward.objects.get(run=run)
    values = {
        str(v.participation_id): v.phi for v in Value.objects.filter(valuation__round__run=run)
    }
    assert set(balances(reward)) == set(values)
    assert sum(paid + held for paid, held in balances(reward).values()) == 1000
    split = credits_of(1000, values, PROMISE.rule, seed_of(run))
    assert balances(reward) == {
        player: (split.paid[player], split.held[player]) for player in values
    }


def test_the_ledger_has_all_that_the_credits_follow_from(run: Run) -> None:
    grant_what_is_due()
    reward = Reward.objects.get(run=run)
    entry = told(f"reward:{reward.pk}")
    assert entry["valuations"] == [f"valuation:{valuation_of(run).pk}"]
    recorded = {
        one["participation"]: one["value"] for one in told(entry["valuations"][0])["values"]
    }
    split = credits_of(entry["budget"], recorded, RewardRule(**entry["rule"]), entry["seed"])
    assert {one["participation"]: one["paid"] for one in entry["credits"]} == split.paid
    assert entry["left"] == split.left == 0


def test_nothing_is_split_before_contributions_are_measured(world: ProbedWorld) -> None:
    run = played(world, rewards=PROMISE)
    assert standing(run) == "valuing"
    assert grant_what_is_due() == 0
    with pytest.raises(NotGrantable):
        grant_now(user=world.lead, run_id=run.pk)
    assert not Reward.objects.exists()


def test_an_open_case_is_waited_for_unless_the_lead_says_otherwise(
    world: ProbedWorld, run: Run
) -> None:
    first, *_ = players_of(run)
    opened(run, CaseKind.ZERO_UPDATE, first)
    assert grant_what_is_due() == 0
    with pytest.raises(NotFound):
        grant_now(user=UserFactory(), run_id=run.pk)
    reward = grant_now(user=world.lead, run_id=run.pk)
    assert grant_now(user=world.lead, run_id=run.pk) == reward
    assert reward.credits.get(participation=first).value == 0.0
    assert told(f"reward:{reward.pk}")["suspects"] == [{"participation": first, "rounds": [1]}]


def test_who_brought_the_same_shares_the_value_of_one() -> None:
    rounds = (Valued("valuation:1", 1, {"a": 0.4, "b": 0.5, "c": 0.3}),)
    assert Basis(rounds, (frozenset("ab"),), {}).values == {"a": 0.25, "b": 0.25, "c": 0.3}


def test_a_case_that_came_later_shares_the_rounds_that_were_valued_before(
    world: ProbedWorld, run: Run
) -> None:
    """In the second round the two played as one already: nothing is shared twice."""
    pair = frozenset("ab")
    first = Valued("valuation:1", 1, {"a": 0.4, "b": 0.5, "c": 0.3})
    second = Valued("valuation:2", 2, {"a": 0.2, "b": 0.2, "c": 0.1}, frozenset({pair}))
    found = Basis((first, second), (pair,), {})
    assert found.values == {"a": 0.45, "b": 0.45, "c": 0.4}
    assert found.rounds_of(pair) == [1]
    one, other, *_ = players_of(run)
    opened(run, CaseKind.NEAR_COPY, one, other)
    reward = grant_now(user=world.lead, run_id=run.pk)
    assert told(f"reward:{reward.pk}")["clusters"] == [
        {"participations": sorted((one, other)), "rounds": [1]}
    ]


def test_who_is_suspect_has_nothing_of_the_rounds_in_which_it_was_noticed() -> None:
    rounds = tuple(Valued(f"valuation:{n}", n, {"a": 0.5, "b": 0.25}) for n in (1, 2))
    assert Basis(rounds, (), {"a": frozenset({2})}).values == {"a": 0.5, "b": 0.5}


def test_what_was_decided_later_is_corrected_by_more_credits(world: ProbedWorld, run: Run) -> None:
    grant_what_is_due()
    reward = Reward.objects.get(run=run)
    before, rows = balances(reward), reward.credits.count()
    with pytest.raises(NothingToCorrect):
        correct(user=world.lead, run_id=run.pk)
    first, *_ = players_of(run)
    opened(run, CaseKind.ZERO_UPDATE, first, state=CaseState.UPHELD)
    changes = correct(user=world.lead, run_id=run.pk)
    after = balances(reward)
    assert reward.credits.count() == rows + len(changes)
    assert sum(map(sum, after.values())) == 1000
    assert sum(after[first]) < sum(before[first])
    with pytest.raises(NothingToCorrect):
        correct(user=world.lead, run_id=run.pk)
    entry = told(f"reward:{reward.pk}:corrected:1")
    assert {one["participation"] for one in entry["changes"]} <= set(after)
    assert entry["corrects"] == f"reward:{reward.pk}"


def test_what_is_held_back_is_paid_when_its_time_has_come(run: Run) -> None:
    grant_what_is_due()
    reward = Reward.objects.get(run=run)
    assert release_what_is_due() == 0
    Reward.objects.update(release_at=timezone.now() - timedelta(days=1))
    assert (release_what_is_due(), release(reward.pk)) == (1, False)
    assert sum(paid for paid, _ in balances(reward).values()) == 1000
    assert all(held == 0 for _, held in balances(reward).values())
    assert {one["kind"] for one in told(f"reward:{reward.pk}:released")["credits"]} == {"released"}


def test_what_is_held_back_is_lost_by_an_upheld_case_and_waits_for_an_open_one(run: Run) -> None:
    grant_what_is_due()
    reward = Reward.objects.get(run=run)
    Reward.objects.update(release_at=timezone.now() - timedelta(days=1))
    first, *_ = players_of(run)
    case = opened(run, CaseKind.NOISE, first)
    assert release_what_is_due() == 0
    case.move_to(CaseState.UPHELD, decided_by=run.created_by)
    held = balances(reward)[first][1]
    assert release_what_is_due() == 1
    lost = Credit.objects.get(reward=reward, kind="forfeited")
    assert (str(lost.participation_id), lost.paid, lost.held) == (first, 0, -held)


def test_only_the_owner_of_the_lead_splits_and_corrects(world: ProbedWorld, run: Run) -> None:
    grant_what_is_due()
    member = MembershipFactory(organisation=world.sites[1].agent.organisation).user
    for act in (grant_now, correct):
        with pytest.raises(Forbidden):
            act(user=member, run_id=run.pk)


def test_a_run_without_a_promise_has_no_credits(world: ProbedWorld) -> None:
    run = played(world)
    work()
    assert standing(run) == "none_promised"
    assert grant_what_is_due() == 0
    assert basis_of(run).values


def test_credits_are_read_by_members_only(world: ProbedWorld, run: Run) -> None:
    grant_what_is_due()
    address = f"/api/v1/credits?federation={run.federation_id}"
    rows = client_of(world.lead).get(address).json()["results"]
    assert sum(row["paid"] + row["held"] for row in rows) == 1000
    assert {row["run"] for row in rows} == {str(run.pk)}
    assert client_of(UserFactory()).get(address).json()["results"] == []


@pytest.mark.parametrize(("kind", "about"), [(CaseKind.ZERO_UPDATE, 1), (CaseKind.NEAR_COPY, 2)])
def test_the_verifier_comes_to_the_same_credits(
    world: ProbedWorld, run: Run, tmp_path: Path, kind: CaseKind, about: int
) -> None:
    opened(run, kind, *players_of(run)[:about])
    reward = grant_now(user=world.lead, run_id=run.pk)
    Case.objects.get().move_to(CaseState.DISMISSED, decided_by=run.created_by)
    correct(user=world.lead, run_id=run.pk)
    Reward.objects.update(release_at=timezone.now() - timedelta(days=1))
    assert release_what_is_due() == 1
    settle(ledger=run.federation_id, key=f"reward:{reward.pk}:released")
    sign(ledger=run.federation_id)
    export = tmp_path / "ledger.jsonl"
    export.write_text("".join(lines_of(run.federation_id)))
    assert exit_code(export) == 0
    export.write_text(export.read_text().replace('"paid":', '"paid":1', 1))
    assert exit_code(export) == 1


def exit_code(export: Path) -> object:
    with pytest.raises(SystemExit) as ended:
        verify(["ledger", str(export)])
    return ended.value.code
