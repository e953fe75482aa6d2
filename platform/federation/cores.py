"""Work spread over all cores, its results in the order of what was asked for.

Each piece of work is done by one thread, and libraries below it use no further ones: so what is
computed does not depend on how many cores there are.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def core_count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` of each item, on all cores; at most one more than there are cores are in flight.

    What one of them raises is raised when its turn comes, and the rest is not begun.
    """
    cores, ahead = core_count(), iter(items)
    with single_threaded(), ThreadPoolExecutor(cores, initializer=_be_single) as pool:
        waiting: deque[Future[R]] = deque(pool.submit(work, i) for i in islice(ahead, cores + 1))
        try:
            while waiting:
                done = waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(ahead, 1))
                yield done
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def single_threaded() -> Iterator[None]:
    """LAPACK and BLAS round differently with every number of threads."""
    before = torch.get_num_threads()
    _be_single()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _be_single() -> None:
    torch.set_num_threads(1)
