"""The agent's folder: its key, who it is, what it may train on, and what it is doing.

key               Ed25519 private key, base64, mode 0600; never leaves
key.next          the key that takes its place, while the hub has not confirmed it
agent.json        hub, agent and organisation; the hub's key, pinned at enrolment
data.toml         which local folder each federation may use; the site's own
paused            while it exists, no work is taken
tasks/<task id>/  journal of the tasks that are not over
workers/          which workers there are
receipts/         the hub's signed words that it has stored our updates
ledgers/          the last checkpoint of each federation's ledger, and what the hub owes us there
residuals/        what the codec lost of each run's last update; goes out with its next one
controls/         control variates of each run, by the updates' statements
cache/            artifacts by digest, base models, what was measured before
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
from agent.files import lock, made, settle, write_whole
from federation.failpoints import failpoint
from federation.keys import generate_private_key, key_id, public_key_of

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
    ledger_key: str = ""  # verifier key of the hub's ledgers; empty until one has been seen


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
    def workers(self) -> Path:
        return made(self.folder / "workers")

    @property
    def pause_file(self) -> Path:
        return self.folder / "paused"

    @property
    def is_paused(self) -> bool:
        return self.pause_file.exists()

    @property
    def is_enrolled(self) -> bool:
        return self.identity_file.exists()

    @property
    def is_running(self) -> bool:
        try:
            with self.locked(seconds=0):
                return False
        except AlreadyRunning:
            return True

    def identity(self) -> Identity:
        try:
            return Identity.model_validate_json(self.identity_file.read_bytes())
        except FileNotFoundError:
            raise NotEnrolled(
                f"No agent is enrolled in {self.folder}: "
                "run `foedus-agent enrol URL --code CODE` first."
            ) from None
        except ValidationError as error:
            raise AgentFault(f"{self.identity_file} is damaged: {error}") from error

    def keep_identity(self, identity: Identity) -> None:
        write_whole(self.identity_file, identity.model_dump_json(indent=2) + "\n")

    def private_key(self) -> bytes:
        """The agent's 32 secret bytes. Raises AgentFault if others could have read them."""
        return _secret(self.key_file)

    def key_to_enrol(self) -> bytes:
        """The key of an enrolment that was cut short, or else a new one."""
        return self.private_key() if self.key_file.exists() else self.make_key()

    def make_key(self) -> bytes:
        """Make a new key at the site, in place of one that no agent uses."""
        return _made_secret(self.key_file)

    def next_key(self) -> bytes:
        """The key that is to take the present one's place; made when first asked for."""
        known = self.next_key_file.exists()
        return _secret(self.next_key_file) if known else _made_secret(self.next_key_file)

    def adopt_next_key(self) -> Identity:
        """Put the next key in the present one's place, for good."""
        failpoint("K03", "before")
        settle(self.next_key_file, self.key_file)
        failpoint("K03", "after")
        return self.name_key()

    def name_key(self) -> Identity:
        """Have the identity name the key that is there, also after a crash between the two."""
        identity, named = self.identity(), key_id(public_key_of(self.private_key()))
        if identity.key_id != named:
            self.keep_identity(identity := identity.model_copy(update={"key_id": named}))
        return identity

    @contextmanager
    def locked(self, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Let one process at a time work with this folder; raises AlreadyRunning."""
        with (self.folder / "run.lock").open("w") as file:
            if not lock(file, seconds=seconds):
                raise AlreadyRunning(f"An agent is running on {self.folder} already.")
            yield

    @property
    def identity_file(self) -> Path:
        return self.folder / "agent.json"

    @property
    def key_file(self) -> Path:
        return self.folder / "key"

    @property
    def next_key_file(self) -> Path:
        return self.folder / "key.next"


def _secret(file: Path) -> bytes:
    try:
        mode, text = file.stat().st_mode, file.read_text().strip()
    except FileNotFoundError:
        raise NotEnrolled(f"{file} is missing: enrol this agent again.") from None
    if stat.S_IMODE(mode) & 0o077:
        raise AgentFault(f"Others can read {file}: run `chmod 600` on it.")
    return b64decode(text, validate=True)


def _made_secret(file: Path) -> bytes:
    key = generate_private_key()
    write_whole(file, b64encode(key) + b"\n")
    return key
