"""Commits of a version: its weights stay, what is said of them grows.

A version is published before it has been evaluated. What is known later (its metrics in the card,
the signature over all files) comes as a further commit. `v3` means the newest commit of version
3; the digests of the earlier ones go on meaning what they meant, so nobody's cache is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from django.db import transaction
from django.db.models import QuerySet

from hub.catalogue.blobs.artifacts import grant
from hub.catalogue.cards.attestations import SIGNATURE
from hub.catalogue.models import (
    Artifact,
    CommitReason,
    ModelVersion,
    VersionCommit,
    VersionFile,
)


def revision_of(files: Mapping[str, str]) -> str:
    """Name a set of files, {path: sha256}, by 40 hex digits, as a commit is named."""
    lines = "".join(f"{path} {sha256}\n" for path, sha256 in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:40]


@transaction.atomic
def add_commit(
    *, version: ModelVersion, files: Mapping[str, Artifact], reason: CommitReason
) -> VersionCommit:
    """Make these the files of a version; the same files again are the commit that is there.

    A signature is another one each time it is made; what counts is what it signs.
    """
    ModelVersion.objects.select_for_update(no_key=True, of=("self",)).get(pk=version.pk)
    newest = newest_commit(version)
    revision = revision_of(digests_of(files))
    if newest is not None and (newest.revision == revision or says_the_same(version, files)):
        return newest
    commit = VersionCommit.objects.create(
        version=version,
        number=newest.number + 1 if newest else 1,
        revision=revision,
        reason=reason,
    )
    VersionFile.objects.bulk_create(
        VersionFile(commit=commit, path=path, artifact=artifact)
        for path, artifact in sorted(files.items())
    )
    grant(artifacts=set(files.values()), federation=version.federation)
    return commit


def digests_of(files: Mapping[str, Artifact]) -> dict[str, str]:
    return {path: artifact.sha256 for path, artifact in files.items()}


def says_the_same(version: ModelVersion, files: Mapping[str, Artifact]) -> bool:
    """Whether the newest commit is signed and has these files, signatures aside."""
    newest = {file.path: file.artifact_id for file in version.files}
    is_signed = newest.pop(SIGNATURE, None) is not None
    wanted = digests_of(files)
    wanted.pop(SIGNATURE, None)
    return is_signed and newest == wanted


def files_of_commit(version: ModelVersion, number: int) -> QuerySet[VersionFile]:
    """None where the version has no commit of this number."""
    return VersionFile.objects.filter(commit__version=version, commit__number=number)


def newest_commit(version: ModelVersion) -> VersionCommit | None:
    """What `v<number>` means today."""
    return version.commits.order_by("-number").first()
