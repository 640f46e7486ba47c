"""The state as the pipeline sees it: every method is one durable transaction, or one look."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from msgspec.structs import replace

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.change import Listed
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.outcome import Failed, Outcome, Shared
from mirrorsync.model.page import ProjectPage
from mirrorsync.state import audit, condemned, inventory, listing, outcomes, progress, report, runs
from mirrorsync.state import clamp_timestamps as clock
from mirrorsync.state import notification_queue as queue
from mirrorsync.state.condemned import Condemned
from mirrorsync.state.database import Database, open_database
from mirrorsync.state.history import Stretch, stretches
from mirrorsync.state.inventory import Intent
from mirrorsync.state.listing import Missing
from mirrorsync.state.notification_queue import Outbox, SinkReport
from mirrorsync.state.progress import Mirror, ProjectRow, Raised, Weight
from mirrorsync.state.project_report import similar_names
from mirrorsync.state.report import Report
from mirrorsync.state.summary import Summary, glance


class State:
    """The mirror's memory. Methods that change it return once the change survives a power cut.

    It is read by everybody, on the public status page, too: what goes wrong is written down as `clean` leaves it.
    """

    def __init__(self, database: Database, clean: Callable[[str], str] = str) -> None:
        self.database = database
        self.outbox = Outbox(database, clean)
        self._clean = clean

    # --- the mirror and its cursor ---------------------------------------------------------------------------

    async def clamp_timestamps(self, now: float) -> None:
        """Undo what a clock that was ahead has left: no wait lasts longer than it was meant to."""
        await self.database.write(lambda connection: clock.clamp_timestamps(connection, now))

    async def glance(self, now: float) -> Summary:
        """Return how the mirror stands, a few numbers."""
        return await self.database.read(lambda connection: glance(connection, now))

    async def introduce(self, upstream: str, selection: str, content: str, *, tree_has_files: bool) -> Mirror:
        """Return the mirror's row as it stood, made now if it was absent; what a dead run was deleting is unbarred."""

        def operation(connection: sqlite3.Connection) -> Mirror:
            condemned.unbar(connection)
            return progress.introduce(connection, upstream, selection, content, int(tree_has_files))

        return await self.database.write(operation)

    async def mirror(self) -> Mirror:
        """Return the mirror's row."""
        return await self.database.read(progress.mirror)

    async def synced_serial(self) -> Serial | None:
        """Return the serial up to which everything is served (I2)."""
        return await self.database.read(progress.synced_serial)

    async def raise_wanted(self, raised: Sequence[Raised], upto: Serial) -> None:
        """Ingest one batch of the journal and move the cursor behind it."""
        await self.database.write(lambda connection: progress.raise_wanted(connection, raised, upto))

    async def start_at(self, serial: Serial | None) -> None:
        """Set the cursor, which all that is known of the projects now reaches."""
        await self.database.write(lambda connection: progress.start_at(connection, serial))

    async def polled(self, serial: Serial | None, now: float, *, has_journal: bool) -> None:
        """Note that upstream answered, and the newest serial that it told."""
        await self.database.write(lambda connection: progress.polled(connection, serial, now, int(has_journal)))

    async def name_projects(self, names: Iterable[ProjectName]) -> int:
        """Take up named projects that are unknown yet; return how many."""
        return await self.database.write(lambda connection: progress.name_projects(connection, names))

    async def add_projects(self, names: Iterable[ProjectName]) -> None:
        """Take up names that a person asks for once."""
        await self.database.write(lambda connection: progress.add_projects(connection, names))

    async def forget_unheard(self, names: Iterable[ProjectName]) -> None:
        """Forget those of the names that upstream does not know."""
        await self.database.write(lambda connection: progress.forget_unheard(connection, names))

    async def recheck(self, names: Iterable[ProjectName] | None) -> None:
        """Make the named projects due now, or (None) every project that is not waiting."""
        await self.database.write(lambda connection: progress.recheck(connection, names))

    async def wake(self, waits_for: Shared, now: float) -> None:
        """Make due, ahead of their turn, the projects whose last failure was of something that is over."""
        await self.database.write(lambda connection: progress.wake(connection, waits_for, now))

    async def agree(self, now: float) -> None:
        """Make due whose removal is held: a person agrees to it now."""
        await self.database.write(lambda connection: progress.agree(connection, now))

    async def render_anew(self, selection: str, content: str) -> None:
        """Note another policy: everything is compared and rendered again."""
        await self.database.write(lambda connection: progress.render_anew(connection, selection, content))

    async def names(self) -> list[ProjectName]:
        """Return every name that the ledger knows."""
        return await self.database.read(progress.names)

    async def weigh(self, names: Sequence[ProjectName]) -> Weight:
        """Return how much stands of these projects."""
        return await self.database.read(lambda connection: progress.weigh(connection, names))

    async def forget(self, names: Sequence[ProjectName]) -> None:
        """Drop the ledger of projects of which nothing stands."""
        await self.database.write(lambda connection: progress.forget(connection, names))

    # --- the root list ---------------------------------------------------------------------------------------

    async def begin_listing(self) -> None:
        """Start an empty root list."""
        await self.database.write(listing.begin)

    async def add_listing(self, projects: Sequence[Listed]) -> None:
        """Add a part of the root list."""
        await self.database.write(lambda connection: listing.add(connection, projects))

    async def missing(self, list_serial: Serial | None) -> Missing:
        """Weigh what the list, now whole, does not name."""
        return await self.database.read(lambda connection: listing.missing(connection, list_serial))

    async def accept_listing(
        self, *, cursor: Serial | None, since: Serial, list_serial: Serial | None, missing_too: bool, now: float
    ) -> None:
        """Make due what the list says is new, changed, back or (if `missing_too`) gone, and set the cursor."""

        def operation(connection: sqlite3.Connection) -> None:
            listing.raise_from(connection, since=since, list_serial=list_serial)
            listing.recheck_removals(connection, since=since, now=now)
            if missing_too:
                listing.recheck_missing(connection, since=since, list_serial=list_serial)
            progress.start_at(connection, cursor)
            listing.end(connection)

        await self.database.write(operation)

    # --- the audit -------------------------------------------------------------------------------------------

    async def step_audit(self, now: float, period: float) -> int:
        """Make the audit's next share of the projects due; return how many."""
        return await self.database.write(lambda connection: audit.step(connection, now, period))

    async def list_missed(self, now: float) -> None:
        """Note that the root list could not be read."""
        await self.database.write(lambda connection: listing.missed(connection, now))

    async def list_read(self, now: float, *, refused: str | None = None) -> None:
        """Note that the root list was held against the ledger, and why not all of it was believed (None: it was)."""
        await self.database.write(lambda connection: listing.read(connection, now, refused))

    # --- bringing up -----------------------------------------------------------------------------------------

    async def due(self, now: float, limit: int) -> list[ProjectRow]:
        """Return at most `limit` projects to try now."""
        return await self.database.read(lambda connection: progress.due(connection, now, limit))

    async def named(self, name: ProjectName) -> ProjectRow | None:
        """Return one project's ledger."""
        return await self.database.read(lambda connection: progress.named(connection, name))

    async def similar_names(self, name: ProjectName) -> list[ProjectName]:
        """Return known names that `name` may be a misspelling of."""
        return await self.database.read(lambda connection: similar_names(connection, name))

    async def waiting(self) -> tuple[int, float | None]:
        """Return how many projects wait, and the earliest attempt (seconds since the epoch)."""
        return await self.database.read(progress.waiting)

    async def intend(self, pages: Sequence[ProjectPage]) -> list[Intent | MirrorsyncError]:
        """Record, before anything of them is stored, which files these pages need; return what each one lacks.

        A page that conflicts with another project's files has a failure instead, and changes nothing.
        """
        return await self.database.write(lambda connection: [self._intend(connection, page) for page in pages])

    def _intend(self, connection: sqlite3.Connection, page: ProjectPage) -> Intent | MirrorsyncError:
        connection.execute("SAVEPOINT page")
        try:
            intent = inventory.intend(connection, page.name, page.files)
            progress.attempt(connection, page.name, page.serial)
            self.outbox.takes(connection, page.name, intent.needs)
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
                self.outbox.doubts(connection, name)

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

    async def weigh_past_grace(self, now: float) -> Weight:
        """Return what a sweep would delete now."""
        return await self.database.read(lambda connection: condemned.weigh_past_grace(connection, now))

    async def take_past_grace(self, now: float, limit: int) -> list[Condemned]:
        """Return objects to delete now, barred from coming back until `swept`."""
        return await self.database.write(lambda connection: condemned.take_past_grace(connection, now, limit))

    async def swept(self, objects: Sequence[Condemned]) -> None:
        """Forget condemned objects that are deleted."""

        def operation(connection: sqlite3.Connection) -> None:
            condemned.swept(connection, objects)
            self.outbox.swept(connection, objects)

        await self.database.write(operation)

    # --- runs and what is published of them --------------------------------------------------------------------

    async def log_run(self, started_at: float, totals: runs.Totals, now: float) -> None:
        """Write down a run that ended; with nothing unmet the mirror was complete when upstream was last asked."""
        if totals.note is not None:
            totals = replace(totals, note=self._clean(totals.note))
        await self.database.write(lambda connection: runs.log(connection, started_at, totals, now))

    async def report(self) -> Report:
        """Return what `status` tells."""
        return await self.database.read(report.report)

    async def stretches(self, *, span: float, since: float) -> tuple[Stretch, ...]:
        """Return what was done in each stretch of `span` seconds since `since` in which a run ended, in order."""
        return await self.database.read(lambda connection: stretches(connection, span=span, since=since))

    async def root_published(self, serial: Serial | None, version: int) -> None:
        """Note that the root index that stands says what the ledger said at `version`."""

        def operation(connection: sqlite3.Connection) -> None:
            runs.root_published(connection, serial, version)
            self.outbox.root_recorded(connection)

        await self.database.write(operation)

    async def queue_depth(self) -> tuple[SinkReport, ...]:
        """Return what waits for each of those who are told of what changes in public."""
        return await self.database.read(queue.report)

    @asynccontextmanager
    async def present(self) -> AsyncIterator[Iterator[list[tuple[ProjectName, str, Serial | None]]]]:
        """Open a walk over the projects that have a page: (name, display name, the page's serial), by name.

        They come in lists of `runs.TOGETHER`. The iterator reads as it goes, so it belongs in a thread; it sees the
        ledger as of its first row.
        """
        async with self.database.reader() as connection:
            yield await trio.to_thread.run_sync(runs.present, connection)


@asynccontextmanager
async def open_state(path: Path, clean: Callable[[str], str] = str) -> AsyncIterator[State]:
    """Open the state at `path`, made or migrated as needed; `clean` takes secrets out of what it is told of failures.

    Raises: StoreDenied, StoreFull, NewerSchema.
    """
    async with open_database(path) as database:
        yield State(database, clean)
