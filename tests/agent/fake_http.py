"""HTTP for the fake hub: every request is kept, and met by a fault or answered."""

from __future__ import annotations

import json
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = tuple[int, dict[str, str], bytes]


class Problem(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code

    @property
    def answer(self) -> Answer:
        document = {"type": "about:blank", "status": self.status, "code": self.code}
        headers = {"Content-Type": "application/problem+json"}
        return self.status, headers, json.dumps({**document, "detail": self.code}).encode()


@dataclass
class Fault:
    """Meets the next `times` requests whose "METHOD path" matches, in one of five ways."""

    pattern: str
    times: int = 1
    answer: Any = None  # an answer with this document
    status: int = 0  # a problem with this status and code
    code: str = "fault"
    headers: dict[str, str] = field(default_factory=dict)
    cut_request: int | None = None  # the line breaks after so many bytes of the body
    cut_answer: int | None = None
    is_lost: bool = False  # the hub acts, but the line breaks before its answer


@dataclass(frozen=True)
class Seen:
    """A request as it came; of a cut one, what came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    is_gone: Callable[[], bool]  # whether the caller has hung up since

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


class FaultyServer:
    """Subclasses answer; `changed` guards their state and is notified after every request."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self._server = _Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"owner": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, seen: Seen) -> Answer:
        raise NotImplementedError

    @contextmanager
    def serving(self) -> Iterator[Self]:
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def fail_next(self, pattern: str, **how: Any) -> Fault:
        with self.changed:
            self.faults.append(Fault(pattern, **how))
            return self.faults[-1]

    def wait_for(self, happened: Callable[[], object], seconds: float = 120) -> None:
        with self.changed:
            assert self.changed.wait_for(happened, seconds), "it did not happen in time"

    def requests(self, pattern: str) -> list[Seen]:
        with self.changed:
            return [seen for seen in self.seen if re.search(pattern, seen.line)]

    def keep(self, seen: Seen) -> None:
        with self.changed:
            self.seen.append(seen)
            self.changed.notify_all()

    def fault_for(self, line: str) -> Fault:
        with self.changed:
            for fault in self.faults:
                if fault.times and re.search(fault.pattern, line):
                    fault.times -= 1
                    return fault
        return Fault("")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def handle_error(self, request: object, client_address: object) -> None:
        """Agents are killed and lines are cut: that is what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyServer

    def handle_request(self) -> None:
        fault = self.owner.fault_for(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length if fault.cut_request is None else fault.cut_request)
        headers = {name.title(): value for name, value in self.headers.items()}
        seen = Seen(self.command, self.path, headers, body, self._is_gone)
        self.owner.keep(seen)
        if fault.cut_request is not None:
            self._hang_up()
            return
        status, headers, content = self._answered(seen, fault)
        if fault.is_lost:
            self._hang_up()
        else:
            self._send(status, {**headers, **fault.headers}, content, fault.cut_answer)

    do_GET = do_HEAD = do_POST = do_PATCH = handle_request  # noqa: N815

    def _answered(self, seen: Seen, fault: Fault) -> Answer:
        if fault.answer is not None:
            return answered(fault.answer)
        if fault.status:
            return Problem(fault.status, fault.code).answer
        try:
            return self.owner.answer(seen)
        except Problem as problem:
            return problem.answer

    def _send(self, status: int, headers: dict[str, str], body: bytes, cut: int | None) -> None:
        self.send_response_only(status)
        standard = {"Content-Length": str(len(body)), "Date": self.date_time_string()}
        for name, value in {**standard, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self._hang_up()

    def _is_gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Tests look at `seen`."""


def answered(document: object, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def ranged(content: bytes, wanted: str | None) -> Answer:
    if not wanted:
        return 200, {"Accept-Ranges": "bytes"}, content
    begin = int(wanted.removeprefix("bytes=").partition("-")[0])
    about = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"}
    return 206, about, content[begin:]
