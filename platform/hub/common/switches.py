"""What operators have set for the whole hub, asked for by every request: one query a second.

Each process keeps the row for a second, so a change acts everywhere within one. While the database
is away, the last that was known holds.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg_pool import PoolTimeout

from hub.common.errors import Maintenance
from hub.common.models import Switchboard

KEPT_SECONDS = 1.0
SOONEST, LATEST, UNTOLD = 5, 60, 30  # seconds after which to try again


@dataclass(slots=True)
class _Known:
    row: Switchboard
    until: float  # on the monotonic clock


_known = _Known(Switchboard(), -math.inf)


def present() -> Switchboard:
    """The row as it was within the last second. Never to be saved."""
    if time.monotonic() >= _known.until:
        _look()
    return _known.row


def _look() -> None:
    with suppress(DatabaseError, InterfaceError, PoolTimeout):  # whoever needs more says so
        _known.row = Switchboard.objects.filter(pk=Switchboard.THE_ONE).first() or Switchboard()
    _known.until = time.monotonic() + KEPT_SECONDS


def forget() -> None:
    """Look again at the next question; said by what changes the row, in its transaction."""
    _known.until = -math.inf
    transaction.on_commit(_forget_now)


def _forget_now() -> None:
    _known.until = -math.inf


def presume(row: Switchboard) -> None:
    """Take the row for what is there until somebody changes it: for tests that count queries."""
    _known.row, _known.until = row, math.inf


def refuse_in_maintenance() -> None:
    """Raises Maintenance while nobody but operators may write."""
    board = present()
    if board.is_in_maintenance:
        raise Maintenance(
            board.maintenance_note or _("Reading goes on; come back to write."),
            retry_after=retry_seconds(board, timezone.now()),
        )


def retry_seconds(board: Switchboard, now: datetime) -> int:
    """When to try again: at the announced end, and never so late that an earlier one is missed."""
    if board.maintenance_until is None:
        return UNTOLD
    left = math.ceil((board.maintenance_until - now).total_seconds())
    return max(SOONEST, min(left, LATEST))


def approves_organisations() -> bool:
    """Whether a registration needs no operator: the console's word, else the setting's."""
    own = present().approves_by_itself
    return bool(settings.AUTO_APPROVE_ORGANISATIONS) if own is None else own


def sign_up_is_open() -> bool:
    """Whether people may make themselves an account, and register organisations."""
    return present().sign_up_open
