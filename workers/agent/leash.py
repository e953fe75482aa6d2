"""Become a program that the kernel kills when the process that started it is gone.

    python leash.py PARENT program [arguments]

A program of its own, because a process with threads must not run Python between fork and exec.
Linux only; elsewhere it just becomes the program.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: str, *program: str) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the kernel was asked
        sys.exit(1)
    os.execvp(program[0], program)  # noqa: S606 (the agent's own children)


if __name__ == "__main__":
    main(*sys.argv[1:])
