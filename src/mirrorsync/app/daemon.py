"""The daemon as its service manager has it: signals, reloading, the bounded end, and word of how it gets on.

A session is the time between two configurations: context are opened, upstream is followed, context are closed.
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
"""Seconds that a stop or a reload gives to what is under way; the units' TimeoutStopSec is longer."""
_SHORTEST: Final = 5.0
"""Seconds between two looks at an index of one's own, however often SIGUSR1 comes."""
_GLANCE: Final = 1.0
"""Seconds between two looks at ourselves, and at least between two lines to the manager."""

Opening = Callable[[Settings], AbstractAsyncContextManager[SyncContext]]


def rhythm_of(settings: Settings) -> PollSchedule:
    """Return when upstream may be looked at: PyPI once a minute, whoever wakes us."""
    interval = settings.upstream.poll_interval
    shortest = PYPI_SHORTEST_POLL if settings.upstream.index == "pypi" else min(_SHORTEST, interval)
    return PollSchedule(interval=interval, shortest=shortest)


class Daemon:
    """Follows upstream from one configuration to the next, until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        opening: Opening,
        audience: RunObserver,
        manager: Manager,
        reread: Callable[[], Settings],
    ) -> None:
        self._settings = settings
        self._opening = opening
        self._audience = audience
        self._manager = manager
        self._reread = reread
        self._hide = cleaner(settings)
        self._follower: DaemonLoop | None = None
        self._scope = trio.CancelScope()
        self._next: Settings | None = None
        self._ends = False
        self._reload_is_due = False

    async def run(self) -> None:
        """Follow until SIGTERM or SIGINT; what is under way then has `GRACE` seconds to end, a second signal ends it.

        SIGHUP: the configuration is read again; one that is not right changes nothing. SIGUSR1: upstream is looked at.
        Raises: what only a person can mend. Cancellation: what is under way is left, to be done again.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed, signals)
                await self._follow_on()
                nursery.cancel_scope.cancel()

    async def _follow_on(self) -> None:
        """Have one session after the other; where a new configuration cannot be opened, the last one serves again."""
        settings, last = self._settings, None
        while not self._ends:
            self._follower, self._next = None, None
            try:
                await self._session(settings)
            except MirrorsyncError as error:
                if last is None or self._follower is not None:
                    raise
                self._keep("could not be opened", error)
                settings, last = last, None
                continue
            if self._next is None:
                return
            settings, last = self._next, settings

    async def _session(self, settings: Settings) -> None:
        with trio.CancelScope() as self._scope:
            async with self._opening(settings) as context:
                is_another, self._settings = settings != self._settings, settings
                if is_another:
                    self._audience.mentions("the new configuration is in force")
                self._hide = cleaner(settings)
                self._follower = follower = DaemonLoop(context, rhythm_of(settings))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._bound_the_end, follower)
                    nursery.start_soon(self._watch, context, follower)
                    glance = await context.state.glance(context.clock())
                    await self._manager.ready(self._hide(describe(glance, follower, context, ())))
                    if self._reload_is_due:
                        nursery.start_soon(self._reload)
                    await follower.run()
                    nursery.cancel_scope.cancel()
        if self._follower is not None and self._follower.halt is not None:
            raise self._follower.halt  # though the deadline cut short what would have raised it

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGHUP:
                await self._reload()
            elif number == signal.SIGUSR1:
                if self._follower is not None:
                    self._follower.wake()
            else:
                self._end()

    def _end(self) -> None:
        """Stop in good order; the second time, and before there is anything in order, at once."""
        if self._ends or self._follower is None:
            self._scope.cancel()
        else:
            self._follower.stop()
        self._ends = True

    async def _reload(self) -> None:
        follower = self._follower
        self._reload_is_due = follower is None
        if follower is None or self._ends:
            return
        await self._manager.reloading("reading the configuration again")
        try:
            fresh = await trio.to_thread.run_sync(self._reread)
        except MirrorsyncError as error:
            self._keep("was not taken over", error)
        else:
            if fresh != (self._next or self._settings):
                self._audience.mentions(
                    "the configuration is another one: what is under way is ended, then it is in force"
                )
                self._next = fresh
                follower.stop()
                return
            self._audience.mentions("the configuration was read again, and says the same as before")
        if self._next is None:  # else the session that begins with it says so
            await self._manager.ready("the configuration is as it was")

    def _keep(self, what: str, error: MirrorsyncError) -> None:
        hint = f". {error.hint}" if error.hint else ""
        self._audience.notes(f"the new configuration {what}, the one before it stays in force: {error}{hint}")

    async def _bound_the_end(self, follower: DaemonLoop) -> None:
        await follower.stopping.wait()
        self._scope.deadline = trio.current_time() + GRACE
        if self._next is None:
            await self._manager.stopping(f"stopping: what is under way has {GRACE:g} s to end")

    async def _watch(self, context: SyncContext, follower: DaemonLoop) -> None:
        """Tell the manager what is done, and that it gets on: not when it does not.

        The state is asked each time: if that hangs, nothing is said either.
        """
        said, said_at, fed_at, told = "", -float("inf"), -float("inf"), False
        feed_every = (self._manager.watchdog or float("inf")) / 4
        while True:
            await trio.sleep(min(_GLANCE, feed_every))
            glance = await context.state.glance(context.clock())
            stuck = follower.stuck(has_work=glance.has_work)
            if stuck and not told:
                self._audience.notes(f"no sign of life for too long: {', '.join(stuck)}; the watchdog is left unfed")
            told = bool(stuck)
            now = self._hide(describe(glance, follower, context, stuck))
            if now != said and trio.current_time() >= said_at + _GLANCE:
                await self._manager.tell(now)
                said, said_at = now, trio.current_time()
            if not stuck and trio.current_time() >= fed_at + feed_every:
                fed_at = trio.current_time()
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
