from __future__ import annotations

from threading import Barrier, Thread

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from hub.common.actors import HUB
from hub.common.errors import Forbidden, IllegalTransition, NotFound
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.common.text import UnfitText
from hub.organisations import services
from hub.organisations.errors import LastOwner, NameTaken, PersonUnknown
from hub.organisations.models import Membership, Organisation, OrganisationState, Role
from hub.organisations.permissions import Permission
from hub.organisations.selectors import agents_of, organisations_of, require_permission
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


def test_an_owner_adds_a_colleague_and_changes_the_role(ada: Person):
    colleague = UserFactory(email="grace@example.org", name="Grace")
    add = {"organisation_id": ada.organisation.pk, "user": ada.user}
    for role in (Role.SCIENTIST, Role.SCIENTIST, Role.OWNER):
        services.add_member(email=" Grace@Example.org", role=role, **add)
    assert Membership.objects.get(user=colleague).role == Role.OWNER
    assert told("organisation.member_added") == [
        "Ada added Grace as scientist",
        "Ada added Grace as owner",
    ]
    with pytest.raises(PersonUnknown):
        services.add_member(email="nobody@example.org", role=Role.OWNER, **add)


def test_the_last_owner_stays(ada: Person):
    keep = {"organisation_id": ada.organisation.pk, "user": ada.user}
    with pytest.raises(LastOwner):
        services.remove_member(user_id=ada.user.pk, **keep)
    with pytest.raises(LastOwner):
        services.add_member(email=ada.user.email, role=Role.SCIENTIST, **keep)
    services.add_member(email=UserFactory(email="g@x.org").email, role=Role.OWNER, **keep)
    services.remove_member(user_id=ada.user.pk, **keep)
    assert not organisations_of(ada.user).exists()


def test_a_scientist_manages_nobody_but_may_leave(ada: Person):
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST).user
    as_scientist = {"organisation_id": ada.organisation.pk, "user": scientist}
    with pytest.raises(Forbidden):
        services.add_member(email=ada.user.email, role=Role.OWNER, **as_scientist)
    with pytest.raises(Forbidden):
        services.remove_member(user_id=ada.user.pk, **as_scientist)
    services.remove_member(user_id=scientist.pk, **as_scientist)
    with pytest.raises(NotFound):
        services.remove_member(user_id=scientist.pk, **as_scientist)


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


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_leave_one_behind():
    organisation = OrganisationFactory()
    owners = [MembershipFactory(organisation=organisation).user for _ in range(2)]
    start, refused = Barrier(2), []

    def leave(user):
        start.wait()
        try:
            services.remove_member(organisation_id=organisation.pk, user_id=user.pk, user=user)
        except LastOwner as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=leave, args=(user,)) for user in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert organisation.memberships.count() == 1
