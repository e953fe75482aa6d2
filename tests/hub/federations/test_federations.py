from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connection

from hub.common.actors import HUB
from hub.common.errors import Forbidden, IllegalTransition, Invalid, NotFound
from hub.common.models import Event, OutboxMessage
from hub.common.sentences import sentence
from hub.dispatch import Job
from hub.federations import errors, services
from hub.federations.models import Federation, Participation
from hub.federations.selectors import (
    federations_of,
    federations_visible_to,
    participations_visible_to,
    require_place,
)
from hub.organisations.errors import NotApproved
from hub.organisations.models import Role
from hub.organisations.permissions import Permission
from hub.organisations.services import suspend_organisation
from tests.conftest import Person
from tests.factories.catalogue import BaseModelFactory
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import MembershipFactory

pytestmark = pytest.mark.django_db

CHARTER = "1. Nobody's data leaves its owner.\r\n2. Everybody sees the same record.\n"


def found(person: Person, **changes: object) -> Federation:
    said = {
        "user": person.user,
        "organisation_id": person.organisation.pk,
        "name": "Support tickets",
        "purpose": "",
        "charter": CHARTER,
        **changes,
    }
    base = said.pop("base_model_id", None) or BaseModelFactory().pk
    return services.create_federation(base_model_id=base, **said)


def ask(person: Person, federation: Federation, **changes: object) -> Participation:
    said = {
        "user": person.user,
        "organisation_id": person.organisation.pk,
        "federation_id": federation.pk,
        "charter_digest": federation.charter_digest,
        **changes,
    }
    return services.request_to_join(**said)


def told(subject: object) -> list[str]:
    return [sentence(event) for event in Event.objects.filter(subject_id=subject.pk)]


def test_who_founds_a_federation_leads_it_and_has_signed(ada: Person):
    federation = found(ada)
    lead = require_place(ada.user, federation.pk, Permission.ADMIT_MEMBERS)
    assert lead.organisation == ada.organisation
    assert (lead.signed_by, lead.charter_digest) == (ada.user, federation.charter_digest)
    assert federation.charter == CHARTER.replace("\r\n", "\n").strip()
    assert federation.slug == "support-tickets"
    assert told(federation) == ["Ada Institute founded Support tickets"]


def test_slugs_differ_where_names_do_not(ada: Person):
    assert [found(ada).slug for _ in range(2)] == ["support-tickets", "support-tickets-2"]


def test_a_base_model_that_is_not_there_is_refused_and_nothing_kept(ada: Person):
    with pytest.raises(errors.BaseModelUnknown):
        found(ada, base_model_id=uuid4())
    assert not Federation.objects.exists()
    assert not Event.objects.exists()


def test_only_owners_of_approved_organisations_found(ada: Person, carol: Person):
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST).user
    with pytest.raises(Forbidden):
        found(ada, user=scientist)
    with pytest.raises(NotFound):
        found(ada, user=carol.user)
    suspend_organisation(organisation_id=ada.organisation.pk, actor=HUB)
    with pytest.raises(NotApproved):
        found(ada)


def test_from_asking_to_taking_part(ada: Person, blaise: Person):
    federation = found(ada)
    place = ask(blaise, federation, rank=4)
    assert (place.state, place.rank, place.signed_by) == ("requested", 4, blaise.user)
    assert not federations_of(blaise.user).exists()
    for _ in range(2):
        place = services.approve_participation(user=ada.user, participation_id=place.pk)
        assert place.state == "active"
    assert federations_of(blaise.user).get() == federation
    assert told(place) == [
        "Blaise Bank asked to join Support tickets",
        "Blaise Bank joined Support tickets",
    ]


def test_asking_twice_is_asking_once(ada: Person, blaise: Person):
    federation = found(ada)
    assert ask(blaise, federation) == ask(blaise, federation)
    assert Event.objects.filter(kind="participation.requested").count() == 1


def test_a_charter_that_changed_must_be_read_again(ada: Person, blaise: Person):
    federation = found(ada)
    with pytest.raises(errors.CharterChanged) as refused:
        ask(blaise, federation, charter_digest="0" * 64)
    assert refused.value.extra == {"charter_digest": federation.charter_digest}
    place = ask(blaise, federation)
    Federation.objects.update(charter="Another text.")
    with pytest.raises(errors.CharterChanged):
        services.approve_participation(user=ada.user, participation_id=place.pk)


def test_who_was_refused_or_left_may_ask_again(ada: Person, blaise: Person):
    federation = found(ada)
    place = ask(blaise, federation)
    services.refuse_participation(user=ada.user, participation_id=place.pk, reason="not yet")
    assert ask(blaise, federation).state == "requested"
    services.approve_participation(user=ada.user, participation_id=place.pk)
    for _ in range(2):
        assert services.leave(user=blaise.user, participation_id=place.pk).state == "left"
    assert ask(blaise, federation).state == "requested"
    assert told(place)[1] == "Blaise Bank was not admitted: not yet"


