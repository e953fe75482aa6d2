"""A new key in the old one's place: the old one asks for it, the new one proves itself.

The new key is on disk before the hub hears of it, and takes the old one's name only once the hub
has confirmed it. Killed in between, the agent asks again at its next start: for a day both keys
are good, and after that the new one is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from agent.answers import message_of
from agent.client import HubClient
from agent.enrolment import origin
from agent.errors import AgentFault, Away, Refused
from agent.files import lock
from agent.home import Home, Identity
from agent.retries import FOR_EVER
from federation.failpoints import failpoint
from federation.protocol import KeyIn, KeyOut
from federation.signatures import key_id, public_key_of, sign_bytes

logger = logging.getLogger(__name__)

LABEL: Final = "fl-rotate-v1"
KEYS = "/api/v1/agent/keys"
DAYS_OF_USE = 90
LOOK_SECONDS = 600.0  # between two looks at the key's age
DAY_SECONDS = 86_400


async def rotate(home: Home, *, patience: float = FOR_EVER) -> tuple[Identity, KeyOut]:
    """Give the agent a new key, or finish a rotation that was cut short.

    Raises AgentFault, Refused, Away; after each of them it can be called again.
    """
    with _alone(home):
        answer = await _asked(home, patience)
        identity = home.adopt_next_key()
    logger.info("key rotated", extra={"key": identity.key_id, "replaces": answer.replaces})
    return identity, answer


async def finish(home: Home, stop: asyncio.Event) -> None:
    """Finish a rotation that was cut short, before any other request; or stop waiting for it."""
    if not home.next_key_file.exists():
        home.name_key()
        return
    rotating = asyncio.create_task(rotate(home))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({rotating, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if rotating.done():
        rotating.result()
    rotating.cancel()


async def keep_fresh(home: Home) -> None:
    """Rotate the key whenever it gets too old; for ever."""
    while True:
        if is_due(home):
            try:
                await rotate(home, patience=LOOK_SECONDS)
            except (AgentFault, Away, Refused) as cause:
                logger.warning("key not rotated", extra={"cause": str(cause)})
        await asyncio.sleep(LOOK_SECONDS)


def is_due(home: Home) -> bool:
    """Whether the key has been in use for too long, or its rotation was cut short."""
    return home.next_key_file.exists() or key_age_days(home) >= DAYS_OF_USE


def key_age_days(home: Home) -> float:
    return (time.time() - home.key_file.stat().st_mtime) / DAY_SECONDS


async def _asked(home: Home, patience: float) -> KeyOut:
    """Ask with the old key; once that is no longer good, the new one must have been accepted."""
    failpoint("K01", "before")
    old, new = home.private_key(), home.next_key()
    failpoint("K01", "after")
    message = _message(home.identity(), old, new)
    try:
        return await _posted(home, old, message, patience)
    except Refused as refusal:
        if refusal.code != "unknown_key":
            raise
    return await _posted(home, new, message, patience)


async def _posted(home: Home, key: bytes, message: KeyIn, patience: float) -> KeyOut:
    failpoint("K02", "before")
    async with HubClient(home.identity().hub, key) as hub:
        response = await hub.post(KEYS, message, patience=patience)
    failpoint("K02", "after")
    return message_of(KeyOut, response)


def _message(identity: Identity, old: bytes, new: bytes) -> KeyIn:
    replaces = key_id(public_key_of(old))
    public = b64encode(public_key_of(new)).decode()
    payload = "\n".join((origin(identity.hub), str(identity.agent), replaces, public))
    signature = sign_bytes(new, LABEL, payload.encode())
    return KeyIn(replaces=replaces, public_key=public, signature=signature)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """One rotation at a time: the running agent's own, or a command's."""
    with (home.folder / "key.lock").open("w") as file:
        if not lock(file, seconds=0):
            raise AgentFault("The key is being rotated already.")
        yield
