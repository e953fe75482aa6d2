"""What must answer before the hub may take requests."""

from __future__ import annotations

import dataclasses
from functools import partial

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from health_check.base import HealthCheck
from health_check.checks import Database
from health_check.contrib.redis import Redis
from health_check.exceptions import ServiceUnavailable
from redis.asyncio import Redis as RedisClient

SECONDS = 2


@dataclasses.dataclass
class Migrations(HealthCheck):  # type: ignore[misc]
    """Whether the database has the shape that this code expects. Once it has, it keeps it."""

    applied = False

    async def run(self) -> None:
        if not type(self).applied:
            type(self).applied = await sync_to_async(self.are_applied)()
        if not type(self).applied:
            raise ServiceUnavailable("migrations wait to be applied")

    def are_applied(self) -> bool:
        try:
            executor = MigrationExecutor(connection)
        except Error as away:
            raise ServiceUnavailable("the database does not answer") from away
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def checks() -> dict[str, HealthCheck]:
    """Every check under the name that the answer has for it."""
    client = partial(
        RedisClient.from_url,
        settings.REDIS_URL,
        socket_timeout=SECONDS,
        socket_connect_timeout=SECONDS,
    )
    return {
        "database": Database(),
        "migrations": Migrations(),
        "redis": Redis(client_factory=client),
    }
