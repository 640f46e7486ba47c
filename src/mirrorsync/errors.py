"""The expected failures: what went wrong, how mirrorsync recovers, and what an operator can do.

Every expected failure is a `MirrorsyncError`. Any other exception is a bug: it ends the process, the service manager
restarts it, and every start recovers the mirror (ARCHITECTURE.md, invariant I3).
"""

from enum import Enum
from typing import ClassVar, Self


class Recovery(Enum):
    """How the run continues after a failure."""

    RETRY = "retry"
    """Repeat the request within its budget, after `retry_after` seconds where upstream named a time."""
    DEFER = "defer"
    """Defer this project; the run continues with the others."""
    HALT = "halt"
    """Stop the run: continuing would lose or falsify data, or fail for every project."""


class ExitCode:
    """The process's exit codes (docs/operations.md, "Exit codes"). Numbers above 63 are from sysexits.h."""

    OK = 0
    UNMET = 1
    USAGE = 2
    UNAVAILABLE = 69
    CANNOT_WRITE = 73
    ALREADY_RUNNING = 75
    CONFIG = 78


class MirrorsyncError(Exception):
    """An expected failure.

    `what` says what happened, with names, numbers and units; `why` gives the cause if it is known; `hint` says what an
    operator can do. `str()` is `what` and `why` on one line.
    """

    recovery: ClassVar[Recovery] = Recovery.DEFER
    exit_code: ClassVar[int] = ExitCode.UNMET

    def __init__(self, what: str, *, why: str = "", hint: str = "", retry_after: float | None = None) -> None:
        self.what = what
        self.why = why
        self.hint = hint
        self.retry_after = retry_after
        """Seconds that upstream asked us to wait; None if it named no time."""
        super().__init__(what)

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what

    def as_value(self) -> Self:
        """Return this error after dropping its traceback and those of its causes, whose frames hold whole bodies."""
        error: BaseException | None = self
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__
        return self


class UpstreamError(MirrorsyncError):
    """The index failed, or its response violates the protocol."""

    exit_code = ExitCode.UNAVAILABLE


class Unreachable(UpstreamError):
    """No usable response: no route, a TLS failure, a timeout, or a 5xx status."""

    recovery = Recovery.RETRY


class Throttled(UpstreamError):
    """Upstream limits our rate: 429, 503 with Retry-After, or the XML-RPC rate-limit fault."""

    recovery = Recovery.RETRY


class StalePage(UpstreamError):
    """A cache returned a page older than the wanted serial; it is renewed within minutes."""


class ProjectGone(UpstreamError):
    """A project's page is 404. This alone does not prove that the project was removed."""


class Malformed(UpstreamError):
    """A response does not match its content type or protocol."""


class NoChangelog(UpstreamError):
    """The index has no working XML-RPC changelog; the root list or the pages are used instead."""


class NoListing(UpstreamError):
    """The index has no root list, so its projects are unknown."""


class DownloadError(MirrorsyncError):
    """A file could not be downloaded as its page describes it."""


class Truncated(DownloadError):
    """The body ended before its declared size."""

    recovery = Recovery.RETRY


class WrongSize(DownloadError):
    """The body is larger than its declared size, or complete with another size."""


class WrongDigest(DownloadError):
    """The body's digest differs from the one in the page."""


class Missing(DownloadError):
    """The file host returns 403 or 404 (PyPI's object store returns either for a missing object)."""


class Refused(DownloadError):
    """The URL is not allowed: another host, plain HTTP, or an invalid path."""


class StoreError(MirrorsyncError):
    """The mirror's own storage failed."""

    exit_code = ExitCode.CANNOT_WRITE


class StoreUnreachable(StoreError):
    """The storage is temporarily unavailable."""

    recovery = Recovery.RETRY


class StoreFull(StoreError):
    """The disk has no free space or no free inodes."""

    recovery = Recovery.HALT


class LowSpace(StoreError):
    """A download would leave less free space than `min-free`. Index updates and removals continue."""


class StoreDenied(StoreError):
    """The storage refuses access: permissions, a read-only or failing disk, a missing directory."""

    recovery = Recovery.HALT


class FileConflict(MirrorsyncError):
    """A project needs a file that another project describes differently or that is being deleted; this passes."""


class UnknownProject(MirrorsyncError):
    """Neither the mirror nor, where it was asked, upstream knows the project of this name."""


class SafetyError(MirrorsyncError):
    """Continuing could falsify or destroy the mirror; a person must decide."""

    recovery = Recovery.HALT


class TooManyDeletions(SafetyError):
    """A removal exceeds the limits. It is held until a person allows it; the run continues."""

    recovery = Recovery.DEFER


class TooManyDeselected(SafetyError):
    """The selection drops more than the limits allow to remove until a person allows it."""

    exit_code = ExitCode.CONFIG


class SerialWentBack(SafetyError):
    """Upstream's serial is below our cursor: it is another upstream, or was restored from a backup."""


class DifferentUpstream(SafetyError):
    """The mirror was created from another index than the configured one."""

    exit_code = ExitCode.CONFIG


class SetupError(MirrorsyncError):
    """mirrorsync cannot start with this setup."""

    recovery = Recovery.HALT
    exit_code = ExitCode.CONFIG


class BadConfig(SetupError):
    """The configuration is missing, unreadable or invalid."""


class AlreadyRunning(SetupError):
    """Another mirrorsync holds this mirror's lock."""

    exit_code = ExitCode.ALREADY_RUNNING


class NewerSchema(SetupError):
    """A newer mirrorsync wrote the state."""
