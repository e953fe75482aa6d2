"""The refusals of contributions."""

from __future__ import annotations

from hub.common.errors import DomainError, Invalid


class NotValuable(DomainError):
    code = "not_valuable"
    title = "This round cannot be valued so."


class ValuesRefused(Invalid):
    code = "values_refused"
    title = "These are not the measurements that the task asked for."


class CaseDecided(DomainError):
    code = "case_decided"
    title = "This case has been decided."


class NotGrantable(DomainError):
    code = "not_grantable"
    title = "The credits of this run cannot be split yet."


class NothingToCorrect(DomainError):
    code = "nothing_to_correct"
    title = "These credits need no correction."


class CosignatureWrong(Invalid):
    code = "cosignature_wrong"
    title = "This does not cosign the checkpoint."
