"""Parts with all the monitoring that the configuration asks for, and at no cost where it asks for none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from mirrorsync.app.listener import bound
from mirrorsync.app.mirror_directory import refuse_second
from mirrorsync.app.wiring import open_context
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError, Recovery
from mirrorsync.observe.counters import Counters
from mirrorsync.observe.run_observer import Done, RunObserver, RunObservers
from mirrorsync.sync.context import SyncContext

if TYPE_CHECKING:
    from mirrorsync.app.monitor import Monitoring

_WRITTEN_EVERY: Final = 60.0
"""Seconds after which the textfile is written although nothing was published: an upstream that is down is news, too."""
_GATHERED: Final = 1.0
"""Seconds that a publication has to end before the textfile tells of it."""
_LAST_WORD: Final = 10.0
"""Seconds that the last writing of the textfile may take."""


class _News(RunObserver):
    """Wakes whoever waits for a publication."""

    def __init__(self) -> None:
        self.event = trio.Event()

    def did(self, done: Done) -> None:  # noqa: ARG002 -- that it was is enough
        self.event.set()
        self.event = trio.Event()


@asynccontextmanager
async def monitored_context(
    settings: Settings,
    audience: RunObserver,
    *,
    allow_removals: bool = False,
    listens: bool = False,
    notes_halt: bool = True,
) -> AsyncIterator[SyncContext]:
    """Open the context, with all the monitoring that [metrics] asks for; `listens`: of a daemon, which serves it.

    Raises: BadConfig, before anything else is done, when the address cannot be had; AlreadyRunning, although it is the
    other one that has the address; and as `open_context`.
    """
    wanted = settings.metrics
    if wanted.textfile is None and (wanted.listen is None or not listens):
        async with open_context(settings, audience, allow_removals=allow_removals, notes_halt=notes_halt) as context:
            yield context
        return
    from mirrorsync.app.monitor import Monitoring  # noqa: PLC0415 -- prometheus-client is only for those who want it

    refuse_second(settings.mirror.directory)
    async with bound(wanted.listen if listens else None) as listener:
        tally, news = Counters(), _News()
        told = RunObservers(audience, tally, news)
        opening = open_context(settings, told, allow_removals=allow_removals, notes_halt=notes_halt, tally=tally)
        async with opening as context:
            monitor = Monitoring(settings, context, tally)
            try:
                async with trio.open_nursery() as nursery:
                    await nursery.start(listener.serve, monitor)
                    nursery.start_soon(_keep_textfile, monitor, news)
                    yield context
                    nursery.cancel_scope.cancel()
            except BaseException as error:
                tally.halted = _needs_person(error)
                raise
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WORD):
                    await monitor.write_textfile()


async def _keep_textfile(monitor: "Monitoring", news: _News) -> None:
    """Write the textfile until cancelled: a first pass takes days, and monitoring is not to miss it for so long."""
    while True:
        await monitor.write_textfile()
        with trio.move_on_after(_WRITTEN_EVERY):
            await news.event.wait()
        await trio.sleep(_GATHERED)


def _needs_person(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_needs_person, error.exceptions))
    return isinstance(error, MirrorsyncError) and error.recovery is Recovery.HALT
