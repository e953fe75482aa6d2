"""Events become notices: each once, for those whose role it concerns, and not too many."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from hub.accounts.models import User
from hub.common.models import Event
from hub.federations.models import Federation, Participation
from hub.notices.kinds import BY_EVENT, EVENTS, KINDS, kind_of
from hub.notices.models import Mark, Notice, ToldEvent
from hub.notices.settling import settle_needs
from hub.notices.telling import SOON, SURELY, forget_told, tell_news
from hub.organisations.models import Membership
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import MembershipFactory
from tests.factories.runs import RoundFactory, RunFactory, UpdateFactory
from tests.hub.notices.happening import at_once, happens, inbox

pytestmark = pytest.mark.django_db

GUIDE = Path(__file__).parents[3] / "docs" / "notifications.md"


def started(federation: Federation, **columns: object) -> Event:
    facts = {"from_state": "queued", "run_id": uuid4(), "federation_id": federation.pk}
    return happens("run.running", **{**facts, **columns})


def test_a_table_names_each_event_once():
    named = [event for kind in KINDS for event in kind.events]
    assert len(named) == len(set(named)) == len(BY_EVENT)
    assert len({kind.name for kind in KINDS}) == len(KINDS)


def test_what_is_in_no_table_is_told_to_nobody(ada: Person, federation: Federation):
    happens("round.closed", federation_id=federation.pk)
    assert "round.closed" not in EVENTS
    assert tell_news() == 0
    assert inbox(ada.user) == []


def test_members_of_a_federation_are_told_once(
    ada: Person, blaise: Person, carol: Person, federation: Federation
):
    started(federation)
    assert tell_news() == 1
    assert tell_news() == 0
    assert tell_news(surely=True) == 0
    assert inbox(ada.user) == inbox(blaise.user) == ["run_started"]
    assert inbox(carol.user) == []


def test_a_run_that_goes_on_after_a_pause_has_not_started(ada: Person, federation: Federation):
    resumed = started(federation, from_state="paused")
    assert kind_of(resumed) is None
    tell_news()
    assert inbox(ada.user) == []


def test_who_did_it_is_not_told_the_news(ada: Person, blaise: Person, federation: Federation):
    started(federation, actor_kind="user", actor_id=ada.user.pk, actor_label="Ada")
    tell_news()
    assert inbox(ada.user) == []
    assert inbox(blaise.user) == ["run_started"]


def test_the_role_decides_who_is_told(ada: Person, blaise: Person, federation: Federation):
    scientist = MembershipFactory(organisation=ada.organisation, role="scientist").user
    gone = MembershipFactory(organisation=ada.organisation).user
    User.objects.filter(pk=gone.pk).update(is_active=False)
    asking = ParticipationFactory(federation=federation, state="requested")
    happens("participation.requested", federation_id=federation.pk, subject_id=asking.pk)
    tell_news()
    assert inbox(ada.user) == ["join_request"]
    assert inbox(blaise.user) == inbox(scientist) == inbox(gone) == []


def test_a_person_of_two_members_reads_news_once(ada: Person, blaise: Person, federation):
    MembershipFactory(user=ada.user, organisation=blaise.organisation)
    started(federation)
    tell_news()
    (told,) = Notice.objects.filter(user=ada.user)
    assert told.organisation == ada.organisation  # the lead comes first


def test_operators_are_told_of_registrations_until_decided(operator: Person, ada: Person):
    ada.organisation.state = "pending"
    ada.organisation.save()
    pk = ada.organisation.pk
    happens("organisation.registered", subject_id=pk, organisation_id=pk)
    tell_news()
    settle_needs()
    (told,) = Notice.objects.filter(user=operator.user)
    assert (told.kind, told.waits) == ("registration", True)
    assert inbox(ada.user) == []
    ada.organisation.state = "approved"
    ada.organisation.save()
    assert settle_needs() == 1
    assert settle_needs() == 0
    told.refresh_from_db()
    assert not told.waits
    assert told.read_at is not None


def test_the_same_thing_again_joins_while_it_is_open(ada: Person, federation: Federation):
    first = RoundFactory(run=RunFactory(federation=federation))
    for _ in range(3):
        held = UpdateFactory(task__round=first, state="quarantined")
        happens("update.quarantined", subject_id=held.pk, **held.event_scope())
    assert tell_news() == 3
    (told,) = Notice.objects.filter(user=ada.user)
    assert told.count == 3
    assert told.url == f"/rounds/{first.pk}"
    Notice.objects.update(read_at=timezone.now())
    held = UpdateFactory(task__round=first, state="quarantined")
    happens("update.quarantined", subject_id=held.pk, **held.event_scope())
    tell_news()
    told.refresh_from_db()
    assert (told.count, told.read_at) == (4, None)  # it waits still, and is unread again


def test_what_was_settled_and_comes_back_is_told_anew(ada: Person, federation: Federation):
    asking = ParticipationFactory(federation=federation, state="requested")
    scope = {"federation_id": federation.pk, "subject_id": asking.pk}
    happens("participation.requested", **scope)
    tell_news()
    Participation.objects.filter(pk=asking.pk).update(state="refused")
    assert settle_needs() == 1
    Participation.objects.filter(pk=asking.pk).update(state="requested")
    happens("participation.requested", **scope)
    tell_news()
    settle_needs()
    assert [one.waits for one in Notice.objects.filter(user=ada.user).order_by("at")] == [
        False,
        True,
    ]


def test_read_news_is_not_woken_by_the_next(ada: Person, federation: Federation):
    run_id = uuid4()
    started(federation, run_id=run_id, subject_id=run_id)
    tell_news()
    Notice.objects.update(read_at=timezone.now())
    started(federation, run_id=run_id, subject_id=run_id)
    tell_news()
    assert inbox(ada.user) == ["run_started", "run_started"]


def test_a_member_of_many_federations_is_told_in_bounded_steps(ada: Person):
    base = FederationFactory(lead=ada.organisation).base_model
    for _ in range(19):
        FederationFactory(lead=ada.organisation, base_model=base)
    for one in Federation.objects.all():
        for _ in range(2):
            happens("run.completed", federation_id=one.pk, run_id=one.pk, subject_id=one.pk)
    assert [tell_news(limit=16) for _ in range(4)] == [16, 16, 8, 0]
    assert len(inbox(ada.user)) == 20  # two of each run are one


def test_needs_go_with_the_place(ada: Person, federation: Federation):
    """Who acts for the organisation no more has nothing to do for it."""
    asking = ParticipationFactory(federation=federation, state="requested")
    happens("participation.requested", federation_id=federation.pk, subject_id=asking.pk)
    tell_news()
    assert settle_needs() == 0
    Membership.objects.filter(user=ada.user).delete()
    assert settle_needs() == 1


def test_what_is_older_than_the_look_back_is_no_news(ada: Person, federation: Federation):
    tell_news()
    started(federation)
    later = timezone.now() + SURELY + timedelta(minutes=1)
    Mark.objects.update(soon_at=later, surely_at=later)
    assert tell_news() == tell_news(surely=True) == 0


def test_after_a_stop_everything_is_told(ada: Person, federation: Federation):
    """The mark stays where the last look ended, however long ago that is."""
    tell_news()
    long_ago = timezone.now() - timedelta(days=3)
    Mark.objects.update(soon_at=long_ago, surely_at=long_ago)
    started(federation)
    assert tell_news() == 1
    assert Mark.objects.get().soon_at > long_ago


def test_what_was_told_is_remembered_as_long_as_a_look_reaches(federation: Federation):
    started(federation)
    tell_news()
    forget_told()
    assert ToldEvent.objects.count() == 1
    later = timezone.now() + timedelta(days=1)
    Mark.objects.update(soon_at=later, surely_at=later)
    forget_told()
    assert ToldEvent.objects.count() == 0
    assert tell_news(surely=True) == 0


@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_after_later_ones_is_told(ada: Person, federation: Federation):
    """Its id was given first. Who remembers the last id would never see it."""
    tell_news()
    with transaction.atomic():
        late = started(federation)
        other = Thread(target=_in_another_connection, args=[federation])
        other.start()
        other.join()
    assert Event.objects.filter(pk__gt=late.pk, told__isnull=False).exists()
    assert tell_news() == 1
    assert len(inbox(ada.user)) == 2


def test_an_event_that_commits_long_after_is_told_by_the_long_look(ada: Person, federation):
    """As if the last look had been long after it was recorded, and before it was committed."""
    tell_news()
    started(federation)
    later = timezone.now() + SOON + timedelta(minutes=20)
    Mark.objects.update(soon_at=later, surely_at=later)
    assert tell_news() == 0
    assert tell_news(surely=True) == 1
    assert inbox(ada.user) == ["run_started"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_tell_each_event_once(ada: Person, federation: Federation):
    for _ in range(12):
        started(federation)
    at_once(4, lambda: [tell_news(limit=3, surely=bool(n % 2)) for n in range(6)])
    while tell_news():
        pass
    assert len(inbox(ada.user)) == 12
    assert set(Notice.objects.values_list("count", flat=True)) == {1}


def _in_another_connection(federation: Federation) -> None:
    try:
        started(federation)
        assert tell_news() == 1
    finally:
        connection.close()


def test_nobody_is_told_through_somebody_else_s_address(db: None):
    UserFactory()
    happens("invitation.open")
    assert tell_news() == 1
    assert Notice.objects.count() == 0


def test_the_guide_has_a_row_for_each_kind():
    """docs/notifications.md: what it is called, whether it needs somebody, how it usually comes."""
    usual = {"inbox": "inbox", "now": "mail at once", "digest": "daily mail"}
    rows = [line.split("|")[1:-1] for line in GUIDE.read_text().splitlines() if line[:3] == "| `"]
    said = {cells[0].strip(" `"): (bool(cells[3].strip()), cells[4].strip()) for cells in rows}
    assert said == {kind.name: (kind.need is not None, usual[kind.channel]) for kind in KINDS}
