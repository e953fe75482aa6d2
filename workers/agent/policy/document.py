"""The site's policy: which work this agent may do, as `policy.toml` in its folder says.

The file belongs to the site. Every rule forbids something, and one that is absent forbids
nothing: a section for one federation narrows what the file allows to all, and never widens it.
Without a file everything is allowed; with one that cannot be read, nothing is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from agent.errors import AgentFault
from agent.policy.windows import Window, zone_of
from federation.plan import Plan

FILE = "policy.toml"


class PolicyFault(AgentFault):
    """The policy, or what it needs to be judged by, cannot be read: no work is taken."""


# The task types that a plan of this version can have.
TASK_TYPES: Final = frozenset(
    part.model_fields["type"].default for part in get_args(Plan.model_fields["task"].annotation)
)


def _known_task(name: str) -> str:
    if name not in TASK_TYPES:
        raise ValueError(f"no task type; there are {', '.join(sorted(TASK_TYPES))}")
    return name


def _known_zone(name: str) -> str:
    zone_of(name)
    return name


class Section(BaseModel):
    """A frozen part of the file; keys that are no rules are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Positive = Annotated[int | None, Field(ge=1)]
Amount = Annotated[float | None, Field(ge=0, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...] | None, Field(strict=False)]
Kind = Annotated[str, AfterValidator(_known_task)]
Work = Literal["train", "evaluate", "value"]
Privacy = Literal["none", "records", "strict"]  # from the weakest to the strongest

PROFILES: Final = get_args(Privacy)


class Limits(Section):
    """Ceilings for one task."""

    steps: Positive = None
    epochs: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    rank: Positive = None
    tokens_per_text: Positive = None


class Budget(Section):
    """Ceilings for many tasks together; a megabyte is 10⁶ bytes."""

    device_hours: Amount = None
    upload_mb: Amount = None
    download_mb: Amount = None


class Rules(Section):
    """What the file says for all federations, or for one of them."""

    paused: bool = False
    windows: Annotated[tuple[Window, ...] | None, Field(strict=False)] = None
    base_models: Names = None
    tasks: Annotated[tuple[Kind, ...] | None, Field(strict=False)] = None
    work: Annotated[tuple[Work, ...] | None, Field(strict=False)] = None
    privacy: Privacy = "none"
    require_consent: bool = False
    limits: Limits = Limits()
    per_day: Budget = Budget()
    total: Budget = Budget()


class Policy(Rules):
    """The whole file."""

    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    federations: Names = None
    federation: dict[str, Rules] = {}

    @property
    def zone(self) -> tzinfo:
        return zone_of(self.timezone)

    def sections(self, federation: str | None) -> Iterator[tuple[str | None, Rules]]:
        """The rules that bind a federation's tasks: those for all, then its own."""
        yield None, self
        if federation in self.federation:
            yield federation, self.federation[federation]

    def rule_names(self) -> tuple[str, ...]:
        """The rules that are set anywhere in the file, by name."""
        found = {name for section in self.federation.values() for name, _ in rules_in(section)}
        return tuple(sorted(found | {name for name, _ in rules_in(self)}))


def rules_in(rules: Rules) -> Iterator[tuple[str, object]]:
    """The rules that a section sets, by name, with what they are set to."""
    for name in type(rules).model_fields:
        value = getattr(rules, name)
        if isinstance(value, Limits | Budget):
            yield from ((f"{name}.{part}", found) for part, found in value if found is not None)
        elif name not in {"timezone", "federation"} and value not in (None, False, "none"):
            yield name, value


def read(file: Path) -> Policy:
    """Return what the file says. Raises PolicyFault, with the name of each key that is wrong."""
    try:
        return Policy.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Policy()
    except ValidationError as error:
        raise PolicyFault(f"{file.name} is wrong: {'; '.join(wrongs(error))}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyFault(f"{file.name} is no TOML: {error}") from None
    except OSError as error:
        raise PolicyFault(f"{file.name} cannot be read: {error.strerror}") from None


def wrongs(error: ValidationError) -> Iterator[str]:
    """Each wrong key with what is wrong about it; what the file gives it is not repeated."""
    for wrong in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(map(str, wrong["loc"]))
        is_unknown = wrong["type"] == "extra_forbidden"
        words = "no such rule" if is_unknown else wrong["msg"].removeprefix("Value error, ")
        yield f"{name}: {words}"
