"""In which language the hub speaks, and that it can: pages, letters, interfaces, the record."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import pytest
from babel.messages.catalog import Message
from django.core import mail
from django.test import Client
from django.utils.translation import gettext, override

from hub.common.models import Event
from hub.common.sentences import PATTERNS
from hub.federations.models import Federation
from hub.federations.proposals.services import propose
from hub.notices.mail.due import write_letters
from hub.notices.mail.posting import post_letters
from hub.notices.telling import tell_news
from hub.organisations import services
from hub.organisations.models import Letter
from tests import translations
from tests.conftest import Person
from tests.hub.notices.happening import confirm, happens
from tests.hub.organisations.test_invitations import GRACE, asked, confirmed
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

SIGN_IN = "/accounts/login/"
GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
PLACES = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
TAGS = re.compile(r"</?(?:a|b|br|code|em|hr|i|li|p|span|strong|ul)\b[^<>]*>")


def language_of(response: Any) -> str:
    found = re.search(r'<html lang="([\w-]+)"', response.content.decode())
    assert found, "the page does not say its language"
    assert response.headers["Content-Language"] == found[1]
    return found[1]


def choose(client: Client, language: str, **headers: str) -> Any:
    return client.post("/account/language", {"language": language}, headers=headers)


# ----------------------------------------------------------------------------- catalogues


def strings(message: str | Iterable[str] | None) -> list[str]:
    return [message or ""] if message is None or isinstance(message, str) else list(message)


def faults(message: Message) -> Iterable[str]:
    """How a translation differs from its message where it must not."""
    said, meant = strings(message.string), strings(message.id)
    if not all(said):
        yield "is not translated"
        return
    if message.fuzzy:
        yield "is marked as fuzzy"
    if {*PLACES.findall(said[-1])} != {*PLACES.findall(meant[-1])}:
        yield "has other places for values"
    if any({*PLACES.findall(one)} - {*PLACES.findall(" ".join(meant))} for one in said):
        yield "has places that get no value"
    if sorted(TAGS.findall(said[-1])) != sorted(TAGS.findall(meant[-1])):
        yield "has other elements"
    if '"' in "".join(said) and '"' not in "".join(meant):
        yield "has a straight quotation mark, which would end an attribute"


@pytest.mark.parametrize("language", translations.languages())
def test_a_catalogue_says_everything_and_is_up_to_date(language: str):
    present = translations.brought_up(language)
    wrong = [f"{one.id!r} {how}" for one in present if one.id for how in faults(one)]
    assert not wrong, "\n".join(wrong)
    held = translations.file_of(language)
    assert held.read_bytes() == translations.written(present), "make messages brings it up to date"
    compiled = translations.compiled(translations.catalogue_of(language))
    assert held.with_suffix(".mo").read_bytes() == compiled


@pytest.mark.parametrize("language", translations.languages())
def test_what_events_say_keeps_its_form(language: str):
    """A part in brackets goes where a field is missing, so it holds the fields that it held."""
    brackets = re.compile(r"\[[^\[\]]*\]")
    with override(language):
        for pattern in PATTERNS.values():
            said = gettext(pattern)
            bare = [{*PLACES.findall(brackets.sub("", one))} for one in (pattern, said)]
            assert bare[0] == bare[1], said


# ----------------------------------------------------------------------- which is spoken


@pytest.mark.parametrize(
    ("asked_for", "spoken"), [("de-AT,de;q=0.9", "de"), ("en-US", "en-gb"), ("fr", "en-gb")]
)
def test_a_page_speaks_what_the_browser_asks_for(asked_for: str, spoken: str):
    response = browser().get(SIGN_IN, headers={"Accept-Language": asked_for})
    assert language_of(response) == spoken
    assert "Accept-Language" in response.headers["Vary"]


def test_a_stranger_s_choice_is_remembered_by_the_browser():
    client = browser()
    assert choose(client, "de", referer="http://testserver/accounts/signup/?x=1").headers[
        "Location"
    ] == ("/accounts/signup/?x=1")
    assert language_of(client.get(SIGN_IN)) == "de"
    choose(client, "en-gb")
    assert language_of(client.get(SIGN_IN, headers=GERMAN)) == "en-gb"


def test_a_choice_leads_nowhere_else_and_is_one_of_ours():
    client = browser()
    assert choose(client, "de", referer="https://evil.example/x").headers["Location"] == "/"
    assert choose(client, "tlh").status_code == 400
    assert choose(client, "").status_code == 400


def test_a_choice_needs_the_form_s_token():
    strict = Client(enforce_csrf_checks=True)
    assert choose(strict, "de").status_code == 403


def test_the_account_s_language_comes_before_the_browser_s(ada: Person):
    client = browser(ada.user)
    assert choose(client, "de").status_code == 302
    ada.user.refresh_from_db()
    assert ada.user.language == "de"
    elsewhere = browser(ada.user)
    assert language_of(elsewhere.get("/account/", headers={"Accept-Language": "en"})) == "de"


def test_the_language_is_set_in_the_profile(ada: Person):
    client = browser(ada.user)
    saved = client.post("/account/", {"name": "Ada", "language": "de"}, follow=True)
    assert language_of(saved) == "de"
    with override("de"):
        assert gettext("Saved.") in words(saved)
    saved = client.post("/account/", {"name": "Ada", "language": ""}, follow=True)
    assert language_of(saved) == "en-gb"
    assert "Saved." in words(saved)
    assert language_of(client.get("/account/", headers=GERMAN)) == "de"
    refused = client.post("/account/", {"name": "Ada", "language": "tlh"})
    assert refused.status_code == 200
    assert not type(ada.user).objects.filter(language="tlh").exists()


def test_a_language_that_the_hub_has_unlearnt_harms_nobody(ada: Person):
    type(ada.user).objects.filter(pk=ada.user.pk).update(language="tlh")
    assert language_of(browser(ada.user).get("/account/", headers=GERMAN)) == "de"


def test_every_page_offers_the_choice_but_those_in_one_language(ada: Person):
    for client in (browser(), browser(ada.user)):
        assert 'action="/account/language"' in client.get("/").content.decode()
    handbook = browser(ada.user).get("/docs/problems", headers=GERMAN)
    assert language_of(handbook) == "en-gb"
    assert 'action="/account/language"' not in handbook.content.decode()


def test_a_page_that_refuses_speaks_the_reader_s_language():
    response = browser().get("/nowhere", headers=GERMAN)
    assert response.status_code == 404
    assert language_of(response) == "de"


# ---------------------------------------------------------------- interfaces and record


def test_the_api_speaks_english(ada: Person):
    type(ada.user).objects.update(language="de")
    answer = ada.api.get(f"/api/v1/runs/{uuid4()}", headers=GERMAN)
    assert answer.json()["title"] == "There is no such thing, or it is not yours to see."
    assert "Content-Language" not in answer.headers
    assert "Accept-Language" not in answer.headers.get("Vary", "")


def test_what_is_stored_is_english_whoever_causes_it(ada: Person, federation: Federation):
    with override("de"):
        propose(
            user=ada.user, federation_id=federation.pk, kind="dissolve", terms={}, reason="Genug."
        )
        asked(ada)
    made = Event.objects.get(kind="proposal.made")
    assert (made.data["words"], made.reason) == ("dissolve the federation", "Genug.")
    assert Event.objects.get(kind="invitation.open").data["role"] == "scientist"


# -------------------------------------------------------------------------------- letters


@pytest.mark.parametrize(("own", "spoken"), [("", "de"), ("en-gb", "en-gb"), ("de", "de")])
def test_an_invitation_speaks_the_guest_s_language_or_the_host_s(
    ada: Person, own: str, spoken: str
):
    confirmed(GRACE, language=own)
    with override("de"):
        asked(ada)
    services.send_letter(letter_id=Letter.objects.get().pk)
    (sent,) = mail.outbox
    with override(spoken):
        expected = gettext("Invitation to %(name)s") % {"name": ada.organisation.name}
    assert sent.subject == f"Foedus: {expected}"
    assert ("lädt" in sent.body) == (spoken == "de")


@pytest.mark.parametrize("language", ["", "de"])
def test_a_notice_by_mail_speaks_its_reader_s_language(
    ada: Person, federation: Federation, language: str
):
    type(ada.user).objects.filter(pk=ada.user.pk).update(language=language)
    confirm(ada.user)
    pk = uuid4()
    happens(
        "run.failed",
        data={"run": "Autumn"},
        federation_id=federation.pk,
        run_id=pk,
        subject_id=pk,
    )
    tell_news()
    write_letters()
    assert post_letters() == 1
    (sent,) = mail.outbox
    expected = "Der Lauf" if language else "The run 'Autumn' failed"
    assert sent.subject.startswith(f"Foedus: {expected}")
    html = sent.alternatives[0][0]
    assert f'<html lang="{language or "en-gb"}">' in html


def test_a_mail_of_the_account_speaks_its_person_s_language(ada: Person):
    type(ada.user).objects.filter(pk=ada.user.pk).update(language="de")
    confirm(ada.user)
    browser().post("/accounts/password/reset/", {"email": ada.user.email})
    (sent,) = mail.outbox
    with override("de"):
        assert gettext("Password Reset Email") in sent.subject
    assert "Passwort" in sent.body
