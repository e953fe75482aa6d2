"""What the tests of uploads share."""

from __future__ import annotations

import os

from hub.catalogue.blobs.storage import store
from tests.factories.catalogue import sha256_hex

CONTENT = os.urandom(5000)
SHA256 = sha256_hex(CONTENT)


def stored() -> bytes:
    return store().local_path(SHA256).read_bytes()
