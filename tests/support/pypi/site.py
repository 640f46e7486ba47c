"""The correct answers of index and file host, and the pages that a cache has frozen."""

import re
import urllib.parse
from typing import Final

from tests.support.pypi import wire, wire_legacy, wire_xmlrpc
from tests.support.pypi.edge import accepts_gzip
from tests.support.pypi.exchange import Answer, Request
from tests.support.pypi.values import Listed, Page, Shape, normalise
from tests.support.pypi.wire import Origin
from tests.support.pypi.world import World

_SIMPLE: Final = (
    ("Cache-Control", "max-age=600, public"),
    ("Vary", "Accept, Accept-Encoding"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "X-PyPI-Last-Serial"),
)
_LEGACY: Final = (("Cache-Control", "max-age=900, public"), ("Vary", "Accept-Encoding"), *_SIMPLE[2:])
_RATE: Final = (
    ("RateLimit-Policy", '"xmlrpc.client";q=3600;w=3600;pk=:ip:'),
    ("RateLimit", '"xmlrpc.client";r=3599;t=3599'),
    ("Vary", "Accept-Encoding"),
)
_REMEMBERED: Final = 100_000
NOT_FOUND: Final = Answer(404, "text/plain", b"404 Not Found")
_NOT_FOUND_HTML: Final = Answer(
    404, "text/html; charset=UTF-8", b"<html><body><h1>Page Not Found (404)</h1></body></html>"
)
_METHODS: Final = (("Allow", "GET, HEAD, OPTIONS"),)
NO_METHOD: Final = Answer(405, "text/plain", b"405 Method Not Allowed", _METHODS)

_FILE_HEADERS: Final = (
    ("Cache-Control", "max-age=365000000, immutable, public"),
    ("Accept-Ranges", "bytes"),
    ("Access-Control-Allow-Origin", "*"),
)
_FILE_TYPE: Final = "application/octet-stream"
NO_SUCH_FILE: Final = Answer(
    404, "application/xml", b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'
)
"""PyPI also answers with 403: `Status(403, body=NO_SUCH_FILE.body, media_type=NO_SUCH_FILE.media_type)`."""


