"""The history of runs, summed up in stretches of time."""

import sqlite3
from typing import Final

import msgspec

_SUMMED: Final = (
    "SELECT CAST(ended_at / :span AS INTEGER) AS stretch, min(started_at), sum(files), sum(bytes),"
    " sum(errors) FROM (SELECT started_at, ended_at, files, bytes, errors FROM run ORDER BY id DESC LIMIT"
    " :rows) WHERE ended_at >= :since GROUP BY stretch"
)
_ROWS: Final = 10_000
"""All that the history keeps."""


class Stretch(msgspec.Struct, frozen=True):
    """What the runs did that ended in one stretch of time."""

    number: int
    """Whole stretches since the epoch."""
    first_started_at: float
    files: int
    bytes: int
    errors: int


def stretches(connection: sqlite3.Connection, *, span: float, since: float) -> tuple[Stretch, ...]:
    """Return what was done in each stretch of `span` seconds since `since` in which a run ended, in order."""
    rows = connection.execute(_SUMMED, {"span": span, "since": since, "rows": _ROWS})
    return tuple(Stretch(*row) for row in rows)
