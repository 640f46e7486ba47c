"""When upstream is polled: at an interval, later while it is down, and sooner after a wake-up."""

import math
import random
import time
from collections.abc import Callable
from typing import Final, Self

import msgspec
import trio
from msgspec.structs import replace

from mirrorsync.runtime.heartbeat import beat

LONGEST: Final = 900.0
"""Seconds between two polls of an upstream that is down, unless the interval itself is longer."""
LONGEST_INTERVALS: Final = 15.0
"""The same in intervals: an upstream that is polled every second is not left alone for a quarter of an hour."""
JITTER: Final = 0.1
"""Fraction of a wait that is added at random, so that mirrors all over the world do not poll together."""
_CHECK_EVERY: Final = 5.0
"""Seconds between two checks whether the machine was suspended."""
_SUSPENDED: Final = 10.0
"""Seconds of suspension after which upstream is polled soon."""


class PollSchedule(msgspec.Struct, frozen=True):
    """The waits between polls. All times are seconds from the end of one poll to the start of the next."""

    interval: float
    shortest: float = 5.0
    """The shortest wait, also after many wake-ups."""
    failures: int = 0
    """In a row."""
    retry_after: float = 0.0
    """What upstream asked for last; no wake-up shortens it."""

    def after_success(self) -> Self:
        """Return the schedule after a poll that succeeded."""
        return replace(self, failures=0, retry_after=0.0)

    def after_failure(self, retry_after: float | None) -> Self:
        """Return the schedule after one more failure."""
        return replace(self, failures=self.failures + 1, retry_after=retry_after or 0.0)

    @property
    def at_least(self) -> float:
        """The wait that nothing shortens."""
        return max(self.shortest, self.retry_after)

    def wait(self, chance: float) -> float:
        """Return the wait; `chance`, from 0 to 1, is the part of the jitter that is added."""
        doubled = self.interval * 2.0 ** min(max(self.failures - 1, 0), 30)
        backed_off = min(doubled, self.interval * LONGEST_INTERVALS, max(self.interval, LONGEST))
        return max(backed_off, self.at_least) * (1 + JITTER * chance)


def seconds_suspended() -> float:
    """Return how long this machine was suspended since it booted; clocks that measure waits stop then.

    Source: clock_gettime(2).
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class WakeUp:
    """An event that shortens waits, with the time when it last happened."""

    def __init__(self) -> None:
        self.at = -math.inf


class Waits:
    """The waits of all loops, and what ends them early."""

    def __init__(self, suspended: Callable[[], float] = seconds_suspended) -> None:
        self._suspended = suspended
        self._checked = trio.Event()
        self.stopping = trio.Event()
        """All waits are over."""

    def stop(self) -> None:
        """End all waits, now and from now on."""
        self.stopping.set()
        self._check()

    def wake(self, wake_up: WakeUp) -> None:
        """Shorten the waits that heed `wake_up`."""
        wake_up.at = trio.current_time()
        self._check()

    async def wait(self, schedule: PollSchedule, wake_up: WakeUp, *, since: float) -> None:
        """Wait as `schedule` says, with heartbeats; end at once after `stop`.

        The wait is the shortest that the schedule allows if `wake_up` happened after `since` (trio's time), or if the
        machine was suspended.
        """
        began, suspended = trio.current_time(), self._suspended()
        until = began + schedule.wait(random.random())  # noqa: S311 -- no secret
        while not self.stopping.is_set():
            now, end = trio.current_time(), until
            if wake_up.at >= since or self._suspended() - suspended > _SUSPENDED:
                end = min(until, began + schedule.at_least)
            if now >= end:
                return
            pause = min(end - now, _CHECK_EVERY)
            beat(asleep_for=pause)
            with trio.move_on_after(pause):
                await self._checked.wait()

    def _check(self) -> None:
        """Resume all waits, so that each computes its end again."""
        checked, self._checked = self._checked, trio.Event()
        checked.set()
