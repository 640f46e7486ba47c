"""Comparing the root list with the database, in SQL: neither is ever held in memory as objects."""

import sqlite3
from collections.abc import Sequence

import msgspec

from mirrorsync.model.change import Listed
from mirrorsync.model.identity import Serial


class Unlisted(msgspec.Struct, frozen=True):
    """What the mirror serves although a whole root list does not name it."""

    projects: int
    files: int
    size: int
    """Bytes."""
    served: int
    """Projects that the mirror serves in all."""
    listed: int
    """Selected projects that the list names."""


_NOT_LISTED = """
FROM project WHERE present = 1 AND unlisted = 0 AND coalesce(status, '') != 'quarantined'
    AND coalesce(mirrored_serial, 0) <= coalesce(:list_serial, 9223372036854775807)
    AND NOT EXISTS (SELECT 1 FROM temp.listing WHERE listing.name = project.name)
"""


def begin(connection: sqlite3.Connection) -> None:
    """Create an empty temporary list."""
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS listing"
        " (name TEXT PRIMARY KEY, display_name TEXT NOT NULL, serial INTEGER) WITHOUT ROWID"
    )
    connection.execute("DELETE FROM temp.listing")


def add(connection: sqlite3.Connection, projects: Sequence[Listed]) -> None:
    """Add part of the list; of two spellings of one name, keep the one with the higher serial."""
    connection.executemany(
        "INSERT INTO temp.listing VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " display_name = excluded.display_name, serial = excluded.serial"
        " WHERE coalesce(excluded.serial, -1) > coalesce(serial, -1)",
        [(row.name, row.display_name, row.serial) for row in projects],
    )


def missing(connection: sqlite3.Connection, list_serial: Serial | None) -> Unlisted:
    """Count what the list does not name, before any of it is removed."""
    projects = connection.execute(f"SELECT count(*) {_NOT_LISTED}", {"list_serial": list_serial}).fetchone()[0]
    files, size = connection.execute(
        f"SELECT count(*), coalesce(sum(size), 0) FROM file WHERE project_id IN (SELECT id {_NOT_LISTED})",
        {"list_serial": list_serial},
    ).fetchone()
    (served,) = connection.execute("SELECT projects FROM mirror").fetchone()
    (listed,) = connection.execute("SELECT count(*) FROM temp.listing").fetchone()
    return Unlisted(projects=projects, files=files, size=size, served=served, listed=listed)


def raise_from(connection: sqlite3.Connection, *, since: Serial, list_serial: Serial | None) -> None:
    """Make due what the list shows as new or changed; everything older than `since` is already served.

    A removed name comes back only above the serial of its removal, because the list is cached for up to half an
    hour. A serial below ours counts only if the list as a whole is newer than our page.
    """
    names = {"since": since, "list_serial": list_serial}
    connection.execute(
        """
        INSERT INTO project (name, display_name, wanted_serial, content_serial, unmet_since)
        SELECT name, display_name, coalesce(serial, 0), coalesce(serial, 0), :since FROM temp.listing WHERE true
        ON CONFLICT (name) DO UPDATE SET
            display_name = excluded.display_name,
            wanted_serial = max(wanted_serial, excluded.wanted_serial),
            content_serial = max(content_serial, excluded.content_serial),
            unmet_since = coalesce(unmet_since, excluded.unmet_since),
            said_removed = 0, unlisted = 0, attempts = 0, next_attempt_at = 0, failing_since = NULL, stale_since = NULL,
            gone_at = NULL, last_reason = NULL
        -- Ignore a known serial: it would reset a stale page's back-off, or require a serial that only a role moved.
        WHERE excluded.wanted_serial > CASE WHEN mirrored_serial IS NULL AND unmet_since IS NULL THEN -1
            ELSE max(wanted_serial, coalesce(mirrored_serial, -1)) END
        """,
        names,
    )
    connection.execute(
        """
        UPDATE project SET unlisted = 0, recheck = recheck OR listing.serial IS NULL
        FROM temp.listing WHERE listing.name = project.name AND project.present = 1
            AND (unlisted = 1 OR listing.serial IS NULL)
        """
    )
    connection.execute(
        """
        UPDATE project SET regressed_to = listing.serial, recheck = 1, said_removed = 0, next_attempt_at = 0
        FROM temp.listing WHERE listing.name = project.name AND listing.serial < mirrored_serial
            AND mirrored_serial <= :list_serial AND wanted_serial <= :list_serial
            AND listing.serial != coalesce(page_serial, -1)
        """,
        names,
    )


def recheck_removals(connection: sqlite3.Connection, *, since: Serial, now: float) -> None:
    """Make due removed projects that the list names again, even at a serial that is not new.

    The page's 404 and an earlier list may both have been wrong, and nothing else would bring the project back (I3).
    Excluded are projects that the journal removed, and all until lists from before the removal have left the caches.
    """
    connection.execute(
        """
        UPDATE project SET recheck = 1, next_attempt_at = 0, unmet_since = :since
        FROM temp.listing WHERE listing.name = project.name AND project.present = 0 AND project.said_removed = 0
            AND project.unmet_since IS NULL AND project.recheck = 0 AND project.next_attempt_at <= :now
            AND coalesce(listing.serial, project.mirrored_serial) >= project.mirrored_serial
        """,
        {"since": since, "now": now},
    )


def recheck_missing(connection: sqlite3.Connection, *, since: Serial, list_serial: Serial | None) -> None:
    """Mark projects that the list does not name and make them due: their page is the second witness.

    Until it is checked, no serial from `since` on may be claimed: a removal or quarantine may not be served yet.
    """
    connection.execute(
        "UPDATE project SET unlisted = 1, recheck = 1, next_attempt_at = 0, unmet_since = coalesce(unmet_since, :since)"
        f" WHERE id IN (SELECT id {_NOT_LISTED})",
        {"since": since, "list_serial": list_serial},
    )


def end(connection: sqlite3.Connection) -> None:
    """Drop the list."""
    connection.execute("DROP TABLE IF EXISTS temp.listing")


def read(connection: sqlite3.Connection, now: float, *, refused: str | None = None) -> None:
    """Note that the root list was compared, and why the removals that it implies were refused (None: they were not)."""
    connection.execute("UPDATE mirror SET list_read_at = ?, list_refused = ?", (now, refused))


def missed(connection: sqlite3.Connection, now: float) -> None:
    """Note that the root list could not be read; the next attempt is after the usual interval."""
    connection.execute("UPDATE mirror SET list_read_at = ?", (now,))
