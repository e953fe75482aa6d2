"""Consents of the site to single runs, each with its end; `consents.json` in the agent's folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from agent.files import write_whole
from agent.policy.document import PolicyFault

FILE = "consents.json"

Consents = dict[UUID, AwareDatetime]  # runs, and when the consent to each ends

_consents: TypeAdapter[Consents] = TypeAdapter(Consents)


def read(file: Path) -> Consents:
    """Every consent that was given and not revoked, ended ones too. Raises PolicyFault."""
    try:
        return _consents.validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValidationError, OSError):
        raise PolicyFault(f"{file.name} is damaged: remove it and consent again") from None


def valid(consents: Consents, now: datetime) -> Consents:
    return {run: ends_at for run, ends_at in consents.items() if now < ends_at}


def give(file: Path, run: UUID, *, ends_at: datetime, now: datetime) -> None:
    """Consent to a run; said again, the new end counts. Ended consents are forgotten."""
    _keep(file, {**valid(read(file), now), run: ends_at})


def revoke(file: Path, run: UUID, *, now: datetime) -> bool:
    """Take a consent back; tells whether there was one."""
    known = valid(read(file), now)
    _keep(file, {key: ends_at for key, ends_at in known.items() if key != run})
    return run in known


def _keep(file: Path, consents: Consents) -> None:
    write_whole(file, _consents.dump_json(consents, indent=2) + b"\n")
