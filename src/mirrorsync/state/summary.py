"""How the mirror stands, at a glance: a few rows, once a second."""

import sqlite3

import msgspec

from mirrorsync.model.identity import Serial
from mirrorsync.state.progress import synced_serial


class Summary(msgspec.Struct, frozen=True):
    """How the mirror stands."""

    synced_serial: Serial | None
    upstream_serial: Serial | None
    unmet: int
    """Projects that are not as upstream has them."""
    complete_at: float | None
    """Seconds since the epoch: when the mirror was last as upstream."""
    has_work: bool
    """Something is due now."""


def glance(connection: sqlite3.Connection, now: float) -> Summary:
    """Return how the mirror stands, whatever its size in the same time."""
    row = connection.execute("SELECT upstream_serial, unmet, complete_at FROM mirror").fetchone()
    due = connection.execute(
        "SELECT 1 FROM project WHERE (unmet_since IS NOT NULL OR recheck = 1) AND next_attempt_at <= ? LIMIT 1", (now,)
    ).fetchone()
    return Summary(
        synced_serial=synced_serial(connection),
        upstream_serial=row["upstream_serial"],
        unmet=row["unmet"],
        complete_at=row["complete_at"],
        has_work=due is not None,
    )
