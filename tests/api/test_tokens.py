from __future__ import annotations

import base64
import time
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import make_password
from django.utils import timezone
from rest_framework.test import APIClient

from hub.accounts.models import ApiToken, Scope
from tests.conftest import Person
from tests.factories.accounts import PASSWORD, UserFactory

pytestmark = pytest.mark.django_db

PATH = "/api/v1/tokens"
FAST = "django.contrib.auth.hashers.MD5PasswordHasher"  # where only the count matters


def by_password(email: str, password: str = PASSWORD, said: dict | None = None):
    client = APIClient()
    pair = base64.b64encode(f"{email}:{password}".encode()).decode()
    client.credentials(HTTP_AUTHORIZATION=f"Basic {pair}")
    return client.post(PATH, said or {"name": "first"})


def test_a_script_gets_its_first_token_by_password():
    user = UserFactory(email="ada@example.org", name="Ada")
    response = by_password("Ada@Example.org")
    assert response.status_code == 201
    token = response.json()["token"]
    assert token.startswith("foe_")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    me = client.get("/api/v1/me").json()
    assert (me["email"], me["name"], me["is_operator"]) == ("ada@example.org", "Ada", False)
    assert not ApiToken.objects.filter(digest__contains=token).exists()
    assert user.auth_token_set.get().name == "first"


def test_a_password_opens_nothing_else():
    UserFactory(email="ada@example.org")
    client = APIClient()
    pair = base64.b64encode(f"ada@example.org:{PASSWORD}".encode()).decode()
    client.credentials(HTTP_AUTHORIZATION=f"Basic {pair}")
    for path in (PATH, "/api/v1/me", "/api/v1/organisations"):
        assert client.get(path).status_code == 401


@pytest.mark.parametrize(
    ("email", "password"),
    [("ada@example.org", "wrong"), ("nobody@example.org", PASSWORD), ("ada@example.org", "")],
)
def test_a_wrong_pair_does_not_tell_which_half(email, password):
    UserFactory(email="ada@example.org")
    response = by_password(email, password)
    assert (response.status_code, response.json()["code"]) == (401, "authentication_failed")
    assert response.json()["detail"] == "Address or password is wrong."


def test_known_and_unknown_addresses_take_the_same_time():
    UserFactory(email="ada@example.org")

    def seconds(email: str) -> float:
        start = time.process_time()  # of all our threads; other programs do not count
        by_password(email, "wrong")
        return time.process_time() - start

    pairs = [(seconds("ada@example.org"), seconds("nobody@example.org")) for _ in range(5)]
    known, unknown = (min(times) for times in zip(*pairs, strict=True))
    assert abs(known - unknown) < 0.25 * max(known, unknown)


def test_who_is_not_active_has_no_token():
    UserFactory(email="ada@example.org", is_active=False)
    assert by_password("ada@example.org").status_code == 401


def test_a_second_factor_is_not_gone_around():
    user = UserFactory(email="ada@example.org")
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    response = by_password("ada@example.org")
    assert (response.status_code, response.json()["code"]) == (403, "second_factor_needed")
    assert not user.auth_token_set.exists()


def test_forty_wrong_passwords_are_too_many(settings):
    settings.PASSWORD_HASHERS = [FAST]
    UserFactory(email="ada@example.org", password=make_password(PASSWORD))
    statuses = [by_password("ada@example.org", f"wrong {n}").status_code for n in range(40)]
    assert statuses == [401] * 20 + [429] * 20
    refused = by_password("ada@example.org")
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0


def test_tokens_are_listed_without_their_text(ada: Person):
    made = ada.api.post(PATH, {"name": "notebook", "days": 30}).json()
    listed = ada.api.get(PATH).json()["results"]
    assert [token["name"] for token in listed] == ["notebook", "tests"]
    assert "token" not in listed[0]
    assert made["token"].startswith(made["id"])
    days = timezone.datetime.fromisoformat(listed[0]["expires_at"]) - timezone.now()
    assert timedelta(days=29) < days <= timedelta(days=30)


def test_a_revoked_token_is_refused_at_the_next_request(ada: Person):
    made = ada.api.post(PATH, {"name": "notebook"}).json()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
    assert client.get("/api/v1/me").status_code == 200
    assert ada.api.delete(f"{PATH}/{made['id']}").status_code == 204
    assert client.get("/api/v1/me").status_code == 401
    assert ada.api.delete(f"{PATH}/{made['id']}").status_code == 404


def test_nobody_revokes_another_one_s_token(ada: Person, carol: Person):
    made = ada.api.post(PATH, {"name": "notebook"}).json()
    assert carol.api.delete(f"{PATH}/{made['id']}").status_code == 404
    assert ada.user.auth_token_set.count() == 2


def test_a_token_ends_with_its_time(ada: Person):
    ada.user.auth_token_set.update(expiry=timezone.now() - timedelta(seconds=1))
    assert ada.api.get("/api/v1/me").status_code == 401


def test_a_token_ends_with_its_person(ada: Person):
    ada.user.is_active = False
    ada.user.save()
    assert ada.api.get("/api/v1/me").status_code == 401


def test_use_is_noted_to_the_minute(ada: Person, django_assert_num_queries):
    ada.api.get("/api/v1/me")
    token = ada.user.auth_token_set.get()
    assert timezone.now() - token.last_used_at < timedelta(seconds=5)
    with django_assert_num_queries(2):  # the token with its person, and their other tokens
        ada.api.get("/api/v1/me")


def test_fifty_tokens_are_enough(ada: Person):
    for number in range(49):
        ApiToken.objects.create(user=ada.user, expiry=None, name=str(number))
    response = ada.api.post(PATH, {"name": "one more"})
    assert (response.status_code, response.json()["code"]) == (409, "too_many_tokens")


def test_a_browser_needs_its_csrf_token_to_write():
    user = UserFactory()
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get("/api/v1/me").status_code == 200
    response = client.post(PATH, {"name": "x"})
    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")


def test_what_a_script_is_given_may_read_only_unless_it_asks_for_more():
    UserFactory(email="ada@example.org")
    scopes = [by_password("ada@example.org").json()["scope"]]
    scopes.append(
        by_password("ada@example.org", said={"name": "x", "scope": "write"}).json()["scope"]
    )
    assert scopes == ["read", "write"]
    assert by_password("ada@example.org", said={"name": "x", "scope": "all"}).status_code == 400


def test_a_token_that_reads_is_refused_what_writes(ada: Person):
    ada.user.auth_token_set.update(scope=Scope.READ)
    assert ada.api.get("/api/v1/me").status_code == 200
    for send in (ada.api.post, ada.api.put, ada.api.patch, ada.api.delete):
        response = send(PATH, {"name": "more", "scope": "write"})
        assert (response.status_code, response.json()["code"]) == (403, "token_scope")
    made = ada.api.delete(f"{PATH}/{ada.user.auth_token_set.get().token_key}")
    assert made.status_code == 403
    assert ada.user.auth_token_set.count() == 1
