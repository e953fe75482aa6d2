from __future__ import annotations

from dataclasses import replace

import pytest

from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.federations import services
from hub.federations.errors import NotTakingPart
from hub.federations.models import DataDeclaration, Participation
from hub.federations.selectors import declaration_of
from hub.organisations.models import Role
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import MembershipFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db


@pytest.fixture
def place(blaise: Person) -> Participation:
    return ParticipationFactory(organisation=blaise.organisation)


def declare(person: Person, place: Participation, train: int, test: int = 20) -> DataDeclaration:
    return services.declare_data(
        user=person.user, participation_id=place.pk, train_examples=train, test_examples=test
    )


def test_the_newest_declaration_holds_and_all_of_them_stay(blaise: Person, place: Participation):
    first, second = declare(blaise, place, 100), declare(blaise, place, 300)
    assert declaration_of(place.pk) == second
    assert (first.number, second.number) == (1, 2)
    assert place.declarations.count() == 2
    told = [sentence(event) for event in Event.objects.filter(subject_id=place.pk)]
    figures = "300 examples to train on, 20 to test on"
    assert told[-1] == f"{blaise.organisation} declared its data: {figures}"


def test_the_same_figures_again_are_no_new_declaration(blaise: Person, place: Participation):
    assert declare(blaise, place, 100) == declare(blaise, place, 100)
    assert DataDeclaration.objects.count() == 1


def test_only_owners_sign_for_their_organisation(ada: Person, blaise: Person, place: Participation):
    scientist = MembershipFactory(organisation=blaise.organisation, role=Role.SCIENTIST).user
    with pytest.raises(Forbidden):
        declare(replace(blaise, user=scientist), place, 100)
    with pytest.raises(NotFound):
        declare(ada, place, 100)
    assert declaration_of(place.pk) is None


@pytest.mark.parametrize("figures", [(-1, 0), (0, -1), (10**9 + 1, 0)])
def test_what_is_no_number_of_examples_is_refused(
    blaise: Person, place: Participation, figures: tuple[int, int]
):
    with pytest.raises(Invalid):
        declare(blaise, place, *figures)
    assert declaration_of(place.pk) is None


def test_who_has_left_declares_nothing(blaise: Person, place: Participation):
    Participation.objects.update(state="left")
    with pytest.raises(NotTakingPart):
        declare(blaise, place, 100)


def test_an_owner_signs_on_the_page_and_all_members_read_it(blaise: Person, place: Participation):
    client = browser(blaise.user)
    address = f"/federations/{place.federation.slug}"
    assert "Nothing is declared yet" in words(client.get(address))
    said = {"train_examples": "1200", "test_examples": "150"}
    done = client.post(f"/participations/{place.pk}/declaration", said, follow=True)
    assert "Signed for" in words(done)
    assert "At most 1,200 examples to train on and 150 to test on. Signed by" in words(done)
    lead = place.federation.participations.get(standing="lead").signed_by
    assert "1,200 150 to test on" in words(browser(lead).get(f"{address}/members"))


def test_a_mistyped_number_is_told_and_nothing_is_signed(blaise: Person, place: Participation):
    said = {"train_examples": "many", "test_examples": "150"}
    done = browser(blaise.user).post(f"/participations/{place.pk}/declaration", said, follow=True)
    assert "Enter a whole number" in words(done)
    assert declaration_of(place.pk) is None


def test_the_page_takes_few_queries_also_with_many_declarations(
    blaise: Person, place: Participation, django_assert_max_num_queries
):
    for number in range(1, 6):
        declare(blaise, place, number)
        other = ParticipationFactory(federation=place.federation)
        owner = MembershipFactory(organisation=other.organisation).user
        declare(replace(blaise, user=owner), other, number)
    client = browser(blaise.user)
    for page in ("", "/members"):
        with django_assert_max_num_queries(10):
            client.get(f"/federations/{place.federation.slug}{page}")


def test_the_declaration_of_others_is_nowhere(place: Participation):
    stranger = UserFactory()
    sent = browser(stranger).post(f"/participations/{place.pk}/declaration", {})
    assert sent.status_code == 404
    listed = browser(stranger).get(f"/api/v1/participations/{place.pk}/declarations")
    assert listed.status_code == 404
    assert FederationFactory().participations.first().declarations.count() == 0


def test_the_api_signs_and_lists_the_newest_first(blaise: Person, place: Participation):
    client, address = browser(blaise.user), f"/api/v1/participations/{place.pk}/declarations"
    for train in (100, 200):
        said = {"train_examples": train, "test_examples": 10}
        answer = client.post(address, said, content_type="application/json")
        assert answer.status_code == 201, answer.content
    rows = client.get(address).json()["results"]
    assert [row["train_examples"] for row in rows] == [200, 100]
    assert client.get(f"{address}?x=1").status_code == 400
