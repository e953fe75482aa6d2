"""Signed requests of agents: RFC 9421 with Ed25519, RFC 9530 digests of the body.

A request carries exactly one signature over exactly COMPONENTS, with exactly PARAMETERS. Anything
else that the RFC allows is refused: what need not be understood cannot be misunderstood. That a
nonce is new is for the caller to check; the hub has a table for it.

Signing is the library's. For verifying we take its resolver of components and its parser of
structured fields, but not its verifier, which reads the clock by itself and answers every refusal
with one exception. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import http_sf
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPSignatureComponentResolver,
    MappingKeyResolver,
)
from http_message_signatures.algorithms import ED25519
from http_sf.compat import Item

from federation import keys
from federation.keys import (
    BadKey,
    BadSignature,
    check_public_key,
    generate_private_key,
    key_id,
    public_key,
    public_key_of,
    sign_bytes,
    verify_bytes,
)

__all__ = [
    "COMPONENTS",
    "BadKey",
    "BadSignature",
    "SignatureRefused",
    "Verified",
    "check_digest",
    "check_public_key",
    "content_digest",
    "generate_private_key",
    "key_id",
    "new_nonce",
    "public_key_of",
    "sign_bytes",
    "sign_request",
    "verify_bytes",
    "verify_head",
    "verify_request",
]

COMPONENTS = ("@method", "@authority", "@path", "@query", "content-digest", "content-type")
PARAMETERS = frozenset({"created", "expires", "nonce", "keyid", "alg", "tag"})
ALGORITHM = "ed25519"
TAG = "fl-agent"
LABEL = "sig"
LIFETIME = timedelta(seconds=120)
WINDOW = timedelta(seconds=120)

_COVERED_FIELDS = frozenset(name for name in COMPONENTS if not name.startswith("@"))
_FIELDS = _COVERED_FIELDS | {"signature", "signature-input"}
_LONGEST_FIELD = 1024  # characters of any field that takes part
_KEY_ID = re.compile(r"[0-9a-f]{64}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{22,64}")  # at least 128 bits in base64url


@dataclass(frozen=True, slots=True)
class _Request:
    """What the library asks of a message."""

    method: str
    url: str
    headers: MutableMapping[str, str]


# The library's class has no annotations.
_components_of: Callable[[_Request], Any] = HTTPSignatureComponentResolver


class SignatureRefused(ValueError):
    """A request is not signed as it must be. `code` is stable, `detail` is for people.

    Codes: unsigned, malformed, components, algorithm, tag, clock_skew, expired, unknown_key,
    bad_digest, bad_signature.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Verified:
    """Who signed a request and when; `nonce` has not been checked for being new."""

    key_id: str
    nonce: str
    created: datetime


@dataclass(frozen=True, slots=True)
class _Signature:
    """The one signature of a request, well-formed but not verified."""

    parameters: Mapping[str, object]
    serialised: str  # the value of @signature-params
    value: bytes


def new_nonce() -> str:
    """128 random bits; every request has its own, also a retry."""
    return secrets.token_urlsafe(16)


def sign_request(
    *,
    private_key: bytes,
    key_id: str,
    method: str,
    url: str,
    headers: MutableMapping[str, str],
    body: bytes,
    now: datetime,
    nonce: str,
    sha256_of_body: bytes | None = None,
) -> None:
    """Add Content-Digest, Signature-Input and Signature; Content-Type is JSON where none is set.

    `url` is the absolute URL as it is sent, `headers` those that are sent and of which the agent
    signs two. Digest and signature of an earlier attempt are replaced. A body whose SHA-256 is
    given is not hashed again.
    """
    for stale in [name for name in headers if name.lower() == "content-digest"]:
        del headers[stale]
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    if sha256_of_body is not None:
        headers["Content-Digest"] = content_digest(sha256_of_body)
    HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=_signer(key_id, private_key)).sign(
        _Request(method, url, headers),
        key_id=key_id,
        created=now,
        expires=now + LIFETIME,
        nonce=nonce,
        label=LABEL,
        tag=TAG,
        covered_component_ids=COMPONENTS,
        body=body if sha256_of_body is None else None,
        use_existing_digest=sha256_of_body is not None,
    )


def content_digest(sha256_of_body: bytes) -> str:
    """The value of Content-Digest (RFC 9530)."""
    return f"sha-256=:{b64encode(sha256_of_body).decode()}:"


def _signer(key_id: str, raw: bytes) -> MappingKeyResolver:
    return MappingKeyResolver(public_keys={}, private_keys={key_id: keys.private_key(raw)})


def verify_request(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    resolve_key: Callable[[str], bytes],
    now: datetime,
) -> Verified:
    """Who signed this request; raises SignatureRefused. See `verify_head` for the parameters."""
    verified = verify_head(
        method=method, url=url, headers=headers, resolve_key=resolve_key, now=now
    )
    check_digest(headers, hashlib.sha256(body).digest())
    return verified


def verify_head(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    resolve_key: Callable[[str], bytes],
    now: datetime,
) -> Verified:
    """Who signed this request, the body apart: first of two steps, for a body still to be read.

    The signature covers the digest that the body was announced with; the request counts only once
    `check_digest` has compared it with the body. `url` is absolute, with the host that the client
    addressed and the path and query as they came. `resolve_key` gives the public key of a key id
    and raises LookupError for one that is unknown, revoked or out of date; it is asked for
    well-formed ids only. Raises SignatureRefused.
    """
    fields = _fields(headers)
    signature = _parsed(fields)
    key, nonce, created = _checked(signature.parameters, now)
    base = _signature_base(_Request(method, url, fields), signature.serialised)
    try:
        _resolved(key, resolve_key).verify(signature.value, base)
    except InvalidSignature as error:
        raise SignatureRefused("bad_signature", "the signature is of something else") from error
    return Verified(key, nonce, datetime.fromtimestamp(created, UTC))


