"""Base models, versions and evaluations over the API."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hub.catalogue.versions.registry import release_version
from tests.api.test_blobs import fetch
from tests.factories.catalogue import (
    BaseModelFactory,
    EvaluationFactory,
    VersionFactory,
    safetensors_bytes,
    sha256_hex,
)
from tests.factories.federations import FederationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


def rows(person, path: str) -> list[dict]:
    response = person.api.get(f"/api/v1/{path}")
    assert response.status_code == 200, response.content
    return response.json()["results"]


def test_everybody_sees_base_models_and_their_files(carol):
    base = BaseModelFactory(slug="tiny", files={"config.json": b"{}"})
    (row,) = rows(carol, "base-models?slug=tiny")
    assert row["repo"] == "base/tiny"
    assert "files" not in row
    one = carol.api.get(f"/api/v1/base-models/{base.pk}").json()
    digest = sha256_hex(b"{}")
    assert one["files"] == [{"path": "config.json", "sha256": digest, "size_bytes": 2}]


def test_participants_see_versions_and_nobody_else(federation, ada, blaise, carol):
    version = VersionFactory(federation=federation)
    VersionFactory()
    for person in (ada, blaise):
        assert [row["id"] for row in rows(person, "versions")] == [str(version.pk)]
    assert rows(carol, "versions") == []
    one = blaise.api.get(f"/api/v1/versions/{version.pk}").json()
    assert one["repo"] == f"{federation.slug}/adapter"
    assert one["plan"] == version.plan
    assert [file["path"] for file in one["files"]] == ["adapter_model.safetensors"]
    path = f"/api/v1/versions/{version.pk}"
    for asked in (path, f"{path}/files/adapter_model.safetensors"):
        assert carol.api.get(asked).status_code == 404
    for act in ("release", "retire"):
        assert carol.api.post(f"{path}/{act}", {}).status_code == 404


def test_versions_are_found_by_federation_state_and_number(federation, ada):
    first, second = (VersionFactory(federation=federation) for _ in range(2))
    other = VersionFactory(federation=FederationFactory(lead=ada.organisation))
    release_version(user=ada.user, version_id=first.pk)

    def found(query: str) -> set[str]:
        return {row["id"] for row in rows(ada, f"versions?{query}")}

    assert found(f"federation={federation.pk}") == {str(first.pk), str(second.pk)}
    assert found("state=released") == {str(first.pk)}
    assert found("number=2") == {str(second.pk)}
    assert found(f"run={uuid4()}") == set()
    assert found("is_baseline=false") == {str(first.pk), str(second.pk), str(other.pk)}
    assert ada.api.get("/api/v1/versions?federation=x").status_code == 400
    assert ada.api.get("/api/v1/versions?plan__regex=x").status_code == 400


def test_the_lead_releases_rolls_back_and_retires(federation, ada, blaise):
    first, second = (VersionFactory(federation=federation) for _ in range(2))

    def act(person, version, verb: str, **body: str):
        return person.api.post(f"/api/v1/versions/{version.pk}/{verb}", body)

    assert act(blaise, first, "release").status_code == 403
    assert act(ada, first, "release").json()["state"] == "released"
    assert act(ada, second, "release").json()["state"] == "released"
    silent = act(ada, first, "release")
    assert (silent.status_code, silent.json()["code"]) == (422, "invalid")
    back = act(ada, first, "release", reason="v2 harms the smallest")
    assert back.json()["state"] == "released"
    assert act(ada, second, "retire").json()["state"] == "retired"
    assert act(ada, second, "release", colour="red").json()["code"] == "unknown_field"


def test_a_file_comes_under_its_name(federation, blaise):
    weights = safetensors_bytes(fill=7)
    version = VersionFactory(federation=federation, files={"nested/extra.safetensors": weights})
    path = f"/api/v1/versions/{version.pk}/files"
    response, body = fetch(blaise, f"{path}/nested/extra.safetensors")
    assert (response.status_code, body) == (200, weights)
    assert response["Content-Disposition"] == 'attachment; filename="extra.safetensors"'
    assert fetch(blaise, f"{path}/extra.safetensors")[0].status_code == 404
    assert fetch(blaise, f"{path}/../nested/extra.safetensors")[0].status_code == 404


def test_evaluations_are_seen_within_the_federation(federation, ada, blaise, carol):
    version = VersionFactory(federation=federation)
    place = federation.participations.get(organisation=blaise.organisation)
    run_id = uuid4()
    kept = EvaluationFactory(version=version, participation=place, run_id=run_id)
    EvaluationFactory()
    (row,) = rows(ada, f"evaluations?run={run_id}&round_number=1")
    assert row["id"] == str(kept.pk)
    assert row["organisation_name"] == "Blaise Bank"
    assert (row["examples"], row["correct"], row["loss_sum"]) == (100, 80, 50.0)
    assert rows(ada, f"evaluations?version={version.pk}&organisation={ada.organisation.pk}") == []
    assert rows(carol, "evaluations") == []


@pytest.mark.parametrize("path", ["base-models", "versions", "evaluations"])
def test_a_longer_list_takes_no_more_queries(federation, ada, path):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert rows(ada, path)
        return len(captured)

    EvaluationFactory(version=VersionFactory(federation=federation))
    queries()  # notes when the token was last used
    few = queries()
    for _ in range(5):
        EvaluationFactory(version=VersionFactory(federation=federation))
        BaseModelFactory(files={"config.json": b"{}"})
    assert queries() == few <= 5
