"""Database work in the middle of asynchronous views."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")


def off_loop(function: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Call a synchronous function in the request's thread and give its connection back.

    Django returns a connection to the pool when the request ends. A request that then waits, for
    work or for news, would keep one of a dozen from everybody else.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        finally:
            for connection in connections.all(initialized_only=True):
                if not connection.in_atomic_block:
                    connection.close()

    return sync_to_async(call)
