"""What is agreed, over the API; cases 166 to 168 of what steers federations and rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from hub.common.actors import HUB
from hub.federations.charters.services import change_policy, publish_charter
from hub.federations.policies import FORMER, Policy
from hub.runs import services
from hub.runs.models import Round
from tests.conftest import Person, client_of
from tests.factories.catalogue import BaseModelFactory
from tests.hub.runs.world import World, make_world, plan_of

pytestmark = pytest.mark.django_db

TEXT = "1. Nobody's data leaves its owner.\n2. Everybody sees the same record."


def post(api: Any, path: str, said: dict[str, Any] | None = None) -> Any:
    return api.post(f"/api/v1/{path}", said or {}, headers={"Idempotency-Key": str(uuid4())})


def founding(ada: Person, **more: object) -> dict[str, Any]:
    return {
        "organisation": str(ada.organisation.pk),
        "name": "Support tickets",
        "charter": "1. Nobody's data leaves its owner.",
        "base_model": str(BaseModelFactory().pk),
        **more,
    }


def test_a_federation_is_founded_with_its_policy(ada: Person):
    rules = {"join": "open", "minimum_participants": 2, "voting": {"days": 3}, "led": ["admit"]}
    made = post(ada.api, "federations", founding(ada, policy=rules, largest_update_bytes=2**22))
    assert made.status_code == 201
    agreed = made.json()["policy"]
    assert {name: agreed[name] for name in ("join", "minimum_participants", "led")} == {
        "join": "open",
        "minimum_participants": 2,
        "led": ["admit"],
    }
    assert agreed["voting"] == {"quorum": 0.5, "majority": "simple", "days": 3}
    assert made.json()["largest_update_bytes"] == 2**22


def test_without_a_policy_it_is_as_federations_were(ada: Person):
    made = post(ada.api, "federations", founding(ada)).json()
    assert made["policy"] == FORMER.model_dump(mode="json")


@pytest.mark.parametrize(
    "wrong",
    [
        "open",
        {"join": "whoever"},
        {"unknown": 1},
        {"minimum_participants": 0},
        {"minimum_participants": "2"},
        {"voting": {"quorum": 2}},
        {"voting": {"days": 61}},
        {"credits_without_vote": -1},
        {"credits_in_period": -1},
        {"period_days": 0},
    ],
)
def test_what_is_no_policy_is_refused_and_nothing_founded(ada: Person, wrong):
    refused = post(ada.api, "federations", founding(ada, policy=wrong))
    assert refused.status_code == 400
    assert list(refused.json()["errors"]) == ["policy"]
    assert ada.organisation.participations.count() == 0


@pytest.mark.parametrize(
    "wrong", [{"strategies": ["magic"]}, {"valuation": ["none"]}, {"led": ["admit", "admit"]}]
)
def test_methods_and_kinds_that_there_are_not_are_refused(ada: Person, wrong):
    refused = post(ada.api, "federations", founding(ada, policy=wrong))
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert ada.organisation.participations.count() == 0


def test_who_signed_what_is_for_members(ada, blaise, carol, federation):
    publish_charter(federation=federation, text=TEXT, actor=HUB)
    place = federation.participations.get(organisation=blaise.organisation)
    said = {"charter_digest": federation.charter_digest}
    for _ in range(2):
        signed = post(blaise.api, f"participations/{place.pk}/sign", said)
        assert (signed.status_code, signed.json()["charter_number"]) == (200, 2)
    refused = post(blaise.api, f"participations/{place.pk}/sign", {"charter_digest": "0" * 64})
    assert (refused.status_code, refused.json()["code"]) == (409, "charter_changed")
    assert post(carol.api, f"participations/{place.pk}/sign", said).status_code == 404
    at = f"/api/v1/federations/{federation.pk}"
    texts = carol.api.get(f"{at}/charters").json()["results"]
    assert [(text["number"], text["text"]) for text in texts] == [
        (2, TEXT),
        (1, "1. Nobody's data leaves its owner."),
    ]
    signatures = ada.api.get(f"{at}/signatures").json()["results"]
    assert sorted(one["number"] for one in signatures) == [1, 1, 2]
    assert carol.api.get(f"{at}/signatures").status_code == 404


# ------------------------------------------------- what steers federations and rounds (RELIABILITY)


CHANGES = [
    ("policy", {"policy": {"minimum_participants": 1}, "reason": "faster"}),
    ("charter", {"text": TEXT, "reason": "clearer"}),
]


@pytest.mark.parametrize(("what", "change"), CHANGES)
def test_166_a_signed_rule_is_not_changed_without_the_members(
    ada, blaise, federation, what, change
):
    path = f"federations/{federation.pk}/{what}"
    before = ada.api.get(f"/api/v1/federations/{federation.pk}").json()
    refused = post(ada.api, path, change)
    assert (refused.status_code, refused.json()["code"]) == (409, "members_decide")
    assert post(blaise.api, path, change).status_code == 403
    assert ada.api.get(f"/api/v1/federations/{federation.pk}").json() == before


@pytest.mark.parametrize(("what", "change"), CHANGES)
def test_166_the_lead_changes_what_was_left_to_it(ada, federation, what, change):
    change_policy(federation=federation, policy=Policy(led=("policy", "charter")), actor=HUB)
    done = post(ada.api, f"federations/{federation.pk}/{what}", change)
    assert done.status_code == 200
    federation.refresh_from_db()
    if what == "charter":
        assert (federation.charter, federation.charter_number) == (TEXT, 2)
    else:
        assert federation.typed_policy == Policy()


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    return make_world(tmp_path, members=2)


def test_167_no_round_starts_while_one_is_open(world: World):
    api, run = client_of(world.lead), world.start_run()
    for path in (f"runs/{run.pk}/rounds", "rounds"):
        assert post(api, path, {"run": str(run.pk)}).status_code in {404, 405}
    assert post(api, f"runs/{run.pk}/start").status_code == 200  # it is started: nothing changes
    for _ in range(2):
        services.advance_run(run_id=run.pk)
    assert [one.number for one in Round.objects.filter(run=run)] == [1]


def test_168_a_frozen_round_is_not_cancelled(world: World):
    api, run = client_of(world.lead), world.start_run()
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    services.advance_run(run_id=run.pk)
    assert run.rounds.get().state == "aggregating"
    refused = post(api, f"runs/{run.pk}/cancel", {"reason": "a mistake"})
    assert (refused.status_code, refused.json()["code"]) == (409, "round_frozen")
    assert run.rounds.get().state == "aggregating"


def test_a_run_with_members_who_have_not_signed_is_refused_and_names_them(world: World):
    publish_charter(federation=world.federation, text=TEXT, actor=HUB)
    said = {
        "federation": str(world.federation.pk),
        "name": "First",
        "plan": plan_of().model_dump(mode="json"),
        "start": True,
    }
    refused = post(client_of(world.lead), "runs", said)
    assert (refused.status_code, refused.json()["code"]) == (409, "charter_unsigned")
    names = [place.organisation.name for place in world.federation.participations.all()]
    assert refused.json()["organisations"] == names
    assert world.federation.runs.count() == 0
