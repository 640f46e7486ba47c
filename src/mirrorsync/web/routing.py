"""The meaning of a request's path. Pure: nothing here looks at the disk."""

from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from mirrorsync.errors import Malformed
from mirrorsync.model.identity import ProjectName, StorePath, is_segment, project_name, store_path
from mirrorsync.web.negotiation import Representation

_PACKAGE_DEPTH: Final = 5
"""Segments of `packages/aa/bb/<60 hex>/<filename>`."""

_PAGE_FILES: Final = frozenset(representation.filename for representation in Representation)


class Redirect(msgspec.Struct, frozen=True):
    """Redirect to the canonical address, an absolute path on this host."""

    location: str


class Page(msgspec.Struct, frozen=True):
    """A page of the simple index; the request's Accept chooses the representation."""

    directory: StorePath


class File(msgspec.Struct, frozen=True):
    """One object of the tree."""

    path: StorePath


class Root(msgspec.Struct, frozen=True):
    """The address `/`."""


class NotFound(msgspec.Struct, frozen=True):
    """A path that no object of the tree can have."""


Route = Redirect | Page | File | Root | NotFound


def route(raw_path: bytes) -> Route:
    r"""Return what `raw_path`, the path as the client sent it, without its query, refers to.

    Percent-escapes are decoded once, segment by segment, so that `%2F` is never a separator. A segment that is
    empty, `.`, `..`, not UTF-8, or contains `/`, `\` or NUL leads to NotFound.
    Source: PEP 503 (names are normalised, addresses end in a slash).
    """
    if raw_path == b"/":
        return Root()
    if not raw_path.startswith(b"/"):
        return NotFound()
    is_directory = raw_path.endswith(b"/")
    try:
        segments = tuple(unquote_to_bytes(part).decode() for part in raw_path.strip(b"/").split(b"/"))
    except UnicodeDecodeError:
        return NotFound()
    if raw_path.startswith(b"//") or raw_path.endswith(b"//") or not all(map(is_segment, segments)):
        return NotFound()
    return _directory(segments) if is_directory else _object(segments)


def _directory(segments: tuple[str, ...]) -> Route:
    match segments:
        case ("simple",):
            return Page(store_path("simple"))
        case ("simple", text):
            name = _normalised(text)
            if not name:
                return NotFound()
            return Page(store_path("simple", name)) if name == text else Redirect(f"/simple/{name}/")
        case ("mirrorsync",):
            return File(store_path("mirrorsync", "index.html"))
    return NotFound()


def _object(segments: tuple[str, ...]) -> Route:
    match segments:
        case ("simple",) | ("mirrorsync",):
            return Redirect(f"/{segments[0]}/")
        case ("simple", text) if text not in _PAGE_FILES:
            name = _normalised(text)
            return Redirect(f"/simple/{name}/") if name else NotFound()
        case ("pypi", text, "json"):
            name = _normalised(text)
            if name and name != text:
                return Redirect(f"/pypi/{name}/json")
        case ("packages", *_) if len(segments) != _PACKAGE_DEPTH:
            return NotFound()
    return File(store_path(*segments))


def _normalised(text: str) -> ProjectName | str:
    """Return the normalised name; empty if `text` is not a project name."""
    try:
        return project_name(text)
    except Malformed:
        return ""
