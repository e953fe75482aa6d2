from __future__ import annotations

from functools import partial

import pytest

from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.organisations import services
from hub.organisations.errors import (
    GrantsMore,
    LastOwner,
    RoleHeld,
    RoleNameTaken,
    TooManyRoles,
)
from hub.organisations.models import CustomRole, Membership, Role
from hub.organisations.permissions import ROLES, Permission
from hub.organisations.selectors import organisations_of, require_permission
from hub.organisations.services.roles import MOST_ROLES
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.organisations import MembershipFactory, OrganisationFactory
from tests.hub.organisations.racing import at_once

pytestmark = pytest.mark.django_db
SEE = Permission.SEE_ORGANISATION.value
AGENTS = Permission.MANAGE_AGENTS.value


def told(kind: str) -> list[str]:
    return [sentence(event) for event in Event.objects.filter(kind=kind)]


def place(ada: Person, role: str, name: str = "Grace") -> Membership:
    return MembershipFactory(organisation=ada.organisation, role=role, user__name=name)


def given(ada: Person, person: Membership, role: str, **more: object) -> Membership:
    return services.set_role(
        organisation_id=ada.organisation.pk,
        user_id=person.user_id,
        user=more.pop("by", ada.user),
        role=role,
        **more,
    )


@pytest.fixture
def custodian(ada: Person) -> CustomRole:
    return services.create_role(
        organisation_id=ada.organisation.pk,
        name="Custodian",
        permissions=[AGENTS, SEE],
        user=ada.user,
    )


def test_a_role_given_twice_is_given_once(ada: Person):
    grace = place(ada, Role.SCIENTIST)
    for _ in range(2):
        assert given(ada, grace, Role.MANAGER).role == Role.MANAGER
    assert told("organisation.role_given") == ["Ada made Grace manager, before scientist"]


def test_nobody_gives_or_takes_what_their_own_role_lacks(ada: Person):
    manager, scientist = place(ada, Role.MANAGER), place(ada, Role.SCIENTIST)
    with pytest.raises(GrantsMore, match="may not"):
        given(ada, scientist, Role.OWNER, by=manager.user)
    with pytest.raises(GrantsMore):
        given(ada, Membership.objects.get(user=ada.user), Role.SCIENTIST, by=manager.user)
    assert given(ada, scientist, Role.AUDITOR, by=manager.user).role == Role.AUDITOR


def test_a_scientist_manages_nobody_but_may_leave(ada: Person, carol: Person):
    scientist = place(ada, Role.SCIENTIST)
    with pytest.raises(Forbidden):
        given(ada, scientist, Role.MANAGER, by=scientist.user)
    with pytest.raises(NotFound):
        given(ada, scientist, Role.MANAGER, by=carol.user)
    leave = partial(
        services.remove_member, organisation_id=ada.organisation.pk, user=scientist.user
    )
    with pytest.raises(Forbidden):
        leave(user_id=ada.user.pk)
    leave(user_id=scientist.user_id)
    with pytest.raises(NotFound):
        leave(user_id=scientist.user_id)


def test_the_last_owner_stays_and_who_cannot_sign_in_does_not_count(ada: Person):
    own = Membership.objects.get(user=ada.user)
    MembershipFactory(organisation=ada.organisation, user=UserFactory(is_active=False))
    with pytest.raises(LastOwner):
        services.remove_member(
            organisation_id=ada.organisation.pk, user_id=ada.user.pk, user=ada.user
        )
    with pytest.raises(LastOwner):
        given(ada, own, Role.SCIENTIST)
    given(ada, place(ada, Role.SCIENTIST), Role.OWNER)
    services.remove_member(organisation_id=ada.organisation.pk, user_id=ada.user.pk, user=ada.user)
    assert not organisations_of(ada.user).exists()


def test_a_role_of_one_s_own_carries_what_it_lists_and_no_more(ada: Person, custodian: CustomRole):
    grace = place(ada, Role.SCIENTIST)
    held = given(ada, grace, "", custom_role_id=custodian.pk)
    assert held.role_name == "Custodian"
    require_permission(grace.user, ada.organisation.pk, Permission.MANAGE_AGENTS)
    with pytest.raises(Forbidden):
        require_permission(grace.user, ada.organisation.pk, Permission.START_RUNS)
    assert told("organisation.role_made") == [
        "Ada made the role 'Custodian', which may: organisation.see, agents.manage"
    ]


def test_a_role_made_twice_is_made_once(ada: Person, custodian: CustomRole):
    again = services.create_role(
        organisation_id=ada.organisation.pk,
        name="Custodian",
        permissions=[SEE, AGENTS, SEE],
        user=ada.user,
    )
    assert again == custodian
    assert Event.objects.filter(kind="organisation.role_made").count() == 1


@pytest.mark.parametrize("name", ["Custodian", "owner", "Inhaber"])
def test_names_of_roles_differ(ada: Person, custodian: CustomRole, name: str):
    with pytest.raises(RoleNameTaken):
        services.create_role(
            organisation_id=ada.organisation.pk, name=name, permissions=[SEE], user=ada.user
        )


