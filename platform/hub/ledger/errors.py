"""What a ledger refuses."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _noop

from hub.common.errors import AT_COMMIT, DomainError


class LedgerStopped(DomainError):
    status = 503
    code = "ledger_stopped"
    title = _noop(
        "The ledger of this federation takes no entries, so nothing that counts can happen."
    )


STOPPED = LedgerStopped("Its operators have been told why.", retry_after=60)
AT_COMMIT["ledger_stopped"] = STOPPED  # entries find their places there, if nobody asked before


class CheckpointPending(DomainError):
    code = "checkpoint_pending"
    title = _noop("No checkpoint covers this yet.")


class NoSuchTree(DomainError):
    status = 422
    code = "no_such_tree"
    title = _noop("The ledger has no such entry or size.")


class EntryDiffers(Exception):
    """The key of an entry stands for another payload: an error in the program.

    It undoes the transaction that the entry was to tell about.
    """
