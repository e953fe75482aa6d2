"""What a version says of itself once its evaluation has ended, and that the hub vouches for it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from huggingface_hub import ModelCard
from model_signing import verifying

from hub.catalogue.blobs.storage import store
from hub.catalogue.cards.records import statement_digests
from hub.catalogue.errors import ModelKeyUnusable
from hub.catalogue.models import ModelKey, ModelVersion
from hub.catalogue.versions.commits import newest_commit
from hub.catalogue.versions.lines import with_origin
from hub.catalogue.versions.releases import release_version
from hub.common.models import OutboxMessage
from hub.dispatch import Job
from hub.federations.services import describe_federation
from hub.runs.models import Round
from hub.runs.services import reconcile
from hub.runs.services.updates import statement_digest
from jobs.coordination import describe_released
from jobs.describing import describe
from jobs.signing import public_pem
from tests.factories.catalogue import EvaluationFactory, VersionFactory
from tests.factories.runs import PLAN, RoundFactory, RunFactory, TaskFactory, UpdateFactory

pytestmark = pytest.mark.django_db
FILES = {"README.md": b"soon", "adapter_config.json": b"{}"}


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def version(federation, ada, blaise):
    """A version of two organisations, in a round that is being evaluated."""
    federation.participations.filter(organisation=blaise.organisation).update(
        data_statement="Letters.\n# <b>of</b> customers"
    )
    run = RunFactory(federation=federation)
    current = RoundFactory(run=run, state="evaluating")
    contributors = []
    for place in federation.participations.order_by("organisation__name"):
        task = TaskFactory(round=current, participation=place, state="completed")
        update = UpdateFactory(task=task, counted_in=current, statement={"examples": 100})
        contributors.append(
            {
                "organisation": place.organisation.name,
                "update": str(update.pk),
                "digest": update.artifact_id,
                "examples": 100,
                "weight": 0.5,
            }
        )
    made = VersionFactory(
        federation=federation,
        plan=PLAN.model_dump(mode="json"),
        plan_digest=PLAN.digest(),
        contributors=contributors,
        report={"relative_error": 0.0123},
        files=FILES,
    )
    Round.objects.filter(pk=current.pk).update(version=made)
    for place, correct in zip(federation.participations.order_by("pk"), (90, 70), strict=True):
        facts = {"participation": place, "run_id": run.pk, "correct": correct}
        EvaluationFactory(version=made, **facts)
    return made


def close(version: ModelVersion) -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    Round.objects.filter(version=version).update(state="closed", state_changed_at=long_ago)


def asked_for(job: Job) -> list[str]:
    return [message.arguments[0] for message in OutboxMessage.objects.filter(job=job)]


def read(version: ModelVersion, path: str) -> str:
    return store().local_path(version.files.get(path=path).artifact_id).read_text()


def downloaded(version: ModelVersion, folder: Path) -> Path:
    folder.mkdir()
    for file in version.files:
        (folder / file.path).write_bytes(store().local_path(file.artifact_id).read_bytes())
    return folder


def test_what_is_committed_after_the_evaluation_is_said_once(version):
    published = newest_commit(version)
    close(version)
    describe(version.pk)
    evaluated = newest_commit(version)
    assert (evaluated.number, evaluated.reason) == (2, "evaluated")
    assert {file.path for file in version.files} == {
        *FILES,
        "adapter_model.safetensors",
        "lineage.json",
        "model.sig",
    }
    assert version.files.get(path="adapter_config.json").artifact == (
        published.files.get(path="adapter_config.json").artifact
    )
    describe(version.pk)
    assert newest_commit(version) == evaluated


def test_a_released_version_says_what_its_federation_says_now(version, federation, ada):
    close(version)
    describe(version.pk)
    release_version(user=ada.user, version_id=version.pk)
    candidate = VersionFactory(federation=federation, files=FILES)
    texts = {"intended_use": "Sorting post.", "limits": "Nothing about people."}
    for _ in range(2):
        describe_federation(user=ada.user, federation_id=federation.pk, **texts)
    assert asked_for(Job.DESCRIBE_RELEASED) == [str(federation.pk)]
    for _ in range(2):
        describe_released(str(federation.pk))
    assert [commit.reason for commit in version.commits.all()] == [
        "published",
        "evaluated",
        "described",
    ]
    assert "Nothing about people." in read(version, "README.md")
    assert version.files.filter(path="model.sig").exists()
    assert candidate.commits.count() == 1
    before = version.commits.get(number=2).files.get(path="README.md").artifact_id
    assert "Nothing about people." not in store().local_path(before).read_text()


def test_the_card_has_every_figure_and_nobody_s_markup(version):
    close(version)
    describe(version.pk)
    text = read(version, "README.md")
    for said in (
        "| **all together** | 80.0% |",
        "| Ada Institute |",
        "Blaise Bank:\n\n> Letters.\n>\n> \\# \\<b\\>of\\</b\\> customers",
        "Ada Institute has not said.",
        "Round 1 of 5",
        "1.230%",
        "The hub received every organisation's update in clear",
        version.adapter_id,
        "foedus-verify model",
    ):
        assert said in text
    card = ModelCard(text)
    results = {result.dataset_config: result for result in card.data.eval_results}
    assert results["all organisations together"].metric_value == 0.8
    assert {result.metric_type for result in results.values()} == {"accuracy"}
    assert len(results) == 3
    assert card.data.to_yaml() == ModelCard(str(card)).data.to_yaml()


def test_the_lineage_names_plan_base_parent_and_signed_statements(version):
    close(version)
    describe(version.pk)
    said = json.loads(read(version, "lineage.json"))
    assert said["subject"][0]["digest"]["sha256"] == version.adapter_id
    predicate = said["predicate"]
    assert (predicate["version"], predicate["parent"]) == (version.number, None)
    assert predicate["plan_sha256"] == version.plan_digest
    assert predicate["base_model"]["revision"] == version.base_model.revision
    expected = statement_digest({"examples": 100})
    assert {one["statement_sha256"] for one in predicate["contributors"]} == {expected}
    found = with_origin(ModelVersion.objects.filter(pk=version.pk)).get()
    assert set(statement_digests(found).values()) == {expected}


def test_the_library_of_the_format_verifies_what_the_hub_signed(version, settings, tmp_path):
    close(version)
    describe(version.pk)
    folder = downloaded(version, tmp_path / "model")
    key = tmp_path / "hub.pem"
    key.write_text(ModelKey.objects.get().pem)
    assert key.read_text() == public_pem(Path(settings.MODEL_SIGNING_KEY_FILE))
    checks = verifying.Config().use_elliptic_key_verifier(public_key=key)
    checks.verify(folder, folder / "model.sig")
    (folder / "adapter_config.json").write_text("{ }")
    with pytest.raises(ValueError, match="adapter_config"):
        checks.verify(folder, folder / "model.sig")


def test_without_a_key_nothing_is_committed_and_it_is_asked_for_again(version, settings, tmp_path):
    close(version)
    settings.MODEL_SIGNING_KEY_FILE = tmp_path / "absent"
    with pytest.raises(ModelKeyUnusable):
        describe(version.pk)
    (tmp_path / "absent").write_text("not a key")
    with pytest.raises(ModelKeyUnusable):
        describe(version.pk)
    assert version.commits.count() == 1
    reconcile()
    assert asked_for(Job.COMMIT_VERSION) == [str(version.pk)]


def test_the_reconciler_asks_for_what_no_commit_says(version):
    reconcile()
    assert asked_for(Job.COMMIT_VERSION) == []
    close(version)
    reconcile()
    assert asked_for(Job.COMMIT_VERSION) == [str(version.pk)]
    describe(version.pk)
    reconcile()
    assert asked_for(Job.COMMIT_VERSION) == [str(version.pk)]


def test_the_public_key_is_shown_to_everybody_at_a_well_known_place(version, carol):
    assert Client().get("/.well-known/foedus/model-keys.json").json() == {"keys": []}
    close(version)
    describe(version.pk)
    key = ModelKey.objects.get()
    shown = Client().get("/.well-known/foedus/model-keys.json").json()["keys"]
    assert [(one["key_id"], one["pem"]) for one in shown] == [(key.key_id, key.pem)]
    assert "PRIVATE" not in key.pem
    listed = carol.api.get("/api/v1/model-keys").json()["results"]
    assert [one["pem"] for one in listed] == [key.pem]
