"""The ledger of projects: what upstream has said, what is due, and how far the mirror's word goes."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.outcome import Shared


class Raised(msgspec.Struct, frozen=True):
    """What a batch of journal rows says of one project."""

    name: ProjectName
    display_name: str
    first: Serial
    """The batch's first row of this project: from here on it may be unserved."""
    last: Serial
    content: Serial
    """The last row that can change the page; 0 when none can."""
    removes_project: bool


class ProjectRow(msgspec.Struct, frozen=True):
    """A project that is due, as the ledger knows it."""

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


class Mirror(msgspec.Struct, frozen=True):
    """The mirror's one row."""

    upstream: str
    selection: str
    content: str
    ingested_serial: Serial | None
    upstream_serial: Serial | None
    published_serial: Serial | None
    root_version: int
    root_published_version: int
    list_read_at: float | None
    list_refused: str | None
    has_journal: bool


class Weight(msgspec.Struct, frozen=True):
    """How much stands of some projects."""

    projects: int
    files: int
    size: int
    """Bytes."""


NOTHING: Final = Weight(projects=0, files=0, size=0)


WORK_COLUMNS = ", ".join(ProjectRow.__struct_fields__)
_FLAGS = tuple(ProjectRow.__struct_fields__.index(flag) for flag in ("present", "said_removed", "unlisted"))
"""SQLite has them as numbers."""

_RAISE = """
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
-- A page that is newer than the row already says what the row is about.
WHERE coalesce(mirrored_serial, -1) < excluded.wanted_serial
"""


DUE = (
    f"SELECT {WORK_COLUMNS} FROM project"
    " WHERE (unmet_since IS NOT NULL OR recheck = 1) AND next_attempt_at <= ? ORDER BY next_attempt_at LIMIT ?"
)
WAITING = """
SELECT waiting, (SELECT min(next_attempt_at) FROM project WHERE unmet_since IS NOT NULL OR recheck = 1) FROM mirror
"""


def introduce(connection: sqlite3.Connection, upstream: str, selection: str, content: str, files: int) -> Mirror:
    """Make the mirror's row if it is absent, and return it as it stood before.

    `files`: whether the tree holds files already (0 or 1), which a ledger that is made now knows nothing of.
    """
    connection.execute(
        "INSERT INTO mirror (id, upstream, selection, content, tree_was_there) VALUES (1, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (upstream, selection, content, files),
    )
    return mirror(connection)


def mirror(connection: sqlite3.Connection) -> Mirror:
    """Return the mirror's row."""
    row = connection.execute(f"SELECT {', '.join(Mirror.__struct_fields__)} FROM mirror").fetchone()
    return msgspec.convert(dict(row), Mirror, strict=False)


def raise_wanted(connection: sqlite3.Connection, raised: Sequence[Raised], upto: Serial) -> None:
    """Ingest a batch: what it says of each project and the cursor behind it, in one transaction."""
    connection.executemany(_RAISE, [msgspec.structs.asdict(row) for row in raised])
    connection.execute(
        "UPDATE mirror SET ingested_serial = max(coalesce(ingested_serial, 0), :upto),"
        " upstream_serial = max(coalesce(upstream_serial, 0), :upto)",
        {"upto": upto},
    )


def note_complete(connection: sqlite3.Connection) -> None:
    """With nothing unmet the mirror is complete as of the time when upstream was last asked.

    Noted whenever it may have become so: where much changes, no look from time to time would ever find it.
    """
    connection.execute(
        # What only the audit asks for is no lag, unless it fails; without a journal asking is all there is.
        "UPDATE mirror SET complete_at = polled_at, tree_was_there = 0 WHERE unmet = 0 AND (has_journal OR waiting = 0)"
    )


def start_at(connection: sqlite3.Connection, serial: Serial | None) -> None:
    """Set the cursor, which all that is known of the projects now reaches."""
    connection.execute("UPDATE mirror SET ingested_serial = ?", (serial,))


def polled(connection: sqlite3.Connection, serial: Serial | None, now: float, has_journal: int) -> None:
    """Note that upstream was asked with success, and the newest serial it told (None: it tells none)."""
    connection.execute(
        "UPDATE mirror SET upstream_serial = coalesce(?, upstream_serial), polled_at = ?, has_journal = ?",
        (serial, now, has_journal),
    )
    note_complete(connection)


def name_projects(connection: sqlite3.Connection, names: Iterable[ProjectName]) -> int:
    """Take up named projects that the ledger does not know, as never mirrored; return how many are new."""
    return connection.executemany(
        "INSERT INTO project (name, display_name, wanted_serial, content_serial, unmet_since)"
        " VALUES (:name, :name, 0, 0, 1) ON CONFLICT DO NOTHING",
        [{"name": name} for name in names],
    ).rowcount


def add_projects(connection: sqlite3.Connection, chosen: Iterable[ProjectName]) -> None:
    """Take up names that a person asks for once: nothing is claimed of them, and nothing is owed."""
    connection.executemany(
        "INSERT INTO project (name, display_name, wanted_serial, content_serial) VALUES (:name, :name, 0, 0)"
        " ON CONFLICT DO NOTHING",
        [{"name": name} for name in chosen],
    )


