from __future__ import annotations

import base64
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from federation.protocol import KeyIn
from federation.signatures import generate_private_key, key_id, public_key_of, sign_bytes
from hub.common.actors import HUB
from hub.common.models import Event, OutboxMessage
from hub.dispatch import Job
from hub.organisations import errors, services
from hub.organisations.models import Agent, AgentKey
from hub.organisations.selectors import agent_key, history_of, key_in_force
from tests.conftest import Person
from tests.factories.organisations import AgentFactory
from tests.hub.organisations.test_enrolment import SMALL

pytestmark = pytest.mark.django_db


def successor(agent: Agent, private_key: bytes, **changes: str) -> KeyIn:
    """What a site sends; `changes` are made after signing."""
    public = base64.b64encode(public_key_of(private_key)).decode()
    said = {"replaces": agent.key_id, "public_key": public}
    payload = "\n".join([settings.PUBLIC_URL, str(agent.pk), agent.key_id, public])
    signature = sign_bytes(private_key, "fl-rotate-v1", payload.encode())
    return KeyIn(**{**said, "signature": signature, **changes})


def rotate(agent: Agent, message: KeyIn, signed_by: str = "") -> AgentKey:
    return services.rotate_key(agent=agent, signed_by=signed_by or agent.key_id, message=message)


@pytest.fixture
def agent(ada: Person) -> Agent:
    return AgentFactory(organisation=ada.organisation, name="vault-1")


@pytest.fixture
def new() -> bytes:
    return generate_private_key()


def test_both_keys_are_good_for_a_day(agent: Agent, new: bytes):
    old = rotate(agent, successor(agent, new))
    agent.refresh_from_db()
    assert agent.key_id == key_id(public_key_of(new))
    assert old.expires_at is not None
    assert abs(old.expires_at - timezone.now() - timedelta(hours=24)) < timedelta(minutes=1)
    assert all(key_in_force(agent, name) for name in (old.key_id, agent.key_id))
    AgentKey.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    assert key_in_force(agent, old.key_id) is None


def test_a_key_is_found_with_its_agent_in_one_query(
    agent: Agent, new: bytes, django_assert_num_queries
):
    old = rotate(agent, successor(agent, new))
    with django_assert_num_queries(1):
        found = agent_key(old.key_id)
        assert found is not None
        assert found.agent.organisation == agent.organisation


def test_rotating_twice_is_rotating_once(agent: Agent, new: bytes):
    message, before = successor(agent, new), agent.key_id
    first = rotate(agent, message)
    again = rotate(agent, message, signed_by=before)
    by_the_new = rotate(agent, message, signed_by=key_id(public_key_of(new)))
    assert first.expires_at == again.expires_at == by_the_new.expires_at
    assert Event.objects.filter(kind="agent.key_rotated").count() == 1
    assert history_of(agent)[0].sentence.endswith("has a new key.")


def test_a_key_that_was_given_up_cannot_take_the_agent_back(agent: Agent, new: bytes):
    before, thief = agent.key_id, generate_private_key()
    of_old = successor(agent, thief)
    rotate(agent, successor(agent, new))
    agent.refresh_from_db()
    for message in (of_old, successor(agent, thief)):
        with pytest.raises(errors.KeyRotated):
            rotate(agent, message, signed_by=before)


@pytest.mark.parametrize("encoding", SMALL)
def test_no_agent_gets_a_key_of_small_order(agent: Agent, new: bytes, encoding: str):
    key = base64.b64encode(bytes.fromhex(encoding)).decode()
    with pytest.raises(errors.BadPublicKey):
        rotate(agent, successor(agent, new, public_key=key))
    agent.refresh_from_db()
    assert agent.keys.count() == 1


@pytest.mark.parametrize("what", ["key", "agent", "hub", "replaced"])
def test_the_new_key_proves_itself_for_this_step_alone(agent: Agent, new: bytes, settings, what):
    message = successor(agent, new)
    if what == "key":
        theirs = base64.b64encode(public_key_of(generate_private_key())).decode()
        message = successor(agent, new, public_key=theirs)
    elif what == "agent":
        message = successor(AgentFactory(), new)
    elif what == "hub":
        settings.PUBLIC_URL = "https://other.example"
    else:
        message = successor(agent, new, replaces="0" * 64)
    with pytest.raises(errors.BadProof):
        rotate(agent, message)


def test_a_known_key_is_no_new_key(agent: Agent):
    own = agent.private_key
    with pytest.raises(errors.KeyKnown):
        rotate(agent, successor(agent, AgentFactory().private_key))
    with pytest.raises(errors.KeyKnown):
        rotate(agent, successor(agent, own))
    agent.refresh_from_db()
    assert agent.key_id == key_id(public_key_of(own))


def test_nobody_piles_up_keys(agent: Agent):
    for _ in range(4):
        rotate(agent, successor(agent, generate_private_key()))
        agent.refresh_from_db()
    with pytest.raises(errors.TooManyKeys):
        rotate(agent, successor(agent, generate_private_key()))
    assert agent.keys.count() == 5


def test_leaving_twice_is_leaving_once(agent: Agent):
    for _ in range(2):
        assert services.leave(agent=agent, reason="sold").state == "left"
    services.revoke_agent(agent_id=agent.pk, actor=HUB)
    assert Event.objects.get(subject_id=agent.pk).kind == "agent.left"
    assert OutboxMessage.objects.get(job=Job.RETIRE_AGENT).arguments == [str(agent.pk)]
    assert "left for good: sold" in history_of(agent)[0].sentence


@pytest.mark.django_db(transaction=True)
def test_of_two_successors_at_once_one_comes(agent: Agent):
    start, refused = Barrier(4), []

    def ask() -> None:
        message = successor(agent, generate_private_key())
        start.wait()
        try:
            rotate(agent, message)
        except errors.KeyRotated as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (AgentKey.objects.filter(agent=agent).count(), len(refused)) == (2, 3)
