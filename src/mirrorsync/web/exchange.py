"""One request and its answer, in ASGI's terms. Source: the ASGI specification, version 3."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from mirrorsync.model.identity import StorePath, store_path
from mirrorsync.web.headers import COMMON, PAGE_CACHE, entity_tag, object_headers
from mirrorsync.web.negotiation import choose
from mirrorsync.web.objects import Opened, is_object, open_object, read_part
from mirrorsync.web.preconditions import Answer, Validators, answer
from mirrorsync.web.routing import File, Nothing, Page, Redirect, Start, route

_CHUNK_BYTES: Final = 1 << 20
_STATUS_PAGE: Final = store_path("mirrorsync", "index.html")

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Exchange(msgspec.Struct, frozen=True):
    """A request, where to answer it, and what answering may use."""

    web: Path
    disk: trio.CapacityLimiter
    method: str
    path: bytes
    """As it came over the wire, without its query."""
    query: str
    headers: Mapping[str, str]
    """Lower-case names; several lines of one name joined by commas."""
    receive: Receive
    send: Send


async def respond(
    web: Path, disk: trio.CapacityLimiter, scope: Mapping[str, Any], receive: Receive, send: Send
) -> None:
    """Answer one request from the tree at `web`; hops to the disk are counted by `disk`."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    exchange = Exchange(
        web=web,
        disk=disk,
        method=scope["method"],
        path=scope["raw_path"],
        query=scope["query_string"].decode("latin-1"),
        headers=_joined(scope["headers"]),
        receive=receive,
        send=send,
    )
    if exchange.method not in ("GET", "HEAD"):
        await _send_text(exchange, 405, "405 Method Not Allowed", {"allow": "GET, HEAD"})
        return
    match route(exchange.path):
        case Start():
            own_page = await trio.to_thread.run_sync(is_object, web, _STATUS_PAGE, limiter=disk)
            await _redirect(exchange, 302, "/mirrorsync/" if own_page else "/simple/")
        case Redirect(location=location):
            await _redirect(exchange, 301, location)
        case Page(directory=directory):
            representation = choose(exchange.headers.get("accept"), exchange.query)
            await _send_object(exchange, store_path(*directory.split("/"), representation.filename), {"vary": "Accept"})
        case File(path=path):
            await _send_object(exchange, path, {})
        case Nothing():
            await _send_missing(exchange)


async def _live(receive: Receive, send: Send) -> None:
    """Agree to start and to stop: nothing has to be made ready."""
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


def _joined(lines: list[tuple[bytes, bytes]]) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _send_object(exchange: Exchange, path: StorePath, extra: Mapping[str, str]) -> None:
    opened = await trio.to_thread.run_sync(open_object, exchange.web, path, limiter=exchange.disk)
    if opened is None:
        await _send_missing(exchange)
        return
    with opened.handle:
        validators = Validators(
            etag=entity_tag(path, modified_ns=opened.modified_ns, size=opened.size),
            modified=opened.modified_ns // 1_000_000_000,
            size=opened.size,
        )
        decided = answer(exchange.headers, validators, is_get=exchange.method == "GET")
        await _start(exchange, decided.status, {**_headers(path, opened, validators, decided), **extra})
        await _send_body(exchange, opened, decided)


def _headers(path: StorePath, opened: Opened, validators: Validators, decided: Answer) -> dict[str, str]:
    headers = object_headers(path)
    headers |= {"etag": validators.etag, "last-modified": validators.last_modified, "accept-ranges": "bytes"}
    if opened.serial is not None:
        headers["x-pypi-last-serial"] = str(opened.serial)
    match decided.status:
        case 304:
            del headers["content-type"]
            return headers
        case 206:
            last = decided.start + decided.length - 1
            headers["content-range"] = f"bytes {decided.start}-{last}/{opened.size}"
        case 416:
            headers["content-range"] = f"bytes */{opened.size}"
            headers["cache-control"] = "no-store"
    headers["content-length"] = str(decided.length)
    return headers


async def _send_body(exchange: Exchange, opened: Opened, decided: Answer) -> None:
    length = decided.length if exchange.method == "GET" else 0
    if length <= _CHUNK_BYTES:
        part = b""
        if length:
            part = await _read(exchange, opened, decided.start, length)
        await exchange.send({"type": "http.response.body", "body": part})
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_the_client_leaves, exchange.receive, nursery.cancel_scope)
        end = decided.start + length
        for offset in range(decided.start, end, _CHUNK_BYTES):
            part = await _read(exchange, opened, offset, min(_CHUNK_BYTES, end - offset))
            await exchange.send({"type": "http.response.body", "body": part, "more_body": True})
        await exchange.send({"type": "http.response.body", "body": b""})
        nursery.cancel_scope.cancel()


async def _read(exchange: Exchange, opened: Opened, offset: int, length: int) -> bytes:
    return await trio.to_thread.run_sync(read_part, opened.handle, offset, length, limiter=exchange.disk)


async def _cancel_when_the_client_leaves(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _redirect(exchange: Exchange, status: int, location: str) -> None:
    target = f"{location}?{exchange.query}" if exchange.query else location
    await _send_text(exchange, status, "", {"location": target, "cache-control": PAGE_CACHE})


async def _send_missing(exchange: Exchange) -> None:
    await _send_text(exchange, 404, "404 Not Found", {})


async def _send_text(exchange: Exchange, status: int, text: str, extra: Mapping[str, str]) -> None:
    body = text.encode()
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
    await _start(exchange, status, {**headers, **extra})
    await exchange.send({"type": "http.response.body", "body": body if exchange.method != "HEAD" else b""})


async def _start(exchange: Exchange, status: int, headers: Mapping[str, str]) -> None:
    lines = [(name.encode(), value.encode("latin-1")) for name, value in {**COMMON, **headers}.items()]
    await exchange.send({"type": "http.response.start", "status": status, "headers": lines})
