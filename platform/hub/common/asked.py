"""Queries that are asked hundreds of times a second: the ORM writes them once, for all values.

To build a query of five tables and to write its SQL costs a process more than to ask it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet

ModelT = TypeVar("ModelT", bound=Model)
Row = tuple[Any, ...]


class Asked:
    """The SQL of a query in which blanks stand for values that are not known yet.

    `blanks`: by name, what stands in the query for each; nothing else in it may be equal to one.
    """

    def __init__(self, query: QuerySet[Any], **blanks: object) -> None:
        self._sql, written = query.query.sql_with_params()
        self._values = [(_name_of(value, blanks), value) for value in written]
        if missing := blanks.keys() - {name for name, _ in self._values}:
            raise ValueError(f"not in the query: {missing}")

    def first(self, **values: Any) -> Row | None:
        """The first row of the answer, as the database gives it."""
        told = [values[name] if name else value for name, value in self._values]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, told)
            row: Row | None = cursor.fetchone()
        return row


def _name_of(value: object, blanks: Mapping[str, object]) -> str | None:
    return next((name for name, blank in blanks.items() if blank == value), None)


def instance_of(model: type[ModelT], columns: Iterator[Any]) -> ModelT:
    """A row of the model; takes as many of the columns as it has, in their order."""
    fields = model._meta.concrete_fields  # noqa: SLF001 (documented)
    values = [_read(field, value) for field, value in zip(fields, columns, strict=False)]
    return model.from_db(connection.alias, [field.attname for field in fields], values)


def _read(field: Any, value: object) -> object:
    convert = getattr(field, "from_db_value", None)
    return convert(value, None, connection) if convert else value
