"""What the libraries fetch a second time, when a name moves, and where they wait: nothing in vain."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from django.db import connection
from huggingface_hub import hf_hub_download, snapshot_download

from hub.catalogue.models import MergedModel
from hub.catalogue.versions import merging
from hub.catalogue.versions.aliases import give_alias
from tests.api.dialect import token_of
from tests.api.live import wait_for
from tests.factories.catalogue import ArtifactFactory, VersionFactory

WEIGHTS = "adapter_model.safetensors"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"


@pytest.fixture
def options(hub, ada, tmp_path):
    return {"endpoint": f"{hub.url}/hf", "token": token_of(ada), "cache_dir": tmp_path / "cache"}


def asked(hub) -> list[str]:
    """What has been asked since the last time, as `METHOD last-part-of-path`."""
    found = [f"{method} {path.rpartition('/')[2]}" for method, path, _ in hub.requests]
    hub.requests.clear()
    return sorted(found)


def fetched(hub) -> set[str]:
    return {request for request in asked(hub) if request.startswith("GET ")}


def test_a_name_that_moves_brings_what_is_new_and_nothing_else(federation, ada, hub, options):
    files = {"labels.json": b'["a"]'}
    first, second = (VersionFactory(federation=federation, files=files) for _ in range(2))
    give_alias(user=ada.user, version_id=first.pk, name="ward")
    before = hf_hub_download(first.repo, WEIGHTS, revision="ward", **options)
    assert asked(hub) == [f"GET {WEIGHTS}", f"HEAD {WEIGHTS}"]
    assert hf_hub_download(first.repo, WEIGHTS, revision="ward", **options) == before
    assert asked(hub) == [f"HEAD {WEIGHTS}"]
    assert hf_hub_download(first.repo, WEIGHTS, revision=first.revision, **options) == before
    assert asked(hub) == []  # digits never mean anything else

    whole = Path(snapshot_download(first.repo, revision="ward", **options))
    assert fetched(hub) == {f"GET {first.revision}", "GET labels.json", "GET ward"}
    assert snapshot_download(first.repo, revision="ward", **options) == str(whole)
    assert asked(hub) == ["GET ward"]

    give_alias(user=ada.user, version_id=second.pk, name="ward")
    moved = Path(snapshot_download(first.repo, revision="ward", **options))
    assert moved.name == second.revision
    assert fetched(hub) == {f"GET {second.revision}", f"GET {WEIGHTS}", "GET ward"}
    assert Path(before).read_bytes() != (moved / WEIGHTS).read_bytes()
    assert (moved / "labels.json").resolve() == (whole / "labels.json").resolve()


def test_some_files_come_into_a_folder(federation, ada, hub, options, tmp_path):
    version = VersionFactory(federation=federation, files={"README.md": b"# It", "a/b.json": b"{}"})
    del options["cache_dir"]
    folder = snapshot_download(
        version.repo, allow_patterns=["*.md", "*.json"], local_dir=tmp_path / "here", **options
    )
    found = {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}
    assert {path for path in found if not path.startswith(".cache")} == {"README.md", "a/b.json"}
    assert f"GET {WEIGHTS}" not in asked(hub)


def test_whoever_is_first_to_want_a_merged_model_waits_for_it(
    federation, ada, hub, options, monkeypatch
):
    monkeypatch.setattr(merging, "SHORTEST", 0)
    version = VersionFactory(federation=federation)
    worker = threading.Thread(target=merge_when_wanted, args=[ArtifactFactory()])
    worker.start()
    try:
        path = hf_hub_download(f"{version.repo}-merged", "config.json", **options)
    finally:
        worker.join()
    assert Path(path).exists()
    assert hub.statuses("HEAD", "config.json")[0] == 503
    assert hub.statuses("HEAD", "config.json")[-1] == 200


def merge_when_wanted(artifact) -> None:
    """What a worker does, once somebody has been told to wait."""
    try:
        wait_for(lambda: MergedModel.objects.filter(state="queued").exists())
        (wanted,) = MergedModel.objects.all()
        merging.record_merge(merged_id=wanted.pk, files={"config.json": artifact})
    finally:
        connection.close()
