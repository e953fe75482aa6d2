"""What the site allows: `policy.toml`, what its rules say to a task, and what the hub is told.

`document` is the file, `rules` what forbids, `standing` the agent's use of both.
"""

from agent.policy.document import FILE, Budget, Limits, Policy, PolicyFault, Rules, read
from agent.policy.rules import Case, Facts, Refusal, Use

__all__ = [
    "FILE",
    "Budget",
    "Case",
    "Facts",
    "Limits",
    "Policy",
    "PolicyFault",
    "Refusal",
    "Rules",
    "Use",
    "read",
]
