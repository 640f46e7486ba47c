"""One file of a page, taken with distrust (invariant I8).

A page may have 10,000 of them, so one pattern tells PyPI's usual URL with a harmless name at its end; whatever
does not match it is looked at piece by piece.
"""

import re
from typing import Final
from urllib.parse import unquote, urljoin

from msgspec import UNSET

from mirrorsync.model.identity import is_segment
from mirrorsync.model.page import DistFile, Hashes
from mirrorsync.simple.layout import PLACE_BYTES, SIDECAR_SUFFIX
from mirrorsync.simple.wire import NAME_SHOWN, Entry, Unfit, WireDigest, WireFile

_DIGITS: Final = 64
_PLACE: Final = r"packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60})/"
_HOST: Final = r"https?://[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?/"
_USUAL_URL: Final = re.compile(rf"{_HOST}{_PLACE}([A-Za-z0-9][A-Za-z0-9._+!-]{{0,199}})").fullmatch
_PLACED_DIRECTORY: Final = re.compile(rf"https?://[^/]+/(?:.*/)?{_PLACE}").fullmatch
_ABSOLUTE: Final = re.compile(rf"{_HOST}|https?://\[[0-9A-Fa-f:.]{{2,45}}\](?::[0-9]{{1,5}})?/").match
"""Without user and password: a page that links to upstream would publish them."""
_URL_MAX: Final = 8192
"""Characters: what web servers take in a request line."""
_REWRITTEN_BY_HTML: Final = re.compile(r"[\t-\r]").search
r"""\t \n \v \f \r: a name with one of them is another name once a browser has read the page."""


def decode_file(entry: Entry, page_url: str) -> DistFile:
    """Return one file of the page that was fetched from `page_url`.

    Raises: Unfit, naming the file. Source: PEP 503, 592, 658, 691, 700, 714, 740.
    """
    wire = entry.file
    provenance = wire.provenance
    try:
        sha256 = _verifiable(wire.hashes.sha256)
        url, place = _locate(wire.filename, wire.url, page_url)
    except Unfit as fault:
        raise Unfit(f"file {wire.filename[:NAME_SHOWN]!r}: {fault}") from None
    return DistFile(
        wire.filename,
        place or sha256,
        url,
        wire.size,
        Hashes(sha256, entry.other_hashes),
        wire.requires_python,
        _core_metadata(wire),
        wire.yanked or False,  # an empty reason is none: in PEP 691 only a truthy value means yanked
        wire.upload_time,
        provenance if provenance is not None and _is_absolute(provenance) else None,
        entry.extra or {},
    )


def leaves_sidecar_untold(wire: WireFile) -> bool:
    """Tell whether a wheel's entry does not even say that it has no metadata sidecar."""
    return (
        wire.core_metadata is UNSET
        and wire.data_dist_info_metadata is UNSET
        and wire.dist_info_metadata is UNSET
        and wire.filename.endswith(".whl")
    )


def _verifiable(digits: str | None) -> bytes:
    digest = _digest(digits)
    if digest is None:
        raise Unfit("it has no sha256 of 64 hex digits, so mirrorsync cannot verify the file")
    return digest


def _digest(digits: str | None) -> bytes | None:
    if digits is None or len(digits) != _DIGITS:
        return None
    try:
        digest = bytes.fromhex(digits)
    except ValueError:
        return None
    return digest if len(digest) == PLACE_BYTES else None  # fromhex skips blanks


def _core_metadata(wire: WireFile) -> bytes | None:
    """Return the sidecar's sha256 by the first key that says anything. Source: PEP 714."""
    told = wire.core_metadata
    if told is UNSET or told is None:
        told = wire.data_dist_info_metadata
    if told is UNSET or told is None:
        told = wire.dist_info_metadata
    return _digest(told.sha256) if isinstance(told, WireDigest) else None


def _is_absolute(url: str) -> bool:
    return len(url) <= _URL_MAX and url.isprintable() and "\\" not in url and _ABSOLUTE(url) is not None


def _locate(filename: str, url: str, page_url: str) -> tuple[str, bytes | None]:
    """Return the absolute URL, and the place that its path names if it is one of PyPI's.

    Raises: Unfit, when it is no URL, or its last segment is not the file's name, or that is no fit name.
    """
    if filename[-len(SIDECAR_SUFFIX) :].lower() == SIDECAR_SUFFIX:
        raise Unfit("the name is that of another file's metadata sidecar")
    usual = _USUAL_URL(url)
    if usual is not None and usual[2] == filename:
        return url, bytes.fromhex(usual[1].replace("/", ""))
    _refuse_unfit_name(filename)
    if "#" in url or "?" in url or not _is_absolute(url):
        url = _resolve(url, page_url)
    directory, slash, segment = url.rpartition("/")
    if _unquote(segment) != filename:
        raise Unfit(f"its URL names another file, {segment[:120]!r}")
    placed = _PLACED_DIRECTORY(directory + slash)
    return url, bytes.fromhex(placed[1].replace("/", "")) if placed else None


def _refuse_unfit_name(filename: str) -> None:
    if not is_segment(filename):
        raise Unfit("the name is empty, too long (over 255 bytes), or holds a character that no file name may")
    if _REWRITTEN_BY_HTML(filename):
        raise Unfit("a tab or line break in the name does not survive in an HTML page")


def _resolve(url: str, page_url: str) -> str:
    """Return the URL without query and fragment, against the page's where it is relative. Source: RFC 3986."""
    try:
        bare = url.partition("#")[0].partition("?")[0]
        resolved = urljoin(page_url, bare)
    except ValueError as fault:
        raise Unfit(f"{url[:200]!r} is not a URL ({fault})") from None
    if bare.endswith(";") and not resolved.endswith(";"):
        resolved += ";"  # which urljoin takes for empty parameters (RFC 1808), and a file name may end with
    if not _is_absolute(resolved):
        raise Unfit(f"{url[:200]!r} is not an http or https URL")
    return resolved


def _unquote(segment: str) -> str | None:
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return None
