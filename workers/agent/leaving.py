"""Leaving for good: hand back what is leased, tell the hub, forget the key.

The key goes last. Killed at any moment, the command can be given again.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Final

from agent.client import HubClient
from agent.errors import AgentFault, AlreadyRunning, Refused
from agent.home import Home, Identity
from agent.journal import Journal
from agent.leases import Lease
from federation.protocol import LeaveIn

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 20.0
GONE: Final = {"agent_left", "revoked_key"}  # then the hub knows of it
FOLDERS = ("tasks", "cache", "residuals", "workers")
LAST = "run.lock"  # held until all is done
FILES = ("paused", "broker.folder", "broker.log", "key.lock", "key.next", "key")


async def leave(home: Home, *, reason: str = "", purge: bool = False) -> Identity:
    """End this agent at the hub, then here; receipts and what the site wrote stay unless `purge`.

    Raises AgentFault, Refused, Away; then nothing has been removed.
    """
    identity = home.identity()
    try:
        with home.locked():
            if home.key_file.exists():
                await _tell(home, identity, reason)
            _forget(home, identity, purge=purge)
    except AlreadyRunning:
        raise AgentFault(
            f"The agent runs on {home.folder}: stop it first, so that it hands back its work."
        ) from None
    return identity


async def _tell(home: Home, identity: Identity, reason: str) -> None:
    async with HubClient(identity.hub, home.private_key()) as hub:
        try:
            for entry in Journal(home.tasks).entries():
                await Lease(hub, entry).give_back()
            message = LeaveIn(reason=reason)
            await hub.post("/api/v1/agent/leave", message, patience=PATIENCE_SECONDS)
        except Refused as refusal:
            if refusal.code not in GONE:
                raise


def _forget(home: Home, identity: Identity, *, purge: bool) -> None:
    """Without its key the agent is nobody; who it was stays beside the receipts."""
    everything = [path.name for path in home.folder.iterdir() if path.name != LAST]
    for name in everything if purge else (*FOLDERS, *FILES):
        _remove(home.folder / name)
    if not purge:
        home.identity_file.replace(home.folder / f"left-{identity.agent}.json")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
