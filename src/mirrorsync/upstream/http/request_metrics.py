"""Whoever counts requests: one call for each, told on the event loop."""

from typing import Final, Protocol

from mirrorsync.errors import MirrorsyncError


class RequestMetrics(Protocol):
    """Counts requests. Every call returns at once. `host`: as `gate.authority` has it, so one of the allowed ones."""

    def answered(self, host: str, status: int, size: int, seconds: float) -> None:
        """Hear of an answer that was left: `size` bytes of its body came, `seconds` after it was asked for."""

    def unanswered(self, host: str) -> None:
        """Hear of a request that got no answer."""

    def broke(self, host: str) -> None:
        """Hear of an answer whose body ended early or in silence."""

    def retried(self, error: MirrorsyncError) -> None:
        """Hear that a request is sent again after `error`."""


class NoMetrics:
    """Counts nothing."""

    def answered(self, host: str, status: int, size: int, seconds: float) -> None:
        """Do nothing."""

    def unanswered(self, host: str) -> None:
        """Do nothing."""

    def broke(self, host: str) -> None:
        """Do nothing."""

    def retried(self, error: MirrorsyncError) -> None:
        """Do nothing."""


NO_METRICS: Final = NoMetrics()
