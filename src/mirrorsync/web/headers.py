"""Response headers of the tree's objects, and the request headers that count. Pure."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

import msgspec

from mirrorsync.model.identity import StorePath
from mirrorsync.web.negotiation import Representation

HeaderLines = Iterable[tuple[bytes, bytes]]

OCTETS: Final = "application/octet-stream"
PAGE_CACHE: Final = "max-age=600, public"
_FILE_CACHE: Final = "max-age=365000000, immutable, public"
_REVALIDATE: Final = "no-cache"
_PAGE_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_STATUS_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The status page embeds its style sheet and its icon and has no script. The page's own policy names the digest of the
style sheet; a web server's configuration cannot, because the digest changes between versions."""
_BY_FILENAME: Final[Mapping[str, str]] = {offer.filename: offer.media_type for offer in Representation}
_BY_SUFFIX: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
COMMON: Final[HeaderLines] = (
    (b"x-content-type-options", b"nosniff"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"X-PyPI-Last-Serial"),
)
"""Headers of every response. CORS as on PyPI: installers that run in a browser depend on it."""

_BYTE_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def media_type(path: StorePath) -> str:
    """Return the Content-Type of the object at `path`.

    Everything below packages/ is application/octet-stream, sidecars included: a browser never renders an uploaded
    file, and a client never mistakes an archive for a content encoding. Source: PEP 691 (types of the pages).
    """
    area, _, rest = path.partition("/")
    filename = path.rpartition("/")[2]
    match area:
        case "packages":
            return OCTETS
        case "simple":
            return _BY_FILENAME.get(filename, OCTETS)
        case "pypi" if filename == "json":
            return "application/json"
        case "mirrorsync" if rest:
            return _BY_SUFFIX.get(filename.rpartition(".")[2], OCTETS)
        case "last-modified" | "lastsync":
            return "text/plain; charset=utf-8"
    return OCTETS


def object_headers(path: StorePath) -> dict[str, str]:
    """Return the headers that depend on `path` alone: type, caching and content security policy."""
    content_type = media_type(path)
    headers = {"content-type": content_type, "cache-control": _cache_control(path)}
    if "html" in content_type:
        headers["content-security-policy"] = _STATUS_POLICY if path.startswith("mirrorsync/") else _PAGE_POLICY
    return headers


def _cache_control(path: StorePath) -> str:
    if path.startswith("packages/"):
        return _FILE_CACHE
    return PAGE_CACHE if path.startswith(("simple/", "pypi/")) else _REVALIDATE


def entity_tag(path: StorePath, *, modified_ns: int, size: int) -> str:
    """Return a strong entity tag: the digest in a package file's path, else the time and size of the current version.

    The three representations of a page get different tags even when their files are identical.
    """
    segments = path.split("/")
    if segments[0] == "packages":
        sidecar = "-metadata" if path.endswith(".metadata") else ""
        return f'"{"".join(segments[1:4])}{sidecar}"'
    return f'"{modified_ns:x}-{size:x}-{segments[-1].rpartition(".")[2]}"'


def effective_headers(method: str, lines: HeaderLines) -> dict[str, str]:
    """Return a request's headers, lower-case, lines of one name joined, without those that a server has to ignore.

    A Range counts only in a GET, and only as one well-formed byte range; a client that asks for several gets the
    whole file. If-Modified-Since counts only if it is a date; it is returned as an IMF-fixdate.
    Source: RFC 9110 sections 5.2, 13.1.3 and 14.2.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "range" in headers and not (method == "GET" and _is_byte_range(headers["range"])):
        del headers["range"]
    if since := _http_date(headers.pop("if-modified-since", "")):
        headers["if-modified-since"] = since
    return headers


def _is_byte_range(value: str) -> bool:
    match = _BYTE_RANGE.fullmatch(value.replace(" ", ""))
    if match is None:
        return False
    first, last = match.groups()
    return int(first) <= int(last) if first and last else bool(first or last)


def _http_date(text: str) -> str:
    """Return the date as an IMF-fixdate, empty if `text` is no date. A date without a time zone is UTC."""
    try:
        moment = parsedate_to_datetime(text)
        return format_datetime(moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC), usegmt=True)
    except (ValueError, OverflowError):
        return ""


_HEAD_BYTES: Final = 256
_TAIL_BYTES: Final = 4 << 10
_LONG_TAIL_BYTES: Final = 256 << 10
"""Holds the version list of a project with 20,000 versions."""
_JSON_SERIAL: Final = re.compile(rb'"_last-serial":(\d{1,18})[,}]')
_HTML_SERIAL: Final = re.compile(rb"<!--SERIAL (\d{1,18})-->\s*\Z")
_ROOT_SEGMENTS: Final = 2


class Excerpt(msgspec.Struct, frozen=True):
    """Part of a page file in which to look for its serial."""

    sibling: str
    """A file in the page's directory."""
    offset: int
    """Bytes; from the end of the file if negative."""
    length: int
    """Bytes."""


def serial_excerpts(path: StorePath) -> tuple[Excerpt, ...]:
    """Return where to look for the serial of the page file at `path`, the most likely place first.

    The root list has its serial at the start; the root HTML has none and uses that of the list. A project's JSON has
    it after the files and before the versions, its HTML in the last line.
    """
    filename = path.rpartition("/")[2]
    if len(path.split("/")) == _ROOT_SEGMENTS:
        return (Excerpt(Representation.V1_JSON.filename, 0, _HEAD_BYTES),)
    tail = Excerpt(filename, -_TAIL_BYTES, _TAIL_BYTES)
    if filename != Representation.V1_JSON.filename:
        return (tail,)
    return (tail, Excerpt(filename, -_LONG_TAIL_BYTES, _LONG_TAIL_BYTES))


def find_serial(excerpt: Excerpt, content: bytes) -> int | None:
    """Return the serial in `content`, the bytes of `excerpt`; None if it holds none.

    Uploaders cannot forge either form: quotation marks in JSON strings and `<` in HTML are escaped.
    """
    if excerpt.sibling != Representation.V1_JSON.filename:
        match = _HTML_SERIAL.search(content)
        return int(match[1]) if match else None
    found = _JSON_SERIAL.findall(content)
    if not found:
        return None
    return int(found[0] if excerpt.offset == 0 else found[-1])
