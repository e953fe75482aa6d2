"""What lies outside the database: the queues, Redis, and the disk under the blobs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import redis
from django.conf import settings
from kombu.exceptions import OperationalError

from hub.common.errors import DependencyDown
from hub.dispatch import LAST, Job, producer

PRIORITY_SEPARATOR = "\x06\x16"  # of the transport, between a queue's name and a priority
QUEUES = tuple(sorted({job.partition(".")[0] for job in Job}))
SECONDS = 2.0  # an overview does not wait for a service that is away


def queue_lengths() -> Mapping[str, int]:
    """Messages that wait in each of the workers' queues.

    Raises:
        DependencyDown: the broker does not answer.
    """
    try:
        with producer().connection_for_read() as broker:
            client = broker.channel().client  # type: ignore[attr-defined]  # of the Redis transport
            return {queue: _length(client, queue) for queue in QUEUES}
    except (OperationalError, redis.RedisError, OSError) as away:
        raise DependencyDown("the broker does not answer") from away


def _length(client: redis.Redis, queue: str) -> int:
    """Of both lists that the Redis transport keeps: what comes first, and what comes last."""
    names = (queue, f"{queue}{PRIORITY_SEPARATOR}{LAST}")
    return sum(int(client.llen(name)) for name in names)


@dataclass(frozen=True, slots=True)
class Redis:
    version: str
    bytes: int
    clients: int


def redis_health() -> Redis:
    """How the Redis of cache and wake-ups is.

    Raises:
        DependencyDown: it does not answer.
    """
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=SECONDS, socket_connect_timeout=SECONDS
    )
    try:
        with client:
            facts = client.info()
    except redis.RedisError as away:
        raise DependencyDown("Redis does not answer") from away
    return Redis(
        version=str(facts.get("valkey_version") or facts["redis_version"]),
        bytes=int(facts["used_memory"]),
        clients=int(facts["connected_clients"]),
    )


@dataclass(frozen=True, slots=True)
class Disk:
    bytes: int
    free_bytes: int

    @property
    def used_bytes(self) -> int:
        return self.bytes - self.free_bytes

    @property
    def used_percent(self) -> int:
        return round(100 * (1 - self.free_bytes / self.bytes))


def blob_disk() -> Disk | None:
    """The disk that blobs lie on; nothing where they lie in a bucket."""
    if settings.BLOB_BUCKET:
        return None
    folder = Path(settings.BLOB_FOLDER)
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    return Disk(bytes=usage.total, free_bytes=usage.free)
