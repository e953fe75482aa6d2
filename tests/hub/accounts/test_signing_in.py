"""What we add to allauth: a name, links to the right place, and no time for huge passwords."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core import mail
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client

from hub.accounts.models import User
from tests.factories.accounts import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

SIGN_UP = "/accounts/signup/"
SIGN_IN = "/accounts/login/"
RESET = "/accounts/password/reset/"


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def sign_up(**changes: str):
    said = {"name": "Ada", "email": "Ada@example.org", "password1": PASSWORD, **changes}
    return Client().post(SIGN_UP, said)


def sign_in(client: Client, password: str = PASSWORD, email: str = "ada@example.org"):
    return client.post(SIGN_IN, {"login": email, "password": password})


def test_who_signs_up_has_a_name():
    assert sign_up().status_code == 302
    user = User.objects.get()
    assert (user.name, user.email) == ("Ada", "ada@example.org")
    assert user.check_password(PASSWORD)


def test_passwords_are_explained_in_one_line_and_titles_are_sentences():
    page = Client().get(SIGN_UP).content.decode()
    assert page.count("<li>") == 1
    assert "At least 8 characters: no usual password" in page
    assert re.search(r"<title>\s*Sign up\s*· Foedus</title>", page)
    assert "Sign Up" not in page


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "Ada\u202e"},
        {"name": "\u0410da"},
        {"name": "A\x00da"},
        {"email": "nobody"},
        {"password1": "short"},
        {"password1": "12345678901"},
        {"password1": "x" * 257},
    ],
)
def test_what_is_wrong_makes_no_account(changes):
    assert sign_up(**changes).status_code == 200
    assert not User.objects.exists()


def test_a_password_of_a_megabyte_is_refused_fast():
    start = time.process_time()
    with pytest.raises(ValidationError) as refused:
        validate_password("x" * 2**20, user=User(email="ada@example.org", name="Ada"))
    assert time.process_time() - start < 0.2
    assert "password_too_long" in [error.code for error in refused.value.error_list]


def test_a_huge_password_at_the_door_costs_no_hash():
    UserFactory(email="ada@example.org")
    Client().get(SIGN_IN)  # its templates are read once
    start = time.process_time()
    assert sign_in(Client(), "x" * 500_000).status_code == 200
    assert time.process_time() - start < 0.2


def test_the_session_is_another_one_after_signing_in():
    UserFactory(email="ada@example.org")
    client = Client()
    client.get(SIGN_IN)
    before = client.session.session_key
    assert sign_in(client).status_code == 302
    assert client.session.session_key not in (before, None)


def test_after_some_wrong_passwords_the_right_one_does_not_help_either(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # 11 of them
    UserFactory(email="ada@example.org", password=make_password(PASSWORD))
    for number in range(10):
        sign_in(Client(), f"wrong {number}")
    client = Client()
    sign_in(client)
    assert "_auth_user_id" not in client.session


def test_a_link_in_a_mail_leads_to_the_public_address(settings):
    settings.PUBLIC_URL = "https://hub.example"
    settings.ALLOWED_HOSTS = ["testserver", "evil.example"]
    UserFactory(email="ada@example.org")
    Client().post(RESET, {"email": "ada@example.org"}, headers={"Host": "evil.example"})
    (sent,) = mail.outbox
    links = re.findall(r"https?://[^/\s]+", sent.body)
    assert set(links) == {"https://hub.example"}
    assert "evil.example" not in sent.body + sent.subject


def test_asking_for_a_new_password_does_not_tell_who_has_an_account():
    UserFactory(email="ada@example.org")
    known, unknown = (
        Client().post(RESET, {"email": email}) for email in ("ada@example.org", "bob@example.org")
    )
    assert (known.status_code, known.url) == (unknown.status_code, unknown.url)


def test_an_operator_is_made_at_the_command_line():
    said = {"email": "olga@example.org", "name": "Olga", "interactive": False}
    call_command("createsuperuser", **said)
    made = User.objects.get()
    assert (made.email, made.name, made.is_staff) == ("olga@example.org", "Olga", True)
