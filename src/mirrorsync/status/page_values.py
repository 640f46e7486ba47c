"""What the status page is made of, and the one word that sums it up. Pure."""

from enum import Enum
from typing import Final

import msgspec

from mirrorsync.model.wording import counted, lasting
from mirrorsync.status.page_words import plain_moment

LATE: Final = 3600.0
"""Seconds without an answer from upstream, or of lag, that users should hear of at the soonest; as `status` has it."""
_DEAD: Final = 86400.0
"""Seconds of lag that are trouble; as `status` has it."""
_FEW: Final = 3
_FEW_OF: Final = 100
"""One project in so many may be behind without the mirror as a whole being so."""


class UnmetProject(msgspec.Struct, frozen=True):
    """A project that is not as upstream has it."""

    name: str
    reason: str
    """Empty: it was not tried yet."""
    attempts: int
    next_attempt_at: float
    """Seconds since the epoch."""


class Bar(msgspec.Struct, frozen=True):
    """What happened in one stretch of time."""

    starts_at: float
    """Seconds since the epoch, whole stretches since then: days have whole ones."""
    lag: float | None
    """Seconds: how far behind the mirror was at the worst moment; None: nobody wrote it down."""
    is_recorded: bool
    """Whether the history reaches back to it; else the counts are unknown and not nothing."""
    files: int = 0
    bytes: int = 0
    errors: int = 0


class LastRun(msgspec.Struct, frozen=True):
    """The newest run of the history."""

    started_at: float
    ended_at: float
    projects: int
    files: int
    bytes: int
    errors: int
    ended_early: bool
    needs_person: bool
    """What ended it early is nothing that passes."""


class Audit(msgspec.Struct, frozen=True):
    """How far the rolling audit is."""

    began_at: float | None
    done: int
    ended_at: float | None
    """When the last whole round ended."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page says. Times are seconds since the epoch."""

    name: str
    upstream: str
    version: str
    generated_at: float
    next_run_at: float | None
    """When upstream is asked next; None: nobody here knows, for runs are started from outside."""
    late_after: float
    """Seconds without an answer from upstream, or of lag, that users should hear of: several looks of this mirror."""
    simple_url: str | None
    """Where pip finds the index, with its last slash; None: nobody told the mirror its own address."""
    holds_all: bool
    """Whether every project of upstream is selected."""
    holds_files: bool
    synced_serial: int | None
    upstream_serial: int | None
    complete_at: float | None
    polled_at: float | None
    projects: int
    files: int
    bytes: int
    unmet_count: int
    unmet: tuple[UnmetProject, ...]
    audit: Audit
    last_run: LastRun | None
    bars: tuple[Bar, ...]
    """In the order of time, without a gap; the last one is not over."""


class Level(Enum):
    """How much a user has to mind."""

    FRESH = "fresh"
    LATE = "late"
    TROUBLE = "trouble"


class Verdict(msgspec.Struct, frozen=True):
    """What the page says before anything else; plain text."""

    level: Level
    headline: str
    sentence: str


def judge(page: Page) -> Verdict:
    """Sum the mirror up, the worst first."""
    now, run = page.generated_at, page.last_run
    if run is not None and run.needs_person:
        return Verdict(
            Level.TROUBLE,
            "Stopped by a fault",
            f"The last run ended early; its operator's log says why. What is served is true; {_last_complete(page)}.",
        )
    if page.polled_at is None:
        return Verdict(Level.LATE, "Not begun yet", "Upstream has not answered yet: nothing is mirrored.")
    if now - page.polled_at > page.late_after:
        return _out_of_touch(page.polled_at, now)
    if page.complete_at is None:
        return _being_filled(page)
    return _met(page, page.complete_at, page.polled_at) if not page.unmet_count else _behind(page, page.complete_at)


def _last_complete(page: Page) -> str:
    if page.complete_at is None:
        return "it has not been complete yet"
    return f"as a whole it was last complete at {plain_moment(page.complete_at)}"


def _being_filled(page: Page) -> Verdict:
    left = f"{counted(page.unmet_count, 'project')} to go" if page.unmet_count else "there is more to come"
    return Verdict(Level.LATE, "Being filled", f"This mirror has not been complete yet: {left}.")


def _out_of_touch(polled_at: float, now: float) -> Verdict:
    return Verdict(
        Level.TROUBLE,
        "Out of touch with upstream",
        f"Upstream has not answered for {lasting(now - polled_at)}, since {plain_moment(polled_at)}."
        " What is served is true, and as old as that.",
    )


def _met(page: Page, complete_at: float, polled_at: float) -> Verdict:
    lag = page.generated_at - complete_at
    if lag > page.late_after:
        sentence = f"It was last known to be complete at {plain_moment(complete_at)}."
        return Verdict(Level.LATE, f"Behind by {lasting(lag)}", sentence)
    held = "everything" if page.holds_all else "everything of its selection"
    return Verdict(Level.FRESH, "Up to date", f"It has {held} that upstream had at {plain_moment(polled_at)}.")


def _behind(page: Page, complete_at: float) -> Verdict:
    lag = page.generated_at - complete_at
    unmet = counted(page.unmet_count, "project")
    if page.unmet_count <= max(_FEW, page.projects // _FEW_OF):
        sentence = (
            "Everything else is as upstream has it. What is behind is named below, with the reason and the time of the"
            f" next attempt; {_last_complete(page)}."
        )
        return Verdict(Level.LATE, f"Up to date, but for {unmet}", sentence)
    level = Level.TROUBLE if lag > _DEAD else Level.LATE
    return Verdict(level, f"Behind by {lasting(lag)}", f"{unmet} to go; {_last_complete(page)}.")
