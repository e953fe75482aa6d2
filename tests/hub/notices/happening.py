"""Events as their apps record them, and what people then have in their inbox."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any
from uuid import uuid4

from allauth.account.models import EmailAddress
from django.db import connection

from hub.accounts.models import User
from hub.common.models import Event
from hub.notices.models import Notice


def happens(kind: str, **columns: Any) -> Event:
    """An event of the hub's own, unless `columns` say who did it."""
    usual = {"subject_id": uuid4(), "actor_kind": "hub", "actor_label": "the hub"}
    return Event.objects.create(kind=kind, **{**usual, **columns})


def inbox(user: User) -> list[str]:
    """Kinds in the person's inbox, the newest first."""
    return [one.kind for one in Notice.objects.filter(user=user).order_by("-at", "-id")]


def confirm(user: User) -> None:
    """Let the address be known to be the person's: mail goes nowhere else."""
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)


def at_once(times: int, work: Any) -> None:
    """Do the work in several threads that start together, each with its own connection."""
    together = Barrier(times)
    failures: list[BaseException] = []

    def alone() -> None:
        try:
            together.wait()
            work()
        except BaseException as failure:  # noqa: BLE001 (shown by the thread that waits)
            failures.append(failure)
        finally:
            connection.close()

    threads = [Thread(target=alone) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
