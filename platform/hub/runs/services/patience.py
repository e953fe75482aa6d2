"""Time for a person to decide on what was set aside."""

from __future__ import annotations

from datetime import timedelta

from hub.runs.models import Round, RoundState
from hub.runs.services.locks import database_now


def grant_time(current: Round) -> None:
    """Let the round's deadline be no sooner than a person can look at what was just set aside.

    The round is locked by the caller, with its run. Each update is set aside once by its norm and
    once by its peers, so a round is prolonged a bounded number of times.
    """
    if current.state != RoundState.COLLECTING:
        return
    seconds = current.run.typed_plan.rounds.quarantine_grace_seconds
    until = database_now() + timedelta(seconds=seconds)
    if current.deadline_at < until:
        current.deadline_at = until
        current.save(update_fields=["deadline_at"])
