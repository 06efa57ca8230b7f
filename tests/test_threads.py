"""Threads change neither the order of results nor how much is in memory."""

import itertools
import threading
import time
import tracemalloc

import pytest

from bears_tl.threads import map_ahead


def slowest_first(i):
    time.sleep(0.02 / (1 + i % 4))
    return i


def test_results_come_in_the_order_of_the_items():
    assert list(map_ahead(slowest_first, range(40), ahead=8, threads=4)) == list(range(40))


def test_items_are_worked_on_at_the_same_time():
    together = threading.Barrier(3, timeout=10)  # breaks when one of three has to wait for another to end
    assert len(list(map_ahead(lambda _: together.wait(), range(3), ahead=3, threads=3))) == 3


@pytest.mark.parametrize("ahead", [1, 2, 7])
def test_never_more_than_ahead_are_taken_and_not_used(ahead):
    used, most = [], 0

    def items():
        nonlocal most
        for i in range(50):
            most = max(most, i + 1 - len(used))
            yield i

    for i in map_ahead(slowest_first, items(), ahead, threads=4):
        used.append(i)
    assert most == ahead and len(used) == 50


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_fewer_items_than_ahead_all_come(count):
    assert list(map_ahead(lambda i: -i, range(count), ahead=5)) == [-i for i in range(count)]


def test_an_error_comes_out_in_the_place_of_its_result():
    def but_five(i):
        if i == 5:
            raise ValueError("five")
        return slowest_first(i)

    came = []
    with pytest.raises(ValueError, match="five"):
        for i in map_ahead(but_five, range(40), ahead=8, threads=4):
            came.append(i)
    assert came == [0, 1, 2, 3, 4]


def test_an_error_of_the_items_comes_out():
    def items():
        yield 1
        raise OSError("the list ends")

    with pytest.raises(OSError, match="the list ends"):
        list(map_ahead(slowest_first, items(), ahead=4))


def test_who_leaves_early_starts_nothing_more():
    begun, go_on, items = [], threading.Event(), itertools.count()

    def wait(i):
        begun.append(i)
        if i:
            go_on.wait(10)
        return i

    results = map_ahead(wait, items, ahead=10, threads=2)
    assert next(results) == 0
    while len(begun) < 3:  # the first, and one for each thread
        time.sleep(0.001)
    threading.Timer(0.5, go_on.set).start()  # while `close` waits for the two that have begun
    results.close()
    assert sorted(begun) == [0, 1, 2] and next(items) == 10


def test_memory_does_not_grow_with_the_number_of_items():
    def peak_bytes(count):
        tracemalloc.start()
        for _ in map_ahead(lambda _: bytes(10_000), range(count), ahead=8, threads=2):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(20)  # what is loaded once does not count
    assert peak_bytes(2000) < 20 * 10_000
