"""The refusals of contributions."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _noop

from hub.common.errors import DomainError, Invalid


class NotValuable(DomainError):
    code = "not_valuable"
    title = _noop("This round cannot be valued so.")


class ValuesRefused(Invalid):
    code = "values_refused"
    title = _noop("These are not the measurements that the task asked for.")


class CaseDecided(DomainError):
    code = "case_decided"
    title = _noop("This case has been decided.")


class NotGrantable(DomainError):
    code = "not_grantable"
    title = _noop("The credits of this run cannot be split yet.")


class NothingToCorrect(DomainError):
    code = "nothing_to_correct"
    title = _noop("These credits need no correction.")


class CosignatureWrong(Invalid):
    code = "cosignature_wrong"
    title = _noop("This does not cosign the checkpoint.")
