"""Pages of lists by cursor: stable while rows come in, and as cheap at the end as at the start."""

from __future__ import annotations

from typing import Any, Never

from django.conf import settings
from django.core.exceptions import ValidationError as FieldError
from django.db import DataError
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


class CursorPage(CursorPagination):
    """`next`, `previous` and `results`; the view states the order as `ordering`."""

    page_size_query_param = "page_size"
    max_page_size = 100

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        try:
            page: list[Any] | None = super().paginate_queryset(queryset, request, view)
        except (FieldError, ValueError, DataError):
            self._refuse_cursor()  # somebody made it up
        self.base_url = settings.PUBLIC_URL + request.get_full_path()
        return page

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor: Cursor | None = super().decode_cursor(request)
        except NotFound:
            self._refuse_cursor()
        return cursor

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get("page_size")
        if asked is None:
            return int(self.page_size or self.max_page_size)
        if not (asked.isascii() and asked.isdigit() and len(asked) < 4):  # noqa: PLR2004
            self._refuse_size()
        if not 1 <= int(asked) <= self.max_page_size:
            self._refuse_size()
        return int(asked)

    def _refuse_size(self) -> Never:
        raise ValidationError({"page_size": [f"Between 1 and {self.max_page_size}."]})

    def _refuse_cursor(self) -> Never:
        raise ValidationError({"cursor": ["Follow the links of a page; this is none of them."]})
