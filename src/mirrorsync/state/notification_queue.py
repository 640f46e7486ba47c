"""What changed in public and who is still to be told: intended before a page is replaced, due once that is recorded.

One list for all sinks, each subject in it once, with each sink's place in it: told is what lies before that place.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from mirrorsync.model.identity import ProjectName, StorePath
from mirrorsync.model.notification import FILES, INDEX, Scope
from mirrorsync.model.outcome import Failed, Outcome, Removed
from mirrorsync.simple import layout

ROOT: Final = StorePath("simple")
"""The subject that is the root index; a project's is its page's directory, a file's is its path."""
_NOBODY: Final = ""
"""Who intends to replace the root index."""
_BITS: Final[dict[Scope, int]] = {INDEX: 1, FILES: 2}

_DUE: Final = "INSERT OR REPLACE INTO change (subject) VALUES (?)"
"""What changes again moves to the list's end: whoever was told before is told again."""
_INTEND: Final = "INSERT OR IGNORE INTO change_intended (owner, subject) VALUES (?, ?)"
_FORGET: Final = "DELETE FROM change WHERE id <= (SELECT min(told) FROM sink)"


class Delivery(msgspec.Struct, frozen=True):
    """What one sink is to be told next."""

    subjects: tuple[StorePath, ...]
    everything: tuple[Scope, ...]
    upto: int
    """The sink's place once it is told."""
    attempts: int
    """How often telling this sink has failed in a row."""


class SinkReport(msgspec.Struct, frozen=True):
    """How far one sink is."""

    name: str
    waiting: int
    """Changes that it is still to be told of; of more than the flood limit only that all may have changed."""
    everything: bool
    """It is to be told that anything may have changed."""
    attempts: int
    """How often telling it has failed since it last succeeded."""
    next_attempt_at: float
    """Seconds since the epoch."""
    told_at: float | None
    """When it was last told, seconds since the epoch."""
    last_error: str | None


