"""Signs of life: whoever is at work shows them as it gets on, so that somebody can tell when it does not any more.

Nothing is handed through for that: a pulse is borne by a task and by all that it starts, and what gets on (bytes that
came, a file that was hashed) calls `beat`, whoever it does so for.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import trio

ALLOWANCE: Final = 900.0
"""Seconds without a sign of life after which something is stuck. Every wait for the network ends sooner (silence is
borne for 90 s, and each attempt that ends is a sign), and so does every wait for a disk that still answers."""


class Heartbeat:
    """One worker's or loop's signs of life."""

    def __init__(self, name: str, *, loops: bool = False) -> None:
        self.name = name
        self.loops = loops
        """It comes round for ever: that it lives says nothing of those who wait for a worker to end."""
        self.beat_at = trio.current_time()
        self.rests = 0
        """Tasks of it that wait their turn: of them nothing is expected."""

    def beat(self, asleep_for: float = 0.0) -> None:
        """Show that it gets on; it will sleep for so many seconds now."""
        self.beat_at = trio.current_time() + asleep_for


_borne: ContextVar[Heartbeat | None] = ContextVar("pulse", default=None)


def beat(asleep_for: float = 0.0) -> None:
    """Show that whoever this is done for gets on; it will sleep for so many seconds now."""
    pulse = _borne.get()
    if pulse is not None:
        pulse.beat(asleep_for)


@contextmanager
def resting() -> Iterator[None]:
    """Wait one's turn in this context, for however long the others take."""
    pulse = _borne.get()
    if pulse is None:
        yield
        return
    pulse.rests += 1
    try:
        yield
    finally:
        pulse.rests -= 1
        pulse.beat()


class Heartbeats:
    """Everyone whose signs of life are watched."""

    def __init__(self, allowance: float = ALLOWANCE) -> None:
        self._allowance = allowance
        self._all: set[Heartbeat] = set()

    @contextmanager
    def bearing(self, name: str, *, loops: bool = False) -> Iterator[Heartbeat]:
        """Watch what this task, and those that it starts, do in this context, under `name`."""
        with self.watching(name, loops=loops) as pulse:
            token = _borne.set(pulse)
            try:
                yield pulse
            finally:
                _borne.reset(token)

    @contextmanager
    def watching(self, name: str, *, loops: bool = False) -> Iterator[Heartbeat]:
        """Watch whoever is given the pulse, in this context."""
        pulse = Heartbeat(name, loops=loops)
        self._all.add(pulse)
        try:
            yield pulse
        finally:
            self._all.discard(pulse)

    def stuck(self) -> Sequence[str]:
        """Return who has shown no sign of life for longer than allowed, the longest silent first.

        Those that wait their turn are not among them while anybody gets on: large files may hold every connection for
        hours. If nobody does, they wait for what does not come.
        """
        limit = trio.current_time() - self._allowance
        silent = [pulse for pulse in self._all if pulse.beat_at < limit]
        nobody_gets_on = not any(pulse.beat_at >= limit and not pulse.loops for pulse in self._all)
        found = [pulse for pulse in silent if nobody_gets_on or not pulse.rests]
        return [pulse.name for pulse in sorted(found, key=lambda pulse: pulse.beat_at)]
