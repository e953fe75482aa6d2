"""Everything that writes federations and participations."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common import text
from hub.common.errors import Invalid, NotFound
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.charters.founding import create_federation
from hub.federations.charters.joining import LARGEST_RANK, admit, fitting, request_to_join
from hub.federations.entries import tell_declared, tell_keys_of
from hub.federations.errors import MembersDecide, NotTakingPart
from hub.federations.leaving import leave, stay
from hub.federations.models import (
    DataDeclaration,
    Federation,
    Participation,
    ParticipationState,
)
from hub.federations.selectors import (
    PRESENT,
    declaration_of,
    places_of_organisation,
    require_place,
)
from hub.organisations.models import Agent
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission

__all__ = [
    "LARGEST_RANK",
    "approve_participation",
    "create_federation",
    "declare_data",
    "describe_federation",
    "leave",
    "refuse_participation",
    "request_to_join",
    "set_data_statement",
    "set_rank",
    "stay",
    "tell_keys",
]

LONGEST_CARD_TEXT = 4000  # characters
MOST_EXAMPLES = 10**9  # of one statement, and so of a declaration


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
    if "admit" not in place.federation.typed_policy.led:
        raise MembersDecide(
            _("Vote on the proposal to let %(organisation)s in.")
            % {"organisation": place.organisation}
        )
    if state == ParticipationState.ACTIVE:
        return admit(place=place, actor=user.actor, reason=reason)
    _move(place, state, user, reason)
    return place


@transaction.atomic
def set_rank(*, user: User, participation_id: UUID, rank: int | None) -> Participation:
    """The largest adapter rank the organisation trains from the next run on; None: the plan's."""
    place = _locked(participation_id)
    require_permission(user, place.organisation_id, Permission.START_RUNS)
    if place.rank != fitting(rank):
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
        raise NotTakingPart(_("Its place is %(state)s.") % {"state": place.get_state_display()})
    figures = {"train_examples": train_examples, "test_examples": test_examples}
    if not all(0 <= figure <= MOST_EXAMPLES for figure in figures.values()):
        raise Invalid(
            _("A number of examples is between 0 and %(MOST_EXAMPLES)s.")
            % {"MOST_EXAMPLES": MOST_EXAMPLES}
        )
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
