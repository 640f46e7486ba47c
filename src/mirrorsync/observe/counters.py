"""What a process counts while it works: plain numbers, cheap enough for every request.

Everything happens on the event loop, the reading too, so nothing is locked.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, get_args

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.outcome import Failed, Mirrored, Outcome
from mirrorsync.model.reason import REASONS, reason_of
from mirrorsync.observe.run_observer import Done, RunObserver, Step, Where

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: the upper bounds of the histograms' buckets."""
NO_ANSWER: Final = "none"
"""The code of a request that nobody answered."""
STEPS: Final[tuple[Step, ...]] = get_args(Step)
PLACES: Final[tuple[Where, ...]] = get_args(Where)
OUTCOMES: Final = ("mirrored", "confirmed", "removed", "failed")
_EXACTLY: Final = frozenset({200, 206, 304, 403, 404, 416, 429, 500, 502, 503, 504})
"""Statuses that are counted by themselves; the others by their class."""
_CODES: Final = {status: str(status) if status in _EXACTLY else f"{status // 100}xx" for status in range(100, 600)}


class Histogram:
    """Counts durations by `BOUNDS`."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0
        """Seconds."""

    def add(self, seconds: float) -> None:
        """Count a duration; one that is as long as a bound is below it."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> Iterator[tuple[str, int]]:
        """Yield each bound, the last one infinite, with the count of what is not longer."""
        total = 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self._counts, strict=True):
            total += count
            yield bound, total

    @property
    def count(self) -> int:
        """All that was counted."""
        return sum(self._counts)


class Traffic:
    """What came of the requests of one host that ended with one code."""

    __slots__ = ("requests", "size")

    def __init__(self) -> None:
        self.requests = 0
        self.size = 0
        """Bytes of bodies."""


class Counters(RunObserver):
    """Counts what upstream's client, the pipeline and its audience tell."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.started_at = clock()
        """Seconds since the epoch."""
        self.halted = False
        """Whether this process ended by what only a person can mend."""
        self.traffic: dict[tuple[str, str], Traffic] = {}
        """By host and code."""
        self.durations: dict[str, Histogram] = {}
        """Of requests, by host."""
        self.broken: Counter[str] = Counter()
        """Bodies that ended early, by host."""
        self.retries: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.steps: dict[str, Histogram] = {step: Histogram() for step in STEPS}
        self.outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.failures: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.fetched_bytes = 0
        self.fetched_files = 0
        self.troubles: Counter[str] = Counter(dict.fromkeys(PLACES, 0))
        self.troubled_now: set[str] = set()
        self.publications = 0

    # --- as the client's meter -------------------------------------------------------------------------------

    def answered(self, host: str, status: int, size: int, seconds: float) -> None:
        """Count an answer."""
        code = _CODES.get(status, "other")
        traffic = self.traffic.get((host, code))
        if traffic is None:
            traffic = self.traffic[host, code] = Traffic()
            self.durations.setdefault(host, Histogram())
        traffic.requests += 1
        traffic.size += size
        self.durations[host].add(seconds)

    def unanswered(self, host: str) -> None:
        """Count a request without an answer."""
        self.traffic.setdefault((host, NO_ANSWER), Traffic()).requests += 1

    def broke(self, host: str) -> None:
        """Count a body that ended early."""
        self.broken[host] += 1

    def retried(self, error: MirrorsyncError) -> None:
        """Count another attempt by what it follows."""
        self.retries[reason_of(error)] += 1

    # --- as the pipeline's stopwatch ---------------------------------------------------------------------------

    def took(self, step: Step, seconds: float) -> None:
        """Count a step."""
        self.steps[step].add(seconds)

    # --- as a run's audience -----------------------------------------------------------------------------------

    def fetched(self, size: int) -> None:
        """Count bytes of files."""
        self.fetched_bytes += size

    def ended(self, outcome: Outcome) -> None:
        """Count the outcome."""
        self.outcomes[type(outcome).__name__.lower() if not isinstance(outcome, Failed) else "failed"] += 1
        if isinstance(outcome, Failed):
            self.failures[outcome.reason] += 1
            if outcome.reason == "low_space":
                self.troubles["space"] += 1
                self.troubled_now.add("space")
            return
        self.recovered("projects")  # what goes well for one goes well for all
        if isinstance(outcome, Mirrored):
            new = sum(file.file_is_new for file in outcome.stored)
            self.fetched_files += new
            if new:
                self.recovered("space")

    def did(self, done: Done) -> None:  # noqa: ARG002 -- each of them was counted as it ended
        """Count a publication."""
        self.publications += 1

    def troubled(self, where: Where, error: MirrorsyncError) -> None:  # noqa: ARG002 -- what is counted is the place
        """Count a trouble, which lasts until its place recovers."""
        self.troubles[where] += 1
        self.troubled_now.add(where)

    def recovered(self, where: Where) -> None:
        """Note that a trouble is over."""
        self.troubled_now.discard(where)
