"""The agent's folder: its key, who it is, what it may train on, and what it is doing.

key               Ed25519 private key, base64, mode 0600; never leaves
agent.json        hub, agent and organisation; the hub's key, pinned at enrolment
data.toml         which local folder each federation may use; the site's own
paused            while it exists, no work is taken
tasks/<task id>/  journal of the tasks that are not over
receipts/         the hub's signed words that it has stored our updates
cache/            artifacts by digest, base models
"""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.errors import AgentFault, AlreadyRunning, NotEnrolled
from agent.files import lock, made, write_whole
from federation.keys import generate_private_key

VARIABLE = "FOEDUS_AGENT_HOME"
DEFAULT = Path("~/.foedus-agent")
LOCK_SECONDS = 2.0


class Identity(BaseModel):
    """Who this agent is to its hub; the hub's key is pinned here."""

    model_config = ConfigDict(frozen=True)

    hub: str
    agent: UUID
    name: str
    organisation: str
    organisation_name: str
    key_id: str
    hub_public_key: str
    hub_key_id: str


@dataclass(frozen=True, slots=True)
class Home:
    """Paths and small files of one agent."""

    folder: Path

    @classmethod
    def found(cls, folder: Path | None = None) -> Self:
        """The folder given, else that of the environment, else the default."""
        chosen = folder or Path(os.environ.get(VARIABLE) or DEFAULT)
        return cls(made(chosen.expanduser().resolve()))

    @property
    def data_file(self) -> Path:
        return self.folder / "data.toml"

    @property
    def tasks(self) -> Path:
        return made(self.folder / "tasks")

    @property
    def receipts(self) -> Path:
        return made(self.folder / "receipts")

    @property
    def cache(self) -> Path:
        return made(self.folder / "cache")

    @property
    def device_file(self) -> Path:
        return self.folder / "device.json"

    @property
    def pause_file(self) -> Path:
        return self.folder / "paused"

    @property
    def is_paused(self) -> bool:
        return self.pause_file.exists()

    @property
    def is_enrolled(self) -> bool:
        return self._identity_file.exists()

    @property
    def is_running(self) -> bool:
        try:
            with self.locked(seconds=0):
                return False
        except AlreadyRunning:
            return True

    def identity(self) -> Identity:
        try:
            return Identity.model_validate_json(self._identity_file.read_bytes())
        except FileNotFoundError:
            raise NotEnrolled(
                f"No agent is enrolled in {self.folder}: "
                "run `foedus-agent enrol URL --code CODE` first."
            ) from None
        except ValidationError as error:
            raise AgentFault(f"{self._identity_file} is damaged: {error}") from error

    def keep_identity(self, identity: Identity) -> None:
        write_whole(self._identity_file, identity.model_dump_json(indent=2) + "\n")

    def private_key(self) -> bytes:
        """The agent's 32 secret bytes. Raises AgentFault if others could have read them."""
        try:
            mode, text = self._key_file.stat().st_mode, self._key_file.read_text().strip()
        except FileNotFoundError:
            raise NotEnrolled(f"{self._key_file} is missing: enrol this agent again.") from None
        if stat.S_IMODE(mode) & 0o077:
            raise AgentFault(f"Others can read {self._key_file}: run `chmod 600` on it.")
        return b64decode(text, validate=True)

    def key_to_enrol(self) -> bytes:
        """The key of an enrolment that was cut short, or else a new one."""
        return self.private_key() if self._key_file.exists() else self.make_key()

    def make_key(self) -> bytes:
        """Make a new key at the site, in place of one that no agent uses."""
        key = generate_private_key()
        write_whole(self._key_file, b64encode(key) + b"\n")
        return key

    @contextmanager
    def locked(self, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Let one process at a time work with this folder; raises AlreadyRunning."""
        with (self.folder / "run.lock").open("w") as file:
            if not lock(file, seconds=seconds):
                raise AlreadyRunning(f"An agent is running on {self.folder} already.")
            yield

    @property
    def _identity_file(self) -> Path:
        return self.folder / "agent.json"

    @property
    def _key_file(self) -> Path:
        return self.folder / "key"
