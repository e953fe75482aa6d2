"""What operators may do to rows: safe acts through services, each with a reason.

Every app offers the acts that its services allow; `hub.operations` adds those that reach over
several apps. The console shows those that fit a row's state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator may do to a row while it is in one of `states` (empty: in any).

    `perform` takes the row's id, who acts, and why, and by name what `asks` has fields for. A
    dangerous act asks for the password again.
    """

    name: str
    label: str
    consequence: str
    perform: Callable[..., object]
    states: frozenset[str] = frozenset()
    when: Callable[[Any], bool] | None = None  # for what a state does not say
    is_dangerous: bool = False
    icon: str = "bolt"
    asks: Mapping[str, Callable[[], forms.Field]] = field(default_factory=dict)

    def fits(self, row: Model) -> bool:
        fits_state = not self.states or getattr(row, "state", None) in self.states
        return fits_state and (self.when is None or self.when(row))


_offered: dict[type[Model], list[Act]] = {}


def offer(model: type[Model], *acts: Act) -> None:
    """Put acts on a model's pages. Two of one name are a mistake."""
    known = _offered.setdefault(model, [])
    if taken := {act.name for act in known} & {act.name for act in acts}:
        raise ValueError(f"{model.__name__} has {taken} already")
    known.extend(acts)


def acts_for(row: Model) -> list[Act]:
    return [act for act in _offered.get(type(row), []) if act.fits(row)]


def change_url(row: Model) -> str:
    """Where the console shows a row."""
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[quote(row.pk)])  # noqa: SLF001


def act_url(row: Model, name: str, *, back: str = "") -> str:
    """The page that asks before acting on a row; `back` is where to go afterwards."""
    model = row._meta.label_lower.replace(".", "_")  # noqa: SLF001
    url = reverse(f"admin:{model}_act", args=[quote(row.pk), name])
    return f"{url}?{urlencode({'next': back})}" if back else url
