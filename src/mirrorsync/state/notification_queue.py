"""Public changes to notify sinks of: intended before a page is replaced, queued once the page is recorded.

One queue serves all sinks. It holds each subject once, and each sink has a position in it: everything before the
position is delivered.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from mirrorsync.model.identity import ProjectName, StorePath
from mirrorsync.model.notification import FILES, INDEX, Scope
from mirrorsync.model.outcome import Failed, Outcome, Removed
from mirrorsync.simple import layout
from mirrorsync.state.condemned import Condemned
from mirrorsync.state.inventory import Need

if TYPE_CHECKING:  # `status` reads the queue without trio
    from mirrorsync.state.database import Database

ROOT: Final = StorePath("simple")
"""The subject of the root index; a project's subject is its page's directory, a file's is its path."""
_ROOT_OWNER: Final = ""
"""The owner of an intended change of the root index."""
_BITS: Final[dict[Scope, int]] = {INDEX: 1, FILES: 2}

_QUEUE: Final = "INSERT OR REPLACE INTO change (subject) VALUES (?)"
"""A subject that changes again moves to the end, so that every sink is notified again."""
_INTEND: Final = "INSERT OR IGNORE INTO change_intended (owner, subject) VALUES (?, ?)"
_PRUNE: Final = "DELETE FROM change WHERE id <= (SELECT min(told) FROM sink)"


class Delivery(msgspec.Struct, frozen=True):
    """The next notification for one sink."""

    subjects: tuple[StorePath, ...]
    everything: tuple[Scope, ...]
    upto: int
    """The sink's position after the delivery."""
    attempts: int
    """Failed deliveries to this sink in a row."""


class SinkReport(msgspec.Struct, frozen=True):
    """The queue of one sink."""

    name: str
    waiting: int
    """Changes not yet delivered; 0 once more than the flood limit were replaced by `everything`."""
    everything: bool
    """The next notification says that everything may have changed."""
    attempts: int
    """Failed deliveries since the last success."""
    next_attempt_at: float
    """Seconds since the epoch."""
    delivered_at: float | None
    """The last successful delivery, in seconds since the epoch; None: none yet."""
    last_error: str | None


class Outbox:
    """Records public changes in the queue, and delivers them. Without sinks, nothing is read or written.

    Methods that take a connection belong to a transaction of the caller; the others are durable transactions.
    """

    def __init__(self, database: "Database", clean: Callable[[str], str] = str) -> None:
        self._database = database
        self._clean = clean
        self._has_sinks = False

    async def set_sinks(self, sinks: Sequence[str]) -> None:
        """Replace the sinks, and queue what an earlier process may have published. Call it before any work."""
        self._has_sinks = bool(sinks)
        had_sinks = await self._database.read(_has_sinks)
        if sinks or had_sinks:
            await self._database.write(lambda connection: _set_sinks(connection, sinks))

    # --- inside the transactions of State ----------------------------------------------------------------------

    def intend_files(self, connection: sqlite3.Connection, name: ProjectName, needs: Iterable[Need]) -> None:
        """Intend changes of the sidecars that `needs` replaces, and of the page if nothing is recorded of it."""
        if not self._has_sinks:
            return
        (is_unknown,) = connection.execute("SELECT page_digest IS NULL FROM project WHERE name = ?", (name,)).fetchone()
        if is_unknown:
            self.intend_page(connection, name)
        files = [need.file for need in needs if need.replaces_sidecar]
        connection.executemany(_INTEND, [(name, layout.sidecar_path(file.place, file.filename)) for file in files])

    def intend_page(self, connection: sqlite3.Connection, name: ProjectName) -> None:
        """Intend a change of the project's page."""
        if self._has_sinks:
            connection.execute(_INTEND, (name, layout.project_directory(name)))

    def recorded(self, connection: sqlite3.Connection, outcome: Outcome) -> None:
        """Queue the intended changes of a project: they are public now.

        After a failure they remain intended if the project had no page before: nothing public was replaced.
        """
        if not self._has_sinks:
            return
        name = outcome.name
        if isinstance(outcome, Failed):
            row = connection.execute("SELECT present FROM project WHERE name = ?", (name,)).fetchone()
            if row is None or not row[0]:
                return
        if isinstance(outcome, Removed):
            connection.execute(_QUEUE, (layout.project_directory(name),))
        _queue_intended(connection, name)

    def root_recorded(self, connection: sqlite3.Connection) -> None:
        """Queue the intended change of the root index: it is public now."""
        if self._has_sinks:
            _queue_intended(connection, _ROOT_OWNER)

    def swept(self, connection: sqlite3.Connection, objects: Iterable[Condemned]) -> None:
        """Queue the deletion of these files."""
        if self._has_sinks:
            connection.executemany(_QUEUE, [(layout.file_path(gone.place, gone.filename),) for gone in objects])

    async def intend_change(self, name: ProjectName) -> None:
        """Intend a change of the project, although its page remains as it is."""
        if self._has_sinks:
            await self._database.write(lambda connection: self.intend_page(connection, name))

    async def intend_root(self) -> None:
        """Intend a change of the root index."""
        if self._has_sinks:
            await self._database.write(lambda connection: connection.execute(_INTEND, (_ROOT_OWNER, ROOT)))

    # --- delivery ------------------------------------------------------------------------------------------------

    async def next_delivery(self, sink: str, now: float, *, most: int, flood: int) -> Delivery | None:
        """Return the next notification for `sink`, of at most `most` subjects; None if there is none or it waits.

        More than `flood` changes are replaced by one notification that everything may have changed.
        """
        if await self._database.read(lambda connection: _is_flooded(connection, sink, flood)):
            await self._database.write(lambda connection: _collapse(connection, sink))
        return await self._database.read(lambda connection: _next_delivery(connection, sink, most, now))

    async def delivered(self, sink: str, delivery: Delivery, now: float) -> None:
        """Record a successful delivery."""
        await self._database.write(lambda connection: _delivered(connection, sink, delivery, now))

    async def failed(self, sink: str, error: str, next_attempt_at: float) -> None:
        """Record a failed delivery and the time of the next attempt (seconds since the epoch)."""
        values = (next_attempt_at, self._clean(error), sink)
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE sink SET attempts = attempts + 1, next_attempt_at = ?, last_error = ? WHERE name = ?", values
            )
        )


