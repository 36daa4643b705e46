"""Threads side by side: bounded, in order, stoppable; and who looks on knows when all are idle."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.voice.clock import Clock
from toolchain.voice.lanes import Activity, Channel, Gate, ahead
from toolchain.voice.running import Cancellation, Cancelled, check

FAR_MS = 60_000.0


def drained(channel: Channel[int], clock: Clock) -> list[int]:
    found: list[int] = []
    while not channel.over:
        found += channel.take(clock.now_ms() + FAR_MS, clock)
    return found


def endless(made: list[int]) -> Iterator[int]:
    while True:
        made.append(len(made))
        yield made[-1]


def doubled(source: Iterator[int]) -> Iterator[int]:
    for item in source:
        yield item
        yield item


@settings(max_examples=30)
@given(st.lists(st.integers(), max_size=30), st.integers(1, 5), st.integers(1, 3))
def test_what_goes_in_comes_out_in_order(items: list[int], depth: int, lanes: int) -> None:
    activity, cancellation = Activity(), Cancellation()
    channel = ahead(iter(items), depth, activity, cancellation)
    for _ in range(lanes):
        channel = ahead(doubled(iter(channel)), depth, activity, cancellation)
    assert drained(channel, Clock()) == [item for item in items for _ in range(2**lanes)]


def test_a_lane_is_at_most_its_depth_ahead() -> None:
    made: list[int] = []
    activity, cancellation = Activity(), Cancellation()
    channel = ahead(endless(made), 3, activity, cancellation)
    assert activity.quiet(5), "a full channel makes its thread wait"
    assert made == [0, 1, 2, 3], "three that wait and the one in hand"
    assert channel.take(FAR_MS, Clock()) == (0,)
    assert activity.quiet(5)
    assert len(made) == 5
    cancellation.cancel()
    channel.close()


def test_nothing_is_late_because_of_a_thread_that_has_not_yet_awoken() -> None:
    """Idle is said only when nobody has anything to do: or the clock would jump over work."""
    for _ in range(300):
        activity, cancellation = Activity(), Cancellation()
        first = ahead(iter([1]), 1, activity, cancellation)
        second = ahead(iter(first), 1, activity, cancellation)
        third = ahead(iter(second), 1, activity, cancellation)
        assert third.take(FAR_MS, Clock()) == (1,)


def test_who_waits_is_told_when_all_lanes_are_idle_long_before_the_time_is_up() -> None:
    activity, cancellation = Activity(), Cancellation()
    never = Gate(activity, cancellation)

    def stuck() -> Iterator[int]:
        never.wait()
        yield 1

    channel, clock = ahead(stuck(), 1, activity, cancellation), Clock()
    assert channel.take(FAR_MS, clock) == ()
    assert clock.now_ms() < FAR_MS / 10
    assert not channel.over
    never.open()
    assert drained(channel, clock) == [1]


def test_time_is_up_while_a_lane_works() -> None:
    release = threading.Event()

    def slow() -> Iterator[int]:
        release.wait(10)
        yield 1

    channel, clock = ahead(slow(), 1, Activity(), Cancellation()), Clock()
    assert channel.take(50, clock) == ()
    assert clock.now_ms() >= 50
    release.set()
    assert drained(channel, clock) == [1]


def test_what_a_lane_raises_is_raised_where_its_items_are_taken() -> None:
    def breaking() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    activity, cancellation = Activity(), Cancellation()
    channel = ahead(iter(ahead(breaking(), 1, activity, cancellation)), 1, activity, cancellation)
    clock = Clock()
    assert channel.take(FAR_MS, clock) == (1,)
    assert activity.quiet(5)
    with pytest.raises(ValueError, match="broken"):
        channel.take(FAR_MS, clock)
    assert channel.over


def test_a_cancelled_chain_ends_whatever_its_threads_wait_for() -> None:
    before = threading.active_count()
    activity, cancellation = Activity(), Cancellation()
    channels = [ahead(endless([]), 1, activity, cancellation)]
    channels += [ahead(iter(channels[0]), 1, activity, cancellation)]
    gate = Gate(activity, cancellation)

    def gated() -> Iterator[int]:
        gate.wait()
        yield from channels[1]

    channels.append(ahead(gated(), 1, activity, cancellation))
    assert activity.quiet(5)
    cancellation.cancel()
    for channel in channels:
        channel.close()
    assert activity.quiet(5)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threading.active_count() == before, "no thread is left behind"


def test_work_without_a_model_may_ask_whether_it_was_stopped() -> None:
    cancellation = Cancellation()
    with cancellation.applied():
        check()
        cancellation.cancel()
        with pytest.raises(Cancelled):
            check()
    check()  # outside its scope nobody is stopped


def test_the_clock_is_set_forward_to_what_arrives_and_never_back() -> None:
    clock = Clock()
    start_s = time.perf_counter()
    clock.arrive(5_000)
    assert 5_000 <= clock.now_ms() < 7_000
    assert time.perf_counter() - start_s < 2, "it does not sleep"
    clock.arrive(4_000)
    assert clock.now_ms() >= 5_000


def test_a_clock_in_real_time_sleeps() -> None:
    clock = Clock(real_time=True)
    start_s = time.perf_counter()
    clock.arrive(40)
    assert time.perf_counter() - start_s >= 0.03
    assert 40 <= clock.now_ms() < 1_000
