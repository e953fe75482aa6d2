"""Organisations that come in from outside: a form, a confirmed address, then the operator."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common import text
from hub.common.errors import NotFound
from hub.organisations.errors import (
    InvitationClosed,
    NameTaken,
    RegistrationUnknown,
    WrongPassword,
)
from hub.organisations.models import LetterKind, Membership, Organisation, Registration
from hub.organisations.permissions import Role
from hub.organisations.seals import digest_of, secret_of
from hub.organisations.selectors import invitation_by
from hub.organisations.services.letters import post
from hub.organisations.services.organisations import register_organisation

GOOD_FOR = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Profile:
    """What an organisation says of itself."""

    name: str
    description: str = ""
    website: str = ""
    country: str = ""
    contact_email: str = ""


def addresses_are_proved() -> bool:
    """Whether this hub believes an address only once it is confirmed (EMAIL_VERIFICATION)."""
    return bool(settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory")


@transaction.atomic
def hand_in_registration(*, profile: Profile, person: str, email: str, password: str) -> None:
    """Register an organisation and the person who is to own it.

    It waits for the link in a mail, or counts at once where this hub proves no addresses. If the
    address has an account nothing is made and its person is told by mail: whoever asked cannot
    tell the difference, neither by the answer nor by the time that it takes. What has been
    registered so already is not registered again.

    Raises:
        NameTaken: an organisation has this name.
    """
    email, person = email.strip().lower(), text.line(person, least=1, most=120)
    name = text.line(profile.name, least=1, most=120)
    owner = _owner(name, email)
    if owner is not None and check_password(password, owner.password):
        return
    hashed = "" if owner else make_password(password)  # one hash, whoever it is
    _require_free(name)
    if has_account(email):
        post(LetterKind.KNOWN, email=email)
    elif addresses_are_proved():
        _keep(profile, person=person, email=email, hashed=hashed)
    else:
        user = _new_person(email=email, name=person, hashed=hashed, is_confirmed=False)
        register_organisation(user=user, **asdict(profile))


def _owner(name: str, email: str) -> User | None:
    """Who has this address and owns an organisation of this name, as after a double click."""
    own = Membership.objects.filter(organisation__name=name, role=Role.OWNER)
    return User.objects.filter(email=email, memberships__in=own).first()


def has_account(email: str) -> bool:
    """Never to be told to anybody but the hub itself."""
    held = EmailAddress.objects.filter(email__iexact=email, verified=True)
    return User.objects.filter(email=email).exists() or held.exists()


def _keep(profile: Profile, *, person: str, email: str, hashed: str) -> None:
    made = Registration(
        **{**asdict(profile), "contact_email": profile.contact_email or email},
        person=person,
        email=email,
        password=hashed,
        expires_at=timezone.now() + GOOD_FOR,
    )
    made.digest = digest_of(secret_of(made.pk))
    made.save()
    post(LetterKind.CONFIRM, email=email, about=made.pk)


@transaction.atomic
def confirm_registration(*, secret: str, password: str) -> tuple[User, Organisation]:
    """Make the person and the organisation, which then waits for the operator.

    The password must be the one of the form: else a stranger could type somebody's address with
    a password that the stranger knows, and wait for the click.

    Raises:
        RegistrationUnknown: no such link, or no longer.
        WrongPassword: not the one that was chosen.
        NameTaken: another organisation has taken the name since.
    """
    held = Registration.objects.select_for_update().filter(digest=digest_of(secret))
    found = held.filter(expires_at__gt=timezone.now()).first()
    if found is None:
        raise RegistrationUnknown(_("Register again; if you have confirmed it already, sign in."))
    if not check_password(password, found.password):
        raise WrongPassword(_("Type the one that you chose in the form."))
    _require_free(found.name)
    user = User.objects.filter(email=found.email).first() or _new_person(
        email=found.email, name=found.person, hashed=found.password, is_confirmed=True
    )
    organisation = register_organisation(
        user=user,
        name=found.name,
        description=found.description,
        website=found.website,
        country=found.country,
        contact_email=found.contact_email,
    )
    Registration.objects.filter(email=found.email, name=found.name).delete()  # sent twice
    return user, organisation


def prune_registrations() -> None:
    """Let go of those that nobody confirmed in time."""
    Registration.objects.filter(expires_at__lt=timezone.now()).delete()


def _require_free(name: str) -> None:
    if Organisation.objects.filter(name=name).exists():
        raise NameTaken(_("%(name)s is registered already.") % {"name": name})


def _new_person(*, email: str, name: str, hashed: str, is_confirmed: bool) -> User:
    user = User.objects.create(email=email, name=name, password=hashed)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=is_confirmed)
    return user


@transaction.atomic
def sign_up_invited(*, secret: str, name: str, password: str) -> None:
    """Make an account for whoever holds an invitation's link, which proves its address.

    If there is one already it stays as it is: neither the answer nor its time tell.

    Raises:
        NotFound: no such link, or no longer.
        InvitationClosed: answered, revoked or too old.
    """
    found = invitation_by(secret)
    if found is None:
        raise NotFound("no such invitation")
    if not found.is_open:
        raise InvitationClosed(_("Ask for a new one."))
    hashed, name = make_password(password), text.line(name, least=1, most=120)
    if not has_account(found.email):
        _new_person(email=found.email, name=name, hashed=hashed, is_confirmed=True)
