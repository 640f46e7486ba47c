"""One file of a page. Nothing that upstream writes is trusted (invariant I8).

A page can have 10,000 files, so one pattern recognises PyPI's own form of URL with a harmless name at its end. Every
other URL is examined piece by piece.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urljoin

from msgspec import UNSET

from mirrorsync.model.identity import is_segment
from mirrorsync.model.page import NO_KEYS, DistFile, Hashes
from mirrorsync.simple.layout import PLACE_BYTES, SIDECAR_SUFFIX
from mirrorsync.simple.wire import OtherHashes, Unfit, WireFile, WireMetadata, is_deep, refuse_deep, shown

_DIGITS: Final = 64
_PLACE: Final = r"packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60})/"
_HOST: Final = r"https?://[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?/"
_USUAL_URL: Final = re.compile(
    rf"{_HOST}{_PLACE}([A-Za-z0-9][A-Za-z0-9._+!-]{{0,199}}(?<!(?i:{re.escape(SIDECAR_SUFFIX)})))"
).fullmatch
_PLACED_DIRECTORY: Final = re.compile(rf"https?://[^/]+/(?:.*/)?{_PLACE}").fullmatch
_ABSOLUTE: Final = re.compile(rf"{_HOST}|https?://\[[0-9A-Fa-f:.]{{2,45}}\](?::[0-9]{{1,5}})?/").match
"""Without user and password: a page that links to upstream would publish them."""
_URL_MAX: Final = 8192
"""Characters; web servers accept no longer request lines."""
_REWRITTEN_BY_HTML: Final = re.compile(r"[\t-\r]").search
r"""\t \n \v \f \r: an HTML parser changes a name that contains one of them."""


def decode_file(
    wire: WireFile, page_url: str, other_hashes: OtherHashes = (), extra: Mapping[str, Any] = NO_KEYS
) -> DistFile:
    """Return one file of the page that was fetched from `page_url`.

    Raises: Unfit, naming the file. Source: PEP 503, 592, 658, 691, 700, 714, 740.
    """
    sha256 = _digest(wire.hashes.sha256)
    usual = _USUAL_URL(wire.url)
    if sha256 is not None and usual is not None and usual[2] == wire.filename and not (extra and is_deep(extra)):
        url, place = wire.url, bytes.fromhex(usual[1].replace("/", ""))
    else:
        try:
            sha256, url, place = _examine(wire, page_url, extra)
        except Unfit as fault:
            raise Unfit(f"file {shown(wire.filename)}: {fault}") from None
    metadata, provenance = wire.core_metadata, wire.provenance
    return DistFile(
        wire.filename,
        place,
        url,
        wire.size,
        Hashes(sha256, other_hashes),
        wire.requires_python,
        None if metadata is False else _core_metadata(wire),
        wire.yanked or False,  # an empty reason is none: in PEP 691 only a truthy value means yanked
        wire.upload_time,
        None if provenance is None or not _is_absolute(provenance) else provenance,
        extra,
    )


def has_unknown_sidecar(wire: WireFile) -> bool:
    """Return whether a wheel's entry does not say if the wheel has a metadata sidecar."""
    return (
        wire.core_metadata is UNSET
        and wire.data_dist_info_metadata is UNSET
        and wire.dist_info_metadata is UNSET
        and wire.filename.endswith(".whl")
    )


def _examine(wire: WireFile, page_url: str, extra: Mapping[str, Any]) -> tuple[bytes, str, bytes]:
    """Return the file's sha256, absolute URL and place: the one in the URL's path, else the sha256.

    Raises: Unfit.
    """
    refuse_deep(extra)
    sha256 = _digest(wire.hashes.sha256)
    if sha256 is None:
        raise Unfit("it has no sha256 of 64 hex digits, so mirrorsync cannot verify the file")
    url, place = _locate(wire.filename, wire.url, page_url)
    return sha256, url, place or sha256


def _digest(digits: str | None) -> bytes | None:
    if digits is None or len(digits) != _DIGITS:
        return None
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        return None
    return digest if len(digest) == PLACE_BYTES else None  # fromhex skips blanks


def _core_metadata(wire: WireFile) -> bytes | None:
    """Return the sidecar's sha256 from the first key that has a value. Source: PEP 714."""
    value = wire.core_metadata
    if value is UNSET or value is None:
        value = wire.data_dist_info_metadata
    if value is UNSET or value is None:
        value = wire.dist_info_metadata
    return _digest(value.sha256) if isinstance(value, WireMetadata) else None


def _is_absolute(url: str) -> bool:
    return len(url) <= _URL_MAX and url.isprintable() and "\\" not in url and _ABSOLUTE(url) is not None


def _locate(filename: str, url: str, page_url: str) -> tuple[str, bytes | None]:
    """Return the absolute URL, and the place in its path where that has PyPI's form.

    Raises: Unfit, when it is not a URL, its last segment is not `filename`, or that is not a valid name.
    """
    _refuse_name(filename)
    if "#" in url or "?" in url or not _is_absolute(url):
        url = _resolve(url, page_url)
    directory, slash, segment = url.rpartition("/")
    if _unquote(segment) != filename:
        raise Unfit(f"its URL names another file, {segment[:120]!r}")
    placed = _PLACED_DIRECTORY(directory + slash)
    return url, bytes.fromhex(placed[1].replace("/", "")) if placed else None


def _refuse_name(filename: str) -> None:
    if filename[-len(SIDECAR_SUFFIX) :].lower() == SIDECAR_SUFFIX:
        raise Unfit("the name is that of another file's metadata sidecar")
    if not is_segment(filename):
        raise Unfit("the name is empty, too long (over 255 bytes), or has a character that no file name may have")
    if _REWRITTEN_BY_HTML(filename):
        raise Unfit("a tab or line break in the name does not survive in an HTML page")


def _resolve(url: str, page_url: str) -> str:
    """Return the URL without query and fragment; a relative one is resolved against the page's. Source: RFC 3986."""
    try:
        bare = url.partition("#")[0].partition("?")[0]
        resolved = urljoin(page_url, bare)
    except ValueError as fault:
        raise Unfit(f"{url[:200]!r} is not a URL ({fault})") from None
    if bare.endswith(";") and not resolved.endswith(";"):
        resolved += ";"  # urljoin drops it as empty parameters (RFC 1808), but a file name may end with it
    if not _is_absolute(resolved):
        raise Unfit(f"{url[:200]!r} is not an http or https URL")
    return resolved


def _unquote(segment: str) -> str | None:
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return None
