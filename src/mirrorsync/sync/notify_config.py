"""Who is told of what changes in public, and how often: what the pipeline knows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mirrorsync.model.notification import Announcement


class Sink(Protocol):
    """Whoever is told of changes: a cache, a CDN, a command, a web address."""

    @property
    def name(self) -> str:
        """Its name in the state and in messages; it holds no secret."""
        ...

    @property
    def most(self) -> int:
        """Changes that are told it in one go."""
        ...

    async def announce(self, announcement: Announcement) -> str:
        """Tell it; return what it had to say that an operator may want to read, empty mostly.

        Bounded in time, by itself: a run waits for what it has begun to tell. Raises: MirrorsyncError; all of it is
        told again then. Cancellation: it may be told or not.
        """
        ...


@dataclass(frozen=True)
class NotifyConfig:
    """How the operator wants changes told."""

    sinks: Sequence[Sink] = ()
    interval: float = 1.0
    """Seconds in which the daemon gathers changes for one announcement."""
    flood: int = 5000
    """Changes waiting for one sink, above which it is told that anything may have changed."""
