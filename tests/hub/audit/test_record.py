"""The record: what whom may read of it, how it is searched, taken out, and never changed."""

from __future__ import annotations

import csv
import io
import json
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from hub.audit import exporting
from hub.audit.exporting import Export, Format
from hub.audit.selectors import Question, readable_by
from hub.common.errors import Forbidden
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.federations.models import Federation
from tests.conftest import Person, client_of
from tests.factories.organisations import MembershipFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db


def happened(kind: str = "run.nudged", **columns: object) -> Event:
    said = {"actor_kind": "user", "actor_label": "Ada", "subject_id": uuid4(), **columns}
    return Event.objects.create(kind=kind, **said)


@pytest.fixture
def told(ada: Person, carol: Person, federation: Federation) -> dict[str, Event]:
    return {
        "ours": happened(organisation_id=ada.organisation.pk, actor_id=ada.user.pk),
        "shared": happened("run.failed", federation_id=federation.pk, run_id=uuid4()),
        "foreign": happened(organisation_id=carol.organisation.pk, actor_id=carol.user.pk),
        "nobodys": happened("outbox.resent"),
    }


def seen(who: Person, told: dict[str, Event]) -> set[str]:
    found = set(readable_by(who.user).events().values_list("pk", flat=True))
    return {name for name, event in told.items() if event.pk in found}


def test_one_reads_of_own_organisations_and_their_federations(ada, blaise, carol, operator, told):
    assert seen(ada, told) == {"ours", "shared"}
    assert seen(blaise, told) == {"shared"}
    assert seen(carol, told) == {"foreign"}
    assert seen(operator, told) == set(told)


def test_who_has_left_reads_what_is_their_own(blaise, federation, told):
    federation.participations.filter(organisation=blaise.organisation).update(state="left")
    assert seen(blaise, told) == set()


@pytest.mark.parametrize(
    ("role", "may"), [("auditor", True), ("manager", True), ("scientist", False)]
)
def test_it_needs_a_role_that_reads_it(ada, role, may):
    user = MembershipFactory(organisation=ada.organisation, role=role).user
    expected = 200 if may else 403
    assert browser(user).get("/audit/").status_code == expected
    assert browser(user).get("/audit/texts").status_code == expected
    assert browser(user).get("/audit/export.csv").status_code == expected
    assert client_of(user).get("/api/v1/audit").status_code == expected
    assert client_of(user).get("/api/v1/audit-signatures").status_code == expected
    assert client_of(user).get("/api/v1/audit-export?as=csv").status_code == expected
    if not may:
        with pytest.raises(Forbidden):
            readable_by(user)


