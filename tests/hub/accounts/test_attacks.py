"""Guessing, enumeration, timing, forged forms, stale sessions: each try in one table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as live
from django.contrib.auth.hashers import Argon2PasswordHasher, get_hashers, make_password
from django.core import mail
from django.core.cache import cache
from django.test import Client

from hub.accounts.models import User
from tests.factories.accounts import PASSWORD, UserFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

SIGN_IN, SIGN_UP = "/accounts/login/", "/accounts/signup/"
EMAIL = "/accounts/email/"
RESET, CHANGE = "/accounts/password/reset/", "/accounts/password/change/"
FAST = "django.contrib.auth.hashers.MD5PasswordHasher"  # where only the count matters
NEW_PASSWORD = "another-horse-battery-8"


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def sign_in(client: Client, password: str = PASSWORD, email: str = "ada@example.org"):
    return client.post(SIGN_IN, {"login": email, "password": password})


def test_argon2id_is_the_only_hasher():
    (hasher,) = get_hashers()
    assert isinstance(hasher, Argon2PasswordHasher)
    assert make_password("x").startswith("argon2$argon2id$")


def test_forty_wrong_passwords_are_429_for_known_and_unknown_alike(settings):
    settings.PASSWORD_HASHERS = [FAST]
    UserFactory(email="ada@example.org", password=make_password(PASSWORD))
    for email in ("ada@example.org", "nobody@example.org"):
        cache.clear()
        statuses = [sign_in(Client(), f"wrong {n}", email).status_code for n in range(40)]
        assert statuses[0] == 200
        assert statuses[-1] == 429
        assert statuses == sorted(statuses)  # once it is too many, it stays too many


def test_a_known_and_an_unknown_account_are_told_the_same_in_the_same_time():
    UserFactory(email="ada@example.org")
    sign_in(Client(), "wrong")  # templates are read once

    def seconds(email: str) -> float:
        start = time.process_time()  # of all our threads; other programs do not count
        assert "not correct" in words(sign_in(Client(), "wrong", email))
        return time.process_time() - start

    pairs = [(seconds("ada@example.org"), seconds(f"nobody{n}@example.org")) for n in range(4)]
    known, unknown = (min(times) for times in zip(*pairs, strict=True))
    assert abs(known - unknown) < 0.25 * max(known, unknown)


def test_sign_up_and_reset_do_not_tell_who_has_an_account():
    UserFactory(email="ada@example.org")
    for path, form in (
        (SIGN_UP, {"name": "Ada", "password1": NEW_PASSWORD}),
        (RESET, {}),
    ):
        known, unknown = (
            Client().post(path, {**form, "email": email})
            for email in ("ada@example.org", "new@example.org")
        )
        if live.ACCOUNT_EMAIL_VERIFICATION == "mandatory" or path == RESET:
            assert (known.status_code, known.headers.get("Location")) == (
                unknown.status_code,
                unknown.headers.get("Location"),
            )
    assert User.objects.get(email="ada@example.org").check_password(PASSWORD)
    assert {message.to[0] for message in mail.outbox} >= {"ada@example.org", "new@example.org"}


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.post(SIGN_IN, {"login": "ada@example.org", "password": PASSWORD}),
        lambda client: client.post(SIGN_UP, {"email": "x@example.org"}),
        lambda client: client.post(RESET, {"email": "ada@example.org"}),
        lambda client: client.post("/accounts/logout/"),
        lambda client: client.post("/account/", {"name": "Mallory"}),
        lambda client: client.post("/account/tokens", {"name": "x"}),
        lambda client: client.post("/accounts/2fa/totp/activate/", {"code": "1"}),
        lambda client: client.post("/accounts/sessions/"),
        lambda client: client.post(CHANGE, {}),
    ],
)
def test_a_form_from_elsewhere_is_403(send: Callable[[Client], object]):
    user = UserFactory(email="ada@example.org", name="Ada")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert send(client).status_code == 403  # type: ignore[attr-defined]
    user.refresh_from_db()
    assert user.name == "Ada"


def test_other_sessions_end_when_the_password_changes():
    user = UserFactory(email="ada@example.org")
    here, elsewhere = browser(user), browser(user)
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    assert here.post(CHANGE, form).status_code == 302
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").headers["Location"].startswith(SIGN_IN)
    assert elsewhere.get("/api/v1/me").status_code == 401


def test_a_person_ends_their_sessions_elsewhere():
    UserFactory(email="ada@example.org")
    here, elsewhere = Client(), Client()
    assert sign_in(here).status_code == sign_in(elsewhere).status_code == 302
    page = words(here.get("/accounts/sessions/"))
    assert "127.0.0.1" in page
    here.post("/accounts/sessions/")
    assert here.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302


def test_a_megabyte_is_refused_before_anything_slow_reads_it():
    UserFactory(email="ada@example.org")
    Client().get(SIGN_IN)
    start = time.process_time()
    statuses = {
        Client().post(path, {**form, name: "x" * 2**20}).status_code
        for path, form, name in (
            (SIGN_IN, {"login": "ada@example.org"}, "password"),
            (SIGN_UP, {"email": "new@example.org", "name": "N"}, "password1"),
        )
    }
    assert time.process_time() - start < 0.3
    assert statuses <= {400, 413}
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    "name", ["A\x00da", "\u0410da", "A\u202eda", "A\u200bda", "A" + "\u0301" * 9]
)
@pytest.mark.parametrize("path", [SIGN_UP, "/account/"])
def test_a_name_that_hides_or_imitates_is_refused(name, path):
    user = UserFactory(name="Blaise")
    client = Client() if path == SIGN_UP else browser(user)
    said = {"name": name, "email": "ada@example.org", "password1": PASSWORD}
    assert client.post(path, said).status_code in {200, 400}
    assert [person.name for person in User.objects.all()] == ["Blaise"]


def test_another_address_takes_the_place_of_the_first_once_it_is_confirmed():
    user = UserFactory(email="ada@example.org")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    client = browser(user)
    client.post(EMAIL, {"email": "ada@new.example", "action_add": ""})
    client.post(EMAIL, {"email": "ada@new.example", "action_primary": ""})
    user.refresh_from_db()
    assert user.email == "ada@example.org"  # nobody has confirmed the other
    (letter,) = (message for message in mail.outbox if message.to == ["ada@new.example"])
    link = next(word for word in letter.body.split() if "/accounts/confirm-email/" in word)
    client.post("/" + link.partition("://")[2].partition("/")[2])
    client.post(EMAIL, {"email": "ada@new.example", "action_primary": ""})
    client.post(EMAIL, {"email": "ada@example.org", "action_remove": ""})
    user.refresh_from_db()
    assert user.email == "ada@new.example"
    assert is_open(sign_in(Client(), PASSWORD, "ada@new.example"))
    assert not is_open(sign_in(Client(), PASSWORD, "ada@example.org"))


def is_open(response) -> bool:
    return response.status_code == 302


def test_the_cookie_is_closed_to_scripts_and_other_sites(settings):
    UserFactory(email="ada@example.org")
    client = Client()
    sign_in(client)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["max-age"] == 12 * 3600
