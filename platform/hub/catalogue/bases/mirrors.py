"""Base models that operators have fetched from another hub, at a revision that cannot move."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.bases.facts import Facts
from hub.catalogue.errors import BaseModelRefused, SourceNotAllowed
from hub.catalogue.models import BaseModel, BaseModelDraft, DraftState
from hub.common.errors import Forbidden
from hub.dispatch import Job, enqueue

REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
LONGEST = timedelta(hours=6)  # of one fetch


@transaction.atomic
def begin_mirror(
    *, user: User, endpoint: str, repo: str, revision: str, **facts: Any
) -> BaseModelDraft:
    """Have a model fetched from another hub; asked again while it is fetched, it is the same.

    `revision`: the 40 digits of a commit, since a name may mean something else tomorrow.

    Raises:
        Forbidden: the person is no operator.
        SourceNotAllowed: the settings do not name that hub.
        BaseModelRefused, UnfitText: it cannot be.
    """
    if not user.is_staff:
        raise Forbidden(_("Base models are mirrored by the operators of this hub."))
    mirror = {"endpoint": _allowed(endpoint), "repo": repo, "revision": revision}
    if not REPO.fullmatch(repo) or not COMMIT.fullmatch(revision):
        raise BaseModelRefused(_("name the repository as owner/name and its commit by 40 digits"))
    fetched = BaseModelDraft.objects.filter(mirror=mirror, state=DraftState.FETCHING)
    if earlier := fetched.first():
        return earlier
    said = {"source": f"{mirror['endpoint']}/{repo}/tree/{revision}", **facts}
    told = Facts.of(**said)
    draft = BaseModelDraft.objects.create(
        facts={"slug": told.slug, **told.columns},
        begun_by=user,
        mirror=mirror,
        state=DraftState.FETCHING,
    )
    enqueue(Job.MIRROR_BASE_MODEL, str(draft.pk))
    return draft


def _allowed(endpoint: str) -> str:
    """Only what the settings name is ever asked: no address comes from a request."""
    named = [source.rstrip("/") for source in settings.BASE_MODEL_SOURCES]
    if endpoint.rstrip("/") not in named:
        raise SourceNotAllowed(_("allowed are %(value)s") % {"value": ", ".join(named) or "none"})
    return endpoint.rstrip("/")


def fetching(draft_id: UUID) -> BaseModelDraft | None:
    """What is to be fetched; None if it has been, or nobody waits for it any more."""
    return BaseModelDraft.objects.filter(pk=draft_id, state=DraftState.FETCHING).first()


@transaction.atomic
def mirror_fetched(*, draft_id: UUID, base: BaseModel) -> None:
    """The files are taken in. Told twice, the first word stands."""
    draft = BaseModelDraft.objects.select_for_update().get(pk=draft_id)
    if draft.state == DraftState.FETCHING:
        draft.move_to(DraftState.REGISTERED, base_model=base, data={"base": base.name})


@transaction.atomic
def mirror_failed(*, draft_id: UUID, reason: str) -> None:
    """It cannot be fetched, and trying again would not help. Told twice, the first word stands."""
    draft = BaseModelDraft.objects.select_for_update().get(pk=draft_id)
    if draft.state == DraftState.FETCHING:
        draft.move_to(DraftState.FAILED, reason=reason, data={"base": str(draft)})


def sweep_mirrors() -> int:
    """Give up fetches of which nothing is heard any more; returns how many."""
    lost = BaseModelDraft.objects.filter(
        state=DraftState.FETCHING, created_at__lt=timezone.now() - LONGEST
    )
    some = list(lost.values_list("pk", flat=True)[:50])
    for pk in some:
        mirror_failed(draft_id=pk, reason="it took too long")
    return len(some)
