"""The agent's own folder: identity, key, receipts."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from agent.checks.base import Finding, Site, checks, ok, problem, warning
from agent.rotation import DAYS_OF_USE, key_age_days
from federation.signatures import key_id, public_key_of

OTHERS = 0o077


@checks.register("identity")
def identity(site: Site) -> Iterator[Finding]:
    """Enrolled, and with the key that the identity names."""
    found = site.identity
    named = key_id(public_key_of(site.home.private_key()))
    if found.key_id != named:
        yield warning(
            "The key is newer than what the identity says of it.",
            "Start the agent once: it puts that right.",
        )
    yield ok(f"{found.name} of {found.organisation_name}, key {named[:16]}…")


@checks.register("key file")
def key_file(site: Site) -> Iterator[Finding]:
    """Nobody else can read it, and its rotation is not stuck."""
    home = site.home
    for path in (home.folder, home.key_file, home.next_key_file):
        if path.exists() and _mode(path) & OTHERS:
            mode = "700" if path.is_dir() else "600"
            yield problem(f"Others can read {path}.", f"chmod {mode} {path}")
    if home.next_key_file.exists():
        yield warning(
            "A rotation of the key was cut short.", "Run foedus-agent rotate-key to finish it."
        )
    if (days := key_age_days(home)) >= DAYS_OF_USE:
        yield warning(
            f"The key is {days:.0f} days old.", "A running agent renews it; or run rotate-key."
        )
    yield ok(f"Only its owner can read the key; it is {days:.0f} days old.")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
