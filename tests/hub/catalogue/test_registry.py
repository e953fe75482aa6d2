"""Versions: numbered without gaps, released one at a time, evaluated in numbers that add up."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection
from huggingface_hub import ModelCard

from federation.plan import CausalLanguageModelling, Plan, SequenceClassification
from federation.protocol import EvaluationResult
from hub.catalogue.blobs.artifacts import adopt_bytes
from hub.catalogue.blobs.storage import store
from hub.catalogue.errors import NotReleasable
from hub.catalogue.hf.repositories import RevisionNotFound, find_snapshot
from hub.catalogue.models import Artifact, Evaluation
from hub.catalogue.selectors import (
    artifacts_visible_to,
    evaluations_visible_to,
    pooled,
    released_version,
    versions_visible_to,
)
from hub.catalogue.versions.registry import (
    publish_version,
    record_evaluation,
    release_version,
    retire_version,
    revision_of,
    version_files,
)
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event
from tests.factories.catalogue import EvaluationFactory, VersionFactory, safetensors_bytes
from tests.factories.federations import FederationFactory, ParticipationFactory

pytestmark = pytest.mark.django_db

LABELS = ("ham", "spam", "<b>x</b>")
CLASSIFICATION = Plan(task=SequenceClassification(labels=LABELS))
LANGUAGE = Plan(task=CausalLanguageModelling())


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


def publish(federation, *, seed: int = 0, parent=None, **changes):
    adapter = adopt_bytes(content=safetensors_bytes(fill=seed))
    files = {
        "adapter_model.safetensors": adapter,
        "README.md": adopt_bytes(content=b"card %d" % seed),
    }
    facts = {
        "federation": federation,
        "base_model": federation.base_model,
        "parent": parent,
        "adapter": adapter,
        "files": files,
        "plan": CLASSIFICATION.model_dump(mode="json"),
        "plan_digest": CLASSIFICATION.digest(),
        "rank": 8,
        "contributors": [{"organisation": "Ada Institute", "examples": 10, "weight": 1.0}],
        "report": {"relative_error": 0.0},
        **changes,
    }
    return publish_version(**facts)


def test_a_version_has_its_number_files_and_revision(federation):
    first = publish(federation)
    second = publish(federation, seed=1, parent=first)
    assert [first.number, second.number] == [1, 2]
    assert (first.state, second.parent) == ("candidate", first)
    files = {file.path: file.artifact_id for file in second.files.all()}
    assert set(files) == {"adapter_model.safetensors", "README.md"}
    assert second.revision == revision_of(files) != first.revision
    assert publish(FederationFactory(), seed=2).number == 1
    assert Event.objects.get(subject_id=first.pk).kind == "version.published"


def test_participants_may_read_its_files_and_nobody_else(federation, ada, blaise, carol):
    version = publish(federation)
    digests = {file.artifact_id for file in version.files.all()}
    for person in (ada, blaise):
        assert artifacts_visible_to(person.user).filter(pk__in=digests).count() == 2
        assert list(versions_visible_to(person.user)) == [version]
    assert not artifacts_visible_to(carol.user).filter(pk__in=digests).exists()
    assert not versions_visible_to(carol.user).exists()


@pytest.mark.django_db(transaction=True)
def test_versions_published_at_once_have_different_numbers():
    federation = FederationFactory()
    gate = threading.Barrier(8, timeout=60)

    def race(seed: int) -> int:
        try:
            gate.wait()
            return publish(federation, seed=seed).number
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(race, range(8))) == list(range(1, 9))


def test_releasing_retires_the_one_before(federation, ada):
    first, second = publish(federation), publish(federation, seed=1)
    release_version(user=ada.user, version_id=first.pk)
    release_version(user=ada.user, version_id=second.pk)
    release_version(user=ada.user, version_id=second.pk)
    first.refresh_from_db()
    assert first.state == "retired"
    assert released_version(federation) == second
    steps = Event.objects.filter(subject_id__in=[first.pk, second.pk]).exclude(from_state="")
    assert [(e.subject_id, e.to_state) for e in steps] == [
        (first.pk, "released"),
        (first.pk, "retired"),
        (second.pk, "released"),
    ]
    assert {e.actor_id for e in steps} == {ada.user.pk}


def test_rolling_back_is_releasing_an_older_one_with_a_reason(federation, ada):
    first, second = publish(federation), publish(federation, seed=1)
    for version in (first, second):
        release_version(user=ada.user, version_id=version.pk)
    with pytest.raises(Invalid):
        release_version(user=ada.user, version_id=first.pk)
    back = release_version(user=ada.user, version_id=first.pk, reason="v2 harms the smallest")
    assert released_version(federation) == back == first
    assert Event.objects.filter(subject_id=first.pk).last().reason == "v2 harms the smallest"


def test_only_the_lead_releases_and_strangers_see_nothing(federation, blaise, carol):
    version = publish(federation)
    for act in (release_version, retire_version):
        with pytest.raises(Forbidden):
            act(user=blaise.user, version_id=version.pk)
        with pytest.raises(NotFound):
            act(user=carol.user, version_id=version.pk)
        with pytest.raises(NotFound):
            act(user=blaise.user, version_id=uuid4())


def test_a_baseline_is_for_comparison_only(federation, ada):
    version = publish(federation, is_baseline=True)
    with pytest.raises(NotReleasable):
        release_version(user=ada.user, version_id=version.pk)


def test_retiring_twice_is_retiring_once(federation, ada):
    version = publish(federation)
    retire_version(user=ada.user, version_id=version.pk)
    assert retire_version(user=ada.user, version_id=version.pk).state == "retired"
    assert Event.objects.filter(subject_id=version.pk, to_state="retired").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_releases_at_once_leave_one_released(ada, federation):
    versions = [publish(federation, seed=seed) for seed in range(4)]
    gate = threading.Barrier(4, timeout=60)

    def race(version) -> None:
        try:
            gate.wait()
            release_version(user=ada.user, version_id=version.pk, reason="now")
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(race, versions))
    assert federation.versions.filter(state="released").count() == 1


def test_revisions_mean_what_people_expect(federation, ada):
    def at(revision: str) -> str:
        return find_snapshot(ada.user, federation.slug, "adapter", revision).commit

    with pytest.raises(RevisionNotFound):
        at("main")
    one, two, three = (publish(federation, seed=seed) for seed in range(3))
    baseline = publish(federation, seed=9, is_baseline=True)
    assert at("main") == at("latest") == three.revision
    with pytest.raises(RevisionNotFound):
        at("released")
    release_version(user=ada.user, version_id=one.pk)
    assert at("main") == at("released") == one.revision
    assert at("latest") == three.revision
    retire_version(user=ada.user, version_id=three.pk)
    assert at("latest") == two.revision
    assert at("v3") == at(three.revision) == three.revision
    assert at("v4") == at(baseline.revision) == baseline.revision
    for unknown in ("v0", "v5", "v", "0" * 40, "MAIN", "v٣", ""):
        with pytest.raises(RevisionNotFound):
            at(unknown)


def files_of(plan: Plan, federation) -> dict[str, Artifact]:
    return version_files(
        plan=plan,
        federation=federation,
        adapter=adopt_bytes(content=safetensors_bytes()),
        contributors=[
            {"organisation": "Ada & <script>", "examples": 30, "weight": 0.75},
            {"organisation": "Blaise|Bank", "examples": 10, "weight": 0.25},
        ],
    )


def read(artifact: Artifact) -> str:
    return store().local_path(artifact.sha256).read_text()


def test_the_files_of_a_version_are_what_clients_look_for(federation):
    files = files_of(CLASSIFICATION, federation)
    assert set(files) == {
        "adapter_model.safetensors",
        "adapter_config.json",
        "README.md",
        "labels.json",
    }
    config = json.loads(read(files["adapter_config.json"]))
    assert config["base_model_name_or_path"] == federation.base_model.repo
    assert config["peft_type"] == "LORA"
    assert json.loads(read(files["labels.json"])) == list(LABELS)
    assert "labels.json" not in files_of(LANGUAGE, federation)


def test_the_same_records_give_the_same_files(federation):
    assert files_of(CLASSIFICATION, federation) == files_of(CLASSIFICATION, federation)


@pytest.mark.parametrize("plan", [CLASSIFICATION, LANGUAGE], ids=["labels", "text"])
def test_the_card_has_metadata_and_no_markup_of_others(federation, plan):
    federation.name, federation.purpose = "Spam # <img src=x>", "[click](javascript:1)"
    text = read(files_of(plan, federation)["README.md"])
    card = ModelCard(text)
    assert card.data.base_model == federation.base_model.repo
    assert card.data.library_name == "peft"
    assert card.data.license == "apache-2.0"
    assert "\\<img src=x\\>" in text
    assert "\\[click\\](javascript:1)" in text
    assert "Blaise\\|Bank" in text
    assert "75.0%" in text
    assert f'PeftModel.from_pretrained(base, "{federation.slug}/adapter")' in text


def record(place, version, *, run_id=None, correct: int = 7, **changes):
    result = EvaluationResult(name="1", examples=10, correct=correct, loss_sum=5.0)
    facts = {
        "adapter_id": version.adapter_id,
        "version": version,
        "participation": place,
        "run_id": run_id or uuid4(),
        "round_number": 1,
        "result": result,
        **changes,
    }
    return record_evaluation(**facts)


def test_of_two_evaluations_the_first_counts(federation, ada, carol):
    version, run_id = publish(federation), uuid4()
    place = federation.participations.get(organisation=ada.organisation)
    first = record(place, version, run_id=run_id)
    assert record(place, version, run_id=run_id, correct=9) == first
    assert Evaluation.objects.get().correct == 7
    assert list(evaluations_visible_to(ada.user)) == [first]
    assert not evaluations_visible_to(carol.user).exists()


def test_pooled_is_what_one_place_would_have_measured():
    version = VersionFactory()
    sizes = [(100, 80, 40.0), (10, 1, 30.5), (1, 1, 0.25)]
    given = [
        EvaluationFactory(version=version, examples=n, correct=k, loss_sum=loss)
        for n, k, loss in sizes
    ]
    whole = pooled(given)
    assert (whole.examples, whole.accuracy, whole.loss) == (111, 82 / 111, 70.75 / 111)
    assert pooled(reversed(given)) == whole
    each = whole.by_participation
    assert {each[e.participation_id].accuracy for e in given} == {0.8, 0.1, 1.0}
    assert whole.worst.accuracy == 0.1


def test_pooled_language_models_are_measured_by_token():
    version = VersionFactory()
    given = [
        EvaluationFactory(version=version, correct=None, tokens=tokens, loss_sum=loss)
        for tokens, loss in ((1000, 3000.0), (10, 90.0))
    ]
    whole = pooled(given)
    assert (whole.accuracy, whole.loss) == (None, 3090 / 1010)
    assert whole.worst.loss == 9.0


def test_nothing_pooled_is_an_error():
    with pytest.raises(ValueError, match="nothing"):
        pooled([])


def test_who_leaves_sees_versions_no_more(federation, blaise):
    publish(federation)
    federation.participations.get(organisation=blaise.organisation).move_to("left")
    assert not versions_visible_to(blaise.user).exists()
    ParticipationFactory(organisation=blaise.organisation)
    assert not versions_visible_to(blaise.user).exists()