class Site:
    """The index of one world, at one origin."""

    def __init__(self, world: World, origin: Origin) -> None:
        self.world = world
        self.origin = origin
        self.page_cap = 50_000
        self.held: dict[tuple[str, bool | None], Page | None] = {}
        """Frozen pages by (name, True: the gzip variant, False: the other, None: both)."""
        self.held_root: tuple[tuple[Listed, ...], int] | None = None
        self.root_limit: int | None = None
        """The length of the root list; None: all projects."""
        self._rendered: dict[tuple[int, str], Answer] = {}
        self._roots: dict[str, tuple[int, Answer]] = {}

    def answer(self, request: Request) -> Answer:
        """Return the correct answer."""
        if not request.target.isascii():
            return Answer(400, "text/plain", b"400 Bad Request")
        if request.method == "POST" and request.path in ("/pypi", "/pypi/", "/RPC2"):
            return self._xmlrpc(request)
        if request.method == "OPTIONS":
            return Answer(200, "text/plain", b"", _METHODS)
        if request.method not in ("GET", "HEAD"):
            return NO_METHOD
        head = request.path.split("/")[1] if request.path.startswith("/") else ""
        routes = {"simple": self._simple, "pypi": self._legacy, "integrity": self._integrity}
        return routes[head](request) if head in routes else _NOT_FOUND_HTML

    def _simple(self, request: Request) -> Answer:
        if not request.path.endswith("/"):
            if request.headers.get("user-agent", "").startswith("Go-http-client"):
                return Answer(406, "text/plain", b"406 Not Acceptable")
            return _moved(f"{request.path}/")
        asked = urllib.parse.parse_qs(request.query).get("format")
        media_type = wire.negotiate(asked[0] if asked else request.headers.get("accept"))
        if request.path == "/simple/":
            return self._root(media_type)
        name = urllib.parse.unquote(request.path.removeprefix("/simple/").removesuffix("/"))
        if "/" in name:
            return NOT_FOUND
        if name != normalise(name):
            return _moved(f"/simple/{urllib.parse.quote(normalise(name))}/")
        page = self._page(name, request)
        return NOT_FOUND if page is None else self._detail(page, media_type)

    def _detail(self, page: Page, media_type: str) -> Answer:
        known = self._rendered.get((page.revision, media_type))
        if known is not None:
            return known
        render = wire.detail_json if media_type == wire.SIMPLE_JSON else wire.detail_html
        answer = self._cached(media_type, render(page, self.origin), page.serial)
        if len(self._rendered) >= _REMEMBERED:
            self._rendered.clear()
        self._rendered[page.revision, media_type] = answer
        return answer

    def _root(self, media_type: str) -> Answer:
        if not self.origin.shape.root_json:
            return NOT_FOUND
        with self.world.lock:
            revision, serial = self.world.revision, self.world.last_serial or 0
            special = self.held_root is not None or self.root_limit is not None
            rendered, known = self._roots.get(media_type, (None, NOT_FOUND))
            if rendered == revision and not special:
                return known
            listing = self.world.listing()
        if self.held_root is not None:
            listing, serial = self.held_root
        listing = listing[: self.root_limit]
        if media_type == wire.SIMPLE_JSON:
            body = wire.root_json(listing, serial, self.origin.shape)
        else:
            body = wire.root_html(listing, self.origin.shape)
        answer = self._cached(media_type, body, serial)
        if not special:
            self._roots[media_type] = revision, answer
        return answer

    def _page(self, name: str, request: Request) -> Page | None:
        if request.stale:
            return self.world.page_before(name, request.before)
        if self.held:
            for variant in (None, accepts_gzip(request)):
                if (name, variant) in self.held:
                    return self.held[name, variant]
        return self.world.page(name)

    def _xmlrpc(self, request: Request) -> Answer:
        if not self.origin.shape.xmlrpc:
            return NO_METHOD
        if not request.headers.get("content-type", "").startswith("text/xml"):
            return _NOT_FOUND_HTML
        try:
            body = self._call(wire_xmlrpc.parse_call(request.body))
        except wire_xmlrpc.Fault as problem:
            body = wire_xmlrpc.fault(problem)
        return Answer(200, wire_xmlrpc.MEDIA_TYPE, body, _RATE, compressed=True)

    def _call(self, call: wire_xmlrpc.Call) -> bytes:
        if call.method == "changelog_since_serial":
            since = wire_xmlrpc.since_argument(call.parameters)
            return wire_xmlrpc.changelog(self.world.rows_since(since, self.page_cap))
        if call.method == "changelog_last_serial":
            wire_xmlrpc.no_argument(call.parameters)
            return wire_xmlrpc.last_serial(self.world.last_serial)
        if call.method == "list_packages_with_serial":
            wire_xmlrpc.no_argument(call.parameters)
            return wire_xmlrpc.packages(self.world.listing(with_quarantined=True))
        raise wire_xmlrpc.refusal(call.method)

    def _legacy(self, request: Request) -> Answer:
        path = urllib.parse.unquote(request.path)
        match = re.fullmatch(r"/pypi/([^/]+)(?:/([^/]+))?/json(/?)", path)
        if match is None:
            return _NOT_FOUND_HTML
        if match[3]:
            return _moved(request.path.rstrip("/"))
        page = self._page(normalise(match[1]), request)
        body = wire_legacy.project_json(page, self.origin, match[2]) if page else None
        if page is None or body is None:
            return Answer(404, wire_legacy.MEDIA_TYPE, wire_legacy.NOT_FOUND)
        return self._cached(wire_legacy.MEDIA_TYPE, body, page.serial, _LEGACY)

    def _integrity(self, request: Request) -> Answer:
        path = urllib.parse.unquote(request.path)
        match = re.fullmatch(r"/integrity/([^/]+)/([^/]+)/([^/]+)/provenance", path)
        page = self._page(normalise(match[1]), request) if match else None
        if match is None or page is None:
            return _NOT_FOUND_HTML
        file = next((file for file in page.files if (file.version, file.filename) == (match[2], match[3])), None)
        if file is None:
            return _NOT_FOUND_HTML
        accept = request.headers.get("accept", "*/*")
        if not re.search(r"application/vnd\.pypi\.integrity\.v1\+json|application/json|\*/\*", accept):
            return Answer(406, "application/json", b'{"message": "Request not acceptable"}')
        if not file.provenance:
            message = f'{{"message": "No provenance available for {file.filename}"}}'
            return Answer(404, "application/json", message.encode())
        body = wire.provenance_json(file)
        return self._cached("application/vnd.pypi.integrity.v1+json", body, page.serial)

    def _cached(
        self, media_type: str, body: bytes, serial: int, headers: tuple[tuple[str, str], ...] = _SIMPLE
    ) -> Answer:
        if self.origin.shape.serials and self.origin.shape.serial_headers:
            headers = (*headers, ("X-PyPI-Last-Serial", str(serial)))
        return Answer(200, media_type, body, headers, cached=True)


def _moved(location: str) -> Answer:
    return Answer(301, "text/plain", b"301 Moved Permanently", (("Location", location),))


def is_file(path: str) -> bool:
    """Return whether `path` belongs to the file host."""
    return path.startswith(("/packages/", "/files/"))


def file_answer(request: Request, world: World, shape: Shape) -> Answer:
    """Return the file host's answer: with ranges, without If-None-Match and If-Modified-Since."""
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        return Answer(405, "text/plain", b"405 Method Not Allowed")
    path = urllib.parse.unquote(request.path).removeprefix("/")
    content = world.objects.get(path)
    if content is None or (path.endswith(".metadata") and not shape.sidecar_keys):
        return NO_SUCH_FILE
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if asked is None or asked[0] == "bytes=-":
        return Answer(200, _FILE_TYPE, content, _FILE_HEADERS)
    size = len(content)
    if asked[1]:
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
    else:
        first, last = max(size - int(asked[2]), 0), size - 1
    if first > last:
        return Answer(416, "text/plain", b"", (*_FILE_HEADERS, ("Content-Range", f"bytes */{size}")))
    headers = (*_FILE_HEADERS, ("Content-Range", f"bytes {first}-{last}/{size}"))
    return Answer(206, _FILE_TYPE, content[first : last + 1], headers)
