"""Signing in at an organisation's identity provider, and what providers may not do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from pydantic import ValidationError

from hub.accounts.models import User
from hub.common.providers import providers_in
from tests.factories.accounts import UserFactory
from tests.hub.accounts.oidc import CLIENT, SECRET, Idp, identity_provider
from tests.pages import browser, signed_in, words

pytestmark = pytest.mark.django_db

ADA = {"sub": "ada-1", "email": "Ada@uni.example", "email_verified": True, "name": "Ada Lindqvist"}
DOOR = "/accounts/oidc/uni/login/"


@pytest.fixture(scope="module")
def running() -> Iterator[Idp]:
    with identity_provider() as idp:
        yield idp


@pytest.fixture
def idp(running: Idp, settings, tmp_path) -> Idp:
    running.claims, running.userinfo, running.asked = dict(ADA), None, []
    configure(settings, running, tmp_path)
    return running


def configure(settings, idp: Idp, folder, **more: object) -> None:
    secret = folder / "secret"
    secret.write_text(f"{SECRET}\n")
    said = {
        "id": "uni",
        "name": "University",
        "server_url": idp.url,
        "client_id": CLIENT,
        "client_secret_file": str(secret),
        **more,
    }
    apps = providers_in(json.dumps([said]))
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"APPS": apps, "OAUTH_PKCE_ENABLED": True}
    }


def go_through(client: Client, process: str = "login"):
    """From the button to the provider and back."""
    at_provider = client.post(f"{DOOR}?process={process}")
    assert at_provider.status_code == 302, at_provider.content
    back = httpx.get(at_provider.headers["Location"]).headers["Location"]
    return client.get(back.removeprefix("http://testserver"))


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_confirmed_address_becomes_an_account_and_opens_it_again(idp: Idp):
    assert 'href="/accounts/oidc/uni/login/' in Client().get("/accounts/login/").content.decode()
    for _ in range(2):
        client = Client()
        assert go_through(client).headers["Location"] == "/"
        assert is_signed_in(client)
    user = User.objects.get()
    assert (user.email, user.name) == ("ada@uni.example", "Ada Lindqvist")
    assert not user.has_usable_password()
    assert EmailAddress.objects.get(user=user).verified
    assert {asked["code_challenge_method"] for asked in idp.asked} == {"S256"}


def test_the_page_that_leads_there_lets_a_form_leave_and_no_other_does(idp: Idp):
    assert "form-action 'self' https:" in Client().get(DOOR).headers["Content-Security-Policy"]
    policy = Client().get("/accounts/login/").headers["Content-Security-Policy"]
    assert "https:" not in policy
    assert Client().get(DOOR).status_code == 200  # to look at a page starts nothing
    assert Client().get("/accounts/oidc/other/login/").status_code == 404


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "false"},
        {"email_verified": None},
        {"email": ""},
        {"email": None},
    ],
)
def test_an_address_that_is_not_confirmed_opens_nothing(idp: Idp, claims):
    idp.claims |= claims
    client = Client()
    page = client.get(go_through(client).headers["Location"])
    assert "has not confirmed your email address" in words(page)
    assert not is_signed_in(client)
    assert not User.objects.exists()


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_an_account_that_is_there_is_never_taken_over(idp: Idp, is_confirmed):
    user = UserFactory(email="ada@uni.example")
    EmailAddress.objects.create(user=user, email=user.email, verified=is_confirmed, primary=True)
    client = Client()
    page = client.get(go_through(client).headers["Location"])
    assert "You have an account. Sign in to it, and connect University" in words(page)
    assert not is_signed_in(client)
    assert not SocialAccount.objects.exists()


def test_who_is_signed_in_connects_a_provider_whatever_it_calls_them(idp: Idp):
    user = UserFactory(email="ada@home.example")
    idp.claims |= {"email_verified": False}
    client = browser(user)
    go_through(client, "connect")
    assert SocialAccount.objects.get().user == user
    other = Client()
    go_through(other)
    assert other.session["_auth_user_id"] == str(user.pk)
    assert User.objects.get().email == "ada@home.example"


def test_to_connect_is_dangerous(idp: Idp):
    user = UserFactory()
    client = browser(user)
    signed_in(client, user, seconds_ago=301)
    answer = go_through(client, "connect")
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not SocialAccount.objects.exists()


def test_a_provider_speaks_for_its_domains_only(idp: Idp, settings, tmp_path):
    configure(settings, idp, tmp_path, domains=["Uni.example"])
    go_through(Client())
    idp.claims |= {"sub": "mallory", "email": "mallory@bank.example"}
    client = Client()
    page = client.get(go_through(client).headers["Location"])
    assert "does not speak for addresses like yours" in words(page)
    assert [user.email for user in User.objects.all()] == ["ada@uni.example"]


def test_answers_about_two_people_are_refused(idp: Idp):
    idp.userinfo = {**ADA, "sub": "somebody else"}
    client = Client()
    assert "about two people" in words(client.get(go_through(client).headers["Location"]))
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "change", [{"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}]
)
def test_a_token_for_another_time_place_or_client_opens_nothing(idp: Idp, change):
    idp.claims |= change
    client = Client()
    assert go_through(client).status_code in {200, 401}
    assert not is_signed_in(client)
    assert not User.objects.exists()


def test_an_answer_that_nobody_asked_for_opens_nothing(idp: Idp):
    started, other = Client(), Client()
    at_provider = started.post(f"{DOOR}?process=login").headers["Location"]
    assert "state" in parse_qs(urlsplit(at_provider).query)
    back = httpx.get(at_provider).headers["Location"].removeprefix("http://testserver")
    other.get(back)
    assert not is_signed_in(other)
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["", "A\x00da", "\u0410da", "x" * 200])
def test_a_name_that_cannot_be_one_becomes_the_address_s(idp: Idp, name):
    idp.claims |= {"name": name}
    go_through(Client())
    assert User.objects.get().name == "ada"


def test_who_has_no_password_is_asked_again_at_the_provider(idp: Idp):
    client = Client()
    go_through(client)
    signed_in(client, User.objects.get(), seconds_ago=301)
    page = client.get(client.post("/account/tokens", {}).headers["Location"])
    assert "Sign in with University" in words(page)
    assert "auth_params=prompt%3Dlogin" in page.content.decode()
    go_through(client)
    assert client.post("/account/tokens", {}).status_code == 200  # the form, with what it lacks


GOOD = {"id": "uni", "name": "U", "server_url": "https://u.example", "client_id": "f"}


@pytest.mark.parametrize(
    "said",
    [
        [GOOD],
        [{**GOOD, "client_secret": "s", "client_secret_file": "f"}],
        [{**GOOD, "client_secret": "s", "server_url": "http://u.example"}],
        [{**GOOD, "client_secret": "s", "id": "a/b"}],
        [{**GOOD, "client_secret": "s", "colour": "red"}],
        {"id": "uni"},
    ],
)
def test_a_provider_that_cannot_be_stops_the_start(said):
    with pytest.raises(ValidationError):
        providers_in(json.dumps(said))


def test_two_of_one_id_stop_the_start():
    with pytest.raises(ValueError, match="two providers"):
        providers_in(json.dumps([{**GOOD, "client_secret": "s"}] * 2))
