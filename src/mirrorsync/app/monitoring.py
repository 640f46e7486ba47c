"""A context with the monitoring that [metrics] asks for: the listener, the textfile, and what they report."""

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from mirrorsync.app.listener import bound
from mirrorsync.app.mirror_directory import refuse_second, state_path
from mirrorsync.app.wiring import open_context
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError, Recovery, StoreUnreachable
from mirrorsync.observe.run_observer import Done, RunObserver, RunObservers
from mirrorsync.state import progress
from mirrorsync.state.report import reading, report
from mirrorsync.status.health import judge, judge_unreadable
from mirrorsync.status.host import Host, inspect_host
from mirrorsync.status.snapshot import Snapshot, site_of
from mirrorsync.status.text import headline, readiness
from mirrorsync.sync.context import SyncContext

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from mirrorsync.observe.metrics import Metrics

_READ_LIMIT: Final = 5.0
"""Seconds that reading the state and the disk may take: a monitoring system gives up after ten."""
_HOST_LIMIT: Final = 1.0
"""Seconds that inspecting the host may take once the state could not be read."""
_WRITTEN_EVERY: Final = 60.0
"""Seconds after which the textfile is written without a publication: that upstream is down must be seen, too."""
_GATHERED: Final = 1.0
"""Seconds between a publication and the textfile that reports it."""
_LAST_WRITE: Final = 10.0
"""Seconds that the last writing of the textfile may take."""


@asynccontextmanager
async def monitored_context(
    settings: Settings,
    audience: RunObserver,
    *,
    allow_removals: bool = False,
    listens: bool = False,
    notes_halt: bool = True,
) -> AsyncIterator[SyncContext]:
    """Open the context with the monitoring that [metrics] asks for; `listens`: in a daemon, which serves /metrics.

    Raises: BadConfig, before anything else, when the address is taken; AlreadyRunning; and as `open_context`.
    """
    wanted = settings.metrics
    if wanted.textfile is None and (wanted.listen is None or not listens):
        async with open_context(settings, audience, allow_removals=allow_removals, notes_halt=notes_halt) as context:
            yield context
        return
    from mirrorsync.observe.metrics import Metrics  # noqa: PLC0415 -- prometheus-client takes 50 ms to load

    refuse_second(settings.mirror.directory)
    async with bound(wanted.listen if listens else None) as listener:
        metrics, publications = Metrics(), _Publications()
        observers = RunObservers(audience, metrics, publications)
        opening = open_context(
            settings, observers, allow_removals=allow_removals, notes_halt=notes_halt, metrics=metrics
        )
        async with opening as context:
            monitor = Monitor(settings, context, metrics)
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(listener.serve, monitor)
                    nursery.start_soon(_keep_textfile, monitor, publications)
                    yield context
                    nursery.cancel_scope.cancel()
            except BaseException as error:
                metrics.set_halted(halted=_needs_person(error))
                raise
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WRITE):
                    await monitor.write_textfile()


class Monitor:
    """Reports on a mirror whose context is open."""

    def __init__(self, settings: Settings, context: SyncContext, metrics: "Metrics") -> None:
        self._settings = settings
        self._context = context
        self._metrics = metrics
        self._threads = trio.CapacityLimiter(2)  # a disk that hangs holds two threads, not one for each request

    async def page(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type.

        Raises: StoreUnreachable, when the state or the disk does not answer; StoreError.
        """
        return self._metrics.page(await self._gauges(), accept)

    def stuck(self) -> str:
        """Return which tasks have made no progress for too long; empty where there are none."""
        return ", ".join(self._context.heartbeats.stuck())

    async def readiness(self) -> tuple[bool, str]:
        """Return whether clients may use this mirror now, and why not or how it is, as `mirrorsync status` says it."""
        try:
            snapshot, _ = await self._read()
        except MirrorsyncError as error:
            return False, f"{headline(judge_unreadable(error, await self._host()))}\n"
        health = judge(snapshot)
        return health.ready, readiness(snapshot, health)

    async def _host(self) -> Host:
        """Return the host's facts, none of them from a disk that hangs."""
        directory = self._settings.mirror.directory
        with trio.move_on_after(_HOST_LIMIT):
            return await trio.to_thread.run_sync(inspect_host, directory, abandon_on_cancel=True, limiter=self._threads)
        return Host()

    async def check_state(self) -> None:
        """Return when the state has answered. Raises: as `page`."""
        await self._read()

    async def write_textfile(self) -> None:
        """Write the textfile, if one is configured; a failure is reported once, and the mirror goes on."""
        path = self._settings.metrics.textfile
        if path is None:
            return
        try:
            await trio.to_thread.run_sync(_replace, path, self._metrics.textfile(await self._gauges()))
        except (OSError, MirrorsyncError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self._context.observer.warn_once(
                "textfile",
                f"the metrics cannot be written to {path}: {why}. The mirror goes on without. Let the user that runs"
                " mirrorsync write into that directory (under systemd also ReadWritePaths=), or leave out [metrics]"
                " textfile",
            )

    async def _gauges(self) -> "Iterable[Metric]":
        from mirrorsync.status.gauges import Queue, gauges  # noqa: PLC0415 -- as Metrics above

        snapshot, waiting = await self._read()
        # The root list is read once a day, mostly by another process: what the state says of it counts.
        self._metrics.set_trouble("root list", lasts=snapshot.report.audit.list_refused is not None)
        queue = Queue(waiting=waiting, in_flight=self._metrics.projects_in_flight)
        return gauges(snapshot, judge(snapshot), queue)

    async def _read(self) -> tuple[Snapshot, int]:
        """Return the facts and the number of waiting projects, on a connection of its own. Raises: as `page`."""
        with trio.move_on_after(_READ_LIMIT):
            return await trio.to_thread.run_sync(self._read_now, abandon_on_cancel=True, limiter=self._threads)
        raise StoreUnreachable(
            f"{self._settings.mirror.directory} cannot be read",
            why=f"the state or the disk did not answer for {_READ_LIMIT:g} s",
            hint="look at the disk: dmesg, iostat, the mount",
        )

    def _read_now(self) -> tuple[Snapshot, int]:
        directory = self._settings.mirror.directory
        with reading(state_path(directory)) as connection:
            found, (waiting, _) = report(connection), progress.waiting(connection)
        site, now = site_of(self._settings), self._context.clock()
        return Snapshot(at=now, report=found, host=inspect_host(directory), site=site), waiting


class _Publications(RunObserver):
    """Wakes the task that waits for a publication."""

    def __init__(self) -> None:
        self.event = trio.Event()

    def published(self, done: Done) -> None:  # noqa: ARG002 -- that there was one is enough
        self.event.set()
        self.event = trio.Event()


async def _keep_textfile(monitor: Monitor, publications: _Publications) -> None:
    """Write the textfile until cancelled, also during a first sync, which takes days."""
    while True:
        await monitor.write_textfile()
        with trio.move_on_after(_WRITTEN_EVERY):
            await publications.event.wait()
        await trio.sleep(_GATHERED)


def _needs_person(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_needs_person, error.exceptions))
    return isinstance(error, MirrorsyncError) and error.recovery is Recovery.HALT


def _replace(path: Path, body: bytes) -> None:
    """Replace the file at `path` by `body`; a reader sees the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")  # node-exporter reads only names that end with .prom
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(body)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
