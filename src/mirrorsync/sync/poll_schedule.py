"""When upstream is looked at again: in its turn, later while it is down, and sooner when somebody wakes us."""

from typing import Final, Self

import msgspec
from msgspec.structs import replace

LONGEST: Final = 900.0
"""Seconds between two looks at an upstream that is down, unless the interval itself is longer."""
LONGEST_TURNS: Final = 15.0
"""Intervals between them: who is followed from second to second is not left alone for a quarter of an hour."""
JITTER: Final = 0.1
"""Part of a wait by which it is lengthened at random, so that mirrors all over the world do not ask together."""


class PollSchedule(msgspec.Struct, frozen=True):
    """How looks at upstream follow one another. All times are seconds from the end of one to the next."""

    interval: float
    shortest: float = 5.0
    """However often we are woken."""
    failures: int = 0
    """In a row."""
    asked: float = 0.0
    """What upstream asked for, the last time; nobody wakes us sooner."""

    def after_success(self) -> Self:
        """Return the rhythm of one that answers."""
        return replace(self, failures=0, asked=0.0)

    def after_failure(self, retry_after: float | None) -> Self:
        """Return the rhythm after one more failure."""
        return replace(self, failures=self.failures + 1, asked=retry_after or 0.0)

    @property
    def at_least(self) -> float:
        """The wait that nothing shortens."""
        return max(self.shortest, self.asked)

    def wait(self, chance: float) -> float:
        """Return the wait; `chance`, from 0 to 1, says how much of the jitter comes on top."""
        doubled = self.interval * 2.0 ** min(max(self.failures - 1, 0), 30)
        backed_off = min(doubled, self.interval * LONGEST_TURNS, max(self.interval, LONGEST))
        return max(backed_off, self.at_least) * (1 + JITTER * chance)
