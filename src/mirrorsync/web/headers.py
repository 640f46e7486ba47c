"""Which headers go with which object of the tree. Pure."""

from collections.abc import Mapping
from typing import Final

from mirrorsync.model.identity import StorePath
from mirrorsync.web.negotiation import Representation

OCTETS: Final = "application/octet-stream"
_IMMUTABLE: Final = "max-age=365000000, immutable, public"
PAGE_CACHE: Final = "max-age=600, public"
_FRESH: Final = "no-cache"
_LOCKED: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_OWN_PAGE: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The status page has its style and its icon in itself, and no script. The page's own policy names the style's digest,
which a web server's configuration would have to follow from version to version."""
_BY_FILENAME: Final[Mapping[str, str]] = {offer.filename: offer.media_type for offer in Representation}
_BY_SUFFIX: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
COMMON: Final[dict[str, str]] = {
    "x-content-type-options": "nosniff",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "X-PyPI-Last-Serial",
}
"""On every answer. CORS as PyPI has it: installers that run in a browser depend on it."""


def media_type(path: StorePath) -> str:
    """Return the type that `path` is served as.

    Everything below packages/ is octets, sidecars too: nothing that an uploader wrote is ever shown as a document,
    and no archive is ever mistaken for a content encoding. Source: PEP 691 (types of the pages).
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
    """Return type, caching and content policy of the object at `path`."""
    kind = media_type(path)
    headers = {"content-type": kind, "cache-control": _cache_control(path)}
    if "html" in kind:
        headers["content-security-policy"] = _OWN_PAGE if path.startswith("mirrorsync/") else _LOCKED
    return headers


def entity_tag(path: StorePath, *, modified_ns: int, size: int) -> str:
    """Return a strong validator: the place of a package file, else what an atomic replacement changes.

    A page's three representations differ in it although two may be one file.
    """
    segments = path.split("/")
    if segments[0] == "packages":
        sidecar = "-metadata" if path.endswith(".metadata") else ""
        return f'"{"".join(segments[1:4])}{sidecar}"'
    return f'"{modified_ns:x}-{size:x}-{segments[-1].rpartition(".")[2]}"'


def _cache_control(path: StorePath) -> str:
    if path.startswith("packages/"):
        return _IMMUTABLE
    return PAGE_CACHE if path.startswith(("simple/", "pypi/")) else _FRESH
