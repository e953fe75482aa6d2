from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from federation.signatures import generate_private_key, key_id, public_key_of
from hub.organisations.models import Agent
from hub.organisations.selectors import hub_key
from tests.conftest import Person
from tests.hub.organisations.test_enrolment import message
from tests.signing import SignedClient

pytestmark = pytest.mark.django_db

PATH = "/api/v1/agent/enrolments"


def enrol(code: str, **changes: str):
    said = message(code, changes.pop("private_key", None) or generate_private_key(), **changes)
    return APIClient().post(PATH, said.model_dump(mode="json"))


def new_code(person: Person) -> str:
    path = f"/api/v1/organisations/{person.organisation.pk}/enrolment-codes"
    return person.api.post(path).json()["code"]


def test_from_the_code_to_the_first_signed_request(ada: Person):
    private_key = generate_private_key()
    nonce = APIClient().get(f"{PATH}/nonce").json()["nonce"]
    assert len(nonce) <= 200
    answer = enrol(new_code(ada), private_key=private_key)
    assert answer.status_code == 201
    welcome = answer.json()
    assert welcome["organisation_name"] == "Ada Institute"
    assert welcome["hub_key_id"] == hub_key().key_id
    agent = Agent.objects.get(pk=welcome["agent"])
    agent.private_key = private_key
    response = SignedClient(agent).send(
        "POST", "/api/v1/agent/leases", {"agent_version": "0.1.0", "federations": []}
    )
    assert response.status_code == 204
    listed = ada.api.get("/api/v1/agents").json()["results"]
    assert [row["key_id"] for row in listed] == [key_id(public_key_of(private_key))]


def test_a_code_is_spent(ada: Person):
    code = new_code(ada)
    assert enrol(code).status_code == 201
    response = enrol(code, name="vault-2")
    assert (response.status_code, response.json()["code"]) == (410, "code_spent")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"nonce": "made up"}, 400, "bad_nonce"),
        ({"public_key": "A" * 43 + "="}, 400, "bad_key"),
        ({"public_key": "!" * 44}, 400, "bad_key"),
        ({"signature": "AAAA"}, 400, "bad_proof"),
        ({"signature": ""}, 400, "bad_proof"),
        ({"name": "vault\u202e-1"}, 422, "unfit_text"),
    ],
)
def test_what_is_wrong_has_its_code(ada: Person, changes, status, code):
    response = enrol(new_code(ada), **changes)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert not Agent.objects.exists()


def test_ten_guesses_an_hour_from_one_address(ada: Person):
    code = new_code(ada)
    guesses = [enrol("enrol_" + "x" * 43).status_code for _ in range(12)]
    assert guesses == [404] * 10 + [429] * 2
    assert enrol(code).status_code == 429


def test_who_guesses_nothing_is_not_slowed_down(ada: Person):
    for number in range(12):
        assert enrol(new_code(ada), name=f"vault-{number}").status_code == 201


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1, 127.0.0.1", "x"])
def test_a_header_is_no_address(ada: Person, address):
    for _ in range(10):
        enrol("enrol_" + "x" * 43)
    said = message(new_code(ada), generate_private_key()).model_dump(mode="json")
    response = APIClient().post(PATH, said, headers={"X-Forwarded-For": address})
    assert response.status_code == 429


def test_owners_rename_and_revoke(ada: Person):
    agent = enrol(new_code(ada)).json()["agent"]
    renamed = ada.api.patch(f"/api/v1/agents/{agent}", {"name": "vault-9"})
    assert renamed.json()["name"] == "vault-9"
    revoked = ada.api.post(f"/api/v1/agents/{agent}/revoke", {"reason": "sold"})
    assert revoked.json()["state"] == "revoked"
