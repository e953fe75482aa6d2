"""Merged models from the first wish to their files, and until they make room."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from safetensors.numpy import load_file

from federation.modelling import create_adapter
from hub.catalogue.bases.registering import register_base_model
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.blobs.storage import store
from hub.catalogue.errors import BeingMerged, NotMergeable
from hub.catalogue.hf.repositories import find_snapshot
from hub.catalogue.hf.snapshots import EntryNotFound, RepoNotFound
from hub.catalogue.models import CommitReason, ModelVersion
from hub.catalogue.versions import merging
from hub.catalogue.versions.commits import add_commit
from hub.catalogue.versions.merging import evict_merged, require_merged, want_merged
from hub.common.errors import NotFound
from hub.common.models import Event, OutboxMessage
from hub.common.sentences import sentence
from hub.dispatch import Job
from jobs.compute import merge_model
from tests.agent import tiny
from tests.factories.catalogue import VersionFactory
from tests.pages import browser, words

LORA = {"version": 1, "task": {"type": "causal_lm"}, "adapter": {"type": "lora"}}
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"
    settings.HOME = tmp_path / "home"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def version(base, federation, tmp_path) -> ModelVersion:
    """A fresh adapter over a real if tiny base, as a version."""
    from federation.modelling import adapter_config

    plan = tiny.plan()
    federation.base_model = register_base_model(
        folder=base, slug="tiny", name="Tiny", licence="Apache-2.0"
    )
    federation.save()
    create_adapter(base=base, plan=plan, target=tmp_path / "adapter")
    config = json.dumps(adapter_config(plan, base_repo="base/tiny")).encode()
    return VersionFactory(
        federation=federation,
        adapter=adopt_file(path=tmp_path / "adapter"),
        plan=plan.model_dump(mode="json"),
        files={"adapter_config.json": config},
    )


def jobs() -> list[str]:
    return [message.arguments[0] for message in OutboxMessage.objects.filter(job=Job.MERGE_MODEL)]


def work() -> None:
    """All that was asked for, each message twice."""
    for merged in jobs():
        merge_model(merged)
        merge_model(merged)


def told(version: ModelVersion) -> list[str]:
    events = Event.objects.filter(kind__startswith="merged.").order_by("pk")
    return [sentence(event) for event in events]


def test_whoever_asks_first_has_it_made_and_it_is_made_once(version, ada):
    snapshot = find_snapshot(ada.user, version.federation.slug, "adapter-merged", "v1")
    assert jobs() == []  # its name alone costs nothing
    assert "model.safetensors" in snapshot.paths
    for _ in range(2):
        with pytest.raises(BeingMerged) as waiting:
            snapshot.file("config.json")
        assert waiting.value.retry_after >= 5
    assert len(jobs()) == 1
    work()
    found = {file.path: file.artifact for file in snapshot.below("")}
    base = version.base_model.files.all()
    assert found.keys() == {*(file.path for file in base), "README.md"}
    kept = {file.path for file in base if file.artifact_id == found[file.path].pk}
    assert found.keys() - kept == {"config.json", "model.safetensors", "README.md"}
    weights = load_file(store().local_path(found["model.safetensors"].pk))
    assert "classifier.weight" in weights
    assert told(version) == [
        "Version 1 is to be merged into its base model",
        "Version 1 was merged into its base model",
    ]
    again = find_snapshot(ada.user, version.federation.slug, "adapter-merged", snapshot.commit)
    assert again.file("config.json") == snapshot.file("config.json")
    with pytest.raises(EntryNotFound) as missing:
        snapshot.file("none")
    assert missing.value.commit == snapshot.commit


def test_its_card_names_its_base_and_loads_with_transformers(version):
    want_merged(version=version)
    work()
    readme = require_merged(version).files.get(path="README.md").artifact
    card = store().local_path(readme.pk).read_text()
    assert "base_model: base/tiny\n" in card
    assert "base_model_relation: merge" in card
    assert "pipeline_tag: token-classification" in card
    assert version.adapter_id in card


def test_only_those_who_may_see_the_adapter_may_see_it_merged(version, carol, ada):
    with pytest.raises(RepoNotFound):
        find_snapshot(carol.user, version.federation.slug, "adapter-merged", "v1")
    with pytest.raises(RepoNotFound):
        find_snapshot(ada.user, "base", "tiny-merged", "main")


def test_a_learnt_prompt_is_refused_at_once(federation, ada):
    plan = {**LORA, "adapter": {"type": "prompt_tuning"}}
    version = VersionFactory(federation=federation, plan=plan)
    with pytest.raises(NotMergeable, match="stands before the text"):
        want_merged(version=version)
    with pytest.raises(NotMergeable):
        find_snapshot(ada.user, federation.slug, "adapter-merged", "v1")
    assert jobs() == []


def test_what_cannot_be_merged_says_why_and_is_not_tried_again_by_itself(version):
    other = {file.path: file.artifact for file in version.files}
    other["adapter_config.json"] = version.base_model.files.get(path="config.json").artifact
    add_commit(version=version, files=other, reason=CommitReason.DESCRIBED)
    version.base_model.files.get(path="config.json").delete()
    want_merged(version=version)
    work()
    for _ in range(2):
        with pytest.raises(NotMergeable, match=r"config\.json"):
            require_merged(version)
    assert len(jobs()) == 1
    assert told(version)[-1].startswith("Version 1 could not be merged: ")
    assert want_merged(version=version, again=True).state == "queued"
    assert len(jobs()) == 2


def test_a_merge_that_kills_its_worker_is_given_up(version):
    merged = want_merged(version=version)
    for _ in range(merging.MOST_ATTEMPTS):
        assert merging.begin_merge(merged_id=merged.pk) is not None
    assert merging.begin_merge(merged_id=merged.pk) is None
    with pytest.raises(NotMergeable, match="died 5 times"):
        require_merged(version)


def test_a_message_about_nothing_is_refused(db):
    with pytest.raises(NotFound):
        merging.begin_merge(merged_id="00000000-0000-0000-0000-000000000000")


@pytest.fixture
def three(version, federation):
    """Merged models of three versions with the same files, which were used one after another."""
    want_merged(version=version)
    work()
    files = {file.path: file.artifact for file in require_merged(version).files.all()}
    found = [want_merged(version=version)]
    for _ in range(2):
        other = VersionFactory(federation=federation, plan=LORA)
        found.append(want_merged(version=other))
        merging.record_merge(merged_id=found[-1].pk, files=files)
        merging.record_merge(merged_id=found[-1].pk, files=files)
    for days, merged in zip((9, 5, 7), found, strict=True):
        type(merged).objects.filter(pk=merged.pk).update(
            used_at=timezone.now() - timedelta(days=days)
        )
    size = sum(artifact.size_bytes for artifact in files.values())
    return found, size


def states(found) -> list[str]:
    for merged in found:
        merged.refresh_from_db()
    return [merged.state for merged in found]


def test_when_room_is_short_the_longest_unused_goes(three):
    found, size = three
    assert evict_merged(limit_bytes=3 * size) == 0
    assert evict_merged(limit_bytes=2 * size) == 1
    assert states(found) == ["absent", "ready", "ready"]
    assert evict_merged(limit_bytes=2 * size - 1) == 1
    assert states(found) == ["absent", "ready", "absent"]
    require_merged(found[1].version)  # somebody asks
    assert evict_merged(limit_bytes=0) == 0


def test_what_has_gone_comes_again_as_the_same_bytes(version):
    want_merged(version=version)
    work()
    merged = require_merged(version)
    before = dict(merged.files.values_list("path", "artifact"))
    type(merged).objects.update(used_at=timezone.now() - timedelta(days=9))
    evict_merged(limit_bytes=0)
    with pytest.raises(BeingMerged):
        require_merged(version)
    work()
    assert dict(require_merged(version).files.values_list("path", "artifact")) == before


def test_the_page_of_the_card_shows_how_far_it_is_and_has_it_made(version, ada, carol):
    page = reverse("catalogue:card", args=[version.pk])
    client, merge = browser(ada.user), reverse("catalogue:merge", args=[version.pk])
    assert "Make it now" in words(client.get(page))
    for _ in range(2):
        assert client.post(merge).url == f"{page}#merged"
    assert "being made" in words(client.get(page))
    assert len(jobs()) == 1
    work()
    shown = words(client.get(page))
    assert f"{version.federation.slug}/adapter-merged" in shown
    assert "AutoModelForTokenClassification.from_pretrained" in shown
    assert browser(carol.user).post(merge).status_code == 404


def test_the_page_says_why_there_is_none(federation, ada):
    plan = {**LORA, "adapter": {"type": "prompt_tuning"}}
    version = VersionFactory(federation=federation, plan=plan)
    page = browser(ada.user).get(reverse("catalogue:card", args=[version.pk]))
    assert "stands before the text" in words(page)
    assert "Make it now" not in words(page)


def test_the_api_says_how_far_it_is_and_has_it_made(version, ada, carol):
    path = f"/api/v1/versions/{version.pk}"
    assert ada.api.get(f"{path}/merged").json()["state"] == "absent"
    for _ in range(2):
        told = ada.api.post(f"{path}/merge")
        assert (told.status_code, told.json()["state"]) == (202, "queued")
    assert told.json()["repo"] == f"{version.federation.slug}/adapter-merged"
    assert len(jobs()) == 1
    assert carol.api.get(f"{path}/merged").status_code == 404
