"""What tests of the playground share: a version that can be tried, and the worker's part."""

from __future__ import annotations

from pathlib import Path

import redis
from django.conf import settings
from django.db import connection

from federation.plan import Plan
from hub.accounts.models import User
from hub.catalogue.blobs.artifacts import adopt_copy
from hub.catalogue.models import ModelVersion
from hub.dispatch import producer
from jobs.interactive import answer_question
from tests.agent import tiny
from tests.factories.catalogue import BaseModelFactory, VersionFactory
from tests.factories.federations import FederationFactory

PROMPT = "wave salt harbour canary-5f1c0e77"


def tried(base: Path, adapter: Path) -> ModelVersion:
    """A version of the tiny model that names the sea, the sky or a stone."""
    return version_of(base, adapter, tiny.plan())


def version_of(base: Path, adapter: Path, plan: Plan) -> ModelVersion:
    files = {file.name: file.read_bytes() for file in base.iterdir()}
    return VersionFactory(
        federation=FederationFactory(base_model=BaseModelFactory(files=files)),
        adapter=adopt_copy(path=adapter),
        plan=plan.model_dump(mode="json"),
        plan_digest=plan.digest(),
        rank=plan.adapter.rank,
    )


def lead_of(version: ModelVersion) -> User:
    return version.federation.participations.get().signed_by


def broker() -> redis.Redis:
    url = settings.BROKER_URL.removeprefix("redis+socket://").replace("virtual_host=", "db=")
    return redis.Redis.from_url(f"unix://{url}")


def messages() -> list[list[str]]:
    """The arguments of what was sent to the playground's queue; they are taken from it."""
    with producer().connection_for_read() as link:
        channel, found = link.channel(), []
        while message := channel.basic_get("interactive", no_ack=True):
            found.append(message.decode()[0])
    return found


def work() -> None:
    """A worker does what it was asked to; each message comes twice."""
    for arguments in messages():
        answer_question(*arguments)
        answer_question(*arguments)


def everything_stored() -> str:
    """Every row of every table, and every value of both Redis databases, as text."""
    return "\n".join([*_tables(), *_values(redis.Redis.from_url(settings.REDIS_URL))]) + "\n".join(
        _values(broker())
    )


def _tables() -> list[str]:
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT "{table}"::text FROM "{table}"')
            found += [row[0] for row in cursor.fetchall()]
    return found


def _values(client: redis.Redis) -> list[str]:
    reads = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"hash": client.hgetall,
        b"set": client.smembers,
    }
    with client:
        return [f"{key!r} {reads[client.type(key)](key)!r}" for key in client.scan_iter()]


def forget_everything() -> None:
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.flushdb()
