"""Processes that the kernel kills when the one that started them is gone. Linux only.

    python leash.py PARENT program [arguments]

becomes a program on that leash, elsewhere than on Linux without. A program of its own, because a
process with threads must not run Python between fork and exec.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def hold(parent: int) -> None:
    """Have this process die with its parent; exit if that is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)


def main(parent: str, *program: str) -> None:
    hold(int(parent))
    os.execvp(program[0], program)  # noqa: S606 (the agent's own children)


if __name__ == "__main__":
    main(*sys.argv[1:])
