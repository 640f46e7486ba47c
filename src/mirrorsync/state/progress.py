"""The sync progress of each project: the serial wanted, the serial mirrored, and when to try next."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.outcome import Shared
from mirrorsync.state.connection import rows


class Raised(msgspec.Struct, frozen=True):
    """The changes of one project in a batch of journal rows."""

    name: ProjectName
    display_name: str
    first: Serial
    """The project's first row in the batch: changes from here on may be unserved."""
    last: Serial
    content: Serial
    """The last row that can change the page; 0: none can."""
    removes_project: bool


class ProjectRow(msgspec.Struct, frozen=True):
    """A project as the database knows it."""

    name: ProjectName
    display_name: str
    wanted_serial: Serial
    content_serial: Serial
    mirrored_serial: Serial | None
    page_serial: Serial | None
    attempted_serial: Serial | None
    present: bool
    status: str | None
    said_removed: bool
    unlisted: bool
    etag: str | None
    page_digest: bytes | None
    attempts: int
    failing_since: float | None
    stale_since: float | None
    gone_at: float | None
    regressed_to: Serial | None


class Weight(msgspec.Struct, frozen=True):
    """The number of some projects, and the number and size of their stored files."""

    projects: int
    files: int
    size: int
    """Bytes."""


NOTHING: Final = Weight(projects=0, files=0, size=0)

_COLUMNS: Final = ", ".join(ProjectRow.__struct_fields__)
_FLAGS: Final = tuple(ProjectRow.__struct_fields__.index(flag) for flag in ("present", "said_removed", "unlisted"))
"""Columns that SQLite returns as numbers."""

_RAISE: Final = """
INSERT INTO project (name, display_name, wanted_serial, content_serial, unmet_since, said_removed)
VALUES (:name, :display_name, :last, :content, :first, :removes_project)
ON CONFLICT (name) DO UPDATE SET
    display_name = excluded.display_name,
    wanted_serial = max(wanted_serial, excluded.wanted_serial),
    content_serial = max(content_serial, excluded.content_serial),
    said_removed = excluded.said_removed,
    unmet_since = min(coalesce(unmet_since, excluded.unmet_since), excluded.unmet_since),
    unlisted = 0, attempts = 0, next_attempt_at = 0, failing_since = NULL, stale_since = NULL, gone_at = NULL,
    last_reason = NULL
-- A page that is newer than the row already includes its change.
WHERE coalesce(mirrored_serial, -1) < excluded.wanted_serial
"""
_DUE: Final = (
    f"SELECT {_COLUMNS} FROM project"
    " WHERE (unmet_since IS NOT NULL OR recheck = 1) AND next_attempt_at <= ? ORDER BY next_attempt_at LIMIT ?"
)
_WAITING: Final = """
SELECT waiting, (SELECT min(next_attempt_at) FROM project WHERE unmet_since IS NOT NULL OR recheck = 1) FROM mirror
"""
_WEIGH: Final = """
SELECT count(file.rowid), coalesce(sum(file.size), 0) FROM project
    LEFT JOIN file ON file.project_id = project.id AND file.stored_at IS NOT NULL
    WHERE project.name = ? AND project.present = 1 GROUP BY project.id
"""
_HAS_NO_FILES: Final = "NOT EXISTS (SELECT 1 FROM file WHERE project_id = project.id)"


def raise_wanted(connection: sqlite3.Connection, raised: Sequence[Raised], upto: Serial) -> None:
    """Ingest one batch of the journal and move the cursor behind it."""
    connection.executemany(_RAISE, [msgspec.structs.asdict(row) for row in raised])
    connection.execute(
        "UPDATE mirror SET ingested_serial = max(coalesce(ingested_serial, 0), :upto),"
        " upstream_serial = max(coalesce(upstream_serial, 0), :upto)",
        {"upto": upto},
    )


def name_projects(connection: sqlite3.Connection, names: Iterable[ProjectName]) -> int:
    """Add projects that the selection names, as never mirrored; return how many were unknown."""
    return connection.executemany(
        "INSERT INTO project (name, display_name, wanted_serial, content_serial, unmet_since)"
        " VALUES (:name, :name, 0, 0, 1) ON CONFLICT DO NOTHING",
        [{"name": name} for name in names],
    ).rowcount


def add_projects(connection: sqlite3.Connection, chosen: Iterable[ProjectName]) -> None:
    """Add projects that an operator syncs once: they hold back no serial."""
    connection.executemany(
        "INSERT INTO project (name, display_name, wanted_serial, content_serial) VALUES (:name, :name, 0, 0)"
        " ON CONFLICT DO NOTHING",
        [{"name": name} for name in chosen],
    )


