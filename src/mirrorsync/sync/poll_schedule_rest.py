"""Waiting for the next turn: by a clock that nobody sets, and not past what makes waiting pointless."""

import math
import random
import time
from collections.abc import Callable
from typing import Final

import trio

from mirrorsync.runtime.heartbeat import beat
from mirrorsync.sync.poll_schedule import PollSchedule

_GLANCE: Final = 5.0
"""Seconds after which whoever waits looks whether the machine was asleep meanwhile."""
_NAP: Final = 10.0
"""Seconds of the machine's sleep after which upstream is looked at soon."""


def time_asleep() -> float:
    """Return the seconds that this machine was suspended since it was started; clocks for waiting stand still then.

    Source: clock_gettime(2).
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class Bell:
    """What shortens a wait: it was rung at some time."""

    def __init__(self) -> None:
        self.rung_at = -math.inf


class Rests:
    """Everyone who waits for a turn, and what ends such a wait early."""

    def __init__(self, asleep: Callable[[], float] = time_asleep) -> None:
        self._asleep = asleep
        self._nudged = trio.Event()
        self.stopping = trio.Event()
        """Nobody waits any more."""

    def stop(self) -> None:
        """End all waits, for ever."""
        self.stopping.set()
        self._nudge()

    def ring(self, bell: Bell) -> None:
        """Shorten the waits that heed `bell`."""
        bell.rung_at = trio.current_time()
        self._nudge()

    async def rest(self, rhythm: PollSchedule, bell: Bell, *, since: float) -> None:
        """Wait as `rhythm` says; no longer than its least once `bell` was rung after `since`, or the machine slept.

        Showing signs of life; ends at once when all stop. `since` is trio's time.
        """
        began, asleep = trio.current_time(), self._asleep()
        until = began + rhythm.wait(random.random())  # noqa: S311 -- no secret
        while not self.stopping.is_set():
            now, end = trio.current_time(), until
            if bell.rung_at >= since or self._asleep() - asleep > _NAP:
                end = min(until, began + rhythm.at_least)
            if now >= end:
                return
            pause = min(end - now, _GLANCE)
            beat(asleep_for=pause)
            with trio.move_on_after(pause):
                await self._nudged.wait()

    def _nudge(self) -> None:
        """Let everyone who rests look up."""
        nudged, self._nudged = self._nudged, trio.Event()
        nudged.set()
