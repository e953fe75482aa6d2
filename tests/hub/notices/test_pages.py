"""The inbox and its settings, on screen and by the API."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hub.federations.models import Federation
from hub.notices import services
from hub.notices.models import Channel, Notice, NoticeSettings
from hub.notices.settling import settle_needs
from hub.notices.telling import tell_news
from hub.organisations.models import Membership
from tests.conftest import Person
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.hub.notices.happening import happens
from tests.pages import TAGS, browser, words

pytestmark = pytest.mark.django_db

MOST_QUERIES = 10


def told(
    person: Person, federation: Federation, kind: str = "run.completed", **data: str
) -> Notice:
    """One more notice in the person's inbox."""
    pk = uuid4()
    happens(kind, subject_id=pk, run_id=pk, federation_id=federation.pk, data=data)
    tell_news()
    return Notice.objects.get(user=person.user, object_id=pk)


def asked(federation: Federation) -> None:
    place = ParticipationFactory(federation=federation, state="requested")
    data = {"organisation": place.organisation.name, "federation": federation.name}
    happens("participation.requested", subject_id=place.pk, federation_id=federation.pk, data=data)
    tell_news()


def test_an_empty_inbox_says_what_will_come(ada: Person):
    text = words(browser(ada.user).get("/inbox"))
    assert "No news yet" in text
    assert "Needs you" not in text
    assert "Mark all as read" not in text


def test_what_needs_me_comes_first(ada: Person, federation: Federation):
    asked(federation)
    told(ada, federation, run="Autumn")
    text = words(browser(ada.user).get("/inbox"))
    assert text.index("Needs you") < text.index("asked to join") < text.index("News")
    assert "The run 'Autumn' is complete." in text
    assert "Inbox, 2 unread" in text


def test_opening_leads_there_and_reads_it(ada: Person, federation: Federation):
    notice, client = told(ada, federation), browser(ada.user)
    for _ in range(2):
        response = client.post(f"/inbox/{notice.pk}/open")
        assert response.headers["Location"] == f"/runs/{notice.object_id}"
    notice.refresh_from_db()
    assert notice.read_at is not None
    assert "unread" not in words(client.get("/inbox"))


def test_reading_twice_keeps_the_first_moment(ada: Person, federation: Federation):
    notice, client = told(ada, federation), browser(ada.user)
    client.post(f"/inbox/{notice.pk}/read")
    first = Notice.objects.get(pk=notice.pk).read_at
    assert first is not None
    client.post(f"/inbox/{notice.pk}/read")
    assert Notice.objects.get(pk=notice.pk).read_at == first


def test_all_can_be_read_and_needs_still_wait(ada: Person, federation: Federation):
    asked(federation)
    client = browser(ada.user)
    client.post("/inbox/read")
    settle_needs()
    text = words(client.get("/inbox"))
    assert "Needs you" in text
    assert "unread" not in text


@pytest.mark.parametrize("act", ["open", "read"])
def test_others_notices_are_not_there(blaise: Person, ada: Person, federation: Federation, act):
    notice = told(ada, federation)
    absent = browser(blaise.user).post(f"/inbox/{uuid4()}/{act}")
    foreign = browser(blaise.user).post(f"/inbox/{notice.pk}/{act}")
    assert foreign.status_code == absent.status_code == 404
    assert TAGS.sub("", foreign.content.decode()) == TAGS.sub("", absent.content.decode())
    assert blaise.api.get(f"/api/v1/notices/{notice.pk}").status_code == 404
    assert Notice.objects.get(pk=notice.pk).read_at is None


def test_who_left_the_organisation_sees_no_more_of_it(ada: Person, federation: Federation):
    notice, client = told(ada, federation, run="Autumn"), browser(ada.user)
    Membership.objects.filter(user=ada.user).delete()
    assert "Autumn" not in words(client.get("/inbox"))
    assert client.post(f"/inbox/{notice.pk}/open").status_code == 404


def test_it_is_filtered_by_kind_and_federation(ada: Person, federation: Federation):
    other = FederationFactory(lead=ada.organisation, name="Elsewhere", slug="elsewhere")
    told(ada, federation, run="Autumn")
    told(ada, federation, kind="run.failed", run="Winter")
    told(ada, other, run="Spring")
    client = browser(ada.user)
    failed = words(client.get("/inbox?kind=run_failed"))
    assert "Winter" in failed and "Autumn" not in failed  # noqa: PT018
    elsewhere = words(client.get("/inbox?federation=elsewhere"))
    assert "Spring" in elsewhere and "Winter" not in elsewhere  # noqa: PT018
    assert "Nothing of this kind" in words(client.get("/inbox?kind=vote"))
    assert "Autumn" in words(client.get("/inbox?kind=nothing&federation=nowhere&page=99"))


