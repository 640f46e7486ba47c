"""How a mirror stands at one moment, as numbers for a monitoring system."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from mirrorsync.model.reason import REASONS, Reason


class Room(msgspec.Struct, frozen=True):
    """The file system below the mirror, as an ordinary user sees it."""

    size: int
    """Bytes."""
    free: int
    """Bytes that can still be written."""
    used: int
    """Bytes that are taken, by whomever."""
    free_inodes: int | None
    """None: a file system that has no such limit."""
    min_free: int
    """Bytes: below it nothing more is downloaded."""


class Round(msgspec.Struct, frozen=True):
    """How far the audit is. Times are seconds since the epoch."""

    done: int
    """Projects of this round that were asked for."""
    period: float
    """Seconds that a round takes."""
    began_at: float | None
    ended_at: float | None
    """When the last whole round ended."""
    list_read_at: float | None
    """When the root list was last held against the mirror."""
    list_is_refused: bool
    """It was not believed in what it leaves out."""


class Run(msgspec.Struct, frozen=True):
    """The last run."""

    ended_at: float
    projects: int
    files: int
    bytes: int
    failures: int
    halted: bool


class Told(msgspec.Struct, frozen=True):
    """Someone who is told of what changes in public."""

    name: str
    waiting: int
    """Changes."""
    failed_attempts: int
    """Since it was last told."""
    told_at: float | None
    """Seconds since the epoch."""


class MirrorGauges(msgspec.Struct, frozen=True, kw_only=True):
    """The mirror at one moment. Times are seconds since the epoch; None: there is no such thing (yet)."""

    at: float
    """When this was read."""
    synced_serial: int | None
    newest_serial: int | None
    upstream_serial: int | None
    complete_at: float | None
    behind: float | None
    """Seconds of lag but for the few projects that fail by themselves."""
    polled_at: float | None
    failing_since: float | None
    """Since when that project fails that has failed longest."""
    projects: int
    files: int
    bytes: int
    condemned: int
    unmet: int
    reasons: Mapping[Reason, int]
    """Of the unmet: how many failed at the last attempt, by why."""
    sinks: Sequence[Told]
    waiting: int
    in_flight: int
    audit: Round
    room: Room | None
    run: Run | None

    @property
    def lag(self) -> float | None:
        """Seconds since the mirror was last as upstream, asked then; None: it never was."""
        return None if self.complete_at is None else max(0.0, self.at - self.complete_at)


def gauge(name: str, documentation: str, value: float | None) -> Metric:
    """Return a gauge of one value; of none where there is no such thing. Its unit is the name's last word."""
    unit = name.rsplit("_", 1)[-1]
    family = GaugeMetricFamily(name, documentation, unit=unit if unit in {"seconds", "bytes"} else "")
    if value is not None:
        family.add_metric([], value)
    return family


def gauges(now: MirrorGauges) -> Iterator[Metric]:
    """Yield what `now` says."""
    yield gauge("mirrorsync_observed_timestamp_seconds", "When these numbers were read.", now.at)
    yield gauge("mirrorsync_lag_seconds", "Time since the mirror was last as upstream.", now.lag)
    yield gauge(
        "mirrorsync_behind_seconds",
        "The lag but for the few projects that fail by themselves.",
        now.behind,
    )
    yield gauge(
        "mirrorsync_complete_timestamp_seconds", "When the mirror was last as upstream, asked then.", now.complete_at
    )
    yield gauge("mirrorsync_polled_timestamp_seconds", "When upstream last answered what has changed.", now.polled_at)
    yield gauge("mirrorsync_synced_serial", "Serial up to which everything is served.", now.synced_serial)
    yield gauge("mirrorsync_newest_serial", "Newest serial of any page that is served.", now.newest_serial)
    yield gauge("mirrorsync_upstream_serial", "Newest serial that upstream told.", now.upstream_serial)
    yield gauge("mirrorsync_projects", "Projects that are served.", now.projects)
    yield gauge("mirrorsync_stored_files", "Files that are stored.", now.files)
    yield gauge("mirrorsync_stored_bytes", "Size of the files that are stored.", now.bytes)
    yield gauge(
        "mirrorsync_condemned_objects", "Objects that no page names and that wait for their end.", now.condemned
    )
    yield gauge(
        "mirrorsync_failing_since_timestamp_seconds",
        "Since when that project fails that has failed longest.",
        now.failing_since,
    )
    yield _unmet(now)
    queue = GaugeMetricFamily(
        "mirrorsync_queue_projects", "Projects to be brought up: all that wait, and those under way.", labels=["state"]
    )
    queue.add_metric(["waiting"], max(0, now.waiting - now.in_flight))
    queue.add_metric(["in_flight"], now.in_flight)
    yield queue
    yield from _audit(now.audit)
    yield from _room(now.room)
    yield from _run(now.run)
    yield from _sinks(now.sinks)


