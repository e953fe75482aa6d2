"""What can be wrong with a download, each with the exit code by which scripts know it."""

from __future__ import annotations


class Fault(Exception):
    """Something is not as it was signed; `str` says what, for people."""

    code = 1


class FileWrong(Fault):
    """A file is changed, missing, or there without having been signed."""


class SignatureWrong(Fault):
    """There is no signature, it is not of this key, or it is of something else."""

    code = 3

    def __str__(self) -> str:
        return f"model.sig: {super().__str__()}"


class KeyUnknown(Fault):
    """The key cannot be had, or is not the one that this machine knows the hub by."""

    code = 4


class Wrong(Fault):
    """Something in a ledger does not follow from the rest; `where` says in which row."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason = reason
        self.where = where

    def at(self, where: str) -> Wrong:
        """The same, with its place, unless it has one."""
        return self if self.where else Wrong(self.reason, where)

    def __reduce__(self) -> tuple[type[Wrong], tuple[str, str]]:
        return Wrong, (self.reason, self.where)


class Unusable(Fault):
    """There is nothing to check: no such file, or no export."""

    code = 2
