"""Make the virtual environment: `python install.py [--tools]`. The standard library only.

Starts with the same requirements do nothing. `--tools` adds what development and tests need.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / ".foedus"
VENV = HOME / "venv"
PYTHON = VENV / "bin" / "python"
LOG = HOME / "install.log"
NEEDED = ROOT / "requirements.txt"
TOOLS = ROOT / "tests" / "requirements.txt"
CONSTRAINTS = ROOT / "docker" / "constraints.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main(*, tools: bool) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and take pip along
    HOME.mkdir(exist_ok=True)
    with (HOME / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once: the second finds it done
        once("environment", make_environment)
        once("product", install_product, CONSTRAINTS, NEEDED)
        if tools:
            once("tools", install_tools, CONSTRAINTS, TOOLS)


def once(name: str, install: Callable[[], None], *files: Path) -> None:
    """Do a step unless its stamp says that it was done from the same files, here."""
    stamp = VENV / f"{name}.stamp"
    wanted = fingerprint(*files)
    if not stamp.exists() or stamp.read_text() != wanted or not PYTHON.exists():
        install()
        stamp.write_text(wanted)


def fingerprint(*files: Path) -> str:
    """Return a digest of what decides about a step; a moved clone or another Python is new."""
    known = [str(ROOT), sys.version, *(file.read_text() for file in files)]
    if files:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        known.append(json.dumps([project["project"], project["tool"]["setuptools"]]))
    return hashlib.sha256("\0".join(known).encode()).hexdigest()


def make_environment() -> None:
    with step("Making the virtual environment in .foedus/venv"):
        shutil.rmtree(VENV, ignore_errors=True)
        if run(sys.executable, "-m", "venv", str(VENV)):
            return
        # Debian splits ensurepip from Python; its own pip can install one.
        outside = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "pip"]
        if not (
            run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(VENV))
            and run(*outside)
        ):
            fail("This Python cannot make virtual environments: install python3-venv.")


def install_product() -> None:
    with step("Installing PyTorch"):
        install_torch()
    with step("Installing the other packages (a minute or two)"):
        require("-r", str(NEEDED))
    with step("Putting our own sources on Python's path"):
        require("--no-build-isolation", "--no-deps", "-e", str(ROOT))


def install_torch() -> None:
    """Install the pinned torch; without a GPU the build that leaves 2.5 GB of CUDA out."""
    lines = NEEDED.read_text().splitlines()
    pin = next(line.split()[0] for line in lines if line.startswith("torch=="))
    words = [pin, "-c", str(CONSTRAINTS)]
    if sys.platform == "linux" and not shutil.which("nvidia-smi"):
        impatient = ["--retries", "0", "--timeout", "5"]  # the index may be out of reach
        if pip(*words, "--extra-index-url", CPU_INDEX, *impatient):
            return
    require(*words)


def install_tools() -> None:
    with step("Installing the tools of development"):
        require("-r", str(TOOLS))


def require(*words: str) -> None:
    if not pip(*words):
        fail(f"pip could not install it. Is the package index within reach? {LOG} says more.")


def pip(*words: str) -> bool:
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    return run(str(PYTHON), "-m", "pip", "install", *quiet, *words)


def run(*command: str) -> bool:
    """Run a command with its words in the log; say whether it succeeded."""
    with LOG.open("a") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        done = subprocess.run(command, stdout=log, stderr=log, check=False, cwd=ROOT)
    return done.returncode == 0


@contextmanager
def step(what: str) -> Iterator[None]:
    begun = time.monotonic()
    say(f"{what} … ")
    yield
    say(f"{time.monotonic() - begun:.0f} s\n")


def say(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()


def fail(why: str) -> None:
    last = "\n".join(LOG.read_text().splitlines()[-8:])
    sys.exit(f"\n{last}\n\n{why}")


if __name__ == "__main__":
    main(tools="--tools" in sys.argv[1:])
