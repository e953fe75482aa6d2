from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from hub.common.actors import HUB
from hub.common.errors import Forbidden, IllegalTransition, Invalid, NotFound
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.common.text import UnfitText
from hub.organisations import services
from hub.organisations.errors import NameTaken
from hub.organisations.models import Letter, Organisation, OrganisationState, Role
from hub.organisations.permissions import Permission
from hub.organisations.selectors import agents_of, require_permission
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.organisations import AgentFactory, MembershipFactory, OrganisationFactory

pytestmark = pytest.mark.django_db


def told(kind: str) -> list[str]:
    return [sentence(event) for event in Event.objects.filter(kind=kind)]


def test_who_registers_an_organisation_owns_it_and_waits_for_approval():
    user = UserFactory(name="Ada")
    made = services.register_organisation(user=user, name="  Ada  Institute ")
    assert (made.name, made.slug, made.state) == ("Ada  Institute", "ada-institute", "pending")
    assert made.contact_email == user.email
    assert require_permission(user, made.pk, Permission.SIGN_CHARTERS).organisation == made
    assert told("organisation.registered") == ["Ada registered Ada Institute"]


def test_a_demonstration_approves_by_itself(settings):
    settings.AUTO_APPROVE_ORGANISATIONS = True
    made = services.register_organisation(user=UserFactory(), name="Ada Institute")
    assert made.state == OrganisationState.APPROVED


def test_names_differ_and_slugs_follow():
    user = UserFactory()
    first = services.register_organisation(user=user, name="Bergen Bank")
    second = services.register_organisation(user=user, name="Bergen-Bank")
    foreign = services.register_organisation(user=user, name="北京")
    assert (first.slug, second.slug) == ("bergen-bank", "bergen-bank-2")
    assert foreign.slug == "organisation"
    with pytest.raises(NameTaken):
        services.register_organisation(user=user, name="Bergen Bank")


@pytest.mark.parametrize("name", ["base", "API", "Models"])
def test_a_slug_is_never_a_reserved_address(name):
    made = services.register_organisation(user=UserFactory(), name=name)
    assert made.slug == f"{name.lower()}-2"


def test_a_name_that_deceives_is_refused_by_the_service_too():
    with pytest.raises(UnfitText):
        services.register_organisation(user=UserFactory(), name="Bergen \u202eknaB")


@pytest.mark.parametrize(
    ("start", "act", "end"),
    [
        ("pending", "approve", "approved"),
        ("pending", "refuse", "refused"),
        ("approved", "suspend", "suspended"),
        ("suspended", "reinstate", "approved"),
    ],
)
def test_a_decision_made_twice_is_made_once(start, act, end):
    organisation = OrganisationFactory(state=start)
    decide = getattr(services, f"{act}_organisation")
    for _ in range(2):
        decided = decide(organisation_id=organisation.pk, actor=HUB, reason="as agreed")
        assert decided.state == end
    assert Event.objects.filter(subject_id=organisation.pk).count() == 1


def test_what_was_refused_stays_refused():
    organisation = OrganisationFactory(state="refused")
    with pytest.raises(IllegalTransition):
        services.approve_organisation(organisation_id=organisation.pk, actor=HUB)


def test_a_refusal_needs_a_reason_and_is_told_to_the_owner():
    place = MembershipFactory(organisation__state="pending")
    refuse = {"organisation_id": place.organisation.pk, "actor": HUB}
    with pytest.raises(Invalid):
        services.refuse_organisation(reason=" ", **refuse)
    assert not Letter.objects.exists()
    for _ in range(2):
        services.refuse_organisation(reason="no such company", **refuse)
    letter = Letter.objects.get()
    assert (letter.kind, letter.email) == ("decision", place.user.email)


def test_who_is_reinstated_gets_no_letter_about_a_registration():
    place = MembershipFactory(organisation__state="suspended")
    services.reinstate_organisation(organisation_id=place.organisation.pk, actor=HUB)
    assert not Letter.objects.exists()


def test_the_profile_is_changed_by_whom_it_is_given(ada: Person, carol: Person):
    profile = {
        "organisation_id": ada.organisation.pk,
        "description": "Heals",
        "website": "https://ada.example",
        "country": "Norway",
        "contact_email": "office@ada.example",
    }
    for _ in range(2):
        services.edit_organisation(user=ada.user, **profile)
    assert told("organisation.edited") == [
        "Ada changed the profile of Ada Institute: description, website, country, contact email"
    ]
    manager = MembershipFactory(organisation=ada.organisation, role=Role.MANAGER).user
    with pytest.raises(Forbidden):
        services.edit_organisation(user=manager, **profile)
    with pytest.raises(NotFound):
        services.edit_organisation(user=carol.user, **profile)


def test_strangers_learn_nothing(ada: Person, carol: Person):
    AgentFactory(organisation=ada.organisation)
    with pytest.raises(NotFound):
        require_permission(carol.user, ada.organisation.pk, Permission.SEE_ORGANISATION)
    assert not agents_of(carol.user).exists()
    assert agents_of(ada.user).count() == 1


def test_an_operator_approves_at_the_command_line(capsys):
    OrganisationFactory(state="pending", slug="bergen")
    call_command("approve_organisation", "bergen")
    assert Organisation.objects.get(slug="bergen").state == OrganisationState.APPROVED
    with pytest.raises(CommandError, match="bergen"):
        call_command("approve_organisation", "nobody")
