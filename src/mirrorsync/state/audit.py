"""The rolling audit: check every project once a period, because serials do not show every change.

Archiving writes no journal row, sidecars are back-filled, events get lost. The requests are conditional: nearly all
responses are 304.
"""

import sqlite3
from typing import Final

import msgspec

_STEP_LIMIT: Final = 500
"""Projects made due by one step, at most: after days of downtime the audit catches up gradually."""
_SCAN_LIMIT: Final = 10 * _STEP_LIMIT
"""Names that one step looks at, at most: early in a first sync hardly any of them has a page."""


class AuditReport(msgspec.Struct, frozen=True):
    """Progress of the audit and of the root list."""

    began_at: float | None
    """Seconds since the epoch: the start of this round."""
    done: int
    """Projects checked in this round."""
    audited_at: float | None
    """The end of the last complete round."""
    list_read_at: float | None
    """When the root list was last compared with the database."""
    list_refused: str | None = None
    """Why the removals that it implies were refused; None: they were not."""


def step(connection: sqlite3.Connection, now: float, period: float) -> int:
    """Make due, by name, the share of projects that corresponds to the time since the last step; return how many."""
    row = connection.execute("SELECT projects, audit_position, audit_stepped_at FROM mirror").fetchone()
    if row["audit_stepped_at"] is None:
        connection.execute("UPDATE mirror SET audit_stepped_at = ?, audit_began_at = ?", (now, now))
        return 0
    share = min(int(row["projects"] * max(0.0, now - row["audit_stepped_at"]) / period), _STEP_LIMIT)
    if share == 0:
        return 0
    position, names = row["audit_position"], []
    rows = connection.execute(
        "SELECT name, present FROM project WHERE name > ? ORDER BY name LIMIT ?", (position, _SCAN_LIMIT)
    )
    scanned = 0
    for found in rows:
        position, scanned = found["name"], scanned + 1
        if found["present"]:
            names.append(position)
        if len(names) == share:
            break
    connection.executemany("UPDATE project SET recheck = 1 WHERE name = ?", [(name,) for name in names])
    if len(names) < share and scanned < _SCAN_LIMIT:
        connection.execute(
            "UPDATE mirror SET audit_position = '', audit_stepped_at = :now, audit_began_at = :now, audited_at = :now,"
            " audit_done = 0",
            {"now": now},
        )
    else:
        connection.execute(
            "UPDATE mirror SET audit_position = ?, audit_stepped_at = ?, audit_done = audit_done + ?",
            (position, now, len(names)),
        )
    return len(names)
