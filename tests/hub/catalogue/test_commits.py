"""Commits of a version: what is said of it grows, what was fetched stays what it was."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from hub.catalogue.blobs.artifacts import adopt_bytes
from hub.catalogue.hf.repositories import RevisionNotFound, find_snapshot
from hub.catalogue.models import CommitReason
from hub.catalogue.selectors import artifacts_visible_to
from hub.catalogue.versions.commits import add_commit, newest_commit, revision_of
from tests.factories.catalogue import VersionFactory
from tests.factories.federations import FederationFactory

pytestmark = pytest.mark.django_db
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


def said(version, text: str):
    """A further commit: the same weights, another card."""
    files = {WEIGHTS: version.adapter, "README.md": adopt_bytes(content=text.encode())}
    return add_commit(version=version, files=files, reason=CommitReason.EVALUATED)


def test_a_further_commit_is_the_newest_and_the_older_one_stays(federation, ada):
    version = VersionFactory(federation=federation, files={"README.md": b"soon"})
    other = VersionFactory(federation=federation)
    second = said(version, "92 % of all organisations' test data")

    def at(revision: str):
        found = find_snapshot(ada.user, federation.slug, "adapter", revision)
        return {file.path: file.artifact_id for file in found.files}

    assert at("v1") == at(second.revision) != at(version.revision)
    assert revision_of(at("v1")) == second.revision == newest_commit(version).revision
    assert revision_of(at(version.revision)) == version.revision
    assert at("v1")[WEIGHTS] == at(version.revision)[WEIGHTS] == version.adapter_id
    assert at("v2") == {WEIGHTS: other.adapter_id}
    with pytest.raises(RevisionNotFound):
        at("0" * 40)


def test_equal_files_are_no_second_commit(federation):
    version = VersionFactory(federation=federation)
    first = said(version, "card")
    assert said(version, "card") == first
    assert said(version, "another").number == 3
    assert said(version, "card").revision == first.revision  # as files may be again
    assert version.commits.count() == 4


def test_who_takes_part_may_read_what_a_commit_adds(federation, ada, blaise, carol):
    version = VersionFactory(federation=federation)
    said(version, "card")
    digests = [file.artifact_id for file in version.files]
    for person, count in ((ada, 2), (blaise, 2), (carol, 0)):
        assert artifacts_visible_to(person.user).filter(pk__in=digests).count() == count


@pytest.mark.django_db(transaction=True)
def test_commits_made_at_once_have_different_numbers():
    version = VersionFactory(federation=FederationFactory())
    gate = threading.Barrier(4, timeout=60)

    def race(text: str) -> int:
        try:
            gate.wait()
            return said(version, text).number
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(race, "abcd")) == [2, 3, 4, 5]
