from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache

from hub.accounts.models import User
from hub.federations.inviting import invite
from hub.federations.models import Federation
from hub.organisations import services
from hub.organisations.models import CustomRole, Invitation
from tests.conftest import Person
from tests.factories.accounts import PASSWORD, UserFactory
from tests.factories.organisations import MembershipFactory
from tests.hub.organisations.test_invitations import GRACE, asked, confirmed, delivered
from tests.pages import browser, words

pytestmark = pytest.mark.django_db
MOST_QUERIES = 10


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    cache.clear()
    yield
    cache.clear()


def link_of(ada: Person) -> str:
    asked(ada)
    return f"/invitations/by/{delivered()}"


def of(person: Person) -> str:
    return f"/organisations/{person.organisation.slug}"


def test_whoever_has_no_account_signs_up_on_the_way(ada: Person, settings: Any):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    link, client = link_of(ada), browser()
    told = words(client.get(link))
    assert "Ada invites you to act for Ada Institute. Your role there: Scientist" in told
    response = client.post(link, {"person": "Grace", "password": PASSWORD})
    assert response.headers["Location"] == f"/accounts/login/?next={link.replace('/', '%2F')}"
    grace = User.objects.get(email=GRACE)
    assert EmailAddress.objects.get(user=grace).verified
    client.post("/accounts/login/", {"login": GRACE, "password": PASSWORD})
    told = words(client.post(link, {"answer": "accept"}, follow=True))
    assert "Grace (you) Scientist" in told


def test_signing_up_with_an_address_that_has_an_account_looks_the_same(ada: Person):
    link = link_of(ada)
    grace = UserFactory(email=GRACE, name="Grace")
    sent = {"person": "Somebody", "password": "another-password-1"}
    response = browser().post(link, sent, follow=True)
    assert "Now sign in as grace@example.org." in words(response)
    grace.refresh_from_db()
    assert (grace.name, grace.check_password(PASSWORD)) == ("Grace", True)


def test_a_bad_password_makes_no_account(ada: Person):
    told = words(browser().post(link_of(ada), {"person": "Grace", "password": "password"}))
    assert "too common" in told
    assert not User.objects.filter(email=GRACE).exists()


def test_opening_the_link_answers_nothing(ada: Person):
    link = link_of(ada)
    for client in (browser(), browser(confirmed())):
        assert client.get(link).status_code == 200
    assert Invitation.objects.get().state == "open"


def test_who_is_not_signed_in_cannot_accept_but_decline(ada: Person):
    link, client = link_of(ada), browser()
    assert client.post(link, {"answer": "accept"}).headers["Location"].startswith("/accounts/login")
    told = words(client.post(link, {"answer": "decline"}, follow=True))
    assert "This invitation is no longer open. It was declined." in told


def test_another_s_link_says_for_whom_it_is(ada: Person, carol: Person):
    link, client = link_of(ada), browser(carol.user)
    assert "This invitation is for grace@example.org." in words(client.get(link))
    assert client.post(link, {"answer": "accept"}).status_code == 403
    assert not carol.user.memberships.filter(organisation=ada.organisation).exists()


def test_a_link_that_is_none_is_absent_and_not_to_be_guessed(ada: Person):
    statuses = [browser().get(f"/invitations/by/{n}").status_code for n in range(12)]
    assert statuses == [404] * 10 + [429] * 2


def test_the_invited_find_it_among_their_organisations(ada: Person, carol: Person):
    invitation, client = asked(ada), browser(UserFactory(email=GRACE))
    assert "You are invited Ada Institute" in words(client.get("/organisations/"))
    assert "Ada Institute You are invited to act for it." in words(client.get("/invitations/"))
    at = f"/invitations/{invitation.pk}"
    assert browser(carol.user).get(at).status_code == 404
    assert browser(carol.user).post(at, {"answer": "accept"}).status_code == 404
    told = words(client.post(at, {"answer": "accept"}, follow=True))
    assert "Accepted." in told
    assert client.get(at).status_code == 404


def test_people_are_invited_revoked_and_reminded_on_their_page(ada: Person, carol: Person):
    client, people = browser(ada.user), f"{of(ada)}/people"
    sent = {"email": GRACE, "role": "auditor"}
    told = words(client.post(people, sent, follow=True))
    assert "A link is on its way to grace@example.org." in told
    assert "grace@example.org by Ada" in told
    assert "Auditor no answer yet" in told
    at = f"/invitations/{Invitation.objects.get().pk}"
    assert "Sent again, with a new link." in words(client.post(f"{at}/resend", follow=True))
    assert browser(carol.user).post(f"{at}/revoke").status_code == 404
    assert "Revoked." in words(client.post(f"{at}/revoke", follow=True))
    told = words(client.post(people, {"email": ada.user.email, "role": "owner"}))
    assert "This person acts for the organisation already." in told


