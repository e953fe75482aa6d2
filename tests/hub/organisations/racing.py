"""Two things done at the same moment, each by a thread with a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Barrier, Thread

from django.db import connection

from hub.common.errors import DomainError


def at_once(*acts: Callable[[], object]) -> Sequence[type[DomainError]]:
    """Do all acts at the same moment; returns what was refused."""
    start, refused = Barrier(len(acts)), list[type[DomainError]]()

    def do(act: Callable[[], object]) -> None:
        start.wait()
        try:
            act()
        except DomainError as refusal:
            refused.append(type(refusal))
        finally:
            connection.close()

    threads = [Thread(target=do, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused
