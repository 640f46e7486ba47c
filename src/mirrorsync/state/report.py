"""The report that `status` shows. Reading it needs no daemon and no lock, and counts nothing large."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec

from mirrorsync.errors import BadConfig, StoreDenied
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.reason import Reason
from mirrorsync.state import notification_queue as queue
from mirrorsync.state.audit import AuditReport
from mirrorsync.state.connection import DAMAGED_HINT, connect, explain, unreachable
from mirrorsync.state.mirror_row import synced_serial
from mirrorsync.state.notification_queue import SinkReport
from mirrorsync.state.runs import NEEDS_PERSON
from mirrorsync.state.schema import add_compatibility_views

BUSY_TIMEOUT: Final = 1.0
"""Seconds to wait for another program that holds the database locked; mirrorsync itself never locks out readers."""
_COPIED: Final = ("upstream", "upstream_serial", "polled_at", "complete_at", "projects", "files", "bytes", "condemned")
"""Columns of the mirror's row that a report has under the same name."""
_UNMET_SHOWN: Final = 1000
"""Unmet projects listed in a report, at most; the count includes all."""

NEWEST: Final = "SELECT max(page_serial) FROM project WHERE page_serial IS NOT NULL"
_UNMET: Final = (
    "SELECT name, wanted_serial, mirrored_serial, attempts, next_attempt_at, last_error, last_hint, unmet_since,"
    " failing_since, stale_since, last_reason FROM project"
)
FAILING: Final = (
    f"{_UNMET} WHERE attempts > 0 AND (unmet_since IS NOT NULL OR recheck = 1)"
    " ORDER BY attempts DESC, next_attempt_at LIMIT ?"
)
UNTRIED: Final = f"{_UNMET} WHERE unmet_since IS NOT NULL AND attempts = 0 ORDER BY unmet_since LIMIT ?"
REASONS: Final = "SELECT last_reason, count(*) FROM project WHERE last_reason IS NOT NULL GROUP BY last_reason"
_REMEMBERED: Final = "(SELECT * FROM run ORDER BY id DESC LIMIT 10000)"
_GROWTH: Final = f"SELECT coalesce(max(ended_at) - min(started_at), 0), coalesce(sum(bytes), 0) FROM {_REMEMBERED}"
_WAITING_AFTER: Final = f"SELECT max(ended_at) FROM {_REMEMBERED} WHERE serial < ?"
_RUNS: Final = "SELECT started_at, ended_at, serial, projects, files, bytes, errors, note FROM"
_LAST_RUN: Final = f"{_RUNS} run ORDER BY id DESC LIMIT 1"
# A daemon polls once a minute; only runs with work or an error are worth showing.
_BUSY_RUNS: Final = (
    f"{_RUNS} {_REMEMBERED} WHERE projects OR files OR errors OR note IS NOT NULL ORDER BY id DESC LIMIT 5"
)

Moment = Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800)]
"""Seconds since the epoch, in years of four digits."""
Count = Annotated[int, msgspec.Meta(ge=0)]


class Unmet(msgspec.Struct, frozen=True):
    """A project that differs from upstream."""

    name: ProjectName
    wanted: Serial
    mirrored: Serial | None
    attempts: Count
    next_attempt_at: Moment
    """0: as soon as possible."""
    error: str | None
    hint: str | None
    unmet_since: Serial | None = None
    """The first serial that is not served; None: only the audit requires a check."""
    failing_since: Moment | None = None
    stale_since: Moment | None = None
    """Since when caches return a page older than wanted."""
    reason: Reason | None = None
    """Why the last attempt failed; None: there was none, or an older version made it."""


class RunRow(msgspec.Struct, frozen=True):
    """One run of the history."""

    started_at: Moment
    ended_at: Moment
    serial: Serial | None
    projects: Count
    files: Count
    bytes: Count
    errors: Count
    note: str | None
    """Why it ended early; None: it did not."""
    needs_person: bool = False
    """Every run ends this way until an operator removes the cause."""


class Growth(msgspec.Struct, frozen=True):
    """The bytes fetched by the recorded runs."""

    seconds: float
    """From the start of the first to the end of the last."""
    bytes: int


class Report(msgspec.Struct, frozen=True):
    """The mirror at one moment, as the database has it."""

    upstream: str
    synced_serial: Serial | None
    newest_serial: Serial | None
    upstream_serial: Serial | None
    has_journal: bool
    polled_at: Moment | None
    complete_at: Moment | None
    projects: int
    files: int
    bytes: int
    condemned: int
    audit: AuditReport
    unmet_count: int
    unmet: tuple[Unmet, ...]
    """At most 1,000, the failing ones first."""
    runs: tuple[RunRow, ...]
    """The last run, then the latest ones that had work."""
    reasons: dict[Reason, int] = {}
    """The number of projects whose last attempt failed, by reason."""
    sinks: tuple[SinkReport, ...] = ()
    growth: Growth = Growth(seconds=0.0, bytes=0)
    waiting_after: Moment | None = None
    """The end of the last run before the oldest change without an attempt was known."""

    @property
    def newest_work(self) -> RunRow | None:
        """The last run if it ended early, else the latest one that synced a project, else the last one."""
        if not self.runs or self.runs[0].note:
            return self.runs[0] if self.runs else None
        return next((run for run in self.runs if run.projects), self.runs[0])


