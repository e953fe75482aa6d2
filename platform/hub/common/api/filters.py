"""Filters and orders of lists: those that a view names, and no others."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

ORDERING = "ordering"


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # no types
    """Filters by the view's `filterset_class`, orders by one of its `ordering_fields`.

    Every other parameter of the query is refused; silence would mean «all» to the caller.
    """

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> QuerySet[Any]:
        filterset = self.get_filterset(request, queryset, view)
        known = self._known(view) | set(filterset.filters if filterset else ())
        if unknown := sorted(set(request.query_params) - known)[:10]:
            wrong = {name[:80]: ["There is no such parameter."] for name in unknown}
            raise ValidationError(wrong, code="unknown_parameter")
        filtered: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return filtered

    def get_ordering(
        self,
        request: Request,
        queryset: QuerySet[Any],
        view: Any,
    ) -> tuple[str, ...]:
        """The order that cursors follow: the one asked for, else the view's own."""
        stated: tuple[str, ...] = tuple(view.ordering)
        asked = request.query_params.get(ORDERING)
        if asked is None:
            return stated
        if asked.removeprefix("-") not in getattr(view, "ordering_fields", ()):
            raise ValidationError({ORDERING: ["The list has no such order."]})
        return (asked, *(name for name in stated if name.lstrip("-") != asked.lstrip("-")))

    def _known(self, view: Any) -> set[str]:
        paginator: Any = view.paginator
        names = {paginator.cursor_query_param, paginator.page_size_query_param}
        return names | ({ORDERING} if getattr(view, "ordering_fields", ()) else set())

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe `ordering`; the filters describe themselves."""
        fields = getattr(view, "ordering_fields", ())
        values = [sign + name for name in fields for sign in ("", "-")]
        schema = {"type": "string", "enum": values}
        about = "Order of the list; `-` turns it round."
        parameter = {"name": ORDERING, "in": "query", "required": False, "description": about}
        return [parameter | {"schema": schema}] if fields else []