def test_who_was_expelled_stays_outside(ada: Person, blaise: Person):
    federation = found(ada)
    ParticipationFactory(federation=federation, organisation=blaise.organisation, state="expelled")
    with pytest.raises(IllegalTransition):
        ask(blaise, federation)


@pytest.mark.parametrize("state", ["paused", "dissolved"])
def test_a_federation_that_rests_takes_nobody_in(ada: Person, blaise: Person, state):
    federation = FederationFactory(lead=ada.organisation, state=state)
    ParticipationFactory(federation=federation, organisation=blaise.organisation, state="left")
    with pytest.raises(errors.FederationClosed):
        ask(blaise, federation)


def test_what_is_not_listed_is_not_found(ada: Person, carol: Person):
    hidden = found(ada, is_listed=False)
    assert not federations_visible_to(carol.user).exists()
    with pytest.raises(NotFound):
        ask(carol, hidden)


def test_listed_federations_show_themselves_to_approved_organisations(ada: Person, carol: Person):
    federation = found(ada)
    assert federations_visible_to(carol.user).get() == federation
    assert not participations_visible_to(carol.user).exists()
    suspend_organisation(organisation_id=carol.organisation.pk, actor=HUB)
    assert not federations_visible_to(carol.user).exists()


def test_only_the_lead_admits(ada, blaise, carol, federation):
    place = ask(carol, federation)
    decide = {"participation_id": place.pk}
    with pytest.raises(Forbidden):
        services.approve_participation(user=blaise.user, **decide)
    with pytest.raises(NotFound):
        services.approve_participation(user=carol.user, **decide)
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST).user
    with pytest.raises(Forbidden):
        services.refuse_participation(user=scientist, reason="x", **decide)


def test_the_lead_stays_and_others_leave_for_themselves(ada, blaise, federation):
    lead = require_place(ada.user, federation.pk, Permission.ADMIT_MEMBERS)
    with pytest.raises(errors.LeadStays):
        services.leave(user=ada.user, participation_id=lead.pk)
    theirs = require_place(blaise.user, federation.pk)
    with pytest.raises(NotFound):
        services.leave(user=ada.user, participation_id=theirs.pk)


def test_a_rank_is_the_organisation_s_own(ada, blaise, federation):
    place = require_place(blaise.user, federation.pk)
    for rank in (4, 4, None):
        services.set_rank(user=blaise.user, participation_id=place.pk, rank=rank)
    assert told(place) == ["Blaise Bank trains at rank 4", "Blaise Bank trains at any rank"]
    for rank in (0, 257):
        with pytest.raises(Invalid):
            services.set_rank(user=blaise.user, participation_id=place.pk, rank=rank)
    with pytest.raises(NotFound):
        services.set_rank(user=ada.user, participation_id=place.pk, rank=8)


def test_what_stands_in_the_cards_is_said_by_owners_only(ada, blaise, carol, federation):
    place = require_place(blaise.user, federation.pk)
    scientist = MembershipFactory(organisation=blaise.organisation, role=Role.SCIENTIST).user
    for _ in range(2):
        services.set_data_statement(
            user=blaise.user, participation_id=place.pk, statement="Letters,\n2019 to 2024."
        )
        services.describe_federation(
            user=ada.user, federation_id=federation.pk, intended_use="Sorting.", limits="No people."
        )
    assert told(place) == ["Blaise Bank says anew what its data are"]
    assert OutboxMessage.objects.filter(job=Job.DESCRIBE_RELEASED).count() == 2
    assert [t for t in told(federation) if "anew" in t] == [
        f"{federation.name} says anew what its models are for"
    ]
    place.refresh_from_db()
    federation.refresh_from_db()
    assert (place.data_statement, federation.limits) == ("Letters,\n2019 to 2024.", "No people.")
    texts = {"intended_use": "x", "limits": "x"}
    for user, refusal in ((scientist, Forbidden), (ada.user, NotFound), (carol.user, NotFound)):
        with pytest.raises(refusal):
            services.set_data_statement(user=user, participation_id=place.pk, statement="x")
    for user, refusal in ((blaise.user, Forbidden), (carol.user, NotFound)):
        with pytest.raises(refusal):
            services.describe_federation(user=user, federation_id=federation.pk, **texts)


def test_who_acts_for_two_organisations_acts_for_the_lead_first(ada, blaise, federation):
    MembershipFactory(user=ada.user, organisation=blaise.organisation)
    assert require_place(ada.user, federation.pk).organisation == ada.organisation


def test_strangers_belong_nowhere(carol, federation):
    with pytest.raises(NotFound):
        require_place(carol.user, federation.pk)
    with pytest.raises(NotFound):
        require_place(carol.user, federation.pk)


@pytest.mark.django_db(transaction=True)
def test_ten_who_ask_at_once_for_one_organisation_ask_once(ada: Person, blaise: Person):
    federation, start = found(ada), Barrier(10)

    def join(_: int) -> Participation:
        start.wait()
        try:
            return ask(blaise, federation)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        places = set(pool.map(join, range(10)))
    assert len(places) == 1
    assert Event.objects.filter(kind="participation.requested").count() == 1
