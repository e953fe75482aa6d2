"""A signature in the OpenSSF Model Signing format: a Sigstore bundle around a DSSE envelope.

The envelope's payload is an in-toto statement that lists every file with its digest. We accept
exactly the form that the hub writes (docs/adr/0014): bundles are compared with their own
canonical JSON, so that no byte of the file can be changed without being noticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from verifier.faults import KeyUnknown, SignatureWrong

LARGEST_BUNDLE: Final = 4 << 20  # bytes; some 20,000 files
BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://model_signing/signature/v1.0"


def read_key(pem: bytes) -> EllipticCurvePublicKey:
    """Raises KeyUnknown unless these are the PEM of a public key on the curve P-256."""
    try:
        key = load_pem_public_key(pem)
    except ValueError as wrong:
        raise KeyUnknown("the key is not a public key in PEM") from wrong
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise KeyUnknown("the key is not an ECDSA key on the curve P-256")
    return key


def key_id(key: EllipticCurvePublicKey) -> str:
    """How a bundle names its key: SHA-256 of the PEM."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def named_key(content: bytes) -> str:
    """The id of the key that a bundle says it was signed with; nothing is verified."""
    match _bundle(content):
        case {"verificationMaterial": {"publicKey": {"hint": str(hint)}}}:
            return hint
    raise SignatureWrong("the signature names no key")


def signed_digests(content: bytes, key: EllipticCurvePublicKey) -> dict[str, str]:
    """SHA-256 of every signed file by its path.

    Raises:
        SignatureWrong: the bundle is not as the hub writes it, or not signed with this key.
    """
    payload = _verified(_envelope(_bundle(content), key), key)
    return _digests(_json(payload, "the signed statement"))


def _bundle(content: bytes) -> Mapping[str, Any]:
    bundle = _json(content, "the signature")
    if json.dumps(bundle, sort_keys=True, separators=(",", ":")).encode() != content:
        raise SignatureWrong("the signature is not written as a hub writes it")
    return bundle


def _envelope(bundle: Mapping[str, Any], key: EllipticCurvePublicKey) -> Mapping[str, Any]:
    match bundle:
        case {
            "mediaType": str(media_type),
            "verificationMaterial": {
                "publicKey": {"hint": str(hint), **other},
                "tlogEntries": [],
                **further,
            },
            "dsseEnvelope": dict(envelope),
            **more,
        } if media_type == BUNDLE and not (other or further or more):
            if hint != key_id(key):
                raise SignatureWrong(f"signed with the key {hint[:16]}…, which is another one")
            return envelope
    raise SignatureWrong("the signature is not a bundle over files with one key")


def _verified(envelope: Mapping[str, Any], key: EllipticCurvePublicKey) -> bytes:
    """The payload, once its signature has been checked; before that it is not looked at."""
    match envelope:
        case {
            "payload": str(payload),
            "payloadType": str(kind),
            "signatures": [{"sig": str(signature), **other}],
            **more,
        } if kind == PAYLOAD and not more and other in ({}, {"keyid": ""}):
            signed = _bytes(payload)
        case _:
            raise SignatureWrong("the envelope is not one with one signature")
    head = f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(signed)} ".encode()
    try:
        key.verify(_bytes(signature), head + signed, ECDSA(SHA256()))
    except InvalidSignature as wrong:
        raise SignatureWrong("the signature is not of these files by this key") from wrong
    return signed


def _digests(statement: Mapping[str, Any]) -> dict[str, str]:
    match statement:
        case {
            "_type": str(kind),
            "predicateType": str(predicate_type),
            "predicate": {"serialization": {"method": "files"}, "resources": list(resources)},
        } if (kind, predicate_type) == (STATEMENT, PREDICATE):
            return dict(map(_digest, resources))
    raise SignatureWrong("what is signed is not a list of files")


def _digest(resource: object) -> tuple[str, str]:
    match resource:
        case {"name": str(name), "digest": str(digest), "algorithm": "sha256"}:
            return name, digest
    raise SignatureWrong("what is signed is not a list of files by SHA-256")


def _json(content: bytes, what: str) -> Mapping[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as wrong:
        raise SignatureWrong(f"{what} is not JSON") from wrong
    if not isinstance(parsed, dict):
        raise SignatureWrong(f"{what} is not an object")
    return parsed


def _bytes(text: str) -> bytes:
    """Base64 in its one canonical form."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise SignatureWrong("a part of the signature is not base64") from wrong
    if base64.b64encode(content).decode() != text:
        raise SignatureWrong("a part of the signature is not base64 as it is written")
    return content