def check_digest(headers: Mapping[str, str], sha256_of_body: bytes) -> None:
    """Raise SignatureRefused("bad_digest") unless Content-Digest is the body's, in SHA-256."""
    announced = _dictionary(_fields(headers).get("content-digest", ""), "bad_digest")
    value = announced.get("sha-256")
    if len(announced) != 1 or not isinstance(value, tuple) or not isinstance(value[0], bytes):
        raise SignatureRefused("bad_digest", "Content-Digest is not one SHA-256")
    if not hmac.compare_digest(value[0], sha256_of_body):
        raise SignatureRefused("bad_digest", "the body is not the one that was signed")


def _fields(headers: Mapping[str, str]) -> dict[str, str]:
    """The fields that take part, each once and short."""
    fields: dict[str, str] = {}
    for name, value in headers.items():
        if (lower := name.lower()) not in _FIELDS:
            continue
        if lower in fields or len(value) > _LONGEST_FIELD or not _is_plain(value):
            raise SignatureRefused("malformed", f"{lower} is repeated, too long or not plain text")
        fields[lower] = value
    return fields


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _parsed(fields: Mapping[str, str]) -> _Signature:
    if "signature" not in fields or "signature-input" not in fields:
        raise SignatureRefused("unsigned", "the request has no signature")
    inputs = _dictionary(fields["signature-input"], "malformed")
    values = _dictionary(fields["signature"], "malformed")
    if len(inputs) != 1 or inputs.keys() != values.keys():
        raise SignatureRefused("malformed", "a request carries one signature")
    ((label, member),) = inputs.items()
    match member, values[label]:
        case (list(components), dict(parameters)), (bytes(value), dict(extra)) if not extra:
            _check_components(components, fields)
            serialised = http_sf.ser(cast("http_sf.DictionaryType", inputs))
            return _Signature(parameters, serialised.removeprefix(f"{label}="), value)
    raise SignatureRefused("malformed", "a signature is a list of components and a value")


def _check_components(components: list[object], fields: Mapping[str, str]) -> None:
    if components != [(name, {}) for name in COMPONENTS]:
        raise SignatureRefused("components", f"exactly these are signed: {' '.join(COMPONENTS)}")
    if missing := _COVERED_FIELDS - fields.keys():
        raise SignatureRefused("components", f"signed but not there: {' '.join(sorted(missing))}")


def _checked(parameters: Mapping[str, object], now: datetime) -> tuple[str, str, int]:
    """The key id, nonce and time of creation, all parameters being as they must be."""
    match dict(parameters):
        case {
            "created": int(created),
            "expires": int(expires),
            "nonce": str(nonce),
            "keyid": str(key),
            "alg": str(algorithm),
            "tag": str(tag),
            **more,
        } if not more:
            pass
        case _:
            raise SignatureRefused("malformed", f"needed are {' '.join(sorted(PARAMETERS))}")
    if algorithm != ALGORITHM:
        raise SignatureRefused("algorithm", f"the algorithm is {ALGORITHM}")
    if tag != TAG:
        raise SignatureRefused("tag", f"the tag is {TAG}")
    if not _NONCE.fullmatch(nonce):
        raise SignatureRefused("malformed", "the nonce is not 128 bits or more in base64url")
    _check_times(created, expires, now.timestamp())
    return key, nonce, created


def _check_times(created: int, expires: int, now: float) -> None:
    if not 0 < expires - created <= LIFETIME.total_seconds():
        raise SignatureRefused("malformed", f"a signature lives {LIFETIME.seconds} s at most")
    if abs(created - now) > WINDOW.total_seconds():
        raise SignatureRefused("clock_skew", f"made {now - created:.0f} s ago by the hub's clock")
    if now > expires:
        raise SignatureRefused("expired", f"expired {now - expires:.0f} s ago")


def _resolved(key: str, resolve_key: Callable[[str], bytes]) -> Ed25519PublicKey:
    if not _KEY_ID.fullmatch(key):
        raise SignatureRefused("unknown_key", "a key id is 64 hexadecimal digits")
    try:
        raw = resolve_key(key)
        found = public_key(raw)
    except (LookupError, BadKey) as error:
        raise SignatureRefused("unknown_key", "no such key in force") from error
    if key_id(raw) != key:
        raise SignatureRefused("unknown_key", "the key is not the one of this id")
    return found


def _signature_base(request: _Request, serialised: str) -> bytes:
    """What was signed: RFC 9421, section 2.5."""
    try:
        resolver = _components_of(request)
        values = [str(resolver.resolve(Item(name))) for name in COMPONENTS]
    except HTTPMessageSignaturesException as error:
        raise SignatureRefused("malformed", "the request's target is not well-formed") from error
    if not all(map(_is_plain, values)):
        raise SignatureRefused("malformed", "a signed value is not plain text")
    lines = [f'"{name}": {value}' for name, value in zip(COMPONENTS, values, strict=True)]
    return "\n".join([*lines, f'"@signature-params": {serialised}']).encode("ascii")


def _dictionary(value: str, code: str) -> dict[str, object]:
    """A structured field of the dictionary kind (RFC 9651) without duplicate keys."""

    def refuse(key: str, context: str) -> None:
        raise SignatureRefused(code, f"{context} {key} occurs twice")

    try:
        parsed = http_sf.parse(value.encode("ascii"), tltype="dictionary", on_duplicate_key=refuse)
    except http_sf.StructuredFieldError as error:
        raise SignatureRefused(code, "not a structured field") from error
    return cast("dict[str, object]", parsed)  # tltype="dictionary" promises it