def _unmet(now: MirrorGauges) -> Metric:
    family = GaugeMetricFamily(
        "mirrorsync_unmet_projects",
        "Projects that are not as upstream has them, by why their last attempt failed;"
        " waiting: they were not tried yet.",
        labels=["reason"],
    )
    for reason in REASONS:
        family.add_metric([reason], now.reasons.get(reason, 0))
    family.add_metric(["waiting"], max(0, now.unmet - sum(now.reasons.values())))
    return family


def _sinks(sinks: Sequence[Told]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "mirrorsync_sink_waiting_changes",
        "Public changes that a cache or listener is still to be told.",
        labels=["sink"],
    )
    failed = GaugeMetricFamily(
        "mirrorsync_sink_failed_attempts", "Attempts in a row at telling it that failed.", labels=["sink"]
    )
    told = GaugeMetricFamily(
        "mirrorsync_sink_told_timestamp_seconds", "When it was last told.", labels=["sink"], unit="seconds"
    )
    for sink in sinks:
        waiting.add_metric([sink.name], sink.waiting)
        failed.add_metric([sink.name], sink.failed_attempts)
        if sink.told_at is not None:
            told.add_metric([sink.name], sink.told_at)
    yield from (waiting, failed, told)


def _audit(audit: Round) -> Iterator[Metric]:
    yield gauge("mirrorsync_audit_done_projects", "Projects that this round of the audit has asked for.", audit.done)
    yield gauge("mirrorsync_audit_period_seconds", "Time that a round of the audit takes.", audit.period)
    yield gauge("mirrorsync_audit_began_timestamp_seconds", "When this round of the audit began.", audit.began_at)
    yield gauge("mirrorsync_audit_ended_timestamp_seconds", "When the last round of the audit ended.", audit.ended_at)
    yield gauge(
        "mirrorsync_root_list_read_timestamp_seconds",
        "When upstream's root list was last held against the mirror.",
        audit.list_read_at,
    )


def _room(room: Room | None) -> Iterator[Metric]:
    values = [None] * len(Room.__struct_fields__) if room is None else list(msgspec.structs.astuple(room))
    size, free, used, free_inodes, min_free = values
    yield gauge("mirrorsync_disk_size_bytes", "Size of the file system below the mirror.", size)
    yield gauge("mirrorsync_disk_free_bytes", "Free space of the file system below the mirror.", free)
    yield gauge("mirrorsync_disk_used_bytes", "Used space of the file system below the mirror.", used)
    yield gauge("mirrorsync_disk_free_inodes", "Free inodes of the file system below the mirror.", free_inodes)
    yield gauge("mirrorsync_disk_min_free_bytes", "Free space below which nothing more is downloaded.", min_free)


def _run(run: Run | None) -> Iterator[Metric]:
    values = [None] * len(Run.__struct_fields__) if run is None else list(msgspec.structs.astuple(run))
    ended_at, projects, files, size, failures, halted = values
    yield gauge("mirrorsync_last_run_end_timestamp_seconds", "When the last run was written down.", ended_at)
    yield gauge("mirrorsync_last_run_projects", "Projects that the last run brought up.", projects)
    yield gauge("mirrorsync_last_run_fetched_files", "Files that the last run fetched.", files)
    yield gauge("mirrorsync_last_run_fetched_bytes", "Bytes of files that the last run fetched.", size)
    yield gauge("mirrorsync_last_run_failures", "Attempts of the last run that failed.", failures)
    yield gauge("mirrorsync_last_run_halted", "1: the last run was ended by what a person has to mend.", halted)
