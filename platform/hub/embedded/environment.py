"""The environment of a hub on one machine: its services and its secrets."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from hub.embedded.errors import Unavailable
from hub.embedded.folder import kept_file, kept_secret, made
from hub.embedded.services import services


@contextmanager
def environment(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the variables that the settings need and nobody has set, while services answer them.

    Where DATABASE_URL and REDIS_URL are set, the hub is somebody's installation: nothing is added.
    """
    databases = {name for name in ("DATABASE_URL", "REDIS_URL") if is_set(name)}
    if databases == {"DATABASE_URL", "REDIS_URL"}:
        yield {}
        return
    if databases:
        raise Unavailable(
            f"{databases.pop()} is set alone: set DATABASE_URL, REDIS_URL and BROKER_URL, or none."
        )
    with services(folder) as urls:
        secrets_and_folder = {
            "FOEDUS_HOME": str(made(folder)),
            "SECRET_KEY": kept_secret(folder / "secret_key", secret_key),
            "HUB_SIGNING_KEY": kept_secret(folder / "signing_key", signing_key),
            "MODEL_SIGNING_KEY_FILE": kept_file(folder / "model_signing_key", model_key),
            **ledger_keys(folder),
        }
        missing = {name: text for name, text in secrets_and_folder.items() if not is_set(name)}
        yield {**urls.as_environment(), **missing}


def is_set(name: str) -> bool:
    """Say whether the settings find a value, or the file of one."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def offline_environment() -> dict[str, str]:
    """Return what lets the settings load for commands that reach no service."""
    nowhere = {
        "DATABASE_URL": "postgres://nobody@//nowhere/nothing",
        "REDIS_URL": "unix:///nowhere/redis.sock",
        "BROKER_URL": "redis+socket:///nowhere/redis.sock",
        "SECRET_KEY": secret_key(),
        "HUB_SIGNING_KEY": signing_key(),
    }
    return {name: text for name, text in nowhere.items() if not is_set(name)}


def secret_key() -> str:
    return secrets.token_urlsafe(48)


def model_key() -> str:
    """Return a new ECDSA key as PEM; the processes get the path of its file only."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    kind = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *kind).decode()


def ledger_keys(folder: Path) -> dict[str, str]:
    """Where the ledgers' key is, and by which public key everybody checks what it signed."""
    file = kept_file(folder / "ledger_key", ledger_key)
    host = urlsplit(os.environ.get("PUBLIC_URL", "")).hostname or "localhost"
    name = f"{host}-{secrets.token_hex(4)}"
    public = kept_secret(folder / "ledger_verifier_key", lambda: verifier_key(name, Path(file)))
    return {"LEDGER_KEY_FILE": file, "LEDGER_VERIFIER_KEY": public}


def ledger_key() -> str:
    """Return a new Ed25519 key as PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    kind = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(serialization.Encoding.PEM, *kind).decode()


def verifier_key(name: str, file: Path) -> str:
    """Return the key's public half as checkers of signed notes take it (c2sp.org/signed-note)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    public = b"\x01" + key.public_key().public_bytes_raw()
    number = hashlib.sha256(f"{name}\n".encode() + public).hexdigest()[:8]
    return f"{name}+{number}+{base64.b64encode(public).decode()}"


def signing_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
