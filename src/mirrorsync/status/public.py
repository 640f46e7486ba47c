"""The mirror's health in words for the public: without the operator's paths, hosts and error messages. Pure.

Nothing is judged here: levels and kinds are those of `Health`, each kind has its text.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from mirrorsync.model.wording import counted, lasting, utc
from mirrorsync.status.health import Health, Level, ReasonKind
from mirrorsync.status.snapshot import Snapshot


class PublicText(msgspec.Struct, frozen=True):
    """Plain text."""

    headline: str
    sentence: str


_TEXTS: Final[Mapping[ReasonKind, tuple[str, str]]] = {
    ReasonKind.UNREADABLE: ("Unknown", "The state of this mirror cannot be read."),
    ReasonKind.HALTED: (
        "{halted}",
        "The last run ended early; its operator's log says why. What is served is true; {complete}.",
    ),
    ReasonKind.DISK_FULL: (
        "The disk is full",
        "Nothing new can be stored until there is room. What is served is true.",
    ),
    ReasonKind.LOW_ROOM: ("Short of room", "Downloads wait until there is room on the disk. What is served is true."),
    ReasonKind.DISK_FILLING: ("Running short of room", "At the present pace the disk will be full within a week."),
    ReasonKind.NOT_BEGUN: ("Not begun yet", "Upstream has not answered yet: nothing is mirrored."),
    ReasonKind.INCOMPLETE: ("Being filled", "This mirror has not been complete yet: {unmet} to go."),
    ReasonKind.SILENT: (
        "Out of touch with upstream",
        "Upstream has not answered for {silence}, since {polled}. What is served is true, and as old as that.",
    ),
    ReasonKind.BEHIND: ("Behind by {behind}", "{unmet} to go; {complete}."),
    ReasonKind.LIST_REFUSED: (
        "Up to date; upstream's list is incomplete",
        "Upstream's list of projects was incomplete; nothing was removed because of it.",
    ),
    ReasonKind.FAILING: (
        "Up to date, but for {failed}",
        "{failed} cannot be mirrored and {are} named below, with the reason and the next attempt; {complete}.",
    ),
    ReasonKind.HELD_BACK: (
        "Up to date, but for {held_back}",
        "A cache in front of upstream has held pages back for {held_for}; {complete}.",
    ),
    ReasonKind.SINK: (
        "Up to date; a cache may be old",
        "A cache in front of this mirror cannot be notified of changes and may serve old pages.",
    ),
}


def public_texts(snapshot: Snapshot, health: Health) -> Mapping[ReasonKind, PublicText]:
    """Return a text for each kind of reason, the worst first; none where all is well."""
    values = _values(snapshot, health)
    return {
        reason.kind: PublicText(*(text.format_map(values) for text in _TEXTS[reason.kind])) for reason in health.reasons
    }


def all_well(snapshot: Snapshot, health: Health) -> PublicText:
    """Return what there is to say where the level is OK."""
    everything = "everything" if snapshot.site.holds_all else "everything of its selection"
    rest = ""
    if health.held_back:
        rest = f", but for {counted(len(health.held_back), 'page')} that a cache in front of upstream holds back"
    elif snapshot.report.unmet_count:
        rest = f"; newer changes of {counted(snapshot.report.unmet_count, 'project')} are on the way"
    return PublicText(
        "Up to date", f"It has {everything} that upstream had at {utc(snapshot.at - (health.behind or 0.0))}{rest}."
    )


def _values(snapshot: Snapshot, health: Health) -> Mapping[str, str]:
    report, now = snapshot.report, snapshot.at
    polled = 0.0 if report.polled_at is None else report.polled_at
    complete = "it has not been complete yet"
    if report.complete_at is not None:
        complete = f"as a whole it was last complete at {utc(report.complete_at)}"
    return {
        "halted": "Stopped by a fault" if health.level is Level.CRITICAL else "Recovering from a fault",
        "complete": complete,
        "unmet": counted(report.unmet_count, "project"),
        "silence": lasting(now - polled),
        "polled": utc(polled),
        "behind": lasting(health.behind or 0.0),
        "failed": counted(len(health.failed), "project"),
        "are": "is" if len(health.failed) == 1 else "are",
        "held_back": counted(len(health.held_back), "project"),
        "held_for": lasting(now - min((row.stale_since or now for row in health.held_back), default=now)),
    }
