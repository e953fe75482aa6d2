"""Provenance, proposals and names over the API."""

from __future__ import annotations

from uuid import uuid4

import pytest

from hub.catalogue.models import ModelVersion
from tests.factories.catalogue import EvaluationFactory, VersionFactory
from tests.factories.runs import RoundFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"


def post(person, path: str, body: dict | None = None):
    headers = {"Idempotency-Key": str(uuid4())}
    return person.api.post(f"/api/v1/{path}", body or {}, format="json", headers=headers)


def test_a_version_s_provenance_is_complete(federation, ada, carol):
    update = {
        "organisation": "Ada Institute",
        "update": "u",
        "digest": "d" * 64,
        "statement": "s" * 64,
        "examples": 10,
        "weight": 1.0,
    }
    parent = VersionFactory(federation=federation)
    version = VersionFactory(
        federation=federation,
        parent=parent,
        contributors=[update],
        report={"relative_error": 0.25, "discarded_energy": 0.0},
        optimiser_state=parent.adapter,
        plan={
            "task": {"type": "causal_lm"},
            "aggregation": {"strategy": "fedavg"},
            "server": {"optimiser": "fedavgm"},
        },
    )
    made_by = RoundFactory(run__federation=federation, number=3, version=version)
    place = federation.participations.first()
    EvaluationFactory(version=version, participation=place, examples=7)
    found = ada.api.get(f"/api/v1/versions/{version.pk}").json()["provenance"]
    assert found["parent"] == {"id": str(parent.pk), "number": 1}
    assert (found["making"]["run"], found["making"]["round_number"]) == (str(made_by.run_id), 3)
    assert found["updates"] == [{**update, "staleness": 0}]
    assert found["plan_digest"] == version.plan_digest
    assert found["base_revision"] == version.base_model.revision
    aggregator = found["aggregator"]
    assert (aggregator["strategy"], aggregator["relative_error"]) == ("fedavg", 0.25)
    assert (aggregator["optimiser"], aggregator["optimiser_state"]) == (
        "fedavgm",
        parent.adapter_id,
    )
    assert [(one["organisation"], one["examples"]) for one in found["evaluations"]] == [
        ("Ada Institute", 7)
    ]
    assert found["adapter"] == version.adapter_id
    assert [file["sha256"] for file in found["files"]] == [version.adapter_id]
    assert any("in clear" in one for one in found["privacy"])
    assert carol.api.get(f"/api/v1/versions/{version.pk}").status_code == 404


def proposal_of(version: ModelVersion, reason: str) -> dict[str, object]:
    return {
        "federation": str(version.federation_id),
        "kind": "release",
        "terms": {"version": str(version.pk)},
        "reason": reason,
    }


def test_a_release_is_proposed_and_decided(federation, ada, blaise, carol):
    version = VersionFactory(federation=federation)
    body = proposal_of(version, "best of all")
    assert post(carol, "proposals", body).status_code == 404
    made = post(blaise, "proposals", body)
    assert (made.status_code, made.json()["state"], made.json()["kind"]) == (201, "open", "release")
    path = f"proposals/{made.json()['id']}"
    yes = {"choice": "yes", "reason": "agreed"}
    for act, said in (("vote", yes), ("withdraw", {})):
        stranger = carol.api.post(f"/api/v1/{path}/{act}", said, format="json")
        unknown = carol.api.post(f"/api/v1/proposals/{uuid4()}/{act}", said, format="json")
        assert (stranger.status_code, stranger.json()["detail"]) == (404, unknown.json()["detail"])
    unheard = post(blaise, f"{path}/vote", yes)
    assert (unheard.status_code, unheard.json()["code"]) == (403, "no_voice")
    assert post(ada, f"{path}/vote", {"choice": "perhaps"}).status_code == 400
    done = post(ada, f"{path}/vote", yes).json()
    assert (done["state"], done["decided_by"]) == ("accepted", ada.user.name)
    assert [(one["choice"], one["reason"]) for one in done["votes"]] == [("yes", "agreed")]
    assert ModelVersion.objects.get().state == "released"
    refused = post(ada, f"{path}/vote", {"choice": "no"})
    assert (refused.status_code, refused.json()["code"]) == (409, "proposal_closed")
    (row,) = blaise.api.get(f"/api/v1/proposals?federation={federation.pk}").json()["results"]
    assert (row["terms"]["number"], row["words"]) == (1, "release version 1")
    assert carol.api.get("/api/v1/proposals").json()["results"] == []


def test_names_are_given_listed_and_removed(federation, ada, blaise, carol):
    first, second = (VersionFactory(federation=federation) for _ in range(2))
    for version in (first, second):
        given = post(ada, "aliases", {"version": str(version.pk), "name": "pilot-ward-3"})
        assert given.status_code == 201
    (row,) = blaise.api.get(f"/api/v1/aliases?federation={federation.pk}").json()["results"]
    assert (row["name"], row["version_number"]) == ("pilot-ward-3", 2)
    wrong = post(ada, "aliases", {"version": str(first.pk), "name": "main"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "alias_refused")
    remove = f"aliases/{row['id']}/remove"
    assert post(carol, remove).status_code == 404
    assert post(blaise, remove).status_code == 403
    assert [post(ada, remove).status_code for _ in range(2)] == [204, 204]
    assert ada.api.get("/api/v1/aliases").json()["results"] == []


@pytest.mark.parametrize("path", ["proposals", "aliases"])
def test_a_list_costs_the_same_for_one_row_and_for_many(
    federation, ada, path, django_assert_max_num_queries
):
    for number in range(5):
        version = VersionFactory(federation=federation)
        named = {"version": str(version.pk), "name": f"name-{number}"}
        body = proposal_of(version, "now") if path == "proposals" else named
        assert post(ada, path, body).status_code == 201
    with django_assert_max_num_queries(6):
        assert len(ada.api.get(f"/api/v1/{path}").json()["results"]) == 5
