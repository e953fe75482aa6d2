"""What `foedus-agent doctor` looks at, in the order in which it tells; a module per subject."""

from agent.checks import folder, hub, ledger, machine, data, work  # isort: skip
from agent.checks.base import Check, Finding, Site, State, checks, ok, problem, warning

__all__ = [
    "Check",
    "Finding",
    "Site",
    "State",
    "checks",
    "data",
    "folder",
    "hub",
    "ledger",
    "machine",
    "ok",
    "problem",
    "warning",
    "work",
]
