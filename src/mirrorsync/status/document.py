"""The status as scripts read it."""

import msgspec

from mirrorsync import __version__
from mirrorsync.state.report import Report


def status_document(report: Report, now: float) -> dict[str, object]:
    """Return the status as scripts read it (`status --json`, `mirrorsync/status.json`); times are seconds (epoch).

    `lag_seconds`: how long ago the mirror last was as upstream, asked then; null: it never was. `lag_serials`: how
    far `synced_serial` is behind `upstream_serial`. `synced_serial`, `upstream_serial`: null where upstream tells no
    such thing.
    """
    return {
        "synced_serial": report.synced_serial,
        "newest_serial": report.newest_serial,
        "upstream_serial": report.upstream_serial,
        "lag_seconds": None if report.complete_at is None else round(max(0.0, now - report.complete_at), 3),
        "lag_serials": lag_serials(report),
        "projects": report.projects,
        "files": report.files,
        "bytes": report.bytes,
        "condemned": report.condemned,
        "audit": msgspec.structs.asdict(report.audit),
        "unmet_count": report.unmet_count,
        "unmet_by_reason": report.reasons,
        "unmet": [msgspec.structs.asdict(row) for row in report.unmet],
        "runs": [msgspec.structs.asdict(row) for row in report.runs],
        "last_sync": report.complete_at,
        "last_poll": report.polled_at,
        "has_journal": report.has_journal,
        "upstream": report.upstream,
        "version": __version__,
    }


def lag_serials(report: Report) -> int | None:
    """Return how many serials upstream is ahead; None where it tells none, or has told none yet."""
    if report.upstream_serial is None or report.synced_serial is None:
        return None
    return max(0, report.upstream_serial - report.synced_serial)
