"""The ledger over the API: what members read and check, what agents witness, what nobody else sees."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction

from federation.ledger import merkle, notes
from federation.protocol_ledger import CheckpointOut
from hub.common.api.problems import problem_of
from hub.federations.models import Federation
from hub.ledger import exporting, selectors
from hub.ledger.models import Cosignature, EntryType, Head
from hub.ledger.services import append, settle
from hub.ledger.signing import sign
from hub.organisations.models import Agent
from tests.conftest import Person
from tests.factories.organisations import AgentFactory
from tests.signing import SignedClient

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder(settings: Any, tmp_path: Path) -> None:
    settings.LEDGER_FOLDER = tmp_path / "memory"


@pytest.fixture
def agent(blaise: Person, federation: Federation) -> Agent:
    made: Agent = AgentFactory(organisation=blaise.organisation, name="vault-1")
    append(
        ledger=federation.pk,
        type=EntryType.KEY_ENROLLED,
        key=f"key:key.enrolled:{made.key_id}",
        payload={"key_id": made.key_id},
    )
    settle(ledger=federation.pk, key=f"key:key.enrolled:{made.key_id}")
    return made


@pytest.fixture
def client(agent: Agent) -> SignedClient:
    return SignedClient(agent)


def grow(ledger: UUID, to: int) -> None:
    for number in range(selectors.size_of(ledger), to):
        append(ledger=ledger, type=EntryType.CORRECTION, key=f"act:{number}", payload={"n": number})
        settle(ledger=ledger, key=f"act:{number}")


def of(federation: Federation, *rest: object) -> str:
    return "/".join([f"/api/v1/federations/{federation.pk}/ledger", *map(str, rest)])


def for_agents(federation: Federation, what: str) -> str:
    return f"/api/v1/agent/ledgers/{federation.pk}/{what}"


@pytest.mark.parametrize(
    "path", ["entries", "entries/0", "checkpoints", "consistency?from=1&to=2", "export"]
)
def test_a_foreign_ledger_is_not_there(federation: Federation, carol: Person, path: str) -> None:
    grow(federation.pk, 2)
    answer = carol.api.get(of(federation, path))
    absent = carol.api.get(of(Federation(), path))
    assert (answer.status_code, absent.status_code) == (404, 404)
    assert told(answer) == told(absent)


def told(answer: Any) -> dict[str, Any]:
    return {name: text for name, text in answer.json().items() if name != "request_id"}


def test_entries_come_in_order_by_type_and_after_an_index(
    federation: Federation, blaise: Person, django_assert_max_num_queries
) -> None:
    grow(federation.pk, 5)
    append(ledger=federation.pk, type=EntryType.CASE_OPENED, key="case", payload={})
    settle(ledger=federation.pk, key="case")
    with django_assert_max_num_queries(10):
        found = blaise.api.get(of(federation, "entries")).json()["results"]
    assert [row["index"] for row in found] == list(range(len(found)))
    assert found[-2]["payload"] == {"n": 4}
    later = blaise.api.get(of(federation, "entries?after=3")).json()["results"]
    assert later == found[4:]
    cases = blaise.api.get(of(federation, "entries?type=case.opened")).json()["results"]
    assert cases == found[-1:]
    assert blaise.api.get(of(federation, "entries?type=nothing")).status_code == 400


def test_an_entry_comes_with_its_proof(federation: Federation, blaise: Person) -> None:
    grow(federation.pk, 7)
    assert blaise.api.get(of(federation, "entries/2")).json()["proof"] is None
    sign(ledger=federation.pk)
    grow(federation.pk, 9)
    sign(ledger=federation.pk)
    for path, size in (("entries/2", 9), ("entries/2?size=7", 7)):
        entry = blaise.api.get(of(federation, path)).json()
        assert entry["size"] == size
        merkle.verify_inclusion(
            index=2,
            size=size,
            leaf=merkle.leaf_hash(entry["text"].encode()),
            proof=[bytes.fromhex(step) for step in entry["proof"]],
            root=bytes.fromhex(entry["root"]),
        )
    assert blaise.api.get(of(federation, "entries/2?size=8")).status_code == 422
    assert blaise.api.get(of(federation, "entries/2?size=-8")).status_code == 400
    assert blaise.api.get(of(federation, "entries/900")).status_code == 404


def test_one_size_follows_from_another(federation: Federation, blaise: Person) -> None:
    grow(federation.pk, 9)
    found = blaise.api.get(of(federation, "consistency?from=4&to=9")).json()
    merkle.verify_consistency(
        old=4,
        new=9,
        old_root=bytes.fromhex(found["old_root"]),
        new_root=bytes.fromhex(found["new_root"]),
        proof=[bytes.fromhex(step) for step in found["proof"]],
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("from=0&to=3", 422),
        ("from=3&to=2", 422),
        ("from=1&to=99", 422),
        ("from=1&to=9007199254740993", 422),
        ("from=1&to=99999999999999999", 400),
        ("from=-1&to=3", 400),
        ("from=x&to=3", 400),
        ("to=3", 400),
    ],
)
def test_what_proves_nothing_is_refused(
    federation: Federation, blaise: Person, query: str, status: int
) -> None:
    grow(federation.pk, 3)
    assert blaise.api.get(of(federation, f"consistency?{query}")).status_code == status


@pytest.mark.django_db(transaction=True)
def test_the_export_has_everything_once(
    federation: Federation, blaise: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PIECE", 3)
    for number in range(3):
        with transaction.atomic():
            grow(federation.pk, 4 + 3 * number)
        sign(ledger=federation.pk)
    with transaction.atomic():
        grow(federation.pk, 12)
    answer = blaise.api.get(of(federation, "export"))
    assert answer["Content-Type"] == "application/jsonl"
    lines = [json.loads(line) for line in content_of(answer).splitlines()]
    entries = [line for line in lines if "entry" in line]
    assert [line["entry"]["index"] for line in entries] == list(range(12))
    assert [
        notes.parse_checkpoint(notes.parse_note(line["checkpoint"]).text).size
        for line in lines
        if "checkpoint" in line
    ] == [4, 7, 10]
    assert lines[-1] == {"ledger_key": str(selectors.verifier_key())}


def content_of(response: Any) -> bytes:
    async def read() -> bytes:
        return b"".join([block async for block in response.streaming_content])

    return asyncio.run(read())


def shown(client: SignedClient, federation: Federation, query: str = "") -> CheckpointOut:
    answer = client.send("GET", for_agents(federation, f"checkpoint{query}"))
    assert answer.status_code == 200, answer.content
    return CheckpointOut.model_validate_json(answer.content)


def test_an_agent_is_shown_what_it_can_check(federation: Federation, client: SignedClient) -> None:
    grow(federation.pk, 5)
    sign(ledger=federation.pk)
    first = shown(client, federation)
    assert (first.size, first.consistency, first.inclusion) == (5, (), None)
    key = notes.parse_verifier_key(first.ledger_key)
    origin = notes.origin_of(key.name, federation.pk)
    kept = notes.verify_checkpoint(first.note, key, origin=origin)
    grow(federation.pk, 11)
    sign(ledger=federation.pk)
    second = shown(client, federation, "?from=5&covers=8")
    newer = notes.verify_checkpoint(second.note, key, origin=origin)
    merkle.verify_consistency(
        old=5,
        new=11,
        old_root=kept.root,
        new_root=newer.root,
        proof=[bytes.fromhex(step) for step in second.consistency],
    )
    assert second.inclusion
    merkle.verify_inclusion(
        index=8,
        size=11,
        leaf=merkle.leaf_hash(second.inclusion.entry.encode()),
        proof=[bytes.fromhex(step) for step in second.inclusion.proof],
        root=newer.root,
    )


def test_what_is_not_signed_yet_is_pending(federation: Federation, client: SignedClient) -> None:
    grow(federation.pk, 5)
    for query in ("", "?covers=4", "?from=5"):
        answer = client.send("GET", for_agents(federation, f"checkpoint{query}"))
        assert (answer.status_code, answer.json()["code"]) == (409, "checkpoint_pending")
        assert answer["Retry-After"] == "1"
    for query in ("?covers=5", "?from=6"):
        answer = client.send("GET", for_agents(federation, f"checkpoint{query}"))
        assert (answer.status_code, answer.json()["code"]) == (422, "no_such_tree")
    assert client.send("GET", for_agents(federation, "checkpoint?from=x")).status_code == 400


def test_a_foreign_agent_is_shown_nothing(federation: Federation, carol: Person) -> None:
    stranger = SignedClient(AgentFactory(organisation=carol.organisation, name="spy"))
    grow(federation.pk, 5)
    sign(ledger=federation.pk)
    assert stranger.send("GET", for_agents(federation, "checkpoint")).status_code == 404
    said = {"size": 5, "line": "x"}
    answer = stranger.send("POST", for_agents(federation, "cosignatures"), said)
    assert answer.status_code == 404


def cosigned(
    agent: Agent, federation: Federation, *, size: int, ago: timedelta = timedelta()
) -> dict[str, object]:
    origin = selectors.origin_of(federation.pk)
    checkpoint = notes.Checkpoint(origin, size, selectors.root_at(federation.pk, size))
    name = notes.witness_name(origin, agent.key_id)
    line = notes.cosign(agent.private_key, checkpoint, name=name, at=datetime.now(UTC) - ago)
    return {"size": size, "line": line}


def test_an_agent_cosigns_once_and_everybody_sees_it(
    federation: Federation, agent: Agent, client: SignedClient, blaise: Person
) -> None:
    grow(federation.pk, 5)
    sign(ledger=federation.pk)
    for _ in range(2):
        said = cosigned(agent, federation, size=5)
        answer = client.send("POST", for_agents(federation, "cosignatures"), said)
        assert answer.status_code == 201
    row = Cosignature.objects.get()
    found = blaise.api.get(of(federation, "checkpoints")).json()["results"][0]
    assert found["witnesses"] == [str(row.participation)]
    assert notes.parse_note(found["note"]).signatures[1].name.endswith(agent.key_id)


def test_a_wrong_cosignature_is_not_kept(
    federation: Federation, agent: Agent, client: SignedClient
) -> None:
    grow(federation.pk, 5)
    sign(ledger=federation.pk)
    good = cosigned(agent, federation, size=5)
    late = cosigned(agent, federation, size=5, ago=timedelta(hours=1))
    for said in (
        {**good, "line": "— x y"},
        {**good, "line": cosigned(agent, federation, size=4)["line"]},
        late,
    ):
        answer = client.send("POST", for_agents(federation, "cosignatures"), said)
        assert (answer.status_code, answer.json()["code"]) == (422, "cosignature_wrong")
    answer = client.send("POST", for_agents(federation, "cosignatures"), {**good, "size": 4})
    assert answer.json()["code"] == "no_such_tree"
    assert not Cosignature.objects.exists()


def test_an_agent_whose_key_the_ledger_does_not_know_cannot_cosign(
    federation: Federation, ada: Person
) -> None:
    agent = AgentFactory(organisation=ada.organisation, name="new")
    grow(federation.pk, 5)
    sign(ledger=federation.pk)
    said = cosigned(agent, federation, size=5)
    answer = SignedClient(agent).send("POST", for_agents(federation, "cosignatures"), said)
    assert answer.json()["code"] == "cosignature_wrong"


@pytest.mark.django_db(transaction=True)
def test_a_ledger_that_is_stopped_before_the_commit_is_said_to_be(federation: Federation) -> None:
    with transaction.atomic():
        grow(federation.pk, 1)
    with pytest.raises(IntegrityError) as refused:
        _stopped_meanwhile(federation.pk)
    problem = problem_of(refused.value)
    assert (problem.status, problem.code) == (503, "ledger_stopped")
    assert not Head.objects.filter(ledger=federation.pk, stopped="ledger_damaged").exists()


@transaction.atomic
def _stopped_meanwhile(ledger: UUID) -> None:
    append(ledger=ledger, type=EntryType.CORRECTION, key="act:1", payload={})
    Head.objects.filter(ledger=ledger).update(stopped="ledger_damaged")


def test_a_stopped_ledger_stops_what_counts(federation: Federation, blaise: Person) -> None:
    grow(federation.pk, 1)
    Head.objects.filter(ledger=federation.pk).update(stopped="ledger_damaged")
    place = federation.participations.get(organisation=blaise.organisation)
    answer = blaise.api.post(f"/api/v1/participations/{place.pk}/leave", {"reason": "enough"})
    assert (answer.status_code, answer.json()["code"]) == (503, "ledger_stopped")
    place.refresh_from_db()
    assert place.state == "active"
