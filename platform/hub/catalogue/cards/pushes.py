"""Taking a version to another hub: asked for by an owner, done by a job, with a token for once.

The token lies in the row of the push, sealed under SECRET_KEY and under the row's own name, until
the push has ended; then it is gone. No message, log line or answer has it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.errors import EndpointNotAllowed, PushRefused
from hub.catalogue.models import ModelVersion, Push, PushState
from hub.catalogue.sealing import BrokenSeal, sealed, unsealed
from hub.catalogue.selectors import require_version
from hub.catalogue.versions.commits import newest_commit
from hub.common.errors import Forbidden
from hub.dispatch import Job, enqueue
from hub.federations.models import Standing
from hub.federations.selectors import active_participations
from hub.organisations.permissions import Permission, granting

REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
TOKEN = re.compile(r"[\x21-\x7e]{8,400}")
MOST_ATTEMPTS = 5
LONGEST = timedelta(hours=1)  # of one attempt; the broker takes a worker for dead after as long


@transaction.atomic
def push_version(*, user: User, version_id: UUID, endpoint: str, repo: str, token: str) -> Push:
    """Have the newest commit copied to a repository elsewhere, made private if it is not there.

    Asked twice while the first is under way, it is the first.

    Raises:
        NotFound, Forbidden: the version is not the user's to see, or they own no organisation in
            the federation.
        EndpointNotAllowed, PushRefused: it cannot be.
    """
    version = require_version(user, version_id)
    _require_owner(user, version)
    allowed = allowed_endpoint(endpoint)
    if not REPO.fullmatch(repo) or not TOKEN.fullmatch(token):
        raise PushRefused(_("Name the repository as owner/name, and give a token of that hub."))
    commit = newest_commit(version)
    if commit is None:
        raise PushRefused(_("This version has no files."))
    facts = {"version": version, "commit": commit, "endpoint": allowed, "repo": repo}
    if under_way := Push.objects.filter(**facts, state=PushState.QUEUED).first():
        return under_way
    pk = uuid4()
    push = Push.objects.create(
        id=pk, asked_by=user, sealed_token=sealed(token.encode(), name=_seal(pk)), **facts
    )
    data = {"number": version.number, "repo": repo, "endpoint": allowed}
    push.record("asked", actor=user.actor, data=data)
    enqueue(Job.PUSH_VERSION, str(pk))
    return push


def _require_owner(user: User, version: ModelVersion) -> None:
    """What leaves the federation leaves by the word of somebody who may bind an organisation."""
    if not may_push(user, version):
        raise Forbidden(_("Your role may not send versions to another hub."))


def may_push(user: User, version: ModelVersion) -> bool:
    able = user.memberships.filter(granting(Permission.PUSH_VERSIONS)).values("organisation")
    places = active_participations(version.federation_id).exclude(standing=Standing.OBSERVER)
    return places.filter(organisation__in=able).exists()


def allowed_endpoint(endpoint: str) -> str:
    """Only what the settings name is ever asked: no address comes from a request."""
    named = [allowed.rstrip("/") for allowed in settings.PUSH_ENDPOINTS]
    if endpoint.rstrip("/") not in named:
        raise EndpointNotAllowed(_("allowed are %(value)s") % {"value": ", ".join(named) or "none"})
    return endpoint.rstrip("/")


@transaction.atomic
def begin_push(*, push_id: UUID) -> tuple[Push, str] | None:
    """The push and its token; None where it has ended, or a worker is at it.

    Each time counts as an attempt.
    """
    push, now = _locked(push_id), timezone.now()
    if push is None or push.state != PushState.QUEUED:
        return None
    if push.claimed_until and push.claimed_until > now:
        return None
    if push.attempts >= MOST_ATTEMPTS or push.endpoint not in _endpoints():
        _end(push, PushState.FAILED, "The other hub could not be reached; ask again later.")
        return None
    try:
        token = unsealed(bytes(push.sealed_token), name=_seal(push.pk)).decode()
    except BrokenSeal:  # the hub's SECRET_KEY is another one since
        _end(push, PushState.FAILED, "The token cannot be read any more; ask again.")
        return None
    push.attempts += 1
    push.claimed_until = now + LONGEST
    push.save(update_fields=["attempts", "claimed_until"])
    return push, token


def give_up_push(*, push_id: UUID) -> None:
    """Whoever was at it is not any more: it may be begun again."""
    Push.objects.filter(pk=push_id, state=PushState.QUEUED).update(claimed_until=None)


@transaction.atomic
def push_ended(*, push_id: UUID, state: PushState, outcome: str) -> None:
    """What became of it; the token is forgotten. Told twice, the first word stands."""
    push = _locked(push_id)
    if push is not None and push.state == PushState.QUEUED:
        _end(push, state, outcome)


def _end(push: Push, state: PushState, outcome: str) -> None:
    push.move_to(
        state,
        reason=outcome if state == PushState.FAILED else "",
        data={"number": push.version.number, "repo": push.repo, "endpoint": push.endpoint},
        sealed_token=b"",
        outcome=outcome[:500],
        ended_at=timezone.now(),
    )


def _locked(push_id: UUID) -> Push | None:
    rows = Push.objects.select_for_update(of=("self",)).select_related("version", "commit")
    return rows.filter(pk=push_id).first()


def _endpoints() -> list[str]:
    return [allowed.rstrip("/") for allowed in settings.PUSH_ENDPOINTS]


def _seal(push_id: UUID) -> str:
    return f"push/{push_id}"
