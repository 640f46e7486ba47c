"""Run one coroutine as the work of the process: signals, and the one place of `except*`."""

import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import trio

from mirrorsync.errors import MirrorsyncError

T = TypeVar("T")

_SWITCH_INTERVAL: Final = 0.001
"""Seconds after which a computing thread releases the interpreter. Storing threads need it for microseconds between
system calls; at Python's default of 5 ms they and the event loop wait for each other (bench/README.md: 5 to 7 %)."""
_GC_THRESHOLD: Final = 10_000
"""Net allocations before a garbage collection: each task leaves live objects (bench/README.md: 4 %)."""


class Stopped(Exception):  # noqa: N818 -- not an error
    """A signal ended the work early. Everything recorded until then is kept."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


def run_to_end(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on trio and return its result. An expected failure leaves its exception groups.

    Raises: MirrorsyncError; Stopped, on SIGTERM or SIGINT where `work` does not handle them; a bug, in a group.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL)
    gc.enable()
    gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])
    failures: list[MirrorsyncError] = []
    try:
        return trio.run(_stop_on_signals, work)
    except* MirrorsyncError as group:
        failures.extend(_leaves(group))
    raise failures[0]


def _leaves(group: BaseExceptionGroup[MirrorsyncError]) -> list[MirrorsyncError]:
    found: list[MirrorsyncError] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


async def _stop_on_signals(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    received: list[int] = []

    async def wait_for_signal(scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            received.append(await anext(aiter(signals)))
            scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(wait_for_signal, nursery.cancel_scope)
        result = await work()
        nursery.cancel_scope.cancel()
        return result
    raise Stopped(received[0])
