"""The further commit of a version: its card with what was measured, its lineage, its signature."""

from __future__ import annotations

import logging
from uuid import UUID

from hub.catalogue.blobs.artifacts import adopt_bytes
from hub.catalogue.cards.attestations import LINEAGE, SIGNATURE, lineage_of
from hub.catalogue.cards.files import CARD, as_json, model_card
from hub.catalogue.cards.records import is_evaluated, record_of, statement_digests
from hub.catalogue.models import Artifact, CommitReason, ModelVersion, VersionState
from hub.catalogue.versions.commits import add_commit, digests_of, says_the_same
from hub.catalogue.versions.lines import with_origin
from jobs.signing import sign

logger = logging.getLogger(__name__)


def describe(version_id: UUID) -> None:
    """Commit what is on record of a version now; where all is said already, nothing happens."""
    version = with_origin(ModelVersion.objects.filter(pk=version_id)).first()
    if version is None:
        return
    files = described_files(version)
    if says_the_same(version, files):
        return
    files[SIGNATURE] = adopt_bytes(content=sign(f"{version.repo} {version}", digests_of(files)))
    commit = add_commit(version=version, files=files, reason=_reason(version))
    logger.info("committed", extra={"version": str(version.pk), "revision": commit.revision})


def describe_released_of(federation_id: UUID) -> None:
    """The federation, or who takes part, says something else of what the released version is."""
    released = ModelVersion.objects.filter(federation=federation_id, state=VersionState.RELEASED)
    for version_id in released.values_list("pk", flat=True):
        describe(version_id)


def _reason(version: ModelVersion) -> CommitReason:
    """The first time its results are said they are what is new; later, the words are."""
    is_told = version.commits.filter(reason=CommitReason.EVALUATED).exists()
    is_new = is_evaluated(version) and not is_told
    return CommitReason.EVALUATED if is_new else CommitReason.DESCRIBED


def described_files(version: ModelVersion) -> dict[str, Artifact]:
    """The files that are there, with card and lineage written anew, and without a signature."""
    files = {file.path: file.artifact for file in version.files}
    files.pop(SIGNATURE, None)
    lineage = as_json(lineage_of(version, statement_digests(version)))
    return {
        **files,
        CARD: adopt_bytes(content=model_card(record_of(version)).encode()),
        LINEAGE: adopt_bytes(content=lineage),
    }