def forget_unheard(connection: sqlite3.Connection, chosen: Iterable[ProjectName]) -> None:
    """Forget those of the names that upstream does not know and nobody but that person has asked for."""
    connection.executemany(
        "DELETE FROM project WHERE name = ? AND mirrored_serial IS NULL AND unmet_since IS NULL AND gone_at IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM file WHERE project_id = project.id)",
        [(name,) for name in chosen],
    )


def recheck(connection: sqlite3.Connection, names: Iterable[ProjectName] | None) -> None:
    """Make projects due though no serial demands it: the named ones, waiting or not; None: every one that waits not."""
    if names is None:
        connection.execute("UPDATE project SET recheck = 1 WHERE recheck = 0")
        return
    connection.executemany(
        "UPDATE project SET recheck = 1, next_attempt_at = 0 WHERE name = ?", [(name,) for name in names]
    )


def wake(connection: sqlite3.Connection, waits_for: Shared, now: float) -> None:
    """Make due what was put off since it failed of something that is over. Costs what is put off."""
    connection.execute(
        "UPDATE project SET next_attempt_at = :now WHERE (unmet_since IS NOT NULL OR recheck = 1)"
        " AND next_attempt_at > :now AND waits_for = :waits_for",
        {"now": now, "waits_for": waits_for},
    )


def agree(connection: sqlite3.Connection, now: float) -> None:
    """Make due whose removal is held: a person agrees to it now."""
    connection.execute("UPDATE project SET next_attempt_at = ? WHERE last_reason = 'held'", (now,))


def render_anew(connection: sqlite3.Connection, selection: str, content: str) -> None:
    """Note another policy: every page is compared and rendered again, and the root list is read again."""
    connection.execute("UPDATE project SET recheck = 1, next_attempt_at = 0, etag = NULL, page_digest = NULL")
    connection.execute(
        "UPDATE mirror SET selection = ?, content = ?, ingested_serial = NULL, list_refused = NULL,"
        " root_version = root_version + 1",
        (selection, content),
    )


def recheck_pages(connection: sqlite3.Connection, pages: Sequence[tuple[ProjectName, Serial | None]]) -> None:
    """Forget the published page of each project; from now on it may carry the given serial."""
    connection.executemany(
        "UPDATE project SET page_digest = NULL, etag = NULL,"
        " attempted_serial = coalesce(max(coalesce(attempted_serial, -1), ?2), attempted_serial) WHERE name = ?1",
        pages,
    )


def attempt(connection: sqlite3.Connection, name: ProjectName, serial: Serial | None) -> None:
    """Note that a page of `serial` may come to stand: none of an older serial may take its place (I6)."""
    if serial is not None:
        connection.execute(
            "UPDATE project SET attempted_serial = ? WHERE name = ? AND coalesce(attempted_serial, -1) < ?",
            (serial, name, serial),
        )


def due(connection: sqlite3.Connection, now: float, limit: int) -> list[ProjectRow]:
    """Return at most `limit` projects that are to be tried, the longest waiting first."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return [_work(row) for row in cursor.execute(DUE, (now, limit))]


def named(connection: sqlite3.Connection, name: ProjectName) -> ProjectRow | None:
    """Return one project's ledger, None if it is unknown."""
    row = connection.execute(f"SELECT {WORK_COLUMNS} FROM project WHERE name = ?", (name,)).fetchone()
    return None if row is None else _work(row)


def names(connection: sqlite3.Connection) -> list[ProjectName]:
    """Return every name that the ledger knows: as large as the mirror, for a change of the selection only."""
    return [ProjectName(row["name"]) for row in connection.execute("SELECT name FROM project")]


def weigh(connection: sqlite3.Connection, chosen: Iterable[ProjectName]) -> Weight:
    """Return what stands of these projects."""
    projects = files = size = 0
    for name in chosen:
        row = connection.execute("SELECT id FROM project WHERE name = ? AND present = 1", (name,)).fetchone()
        if row is None:
            continue
        more, bytes_more = connection.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM file WHERE project_id = ? AND stored_at IS NOT NULL",
            (row["id"],),
        ).fetchone()
        projects, files, size = projects + 1, files + more, size + bytes_more
    return Weight(projects=projects, files=files, size=size)


def forget(connection: sqlite3.Connection, chosen: Iterable[ProjectName]) -> None:
    """Drop the ledger of projects that have neither page nor files, as if they had never been heard of."""
    connection.executemany(
        "DELETE FROM project WHERE name = ? AND present = 0"
        " AND NOT EXISTS (SELECT 1 FROM file WHERE project_id = project.id)",
        [(name,) for name in chosen],
    )


def waiting(connection: sqlite3.Connection) -> tuple[int, float | None]:
    """Return how many projects are to be tried now or later, and the earliest attempt (seconds since the epoch)."""
    count, earliest = connection.execute(WAITING).fetchone()
    return int(count), earliest


def synced_serial(connection: sqlite3.Connection) -> Serial | None:
    """Return the serial up to which everything is served (I2); None where upstream has no such thing."""
    (cursor,) = connection.execute("SELECT ingested_serial FROM mirror").fetchone()
    (unmet,) = connection.execute("SELECT min(unmet_since) FROM project WHERE unmet_since IS NOT NULL").fetchone()
    if cursor is None:
        return None
    return Serial(cursor if unmet is None else min(cursor, unmet - 1))


def _work(row: Iterable[Any]) -> ProjectRow:
    values = list(row)
    for flag in _FLAGS:
        values[flag] = bool(values[flag])
    return ProjectRow(*values)
