"""Everything that writes federations and participations."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from hub.accounts.models import User
from hub.common import text
from hub.common.errors import Invalid, NotFound
from hub.common.services import slugs_for, violated
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.entries import (
    tell_admitted,
    tell_declared,
    tell_ended,
    tell_founded,
    tell_keys_of,
)
from hub.federations.errors import (
    BaseModelUnknown,
    CharterChanged,
    FederationClosed,
    LeadStays,
    NotTakingPart,
)
from hub.federations.models import (
    DataDeclaration,
    Federation,
    FederationState,
    Participation,
    ParticipationState,
    Standing,
)
from hub.federations.selectors import (
    PRESENT,
    declaration_of,
    federations_visible_to,
    places_of_organisation,
    require_place,
)
from hub.organisations.errors import NotApproved
from hub.organisations.models import Agent, Organisation, OrganisationState
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission

LARGEST_RANK = 256
LONGEST_CARD_TEXT = 4000  # characters
MOST_EXAMPLES = 10**9  # of one statement, and so of a declaration


@transaction.atomic
def create_federation(
    *,
    user: User,
    organisation_id: UUID,
    name: str,
    purpose: str,
    charter: str,
    base_model_id: UUID,
    is_listed: bool = True,
) -> Federation:
    """Found a federation; the organisation leads it and has signed the charter.

    Raises:
        NotFound, Forbidden: the person is not an owner of the organisation.
        NotApproved, BaseModelUnknown, UnfitText: it cannot be.
    """
    organisation = _approved(user, organisation_id, Permission.FOUND_FEDERATIONS)
    federation = _create(
        name=text.line(name, least=1, most=120),
        purpose=text.paragraphs(purpose, most=1000),
        charter=text.paragraphs(charter, least=1, most=50_000),
        base_model_id=base_model_id,
        is_listed=is_listed,
    )
    data = {"organisation": organisation.name, "federation": federation.name}
    federation.record("founded", actor=user.actor, data=data)
    lead = Participation.objects.create(
        federation=federation,
        organisation=organisation,
        standing=Standing.LEAD,
        state=ParticipationState.ACTIVE,
        charter_digest=federation.charter_digest,
        signed_by=user,
        signed_at=timezone.now(),
    )
    tell_founded(federation, lead)
    tell_admitted(lead)
    return federation


def _create(
    *, name: str, purpose: str, charter: str, base_model_id: UUID, is_listed: bool
) -> Federation:
    for slug in slugs_for(name, fallback="federation"):
        try:
            with transaction.atomic():
                federation = Federation.objects.create(
                    slug=slug,
                    name=name,
                    purpose=purpose,
                    charter=charter,
                    base_model_id=base_model_id,
                    is_listed=is_listed,
                )
                connection.check_constraints()  # now, not at the commit
                return federation
        except IntegrityError as error:
            if "slug" not in violated(error):
                raise BaseModelUnknown("Choose one from /api/v1/base-models.") from error
    raise Invalid(f"Too many federations have a name like {name}.")


@transaction.atomic
def request_to_join(
    *,
    user: User,
    organisation_id: UUID,
    federation_id: UUID,
    charter_digest: str,
    rank: int | None = None,
) -> Participation:
    """Sign the charter for the organisation and ask to be let in.

    Asking twice changes nothing; who was refused or has left may ask again.

    Raises:
        NotFound: the organisation is not the person's, or the federation not theirs to see.
        Forbidden: the person is not an owner; only owners sign.
        CharterChanged: the digest is not the present text's.
        FederationClosed, NotApproved, IllegalTransition: nobody, or this one, is not taken in.
    """
    organisation = _approved(user, organisation_id, Permission.SIGN_CHARTERS)
    federation = _open_federation(user, federation_id)
    if charter_digest != federation.charter_digest:
        raise CharterChanged(
            "Read it again and sign that text.", charter_digest=federation.charter_digest
        )
    signature: dict[str, Any] = {
        "rank": _fitting(rank),
        "charter_digest": charter_digest,
        "signed_by": user,
        "signed_at": timezone.now(),
    }
    place, is_new = Participation.objects.select_for_update().get_or_create(
        federation=federation, organisation=organisation, defaults=signature
    )
    data = {"organisation": organisation.name, "federation": federation.name}
    if is_new:
        place.record("requested", actor=user.actor, data=data)
    elif place.state not in {ParticipationState.REQUESTED, ParticipationState.ACTIVE}:
        place.move_to(ParticipationState.REQUESTED, actor=user.actor, data=data, **signature)
    wake(f"federation:{federation.pk}")
    return place


def _open_federation(user: User, federation_id: UUID) -> Federation:
    federation = (
        federations_visible_to(user)
        .select_for_update(of=("self",))
        .filter(pk=federation_id)
        .first()
    )
    if federation is None:
        raise NotFound("no such federation")
    if federation.state != FederationState.ACTIVE:
        raise FederationClosed(f"{federation.name} is {federation.get_state_display()}.")
    return federation


def approve_participation(*, user: User, participation_id: UUID) -> Participation:
    """The lead lets an organisation in. Doing it twice changes nothing.

    Raises:
        CharterChanged: what it signed is no longer the charter.
    """
    return _admit(user, participation_id, ParticipationState.ACTIVE, "")


def refuse_participation(*, user: User, participation_id: UUID, reason: str) -> Participation:
    """The lead does not let an organisation in, and says why; it may ask again."""
    return _admit(user, participation_id, ParticipationState.REFUSED, reason)


@transaction.atomic
def _admit(
    user: User, participation_id: UUID, state: ParticipationState, reason: str
) -> Participation:
    place = _locked(participation_id)
    require_place(user, place.federation_id, Permission.ADMIT_MEMBERS)
    if place.state == state:
        return place
    if state == ParticipationState.ACTIVE:
        if place.charter_digest != place.federation.charter_digest:
            raise CharterChanged(f"{place.organisation.name} must sign the present text first.")
        _require_approved(place.organisation)
    _move(place, state, user, reason)
    if state == ParticipationState.ACTIVE:
        tell_admitted(place)
    return place


@transaction.atomic
def leave(*, user: User, participation_id: UUID, reason: str = "") -> Participation:
    """Leave a federation, or take back the wish to join. Doing it twice changes nothing.

    Raises:
        NotFound, Forbidden: the person is not an owner of that organisation.
        LeadStays: somebody must lead.
    """
    place = _locked(participation_id)
    require_permission(user, place.organisation_id, Permission.SIGN_CHARTERS)
    if place.is_lead:
        raise LeadStays("A federation ends by being dissolved.")
    if place.state != ParticipationState.LEFT:
        took_part = place.state == ParticipationState.ACTIVE
        _move(place, ParticipationState.LEFT, user, reason)
        if took_part:
            tell_ended(place, reason)
    return place


@transaction.atomic
def set_rank(*, user: User, participation_id: UUID, rank: int | None) -> Participation:
    """The largest adapter rank the organisation trains from the next run on; None: the plan's."""
    place = _locked(participation_id)
    require_permission(user, place.organisation_id, Permission.START_RUNS)
    if place.rank != _fitting(rank):
        place.rank = rank
        place.save(update_fields=["rank"])
        data = {"organisation": place.organisation.name, "rank": rank}
        place.record("rank_set", actor=user.actor, data=data)
    return place


