"""Federations of before get a ledger: who takes part now, under which charter, with which keys.

What happened before is not told again: nobody could have seen it then.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db import migrations

from federation.ledger.entries import canonical, time_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Told = tuple[str, str, dict[str, Any]]  # type, key, payload


def begin(apps: Any, _: object) -> None:
    entries = apps.get_model("ledger", "Entry").objects
    for federation in apps.get_model("federations", "Federation").objects.order_by("created_at"):
        places = federation.participations.filter(state="active").order_by("created_at")
        for kind, key, payload in _told(apps, federation, list(places)):
            if not entries.filter(ledger=federation.pk, key=key).exists():
                entries.create(ledger=federation.pk, type=kind, key=key, payload=canonical(payload))


def _told(apps: Any, federation: Any, places: list[Any]) -> Iterator[Told]:
    lead = next((str(place.pk) for place in places if place.standing == "lead"), None)
    yield (
        "federation.founded",
        f"federation:{federation.pk}",
        {
            "federation": str(federation.pk),
            "base_model": str(federation.base_model_id),
            "charter_digest": hashlib.sha256(federation.charter.encode()).hexdigest(),
            "lead": lead,
            "since": time_of(datetime.now(UTC)),
        },
    )
    for place in places:
        yield from _admitted(place)
        yield from _keys(apps, place)


def _admitted(place: Any) -> Iterator[Told]:
    signed = {"charter_digest": place.charter_digest, "signed_at": time_of(place.signed_at)}
    signing, admission = _micros(place.signed_at), _micros(place.state_changed_at)
    yield "charter.signed", f"charter:{place.pk}:{signing}", {**_who(place), **signed}
    admitted = {**_who(place), "standing": place.standing}
    yield "participation.admitted", f"participation:{place.pk}:admitted:{admission}", admitted


def _keys(apps: Any, place: Any) -> Iterator[Told]:
    agents = apps.get_model("organisations", "Agent").objects
    for agent in agents.filter(organisation=place.organisation_id).order_by("created_at", "pk"):
        who = {**_who(place), "agent": str(agent.pk)}
        keys = list(agent.keys.order_by("created_at", "pk"))
        for key in keys[:1]:
            yield "key.enrolled", f"key:key.enrolled:{key.key_id}", {**who, **_life(key)}
        for old, key in pairwise(keys):
            replaced = {"replaces": old.key_id, "replaced_until": time_of(old.expires_at)}
            yield "key.rotated", f"key:key.rotated:{key.key_id}", {**who, **_life(key), **replaced}
        for key in keys if agent.state != "active" else ():
            if key.expires_at is None or key.expires_at > agent.state_changed_at:
                ended = {"key_id": key.key_id, "valid_until": time_of(agent.state_changed_at)}
                yield "key.revoked", f"key:key.revoked:{key.key_id}", {**who, **ended}


def _life(key: Any) -> dict[str, str]:
    return {
        "key_id": key.key_id,
        "public_key": b64encode(bytes(key.public_key)).decode(),
        "valid_from": time_of(key.created_at),
    }


def _who(place: Any) -> dict[str, str]:
    return {"participation": str(place.pk), "organisation": str(place.organisation_id)}


def _micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


class Migration(migrations.Migration):
    dependencies = [
        ("federations", "0003_declarations"),
        ("ledger", "0003_log"),
        ("organisations", "0003_agent_policy"),
    ]

    # Backwards, the entries stay: they never change, and cannot be deleted.
    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
