"""Signing the files of a version in the OpenSSF Model Signing format, with the hub's model key.

The library signs folders. We hand it the digests that the files were stored under, so that a
version of many gigabytes need not be fetched and read again to be signed. Only workers read the
key; what they publish of it is a row that the web shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from django.conf import settings

from hub.catalogue.cards.attestations import SIGNATURE
from hub.catalogue.errors import ModelKeyUnusable
from hub.catalogue.models import ModelKey
from jobs.folders import scratch

if TYPE_CHECKING:
    from model_signing.manifest import Manifest

LEFT_OUT = (SIGNATURE, ".cache/huggingface")  # the last is the download client's own notes


def sign(name: str, digests: Mapping[str, str]) -> bytes:
    """The signature file over files by path and SHA-256; `name` is for people only.

    Raises:
        ModelKeyUnusable: the key is not there, or not one of its kind.
    """
    key = Path(settings.MODEL_SIGNING_KEY_FILE)
    publish_key(key)
    return bundle_of(key, name, digests)


def bundle_of(key: Path, name: str, digests: Mapping[str, str]) -> bytes:
    """The same with a key of the caller's, which nobody hears of."""
    with scratch() as folder:
        target = folder / SIGNATURE
        _signer(key, name, digests).sign(folder, target)
        return canonical(json.loads(target.read_bytes()))


def canonical(bundle: Mapping[str, Any]) -> bytes:
    """The one way the bundle is written, so that no byte of it can change unseen."""
    return json.dumps(bundle, sort_keys=True, separators=(",", ":")).encode()


def publish_key(path: Path) -> ModelKey:
    """Name the public half of the key, so that the web can show it; twice is once."""
    pem = public_pem(path)
    found, _ = ModelKey.objects.get_or_create(
        key_id=hashlib.sha256(pem.encode()).hexdigest(), defaults={"pem": pem}
    )
    return found


def public_pem(path: Path) -> str:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as wrong:
        raise ModelKeyUnusable(f"{path} holds no private key in PEM that can be read") from wrong
    form = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, form).decode()


def _signer(key: Path, name: str, digests: Mapping[str, str]) -> Any:
    from model_signing import hashing, signing

    class Known(hashing.Config):
        """Gives the digests that we know, and reads no file."""

        def hash(self, *_: object, **__: object) -> Manifest:
            return manifest_of(name, digests)

    config: Any = signing.Config  # a library that leaves some types out
    hashes: Any = Known
    try:
        signer = config().use_elliptic_key_signer(private_key=key)
    except ValueError as wrong:
        raise ModelKeyUnusable(str(wrong)) from wrong
    return signer.set_hashing_config(hashes())


def manifest_of(name: str, digests: Mapping[str, str]) -> Manifest:
    from model_signing._hashing.hashing import Digest
    from model_signing.manifest import FileManifestItem, Manifest, SerializationType

    by_file = {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": LEFT_OUT,
    }
    items = [
        FileManifestItem(path=PurePosixPath(path), digest=Digest("sha256", bytes.fromhex(sha256)))
        for path, sha256 in sorted(digests.items())
    ]
    return Manifest(name, items, SerializationType.from_args(by_file))
