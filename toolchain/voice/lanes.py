"""Lets stages work at the same time: each in a thread, with a bounded channel to the next."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from toolchain.voice.clock import Clock
from toolchain.voice.running import Cancellation, Cancelled

T = TypeVar("T")


class Activity:
    """Knows whether any of several threads has something to do.

    All channels between the threads share its lock, so that an item that one thread has passed on
    and the next has not yet taken counts as something to do.
    """

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self._busy = 0
        self._waiting: list[Callable[[], bool]] = []

    @property
    def idle(self) -> bool:
        """Whether all threads have ended or wait for something that is not there; hold the lock."""
        return self._busy == 0 and not any(ready() for ready in self._waiting)

    def joins(self) -> None:
        """Count one more thread; before it starts, so that nobody takes the start for the end."""
        with self.lock:
            self._busy += 1

    def leaves(self) -> None:
        """Count a thread out that has ended."""
        with self.lock:
            self._busy -= 1
            self.lock.notify_all()

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until ``ready``; by one of the threads, with the lock held."""
        if ready():
            return
        self._busy -= 1
        self._waiting.append(ready)
        self.lock.notify_all()
        try:
            while not ready():
                self.lock.wait()
        finally:
            self._waiting.remove(ready)
            self._busy += 1

    def quiet(self, timeout_s: float) -> bool:
        """Wait until all threads are idle; return whether they were in time."""
        with self.lock:
            return self.lock.wait_for(lambda: self.idle, timeout_s)


class Channel(Generic[T]):
    """At most ``depth`` items on their way from one thread to another, in order."""

    def __init__(self, activity: Activity, depth: int) -> None:
        self._activity = activity
        self._depth = depth
        self._items: deque[T] = deque()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Pass ``item`` on; waits while the channel is full.

        Errors:
            Cancelled: nobody wants it any more.
        """
        with self._activity.lock:
            self._activity.wait(lambda: self._closed or len(self._items) < self._depth)
            if self._closed:
                raise Cancelled
            self._items.append(item)
            self._activity.lock.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """Say that there is no more, and why if something went wrong."""
        with self._activity.lock:
            self._ended, self._error = True, error
            self._activity.lock.notify_all()

    def close(self) -> None:
        """Want no more: whoever waits at either end goes on."""
        with self._activity.lock:
            self._closed = True
            self._items.clear()
            self._activity.lock.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Yield the items to a thread that counts.

        Errors:
            Cancelled: the channel was closed.
            what the other end raised
        """
        while True:
            with self._activity.lock:
                self._activity.wait(lambda: bool(self._closed or self._items or self._ended))
                if self._closed:
                    raise Cancelled
                if not self._items:
                    break
                item = self._items.popleft()
                self._activity.lock.notify_all()
            yield item
        if self._error:
            raise self._error

    def take(self, until_ms: float, clock: Clock) -> tuple[T, ...]:
        """Return the next item, for a thread that does not count; () if there is none.

        None comes before ``until_ms``, or at all until this thread lets time go on.

        Errors:
            what the other end raised
        """
        with self._activity.lock:
            while not self._items:
                left_ms = until_ms - clock.now_ms()
                if self._ended or self._closed or self._activity.idle or left_ms <= 0:
                    break
                self._activity.lock.wait(left_ms / 1000)
            if self._items:
                item = self._items.popleft()
                self._activity.lock.notify_all()
                return (item,)
            if self._ended and self._error:
                error, self._error = self._error, None
                raise error
            return ()

    @property
    def over(self) -> bool:
        """Whether there is and will be nothing more."""
        with self._activity.lock:
            return self._closed or (self._ended and not self._items and self._error is None)


class Gate:
    """Lets threads wait until another one opens it; a cancellation opens it too."""

    def __init__(self, activity: Activity, cancellation: Cancellation) -> None:
        self._activity, self._cancellation = activity, cancellation
        self._open = False

    def wait(self) -> None:
        """Wait until the gate is open; by a thread that counts.

        Errors:
            Cancelled: nobody will open it.
        """
        with self._activity.lock:
            self._activity.wait(lambda: self._open or self._cancellation.cancelled)
        if not self._open:
            raise Cancelled

    def open(self) -> None:
        """Let all pass, now and later."""
        with self._activity.lock:
            self._open = True
            self._activity.lock.notify_all()


def ahead(
    source: Iterator[T], depth: int, activity: Activity, cancellation: Cancellation
) -> Channel[T]:
    """Let a thread of its own draw from ``source``, at most ``depth`` items ahead."""
    channel: Channel[T] = Channel(activity, depth)

    def pump() -> None:
        error: BaseException | None = None
        try:
            with cancellation.applied():
                for item in source:
                    channel.put(item)
        except Cancelled:
            pass
        except BaseException as raised:  # noqa: BLE001 - raised again where the items are taken
            error = raised
        channel.end(error)
        activity.leaves()

    activity.joins()
    threading.Thread(target=pump, daemon=True).start()
    return channel
