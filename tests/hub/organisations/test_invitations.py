from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.utils import timezone

from hub.accounts.models import User
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event, OutboxMessage
from hub.common.sentences import sentence
from hub.federations.inviting import invite
from hub.federations.models import Federation
from hub.organisations import services
from hub.organisations.errors import (
    AlreadyInvited,
    AlreadyMember,
    GrantsMore,
    InvitationClosed,
    InvitationForAnother,
    NotApproved,
)
from hub.organisations.models import Invitation, Letter, Membership, Role
from hub.organisations.selectors import (
    invitation_by,
    invitations_for,
    invitations_to,
    invitations_visible_to,
)
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.federations import ParticipationFactory
from tests.factories.organisations import MembershipFactory
from tests.hub.organisations.racing import at_once

pytestmark = pytest.mark.django_db
GRACE = "grace@example.org"


def asked(ada: Person, email: str = GRACE, role: str = Role.SCIENTIST, **more: Any) -> Invitation:
    return services.invite_person(
        organisation_id=ada.organisation.pk,
        email=email,
        role=role,
        user=more.pop("by", ada.user),
        **more,
    )


def confirmed(email: str = GRACE, **more: Any) -> User:
    user = UserFactory(email=email, **more)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return user


def delivered() -> str:
    """Send what waits, as the worker does; returns the newest mail's secret."""
    for letter in Letter.objects.filter(sent_at__isnull=True):
        services.send_letter(letter_id=letter.pk)
    return secret_in(mail.outbox[-1].body)


def secret_in(body: str) -> str:
    found = re.search(r"/(?:invitations/by|registrations)/([\w-]{43})", body)
    assert found, body
    return found[1]


@pytest.fixture
def proved(settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"


def test_the_mail_has_the_link_and_the_database_only_its_digest(ada: Person):
    invitation = asked(ada, " Grace@Example.ORG")
    secret = delivered()
    (sent,) = mail.outbox
    assert sent.to == [GRACE]
    assert sent.subject == "Foedus: Invitation to Ada Institute"
    assert "Ada invites you to act for Ada Institute" in sent.body
    assert "Your role there: Scientist." in sent.body
    assert invitation_by(secret) == invitation
    rows = [*Invitation.objects.values(), *Letter.objects.values(), *OutboxMessage.objects.values()]
    assert secret not in str(rows)


def test_a_letter_delivered_twice_is_sent_once(ada: Person):
    asked(ada)
    letter = Letter.objects.get()
    assert OutboxMessage.objects.filter(job="default.send_letter").count() == 1
    for _ in range(2):
        services.send_letter(letter_id=letter.pk)
    assert len(mail.outbox) == 1


def test_a_letter_that_could_not_be_sent_is_asked_for_again(ada: Person):
    asked(ada)
    hour = timezone.now() - timedelta(hours=1)
    Letter.objects.update(created_at=hour)
    services.sweep_letters()
    assert OutboxMessage.objects.filter(job="default.send_letter").count() == 2
    Letter.objects.update(sent_at=hour)
    services.sweep_letters()
    assert OutboxMessage.objects.filter(job="default.send_letter").count() == 2


def test_the_same_again_changes_nothing_and_another_role_is_refused(ada: Person):
    assert asked(ada) == asked(ada)
    assert Letter.objects.count() == 1
    with pytest.raises(AlreadyInvited):
        asked(ada, role=Role.MANAGER)


def test_an_address_with_an_account_and_one_without_are_the_same(ada: Person):
    UserFactory(email="known@example.org")
    known, unknown = asked(ada, "known@example.org"), asked(ada, "nobody@example.org")
    shape = [name for name in vars(known) if name not in {"id", "digest", "email"}]
    differ = {
        name
        for name in shape
        if str(getattr(known, name)) != str(getattr(unknown, name)) and not name.endswith("_at")
    }
    assert differ <= {"_state"}
    assert Letter.objects.count() == 2


def test_who_acts_for_it_already_is_not_invited(ada: Person):
    MembershipFactory(organisation=ada.organisation, user=UserFactory(email=GRACE))
    with pytest.raises(AlreadyMember):
        asked(ada)


def test_nobody_invites_to_more_than_they_have(ada: Person, carol: Person):
    manager = MembershipFactory(organisation=ada.organisation, role=Role.MANAGER).user
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST).user
    with pytest.raises(GrantsMore):
        asked(ada, role=Role.OWNER, by=manager)
    with pytest.raises(Forbidden):
        asked(ada, by=scientist)
    with pytest.raises(NotFound):
        asked(ada, by=carol.user)
    assert not Letter.objects.exists()


def test_who_is_not_approved_sends_no_mail():
    place = MembershipFactory(organisation__state="pending")
    with pytest.raises(NotApproved):
        services.invite_person(
            organisation_id=place.organisation.pk, email=GRACE, role="owner", user=place.user
        )


