"""What `status` tells, read without the daemon, without a lock, and without counting anything large."""

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
from mirrorsync.state.audit import AuditReport, audit_report
from mirrorsync.state.connection import DAMAGED_HINT, connect, explain
from mirrorsync.state.notification_queue import SinkReport
from mirrorsync.state.progress import synced_serial
from mirrorsync.state.runs import NEEDS_PERSON
from mirrorsync.state.schema import add_compatibility_views

BUSY_TIMEOUT: Final = 1.0
"""Seconds that a reader waits for someone who keeps the database for itself: no mirrorsync does."""
_UNMET_SHOWN: Final = 1000
"""Unmet projects that a report names; the count is of all."""

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
# A daemon polls once a minute: what is worth telling are the runs that had something to do.
_BUSY_RUNS: Final = (
    f"{_RUNS} {_REMEMBERED} WHERE projects OR files OR errors OR note IS NOT NULL ORDER BY id DESC LIMIT 5"
)

Moment = Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800)]
"""Seconds since the epoch, in years of four digits."""
Count = Annotated[int, msgspec.Meta(ge=0)]


class Unmet(msgspec.Struct, frozen=True):
    """A project that is not as upstream has it."""

    name: ProjectName
    wanted: Serial
    mirrored: Serial | None
    attempts: Count
    next_attempt_at: Moment
    """0: as soon as possible."""
    error: str | None
    hint: str | None
    unmet_since: Serial | None = None
    """The first serial that is not served; None: only the audit asks."""
    failing_since: Moment | None = None
    stale_since: Moment | None = None
    """Since when caches have held its page back."""
    reason: Reason | None = None
    """Why the last attempt failed, in a word; None: it was not tried yet, or by an older version."""


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
    """What ended it early."""
    needs_person: bool = False
    """What ended it will end the next one too, until a person has done something about it."""


class Growth(msgspec.Struct, frozen=True):
    """What the recorded runs fetched."""

    seconds: float
    """From the start of the first to the end of the last."""
    bytes: int


class Report(msgspec.Struct, frozen=True):
    """The mirror as its state knows it at one moment."""

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
    """The failing first; at most 1,000."""
    runs: tuple[RunRow, ...]
    """The last run first, then those of the last ones that had something to do."""
    reasons: dict[Reason, int] = {}
    """Of how many projects the last attempt failed for each reason."""
    sinks: tuple[SinkReport, ...] = ()
    """Who is told of what changes in public, and how far each is."""
    growth: Growth = Growth(seconds=0.0, bytes=0)
    waiting_after: Moment | None = None
    """The end of the last run that did not know yet of the change that has waited longest without an attempt."""

    @property
    def newest_work(self) -> RunRow | None:
        """The last run if it ended early, else the newest one that did something, as few of a daemon's polls do."""
        if not self.runs or self.runs[0].note:
            return self.runs[0] if self.runs else None
        return next((run for run in self.runs if run.projects), self.runs[0])


def _never_synced() -> BadConfig:
    return BadConfig("no mirror yet", why="nothing was ever synced here", hint="`mirrorsync sync` makes it")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the state read-only.

    Raises: BadConfig when there is no mirror yet; NewerSchema; StoreDenied when it is damaged, locked or lost, or
    when this user may not read it.
    """
    _look_for(path)
    with closing(connect(path, read_only=True, busy_timeout=BUSY_TIMEOUT)) as connection:
        try:
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                raise _never_synced()  # a death in the first second of a first sync
            add_compatibility_views(connection)
            connection.execute("BEGIN")  # one view of one moment
            yield connection
        except sqlite3.Error as error:
            raise explain(error, path) from error


def _look_for(path: Path) -> None:
    """Raise what to say where there is no state at `path`, or none that this user may see."""
    directory = path.parent.parent
    try:
        if path.exists():
            return
        there, tree = directory.is_dir(), (directory / "web" / "simple").is_dir()
    except OSError as error:
        raise StoreDenied(
            f"the state {path} cannot be seen",
            why=error.strerror or str(error),
            hint="run this as the mirror's user, or let this user read the directory",
        ) from error
    if not there:
        raise StoreDenied(
            f"[mirror] directory {directory} is not there",
            hint="mount its disk, make it for the user that runs mirrorsync, or correct the path",
        )
    if tree:
        raise StoreDenied(
            f"the state {path} is lost",
            why=f"a tree stands in {directory / 'web'}, and nothing says what it is",
            hint="restore state/ from a backup, or run `mirrorsync sync`: it makes the state anew from upstream and"
            " re-hashes the files that stand rather than fetch them",
        )
    raise _never_synced()


def read_report(path: Path) -> Report:
    """Return the report of the state at `path`, if it could be true: a damaged database may give anything.

    Raises: as `reading`, and as `report`.
    """
    try:
        with reading(path) as connection:
            return msgspec.convert(msgspec.to_builtins(report(connection)), Report)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # Columns that are not there, text where a number should be, a message of SQLite's that is not UTF-8.
        raise StoreDenied(f"the state {path} is damaged", why=str(error), hint=DAMAGED_HINT) from error


def report(connection: sqlite3.Connection) -> Report:
    """Return the report. Raises: BadConfig, when the state was made but no run has begun."""
    row = connection.execute("SELECT * FROM mirror").fetchone()
    if row is None:
        raise _never_synced()
    unmet = tuple(_unmet(connection))
    return Report(
        upstream=row["upstream"],
        synced_serial=synced_serial(connection),
        newest_serial=connection.execute(NEWEST).fetchone()[0],
        upstream_serial=row["upstream_serial"],
        has_journal=bool(row["has_journal"]),
        polled_at=row["polled_at"],
        complete_at=row["complete_at"],
        projects=row["projects"],
        files=row["files"],
        bytes=row["bytes"],
        condemned=row["condemned"],
        audit=audit_report(connection),
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
