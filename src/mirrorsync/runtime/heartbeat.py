"""Heartbeats: workers report progress so that the watchdog can detect a hang.

A heartbeat belongs to a task and to all the tasks that it starts, so no function passes it on. Code that makes progress
(a chunk received, a file hashed) calls `beat`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import trio

ALLOWANCE: Final = 900.0
"""Seconds without a beat after which a worker counts as stuck. Every wait for the network ends sooner: a connection may
be silent for 90 s, and each attempt that ends is a beat. So does every wait for a disk that still answers."""


class Heartbeat:
    """The heartbeat of one worker or loop."""

    def __init__(self, name: str, *, loops: bool = False) -> None:
        self.name = name
        self.loops = loops
        """It beats for ever; its beats do not show that any worker makes progress."""
        self.beat_at = trio.current_time()
        self.queued = 0
        """Tasks of this worker that wait in a queue, where no beat is expected of them."""

    def beat(self, asleep_for: float = 0.0) -> None:
        """Record progress; the worker is about to sleep for `asleep_for` seconds."""
        self.beat_at = trio.current_time() + asleep_for


_current: ContextVar[Heartbeat | None] = ContextVar("heartbeat", default=None)


def beat(asleep_for: float = 0.0) -> None:
    """Record progress of the worker that this task belongs to; it is about to sleep for `asleep_for` seconds."""
    heartbeat = _current.get()
    if heartbeat is not None:
        heartbeat.beat(asleep_for)


@contextmanager
def queued() -> Iterator[None]:
    """Mark the current task as waiting in a queue, which may take any time."""
    heartbeat = _current.get()
    if heartbeat is None:
        yield
        return
    heartbeat.queued += 1
    try:
        yield
    finally:
        heartbeat.queued -= 1
        heartbeat.beat()


class Heartbeats:
    """All heartbeats that are monitored."""

    def __init__(self, allowance: float = ALLOWANCE) -> None:
        self._allowance = allowance
        self._all: set[Heartbeat] = set()

    @contextmanager
    def monitor(self, name: str, *, loops: bool = False) -> Iterator[Heartbeat]:
        """Monitor this task, and the tasks that it starts, under `name` while the context lasts."""
        with self.register(name, loops=loops) as heartbeat:
            token = _current.set(heartbeat)
            try:
                yield heartbeat
            finally:
                _current.reset(token)

    @contextmanager
    def register(self, name: str, *, loops: bool = False) -> Iterator[Heartbeat]:
        """Monitor a heartbeat that the caller beats itself, while the context lasts."""
        heartbeat = Heartbeat(name, loops=loops)
        self._all.add(heartbeat)
        try:
            yield heartbeat
        finally:
            self._all.discard(heartbeat)

    def stuck(self) -> Sequence[str]:
        """Return the names of the workers without a beat for longer than allowed, the longest silent first.

        A worker that waits in a queue is not stuck while any worker makes progress: large files may hold every
        connection for hours. If no worker does, the queue itself is stuck.
        """
        limit = trio.current_time() - self._allowance
        silent = [heartbeat for heartbeat in self._all if heartbeat.beat_at < limit]
        is_progress = any(heartbeat.beat_at >= limit and not heartbeat.loops for heartbeat in self._all)
        found = [heartbeat for heartbeat in silent if not (is_progress and heartbeat.queued)]
        return [heartbeat.name for heartbeat in sorted(found, key=lambda heartbeat: heartbeat.beat_at)]
