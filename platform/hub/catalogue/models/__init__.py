"""The rows of the catalogue; every module of it takes them from here."""

from __future__ import annotations

from hub.catalogue.models.artifacts import (
    Artifact,
    Grant,
    Upload,
    UploadState,
)
from hub.catalogue.models.bases import (
    BaseModel,
    BaseModelFile,
)
from hub.catalogue.models.cards import (
    ModelKey,
    Push,
    PushState,
)
from hub.catalogue.models.drafts import (
    BaseModelDraft,
    DraftFile,
    DraftState,
    LicenceAcceptance,
)
from hub.catalogue.models.evaluations import (
    BASE_ROUND,
    Evaluation,
)
from hub.catalogue.models.lines import (
    Alias,
    AliasState,
    Distance,
    DistanceState,
)
from hub.catalogue.models.merged import (
    MergedFile,
    MergedModel,
    MergedState,
)
from hub.catalogue.models.probes import (
    Probe,
    ProbeScore,
    ProbeScoreState,
)
from hub.catalogue.models.tallies import (
    GateResult,
    Tally,
)
from hub.catalogue.models.versions import (
    CommitReason,
    ModelVersion,
    VersionCommit,
    VersionFile,
    VersionState,
)

__all__ = [
    "BASE_ROUND",
    "Alias",
    "AliasState",
    "Artifact",
    "BaseModel",
    "BaseModelDraft",
    "BaseModelFile",
    "CommitReason",
    "Distance",
    "DistanceState",
    "DraftFile",
    "DraftState",
    "Evaluation",
    "GateResult",
    "Grant",
    "LicenceAcceptance",
    "MergedFile",
    "MergedModel",
    "MergedState",
    "ModelKey",
    "ModelVersion",
    "Probe",
    "ProbeScore",
    "ProbeScoreState",
    "Push",
    "PushState",
    "Tally",
    "Upload",
    "UploadState",
    "VersionCommit",
    "VersionFile",
    "VersionState",
]
