"""The rolling audit: every project is asked for once a period, because serials do not tell everything.

Archiving writes no journal row, sidecars are back-filled, events get lost. The asking is conditional: nearly all
answers are a 304.
"""

import sqlite3
from typing import Final

import msgspec

_STEP_LIMIT: Final = 500
"""Projects made due by one step: after days of downtime the audit catches up politely, not at once."""
_WALK: Final = 10 * _STEP_LIMIT
"""Names that one step passes at most: early in a first sync nearly none of them has a page to ask for."""


class AuditReport(msgspec.Struct, frozen=True):
    """How far the audit is."""

    began_at: float | None
    """Seconds since the epoch: when this round began."""
    done: int
    """Projects of this round that were asked for."""
    audited_at: float | None
    """When the last whole round ended."""
    list_read_at: float | None
    """When the root list was last held against the ledger."""
    list_refused: str | None = None
    """Why it was not believed in what it leaves out; None: it was."""


def step(connection: sqlite3.Connection, now: float, period: float) -> int:
    """Make due as many projects as the time since the last step is worth, in the order of their names."""
    row = connection.execute("SELECT projects, audit_position, audit_stepped_at FROM mirror").fetchone()
    if row["audit_stepped_at"] is None:
        connection.execute("UPDATE mirror SET audit_stepped_at = ?, audit_began_at = ?", (now, now))
        return 0
    share = min(int(row["projects"] * max(0.0, now - row["audit_stepped_at"]) / period), _STEP_LIMIT)
    if share == 0:
        return 0
    passed, names = row["audit_position"], []
    walk = connection.execute("SELECT name, present FROM project WHERE name > ? ORDER BY name LIMIT ?", (passed, _WALK))
    steps = 0
    for found in walk:
        passed, steps = found["name"], steps + 1
        if found["present"]:
            names.append(passed)
        if len(names) == share:
            break
    connection.executemany("UPDATE project SET recheck = 1 WHERE name = ?", [(name,) for name in names])
    if len(names) < share and steps < _WALK:
        connection.execute(
            "UPDATE mirror SET audit_position = '', audit_stepped_at = :now, audit_began_at = :now, audited_at = :now,"
            " audit_done = 0",
            {"now": now},
        )
    else:
        connection.execute(
            "UPDATE mirror SET audit_position = ?, audit_stepped_at = ?, audit_done = audit_done + ?",
            (passed, now, len(names)),
        )
    return len(names)


def audit_report(connection: sqlite3.Connection) -> AuditReport:
    """Return how far the audit is."""
    row = connection.execute("SELECT * FROM mirror").fetchone()
    return AuditReport(
        began_at=row["audit_began_at"],
        done=row["audit_done"],
        audited_at=row["audited_at"],
        list_read_at=row["list_read_at"],
        list_refused=row["list_refused"],
    )
