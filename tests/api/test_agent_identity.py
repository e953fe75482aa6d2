"""An agent's own affairs: its standing, a new key, its leave; and what the hub then takes from it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from federation.plan import Plan
from federation.protocol import StandingOut, UploadIn
from federation.signatures import generate_private_key, key_id, public_key_of
from hub.catalogue.models import Upload
from hub.common.actors import HUB
from hub.organisations import services
from hub.organisations.models import AgentKey
from hub.runs.models import Task
from hub.runs.services import begin_update_upload
from jobs.coordination import retire_agent
from tests.conftest import Person
from tests.factories.organisations import AgentFactory
from tests.hub.organisations.test_keys import successor
from tests.hub.runs.world import World, make_world, plan_of
from tests.signing import SignedClient

pytestmark = pytest.mark.django_db

KEYS, LEAVE, STANDING = (f"/api/v1/agent/{name}" for name in ("keys", "leave", "standing"))


@pytest.fixture
def agent(ada: Person):
    return AgentFactory(organisation=ada.organisation, name="vault-1")


@pytest.fixture
def client(agent) -> SignedClient:
    return SignedClient(agent)


@pytest.fixture
def world(tmp_path) -> World:
    return make_world(tmp_path)


def rotated(agent, private_key: bytes):
    """The agent as it is once it knows that its new key counts."""
    agent.refresh_from_db()
    agent.private_key = private_key
    return agent


def test_both_keys_open_the_door_until_the_old_one_expires(agent, client):
    new = generate_private_key()
    answer = client.send("POST", KEYS, successor(agent, new).model_dump())
    assert answer.status_code == 201
    assert answer.json()["replaces"] == agent.key_id
    assert client.send("GET", STANDING).json()["key_id"] == key_id(public_key_of(new))
    AgentKey.objects.filter(key_id=agent.key_id).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )
    refused = client.send("GET", STANDING)
    assert (refused.status_code, refused.json()["code"]) == (401, "unknown_key")
    assert SignedClient(rotated(agent, new)).send("GET", STANDING).status_code == 200


def test_asking_again_is_answered_as_before_by_either_key(agent, client):
    new, message = generate_private_key(), None
    message = successor(agent, new).model_dump()
    answers = [client.send("POST", KEYS, message).json() for _ in range(2)]
    answers.append(SignedClient(rotated(agent, new)).send("POST", KEYS, message).json())
    assert answers[0] == answers[1] == answers[2]
    assert agent.keys.count() == 2


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"public_key": "A" * 43 + "="}, 400, "bad_key"),
        ({"public_key": "!" * 44}, 400, "bad_key"),
        ({"signature": "AAAA"}, 400, "bad_proof"),
        ({"replaces": "0" * 64}, 400, "bad_proof"),
        ({"replaces": "x"}, 422, "invalid"),
    ],
)
def test_a_bad_successor_has_its_code(agent, client, changes, status, code):
    said = successor(agent, generate_private_key()).model_dump() | changes
    refused = client.send("POST", KEYS, said)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert agent.keys.count() == 1


def test_revoking_ends_both_keys(agent, client):
    new = generate_private_key()
    client.send("POST", KEYS, successor(agent, new).model_dump())
    services.revoke_agent(agent_id=agent.pk, actor=HUB)
    old_refused = client.send("GET", STANDING)
    new_refused = SignedClient(rotated(agent, new)).send("GET", STANDING)
    for refused in (old_refused, new_refused):
        assert (refused.status_code, refused.json()["code"]) == (401, "revoked_key")


def test_who_has_left_is_told_so(agent, client, ada: Person):
    assert client.send("POST", LEAVE, {"reason": "sold"}).status_code == 200
    again = client.send("POST", LEAVE, {"reason": "sold"})
    assert (again.status_code, again.json()["code"]) == (401, "agent_left")
    assert ada.api.get(f"/api/v1/agents/{agent.pk}").json()["state"] == "left"


def test_an_agent_learns_its_standing(world: World, django_assert_num_queries):
    run, site = world.start_run(), world.sites[0]
    with django_assert_num_queries(3):  # key, nonce, places
        response = SignedClient(site.agent).send("GET", STANDING)
    said = StandingOut.model_validate_json(response.content)
    assert (said.agent, said.key_id) == (site.agent.pk, site.agent.key_id)
    (place,) = said.places
    assert place.federation == world.federation.slug
    assert place.base.repo == world.federation.base_model.repo
    assert place.plan == plan_of()
    assert isinstance(place.plan, Plan)
    assert place.plan.digest() == run.plan_digest


def test_what_a_departed_agent_held_is_offered_again(world: World):
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    message = UploadIn(fence=offer.fence, sha256="a" * 64, size_bytes=10)
    begin_update_upload(agent=site.agent, task_id=offer.id, message=message)
    retire_agent(str(site.agent.pk))  # an active agent keeps what it has
    assert Task.objects.get(pk=offer.id).state == "leased"
    services.leave(agent=site.agent)
    for _ in range(2):
        retire_agent(str(site.agent.pk))
    task = Task.objects.get(pk=offer.id)
    assert (task.state, task.attempts, task.lease_expires_at) == ("queued", 0, None)
    assert Upload.objects.get().state == "closed"


def test_a_statement_of_the_old_key_counts_while_both_are_good(world: World):
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    client, new = SignedClient(site.agent), generate_private_key()
    client.send("POST", KEYS, successor(site.agent, new).model_dump())
    receipt = world.train(site, offer)  # the site still has the old key
    assert receipt.update
