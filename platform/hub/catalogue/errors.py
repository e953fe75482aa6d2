"""The refusals of the catalogue."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _noop

from hub.common.errors import DependencyDown, DomainError, Forbidden, Invalid, StorageFull


class ArtifactUnavailable(DependencyDown):
    code = "artifact_unavailable"
    title = _noop("The bytes cannot be read at the moment.")


class RangeUnsatisfiable(DomainError):
    status = 416
    code = "range_unsatisfiable"
    title = _noop("There are no such bytes.")


class UploadTooLarge(DomainError):
    status = 413
    code = "upload_too_large"
    title = _noop("This is more than may be uploaded.")


class PartTooLarge(DomainError):
    status = 413
    code = "part_too_large"
    title = _noop("One request may not bring so many bytes.")


class TooManyUploads(DomainError):
    status = 429
    code = "too_many_uploads"
    title = _noop("The organisation has too many open uploads.")


class LengthMissing(DomainError):
    status = 411
    code = "length_missing"
    title = _noop("This request needs a Content-Length header.")


class BadUploadHeader(DomainError):
    status = 400
    code = "bad_upload_header"
    title = _noop("A header of the upload protocol is missing or malformed.")


class WrongMediaType(DomainError):
    status = 415
    code = "media_type"
    title = _noop("The body has another type than this takes.")


class WrongTusVersion(DomainError):
    status = 412
    code = "tus_version"
    title = _noop("This hub speaks version 1.0.0 of the tus protocol.")


class OffsetMismatch(DomainError):
    code = "offset_mismatch"
    title = _noop("The upload goes on at another offset.")


class UploadFinished(DomainError):
    code = "upload_finished"
    title = _noop("All bytes of this upload are in.")


class UploadGone(DomainError):
    status = 410
    code = "upload_closed"
    title = _noop("This upload is closed.")


class DigestMismatch(DomainError):
    status = 422
    code = "digest_mismatch"
    title = _noop("The bytes are not those that were announced.")


class BaseModelRefused(Invalid):
    code = "base_model_refused"
    title = _noop("This folder cannot be a base model.")


class BaseModelChanged(DomainError):
    code = "base_model_changed"
    title = _noop("A base model of this name has other files.")


class NoPlayground(Invalid):
    code = "no_playground"
    title = _noop("This version cannot be tried here.")


class PlaygroundBusy(DomainError):
    status = 429
    code = "playground_busy"
    title = _noop("The playground is busy.")


class TooManyQuestions(DomainError):
    status = 429
    code = "too_many_questions"
    title = _noop("Your earlier questions are still being answered.")


class AnswerGone(DomainError):
    status = 410
    code = "answer_gone"
    title = _noop("The question and its answer are gone.")


class NotAnswered(Invalid):
    """The worker refused; `code` is that of `federation.modelling.ModellingRefused`."""

    title = _noop("The question was not answered.")

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code  # type: ignore[misc]


class BaseModelIncomplete(DomainError):
    code = "base_model_incomplete"
    title = _noop("Some files of this base model have not arrived.")


class DraftClosed(DomainError):
    status = 410
    code = "base_model_draft_closed"
    title = _noop("This base model takes no more files.")


class SourceNotAllowed(Invalid):
    code = "source_not_allowed"
    title = _noop("Base models are not mirrored from there.")


class LicenceNotAccepted(Forbidden):
    code = "licence_not_accepted"
    title = _noop("Your organisation has not accepted the licence of this base model.")


class LicencesMissing(DomainError):
    code = "licences_missing"
    title = _noop("Not all who take part have accepted the licence of the base model.")


class QuotaReached(StorageFull):
    code = "quota_reached"
    title = _noop("There is no room left in what this may take.")


class NotMergeable(DomainError):
    code = "not_mergeable"
    title = _noop("This version cannot be merged into its base model.")


class BeingMerged(DomainError):
    status = 503
    code = "being_merged"
    title = _noop("The merged model is being made.")


class EndpointNotAllowed(Invalid):
    code = "endpoint_not_allowed"
    title = _noop("This hub copies nothing to that address.")


class PushRefused(Invalid):
    code = "push_refused"
    title = _noop("This cannot be copied so.")


class ModelKeyUnusable(DomainError):
    status = 503
    code = "model_key_unusable"
    title = _noop("The hub's key for signing versions cannot be used.")


class NotReleasable(DomainError):
    code = "not_releasable"
    title = _noop("This version is not part of the federation's line.")


class AliasRefused(Invalid):
    code = "alias_refused"
    title = _noop("A version cannot have this name.")


class VersionsNotComparable(Invalid):
    code = "versions_not_comparable"
    title = _noop("These versions cannot be set side by side.")


class ProbeSetRefused(Invalid):
    """The examples are no probe set; `code` is that of `federation.probes.ProbeRefused`."""

    title = _noop("These examples are no probe set.")

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.code = code  # type: ignore[misc]


class EvaluationInconsistent(Invalid):
    code = "evaluation_inconsistent"
    title = _noop("These figures cannot be those of one test set.")


class GatesFailed(DomainError):
    code = "gates_failed"
    title = _noop("A gate of the plan holds this version up.")
