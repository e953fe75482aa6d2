"""Becoming an agent of an organisation: a one-time code, and a key made here."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from urllib.parse import urlsplit

from agent.answers import message_of
from agent.client import HubClient
from agent.errors import AgentFault, Refused
from agent.home import Home, Identity
from federation.protocol import EnrolmentIn, EnrolmentOut
from federation.signatures import key_id, public_key_of, sign_bytes

LABEL = "fl-enrol-v1"
PATIENCE_SECONDS = 20.0


async def enrol(home: Home, *, url: str, code: str, name: str) -> Identity:
    """Make a key, prove that we hold it, and pin the hub's.

    The same again after a crash gets the same agent. Raises AgentFault, Refused, Away.
    """
    if home.is_enrolled:
        raise AgentFault(f"An agent is enrolled in {home.folder} already: choose another --home.")
    async with HubClient(checked_url(url)) as hub:
        try:
            answer = await _asked(hub, key=home.key_to_enrol(), code=code, name=name)
        except Refused as refusal:
            if refusal.code != "key_known":
                raise
            # An earlier enrolment, by another code, got through without our knowing.
            answer = await _asked(hub, key=home.make_key(), code=code, name=name)
    return _kept(home, hub.hub, name, answer)


def _kept(home: Home, url: str, name: str, answer: EnrolmentOut) -> Identity:
    if answer.key_id != key_id(public_key_of(home.private_key())):
        raise AgentFault("The hub has enrolled another key than ours: ask its operator.")
    identity = Identity(
        hub=url,
        agent=answer.agent,
        name=name,
        organisation=answer.organisation,
        organisation_name=answer.organisation_name,
        key_id=answer.key_id,
        hub_public_key=answer.hub_public_key,
        hub_key_id=answer.hub_key_id,
        ledger_key=answer.ledger_key,
    )
    home.keep_identity(identity)
    return identity


def checked_url(url: str) -> str:
    """Return the hub's address as requests use it; raises AgentFault for what is none."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise AgentFault(f"{url!r} is no address of a hub: it looks like https://hub.example.org")
    return url.rstrip("/")


async def _asked(hub: HubClient, *, key: bytes, code: str, name: str) -> EnrolmentOut:
    message = await _message(hub, key=key, code=code, name=name)
    response = await hub.post(
        "/api/v1/agent/enrolments",
        message,
        key=sha256(message.signature.encode()).hexdigest(),
        patience=PATIENCE_SECONDS,
    )
    return message_of(EnrolmentOut, response)


async def _message(hub: HubClient, *, key: bytes, code: str, name: str) -> EnrolmentIn:
    response = await hub.request("GET", "/api/v1/agent/enrolments/nonce", patience=PATIENCE_SECONDS)
    nonce = str(response.json()["nonce"])
    public = b64encode(public_key_of(key)).decode()
    digest = sha256(code.encode()).hexdigest()
    payload = "\n".join((origin(hub.hub), digest, public, nonce)).encode()
    return EnrolmentIn(
        code=code,
        public_key=public,
        name=name,
        nonce=nonce,
        signature=sign_bytes(key, LABEL, payload),
    )


def origin(url: str) -> str:
    """Scheme and host of the hub: what proofs of possession are bound to."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
