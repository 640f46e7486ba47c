"""The mirror at one moment as gauges for Prometheus. Pure."""

from collections.abc import Iterator

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from mirrorsync.model.reason import REASONS
from mirrorsync.state.report import Report
from mirrorsync.status.health import Health, ReasonKind
from mirrorsync.status.host import NO_LIMIT
from mirrorsync.status.snapshot import Snapshot


class Queue(msgspec.Struct, frozen=True):
    """Projects to be handled by this process."""

    waiting: int
    """Those in flight included."""
    in_flight: int


def gauges(snapshot: Snapshot, health: Health, queue: Queue) -> Iterator[Metric]:
    """Yield every gauge of the mirror; one whose value is unknown has no sample."""
    report = snapshot.report
    yield from _health(snapshot, health)
    for name, documentation, value in (
        ("complete_timestamp_seconds", "When the mirror was last complete.", report.complete_at),
        ("polled_timestamp_seconds", "When upstream last answered a poll.", report.polled_at),
        ("synced_serial", "Serial up to which everything is served.", report.synced_serial),
        ("newest_serial", "Newest serial of any page that is served.", report.newest_serial),
        ("upstream_serial", "Newest serial that upstream reported.", report.upstream_serial),
        ("projects", "Projects that are served.", report.projects),
        ("stored_files", "Files that are stored.", report.files),
        ("stored_bytes", "Size of the files that are stored.", report.bytes),
        ("condemned_objects", "Objects that no page names and that will be deleted.", report.condemned),
        ("failing_since_timestamp_seconds", "Since when the longest failing project fails.", _failing_since(report)),
    ):
        yield _gauge(name, documentation, value)
    yield _labelled(
        "queue_projects",
        "Projects to be handled: waiting and in flight.",
        "state",
        {
            "waiting": max(0, queue.waiting - queue.in_flight),
            "in_flight": queue.in_flight,
        },
    )
    yield from _audit(snapshot)
    yield from _disk(snapshot)
    yield from _last_run(report)
    yield from _sinks(report)


def _gauge(name: str, documentation: str, value: float | None) -> Metric:
    """Return a gauge with one sample, with none for None. Its unit is the name's last word."""
    family = GaugeMetricFamily(f"mirrorsync_{name}", documentation, unit=_unit(name))
    if value is not None:
        family.add_metric([], value)
    return family


def _labelled(name: str, documentation: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(f"mirrorsync_{name}", documentation, labels=[label], unit=_unit(name))
    for text, value in values.items():
        family.add_metric([text], value)
    return family


def _unit(name: str) -> str:
    unit = name.rsplit("_", 1)[-1]
    return unit if unit in {"seconds", "bytes"} else ""


def _health(snapshot: Snapshot, health: Health) -> Iterator[Metric]:
    yield _gauge("observed_timestamp_seconds", "When these numbers were read.", snapshot.at)
    yield _gauge("health_level", "Health as `mirrorsync status` ends: 0 ok, 1 warning, 2 critical.", health.level)
    levels = dict.fromkeys((kind.value for kind in ReasonKind), 0.0)
    levels |= {reason.kind.value: float(reason.level) for reason in reversed(health.reasons)}
    yield _labelled("health_reason", "Level of each reason of the health level; 0: it does not apply.", "kind", levels)
    yield _gauge("lag_seconds", "Time since the mirror was complete.", health.lag)
    yield _gauge("behind_seconds", "The lag without the few failing projects.", health.behind)
    reasons = snapshot.report.reasons
    waiting = max(0, snapshot.report.unmet_count - sum(reasons.values()))
    yield _labelled(
        "unmet_projects",
        "Projects that are not as upstream has them, by why their last attempt failed; waiting: not tried yet.",
        "reason",
        {**{reason: reasons.get(reason, 0) for reason in REASONS}, "waiting": waiting},
    )


def _failing_since(report: Report) -> float | None:
    return min((row.failing_since for row in report.unmet if row.failing_since is not None), default=None)


def _audit(snapshot: Snapshot) -> Iterator[Metric]:
    audit = snapshot.report.audit
    for name, documentation, value in (
        ("audit_done_projects", "Projects that were checked in this round of the audit.", audit.done),
        ("audit_period_seconds", "Time that a round of the audit takes.", snapshot.site.audit_period),
        ("audit_began_timestamp_seconds", "When this round of the audit began.", audit.began_at),
        ("audit_ended_timestamp_seconds", "When the last round of the audit ended.", audit.audited_at),
        ("root_list_read_timestamp_seconds", "When the root list was last compared.", audit.list_read_at),
    ):
        yield _gauge(name, documentation, value)


def _disk(snapshot: Snapshot) -> Iterator[Metric]:
    disk = snapshot.host.disks[0] if snapshot.host.disks else None
    size = free = used = inodes = min_free = None
    if disk is not None:
        size, free, used, min_free = disk.total, disk.free, disk.used, snapshot.site.min_free
        inodes = disk.inodes_free if disk.inodes_free < NO_LIMIT else None
    yield _gauge("disk_size_bytes", "Size of the mirror's file system.", size)
    yield _gauge("disk_free_bytes", "Free space of the mirror's file system.", free)
    yield _gauge("disk_used_bytes", "Used space of the mirror's file system.", used)
    yield _gauge("disk_free_inodes", "Free inodes of the mirror's file system.", inodes)
    yield _gauge("disk_min_free_bytes", "Free space below which downloads wait.", min_free)


def _last_run(report: Report) -> Iterator[Metric]:
    for name, documentation, attribute in (
        ("last_run_end_timestamp_seconds", "When the last run was recorded.", "ended_at"),
        ("last_run_projects", "Projects that the last run handled successfully.", "projects"),
        ("last_run_fetched_files", "Files that the last run fetched.", "files"),
        ("last_run_fetched_bytes", "Bytes of files that the last run fetched.", "bytes"),
        ("last_run_failures", "Failed attempts of the last run.", "errors"),
        ("last_run_halted", "1: the last run was ended by an error that needs a person.", "needs_person"),
    ):
        yield _gauge(name, documentation, getattr(report.runs[0], attribute) if report.runs else None)


def _sinks(report: Report) -> Iterator[Metric]:
    sinks = report.sinks
    waiting = {sink.name: float(sink.waiting) for sink in sinks}
    failed = {sink.name: float(sink.attempts) for sink in sinks}
    notified = {sink.name: sink.delivered_at for sink in sinks if sink.delivered_at is not None}
    yield _labelled(
        "sink_waiting_changes", "Changes of which a cache or listener is not notified yet.", "sink", waiting
    )
    yield _labelled("sink_failed_attempts", "Failed notifications in a row.", "sink", failed)
    yield _labelled("sink_told_timestamp_seconds", "When it was last notified.", "sink", notified)