@transaction.atomic
def set_data_statement(*, user: User, participation_id: UUID, statement: str) -> Participation:
    """What the organisation says of its data in the cards of models. Twice is once.

    The released version's card says so soon; others keep what was said when they were made.

    Raises:
        NotFound, Forbidden: the person is no owner of that organisation.
        UnfitText: it cannot be stored or shown.
    """
    place = _locked(participation_id)
    require_permission(user, place.organisation_id, Permission.SIGN_CHARTERS)
    statement = text.paragraphs(statement, most=LONGEST_CARD_TEXT)
    if place.data_statement != statement:
        place.data_statement = statement
        place.save(update_fields=["data_statement"])
        data = {"organisation": place.organisation.name}
        place.record("data_stated", actor=user.actor, data=data)
        enqueue(Job.DESCRIBE_RELEASED, str(place.federation_id))
    return place


@transaction.atomic
def declare_data(
    *, user: User, participation_id: UUID, train_examples: int, test_examples: int
) -> DataDeclaration:
    """Sign how many examples the organisation has, at most. The same figures again are no new one.

    From now on no agent of it may say that it trained on more, or tested on more.

    Raises:
        NotFound, Forbidden: the person is no owner of that organisation; only owners sign.
        NotTakingPart: it has left, or was not let in.
        Invalid: a figure is none.
    """
    place = _locked(participation_id)
    require_permission(user, place.organisation_id, Permission.SIGN_CHARTERS)
    if place.state not in PRESENT:
        raise NotTakingPart(f"Its place is {place.get_state_display()}.")
    figures = {"train_examples": train_examples, "test_examples": test_examples}
    if not all(0 <= figure <= MOST_EXAMPLES for figure in figures.values()):
        raise Invalid(f"A number of examples is between 0 and {MOST_EXAMPLES}.")
    present = declaration_of(place.pk)
    if present and all(getattr(present, name) == said for name, said in figures.items()):
        return present
    signed = DataDeclaration.objects.create(
        participation=place, number=present.number + 1 if present else 1, signed_by=user, **figures
    )
    data = {"organisation": place.organisation.name, **figures}
    place.record("data_declared", actor=user.actor, data=data)
    if place.state == ParticipationState.ACTIVE:
        tell_declared(signed, place)
    wake(f"federation:{place.federation_id}")
    return signed


