from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from agent.artifacts import Fetcher
from agent.errors import Cancelled, TaskFailed
from agent.home import Home
from federation.protocol import ArtifactRef, BaseModelRef
from tests.agent import tiny
from tests.agent.fake_hub import FakeHub

CONTENT = random.Random(6).randbytes(3_000_000)
BASE = BaseModelRef(repo=tiny.BASE_REPO, revision=tiny.REVISION)


@pytest.fixture
def fetcher(home: Home, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    monkeypatch.setattr("agent.retries.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("agent.retries.LONGEST_PAUSE", 0.02)
    return Fetcher(home, lambda: None)


@pytest.fixture
def wanted(quiet_hub: FakeHub) -> ArtifactRef:
    return ArtifactRef(sha256=quiet_hub.put(CONTENT), size_bytes=len(CONTENT))


def test_a_cut_download_goes_on_where_it_stopped(
    quiet_hub: FakeHub, fetcher: Fetcher, wanted: ArtifactRef
) -> None:
    for cut in (1_100_000, 0, 70_000):
        quiet_hub.fail_next("GET .*/blobs/", cut_answer=cut)
    assert fetcher.artifact(wanted).read_bytes() == CONTENT
    ranges = [seen.headers.get("Range") for seen in quiet_hub.requests("/blobs/")]
    assert ranges[0] is None
    assert all(ranges[1:])


def test_an_artifact_is_fetched_once(
    quiet_hub: FakeHub, fetcher: Fetcher, wanted: ArtifactRef
) -> None:
    assert fetcher.artifact(wanted) == fetcher.artifact(wanted)
    assert len(quiet_hub.requests("/blobs/")) == 1


def test_the_artifacts_used_last_are_kept(home: Home, fetcher: Fetcher) -> None:
    folder = home.cache / "artifacts"
    folder.mkdir()
    for age in range(20):
        (folder / str(age)).touch()
        os.utime(folder / str(age), (1000 - age, 1000 - age))
    fetcher.prune()
    assert {path.name for path in folder.iterdir()} == {str(age) for age in range(16)}


def test_other_bytes_under_the_digest_are_refused(
    quiet_hub: FakeHub, fetcher: Fetcher, wanted: ArtifactRef
) -> None:
    quiet_hub.blobs[wanted.sha256] = CONTENT[::-1]
    with pytest.raises(TaskFailed, match="artifact_damaged"):
        fetcher.artifact(wanted)


def test_a_fetch_can_be_cancelled(home: Home, wanted: ArtifactRef) -> None:
    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        Fetcher(home, check).artifact(wanted)


def test_the_base_model_comes_by_the_hubs_dialect_once(
    quiet_hub: FakeHub, fetcher: Fetcher, base: Path
) -> None:
    quiet_hub.repositories[tiny.BASE_REPO] = base
    (base / "run_me.py").write_text("raise SystemExit")
    folder = fetcher.base(BASE)
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in base.iterdir()} - {"run_me.py"}
    asked = len(quiet_hub.seen)
    assert fetcher.base(BASE) == folder
    assert len(quiet_hub.seen) == asked


def test_a_base_model_that_was_damaged_here_is_mended(
    quiet_hub: FakeHub, fetcher: Fetcher, base: Path
) -> None:
    quiet_hub.repositories[tiny.BASE_REPO] = base
    weights = fetcher.base(BASE) / "model.safetensors"
    whole = weights.read_bytes()
    weights.resolve().write_bytes(whole[:100])
    fetcher.forget(BASE)
    assert (fetcher.base(BASE) / "model.safetensors").read_bytes() == whole


def test_a_base_model_that_is_not_what_its_name_says_is_refused(fetcher: Fetcher) -> None:
    with pytest.raises(TaskFailed, match="malformed"):
        fetcher.base(BaseModelRef(repo="../../etc", revision=tiny.REVISION))
