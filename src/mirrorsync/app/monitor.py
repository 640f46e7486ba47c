"""What a monitoring system sees of a process: its numbers read, written as a textfile, and served by the listener."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from mirrorsync.app.mirror_directory import state_path
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError, StoreUnreachable
from mirrorsync.observe.counters import Counters
from mirrorsync.observe.metrics import Metrics
from mirrorsync.state import progress
from mirrorsync.state.report import Report, reading, report
from mirrorsync.status.gauges import MirrorGauges, Room, Round, Run, Told
from mirrorsync.status.lag import behind
from mirrorsync.sync.context import SyncContext

_PATIENCE: Final = 5.0
"""Seconds that reading the numbers may take: a monitoring system gives up after ten."""


class Monitoring:
    """Reads the numbers of a mirror whose context are open."""

    def __init__(self, settings: Settings, context: SyncContext, tally: Counters) -> None:
        self._settings = settings
        self._context = context
        self._metrics = Metrics(tally)
        self._threads = trio.CapacityLimiter(2)  # a disk that hangs keeps two of them, and not one for each question

    async def standing(self) -> MirrorGauges:
        """Return how the mirror stands. The worker's own connection to the state is left alone.

        Raises: StoreUnreachable, when the state or the disk does not answer; StoreError.
        """
        with trio.move_on_after(_PATIENCE):
            return await trio.to_thread.run_sync(self._read, abandon_on_cancel=True, limiter=self._threads)
        raise StoreUnreachable(
            f"{self._settings.mirror.directory} cannot be read",
            why=f"the state or the disk did not answer for {_PATIENCE:g} s",
            hint="look at the disk: dmesg, iostat, the mount",
        )

    async def page(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type. Raises: as `standing`."""
        return self._metrics.page(await self.standing(), accept)

    def stuck(self) -> str:
        """Return who has shown no sign of life for too long; empty while all get on."""
        return ", ".join(self._context.pulses.stuck())

    async def unready(self) -> str:
        """Return why this mirror should not be used; empty when it is fresh, but for what fails by itself.

        Raises: as `standing`.
        """
        standing = await self.standing()
        limit = self._settings.metrics.fresh_within
        if standing.behind is None:
            return f"this mirror was never complete so far: {standing.unmet} projects are unmet"
        if standing.behind > limit:
            return (
                f"this mirror is {standing.behind:.0f} s behind upstream, the limit is {limit:.0f} s:"
                f" {standing.unmet} projects are unmet"
            )
        return ""

    async def write_textfile(self) -> None:
        """Write the textfile, if one is configured; what hinders that is told once, and the mirror goes on."""
        path = self._settings.metrics.textfile
        if path is None:
            return
        try:
            await trio.to_thread.run_sync(_replace, path, self._metrics.textfile(await self.standing()))
        except (OSError, MirrorsyncError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._context.tell_once(
                "textfile",
                f"the metrics cannot be written to {path}: {why}. The mirror goes on without. Let the user that runs"
                " mirrorsync write into that directory (under systemd also ReadWritePaths=), or leave out [metrics]"
                " textfile",
            )

    def _read(self) -> MirrorGauges:
        directory = self._settings.mirror.directory
        with reading(state_path(directory)) as connection:
            found, (waiting, _) = report(connection), progress.waiting(connection)
        return _standing(found, waiting, len(self._context.in_flight), self._settings, self._context.clock())


def _standing(found: Report, waiting: int, in_flight: int, settings: Settings, now: float) -> MirrorGauges:
    run = found.runs[0] if found.runs else None
    audit = found.audit
    return MirrorGauges(
        at=now,
        synced_serial=found.synced_serial,
        newest_serial=found.newest_serial,
        upstream_serial=found.upstream_serial,
        complete_at=found.complete_at,
        behind=behind(found, now),
        polled_at=found.polled_at,
        failing_since=min((row.failing_since for row in found.unmet if row.failing_since is not None), default=None),
        projects=found.projects,
        files=found.files,
        bytes=found.bytes,
        condemned=found.condemned,
        unmet=found.unmet_count,
        reasons=found.reasons,
        sinks=tuple(
            Told(name=sink.name, waiting=sink.waiting, failed_attempts=sink.attempts, told_at=sink.told_at)
            for sink in found.sinks
        ),
        waiting=waiting,
        in_flight=in_flight,
        audit=Round(
            done=audit.done,
            period=settings.audit.period,
            began_at=audit.began_at,
            ended_at=audit.audited_at,
            list_read_at=audit.list_read_at,
            list_is_refused=audit.list_refused is not None,
        ),
        room=_room(settings.mirror.directory, settings.limits.min_free),
        run=None
        if run is None
        else Run(run.ended_at, run.projects, run.files, run.bytes, run.errors, halted=run.needs_person),
    )


def _room(directory: Path, min_free: int) -> Room | None:
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    block = found.f_frsize
    return Room(
        size=found.f_blocks * block,
        free=found.f_bavail * block,
        used=(found.f_blocks - found.f_bfree) * block,
        free_inodes=found.f_favail if found.f_files else None,
        min_free=min_free,
    )


def _replace(path: Path, body: bytes) -> None:
    """Put `body` in the place of the file at `path`: whoever reads sees the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # node-exporter reads only what ends with .prom
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(body)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
