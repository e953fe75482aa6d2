"""What is wrong with a plan is said where its own JSON has it."""

from __future__ import annotations

import pytest

from hub.federations.models import Federation
from tests.conftest import Person

LABELS = {"type": "sequence_classification", "labels": ["ham", "spam"]}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("plan", "errors"),
    [
        ({"task": {**LABELS, "labels": ["ham", "ham"]}}, {"task": ["Labels must be distinct."]}),
        ({"task": {**LABELS, "labels": []}}, {"task.labels": ["Needs at least 2 items, not 0."]}),
        ({"task": {"type": "guess"}}, {"task": None}),
        ({"task": LABELS, "adapter": {"type": "lora", "rank": 0}}, {"adapter.rank": None}),
        ({"task": LABELS, "rounds": {"count": 0}}, {"rounds.count": None}),
        ({"task": LABELS, "colour": "blue"}, {"colour": None}),
        ({"task": LABELS, "aggregation": {"rule": "krum"}}, {"": None}),
    ],
)
def test_a_plan_is_refused_at_the_place_that_is_wrong(
    ada: Person, federation: Federation, plan, errors
):
    body = {"federation": str(federation.pk), "name": "Odd", "plan": plan}
    response = ada.api.post(
        "/api/v1/runs", body, format="json", headers={"Idempotency-Key": "odd-plan"}
    )
    assert response.status_code == 422, response.json()
    refused = response.json()["errors"]
    assert set(refused) == set(errors)
    for place, said in errors.items():
        assert said is None or refused[place] == said
    assert "Value error" not in response.content.decode()
    assert not response.json()["detail"].startswith(":")