@transaction.atomic
def describe_federation(
    *, user: User, federation_id: UUID, intended_use: str, limits: str
) -> Federation:
    """What its models are for, and for what not, in their cards. Twice is once.

    The released version's card says so soon; others keep what was said when they were made.

    Raises:
        NotFound, Forbidden: the person is no owner of the lead organisation.
        UnfitText: it cannot be stored or shown.
    """
    require_place(user, federation_id, Permission.STEER_FEDERATIONS)
    federation = Federation.objects.select_for_update(no_key=True).get(pk=federation_id)
    texts = {
        "intended_use": text.paragraphs(intended_use, most=LONGEST_CARD_TEXT),
        "limits": text.paragraphs(limits, most=LONGEST_CARD_TEXT),
    }
    if any(getattr(federation, name) != said for name, said in texts.items()):
        federation.intended_use, federation.limits = texts["intended_use"], texts["limits"]
        federation.save(update_fields=[*texts])
        federation.record("described", actor=user.actor, data={"federation": federation.name})
        enqueue(Job.DESCRIBE_RELEASED, str(federation.pk))
    return federation


@transaction.atomic
def tell_keys(*, agent_id: UUID) -> None:
    """Write an agent's keys, as they are now, to the ledgers of its organisation's federations.

    Told twice is told once.

    Raises:
        NotFound: there is no such agent.
    """
    agent = Agent.objects.filter(pk=agent_id).first()
    if agent is None:
        raise NotFound("no such agent")
    for place in places_of_organisation(agent.organisation_id):
        tell_keys_of(agent, place)


def _move(place: Participation, state: ParticipationState, user: User, reason: str) -> None:
    data = {"organisation": place.organisation.name, "federation": place.federation.name}
    reason = text.line(reason, most=500)
    place.move_to(state, actor=user.actor, reason=reason, data=data)
    wake(f"federation:{place.federation_id}", f"organisation:{place.organisation_id}")


def _locked(participation_id: UUID) -> Participation:
    """The place, locked; what it belongs to is read after the lock, so as new as the lock."""
    place = Participation.objects.select_for_update().filter(pk=participation_id).first()
    if place is None:
        raise NotFound("no such participation")
    return place


def _approved(user: User, organisation_id: UUID, permission: Permission) -> Organisation:
    organisation = require_permission(user, organisation_id, permission).organisation
    _require_approved(organisation)
    return organisation


def _require_approved(organisation: Organisation) -> None:
    if organisation.state != OrganisationState.APPROVED:
        raise NotApproved(f"{organisation.name} is {organisation.get_state_display()}.")


def _fitting(rank: int | None) -> int | None:
    if rank is not None and not 1 <= rank <= LARGEST_RANK:
        raise Invalid(f"A rank is between 1 and {LARGEST_RANK}.")
    return rank