def test_accepted_twice_it_is_accepted_once(ada: Person, proved: None):
    invitation, grace = asked(ada), confirmed(name="Grace")
    for _ in range(2):
        services.accept_invitation(user=grace, invitation_id=invitation.pk)
    assert Membership.objects.get(user=grace).role == Role.SCIENTIST
    (event,) = Event.objects.filter(kind="invitation.accepted")
    told = "Grace accepted the invitation to Ada Institute for Ada Institute"
    assert sentence(event) == told


def test_who_has_become_a_member_otherwise_keeps_the_role(ada: Person, proved: None):
    invitation, grace = asked(ada), confirmed()
    MembershipFactory(organisation=ada.organisation, user=grace, role=Role.AUDITOR)
    services.accept_invitation(user=grace, invitation_id=invitation.pk)
    assert Membership.objects.get(user=grace).role == Role.AUDITOR


def test_an_address_that_is_not_confirmed_opens_nothing_but_its_link_does(
    ada: Person, proved: None
):
    invitation, grace = asked(ada), UserFactory(email=GRACE)
    assert not invitations_to(grace).exists()
    with pytest.raises(NotFound):
        services.accept_invitation(user=grace, invitation_id=invitation.pk)
    with pytest.raises(NotFound):
        services.accept_invitation(user=grace, invitation_id=invitation.pk, secret="guessed")
    services.accept_invitation(user=grace, invitation_id=invitation.pk, secret=delivered())
    assert EmailAddress.objects.get(user=grace).verified


def test_where_no_address_is_proved_the_account_s_is_believed(ada: Person):
    invitation, grace = asked(ada), UserFactory(email=GRACE)
    assert list(invitations_to(grace)) == [invitation]
    services.accept_invitation(user=grace, invitation_id=invitation.pk)
    assert Membership.objects.filter(user=grace).exists()


def test_a_link_is_for_its_address_only(ada: Person, carol: Person):
    invitation = asked(ada)
    secret = delivered()
    with pytest.raises(InvitationForAnother):
        services.accept_invitation(user=carol.user, invitation_id=invitation.pk, secret=secret)
    with pytest.raises(NotFound):
        services.accept_invitation(user=carol.user, invitation_id=invitation.pk)
    with pytest.raises(NotFound):
        services.decline_invitation(invitation_id=invitation.pk, user=carol.user)


def test_the_link_is_enough_to_decline(ada: Person):
    invitation = asked(ada)
    secret = delivered()
    for _ in range(2):
        services.decline_invitation(invitation_id=invitation.pk, secret=secret)
    with pytest.raises(InvitationClosed):
        services.accept_invitation(user=confirmed(), invitation_id=invitation.pk, secret=secret)
    with pytest.raises(NotFound):
        services.decline_invitation(invitation_id=asked(ada, "x@y.org").pk)


def test_what_is_revoked_opens_nothing(ada: Person, carol: Person):
    invitation = asked(ada)
    with pytest.raises(NotFound):
        services.revoke_invitation(invitation_id=invitation.pk, user=carol.user)
    for _ in range(2):
        services.revoke_invitation(invitation_id=invitation.pk, user=ada.user)
    with pytest.raises(InvitationClosed, match="revoked"):
        services.accept_invitation(user=confirmed(), invitation_id=invitation.pk)
    with pytest.raises(InvitationClosed):
        services.resend_invitation(invitation_id=invitation.pk, user=ada.user)
    assert asked(ada) != invitation


def test_sent_again_the_old_link_is_dead(ada: Person):
    invitation = asked(ada)
    old = delivered()
    services.resend_invitation(invitation_id=invitation.pk, user=ada.user)
    new = delivered()
    assert old != new
    assert invitation_by(old) is None
    assert invitation_by(new) == invitation


def test_what_nobody_answers_expires_and_can_be_sent_again(ada: Person):
    invitation, grace = asked(ada), confirmed()
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(InvitationClosed, match="expired"):
        services.accept_invitation(user=grace, invitation_id=invitation.pk)
    for _ in range(2):
        services.expire_invitations()
    assert Event.objects.filter(kind="invitation.expired").count() == 1
    services.resend_invitation(invitation_id=invitation.pk, user=ada.user)
    services.accept_invitation(user=grace, invitation_id=invitation.pk)
    assert Membership.objects.filter(user=grace).exists()


def test_an_expired_one_stands_in_nobody_s_way(ada: Person):
    first = asked(ada)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    second = asked(ada, role=Role.MANAGER)
    with pytest.raises(AlreadyInvited):
        services.resend_invitation(invitation_id=first.pk, user=ada.user)
    assert Invitation.objects.get(state="open") == second


def test_an_organisation_that_was_suspended_takes_nobody_in(ada: Person):
    invitation = asked(ada)
    services.suspend_organisation(
        organisation_id=ada.organisation.pk, actor=ada.user.actor, reason="why not"
    )
    with pytest.raises(NotApproved):
        services.accept_invitation(user=confirmed(), invitation_id=invitation.pk)


