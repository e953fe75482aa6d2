"""Notices by e-mail, through a real SMTP server; what it refuses, and what is stopped."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from hub.accounts.models import User
from hub.federations.models import Federation
from hub.notices import services
from hub.notices.mail.due import write_digests, write_letters
from hub.notices.mail.posting import CLAIM, TRIED_FOR, letters_are_due, post_letters
from hub.notices.models import Mail, Notice
from hub.notices.telling import tell_news
from hub.organisations.models import Membership
from tests.conftest import Person
from tests.hub.notices.happening import at_once, confirm, happens
from tests.hub.notices.mailing import Postbox, lead_to, parts, serving
from tests.pages import browser, words

pytestmark = pytest.mark.django_db


@pytest.fixture
def postbox(settings: Any) -> Iterator[Postbox]:
    with serving(settings) as box:
        yield box


def failed(federation: Federation, run: str = "Autumn") -> None:
    """Something that people are told at once, unless they say otherwise."""
    pk = uuid4()
    data, reason = {"run": run}, "the disk is full"
    scope = {"federation_id": federation.pk, "run_id": pk, "subject_id": pk}
    happens("run.failed", data=data, reason=reason, **scope)
    tell_news()


def due_again() -> None:
    """As if the pauses had passed."""
    Mail.objects.update(next_at=timezone.now() - timedelta(seconds=1))


def test_a_letter_says_what_happened(
    postbox: Postbox, ada: Person, blaise: Person, federation: Federation, settings: Any
):
    confirm(ada.user)
    failed(federation)
    assert write_letters() == 2
    assert post_letters() == 1  # Blaise has confirmed no address
    (letter,) = postbox.letters
    assert postbox.recipients == [[ada.user.email]]
    assert letter["Subject"] == "Foedus: The run 'Autumn' failed: the disk is full"
    run_id = Notice.objects.get(user=ada.user).object_id
    for text in parts(letter).values():
        said = text.replace("&#x27;", "'")
        assert "The run 'Autumn' failed: the disk is full" in said
        assert f"{settings.PUBLIC_URL}/runs/{run_id}" in said
        assert federation.name in said
        assert blaise.user.email not in said
    assert set(parts(letter)) == {"text/plain", "text/html"}
    assert sorted(Mail.objects.values_list("state", flat=True)) == ["dropped", "sent"]


def test_twice_is_once(postbox: Postbox, ada: Person, federation: Federation):
    confirm(ada.user)
    failed(federation)
    assert [write_letters(), write_letters()] == [2, 0]
    assert [post_letters(), post_letters()] == [1, 0]
    assert len(postbox.letters) == 1


def test_what_comes_together_is_one_letter(postbox: Postbox, ada: Person, federation: Federation):
    confirm(ada.user)
    for number in range(60):
        failed(federation, run=f"Run {number}")
    write_letters()
    post_letters()
    (letter,) = postbox.letters
    text = parts(letter)["text/plain"]
    assert text.count("A run failed") == 50
    assert "There is more in your inbox." in text


def test_what_was_read_or_is_not_theirs_any_more_is_not_sent(
    postbox: Postbox, ada: Person, blaise: Person, federation: Federation
):
    confirm(ada.user)
    confirm(blaise.user)
    failed(federation)
    write_letters()
    services.mark_all_read(user=ada.user)
    Membership.objects.filter(user=blaise.user).delete()
    assert post_letters() == 0
    assert postbox.letters == []
    assert set(Mail.objects.values_list("state", flat=True)) == {"dropped"}


def test_markup_in_names_stays_text(postbox: Postbox, ada: Person, federation: Federation):
    confirm(ada.user)
    failed(federation, run="<img src=x>\nBcc: eve@example.org")
    write_letters()
    post_letters()
    (letter,) = postbox.letters
    assert "<img" not in parts(letter)["text/html"]
    assert letter["Bcc"] is None
    assert postbox.recipients == [[ada.user.email]]


@pytest.mark.parametrize("channel", ["inbox", "digest"])
def test_only_what_is_wanted_at_once_goes_at_once(ada: Person, federation: Federation, channel):
    services.save_settings(user=ada.user, channels={"run_failed": channel})
    failed(federation)
    write_letters()
    assert not Mail.objects.filter(user=ada.user).exists()


def test_the_daily_letter_comes_once_at_its_hour(
    postbox: Postbox, ada: Person, federation: Federation
):
    confirm(ada.user)
    services.save_settings(user=ada.user, channels={"run_failed": "digest"}, digest_hour=18)
    for number in range(3):
        failed(federation, run=f"Run {number}")
    told_at = timezone.now().replace(hour=10, minute=0)
    Notice.objects.update(created_at=told_at)
    assert write_digests(now=told_at.replace(hour=17, minute=59)) == 0
    assert write_digests(now=told_at.replace(hour=18, minute=5)) == 1
    assert write_digests(now=told_at.replace(hour=18, minute=10)) == 0
    assert post_letters() == 1
    (letter,) = postbox.letters
    assert letter["Subject"] == "Foedus: 3 things that happened"
    failed(federation)
    Notice.objects.filter(mail=None).update(created_at=told_at.replace(hour=19))
    assert write_digests(now=told_at.replace(hour=23)) == 0
    tomorrow = told_at.replace(hour=18, minute=5) + timedelta(days=1)
    assert write_digests(now=tomorrow) == 1


def test_a_server_that_is_down_is_tried_again(settings: Any, ada: Person, federation: Federation):
    confirm(ada.user)
    failed(federation)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    lead_to(settings, port)
    write_letters()
    Mail.objects.exclude(user=ada.user).delete()
    assert post_letters() == 0
    mail = Mail.objects.get()
    assert (mail.state, mail.attempts) == ("queued", 1)
    assert "does not answer" in mail.outcome
    assert not letters_are_due()  # not now
    with serving(settings) as box:
        due_again()
        assert post_letters() == 1
    assert len(box.letters) == 1


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        ("to_rcpt", "450 try later"),
        ("to_data", "451 try later"),
        ("to_rcpt", "550 nobody of that name"),
        ("to_data", "554 not wanted"),
    ],
)
def test_what_the_server_refuses(
    postbox: Postbox, ada: Person, federation: Federation, where, answer
):
    state = "queued" if answer.startswith("4") else "failed"
    confirm(ada.user)
    failed(federation)
    write_letters()
    setattr(postbox, where, [answer])
    assert post_letters() == 0
    mail = Mail.objects.get(user=ada.user)
    assert mail.state == state
    assert mail.outcome == f"the mail server answered {answer[:3]}"
    assert ada.user.email not in mail.outcome
    due_again()
    assert post_letters() == (state == "queued")
    assert post_letters() == 0


def test_one_refused_letter_holds_up_no_other(
    postbox: Postbox, ada: Person, blaise: Person, federation: Federation
):
    confirm(ada.user)
    confirm(blaise.user)
    failed(federation)
    write_letters()
    postbox.to_rcpt = ["550 nobody of that name"]
    assert post_letters() == 1
    assert len(postbox.letters) == 1


def test_after_two_days_it_is_given_up(postbox: Postbox, ada: Person, federation: Federation):
    confirm(ada.user)
    failed(federation)
    write_letters()
    Mail.objects.update(created_at=timezone.now() - TRIED_FOR - timedelta(minutes=1))
    postbox.to_rcpt = ["450 try later"]
    post_letters()
    mail = Mail.objects.get(user=ada.user)
    assert (mail.state, mail.outcome) == ("failed", "given up: the mail server answered 450")


def test_a_worker_killed_after_sending_has_it_sent_again_under_the_same_name(
    postbox: Postbox, ada: Person, federation: Federation
):
    """Rather twice than never; a mail program that knows Message-IDs shows it once."""
    confirm(ada.user)
    failed(federation)
    write_letters()
    Mail.objects.exclude(user=ada.user).delete()
    post_letters()
    # As the row is when the worker dies between the server's answer and the record of it.
    claimed_until = timezone.now() + CLAIM
    Mail.objects.update(state="queued", ended_at=None, claimed_until=claimed_until)
    assert post_letters() == 0  # it may be at it still
    Mail.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert post_letters() == 1
    first, second = postbox.letters
    assert first["Message-ID"] == second["Message-ID"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_each_letter_once(
    postbox: Postbox, ada: Person, blaise: Person, federation: Federation
):
    for number in range(4):
        user = User.objects.create_user(f"p{number}@example.org", name=f"P{number}")
        Membership.objects.create(user=user, organisation=ada.organisation, role="owner")
        confirm(user)
    failed(federation)
    at_once(3, write_letters)
    at_once(3, post_letters)
    assert sorted(one[0] for one in postbox.recipients) == [f"p{n}@example.org" for n in range(4)]


def stop_link(postbox: Postbox, settings: Any) -> str:
    (letter,) = postbox.letters
    found = re.fullmatch(r"<(.+)>", letter["List-Unsubscribe"].replace("\n", "").replace(" ", ""))
    assert found is not None
    assert found[1].startswith(f"{settings.PUBLIC_URL}/unsubscribe/")
    return found[1].removeprefix(settings.PUBLIC_URL)


def test_mail_programs_stop_it_with_one_click(
    postbox: Postbox, ada: Person, federation: Federation, settings: Any
):
    """RFC 8058: posted without cookies, referrer or token of a form."""
    confirm(ada.user)
    failed(federation)
    write_letters()
    post_letters()
    assert postbox.letters[0]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = stop_link(postbox, settings)
    stranger = Client(enforce_csrf_checks=True)
    assert "A run failed" in words(stranger.get(link))
    failed(federation, run="Winter")
    assert Notice.objects.filter(user=ada.user, channel="now", mail=None).count() == 1
    for _ in range(2):
        answer = stranger.post(link, {"List-Unsubscribe": "One-Click"})
        assert "These mails have stopped" in words(answer)
    failed(federation, run="Spring")
    write_letters()
    assert Mail.objects.filter(user=ada.user).count() == 1
    assert "Spring" in words(browser(ada.user).get("/inbox"))


@pytest.mark.parametrize("token", ["x", "a:b:c", "WyIxIiwgWyJydW5fZmFpbGVkIl1d:1u:xyz"])
def test_a_link_that_nobody_signed_stops_nothing(ada: Person, token: str):
    assert Client().get(f"/unsubscribe/{token}").status_code == 404
    assert Client().post(f"/unsubscribe/{token}").status_code == 404


def test_a_link_is_good_for_its_kinds_only(ada: Person):
    token = services.unsubscribe_token(user=ada.user, kinds=["vote", "run_failed"])
    assert services.unsubscribe(token=token) == ["run_failed", "vote"]
    held = ada.user.notice_settings.channels
    assert held == {"run_failed": "inbox", "vote": "inbox"}


def test_looking_at_the_link_stops_nothing(ada: Person):
    """Programs that fetch every link of a mail must not unsubscribe anybody."""
    token = services.unsubscribe_token(user=ada.user, kinds=["vote"])
    assert Client().get(f"/unsubscribe/{token}").status_code == 200
    assert not hasattr(User.objects.get(pk=ada.user.pk), "notice_settings")


def test_a_slow_server_is_not_waited_for_for_ever(
    settings: Any, ada: Person, federation: Federation
):
    confirm(ada.user)
    failed(federation)
    write_letters()
    Mail.objects.exclude(user=ada.user).delete()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lead_to(settings, silent.getsockname()[1])
        settings.EMAIL_TIMEOUT = 0.3
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(silent.accept()[0]), daemon=True).start()
        assert post_letters() == 0
    assert Mail.objects.get().state == "queued"
    for one in held:
        one.close()
