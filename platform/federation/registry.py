"""Registry: implementations under the names that users choose and the database stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import TypeVar

T = TypeVar("T")


class UnknownName(KeyError):
    """Nothing is registered under this name; the message lists what is."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote the sentence


class Registry(Mapping[str, T]):
    """A read-only mapping from names to implementations, filled by decorators at import.

    >>> strategies: Registry[type[Strategy]] = Registry("strategy")
    >>> @strategies.register("stack_svd")
    ... class StackSvd: ...
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._known: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Put the decorated implementation under `name`; a name taken twice is a ValueError."""
        if name in self._known:
            raise ValueError(f"{self._kind} {name!r} is already registered")

        def keep(implementation: T) -> T:
            self._known[name] = implementation
            return implementation

        return keep

    def __getitem__(self, name: str) -> T:
        if name not in self._known:
            raise UnknownName(f"unknown {self._kind} {name!r}; known: {', '.join(sorted(self))}")
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def configured(registry: Registry[Callable[..., T]], name: str, **settings: object) -> T:
    """What is registered under this name, with those of the settings that are fields of it."""
    kind = registry[name]
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in settings.items() if key in known})
