"""The key that a model is checked with: a file, or a hub's, pinned when it is first seen."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from verifier.bundles import key_id, read_key
from verifier.faults import KeyUnknown

WELL_KNOWN: Final = "/.well-known/foedus/model-keys.json"
LARGEST_ANSWER: Final = 1 << 20
PATIENCE: Final = 20  # seconds
OWN_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def key_for(named: str, source: str, pins: Path) -> EllipticCurvePublicKey:
    """The key with the id `named` out of a PEM file, or of the hub at an address.

    The keys of a hub are kept in `pins` when it is first asked, and believed from then on: another
    key that it shows later is refused.

    Raises:
        KeyUnknown.
    """
    if not source.startswith(("https://", "http://")):
        return read_key(_file(Path(source)))
    pinned = pins / re.sub(r"[^a-z0-9.]+", "_", source.split("://", 1)[1].lower().rstrip("/"))
    if not pinned.exists():
        _pin(pinned, _fetched(source))
    return _chosen(named, map(str, json.loads(pinned.read_bytes())), pinned)


def default_pins() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "foedus" / "model-keys"


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as absent:
        raise KeyUnknown(f"{path} cannot be read: {absent.strerror}") from absent


def _fetched(hub: str) -> list[str]:
    parts = urlsplit(hub)
    if parts.scheme != "https" and parts.hostname not in OWN_MACHINE:
        raise KeyUnknown("a key that comes without TLS could be anybody's: use https, or a file")
    try:
        with urlopen(hub.rstrip("/") + WELL_KNOWN, timeout=PATIENCE) as answer:  # noqa: S310  (http(s) only, by the caller)
            said = json.loads(answer.read(LARGEST_ANSWER))
        return [str(key["pem"]) for key in said["keys"]]
    except (URLError, OSError, ValueError, KeyError, TypeError) as wrong:
        raise KeyUnknown(f"{hub} shows no keys: {wrong}") from wrong


def _pin(path: Path, pems: list[str]) -> None:
    if not pems:
        raise KeyUnknown("the hub has not signed anything yet")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(pems))


def _chosen(named: str, pems: Iterable[str], pinned: Path) -> EllipticCurvePublicKey:
    for key in (read_key(pem.encode()) for pem in pems):
        if key_id(key) == named:
            return key
    raise KeyUnknown(
        f"model.sig: signed with the key {named[:16]}…, which this machine does not know the hub "
        f"by. Ask the hub's operator; if it is theirs, remove {pinned} and look again."
    )
