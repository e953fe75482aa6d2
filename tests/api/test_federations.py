from __future__ import annotations

from uuid import uuid4

import pytest

from tests.conftest import Person
from tests.factories.catalogue import BaseModelFactory

pytestmark = pytest.mark.django_db


def post(person: Person, path: str, said: dict | None = None):
    return person.api.post(f"/api/v1/{path}", said or {}, headers={"Idempotency-Key": str(uuid4())})


def test_from_registration_to_a_federation_of_two(ada: Person, blaise: Person, operator: Person):
    new = post(ada, "organisations", {"name": "Ada Academy"}).json()
    said = {
        "organisation": new["id"],
        "name": "Support tickets",
        "charter": "1. Nobody's data leaves its owner.",
        "base_model": str(BaseModelFactory().pk),
    }
    refused = post(ada, "federations", said)
    assert (refused.status_code, refused.json()["code"]) == (409, "organisation_not_approved")
    approved = post(operator, f"organisations/{new['id']}/approve", {"reason": "known to us"})
    assert approved.json()["state"] == "approved"

    founded = post(ada, "federations", said)
    assert founded.status_code == 201
    federation = founded.json()

    seen = blaise.api.get(f"/api/v1/federations/{federation['id']}").json()
    asked = post(
        blaise,
        f"federations/{federation['id']}/join",
        {"organisation": str(blaise.organisation.pk), "charter_digest": seen["charter_digest"]},
    )
    assert (asked.status_code, asked.json()["state"]) == (201, "requested")
    place = asked.json()["id"]
    assert post(ada, f"participations/{place}/approve").json()["state"] == "active"
    assert post(blaise, f"participations/{place}/rank", {"rank": 4}).json()["rank"] == 4

    said = {"statement": "Old bills."}
    assert post(blaise, f"participations/{place}/statement", said).json()["data_statement"]
    texts = {"intended_use": "Sorting bills.", "limits": ""}
    described = post(ada, f"federations/{federation['id']}/describe", texts).json()
    assert described["intended_use"] == "Sorting bills."

    path = f"/api/v1/federations/{federation['id']}/participations"
    listed = blaise.api.get(path).json()["results"]
    assert [(row["organisation_name"], row["standing"]) for row in listed] == [
        ("Ada Academy", "lead"),
        ("Blaise Bank", "contributor"),
    ]


def test_a_base_model_that_is_not_there(ada: Person):
    said = {
        "organisation": str(ada.organisation.pk),
        "name": "x",
        "charter": "y",
        "base_model": str(uuid4()),
    }
    response = post(ada, "federations", said)
    assert (response.status_code, response.json()["code"]) == (422, "base_model_unknown")


def test_outside_one_sees_the_federation_and_no_member(carol: Person, federation):
    assert carol.api.get(f"/api/v1/federations/{federation.pk}").status_code == 200
    path = f"/api/v1/federations/{federation.pk}/participations"
    assert carol.api.get(path).json()["results"] == []


@pytest.mark.parametrize(("mine", "count"), [("true", 1), ("false", 0)])
def test_mine_are_those_i_take_part_in(ada: Person, federation, mine, count):
    rows = ada.api.get(f"/api/v1/federations?mine={mine}").json()["results"]
    assert len(rows) == count
