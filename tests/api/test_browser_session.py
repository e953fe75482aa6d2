"""The API with a browser's session instead of a token."""

from __future__ import annotations

from django.test import Client

from hub.organisations.models import Organisation
from tests.conftest import Person

BODY = {"name": "From a browser"}


def post(client: Client, **headers: str) -> int:
    token = client.cookies["csrftoken"].value if "csrftoken" in client.cookies else ""
    answer = client.post(
        "/api/v1/organisations",
        BODY,
        content_type="application/json",
        headers={"Idempotency-Key": "one", "X-CSRFToken": token, **headers},
    )
    return answer.status_code


def signed_in(person: Person) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person.user)
    client.get("/accounts/email/")  # a page with a form, which brings the CSRF cookie
    return client


def test_a_session_with_its_csrf_token_may_write_once(ada: Person) -> None:
    client = signed_in(ada)
    assert [post(client), post(client)] == [201, 201]
    assert Organisation.objects.filter(name=BODY["name"]).count() == 1


def test_a_session_without_the_csrf_token_may_not(ada: Person) -> None:
    assert post(signed_in(ada), **{"X-CSRFToken": "x" * 32}) == 403
