"""Recording how syncing projects ended: always the last step, after everything that an outcome claims is durable."""

import random
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from mirrorsync.model.outcome import Confirmed, Failed, Mirrored, Outcome, Removed
from mirrorsync.state import inventory
from mirrorsync.state.connection import rows
from mirrorsync.state.inventory import Deletion
from mirrorsync.state.mirror_row import note_complete

_BACK_OFF: Final = (60.0, 300.0, 900.0, 3600.0)
"""Seconds between attempts at a project that fails; the last one repeats."""

_WELL: Final = """
    recheck = 0, attempts = 0, failing_since = NULL, stale_since = NULL, gone_at = NULL,
    regressed_to = NULL, attempted_serial = NULL, unlisted = 0, last_error = NULL, last_hint = NULL,
    last_reason = NULL, waits_for = NULL
"""
_MET: Final = f"next_attempt_at = 0, {_WELL}"

_MIRRORED: Final = f"""
UPDATE project SET
    mirrored_serial = coalesce(:serial, mirrored_serial, 0), page_serial = :page_serial, page_digest = :page_digest,
    etag = :etag, status = :status, present = 1, said_removed = 0,
    -- A journal row that arrived meanwhile requires more than this page carries; up to its serial all is served.
    unmet_since = CASE
        WHEN :settles OR :serial IS NULL OR :serial >= wanted_serial OR :serial >= content_serial THEN NULL
        ELSE max(unmet_since, :serial + 1) END,
    -- Upstream has nothing newer, so another attempt would fail too. Keep the wanted serial unless upstream went back:
    -- the next root list repeats it, and it would count as new.
    wanted_serial = CASE WHEN :settles AND regressed_to IS NOT NULL THEN coalesce(:serial, wanted_serial)
        ELSE wanted_serial END,
    content_serial = CASE WHEN :settles THEN coalesce(:serial, content_serial) ELSE content_serial END,
    {_MET}
WHERE id = :id
"""

# A journal row that arrived during a request answered 304 or 404 makes the project due again at once.
_CONFIRMED: Final = f"""
UPDATE project SET
    unmet_since = CASE WHEN content_serial > :content THEN max(coalesce(unmet_since, 0), :content + 1) END, {_MET}
WHERE name = :name
"""

_REMOVED: Final = f"""
UPDATE project SET
    mirrored_serial = max(coalesce(:wanted, wanted_serial), coalesce(mirrored_serial, 0)), page_serial = NULL,
    page_digest = NULL, etag = NULL, status = NULL, present = 0,
    unmet_since = CASE WHEN wanted_serial > :wanted THEN max(coalesce(unmet_since, 0), :wanted + 1) END,
    next_attempt_at = CASE WHEN wanted_serial > :wanted THEN 0 ELSE :again END, {_WELL}
WHERE id = :id
"""
_LISTS_LAST: Final = 3600.0
"""Seconds until caches hold no root list from before a removal: PyPI's live for half an hour."""


def record(connection: sqlite3.Connection, outcomes: Iterable[Outcome], now: float, grace: float) -> None:
    """Record the outcomes; objects that a page no longer names are condemned, and deleted `grace` seconds from now."""
    mirrored: list[Mirrored] = []
    for outcome in outcomes:
        match outcome:
            case Mirrored():
                mirrored.append(outcome)
            case Confirmed():
                connection.execute(_CONFIRMED, {"name": outcome.name, "content": outcome.content_serial})
            case Removed():
                _record_removed(connection, outcome, now, grace)
            case Failed():
                _record_failed(connection, outcome, now)
            case _:
                assert_never(outcome)
    if mirrored:
        _record_mirrored(connection, mirrored, now, grace)
    note_complete(connection)


def _record_mirrored(connection: sqlite3.Connection, outcomes: Sequence[Mirrored], now: float, grace: float) -> None:
    deletion = Deletion(now + grace, "no longer named by its page")
    updates: list[dict[str, object]] = []
    files = size = root_changes = 0
    for outcome in outcomes:
        number, *before = rows(
            connection, "SELECT id, present, page_serial, status FROM project WHERE name = ?", outcome.name
        ).fetchone()
        if outcome.stored:
            more, bytes_more = inventory.stored(connection, number, outcome.stored, now, deletion)
            files, size = files + more, size + bytes_more
        inventory.condemn(connection, number, outcome.vanished, deletion)
        root_changes += before != [1, outcome.page_serial, outcome.status]
        updates.append(
            {
                "id": number,
                "serial": outcome.serial,
                "page_serial": outcome.page_serial,
                "page_digest": outcome.page_digest,
                "etag": outcome.etag,
                "status": outcome.status,
                "settles": outcome.settles,
            }
        )
    connection.executemany(_MIRRORED, updates)
    if files or size or root_changes:
        connection.execute(
            "UPDATE mirror SET files = files + ?, bytes = bytes + ?, root_version = root_version + ?",
            (files, size, root_changes),
        )


def _record_removed(connection: sqlite3.Connection, outcome: Removed, now: float, grace: float) -> None:
    (number,) = rows(connection, "SELECT id FROM project WHERE name = ?", outcome.name).fetchone()
    inventory.condemn_all(connection, number, Deletion(now + grace, outcome.reason))
    connection.execute(_REMOVED, {"id": number, "wanted": outcome.wanted_serial, "again": now + _LISTS_LAST})
    connection.execute("UPDATE mirror SET root_version = root_version + 1")


def _record_failed(connection: sqlite3.Connection, outcome: Failed, now: float) -> None:
    (attempts,) = connection.execute("SELECT attempts FROM project WHERE name = ?", (outcome.name,)).fetchone()
    delay = outcome.delay
    if delay is None:
        # Spread the retries, so that a thousand projects that fail together are not all due in one second.
        delay = _BACK_OFF[min(attempts, len(_BACK_OFF) - 1)] * random.uniform(0.8, 1.2)  # noqa: S311 -- no secret
    connection.execute(
        "UPDATE project SET attempts = attempts + 1, next_attempt_at = :next, last_error = :error, last_hint = :hint,"
        " failing_since = coalesce(failing_since, :now),"
        " gone_at = CASE WHEN :reason = 'gone' THEN coalesce(gone_at, :now) END,"
        " stale_since = CASE WHEN :reason = 'stale' THEN coalesce(stale_since, :now) ELSE stale_since END,"
        " last_reason = :reason, waits_for = :waits_for"
        " WHERE name = :name",
        {
            "next": now + delay,
            "error": outcome.error,
            "hint": outcome.hint,
            "now": now,
            "reason": outcome.reason,
            "waits_for": outcome.waits_for,
            "name": outcome.name,
        },
    )
