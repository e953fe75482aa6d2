"""PostgreSQL refuses to run as root: who runs it, and where that one can reach programs and data.

- An ordinary user runs it himself.
- Root runs it in a user namespace, where the same root is called 65534. No user is added, no
  file changes its owner or mode.
- Where namespaces are forbidden (most containers), the user `nobody` runs it. What `nobody`
  cannot reach below the folder lies in /var/lib/foedus, with copies of the programs.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hub.embedded.errors import Unavailable
from hub.embedded.processes import LEASH

NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")
ELSEWHERE = Path("/var/lib/foedus")
OURSELVES = "-"


@dataclass(frozen=True, slots=True)
class Account:
    """`prefix` goes before a command; `owner` is whom the leash becomes (`user:group` or `-`)."""

    prefix: tuple[str, ...] = ()
    owner: str = OURSELVES

    def own(self, folder: Path) -> Path:
        """Give a folder with all in it to the account if another one holds it."""
        user, group = (os.getuid(), os.getgid()) if self.owner == OURSELVES else self._numbers()
        if folder.stat().st_uid == user:
            return folder
        if os.getuid() != 0:
            raise Unavailable(f"{folder} belongs to another user: set FOEDUS_HOME to your own.")
        os.chown(folder, user, group)
        for parent, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.chown(Path(parent, name), user, group, follow_symlinks=False)
        return folder

    def place(self, folder: Path) -> Path:
        """Return where the account can keep its files for a folder: there, if it gets there."""
        if self.owner == OURSELVES:
            return folder
        folder.chmod(0o711)
        if self._reaches(folder):
            return folder
        place = ELSEWHERE / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        place.mkdir(parents=True, exist_ok=True)
        for entered in (ELSEWHERE, place):
            entered.chmod(0o711)
        return place

    def programs(self, programs: Path, place: Path) -> Path:
        """Return the programs' folder, or a copy of it at the place if it is out of reach."""
        if self.owner == OURSELVES or self._reaches(programs / "postgres"):
            return programs
        package = programs.parents[1]
        copy = place / f"programs-{int(programs.stat().st_mtime)}"
        if not copy.exists():
            self._copy(package, copy)
        return copy / programs.relative_to(package.parent)

    def _copy(self, package: Path, target: Path) -> None:
        """Copy a package and the libraries beside it, whole or not at all."""
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="copying-") as unfinished:
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, Path(unfinished, "whole", part.name))
            Path(unfinished, "whole").rename(target).chmod(0o755)

    def _numbers(self) -> tuple[int, int]:
        user, _, group = self.owner.partition(":")
        return int(user), int(group)

    def _reaches(self, path: Path) -> bool:
        user, group = self._numbers()
        probe = ["test", "-x", str(path)]
        return not subprocess.run(
            probe, user=user, group=group, extra_groups=[], check=False
        ).returncode


def account_for(folder: Path, program: Path) -> Account:
    """Return who shall run a program that refuses root, with its data in a folder."""
    if os.getuid() != 0:
        return Account()
    return Account(prefix=NAMESPACE) if _namespace_reaches(folder, program) else nobody()


def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(owner=f"{entry.pw_uid}:{entry.pw_gid}")


def _namespace_reaches(folder: Path, program: Path) -> bool:
    """Try whether namespaces are allowed, and whether root without its powers gets that far."""
    if not shutil.which(NAMESPACE[0]):
        return False
    test = 'test -w "$1" && test -x "$2" && test -x "$3" && test -r "$4"'
    paths = [str(path) for path in (folder, program, sys.executable, LEASH)]
    probe = [*NAMESPACE, "sh", "-c", test, "-", *paths]
    return not subprocess.run(probe, check=False, capture_output=True).returncode
