"""Run a program that dies with the process that started it.

    python leash.py SIGNAL PARENT OWNER program [arguments]

SIGNAL is the number that the kernel sends to the program when PARENT, its starter's process id,
is gone (Linux only; elsewhere the next start of the services cleans up). OWNER is `-`, or the
`user:group` (numbers) to become first. A program of its own, since a process with threads cannot
safely run Python between fork and exec.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def become(owner: str) -> None:
    if owner == "-":
        return
    user, group = (int(number) for number in owner.split(":"))
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)


def die_with_parent(signal: int, parent: int) -> None:
    """Ask the kernel for the signal; to be called after `become`, which would cancel it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("The process that started this one is gone.")


def main(signal: str, parent: str, owner: str, *program: str) -> None:
    become(owner)
    die_with_parent(int(signal), int(parent))
    try:
        os.execvp(program[0], program)  # noqa: S606 (the caller's own program)
    except OSError as refusal:
        sys.exit(f"{program[0]}: {refusal.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
