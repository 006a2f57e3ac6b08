"""Guests act under the clock's lock while its holder waits for them."""

import threading
from datetime import timedelta

import pytest

from gpuctl.sandbox.metal.floor import Floor
from gpuctl.sandbox.world import SandboxClock


@pytest.fixture
def floor():
    return Floor(SandboxClock())


def test_what_was_posted_is_granted_even_when_all_is_done_already(floor):
    seen = []
    with floor.clock.lock:
        floor.post(lambda: seen.append(1))
        assert floor.serve_until(lambda: True, timedelta())
        assert seen == [1]


def test_a_wish_of_another_thread_is_granted_by_the_waiting_holder(floor):
    seen = []
    guest = threading.Thread(target=floor.run, args=(lambda: seen.append(threading.get_ident()),))
    with floor.clock.lock:
        guest.start()
        assert floor.serve_until(lambda: bool(seen), timedelta(seconds=5))
    guest.join()
    assert seen == [threading.get_ident()]


def test_waiting_has_a_limit(floor):
    with floor.clock.lock:
        assert not floor.serve_until(lambda: False, timedelta(milliseconds=100))


def test_whoever_wished_hears_what_went_wrong(floor):
    with pytest.raises(KeyError):
        floor.run({}.popitem)
