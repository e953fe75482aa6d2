"""Organisations: registered, described, and what operators decide about them."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common import switches, text
from hub.common.actors import HUB, Actor
from hub.common.errors import Invalid, NotFound
from hub.common.services import slugs_for, violated
from hub.common.wakeups import wake
from hub.organisations.errors import NameTaken
from hub.organisations.models import LetterKind, Membership, Organisation, OrganisationState
from hub.organisations.permissions import Permission, Role
from hub.organisations.selectors import require_permission
from hub.organisations.services.letters import post

GIB = 2**30


@transaction.atomic
def register_organisation(
    *,
    user: User,
    name: str,
    description: str = "",
    contact_email: str = "",
    website: str = "",
    country: str = "",
) -> Organisation:
    """Register an organisation with the person as its owner; an operator approves it.

    Raises:
        NameTaken: also by one that was refused; names stay unique for ever.
    """
    organisation = _create(
        name=text.line(name, least=1, most=120),
        description=text.line(description, most=500),
        contact_email=contact_email or user.email,
        website=website,
        country=text.line(country, most=60),
    )
    Membership.objects.create(user=user, organisation=organisation, role=Role.OWNER)
    data = {"organisation": organisation.name}
    organisation.record("registered", actor=user.actor, data=data)
    if switches.approves_organisations():
        organisation.move_to(OrganisationState.APPROVED, actor=HUB, data=data)
    return organisation


def _create(*, name: str, **profile: str) -> Organisation:
    for slug in slugs_for(name, fallback="organisation"):
        try:
            with transaction.atomic():
                return Organisation.objects.create(slug=slug, name=name, **profile)
        except IntegrityError as error:
            if "slug" not in violated(error):
                raise NameTaken(_("%(name)s is registered already.") % {"name": name}) from error
    raise NameTaken(_("Too many organisations have a name like %(name)s.") % {"name": name})


def approve_organisation(*, organisation_id: UUID, actor: Actor, reason: str = "") -> Organisation:
    """Let a registered organisation take part. Doing it twice changes nothing."""
    return _decide(organisation_id, OrganisationState.APPROVED, actor, reason)


def reinstate_organisation(
    *, organisation_id: UUID, actor: Actor, reason: str = ""
) -> Organisation:
    """Let a suspended organisation take part again."""
    return _decide(organisation_id, OrganisationState.APPROVED, actor, reason)


def refuse_organisation(*, organisation_id: UUID, actor: Actor, reason: str = "") -> Organisation:
    """Refuse a registration, for good; its owner reads the reason.

    Raises:
        Invalid: no reason is given.
    """
    if not reason.strip():
        raise Invalid(_("Say why: the person who registered it reads it."))
    return _decide(organisation_id, OrganisationState.REFUSED, actor, reason)


def suspend_organisation(*, organisation_id: UUID, actor: Actor, reason: str = "") -> Organisation:
    """Stop an organisation: its agents are refused from their next request on."""
    return _decide(organisation_id, OrganisationState.SUSPENDED, actor, reason)


@transaction.atomic
def set_quota(
    *, organisation_id: UUID, quota_bytes: int | None, actor: Actor, reason: str = ""
) -> Organisation:
    """Let an organisation store so many bytes; 0: without limit, None: as many as any other.

    Doing it twice changes nothing.
    """
    organisation = locked_organisation(organisation_id)
    if organisation.quota_bytes != quota_bytes:
        organisation.quota_bytes = quota_bytes
        organisation.save(update_fields=["quota_bytes"])
        data = {"organisation": organisation.name, "may": _may_store(quota_bytes)}
        organisation.record("quota_set", actor=actor, reason=text.line(reason, most=500), data=data)
    return organisation


def _may_store(quota_bytes: int | None) -> str:
    match quota_bytes:
        case None:
            return "as much as any other"
        case 0:
            return "without limit"
    return f"{quota_bytes / GIB:.6g} GiB"


@transaction.atomic
def _decide(
    organisation_id: UUID, state: OrganisationState, actor: Actor, reason: str
) -> Organisation:
    organisation = locked_organisation(organisation_id)
    if organisation.state != state:
        was_waiting = organisation.state == OrganisationState.PENDING
        organisation.move_to(
            state,
            actor=actor,
            reason=text.line(reason, most=500),
            data={"organisation": organisation.name},
        )
        wake(f"organisation:{organisation.pk}")
        if was_waiting:
            _tell_owners(organisation)
    return organisation


def _tell_owners(organisation: Organisation) -> None:
    for place in organisation.memberships.filter(role=Role.OWNER).select_related("user"):
        post(LetterKind.DECISION, email=place.user.email, about=organisation.pk)


@transaction.atomic
def edit_organisation(
    *,
    organisation_id: UUID,
    user: User,
    description: str,
    website: str,
    country: str,
    contact_email: str,
) -> Organisation:
    """Change what an organisation says of itself; its name is what was approved, and stays.

    Twice changes nothing.

    Raises:
        NotFound, Forbidden: it is not the person's to change.
        UnfitText: it cannot be shown.
    """
    organisation = locked_organisation(organisation_id)
    require_permission(user, organisation_id, Permission.EDIT_ORGANISATION)
    wanted = {
        "description": text.line(description, most=500),
        "website": website,
        "country": text.line(country, most=60),
        "contact_email": contact_email,
    }
    changed = [name for name, value in wanted.items() if getattr(organisation, name) != value]
    for name in changed:
        setattr(organisation, name, wanted[name])
    if changed:
        organisation.save(update_fields=changed)
        what = ", ".join(name.replace("_", " ") for name in changed)
        data = {"organisation": organisation.name, "what": what}
        organisation.record("edited", actor=user.actor, data=data)
    return organisation


def locked_organisation(organisation_id: UUID) -> Organisation:
    """The organisation, held until the transaction ends; raises NotFound."""
    organisation = Organisation.objects.select_for_update().filter(pk=organisation_id).first()
    if organisation is None:
        raise NotFound("no such organisation")
    return organisation
