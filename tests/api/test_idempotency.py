from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connection

from hub.common.models import Event, IdempotentRequest
from hub.organisations.models import Membership, Organisation
from tests.conftest import Person, client_of
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db

PATH = "/api/v1/organisations"
BANK = {"name": "Bergen Bank"}


def register(person: Person, key: str | None, said: dict = BANK):
    headers = {} if key is None else {"Idempotency-Key": key}
    return person.api.post(PATH, said, headers=headers)


@pytest.mark.parametrize("key", [None, ""])
def test_what_creates_needs_a_key(ada: Person, key):
    response = register(ada, key)
    assert (response.status_code, response.json()["code"]) == (428, "idempotency_key_missing")


@pytest.mark.parametrize("key", ["a b", "x" * 129, "schlüssel"])
def test_a_key_is_short_and_visible(ada: Person, key):
    response = register(ada, key)
    assert (response.status_code, response.json()["code"]) == (400, "malformed")


def test_the_same_request_again_gets_the_same_answer(ada: Person):
    first, second = register(ada, "k"), register(ada, "k")
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert Organisation.objects.filter(name="Bergen Bank").count() == 1
    assert Event.objects.filter(kind="organisation.registered").count() == 1


def test_the_same_key_for_something_else_is_refused(ada: Person):
    register(ada, "k")
    response = register(ada, "k", {"name": "Another"})
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert not Organisation.objects.filter(name="Another").exists()


def test_keys_of_two_people_do_not_meet(ada: Person, blaise: Person):
    assert register(ada, "k").status_code == 201
    assert register(blaise, "k", {"name": "Another"}).status_code == 201


def test_a_refusal_keeps_nothing(ada: Person):
    Organisation.objects.create(name="Bergen Bank", slug="taken", contact_email="x@example.org")
    assert register(ada, "k").status_code == 409
    assert not IdempotentRequest.objects.exists()
    Organisation.objects.filter(slug="taken").delete()
    assert register(ada, "k").status_code == 201


def test_a_secret_is_not_kept(ada: Person):
    ada.api.post("/api/v1/tokens", {"name": "notebook"}, headers={"Idempotency-Key": "k"})
    path = f"{PATH}/{ada.organisation.pk}/enrolment-codes"
    ada.api.post(path, headers={"Idempotency-Key": "l"})
    assert not IdempotentRequest.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_with_one_key_make_one_row():
    user = UserFactory()
    clients = [client_of(user) for _ in range(20)]
    key, start = str(uuid4()), Barrier(20)

    def ask(client):
        start.wait()
        try:
            return client.post(PATH, BANK, headers={"Idempotency-Key": key})
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, clients))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert (Organisation.objects.count(), Membership.objects.count()) == (1, 1)
    assert IdempotentRequest.objects.count() == 1
