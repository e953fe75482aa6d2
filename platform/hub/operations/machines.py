"""What lies outside the database: the queues, Redis, and the disk under the blobs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from kombu.exceptions import OperationalError

from hub.common.errors import DependencyDown
from hub.dispatch import LAST, SENT_HEADER, Job, producer

PRIORITY_SEPARATOR = "\x06\x16"  # of the transport, between a queue's name and a priority
QUEUES = tuple(sorted({job.partition(".")[0] for job in Job}))
SLOW_SHOWN = 5
SECONDS = 2.0  # an overview does not wait for a service that is away


@dataclass(frozen=True, slots=True)
class Queue:
    """One of the workers' queues, and the job in it that was sent first, if that is known."""

    name: str
    length: int
    oldest_job: str = ""
    oldest_at: datetime | None = None


def queue_lengths() -> Mapping[str, int]:
    """Messages that wait in each of the workers' queues.

    Raises:
        DependencyDown: the broker does not answer.
    """
    return {queue.name: queue.length for queue in queues()}


def queues() -> list[Queue]:
    """The same with the oldest message of each.

    Raises:
        DependencyDown: the broker does not answer.
    """
    with _broker() as client:
        return [_queue(client, name) for name in QUEUES]


@contextmanager
def _broker() -> Iterator[redis.Redis]:
    try:
        with producer().connection_for_read() as broker:
            yield broker.channel().client  # type: ignore[attr-defined]  # of the Redis transport
    except (OperationalError, redis.RedisError, OSError) as away:
        raise DependencyDown("The broker does not answer.") from away


def _queue(client: redis.Redis, name: str) -> Queue:
    """Both lists that the Redis transport keeps: what comes first, and what comes last.

    Workers take from the right end, so the oldest message is there.
    """
    lists = (name, f"{name}{PRIORITY_SEPARATOR}{LAST}")
    length = sum(int(client.llen(one)) for one in lists)
    oldest = [_told(text) for one in lists if (text := client.lindex(one, -1))]
    oldest.sort(key=lambda told: told[1] or datetime.max.replace(tzinfo=UTC))
    return Queue(name, length, *(oldest[0] if oldest else ()))


def _told(message: bytes | str) -> tuple[str, datetime | None]:
    """The job of a message and when it was sent; anybody may have put it there."""
    try:
        headers = json.loads(message)["headers"]
        sent = headers.get(SENT_HEADER)
        return str(headers["task"])[:80], datetime.fromisoformat(sent) if sent else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return "unreadable", None


@dataclass(frozen=True, slots=True)
class Redis:
    version: str
    bytes: int
    peak_bytes: int
    most_bytes: int  # 0: no limit
    clients: int
    commands: int  # a second
    evicted: int
    slow: tuple[str, ...]  # the last slow commands, by their names


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
            return _health(client)
    except redis.RedisError as away:
        raise DependencyDown("Redis does not answer.") from away


def broker_health() -> Redis:
    """How the Redis of the jobs is.

    Raises:
        DependencyDown: it does not answer.
    """
    with _broker() as client:
        return _health(client)


def _health(client: redis.Redis) -> Redis:
    facts = client.info()
    slow = client.slowlog_get(SLOW_SHOWN)
    return Redis(
        version=str(facts.get("valkey_version") or facts["redis_version"]),
        bytes=int(facts["used_memory"]),
        peak_bytes=int(facts["used_memory_peak"]),
        most_bytes=int(facts.get("maxmemory", 0)),
        clients=int(facts["connected_clients"]),
        commands=int(facts["instantaneous_ops_per_sec"]),
        evicted=int(facts["evicted_keys"]),
        slow=tuple(_slow_words(one) for one in slow),
    )


def _slow_words(one: Mapping[str, Any]) -> str:
    """«LPUSH 12 ms»; what it was about is nobody's business here."""
    name = bytes(one["command"]).split(b" ", 1)[0].decode(errors="replace")[:20]
    return f"{name} {one['duration'] / 1000:.0f} ms"


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
