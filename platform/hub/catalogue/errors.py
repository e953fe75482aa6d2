"""The refusals of the catalogue."""

from __future__ import annotations

from hub.common.errors import DependencyDown, DomainError, Forbidden, Invalid, StorageFull


class ArtifactUnavailable(DependencyDown):
    code = "artifact_unavailable"
    title = "The bytes cannot be read at the moment."


class RangeUnsatisfiable(DomainError):
    status = 416
    code = "range_unsatisfiable"
    title = "There are no such bytes."


class UploadTooLarge(DomainError):
    status = 413
    code = "upload_too_large"
    title = "This is more than may be uploaded."


class PartTooLarge(DomainError):
    status = 413
    code = "part_too_large"
    title = "One request may not bring so many bytes."


class TooManyUploads(DomainError):
    status = 429
    code = "too_many_uploads"
    title = "The organisation has too many open uploads."


class LengthMissing(DomainError):
    status = 411
    code = "length_missing"
    title = "This request needs a Content-Length header."


class BadUploadHeader(DomainError):
    status = 400
    code = "bad_upload_header"
    title = "A header of the upload protocol is missing or malformed."


class WrongMediaType(DomainError):
    status = 415
    code = "media_type"
    title = "The body has another type than this takes."


class WrongTusVersion(DomainError):
    status = 412
    code = "tus_version"
    title = "This hub speaks version 1.0.0 of the tus protocol."


class OffsetMismatch(DomainError):
    code = "offset_mismatch"
    title = "The upload goes on at another offset."


class UploadFinished(DomainError):
    code = "upload_finished"
    title = "All bytes of this upload are in."


class UploadGone(DomainError):
    status = 410
    code = "upload_closed"
    title = "This upload is closed."


class DigestMismatch(DomainError):
    status = 422
    code = "digest_mismatch"
    title = "The bytes are not those that were announced."


class BaseModelRefused(Invalid):
    code = "base_model_refused"
    title = "This folder cannot be a base model."


class BaseModelChanged(DomainError):
    code = "base_model_changed"
    title = "A base model of this name has other files."


class NoPlayground(Invalid):
    code = "no_playground"
    title = "This version cannot be tried here."


class PlaygroundBusy(DomainError):
    status = 429
    code = "playground_busy"
    title = "The playground is busy."


class TooManyQuestions(DomainError):
    status = 429
    code = "too_many_questions"
    title = "Your earlier questions are still being answered."


class AnswerGone(DomainError):
    status = 410
    code = "answer_gone"
    title = "The question and its answer are gone."


class NotAnswered(Invalid):
    """The worker refused; `code` is that of `federation.modelling.ModellingRefused`."""

    title = "The question was not answered."

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code  # type: ignore[misc]


class BaseModelIncomplete(DomainError):
    code = "base_model_incomplete"
    title = "Some files of this base model have not arrived."


class DraftClosed(DomainError):
    status = 410
    code = "base_model_draft_closed"
    title = "This base model takes no more files."


class SourceNotAllowed(Invalid):
    code = "source_not_allowed"
    title = "Base models are not mirrored from there."


class LicenceNotAccepted(Forbidden):
    code = "licence_not_accepted"
    title = "Your organisation has not accepted the licence of this base model."


class LicencesMissing(DomainError):
    code = "licences_missing"
    title = "Not all who take part have accepted the licence of the base model."


class QuotaReached(StorageFull):
    code = "quota_reached"
    title = "There is no room left in what this may take."


class NotMergeable(DomainError):
    code = "not_mergeable"
    title = "This version cannot be merged into its base model."


class BeingMerged(DomainError):
    status = 503
    code = "being_merged"
    title = "The merged model is being made."


class EndpointNotAllowed(Invalid):
    code = "endpoint_not_allowed"
    title = "This hub copies nothing to that address."


class PushRefused(Invalid):
    code = "push_refused"
    title = "This cannot be copied so."


class ModelKeyUnusable(DomainError):
    status = 503
    code = "model_key_unusable"
    title = "The hub's key for signing versions cannot be used."


class NotReleasable(DomainError):
    code = "not_releasable"
    title = "This version is not part of the federation's line."


class AliasRefused(Invalid):
    code = "alias_refused"
    title = "A version cannot have this name."


class VersionsNotComparable(Invalid):
    code = "versions_not_comparable"
    title = "These versions cannot be set side by side."


class ProbeSetRefused(Invalid):
    """The examples are no probe set; `code` is that of `federation.probes.ProbeRefused`."""

    title = "These examples are no probe set."

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code  # type: ignore[misc]


class EvaluationInconsistent(Invalid):
    code = "evaluation_inconsistent"
    title = "These figures cannot be those of one test set."


class GatesFailed(DomainError):
    code = "gates_failed"
    title = "A gate of the plan holds this version up."
