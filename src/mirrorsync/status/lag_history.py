"""The mirror's worst lag in each stretch of the last days: `mirrorsync/history.json`. Pure.

Between two moments at which the mirror was complete the lag grows from zero to the time between them, so the history
covers times at which no process ran. A lost history starts again.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

SPAN: Final = 7200.0
"""Seconds in one stretch; a day has whole stretches."""
KEPT: Final = 84
"""Stretches: seven days."""


class _Peak(msgspec.Struct, frozen=True):
    starts_at: int
    lag_seconds: float


class _Document(msgspec.Struct, frozen=True):
    stretch_seconds: float
    complete_at: float | None
    worst: tuple[_Peak, ...]


class LagHistory(msgspec.Struct, frozen=True):
    """The worst lag of each stretch."""

    complete_at: float | None = None
    """When the mirror was last complete, in seconds since the epoch."""
    worst: Mapping[int, float] = {}
    """Seconds, by the stretch's number since the epoch; a stretch before the first complete sync is missing."""

    def observed(self, complete_at: float | None, now: float) -> "LagHistory":
        """Return the history after a mirror that was last complete at `complete_at` was observed."""
        if complete_at is None or complete_at > now:
            return self
        before = complete_at if self.complete_at is None else min(self.complete_at, complete_at)
        newest = int(now // SPAN)
        worst = {number: lag for number, lag in self.worst.items() if newest - KEPT < number <= newest}
        for since, until in ((before, complete_at), (complete_at, now)):
            for number, lag in _sawtooth(since, until, newest - KEPT + 1):
                worst[number] = max(worst.get(number, 0.0), lag)
        return LagHistory(complete_at=complete_at, worst=worst)

    def encode(self) -> bytes:
        """Return the document that `decode` reads."""
        peaks = tuple(
            _Peak(starts_at=int(number * SPAN), lag_seconds=round(lag, 3)) for number, lag in sorted(self.worst.items())
        )
        document = _Document(stretch_seconds=SPAN, complete_at=self.complete_at, worst=peaks)
        return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode(body: bytes) -> LagHistory:
    """Return the history that `LagHistory.encode` wrote, an empty one for anything else."""
    try:
        document = msgspec.json.decode(body, type=_Document)
    except (msgspec.DecodeError, RecursionError):
        return LagHistory()
    if document.stretch_seconds != SPAN:
        return LagHistory()
    worst = {int(peak.starts_at // SPAN): max(0.0, peak.lag_seconds) for peak in document.worst[-KEPT:]}
    return LagHistory(complete_at=document.complete_at, worst=worst)


def _sawtooth(since: float, until: float, first: int) -> Iterator[tuple[int, float]]:
    """Yield the worst lag of each stretch, from number `first` on, while it grows from `since` until `until`."""
    for number in range(max(first, int(since // SPAN)), int(until // SPAN) + 1):
        yield number, max(0.0, min(until, (number + 1) * SPAN) - since)
