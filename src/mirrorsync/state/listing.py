"""The root list held against the ledger, by SQL: neither is ever held in memory as objects."""

import sqlite3
from collections.abc import Sequence

import msgspec

from mirrorsync.model.change import Listed
from mirrorsync.model.identity import Serial


class Missing(msgspec.Struct, frozen=True):
    """What a whole root list does not name although we serve it."""

    projects: int
    files: int
    size: int
    """Bytes."""
    served: int
    """Projects that we serve in all."""
    listed: int
    """Selected projects that the list names."""


_NOT_LISTED = """
FROM project WHERE present = 1 AND unlisted = 0 AND coalesce(status, '') != 'quarantined'
    AND coalesce(mirrored_serial, 0) <= coalesce(:list_serial, 9223372036854775807)
    AND NOT EXISTS (SELECT 1 FROM temp.listing WHERE listing.name = project.name)
"""


def begin(connection: sqlite3.Connection) -> None:
    """Start an empty list."""
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS listing"
        " (name TEXT PRIMARY KEY, display_name TEXT NOT NULL, serial INTEGER) WITHOUT ROWID"
    )
    connection.execute("DELETE FROM temp.listing")


def add(connection: sqlite3.Connection, projects: Sequence[Listed]) -> None:
    """Add a part of the list; of two spellings of one name the one with the higher serial stays."""
    connection.executemany(
        "INSERT INTO temp.listing VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " display_name = excluded.display_name, serial = excluded.serial"
        " WHERE coalesce(excluded.serial, -1) > coalesce(serial, -1)",
        [(row.name, row.display_name, row.serial) for row in projects],
    )


def missing(connection: sqlite3.Connection, list_serial: Serial | None) -> Missing:
    """Weigh what the list does not name, before anything is believed of it."""
    projects = connection.execute(f"SELECT count(*) {_NOT_LISTED}", {"list_serial": list_serial}).fetchone()[0]
    files, size = connection.execute(
        f"SELECT count(*), coalesce(sum(size), 0) FROM file WHERE project_id IN (SELECT id {_NOT_LISTED})",
        {"list_serial": list_serial},
    ).fetchone()
    (served,) = connection.execute("SELECT projects FROM mirror").fetchone()
    (listed,) = connection.execute("SELECT count(*) FROM temp.listing").fetchone()
    return Missing(projects=projects, files=files, size=size, served=served, listed=listed)


def raise_from(connection: sqlite3.Connection, *, since: Serial, list_serial: Serial | None) -> None:
    """Make due whatever the list says is new or changed; all that is older than `since` is known to be served.

    A name that we removed comes back only above the serial of its removal: the list is cached up to half an
    hour. A serial below ours counts only when the list as a whole is newer than our page.
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
        -- What the ledger knew is no news: it would restart a stale page's ladder, or demand what an invitation moved.
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
    """Make due what was removed and is named again, at a serial that tells of nothing new.

    The page's 404 and an earlier list may both have been false, and nothing else would ever bring it back (I3). Not
    what the journal said is removed, and not before lists of the time of the removal are out of all caches.
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
    """Mark what the list does not name and make it due: the page is the second witness.

    Until that has spoken, nothing from `since` on may be claimed: a removal or a quarantine is not served yet.
    """
    connection.execute(
        "UPDATE project SET unlisted = 1, recheck = 1, next_attempt_at = 0, unmet_since = coalesce(unmet_since, :since)"
        f" WHERE id IN (SELECT id {_NOT_LISTED})",
        {"since": since, "list_serial": list_serial},
    )


def end(connection: sqlite3.Connection) -> None:
    """Forget the list."""
    connection.execute("DROP TABLE IF EXISTS temp.listing")
