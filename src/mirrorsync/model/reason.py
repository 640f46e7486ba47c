"""Why a project is unmet, or a request is repeated: one word, usable as a metric label."""

from collections.abc import Mapping
from typing import Final, Literal, get_args

from mirrorsync.errors import (
    LowSpace,
    Malformed,
    MirrorsyncError,
    Missing,
    ProjectGone,
    Refused,
    StalePage,
    StoreError,
    Throttled,
    TooManyDeletions,
    Truncated,
    Unreachable,
    WrongDigest,
    WrongSize,
)

Reason = Literal[
    "stale",
    "gone",
    "unreachable",
    "throttled",
    "malformed",
    "truncated",
    "missing",
    "wrong_size",
    "wrong_digest",
    "refused",
    "low_space",
    "held",
    "storage",
    "other",
]
"""`held`: a removal exceeds the limits; `missing`: the file host lacks a file; `gone`: the page is a 404; `stale`: a
cache serves an old page."""
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)

_BY_ERROR: Final[Mapping[type[MirrorsyncError], Reason]] = {
    StalePage: "stale",
    ProjectGone: "gone",
    Unreachable: "unreachable",
    Throttled: "throttled",
    Malformed: "malformed",
    Truncated: "truncated",
    Missing: "missing",
    WrongSize: "wrong_size",
    WrongDigest: "wrong_digest",
    Refused: "refused",
    LowSpace: "low_space",
    TooManyDeletions: "held",
    StoreError: "storage",
}


def reason_of(error: MirrorsyncError) -> Reason:
    """Return the reason of the nearest class of `error` that has one."""
    return next((_BY_ERROR[kind] for kind in type(error).__mro__ if kind in _BY_ERROR), "other")
