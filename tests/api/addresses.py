"""Every address of the hub, from its URL patterns, and how a real one is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from django.urls import URLPattern, URLResolver, get_resolver

PARAMETER = re.compile(r"<(?:(\w+):)?(\w+)>|\(\?P<(\w+)>(?:[^()]|\([^)]*\))*\)")
FIXED = {
    "path": "adapter_model.safetensors",
    "index": "0",
    "sha256": "a" * 64,
    "owner": "hidden",
    "name": "v1",
    "number": "1",
    "secret": "nobodys-secret",
    "token": "nobodys-token",
    "step": "charter",
    "provider_id": "none",
    "revision": "main",
    "folder": "files",
    "kind": "datasets",
    "uidb36": "0",
    "key": "nokey",
    "object_id": "00000000-0000-0000-0000-000000000000",
    "content_type_id": "1",
    "app_label": "runs",
    "url": "nowhere",
}
AREAS = ("api/v1/agent/", "api/v1/", "hf/", "console/", "accounts/")


@dataclass(frozen=True)
class Address:
    """A pattern as the resolver has it, its parameters in it; and what answers there."""

    pattern: str
    callback: Any

    @property
    def view(self) -> Any:
        """The class, if it is one."""
        return getattr(self.callback, "cls", getattr(self.callback, "view_class", self.callback))

    @property
    def area(self) -> str:
        return next((area for area in AREAS if self.pattern.startswith(area)), "")

    @property
    def shape(self) -> str:
        """The address with {} for each parameter."""
        return plain(PARAMETER.sub("{}", self.pattern))

    @property
    def has_names(self) -> bool:
        """Some of its parameters name things that belong to somebody."""
        found = (match[2] or match[3] for match in PARAMETER.finditer(self.pattern))
        return any(name not in FIXED for name in found)

    @property
    def is_api(self) -> bool:
        return self.area.startswith("api/")

    @property
    def is_ours(self) -> bool:
        return str(self.callback.__module__).startswith("hub.")

    @property
    def is_declared(self) -> bool:
        """It says itself that one signs in, or that one need not."""
        return hasattr(self.callback, "login_url") or hasattr(self.callback, "login_required")

    @property
    def is_for_strangers(self) -> bool:
        return getattr(self.callback, "login_required", True) is False

    def filled(self, by_word: Mapping[str, str], slugs: Mapping[str, str]) -> str:
        """The path with real names in it.

        Raises:
            KeyError: nobody has said what stands for one of its parameters.
        """
        if re.fullmatch(r"(api/v1/)?participations/\{\}/(approve|refuse)", self.shape):
            by_word = {**by_word, "participations": by_word["requests"]}
        made, rest = "/", self.pattern
        while found := PARAMETER.search(rest):
            made += rest[: found.start()]
            made += _value(found, made, by_word, slugs)
            rest = rest[found.end() :]
        return plain(made + rest)

    def __str__(self) -> str:
        return self.pattern or "/"


def _value(
    found: re.Match[str], before: str, by_word: Mapping[str, str], slugs: Mapping[str, str]
) -> str:
    kind, name = found[1] or "", found[2] or found[3]
    word = next((part for part in reversed(before.rstrip("/").split("/")) if part), "")
    if kind == "slug" and word in slugs:
        return slugs[word]
    if name in FIXED:
        return FIXED[name]
    return by_word[plain(word)] if made_by_us(before) else "1"


def made_by_us(path: str) -> bool:
    return not path.startswith(("/console/", "/accounts/"))


def plain(pattern: str) -> str:
    return pattern.replace("^", "").replace("$", "")


def absent(names: Mapping[str, str]) -> dict[str, str]:
    """Names of the same shape that nothing has."""
    return {
        word: str(uuid4()) if _is_uuid(name) else f"no-{uuid4()}" for word, name in names.items()
    }


def _is_uuid(name: str) -> bool:
    return re.fullmatch(r"[0-9a-f-]{36}", name) is not None


def _walk(resolver: URLResolver, before: str = "") -> Iterator[Address]:
    for one in resolver.url_patterns:
        path = before + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from _walk(one, path)
        elif isinstance(one, URLPattern):
            yield Address(path, one.callback)


@cache
def addresses() -> tuple[Address, ...]:
    return tuple(_walk(get_resolver()))
