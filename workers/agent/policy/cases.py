"""A plan out of a file, to be judged before it becomes a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agent.errors import AgentFault
from agent.policy.document import Policy, wrongs
from agent.policy.rules import Case
from federation.plan import Plan

UNKNOWN: Mapping[str, Callable[[Case], object]] = {  # what each of these rules needs to know
    "federations": lambda case: case.federation,
    "base_models": lambda case: case.base,
    "work": lambda case: case.work,
    "require_consent": lambda case: case.run,
}


def read(file: Path, *, federation: str | None = None, base: str | None = None) -> Case:
    """A plan, or a run as the hub's API shows it. Raises AgentFault where it is neither."""
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        plan = Plan.model_validate_json(json.dumps(document.get("plan", document)))
        run = UUID(document["id"]) if "plan" in document else None
    except OSError as error:
        raise AgentFault(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise AgentFault(f"{file} is no plan: {'; '.join(wrongs(error))}") from None
    except (ValueError, AttributeError, KeyError) as error:
        raise AgentFault(f"{file} is neither a plan nor a run in JSON ({error})") from None
    return Case(
        plan=plan,
        federation=federation or document.get("federation_slug"),
        run=run,
        base=base.removeprefix("base/") if base else None,
        rank=getattr(plan.adapter, "rank", None),
    )


def unjudged(policy: Policy, case: Case) -> Iterator[str]:
    """The rules that say nothing yet, because the file does not tell what they look at."""
    names = set(policy.rule_names())
    yield from (name for name, known in UNKNOWN.items() if name in names and known(case) is None)
    if case.federation is None and policy.federation:
        yield "federation"
