"""Versions of the protocol: which of them understand each other, and how.

Every request of an agent says its version, every answer the hub's. A minor version adds: fields
with defaults, messages, values. Two sides understand each other if their major versions are equal
and their minor ones differ by one at most. An agent leaves out what a hub of before does not know;
otherwise the side that is behind passes over such fields. What must not be passed over is hashed
or signed, and so is found out: a plan by its digest, a statement by its signature (its fields
change with its type alone).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from federation.protocol import PROTOCOL_VERSION, Message

SKEW: Final = 1  # minor versions
_VERSION = re.compile(r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})", re.ASCII)


class NotUnderstood(ValueError):
    """The other side's version is none of ours; the message says which are."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    major: int
    minor: int

    @classmethod
    def of(cls, text: str) -> Self:
        """Raises NotUnderstood for what is no version."""
        if not (found := _VERSION.fullmatch(text)):
            raise NotUnderstood(f"{text[:20]!r} is no version of the protocol; {_ours_in_words()}")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side of a request, which we understand."""

    version: Version

    @property
    def extra(self) -> Literal["ignore"] | None:
        """For `model_validate_json`: what it says beyond our knowledge, if it may."""
        return "ignore" if self.version > Version.of(PROTOCOL_VERSION) else None


def understood(theirs: str | None) -> Peer:
    """The peer that says this version; one that says none is taken to speak ours.

    Raises NotUnderstood.
    """
    ours = Version.of(PROTOCOL_VERSION)
    version = ours if theirs is None else Version.of(theirs)
    if version.major != ours.major or abs(version.minor - ours.minor) > SKEW:
        raise NotUnderstood(f"it speaks version {version} of the protocol; {_ours_in_words()}")
    return Peer(version)


def told_to(message: Message, version: Version) -> dict[str, object]:
    """The message as JSON takes it, without the fields that came after that version."""
    return message.model_dump(mode="json", exclude=_later(message, version))


def _later(message: Message, version: Version) -> dict[str, Any]:
    """What to leave out of a message, and of those in its fields, as pydantic takes it."""
    found: dict[str, Any] = {}
    for name, value in message:
        if message.since.get(name, 0) > version.minor:
            found[name] = True
        elif inner := _inside(value, version):
            found[name] = inner
    return found


def _inside(value: object, version: Version) -> dict[Any, Any]:
    """The same of what a field holds: a message, or several."""
    if isinstance(value, Message):
        return _later(value, version)
    if not isinstance(value, tuple):
        return {}
    each = ((place, _inside(one, version)) for place, one in enumerate(value))
    return {place: inner for place, inner in each if inner}


def _ours_in_words() -> str:
    ours = Version.of(PROTOCOL_VERSION)
    first, last = (Version(ours.major, max(0, ours.minor + by)) for by in (-SKEW, SKEW))
    return f"{ours} is spoken here, and {first} to {last} are understood"
