"""`python -m hub.operations.probe PATH`: ask this machine's web server; end with 0 if it is well.

It asks by the hub's public name, since the server answers to no other.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

SECONDS = 5.0


def main(path: str = "/readyz") -> int:
    try:
        answer = ask(path)
    except (OSError, HTTPException) as silence:
        print(f"no answer: {silence}", file=sys.stderr)  # noqa: T201 (for who runs this)
        return 1
    print(answer.read().decode(), file=sys.stderr)  # noqa: T201
    return 0 if answer.status == 200 else 1  # noqa: PLR2004


def ask(path: str) -> HTTPResponse:
    port = int(os.environ.get("WEB_PORT", "8000"))
    name = urlsplit(os.environ.get("PUBLIC_URL", "")).netloc or f"127.0.0.1:{port}"
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("GET", path, headers={"Host": name, "X-Forwarded-Proto": "https"})
    return connection.getresponse()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
