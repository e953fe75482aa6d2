"""Fetching a base model from another hub, with that hub's own client."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from hub.catalogue.bases.inspecting import check_path
from hub.catalogue.bases.mirrors import fetching, mirror_failed, mirror_fetched
from hub.catalogue.bases.registering import register_base_model
from hub.catalogue.blobs.storage import sha256_of
from hub.catalogue.errors import BaseModelRefused
from hub.catalogue.models import BaseModelDraft
from hub.common.errors import DependencyDown, DomainError
from hub.common.refusals import sentence_of
from jobs.folders import scratch

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

logger = logging.getLogger(__name__)


def mirror(draft_id: UUID) -> None:
    """Fetch and register what a draft names.

    Raises:
        DependencyDown: the other hub does not answer now; try again.
    """
    draft = fetching(draft_id)
    if draft is None:
        return
    try:
        base = _taken_in(draft)
    except DependencyDown:
        raise
    except DomainError as refused:
        logger.info("mirror refused", extra={"draft": draft.pk, "code": refused.code})
        mirror_failed(draft_id=draft.pk, reason=sentence_of(refused))
        return
    mirror_fetched(draft_id=draft.pk, base=base)


def _taken_in(draft: BaseModelDraft) -> Any:
    with scratch() as folder:
        _fetch(draft.mirror, folder)
        return register_base_model(folder=folder, **draft.facts)


def _fetch(mirror: Mapping[str, str], folder: Path) -> None:
    """Raises BaseModelRefused, DependencyDown."""
    from httpx2 import TransportError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(endpoint=mirror["endpoint"], token=_token(mirror["endpoint"]))
    repo, revision = mirror["repo"], mirror["revision"]
    try:
        info = api.model_info(repo, revision=revision, files_metadata=True)
        if info.sha != revision:
            raise BaseModelRefused(f"{repo} answers with another commit")
        wanted = _wanted(info.siblings or ())
        api.snapshot_download(
            repo,
            revision=revision,
            local_dir=folder,
            allow_patterns=[file.rfilename for file in wanted],
            max_workers=2,
        )
    except HfHubHTTPError as error:
        raise _refusal(error.response.status_code, repo) from error
    except TransportError as error:
        raise DependencyDown(f"{mirror['endpoint']} does not answer", retry_after=30) from error
    _check(wanted, folder)


def _token(endpoint: str) -> str | bool:
    """The token is the first hub's; False: none, not even one that lies about in a home."""
    is_first = endpoint == settings.BASE_MODEL_SOURCES[0].rstrip("/")
    return (is_first and settings.BASE_MODEL_SOURCE_TOKEN) or False


def _wanted(siblings: Sequence[RepoSibling]) -> list[RepoSibling]:
    """Weights and words; code and pickles are left where they are."""
    wanted = [file for file in siblings if _is_harmless(file.rfilename)]
    total = sum(file.size or 0 for file in wanted)
    if total > settings.BASE_MODEL_LIMIT_BYTES:
        raise BaseModelRefused(
            f"{total} bytes, where {settings.BASE_MODEL_LIMIT_BYTES} are allowed"
        )
    return wanted


def _is_harmless(path: str) -> bool:
    try:
        check_path(path)
    except BaseModelRefused:
        return False
    return True


def _refusal(status: int, repo: str) -> DomainError:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        return DependencyDown(f"the other hub answers {status}", retry_after=30)
    return BaseModelRefused(f"the other hub has no {repo} for us at this commit ({status})")


def _check(wanted: Sequence[RepoSibling], folder: Path) -> None:
    """Hold large files against the SHA-256 that the other hub gives."""
    for file in wanted:
        if file.lfs is not None and sha256_of(folder / file.rfilename) != file.lfs.sha256:
            raise BaseModelRefused(f"{file.rfilename} came with another digest")
