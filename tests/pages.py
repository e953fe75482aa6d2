"""What tests of pages share: a browser that is signed in, and what a reader sees."""

from __future__ import annotations

import re
from html import unescape
from time import time
from typing import Any

from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from django.test import Client

from hub.accounts.models import User

TAGS = re.compile(r"<(script|style).*?</\1>|<[^>]+>", re.DOTALL)


def browser(user: User | None = None) -> Client:
    """A browser in which the person has just signed in."""
    client = Client()
    if user is not None:
        client.force_login(user)
        signed_in(client, user)
    return client


def signed_in(client: Client, user: User, *, seconds_ago: float = 0) -> None:
    """Have the session remember when the person last proved who they are."""
    session = client.session
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [
        {"method": "password", "at": time() - seconds_ago}
    ]
    session[f"{AUTHENTICATION_METHODS_SESSION_KEY}_user"] = str(user.pk)
    session.save()


def words(response: Any) -> str:
    """The text of a page, without markup, with single spaces."""
    assert response.status_code == 200, response.status_code
    return " ".join(unescape(TAGS.sub(" ", response.content.decode())).split())


def once(response: Any) -> str:
    """The key that a form carries, so that sent twice it acts once."""
    found = re.search(r'name="once" value="([0-9a-f-]{36})"', response.content.decode())
    assert found, "the form carries no key"
    return found[1]
