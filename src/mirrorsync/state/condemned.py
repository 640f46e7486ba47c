"""Objects that no page names any more: how much they are, and their way out of the store."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from mirrorsync.state.progress import Weight

BEING_DELETED: Final = -1.0
"""In `delete_after`: a sweep is at it. Deleting and coming back at once would leave a page without its file."""


class Condemned(msgspec.Struct, frozen=True):
    """An object that nothing names any more and whose grace is over."""

    place: bytes
    filename: str


def weigh_past_grace(connection: sqlite3.Connection, now: float) -> Weight:
    """Return what a sweep would delete now."""
    files, size = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM condemned WHERE delete_after <= ?", (now,)
    ).fetchone()
    return Weight(projects=0, files=files, size=size)


def take_past_grace(connection: sqlite3.Connection, now: float, limit: int) -> list[Condemned]:
    """Return at most `limit` objects to delete now, and bar them from coming back until they are `swept`."""
    rows = connection.execute(
        "UPDATE condemned SET delete_after = :bar WHERE (place, filename) IN"
        " (SELECT place, filename FROM condemned WHERE delete_after BETWEEN 0 AND :now"
        "  ORDER BY delete_after LIMIT :limit) RETURNING place, filename",
        {"bar": BEING_DELETED, "now": now, "limit": limit},
    ).fetchall()
    return [Condemned(place=bytes(row["place"]), filename=row["filename"]) for row in rows]


def unbar(connection: sqlite3.Connection) -> None:
    """At start, when nobody deletes: what a dead run was deleting is ordinarily condemned again."""
    connection.execute("UPDATE condemned SET delete_after = 0 WHERE delete_after = ?", (BEING_DELETED,))


def swept(connection: sqlite3.Connection, objects: Sequence[Condemned]) -> None:
    """Forget condemned objects that are deleted."""
    connection.executemany(
        "DELETE FROM condemned WHERE place = ? AND filename = ?", [(row.place, row.filename) for row in objects]
    )