def _never_synced() -> BadConfig:
    return BadConfig("no mirror yet", why="no sync has run here", hint="run `mirrorsync sync` to create it")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the state read-only.

    Raises: BadConfig if there is no mirror yet; NewerSchema; StoreDenied if the state is damaged, locked, lost or not
    readable by this user.
    """
    _check_exists(path)
    with closing(connect(path, read_only=True, busy_timeout=BUSY_TIMEOUT)) as connection:
        try:
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                raise _never_synced()  # the first sync was killed before it created the tables
            add_compatibility_views(connection)
            connection.execute("BEGIN")  # all queries see one snapshot
            yield connection
        except sqlite3.Error as error:
            raise explain(error, path) from error


def _check_exists(path: Path) -> None:
    """Raise the error that explains why there is no state at `path`, or none that this user can reach."""
    directory = path.parent.parent
    try:
        if path.exists():
            return
        there, tree = directory.is_dir(), (directory / "web" / "simple").is_dir()
    except OSError as error:
        raise unreachable(error, path) from error
    if not there:
        raise StoreDenied(
            f"[mirror] directory {directory} does not exist",
            hint="mount its disk, create it for the user that runs mirrorsync, or correct the path",
        )
    if tree:
        raise StoreDenied(
            f"the state {path} is lost",
            why=f"{directory / 'web'} holds a tree, but the database that describes it is missing",
            hint="restore state/ from a backup, or run `mirrorsync sync`: it rebuilds the state from upstream and"
            " re-hashes the existing files instead of fetching them",
        )
    raise _never_synced()


def read_report(path: Path) -> Report:
    """Return the report of the state at `path`, validated, as a damaged database may return anything.

    Raises: as `reading` and `report`.
    """
    try:
        with reading(path) as connection:
            return msgspec.convert(msgspec.to_builtins(report(connection)), Report)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # A missing column, text in place of a number, or an SQLite message that is not UTF-8.
        raise StoreDenied(f"the state {path} is damaged", why=str(error), hint=DAMAGED_HINT) from error


def report(connection: sqlite3.Connection) -> Report:
    """Return the report. Raises: BadConfig, if the database exists but no run has begun."""
    row = connection.execute("SELECT * FROM mirror").fetchone()
    if row is None:
        raise _never_synced()
    unmet = tuple(_unmet(connection))
    return Report(
        synced_serial=synced_serial(connection),
        newest_serial=connection.execute(NEWEST).fetchone()[0],
        has_journal=bool(row["has_journal"]),
        **{column: row[column] for column in _COPIED},
        audit=AuditReport(
            began_at=row["audit_began_at"],
            done=row["audit_done"],
            audited_at=row["audited_at"],
            list_read_at=row["list_read_at"],
            list_refused=row["list_refused"],
        ),
        unmet_count=row["unmet"],
        unmet=unmet,
        runs=tuple(_runs(connection)),
        reasons=dict(connection.execute(REASONS).fetchall()),
        sinks=queue.report(connection),
        growth=Growth(*connection.execute(_GROWTH).fetchone()),
        waiting_after=_waiting_after(connection, unmet),
    )


def _unmet(connection: sqlite3.Connection) -> Iterator[Unmet]:
    failing = connection.execute(FAILING, (_UNMET_SHOWN,)).fetchall()
    for row in failing:
        yield Unmet(*row)
    for row in connection.execute(UNTRIED, (_UNMET_SHOWN - len(failing),)):
        yield Unmet(*row)


def _waiting_after(connection: sqlite3.Connection, unmet: Sequence[Unmet]) -> float | None:
    first = next((row.unmet_since for row in unmet if not row.attempts), None)
    if first is None:
        return None
    (ended_at,) = connection.execute(_WAITING_AFTER, (first,)).fetchone()
    return None if ended_at is None else float(ended_at)


def _runs(connection: sqlite3.Connection) -> Iterator[RunRow]:
    last = connection.execute(_LAST_RUN).fetchall()
    for row in [*last, *(row for row in connection.execute(_BUSY_RUNS) if row not in last)]:
        note: str | None = row["note"]
        needs_person = note is not None and note.startswith(NEEDS_PERSON)
        values = {**dict(row), "note": note and note.removeprefix(NEEDS_PERSON)}
        yield RunRow(**values, needs_person=needs_person)
