"""Serials, project names and store paths. Each is constructed in one place only."""

import re
from typing import Final, NewType

from packaging.utils import canonicalize_name

from mirrorsync.errors import Malformed

Serial = NewType("Serial", int)
"""An id in upstream's journal: totally ordered, with gaps (a rolled-back transaction uses up its ids)."""

ProjectName = NewType("ProjectName", str)
"""A normalised project name (PEP 503): ASCII lower case, digits and single dashes."""

StorePath = NewType("StorePath", str)
"""A path relative to the served tree. No segment is `.`, `..`, empty, or longer than 255 bytes."""

_VALID_NAME: Final = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")
_NAME_MAX: Final = 255
"""Bytes in one path segment (Linux, NAME_MAX)."""
_FORBIDDEN: Final = re.compile(r"[\x00/\\]")


def project_name(text: str) -> ProjectName:
    """Return `text` normalised.

    Raises: Malformed, when it is not a project name (PEP 508: ASCII letters, digits, `.`, `-`, `_`), or has more than
    255 bytes. Source: PEP 503, PEP 508.
    """
    if not _VALID_NAME.fullmatch(text) or len(text) > _NAME_MAX:
        raise Malformed(f"{text[:80]!r} is not a project name")
    return ProjectName(canonicalize_name(text))


def is_segment(text: str) -> bool:
    """Return whether `text` is a valid segment of a store path."""
    if text in ("", ".", "..") or _FORBIDDEN.search(text):
        return False
    try:
        return len(text.encode()) <= _NAME_MAX
    except UnicodeEncodeError:  # a lone surrogate: JSON can contain one, a file name must not
        return False


def store_path(*segments: str) -> StorePath:
    r"""Join `segments` to a path that cannot leave the tree.

    Raises: Malformed, when a segment is empty, `.`, `..`, holds `/`, `\` or NUL, or has more than 255 bytes.
    """
    for segment in segments:
        if not is_segment(segment):
            raise Malformed(f"{segment[:80]!r} cannot be a file name")
    return StorePath("/".join(segments))
