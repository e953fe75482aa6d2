"""What the agent remembers of each federation's ledger: one small file for each, kept for good.

ledgers/<federation>.json        the last checkpoint that we have verified, and what we are owed
ledgers/<federation>-<n>.json    what was remembered before an owner accepted another history

A checkpoint is written down, synced, before the agent acts on it: what it has once seen it can hold
against the hub for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from agent.errors import AgentFault
from agent.files import lock, made, write_whole
from agent.home import Home

LOCK_SECONDS = 10.0

FORK, REGRESSION, STALE = "ledger_fork", "ledger_regression", "ledger_stale"


class Held(BaseModel):
    """Why no work of the federation is taken, with what shows it."""

    model_config = ConfigDict(frozen=True)

    code: str
    words: str
    at: AwareDatetime
    note: str = ""  # the checkpoint that does not go with the one we keep, as it was signed


class Owed(BaseModel):
    """An entry that a receipt promises, and no checkpoint has shown yet."""

    model_config = ConfigDict(frozen=True)

    update: UUID
    index: Annotated[int, Field(ge=0)]
    leaf: str  # its leaf hash, hex


class Kept(BaseModel):
    """What is remembered of one ledger. Size 0: nothing has been seen yet."""

    model_config = ConfigDict(frozen=True)

    federation: UUID
    slug: str
    origin: str = ""
    size: int = 0
    root: str = ""
    note: str = ""
    seen_at: AwareDatetime | None = None
    owed: tuple[Owed, ...] = ()
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The files of all ledgers that an agent has to do with."""

    home: Home

    def all(self) -> list[Kept]:
        """Raises AgentFault where one is damaged."""
        found = (self._read(file) for file in self._folder.glob("*.json") if _is_named(file))
        return sorted(found, key=lambda kept: kept.slug)

    def held(self) -> dict[str, Held]:
        """The federations that no work is taken of, by their slugs."""
        return {kept.slug: kept.held for kept in self.all() if kept.held}

    def of(self, federation: UUID, slug: str) -> Kept:
        try:
            return self._read(self._file(federation))
        except FileNotFoundError:
            return Kept(federation=federation, slug=slug)

    def of_slug(self, slug: str) -> Kept | None:
        return next((kept for kept in self.all() if kept.slug == slug), None)

    def change(self, federation: UUID, slug: str, change: Callable[[Kept], Kept]) -> Kept:
        """Replace what is remembered, synced; nobody else changes it meanwhile."""
        with self._locked():
            kept = change(self.of(federation, slug))
            write_whole(self._file(federation), kept.model_dump_json(indent=2) + "\n")
        return kept

    def accept(self, kept: Kept) -> Path:
        """Begin anew with what the hub shows next; what was known until now is put aside."""
        with self._locked():
            names = (self._folder / f"{kept.federation}-{number}.json" for number in count(1))
            aside = next(name for name in names if not name.exists())
            self._file(kept.federation).replace(aside)
        return aside

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as file:
            if not lock(file, seconds=LOCK_SECONDS):
                raise AgentFault(f"Another process holds {file.name}.")
            yield

    def _read(self, file: Path) -> Kept:
        try:
            return Kept.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise AgentFault(
                f"{file} is damaged, and with it what this site holds against its hub: "
                f"restore it from a backup. {error}"
            ) from error

    def _file(self, federation: UUID) -> Path:
        return self._folder / f"{federation}.json"

    @property
    def _folder(self) -> Path:
        return made(self.home.folder / "ledgers")


def _is_named(file: Path) -> bool:
    """By a federation alone; what was put aside has a number, too."""
    try:
        UUID(file.stem)
    except ValueError:
        return False
    return True
