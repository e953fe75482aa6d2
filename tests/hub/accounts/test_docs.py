"""What docs/accounts.md says can be typed is typed here."""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from hub.common.models import Event
from hub.common.providers import providers_in
from tests.factories.accounts import PASSWORD, UserFactory

PAGE = (Path(__file__).parents[3] / "docs" / "accounts.md").read_text()
pytestmark = pytest.mark.django_db


def block(name: str) -> str:
    found = re.search(rf"<!-- test: {name} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def test_the_lines_that_make_a_token_make_one():
    UserFactory(email="ada@example.org")
    words = shlex.split(block("token"))
    client = APIClient()
    pair = words[words.index("-u") + 1]
    assert pair == "$EMAIL:$PASSWORD"
    client.credentials(HTTP_AUTHORIZATION=basic("ada@example.org", PASSWORD))
    path = words[words.index("--json") - 1].removeprefix("$HUB")
    made = client.post(path, json.loads(words[words.index("--json") + 1]))
    assert (made.status_code, made.json()["scope"]) == (201, "read")


def basic(email: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{email}:{password}'.encode()).decode()}"


def test_the_provider_is_one(tmp_path):
    (app,) = providers_in(block("provider").replace("/run/secrets", str(secret_in(tmp_path))))
    assert app["settings"] == {
        "server_url": "https://login.uni.example",
        "domains": ["uni.example"],
    }
    assert app["secret"] == "hush"


def secret_in(folder: Path) -> Path:
    (folder / "oidc_uni").write_text("hush\n")
    return folder


def test_the_line_for_a_lost_device_removes_every_factor_and_says_why():
    user = UserFactory(email="ada@example.org")
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "x"})
    command = shlex.split(block("lost").replace("$EMAIL", user.email))
    assert command[:2] == ["python", "manage.py"]
    call_command(*command[2:])
    assert not Authenticator.objects.exists()
    assert Event.objects.get(kind="person.factors_removed").reason.startswith("Lost the phone")
    with pytest.raises(CommandError):
        call_command("remove_second_factor", "nobody@example.org", "--reason", "because")
