"""The state as the sync code uses it: each method is one durable transaction, or one query."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import trio
from msgspec.structs import replace

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.outcome import Failed, Outcome
from mirrorsync.model.page import ProjectPage
from mirrorsync.state import audit, condemned, inventory, listing, mirror_row, outcomes, progress, project_report, runs
from mirrorsync.state import report as reports
from mirrorsync.state.condemned import Condemned
from mirrorsync.state.database import Database, open_database
from mirrorsync.state.inventory import Intent
from mirrorsync.state.mirror_row import Mirror
from mirrorsync.state.notification_queue import Outbox

P = ParamSpec("P")
T = TypeVar("T")
_Operation = Callable[Concatenate[sqlite3.Connection, P], T]
_Method = Callable[Concatenate["State", P], Coroutine[Any, Any, T]]


def _write(operation: _Operation[P, T]) -> _Method[P, T]:
    """Return the method of State that runs `operation` in a transaction."""

    @wraps(operation)
    async def method(self: "State", /, *args: P.args, **kwargs: P.kwargs) -> T:
        @wraps(operation)
        def call(connection: sqlite3.Connection) -> T:
            return operation(connection, *args, **kwargs)

        return await self.database.write(call)

    return method


def _read(operation: _Operation[P, T]) -> _Method[P, T]:
    """Return the method of State that runs `operation`, which changes nothing."""

    @wraps(operation)
    async def method(self: "State", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.database.read(lambda connection: operation(connection, *args, **kwargs))

    return method


class State:
    """The mirror's state. A method that changes it returns once the change is durable.

    The public status page shows parts of it, so `clean` removes secrets from messages before they are recorded.
    """

    def __init__(self, database: Database, clean: Callable[[str], str] = str) -> None:
        self.database = database
        self.outbox = Outbox(database, clean)
        self._clean = clean

    # --- the mirror and its cursor ---------------------------------------------------------------------------

    async def init_mirror(self, upstream: str, selection: str, content: str, *, tree_has_files: bool) -> Mirror:
        """Do as `mirror_row.init_mirror`, and release the objects that an earlier process was deleting."""

        def operation(connection: sqlite3.Connection) -> Mirror:
            condemned.unbar(connection)
            return mirror_row.init_mirror(connection, upstream, selection, content, tree_has_files=tree_has_files)

        return await self.database.write(operation)

    mirror = _read(mirror_row.mirror)
    summary = _read(mirror_row.summary)
    synced_serial = _read(mirror_row.synced_serial)
    start_at = _write(mirror_row.start_at)
    polled = _write(mirror_row.polled)
    render_all = _write(mirror_row.render_all)
    clamp_timestamps = _write(mirror_row.clamp_timestamps)

    # --- the projects ----------------------------------------------------------------------------------------

    raise_wanted = _write(progress.raise_wanted)
    name_projects = _write(progress.name_projects)
    add_projects = _write(progress.add_projects)
    forget_unknown = _write(progress.forget_unknown)
    forget = _write(progress.forget)
    recheck = _write(progress.recheck)
    wake = _write(progress.wake)
    release_held = _write(progress.release_held)
    due = _read(progress.due)
    named = _read(progress.named)
    names = _read(progress.names)
    weigh = _read(progress.weigh)
    waiting = _read(progress.waiting)
    similar_names = _read(project_report.similar_names)
    step_audit = _write(audit.step)

    # --- the root list ---------------------------------------------------------------------------------------

    begin_listing = _write(listing.begin)
    add_listing = _write(listing.add)
    missing = _read(listing.missing)
    list_missed = _write(listing.missed)
    list_read = _write(listing.read)

    async def accept_listing(
        self, *, cursor: Serial | None, since: Serial, list_serial: Serial | None, missing_too: bool, now: float
    ) -> None:
        """Make due the projects that the list adds, changes, restores or (if `missing_too`) omits; set the cursor."""

        def operation(connection: sqlite3.Connection) -> None:
            listing.raise_from(connection, since=since, list_serial=list_serial)
            listing.recheck_removals(connection, since=since, now=now)
            if missing_too:
                listing.recheck_missing(connection, since=since, list_serial=list_serial)
            mirror_row.start_at(connection, cursor)
            listing.end(connection)

        await self.database.write(operation)

    # --- syncing ---------------------------------------------------------------------------------------------

    async def intend(self, pages: Sequence[ProjectPage]) -> list[Intent | MirrorsyncError]:
        """Record the files of these pages before any is stored; return what each page lacks.

        A page that conflicts with another project's files yields an error instead, and changes nothing.
        """
        return await self.database.write(lambda connection: [self._intend(connection, page) for page in pages])

    def _intend(self, connection: sqlite3.Connection, page: ProjectPage) -> Intent | MirrorsyncError:
        connection.execute("SAVEPOINT page")
        try:
            intent = inventory.intend(connection, page.name, page.files)
            progress.attempt(connection, page.name, page.serial)
            self.outbox.intend_files(connection, page.name, intent.needs)
            result: Intent | MirrorsyncError = intent
        except MirrorsyncError as error:
            connection.execute("ROLLBACK TO page")
            result = error.as_value()
        connection.execute("RELEASE page")
        return result

    async def about_to_publish(self, pages: Sequence[tuple[ProjectName, Serial | None]]) -> None:
        """Forget the published pages of these projects: after a crash it is unknown which page is published.

        Each project comes with the serial of the page to publish; None if there is none.
        """

        def operation(connection: sqlite3.Connection) -> None:
            progress.recheck_pages(connection, pages)
            for name, _ in pages:
                self.outbox.intend_page(connection, name)

        await self.database.write(operation)

    async def record(self, ended: Sequence[Outcome], now: float, grace: float) -> None:
        """Record how syncing these projects ended."""
        cleaned = [self._cleaned(outcome) for outcome in ended]

        def operation(connection: sqlite3.Connection) -> None:
            outcomes.record(connection, cleaned, now, grace)
            for outcome in cleaned:
                self.outbox.recorded(connection, outcome)

        await self.database.write(operation)

    def _cleaned(self, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Failed):
            return outcome
        return replace(outcome, error=self._clean(outcome.error), hint=self._clean(outcome.hint))

    # --- the sweep -------------------------------------------------------------------------------------------

    weigh_past_grace = _read(condemned.weigh_past_grace)
    take_past_grace = _write(condemned.take_past_grace)

    async def swept(self, objects: Sequence[Condemned]) -> None:
        """Forget condemned objects that are deleted."""

        def operation(connection: sqlite3.Connection) -> None:
            condemned.swept(connection, objects)
            self.outbox.swept(connection, objects)

        await self.database.write(operation)

    # --- runs, reports and the root index --------------------------------------------------------------------

    report = _read(reports.report)
    stretches = _read(runs.stretches)

    async def log_run(self, started_at: float, totals: runs.Totals, now: float) -> None:
        """Record a run that ended."""
        if totals.note is not None:
            totals = replace(totals, note=self._clean(totals.note))
        await self.database.write(lambda connection: runs.log(connection, started_at, totals, now))

    async def root_published(self, serial: Serial | None, version: int) -> None:
        """Record that the published root index shows the database as of `version`."""

        def operation(connection: sqlite3.Connection) -> None:
            runs.root_published(connection, serial, version)
            self.outbox.root_recorded(connection)

        await self.database.write(operation)

    @asynccontextmanager
    async def present(self) -> AsyncIterator[Iterator[list[tuple[ProjectName, str, Serial | None]]]]:
        """Yield `runs.present`: an iterator that reads from a snapshot on demand, so use it in a thread."""
        async with self.database.reader() as connection:
            yield await trio.to_thread.run_sync(runs.present, connection)


@asynccontextmanager
async def open_state(path: Path, clean: Callable[[str], str] = str) -> AsyncIterator[State]:
    """Open the state at `path`, created or migrated as needed; `clean` removes secrets from recorded messages.

    Raises: StoreDenied, StoreFull, NewerSchema.
    """
    async with open_database(path) as database:
        yield State(database, clean)
