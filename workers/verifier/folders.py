"""A downloaded model: every file as it was signed, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from verifier.bundles import LARGEST_BUNDLE, signed_digests
from verifier.faults import FileWrong, SignatureWrong

SIGNATURE: Final = "model.sig"
LINEAGE: Final = "lineage.json"
WEIGHTS: Final = "adapter_model.safetensors"
NOTES: Final = ".cache/huggingface/"  # what the Hugging Face client writes beside a download


@dataclass(frozen=True, slots=True)
class Verified:
    files: Mapping[str, str]  # SHA-256 by path
    lineage: Mapping[str, Any]


def verify_folder(folder: Path, key: EllipticCurvePublicKey) -> Verified:
    """Check a download against its own signature; files of the client's cache may be links.

    Raises:
        SignatureWrong: before any file is looked at.
        FileWrong: with the name of the first wrong file.
    """
    signed = signed_digests(read_signature(folder), key)
    found = dict(_files(folder))
    for path in sorted(signed.keys() | found.keys()):
        _check(path, signed.get(path), found.get(path))
    return Verified(signed, _lineage(folder, signed))


def read_signature(folder: Path) -> bytes:
    path = folder / SIGNATURE
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BUNDLE + 1)
    except OSError as absent:
        raise SignatureWrong("there is no signature to read") from absent
    if len(content) > LARGEST_BUNDLE:
        raise SignatureWrong("too large to be a signature")
    return content


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Everything that lies there, except the signature and the download client's notes."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name == SIGNATURE or name.startswith(NOTES):
            continue
        if path.is_symlink() or not path.is_dir():
            yield name, path


def _check(name: str, signed: str | None, path: Path | None) -> None:
    if path is None:
        raise FileWrong(f"{name}: signed, but not there")
    if signed is None:
        raise FileWrong(f"{name}: there, but not signed")
    if not path.is_file():
        raise FileWrong(f"{name}: not a file")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as unreadable:
        raise FileWrong(f"{name}: cannot be read: {unreadable.strerror}") from unreadable
    if digest != signed:
        raise FileWrong(f"{name}: not the file that was signed")


def _lineage(folder: Path, signed: Mapping[str, str]) -> Mapping[str, Any]:
    """What the file says, which has been checked by now; it must be about these weights."""
    if LINEAGE not in signed:
        raise FileWrong(f"{LINEAGE}: signed without it, so nothing says where the model is from")
    statement = json.loads((folder / LINEAGE).read_bytes())
    match statement:
        case {
            "subject": [{"name": str(name), "digest": {"sha256": str(digest)}}],
            "predicate": dict(predicate),
        } if signed.get(name) == digest:
            return predicate
    raise FileWrong(f"{LINEAGE}: about other weights")
