"""From outside to the operator's queue, and out of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.utils import timezone

from hub.accounts.models import User
from hub.common.models import Event
from hub.organisations import services
from hub.organisations.models import Letter, Membership, Organisation, Registration
from hub.organisations.registrations import candidates, waiting
from hub.organisations.seals import secret_of
from tests.conftest import Person
from tests.factories.accounts import PASSWORD, UserFactory
from tests.factories.organisations import MembershipFactory, OrganisationFactory
from tests.hub.organisations.test_invitations import confirmed, delivered, proved  # noqa: F401
from tests.pages import browser, words

pytestmark = pytest.mark.django_db
REGISTER = "/organisations/register"
SENT = {
    "name": "Niels Bank",
    "description": "Savings and loans since 1904",
    "website": "www.niels.example",
    "country": "Denmark",
    "contact_email": "",
    "person": "Niels",
    "email": "Niels@niels.example",
    "password": PASSWORD,
}


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    cache.clear()
    yield
    cache.clear()


def hand_in(**more: str) -> Any:
    return browser().post(REGISTER, {**SENT, **more}, follow=True)


def sign_in(client: Any, email: str) -> Any:
    return client.post("/accounts/login/", {"login": email, "password": PASSWORD}, follow=True)


def test_a_stranger_registers_confirms_and_waits(proved: None):  # noqa: F811
    assert "Look into your mail" in words(hand_in())
    assert not User.objects.exists()
    assert not Organisation.objects.exists()
    link = f"/registrations/{delivered()}"
    client = browser()
    assert client.get(link).status_code == 200
    assert not User.objects.exists()  # programs open links, too
    told = words(client.post(link, {"password": PASSWORD}, follow=True))
    assert "Your address is confirmed, and your registration handed in." in told
    assert "Waiting for the operator of this hub." in told
    place = Membership.objects.select_related("user", "organisation").get()
    assert (place.user.email, place.role) == ("niels@niels.example", "owner")
    assert (place.organisation.state, place.organisation.website) == (
        "pending",
        "https://www.niels.example",
    )
    assert EmailAddress.objects.get(user=place.user).verified
    assert client.get("/accounts/2fa/totp/activate/").status_code == 200  # asks for nothing again
    again = words(browser().post(link, {"password": PASSWORD}))
    assert "This link confirms nothing, or no longer." in again
    assert Organisation.objects.count() == 1


def test_sent_twice_it_is_registered_once(proved: None, settings: Any):  # noqa: F811
    for _ in range(2):
        hand_in()
    links = [f"/registrations/{secret_of(one.pk)}" for one in Registration.objects.all()]
    told = [words(browser().post(link, {"password": PASSWORD}, follow=True)) for link in links]
    assert "Your address is confirmed" in told[0]
    assert "This link confirms nothing, or no longer." in told[1]
    settings.ACCOUNT_EMAIL_VERIFICATION = "optional"
    for _ in range(2):
        assert "Now sign in" in words(hand_in())
    assert "has this name" in words(hand_in(password="another-password-1"))
    assert Organisation.objects.count() == User.objects.count() == 1


def test_whose_password_it_is_not_confirms_nothing(proved: None):  # noqa: F811
    hand_in()
    link = f"/registrations/{delivered()}"
    told = words(browser().post(link, {"password": "another-password-1"}))
    assert "This is not the password of the registration." in told
    assert not User.objects.exists()


def test_what_nobody_confirms_is_gone(proved: None):  # noqa: F811
    hand_in()
    secret = delivered()
    Registration.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    told = words(browser().post(f"/registrations/{secret}", {"password": PASSWORD}))
    assert "This link confirms nothing" in told
    for _ in range(2):
        services.prune_registrations()
    assert not Registration.objects.exists()


@pytest.mark.parametrize("verification", ["mandatory", "optional"])
def test_an_address_with_an_account_gets_the_same_answer_and_a_mail(settings, verification):
    settings.ACCOUNT_EMAIL_VERIFICATION = verification
    known = UserFactory(email="known@niels.example")
    before = known.password
    to_known, to_new = hand_in(email=known.email), hand_in(name="Other", email="new@niels.example")
    assert to_known.redirect_chain == to_new.redirect_chain
    assert words(to_known) == words(to_new)
    assert not known.memberships.exists()
    known.refresh_from_db()
    assert known.password == before
    letter = Letter.objects.get(email=known.email)
    services.send_letter(letter_id=letter.pk)
    assert "You have an account with this address already" in mail.outbox[-1].body
    assert "Niels" not in mail.outbox[-1].body  # nothing that a stranger typed


def test_where_no_address_is_proved_it_works_without_mail():
    assert "Now sign in" in words(hand_in())
    told = words(sign_in(browser(), "niels@niels.example"))
    assert "Niels Bank" in words(browser(User.objects.get()).get("/organisations/")), told
    assert not EmailAddress.objects.get().verified


def test_a_name_that_is_taken_is_said_at_once(ada: Person):
    told = words(hand_in(name="Ada Institute"))
    assert "Another organisation has this name." in told
    assert not Letter.objects.exists()


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("password", "password", "too common"),
        ("password", "x" * 300, "at most 256"),
        ("email", f"{'x' * 300}@example.org", "at most 254"),
        ("website", "javascript:alert(1)", "valid URL"),
        ("name", "Bergen \u202eknaB", "not allowed"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(field: str, typed: str, said: str):
    told = words(hand_in(**{field: typed}))
    assert said in told
    assert not User.objects.exists()


def test_so_many_registrations_an_hour_come_from_one_address(proved: None):  # noqa: F811
    for number in range(10):
        hand_in(name=f"Bank {number}", email=f"n{number}@example.org")
    told = words(hand_in(name="Bank 11", email="n11@example.org"))
    assert "These were too many tries." in told
    assert Registration.objects.count() == 10


def test_a_website_is_typed_as_people_say_it():
    assert 'type="url"' not in browser().get(REGISTER).content.decode()
    assert 'type="url"' not in browser(UserFactory()).get(REGISTER).content.decode()


def test_who_is_signed_in_registers_as_ever():
    told = words(browser(UserFactory()).get(REGISTER))
    assert "Register an organisation" in told
    assert "Password" not in told


def test_who_is_refused_reads_why_and_what_to_do():
    place = MembershipFactory(organisation__state="pending", organisation__name="Niels Bank")
    services.refuse_organisation(
        organisation_id=place.organisation.pk, actor=UserFactory().actor, reason="No such bank"
    )
    told = words(browser(place.user).get(f"/organisations/{place.organisation.slug}"))
    assert "Niels Bank was refused. What the operator says: No such bank" in told
    assert "Register again" in told
    services.send_letter(letter_id=Letter.objects.get().pk)
    (sent,) = mail.outbox
    assert sent.to == [place.user.email]
    assert sent.subject == "Foedus: Niels Bank is refused"
    assert "What the operator says: No such bank" in sent.body


# ---------------------------------------------------------------- the operator's queue


def test_the_queue_says_what_is_known():
    owner = confirmed("niels@niels.example", name="Niels")
    asks = MembershipFactory(
        user=owner,
        organisation__state="pending",
        organisation__name="Niels Bank",
        organisation__website="https://www.niels.example/about",
    ).organisation
    alike = OrganisationFactory(name="Niels Bakery", slug="niels-bakery")
    near = OrganisationFactory(name="Far", contact_email="x@niels.example", state="refused")
    OrganisationFactory(name="Another", slug="another", contact_email="x@sub.niels.example")
    (one,) = candidates(list(waiting()))
    assert (one.organisation, one.owner, one.is_confirmed, one.fits_website) == (
        asks,
        owner,
        True,
        True,
    )
    assert (list(one.same_name), list(one.same_domain)) == ([alike], [near])


@pytest.mark.parametrize(
    ("website", "email", "fits"),
    [
        ("https://www.niels.example", "n@niels.example", True),
        ("https://niels.example:8443/x", "n@niels.example", True),
        ("https://niels.example", "n@notniels.example", False),
        ("https://notniels.example", "n@niels.example", False),
        ("", "n@niels.example", False),
    ],
)
def test_an_address_fits_its_website_or_does_not(website: str, email: str, fits: bool):
    MembershipFactory(
        user__email=email, organisation__state="pending", organisation__website=website
    )
    assert candidates(list(waiting()))[0].fits_website is fits


def test_the_operator_decides_on_the_page_of_the_queue(
    operator: Person, django_assert_max_num_queries
):
    for number in range(3):
        place = MembershipFactory(
            organisation__state="pending", organisation__name=f"Bank {number}"
        )
    client, queue = browser(operator.user), "/console/organisations/organisation/registrations/"
    with django_assert_max_num_queries(12):
        page = client.get(queue)
    told = words(page)
    assert "The address is not confirmed" in told
    act = f"/console/organisations/organisation/{place.organisation.pk}/act/approve/"
    assert act in page.content.decode()
    client.post(act, {"reason": "known to us", "next": queue})
    place.organisation.refresh_from_db()
    assert place.organisation.state == "approved"
    assert act not in client.get(queue).content.decode()


def test_an_operator_invites_an_organisation(operator: Person, ada: Person):
    queue = "/console/organisations/organisation/registrations/"
    told = words(browser(operator.user).post(queue, {"email": "ceo@example.com"}, follow=True))
    assert "A link is on its way to ceo@example.com." in told
    delivered()
    assert "register your organisation on Foedus" in mail.outbox[-1].body
    assert browser(ada.user).get(queue).status_code == 302
    assert Event.objects.filter(kind="invitation.open").count() == 1
