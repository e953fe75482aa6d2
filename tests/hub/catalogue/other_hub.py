"""Another hub, as far as its client needs one to write: a real server on this machine.

It speaks the calls of the Hugging Face Hub for making a repository and a commit, with large files
by the LFS protocol, and keeps what arrives.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = (".safetensors",)


@dataclass
class OtherHub:
    token: str = "hf_a-token-of-the-other-hub"
    url: str = ""
    status: int = 0  # answer everything so
    repos: set[str] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        self.calls.append(f"{method} {path}")
        if self.status:
            return self.status, {"error": "as the test wants it"}
        if path.startswith("/objects/"):
            return 200, self._stored(path.removeprefix("/objects/"), body)
        if token != f"Bearer {self.token}":
            return 401, {"error": "Invalid credentials in Authorization header"}
        calls = {
            "/api/repos/create": self._made,
            "/api/validate-yaml": lambda _: {"warnings": [], "errors": []},
            "/preupload/": lambda said: {"files": list(map(_mode, said["files"]))},
            "/objects/batch": lambda said: {"objects": list(map(self._wanted, said["objects"]))},
        }
        if "/commit/" in path:
            return 200, self._commit(body)
        return 200, next(call for part, call in calls.items() if part in path)(json.loads(body))

    def _made(self, said: dict[str, Any]) -> dict[str, Any]:
        repo = f"{said['organization']}/{said['name']}"
        self.repos.add(repo)
        return {"url": f"{self.url}/{repo}", "id": repo}

    def _wanted(self, one: dict[str, Any]) -> dict[str, Any]:
        """An object that is there already needs no upload."""
        if one["oid"] in self.objects:
            return one
        return one | {"actions": {"upload": {"href": f"{self.url}/objects/{one['oid']}"}}}

    def _stored(self, oid: str, body: bytes) -> dict[str, Any]:
        assert hashlib.sha256(body).hexdigest() == oid
        self.objects[oid] = body
        return {}

    def _commit(self, body: bytes) -> dict[str, Any]:
        for line in body.splitlines():
            match json.loads(line):
                case {"key": "file", "value": value}:
                    self.files[value["path"]] = base64.b64decode(value["content"])
                case {"key": "lfsFile", "value": value}:
                    self.files[value["path"]] = self.objects[value["oid"]]
        oid = hashlib.sha256(body).hexdigest()[:40]
        repo = next(iter(self.repos))
        return {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{self.url}/{repo}/commit/{oid}",
        }


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(LARGE) else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}


@contextmanager
def other_hub() -> Iterator[OtherHub]:
    hub = OtherHub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = _body(self)
            token = self.headers.get("Authorization", "")
            status, said = hub.answer(self.command, self.path, body, token)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_GET = _answer  # noqa: N815 (named by the library)

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body
