"""The daemon: signals, reloading, a bounded stop, and reports to the service manager.

A session is the time under one configuration: open the context, follow upstream, close the context.
"""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio

from mirrorsync.app.monitoring import monitored_context
from mirrorsync.app.service_status import describe
from mirrorsync.app.wiring import cleaner
from mirrorsync.config.schema import PYPI_SHORTEST_POLL, Settings
from mirrorsync.errors import MirrorsyncError
from mirrorsync.observe.run_observer import RunObserver
from mirrorsync.observe.sd_notify import Manager
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.daemon_loop import DaemonLoop
from mirrorsync.sync.poll_schedule import PollSchedule

GRACE: Final = 60.0
"""Seconds that a stop or a reload gives to running work. The units' TimeoutStopSec is longer."""
_SHORTEST_POLL: Final = 5.0
"""Least seconds between two polls of an index other than PyPI, however often SIGUSR1 arrives."""
_CHECK_INTERVAL: Final = 1.0
"""Seconds between two checks of the daemon's own progress, and at least between two status lines."""

Opening = Callable[[Settings], AbstractAsyncContextManager[SyncContext]]


def poll_schedule(settings: Settings) -> PollSchedule:
    """Return when upstream may be polled: PyPI at most once a minute, even on SIGUSR1."""
    interval = settings.upstream.poll_interval
    shortest = PYPI_SHORTEST_POLL if settings.upstream.index == "pypi" else min(_SHORTEST_POLL, interval)
    return PollSchedule(interval=interval, shortest=shortest)


class Daemon:
    """Follows upstream, from one configuration to the next, until a signal stops it."""

    def __init__(
        self,
        settings: Settings,
        opening: Opening,
        observer: RunObserver,
        manager: Manager,
        reread: Callable[[], Settings],
    ) -> None:
        self._settings = settings
        self._opening = opening
        self._observer = observer
        self._manager = manager
        self._reread = reread
        self._mask = cleaner(settings)
        self._loop: DaemonLoop | None = None
        self._scope = trio.CancelScope()
        self._next: Settings | None = None
        self._is_ending = False
        self._reload_is_due = False

    async def run(self) -> None:
        """Follow until SIGTERM or SIGINT. Running work then has `GRACE` seconds to end; a second signal cancels it.

        SIGHUP reads the configuration again; an invalid one changes nothing. SIGUSR1 polls upstream.
        Raises: errors that need a person. Cancellation: running work is abandoned, and repeated by the next run.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._handle_signals, signals)
                await self._run_sessions()
                nursery.cancel_scope.cancel()

    async def _run_sessions(self) -> None:
        """Run one session after another. If a new configuration cannot be opened, return to the previous one."""
        settings, previous = self._settings, None
        while not self._is_ending:
            self._loop, self._next = None, None
            try:
                await self._session(settings)
            except MirrorsyncError as error:
                if previous is None or self._loop is not None:
                    raise
                self._report_rejected("could not be opened", error)
                settings, previous = previous, None
                continue
            if self._next is None:
                return
            settings, previous = self._next, settings

    async def _session(self, settings: Settings) -> None:
        with trio.CancelScope() as self._scope:
            async with self._opening(settings) as context:
                is_new, self._settings = settings != self._settings, settings
                if is_new:
                    self._observer.info("the new configuration is in force")
                self._mask = cleaner(settings)
                self._loop = loop = DaemonLoop(context, poll_schedule(settings))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._bound_the_stop, loop)
                    nursery.start_soon(self._report_progress, context, loop)
                    summary = await context.state.summary(context.clock())
                    await self._manager.ready(self._mask(describe(summary, loop, context, ())))
                    if self._reload_is_due:
                        nursery.start_soon(self._reload)
                    await loop.run()
                    nursery.cancel_scope.cancel()
        if self._loop is not None and self._loop.halt is not None:
            raise self._loop.halt  # the deadline may have cancelled the call that would have raised it

    async def _handle_signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGHUP:
                await self._reload()
            elif number == signal.SIGUSR1:
                if self._loop is not None:
                    self._loop.wake()
            else:
                self._end()

    def _end(self) -> None:
        """Stop the loop; cancel at the second signal, or when no loop runs yet."""
        if self._is_ending or self._loop is None:
            self._scope.cancel()
        else:
            self._loop.stop()
        self._is_ending = True

    async def _reload(self) -> None:
        loop = self._loop
        self._reload_is_due = loop is None
        if loop is None or self._is_ending:
            return
        await self._manager.reloading("reading the configuration again")
        try:
            fresh = await trio.to_thread.run_sync(self._reread)
        except MirrorsyncError as error:
            self._report_rejected("is invalid", error)
        else:
            if fresh != (self._next or self._settings):
                self._observer.info("the configuration has changed; it takes effect when running work has ended")
                self._next = fresh
                loop.stop()
                return
            self._observer.info("the configuration was read again and has not changed")
        if self._next is None:  # otherwise the next session reports that it is ready
            await self._manager.ready("the configuration has not changed")

    def _report_rejected(self, what: str, error: MirrorsyncError) -> None:
        hint = f". {error.hint}" if error.hint else ""
        self._observer.warn(f"the new configuration {what}, so the previous one stays in force: {error}{hint}")

    async def _bound_the_stop(self, loop: DaemonLoop) -> None:
        await loop.stopping.wait()
        self._scope.deadline = trio.current_time() + GRACE
        if self._next is None:
            await self._manager.stopping(f"stopping: running work has {GRACE:g} s to end")

    async def _report_progress(self, context: SyncContext, loop: DaemonLoop) -> None:
        """Report the status to the manager, and ping its watchdog while work progresses.

        Each round reads the state, so a hanging state stops the pings as well.
        """
        reported, reported_at, pinged_at, stuck_is_logged = "", -float("inf"), -float("inf"), False
        ping_interval = (self._manager.watchdog or float("inf")) / 4
        while True:
            await trio.sleep(min(_CHECK_INTERVAL, ping_interval))
            summary = await context.state.summary(context.clock())
            stuck = loop.stuck(has_work=summary.has_work)
            if stuck and not stuck_is_logged:
                self._observer.warn(f"no progress for too long: {', '.join(stuck)}; watchdog pings are withheld")
            stuck_is_logged = bool(stuck)
            status = self._mask(describe(summary, loop, context, stuck))
            if status != reported and trio.current_time() >= reported_at + _CHECK_INTERVAL:
                await self._manager.tell(status)
                reported, reported_at = status, trio.current_time()
            if not stuck and trio.current_time() >= pinged_at + ping_interval:
                pinged_at = trio.current_time()
                await self._manager.alive()


async def run_daemon(settings: Settings, observer: RunObserver, reread: Callable[[], Settings]) -> None:
    """Follow upstream until SIGTERM or SIGINT; `reread` loads the configuration again on SIGHUP.

    Raises: as `Daemon.run`.
    """

    def opening(now: Settings) -> AbstractAsyncContextManager[SyncContext]:
        # A reloaded configuration that cannot be opened ends no run: the daemon continues with the previous one.
        return monitored_context(now, observer, listens=True, notes_halt=now is settings)

    with observer:
        await Daemon(settings, opening, observer, Manager.from_environment(), reread).run()
