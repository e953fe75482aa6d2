"""The federations' ledgers, as far as this agent has seen them."""

from __future__ import annotations

from collections.abc import Iterator

from agent.checks.base import Finding, Site, checks, ok, problem
from agent.ledgers import Ledgers


@checks.register("ledgers")
def ledgers(site: Site) -> Iterator[Finding]:
    """None has been rewritten since we looked first."""
    kept = Ledgers(site.home).all()
    for one in kept:
        if one.held:
            yield problem(
                f"{one.slug}: {one.held.code.upper()}, {one.held.words}.",
                "Ask the other members and the hub's operator; see foedus-agent ledger show.",
            )
    sizes = ", ".join(f"{one.slug} {one.size}" for one in kept if not one.held)
    yield ok(f"Entries seen and in order: {sizes or 'none yet'}.")
