"""Maintenance, announcements and switches: what each stops, for whom, and what it costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from hub.accounts.models import User
from hub.common import switches
from hub.common.actors import HUB
from hub.common.acts import act_url, acts_for
from hub.common.api.problems import problem_of
from hub.common.errors import Invalid, Maintenance
from hub.common.models import Event, OutboxMessage, Switchboard
from hub.dispatch import Job, enqueue, sweep
from hub.operations import switching
from hub.organisations.services import register_organisation
from hub.runs.models import Round, Task
from jobs.periodic import housekeeping, reconcile
from tests.conftest import Person
from tests.factories.accounts import PASSWORD, UserFactory
from tests.hub.operations.conftest import reauthenticated, signed_in
from tests.hub.runs.world import World
from tests.pages import browser, words

WHY = {"actor": HUB, "reason": "The disks are exchanged."}
NOTE = "The hub is upgraded."


@pytest.fixture
def closed(db: None) -> None:
    switching.begin_maintenance(note=NOTE, minutes=20, **WHY)


def kinds() -> list[str]:
    return list(Event.objects.filter(subject_id=switching.THE_HUB).values_list("kind", flat=True))


def test_people_and_their_tokens_read_and_do_not_write(ada: Person, closed: None) -> None:
    assert ada.api.get("/api/v1/organisations").status_code == 200
    answer = ada.api.post("/api/v1/organisations", {"name": "Newcomers"})
    assert (answer.status_code, answer.json()["code"]) == (503, "maintenance")
    assert answer.json()["detail"] == NOTE
    assert answer["Retry-After"] == "60"
    page = browser(ada.user)
    assert NOTE in words(page.get(reverse("home:home")))
    refused = page.post(reverse("organisations:register"), {"name": "Newcomers"})
    assert (refused.status_code, refused["Retry-After"]) == (503, "60")
    assert "was not taken in" in refused.content.decode()


def test_operators_sign_in_and_work(closed: None, olga: User) -> None:
    console = signed_in(olga)
    console.post(act_url(switching.switchboard(), "reopen"), {"reason": "Done."})
    assert not switches.present().is_in_maintenance


def test_an_operator_s_token_opens_nothing(operator: Person, closed: None) -> None:
    assert operator.api.post("/api/v1/organisations", {"name": "x"}).status_code == 503


def test_agents_are_told_when_to_come_back(world: World, closed: None, client: Client) -> None:
    answer = client.post("/api/v1/agent/leases", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (503, "maintenance")
    assert int(answer["Retry-After"]) >= switches.SOONEST


@pytest.mark.parametrize(
    ("minutes_left", "seconds"), [(None, 30), (60, 60), (0.5, 30), (0.01, 5), (-10, 5)]
)
def test_nobody_waits_for_longer_than_a_minute(minutes_left: float | None, seconds: int) -> None:
    now = timezone.now()
    until = None if minutes_left is None else now + timedelta(minutes=minutes_left)
    assert switches.retry_seconds(Switchboard(maintenance_until=until), now) == seconds


def test_new_jobs_are_held_and_sent_afterwards(closed: None) -> None:
    enqueue(Job.RECONCILE)
    sweep()
    reconcile()
    housekeeping()
    assert OutboxMessage.objects.filter(sent_at__isnull=True).count() == 1
    switching.end_maintenance(**WHY)
    sweep()
    assert not OutboxMessage.objects.filter(sent_at__isnull=True).exists()


def test_no_deadline_passes_meanwhile(world: World) -> None:
    world.start_run()
    world.lease(world.sites[0])
    before = Round.objects.get().deadline_at, Task.objects.get(state="leased").lease_expires_at
    switching.begin_maintenance(**WHY)
    hour = timedelta(hours=1)
    Switchboard.objects.update(maintenance_since=timezone.now() - hour)
    switching.end_maintenance(**WHY)
    after = Round.objects.get().deadline_at, Task.objects.get(state="leased").lease_expires_at
    for old, new in zip(before, after, strict=True):
        assert timedelta(0) <= new - old - hour < timedelta(seconds=30)


def test_what_is_said_twice_is_once(db: None) -> None:
    for _ in range(2):
        switching.begin_maintenance(**WHY)
    for _ in range(2):
        switching.end_maintenance(**WHY)
    for _ in range(2):
        switching.announce(words="Tonight at ten.", **WHY)
    for _ in range(2):
        switching.take_down(**WHY)
    for is_open in (False, False, True, True):
        switching.set_sign_up(is_open=is_open, **WHY)
    for by_itself in (True, True, False, False):
        switching.set_approval(by_itself=by_itself, **WHY)
    assert kinds() == [
        "hub.maintenance_begun",
        "hub.maintenance_ended",
        "hub.announced",
        "hub.announcement_taken_down",
        "hub.sign_up_closed",
        "hub.sign_up_opened",
        "hub.approval_automatic",
        "hub.approval_manual",
    ]


def test_every_process_asks_once_a_second(
    db: None, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = 1000.0
    monkeypatch.setattr(switches.time, "monotonic", lambda: now)
    switches.forget()
    with django_assert_num_queries(1):
        assert [switches.present().is_in_maintenance for _ in range(100)] == [False] * 100
    Switchboard.objects.create(maintenance_since=timezone.now())
    now += 0.9
    assert not switches.present().is_in_maintenance
    now += 0.2
    assert switches.present().is_in_maintenance


def test_without_a_database_the_last_word_holds() -> None:
    """The database may not be asked here, which is how one that is away looks."""
    switches.presume(Switchboard(maintenance_since=timezone.now()))
    with pytest.raises(Maintenance) as refusal:
        switches.refuse_in_maintenance()
    assert problem_of(refusal.value).headers == {"Retry-After": "30"}


def test_an_announcement_is_above_every_page_until_it_is_put_away(ada: Person) -> None:
    switching.announce(words="Backups at ten tonight.", level="attention", **WHY)
    for page in (browser(ada.user), browser()):
        assert "Backups at ten tonight." in words(page.get(reverse("account_login"), follow=True))
    reader = browser(ada.user)
    reader.cookies["banner"] = switches.present().banner_key
    assert "Backups" not in words(reader.get(reverse("home:home")))
    switching.announce(words="Backups at eleven.", **WHY)
    assert "Backups at eleven" in words(reader.get(reverse("home:home")))


def test_an_announcement_has_its_time(db: None, api_client: APIClient) -> None:
    day = timedelta(days=1)
    now = timezone.now()
    switching.announce(words="Tomorrow.", begins=now + day, ends=now + 2 * day, **WHY)
    assert api_client.get("/api/v1/").json()["banner"] is None
    assert switches.present().shows_banner(now + 1.5 * day)
    assert not switches.present().shows_banner(now + 2 * day)
    with pytest.raises(Invalid):
        switching.announce(words="Yesterday.", begins=now - 2 * day, ends=now - day, **WHY)


def test_programs_read_it_in_the_api_s_root(closed: None, api_client: APIClient) -> None:
    switching.announce(words="Backups at ten.", **WHY)
    root = api_client.get("/api/v1/").json()
    assert root["banner"]["text"] == "Backups at ten."
    assert root["maintenance"]["note"] == NOTE


def test_sign_up_can_be_closed(db: None, client: Client) -> None:
    new = {"email": "new@example.org", "name": "New", "password1": PASSWORD}
    switching.set_sign_up(is_open=False, **WHY)
    client.post(reverse("account_signup"), new)
    assert not User.objects.filter(email="new@example.org").exists()
    switching.set_sign_up(is_open=True, **WHY)
    client.post(reverse("account_signup"), new)
    assert User.objects.filter(email="new@example.org").exists()


@pytest.mark.parametrize("by_setting", [True, False])
def test_approval_is_the_console_s_word_over_the_setting_s(
    by_setting: bool, db: None, settings: LazySettings
) -> None:
    settings.AUTO_APPROVE_ORGANISATIONS = by_setting
    states = []
    for number, word in enumerate((None, True, False)):
        if word is not None:
            switching.set_approval(by_itself=word, **WHY)
        made = register_organisation(user=UserFactory(), name=f"Number {number}")
        states.append(made.state == "approved")
    assert states == [by_setting, True, False]


def test_the_acts_of_the_hub_are_offered_when_they_fit(console: Client) -> None:
    board = switching.switchboard()
    assert {act.name for act in acts_for(board)} == {
        "maintain",
        "announce",
        "close_sign_up",
        "approve_by_itself",
    }
    reauthenticated(console)
    asked = {"reason": "An upgrade.", "note": NOTE, "minutes": "5"}
    assert "Done and recorded" in console.post(act_url(board, "maintain"), asked, follow=True).text
    said = {"reason": "An upgrade.", "words": "Soon.", "level": "info", "ends": "2000-01-01T10:00"}
    assert "Nothing was done" in console.post(act_url(board, "announce"), said, follow=True).text
    said["ends"] = "2100-01-01T10:00"
    assert "Done and recorded" in console.post(act_url(board, "announce"), said, follow=True).text
    board.refresh_from_db()
    assert {act.name for act in acts_for(board)} == {
        "reopen",
        "announce",
        "take_down",
        "close_sign_up",
        "approve_by_itself",
    }