QUESTIONS = {
    "person": {"ours"},
    "organisation": {"ours"},
    "federation": {"shared"},
    "run": {"shared"},
    "object": {"ours"},
    "kind": {"shared"},
    "subject": {"ours", "shared"},
    "since": set(),
    "until": {"ours"},
    "nobody": set(),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_is_asked_for_narrows_what_is_found(ada, told, name):
    ours, shared = told["ours"], told["shared"]
    question = {
        "person": Question(person=ada.user.pk),
        "organisation": Question(organisation=ada.organisation.pk),
        "federation": Question(federation=shared.federation_id),
        "run": Question(run=shared.run_id),
        "object": Question(object=ours.subject_id),
        "kind": Question(action="run.failed"),
        "subject": Question(action="run"),
        "since": Question(since=told["nobodys"].at),
        "until": Question(until=shared.at),
        "nobody": Question(action="run", person=uuid4()),
    }[name]
    found = question.of(readable_by(ada.user).events())
    assert {name for name, event in told.items() if event in found} == QUESTIONS[name]


def test_the_page_shows_and_filters(ada, carol, told):
    page = words(browser(ada.user).get("/audit/", {"action": "run.failed"}))
    assert sentence(told["shared"]) in page
    assert sentence(told["ours"]) not in page
    whose = {"person": carol.user.email}
    assert "Nothing fits" in words(browser(ada.user).get("/audit/", whose))
    nobody = {"person": "nobody@example.org"}
    assert "Nothing fits" in words(browser(ada.user).get("/audit/", nobody))
    wrong = browser(ada.user).get("/audit/", {"object": "x"})
    assert "Enter a valid UUID" in wrong.content.decode()


def test_an_event_opens_with_all_that_was_kept(ada, carol):
    event = happened(
        organisation_id=ada.organisation.pk, data={"plan": "<b>bold</b>"}, reason="So."
    )
    page = browser(ada.user).get(f"/audit/{event.pk}").content.decode()
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "So." in page
    assert browser(carol.user).get(f"/audit/{event.pk}").status_code == 404
    assert carol.api.get(f"/api/v1/audit/{event.pk}").status_code == 404
    assert ada.api.get(f"/api/v1/audit/{event.pk}").json()["details"] == {"plan": "<b>bold</b>"}
    assert browser(ada.user).get("/audit/99999999999999999999").status_code == 404


def test_all_pages_of_it_show_everything_once(ada):
    Event.objects.bulk_create(
        Event(
            kind="run.nudged",
            subject_id=uuid4(),
            actor_kind="hub",
            actor_label="the hub",
            organisation_id=ada.organisation.pk,
        )
        for _ in range(120)
    )
    client, address, found = browser(ada.user), "/audit/", 0
    for _ in range(10):
        page = client.get(address).content.decode()
        found += page.count('<th scope="row">')
        older = page.partition('rel="next"')[0].rpartition('href="?')[2].partition('"')[0]
        if 'rel="next"' not in page:
            break
        address = f"/audit/?{older}"
    assert found == readable_by(ada.user).events().count()


@pytest.mark.parametrize("address", ["/audit/", "/audit/texts"])
def test_a_page_costs_the_same_however_much_happened(ada, federation, told, address):
    client = browser(ada.user)
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    assert len(queries) <= 10, [query["sql"] for query in queries]


def test_who_signed_which_text(ada, federation):
    version = (
        federation.charter_versions.first() if hasattr(federation, "charter_versions") else None
    )
    page = words(browser(ada.user).get("/audit/texts"))
    rows = ada.api.get("/api/v1/audit-signatures").json()["results"]
    if version is None or not version.signatures.exists():
        assert "No charter is signed yet" in page
        assert rows == []
    else:
        assert rows[0]["charter_digest"] == version.digest


def lines_of(export: Export) -> bytes:
    written, after = b"", 0
    while piece := export.piece(after):
        after, lines = piece
        written += lines
    return written


def test_an_export_has_every_event_once(ada, told, monkeypatch):
    monkeypatch.setattr(exporting, "PIECE", 2)
    events = readable_by(ada.user).events()
    export = Export(events, Event.objects.latest("pk").pk, Format.JSONL)
    rows = [json.loads(line) for line in lines_of(export).splitlines()]
    assert [row["id"] for row in rows] == list(events.order_by("pk").values_list("pk", flat=True))
    assert rows[-1].keys() == set(exporting.COLUMNS)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_a_cell_is_no_formula(ada, name):
    happened(organisation_id=ada.organisation.pk, actor_label=name, reason=name)
    written = exporting.as_csv(list(readable_by(ada.user).events())).decode()
    cells = {cell for row in csv.reader(io.StringIO(written)) for cell in row}
    assert f"'{name}" in cells
    assert name not in cells


def test_taking_it_out_is_on_record(ada, told):
    for address in ("/audit/export.csv?action=run", "/audit/export.jsonl"):
        answer = browser(ada.user).get(address)
        assert answer.streaming
        assert answer["Cache-Control"] == "private, no-store"
    told_of = Event.objects.filter(kind="audit.exported").order_by("pk")
    assert [event.data for event in told_of] == [
        {"format": "csv", "asked": {"action": "run"}},
        {"format": "jsonl", "asked": {}},
    ]
    assert sentence(told_of[0]) == "Ada exported the record as csv"
    assert told_of[0].organisation_id == ada.organisation.pk


@pytest.mark.parametrize("query", ["as=xml", "as=csv&page=1", "as=csv&run=x", ""])
def test_a_wrong_export_is_refused_and_leaves_nothing(ada, query):
    answer = ada.api.get(f"/api/v1/audit-export?{query}")
    assert answer.status_code == 400
    assert not Event.objects.filter(kind="audit.exported").exists()


@pytest.mark.parametrize(
    "act", ["UPDATE common_event SET reason = 'x'", "DELETE FROM common_event"]
)
def test_an_event_never_changes(told, act):
    with pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
        connection.cursor().execute(act)


def test_an_export_speaks_english_whoever_takes_it(told):
    with override("de"):
        assert exporting.told(told["ours"])["sentence"] == "Ada looked after the run"
        assert sentence(told["ours"]) == "Ada sah nach dem Lauf"
