"""Objects that no page names any more, until the sweep deletes them."""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from mirrorsync.state.progress import Weight

BEING_DELETED: Final = -1.0
"""`delete_after` of an object that a sweep is deleting. A page must not take it back meanwhile: its file would go."""


class Condemned(msgspec.Struct, frozen=True):
    """An object to delete: nothing names it and its grace is over."""

    place: bytes
    filename: str


def weigh_past_grace(connection: sqlite3.Connection, now: float) -> Weight:
    """Return how much a sweep would delete now."""
    files, size = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM condemned WHERE delete_after <= ?", (now,)
    ).fetchone()
    return Weight(projects=0, files=files, size=size)


def take_past_grace(connection: sqlite3.Connection, now: float, limit: int) -> list[Condemned]:
    """Return at most `limit` objects to delete now; no page can take them back until they are `swept`."""
    rows = connection.execute(
        "UPDATE condemned SET delete_after = :bar WHERE (place, filename) IN"
        " (SELECT place, filename FROM condemned WHERE delete_after BETWEEN 0 AND :now"
        "  ORDER BY delete_after LIMIT :limit) RETURNING place, filename",
        {"bar": BEING_DELETED, "now": now, "limit": limit},
    ).fetchall()
    return [Condemned(place=bytes(row["place"]), filename=row["filename"]) for row in rows]


def unbar(connection: sqlite3.Connection) -> None:
    """Release objects that an earlier process was deleting; call it at start, before any sweep."""
    connection.execute("UPDATE condemned SET delete_after = 0 WHERE delete_after = ?", (BEING_DELETED,))


def swept(connection: sqlite3.Connection, objects: Sequence[Condemned]) -> None:
    """Drop objects that are deleted."""
    connection.executemany(
        "DELETE FROM condemned WHERE place = ? AND filename = ?", [(row.place, row.filename) for row in objects]
    )