def test_what_is_no_permission_is_in_no_role(ada: Person, custodian: CustomRole):
    with pytest.raises(Invalid):
        services.change_role(
            role_id=custodian.pk, name="Custodian", permissions=["hub.own"], user=ada.user
        )


def test_nobody_puts_into_a_role_what_they_lack(ada: Person, custodian: CustomRole):
    makes = services.create_role(
        organisation_id=ada.organisation.pk,
        name="Keeper of roles",
        permissions=[Permission.MANAGE_ROLES.value, SEE],
        user=ada.user,
    )
    keeper = place(ada, Role.SCIENTIST)
    given(ada, keeper, "", custom_role_id=makes.pk)
    change = partial(services.change_role, name="Custodian", user=keeper.user)
    with pytest.raises(GrantsMore):  # more than the keeper has
        services.create_role(
            organisation_id=ada.organisation.pk,
            name="All",
            permissions=ROLES[Role.OWNER],
            user=keeper.user,
        )
    with pytest.raises(GrantsMore):  # taking away what the keeper lacks
        change(role_id=custodian.pk, permissions=[SEE])
    with pytest.raises(GrantsMore):
        services.delete_role(role_id=custodian.pk, user=keeper.user)


def test_a_change_acts_on_all_who_hold_the_role(ada: Person, custodian: CustomRole):
    grace = place(ada, Role.SCIENTIST)
    given(ada, grace, "", custom_role_id=custodian.pk)
    for _ in range(2):
        services.change_role(role_id=custodian.pk, name="Guest", permissions=[SEE], user=ada.user)
    with pytest.raises(Forbidden, match="Guest"):
        require_permission(grace.user, ada.organisation.pk, Permission.MANAGE_AGENTS)
    assert told("organisation.role_changed") == [
        "Ada changed the role 'Guest', which may: organisation.see"
    ]


def test_a_role_that_somebody_has_or_was_offered_stays(ada: Person, custodian: CustomRole):
    grace = place(ada, Role.SCIENTIST)
    given(ada, grace, "", custom_role_id=custodian.pk)
    with pytest.raises(RoleHeld):
        services.delete_role(role_id=custodian.pk, user=ada.user)
    given(ada, grace, Role.SCIENTIST)
    offered = services.invite_person(
        organisation_id=ada.organisation.pk,
        email="x@example.org",
        role="",
        custom_role_id=custodian.pk,
        user=ada.user,
    )
    with pytest.raises(RoleHeld):
        services.delete_role(role_id=custodian.pk, user=ada.user)
    services.revoke_invitation(invitation_id=offered.pk, user=ada.user)
    services.delete_role(role_id=custodian.pk, user=ada.user)
    with pytest.raises(NotFound):
        services.delete_role(role_id=custodian.pk, user=ada.user)


def test_a_role_of_another_organisation_is_no_role_here(
    ada: Person, blaise: Person, custodian: CustomRole
):
    mine = MembershipFactory(organisation=blaise.organisation, role=Role.SCIENTIST)
    with pytest.raises(NotFound):
        given(blaise, mine, "", custom_role_id=custodian.pk)
    with pytest.raises(NotFound):
        services.delete_role(role_id=custodian.pk, user=blaise.user)


def test_an_organisation_has_so_many_roles(ada: Person):
    make = partial(
        services.create_role,
        organisation_id=ada.organisation.pk,
        permissions=[SEE],
        user=ada.user,
    )
    for number in range(MOST_ROLES):
        make(name=f"Role {number}")
    with pytest.raises(TooManyRoles):
        make(name="One more")


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_leave_one_behind():
    organisation = OrganisationFactory()
    owners = [MembershipFactory(organisation=organisation).user for _ in range(2)]
    leave = [
        partial(
            services.remove_member,
            organisation_id=organisation.pk,
            user_id=user.pk,
            user=user,
        )
        for user in owners
    ]
    assert at_once(*leave) == [LastOwner]
    assert organisation.memberships.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_demote_each_other_at_once_leave_one():
    organisation = OrganisationFactory()
    one, other = (MembershipFactory(organisation=organisation).user for _ in range(2))
    demote = [
        partial(
            services.set_role,
            organisation_id=organisation.pk,
            user_id=whom.pk,
            role=Role.SCIENTIST,
            user=by,
        )
        for by, whom in ((one, other), (other, one))
    ]
    # Whoever came second is a scientist by then, who gives nobody anything.
    assert at_once(*demote) == [Forbidden]
    assert organisation.memberships.filter(role=Role.OWNER).count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_role_given_and_deleted_at_once_is_one_or_the_other():
    organisation = OrganisationFactory()
    owner, grace = (MembershipFactory(organisation=organisation) for _ in range(2))
    role = CustomRole.objects.create(organisation=organisation, name="Custodian", permissions=[SEE])
    refused = at_once(
        partial(
            services.set_role,
            organisation_id=organisation.pk,
            user_id=grace.user_id,
            custom_role_id=role.pk,
            user=owner.user,
        ),
        partial(services.delete_role, role_id=role.pk, user=owner.user),
    )
    grace.refresh_from_db()
    assert refused == ([RoleHeld] if grace.custom_role_id else [NotFound])
