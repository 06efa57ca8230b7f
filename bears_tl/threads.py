"""Map a function over items in threads, in order and with bounded memory."""

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
    """Yield function(item) in the order of the items, computed in threads, at most `ahead` items in advance.

    `Executor.map` submits all items at once, so its memory grows if results are consumed more slowly than computed.

    Args:
        function: applied to each item; an exception is raised in place of the item's result.
        items: consumed one by one, as results are consumed.
        ahead: how many items may be pending or running, 1 or more.
        threads: number of threads; by default one per core.
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
        finally:  # if the caller stopped early, cancel what has not started
            for future in waiting:
                future.cancel()
