"""The ASGI application: starlette's file responses with the mirror's own addresses, negotiation and headers."""

import os
import stat
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Final

import trio
from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mirrorsync.model.identity import StorePath, store_path
from mirrorsync.web.headers import (
    COMMON,
    OCTETS,
    PAGE_CACHE,
    Excerpt,
    effective_headers,
    entity_tag,
    find_serial,
    object_headers,
    serial_excerpts,
)
from mirrorsync.web.negotiation import choose
from mirrorsync.web.routing import File, NotFound, Page, Redirect, Root, route

_STATUS_PAGE: Final = store_path("mirrorsync", "index.html")
_SMALL_BYTES: Final = 256 << 10
"""Up to this size an object is read in the thread call that opens it; larger ones are streamed."""


def application(web: Path) -> ASGIApp:
    """Return an ASGI application that serves the tree at `web`; a request takes at most 1 MiB of memory."""
    return Router(default=ServedTree(web))


class ServedTree(StaticFiles):
    """GET and HEAD on the objects below `web`. starlette handles conditional requests, ranges and streaming."""

    def __init__(self, web: Path) -> None:
        super().__init__()
        self._web = web

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_common(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*COMMON, *message["headers"]]
            await send(message)

        if scope["type"] == "http":
            headers = effective_headers(scope["method"], scope["headers"])
            scope = {**scope, "headers": Headers(headers).raw}
        await super().__call__(scope, receive, send_with_common)

    def get_path(self, scope: Scope) -> str:
        """Return the path as the client sent it, percent-escapes included: `route` decodes it once."""
        path: bytes = scope["raw_path"]
        return path.decode("latin-1")

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the response to a request for `path`; it owns the file that it opened, if any."""
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("405 Method Not Allowed", 405, {"allow": "GET, HEAD"})
        query = scope["query_string"].decode("latin-1")
        match route(path.encode("latin-1")):
            case Root():
                has_status_page = await trio.to_thread.run_sync(_exists, self._web, _STATUS_PAGE)
                return _redirect(302, "/mirrorsync/" if has_status_page else "/simple/", query)
            case Redirect(location=location):
                return _redirect(301, location, query)
            case Page(directory=directory):
                representation = choose(Headers(scope=scope).get("accept"), query)
                target = store_path(*directory.split("/"), representation.filename)
                return await trio.to_thread.run_sync(self._object_response, scope, target, {"vary": "Accept"})
            case File(path=target):
                return await trio.to_thread.run_sync(self._object_response, scope, target, {})
            case NotFound():
                return _not_found()

    def _object_response(self, scope: Scope, path: StorePath, extra: Mapping[str, str]) -> Response:
        """Open the object at `path` and return the response. Blocks."""
        handle = open_object(self._web, path)
        if handle is None:
            return _not_found()
        status = os.fstat(handle.fileno())
        headers = {
            **object_headers(path),
            "etag": entity_tag(path, modified_ns=status.st_mtime_ns, size=status.st_size),
            **extra,
        }
        if path.startswith("simple/") and (serial := self._serial(path, handle)) is not None:
            headers["x-pypi-last-serial"] = str(serial)
        request = Headers(scope=scope)
        response = OpenFileResponse(handle, status, headers)
        if self.is_not_modified(response.headers, request):
            handle.close()
            del response.headers["content-type"], response.headers["content-length"]
            return Response(status_code=304, headers=response.headers)
        if scope["method"] == "GET" and status.st_size <= _SMALL_BYTES and "range" not in request:
            with handle:
                return Response(handle.readall(), headers=response.headers)
        return response

    def _serial(self, path: StorePath, handle: FileIO) -> int | None:
        directory, _, filename = path.rpartition("/")
        for excerpt in serial_excerpts(path):
            if excerpt.sibling == filename:
                content = _excerpt(handle, excerpt)
            elif sibling := open_object(self._web, store_path(*directory.split("/"), excerpt.sibling)):
                with sibling:
                    content = _excerpt(sibling, excerpt)
            else:
                continue
            if (serial := find_serial(excerpt, content)) is not None:
                return serial
        return None


class OpenFileResponse(FileResponse):
    """The contents of an open file, or one range of it; closes the file.

    starlette looks at a path and opens it later, when an atomic replacement may have put another file there. The
    path of the descriptor always leads to the file that is open.
    """

    chunk_size = 1 << 20

    def __init__(self, handle: FileIO, status: os.stat_result, headers: Mapping[str, str]) -> None:
        super().__init__(f"/dev/fd/{handle.fileno()}", headers=headers, media_type=OCTETS, stat_result=status)
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        with self._handle:
            await super().__call__(scope, receive, send)


def open_object(web: Path, path: StorePath) -> FileIO | None:
    """Open the regular file at `path` below `web`; None if there is none. Blocks.

    A symbolic link counts only if it leads to a file below `web`.
    """
    root = os.path.realpath(web)
    real = os.path.realpath(os.path.join(root, path))  # noqa: PTH118 - Path would fold a name's own characters
    if not real.startswith(root + os.sep):
        return None
    try:
        # O_NONBLOCK: opening a pipe would wait for a writer.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return FileIO(descriptor, "rb")


def _excerpt(handle: FileIO, excerpt: Excerpt) -> bytes:
    offset = excerpt.offset
    if offset < 0:
        offset = max(0, os.fstat(handle.fileno()).st_size + offset)
    return os.pread(handle.fileno(), excerpt.length, offset)


def _exists(web: Path, path: StorePath) -> bool:
    handle = open_object(web, path)
    if handle is None:
        return False
    handle.close()
    return True


def _redirect(status: int, location: str, query: str) -> Response:
    target = f"{location}?{query}" if query else location
    return RedirectResponse(target, status, {"cache-control": PAGE_CACHE})


def _not_found() -> Response:
    return PlainTextResponse("404 Not Found", 404)
