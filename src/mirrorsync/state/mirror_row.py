"""The mirror's one row (upstream, policy, cursor, times), and the synced serial derived from it."""

import sqlite3
from typing import Final

import msgspec

from mirrorsync.model.identity import Serial

_LONGEST_WAIT: Final = 2 * 86_400.0
"""Seconds: no project is postponed for longer; upstream's Retry-After counts for a day at most."""
MAX_SINK_WAIT: Final = 3600.0
"""Seconds: the longest Retry-After of a notify sink that is honoured."""


class Mirror(msgspec.Struct, frozen=True):
    """The mirror's row."""

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


class Summary(msgspec.Struct, frozen=True):
    """The few figures that the daemon reads once a second."""

    synced_serial: Serial | None
    upstream_serial: Serial | None
    unmet: int
    """Projects that differ from upstream."""
    complete_at: float | None
    """Seconds since the epoch: when the mirror last equalled upstream."""
    has_work: bool
    """Something is due now."""


def init_mirror(
    connection: sqlite3.Connection, upstream: str, selection: str, content: str, *, tree_has_files: bool
) -> Mirror:
    """Insert the mirror's row if there is none, and return the row.

    `tree_has_files`: the tree holds files that a new database does not know of.
    """
    connection.execute(
        "INSERT INTO mirror (id, upstream, selection, content, tree_was_there) VALUES (1, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (upstream, selection, content, tree_has_files),
    )
    return mirror(connection)


def mirror(connection: sqlite3.Connection) -> Mirror:
    """Return the mirror's row."""
    row = connection.execute(f"SELECT {', '.join(Mirror.__struct_fields__)} FROM mirror").fetchone()
    return msgspec.convert(dict(row), Mirror, strict=False)


def summary(connection: sqlite3.Connection, now: float) -> Summary:
    """Return the summary; the cost does not depend on the size of the mirror."""
    row = connection.execute("SELECT upstream_serial, unmet, complete_at FROM mirror").fetchone()
    due = connection.execute(
        "SELECT 1 FROM project WHERE (unmet_since IS NOT NULL OR recheck = 1) AND next_attempt_at <= ? LIMIT 1", (now,)
    ).fetchone()
    return Summary(synced_serial=synced_serial(connection), has_work=due is not None, **dict(row))


def synced_serial(connection: sqlite3.Connection) -> Serial | None:
    """Return the serial up to which everything is served (I2); None if upstream has no serials."""
    (cursor,) = connection.execute("SELECT ingested_serial FROM mirror").fetchone()
    (unmet,) = connection.execute("SELECT min(unmet_since) FROM project WHERE unmet_since IS NOT NULL").fetchone()
    if cursor is None:
        return None
    return Serial(cursor if unmet is None else min(cursor, unmet - 1))


def start_at(connection: sqlite3.Connection, serial: Serial | None) -> None:
    """Set the cursor: every change up to `serial` is recorded in the projects."""
    connection.execute("UPDATE mirror SET ingested_serial = ?", (serial,))


def polled(connection: sqlite3.Connection, serial: Serial | None, now: float, *, has_journal: bool) -> None:
    """Record a successful poll of upstream, and the newest serial that it reported (None: it reported none)."""
    connection.execute(
        "UPDATE mirror SET upstream_serial = coalesce(?, upstream_serial), polled_at = ?, has_journal = ?",
        (serial, now, has_journal),
    )
    note_complete(connection)


def note_complete(connection: sqlite3.Connection) -> None:
    """If nothing is unmet, record that the mirror is complete as of the last poll.

    Call it after every change that may complete the mirror: on a busy index, a periodic check would always miss it.
    """
    connection.execute(
        # A recheck is no lag unless it fails; without a journal, rechecks are the only source of changes.
        "UPDATE mirror SET complete_at = polled_at, tree_was_there = 0 WHERE unmet = 0 AND (has_journal OR waiting = 0)"
    )


def render_all(connection: sqlite3.Connection, selection: str, content: str) -> None:
    """Record a changed policy: every page is compared and rendered again, and the root list is read again."""
    connection.execute("UPDATE project SET recheck = 1, next_attempt_at = 0, etag = NULL, page_digest = NULL")
    connection.execute(
        "UPDATE mirror SET selection = ?, content = ?, ingested_serial = NULL, list_refused = NULL,"
        " root_version = root_version + 1",
        (selection, content),
    )


def clamp_timestamps(connection: sqlite3.Connection, now: float) -> None:
    """Correct times in the future that a clock that was set back has left, so that they delay nothing.

    Without such times nothing is written; the search among projects uses an index.
    """
    connection.execute(
        "UPDATE project SET next_attempt_at = 0 WHERE (unmet_since IS NOT NULL OR recheck = 1) AND next_attempt_at > ?",
        (now + _LONGEST_WAIT,),
    )
    connection.execute(
        "UPDATE mirror SET list_read_at = min(list_read_at, :now), audit_stepped_at = min(audit_stepped_at, :now)"
        " WHERE list_read_at > :now OR audit_stepped_at > :now",
        {"now": now},
    )
    connection.execute("UPDATE sink SET next_attempt_at = 0 WHERE next_attempt_at > ?", (now + MAX_SINK_WAIT,))
