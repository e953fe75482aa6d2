"""The API against its own description: whatever one sends, the answer is one that is described.

Each operation is asked some times in the suite, with names that exist and names that do not;
`FOEDUS_FUZZ=200` asks it as often as that. Nothing of what is asked stays.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
import schemathesis
from django.core.cache import cache
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.seeded import Seeded, bearer, ids_of
from tests.api.walking import content_of
from tests.signing import SignedClient

pytestmark = pytest.mark.django_db

HOST = "http://testserver"


@schemathesis.serializer("application/offset+octet-stream")
def as_it_is(_: Any, value: Any) -> bytes:
    """A part of an upload."""
    return value if isinstance(value, bytes) else str(value).encode()


EXAMPLES = int(os.environ.get("FOEDUS_FUZZ", "4"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
# Said by what stands before every view: methods, sizes, addresses.
GUARDS = {405, 411, 414, 415, 431}
DESCRIBED = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs" / "openapi.yaml")
OPERATIONS = [found.ok() for found in DESCRIBED.get_all_operations()]


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: Any) -> Iterator[Seeded]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield Seeded()
        transaction.set_rollback(True)


class Caller:
    """Asks as the owner of the federation's lead, or as its agent."""

    def __init__(self, world: Seeded) -> None:
        self.names = ids_of(world, world.lead)
        self.person = bearer(world.lead.owner)
        self.agent = SignedClient(world.lead.agent)

    def ask(self, case: Any, *, really: bool) -> Response:
        """With names of things that are there, where `really`."""
        if really:
            case.path_parameters = self._named(case)
        asked = requests.Request(**case.as_transport_kwargs(base_url=HOST)).prepare()
        begun = time.monotonic()
        answer = self._sent(case, asked)
        headers = {name: [value] for name, value in answer.headers.items()}
        content = content_of(answer)
        return Response(
            answer.status_code, headers, content, asked, time.monotonic() - begun, verify=False
        )

    def _named(self, case: Any) -> dict[str, Any]:
        words = re.findall(r"/([\w-]+)/\{(\w+)\}", case.operation.path)
        known = {name: self.names[word] for word, name in words if word in self.names}
        return {**(case.path_parameters or {}), **known}

    def _sent(self, case: Any, asked: requests.PreparedRequest) -> Any:
        body = asked.body or b""
        body = body.encode() if isinstance(body, str) else body
        kept = transaction.savepoint()
        try:
            if "/agent/" in case.operation.path:
                return self._signed(asked, body)
            said = {name: value for name, value in asked.headers.items() if name not in OWN}
            kind = asked.headers.get("Content-Type") or "application/json"
            return self.person.generic(asked.method, asked.path_url, body, kind, headers=said)
        finally:
            transaction.savepoint_rollback(kept)

    def _signed(self, asked: requests.PreparedRequest, body: bytes) -> Any:
        key = asked.headers.get("Idempotency-Key") or str(uuid4())
        return self.agent.send(asked.method, asked.path_url, body, idempotency_key=key)


def _shortly(failure: BaseException) -> str:
    parts = failure.exceptions if isinstance(failure, BaseExceptionGroup) else (failure,)
    return " | ".join(str(part)[:400] for part in parts)


OWN = {"Authorization", "Cookie", "Content-Type", "Content-Length", "User-Agent", "Accept"}


def test_every_answer_is_one_that_is_described(world: Seeded) -> None:
    caller, asked, wrong = Caller(world), 0, {}
    for operation in OPERATIONS:
        cache.clear()  # of limits

        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def tried(case: Any) -> None:
            nonlocal asked
            asked += 1
            answer = caller.ask(case, really=asked % 2 == 0)
            if answer.status_code not in GUARDS:
                case.validate_response(answer, checks=CHECKS)

        try:
            tried()
        except (Exception, FailureGroup) as failure:  # noqa: BLE001 (shown all together)
            wrong[operation.label] = _shortly(failure)
    print(f"{len(OPERATIONS)} operations, asked {asked} times")
    assert wrong == {}
