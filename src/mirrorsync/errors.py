"""What can go wrong, what mirrorsync does about it, and what an operator can do.

Every expected failure is a `MirrorsyncError`. Anything else that is raised is a bug: it ends the process,
the service manager starts it again, and starting is recovering (ARCHITECTURE.md, invariant I3).
"""

from enum import Enum
from typing import ClassVar, Self


class Recovery(Enum):
    """What follows from a failure."""

    RETRY = "retry"
    """Try the same request again within its budget, after `retry_after` seconds where upstream says so."""
    DEFER = "defer"
    """Leave this project for later; everything else goes on."""
    HALT = "halt"
    """Stop the run: going on would lose or falsify something, or fail for every project alike."""


class ExitCode:
    """The process's exit codes (README.md, "Exit codes"; the numbers above 63 are those of sysexits.h)."""

    OK = 0
    UNMET = 1
    USAGE = 2
    UNAVAILABLE = 69
    CANNOT_WRITE = 73
    ALREADY_RUNNING = 75
    CONFIG = 78


class MirrorsyncError(Exception):
    """An expected failure: what happened to what, why, and what to do about it.

    `what` names the thing and the numbers with their units; `why` the cause where it is known;
    `hint` what an operator can do. `str()` is `what` and `why` on one line.
    """

    recovery: ClassVar[Recovery] = Recovery.DEFER
    exit_code: ClassVar[int] = ExitCode.UNMET

    def __init__(self, what: str, *, why: str = "", hint: str = "", retry_after: float | None = None) -> None:
        self.what = what
        self.why = why
        self.hint = hint
        self.retry_after = retry_after
        """Seconds that upstream asked us to wait, None where it did not say."""
        super().__init__(what)

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what

    def as_value(self) -> Self:
        """Return this error without the frames that it, and what led to it, came through: they hold whole bodies."""
        told: BaseException | None = self
        while told is not None:
            told.__traceback__ = None
            told = told.__cause__ or told.__context__
        return self


class UpstreamError(MirrorsyncError):
    """The index did not answer as its protocol promises."""

    exit_code = ExitCode.UNAVAILABLE


class Unreachable(UpstreamError):
    """No answer: no route, no TLS, silence, or a 5xx."""

    recovery = Recovery.RETRY


class Throttled(UpstreamError):
    """Upstream asked us to slow down: 429, 503 with Retry-After, or XML-RPC's rate-limit fault."""

    recovery = Recovery.RETRY


class StalePage(UpstreamError):
    """A cache between us and the index is behind the serial that we want; try again in minutes."""


class ProjectGone(UpstreamError):
    """404 for a project's page: a fact, and not yet proof that the project was removed."""


class Malformed(UpstreamError):
    """An answer that is not what its content type or protocol promises."""


class NoChangelog(UpstreamError):
    """This index has no XML-RPC changelog, or a broken one; the root list or the pages themselves must do."""


class NoListing(UpstreamError):
    """This index has no root list that could tell what it holds."""


class DownloadError(MirrorsyncError):
    """A file could not be had as its page promises it."""


class Truncated(DownloadError):
    """The body ended before its promised size."""

    recovery = Recovery.RETRY


class WrongSize(DownloadError):
    """The body is not of the promised size."""


class WrongDigest(DownloadError):
    """The body is not the bytes that the page promises."""


class Missing(DownloadError):
    """The file host answers 403 or 404 (PyPI's object store says either of a missing object)."""


class Refused(DownloadError):
    """The URL leads where we do not go: another host, plain HTTP, or an unfit path."""


class StoreError(MirrorsyncError):
    """The mirror's own storage failed."""

    exit_code = ExitCode.CANNOT_WRITE


class StoreUnreachable(StoreError):
    """Storage does not answer for the moment."""

    recovery = Recovery.RETRY


class StoreFull(StoreError):
    """No space or no inodes."""

    recovery = Recovery.HALT


class LowSpace(StoreError):
    """Less would stay free than `min-free`: downloads wait, index updates and removals go on."""


class StoreDenied(StoreError):
    """Storage refuses: permissions, a read-only or failing disk, a directory that is not there."""

    recovery = Recovery.HALT


class SafetyError(MirrorsyncError):
    """Going on could falsify or destroy the mirror; a person decides."""

    recovery = Recovery.HALT


class TooManyDeletions(SafetyError):
    """More would be removed than the limits allow without a person's consent; only the removal waits."""

    recovery = Recovery.DEFER


class TooManyDeselected(SafetyError):
    """The selection leaves out more than the limits allow to remove without a person's consent."""

    exit_code = ExitCode.CONFIG


class SerialWentBack(SafetyError):
    """Upstream's serial is below our cursor: another upstream, or one that was restored."""


class DifferentUpstream(SafetyError):
    """The configured index is not the one that this mirror was made from."""

    exit_code = ExitCode.CONFIG


class SetupError(MirrorsyncError):
    """mirrorsync cannot start as it is set up."""

    recovery = Recovery.HALT
    exit_code = ExitCode.CONFIG


class BadConfig(SetupError):
    """The configuration is absent, unreadable or wrong."""


class AlreadyRunning(SetupError):
    """Another mirrorsync holds this mirror's lock."""

    exit_code = ExitCode.ALREADY_RUNNING


class NewerSchema(SetupError):
    """The state was written by a newer mirrorsync."""
