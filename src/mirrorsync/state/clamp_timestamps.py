"""A clock that was ahead and was set back: what was written down by it lies in the future."""

import sqlite3
from typing import Final

_LONGEST_WAIT: Final = 2 * 86_400.0
"""Seconds: nothing is put off for longer, at upstream's own wish for a day at most."""
LONGEST_SILENCE: Final = 3600.0
"""Seconds that whoever is told of changes is left alone for at most, at its own wish."""


def clamp_timestamps(connection: sqlite3.Connection, now: float) -> None:
    """Make due what waits for a time that no wait can lead to, and forget times that are not yet.

    Without such rows nothing is written, and nothing is scanned: the look-ups among projects stand on an index, and
    those who are told of changes are few.
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
    connection.execute("UPDATE sink SET next_attempt_at = 0 WHERE next_attempt_at > ?", (now + LONGEST_SILENCE,))
