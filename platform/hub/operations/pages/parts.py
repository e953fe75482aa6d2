"""What every page of the console is made of: sections with facts and a table, drawn alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from hub.common.acts import act_url, acts_for, change_url

ROWS = 50  # of one page of a table
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Cell:
    """Words, and what may stand with them: a link, a moment, a state's tone, a share, acts."""

    text: object = ""
    url: str = ""
    note: str = ""  # a second line
    at: datetime | None = None
    tone: str = ""  # neutral, positive, active, attention or negative: drawn as a state
    share: float | None = None  # of a limit, drawn as a bar
    acts: Sequence[tuple[str, str]] = ()  # label and address
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    lead: str = ""
    facts: Sequence[tuple[str, Cell]] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    empty: str = ""
    acts: Sequence[tuple[str, str]] = ()
    more: tuple[str, str] | None = None
    page: Page[object] | None = None
    is_attention: bool = False
    name: str = field(default="", kw_only=True)

    @property
    def columns(self) -> Sequence[Sequence[tuple[str, Cell]]]:
        """Each row's cells with the heading of their column, which small screens show."""
        return [list(zip(self.head, row, strict=True)) for row in self.rows]


def number(value: int | None) -> Cell:
    return Cell("–" if value is None else f"{value:,}", is_number=True)


def size(text: str) -> Cell:
    return Cell(text, is_number=True)


def moment(at: datetime | None, otherwise: str = "–") -> Cell:
    return Cell(at=at) if at else Cell(otherwise)


def link(row: Model | None, words: object = "", note: str = "") -> Cell:
    """To the console's page of a row."""
    return Cell(words or row, url=change_url(row), note=note) if row else Cell("–")


def acts_of(row: Model, request: HttpRequest, *names: str) -> Cell:
    """The acts that fit the row; where it was acted, one is back here afterwards."""
    back = request.path
    fitting = [act for act in acts_for(row) if not names or act.name in names]
    return Cell(acts=[(act.label, act_url(row, act.name, back=back)) for act in fitting])


def page_of(rows: QuerySet[M], request: HttpRequest) -> Page[M]:
    """The part of a list that `?page=` asks for; odd numbers get the nearest page."""
    return Paginator(rows, ROWS).get_page(request.GET.get("page"))
