"""Work in threads, kept in order and kept within memory."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int, threads: int | None = None
) -> Iterator[Result]:
    """Yield function(item) in the order of the items, computed in threads, at most `ahead` items before they are used.

    `Executor.map` takes all items at once, so that its memory grows with them when they are made faster than used.

    Args:
        function: what to do with an item; what it raises comes out where its result would.
        items: taken one by one, as results are used.
        ahead: how many may wait or be in work, 1 or more.
        threads: how many; one a core by default.
    """
    waiting: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # the user left early: what has not begun is not begun
            for future in waiting:
                future.cancel()
