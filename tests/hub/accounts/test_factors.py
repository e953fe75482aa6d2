"""Who owes a second factor, what is closed to them, and being asked again for what is dangerous."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hub.accounts.factors import has_second_factor
from hub.accounts.models import ApiToken, User
from hub.accounts.services import remove_second_factor
from hub.common.errors import Forbidden, NotFound, SecondFactorRequired
from hub.common.models import Event
from hub.organisations.permissions import Role
from hub.organisations.services.safety import require_second_factor
from tests.conftest import Person
from tests.factories.accounts import PASSWORD, UserFactory
from tests.factories.organisations import MembershipFactory
from tests.pages import browser, signed_in, words

pytestmark = pytest.mark.django_db

TOKENS = "/account/tokens"
NEW = {"name": "notebook", "days": "30", "scope": "read"}


def give_factor(user: User) -> None:
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={"secret": "x"})


def demand(person: Person) -> None:
    person.organisation.requires_second_factor = True
    person.organisation.save()


@pytest.mark.parametrize("page", ["/", "/organisations/", "/federations/", "/runs/", "/agents/"])
def test_whoever_owes_a_second_factor_is_led_to_set_it_up(ada: Person, page):
    demand(ada)
    client = browser(ada.user)
    response = client.get(page)
    assert (response.status_code, response.headers["Location"]) == (302, "/accounts/2fa/")
    assert "two-factor authentication" in words(client.get("/accounts/2fa/"))
    give_factor(ada.user)
    assert client.get(page).status_code == 200


def test_scripts_of_whoever_owes_one_are_told_and_go_on_when_it_is_there(ada: Person):
    demand(ada)
    for path in ("/api/v1/me", "/api/v1/federations", "/hf/api/whoami-v2", "/hf/api/models"):
        response = ada.api.get(path)
        assert response.status_code == 403
        assert response.json()["code"] == "second_factor_required"
    in_a_browser = browser(ada.user).get("/api/v1/me")
    assert (in_a_browser.status_code, in_a_browser.json()["code"]) == (
        403,
        "second_factor_required",
    )
    give_factor(ada.user)
    assert ada.api.get("/api/v1/me").status_code == 200


def test_the_account_itself_stays_open(ada: Person):
    demand(ada)
    client = browser(ada.user)
    for page in ("/account/", TOKENS, "/accounts/2fa/totp/activate/", "/accounts/sessions/"):
        assert client.get(page).status_code == 200
    assert client.post("/accounts/logout/").status_code == 302


def test_who_has_lost_the_app_hears_of_recovery_codes(ada: Person):
    give_factor(ada.user)
    signing_in = {"login": ada.user.email, "password": PASSWORD}
    page = browser().post("/accounts/login/", signing_in, follow=True)
    assert "or one of your recovery codes" in words(page)


def test_others_owe_nothing(ada: Person, carol: Person):
    demand(ada)
    assert browser(carol.user).get("/organisations/").status_code == 200
    assert carol.api.get("/api/v1/me").status_code == 200


def test_operators_owe_one_where_the_settings_say_so(operator: Person, settings):
    assert operator.api.get("/api/v1/me").status_code == 200
    settings.REQUIRE_OPERATOR_MFA = True
    assert operator.api.get("/api/v1/me").status_code == 403
    assert browser(operator.user).get("/").status_code == 302
    give_factor(operator.user)
    assert operator.api.get("/api/v1/me").status_code == 200


def test_what_is_owed_is_read_with_the_session(ada: Person):
    client = browser(ada.user)
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/docs/problems").status_code == 200
    about = [query["sql"] for query in queries if "mfa_authenticator" in query["sql"]]
    assert len(about) == 1
    assert '"accounts_user"."name"' in about[0]


def test_an_organisation_demands_one_once_whoever_decides_has_it(ada: Person):
    with pytest.raises(SecondFactorRequired):
        require_second_factor(organisation_id=ada.organisation.pk, required=True, user=ada.user)
    give_factor(ada.user)
    for _ in range(2):
        made = require_second_factor(
            organisation_id=ada.organisation.pk, required=True, user=ada.user
        )
        assert made.requires_second_factor
    assert Event.objects.filter(kind="organisation.second_factor_set").count() == 1


def test_it_is_not_everybody_s_to_demand(ada: Person, carol: Person):
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST).user
    for user, refusal in ((scientist, Forbidden), (carol.user, NotFound)):
        give_factor(user)
        with pytest.raises(refusal):
            require_second_factor(organisation_id=ada.organisation.pk, required=True, user=user)
    page = f"/organisations/{ada.organisation.slug}/sign-in"
    assert browser(carol.user).get(page).status_code == 404
    assert "Owners decide this." in words(browser(scientist).get(page))
    assert browser(scientist).post(page, {"required": "yes"}).status_code == 403


def test_the_page_demands_it_and_names_who_lacks_it(ada: Person, django_assert_max_num_queries):
    MembershipFactory(
        organisation=ada.organisation, role=Role.AUDITOR, user=UserFactory(name="Lise")
    )
    page = f"/organisations/{ada.organisation.slug}/sign-in"
    client = browser(ada.user)
    assert "Set up your own first" in words(client.get(page))
    give_factor(ada.user)
    with django_assert_max_num_queries(10):
        told = words(client.get(page))
    assert "Lise" in told
    assert "1 of 2" in told
    assert "Saved." in words(client.post(page, {"required": "yes"}, follow=True))
    assert "second factor required" in words(client.get(page))
    assert "Saved." in words(client.post(page, {}, follow=True))
    ada.organisation.refresh_from_db()
    assert not ada.organisation.requires_second_factor


def test_what_is_dangerous_is_asked_for_again_and_then_done(ada: Person):
    client = browser(ada.user)
    signed_in(client, ada.user, seconds_ago=301)
    asked = client.post(TOKENS, NEW)
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiToken.objects.filter(name="notebook").exists()
    wrong = client.post(asked.headers["Location"], {"password": "wrong"})
    assert wrong.status_code == 200
    assert not ApiToken.objects.filter(name="notebook").exists()
    done = client.post(asked.headers["Location"], {"password": PASSWORD})
    assert done.headers["Location"] == TOKENS
    assert ApiToken.objects.get(name="notebook").scope == "read"
    assert client.get(TOKENS).status_code == 200  # to look is never asked for


def test_who_has_just_signed_up_is_not_asked_again():
    client = browser()
    client.post(
        "/accounts/signup/",
        {"name": "Niels", "email": "niels@example.org", "password1": PASSWORD},
    )
    assert client.post(TOKENS, NEW).headers["Location"] == TOKENS


def test_whoever_has_neither_password_nor_factor_signs_in_again_at_their_provider(ada: Person):
    client = browser(ada.user)
    ada.user.set_unusable_password()
    ada.user.save()
    client.force_login(ada.user)
    signed_in(client, ada.user, seconds_ago=301)
    asked = client.post(TOKENS, NEW, headers={"Referer": f"http://testserver{TOKENS}"})
    assert asked.headers["Location"] == "/accounts/again?next=%2Faccount%2Ftokens"
    assert (
        client.get("/accounts/2fa/totp/activate/").headers["Location"].startswith("/accounts/again")
    )
    password = client.post("/accounts/password/set/", {"password1": PASSWORD})
    assert password.headers["Location"].startswith("/accounts/again")
    assert "Is it still you?" in words(client.get("/accounts/again?next=//evil.example"))
    assert "evil" not in client.get("/accounts/again?next=//evil.example").content.decode()


def test_a_browser_s_session_alone_makes_no_token_through_the_api(ada: Person):
    client = browser(ada.user)
    signed_in(client, ada.user, seconds_ago=301)
    refused = client.post("/api/v1/tokens", {"name": "x"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_needed")
    assert client.get("/api/v1/tokens").status_code == 200


def test_who_has_lost_every_factor_is_let_in_by_an_operator_and_it_is_told(
    ada: Person, operator: Person
):
    give_factor(ada.user)
    said = {"user": ada.user, "actor": operator.user.actor, "reason": "Lost the phone."}
    assert [remove_second_factor(**said) for _ in range(2)] == [1, 0]
    assert not has_second_factor(ada.user)
    event = Event.objects.get(kind="person.factors_removed")
    assert (event.actor_label, event.reason) == ("Olga", "Lost the phone.")
