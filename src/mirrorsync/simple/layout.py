"""Paths and links in the served tree. The paths of files are those of PyPI's file host.

Every path is built from a digest and a checked file name, never copied from upstream (invariant I8).
"""

import re
from typing import Final
from urllib.parse import quote

import msgspec

from mirrorsync.errors import Malformed
from mirrorsync.model.identity import ProjectName, StorePath, is_segment, store_path
from mirrorsync.model.page import DistFile

SIDECAR_SUFFIX: Final = ".metadata"
"""The suffix of a metadata sidecar. Source: PEP 658."""
PLACE_BYTES: Final = 32

_INDEX: Final = "simple"
_FILES: Final = "packages"
_LITERAL: Final = "~!$&'()*+,;=:@/"
"""Characters that stay unquoted besides letters, digits, `-`, `.` and `_` (RFC 3986, pchar and `/`)."""
_NEEDS_NO_QUOTING: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*").fullmatch
_FILE_PATH: Final = re.compile(r"packages/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})/([^/]+)").fullmatch


class PagePaths(msgspec.Struct, frozen=True):
    """The paths of the three forms of a page, with the names that the web server recipes expect."""

    json: StorePath
    html: StorePath
    index_html: StorePath
    """The same bytes as `html`."""


def project_directory(name: ProjectName) -> StorePath:
    """Return the directory of `name`'s page."""
    return store_path(_INDEX, name)


def page_paths(name: ProjectName) -> PagePaths:
    """Return the paths of `name`'s page."""
    return _page_paths(_INDEX, name)


def root_paths() -> PagePaths:
    """Return the paths of the root index."""
    return _page_paths(_INDEX)


def file_path(place: bytes, filename: str) -> StorePath:
    """Return the path of the file that has the 32-byte `place`.

    Raises: Malformed, when `filename` cannot be a file name or `place` is not 32 bytes.
    """
    if len(place) != PLACE_BYTES:
        raise Malformed(f"{filename[:80]!r} has a place of {len(place)} bytes", why=f"a place has {PLACE_BYTES}")
    digits = place.hex()
    return StorePath(f"{_FILES}/{digits[:2]}/{digits[2:4]}/{digits[4:]}/{store_path(filename)}")


def sidecar_path(place: bytes, filename: str) -> StorePath:
    """Return the path of the file's metadata sidecar.

    Raises: Malformed, as `file_path`, and when the name is too long for a sidecar. Source: PEP 658.
    """
    return file_path(place, filename + SIDECAR_SUFFIX)


def has_storable_sidecar(filename: str) -> bool:
    """Return whether the sidecar's name fits into one path segment (255 bytes); PyPI has files whose does not."""
    return is_segment(filename + SIDECAR_SUFFIX)


def parse_file_path(path: str) -> tuple[bytes, str]:
    """Return the place and the file name in `path`; for a sidecar, the sidecar's name.

    Raises: Malformed, when `file_path` cannot return `path`.
    """
    match = _FILE_PATH(path)
    if match is None or not is_segment(match[4]):
        raise Malformed(f"{path[:200]!r} is not the path of a file", why="packages/aa/bb/<60 hex>/<name> is")
    return bytes.fromhex(match[1] + match[2] + match[3]), match[4]


def quote_segment(filename: str) -> str:
    """Return `filename` as PyPI quotes it in URLs: UTF-8, percent-encoded, with `+ ! ( ) ' & , ; = : @ ~ $ *` literal.

    Source: PyPI's URL generation, RFC 3986 section 3.3.
    """
    return filename if _NEEDS_NO_QUOTING(filename) else quote(filename, safe=_LITERAL)


def relative_link(file: DistFile) -> str:
    """Return the file's URL relative to its project's page, quoted and not yet escaped for HTML."""
    return f"../../{_quoted_path(file)}"


def absolute_link(root_url: str, file: DistFile) -> str:
    """Return the file's URL below `root_url`, which may end in `/` or not; not yet escaped for HTML."""
    return f"{root_url.rstrip('/')}/{_quoted_path(file)}"


def _page_paths(*directory: str) -> PagePaths:
    return PagePaths(
        json=store_path(*directory, "index.v1_json"),
        html=store_path(*directory, "index.v1_html"),
        index_html=store_path(*directory, "index.html"),
    )


def _quoted_path(file: DistFile) -> str:
    digits = file.place.hex()
    return f"{_FILES}/{digits[:2]}/{digits[2:4]}/{digits[4:]}/{quote_segment(file.filename)}"


def legacy_path(name: ProjectName) -> StorePath:
    """Return the path of a project's legacy JSON document: `pypi/<name>/json`."""
    return store_path("pypi", name, "json")
