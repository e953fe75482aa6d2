"""Copying a version to another hub, with that hub's own client and an organisation's token."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from http import HTTPStatus
from uuid import UUID

from hub.catalogue.blobs.storage import store
from hub.catalogue.cards.pushes import begin_push, give_up_push, push_ended
from hub.catalogue.models import Push, PushState
from hub.common.errors import DependencyDown

logger = logging.getLogger(__name__)


def push(push_id: UUID) -> None:
    """Copy what a push names. What is there already is not sent again.

    Raises:
        DependencyDown: the other hub does not answer now; try again.
    """
    if (begun := begin_push(push_id=push_id)) is None:
        return
    try:
        state, outcome = _copied(*begun)
    except BaseException:
        give_up_push(push_id=push_id)
        raise
    push_ended(push_id=push_id, state=state, outcome=outcome)
    logger.info("pushed", extra={"push": str(push_id), "state": state})


def _copied(asked: Push, token: str) -> tuple[PushState, str]:
    from httpx2 import TransportError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return PushState.COMPLETED, _unwrapped(asked, token)
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise DependencyDown(f"the other hub answers {status}", retry_after=30) from error
        return PushState.FAILED, f"{asked.endpoint} answered {status}: {_meaning(status)}"
    except TransportError as error:
        raise DependencyDown(f"{asked.endpoint} does not answer", retry_after=30) from error
    except ValueError as error:  # what its client says of an answer that it cannot use
        return PushState.FAILED, f"{asked.endpoint}: {error}"[:400]


def _meaning(status: int) -> str:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return "the token is not valid there."
        case HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND:
            return "the token may not write to this repository."
    return "it refused the files."


def _unwrapped(asked: Push, token: str) -> str:
    """Its client wraps what goes wrong with a large file; what counts is the cause."""
    try:
        return _send(asked, token)
    except RuntimeError as wrapped:
        raise (wrapped.__cause__ or wrapped) from wrapped


def _send(asked: Push, token: str) -> str:
    """The address of the commit over there.

    Open files make the client use plain HTTP to the endpoint that is allowed, and no protocol of
    its own with further servers.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=asked.endpoint, token=token)
    api.create_repo(asked.repo, private=True, exist_ok=True)
    with ExitStack() as open_files:
        made = api.create_commit(
            asked.repo,
            operations=[
                CommitOperationAdd(
                    path_in_repo=file.path,
                    path_or_fileobj=open_files.enter_context(
                        store().local_path(file.artifact_id).open("rb")
                    ),
                )
                for file in asked.commit.files.all()
            ],
            commit_message=f"{asked.version} at {asked.commit.revision}",
            num_threads=1,
        )
    return str(made.commit_url)
