"""The commands that do one thing and end: a pass, its dry run, and serving the tree until a signal."""

import signal
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import trio

from mirrorsync.app.mirror_directory import web_directory
from mirrorsync.app.monitoring import monitored_context
from mirrorsync.app.wiring import cleaner, open_dry_run, policy_of
from mirrorsync.config.schema import Settings
from mirrorsync.errors import BadConfig, UnknownProject
from mirrorsync.model.identity import ProjectName
from mirrorsync.model.outcome import Failed, Outcome
from mirrorsync.model.wording import did_you_mean
from mirrorsync.observe.run_observer import Lines, RunObserver, RunObservers
from mirrorsync.state.runs import Totals
from mirrorsync.sync import single_pass
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.dry_run import Plan, make_plan


class PassResult(msgspec.Struct, frozen=True):
    """What one pass did."""

    totals: Totals
    unmet: int
    """Projects that are unmet after the pass."""
    unknown: UnknownProject | None
    """The named projects that neither the mirror nor upstream knows, if there are any."""


class _NewNames(RunObservers):
    """Reports no retry of a project that was first named for this pass: it is forgotten if upstream lacks it."""

    def __init__(self, observer: RunObserver) -> None:
        super().__init__(observer)
        self.names: Sequence[ProjectName] = ()

    def ended(self, outcome: Outcome) -> None:
        """Forward the outcome, without the time of the next attempt if there will be none."""
        if isinstance(outcome, Failed) and outcome.reason == "gone" and outcome.name in self.names:
            outcome = msgspec.structs.replace(outcome, delay=None)
        super().ended(outcome)


async def sync_once(
    settings: Settings, observer: RunObserver, names: Sequence[ProjectName], *, allow_removals: bool
) -> PassResult:
    """Make one pass over all that is due, or over `names`.

    Raises: BadConfig, before any work, when [select] excludes one of `names`; what halts a run.
    """
    _refuse_unselected(settings, names)
    with _NewNames(observer) as observed:
        async with monitored_context(settings, observed, allow_removals=allow_removals) as context:
            observed.names = await _unknown(context, names)
            totals = await single_pass.sync(context, names)
            unknown = await _unknown(context, names)
            error = await _explain_unknown(context, settings, unknown) if unknown else None
            return PassResult(totals=totals, unmet=(await context.state.report()).unmet_count, unknown=error)


async def _unknown(context: SyncContext, names: Sequence[ProjectName]) -> list[ProjectName]:
    """Return those of `names` that the state does not have."""
    return [name for name in names if await context.state.named(name) is None]


async def _explain_unknown(context: SyncContext, settings: Settings, unknown: Sequence[ProjectName]) -> UnknownProject:
    hints = [did_you_mean(name, await context.state.similar_names(name)) for name in unknown]
    return UnknownProject(
        f"{settings.upstream.index} has no project {', '.join(unknown)}",
        why="its page does not exist",
        hint="; ".join(filter(None, hints)) or "check the spelling; a new project can be cached as missing for minutes",
    )


def _refuse_unselected(settings: Settings, names: Sequence[ProjectName]) -> None:
    selection = policy_of(settings).selection
    for name in names:
        if not selection.selects(name):
            raise BadConfig(
                f"[select] does not select {name}",
                hint="add it to [select] projects, or remove it from exclude",
            )


async def plan_once(settings: Settings, names: Sequence[ProjectName]) -> Plan:
    """Return what a pass would do. It works on a copy of the state and writes nothing into the mirror.

    Raises: as `sync_once`.
    """
    _refuse_unselected(settings, names)
    with tempfile.TemporaryDirectory(prefix="mirrorsync-plan-") as scratch, Lines(cleaner(settings)) as observer:
        async with open_dry_run(settings, observer, Path(scratch)) as context:
            return await make_plan(context, names)


async def serve_tree(settings: Settings, listen: str, ready: Callable[[Path, list[str]], None]) -> None:
    """Serve the tree until SIGTERM or SIGINT; call `ready` with the tree and the addresses once it accepts requests."""
    from mirrorsync.web.server import serve  # noqa: PLC0415 -- loading a web server takes a tenth of a second

    async def signalled() -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await anext(aiter(signals))

    web = web_directory(settings.mirror.directory)
    async with trio.open_nursery() as nursery:
        ready(web, await nursery.start(partial(serve, web, listen=listen, shutdown_trigger=signalled)))