def test_each_sees_what_is_theirs(ada: Person, blaise: Person, operator: Person):
    invitation, grace = asked(ada), UserFactory(email=GRACE)
    hub = services.invite_to_hub(user=operator.user, email="ceo@example.com")
    assert list(invitations_visible_to(ada.user)) == [invitation]
    assert list(invitations_visible_to(grace)) == [invitation]
    assert list(invitations_visible_to(operator.user)) == [hub]
    assert not invitations_visible_to(blaise.user).exists()


# ---------------------------------------------------------------- organisations


def test_an_operator_s_invitation_approves_the_organisation_that_comes(operator: Person):
    with pytest.raises(Forbidden):
        services.invite_to_hub(user=UserFactory(), email=GRACE)
    invitation = services.invite_to_hub(user=operator.user, email=GRACE)
    grace = confirmed()
    made = services.register_organisation(user=grace, name="Grace Hospital")
    accept = partial(services.accept_invitation, user=grace, invitation_id=invitation.pk)
    with pytest.raises(Invalid):
        accept()
    for _ in range(2):
        accept(organisation_id=made.pk)
    made.refresh_from_db()
    assert made.state == "approved"
    (event,) = Event.objects.filter(kind="organisation.approved")
    assert sentence(event) == "Olga approved Grace Hospital: invited"


def test_an_organisation_is_invited_into_a_federation_by_its_lead(
    ada: Person, blaise: Person, carol: Person, federation: Federation
):
    offer = {"federation_id": federation.pk, "email": GRACE, "standing": "observer"}
    with pytest.raises(Forbidden):
        invite(user=blaise.user, **offer)
    with pytest.raises(NotFound):
        invite(user=carol.user, **offer)
    with pytest.raises(Invalid):
        invite(user=ada.user, **{**offer, "standing": "lead"})
    invitation = invite(user=ada.user, **offer)
    assert invite(user=ada.user, **offer) == invitation
    assert delivered()
    assert f"into the federation {federation.name}" in mail.outbox[-1].body
    (event,) = Event.objects.filter(kind="invitation.open")
    told = f"Ada invited an organisation at example.org into {federation.name}"
    assert sentence(event) == told
    assert GRACE not in str(event.data)


def test_an_accepted_invitation_lets_its_organisation_in_once(ada: Person, federation: Federation):
    place = MembershipFactory(user=confirmed())
    invitation = invite(
        user=ada.user, federation_id=federation.pk, email=GRACE, standing="contributor"
    )
    accept = partial(services.accept_invitation, user=place.user, invitation_id=invitation.pk)
    with pytest.raises(NotFound):
        accept(organisation_id=ada.organisation.pk)
    accept(organisation_id=place.organisation.pk)
    assert list(invitations_for(place.organisation)) == [invitation]
    assert not invitations_for(ada.organisation).exists()
    ParticipationFactory(federation=federation, organisation=place.organisation)
    assert not invitations_for(place.organisation).exists()


def test_only_who_signs_for_an_organisation_brings_it(ada: Person, federation: Federation):
    scientist = MembershipFactory(user=confirmed(), role=Role.SCIENTIST)
    invitation = invite(
        user=ada.user, federation_id=federation.pk, email=GRACE, standing="contributor"
    )
    with pytest.raises(Forbidden):
        services.accept_invitation(
            user=scientist.user,
            invitation_id=invitation.pk,
            organisation_id=scientist.organisation.pk,
        )


# ---------------------------------------------------------------- races


@pytest.mark.django_db(transaction=True)
def test_accepted_twice_at_once_it_makes_one_place():
    owner = MembershipFactory()
    invitation = services.invite_person(
        organisation_id=owner.organisation.pk, email=GRACE, role="scientist", user=owner.user
    )
    grace = UserFactory(email=GRACE)
    accept = partial(services.accept_invitation, user=grace, invitation_id=invitation.pk)
    assert at_once(accept, accept) == []
    assert Membership.objects.filter(user=grace).count() == 1
    assert Event.objects.filter(kind="invitation.accepted").count() == 1


@pytest.mark.django_db(transaction=True)
def test_accepted_and_revoked_at_once_it_is_one_of_both():
    owner = MembershipFactory()
    invitation = services.invite_person(
        organisation_id=owner.organisation.pk, email=GRACE, role="scientist", user=owner.user
    )
    grace = UserFactory(email=GRACE)
    refused = at_once(
        partial(services.accept_invitation, user=grace, invitation_id=invitation.pk),
        partial(services.revoke_invitation, invitation_id=invitation.pk, user=owner.user),
    )
    invitation.refresh_from_db()
    assert refused == [InvitationClosed]
    assert Membership.objects.filter(user=grace).exists() == (invitation.state == "accepted")


@pytest.mark.django_db(transaction=True)
def test_the_same_invited_twice_at_once_is_invited_once():
    operator = UserFactory(is_staff=True)
    ask = partial(services.invite_to_hub, user=operator, email=GRACE)
    assert len(at_once(ask, ask)) <= 1
    assert Invitation.objects.count() == 1
    assert Letter.objects.count() == 1
