"""Serials, project names and store paths: the three identities, each made in one place only."""

import re
from typing import Final, NewType

from packaging.utils import canonicalize_name

from mirrorsync.errors import Malformed

Serial = NewType("Serial", int)
"""An upstream's journal id: totally ordered, with gaps (rolled-back transactions consume ids)."""

ProjectName = NewType("ProjectName", str)
"""A normalised project name (PEP 503): ASCII lower case, digits and single dashes."""

StorePath = NewType("StorePath", str)
"""A relative path below the served tree, `/` between segments, none of them `.`, `..`, empty or too long."""

_VALID_NAME: Final = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")
_NAME_MAX: Final = 255
"""Bytes in one path segment (Linux, NAME_MAX)."""
_UNFIT: Final = re.compile(r"[\x00/\\]")


def project_name(text: str) -> ProjectName:
    """Return `text` normalised.

    Raises: Malformed, when it is not a project name (PEP 508: ASCII letters, digits, `.`, `-`, `_`) or longer
    than a path segment may be. Source: PEP 503, PEP 508.
    """
    if not _VALID_NAME.fullmatch(text) or len(text) > _NAME_MAX:
        raise Malformed(f"{text[:80]!r} is not a project name")
    return ProjectName(canonicalize_name(text))


def is_segment(text: str) -> bool:
    """Tell whether `text` may be one segment of a store path as it stands."""
    if text in ("", ".", "..") or _UNFIT.search(text):
        return False
    try:
        return len(text.encode()) <= _NAME_MAX
    except UnicodeEncodeError:  # a lone surrogate, which JSON can carry and no file system should
        return False


def store_path(*segments: str) -> StorePath:
    r"""Join `segments` to a path that cannot leave the tree.

    Raises: Malformed, when a segment is empty, `.`, `..`, holds `/`, `\` or NUL, or has more than 255 bytes.
    """
    for segment in segments:
        if not is_segment(segment):
            raise Malformed(f"{segment[:80]!r} cannot be a file name")
    return StorePath("/".join(segments))
