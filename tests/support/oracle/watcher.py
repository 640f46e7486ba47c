"""A client that reads the served tree all the time and judges it at every pass."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.oracle.judge import Oracle
from tests.support.oracle.terms import Level, Terms
from tests.support.pypi.world import World

_PAUSE = 0.01
"""Seconds between two passes, plus the duration of the last one: upstream runs in our process and needs time too."""
_ENOUGH = 20
"""Violations after which it stops."""
_TERMS = Terms(quarantined_may_be_absent=True)


class Watcher:
    """Judges the tree at `web` pass by pass; `violations` stays empty while all invariants hold."""

    def __init__(self, web: Path, world: World) -> None:
        self.passes = 0
        self.violations: list[str] = []
        self._oracle = Oracle(web, world, _TERMS)
        self._stop = threading.Event()

    @contextmanager
    def watching(self, pause: float = _PAUSE, share: float = 1.0) -> Iterator[None]:
        """Watch in a thread while the body runs.

        After each pass it rests for `pause` seconds and `share` times the duration of the pass.
        """
        thread = threading.Thread(target=self._watch, args=(pause, share), name="watcher")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._stop.clear()

    def _watch(self, pause: float, share: float) -> None:
        while not self._stop.is_set() and len(self.violations) < _ENOUGH:
            began = time.monotonic()
            self.look()
            self._stop.wait(pause + share * (time.monotonic() - began))

    def look(self) -> None:
        """Make one pass."""
        try:
            self.violations += self._oracle.problems(Level.ALWAYS)
        except Exception as error:  # noqa: BLE001 - the test must see a failure of the thread
            self.violations.append(f"the watcher failed: {error!r}")
        self.passes += 1
