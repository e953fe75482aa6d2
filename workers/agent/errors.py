"""What can go wrong between an agent, its hub and its site."""

from __future__ import annotations

from http import HTTPStatus

FINAL_CODES = frozenset({"agent_left", "revoked_key", "unknown_key", "protocol_version"})


class AgentFault(Exception):
    """Something a person at the site has to put right; the message says what to do."""


class NotEnrolled(AgentFault):
    """The agent's folder holds no identity."""


class AlreadyRunning(AgentFault):
    """Another process works with the agent's folder."""


class ReceiptInvalid(AgentFault):
    """A receipt was not signed by the key that was pinned at enrolment."""


class Refused(Exception):
    """The hub understood and said no: its problem document's status, code and detail.

    `is_final`: no request of this agent will be answered before a person has acted.
    """

    def __init__(self, status: int, code: str, detail: str = "") -> None:
        super().__init__(f"{status} {code}: {detail}" if detail else f"{status} {code}")
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def is_final(self) -> bool:
        return self.status == HTTPStatus.UPGRADE_REQUIRED or self.code in FINAL_CODES


class Away(Exception):
    """No answer, or one that says to come back: trying again may help.

    `retry_after`: seconds that the hub asked for, else None.
    """

    def __init__(self, cause: str, retry_after: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after = retry_after


class ClockDiffers(Away):
    """A signature was refused because this machine's clock is not the hub's."""


class TaskGone(Exception):
    """The task is no longer ours. `told`: the hub asked to cancel, so the lease may be live."""

    def __init__(self, reason: str, *, told: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.told = told


class Paused(Exception):
    """A person at the site wants no more work to be taken for now."""


class Cancelled(Exception):
    """The poller asked the worker to stop this task."""


class TaskFailed(Exception):
    """The task cannot be done here. `detail` never holds a text, a path or a label of the site.

    `retry`: whether another try, here or elsewhere, may help.
    """

    def __init__(self, code: str, detail: str = "", *, retry: bool = False) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.retry = retry


class DataRefused(TaskFailed):
    """The site's data cannot be used for the task."""


class LedgerFault(TaskFailed):
    """The federation's ledger is not what this agent has seen; `note`: the checkpoint showing it.

    `retry`: it has only not been signed yet, so another try may help.
    """

    def __init__(self, code: str, detail: str, note: str = "") -> None:
        super().__init__(code, detail, retry=code == "ledger_stale")
        self.note = note
