"""The status as JSON: for `mirrorsync status --json`, and for the public `mirrorsync/status.json`. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import asdict, replace

from mirrorsync import __version__
from mirrorsync.state.report import Report
from mirrorsync.status.forecast import Forecast
from mirrorsync.status.health import Health
from mirrorsync.status.public import public_texts
from mirrorsync.status.snapshot import Snapshot

_PROMISED: Final = ("synced_serial", "newest_serial", "upstream_serial", "lag_seconds", "projects", "files", "bytes")
"""Keys that scripts rely on, null where the state cannot be read."""


def operator_document(snapshot: Snapshot, health: Health) -> dict[str, object]:
    """Return what `status --json` prints."""
    report, host = snapshot.report, snapshot.host
    return {
        **_judgement(health),
        "reasons": [reason.text for reason in health.reasons],
        **report_document(report, snapshot.at),
        "behind_seconds": None if health.behind is None else round(health.behind, 3),
        "at_work": host.at_work,
        "process": int(host.process) if host.process else None,
        "min_free": snapshot.site.min_free,
        "sinks": [asdict(sink) for sink in report.sinks],
        "disks": [asdict(disk) for disk in host.disks],
        "forecast": _forecast(snapshot, health),
    }


def public_document(snapshot: Snapshot, health: Health) -> bytes:
    """Return `mirrorsync/status.json`: the same level and kinds of reasons, in words for the public."""
    report = snapshot.report
    # Why a run ended early may name paths and hosts: it is left to the operator's log.
    public = replace(report, runs=tuple(replace(run, note=None) for run in report.runs))
    document = {
        **_judgement(health),
        "reasons": [text.sentence for text in public_texts(snapshot, health).values()],
        **report_document(public, snapshot.at),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def unreadable_document(health: Health) -> dict[str, object]:
    """Return what `status --json` prints where the state cannot be read."""
    return {
        **_judgement(health),
        "reasons": [reason.text for reason in health.reasons],
        "hint": health.reasons[0].hint,
        **dict.fromkeys(_PROMISED),
        "unmet": [],
        "last_sync": None,
        "version": __version__,
    }


def report_document(report: Report, now: float) -> dict[str, object]:
    """Return the part that both documents share; times are seconds since the epoch.

    `lag_seconds`: time since the mirror was complete; null: it never was. `lag_serials`: how far `synced_serial` is
    behind `upstream_serial`. `synced_serial`, `upstream_serial`: null where upstream has no serials.
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
        "audit": asdict(report.audit),
        "unmet_count": report.unmet_count,
        "unmet_by_reason": report.reasons,
        "unmet": [asdict(row) for row in report.unmet],
        "runs": [asdict(row) for row in report.runs],
        "last_sync": report.complete_at,
        "last_poll": report.polled_at,
        "has_journal": report.has_journal,
        "upstream": report.upstream,
        "version": __version__,
    }


def lag_serials(report: Report) -> int | None:
    """Return how many serials upstream is ahead; None where either serial is unknown."""
    if report.upstream_serial is None or report.synced_serial is None:
        return None
    return max(0, report.upstream_serial - report.synced_serial)


def _judgement(health: Health) -> dict[str, object]:
    return {
        "state": health.level.name.lower(),
        "reason_kinds": list(dict.fromkeys(reason.kind.value for reason in health.reasons)),
    }


def _forecast(snapshot: Snapshot, health: Health) -> Mapping[str, object] | None:
    ahead = health.forecast
    if not isinstance(ahead, Forecast):
        return None
    endless = ahead.seconds_left == float("inf")
    return {
        "bytes_a_day": round(ahead.bytes_a_day),
        "full_at": None if endless else round(snapshot.at + ahead.seconds_left),
    }
