"""How a refusal of the domain reaches a person: as a notice, or as the page that refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from hub.common.errors import DomainError, Forbidden, NotFound


@contextmanager
def told(request: HttpRequest) -> Iterator[None]:
    """Say on the next page why something was refused.

    Raises:
        Http404: it is not there, or not the person's to see.
        PermissionDenied: their role does not allow it.
    """
    try:
        yield
    except NotFound as absent:
        raise Http404(absent.detail) from absent
    except Forbidden as forbidden:
        raise PermissionDenied(forbidden.detail) from forbidden
    except DomainError as refusal:
        messages.error(request, sentence_of(refusal))


def sentence_of(refusal: DomainError) -> str:
    """What is wrong, then why: «This plan cannot work. A quorum of 4 …»."""
    detail = refusal.detail[:1].upper() + refusal.detail[1:]
    return f"{_(refusal.title)} {detail.rstrip('.')}."
