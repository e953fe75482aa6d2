"""Programs of people who have an address, a token and stock libraries, and know nothing of us."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.system.stack import Stack


def asked(stack: Stack, program: str, *arguments: str, home: Path, person: str = "ada") -> Any:
    """What a program in a process of its own says, as JSON, in the last line it prints.

    `home` is where it works and its libraries keep what they fetch; `person` whose token it has.
    """
    token: str = stack.facts["people"][person]["token"]
    return told(program, *arguments, url=stack.url, token=token, home=home)


def told(program: str, *arguments: str, url: str, token: str, home: Path) -> Any:
    """The same of any hub."""
    environment = {
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
        "HF_ENDPOINT": f"{url}/hf",
        "HF_TOKEN": token,
        "HF_HOME": str(home),
    }
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program, *arguments],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


def in_turn(codes: Iterable[str], noting: str) -> str:
    """One program of several, which shows the list `noted`; `noting` puts into it after each."""
    lines = [line for code in codes for line in (code, noting)]
    return "\n".join(["import json", "noted = []", *lines, "print(json.dumps(noted))"])


def held_out(stack: Stack, name: str) -> tuple[list[str], list[str]]:
    """The texts of an organisation's test data, and their labels."""
    with (stack.folder / "data" / name / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]
