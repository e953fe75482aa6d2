from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.conf import settings
from django.core.signing import TimestampSigner
from django.db import connection
from django.utils import timezone

from federation.protocol import EnrolmentIn
from federation.signatures import generate_private_key, key_id, public_key_of, sign_bytes
from hub.common.actors import HUB
from hub.common.errors import Forbidden
from hub.organisations import errors, services
from hub.organisations.models import Agent, EnrolmentCode, Role
from tests.conftest import Person
from tests.factories.organisations import AgentFactory, MembershipFactory

pytestmark = pytest.mark.django_db

# The eight points of small order, in the fourteen encodings that some library takes for keys.
SMALL = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def message(code: str, private_key: bytes, **changes: str) -> EnrolmentIn:
    """What a site sends; `changes` are made after signing."""
    said = {
        "code": code,
        "public_key": base64.b64encode(public_key_of(private_key)).decode(),
        "name": "vault-1",
        "nonce": services.new_nonce(),
    }
    digest = hashlib.sha256(code.encode()).hexdigest()
    payload = "\n".join([settings.PUBLIC_URL, digest, said["public_key"], said["nonce"]])
    signature = sign_bytes(private_key, "fl-enrol-v1", payload.encode())
    return EnrolmentIn(**{**said, "signature": signature, **changes})


@pytest.fixture
def code(ada: Person) -> str:
    return services.make_enrolment_code(organisation_id=ada.organisation.pk, user=ada.user)[1]


def test_a_code_lets_one_agent_in(ada: Person, code: str):
    private_key = generate_private_key()
    agent = services.enrol_agent(message=message(code, private_key))
    assert agent.organisation == ada.organisation
    assert agent.key_id == key_id(public_key_of(private_key))
    assert not EnrolmentCode.objects.filter(digest__contains=code).exists()


def test_a_lost_answer_can_be_asked_for_again(code: str):
    private_key = generate_private_key()
    agents = {services.enrol_agent(message=message(code, private_key)).pk for _ in range(2)}
    assert len(agents) == 1 == Agent.objects.count()


def test_a_code_serves_no_second_key(code: str):
    services.enrol_agent(message=message(code, generate_private_key()))
    with pytest.raises(errors.CodeSpent):
        services.enrol_agent(message=message(code, generate_private_key(), name="vault-2"))


def test_a_code_brings_no_revoked_agent_back(code: str):
    private_key = generate_private_key()
    agent = services.enrol_agent(message=message(code, private_key))
    services.revoke_agent(agent_id=agent.pk, actor=HUB, reason="stolen")
    with pytest.raises(errors.CodeSpent):
        services.enrol_agent(message=message(code, private_key))


def test_a_code_is_good_for_a_day(code: str):
    EnrolmentCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(errors.CodeExpired):
        services.enrol_agent(message=message(code, generate_private_key()))


def test_nobody_enrols_with_a_guess(ada: Person):
    with pytest.raises(errors.CodeUnknown):
        services.enrol_agent(message=message("enrol_" + "x" * 43, generate_private_key()))


@pytest.mark.parametrize("encoding", SMALL)
def test_a_key_of_small_order_is_nobodys(code: str, encoding: str):
    key = base64.b64encode(bytes.fromhex(encoding)).decode()
    with pytest.raises(errors.BadPublicKey):
        services.enrol_agent(message=message(code, generate_private_key(), public_key=key))


def test_another_ones_key_needs_their_signature(code: str):
    theirs = base64.b64encode(public_key_of(generate_private_key())).decode()
    with pytest.raises(errors.BadProof):
        services.enrol_agent(message=message(code, generate_private_key(), public_key=theirs))


def test_a_proof_for_another_hub_proves_nothing_here(code: str, settings):
    elsewhere = message(code, generate_private_key())
    settings.PUBLIC_URL = "https://other.example"
    with pytest.raises(errors.BadProof):
        services.enrol_agent(message=elsewhere)


def test_a_nonce_is_of_late_and_ours(code: str):
    private_key = generate_private_key()
    forged = TimestampSigner(salt="elsewhere").sign("x")
    with pytest.raises(errors.BadNonce):
        services.enrol_agent(message=message(code, private_key, nonce=forged))


def test_a_known_key_stays_with_its_agent(code: str):
    private_key = generate_private_key()
    AgentFactory(private_key=private_key)
    with pytest.raises(errors.KeyKnown):
        services.enrol_agent(message=message(code, private_key))


def test_names_of_agents_differ_within_an_organisation(ada: Person, code: str):
    AgentFactory(organisation=ada.organisation, name="vault-1")
    with pytest.raises(errors.AgentNameTaken):
        services.enrol_agent(message=message(code, generate_private_key()))
    agent = services.enrol_agent(message=message(code, generate_private_key(), name="vault-2"))
    with pytest.raises(errors.AgentNameTaken):
        services.rename_agent(agent_id=agent.pk, name="vault-1", user=ada.user)
    renamed = services.rename_agent(agent_id=agent.pk, name="vault-3", user=ada.user)
    assert renamed.name == "vault-3"


def test_only_owners_of_approved_organisations_make_codes(ada: Person):
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST).user
    with pytest.raises(Forbidden):
        services.make_enrolment_code(organisation_id=ada.organisation.pk, user=scientist)
    services.suspend_organisation(organisation_id=ada.organisation.pk, actor=HUB)
    with pytest.raises(errors.NotApproved):
        services.make_enrolment_code(organisation_id=ada.organisation.pk, user=ada.user)


def test_a_nonce_opens_nothing_twice_and_is_forgotten_in_time():
    services.spend_nonce(key_id="k", nonce="n")
    with pytest.raises(errors.ReplayedNonce):
        services.spend_nonce(key_id="k", nonce="n")
    services.spend_nonce(key_id="other", nonce="n")
    assert services.prune_nonces() == 0


def test_an_agent_is_seen_without_a_write_at_every_breath(django_assert_num_queries):
    agent = AgentFactory()
    said = {"version": "0.1.0", "device": "cpu", "federations": ["one"]}
    services.touch_agent(agent=agent, **said)
    agent.refresh_from_db()
    assert (agent.version, agent.federations) == ("0.1.0", ["one"])
    with django_assert_num_queries(0):
        services.touch_agent(agent=agent, **said)
    with django_assert_num_queries(1):
        services.touch_agent(agent=agent, **{**said, "device": "cuda"})


@pytest.mark.django_db(transaction=True)
def test_ten_sites_with_one_code_get_one_agent(ada: Person, code: str):
    start, refused = Barrier(10), []

    def enrol(number: int) -> None:
        said = message(code, generate_private_key(), name=f"vault-{number}")
        start.wait()
        try:
            services.enrol_agent(message=said)
        except errors.CodeSpent as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=enrol, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Agent.objects.count(), len(refused)) == (1, 9)
