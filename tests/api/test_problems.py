from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from hub.common.api.problems import PROBLEM_JSON
from hub.common.logs import formatter
from tests.conftest import Person

pytestmark = pytest.mark.django_db

ORGANISATIONS = "/api/v1/organisations"


@pytest.fixture
def failing(settings) -> APIClient:
    settings.ROOT_URLCONF = "tests.api.failing"
    return APIClient(raise_request_exception=False)


def assert_problem(response, status: int, code: str) -> dict:
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == PROBLEM_JSON
    document = response.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"{settings.PUBLIC_URL}/docs/problems#{code}"
    assert document["request_id"] == response.headers["X-Request-ID"] != ""
    assert document["title"].endswith(".") or document["title"]
    return document


def test_an_unknown_address_is_a_problem_document(api_client):
    assert_problem(api_client.get("/api/v1/nothing"), 404, "not_found")


def test_elsewhere_it_is_a_page(api_client):
    response = api_client.get("/nothing")
    assert response.status_code == 404
    assert response.headers["Content-Type"].startswith("text/html")


def test_who_asks_must_be_proved(api_client):
    response = api_client.get(ORGANISATIONS)
    assert_problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["foe_wrong", "foe_", "two words", "\u00ff"])
def test_a_token_that_is_none_proves_nothing(api_client, token):
    api_client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert_problem(api_client.get(ORGANISATIONS), 401, "authentication_failed")


def test_a_method_that_does_not_exist(ada: Person):
    refused = ada.api.put(ORGANISATIONS, {})
    assert_problem(refused, 405, "method_not_allowed")
    assert refused.json()["title"] == "This method is not for this address."
    assert_problem(ada.api.trace(ORGANISATIONS), 405, "method_not_allowed")


def test_a_method_in_a_header_is_ignored(ada: Person):
    path = f"{ORGANISATIONS}/{ada.organisation.pk}"
    response = ada.api.get(path, headers={"X-HTTP-Method-Override": "DELETE"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "content_type", ["application/xml", "application/yaml", "application/x-msgpack", "text/plain"]
)
def test_a_body_of_another_type(ada: Person, content_type):
    response = ada.api.generic(
        "POST",
        ORGANISATIONS,
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        content_type=content_type,
        headers={"Idempotency-Key": "k"},
    )
    assert_problem(response, 415, "unsupported_media_type")


def test_fields_that_are_wrong_are_named(ada: Person):
    response = ada.api.post(ORGANISATIONS, {"name": ""}, headers={"Idempotency-Key": "k"})
    document = assert_problem(response, 400, "invalid_fields")
    assert list(document["errors"]) == ["name"]
    assert document["detail"].startswith("name: ")


def test_a_refusal_of_the_domain_keeps_its_code_and_its_facts(ada: Person):
    for key, status in (("a", 201), ("b", 409)):
        response = ada.api.post(
            ORGANISATIONS, {"name": "Bergen Bank"}, headers={"Idempotency-Key": key}
        )
        assert response.status_code == status
    assert_problem(response, 409, "name_taken")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the hub writes to its log."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter())
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)


def test_what_broke_is_in_the_log_and_nowhere_else(failing, log):
    response = failing.get("/api/v1/failing/bug")
    document = assert_problem(response, 500, "internal_error")
    assert "hunter2" not in response.content.decode()
    told = json.loads(log.getvalue())
    assert told["request_id"] == document["request_id"]
    assert "the database password is hunter2" in told["exception"]
    assert set(document) == {"type", "title", "status", "detail", "code", "request_id"}


@pytest.mark.parametrize("name", ["database", "redis"])
def test_a_service_that_is_away_is_tried_again_later(failing, name):
    response = failing.get(f"/api/v1/failing/{name}")
    assert_problem(response, 503, "dependency_down")
    assert response.headers["Retry-After"] == "5"


def test_further_facts_are_members_of_the_document(failing):
    response = failing.get("/api/v1/failing/full")
    document = assert_problem(response, 507, "storage_full")
    assert document["free_bytes"] == 0
    assert response.headers["Retry-After"] == "60"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("bug", 500, "internal_error"), ("odd", 400, "malformed"), ("large", 413, "too_large")],
)
def test_django_s_own_refusals_are_documents_too(failing, name, status, code):
    response = failing.get(f"/api/v1/outside/{name}")
    assert_problem(response, status, code)
    assert "hunter2" not in response.content.decode()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Encoding": "gzip"}, 415, "content_encoding"),
        ({"Transfer-Encoding": "chunked"}, 411, "length_required"),
    ],
)
def test_framing_that_is_not_taken(ada: Person, headers, status, code):
    response = ada.api.post(ORGANISATIONS, {"name": "x"}, headers=headers)
    assert_problem(response, status, code)


def test_a_body_above_a_mebibyte(ada: Person):
    response = ada.api.post(ORGANISATIONS, {"name": "x" * 2**20})
    assert_problem(response, 413, "too_large")


def test_an_address_above_eight_kibibytes(ada: Person):
    assert_problem(ada.api.get(f"{ORGANISATIONS}?{'a=1&' * 5000}"), 414, "uri_too_long")


def test_every_answer_tells_the_request_s_id(api_client):
    answers = [api_client.get("/api/v1/", headers={"X-Request-ID": "mine"}) for _ in range(2)]
    first, second = (uuid.UUID(answer.headers["X-Request-ID"]) for answer in answers)
    assert first != second


def test_a_host_that_is_not_ours(api_client):
    response = api_client.get("/api/v1/", headers={"Host": "evil.example"})
    assert (response.status_code, response.json()["code"]) == (400, "malformed")
    assert uuid.UUID(response.json()["request_id"])


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", ""])
def test_a_method_that_nobody_knows(api_client, method):
    assert_problem(api_client.generic(method, "/api/v1/me"), 405, "method_not_allowed")
