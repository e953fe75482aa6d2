"""A full disk is a refusal, not a breakage."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from hub.common.errors import StorageFull

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def refusing_when_full() -> Iterator[None]:
    """Raise StorageFull where a write finds no room."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFull("the disk is full") from error
        raise