def register(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Let the list be kept for these sinks and no others, at a start, when nobody publishes.

    What an earlier life intended may be public: it is due. A sink that is new knows nothing of what was: for it all
    of the index is due.
    """
    held = {row[0] for row in connection.execute("SELECT name FROM sink")}
    connection.executemany("DELETE FROM sink WHERE name = ?", [(name,) for name in held.difference(names)])
    if names:
        connection.executemany(_DUE, connection.execute("SELECT DISTINCT subject FROM change_intended").fetchall())
    connection.execute("DELETE FROM change_intended")
    last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'change'").fetchone()
    connection.executemany(
        "INSERT INTO sink (name, told, everything) VALUES (?, ?, ?)",
        [(name, last[0] if last else 0, _BITS[INDEX]) for name in names if name not in held],
    )
    connection.execute(_FORGET if names else "DELETE FROM change")


def is_in_use(connection: sqlite3.Connection) -> bool:
    """Tell whether the list was kept for any sink."""
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM sink)").fetchone()[0])


def intend_root(connection: sqlite3.Connection) -> None:
    """Note that the root index may change from now on."""
    connection.execute(_INTEND, (_NOBODY, ROOT))


def intend(connection: sqlite3.Connection, name: ProjectName) -> None:
    """Note that what stands of a project may change from now on."""
    connection.execute(_INTEND, (name, layout.project_directory(name)))


def intend_new(connection: sqlite3.Connection, name: ProjectName, sidecars: Iterable[StorePath]) -> None:
    """Note that these sidecars may change, and the page too unless it is held to be known: then `intend` is called."""
    (doubted,) = connection.execute("SELECT page_digest IS NULL FROM project WHERE name = ?", (name,)).fetchone()
    if doubted:
        intend(connection, name)
    connection.executemany(_INTEND, [(name, path) for path in sidecars])


def recorded(connection: sqlite3.Connection, outcome: Outcome) -> None:
    """Let what was intended of a project be due, now that it is public.

    What failed stays intended where no page stood before: nothing was replaced that anybody saw.
    """
    name = outcome.name
    if isinstance(outcome, Failed):
        row = connection.execute("SELECT present FROM project WHERE name = ?", (name,)).fetchone()
        if row is None or not row[0]:
            return
    if isinstance(outcome, Removed):
        connection.execute(_DUE, (layout.project_directory(name),))
    _release(connection, name)


def root_recorded(connection: sqlite3.Connection) -> None:
    """Let the root index be due, now that it is public."""
    _release(connection, _NOBODY)


def removed(connection: sqlite3.Connection, paths: Iterable[StorePath]) -> None:
    """Let files be due that are deleted."""
    connection.executemany(_DUE, [(path,) for path in paths])


def _release(connection: sqlite3.Connection, owner: str) -> None:
    subjects = connection.execute("SELECT subject FROM change_intended WHERE owner = ?", (owner,)).fetchall()
    if subjects:
        connection.executemany(_DUE, [(row[0],) for row in subjects])
        connection.execute("DELETE FROM change_intended WHERE owner = ?", (owner,))


def next_delivery(connection: sqlite3.Connection, sink: str, most: int, now: float) -> Delivery | None:
    """Return what `sink` is to be told now, `most` subjects at a time; None when nothing is due or it waits."""
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


def is_flooded(connection: sqlite3.Connection, sink: str, limit: int) -> bool:
    """Tell whether more than `limit` changes wait for `sink`."""
    row = connection.execute(
        "SELECT 1 FROM change WHERE id > (SELECT told FROM sink WHERE name = ?) ORDER BY id LIMIT 1 OFFSET ?",
        (sink, limit),
    ).fetchone()
    return row is not None


def collapse(connection: sqlite3.Connection, sink: str) -> None:
    """Let all that waits for `sink` be one thing: that the index, or the files, or both may have changed anywhere."""
    waiting = "SELECT {} FROM change WHERE id > (SELECT told FROM sink WHERE name = ?)"
    bits = 0
    for row in connection.execute(waiting.format("DISTINCT subject GLOB 'packages/*'"), (sink,)):
        bits |= _BITS[FILES if row[0] else INDEX]
    connection.execute(
        f"UPDATE sink SET everything = everything | ?, told = coalesce(({waiting.format('max(id)')}), told)"
        " WHERE name = ?",
        (bits, sink, sink),
    )
    connection.execute(_FORGET)


def told(connection: sqlite3.Connection, sink: str, delivery: Delivery, now: float) -> None:
    """Note that `sink` was told."""
    bits = sum(_BITS[scope] for scope in delivery.everything)
    connection.execute(
        "UPDATE sink SET told = ?, everything = everything & ~?, attempts = 0, next_attempt_at = 0, last_error = NULL,"
        " told_at = ? WHERE name = ?",
        (delivery.upto, bits, now, sink),
    )
    connection.execute(_FORGET)


def failed(connection: sqlite3.Connection, sink: str, error: str, next_attempt_at: float) -> None:
    """Note that `sink` could not be told, and when it is tried again (seconds since the epoch)."""
    connection.execute(
        "UPDATE sink SET attempts = attempts + 1, next_attempt_at = ?, last_error = ? WHERE name = ?",
        (next_attempt_at, error, sink),
    )


def report(connection: sqlite3.Connection) -> tuple[SinkReport, ...]:
    """Return how far each sink is; none in a database of a version that had no list. Costs what waits, at most."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sink'").fetchone() is None:
        return ()
    rows = connection.execute(
        "SELECT name, (SELECT count(*) FROM change WHERE id > told), everything != 0, attempts, next_attempt_at,"
        " told_at, last_error FROM sink ORDER BY name"
    )
    return tuple(SinkReport(row[0], row[1], bool(row[2]), *row[3:]) for row in rows.fetchall())
