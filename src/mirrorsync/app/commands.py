"""The processes: one pass, or the daemon. Signals, the grace of a stop, and the one place of `except*`."""

import gc
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

from mirrorsync.app.monitoring import monitored_context
from mirrorsync.app.redaction import cleaner
from mirrorsync.app.wiring import open_rehearsal, web_directory
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import ProjectName
from mirrorsync.observe.run_observer import Lines, RunObserver
from mirrorsync.observe.sd_notify import Manager
from mirrorsync.state.runs import Totals
from mirrorsync.sync import single_pass as passes
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.dry_run import Plan, make_plan

T = TypeVar("T")

_SWITCH_AFTER: Final = 0.001
"""Seconds after which a thread that computes lets another one on. A thread that stores is at the kernel's most of the
time, a few microseconds each, and waits for its turn after each: at Python's own 5 ms it and the loop work in turns."""
_LOOK_AFTER: Final = 10_000
"""Objects made, beyond those that went, before garbage is looked for: each task leaves some that are none."""


class Stopped(Exception):  # noqa: N818 -- a fact, and nobody's error
    """A signal ended the work before it was done; what was brought up until then is kept."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


def run_to_end(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` on trio; an expected failure comes out as itself, whatever nurseries it came through.

    Raises: MirrorsyncError; Stopped, on SIGTERM or SIGINT where `work` does not heed them; a bug, in a group.
    """
    sys.setswitchinterval(_SWITCH_AFTER)
    gc.set_threshold(_LOOK_AFTER, *gc.get_threshold()[1:])
    failures: list[MirrorsyncError] = []
    try:
        return trio.run(_heeding_signals, work)
    except* MirrorsyncError as group:
        failures.extend(_leaves(group))
    raise failures[0]


def _leaves(group: BaseExceptionGroup[MirrorsyncError]) -> list[MirrorsyncError]:
    found: list[MirrorsyncError] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


async def _heeding_signals(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    received: list[int] = []

    async def heed(scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            received.append(await anext(aiter(signals)))
            scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(heed, nursery.cancel_scope)
        result = await work()
        nursery.cancel_scope.cancel()
        return result
    raise Stopped(received[0])


async def sync_once(
    settings: Settings, audience: RunObserver, names: Sequence[ProjectName], *, allow_removals: bool
) -> tuple[Totals, int]:
    """Make one pass; return what was done, and how many projects are unmet after it."""
    with audience:
        async with monitored_context(settings, audience, allow_removals=allow_removals) as context:
            totals = await passes.sync(context, names)
            return totals, (await context.state.report()).unmet_count


async def plan_once(settings: Settings, names: Sequence[ProjectName]) -> Plan:
    """Say what a pass would do. It works on a copy of the state and writes nothing into the mirror."""
    with tempfile.TemporaryDirectory(prefix="mirrorsync-plan-") as scratch, Lines(cleaner(settings)) as audience:
        async with open_rehearsal(settings, audience, Path(scratch)) as context:
            return await make_plan(context, names)


async def serve_tree(settings: Settings, listen: str, ready: Callable[[Path, list[str]], None]) -> None:
    """Serve the tree until SIGTERM or SIGINT; `ready` hears the tree and the addresses once it accepts."""
    from mirrorsync.web.server import serve  # noqa: PLC0415 -- a web server is a tenth of a second to import

    async def signalled() -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await anext(aiter(signals))

    web = web_directory(settings.mirror.directory)
    async with trio.open_nursery() as nursery:
        ready(web, await nursery.start(partial(serve, web, listen=listen, shutdown_trigger=signalled)))


async def run_daemon(settings: Settings, audience: RunObserver, reread: Callable[[], Settings]) -> None:
    """Follow upstream until SIGTERM or SIGINT, with word to the service manager; `reread` is what SIGHUP asks for.

    Raises: as `Daemon.run`.
    """
    from mirrorsync.app.daemon import Daemon  # noqa: PLC0415 -- one pass needs none of a daemon's context

    def opening(now: Settings) -> AbstractAsyncContextManager[SyncContext]:
        # A configuration that a reload brings and that cannot be opened ends nothing: the one before it goes on.
        return monitored_context(now, audience, listens=True, notes_halt=now is settings)

    with audience:
        await Daemon(settings, opening, audience, Manager.from_environment(), reread).run()