def forget_unknown(connection: sqlite3.Connection, chosen: Iterable[ProjectName]) -> None:
    """Delete the rows of those projects of `add_projects` that upstream does not know."""
    connection.executemany(
        "DELETE FROM project WHERE name = ? AND mirrored_serial IS NULL AND unmet_since IS NULL"
        f" AND gone_at IS NOT NULL AND {_HAS_NO_FILES}",
        [(name,) for name in chosen],
    )


def recheck(connection: sqlite3.Connection, names: Iterable[ProjectName] | None) -> None:
    """Make projects due although no serial requires it: the named ones at once; None: all, keeping planned delays."""
    if names is None:
        connection.execute("UPDATE project SET recheck = 1 WHERE recheck = 0")
        return
    connection.executemany(
        "UPDATE project SET recheck = 1, next_attempt_at = 0 WHERE name = ?", [(name,) for name in names]
    )


def wake(connection: sqlite3.Connection, waits_for: Shared, now: float) -> None:
    """Make due the projects whose last failure had this cause, which is over. Reads only postponed projects."""
    connection.execute(
        "UPDATE project SET next_attempt_at = :now WHERE (unmet_since IS NOT NULL OR recheck = 1)"
        " AND next_attempt_at > :now AND waits_for = :waits_for",
        {"now": now, "waits_for": waits_for},
    )


def release_held(connection: sqlite3.Connection, now: float) -> None:
    """Make due the projects whose removal was held for an operator's approval."""
    connection.execute("UPDATE project SET next_attempt_at = ? WHERE last_reason = 'held'", (now,))


def recheck_pages(connection: sqlite3.Connection, pages: Sequence[tuple[ProjectName, Serial | None]]) -> None:
    """Forget the published page of each project; from now on it may carry the given serial."""
    connection.executemany(
        "UPDATE project SET page_digest = NULL, etag = NULL,"
        " attempted_serial = coalesce(max(coalesce(attempted_serial, -1), ?2), attempted_serial) WHERE name = ?1",
        pages,
    )


def attempt(connection: sqlite3.Connection, name: ProjectName, serial: Serial | None) -> None:
    """Record that a page of `serial` may be published: no page of an older serial may replace it (I6)."""
    if serial is not None:
        connection.execute(
            "UPDATE project SET attempted_serial = ? WHERE name = ? AND coalesce(attempted_serial, -1) < ?",
            (serial, name, serial),
        )


def due(connection: sqlite3.Connection, now: float, limit: int) -> list[ProjectRow]:
    """Return at most `limit` projects to try now, the longest waiting first."""
    return [_project_row(row) for row in rows(connection, _DUE, now, limit)]


def named(connection: sqlite3.Connection, name: ProjectName) -> ProjectRow | None:
    """Return one project, None if it is unknown."""
    row = rows(connection, f"SELECT {_COLUMNS} FROM project WHERE name = ?", name).fetchone()
    return None if row is None else _project_row(row)


def names(connection: sqlite3.Connection) -> list[ProjectName]:
    """Return the name of every known project. The list is as large as the mirror."""
    return [ProjectName(name) for (name,) in connection.execute("SELECT name FROM project")]


def weigh(connection: sqlite3.Connection, chosen: Iterable[ProjectName]) -> Weight:
    """Return the weight of those of the projects that have a page."""
    found = [row for name in chosen if (row := connection.execute(_WEIGH, (name,)).fetchone())]
    return Weight(projects=len(found), files=sum(files for files, _ in found), size=sum(size for _, size in found))


def forget(connection: sqlite3.Connection, chosen: Iterable[ProjectName]) -> None:
    """Delete the rows of those of the projects that have neither a page nor files."""
    connection.executemany(
        f"DELETE FROM project WHERE name = ? AND present = 0 AND {_HAS_NO_FILES}", [(name,) for name in chosen]
    )


def waiting(connection: sqlite3.Connection) -> tuple[int, float | None]:
    """Return the number of projects to try now or later, and the earliest attempt (seconds since the epoch)."""
    count, earliest = connection.execute(_WAITING).fetchone()
    return int(count), earliest


def _project_row(row: Iterable[Any]) -> ProjectRow:
    values = list(row)
    for flag in _FLAGS:
        values[flag] = bool(values[flag])
    return ProjectRow(*values)
