"""An S3 server of the tests' own, which notes who asks for what, and breaks off where it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

REGION = "eu-west-1"
# What says who we are, and is nobody's business but the hub's.
OURS = ("AUTHORIZATION", "SIGNATURE", "SIGNATURE_INPUT", "COOKIE", "FOEDUS_PROTOCOL")

LINKED = "X-Amz-Signature"


@dataclass
class Bucket:
    """A new bucket and where it is; `seen` are requests to the whole server.

    `cuts` says after how many bytes the next answers to links break off.
    """

    name: str
    endpoint: str
    seen: list[dict[str, str]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    def __iter__(self) -> Iterator[str]:
        return iter((self.name, self.endpoint))

    def links(self) -> list[dict[str, str]]:
        """Requests by links: headers by name, in upper case."""
        return [request for request in self.seen if LINKED in request["QUERY"]]


@dataclass
class Noting:
    """An application that keeps the headers of its requests."""

    application: Callable[..., Iterable[bytes]]
    seen: list[dict[str, str]] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {n.removeprefix("HTTP_"): v for n, v in environ.items() if n.startswith("HTTP_")}
        about = {"METHOD": environ["REQUEST_METHOD"], "QUERY": environ["QUERY_STRING"]}
        self.seen.append({**headers, **about})
        answer = self.application(environ, start_response)
        if self.cuts and LINKED in environ["QUERY_STRING"]:
            return [b"".join(answer)[: self.cuts.pop(0)]]
        return answer


class Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """What is asked is noted above."""


@contextmanager
def serving() -> Iterator[Bucket]:
    """Have the server up; there is no bucket yet."""
    application = Noting(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        yield Bucket("", endpoint, application.seen, application.cuts)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def s3() -> Iterator[Bucket]:
    """boto3 finds credentials in the environment, as it does in use."""
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ACCESS_KEY_ID", "ada")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "lovelace")
    patch.setenv("AWS_DEFAULT_REGION", REGION)
    with serving() as server:
        yield server
    patch.undo()


@pytest.fixture
def bucket(s3: Bucket) -> Bucket:
    """A new bucket, and where it is."""
    name = f"b{uuid4().hex}"
    client = boto3.client("s3", endpoint_url=s3.endpoint)
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
    s3.seen.clear()
    return Bucket(name, s3.endpoint, s3.seen, s3.cuts)