def test_a_role_of_one_s_own_is_made_shown_and_given(ada: Person):
    client = browser(ada.user)
    sent = {"name": "Custodian", "permissions": ["agents.manage", "organisation.see"]}
    told = words(client.post(f"{of(ada)}/roles/new", sent, follow=True))
    assert "The role Custodian can be given now." in told
    assert "Owner Manager Scientist Auditor Custodian" in told
    role = CustomRole.objects.get()
    place = MembershipFactory(organisation=ada.organisation, user__name="Emmy", role="scientist")
    at = f"{of(ada)}/people/{place.user_id}/role"
    assert "Emmy is custodian now." in words(client.post(at, {"role": role.pk}, follow=True))
    page = client.get(f"{of(ada)}/roles/{role.pk}").content.decode()
    assert page.count("checked") == 2
    told = words(client.post(f"{of(ada)}/roles/{role.pk}/delete", follow=True))
    assert "The role is in use." in told
    client.post(at, {"role": "scientist"})
    assert "gone" in words(client.post(f"{of(ada)}/roles/{role.pk}/delete", follow=True))


def test_a_role_of_another_organisation_is_absent(ada: Person, carol: Person):
    role = CustomRole.objects.create(organisation=ada.organisation, name="Custodian")
    client = browser(carol.user)
    for url in (f"{of(ada)}/roles/{role.pk}", f"{of(carol)}/roles/{role.pk}"):
        assert client.get(url).status_code == 404
        assert client.post(f"{url}/delete").status_code == 404


def test_the_profile_is_set_on_the_page_of_settings(ada: Person):
    client, sent = browser(ada.user), {"description": "Heals", "contact_email": "o@ada.example"}
    assert "Saved." in words(client.post(f"{of(ada)}/settings", sent, follow=True))
    assert "Heals" in words(client.get(of(ada)))
    wrong = words(client.post(f"{of(ada)}/settings", {**sent, "website": "nowhere"}))
    assert "Enter a valid URL." in wrong


def test_the_lead_invites_organisations_on_the_federation_s_page(
    ada: Person, blaise: Person, carol: Person, federation: Federation
):
    at = f"/federations/{federation.slug}/invitations"
    statuses = [browser(one.user).get(at).status_code for one in (ada, blaise, carol)]
    assert statuses == [200, 403, 404]
    sent = {"email": carol.user.email, "standing": "contributor"}
    told = words(browser(ada.user).post(at, sent, follow=True))
    assert "A link is on its way to carol@example.org." in told
    found = Invitation.objects.get()
    response = browser(carol.user).post(
        f"/invitations/{found.pk}", {"answer": "accept", "organisation": carol.organisation.pk}
    )
    assert response.headers["Location"] == f"/federations/{federation.slug}/join"


def test_who_brings_no_organisation_is_sent_to_register_one(ada: Person, federation: Federation):
    found = invite(user=ada.user, federation_id=federation.pk, email=GRACE, standing="contributor")
    client = browser(UserFactory(email=GRACE))
    told = words(client.get(f"/invitations/{found.pk}"))
    assert "Register your organisation" in told
    told = words(client.post(f"/invitations/{found.pk}", {"answer": "accept"}, follow=True))
    assert Invitation.objects.get().state == "open", told


def test_the_pages_need_few_queries(ada: Person, django_assert_max_num_queries):
    for number in range(5):
        MembershipFactory(organisation=ada.organisation)
        asked(ada, f"{number}@example.org")
        services.create_role(
            organisation_id=ada.organisation.pk,
            name=f"Role {number}",
            permissions=["organisation.see"],
            user=ada.user,
        )
        other = MembershipFactory(user__name="Other")
        services.invite_person(
            organisation_id=other.organisation.pk,
            email=ada.user.email,
            role="auditor",
            user=other.user,
        )
    role = CustomRole.objects.all()[0]
    client = browser(ada.user)
    mine = Invitation.objects.filter(email=ada.user.email)[0]
    pages = ("", "/people", "/roles", "/roles/new", f"/roles/{role.pk}", "/settings")
    urls = [f"{of(ada)}{page}" for page in pages]
    for url in [*urls, "/invitations/", f"/invitations/{mine.pk}", "/organisations/"]:
        with django_assert_max_num_queries(MOST_QUERIES):
            assert client.get(url).status_code == 200, url