def report(connection: sqlite3.Connection) -> tuple[SinkReport, ...]:
    """Return the queue of each sink; empty in a database from before there were sinks. Costs what waits, at most."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sink'").fetchone() is None:
        return ()
    rows = connection.execute(
        "SELECT name, (SELECT count(*) FROM change WHERE id > told), everything != 0, attempts, next_attempt_at,"
        " told_at, last_error FROM sink ORDER BY name"
    )
    return tuple(SinkReport(row[0], row[1], bool(row[2]), *row[3:]) for row in rows.fetchall())


def _has_sinks(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM sink)").fetchone()[0])


def _set_sinks(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Replace the sinks and queue all intended changes; notify new sinks that the whole index may have changed."""
    held = {row[0] for row in connection.execute("SELECT name FROM sink")}
    connection.executemany("DELETE FROM sink WHERE name = ?", [(name,) for name in held.difference(names)])
    if names:
        connection.executemany(_QUEUE, connection.execute("SELECT DISTINCT subject FROM change_intended").fetchall())
    connection.execute("DELETE FROM change_intended")
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'change'").fetchone()
    connection.executemany(
        "INSERT INTO sink (name, told, everything) VALUES (?, ?, ?)",
        [(name, last[0] if last else 0, _BITS[INDEX]) for name in names if name not in held],
    )
    connection.execute(_PRUNE if names else "DELETE FROM change")


def _queue_intended(connection: sqlite3.Connection, owner: str) -> None:
    subjects = connection.execute("SELECT subject FROM change_intended WHERE owner = ?", (owner,)).fetchall()
    if subjects:
        connection.executemany(_QUEUE, [(row[0],) for row in subjects])
        connection.execute("DELETE FROM change_intended WHERE owner = ?", (owner,))


def _is_flooded(connection: sqlite3.Connection, sink: str, limit: int) -> bool:
    row = connection.execute(
        "SELECT 1 FROM change WHERE id > (SELECT told FROM sink WHERE name = ?) ORDER BY id LIMIT 1 OFFSET ?",
        (sink, limit),
    ).fetchone()
    return row is not None


def _collapse(connection: sqlite3.Connection, sink: str) -> None:
    """Replace what waits for `sink` by the fact that everything in the index, the files or both may have changed."""
    waiting = "SELECT {} FROM change WHERE id > (SELECT told FROM sink WHERE name = ?)"
    bits = 0
    for row in connection.execute(waiting.format("DISTINCT subject GLOB 'packages/*'"), (sink,)):
        bits |= _BITS[FILES if row[0] else INDEX]
    connection.execute(
        f"UPDATE sink SET everything = everything | ?, told = coalesce(({waiting.format('max(id)')}), told)"
        " WHERE name = ?",
        (bits, sink, sink),
    )
    connection.execute(_PRUNE)


def _next_delivery(connection: sqlite3.Connection, sink: str, most: int, now: float) -> Delivery | None:
    row = connection.execute("SELECT * FROM sink WHERE name = ?", (sink,)).fetchone()
    if row is None or row["next_attempt_at"] > now:
        return None
    found = connection.execute(
        "SELECT id, subject FROM change WHERE id > ? ORDER BY id LIMIT ?", (row["told"], most)
    ).fetchall()
    if not found and not row["everything"]:
        return None
    return Delivery(
        subjects=tuple(StorePath(each["subject"]) for each in found),
        everything=tuple(scope for scope, bit in _BITS.items() if row["everything"] & bit),
        upto=found[-1]["id"] if found else row["told"],
        attempts=row["attempts"],
    )


def _delivered(connection: sqlite3.Connection, sink: str, delivery: Delivery, now: float) -> None:
    bits = sum(_BITS[scope] for scope in delivery.everything)
    connection.execute(
        "UPDATE sink SET told = ?, everything = everything & ~?, attempts = 0, next_attempt_at = 0, last_error = NULL,"
        " told_at = ? WHERE name = ?",
        (delivery.upto, bits, now, sink),
    )
    connection.execute(_PRUNE)