def many(person: Person, federation: Federation, count: int) -> None:
    event = happens("run.completed", federation_id=federation.pk)
    now = timezone.now()
    Notice.objects.bulk_create(
        Notice(
            user=person.user,
            kind="run_finished",
            object_id=uuid4(),
            event=event,
            at=now - timedelta(minutes=number),
            url="/inbox",
            organisation=person.organisation,
            federation=federation,
            needs=number % 1000 == 0,
        )
        for number in range(count)
    )


def test_ten_thousand_notices_are_paged_in_few_queries(ada: Person, federation: Federation):
    many(ada, federation, 10_000)
    client = browser(ada.user)
    client.get("/inbox")
    for address in ("/inbox", "/inbox?page=399", "/inbox?kind=run_finished"):
        with CaptureQueriesContext(
            connection,
        ) as counted:
            text = words(client.get(address))
        assert len(counted) <= MOST_QUERIES, [one["sql"][:120] for one in counted]
        assert "of 9990" in text
    assert "Inbox, 99+ unread" in text


def test_the_settings_say_how_one_is_told(ada: Person):
    client = browser(ada.user)
    page = words(client.get("/inbox/settings"))
    assert "Nothing is sent to you yet." in page  # no address is confirmed
    chosen = dict.fromkeys(services.BY_NAME, "inbox") | {"release": "now", "digest_hour": "18"}
    for _ in range(2):
        assert client.post("/inbox/settings", chosen).status_code == 302
    held = NoticeSettings.objects.get(user=ada.user)
    assert held.digest_hour == 18
    assert held.channels["release"] == "now"
    assert set(held.channels.values()) == {"inbox", "now"}


@pytest.mark.parametrize("wrong", [{"release": "pigeon"}, {"digest_hour": "24"}, {}])
def test_a_wrong_choice_changes_nothing(ada: Person, wrong: dict[str, str]):
    right = dict.fromkeys(services.BY_NAME, "inbox") | {"digest_hour": "7"}
    sent = {**right, **wrong} if wrong else {"digest_hour": "7"}
    assert browser(ada.user).post("/inbox/settings", sent).status_code == 200
    assert not NoticeSettings.objects.exists()


def test_the_channel_follows_the_settings(ada: Person, federation: Federation):
    services.save_settings(user=ada.user, channels={"run_finished": "now"})
    assert told(ada, federation).channel == Channel.NOW
    assert told(ada, federation, kind="run.failed").channel == Channel.NOW  # the usual one
    assert told(ada, federation, kind="version.released").channel == Channel.DIGEST


def test_scripts_read_the_same(ada: Person, federation: Federation):
    asked(federation)
    notice = told(ada, federation, run="Autumn")
    listed = ada.api.get("/api/v1/notices").json()["results"]
    assert [one["kind"] for one in listed] == ["run_finished", "join_request"]
    assert listed[0]["text"] == "The run 'Autumn' is complete."
    waiting = ada.api.get("/api/v1/notices?waiting=true").json()["results"]
    assert [one["kind"] for one in waiting] == ["join_request"]
    for _ in range(2):
        answer = ada.api.post(f"/api/v1/notices/{notice.pk}/read")
        assert answer.status_code == 200
    assert answer.json()["read_at"]
    unread = ada.api.get("/api/v1/notices?unread=true").json()["results"]
    assert [one["kind"] for one in unread] == ["join_request"]
    assert ada.api.post("/api/v1/notices/read").json() == {"read": 1}
    assert ada.api.post("/api/v1/notices/read").json() == {"read": 0}


def test_scripts_change_the_settings(ada: Person):
    before = ada.api.get("/api/v1/notice-settings").json()
    assert before["digest_hour"] == 7
    body = {"channels": {"vote": "inbox"}, "digest_hour": 6}
    after = ada.api.patch("/api/v1/notice-settings", body).json()
    assert after == {"digest_hour": 6, "channels": before["channels"] | {"vote": "inbox"}}
    assert ada.api.get("/api/v1/notice-settings").json() == after


@pytest.mark.parametrize(
    "body",
    [
        {"channels": {"weather": "now"}},
        {"channels": {"vote": "pigeon"}},
        {"channels": {"vote": 1}},
        {"digest_hour": 24},
        {"digest_hour": "7"},
        {"language": "en"},
    ],
)
def test_settings_that_make_no_sense_change_nothing(ada: Person, body):
    assert ada.api.patch("/api/v1/notice-settings", body).status_code in (400, 422)
    assert not NoticeSettings.objects.exists()


def test_strangers_have_no_inbox():
    assert Client().get("/inbox").status_code == 302
    assert Client().post("/inbox/read").status_code == 302
