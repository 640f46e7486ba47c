"""Mirrors in every state of health, as snapshots."""

from typing import Any, Final

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.state.audit import AuditReport
from mirrorsync.state.notification_queue import SinkReport
from mirrorsync.state.report import Growth, Report, RunRow, Unmet
from mirrorsync.status.host import DiskSpace, Host
from mirrorsync.status.snapshot import Site, Snapshot

NOW: Final = 1_800_000_000.0
HOUR, DAY, GIB = 3600.0, 86_400.0, 1 << 30
SITE: Final = Site(name="mirror.test", simple_url="https://mirror.test/simple/", min_free=20 * GIB)


def disk(free: int = 500 * GIB, inodes: int = 1 << 30, path: str = "/srv/pypi/web") -> DiskSpace:
    return DiskSpace(path=path, free=free, total=1000 * GIB, inodes_free=inodes, used=1000 * GIB - free)


def host(*disks: DiskSpace, at_work: bool | None = True) -> Host:
    return Host(at_work=at_work, process="77" if at_work else "", disks=disks or (disk(),))


def run(note: str | None = None, *, needs_person: bool = False) -> RunRow:
    return RunRow(NOW - 60, NOW - 50, Serial(100), 1, 1, 1, 0, note, needs_person)


def failing(name: str = "gamma", *, since: float = NOW - 60, stale: bool = False) -> Unmet:
    return Unmet(
        name=ProjectName(name),
        wanted=Serial(100),
        mirrored=Serial(90),
        attempts=2,
        next_attempt_at=NOW + 60,
        error="HTTP 404 | Not Found",
        hint=None,
        unmet_since=Serial(95),
        failing_since=since,
        stale_since=since if stale else None,
    )


def untried(name: str = "young") -> Unmet:
    return Unmet(ProjectName(name), Serial(100), Serial(90), 0, 0.0, None, None, Serial(95))


def sink(attempts: int) -> SinkReport:
    return SinkReport(
        name="varnish http://cache.internal",
        waiting=7,
        everything=False,
        attempts=attempts,
        next_attempt_at=NOW + 9,
        delivered_at=NOW - HOUR,
        last_error="answers 403 Forbidden",
    )


def report(*unmet: Unmet, **facts: Any) -> Report:
    """Return the report of a mirror that was complete half a minute ago, but for `unmet`."""
    values: dict[str, Any] = {
        "upstream": "https://index.test",
        "synced_serial": Serial(100),
        "newest_serial": Serial(100),
        "upstream_serial": Serial(100),
        "has_journal": True,
        "polled_at": NOW - 30,
        "complete_at": NOW - 30,
        "projects": 5000,
        "files": 9000,
        "bytes": 100 * GIB,
        "condemned": 0,
        "audit": AuditReport(None, 0, None, None),
        "unmet_count": len(unmet),
        "unmet": unmet,
        "runs": (run(),),
        "growth": Growth(seconds=0.0, bytes=0),
    }
    return Report(**values | facts)


def mirror(*unmet: Unmet, around: Host | None = None, site: Site = SITE, **facts: Any) -> Snapshot:
    """Return the snapshot of such a mirror, on which a daemon works unless `around` says otherwise."""
    around = around or host()
    return Snapshot(
        at=NOW,
        report=report(*unmet, **facts),
        host=around,
        site=site,
        next_poll_at=NOW + 55 if around.at_work else None,
    )
