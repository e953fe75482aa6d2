"""Short-lived tokens for bulk downloads by clients that cannot sign.

An agent asks for one by a signed request. It opens one repository, for five minutes, and only
while the agent is active.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.core import signing
from django.utils import timezone

from federation.protocol import DownloadTokenOut
from hub.catalogue.hf.repositories import require_repository
from hub.organisations.models import Agent, AgentState, OrganisationState

PREFIX = "fdl_"
SALT = "hub.catalogue.download"
LIFETIME = timedelta(minutes=5)


class TokenRefused(Exception):
    """It is not a token of ours, too old, or its agent is no longer active."""


@dataclass(frozen=True, slots=True)
class DownloadToken:
    """Whom a token stands for, and what it opens."""

    agent: Agent
    repo: str


def issue_download_token(*, agent: Agent, repo: str) -> DownloadTokenOut:
    """Raises RepoNotFound unless the agent may see the repository."""
    require_repository(agent, repo)
    content = {"agent": str(agent.pk), "repo": repo}
    token = PREFIX + signing.dumps(content, salt=SALT)
    return DownloadTokenOut(token=token, expires_at=timezone.now() + LIFETIME)


def read_download_token(token: str) -> DownloadToken:
    """Raises TokenRefused."""
    try:
        content = signing.loads(token.removeprefix(PREFIX), salt=SALT, max_age=LIFETIME)
    except signing.BadSignature as bad:
        raise TokenRefused(str(bad)) from bad
    agent = Agent.objects.filter(
        pk=content["agent"],
        state=AgentState.ACTIVE,
        organisation__state=OrganisationState.APPROVED,
    ).first()
    if agent is None:
        raise TokenRefused("the agent is not active")
    return DownloadToken(agent, content["repo"])
